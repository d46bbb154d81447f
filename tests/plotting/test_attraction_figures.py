"""Pictures of basins: what is drawn is what was found."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba

import resdyn
from resdyn.plotting import COLOURS, basins, convergence_times
from resdyn.systems import bistable, pitchfork


@pytest.fixture(scope="module")
def bistable_basins():
    axis = np.linspace(-2, 2, 11)
    return resdyn.basins_of_attraction(bistable(), (axis, axis[:7]))


def colours_of(ax):
    (mesh,) = ax.collections[:1]
    return mesh.to_rgba(mesh.get_array())


def test_each_state_has_the_colour_of_its_attractor(bistable_basins):
    ax = basins(bistable_basins)
    drawn = colours_of(ax)
    for x, y in ((0, 5), (9, 2), (3, 3)):
        label = bistable_basins.labels[x, y]
        expected = to_rgba(COLOURS[label]) if label >= 0 else to_rgba("black")
        assert tuple(drawn[y, x]) == expected
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words[0] == f"fixed point, {bistable_basins.fractions[0]:.3g}"
    assert words[2].startswith("boundary")
    assert ax.get_xlabel() == "state $x_{0}$"
    # only one of the attractors lies in the picture, which ends at x_1 = 0.4
    marked = [line for line in ax.lines if len(line.get_xdata()) and line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in marked] == pytest.approx([0.9928], abs=1e-4)


def test_one_axis_is_a_strip_and_divergence_is_white():
    strip = resdyn.basins_of_attraction(pitchfork(r=0.9, step=1.0), (np.linspace(-2, 2, 21),))
    ax = basins(strip)
    drawn = colours_of(ax)
    assert drawn.shape == (1, 21, 4)
    assert tuple(drawn[0, 0]) == to_rgba("white")
    assert tuple(drawn[0, 10]) == to_rgba("black")


def test_times_are_shown_and_their_absence_is_grey(bistable_basins):
    ax = convergence_times(bistable_basins)
    (mesh,) = ax.collections[:1]
    shown = mesh.get_array()
    assert np.array_equal(np.ma.getmaskarray(shown), np.isnan(bistable_basins.times.T))
    assert np.array_equal(shown.compressed(), bistable_basins.times.T[~np.isnan(bistable_basins.times.T)])
    assert ax.get_facecolor() == to_rgba("0.75")


def test_three_axes_are_refused_with_the_remedy():
    axis = np.linspace(0.2, 0.8, 3)
    system = resdyn.logistic_residuals(-np.eye(3) - 0.2, step=0.1)
    solid = resdyn.basins_of_attraction(system, (axis,) * 3, coordinates="y", depth=100)
    with pytest.raises(ValueError, match="picture two"):
        basins(solid)
