"""Continuation: bifurcations in closed form, what must not change them, and what happens where a branch ends."""

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import sympy
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

import resdyn
import resdyn_theory
from resdyn.analysis.branches import Branch, continuation
from resdyn.analysis.branches.normal_forms import _Derivatives
from resdyn.analysis.branches.problem import Problem
from resdyn.systems import delayed_logistic, henon, logistic_map, lorenz, pitchfork, random_weights

# the tolerance on values that are said to be located to 1e-10 of the interval
LOCATED = 1e-9


def in_one_unit(formula):
    """A family over p of one unit with the residual ``formula`` in x and p."""
    x, p = sympy.symbols("x p", real=True)
    symbolic = resdyn_theory.SymbolicSystem(
        name="one unit", state=(x,), residual=(sympy.sympify(formula, {"x": x, "p": p}),), parameters={p: 0.5}
    )
    return lambda value: resdyn.from_symbolic(symbolic, params={"p": value}, step=0.1)


def hopf_family(*, cubic):
    """The normal form of the Hopf bifurcation, turning at ω = 2."""
    x, y, p = sympy.symbols("x y p", real=True)
    radius = x**2 + y**2
    symbolic = resdyn_theory.SymbolicSystem(
        name="Hopf normal form",
        state=(x, y),
        residual=(p * x - 2 * y + cubic * x * radius, 2 * x + p * y + cubic * y * radius),
        parameters={p: 0.1},
    )
    return lambda value: resdyn.from_symbolic(symbolic, params={"p": value}, step=0.01)


def logistic_family(r):
    return logistic_map(r=r)


class OnlyLinearize:
    """A System with nothing but the contract, however much the one behind it has."""

    def __init__(self, system):
        self.name, self.shape, self.step, self.depth = "bare", system.shape, system.step, system.depth
        self._system = system

    def residual(self, t, x):
        return self._system.residual(t, x)

    def linearize(self, t, x):
        return self._system.linearize(t, x)


# --- closed forms --------------------------------------------------------------------------------------


def test_logistic_map_flips_at_3_and_its_cycle_at_1_plus_root_6():
    branch = continuation(logistic_family, [0.5], (2.0, 3.8))
    (flip,) = branch.bifurcations
    assert (flip.kind, flip.criticality, flip.period) == ("flip", "supercritical", 1)
    assert flip.value == pytest.approx(3.0, abs=LOCATED)
    assert flip.coefficient == pytest.approx(9.0, abs=1e-6)  # :eq:`logistic-flip-coefficient`, by differences
    assert flip.multiplier == pytest.approx(-1.0, abs=LOCATED)
    assert branch.x[:, 0] == pytest.approx(1 - 1 / branch.values, abs=1e-13)
    assert branch.multipliers[:, 0].real == pytest.approx(2 - branch.values, abs=1e-12)
    cycle = continuation(logistic_family, flip, (2.0, 3.8))
    assert cycle.period == 2
    assert cycle.orbits.shape == (len(cycle), 2, 1)
    r, (p, q) = cycle.values[1:], cycle.orbits[1:, :, 0].T
    # the cycle is known to the rounding unit over its distance from the fixed point
    assert p + q == pytest.approx(1 + 1 / r, abs=1e-11)
    assert r * p * (1 - p) == pytest.approx(q, abs=1e-11)
    assert cycle.multipliers[1:, 0].real == pytest.approx(4 + 2 * r - r**2, abs=1e-10)
    (second,) = cycle.bifurcations
    assert second.value == pytest.approx(1 + np.sqrt(6), abs=LOCATED)
    assert (second.kind, second.criticality) == ("flip", "supercritical")


def test_period_doublings_of_the_logistic_map_approach_feigenbaums_ratio():
    bifurcation = continuation(logistic_family, [0.6], (2.9, 3.6)).bifurcations[0]
    found = [bifurcation.value]
    for _ in range(4):
        bifurcation = continuation(logistic_family, bifurcation, (2.9, 3.6)).bifurcations[0]
        found.append(bifurcation.value)
    # as tabulated for the period-doubling cascade, to the digits given
    assert found[2:] == pytest.approx([3.544090, 3.564407, 3.568759], abs=1e-6)
    assert bifurcation.period == 16
    ratio = np.diff(found)[:-1] / np.diff(found)[1:]
    # the third ratio; it converges to 4.669 as δ does, by a factor of about 5 per doubling
    assert abs(ratio[-1] - 4.669202) < 0.02
    assert abs(ratio[-1] - 4.669202) < abs(ratio[0] - 4.669202)


