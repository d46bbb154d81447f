"""Who acts on whom, as a graph with signs: components, an orthant of cooperation, or a cycle that forbids it."""

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import block_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

Array = NDArray[Any]


def strong_components(acts: Array) -> Array:
    """The strongly connected component of each unit, numbered so that no component acts on an earlier one.

    Parameters
    ----------
    acts : bool array, shape (N, N)
        ``acts[i, j]``: unit j acts on unit i.
    """
    count, found = connected_components(csr_array(acts), directed=True, connection="strong")
    if count == 1:
        return np.zeros(len(acts), dtype=np.int64)
    receiver, actor = (found[index] for index in np.nonzero(acts))
    between = receiver != actor
    edges = np.unique(np.stack([actor[between], receiver[between]]), axis=1)
    return _topological_rank(count, edges, first_member=np.unique(found, return_index=True)[1])[found]


def _topological_rank(count: int, edges: Array, first_member: Array) -> Array:
    """The rank of each node of an acyclic graph; the order of ``first_member`` decides where the edges do not."""
    waiting = np.bincount(edges[1], minlength=count)
    starts = np.searchsorted(edges[0], np.arange(count + 1))  # np.unique has sorted the edges by their tail
    ready = [(int(first_member[node]), node) for node in np.flatnonzero(waiting == 0).tolist()]
    heapq.heapify(ready)
    rank = np.empty(count, dtype=np.int64)
    for position in range(count):
        _, node = heapq.heappop(ready)
        rank[node] = position
        heads = edges[1, starts[node] : starts[node + 1]]
        waiting[heads] -= 1
        for head in heads[waiting[heads] == 0].tolist():
            heapq.heappush(ready, (int(first_member[head]), head))
    return rank


def orthant_or_cycle(sign: Array, mixed: Array) -> tuple[Array | None, tuple[int, ...] | None]:
    """Signs s with s_i s_j sign_ij ≥ 0 for all i ≠ j, or a shortest cycle that no choice of s can mend.

    Exactly one of both is None [harary1953]_. The first unit of each connected part has s = +1.

    Parameters
    ----------
    sign : int array, shape (N, N)
        −1, 0, 1.
    mixed : bool array, shape (N, N)
        Entries without a definite sign: each forbids an orthant.
    """
    conflict = np.triu((sign * sign.T < 0) | mixed | mixed.T, 1)
    if conflict.any():
        i, j = np.unravel_index(int(conflict.argmax()), conflict.shape)
        return None, (int(i), int(j))
    edges = np.where(sign != 0, sign, sign.T).astype(np.int8)
    np.fill_diagonal(edges, 0)
    cover = _double_cover(edges)
    sheets = connected_components(cover, directed=False)[1].reshape(2, -1)
    if (sheets[0] == sheets[1]).any():
        return None, _frustrated_triangle(edges) or _shortest_frustrated_cycle(edges, cover)
    orthant = np.where(sheets[0] < sheets[1], 1, -1)
    _, first, part = np.unique(sheets.min(axis=0), return_index=True, return_inverse=True)
    return (orthant * orthant[first][part]).astype(np.int8), None


def _double_cover(edges: Array) -> csr_array:
    """Two copies of every unit: help stays on a sheet, hindrance changes it."""
    help_, hinder = csr_array(edges > 0), csr_array(edges < 0)
    return block_array([[help_, hinder], [hinder, help_]], format="csr")


def _frustrated_triangle(edges: Array) -> tuple[int, int, int] | None:
    """Dense graphs nearly always have one, and two matrix products find it."""
    signed = edges.astype(np.float32)  # counts of walks up to 2²⁴ are exact
    present = np.abs(signed)
    bad = (edges != 0) & (present @ present != signed * (signed @ signed))
    if not bad.any():
        return None
    i, j = np.unravel_index(int(bad.argmax()), bad.shape)
    third = np.flatnonzero(edges[i] * edges[j] * edges[i, j] < 0)[0]
    return int(i), int(j), int(third)


def _shortest_frustrated_cycle(edges: Array, cover: csr_array) -> tuple[int, ...]:
    """The shortest walk from a unit to its copy on the other sheet, over all units where one may begin.

    A cycle with an odd number of hindrances must use an edge that a colouring of a spanning forest violates, so only
    ends of such edges need be tried; and the shortest closed walk of that kind is a cycle.
    """
    n = len(edges)
    colour = _forest_colours(edges)
    violated = np.triu(colour[:, None] * colour * edges < 0)
    best: list[int] | None = None
    for source in np.flatnonzero(violated.any(axis=1)).tolist():
        _, previous = breadth_first_order(cover, source, directed=True, return_predecessors=True)
        walk = [source + n]
        while walk[-1] != source:
            walk.append(int(previous[walk[-1]]))
        if best is None or len(walk) < len(best):
            best = walk
        if len(best) == 5:  # four edges: triangles were excluded before
            break
    assert best is not None
    return tuple(int(node) % n for node in best[:0:-1])


def _forest_colours(edges: Array) -> Array:
    """Signs that fulfil every edge of a spanning forest."""
    graph = csr_array(edges != 0)
    colour = np.zeros(len(edges), dtype=np.int8)
    while not colour.all():
        root = int((colour == 0).argmax())
        order, previous = breadth_first_order(graph, root, directed=False, return_predecessors=True)
        colour[root] = 1
        for node in order[1:].tolist():
            colour[node] = colour[previous[node]] * edges[node, previous[node]]
    return colour
