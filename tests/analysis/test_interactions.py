"""Cooperation: relations and counts by enumeration, order preservation by simulation, conclusions by conditions."""

import itertools

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.special import expit

import resdyn
from resdyn.analysis.interactions.monotonicity import SLOPES, perron_sign
from resdyn.analysis.interactions.relations import RELATIONS
from resdyn.systems import competitive_weights, cooperative_weights, random_weights

PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
seeds = st.integers(0, 2**32 - 1)
ACTIVATIONS = ["logistic", "tanh", "relu", "softplus", "identity"]

PAIRS = {
    (0, 0): "none",
    (1, 1): "mutualism",
    (-1, -1): "competition",
    (1, -1): "predator-prey",
    (-1, 1): "predator-prey",
    (1, 0): "commensalism",
    (0, 1): "commensalism",
    (-1, 0): "amensalism",
    (0, -1): "amensalism",
}


def sparse_weights(n, rng, share=0.5):
    W = rng.normal(size=(n, n))
    return np.where(rng.random((n, n)) < share, W, 0.0)


# --- relations --------------------------------------------------------------------------------------


@settings(phases=PHASES, deadline=None, max_examples=50)
@given(seeds)
def test_relations_follow_the_table_of_signs(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7))
    W = sparse_weights(n, rng)
    found = resdyn.cooperation(W)
    words = [PAIRS[np.sign(W[i, j]), np.sign(W[j, i])] for i, j in itertools.combinations(range(n), 2)]
    assert found.counts == {word: words.count(word) for word in RELATIONS}
    for (i, j), word in zip(itertools.combinations(range(n), 2), words, strict=True):
        assert found.relation(i, j) == found.relation(j, i) == word
    assert not found.relations.diagonal().any()
    off = ~np.eye(n, dtype=bool)
    assert found.links == {
        "helping": (W[off] > 0).sum(),
        "hindering": (W[off] < 0).sum(),
        "mixed": 0,
        "self-limiting": (W.diagonal() < 0).sum(),
        "self-enhancing": (W.diagonal() > 0).sum(),
    }
    assert found.cooperative == (W[off] >= 0).all()
    assert found.competitive == (W[off] <= 0).all()
    assert np.allclose(found.pair_strengths, (abs(W) + abs(W.T)) / 2)


@settings(phases=PHASES, deadline=None, max_examples=50)
@given(seeds)
def test_renaming_units_renames_the_answer(seed):
    rng = np.random.default_rng(seed)
    W = sparse_weights(6, rng, share=0.3)
    order = rng.permutation(6)
    found, renamed = resdyn.cooperation(W), resdyn.cooperation(W[np.ix_(order, order)])
    assert np.array_equal(renamed.relations, found.relations[np.ix_(order, order)])
    assert renamed.counts == found.counts
    assert renamed.balanced == found.balanced
    assert renamed.irreducible == found.irreducible
    assert renamed.largest_step == found.largest_step
    same = renamed.components[:, None] == renamed.components
    assert np.array_equal(same, (found.components[:, None] == found.components)[np.ix_(order, order)])


def test_the_sign_is_that_of_the_receiving_row():
    # unit 1 preys on unit 0: it gains from it, and harms it
    found = resdyn.cooperation([[0.0, -2.0], [3.0, 0.0]])
    assert found.sign.tolist() == [[0, -1], [1, 0]]
    assert found.frustrated_cycle == (0, 1)


def test_a_negative_gain_turns_help_into_hindrance():
    system = resdyn.ResidualMap(cooperative_weights(4), gain=-0.5)
    found = resdyn.cooperation(system)
    assert found.competitive
    assert np.array_equal(found.strengths, -0.5 * system.W)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_signs_of_weights_are_signs_of_jacobians(activation):
    rng = np.random.default_rng(1)
    system = resdyn.ResidualMap(sparse_weights(5, rng), activation=activation, damping=0.3, gain=1.2)
    off = ~np.eye(5, dtype=bool)
    signs = np.sign(system.jacobian(0.0, rng.normal(size=(200, 5))))[:, off]
    # no state shows another sign than the weight; relu may show none
    expected = resdyn.cooperation(system).sign[off]
    assert ((signs == expected) | ((signs == 0) & (activation == "relu"))).all()
    assert (np.abs(signs).max(axis=0) == np.abs(expected)).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slopes_stay_within_their_bounds_and_reach_them(activation):
    z = np.linspace(-30, 30, 60_001)
    rule = resdyn.ResidualMap([[1.0]], activation=activation).activation
    slope, known = rule.derivative(z), SLOPES[activation]
    assert np.allclose(known.of_value(rule.value(z)), slope, atol=1e-12)  # y(1 − y) cancels near y = 1
    assert slope.min() == pytest.approx(known.least, abs=1e-12)
    assert slope.max() == pytest.approx(known.most, abs=1e-12)


