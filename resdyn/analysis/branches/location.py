r"""Where between two points of a branch something happens, and what.

Each kind has a test function that changes its sign along the branch:

======================  ==========================================================================
fold                    the component of the tangent in the direction of the parameter
branch point            the smallest singular value of the bordered matrix, with the sign of its determinant
flip                    the distance of the multipliers to −1, with the sign of det(I + M)
Neimark–Sacker, Hopf    \|μ\| − 1 or Re λ of the complex pair that is nearest to the boundary
======================  ==========================================================================

Pairs of real multipliers with product 1, and of real eigenvalues with sum 0 (neutral saddles), are no complex pairs and
never enter.
"""

from collections.abc import Callable
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
# Test functions are smooth, and near a branch point no state is known to all digits: interpolate it from states at these
# distances instead. The error is of sixth order, 1e-15 times a derivative.
_AWAY = 2.5e-3 * np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])


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
    length = float(np.linalg.norm(b.u - a.u))
    if len(kinds) > 1 or max(kinds.values()) > 1:
        middle = between(problem, a, b, 0.5, tolerance) if length > _SHORTEST else None
        if middle is None:
            return _together(a, b, kinds)
        return located(problem, a, middle, tolerance) + located(problem, middle, b, tolerance)
    (kind,) = kinds
    return [Event(kind, _refined(problem, a, b, kind, tolerance))]


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


def _together(a: Point, b: Point, kinds: dict[str, int]) -> list[Event]:
    """What cannot be told apart: symmetric systems have multipliers that are equal everywhere."""
    if FOLD in kinds and BRANCH in kinds:
        # a branch that turns back where another one crosses it, as both sides of a pitchfork do
        kinds = {kind: count for kind, count in kinds.items() if kind != FOLD}
    nearer = a if abs(_test(a, next(iter(kinds)))) < abs(_test(b, next(iter(kinds)))) else b
    return [Event(kind, nearer, count) for kind, count in kinds.items()]


def _test(point: Point, kind: str) -> float:
    """The test function of a kind."""
    if kind == FOLD:
        return float(point.tangent[-1])
    if kind == BRANCH:
        return point.border
    if kind == FLIP:
        return point.flips
    growth = point.growth[point.pairs]
    return float(growth[np.abs(growth).argmin()]) if len(growth) else np.nan


def _refined(problem: Problem, a: Point, b: Point, kind: str, tolerance: float) -> Point:
    """The point of a segment at which the test function of ``kind`` vanishes."""
    if kind == ROTATION and np.isnan(_test(a, kind) * _test(b, kind)):
        return _halved(problem, a, b, tolerance)

    def value(share: float) -> float:
        point = between(problem, a, b, share, tolerance)
        if point is None:
            raise _LostError
        return _test(point, kind)

    low, high = _test(a, kind), _test(b, kind)
    if low == 0 or high == 0:
        return a if low == 0 else b
    if not low * high < 0:  # a pair that is one on one side only has no number on the other
        return _halved(problem, a, b, tolerance)
    try:
        share = float(brentq(lambda s: low if s == 0 else high if s == 1 else value(s), 0.0, 1.0, xtol=_PRECISION))
        if kind == BRANCH:
            return _interpolated(problem, a, b, share, tolerance)
        found = between(problem, a, b, share, tolerance)
    except _LostError:
        found = None
    return found if found is not None else _halved(problem, a, b, tolerance)


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
    points = [between(problem, a, b, share + away / length, tolerance) for away in _AWAY]
    if any(point is None for point in points):
        raise _LostError
    tests = np.array([_test(point, BRANCH) for point in points if point is not None])
    states = np.array([point.u for point in points if point is not None])
    tangents = np.array([point.tangent for point in points if point is not None])
    if not (np.all(tests[:3] * tests[0] > 0) and np.all(tests[3:] * tests[0] < 0)):
        raise _LostError  # another one is near
    scaled = _AWAY / np.abs(_AWAY).max()
    size = np.abs(tests).max()
    root = _root(scaled, tests / size)
    u = _polynomial(scaled, states, root)
    point = make_point(problem, u, b.u - a.u)
    along = _polynomial(scaled, tangents, root)
    # the tangent of this branch, which the singular matrix at its crossing cannot tell
    return replace(point, tangent=along / np.linalg.norm(along))


def _polynomial(nodes: Array, values: Array, at: float) -> Array:
    """The value of the interpolating polynomial."""
    weights = [np.prod([(at - m) / (n - m) for m in nodes if m != n]) for n in nodes]
    return np.asarray(np.tensordot(weights, values, axes=1))


def _root(nodes: Array, values: Array) -> float:
    inner: Callable[[float], float] = lambda s: float(_polynomial(nodes, values, s))  # noqa: E731
    return float(brentq(inner, nodes[2], nodes[3], xtol=_PRECISION))
