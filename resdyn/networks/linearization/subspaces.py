r"""The right singular subspaces of a unit's Jacobian :math:`J = D\,(a S + U V)`, without J as a dense matrix.

With :math:`J_A = S_A + U_A V` and C as in :mod:`resdyn.networks.linearization.factors`, let R be the active rows with
:math:`(S_A S_A^{\mathsf T})_{ii} = a^2`, and :math:`S_R`, :math:`C_R` these rows of :math:`S_A` and C. Every w with
:math:`C_R^{\mathsf T} w = 0` gives :math:`v = S_R^{\mathsf T} w / |a|` with

.. math:: J v = S_A v + U_A V v = |a| w, \qquad
    J^{\mathsf T} |a| w = |a|\,(S_R^{\mathsf T} w + V^{\mathsf T} U_R^{\mathsf T} w) = a^2 v,

since :math:`V S_R^{\mathsf T} w = 0` and :math:`U_R^{\mathsf T} w = 0`. These v are the right singular vectors of the
value |a| (all of them, unless others have it by accident), and :math:`w \mapsto v` keeps lengths. So with the
orthogonal projection :math:`\Pi` onto the range of :math:`C_R`, that onto them is
:math:`P = S_R^{\mathsf T} (I - \Pi) S_R / a^2`. Where U or V has not full rank, C has too many columns; a factorization
of the rank of UV takes their place.

The null space is what is orthogonal to the range of :math:`J_A^{\mathsf T}`.

Both projections are residuals of least squares, by normal equations with a small ridge, :math:`K + \epsilon I` with
:math:`K = C^{\mathsf T} C`, which is banded after a reordering. The step

.. math:: r \mapsto r - C (K + \epsilon I)^{-1} C^{\mathsf T} r

takes away :math:`\sigma^2 / (\sigma^2 + \epsilon)` of what lies along a singular vector of C, and nothing of what is to
remain; so it is repeated, and C may be rank-deficient.
"""

from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import cho_solve_banded, cholesky_banded, eigh
from scipy.sparse.csgraph import reverse_cuthill_mckee
from scipy.sparse.linalg import LinearOperator, eigsh

from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.unit import LinearizedUnit

Array = NDArray[Any]

ZERO = 1e-6
"""Singular values below this part of the largest count as zero: their squares are near the rounding of JJᵀ."""

EQUAL = 1e-8
"""Singular values this close to |a|, relatively, count as |a|."""


class Subspaces(Protocol):
    """What is needed of the singular subspaces of a J with d columns."""

    @property
    def rank(self) -> int:
        """The number of singular values that are not zero."""
        ...

    @property
    def unit_dimension(self) -> int:
        """The number of those that are |a|."""
        ...

    def ends(self, k: int) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """The k largest and the k smallest singular values that are neither zero nor |a|, each with right vectors."""
        ...

    def unit(self, vectors: Array) -> Array:
        """The parts of the columns in the subspace of |a|."""
        ...

    def null(self, vectors: Array) -> Array:
        """The parts of the columns in the null space."""
        ...


class DenseSubspaces:
    """Of any J, by its singular value decomposition."""

    def __init__(self, linearization: Any, a: float) -> None:
        _, self._values, self._right = np.linalg.svd(linearization.to_dense(), full_matrices=False)
        self._zero = self._values <= ZERO * self._values.max(initial=0.0)
        self._unit = (abs(self._values - a) <= EQUAL * a) & ~self._zero
        self.rank, self.unit_dimension = int((~self._zero).sum()), int(self._unit.sum())

    def ends(self, k: int) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """By order."""
        others = np.flatnonzero(~self._zero & ~self._unit)
        first, last = others[:k], others[::-1][:k]
        return (self._values[first], self._right[first].T), (self._values[last], self._right[last].T)

    def unit(self, vectors: Array) -> Array:
        """By the vectors of these values."""
        basis = self._right[self._unit]
        return basis.T @ (basis @ vectors)

    def null(self, vectors: Array) -> Array:
        """What the other vectors leave."""
        basis = self._right[~self._zero]
        remaining = vectors - basis.T @ (basis @ vectors)
        return remaining - basis.T @ (basis @ remaining)


