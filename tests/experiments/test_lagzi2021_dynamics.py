"""The smoke presets on the sum of transients, separability and noise, against closed forms and kept numbers."""

import dataclasses

import numpy as np
import pytest

import resdyn
from experiments._harness import spreads
from experiments.lagzi2021_transients import (
    antisymmetric,
    claims_dynamics,
    claims_noise,
    details_dynamics,
    details_noise,
    integration,
    noise,
    noise_pairs,
    pairs,
    separability,
    wording,
)
from experiments.lagzi2021_transients import followed as following
from experiments.lagzi2021_transients import judging_dynamics as judging

torch = pytest.importorskip("torch")

PAPER = "lagzi2021_transients"
SCRIPTS = {module.__name__.rpartition(".")[2]: module for module in (integration, separability, noise)}


def test_every_claim_can_be_said_from_a_smoke_run(smoke):
    for claim in claims_dynamics.CLAIMS:
        summary = smoke(claim.script).summary
        assert claim.measured(summary)
        assert claim.verdict(summary)
        assert claim.details(summary).endswith(".")
    assert {claim.script for claim in claims_dynamics.CLAIMS} == set(SCRIPTS)


# --- the sum -----------------------------------------------------------------------------------------


def toy(W, b=0.0, *, layers=6, n=40, readout=None, **options):
    """A net of logistic units, and states and labels that have nothing to do with each other."""
    rng = np.random.default_rng(0)
    size = len(W) if np.ndim(W) == 2 else len(W[0])
    system = resdyn.ResidualMap(np.array(W, dtype=float), np.broadcast_to(b, size), damping=0.0, **options)
    weights = rng.normal(size=(2, size)) if readout is None else np.array(readout)
    head = resdyn.systems.Readout(weights, np.zeros(2))
    return following.Followed("toy", system, layers, head, rng.normal(size=(n, size)), np.arange(n) % 2)


def test_the_last_state_is_the_first_and_the_sum_of_residuals(smoke):
    net = following.followed("circles", 30)
    states, added = following.contributions(net)
    assert np.abs(states[0] + added.sum(axis=0) - states[-1]).max() < 1e-12
    assert (0 <= added).all()
    assert (added <= 1).all()  # logistic, h = α = 1
    for found in smoke("integration").summary["nets"]:
        assert found["order"] < 1e-14  # rounding alone


def test_ablations_meet_where_they_leave_out_the_same(smoke):
    arrays = smoke("integration").arrays
    for i in range(2):
        whole = arrays[f"{i}.readout"][-1]
        assert arrays[f"{i}.without_first"][0] == arrays[f"{i}.averaged_first"][0] == whole
        assert arrays[f"{i}.averaged_last"][-1] == whole
        assert arrays[f"{i}.averaged_last"][0] == arrays[f"{i}.averaged_first"][-1]
        # all residuals left out: the first state
        assert arrays[f"{i}.without_first"][-1] == arrays[f"{i}.readout"][0]
        # with shared weights the net without one layer is the net that ends one layer earlier
        assert arrays[f"{i}.skipped"].tolist() == [arrays[f"{i}.readout"][-2]] * 15


def test_residuals_that_know_nothing_of_the_sample_may_be_averaged_and_exchanged():
    net = toy(np.zeros((3, 3)), b=[0.3, -1.0, 2.0])
    states, added = following.contributions(net)
    found = dict(integration._ablated(net, states, added))
    assert found["averaged"] == [following.right(net, states[-1])] * 6
    exchanged = integration._exchanged(net, states, added, integration.Config(shuffles=3))
    for name in ("own", "mixed"):
        assert (exchanged[name] == following.right(net, states[-1])).all()
    # the class of the other sample is not read: labels are alike in half of the pairs
    assert abs(exchanged["donor"].mean() - 0.5) < 0.2
    # but the offset was trained with: the first unit leaves, and the read-out sees the second class everywhere
    offset = dataclasses.replace(
        net, readout=resdyn.systems.Readout(np.array([[0, 0, 100.0], [0, 0, 0]]), np.array([0, 1e3]))
    )
    assert found["averaged"] != dict(integration._ablated(offset, states, added))["without_first"]


def test_residuals_of_another_sample_carry_its_class_where_they_decide():
    # the layer copies the sign of the first unit into the second one; the read-out sees nothing but the second
    W = np.zeros((2, 2))
    W[1, 0] = 50.0
    readout = resdyn.systems.Readout(np.array([[0, 0.0], [0, 1.0]]), np.array([2.5, 0.0]))
    states = np.zeros((40, 2))
    states[:, 0] = np.where(np.arange(40) % 2, 100.0, -100.0)
    net = dataclasses.replace(toy(W, layers=4, readout=[[0, 0], [0, 1.0]]), states=states, readout=readout)
    found = integration._exchanged(net, *following.contributions(net), integration.Config(shuffles=5))
    assert (found["donor"] == 1).all()
    assert (found["same_class"] == 1).all()
    assert found["own"].mean() == pytest.approx(0.5, abs=0.2)
    # each layer from a sample of its own is another thing: votes of four samples
    assert 0.3 < found["mixed"].mean() < 0.9
    # a read-out of the input carried along
    carried = resdyn.systems.Readout(np.array([[0.0, 0], [1.0, 0]]), np.array([0.0, 0]))
    other = dataclasses.replace(net, readout=carried)
    found = integration._exchanged(other, *following.contributions(other), integration.Config(shuffles=5))
    assert (found["own"] == 1).all()
    assert found["donor"].mean() == pytest.approx(0.5, abs=0.2)


def test_the_error_of_a_loss_counts_the_samples_that_change():
    before, after = np.ones(400, dtype=bool), np.ones(400, dtype=bool)
    assert integration.error_of_loss(before, after) == pytest.approx(1 / 400)
    after[:8] = False
    assert integration.error_of_loss(before, after) == pytest.approx(np.sqrt(9 - 64 / 400) / 400)
    # as many gained as lost: no loss, but not known better
    before[8:16] = False
    assert integration.error_of_loss(before, after) == pytest.approx(np.sqrt(17) / 400)


