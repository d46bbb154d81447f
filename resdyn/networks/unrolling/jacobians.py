"""Jacobians of units at one state as linear operators: DB(x), and (DB(x) − I)/h of a block of a stage."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from resdyn.networks.unrolling import derivatives
from resdyn.operators import RealOperator

if TYPE_CHECKING:
    from resdyn.networks.unrolling.unit import Unit

Array = NDArray[Any]

AT_ONCE = 2**22
"""Numbers of the state in one call of torch; more states are taken one part after another."""


class UnitOperator(RealOperator):
    """DB(x) of one unit at one state, or its transpose, on flattened states."""

    def __init__(self, unit: "Unit", x: Array, *, transposed: bool = False) -> None:
        before, after = (int(np.prod(shape)) for shape in (unit.shape_before, unit.shape_after))
        super().__init__((before, after) if transposed else (after, before), unit.placement.numpy)
        self.unit, self.x, self.transposed = unit, x, transposed
        self._pullback: tuple[Any, Callable[[Tensor], Tensor]] | None = None

    def _matmat(self, x: Array) -> Array:
        shapes = (self.unit.shape_before, self.unit.shape_after)
        taken, given = reversed(shapes) if self.transposed else shapes
        vectors = np.ascontiguousarray(x.T, dtype=self.dtype).reshape(-1, *taken)
        image = np.empty((len(vectors), *given), self.dtype)
        if self.transposed and len(vectors) == 1:
            image[:] = self._pulled(vectors)
        else:
            act = self.unit.vjp if self.transposed else self.unit.jvp
            chunk = max(1, AT_ONCE // max(self.shape))
            for begin in range(0, len(vectors), chunk):
                part = vectors[begin : begin + chunk]
                image[begin : begin + chunk] = act(np.broadcast_to(self.x, (len(part), *self.x.shape)), part)
        return image.reshape(len(vectors), -1).T

    def _pulled(self, vector: Array) -> Array:
        """One cotangent, without running the unit again for each."""
        now = self.unit.function.versions()
        if self._pullback is None or self._pullback[0] != now:
            # it holds what the unit computed with the weights that it had
            state = self.unit.placement.tensor(self.x[None])
            self._pullback = (now, derivatives.pullback(self.unit.function, state))
        return self._pullback[1](self.unit.placement.tensor(vector)).cpu().numpy()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_other"} | {"_pullback": None}

    @cached_property
    def _other(self) -> "UnitOperator":
        return UnitOperator(self.unit, self.x, transposed=not self.transposed)

    def _adjoint(self) -> "UnitOperator":
        return self._other


class StageOperator(RealOperator):
    """A = (DB(x) − I)/h of one block at one state, or its transpose."""

    def __init__(self, jacobian: UnitOperator, step: float) -> None:
        super().__init__(jacobian.shape[0], jacobian.dtype)
        self.jacobian, self.step = jacobian, step

    def _matmat(self, x: Array) -> Array:
        return (self.jacobian._matmat(x) - x.astype(self.dtype, copy=False)) / self.step

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_other"}

    @cached_property
    def _other(self) -> "StageOperator":
        return StageOperator(self.jacobian._adjoint(), self.step)

    def _adjoint(self) -> "StageOperator":
        return self._other
