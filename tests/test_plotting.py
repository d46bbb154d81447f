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


def test_running_exponents_end_at_the_exponents():
    spectrum = resdyn.lyapunov_spectrum(resdyn.systems.henon(), [[0.1, 0.1], [0.2, 0.1]], depth=2000)
    ax = plotting.lyapunov_spectrum(spectrum.sample(1))
    lines = [line for line in ax.lines if len(line.get_xdata()) == 100]
    assert len(lines) == 2
    for i, line in enumerate(lines):
        assert np.array_equal(line.get_ydata(), spectrum.running[:, 1, i])
        band = ax.collections[i].get_paths()[0].vertices[:, 1]
        assert band.max() == pytest.approx(
            (spectrum.running[:, 1, i] + 2 * np.sqrt(2000 / spectrum.t) * spectrum.standard_error[1, i]).max()
        )
    assert ax.get_xscale() == "log"
    with pytest.raises(ValueError, match=r"spectrum.sample\(0,\)"):
        plotting.lyapunov_spectrum(spectrum)
    singular = resdyn.lyapunov_spectrum(resdyn.ResidualMap.mlp(np.zeros((2, 2))), [0.0, 0.0], depth=200)
    assert not plotting.lyapunov_spectrum(singular).collections


def test_finite_time_exponents_are_counted():
    found = resdyn.finite_time_exponents(resdyn.systems.henon(), RNG.uniform(-0.1, 0.1, (300, 2)), depth=20)
    ax = plotting.finite_time_exponents(found, bins=10)
    density = np.histogram(found.exponents[:, 0], bins=10, density=True)[0]
    assert [patch.get_height() for patch in ax.patches] == pytest.approx(list(density))
    assert ax.lines[0].get_xdata()[0] == np.median(found.exponents[:, 0])
    with pytest.raises(ValueError, match="needs a batch"):
        plotting.finite_time_exponents(resdyn.finite_time_exponents(resdyn.systems.henon(), [0.1, 0.1], depth=3))
