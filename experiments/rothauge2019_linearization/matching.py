"""How large the rank of a matrix can be, from where its entries are alone.

The structural rank is the largest number of entries of which no two share a row or a column; by König the fewest rows
and columns that cover all entries. Rows with the same pattern are put together, and so are columns, which leaves a few
thousand nodes of a flow instead of millions of entries.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import maximum_flow


def structural_rank(matrix: Any) -> int:
    """The largest rank that a matrix with entries at these places can have."""
    pattern = sparse.csr_array(matrix)
    pattern.data = (pattern.data != 0).astype(float)
    pattern.eliminate_zeros()
    if not pattern.nnz:
        return 0
    rows, columns = _same(pattern), _same(sparse.csr_array(pattern.T))
    n, m = rows.max() + 1, columns.max() + 1
    entries = pattern.tocoo()
    first, second = np.unique(np.stack([rows[entries.row], columns[entries.col]]), axis=1)
    # as much as there is of rows flows from the source through patterns to columns
    sizes = np.concatenate([np.bincount(rows), np.full(len(first), len(rows)), np.bincount(columns)])
    begins = np.concatenate([np.full(n, n + m), first, n + np.arange(m)])
    ends = np.concatenate([np.arange(n), n + second, np.full(m, n + m + 1)])
    network = sparse.csr_matrix((sizes.astype(np.int32), (begins, ends)), shape=(n + m + 2, n + m + 2))
    return int(maximum_flow(network, int(n + m), int(n + m + 1)).flow_value)


def _same(pattern: Any) -> NDArray[np.int64]:
    """A number for each row, the same where the pattern is: by sums of random numbers, one for each column."""
    sums = pattern @ np.random.default_rng(0).random((pattern.shape[1], 2))
    return np.unique(sums.round(9), axis=0, return_inverse=True)[1].ravel()
