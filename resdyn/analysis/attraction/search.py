"""``attractors``: sources are judged one by one, what they end on is merged, and the rest is labelled by proximity."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._types import System
from resdyn.analysis.attraction.candidates import ATTRACTS, NEUTRAL, REPELS, SAME, Candidate, Judge
from resdyn.analysis.attraction.grids import checked_region, keys, least
from resdyn.analysis.attraction.orbits import Orbits, make_orbits
from resdyn.analysis.attraction.result import Attractors
from resdyn.analysis.attraction.settling import BOUNDARY, NONE, Targets, settle
from resdyn.analysis.attraction.unstable import newton_points
from resdyn.iterated import IteratedMap

Array = NDArray[Any]

MOST = 64
"""More attractors than this are not listed."""
_SOURCES = 64
_FIRST = 2048
_ROUNDS = 8
# so many rounds in which nothing new came up are enough
_IDLE_ROUNDS = 2
# relative to the size of the region: as near as this to an unstable point no float tells on which side a state lies
_TOUCH = 1e-6
_ROUNDING = 1e-12
_HALVINGS = 20
_SAMPLED_DWELL = 16
_UNSTABLE = 16
_LARGEST_NEWTON = 64


@dataclass
class Catalogue:
    """What has been found so far."""

    judge: Judge
    trials: dict[tuple[int, float], bool] = field(default_factory=dict)
    attracting: list[Candidate] = field(default_factory=list)
    repelling: list[Candidate] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    neutral: int = 0
    judged: int = 0

    def add(self, candidates: list[Candidate | None]) -> bool:
        """Whether there was anything new among them."""
        self.judged += len(candidates)
        ended = [candidate for candidate in candidates if candidate is not None]
        self.neutral += sum(candidate.verdict == NEUTRAL for candidate in ended)
        kept = [self.keep(candidate) for candidate in ended if candidate.verdict != NEUTRAL]
        return any(kept)

    def keep(self, candidate: Candidate) -> bool:
        """Whether it is new."""
        attracts = candidate.verdict == ATTRACTS
        if not attracts and (candidate.is_sampled or candidate.saturated):
            return False  # no point that an orbit could come to
        own, most = (self.attracting, MOST) if attracts else (self.repelling, _UNSTABLE)
        if len(own) >= most or any(self._same(candidate, other) for other in own):
            return False
        own.append(candidate)
        return True

    def _same(self, a: Candidate, b: Candidate) -> bool:
        if a is b:
            return True
        if a.is_sampled and b.is_sampled:
            return self.judge.are_one(a.seen, b.seen)
        if a.is_sampled or b.is_sampled:
            return False
        return bool(np.abs(a.seen - b.seen[0]).max(axis=1).min() <= 10 * SAME * self.judge.scale)

    def comes_back(self, candidate: Candidate, distance: float) -> bool:
        """Whether orbits from so near come nearer; each question is asked once."""
        key = (id(candidate), distance)
        if key not in self.trials:
            verdict = self.judge.tried(candidate.seen, distance, max(candidate.period, 1))
            self.trials[key] = verdict == ATTRACTS
        return self.trials[key]

    def settle_down(self) -> None:
        """The canonical order: by the least point, up to rounding."""

        def place(candidate: Candidate) -> tuple[float, ...]:
            rounded = np.round(candidate.seen / (SAME * self.judge.scale))
            return tuple(rounded[np.lexsort(rounded.T[::-1])[0]])

        self.attracting.sort(key=place)
        self.repelling.sort(key=place)

    def look_for_unstable(self, starts: Array) -> None:
        """Unstable fixed points and 2-cycles near which orbits may get stuck, by Newton's method."""
        orbits = self.judge.orbits
        if orbits.size > _LARGEST_NEWTON or orbits.in_residuals or not hasattr(orbits.system, "jacobian"):
            return  # no orbit comes to a saturated state in finite time
        known = np.empty((0, orbits.size))
        for period in (1, 2) if orbits.is_map else (1,):
            system: System = orbits.system if period == 1 else IteratedMap(orbits.system, period)
            known = newton_points(system, starts, self.judge.scale, self.judge.reach, known)
            for x in known:
                points = self.judge.cycle(x, period)
                if len(points) != period:
                    continue
                multipliers, verdict = self.judge.multipliers(points)
                if verdict == REPELS:
                    self.keep(Candidate(points, orbits.view(points), "unstable", period, multipliers, REPELS))


