"""Attractors over a parameter, drawn."""

import numpy as np
import pytest

import resdyn
from resdyn import plotting


@pytest.fixture(scope="module")
def continuation():
    values = [0.8, 0.4, 0.1, -0.2]  # backwards, so that the order in the figure is another one
    return resdyn.global_continuation(lambda r: resdyn.systems.pitchfork(r=r), values, (-2.0, 2.0), n_starts=32)


def test_fractions_are_stacked_up_to_one(continuation):
    ax = plotting.basin_fractions(continuation, parameter="r")
    assert ax.get_xlabel() == "r"
    assert ax.get_xlim() == (-0.2, 0.8)
    top = ax.collections[-1].get_paths()[0].vertices
    assert top[:, 1].max() == pytest.approx(1.0)
    assert ax.get_legend_handles_labels()[1] == ["attractor 0", "attractor 1"]
    # the merger lies between 0.1 and −0.2
    assert ax.lines[0].get_xdata()[0] == pytest.approx(-0.05)


def test_coordinates_are_those_of_the_attractors(continuation):
    ax = plotting.global_continuation(continuation)
    dots = np.concatenate([line.get_xydata() for line in ax.lines if line.get_marker() == "."])
    r, x = dots.T
    assert np.abs(r * x - x**3).max() < 1e-9
    assert len(dots) == continuation.present.sum()
    with pytest.raises(ValueError, match="unit must be below 1"):
        plotting.global_continuation(continuation, unit=1)
