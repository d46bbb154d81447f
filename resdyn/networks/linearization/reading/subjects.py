"""What is linearized: a map in double precision, at one state, with what is known of its parts."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from resdyn import _validation as validate
from resdyn.networks.architectures.blocks import ResidualBlock
from resdyn.networks.architectures.dense import DenseBlock
from resdyn.networks.linearization.reading.anatomy import Anatomy, anatomy
from resdyn.networks.linearization.reading.nodes import Unreadable, value_at
from resdyn.networks.linearization.reading.watching import watched
from resdyn.networks.unrolling.calls import differentiable_kernels
from resdyn.networks.unrolling.declared import declared_piece
from resdyn.networks.unrolling.pieces import Piece
from resdyn.networks.unrolling.placement import Placed, Placement, real_tensor
from resdyn.networks.unrolling.unit import Part, Unit

Array = NDArray[Any]
Map = Callable[[Tensor], Tensor]


_DOES_NOT_RUN = (RuntimeError, IndexError, AssertionError)
"""What modules raise at a tensor of another shape than they take."""


class Scales(NamedTuple):
    """α, β, and whether D follows them."""

    skip: float = 1.0
    weight: float = 1.0
    masks: Literal["held", "recomputed"] = "held"

    @property
    def are_one(self) -> bool:
        """Whether the unit is as it was trained."""
        return self.skip == self.weight == 1


class Link(NamedTuple):
    """A map, and the value at which its derivative is taken."""

    function: Map
    at: Tensor


class Subject:
    """A unit or another part of a network, in double precision, at one state.

    Attributes
    ----------
    name : str
    state : array
        In double precision.
    shape_before, shape_after : tuple of int
    function : callable
        Of tensors with a batch axis.
    at, value : tensor
        The state, and what comes after it, each as a batch of one.
    """

    def __init__(self, name: str, module: nn.Module, state: Array, piece: Piece | None) -> None:
        self.name, self.state, self.piece = name, state, piece
        self.shape_before = state.shape
        self._placement = Placement(module, dtype=torch.float64)
        self.function = self._placed(module)
        # a copy: states that are read-only, or are the caller's
        self.at = self._placement.tensor(np.array(state))[None]
        self._watched = watched(self.function, self.at)
        self.value = self._one_tensor(self._watched.value)
        self.shape_after = tuple(self.value.shape[1:])

    def _one_tensor(self, value: Any) -> Tensor:
        if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != 1:
            is_tensor = isinstance(value, Tensor)
            found = f"a tensor of shape {tuple(value.shape)}" if is_tensor else f"a {type(value).__name__}"
            raise ValueError(
                f"{self.name!r} makes {found} of one state of shape {self.shape_before}, but a linearization "
                "needs a map from one tensor to one tensor, batch first."
            )
        return value

    def _placed(self, module: nn.Module) -> Map:
        placed = Placed(module, self._placement)

        def run(x: Tensor) -> Tensor:
            with differentiable_kernels():
                return placed(x.clone())  # type: ignore[no-any-return]  # it may write into its input

        return run

    @cached_property
    def anatomy(self) -> Anatomy:
        """The unit taken apart.

        Raises
        ------
        Unreadable
            With the reason, where it cannot be.
        """
        return anatomy(self._watched.node)

    @cached_property
    def before(self) -> Map | None:
        """The unit up to its addition, where a declaration or a trace says what that is."""
        return None if self.piece is None or self.piece.before is None else self._placed(self.piece.before)

    def links(self, reading: str, scales: Scales) -> list[Link]:
        """Maps whose derivatives, one after the other, make J.

        Raises
        ------
        ValueError
            Where the addition would have to be known, and is not.
        """
        if reading == "after" and scales.are_one:
            return [Link(self.function, self.at)]
        if self._adds_nothing() or (scales.are_one and self.before is None and self._nothing_follows()):
            if not scales.are_one:
                raise ValueError(f"{self.name!r} has no addition, so it has no skip path to scale; leave scales at 1.")
            return [Link(self.function, self.at)]
        piece = self.piece
        if self.before is None or piece is None or piece.after is None:
            raise ValueError(
                f"the addition in {self.name!r} is not known, so there is no reading 'before' it and no path to scale; "
                "take reading='after' and scales of 1, or method='factored' to hear why the unit cannot be read."
            )
        total = self.before if scales.are_one else self._scaled_sum(scales)
        links = [Link(total, self.at)]
        if reading == "after" and not isinstance(piece.after, nn.Identity):
            with torch.no_grad():
                point = (total if scales.masks == "recomputed" else self.before)(self.at)
            links.append(Link(self._placed(piece.after), point))
        return links

    def _adds_nothing(self) -> bool:
        try:
            return self.anatomy.addition is None
        except Unreadable:
            return False

    def _nothing_follows(self) -> bool:
        try:
            return self.anatomy.addition is self.anatomy.after
        except Unreadable:
            return False

    def _scaled_sum(self, scales: Scales) -> Map:
        assert self.piece is not None
        skip_module = nn.Identity() if self.piece.shortcut_is_identity else self.piece.shortcut
        if skip_module is None or self.piece.branch is None:
            raise ValueError(f"the skip path of {self.name!r} could not be told from its branch; leave scales at 1.")
        skip, branch = self._placed(skip_module), self._placed(self.piece.branch)
        return lambda x: scales.skip * skip(x) + scales.weight * branch(x)

    def next_state(self, scales: Scales) -> Array:
        """The state after the unit; after the scaled unit, where the masks follow the scales."""
        value = self.value
        if scales.masks == "recomputed" and not scales.are_one:
            with torch.no_grad():
                value = self._scaled_value(scales)
        return value[0].detach().cpu().numpy()  # type: ignore[no-any-return]

    def _scaled_value(self, scales: Scales) -> Tensor:
        try:
            unit = self.anatomy
            if unit.addition is not None and unit.terms is not None and not unit.is_ambiguous:
                total = scales.skip * unit.terms[0] + scales.weight * unit.terms[1]
                return value_at(unit.after, unit.addition, total)
        except Unreadable:
            pass
        value = self.at
        for link in self.links("after", scales):
            value = link.function(value)
        return value


def subject_of(source: Any, x: Any) -> Subject:
    """A unit or module at a state.

    Raises
    ------
    TypeError, ValueError
        For what is neither, or x that is no state of it.
    """
    if isinstance(source, Part):
        state = _finite(x)
        state = state[0] if state.shape == (1, *source.shape_before) else state
        state = validate.one_state(state, source.shape_before, source.name).astype(np.float64, copy=False)
        return Subject(source.name, source.function.module, state, source.piece if isinstance(source, Unit) else None)
    if isinstance(source, nn.Module):
        return _of_module(source, _finite(x))
    raise TypeError(
        f"source must be a unit, a stage or a network of resdyn.networks.unroll, or a torch module, but is "
        f"{validate.shown(source)}."
    )


def _of_module(module: nn.Module, state: Array) -> Subject:
    """Of a module, which does not say what its states are: x is one if it runs, or else a batch of one."""
    name = type(module).__name__
    known = isinstance(module, ResidualBlock | DenseBlock)
    piece = declared_piece(name, module) if known else None
    state = state.astype(np.float64, copy=False)
    first: Exception | None = None
    for form in (state, state[0]) if state.ndim > 1 and len(state) == 1 else (state,):
        try:
            return Subject(name, module, form, piece)
        except _DOES_NOT_RUN as error:
            first = first or error
    raise ValueError(
        f"{name!r} does not run at x of shape {state.shape}, taken as one state; pass one state, with a batch axis "
        f"of 1 or without one ({str(first).splitlines()[0]})."
    ) from first


def _finite(x: Any) -> Array:
    value = real_tensor(x, "x", finite=True)
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value  # type: ignore[no-any-return]