def radii(catalogue: Catalogue, distance: float | None) -> Array:
    """How near is near, for each attractor: small against the region and the gaps, and tried on every attractor."""
    found, repelling = catalogue.attracting, [candidate.seen for candidate in catalogue.repelling]
    catalogue.remarks.clear()
    sets = [candidate.seen for candidate in found]
    gaps = [_gap(i, sets) for i in range(len(found))]
    if distance is not None:
        return _given_radii(catalogue, distance, gaps)
    exact = [i for i, candidate in enumerate(found) if not candidate.is_sampled]
    free = [_gap(i, [*sets, *repelling]) for i in exact]
    chosen = min([1e-3 * catalogue.judge.scale, *(gap / 4 for gap in free)])
    for i in exact:
        before = chosen
        # halve it until orbits from its rim come back
        for _ in range(_HALVINGS):
            if catalogue.comes_back(found[i], chosen):
                break
            chosen /= 2
        else:
            chosen = before
            catalogue.remarks.append(
                f"At none of {_HALVINGS} distances did all orbits from the rim of {i} come nearer."
            )
    widest = min(free, default=np.inf) / 2
    return np.array(
        [min(c.radius, gap / 3, widest) if c.is_sampled else chosen for c, gap in zip(found, gaps, strict=True)]
    )


def _given_radii(catalogue: Catalogue, distance: float, gaps: list[float]) -> Array:
    """The distance that was asked for, where it reaches neither half way to another attractor nor to a repeller."""
    chosen = []
    for i, candidate in enumerate(catalogue.attracting):
        wanted, most = max(distance, candidate.radius), 0.49 * gaps[i]
        if not candidate.is_sampled:
            most = min(most, 0.5 * _gap(0, [candidate.seen, *(other.seen for other in catalogue.repelling)]))
        if wanted > most:
            catalogue.remarks.append(
                f"A distance of {wanted:g} around {i} reaches too far towards another attractor or an unstable point; "
                f"{most:g} is used."
            )
        chosen.append(min(wanted, most))
    return np.array(chosen)


def _touch(catalogue: Catalogue) -> float:
    """As near as this to an unstable point a state counts as on it: small against the gaps between exact sets too."""
    exact = [c.seen for c in (*catalogue.attracting, *catalogue.repelling) if not c.is_sampled]
    gaps = [_gap(i, exact) for i in range(len(exact))] if catalogue.repelling else []
    return min([_TOUCH * catalogue.judge.scale, *(gap / 4 for gap in gaps)])


def _gap(i: int, sets: list[Array]) -> float:
    """The distance from one set to all others."""
    from scipy.spatial import cKDTree

    others = [other for j, other in enumerate(sets) if j != i]
    return float(cKDTree(sets[i]).query(np.concatenate(others))[0].min()) if others else np.inf


def make_targets(
    orbits: Orbits,
    points: Array,
    owners: NDArray[np.int64],
    of_point: Array,
    unstable: Array,
    touch: float,
    dwell: int,
    every: int,
) -> Targets:
    """The points to compare with: those of attractors, then unstable ones, which count where both are near."""
    touches = np.full(len(unstable), touch)
    for i, u in enumerate(unstable):
        # inside an attractor orbits pass near an unstable point all the time: only those that are on it, to rounding
        if len(points) and (((points - u) ** 2).sum(axis=1) <= of_point**2).any():
            touches[i] = min(touch, _ROUNDING * np.abs(u).max())
    return Targets(
        points=np.concatenate([points, unstable]).reshape(-1, orbits.size),
        owners=np.concatenate([owners, np.full(len(unstable), BOUNDARY)]).astype(np.int64),
        radii=np.concatenate([of_point, touches]),
        dwell=dwell,
        every=every,
    )


