"""Sets that orbits fill without repeating themselves: their names, and whether two samples are of the same set.

Nothing here is a proof. A name needs an exponent that is clear of zero, or an orbit that went round often enough
without one; two samples are of different sets if their points or their boxes say so, else they count as one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.attraction.orbits import Orbits

Array = NDArray[Any]

# layers over which exponents are taken: longer while they are not clear of zero
_HORIZONS = (4096, 16384, 65536)
_ALL_EXPONENTS = 8
# an orbit that went round less often says nothing of motions that never repeat; one that did so often says enough
_TURNS, _MANY_TURNS = 50, 1000
# a section is taken of an orbit of so many layers, and is repeated after at most so many returns
_SECTION, _RETURNS = 8192, 16
# states of one sample that are looked for in another, and pieces of which the boxes are compared
_ASKED, _PIECES = 256, 16


@dataclass(frozen=True)
class Motion:
    """What the exponents of an orbit say."""

    kind: str
    conserves: bool = False
    """Volume is conserved, so that nothing attracts."""
    contracts: bool = False
    """All exponents but one of 0 are negative: what is beside the curve comes to it."""


def motion(orbits: Orbits, x: Array, turns: float) -> Motion:
    """The motion of the orbit from x (d,), which goes round so many times per layer; "unknown" if it is not told."""
    from resdyn.analysis.exponents.spectrum import lyapunov_spectrum

    n = orbits.size if orbits.size <= _ALL_EXPONENTS else 2
    options: dict[str, Any] = {"rtol": orbits.rtol, "atol": orbits.atol, "method": orbits.solver}
    planar = not orbits.is_map and orbits.size == 2
    conserves = contracts = regular = decided = False
    for depth in _HORIZONS:
        spectrum = lyapunov_spectrum(
            orbits.system,
            x.reshape(orbits.system.shape),
            depth=depth,
            n_exponents=n,
            dynamics=orbits.dynamics,
            threads=orbits.threads,
            **(options if not orbits.is_map else {}),
        )
        exponents, horizon = np.asarray(spectrum.exponents), depth * orbits.system.step
        if np.isnan(exponents).any():
            return Motion("unknown")
        errors = 3 * np.nan_to_num(np.asarray(spectrum.standard_error), nan=0.0)
        # an exponent of 0 converges like 1/t, times the logarithm of a bounded factor
        bound = np.maximum(errors, 5.0 / horizon)
        # the sum is exact but for rounding and the tolerance of an integrator; a direction that is lost conserves none
        total = exponents.sum()
        conserves = bool(
            n == orbits.size and n > 1 and np.isfinite(total) and abs(total) <= 1e-4 * np.abs(exponents).max() + 1e-5
        )
        if exponents[0] < -bound[0]:
            # neighbours come closer: on the way to a fixed point or a cycle
            return Motion("transient", conserves)
        if exponents[0] > bound[0] and not planar:
            return Motion("chaotic", conserves)
        contracts = bool(n > 1 and exponents[1] < -bound[1])
        # means over blocks of a regular motion differ by 1/t too, those of an irregular one by its square root
        regular = bool(errors[0] <= 50.0 / horizon)
        decided = contracts or (orbits.is_map and n > 1 and regular)
        if decided and (planar or (not orbits.is_map and contracts) or turns * depth >= _MANY_TURNS):
            break
    if planar or (not orbits.is_map and contracts):
        # in a plane there is nothing else that recurs; elsewhere the only exponent of 0 is that along the orbit
        return Motion("limit cycle", conserves, contracts)
    if orbits.size == 1 or not regular or turns * depth < _TURNS:
        return Motion("unknown", conserves)
    if not orbits.is_map and _repeats_on_a_section(orbits, x):
        return Motion("limit cycle", conserves)
    return Motion("quasiperiodic", conserves, contracts)


def turns_per_layer(seen: Array, every: int) -> float:
    """How often an orbit goes round in a layer: upward passages through the mean of its widest coordinate."""
    wide = seen[:, int(np.ptp(seen, axis=0).argmax())]
    above = wide > wide.mean()
    return float((above[1:] & ~above[:-1]).sum() / (every * (len(wide) - 1)))


def _repeats_on_a_section(orbits: Orbits, x: Array) -> bool:
    """Whether the flow comes back to the same few points of a section across the orbit."""
    from scipy.interpolate import CubicHermiteSpline

    states = orbits.sample(x[None], _SECTION)[:, 0]
    if orbits.lost(states).any():
        return False
    h = orbits.system.step
    normal = orbits.residual(x[None])[0]
    height = (states - x) @ normal
    up = np.flatnonzero((height[:-1] < 0) & (height[1:] >= 0))
    if len(up) <= 2 * _RETURNS:
        return False
    slopes = orbits.residual(states)
    points = []
    for i in up:
        spline = CubicHermiteSpline([0.0, h], states[i : i + 2], slopes[i : i + 2])
        low, high = 0.0, h
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if (spline(middle) - x) @ normal < 0 else (low, middle)
        points.append(spline(high))
    section = np.array(points)
    size = np.ptp(states, axis=0).max()
    shifts = [np.abs(section[p:] - section[:-p]).max() for p in range(1, _RETURNS + 1)]
    return bool(min(shifts) <= 1e-5 * size)


def sample_gap(seen: Array) -> float:
    """How far apart neighbouring states of a sample are: nearly all of the second half lie nearer to the first."""
    from scipy.spatial import cKDTree

    half = len(seen) // 2
    return float(np.quantile(cKDTree(seen[:half]).query(seen[half:])[0], 0.999)) if half else 0.0


def are_one_set(a: Array, b: Array, floor: float) -> bool:
    """Whether nothing tells the sets apart of which these are samples (n, d), in the order of time.

    They are apart if most states of one lie further from the other than its own states lie from each other, or if in
    some coordinate the ends of all pieces of one lie beyond those of all pieces of the other.
    """
    from scipy.spatial import cKDTree

    steps = [np.linalg.norm(np.diff(sample, axis=0), axis=1).max() for sample in (a, b)]
    # along a curve of small steps, of a flow or of a map that is near to one, a sample may leave out the same stretches
    # in each turn
    slow = max(steps) <= min(np.ptp(a, axis=0).max(), np.ptp(b, axis=0).max()) / 4
    for these, those, longest in ((a, b, steps[1]), (b, a, steps[0])):
        step = longest / 2 if slow else 0.0
        away = cKDTree(those).query(these[:: max(1, len(these) // _ASKED)])[0]
        if np.median(away) > max(2 * sample_gap(those), step, floor):
            return False
    # between two states the curve bulges by an eighth of their second difference, and by terms of higher order
    bulge = np.zeros(a.shape[1])
    if slow:
        bulge = np.maximum(*(np.abs(np.diff(sample, n=2, axis=0)).max(axis=0) / 4 for sample in (a, b)))
    for end in (np.min, np.max):
        first, second = (np.array([end(piece, axis=0) for piece in np.array_split(s, _PIECES)]) for s in (a, b))
        margin = bulge + floor
        below = first.max(axis=0) + margin < second.min(axis=0)
        above = second.max(axis=0) + margin < first.min(axis=0)
        if (below | above).any():
            return False
    return True
