"""Arms of manifolds of flows: one orbit each, forwards or backwards in time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System
from resdyn.analysis.manifolds.local import LocalManifold, field
from resdyn.analysis.manifolds.polyline import Resolution, arclength, inside

Array = NDArray[Any]

_FAR = 1e8
_CHUNKS = 400
_CONVERGED = 1e-6


def grow(
    system: System,
    local: LocalManifold,
    side: float,
    *,
    forwards: bool,
    resolution: Resolution,
    length: float,
    region: tuple[Array, Array] | None,
    max_points: int,
    rtol: float,
    atol: float,
    method: str,
) -> tuple[Array, str]:
    """The states of one arm, (n, d), and why it ends."""
    from scipy.integrate import solve_ivp

    sign = 1.0 if forwards else -1.0

    def velocity(t: float, x: Array) -> Array:
        return sign * field(system, x)

    arm = np.stack([local.saddle, local(np.asarray(side * local.reach))])
    if inside(arm[1:], region) == 0:
        return arm[:1], "region"
    total, longest = float(arclength(arm)[-1]), 0.0
    # the time in which the distance from the saddle grows by e
    span = 1.0 / abs(local.eigenvalue)
    for _ in range(_CHUNKS):
        with np.errstate(all="ignore"):
            chunk = solve_ivp(
                velocity, (0.0, span), arm[-1], method=method, dense_output=True, rtol=rtol, atol=atol,
                events=_escape,
            )  # fmt: skip
        orbit = _sampled(chunk.sol, chunk.t, arm[-2], resolution, max_points - len(arm))[1:]
        kept = inside(orbit, region)
        before = total
        arm = np.concatenate([arm, orbit[:kept]])
        lengths = arclength(arm)
        total = float(lengths[-1])
        longest = max(longest, total - before)
        if total >= length:
            return arm[: int(np.searchsorted(lengths, length)) + 1], "length"
        if kept < len(orbit):
            return arm, "region"
        if chunk.status == 1:
            return arm, "diverged"
        if not chunk.success:
            # as for trajectories: beyond 1e6 it was the state that went, not the integrator
            return arm, "diverged" if np.abs(arm[-1]).max() > 1e6 else "stiff"
        if len(arm) >= max_points:
            return arm[:max_points], "points"
        if total - before < _CONVERGED * longest:
            return arm, "converged"
    return arm, "layers"


def _escape(t: float, x: Array) -> float:
    return float(_FAR - np.abs(x).max()) if np.isfinite(x).all() else -1.0


_escape.terminal = True  # type: ignore[attr-defined]


def _sampled(solution: Any, t: Array, before: Array, resolution: Resolution, allowed: int) -> Array:
    """The orbit at its own times, with times between where that is coarse."""
    while True:
        states = solution(t).T
        coarse = resolution.coarse(states, before)
        coarse = coarse[np.diff(t)[coarse] > 1e-13 * max(t[-1], 1e-300)] if len(coarse) else coarse
        if not len(coarse) or len(t) > allowed + 64:
            return np.asarray(states)
        t = np.insert(t, coarse + 1, (t[coarse] + t[coarse + 1]) / 2)
