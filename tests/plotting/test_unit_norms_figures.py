"""Norms through the units: what is drawn is what was measured."""

import numpy as np
import pytest

from resdyn.networks.unrolling import UnitNorms
from resdyn.plotting import unit_norms

RNG = np.random.default_rng(0)
ENTRIES = np.array([False, False, True, False])
NORMS = UnitNorms("net", ("a", "b", "c", "d"), RNG.uniform(1, 50, (5, 9)), RNG.uniform(1, 2, (4, 9)), ENTRIES)


def lines(ax, label):
    """The lines of one colour, by the label of the first."""
    (named,) = (line for line in ax.lines if line.get_label() == label)
    return [line for line in ax.lines if line.get_color() == named.get_color() and line.get_linestyle() == "-"]


def test_medians_are_drawn_stage_by_stage():
    ax = unit_norms(NORMS)
    states, residuals = lines(ax, "state $x_k$"), lines(ax, "residual of unit $k$")
    assert [list(line.get_xdata()) for line in states] == [[0, 1, 2], [3, 4]]
    assert [list(line.get_xdata()) for line in residuals] == [[1, 2], [3, 4]]
    assert np.concatenate([line.get_ydata() for line in states]) == pytest.approx(np.median(NORMS.states, axis=1))
    assert np.concatenate([line.get_ydata() for line in residuals]) == pytest.approx(np.median(NORMS.residuals, axis=1))
    (opened,) = (line for line in ax.lines if line.get_label() == "where the shape changes")
    assert list(opened.get_xdata()) == [3]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("unit $k$", "Euclidean norm", "log")


def test_the_band_is_the_middle_half():
    ax = unit_norms(NORMS)
    heights = np.concatenate([area.get_paths()[0].vertices[:, 1] for area in ax.collections[:2]])
    quartiles = np.quantile(NORMS.states, [0.25, 0.75], axis=1, method="nearest")
    assert set(np.round(quartiles.ravel(), 9)) <= set(np.round(heights, 9))


def test_it_draws_into_axes_that_are_given_and_takes_a_trace():
    class Trace:
        state_norms = None

        def norms(self):
            return NORMS

    ax = unit_norms(Trace())
    before = len(ax.lines)
    assert unit_norms(NORMS, ax=ax) is ax
    assert len(ax.lines) == 2 * before


def test_a_first_unit_that_changes_the_shape_and_one_whose_shortcut_is_unknown():
    residuals = np.array([[np.nan, np.nan], [1.0, 2.0]])
    norms = UnitNorms("net", ("a", "b"), np.ones((3, 2)), residuals, np.array([True, False]))
    ax = unit_norms(norms)
    assert [list(line.get_xdata()) for line in lines(ax, "state $x_k$")] == [[0], [1, 2]]


def test_bad_input():
    with pytest.raises(TypeError, match=r"what unrolled.trace\(x\) returned"):
        unit_norms(np.ones(3))
    empty = UnitNorms("net", ("a",), np.ones((2, 0)), np.ones((1, 0)), np.array([False]))
    with pytest.raises(ValueError, match="no inputs"):
        unit_norms(empty)
