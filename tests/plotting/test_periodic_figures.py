"""Figures of cycles and sections: what is drawn is what was found."""

import numpy as np
import pytest

import resdyn
from resdyn import plotting
from resdyn.analysis.periodic import cycles, poincare_map
from resdyn.systems import henon, hopf, logistic_map, lorenz


def test_cycles_of_a_map_are_closed_polygons():
    found = cycles(henon(), 6)
    ax = plotting.cycles(found, units=(1, 0))
    assert len(ax.lines) == 2
    for line, cycle in zip(ax.lines, found, strict=True):
        assert np.array_equal(line.get_xdata(), [*cycle.x[:, 1], cycle.x[0, 1]])
        assert np.array_equal(line.get_ydata(), [*cycle.x[:, 0], cycle.x[0, 0]])
        assert line.get_linestyle() == "--"
    assert "x_{1}" in ax.get_xlabel()


def test_cobweb_steps_along_the_graph():
    system = logistic_map(r=3.84)
    found = cycles(system, 3)
    ax = plotting.cycles(found)
    # the diagonal, the graph, and for each cycle a web and its states
    assert len(ax.lines) == 2 + 2 * len(found)
    x, image = ax.lines[1].get_data()
    assert np.allclose(image, 3.84 * x * (1 - x))
    on_graph = ax.lines[3]
    assert np.allclose(on_graph.get_ydata(), 3.84 * on_graph.get_xdata() * (1 - on_graph.get_xdata()))
    styles = [ax.lines[2 + 2 * i].get_linestyle() for i in range(2)]
    assert styles == ["-" if cycle.is_stable() else "--" for cycle in found]
    assert sorted(text.get_text() for text in ax.get_legend().get_texts()) == ["p = 3, stable", "p = 3, unstable"]


def test_limit_cycle_is_a_closed_curve():
    ax = plotting.cycles(cycles(hopf(mu=0.2), 6.0, dynamics="flow", n_starts=2))
    (line,) = ax.lines
    assert np.allclose(np.hypot(*line.get_data()), np.sqrt(0.2))
    assert line.get_xdata()[0] == line.get_xdata()[-1]


def test_section_shows_the_crossings():
    P = poincare_map(lorenz(), (2, 27.0), direction=-1)
    run = resdyn.simulate(P, [[5.0, 5.0], [3.0, 2.0]], depth=6)
    ax = plotting.poincare_section(run, units=(1, 0), transient=2)
    (points,) = ax.lines
    assert np.array_equal(points.get_xdata(), run.x[2:, :, 1].ravel())
    assert len(points.get_ydata()) == 10


def test_section_with_one_coordinate_is_a_return_map():
    P = poincare_map(hopf(mu=0.2), (1, 0.0))
    run = resdyn.simulate(P, [0.1], depth=5)
    (points,) = plotting.poincare_section(run).lines
    assert np.array_equal(points.get_xdata(), run.x[:-1, 0])
    assert np.array_equal(points.get_ydata(), run.x[1:, 0])


def test_other_trajectories_are_refused():
    with pytest.raises(ValueError, match="no return map"):
        plotting.poincare_section(resdyn.simulate(henon(), [0.1, 0.1], depth=3))
