"""Which of many points a state is near to: cells of a grid, each with the points whose balls reach into it.

The grid covers the balls along the first coordinates, three at most, and only limits which points are compared; the
comparison is that of all coordinates. So the answer is that of a loop over all points, of several the last.
"""

from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# cells per axis, for grids of one, two and three axes: tables that stay in the cache
_MOST_CELLS = {1: 4096, 2: 512, 3: 48}


class PointCells(NamedTuple):
    """The points of cell c (C order) are ``members[firsts[c] : firsts[c + 1]]``, in ascending order."""

    corner: Array
    per_length: Array
    counts: NDArray[np.int64]
    firsts: NDArray[np.int64]
    members: NDArray[np.int64]


def point_cells(points: Array, radii: Array) -> PointCells:
    """The table for ``points`` (P, n), P ≥ 1, each with a ball of radius ``radii`` (P,) around it."""
    axes = min(points.shape[1], 3)
    centres = points[:, :axes].astype(np.float64)
    # a little wider than the balls, so that no rounding of a border loses a point
    reach = radii.astype(np.float64) * (1 + 1e-6) + 1e-15 * np.abs(centres).max() + 1e-300
    low, high = centres - reach[:, None], centres + reach[:, None]
    corner = low.min(axis=0)
    # cells as wide as a ball's radius: no ball reaches into more than four along an axis
    per_length = 1.0 / np.maximum((high.max(axis=0) - corner) / _MOST_CELLS[axes], reach.max())
    first, last = (np.floor((end - corner) * per_length).astype(np.int64) for end in (low, high))
    counts = last.max(axis=0) + 1
    cells, members = [], []
    for offset in product(*(range(int(width) + 1) for width in (last - first).max(axis=0))):
        place = first + np.array(offset, dtype=np.int64)
        reached = np.flatnonzero((place <= last).all(axis=1))
        cells.append(np.ravel_multi_index(tuple(place[reached].T), tuple(counts)))
        members.append(reached)
    cell, member = np.concatenate(cells), np.concatenate(members)
    order = np.lexsort((member, cell))
    firsts = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=int(counts.prod())))])
    return PointCells(corner, per_length, counts, firsts.astype(np.int64), member[order].astype(np.int64))


def no_cells(n: int) -> PointCells:
    """A table that holds no point."""
    axes = min(n, 3)
    nothing = np.zeros(axes, dtype=np.int64)
    return PointCells(np.zeros(axes), np.ones(axes), nothing, nothing, nothing)


def owner_source(n: int) -> str:
    """``owner_of``: the owner of the last point whose ball holds (v0, v1, …), −1 if none does."""
    names = ", ".join(f"v{i}" for i in range(n))
    square = " + ".join(f"(v{i} - points[j, {i}]) * (v{i} - points[j, {i}])" for i in range(n))
    find = "".join(
        f"""
    u = (v{i} - corner[{i}]) * per_length[{i}]
    if not (u >= 0.0 and u < counts[{i}]):  # NaN too
        return -1.0
    cell = cell * counts[{i}] + int(u)"""
        for i in range(min(n, 3))
    )
    return f"""

@njit(error_model="numpy", fastmath={{"contract"}})
def owner_of({names}, points, owners, radii, corner, per_length, counts, firsts, members):
    cell = 0{find}
    for place in range(firsts[cell + 1] - 1, firsts[cell] - 1, -1):
        j = members[place]
        if {square} <= radii[j]:
            return owners[j]
    return -1.0
"""
