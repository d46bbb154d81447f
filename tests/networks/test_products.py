"""Products with a sum of two paths, by groups of rows and by SciPy."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

from resdyn.networks.linearization.products import ONE_BY_ONE, Products, SumOfPaths


def matrix_of(kind, rng):
    if kind == "groups":  # dense blocks side by side
        return sparse.block_diag([rng.standard_normal((4, 5)) for _ in range(8)], format="csr")
    return sparse.random_array((32, 40), density=0.2, rng=rng, format="csr")


@pytest.mark.parametrize("kind", ["groups", "no groups"])
@pytest.mark.parametrize("columns", [0, 1, 2, ONE_BY_ONE, ONE_BY_ONE + 5])
def test_products_with_both_paths(kind, columns):
    rng = np.random.default_rng(0)
    V, U, S = matrix_of(kind, rng), matrix_of(kind, rng).T, sparse.eye_array(40, format="csr")
    assert (Products(V)._groups is not None) == (kind == "groups")
    assert Products(S)._groups is None
    paths, J = SumOfPaths(S, U, V), (S + U @ V).toarray()
    x = rng.standard_normal((40, columns))
    for found, expected in (
        (paths.matmat(x), J @ x),
        (paths.rmatmat(x), J.T @ x),
        (paths.gram(x), J @ (J.T @ x)),
        (paths.gram(np.asfortranarray(x)), J @ (J.T @ x)),
    ):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * abs(expected).max(initial=0.0))


def test_a_result_is_not_overwritten_by_the_next():
    rng = np.random.default_rng(0)
    paths = SumOfPaths(sparse.eye_array(40, format="csr"), matrix_of("groups", rng).T, matrix_of("groups", rng))
    u = rng.standard_normal((40, 2))
    for product in (paths.matmat, paths.rmatmat, paths.gram):
        first = product(u)
        kept = first.copy()
        product(-u)
        np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("kind", ["groups", "no groups"])
def test_read_only_and_integer_vectors(kind):
    matrix = matrix_of(kind, np.random.default_rng(1))
    paths = SumOfPaths(sparse.csr_array((40, 40)), matrix.T, matrix)
    x = np.arange(40)[:, None]
    x.flags.writeable = False
    np.testing.assert_allclose(paths.matmat(x), matrix.T @ (matrix @ x), rtol=1e-12, atol=1e-12)


def test_numba_waits_until_products_are_needed():
    code = "import sys, resdyn, resdyn.networks.linearization.triplets; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
