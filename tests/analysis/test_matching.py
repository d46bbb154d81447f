"""Global continuation: pitchforks and folds in closed form, identities, fractions, and what must not change them."""

from functools import cache

import numpy as np
import pytest
import sympy
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import resdyn
import resdyn_theory
from resdyn.analysis.families.matching import _DISTANCES, GlobalContinuation, _assigned, global_continuation

FOLD = 2 / (3 * np.sqrt(3))


def pitchfork(r):
    return resdyn.systems.pitchfork(r=r)


@cache
def fold_definition():
    x, r = sympy.symbols("x r", real=True)
    return resdyn_theory.SymbolicSystem(
        name="fold pair", state=(x,), residual=(r + x - x**3,), parameters={r: 0.0}, description="Two folds."
    )


def fold_pair(r):
    return resdyn.from_symbolic(fold_definition(), params={"r": r}, step=0.2)


def network(gain):
    return resdyn.ResidualMap([[4.0, -6.0], [-6.0, 4.0]], [1.0, 1.0], damping=1.0, gain=gain, step=0.2)


@pytest.mark.parametrize("dynamics", ["map", "flow"])
def test_pitchfork_splits_one_attractor_in_two(dynamics):
    values = np.array([-0.4, -0.2, 0.1, 0.4, 0.8])
    answer = global_continuation(pitchfork, values, (-2.0, 2.0), dynamics=dynamics, n_starts=64)
    assert [event[1:] for event in answer.events] == [("appears", 0, -1), ("splits", 1, 0)]
    assert answer.events[1][0] == 0.1
    x = answer.centres[:, :, 0]
    # Newton's method takes fixed points to rounding
    assert x[:2, 0] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert np.isnan(x[:2, 1]).all()
    assert np.abs(x[2:]) == pytest.approx(np.sqrt(values[2:, None]) * np.ones(2), abs=1e-9)
    assert (np.sign(x[2:]) == np.sign(x[2])).all()  # neither changes its side
    # the basins are the half-lines: shares of the same random states
    drawn = np.random.default_rng(0).uniform(-2.0, 2.0, size=(64, 1))
    positive = int(np.argmax(x[2]))
    assert answer.fractions[2:, positive] == pytest.approx((drawn > 0).mean())
    assert answer.present.sum() == 8


def test_backwards_the_two_merge():
    answer = global_continuation(pitchfork, [0.8, 0.4, 0.1, -0.2], (-2.0, 2.0), n_starts=64)
    assert [event[1] for event in answer.events] == ["appears", "appears", "merges"]
    value, _, gone, stays = answer.events[-1]
    assert value == -0.2
    assert {gone, stays} == {0, 1}
    assert np.isnan(answer.fractions[-1, gone])
    assert answer.fractions[-1, stays] == 1.0


def test_states_that_only_creep_to_an_attractor_have_a_destination():
    # at r = 0 they come to 0 like 1/√t
    answer = global_continuation(pitchfork, np.linspace(1.0, -1.0, 9), (-2.0, 2.0), n_starts=32)
    value, word, gone, stays = answer.events[-1]
    assert (value, word) == (0.0, "merges")
    assert {gone, stays} == {0, 1}


def test_where_states_go_is_told_apart_from_where_it_is_not_known():
    def valley(r):  # fixed points at ±√r, the left one stable; for r < 0 all states leave to the right
        return resdyn.ResidualSystem(
            lambda t, x, p: x**2 - p[0], 1, step=0.1, params=(r,), jacobian=lambda t, x, p: 2 * x[..., None]
        )

    leaves = global_continuation(valley, [0.5, -0.5], (-1.0, 0.5), n_starts=16, depth=3000)
    assert leaves.events[-1][1:] == ("vanishes", 0, -1)
    assert "leave all bounds" in repr(leaves)
    # near the fold, the ghost of the attractor holds them for π/√0.0001 of time
    held = global_continuation(valley, [0.5, -1e-4], (-1.0, 0.5), n_starts=16, depth=1000)
    assert held.events[-1][1:] == ("vanishes", 0, -2)
    assert "settle nowhere in time" in repr(held)


