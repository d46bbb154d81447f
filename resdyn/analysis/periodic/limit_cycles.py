r"""Limit cycles of flows, by multiple shooting with the time of one round as an unknown.

The orbit is cut into m pieces of equal time T/m. Unknown are the m states and T; the equations are

.. math:: \varphi_{T/m}(x_k) - x_{k+1} = 0, \qquad f(\hat x_0)\cdot(x_0 - \hat x_0) = 0,

the last one so that Newton's method does not slide along the orbit.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System
from resdyn.analysis.periodic import loops
from resdyn.analysis.periodic.flowing import Tolerances, flow_with_derivative, orbit
from resdyn.analysis.periodic.multipliers import multipliers
from resdyn.analysis.periodic.question import Question
from resdyn.analysis.periodic.result import Cycles

Array = NDArray[Any]

POINTS = 128
"""States kept of each cycle."""

_STEPS = 30
_SAMPLES = 200
_SETTLE = 20
_SHORTER = range(2, 9)


class _Loop:
    """A closed orbit: m shooting points (m, d), T, the derivatives of the pieces, the largest gap, and tolerances."""

    def __init__(self, states: Array, duration: float, blocks: Array, gap: float, tolerances: Tolerances) -> None:
        self.states, self.duration, self.blocks, self.gap = states, duration, blocks, gap
        self.tolerances = tolerances


def limit_cycles(
    ask: Question,
    given: Array | None,
    n_starts: int,
    rng: np.random.Generator,
    segments: int,
    *,
    rtol: Any,
    atol: Any,
    method: Any,
) -> Cycles:
    """The limit cycles near the period asked for."""
    system, guess = ask.system, float(ask.period)
    tolerances = Tolerances.of(rtol, atol, method)
    states = _settled(ask, n_starts, rng) if given is None else given
    found: list[_Loop] = []
    for start in states:
        candidate = _near_return(system, start, guess, segments)
        if candidate is not None:
            close = tolerances.within(float(np.abs(candidate[0]).max()))
            loop = _shoot(system, *candidate, close)
            if loop is not None and 0.5 * guess < loop.duration < 1.5 * guess:
                found.append(_once_round(system, loop, segments, close))
    many = "the starts given" if given is not None else f"{n_starts} starts"
    reason = f"what multiple shooting found from near returns of {many}; that there are no others is not proved."
    return _answer(ask, found, reason)


def _settled(ask: Question, n: int, rng: np.random.Generator) -> Array:
    """States drawn, and where the flow takes them in some rounds."""
    system, shape = ask.system, ask.system.shape
    if ask.region is not None:
        drawn = rng.uniform(*ask.region, size=(n, *shape))
    else:
        drawn = np.resize([0.1, 1.0, 10.0], n).reshape(-1, *(1 for _ in shape)) * rng.standard_normal((n, *shape))
    size = float(np.abs(drawn).max(initial=0.0))
    loose = Tolerances(1e-6, 1e-9, "RK45", scaled=True).within(size)
    later = orbit(system, drawn, _SETTLE * float(ask.period), 1, loose)[-1]
    return later[np.isfinite(later).reshape(n, -1).all(axis=1)]


def _near_return(system: System, start: Array, guess: float, segments: int) -> tuple[Array, float] | None:
    """Shooting points along the piece of the orbit from ``start`` that comes back nearest, and its time."""
    loose = Tolerances(1e-8, 1e-10, "RK45", scaled=True).within(float(np.abs(start).max(initial=0.0)))
    dt = guess / _SAMPLES
    x = orbit(system, start[None], dt, 4 * _SAMPLES, loose).reshape(4 * _SAMPLES + 1, -1)
    if not np.isfinite(x).all():
        x = x[: int(np.argmin(np.isfinite(x).all(axis=1)))]
    lags = np.arange(int(0.6 * _SAMPLES), int(1.4 * _SAMPLES) + 1)
    # from near an unstable cycle an orbit may run away before long
    lags = lags[lags < len(x)]
    if not lags.size:
        return None
    extent = np.ptp(x, axis=0).max()
    if extent <= 1e-6 * np.abs(x).max():
        return None  # at rest
    # the least distance over all beginnings, each scaled by how far a sample moves
    best, place = np.inf, (0, lags[0])
    for lag in lags:
        apart = np.linalg.norm(x[lag:] - x[:-lag], axis=1)
        begin = int(np.argmin(apart))
        if apart[begin] < best:
            best, place = float(apart[begin]), (begin, int(lag))
    begin, lag = place
    where = begin + np.round(np.arange(segments) * lag / segments).astype(int)
    return x[where], lag * dt


def _shoot(system: System, states: Array, duration: float, tolerances: Tolerances) -> _Loop | None:
    """Newton's method for the shooting points and T; None where it does not lead to a closed orbit."""
    m, d = states.shape
    anchor, first = states[0].copy(), duration
    direction = _slope(system, anchor[None])[0]
    direction = direction / (float(np.linalg.norm(direction)) or 1.0)
    last = np.inf
    for _ in range(_STEPS):
        ends, blocks = flow_with_derivative(system, states.reshape(m, *system.shape), duration / m, tolerances)
        ends = ends.reshape(m, d)
        if not (np.isfinite(ends).all() and np.isfinite(blocks).all()):
            return None
        missing = ends - np.roll(states, -1, axis=0)
        gap = float(np.linalg.norm(missing, axis=1).max())
        size = float(np.abs(states).max())
        # tolerances bound the error of a step; some hundred steps make a piece
        allowed = 100 * (tolerances.atol + tolerances.rtol * size)
        if gap <= allowed and last <= 1e-6 * size + allowed:
            # points that are no farther apart than what closes the orbit are one point, at rest
            if float(np.ptp(states, axis=0).max()) <= 1e-5 * size + 10 * allowed and m > 1:
                return None
            return _Loop(states, duration, blocks, gap, tolerances)
        matrix = np.zeros((m * d + 1, m * d + 1))
        speed = _slope(system, ends)
        for k in range(m):
            rows = slice(k * d, (k + 1) * d)
            after = (k + 1) % m
            matrix[rows, rows] += blocks[k]
            matrix[rows, after * d : (after + 1) * d] -= np.eye(d)
            # states in units of their size, and T in units of T, so that none is small beside the others
            matrix[rows, -1] = speed[k] / m * (duration / size)
        matrix[-1, :d] = direction
        right = np.concatenate([-missing.ravel(), [-float(direction @ (states[0] - anchor))]])
        step = size * np.linalg.lstsq(matrix, right / size, rcond=1e-14)[0]
        step[-1] *= duration / size
        last = float(np.abs(step[:-1]).max())
        # a step that changes T by more than a fifth leaves what the guess was about
        share = min(1.0, 0.2 * duration / max(abs(float(step[-1])), 1e-300), size / max(last, 1e-300))
        states, duration = states + share * step[:-1].reshape(m, d), duration + share * float(step[-1])
        if not 0.2 * first < duration < 5 * first:
            return None
    return None


