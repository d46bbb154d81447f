"""Reactivity, amplification and return time: closed forms, a matrix exponential, and changes of coordinates."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.optimize import minimize_scalar

import resdyn
from resdyn.analysis.boundaries import Resilience, resilience

STATELESS = settings(phases=[Phase.explicit, Phase.reuse, Phase.generate], deadline=None, max_examples=30)


def linear(A, step=0.05):
    return resdyn.ResidualMap(A, activation="identity", step=step)


def at_zero(A, dynamics="flow", step=0.05):
    return resilience(np.zeros((1, len(A))), system=linear(A, step), dynamics=dynamics)


# --- closed forms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("c", [1.0, np.sqrt(8), 8.0])
def test_shear_has_the_reactivity_of_the_theory(c):
    found = at_zero([[-1.0, -c], [0.0, -2.0]])
    assert found.reactivity[0] == pytest.approx((np.sqrt(1 + c**2) - 3) / 2, abs=1e-12)  # shear-reactivity
    assert found.return_time[0] == pytest.approx(1.0)
    assert found.is_reactive[0] == (c > 3)
    assert (found.amplification[0] > 1 + 1e-12) == (c > 3)


def test_amplification_is_the_largest_norm_of_the_propagator():
    A = np.array([[-1.0, -8.0], [0.0, -2.0]])
    found = at_zero(A)

    def norm(t):  # shear-propagator
        return np.linalg.norm([[np.exp(-t), -8 * (np.exp(-t) - np.exp(-2 * t))], [0, np.exp(-2 * t)]], 2)

    best = minimize_scalar(lambda t: -norm(t), bounds=(0.1, 2), method="bounded", options={"xatol": 1e-9})
    assert found.amplification[0] == pytest.approx(-best.fun, rel=1e-12)
    assert found.amplification_time[0] == pytest.approx(best.x, abs=1e-6)  # the root of the rounding of a maximum
    assert found.growth[0] == pytest.approx([np.linalg.norm(expm(A * t), 2) for t in found.t[0]], rel=1e-9)


def test_map_has_powers_in_place_of_exponentials():
    A, h = np.array([[-1.0, -8.0], [0.0, -2.0]]), 0.05
    found = at_zero(A, "map", h)
    M = np.eye(2) + h * A
    norms = [np.linalg.norm(np.linalg.matrix_power(M, k), 2) for k in range(200)]
    assert found.amplification[0] == pytest.approx(max(norms), rel=1e-12)
    assert found.amplification_time[0] == pytest.approx(h * np.argmax(norms))
    assert found.reactivity[0] == pytest.approx(np.log(norms[1]) / h, rel=1e-12)
    assert found.return_time[0] == pytest.approx(-h / np.log(1 - h), rel=1e-12)
    layers = np.rint(found.t[0] / h).astype(int)
    assert found.t[0] == pytest.approx(h * layers)
    assert found.growth[0] == pytest.approx(np.array(norms)[layers], rel=1e-9)


def test_map_tends_to_its_flow_at_first_order():
    A = np.array([[-1.0, -8.0], [0.0, -2.0]])
    flow = at_zero(A)
    for name in ("reactivity", "return_time", "amplification"):
        errors = [abs(getattr(at_zero(A, "map", h), name)[0] - getattr(flow, name)[0]) for h in (0.02, 0.01)]
        assert errors[0] / errors[1] == pytest.approx(2, abs=0.15), name  # the next order is a tenth of the first


@given(st.integers(0, 2**32 - 1), st.sampled_from(["map", "flow"]))
@STATELESS
def test_curve_never_passes_the_maximum_nor_starts_faster_than_the_reactivity(seed, dynamics):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(3, 3)) * 3
    A -= (np.linalg.eigvals(A).real.max() + 0.3) * np.eye(3)
    found = at_zero(A, dynamics, step=0.01)
    if found.stable[0] != 1:  # the map of a fast rotation
        assert not np.isfinite(found.amplification[0])
        return
    assert found.growth[0].max() <= found.amplification[0] * (1 + 1e-9)
    assert found.amplification[0] >= 1
    assert (found.growth[0] <= np.exp(found.reactivity[0] * found.t[0]) * (1 + 1e-9)).all()
    assert found.reactivity[0] >= found.asymptotic_rate[0] - 1e-9
    assert (found.growth[0] >= np.exp(found.asymptotic_rate[0] * found.t[0]) * (1 - 1e-9)).all()


@given(st.integers(0, 2**32 - 1))
@STATELESS
def test_rotations_change_nothing_and_normal_matrices_never_grow(seed):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(3, 3)) - 3 * np.eye(3)
    Q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    one, other = at_zero(A), at_zero(Q @ A @ Q.T)
    for name in ("reactivity", "asymptotic_rate", "return_time", "amplification"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-6), name
    normal = at_zero(Q @ np.diag([-1.0, -2.0, -0.5]) @ Q.T)
    assert normal.reactivity[0] == pytest.approx(-0.5)
    assert normal.return_time[0] == pytest.approx(2.0)
    assert normal.amplification[0] == pytest.approx(1.0)
    assert normal.amplification_time[0] == 0


def test_fast_rotation_is_not_missed():
    # one fast turn swells a perturbation tenfold at a thousand radians per unit t, while it decays within t = 100
    A = np.array([[-0.01, 1000.0], [-10.0, -0.01]])
    found = at_zero(A)
    assert found.amplification[0] == pytest.approx(10, rel=1e-3)  # √(1000/10), less the decay within a quarter turn
    assert found.amplification_time[0] == pytest.approx(np.pi / 2 / 100, rel=0.05)


# --- points that are not stable, and where points come from ------------------------------------------


def test_unstable_and_undecided_points_have_no_return_time():
    points = resdyn.fixed_points(resdyn.systems.pitchfork(r=1.0))
    found = resilience(points, dynamics="flow")
    order = np.argsort(found.x[:, 0])
    assert found.stable[order].tolist() == [1, 0, 1]
    assert found.return_time[order] == pytest.approx([0.5, np.inf, 0.5])
    assert found.amplification[order] == pytest.approx([1, np.inf, 1])
    assert np.isnan(found.amplification_time[order[1]])
    assert "2 stable" in repr(found)
    centre = at_zero([[0.0, 1.0], [-1.0, 0.0]])
    assert centre.stable[0] == -1
    assert np.isnan(centre.return_time[0])
    assert "does not decide" in repr(centre)
    assert repr(at_zero([[1.0]])).endswith("unstable.")


def test_points_states_and_one_point_agree():
    system = resdyn.systems.pitchfork(r=1.0)
    points = resdyn.fixed_points(system)
    every = resilience(points)
    one = resilience(points[0], system=system)
    state = resilience(points.x, system=system)
    assert one.return_time[0] == every.return_time[0]
    assert state.return_time.tolist() == every.return_time.tolist()
    assert len(resilience(points[[]])) == 0


def test_logistic_residuals_are_measured_in_y():
    rng = np.random.default_rng(0)
    system = resdyn.logistic_residuals(rng.normal(size=(4, 4)), step=0.2)
    points = resdyn.fixed_points(system)
    for dynamics in ("map", "flow"):
        found = resilience(points, dynamics=dynamics)
        assert found.coordinates == "y"
        h = system.step
        expected = (
            points.eigenvalues.real.max(axis=1)
            if dynamics == "flow"
            else np.log(np.abs(points.multipliers).max(axis=1)) / h
        )
        # eigenvalues of the block triangular matrix are those of its blocks
        assert found.asymptotic_rate == pytest.approx(expected, abs=1e-7)
        assert (found.stable == points.stability(dynamics)).all()


def test_logistic_propagator_is_the_derivative_of_the_map_in_y():
    system = resdyn.logistic_residuals([[1.0, 0.5], [1.0, -2.0]], step=0.5)
    points = resdyn.fixed_points(system)
    assert any((y == 1).any() and (y == 0.5).any() for y in points.y)  # one unit saturated, one inside
    delta = 1e-7

    def after(y):
        z = system.from_residuals(y)
        return 1 / (1 + np.exp(-z - system.step * system.residual(0.0, z)))

    found = resilience(points, dynamics="map")
    for i, y in enumerate(points.y):
        inward = np.where(y > 0.5, -delta, delta)  # 0 and 1 have one side only
        slopes = np.array([(after(y + e) - after(y)) / e.sum() for e in np.diag(inward)]).T
        expected = np.log(np.linalg.norm(slopes, 2)) / system.step
        assert found.reactivity[i] == pytest.approx(expected, abs=1e-5)  # one-sided differences


def test_systems_with_only_the_contract_are_enough():
    class Bare:
        name, shape, step, depth = "bare", (2, 1), 0.05, None
        inner = linear([[-1.0, -8.0], [0.0, -2.0]])

        def residual(self, t, x):
            return self.inner.residual(t, x[..., 0])[..., None]

        def linearize(self, t, x):
            return self.inner.linearize(t, x[..., 0])

    found = resilience(np.zeros((1, 2, 1)), system=Bare())
    assert found.amplification == pytest.approx(at_zero([[-1.0, -8.0], [0.0, -2.0]], "map").amplification)
    assert found.x.shape == (1, 2, 1)


def test_what_is_no_fixed_point_is_refused():
    system = resdyn.systems.pitchfork(r=1.0)
    with pytest.raises(ValueError, match="point 1 is no fixed point"):
        resilience([[1.0], [0.5]], system=system)
    with pytest.raises(TypeError, match="pass system="):
        resilience([[1.0]])
    with pytest.raises(ValueError, match="1024 at most"):
        resilience(np.zeros((1, 1100)), system=resdyn.ResidualMap(np.zeros((1100, 1100)), activation="tanh"))
    with pytest.raises(ValueError, match="layers of its own"):
        resilience(
            np.zeros((1, 2)), system=resdyn.ResidualMap(np.zeros((3, 2, 2)), np.zeros((3, 2)), activation="tanh")
        )


def test_units_that_drift_to_infinity_are_no_fixed_points():
    # near a corner of the cube y(1 − y)Wy is small wherever z goes
    system = resdyn.logistic_residuals([[1.0, -2.0], [-2.0, 1.0]], step=0.1)
    for z in ([12.0, -12.0], [20.0, -20.0], [-14.0, -14.0]):
        with pytest.raises(ValueError, match="z of unit 0 moves"):
            resilience([z], system=system)
    corner = resilience([[np.inf, -np.inf]], system=system, dynamics="flow")
    assert corner.stable.tolist() == [1]
    assert corner.return_time == pytest.approx([1.0])


def test_states_are_refined_to_the_fixed_points_they_stand_for():
    def line(f, slope, name):
        return resdyn.ResidualSystem(
            lambda t, x, p: f(x), 1, step=0.1, jacobian=lambda t, x, p: slope(x)[..., None], name=name
        )

    # roots at 0 and ±1e-8: what lies between them is no fixed point, however small its residual
    tiny = line(lambda x: -x * (x - 1e-8) * (x + 1e-8) * 1e16, lambda x: 1 - 3e16 * x**2, "tiny")
    for x in (0.6e-8, 0.5e-8):
        with pytest.raises(ValueError, match="no fixed point"):
            resilience([[x]], system=tiny)
    assert resilience([[1e-8], [0.0]], system=tiny).stable.tolist() == [1, 0]
    big = line(lambda x: 1e8 - x, lambda x: -np.ones_like(x), "big")
    assert resilience([[1e8 + 500]], system=big).x.tolist() == [[1e8]]
    six_digits = resilience([[0.999999]], system=resdyn.systems.pitchfork(r=1.0))
    assert six_digits.x == pytest.approx(np.array([[1.0]]), abs=1e-14)


@pytest.mark.parametrize("dynamics", ["map", "flow"])
@pytest.mark.parametrize("d", [2, 3, 5])
def test_repeated_eigenvalues_are_decided_where_the_propagator_decides(d, dynamics):
    block = -np.eye(d) + 3 * np.diag(np.ones(d - 1), 1)
    Q = np.linalg.qr(np.random.default_rng(d).normal(size=(d, d)))[0]
    triangular, rotated = at_zero(block, dynamics), at_zero(Q @ block @ Q.T, dynamics)
    for found in (triangular, rotated):
        assert found.stable.tolist() == [1]
        assert found.amplification > 1
    assert rotated.amplification == pytest.approx(triangular.amplification, rel=1e-9)
    growing = at_zero(Q @ (block + 1.5 * np.eye(d)) @ Q.T, dynamics)
    assert growing.stable[0] != 1
    neutral = at_zero(Q @ (block + np.eye(d)) @ Q.T, dynamics)
    assert neutral.stable[0] != 1
    # the slowest rate is less than a billionth of the fastest: digits that could as well be others decide nothing
    slow = Q @ np.diag([-1e-12, *-np.arange(1.0, d)]) @ Q.T
    assert at_zero(slow, dynamics).stable.tolist() == [-1]
    points = resdyn.fixed_points(linear(block))
    assert points.stability(dynamics).tolist() == [1]


def test_what_dies_in_two_layers_may_still_grow_first():
    # M = [[0, 5], [0, 0]]
    found = at_zero([[-1.0, 5.0], [0.0, -1.0]], "map", step=1.0)
    assert found.stable.tolist() == [1]
    assert found.asymptotic_rate == -np.inf
    assert found.amplification == pytest.approx(5.0)
    assert found.is_reactive.tolist() == [True]


def test_result_is_stored_shown_and_made_a_dataset(tmp_path):
    pytest.importorskip("xarray")
    found = at_zero([[-1.0, -8.0], [0.0, -2.0]])
    found.save(tmp_path / "resilience.npz")
    loaded = Resilience.load(tmp_path / "resilience.npz")
    assert repr(loaded) == repr(found)
    assert loaded.to_dataset().identical(found.to_dataset())
    assert found.to_dataset().growth.dims == ("point", "record")
    assert "reactivity" in found._repr_html_()
