"""``lyapunov_function``: which closed form applies to a system, checked with margins."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._types import System
from resdyn.analysis.certificates.contraction import contraction
from resdyn.analysis.certificates.energies import gradient, hopfield_energy
from resdyn.analysis.certificates.equilibria import equilibrium
from resdyn.analysis.certificates.potentials import conserved, diagonal_stability, potential
from resdyn.analysis.certificates.preactivations import preactivations
from resdyn.analysis.certificates.quadratic import quadratic_form
from resdyn.analysis.certificates.question import Question
from resdyn.analysis.certificates.result import Certificate

Array = NDArray[Any]

FORMS: dict[str, Callable[[Question], Certificate | str]] = {
    "equilibrium": equilibrium,
    "diagonal stability": diagonal_stability,
    "contraction": contraction,
    "quadratic form": quadratic_form,
    "gradient": gradient,
    "Hopfield energy": hopfield_energy,
    "conserved potential": conserved,
    "potential": potential,
}
"""The closed forms, the strongest conclusion first: one attractor for all, a proven basin of the point asked about,
convergence to some equilibrium, a function that does not change, a function that does not increase."""


def lyapunov_function(
    system: System, *, dynamics: str = "flow", at: Any = None, form: str | None = None
) -> Certificate:
    r"""A Lyapunov function in closed form, with the conditions that make it one.

    For the matrix family, with :math:`y = \varphi(u)`, u = Wx + b (or u = z), M = αW and slopes of φ below L:

    .. list-table::
       :header-rows: 1
       :widths: auto

       * - form
         - V
         - condition for the flow
         - condition for the map
       * - equilibrium, diagonal stability, potential
         - :math:`\sum_i d_i(\Phi(u_i) - y_i^*u_i)`
         - :math:`DM + M^{\mathsf T}D \preceq 0`; with damping the same of :math:`M - \tfrac\lambda L I`, ≺ 0
         - :math:`DM + M^{\mathsf T}D + hL\,M^{\mathsf T}DM \preceq 0`
       * - conserved potential
         - the same
         - DM skew
         -
       * - gradient, Hopfield energy
         - :math:`-\tfrac12y^{\mathsf T}DMy + \lambda\sum_i d_i(\int^{y_i}\varphi^{-1} - b_iy_i)`
         - DM symmetric
         - also :math:`h\lambda \le 1` and :math:`DM + \tfrac{2 - h\lambda}{hL}D \succeq 0`
       * - contraction
         - :math:`\|x - x^*\|_D`
         -
         - :math:`|1 - h\lambda| + hL\|M\|_D < 1`, or sharper
       * - quadratic form
         - :math:`(x - x^*)^{\mathsf T}P(x - x^*)`
         - :math:`PA + A^{\mathsf T}P \prec 0`
         - :math:`J^{\mathsf T}PJ \prec P`, J = I + hA

    Parameters
    ----------
    system : System
        For a :class:`resdyn.ResidualMap` or :class:`resdyn.LogisticResiduals` all forms are tried (a layer-wise map may
        contract); for any other system only the quadratic form near a fixed point.
    dynamics : "flow" or "map"
        The flow ẋ = f(x), or the network itself, x' = x + hf(x).
    at : array or resdyn.FixedPoint, optional
        A fixed point, as a state, near enough for Newton's method. For LogisticResiduals a state z, infinite where y
        is 0 or 1. The equilibrium and the quadratic form need it.
    form : str, optional
        Try this form only.

    Returns
    -------
    Certificate
        Of the form with the strongest conclusion, in the order one global attractor, proven basin of ``at``,
        convergence to some equilibrium, conserved, not increasing. ``bool(certificate)`` is False if none applies, and
        ``.reasons`` says why.

    Raises
    ------
    ValueError
        If ``dynamics`` or ``form`` is not one of the words, or ``at`` has another shape than the states.

    Notes
    -----
    D is found from ratios of weights, from comparison matrices, or by a linear matrix inequality (extra ``lmi``,
    [goulart2024]_); what these return is checked afterwards by Cholesky's elimination with a bound of all rounding
    errors [rump2006]_. A condition that holds with equality is accepted if the weights, as the rational numbers that
    floats are, satisfy it exactly, or if it holds within rounding and φ is bounded; then ``.slack`` bounds what V can
    rise by. The theorems: [cohen1983]_, [hopfield1984]_, [marcus1989]_, [goh1977]_, [forti1995]_, [buehner2006]_,
    [kaszkurewicz2000]_, [khalil2002]_.
    """
    if not isinstance(system, System):
        raise TypeError(
            f"lyapunov_function needs a System, but got {type(system).__name__}; make one with "
            "resdyn.ResidualMap(W, b) or resdyn.logistic_residuals(W, b)."
        )
    dynamics = validate.dynamics(dynamics)
    if form is not None:
        validate.choice(form, "form", tuple(FORMS))
    question = Question(system, dynamics, _state(system, at), preactivations(system))
    best: Certificate | None = None
    reasons: list[tuple[str, str]] = []
    also: list[str] = []
    for name in FORMS if form is None else [form]:
        with np.errstate(over="ignore", invalid="ignore"):
            answer = FORMS[name](question)
        if isinstance(answer, str):
            reasons.append((name, answer))
        elif not np.isfinite(answer.slack):
            reasons.append((name, "weights so large overflow the bounds of rounding; scale the system"))
        elif best is None:
            best = answer
            # what is found from here on is weaker: not worth a solver's time
            question = replace(question, lmi=False)
        elif not _same(answer, best):
            also.append(f"{name}: {answer.conclusion}")
    if best is None:
        return Certificate(system, dynamics, reasons=tuple(reasons))
    return replace(best, reasons=tuple(reasons), also=tuple(also))


def _state(system: System, at: Any) -> Array | None:
    """The state of a fixed point, which may come as an object that has it as ``x``."""
    if at is None:
        return None
    infinite = bool(getattr(system, "infinite_states", False))
    array = validate.real_array(getattr(at, "x", at), "at", finite=not infinite)
    if array.shape != system.shape:
        raise ValueError(
            f"at has shape {array.shape}, but {system.name!r} has states of shape {system.shape}; pass one fixed point."
        )
    return array.astype(float)


def _same(one: Certificate, other: Certificate) -> bool:
    """Whether two forms found the same function and say the same of it."""
    return (
        one.kind == other.kind
        and one.conclusion == other.conclusion
        and np.array_equal(one.scaling, other.scaling)
        and np.array_equal(one.center, other.center)
    )
