r"""Potentials :math:`V = \sum_i d_i(\Phi(u_i) - y^*_iu_i)`, Φ' = φ: softplus energies and their relatives.

Along the flow :math:`\dot V = (y - y^*)^{\mathsf T}DM(y - y^*)` and terms that are not positive; along the map the
steepest slope L of φ adds :math:`\tfrac{hL}{2}M^{\mathsf T}DM`.
"""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.certificates.margins import (
    EPS,
    Sign,
    flow_form,
    fractions,
    sign_of_flow_form,
    sign_of_map_form,
)
from resdyn.analysis.certificates.preactivations import Preactivations, fixed_point
from resdyn.analysis.certificates.question import (
    Question,
    all_finite,
    at_most,
    definiteness,
    range_squared,
    step_weight,
)
from resdyn.analysis.certificates.result import Certificate, Condition
from resdyn.analysis.certificates.scalings import (
    balanced_scaling,
    first_scaling,
    flow_scalings,
    flow_terms,
    map_scalings,
    map_terms,
    scaling_to,
)

Array = NDArray[Any]


def potential(question: Question) -> Certificate | str:
    """The plain potential: sym(DW) ⪯ 0, with D = I or the balanced D."""
    network = _undamped(question)
    if isinstance(network, str):
        return network
    refusals = []
    for D in (np.ones(len(network.b)), balanced_scaling(network.M)):
        if not (np.isfinite(D).all() and (D > 0).all()):
            continue
        sign = _sign(network, question.dynamics, D)
        if sign.holds:
            return _about_zero(question, network, "potential", D, sign)
        refusals.append(f"{_matrix_name(network, question.dynamics, D)} has the eigenvalue {sign.value:.4g} > 0")
    return refusals[0]


def conserved(question: Question) -> Certificate | str:
    """DW skew: the potential is constant along the flow."""
    network = _undamped(question)
    if isinstance(network, str):
        return network
    if question.dynamics == "map":
        return "the potential of a skew DW is conserved by the flow; the map lets it grow"
    found = scaling_to(-1, network.M)
    if isinstance(found, str):
        return found
    D, _ = found
    sign = _sign(network, "flow", D)
    if not sign.value <= sign.error:
        return f"marginal: sym(DW) has the eigenvalue {sign.value:.2g}, beyond its rounding error {sign.error:.2g}"
    return _about_zero(question, network, "conserved potential", D, sign)


def diagonal_stability(question: Question) -> Certificate | str:
    """One D > 0 makes the potential decrease strictly: one global attractor."""
    network = question.network
    if isinstance(network, str):
        return network
    if network.damping:
        return _damped_stability(question, network)
    found = _strict_scaling(question, network, 0.0)
    if isinstance(found, str):
        return found
    D, sign = found
    return _about_zero(question, network, "diagonal stability", D, sign)


def equilibrium(question: Question) -> Certificate | str:
    """The potential about an equilibrium y* of the residuals, saturated or not."""
    network = _undamped(question)
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
    found = _strict_scaling(question, network, -weights)
    weak = _weak_scaling(question, network, -weights) if isinstance(found, str) else found
    if weak is None:
        assert isinstance(found, str)
        return found
    D, sign = weak
    return _about_equilibrium(question, network, center, D, sign, leak, weights)


# --- which matrix, and its sign ----------------------------------------------------------------------


def _undamped(question: Question) -> Preactivations | str:
    if isinstance(question.network, Preactivations) and question.network.damping:
        return f"the damping is {question.network.damping:.4g}, not 0"
    return question.network


def _sign(network: Preactivations, dynamics: str, D: Array, shift: Any = 0.0) -> Sign:
    if dynamics == "map":
        return sign_of_map_form(D, network.M, step_weight(network), network.exact_M)
    return sign_of_flow_form(D, network.M, shift, network.exact_M)


def _matrix_name(network: Preactivations, dynamics: str, D: Array, *, shift: str = "") -> str:
    W = "W" if network.gain == 1 else "αW"
    product = W if (D == 1).all() else f"D{W}"
    if shift:
        product = f"D({W} − {shift})" if (D != 1).any() else f"{W} − {shift}"
    if dynamics == "flow":
        return f"sym({product})"
    return f"sym({product}) + {float(step_weight(network)):.4g} {W}ᵀ{product}"


def _strict_scaling(question: Question, network: Preactivations, shift: Any) -> tuple[Array, Sign] | str:
    """D with the matrix proven negative definite, and its sign."""
    A = network.M + np.diag(np.zeros(len(network.b)) + np.asarray(shift, dtype=float))
    J = np.eye(len(A)) + 2 * float(step_weight(network)) * A
    refusal = _never_stable(A) if question.dynamics == "flow" else _never_contracting(J)
    if refusal:
        return refusal
    signs: list[Sign] = []

    def accept(D: Array) -> bool:
        signs.append(_sign(network, question.dynamics, D, shift))
        return signs[-1].strict

    if question.dynamics == "flow":
        D = first_scaling(flow_scalings(A), accept, (lambda: flow_terms(A)) if question.lmi else None)
    else:
        D = first_scaling(map_scalings(J), accept, (lambda: map_terms(J)) if question.lmi else None)
    return D if isinstance(D, str) else (D, signs[-1])


