"""Stable and unstable manifolds: curves in closed form, invariance, energy, and why arms end."""

import numpy as np
import pytest

import resdyn
from resdyn.analysis.manifolds import Manifold, invariant_manifold
from resdyn.analysis.manifolds.local import leading_direction, local_manifold
from resdyn.analysis.manifolds.maps import Inverse


def henon_saddle(a=1.4, b=0.3):
    x = (b - 1 + np.sqrt((1 - b) ** 2 + 4 * a)) / (2 * a)
    return np.array([x, b * x])


def from_function(rule, shape=(2,), **options):
    return resdyn.ResidualSystem(lambda t, x, _: np.stack(rule(*np.moveaxis(x, -1, 0)), axis=-1), shape, **options)


def sheared(mu=2.0, nu=0.5, c=1.0, step=1.0):
    """x' = μx, y' = νy + c x²: conjugate to its linear part, with W^u the parabola y = c x²/(μ² − ν)."""
    return from_function(lambda x, y: ((mu - 1) * x / step, ((nu - 1) * y + c * x**2) / step), step=step)


def duffing(**options):
    return from_function(lambda x, v: (v, x - x**3), step=0.1, **options)


def bistable():
    return resdyn.ResidualMap([[4.0, -6.0], [-6.0, 4.0]], [1.0, 1.0], damping=1.0, gain=1.0, step=0.1)


def distances(points, curve):
    """From points to the polyline through ``curve``."""
    a, ab = curve[:-1], np.diff(curve, axis=0)
    t = np.einsum("pij,ij->pi", points[:, None] - a, ab) / (ab**2).sum(axis=1)
    return np.linalg.norm(points[:, None] - (a + np.clip(t, 0, 1)[..., None] * ab), axis=2).min(axis=1)


@pytest.mark.parametrize("dynamics", ["map", "flow"])
@pytest.mark.parametrize(("which", "axis"), [("unstable", 0), ("stable", 1)])
def test_manifolds_of_a_linear_saddle_are_its_eigenvectors(dynamics, which, axis):
    system = from_function(lambda x, y: (x, -0.5 * y))
    manifold = invariant_manifold(system, [0.0, 0.0], which=which, dynamics=dynamics, length=7.0)
    assert np.abs(manifold.points[:, 1 - axis]).max() == 0.0
    assert np.abs(manifold.direction[axis]) == 1.0
    assert manifold.reasons == ("length", "length")
    for arm, sign in zip(manifold.arms, (1.0, -1.0), strict=True):
        along = sign * arm[:, axis]
        assert along[0] == 0.0
        assert (np.diff(along) > 0).all()
        assert 7.0 <= along[-1] <= 7.0 + 7.0 / 200
    exact = {"map": {"unstable": 2.0, "stable": 0.5}, "flow": {"unstable": np.e, "stable": np.exp(-0.5)}}
    assert manifold.multiplier == pytest.approx(exact[dynamics][which], rel=1e-12)


@pytest.mark.parametrize(("mu", "nu"), [(2.0, 0.5), (-2.0, 0.5), (1.1, -0.3)])
def test_unstable_manifold_of_the_sheared_map_is_a_parabola(mu, nu):
    manifold = invariant_manifold(sheared(mu, nu), [0.0, 0.0], length=5.0)
    x, y = manifold.points.T
    # the local piece is exact here; the rest is rounding, amplified by nothing
    assert np.abs(y - x**2 / (mu**2 - nu)).max() < 1e-13
    assert manifold.multiplier == pytest.approx(mu, rel=1e-9)


@pytest.mark.parametrize("step", [1.0, 0.1])
def test_stable_manifold_of_the_inverse_shear_is_a_parabola(step):
    # y' = 2y + x², x' = x/2: now the parabola attracts along itself
    manifold = invariant_manifold(sheared(0.5, 2.0, step=step), [0.0, 0.0], which="stable", length=5.0)
    x, y = manifold.points.T
    assert np.abs(y - x**2 / (0.25 - 2.0)).max() < 1e-9  # Newton's method stops at 1e-14 relative
    assert manifold.reasons == ("length", "length")


