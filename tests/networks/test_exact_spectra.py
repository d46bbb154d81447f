"""Complete spectra of factored Jacobians against singular values of the dense matrix; atoms; ranks."""

import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import resdyn
from resdyn import _memory
from resdyn.networks.linearization import matrices, on_device, reduction, spectrum, symmetric
from resdyn.networks.linearization.atoms import Structure
from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.matrices import matrix_singular_values, verified_rank
from resdyn.networks.linearization.on_device import spectra_on_device
from resdyn.networks.linearization.spectrum import atoms_and_rank, spectrum_of_factors, spectrum_of_matrix
from resdyn.networks.linearization.values import Atom

ACCURACY = 1e-10  # promised, for Jacobians with norms of a few units


def convolution(weight, shape, stride=1):
    """The matrix of a convolution with padding that keeps the shape."""
    identity = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, *shape)
    out = torch.nn.functional.conv2d(identity, torch.tensor(weight), stride=stride, padding=weight.shape[-1] // 2)
    return out.reshape(len(identity), -1).numpy().T


def unit(
    rng, *, channels=3, side=6, inner=0.2, outer=0.7, a=1.0, widen=None, slope=0.0, smooth=False, size=None, gain=1.0
):
    """Factors of two random convolutions with random masks; ``widen``: option "A", or "B" with a projection."""
    before = (channels, side, side)
    after = before if widen is None else (2 * channels, side // 2, side // 2)
    stride = 1 if widen is None else 2
    n, m = int(np.prod(after)), int(np.prod(before))
    first = rng.standard_normal((after[0], channels, 3, 3)) * gain / np.sqrt(9 * channels)
    second = rng.standard_normal((after[0], after[0], 3, 3)) * gain / np.sqrt(9 * after[0])
    count = round(inner * n) if size is None else size
    fires = np.sort(rng.permutation(n)[:count])
    skip = None
    if widen == "A":
        pixels = np.arange(m).reshape(before)[:, ::2, ::2].ravel()
        skip = sparse.csr_array((np.ones(len(pixels)), (np.arange(len(pixels)) + n // 4, pixels)), shape=(n, m))
    if widen == "B":
        skip = sparse.csr_array(convolution(rng.standard_normal((after[0], channels, 1, 1)), before, 2))
    D = np.where(rng.random(n) < outer, 1.0, slope)
    if smooth:
        D = D * rng.uniform(0.2, 1.5, n)
    return Factors(
        a=a,
        skip=skip,
        U=sparse.csc_array(convolution(second, after)[:, fires]),
        V=sparse.csr_array(convolution(first, before, stride)[fires]),
        outer=D,
        inner=(np.isin(np.arange(n), fires).astype(float).reshape(after),),
        place=fires % (after[1] * after[2]),
    )


def dense_factors(a, U, V, outer=None):
    p = U.shape[1]
    return Factors(
        a=a,
        skip=None,
        U=sparse.csc_array(U),
        V=sparse.csr_array(V),
        outer=np.ones(len(U)) if outer is None else outer,
        inner=(np.ones(p),),
        place=np.arange(p),
    )


def changed(factors, **changes):
    fields = ("a", "skip", "U", "V", "outer", "inner", "place")
    return Factors(**({name: getattr(factors, name) for name in fields} | changes))


def dense(factors):
    n, m = factors.shape
    S = np.eye(n, m) if factors.skip is None else factors.skip.toarray()
    return factors.outer[:, None] * (factors.a * S + factors.U.toarray() @ factors.V.toarray())


def check(factors, *, generic=True):
    """Against the dense matrix, by a decomposition that uses nothing of the structure."""
    J = dense(factors)
    expected = np.linalg.svd(J, compute_uv=False)
    found = spectrum_of_factors(factors)
    assert found.values.shape == expected.shape
    assert (np.diff(found.values) <= 0).all()
    assert np.abs(found.values - expected).max(initial=0.0) <= ACCURACY * max(1.0, expected.max(initial=0.0))
    product = factors.outer[:, None] * (factors.U.toarray() @ factors.V.toarray())
    assert found.rank == np.linalg.matrix_rank(product)
    assert [atom.value for atom in found.atoms] == sorted({atom.value for atom in found.atoms}, reverse=True)
    for value, multiplicity in found.atoms:
        near = int((np.abs(expected - value) < 1e-8).sum())
        assert 0 < multiplicity <= near
        assert (found.values == value).sum() >= multiplicity
        if generic:
            assert multiplicity == near
    if generic:  # what the structure does not force does not happen
        atoms = np.array([atom.value for atom in found.atoms])
        repeated = expected[:-1][np.diff(expected) > -1e-9]
        assert all(np.abs(atoms - value).min(initial=np.inf) < 1e-8 for value in repeated)
    return found


KINDS = {
    "few inner units": {"inner": 0.1},
    "2p just below s": {"inner": 0.33, "outer": 0.7},
    "2p above s": {"inner": 0.4, "outer": 0.6},
    "p near n": {"inner": 0.97},
    "p = n": {"inner": 1.0},
    "p = 1": {"size": 1},
    "p = 0": {"size": 0},
    "before": {"outer": 1.0},
    "before, p above n/2": {"outer": 1.0, "inner": 0.6},
    "s near 0": {"outer": 0.05},
    "s = 0": {"outer": 0.0},
    "skip scaled": {"a": 2.7},
    "skip small": {"a": 1e-4, "inner": 0.1},
    "skip small, before": {"a": 3e-3, "outer": 1.0},
    "skip small, option A": {"a": 1e-4, "widen": "A"},
    "skip negative": {"a": -0.6},
    "no skip": {"a": 0.0},
    "no skip, many inner units": {"a": 0.0, "inner": 0.9},
    "no skip, p above s": {"a": 0.0, "inner": 0.9, "outer": 0.4},
    "option A": {"widen": "A"},
    "option A, few inner units": {"widen": "A", "inner": 0.05},
    "option A, before, few": {"widen": "A", "inner": 0.05, "outer": 1.0},
    "option A, negative": {"widen": "A", "a": -1.3, "outer": 1.0},
    "option A, no skip": {"widen": "A", "a": 0.0},
    "projection": {"widen": "B"},
    "projection, few inner units": {"widen": "B", "inner": 0.05, "outer": 1.0},
    "leaky": {"slope": 0.1},
    "leaky, few": {"slope": 0.1, "inner": 0.05},
    "leaky, option A": {"slope": 0.1, "widen": "A", "inner": 0.1},
    "smooth": {"smooth": True},
    "large weights": {"gain": 6.0},
}


@pytest.mark.parametrize("inner", [0.05, 0.3, 0.8])
@pytest.mark.parametrize("widen", [None, "A", "B"])
def test_inputs_that_are_not_active_are_zeros(widen, inner):
    # before a pre-activation unit there is an activation that skip path and branch share
    rng = np.random.default_rng(0)
    factors = unit(rng, widen=widen, inner=inner, outer=1.0)
    n, m = factors.shape
    active = sparse.diags_array((rng.random(m) < 0.4).astype(float))
    S = sparse.eye_array(n) if factors.skip is None else factors.skip
    check(changed(factors, skip=sparse.csr_array(S @ active), V=sparse.csr_array(factors.V @ active)))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_spectra_are_those_of_the_dense_matrix(kind, seed):
    check(unit(np.random.default_rng(seed), **KINDS[kind]))


@pytest.fixture
def no_direct(monkeypatch):
    """Everything takes the way of large matrices."""
    monkeypatch.setattr(matrices, "DIRECT_UP_TO", 0)
    monkeypatch.setattr(symmetric, "LAPACK_UP_TO", 20)
    monkeypatch.setattr(reduction, "PANEL", 6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_way_of_large_matrices_is_as_exact(kind, no_direct):
    check(unit(np.random.default_rng(3), **KINDS[kind]))


@pytest.mark.parametrize("panel", [2, 8, 30, 500])
def test_panels_do_not_change_the_reduced_matrix(panel, monkeypatch):
    factors = unit(np.random.default_rng(4), side=9, inner=0.15)
    whole = spectrum_of_factors(factors).values
    monkeypatch.setattr(reduction, "PANEL", panel)
    assert np.abs(spectrum_of_factors(changed(factors)).values - whole).max() < 1e-13


def test_the_reduction_is_banded_in_the_order_of_pixels():
    # rows of pixels that are three apart share nothing: 5 rows of 30, and the rest of a row, in R
    factors = unit(np.random.default_rng(0), channels=2, side=30, inner=0.2, outer=1.0)
    found = Structure(factors).reduction
    assert found.root.width < found.order * 3 / 30
    matrix = np.tril(found.matrix())
    C = found.C.toarray()
    R, p = np.linalg.cholesky(C.T @ C).T, found.order // 2
    swap = np.array([[0.0, 1.0], [1.0, 0.0]])
    M = np.kron(np.eye(p), swap) + np.kron(found.H.toarray(), [[0, 0], [0, 1]])
    assert np.abs(matrix - np.tril(R @ M @ R.T)).max() < 1e-12
    rows, columns = np.nonzero(np.abs(matrix) > 1e-12)
    assert (rows - columns).max() < found.order * 9 / 30


# --- small singular values -------------------------------------------------------------------------


def with_small_values(rng, small, n=60, p=10, a=1.0):
    """A unit I + U V of which some singular values are given small numbers; the rest of U V is generic."""
    # J = a (I − Q Qᵀ) + Q T Qᵀ + generic, on orthogonal subspaces
    Q, _ = np.linalg.qr(rng.standard_normal((n, p)))
    T = np.diag(rng.uniform(0.5, 2.0, p))
    T[: len(small), : len(small)] = np.diag(small)
    mix, _ = np.linalg.qr(rng.standard_normal((p, p)))
    return dense_factors(a, Q @ (mix @ T - a * np.eye(p)), Q.T)


@pytest.mark.parametrize("a", [1.0, -2.0])
@pytest.mark.parametrize("small", [[1e-6], [1e-9], [0.0], [0.0, 1e-9, 1e-6, 3e-4], [0.0, 0.0], [1e-5, 1.1e-5, 0.9e-5]])
@pytest.mark.parametrize("n", [60, 18])
def test_small_singular_values_are_exact(small, a, n, no_direct):
    factors = with_small_values(np.random.default_rng(0), small, n=n, a=a)
    found = spectrum_of_factors(factors).values
    expected = np.linalg.svd(dense(factors), compute_uv=False)
    assert np.abs(found - expected).max() < 2e-11  # through JJᵀ alone they are wrong from the eighth digit on
    assert np.abs(found[-len(small) :] - np.sort(small)[::-1]).max() < 2e-11


@pytest.mark.parametrize("widen", [None, "A", "B"])
@pytest.mark.parametrize("inner", [0.1, 0.8])
def test_small_singular_values_of_convolutional_units_are_exact(widen, inner, no_direct):
    rng = np.random.default_rng(5)
    factors = unit(rng, inner=inner, outer=1.0, widen=widen)
    J = dense(factors)
    rank = np.linalg.matrix_rank(J)
    left, values, right = np.linalg.svd(J)
    u, v = left[:, rank - 1], right[rank - 1]
    reached = factors.U.T @ u
    for aim in (1e-2, 3e-3, 1e-3, 1e-4, 1e-7, 1e-10):
        # the least change of V that makes Jᵀu = aim v, where Jᵀu was the smallest value times v
        V = factors.V.toarray() + np.outer(reached, (aim - values[rank - 1]) * v) / (reached @ reached)
        nearly = changed(factors, V=sparse.csr_array(V))
        expected = np.linalg.svd(dense(nearly), compute_uv=False)
        assert expected[rank - 1] < 1.1 * aim
        assert np.abs(spectrum_of_factors(nearly).values - expected).max() < 1e-11


def test_small_singular_values_without_a_skip_path_are_exact(no_direct):
    rng = np.random.default_rng(0)
    U, V = rng.standard_normal((40, 12)), rng.standard_normal((12, 50))
    left, values, right = np.linalg.svd(V, full_matrices=False)
    values[-2:] = 1e-5, 1e-9
    factors = dense_factors(0.0, U, (left * values) @ right)
    found = spectrum_of_factors(factors)
    assert found.atoms == ((0.0, 28),)
    assert found.rank == 12
    assert np.abs(found.values[:40] - np.linalg.svd(dense(factors), compute_uv=False)).max() < 1e-10


@pytest.mark.parametrize("a", [1e-2, 1e-5, 1e-9])
@pytest.mark.parametrize("small", [1e-3, 1e-7])
def test_values_smaller_than_the_skip_path_or_a_little_larger_are_exact(a, small, no_direct):
    rng = np.random.default_rng(0)
    U, V = rng.standard_normal((70, 14)), rng.standard_normal((14, 70))
    left, values, right = np.linalg.svd(V, full_matrices=False)
    values[-2:] = small, 2 * small
    factors = dense_factors(a, U, (left * values) @ right)
    expected = np.linalg.svd(dense(factors), compute_uv=False)
    assert np.abs(spectrum_of_factors(factors).values - expected).max() < 1e-10


@pytest.mark.parametrize("shape", [(60, 60), (30, 80), (80, 30)])
@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("direct", [0, 500])
def test_singular_values_of_a_matrix(shape, is_sparse, direct, monkeypatch):
    monkeypatch.setattr(matrices, "DIRECT_UP_TO", direct)
    rng = np.random.default_rng(0)
    k = min(shape)
    left, right = (
        np.linalg.qr(rng.standard_normal((shape[0], k)))[0],
        np.linalg.qr(rng.standard_normal((shape[1], k)))[0],
    )
    values = np.sort(np.concatenate([rng.uniform(0.1, 3, k - 7), [1e-3, 4e-4, 1e-6, 1e-9, 1e-10, 0, 0]]))[::-1]
    matrix = (left * values) @ right.T
    found = spectrum_of_matrix(sparse.csr_array(matrix) if is_sparse else matrix)
    assert np.abs(found.values - values).max() < 1e-11
    assert found.rank == k - 2
    assert found.atoms == ()


def test_rows_and_columns_of_zeros_cost_nothing(monkeypatch):
    matrix = np.zeros((3000, 2000))
    matrix[1000:1010, 500:520] = np.random.default_rng(0).standard_normal((10, 20))
    monkeypatch.setattr(matrices, "require_eigenvalues", None)  # not asked for a matrix of order 10
    found = matrix_singular_values(sparse.csr_array(matrix))
    assert found.shape == (2000,)
    assert np.abs(found[:10] - np.linalg.svd(matrix[1000:1010, 500:520], compute_uv=False)).max() < 1e-14
    assert (found[10:] == 0).all()
    assert (matrix_singular_values(np.zeros((4, 3))) == 0).all()


# --- ranks and atoms -------------------------------------------------------------------------------


def with_dead_units(factors, rng, kind):
    """The same with some inner units that add no direction."""
    U, V = factors.U.toarray().copy(), factors.V.toarray().copy()
    some, others = np.split(rng.permutation(factors.p)[:6], 2)
    if kind == "U zero":
        U[:, some] = 0
    elif kind == "V zero":
        V[some] = 0
    elif kind == "U repeated":
        U[:, some] = -2 * U[:, others]
    elif kind == "V repeated":
        V[some] = 3 * V[others]
    elif kind == "both":
        U[:, some], V[others] = U[:, others], V[some]
    elif kind == "outputs not active":
        # what the units see, and what they reach, are rows without an active output
        V[some] = V[some] * (factors.outer == 0) if V.shape[1] == len(factors.outer) else V[some]
    return changed(factors, U=sparse.csc_array(U), V=sparse.csr_array(V))


@pytest.mark.parametrize("dead", ["U zero", "V zero", "U repeated", "V repeated", "both", "outputs not active"])
@pytest.mark.parametrize(
    "kind",
    ["few inner units", "2p above s", "before", "no skip", "option A, before, few", "projection, few inner units"],
)
def test_ranks_and_atoms_are_verified(kind, dead, no_direct):
    rng = np.random.default_rng(7)
    options = KINDS[kind] | ({"size": 9} if "widen" in KINDS[kind] else {})
    check(with_dead_units(unit(rng, **options), rng, dead))


def test_an_orthogonal_unit_has_more_ones_than_are_forced():
    # a product of reflections: all singular values are 1, while C = [Vᵀ, −2Vᵀ] has rank p
    rng = np.random.default_rng(0)
    Q, _ = np.linalg.qr(rng.standard_normal((50, 4)))
    found = check(dense_factors(1.0, -2 * Q, Q.T), generic=False)
    assert found.atoms == ((1.0, 46),)
    assert found.rank == 4
    assert np.abs(found.values - 1).max() < 1e-14


def test_the_theorem_about_ones():
    # before the last ReLU: n − 2p ones, p above and p below; after it: s − 2p, p, p, and n − s zeros
    factors = unit(np.random.default_rng(1), channels=4, side=8, inner=0.2, outer=1.0)
    n, p = factors.shape[0], factors.p
    before = spectrum_of_factors(factors)
    assert before.atoms == ((1.0, n - 2 * p),)
    assert ((before.values > 1).sum(), (before.values < 1).sum()) == (p, p)
    outer = (np.random.default_rng(2).random(n) < 0.6).astype(float)
    s = int(outer.sum())
    after = spectrum_of_factors(changed(factors, outer=outer))
    assert after.atoms == ((1.0, s - 2 * p), (0.0, n - s))
    assert ((after.values > 1).sum(), ((after.values < 1) & (after.values > 0)).sum()) == (p, p)


def test_option_a_has_zeros_where_few_inner_units_reach_the_new_channels():
    factors = unit(np.random.default_rng(0), widen="A", inner=0.05, outer=1.0)
    n, p = factors.shape[0], factors.p
    found = spectrum_of_factors(factors)
    # half of the rows have no skip path: rank n/2 + p; of the others all but 2p directions pass as they are
    assert found.atoms == ((1.0, n // 2 - 2 * p), (0.0, n // 2 - p))


def test_a_projection_before_its_relu_keeps_values_of_its_weights():
    factors = unit(np.random.default_rng(0), widen="B", size=1, outer=1.0)
    found = check(factors)
    weights = np.linalg.svd(dense(changed(factors, U=0 * factors.U)), compute_uv=False)
    assert len(found.atoms) == 4  # 3 singular values of the 6 × 3 weights, and zero
    for value, multiplicity in found.atoms[:3]:
        # of one for each of nine pixels, one inner unit moves two
        assert multiplicity == (np.abs(weights - value) < 1e-9).sum() - 2 == 7


def test_a_projection_of_lower_rank_has_more_zeros():
    factors = unit(np.random.default_rng(0), widen="B", size=1, outer=1.0)
    mixed = np.random.default_rng(1).standard_normal((3, 2)) @ np.random.default_rng(2).standard_normal((2, 3))
    found = check(changed(factors, skip=factors.skip @ sparse.kron(mixed, sparse.eye_array(36), format="csr")))
    assert [atom.multiplicity for atom in found.atoms] == [7, 7, 54 - 2 * 9 - 1]


def test_ranks_do_not_depend_on_lengths():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((40, 12)) * 10.0 ** -np.arange(12)
    assert verified_rank(matrix) == verified_rank(matrix.T) == verified_rank(sparse.csr_array(matrix)) == 12
    matrix[:, 5] = matrix[:, 4] * 1e-5
    assert verified_rank(matrix) == verified_rank(sparse.csr_array(matrix.T)) == 11
    matrix[:, 5] += 1e-7 * matrix[:, 4].max() * 1e-5 * rng.standard_normal(40)
    assert verified_rank(matrix) == 12
    assert verified_rank(np.zeros((3, 4))) == 0
    assert verified_rank(sparse.csr_array((5, 0))) == 0


@pytest.mark.parametrize("size", [1e4, 1e8, 1e12])
def test_sizes_of_channels_make_no_atoms(size):
    """What V is divided by U is multiplied by: U V is the same, and so are ranks, atoms and values."""
    rng = np.random.default_rng(1)
    U, V = rng.standard_normal((44, 31)), rng.standard_normal((31, 44))
    U[:, :3] *= size
    V[:3] /= size
    assert verified_rank(U) == verified_rank(V) == verified_rank(sparse.csr_array(V)) == 31
    assert verified_rank(np.hstack([U, V.T])) == 44
    assert check(dense_factors(1.0, U / 7, V / 7)).atoms == ()


def test_sizes_of_all_channels_make_no_atoms():
    for seed in (33, 34, 35, 36):
        rng = np.random.default_rng(seed)
        n, p = 44, int(rng.integers(5, 60))
        U, V = rng.standard_normal((n, p)) / np.sqrt(n), rng.standard_normal((p, n)) / np.sqrt(n)
        sizes = 10.0 ** rng.uniform(-8, 8, p)
        check(dense_factors(1.0, U * sizes, V / sizes[:, None]))


@pytest.mark.parametrize("size", [1e-250, 1e-160, 1e160, 1e250])
@pytest.mark.parametrize("p", [8, 30])
def test_values_do_not_depend_on_the_unit_of_measurement(size, p):
    rng = np.random.default_rng(0)
    U, V = rng.standard_normal((40, p)) / 6, rng.standard_normal((p, 40)) / 6
    given = spectrum_of_factors(dense_factors(1.0, U, V))
    for scaled in (dense_factors(size, U * size, V), dense_factors(1.0, U, V, np.full(40, size))):
        found = spectrum_of_factors(scaled)
        assert np.abs(found.values / size - given.values).max() < 1e-12
        assert found.rank == p
        assert [atom.multiplicity for atom in found.atoms] == [atom.multiplicity for atom in given.atoms]
        assert atoms_and_rank(scaled) == (found.atoms, found.rank)
    J = (np.eye(40) + U @ V) * size
    assert np.abs(spectrum_of_matrix(J).values / size - given.values).max() < 1e-12


def test_atoms_and_rank_need_no_singular_values(monkeypatch):
    factors = unit(np.random.default_rng(0), inner=0.1)
    found = spectrum_of_factors(factors)
    monkeypatch.setattr(spectrum, "symmetric_eigenvalues", None)
    monkeypatch.setattr(spectrum, "matrix_singular_values", None)
    assert atoms_and_rank(factors) == (found.atoms, found.rank)


def test_values_far_from_an_atom_are_not_set_to_it():
    values = spectrum._with_atoms(np.array([2.0, 1.0 + 1e-9, 0.9]), (Atom(1.0, 3),), 3)
    assert values.tolist() == [2.0, 1.0, 0.9]


@pytest.mark.parametrize("a", [1e-2, -3e-3])
def test_many_values_of_moderate_size_need_no_refinement(a, monkeypatch):
    """A small gain of the skip path gives as many small values as there are atoms."""
    factors = unit(np.random.default_rng(0), channels=4, side=12, outer=1.0, a=a, inner=0.4)
    decomposition, sizes = np.linalg.svd, []
    expected = decomposition(dense(factors), compute_uv=False)
    assert (expected < 1e-2 * expected[0]).sum() > 30

    def watched(matrix, compute_uv):
        sizes.append(min(matrix.shape))
        return decomposition(matrix, compute_uv=compute_uv)

    monkeypatch.setattr(np.linalg, "svd", watched)
    assert np.abs(spectrum_of_factors(factors).values - expected).max() < 1e-11
    # with a few vectors more than there are values below 3e-4 of the largest
    assert max(sizes, default=0) <= (expected < 3.2e-4 * expected[0]).sum() + 8


def test_badly_conditioned_factors_do_not_spoil_the_reduction():
    # columns of C within 1e-7 of each other: the root of K would carry errors of 1e-2
    factors = unit(np.random.default_rng(0), channels=4, side=8, inner=0.1)
    V = factors.V.toarray()
    V[1] = V[0] + 1e-7 * V[1]
    nearly = changed(factors, V=sparse.csr_array(V))
    assert Structure(nearly).reduction.root is None
    check(nearly)


# --- invariances -----------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), kind=st.sampled_from(sorted(KINDS)))
def test_invariances(seed, kind):
    rng = np.random.default_rng(seed)
    factors = unit(rng, **KINDS[kind])
    found = spectrum_of_factors(factors)
    close = {"rtol": 0, "atol": 1e-11 * max(1.0, found.values.max(initial=0.0))}

    shuffled = rng.permutation(factors.p)
    U, V, place = factors.U[:, shuffled], factors.V[shuffled], factors.place[shuffled]
    other = spectrum_of_factors(changed(factors, U=U, V=V, place=place))
    assert np.allclose(other.values, found.values, **close)
    assert (other.atoms, other.rank) == (found.atoms, found.rank)

    # inner units scaled one by one, with either sign; the sign of the whole
    scale = rng.uniform(0.3, 3, factors.p) * rng.choice([-1, 1], factors.p)
    U, V = sparse.csc_array(factors.U * scale), sparse.csr_array(factors.V / scale[:, None])
    other = spectrum_of_factors(changed(factors, U=U, V=V))
    assert np.allclose(other.values, found.values, **close)
    other = spectrum_of_factors(changed(factors, a=-factors.a, U=-factors.U))
    assert np.allclose(other.values, found.values, **close)
    assert (other.atoms, other.rank) == (found.atoms, found.rank)

    doubled = spectrum_of_factors(changed(factors, a=2 * factors.a, U=2 * factors.U))
    assert np.allclose(doubled.values, 2 * found.values, **close)
    assert doubled.atoms == tuple((2 * value, multiplicity) for value, multiplicity in found.atoms)


@pytest.mark.parametrize("kind", ["few inner units", "2p above s", "no skip"])
def test_an_orthogonal_change_of_variables_changes_nothing(kind):
    factors = unit(np.random.default_rng(0), **KINDS[kind])
    rows = factors.rows
    Q = np.eye(factors.shape[0])
    Q[np.ix_(rows, rows)] = np.linalg.qr(np.random.default_rng(1).standard_normal((len(rows),) * 2))[0]
    # within the active rows, before and after: D commutes with it
    other = changed(factors, U=sparse.csc_array(Q @ factors.U), V=sparse.csr_array(factors.V @ Q.T))
    one, two = spectrum_of_factors(factors), spectrum_of_factors(other)
    assert np.abs(one.values - two.values).max() < 1e-12
    assert (one.atoms, one.rank) == (two.atoms, two.rank)


# --- linearized units, and devices -----------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch's own, once
def test_units_of_a_trained_network():
    network = resdyn.networks.unroll(
        resdyn.networks.load("resnet20-digits-seed0"), np.zeros((1, 1, 8, 8)), dtype=torch.float64
    )
    for unit in network.units[1::3]:
        J = resdyn.networks.linearize(unit, np.abs(np.random.default_rng(0).standard_normal(unit.shape_before)))
        expected = np.linalg.svd(J.to_dense(), compute_uv=False)
        assert np.abs(J.singular_values() - expected).max() < ACCURACY


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.skipif(not os.environ.get("RESDYN_DATA"), reason="RESDYN_DATA names no folder with weights and CIFAR-10")
def test_a_unit_of_the_public_resnet56():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    module = resdyn.networks.load("resnet56-4bfd9763", preprocessing=(mean, std))
    network = resdyn.networks.unroll(module, np.zeros((1, 3, 32, 32)), dtype=torch.float64)
    pixels = resdyn.data.cifar10().subset(slice(5, 6)).pixels()
    x = network.stem((pixels - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1)))
    for unit in network.units[:24]:
        x = unit(x)
    J = resdyn.networks.linearize(network.units[24], x[0])
    dense_J = J.to_dense()
    expected = np.zeros(4096)
    active = dense_J[dense_J.any(axis=1)]
    expected[: len(active)] = np.linalg.svd(active, compute_uv=False)
    assert np.abs(J.singular_values() - expected).max() < 1e-12
    for value, multiplicity in J.atoms:
        assert multiplicity == (np.abs(expected - value) < 1e-9).sum()


class Given:
    """What spectra_on_device needs to know."""

    def __init__(self, matrix):
        self.matrix, self.shape = matrix, matrix.shape

    def to_dense(self):
        return self.matrix


def some_jacobians():
    rng = np.random.default_rng(0)
    nearly = rng.standard_normal((20, 20))
    nearly[3] = nearly[7] + 1e-8 * rng.standard_normal(20)
    nearly[5] = nearly[9]
    shapes = [(20, 20), (30, 12), (20, 20), (12, 30), (0, 4)]
    return [Given(nearly), *(Given(rng.standard_normal(shape)) for shape in shapes)]


@pytest.mark.parametrize("room", [None, 12_800, 26_000])
def test_spectra_on_a_device_are_exact_in_any_batches(room, monkeypatch):
    if room is not None:  # one Jacobian of 20 × 20 takes 12 800 bytes
        monkeypatch.setattr(on_device, "_free_bytes", lambda device: room)
    given = some_jacobians()
    found = spectra_on_device(iter(given), "cpu")
    assert len(found) == len(given)
    for values, J in zip(found, given, strict=True):
        assert values.shape == (min(J.shape),)
        assert np.abs(values - np.linalg.svd(J.matrix, compute_uv=False)).max(initial=0.0) < 1e-11


def test_rows_that_are_switched_off_cost_no_refinement_on_a_device(monkeypatch):
    rng = np.random.default_rng(0)
    J = np.eye(50) + rng.standard_normal((50, 50)) / 10
    J[rng.random(50) < 0.45] = 0.0
    columns = J.copy()
    columns[:, rng.random(50) < 0.7] = 0.0
    expected = [np.linalg.svd(matrix, compute_uv=False) for matrix in (J, J.T, columns, 0 * J)]
    assert expected[0].min() < 1e-12 < expected[0][expected[0] > 1e-12].min()
    monkeypatch.setattr(symmetric, "_smallest", None)
    monkeypatch.setattr(np.linalg, "svd", None)
    found = spectra_on_device([Given(matrix) for matrix in (J, J.T, columns, 0 * J)], "cpu")
    for values, exact in zip(found, expected, strict=True):
        assert np.abs(values - exact).max() <= 1e-12


def test_batches_hold_what_fits(monkeypatch):
    shapes = [(20, 20)] * 5 + [(10, 10)] + [(20, 20)]
    cpu = torch.device("cpu")
    monkeypatch.setattr(on_device, "_free_bytes", lambda device: 2 * 12_800)
    assert list(on_device._batches(shapes, cpu)) == [[0, 1], [2, 3], [4, 6], [5]]
    monkeypatch.setattr(on_device, "_free_bytes", lambda device: 12_799)
    with pytest.raises(MemoryError, match=r"of shape \(20, 20\) needs 12\.5 KiB on 'cpu'.*spectral_density\(\)"):
        list(on_device._batches(shapes, cpu))


def test_free_memory_is_that_of_the_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 4000))
    assert on_device._free_bytes(torch.device("cuda", 0)) == 500


def test_a_device_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="device is 'cuda', but torch finds no CUDA device"):
        spectra_on_device(some_jacobians())
    with pytest.raises(RuntimeError, match="device is 'cuda', but torch finds no CUDA device"):
        spectrum_of_factors(unit(np.random.default_rng(0)), "cuda")
    with pytest.raises(ValueError, match="device is 'abacus', which torch does not know"):
        spectra_on_device([], "abacus")


@pytest.mark.parametrize("kind", ["few inner units", "2p above s", "no skip", "option A"])
def test_a_device_finds_the_same_eigenvalues(kind, no_direct, monkeypatch):
    factors = unit(np.random.default_rng(0), **KINDS[kind])
    here = spectrum_of_factors(factors)
    asked = []
    for module in (symmetric, spectrum):
        monkeypatch.setattr(module, "named_device", lambda device: asked.append(device) or torch.device("cpu"))
    there = spectrum_of_factors(factors, "cuda")
    assert set(asked) == {"cuda"}
    assert np.abs(here.values - there.values).max() < 1e-12
    assert there.atoms == here.atoms


# --- memory ----------------------------------------------------------------------------------------


def test_too_large_a_matrix_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(_memory, "available_bytes", lambda: 1000)
    factors = unit(np.random.default_rng(0))
    with pytest.raises(MemoryError, match=r"spectral_density\(\) for an estimate or count_above\(t\) for exact counts"):
        spectrum_of_factors(factors)
    monkeypatch.setattr(matrices, "DIRECT_UP_TO", 0)
    with pytest.raises(MemoryError, match=r"the complete spectrum of a matrix of shape \(30, 30\)"):
        spectrum_of_matrix(np.ones((30, 30)))
