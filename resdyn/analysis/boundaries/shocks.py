r"""The smallest displacement that takes an attractor out of its basin.

.. math:: s_k = \min \{\|\delta\| : x \in A_k,\ x + \delta \notin B_k\}

Only witnesses can be computed: a displaced state that ends elsewhere bounds the minimum from above. Where the other
basin has a thin finger between the states looked at, the true minimum is smaller ([halekotte2020]_).
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._results import Result, dataset, unit_dims
from resdyn.analysis.boundaries.labelled import (
    UNDECIDED,
    ClassifiedGrid,
    Classifier,
    classifier,
    counted,
    counted_cells,
    grid,
    in_residuals,
    places_at,
    states_at,
)
from resdyn.analysis.boundaries.segments import bisect_boundary

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

# points of the attractor to start from, and pairs of them with grid points that are refined
_MOST_POINTS, _CANDIDATES = 512, 16
# directions per round of the local search, and rounds without success until it ends
_DIRECTIONS, _ROUNDS, _LAST_SPREAD = 64, 200, 1e-5
# a direction is kept if it shortens the shock by more than this
_GAIN = 1e-9
# a state so near to the boundary that it reaches no attractor: how much further the basin behind is looked for
_BEHIND = np.geomspace(1e-9, 1e-4, 11)


@dataclass(frozen=True, eq=False, repr=False)
class MinimalShock(Result):
    r"""The smallest shock found out of a basin; what :func:`minimal_shock` returns.

    Attributes
    ----------
    shock : array, shape (\*shape,)
        The displacement, of the state, or of the residuals y if the grid is in these; NaN if no state of another basin
        is known.
    size : float
        Its norm: an upper bound of the smallest one, with :attr:`x` as witness; infinite if none is known.
    origin : array, shape (\*shape,)
        The point of the attractor that is displaced.
    to : int
        Where it leads: a label, −1 for none of the attractors.
    grid_size : float
        The distance to the nearest grid point of another basin, before refinement.
    spacing : float
        The largest distance between neighbouring grid points: a hint at what the grid cannot see. No state closer than
        ``grid_size`` to the attractor is known to leave, but between grid points it may.
    label : int
        The basin that is left.
    norm : float
        2, 1 or infinity.
    n_classified : int
        States labelled for the refinement.
    """

    shock: Array
    size: float
    origin: Array
    to: int
    grid_size: float
    spacing: float
    label: int
    norm: float
    n_classified: int

    @property
    def x(self) -> Array:
        """The displaced state, which is known to leave the basin."""
        return self.origin + self.shock

    def __repr__(self) -> str:
        head = f"MinimalShock out of basin {self.label}: "
        if not np.isfinite(self.size):
            return f"{head}none known, no grid point has another label."
        to = f"basin {self.to}" if self.to >= 0 else "none of the attractors"
        shown = np.array2string(np.ravel(self.shock)[:6], precision=4, suppress_small=True)
        shown += ", …" if self.shock.size > 6 else ""
        names = {2.0: "length", 1.0: "1-norm", np.inf: "largest entry"}
        refined = f", refined by {self.n_classified} states" if self.n_classified else ", to the nearest grid point"
        return f"{head}{names[self.norm]} at most {_rounded_up(self.size)}, by {shown} to {to}{refined}."

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset``."""
        state = unit_dims(self.shock.ndim)
        names = ("to", "grid_size", "spacing", "label", "norm", "n_classified")
        return dataset(
            {"shock": (state, self.shock), "origin": (state, self.origin), "size": ([], self.size)},
            attrs={name: getattr(self, name) for name in names},
        )


