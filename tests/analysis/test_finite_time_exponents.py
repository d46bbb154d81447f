"""Finite-time exponents: singular values of tangent maps, also those that no number of 16 digits holds."""

import mpmath
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import resdyn
from resdyn.analysis.exponents.spectrum import FiniteTimeExponents
from resdyn.analysis.exponents.tangents import GradedProduct
from resdyn.kernels.graded_svd import graded_svd
from resdyn.systems import cyclic_weights, random_weights

RNG = np.random.default_rng(0)
BEGINNING = RNG.bit_generator.state


def setup_function(function):
    """The same numbers in each test, whichever ran before it."""
    RNG.bit_generator.state = BEGINNING


def exact_logs(factors):
    """Logarithms of the singular values of a product, in 200 digits; the first factor acts first."""
    with mpmath.workdps(200):
        product = mpmath.eye(factors[0].shape[0])
        for factor in factors:
            product = mpmath.matrix(factor.tolist()) * product
        return np.array([float(mpmath.log(value)) for value in mpmath.svd_r(product, compute_uv=False)])


@pytest.fixture
def network():
    return resdyn.ResidualMap(random_weights(5, scale=4), activation="tanh", damping=1.0, step=0.2)


@pytest.mark.parametrize("method", ["residual", "exponential"])
def test_they_are_the_singular_values_of_the_tangent_map(network, method):
    x0 = RNG.normal(size=(3, 4, 5))
    trajectory = resdyn.simulate(network, x0, depth=6, transient=2, method=method)
    found = resdyn.finite_time_exponents(trajectory)
    assert found.exponents.shape == (3, 4, 5)
    assert found.directions.shape == (3, 4, 5, 5)
    D = resdyn.tangent_map(trajectory.sample(1, 2)).to_dense()
    values = np.linalg.svd(D, compute_uv=False)
    # a dense SVD is good to 1e-16 of the largest value, which here is 1e-10 of the smallest
    assert found.singular_values[1, 2] == pytest.approx(values, rel=1e-8)
    # each direction grows by its own factor, and they are orthonormal
    assert np.linalg.norm(D @ found.directions[1, 2].T, axis=0) == pytest.approx(values, rel=1e-8)
    assert found.directions[1, 2] @ found.directions[1, 2].T == pytest.approx(np.eye(5), abs=1e-12)
    if method == "residual":
        direct = resdyn.finite_time_exponents(network, x0, depth=6, transient=2)
        assert direct.exponents == pytest.approx(found.exponents, abs=1e-9)
        assert (direct.depth, direct.transient) == (found.depth, found.transient) == (6, 2)


def test_small_singular_values_keep_their_digits(network):
    x0 = RNG.normal(size=5)
    trajectory = resdyn.simulate(network, x0, depth=100)
    factors = [np.eye(5) + 0.2 * network.jacobian(0.0, x) for x in trajectory.x[:-1]]
    exact = exact_logs(factors)
    assert exact[0] - exact[-1] > 50  # more than 20 digits apart
    for found in (
        resdyn.finite_time_exponents(network, x0, depth=100),
        resdyn.finite_time_exponents(trajectory),
    ):
        assert found.exponents * 20 == pytest.approx(exact, abs=1e-8)


def test_exponents_beyond_the_range_of_numbers():
    # σ from 1.5^3000 to 0.1^3000: neither is a float
    W = np.array([[0.5, 3.0, -1.0], [0.0, -0.4, 2.0], [0.0, 0.0, -0.9]])
    system = resdyn.ResidualMap(W, activation="identity")
    found = resdyn.finite_time_exponents(system, np.zeros(3), depth=3000)
    with mpmath.workdps(6000):
        exact = [
            float(mpmath.log(v))
            for v in mpmath.svd_r(mpmath.matrix((np.eye(3) + W).tolist()) ** 3000, compute_uv=False)
        ]
    assert found.exponents * 3000 == pytest.approx(exact, abs=1e-6)  # 1e-10 for each of thousands of QR steps
    assert np.isinf(found.singular_values[0])
    # the long-time limit are the eigenvalues
    assert found.exponents == pytest.approx(np.log([1.5, 0.6, 0.1]), abs=3e-3)