def test_delayed_logistic_map_leaves_its_fixed_point_turning_by_sixty_degrees():
    branch = continuation(lambda r: delayed_logistic(r=r), [0.4, 0.4], (1.2, 2.6))
    (found,) = branch.bifurcations
    assert (found.kind, found.criticality) == ("Neimark–Sacker", "supercritical")
    assert found.value == pytest.approx(2.0, abs=LOCATED)
    assert found.angle == pytest.approx(np.pi / 3, abs=LOCATED)
    assert found.coefficient == pytest.approx(-1.0, abs=1e-6)  # :eq:`delayed-logistic-coefficient`
    assert abs(found.multiplier) == pytest.approx(1.0, abs=LOCATED)
    assert np.isnan(found.frequency)


def test_henon_map_has_its_fold_and_flip_in_closed_form():
    branch = continuation(
        lambda a: resdyn.from_symbolic(henon().symbolic, params={"a": a}),
        [0.63, 0.19],
        (-0.3, 1.4),
        start=1.4,
        most_points=150,
    )
    kinds = dict(zip(branch.bifurcation_kinds, branch.bifurcation_values, strict=True))
    assert kinds["fold"] == pytest.approx(-(0.7**2) / 4, abs=LOCATED)
    assert kinds["flip"] == pytest.approx(3 * 0.7**2 / 4, abs=LOCATED)
    # both sides of the fold are there
    x, a = branch.x[:, 0], branch.values
    assert a * x**2 + 0.7 * x == pytest.approx(1.0, abs=1e-11)
    assert (x > 0).any()
    assert (a < 0).sum() > 2


@pytest.mark.parametrize("dynamics", ["map", "flow"])
def test_fold_is_passed_and_located(dynamics):
    branch = continuation(in_one_unit("p - x**2"), [1.0], (-0.5, 1.0), start=1.0, dynamics=dynamics)
    (fold,) = branch.bifurcations
    assert fold.kind == "fold"
    assert fold.value == pytest.approx(0.0, abs=LOCATED)
    assert fold.tangent[-1] == pytest.approx(0.0, abs=LOCATED)
    # f'' / 2 = −1, times h for the map
    assert fold.coefficient == pytest.approx(-0.1 if dynamics == "map" else -1.0, abs=1e-8)
    assert branch.x[:, 0] ** 2 == pytest.approx(branch.values, abs=1e-13)
    assert branch.values[[0, -1]] == pytest.approx([1.0, 1.0], abs=0)
    assert np.array_equal(branch.stable == 1, branch.x[:, 0] > 0)


def test_transcritical_branch_is_switched_to_on_both_sides():
    family = in_one_unit("p*x - x**2")
    branch = continuation(family, [0.0], (-1.0, 1.0))
    (point,) = branch.bifurcations
    assert (point.kind, point.criticality) == ("branch point", None)
    assert point.value == pytest.approx(0.0, abs=LOCATED)
    other = continuation(family, point, (-1.0, 1.0))
    assert other.x[:, 0] == pytest.approx(other.values, abs=1e-9)
    assert sorted(other.values[[0, -1]]) == [-1.0, 1.0]
    # they exchange stability
    assert (other.stable[other.values > 0.01] == 1).all()
    assert (branch.stable[branch.values > 0.01] == 0).all()


@pytest.mark.parametrize("dynamics", ["map", "flow"])
def test_pitchfork_is_found_from_either_branch(dynamics):
    def family(r):
        return pitchfork(r=r, step=0.1)

    trivial = continuation(family, [0.0], (-1.0, 2.0), dynamics=dynamics)
    bent = continuation(family, [1.0], (-1.0, 2.0), start=1.0, dynamics=dynamics)
    for branch in (trivial, bent):
        assert branch.bifurcation_kinds == ("branch point",)
        assert branch.bifurcation_values == pytest.approx([0.0], abs=LOCATED)
    assert bent.x[:, 0] ** 2 == pytest.approx(bent.values, abs=1e-12)
    both = continuation(family, trivial.bifurcations[0], (-1.0, 2.0))
    assert both.x[[0, -1], 0] == pytest.approx(np.array([-1, 1]) * np.sqrt(2) * np.sign(both.x[-1, 0]), abs=1e-12)
    back = continuation(family, bent.bifurcations[0], (-1.0, 2.0))
    assert back.x == pytest.approx(0.0, abs=1e-9)
    assert sorted(back.values[[0, -1]]) == [-1.0, 2.0]
    assert both.dynamics == back.dynamics == dynamics