def test_exchange_stays_within_groups_and_moves_between_them_otherwise():
    groups = np.repeat([0, 1, 2], 20)
    rng = np.random.default_rng(0)
    chosen = integration.exchange(groups, rng)
    assert (groups[chosen] == groups).all()
    assert sorted(chosen) == list(range(60))
    assert (chosen != np.arange(60)).mean() > 0.8
    free = integration.exchange(np.zeros(60, dtype=int), rng)
    assert 0.1 < (groups[free] == groups).mean() < 0.6  # a third by chance


def test_leaving_out_one_of_two_different_layers_shows_which_decides():
    # the first layer copies the sign of the first unit into the second one, the other layer adds the same to all
    W = np.zeros((2, 2, 2))
    W[0, 1, 0] = 50.0
    net = toy(W, layers=2, readout=[[0, 0], [0, 1.0]])
    states = np.zeros((40, 2))
    states[:, 0] = np.where(np.arange(40) % 2, 1.0, -1.0)
    readout = resdyn.systems.Readout(np.array([[0, 0.0], [0, 1.0]]), np.array([1.0, 0.0]))
    net = dataclasses.replace(net, states=states, readout=readout)
    found = dict(integration._ablated(net, *following.contributions(net)))
    assert following.right(net, following.contributions(net)[0][-1]) == 1
    assert found["averaged"][1] == 1
    assert found["averaged"][0] == found["without"][0] == 0.5


# --- separability ------------------------------------------------------------------------------------


def test_shuffled_time_takes_away_what_belongs_to_a_layer_and_nothing_else():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    folds = np.arange(200) // 2 % 5
    sign = 2.0 * labels - 1
    turning = np.where(np.arange(20) % 2, 1, -1)[:, None, None] * sign[:, None] + 0.1 * rng.normal(size=(20, 200, 3))
    true, in_time, at_random = separability.probed(turning, labels, folds, rng).mean(axis=0)
    assert true == 1
    # the mean of 20 layers of 200 samples, had each its own luck, strays by 0.01 from a half
    assert in_time == pytest.approx(0.5, abs=0.05)
    assert at_random == pytest.approx(0.5, abs=0.05)
    steady = sign[:, None] + 0.1 * rng.normal(size=(20, 200, 3))
    assert (separability.probed(steady, labels, folds, rng)[:, :2] == 1).all()


def made_course(n=60, layers=10):
    """Half of the samples move: one unit of theirs tells the class by a sign that turns. The others tell nothing."""
    rng = np.random.default_rng(0)
    labels, moves = np.arange(n) % 2, np.arange(n) // 2 % 2 == 0
    y = np.tile(0.01 * rng.normal(size=(n, 4)), (layers, 1, 1))
    turning = np.where(np.arange(layers) % 2, 1.0, -1.0)
    y[:, moves, 0] += 0.5 * turning[:, None] * (2 * labels[moves] - 1)
    return y, labels, moves


def in_summary(y, labels, moves):
    arrays = {}
    for group, members in zip(separability.GROUPS, (moves, ~moves), strict=True):
        found = separability.probed_alone(y[:, members], labels[members], 0)
        arrays |= {f"0.{group}_{what}": value for what, value in found.items()}
    counts = (moves.sum(), (~moves).sum())
    groups = {
        group: separability._alone(arrays, f"0.{group}", int(count))
        for group, count in zip(separability.GROUPS, counts, strict=True)
    }
    return {"name": "made 0", "at_rest": 0.5, "groups": groups}


def test_samples_that_move_are_told_apart_where_those_at_rest_are_not():
    y, labels, moves = made_course()
    net = in_summary(y, labels, moves)
    moving, resting = net["groups"].values()
    assert (moving["samples"], resting["samples"], moving["classes"]) == (30, 30, 2)
    assert moving["true"] == 1
    # in each sample the sign of a layer drawn at random: a guess, but for what 30 samples can agree in by chance
    assert abs(moving["time_shuffled"] - 0.5) < 0.15
    assert abs(resting["true"] - 0.5) < 0.3
    # of what does not move shuffled layers take nothing
    assert resting["time_shuffled"] == resting["true"]
    # folds are stratified: what is left out of one pulls its guess to neither side
    assert moving["labels_shuffled"] == pytest.approx(0.5, abs=0.05)
    assert judging.alone([net]) == "confirmed"
    # the two groups change places
    other = in_summary(y, labels, ~moves)
    words = "not confirmed: in none of 1 net; those at rest in 1 of 1 net"
    assert judging.alone([other]) == words
    # all told together the sign of half of the samples is worth half
    assert separability.probed_alone(y, labels, 0)["table"][:, 0].mean() < moving["true"]


def test_a_level_that_all_layers_share_is_no_course():
    y, labels, moves = made_course()
    steady = np.tile(y[:1], (len(y), 1, 1))
    net = in_summary(steady, labels, moves)
    assert net["groups"]["moving"]["true"] == net["groups"]["moving"]["time_shuffled"] == 1
    words = "qualified: in 1 of 1 net (made), in none by their course too; those at rest in 0 of 1 net"
    assert judging.alone([net]) == words


def test_labels_are_shuffled_alike_in_all_layers():
    # layers that say the same have one null, not one each: its mean over layers spreads as that of a single layer
    y, labels, moves = made_course()
    one = separability.probed_alone(y[:1, moves], labels[moves], 0)
    same = separability.probed_alone(np.tile(y[:1, moves], (7, 1, 1)), labels[moves], 0)
    assert one["null"].tolist() == pytest.approx(same["null"].tolist())
    assert len(one["null"]) == 99
    assert one["null"].std() > 0.05  # of 30 samples: about a half over √30


