r"""The sparse Jacobian of a map of images in which each output depends on inputs nearby, by few directions.

Output pixel i depends on input pixels :math:`si + l, \dots, si + h` along each axis. Inputs that are a period
:math:`P \ge h - l + 1` apart are seen by no output together, so one direction serves a whole lattice of them: for C
channels :math:`C P^2` JVPs give all entries. The reach, l to h, is found by VJPs at some pixels, and widened where what
comes out is not the derivative: at closed gates nothing is seen of it.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from resdyn import _memory
from resdyn.networks.linearization.reading.nodes import Unreadable
from resdyn.networks.linearization.reading.probing import Probe

Array = NDArray[Any]

_WORTH = 0.5
"""Up to so many JVPs of those that a dense Jacobian takes."""
_WIDER = (0, 1, 3, 7)
"""Pixels by which the reach is taken wider than it was seen, one after the other."""
_PIXELS = 64
"""At so many pixels more, drawn at random, the reach is looked for."""


class Axis(NamedTuple):
    """Along one axis of the image: sizes, stride s, and the first and last input that output 0 sees."""

    before: int
    after: int
    stride: int
    low: int
    high: int

    @property
    def period(self) -> int:
        """P, at most the whole axis."""
        return min(self.high - self.low + 1, self.before)

    def widened(self, pixels: int) -> "Axis":
        """With a reach of so many inputs more on either side."""
        return self._replace(low=self.low - pixels, high=self.high + pixels)

    def seen(self) -> tuple[Array, Array]:
        """Inputs that each output sees, shape (after, P), and whether they are inside the image."""
        first = self.stride * np.arange(self.after) + self.low
        if self.period == self.before:  # all of them, each once
            first = np.zeros_like(first)
        index = first[:, None] + np.arange(self.period)
        return index, (index >= 0) & (index < self.before)


def coloured_matrix(probe: Probe, name: str) -> Any:
    """J as a CSR array.

    Raises
    ------
    Unreadable
        If states are no images, outputs depend on inputs far away, or what was found is not J.
    """
    if len(probe.shape_before) != 3 or len(probe.shape_after) != 3:
        raise Unreadable("its states are no images")
    rows, columns = _axes(probe)
    n, m = probe.shape
    if _directions(probe, rows, columns) > _WORTH * min(n, m):
        raise Unreadable(
            f"outputs depend on {rows.period} × {columns.period} pixels, which takes "
            f"{_directions(probe, rows, columns)} directions for {min(n, m)} variables"
        )
    for pixels in _WIDER:
        wider = rows.widened(pixels), columns.widened(pixels)
        directions = _directions(probe, *wider)
        if directions > _WORTH * min(n, m):
            break
        subject = f"the sparse Jacobian of {name!r} by {directions} directions"
        _memory.require(28 * n * directions, subject, "take a smaller state")
        matrix = _assembled(probe, *wider, _responses(probe, *wider))
        error = probe.error_of(matrix)
        if error.is_small:
            return matrix
    raise Unreadable(f"outputs depend on inputs farther away than was seen ({error})")


def _directions(probe: Probe, rows: Axis, columns: Axis) -> int:
    return probe.shape_before[0] * rows.period * columns.period


def _axes(probe: Probe) -> tuple[Axis, Axis]:
    """The reach by VJPs of random cotangents on all channels of pixels: corners, middle, beside it, at random."""
    (_, tall, wide), (channels, high, broad) = probe.shape_before, probe.shape_after
    strides = [max(1, round(before / after)) for before, after in ((tall, high), (wide, broad))]
    rng = np.random.default_rng(0)
    drawn = zip(rng.integers(high, size=_PIXELS).tolist(), rng.integers(broad, size=_PIXELS).tolist(), strict=True)
    pixels = sorted({(i, j) for i in _places(high) for j in _places(broad)} | set(drawn))
    cotangents = np.zeros((len(pixels), channels, high, broad))
    for k, (i, j) in enumerate(pixels):
        cotangents[k, :, i, j] = rng.standard_normal(channels)
    pulled = probe.vjp(torch.from_numpy(cotangents.reshape(len(pixels), -1)))
    touched = (pulled.reshape(len(pixels), *probe.shape_before) != 0).any(1)
    axes = []
    for axis, (before, after) in enumerate(((tall, high), (wide, broad))):
        offsets = [
            np.flatnonzero(image.any(1 - axis)) - strides[axis] * pixel[axis]
            for image, pixel in zip(touched, pixels, strict=True)
        ]
        found = np.concatenate([*offsets, [0]])
        axes.append(Axis(before, after, strides[axis], int(found.min()), int(found.max())))
    return axes[0], axes[1]


def _places(size: int) -> set[int]:
    middle = size // 2
    return {place for place in (0, middle - 1, middle, middle + 1, size - 1) if 0 <= place < size}


def _responses(probe: Probe, rows: Axis, columns: Axis) -> Array:
    """J on each lattice, shape (C, P, P', C', H', W')."""
    channels, tall, wide = probe.shape_before
    first, second = rows.period, columns.period
    lattices = torch.zeros(first, second, tall, wide, dtype=torch.float64)
    for a in range(first):
        for b in range(second):
            lattices[a, b, a::first, b::second] = 1
    lattices = lattices.reshape(first * second, tall * wide)
    made = []
    for channel in range(channels):
        directions = torch.zeros(first * second, channels, tall * wide, dtype=torch.float64)
        directions[:, channel] = lattices
        made.append(probe.jvp(directions.reshape(first * second, -1)))
    return np.concatenate(made).reshape(channels, first, second, *probe.shape_after)


def _assembled(probe: Probe, rows: Axis, columns: Axis, responses: Array) -> Any:
    (channels, tall, wide), (channels_after, high, broad) = probe.shape_before, probe.shape_after
    (seen_i, inside_i), (seen_j, inside_j) = rows.seen(), columns.seen()
    i, j = np.arange(high)[:, None, None, None], np.arange(broad)[None, :, None, None]
    of_row, of_column = (seen_i % rows.period)[:, None, :, None], (seen_j % columns.period)[None, :, None, :]
    # (H', W', P, P', C, C'), then an output to a row and its inputs in ascending order
    values = responses.transpose(1, 2, 4, 5, 0, 3)[of_row, of_column, i, j].transpose(5, 0, 1, 4, 2, 3)
    inside = (inside_i[:, None, :, None] & inside_j[None, :, None, :])[None, :, :, None]
    where = (seen_i * wide)[:, None, :, None] + seen_j[None, :, None, :]
    where = where[None, :, :, None] + (np.arange(channels) * tall * wide)[None, None, None, :, None, None]
    kept = inside & (values != 0)
    ends = np.concatenate(([0], np.cumsum(kept.reshape(channels_after * high * broad, -1).sum(1))))
    columns_of = np.broadcast_to(where, values.shape)[kept]
    return sparse.csr_array((values[kept], columns_of, ends), shape=probe.shape)