def test_branch_points_that_do_not_lie_along_the_axes_are_switched_too():
    family = in_one_unit("(x - p/2 - p**2)*(x + p)*(1 + x**2)")
    branch = continuation(family, [0.4], (-0.4, 0.5))
    assert branch.x[:, 0] == pytest.approx(-branch.values, abs=1e-12)
    (point,) = branch.bifurcations
    assert point.value == pytest.approx(0.0, abs=LOCATED)
    other = continuation(family, point, (-0.4, 0.5))
    # the other branch through 0, not the same one again
    assert other.x[:, 0] == pytest.approx(other.values / 2 + other.values**2, abs=1e-8)


@pytest.mark.parametrize(("cubic", "word"), [(-1.0, "supercritical"), (1.0, "subcritical")])
def test_hopf_normal_form(cubic, word):
    branch = continuation(hopf_family(cubic=cubic), [0.0, 0.0], (-0.5, 0.7), dynamics="flow")
    (found,) = branch.bifurcations
    assert (found.kind, found.criticality) == ("Hopf", word)
    assert found.value == pytest.approx(0.0, abs=LOCATED)
    assert found.frequency == pytest.approx(2.0, abs=LOCATED)
    # Re⟨w, C(v, v, v̄)⟩ / 2ω with |v| = 1: C(v, v, v̄) = 4·cubic·v for v = (1, −i)/√2
    assert found.coefficient == pytest.approx(cubic * 4 / 2 / 2, abs=1e-7)
    # the same equilibrium as a map: e^{iθ} leaves the unit circle where 2p + h(p² + ω²) = 0
    mapped = continuation(hopf_family(cubic=cubic), [0.0, 0.0], (-0.5, 0.7))
    h = 0.01
    assert mapped.bifurcation_kinds == ("Neimark–Sacker",)
    assert mapped.bifurcation_values == pytest.approx([(-1 + np.sqrt(1 - 4 * h * h)) / h], abs=LOCATED)


def test_lorenz_flow_has_its_pitchfork_and_its_subcritical_hopf_bifurcation():
    def family(rho):
        return lorenz(rho=rho)

    origin = continuation(family, np.zeros(3), (0.5, 28.0), dynamics="flow", scale=5.0)
    (fork,) = origin.bifurcations
    assert (fork.kind, fork.value) == ("branch point", pytest.approx(1.0, abs=LOCATED * 28))
    sides = continuation(family, fork, (0.5, 28.0), scale=5.0)
    sigma, beta = 10.0, 8 / 3
    critical = sigma * (sigma + beta + 3) / (sigma - beta - 1)
    assert sides.bifurcation_kinds == ("Hopf", "Hopf")
    assert sides.bifurcation_values == pytest.approx([critical] * 2, abs=LOCATED * 28)
    omega = np.sqrt(2 * sigma * beta * (sigma + 1) / (sigma - beta - 1))
    for hopf in sides.bifurcations:
        assert hopf.criticality == "subcritical"
        assert hopf.frequency == pytest.approx(omega, abs=1e-7)
    assert sides.x[:, 0] ** 2 == pytest.approx(beta * (sides.values - 1), abs=1e-9)


def test_supercritical_coefficient_predicts_the_amplitude_of_the_cycle():
    """Near a flip the 2-cycle is x* ± √(μ-distance / c): from the normal form F² = x(1 + 2δ) − 2c x³."""
    flip = continuation(lambda r: pitchfork(r=r, step=0.5), [1.0], (1.0, 2.2)).bifurcations[0]
    assert flip.value == pytest.approx(2.0, abs=LOCATED)  # :eq:`pitchfork-flip`, h = 1/r
    assert flip.coefficient == pytest.approx(8 / 2.0, abs=1e-6)  # :eq:`pitchfork-flip-coefficient`
    cycle = continuation(lambda r: pitchfork(r=r, step=0.5), flip, (1.0, 2.2))
    near = cycle.crossings(lambda r: pitchfork(r=r, step=0.5), 2.001)[0, 0]
    fixed, delta = np.sqrt(2.001), 0.001  # μ = 1 − 2hr = −1 − δ
    assert abs(near - fixed) == pytest.approx(np.sqrt(delta / flip.coefficient), rel=0.05)  # the next order


# --- what must not change the answer --------------------------------------------------------------------


def network_family(*, order=None, activation="tanh", step=0.8, n=6, seed=3):
    generator = np.random.default_rng(seed)
    W, b = 1.5 * generator.normal(size=(n, n)) / np.sqrt(n), 0.2 * generator.normal(size=n)
    order = np.arange(n) if order is None else order
    W, b = W[np.ix_(order, order)], b[order]
    return lambda gain: resdyn.ResidualMap(W, b, activation=activation, damping=1.0, gain=gain, step=step)


