"""How well points stand for a curve: gaps and turning angles."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_FINEST = 1e-3


@dataclass(frozen=True)
class Resolution:
    """The largest gap between points, and the largest angle between gaps; gaps below a thousandth are not cut."""

    spacing: float
    angle: float

    def coarse(self, points: Array, before: Array | None = None) -> NDArray[np.intp]:
        """The gaps i, from point i to i + 1, that need a point between; ``before`` is the point before the first."""
        chords = np.diff(points, axis=0)
        gaps = np.linalg.norm(chords, axis=1)
        wide = gaps > self.spacing
        joined = chords if before is None else np.concatenate([points[:1] - before, chords])
        lengths = np.linalg.norm(joined, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            cosine = (joined[1:] * joined[:-1]).sum(axis=1) / (lengths[1:] * lengths[:-1])
        sharp = cosine < np.cos(self.angle)
        if before is None:
            bent = np.append(sharp, False) | np.append(False, sharp)
        else:
            bent = sharp | np.append(sharp[1:], False)
        return np.flatnonzero(wide | (bent & (gaps > _FINEST * self.spacing)))


def arclength(points: Array) -> Array:
    """From the first point on, shape (n,)."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])


def largest(saddle: Array, length: float, region: tuple[Array, Array] | None) -> float:
    """Beyond this a state counts as gone: 1e8 times the largest of 1, the saddle, the length and the region."""
    ends = [np.abs(saddle), *(() if region is None else (np.abs(end[np.isfinite(end)]) for end in region))]
    return 1e8 * max(1.0, length, *(float(end.max(initial=0.0)) for end in ends))


def inside(points: Array, region: tuple[Array, Array] | None, *, bound: float = np.inf) -> int:
    """How many points come before the first that left the region, or is larger than ``bound``."""
    with np.errstate(invalid="ignore"):
        good = np.asarray((np.abs(points) < bound).all(axis=1))
        if region is not None:
            good &= ((points >= region[0]) & (points <= region[1])).all(axis=1)
    return len(points) if good.all() else int(np.argmin(good))
