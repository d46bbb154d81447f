"""Closed orbits as sets of states: each once, wherever it starts.

Nothing here has a size of its own: what is the same is told from how well each orbit is known, ``known`` (n,), in the
units of its states.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def shortest_periods(orbits: Array, known: Array) -> Array:
    """The least q that divides p with x_{k+q} = x_k, for orbits (n, p, d) known to ``known`` (n,)."""
    n, p = orbits.shape[:2]
    least = np.full(n, p)
    for q in (q for q in range(p - 1, 0, -1) if p % q == 0):
        apart = np.abs(np.roll(orbits, -q, axis=1) - orbits).max(axis=(1, 2), initial=0.0)
        least[apart <= 2 * known] = q
    return least


def distinct(orbits: Array, known: Array) -> tuple[Array, Array]:
    """The index of the best known member of each group of orbits that are the same cycle, and each orbit's group."""
    n, d = len(orbits), orbits.shape[-1]
    group = np.full(n, -1)
    best: list[int] = []
    if not n:
        return np.empty(0, dtype=np.int64), group
    # thousands of searches end at few cycles: a mean over the orbit parts most of them, the orbits decide the rest
    direction = _direction(d)
    seen = orbits @ direction
    mean = seen.mean(axis=1)
    reach = 2 * known * float(np.abs(direction).sum()) + 8 * np.finfo(float).eps * np.abs(seen).max(axis=1)
    aligned = _rolled(orbits, np.argmin(seen, axis=1))
    for run in _runs(mean - reach, mean + reach):
        left = run[np.argsort(known[run], kind="stable")]
        while left.size:
            chosen = left[0]
            same = _same(aligned[left], aligned[chosen], 2 * (known[left] + known[chosen]))
            same[0] = True
            group[left[same]] = len(best)
            best.append(int(chosen))
            left = left[~same]
    return np.array(best, dtype=np.int64), group


def _direction(d: int) -> Array:
    return np.asarray(np.cos(1.0 + np.sqrt(2.0) * np.arange(d)) / np.sqrt(d))


def _rolled(orbits: Array, begin: Array) -> Array:
    p = orbits.shape[1]
    return np.asarray(np.take_along_axis(orbits, ((np.arange(p) + begin[:, None]) % p)[..., None], axis=1))


def _runs(low: Array, high: Array) -> list[Array]:
    """Indices of intervals [low, high] that overlap, directly or by others between."""
    order = np.argsort(low, kind="stable")
    farthest = np.maximum.accumulate(high[order])
    return np.split(order, 1 + np.flatnonzero(low[order][1:] > farthest[:-1]))


def _same(orbits: Array, other: Array, within: Array) -> Array:
    """Whether each orbit is ``other``, begun anywhere."""
    same = (np.abs(orbits - other) <= within[:, None, None]).all(axis=(1, 2))
    # where an orbit begins is ambiguous if two of its states look alike along one direction
    for shift in range(1, len(other)):
        rest = np.flatnonzero(~same)
        if not rest.size:
            break
        away = np.abs(orbits[rest] - np.roll(other, -shift, axis=0))
        same[rest] = (away <= within[rest, None, None]).all(axis=(1, 2))
    return np.asarray(same)


def grouped(rows: Array, within: Array) -> tuple[Array, Array]:
    """The first of each group of rows that agree to the larger of their tolerances, and each row's group."""
    best: list[int] = []
    group = np.empty(len(rows), dtype=np.int64)
    for i, row in enumerate(rows):
        match = [g for g, j in enumerate(best) if (np.abs(row - rows[j]) <= np.maximum(within[i], within[j])).all()]
        group[i] = match[0] if match else len(best)
        if not match:
            best.append(i)
    return np.array(best, dtype=np.int64), group


def started_alike(orbits: Array) -> Array:
    """Each orbit begun at its least state (by the first coordinate, then the next)."""
    out = np.empty_like(orbits)
    for i, orbit in enumerate(orbits):
        extent = np.ptp(orbit, axis=0).max(initial=0.0)
        # coordinates that agree to this are the same, so that the next one decides
        rounded = np.round((orbit - orbit.min(axis=0)) / (extent or 1.0), 7)
        begin = np.lexsort(rounded.T[::-1])[0]
        out[i] = np.roll(orbit, -begin, axis=0)
    return out


def in_order(orbits: Array) -> Array:
    """The order of orbits by their first states."""
    if not orbits.size:
        return np.arange(0)
    size = np.abs(orbits).max()
    return np.lexsort(np.round(orbits.reshape(len(orbits), -1)[:, :16] / (size or 1.0), 8).T[::-1])
