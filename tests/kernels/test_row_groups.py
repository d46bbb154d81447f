"""Products with matrices whose rows come in groups: against SciPy's and dense ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from resdyn.kernels.row_groups import add_product, add_transposed, row_groups


def grouped(rng, sizes, widths, columns, *, shuffled=True):
    """A CSR matrix with groups of so many rows, each with entries in so many columns, its rows in random order."""
    dense = np.zeros((sum(sizes), columns))
    begin = 0
    for size, width in zip(sizes, widths, strict=True):
        dense[begin : begin + size, rng.choice(columns, width, replace=False)] = rng.standard_normal((size, width))
        begin += size
    return sparse.csr_array(rng.permutation(dense) if shuffled else dense)


def assert_products_agree(matrix, rng, vectors=3):
    groups = row_groups(matrix.indptr, matrix.indices, matrix.data, least=0.0)
    n, m = matrix.shape
    x, z = rng.standard_normal((vectors, m)), rng.standard_normal((vectors, n))
    forth, back = rng.standard_normal((vectors, n)), rng.standard_normal((vectors, m))
    expected = forth + (matrix @ x.T).T, back + (matrix.T @ z.T).T
    add_product(*groups, x, forth)
    add_transposed(*groups, z, back)
    # sums of up to a few hundred products of numbers of size one, in another order
    scale = max(abs(matrix).sum(axis=0).max(), abs(matrix).sum(axis=1).max(), 1.0)
    for found, reference in zip((forth, back), expected, strict=True):
        np.testing.assert_allclose(found, reference, rtol=0, atol=1e-13 * scale)


@settings(deadline=None, max_examples=60)
@given(
    groups=st.lists(st.tuples(st.integers(1, 11), st.integers(0, 40)), min_size=1, max_size=6),
    vectors=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_products_are_those_of_scipy(groups, vectors, seed):
    rng = np.random.default_rng(seed)
    sizes, widths = zip(*groups, strict=True)
    assert_products_agree(grouped(rng, sizes, widths, 40), rng, vectors)


def test_long_rows():
    rng = np.random.default_rng(0)
    assert_products_agree(grouped(rng, (64, 7, 1), (576, 300, 1), 1000), rng, 2)


def test_rows_of_one_pattern_are_one_group():
    rng = np.random.default_rng(1)
    groups = row_groups(*csr(grouped(rng, (5, 3, 4), (8, 9, 0), 40)), least=0.0)
    assert sorted(np.diff(groups.ends)) == [3, 4, 5]
    assert sorted(np.diff(groups.column_ends)) == [0, 8, 9]
    assert groups.mean_size == 4.0


def test_indices_out_of_order_and_repeated():
    """Rows of one pattern in two orders are two groups; entries in one place are added up."""
    indptr, indices = np.array([0, 3, 6, 9, 11]), np.array([0, 2, 4, 4, 2, 0, 0, 2, 4, 1, 1])
    matrix = sparse.csr_array((np.arange(1.0, 12.0), indices, indptr), shape=(4, 5))
    assert len(row_groups(*csr(matrix), least=0.0).ends) - 1 == 3
    assert_products_agree(matrix, np.random.default_rng(0))


def test_what_a_row_does_not_meet_does_not_matter():
    """Rows are filled up with zeros, and zero times infinity must not come in."""
    matrix = grouped(np.random.default_rng(2), (6,), (3,), 12)
    groups = row_groups(*csr(matrix), least=0.0)
    x, out = np.full((1, 12), np.inf), np.zeros((1, 6))
    x[0, groups.columns] = 1.0
    add_product(*groups, x, out)
    np.testing.assert_allclose(out[0], matrix.sum(axis=1), rtol=1e-14)


@pytest.mark.parametrize(("least", "expected"), [(1.0, True), (2.0, False)])
def test_matrices_without_groups_are_refused(least, expected):
    diagonal = sparse.csr_array(np.eye(6))
    assert (row_groups(*csr(diagonal), least=least) is not None) is expected


def test_a_matrix_without_rows_has_no_groups():
    assert row_groups(*csr(sparse.csr_array((0, 4))), least=0.0) is None


def test_patterns_that_the_hash_does_not_tell_apart_are_refused(monkeypatch):
    monkeypatch.setattr("resdyn.kernels.row_groups._marks", lambda indptr, _: np.zeros(len(indptr) - 1, np.uint64))
    rng = np.random.default_rng(3)
    assert row_groups(*csr(grouped(rng, (2, 2), (5, 5), 30)), least=0.0) is None
    assert row_groups(*csr(grouped(rng, (2, 2), (5, 4), 30)), least=0.0) is None


def csr(matrix):
    return matrix.indptr, matrix.indices, matrix.data