# --- order preservation -----------------------------------------------------------------------------


def ordered_pairs(rng, n, count, orthant):
    low = rng.normal(0, 2, (count, n))
    return low, low + orthant * rng.exponential(1.0, (count, n)) * (rng.random((count, n)) < 0.7)


@settings(phases=PHASES, deadline=None, max_examples=1000)
@given(seeds, st.sampled_from(ACTIVATIONS))
def test_maps_within_their_step_preserve_the_order_of_their_orthant(seed, activation):
    # each example is one random system, with 100 ordered pairs of states, over four layers
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7))
    orthant = rng.choice([-1, 1], n)
    W = np.abs(sparse_weights(n, rng)) * np.outer(orthant, orthant)
    W[np.diag_indices(n)] = rng.normal(0, 2, n)
    damping, gain = rng.uniform(0, 1), rng.uniform(0.2, 2)
    system = resdyn.ResidualMap(W, rng.normal(size=n), activation=activation, damping=damping, gain=gain)
    largest = resdyn.cooperation(system).largest_step
    found = resdyn.cooperation(system.replace(step=0.999 * min(largest, 2.0)))
    assert found.is_monotone("map") is True
    assert found.is_monotone("flow") is True
    low, high = ordered_pairs(rng, n, 100, found.orthant)
    for _ in range(4):
        low, high = (x + found.step * found.system.residual(0.0, x) for x in (low, high))
        # rounding of two sums of size |x| can differ by an ulp or two
        assert (found.orthant * (high - low) >= -1e-14 * (1 + np.abs(low))).all()


@settings(phases=PHASES, deadline=None, max_examples=300)
@given(seeds, st.sampled_from(ACTIVATIONS))
def test_maps_beyond_their_step_break_the_order(seed, activation):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    W = np.abs(rng.normal(size=(n, n)))
    W[np.diag_indices(n)] = -rng.uniform(0.5, 2, n)
    system = resdyn.ResidualMap(W, rng.normal(size=n), activation=activation, damping=rng.uniform(0, 1))
    largest = resdyn.cooperation(system).largest_step
    found = resdyn.cooperation(system.replace(step=1.05 * largest))
    assert found.is_monotone("map") is False
    assert found.is_monotone("flow") is True
    worst = int((-np.diagonal(W)).argmax())
    # a state at which the slope of the worst unit is close to its supremum, and a small step upwards of that unit
    z = {"relu": 1.0, "softplus": 20.0}.get(activation, 0.0)
    x = np.linalg.lstsq(W[worst : worst + 1], np.array([z - system.b[worst]]), rcond=None)[0]
    up = x + 1e-6 * np.eye(n)[worst]
    difference = [state + found.step * system.residual(0.0, state) for state in (x, up)]
    assert (difference[1] - difference[0])[worst] < 0


def test_logistic_residuals_are_bounded_by_four():
    W = np.array([[-2.0, 1.0], [1.0, -5.0]])
    assert resdyn.cooperation(W).largest_step == pytest.approx(4 / 5)
    at, beyond = (resdyn.cooperation(resdyn.logistic_residuals(W, step=h)) for h in (0.8, 0.81))
    assert (at.is_monotone("map"), beyond.is_monotone("map")) == (True, False)
    assert at.margin == 0.0
    assert beyond.margin == pytest.approx(1 - 0.81 * 5 / 4)
    assert "does not preserve" in beyond.map[0]


@settings(phases=PHASES, deadline=None, max_examples=100)
@given(st.floats(0.01, 100.0), st.floats(0.0, 10.0))
def test_the_largest_step_is_itself_small_enough(limiting, damping):
    # where 1 − h·v must be 0, rounding must not make it −1e-17 and the verdict false
    system = resdyn.ResidualMap([[-limiting]], damping=damping)
    found = resdyn.cooperation(system.replace(step=resdyn.cooperation(system).largest_step))
    assert found.margin == pytest.approx(0.0, abs=1e-15)
    assert found.is_monotone("map") is True


def test_the_margin_is_the_infimum_of_the_diagonal():
    rng = np.random.default_rng(3)
    system = resdyn.ResidualMap(rng.normal(size=(4, 4)), activation="tanh", damping=0.4, gain=1.5, step=0.3)
    states = rng.normal(0, 3, (20_000, 4))
    # states with some unit at the steepest slope, tanh′(0) = 1, are limits of these
    states[0] = 0.0
    diagonal = np.diagonal(1 + 0.3 * (system.jacobian(0.0, states)), axis1=1, axis2=2)
    margin = resdyn.cooperation(system).margin
    assert diagonal.min() >= margin - 1e-12
    assert diagonal[0].min() == pytest.approx(margin, abs=1e-12)


