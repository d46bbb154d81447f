r"""Factorization of symmetric indefinite banded matrices: :math:`A = L D L^{\mathsf T}` with its inertia.

The matrix is eliminated panel by panel. The pivot block P of a panel is factored with Bunch–Kaufman pivoting
[bunch1977]_, B are the rows below that reach into the panel, and what remains is :math:`A' - B P^{-1} B^{\mathsf T}`:
with n rows of bandwidth b and panels of m columns about :math:`n b^2 + n b m` operations, in a window of b + m rows.
Rows outside of the panel are no candidates for pivots. So the multipliers :math:`B P^{-1}` are watched, and a panel in
which they are large is taken together with the next one: at worst all of the matrix becomes one panel, which is then
factored as Bunch and Kaufman do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from resdyn.networks.linearization.window import Window

Array = NDArray[Any]
Integers = NDArray[np.int64]

PANEL = 96
"""Columns of a panel: fewer make small products, more waste operations on pivot blocks."""

LARGEST_MULTIPLIER = 1e4
"""Above it a panel is joined to the next. Each panel may lose that factor in accuracy, but hardly two in a row do."""


class Envelope:
    """Where the entries of a symmetric sparse matrix lie: what all matrices with this pattern have in common.

    Parameters
    ----------
    matrix : sparse array, shape (n, n)
        Its lower triangle is read.
    panel : int
        Columns to eliminate at once.
    ends : integers, optional
        Where panels may end, ascending: numbers of columns before the end. By default anywhere.
    """

    def __init__(self, matrix: Any, *, panel: int = PANEL, ends: Any = None) -> None:
        lower = lower_triangle(matrix)
        self.size = int(lower.shape[0])
        self.lower = lower
        self.cuts = _cuts(self.size, panel, ends)
        self.ends = self._ends()
        self.rows = lower.indices.astype(np.int64)
        self.columns = np.repeat(np.arange(self.size), np.diff(lower.indptr))

    def _ends(self) -> Integers:
        """For each panel, one more than the last row that it or a panel before it reaches."""
        filled = np.flatnonzero(np.diff(self.lower.indptr))
        last = np.arange(1, self.size + 1)
        last[filled] = self.lower.indices[self.lower.indptr[filled + 1] - 1] + 1
        reach = np.maximum.accumulate(np.maximum(last, np.arange(1, self.size + 1)))
        return np.asarray(reach[self.cuts[1:] - 1], dtype=np.int64)

    @property
    def width(self) -> int:
        """Rows of the largest window."""
        return int((self.ends - self.cuts[:-1]).max(initial=1))

    @property
    def bytes(self) -> int:
        """Memory of the factors, if no panels have to be joined."""
        return int(8 * (np.diff(self.cuts) * (self.ends - self.cuts[:-1])).sum())


def lower_triangle(matrix: Any) -> Any:
    """Of a symmetric or a lower triangular matrix (CSC), rows ascending, each place once."""
    matrix = sparse.csc_array(matrix)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    kept = matrix.indices >= np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    indptr = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    lower = sparse.csc_array((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)
    lower.has_canonical_format = True
    return lower


def _cuts(size: int, panel: int, ends: Any) -> Integers:
    """Starts of panels of about ``panel`` columns, and the end."""
    if ends is None:
        return np.unique(np.append(np.arange(0, size, panel), size))
    ends = np.unique(np.append(ends, size))
    wanted = np.arange(panel, size + panel, panel)
    nearest = np.minimum(np.searchsorted(ends, wanted), len(ends) - 1)
    return np.unique(np.concatenate([[0], ends[nearest], [size]])).astype(np.int64)


@dataclass(frozen=True)
class Panel:
    r"""One step of an elimination: :math:`P = Q L D L^{\mathsf T} Q^{\mathsf T}` and the multipliers of rows below."""

    start: int
    order: Integers
    """Q: the columns of the panel in the order of their pivots."""
    L: Array
    inverse_diagonal: Array
    inverse_off: Array
    """Of :math:`D^{-1}`; next to the diagonal, zero outside of pivots of order 2."""
    multipliers: Array
    """Rows below × columns of the panel, in the order of the pivots."""

    @property
    def columns(self) -> slice:
        return slice(self.start, self.start + len(self.order))

    @property
    def below(self) -> slice:
        return slice(self.columns.stop, self.columns.stop + len(self.multipliers))

    def divide(self, y: Array) -> Array:
        """:math:`D^{-1} y`."""
        result = self.inverse_diagonal[:, None] * y
        result[:-1] += self.inverse_off[:, None] * y[1:]
        result[1:] += self.inverse_off[:, None] * y[:-1]
        return result


class BandedLDL:
    r"""The factorization of a symmetric matrix whose entries lie near the diagonal, indefinite or not.

    Parameters
    ----------
    matrix : sparse array, shape (n, n)
        Symmetric; its lower triangle is read. Its memory is that of the band: ``Envelope(matrix).bytes``.
    envelope : Envelope, optional
        Of a matrix with the same pattern, found before.
    values : array, optional
        Entries of the lower triangle in the order of ``envelope``, instead of a matrix.
    keep : bool
        Whether to keep the factors, for :meth:`solve`; the inertia needs only a window.

    Attributes
    ----------
    inertia : (int, int, int)
        How many eigenvalues are negative, zero, positive. Zero are those whose pivots are at most n times machine
        precision times the largest entry: certain only where multipliers and growth are moderate.
    growth : float
        The largest pivot over the largest entry: rounding errors are about this times machine precision times the
        largest entry.
    smallest : float
        The smallest absolute pivot that is not zero, over the largest entry: if it comes down to the rounding errors,
        the inertia is that of a neighbouring matrix.
    joined : int
        How many panels had to be joined to the next.
    """

    def __init__(
        self,
        matrix: Any = None,
        *,
        envelope: Envelope | None = None,
        values: Array | None = None,
        keep: bool = True,
    ) -> None:
        self._envelope = Envelope(matrix) if envelope is None else envelope
        data = np.asarray(self._envelope.lower.data if values is None else values, dtype=float)
        self.shape = (self._envelope.size, self._envelope.size)
        self.growth, self.smallest, self.joined = 0.0, np.inf, 0
        self._counts = np.zeros(3, dtype=int)
        self._keep = keep
        self._largest = max(float(abs(data).max(initial=0.0)), np.finfo(float).tiny)
        # Pivots of an exactly singular matrix come out as rounding errors of its entries.
        self._zero = max(self._envelope.size, 64) * np.finfo(float).eps * self._largest
        if not np.isfinite(self._largest):
            raise ValueError("the matrix has entries that are not finite; pass finite ones.")
        self._panels = list(self._eliminate(data))

    @property
    def inertia(self) -> tuple[int, int, int]:
        """Numbers of negative, zero and positive eigenvalues."""
        negative, zero, positive = self._counts.tolist()
        return negative, zero, positive

    def solve(self, rhs: Any) -> Array:
        """:math:`A^{-1} b` for a vector, shape (n,), or the columns of a matrix, shape (n, k)."""
        from scipy.linalg import solve_triangular

        rhs = np.asarray(rhs, dtype=float)
        if rhs.ndim not in (1, 2) or len(rhs) != self.shape[0]:
            raise ValueError(
                f"rhs has shape {rhs.shape}, but the matrix has {self.shape[0]} rows; pass (n,) or (n, k)."
            )
        if not self._keep:
            raise ValueError("the factors were not kept; factor the matrix with keep=True.")
        if self._counts[1]:
            raise np.linalg.LinAlgError(f"the matrix is singular: {self._counts[1]} of its eigenvalues are zero.")
        x = rhs.reshape(len(rhs), -1).copy()
        for panel in self._panels:
            y = solve_triangular(panel.L, x[panel.columns][panel.order], lower=True, unit_diagonal=True)
            x[panel.below] -= panel.multipliers @ y
            x[panel.columns] = y
        for panel in reversed(self._panels):
            y = panel.divide(x[panel.columns]) - panel.multipliers.T @ x[panel.below]
            y = solve_triangular(panel.L, y, lower=True, unit_diagonal=True, trans="T")
            x[panel.start + panel.order] = y
        return x.reshape(rhs.shape)

    # --- elimination -----------------------------------------------------------------------------

    def _eliminate(self, data: Array) -> Iterator[Panel]:
        envelope = self._envelope
        window = Window(envelope.width)
        first, k, count = 0, 0, len(envelope.ends)
        while k < count:
            start, stop, end = int(envelope.cuts[first]), int(envelope.cuts[k + 1]), int(envelope.ends[k])
            window.extend(start, end)
            entries = slice(envelope.lower.indptr[envelope.cuts[k]], envelope.lower.indptr[stop])
            window.add(envelope.rows[entries], envelope.columns[entries], data[entries])
            pivots = window.factor(stop - start, limit=LARGEST_MULTIPLIER, zero=self._zero)
            k += 1
            if pivots is None:
                self.joined += 1
                continue
            self._note(abs(pivots.eigenvalues) / self._largest)
            self._counts += _signs(pivots.eigenvalues, self._zero)
            if self._keep:
                yield Panel(
                    start,
                    pivots.order,
                    pivots.L,
                    pivots.inverse_diagonal,
                    pivots.inverse_off,
                    pivots.multipliers.copy(),
                )
            window.reduce(pivots)
            first = k

    def _note(self, pivots: Array) -> None:
        """Keep the extremes of absolute pivots, relative to the largest entry."""
        self.growth = max(self.growth, float(pivots.max()))
        self.smallest = min(self.smallest, float(pivots[pivots > 0].min(initial=np.inf)))


def _signs(eigenvalues: Array, zero: float) -> Integers:
    """Numbers of negative, zero and positive values."""
    negative, positive = (eigenvalues < -zero).sum(), (eigenvalues > zero).sum()
    return np.array([negative, eigenvalues.size - negative - positive, positive])