def test_classes_smaller_than_the_folds_are_left_out():
    labels = np.repeat([0, 1, 2, 3], [5, 4, 9, 1])
    assert separability.in_large_classes(labels).tolist() == np.isin(labels, [0, 2]).tolist()
    assert not separability.in_large_classes(np.repeat([0, 1], [50, 4])).any()
    assert separability.in_large_classes(np.zeros(0, dtype=int)).tolist() == []
    y = np.random.default_rng(0).normal(size=(3, 19, 2))
    found = separability.probed_alone(y, labels, 0)
    assert found["labels"].tolist() == [0] * 5 + [2] * 9
    few = separability.probed_alone(y[:, :9], labels[:9], 0)
    assert few["table"].shape == (0, 2)
    arrays = {f"0.moving_{what}": value for what, value in few.items()}
    assert separability._alone(arrays, "0.moving", 9) == {"in_group": 9, "samples": 0, "classes": 0}


def test_every_sample_is_in_one_group(smoke):
    for net in smoke("separability").summary["nets"]:
        groups = net["groups"]
        assert sum(group["in_group"] for group in groups.values()) == net["samples"]
        assert groups["resting"]["in_group"] == round(net["at_rest"] * net["samples"])
        assert all(group["samples"] <= group["in_group"] for group in groups.values())


@pytest.mark.parametrize("layerwise", [False, True])
def test_residuals_are_those_of_the_run_and_the_last_matrix_is_used_again(layerwise):
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(4, 4))
    net = toy(np.array([rng.normal(size=(4, 4)), shared]) if layerwise else shared, layers=2, gain=0.5, step=0.7)
    residuals, moved, final = separability.residuals_at(net, np.array([1, 2, 5, 8]), 8)
    run = resdyn.simulate(net.system, net.states, depth=2)
    beyond = resdyn.ResidualMap(shared, np.zeros(4), damping=0.0, gain=0.5, step=0.7)
    later = resdyn.simulate(beyond, run.final, depth=6)
    y = np.concatenate([run.activations[:2], later.activations[:6]])
    assert np.abs(residuals - y[[0, 1, 4, 7]]).max() < 1e-12
    assert np.abs(final - run.final).max() < 1e-12
    assert np.abs(moved - np.ptp(y[4:], axis=0)).max() < 1e-12


def test_antisymmetric_nets_are_antisymmetric_and_conserve_what_they_should(smoke):
    parts = list(smoke("separability").folder.glob("parts/*/circles-antisymmetric0.npz"))
    assert len(parts) == 1
    with np.load(parts[0]) as stored:
        arrays = {name: stored[name] for name in stored.files if name.startswith(("before", "after"))}
        arrays |= {"states": stored["states"], "labels": stored["labels"]}
    for when in ("before", "after"):
        assert np.abs(arrays[f"{when}_W"] + arrays[f"{when}_W"].T).max() == 0
        system = antisymmetric.trained("net", arrays, when).system
        x = arrays["states"][:5]
        z = resdyn.simulate(system, x, depth=40).x @ system.W.T + system.b
        # by layers it grows, apart from rounding
        assert (np.diff(antisymmetric.energy(z), axis=0) > -1e-9).all()
        flow = resdyn.simulate(system, x, depth=10, method="DOP853", rtol=1e-10, atol=1e-10).x @ system.W.T + system.b
        energies = antisymmetric.energy(flow)
        assert np.abs(energies - energies[0]).max() < 1e-6
        assert np.abs(flow[-1] - flow[0]).max() > 0.1  # not for want of motion
    assert np.abs(arrays["after_W"] - arrays["before_W"]).max() > 0.1


def test_nets_without_the_constraint_are_not_antisymmetric():
    arrays = antisymmetric.trainings("circles", "free", 0, 1, 50)
    assert np.abs(arrays["before_W"] + arrays["before_W"].T).max() > 0.1
    assert arrays["states"].shape == (50, 8)
    assert (arrays["states"][:, 2:] == 0).all()


def test_nets_with_and_without_the_constraint_begin_alike_on_digits():
    free, constrained = (antisymmetric.trainings("digits", kind, 0, 1, 40) for kind in ("free", "antisymmetric"))
    W = free["before_W"]
    # the parameter of the one is that of the other: W = A − Aᵀ
    assert np.abs(constrained["before_W"] - (W - W.T)).max() < 1e-7  # single precision
    assert np.abs(W + W.T).max() > 0.1
    for name in ("before_b", "before_readout", "states", "labels"):
        assert (free[name] == constrained[name]).all()
    assert {f"{data} {kind}" for data in ("circles", "digits") for kind in ("free", "antisymmetric")} == set(
        separability.PRESETS["laptop"].made
    )


# --- noise -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return pairs.shipped("dense-shared-digits-seed0", 40)


def test_pairs_have_parameters_of_equal_shapes():
    nets = [pairs._built(kind, 24, 5, shared) for kind in noise.KINDS for shared in (True, False)]
    for one, other in zip(nets[:2], nets[2:], strict=True):
        shapes = [{name: value.shape for name, value in net.state_dict().items()} for net in (one, other)]
        assert shapes[0] == shapes[1]
    assert sum(p.numel() for p in nets[0].parameters()) == 784 * 24 + 24 + 24 * 24 + 24 + 10 * 24 + 10


def test_a_net_of_a_pair_is_found_again_by_its_parameters(monkeypatch):
    torch.manual_seed(3)
    net = pairs._built("plain", 24, 5, True)
    pixels, labels = np.random.default_rng(0).random((7, 1, 28, 28)), np.arange(7)
    monkeypatch.setattr(pairs, "test_pixels", lambda name, samples: (pixels[:samples], labels[:samples]))
    parameters = {name: value.numpy().copy() for name, value in net.state_dict().items()}
    noisy = pairs.retold("plain", parameters, depth=5, shared=True, samples=6)
    run = resdyn.simulate(noisy.net.system, noisy.net.states, depth=5, save="final")
    with torch.no_grad():
        logits = net.double()(torch.from_numpy((pixels[:6] - 0.1307) / 0.3081)).numpy()
    assert np.abs(noisy.net.readout(run.final) - logits).max() < 1e-9