def test_local_piece_errs_by_third_order():
    # y' = νy + x³ has the curve y = x³/(μ³ − ν): no second-order term, so the error is cubic
    system = from_function(lambda x, y: (x, -0.5 * y + x**3))
    value, vector = leading_direction(system, np.zeros(2), which="unstable", dynamics="map", strong=False)
    errors = []
    for reach in (0.1, 0.05):
        piece = local_manifold(system, np.zeros(2), value, vector, dynamics="map", tolerance=1e9, longest=reach)
        x, y = piece(np.asarray(reach))
        errors.append(abs(y - x**3 / 7.5))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(3.0, abs=1e-6)  # the curvature found is 0 up to 1e-8


@pytest.mark.parametrize("dynamics", ["map", "flow"])
def test_local_curvature_solves_the_equation_of_invariance(dynamics):
    # ẏ = −½y + x² along ẋ = x: y = x²/(2 + ½); the map y' = ½y + x², x' = 2x: y = x²/(4 − ½)
    system = from_function(lambda x, y: (x, -0.5 * y + x**2))
    value, vector = leading_direction(system, np.zeros(2), which="unstable", dynamics=dynamics, strong=False)
    piece = local_manifold(system, np.zeros(2), value, vector, dynamics=dynamics, tolerance=1e-3, longest=1.0)
    # second differences of a quadratic lose only rounding, ε/δ²
    assert piece.curvature == pytest.approx([0.0, 2 / (2.5 if dynamics == "flow" else 3.5)], abs=1e-6)


