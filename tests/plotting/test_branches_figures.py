"""Bifurcation diagrams show what the branches hold."""

import numpy as np
import pytest

from resdyn import plotting
from resdyn.analysis.branches import continuation
from resdyn.systems import logistic_map

pytest.importorskip("matplotlib")


def family(r):
    return logistic_map(r=r)


@pytest.fixture(scope="module")
def branches():
    fixed = continuation(family, [0.5], (2.0, 3.8))
    return [fixed, continuation(family, fixed.bifurcations[0], (2.0, 3.8))]


def drawn(ax, style):
    """The curves of a style as (value, height) pairs."""
    lines = [line for line in ax.lines if line.get_linestyle() == style and line.get_marker() == "None"]
    return np.concatenate([line.get_xydata() for line in lines if len(line.get_xydata())])


def test_stable_parts_are_solid_and_unstable_ones_dashed(branches):
    ax = plotting.bifurcation_diagram(branches[0], parameter="r")
    solid, dashed = drawn(ax, "-"), drawn(ax, "--")
    assert solid[:, 1] == pytest.approx(1 - 1 / solid[:, 0], abs=1e-12)
    # the stretch that becomes unstable begins at the last stable point
    assert solid[:, 0].max() == dashed[:, 0].min()
    assert solid[:, 0].min() == 2.0
    assert dashed[:, 0].max() == 3.8
    assert ax.get_xlabel() == "r"
    assert ax.get_ylabel() == "$x_{0}$"


def test_all_states_of_a_cycle_are_drawn_and_bifurcations_marked_once_in_the_legend(branches):
    ax = plotting.bifurcation_diagram(branches)
    solid = drawn(ax, "-")
    ends = np.sort(branches[1].orbits[-1, :, 0])
    dashed = drawn(ax, "--")
    at_the_end = np.sort(dashed[dashed[:, 0] == 3.8][:, 1])
    assert at_the_end == pytest.approx(np.sort([*ends, 1 - 1 / 3.8]), abs=1e-12)
    assert len(solid) > 0
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["flip", "fixed points", "2-cycle"]
    marks = [line.get_xydata()[0, 0] for line in ax.lines if line.get_marker() == "o"]
    assert marks == pytest.approx([3.0, 1 + np.sqrt(6)], abs=1e-9)


def test_units_and_norms_can_be_chosen(branches):
    ax = plotting.bifurcation_diagram(branches[0], unit="norm")
    assert drawn(ax, "-")[:, 1].min() == pytest.approx(0.5, abs=1e-12)
    with pytest.raises(ValueError, match=r"unit=1, but states have 1 units"):
        plotting.bifurcation_diagram(branches[0], unit=1)
    with pytest.raises(ValueError, match="unit must be 'norm'"):
        plotting.bifurcation_diagram(branches[0], unit="mean")
    with pytest.raises(ValueError, match="no branch to draw"):
        plotting.bifurcation_diagram([])
