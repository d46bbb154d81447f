"""The potential about an equilibrium y* of the residuals: a corner of the cube, or a point of one of its faces."""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.certificates.margins import EPS, Sign, flow_form, fractions, sign_of_flow_form
from resdyn.analysis.certificates.potentials import matrix_name, potential_sign, strict_scaling, undamped
from resdyn.analysis.certificates.preactivations import Preactivations
from resdyn.analysis.certificates.question import Question, definiteness, range_squared
from resdyn.analysis.certificates.result import Certificate, Condition
from resdyn.analysis.certificates.scalings import balanced_scaling

Array = NDArray[Any]


def equilibrium(question: Question) -> Certificate | str:
    """The potential about an equilibrium y* of the residuals, saturated or not."""
    network = undamped(question)
    if isinstance(network, str):
        return network
    if question.at is None:
        return "no equilibrium was given; pass at="
    center = anchor(network, question.at)
    if isinstance(center, str):
        return center
    pull = _pull(network, center)
    if isinstance(pull, str):
        return pull
    weights, leak = pull
    if question.dynamics == "map" and (weights != 0).any():
        return "for the map the form needs Wy* = 0, but saturated units are still driven; the flow may do"
    found = strict_scaling(question, network, -weights)
    weak = _weak_scaling(question, network, -weights) if isinstance(found, str) else found
    if weak is None:
        assert isinstance(found, str)
        return found
    D, sign = weak
    return _about_equilibrium(question, network, center, D, sign, leak, weights)


def _weak_scaling(question: Question, network: Preactivations, shift: Array) -> tuple[Array, Sign] | None:
    """D with the matrix negative semidefinite: all that is possible about an equilibrium other than 0.

    V does not change at y = 0, which is an equilibrium of logistic units too.
    """
    for D in (np.ones(len(network.b)), balanced_scaling(network.M)):
        if np.isfinite(D).all() and (D > 0).all():
            sign = potential_sign(network, question.dynamics, D, shift)
            if sign.holds:
                return D, sign
    return None


def anchor(network: Preactivations, at: Array) -> Array | str:
    """The pre-activation u* of the equilibrium, its interior units refined."""
    u = network.of(at)
    if np.isnan(u).any():
        return "the state given has no pre-activation (∞ − ∞)"
    inside = np.isfinite(u)
    if inside.all() and (u == network.slopes.zero).all():
        return u
    if not network.slopes.bounded:
        return f"equilibria other than 0 need a φ that saturates; {network.slopes.activation.name} is unbounded"
    if not inside.any():
        return u
    y, drive, error = _drive(network, u)
    if (np.abs(drive) > 1e-6 * (np.abs(network.M) @ np.abs(y)) + error)[inside].any():
        unit = int(np.argmax(np.where(inside, np.abs(drive), 0.0)))
        return f"not an equilibrium: unit {unit} is not saturated, and (Wy*)_{unit} = {drive[unit]:.4g}"
    # the smallest correction of y that stops the interior units
    block = network.M[np.ix_(inside, inside)] * network.slopes.activation.derivative(u[inside])
    u = u.copy()
    u[inside] -= np.linalg.lstsq(block, drive[inside], rcond=1e-10)[0]
    return u


def _drive(network: Preactivations, u: Array) -> tuple[Array, Array, Array]:
    """The outputs y, My, and a bound of the rounding error of My."""
    y = network.slopes.activation.value(u)
    return y, network.M @ y, (len(u) + 8) * EPS * (np.abs(network.M) @ np.abs(y))


