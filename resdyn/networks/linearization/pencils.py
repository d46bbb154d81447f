r"""Matrices whose inertia tells how many singular values exceed a threshold t.

For a Jacobian in factors whose skip path has orthogonal rows, :math:`J_A J_A^{\mathsf T} = E + C M C^{\mathsf T}` (see
:mod:`~resdyn.networks.linearization.factors`). The matrix

.. math:: T = \begin{pmatrix} E - t^2 & C \\ C^{\mathsf T} & -M^{-1} \end{pmatrix}

has the Schur complement :math:`J_A J_A^{\mathsf T} - t^2` on its first variables, and inertias add up (Haynsworth), so
:math:`\#(\sigma > t) = \mathrm{pos}(T) - \mathrm{pos}(-M^{-1}) = \mathrm{pos}(T) - p`. To eliminate the rows F of the
diagonal matrix that are not near to :math:`t^2` leaves 2p variables, and as many as there are rows Z near to it:

.. math:: \#(\sigma > t) = \#(e_F > t^2) + \mathrm{pos}
    \begin{pmatrix} E_Z - t^2 & C_Z \\ C_Z^{\mathsf T} & -N \end{pmatrix} - p,
    \qquad N = M^{-1} + C_F^{\mathsf T} (E_F - t^2)^{-1} C_F .

If E is a multiple e of the identity, no row need be kept: :math:`(e - t^2) N = K + (e - t^2) M^{-1}` with
:math:`K = C^{\mathsf T} C` has no pole at :math:`t^2 = e`, and a factor below 0 exchanges the signs. Other matrices are
counted by :math:`J J^{\mathsf T} - t^2` itself.

Each is scaled on both sides, which changes no sign, to entries of at most about one: layers and channels of very
different sizes would else drown each other in rounding. K, H and J Jᵀ are positive semidefinite, so their diagonals
tell the scale.

All are banded if the variables are taken from pixel to pixel: two inner units meet in an entry of N only if they are at
most two pixels apart (convolutions of 3 × 3).
"""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from resdyn.networks.linearization.banded import BandedLDL, Envelope, lower_triangle
from resdyn.networks.linearization.block_products import row_products
from resdyn.networks.linearization.factors import Factors, inverse_middle, side_by_side
from resdyn.networks.linearization.ranges import balanced

Array = NDArray[Any]

NEAR = 1e-4
"""Rows of E that are relatively nearer to t² than this are kept: N has a pole there. To zero no t > 0 is near."""

LEVELS = 4
"""Up to this many different values of E, their Gram matrices are kept."""


class Count(NamedTuple):
    """A count by inertia, with what tells whether it can be trusted."""

    above: int
    growth: float
    smallest: float


