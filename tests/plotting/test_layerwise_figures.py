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


def test_fixed_points_are_filled_where_stable_and_continua_are_lines():
    points = resdyn.fixed_points(resdyn.logistic_residuals([[1.0, -0.6], [-0.7, 1.0]]))
    ax = plotting.fixed_points(points)
    drawn = {line.get_label(): np.column_stack(line.get_data()) for line in ax.lines}
    for verdict, word in ((1, "stable"), (0, "unstable"), (-1, "undecided")):
        assert np.array_equal(drawn[word], points.y[points.stability("map") == verdict])
    assert {line.get_label(): line.get_fillstyle() for line in ax.lines}["stable"] == "full"
    chase = resdyn.fixed_points(resdyn.logistic_residuals([[0.0, 1.0], [-1.0, 0.0]]))
    edges = [np.column_stack(line.get_data()) for line in plotting.fixed_points(chase).lines[:2]]
    assert sorted(edge.round(9).tolist() for edge in edges) == [[[0, 0], [0, 1]], [[0, 0], [1, 0]]]
    with pytest.raises(ValueError, match="a plane needs two units"):
        plotting.fixed_points(resdyn.fixed_points(resdyn.systems.pitchfork()))


def test_multipliers_are_drawn_beside_the_unit_circle():
    points = resdyn.fixed_points(resdyn.systems.henon())
    ax = plotting.multipliers(points)
    circle, values = (np.array(line.get_data()) for line in ax.lines)
    assert np.allclose(np.hypot(*circle), 1)
    assert np.allclose(values[0] + 1j * values[1], points.multipliers.ravel())


@pytest.fixture(scope="module")
def transients(trajectory):
    return resdyn.transients(trajectory, LABELS, readout=RNG.normal(size=(4, 3)), n_shuffles=8)


def test_residual_norms_are_drawn_per_class(transients):
    ax = plotting.residual_norms(transients)
    assert len(ax.lines) == len(ax.collections) == 4
    for i, line in enumerate(ax.lines):
        assert np.array_equal(line.get_ydata(), transients.norm_mean[:, i])
    band = ax.collections[1].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx((transients.norm_mean + transients.norm_spread)[:, 1].max())


@pytest.mark.parametrize("measure", ["probe", "fisher"])
def test_separability_is_drawn_with_its_null_band(transients, measure):
    ax = plotting.separability(transients, measure)
    for line, what in zip(ax.lines, "xy", strict=False):
        assert np.array_equal(line.get_ydata(), getattr(transients, f"{measure}_{what}"))
    null = np.concatenate([getattr(transients, f"null_{measure}_{what}") for what in "xy"], axis=1)
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(np.quantile(null, 0.95, axis=1).max())
    assert ax.get_yscale() == {"probe": "linear", "fisher": "log"}[measure]
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert shown[:3] == ["states x", "residuals y", "shuffled labels"]


def test_layer_contributions_are_steps_between_layers(transients):
    ax = plotting.layer_contributions(transients)
    values, edges, _ = ax.patches[2].get_data()
    assert np.array_equal(values, transients.margin_contribution[:, 2])
    assert np.array_equal(edges, transients.layers)


def test_transients_have_the_panels_there_are_numbers_for(trajectory, transients):
    axes = plotting.transients(transients)
    assert [ax.get_ylabel()[:6] for ax in axes] == ["norm o", "accura", "margin"]
    alone = plotting.transients(resdyn.transients(trajectory))
    assert alone.shape == (1,)
    assert len(alone[0].lines) == 1
    assert alone[0].get_legend() is None
    again = plotting.transients(transients, ax=axes)
    assert again[1] is axes[1]
    assert len(axes[0].lines) == 8


def test_transients_plots_say_what_is_missing(trajectory, transients):
    bare = resdyn.transients(trajectory)
    with pytest.raises(ValueError, match="with labels and probes=True"):
        plotting.separability(bare)
    with pytest.raises(ValueError, match="'probe' or 'fisher'"):
        plotting.separability(transients, "roc")
    with pytest.raises(ValueError, match="a read-out with one logit per class"):
        plotting.layer_contributions(bare)
    with pytest.raises(ValueError, match="3 panels to draw.*residual_norms, separability, layer_contributions"):
        plotting.transients(transients, ax=[None])


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


def test_relations_are_drawn_in_one_colour_each():
    W = np.array([[1.0, 2.0, 0.0], [3.0, 0.0, -1.0], [1.0, -1.0, 0.0]])
    found = resdyn.cooperation(W)
    ax = plotting.relations(found)
    (image,) = ax.images
    drawn = image.get_array()
    assert drawn.mask.tolist() == np.eye(3, dtype=bool).tolist()
    assert np.array_equal(drawn[~drawn.mask], found.relations[~drawn.mask])
    colours = image.cmap(image.norm(drawn))
    assert np.array_equal(colours[0, 1], colours[1, 0])
    assert len({tuple(colours[pair]) for pair in [(0, 1), (1, 2), (0, 2)]}) == 3
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["mutualism (1)", "competition (1)", "commensalism (1)"]
    assert plotting.relations(resdyn.cooperation([[1.0]])).get_legend() is None


def test_influence_draws_the_strongest_pairs(trajectory):
    found = resdyn.cooperation(trajectory.system, trajectory)
    ax = plotting.influence(found, n_pairs=2)
    zero, *lines = ax.lines
    off = np.where(np.eye(3, dtype=bool), 0.0, np.abs(found.influence).max(axis=0))
    pairs = sorted(np.ndindex(3, 3), key=lambda pair: -off[pair])[:2]
    assert len(lines) == 2
    for line, (i, j) in zip(lines, pairs, strict=True):
        assert line.get_label() == f"{j} → {i}"
        assert np.allclose(line.get_ydata(), found.influence[:, i, j])
    assert set(zero.get_ydata()) == {0.0}
    assert len(plotting.influence(found, n_pairs=100).lines) == 1 + 6
    with pytest.raises(ValueError, match="pass one: cooperation"):
        plotting.influence(resdyn.cooperation(trajectory.system))


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


@pytest.mark.parametrize(("wrong", "came"), [(3, "came 3"), ({}, "an empty mapping"), ({"a": 3}, "came 3")])
def test_propagations_are_what_propagate_returned(wrong, came):
    with pytest.raises(TypeError, match=f"what resdyn.propagate returned.*{came}"):
        plotting.propagation(wrong)
