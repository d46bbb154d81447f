"""Singular triplets of units: against dense SVDs, with multiple values, kernels, rectangles; past the dense sizes."""

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy import sparse

from resdyn.networks.linearization import Factors, LinearizedUnit, lanczos
from resdyn.networks.linearization import triplets as module
from resdyn.networks.linearization.active import active_products, inverse_gram
from resdyn.networks.linearization.lanczos import leading_eigenvectors, tridiagonal

TIGHT = 1e-10  # what triplets promise, relative to the norm; all norms here are between 1 and 10


def convolution(weight, shape, stride=1):
    """The matrix of a convolution on flattened states, sparse."""
    size = int(np.prod(shape))
    images = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
    out = torch.nn.functional.conv2d(images, torch.from_numpy(weight), stride=stride, padding=weight.shape[-1] // 2)
    return sparse.csr_array(out.reshape(size, -1).numpy().T)


def factors_of(seed, shape=(4, 6, 6), *, share=0.25, kept=0.6, a=1.0, stride=1, skip=None):
    """Of a unit with random 3×3 convolutions, of whose inner and outer units these shares fire."""
    rng = np.random.default_rng(seed)
    channels, height, width = shape
    after = (channels * stride, -(-height // stride), -(-width // stride))
    first = rng.standard_normal((after[0], channels, 3, 3)) / np.sqrt(9 * channels)
    second = rng.standard_normal((after[0], after[0], 3, 3)) / np.sqrt(9 * after[0])
    V, U = convolution(first, shape, stride), convolution(second, after)
    fire = np.flatnonzero(rng.random(V.shape[0]) < share)
    outer = (rng.random(U.shape[0]) < kept).astype(float)
    place = fire % (after[1] * after[2])
    if skip == "subsampling":  # option A: every second pixel, and zeros for the new channels
        indices = np.arange(np.prod(shape)).reshape(shape)[:, ::2, ::2].reshape(-1)
        begin = (after[0] - channels) // 2 * after[1] * after[2]
        rows = begin + np.arange(len(indices))
        skip = sparse.csr_array((np.ones(len(rows)), (rows, indices)), shape=(U.shape[0], V.shape[1]))
    elif skip == "projection":
        skip = convolution(rng.standard_normal((after[0], channels, 1, 1)) / np.sqrt(channels), shape, stride)
    return Factors(a, skip, U[:, fire].tocsc(), V[fire], outer, (), place)


def unit_of(factors, shape=None):
    return LinearizedUnit(
        "random",
        np.zeros(factors.shape[1] if shape is None else shape),
        shape_after=(factors.shape[0],),
        reading="after",
        skip_scale=1.0,
        weight_scale=1.0,
        masks="held",
        method="factored",
        factors=factors,
    )


def unit_of_matrix(matrix):
    return LinearizedUnit(
        "matrix",
        np.zeros(matrix.shape[1]),
        shape_after=(matrix.shape[0],),
        reading="after",
        skip_scale=1.0,
        weight_scale=1.0,
        masks="held",
        method="dense",
        matrix=matrix,
    )


def assert_are_triplets(unit, found, expected):
    J, (left, values, right) = unit.to_dense(), found
    k = len(expected)
    assert (left.shape, right.shape) == ((J.shape[0], k), (J.shape[1], k))
    assert np.abs(values - expected).max() <= TIGHT
    assert np.abs(J @ right - left * values).max() <= TIGHT * max(values.max(), 1.0) * 10
    assert np.abs(J.T @ left - right * values).max() <= TIGHT * max(values.max(), 1.0) * 10
    for side in (left, right):
        assert np.abs(side.T @ side - np.eye(k)).max() <= 1e-10


@pytest.fixture
def not_dense(monkeypatch):
    """Small cases on the way of large ones; calls of the dense SVD are counted."""
    dense, calls = module._dense, []
    monkeypatch.setattr(module, "SMALL", 100)
    monkeypatch.setattr(module, "_dense", lambda *arguments: calls.append(arguments) or dense(*arguments))
    return calls


CASES = {
    "after": {},
    "before": {"kept": 1.1},
    "half the inner units": {"share": 0.5},
    "few inner units": {"share": 0.01},
    "no skip": {"a": 0.0, "kept": 1.1},
    "skip with a minus": {"a": -0.7, "kept": 1.1},
    "subsampling": {"shape": (4, 12, 6), "stride": 2, "skip": "subsampling"},
    "subsampling, before": {"shape": (4, 12, 6), "stride": 2, "skip": "subsampling", "kept": 1.1},
    "projection": {"share": 0.7, "shape": (4, 12, 6), "stride": 2, "skip": "projection", "kept": 1.1},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("which", ["largest", "smallest"])
@pytest.mark.parametrize("sizes", ["small", "large"])
def test_triplets_are_those_of_the_dense_svd(case, which, sizes, not_dense, monkeypatch):
    if sizes == "large":  # banded and sparse factorizations
        monkeypatch.setattr("resdyn.networks.linearization.active.DENSE", 0)
    unit = unit_of(factors_of(3, **CASES[case]))
    assert min(unit.shape) > module.SMALL
    values = scipy.linalg.svdvals(unit.to_dense())
    for k in (1, 7):
        expected = values[:k] if which == "largest" else values[::-1][:k]
        assert_are_triplets(unit, unit.triplets(k, which), expected)
    # rows that depend on each other have a kernel which is not made of zero rows, and only a dense SVD knows it
    assert bool(not_dense) == (case in ("no skip", "subsampling, before") and which == "smallest")


def test_zeros_and_the_smallest_values_after_them(not_dense):
    unit = unit_of(factors_of(5, kept=0.95))
    values = scipy.linalg.svdvals(unit.to_dense())[::-1]
    zeros = unit.shape[0] - unit.active_outer
    assert 0 < zeros < 20
    found = unit.triplets(zeros + 3, "smallest")
    assert_are_triplets(unit, found, values[: zeros + 3])
    assert (found.values[:zeros] == 0).all()
    assert (found.values[zeros:] > 1e-3).all()
    assert not not_dense


@pytest.mark.parametrize("multiplicity", [3, 20])
def test_copies_of_a_multiple_value_are_all_found(multiplicity):
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((300, 300)))[0] for _ in range(2))
    values = np.concatenate([np.full(multiplicity, 2.0), np.linspace(1.9, 0.5, 300 - multiplicity)])
    unit = unit_of_matrix(left * values @ right)
    k = multiplicity + 2
    found = module._largest(unit, k)
    assert found is not None
    assert_are_triplets(unit, found, values[:k])
    values = values[::-1].copy()
    values[:multiplicity] = 0.5
    unit = unit_of_matrix(left * values @ right)
    found = module._smallest(unit, k)
    assert found is not None
    assert_are_triplets(unit, found, np.sort(values)[:k])


def test_a_scaled_identity_has_only_its_atom(not_dense):
    unit = unit_of(factors_of(0, share=0.0, kept=1.1, a=-0.5))
    for which in ("largest", "smallest"):
        assert_are_triplets(unit, unit.triplets(12, which), np.full(12, 0.5))


def test_values_beyond_the_atom_are_the_atom(not_dense):
    """More triplets than there are values above the atom of the skip path: copies of it follow."""
    factors = factors_of(1, share=0.05, kept=1.1)
    unit = unit_of(factors)
    values = scipy.linalg.svdvals(unit.to_dense())
    k = factors.p + 10
    assert np.allclose(values[k - 10 : k], 1.0, atol=1e-13)
    assert_are_triplets(unit, unit.triplets(k), values[:k])
    assert not not_dense


@pytest.mark.parametrize("shape", [(30, 40), (40, 30), (140, 160), (160, 140), (1, 5)])
def test_matrices_without_factors(shape, not_dense):
    matrix = np.random.default_rng(2).standard_normal(shape) / np.sqrt(max(shape))
    values = scipy.linalg.svdvals(matrix)
    for stored in (matrix, sparse.csr_array(matrix)):
        unit = unit_of_matrix(stored)
        assert_are_triplets(unit, unit.triplets(1), values[:1])
        k = min(*shape, 5)
        assert_are_triplets(unit, unit.triplets(k, "smallest"), values[::-1][:k])


def test_all_of_them():
    matrix = np.random.default_rng(2).standard_normal((20, 30))
    unit = unit_of_matrix(matrix)
    found = unit.triplets(20)
    assert np.allclose(found.left * found.values @ found.right.T, matrix, atol=1e-12)


def test_more_than_there_are_and_other_words():
    unit = unit_of_matrix(np.ones((3, 4)))
    with pytest.raises(ValueError, match="has 3 singular values"):
        unit.triplets(4)
    with pytest.raises(ValueError, match="which must be 'largest' or 'smallest'"):
        unit.triplets(1, "first")
    with pytest.raises(ValueError, match="at least 1"):
        unit.triplets(0)
    with pytest.raises(TypeError, match="integer"):
        unit.triplets(1.5)


def test_a_dense_svd_that_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr("resdyn._memory.available_bytes", lambda: 10_000_000)
    unit = unit_of_matrix(np.random.default_rng(0).standard_normal((700, 700)))
    with pytest.raises(MemoryError, match="the singular vectors of a dense Jacobian of shape 700 × 700"):
        unit.triplets(300)


@pytest.mark.parametrize("active", [0, 3])
@pytest.mark.parametrize("which", ["largest", "smallest"])
def test_a_unit_that_hardly_passes_anything(active, which, not_dense):
    """A dead unit, or one with fewer active rows than triplets are asked for."""
    whole = factors_of(0, (4, 16, 16))
    outer = np.zeros_like(whole.outer)
    outer[:active] = 1.0
    factors = Factors(whole.a, None, whole.U, whole.V, outer, (), whole.place)
    unit = unit_of(factors)
    found, J = unit.triplets(5, which), unit.to_dense()
    expected = np.linalg.svd(J, compute_uv=False)
    np.testing.assert_allclose(found.values, expected[:5] if which == "largest" else 0, atol=1e-13)
    np.testing.assert_allclose(J @ found.right, found.left * found.values, atol=1e-9)
    np.testing.assert_allclose(J.T @ found.left, found.right * found.values, atol=1e-9)
    for vectors in (found.left, found.right):
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(5), atol=1e-13)
    assert not not_dense


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("share", [0.25, 0.9])  # some pixels have one active unit, or all have several
def test_products_with_the_active_rows(case, share):
    factors = factors_of(7, **{**CASES[case], "share": share})
    products, J = active_products(factors), factors.active_matrix.toarray()
    u = np.random.default_rng(0).standard_normal((len(J), 3))
    for found, expected in ((products.rmatmat(u), J.T @ u), (products.gram(u), J @ (J.T @ u))):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * abs(expected).max())


