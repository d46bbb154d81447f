r"""Attractors over a parameter, each followed by an identity of its own.

For each value of the parameter attractors are looked for from the same random states, and from the attractors of the
value before. They are matched to those by the least sum of distances, so that an attractor keeps its number as it moves
([datseris2023]_): no equation is continued, and attractors of any kind take part.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._results import Result, dataset, unit_dims
from resdyn._types import System
from resdyn.analysis.attraction.basins import classified
from resdyn.analysis.attraction.grids import checked_region
from resdyn.analysis.attraction.orbits import Orbits, make_orbits
from resdyn.analysis.attraction.result import BOUNDARY, DIVERGED, LONG_TRANSIENT, Attractors, wilson_interval
from resdyn.analysis.attraction.search import answer, discover, make_judge

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

__all__ = ["GlobalContinuation", "global_continuation"]

MATCHES = ("centroid", "hausdorff", "distance")
EVENTS = ("appears", "splits", "merges", "vanishes")
# no other attractor takes part; it is not known which
NOWHERE, UNDECIDED = -1, -2
# random states beside each attractor of the value before, and how far beside, relative to the region
_SEEDS, _BESIDE = 8, 1e-3


@dataclass(frozen=True, eq=False, repr=False)
class GlobalContinuation(Result):
    r"""The attractors of a family of systems, matched over its parameter; what :func:`global_continuation` returns.

    Attributes
    ----------
    values : array, shape (n_values,)
        The parameter, in the order in which it was gone through.
    fractions : array, shape (n_values, n_ids)
        The share of the random states that go to each attractor; NaN where it was not found.
    fraction_intervals : array, shape (n_values, n_ids, 2)
        Wilson's 95 % intervals of the fractions [wilson1927]_.
    centres : array, shape (n_values, n_ids, \*shape)
        The mean of the points of each attractor, of y for logistic residuals; NaN where it was not found.
    undecided, boundary, diverged : arrays, shape (n_values,)
        The shares of random states that did not settle, that came to a repeller, and that left all bounds.
    points : array, shape (Σ lengths, \*shape)
        The points of all attractors of all values, one after the other; of y for logistic residuals.
    lengths, periods, value_index, id_of : int arrays, shape (n_found,)
        How many points, which period, which value and which identity each of them has.
    kinds : tuple of str
        The kind of each, as in :class:`resdyn.Attractor`.
    event_index, event_ids, event_others : int arrays, shape (n_events,)
        The value at which something happens first, to which identity, and which other one takes part. −1: none; where
        an attractor vanishes, most states beside it leave all bounds. −2: where it vanishes, most did not settle.
    event_words : tuple of str
        "appears"; "splits", where a new attractor lies within the threshold of where another one was (the other);
        "merges", where an attractor is no more and most states beside it go to another one (the other) within the
        threshold; "vanishes", where they go to one beyond it, leave all bounds, or do not settle.
    match : str
        "centroid", "hausdorff" or "distance".
    threshold : float
        Attractors further apart are not taken for the same.
    n_starts : int
    name : str
        Of the first system.
    dynamics : str
        "map" or "flow".
    """

    values: Array
    fractions: Array
    fraction_intervals: Array
    centres: Array
    undecided: Array
    boundary: Array
    diverged: Array
    points: Array
    lengths: NDArray[np.int64]
    periods: NDArray[np.int64]
    value_index: NDArray[np.int64]
    id_of: NDArray[np.int64]
    kinds: tuple[str, ...]
    event_index: NDArray[np.int64]
    event_ids: NDArray[np.int64]
    event_others: NDArray[np.int64]
    event_words: tuple[str, ...]
    match: str
    threshold: float
    n_starts: int
    name: str
    dynamics: str

    @property
    def ids(self) -> NDArray[np.int64]:
        """The identities, 0, 1, …, in the order in which they appeared; none is used twice."""
        return np.arange(self.fractions.shape[1])

    @property
    def present(self) -> NDArray[np.bool_]:
        """Whether each attractor was found, shape (n_values, n_ids)."""
        return np.asarray(~np.isnan(self.fractions))

    @property
    def events(self) -> tuple[tuple[float, str, int, int], ...]:
        """What happens: (value at which it was seen first, word, identity, other identity, −1 or −2)."""
        places = zip(self.event_index, self.event_words, self.event_ids, self.event_others, strict=True)
        return tuple((float(self.values[i]), word, int(one), int(other)) for i, word, one, other in places)

    def attractors(self, value_index: int) -> dict[int, Array]:
        r"""The points of each attractor at one value, by identity, (n, \*shape) each."""
        index = range(len(self.values))[value_index]
        pieces = np.split(self.points, np.cumsum(self.lengths)[:-1]) if len(self.lengths) else []
        return {int(self.id_of[i]): pieces[i] for i in np.flatnonzero(self.value_index == index)}

    def kind(self, value_index: int, identity: int) -> str | None:
        """The kind of one attractor at one value; None where it was not found."""
        index = range(len(self.values))[value_index]
        found = np.flatnonzero((self.value_index == index) & (self.id_of == identity))
        return self.kinds[found[0]] if found.size else None

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over values and identities."""
        both = ["value", "id"]
        return dataset(
            {
                "fractions": (both, self.fractions),
                "fraction_intervals": ([*both, "end"], self.fraction_intervals),
                "centres": ([*both, *unit_dims(self.centres.ndim - 2)], self.centres),
                "undecided": (["value"], self.undecided),
                "boundary": (["value"], self.boundary),
                "diverged": (["value"], self.diverged),
            },
            coords={"value": self.values, "id": self.ids, "end": ["low", "high"]},
            attrs={"system": self.name, "dynamics": self.dynamics, "match": self.match, "threshold": self.threshold},
        )

    def __repr__(self) -> str:
        n = len(self.ids)
        head = (
            f"GlobalContinuation of {self.name!r} ({self.dynamics}) over {len(self.values)} values from "
            f"{self.values[0]:g} to {self.values[-1]:g}: {n} attractor{'s' * (n != 1)}, {self.n_starts} random states "
            "at each value."
        )
        told = [_told(*event) for event in self.events[:8]]
        more = f"\n  … and {len(self.event_words) - 8} more" if len(self.event_words) > 8 else ""
        return head + "".join(f"\n  {line}" for line in told) + more

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]] | None:
        rows = []
        for identity in self.ids[:12]:
            seen = np.flatnonzero(self.present[:, identity])
            shares = self.fractions[seen, identity]
            rows.append(
                (
                    int(identity),
                    f"{self.values[seen[0]]:.4g} to {self.values[seen[-1]]:.4g}",
                    ", ".join(dict.fromkeys(self.kinds[i] for i in np.flatnonzero(self.id_of == identity))),
                    f"{shares.min():.3g} to {shares.max():.3g}",
                )
            )
        return ("id", "found at", "kind", "fraction"), rows


