"""The smoke presets of the scripts on the damped flow, against closed forms, and the rules of their verdicts."""

import copy

import numpy as np
import pytest

import resdyn
from experiments._harness.claims import LONGEST
from experiments._harness.spreads import ENOUGH_SEEDS
from experiments.yang2020_interpolation import (
    claims,
    claims_attractors,
    claims_discretisations,
    claims_gains,
    discretisations,
    families,
    logistic_flows,
    lyapunov_summary,
    stability,
)

torch = pytest.importorskip("torch")
from experiments.yang2020_interpolation import damped_units, lyapunov, toy  # noqa: E402

PAPER = "yang2020_interpolation"
SCRIPTS = {"toy": toy, "lyapunov": lyapunov}


# --- stable steps ------------------------------------------------------------------------------------


def test_orbits_of_the_linear_problem_grow_as_the_closed_form_says(smoke):
    arrays = smoke("toy").arrays
    n = len(stability.METHODS) - 1
    # maps and fixed steps multiply by one number per layer, but for rounding; RK45 has a tolerance of 1e-10
    assert arrays["measured"][:n] == pytest.approx(arrays["closed"][:n], rel=1e-12)
    assert arrays["measured"][n] == pytest.approx(arrays["closed"][n], rel=1e-8)
    assert arrays["measured"][0] == pytest.approx(arrays["measured"][stability.METHODS.index("euler")], rel=1e-14)


@pytest.mark.parametrize("method", stability.LAYERWISE)
def test_at_the_longest_stable_step_lengths_stay(method):
    dampings = np.array([0.3, 0.6, 0.9])
    longest = stability.longest_step(method, dampings, 1.0)
    assert stability.growth(method, longest, dampings, 1.0) == pytest.approx(1.0, abs=1e-14)
    assert (stability.growth(method, 0.9 * longest, dampings, 1.0) < 1).all()
    assert (stability.growth(method, 1.1 * longest, dampings, 1.0) > 1).all()


def test_the_exponential_map_is_stable_at_any_step_where_damping_exceeds_the_rotation():
    assert np.isinf(stability.longest_step("exponential", [1.0, 2.0], 1.0)).all()
    assert stability.growth("exponential", 100.0, 1.1, 1.0) < 1
    assert stability.growth("exponential", 0.7, 0.0, 1.0) == stability.growth("residual", 0.7, 0.0, 1.0)


# --- discretisations ---------------------------------------------------------------------------------


def test_the_ends_of_the_interpolation_are_the_residual_and_the_plain_layer(smoke):
    assert abs(smoke("toy").arrays["ends"]).max() <= 1e-15
    W, b, x = np.array([[0.5, -1.0], [0.3, 0.2]]), np.array([0.1, -0.2]), np.array([[0.3, 0.4]])
    y = np.tanh(x @ W.T + b)
    for kind, gain in (("in", 1.0), ("lambda-in", 1.25)):
        layer = resdyn.simulate(discretisations.family(kind, W, b)(0.25), x, depth=1).final
        assert layer == pytest.approx(0.75 * x + gain * y)


def test_without_damping_euler_and_the_exponential_map_are_one(smoke):
    errors = smoke("toy").arrays["errors"]
    assert errors[..., 0, :, 0] == pytest.approx(errors[..., 1, :, 0], rel=1e-12)
    # a higher order is more exact at these steps
    assert (errors[:, :, 3] < errors[:, :, 2]).all()
    assert (errors[:, :, 2] < errors[:, :, 0]).all()


def test_a_linear_net_is_as_far_from_its_flow_as_exponentials_say():
    system = resdyn.ResidualMap([[0.0]], [0.0], activation="identity", damping=0.5, step=0.5)
    x = np.array([[2.0]])
    assert discretisations.error(system, x, "residual", 1.0) == pytest.approx(2 * (np.exp(-0.5) - 0.75**2), rel=1e-8)
    # the damping alone is what the exponential map treats exactly; the tolerance is that of the flow
    assert discretisations.error(system, x, "exponential", 1.0) < 1e-9


# --- families ----------------------------------------------------------------------------------------


