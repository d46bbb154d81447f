"""Figures of orbit diagrams, chaos indicators and covariant vectors: what they show, and what they refuse."""

import numpy as np
import pytest

import resdyn
from resdyn import plotting
from resdyn.analysis.exponents.alignment import chaos_indicators
from resdyn.analysis.exponents.covariant import covariant_vectors
from resdyn.analysis.families.orbit_diagrams import orbit_diagram
from resdyn.systems import henon, logistic_map, standard_map


@pytest.fixture(scope="module")
def diagram():
    return orbit_diagram(lambda a: henon(a=a), [0.9, 1.0, 1.4], [[0.1, 0.1], [0.0, 0.0]], depth=20)


@pytest.fixture(scope="module")
def vectors():
    return covariant_vectors(henon(), [0.1, 0.1], depth=200)


def test_an_orbit_diagram_has_every_state_of_a_unit(diagram):
    ax = plotting.orbit_diagram(diagram, unit=1, parameter="a")
    assert len(ax.collections) == 2
    for i, points in enumerate(ax.collections):
        shown = np.asarray(points.get_offsets())
        assert np.array_equal(shown[:, 0], np.repeat(diagram.values, 20))
        assert np.array_equal(shown[:, 1], diagram.x[:, :, i, 1].ravel())
    assert ax.get_xlabel() == "a"
    assert ax.get_ylabel() == "$x_{1}$"


def test_a_diagram_of_one_unit():
    found = orbit_diagram(lambda r: logistic_map(r=r), np.linspace(3, 4, 300), [0.3], depth=30, unit=0)
    ax = plotting.orbit_diagram(found)
    assert np.array_equal(np.asarray(ax.collections[0].get_offsets())[:, 1], found.x.ravel())
    assert ax.collections[0].get_rasterized()
    with pytest.raises(ValueError, match="states have 2 units"):
        plotting.orbit_diagram(orbit_diagram(lambda a: henon(a=a), [1.0], [0.1, 0.1], depth=5), unit=2)


def test_indicators_by_their_verdict():
    found = chaos_indicators(standard_map(K=1.5), [[np.pi + 0.2, 0.0], [0.05, 0.02]], depth=5000)
    ax = plotting.chaos_indicators(found)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["regular", "chaotic"]
    assert ax.get_xscale() == "log"
    for line, logs in zip(ax.lines, found.log_gali[..., 0].T, strict=True):
        assert line.get_ydata() == pytest.approx(logs / np.log(10))
    assert plotting.chaos_indicators(found.sample(0), time="linear").get_xscale() == "linear"
    with pytest.raises(ValueError, match="was not recorded"):
        plotting.chaos_indicators(found, order=3)
    with pytest.raises(ValueError, match="'log' or 'linear'"):
        plotting.chaos_indicators(found, time="days")


def test_a_histogram_of_angles(vectors):
    ax = plotting.covariant_angles(vectors, bins=30)
    heights = np.array([bar.get_height() for bar in ax.patches])
    assert heights.sum() * 3 == pytest.approx(1.0)  # a density over bins of three degrees
    expected, _ = np.histogram(np.degrees(vectors.angles[:, 0, 1]), bins=30, range=(0, 90), density=True)
    assert heights == pytest.approx(expected)
    assert "$v_{1}$ and $v_{2}$" in ax.get_xlabel()


def test_directions_on_the_orbit(vectors):
    ax = plotting.covariant_directions(vectors, most=50)
    assert len(ax.lines) == 2
    for j, line in enumerate(ax.lines):
        x, y = (np.asarray(part).reshape(-1, 3) for part in line.get_data())
        assert len(x) == 50
        steps = np.stack([x[:, 1] - x[:, 0], y[:, 1] - y[:, 0]], axis=1)
        centres = np.stack([x[:, :2].mean(axis=1), y[:, :2].mean(axis=1)], axis=1)
        at = [int(np.abs(vectors.x - centre).sum(axis=1).argmin()) for centre in centres]
        assert centres == pytest.approx(vectors.x[at], abs=1e-12)
        cross = steps[:, 0] * vectors.vectors[at, j, 1] - steps[:, 1] * vectors.vectors[at, j, 0]
        assert cross == pytest.approx(0.0, abs=1e-12)
    many = covariant_vectors(henon(), [[0.1, 0.1]] * 2, depth=3)
    with pytest.raises(ValueError, match=r"sample\(0,\)"):
        plotting.covariant_directions(many)


def test_figures_draw_where_they_are_asked_to(diagram, vectors):
    for draw in (
        lambda ax: plotting.orbit_diagram(diagram, ax=ax),
        lambda ax: plotting.covariant_angles(vectors, ax=ax),
        lambda ax: plotting.covariant_directions(vectors, ax=ax),
        lambda ax: plotting.chaos_indicators(chaos_indicators(henon(), [0.1, 0.1], depth=100), ax=ax),
    ):
        ax = plotting.canvas.axes_or_new(None)
        assert draw(ax) is ax
        ax.figure.canvas.draw()
    assert resdyn.plotting.COLOURS