def test_fold_pair_has_hysteresis_and_its_folds_where_theory_says():
    values = np.linspace(-0.6, 0.6, 24)  # no value within 0.007 of a fold, where orbits take for ever
    up = global_continuation(fold_pair, values, (-2.0, 2.0), n_starts=128)
    assert [event[1] for event in up.events] == ["appears", "appears", "vanishes"]
    assert up.events[1][0] == values[values > -FOLD][0]
    assert up.events[2][0] == values[values > FOLD][0]
    assert up.events[2][2:] == (0, 1)
    down = global_continuation(fold_pair, values[::-1], (-2.0, 2.0), n_starts=128)
    assert down.events[2][0] == values[values < -FOLD][-1]
    for answer in (up, down):
        x = answer.centres[:, :, 0]
        there = answer.present
        r = np.broadcast_to(answer.values[:, None], x.shape)
        assert np.abs(r + x - x**3)[there].max() < 1e-12
        # an identity is one branch: it stays outside the folds at ∓1/√3
        assert ((x > 1 / np.sqrt(3)) | (x < -1 / np.sqrt(3)))[there].all()
        assert all(len(set(np.sign(x[there[:, i], i]))) == 1 for i in answer.ids)


def test_attractor_with_a_small_basin_is_followed_by_its_seeds():
    values = np.linspace(0.0, 0.36, 10)
    # the repeller between the basins moves from 0 to −0.46, beyond the last random state
    answer = global_continuation(fold_pair, values, (-0.4, 1.5), n_starts=64, threshold=1.0)
    assert answer.present[:, answer.ids].all()
    assert len(answer.ids) == 2
    small = np.nanargmin(answer.fractions[-1])
    assert answer.fractions[-1, small] == 0.0
    assert answer.fractions[0, small] > 0.1


def test_damped_network_over_its_gain():
    values = np.linspace(0.1, 1.0, 10)
    answer = global_continuation(network, values, (0.0, 1.0), n_starts=128)

    # at (s, s) the slope across the diagonal is −1 + 10·gain·σ'(1 − 2s): it is 0 at the pitchfork
    def slope(gain):
        s = 0.5
        for _ in range(200):
            s -= (-s + gain / (1 + np.exp(2 * s - 1))) / (-1 - 2 * gain * 0.25)
        y = s / gain
        return -1 + 10 * gain * y * (1 - y)

    two = np.array([slope(gain) > 0 for gain in values])
    assert (answer.present.sum(axis=1) == 1 + two).all()
    assert 0 < two.sum() < len(two)
    assert len(answer.ids) == 2
    assert answer.fractions[two].sum(axis=1) == pytest.approx(np.ones(two.sum()))


def test_cycles_take_part():
    def logistic(r):
        return resdyn.systems.logistic_map(r=r)

    answer = global_continuation(logistic, [2.8, 3.2, 3.5, 3.83], (0.1, 0.9), n_starts=32, threshold=1.0)
    assert answer.periods.tolist() == [1, 2, 4, 3]
    assert [answer.kind(i, 0) for i in range(4)] == ["fixed point", "cycle", "cycle", "cycle"]
    assert answer.attractors(1)[0].shape == (2, 1)
    r = 3.2  # the 2-cycle has sum (r + 1)/r
    assert answer.attractors(1)[0].sum() == pytest.approx((r + 1) / r, rel=1e-12)
    assert answer.kind(0, 7) is None


def test_logistic_residuals_are_matched_by_their_residuals():
    def chase(w):
        return resdyn.logistic_residuals([[-1.0, -w], [-w, -1.0]], step=0.5)

    answer = global_continuation(chase, [0.2, 0.5], (0.0, 1.0), coordinates="y", n_starts=16, depth=2_000)
    assert np.isfinite(answer.points).all()
    assert ((answer.points >= 0) & (answer.points <= 1)).all()


def test_nothing_found_is_a_value():
    def runaway(r):
        return resdyn.ResidualSystem(
            lambda t, x, _: x + r, 1, name="runaway", jacobian=lambda t, x, _: np.ones((*x.shape, 1))
        )

    answer = global_continuation(runaway, [0.0, 1.0], (-1.0, 1.0), n_starts=8)
    assert answer.fractions.shape == (2, 0)
    assert answer.events == ()
    assert answer.diverged[1] == 1.0
    assert answer.attractors(0) == {}
    assert "0 attractors" in repr(answer)


def test_answer_depends_on_neither_threads_nor_the_run():
    values = [-0.2, 0.1, 0.4]
    answers = [global_continuation(pitchfork, values, (-2.0, 2.0), n_starts=64, threads=n) for n in (1, 2, 2)]
    for other in answers[1:]:
        np.testing.assert_array_equal(other.fractions, answers[0].fractions)
        np.testing.assert_array_equal(other.points, answers[0].points)
        assert other.events == answers[0].events


