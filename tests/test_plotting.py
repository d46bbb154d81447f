"""Figures: what is drawn is what the trajectory holds."""

import numpy as np
import pytest

import resdyn
from resdyn import plotting

RNG = np.random.default_rng(0)
LABELS = np.arange(40) % 4


@pytest.fixture(scope="module")
def trajectory():
    system = resdyn.ResidualMap(resdyn.systems.cyclic_weights(), step=0.5)
    return resdyn.simulate(system, RNG.normal(size=(40, 3)), depth=6)


def test_residual_transients_draw_the_median_of_each_class(trajectory):
    ax = plotting.residual_transients(trajectory, LABELS, unit=1)
    assert len(ax.lines) == 4
    for label, line in enumerate(ax.lines):
        assert np.allclose(line.get_xdata(), trajectory.t)
        assert np.allclose(line.get_ydata(), np.median(trajectory.y[:, LABELS == label, 1], axis=1))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0", "1", "2", "3"]
    assert "y_{1}" in ax.get_ylabel()


def test_cumulative_states_start_at_zero(trajectory):
    ax = plotting.cumulative_states(trajectory, unit=2)
    (line,) = ax.lines
    assert line.get_ydata()[0] == 0
    assert np.allclose(line.get_ydata(), np.median(trajectory.cumulative[..., 2], axis=1))


def test_spread_within_classes_is_drawn_beside_the_whole(trajectory):
    ax = plotting.spread_per_layer(trajectory, LABELS)
    whole, within = (line.get_ydata() for line in ax.lines)
    assert np.allclose(whole, trajectory.y.std(axis=1).mean(axis=-1))
    by_class = [trajectory.y[:, LABELS == k].std(axis=1).mean(axis=-1) for k in range(4)]
    assert np.allclose(within, np.mean(by_class, axis=0))


def test_interaction_matrix_is_symmetric_about_zero(trajectory):
    ax = plotting.interaction_matrix(trajectory.system)
    (image,) = ax.images
    assert np.array_equal(image.get_array(), trajectory.system.W)
    assert image.get_clim() == (-1.0, 1.0)
    other = plotting.interaction_matrix(np.array([[0.0, -3.0], [1.0, 0.0]]), ax=ax.figure.add_subplot())
    assert other.images[0].get_clim() == (-3.0, 3.0)


def test_colours_are_distinct():
    assert len(set(plotting.COLOURS)) == 10


def test_plots_refuse_what_they_cannot_draw(trajectory):
    with pytest.raises(ValueError, match=r"labels has shape \(3,\), but the trajectory has 40 states"):
        plotting.residual_transients(trajectory, [0, 1, 2])
    with pytest.raises(ValueError, match="batch of states"):
        plotting.cumulative_states(resdyn.simulate(resdyn.systems.henon(), [0.1, 0.1], depth=2))
    with pytest.raises(ValueError, match="pick a layer"):
        plotting.interaction_matrix(np.zeros((4, 3, 3)))


@pytest.fixture(scope="module")
def noisy_networks():
    W = resdyn.systems.random_weights(4, depth=6)
    x = RNG.normal(size=(5, 4))
    networks = {"residual": resdyn.ResidualMap.residual(W), "plain": resdyn.ResidualMap.mlp(W)}
    return {name: resdyn.propagate(network, x, input_noise=0.1, rng=0) for name, network in networks.items()}


def test_propagation_draws_medians_and_first_order(noisy_networks):
    ax = plotting.propagation(noisy_networks)
    for i, result in enumerate(noisy_networks.values()):
        true, linearized = ax.lines[2 * i : 2 * i + 2]
        assert true.get_xdata().tolist() == list(range(7))
        # one of the sizes in the middle: there are 500
        assert np.allclose(true.get_ydata(), np.median(result.relative.reshape(7, -1), axis=1), rtol=0.01)
        expected = np.median((result.linearized / result.state_sizes[:, None]).reshape(7, -1), axis=1)
        assert np.allclose(linearized.get_ydata(), expected, rtol=0.01)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["residual", "plain", "first order"]
    assert ax.get_yscale() == "log"
    absolute = plotting.propagation(noisy_networks["plain"], relative=False)
    median = np.median(noisy_networks["plain"].sizes.reshape(7, -1), axis=1)
    assert np.allclose(absolute.lines[0].get_ydata(), median, rtol=0.01)


def test_propagation_leaves_out_what_diverged():
    unit = resdyn.systems.pitchfork(step=0.5)
    result = resdyn.propagate(unit, [0.5], [[0.1], [4.0], [5.0]], depth=8, linearized=False)
    ax = plotting.propagation(result)
    (line,) = ax.lines
    assert np.isfinite(line.get_ydata()[0])
    assert np.isnan(line.get_ydata()[-1])


def test_noise_variance_draws_means_with_their_errors(noisy_networks):
    ax = plotting.noise_variance(noisy_networks)
    result = noisy_networks["plain"]
    (points, _, (bars,)) = ax.containers[1]
    assert np.allclose(points.get_ydata(), result.variance.mean(axis=1))
    lower, upper = np.array([segment[:, 1] for segment in bars.get_segments()]).T
    error = np.sqrt((result.standard_error**2).sum(axis=1)) / 5
    assert np.allclose(upper - lower, 4 * error)
    predicted = [line for line in ax.lines if line.get_linestyle() == "--"][1]
    assert np.allclose(predicted.get_ydata(), result.predicted_variance.mean(axis=1))
    given_ones = resdyn.propagate(resdyn.systems.pitchfork(), [0.1], [0.1], depth=2)
    with pytest.raises(ValueError, match=r"draw plotting\.propagation"):
        plotting.noise_variance(given_ones)
