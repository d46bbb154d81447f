r"""Multiple shooting: all states of a cycle at once, for many cycles at once.

A p-cycle of :math:`F(x) = x + hf(x)` is a root of the pd equations :math:`x_{k+1} - F(x_k) = 0`, k taken modulo p, and
a Newton step solves

.. math:: \delta_{k+1} - (I + hA_k)\,\delta_k = F(x_k) - x_{k+1}.

Their matrix holds single blocks and no product of them, so that a long unstable cycle is as well conditioned as a short
one. Orbits have shape (M, p, d): M searches side by side, each with a step length of its own.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System
from resdyn.analysis.periodic.sections import PoincareMap

Array = NDArray[Any]

LARGEST_DENSE = 1024
"""Beyond so many unknowns p·d the Newton step is solved by GMRES."""

_UNIT = float(np.finfo(float).eps)
_STEPS = 60
_HALVINGS = 5
_BYTES = 2**26
# signs of the roundings tried, and how much larger than those tried they may be
_TRIED, _SAFETY = 3, 16.0
# a Newton step this short leaves an error of its square, unless the root is a multiple one
_SHORT = 1e-7


class Layer:
    """One layer of an autonomous map, on flattened states, and its Jacobian."""

    def __init__(self, system: System) -> None:
        self.system, self.size = system, int(np.prod(system.shape))
        self._jacobian: Callable[..., Any] | None = getattr(system, "jacobian", None)

    def rounding(self, x: Array, blocks: Array) -> Array:
        """How far rounding of its terms may move each coordinate of F(x), for orbits (n, p, d) and their blocks."""
        with np.errstate(all="ignore"):
            terms = np.abs(x) + np.abs(np.roll(x, -1, axis=1)) + np.einsum("npij,npj->npi", np.abs(blocks), np.abs(x))
            off = 4 * _UNIT * terms
            if isinstance(self.system, PoincareMap):
                # an integrated layer is known to its tolerances, of some hundred steps
                off = off + 100 * self.system.tolerance(x)
        return np.asarray(off)

    def residual(self, x: Array) -> Array:
        """f, for states (*batch, d)."""
        with np.errstate(all="ignore"):
            f = self.system.residual(0.0, x.reshape(*x.shape[:-1], *self.system.shape))
        return np.asarray(f, dtype=float).reshape(x.shape)

    def __call__(self, x: Array) -> Array:
        """F, for states (*batch, d)."""
        with np.errstate(all="ignore"):
            return np.asarray(x + self.system.step * self.residual(x))

    def blocks(self, x: Array) -> Array:
        """I + hA for states (*batch, d), shape (*batch, d, d)."""
        states = x.reshape(*x.shape[:-1], *self.system.shape)
        with np.errstate(all="ignore"):
            if self._jacobian is not None:
                A = np.asarray(self._jacobian(0.0, states), dtype=float)
            else:
                A = np.empty((*x.shape, self.size))
                for index in np.ndindex(x.shape[:-1]):
                    A[index] = self.system.linearize(0.0, states[index]) @ np.eye(self.size)
            return np.asarray(np.eye(self.size) + self.system.step * A)


def gaps(layer: Layer, orbits: Array) -> Array:
    """F(x_k) − x_{k+1}, shape of ``orbits``."""
    with np.errstate(all="ignore"):
        # the difference of neighbours first: near a fixed point F(x) would round what f still knows
        return np.asarray((orbits - np.roll(orbits, -1, axis=1)) + layer.system.step * layer.residual(orbits))


def cyclic_solve(blocks: Array, right: Array) -> Array:
    """δ with δ_{k+1} − J_k δ_k = right_k around each cycle; NaN where the equations are singular."""
    n, p, d = right.shape
    parts = np.zeros((n, p, d, p, d))
    for k in range(p):
        parts[:, k, :, k, :] -= blocks[:, k]
        parts[:, k, :, (k + 1) % p, :] += np.eye(d)
    matrix, flat = parts.reshape(n, p * d, p * d), right.reshape(n, p * d, 1)
    try:
        solution = np.linalg.solve(matrix, flat)
    except np.linalg.LinAlgError:
        solution = np.stack([_solve(one, value) for one, value in zip(matrix, flat, strict=True)])
    return np.asarray(solution.reshape(n, p, d))


def _solve(matrix: Array, right: Array) -> Array:
    try:
        return np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        return np.full_like(right, np.nan)


def newton_step(layer: Layer, orbits: Array, missing: Array) -> Array:
    """The Newton step of each orbit."""
    n, p, d = orbits.shape
    step = np.full_like(orbits, np.nan)
    if p * d > LARGEST_DENSE:
        for i in range(n):
            step[i] = _krylov_step(layer, orbits[i], missing[i])
        return step
    for part in _batches(n, p * d):
        blocks = layer.blocks(orbits[part])
        fine = np.isfinite(blocks).all(axis=(1, 2, 3)) & np.isfinite(missing[part]).all(axis=(1, 2))
        with np.errstate(all="ignore"):
            solved = cyclic_solve(blocks[fine], missing[part][fine])
        step[np.flatnonzero(fine) + part.start] = solved
    return step


def _batches(n: int, unknowns: int) -> list[slice]:
    size = max(1, _BYTES // (8 * unknowns**2))
    return [slice(low, min(low + size, n)) for low in range(0, n, size)]


def displacements(layer: Layer, orbits: Array) -> Array:
    """How rounding of each layer moves closed orbits (n, p, d), to first order: (m, n, p, d) for m choices of signs.

    Where the shooting equations are nearly singular a rounding unit moves the whole orbit far. NaN where they are.
    """
    n, p, d = orbits.shape
    signs = np.where(np.random.default_rng(1).random((_TRIED, p, d)) < 0.5, -1.0, 1.0)
    out = np.full((_TRIED, *orbits.shape), np.nan)
    for part in _batches(n, min(p * d, LARGEST_DENSE)):
        chosen = orbits[part]
        blocks = layer.blocks(chosen)
        fine = np.isfinite(blocks).all(axis=(1, 2, 3))
        rows = np.flatnonzero(fine) + part.start
        off = layer.rounding(chosen[fine], blocks[fine])
        for m in range(_TRIED):
            with np.errstate(all="ignore"):
                if p * d > LARGEST_DENSE:
                    solved = np.array(
                        [_krylov_step(layer, orbits[i], signs[m] * v) for i, v in zip(rows, off, strict=True)]
                    )
                    solved = solved.reshape(off.shape)
                else:
                    solved = cyclic_solve(blocks[fine], signs[m] * off)
            out[m, rows] = solved
    return out


def known_to(layer: Layer, orbits: Array) -> Array:
    """How far off the states of closed orbits (n, p, d) may be by rounding, (n,)."""
    if not len(orbits):
        return np.empty(0)
    largest = np.abs(displacements(layer, orbits)).max(axis=(0, 2, 3))
    size = np.abs(orbits).max(axis=(1, 2), initial=0.0)
    # equations singular to rounding: a multiple root, known to the root of the rounding unit at best
    return np.asarray(np.where(np.isfinite(largest), _SAFETY * largest, 1e-6 * size))


def _krylov_step(layer: Layer, orbit: Array, missing: Array) -> Array:
    from scipy.sparse.linalg import LinearOperator, gmres

    p, d = orbit.shape
    system = layer.system
    A = [system.linearize(0.0, x.reshape(system.shape)) for x in orbit]

    def product(flat: Array) -> Array:
        v = flat.reshape(p, d)
        image = np.stack([v[k] + system.step * (A[k] @ v[k]) for k in range(p)])
        return np.asarray(np.roll(v, -1, axis=0) - image).ravel()

    operator = LinearOperator((p * d, p * d), matvec=product, dtype=float)
    step = np.asarray(gmres(operator, missing.ravel(), rtol=1e-8, atol=0.0, restart=40, maxiter=4)[0])
    left = float(np.linalg.norm(product(step) - missing.ravel()))
    # also when it is not below one half: then the step does not lead to a root
    return step.reshape(p, d) if left <= 0.5 * float(np.linalg.norm(missing)) else np.full_like(orbit, np.nan)


def shoot(layer: Layer, orbits: Array, bounds: tuple[Array, Array] | None = None) -> tuple[Array, Array]:
    """Newton's method from every orbit: those that arrived, (n, p, d), and to what each is known, (n,).

    Steps are halved where they make the gaps larger. With ``bounds`` a search that leaves the box of twice their width
    is given up.
    """
    x = np.array(orbits, dtype=float)
    missing = gaps(layer, x)
    arrived: list[Array] = []
    known: list[Array] = []
    last = np.full(len(x), np.inf)
    unit = _size_of(x)
    for count in range(_STEPS):
        step = newton_step(layer, x, missing)
        size = np.maximum(unit, np.abs(x).max(axis=(1, 2), initial=0.0))
        length = np.abs(step).max(axis=(1, 2), initial=0.0)
        done = (length <= _SHORT * size) & (length >= 0.5 * last) | (length <= 4 * _UNIT * size)
        done &= _closes(layer, x, missing, unit)
        arrived.append(x[done])
        # a double root halves its distance at each step, and is known to the root of the rounding unit only
        slow = np.where(length[done] > 1e-11 * size[done], 1e-6 * size[done], 0.0)
        known.append(np.maximum(np.maximum(known_to(layer, x[done]), slow), 4 * length[done]))
        alive = ~done & np.isfinite(length) & ~_outside(x, bounds)
        if count > 2 * _STEPS // 3:
            alive &= length < 1.0 * size  # what still jumps about will not arrive
        x, missing, step, last = x[alive], missing[alive], step[alive], length[alive]
        if not len(x):
            break
        x, missing = _advance(layer, x, missing, step, unit)
    joined = np.concatenate(arrived) if arrived else x[:0]
    return joined, np.concatenate(known) if known else np.empty(0)


def _size_of(starts: Array) -> float:
    """The size of states that searches begin at: a size of one would mean something else in other units."""
    sizes = np.abs(starts).max(axis=(1, 2), initial=0.0)
    # a few starts may be far away
    middle = float(np.median(sizes[np.isfinite(sizes)])) if np.isfinite(sizes).any() else 0.0
    return middle or 1.0


def _advance(layer: Layer, x: Array, missing: Array, step: Array, unit: float) -> tuple[Array, Array]:
    """The full step where it closes the gaps better, else a shorter one; in the end the shortest."""
    size = np.maximum(unit, np.abs(x).max(axis=(1, 2)))
    length = np.abs(step).max(axis=(1, 2))
    with np.errstate(divide="ignore"):
        step = step * np.minimum(1.0, 10.0 * size / length)[:, None, None]
    small = np.abs(step).max(axis=(1, 2)) <= _SHORT * size
    before = np.linalg.norm(missing, axis=(1, 2))
    after, value = x + step, gaps(layer, x + step)
    for _ in range(_HALVINGS):
        with np.errstate(all="ignore"):
            worse = ~(np.linalg.norm(value, axis=(1, 2)) < before) & ~small
        if not worse.any():
            break
        # in the end the shortest, to leave a bad place
        step[worse] /= 2
        after[worse] = x[worse] + step[worse]
        value[worse] = gaps(layer, after[worse])
    return after, value


def _closes(layer: Layer, x: Array, missing: Array, unit: float) -> Array:
    """Whether the gaps are rounding: of the states, and of the sums inside f, which near a state moves as I + hA."""
    scale = np.abs(x).max(axis=(1, 2), initial=0.0) + np.abs(layer(x)).max(axis=(1, 2), initial=0.0) + 1e-300
    return np.asarray(np.abs(missing).max(axis=(1, 2), initial=0.0) <= 1e-11 * scale + 1e-14 * unit)


def _outside(x: Array, bounds: tuple[Array, Array] | None) -> Array:
    if bounds is None:
        return np.zeros(len(x), dtype=bool)
    low, high = bounds
    margin = (high - low) / 2
    return np.asarray(((x < low - margin) | (x > high + margin)).any(axis=(1, 2)))