@pytest.mark.parametrize("which", ["unstable", "stable"])
def test_henon_manifolds_are_invariant_to_second_order_in_the_spacing(which):
    henon = resdyn.systems.henon()
    missed = []
    for spacing in (0.08, 0.04, 0.02):
        options = {"which": which, "length": 12.0, "spacing": spacing, "angle": 3.0}
        curve = invariant_manifold(henon, henon_saddle(), **options)
        inner = np.concatenate([arm[: len(arm) // 3] for arm in curve.arms])
        images = inner + henon.residual(0.0, inner)
        missed.append(distances(images, curve.curve).max())
    assert missed[-1] < 2e-3
    # chords miss a smooth curve by spacing²/8 times its curvature
    assert missed[0] / missed[-1] > 4.0


def test_points_of_henon_stable_manifold_come_to_the_saddle():
    henon = resdyn.systems.henon()
    curve = invariant_manifold(henon, henon_saddle(), which="stable", length=3.0)
    end = resdyn.simulate(henon, curve.points, depth=12).x
    nearest = np.linalg.norm(end - henon_saddle(), axis=-1).min(axis=0)
    # rounding grows by 1.92 per layer while the distance shrinks by 0.16
    assert nearest.max() < 1e-5


def test_negative_multiplier_exchanges_the_arms():
    henon = resdyn.systems.henon()
    curve = invariant_manifold(henon, henon_saddle(), length=4.0, spacing=0.01)
    assert curve.multiplier < 0
    first, second = curve.arms
    images = first[: len(first) // 3] + henon.residual(0.0, first[: len(first) // 3])
    assert distances(images, second).max() < 1e-4
    assert distances(images[5:], first).max() > 1e-2


@pytest.mark.parametrize("which", ["unstable", "stable"])
def test_energy_is_zero_on_the_separatrix_of_the_duffing_flow(which):
    curve = invariant_manifold(duffing(), [0.0, 0.0], which=which, dynamics="flow", length=4.0)
    x, v = curve.points.T
    energy = v**2 / 2 - x**2 / 2 + x**4 / 4
    # ε·tolerance of the local piece, 1e-10 of the integrator
    assert np.abs(energy).max() < 1e-9
    # the homoclinic orbit x = √2 sech t turns at √2
    assert np.abs(x).max() == pytest.approx(np.sqrt(2), abs=1e-3)


@pytest.mark.parametrize("dynamics", ["map", "flow"])
def test_diagonal_parts_the_basins_of_the_bistable_network(dynamics):
    system = bistable()
    boundary = invariant_manifold(system, [0.5, 0.5], which="stable", dynamics=dynamics, length=2.0)
    assert np.abs(boundary.points[:, 0] - boundary.points[:, 1]).max() < 1e-12
    unstable = invariant_manifold(system, [0.5, 0.5], dynamics=dynamics, length=2.0)
    assert unstable.reasons == ("converged", "converged")
    nodes = sorted(point.x[0] for point in resdyn.fixed_points(system, stable=True))
    ends = sorted(arm[-1, 0] for arm in unstable.arms)
    assert ends == pytest.approx(nodes, abs=1e-5)  # an arm ends when a layer adds a millionth of the longest one


def test_manifold_of_a_cycle_belongs_to_its_iterate():
    henon = resdyn.systems.henon()
    # the 2-cycle solves a²x² − a(1 − b)x + (1 − b)² − a = 0
    x = ((1 - 0.3) + np.sqrt(4 * 1.4 - 3 * 0.7**2)) / (2 * 1.4)
    partner = (1 - 0.3) / 1.4 - x
    curve = invariant_manifold(henon, [x, 0.3 * partner], period=2, length=2.0)
    assert curve.period == 2
    # the product of the traces: (−2ax)(−2ap) + 2b has the roots of μ² − τμ + b²
    tau = 4 * 1.4**2 * x * partner + 2 * 0.3
    exact = np.roots([1.0, -tau, 0.09])
    assert curve.multiplier == pytest.approx(exact[np.argmax(np.abs(exact))], rel=1e-9)


def test_strong_manifold_follows_the_fastest_direction():
    system = from_function(lambda x, y: (-0.1 * x, -0.6 * y + 0.05 * x**2))
    with pytest.raises(ValueError, match="2 directions"):
        invariant_manifold(system, [0.0, 0.0], which="stable")
    strong = invariant_manifold(system, [0.0, 0.0], which="stable", strong=True, length=2.0)
    assert np.abs(strong.points[:, 0]).max() == 0.0
    assert strong.multiplier == pytest.approx(0.4, rel=1e-9)


def test_three_variables_and_a_system_without_a_jacobian():
    class Bare:
        name, shape, step, depth = "bare", (3,), 1.0, None

        def __init__(self):
            self._matrix = np.diag([0.5, -0.5, -0.7])

        def residual(self, t, x):
            return x @ self._matrix

        def linearize(self, t, x):
            return resdyn.ResidualSystem(lambda t, x, _: self.residual(t, x), 3).linearize(t, x)

    curve = invariant_manifold(Bare(), np.zeros(3), length=2.0)
    assert np.abs(curve.points[:, 1:]).max() < 1e-8  # directions from central differences
    with pytest.raises(ValueError, match="2 directions"):
        invariant_manifold(Bare(), np.zeros(3), which="stable")


def test_arm_ends_at_the_fold_of_a_map_without_inverse():
    # x' = x/2 + x²/2 folds at x = −1/2; to the right it goes on for ever
    system = from_function(lambda x, y: (-0.5 * x + 0.5 * x**2, y))
    curve = invariant_manifold(system, [0.0, 0.0], which="stable", length=3.0)
    ends = {reason: arm[-1, 0] for arm, reason in zip(curve.arms, curve.reasons, strict=True)}
    assert set(ends) == {"singular", "converged"} or set(ends) == {"singular", "length"}
    assert -0.5 <= ends["singular"] < -0.3
    assert "no inverse" in repr(curve)


def test_preimages_on_the_other_side_of_the_fold_are_not_taken():
    system = from_function(lambda x, y: (-0.5 * x + 0.5 * x**2, y))
    inverse = Inverse(system, np.zeros(2))
    # both 0 and −1 are preimages of 0
    x, good = inverse.solve(np.zeros((2, 2)), np.array([[0.1, 0.0], [-0.9, 0.0]]))
    assert x[:, 0] == pytest.approx([0.0, -1.0], abs=1e-9)
    assert good.tolist() == [True, False]


def test_arms_end_at_the_region_and_at_the_end_of_the_numbers():
    system = from_function(lambda x, y: (x, -0.5 * y))
    for dynamics in ("map", "flow"):
        left = invariant_manifold(system, [0.0, 0.0], dynamics=dynamics, region=([-1.0, -9.0], [2.0, 9.0]))
        assert left.reasons == ("region", "region")
        assert 1.9 < left.arms[0][-1, 0] <= 2.0
        assert -1.0 <= left.arms[1][-1, 0] < -0.9
    blown = from_function(lambda x, y: (np.where(np.abs(x) < 2, x, np.nan), -0.5 * y))
    for dynamics in ("map", "flow"):
        lost = invariant_manifold(blown, [0.0, 0.0], dynamics=dynamics)
        assert lost.reasons == ("diverged", "diverged")
        assert "left the finite numbers" in repr(lost)
    # the flow comes as near to where the field ends as numbers do; a layer of the map still leads from there to 4
    assert np.abs(lost.arms[0][-1]) == pytest.approx([2.0, 0.0], abs=1e-9)
    assert np.abs(lost.arms[1][-1]) == pytest.approx([2.0, 0.0], abs=1e-9)


@pytest.mark.parametrize("dynamics", ["map", "flow"])
def test_a_scale_beyond_1e8_is_no_divergence(dynamics):
    # W^u of the origin is the line y = 0, up to the node at 1e9
    system = from_function(lambda x, y: (x - x**2 / 1e9, -y), step=0.1)
    curve = invariant_manifold(system, [0.0, 0.0], dynamics=dynamics, length=5e8)
    assert curve.reasons == ("length", "length")


@pytest.mark.parametrize("method", ["LSODA", "DOP853"])
def test_blow_up_in_finite_time_is_followed_up_to_the_length_with_any_integrator(method):
    system = from_function(lambda x, y: (x + x**3, -y))
    curve = invariant_manifold(system, [0.0, 0.0], dynamics="flow", length=20.0, spacing=2.0, rtol=1e-6, method=method)
    assert curve.reasons == ("length", "length")
    assert curve.lengths == pytest.approx((20.0, 20.0), abs=2.0)  # of one gap


def test_states_that_are_not_near_a_fixed_point_are_refused_at_every_scale():
    s = 1e-8
    tiny = resdyn.ResidualSystem(
        lambda t, x, _: -(x + s) * x * (x - 3 * s) / s**2,
        (1,),
        step=0.1,
        jacobian=lambda t, x, _: (-(3 * x**2 - 4 * s * x - 3 * s**2) / s**2)[..., None],
    )
    with pytest.raises(ValueError, match="no fixed point"):
        invariant_manifold(tiny, [0.4 * s])
    assert np.abs(invariant_manifold(tiny, [0.001 * s], length=s / 2).saddle) == pytest.approx(0.0, abs=1e-15)
    with pytest.raises(ValueError, match="no fixed point"):
        invariant_manifold(bistable(), [0.55, 0.45], length=100.0)
    # a linear map has no scale of its own; the curve has
    with pytest.raises(ValueError, match="no fixed point"):
        invariant_manifold(from_function(lambda x, y: (x, -0.5 * y)), [0.3, 0.0])


def test_a_period_that_is_not_the_least_is_refused():
    with pytest.raises(ValueError, match="period 1 .* not of period 2"):
        invariant_manifold(bistable(), [0.5, 0.5], period=2)
    x = ((1 - 0.3) + np.sqrt(4 * 1.4 - 3 * 0.7**2)) / (2 * 1.4)
    with pytest.raises(ValueError, match="period 2 .* not of period 4"):
        invariant_manifold(resdyn.systems.henon(), [x, 0.3 * (0.5 - x)], period=4)


@pytest.mark.parametrize("dynamics", ["map", "flow"])
def test_an_arm_that_comes_to_another_saddle_or_to_a_bottleneck_has_not_converged(dynamics):
    # u grows by 0.1 u near x = 1; the arm comes there with u below 1e-6
    near = from_function(lambda x, u: (x * (1 - x), (-1 + 1.1 * x) * u + 1e-8 * x), step=0.1)
    curve = invariant_manifold(near, [0.0, 0.0], dynamics=dynamics, length=5.0)
    # the arm to the left goes on for ever under the flow, and the map takes it there too
    assert curve.reasons[0] == "saddle" or curve.reasons[1] == "saddle"
    assert "another saddle" in repr(curve)
    # no fixed point at 1, but f is as small as 1e-8 there
    slow = from_function(lambda x, y: (x * np.sqrt((1 - x) ** 2 + 1e-16), -y), step=0.1)
    assert "slow" in invariant_manifold(slow, [0.0, 0.0], dynamics=dynamics, length=5.0).reasons


def test_unstable_manifold_of_a_map_close_to_the_identity_reaches_its_ends():
    # multiplier 1.005: one layer at a time it would be very many images of one segment
    system = from_function(lambda x, y: (x - x**3, -0.5 * y + x**2), step=5e-3)
    curve = invariant_manifold(system, [0.0, 0.0], length=5.0)
    assert curve.multiplier == pytest.approx(1.005, rel=1e-12)
    assert curve.reasons == ("converged", "converged")
    # the attractors are (±1, 2); an arm ends when an image adds a millionth of the longest one
    assert np.abs([arm[-1] for arm in curve.arms]) == pytest.approx(np.array([[1.0, 2.0]] * 2), abs=1e-5)


@pytest.mark.parametrize("options", [{"method": "foo"}, {"rtol": 1e-30}])
def test_options_that_scipy_would_refuse_or_change_are_refused_before(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        invariant_manifold(bistable(), [0.5, 0.5], dynamics="flow", **options)


def test_number_of_points_is_bounded():
    curve = invariant_manifold(resdyn.systems.henon(), henon_saddle(), length=100.0, spacing=1e-3, max_points=500)
    assert curve.reasons == ("points", "points")
    assert max(curve.sizes) <= 500


def test_gaps_and_angles_are_kept():
    spacing, angle = 0.05, 0.2
    curve = invariant_manifold(resdyn.systems.henon(), henon_saddle(), length=20.0, spacing=spacing, angle=angle)
    for arm in curve.arms:
        chords = np.diff(arm, axis=0)
        gaps = np.linalg.norm(chords, axis=1)
        assert gaps.max() <= spacing
        cosine = (chords[1:] * chords[:-1]).sum(axis=1) / (gaps[1:] * gaps[:-1])
        cut = np.minimum(gaps[1:], gaps[:-1]) > 1e-3 * spacing
        # where two images meet the angle is not asked for: there the images themselves are smooth
        assert np.quantile(np.arccos(np.clip(cosine, -1, 1))[cut], 0.99) <= angle


def test_what_is_no_saddle_is_refused():
    henon = resdyn.systems.henon()
    with pytest.raises(ValueError, match="no fixed point"):
        invariant_manifold(henon, [3.0, 3.0])
    with pytest.raises(ValueError, match="no direction"):
        invariant_manifold(resdyn.systems.linear(step=0.1), [0.0, 0.0], dynamics="flow")
    with pytest.raises(ValueError, match="complex pair"):
        invariant_manifold(resdyn.systems.linear(a=-0.1), [0.0, 0.0], dynamics="flow", strong=True)
    with pytest.raises(ValueError, match="singular at x"):
        invariant_manifold(from_function(lambda x, y: (x, -y)), [0.0, 0.0], which="stable")
    with pytest.raises(ValueError, match="which must be"):
        invariant_manifold(henon, henon_saddle(), which="center")
    with pytest.raises(ValueError, match="belongs to the integration of a flow"):
        invariant_manifold(henon, henon_saddle(), rtol=1e-8)
    with pytest.raises(ValueError, match="belongs to a cycle of the map"):
        invariant_manifold(duffing(), [0.0, 0.0], dynamics="flow", period=2)
    with pytest.raises(ValueError, match="layers of its own"):
        invariant_manifold(resdyn.systems.catalogue()["λ-interpolated network"](), np.zeros(6))
    with pytest.raises(ValueError, match="at infinity"):
        invariant_manifold(resdyn.logistic_residuals(np.eye(2)), [np.inf, 0.0])
    with pytest.raises(ValueError, match="one state"):
        invariant_manifold(henon, np.zeros((3, 2)))


def test_result_survives_a_file_and_becomes_a_dataset(tmp_path):
    curve = invariant_manifold(bistable(), [0.5, 0.5], length=1.0)
    curve.save(tmp_path / "curve.npz")
    again = Manifold.load(tmp_path / "curve.npz")
    assert repr(again) == repr(curve)
    np.testing.assert_array_equal(again.points, curve.points)
    assert again.sizes == curve.sizes
    assert again.reasons == curve.reasons
    data = curve.to_dataset()
    assert data["points"].dims == ("point", "unit")
    assert int((data["arm"] == 0).sum()) == curve.sizes[0]
    assert curve.curve.shape == (sum(curve.sizes) - 1, 2)
    assert curve.lengths[1] == curve.arclength[-1]
    assert "<table>" in curve._repr_html_()