def _told(value: float, word: str, identity: int, other: int) -> str:
    if word == "vanishes" and other < 0:
        left = "and its states leave all bounds" if other == NOWHERE else "and its states settle nowhere in time"
        return f"{value:.6g}: {identity} vanishes {left}"
    role = {"splits": "beside", "merges": "with", "vanishes": "and leaves its states to", "appears": ""}[word]
    return f"{value:.6g}: {identity} {word}" + (f" {role} {other}" if role and other >= 0 else "")


@dataclass(frozen=True)
class _Options:
    """What is the same at all values."""

    dynamics: str
    coordinates: str
    flow: dict[str, Any]
    depth: int
    every: int
    cells: int
    drawn: Array
    extent: float
    beside: Array


@dataclass(frozen=True)
class _Stage:
    """One value: its attractors, as points between which distances are taken, and what became of the states."""

    orbits: Orbits
    found: Attractors
    sets: list[Array]
    shares: Array
    outcomes: Array


def global_continuation(
    family: Callable[[float], System],
    values: Any,
    region: Any,
    *,
    dynamics: str = "map",
    match: str = "centroid",
    threshold: float | None = None,
    n_starts: int = 256,
    coordinates: str = "x",
    cells: int = 128,
    depth: int = 10_000,
    every: int | None = None,
    rng: np.random.Generator | int = 0,
    threads: int | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    method: str | None = None,
) -> GlobalContinuation:
    r"""The attractors of a family of systems over a parameter, found anew at each value and matched.

    At each value :func:`resdyn.attractors` searches from the same random states of the region and from states beside
    the attractors of the value before, so that one with a small basin is not lost. The matching minimises
    :math:`\sum d(A_i, B_{\pi(i)})` over assignments π of the old attractors A to the new ones B with
    d below the threshold [datseris2023]_.

    Parameters
    ----------
    family : callable
        ``family(value)`` is the System at this value; all have one shape.
    values : array, shape (n_values,)
        In the order in which to go: with hysteresis, up and down may differ.
    region : (low, high)
        The box of the random states; each a number, or an array of the state's shape.
    dynamics : "map" or "flow"
    match : "centroid", "hausdorff" or "distance"
        d: between the means of the points; the largest distance of a point of one to the other, either way; or the
        smallest between points.
    threshold : float, optional
        By default a quarter of the longest side of the region. An attractor that moves by more from one value to the
        next is taken for another one.
    n_starts : int
        Random states, the same at every value, so that fractions change only because basins do.
    coordinates : "x" or "y"
        Of logistic residuals, "y" says that the region is one of residuals in [0, 1].
    cells, depth, every, rng, threads, rtol, atol, method
        As in :func:`resdyn.attractors`.

    Returns
    -------
    GlobalContinuation
        The answer does not depend on the number of threads.

    Raises
    ------
    TypeError, ValueError
        For values that are no finite numbers, a family that does not return systems of one shape, and what
        :func:`resdyn.attractors` refuses.
    """
    places = validate.real_array(values, "values")
    if places.ndim != 1 or not places.size:
        raise ValueError(f"values must be numbers in a row, shape (n,) with n ≥ 1, but has shape {places.shape}.")
    if not callable(family):
        raise TypeError(f"family must be a function from a value of the parameter to a System, but is {family!r}.")
    distance = _DISTANCES[validate.choice(match, "match", MATCHES)]
    flow = {"rtol": rtol, "atol": atol, "method": method}
    first = family(float(places[0]))
    orbits = make_orbits(first, dynamics, "a global continuation", threads=threads, **flow)
    low, high = checked_region(region, first)
    generator = validate.generator(rng)
    count = validate.count(n_starts, "n_starts", least=1)
    drawn = generator.uniform(low, high, size=(count, orbits.size))
    if validate.choice(coordinates, "coordinates", ("x", "y")) == "y" and not orbits.in_residuals:
        raise ValueError(f"coordinates='y' is for logistic residuals, but {first.name!r} is none; use 'x'.")
    extent = 1.0 if orbits.in_residuals else float((high - low).max())
    options = _Options(
        dynamics=orbits.dynamics,
        coordinates=coordinates,
        flow={**flow, "threads": threads},
        depth=validate.count(depth, "depth", least=1),
        every=validate.count(every, "every", least=1) if every is not None else 1 if orbits.is_map else 8,
        cells=validate.count(cells, "cells", least=4),
        drawn=drawn,
        extent=extent,
        beside=_BESIDE * extent * generator.standard_normal((_SEEDS, orbits.size)),
    )
    reach = extent / 4 if threshold is None else validate.positive(threshold, "threshold")
    stages: list[_Stage] = []
    named: list[list[int]] = []
    events: list[tuple[int, str, int, int]] = []
    fresh = 0
    for index, value in enumerate(places):
        system = first if index == 0 else family(float(value))
        if getattr(system, "shape", None) != first.shape:
            raise ValueError(
                f"family({float(value)!r}) has states of shape {getattr(system, 'shape', None)}, but "
                f"family({float(places[0])!r}) of shape {first.shape}; a family keeps one shape."
            )
        before = stages[-1] if stages else None
        stage = _stage(system, options, before)
        pairs = {} if before is None else _assigned(before.sets, stage.sets, distance, reach)
        names = [-1] * len(stage.sets)
        for old, new in pairs.items():
            names[new] = named[-1][old]
        for new in range(len(names)):
            if names[new] < 0:
                names[new], fresh = fresh, fresh + 1
                beside = _nearest(stage.sets[new], before.sets, distance, reach) if before else None
                word = "appears" if beside is None else "splits"
                events.append((index, word, names[new], -1 if beside is None else named[-1][beside]))
        if before is not None:
            for old in sorted(set(range(len(before.sets))) - set(pairs)):
                new = _destination(stage, before.sets[old], options)
                close = new >= 0 and distance(before.sets[old], stage.sets[new]) <= reach
                events.append(
                    (index, "merges" if close else "vanishes", named[-1][old], names[new] if new >= 0 else new)
                )
        stages.append(stage)
        named.append(names)
    return _result(places, stages, named, events, fresh, first, options, match, reach)