def test_self_enhancement_without_damping_allows_every_step():
    W = cooperative_weights(3) + 2 * np.eye(3)
    found = resdyn.cooperation(W)
    assert found.largest_step == np.inf
    assert found.is_monotone("map") is True
    assert resdyn.cooperation(resdyn.ResidualMap(W, damping=0.5, step=1.9)).largest_step == pytest.approx(2.0)
    # the slope of the identity is never 0, so help to oneself counts
    linear = resdyn.ResidualMap(np.diag([0.3, 0.4]), activation="identity", damping=0.5)
    assert resdyn.cooperation(linear).largest_step == pytest.approx(1 / 0.2)


def test_cooperative_flows_preserve_the_order_and_competitive_ones_do_so_backwards():
    rng = np.random.default_rng(5)
    preserved = {}
    for name, weights in (("cooperative", cooperative_weights), ("competitive", competitive_weights)):
        W = weights(3, scale=2.0, rng=rng)
        low, high = ordered_pairs(rng, 3, 1000, np.ones(3))
        for direction in (1, -1):
            end = [
                solve_ivp(
                    lambda t, z, W=W, d=direction: d * (expit(z.reshape(-1, 3)) @ W.T).ravel(),
                    (0, 2.0),
                    start.ravel(),
                    rtol=1e-9,
                    atol=1e-9,
                ).y[:, -1]
                for start in (low, high)
            ]
            # far above the tolerance of the integrator, far below the differences of the pairs
            preserved[name, direction] = bool((end[1] - end[0] >= -1e-6).all())
    assert preserved == {
        ("cooperative", 1): True,
        ("cooperative", -1): False,
        ("competitive", 1): False,
        ("competitive", -1): True,
    }


def test_turning_an_orthant_makes_the_same_flow_cooperative():
    s = np.array([1, -1, -1, 1])
    W = cooperative_weights(4) * np.outer(s, s)
    system = resdyn.ResidualMap(W, activation="tanh", damping=0.5)
    found = resdyn.cooperation(system)
    assert not found.cooperative
    assert found.orthant.tolist() == s.tolist()
    turned = resdyn.cooperation(system.replace(W=W * np.outer(found.orthant, found.orthant)))
    assert turned.cooperative
    assert turned.largest_step == found.largest_step
    assert len(turned.flow) == len(found.flow)
    assert "orthant (+, −, −, +)" in found.flow[0]


def test_perron_growth_of_a_cooperative_network():
    # :eq:`perron-growth`: the weighted sum of z moves by h s vᵀy in each layer, whatever the step
    W = cooperative_weights(5, scale=0.7) - 1.5 * np.eye(5)
    values, vectors = np.linalg.eig(W.T)
    lead = values.real.argmax()
    v = np.abs(vectors[:, lead].real)
    for step in (0.1, 3.0):
        run = resdyn.simulate(resdyn.logistic_residuals(W, step=step), np.zeros(5), depth=50)
        moved = np.diff(run.x @ v)
        assert np.allclose(moved, step * values[lead].real * run.y[:-1] @ v, rtol=1e-9, atol=1e-12)


@settings(phases=PHASES, deadline=None, max_examples=100)
@given(seeds, st.floats(0.0, 3.0))
def test_the_sign_of_the_perron_root_is_that_of_the_largest_eigenvalue(seed, limiting):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 8))
    W = np.abs(rng.normal(size=(n, n))) - limiting * np.sqrt(n) * np.eye(n)
    largest = np.linalg.eigvals(W).real.max()
    # an eigenvalue close to zero may stay undecided, but is never given a wrong sign
    assert perron_sign(W) == np.sign(largest) or (abs(largest) < 1e-9 and perron_sign(W) == 0)


def test_cooperators_are_told_where_they_go():
    grows, shrinks = cooperative_weights(4), cooperative_weights(4) - 3 * np.eye(4)
    for W, word in ((grows, "grows"), (shrinks, "shrinks")):
        found = resdyn.cooperation(resdyn.logistic_residuals(W, step=5.0))
        assert said(found.flow, f"{word} without bound")
        assert said(found.map, f"{word} without bound")
    assert not said(resdyn.cooperation(np.zeros((1, 1))).flow, "without bound")
    chain = resdyn.cooperation(np.triu(grows))
    damped = resdyn.cooperation(resdyn.ResidualMap(grows, damping=0.1))
    rivals = resdyn.cooperation(competitive_weights(4))
    assert not any(said((*found.flow, *found.map), "without bound") for found in (chain, damped, rivals))


def test_two_units_turn_at_most_once_unless_they_are_predator_and_prey():
    # why they converge: once (ẏ_1, ẏ_2) has signs that the order keeps, neither unit can turn again
    rng = np.random.default_rng(7)
    for _ in range(20):
        W = rng.normal(size=(2, 2))
        if W[0, 1] * W[1, 0] < 0:
            W[0, 1] *= -1
        assert resdyn.cooperation(W).balanced
        run = resdyn.simulate(
            resdyn.logistic_residuals(W, step=0.05), rng.normal(size=(10, 2)), depth=400, method="RK45"
        )
        turns = np.abs(np.diff(np.sign(np.diff(run.x, axis=0)), axis=0)).sum(axis=0) / 2
        assert turns.max() <= 1
    assert not resdyn.cooperation([[0.0, 1.0], [-1.0, 0.0]]).balanced


