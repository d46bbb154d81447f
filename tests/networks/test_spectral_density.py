"""Stochastic Lanczos quadrature: exactness on few values, moments, errors as stated, atoms."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

from resdyn.networks.linearization import Atom, Factors, LinearizedUnit, SpectralDensity
from resdyn.networks.linearization.active import forced_atoms, projection_on_columns
from resdyn.networks.linearization.density import spectral_density


def convolution(weight, shape):
    """The matrix of a convolution on flattened states, sparse."""
    size = int(np.prod(shape))
    images = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
    out = torch.nn.functional.conv2d(images, torch.from_numpy(weight), padding=1)
    return sparse.csr_array(out.reshape(size, -1).numpy().T)


def factors_of(seed, shape=(4, 8, 8), *, share=0.2, kept=0.6, a=1.0, levels=(0.0, 1.0)):
    """Of a unit with random 3×3 convolutions; ``levels`` are the derivatives of the last activation."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((2, shape[0], shape[0], 3, 3)) / np.sqrt(9 * shape[0])
    V, U = (convolution(part, shape) for part in weight)
    fire = np.flatnonzero(rng.random(V.shape[0]) < share)
    outer = np.where(rng.random(U.shape[0]) < kept, levels[1], levels[0])
    return Factors(a, None, U[:, fire].tocsc(), V[fire], outer, (), fire % (shape[1] * shape[2]))


def unit_of(factors=None, matrix=None):
    n, m = matrix.shape if factors is None else factors.shape
    return LinearizedUnit(
        "random",
        np.zeros(m),
        shape_after=(n,),
        reading="after",
        skip_scale=1.0,
        weight_scale=1.0,
        masks="held",
        method="dense" if factors is None else "factored",
        factors=factors,
        matrix=matrix,
    )


def with_values(values, n=None, m=None, seed=0):
    rng = np.random.default_rng(seed)
    n, m = n or len(values), m or len(values)
    left, right = np.linalg.qr(rng.standard_normal((n, n)))[0], np.linalg.qr(rng.standard_normal((m, m)))[0]
    return left[:, : len(values)] * values @ right[: len(values)]


def exact_cdf(values, t):
    return np.searchsorted(np.sort(values), t, side="right") / len(values)


def test_few_distinct_values_are_found_exactly():
    values = np.repeat([0.3, 1.0, 1.7, 4.0], 20)
    found = spectral_density(aslinearoperator(with_values(values)), probes=3, steps=10, rng=0)
    # nodes are the values; the share of each is that of its eigenspace in three random vectors
    assert np.abs(found.nodes[:, None] - [0.3, 1.0, 1.7, 4.0]).min(axis=1).max() < 1e-10
    assert found.truncation == 0.0
    assert found.weights.sum() == pytest.approx(1.0, abs=1e-13)
    assert np.abs(found.cdf([0.5, 1.5, 2.0]) - [0.25, 0.5, 0.75]).max() < 4 * found.error


@pytest.mark.parametrize("wrap", [np.asarray, sparse.csr_array])
def test_one_value_is_one_value_though_probes_round_it_differently(wrap):
    """Without known atoms: an orthogonal matrix, a multiple of one, and one with a kernel."""
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((60, 60)))[0]
    for matrix, value in ((np.eye(4), 1.0), (rotation, 1.0), (0.7 * rotation, 0.7)):
        found = unit_of(matrix=wrap(matrix)).spectral_density(probes=5)
        assert (found.cdf(value), found.fraction_within(value, 0.0), found.error, found.truncation) == (1, 1, 0, 0)
    found = unit_of(matrix=wrap(rotation[:, :20] @ rotation[:20])).spectral_density(probes=5, rng=1)
    assert set(found.nodes) == {0.0, 1.0}
    small = np.where(np.arange(60) < 30, 1.0, 1e-5)  # squares of 1e-10, rounded by 1e-16
    assert len(set(unit_of(matrix=wrap(rotation * small)).spectral_density(probes=5, rng=1).nodes)) == 2
    silent = np.zeros((8, 6))
    silent[2:4] = np.eye(2, 6)
    found = unit_of(matrix=wrap(silent)).spectral_density(probes=3)
    assert (found.atom_values.tolist(), found.cdf(0.0), found.cdf(1.0), found.error) == ([0.0], 2 / 3, 1.0, 0.0)


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (50, 50)])
def test_moments_are_those_of_the_probes(shape):
    matrix = np.random.default_rng(1).standard_normal(shape) / 7
    found = spectral_density(aslinearoperator(matrix), probes=5, steps=6, rng=3)
    gram = matrix @ matrix.T if shape[0] <= shape[1] else matrix.T @ matrix
    z = np.random.default_rng(3).standard_normal((len(gram), 5))
    z /= np.linalg.norm(z, axis=0)
    power = z
    for order in range(1, 12):  # Gauss quadrature with 6 nodes: exact up to degree 11 in the squares
        power = gram @ power
        assert found.moment(2 * order) == pytest.approx((z * power).sum(0).mean(), rel=1e-11)


