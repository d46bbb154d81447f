r"""The space of the rows of a unit's Jacobian: its dimension, what is orthogonal to it, and its weakest directions.

The rows :math:`J_A = S_A + U_A V` are independent, beyond a threshold τ of singular values, if
:math:`J_A J_A^{\mathsf T} - \tau^2` is positive definite. Where the skip path has gains on all rows, a factorization of
order 2p tells, and solves with it (:func:`~resdyn.networks.linearization.active.inverse_gram`). Else it is Cholesky's,
of a dense matrix.

Rows Z without a skip path are :math:`U_Z V`. If there are more of them than inner units, and :math:`U_Z^{\mathsf T} U_Z
= R^{\mathsf T} R`, then the p rows of R V take their place: singular values that are not zero, and right vectors, stay.

If rows are still dependent, an eigenvalue decomposition of :math:`J_A J_A^{\mathsf T}` says which singular values are
greater than τ. So in each case the dimension and the projection are of the same space.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy import sparse

from resdyn import _memory
from resdyn.networks.linearization.active import Apply, inverse_gram
from resdyn.networks.linearization.block_products import row_products
from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.products import SumOfPaths
from resdyn.networks.linearization.triplets import SEED, Active, active, smallest_of_independent

Array = NDArray[Any]

STEPS = 10
"""Each takes away what rounding, or the shift, has left of the rows."""


@dataclass(frozen=True)
class RowSpace:
    """The space of the right singular vectors whose values are greater than a threshold."""

    rows: Active
    inverse: Apply
    """Of the Gram matrix, on the left vectors of these values."""
    rank: int
    norm: float
    left: Array | None = None
    """Left vectors of the values greater than the threshold, ascending; None where that is all of them."""

    def residual(self, vectors: Array) -> Array:
        """What is orthogonal to the space, of the columns of a matrix."""
        remaining = np.array(vectors, dtype=float)
        sizes = np.linalg.norm(remaining, axis=0)
        for _ in range(STEPS):
            change = self.rows.rmatmat(self.inverse(self.rows.matmat(remaining)))
            remaining -= change
            if (np.linalg.norm(change, axis=0) <= 1e-14 * sizes).all():
                break
        return remaining

    def smallest(self, k: int) -> tuple[Array, Array]:
        """The k smallest singular values in the space, ascending, and their right vectors."""
        if self.left is None:
            rng = np.random.default_rng(SEED)
            found = smallest_of_independent(self.rows, self.inverse, k, self.norm, rng)
            if found is not None:
                return found.values, found.right
        left = _eigenvectors(self._gram())[1] if self.left is None else self.left
        # the values from J itself: their squares have lost half of the digits
        right, values, _ = np.linalg.svd(self.rows.rmatmat(left[:, : min(2 * k, left.shape[1])]), full_matrices=False)
        return values[::-1][:k], right[:, ::-1][:, :k]

    def _gram(self) -> Array:
        return self.rows.gram(np.eye(len(self.rows.rows)))


def row_space(operator: Any, threshold: float, norm: float) -> RowSpace:
    """Of a unit with factors, for singular values greater than a threshold; of the largest value ``norm``.

    Raises
    ------
    MemoryError
        If a dense Gram matrix is needed and does not fit.
    """
    factors, whole = operator.factors, active(operator)
    found = inverse_gram(factors, threshold**2)
    if found is not None:
        above = found.above if found.trusted else operator.count_above(threshold)
        if above == len(whole.rows):
            return RowSpace(whole, found, above, norm)
    skip, U = _compressed(factors)
    size = skip.shape[0]
    paths = SumOfPaths(skip, U, factors.V)
    rows = Active(np.arange(size), (size, factors.shape[1]), paths.matmat, paths.rmatmat, paths.gram)
    _memory.require(
        8 * 4 * size**2,
        f"the Gram matrix of {size} active rows, and its decomposition",
        "project on another unit or reading",
    )
    shorter = size < len(whole.rows)
    gram = _gram(skip, U, factors.V) if shorter else row_products(factors.sum_of_paths()).toarray()
    solve = definite(gram, threshold**2)
    if solve is not None:
        return RowSpace(rows, solve, size, norm)
    squares, vectors = _eigenvectors(gram)
    kept = squares > threshold**2
    squares, vectors = squares[kept], vectors[:, kept]
    inverse: Apply = lambda x: vectors @ ((vectors.T @ x) / squares[:, None])  # noqa: E731
    return RowSpace(rows, inverse, int(kept.sum()), norm, vectors)


def _compressed(factors: Factors) -> tuple[Any, Any]:
    """S and U of as many rows as are needed for the rows without a skip path."""
    skip, U = factors.active_skip, factors.active_U
    idle = np.diff(skip.indptr) == 0
    if idle.sum() <= factors.p:
        return skip, U
    part = U[idle]
    _memory.require(16 * factors.p**2, f"the Gram matrix of {factors.p} inner units", "project on another unit")
    gram = (part.T @ part).toarray()
    try:
        R = scipy.linalg.cholesky(gram, check_finite=False)
    except np.linalg.LinAlgError:
        return skip, U
    # pivots are squares, so they tell columns as dependent from 10⁻⁸ on; leave it to the whole matrix long before
    if len(R) and R.diagonal().min() <= 1e-6 * R.diagonal().max():
        return skip, U
    nothing = sparse.csr_array((factors.p, skip.shape[1]))
    return sparse.vstack([skip[~idle], nothing], format="csr"), sparse.vstack([U[~idle], R], format="csr")


def _gram(skip: Any, U: Any, V: Any) -> Array:
    r""":math:`(S + U V)(S + U V)^{\mathsf T}` by the Gram matrix of V, for a dense U."""
    V, U_dense = sparse.csr_array(V), U.toarray()
    half = (skip @ V.T).toarray() + U @ (V @ V.T).toarray() / 2
    gram = half @ U_dense.T
    gram += gram.T.copy()
    return np.asarray(gram + (skip @ skip.T).toarray())


def definite(gram: Array, shift: float) -> Apply | None:
    """Solutions, if all eigenvalues are greater than a shift."""
    shifted = gram.copy()
    shifted[np.diag_indices_from(shifted)] -= shift
    try:
        factor = scipy.linalg.cho_factor(shifted, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return None
    return lambda x: scipy.linalg.cho_solve(factor, x, check_finite=False)


def _eigenvectors(gram: Array) -> tuple[Array, Array]:
    values, vectors = scipy.linalg.eigh(gram, check_finite=False)
    return values, vectors
