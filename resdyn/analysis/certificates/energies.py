r"""DM symmetric for some D > 0: the gradient of undamped residuals, the Hopfield energy of damped ones.

.. math:: V = -\tfrac12 y^{\mathsf T}DMy + \lambda\sum_i d_i\Bigl(\int^{y_i}\varphi^{-1} - b_iy_i\Bigr)
"""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.certificates.margins import EPS, Sign, sign_of_flow_form
from resdyn.analysis.certificates.preactivations import Preactivations
from resdyn.analysis.certificates.question import Question, at_most, definiteness, range_squared
from resdyn.analysis.certificates.result import Certificate, Condition
from resdyn.analysis.certificates.scalings import rounding_of_asymmetry, scaling_to

Array = NDArray[Any]


def gradient(question: Question) -> Certificate | str:
    """The undamped case: V = −½ yᵀDWy."""
    network = question.network
    if isinstance(network, str):
        return network
    if network.damping:
        return f"the damping is {network.damping:.4g}, not 0 (see 'Hopfield energy')"
    return _energy(question, network, "gradient", "logistic-gradient")


def hopfield_energy(question: Question) -> Certificate | str:
    """The damped case, the energy of Cohen and Grossberg and of Hopfield."""
    network = question.network
    if isinstance(network, str):
        return network
    if not network.damping:
        return "there is no damping (see 'gradient')"
    return _energy(question, network, "Hopfield energy", "hopfield-energy")


def _energy(question: Question, network: Preactivations, form: str, label: str) -> Certificate | str:
    found = scaling_to(1, network.M)
    if isinstance(found, str):
        return found
    D, error = found
    product = D[:, None] * network.M
    S = (product + product.T) / 2
    exact = error == 0.0 and bool((D == 1).all())
    # D makes M symmetric up to this matrix, in norm; the rounding of the products is part of it
    asymmetry = 0.0 if exact else float(np.linalg.norm(product - product.T)) / 2 + EPS * float(np.linalg.norm(product))
    if asymmetry and not network.slopes.bounded:
        return (
            f"marginal: DW is symmetric only within rounding ({error:.2g} of max |DW|), and "
            f"{network.slopes.activation.name} is unbounded, so the effect of the rounding is too"
        )
    text = "DW = (DW)ᵀ" if (D != 1).any() else "W = Wᵀ"
    text += " (exactly)" if exact else f" (within rounding, {rounding_of_asymmetry(len(D)):.1g} of max |DW|)"
    tolerance = 0.0 if exact else rounding_of_asymmetry(len(D))
    conditions = [Condition("symmetry", error, tolerance, tolerance - error, True, text)]
    strict = True
    if question.dynamics == "flow":
        steepest = network.slopes.greatest * asymmetry**2 / (4 * float(D.min()))
        slack = steepest * _output_squared(network) if asymmetry else 0.0
    else:
        step = _step_conditions(network, D)
        if isinstance(step, str):
            return step
        rows, curvature = step
        conditions += rows
        strict = curvature.strict
        if (asymmetry or curvature.excess) and not network.slopes.bounded:
            return f"marginal: {rows[-1].text}, and {network.slopes.activation.name} is unbounded"
        slack = _map_slack(network, asymmetry, curvature)
    return Certificate(
        question.system,
        question.dynamics,
        form=form,
        conclusion=_conclusion(network, question.dynamics, strict, exact=exact),
        conditions=tuple(conditions),
        source="hopfield1984, cohen1983" + (", marcus1989" if question.dynamics == "map" else ""),
        kind="energy",
        scaling=D,
        matrix=S,
        region=np.inf,
        slack=slack,
    )


def _output_squared(network: Preactivations) -> float:
    """A bound of |y|²."""
    return len(network.b) * network.slopes.largest**2


def _step_conditions(network: Preactivations, D: Array) -> tuple[list[Condition], Sign] | str:
    r""":math:`h\lambda \le 1` and :math:`DM + \frac{2 - h\lambda}{hL}D \succeq 0`."""
    h, damping = Fraction(network.step), Fraction(network.damping)
    rows = []
    if network.damping:
        if h * damping > 1:
            return f"the step is too long: hλ = {float(h * damping):.4g} > 1"
        rows.append(at_most("damping per step", float(h * damping), 1.0, 0.0, "hλ ≤ 1"))
    shift = (2 - h * damping) / (h * Fraction(network.slopes.greatest))
    sign = sign_of_flow_form(D, -network.M, -shift, lambda: -network.exact_M())
    text = f"DW + {float(shift):.4g} D ⪰ 0" if (D != 1).any() else f"W + {float(shift):.4g} I ⪰ 0"
    if network.gain != 1:
        text = text.replace("W", "αW")
    if not sign.holds:
        return f"the step is too long: {text} fails, the smallest eigenvalue is {-sign.value:.4g}"
    rows.append(definiteness("step", sign, text))
    return rows, sign


def _map_slack(network: Preactivations, asymmetry: float, sign: Sign) -> float:
    """What the rounding of DM can add to V per block: −½m|Δy|² + E|y||Δy| at most, with the margin m."""
    if not (asymmetry or sign.excess):
        return 0.0
    leak = asymmetry * np.sqrt(_output_squared(network))
    if sign.decrease:
        return float(leak**2 / (2 * sign.decrease))
    reach = range_squared(network)
    return float(leak * np.sqrt(reach) + 0.5 * sign.excess * reach)


def _conclusion(network: Preactivations, dynamics: str, strict: bool, *, exact: bool) -> str:
    where = "equilibria of the residuals" if not network.damping else "fixed points"
    if dynamics == "map" and not strict:
        words = "V does not increase along any orbit."
    elif network.slopes.bounded:
        words = (
            f"V decreases until the residuals stand still: every orbit approaches the {where}, and one of them if they "
            "are isolated."
        )
    else:
        words = f"V does not increase: every bounded orbit approaches the {where}."
    return words if exact else "To the precision of the weights: " + words