@pytest.mark.parametrize(
    "system",
    [
        resdyn.systems.lorenz(step=0.05),
        resdyn.logistic_residuals(random_weights(7), step=0.5),
        resdyn.ResidualMap(random_weights(4, depth=9), activation="tanh", step=0.5),
    ],
    ids=["formulas", "matrix", "layers"],
)
def test_flows_against_differences_of_the_flow(system):
    x0 = np.random.default_rng(3).normal(size=system.shape)
    options = {"depth": 6, "transient": 3, "rtol": 1e-10, "atol": 1e-12}
    found = resdyn.finite_time_exponents(system, x0, dynamics="flow", **options)
    start = resdyn.simulate(system, x0, depth=3, method="RK45", save="final", rtol=1e-10, atol=1e-12).final

    def end(states):
        part = system if system.depth is None else system.replace(W=system.W[3:])
        return resdyn.simulate(part, states, depth=6, method="RK45", save="final", rtol=1e-11, atol=1e-13).final

    delta = 1e-4 * np.eye(start.size)
    D = (end(start + delta) - end(start - delta)).T / 2e-4
    # differences are good to δ² = 1e-8 and 1e-11/δ = 1e-7
    assert found.singular_values == pytest.approx(np.linalg.svd(D, compute_uv=False), rel=1e-4, abs=1e-5)
    by_scipy = resdyn.finite_time_exponents(system, x0, dynamics="flow", method="DOP853", **options)
    assert by_scipy.exponents == pytest.approx(found.exponents, abs=1e-6)


def test_their_sum_is_the_growth_of_volumes():
    found = resdyn.finite_time_exponents(resdyn.systems.henon(), RNG.uniform(-0.3, 0.3, (50, 2)), depth=500)
    assert found.exponents.sum(axis=-1) == pytest.approx(np.full(50, np.log(0.3)), abs=1e-9)
    flow = resdyn.finite_time_exponents(
        resdyn.systems.lorenz(), RNG.normal(size=(3, 3)), depth=2000, dynamics="flow", rtol=1e-9
    )
    assert flow.exponents.sum(axis=-1) == pytest.approx(np.full(3, -41 / 3), abs=1e-6)


def test_drives_and_noise_of_a_trajectory_count(network):
    x0, u = RNG.normal(size=(4, 5)), RNG.normal(size=(12, 4, 5))
    noisy = resdyn.simulate(network, x0, inputs=u, noise=0.3, rng=1)
    found = resdyn.finite_time_exponents(noisy)
    D = resdyn.tangent_map(noisy.sample(2)).to_dense()
    assert found.singular_values[2, 0] == pytest.approx(np.linalg.norm(D, 2), rel=1e-9)
    silent = resdyn.simulate(network, x0, inputs=u)
    direct = resdyn.finite_time_exponents(network, x0, inputs=u)
    assert direct.exponents == pytest.approx(resdyn.finite_time_exponents(silent).exponents, abs=1e-8)


def test_the_largest_ones_of_many_variables():
    system = resdyn.ResidualMap(random_weights(600), activation="tanh", step=0.3)
    x0 = RNG.normal(size=(2, 600))
    found = resdyn.finite_time_exponents(system, x0, depth=4, n_exponents=3)
    for i in range(2):
        D = resdyn.tangent_map(resdyn.simulate(system, x0[i], depth=4)).to_dense()
        _, values, vectors = np.linalg.svd(D)
        assert found.singular_values[i] == pytest.approx(values[:3], rel=1e-10)
        assert np.abs(found.directions[i] @ vectors[:3].T) == pytest.approx(np.eye(3), abs=1e-6)
    with pytest.raises(ValueError, match="pass n_exponents, a small number"):
        resdyn.finite_time_exponents(system, x0, depth=4)


def test_singular_layers_and_lost_states():
    plain = resdyn.ResidualMap.mlp(np.outer([1.0, 2.0, -1.0], [0.5, 0.3, 0.2]), activation="tanh")
    found = resdyn.finite_time_exponents(plain, RNG.normal(size=3), depth=10)
    assert np.isfinite(found.exponents[0])
    assert np.isneginf(found.exponents[1:]).all()
    trajectory = resdyn.simulate(resdyn.systems.pitchfork(), [[0.5], [1e3]], depth=20)
    for lost in (
        resdyn.finite_time_exponents(trajectory),
        resdyn.finite_time_exponents(resdyn.systems.pitchfork(), [[0.5], [1e3]], depth=20),
    ):
        assert list(lost.status) == [0, resdyn.Status.DIVERGED]
        assert np.isfinite(lost.exponents[0]).all()
        assert np.isnan(lost.exponents[1]).all()
        assert np.isnan(lost.directions[1]).all()
        assert "1 lost" in repr(lost)