def _slope(system: System, states: Array) -> Array:
    n = len(states)
    return np.asarray(system.residual(0.0, states.reshape(n, *system.shape)), dtype=float).reshape(n, -1)


def _once_round(system: System, loop: _Loop, segments: int, tolerances: Tolerances) -> _Loop:
    """The same orbit run through once, if it was run through more often."""
    x = loop.states[0].reshape(1, *system.shape)
    size = float(np.abs(loop.states).max())
    for times in reversed(_SHORTER):
        part = loop.duration / times
        pieces = orbit(system, x, part / segments, segments, tolerances).reshape(segments + 1, -1)
        if np.isfinite(pieces).all() and np.abs(pieces[-1] - pieces[0]).max() <= 1e-5 * size:
            shorter = _shoot(system, pieces[:-1], part, tolerances)
            if shorter is not None and abs(shorter.duration - part) <= 1e-4 * part:
                return shorter
    return loop


def _answer(ask: Question, found: list[_Loop], reason: str) -> Cycles:
    system, d = ask.system, int(np.prod(ask.system.shape))
    sampled = np.array([_samples(system, loop) for loop in found]).reshape(-1, POINTS, d)
    # averages over a round do not depend on where it begins
    means = np.concatenate([sampled.mean(axis=1), (sampled**2).mean(axis=1)], axis=1)
    size = np.abs(sampled).max(axis=(1, 2), initial=0.0)
    times = np.array([loop.duration for loop in found])
    units = np.column_stack([times, *[size] * d, *[size**2] * d])
    best, group = loops.grouped(np.column_stack([times, means]), 1e-5 * units)
    hits = np.bincount(group, minlength=len(best)).astype(np.int64)
    keep = np.ones(len(best), dtype=bool)
    if ask.region is not None:
        low, high = (end.ravel() for end in ask.region)
        keep &= ((sampled[best] >= low) & (sampled[best] <= high)).all(axis=(1, 2))
    best, hits = best[keep], hits[keep]
    duration = np.array([found[i].duration for i in best])
    order = _in_order(sampled[best, 0], duration)
    best, hits, duration = best[order], hits[order], duration[order]
    values, errors, trivial = np.empty((len(best), d - 1), dtype=complex), np.empty((len(best), d - 1)), []
    for row, i in enumerate(best):
        values[row], errors[row], away = _without_the_trivial(found[i])
        trivial.append(away)
    return ask.pick(
        Cycles(
            x=sampled[best].reshape(-1, POINTS, *system.shape),
            multipliers=values,
            errors=errors,
            residual_norm=np.array([found[i].gap for i in best]),
            duration=duration,
            prime_period=np.ones(len(best), dtype=np.int64),
            hits=hits,
            period=float(ask.period),
            complete=False,
            method="shooting",
            reason=reason,
            system=system,
            dynamics="flow",
            stable=ask.stable,
            trivial_multiplier_error=np.array(trivial),
        )
    )