class FactoredSubspaces:
    """Of J = D (a S + U V), by sparse solves."""

    def __init__(self, linearization: LinearizedUnit) -> None:
        assert linearization.factors is not None
        self._of, self._factors = linearization, linearization.factors
        self._a = abs(self._factors.a)
        self._largest = float(linearization.triplets(1).values[0])

    @cached_property
    def rank(self) -> int:
        """Of J, counted."""
        return int(self._of.count_above(ZERO * self._largest))

    @cached_property
    def unit_dimension(self) -> int:
        """The number of singular values |a|, counted."""
        if not self._rows_of_unit.size:
            return 0
        return round(self._of.fraction_within(self._a, EQUAL * self._a) * min(self._of.shape))

    def ends(self, k: int) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """By Lanczos iterations."""
        largest = self._of.triplets(k)
        smallest = self._row_space.smallest(k, deficient=self.rank < len(self._factors.rows))
        return (largest.values, largest.right), smallest

    def unit(self, vectors: Array) -> Array:
        """What least squares with the columns of C leave of the rows of |a|."""
        if not self.unit_dimension:
            return np.zeros_like(vectors)
        skip = self._factors.active_skip[self._rows_of_unit] / self._a
        return skip.T @ self._tails.residual(skip @ vectors)

    def null(self, vectors: Array) -> Array:
        """What least squares with the rows of J leave."""
        if self.rank == self._of.shape[1]:
            return np.zeros_like(vectors)
        return self._row_space.residual(vectors)

    @cached_property
    def _rows_of_unit(self) -> NDArray[np.int64]:
        squares = self._factors.squares
        if squares is None or self._a == 0:
            return np.array([], dtype=np.int64)
        return np.flatnonzero(abs(squares - self._a**2) <= 1e-12 * self._a**2)

    @cached_property
    def _tails(self) -> "Range":
        return _tails(self._factors, self._rows_of_unit)

    @cached_property
    def _row_space(self) -> "Range":
        pixels = int(np.prod(self._of.shape_after[1:]))
        return Range(self._factors.active_matrix.T, self._factors.rows % pixels)


class Range:
    """The range of a sparse matrix, which may have dependent columns.

    Parameters
    ----------
    matrix : sparse array
    places : integer array
        The pixel of each column: in their order the Gram matrix is banded.

    Attributes
    ----------
    ridge : float
        ε; singular values below its root cannot be told from zero.
    """

    def __init__(self, matrix: Any, places: NDArray[np.int64]) -> None:
        self.matrix = sparse.csr_array(matrix)
        self._transposed = sparse.csr_array(self.matrix.T)
        self._gram = sparse.csr_array(self._transposed @ self.matrix)
        if not self._gram.shape[0]:
            return
        self._order = _narrow_order(self._gram, places)
        self.ridge, self._cholesky = _cholesky_with_ridge(self._gram[self._order][:, self._order], _norm(self._gram))

    def residual(self, vectors: Array) -> Array:
        """What is orthogonal to the range, of the columns of a matrix."""
        remaining = np.array(vectors, dtype=float)
        if not self._gram.shape[0]:
            return remaining
        sizes = np.linalg.norm(remaining, axis=0)
        for _ in range(_STEPS):
            change = self.matrix @ self._solve(self._transposed @ remaining)
            remaining -= change
            if (np.linalg.norm(change, axis=0) <= 1e-13 * sizes).all():
                break
        return remaining

    def smallest(self, k: int, *, deficient: bool) -> tuple[Array, Array]:
        """The k smallest singular values that are not zero, ascending, and their left vectors, in the range."""
        size = self._gram.shape[0]
        if k >= size - 1:  # more than Lanczos iterations can find
            values, vectors = eigh(self._gram.toarray())
            vectors = vectors[:, values > ZERO**2 * values[-1]]
            return self._ritz(self.matrix @ vectors[:, :k], k)
        operator = LinearOperator(
            (size, size), matvec=self._inverse_in_the_range if deficient else self._solve, dtype=float
        )
        start = self._transposed @ np.random.default_rng(0).standard_normal(self.matrix.shape[0])
        _, vectors = eigsh(operator, k, which="LM", v0=start, ncv=min(size, max(2 * k + 1, 40)))
        values, found = self._ritz(self.matrix @ vectors, k)
        for _ in range(3 * deficient):  # rounding in the kernel has left errors of 10⁻⁹
            error = self.matrix @ (self._transposed @ found) - found * values**2
            correction = self.matrix @ self._solve(self._cleared(self._solve(self._transposed @ error)))
            sizes = np.linalg.norm(correction, axis=0)
            values, found = self._ritz(np.hstack([found, correction / np.where(sizes > 0, sizes, 1.0)]), k)
        return values, found

    def _ritz(self, vectors: Array, k: int) -> tuple[Array, Array]:
        """The k smallest singular values, and their vectors, in the span of the columns."""
        basis = np.linalg.qr(vectors)[0]
        inner, values, _ = np.linalg.svd((self._transposed @ basis).T, full_matrices=False)
        return values[::-1][:k], basis @ inner[:, ::-1][:, :k]

    def _inverse_in_the_range(self, vector: Array) -> Array:
        """The inverse on the range of the Gram matrix, zero elsewhere."""
        return self._cleared(self._solve(self._cleared(vector)))

    def _cleared(self, vector: Array) -> Array:
        """Without what lies in the kernel of the Gram matrix."""
        for _ in range(2):  # a solve leaves some 10⁻³ of it by rounding; the product that follows takes that away
            vector = self._gram @ self._solve(vector)
        return vector

    def _solve(self, right: Array) -> Array:
        solution = np.empty_like(right)
        solution[self._order] = cho_solve_banded((self._cholesky, True), right[self._order], check_finite=False)
        return solution