def _stage(system: System, options: _Options, before: _Stage | None) -> _Stage:
    """The attractors at one value."""
    orbits = make_orbits(system, options.dynamics, "a global continuation", **options.flow)
    drawn = orbits.state(options.drawn) if options.coordinates == "y" else options.drawn
    pool = drawn
    if before is not None and before.sets:
        seeds = np.concatenate([_beside(points, options.beside) for points in before.sets])
        pool = np.concatenate([orbits.state(_inside(orbits, seeds)), drawn])
    judge = make_judge(orbits, options.extent, options.cells, options.depth)
    catalogue, radius, _ = discover(judge, pool, options.every, None)
    found = answer(
        catalogue, radius, orbits, every=options.every, depth=options.depth, method="recurrences", n_starts=len(pool)
    )
    labels, outcomes, _ = classified(found, drawn.reshape(-1, *system.shape), threads=orbits.threads)
    shown = (found.y if found.y.size else found.points).reshape(-1, orbits.size)
    sets = np.split(shown, np.cumsum(found.lengths)[:-1]) if len(found) else []
    return _Stage(orbits, found, sets, np.bincount(labels[labels >= 0], minlength=len(sets)), outcomes)


def _beside(points: Array, offsets: Array) -> Array:
    """States beside points that are spread over the attractor."""
    chosen = np.linspace(0, len(points) - 1, len(offsets)).astype(int)
    return np.asarray(points[chosen] + offsets)


