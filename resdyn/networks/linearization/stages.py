r"""Jacobians of stages and of whole networks: products of those of their parts, :math:`J = J_m \cdots J_1`.

After each part only its active rows go on, :math:`J = \prod_i J_i[A_i, A_{i-1}]`, so the rank is at most the smallest
number of them, r. The spectrum is that of a dense product of r rows: where the way narrows, a QR factorization replaces
the product so far by a triangle with the same singular values. Eigenvalues of its Gram matrix have absolute errors of
:math:`\varepsilon\sigma_1^2`, and so :math:`\varepsilon\sigma_1^2/2\sigma` in σ. Values below :math:`10^{-4}\sigma_1`
are therefore found again, as singular values of :math:`Q^{\mathsf T} J`, Q the eigenvectors of the small eigenvalues.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy import sparse

from resdyn import _memory
from resdyn.networks.linearization.lanczos import symmetric
from resdyn.networks.linearization.operator import Linearization
from resdyn.networks.linearization.unit import LinearizedUnit

Array = NDArray[Any]

REFINED = 1e-4
"""Below this, relative to the largest, singular values are not taken from a Gram matrix: it squares their errors."""
MANY = 64
"""From so many rows on, a product with a sparse matrix that is not very sparse is faster as a dense one."""
FULL = 0.05
"""Share of entries from which on a sparse matrix is that."""


class LinearizedChain(Linearization):
    r"""The Jacobian of parts one after another, :math:`J = J_m \cdots J_2 J_1`, each at the state that reaches it.

    Attributes
    ----------
    parts : tuple of LinearizedUnit
        In the order in which they act.
    """

    def __init__(self, name: str, parts: Sequence[LinearizedUnit]) -> None:
        super().__init__((parts[-1].shape[0], parts[0].shape[1]))
        self.name, self.parts = name, tuple(parts)
        self.x, self.shape_before, self.shape_after = parts[0].x, parts[0].shape_before, parts[-1].shape_after

    # --- structure -------------------------------------------------------------------------------

    @property
    def reading(self) -> str:
        """Of the parts."""
        return self.parts[-1].reading

    @cached_property
    def active_rows(self) -> NDArray[np.int64]:
        """The outputs that depend on anything: where the derivative of the last activation is not zero."""
        return _active_rows(self.parts[-1])

    @cached_property
    def rank_bound(self) -> int:
        """The rank is at most this: the smallest number of active rows on the way, or of variables."""
        return min(*self.shape, *(len(_active_rows(part)) for part in self.parts))

    # --- spectrum --------------------------------------------------------------------------------

    def singular_values(self) -> Array:
        """All of them, descending, shape (min(n, m),), with errors up to 1e-10 of the largest.

        They come from a dense matrix of the active outputs and the inputs, or of what is smaller on the way. Values
        that the rank bound forces are exactly zero.

        Raises
        ------
        MemoryError
            If that matrix and its Gram matrix do not fit; take ``spectral_density`` or ``triplets``.
        """
        return self._values.copy()

    def count_above(self, t: Any) -> Any:
        """How many singular values are greater than t: an int, or integers for an array of t.

        From all singular values, which are computed in the first call: for products there is no count without them.
        """
        counts = len(self._values) - np.searchsorted(self._values[::-1], np.asarray(t, dtype=float), side="right")
        return int(counts) if np.ndim(t) == 0 else counts

    def fraction_within(self, center: float, width: float) -> float:
        """The share of singular values that are at most ``width`` from ``center``; from all of them."""
        return float((abs(self._values - center) <= width).mean())

    @cached_property
    def _values(self) -> Array:
        values = np.zeros(min(self.shape))
        r = self.rank_bound
        if r:
            values[:r] = singular_values_of_wide(self._reduced())[:r]
        values.setflags(write=False)
        return values

    def _reduced(self) -> Array:
        """A dense matrix, no higher than wide, with the singular values of J that are not zero by the rank bound."""
        sizes = [self.shape[1], *(len(_active_rows(part)) for part in self.parts)]
        few = min(sizes[0], sizes[-1])
        self._require(8 * few * (3 * max(sizes) + 3 * few))
        factors = self._forwards if sizes[0] < sizes[-1] else self._backwards
        matrix = np.eye(few)
        for factor in factors:
            matrix = factor.times(matrix)
            if len(matrix) < matrix.shape[1]:  # the way is narrow here: the same values from as many columns
                matrix = np.asarray(np.linalg.qr(matrix.T, mode="r")).T
        return np.ascontiguousarray(matrix.T)

    def _require(self, n_bytes: int) -> None:
        _memory.require(
            n_bytes,
            f"the dense Jacobian of {self.name!r}, {self.shape[0]} × {self.shape[1]},",
            "take spectral_density(), triplets(k), or products with vectors",
        )

    # --- as matrix and operator ------------------------------------------------------------------

    def to_dense(self) -> Array:
        """J as an array, shape (n, m).

        Raises
        ------
        MemoryError
            If it does not fit, before anything is computed.
        """
        n, m = self.shape
        largest = max(max(part.shape) for part in self.parts)
        self._require(8 * (n * m + 3 * min(n, m) * largest))
        if n < m:
            return np.ascontiguousarray(self._transposed_matmat(np.eye(n)).T)
        return self._matmat(np.eye(m))

    def _matmat(self, x: Array) -> Array:
        after = np.zeros((self.shape[0], x.shape[1]))
        for factor in self._forwards:
            x = factor.times(x)
        after[self.active_rows] = x
        return after

    def _transposed_matmat(self, y: Array) -> Array:
        y = y[self.active_rows]
        for factor in self._backwards:
            y = factor.times(y)
        return y

    @cached_property
    def _forwards(self) -> list["_Between"]:
        rows = [_active_rows(part) for part in self.parts]
        return [_between(*part) for part in zip(self.parts, rows, [None, *rows[:-1]], strict=True)]

    @cached_property
    def _backwards(self) -> list["_Between"]:
        return [factor.transposed() for factor in reversed(self._forwards)]

    def __repr__(self) -> str:
        n, m = self.shape
        word = "after" if self.reading == "after" else "before"
        return (
            f"{type(self).__name__} {self.name!r}: the Jacobian of {len(self.parts)} "
            f"part{'s' * (len(self.parts) != 1)}, each read {word} its last activation, from {m} to {n} variables, "
            f"of rank at most {self.rank_bound}."
        )


class LinearizedStage(LinearizedChain):
    """The Jacobian of a stage of a network: of its entry, if there is one, and its blocks."""


class LinearizedNetwork(LinearizedChain):
    """The Jacobian of a network from its inputs to its logits: of stem, units and head."""


def singular_values_of_wide(matrix: Array) -> Array:
    """Of a matrix with no more rows than columns, descending, with errors up to 1e-10 of the largest."""
    gram = symmetric(matrix @ matrix.T)
    squares = scipy.linalg.eigvalsh(gram, check_finite=False)[::-1]
    values = np.sqrt(np.maximum(squares, 0.0))
    small = int((values < REFINED * values[0]).sum()) if len(values) else 0
    if small:
        _, vectors = scipy.linalg.eigh(gram, subset_by_index=(0, small - 1), check_finite=False)
        values[len(values) - small :] = scipy.linalg.svdvals(vectors.T @ matrix, check_finite=False)
    return np.sort(values)[::-1]


@dataclass(frozen=True)
class _Between:
    """The Jacobian of a part between active variables: ``first + second @ third``."""

    first: Any
    second: Any = None
    third: Any = None

    def transposed(self) -> "_Between":
        parts = (self.first, self.third, self.second)
        return _Between(*(None if matrix is None else _rows_first(matrix.T) for matrix in parts))

    def times(self, x: Array) -> Array:
        after = _product(self.first, x)
        return after if self.third is None else after + _product(self.second, _product(self.third, x))


def _between(part: LinearizedUnit, rows: NDArray[np.int64], before: NDArray[np.int64] | None) -> _Between:
    columns: Any = slice(None) if before is None else before
    if part.factors is None:
        return _Between(_rows_first(part._matrix[rows][:, columns]))
    F = part.factors
    return _Between(_rows_first(F.active_skip[:, columns]), F.active_U, _rows_first(sparse.csc_array(F.V)[:, columns]))


def _active_rows(part: LinearizedUnit) -> NDArray[np.int64]:
    if part.factors is not None:
        return part.factors.rows
    return np.flatnonzero(np.asarray(abs(part._matrix).sum(axis=1)).ravel())


def _rows_first(matrix: Any) -> Any:
    """Sparse matrices by rows, as products with many columns want them; dense ones as they are."""
    return sparse.csr_array(matrix) if sparse.issparse(matrix) else matrix


def _product(matrix: Any, x: Array) -> Array:
    if sparse.issparse(matrix) and x.shape[1] >= MANY and matrix.nnz > FULL * np.prod(matrix.shape):
        matrix = matrix.toarray()
    return np.asarray(matrix @ x)