class ReducedPencil:
    """J = D (a S + U V) with a diagonal E, counted by matrices of order 2p."""

    def __init__(self, factors: Factors) -> None:
        squares = factors.squares
        assert squares is not None, "E is not diagonal: the caller takes a GramPencil"
        self._squares, self._p = _merged(squares), factors.p
        order = factors.order
        V, U = balanced(sparse.csr_array(factors.V)[order], sparse.csr_array(factors.active_U.T)[order])
        self._C = _interleaved(sparse.csr_array(V @ factors.active_skip.T), U)
        self._inverse_M = inverse_middle(row_products(V))
        self._ends = 2 * np.flatnonzero(np.diff(factors.place[order])) + 2
        self._squared = self._C.multiply(self._C).tocsc()
        self._H = -self._inverse_M.diagonal()[::2]
        bounds = _norm_bound(U) * _norm_bound(V)
        self.norm_bound = float(np.sqrt(squares.max(initial=0.0))) + bounds

    @cached_property
    def _levels(self) -> Array:
        """The different values of E."""
        return np.unique(self._squares)

    @cached_property
    def _grams(self) -> list[Any]:
        """K for each value of E; none where they are too many."""
        if len(self._levels) > LEVELS:
            return []
        rows = [np.flatnonzero(self._squares == level) for level in self._levels]
        return [row_products(self._C[:, chosen]).T for chosen in rows]  # symmetric: CSC at no cost

    @cached_property
    def _pattern(self) -> "Pattern":
        magnitude = abs(self._C)
        # Where K depends on t, an entry may vanish at one t and not at another.
        return Pattern([self._inverse_M, *(self._grams or [row_products(magnitude)])], self._ends)

    @cached_property
    def _aligned_grams(self) -> list[Array]:
        return [self._pattern.align(gram) for gram in self._grams]

    @cached_property
    def _aligned_inverse_M(self) -> Array:
        return self._pattern.align(self._inverse_M)

    def count(self, t: float, panel: int) -> Count:
        """How many singular values are greater than t > 0."""
        gaps = self._squares - t**2
        if self._p == 0 or not len(gaps):
            return Count(int((gaps > 0).sum()), 1.0, np.inf)
        if len(self._levels) == 1:
            return self._count_uniform(float(gaps[0]), panel)
        near = abs(gaps) <= NEAR * np.maximum(self._squares, t**2)
        if near.any():
            return self._count_kept(gaps, near, panel)
        if self._grams:
            pairs = zip(self._aligned_grams, self._levels, strict=True)
            weighted = sum(gram / (level - t**2) for gram, level in pairs)
        else:
            weighted = self._pattern.align(self._C @ sparse.diags_array(1 / gaps) @ self._C.T)
        values = self._pattern.scaled(weighted + self._aligned_inverse_M, self._scale(1 / abs(gaps)))
        found = BandedLDL(envelope=self._pattern.envelope(panel), values=values, keep=False)
        return _count(int((gaps > 0).sum()) - self._p + found.inertia[0], found)

    def _count_uniform(self, gap: float, panel: int) -> Count:
        values = self._aligned_grams[0] + gap * self._aligned_inverse_M
        values = self._pattern.scaled(values, self._scale(np.ones(len(self._squares)), abs(gap)))
        found = BandedLDL(envelope=self._pattern.envelope(panel), values=values, keep=False)
        negative, _, positive = found.inertia
        if gap > 0:
            return _count(len(self._squares) - self._p + negative, found)
        return _count(positive - self._p, found)

    def _scale(self, weights: Array, gain: float = 1.0) -> Array:
        r"""By which :math:`\pm C W C^{\mathsf T} + g M^{-1}` has to be multiplied on both sides, W ≥ 0, g > 0.

        For each inner unit, the diagonal and the entry that joins its two variables become at most one in size, and
        the largest of them one; other entries then are bounded by Cauchy and Schwarz.
        """
        diagonal = np.asarray(self._squared @ weights)
        first, second, joined = diagonal[::2] + gain * self._H, diagonal[1::2], self._joined @ weights + gain
        first = np.where(first > 0, first, joined**2 / np.where(second > 0, second, joined))
        second = np.where(second > 0, second, joined**2 / first)
        ratio, largest = np.sqrt(second / first), np.maximum(joined, np.sqrt(first) * np.sqrt(second))
        return np.sqrt(np.stack([ratio / largest, 1 / (ratio * largest)], axis=1).ravel())

    @cached_property
    def _joined(self) -> Any:
        """Products of the two entries of each inner unit, in every row."""
        return abs(sparse.csr_array(self._C[::2]).multiply(sparse.csr_array(self._C[1::2]))).tocsr()

    def _count_kept(self, gaps: Array, near: NDArray[np.bool_], panel: int) -> Count:
        """With the rows near to a pole among the variables, each beside the inner units that it belongs to."""
        far = ~near
        N = self._inverse_M + self._C[:, far] @ sparse.diags_array(1 / gaps[far]) @ self._C[:, far].T
        scale = self._scale(np.where(far, 1 / np.where(far, abs(gaps), 1.0), 0.0))
        scaling = sparse.diags_array(scale)
        N, C = scaling @ N @ scaling, sparse.csc_array(scaling @ self._C[:, near])
        neighbours = np.diff(C.indptr)
        joined = neighbours > 0
        alone = int((gaps[near][~joined] > 0).sum())
        C, kept = C[:, joined], gaps[near][joined]
        beside = 1 / np.maximum(np.sqrt(abs(kept)), abs(C).max(axis=0).toarray().ravel()) if len(kept) else kept
        C, kept = sparse.csc_array(C @ sparse.diags_array(beside)), kept * beside**2
        places = np.add.reduceat(C.indices, C.indptr[:-1]) / neighbours[joined] if len(kept) else np.zeros(0)
        T = sparse.block_array([[sparse.diags_array(kept), C.T], [C, -N]], format="csc") if len(kept) else -N
        order = np.argsort(np.append(places, np.arange(2 * self._p)), kind="stable")
        found = BandedLDL(envelope=Envelope(_permuted(T, order), panel=panel), keep=False)
        return _count(int((gaps[far] > 0).sum()) + alone - self._p + found.inertia[2], found)