@pytest.mark.parametrize("dynamics", ["map", "flow"])
def test_reordered_units_have_the_reordered_branch(dynamics):
    order = np.array([3, 0, 5, 1, 4, 2])
    plain = continuation(network_family(), np.zeros(6), (0.1, 3.0), dynamics=dynamics)
    turned = continuation(network_family(order=order), np.zeros(6), (0.1, 3.0), dynamics=dynamics)
    assert plain.bifurcation_kinds == turned.bifurcation_kinds
    assert len(plain.bifurcation_kinds) > 0
    assert turned.values == pytest.approx(plain.values, abs=1e-8)
    assert turned.x == pytest.approx(plain.x[:, order], abs=1e-8)
    assert turned.bifurcation_values == pytest.approx(plain.bifurcation_values, abs=LOCATED)
    assert turned.bifurcation_coefficients == pytest.approx(plain.bifurcation_coefficients, rel=1e-4, abs=1e-7)


def test_steps_scale_and_bare_contract_do_not_move_bifurcations():
    family = network_family()
    plain = continuation(family, np.zeros(6), (0.1, 3.0))
    others = [
        continuation(family, np.zeros(6), (0.1, 3.0), largest_step=0.01, step_size=0.003),
        continuation(family, np.zeros(6), (0.1, 3.0), scale=10.0),
        continuation(family, np.zeros(6), (3.0, 0.1), start=0.1),
        continuation(lambda gain: OnlyLinearize(family(gain)), np.zeros(6), (0.1, 3.0)),
    ]
    for branch in others:
        assert branch.bifurcation_kinds == plain.bifurcation_kinds
        assert branch.bifurcation_values == pytest.approx(plain.bifurcation_values, abs=LOCATED)
    assert len(others[0]) > 3 * len(plain)


@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(seed=st.integers(0, 10**6), n=st.integers(1, 8), dynamics=st.sampled_from(["map", "flow"]))
def test_points_are_fixed_points_and_their_stability_is_that_of_fixed_points(seed, n, dynamics):
    family = network_family(n=n, seed=seed, activation="logistic", step=0.5)
    branch = continuation(family, np.zeros(n), (0.0, 4.0), dynamics=dynamics)
    sides = (branch.values[0], branch.values[-1])
    assert set(sides) <= {0.0, 4.0} or "no step" in branch.reason
    for k in range(0, len(branch), 7):
        system = family(branch.values[k])
        # rounding of sums of n + 1 terms of size up to 4
        assert np.abs(system.residual(0.0, branch.x[k])).max() < 4e-15 * (n + 1)
        eigenvalues = np.linalg.eigvals(system.jacobian(0.0, branch.x[k]))
        growth = np.abs(1 + 0.5 * eigenvalues) - 1 if dynamics == "map" else eigenvalues.real
        if np.abs(growth).min() > 1e-6:
            assert branch.stable[k] == (growth.max() < 0)
    for a, b in zip(branch.bifurcations[:-1], branch.bifurcations[1:], strict=True):
        assert a.value <= b.value or "fold" in branch.bifurcation_kinds


@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@example(seed=56164, n=6, dynamics="flow")  # two real eigenvalues become a pair within a step of a fold
@given(seed=st.integers(0, 10**6), n=st.integers(1, 8), dynamics=st.sampled_from(["map", "flow"]))
def test_the_number_of_unstable_directions_changes_at_bifurcations_only(seed, n, dynamics):
    family = network_family(n=n, seed=seed, step=1.0)
    branch = continuation(family, np.zeros(n), (0.0, 4.0), dynamics=dynamics)
    growth = np.abs(branch.multipliers) - 1 if dynamics == "map" else branch.eigenvalues.real
    points = np.column_stack([branch.x / np.sqrt(n), branch.values / 4])
    passed = np.zeros(len(points) - 1, dtype=int)
    for bifurcation in branch.bifurcations:
        at = np.append(bifurcation.x / np.sqrt(n), bifurcation.value / 4)
        detour = np.linalg.norm(points[:-1] - at, axis=1) + np.linalg.norm(points[1:] - at, axis=1)
        segment = (detour - np.linalg.norm(np.diff(points, axis=0), axis=1)).argmin()
        passed[segment] += 2 if bifurcation.kind in ("Hopf", "Neimark–Sacker") else bifurcation.multiplicity
        values = np.linalg.eigvals(family(bifurcation.value).jacobian(0.0, bifurcation.x))
        critical = {
            "flip": 2 + values,
            "Neimark–Sacker": np.abs(1 + values) - 1,
            "Hopf": values.real,
        }.get(bifurcation.kind, values)
        # of a multiple one only that it lies within 1e-7 in arclength
        assert np.abs(critical).min() < (1e-8 if bifurcation.multiplicity == 1 else 1e-5)
    change = np.abs(np.diff((growth > 0).sum(axis=1)))
    assert (change <= passed).all()
    assert ((passed - change) % 2 == 0).all()


