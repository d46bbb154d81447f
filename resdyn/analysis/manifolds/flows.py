"""Arms of manifolds of flows: one orbit each, forwards or backwards in time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System
from resdyn.analysis.manifolds.local import NEAR, LocalManifold, field, resting_word
from resdyn.analysis.manifolds.polyline import Resolution, arclength, inside, largest

Array = NDArray[Any]

_CHUNKS = 1000
# of the time in which the distance from the saddle grows by e; x³ comes from 1 to 1e30 in all but 2⁻²⁰⁰ of its time
_SHORTEST = 2.0**-200
_CONVERGED = 1e-6
_UNIT = float(np.finfo(float).eps)


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
    far = largest(local.saddle, length, region)

    def velocity(t: float, x: Array) -> Array:
        f = field(system, x)
        if not (np.isfinite(f).all() and np.abs(x).max() < far):
            raise _LeftError
        return sign * f

    arm = np.stack([local.saddle, local(np.asarray(side * local.reach))])
    if inside(arm[1:], region) == 0:
        return arm[:1], "region"
    total, longest = float(arclength(arm)[-1]), 0.0
    # the time in which the distance from the saddle grows by e
    whole = 1.0 / abs(local.eigenvalue)
    span = whole
    for _ in range(_CHUNKS):
        try:
            with np.errstate(all="ignore"):
                chunk = solve_ivp(
                    velocity, (0.0, span), arm[-1], method=method, dense_output=True, rtol=rtol, atol=atol
                )  # fmt: skip
        except _LeftError:
            # the end of the numbers lies within this time, or a trial step was too bold: come nearer
            span /= 2
            if span < _SHORTEST * whole:
                return arm, "diverged"
            continue
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
        if not chunk.success:
            # as for trajectories: so far out it was the state that went, not the integrator
            return arm, "diverged" if np.abs(arm[-1]).max() > 1e-2 * far else "stiff"
        if len(arm) >= max_points:
            return arm[:max_points], "points"
        if span == whole and total - before < _CONVERGED * longest:
            return arm, resting_word(system, arm[-1], forwards=forwards, dynamics="flow", near=NEAR * total)
        if span < whole and total <= before * (1 + 4 * _UNIT):
            return arm, "diverged"  # numbers lie no closer to where the field ends
        span = min(whole, 2 * span)
    return arm, "time"


class _LeftError(Exception):
    """The field is not finite, or the state is too far out."""


def _sampled(solution: Any, t: Array, before: Array, resolution: Resolution, allowed: int) -> Array:
    """The orbit at its own times, with times between where that is coarse."""
    while True:
        states = solution(t).T
        coarse = resolution.coarse(states, before)
        coarse = coarse[np.diff(t)[coarse] > 1e-13 * max(t[-1], 1e-300)] if len(coarse) else coarse
        if not len(coarse) or len(t) > allowed + 64:
            return np.asarray(states)
        t = np.insert(t, coarse + 1, (t[coarse] + t[coarse + 1]) / 2)
