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


# --- Lyapunov functions ------------------------------------------------------------------------------


def test_lyapunov_function_is_drawn_along_every_orbit():
    system = resdyn.logistic_residuals(resdyn.systems.symmetric_weights(3), step=0.2)
    run = resdyn.simulate(system, RNG.normal(size=(5, 3)), depth=20)
    certificate = resdyn.lyapunov_function(system, dynamics="map")
    ax = plotting.lyapunov_function(certificate, run)
    assert len(ax.lines) == 5
    for k, line in enumerate(ax.lines):
        assert np.array_equal(line.get_xdata(), run.t)
        assert np.array_equal(line.get_ydata(), certificate.V(run.x[:, k]))
        assert (np.diff(line.get_ydata()) <= 0).all()
    with pytest.raises(ValueError, match="pass a trajectory"):
        plotting.lyapunov_function(certificate)
    with pytest.raises(ValueError, match="two units"):
        plotting.lyapunov_function(certificate, extent=(0, 1, 0, 1))


def test_level_sets_show_the_proven_region():
    system = resdyn.ResidualMap.hopfield([[2.0, 0.5], [0.5, 2.0]], activation="tanh")
    x = resdyn.simulate(system, [1.0, 1.0], depth=300).final
    certificate = resdyn.lyapunov_function(system, at=x)
    ax = plotting.lyapunov_function(certificate, extent=(-0.5, 1.5, -0.5, 1.5))
    (boundary,) = [path for path in ax.collections[-1].get_paths() if len(path)]
    values = certificate.V(boundary.vertices)
    # the contour is interpolated between points 0.01 apart
    assert np.allclose(values, certificate.region, rtol=0.01)
    assert "x_0" in ax.get_xlabel()
    # a line at the edge of the region, beside V along an orbit
    start = resdyn.simulate(system, x + 0.01, depth=20)
    assert plotting.lyapunov_function(certificate, start).lines[-1].get_ydata()[0] == certificate.region
    with pytest.raises(ValueError, match="needs a LogisticResiduals"):
        plotting.lyapunov_function(certificate, extent=(0, 1, 0, 1), residuals=True)


def test_level_sets_of_residuals_lie_in_the_cube():
    system = resdyn.logistic_residuals([[0.0, 1.0], [-1.0, 0.0]])
    certificate = resdyn.lyapunov_function(system)
    run = resdyn.simulate(system, RNG.normal(size=(3, 2)), depth=5, method="RK45")
    ax = plotting.lyapunov_function(certificate, run, extent=(0, 1, 0, 1), residuals=True)
    assert ax.get_xlim() == (0, 1)
    assert np.allclose(ax.lines[0].get_xdata(), run.y[:, 0, 0])
    assert "y_0" in ax.get_xlabel()
