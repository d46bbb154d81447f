r"""Where between two points of a branch something happens, and what.

Each kind has a test function that changes its sign along the branch:

======================  ==========================================================================
fold                    the component of the tangent in the direction of the parameter
branch point            the smallest singular value of ∂G/∂u, with the sign of the bordered determinant
flip                    the distance of the multipliers to −1, with the sign of det(I + M)
Neimark–Sacker, Hopf    \|μ\| − 1 or Re λ of the complex pair that crosses, counted in order of growth
======================  ==========================================================================

Pairs of real multipliers with product 1, and of real eigenvalues with sum 0 (neutral saddles), are no complex pairs and
never enter.
"""

from dataclasses import dataclass, replace
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
    """The branch could not be corrected within a segment."""


def located(problem: Problem, a: Point, b: Point, tolerance: float) -> list[Event]:
    """The bifurcations between two neighbouring points of a branch, in order."""
    kinds = _crossed(a, b)
    if not kinds:
        return []
    chord = b.u - a.u
    # a fold beside two real eigenvalues that become a pair counts like one beside a pair that crosses: look closer
    if max(kinds.values()) > 1 or (ROTATION in kinds and len(kinds) > 1):
        middle = between(problem, a, b, 0.5, tolerance) if np.linalg.norm(chord) > _SHORTEST else None
        if middle is None:
            # symmetric systems have multipliers that are equal everywhere
            return [Event(kind, _nearer(a, b, kind), count) for kind, count in kinds.items()]
        return located(problem, a, middle, tolerance) + located(problem, middle, b, tolerance)
    found = {kind: _refined(problem, a, b, kind, tolerance) for kind in kinds}
    if FOLD in found and BRANCH in found and np.linalg.norm(found[FOLD].u - found[BRANCH].u) < _SAME:
        # the branch turns back where another one crosses it, as both halves of a pitchfork do
        del found[FOLD]
    return [Event(kind, found[kind]) for kind in sorted(found, key=lambda kind: float(found[kind].u @ chord))]


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


def _nearer(a: Point, b: Point, kind: str) -> Point:
    """The one of two points within 1e-7 at which more is critical; either will do where that cannot be told."""
    return a if abs(_test(a, kind)) < abs(_test(b, kind)) else b


def _refined(problem: Problem, a: Point, b: Point, kind: str, tolerance: float) -> Point:
    """The point of a segment at which the test function of ``kind`` vanishes."""
    pair = min(a.counts[2], b.counts[2])
    low, high = _test(a, kind, pair), _test(b, kind, pair)
    if low == 0 or high == 0:
        return a if low == 0 else b
    if not low * high < 0:  # a pair that is one on one side only has no number on the other
        return _halved(problem, a, b, tolerance)
    if kind == BRANCH:
        try:
            # near enough for interpolation, and not so near that the corrector meets a singular matrix
            return _interpolated(problem, a, b, _share(problem, a, b, kind, pair, tolerance, 1e-3), tolerance)
        except _LostError:
            pass
    try:
        found = between(problem, a, b, _share(problem, a, b, kind, pair, tolerance, _PRECISION), tolerance)
    except _LostError:
        found = None
    return found if found is not None else _halved(problem, a, b, tolerance)


def _share(problem: Problem, a: Point, b: Point, kind: str, pair: int, tolerance: float, precision: float) -> float:
    """Where over the chord from a to b the test function vanishes."""

    def value(share: float) -> float:
        point = a if share == 0.0 else b if share == 1.0 else between(problem, a, b, share, tolerance)
        if point is None:
            raise _LostError
        return _test(point, kind, pair)

    return float(brentq(value, 0.0, 1.0, xtol=precision))


def _halved(problem: Problem, a: Point, b: Point, tolerance: float) -> Point:
    """Bisection on what was crossed, where no test function is continuous."""
    kinds = _crossed(a, b)
    for _ in range(60):
        middle = between(problem, a, b, 0.5, tolerance)
        if middle is None:
            break
        if _crossed(a, middle) == kinds:
            b = middle
        else:
            a = middle
    return b


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
