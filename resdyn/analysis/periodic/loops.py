"""Closed orbits as sets of states: each once, wherever it starts."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def shortest_periods(orbits: Array, known: Array) -> Array:
    """The least q that divides p with x_{k+q} = x_k, for orbits (n, p, d) known to ``known`` (n,)."""
    n, p = orbits.shape[:2]
    least = np.full(n, p)
    size = 1.0 + np.abs(orbits).max(axis=(1, 2), initial=0.0)
    for q in (q for q in range(p - 1, 0, -1) if p % q == 0):
        apart = np.abs(np.roll(orbits, -q, axis=1) - orbits).max(axis=(1, 2), initial=0.0)
        least[apart <= 2 * known * size] = q
    return least


def distinct(signatures: Array, known: Array) -> tuple[Array, Array]:
    """The index of one member of each group of rows that agree within ``known`` (relative), and each row's group."""
    n = len(signatures)
    if not n:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    scaled = signatures / (known * (1.0 + np.abs(signatures).max(axis=1)))[:, None]
    # thousands of searches end at one cycle: first by rounding, then the few that fell on both sides of a rounding
    _, first, inverse = np.unique(np.round(scaled), axis=0, return_index=True, return_inverse=True)
    pairs = cKDTree(scaled[first]).query_pairs(4.0, p=np.inf, output_type="ndarray")
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(first), len(first)))
    total, group = connected_components(links, directed=False)
    best = np.full(total, -1, dtype=np.int64)
    # the best known member stands for the group
    for place in np.argsort(-known[first], kind="stable"):
        best[group[place]] = first[place]
    return best, group[inverse.ravel()]


def signatures_of(orbits: Array) -> Array:
    """Rows that are the same wherever an orbit starts: its states seen along one direction, in order of size."""
    d = orbits.shape[-1]
    direction = np.cos(1.0 + np.sqrt(2.0) * np.arange(d)) / np.sqrt(d)
    return np.sort(orbits @ direction, axis=1)


def started_alike(orbits: Array) -> Array:
    """Each orbit begun at its least state (by the first coordinate, then the next)."""
    out = np.empty_like(orbits)
    for i, orbit in enumerate(orbits):
        rounded = np.round(orbit / (1.0 + np.abs(orbit).max(initial=0.0)), 7)
        begin = np.lexsort(rounded.T[::-1])[0]
        out[i] = np.roll(orbit, -begin, axis=0)
    return out


def in_order(orbits: Array) -> Array:
    """The order of orbits by their first states."""
    if not orbits.size:
        return np.arange(0)
    return np.lexsort(np.round(orbits.reshape(len(orbits), -1)[:, :16], 8).T[::-1])
