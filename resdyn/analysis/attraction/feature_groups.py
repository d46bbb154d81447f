r"""Groups of points that lie densely together: which orbits have the same features.

Density-based grouping ([ester1996]_): a point with at least m points within the radius r, itself included, is a *core*
point; cores within r of each other belong together; other points within r of a core join the nearest one; the rest
belongs to no group. The outcome depends on the set of points only, not on their order.

As r grows, groups merge at the edges of the minimum spanning tree of the mutual reachability distance
:math:`\max(d_m(a), d_m(b), \|a - b\|)`, with d_m the distance to the m-th nearest point, itself included. The default
radius is in the widest gap between the lengths of these edges, on a logarithmic scale.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate

Array = NDArray[Any]

# the default radius looks at so many points; its matrix of distances takes 32 MB
_SAMPLE = 2000
# a gap must span this factor to divide groups; the gaps within one cloud of points are narrower
_FACTOR = 2.0
# lengths below this share of the largest are rounding: differences of features that are the same
_ROUNDING = 1e-9


def group_by_features(features: Any, *, radius: float | None = None, least: int | None = None) -> NDArray[np.int64]:
    r"""Labels of groups of points that lie densely together, from 0; −1 for points in no group.

    Parameters
    ----------
    features : array, shape (M, k)
        One row per point. Features of different units should be scaled first. Rows that are not finite belong to no
        group.
    radius : float, optional
        r. By default the geometric mean of the ends of the widest gap between the lengths at which groups merge, among
        the lengths from the median of d_m on; one group, if that gap is narrower than a factor of two. From at most
        2000 of the rows.
    least : int, optional
        m, the points within r that make a core point, itself included. By default M/20, but at least 2 and at most 10.

    Returns
    -------
    int array, shape (M,)
        Groups are numbered by their smallest core point in lexicographic order of the features, so that the same point
        has the same label in whatever order the rows come.

    Raises
    ------
    TypeError, ValueError
        For features that are no matrix of real numbers.
    """
    points = validate.real_array(features, "features", finite=False, nan=True)
    if points.ndim != 2:
        raise ValueError(f"features has shape {points.shape}; give one row of features per point, shape (M, k).")
    labels = np.full(len(points), -1, dtype=np.int64)
    finite = np.isfinite(points).all(axis=1)
    if not finite.any() or not points.shape[1]:
        labels[finite] = 0
        return labels
    # one row per distinct point, in lexicographic order: nothing below knows the order of the rows
    distinct, inverse, counts = np.unique(points[finite], axis=0, return_inverse=True, return_counts=True)
    needed = int(np.clip(finite.sum() // 20, 2, 10)) if least is None else validate.count(least, "least", least=1)
    # a power of two: exact, and neither squares nor sparse graphs then lose small distances
    unit = 2.0 ** (np.frexp(float(np.abs(distinct).max()))[1] - 1)
    distinct = distinct.astype(float) / unit
    given = None if radius is None else validate.nonnegative(radius, "radius") / unit
    reach = default_radius(distinct, counts, needed) if given is None else given
    labels[finite] = _grouped(distinct, counts, reach, needed)[inverse.reshape(-1)]
    return labels


def default_radius(distinct: Array, counts: NDArray[np.int64], least: int) -> float:
    """The radius in the widest gap, for distinct points in lexicographic order and how often each occurs."""
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial.distance import pdist, squareform

    chosen = np.unique(np.linspace(0, len(distinct) - 1, min(len(distinct), _SAMPLE)).round().astype(np.int64))
    points, weights = distinct[chosen].astype(float), counts[chosen]
    if len(points) == 1:
        return 0.0
    distances = squareform(pdist(points))
    # in units in which no edge that matters is short: SciPy's graphs take lengths below about 1e-8 for no edge
    unit = _ROUNDING * float(distances.max())
    distances = distances / unit
    core = _core_distances(distances, weights, least)
    reachable = np.maximum(distances, np.maximum(core[:, None], core[None, :]))
    floor = 1.0
    np.fill_diagonal(reachable, 0.0)
    # zeros would be no edges
    edges = np.maximum(minimum_spanning_tree(np.where(reachable > 0, np.maximum(reachable, floor), 0.0)).data, floor)
    finite = edges[np.isfinite(edges)]
    if not finite.size:
        return unit * float(distances.max())
    # a radius below the median of the core distances would leave most points out
    lengths = np.unique(np.append(finite, np.clip(np.median(core), floor, finite.max())))
    lengths = lengths[lengths >= min(max(float(np.median(core)), floor), float(lengths[-1]))]
    ratios = lengths[1:] / lengths[:-1]
    if not ratios.size or ratios.max() < _FACTOR:
        return unit * float(lengths[-1])
    widest = int(np.argmax(ratios))
    return unit * float(np.sqrt(lengths[widest] * lengths[widest + 1]))


def _core_distances(distances: Array, weights: NDArray[np.int64], least: int) -> Array:
    """The distance of each point to its m-th nearest, copies counted; infinite where there are fewer."""
    order = np.argsort(distances, axis=1, kind="stable")
    reached = np.cumsum(weights[order], axis=1) >= least
    first = reached.argmax(axis=1)
    rows = np.arange(len(distances))
    return np.where(reached.any(axis=1), distances[rows, order[rows, first]], np.inf)


def _grouped(points: Array, counts: NDArray[np.int64], radius: float, least: int) -> NDArray[np.int64]:
    """Labels of distinct points in lexicographic order."""
    from scipy.spatial import cKDTree

    core = _is_core(points, counts, radius, least)
    labels = np.full(len(points), -1, dtype=np.int64)
    if not core.any():
        return labels
    cores = points[core]
    found = _connected(cores, radius)
    labels[core] = found
    rest = np.flatnonzero(~core)
    if rest.size:
        tree = cKDTree(cores)
        distance = np.asarray(tree.query(points[rest])[0])
        near = distance <= radius
        for row, away in zip(rest[near], distance[near], strict=True):
            # cores at the same distance: the first in lexicographic order
            labels[row] = found[min(tree.query_ball_point(points[row], away * (1 + 1e-12)))]
    return labels


def _is_core(points: Array, counts: NDArray[np.int64], radius: float, least: int) -> NDArray[np.bool_]:
    from scipy.spatial import cKDTree

    # every distinct point counts once at least, so that the nearest so many decide
    k = min(least, len(points))
    distances, places = cKDTree(points).query(points, k=k)
    near = distances.reshape(len(points), k) <= radius
    return np.asarray((near * counts[places.reshape(len(points), k)]).sum(axis=1) >= least)


def _connected(cores: Array, radius: float) -> NDArray[np.int64]:
    """Components of the graph of cores within the radius, numbered by their first member.

    All points of a cube of diagonal r are within r of each other, so that only pairs of cubes are looked at: the pairs
    of points of a tight group would fill the memory.
    """
    from scipy.spatial import cKDTree

    if radius == 0:
        return np.arange(len(cores))
    side = radius / np.sqrt(cores.shape[1]) * (1 - 1e-9)
    cubes, cube_of = np.unique(np.floor((cores - cores.min(axis=0)) / side), axis=0, return_inverse=True)
    cube_of = cube_of.reshape(-1)
    order = np.argsort(cube_of, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(cube_of))[:-1])
    parent = list(range(len(cubes)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    # the centres of two cubes with points within r are at most r + r apart
    pairs = cKDTree(cubes * side).query_pairs(2 * radius * (1 + 1e-6), output_type="ndarray")
    trees: dict[int, Any] = {}
    for i, j in pairs:
        a, b = root(int(i)), root(int(j))
        if a == b:
            continue
        small, large = (i, j) if len(members[i]) < len(members[j]) else (j, i)
        if large not in trees:
            trees[large] = cKDTree(cores[members[large]])
        if (trees[large].query(cores[members[small]])[0] <= radius).any():
            parent[max(a, b)] = min(a, b)
    components = np.array([root(i) for i in range(len(cubes))])[cube_of]
    first = np.full(len(cubes), len(cores))
    np.minimum.at(first, components, np.arange(len(cores)))
    return np.searchsorted(np.sort(first[first < len(cores)]), first[components])
