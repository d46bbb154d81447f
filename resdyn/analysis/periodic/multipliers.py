r"""Multipliers of a product of blocks, without forming it where that would lose them.

With blocks J_0 … J_{p−1} around the cycle, the pd × pd matrix that has J_k at (k+1, k), cyclically, has the p-th roots
of the multipliers as eigenvalues. Roots are close together where multipliers are many powers of ten apart, so that a
multiplier of 1e−30 is found to as many digits as one of 1e+6.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.equilibria.stability import MARGIN, eigenvalues_with_errors

Array = NDArray[Any]

_LARGEST_CYCLIC = 512
_UNIT = float(np.finfo(float).eps)


def multipliers(blocks: Array) -> tuple[Array, Array]:
    """Eigenvalues of J_{p−1} … J_0 for blocks (n, p, d, d), largest first, and how far off each may be, both (n, d)."""
    n, _, d, _ = blocks.shape
    values, errors = np.empty((n, d), dtype=complex), np.empty((n, d))
    for i in range(n):
        values[i], errors[i] = _of_one(blocks[i])
    order = np.argsort(-np.abs(values), axis=1, kind="stable")
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(errors, order, axis=1)


def spread(values: Array, moved: Array) -> Array:
    """How far each of ``values`` (n, d) is from the nearest of each of the ``moved`` (m, n, d), at most: (n, d)."""
    apart = np.abs(values[None, :, :, None] - moved[:, :, None, :]).min(axis=3)
    return np.asarray(np.where(np.isnan(apart), np.inf, apart).max(axis=0))


def _of_one(blocks: Array) -> tuple[Array, Array]:
    p, d, _ = blocks.shape
    if not np.isfinite(blocks).all():
        return np.full(d, np.nan, dtype=complex), np.full(d, np.inf)
    if d == 1:
        value = float(np.prod(blocks[:, 0, 0]))
        return np.array([value], dtype=complex), np.array([MARGIN * max(abs(value), float(np.finfo(float).tiny))])
    candidates = [_of_product(blocks)]
    if 1 < p and p * d <= _LARGEST_CYCLIC:
        candidates.append(_of_cyclic_matrix(blocks))
    # what a verdict needs is the error against 1; where both know that, relative digits decide
    return min(candidates, key=lambda found: _doubt(*found))


def _doubt(values: Array, errors: Array) -> tuple[bool, float]:
    absolute = float((errors / np.maximum(np.abs(values), 1.0)).max())
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(errors > 0, errors / np.abs(values), 0.0)
    return not absolute <= 1e-6, float(relative.max())


def _of_product(blocks: Array) -> tuple[Array, Array]:
    product, bound = np.eye(blocks.shape[1]), 1.0
    for J in blocks:
        product = J @ product
        bound *= float(np.linalg.norm(J, 2))
    values, errors = eigenvalues_with_errors(product[None])
    # entries are rounded against the product of norms, which may be much larger than the norm of the product
    size = max(float(np.linalg.norm(product)), np.finfo(float).tiny)
    lost = max(1.0, len(blocks) * bound / size)
    return values[0], errors[0] * lost if np.isfinite(lost) else np.full(len(values[0]), np.inf)


def _of_cyclic_matrix(blocks: Array) -> tuple[Array, Array]:
    p, d, _ = blocks.shape
    matrix = np.zeros((p, d, p, d))
    for k in range(p):
        matrix[(k + 1) % p, :, k, :] = blocks[k]
    roots, errors = eigenvalues_with_errors(matrix.reshape(1, p * d, p * d))
    with np.errstate(all="ignore"):
        powers = roots[0] ** p
        away = np.abs(powers) * np.expm1(p * np.log1p(errors[0] / np.abs(roots[0])))
    away[~np.isfinite(away)] = np.inf
    left = list(np.argsort(-np.abs(powers), kind="stable"))
    values, doubts = np.empty(d, dtype=complex), np.empty(d)
    for i in range(d):
        # p roots belong to each multiplier: the nearest powers to the largest that is left
        nearest = sorted(left, key=lambda j: abs(powers[j] - powers[left[0]]))[:p]
        values[i] = powers[nearest].mean()
        doubts[i] = away[nearest].max() + np.abs(powers[nearest] - values[i]).max()
        left = [j for j in left if j not in nearest]
    return _paired(values, doubts), doubts


def _paired(values: Array, doubts: Array) -> Array:
    """Multipliers of real blocks are real or come in conjugate pairs; what rounding adds to a real one is dropped."""
    alone = np.abs(values.imag) <= np.minimum(doubts, 1e-6 * np.abs(values))
    return np.where(alone, values.real + 0j, values)
