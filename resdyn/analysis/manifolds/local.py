r"""The manifold near its saddle: the eigenvector, and the second-order term from the equation of invariance."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System
from resdyn.analysis.equilibria import newton, stability
from resdyn.iterated import IteratedMap

Array = NDArray[Any]

_HALVINGS = 60
NEAR = 1e-3
"""An arm that hardly moves has come to a fixed point if it is this near, relative to its length."""
_UNIT = float(np.finfo(float).eps)
# second differences of f lose ε/δ² and err by δ²: the fourth root of ε balances the two
_DIFFERENCE = float(np.finfo(float).eps) ** 0.25


def slopes(system: System, states: Array) -> Array:
    """∂f/∂x at flattened states (n, d), shape (n, d, d)."""
    jacobian = getattr(system, "jacobian", None)
    if jacobian is not None:
        return np.asarray(jacobian(0.0, states.reshape(-1, *system.shape)), dtype=float)
    identity = np.eye(states.shape[-1])
    return np.array([system.linearize(0.0, x.reshape(system.shape)) @ identity for x in states])


def field(system: System, states: Array) -> Array:
    """f at flattened states (*batch, d)."""
    shaped = states.reshape(*states.shape[:-1], *system.shape)
    with np.errstate(all="ignore"):
        return np.asarray(system.residual(0.0, shaped), dtype=float).reshape(states.shape)


@dataclass(frozen=True)
class LocalManifold:
    """p(s) = x* + s v + s²/2 w for |s| ≤ ``reach``, on flattened states."""

    saddle: Array
    direction: Array
    curvature: Array
    eigenvalue: float
    reach: float
    defect: float

    def __call__(self, s: Array) -> Array:
        s = np.asarray(s, dtype=float)[..., None]
        return np.asarray(self.saddle + s * self.direction + s**2 / 2 * self.curvature)


def refined(system: System, x: Array, *, period: int, asked: str, nearest: float, known: bool) -> Array:
    """The fixed point at x, not further than ``nearest``, or an error where there is none.

    A state that is not ``known`` to be a fixed point must lie where f is linear up to the fixed point: there one step
    of Newton's method arrives, whatever the scale of the system.
    """
    found = newton.refine(system, x)
    what = "fixed point" if period == 1 else f"state of a cycle of period {period}"
    if found is None or not _is_near(system, x.ravel(), found.ravel(), nearest, known):
        reached = "to none" if found is None else f"to {np.array2string(np.ravel(found)[:6], precision=6)}"
        raise ValueError(
            f"x is no {what} of {asked!r}: Newton's method leads {reached}, which is not near enough; pass one of "
            f"resdyn.fixed_points(system){'' if period == 1 else ', or a state of a cycle with its period'}."
        )
    return found


def _is_near(system: System, x: Array, found: Array, nearest: float, known: bool) -> bool:
    away = float(np.linalg.norm(found - x))
    size = float(np.linalg.norm(found))
    # a large fixed point may be known to half of the digits only
    if away > max(nearest, 1e-8 * size):
        return False
    missed = float(np.linalg.norm(x + newton_step(system, x) - found))
    return known or missed <= 0.01 * away + 64 * _UNIT * (1.0 + size)


def newton_step(system: System, x: Array) -> Array:
    """−A⁻¹ f at one flattened state, in the least squares sense where A is singular."""
    return np.asarray(np.linalg.lstsq(slopes(system, x[None])[0], -field(system, x), rcond=None)[0])


def smaller_period(system: System, x: Array, period: int) -> int | None:
    """The least period of a state of a cycle of ``period``, where that is smaller."""
    for divisor in range(1, period):
        if period % divisor:
            continue
        iterate: System = IteratedMap(system, divisor) if divisor > 1 else system
        # the Newton step is the distance to a state of the smaller period; states nearer than this are not told apart
        if float(np.linalg.norm(newton_step(iterate, x))) <= 1e-10 * (1.0 + float(np.linalg.norm(x))):
            return divisor
    return None


def leading_direction(system: System, x: Array, *, which: str, dynamics: str, strong: bool) -> tuple[float, Array]:
    """The eigenvalue and unit eigenvector of the manifold, or an error that counts the directions."""
    A = slopes(system, x[None])[0]
    values, vectors = np.linalg.eig(A)
    _, errors = stability.eigenvalues_with_errors(A[None])
    multipliers = 1 + system.step * values
    growth, margin = stability.growth_and_margin(values, multipliers, errors[0], system.step, dynamics)
    chosen = np.flatnonzero(growth > margin if which == "unstable" else growth < -margin)
    # log |μ|, not |μ|, so that nothing but the order is asked
    order = chosen[np.argsort(-np.abs(growth[chosen]), kind="stable")]
    if len(order) == 0 or (len(order) > 1 and not strong):
        directions = "no direction" if len(order) == 0 else f"{len(order)} directions"
        advice = (
            "take the other manifold, or another fixed point"
            if len(order) == 0
            else "strong=True takes the one of the fastest"
        )
        raise ValueError(
            f"the {which} manifold of this fixed point of {system.name!r} ({dynamics}) has {directions}, but a curve "
            f"has one; {advice}."
        )
    leading = order[0]
    if abs(values[leading].imag) > errors[0][leading]:
        raise ValueError(
            f"the leading eigenvalues of this fixed point of {system.name!r} are a complex pair "
            f"({values[leading]:.4g}): its {which} manifold is a surface, not a curve."
        )
    vector = np.real(vectors[:, leading])
    vector = vector / np.linalg.norm(vector)
    # one of two signs, the same on every machine
    return float(values[leading].real), vector * np.sign(vector[np.argmax(np.abs(vector) > 0.5 * np.abs(vector).max())])


def local_manifold(
    system: System, x: Array, eigenvalue: float, direction: Array, *, dynamics: str, tolerance: float, longest: float
) -> LocalManifold:
    r"""The longest local piece, up to ``longest``, whose defect is below ``tolerance``.

    Orders :math:`s^2` of the equation of invariance: :math:`(2\lambda I - A)w = D^2 f(v, v)` for a flow and
    :math:`(2\lambda + h\lambda^2 - A)w = D^2 f(v, v)` for a map (there :math:`\mu^2 = 1 + h(2\lambda + h\lambda^2)`).
    """
    A = slopes(system, x[None])[0]
    delta = _DIFFERENCE * (1.0 + float(np.abs(x).max()))
    second = (field(system, x + delta * direction) - 2 * field(system, x) + field(system, x - delta * direction)) / (
        delta**2
    )
    twice = 2 * eigenvalue + (system.step * eigenvalue**2 if dynamics == "map" else 0.0)
    # a resonance leaves w open along the other eigenvector: least squares takes none of it, and the defect says so
    curvature = np.linalg.lstsq(twice * np.eye(len(x)) - A, second, rcond=1e-10)[0]
    if not np.isfinite(curvature).all():
        curvature = np.zeros_like(x)
    reach, defect = longest, np.inf
    for _ in range(_HALVINGS):
        piece = LocalManifold(x, direction, curvature, eigenvalue, reach, defect)
        defect = max(_defect(system, piece, side * reach, dynamics) for side in (1.0, -1.0))
        if defect <= tolerance * reach or reach < 1e-10 * longest:
            break
        reach /= 2
    return LocalManifold(x, direction, curvature, eigenvalue, reach, defect)


def _defect(system: System, piece: LocalManifold, s: float, dynamics: str) -> float:
    """How far the piece misses its equation of invariance at s, as a distance of states."""
    f = field(system, piece(np.asarray(s)))
    if dynamics == "map":
        # between the smaller of s and μs and zero the piece is used
        multiplier = 1 + system.step * piece.eigenvalue
        if abs(multiplier) > 1:
            s = s / multiplier
            f = field(system, piece(np.asarray(s)))
        missed = piece(np.asarray(s)) + system.step * f - piece(np.asarray(multiplier * s))
        # the part along the curve only moves the parameter, yet counts here: the bound is safe
        return _finite(missed) / max(abs(system.step * piece.eigenvalue), 1e-300)
    tangent = piece.direction + s * piece.curvature
    return _finite(f - piece.eigenvalue * s * tangent) / abs(piece.eigenvalue)


def resting_word(system: System, end: Array, *, forwards: bool, dynamics: str, near: float) -> str:
    """Where an arm that hardly moves has come to: "converged" for a fixed point that attracts, "saddle" or "slow"."""
    found = newton.refine(system, end.reshape(system.shape))
    if found is None or float(np.linalg.norm(found.ravel() - end)) > near:
        return "slow"
    A = slopes(system, found.reshape(1, -1))
    values, errors = stability.eigenvalues_with_errors(A)
    growth, margin = stability.growth_and_margin(
        values[0], 1 + system.step * values[0], errors[0], system.step, dynamics
    )
    ahead = growth if forwards else -growth
    if (ahead > margin).any():
        return "saddle"
    return "converged" if (ahead < -margin).all() else "slow"


def _finite(vector: Array) -> float:
    size = float(np.linalg.norm(vector))
    return size if np.isfinite(size) else np.inf