def test_stability_is_that_of_fixed_points():
    branch = continuation(network_family(), np.zeros(6), (0.1, 3.0))
    for k in (0, len(branch) // 2, len(branch) - 1):
        points = resdyn.fixed_points(network_family()(branch.values[k]), rng=0)
        (same,) = [point for point in points if np.abs(point.x - branch.x[k]).max() < 1e-9]
        assert same.is_stable("map") == bool(branch.stable[k])


def test_each_point_solves_what_scipy_solves():
    family = network_family()
    branch = continuation(family, np.zeros(6), (0.1, 3.0))
    for k in range(0, len(branch), 5):
        system = family(branch.values[k])
        solution = scipy.optimize.root(lambda x, s=system: s.residual(0.0, x), branch.x[k], tol=1e-13)
        assert solution.x == pytest.approx(branch.x[k], abs=1e-9)


def test_tangents_are_those_of_the_implicit_function():
    branch = continuation(logistic_family, [0.5], (2.0, 3.8))
    slope = branch.tangents[:, 0] / branch.tangents[:, 1]
    # the central difference of the family has an error of 1e-10
    assert slope == pytest.approx(1 / branch.values**2, abs=1e-8)
    assert (branch.tangents[:, 1] > 0).all()
    scaled = branch.tangents / [1.0, 1.8]
    assert np.linalg.norm(scaled, axis=1) == pytest.approx(1.0, abs=1e-12)


# --- what bifurcations are not ---------------------------------------------------------------------------


def test_neutral_saddles_are_no_hopf_and_no_neimark_sacker_bifurcations():
    x, y, p = sympy.symbols("x y p", real=True)
    symbolic = resdyn_theory.SymbolicSystem(
        name="saddle", state=(x, y), residual=((1 + p) * x, -y), parameters={p: 0.1}
    )

    def family(value):
        return resdyn.from_symbolic(symbolic, params={"p": value}, step=0.5)

    # eigenvalues 1 + p and −1 have the sum 0 at p = 0
    assert continuation(family, [0.0, 0.0], (-0.5, 0.5), dynamics="flow").bifurcations == ()
    # multipliers 1.5 + p/2 and 0.5 have the product 1 at p = 1
    assert continuation(family, [0.0, 0.0], (0.5, 1.5)).bifurcations == ()


def test_real_multipliers_that_meet_and_part_are_no_bifurcation():
    x, y, p = sympy.symbols("x y p", real=True)
    symbolic = resdyn_theory.SymbolicSystem(
        name="node to focus", state=(x, y), residual=(x + y, -p * x + y), parameters={p: 0.1}
    )

    def family(value):
        return resdyn.from_symbolic(symbolic, params={"p": value}, step=0.5)

    # 1 ± √−p: two that grow become a pair that grows
    for dynamics in ("map", "flow"):
        branch = continuation(family, [0.0, 0.0], (-0.3, 0.4), dynamics=dynamics)
        assert branch.bifurcations == ()
        assert (branch.stable == 0).all()


def test_eigenvalues_that_cross_together_are_one_bifurcation_of_several():
    # three units that inhibit each other: the differences of their states all grow at the rate gain − 1
    W = np.eye(3) - np.ones((3, 3))
    branch = continuation(
        lambda gain: resdyn.ResidualMap(W, activation="tanh", damping=1.0, gain=gain, step=0.1), np.zeros(3), (0.2, 3.0)
    )
    (point,) = branch.bifurcations
    assert (point.kind, point.multiplicity) == ("branch point", 2)
    assert point.value == pytest.approx(1.0, abs=1e-6)  # several at once are known to 1e-7 of the arclength
    assert np.isnan(point.coefficient)
    with pytest.raises(ValueError, match="2 eigenvalues are critical together"):
        continuation(lambda gain: resdyn.ResidualMap(W, damping=1.0, gain=gain), point, (0.2, 3.0))


def test_a_pair_that_grows_already_is_not_taken_for_the_one_that_crosses():
    x = sympy.symbols("x:4", real=True)
    p = sympy.symbols("p", real=True)
    # Re λ is 3/50 for one pair, and p for the other
    grown = sympy.Rational(3, 50)
    formulas = (grown * x[0] - x[1], x[0] + grown * x[1], p * x[2] - 2 * x[3], 2 * x[2] + p * x[3])
    symbolic = resdyn_theory.SymbolicSystem(name="two pairs", state=x, residual=formulas, parameters={p: 0.1})
    branch = continuation(
        lambda value: resdyn.from_symbolic(symbolic, params={"p": value}), np.zeros(4), (-1.0, 1.0), dynamics="flow"
    )
    assert branch.bifurcation_kinds == ("Hopf",)
    assert branch.bifurcation_values == pytest.approx([0.0], abs=LOCATED)
    assert branch.bifurcations[0].frequency == pytest.approx(2.0, abs=LOCATED)


def test_two_bifurcations_within_one_step_are_told_apart():
    x, y, p = sympy.symbols("x y p", real=True)
    symbolic = resdyn_theory.SymbolicSystem(
        name="two units", state=(x, y), residual=(p * x - x**3, (p - sympy.Rational(1, 1000)) * y - y**3),
        parameters={p: 0.1},
    )  # fmt: skip
    branch = continuation(
        lambda value: resdyn.from_symbolic(symbolic, params={"p": value}), [0.0, 0.0], (-1.0, 1.0), dynamics="flow"
    )
    assert branch.bifurcation_kinds == ("branch point", "branch point")
    assert branch.bifurcation_values == pytest.approx([0.0, 1e-3], abs=1e-7)
    # the critical directions are those of the units
    assert np.abs([b.direction for b in branch.bifurcations]) == pytest.approx(np.eye(2), abs=1e-5)


# --- ends ------------------------------------------------------------------------------------------------


def test_closed_branches_are_recognised():
    branch = continuation(in_one_unit("x**2 + (p - 1)**2 - 1/4"), [0.5], (0.0, 2.0), start=1.0, dynamics="flow")
    assert branch.closed
    assert "closed" in branch.reason
    assert np.array_equal(branch.x[0], branch.x[-1])
    assert branch.bifurcation_kinds == ("fold", "fold")
    assert sorted(branch.bifurcation_values) == pytest.approx([0.5, 1.5], abs=LOCATED)
    assert (branch.x[:, 0]) ** 2 + (branch.values - 1) ** 2 == pytest.approx(0.25, abs=1e-13)
    # once round, not twice: the ellipse with the half-axes 1/2 and 1/4, less what chords are shorter than arcs
    ellipse = scipy.integrate.quad(lambda s: np.hypot(0.5 * np.cos(s), 0.25 * np.sin(s)), 0, 2 * np.pi)[0]
    assert branch.arclength[-1] == pytest.approx(ellipse, rel=0.01)
    assert branch.arclength[-1] < ellipse
    # wherever on the last step the first point lies
    for size in (0.011, 0.013, 0.017, 0.019, 0.023):
        again = continuation(
            in_one_unit("x**2 + (p - 1)**2 - 1/4"), [0.5], (0.0, 2.0), start=1.0, step_size=size, detect=False
        )
        assert again.closed
        assert again.arclength[-1] == pytest.approx(ellipse, rel=0.01)


def test_branches_end_exactly_at_the_ends_and_never_ask_beyond():
    asked = []

    def family(r):
        asked.append(r)
        return logistic_map(r=r)

    branch = continuation(family, [0.6], (2.3, 2.9), start=2.5)
    assert branch.values[0] == 2.3
    assert branch.values[-1] == 2.9
    assert min(asked) == 2.3
    assert max(asked) == 2.9
    assert (np.diff(branch.values) > 0).all()
    # ends that low + (high − low) misses by rounding
    low, high = 0.07, 0.9
    assert low + (high - low) != high
    unit = continuation(in_one_unit("p - x"), [low], (low, high))
    assert unit.values[-1] == high


def test_direction_gives_one_side():
    up = continuation(logistic_family, [0.6], (2.0, 3.0), start=2.5, direction="up")
    down = continuation(logistic_family, [0.6], (2.0, 3.0), start=2.5, direction="down")
    assert up.values[[0, -1]] == pytest.approx([2.5, 3.0], abs=0)
    assert down.values[[0, -1]] == pytest.approx([2.5, 2.0], abs=0)
    assert (down.tangents[:, 1] < 0).all()


def test_branch_that_runs_to_infinity_ends_there():
    branch = continuation(in_one_unit("p*x - 1"), [1.0], (0.0, 1.0), start=1.0)
    assert "beyond 1000 times its scale" in branch.reason
    assert branch.x.max() > 1000
    assert branch.x[:, 0] * branch.values == pytest.approx(1.0, abs=1e-11)
    few = continuation(in_one_unit("p*x - 1"), [1.0], (0.0, 1.0), start=1.0, most_points=20)
    assert len(few) == 20
    assert "20 points" in few.reason


def test_branches_that_come_near_are_not_mistaken_for_one():
    # an imperfect pitchfork: p x − x³ + ε has a branch that bends away just where the others begin
    for size in (1e-2, 1e-3, 1e-4):
        family = in_one_unit(f"p*x - x**3 + {size}")
        branch = continuation(family, [0.0], (-1.0, 1.0), dynamics="flow")
        assert branch.bifurcations == ()
        assert (branch.stable == 1).all()
        assert branch.x[-1, 0] > 1
        other = continuation(family, [-1.0], (-1.0, 1.0), start=1.0, dynamics="flow")
        # x³ − p x = ε has a double root where p = 3 (ε/2)^(2/3)
        assert other.bifurcation_kinds == ("fold",)
        assert other.bifurcation_values == pytest.approx([3 * (size / 2) ** (2 / 3)], abs=LOCATED)


def test_branch_ends_at_a_kink_and_says_so():
    W = np.array([[0.5]])
    branch = continuation(
        lambda b: resdyn.ResidualMap(W, [b], activation="relu", damping=1.0, step=0.5), [2.0], (-1.0, 1.0), start=1.0
    )
    # x = 2b for b > 0, and 0 for b < 0
    assert branch.values.min() == pytest.approx(0.0, abs=1e-5)
    assert "no step" in branch.reason
    assert branch.bifurcations == ()


def test_crossings_meet_one_parameter():
    family = in_one_unit("p - x**2")
    branch = continuation(family, [1.0], (-0.5, 1.0), start=1.0)
    assert np.sort(branch.crossings(family, 0.3).ravel()) == pytest.approx([-np.sqrt(0.3), np.sqrt(0.3)], abs=1e-13)
    assert branch.crossings(family, -0.3).shape == (0, 1)
    assert len(branch.crossings(family, 1.0)) == 2
    with pytest.raises(ValueError, match=r"value must lie between -0.5 and 1, but is 2.0"):
        branch.crossings(family, 2.0)


# --- derivatives -------------------------------------------------------------------------------------------


def test_directional_differences_are_the_derivatives():
    x, y = sympy.symbols("x y", real=True)
    formulas = (sympy.sin(x + 2 * y) * sympy.exp(x), sympy.cos(x * y) + x**3 * y**2)
    symbolic = resdyn_theory.SymbolicSystem(name="smooth", state=(x, y), residual=formulas)
    problem = Problem(lambda p: resdyn.from_symbolic(symbolic), (0.0, 1.0), dynamics="flow", period=1)
    at = np.array([0.3, -0.4])
    derivatives = _Derivatives(problem, problem.point(at, 0.5), 1e-3)
    q = np.array([0.3 + 0.5j, -0.7 + 0.2j])
    second = np.array(
        [[[f.diff(s, t).subs({x: 0.3, y: -0.4}) for t in (x, y)] for s in (x, y)] for f in formulas], float
    )
    third = np.array(
        [
            [[[f.diff(s, t, u).subs({x: 0.3, y: -0.4}) for u in (x, y)] for t in (x, y)] for s in (x, y)]
            for f in formulas
        ],
        float,
    )
    v, w = np.array([1.0, -0.5]), np.array([0.2, 0.9])
    # fourth order at the distance 1e-3: rounding of 1e-16/1e-3 and 1e-16/1e-6
    assert derivatives.second(v, w) == pytest.approx(np.einsum("ijk,j,k", second, v, w), abs=1e-9)
    assert derivatives.third(v) == pytest.approx(np.einsum("ijkl,j,k,l", third, v, v, v), abs=1e-5)
    assert derivatives.second(q, q.conj()) == pytest.approx(np.einsum("ijk,j,k", second, q, q.conj()), abs=1e-9)
    expected = np.einsum("ijkl,j,k,l", third, q, q, q.conj())
    assert derivatives.third_with_conjugate(q) == pytest.approx(expected, abs=1e-5)


def test_slope_over_the_parameter_is_right_inside_and_at_the_ends():
    problem = Problem(in_one_unit("sin(3*p)*(1 + x)"), (0.0, 1.0), dynamics="flow", period=1)
    for p in (0.0, 1e-9, 0.4, 1.0):
        # one-sided differences of second order with steps of 6e-6
        assert problem.slope(problem.point(np.array([0.5]), p)) == pytest.approx(4.5 * np.cos(3 * p), abs=5e-9)


# --- results -------------------------------------------------------------------------------------------------


def test_branches_come_back_from_disk(tmp_path):
    branch = continuation(lambda r: delayed_logistic(r=r), [0.4, 0.4], (1.2, 2.6))
    branch.save(tmp_path / "branch.npz")
    again = Branch.load(tmp_path / "branch.npz")
    assert repr(again) == repr(branch)
    assert repr(again.bifurcations) == repr(branch.bifurcations)
    assert np.array_equal(again.eigenvalues, branch.eigenvalues)
    assert again.interval == (1.2, 2.6)
    empty = continuation(logistic_family, [0.5], (2.0, 2.5), detect=False)
    empty.save(tmp_path / "empty.npz")
    assert Branch.load(tmp_path / "empty.npz").bifurcations == ()


def test_branches_become_datasets_and_tables():
    pytest.importorskip("xarray")
    flip = continuation(logistic_family, [0.5], (2.0, 3.8)).bifurcations[0]
    branch = continuation(logistic_family, flip, (2.0, 3.8))
    data = branch.to_dataset()
    assert data.x.dims == ("point", "cycle_state", "unit")
    assert data.attrs["period"] == 2
    assert data.parameter.values == pytest.approx(branch.values, abs=0)
    assert data.bifurcation_kind.values.tolist() == ["flip"]
    assert "3.44949" in branch._repr_html_()
    assert repr(branch).startswith("Branch of 2-cycles of 'logistic map' (map) between 3 and 3.8")
    assert repr(flip).startswith("Bifurcation at 3: supercritical flip, x = [0.6667]")


def test_detection_can_be_left_out():
    plain = continuation(logistic_family, [0.5], (2.0, 3.8), detect=False)
    assert plain.bifurcations == ()
    assert np.array_equal(plain.values, continuation(logistic_family, [0.5], (2.0, 3.8)).values)


# --- bad input -------------------------------------------------------------------------------------------------


def test_refusals_say_what_to_do():
    flip = continuation(logistic_family, [0.5], (2.0, 3.8)).bifurcations[0]
    fold = continuation(in_one_unit("p - x**2"), [1.0], (-0.5, 1.0), start=1.0).bifurcations[0]
    layered = resdyn.ResidualMap(random_weights(2, depth=3))
    cases = [
        (TypeError, "family must be a function", lambda: continuation(logistic_map(), [0.5], (2, 3))),
        (TypeError, "must be a resdyn System", lambda: continuation(lambda r: r, [0.5], (2, 3))),
        (ValueError, "two different numbers", lambda: continuation(logistic_family, [0.5], (2, 2))),
        (ValueError, "start must lie between 2 and 3", lambda: continuation(logistic_family, [0.5], (2, 3), start=4)),
        (ValueError, "finds no fixed point", lambda: continuation(in_one_unit("p - x**2"), [1.0], (-1.0, -0.5))),
        (ValueError, "branches meet at the start", lambda: continuation(in_one_unit("p*x"), [0.0], (0.0, 1.0))),
        (ValueError, "x0 has shape", lambda: continuation(logistic_family, [0.5, 0.1], (2, 3))),
        (ValueError, "3 layers of its own", lambda: continuation(lambda g: layered, [0.0, 0.0], (0, 1))),
        (ValueError, "Poincaré map", lambda: continuation(logistic_family, [0.5], (2, 3), dynamics="flow", period=2)),
        (ValueError, "period=3 contradicts", lambda: continuation(logistic_family, flip, (2, 4), period=3)),
        (ValueError, "begins at a fold", lambda: continuation(in_one_unit("p - x**2"), fold, (-1, 1))),
        (
            ValueError,
            "no meaning at a bifurcation",
            lambda: continuation(logistic_family, flip, (2, 4), direction="up"),
        ),
        (ValueError, "smallest_step ≤ step_size", lambda: continuation(logistic_family, [0.5], (2, 3), step_size=1.0)),
        (ValueError, "direction must be", lambda: continuation(logistic_family, [0.5], (2, 3), direction="left")),
    ]
    for error, message, call in cases:
        with pytest.raises(error, match=message):
            call()


def test_saturated_units_and_families_of_changing_size_are_refused():
    system = resdyn.logistic_residuals(np.eye(2))
    with pytest.raises(ValueError, match="saturated units"):
        continuation(lambda s: system, [np.inf, 0.0], (0.0, 1.0))
    with pytest.raises(ValueError, match="needs the same shape"):
        continuation(
            lambda s: resdyn.ResidualMap(np.zeros((1 + (s > 0.5), 1 + (s > 0.5))), damping=1.0), [0.5], (0.0, 1.0)
        )
