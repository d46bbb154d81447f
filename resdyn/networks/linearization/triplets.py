r"""The largest and the smallest singular triplets.

The largest are eigenvectors u of :math:`J_A J_A^{\mathsf T}`, with the rows of J that are not zero, by Lanczos' method;
v follows as :math:`J^{\mathsf T} u/\sigma`, orthonormal by a small SVD. So :math:`J^{\mathsf T} u = \sigma v` by
construction, and :math:`\|J v - \sigma u\|` is verified.

Of the smallest, zeros come first. Rows of J that are zero are left singular vectors, and
:math:`v = z - J_A^{\mathsf T}(J_A J_A^{\mathsf T})^{-1} J_A z`, from random z, are right ones; those of the first part
of a product are such of the product. The others are the leading eigenvectors of :math:`(J_A J_A^{\mathsf T})^{-1}`.
What cannot be verified is computed densely.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy import sparse

from resdyn import _memory
from resdyn import _validation as validate
from resdyn.networks.linearization.active import active_products, cholesky, inverse_gram
from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.lanczos import leading_eigenvectors
from resdyn.networks.linearization.values import Triplets

Array = NDArray[Any]
Apply = Callable[[Array], Array]

SMALL = 600
"""Up to this size a dense SVD takes a fraction of a second."""
RESIDUAL = 1e-10
r"""Largest :math:`\|J v - \sigma u\|` and :math:`\|J^{\mathsf T} u - \sigma v\|`, relative to the norm of J."""
PASSES = 5
r"""Each takes what is left of the rows of J down by rounding, or, where the inverse is regularised, by
:math:`\tau^2/(\sigma^2 + \tau^2)`."""
SHIFT = 1e-10
r""":math:`\tau^2`, relative to the largest squared norm of a row."""
SEED = 0
"""Start vectors are random, and the same in each call."""


def singular_triplets(operator: Any, k: int, *, which: Literal["largest", "smallest"]) -> Triplets:
    """Of a linear operator; verified.

    Raises
    ------
    ValueError
        For more than there are, or another word.
    MemoryError
        If only a dense SVD would do, and there is no room for it.
    """
    k = validate.count(k, "k", least=1)
    validate.choice(which, "which", ("largest", "smallest"))
    size = min(operator.shape)
    if k > size:
        raise ValueError(
            f"k is {k}, but a Jacobian of shape {operator.shape} has {size} singular values; ask for fewer."
        )
    if size > SMALL and k <= size // 4:
        found = _largest(operator, k) if which == "largest" else _smallest(operator, k)
        if found is not None:
            return found
    return _dense(operator, k, which)


def _dense(operator: Any, k: int, which: str) -> Triplets:
    n, m = operator.shape
    _memory.require(
        8 * (2 * n * m + 4 * min(n, m) * max(n, m)),
        f"the singular vectors of a dense Jacobian of shape {n} × {m}",
        "ask for fewer of the largest, or take another reading or unit",
    )
    left, values, right = scipy.linalg.svd(operator.to_dense(), full_matrices=False, overwrite_a=True)
    if which == "smallest":
        left, values, right = left[:, ::-1], values[::-1], right[::-1]
    # copies, as slices would keep the whole matrices in memory
    return Triplets(left[:, :k].copy(), values[:k].copy(), right[:k].T.copy())


@dataclass(frozen=True)
class Active:
    """The rows of an operator that are not zero."""

    rows: NDArray[np.int64]
    shape: tuple[int, int]
    """Of the whole operator."""
    matmat: Apply
    rmatmat: Apply
    gram: Apply
    matrix: Any = None
    """The active rows themselves, where the operator has them."""
    factors: Factors | None = None

    def whole(self, u: Array) -> Array:
        """Left vectors of the whole operator."""
        left = np.zeros((self.shape[0], u.shape[1]))
        left[self.rows] = u
        return left


def active(operator: Any) -> Active:
    """An operator on its active rows, by its factors or its matrix where it has them."""
    factors, matrix = getattr(operator, "factors", None), getattr(operator, "_matrix", None)
    if isinstance(factors, Factors):
        products = active_products(factors)
        return Active(factors.rows, operator.shape, products.matmat, products.rmatmat, products.gram, factors=factors)
    if matrix is not None:
        rows = np.flatnonzero(abs(matrix).sum(axis=1))
        part = matrix[rows]
        return Active(
            rows, operator.shape, lambda v: part @ v, lambda u: part.T @ u, lambda u: part @ (part.T @ u), part
        )
    rows = getattr(operator, "active_rows", np.arange(operator.shape[0]))

    def whole(u: Array) -> Array:
        left = np.zeros((operator.shape[0], u.shape[1]))
        left[rows] = u
        return left

    return from_products(
        rows, operator.shape, lambda v: np.asarray(operator.matmat(v)[rows]), lambda u: operator.rmatmat(whole(u))
    )


def from_products(rows: NDArray[np.int64], shape: tuple[int, int], forth: Apply, back: Apply) -> Active:
    return Active(rows, shape, forth, back, lambda u: forth(back(u)))


def _largest(operator: Any, k: int) -> Triplets | None:
    part = active(operator)
    if len(part.rows) < k:
        return _all_rows(part, k)
    # an operator with more rows than columns has a smaller Gram matrix on the other side, but rarely much smaller
    found = leading_eigenvectors(part.gram, len(part.rows), k, tolerance=RESIDUAL / 10, rng=np.random.default_rng(SEED))
    if found is None:
        return None
    left, values, right = _paired(part, found[1])
    return _verified(part, left, values, right, float(values[0]))


def _all_rows(part: Active, k: int) -> Triplets | None:
    """The triplets of all active rows, less than k; zeros make up the number."""
    if len(part.rows):
        left, values, right = _paired(part, np.eye(len(part.rows)))
    else:
        left, values, right = np.empty((0, 0)), np.empty(0), np.empty((part.shape[1], 0))
    zeros = k - len(values)
    free = np.random.default_rng(SEED).standard_normal((part.shape[1], zeros))
    right = _orthonormal(np.concatenate([right, free], axis=1))
    left = np.concatenate([left, np.zeros((len(left), zeros))], axis=1)
    values = np.concatenate([values, np.zeros(zeros)])
    found = _verified(part, left, values, right, float(values[0]))
    if found is None:
        return None
    found.left[:, k - zeros :] = _idle(part, zeros)
    return found


def _paired(part: Active, u: Array) -> tuple[Array, Array, Array]:
    r"""Values, descending, and orthonormal vectors in the span of u with :math:`J^{\mathsf T} u_i = \sigma_i v_i`."""
    right, values, mixed = scipy.linalg.svd(part.rmatmat(u), full_matrices=False)
    return u @ mixed.T, values, right


def _verified(part: Active, u: Array, values: Array, v: Array, norm: float) -> Triplets | None:
    forth = np.linalg.norm(part.matmat(v) - u * values, axis=0).max()
    back = np.linalg.norm(part.rmatmat(u) - v * values, axis=0).max()
    return Triplets(part.whole(u), values, v) if max(forth, back) <= RESIDUAL * norm else None


def _smallest(operator: Any, k: int) -> Triplets | None:
    part = active(operator)
    n, m = part.shape
    s = len(part.rows)
    if s > min(n, m):
        return None
    zeros = min(k, min(n, m) - s)
    parts = getattr(operator, "parts", None)
    if parts is not None:
        return _kernel_of_product(part, active(parts[0]), k) if k == zeros else None
    inverse, rng = _inverse(part, singular=k == zeros), np.random.default_rng(SEED)
    if inverse is None:
        return None
    norm = norm_of(part, rng)
    null = _kernel(part, inverse, zeros, norm, rng)
    if null is None or k == zeros:
        return null
    rest = smallest_of_independent(part, inverse, k - zeros, norm, rng)
    if rest is None:
        return None
    left, right = (np.concatenate(pair, axis=1) for pair in ((null.left, rest.left), (null.right, rest.right)))
    return Triplets(left, np.concatenate([null.values, rest.values]), _orthonormal(right))


def smallest_of_independent(
    part: Active, inverse: Apply, k: int, norm: float, rng: np.random.Generator
) -> Triplets | None:
    """The k smallest triplets of the active rows, which are independent."""
    # the values come from J itself, so that the inverse need only find the space
    found = leading_eigenvectors(inverse, len(part.rows), k, tolerance=RESIDUAL / 1e3, rng=rng)
    if found is None:
        return None
    u, values, v = _paired(part, found[1])
    return _verified(part, u[:, ::-1], values[::-1], v[:, ::-1], norm)


def _kernel_of_product(whole: Active, first: Active, k: int) -> Triplets | None:
    """Zero rows of the last part, and vectors that the first part takes to zero."""
    inverse, rng = _inverse(first, singular=True), np.random.default_rng(SEED)
    if inverse is None or len(first.rows) + k > first.shape[1]:
        return None
    null = _kernel(first, inverse, k, norm_of(first, rng), rng)
    if null is None:
        return None
    if np.linalg.norm(whole.matmat(null.right), axis=0).max() > RESIDUAL * norm_of(whole, rng):
        return None
    return Triplets(_idle(whole, k), np.zeros(k), null.right)


def _orthonormal(columns: Array) -> Array:
    """Columns that are orthonormal up to what rounding left, made so to rounding."""
    Q, R = np.linalg.qr(columns)
    return np.asarray(Q * np.sign(np.diag(R)))


def norm_of(part: Active, rng: np.random.Generator) -> float:
    """A lower bound of the norm of J, close to it: what is small is small relative to it."""
    if not len(part.rows):
        return 0.0
    vector = rng.standard_normal((len(part.rows), 1))
    for _ in range(10):
        vector = part.gram(vector / np.linalg.norm(vector))
    return float(np.sqrt(np.linalg.norm(vector)))


def _kernel(part: Active, inverse: Apply, k: int, norm: float, rng: np.random.Generator) -> Triplets | None:
    """k pairs of vectors to the singular value 0: rows that are zero, and columns orthogonal to all rows of J."""
    right = rng.standard_normal((part.shape[1], k))
    for _ in range(PASSES):
        right = np.linalg.qr(right - part.rmatmat(inverse(part.matmat(right))))[0]
    reached = np.linalg.norm(part.matmat(right), axis=0).max(initial=0.0)
    return Triplets(_idle(part, k), np.zeros(k), right) if reached <= RESIDUAL * norm else None


def _idle(part: Active, k: int) -> Array:
    """Unit vectors at rows that are zero, shape (n, up to k)."""
    idle = np.setdiff1d(np.arange(part.shape[0]), part.rows)[:k]
    left = np.zeros((part.shape[0], k))
    left[idle, np.arange(len(idle))] = 1.0
    return left


def _inverse(part: Active, *, singular: bool) -> Apply | None:
    """Of the Gram matrix of the active rows: by the factors, or by Cholesky's factorization.

    It may be ``singular`` where only its range matters: then a multiple of the identity is added.
    """
    if part.factors is not None and (found := inverse_gram(part.factors)) is not None:
        return found
    matrix = part.matrix if part.factors is None else part.factors.active_matrix
    if matrix is None:
        return None
    size = len(part.rows)
    _memory.require(
        16 * size**2,
        f"the Gram matrix of {size} active rows",
        "ask for the largest values, or take the spectral density",
    )
    gram = sparse.csr_array(matrix @ matrix.T)
    inverse = cholesky(gram)
    if inverse is None and singular:
        inverse = cholesky(gram + sparse.diags_array(np.full(size, SHIFT * gram.diagonal().max(initial=0.0))))
    return inverse