@pytest.mark.parametrize("case", ["after", "before", "skip with a minus"])
def test_the_inverse_of_the_gram_matrix(case):
    factors = factors_of(4, (3, 6, 6), **CASES[case])
    J = factors.active_matrix.toarray()
    inverse = inverse_gram(factors)
    x = np.random.default_rng(0).standard_normal((len(J), 3))
    # relative to the norm of the inverse, which a small singular value makes large
    assert np.abs(J @ (J.T @ inverse(x)) - x).max() <= 1e-12 * np.linalg.cond(J @ J.T)
    values = np.linalg.svd(J, compute_uv=False)
    for t in (0.0, 0.3, 0.6):  # below the values of the skip path
        assert inverse_gram(factors, t**2).above == (values > t).sum()


def test_lanczos_of_several_vectors_is_lanczos_of_each():
    rng = np.random.default_rng(1)
    A = rng.standard_normal((50, 50))
    A = A + A.T
    start = rng.standard_normal((50, 3))
    found = tridiagonal(lambda x: A @ x, start, 20)
    for probe in range(3):
        T = np.diag(found.diagonal[probe]) + sum(np.diag(found.beside[probe, :-1], side) for side in (-1, 1))
        z = start[:, probe] / np.linalg.norm(start[:, probe])
        power, moment = z, np.eye(20)[0]
        for _ in range(10):  # Gauss quadrature is exact for moments up to degree 39; these grow like 20^10
            power, moment = A @ power / 20, T @ moment / 20
            assert power @ z == pytest.approx(moment[0], rel=1e-11, abs=1e-11)