def _in_order(first: Array, duration: Array) -> Array:
    """By time, then by the first states, of which six digits count."""
    if not len(first):
        return np.arange(0)
    rows = np.column_stack([first / (np.abs(first).max() or 1.0), duration / duration.max()])
    return np.lexsort(np.round(rows, 6).T)


def _samples(system: System, loop: _Loop) -> Array:
    """States at POINTS equal times, from the shooting points, so that an unstable orbit is not left."""
    m, d = loop.states.shape
    times = np.arange(POINTS) * loop.duration / POINTS
    piece = np.minimum((times * m / loop.duration + 1e-9).astype(int), m - 1)
    out = np.empty((POINTS, d))
    out[:] = np.nan
    fine = orbit(
        system, loop.states.reshape(m, *system.shape), loop.duration / (m * POINTS), POINTS, loop.tolerances
    ).reshape(POINTS + 1, m, d)
    for j in range(POINTS):
        # times of samples and of pieces are both multiples of T / (m · POINTS)
        out[j] = fine[j * m - int(piece[j]) * POINTS, piece[j]]
    begin = int(np.argmax(out[:, 0]))
    return np.roll(out, -begin, axis=0)


def _without_the_trivial(loop: _Loop) -> tuple[Array, Array, float]:
    """Multipliers without the one that belongs to the flow's own direction, their errors, and how far it was from 1."""
    values, errors = multipliers(loop.blocks[None])
    place = int(np.argmin(np.abs(values[0] - 1.0)))
    away = float(np.abs(values[0, place] - 1.0))
    rest = np.delete(values[0], place)
    # the trivial multiplier is known exactly, so its error says how well the others are known, relative to their size
    doubt = np.delete(errors[0], place) + np.maximum(np.abs(rest), 1e-300) * max(10 * away, 1e3 * loop.tolerances.rtol)
    return rest, doubt, away
