r"""Where between two points of a branch something happens, and what.

Each kind has a test function that changes its sign along the branch, and has a zero there:

======================  ==========================================================================
fold                    the component of the tangent in the direction of the parameter
branch point            the smallest singular value of ∂G/∂u, with the sign of the bordered determinant
flip                    the distance of the multipliers to −1, with the sign of det(I + M)
Neimark–Sacker, Hopf    \|μ\| − 1 or Re λ of the complex pair that crosses, counted in order of growth
======================  ==========================================================================

Pairs of real multipliers with product 1, and of real eigenvalues with sum 0 (neutral saddles), are no complex pairs and
never enter. A sign counts only where it is larger than the error of the eigenvalues: a crossing needs a point on either
side at which it is decided.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from resdyn.analysis.branches.points import Point, make_point
from resdyn.analysis.branches.problem import Problem
from resdyn.analysis.branches.tracing import between

Array = NDArray[Any]

FOLD, BRANCH, FLIP, ROTATION = "fold", "branch point", "flip", "rotation"

# Segments shorter than this, in scaled arclength, are not cut further: what happens there happens at one point.
_SHORTEST = 1e-7
_PRECISION = 1e-13
# a test function is zero where it is so small beside its values at the ends
_VANISHED = 0.01
# a fold and a branch point at this distance are one point
_SAME = 1e-5
# Near a branch point no state is known to all digits, but what leads through it is smooth: interpolate between states
# at these distances. The error is of sixth order, 1e-15 times a derivative.
_AWAY = 2.5e-3 * np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])
_WHOLE = 0.01


@dataclass(frozen=True, eq=False)
class Event:
    """A bifurcation: what it is, the point, how many eigenvalues are critical."""

    kind: str
    point: Point
    multiplicity: int = 1


class _LostError(Exception):
    """The branch, or what is looked for, could not be followed within a segment."""


def located(problem: Problem, points: list[Point], tolerance: float) -> list[Event]:
    """The bifurcations along a traced branch, in order."""
    if len(points) < 2:
        return []
    # eigenvalues that no point decides (of conservative systems) leave the others to be asked
    undecided = np.array([np.count_nonzero(point.neutral) for point in points])
    decided = np.flatnonzero(undecided == undecided.min())
    first, last = int(decided[0]), int(decided[-1])
    events = _at_an_end(problem, points[: first + 1], tolerance)
    for i, j in pairwise(decided):
        events += _between_decided(problem, points[i : j + 1], tolerance)
    return events + _at_an_end(problem, points[last:], tolerance)


def _at_an_end(problem: Problem, points: list[Point], tolerance: float) -> list[Event]:
    """Where eigenvalues are undecided up to an end of the branch, no number of them can be said to have crossed."""
    return [
        event
        for a, b in pairwise(points)
        for event in _within(problem, a, b, tolerance)
        if event.multiplicity == 1
        and (
            event.kind == FOLD
            or (event.kind == BRANCH and a.regular and b.regular)
            or (event.kind == FLIP and a.alternates and b.alternates)
        )
    ]


def _between_decided(problem: Problem, points: list[Point], tolerance: float) -> list[Event]:
    """Between two points at which all is decided that is decided anywhere; not so at those between them."""
    a, b = points[0], points[-1]
    kinds = _crossed(a, b)
    if FLIP in kinds and not (a.alternates and b.alternates):
        del kinds[FLIP]
    if len(points) > 2:
        together = _together(problem, points, tolerance)
        if together:
            return together
    events = [event for s, t in pairwise(points) for event in _within(problem, s, t, tolerance)]
    # what rounding makes cross to and fro is no bifurcation
    left = {kind: kinds.get(kind, 0) for kind in (BRANCH, FLIP, ROTATION)}
    kept = []
    for event in events:
        if event.kind in (FLIP, ROTATION) or event.multiplicity > 1:
            if left[event.kind] < event.multiplicity:
                continue
            left[event.kind] -= event.multiplicity
        kept.append(event)
    return kept


def _within(problem: Problem, a: Point, b: Point, tolerance: float) -> list[Event]:
    """The bifurcations between two neighbouring points."""
    kinds = _crossed(a, b)
    if not kinds:
        return []
    chord = b.u - a.u
    # a fold beside two real eigenvalues that become a pair counts like one beside a pair that crosses: look closer
    several = max(kinds.values()) > 1 or (ROTATION in kinds and len(kinds) > 1)
    if not several:
        try:
            found = {kind: _refined(problem, a, b, kind, tolerance) for kind in kinds}
        except _LostError:
            several = True
        else:
            if ROTATION in found and _is_real(found[ROTATION]):
                several = True
    if several:
        together = _together(problem, [a, b], tolerance)
        if together:
            return together
        middle = between(problem, a, b, 0.5, tolerance) if np.linalg.norm(chord) > _SHORTEST else None
        if middle is None:
            # symmetric systems have multipliers that are equal everywhere
            point, growth = _crossing(problem, a, b)
            if not abs(growth) <= _SAME * np.abs(point.critical).max():
                return []  # what is known of an eigenvalue changed, as near defective ones, not its sign
            return [Event(kind, point, count) for kind, count in kinds.items()]
        return _within(problem, a, middle, tolerance) + _within(problem, middle, b, tolerance)
    if FOLD in found and BRANCH in found and np.linalg.norm(found[FOLD].u - found[BRANCH].u) < _SAME:
        # the branch turns back where another one crosses it, as both halves of a pitchfork do
        del found[FOLD]
    return [Event(kind, found[kind]) for kind in sorted(found, key=lambda kind: float(found[kind].u @ chord))]


def _is_real(point: Point) -> bool:
    """Whether what crosses may be real within its error."""
    return not bool((point.neutral & _turning(point)).any())


def _turning(point: Point) -> Array:
    """Which eigenvalues are not real within the error of what is critical."""
    return np.asarray(np.abs(point.eigenvalues.imag) > point.errors[point.neutral].max(initial=0.0))


def _together(problem: Problem, points: list[Point], tolerance: float) -> list[Event]:
    """Eigenvalues that cross between the ends of ``points`` together, as far as can be told: one event of several.

    Eigenvalues that merge in a defective one are known to a root of the rounding unit only, and are told apart neither
    from the boundary nor from each other. Their mean is known to rounding, and crosses where they do.
    """
    a, b = points[0], points[-1]
    changes = [after - before for before, after in zip(a.counts, b.counts, strict=True)]
    weights = (1, 1, 2)
    crossed = abs(sum(w * change for w, change in zip(weights, changes, strict=True)))
    if crossed < 2:
        return []
    fewest = min(sum(w * count for w, count in zip(weights, end.counts, strict=True)) for end in (a, b))

    def mean(point: Point) -> float:
        # in order of growth
        return float(point.growth[fewest : fewest + crossed].mean())

    for s, t in pairwise(points):
        if mean(s) * mean(t) <= 0:
            break
    else:
        return []
    try:
        point = _zero(problem, s, t, mean, tolerance, _PRECISION)
    except _LostError:
        return []
    neutral = point.neutral
    if np.count_nonzero(neutral) != crossed:
        return []
    turning = neutral & _turning(point)
    if not (neutral & ~turning).any() and crossed == 2:
        return []  # a pair by itself
    alternating = neutral & ~turning & (point.critical.real < 0) & (point.dynamics == "map")
    groups = {
        BRANCH: int(np.count_nonzero(neutral & ~turning & ~alternating)),
        FLIP: int(np.count_nonzero(alternating)),
        ROTATION: int(np.count_nonzero(turning)) // 2,
    }
    if groups[BRANCH] == 1 and (a.tangent[-1] >= 0) != (b.tangent[-1] >= 0):
        groups = {FOLD: 1, **groups, BRANCH: 0}
    if not point.regular:
        point = replace(point, tangent=(t.u - s.u) / np.linalg.norm(t.u - s.u))
    return [Event(kind, point, count) for kind, count in groups.items() if count]


def _crossed(a: Point, b: Point) -> dict[str, int]:
    """How many eigenvalues passed the boundary of stability between two points, by kind."""
    kinds = {}
    if (a.border >= 0) != (b.border >= 0):
        kinds[BRANCH] = 1
    if (a.tangent[-1] >= 0) != (b.tangent[-1] >= 0):
        kinds[FOLD] = 1
    if a.dynamics == "map" and (a.flips >= 0) != (b.flips >= 0):
        kinds[FLIP] = 1
    real, alternating, pairs = (after - before for before, after in zip(a.counts, b.counts, strict=True))
    # A pair that becomes two real eigenvalues, or is made of them, is no crossing: the number that grow stays.
    if real + alternating + 2 * pairs == 0 and abs(pairs) == 1 and (abs(real) == 2 or abs(alternating) == 2):
        return kinds
    if pairs:
        kinds[ROTATION] = abs(pairs)
    if abs(alternating) > 1:
        kinds[FLIP] = abs(alternating)
    if abs(real) > 1:
        kinds[BRANCH] = abs(real)
    return kinds


def _test(point: Point, kind: str, pair: int = 0) -> float:
    """The test function of a kind; ``pair`` counts complex pairs from the fastest growing one."""
    if kind == FOLD:
        return float(point.tangent[-1])
    if kind == BRANCH:
        return point.border
    if kind == FLIP:
        return point.flips
    # in order of growth, so that the number of a pair means the same along the branch
    growth = np.sort(point.growth[point.pairs])[::-1]
    return float(growth[2 * pair]) if 2 * pair < len(growth) else np.nan


def _crossing(problem: Problem, a: Point, b: Point) -> tuple[Point, float]:
    """Where the next eigenvalue in order of growth passes the boundary, on a segment too short to bend; its growth."""
    k = min(a.counts[0] + a.counts[1] + 2 * a.counts[2], b.counts[0] + b.counts[1] + 2 * b.counts[2], len(a.growth) - 1)
    before, after = a.growth[k], b.growth[k]
    share = float(before / (before - after)) if before != after else 0.5
    chord = b.u - a.u
    point = make_point(problem, a.u + min(max(share, -1.0), 2.0) * chord, chord)
    return replace(point, tangent=chord / np.linalg.norm(chord)), float(point.growth[k])


def _refined(problem: Problem, a: Point, b: Point, kind: str, tolerance: float) -> Point:
    """The point of a segment at which the test function of ``kind`` vanishes."""
    pair = min(a.counts[2], b.counts[2])
    low, high = _test(a, kind, pair), _test(b, kind, pair)
    if kind == ROTATION and min(abs(low), abs(high)) <= max(a.margin.max(), b.margin.max()):
        raise _LostError  # it may be a pair that stays on the boundary
    if low == 0 or high == 0:
        return a if low == 0 else b
    if not low * high < 0:  # a pair that is one on one side only has no number on the other
        raise _LostError

    def test(point: Point) -> float:
        return _test(point, kind, pair)

    if kind == BRANCH:
        try:
            # near enough for interpolation, and not so near that the corrector meets a singular matrix
            return _interpolated(problem, a, b, _share(problem, a, b, test, tolerance, 1e-3), tolerance)
        except _LostError:
            pass
    return _zero(problem, a, b, test, tolerance, _PRECISION)


def _share(
    problem: Problem, a: Point, b: Point, test: Callable[[Point], float], tolerance: float, precision: float
) -> float:
    """Where over the chord from a to b a test function vanishes."""

    def value(share: float) -> float:
        point = a if share == 0.0 else b if share == 1.0 else between(problem, a, b, share, tolerance)
        found = np.nan if point is None else test(point)
        if np.isnan(found):  # the branch is lost, or the pair is real in between
            raise _LostError
        return found

    return float(brentq(value, 0.0, 1.0, xtol=precision))


def _zero(
    problem: Problem, a: Point, b: Point, test: Callable[[Point], float], tolerance: float, precision: float
) -> Point:
    """The point between a and b at which a test function vanishes."""
    share = _share(problem, a, b, test, tolerance, precision)
    found = a if share == 0.0 else b if share == 1.0 else between(problem, a, b, share, tolerance)
    # a sign that jumps is no zero
    if found is None or not abs(test(found)) <= _VANISHED * min(filter(None, (abs(test(a)), abs(test(b))))):
        raise _LostError
    return found


def _interpolated(problem: Problem, a: Point, b: Point, share: float, tolerance: float) -> Point:
    """The branch point from points at some distance, where the bordered matrix is regular."""
    length = float(np.linalg.norm(b.u - a.u))
    # a short segment was cut to keep others out
    nodes = _AWAY * min(1.0, length / _WHOLE)
    points = [between(problem, a, b, share + away / length, tolerance) for away in nodes]
    if any(point is None for point in points):
        raise _LostError
    states = np.array([point.u for point in points if point is not None])
    tangents = np.array([point.tangent for point in points if point is not None])
    tests = _smooth_tests(problem, states, tangents)
    if not (np.all(tests[:3] * tests[0] > 0) and np.all(tests[3:] * tests[0] < 0)):
        raise _LostError  # another one is near
    scaled = nodes / nodes[-1]
    size = np.abs(tests).max()
    root = _root(scaled, tests / size)
    if not -_PRECISION <= share + root * nodes[-1] / length <= 1 + _PRECISION:
        raise _LostError
    u = _polynomial(scaled, states, root)
    point = make_point(problem, u, b.u - a.u)
    along = _polynomial(scaled, tangents, root)
    # the tangent of this branch, which the singular matrix at its crossing cannot tell
    return replace(point, tangent=along / np.linalg.norm(along))


def _smooth_tests(problem: Problem, states: Array, tangents: Array) -> Array:
    """det B over the determinant of a matrix that is regular nearby: B, bordered by its nearly singular vectors.

    The smallest singular value itself has a kink where another one becomes smaller.
    """
    matrices = [np.vstack([problem.derivative(u), t]) for u, t in zip(states, tangents, strict=True)]
    left, _, right = np.linalg.svd(matrices[len(matrices) // 2])
    last = np.append(np.zeros(len(left)), 1.0)
    bordered = [
        np.block([[matrix, left[:, -1:]], [right[-1:], np.zeros((1, 1))]])  # one row and one column more
        for matrix in matrices
    ]
    return np.array([np.linalg.solve(matrix, last)[-1] for matrix in bordered])


def _polynomial(nodes: Array, values: Array, at: float) -> Array:
    """The value of the interpolating polynomial."""
    weights = [np.prod([(at - m) / (n - m) for m in nodes if m != n]) for n in nodes]
    return np.asarray(np.tensordot(weights, values, axes=1))


def _root(nodes: Array, values: Array) -> float:
    return float(brentq(lambda at: float(_polynomial(nodes, values, at)), nodes[2], nodes[3], xtol=_PRECISION))
