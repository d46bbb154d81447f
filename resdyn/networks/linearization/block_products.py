r"""Products of sparse matrices whose rows come in classes of one pattern, by dense blocks.

Units at one pixel are linked to the same units at pixels nearby, so many rows of their matrices have their entries in
the same columns. Such rows are one class. In a product A B, the rows of A in one class meet few classes of rows of B,
and all have the same pattern again: their part of the product is one small dense product. SciPy goes from entry to
entry; its product is the reference, and the way out where there are no such classes.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[Any]

FEWEST_ROWS = 9.0, 1.5
"""In a class of A and of B, on average: dense blocks of B are gathered for each class of A, and with fewer rows to
multiply them by, SciPy's product is faster (measured on units of a ResNet-56)."""


def block_product(A: Any, B: Any) -> Any:
    """A B (CSR, sorted indices) of CSR matrices, by dense blocks if their rows come in classes, else by SciPy."""
    left, right = Classes(A), Classes(B)
    if min(A.nnz, B.nnz) > 0 and left.mean_size >= FEWEST_ROWS[0] and right.mean_size >= FEWEST_ROWS[1]:
        return _by_blocks(A, B, left, right)
    product = sparse.csr_array(A @ B)
    product.sort_indices()
    return product


def row_products(A: Any) -> Any:
    """A Aᵀ (CSR), for K = CᵀC and H = V Vᵀ: the products of all pairs of rows."""
    rows = sparse.csr_array(A)
    return block_product(rows, sparse.csr_array(rows.T))


class Classes:
    """Which rows of a CSR matrix have their entries in the same columns.

    Attributes
    ----------
    label : integer array, shape (rows,)
        The class of each row.
    order : integer array, shape (rows,)
        The rows from class to class.
    ends : integer array, shape (classes + 1,)
        Where in ``order`` classes begin and end.
    """

    def __init__(self, matrix: Any) -> None:
        # sums of random 64-bit words tell sets apart: any two of a million sets agree with probability below 1e-7
        words = np.random.default_rng(0).integers(0, 2**64, matrix.shape[1], dtype=np.uint64)
        total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(words[matrix.indices], dtype=np.uint64)])
        marks = total[matrix.indptr[1:]] - total[matrix.indptr[:-1]]
        _, self.label = np.unique(marks, return_inverse=True)
        self.order = np.argsort(self.label, kind="stable")
        self.ends = np.concatenate([[0], np.cumsum(np.bincount(self.label))])

    @property
    def mean_size(self) -> float:
        """Rows for each class."""
        return len(self.label) / max(len(self.ends) - 1, 1)


