r"""Every fixed point of a damped map with a bounded activation, by interval branch and prune.

With y = φ(Wx + b), the fixed points of f = −λx + αφ(Wx + b) are x = (α/λ) y for the solutions of

.. math:: y = \varphi(By + b), \qquad B = \tfrac{\alpha}{\lambda} W,

all of which lie in the box [inf φ, sup φ]^N. Boxes are kept as midpoint and radius, and all that floating point may
round is added to the radius. A box is dropped when an enclosure of its image misses it, and done when the Krawczyk
operator maps it into itself, which proves that it holds exactly one solution ([neumaier1990]_, sec. 5.1).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_UNIT = float(np.finfo(float).eps)
_BATCH, _BATCH_BYTES = 2048, 2**26
# a solution is first looked for in a box this much wider, so that none hides on the border between two boxes
_WIDER = 1.2
# … and wider than what rounding adds to an enclosure of a strongly contracting map
_LEAST_RADIUS = 1e-11
_SMALLEST = 1e-9


@dataclass(frozen=True)
class Enclosures:
    """What is known at the end: solutions y, one in each; boxes that could not be decided; how many were tried."""

    y: Array
    undecided: Array
    boxes: int
    finished: bool


@dataclass(frozen=True)
class Problem:
    """y = φ(By + b) with an increasing φ whose slope is even and falls with |u|, from ``steepest`` at 0."""

    B: Array
    b: Array
    value: Any
    slope: Any
    steepest: float
    bounds: tuple[float, float]

    def preactivation(self, middle: Array, radius: Array) -> tuple[Array, Array]:
        """u = By + b as midpoint and radius; B itself is known to two roundings."""
        size = np.abs(middle) + radius
        absolute = size @ np.abs(self.B).T + np.abs(self.b)
        spread = radius @ np.abs(self.B).T + (len(self.b) + 8) * _UNIT * absolute
        return middle @ self.B.T + self.b, spread

    def image(self, u: Array, spread: Array) -> tuple[Array, Array]:
        """The range of φ, from below and above."""
        low, high = self.value(u - spread), self.value(u + spread)
        return low - 8 * _UNIT * (np.abs(low) + _UNIT), high + 8 * _UNIT * (np.abs(high) + _UNIT)

    def slopes(self, u: Array, spread: Array) -> tuple[Array, Array]:
        """The range of φ′ as midpoint and radius."""
        nearest = np.maximum(np.abs(u) - spread, 0.0)
        high = np.where(nearest > 0, self.slope(nearest), self.steepest)
        low = self.slope(np.abs(u) + spread)
        return (high + low) / 2, (high - low) / 2 + 16 * _UNIT * high

    def doubt(self, y: Array) -> Array:
        """A bound of |φ(By + b) − its floating-point value|, for the rounding of u and of φ."""
        u, spread = self.preactivation(y, np.zeros_like(y))
        slope, slope_radius = self.slopes(u, spread)
        return (slope + slope_radius) * spread + 16 * _UNIT * (np.abs(y) + 1.0)


def krawczyk(problem: Problem, middle: Array, radius: Array) -> tuple[Array, Array]:
    """An enclosure (midpoint, radius) of all solutions in each box; inside the box it proves that there is one."""
    B, n = problem.B, len(problem.b)
    u, spread = problem.preactivation(middle, radius)
    slope, slope_radius = problem.slopes(u, spread)
    A = np.eye(n) - slope[:, :, None] * B
    with np.errstate(all="ignore"):
        C = _inverse(A)
    absolute = np.abs(C)
    centre, _ = problem.preactivation(middle, np.zeros_like(radius))
    residual = middle - problem.value(centre)
    doubt = problem.doubt(middle)
    defect = np.abs(np.eye(n) - C @ A) + (n + 4) * _UNIT * (absolute @ np.abs(A))
    reach = np.einsum("kij,kj->ki", defect, radius)
    reach += np.einsum("kij,kj->ki", absolute, slope_radius * (radius @ np.abs(B).T) * (1 + 8 * n * _UNIT) + doubt)
    step = np.einsum("kij,kj->ki", C, residual)
    reach += (n + 4) * _UNIT * np.einsum("kij,kj->ki", absolute, np.abs(residual)) + _UNIT * np.abs(middle)
    bad = ~np.isfinite(step).all(axis=1) | ~np.isfinite(reach).all(axis=1)
    step[bad], reach[bad] = 0.0, np.inf
    return middle - step, reach


def _inverse(A: Array) -> Array:
    try:
        return np.linalg.inv(A)
    except np.linalg.LinAlgError:
        return np.array([np.linalg.pinv(a) for a in A])


def solutions(problem: Problem, *, max_boxes: int) -> Enclosures:
    """Branch and prune over the box of the activation's range."""
    n = len(problem.b)
    low, high = problem.bounds
    middle = np.full((1, n), (low + high) / 2)
    radius = np.full((1, n), (high - low) / 2)
    found: list[tuple[Array, Array, Array]] = []
    undecided: list[Array] = []
    tried = 0
    size = int(np.clip(_BATCH_BYTES // (8 * n * n), 1, _BATCH))
    while len(middle):
        if tried >= max_boxes:
            return Enclosures(_distinct(problem, found)[0], np.concatenate([*undecided, middle]), tried, False)
        batch, middle_rest, radius_rest = middle[-size:], middle[:-size], radius[:-size]
        tried += len(batch)
        middle, radius = _contract(problem, batch, radius[-size:])
        middle, radius, done = _certify(problem, middle, radius)
        found += done
        small = radius.max(axis=1) < _SMALLEST
        if small.any():
            undecided.append(middle[small])
        middle, radius = _bisect(problem, middle[~small], radius[~small])
        middle, radius = np.concatenate([middle_rest, middle]), np.concatenate([radius_rest, radius])
    y, doubtful = _distinct(problem, found)
    left = np.concatenate([*undecided, doubtful]) if undecided or len(doubtful) else np.empty((0, n))
    return Enclosures(y, left, tried, True)


def _contract(problem: Problem, middle: Array, radius: Array) -> tuple[Array, Array]:
    """Intersect each box with the image of it, a few times; drop the empty ones."""
    low, high = middle - radius, middle + radius
    for _ in range(3):
        image_low, image_high = problem.image(*problem.preactivation((low + high) / 2, _half(low, high)))
        low, high = np.maximum(low, image_low), np.minimum(high, image_high)
        keep = ~(low > high).any(axis=1)  # what is not proved to be empty stays
        low, high = low[keep], high[keep]
    return (low + high) / 2, _half(low, high)


def _half(low: Array, high: Array) -> Array:
    """A radius around (low + high)/2 that reaches both ends."""
    return (high - low) / 2 + _UNIT * np.maximum(np.abs(low), np.abs(high))


def _certify(problem: Problem, middle: Array, radius: Array) -> tuple[Array, Array, list[tuple[Array, Array, Array]]]:
    """Take out the boxes that hold exactly one solution, drop those that hold none, shrink the others."""
    if not len(middle):
        return middle, radius, []
    wide = radius * _WIDER + np.maximum(_LEAST_RADIUS, 4 * problem.doubt(middle))
    centre, reach = krawczyk(problem, middle, wide)
    inside = (np.abs(centre - middle) + reach < wide).all(axis=1)
    done = [(centre[i], middle[i], wide[i]) for i in np.flatnonzero(inside)]
    low = np.maximum(middle - radius, centre - reach)
    high = np.minimum(middle + radius, centre + reach)
    keep = ~inside & ~(low > high).any(axis=1)
    low, high = low[keep], high[keep]
    return (low + high) / 2, _half(low, high), done


def _bisect(problem: Problem, middle: Array, radius: Array) -> tuple[Array, Array]:
    """Cut each box along the coordinate that moves the pre-activations most."""
    if not len(middle):
        return middle, radius
    axis = np.argmax(radius * np.abs(problem.B).sum(axis=0), axis=1)
    rows = np.arange(len(middle))
    # the diagonal of a matrix B = 0 moves nothing: then the widest
    axis = np.where(radius[rows, axis] < _SMALLEST, np.argmax(radius, axis=1), axis)
    half = radius[rows, axis] / 2
    left, right, halved = middle.copy(), middle.copy(), radius.copy()
    left[rows, axis] -= half
    right[rows, axis] += half
    halved[rows, axis] = half + 2 * _UNIT * (np.abs(middle[rows, axis]) + half)
    return np.concatenate([left, right]), np.concatenate([halved, halved])


def _distinct(problem: Problem, found: list[tuple[Array, Array, Array]]) -> tuple[Array, Array]:
    """Each solution once, polished; and the boxes whose solution could not be pinned down."""
    n = len(problem.b)
    points: list[tuple[Array, Array]] = []
    doubtful: list[Array] = []
    for start, middle, wide in found:
        y = _polish(problem, start)
        # at the size of rounding the operator still has to map a box into itself: then the solution is in it
        tiny = 256 * _UNIT * (1.0 + np.abs(y))[None]
        for _ in range(20):
            centre, reach = krawczyk(problem, y[None], tiny)
            if (np.abs(centre[0] - y) + reach[0] < tiny[0]).all():
                break
            tiny = tiny * 4
        box = tiny[0]
        if not (np.abs(y - middle) + box <= wide).all():
            doubtful.append(middle)
            continue
        if not any((np.abs(y - other) <= box + size).all() for other, size in points):
            points.append((y, box))
    y = np.array([point for point, _ in points]).reshape(-1, n)
    return y, np.array(doubtful).reshape(-1, n)


def _polish(problem: Problem, y: Array) -> Array:
    n = len(problem.b)
    for _ in range(8):
        u = problem.B @ y + problem.b
        A = np.eye(n) - problem.slope(np.abs(u))[:, None] * problem.B
        step = np.linalg.lstsq(A, y - problem.value(u), rcond=None)[0]
        y = y - step
        if np.abs(step).max() < 4 * _UNIT * (1 + np.abs(y).max()):
            break
    return y