# --- conclusions ------------------------------------------------------------------------------------


def said(conclusions, words):
    return any(words in sentence for sentence in conclusions)


def test_generic_convergence_needs_irreducible_weights_and_smooth_slopes():
    full, chain = cooperative_weights(4), np.triu(cooperative_weights(4))
    damped = {"damping": 1.0, "step": 0.2}
    for activation in ACTIVATIONS:
        network = resdyn.cooperation(resdyn.ResidualMap(full, activation=activation, **damped))
        bounded = activation in ("logistic", "tanh")
        assert said(network.flow, "approaches the equilibria") == (activation != "relu")
        assert said(network.flow, "all are bounded") == bounded
        assert said(network.map, "approaches a cycle") == bounded
        assert said(network.flow, "preserves the order")
        reducible = resdyn.cooperation(resdyn.ResidualMap(chain, activation=activation, **damped))
        assert not said(reducible.flow, "approaches the equilibria")
        assert not said(reducible.map, "approaches a cycle")
        assert said(reducible.flow, "4 components") == (activation != "relu")
    undamped = resdyn.cooperation(resdyn.ResidualMap(full, step=0.2))
    assert not said(undamped.map, "approaches a cycle")
    assert said(undamped.flow, "No orbit of z is bounded")
    assert not said(undamped.flow, "Almost every")
    assert not said(undamped.flow, "No periodic orbit")


def test_a_margin_of_zero_is_not_strong():
    # the plain network: no unit carries its own state on
    found = resdyn.cooperation(resdyn.ResidualMap.mlp(np.abs(random_weights(4))))
    assert found.margin == 0
    assert found.is_monotone("map") is True
    assert not said(found.map, "approaches a cycle")


def test_three_competitors_and_more():
    damping = {"damping": 0.1, "step": 0.1}
    three, four = (resdyn.cooperation(resdyn.ResidualMap(competitive_weights(n), **damping)) for n in (3, 4))
    assert said(three.flow, "periodic orbit")
    assert said(four.flow, "Lipschitz system in 3 dimensions")
    for found in (three, four):
        assert found.is_monotone("flow") is False
        assert said(found.flow, "backwards in time")
        assert said(found.map, "do not carry over to maps")
    two = resdyn.cooperation(competitive_weights(2))
    assert two.orthant.tolist() == [1, -1]
    assert said(two.flow, "every orbit of y converges")


def test_layers_that_agree_preserve_an_order_and_promise_no_more():
    W = np.abs(random_weights(4, depth=3))
    agree = resdyn.cooperation(resdyn.ResidualMap(W, step=0.3))
    assert agree.cooperative
    assert agree.is_monotone("map") is True
    assert said(agree.flow, "each of the 3 layers")
    assert not said(agree.flow, "equilibria")
    assert not said((*agree.flow, *agree.map), "for ever")
    W[1, 0, 2] *= -1
    disagree = resdyn.cooperation(resdyn.ResidualMap(W, step=0.3))
    assert disagree.relation(0, 2) == "mixed"
    assert disagree.frustrated_cycle == (0, 2)
    # each layer breaks an order that later layers may mend: the whole is not known
    assert disagree.is_monotone("flow") is None
    assert disagree.is_monotone("map") is None
    assert said(disagree.map, "what the whole does is not known")
    assert np.argwhere(disagree.mixed).tolist() == [[0, 2]]
    assert said(disagree.flow, "changes its sign")


def test_layer_wise_damping_and_gain_bound_the_step_by_their_worst_layer():
    W = -np.eye(2) * 2.0
    found = resdyn.cooperation(resdyn.ResidualMap(W, activation="tanh", damping=[0.0, 3.0], gain=[1.0, 0.1]))
    assert found.largest_step == pytest.approx(1 / (3.0 + 0.2))


def test_what_a_threshold_leaves_out_is_said_and_no_theorem_claimed():
    W = np.array([[0.0, 1.0], [-0.01, 0.0]])
    assert resdyn.cooperation(W).counts["predator-prey"] == 1
    found = resdyn.cooperation(W, threshold=0.01)
    assert found.counts["commensalism"] == 1
    assert found.cooperative
    assert found.n_dropped == 1
    assert found.is_monotone("flow") is None
    assert found.flow == found.map
    assert said(found.flow, "no theorem follows")
    assert resdyn.cooperation(W, threshold=0.001).n_dropped == 0


def test_a_bare_matrix_leaves_the_step_open():
    found = resdyn.cooperation(cooperative_weights(3) - np.eye(3))
    assert found.step is None
    assert found.margin is None
    assert found.is_monotone("map") is None
    assert said(found.map, f"h ≤ {found.largest_step:.6g}")