@pytest.mark.parametrize("kind", noise.KINDS)
def test_untrained_pairs_have_the_weights_that_training_begins_with(kind, monkeypatch):
    sizes = {"units": 24, "depth": 5, "shared": True, "seed": 3}
    monkeypatch.setattr(resdyn.networks, "fit", lambda *args, **options: None)
    state = torch.random.get_rng_state()
    beginning = pairs.beginning(kind, **sizes)
    # nothing else that draws numbers is disturbed
    assert torch.equal(torch.random.get_rng_state(), state)
    trained = pairs.training(kind, epochs=1, device="cpu", **sizes)
    assert beginning.keys() == trained.keys()
    assert all((beginning[name] == trained[name]).all() for name in trained)
    other = pairs.beginning(kind, **{**sizes, "seed": 4})
    assert any((beginning[name] != other[name]).any() for name in trained)


def test_what_is_said_of_untrained_nets_is_of_the_weights_of_their_seed(smoke):
    done = smoke("noise")
    net = resdyn.networks.load("dense-shared-digits-seed0")
    torch.manual_seed(net.card["seed"])
    fresh = resdyn.networks.build(dict(net.architecture)).double()
    W = fresh.units[0].weight.detach().numpy()
    b = fresh.units[0].bias.detach().numpy()
    system = resdyn.ResidualMap.residual(W, b)
    states = pairs.shipped("dense-shared-digits-seed0", 200).net.states
    run = resdyn.simulate(system, states, depth=15)
    assert done.arrays["untrained-residual.0.signal"] == pytest.approx(run.x.var(axis=1).sum(axis=-1))
    y = run.activations[:-1, 0]
    logs = [np.linalg.slogdet(np.eye(64) + (v * (1 - v))[:, None] * W)[1] for v in y]
    assert done.arrays["untrained-residual.0.exponents"][0].sum() * 15 == pytest.approx(sum(logs), abs=1e-6)
    # slopes of logistic units are at most a quarter: no more than the norm of I + W/4 or W/4
    norms = {"residual": np.linalg.norm(np.eye(64) + W / 4, 2)}
    plain = resdyn.networks.load("mlp-digits-seed0")
    torch.manual_seed(plain.card["seed"])
    layers = resdyn.networks.build(dict(plain.architecture)).units
    norms["plain"] = max(np.linalg.norm(layer.weight.detach().numpy() / 4, 2) for layer in layers)
    for found in done.summary["untrained"]:
        assert found["exponent"] <= np.log(norms[found["kind"]])
        assert "accuracy" not in found


def test_noise_of_size_zero_changes_nothing(digits):
    config = noise.Config(levels=(0.0,), layer_level=0.0)
    run = resdyn.simulate(digits.net.system, digits.net.states, depth=15)
    clean = following.right(digits.net, run.final)
    assert noise._accuracy(digits, config, 0).tolist() == [clean]
    assert noise._layer_accuracy(digits, run.x, np.array([0, 7, 15]), config, 0).tolist() == [clean] * 3
    large = noise.Config(levels=(5.0,), layer_level=20.0)
    assert noise._accuracy(digits, large, 0)[0] < 0.5
    assert noise._layer_accuracy(digits, run.x, np.array([15]), large, 0)[0] < 0.5


def test_first_states_follow_noise_of_pixels_linearly(digits):
    assert np.abs(digits.embed(digits.pixels) - digits.net.states).max() < 1e-12
    change = 0.1 * np.random.default_rng(0).standard_normal((2, *digits.pixels.shape))
    moved = digits.embed(digits.pixels + change) - digits.net.states
    twice = digits.embed(digits.pixels + 2 * change) - digits.net.states
    assert moved.shape == (2, 40, 64)
    assert np.abs(twice - 2 * moved).max() < 1e-12


def test_first_order_is_exact_in_a_linear_net(digits):
    # 0.5 x per layer: variance grows by 2.25 a layer, and so does that between images
    system = resdyn.ResidualMap.residual(0.5 * np.eye(64), np.zeros(64), activation="identity")
    linear = dataclasses.replace(digits, net=dataclasses.replace(digits.net, system=system, depth=4))
    found = noise._measured(linear, noise.Config(images=3, draws=12, starts=(0.0, 0.5), levels=(0.1,)), 0)
    drawn = np.random.default_rng(0).standard_normal((12, *linear.pixels[:3].shape))
    first = linear.embed(linear.pixels[:3] + 0.02 * drawn)
    assert found["pixel_variance"][0, 0] == pytest.approx(first.var(axis=0, ddof=1).sum(axis=-1))
    for z in range(2):
        evolved = noise._evolution(found["pixel_variance"][z], found["pixel_predicted"][z], found["signal"])
        assert evolved["gain"] == pytest.approx(2.25**4)
        assert evolved["log10_relative_gain"] == pytest.approx(0, abs=1e-9)
        assert evolved["predicted"] == pytest.approx(1)
        assert evolved["of_images"] == pytest.approx([1, 1, 1])
    assert found["exponents"] == pytest.approx(np.log(1.5))
    assert found["signal"][0] == pytest.approx(((linear.net.states - linear.net.states.mean(axis=0)) ** 2).sum() / 40)
    assert np.isnan(found["layer_variance"][1, :2]).all()
    entering = found["layer_predicted"][:, [0, 2]]
    # a tenth of the deviation between images, whatever the layer
    assert entering[0, 0] == pytest.approx(0.01 * found["signal"][0])
    assert entering[1, 1] == pytest.approx(0.01 * found["signal"][2])
    assert found["layer_predicted"][1, -1] == pytest.approx(2.25**2 * entering[1, 1])


