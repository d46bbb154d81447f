r"""Potentials :math:`V = \sum_i d_i(\Phi(u_i) - y^*_iu_i)`, Φ' = φ: softplus energies and their relatives.

Along the flow :math:`\dot V = (y - y^*)^{\mathsf T}DM(y - y^*)` and terms that are not positive; along the map the
steepest slope L of φ adds :math:`\tfrac{hL}{2}M^{\mathsf T}DM`.
"""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.certificates.margins import (
    Sign,
    flow_form,
    sign_of_flow_form,
    sign_of_map_form,
)
from resdyn.analysis.certificates.preactivations import Preactivations, fixed_point
from resdyn.analysis.certificates.question import (
    Question,
    all_finite,
    at_most,
    definiteness,
    step_weight,
)
from resdyn.analysis.certificates.result import Certificate
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
    network = undamped(question)
    if isinstance(network, str):
        return network
    refusals = []
    for D in (np.ones(len(network.b)), balanced_scaling(network.M)):
        if not (np.isfinite(D).all() and (D > 0).all()):
            continue
        sign = potential_sign(network, question.dynamics, D)
        if sign.holds:
            return _about_zero(question, network, "potential", D, sign)
        refusals.append(f"{matrix_name(network, question.dynamics, D)} has the eigenvalue {sign.value:.4g} > 0")
    return refusals[0]


def conserved(question: Question) -> Certificate | str:
    """DW skew: the potential is constant along the flow."""
    network = undamped(question)
    if isinstance(network, str):
        return network
    if question.dynamics == "map":
        return "the potential of a skew DW is conserved by the flow; the map lets it grow"
    found = scaling_to(-1, network.M)
    if isinstance(found, str):
        return found
    D, _ = found
    sign = potential_sign(network, "flow", D)
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
    found = strict_scaling(question, network, 0.0)
    if isinstance(found, str):
        return found
    D, sign = found
    return _about_zero(question, network, "diagonal stability", D, sign)


# --- which matrix, and its sign ----------------------------------------------------------------------


def undamped(question: Question) -> Preactivations | str:
    if isinstance(question.network, Preactivations) and question.network.damping:
        return f"the damping is {question.network.damping:.4g}, not 0"
    return question.network


def potential_sign(network: Preactivations, dynamics: str, D: Array, shift: Any = 0.0) -> Sign:
    if dynamics == "map":
        return sign_of_map_form(D, network.M, step_weight(network), network.exact_M)
    return sign_of_flow_form(D, network.M, shift, network.exact_M)


def matrix_name(network: Preactivations, dynamics: str, D: Array, *, shift: str = "") -> str:
    W = "W" if network.gain == 1 else "αW"
    product = W if (D == 1).all() else f"D{W}"
    if shift:
        product = f"D({W} − {shift})" if (D != 1).any() else f"{W} − {shift}"
    if dynamics == "flow":
        return f"sym({product})"
    return f"sym({product}) + {float(step_weight(network)):.4g} {W}ᵀ{product}"


def strict_scaling(question: Question, network: Preactivations, shift: Any) -> tuple[Array, Sign] | str:
    """D with the matrix proven negative definite, and its sign."""
    A = network.M + np.diag(np.zeros(len(network.b)) + np.asarray(shift, dtype=float))
    J = np.eye(len(A)) + 2 * float(step_weight(network)) * A
    refusal = _never_stable(A) if question.dynamics == "flow" else _never_contracting(J)
    if refusal:
        return refusal
    signs: list[Sign] = []

    def accept(D: Array) -> bool:
        signs.append(potential_sign(network, question.dynamics, D, shift))
        return signs[-1].strict

    if question.dynamics == "flow":
        D = first_scaling(flow_scalings(A), accept, (lambda: flow_terms(A)) if question.lmi else None)
    else:
        D = first_scaling(map_scalings(J), accept, (lambda: map_terms(J)) if question.lmi else None)
    return D if isinstance(D, str) else (D, signs[-1])


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


# --- no damping: about y* = 0 ------------------------------------------------------------------------


def _about_zero(question: Question, network: Preactivations, form: str, D: Array, sign: Sign) -> Certificate | str:
    if sign.verdict == "rounding" and not network.slopes.bounded:
        return f"marginal: the eigenvalue {sign.value:.2g} is 0 within rounding, and φ is unbounded"
    center = np.full(len(D), network.slopes.zero)
    step = network.step if question.dynamics == "map" else 1.0
    slack = step * sign.excess * len(D) * network.slopes.largest**2 if sign.excess else 0.0
    name = matrix_name(network, question.dynamics, D)
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


# --- damping: about the one fixed point --------------------------------------------------------------


def _damped_stability(question: Question, network: Preactivations) -> Certificate | str:
    if question.dynamics == "map":
        return "for a damped map see 'contraction'"
    shift = -Fraction(network.damping) / Fraction(network.slopes.greatest)
    found = strict_scaling(question, network, shift)
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
    name = matrix_name(network, "flow", D, shift=f"{-float(shift):.4g} I")
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
