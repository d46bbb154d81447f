r"""Fixed points of any system, by Newton's method with deflation.

Newton's method finds a root x_1 of f; the root is then divided out,

.. math:: g(x) = \eta(x) f(x), \qquad \eta(x) = \prod_k \Bigl(\frac{1}{\|x - x_k\|^2} + 1\Bigr),

and the same start leads elsewhere ([farrell2015]_). The Newton step of g is the one of f, stretched.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System
from resdyn.simulation import simulate

Array = NDArray[Any]

LARGEST_DENSE = 1024
"""Beyond so many variables the Newton step is solved by GMRES."""

_STEPS = 40
# deflation is tried from every root and from so many starts; plain Newton from all
_DEFLATED = 16
MOST = 128
"""So many roots are looked for: more are rather a continuum."""
_SAME = 1e-6
_UNIT = float(np.finfo(float).eps)


class _Root:
    """f of a system on flattened states, and the Newton step."""

    def __init__(self, system: System, bounds: tuple[Array, Array] | None = None) -> None:
        self.system = system
        self.bounds = None
        if bounds is not None:
            low, high = (np.ravel(end) for end in bounds)
            self.bounds = low - (high - low) / 2, high + (high - low) / 2
        self.size = int(np.prod(system.shape))
        self.jacobian = getattr(system, "jacobian", None) if self.size <= LARGEST_DENSE else None

    def __call__(self, x: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(self.system.residual(0.0, x.reshape(self.system.shape)), dtype=float).ravel()

    def is_out(self, x: Array) -> bool:
        """Whether x is too far from where fixed points are wanted."""
        return self.bounds is not None and bool(((x < self.bounds[0]) | (x > self.bounds[1])).any())

    def step(self, x: Array, f: Array) -> Array:
        """−A⁻¹ f; least squares where A is singular."""
        state = x.reshape(self.system.shape)
        if self.jacobian is not None:
            return self._dense(np.asarray(self.jacobian(0.0, state), dtype=float), f)
        operator = self.system.linearize(0.0, state)
        if self.size <= LARGEST_DENSE:
            return self._dense(np.asarray(operator @ np.eye(self.size)), f)
        from scipy.sparse.linalg import gmres

        return np.asarray(gmres(operator, -f, rtol=1e-8, atol=0.0, restart=80, maxiter=4)[0])

    @staticmethod
    def _dense(A: Array, f: Array) -> Array:
        if not np.isfinite(A).all():
            return np.full_like(f, np.nan)
        try:
            step = np.linalg.solve(A, -f)
        except np.linalg.LinAlgError:
            step = np.full_like(f, np.nan)
        if not np.isfinite(step).all():
            step = np.linalg.lstsq(A, -f, rcond=None)[0]
        return step


def _stretch(x: Array, step: Array, roots: list[Array]) -> tuple[float, float]:
    """η(x), and the factor by which the deflated Newton step is longer: 1 / (1 − ∇log η · step)."""
    eta, slope = 1.0, 0.0
    for root in roots:
        away = x - root
        squared = max(float(away @ away), 1e-300)
        eta *= 1.0 + 1.0 / squared
        slope += -2.0 * float(away @ step) / (squared * (1.0 + squared))
    denominator = 1.0 - slope
    return eta, 1.0 / denominator if abs(denominator) > 1e-12 else 1.0


def deflated_newton(system: System, starts: Iterable[Array], bounds: tuple[Array, Array] | None = None) -> Array:
    """The distinct fixed points that Newton's method finds from these starts, shape (n, d).

    With ``bounds`` a search that leaves the box of twice their width is given up.
    """
    root = _Root(system, bounds)
    found: list[Array] = []

    def is_new(x: Array | None) -> bool:
        return x is not None and not any(_close(x, other) for other in found)

    first = [np.array(start, dtype=float).ravel() for start in starts]
    for start in first:
        x = _search(root, start, [])
        if x is not None and is_new(x) and len(found) < MOST:
            found.append(x)
    # from every root, and from some starts, to root after root, until it leads nowhere
    queue = [*first[:_DEFLATED], *found]
    for start in queue:
        while len(found) < MOST and (x := _search(root, start, found)) is not None and is_new(x):
            found.append(x)
            queue.append(x)
    return np.array(found).reshape(-1, root.size)


def _close(x: Array, other: Array) -> bool:
    return float(np.abs(x - other).max()) <= _SAME * (1.0 + float(np.abs(other).max()))


def _search(root: _Root, x: Array, roots: list[Array]) -> Array | None:
    if any(np.array_equal(x, other) for other in roots):
        x = x + 1e-3 * (1.0 + np.abs(x))
    f = root(x)
    for _ in range(_STEPS):
        if not np.isfinite(f).all() or root.is_out(x):
            return None
        newton = root.step(x, f)
        if not np.isfinite(newton).all():
            return None
        eta, factor = _stretch(x, newton, roots)
        if np.linalg.norm(newton) <= 1e-7 * (1.0 + np.linalg.norm(x)) or not f.any():
            polished = polish(root, x)
            if polished is not None:
                return polished
        step, merit = factor * newton, eta * float(np.linalg.norm(f))
        longest = 10.0 * (1.0 + float(np.linalg.norm(x)))
        length = float(np.linalg.norm(step))
        step = step * (longest / length) if length > longest else step
        # a shorter step where the full one makes it worse; in the end the shortest, to leave a bad place
        for _ in range(8):
            trial = x + step
            value = root(trial)
            better = _stretch(trial, step, roots)[0] * float(np.linalg.norm(value))
            if np.isfinite(better) and better < merit:
                break
            step = step / 2
        x, f = trial, value
    return None


def polish(root: _Root, x: Array) -> Array | None:
    """Plain Newton steps down to rounding; None where they do not lead to a root."""
    for _ in range(30):
        f = root(x)
        if not f.any():
            return x
        step = root.step(x, f)
        if not np.isfinite(step).all():
            return None
        x = x + step
        if np.linalg.norm(step) <= 8 * _UNIT * (1.0 + np.linalg.norm(x)):
            return x
    # a multiple root is reached slowly, and f is then far smaller than the distance
    f, step = root(x), root.step(x, root(x))
    size = 1.0 + float(np.linalg.norm(x))
    accepted = np.linalg.norm(step) <= 1e-6 * size and np.linalg.norm(f) <= 1e-12 * size
    return x if accepted else None


def refine(system: System, x: Array) -> Array | None:
    """One fixed point near the state x, as a state, or None."""
    found = polish(_Root(system), np.array(x, dtype=float).ravel())
    return None if found is None else found.reshape(system.shape)


def random_starts(
    system: System, bounds: tuple[Any, Any] | None, n_starts: int, rng: np.random.Generator | int
) -> Array:
    """Starts, and the states to which the map takes them: stable points are found from there at once."""
    generator = np.random.default_rng(rng)
    if bounds is not None:
        drawn = generator.uniform(*bounds, size=(n_starts, *system.shape))
    else:
        scale = np.resize([0.1, 1.0, 10.0], n_starts).reshape(-1, *(1 for _ in system.shape))
        drawn = scale * generator.standard_normal((n_starts, *system.shape))
    later = simulate(system, drawn, depth=200, save="final").final
    with np.errstate(invalid="ignore"):
        settled = later[(np.abs(later) < 1e8).reshape(n_starts, -1).all(axis=1)]
    return np.concatenate([np.zeros((1, *system.shape)), settled, drawn])
