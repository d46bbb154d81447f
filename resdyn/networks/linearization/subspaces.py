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

The null space is what is orthogonal to the range of :math:`J_A^{\mathsf T}`
(:mod:`resdyn.networks.linearization.row_space`).

The dimension is that of the space on which is projected: the number of rows less the rank of :math:`C_R`, whose columns
are scaled to length 1. By Cholesky's factorization of :math:`K = C^{\mathsf T} C`, which is banded after a reordering,
the columns are seen to be independent; else the eigenvectors of K tell which part of them is. Where K is too large for
that, the singular values \|a\| are counted, and the projection takes a small ridge. The step

.. math:: r \mapsto r - C (K + \epsilon I)^{-1} C^{\mathsf T} r

takes away :math:`\sigma^2 / (\sigma^2 + \epsilon)` of what lies along a singular vector of C, and nothing of what is to
remain; so it is repeated.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import cho_solve_banded, cholesky_banded, eigh
from scipy.sparse.csgraph import reverse_cuthill_mckee

from resdyn.networks.linearization.block_products import row_products
from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.row_space import RowSpace, definite, row_space
from resdyn.networks.linearization.unit import LinearizedUnit

Array = NDArray[Any]

ZERO = 1e-6
"""Singular values below this part of the largest count as zero: their squares are near the rounding of JJᵀ."""

EQUAL = 1e-8
"""Singular values this close to |a|, relatively, cannot be told from it; without factors they count as |a|."""

DECOMPOSED = 2500
"""Up to this order, dependent rows or columns are told apart by eigenvectors, in seconds."""

FACTORED = 8192
"""Up to this order, rows are seen to be independent by a dense Cholesky factorization, in seconds."""


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
        self._found: dict[int, tuple[tuple[Array, Array], tuple[Array, Array]]] = {}

    @property
    def rank(self) -> int:
        """Of J."""
        return self._row_space.rank if self._row_space is not None else 0

    @property
    def unit_dimension(self) -> int:
        """Of the subspace that the structure gives to |a|."""
        return self._unit.dimension if self._rows_of_unit.size else 0

    def ends(self, k: int) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """By Lanczos iterations."""
        if k not in self._found:
            assert self._row_space is not None, "k is at most half of the rank"
            largest = self._of.triplets(k)
            self._found[k] = (largest.values, largest.right), self._row_space.smallest(k)
        return self._found[k]

    def unit(self, vectors: Array) -> Array:
        """What the columns of C leave of the rows of |a|."""
        if not self.unit_dimension:
            return np.zeros_like(vectors)
        skip = self._factors.active_skip[self._rows_of_unit] / self._a
        return skip.T @ self._unit.residual(skip @ vectors)

    def null(self, vectors: Array) -> Array:
        """What least squares with the rows of J leave."""
        if self.rank == self._of.shape[1]:
            return np.zeros_like(vectors)
        return np.array(vectors) if self._row_space is None else self._row_space.residual(vectors)

    @cached_property
    def _rows_of_unit(self) -> NDArray[np.int64]:
        squares = self._factors.squares
        if squares is None or self._a == 0:
            return np.array([], dtype=np.int64)
        return np.flatnonzero(abs(squares - self._a**2) <= 1e-12 * self._a**2)

    @cached_property
    def _unit(self) -> "Complement":
        return _tails(self._factors, self._rows_of_unit, self._counted)

    def _counted(self) -> int:
        return round(self._of.fraction_within(self._a, EQUAL * self._a) * min(self._of.shape))

    @cached_property
    def _row_space(self) -> RowSpace | None:
        """None for a Jacobian that is zero."""
        if not self._largest:
            return None
        return row_space(self._of, ZERO * self._largest, self._largest)


