"""The arguments of ``continuation``, checked before anything is computed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn.analysis.branches.corrector import at_value
from resdyn.analysis.branches.problem import LARGEST_DENSE, Problem
from resdyn.analysis.branches.result import Bifurcation
from resdyn.analysis.branches.tracing import Steps

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Question:
    """What ``continuation`` was asked, without anything left to doubt."""

    problem: Problem
    steps: Steps
    start: Array | None
    """u of the fixed point to begin with, refined."""
    bifurcation: Bifurcation | None
    direction: str | None
    detect: bool


def make_question(
    family: Any,
    x0: Any,
    interval: Any,
    *,
    start: Any,
    dynamics: Any,
    period: Any,
    direction: Any,
    step_size: Any,
    smallest_step: Any,
    largest_step: Any,
    most_points: Any,
    tolerance: Any,
    scale: Any,
    detect: bool,
) -> Question:
    """Check the arguments one by one, and refine the first point."""
    if not callable(family):
        raise TypeError(
            f"family must be a function of the parameter that returns a System, but is {family!r}; "
            "pass e.g. lambda gain: system.replace(gain=gain)."
        )
    ends = _interval(interval)
    bifurcation = x0 if isinstance(x0, Bifurcation) else None
    if bifurcation is not None:
        start, dynamics, period = _of_bifurcation(bifurcation, start, dynamics, period, direction)
    word = validate.dynamics("map" if dynamics is None else dynamics)
    q = validate.count(1 if period is None else period, "period", least=1)
    if q > 1 and word == "flow":
        raise ValueError(
            f"period={q} counts layers of a map, but dynamics is 'flow'; "
            "limit cycles of a flow are fixed points of a Poincaré map: see resdyn.poincare_map."
        )
    problem = Problem(family, ends, dynamics=word, period=q, scale=validate.positive(scale, "scale"))
    if problem.size > LARGEST_DENSE:
        raise ValueError(
            f"{problem.name!r} has {problem.size} variables, but continuation works with dense matrices of at most "
            f"{LARGEST_DENSE}; follow a smaller network."
        )
    steps = _steps(step_size, smallest_step, largest_step, most_points, tolerance)
    if direction is not None:
        validate.choice(direction, "direction", ("up", "down"))
    value = validate.within(ends[0] if start is None else start, "start", *ends)
    first = None if bifurcation is not None else _first(problem, x0, value, steps.tolerance)
    if bifurcation is not None and bifurcation.x.shape != problem.shape:
        raise ValueError(
            f"the bifurcation has states of shape {bifurcation.x.shape}, but the family has {problem.shape}; "
            "pass the family that its branch was made from."
        )
    return Question(problem, steps, first, bifurcation, direction, bool(detect))


def _interval(interval: Any) -> tuple[float, float]:
    ends = validate.real_array(interval, "interval")
    if ends.shape != (2,) or ends[0] == ends[1]:
        raise ValueError(f"interval must be two different numbers (start, end) of the parameter, but is {interval!r}.")
    return float(ends[0]), float(ends[1])


def _of_bifurcation(
    bifurcation: Bifurcation, start: Any, dynamics: Any, period: Any, direction: Any
) -> tuple[float, str, int]:
    """Start, dynamics and period are those of the bifurcation; whatever else is asked for contradicts it."""
    doubled = bifurcation.period * (2 if bifurcation.kind == "flip" else 1)
    known = {"start": bifurcation.value, "dynamics": bifurcation.dynamics, "period": doubled}
    given = {"start": start, "dynamics": dynamics, "period": period}
    for name, value in given.items():
        if value is not None and value != known[name]:
            raise ValueError(
                f"{name}={value!r} contradicts the bifurcation, whose other branch has {name}={known[name]!r}; "
                "leave it out."
            )
    if direction is not None:
        raise ValueError("direction has no meaning at a bifurcation: the other branch is followed on all its sides.")
    if bifurcation.kind not in ("branch point", "flip"):
        raise ValueError(
            f"no other branch of fixed points or 2-cycles begins at a {bifurcation.kind}; "
            "branches are switched at branch points and flips."
        )
    if bifurcation.multiplicity > 1:
        raise ValueError(
            f"{bifurcation.multiplicity} eigenvalues are critical together at {bifurcation.value:g}, so that several "
            "branches may begin there; break the symmetry, or start from a state on the branch wanted."
        )
    return bifurcation.value, bifurcation.dynamics, doubled


def _steps(first: Any, smallest: Any, largest: Any, most: Any, tolerance: Any) -> Steps:
    steps = Steps(
        validate.positive(first, "step_size"),
        validate.positive(smallest, "smallest_step"),
        validate.positive(largest, "largest_step"),
        validate.count(most, "most_points", least=2),
        validate.positive(tolerance, "tolerance"),
    )
    if not steps.smallest <= steps.first <= steps.largest:
        raise ValueError(
            f"smallest_step ≤ step_size ≤ largest_step is needed, but they are "
            f"{steps.smallest:g}, {steps.first:g} and {steps.largest:g}."
        )
    return steps


def _first(problem: Problem, x0: Any, value: float, tolerance: float) -> Array:
    system = problem.system(value)
    state = validate.real_array(x0, "x0", finite=not getattr(system, "infinite_states", False))
    if state.shape != problem.shape:
        raise ValueError(f"x0 has shape {state.shape}, but {system.name!r} has states of shape {problem.shape}.")
    if not np.isfinite(state).all():
        raise ValueError(
            "x0 has infinite entries: saturated units (residuals of 0 or 1) cannot be followed; start from an "
            "equilibrium whose units are all inside, or list the saturated ones with fixed_points(family(value))."
        )
    predicted = problem.point(state, value)
    corrected = at_value(problem, predicted, tolerance)
    if corrected is None or not np.isfinite(problem.residual(corrected[0])).all():
        size = float(np.linalg.norm(problem.residual(predicted)))
        what = "fixed point" if problem.period == 1 else f"point of a {problem.period}-cycle"
        raise ValueError(
            f"Newton's method finds no {what} of {system.name!r} from x0 at the parameter {value:g} "
            f"(‖f(x0)‖ = {size:.3g}); start nearer to one, e.g. from resdyn.fixed_points(family({value:g}))."
        )
    return corrected[0]
