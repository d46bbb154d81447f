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