def test_a_proof_of_one_attractor_is_not_contradicted_and_has_a_reason(smoke):
    arrays, config = smoke("toy").arrays, toy.PRESETS["smoke"]
    proven = arrays["level"] == families.ONE
    assert proven.any()
    assert not proven.all()
    assert smoke("toy").summary["survey"]["contradictions"] == 0
    # ‖W‖ < λ is enough for the flow of tanh units, α = 1
    enough = arrays["norm"][0][:, None] < np.array(config.survey)
    assert enough.any()
    assert proven[0, :, 0][enough].all()


def test_resting_states_are_counted():
    starts = np.array([[-2.0], [-0.5], [0.4], [1.0]])
    pitchfork = discretisations.family("in", np.array([[1.0]]))
    assert families.resting_states(pitchfork(0.5), "map", starts, 400) == 2
    assert families.resting_states(pitchfork(1.5), "flow", starts, 40) == 1
    # hλ = 2.5: the network runs away
    assert families.resting_states(pitchfork(2.5), "map", starts, 400) == 0


def test_exponents_of_a_resting_net_are_its_eigenvalues():
    system = discretisations.family("in", families.spiral(1.2, 0.6))(2.0)
    start = np.array([0.1, 0.1])
    assert families.leading_exponent(system, "flow", start, 200, 100) == pytest.approx(-0.8, abs=1e-5)
    assert families.leading_exponent(system, "map", start, 200, 100) == pytest.approx(
        np.log(abs(1 - 2.0 + 1.2 + 0.6j)), abs=1e-9
    )


def test_one_net_goes_from_four_attractors_to_one(smoke):
    one = smoke("toy").summary["one_net"]
    assert one["flow"]["attractors"] == [4, 1, 1, 1]
    assert one["flow"]["kinds"][1:3] == ["limit cycle", "fixed point"]
    low, high = one["window"]["map"]
    for lam in (low, high):
        multiplier = 1 - lam + 1.2 + 0.6j
        assert abs(multiplier) == pytest.approx(1.0)
    # beyond hλ = 2 some states run away, though the origin attracts
    assert one["map"]["diverged"][:3] == [0.0, 0.0, 0.0]
    assert one["map"]["diverged"][3] > 0.3


# --- contraction -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "step"), [(0.5, 1.5), (0.9, 1.2), (0.25, 1.9)])
def test_the_cycle_of_one_unit_returns_and_attracts(ratio, step):
    amplitude = logistic_flows.cycle_amplitude(ratio, step)
    unit = logistic_flows.inhibited(ratio, step)
    assert amplitude > 0.1
    x = resdyn.simulate(unit, [logistic_flows.REST + amplitude], depth=2).x[:, 0] - logistic_flows.REST
    assert x == pytest.approx([amplitude, -amplitude, amplitude], abs=1e-12)
    other = resdyn.simulate(unit, [logistic_flows.REST + 0.01], depth=3000, save="final").final[0]
    assert abs(other - logistic_flows.REST) == pytest.approx(amplitude, abs=1e-9)


def test_there_is_no_cycle_below_the_step_and_nothing_holds_the_states_beyond_two():
    for ratio in (0.3, 0.8):
        first = 2 / (1 + ratio)
        assert logistic_flows.cycle_amplitude(ratio, first - 1e-9) == 0
        assert 0 < logistic_flows.cycle_amplitude(ratio, first + 1e-3) < 0.5
        assert np.isinf(logistic_flows.cycle_amplitude(ratio, 2.0))


def test_beyond_two_a_resting_state_may_attract_those_near_it():
    # one unit that excites itself, at hλ = 2.5 with the slope 1 − 2.5 + 1.5 = 0 where it rests
    unit = logistic_flows.logistic(np.array([[6.0]]), np.array([-6.0 * 0.2]), damping=2.5, step=1.0)
    found = resdyn.simulate(unit, np.array([[0.2 + 0.05], [0.2 + 5.0]]), depth=100)
    assert found.final[0] == pytest.approx(0.2, abs=1e-9)
    assert abs(found.final[1]) > 1e9  # 1.5 to the power of 100, and no less where the run is cut short
    # one that inhibits itself is left by all orbits
    unit = logistic_flows.inhibited(0.25, 2.1)
    assert abs(resdyn.simulate(unit, [logistic_flows.REST + 1e-3], depth=300, save="final").final[0]) > 1e3