def _inside(orbits: Orbits, seeds: Array) -> Array:
    """Of residuals, away from 0 and 1, where a unit that is saturated stays."""
    return np.clip(seeds, 1e-9, 1 - 1e-9) if orbits.in_residuals else seeds


def _centroid(a: Array, b: Array) -> float:
    return float(np.linalg.norm(a.mean(axis=0) - b.mean(axis=0)))


def _least(a: Array, b: Array) -> float:
    from scipy.spatial import cKDTree

    return float(cKDTree(a).query(b)[0].min())


def _hausdorff(a: Array, b: Array) -> float:
    from scipy.spatial import cKDTree

    return max(float(cKDTree(a).query(b)[0].max()), float(cKDTree(b).query(a)[0].max()))


_DISTANCES: dict[str, Callable[[Array, Array], float]] = {
    "centroid": _centroid,
    "hausdorff": _hausdorff,
    "distance": _least,
}


def _assigned(
    old: list[Array], new: list[Array], distance: Callable[[Array, Array], float], reach: float
) -> dict[int, int]:
    """Which new attractor each old one has become."""
    from scipy.optimize import linear_sum_assignment

    if not old or not new:
        return {}
    costs = np.array([[distance(a, b) for b in new] for a in old])
    # what is too far apart costs more than any matching of what is not
    forbidden = costs > reach
    costs = np.where(forbidden, reach * (1 + min(costs.shape)), costs)
    rows, columns = linear_sum_assignment(costs)
    return {int(a): int(b) for a, b in zip(rows, columns, strict=True) if not forbidden[a, b]}


def _nearest(points: Array, others: list[Array], distance: Callable[[Array, Array], float], reach: float) -> int | None:
    """The nearest of others, if it is within reach."""
    costs = [distance(points, other) for other in others]
    return int(np.argmin(costs)) if costs and min(costs) <= reach else None