def test_a_shift_of_the_mean_is_no_variance(digits):
    # all draws are pushed one way: that is no noise
    system = resdyn.ResidualMap.residual(np.eye(64), np.full(64, -3.0))
    net = dataclasses.replace(digits.net, system=system, depth=1)
    rng = np.random.default_rng(0)
    moved = 1 + rng.standard_normal((50, 64))
    found = noise._spread(dataclasses.replace(digits, net=net), np.zeros(64), moved)
    x = moved + 1 / (1 + np.exp(3.0 - moved))
    about_the_mean = x.var(axis=0, ddof=1).sum()
    about_the_orbit = ((x - 1 / (1 + np.exp(3.0))) ** 2).mean(axis=0).sum()
    assert found.shape == (2, 2)
    assert found[0, 1] == pytest.approx(about_the_mean)
    assert abs(about_the_orbit / about_the_mean - 1) > 0.5
    assert found[1, 1] == pytest.approx((1 + np.exp(3.0) / (1 + np.exp(3.0)) ** 2) ** 2 * found[1, 0])


def test_exponents_without_bound_leave_the_median_a_number(smoke):
    done = smoke("noise")
    arrays = {**done.arrays, "plain.0.exponents": np.full_like(done.arrays["plain.0.exponents"], -np.inf)}
    arrays["plain.0.exponents"][:, 0] = 0.5
    summary = noise.summarize(done.config, arrays)
    assert summary["nets"][1]["median_exponent"] == -5
    assert "median exponent" in details_noise.evolution(summary)


def test_exponents_are_those_of_the_determinants(smoke):
    exponents = smoke("noise").arrays["residual.0.exponents"]
    net = following.followed("dense-shared-digits-seed0", 6)
    run = resdyn.simulate(net.system, net.states, depth=15)
    y = run.activations[:-1, 0]
    logs = [np.linalg.slogdet(np.eye(64) + (v * (1 - v))[:, None] * net.system.W)[1] for v in y]
    assert exponents[0].sum() * 15 == pytest.approx(sum(logs), abs=1e-6)


# --- verdicts, from made-up numbers ------------------------------------------------------------------


def summed(name="a", **changes):
    accuracy = {
        "whole": 0.98,
        "without_input": 0.98,
        "donor": 0.97,
        "own": 0.12,
        "same_class": 0.98,
        "mixed": 0.15,
        "mixed_class": 1.0,
        "averaged_all": 0.1,
        "averaged_one_least": 0.97,
    }
    probe = {"x_first": 0.5, "x_last": 0.98, "y_last": 0.8, "y_best": 0.9, "null": 0.2}
    return {
        "name": name,
        "samples": 1000,
        "chance": 0.1,
        "accuracy": {part: changes.get(part, value) for part, value in accuracy.items()},
        "probe": {part: changes.get(part, value) for part, value in probe.items()},
        "over_shuffles": {"donor": 0.002, "own": 0.002},
        "lost": {"without_input": [0.0, 0.001], "averaged_one": changes.get("averaged_one", [0.01, 0.004])},
    }


@pytest.mark.parametrize(
    ("verdict", "changes"),
    [
        (claims_dynamics.sums_verdict, {"y_last": 0.975}),
        (claims_dynamics.sums_verdict, {"y_last": 0.99}),
        (claims_dynamics.carriers_verdict, {"donor": 0.5, "own": 0.6}),
        # a loss that counts, and one that cannot be told from one that does
        (claims_dynamics.ablations_verdict, {"averaged_one": [0.05, 0.001]}),
        (claims_dynamics.ablations_verdict, {"averaged_one": [0.0, 0.012]}),
    ],
)
def test_the_sum_is_judged_net_by_net(verdict, changes):
    assert verdict({"nets": [summed(), summed("b")]}) == "confirmed"
    assert verdict({"nets": [summed(), summed("b", **changes)]}) == "qualified: in a alone"
    assert verdict({"nets": [summed(**changes)]}) == "not confirmed"


def test_rows_on_the_sum_name_each_net():
    summary = {"nets": [summed(), summed("b", donor=0.5, own=0.6, y_last=0.99, averaged_one=[0.05, 0.001])]}
    assert claims_dynamics.sums(summary) == (
        "probe on x(T), on y(T): a 0.980 ± 0.004, 0.800; b 0.980 ± 0.004, 0.990; one seed each, ± standard error"
    )
    assert ": a 0.970 ± 0.002 (0.120), b 0.500 ± 0.002 (0.600); " in claims_dynamics.carriers(summary)
    assert ": a +1.0 ± 0.4 %, b +5.0 ± 0.1 %; " in claims_dynamics.ablations(summary)


def test_a_difference_counts_from_two_standard_errors_on():
    # of 400 samples: 0.9 ± 0.015 and 0.85 ± 0.018, apart by 2.1 errors of the difference, 0.023
    assert judging.larger(0.9, 0.85, 400)
    assert not judging.larger(0.9, 0.86, 400)
    assert not judging.larger(0.85, 0.9, 400)
    assert judging.standard_error(1.0, 100) > 0


def test_what_is_kept_does_not_depend_on_how_many_samples_there_are():
    assert judging.is_kept([0.005, 0.001])  # 2000 samples: seen, and too little to count
    assert judging.is_kept([0.0, 0.003])  # 360 samples
    assert not judging.is_kept([0.03, 0.001])
    assert not judging.is_kept([0.0, 0.02])


def window(probe, null, above=1.0, time=0.5):
    return {"probe": probe, "time_shuffled": time, "largest_null": null, "above_null": above}


def rested(name, at_rest, trained=0.9, late=0.9, above=1.0, time=0.5, given=0.5):
    return {
        "name": name,
        "samples": 300,
        "at_rest": at_rest,
        "moving_units": 3.0,
        "accuracy": 0.98,
        "input": given,
        "trained": window(trained, 0.2, time=time),
        "late": window(late, 0.2, above, time),
    }