def _pull(network: Preactivations, center: Array) -> tuple[Array, float] | str:
    """What each saturated unit gains from being driven towards its bound, and the leak of the others' rounding.

    With y* at a bound and c = |(My*)_i| pushing towards it, −c|δ| ≤ −(c/r)δ² for deviations of at most r, the range
    of φ.
    """
    y, drive, error = _drive(network, center)
    inside = np.isfinite(center)
    exact = None
    if not inside.any():
        # at a corner y* is exact, and so can c be
        exact = network.exact_M() @ fractions(y)
        drive, error = exact.astype(float), np.zeros(len(y))
    wrong = ~inside & (np.sign(center) * drive < -error)
    if wrong.any():
        unit = int(np.flatnonzero(wrong)[0])
        side = "below" if center[unit] < 0 else "above"
        return f"unit {unit} is saturated {side}, but (Wy*)_{unit} = {drive[unit]:.4g} drives it away"
    if not network.slopes.bounded:
        return np.zeros(len(y)), 0.0
    width = network.slopes.high - network.slopes.low
    if exact is not None:
        return np.abs(exact) / Fraction(width), 0.0
    # a push that is 0 within rounding counts as none, and what it may do to V as leak
    pushed = ~inside & (np.abs(drive) > error)
    weights = np.where(pushed, (np.abs(drive) - error) * (1 - 4 * EPS) / width, 0.0)
    uncertain = np.where(pushed, 0.0, np.abs(drive) + error)
    return weights, float(width * np.linalg.norm(uncertain))


def _about_equilibrium(
    question: Question, network: Preactivations, center: Array, D: Array, sign: Sign, leak: float, weights: Array
) -> Certificate | str:
    if (sign.excess or leak) and not network.slopes.bounded:
        return "marginal: a condition holds within rounding only, and φ is unbounded"
    name = matrix_name(network, question.dynamics, D, shift="diag c" if (weights != 0).any() else "")
    step = network.step if question.dynamics == "map" else 1.0
    slack = step * sign.excess * range_squared(network) if sign.excess else 0.0
    # the map meets the leak a second time in the square of its step
    factor = 2 + network.step * network.slopes.greatest * np.linalg.norm(network.M) if question.dynamics == "map" else 1
    slack += step * leak * float(D.max()) * np.sqrt(len(D)) * float(factor)
    conditions = [definiteness("decrease", sign, name + (" ≺ 0" if sign.strict else " ⪯ 0"))]
    y, drive, error = _drive(network, center)
    side = np.where(np.isfinite(center), np.abs(drive), -np.sign(center) * drive)
    conditions.append(
        Condition(
            "equilibrium",
            float(side.max()),
            0.0,
            float(np.min(-side - error)),
            True,
            "(Wy*)_i = 0 inside, ≤ 0 at the lower and ≥ 0 at the upper bound (within rounding where it is 0)",
        )
    )
    attracts = sign.strict
    if not attracts and question.dynamics == "flow":
        rest = _rest(network, D, weights)
        attracts = rest is None or rest.strict
        if rest is not None:
            conditions.append(definiteness("undriven units", rest, f"{matrix_name(network, 'flow', D)} ≺ 0 on them"))
    where = "(" + ", ".join(f"{value:.4g}" for value in y[:6]) + (", …)" if len(y) > 6 else ")")
    if attracts:
        conclusion = f"Every orbit from the interior tends to y* = {where}."
    else:
        conclusion = f"V, which measures the distance from y* = {where}, does not increase along any orbit."
    if sign.verdict == "rounding":
        conclusion = f"To the precision of the weights: {conclusion[0].lower()}{conclusion[1:]}"
    return Certificate(
        question.system,
        question.dynamics,
        form="equilibrium",
        conclusion=conclusion,
        conditions=tuple(conditions),
        source="goh1977, kaszkurewicz2000",
        kind="potential",
        scaling=D,
        matrix=flow_form(D, network.M, 0.0),
        center=center,
        region=np.inf,
        slack=float(slack),
    )


def _rest(network: Preactivations, D: Array, weights: Array) -> Sign | None:
    """The sign of the matrix on the units that nothing drives to their bounds; None if there are none.

    V stands still only where the driven units have arrived, so only the others are left to decide.
    """
    free = np.flatnonzero(weights == 0)
    if not free.size:
        return None
    block = np.ix_(free, free)
    return sign_of_flow_form(D[free], network.M[block], 0.0, lambda: network.exact_M()[block])
