r"""Several layers as one: the p-th iterate of a map."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from resdyn import _validation as validate
from resdyn._types import System
from resdyn.operators import RealOperator

Array = NDArray[Any]


class IteratedMap:
    r"""p layers of an autonomous map as one layer of a system: :math:`f_p(x) = (F^p(x) - x)/(ph)`.

    Its step is ph, so that times and exponents per unit t stay what they are; its fixed points are the cycles of
    the map whose period divides p, and its multipliers those of the cycles,

    .. math:: I + ph A_p = (I + hA(x_{p-1})) \cdots (I + hA(x_0)).

    Parameters
    ----------
    system : System
        Autonomous.
    period : int
        p ≥ 1.

    Raises
    ------
    ValueError
        For a layer-wise system: its layers differ, so no power of one layer exists.
    """

    def __init__(self, system: System, period: int) -> None:
        self.period = validate.count(period, "period", least=1)
        validate.autonomous(system, "the iterate of a map")
        self.system = system
        self.name = f"{system.name}, {self.period} layers at a time"
        self.shape = system.shape
        self.step = system.step * self.period
        self.depth = None
        # what the system offers, its iterate offers too
        for name in ("infinite_states", "activations", "from_residuals"):
            if hasattr(system, name):
                setattr(self, name, getattr(system, name))
        if hasattr(system, "jacobian"):
            self.jacobian = self._jacobian

    def __repr__(self) -> str:
        return f"IteratedMap({self.system!r}, {self.period})"

    def orbit(self, x: Any) -> Array:
        """The states x, F(x), …, F^p(x), shape ``(p + 1, *batch, *shape)``."""
        states = [np.asarray(x, dtype=float)]
        for _ in range(self.period):
            current = states[-1]
            states.append(current + self.system.step * np.asarray(self.system.residual(0.0, current)))
        return np.stack(states)

    def residual(self, t: float, x: Any) -> Array:
        """f_p, for states of shape ``(*batch, *shape)``."""
        # the sum of the residuals and not the difference of states, which would lose digits near a fixed point
        current = np.asarray(x, dtype=float)
        total = np.zeros_like(current)
        for _ in range(self.period):
            f = np.asarray(self.system.residual(t, current))
            total, current = total + f, current + self.system.step * f
        return total / self.period

    def _jacobian(self, t: float, x: Any) -> Array:
        """∂f_p/∂x, shape ``(*batch, d, d)``."""
        current = np.asarray(x, dtype=float)
        d = int(np.prod(self.shape))
        batch = current.shape[: current.ndim - len(self.shape)]
        product = np.broadcast_to(np.eye(d), (*batch, d, d))
        total = np.zeros((*batch, d, d))
        system: Any = self.system
        for _ in range(self.period):
            image = np.asarray(system.jacobian(t, current)) @ product
            total, product = total + image, product + system.step * image
            current = current + system.step * np.asarray(system.residual(t, current))
        return total / self.period

    def linearize(self, t: float, x: Any) -> "IteratedJacobian":
        """∂f_p/∂x at one state."""
        state = validate.one_state(x, self.shape, self.name)
        blocks = [self.system.linearize(t, before) for before in self.orbit(state)[:-1]]
        return IteratedJacobian(blocks, self.system.step)


class IteratedJacobian(RealOperator):
    r"""The derivative of f_p: :math:`\bigl((I + hA_{p-1})\cdots(I + hA_0) - I\bigr)/(ph)`."""

    def __init__(self, blocks: Sequence[LinearOperator], step: float) -> None:
        super().__init__(blocks[0].shape[0])
        self.blocks, self.step = blocks, step

    def _matmat(self, x: Array) -> Array:
        total = np.zeros(x.shape)
        for block in self.blocks:
            image = np.asarray(block @ x)
            total, x = total + image, x + self.step * image
        return total / len(self.blocks)

    def _adjoint(self) -> "IteratedJacobian":
        return IteratedJacobian([block.T for block in reversed(self.blocks)], self.step)