def test_under_a_drive_order_is_kept_and_nothing_else_is_claimed():
    for system in (
        resdyn.ResidualMap(cooperative_weights(4), damping=1.0, step=0.2),
        resdyn.ResidualMap(cooperative_weights(4), step=0.2),
    ):
        run = resdyn.simulate(system, np.zeros(4), inputs=np.ones((3, 4)))
        found = resdyn.cooperation(system, run)
        assert found.driven
        assert found.is_monotone("flow") is found.is_monotone("map") is True
        assert len(found.flow) == 2
        assert "The trajectory is driven" in found.flow[1]
        assert len(found.map) == 1


def test_under_noise_nothing_is_claimed():
    system = resdyn.ResidualMap(cooperative_weights(4), damping=1.0, step=0.2)
    found = resdyn.cooperation(system, resdyn.simulate(system, np.zeros(4), depth=3, noise=0.1, rng=0))
    assert found.is_monotone("flow") is found.is_monotone("map") is None
    assert [len(found.flow), len(found.map)] == [1, 1]
    assert "noisy" in found.flow[0]


def test_a_layer_that_reverses_an_order_may_be_mended_by_the_next():
    # each of two linear layers multiplies by −1, and (−1)(−1) = 1 keeps the order all the same
    W = np.full((2, 1, 1), -2.0)
    system = resdyn.ResidualMap(W, activation="identity", step=1.0)
    end = resdyn.simulate(system, [[0.0], [1.0]]).final
    assert end[1] > end[0]
    found = resdyn.cooperation(system)
    assert found.is_monotone("map") is None
    assert said(found.map, "Not every layer preserves")


def test_one_layer_does_not_differ_from_itself():
    found = resdyn.cooperation(resdyn.ResidualMap(cooperative_weights(3)[None], step=0.1))
    assert said(found.flow, "The number of layers is fixed")
    assert not said(found.flow, "differ")
    assert resdyn.cooperation(resdyn.ResidualMap(np.array([[[0.0, 1.0], [-1.0, 0.0]]]))).is_monotone("map") is False


@settings(phases=PHASES, deadline=None, max_examples=100)
@given(seeds)
def test_a_change_of_signs_changes_no_conclusion(seed):
    # tanh is odd, so SWS is the same network, with some units counted downwards
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 6))
    s = rng.choice([-1, 1], n)
    W = -np.abs(sparse_weights(n, rng, share=0.8)) * np.sign(rng.random() - 0.3)
    system = resdyn.ResidualMap(W, activation="tanh", damping=0.5, step=0.1)
    found, turned = (resdyn.cooperation(system.replace(W=weights)) for weights in (W, W * np.outer(s, s)))
    assert (found.competitive_orthant is None) == (turned.competitive_orthant is None)

    def without_order(sentences):
        return [sentence.split(" order")[0].split(" in the orthant")[0].split(":")[0] for sentence in sentences]

    assert without_order(turned.flow) == without_order(found.flow)
    assert without_order(turned.map) == without_order(found.map)
    assert turned.is_monotone("flow") == found.is_monotone("flow")


def test_competition_in_an_orthant_is_competition():
    s = np.array([1, -1, 1, -1])
    found = resdyn.cooperation(
        resdyn.ResidualMap(competitive_weights(4) * np.outer(s, s), activation="tanh", damping=0.5)
    )
    assert not found.competitive
    assert found.competitive_orthant.tolist() == s.tolist()
    assert said(found.flow, "Competitive in the orthant (+, −, +, −): backwards in time")
    assert said(found.flow, "Lipschitz system in 3 dimensions")


def test_bounded_orbits_are_spoken_of_only_where_there_may_be_some():
    regular = resdyn.cooperation(competitive_weights(3))
    assert regular.none_bounded
    assert said(regular.flow, "No orbit of z is bounded")
    assert not said(regular.flow, "limit set")
    # rows that sum to 0: z rests wherever all y are equal
    singular = resdyn.cooperation([[2.0, -1.0, -1.0], [-1.0, 2.0, -1.0], [-1.0, -1.0, 2.0]])
    assert not singular.none_bounded
    assert said(singular.flow, "bounded limit set")


def test_a_reducible_network_is_not_said_to_have_no_attracting_cycle():
    chain = resdyn.ResidualMap(np.triu(cooperative_weights(3)), damping=0.5)
    full = resdyn.ResidualMap(cooperative_weights(3), damping=0.5)
    assert not said(resdyn.cooperation(chain).flow, "No periodic orbit")
    assert said(resdyn.cooperation(full).flow, "No periodic orbit")


