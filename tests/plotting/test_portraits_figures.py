"""Phase portraits, manifolds and trajectories: what is drawn, and where."""

import numpy as np
import pytest

import resdyn
from resdyn import plotting
from resdyn.plotting.planes import make_plane, residual_dynamics


def lines(ax, label):
    return [line for line in ax.lines if line.get_label() == label]


def labels(ax):
    return ax.get_legend_handles_labels()[1]


@pytest.mark.parametrize("dynamics", ["map", "flow"])
def test_portrait_of_the_bistable_network(dynamics):
    ax = plotting.phase_portrait(resdyn.systems.bistable(), (0.0, 1.0), dynamics=dynamics, resolution=48)
    assert labels(ax) == ["$f_{0} = 0$", "$f_{1} = 0$", "stable manifold", "unstable manifold", "stable", "saddle"]
    diagonal = np.column_stack(lines(ax, "stable manifold")[0].get_data())
    assert np.abs(diagonal[:, 0] - diagonal[:, 1]).max() < 1e-12
    assert diagonal.min() < 0.01
    assert diagonal.max() > 0.99
    assert lines(ax, "saddle")[0].get_fillstyle() == "left"
    assert lines(ax, "saddle")[0].get_xydata()[0] == pytest.approx([0.5, 0.5])
    assert lines(ax, "stable")[0].get_fillstyle() == "full"
    assert ax.get_xlim() == (0.0, 1.0)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$x_{0}$", "$x_{1}$")
    ax.figure.canvas.draw()


def test_nullclines_are_where_f_vanishes():
    duffing = resdyn.systems.duffing()
    ax = plotting.phase_portrait(duffing, (-2.0, 2.0), resolution=241, manifolds=False, fixed_points=False)
    for i, contour in enumerate(c for c in ax.collections if type(c).__name__.endswith("ContourSet")):
        points = np.concatenate([path.vertices for path in contour.get_paths()])
        # linear interpolation between points 1/60 apart
        assert np.abs(duffing.residual(0.0, points)[:, i]).max() < 1e-2
    assert labels(ax) == ["$f_{0} = 0$", "$f_{1} = 0$"]


def test_map_and_flow_differ_in_stability():
    system = resdyn.systems.linear(a=0.1, omega=3.0, step=0.5)
    for dynamics, word in (("flow", "stable"), ("map", "unstable")):
        ax = plotting.phase_portrait(system, (-1.0, 1.0), dynamics=dynamics, resolution=24)
        assert word in labels(ax)


def test_arrows_of_a_map_point_along_the_step():
    system = resdyn.systems.henon()
    ax = plotting.phase_portrait(system, (-1.0, 1.0), dynamics="map", resolution=24, manifolds=False)
    arrows = next(c for c in ax.collections if type(c).__name__ == "Quiver")
    f = system.residual(0.0, np.column_stack([arrows.X, arrows.Y]))
    drawn = np.column_stack([arrows.U, arrows.V])
    cosine = (f * drawn).sum(axis=1) / np.linalg.norm(f, axis=1) / np.linalg.norm(drawn, axis=1)
    assert cosine.min() > 1 - 1e-12


def test_units_in_the_other_order_transpose_the_picture():
    system = resdyn.systems.duffing()
    one = plotting.phase_portrait(system, ([-2.0, -1.0], [2.0, 1.0]), resolution=24)
    other = plotting.phase_portrait(system, ([-1.0, -2.0], [1.0, 2.0]), units=(1, 0), resolution=24)
    assert other.get_xlabel() == "$x_{1}$"
    a = lines(one, "stable")[0].get_xydata()[0]
    b = {tuple(line.get_xydata()[0][::-1]) for line in other.lines if line.get_marker() == "o"}
    assert any(np.allclose(a, place) for place in b)
    first = lines(one, "unstable manifold")[0].get_xydata()
    second = lines(other, "unstable manifold")[0].get_xydata()[:, ::-1]
    # the sampled orbit is the same up to the tolerances of the integrator, and the direction of its arms
    ends = np.array([first[0], first[-1]])
    assert min(np.abs(ends - second[[0, -1]]).max(), np.abs(ends - second[[-1, 0]]).max()) < 1e-3


def test_logistic_residuals_are_drawn_in_the_unit_square():
    system = resdyn.logistic_residuals([[1.0, -2.0], [-2.0, 1.0]], step=0.5)
    trajectory = resdyn.simulate(system, system.from_residuals([[0.6, 0.5]]), depth=10)
    ax = plotting.phase_portrait(system, dynamics="map", trajectories=trajectory, resolution=24)
    assert ax.get_xlabel() == "$y_{0}$"
    assert labels(ax)[:2] == ["$(Wy)_{0} = 0$", "$(Wy)_{1} = 0$"]
    orbit = next(line for line in ax.lines if len(line.get_xdata()) == 11)
    np.testing.assert_allclose(orbit.get_xydata(), trajectory.y[:, 0])
    stable = {
        tuple(line.get_xydata()[0])
        for line in ax.lines
        if line.get_fillstyle() == "full" and line.get_color() == "black"
    }
    assert {(1.0, 0.0), (0.0, 1.0)} <= stable


def test_saddles_on_edges_have_manifolds_too():
    # y_1 rests on the edge y_0 = 1 where w_10 + w_11 y_1 = 0, here at ½; across the edge it decays
    system = resdyn.logistic_residuals([[1.0, 0.5], [-1.0, 2.0]], step=0.2)
    for dynamics in ("map", "flow"):
        ax = plotting.phase_portrait(system, dynamics=dynamics, resolution=24)
        curves = [line.get_xydata() for line in ax.lines if line.get_color() == plotting.COLOURS[3]]
        assert all((curve >= -1e-8).all() and (curve <= 1 + 1e-8).all() for curve in curves)
        on_edge = [curve for curve in curves if np.abs(curve[:, 0] - 1.0).max() < 1e-12]
        assert any(curve[:, 1].min() < 0.01 and curve[:, 1].max() > 0.99 for curve in on_edge)


