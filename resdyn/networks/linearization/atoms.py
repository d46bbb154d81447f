r"""Singular values that the structure of a unit forces upon its Jacobian, with whole subspaces.

With :math:`J_A J_A^{\mathsf T} = E + C M C^{\mathsf T}`, a vector u on the rows where E is e, orthogonal to the columns
of C, has :math:`J_A J_A^{\mathsf T} u = e u`: the singular value :math:`\sqrt e` occurs at least

.. math:: \#\{i : E_{ii} = e\} - \operatorname{rank} C_e

times, :math:`C_e` those rows of C. And :math:`J_A = [S_A, U_A]\,[I; V] = [I, U_A]\,[S_A; V]` has a rank of at most
:math:`\operatorname{rank}[S_A, U_A]`, of at most :math:`\operatorname{rank}[S_A; V]`, and of at most
:math:`\operatorname{rank} S_A + \operatorname{rank} U_A V`; what is missing to min(n, m) are zeros.

Where E is not diagonal but falls into small blocks, as for a projection by a convolution of size 1 with one block for
each pixel, a rotation of each block's rows makes it so; singular values do not see it.
"""

from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.matrices import column_lengths, dense_product, verified_rank
from resdyn.networks.linearization.ranges import balanced
from resdyn.networks.linearization.reduction import Reduction
from resdyn.networks.linearization.values import Atom

Array = NDArray[Any]


BLOCK = 600
"""Rows of the largest block of E that is rotated to a diagonal one."""

LEVEL = 1e-13
"""Diagonal entries of E that differ by less than this part are equal but for rounding."""

ROUNDING = 1e-14
"""Entries below this part of the largest are what is left of zeros."""


class Structure:
    """The active rows of factors, with inner units that are independent where fewer than all are."""

    def __init__(self, factors: Factors) -> None:
        self.shape = factors.shape
        self.skip, U, self.squares = factors.active_skip, factors.active_U, factors.squares
        if self.squares is None:
            self.skip, U, self.squares = _rotated(self.skip, U)
        V = sparse.csr_array(factors.V)
        reaching = (column_lengths(U) > 0) & (column_lengths(V.T) > 0)
        units = factors.order[reaching[factors.order]]
        V, U = balanced(V[units], sparse.csr_array(sparse.csc_array(U)[:, units].T))
        self.U, self.V = sparse.csc_array(U.T), V
        self.reduction = self._reduction()
        self.rank = self._verified()

    @property
    def p(self) -> int:
        return int(self.V.shape[0])

    @property
    def s(self) -> int:
        return int(self.U.shape[0])

    @property
    def without_skip(self) -> bool:
        return bool(self.skip.nnz == 0)

    @cached_property
    def levels(self) -> tuple[Array, NDArray[np.int64]]:
        """The distinct entries of E, if that is diagonal, ascending, and which of them each row has."""
        if self.squares is None:
            return np.zeros(0), np.zeros(self.s, dtype=np.int64)
        return distinct_levels(self.squares)

    @property
    def constant(self) -> float | None:
        """e > 0, where E = e I."""
        values, _ = self.levels
        return float(values[0]) if len(values) == 1 and values[0] > 0 else None

    def _reduction(self) -> Reduction | None:
        """To order 2p, where E = e I and that is smaller than s."""
        if self.constant is None or 2 * self.p >= self.s:
            return None
        return Reduction(self.skip @ self.V.T, self.U, self.V)

    def _verified(self) -> int:
        """The rank of :math:`U_A V`; where units are dependent, U and V are replaced by as many as are not."""
        if self.reduction is not None and self.reduction.root is not None:
            return self.p  # columns of [S_A Vᵀ, U_A] are independent, so those of Vᵀ and of U_A are
        rank_U, p = verified_rank(self.U), self.p
        if rank_U < min(self.U.shape):
            self.U, self.V = _independent(self.U, self.V, rank_U)
        rank_V = verified_rank(self.V)
        if rank_V < min(self.V.shape):
            self.V, self.U = (sparse.csr_array(factor.T) for factor in _independent(self.V.T, self.U.T, rank_V))
            rank_U = verified_rank(self.U)
        if self.p < p:
            self.reduction = self._reduction()
        if self.p in (rank_U, rank_V):
            return min(rank_U, rank_V)
        return verified_rank(self.U @ self.V)

    def gram_of_rows(self) -> Array:
        r""":math:`J_A J_A^{\mathsf T}`, dense, without the many products of J_A with itself."""
        half = sparse.csr_array(self.skip @ self.V.T + 0.5 * (self.U @ (self.V @ self.V.T)))
        gram = dense_product(half, self.U.T)
        gram += gram.T.copy()
        squares = sparse.coo_array(self.skip @ self.skip.T)
        gram[squares.coords] += squares.data
        return gram

    def transposed(self, Q: Array) -> Array:
        r""":math:`J_A^{\mathsf T} Q`."""
        return self.skip.T @ Q + self.V.T @ (self.U.T @ Q)

    @property
    def lost(self) -> int:
        """How many of the min(n, m) singular values are zero because rows are not active."""
        return min(self.shape) - min(self.s, self.shape[1])


