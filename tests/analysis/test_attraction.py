"""Attractors and basins: exact basins, invariances, certificates, and outcomes that are said and not guessed."""

from dataclasses import replace

import numpy as np
import pytest
import sympy
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import resdyn
from resdyn.analysis.attraction import Attractors, Basins
from resdyn.analysis.attraction.grids import keys, least, shuffled
from resdyn.analysis.attraction.orbits import Orbits
from resdyn.analysis.attraction.recurrent_sets import are_one_set
from resdyn.analysis.attraction.result import OUTCOMES, wilson_interval
from resdyn.analysis.attraction.search import make_judge
from resdyn.analysis.attraction.settling import Targets, _settle_in_numpy, settle
from resdyn.systems import bistable, cyclic_weights, duffing, henon, linear, logistic_map, lorenz, newton_map, pitchfork
from resdyn_theory import SymbolicSystem

PHASES = [Phase.explicit, Phase.reuse, Phase.generate]


def cubic_basin(x, r):
    """+1, −1 or 0 (infinity) by the theory: what comes between 0 and √(1 + r) stays on that side."""
    x = np.array(x, dtype=float)
    side = np.where(np.abs(x) > np.sqrt(r + 2), 0, 2)
    for _ in range(200):
        arrived = (side == 2) & (np.abs(x) < np.sqrt(1 + r))
        side[arrived] = np.sign(x[arrived])
        x = np.where(side == 2, (1 + r) * x - x**3, x)
    return side


def without_the_kernel(system):
    """The same system with no compiled form."""
    return resdyn.ResidualSystem(
        lambda t, x, p: system.residual(t, x),
        system.shape,
        step=system.step,
        jacobian=lambda t, x, p: system.jacobian(t, x),
    )


# --- basins that are known exactly --------------------------------------------------------------------


@pytest.mark.parametrize("r", [0.4, 0.9, 1.2])
def test_cubic_map_has_the_basins_of_the_theory(r):
    axis = np.linspace(-1.95, 1.95, 1501) + 1e-4  # 0 is not on it
    basins = resdyn.basins_of_attraction(pitchfork(r=r, step=1.0), (axis,))
    side = cubic_basin(axis, r)
    sign = np.array([np.sign(attractor.centre[0]) for attractor in basins.attractors])
    assert_array_equal(sign, [-1, 1])
    assert [a.period for a in basins.attractors] == ([1, 1] if r < 1 else [2, 2])
    found = np.where(basins.labels >= 0, sign[basins.labels], 0)
    assert_array_equal(found, side)
    assert_array_equal(basins.outcomes == OUTCOMES["diverged"], side == 0)
    assert_allclose(basins.fractions, [np.mean(side == -1), np.mean(side == 1)], atol=0)


def test_preimages_of_the_unstable_point_are_boundary():
    r = 0.9
    s = np.sqrt(1 + r)
    # F(x) = s has the root that is beyond −s
    beyond = min(np.roots([-1, 0, 1 + r, -s]).real)
    basins = resdyn.basins_of_attraction(pitchfork(r=r, step=1.0), (np.array([beyond, -s, -0.5, 0.0, 0.5, s]),))
    assert_array_equal(basins.boundary, [True, True, False, True, False, True])
    assert_array_equal(basins.labels, [-1, -1, 0, -1, 1, -1])
    assert_allclose(basins.unstable.ravel()[np.abs(basins.unstable.ravel()) < 1], [0.0], atol=1e-12)


@pytest.mark.parametrize("dynamics", ["map", "flow"])
def test_the_boundary_of_the_bistable_network_is_the_diagonal(dynamics):
    axis = np.linspace(-2, 2, 41)
    basins = resdyn.basins_of_attraction(bistable(), (axis, axis), dynamics=dynamics)
    x0, x1 = np.meshgrid(axis, axis, indexing="ij")
    expected = np.where(x0 == x1, -1, np.where(x0 > x1, 1, 0))
    assert_array_equal(basins.labels, expected)
    assert_array_equal(basins.boundary, x0 == x1)
    assert_allclose(basins.unstable, [[0.5, 0.5]], atol=1e-12)
    fixed = resdyn.fixed_points(bistable(), stable=True)
    order = np.argsort(fixed.x[:, 0])
    assert_allclose([a.points[0] for a in basins.attractors], fixed.x[order], atol=1e-10)
    multipliers = np.array([np.sort(point.multipliers.real) for point in np.array(list(fixed), dtype=object)[order]])
    if dynamics == "map":
        assert_allclose(np.sort(basins.multipliers.real, axis=1), multipliers, atol=1e-10)
    else:  # exp(hλ) with μ = 1 + hλ
        assert_allclose(np.sort(basins.multipliers.real, axis=1), np.exp(multipliers - 1), atol=1e-10)
    # mirror images take the same time
    assert_array_equal(basins.times, basins.times.T)


def test_newtons_method_finds_three_roots_with_rotated_basins():
    radius, angle = np.linspace(0.31, 1.9, 14), np.linspace(0.05, 2 * np.pi / 3, 15)
    z = (radius[:, None] * np.exp(1j * angle)).ravel()
    plane = np.stack([z.real, z.imag], axis=-1)
    axis = np.linspace(-1.5, 1.5, 31)
    basins = resdyn.basins_of_attraction(newton_map(), (axis, axis))
    roots = np.exp(2j * np.pi * np.arange(3) / 3)
    centres = np.array([complex(*a.centre) for a in basins.attractors])
    assert_allclose(np.sort_complex(centres), np.sort_complex(roots), atol=1e-12)
    assert_array_equal(basins.multipliers, 0)
    # rotated by a third of a turn, a state goes to the rotated root
    turned = z * roots[1]
    labels = basins.classify(plane)
    rotated = basins.classify(np.stack([turned.real, turned.imag], axis=-1))
    assert_allclose(centres[labels] * roots[1], centres[rotated], atol=1e-9)
    # the one state where f is not defined
    assert basins.outcomes[15, 15] == OUTCOMES["diverged"]
    # against a plain loop
    with np.errstate(all="ignore"):
        w = axis[:, None] + 1j * axis
        for _ in range(100):
            w = w - (w**3 - 1) / (3 * w**2)
    expected = np.where(np.isfinite(w), np.abs(w[..., None] - centres).argmin(axis=-1), -1)
    assert_array_equal(basins.labels, expected)