@pytest.mark.parametrize("dynamics", ["map", "flow"])
def test_dynamics_of_residuals_are_those_of_the_state(dynamics):
    rng = np.random.default_rng(1)
    system = resdyn.logistic_residuals(rng.normal(size=(3, 3)), step=0.3)
    cube = residual_dynamics(system, dynamics)
    y = rng.uniform(0.05, 0.95, size=(20, 3))
    z = system.from_residuals(y)
    if dynamics == "map":
        after = system.activations(0.0, z + system.step * system.residual(0.0, z))
        np.testing.assert_allclose(y + cube.step * cube.residual(0.0, y), after, atol=1e-14)
    else:
        np.testing.assert_allclose(cube.residual(0.0, y), y * (1 - y) * system.residual(0.0, z), atol=1e-14)
    numerical = resdyn.ResidualSystem(lambda t, x, _: cube.residual(t, x), 3).jacobian(0.0, y)
    np.testing.assert_allclose(cube.jacobian(0.0, y), numerical, atol=1e-8)  # central differences
    corner = np.array([0.0, 1.0, 0.5])
    assert (cube.residual(0.0, corner)[:2] == 0).all()


def test_more_units_are_cut_in_a_slice():
    lorenz = resdyn.systems.lorenz()
    with pytest.raises(ValueError, match="pass at="):
        plotting.phase_portrait(lorenz, (-20.0, 20.0))
    ax = plotting.phase_portrait(lorenz, (-20.0, 20.0), units=(0, 2), at=[0.0, 3.0, 0.0], resolution=24)
    assert ax.get_title() == "slice at $x_{1} = 3$"
    assert not any(line.get_marker() == "o" for line in ax.lines)
    plane = make_plane(lorenz, (-20.0, 20.0), (0, 2), [0.0, 3.0, 0.0], dynamics="flow")
    _, states = plane.grid(5)
    np.testing.assert_allclose(plane.field(states), lorenz.residual(0.0, states)[..., [0, 2]])
    assert (states[..., 1] == 3.0).all()


def test_bad_portraits_are_refused():
    henon = resdyn.systems.henon()
    with pytest.raises(ValueError, match="two different numbers"):
        plotting.phase_portrait(henon, (-1.0, 1.0), units=(0, 0))
    with pytest.raises(ValueError, match="pair"):
        plotting.phase_portrait(henon)
    with pytest.raises(ValueError, match="low < high"):
        plotting.phase_portrait(henon, (1.0, -1.0))
    with pytest.raises(ValueError, match="lie in"):
        plotting.phase_portrait(resdyn.logistic_residuals(np.eye(2)), (-1.0, 1.0))
    other = resdyn.simulate(resdyn.systems.lorenz(), [1.0, 1.0, 1.0], depth=2)
    with pytest.raises(ValueError, match="states of shape"):
        plotting.phase_portrait(henon, (-1.0, 1.0), trajectories=other, resolution=24, manifolds=False)
    with pytest.raises(TypeError, match="trajectory must be"):
        plotting.phase_portrait(henon, (-1.0, 1.0), trajectories=[3], resolution=24, manifolds=False)


def test_trajectories_in_space_and_in_the_plane():
    lorenz = resdyn.systems.lorenz()
    trajectory = resdyn.simulate(lorenz, [[1.0, 1.0, 20.0], [-1.0, 2.0, 15.0]], depth=50, method="RK45")
    space = plotting.trajectories(trajectory, labels=["left", "right"])
    assert space.name == "3d"
    assert labels(space) == ["left", "right"]
    np.testing.assert_allclose(np.array(space.lines[0].get_data_3d()).T, trajectory.x[:, 0])
    plane = plotting.trajectories(trajectory, units=(2, 0))
    assert plane.name == "rectilinear"
    np.testing.assert_allclose(plane.lines[2].get_xydata(), trajectory.x[:, 1, [2, 0]])
    assert plane.lines[0].get_color() != plane.lines[2].get_color()
    again = plotting.trajectories(trajectory, ax=space)
    assert again is space
    with pytest.raises(ValueError, match="3-D axes"):
        plotting.trajectories(trajectory, ax=plane)
    with pytest.raises(ValueError, match="two or three different"):
        plotting.trajectories(trajectory, units=(0, 3))
    space.figure.canvas.draw()


def test_manifold_in_the_plane_and_in_space():
    lorenz = resdyn.systems.lorenz()
    curve = resdyn.invariant_manifold(lorenz, np.zeros(3), dynamics="flow", length=20.0)
    ax = plotting.manifold(curve, units=(0, 1, 2))
    assert ax.name == "3d"
    assert ax.lines[0].get_color() == plotting.COLOURS[3]
    np.testing.assert_allclose(np.array(ax.lines[0].get_data_3d()).T, curve.curve)
    np.testing.assert_allclose(np.ravel(ax.lines[1].get_data_3d()), np.zeros(3))
    flat = plotting.manifold(curve, units=(0, 2))
    np.testing.assert_allclose(flat.lines[0].get_xydata(), curve.curve[:, [0, 2]])
    with pytest.raises(ValueError, match="LogisticResiduals"):
        plotting.manifold(curve, residuals=True)
