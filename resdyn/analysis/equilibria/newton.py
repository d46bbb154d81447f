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
# a multiple root is approached by a fixed factor per step, and is known to a root of the rounding unit only
_POLISH, _MULTIPLE = 120, 1e-4
# deflation is tried from every root and from so many starts; plain Newton from all
_DEFLATED = 16
MOST = 128
"""So many roots are looked for: more are rather a continuum."""
_SAME = 1e-8
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

    def step(self, x: Array, f: Array) -> Array | None:
        """−A⁻¹ f; None where A is singular and f cannot be reduced."""
        state = x.reshape(self.system.shape)
        if self.jacobian is not None:
            return self._dense(np.asarray(self.jacobian(0.0, state), dtype=float), f)
        operator = self.system.linearize(0.0, state)
        if self.size <= LARGEST_DENSE:
            return self._dense(np.asarray(operator @ np.eye(self.size)), f)
        from scipy.sparse.linalg import gmres

        step = np.asarray(gmres(operator, -f, rtol=1e-8, atol=0.0, restart=40, maxiter=2)[0])
        return step if self._reduces(operator @ step, f) else None

    @staticmethod
    def _reduces(change: Array, f: Array) -> bool:
        """Whether a linear step leaves less than half of f."""
        left = change + f
        return bool(np.isfinite(left).all() and np.linalg.norm(left) <= 0.5 * np.linalg.norm(f))

    def _dense(self, A: Array, f: Array) -> Array | None:
        if not np.isfinite(A).all():
            return None
        try:
            step = np.linalg.solve(A, -f)
        except np.linalg.LinAlgError:
            step = np.full_like(f, np.nan)
        if not self._reduces(A @ step, f):
            step = np.linalg.lstsq(A, -f, rcond=None)[0]
        return step if self._reduces(A @ step, f) else None

    def is_root(self, x: Array, f: Array) -> bool:
        """Whether f is zero to rounding, measured by what it is at a small distance."""
        if not f.any():
            return True
        away = 1e-3 * (1.0 + np.abs(x)) * np.resize([1.0, -0.7, 0.4], x.size)
        around = max(float(np.linalg.norm(self(x + away))), float(np.linalg.norm(self(x - away))))
        return float(np.linalg.norm(f)) <= 1e-8 * around


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
    tolerances: list[float] = []

    def add(candidate: tuple[Array, float] | None) -> bool:
        if candidate is None or len(found) == MOST:
            return False
        x, tolerance = candidate
        if any(_close(x, other, max(tolerance, known)) for other, known in zip(found, tolerances, strict=True)):
            return False
        found.append(x)
        tolerances.append(tolerance)
        return True

    first = [np.array(start, dtype=float).ravel() for start in starts]
    for start in first:
        add(_search(root, start, []))
    # from every root, and from some starts, to root after root, until it leads nowhere
    queue = [*first[: _DEFLATED if root.size <= LARGEST_DENSE else 1], *found]
    for start in queue:
        while len(found) < MOST and add(_search(root, start, found)):
            queue.append(found[-1])
    return np.array(found).reshape(-1, root.size)


def _close(x: Array, other: Array, tolerance: float) -> bool:
    return float(np.abs(x - other).max()) <= tolerance * (1.0 + float(np.abs(other).max()))


def _search(root: _Root, x: Array, roots: list[Array]) -> tuple[Array, float] | None:
    """A root, and how well it is known."""
    if any(np.array_equal(x, other) for other in roots):
        x = x + 1e-3 * (1.0 + np.abs(x))
    f = root(x)
    for count in range(_STEPS):
        if not np.isfinite(f).all() or root.is_out(x):
            return None
        newton = root.step(x, f) if f.any() else np.zeros_like(x)
        if newton is None:
            # nowhere to go from here: somewhere near, the derivative may be regular
            x = x + 1e-2 * (1.0 + np.abs(x)) * np.cos(1.0 + count + np.arange(x.size))
            f = root(x)
            continue
        eta, factor = _stretch(x, newton, roots)
        if np.linalg.norm(newton) <= 1e-7 * (1.0 + np.linalg.norm(x)):
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


def polish(root: _Root, x: Array) -> tuple[Array, float] | None:
    """Plain Newton steps down to rounding: the root and how well it is known; None where they lead to none."""
    length = np.inf
    for count in range(_POLISH):
        f = root(x)
        step = root.step(x, f) if f.any() else np.zeros_like(x)
        if step is None or not np.isfinite(step).all():
            break
        x, before, length = x + step, length, float(np.linalg.norm(step))
        if length <= 8 * _UNIT * (1.0 + np.linalg.norm(x)):
            break
        if count > 8 and length > 0.9 * before:
            break  # rounding keeps it from coming closer
    f = root(x)
    if not root.is_root(x, f):
        return None
    return x, (_SAME if count < 12 else _MULTIPLE)


def refine(system: System, x: Array) -> Array | None:
    """One fixed point near the state x, as a state, or None."""
    found = polish(_Root(system), np.array(x, dtype=float).ravel())
    return None if found is None else found[0].reshape(system.shape)


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