def test_saturated_units_do_not_change():
    system = resdyn.logistic_residuals(cyclic_weights(), step=0.5)
    found = resdyn.finite_time_exponents(system, [[np.inf, -np.inf, np.inf], [0.0, 1.0, 2.0]], depth=8)
    assert np.abs(found.exponents[0]).max() < 1e-15
    assert (found.status == 0).all()


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 6), spread=st.sampled_from([0, 3, 60, 900]))
@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_graded_singular_values(seed, k, spread):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(1, k, k))
    powers = rng.integers(-spread, spread + 1, (1, k))
    logs, vectors = graded_svd(rows, powers)
    with mpmath.workdps(700):
        exact = mpmath.matrix(
            [[mpmath.ldexp(v, int(p)) for v in row] for row, p in zip(rows[0], powers[0], strict=True)]
        )
        values = mpmath.svd_r(exact, compute_uv=False)
        expected = np.array([float(mpmath.log(v)) for v in values])
    scaled = rows[0] / np.linalg.norm(rows[0], axis=1, keepdims=True)
    # the bound of one-sided Jacobi, with room for the roundings of a few sweeps
    allowed = 50 * k * np.finfo(float).eps * np.linalg.cond(scaled) + 1e-13 * (1 + np.abs(expected).max())
    assert np.abs(logs[0] - expected).max() < allowed
    assert vectors[0] @ vectors[0].T == pytest.approx(np.eye(k), abs=1e-11)


def test_parallel_rows_have_a_singular_value_of_zero():
    logs, vectors = graded_svd(
        np.array([[[0.5, 0.25, 0.1], [1.5, 0.75, 0.3], [0.0, 0.0, 0.0]]]), np.array([[0, -400, 7]])
    )
    length = np.linalg.norm([0.5, 0.25, 0.1])
    assert logs[0] == pytest.approx([np.log(length), -np.inf, -np.inf])
    assert np.abs(vectors[0, 0]) == pytest.approx(np.array([0.5, 0.25, 0.1]) / length)


def test_graded_product_is_the_product():
    factors = [np.triu(RNG.normal(size=(2, 4, 4))) for _ in range(30)]
    product = GradedProduct(2, 4)
    for factor in factors:
        product.multiply(factor)
    expected = np.eye(4)
    for factor in factors:
        expected = factor @ expected
    found = np.ldexp(product.rows, product.powers[:, :, None])
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12 * np.abs(expected).max())
    assert np.abs(product.rows).max(axis=2) == pytest.approx(np.full((2, 4), 0.75), abs=0.25001)


def test_words_files_and_datasets(tmp_path, network):
    found = resdyn.finite_time_exponents(network, RNG.normal(size=(4, 5)), depth=15, n_exponents=2)
    assert "4 states, 2 per state, over 15 layers (t = 3)" in repr(found)
    found.save(tmp_path / "exponents.npz")
    again = FiniteTimeExponents.load(tmp_path / "exponents.npz")
    assert np.array_equal(again.directions, found.directions)
    assert repr(again) == repr(found)
    data = found.to_dataset()
    assert data.directions.dims == ("batch", "exponent", "unit")
    assert np.array_equal(data.exponents, found.exponents)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"depth": 3}, TypeError, "depth is known from the trajectory"),
        ({"transient": 3}, TypeError, "transient is known from the trajectory"),
        ({"dynamics": "flow"}, TypeError, "dynamics is known from the trajectory"),
        ({"n_exponents": 9}, ValueError, "states have 5 variables"),
    ],
)
def test_a_trajectory_knows_what_it_is(network, options, error, match):
    with pytest.raises(error, match=match):
        resdyn.finite_time_exponents(resdyn.simulate(network, np.zeros(5), depth=3), **options)


def test_refuses(network):
    with pytest.raises(TypeError, match="needs x0"):
        resdyn.finite_time_exponents(network, depth=3)
    with pytest.raises(ValueError, match="integrated as a flow"):
        resdyn.finite_time_exponents(resdyn.simulate(network, np.zeros(5), depth=3, method="RK45"))
    with pytest.raises(ValueError, match="was not saved"):
        resdyn.finite_time_exponents(resdyn.simulate(network, np.zeros(5), depth=6, save=3))
    with pytest.raises(ValueError, match="has only one"):
        resdyn.finite_time_exponents(resdyn.simulate(network, np.zeros(5), depth=0))
