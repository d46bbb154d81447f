r"""A quadratic form near a stable fixed point, and a region in which it is proven to decrease.

The linearization A (or J = I + hA) gives P, and bounds of the second derivative of φ give the largest c for which
V ≤ c is a proven part of the basin.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_continuous_lyapunov, solve_discrete_lyapunov
from scipy.special import expit

from resdyn._types import System
from resdyn.analysis.certificates.equilibria import anchor
from resdyn.analysis.certificates.margins import EPS, Sign, rounding, sign
from resdyn.analysis.certificates.preactivations import Preactivations, fixed_point
from resdyn.analysis.certificates.question import Question, definiteness
from resdyn.analysis.certificates.result import Certificate, Condition
from resdyn.analysis.equilibria.newton import refine
from resdyn.matrix_family import LogisticResiduals

Array = NDArray[Any]

# the share of the linear decrease that the nonlinear part may use up inside the region; what is left of it absorbs the
# residual of an approximate fixed point
_SHARE = 0.99
_FARTHEST = 1e150  # its square is a number


@dataclass(frozen=True, eq=False)
class Expansion:
    r"""The flow (or one block) about a fixed point: :math:`\dot\delta = A\delta + Br(\delta)` + a small residual.

    ``remainder(t)`` gives vectors s, q with :math:`|r_i| \le s_i|\delta_i| + q_i|(C\delta)_i|` wherever
    :math:`|\delta_i| \le t\,\kappa_i` and :math:`|(C\delta)_i| \le t\,\mu_i`; None where no bound is known.
    """

    center: Array
    A: Array
    """∂f/∂x of the flow, or I + hA of the map."""
    error: float
    """A bound of the error of A, in norm."""
    residual: float
    """|f| at the centre, or h|f| of the map, rounding included."""
    B: Array | None = None
    C: Array | None = None
    remainder: Callable[[float, Array, Array], tuple[Array, Array]] | None = None
    most: Callable[[Array], float] | None = None
    """The largest t for which the bound is valid, from μ."""


def quadratic_form(question: Question) -> Certificate | str:
    """V = (x − x*)ᵀP(x − x*)."""
    if question.at is None:
        return "no fixed point was given; pass at="
    if question.system.depth is not None:
        return "the layers differ, so there is no fixed point"
    expansion = _expansion(question, question.at)
    if isinstance(expansion, str):
        return expansion
    unstable = _not_attracting(expansion.A, question.dynamics)
    if unstable:
        return unstable
    P, decrease = _lyapunov_equation(expansion, question.dynamics)
    if not decrease.strict:
        return f"marginal: the decrease of V is lost in rounding ({-decrease.value:.2g} ± {decrease.error:.1g})"
    return _certificate(question, expansion, P, decrease)


def _not_attracting(A: Array, dynamics: str) -> str:
    eigenvalues = np.linalg.eigvals(A)
    if dynamics == "flow":
        worst, limit, name = float(eigenvalues.real.max()), 0.0, "an eigenvalue with the real part"
    else:
        worst, limit, name = float(np.abs(eigenvalues).max()), 1.0, "a multiplier of modulus"
    if worst < limit:
        return ""
    if abs(worst - limit) <= len(A) * EPS * max(float(np.abs(A).max()), limit) * 8:
        return f"the fixed point is not hyperbolic ({name} {worst:.6g}): linearization does not decide"
    return f"the fixed point does not attract: {name} {worst:.4g} ≥ {limit:g}"


def _lyapunov_equation(expansion: Expansion, dynamics: str) -> tuple[Array, Sign]:
    """P, and the sign of PA + AᵀP (or JᵀPJ − P): checked, because the solvers are not trusted."""
    A, identity = expansion.A, np.eye(len(expansion.A))
    if dynamics == "flow":
        P = solve_continuous_lyapunov(A.T, -identity)
        P = (P + P.T) / 2
        matrix = P @ A + A.T @ P
        magnitude = np.abs(P) @ np.abs(A) + np.abs(A.T) @ np.abs(P)
        reach = 2 * np.linalg.norm(P) * expansion.error
    else:
        P = solve_discrete_lyapunov(A.T, identity)
        P = (P + P.T) / 2
        matrix = A.T @ P @ A - P
        magnitude = 2 * np.abs(A.T) @ np.abs(P) @ np.abs(A) + np.abs(P)
        reach = np.linalg.norm(P) * expansion.error * (2 * np.linalg.norm(A) + expansion.error)
    found = sign((matrix + matrix.T) / 2 + reach * identity, magnitude + reach * identity)
    positive = sign(-P, np.abs(P))
    return P, found if positive.strict else Sign(max(found.value, positive.value), positive.error, "rounding")


def _certificate(question: Question, expansion: Expansion, P: Array, decrease: Sign) -> Certificate | str:
    flow = question.dynamics == "flow"
    speed = decrease.decrease
    size = float(np.linalg.norm(P, 2)) + rounding(np.abs(P))
    left = (1 - _SHARE) * speed
    if flow:
        # −left|δ|² + 2|P||δ||f(x*)| at most
        slack = size**2 * expansion.residual**2 / left
    else:
        # −left|δ|² + 2|P||f|(|Jδ| + what is nonlinear, itself below |Jδ| + |δ|) + |P||f|², h included
        push = size * expansion.residual * (2 * float(np.linalg.norm(expansion.A)) + 1)
        slack = push**2 / left + size * expansion.residual**2
    region: float | None = None
    words = "The fixed point attracts a neighbourhood; how large it is, is not known for this kind of system."
    if expansion.remainder is not None:
        region = _region(expansion, P, _SHARE * speed, dynamics=question.dynamics)
        if region * left / size <= 2 * slack:
            return f"marginal: the region proven, V ≤ {region:.2g}, is lost in the rounding of the fixed point"
        words = "The fixed point attracts every state" + ("." if np.isinf(region) else f" with V ≤ {region:.4g}.")
    name = "PA + AᵀP ≺ 0" if flow else "JᵀPJ − P ≺ 0, J = I + hA"
    return Certificate(
        question.system,
        question.dynamics,
        form="quadratic form",
        conclusion=words,
        conditions=(
            definiteness("decrease", decrease, name),
            Condition(
                "fixed point",
                expansion.residual,
                0.0,
                -expansion.residual,
                True,
                "f(x*) = 0 (within rounding, or as well as Newton's method finds it)",
            ),
        ),
        source="khalil2002",
        kind="quadratic",
        matrix=P,
        center=expansion.center,
        region=region,
        slack=float(slack),
    )


def _region(expansion: Expansion, P: Array, share: float, *, dynamics: str) -> float:
    r"""The largest c for which the nonlinear part uses up at most ``share`` of the decrease wherever V ≤ c.

    On V ≤ t² each :math:`|a^{\mathsf T}\delta| \le t\,(a^{\mathsf T}P^{-1}a)^{1/2}`.
    """
    assert expansion.B is not None
    assert expansion.C is not None
    assert expansion.remainder is not None
    B, C = expansion.B, expansion.C
    inverse = np.linalg.inv(P)
    grow = 1 + 1e-9  # the inverse and the norms below are rounded
    kappa = grow * np.sqrt(np.diag(inverse))
    mu = grow * np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", C, inverse, C), 0.0))

    remainder = expansion.remainder
    left = P @ B if dynamics == "flow" else expansion.A.T @ P @ B

    def used(t: float) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            s, q = remainder(t, kappa, mu)
        if not (np.abs(s) < 1e100).all() or not (np.abs(q) < 1e100).all():
            return np.inf
        first, second = np.sqrt(s), np.sqrt(q)
        along_state = np.linalg.norm(left * first, 2) * first.max()
        along_preactivation = np.linalg.norm(left * second, 2) * np.linalg.norm(second[:, None] * C, 2)
        total = 2 * (along_state + along_preactivation)
        if dynamics == "map":
            size = np.linalg.norm(B * s, 2) + np.linalg.norm((B * q) @ C, 2)
            total += np.linalg.norm(P, 2) * size**2
        return float(grow * total)

    limit = np.inf if expansion.most is None else expansion.most(mu)
    # the remainder grows with t or is bounded: what holds here holds for all numbers there are
    high = min(limit, _FARTHEST)
    if used(high) <= share:
        return float(high**2) if np.isfinite(limit) else np.inf
    low = 0.0
    for _ in range(200):
        middle = (low + high) / 2 if low else high / 16
        low, high = (middle, high) if used(middle) <= share else (low, middle)
        if high - low <= 1e-6 * low:
            break
    return low**2


# --- the expansions ----------------------------------------------------------------------------------


def _expansion(question: Question, at: Array) -> Expansion | str:
    if isinstance(question.system, LogisticResiduals):
        assert isinstance(question.network, Preactivations)
        return _of_residuals(question.network, at, question.dynamics)
    if not np.isfinite(at).all():
        return f"the state given is infinite, and states of {question.system.name!r} are finite"
    if isinstance(question.network, Preactivations):
        return _of_matrices(question.network, question.system, at, question.dynamics)
    return _of_any(question.system, at, question.dynamics)


def _of_matrices(network: Preactivations, system: System, at: Array, dynamics: str) -> Expansion | str:
    """δ̇ = (−λI + α diag φ′(u*) W)δ + α r(Wδ)."""
    n, slopes = len(network.b), network.slopes
    x = at
    if network.damping:
        u = fixed_point(network, network.of(at))
        if u is None:
            return "Newton's method found no fixed point from the state given"
        x = network.state(u)
        if not np.linalg.norm(x - at) <= 1e-3 * (1 + np.linalg.norm(at)):
            return f"not a fixed point: the nearest that Newton's method finds is {np.linalg.norm(x - at):.2g} away"
    u = network.of(x)
    f = np.abs(system.residual(0.0, x))
    shake = (n + 8) * EPS * (np.abs(network.W) @ np.abs(x) + np.abs(network.b))
    error = network.damping * np.abs(x) * 8 * EPS + abs(network.gain) * (
        slopes.greatest * shake + 8 * EPS * np.abs(slopes.activation.value(u))
    )
    residual = float(np.linalg.norm(f + error))
    if not network.damping and residual > 1e-10 * (1 + abs(network.gain)):
        return f"not a fixed point: |f| = {float(np.linalg.norm(f)):.2g} there"
    slope = slopes.activation.derivative(u)
    A = network.gain * slope[:, None] * network.W - network.damping * np.eye(n)
    bend = slopes.curvature or 0.0
    loose = (bend * shake + 8 * EPS * slope) * abs(network.gain)
    wrong = float(np.linalg.norm(loose[:, None] * np.abs(network.W))) + 4 * EPS * float(np.linalg.norm(A))
    most = None
    if slopes.curvature is None:
        if (np.abs(u) <= shake).any():
            return f"unit {int(np.argmin(np.abs(u)))} sits at the kink of {slopes.activation.name}"

        def most(mu: Array) -> float:
            # no unit may switch on or off
            room = np.abs(u) - shake
            with np.errstate(over="ignore"):
                return float(np.min(np.divide(room, mu, out=np.full_like(room, np.inf), where=mu > 0)))

    step = network.step if dynamics == "map" else 1.0
    return Expansion(
        center=x,
        A=np.eye(n) + step * A if dynamics == "map" else A,
        error=step * wrong + 4 * EPS * np.sqrt(n),
        residual=step * residual,
        B=step * network.gain * np.eye(n),
        C=network.W,
        remainder=lambda t, kappa, mu: (np.zeros(n), bend / 2 * t * mu),
        most=most,
    )


def _of_residuals(network: Preactivations, at: Array, dynamics: str) -> Expansion | str:
    r"""The residuals y = σ(z) about y*, in y: a cubic flow, and a map whose second derivatives have simple bounds.

    With v = h(Wy)_i the map is :math:`G(y, v) = ye^v/(1 - y + ye^v)`. For |v| ≤ V:
    :math:`|G_{yy}| \le 2e^{2V} - 2e^V`, :math:`|G_{yv}| \le e^V`, :math:`|G_{vv}| \le 1/(6\sqrt3)`.
    """
    center = anchor(network, at)
    if isinstance(center, str):
        return center
    W, n, h = network.W, len(network.b), network.step
    y = expit(center)
    inside = np.isfinite(center)
    slope = expit(center) * expit(-center)
    drive = W @ y
    tilt = expit(-center) - y
    error = (n + 8) * EPS * (np.abs(W) @ np.abs(y))
    outside = np.where(inside, 0.0, drive)
    curvature = network.slopes.curvature
    assert curvature is not None
    if dynamics == "flow":
        A = slope[:, None] * W + np.diag(tilt * outside)
        residual = float(np.linalg.norm(slope * (np.abs(drive - outside) + error)))

        def remainder(t: float, kappa: Array, mu: Array) -> tuple[Array, Array]:
            size = np.minimum(t * kappa, 1.0)
            return (np.abs(outside) + error) * size, np.abs(tilt) * size + size**2

        wrong = float(np.linalg.norm(error)) + 16 * EPS * float(np.linalg.norm(A))
        return Expansion(center, A, wrong, residual, np.eye(n), W, remainder)
    A = h * slope[:, None] * W + np.diag(np.exp(h * tilt * outside))
    residual = float(np.linalg.norm(h * slope * (np.abs(drive - outside) + error)))

    def remainder_of_map(t: float, kappa: Array, mu: Array) -> tuple[Array, Array]:
        size, push = np.minimum(t * kappa, 1.0), h * t * mu
        reach = h * (np.abs(outside) + error) + push
        bend = 2 * np.exp(reach) * np.expm1(reach)
        return bend / 2 * size, h * (np.exp(reach) * size + curvature / 2 * push)

    wrong = float(np.linalg.norm(h * error * np.exp(h * np.abs(outside)))) + 16 * EPS * float(np.linalg.norm(A))
    return Expansion(center, A, wrong, residual, np.eye(n), W, remainder_of_map)


def _of_any(system: System, at: Array, dynamics: str) -> Expansion | str:
    """Any other System: its Jacobian, and no bound of what is nonlinear."""
    size = int(np.prod(system.shape))

    def linearized(state: Array, t: float = 0.0) -> tuple[Array, float]:
        operator = system.linearize(t, state)
        return operator @ np.eye(size), float(getattr(operator, "error", None) or 0.0)

    with np.errstate(all="ignore"):
        if not np.isfinite(np.asarray(system.residual(0.0, at))).all():
            return "f is not finite at the state given"
        x = refine(system, at)
    if x is None:
        return "not a fixed point: Newton's method finds no root of f from the state given"
    if not np.linalg.norm(x - at) <= 1e-3 * (1 + np.linalg.norm(at)):
        return f"not a fixed point: the nearest that Newton's method finds is {np.linalg.norm(x - at):.2g} away"
    for later in (0.618 * system.step, 7.3 * system.step):
        moved = np.linalg.norm(np.asarray(system.residual(later, x)) - np.asarray(system.residual(0.0, x)))
        turned = np.linalg.norm(linearized(x, later)[0] - linearized(x)[0])
        if moved > 1e-6 * (1 + np.linalg.norm(x)) or turned > 1e-6 * (1 + np.linalg.norm(linearized(x)[0])):
            return "f depends on t, and a quadratic form speaks of autonomous systems"
    f = np.asarray(system.residual(0.0, x)).ravel()
    A, error = linearized(x)
    residual = float(np.linalg.norm(f)) + 8 * EPS * float(np.linalg.norm(A)) * (1 + float(np.linalg.norm(x)))
    wrong = size * error + 16 * EPS * float(np.linalg.norm(A))
    if dynamics == "flow":
        return Expansion(x, A, wrong, residual)
    return Expansion(x, np.eye(size) + system.step * A, system.step * wrong + 4 * EPS, system.step * residual)