def test_an_activation_that_took_a_name_is_not_that_activation():
    import dataclasses

    from resdyn.activations import NAMED

    impostor = dataclasses.replace(NAMED["tanh"], value=lambda z: -z, derivative=lambda z: -np.ones_like(z))
    system = resdyn.ResidualMap(cooperative_weights(2), activation=impostor)
    with pytest.raises(ValueError, match="must be observed"):
        resdyn.cooperation(system)


def test_a_threshold_on_observed_jacobians_counts_what_it_leaves_out():
    A = np.array([[-1.0, 1.0], [-0.01, -1.0]])
    system = resdyn.ResidualSystem(lambda t, x, p: x @ A.T, 2, step=0.1)
    found = resdyn.cooperation(system, states=np.zeros((1, 2)), threshold=0.1)
    assert found.n_dropped == 1
    assert found.strengths[1, 0] == 0.0
    assert found.is_monotone("flow") is None
    assert said(found.flow, "1 non-zero entries")
    assert resdyn.cooperation(system, states=np.zeros((1, 2))).n_dropped == 0


def test_huge_weights_do_not_overflow():
    assert perron_sign(cooperative_weights(3) * 1e308) == 1
    assert perron_sign(1e308 * (cooperative_weights(3) / 10 - np.eye(3))) == -1


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda run: resdyn.cooperation(run), TypeError, "is a Trajectory; pass cooperation"),
        (lambda run: resdyn.cooperation(run.system, 5), TypeError, "Trajectory, but is 5 of type int"),
        (lambda run: resdyn.cooperation(2 * run.system.W, run), ValueError, "weights differ"),
        (lambda run: resdyn.cooperation(run.system, run).relation(5, 0), ValueError, "no unit 5; the 2 units"),
        (lambda run: resdyn.cooperation(run.system, run).influence_at(1000), ValueError, "no saved layer 1000"),
    ],
)
def test_what_does_not_fit_is_named(call, error, match):
    run = resdyn.simulate(resdyn.ResidualMap(random_weights(2)), np.zeros(2), depth=2)
    with pytest.raises(error, match=match):
        call(run)


# --- systems without weights ------------------------------------------------------------------------


def test_signs_of_a_lotka_volterra_system_are_those_of_its_interactions():
    # inside the positive quadrant ∂f_i/∂x_j = a_ij x_i
    a = np.array([[-1.0, -0.5, 0.3], [0.7, -1.0, 0.0], [0.0, -0.2, -1.0]])
    system = resdyn.ResidualSystem(lambda t, x, p: x * (1 + x @ a.T), 3, step=0.1)
    found = resdyn.cooperation(system, states=np.random.default_rng(0).uniform(0.1, 1, (30, 3)))
    off = ~np.eye(3, dtype=bool)
    assert np.array_equal(found.sign[off], np.sign(a)[off])
    assert found.n_states == 30
    assert said(found.flow, "Observed at 30 states")
    assert found.is_monotone("flow") is False  # units 0 and 1 are predator and prey
    assert not found.mixed[off].any()


def test_what_is_only_observed_is_not_known():
    system = resdyn.ResidualSystem(lambda t, x, p: x @ np.array([[-1.0, 1.0], [2.0, -1.0]]).T, 2, step=0.1)
    found = resdyn.cooperation(system, states=np.zeros((1, 2)))
    assert found.balanced
    assert found.is_monotone("flow") is None
    assert found.is_monotone("map") is None
    assert found.margin == pytest.approx(0.9)
    assert said(found.flow, "Observed at one state, not proven")
    # one state where I + hA has a negative diagonal is enough to know that the map does not
    fast = resdyn.cooperation(system.replace(step=2.0), states=np.zeros((1, 2)))
    assert fast.is_monotone("map") is False
    assert said(fast.map, "does not preserve the order")


def test_rounding_of_differences_is_no_interaction():
    # x_1 drops out of f_0, but not of its rounding errors; difference quotients of them are about 1e-13/1e-5
    def rule(t, x, p):
        return np.stack([(x[..., 0] + x[..., 1] + 1e3) - x[..., 1], x[..., 0]], axis=-1)

    system = resdyn.ResidualSystem(rule, 2)
    states = np.random.default_rng(0).normal(size=(50, 2))
    assert np.any([system.jacobian(0.0, x)[0, 1] for x in states])
    found = resdyn.cooperation(system, states=states)
    assert found.sign.tolist() == [[1, 0], [1, 0]]
    assert not found.mixed.any()


def test_the_lowest_diagonal_is_that_of_the_worst_state():
    # ∂f/∂x = 1 − 3x²
    found = resdyn.cooperation(resdyn.systems.pitchfork(r=1.0, step=0.1), states=[[0.0], [2.0], [1.0]])
    assert found.lowest_diagonal == pytest.approx(-11)
    assert found.largest_step == pytest.approx(1 / 11)
    assert found.is_monotone("map") is False


