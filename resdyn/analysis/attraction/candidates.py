r"""What single orbits end on: each is judged alone, so that neither their order nor the threads matter.

After a number of layers T, T' > T, … an orbit is compared with itself p layers later, for all p up to a limit. Where it
repeats, Newton's method takes the cycle to rounding and its multipliers say whether it attracts. What does not
repeat in the end has its states of a long stretch compared with those of the stretch before: visits to the same
cells are recurrence, new cells a long transient. Where multipliers do not decide, orbits from nearby do.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.attraction.orbits import Orbits
from resdyn.analysis.attraction.recurrent_sets import are_one_set, motion, sample_gap, turns_per_layer
from resdyn.analysis.equilibria import newton, stability
from resdyn.iterated import IteratedMap
from resdyn.tangent import block_jacobian

Array = NDArray[Any]

ATTRACTS, REPELS, NEUTRAL = 1, 0, -1

# relative to the size of the region: an orbit repeats itself, two descriptions are of the same set
REPEATS, SAME = 1e-6, 1e-6
_LONGEST_PERIOD = 128
_SAMPLE = 2048
_LARGEST_DENSE = 512
_DIRECTIONS = 16
# orbits and layers that tell how large the sets are that orbits settle on; a region larger by this counts as so large
_SCOUTS, _SPAN, _LARGE_REGION = 8, 512, 100.0
# a unit of logistic residuals this near to 0 or 1, and on its way there, is taken for saturated, then tested
_SATURATED = 0.02


@dataclass(frozen=True, eq=False)
class Candidate:
    """A set that an orbit ended on; ``points`` are states (n, d), ``seen`` where distances are taken."""

    points: Array
    seen: Array
    kind: str
    period: int
    multipliers: Array
    verdict: int
    radius: float = 0.0
    """How near a sampled set an orbit on it stays to the sample; 0 for exact points."""

    @property
    def is_sampled(self) -> bool:
        """Whether the points are a sample, not the whole set."""
        return self.radius > 0

    @property
    def saturated(self) -> bool:
        """Whether units are at ±∞."""
        return not bool(np.isfinite(self.points).all())


@dataclass(frozen=True, eq=False)
class Judge:
    """Judges orbits; distances are compared with ``scale`` and ``cell``, and ``reach`` is the size of the region."""

    orbits: Orbits
    scale: float
    cell: float
    depth: int
    reach: float

    def sized(self, starts: Array) -> "Judge":
        """With a scale that suits what the orbits from ``starts`` settle on, if the region is far larger."""
        orbits, span = self.orbits, max(1, min(self.depth // 2, _SPAN))
        if orbits.in_residuals:
            return self
        stretch = orbits.sample(starts[:_SCOUTS], 2 * span)[span:]
        stretch = stretch[:, ~orbits.lost(stretch[-1])]
        if not stretch.size:
            return self
        earlier, later = (float(np.nanmax(np.abs(half), initial=0.0)) for half in np.array_split(stretch, 2))
        # orbits that still shrink, be it like 1/t, have no size of their own
        if not later > 0.99 * earlier:
            return self
        return replace(self, scale=min(self.scale, _LARGE_REGION * later))

    def candidates(self, starts: Array) -> list[Candidate | None]:
        """What the orbit from each of ``starts`` (M, d) ends on; None: lost, or not settled within ``depth`` layers."""
        found: list[Candidate | None] = [None] * len(starts)
        left, x, layer = np.arange(len(starts)), np.array(starts), 0
        for stop in (*(stage for stage in (64, 512, 4096) if stage < self.depth), self.depth):
            x = self.orbits.run(x, stop - layer)
            layer = stop
            whole = ~self.orbits.lost(x)
            left, x = left[whole], x[whole]
            settled = self._repeating(x, found)
            for i, candidate in zip(left, settled, strict=True):
                found[i] = candidate
            open_ = np.array([candidate is None for candidate in settled], dtype=bool)
            left, x = left[open_], x[open_]
            if not len(left):
                return found
        for i, candidate in zip(left, self._recurrent(x), strict=True):
            found[i] = candidate
        return found

    # --- fixed points and cycles ------------------------------------------------------------------

    def _repeating(self, x: Array, known: list[Candidate | None]) -> list[Candidate | None]:
        longest = _LONGEST_PERIOD if self.orbits.is_map else 1
        tail = self.orbits.sample(x, 2 * longest)
        seen = self.orbits.view(tail.reshape(-1, self.orbits.size)).reshape(tail.shape)
        catalogue = [candidate for candidate in known if candidate is not None]
        found: list[Candidate | None] = []
        for m in range(len(x)):
            period = _first_period(seen[:, m], longest, REPEATS * self.scale)
            candidate = None
            if period:
                candidate = next((c for c in catalogue if self._is_on(c, seen[-1, m], period)), None)
                if candidate is None:
                    candidate = self._periodic(tail[:, m], seen[:, m], period)
                    if candidate is not None:
                        catalogue.append(candidate)
            found.append(candidate)
        return found

    def _is_on(self, candidate: Candidate, seen: Array, period: int) -> bool:
        near = np.abs(candidate.seen - seen).max(axis=1).min() <= 10 * SAME * self.scale
        return bool(near) and candidate.period in (period, 1)

    def _periodic(self, tail: Array, seen: Array, period: int) -> Candidate | None:
        """The fixed point or cycle that an orbit repeats, or None if Newton's method finds none there."""
        if self.orbits.in_residuals:
            face = self._on_a_face(tail, seen)
            if face is not None:
                return face
        system: Any = self.orbits.system
        refined = newton.refine(system if period == 1 else IteratedMap(system, period), tail[-1].reshape(system.shape))
        if refined is None or not np.isfinite(refined).all():
            return None
        points = self.cycle(refined.ravel(), period)
        where = self.orbits.view(points)
        if np.abs(where - seen[-1]).max(axis=1).min() > 1e-2 * self.scale:
            return None  # Newton's method went to another one
        small = np.ptp(where, axis=0).max() <= 1e-2 * self.scale
        if period > 1 and small and self.multipliers(points)[1] == NEUTRAL:
            # at a flip the fixed point is a multiple root of the second iterate, and known to few digits only
            point = newton.refine(system, tail[-1].reshape(system.shape))
            if point is not None and np.abs(point.ravel() - tail[-1]).max() <= 1e-2 * self.scale:
                fixed = self.described(point.reshape(1, -1), self.orbits.view(point.reshape(1, -1)))
                if fixed.verdict != REPELS:
                    return fixed
        return self.described(points, where)

    def cycle(self, x: Array, period: int) -> Array:
        """The points of a cycle in their order, from the least on, over its prime period."""
        system = self.orbits.system
        points = IteratedMap(system, period).orbit(x.reshape(system.shape))[:-1].reshape(period, -1)
        for divisor in range(1, period):
            if period % divisor == 0 and np.abs(points[divisor] - points[0]).max() <= 1e-9 * self.scale:
                points = points[:divisor]
                break
        # least up to rounding, so that the beginning does not depend on the last digit
        rounded = np.round(points / (SAME * self.scale))
        return np.roll(points, -int(np.lexsort(rounded.T[::-1])[0]), axis=0)

    def described(self, points: Array, seen: Array) -> Candidate:
        """A cycle, given by its points, with its multipliers and what they say."""
        period = len(points)
        kind = "fixed point" if period == 1 else "cycle"
        multipliers, verdict = self.multipliers(points)
        if verdict == NEUTRAL:
            verdict = self.tried(seen, 1e-3 * self.scale, period)
        return Candidate(points, seen, kind, period, multipliers, verdict)

    def multipliers(self, points: Array) -> tuple[Array, int]:
        """Multipliers of a cycle (n, d), or exp(hλ) at a fixed point of the flow, and what they say."""
        system, d = self.orbits.system, self.orbits.size
        if d > _LARGEST_DENSE:
            return np.empty(0), NEUTRAL
        product = np.eye(d)
        for x in points:
            product = np.asarray(block_jacobian(system, 0.0, x.reshape(system.shape)) @ product)
        if self.orbits.is_map:
            values, errors = (array[0] for array in stability.eigenvalues_with_errors(product[None]))
            return values, int(stability.verdict(np.abs(values) - 1.0, errors))
        A = (product - np.eye(d)) / system.step
        values, errors = (array[0] for array in stability.eigenvalues_with_errors(A[None]))
        return np.exp(system.step * values), int(stability.verdict(values.real, errors))

    def _on_a_face(self, tail: Array, seen: Array) -> Candidate | None:
        """The equilibrium of logistic residuals with saturated units that an orbit tends to."""
        y, before = seen[-1], seen[0]
        zero = (y < _SATURATED) & (y <= before)
        one = (y > 1 - _SATURATED) & (y >= before)
        if not (zero | one).any():
            return None
        W = np.asarray(self.orbits.system.W)  # type: ignore[attr-defined]
        inner = ~(zero | one)
        corner = np.where(one, 1.0, 0.0)
        if inner.any():
            block = W[np.ix_(inner, inner)]
            try:
                corner[inner] = np.linalg.solve(block, -(W[inner] @ corner))
            except np.linalg.LinAlgError:
                corner[inner] = y[inner]  # a continuum of equilibria: the one that the orbit came to
        if not ((corner >= 0) & (corner <= 1)).all() or np.abs(corner - y).max() > 2 * _SATURATED:
            return None
        # on its way there: nearer later, unless it has arrived
        later = self.orbits.view(self.orbits.run(tail[-1:], max(64, self.depth // 4)))[0]
        now, then = float(np.abs(y - corner).max()), float(np.abs(later - corner).max())
        if not (then < 0.9 * now or then <= 1e-9):
            return None
        rates = W @ corner
        outward = np.where(one, -rates, rates)[~inner]
        slopes = corner[inner] * (1 - corner[inner])
        inside = np.linalg.eigvals(slopes[:, None] * W[np.ix_(inner, inner)]) if inner.any() else np.empty(0)
        step = self.orbits.system.step
        grown = 1 + step * inside if self.orbits.is_map else np.exp(step * inside)
        multipliers = np.concatenate([np.exp(step * outward), grown])
        # a rate that is rounding of zero decides nothing
        margin = 1e-12 * (1 + step * np.abs(W).sum())
        growth = np.concatenate([step * outward, np.abs(grown) - 1])
        verdict = int(stability.verdict(growth, np.full(len(growth), margin)))
        if verdict == NEUTRAL:
            verdict = self.tried(corner[None], 0.05, 1)
        point = self.orbits.state(corner[None])
        return Candidate(point, corner[None], "fixed point", 1, multipliers.astype(complex), verdict)

    # --- what does not repeat ----------------------------------------------------------------------

    def _recurrent(self, x: Array) -> list[Candidate | None]:
        """Sets that orbits fill again and again, from their states after all transients."""
        if not len(x):
            return []
        tail = self.stretch(x)
        found: list[Candidate | None] = []
        for m in range(len(x)):
            orbit = tail[:, m]
            whole = not self.orbits.lost(orbit[-1:])[0]
            found.append(self._recurrent_set(orbit, _sampled(found)) if whole else None)
        return found

    @property
    def spacing(self) -> int:
        """Layers between two states of a sample."""
        # a flow moves little in one layer; a map that skips layers may see one piece of its attractor only
        return 1 if self.orbits.is_map else max(1, self.depth // _SAMPLE)

    def stretch(self, x: Array) -> Array:
        """The states (n, M, d) of long stretches of orbits."""
        return self.orbits.sample(x, _SAMPLE * self.spacing, every=self.spacing)

    def _recurrent_set(self, orbit: Array, known: list[Candidate]) -> Candidate | None:
        seen = self.orbits.view(orbit)
        if self.orbits.is_map:
            period = _first_period(seen, _SAMPLE // 2, REPEATS * self.scale)
            if period:
                return self._periodic(orbit, seen, period)
        for candidate in known:
            if self.are_one(seen, candidate.seen):
                return candidate
        if _fresh_cells(seen, self.cell) > 0.05:
            return None
        if self.orbits.size > _LARGEST_DENSE:
            return self.sampled(orbit, "unknown")
        told = motion(self.orbits, orbit[len(orbit) // 2], turns_per_layer(seen, self.spacing))
        steady = told.kind in ("quasiperiodic", "limit cycle")
        if told.kind == "transient" or (steady and _drift(seen) > 0.03):
            return None
        if told.conserves:
            return self.sampled(orbit, told.kind, NEUTRAL)
        return self.sampled(orbit, told.kind, ATTRACTS if steady and told.contracts else None)

    def are_one(self, a: Array, b: Array) -> bool:
        """Whether nothing tells two samples apart, but for rounding and the error of an integrator."""
        floor = max(1e-9 * self.scale, 100 * self.orbits.tolerance(a))
        return are_one_set(a, b, floor)

    def sampled(self, points: Array, kind: str, verdict: int | None = None) -> Candidate:
        """A set known by a sample of its states (n, d); without a verdict orbits from nearby are asked."""
        seen = self.orbits.view(points)
        radius = max(2 * sample_gap(seen), 1e-3 * self.scale)
        told = self._tried_sample(seen, radius) if verdict is None else verdict
        return Candidate(points, seen, kind, 0, np.empty(0), told, radius)

    def _tried_sample(self, seen: Array, radius: float) -> int:
        """Orbits from beyond the resolution of the sample must come back into it.

        The set is neutral if they end the further away the further away they began. Where some of them begin in another
        basin, those from nearer by must at least stay.
        """
        spacing = max(64, min(self.depth // 4, 4096))
        far = self._distances(seen, 3 * radius, spacing)[1]
        if (far <= 1.5 * radius).all():
            return ATTRACTS
        if (far <= 6 * radius).all():
            farther = self._distances(seen, 6 * radius, spacing)[1]
            if 1.5 < float(np.median(farther / np.maximum(far, 1e-300))) < 2.5:
                return NEUTRAL
        near = self._distances(seen, 1e-3 * self.scale, spacing)[1]
        return ATTRACTS if (near <= 1.5 * radius).all() else REPELS

    # --- orbits from nearby -----------------------------------------------------------------------

    def tried(self, seen: Array, distance: float, period: int) -> int:
        """What orbits do that begin at ``distance`` from a fixed point or a cycle (n, d).

        It attracts if all come nearer, the later the nearer; it repels if one goes away; else it is neutral.
        """
        spacing = max(64, min(self.depth // 4, 4096) // period * period)
        earlier, later = self._distances(seen, distance, spacing)
        # a map comes as near as rounding lets it, a flow as its integrator: from there on it wanders
        floor = max(1e-9 * self.scale, 100 * self.orbits.tolerance(seen))
        if (later <= np.maximum(earlier * (1 - 1e-7), floor)).all() and (earlier < 4 * distance).all():
            return ATTRACTS
        return REPELS if (later > 4 * distance).any() else NEUTRAL

    def _distances(self, seen: Array, distance: float, spacing: int) -> tuple[Array, Array]:
        """How far orbits from nearby are from a set at most, in a window after ``spacing`` layers and after twice."""
        from scipy.spatial import cKDTree

        generator = np.random.default_rng(0)
        around = generator.standard_normal((_DIRECTIONS, self.orbits.size))
        around *= distance / np.linalg.norm(around, axis=1, keepdims=True)
        x = self.orbits.state(seen[-1] + around)
        tree = cKDTree(seen)
        widest = []
        for _ in range(2):
            x = self.orbits.run(x, spacing)
            window = self.orbits.sample(x, 64)
            away = self.orbits.view(window.reshape(-1, self.orbits.size))
            away = np.where(np.isfinite(away), away, 1e6 * self.scale + np.abs(seen).max())
            widest.append(tree.query(away)[0].reshape(window.shape[:2]).max(axis=0))
        return widest[0], widest[1]


def _sampled(found: list[Candidate | None]) -> list[Candidate]:
    """Those known by a sample, each once."""
    return list({id(c): c for c in found if c is not None and c.is_sampled}.values())


def _drift(seen: Array) -> float:
    """How far the box of the second half of a stretch is from that of the first, relative to its sides."""
    boxes = [np.stack([half.min(axis=0), half.max(axis=0)]) for half in np.array_split(seen, 2)]
    return float(np.abs(boxes[1] - boxes[0]).max() / np.ptp(seen, axis=0).max())


def _fresh_cells(seen: Array, cell: float) -> float:
    """The share of the second half of a stretch that lies in cells which the first half did not visit.

    An orbit that fills a set has seen nearly all of its cells by half time; one under way has not. The cells are
    made so large that many states fall into each.
    """
    half = len(seen) // 2
    largest = np.ptp(seen, axis=0).max() / 8
    cell = min(cell, largest)
    while True:
        visited = {tuple(row) for row in np.floor(seen[:half] / cell)}
        if len(visited) <= half // 8 or cell >= largest:
            break
        cell *= 2
    return float(np.mean([tuple(row) not in visited for row in np.floor(seen[half:] / cell)]))


def _first_period(seen: Array, longest: int, tolerance: float) -> int:
    """The least p ≤ ``longest`` with all states of the stretch as p layers before, within the tolerance; 0: none."""
    if not np.isfinite(seen).all():
        return 0
    first = np.abs(seen[1 : longest + 1] - seen[0]).max(axis=1)
    for lag in np.flatnonzero(first <= tolerance):
        p = int(lag) + 1
        if np.abs(seen[p:] - seen[:-p]).max() <= tolerance:
            return p
    return 0