def test_a_cycle_may_stand_where_the_step_is_short_and_the_flow_expands():
    # hλ = 1/2 and h(λ + αν/4) = 2.1: e ↔ −e with 1.5 s = 1.6 tanh s
    unit = logistic_flows.logistic(np.array([[-6.4]]), np.array([6.4]), damping=0.5, step=1.0)
    e = resdyn.simulate(unit, [1.01], depth=1000).x[-2:, 0] - 1.0
    assert abs(e) == pytest.approx(0.1407, abs=1e-4)
    assert e[0] == pytest.approx(-e[1], abs=1e-9)


def test_proofs_for_the_map_end_where_its_bound_reaches_one(smoke):
    config = lyapunov.PRESETS["smoke"]
    steps = lyapunov.unit_steps(config)
    for k, ratio in enumerate(config.ratios):
        proven = smoke("lyapunov").arrays["unit_proven"][k]
        assert proven[0]
        bound = logistic_flows.factor(steps, 1.0, 4 * ratio)
        assert (proven[1:] == (bound < 1)).all()
        assert smoke("lyapunov").summary["one_unit"][f"{ratio:g}"]["cycles_where_the_flow_contracts"] > 0


def test_bounds_of_rates_hold_and_are_sharp(smoke):
    arrays, n = smoke("lyapunov").arrays, lyapunov.PRESETS["smoke"].nets
    for name, tolerance in (("flow", 0.02), ("map", 1e-6)):
        gap = arrays[f"random_{name}"] - arrays[f"random_{name}_bound"]
        assert (gap < tolerance).all()
        # W = ±‖W‖ I: neighbours of the resting state come as near to the bound as the cube of their distance
        assert gap[0, n:].max() > -0.05
        assert gap[0, :n].max() < gap[0, n:].max()


def test_a_broken_bound_would_be_counted(smoke):
    run = smoke("lyapunov")
    arrays = dict(run.arrays) | {"random_map": run.arrays["random_map"] + 5.0}
    summary = lyapunov.summarize(lyapunov.PRESETS["smoke"], arrays)
    assert summary["random_nets"]["violations"] == run.arrays["random_map"].size
    assert CLAIMS["flow-contracts"].verdict(summary).startswith("not confirmed")


# --- trained units -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair():
    return damped_units.Pair("untrained lambda-in", 1, 0)


def test_gains_are_those_of_the_dense_jacobian(pair):
    for place in (1, 5):
        assert pair.dampings[place] > 0.1
        found = pair.of_block(place, 0, counted=True)
        x = torch.from_numpy(pair.states[place][0])
        for network, prefix in ((pair.network, ""), (pair.without, "undamped_")):
            jacobian = torch.func.jacrev(lambda s, u=network.units[place]: u.function(s[None])[0])(x)
            values = torch.linalg.svdvals(jacobian.detach().reshape(x.numel(), x.numel())).numpy()
            assert found[f"{prefix}largest"] == pytest.approx(values[0], rel=1e-9)
            assert found[f"{prefix}above"] == pytest.approx((values > 1 + 1e-6).mean())


def test_without_damping_the_branch_is_added_as_it_is(pair):
    assert abs(damped_units.dampings(pair.without)).max() == 0
    x, lam = pair.states[1], pair.dampings[1]
    damped, bare = pair.network.units[1](x), pair.without.units[1](x)
    assert damped == pytest.approx((1 - lam) * x + (1 + lam) * (bare - x))


def test_in_resnets_change_their_largest_gain_by_no_more_than_the_damping(smoke):
    net = smoke("lyapunov").summary["trained"]["nets"]["untrained in"]
    units = [unit for unit in net["units"].values() if unit["damping"]]
    assert len(units) == 3
    # J + λI has singular values within λ of those of J (Weyl)
    for unit in units:
        assert 0 < abs(unit["undamped_largest"] - unit["largest"]) <= unit["damping"]