def _weak_scaling(question: Question, network: Preactivations, shift: Array) -> tuple[Array, Sign] | None:
    """D with the matrix negative semidefinite: all that is possible about an equilibrium other than 0.

    V does not change at y = 0, which is an equilibrium of logistic units too.
    """
    for D in (np.ones(len(network.b)), balanced_scaling(network.M)):
        if np.isfinite(D).all() and (D > 0).all():
            sign = _sign(network, question.dynamics, D, shift)
            if sign.holds:
                return D, sign
    return None


def _never_stable(A: Array) -> str:
    """Why no D makes DA + AᵀD ≺ 0: cheap necessary conditions."""
    worst = int(np.argmax(np.diag(A)))
    if A[worst, worst] >= 0:
        return f"no D > 0 can serve: the diagonal entry of unit {worst} is {A[worst, worst]:.4g} ≥ 0"
    growth = float(np.linalg.eigvals(A).real.max())
    return f"no D > 0 can serve: an eigenvalue has the real part {growth:.4g} ≥ 0" if growth >= 0 else ""


def _never_contracting(J: Array) -> str:
    """Why no D makes JᵀDJ ≺ D: cheap necessary conditions on J = I + hLW."""
    worst = int(np.argmax(np.abs(np.diag(J))))
    if abs(J[worst, worst]) >= 1:
        return f"no D > 0 can serve: I + hLW has the diagonal entry {J[worst, worst]:.4g}, not inside (−1, 1)"
    radius = float(np.abs(np.linalg.eigvals(J)).max())
    return f"no D > 0 can serve: I + hLW has the spectral radius {radius:.4g} ≥ 1" if radius >= 1 else ""


# --- no damping: about y* = 0, or another equilibrium -----------------------------------------------


def _about_zero(question: Question, network: Preactivations, form: str, D: Array, sign: Sign) -> Certificate | str:
    if sign.verdict == "rounding" and not network.slopes.bounded:
        return f"marginal: the eigenvalue {sign.value:.2g} is 0 within rounding, and φ is unbounded"
    center = np.full(len(D), network.slopes.zero)
    step = network.step if question.dynamics == "map" else 1.0
    slack = step * sign.excess * len(D) * network.slopes.largest**2 if sign.excess else 0.0
    name = _matrix_name(network, question.dynamics, D)
    if form == "conserved potential":
        conclusion = "V is constant along every orbit."
        condition = definiteness("skew", sign, f"{name} = 0")
        if sign.verdict == "rounding":
            conclusion = "To the precision of the weights: " + conclusion
    elif sign.strict:
        conclusion = _all_die_out(network)
        condition = definiteness("decrease", sign, f"{name} ≺ 0")
    else:
        conclusion = "V does not increase along any orbit."
        condition = definiteness("decrease", sign, f"{name} ⪯ 0")
    return Certificate(
        question.system,
        question.dynamics,
        form=form,
        conclusion=conclusion,
        conditions=(condition,),
        source="kaszkurewicz2000",
        kind="potential",
        scaling=D,
        matrix=flow_form(D, network.M, 0.0),
        center=center,
        region=np.inf,
        slack=slack,
    )


def _all_die_out(network: Preactivations) -> str:
    where = (
        "every pre-activation tends to 0"
        if network.slopes.zero == 0 and network.slopes.low < 0
        else "all residuals y die out"
    )
    rest = ": the change of the network's state per block tends to 0" if network.pulled_back else ""
    return f"From every initial state {where}{rest}."


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
    name = _matrix_name(network, question.dynamics, D, shift="diag c" if (weights != 0).any() else "")
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
            conditions.append(definiteness("undriven units", rest, f"{_matrix_name(network, 'flow', D)} ≺ 0 on them"))
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


# --- damping: about the one fixed point --------------------------------------------------------------


def _damped_stability(question: Question, network: Preactivations) -> Certificate | str:
    if question.dynamics == "map":
        return "for a damped map see 'contraction'"
    shift = -Fraction(network.damping) / Fraction(network.slopes.greatest)
    found = _strict_scaling(question, network, shift)
    if isinstance(found, str):
        return found
    D, sign = found
    start = network.b if question.at is None else network.of(question.at)
    if not all_finite(start):
        return "a damped system has no infinite fixed points; pass a finite state as at="
    center = fixed_point(network, start)
    if center is None:
        return "there is one fixed point, but Newton's method did not reach it to rounding"
    rounding = network.rate_error(center)
    residual = float(np.linalg.norm(D * (np.abs(network.rate(center)) + rounding)))
    name = _matrix_name(network, "flow", D, shift=f"{-float(shift):.4g} I")
    return Certificate(
        question.system,
        question.dynamics,
        form="diagonal stability",
        conclusion="There is one fixed point, and every orbit tends to it.",
        conditions=(
            definiteness("decrease", sign, f"{name} ≺ 0"),
            at_most("fixed point", residual, 2 * float(np.linalg.norm(D * rounding)), 0.0, "f(u*) = 0 within rounding"),
        ),
        source="forti1995, kaszkurewicz2000",
        kind="potential",
        scaling=D,
        matrix=flow_form(D, network.M, 0.0),
        center=center,
        region=np.inf,
        # −μ|δ|² + |δ||D f(u*)| at most
        slack=residual**2 / (4 * sign.decrease),
    )
