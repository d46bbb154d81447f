r"""Singular values of an explicit matrix, through the eigenvalues of its smaller Gram matrix; and ranks."""

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy import sparse

from resdyn._memory import require
from resdyn.networks.linearization.symmetric import (
    REMEDY,
    LeftSpace,
    Product,
    require_eigenvalues,
    roots,
    symmetric_eigenvalues,
)

Array = NDArray[Any]

DIRECT_UP_TO = 500
"""Order up to which a dense singular value decomposition costs nothing worth saving."""

DENSE_FASTER = 50
"""So many multiplications of a dense product take the time of one of a sparse product."""

RANK_TOLERANCE = 1e-11
"""Singular values below this part of the largest count as zero: ten times what they are exact to."""

SWEEPS = 2
"""How often rows and columns are scaled: sizes of channels on both sides are then alike."""


def matrix_singular_values(matrix: Any, device: Any = None, *, zeros: int = 0) -> Array:
    """All singular values, descending, of a dense or sparse matrix, exact to rounding.

    Parameters
    ----------
    device : optional
        Where the eigenvalues are found.
    zeros : int
        How many of the min(n, m) values are known to be zero.
    """
    n, m = matrix.shape
    wide = _without_zeros(matrix)
    values = np.zeros(min(n, m))
    found = _of_wide(wide if wide.shape[0] <= wide.shape[1] else wide.T, device, zeros)
    values[: len(found)] = found
    return values


def _of_wide(matrix: Any, device: Any, zeros: int) -> Array:
    order = matrix.shape[0]
    if order <= DIRECT_UP_TO:
        return np.linalg.svd(_dense(matrix), compute_uv=False) if order else np.zeros(0)
    require_eigenvalues(order, f"a matrix of shape {matrix.shape}")
    gram = dense_product(matrix, matrix.T)
    squares = symmetric_eigenvalues(gram, device)
    return roots(squares, whole_space(gram, lambda Q: matrix.T @ Q), zeros)


def whole_space(gram: Array, transposed: Product) -> LeftSpace:
    r"""All left vectors of a J with this :math:`J J^{\mathsf T}`."""
    order = len(gram)
    return LeftSpace(order, transposed, lambda shift: cholesky_solver(gram, shift), lambda: np.eye(order))


def dense_product(A: Any, B: Any) -> Array:
    """A B as an array."""
    if sparse.issparse(A) and sparse.issparse(B):
        visits = float(_counts(A, 0) @ _counts(B, 1).astype(float))
        if visits * DENSE_FASTER < float(A.shape[0]) * A.shape[1] * B.shape[1]:
            return (A @ B).toarray()
        A, B = A.toarray(), B.toarray()
    product = A @ B
    return product.toarray() if sparse.issparse(product) else product


def cholesky_solver(matrix: Array, shift: float) -> Product:
    """X ↦ (matrix + shift I)⁻¹ X."""
    shifted = matrix.copy()
    shifted[np.diag_indices_from(shifted)] += shift
    try:
        factor = scipy.linalg.cho_factor(shifted, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:  # rounding reached below −shift
        return cholesky_solver(matrix, 10 * shift)
    return lambda X: scipy.linalg.cho_solve(factor, X, check_finite=False)


def verified_rank(matrix: Any) -> int:
    r"""The rank of a sparse or dense matrix, whatever the lengths of its rows and columns.

    Rows and columns are scaled in turn, at last those of the shorter side to length 1, so that none that are small
    beside others pass for zero; if a Cholesky decomposition of their Gram matrix less a bound
    of all rounding errors succeeds, the rank is full for certain. Else singular values above 1e-11 of the largest are
    counted.
    """
    kept = _without_zeros(matrix)
    if kept.shape[0] < kept.shape[1]:
        kept = kept[_along_columns(kept)].T
    order = int(kept.shape[1])
    if not order:
        return 0
    for _ in range(SWEEPS):
        kept = _with_unit_columns(_with_unit_columns(kept).T).T
    unit = _with_unit_columns(kept)
    if _is_definite(unit.T @ unit):
        return order
    values = matrix_singular_values(unit)
    return int((values > RANK_TOLERANCE * values[0]).sum())


def triangular_factor(matrix: Any) -> Array:
    """R of an orthogonal decomposition Q R of a tall matrix."""
    require(16 * matrix.shape[0] * matrix.shape[1], f"an orthogonal decomposition of shape {matrix.shape}", REMEDY)
    R: Array = scipy.linalg.qr(_dense(matrix), mode="r", check_finite=False)[0][: matrix.shape[1]]
    return R


def _along_columns(matrix: Any) -> Any:
    """Rows in the order of the columns they hold, so that products of neighbours only are not zero."""
    if not sparse.issparse(matrix):
        return np.arange(matrix.shape[0])
    filled = matrix != 0
    return np.argsort((filled @ np.arange(matrix.shape[1])) / filled.sum(axis=1), kind="stable")


def _is_definite(gram: Any) -> bool:
    """Whether a Gram matrix of unit vectors is positive definite for certain."""
    bands = lower_bands(gram)
    # the errors of products and of the decomposition are each below n ε times the norm
    bands[0] -= 4 * gram.shape[0] * np.finfo(float).eps * abs(gram).sum(axis=1).max()
    return scipy.linalg.lapack.dpbtrf(bands, lower=True, overwrite_ab=True)[1] == 0


def lower_bands(matrix: Any) -> Array:
    """The bands of a symmetric matrix below its diagonal, as LAPACK stores them."""
    entries = sparse.coo_array(sparse.tril(matrix))
    row, column = entries.coords
    bands = np.zeros((int((row - column).max(initial=0)) + 1, matrix.shape[0]), order="F")
    bands[row - column, column] = entries.data
    return bands


def _with_unit_columns(matrix: Any) -> Any:
    lengths = column_lengths(matrix)
    return sparse.csc_array(matrix) @ sparse.diags_array(1 / lengths) if sparse.issparse(matrix) else matrix / lengths


def column_lengths(matrix: Any) -> Array:
    squared = matrix.multiply(matrix) if sparse.issparse(matrix) else matrix**2
    return np.sqrt(np.asarray(squared.sum(axis=0)).ravel())


def _without_zeros(matrix: Any) -> Any:
    """Without the rows and columns that are zero."""
    if sparse.issparse(matrix):
        matrix = sparse.csr_array(matrix)
        matrix.eliminate_zeros()
    rows, columns = (np.flatnonzero(_counts(matrix, axis)) for axis in (1, 0))
    if (len(rows), len(columns)) == matrix.shape:
        return matrix
    return matrix[rows][:, columns]


def _counts(matrix: Any, axis: int) -> Array:
    """Entries that are not zero, along an axis."""
    return np.asarray(matrix.count_nonzero(axis=axis) if sparse.issparse(matrix) else np.count_nonzero(matrix, axis))


def _dense(matrix: Any) -> Array:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)