def test_the_second_moment_estimates_the_squared_norm():
    for seed in range(5):
        unit = unit_of(factors_of(seed))
        n, J = min(unit.shape), unit.to_dense()
        found = unit.spectral_density(probes=30, steps=5, rng=seed)
        # the variance of one probe on the sphere is at most 2 Σσ⁴/n² on n values; four standard errors
        width = 4 * np.sqrt(2 * np.mean(scipy.linalg.svdvals(J) ** 4) / n / 30)
        assert abs(found.moment(2) - (J**2).sum() / n) < width


@pytest.mark.parametrize(
    "options", [{}, {"kept": 1.1}, {"share": 0.5}, {"a": -0.6}, {"a": 0.0, "kept": 1.1}, {"levels": (0.1, 1.0)}]
)
def test_the_distribution_function_is_within_the_stated_errors(options):
    """|error| ≤ 3 standard errors + truncation, for each of 20 seeds.

    The largest standard error over t is taken, and truncation is overestimated, so that no failure is expected: a
    supremum over t above three standard errors of its worst point has a probability of about 1 % if probes are
    independent and normal.
    """
    for seed in range(20):
        unit = unit_of(factors_of(seed % 3, **options))
        values = scipy.linalg.svdvals(unit.to_dense())
        values[values < 1e-12] = 0.0
        found = unit.spectral_density(probes=6, steps=16, rng=seed)
        # rounding moves values of a large multiplicity to either side, so that t keeps a little away from them
        t = np.linspace(0, 1.1 * values.max(), 500) + 1e-7
        assert np.abs(found.cdf(t) - exact_cdf(values, t)).max() <= 3 * found.error + found.truncation
        assert found.error < 0.1


def test_the_standard_error_is_the_scatter_between_seeds():
    unit = unit_of(factors_of(1))
    found = [unit.spectral_density(probes=8, steps=12, rng=seed) for seed in range(40)]
    t = np.linspace(0, 3, 200)
    scatter = np.std([density.cdf(t) for density in found], axis=0).max()
    stated = np.mean([density.error for density in found])
    # the stated one is the largest over t of an estimate from 8 probes, which is too large by up to a half
    assert 0.9 * scatter < stated < 1.7 * scatter


def test_more_steps_and_probes_give_smaller_errors():
    matrix = with_values(np.linspace(0.2, 2, 200))
    errors = []
    for probes, steps in ((4, 8), (64, 64)):
        found = spectral_density(aslinearoperator(matrix), probes=probes, steps=steps, rng=0)
        t = np.linspace(0, 2, 400)
        errors.append(np.abs(found.cdf(t) - exact_cdf(np.linspace(0.2, 2, 200), t)).max())
    assert errors[1] < errors[0] / 4


@pytest.mark.parametrize("options", [{}, {"kept": 1.1}, {"a": -0.6}, {"levels": (0.1, 1.0), "share": 0.05}])
def test_forced_atoms_are_multiplicities_in_the_dense_spectrum(options):
    unit = unit_of(factors_of(2, **options))
    found = unit.spectral_density()
    values = scipy.linalg.svdvals(unit.to_dense())
    assert len(found.atom_values)
    for value, share in zip(found.atom_values, found.atom_shares, strict=True):
        # an atom is a whole eigenspace, so that its values are equal to rounding; others are not by chance
        assert (np.abs(values - value) < 1e-7).sum() == round(share * found.n)
    assert found.cdf(np.inf) == pytest.approx(1.0, abs=1e-12)


def test_probes_past_an_atom_see_nothing_of_it():
    factors = factors_of(2, kept=1.1)
    (atom,) = forced_atoms(factors)
    rest = atom.past(np.random.default_rng(0).standard_normal((len(atom.rows), 3)))
    left, values, _ = np.linalg.svd(factors.active_matrix.toarray())
    kernel = left[:, np.abs(values - 1) < 1e-9]
    assert kernel.shape[1] == atom.atom.multiplicity == len(values) - 2 * factors.p
    assert np.abs(kernel.T @ rest).max() < 1e-12
    assert np.abs(atom.past(rest) - rest).max() < 1e-12


def test_atoms_taken_out_make_shares_exact():
    unit = unit_of(factors_of(0, share=0.15))
    found = unit.spectral_density(probes=2, steps=10)
    values = scipy.linalg.svdvals(unit.to_dense())
    ones = (np.abs(values - 1) < 1e-9).mean()
    assert dict(zip(found.atom_values, found.atom_shares, strict=True))[1.0] == ones
    plain = spectral_density(aslinearoperator(unit.to_dense()), probes=2, steps=10, rng=0)
    assert found.error < plain.error / 2


def test_a_branch_of_dependent_units_forces_no_atom_without_proof():
    factors = factors_of(0, share=0.1, kept=1.1)
    twice = Factors(
        1.0, None, sparse.hstack([factors.U] * 2).tocsc(), sparse.vstack([factors.V] * 2).tocsr(),
        factors.outer, (), np.tile(factors.place, 2),
    )  # fmt: skip
    assert forced_atoms(twice) == []
    assert len(unit_of(twice).spectral_density().atom_values) == 0