def test_henon_has_one_chaotic_attractor_and_infinity():
    axis = np.linspace(-1.5, 1.5, 40)
    basins = resdyn.basins_of_attraction(henon(), (axis, axis))
    assert basins.kinds == ("chaotic",)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    with np.errstate(all="ignore"):
        for _ in range(500):
            x, y = 1 - 1.4 * x**2 + y, 0.3 * x
    assert_array_equal(basins.outcomes == OUTCOMES["diverged"], ~np.isfinite(x))
    assert_array_equal(basins.labels, np.where(np.isfinite(x), 0, -1))


def test_two_chaotic_attractors_are_two():
    # x' = 2.5x − x³ with 2.5 < 3√3/2: an orbit that has come into (0, √2.5) stays there
    system = pitchfork(r=1.5, step=1.0)
    axis = np.linspace(-1.85, 1.85, 3000)  # none diverges; more than what the search begins with
    basins = resdyn.basins_of_attraction(system, (axis,))
    assert basins.kinds == ("chaotic", "chaotic")
    assert basins.attractors[0].points.max() < 0 < basins.attractors[1].points.min()
    side = cubic_basin(axis, 1.5)
    assert_array_equal(basins.labels, (side + 1) // 2)
    assert_array_equal(basins.labels, basins.classify(basins.states))
    # an orbit on a set that is known is recognised, on another one not
    judge = make_judge(Orbits(system, "map"), 3.7, 128, 5000)
    left, right, again = judge.candidates(np.array([[-0.5], [0.5], [0.7]]))
    assert right is again
    assert left.points.max() < 0 < right.points.min()


def test_the_lorenz_flow_has_the_attractors_of_its_parameters():
    quiet = resdyn.attractors(lorenz(rho=15.0, step=0.02), (-12, 12), dynamics="flow", n_starts=24, depth=4000)
    side = np.sqrt(8 / 3 * 14)
    assert quiet.kinds == ("fixed point", "fixed point")
    assert_allclose([a.points[0] for a in quiet], [[-side, -side, 14], [side, side, 14]], atol=1e-8)
    wild = resdyn.attractors(lorenz(step=0.02), (-12, 12), dynamics="flow", n_starts=12, depth=4000)
    assert wild.kinds == ("chaotic",)


@pytest.mark.parametrize(("r", "period"), [(2.5, 1), (3.2, 2), (3.5, 4), (3.83, 3), (3.5685, 16)])
def test_logistic_map_ends_on_its_cycle(r, period):
    found = resdyn.attractors(logistic_map(r=r), (0.01, 0.99), n_starts=40)
    assert found.periods.tolist() == [period]
    points = found[0].points.ravel()
    assert_allclose(r * points * (1 - points), np.roll(points, -1), atol=1e-12)
    assert points[0] == points.min()
    # the multiplier of a cycle is the product of slopes along it
    assert_allclose(found[0].multipliers, [np.prod(r * (1 - 2 * points))], rtol=1e-9)
    assert found[0].is_stable


# --- names, and sets that are near to each other -----------------------------------------------------------


def from_residual(name, state, residual, step):
    definition = SymbolicSystem(name=name, state=state, residual=residual, parameters={})
    return resdyn.from_symbolic(definition, step=step)


def test_weak_chaos_of_a_flow_is_not_taken_for_a_torus():
    # Rössler's attractor has an exponent of about 0.07: within 4096 layers of 0.01 it cannot be told from 0
    x, y, z = sympy.symbols("x y z", real=True)
    flow = from_residual("Rössler", (x, y, z), (-y - z, x + 0.2 * y, 0.2 + z * (x - 5.7)), 0.01)
    found = resdyn.attractors(flow, ([-5.0, -5.0, 0.0], [5.0, 5.0, 5.0]), dynamics="flow", n_starts=2)
    assert found.kinds == ("chaotic",)


@pytest.mark.parametrize(("mu", "step", "dynamics"), [(0.005, 0.1, "flow"), (0.05, 0.01, "flow"), (0.3, 0.05, "map")])
def test_the_cycle_of_a_planar_flow_is_no_torus(mu, step, dynamics):
    x, y = sympy.symbols("x y", real=True)
    square = x**2 + y**2
    hopf = from_residual("Hopf", (x, y), (mu * x - y - x * square, x + mu * y - y * square), step)
    found = resdyn.attractors(hopf, (-0.5, 0.5), dynamics=dynamics, n_starts=2, depth=20_000)
    # of the map the same circle is one on which orbits turn by an angle that is no rational part of a turn
    assert found.kinds == (("limit cycle",) if dynamics == "flow" else ("quasiperiodic",))


@pytest.mark.parametrize("r", [3.5699456718695445, 1 + np.sqrt(8) - 1e-6, 1 + np.sqrt(8) - 1e-8])
def test_nothing_is_quasiperiodic_on_a_line(r):
    # the Feigenbaum point, and intermittency: λ = 0.03 and 0.004 by 10⁷ layers
    found = resdyn.attractors(logistic_map(r=r), (0.01, 0.99), n_starts=20)
    assert set(found.kinds) <= {"chaotic", "unknown"}
    assert "neutral" not in found.reason


@pytest.mark.parametrize("d", [1e-2, 1e-3])
def test_chaotic_sets_nearer_than_their_samples_resolve_are_two(d):
    x, y = sympy.symbols("x y", real=True)
    strips = from_residual("strips", (x, y), (3.9 * x * (1 - x) - x, 0.3 * (y - y**3 / d**2)), 1.0)
    axis = np.linspace(-1.3 * d, 1.3 * d, 6)
    basins = resdyn.basins_of_attraction(strips, (np.linspace(0.1, 0.9, 4), axis))
    assert basins.kinds == ("chaotic", "chaotic")
    side = np.sign([a.centre[1] for a in basins.attractors])
    assert_array_equal(side[basins.labels], np.broadcast_to(np.sign(axis), (4, 6)))


def circles(gap):
    """Attracting circles of radius 1 and 1 + gap, on which orbits turn by the golden angle."""

    def residual(t, x, p):
        r = np.hypot(x[..., 0], x[..., 1]) + 1e-300
        inside = np.clip(r, 1 - 0.49 * gap, 1 + 1.49 * gap)
        grown = (inside - gap / (4 * np.pi) * np.sin(2 * np.pi * (inside - 1) / gap)) / r
        angle = np.pi * (np.sqrt(5) - 1)
        c, s = np.cos(angle), np.sin(angle)
        turned = np.stack([c * x[..., 0] - s * x[..., 1], s * x[..., 0] + c * x[..., 1]], axis=-1)
        return grown[..., None] * turned - x

    return resdyn.ResidualSystem(residual, (2,), step=1.0, name="circles")


@pytest.mark.parametrize("gap", [0.1, 0.02, 0.008])
def test_nested_circles_are_two_attractors(gap):
    found = resdyn.attractors(circles(gap), (-1.5, 1.5), n_starts=6, depth=2000)
    assert found.kinds == ("quasiperiodic", "quasiperiodic")
    radii = np.sort([np.linalg.norm(a.points, axis=1).mean() for a in found])
    assert_allclose(radii, [1.0, 1.0 + gap], rtol=1e-6)


@pytest.mark.parametrize("angle", [0.1, 2 * np.pi / 63, 2 * np.pi / 63 + 1e-6, np.pi * (np.sqrt(5) - 1)])
def test_samples_of_one_curve_are_of_one_set_and_those_of_neighbours_are_not(angle):
    def orbit(radius, start):
        turned = start + angle * np.arange(2049)
        return radius * np.stack([np.cos(turned), np.sin(turned)], axis=-1)

    starts = np.random.default_rng(0).uniform(0, 2 * np.pi, 20)
    assert all(are_one_set(orbit(1.0, 0.0), orbit(1.0, start), 1e-9) for start in starts)
    assert not any(are_one_set(orbit(1.0, 0.0), orbit(1.01, start), 1e-9) for start in starts)


@pytest.mark.parametrize(("system", "dynamics"), [(henon(), "map"), (lorenz(step=0.02), "flow"), (lorenz(), "map")])
def test_orbits_that_fill_one_chaotic_set_are_of_one_set(system, dynamics):
    orbits = Orbits(system, dynamics)
    judge = make_judge(orbits, 1.0, 128, 4000)
    x = orbits.run(np.random.default_rng(0).uniform(-0.1, 0.1, size=(8, orbits.size)), 4000)
    samples = judge.stretch(x)
    assert all(judge.are_one(samples[:, i], samples[:, j]) for i in range(8) for j in range(i))


def test_a_set_with_a_direction_that_is_lost_is_chaotic():
    x, y = sympy.symbols("x y", real=True)
    lost = from_residual("lost", (x, y), (3.9 * x * (1 - x) - x, -y), 1.0)  # y is 0 after one layer
    assert resdyn.attractors(lost, ([0.1, -1.0], [0.9, 1.0]), n_starts=4).kinds == ("chaotic",)


def test_an_unstable_point_between_two_chaotic_sets_is_boundary():
    x = sympy.Symbol("x", real=True)
    cubic = from_residual("cubic", (x,), (1.597 * x - x**3,), 1.0)
    basins = resdyn.basins_of_attraction(cubic, (np.linspace(-1.5, 1.5, 61),))
    assert basins.kinds == ("chaotic", "chaotic")
    assert_array_equal(basins.outcomes, np.where(np.arange(61) == 30, OUTCOMES["boundary"], OUTCOMES["settled"]))
    assert_array_equal(basins.counts, [30, 30])  # the map is odd


def test_an_unstable_point_inside_a_chaotic_set_is_boundary_and_its_neighbours_are_not():
    fixed = 1 - 1 / 3.9
    basins = resdyn.basins_of_attraction(logistic_map(r=3.9), (np.array([0.2, fixed, fixed + 1e-9, 0.9]),))
    assert_array_equal(basins.boundary, [False, True, False, False])
    assert_array_equal(basins.labels, [0, -1, 0, 0])


@pytest.mark.parametrize("size", [1e4, 1e6, 1e8])
def test_a_large_region_has_the_basins_of_a_small_one(size):
    axis = np.linspace(-size, size, 8)
    basins = resdyn.basins_of_attraction(bistable(), (axis, axis))
    x0, x1 = np.meshgrid(axis, axis, indexing="ij")
    assert_array_equal(basins.labels, np.where(x0 == x1, -1, np.where(x0 > x1, 1, 0)))
    assert_array_equal(basins.boundary, x0 == x1)
    assert resdyn.attractors(bistable(), (-size, size)).kinds == ("fixed point", "fixed point")


@pytest.mark.parametrize("size", [1, 10])
def test_a_small_cycle_is_no_flip(size):
    a, b = 0.03, 0.05  # F(x) = −x(1 − …) with an unstable cycle ±a, a stable one ±b and a stable fixed point

    def residual(t, x, p):
        u = x**2
        return -x * (1 - 0.5 * (u - a * a) * (u - b * b) / (u + a * b) ** 2) - x

    found = resdyn.attractors(resdyn.ResidualSystem(residual, (1,), step=1.0), (-size, size), n_starts=200)
    assert found.periods.tolist() == [2, 1]
    assert_allclose(found[0].points.ravel(), [-b, b], atol=1e-12)


def test_the_radius_of_a_flow_does_not_wait_for_rounding():
    for rtol in (1e-4, 1e-6, 1e-11):
        found = resdyn.attractors(resdyn.systems.duffing(), (-2, 2), dynamics="flow", n_starts=8, rtol=rtol)
        assert_allclose(found.radii, 1e-3 * 4, rtol=1e-2)


def test_a_distance_does_not_reach_over_a_boundary():
    axis = np.linspace(-2, 2, 41)
    basins = resdyn.basins_of_attraction(pitchfork(r=1.0, step=0.1), (axis,), distance=1.2)
    assert_array_equal(basins.labels, np.where(np.arange(41) == 20, -1, axis > 0))
    assert_allclose(basins.radii, 0.5)
    assert "reaches too far" in basins.reason


# --- what is no attractor ---------------------------------------------------------------------------------


def test_a_centre_attracts_nothing_and_is_said():
    # f = (−y, x): the flow turns, the map of step h grows
    found = resdyn.attractors(linear(a=0.0, omega=1.0), (-1, 1), dynamics="flow", n_starts=10, depth=2000)
    assert len(found) == 0
    assert "neutral" in found.reason
    turned = resdyn.attractors(linear(a=0.0, omega=1.0), (-1, 1), n_starts=10)
    assert len(turned) == 0
    assert "neutral" not in turned.reason


def test_a_continuum_of_fixed_points_is_neutral():
    # f = (0, −y): every point of the line y = 0 is fixed
    system = resdyn.ResidualMap(np.diag([0.0, -1.0]), activation="identity", step=0.5)
    axis = np.linspace(-1, 1, 5)
    basins = resdyn.basins_of_attraction(system, (axis, axis), depth=500)
    assert len(basins.attractors) == 0
    assert (basins.outcomes == OUTCOMES["neutral"]).all()
    assert basins.undecided == 1.0


def test_a_semistable_point_is_a_boundary():
    # x' = x + x²: attracts from below, repels above
    system = resdyn.ResidualSystem(
        lambda t, x, p: x**2, 1, jacobian=lambda t, x, p: 2 * x[..., None], name="semistable"
    )
    basins = resdyn.basins_of_attraction(system, (np.array([-0.5, 0.0, 0.5]),), depth=4000)
    assert len(basins.attractors) == 0
    assert basins.outcomes[2] == OUTCOMES["diverged"]
    assert basins.outcomes[1] == OUTCOMES["boundary"]


def test_long_transients_are_said_and_not_guessed():
    # near a fold: x' = x + ε + x² takes π/√ε layers through the gap, more than it is given
    slow = resdyn.ResidualSystem(
        lambda t, x, p: 1e-6 + x**2 - x**3, 1, jacobian=lambda t, x, p: (2 * x - 3 * x**2)[..., None], name="ghost"
    )
    axis = np.array([-0.4, -0.2, 0.0, 0.3, 0.8, 1.4])
    basins = resdyn.basins_of_attraction(slow, (axis,), depth=300)
    late = basins.outcomes == OUTCOMES["long transient"]
    assert_array_equal(late, axis <= 0.0)
    assert np.isnan(basins.times[late]).all()
    assert f"{late.mean():.3g} not settled in 300 layers" in repr(basins)
    patient = resdyn.basins_of_attraction(slow, (axis,), depth=20_000)
    assert (patient.labels == 0).all()
    # the passage through the ghost takes π/√ε layers, half of that from its middle, but for ends of order 1
    assert patient.times[:3] == pytest.approx(np.pi * 1e3 * np.array([1.0, 1.0, 0.5]), rel=0.02)


def test_a_weak_attractor_is_one_without_multipliers_that_say_so():
    system = pitchfork(r=1e-300, step=0.5)  # f = −x³ as far as numbers go
    found = resdyn.attractors(system, (-1, 1), n_starts=8)
    assert found.kinds == ("fixed point",)
    assert found[0].is_stable is None
    assert "not proved by multipliers" in found.reason


# --- logistic residuals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_saturated_attractors_are_the_stable_equilibria(seed):
    W = np.random.default_rng(seed).normal(size=(3, 3))
    system = resdyn.logistic_residuals(W, step=0.1)
    equilibria = resdyn.fixed_points(system)
    stable = equilibria.y[equilibria.stability("map") == 1]
    axis = np.linspace(0.05, 0.95, 8)
    basins = resdyn.basins_of_attraction(system, (axis,) * 3, coordinates="y", distance=0.01)
    for attractor in basins.attractors:
        if attractor.is_stable:
            assert np.abs(stable - attractor.y[0]).max(axis=1).min() < 1e-9
    assert sum(a.is_stable is True for a in basins.attractors) <= len(stable)
    # orbits run far out are where the labels say
    far = resdyn.simulate(system, basins.states.reshape(-1, 3), depth=20_000, save="final").y[-1]
    settled = basins.labels.ravel() >= 0
    assert settled.mean() > 0.5
    where = np.array([a.y[0] for a in basins.attractors])[basins.labels.ravel()[settled]]
    # those that creep towards y = 0 come as near as 1/t lets them, and with the default distance are not settled yet
    assert np.abs(far[settled] - where).max() < 2e-3
    if not len(stable):
        strict = resdyn.basins_of_attraction(system, (axis[::3],) * 3, coordinates="y")
        assert (strict.outcomes == OUTCOMES["long transient"]).all()
        assert "give a larger distance, or more depth" in strict.reason


def test_heteroclinic_cycles_settle_on_no_corner():
    basins = resdyn.basins_of_attraction(
        resdyn.logistic_residuals(cyclic_weights(), step=0.1),
        (np.linspace(0.1, 0.9, 4),) * 3,
        coordinates="y",
        depth=3000,
    )
    corners = [a.y[0] for a in basins.attractors]
    assert all(np.array_equal(y, np.zeros(3)) for y in corners)


# --- what must not change the answer -----------------------------------------------------------------------


def test_neither_threads_nor_the_order_of_the_grid_matter():
    first, second = np.linspace(-1.4, 1.4, 13), np.linspace(-1.2, 1.3, 11)
    for system in (newton_map(), henon()):
        one = resdyn.basins_of_attraction(system, (first, second), threads=1)
        two = resdyn.basins_of_attraction(system, (first, second), threads=2)
        turned = resdyn.basins_of_attraction(system, (first[::-1], second))
        for name in ("labels", "outcomes", "times", "points", "radii", "unstable"):
            assert_array_equal(getattr(one, name), getattr(two, name))
        assert_array_equal(one.labels, turned.labels[::-1])
        assert_array_equal(one.times, turned.times[::-1])
        assert_array_equal(one.points, turned.points)


@settings(max_examples=30, deadline=None, phases=PHASES)
@given(st.permutations(range(12)), st.integers(0, 5))
def test_the_order_of_starts_depends_on_their_coordinates_alone(order, seed):
    x = np.random.default_rng(seed).normal(size=(12, 3))
    assert_array_equal(x[shuffled(x)], x[list(order)][shuffled(x[list(order)])])
    assert_array_equal(shuffled(np.array([[0.0], [1.0]])), shuffled(np.array([[-0.0], [1.0]])))
    for n in (1, 5, 12, 20):
        assert_array_equal(least(keys(x), n), shuffled(x)[:n])


def test_kernel_and_numpy_settle_alike():
    system = bistable()
    x = np.random.default_rng(0).uniform(-2, 2, size=(300, 2))
    x[:3] = [[0.3, 0.3], [np.nan, 0.0], [1e200, 0.0]]
    points = np.array([[0.00715, 0.99285], [0.99285, 0.00715], [0.5, 0.5]])
    for every, dwell in ((1, 1), (3, 4)):
        targets = Targets(points, np.array([0, 1, -2]), np.array([1e-2, 2e-2, 1e-6]), dwell=dwell, every=every)
        orbits = Orbits(system, "map")
        owners, layers = settle(orbits, x, targets, 400)
        assert_array_equal(owners, _settle_in_numpy(orbits, x, targets, 400)[0])
        assert_array_equal(layers, _settle_in_numpy(orbits, x, targets, 400)[1])
        assert_array_equal(owners[:3], [-2, -9, -9])
        for depth in (20, 21):
            few = settle(orbits, x, targets, depth)
            assert_array_equal(few[0], _settle_in_numpy(orbits, x, targets, depth)[0])
            assert (few[0] == -1).any()
            assert few[1].max() <= depth


def settle_alike(orbits, x, targets, depth):
    """By the kernel, checked against NumPy and against another number of threads."""
    fast, slow = settle(orbits, x, targets, depth), _settle_in_numpy(orbits, x, targets, depth)
    alone = settle(replace(orbits, threads=1), x, targets, depth)
    for mine, theirs, single in zip(fast, slow, alone, strict=True):
        assert_array_equal(mine, theirs)
        assert_array_equal(mine, single)
    return fast


def test_kernel_and_numpy_settle_alike_on_a_chaotic_attractor():
    found = resdyn.attractors(henon(), (-1.5, 1.5), n_starts=100)
    assert len(found.points) > 1000
    axis = np.linspace(-1.5, 1.5, 50)
    x = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    # the outer fixed point is on the boundary; it comes after the sample, as every other point would
    points = np.concatenate([found.points, found.unstable])
    owners = np.concatenate([found.owners, np.full(len(found.unstable), -2)])
    radii = np.where(owners == 0, found.radii[0], 1e-6)
    for every, dwell in ((1, 16), (2, 3)):
        targets = Targets(points, owners, radii, dwell=dwell, every=every)
        # orbits part by a factor of 1.5 in each layer: in so few, rounding stays below 1e-10
        owner, layers = settle_alike(Orbits(henon(), "map", threads=2), x, targets, 36)
        assert set(owner) == {0, -9}
        assert layers.max() > 4


def test_kernel_and_numpy_settle_alike_in_flows():
    x = np.random.default_rng(3).uniform(-2, 2, size=(300, 2))
    x[:3] = [[0.0, 0.0], [np.nan, 0.0], [1e200, 0.0]]
    points = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    # with small tolerances, errors of neither path can move an orbit across the rim of a ball at a test
    orbits = Orbits(duffing(), "flow", rtol=1e-10, atol=1e-12, threads=2)
    for every, dwell in ((8, 1), (3, 4)):
        targets = Targets(points, np.array([0, 1, -2]), np.array([1e-2, 2e-2, 1e-6]), dwell=dwell, every=every)
        owners = settle_alike(orbits, x, targets, 900)[0]
        assert_array_equal(owners[:3], [-2, -9, -9])
        assert set(owners) == {0, 1, -2, -9}
        few = settle_alike(orbits, x, targets, 450)
        assert (few[0] == -1).any()
        assert few[1].max() <= 450
    # around the centre of logistic residuals: distances are those of y
    system = resdyn.logistic_residuals([[1.0, -2.0], [-2.0, 1.0]], step=0.3)
    start = system.from_residuals(np.random.default_rng(4).uniform(0.02, 0.98, size=(100, 2)))
    corners = Targets(np.eye(2), np.arange(2), np.full(2, 0.02), every=2)
    orbits = Orbits(system, "flow", rtol=1e-10, atol=1e-12, threads=2)
    assert set(settle_alike(orbits, start, corners, 400)[0]) == {0, 1}


@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("n", [40, 900])
def test_points_are_found_as_by_comparing_with_all(d, n):
    rng = np.random.default_rng(10 * d + n)
    # f = 0 stays where it is: what is near at layer 0 is all that is asked
    system = resdyn.ResidualMap(np.zeros((d, d)), activation="identity", step=0.1)
    points = rng.uniform(-1, 1, size=(n, d)) * rng.choice([0.2, 1.0], size=(n, 1))
    owners = np.sort(rng.integers(0, 4, size=n))
    owners[-10:] = -2
    radii = rng.choice([0.03, 0.1, 0.25], size=n)
    x = rng.uniform(-1.4, 1.4, size=(3000, d))
    x[:n] = points[: len(x)]
    inside = ((x[:, None] - points) ** 2).sum(axis=-1) <= radii**2
    expected = np.where(inside.any(axis=1), owners[n - 1 - inside[:, ::-1].argmax(axis=1)], -1)
    targets = Targets(points, owners, radii)
    for some in (x, x[:5]):  # many states make finer cells
        assert_array_equal(settle(Orbits(system, "map"), some, targets, 0)[0], expected[: len(some)])
        assert_array_equal(targets.near(some), expected[: len(some)])
    assert len(set(expected)) > 3


def test_a_flow_is_not_asked_to_come_nearer_than_its_integrator():
    axis = np.linspace(-2, 2, 20)
    basins = resdyn.basins_of_attraction(duffing(), (axis, axis), dynamics="flow")
    # a thousandth of the region, not halved: orbits from its rim come back, but for errors of a step
    assert_allclose(basins.radii, 4e-3)
    assert_array_equal(basins.labels, 1 - basins.labels[::-1, ::-1])


def test_a_cycle_begins_at_its_least_point_and_is_as_short_as_it_can():
    judge = make_judge(Orbits(logistic_map(r=3.2), "map"), 1.0, 128, 1000)
    low, high = np.sort(np.roots([3.2**2, -3.2 * 4.2, 4.2]))  # the 2-cycle: r²x² − r(r + 1)x + (r + 1) = 0
    assert_allclose(judge.cycle(np.array([high]), 4).ravel(), [low, high], atol=1e-12)
    assert_allclose(judge.cycle(np.array([1 - 1 / 3.2]), 2).ravel(), [1 - 1 / 3.2], atol=1e-12)


def test_a_plane_is_the_grid_that_it_cuts():
    axis = np.linspace(-1, 1, 9)
    whole = resdyn.basins_of_attraction(bistable(), (axis + 0.5, 2 * axis))
    cut = resdyn.basins_of_attraction(bistable(), (axis, axis), plane=([0.5, 0.0], [[1.0, 0.0], [0.0, 2.0]]))
    assert_array_equal(cut.labels, whole.labels)
    assert_array_equal(cut.states, whole.states)


def test_times_are_the_first_layer_near_for_good():
    system = bistable()
    axis = np.linspace(-2, 2, 12)
    basins = resdyn.basins_of_attraction(system, (axis, axis + 0.01), distance=1e-3)
    x = resdyn.simulate(system, basins.states, depth=1000).x
    away = np.linalg.norm(x[..., None, :] - basins.points, axis=-1).min(axis=-1)
    near = away <= 1e-3
    assert_array_equal(basins.times, near.argmax(axis=0))
    assert near[-1].all()
    every = resdyn.basins_of_attraction(system, (axis, axis + 0.01), distance=1e-3, every=8)
    assert_array_equal(every.labels, basins.labels)
    assert_array_equal(every.times, np.ceil(basins.times / 8) * 8)
    flow = resdyn.basins_of_attraction(system, (axis, axis + 0.01), distance=1e-3, dynamics="flow", every=1)
    # a map of step 0.1 and its flow differ by about a step's share
    assert np.abs(flow.times - 0.1 * basins.times).max() < 1.0


def test_systems_without_a_kernel_have_the_same_basins():
    axis = np.linspace(-2, 2, 15)
    fast = resdyn.basins_of_attraction(bistable(), (axis, axis))
    slow = resdyn.basins_of_attraction(without_the_kernel(bistable()), (axis, axis))
    assert_array_equal(fast.labels, slow.labels)
    assert_array_equal(fast.times, slow.times)


def test_many_units_through_a_plane():
    W = resdyn.systems.symmetric_weights(40)
    system = resdyn.ResidualMap.hopfield(W * 3 / np.abs(np.linalg.eigvalsh(W)).max(), step=0.2)
    origin, directions = np.zeros(40), np.linalg.qr(np.random.default_rng(0).normal(size=(40, 2)))[0].T
    axis = np.linspace(-1, 1, 9)
    basins = resdyn.basins_of_attraction(system, (axis, axis), plane=(origin, directions), depth=3000)
    assert basins.labels.shape == (9, 9)
    assert_allclose(basins.states[2, 6], axis[2] * directions[0] + axis[6] * directions[1], atol=1e-15)
    # tanh without bias is odd, so the mirror image goes to the mirror image
    centres = np.array([a.centre for a in basins.attractors])
    labels = basins.labels
    settled = (labels >= 0) & (labels[::-1, ::-1] >= 0)
    assert settled.mean() > 0.9
    assert_allclose(centres[labels[settled]], -centres[labels[::-1, ::-1][settled]], atol=1e-8)


def test_a_thousand_certified_networks_have_one_basin():
    rng = np.random.default_rng(0)
    axis = np.linspace(-3, 3, 3)
    for trial in range(1000):
        W = rng.normal(size=(2, 2))
        W *= rng.uniform(0.2, 0.95) / np.linalg.norm(W, 2)  # tanh has slopes up to 1, so |α|‖W‖ < λ contracts
        system = resdyn.ResidualMap(W, rng.normal(size=2), damping=1.0, activation="tanh", step=rng.uniform(0.1, 1.0))
        assert resdyn.lyapunov_function(system, dynamics="map"), trial
        basins = resdyn.basins_of_attraction(system, (axis, axis), depth=400, distance=1e-3, threads=1)
        assert basins.fractions.tolist() == [1.0], (trial, basins)
        assert basins.kinds == ("fixed point",)


# --- known attractors, features, questions ------------------------------------------------------------------


def test_known_attractors_give_the_same_labels():
    axis = np.linspace(-2, 2, 21)
    found = resdyn.basins_of_attraction(bistable(), (axis, axis + 0.01))
    again = resdyn.basins_of_attraction(bistable(), (axis, axis + 0.01), attractors=found.attractors)
    assert_array_equal(again.labels, found.labels)
    points = [a.points for a in found.attractors][::-1]
    swapped = resdyn.basins_of_attraction(bistable(), (axis, axis + 0.01), attractors=points)
    assert_array_equal(swapped.labels, 1 - found.labels)
    assert swapped.kinds == ("fixed point", "fixed point")
    only = resdyn.basins_of_attraction(bistable(), (axis, axis + 0.01), attractors=points[:1], depth=500)
    assert set(np.unique(only.labels)) == {-1, 0}
    saddle = resdyn.basins_of_attraction(bistable(), (axis,) * 2, attractors=[[0.5, 0.5]], depth=100, distance=1e-3)
    assert "no orbits from nearby came back" in saddle.reason


def test_attractors_of_another_system_are_not_believed():
    axis = np.linspace(-2, 2, 21)
    other = resdyn.attractors(pitchfork(r=0.5, step=0.1), (-2, 2), n_starts=20)
    for step in (0.1, 1e-6):  # with a short step orbits do not get far anywhere
        with pytest.raises(ValueError, match="does not repeat itself under"):
            resdyn.basins_of_attraction(pitchfork(r=1.0, step=step), (axis,), attractors=other, distance=0.2)
    # the same points, other multipliers
    shorter = resdyn.basins_of_attraction(pitchfork(r=0.5, step=0.2), (axis,), attractors=other)
    assert_allclose(shorter.multipliers.real, 0.8, atol=1e-9)  # 1 + h(r − 3x²) = 1 − 2rh
    chaotic = resdyn.attractors(logistic_map(r=3.9), (0.1, 0.9), n_starts=8)
    again = resdyn.basins_of_attraction(logistic_map(r=3.9), (np.linspace(0.1, 0.9, 5),), attractors=chaotic)
    assert again.kinds == ("chaotic",)
    with pytest.raises(ValueError, match="does not repeat itself under"):
        resdyn.basins_of_attraction(logistic_map(r=3.2), (np.linspace(0.1, 0.9, 5),), attractors=chaotic)


def test_a_repeller_is_boundary_whether_it_is_given_or_not():
    axis = np.linspace(-2, 2, 41)
    system = pitchfork(r=1.0, step=0.1)
    expected = np.where(np.arange(41) == 20, -1, axis > 0)
    two = resdyn.basins_of_attraction(system, (axis,), attractors=[[-1.0], [1.0]])
    three = resdyn.basins_of_attraction(system, (axis,), attractors=[[-1.0], [0.0], [1.0]])
    grouped = resdyn.basins_of_attraction(system, (axis,), features=lambda x: x[-1], depth=1000)
    for basins in (two, three, grouped):
        assert_array_equal(basins.labels, expected)
        assert_array_equal(basins.boundary, expected == -1)
        assert_allclose(basins.unstable, [[0.0]], atol=1e-12)
    assert_allclose(three.radii, two.radii)
    assert "Of number 1 no orbits from nearby came back; it is taken for a boundary" in three.reason


def test_labels_agree_with_a_classification_of_the_same_states(tmp_path):
    axis = np.linspace(-2, 2, 15)
    basins = resdyn.basins_of_attraction(bistable(), (axis, axis))
    assert_array_equal(basins.classify(basins.states), basins.labels)
    assert basins.classify([1.0, 0.0]).shape == ()
    basins.save(tmp_path / "basins.npz")
    loaded = Basins.load(tmp_path / "basins.npz")
    assert repr(loaded) == repr(basins)
    assert_array_equal(loaded.classify(basins.states), basins.labels)
    for mine, theirs in zip(basins.axes, loaded.axes, strict=True):
        assert_array_equal(mine, theirs)
    found = basins.attractors
    found.save(tmp_path / "attractors.npz")
    assert repr(Attractors.load(tmp_path / "attractors.npz")) == repr(found)
    assert_array_equal(found[-1].points, found.points[1:])
    assert [a.kind for a in found[:1]] == ["fixed point"]


def test_results_as_words_tables_and_datasets():
    axis = np.linspace(-2, 2, 11)
    basins = resdyn.basins_of_attraction(bistable(), (axis, axis[::2]))
    assert "2 fixed points with fractions" in repr(basins)
    assert "on a boundary" in repr(basins)
    assert "<table>" in basins._repr_html_()
    data = basins.to_dataset()
    assert data.labels.shape == (11, 6)
    assert_array_equal(data.unit_0, axis)
    assert basins.attractors.to_dataset().kind.values.tolist() == ["fixed point"] * 2
    assert "fixed point at x" in repr(basins.attractors)
    edges = basins.edges()
    x0, x1 = np.meshgrid(axis, axis[::2], indexing="ij")
    assert edges[x0 == x1].all()
    assert not edges[np.abs(x0 - x1) > 1.3].any()


def test_intervals_of_fractions_are_wilsons():
    from statistics import NormalDist

    z = NormalDist().inv_cdf(0.975)
    low, high = wilson_interval(30, 100)
    for p in (low, high):
        assert (0.3 - p) ** 2 == pytest.approx(z**2 * p * (1 - p) / 100, rel=1e-12)
    assert wilson_interval(np.array([0, 10]), 10)[:, 0][0] == 0.0
    assert wilson_interval(np.array([0, 10]), 10)[1, 1] == 1.0
    # they cover the true fraction 1/2 of random states of the bistable network about as often as they say
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(400):
        share = (rng.uniform(size=(60, 2)) @ [1, -1] > 0).sum()
        low, high = wilson_interval(share, 60)
        hits += low <= 0.5 <= high
    assert hits / 400 == pytest.approx(0.95, abs=0.035)  # three standard errors


def test_wrong_arguments_are_refused_with_the_remedy():
    axis = np.linspace(-1, 1, 3)
    with pytest.raises(ValueError, match=r"grid has 1 axes, but 'bistable network' has 2 state variables"):
        resdyn.basins_of_attraction(bistable(), (axis,))
    with pytest.raises(TypeError, match="tuple of axes"):
        resdyn.basins_of_attraction(bistable(), axis)
    with pytest.raises(ValueError, match="must run one way"):
        resdyn.basins_of_attraction(bistable(), (axis, [0.0, 0.0]))
    with pytest.raises(ValueError, match="needs attractors"):
        resdyn.basins_of_attraction(bistable(), (axis, axis), algorithm="proximity")
    with pytest.raises(ValueError, match="leave one of them out"):
        resdyn.basins_of_attraction(bistable(), (axis, axis), algorithm="recurrences", attractors=[[0.5, 0.5]])
    with pytest.raises(ValueError, match="needs features"):
        resdyn.attractors(bistable(), (-1, 1), algorithm="features")
    with pytest.raises(ValueError, match="logistic residuals"):
        resdyn.basins_of_attraction(bistable(), (axis, axis), coordinates="y")
    with pytest.raises(ValueError, match=r"attractors\[0\] has shape"):
        resdyn.basins_of_attraction(bistable(), (axis, axis), attractors=[np.zeros(3)])
    with pytest.raises(ValueError, match="repeats one and the same layer"):
        resdyn.attractors(resdyn.ResidualMap(np.zeros((2, 3, 3))), (-1, 1))
    with pytest.raises(ValueError, match="low < high"):
        resdyn.attractors(bistable(), (1, -1))
    with pytest.raises(ValueError, match="belongs to the integration of a flow"):
        resdyn.attractors(bistable(), (-1, 1), rtol=1e-6)
    found = resdyn.attractors(bistable(), (-1, 1), dynamics="flow", n_starts=4)
    with pytest.raises(ValueError, match="of the flow"):
        resdyn.basins_of_attraction(bistable(), (axis, axis), attractors=found)


def test_features_leave_to_the_boundary_what_starts_on_it():
    # rounding is not the same in both units, so that after thousands of layers these orbits have left the diagonal
    axis = np.linspace(-2, 2, 60)
    grouped = resdyn.basins_of_attraction(bistable(), (axis, axis), features=lambda x: x.mean(axis=0))
    assert np.array_equal(grouped.boundary, np.eye(60, dtype=bool))
    assert (grouped.labels[grouped.boundary] == -1).all()


def test_features_find_the_same_basins_as_recurrences():
    axis = np.linspace(-1.9, 1.9, 16)
    by_place = resdyn.basins_of_attraction(bistable(), (axis, axis + 0.01))
    seen = []

    def last_difference(x):
        seen.append(x.shape)
        return (x[-1, :, 0] - x[-1, :, 1])[:, None]

    grouped = resdyn.basins_of_attraction(bistable(), (axis, axis + 0.01), features=last_difference, depth=1000)
    assert grouped.method == "features"
    assert_array_equal(grouped.labels, by_place.labels)
    assert_allclose(grouped.points, by_place.points, atol=1e-12)
    assert seen[0][1:] == (256, 2)
    found = resdyn.attractors(bistable(), (-2, 2), features=last_difference, n_starts=60, depth=1000)
    assert_allclose(found.points, by_place.points, atol=1e-12)
    strip = resdyn.basins_of_attraction(
        pitchfork(r=0.9, step=1.0), (np.linspace(-2, 2, 40),), features=lambda x: x[-1], depth=500
    )
    assert_array_equal(strip.outcomes == OUTCOMES["diverged"], np.abs(strip.axes[0]) > np.sqrt(2.9))
    with pytest.raises(ValueError, match="one row for each of the 256 orbits"):
        resdyn.basins_of_attraction(bistable(), (axis, axis), features=lambda x: x[0, :, 0])


def test_questions_about_the_boundary_are_passed_on():
    axis = np.linspace(-2, 2, 30)
    basins = resdyn.basins_of_attraction(bistable(), (axis, axis))
    assert basins.entropy().value == resdyn.basin_entropy(basins).value
    assert basins.uncertainty_exponent().exponent == resdyn.uncertainty_exponent(basins).exponent
    assert basins.minimal_shock(0).size == resdyn.minimal_shock(basins, 0).size
    states = [1.0, 0.0], [0.0, 1.0]
    assert_array_equal(basins.edge_state(*states).x, resdyn.edge_state(basins, *states).x)


def test_memory_does_not_grow_with_the_number_of_layers():
    import tracemalloc

    # an area-preserving map: nothing settles, every orbit runs to the end
    system = resdyn.systems.standard_map(K=0.5)
    axis = np.linspace(-1, 1, 8)
    peaks = []
    for depth in (1_000, 4_000):
        tracemalloc.start()
        basins = resdyn.basins_of_attraction(system, (axis, axis), attractors=[[np.pi, 0.0]], depth=depth)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert basins.undecided > 0.9
    # saving all layers of all states would take 3000 × 64 × 2 numbers more, 3 MB
    assert peaks[1] <= peaks[0] + 3e5
