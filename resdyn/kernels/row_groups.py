"""Products with a sparse matrix whose rows come in groups with entries in the same columns.

A group is a dense block. For A x, the entries of x that it needs are gathered once, and the rest is dot products of
contiguous rows; for Aᵀ z, multiples of the rows are added up, and the sum is scattered once. Nothing is transposed, and
there is one index for all entries of a group in one column.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

LANES = 8
"""Rows of a block are filled up with zeros to a multiple of this: loops over what does not fill a register are slow."""


class RowGroups(NamedTuple):
    """The rows of a matrix from group to group."""

    rows: NDArray[np.int64]
    """Shape (rows,): which row of the matrix each of them is."""
    ends: NDArray[np.int64]
    """Shape (groups + 1,): where in ``rows`` groups begin and end."""
    columns: NDArray[np.uint32]
    """Those of each group, one group after another."""
    column_ends: NDArray[np.int64]
    """Shape (groups + 1,): where in ``columns`` groups begin and end."""
    entries: Array
    """Row after row in the order of ``rows``, each filled up with zeros."""
    entry_ends: NDArray[np.int64]
    """Shape (groups + 1,): where in ``entries`` groups begin and end."""

    @property
    def mean_size(self) -> float:
        """Rows for each group."""
        return len(self.rows) / max(len(self.ends) - 1, 1)


def row_groups(indptr: Array, indices: Array, data: Array, *, least: float) -> RowGroups | None:
    """Of a matrix in the CSR format, indices in any order; None if groups have fewer than ``least`` rows on average.

    None, too, in the improbable case that two patterns cannot be told apart.
    """
    indptr, indices = indptr.astype(np.int64, copy=False), indices.astype(np.uint32)
    marks = _marks(indptr, indices)
    order = np.argsort(marks, kind="stable")
    sorted_marks = marks[order]
    begins = np.flatnonzero(np.concatenate([[True], sorted_marks[1:] != sorted_marks[:-1]])[: len(marks)])
    if not len(marks) or len(marks) < least * len(begins):
        return None
    first, ends = order[begins], np.append(begins, len(order))
    lengths = indptr[first + 1] - indptr[first]
    filled = -(-lengths // LANES) * LANES
    column_ends, entry_ends = (np.concatenate([[0], np.cumsum(each)]) for each in (lengths, filled * np.diff(ends)))
    columns, entries = np.empty(column_ends[-1], np.uint32), np.empty(entry_ends[-1])
    groups = RowGroups(order, ends, columns, column_ends, entries, entry_ends)
    return groups if _fill(*groups, indptr, indices, data.astype(float, copy=False)) else None


@njit(nogil=True, error_model="numpy", cache=True)
def _marks(indptr: Array, indices: Array) -> Array:
    """A number for each row, the same for the same indices in the same order (the hash of Fowler, Noll and Vo)."""
    marks = np.empty(indptr.size - 1, np.uint64)
    for row in range(marks.size):
        mark = np.uint64(14695981039346656037)
        for i in indices[indptr[row] : indptr[row + 1]]:
            mark = (mark ^ np.uint64(i)) * np.uint64(1099511628211)
        marks[row] = mark
    return marks


@njit(nogil=True, error_model="numpy", cache=True)
def _fill(
    rows: Array,
    ends: Array,
    columns: Array,
    column_ends: Array,
    entries: Array,
    entry_ends: Array,
    indptr: Array,
    indices: Array,
    data: Array,
) -> bool:
    """Columns and entries; False if rows of a group differ in their columns."""
    for group in range(ends.size - 1):
        mine = columns[column_ends[group] : column_ends[group + 1]]
        width = mine.size
        begin = indptr[rows[ends[group]]]
        mine[:] = indices[begin : begin + width]
        into = entry_ends[group]
        filled = (entry_ends[group + 1] - into) // (ends[group + 1] - ends[group])
        for row in rows[ends[group] : ends[group + 1]]:
            begin = indptr[row]
            if indptr[row + 1] - begin != width:
                return False
            theirs = indices[begin : begin + width]
            different = 0
            for j in range(width):
                different |= mine[j] ^ theirs[j]
            if different != 0:
                return False
            entries[into : into + width] = data[begin : begin + width]
            entries[into + width : into + filled] = 0.0
            into += filled
    return True


# sums may be taken in any order, which lets them fill the lanes of registers
@njit(nogil=True, fastmath={"contract", "reassoc"}, error_model="numpy", cache=True)
def _add_dots(block: Array, x: Array, rows: Array, out: Array) -> None:
    """Products of the rows of a block with one vector."""
    n, m = x.size, rows.size
    row = 0
    while row + 4 <= m:
        r0, r1 = block[row * n : (row + 1) * n], block[(row + 1) * n : (row + 2) * n]
        r2, r3 = block[(row + 2) * n : (row + 3) * n], block[(row + 3) * n : (row + 4) * n]
        s0 = s1 = s2 = s3 = 0.0
        for j in range(n):
            s0 += r0[j] * x[j]
            s1 += r1[j] * x[j]
            s2 += r2[j] * x[j]
            s3 += r3[j] * x[j]
        out[rows[row]] += s0
        out[rows[row + 1]] += s1
        out[rows[row + 2]] += s2
        out[rows[row + 3]] += s3
        row += 4
    while row < m:
        r0 = block[row * n : (row + 1) * n]
        s0 = 0.0
        for j in range(n):
            s0 += r0[j] * x[j]
        out[rows[row]] += s0
        row += 1


@njit(nogil=True, fastmath={"contract", "reassoc"}, error_model="numpy", cache=True)
def _combine(block: Array, z: Array, rows: Array, out: Array) -> None:
    """The sum of the rows of a block, each times its entry of z."""
    n, m = out.size, rows.size
    out[:] = 0.0
    row = 0
    while row + 4 <= m:
        r0, r1 = block[row * n : (row + 1) * n], block[(row + 1) * n : (row + 2) * n]
        r2, r3 = block[(row + 2) * n : (row + 3) * n], block[(row + 3) * n : (row + 4) * n]
        z0, z1, z2, z3 = z[rows[row]], z[rows[row + 1]], z[rows[row + 2]], z[rows[row + 3]]
        for j in range(n):
            out[j] += z0 * r0[j] + z1 * r1[j] + z2 * r2[j] + z3 * r3[j]
        row += 4
    while row < m:
        r0, z0 = block[row * n : (row + 1) * n], z[rows[row]]
        for j in range(n):
            out[j] += z0 * r0[j]
        row += 1


@njit(nogil=True, error_model="numpy", cache=True)
def _widest(ends: Array) -> int:
    """Room for the longest row of all."""
    widest = 0
    for group in range(ends.size - 1):
        widest = max(widest, ends[group + 1] - ends[group])
    return widest + LANES


@njit(nogil=True, error_model="numpy", cache=True)
def add_product(
    rows: Array,
    ends: Array,
    columns: Array,
    column_ends: Array,
    entries: Array,
    entry_ends: Array,
    x: Array,
    out: Array,
) -> None:
    """``out`` += A x for each vector, shapes (k, columns) and (k, rows)."""
    gathered = np.empty(_widest(column_ends))
    for group in range(ends.size - 1):
        these = columns[column_ends[group] : column_ends[group + 1]]
        mine = rows[ends[group] : ends[group + 1]]
        block = entries[entry_ends[group] : entry_ends[group + 1]]
        held = gathered[: block.size // mine.size]
        held[these.size :] = 0.0
        for k in range(x.shape[0]):
            for j in range(these.size):
                held[j] = x[k, these[j]]
            _add_dots(block, held, mine, out[k])


@njit(nogil=True, error_model="numpy", cache=True)
def add_transposed(
    rows: Array,
    ends: Array,
    columns: Array,
    column_ends: Array,
    entries: Array,
    entry_ends: Array,
    z: Array,
    out: Array,
) -> None:
    """``out`` += Aᵀ z for each vector, shapes (k, rows) and (k, columns)."""
    summed = np.empty(_widest(column_ends))
    for group in range(ends.size - 1):
        these = columns[column_ends[group] : column_ends[group + 1]]
        mine = rows[ends[group] : ends[group + 1]]
        block = entries[entry_ends[group] : entry_ends[group + 1]]
        held = summed[: block.size // mine.size]
        for k in range(z.shape[0]):
            _combine(block, z[k], mine, held)
            for j in range(these.size):
                out[k, these[j]] += held[j]