def forced_atoms(structure: Structure) -> tuple[Atom, ...]:
    """Descending; those of multiplicity zero are left out."""
    found = [*_positive_atoms(structure), Atom(0.0, min(structure.shape) - _bound_of_rank(structure))]
    return tuple(sorted((atom for atom in found if atom.multiplicity > 0), reverse=True))


def _positive_atoms(structure: Structure) -> list[Atom]:
    values, level = structure.levels
    if structure.reduction is not None:
        reduction = structure.reduction
        independent = reduction.order if reduction.root is not None else verified_rank(reduction.C)
        return [Atom(float(np.sqrt(values[0])), structure.s - independent)]
    if structure.without_skip or not len(values):
        return []
    C = sparse.csr_array(sparse.hstack([structure.skip @ structure.V.T, structure.U]))
    sizes = np.bincount(level, minlength=len(values))
    # a level of one row is an atom only if nothing is in that row
    single = sizes == 1
    free = sizes - np.where(single, np.bincount(level, weights=np.diff(C.indptr) > 0, minlength=len(values)), 0)
    for which in np.flatnonzero(~single & (values > 0)):
        free[which] = sizes[which] - verified_rank(C[level == which])
    return [Atom(float(np.sqrt(value)), int(number)) for value, number in zip(values, free, strict=True) if value > 0]


def _bound_of_rank(structure: Structure) -> int:
    """Above which the rank of J cannot be."""
    s, m = structure.s, structure.shape[1]
    if structure.without_skip:
        return structure.rank
    if structure.squares is None:
        ranks = (
            verified_rank(sparse.hstack([structure.skip, structure.U])),
            verified_rank(sparse.vstack([structure.skip, structure.V])),
            verified_rank(structure.skip) + structure.rank,
        )
        return min(s, m, *ranks)
    with_skip = structure.squares > 0
    rank_skip = int(with_skip.sum())
    if rank_skip == s:
        return s
    without = sparse.csr_array(structure.U)[~with_skip]
    beside = _beside(structure.V, structure.skip[with_skip], structure.squares[with_skip])
    return min(m, rank_skip + min(verified_rank(without), verified_rank(beside), structure.rank))


def _beside(V: Any, skip: Any, squares: Array) -> Any:
    """What of V is orthogonal to the rows of the skip path, which are orthogonal to each other."""
    beside = sparse.csr_array(V - (V @ skip.T) @ (sparse.diags_array(1 / squares) @ skip))
    beside.data[np.abs(beside.data) < LEVEL * np.abs(V.data).max(initial=0.0)] = 0.0
    beside.eliminate_zeros()
    return beside


def distinct_levels(values: Array) -> tuple[Array, NDArray[np.int64]]:
    """The distinct numbers, ascending, and which of them each is; rounding makes no difference."""
    distinct, which = np.unique(values, return_inverse=True)
    if not distinct.size:
        return distinct, which
    begins = np.diff(distinct, prepend=-np.inf) > LEVEL * distinct
    return distinct[begins], (np.cumsum(begins) - 1)[which]


def _rotated(skip: Any, U: Any) -> tuple[Any, Any, Array | None]:
    """Rows rotated block by block, so that those of the skip path are orthogonal, and their squared lengths."""
    number, block = connected_components(sparse.csr_array(skip @ skip.T), directed=False)
    if np.bincount(block).max() > BLOCK:
        return skip, U, None
    rotation, rotated = sparse.lil_array((skip.shape[0],) * 2), sparse.lil_array(skip.shape)
    for rows in (np.flatnonzero(block == which) for which in range(number)):
        columns = np.unique(skip[rows].indices)
        W, lengths, Z = np.linalg.svd(skip[rows][:, columns].toarray())
        lengths[lengths < LEVEL * lengths.max(initial=0.0)] = 0.0
        rotation[np.ix_(rows, rows)] = W.T
        rotated[np.ix_(rows[: len(lengths)], columns)] = lengths[:, None] * Z[: len(lengths)]
    skip = sparse.csr_array(rotated)
    skip.eliminate_zeros()
    return skip, sparse.csr_array(rotation) @ U, column_lengths(skip.T) ** 2


def _independent(A: Any, B: Any, rank: int) -> tuple[Any, Any]:
    """A B as a product of which the first factor has as many columns as its rank."""
    lengths = column_lengths(A)
    Q, R, chosen = scipy.linalg.qr(A.toarray() / lengths, mode="economic", pivoting=True, check_finite=False)
    mixed = R[:rank] @ (sparse.diags_array(lengths[chosen]) @ sparse.csr_array(B)[chosen]).toarray()
    return sparse.csc_array(_without_rounding(Q[:, :rank])), sparse.csr_array(_without_rounding(mixed))


def _without_rounding(matrix: Array) -> Array:
    """Zeros where an orthogonal decomposition left rounding: in rows of nothing else it would pass for a direction."""
    return np.where(np.abs(matrix) > ROUNDING * np.abs(matrix).max(initial=0), matrix, 0)