def test_exponents_of_a_stage_are_those_of_the_product_of_its_jacobians(pair):
    assert [unit.name for unit in pair.network.stages[1].blocks] == [pair.network.units[3].name]
    alone = resdyn.networks.linearize(pair.network.units[3], pair.states[3][0]).to_dense()
    assert pair.of_stage(1, 0)["exponent"] == pytest.approx(np.log(np.linalg.norm(alone, 2)), rel=1e-8)
    two = pair.network.stages[0]
    product = np.eye(int(np.prod(two.shape)))
    for place in (0, 1):
        product = resdyn.networks.linearize(pair.network.units[place], pair.states[place][0]).to_dense() @ product
    assert pair.of_stage(0, 0)["exponent"] == pytest.approx(np.log(np.linalg.norm(product, 2)) / 2, rel=1e-8)


def test_exponents_of_a_trained_logistic_net_stay_below_the_bound(smoke):
    row = smoke("lyapunov").summary["shared"]["dense-shared-digits-seed0"]
    system, depth, starts = logistic_flows.trained_map("dense-shared-digits-seed0", 2)
    assert (row["norm"], row["depth"]) == (pytest.approx(np.linalg.norm(system.W, 2)), depth)
    assert row["contracts_from"] == pytest.approx(row["norm"] / 4)
    assert (np.array(row["exponents"]["most"]) <= row["bounds"]).all()
    tangent = np.eye(64)
    for x in resdyn.simulate(system, starts[0], depth=depth).x[:-1]:
        tangent = (np.eye(64) + system.jacobian(0.0, x)) @ tangent
    own = smoke("lyapunov").arrays["shared0_exponents"][0, 0]
    assert own == pytest.approx(np.log(np.linalg.norm(tangent, 2)) / depth, rel=1e-9)


def test_kinds_of_nets_are_told_by_their_names():
    names = ("in-resnet20-cifar10-seed0", "lambda-in-resnet20-cifar10-seed1", "resnet20-cifar10-seed0", "untrained in")
    assert [lyapunov_summary.kind_of(name) for name in names] == ["in", "lambda-in", "plain", "in"]


# --- verdicts ----------------------------------------------------------------------------------------


CLAIMS = {claim.key: claim for claim in claims.FLOWS}


def changed(summary, *path, to):
    """A copy of a summary with one entry replaced."""
    new = copy.deepcopy(summary)
    place = new
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return new


@pytest.mark.parametrize("key", CLAIMS)
def test_every_claim_can_be_told_of_a_smoke_run(smoke, key):
    summary = smoke(CLAIMS[key].script).summary
    assert 20 < len(CLAIMS[key].measured(summary)) <= LONGEST
    if CLAIMS[key].details:
        assert CLAIMS[key].details(summary).endswith(".")
    assert CLAIMS[key].verdict(summary)


@pytest.mark.parametrize(
    ("key", "path", "to"),
    [
        ("between-the-ends", ("discretisations", "largest_difference_at_ends", "plain"), 1e-3),
        ("euler-of-the-damped-flow", ("discretisations", "orders", "in", "residual"), [1.0, 2.0, 1.0]),
        ("damping-stabilises", ("survey", "contradictions"), 1),
        ("longest-stable-step", ("stability", "largest_difference"), 1e-3),
        ("longest-stable-step", ("stability", "longest_step", "residual"), [1.0, 1.0, 1.0]),
        ("attractors-over-damping", ("one_net", "flow", "attractors"), [1, 1, 1, 1]),
        ("flow-contracts", ("random_nets", "violations"), 1),
        ("two-cycle", ("one_unit", "0.5", "flow_proven"), False),
        ("two-cycle", ("one_unit", "0.5", "agree"), 0.9),
        ("shared-logistic-nets", ("shared", "dense-shared-digits-seed0", "exponents", "most"), [9.0, 9.0]),
        ("shared-logistic-nets", ("shared", "dense-shared-digits-seed0", "exponents", "least"), [-0.1, -3.0]),
        ("in-largest-gain", ("trained", "kinds", "in", "damped_largest"), [[1.0, 2.0], [2.0, 1.0]]),
        (
            "below-the-resnet",
            ("trained", "kinds", "plain"),
            {"nets": 1, "above": [0.0], "largest": [0.0], "exponent": [-9.0]},
        ),
    ],
)
def test_verdicts_follow_the_numbers(smoke, key, path, to):
    summary = smoke(CLAIMS[key].script).summary
    assert CLAIMS[key].verdict(changed(summary, *path, to=to)).startswith("not confirmed")