class GramPencil:
    """Any sparse J, counted by J Jᵀ − t² (or Jᵀ J − t², if that is smaller)."""

    def __init__(self, matrix: Any, places: Array | None = None) -> None:
        J = sparse.csr_array(matrix)
        if J.shape[0] > J.shape[1]:
            J, places = sparse.csr_array(J.T), None
        gram = sparse.csc_array(row_products(J).T)
        if places is None:
            order = np.asarray(csgraph.reverse_cuthill_mckee(gram, symmetric_mode=True))
        else:
            order = np.argsort(places, kind="stable")
        gram = _permuted(gram, order)
        size = gram.shape[0]
        identity = sparse.eye_array(size, format="csc")
        self._pattern = Pattern([gram, identity], None)
        self._gram, self._identity = self._pattern.align(gram), self._pattern.align(identity)
        self._diagonal = gram.diagonal()
        self.norm_bound = _norm_bound(J)

    def count(self, t: float, panel: int) -> Count:
        """How many singular values are greater than t > 0."""
        values = self._gram - t**2 * self._identity
        values = self._pattern.scaled(values, 1 / np.sqrt(self._diagonal + t**2))
        found = BandedLDL(envelope=self._pattern.envelope(panel), values=values, keep=False)
        return _count(found.inertia[2], found)


class Pattern:
    """The places of entries that all matrices of a pencil share."""

    def __init__(self, matrices: list[Any], ends: Any) -> None:
        lowers = [lower_triangle(matrix) for matrix in matrices]
        for lower in lowers:
            lower.data = np.ones(len(lower.data))
        self._lower = lower_triangle(sum(lowers[1:], lowers[0]))
        self._ends = ends
        self._envelopes: dict[int, Envelope] = {}
        self.size = int(self._lower.shape[0])
        self.rows = self._lower.indices.astype(np.int64)
        self._counts = np.diff(self._lower.indptr)
        self.columns = np.repeat(np.arange(self.size), self._counts)

    def envelope(self, panel: int) -> Envelope:
        """Its panels, found once for each size."""
        if panel not in self._envelopes:
            self._envelopes[panel] = Envelope(self._lower, panel=panel, ends=self._ends)
        return self._envelopes[panel]

    def scaled(self, values: Array, scale: Array) -> Array:
        """Entries multiplied from both sides."""
        return values * scale[self.rows] * np.repeat(scale, self._counts)

    def align(self, matrix: Any) -> Array:
        """Entries of the lower triangle of a matrix, with zeros where the pattern has more."""
        lower = lower_triangle(matrix)
        if lower.nnz == self._lower.nnz:
            return np.asarray(lower.data)
        columns = np.repeat(np.arange(self.size), np.diff(lower.indptr))
        values = np.zeros(len(self.rows))
        places = np.searchsorted(self.rows + self.columns * self.size, lower.indices + columns * self.size)
        values[places] = lower.data
        return values


def _merged(values: Array) -> Array:
    """Values that differ by rounding only are made equal."""
    distinct, which = np.unique(values, return_inverse=True)
    if not len(distinct):
        return values
    begins = np.diff(distinct, prepend=-np.inf) > 16 * np.finfo(float).eps * distinct[-1]
    return np.asarray(distinct[begins][(np.cumsum(begins) - 1)[which]])


def _count(above: int, found: BandedLDL) -> Count:
    return Count(above, found.growth, found.smallest if found.inertia[1] == 0 else 0.0)


def _interleaved(first: Any, second: Any) -> Any:
    """Rows of two matrices in turn (CSR)."""
    both = sparse.vstack([first, second], format="csr")
    return both[side_by_side(first.shape[0])]


def _permuted(matrix: Any, order: Array) -> Any:
    """A symmetric matrix (CSC), rows and columns in another order."""
    return sparse.csc_array(sparse.csr_array(matrix)[order][:, order].T)


def _norm_bound(matrix: Any) -> float:
    """Not less than the largest singular value."""
    magnitude = abs(sparse.csr_array(matrix))
    return float(np.sqrt(magnitude.sum(0).max(initial=0.0) * magnitude.sum(1).max(initial=0.0)))
