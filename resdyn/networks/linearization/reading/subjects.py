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
from resdyn.networks.linearization.reading.anatomy import Anatomy, anatomy, last_addition, outer
from resdyn.networks.linearization.reading.nodes import Opaque, Unreadable
from resdyn.networks.linearization.reading.watching import Change, changed, watched
from resdyn.networks.unrolling.calls import differentiable_kernels, refuse_randomness
from resdyn.networks.unrolling.declared import declared_piece
from resdyn.networks.unrolling.pieces import Piece
from resdyn.networks.unrolling.placement import Placed, Placement, real_tensor, refuse_training
from resdyn.networks.unrolling.subgraphs import Subgraph
from resdyn.networks.unrolling.unit import Part, Unit

Array = NDArray[Any]
Map = Callable[[Tensor], Tensor]


_DOES_NOT_RUN = (RuntimeError, IndexError, AssertionError, ValueError, TypeError, NotImplementedError)
"""What modules raise at a tensor of another shape than they take."""


class Unfit(ValueError):
    """A map that is not from one state to one tensor."""


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


class Rerun(NamedTuple):
    """A unit at another sum: what comes after it, the diagonal of D there, and the unit with that sum."""

    value: Tensor
    outer: Array
    function: Map


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
        state = np.array(state)  # which is read-only, or the caller's
        self.name, self.state, self.piece = name, state, piece
        self.shape_before = state.shape
        self._placement = Placement(module, dtype=torch.float64)
        self.function = self._placed(module)
        self.at = self._placement.tensor(state.copy())[None]
        self._watched = watched(self.function, self.at)
        self.value = self._one_tensor(self._watched.value)
        try:
            refuse_randomness(self.function, self.at, repr(name), first=self.value)
        except ValueError as error:
            raise Unfit(str(error)) from None
        self.shape_after = tuple(self.value.shape[1:])

    def _one_tensor(self, value: Any) -> Tensor:
        if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != 1:
            is_tensor = isinstance(value, Tensor)
            found = f"a tensor of shape {tuple(value.shape)}" if is_tensor else f"a {type(value).__name__}"
            raise Unfit(
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
        shortcut = None if self.skip is None else self._at_state(self.skip)
        return anatomy(self._watched.node, shortcut, is_declared=not self._is_traced)

    @property
    def _is_traced(self) -> bool:
        """Whether which path is the skip path was concluded from a trace, as the simpler one."""
        return self.piece is not None and isinstance(self.piece.shortcut, Subgraph)

    def _at_state(self, function: Map) -> Tensor:
        with torch.no_grad():
            return function(self.at)

    @cached_property
    def skip(self) -> Map | None:
        """The skip path with its gain, where a declaration or a trace says what that is."""
        if self.piece is None:
            return None
        module = nn.Identity() if self.piece.shortcut_is_identity else self.piece.shortcut
        return None if module is None else self._placed(module)

    def rerun(self, total: Tensor) -> Rerun:
        """The unit from its addition on, where that gives another sum.

        Raises
        ------
        Unreadable
            Where what follows is then no pointwise function of the sum.
        """
        addition = self.anatomy.addition
        assert addition is not None
        change = Change(addition.call, total)
        again = watched(self.function, self.at, change)
        found = None if isinstance(again.node, Opaque) else last_addition(again.node)
        if found is None or found.call != addition.call:
            raise Unreadable("what follows its addition is another function where the sum is another")
        return Rerun(again.value, outer(again.node, found), changed(self.function, change))

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
            raise ValueError(self._no_links())
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

    def _is_ambiguous(self) -> bool:
        try:
            return self.anatomy.is_ambiguous
        except Unreadable:
            return False

    def _no_links(self) -> str:
        try:
            ambiguous = self.anatomy.is_ambiguous
        except Unreadable as error:
            return (
                f"the addition in {self.name!r} is not known, so there is no reading 'before' it and no path to scale "
                f"(it cannot be read off a run: {error}); take reading='after' and scales of 1."
            )
        if ambiguous:
            return (
                f"which of the two summands in {self.name!r} is the skip path is not known; leave scales at 1, or say "
                "so with a resdyn.networks.ResidualBlock."
            )
        return (
            f"{self.name!r} does not say what its addition is, and derivatives along directions do not show it; its "
            "run does: take method='auto' or 'factored'."
        )

    def _scaled_sum(self, scales: Scales) -> Map:
        if self.piece is None or self.skip is None or self.piece.branch is None:
            raise ValueError(f"the skip path of {self.name!r} could not be told from its branch; leave scales at 1.")
        if self._is_traced and self._is_ambiguous():
            raise ValueError(self._no_links())
        skip, branch = self.skip, self._placed(self.piece.branch)
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
            if unit.addition is not None and not unit.is_ambiguous:
                return self.rerun(unit.total(*scales[:2])).value
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
        state = validate.one_state(state, source.shape_before, source.name, "loop over a batch").astype(
            np.float64, copy=False
        )
        return Subject(source.name, source.function.module, state, source.piece if isinstance(source, Unit) else None)
    if isinstance(source, nn.Module):
        return _of_module(source, _finite(x))
    raise TypeError(
        f"source must be a unit, a stage or a network of resdyn.networks.unroll, or a torch module, but is "
        f"{validate.shown(source)}."
    )


def _of_module(module: nn.Module, state: Array) -> Subject:
    """Of a module, which does not say what its states are: x is one where that runs, or else a batch of one."""
    name = type(module).__name__
    refuse_training(module)
    known = isinstance(module, ResidualBlock | DenseBlock)
    piece = declared_piece(name, module) if known else None
    found: list[Subject] = []
    errors: list[Exception] = []
    forms = _forms(state.astype(np.float64, copy=False))
    for form in forms:
        try:
            found.append(Subject(name, module, form, piece))
        except _DOES_NOT_RUN as error:
            errors.append(error)
        if found and state.ndim > 3:
            break
    if not found:
        if isinstance(errors[0], Unfit):
            raise errors[0]
        raise ValueError(
            f"{name!r} does not run at x of shape {state.shape}, taken as one state; pass one state, with a batch axis "
            f"of 1 or without one ({str(errors[0]).splitlines()[0]})."
        ) from errors[0]
    if len(found) == 2 and not torch.equal(*(subject.value.reshape(-1) for subject in found)):
        raise ValueError(
            f"x of shape {state.shape} may be one state or a batch of one, and {name!r} runs at both, with different "
            "answers; pass x[None] for one state of this shape, or x[0] for the state in the batch."
        )
    return found[0]


def _forms(state: Array) -> list[Array]:
    """What may be meant: four axes, the first of length one, are a batch of one image."""
    if state.ndim < 2 or len(state) != 1:
        return [state]
    return [state[0], state] if state.ndim > 3 else [state, state[0]]


def _finite(x: Any) -> Array:
    value = real_tensor(x, "x", finite=True)
    if isinstance(value, Tensor):
        return value.detach().cpu().double().numpy()  # type: ignore[no-any-return]
    return value  # type: ignore[no-any-return]