def test_verdicts_that_confirm(smoke):
    summary = smoke("toy").summary
    assert claims_discretisations._orders_verdict(
        changed(summary, "discretisations", "orders", to={"in": {"residual": [1.1], "rk4": [4.2]}})
    ) == ("confirmed")


def of_survey(**shares):
    """The verdict where all shares of proofs grow, but for those that are given as kind_dynamics."""
    survey = {kind: {d: {"proven": [0.0, 0.5, 1.0]} for d in ("flow", "map")} for kind in ("in", "lambda-in")}
    for entry, proven in shares.items():
        kind, dynamics = entry.rsplit("_", 1)
        survey[kind.replace("_", "-")][dynamics] = {"proven": proven}
    return claims_attractors._stability_verdict({"survey": survey | {"contradictions": 0}})


def test_proofs_are_judged_for_both_kinds_as_flow_and_as_network():
    falls, never = [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]
    assert of_survey() == "confirmed"
    assert of_survey(in_map=falls, lambda_in_map=never) == (
        "qualified: the In flow and the λ-In flow, not the In network with h = 1 or the λ-In network with h = 1"
    )
    assert of_survey(lambda_in_flow=falls) == (
        "qualified: the In flow and the In network with h = 1 and the λ-In network with h = 1, not the λ-In flow"
    )
    assert of_survey(in_flow=falls, in_map=falls, lambda_in_flow=never, lambda_in_map=never) == "not confirmed"


def test_a_proven_net_whose_orbits_never_rest_contradicts_its_proof(smoke):
    arrays, config = dict(smoke("toy").arrays), toy.PRESETS["smoke"]
    place = tuple(np.argwhere(arrays["level"] == families.ONE)[0])
    for rests, found in ((1, 0), (0, 1), (2, 1)):
        arrays["rests"] = arrays["rests"].copy()
        arrays["rests"][place] = rests
        assert toy.summarize(config, arrays)["survey"]["contradictions"] == found


def one_net(attractors, diverged, undecided=0.0):
    """A summary of the net with a flow that ends in one attractor."""
    flow = {"attractors": [4, 1, 1], "diverged": [0.0] * 3, "undecided": [0.0, undecided, 0.0]}
    network = {"attractors": attractors, "diverged": diverged, "undecided": [0.0] * 3}
    kinds = {"kinds": ["fixed point"] * 3}
    window = {"flow": [1.2, None], "map": [1.4, 3.0]}
    return {
        "one_net": {"coefficients": [0.15, 1.2, 2.7], "window": window, "flow": flow | kinds, "map": network | kinds}
    }


def test_one_attractor_counts_where_no_state_runs_away():
    verdict = claims_attractors._one_net_verdict
    assert verdict(one_net([4, 1, 1], [0.0, 0.0, 0.0])) == "confirmed"
    qualified = "qualified: too much of it, and the network runs away"
    assert verdict(one_net([4, 1, 0], [0.0, 0.0, 1.0])) == qualified
    assert verdict(one_net([4, 1, 1], [0.0, 0.0, 0.9])) == qualified
    # it only ever runs away, or some of it does
    assert verdict(one_net([4, 0, 0], [0.0, 1.0, 1.0])) == "not confirmed"
    assert verdict(one_net([4, 1, 1], [0.0, 0.4, 0.9])) == "not confirmed"


def test_what_runs_away_and_what_is_undecided_is_said():
    words = claims_attractors._one_net_details(one_net([4, 1, 1], [0.0, 0.0, 0.95], undecided=1.0))
    assert "undecided (λ = 1.2), 1 × fixed point (λ = 2.7). Network" in words
    assert "1 × fixed point (λ = 1.2 to 2.7); of states, up to 95 % run away from λ = 2.7 on. By linear" in words
    assert "run away" not in claims_attractors._one_net_details(one_net([4, 1, 1], [0.0] * 3))


def test_the_row_says_where_the_network_has_one_attractor_for_all_states():
    words = claims_attractors._one_net(one_net([4, 1, 0], [0.0, 0.0, 0.95]))
    assert words == (
        "attractors, λ = 0.15 → 2.7: flow 4 → 1; network 4 → 0, one for all states within λ = 1.2 to 1.2, "
        "up to 95 % of states run away"
    )
    assert "never one for all states" in claims_attractors._one_net(one_net([4, 1, 0], [0.0, 0.5, 0.95]))