class Complement:
    """What is orthogonal to the columns of a sparse matrix, which may be dependent.

    Parameters
    ----------
    matrix : sparse array
    places : integer array
        The pixel of each column: in their order the Gram matrix is banded.
    counted : callable
        The dimension, counted in another way: for matrices whose columns are dependent and too many to be decomposed.

    Attributes
    ----------
    dimension : int
    """

    def __init__(self, matrix: Any, places: NDArray[np.int64], counted: Callable[[], int]) -> None:
        matrix = sparse.csc_array(matrix)
        lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel())
        used = lengths > 0
        # small weights make short columns, and no other range
        self._matrix = sparse.csr_array(matrix[:, used] @ sparse.diags_array(1 / lengths[used]))
        self._transposed = sparse.csr_array(self._matrix.T)
        self.dimension, self._solve, self._basis = self._solution(places[used], counted)

    def _solution(
        self, places: NDArray[np.int64], counted: Callable[[], int]
    ) -> tuple[int, Callable[[Array], Array], Array | None]:
        rows, columns = self._matrix.shape
        if not columns:
            return rows, np.zeros_like, None
        if columns > rows and (basis := self._left_kernel(counted)) is not None:
            return basis.shape[1], np.zeros_like, basis
        gram = row_products(self._transposed)
        order = _narrow_order(gram, places)
        banded = gram[order][:, order]
        if columns <= rows and _is_regular(gram, places):
            return rows - columns, _in_order(order, _cholesky_with_ridge(banded, 0.0)), None
        if columns <= DECOMPOSED:
            values, vectors = eigh(gram.toarray())
            kept = values > ZERO**2 * values[-1]
            values, vectors = values[kept], vectors[:, kept]
            return rows - int(kept.sum()), lambda x: vectors @ ((vectors.T @ x) / values[:, None]), None
        return counted(), _in_order(order, _cholesky_with_ridge(banded, 1e-13 * _norm(gram))), None

    def _left_kernel(self, counted: Callable[[], int]) -> Array | None:
        """Of a matrix with more columns than rows; None where it is not empty and too large to be decomposed."""
        rows = self._matrix.shape[0]
        if rows > FACTORED:
            return None if counted() else np.empty((rows, 0))
        gram = row_products(self._matrix).toarray()
        if definite(gram, ZERO**2 * abs(gram).sum(axis=1).max()) is not None:
            return np.empty((rows, 0))
        if rows > DECOMPOSED:
            return None
        values, vectors = eigh(gram)
        return np.asarray(vectors[:, values <= ZERO**2 * values[-1]])

    def residual(self, vectors: Array) -> Array:
        """The part of the columns of a matrix."""
        if self._basis is not None:
            return np.asarray(self._basis @ (self._basis.T @ vectors))
        remaining = np.array(vectors, dtype=float)
        sizes = np.linalg.norm(remaining, axis=0)
        for _ in range(_STEPS):
            change = self._matrix @ self._solve(self._transposed @ remaining)
            remaining -= change
            if (np.linalg.norm(change, axis=0) <= 1e-13 * sizes).all():
                break
        return remaining


def _in_order(order: NDArray[np.int64], factor: Array) -> Callable[[Array], Array]:
    def solve(right: Array) -> Array:
        solution = np.empty_like(right)
        solution[order] = cho_solve_banded((factor, True), right[order], check_finite=False)
        return solution

    return solve


_STEPS = 60


def _tails(factors: Factors, rows: NDArray[np.int64], counted: Callable[[], int]) -> Complement:
    r"""What is orthogonal to the range of :math:`[\,S_R (UV)^{\mathsf T},\; (UV)_R\,]`, by a sparse matrix that has it.

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
    return Complement(sparse.hstack([from_V, from_U]), np.tile(places, 2), counted)


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


def _cholesky_with_ridge(matrix: Any, ridge: float) -> Array:
    """The factor of a banded matrix plus ε."""
    band = _lower_band(matrix)
    while True:
        shifted = band.copy()
        shifted[0] += ridge
        try:
            return np.asarray(cholesky_banded(shifted, lower=True, overwrite_ab=True, check_finite=False))
        except np.linalg.LinAlgError:  # rounding made an eigenvalue of a large matrix smaller than −ε
            ridge = max(10 * ridge, 1e-14 * _norm(matrix))