def test_separability_is_judged_in_nets_without_rest_alone():
    nets = [rested("c free 0", 1.0, above=0.0), rested("c anti 0", 0.0), rested("c anti 1", 0.1)]
    summary = {"layers": 1000, "nets": nets}
    assert claims_dynamics.separable_verdict(summary) == "confirmed"
    assert claims_dynamics.in_time_verdict(summary) == "confirmed"
    assert claims_dynamics.resting_verdict(summary) == "measured: in 2 of 3 trained nets most samples are not at rest"
    words = details_dynamics.separable(summary)
    assert "Not at rest: c anti (2 nets) 0.50 [0.50, 0.50], trained 0.90 [0.90, 0.90] (0.20), late" in words
    assert ". At rest: c free 0.50, " in words
    assert " 300 samples, " in words
    nets[1] = rested("c anti 0", 0.0, time=0.89)
    assert claims_dynamics.in_time_verdict(summary) == "qualified: in c anti (1 of 2) alone"
    assert claims_dynamics.separable_verdict({"nets": nets[:1]}) == "no net to judge"
    assert claims_dynamics.in_time_verdict({"nets": nets[:1]}) == judging.of_nets({}) == "no net to judge"


@pytest.mark.parametrize(
    ("changes", "early", "late"),
    [({"above": 0.9}, 1, 0), ({"given": 0.88}, 0, 1), ({"above": 0.9, "given": 0.88}, 0, 0), ({}, 1, 1)],
)
def test_separability_takes_late_layers_and_more_than_the_input(changes, early, late):
    nets = [rested("c anti 0", 0.0), rested("c anti 1", 0.0, **changes)]
    found = claims_dynamics.separable_verdict({"nets": nets})
    if early and late:
        assert found == "confirmed"
        return
    words = (
        f"in the layers of training beyond input and untrained net in {1 + early} of 2 nets, in late "
        f"layers (every one) above shuffled labels in {1 + late}"
    )
    assert found == f"qualified: {words}, both in 1 (c anti)"
    alone = claims_dynamics.separable_verdict({"nets": nets[1:]})
    assert alone.startswith("not confirmed: in the layers of training beyond")
    assert alone.endswith("both in none")


def test_what_any_net_does_before_training_is_no_separability():
    nets = [rested("c anti 0", 0.0, trained=0.9), rested("c anti 0 untrained", 0.0, trained=0.89)]
    assert not judging.beyond_input(nets[0], nets)
    assert claims_dynamics.separable_verdict({"nets": nets}).startswith("not confirmed")
    assert "trained 0.90 (0.20; 0.89), late" in details_dynamics.separable({"nets": nets})
    nets[1] = rested("c anti 0 untrained", 0.0, trained=0.6)
    assert claims_dynamics.separable_verdict({"nets": nets}) == "confirmed"


def test_rows_on_separability_take_nets_that_ship_together():
    nets = [rested("a-seed0", 0.2, late=0.7), rested("b-seed0", 0.4, time=0.8), rested("c free 0", 0.9)]
    nets += [rested(f"c antisymmetric {k}", 0.0, late=0.1 * k) for k in (1, 2)]
    summary = {"layers": 1000, "nets": [*nets, rested("c free 0 untrained", 0.0)]}
    words = "shipped nets 30 [20, 40], c free 90, c antisymmetric 0 [0, 0]; median [least, most]"
    assert claims_dynamics.resting(summary) == f"samples at rest, in %: {words}"
    late = claims_dynamics.separable(summary)
    assert late.endswith("(shuffled labels at most): shipped nets 0.70–0.90 (0.20), c antisymmetric 0.10–0.20 (0.20)")
    assert "shipped nets 0.10–0.40, c antisymmetric 0.40; nets not at rest" in claims_dynamics.in_time(summary)


def test_training_is_judged_against_the_same_seeds_before_it_in_both_windows():
    gains = {0: 0.1, 1: 0.12, 2: 0.11}
    nets = [rested(f"c anti {k}", 0.0, trained=0.8 + gain, late=0.7 + gain) for k, gain in gains.items()]
    nets += [rested(f"c anti {k} untrained", 0.0, trained=0.8, late=0.7) for k in gains]
    nets.append(rested("ships-seed0", 0.0))
    assert judging.through_training(nets, "trained") == {"c anti": pytest.approx(list(gains.values()))}
    assert claims_dynamics.training_verdict({"nets": nets}) == "confirmed"
    taken = [{**net, "late": window(1.5 - net["late"]["probe"], 0.2)} for net in nets]
    words = "qualified: for c anti in layers of training; the opposite for c anti in late layers"
    assert claims_dynamics.training_verdict({"nets": taken}) == words
    assert "; in late layers: c anti -0.110 [" in details_dynamics.training({"nets": taken})
    words = "late layers: c anti -0.11 ± 0.02; layers of training: +0.11 to +0.11; 3 seeds, ± 95 %"
    assert claims_dynamics.training({"nets": taken}) == words
    one_seed = [nets[0], nets[3]]
    assert "c anti +0.10; layers of training: +0.10 to +0.10; one seed" in claims_dynamics.training({"nets": one_seed})
    assert claims_dynamics.training_verdict({"nets": one_seed}) == "not judged: one seed"
    assert len(judging.trained(nets)) == 4