def test_proofs_are_counted_at_both_ends_and_at_most():
    rows = {"flow": {"proven": [0.25, 0.5, 1.0]}, "map": {"proven": [0.0, 0.5, 0.25]}}
    survey = {"nets": 4, "coefficients": [0.1, 1.0, 2.9], "proofs": 9, "contradictions": 0}
    words = claims_attractors._stability({"survey": {**survey, "in": rows, "lambda-in": rows}})
    assert "of 4 random nets, λ = 0.1 → 2.9: In flow 1 → 4, λ-In flow 1 → 4, In network 0 → 1 (at most 2)" in words


def test_shared_nets_whose_networks_cannot_contract_are_told(smoke):
    summary = smoke("lyapunov").summary
    path = ("shared", "dense-shared-digits-seed0", "bounds")
    assert CLAIMS["shared-logistic-nets"].verdict(summary) == "confirmed"
    too_strong = changed(summary, *path, to=[0.9, 0.5])
    assert CLAIMS["shared-logistic-nets"].verdict(too_strong) == "qualified: all flows, 0 of 1 networks"


def beside_plain(seeds=3, **changes):
    """The verdict on nets below the plain ones in all numbers, but for what is changed in kind_name."""
    low, high = ({name: [v] * seeds for name in ("above", "largest", "exponent")} for v in (1.0, 2.0))
    kinds = {kind: (high if kind == "plain" else low) | {"nets": seeds} for kind in ("in", "lambda-in", "plain")}
    for entry, value in changes.items():
        kind, name = entry.rsplit("_", 1)
        kinds[kind.replace("_", "-")] |= {name: [value] * seeds}
    return CLAIMS["below-the-resnet"].verdict({"trained": {"kinds": kinds}})


def test_few_seeds_do_not_confirm_a_difference_between_nets():
    assert beside_plain(3) == "confirmed"
    for seeds in (1, 2):
        assert beside_plain(seeds).startswith(
            "qualified: lower in In share above 1, In largest, In exponent of stages, λ-"
        )
    assert beside_plain(2).endswith("λ-In exponent of stages (2 seeds each)")
    assert beside_plain(1).endswith("(1 seed each)")


def test_what_is_higher_than_in_the_plain_net_or_not_known_is_named():
    assert beside_plain(in_above=3.0, in_largest=3.0).endswith(
        "exponent of stages; higher in In share above 1, In largest (3 seeds each)"
    )
    assert beside_plain(in_above=3.0).startswith("qualified: lower in In largest, In exponent")
    assert beside_plain(lambda_in_largest=np.nan).endswith("; not known in λ-In largest (3 seeds each)")
    # as high as the plain net but for a margin: neither lower nor higher, and not confirmed
    assert beside_plain(in_largest=2.0 - 5e-4).startswith("qualified: lower in In share above 1, In exponent")
    all_of = {f"{kind}_{name}": np.nan for kind in ("in", "lambda_in") for name in ("above", "largest", "exponent")}
    assert beside_plain(**all_of) == "not run"
    assert beside_plain(**dict.fromkeys(all_of, 3.0)).startswith("not confirmed: higher in In share above 1, ")
    assert beside_plain(**dict.fromkeys(all_of, 2.0)) == "not confirmed (3 seeds each)"


def test_lower_than_with_the_same_weights_needs_a_margin_and_three_nets():
    def fewer(pairs, nets=3):
        return claims_gains.fewer(pairs, 0.01, nets)

    assert fewer([[2.0, 1.0], [3.0, 1.0], [None, None]]) == "confirmed"
    assert fewer([[2.0, 1.0]], 2) == "qualified: same weights, nets of 2 seeds"
    assert fewer([[2.0, 1.0]], 1) == "qualified: same weights, nets of one seed"
    assert fewer([[2.0, 1.995]]) == "not confirmed"
    assert fewer([[2.0, 1.0]] * 3 + [[1.0, 0.995]]) == "qualified: not in all units"
    assert fewer([[2.0, 1.0]] * 3 + [[1.0, 2.0]], 2) == "qualified: not in all units, nets of 2 seeds"
    assert fewer([[2.0, 1.0], [1.0, 2.0]]) == "not confirmed"
    assert fewer([[None, None]]) == "not run"