# --- the matching itself ------------------------------------------------------------------------------


def brute_force(costs, reach):
    """The least cost of an assignment in which what stays alone costs more than anything."""
    from itertools import permutations

    n, m = costs.shape
    lone = reach * (1 + min(n, m))
    best = np.inf
    if n <= m:
        ways = (list(zip(range(n), columns, strict=True)) for columns in permutations(range(m), n))
    else:
        ways = (list(zip(rows, range(m), strict=True)) for rows in permutations(range(n), m))
    for pairs in ways:
        best = min(best, sum(costs[a, b] if costs[a, b] <= reach else lone for a, b in pairs))
    return best


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(n=st.integers(1, 4), m=st.integers(1, 4), seed=st.integers(0, 10**6), reach=st.floats(0.05, 2.0))
def test_assignment_is_the_cheapest(n, m, seed, reach):
    rng = np.random.default_rng(seed)
    old, new = ([rng.uniform(size=(1, 2)) for _ in range(k)] for k in (n, m))
    costs = np.array([[np.linalg.norm(a - b) for b in new] for a in old])
    pairs = _assigned(old, new, _DISTANCES["centroid"], reach)
    assert all(costs[a, b] <= reach for a, b in pairs.items())
    assert len(set(pairs.values())) == len(pairs)
    lone = reach * (1 + min(n, m))
    total = sum(costs[a, b] for a, b in pairs.items()) + lone * (min(n, m) - len(pairs))
    assert total == pytest.approx(brute_force(costs, reach), rel=1e-12)


def test_distances_between_sets():
    a = np.array([[0.0, 0.0], [2.0, 0.0]])
    b = np.array([[0.0, 1.0], [2.0, 3.0]])
    assert _DISTANCES["centroid"](a, b) == pytest.approx(2.0)
    assert _DISTANCES["distance"](a, b) == pytest.approx(1.0)
    assert _DISTANCES["hausdorff"](a, b) == pytest.approx(3.0)
    assert _DISTANCES["hausdorff"](b, a) == pytest.approx(3.0)
    far = np.array([[0.0, 0.0]])
    # from the two to the one it is 2, from the one to the two it is 0
    assert _DISTANCES["hausdorff"](a, far) == _DISTANCES["hausdorff"](far, a) == pytest.approx(2.0)


def test_beyond_the_threshold_an_attractor_is_another_one():
    near = global_continuation(pitchfork, [1.0, 1.5], (0.1, 2.0), n_starts=16, threshold=0.3)
    assert len(near.ids) == 1
    apart = global_continuation(pitchfork, [1.0, 1.5], (0.1, 2.0), n_starts=16, threshold=0.1)
    assert len(apart.ids) == 2
    assert [event[1] for event in apart.events] == ["appears", "appears", "vanishes"]


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="numbers in a row"):
        global_continuation(pitchfork, [[1.0]], (-1.0, 1.0))
    with pytest.raises(TypeError, match="family must be a function"):
        global_continuation(resdyn.systems.pitchfork(), [1.0], (-1.0, 1.0))
    with pytest.raises(ValueError, match="match must be"):
        global_continuation(pitchfork, [1.0], (-1.0, 1.0), match="name")
    with pytest.raises(ValueError, match="logistic residuals"):
        global_continuation(pitchfork, [1.0], (-1.0, 1.0), coordinates="y")
    with pytest.raises(ValueError, match="keeps one shape"):
        global_continuation(lambda r: pitchfork(r) if r < 1 else network(r), [0.5, 1.5], (-1.0, 1.0), n_starts=4)


def test_result_survives_a_file_and_becomes_a_dataset(tmp_path):
    answer = global_continuation(pitchfork, [-0.2, 0.4], (-2.0, 2.0), n_starts=32)
    answer.save(tmp_path / "answer.npz")
    again = GlobalContinuation.load(tmp_path / "answer.npz")
    assert repr(again) == repr(answer)
    np.testing.assert_array_equal(again.points, answer.points)
    assert again.events == answer.events
    data = answer.to_dataset()
    assert data["fractions"].dims == ("value", "id")
    assert data["centres"].shape == (2, 2, 1)
    low, high = np.moveaxis(answer.fraction_intervals[1], -1, 0)
    assert (low < answer.fractions[1]).all()
    assert (high > answer.fractions[1]).all()
    assert "<table>" in answer._repr_html_()