def test_dependent_columns_are_never_taken_for_independent():
    """Rounding makes about half of the vanishing pivots positive."""
    for seed in range(20):
        columns = np.random.default_rng(seed).standard_normal((30, 6))
        columns[:, 5] = columns[:, :5] @ np.arange(5.0)
        assert projection_on_columns(sparse.csc_array(columns)) is None
        assert projection_on_columns(sparse.csc_array(columns[:, :5])) is not None


def test_atoms_of_other_operators_take_the_nearest_mass():
    values = np.concatenate([np.ones(60), np.linspace(0, 3, 140)])
    operator = aslinearoperator(with_values(values))
    t = np.linspace(0, 3, 301) + 1e-6
    plain = spectral_density(operator, probes=8, steps=20, rng=0)
    known = spectral_density(operator, probes=8, steps=20, rng=0, atoms=[Atom(1.0, 60)])
    assert (known.atom_values, known.atom_shares) == ([1.0], [0.3])
    assert known.cdf(np.inf) == pytest.approx(1.0, abs=1e-12)
    exact = exact_cdf(values, t)
    assert np.abs(known.cdf(t) - exact).max() < np.abs(plain.cdf(t) - exact).max()


def test_no_active_rows_and_no_branch():
    nothing = unit_of(factors_of(0, kept=0.0)).spectral_density()
    assert (nothing.cdf(-1e-9), nothing.cdf(0.0), nothing.error) == (0.0, 1.0, 0.0)
    identity = unit_of(factors_of(0, share=0.0, kept=1.1, a=-2.0)).spectral_density()
    assert identity.atom_values.tolist() == [2.0]
    assert identity.fraction_within(2.0, 0.0) == 1.0


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 12), m=st.integers(1, 12), probes=st.integers(1, 3), seed=st.integers(0, 99))
def test_shares_add_up(n, m, probes, seed):
    matrix = np.random.default_rng(seed).standard_normal((n, m))
    found = spectral_density(aslinearoperator(matrix), probes=probes, steps=20, rng=seed)
    values = scipy.linalg.svdvals(matrix)
    assert found.n == min(n, m)
    assert np.isnan(found.error) == (probes == 1)
    assert found.weights.sum() == pytest.approx(1.0, abs=1e-12)
    # with as many steps as there are values, every node is one of them; those near zero lose half their digits
    assert np.abs(found.nodes[:, None] - values).min(axis=1).max() < 1e-6
    edges = np.array([0.0, 1.0, 2.0, 100.0])
    assert found.histogram(edges).sum() == pytest.approx(1.0, abs=1e-12)
    assert found.fraction_within(1.0, 99.0) == pytest.approx(1.0, abs=1e-12)
    grid = np.linspace(-3, 12, 1501)
    assert np.trapezoid(found.density(grid, 0.3), grid) == pytest.approx(1.0, abs=1e-6)


def test_the_same_seed_gives_the_same_density():
    unit = unit_of(factors_of(0))
    first, again, other = (unit.spectral_density(rng=seed) for seed in (1, np.random.default_rng(1), 2))
    assert np.array_equal(first.nodes, again.nodes)
    assert not np.array_equal(first.nodes, other.nodes)


def test_words_files_and_datasets(tmp_path):
    unit = unit_of(factors_of(0))
    found = unit.spectral_density(probes=3, steps=9)
    assert "SpectralDensity of 'random': 256 singular values, estimated from 3 probes of 9 Lanczos steps" in repr(found)
    assert "exactly 0" in repr(found)
    assert "unknown error (one probe)" in repr(unit.spectral_density(probes=1))
    assert "<table>" in found._repr_html_()
    found.save(tmp_path / "density.npz")
    loaded = SpectralDensity.load(tmp_path / "density.npz")
    assert repr(loaded) == repr(found)
    assert np.array_equal(loaded.nodes, found.nodes)
    data = found.to_dataset()
    assert float(data.weight.sum() + data.share.sum()) == pytest.approx(1.0)
    assert data.attrs["n"] == 256
    assert float(data.error) == found.error


def test_what_is_refused(monkeypatch):
    unit = unit_of(factors_of(0))
    with pytest.raises(ValueError, match="method must be 'slq'"):
        unit.spectral_density("kpm")
    with pytest.raises(ValueError, match="probes must be at least 1"):
        unit.spectral_density(probes=0)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        unit.spectral_density(steps=0)
    with pytest.raises(TypeError, match="rng"):
        unit.spectral_density(rng="seed")
    found = unit.spectral_density(probes=1, steps=3)
    with pytest.raises(ValueError, match="width"):
        found.density([1.0], 0.0)
    with pytest.raises(ValueError, match="width"):
        found.fraction_within(1.0, -1.0)
    monkeypatch.setattr("resdyn._memory.available_bytes", lambda: 1000)
    with pytest.raises(MemoryError, match="4 probes of 50 Lanczos steps"):
        unit.spectral_density()
