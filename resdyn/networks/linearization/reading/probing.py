"""Derivatives of a unit along many directions, and the dense Jacobian by them."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resdyn import _memory
from resdyn.networks.linearization.reading.subjects import Link
from resdyn.networks.unrolling import derivatives
from resdyn.networks.unrolling.jacobians import AT_ONCE

Array = NDArray[Any]


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
        return max(1, AT_ONCE // max(1, 4 * max(self.shape)))

    def jvp(self, tangents: Tensor) -> Array:
        """J v, for rows v."""
        return self._chunks(tangents, self._pushed)

    def vjp(self, cotangents: Tensor) -> Array:
        """Jᵀ w, for rows w."""
        return self._chunks(cotangents, self._pulled)

    def _chunks(self, directions: Tensor, act: Any) -> Array:
        return np.concatenate([act(part) for part in directions.split(self.chunk)])

    def _pushed(self, tangents: Tensor) -> Array:
        tangents = tangents.to(self.links[0].at)
        for function, at in self.links:
            points = _copies(at, len(tangents))
            tangents = derivatives.jvp(function, points, tangents.reshape(points.shape))
        return tangents.reshape(len(tangents), -1).cpu().numpy()  # type: ignore[no-any-return]

    def _pulled(self, cotangents: Tensor) -> Array:
        last = len(cotangents), *self.shape_after
        cotangents = cotangents.to(self.links[0].at).reshape(last)
        for function, at in reversed(self.links):
            cotangents = derivatives.vjp(function, _copies(at, len(cotangents)), cotangents)
        return cotangents.reshape(len(cotangents), -1).cpu().numpy()  # type: ignore[no-any-return]


def _copies(at: Tensor, n: int) -> Tensor:
    # in memory of their own: a map may write into its input
    return at.expand(n, *at.shape[1:]).contiguous()


def dense_matrix(probe: Probe, name: str) -> Array:
    """J, by one JVP per input, or one VJP per output where these are fewer."""
    n, m = probe.shape
    _memory.require(
        8 * n * m,
        f"the dense Jacobian of {name!r}, {n} × {m},",
        "take a smaller state, or method='factored' or 'coloured' where they apply",
    )
    J = np.empty((n, m))
    by_rows = n < m
    for begin in range(0, min(n, m), probe.chunk):
        end = min(begin + probe.chunk, min(n, m))
        directions = torch.zeros(end - begin, min(n, m), dtype=torch.float64)
        directions[torch.arange(end - begin), torch.arange(begin, end)] = 1
        if by_rows:
            J[begin:end] = probe.vjp(directions)
        else:
            J[:, begin:end] = probe.jvp(directions).T
    return J
