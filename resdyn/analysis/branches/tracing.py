"""Along a branch by predictor and corrector, to where it ends."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.branches.corrector import at_value, correct
from resdyn.analysis.branches.points import Point, make_point
from resdyn.analysis.branches.problem import Problem

Array = NDArray[Any]

# tangents turn by less than 15° from point to point, and steps become longer where they turn by less than 5°
_SHARPEST, _STRAIGHT = np.cos(np.deg2rad(15.0)), np.cos(np.deg2rad(5.0))
_LONGER, _SHORTER = 1.4, 0.5
_FEW = 4
# a corrected point farther from its prediction, in steps, may lie on another branch
_FARTHEST = np.tan(np.deg2rad(15.0))
# a singular value that falls in proportion to the length is as small as is asked; one that jumps keeps its size
_VANISHED, _SHORTENED = 10.0, 0.01
# where to cut a step: at the middle, or beside it where branches meet just there
_CUTS = (0.5, 0.4, 0.6)
_CLOSED = 1e-6
# where the state is beyond so many times its scale a branch is on its way to infinity
_INFINITE = 1e3


@dataclass(frozen=True)
class Steps:
    """Lengths of steps in scaled arclength, and when to stop."""

    first: float
    smallest: float
    largest: float
    most: int
    tolerance: float


def trace(problem: Problem, first: Point, steps: Steps) -> tuple[list[Point], str]:
    """The points that follow ``first`` in the direction of its tangent, with itself, and why they end."""
    points, length = [first], steps.first
    while len(points) < steps.most:
        here = points[-1]
        at_an_end = here.u[-1] in (0.0, 1.0) and here.tangent[-1] * (here.u[-1] - 0.5) > 0
        if at_an_end:
            return points, f"it reaches the end of the interval, {here.value:g}"
        # far out, what counts is the relative size of a step
        size = float(np.linalg.norm(here.u[:-1]))
        if size > _INFINITE:
            return points, f"at {here.value:g} the state is beyond {_INFINITE:g} times its scale"
        found, count = _next(problem, here, length, steps)
        if found is None:
            length *= _SHORTER
            if length < steps.smallest:
                return points, f"at {here.value:g} no step of length {steps.smallest:g} leads on"
            continue
        if len(points) > 2:
            closing = _closing(problem, first, here, found, steps.tolerance)
            if closing is not None:
                return [*points, closing], "it is closed"
        points.append(found)
        if count <= _FEW and here.tangent @ found.tangent > _STRAIGHT:
            length = min(length * _LONGER, steps.largest * max(1.0, size))
    return points, f"it has {steps.most} points, as many as were asked for"


def _next(problem: Problem, here: Point, length: float, steps: Steps) -> tuple[Point | None, int]:
    """The next point at this length, or the one at the end of the interval if that comes before."""
    tolerance = steps.tolerance
    predicted = here.u + length * here.tangent
    outside = not problem.contains(predicted)
    if outside:
        end = 1.0 if predicted[-1] > 1.0 else 0.0
        length = (end - here.u[-1]) / here.tangent[-1]
        predicted = here.u + length * here.tangent
        predicted[-1] = end
        corrected = at_value(problem, predicted, tolerance)
    else:
        corrected = correct(problem, predicted, here.tangent, tolerance)
    if corrected is None or length <= 0:
        return None, 0
    u, count = corrected
    if np.linalg.norm(u - predicted) > _FARTHEST * length:
        return None, count
    found = make_point(problem, u, here.tangent)
    if not np.isfinite(found.eigenvalues).all() or not _follows(problem, here, found, steps):
        return None, count
    if not found.regular and not outside:
        return None, count  # exactly where branches meet no side of the tangent can be told; step elsewhere
    return found, count


def _follows(problem: Problem, a: Point, b: Point, steps: Steps) -> bool:
    """Whether b lies on the same branch as a, as far as directions tell."""
    return _aligned(a, b) and ((a.border >= 0) == (b.border >= 0) or _meets(problem, a, b, steps))


def _aligned(a: Point, b: Point) -> bool:
    chord = b.u - a.u
    length = float(np.linalg.norm(chord))
    return bool(
        length > 0 and min(a.tangent @ b.tangent, a.tangent @ chord / length, b.tangent @ chord / length) >= _SHARPEST
    )


def _meets(problem: Problem, a: Point, b: Point, steps: Steps) -> bool:
    """Whether ∂G/∂u loses rank between a and b, where another branch crosses.

    The determinant changes its sign at a jump between two branches that only come near, too. There the smallest
    singular value does not vanish, and halves of the step that end on different branches leave the direction of both
    as soon as they are as short as the gap.
    """
    length = float(np.linalg.norm(b.u - a.u))
    shortest = min(steps.smallest, _SHORTENED * length)
    small = shortest / length * max(abs(a.border), abs(b.border))
    while length > shortest and min(abs(a.border), abs(b.border)) > small:
        middle = _cut(problem, a, b, small, steps.tolerance)
        if middle is None:
            return False
        if abs(middle.border) <= small:
            return True
        a, b = (a, middle) if (a.border >= 0) != (middle.border >= 0) else (middle, b)
        length = float(np.linalg.norm(b.u - a.u))
    return min(abs(a.border), abs(b.border)) <= _VANISHED * small


def _cut(problem: Problem, a: Point, b: Point, small: float, tolerance: float) -> Point | None:
    for share in _CUTS:
        middle = between(problem, a, b, share, tolerance)
        # where branches meet no tangent is known
        if middle is not None and (abs(middle.border) <= small or (_aligned(a, middle) and _aligned(middle, b))):
            return middle
    return None


def between(problem: Problem, a: Point, b: Point, share: float, tolerance: float) -> Point | None:
    """The point of the branch over this share of the chord from a to b."""
    chord = b.u - a.u
    corrected = correct(problem, a.u + share * chord, chord / np.linalg.norm(chord), tolerance)
    return None if corrected is None else make_point(problem, corrected[0], chord)


def _closing(problem: Problem, first: Point, a: Point, b: Point, tolerance: float) -> Point | None:
    """The first point again, if the step from a to b passes through it."""
    chord = b.u - a.u
    share = float((first.u - a.u) @ chord / (chord @ chord))
    if not 0 < share <= 1 or np.linalg.norm(first.u - a.u - share * chord) > 0.5 * np.linalg.norm(chord):
        return None
    same = between(problem, a, b, share, tolerance)
    if same is None or np.linalg.norm(same.u - first.u) > _CLOSED or same.tangent @ first.tangent < 0:
        return None
    return first