def test_late_layers_are_compared_with_the_same_seeds_without_the_constraint():
    late = {"antisymmetric": [0.2, 0.22, 0.21], "free": [0.8, 0.81, 0.82]}
    nets = [rested(f"d {kind} {k}", 0.0, late=value) for kind, values in late.items() for k, value in enumerate(values)]
    nets += [rested(f"d {kind} {k} untrained", 0.0, late=0.4, trained=0.5) for kind in late for k in range(3)]
    summary = {"nets": nets}
    assert judging.by_constraint(nets) == {"d": pytest.approx([-0.6, -0.59, -0.61])}
    assert claims_dynamics.separable_verdict(summary) == "confirmed; late, antisymmetric beside free: less in d"
    assert "Late, antisymmetric less free, over seeds: d -0.600 [" in details_dynamics.separable(summary)
    swapped = [{**net, "late": window(1.0 - net["late"]["probe"], 0.2)} for net in nets]
    assert claims_dynamics.separable_verdict({"nets": swapped}).endswith(": more in d")
    open_ones = [{**net, "late": window(0.5, 0.2)} for net in nets]
    assert claims_dynamics.separable_verdict({"nets": open_ones}) == "confirmed"
    # without a twin there is nothing to compare
    assert judging.by_constraint(nets[:3]) == {}
    assert "antisymmetric less free" not in details_dynamics.separable({"nets": nets[:3]})


def grouped(name, moving=0.9, resting=0.9, time=0.5, null=0.3, n=200):
    def group(true):
        if true is None:
            return {"in_group": 3, "samples": 0, "classes": 0}
        found = {"in_group": n + 2, "samples": n, "classes": 9, "true": true, "time_shuffled": time}
        return {**found, "labels_shuffled": 0.1, "largest_null": null}

    return {"name": name, "groups": {"moving": group(moving), "resting": group(resting)}}


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "confirmed"),
        ({"moving": None}, "confirmed"),
        ({"resting": None, "time": 0.85}, "qualified: in 2 of 2 nets (c, d), in 1 by their course too; {}1 of 1 net"),
        # above all nulls, and less than half way from chance: a trace
        ({"moving": 0.5}, "qualified: in 1 of 2 nets (c), in 1 by their course too; {}2 of 2 nets"),
        ({"null": 0.95}, "qualified: in 1 of 2 nets (c), in 1 by their course too; {}1 of 2 nets"),
    ],
)
def test_samples_are_judged_by_both_nulls(changes, verdict):
    nets = [grouped("c 0"), grouped("d 0", **changes), {**grouped("d 0", 0.2), "name": "d 0 untrained"}]
    assert claims_dynamics.alone_verdict({"nets": nets}) == verdict.format("those at rest in ")
    gain = 0.9 - 0.5
    assert f"with layers shuffled at most {gain:.2f} less; " in claims_dynamics.alone({"nets": nets})
    words = details_dynamics.alone({"nets": nets})
    assert "c: moving 202 samples, 2 left out 0.90 (0.30; 0.50), at rest 202 samples" in words
    assert ("d: moving 3 samples, too few" in words) == (changes == {"moving": None})


def test_without_groups_nothing_is_said_of_them():
    nets = [rested("c 0", 0.0)]
    assert details_dynamics.alone({"nets": nets}) == claims_dynamics.alone({"nets": nets}) == "not run"
    assert claims_dynamics.alone({"nets": [grouped("c 0", None)]}) == "no net with enough of them"
    assert claims_dynamics.alone_verdict({"nets": nets}) == "not judged: not run"
    assert claims_dynamics.alone_verdict({"nets": [grouped("c 0", None)]}) == "no net to judge"
    trace = claims_dynamics.alone_verdict({"nets": [grouped("c 0", 0.4, None)]})
    assert trace == "not confirmed: in none of 1 net"


@pytest.mark.parametrize(
    ("signs", "verdict"),
    [
        ("positive positive", "confirmed"),
        ("positive open", "qualified: for a alone"),
        ("positive negative", "qualified: for a; the opposite for b"),
        ("positive open negative", "qualified: for a; the opposite for c"),
        ("open open", "not confirmed"),
        ("negative negative", "not confirmed: the opposite"),
        ("open negative", "not confirmed: the opposite for b"),
        ("", "no net to judge"),
    ],
)
def test_what_is_the_other_way_round_is_said(signs, verdict):
    assert judging.of_kinds(dict(zip("abc", signs.split(), strict=False))) == verdict


def of_pair(kind, seed, accuracy, clean=0.97, gain=0.1, predicted=1.0):
    evolved = {"gain": 2.0, "log10_relative_gain": gain, "relative_at_end": 0.1, "predicted": predicted}
    evolved["of_images"] = [0.5 * predicted, predicted, 2 * predicted]
    return {
        "kind": kind,
        "seed": seed,
        "layers": 15,
        "parameters": 1000,
        "clean": clean,
        "accuracy": [0.9, accuracy],
        "layer_accuracy": {"0": accuracy, "7": accuracy},
        "exponent": gain,
        "median_exponent": gain,
        "growing": gain,
        "signal_gain": 3.0,
        "input": {"0.02": evolved, "0.3": evolved},
        "layer": {"0": evolved, "7": evolved},
    }


def noisy(residual, plain, **changes):
    nets = [of_pair("residual", k, a, **changes) for k, a in enumerate(residual)]
    nets += [of_pair("plain", k, a, gain=-0.2) for k, a in enumerate(plain)]
    return {"levels": [0.1, 0.3], "layer_level": 1.0, "seeds": len(residual), "nets": nets}


@pytest.mark.parametrize(
    ("residual", "changes", "verdict"),
    [
        ([0.8, 0.81, 0.82], {}, "confirmed"),
        ([0.8, 0.81, 0.82], {"clean": 0.995}, "confirmed"),
        ([0.8, 0.81, 0.82], {"clean": 0.999 + 0.2}, "qualified: the accuracy, not the loss from clean"),
        ([0.5, 0.81, 0.82], {}, "not confirmed: no difference beyond the spread over seeds"),
        ([0.5, 0.51, 0.52], {}, "not confirmed: the plain net is more robust"),
    ],
)
def test_robustness_is_judged_by_the_spread_over_seeds(residual, changes, verdict):
    summary = noisy(residual, [0.7, 0.71, 0.715], **changes)
    assert claims_noise.robust_verdict(summary) == verdict
    opposite = "not confirmed: the opposite" if residual[1] == 0.51 else "not confirmed"
    at_layers = "confirmed" if residual[0] == 0.8 else opposite
    assert claims_noise.robust_at_layers_verdict(summary) == at_layers
    assert f"0.3: {np.median(residual):.3f} [" in details_noise.robust(summary)
    assert f"accuracy {(0.9 + np.mean(residual)) / 2:.3f} against " in claims_noise.robust(summary)
    assert claims_noise.robust_verdict(noisy(residual[:1], [0.7])) == "not judged: one seed"
    assert claims_noise.robust(noisy(residual[:1], [0.7])).endswith("; one seed")