_STEPS = 60


def _tails(factors: Factors, rows: NDArray[np.int64]) -> Range:
    r"""The range of :math:`[\,S_R (UV)^{\mathsf T},\; (UV)_R\,]`, by a sparse matrix that has it.

    That is C where U and V have full rank. Dependent columns of U let C have too large a range, which
    :math:`U^{\mathsf T} U` in front of them cuts down; so for rows of V.
    """
    U, V = factors.active_U, sparse.csr_array(factors.V)
    used = np.flatnonzero((abs(U).sum(axis=0) > 0) & (abs(V).sum(axis=1) > 0))
    U, V, places = U[:, used], V[used], factors.place[used]
    gram_U, gram_V = sparse.csr_array(U.T @ U), sparse.csr_array(V @ V.T)
    from_V, from_U = factors.active_skip[rows] @ V.T, U[rows]
    if not _is_regular(gram_U, places):
        from_V = from_V @ _scaled(gram_U)
    if not _is_regular(gram_V, places):
        from_U = from_U @ _scaled(gram_V)
    return Range(sparse.hstack([from_V, from_U]), np.tile(places, 2))


def _is_regular(gram: Any, places: NDArray[np.int64]) -> bool:
    """Whether a positive semidefinite matrix has no eigenvalue that counts as zero."""
    if not gram.shape[0]:
        return True
    order = _narrow_order(gram, places)
    band = _lower_band(gram[order][:, order])
    band[0] -= ZERO**2 * _norm(gram)
    try:
        cholesky_banded(band, lower=True, overwrite_ab=True, check_finite=False)
    except np.linalg.LinAlgError:
        return False
    return True


def _narrow_order(matrix: Any, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order of the pixels, or the one by reverse Cuthill–McKee where few entries make it narrower."""
    entries = sparse.coo_array(matrix)
    orders = [np.argsort(places, kind="stable"), reverse_cuthill_mckee(matrix, symmetric_mode=True)]

    def width(order: Array) -> int:
        position = np.argsort(order)
        row, column = (position[index] for index in entries.coords)
        return int(abs(row - column).max(initial=0))

    return min(orders, key=width)


def _scaled(gram: Any) -> Any:
    return gram / _norm(gram)


def _norm(gram: Any) -> float:
    """The largest sum over a row, no less than the largest eigenvalue."""
    return float(abs(gram).sum(axis=1).max()) if gram.nnz else 1.0


def _lower_band(matrix: Any) -> Array:
    """The lower half of a banded symmetric matrix, as LAPACK has it."""
    entries = sparse.coo_array(matrix)
    row, column = entries.coords
    below = row >= column
    band = np.zeros((int((row - column).max(initial=0)) + 1, matrix.shape[0]))
    band[(row - column)[below], column[below]] = entries.data[below]
    return band


def _cholesky_with_ridge(matrix: Any, norm: float) -> tuple[float, Array]:
    """ε, and the factor of a banded matrix plus ε."""
    band = _lower_band(matrix)
    ridge = 1e-13 * norm
    while True:
        shifted = band.copy()
        shifted[0] += ridge
        try:
            return ridge, cholesky_banded(shifted, lower=True, overwrite_ab=True, check_finite=False)
        except np.linalg.LinAlgError:  # rounding made an eigenvalue of a large matrix smaller than −ε
            ridge *= 10