def targets_of(catalogue: Catalogue, radius: Array, every: int) -> Targets:
    """The targets of what has been found."""
    orbits, found = catalogue.judge.orbits, catalogue.attracting
    empty = np.empty((0, orbits.size))
    return make_targets(
        orbits,
        np.concatenate([empty, *(candidate.seen for candidate in found)]),
        np.repeat(np.arange(len(found)), [len(candidate.seen) for candidate in found]).astype(np.int64),
        np.repeat(radius, [len(candidate.seen) for candidate in found]),
        np.concatenate([empty, *(candidate.seen for candidate in catalogue.repelling)]),
        _touch(catalogue),
        _dwell(catalogue),
        every,
    )


def _dwell(catalogue: Catalogue) -> int:
    return _SAMPLED_DWELL if any(candidate.is_sampled for candidate in catalogue.attracting) else 1


@dataclass(frozen=True, eq=False)
class Labels:
    """Where each state of a pool settled, and the targets that it was compared with."""

    targets: Targets
    owners: NDArray[np.int64]
    layers: NDArray[np.int64]


def discover(judge: Judge, x: Array, every: int, distance: float | None) -> tuple[Catalogue, Array, Labels | None]:
    """The attractors of the orbits from ``x`` (M, d), and the radius of each, in canonical order.

    Those that no known attractor explains are judged in turn, until nothing new comes up. The labels are those of x
    by the attractors known when all of x was compared with them, if it was.
    """
    keyed = keys(x)
    first = least(keyed, _FIRST)
    catalogue = Catalogue(judge.sized(x[first]))
    catalogue.look_for_unstable(x[first[:_SOURCES]])
    _explain(catalogue, x[first], keyed[first], every, distance)
    labels = _explain(catalogue, x, keyed, every, distance) if len(first) < len(x) else None
    catalogue.settle_down()
    return catalogue, radii(catalogue, distance), labels


def _explain(
    catalogue: Catalogue, x: Array, keyed: NDArray[np.uint64], every: int, distance: float | None
) -> Labels | None:
    """Judge what is not explained, states with the least keys first; returns where all settled, if that was asked."""
    judge = catalogue.judge
    left, news = np.arange(len(x)), True
    idle, labels = 0, None
    for _ in range(_ROUNDS):
        # with no attractor known, orbits would be followed to the end to learn which come to unstable points
        if news and catalogue.attracting:
            catalogue.settle_down()
            targets = targets_of(catalogue, radii(catalogue, distance), every)
            owners, layers = settle(judge.orbits, x if len(left) == len(x) else x[left], targets, judge.depth)
            if len(left) == len(x):
                labels = Labels(targets, owners, layers)
            left = left[owners == NONE]
        if not len(left) or len(catalogue.attracting) >= MOST or idle == _IDLE_ROUNDS:
            return labels
        sources = least(keyed[left], _SOURCES)
        news = catalogue.add(judge.candidates(x[left[sources]]))
        idle = 0 if news else idle + 1
        left = np.delete(left, sources)
    return labels