def test_gains_are_told_by_how_many_are_lower():
    pairs = [[0.4, 0.3], [0.4, 0.399]]
    kinds = {"in": {"nets": 2, "damped": 2, "units": 7, "dampings": [0.2, 0.3], "damped_above": pairs}}
    summary = {"trained": {"kinds": kinds, "images": 3, "nets": ["in-resnet20-cifar10-seed0"]}}
    claim = CLAIMS["in-gains-above-one"]
    change = "change [-10.0, -0.1]"
    assert claim.measured(summary) == (
        f"lower in 1 of 2 damped units: 40.0 → 35.0 % above 1 (medians, λ = 0 → as trained), {change}; 2 nets, 3 images"
    )
    words = claim.details(summary)
    assert f"40.0 → 35.0, {change}, lower by more than 0.2 in 1 of 2. 2 nets, 2 of 7 blocks" in words
    unknown = {"trained": {**summary["trained"], "kinds": {"in": kinds["in"] | {"damped_above": [[None, None]]}}}}
    assert (claim.measured(unknown), claim.details(unknown)) == ("not known", "Not known.")


def test_margins_are_what_other_machines_may_differ_by():
    for name, margin in claims_gains.MARGINS.items():
        assert lyapunov.TOLERANCES[f"trained.kinds.*.{name}.*"] == margin


def test_apart():
    assert claims_gains.apart([1.0, 2.0], [3.0, 4.0]) == "lower"
    assert claims_gains.apart([1.0, 2.0], [2.01, 4.0], 0.1) == "not told apart by the seeds"
    assert claims_gains.apart([1.0, 3.5], [3.0, 4.0]) == "not told apart by the seeds"
    assert claims_gains.apart([5.0], [3.0, 4.0]) == "higher (one seed)"
    assert claims_gains.apart([4.05], [3.0, 4.0], 0.1) == "not told apart by the seeds (one seed)"
    assert claims_gains.apart([np.nan], [1.0]) == "not run"


def test_nets_are_called_by_kind_and_depth():
    names = lyapunov.PRESETS["paper"].weights
    assert lyapunov_summary.titles(names) == ["ResNet-56", "In-ResNet-56", "λ-In-ResNet-56"]
    assert lyapunov_summary.titles((*lyapunov.TRAINED, *names), "in") == ["In-ResNet-20", "In-ResNet-56"]
    assert lyapunov_summary.titles(["untrained in"]) == ["In-ResNet, untrained"]


def test_presets_name_nets_that_the_plans_train():
    from experiments.train import PLANS

    planned = {net.file_name: net for plan in PLANS.values() for net in plan}
    for name, config in lyapunov.PRESETS.items():
        if name != "smoke":
            # by their name alone, nets are found where they ship
            assert all(planned[weights].ships for weights in config.weights)
    kinds = [lyapunov_summary.kind_of(name) for name in lyapunov.PRESETS["paper"].weights]
    assert {kinds.count(kind) for kind in lyapunov_summary.KINDS} == {ENOUGH_SEEDS}


def test_the_damping_of_the_least_bound_is_shown(smoke):
    row = smoke("lyapunov").summary["shared"]["dense-shared-digits-seed0"] | {
        "dampings": [0.0, 1.0, 2.0],
        "bounds": [0.9, -0.7, 0.4],
        "exponents": {"least": [0.5, -0.9, 0.0], "median": [0.6, -0.8, 0.1], "most": [0.7, -0.7, 0.2]},
    }
    words = CLAIMS["shared-logistic-nets"].details({"shared": {"dense": row}})
    assert words.endswith("0.60 (bound 0.90) at λ = 0, and where the bound is least -0.80 (bound -0.70) at λ = 1.")
    short = CLAIMS["shared-logistic-nets"].measured({"shared": {"dense": row}})
    assert short.endswith("dense 0.60 [0.50, 0.70], λ = 0.50, -0.70")


def test_a_kind_that_is_missing_is_left_to_a_smaller_preset(smoke):
    summary = changed(smoke("lyapunov").summary, "trained", "kinds", to={})
    assert CLAIMS["in-largest-gain"].measured(summary) is None
    assert CLAIMS["below-the-resnet"].measured(summary) is None