def test_robustness_at_layers_is_judged_layer_by_layer():
    summary = noisy([0.8, 0.81, 0.82], [0.7, 0.71, 0.715])
    for net in summary["nets"]:
        net["layer_accuracy"] = {"0": net["layer_accuracy"]["0"], "7": 0.9}
    assert claims_noise.robust_at_layers_verdict(summary) == "qualified: for layer 0 alone"
    assert "layer 7 +0.000 [+0.000, +0.000]" in details_noise.robust_at_layers(summary)
    words = "with noise at layer 0 +0.102 ± 0.007, layer 7 +0.000 ± 0.000; 3 seeds, ± 95 %"
    assert claims_noise.robust_at_layers(summary).endswith(words)
    for net in summary["nets"]:
        net["layer_accuracy"]["7"] = 0.93 if net["kind"] == "plain" else 0.9
    assert claims_noise.robust_at_layers_verdict(summary) == "qualified: for layer 0; the opposite for layer 7"


def of_evolution(summary, residual, plain):
    """The same with these numbers before training, seed by seed."""
    before = [of_pair("residual", k, 0.1, gain=gain) for k, gain in enumerate(residual)]
    before += [of_pair("plain", k, 0.1, gain=gain) for k, gain in enumerate(plain)]
    return {**summary, "untrained": before}


NAMES = "variance of pixel noise over signal, that of noise half way, median exponent, share of growing directions"


@pytest.mark.parametrize(
    ("residual", "plain", "where"),
    [
        # trained pairs differ by 0.3
        ([0.1, 0.11, 0.12], [-0.1, -0.09, -0.08], "there before training"),
        ([0.1, 0.11, 0.12], [0.0, 0.01, 0.02], "grown in training"),
        ([0.1, 0.15, 0.12], [0.12, 0.1, 0.15], "of training alone"),
        # the other way round before
        ([-0.2, -0.21, -0.22], [0.1, 0.11, 0.12], "of training alone"),
    ],
)
def test_what_was_there_before_training_is_not_of_training(residual, plain, where):
    pair = noisy([0.8, 0.8, 0.8], [0.7, 0.7, 0.7])
    assert claims_noise.evolution_verdict(pair) == "confirmed; untrained: not run"
    assert details_noise.evolution(pair).endswith("Untrained: not run.")
    assert claims_noise.evolution(pair).startswith("residual less plain: pixel noise +0.30 ± 0.00, noise half way")
    pair = of_evolution(pair, residual, plain)
    before = np.mean(residual) - np.mean(plain)
    assert f"(untrained): pixel noise +0.30 ± 0.00 ({before:+.2f}), " in claims_noise.evolution(pair)
    assert claims_noise.evolution_verdict(pair) == f"confirmed; {where}: {NAMES}"
    assert f"(before training {np.median(residual):.2f} [" in details_noise.evolution(pair)


def test_evolution_differs_beyond_the_spread_over_seeds():
    pair = of_evolution(noisy([0.8, 0.8, 0.8], [0.7, 0.7, 0.7]), [0.0, 0.1, 0.2], [0.0, 0.2, 0.1])
    pair["nets"][0]["growing"] = -0.9
    names = NAMES.removesuffix(", share of growing directions")
    assert claims_noise.evolution_verdict(pair) == f"qualified: by {names} alone; of training alone: {names}"
    alike = noisy([0.8, 0.8, 0.8], [0.7, 0.7, 0.7], gain=-0.2)
    assert claims_noise.evolution_verdict(alike) == "not confirmed: no difference beyond the spread over seeds"
    assert claims_noise.evolution_verdict(noisy([0.8], [0.7])) == "not judged: one seed"


def test_tangents_predict_within_a_tenth():
    pair = noisy([0.8], [0.7])
    assert claims_noise.tangents_verdict(pair) == "confirmed"
    pair["nets"][0]["input"] = {**pair["nets"][0]["input"], "0.3": {"predicted": 1.2, "of_images": [1, 1, 2]}}
    words = "qualified: for pixel noise 0.02, noise at a layer, not for pixel noise 0.3"
    assert claims_noise.tangents_verdict(pair) == words
    pair["nets"][1]["layer"] = {**pair["nets"][1]["layer"], "7": {"predicted": 1.15}}
    words = "qualified: for pixel noise 0.02, not for pixel noise 0.3, noise at a layer"
    assert claims_noise.tangents_verdict(pair) == words
    assert "pixel noise 0.3 1.20 against 1.00, of single images from 0.50 to 2.00" in details_noise.tangents(pair)
    assert "pixel noise 0.3 1.00–1.20 (1.20), noise at a layer 1.00–1.15 (1.00)" in claims_noise.tangents(pair)
    assert claims_noise.tangents_verdict(noisy([0.8], [0.7], predicted=0.8)) == "not confirmed"
    assert noise_pairs.worst([1.05, 0.9, 1.08]) == 0.9


def test_intervals_are_those_of_student():
    low, high = spreads.student_interval([1.0, 2.0, 3.0])
    assert (low, high) == pytest.approx((2 - 2.484, 2 + 2.484), abs=1e-3)  # 4.303 · 1 / √3
    assert judging.sign([1.0, 2.0, 3.0]) == "open"
    assert judging.sign([-2.0, -2.1, -2.05]) == "negative"
    assert wording.over_seeds([0.5]) == "+0.500 (one seed)"
