"""Products of a sparse matrix, and of its transpose, with vectors, many times.

The units at one pixel are linked to the same units nearby, so rows of their matrices come in groups with entries in the
same columns, for which :mod:`resdyn.kernels.row_groups` has faster products than SciPy; SciPy's serve other matrices.
Vectors are rows here: each is contiguous.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[Any]

FEWEST_ROWS = 2.0
"""In a group, on average; gathering takes longer than what it saves if there are fewer."""
ONE_BY_ONE = 8
"""Up to so many vectors SciPy's product with a vector is faster than that with a block of them."""


class Products:
    """Of one matrix."""

    def __init__(self, matrix: Any) -> None:
        # numba takes half a second to import, and only those who multiply need it
        from resdyn.kernels import row_groups

        rows = sparse.csr_array(matrix)
        self._kernels = row_groups.add_product, row_groups.add_transposed
        self._groups = row_groups.row_groups(rows.indptr, rows.indices, rows.data, least=FEWEST_ROWS)
        self._matrices = () if self._groups is not None else (rows, sparse.csr_array(rows.T))

    def add(self, x: Array, out: Array) -> None:
        """``out`` += A x for the rows x of an array, shapes (k, columns) and (k, rows)."""
        self._add(x, out, transposed=False)

    def add_transposed(self, z: Array, out: Array) -> None:
        """``out`` += Aᵀ z for the rows z of an array, shapes (k, rows) and (k, columns)."""
        self._add(z, out, transposed=True)

    def _add(self, x: Array, out: Array, *, transposed: bool) -> None:
        if self._groups is not None:
            self._kernels[transposed](*self._groups, x, out)
        elif len(x) > ONE_BY_ONE:
            out += (self._matrices[transposed] @ x.T).T
        else:
            for vector, image in zip(x, out, strict=True):
                image += self._matrices[transposed] @ vector


class SumOfPaths:
    """Products with S + U V, with its transpose and with both, of the columns of an array.

    For one thread at a time: the memory between two factors is kept, because fresh memory costs as much as a product.
    """

    def __init__(self, S: Any, U: Any, V: Any) -> None:
        self._skip, self._after, self._before = Products(S), Products(U), Products(V)
        self._sizes = {"out": S.shape[0], "in": S.shape[1], "inner": V.shape[0]}
        self._held: dict[str, Array] = {}

    def matmat(self, x: Array) -> Array:
        """(S + U V) x."""
        rows = _as_rows(x)
        return self._forth(rows, np.zeros((len(rows), self._sizes["out"]))).T

    def rmatmat(self, x: Array) -> Array:
        """(S + U V)ᵀ x."""
        rows = _as_rows(x)
        return self._back(rows, np.zeros((len(rows), self._sizes["in"]))).T

    def gram(self, x: Array) -> Array:
        """(S + U V)(S + U V)ᵀ x."""
        rows = _as_rows(x)
        return self._forth(self._back(rows, self._zeros("in", len(rows))), np.zeros(rows.shape)).T

    def _forth(self, x: Array, out: Array) -> Array:
        inner = self._zeros("inner", len(x))
        self._before.add(x, inner)
        self._skip.add(x, out)
        self._after.add(inner, out)
        return out

    def _back(self, x: Array, out: Array) -> Array:
        inner = self._zeros("inner", len(x))
        self._after.add_transposed(x, inner)
        self._skip.add_transposed(x, out)
        self._before.add_transposed(inner, out)
        return out

    def _zeros(self, name: str, count: int) -> Array:
        if count > ONE_BY_ONE:
            return np.zeros((count, self._sizes[name]))
        held = self._held.get(name)
        if held is None or len(held) != count:
            held = self._held[name] = np.empty((count, self._sizes[name]))
        held[:] = 0.0
        return held


def _as_rows(columns: Array) -> Array:
    """Contiguous; kernels are compiled for arrays that can be written to."""
    return np.require(columns.T, float, ["C", "W"])