def minimal_shock(
    basins: ClassifiedGrid,
    k: int,
    *,
    norm: float = 2,
    refine: bool = True,
    unlabelled: str = "class",
    rng: np.random.Generator | int = 0,
) -> MinimalShock:
    r"""The smallest displacement found that takes attractor k to another basin.

    From all points of the attractor the nearest grid points of another basin are found; the segments to them are
    bisected, and directions around the shortest shock are searched for shorter ones, with a spread that halves where
    none is found. Only states of the grid's region are searched at first, but the refinement may leave it.

    Parameters
    ----------
    basins : Basins
        With ``labels``, ``axes``, ``attractors``, and for the refinement ``classify``.
    k : int
        The label of the basin.
    norm : 1, 2 or infinity
    refine : bool
        False stops at the nearest grid point.
    unlabelled : "class" or "ignore"
        Whether a state that reaches no attractor (−1) has left the basin. Of :class:`resdyn.Basins` only states that
        diverged count: those on the boundary itself, or not settled, are not known to have left.
    rng : numpy Generator or seed
        For the directions.

    Returns
    -------
    MinimalShock
        An upper bound, whose witness is stored; no other basin known is an outcome (infinite).

    Raises
    ------
    TypeError, ValueError
        For a label that no attractor has, another norm, or basins that cannot classify.
    """
    labelled = grid(basins, needs_axes=True)
    label = validate.count(k, "k")
    if label >= len(basins.attractors):
        raise ValueError(f"k = {label}, but there are {len(basins.attractors)} attractors, numbered from 0.")
    order = _norm(norm)
    generator = validate.generator(rng)
    assert labelled.axes is not None
    points = _points(basins, label)
    shape = points.shape[1:]
    points = points.reshape(len(points), -1)
    spacing = max(float(np.abs(np.diff(axis)).max(initial=0.0)) for axis in labelled.axes)
    other = (labelled.labels != label) & counted_cells(basins, labelled.labels, unlabelled)
    if not other.any():
        nothing = np.full(shape, np.nan)
        return MinimalShock(nothing, np.inf, points[0].reshape(shape), -1, np.inf, spacing, label, order, 0)
    coordinates = np.stack([axis[i] for axis, i in zip(labelled.axes, np.nonzero(other), strict=True)], axis=1)
    away = places_at(basins, coordinates).reshape(len(coordinates), -1)
    starts, ends, sizes = _nearest(points[:: -(-len(points) // _MOST_POINTS)], away, order)
    to = int(labelled.labels[other][np.flatnonzero((away == ends[0]).all(axis=1))[0]])
    origin, target, grid_size, used = starts[0], ends[0], float(sizes[0]), 0
    if refine:
        search = _Search(
            _classifier(basins, label), label, lambda labels: counted(labels, unlabelled), points, shape, order
        )
        origin, target, refined_to = search.best(starts, ends, generator)
        to = to if refined_to is None else refined_to
        used = search.used
    shock = target - origin
    return MinimalShock(
        shock=shock.reshape(shape),
        size=float(np.linalg.norm(shock, order)),
        origin=origin.reshape(shape),
        to=to,
        grid_size=grid_size,
        spacing=spacing,
        label=label,
        norm=order,
        n_classified=used,
    )


def _rounded_up(size: float) -> str:
    """Six digits that are no less than the number: a bound must not become one that does not hold."""
    return f"{float(Context(prec=6, rounding=ROUND_CEILING).create_decimal(size)):.6g}"


def _points(basins: ClassifiedGrid, label: int) -> Array:
    attractor = basins.attractors[label]
    points = np.asarray(attractor.y if in_residuals(basins) else attractor.points, dtype=float)
    if not np.isfinite(points).all():
        raise ValueError(
            f"attractor {label} lies at infinity, where shocks have no size; take basins over a grid of residuals "
            '(basins_of_attraction(..., coordinates="y")).'
        )
    return points


def _classifier(basins: ClassifiedGrid, label: int) -> Classifier:
    """Labels of points of the space that the grid lies in; what is outside the cube of residuals cannot be reached."""
    classify = classifier(basins, "refinement of a shock")

    def labels(places: Array) -> NDArray[np.int64]:
        found = classify(states_at(basins, places))
        if in_residuals(basins):
            outside = ((places < 0) | (places > 1)).reshape(len(places), -1).any(axis=1)
            found = np.where(outside, label, found)
        return np.asarray(found)

    return Classifier(labels, classify.knows_outcomes)


def _norm(norm: Any) -> float:
    # an array has no one truth value, and True is no norm
    known = isinstance(norm, (int, float, np.integer, np.floating)) and not isinstance(norm, bool)
    if not known or norm not in (1, 2, np.inf):
        raise ValueError(f"norm must be 1, 2 or infinity, but is {norm!r}.")
    return float(norm)


def _nearest(points: Array, away: Array, order: float) -> tuple[Array, Array, Array]:
    """Pairs of a point of the attractor and a grid point of another basin, the closest first."""
    from scipy.spatial import cKDTree

    count = min(_CANDIDATES, len(away))
    distances, places = cKDTree(away).query(points, k=count, p=order)
    distances, places = distances.reshape(len(points), count), places.reshape(len(points), count)
    order_of = np.argsort(distances, axis=None, kind="stable")[:_CANDIDATES]
    rows, columns = np.unravel_index(order_of, distances.shape)
    return points[rows], away[places[rows, columns]], distances[rows, columns]


class _Search:
    """Bisection along segments, and a search for better directions."""

    def __init__(
        self,
        classify: Classifier,
        label: int,
        counts: Callable[[Array], Array],
        points: Array,
        shape: tuple[int, ...],
        order: float,
    ) -> None:
        from scipy.spatial import cKDTree

        self.points, self.nearest = points, cKDTree(points)
        self.classify, self.label, self.counts = classify, label, counts
        self.shape, self.order, self.used = shape, order, 0

    def _has_left(self, x: Array) -> NDArray[np.int64]:
        """1 where a state is known to be in another basin, 0 where it is in this one, else undecided."""
        self.used += len(x)
        labels = self._labels(x)
        elsewhere = np.where(self.counts(labels), 1, UNDECIDED)
        return np.where(labels == self.label, 0, elsewhere).astype(np.int64)

    def _labels(self, x: Array) -> NDArray[np.int64]:
        return self.classify(x.reshape(-1, *self.shape))

    def _shortened(self, starts: Array, ends: Array) -> tuple[Array, Array]:
        """The segment that first leaves the basin, cut there: its start and the first state known to have left."""
        scale = float(np.linalg.norm(ends[0] - starts[0]))
        tolerance = 1e-10 * max(scale, np.finfo(float).tiny)
        met = bisect_boundary(Classifier(self._has_left, knows_outcomes=True), starts, ends, tolerance=tolerance)
        sizes = np.linalg.norm(met.outside - starts, self.order, axis=1)
        sizes[np.isnan(sizes)] = np.inf
        best = int(np.argmin(sizes))
        if not np.isfinite(sizes[best]):
            return starts[best], met.outside[best]
        # the same end may be closer to another point of the attractor
        closest = self.points[int(self.nearest.query(met.outside[best], p=self.order)[1])]
        nearer = np.linalg.norm(met.outside[best] - closest, self.order) < sizes[best]
        return closest if nearer else starts[best], met.outside[best]

    def best(self, starts: Array, ends: Array, rng: np.random.Generator) -> tuple[Array, Array, int | None]:
        """The start and the end of the shortest shock found, and the label of its end; None for what the grid says."""
        origin, target = self._shortened(starts, ends)
        if not np.isfinite(target).all():  # the classifier and the grid disagree: keep what the grid says
            origin, target = starts[0], ends[0]
        # in one dimension there are no directions around a direction
        spread = 1.0 if len(target) > 1 else 0.0
        for _ in range(_ROUNDS):
            if spread < _LAST_SPREAD:
                break
            size = float(np.linalg.norm(target - origin, self.order))
            direction = (target - origin) / np.linalg.norm(target - origin)
            tried = direction + spread * rng.standard_normal((_DIRECTIONS, len(direction))) / np.sqrt(len(direction))
            tried = np.concatenate([tried, self._extreme(direction)])
            reach = size * (1 - _GAIN) / np.linalg.norm(tried, self.order, axis=1, keepdims=True)
            begins = np.tile(origin, (len(tried), 1))
            # half of them from points of the attractor that are about as close as the best one to its end
            near = self.nearest.query_ball_point(target, (1 + spread) * size, p=self.order)
            begins[: _DIRECTIONS // 2] = self.points[rng.choice(near, _DIRECTIONS // 2)]
            trials = begins + reach * tried
            left = self._has_left(trials) == 1
            if not left.any():
                spread /= 2
                continue
            begin, end = self._shortened(begins[left], trials[left])
            if np.isfinite(end).all():
                origin, target = begin, end
            else:
                spread /= 2
        return origin, *self._named(origin, target)

    def _extreme(self, direction: Array) -> Array:
        """Where the ball of the norm has a corner, the shortest shock may point there, and chance hardly does."""
        if self.order == 1:
            without = np.where(np.eye(len(direction), dtype=bool), 0.0, direction)
            axes = np.eye(len(direction)) * np.sign(direction)
            found = np.concatenate([without, axes])
        elif self.order == np.inf:
            corner = np.where(direction < 0, -1.0, 1.0)
            found = np.concatenate([corner[None], corner * (1 - 2 * np.eye(len(direction)))])
        else:
            return np.empty((0, len(direction)))
        return found[found.any(axis=1)]

    def _named(self, origin: Array, target: Array) -> tuple[Array, int | None]:
        """The end, and where it leads; where −1 may mean the boundary itself, what is just behind it."""
        if self.classify.knows_outcomes:
            label = int(self._labels(target[None])[0])
            return target, None if label == UNDECIDED else label
        behind = origin + (1 + np.append(0.0, _BEHIND))[:, None] * (target - origin)
        labels = self._labels(behind)
        reached = np.flatnonzero((labels >= 0) & (labels != self.label))
        place = int(reached[0]) if labels[0] == -1 and reached.size else 0
        return behind[place], int(labels[place])