def test_sampled_signs_of_a_network_agree_with_its_weights():
    # the same network, given once as weights and once as formulas that nobody can read signs from
    import sympy

    z = sympy.Symbol("z")
    W = random_weights(4)
    known = resdyn.ResidualMap(W, activation="logistic", damping=0.2)
    unknown = resdyn.ResidualMap(W, activation=1 / (1 + sympy.exp(-z)), damping=0.2)
    trajectory = resdyn.simulate(unknown, np.random.default_rng(0).normal(size=(6, 4)), depth=5)
    read = resdyn.cooperation(known, resdyn.simulate(known, trajectory.x0, depth=5))
    observed = resdyn.cooperation(unknown, trajectory)
    assert np.array_equal(read.relations, observed.relations)
    assert read.frustrated_cycle == observed.frustrated_cycle
    assert observed.n_states == 36
    off = ~np.eye(4, dtype=bool)
    assert np.allclose(read.influence[:, off], observed.influence[:, off], rtol=1e-9)
    assert np.allclose(observed.mean_strengths[off], observed.influence.mean(axis=0)[off])


def test_hénon_is_mixed_nowhere_but_on_its_diagonal():
    system = resdyn.systems.henon()
    run = resdyn.simulate(system, [[0.1, 0.1]], depth=50)
    found = resdyn.cooperation(system, run)
    assert found.mixed.tolist() == [[True, False], [False, False]]
    assert found.relation(0, 1) == "mutualism"
    assert found.components.tolist() == [0, 0]


def test_states_of_any_shape_are_counted_unit_by_unit():
    # each of 2×2 units is hindered by the one before it in the flattened order
    system = resdyn.ResidualSystem(lambda t, x, p: -np.roll(x.reshape(-1, 4), 1, axis=1).reshape(x.shape), (2, 2))
    found = resdyn.cooperation(system, resdyn.simulate(system, np.ones((3, 2, 2)), depth=2))
    assert np.array_equal(found.sign, -np.roll(np.eye(4), 1, axis=0))
    assert found.n_states == 9
    assert found.orthant.tolist() == [1, -1, 1, -1]
    assert found.influence.shape == (3, 4, 4)


def test_diverged_states_are_left_out():
    system = resdyn.systems.pitchfork()
    run = resdyn.simulate(system, [[0.1], [1e3]], depth=20)
    found = resdyn.cooperation(system, run)
    assert 21 <= found.n_states < 42
    assert np.isfinite(found.strengths).all()


# --- along a trajectory -----------------------------------------------------------------------------


def test_influence_is_that_of_the_residual_flow():
    W = random_weights(4)
    system = resdyn.logistic_residuals(W, step=0.3)
    run = resdyn.simulate(system, np.random.default_rng(0).normal(size=(5, 2, 4)), depth=6)
    found = resdyn.cooperation(system, run)
    y = run.y
    expected = (y * (1 - y)).mean(axis=(1, 2))[:, :, None] * W
    assert np.allclose(found.influence, expected)
    assert np.allclose(found.influence_at(2), expected[2])
    # the bare matrix with the same trajectory says the same
    assert np.allclose(resdyn.cooperation(W, run).influence, expected)


def test_influence_in_a_layer_wise_network_is_the_off_diagonal_jacobian():
    system = resdyn.ResidualMap(random_weights(3, depth=4), activation="tanh", damping=0.2, gain=1.3, step=0.5)
    run = resdyn.simulate(system, np.random.default_rng(0).normal(size=3), save=2)
    found = resdyn.cooperation(system, run)
    off = ~np.eye(3, dtype=bool)
    for slot, (t, x) in enumerate(zip(run.t, run.x, strict=True)):
        assert np.allclose(found.influence_at(slot)[off], system.jacobian(t, x)[off])
    assert found.strengths.shape == (4, 3, 3)
    assert np.allclose(found.mean_strengths, 1.3 * system.W.mean(axis=0))


def test_there_is_no_influence_without_a_trajectory():
    with pytest.raises(ValueError, match="pass one: cooperation"):
        resdyn.cooperation(random_weights(3)).influence_at(0)
    with pytest.raises(ValueError, match="pass one: cooperation"):
        _ = resdyn.cooperation(random_weights(3)).influence


# --- errors, storage, words -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "error", "match"),
    [
        (([[1.0, 2.0]],), {}, ValueError, r"W has shape \(1, 2\)"),
        ((np.zeros((3, 2, 2)),), {}, ValueError, r"layer-wise weights pass resdyn.ResidualMap"),
        ((random_weights(2),), {"threshold": -1.0}, ValueError, "0 or above"),
        ((random_weights(2),), {"threshold": "high"}, TypeError, "must be a number"),
        ((random_weights(2),), {"states": np.zeros((1, 2))}, ValueError, "leave states out"),
        ((resdyn.systems.lorenz(),), {}, ValueError, "pass a trajectory, or states="),
        ((resdyn.systems.lorenz(),), {"states": np.zeros(2)}, ValueError, r"states has shape \(2,\)"),
        ((resdyn.systems.lorenz(),), {"states": np.full(3, np.nan)}, ValueError, "finite"),
    ],
)
def test_cooperation_refuses(arguments, options, error, match):
    with pytest.raises(error, match=match):
        resdyn.cooperation(*arguments, **options)


