"""Figures of boundaries and of recovery show what the results hold."""

import numpy as np
import pytest

import resdyn
from resdyn.analysis.boundaries import basin_entropy, edge_state, resilience, uncertainty_exponent

pytest.importorskip("matplotlib")

LABELS = (np.add.outer(np.arange(120), 0.3 * np.arange(120)) > 70).astype(int)


def test_uncertainty_draws_shares_and_the_power_law():
    result = uncertainty_exponent(LABELS)
    ax = resdyn.plotting.uncertainty(result)
    points, law = ax.lines[0], ax.lines[-1]
    assert points.get_ydata() == pytest.approx(result.shares)
    slope = np.diff(np.log(law.get_ydata())) / np.diff(np.log(law.get_xdata()))
    assert slope == pytest.approx(np.full(len(slope), result.exponent))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    with pytest.raises(ValueError, match="no pair"):
        resdyn.plotting.uncertainty(uncertainty_exponent(np.zeros((50, 50), dtype=int)))


def test_basin_entropy_draws_both_entropies_and_log_2():
    result = basin_entropy(LABELS)
    ax = resdyn.plotting.basin_entropy(result)
    drawn = [line.get_ydata() for line in ax.lines]
    assert any(len(y) == len(result.values) and np.allclose(y, result.values) for y in drawn)
    assert any(len(y) == len(result.values) and np.allclose(y, result.boundary_values) for y in drawn)
    assert any(np.allclose(y, np.log(2)) for y in drawn)


def test_edge_track_draws_the_track_and_its_end():
    system = resdyn.ResidualMap([[4.0, -6.0], [-6.0, 4.0]], [1.0, 1.0], damping=1.0, activation="logistic", step=0.1)
    sides = lambda x: (x[..., 0] > x[..., 1]).astype(int)  # noqa: E731
    result = edge_state(system, [0.9, 0.0], [0.05, 0.7], classify=sides)
    ax = resdyn.plotting.edge_track(result)
    assert ax.lines[0].get_xydata() == pytest.approx(result.track)
    assert ax.lines[-1].get_xydata()[0] == pytest.approx([0.5, 0.5])
    assert "1 unstable direction" in ax.get_legend().get_texts()[-1].get_text()
    with pytest.raises(ValueError, match="empty"):
        resdyn.plotting.edge_track(edge_state(system, [0.9, 0.0], [0.8, 0.1], classify=sides))


def test_edge_track_of_one_unit_is_drawn_over_time():
    system = resdyn.systems.pitchfork(r=1.0)
    result = edge_state(system, [-0.9], [0.4], classify=lambda x: (x[..., 0] > 0).astype(int))
    ax = resdyn.plotting.edge_track(result)
    assert ax.get_xlabel() == "depth-time t"
    assert ax.lines[0].get_ydata() == pytest.approx(result.track[:, 0])


def test_resilience_draws_the_curve_and_its_maximum():
    system = resdyn.ResidualMap([[-1.0, -8.0], [0.0, -2.0]], activation="identity", step=0.05)
    result = resilience(np.zeros((1, 2)), system=system, dynamics="flow")
    ax = resdyn.plotting.resilience(result)
    assert ax.lines[0].get_ydata() == pytest.approx(result.growth[0])
    peak = next(line for line in ax.lines if len(line.get_xdata()) == 1)
    assert peak.get_xydata()[0] == pytest.approx([result.amplification_time[0], result.amplification[0]])
    with pytest.raises(ValueError, match="no point is stable"):
        resdyn.plotting.resilience(resilience(np.zeros((1, 2)), system=system.replace(W=np.eye(2)), dynamics="flow"))
