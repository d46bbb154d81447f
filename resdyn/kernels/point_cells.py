"""Which of many points a state is near to: cells of a grid, each with the points whose balls reach into it.

The grid covers the balls along the first coordinates, three at most, and only limits which points are compared; the
comparison is that of all coordinates. So the answer is that of a loop over all points, of several owners the last.
Where a ball holds a whole cell, points of the same or of earlier owners need not be asked there.
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


def point_cells(points: Array, owners: Array, radii: Array, *, fine: bool) -> PointCells:
    """The table for ``points`` (P, n), P ≥ 1, each with a ball of radius ``radii`` (P,) around it.

    With ``fine`` cells it takes longer to make, and less to use.
    """
    axes = min(points.shape[1], 3)
    centres = points[:, :axes].astype(np.float64)
    # a little wider than the balls, so that no rounding of a border loses a point
    reach = radii.astype(np.float64) * (1 + 1e-6) + 1e-15 * np.abs(centres).max() + 1e-300
    low, high = centres - reach[:, None], centres + reach[:, None]
    corner = low.min(axis=0)
    parts = 2 if fine else 1
    per_length = 1.0 / np.maximum((high.max(axis=0) - corner) / _MOST_CELLS[axes], reach.max() / parts)
    first, last = (np.floor((end - corner) * per_length).astype(np.int64) for end in (low, high))
    counts = last.max(axis=0) + 1
    cells, members, whole = [], [], []
    for offset in product(*(range(int(width) + 1) for width in (last - first).max(axis=0))):
        place = first + np.array(offset, dtype=np.int64)
        reached = np.flatnonzero((place <= last).all(axis=1))
        place = place[reached]
        sides = np.abs(corner + np.stack([place, place + 1]) / per_length - centres[reached]).max(axis=0)
        cells.append(np.ravel_multi_index(tuple(place.T), tuple(counts)))
        members.append(reached)
        # narrower than the ball by as much as the reach is wider
        whole.append((sides**2).sum(axis=1) <= (radii[reached] * (1 - 1e-6)) ** 2)
    cell, member, held = np.concatenate(cells), np.concatenate(members), np.concatenate(whole)
    if points.shape[1] > axes:
        held[:] = False
    turn = np.cumsum(np.diff(owners, prepend=owners[0]) != 0)[member]
    order = np.lexsort((member, held, turn, cell))
    cell, member, held = cell[order], member[order], held[order]
    # what comes before the last ball that holds its cell is never asked
    places = np.arange(len(cell))
    until = np.zeros(int(counts.prod()), dtype=np.int64)
    np.maximum.at(until, cell[held], places[held])
    kept = places >= until[cell]
    firsts = np.concatenate([[0], np.cumsum(np.bincount(cell[kept], minlength=len(until)))])
    return PointCells(corner, per_length, counts, firsts.astype(np.int64), member[kept].astype(np.int64))


def no_cells(n: int) -> PointCells:
    """A table that holds no point."""
    axes = min(n, 3)
    nothing = np.zeros(axes, dtype=np.int64)
    return PointCells(np.zeros(axes), np.ones(axes), nothing, nothing, nothing)


def owner_lines(n: int, owner: str) -> list[str]:
    """Statements that set ``owner`` to that of the last point whose ball holds (v0, v1, …), to −1 if none does.

    They stand in the text of the loop: a call with so many arrays costs more than what it does.
    """
    axes = range(min(n, 3))
    cell = "int(c0)"
    for i in axes[1:]:
        cell = f"({cell}) * counts[{i}] + int(c{i})"
    square = " + ".join(f"(v{i} - points[j, {i}]) * (v{i} - points[j, {i}])" for i in range(n))
    return [
        f"{owner} = -1.0",
        *(f"c{i} = (v{i} - corner[{i}]) * per_length[{i}]" for i in axes),
        "if " + " and ".join(f"c{i} >= 0.0 and c{i} < counts[{i}]" for i in axes) + ":  # not for NaN",
        f"    cell = {cell}",
        "    for place in range(firsts[cell + 1] - 1, firsts[cell] - 1, -1):",
        "        j = members[place]",
        f"        if {square} <= radii[j]:",
        f"            {owner} = owners[j]",
        "            break",
    ]