def test_cooperation_refuses_trajectories_of_other_systems():
    run = resdyn.simulate(resdyn.systems.lorenz(), np.ones(3), depth=2)
    with pytest.raises(ValueError, match=r"states of shape \(3,\), but .* has \(2,\)"):
        resdyn.cooperation(random_weights(2), run)
    with pytest.raises(ValueError, match="no named activation"):
        resdyn.cooperation(random_weights(3), run)
    layered = resdyn.ResidualSystem(lambda t, x, p: -t * x, 2, depth=3)
    with pytest.raises(ValueError, match="depends on t"):
        resdyn.cooperation(layered, states=np.ones(2))


CASES = {
    "bare": lambda: resdyn.cooperation(competitive_weights(3)),
    "network": lambda: resdyn.cooperation(
        resdyn.ResidualMap(random_weights(3), step=0.1),
        resdyn.simulate(resdyn.ResidualMap(random_weights(3), step=0.1), np.zeros((2, 3)), depth=3),
    ),
    "orthant": lambda: resdyn.cooperation(resdyn.ResidualMap.leaky_rnn(cooperative_weights(3), leak=0.3)),
}


@pytest.mark.parametrize("case", CASES)
def test_saved_and_loaded_it_says_the_same(case, tmp_path):
    found = CASES[case]()
    found.save(tmp_path / "c.npz")
    again = type(found).load(tmp_path / "c.npz")
    assert repr(again) == repr(found)
    assert again.frustrated_cycle == found.frustrated_cycle
    assert np.array_equal(again.strengths, found.strengths)
    assert again.is_monotone("map") == found.is_monotone("map")
    if found.t is not None:
        assert np.array_equal(again.influence, found.influence)


def test_observed_signs_are_stored_with_the_name_of_their_system(tmp_path):
    system = resdyn.systems.lorenz()
    found = resdyn.cooperation(system, resdyn.simulate(system, np.ones(3), depth=4))
    found.save(tmp_path / "c.npz")
    again = type(found).load(tmp_path / "c.npz", system=system)
    assert repr(again) == repr(found)
    assert np.array_equal(again.jacobians, found.jacobians)


def test_dataset():
    found = CASES["network"]()
    ds = found.to_dataset()
    assert ds.sizes == {"receiver": 3, "actor": 3, "unit": 3, "t": 4}
    assert np.array_equal(ds["strength"], found.mean_strengths)
    assert np.array_equal(ds["influence"].isel(t=1), found.influence_at(1))
    assert ds.attrs["relations"] == ", ".join(RELATIONS)
    assert not any(isinstance(value, tuple) for value in ds.attrs.values())  # netCDF takes no tuples of words
    assert CASES["orthant"]().to_dataset()["orthant"].values.tolist() == [1, 1, 1]


def test_words():
    text = repr(resdyn.cooperation(resdyn.ResidualMap(competitive_weights(3), name="rivals")))
    assert "'rivals' (3 units, signs of weights): 0 helping and 6 hindering interactions" in text
    assert "pairs: 3 competition. Competitive, not balanced, irreducible" in text
    assert "no interactions" in repr(resdyn.cooperation(np.zeros((2, 2)))).lower()
    assert "<td>competition</td><td>3</td>" in resdyn.cooperation(competitive_weights(3))._repr_html_()


def test_every_source_is_in_the_bibliography():
    import re
    from pathlib import Path

    bibliography = (Path(__file__).parents[2] / "docs" / "references.bib").read_text(encoding="utf-8")
    module = Path(resdyn.__file__).parent / "analysis" / "interactions" / "monotonicity.py"
    keys = set(re.findall(r"\[(\w+)\]", module.read_text(encoding="utf-8")))
    cited = {key for key in keys if re.fullmatch(r"[a-z]+\d{4}", key)}
    assert {"smith1995", "hirsch1985", "hirsch2005", "harary1953", "polacik1992"} == cited
    assert all(f"{{{key}," in bibliography for key in cited)


def test_the_size_of_a_trained_network_takes_no_time():
    # by what it does, not by the clock: 1064 units, dense, with the hardest case for balance (no pair is frustrated)
    s = np.random.default_rng(0).choice([-1, 1], 1064)
    W = np.abs(random_weights(1064)) * np.outer(s, s)
    found = resdyn.cooperation(W)
    assert np.array_equal(found.orthant, s * s[0])
    W[3, 700] *= -1
    W[700, 3] *= -1
    cycle = resdyn.cooperation(W).frustrated_cycle
    assert len(cycle) == 3
    assert {3, 700} <= set(cycle)
