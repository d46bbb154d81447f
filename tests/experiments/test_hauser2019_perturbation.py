"""The smoke presets of hauser2019, against closed forms, against other ways to compute, and the rules of verdicts."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

import resdyn
from experiments._harness import Run, claims
from experiments._harness.experiment import experiments_in
from experiments.hauser2019_perturbation import claims as ours
from experiments.hauser2019_perturbation import (
    claims_magnitudes,
    claims_stopping,
    deciding,
    judging,
    magnitudes,
    nets,
    stopping,
)
from experiments.hauser2019_perturbation.power_laws import exponent

torch = pytest.importorskip("torch")
from experiments.hauser2019_perturbation.growing import doubled  # noqa: E402
from experiments.hauser2019_perturbation.perturbations import perturbations  # noqa: E402

PAPER = "hauser2019_perturbation"
SCRIPTS = {module.__name__.rpartition(".")[2]: module for module in (magnitudes, stopping)}


# --- magnitudes --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    """Pixels and labels of some digits."""
    images = resdyn.data.digit_images("test").subset(slice(40))
    return images.pixels(), np.asarray(images.labels)


def test_perturbations_are_those_of_a_run_by_hand(digits):
    net = nets.small(magnitudes.PRESETS["smoke"], 3, seed=5)
    found = perturbations(net, *digits)
    with torch.no_grad():
        x = net.stem(torch.as_tensor(net.preprocessing(digits[0]), dtype=torch.float32))
        for k, block in enumerate(net.stages[0].blocks):
            added = block.branch(x)
            assert found["absolute"][k] == pytest.approx(added.norm(dim=1).mean().item(), rel=1e-5)
            scaled = (added.norm(dim=1) / x.norm(dim=1)).mean().item()
            assert found["scaled"][k] == pytest.approx(scaled, rel=1e-5)
            x = x + added
        right = (net.head(x).argmax(dim=1).numpy() == digits[1]).mean()
    assert found["accuracy"] == right
    # without an activation after the addition, the state moves by what is added
    assert found["moved"] == pytest.approx(found["scaled"], rel=1e-5)


def test_the_branch_counts_and_not_the_activation_after_the_addition(digits):
    torch.manual_seed(0)
    net = resdyn.networks.resnet(14, order="post", widths=[4, 8, 8], channels=1).eval()
    net.preprocessing = resdyn.networks.Preprocessing((0.3,), (0.4,))
    found = perturbations(net, *digits)
    units = [unit for stage in net.stages for unit in stage.units()]
    # the first units of the second and third stage change the shape, or only halve the pixels
    assert np.flatnonzero(np.isnan(found["absolute"])).tolist() == [2, 4]
    with torch.no_grad():
        x = net.stem(torch.as_tensor(net.preprocessing(digits[0]), dtype=torch.float32))
        added = units[0].branch(x)
        after = units[0](x)
    sizes = x.flatten(1).norm(dim=1)
    assert found["scaled"][0] == pytest.approx((added.flatten(1).norm(dim=1) / sizes).mean().item(), rel=1e-5)
    assert found["moved"][0] == pytest.approx(((after - x).flatten(1).norm(dim=1) / sizes).mean().item(), rel=1e-5)
    assert found["moved"][0] < 0.95 * found["scaled"][0]


def test_means_over_blocks_are_those_of_the_depth_rule(digits):
    config = replace(magnitudes.PRESETS["smoke"], images=len(digits[0]))
    net = nets.small(config, 4, seed=1)
    inputs = np.asarray(net.preprocessing(digits[0]), dtype=np.float32)
    states = resdyn.networks.unroll(net, inputs[:1]).trace(inputs, keep=("states",)).states
    found = perturbations(net, *digits)
    for kind in ("scaled", "absolute"):
        rule = resdyn.depth_rule(list(states), rule="hauser2019", magnitude=kind)
        assert found[kind].mean() == pytest.approx(rule.value, rel=1e-5)


def test_untrained_nets_fall_as_the_root_of_depth(digits):
    # each last weight has a variance of 1/L, so that a block adds 1/√L of the state; 256 units leave a few per cent
    config = replace(magnitudes.PRESETS["smoke"], units=256)
    depths = (4, 16, 64)
    means = [perturbations(nets.small(config, depth, seed=0), *digits)["scaled"].mean() for depth in depths]
    assert means == pytest.approx(np.array(depths) ** -0.5, rel=0.05)
    assert exponent(depths, np.array(means)[:, None])["exponent"] == pytest.approx(-0.5, abs=0.02)


def test_the_arrays_of_a_net_end_where_its_blocks_do(smoke):
    arrays, config = smoke("magnitudes").arrays, magnitudes.PRESETS["smoke"]
    for state in magnitudes.STATES:
        for k, depth in enumerate(config.depths):
            for kind in ("absolute", "scaled", "moved"):
                known = np.isfinite(arrays[f"{state}_{kind}"][k])
                assert (known == (np.arange(max(config.depths)) < depth)).all()
    summary = smoke("magnitudes").summary
    means = np.array(summary["trained"]["scaled"]["means"])
    assert summary["trained"]["path"] == pytest.approx(means * config.depths)
    # the mean over images and blocks is one over blocks and images
    assert arrays["trained_by_image"].mean(axis=(1, 2)) == pytest.approx(means)


def test_nets_that_were_trained_differ_from_those_before(smoke):
    arrays = smoke("magnitudes").arrays
    assert (arrays["trained_accuracy"] > 0.7).all()
    assert (arrays["untrained_accuracy"] < 0.35).all()
    change = smoke("magnitudes").summary["change"]["exponent"]
    slopes = [smoke("magnitudes").summary[state]["scaled"]["exponent"] for state in magnitudes.STATES]
    assert change == pytest.approx(slopes[0] - slopes[1])


def test_batch_norm_is_settled_on_training_images(monkeypatch):
    monkeypatch.setattr(nets, "SETTLING", 256)
    net = nets.beginning({"name": "residual_cnn", "blocks": 3, "channels": 1, "width": 4, "classes": 10}, 0)
    net.preprocessing = resdyn.networks.Preprocessing((0.3,), (0.4,))
    nets.settled(net, "digits")
    assert not net.training
    pixels = resdyn.data.digit_images("train").subset(slice(256)).pixels()
    last = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)][-1]
    seen = []
    last.register_forward_hook(lambda module, given, result: seen.append(result))
    with torch.no_grad():
        net(torch.as_tensor(net.preprocessing(pixels), dtype=torch.float32))
    assert seen[0].mean(dim=(0, 2, 3)).numpy() == pytest.approx(np.zeros(4), abs=1e-3)
    # the variance within batches of 128 leaves out that between them, a hundredth
    assert seen[0].var(dim=(0, 2, 3)).numpy() == pytest.approx(np.ones(4), rel=0.05)


def test_nets_that_are_not_trained_are_all_named_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments._harness.nets.LARGE", tmp_path)
    monkeypatch.setattr("experiments._harness.nets.SHIPPED", tmp_path)
    config = replace(magnitudes.PRESETS["laptop"], data="digits", seeds=(0, 1))
    with pytest.raises(
        SystemExit, match=r"--plan laptop .*residual-mlp6x24-mnist-seed0.*residual-mlp100x24-mnist-seed1$"
    ):
        magnitudes.compute(config, Run(tmp_path, quiet=True))


def test_depths_that_are_not_doubled_are_refused(tmp_path):
    config = replace(stopping.PRESETS["smoke"], depths=(2, 6, 12))
    with pytest.raises(SystemExit, match=r"depths are \(2, 6, 12\).*twice"):
        stopping.compute(config, Run(tmp_path, quiet=True))


def test_presets_ask_for_nets_of_the_plans():
    from experiments.train import PLANS

    for name, config in magnitudes.PRESETS.items():
        if config.nets not in ("here", "public"):
            names = {net.file_name for net in PLANS["laptop" if "laptop" in name else "gpu"]}
            assert {config.nets.format(depth=d, seed=s) for d in config.depths for s in config.seeds} <= names
    assert set(nets.PUBLIC) == set(magnitudes.PRESETS["public"].depths)


# --- exponents ---------------------------------------------------------------------------------------


def test_a_power_law_has_its_exponent_and_no_interval():
    depths = np.array([6, 12, 25, 50, 100])
    law = exponent(depths, np.outer(3.0 * depths**-0.8, [1.0, 2.0]))
    assert law["exponent"] == pytest.approx(-0.8)
    assert law["interval"] == pytest.approx([-0.8, -0.8])
    assert law["by_seed"] == pytest.approx([-0.8, -0.8])
    assert law["neighbours"] == pytest.approx([-0.8] * 4)


def test_the_interval_is_students_over_depths():
    rng = np.random.default_rng(0)
    depths = np.array([6, 12, 25, 50, 100])
    magnitudes = np.exp(rng.normal(size=(5, 3)) * 0.1) / depths[:, None]
    law = exponent(depths, magnitudes)
    fit = scipy.stats.linregress(np.log(depths), np.log(magnitudes).mean(axis=1))
    assert law["exponent"] == pytest.approx(fit.slope)
    reach = scipy.stats.t.ppf(0.975, 3) * fit.stderr
    assert law["interval"] == pytest.approx([fit.slope - reach, fit.slope + reach])


def test_two_depths_have_an_exponent_and_no_interval():
    law = exponent([9, 27], np.array([[0.9], [0.3]]))
    assert law["exponent"] == pytest.approx(-1)
    assert law["interval"] is None


# --- the stopping rule -------------------------------------------------------------------------------


def test_a_net_that_grows_says_the_same_and_moves_half_as_much(digits):
    net = nets.small(magnitudes.PRESETS["smoke"], 2, seed=3)
    deeper = doubled(net, seed=0)
    assert deeper.architecture["blocks"] == 4
    inputs = torch.as_tensor(net.preprocessing(digits[0]), dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(net(inputs), deeper(inputs))
    before, after = (perturbations(each, *digits)["scaled"] for each in (net, deeper))
    assert after[::2] == pytest.approx(before)
    assert (after[1::2] == 0).all()
    # the new blocks can learn: a gradient reaches their last weights
    torch.nn.functional.cross_entropy(deeper(inputs), torch.as_tensor(digits[1])).backward()
    assert all(block.branch[-1].weight.grad.abs().max() > 0 for block in deeper.stages[0].blocks)


@pytest.mark.parametrize(
    ("threshold", "patience", "depth", "epochs"),
    [
        (0.55, 2, 2, 6),  # 1 block is given up after 2 of 4 epochs
        (0.55, 3, 2, 7),
        (0.55, 5, 2, 8),  # never given up
        (0.35, 2, 4, 9),  # 2 blocks are given up after the third epoch, 4 stay above in one epoch alone
        (0.35, 1, 0, 4),  # one epoch above ε is enough, the second of 2 blocks and the first of the others
        (0.05, 2, 0, 6),
    ],
)
def test_nets_that_are_not_deep_enough_are_given_up(threshold, patience, depth, epochs):
    course = np.array([[0.7, 0.8, 0.8, 0.7], [0.3, 0.4, 0.5, 0.5], [0.4, 0.3, 0.3, 0.3]])
    chosen, trained = deciding.while_training((1, 2, 4), course, (threshold,), patience)
    assert (chosen.tolist(), trained.tolist()) == ([depth], [epochs])


def test_the_rule_after_training_looks_at_the_last_epoch():
    course = np.array([[0.1, 0.8], [0.9, 0.4]])
    chosen, epochs = deciding.after_training((1, 2), course, (0.9, 0.5, 0.3))
    assert chosen.tolist() == [1, 2, 0]
    assert epochs.tolist() == [2, 4, 4]


def test_a_run_that_is_given_up_ends_where_the_replay_says(smoke):
    arrays, config = smoke("stopping").arrays, stopping.PRESETS["smoke"]
    course = arrays["anew_magnitudes"][:, 0]
    threshold = float(course[0].min()) * 0.99  # one block is never deep enough
    images = resdyn.data.image_set(config.data, "train").subset(slice(config.images))
    net = nets.small(config, config.depths[0], config.seeds[0])
    watch = resdyn.networks.StateWatch(images, deciding.judge(threshold), stop=deciding.too_shallow(config.patience))
    training = nets.settings(resdyn.networks.PRESETS[config.data], config.epochs, config.seeds[0])
    run = resdyn.networks.fit(net, config.data, training, progress=False, callbacks=[watch])
    assert (run.end, run.epochs) == ("callback", config.patience)
    # until it ends, the run is that which was not stopped
    assert [rule.value for rule in watch.found] == pytest.approx(course[0][: config.patience], rel=1e-6)
    _, epochs = deciding.while_training(config.depths[:1], course[:1], (threshold,), config.patience)
    assert epochs.tolist() == [run.epochs]


def test_depth_rises_as_the_threshold_falls_and_the_callback_costs_no_more(smoke):
    summary = smoke("stopping").summary
    for way in stopping.WAYS:
        depths = np.array(summary[way]["depths"])
        ranks = np.where(depths == 0, max(summary["depths"]) + 1, depths)
        assert (np.diff(ranks, axis=0) >= 0).all()
        assert (np.array([[a is None for a in row] for row in summary[way]["accuracy"]]) == (depths == 0)).all()
    assert (np.array(summary["callback"]["epochs"]) <= summary["function"]["epochs"]).all()
    for t, row in enumerate(summary["function"]["depths"]):
        for s, depth in enumerate(row):
            if depth:
                k = summary["depths"].index(depth)
                assert summary["function"]["accuracy"][t][s] == summary["accuracy"]["anew"][k][s]
                assert summary["magnitudes"]["anew"][k][s] < summary["thresholds"][t]


# --- verdicts, from made-up numbers ------------------------------------------------------------------


def law(a, low=None, high=None):
    return {"exponent": a, "interval": None if low is None else [low, high], "by_seed": [a], "neighbours": [a]}


CLEAR, UNCLEAR = law(-0.3, -0.4, -0.2), law(-0.02, -0.1, 0.06)
ALIKE = "not told apart from untrained nets"


@pytest.mark.parametrize(
    ("trained", "untrained", "change", "verdict"),
    [
        (law(-0.95, -1.1, -0.8), law(-0.5, -0.6, -0.4), CLEAR, "confirmed"),
        # near −1 before training, and nearer after it
        (law(-1.0, -1.1, -0.9), law(-0.86, -0.9, -0.8), law(-0.14, -0.2, -0.1), "confirmed"),
        (law(-0.86, -0.95, -0.77), law(-0.84, -0.93, -0.75), UNCLEAR, f"qualified: {ALIKE}"),
        (law(-0.95, -1.1, -0.8), law(-0.5, -0.6, -0.4), None, f"qualified: {ALIKE}"),
        (
            law(-0.95, -1.1, -0.8),
            law(-0.98, -1.0, -0.9),
            law(0.03, 0.02, 0.04),
            "qualified: as near to −1 before training",
        ),
        (law(-0.8, -1.05, -0.55), law(-0.8, -1.0, -0.6), UNCLEAR, f"qualified: −1 lies in the interval; {ALIKE}"),
        (law(-0.7, -1.05, -0.35), law(-0.7, -0.8, -0.6), UNCLEAR, "not confirmed: neither −1 nor −0.5 is ruled out"),
    ],
)
def test_roughly_inverse_is_an_exponent_near_minus_one_that_training_made(trained, untrained, change, verdict):
    assert judging.inverse(trained, untrained, change) == verdict
    summary = {"trained": {"scaled": trained}, "untrained": {"scaled": untrained}, "change": change}
    assert claims_magnitudes.scaled_verdict(summary) == verdict


@pytest.mark.parametrize(
    ("trained", "verdict"),
    [
        (law(-0.95, -0.97, -0.93), "confirmed"),  # roughly
        (law(-0.95, -1.6, -0.3), "qualified: the interval reaches −0.5"),
        (law(-0.93), "qualified: two depths, no interval"),
        (law(-0.6), "not confirmed: falls more slowly"),
        (law(-0.6, -0.7, -0.5), "not confirmed: falls more slowly"),
        (law(-1.5, -1.7, -1.3), "not confirmed: falls faster"),
        (law(-0.8, -1.1, -0.51), "qualified: −1 lies in the interval"),
        (law(-0.8, -1.1, -0.5), "not confirmed: neither −1 nor −0.5 is ruled out"),
        (law(-0.6, -1.3, 0.1), "not confirmed: no clear fall"),
        (law(0.2), "not confirmed: does not fall"),
    ],
)
def test_nets_without_an_exponent_before_training_are_judged_by_their_interval(trained, verdict):
    assert judging.inverse(trained) == verdict
    assert claims_magnitudes.scaled_verdict({"trained": {"scaled": trained}, "change": None}) == verdict


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (law(-0.1, -0.2, 0.05), "measured: not told apart from untrained nets"),
        (law(-0.1, -0.2, -0.05), "measured: training makes it steeper"),
        (law(0.1, 0.05, 0.2), "measured: training makes it flatter"),
        (law(0.1), "not run"),
        (None, "not run"),
    ],
)
def test_the_control_is_judged_by_the_interval_of_the_difference(change, verdict):
    assert judging.changed(change) == claims_magnitudes.untrained_verdict({"change": change}) == verdict


def test_a_change_is_one_of_nets_of_the_same_seeds():
    depths = np.array(magnitudes.PRESETS["laptop-cifar10"].depths)
    scaled = {"trained": depths[:, None] ** -0.9, "untrained": depths[:, None] ** np.array([-0.5, -0.7, -0.1])}
    arrays = {f"{state}_scaled": values[..., None] for state, values in scaled.items()}
    config = replace(magnitudes.PRESETS["laptop-cifar10"], seeds=(1,))
    assert magnitudes._change(config, arrays)["exponent"] == pytest.approx(-0.2)
    assert magnitudes._changed_seeds(magnitudes.PRESETS["laptop"]) == [0, 1, 2]
    # a seed of which there is no net before training
    assert magnitudes._change(replace(config, seeds=(3,)), arrays) is None


def test_the_control_says_of_how_many_nets_the_change_is():
    before = {**law(-0.5, -0.6, -0.4), "means": [1.0], "least": [1.0], "most": [1.0]}
    summary = {"depths": [6], "untrained": {"scaled": before}, "change": law(-0.3, -0.4, -0.2), "changed_seeds": 1}
    change = "−0.30 [−0.40, −0.20]"
    assert claims_magnitudes.untrained_details(summary).endswith(
        f"by {change} (95 %, t over depths), 1 net per depth before and after."
    )
    assert claims_magnitudes.untrained(summary) == (
        f"exponent −0.50 [−0.60, −0.40] before training, 1 net per depth; changed by {change}, 1 net before and after "
        "(95 %, t over 1 depths)"
    )
    alone = {**summary, "change": None}
    assert claims_magnitudes.untrained_details(alone).endswith("1 (L = 6).")
    assert "changed" not in claims_magnitudes.untrained(alone)
    assert claims_magnitudes.untrained({"change": None}) is None


def test_profiles_are_even_within_a_quarter():
    assert judging.even({"thirds": [0.8, 1.0, 1.2]}) == "measured: even"
    assert judging.even({"thirds": [0.7, 0.9, 1.4]}) == "measured: largest in the last third"
    assert judging.even({"thirds": [1.5, 0.8, 0.7]}) == "measured: largest in the first third"


def decided(depths, accuracy, fewer=2):
    whole = [[9, 9]] * len(depths)
    way = {"depths": depths, "accuracy": accuracy, "epochs": whole}
    return {
        "depths": [2, 4, 8],
        "seeds": 2,
        "epochs": 3,
        "patience": 2,
        "thresholds": [0.5, 0.2, 0.1],
        "accuracy": {"anew": [[0.9, 0.91], [0.94, 0.94], [0.95, 0.96]]},
        "function": way,
        "callback": {**way, "epochs": [[9 - fewer, 9]] * len(depths)},
        "growing": way,
    }


@pytest.mark.parametrize(
    ("depths", "accuracy", "verdict"),
    [
        ([[2, 2], [4, 8], [0, 0]], [[0.95, 0.96], [0.949, 0.96], [None, None]], "qualified: 2 seeds"),
        ([[2, 2], [4, 4], [0, 0]], [[0.94, 0.95], [0.95, 0.96], [None, None]], "qualified: not for ε = 0.5"),
        # one seed loses more than half a point, on average they do not
        ([[2, 2], [0, 0], [0, 0]], [[0.96, 0.95], [None, None], [None, None]], "not confirmed"),
        # the deepest is as accurate as itself: that does not count
        ([[2, 2], [4, 8], [8, 8]], [[0.90, 0.91], [0.94, 0.96], [0.95, 0.96]], "not confirmed"),
        ([[8, 8], [0, 8], [0, 0]], [[0.95, 0.96], [None, 0.96], [None, None]], "not told: no depth below the deepest"),
        ([[0, 2], [4, 0], [0, 0]], [[None, 0.96], [0.95, None], [None, None]], "qualified: 2 seeds"),
    ],
)
def test_a_depth_is_as_accurate_within_half_a_point_with_every_seed(depths, accuracy, verdict):
    assert claims_stopping.loss_verdict(decided(depths, accuracy)) == verdict


def test_three_seeds_confirm_and_one_does_not():
    assert judging.accurate((0.5, 0.2), [[0.004, 0.0, -0.01], [None, None, None]]) == "confirmed"
    assert judging.accurate((0.5,), [[0.004]]) == "qualified: 1 seed"
    assert judging.accurate((1, 0.5, 0.2), [[0.03], [0.02], [None]]) == "not confirmed"


def test_the_callback_is_judged_by_its_decisions_and_its_epochs():
    rows = [[2, 2], [4, 8], [0, 0]], [[0.9, 0.91], [0.94, 0.96], [None, None]]
    summary = decided(*rows)
    assert claims_stopping.callback_verdict(summary) == "confirmed"
    assert "ε = 0.5: 7–9 of 9" in claims_stopping.callback_details(summary)
    assert claims_stopping.callback(summary).startswith(
        "the same depths as after training at 3 of 3 ε; 48 epochs instead of 54 over all ε and 2 seeds"
    )
    assert claims_stopping.callback_verdict(decided(*rows, fewer=0)) == "not confirmed: nothing saved"
    summary["callback"] = {**summary["callback"], "depths": [[2, 2], [8, 8], [0, 0]]}
    assert claims_stopping.callback_verdict(summary) == "qualified: other depths for ε = 0.2"
    assert claims_stopping.rule_verdict(summary) == "measured: all seeds stop at 2 of 3 ε, at the same depth at 1"
    assert claims_stopping.growing_verdict(summary) == "measured: the depths of nets trained anew at 3 of 3 ε"
    assert "ε = 0.2: 4–8 blocks, 94.0–96.0 %; ε = 0.1: none in 2 of 2." in claims_stopping.rule_details(summary)
    assert claims_stopping.rule(summary) == (
        "ε = 0.5: 2 blocks, 90.0–91.0 %; ε = 0.2: 4–8 blocks, 94.0–96.0 %; not all seeds stop at ε = 0.1 (2 seeds, 3 ε)"
    )
    assert claims_stopping.loss_details(summary) == (
        "Points below 8 blocks, seed by seed: ε = 0.5: 5.0, 5.0; ε = 0.2: 1.0, the deepest itself."
    )
    assert claims_stopping.loss(summary) == (
        "points lost against 8 blocks, the most of 2 seeds: 5.0 (ε = 0.5), 1.0 (ε = 0.2)"
    )


def test_no_depth_is_said_in_words():
    none = decided([[0, 0]] * 3, [[None, None]] * 3)
    assert claims_stopping.rule(none) == "not all seeds stop at ε = 0.5, 0.2, 0.1 (2 seeds, 3 ε)"
    assert claims_stopping.loss(none) == "no depth below 8 blocks found"


def test_a_row_says_the_exponent_its_interval_and_what_training_changed():
    trained = {**law(-0.8, -0.9, -0.7), "means": [0.5, 0.1], "least": [0.5, 0.1], "most": [0.5, 0.1]}
    summary = {
        "nets": "here",
        "depths": [6, 40],
        "seeds": 2,
        "images": 9,
        "accuracy": [0.6, 0.7],
        "trained": {"scaled": {**trained, "by_seed": [-0.81, -0.79]}, "absolute": trained},
        "change": CLEAR,
    }
    assert claims_magnitudes.magnitude("scaled")(summary) == (
        "exponent −0.80 [−0.90, −0.70] (95 %, t over 2 depths; 2 nets per depth: −0.81 to −0.79); "
        "mean 0.5 (L = 6) to 0.1 (L = 40); training changes it by −0.30 [−0.40, −0.20]"
    )
    one = claims_magnitudes.magnitude("absolute")({**summary, "seeds": 1})
    assert one.endswith("1 net per depth); mean 0.5 (L = 6) to 0.1 (L = 40)")


def test_every_claim_can_be_said_from_a_smoke_run(smoke):
    for claim in ours.CLAIMS:
        summary = smoke(claim.script).summary
        assert len(claim.measured(summary)) <= claims.LONGEST
        assert claim.details(summary).endswith(".")
        assert claim.verdict(summary)
    assert {experiment.name for experiment in experiments_in(PAPER)} == set(SCRIPTS)
    assert {claim.script for claim in claims.claims_of(PAPER)} == set(SCRIPTS)
    known = {claim.script: set(SCRIPTS[claim.script].PRESETS) for claim in ours.CLAIMS}
    assert all(set(claim.presets) <= known[claim.script] for claim in ours.CLAIMS)


def test_judging_needs_no_torch():
    code = "import sys; import experiments.hauser2019_perturbation.claims; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
