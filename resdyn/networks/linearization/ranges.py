"""Sizes of Jacobians: their norm, and factors brought into a range where squares neither overflow nor vanish."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from resdyn.networks.linearization.factors import Factors

Array = NDArray[Any]

SAFE = 1e60
"""Up to this size, and down to its inverse, products of four entries are within the range of floats."""

STEPS = 20
"""Power iterations on a block of vectors; the largest value then is right to a few percent."""


def within_range(factors: Factors) -> tuple[Factors, float]:
    """Factors of J / c, whose entries can be squared, and c > 0; those given, and 1, if theirs can."""
    largest_U, largest_V = (_largest(matrix) for matrix in (factors.U, factors.V))
    balance = 1.0
    if largest_U > 0 and largest_V > 0 and not all(1 / SAFE < part < SAFE for part in (largest_U, largest_V)):
        # what U and V are multiplied and divided by, so that they become equal in size
        balance = _power_of_two(np.sqrt(largest_V) / np.sqrt(largest_U))
        factors = replace(factors, U=factors.U * balance, V=factors.V / balance)
    sizes = [abs(factors.a) * _largest(factors.skip), _largest(factors.U) * _largest(factors.V)]
    size = max(sizes) * _largest(factors.outer)
    if size == 0 or 1 / SAFE < size < SAFE:
        return factors, 1.0
    # half by D and half by the paths, of which neither leaves the range of floats on the way
    scale = _power_of_two(max(sizes))
    outer = _power_of_two(_largest(factors.outer))
    root = _power_of_two(np.sqrt(scale))
    paths = {"a": factors.a / scale, "U": factors.U / root, "V": factors.V / (scale / root)}
    return replace(factors, outer=factors.outer / outer, **paths), scale * outer


def matrix_within_range(matrix: Any) -> tuple[Any, float]:
    """A matrix divided by c, whose entries can be squared, and c > 0."""
    largest = _largest(matrix)
    if largest == 0 or 1 / SAFE < largest < SAFE:
        return matrix, 1.0
    scale = _power_of_two(largest)
    return matrix / scale, scale


def balanced(V: Any, U: Any) -> tuple[Any, Any]:
    """Rows of V and of Uᵀ of equal norm: what one is multiplied by the other is divided by, and U V stays."""
    norms = [np.sqrt(np.asarray(matrix.multiply(matrix).sum(1)).ravel()) for matrix in (V, U)]
    scale = np.ones(V.shape[0])
    alive = (norms[0] > 0) & (norms[1] > 0)
    scale[alive] = np.sqrt(norms[1][alive] / norms[0][alive])
    return sparse.csr_array(sparse.diags_array(scale) @ V), sparse.csr_array(sparse.diags_array(1 / scale) @ U)


def norm_estimate(J: Any) -> float:
    """The largest singular value of factors or of a matrix, or a few percent less."""
    if isinstance(J, Factors):
        S, U, V = J.active_skip, J.active_U, sparse.csr_array(J.V)
    else:
        S, U, V = J, sparse.csr_array((J.shape[0], 0)), sparse.csr_array((0, J.shape[1]))
    block = np.random.default_rng(0).standard_normal((S.shape[1], 4))
    size = 0.0
    for _ in range(STEPS):
        length = np.linalg.norm(block)
        if length == 0:
            break
        image = S @ (block / length) + U @ (V @ (block / length))
        size = max(size, float(np.linalg.norm(image)))
        block = S.T @ image + V.T @ (U.T @ image)
    return size


def _largest(matrix: Any) -> float:
    if matrix is None:
        return 1.0
    entries = matrix.data if sparse.issparse(matrix) else np.asarray(matrix)
    return float(np.abs(entries).max(initial=0.0))


def _power_of_two(size: float) -> float:
    """The nearest one: to divide by it is exact."""
    return float(2.0 ** np.clip(np.round(np.log2(size)), -1000, 1000))