def _destination(stage: _Stage, points: Array, options: _Options) -> int:
    """Where most states beside an attractor go that is no more; ``NOWHERE`` if they diverge, else ``UNDECIDED``."""
    orbits = stage.orbits
    seeds = orbits.state(_inside(orbits, _beside(points, options.beside)))
    shape = stage.found.system.shape
    labels, outcomes, _ = classified(stage.found, seeds.reshape(-1, *shape), threads=orbits.threads)
    if 2 * (outcomes == DIVERGED).sum() > len(labels):
        return NOWHERE
    open_ = outcomes == LONG_TRANSIENT
    if stage.sets and open_.any():
        # what creeps like a power of time may not have settled, but comes nearer and nearer to one attractor
        half = orbits.run(seeds[open_], max(1, options.depth // 2))
        away = [_distances_to(stage.sets, orbits.view(x)) for x in (half, orbits.run(half, max(1, options.depth // 2)))]
        nearest = away[1].argmin(axis=1)
        rows = np.arange(len(nearest))
        comes = away[1][rows, nearest] < 0.9 * away[0][rows, nearest]
        labels[np.flatnonzero(open_)[comes]] = nearest[comes]
    settled = labels[labels >= 0]
    return int(np.bincount(settled).argmax()) if 2 * len(settled) > len(labels) else UNDECIDED


def _distances_to(sets: list[Array], x: Array) -> Array:
    """Of states (M, d) to each set, (M, n)."""
    from scipy.spatial import cKDTree

    known = np.where(np.isfinite(x), x, np.finfo(float).max ** 0.25)
    return np.stack([cKDTree(points).query(known)[0] for points in sets], axis=-1)


def _result(
    values: Array,
    stages: list[_Stage],
    named: list[list[int]],
    events: list[tuple[int, str, int, int]],
    n_ids: int,
    first: System,
    options: _Options,
    match: str,
    reach: float,
) -> GlobalContinuation:
    n, count = len(values), len(options.drawn)
    fractions = np.full((n, n_ids), np.nan)
    intervals = np.full((n, n_ids, 2), np.nan)
    centres = np.full((n, n_ids, options.drawn.shape[1]), np.nan)
    for i, (stage, names) in enumerate(zip(stages, named, strict=True)):
        if names:
            fractions[i, names] = stage.shares / count
            intervals[i, names] = wilson_interval(stage.shares, count)
            centres[i, names] = [points.mean(axis=0) for points in stage.sets]
    outcomes = np.array([stage.outcomes for stage in stages])
    boundary, diverged = ((outcomes == code).mean(axis=1) for code in (BOUNDARY, DIVERGED))
    settled = np.nansum(fractions, axis=1)
    sets = [points for stage in stages for points in stage.sets]
    return GlobalContinuation(
        values=values.astype(np.float64),
        fractions=fractions,
        fraction_intervals=intervals,
        centres=centres.reshape(n, n_ids, *first.shape),
        undecided=np.clip(1.0 - settled - boundary - diverged, 0.0, 1.0).round(12),
        boundary=boundary,
        diverged=diverged,
        points=np.concatenate([np.empty((0, options.drawn.shape[1])), *sets]).reshape(-1, *first.shape),
        lengths=np.array([len(points) for points in sets], dtype=np.int64),
        periods=np.array([period for stage in stages for period in stage.found.periods], dtype=np.int64),
        value_index=np.repeat(np.arange(n), [len(names) for names in named]),
        id_of=np.array([name for names in named for name in names], dtype=np.int64),
        kinds=tuple(kind for stage in stages for kind in stage.found.kinds),
        event_index=np.array([event[0] for event in events], dtype=np.int64),
        event_ids=np.array([event[2] for event in events], dtype=np.int64),
        event_others=np.array([event[3] for event in events], dtype=np.int64),
        event_words=tuple(event[1] for event in events),
        match=match,
        threshold=reach,
        n_starts=count,
        name=first.name,
        dynamics=options.dynamics,
    )
