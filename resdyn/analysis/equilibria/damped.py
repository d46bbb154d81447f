"""Fixed points of the matrix family, where its form lets something be proved."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.equilibria import intervals, newton
from resdyn.analysis.equilibria.question import Question
from resdyn.analysis.equilibria.result import FixedPoints
from resdyn.matrix_family import ResidualMap

Array = NDArray[Any]

_LARGEST_INTERVALS = 12

# the largest slope of each named activation, its range, and whether φ′ is even and falls with |u|
_SLOPES = {"logistic": 0.25, "tanh": 1.0, "relu": 1.0, "softplus": 1.0, "identity": 1.0}
_RANGES = {"logistic": (0.0, 1.0), "tanh": (-1.0, 1.0)}


def fixed_points_of_map(ask: Question, system: ResidualMap, algorithm: str, max_boxes: int) -> FixedPoints | None:
    """The answer of the first algorithm that applies; None leaves it to Newton's method."""
    tried: dict[str, Callable[[], FixedPoints | None]] = {
        "linear": lambda: _linear(ask, system),
        "contraction": lambda: _contraction(ask, system),
        "intervals": lambda: _intervals(ask, system, max_boxes, at_any_size=algorithm == "intervals"),
    }
    if algorithm == "auto":
        attempts = [lambda: _without_fixed_points(ask, system), *tried.values()]
        return next((found for attempt in attempts if (found := attempt()) is not None), None)
    found = tried[algorithm]()
    if found is None:
        needs = {
            "linear": "the identity as activation",
            "contraction": "a named activation with |α| L min(‖W‖₂, ρ(|W|)) < |λ|",
            "intervals": f"damping and a bounded named activation ({' or '.join(_RANGES)})",
        }
        raise ValueError(
            f"algorithm {algorithm!r} needs {needs[algorithm]}, which {system.name!r} does not have; use 'auto'."
        )
    return found


def _without_fixed_points(ask: Question, system: ResidualMap) -> FixedPoints | None:
    """Without damping a positive activation adds to the state in every layer."""
    positive = system.activation.name in ("logistic", "softplus")
    if float(system.damping) != 0 or float(system.gain) == 0 or not positive:
        return None
    return ask.answer(
        np.empty((0, *system.shape)),
        complete=True,
        method="sign",
        reason=f"without damping f = αφ(Wx + b), and {system.activation.name} is positive, so no state is fixed; "
        "attractors live in the residuals: see resdyn.logistic_residuals(W, b).",
    )


def _linear(ask: Question, system: ResidualMap) -> FixedPoints | None:
    if system.activation.name != "identity":
        return None
    damping, gain = float(system.damping), float(system.gain)
    A = gain * system.W - damping * np.eye(len(system.W))
    if not np.isfinite(A).all():
        return None
    singular = np.linalg.svd(A, compute_uv=False)
    # W, α and λ carry two roundings each; a matrix this close to a singular one may be singular itself
    if singular[-1] <= 16 * len(A) * np.finfo(float).eps * max(singular[0], abs(damping)):
        return ask.answer(
            np.empty((0, *system.shape)),
            complete=False,
            method="linear",
            reason="αW − λI is singular to rounding: either no state is fixed, or a whole subspace.",
        )
    x = np.linalg.solve(A, -gain * system.b)
    if not np.isfinite(x).all():
        return None
    return ask.answer(x[None], complete=True, method="linear", reason="f is linear and αW − λI is regular.")


def _norm_bound(W: Array) -> tuple[float, str]:
    """The least of the norms in which the map may contract, rounded up, and its name."""
    rounding = 1 + 32 * len(W) * np.finfo(float).eps
    spectral = float(np.linalg.norm(W, 2)) * rounding
    # Collatz–Wielandt: with any positive v, ρ(|W|) ≤ max_i (|W|v)_i / v_i, the norm of W in weighted maxima
    absolute = np.abs(W)
    v = np.ones(len(W))
    for _ in range(50):
        v = absolute @ v + 1e-3 * v.max() * np.ones(len(W)) + np.finfo(float).tiny
        v /= v.max()
    weighted = float((absolute @ v / v).max()) * rounding
    return (spectral, "‖W‖₂") if spectral <= weighted else (weighted, "‖W‖ in weighted maxima")


def _contraction(ask: Question, system: ResidualMap) -> FixedPoints | None:
    damping, gain = float(system.damping), float(system.gain)
    slope = _SLOPES.get(system.activation.name)
    if slope is None or damping == 0:
        return None
    norm, name = _norm_bound(system.W)
    factor = abs(gain) * slope * norm / abs(damping)
    if not factor < 1 or not np.isfinite(gain / damping):
        return None
    x = np.zeros(system.shape)
    # x ← (α/λ)φ(Wx + b) contracts to the point; Newton then takes it to rounding
    for _ in range(min(10_000, 2 + int(40 / -np.log(max(factor, 1e-16))))):
        x = gain / damping * system.activation.value(system.W @ x + system.b)
    refined = newton.refine(system, x)
    x = x if refined is None else refined
    reason = f"x = (α/λ)φ(Wx + b) contracts: |α| L {name} / |λ| = 1 − {1 - factor:.3g} < 1, so there is exactly one."
    return ask.answer(x[None], complete=True, method="contraction", reason=reason)


def _intervals(ask: Question, system: ResidualMap, max_boxes: int, *, at_any_size: bool) -> FixedPoints | None:
    damping, gain = float(system.damping), float(system.gain)
    name = system.activation.name
    if name not in _RANGES or damping == 0 or (len(system.W) > _LARGEST_INTERVALS and not at_any_size):
        return None
    ratio = gain / damping
    if not np.isfinite(np.abs(ratio * system.W).sum() + abs(ratio)):
        return None
    problem = intervals.Problem(
        B=ratio * system.W,
        b=np.asarray(system.b),
        value=system.activation.value,
        slope=system.activation.derivative,
        steepest=_SLOPES[name],
        bounds=_RANGES[name],
    )
    found = intervals.solutions(problem, max_boxes=max_boxes)
    low, high = sorted((ratio * _RANGES[name][0], ratio * _RANGES[name][1]))
    box = f"the box [{low:g}, {high:g}]^{len(system.W)}, which holds them all"
    complete = found.finished and not len(found.undecided)
    if complete:
        reason = f"interval branch and prune of {box}: each point proved, nothing left ({found.boxes} boxes)."
    elif not found.finished:
        reason = f"interval branch and prune of {box}, stopped after {found.boxes} boxes; allow more with max_boxes."
    else:
        reason = (
            f"interval branch and prune of {box}: {len(found.undecided)} tiny boxes could not be decided, the first at "
            f"x = {np.array2string(ratio * found.undecided[0], precision=6)}; fixed points merge there (a fold), fill "
            "a curve, or the weights are too steep for float64."
        )
    x = ratio * found.y
    if not complete:
        starts = [*(ratio * found.undecided[:200]), *newton.random_starts(system, (low, high), 32, 0)]
        others = newton.deflated_newton(system, starts)
        new = [other for other in others if not len(x) or np.abs(x - other).max(axis=1).min() > 1e-8 * (1 + abs(ratio))]
        x = np.concatenate([x, np.array(new).reshape(-1, len(system.W))])
        reason += " What Newton's method finds besides is listed."
    return ask.answer(x, complete=complete, method="intervals", reason=reason)