def test_lanczos_ends_where_the_space_is_invariant():
    values = np.repeat([1.0, 2.0, 5.0], 10)
    found = tridiagonal(lambda x: values[:, None] * x, np.random.default_rng(0).standard_normal((30, 4)), 10)
    assert (found.lengths == 3).all()


MULTIPLE = {
    "largest, six times": [1.0] * 6 + [0.9, 0.85],
    "the fifth, twice": [1.0, 0.97, 0.93, 0.9, 0.86, 0.86],
    "pairs": [1.0, 1.0, 0.9, 0.9, 0.8, 0.8],
    "nearly equal": [1.0, 1 - 1e-12, 0.9, 0.9 - 1e-9, 0.9 - 2e-9, 0.8],
    "few that are not zero": [1.0, 1.0, 0.5],
}


@pytest.mark.parametrize("case", MULTIPLE)
@pytest.mark.parametrize("seed", range(3))
def test_copies_and_clusters(case, seed):
    """Krylov spaces of one vector hold one copy; a random start tells as much about a diagonal matrix as about any."""
    rest = np.zeros(2000) if case.startswith("few") else np.linspace(0.75, 0.01, 2000)
    values = np.sort(np.concatenate([MULTIPLE[case], rest]))[::-1]
    k = min(6, len(MULTIPLE[case]))
    found, vectors = leading_eigenvectors(
        lambda x: values[:, None] * x, len(values), k, tolerance=1e-11, rng=np.random.default_rng(seed)
    )
    np.testing.assert_allclose(found, values[:k], rtol=0, atol=1e-13)
    assert np.abs(values[:, None] * vectors - vectors * found).max() <= 1e-10
    assert np.abs(vectors.T @ vectors - np.eye(k)).max() <= 1e-13


