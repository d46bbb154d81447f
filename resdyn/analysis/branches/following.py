r"""Continuation: from one fixed point or cycle to the whole curve of them over a parameter.

A branch of solutions of :math:`f(x; p) = 0` is a curve in state and parameter, and it may turn back in the parameter.
Pseudo-arclength continuation ([keller1977]_) steps along its tangent and corrects in the plane across it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System
from resdyn.analysis.branches.location import BRANCH, FLIP, FOLD, Event, located
from resdyn.analysis.branches.normal_forms import normal_form
from resdyn.analysis.branches.points import Point, make_point
from resdyn.analysis.branches.problem import Problem
from resdyn.analysis.branches.question import Question, make_question
from resdyn.analysis.branches.result import Branch
from resdyn.analysis.branches.switching import other_tangent, starts
from resdyn.analysis.branches.tracing import trace

Array = NDArray[Any]


def continuation(
    family: Callable[[float], System],
    x0: Any,
    interval: tuple[float, float],
    *,
    start: float | None = None,
    dynamics: str | None = None,
    period: int | None = None,
    direction: str | None = None,
    step_size: float = 0.01,
    smallest_step: float = 1e-6,
    largest_step: float = 0.05,
    most_points: int = 2000,
    tolerance: float = 1e-10,
    scale: float = 1.0,
    detect: bool = True,
) -> Branch:
    r"""The branch of fixed points, or of cycles of a map, through a state, over a parameter.

    Solves :math:`f(x; p) = 0` along the curve by pseudo-arclength continuation [keller1977]_, so that folds are passed,
    and locates bifurcations.

    Parameters
    ----------
    family : callable
        The system at each value of the parameter, e.g. ``lambda gain: network.replace(gain=gain)``. It is asked inside
        the interval only.
    x0 : array, shape ``system.shape``, or Bifurcation
        A state near a fixed point, refined by Newton's method first; or a bifurcation of another branch: the branch
        that crosses there, or the cycle of twice the period that a flip begins.
    interval : tuple of float
        Where to follow the branch. It ends exactly at the ends.
    start : float, optional
        The parameter of ``x0``; the first end of the interval if left out.
    dynamics : str, optional
        "map" (the default) or "flow": what stability and bifurcations are asked of. The fixed points are the same.
    period : int, optional
        Of the cycle, in layers: 1 (the default) for fixed points. Maps only.
    direction : str, optional
        "up" or "down": follow the branch only to the side on which the parameter first rises or falls; both if left
        out.
    step_size, smallest_step, largest_step : float
        In scaled arclength (see ``arclength`` of :class:`Branch`); the whole interval has length one. Steps become
        shorter where the branch bends and longer where it is straight; the largest one is relative to the size of the
        state where that is beyond ``scale``. Two bifurcations that undo each other within one step are missed: lower
        ``largest_step``. Gaps between branches far below ``smallest_step`` are not seen.
    most_points : int
        On either side.
    tolerance : float
        On the last Newton step, in scaled arclength. Newton's method squares the error, so that f vanishes to rounding.
    scale : float
        The typical size S of a unit's state.
    detect : bool
        Locate bifurcations.

    Returns
    -------
    Branch

    Raises
    ------
    ValueError
        If Newton's method finds no fixed point near ``x0``; for a start at which branches meet or fixed points are not
        isolated; for more than
        1024 variables, layer-wise systems, and a bifurcation at which no branch begins.

    Notes
    -----
    The derivative with respect to p is a central difference of the family with a relative step of 6e-6. It steers the
    predictor and does not move the solutions. Bifurcations are refined to about 1e-10 of the interval where the test
    function is smooth, and to the rounding of eigenvalues. Several at once are refined to about 1e-7 where they cannot
    be told to cross together, and so is a pair beside others that stay on the boundary.
    """
    question = make_question(
        family,
        x0,
        interval,
        start=start,
        dynamics=dynamics,
        period=period,
        direction=direction,
        step_size=step_size,
        smallest_step=smallest_step,
        largest_step=largest_step,
        most_points=most_points,
        tolerance=tolerance,
        scale=scale,
        detect=detect,
    )
    points, detected, reason, closed = _through(question) if question.bifurcation is None else _from(question)
    events = [event for side in detected for event in located(question.problem, side, question.steps.tolerance)]
    return _branch(question.problem, points, events if detect else [], reason, closed)


Sides = list[list[Point]]


def _through(question: Question) -> tuple[list[Point], Sides, str, bool]:
    """The branch through a fixed point, with the lower parameters of its beginning first."""
    problem = question.problem
    assert question.start is not None
    first = make_point(problem, question.start)
    if not first.regular:
        raise ValueError(
            f"∂f over state and parameter is singular at the start, {first.value:g}, so that no direction can be told: "
            "if branches meet at the start, start beside it; fixed points that are not isolated at any parameter "
            "(f with a conserved quantity) cannot be followed, take the conserved quantity out of the state."
        )
    sides: list[tuple[list[Point], str, bool]] = []
    for word in ("down", "up"):
        if question.direction not in (None, word) or (sides and sides[-1][2]):
            continue
        points, reason = trace(problem, first if word == "up" else _turned(first), question.steps)
        sides.append((points, reason, reason == "it is closed"))
    if sides[-1][2]:
        points, reason, _ = sides[-1]
        return points, _sides(question, points), "It is closed.", True
    if question.direction is not None:
        points, reason, _ = sides[0]
        return points, _sides(question, points), f"It ends because {reason}.", False
    (down, first_reason, _), (up, last_reason, _) = sides
    points = [*map(_turned, reversed(down)), *up[1:]]
    return points, _sides(question, points), f"It ends because {first_reason}, and because {last_reason}.", False


def _turned(point: Point) -> Point:
    """The same point with the other tangent; one row of the bordered matrix changes its sign."""
    return replace(point, tangent=-point.tangent, border=-point.border)


def _sides(question: Question, points: list[Point]) -> Sides:
    return [points] if question.detect else []


def _from(question: Question) -> tuple[list[Point], Sides, str, bool]:
    """The other branch at a bifurcation, which lies on it."""
    problem, bifurcation, steps = question.problem, question.bifurcation, question.steps
    assert bifurcation is not None
    u = problem.point(bifurcation.x, bifurcation.value)
    if bifurcation.kind == "flip":
        direction = np.append(np.ravel(bifurcation.direction), 0.0)
        direction /= np.linalg.norm(direction)
    else:
        known = np.append(bifurcation.tangent[:-1] / problem.length, bifurcation.tangent[-1] / problem.width)
        direction = other_tangent(problem, u, known / np.linalg.norm(known))
    begins = starts(problem, u, direction, steps.first, steps.tolerance)
    if bifurcation.kind == "flip":
        begins = begins[:1]  # the other side is the same cycle, one layer later
    if not begins:
        raise ValueError(
            f"no other branch was found at the {bifurcation.kind} at {bifurcation.value:g}; "
            "it may leave the interval at once, or need a smaller step_size."
        )
    middle = replace(make_point(problem, u, direction), tangent=direction, stable=-1)
    traced = [trace(problem, begin, steps) for begin in begins]
    reason = "; ".join(dict.fromkeys(reason for _, reason in traced))
    closed = any(reason == "it is closed" for _, reason in traced)
    sides = [side for points, _ in traced for side in _sides(question, points)]
    if len(traced) == 1:
        return [middle, *traced[0][0]], sides, f"It ends because {reason}.", closed
    forth, back = traced[0][0], [_turned(point) for point in reversed(traced[1][0])]
    return [*back, middle, *forth], sides, f"It ends because {reason}.", closed


_KINDS = {FOLD: "fold", BRANCH: "branch point", FLIP: "flip"}


def _branch(problem: Problem, points: list[Point], events: list[Event], reason: str, closed: bool) -> Branch:
    u = np.array([point.u for point in points])
    forms = [normal_form(problem, event) for event in events]
    h = np.array([event.point.step for event in events])
    critical = np.array([form.eigenvalue for form in forms], dtype=complex)
    rotation = "Neimark–Sacker" if problem.dynamics == "map" else "Hopf"
    lengths = np.linalg.norm(np.diff(u, axis=0), axis=1)
    n, d, shape = len(events), problem.size, problem.shape
    return Branch(
        values=np.array([point.value for point in points]),
        orbits=np.array([problem.orbit(point.u) for point in points]),
        eigenvalues=np.array([point.eigenvalues for point in points], dtype=complex),
        steps=np.array([point.step for point in points]),
        stable=np.array([point.stable for point in points], dtype=np.int8),
        arclength=np.concatenate([[0.0], np.cumsum(lengths)]),
        tangents=np.array([problem.unscaled(point.tangent) for point in points]),
        bifurcation_kinds=tuple(_KINDS.get(event.kind, rotation) for event in events),
        bifurcation_values=np.array([event.point.value for event in events]),
        bifurcation_states=np.array([problem.state(event.point.u) for event in events]).reshape(n, *shape),
        bifurcation_eigenvalues=(critical - 1.0) / h if problem.dynamics == "map" else critical,
        bifurcation_directions=np.array([form.direction for form in forms], dtype=complex).reshape(n, *shape),
        bifurcation_tangents=np.array([problem.unscaled(event.point.tangent) for event in events]).reshape(n, d + 1),
        bifurcation_coefficients=np.array([form.coefficient for form in forms]),
        bifurcation_coefficient_errors=np.array([form.error for form in forms]),
        bifurcation_multiplicities=np.array([event.multiplicity for event in events], dtype=np.int64),
        bifurcation_steps=h,
        name=problem.name,
        period=problem.period,
        dynamics=problem.dynamics,
        interval=(problem.low, problem.high),
        reason=reason,
        closed=closed,
        scale=problem.scale,
    )
