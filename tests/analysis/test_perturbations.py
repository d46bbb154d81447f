"""propagate: closed forms of linear networks, orders of convergence, and a network whose units change shape."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import resdyn
from resdyn.analysis.perturbations import chains, following
from resdyn.systems import random_weights

RNG = np.random.default_rng(0)
N, T = 5, 8
X = RNG.normal(size=(3, N))
V = RNG.normal(size=(4, 3, N))


@pytest.fixture
def system():
    return resdyn.ResidualMap(
        random_weights(N, depth=T, scale=1.5),
        RNG.normal(size=(T, N)),
        activation="tanh",
        step=0.4,
        damping=np.linspace(0.0, 0.5, T),
    )


# --- closed forms ------------------------------------------------------------------------------------


def test_first_order_is_exact_for_a_linear_network():
    linear = resdyn.ResidualMap.residual(random_weights(N, depth=T), activation="identity", step=0.3)
    result = resdyn.propagate(linear, X, V)
    # what is left is the rounding of states of size 10 that are subtracted
    assert result.discrepancy.max() < 1e-13
    assert np.allclose(result.cosine, 1.0, rtol=1e-13)
    assert (result.linear_until(1e-12) == T).all()


@pytest.mark.parametrize(
    ("make", "multiplier"), [(resdyn.ResidualMap.residual, 1.0 - 0.3), (resdyn.ResidualMap.mlp, -0.3)]
)
def test_variance_of_a_linear_unit_follows_the_geometric_sum(make, multiplier):
    # V_T = m^2T σ² + s² (m^2T − 1)/(m² − 1), with m = 1 + w of the residual and m = w of the plain unit
    sigma, s, n_samples = 0.2, 0.1, 4000
    unit = make([[-0.3]], activation="identity")
    result = resdyn.propagate(
        unit, [1.0], input_noise=sigma, layer_noise=s, depth=T, n_samples=n_samples, rng=1, linearized=True
    )
    power = multiplier ** (2 * np.arange(T + 1))
    exact = power * sigma**2 + s**2 * (power - 1) / (multiplier**2 - 1)
    assert np.allclose(result.predicted_variance, exact, rtol=1e-13)
    # the scatter of a Gaussian's sample variance is known too
    assert np.allclose(result.standard_error, exact * np.sqrt(2 / n_samples), rtol=0.1)
    assert (np.abs(result.variance - exact) < 4 * result.standard_error).all()


def test_noise_accumulates_like_a_random_walk_where_nothing_moves():
    still = resdyn.ResidualMap.residual(np.zeros((N, N)), activation="identity")
    result = resdyn.propagate(still, X, layer_noise=0.1, depth=T, n_samples=2000, rng=2)
    expected = N * 0.01 * np.arange(T + 1)[:, None]
    assert np.allclose(result.predicted_variance, np.broadcast_to(expected, (T + 1, 3)), rtol=1e-12)
    assert (np.abs(result.variance - expected)[1:] < 4 * result.standard_error[1:]).all()
    assert (result.variance[0] == 0).all()


def test_euler_maruyama_noise_has_the_variance_of_the_ornstein_uhlenbeck_process():
    a, g, errors = -0.8, 0.5, []
    for depth in (100, 200):
        h = 2.0 / depth
        unit = resdyn.ResidualMap.residual([[a]], activation="identity", step=h)
        result = resdyn.propagate(unit, [0.3], layer_noise=g * np.sqrt(h), depth=depth, n_samples=2, rng=0)
        errors.append(result.predicted_variance[-1] - g**2 * np.expm1(2 * a * 2.0) / (2 * a))
    # the next term of the error, relative size h, moves the ratio by 0.02
    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.03)


def test_noise_exponent_of_a_linear_network_is_the_logarithm_of_its_multiplier():
    h = 0.25
    growing = resdyn.ResidualMap.residual(0.4 * np.eye(2), activation="identity", step=h)
    result = resdyn.propagate(growing, [1.0, -1.0], input_noise=0.1, depth=T, n_samples=10, rng=0)
    # the same samples all along: their variance grows exactly
    assert np.allclose(result.noise_exponents, np.log(1 + h * 0.4) / h, rtol=1e-12)
    assert np.allclose(result.amplification, (1 + h * 0.4) ** 2, rtol=1e-12)
    driven = resdyn.propagate(growing, [1.0, -1.0], layer_noise=0.1, depth=T, n_samples=10, rng=0)
    assert np.isnan(driven.amplification[0])
    assert np.isnan(driven.noise_exponents[0])
    expected = 0.5 * np.log(driven.variance[3] / driven.variance[1]) / (2 * h)
    assert driven.noise_exponents[2] == pytest.approx(expected, rel=1e-12)


def test_orthogonal_layers_keep_the_size_of_a_perturbation():
    rotations = np.linalg.qr(RNG.normal(size=(T, N, N)))[0]
    result = resdyn.propagate(resdyn.ResidualMap.mlp(rotations, activation="identity"), X, V)
    assert np.allclose(result.sizes, np.linalg.norm(V, axis=-1), rtol=1e-13)
    assert np.allclose(result.gains, 1.0, rtol=1e-13)


@pytest.mark.parametrize(
    ("make", "factor"), [(resdyn.ResidualMap.residual, 1 + 0.9**2), (resdyn.ResidualMap.mlp, 0.9**2)]
)
def test_random_layers_multiply_the_mean_square_as_the_theory_says(make, factor):
    # over weights of variance g²/N: 1 + h² g² per residual layer (here h = 1), g² per plain layer
    n, g, depth, networks = 40, 0.9, 3, 150
    v = RNG.normal(size=(networks, n))
    growth = [
        resdyn.propagate(
            make(random_weights(n, scale=g, depth=depth, rng=i), activation="identity"), np.zeros(n), v[i]
        ).sizes[:, 0]
        ** 2
        for i in range(networks)
    ]
    ratio = np.array(growth)[:, -1] / np.array(growth)[:, 0]
    expected = factor**depth
    error = ratio.std(ddof=1) / np.sqrt(networks)
    assert abs(ratio.mean() - expected) < 4 * error
    assert error < 0.1 * expected  # or the test above says nothing


# --- the linear regime -------------------------------------------------------------------------------


def test_discrepancy_falls_in_proportion_to_the_perturbation(system):
    sizes = 10.0 ** -np.arange(1, 5)
    found = np.array([resdyn.propagate(system, X, size * V).discrepancy[-1] for size in sizes])
    orders = np.log10(found[:-1] / found[1:])[1:]  # from 1e-2 on, where the next term is a hundredth of the first
    assert orders == pytest.approx(np.ones_like(orders), abs=0.05)


def test_remainder_is_the_second_order_term_of_the_theory():
    # two blocks of one unit: ½h[f″(x1)(1+hf′(x0))² + (1+hf′(x1)) f″(x0)] δ²
    h, x0, delta = 0.3, 0.4, 1e-4
    unit = resdyn.ResidualMap.residual([[1.0]], activation="tanh", step=h)

    def slopes(x):
        y = np.tanh(x)
        return 1 - y**2, -2 * y * (1 - y**2)

    (s0, c0), (s1, c1) = slopes(x0), slopes(x0 + h * np.tanh(x0))
    result = resdyn.propagate(unit, [x0], [delta], depth=2)
    expected = abs(0.5 * h * (c1 * (1 + h * s0) ** 2 + (1 + h * s1) * c0)) * delta**2
    assert result.remainder[-1, 0] == pytest.approx(expected, rel=1e-3)  # the third order is δ times as large


def test_tangents_are_those_of_the_tangent_map(system):
    result = resdyn.propagate(system, X, V, keep=True)
    for m in range(3):
        trajectory = resdyn.simulate(system, X[m])
        for k in (1, 4, T):
            expected = resdyn.tangent_map(trajectory, 0, k).matmat(V[:, m].T).T
            assert np.allclose(result.at(k).linearized[:, m], expected, rtol=1e-12)
            assert np.allclose(result.linearized[k, :, m], np.linalg.norm(expected, axis=-1), rtol=1e-12)


def test_covariance_is_carried_by_the_tangent_map(system):
    result = resdyn.propagate(system, X, input_noise=0.2, n_samples=2, rng=0)
    assert result.prediction == "covariance"
    for m in range(3):
        J = resdyn.tangent_map(resdyn.simulate(system, X[m])).to_dense()
        assert result.predicted_variance[-1, m] == pytest.approx(0.04 * np.trace(J @ J.T), rel=1e-12)


def test_small_noise_has_the_predicted_variance(system):
    result = resdyn.propagate(system, X, input_noise=1e-3, layer_noise=1e-3, n_samples=2000, rng=3)
    assert (np.abs(result.variance - result.predicted_variance) < 4 * result.standard_error).all()
    assert (result.standard_error < 0.03 * result.variance).all()


def test_without_covariances_the_tangents_of_the_samples_predict(system, monkeypatch):
    options = {"input_noise": 0.01, "layer_noise": 0.01, "n_samples": 500, "rng": 0, "keep": True}
    exact = resdyn.propagate(system, X, **options)
    monkeypatch.setattr("resdyn.analysis.perturbations.rows._COVARIANCE_UP_TO", N - 1)
    sampled = resdyn.propagate(system, X, **options)
    assert sampled.prediction == "sampled tangents"
    assert np.array_equal(sampled.variance, exact.variance)
    assert np.allclose(
        sampled.predicted_variance, sampled.tangents.reshape(500, 3, T + 1, N).var(0, ddof=1).sum(-1).T, rtol=1e-12
    )
    # the same noise: far closer to the truth than the scatter of the samples
    assert (np.abs(sampled.predicted_variance - sampled.variance) < 0.3 * sampled.standard_error).all()
    assert (np.abs(sampled.predicted_variance - exact.predicted_variance) < 4 * sampled.standard_error).all()


@given(st.integers(0, 2**32 - 1), st.floats(-6, 3))
@settings(deadline=None, max_examples=20, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_the_linearized_part_scales_with_the_perturbation(seed, exponent):
    rng = np.random.default_rng(seed)
    system = resdyn.ResidualMap.residual(random_weights(N, depth=3, rng=rng), activation="tanh")
    one = resdyn.propagate(system, X, V)
    other = resdyn.propagate(system, X, 10.0**exponent * V)
    assert np.allclose(other.linearized, 10.0**exponent * one.linearized, rtol=1e-12)


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_states_and_perturbations_are_treated_one_by_one(seed):
    rng = np.random.default_rng(seed)
    system = resdyn.ResidualMap.mlp(random_weights(N, depth=3, scale=2.0, rng=rng), activation="tanh")
    states, order = rng.permutation(3), rng.permutation(4)
    whole = resdyn.propagate(system, X, V)
    shuffled = resdyn.propagate(system, X[states], V[order][:, states])
    # BLAS may sum in another order
    for name in ("sizes", "linearized"):
        assert np.allclose(getattr(shuffled, name), getattr(whole, name)[:, order][:, :, states], rtol=1e-10)


# --- the unperturbed run -----------------------------------------------------------------------------


def test_perturbed_states_are_those_of_simulate(system):
    result = resdyn.propagate(system, X, V, keep=True)
    plain = resdyn.simulate(system, X)
    perturbed = resdyn.simulate(system, X + V)
    for k in (0, 3, T):
        assert np.allclose(result.at(k).true, perturbed.x[k] - plain.x[k], atol=1e-13)
    assert np.allclose(result.state_sizes, np.linalg.norm(plain.x, axis=-1), rtol=1e-12)
    assert np.allclose(result.relative, result.sizes / result.state_sizes[:, None])
    assert np.array_equal(result.t, plain.t)


def test_kernels_and_numpy_agree(system, monkeypatch):
    options = {"input_noise": 0.1, "layer_noise": 0.1, "rng": 0}
    in_numpy = resdyn.propagate(system, X, **options)
    monkeypatch.setattr(chains, "_COMPILED_FROM", 0)
    compiled = resdyn.propagate(system, X, **options)
    assert np.allclose(compiled.sizes, in_numpy.sizes, rtol=1e-11)


def test_operators_and_matrices_agree(system, monkeypatch):
    u = RNG.normal(size=(T, 3, N))
    with_matrices = resdyn.propagate(system, X, V, inputs=u)
    monkeypatch.setattr(chains, "_DENSE_UP_TO", 0)
    assert np.allclose(resdyn.propagate(system, X, V, inputs=u).linearized, with_matrices.linearized, rtol=1e-12)
    shared = resdyn.propagate(system, X, V, inputs=u[:, 0])
    assert np.allclose(shared.linearized[:, :, 0], with_matrices.linearized[:, :, 0], rtol=1e-12)


def test_drives_reach_states_and_tangents(system):
    u = RNG.normal(size=(T, 3, N))
    result = resdyn.propagate(system, X, V, inputs=u, keep=True)
    for m in range(3):
        plain = resdyn.simulate(system, X[m], inputs=u[:, m])
        perturbed = resdyn.simulate(system, X[m] + V[2, m], inputs=u[:, m])
        assert np.allclose(result.at(T).true[2, m], perturbed.final - plain.final, atol=1e-13)
        assert np.allclose(result.at(T).linearized[2, m], resdyn.tangent_map(plain).matvec(V[2, m]), rtol=1e-12)


def test_parts_of_a_batch_give_the_whole(system, monkeypatch):
    u = RNG.normal(size=(T, 3, N))
    whole = resdyn.propagate(system, X, V, inputs=u, keep=True)
    monkeypatch.setattr(following, "_AT_ONCE", 1)
    parts = resdyn.propagate(system, X, V, inputs=u, keep=True)
    for name in ("sizes", "state_sizes", "linearized", "deviations", "tangents", "status"):
        assert np.allclose(getattr(parts, name), getattr(whole, name), rtol=1e-10, atol=1e-14), name
    noise = resdyn.propagate(system, X, input_noise=0.1, rng=0)
    assert noise.variance.shape == (T + 1, 3)


def test_a_perturbation_may_enter_later(system):
    late = resdyn.propagate(system, X, V, start=3, keep=True)
    assert late.layers.tolist() == list(range(3, T + 1))
    assert late.names[:2] == ("layer 3", "layer 4")
    assert np.array_equal(late.t, 0.4 * np.arange(3, T + 1))
    trajectory = resdyn.simulate(system, X[1])
    assert np.allclose(late.at(3).true[:, 1], V[:, 1], atol=1e-14)
    assert np.allclose(late.at(T).linearized[:, 1], resdyn.tangent_map(trajectory, 3).matmat(V[:, 1].T).T, rtol=1e-12)


def test_batches_of_any_number_of_axes(system):
    flat = resdyn.propagate(system, X.reshape(1, 3, N)[0], V)
    grid = resdyn.propagate(system, X.reshape(1, 3, N), V.reshape(4, 1, 3, N), keep=True)
    assert grid.sizes.shape == (T + 1, 4, 1, 3)
    assert grid.at(2).true.shape == (4, 1, 3, N)
    assert np.allclose(grid.sizes[:, :, 0], flat.sizes, rtol=1e-12)
    one = resdyn.propagate(system, X[0], V[0, 0], keep=True)
    assert one.sizes.shape == (T + 1, 1)
    assert np.allclose(one.sizes, flat.sizes[:, :1, 0], rtol=1e-12)
    assert resdyn.propagate(system, X[0], input_noise=0.1).variance.shape == (T + 1,)


@pytest.mark.parametrize("norm", [1, 2, np.inf])
def test_norms(system, norm):
    result = resdyn.propagate(system, X, V, norm=norm, keep=True)
    true, linearized = result.at(5)
    assert np.allclose(result.sizes[5], np.linalg.norm(true, norm, axis=-1), rtol=1e-12)
    assert np.allclose(result.remainder[5], np.linalg.norm(true - linearized, norm, axis=-1), rtol=1e-12)
    cosine = (true * linearized).sum(-1) / np.linalg.norm(true, axis=-1) / np.linalg.norm(linearized, axis=-1)
    assert np.allclose(result.cosine[5], cosine, rtol=1e-12)
    mean = {1: np.abs(true).mean(-1), 2: np.sqrt((true**2).mean(-1)), np.inf: np.abs(true).max(-1)}[norm]
    assert np.allclose(result.rms[5], mean, rtol=1e-12)


def test_states_with_more_than_one_axis():
    image = resdyn.ResidualSystem(lambda t, x, params: np.sin(x) + 0.1 * np.roll(x, 1, axis=-1), (2, 3, 4), step=0.2)
    x, v = RNG.normal(size=(2, 2, 3, 4)), 1e-5 * RNG.normal(size=(3, 2, 2, 3, 4))
    result = resdyn.propagate(image, x, v, depth=4, keep=True)
    assert result.at(4).true.shape == (3, 2, 2, 3, 4)
    assert result.discrepancy.max() < 1e-4  # ten times the perturbation


# --- divergence --------------------------------------------------------------------------------------


def test_divergence_is_an_outcome():
    unit = resdyn.systems.pitchfork(step=0.5)
    result = resdyn.propagate(unit, [0.5], [[0.1], [4.0]], depth=20)
    assert result.status.tolist() == [resdyn.Status.OK, resdyn.Status.DIVERGED]
    assert np.isfinite(result.sizes[:, 0]).all()
    assert not np.isfinite(result.sizes[-1, 1])
    assert np.isfinite(result.linearized).all()
    assert "1 of 2 diverged" in repr(result)
    assert result.linear_until()[1] < 5


def test_a_diverging_unperturbed_state_takes_its_perturbations_along():
    unit = resdyn.systems.pitchfork(step=0.5)
    result = resdyn.propagate(unit, [[0.1], [9.0]], 0.1 * np.ones((1, 2, 1)), depth=20)
    assert result.status.tolist() == [[resdyn.Status.OK, resdyn.Status.DIVERGED]]
    assert np.isfinite(result.sizes[:, 0, 0]).all()
    noisy = resdyn.propagate(unit, [[0.1], [9.0]], input_noise=0.01, depth=20, rng=0)
    assert np.isfinite(noisy.variance[:, 0]).all()
    assert not np.isfinite(noisy.variance[-1, 1])


# --- reading the result ------------------------------------------------------------------------------


def test_jump_finds_the_layer_that_enlarges_most():
    weights = np.zeros((T, 1, 1))
    weights[5] = 9.0
    result = resdyn.propagate(resdyn.ResidualMap.residual(weights, activation="identity"), [1.0], [[1e-3], [2e-3]])
    assert result.jump().layer.tolist() == [5, 5]
    assert np.allclose(result.jump().gain, 10.0)
    # state and perturbation are enlarged alike
    assert np.allclose(result.jump(relative=True).gain, 1.0)
    late = resdyn.propagate(resdyn.ResidualMap.residual(weights, activation="identity"), [1.0], [1e-3], start=2)
    assert late.jump().layer.tolist() == [5]
    nothing = resdyn.propagate(resdyn.ResidualMap.residual(weights, activation="identity"), [1.0], [0.0])
    assert nothing.jump().layer.tolist() == [-1]
    assert np.isnan(nothing.jump().gain).all()


def test_linear_until_is_the_last_layer_within_the_tolerance(system):
    result = resdyn.propagate(system, X, 0.3 * V)
    until = result.linear_until(0.05)
    assert (until >= 0).all()
    assert (until < T).any()
    for n, m in np.ndindex(4, 3):
        assert (result.discrepancy[: until[n, m] + 1, n, m] <= 0.05).all()
        if until[n, m] < T:
            assert result.discrepancy[until[n, m] + 1, n, m] > 0.05


def test_unit_variances_add_up(system):
    result = resdyn.propagate(system, X, input_noise=0.1, keep=True, rng=0)
    assert result.unit_variance(4).shape == (3, N)
    assert np.allclose(result.unit_variance(4).sum(-1), result.variance[4], rtol=1e-12)


def test_without_linearization_nothing_linear_is_kept(system):
    result = resdyn.propagate(system, X, input_noise=0.1, linearized=False, keep=True, rng=0)
    for name in ("linearized", "remainder", "cosine", "discrepancy", "predicted_variance", "tangents"):
        assert getattr(result, name) is None
    assert result.at(1).linearized is None
    assert np.array_equal(result.variance, resdyn.propagate(system, X, input_noise=0.1, rng=0).variance)
    with pytest.raises(ValueError, match="linearized=True"):
        result.linear_until()


def test_seeds_decide(system):
    options = {"input_noise": 0.1, "layer_noise": 0.1, "n_samples": 5}
    first = resdyn.propagate(system, X, rng=1, **options)
    assert np.array_equal(first.sizes, resdyn.propagate(system, X, rng=1, **options).sizes)
    assert not np.array_equal(first.sizes, resdyn.propagate(system, X, rng=2, **options).sizes)


@pytest.mark.parametrize("options", [{"perturbations": V}, {"layer_noise": 0.1, "input_noise": 0.2, "rng": 0}])
@pytest.mark.parametrize("keep", [False, True])
def test_save_and_load_keep_everything(system, tmp_path, options, keep):
    result = resdyn.propagate(system, X, norm=np.inf, keep=keep, start=1, **options)
    result.save(tmp_path / "p.npz")
    loaded = resdyn.Propagation.load(tmp_path / "p.npz")
    for field in dataclasses.fields(result):
        one, other = getattr(result, field.name), getattr(loaded, field.name)
        assert type(one) is type(other), field.name
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other, field.name
    assert repr(loaded) == repr(result)


def test_dataset_has_named_axes(system):
    dataset = resdyn.propagate(system, X, input_noise=0.1, n_samples=6, rng=0).to_dataset()
    assert dict(dataset.sizes) == {"layer": T + 1, "perturbation": 6, "batch": 3}
    assert dataset.predicted_variance.dims == ("layer", "batch")
    assert dataset.attrs["input_noise"] == 0.1
    given_ones = resdyn.propagate(system, X, V, linearized=False).to_dataset()
    assert set(given_ones) == {"size", "relative_size", "state_size", "status"}
    assert given_ones["name"].values[2] == "layer 2"


def test_repr_says_what_happened():
    linear = resdyn.ResidualMap.residual([[0.5]], activation="identity")
    assert repr(resdyn.propagate(linear, [1.0], [[0.1], [0.1]], depth=2)) == (
        "Propagation of 2 perturbations of one state through 2 layers of 'residual network': median size 0.1 → 0.225, "
        "relative to the state 0.1 → 0.1; relative error of first order "
        f"{resdyn.propagate(linear, [1.0], [0.1], depth=2).discrepancy[-1, 0]:.2g} at the end."
    )
    noisy = resdyn.propagate(linear, [[1.0], [2.0]], layer_noise=0.1, depth=3, start=2, n_samples=7, rng=0)
    deviation = np.median(np.sqrt(noisy.variance[-1]))
    assert repr(noisy) == (
        "Propagation of noise (layer 0.1; 7 samples) from 2 states through 1 layer of 'residual network' from layer 2 "
        f"on: standard deviation 0 → {deviation:.3g} (first order: 0.1)."
    )
    assert "<td>layer 3</td>" in noisy._repr_html_()


# --- networks ----------------------------------------------------------------------------------------


class Dense:
    """tanh(x M), with M of any shape: a unit that may change the shape of the state."""

    def __init__(self, matrix, name, skip=False):
        self.matrix, self.name, self.skip = matrix, name, skip

    def __call__(self, x):
        return np.tanh(x @ self.matrix) + (x if self.skip else 0)

    def jvp(self, x, tangent):
        return (1 - np.tanh(x @ self.matrix) ** 2) * (tangent @ self.matrix) + (tangent if self.skip else 0)

    def vjp(self, x, cotangent):
        return ((1 - np.tanh(x @ self.matrix) ** 2) * cotangent) @ self.matrix.T + (cotangent if self.skip else 0)


class Summing(Dense):
    """Not a unit: it forgets the batch."""

    def __call__(self, x):
        return x.sum()


class Folded:
    """The same numbers as an image."""

    name = "folded"

    def __call__(self, x):
        return x.reshape(len(x), 2, -1)

    def jvp(self, x, tangent):
        return tangent.reshape(len(tangent), 2, -1)

    def vjp(self, x, cotangent):
        return cotangent.reshape(len(cotangent), -1)


class Network:
    name = "small network"

    def __init__(self, units):
        self.units = units

    def trace(self, x):
        states = [x]
        for unit in self.units:
            states.append(unit(states[-1]))
        return SimpleNamespace(states=states)


@pytest.fixture
def network():
    narrowing = [Dense(RNG.normal(size=(N, 8)), "widening"), Dense(RNG.normal(size=(8, 8)), "residual", skip=True)]
    return Network([*narrowing, Dense(RNG.normal(size=(8, 4)), "narrowing"), Folded()])


def test_a_network_whose_units_change_the_shape(network):
    result = resdyn.propagate(network, X, 1e-4 * V, keep=True)
    assert result.shapes == ((N,), (8,), (8,), (4,), (2, 2))
    assert result.names == ("input", "widening", "residual", "narrowing", "folded")
    plain = network.trace(X).states
    for n in range(4):
        perturbed = network.trace(X + 1e-4 * V[n]).states
        tangent = 1e-4 * V[n]
        for k in range(5):
            true, linearized = result.at(k)
            assert np.allclose(true[n], perturbed[k] - plain[k], atol=1e-15)
            assert np.allclose(linearized[n], tangent, rtol=1e-12)
            size = np.linalg.norm((perturbed[k] - plain[k]).reshape(3, -1), axis=-1)
            assert np.allclose(result.sizes[k, n], size, rtol=1e-10)
            assert np.allclose(result.rms[k, n], size / np.sqrt(plain[k][0].size), rtol=1e-10)
            if k < 4:
                tangent = network.units[k].jvp(plain[k], tangent)


def test_covariance_through_changes_of_shape(network):
    result = resdyn.propagate(network, X, input_noise=0.1, layer_noise=0.2, n_samples=2, rng=0)
    states = network.trace(X).states
    for m in range(3):
        C = 0.01 * np.eye(N)
        for k, unit in enumerate(network.units):
            d = states[k][m].size
            base = np.broadcast_to(states[k][m], (d, *states[k][m].shape))
            J = unit.jvp(base, np.eye(d).reshape(base.shape)).reshape(d, -1).T
            C = J @ C @ J.T
            C += 0.04 * np.eye(len(C))
            assert result.predicted_variance[k + 1, m] == pytest.approx(np.trace(C), rel=1e-12)


def test_a_network_of_one_shape_is_its_system():
    W = random_weights(N, depth=T)
    system = resdyn.ResidualMap.residual(W, activation="tanh")
    same = Network([Dense(w.T, f"block {k}", skip=True) for k, w in enumerate(W)])
    for options in ({"perturbations": V}, {"layer_noise": 0.1, "input_noise": 0.1, "rng": 0}):
        for part in ({}, {"depth": 5}, {"start": 2}):
            one, other = (resdyn.propagate(net, X, **options, **part) for net in (system, same))
            for name in ("sizes", "linearized", "state_sizes", "variance", "predicted_variance", "t"):
                first, second = getattr(one, name), getattr(other, name)
                assert (first is second is None) or np.allclose(first, second, rtol=1e-10), name


# --- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({}, ValueError, "nothing perturbs the states; give perturbations, input_noise or layer_noise"),
        ({"perturbations": V, "input_noise": 0.1}, ValueError, "input_noise=0.1 belongs to noise"),
        ({"perturbations": V, "n_samples": 7}, ValueError, "n_samples=7 belongs to noise"),
        ({"perturbations": V[:, :2]}, ValueError, r"shape \(4, 2, 5\).*one perturbation.*\(n, 3, 5\)"),
        ({"perturbations": V[:0]}, ValueError, r"shape \(0, 3, 5\)"),
        ({"perturbations": V * np.nan}, ValueError, "perturbations holds NaN"),
        ({"input_noise": -1}, ValueError, "input_noise is a standard deviation"),
        ({"layer_noise": "a"}, ValueError, "layer_noise is a standard deviation"),
        ({"input_noise": 0.1, "n_samples": 1}, ValueError, "n_samples must be at least 2"),
        ({"input_noise": 0.1, "rng": "a"}, TypeError, "rng must be a numpy Generator"),
        ({"perturbations": V, "norm": 3}, ValueError, "norm must be 1, 2 or np.inf"),
        ({"perturbations": V, "depth": 9}, ValueError, "has 8 layers"),
        ({"perturbations": V, "start": 9}, ValueError, "start = 9.*runs 8 layers"),
    ],
)
def test_propagate_refuses(system, options, error, match):
    with pytest.raises(error, match=match):
        resdyn.propagate(system, X, **options)


def test_propagate_refuses_what_is_neither_system_nor_network(system, network):
    with pytest.raises(TypeError, match="units and trace"):
        resdyn.propagate(object(), X, V)
    with pytest.raises(ValueError, match=r"x has shape \(3, 4\).*states of shape \(5,\)"):
        resdyn.propagate(system, X[:, :4], V)
    with pytest.raises(ValueError, match="x is an empty batch"):
        resdyn.propagate(system, X[:0], V)
    with pytest.raises(ValueError, match="x holds infinite values"):
        resdyn.propagate(resdyn.logistic_residuals(np.eye(2)), [np.inf, 0.0], [1.0, 1.0], depth=1)
    with pytest.raises(ValueError, match=r"takes a batch of inputs.*x\[None\]"):
        resdyn.propagate(network, X[0], V[0, 0])
    with pytest.raises(ValueError, match="has 4 units, but depth = 5"):
        resdyn.propagate(network, X, V, depth=5)
    with pytest.raises(ValueError, match="inputs drive a ResidualMap"):
        resdyn.propagate(network, X, V, inputs=X)
    with pytest.raises(ValueError, match=r"at layer 1 have shape \(3, 8\)"):
        resdyn.propagate(network, X, V, start=1)
    broken = Network([Dense(np.eye(N), "fine"), Summing(np.eye(N), "summing")])
    with pytest.raises(ValueError, match="unit 'summing' returned shape"):
        resdyn.propagate(broken, X, V)


def test_results_refuse_what_they_do_not_hold(system):
    sizes_only = resdyn.propagate(system, X, V)
    with pytest.raises(ValueError, match="keep=True"):
        sizes_only.at(0)
    for name in ("amplification", "noise_exponents"):
        with pytest.raises(ValueError, match="input_noise or layer_noise"):
            getattr(sizes_only, name)
    with pytest.raises(ValueError, match="layer = 1, but the layers run from 2 to 8"):
        resdyn.propagate(system, X, V, start=2, keep=True).at(1)
    with pytest.raises(ValueError, match="depth is 0"):
        resdyn.propagate(system, X, V, depth=0).jump()


def test_too_much_to_keep_is_said_before_it_is_run(system, monkeypatch):
    monkeypatch.setattr("resdyn._memory.available_bytes", lambda: 1000)
    with pytest.raises(MemoryError, match="keeping 4 perturbations of 3 states.*keep=False"):
        resdyn.propagate(system, X, V, keep=True)


def test_the_standard_error_is_that_of_leaving_one_sample_out():
    system = resdyn.ResidualMap(np.eye(3), activation="tanh", step=0.5)
    run = resdyn.propagate(system, np.zeros(3), input_noise=0.5, n_samples=12, depth=2, keep=True, rng=0)
    samples = run.at(2).true
    without = np.array([np.delete(samples, i, axis=0).var(axis=0, ddof=1).sum() for i in range(12)])
    assert run.standard_error[2] == pytest.approx(np.sqrt(11 / 12 * ((without - without.mean()) ** 2).sum()))


@pytest.mark.parametrize("n_samples", [2, 9])
def test_a_few_samples_do_not_tell_the_error_of_their_variance(n_samples):
    run = resdyn.propagate(resdyn.ResidualMap(np.eye(3)), np.zeros(3), input_noise=0.5, n_samples=n_samples, depth=2)
    assert np.isnan(run.standard_error).all()
    assert np.isfinite(run.variance).all()


def test_an_unperturbed_orbit_that_diverges_is_a_divergence():
    square = resdyn.ResidualSystem(lambda t, x, _: x**2, 1)
    # 5 diverges; perturbed to 0 it stays there
    run = resdyn.propagate(square, [[5.0], [-0.5]], [[-5.0], [0.1]], depth=12, linearized=False)
    assert run.status.tolist() == [[resdyn.Status.DIVERGED, resdyn.Status.OK]]
    assert "1 of 2 diverged, the unperturbed orbit of 1 of 2 among them." in repr(run)


def test_a_norm_is_one_number():
    with pytest.raises(ValueError, match="norm must be 1, 2 or np.inf, but is array"):
        resdyn.propagate(resdyn.ResidualMap(np.eye(2)), np.zeros(2), np.ones(2), depth=1, norm=np.array([1, 2]))


def test_infinite_states_have_no_differences():
    system = resdyn.logistic_residuals(np.eye(2))
    with pytest.raises(ValueError, match="unperturbed infinite state is not a number; pass finite states"):
        resdyn.propagate(system, [0.0, np.inf], np.ones(2), depth=2)


def test_perturbations_of_size_zero_have_words():
    run = resdyn.propagate(resdyn.ResidualMap(np.eye(2)), np.ones(2), np.zeros(2), depth=2)
    assert "median size 0 → 0" in repr(run)
    assert "nan" not in repr(run)


def test_working_arrays_of_many_samples_are_counted(monkeypatch):
    from resdyn import _memory

    asked = []
    monkeypatch.setattr(_memory, "require", lambda n_bytes, *rest: asked.append(n_bytes))
    resdyn.propagate(resdyn.ResidualMap(np.eye(500)), np.zeros(500), input_noise=1.0, n_samples=1000, depth=1)
    # perturbed states before and after a layer, at the least
    assert max(asked) > 2 * 8 * 1000 * 500