def test_single_vectors_begin_again_when_there_is_no_more_room(monkeypatch):
    monkeypatch.setattr(lanczos, "ROOM", 15)
    values, calls = 1 / np.arange(1.0, 301.0) ** 0.25, []
    vectors = lanczos._by_single_vectors(
        lambda x: calls.append(1) or values[:, None] * x, 300, 4, 1e-11, np.random.default_rng(0)
    )
    assert len(calls) > 2 * 4 + 15
    assert np.abs(vectors.T @ vectors - np.eye(4)).max() <= 1e-13
    assert np.abs(values[:, None] * vectors - vectors * values[:4]).max() <= 2e-11
    assert lanczos._by_single_vectors(lambda x: values[:, None] * x, 300, 4, 0.0, np.random.default_rng(0)).shape[1]
    monkeypatch.setattr(lanczos, "RESTARTS", 1)
    assert not lanczos._by_single_vectors(lambda x: values[:, None] * x, 300, 4, 1e-11, np.random.default_rng(0)).shape[
        1
    ]


def test_leading_eigenvectors_that_do_not_converge_are_not_returned(monkeypatch):
    monkeypatch.setattr("resdyn.networks.linearization.lanczos.CYCLES", 3)
    values = np.random.default_rng(0).random(500)
    apply = lambda x: values[:, None] * x  # noqa: E731
    assert leading_eigenvectors(apply, 500, 5, tolerance=1e-12, rng=np.random.default_rng(0)) is not None
    assert leading_eigenvectors(apply, 500, 5, tolerance=0.0, rng=np.random.default_rng(0)) is None
