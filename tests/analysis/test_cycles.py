"""Cycles of maps: counts and closed forms, proofs, and what must not change them."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import resdyn
from resdyn.analysis.periodic import Cycles, cycles, loops, multipliers, proofs
from resdyn.systems import cyclic_weights, henon, logistic_map, random_weights


def moebius_count(p):
    """Prime cycles of the doubling of angles with 2^p points of period p."""

    def mu(n):
        sign, q = 1, 2
        while n > 1:
            if n % q == 0:
                n, sign = n // q, -sign
                if n % q == 0:
                    return 0
            q += 1
        return sign

    return sum(mu(p // q) * 2**q for q in range(1, p + 1) if p % q == 0) // p


def layer(system, x):
    return x + system.step * system.residual(0.0, x)


def nonlinear(seed, n, **changes):
    rng = np.random.default_rng(seed)
    options = {"damping": 1.0, "step": 0.9, "activation": "tanh"} | changes
    return resdyn.ResidualMap(3 * rng.normal(size=(n, n)), rng.normal(size=n), **options)


# --- closed forms and counts -------------------------------------------------------------------------


@pytest.mark.parametrize("r", [3.2, 3.5, 3.9])
def test_two_cycle_of_the_logistic_map(r):
    found = cycles(logistic_map(r=r), 2)
    (cycle,) = found
    root = np.sqrt((r - 3) * (r + 1))
    # the states are well conditioned here: rounding only
    assert np.allclose(cycle.x[:, 0], [(r + 1 - root) / (2 * r), (r + 1 + root) / (2 * r)], rtol=1e-13)
    assert cycle.multipliers[0] == pytest.approx(4 + 2 * r - r**2, rel=1e-12)
    assert cycle.exponents[0] == pytest.approx(np.log(abs(4 + 2 * r - r**2)) / 2, rel=1e-12)
    assert cycle.is_stable() is bool(r < 1 + np.sqrt(6))
    assert not found.complete
    assert cycle.period == 2
    assert cycle.duration == 2.0


@pytest.mark.parametrize("p", [1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_cycles_of_the_logistic_map_at_four(p):
    found = cycles(logistic_map(r=4.0), p)
    assert len(found) == moebius_count(p)
    # F^p doubles an angle p times, so |μ| = 2^p, but 4^p where it folds at x = 0
    outer = np.abs(found.x).max(axis=(1, 2)) < 1e-9
    assert np.allclose(np.abs(found.multipliers[~outer]), 2.0**p, rtol=1e-9)
    assert found.residual_norm.max() < 1e-13


def test_all_states_of_period_dividing_six_at_four():
    found = cycles(logistic_map(r=4.0), 6, prime=False)
    assert found.prime_period.sum() == 2**6
    assert sorted(set(found.prime_period)) == [1, 2, 3, 6]
    assert [len(cycle.x) for cycle in found] == found.prime_period.tolist()
    assert np.array_equal(found.duration, found.prime_period)
    # multipliers belong to one round of the cycle itself
    assert np.allclose(np.abs(found.multipliers[found.prime_period == 2]), 4, rtol=1e-9)


def test_cycles_of_the_henon_map():
    # the counts by period of the literature [galias2001]_, with the fixed point that lies off the attractor
    for p, count in zip(range(1, 11), [2, 1, 0, 1, 0, 2, 4, 7, 6, 10], strict=True):
        found = cycles(henon(), p)
        assert len(found) == count, p
        # the determinant of a block is −b everywhere
        assert np.allclose(np.prod(found.multipliers, axis=1), (-0.3) ** p, rtol=1e-9)


def test_cycles_of_the_delayed_logistic_map_turn():
    # x' = r x (1 − y), y' = x: the fixed point 1 − 1/r has multipliers of modulus √(r − 1), a focus
    def rule(t, x, r):
        return np.stack([r * x[..., 0] * (1 - x[..., 1]) - x[..., 0], x[..., 0] - x[..., 1]], axis=-1)

    system = resdyn.ResidualSystem(rule, (2,), params=1.9, name="delayed logistic map")
    inner = cycles(system, 1, region=([0.1, 0.1], [0.9, 0.9]))[0]
    assert np.allclose(inner.x, 1 - 1 / 1.9)
    # central differences know the block to 1e-10
    assert np.allclose(np.abs(inner.multipliers), np.sqrt(0.9), atol=1e-7)
    assert inner.kind == "focus"
    assert inner.is_stable()
    assert len(cycles(system, 1)) == 2


def test_a_fold_is_found_once():
    # the 3-cycles of the logistic map are born at r = 1 + √8, where two merge
    found = cycles(logistic_map(r=1 + np.sqrt(8)), 3)
    assert len(found) <= 2  # rounding of r may part them, or leave none
    for cycle in found:
        # a double root is known to the root of the rounding unit
        assert abs(cycle.multipliers[0] - 1) < 1e-4
    assert len(cycles(logistic_map(r=3.84), 3)) == 2
    assert len(cycles(logistic_map(r=3.82), 3)) == 0


def test_superstable_cycle_is_stable():
    # r = 1 + √5: the 2-cycle holds x = 1/2, where the slope vanishes
    cycle = cycles(logistic_map(r=1 + np.sqrt(5)), 2)[0]
    assert abs(cycle.multipliers[0]) < 1e-12
    assert cycle.is_stable()


# --- multipliers ---------------------------------------------------------------------------------------


def test_multipliers_of_a_long_graded_product_keep_all_digits():
    rng = np.random.default_rng(3)
    T = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    p, expected = 20, np.array([2.0, 0.5, 1e-2])
    # blocks with one Schur basis: multipliers are the products of the diagonals, from 1e+6 down to 1e−40
    blocks = np.stack([T @ (np.diag(expected) + np.triu(rng.normal(size=(3, 3)), 1)) @ T.T for _ in range(p)])
    values, errors = multipliers.multipliers(blocks[None])
    assert np.allclose(values[0], expected**p, rtol=1e-6)
    product = np.linalg.multi_dot(blocks[::-1])
    plain = np.sort(np.abs(np.linalg.eigvals(product)))[0]
    assert abs(plain / expected[-1] ** p - 1) > 1  # what the product itself has left of the smallest
    assert (np.abs(values[0] - expected**p) <= errors[0]).all()


def test_complex_multipliers_come_in_pairs():
    angle = 0.3
    turn = 1.1 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    values, _ = multipliers.multipliers(np.broadcast_to(turn, (1, 6, 2, 2)).copy())
    assert np.allclose(
        np.sort_complex(values[0]), np.sort_complex(1.1**6 * np.exp([6j * angle, -6j * angle])), rtol=1e-9
    )


@settings(max_examples=30, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(1, 3))
def test_multipliers_do_not_depend_on_the_beginning(seed, p, d):
    blocks = np.random.default_rng(seed).normal(size=(1, p, d, d))
    here, errors = multipliers.multipliers(blocks)
    there, others = multipliers.multipliers(np.roll(blocks, 1, axis=1))
    for value in here[0]:
        nearest = np.argmin(np.abs(there[0] - value))
        assert abs(there[0, nearest] - value) <= errors.max() + others.max() + 1e-12


# --- proofs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_proved_cycles_are_those_that_newton_finds(seed, p):
    system = nonlinear(seed, 2)
    proved = cycles(system, p)
    assert proved.complete
    assert proved.method == "intervals"
    searched = cycles(system, p, algorithm="newton", n_starts=2000)
    assert len(proved) == len(searched)
    assert np.allclose(proved.x, searched.x, atol=1e-8)
    assert proved.residual_norm.max(initial=0) < 1e-12
    for cycle in proved:
        following = np.roll(cycle.x, -1, axis=0)
        assert np.allclose(layer(system, cycle.x), following, atol=1e-12)


def test_circulant_sums_the_linear_part():
    system = nonlinear(0, 2, damping=0.7, step=0.4, gain=1.3)
    a, g = 1 - 0.4 * 0.7, 0.4 * 1.3
    C = proofs.circulant(system, 3)
    y = np.random.default_rng(0).normal(size=(3, 2))
    x = C @ y
    assert np.allclose(np.roll(x, -1, axis=0), a * x + g * y, rtol=1e-13)


def test_period_two_of_one_unit_by_hand():
    # x' = (1 − h)x + h tanh(wx) is odd and, for w < 0, falls steeply at 0: its 2-cycle is x, −x
    # with (2 − h)x = −h tanh(wx)
    from scipy.optimize import brentq

    h, w = 0.9, -4.0
    system = resdyn.ResidualMap([[w]], [0.0], damping=1.0, step=h, activation="tanh")
    (cycle,) = cycles(system, 2)
    root = brentq(lambda x: (2 - h) * x + h * np.tanh(w * x), 0.1, 3.0, xtol=1e-15)
    assert np.allclose(cycle.x.ravel(), [-root, root], rtol=1e-12)
    slope = 1 - h + h * w / np.cosh(w * root) ** 2
    assert cycle.multipliers[0] == pytest.approx(slope**2, rel=1e-10)


def test_contraction_leaves_no_cycle():
    system = resdyn.ResidualMap(0.5 * random_weights(20) / np.linalg.norm(random_weights(20), 2), step=0.5, damping=1.0)
    found = cycles(system, 7)
    assert found.complete
    assert len(found) == 0
    assert found.method == "contraction"
    assert found.x.shape == (0, 7, 20)


def test_stopping_early_is_not_complete():
    found = cycles(nonlinear(1, 2), 3, algorithm="intervals", max_boxes=3)
    assert not found.complete
    assert "max_boxes" in found.reason


@pytest.mark.parametrize("scale", [1e-9, 1e-200, 1e6])
def test_units_of_the_states_do_not_matter_to_a_proof(scale):
    W = np.array([[-3.0, 1.0], [1.0, -2.0]])
    plain = cycles(resdyn.ResidualMap(W, step=0.9, damping=1.0, activation="tanh"), 2)
    scaled = cycles(resdyn.ResidualMap(W / scale, step=0.9, damping=1.0, gain=scale, activation="tanh"), 2)
    assert len(plain) == len(scaled) == 2
    assert scaled.complete
    assert np.allclose(scaled.x / scale, plain.x, rtol=1e-9)


@pytest.mark.parametrize("algorithm", ["intervals", "newton"])
def test_cycles_that_look_alike_along_one_direction_are_told_apart(algorithm):
    # two units alone, each with the 2-cycle ±a_i; a_2 is chosen so that (±a_1, 0) and (0, ±a_2) have one projection
    from scipy.optimize import brentq

    direction = np.abs(loops._direction(2))
    first = brentq(lambda a: a - np.tanh(2.0 * a), 0.1, 1.0, xtol=1e-16)
    second = first * direction[0] / direction[1]
    weights = -np.diag([2.0, np.arctanh(second) / second])
    found = cycles(resdyn.ResidualMap(weights, step=1.0, damping=1.0, activation="tanh"), 2, algorithm=algorithm)
    # (±a_1, 0), (0, ±a_2), and both together in step and out of step
    assert len(found) == 4
    assert found.complete is (algorithm == "intervals")


def test_repetitions_are_told_from_the_permutation_of_solutions():
    rest, cycle = np.zeros((1, 4, 1)), 1e-7 * np.array([1.0, -1.0, 1.0, -1.0]).reshape(1, 4, 1)
    first, least, whole = proofs._once(np.concatenate([cycle, rest, -cycle]))
    assert sorted(zip(np.abs(first - 1).tolist(), least.tolist(), strict=True)) == [(0, 1), (1, 2)]
    assert whole
    # a shift of the solution is missing: its search was not complete
    assert not proofs._once(cycle)[2]


# --- how well states are known ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "r", "exact"),
    # multipliers at exactly these doubles, by Newton's method with 50 digits
    [(12, 3.999999411724888, -0.99827), (12, 3.9999994117248883, -1.00143), (14, 3.999999963232854, -0.0792)],
)
def test_multipliers_know_the_rounding_of_the_states(p, r, exact):
    # near r = 4 the cycle that passes x = 1/2 multiplies by 4^p from there, and a rounding unit with it
    (cycle,) = cycles(logistic_map(r=r), p, starts=[[0.5]])
    assert abs(cycle.multipliers[0] - exact) <= cycle.errors[0]
    assert cycle.is_stable() is None


def test_errors_of_multipliers_stay_small_where_the_states_are_well_known():
    # 2-cycle in closed form; at 1e-9 of the multiplier the margin of a verdict begins
    (cycle,) = cycles(logistic_map(r=3.2), 2)
    assert cycle.errors[0] < 1e-8


@pytest.mark.parametrize("away", [1e-10, 1e-11])
def test_a_cycle_just_born_is_listed_once(away):
    # x' = −(1 + ε) tanh-like near a flip: amplitude √(3ε), and equations singular to ε
    found = cycles(resdyn.ResidualMap([[-1 - away]], step=1.0, damping=1.0, activation="tanh"), 2)
    assert len(found) == 1
    # the amplitude is known to about rounding/ε
    assert abs(found.x[0, 1, 0]) == pytest.approx(np.sqrt(3 * away), rel=1e-4)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_units_of_the_states_do_not_matter_to_a_search(scale):
    def rule(t, x, p):
        return 3.84 * x * (1 - x / scale) - x

    found = cycles(resdyn.ResidualSystem(rule, 1, step=1.0), 3, region=(0.0, scale))
    assert len(found) == 2
    assert sorted(found.stability()) == [0, 1]


# --- other systems -----------------------------------------------------------------------------------------


def test_any_system_will_do():
    class Bare:
        """A System with the contract alone, and states of two axes."""

        name, shape, step, depth = "bare", (1, 2), 1.0, None

        def residual(self, t, x):
            return henon().residual(t, x.reshape(*x.shape[:-2], 2)).reshape(x.shape)

        def linearize(self, t, x):
            return henon().linearize(t, x.reshape(2))

    expected = cycles(henon(), 4)
    found = cycles(Bare(), 4, n_starts=200)
    assert found.x.shape == (1, 4, 1, 2)
    assert np.allclose(found.x.reshape(1, 4, 2), expected.x, atol=1e-12)
    assert np.allclose(found.multipliers, expected.multipliers)


def test_large_systems_use_krylov_steps(monkeypatch):
    from resdyn.analysis.periodic import shooting

    monkeypatch.setattr(shooting, "LARGEST_DENSE", 4)
    found = cycles(henon(), 4, n_starts=40)
    assert np.allclose(found.x, cycles(henon(), 4, starts=found.x[0]).x, atol=1e-10)
    assert len(found) == 1


def test_logistic_residuals_say_what_was_left_out():
    found = cycles(resdyn.LogisticResiduals(cyclic_weights(), step=0.1), 2, n_starts=64)
    assert "saturated" in found.reason
    assert not found.complete


def test_starts_and_region():
    cycle = cycles(henon(), 2)[0]
    near = cycles(henon(), 2, starts=cycle.x[:1] + 1e-3)
    assert np.allclose(near.x[0], cycle.x, atol=1e-12)
    assert len(cycles(henon(), 2, region=([5.0, 5.0], [6.0, 6.0]), n_starts=100)) == 0
    assert len(cycles(henon(), 1, region=([0.0, 0.0], [1.0, 1.0]))) == 1


def test_stable_and_unstable_partition():
    system = logistic_map(r=3.84)
    stable, unstable = (cycles(system, 3, stable=word) for word in (True, False))
    assert len(stable) == len(unstable) == 1
    assert stable[0].is_stable()
    assert not unstable[0].is_stable()
    assert "1 stable cycle of period 3" in repr(stable)


def test_shortest_periods_and_rotations():
    orbit = np.array([[0.1, 0.7, 0.1, 0.7]])[..., None]
    assert loops.shortest_periods(orbit, np.array([1e-9])).tolist() == [2]
    assert loops.shortest_periods(1e-12 * orbit, np.array([1e-22])).tolist() == [2]
    both = np.concatenate([orbit, np.roll(orbit, 1, axis=1), orbit + 0.1])
    best, group = loops.distinct(both, np.full(3, 1e-9))
    assert len(best) == 2
    assert group[0] == group[1] != group[2]


# --- results ------------------------------------------------------------------------------------------------


def test_save_load_and_dataset(tmp_path):
    system = nonlinear(2, 2)
    found = cycles(system, 1)
    found.save(tmp_path / "cycles.npz")
    again = Cycles.load(tmp_path / "cycles.npz")
    assert repr(again) == repr(found)
    assert np.array_equal(again.x, found.x)
    assert np.array_equal(again.multipliers, found.multipliers)
    data = found.to_dataset()
    assert data["x"].dims == ("cycle", "point", "unit")
    assert data.sizes["cycle"] == len(found)
    assert "<table>" in found._repr_html_()


def test_sequence():
    found = cycles(logistic_map(r=4.0), 4)
    assert len(found[:2]) == 2
    assert not found[:2].complete
    assert found[np.array([True, False, True])].x.shape == (2, 4, 1)
    assert len(list(found)) == 3
    assert repr(found[-1]).startswith("Cycle of period 4 through x = ")
    with pytest.raises(IndexError, match="there are 3 cycles"):
        found[3]
    with pytest.raises(TypeError, match="indexed by an integer"):
        found["a"]


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"period": 0}, ValueError, "period"),
        ({"period": 2.5}, TypeError, "period"),
        ({"period": 2, "rtol": 1e-3}, ValueError, "flow"),
        ({"period": 2, "segments": 3}, ValueError, "flow"),
        ({"period": 2, "algorithm": "intervals"}, ValueError, "intervals"),
        ({"period": 2, "algorithm": "contraction"}, ValueError, "contraction"),
        ({"period": 2, "algorithm": "intervals", "region": (0, 1)}, ValueError, "region and starts"),
        ({"period": 2, "stable": 1}, TypeError, "stable"),
        ({"period": 2, "region": (1, 0)}, ValueError, "low < high"),
        ({"period": 2, "region": 3}, ValueError, "pair"),
        ({"period": 2, "starts": [[0.1, 0.2, 0.3]]}, ValueError, "starts"),
        ({"period": 2, "starts": [[0.1, 0.2]], "n_starts": 3}, ValueError, "leave one"),
        ({"period": 2.0, "dynamics": "flow", "algorithm": "newton"}, ValueError, "for maps"),
    ],
)
def test_refusals(arguments, error, match):
    with pytest.raises(error, match=match):
        cycles(henon(), **arguments)


def test_layerwise_systems_are_refused():
    with pytest.raises(ValueError, match="layers"):
        cycles(resdyn.ResidualMap(random_weights(3, depth=4)), 2)
    with pytest.raises(TypeError, match="needs a System"):
        cycles(3, 2)
