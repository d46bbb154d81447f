"""Products by dense blocks against SciPy's product, entry by entry and pattern by pattern."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from resdyn.networks.linearization import assembly, block_products
from resdyn.networks.linearization.block_products import Classes, add_entries, block_product, row_products

# sums of at most a few hundred products of numbers near 1
ROUNDING = 1e-14


def in_classes(rng, rows, width, classes, density):
    """A random matrix whose rows have one of a few patterns, some of them empty."""
    patterns = rng.random((classes, width)) < density
    return sparse.csr_array(patterns[rng.integers(classes, size=rows)] * rng.uniform(1, 2, (rows, width)))


def same(found, reference):
    reference = sparse.csr_array(reference)
    reference.sort_indices()
    assert found.shape == reference.shape
    assert np.array_equal(found.indptr, reference.indptr)
    assert np.array_equal(found.indices, reference.indices)
    assert np.allclose(found.data, reference.data, rtol=ROUNDING, atol=ROUNDING)


def by_blocks(A, B):
    return block_products._by_blocks(A, B, Classes(A), Classes(B))


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(*[st.integers(1, 30)] * 3),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.tuples(*[st.sampled_from([0.05, 0.3, 0.9])] * 2),
)
@settings(max_examples=60, deadline=None)
def test_blocks_give_scipys_product(seed, sizes, classes, density):
    rng = np.random.default_rng(seed)
    A = in_classes(rng, sizes[0], sizes[1], classes[0], density[0])
    B = in_classes(rng, sizes[1], sizes[2], classes[1], density[1])
    if A.nnz and B.nnz:
        same(by_blocks(A, B), A @ B)
    same(block_product(A, B), A @ B)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_at_active_units(stride, groups):
    rng = np.random.default_rng(stride)
    before, between = (4, 9, 8), (24, -(-9 // stride), -(-8 // stride))
    active = np.flatnonzero(rng.random(np.prod(between)) < 0.4)
    V = assembly.convolution_rows(
        rng.standard_normal((24, 4 // groups, 3, 3)), before, stride=stride, padding=1, groups=groups, rows=active
    )
    weight = rng.standard_normal((24, 24 // groups, 3, 3))
    U = assembly.convolution_columns(weight, between, padding=1, groups=groups, columns=active).tocsr()
    U = U[np.flatnonzero(rng.random(U.shape[0]) < 0.9)]
    pixels = between[1] * between[2]
    assert len(Classes(U).ends) - 1 == pixels * groups
    assert Classes(U).mean_size > block_products.FEWEST_ROWS[0]
    same(block_product(U, V), U @ V)


def test_rows_of_one_pattern_are_one_class():
    matrix = sparse.csr_array(np.array([[1.0, 0, 2], [0, 0, 0], [3, 0, 4], [0, 5, 0], [0, 0, 0]]))
    classes = Classes(matrix)
    assert classes.label[0] == classes.label[2]
    assert classes.label[1] == classes.label[4]
    assert len(set(classes.label.tolist())) == 3
    assert classes.mean_size == pytest.approx(5 / 3)


def test_entries_are_added_in_place_only_where_there_are_some():
    rng = np.random.default_rng(0)
    matrix = sparse.csr_array((rng.random((20, 15)) < 0.4) * rng.uniform(1, 2, (20, 15)))
    inside = sparse.csr_array(matrix.toarray() * (rng.random((20, 15)) < 0.3))
    outside = sparse.csr_array(np.eye(20, 15))
    for other, in_place in ((inside, True), (outside, False), (sparse.csr_array((20, 15)), True)):
        first = matrix.copy()
        total = add_entries(first, other)
        assert (total is first) == in_place
        assert np.array_equal(total.toarray(), matrix.toarray() + other.toarray())


def test_a_row_without_entries_has_no_place():
    assert np.array_equal(add_entries(sparse.csr_array((2, 2)), sparse.csr_array(np.eye(2))).toarray(), np.eye(2))


@pytest.mark.parametrize("rows_alike", [1, 20])
def test_products_of_rows(rows_alike):
    rng = np.random.default_rng(2)
    A = in_classes(rng, 40, 60, 40 // rows_alike, 0.3)
    same(row_products(A), A @ A.T)
    same(row_products(sparse.csc_array(A)), A @ A.T)
