"""Derivatives of a unit along many directions at one state, and the dense Jacobian by them.

The unit runs once, at a batch of one state: it is differentiated along many directions at a time, so nothing is assumed
of what it would do with a batch of several. What counts as constant is what reverse differentiation takes for constant.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resdyn import _memory
from resdyn.networks.linearization.reading.subjects import Link
from resdyn.networks.unrolling import derivatives
from resdyn.networks.unrolling.jacobians import AT_ONCE

Array = NDArray[Any]
Act = Callable[[Tensor], Tensor]

_TOLERANCE = 1e-10
"""Relative: rounding of a few layers in double precision is at 1e-14, and a wrong stencil at 1."""
_WORTH = 4
"""JVPs are taken where there are so many times more outputs than inputs: VJPs need no check."""


class Error(NamedTuple):
    """How far a matrix is from what reverse differentiation gives, and the scale of it."""

    size: float
    scale: float

    @property
    def is_small(self) -> bool:
        """No more than rounding; NaN is not."""
        return self.size <= _TOLERANCE * self.scale

    def __str__(self) -> str:
        return f"an error of {self.size:.1e} of {self.scale:.1e}"


class Probe:
    """The derivative of maps one after another, along directions: flattened, one to a row.

    Attributes
    ----------
    shape_before, shape_after : tuple of int
    """

    def __init__(self, links: Sequence[Link], shape_before: tuple[int, ...], shape_after: tuple[int, ...]) -> None:
        self.links, self.shape_before, self.shape_after = tuple(links), shape_before, shape_after

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs."""
        return int(np.prod(self.shape_after)), int(np.prod(self.shape_before))

    @cached_property
    def chunk(self) -> int:
        """So many directions at a time."""
        return max(1, AT_ONCE // max(1, 16 * max(self.shape)))

    def jvp(self, tangents: Tensor) -> Array:
        """J v, for rows v."""
        return self._chunks(tangents, self._pushes)

    def vjp(self, cotangents: Tensor) -> Array:
        """Jᵀ w, for rows w."""
        return self._chunks(cotangents, self._pulls)

    @cached_property
    def is_reversible(self) -> bool:
        """Whether autograd goes back through the maps: not where they overwrite what it needs."""
        try:
            self.vjp(torch.zeros(1, self.shape[0], dtype=torch.float64))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            return False
        return True

    def error_of(self, matrix: Any) -> "Error":
        """Of a matrix at a random direction: of Aᵀ w; of A v, where autograd does not go back through the maps."""
        return self.error_of_terms(matrix)

    def error_of_terms(self, *terms: Any) -> "Error":
        """Of a sum of matrices, on the scale of the largest term."""
        direction = np.random.default_rng(1).standard_normal(self.shape[not self.is_reversible])
        act = self.vjp if self.is_reversible else self.jvp
        expected = act(torch.from_numpy(direction)[None])[0]
        found = [(term.T if self.is_reversible else term) @ direction for term in terms]
        scale = max(abs(part).max(initial=0) for part in (expected, *found))
        return Error(float(abs(sum(found) - expected).max(initial=0)), float(scale))

    def _chunks(self, directions: Tensor, acts: Sequence[Act]) -> Array:
        made = []
        for part in directions.split(self.chunk):
            image = part.to(self.links[0].at)
            for act in acts:
                image = act(image)
            made.append(image.reshape(len(part), -1).cpu().numpy())
        return np.concatenate(made)

    @cached_property
    def _pulls(self) -> list[Act]:
        return [_pull(*link) for link in reversed(self.links)]

    @cached_property
    def _pushes(self) -> list[Act]:
        return [_push(*link) for link in self.links]


@derivatives.differentiating
def _pull(function: Act, at: Tensor) -> Act:
    """From many w to many DF(x)ᵀ w, by one run of the function."""
    with torch.enable_grad():
        point = at.detach().requires_grad_()
        after = function(point)
    return partial(_many_gradients, after, point)


def _many_gradients(after: Tensor, point: Tensor, directions: Tensor) -> Tensor:
    directions = directions.reshape(len(directions), *after.shape)
    if not after.requires_grad:
        return directions.new_zeros(len(directions), *point.shape)
    options: dict[str, Any] = {"retain_graph": True, "materialize_grads": True}
    try:
        with _many_at_once():
            return torch.autograd.grad(after, point, directions, is_grads_batched=True, **options)[0].detach()
    except (RuntimeError, NotImplementedError) as error:  # an operation that knows only one direction
        if isinstance(error, torch.OutOfMemoryError):
            raise
    return torch.stack([torch.autograd.grad(after, point, w, **options)[0].detach() for w in directions])


def _push(function: Act, at: Tensor) -> Act:
    """From many v to many DF(x) v."""

    def push(directions: Tensor) -> Tensor:
        directions = directions.reshape(len(directions), *at.shape)
        try:
            with torch.no_grad(), _many_at_once():
                return torch.func.vmap(lambda v: torch.func.jvp(function, (at,), (v,))[1])(directions)
        except (RuntimeError, NotImplementedError, ValueError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
        return torch.stack([derivatives.jvp(function, at, v) for v in directions])

    return push


@contextmanager
def _many_at_once() -> Iterator[None]:
    with warnings.catch_warnings():
        # torch says so where an operation takes direction by direction
        warnings.filterwarnings("ignore", message="There is a performance drop", category=UserWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


def dense_matrix(probe: Probe, name: str) -> Array:
    """J, by one VJP per output; by one JVP per input where these are many fewer, and agree."""
    n, m = probe.shape
    _memory.require(
        8 * n * m,
        f"the dense Jacobian of {name!r}, {n} × {m},",
        "take a smaller state, or method='factored' or 'coloured' where they apply",
    )
    if n >= _WORTH * m or not probe.is_reversible:
        J = np.empty((n, m))
        for begin, directions in _unit_vectors(m, probe.chunk):
            J[:, begin : begin + len(directions)] = probe.jvp(directions).T
        if not probe.is_reversible or probe.error_of(J).is_small:
            return J
    J = np.empty((n, m))
    for begin, directions in _unit_vectors(n, probe.chunk):
        J[begin : begin + len(directions)] = probe.vjp(directions)
    return J


def _unit_vectors(n: int, chunk: int) -> Iterator[tuple[int, Tensor]]:
    for begin in range(0, n, chunk):
        size = min(chunk, n - begin)
        directions = torch.zeros(size, n, dtype=torch.float64)
        directions[torch.arange(size), torch.arange(begin, begin + size)] = 1
        yield begin, directions