def answer(
    catalogue: Catalogue, radius: Array, orbits: Orbits, *, every: int, depth: int, method: str, n_starts: int
) -> Attractors:
    """What has been found, as a result."""
    found, shape = catalogue.attracting, orbits.system.shape
    empty = np.empty((0, orbits.size))
    points = np.concatenate([empty, *(candidate.points for candidate in found)])
    width = max((candidate.multipliers.size for candidate in found), default=0)
    multipliers = np.full((len(found), width), complex(np.nan, np.nan))
    for i, candidate in enumerate(found):
        multipliers[i, : candidate.multipliers.size] = candidate.multipliers
    seen = np.concatenate([empty, *(candidate.seen for candidate in found)])
    return Attractors(
        points=points.reshape(-1, *shape),
        y=seen.reshape(-1, *shape) if orbits.in_residuals else np.empty(0),
        lengths=np.array([len(candidate.points) for candidate in found], dtype=np.int64),
        periods=np.array([candidate.period for candidate in found], dtype=np.int64),
        kinds=tuple(candidate.kind for candidate in found),
        multipliers=multipliers,
        radii=radius,
        unstable=np.concatenate([empty, *(candidate.points for candidate in catalogue.repelling)]).reshape(-1, *shape),
        touch=_touch(catalogue),
        dwell=_dwell(catalogue),
        every=every,
        depth=depth,
        method=method,
        reason=_reason(catalogue, n_starts),
        system=orbits.system,
        dynamics=orbits.dynamics,
        rtol=orbits.rtol,
        atol=orbits.atol,
        solver=orbits.solver,
    )


def _reason(catalogue: Catalogue, n_starts: int) -> str:
    found = catalogue.attracting
    proved = [c for c in found if c.multipliers.size and (np.abs(c.multipliers) < 1).all()]
    words = [f"Found from {n_starts} initial states; attractors that none of them goes to are not seen."]
    if len(proved) < len(found):
        words.append(
            f"{len(found) - len(proved)} of {len(found)} are not proved by multipliers: orbits from nearby came back, "
            "or exponents say so."
        )
    if any(not c.is_sampled for c in found if c not in proved):
        words.append(
            "Where no multiplier is inside the unit circle orbits come nearer ever more slowly; if they do not settle, "
            "give a larger distance, or more depth."
        )
    if catalogue.neutral:
        words.append(
            f"{catalogue.neutral} of {catalogue.judged} orbits judged seem to end at rest or in motion in a neutral "
            "family (a continuum of fixed points or cycles, or a centre), which attracts nothing and is not listed: "
            "orbits from nearby neither came back nor left."
        )
    words.extend(catalogue.remarks)
    if len(found) >= MOST:
        words.append(f"The search stopped at {MOST} attractors; there are more, or they fill a continuum.")
    return " ".join(words)


def search_options(
    depth: Any, every: Any, distance: Any, cells: Any, is_map: bool
) -> tuple[int, int, float | None, int]:
    """Options of the search, checked."""
    return (
        validate.count(depth, "depth", least=1),
        validate.count(every, "every", least=1) if every is not None else 1 if is_map else 8,
        None if distance is None else validate.positive(distance, "distance"),
        validate.count(cells, "cells", least=4),
    )