class _Blocks:
    """The rows of a CSR matrix as dense blocks, one for each class, and the columns of each."""

    def __init__(self, matrix: Any, classes: Classes) -> None:
        ordered = matrix[classes.order]
        begins, sizes = ordered.indptr[classes.ends].tolist(), np.diff(classes.ends).tolist()
        self.entries: list[Array] = []
        self.columns: list[Array] = []
        for begin, end, size in zip(begins[:-1], begins[1:], sizes, strict=True):
            self.columns.append(ordered.indices[begin : begin + (end - begin) // size])
            self.entries.append(ordered.data[begin:end].reshape(size, -1 if end > begin else 0))

    def pattern(self, width: int) -> Any:
        """One row for each class (CSR)."""
        return _pattern(self.columns, width)


def _pattern(columns: list[Array], width: int) -> Any:
    indices = np.concatenate(columns)
    indptr = np.cumsum([0, *map(len, columns)])
    return sparse.csr_array((np.ones(len(indices), np.int32), indices, indptr), shape=(len(columns), width))


def add_entries(matrix: Any, other: Any) -> Any:
    """The sum of two CSR matrices with sorted indices; in the first itself if it has entries where the second has."""
    if not other.nnz:
        return matrix
    rows = np.repeat(np.arange(other.shape[0]), np.diff(other.indptr))
    places = _places(matrix, rows, other.indices)
    if places is None:
        return sparse.csr_array(matrix + other)
    matrix.data[places] += other.data  # places of different entries differ
    return matrix


def _places(matrix: Any, rows: Array, columns: Array) -> Array | None:
    """Where in its data a CSR matrix has entries; None if it has not all of them. Bisection, in all rows at once."""
    low, ends = matrix.indptr[rows].astype(np.int64), matrix.indptr[rows + 1].astype(np.int64)
    if not (low < ends).all():
        return None
    high = ends - 1
    for _ in range(int((high - low).max()).bit_length()):
        middle = (low + high) // 2
        below = matrix.indices[middle] < columns
        low, high = np.where(below, np.minimum(middle + 1, high), low), np.where(below, high, middle)
    return low if np.array_equal(matrix.indices[low], columns) else None


def _by_blocks(A: Any, B: Any, left: Classes, right: Classes) -> Any:
    outer, inner = _Blocks(A, left), _Blocks(B, right)
    pieces = _pieces(outer.columns, right)
    needed = _columns_of_products(pieces, inner.pattern(B.shape[1]))
    widths = np.array([len(columns) for columns in needed])
    indices = np.concatenate([needed[label] for label in left.label.tolist()])
    indptr = np.concatenate([[0], np.cumsum(widths[left.label])])
    indptr = indptr.astype(sparse.get_index_dtype((indices,), maxval=len(indices)))
    data = np.empty(len(indices))
    where, ascending = np.empty(B.shape[1], np.int64), np.arange(B.shape[1])
    starts = iter(indptr[left.order].tolist())
    for entries, parts, columns in zip(outer.entries, pieces, needed, strict=True):
        width = len(columns)
        where[columns] = ascending[:width]
        gathered = np.zeros((entries.shape[1], width))
        for label, begin, end, rows in parts.classes:
            block = inner.entries[label]
            gathered[begin:end, where[inner.columns[label]]] = block if rows is None else block[rows]
        # zip ends with the rows of this class, before it takes another start
        for values, start in zip(entries[:, parts.order] @ gathered, starts, strict=False):
            data[start : start + width] = values
    return sparse.csr_array((data, indices, indptr), shape=(A.shape[0], B.shape[1]))


class _Pieces(NamedTuple):
    """What rows of A in one class meet: rows of B, class after class."""

    order: Array
    """The entries in which they meet, from class to class of B."""
    classes: list[tuple[int, int, int, Array | None]]
    """A class of B, where in ``order`` it begins and ends, and which of its rows are met; None for all."""


def _pieces(met: list[Array], right: Classes) -> list[_Pieces]:
    """For each class of A, given the rows of B that it meets."""
    of, rows = np.repeat(np.arange(len(met)), [len(one) for one in met]), np.concatenate(met)
    place = np.empty(len(right.order), np.int64)
    place[right.order] = np.arange(len(right.order))
    ends = np.cumsum([0, *map(len, met)])
    sort = np.argsort(of * len(place) + place[rows])
    places, labels = place[rows[sort]], right.label[rows[sort]]
    begins = np.flatnonzero((np.diff(of, prepend=-1) != 0) | (np.diff(labels, prepend=-1) != 0))
    lengths = np.diff(begins, append=len(rows))
    whole = lengths == np.diff(right.ends)[labels[begins]]
    pieces = [_Pieces(order, []) for order in np.split(sort - ends[of], ends[1:-1])]
    within = begins - ends[of[begins]]
    table = zip(
        of[begins].tolist(),
        labels[begins].tolist(),
        within.tolist(),
        lengths.tolist(),
        whole.tolist(),
        begins.tolist(),
        strict=True,
    )
    for which, label, begin, length, complete, first in table:
        chosen = None if complete else places[first : first + length] - right.ends[label]
        pieces[which].classes.append((label, begin, begin + length, chosen))
    return pieces


def _columns_of_products(pieces: list[_Pieces], inner: Any) -> list[Array]:
    """The columns of the product, ascending, for each class of A, given the pattern of the classes of B."""
    alike = Classes(sparse.csr_array(inner.T))
    first = alike.order[alike.ends[:-1]]
    met = _pattern([np.array([piece[0] for piece in one.classes], np.int32) for one in pieces], inner.shape[0])
    product = met @ inner[:, first]
    sizes = np.diff(alike.ends)[product.indices]
    of = np.repeat(np.arange(product.shape[0]), np.diff(product.indptr))
    # all members of the classes of columns, one class after another
    ends = np.cumsum(sizes)
    members = alike.order[np.repeat(alike.ends[product.indices] - (ends - sizes), sizes) + np.arange(sizes.sum())]
    keys = np.sort(np.repeat(of, sizes) * inner.shape[1] + members)
    counts = np.bincount(of, weights=sizes, minlength=product.shape[0]).astype(np.int64)
    return np.split((keys % inner.shape[1]).astype(inner.indices.dtype), np.cumsum(counts)[:-1])