def attractors(
    system: System,
    region: Any,
    *,
    dynamics: str = "map",
    algorithm: str = "auto",
    features: Any = None,
    n_starts: int = 512,
    cells: int = 128,
    depth: int = 10_000,
    distance: float | None = None,
    every: int | None = None,
    coordinates: str = "x",
    rng: np.random.Generator | int = 0,
    threads: int | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    method: str | None = None,
) -> Attractors:
    r"""The attractors that orbits from a region go to, without prior knowledge.

    Orbits from random states of the region are judged one by one: by whether they repeat themselves after 1, 2, …, 128
    layers (Newton's method then takes the cycle to rounding, and its multipliers decide), else by recurrence to the
    same cells of a grid and by orbits from nearby. Orbits that end on something known are not judged again.
    The answer does not depend on the number of threads.

    Parameters
    ----------
    system : System
        Autonomous.
    region : (low, high)
        The box of initial states; each a number, or an array of ``system.shape``. Attractors may lie outside.
    dynamics : "map" or "flow"
    algorithm : "auto", "recurrences" or "features"
        "auto" is recurrences, unless ``features`` are given.
    features : callable, optional
        ``features(x)`` for "features": from states over the last layers, (n, M, \*shape), to (M, k) numbers; orbits
        with nearby features are taken to share an attractor.
    n_starts : int
        Initial states.
    cells : int
        Cells along the longest side of the region, for what does not repeat itself.
    depth : int
        The most layers an orbit is followed.
    distance : float, optional
        An orbit this near to an attractor has settled. By default a thousandth of the region or a quarter of the
        smallest gap between attractors, halved until orbits that begin at this distance come nearer (16 of them, in
        random directions), 20 times at most, else it stays as it was and ``reason`` says so. Sampled attractors have
        the resolution of their sample, at most a third of the gap. What is given is not tested, but cut where it
        reaches half way to another attractor or to a known unstable point, and ``reason`` says so.
    every : int, optional
        Layers between two tests; 1 for maps, 8 for flows.
    coordinates : "x" or "y"
        Of logistic residuals, "y" says that the region is one of residuals in [0, 1].
    rng : numpy Generator or seed
    threads : int, optional
    rtol, atol, method
        Of a flow, as in :func:`resdyn.simulate`.

    Returns
    -------
    Attractors
        In the lexicographic order of their least points.

    Raises
    ------
    TypeError, ValueError
        For a layer-wise system, wrong shapes or names; the message says what was needed.

    Notes
    -----
    The recurrences on a grid are those of [datseris2022]_, here judged orbit by orbit, so that neither the order nor
    the threads matter. Multipliers prove a fixed point or cycle stable; of other sets the evidence is empirical. They
    are named by Lyapunov exponents over at most 65536 layers, and "unknown" where these do not decide; sampled sets
    that nothing tells apart at the resolution of their samples count as one.
    """
    orbits = make_orbits(system, dynamics, "attractors", rtol=rtol, atol=atol, method=method, threads=threads)
    word = chosen_algorithm(algorithm, features, ("recurrences", "features"))
    most, spacing, near, n_cells = search_options(depth, every, distance, cells, orbits.is_map)
    validate.choice(coordinates, "coordinates", ("x", "y"))
    low, high = checked_region(region, system)
    generator = validate.generator(rng)
    drawn = generator.uniform(low, high, size=(validate.count(n_starts, "n_starts", least=1), orbits.size))
    extent = float((high - low).max())
    if coordinates == "y":
        if not orbits.in_residuals:
            raise ValueError(f"coordinates='y' is for logistic residuals, but {system.name!r} is none; use 'x'.")
        drawn = orbits.state(drawn)
    judge = make_judge(orbits, extent, n_cells, most)
    if word == "features":
        from resdyn.analysis.attraction.features import attractors_by_features

        return attractors_by_features(judge, drawn, features, every=spacing, distance=near)[0]
    catalogue, radius, _ = discover(judge, drawn, spacing, near)
    return answer(catalogue, radius, orbits, every=spacing, depth=most, method=word, n_starts=len(drawn))


def make_judge(orbits: Orbits, extent: float, cells: int, depth: int) -> Judge:
    """With the scale of a region of this extent, or of the unit cube of residuals."""
    scale = 1.0 if orbits.in_residuals else extent
    return Judge(orbits, scale=scale, cell=scale / cells, depth=depth, reach=scale)


def chosen_algorithm(algorithm: Any, features: Any, allowed: tuple[str, ...]) -> str:
    """The algorithm by name; features say it by themselves."""
    word = validate.choice(algorithm, "algorithm", ("auto", *allowed))
    if word == "features" and features is None:
        raise ValueError(
            "algorithm 'features' needs features, a function from states (n, M, *shape) to (M, k) numbers."
        )
    if features is not None and not callable(features):
        raise TypeError(
            f"features must be a function from states (n, M, *shape) to (M, k) numbers, but is {features!r}."
        )
    if features is not None and word not in ("auto", "features"):
        raise ValueError(f"features belong to algorithm 'features', but algorithm is {word!r}; leave one of them out.")
    return allowed[0] if word == "auto" and features is None else "features" if word == "auto" else word
