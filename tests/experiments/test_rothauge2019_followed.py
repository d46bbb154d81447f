"""Perturbations, other networks, training and a Transformer: smoke presets, closed forms, verdicts."""

import copy
import dataclasses
import json

import numpy as np
import pytest

import resdyn
from experiments._harness.claims import NOT_RUN
from experiments._harness.experiment import Experiment
from experiments._harness.running import Run
from experiments.rothauge2019_linearization import (
    activity,
    claims_beyond,
    claims_networks,
    claims_perturbations,
    following,
    gains,
    judging,
    judging_perturbations,
    other_networks,
    perturbations,
    through_training,
    transformer,
)
from experiments.rothauge2019_linearization.material import net_and_images

torch = pytest.importorskip("torch")
PAPER = "rothauge2019_linearization"
SCRIPTS = {
    module.__name__.rpartition(".")[2]: module
    for module in (perturbations, other_networks, through_training, transformer)
}

CLAIMS = (*claims_perturbations.CLAIMS, *claims_networks.CLAIMS, *claims_beyond.CLAIMS)

KEPT = [
    (name, preset)
    for name, module in SCRIPTS.items()
    for preset in module.PRESETS
    if Experiment(module).kept(preset, ".json").is_file()
]


def test_something_is_kept():
    assert {("perturbations", "laptop"), ("through_training", "laptop"), ("transformer", "laptop")} <= set(KEPT)


@pytest.mark.parametrize(("name", "preset"), KEPT)
def test_claims_can_be_judged_by_what_is_kept(name, preset):
    summary = json.loads(Experiment(SCRIPTS[name]).kept(preset, ".json").read_text())["summary"]
    for claim in CLAIMS:
        if claim.script == name and preset in claim.presets:
            assert claim.measured(summary)
            assert claim.verdict(summary)
            assert claim.details(summary) or claim.verdict(summary) == NOT_RUN


# --- perturbations -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def attack():
    net, pixels, labels = net_and_images("resnet20-digits-seed0", 6)
    return net, following.attacked(net, pixels, labels, "pgd linf 8/255", steps=3, seed=0)


def test_random_perturbations_are_as_long_as_the_attack_image_by_image(attack):
    changes = following.perturbations_of(attack[1], seed=1)
    lengths = np.linalg.norm(changes.reshape(3, 6, -1), axis=2)
    assert lengths[1] == pytest.approx(lengths[0])
    assert np.ptp(lengths[0]) > 1e-3  # they differ between images
    assert abs(changes[2]).max() <= 8 / 255 + 1e-7  # pixels are in single precision


def test_sizes_are_differences_of_states_that_the_network_itself_makes(attack):
    net, found = attack[0], following.followed(*attack, seed=1)
    changes = following.perturbations_of(attack[1], seed=1)
    pixels = attack[1].clean.astype(np.float64)
    double = copy.deepcopy(net).double()

    def states(images):
        x = double.stem(torch.from_numpy(net.preprocessing(images)))
        rows = [x]
        for unit in double.units:
            rows.append(x := unit(x))
        return rows, double.head[:-1](x)

    with torch.no_grad():
        (clean, features), (moved, changed) = states(pixels), states(pixels + changes[1])
    expected = [(after - before).flatten(1).norm(dim=1).numpy() for before, after in zip(clean, moved, strict=True)]
    assert found["sizes"].shape == (3, 1 + len(clean), 6)
    assert found["sizes"][1, 1:] == pytest.approx(np.array(expected), rel=1e-9)
    assert found["pooled"][1] == pytest.approx((changed - features).norm(dim=1).numpy(), rel=1e-9)
    assert found["states"][-1] == pytest.approx(clean[-1].flatten(1).norm(dim=1).numpy(), rel=1e-9)


@pytest.mark.parametrize(
    ("words", "meaning"),
    [("pgd l2 0.5", ("pgd", "l2", 0.5)), ("fgsm linf 8/255", ("fgsm", "linf", 8 / 255))],
)
def test_attacks_are_named_by_method_norm_and_radius(words, meaning):
    assert following.attack_named(words) == meaning


@pytest.mark.parametrize("words", ["pgd l2", "cw l2 0.5", "pgd l2 big"])
def test_words_that_name_no_attack_are_refused(words):
    with pytest.raises(ValueError, match="names no attack"):
        following.attack_named(words)


def made_up(adversarial, random, states):
    """What ``followed`` returns, for two images and gains that are given: three units of one stage."""

    def along(unit_gains):
        rows = np.cumprod([1.0, 2.0, *unit_gains])
        return np.stack([rows, 3 * rows], axis=1)

    sizes = np.stack([along(adversarial), along(random), np.full((5, 2), np.nan)])
    found = {"sizes": sizes, "states": along(states), "pooled": sizes[:, -1], "pixels": np.ones((3, 2))}
    return found | {"correct": np.array([True, True]), "fooled": np.array([True, False])}


def test_numbers_of_a_jump_that_is_known():
    found = made_up((2.0, 1.5, 4.0), (1.0, 1.0, 1.5), (1.0, 1.0, 2.0))
    numbers = gains.numbers_of(found, np.array([1, 1, 1]), last=1)
    assert numbers["misclassified"] == 0.5
    assert numbers["last_units"] == [3]
    assert numbers["state_gain"] == pytest.approx([1, 1, 2])
    adversarial, random, excess = numbers["adversarial"], numbers["random"], numbers["excess"]
    assert adversarial["gain"] == pytest.approx([2, 1.5, 4])
    assert adversarial["relative_gain"] == pytest.approx([2, 1.5, 2])
    assert (adversarial["largest_gain"], adversarial["largest_gain_at"]) == pytest.approx((4, 3))
    assert adversarial["growth"] == pytest.approx(12)
    assert adversarial["over_stage"] == pytest.approx([4 / 1.75])
    assert random["last_relative_gain"] == pytest.approx(0.75)
    assert random["over_stage"] == pytest.approx([1.5])
    assert random["relative_over_stage"] == pytest.approx([0.75])
    # the factors of the units are 2, 1.5 and 4 / 1.5: what random perturbations do there is divided out
    jump = numbers["jump"]
    assert jump["factor"] == pytest.approx([8 / 3])
    assert jump["over_stage"] == pytest.approx([8 / 3 / 1.75])
    assert jump["over_stage_quartiles"] == [pytest.approx([8 / 3 / 1.75] * 2)]
    assert (jump["largest_of_stage_in_last"], jump["by_chance"]) == (1, pytest.approx(1 / 3))
    assert excess["along"] == pytest.approx([1, 2, 3, 8])
    assert excess["of_units"] == pytest.approx([2, 1.5, 8 / 3])
    assert "random_signs" not in numbers


def test_the_parts_of_the_excess_add_up_to_one():
    found = made_up((2.0, 1.5, 4.0), (1.0, 1.0, 1.5), (1.0, 1.0, 2.0))
    found["sizes"][0, 1:] *= 1.5  # the stem
    found["pooled"] = found["sizes"][:, -1] * np.array([3.0, 1.0, 1.0])[:, None]
    parts = gains.numbers_of(found, np.array([1, 1, 1]), last=1)["excess"]["parts"]
    whole = np.log(1.5 * 8 * 3)
    assert {name: part["share"] * whole for name, part in parts.items()} == pytest.approx(
        {"stem": np.log(1.5), "before_last": np.log(3), "last": np.log(8 / 3), "pooling": np.log(3)}
    )
    assert sum(part["share"] for part in parts.values()) == pytest.approx(1)
    assert all(part["quartiles"] == pytest.approx([part["share"]] * 2) for part in parts.values())


@pytest.mark.parametrize("last", [0, 3])
def test_units_that_are_told_apart_must_leave_some_of_their_stage(last):
    with pytest.raises(ValueError, match="final stage has 3 units"):
        gains.numbers_of(made_up((2.0, 1.5, 4.0), (1.0, 1.0, 1.5), (1.0, 1.0, 2.0)), np.ones(3), last=last)


def test_the_excess_of_the_units_multiplies_to_that_of_the_end(smoke):
    run = smoke("perturbations")
    for sizes, numbers in zip(run.arrays["sizes"], run.summary["attacks"].values(), strict=True):
        ratio, factors = sizes[0] / sizes[1], gains.unit_gains(sizes[0]) / gains.unit_gains(sizes[1])
        assert ratio[1] * factors.prod(axis=0) == pytest.approx(ratio[-1])
        assert np.median(factors, axis=1) == pytest.approx(numbers["excess"]["of_units"])
        assert sum(part["share"] for part in numbers["excess"]["parts"].values()) == pytest.approx(1)


def test_attacks_grow_more_than_random_perturbations(smoke):
    for numbers in smoke("perturbations").summary["attacks"].values():
        assert numbers["adversarial"]["growth"] > numbers["random"]["growth"]


# --- other networks ------------------------------------------------------------------------------


def damped_unit(skip):
    torch.manual_seed(0)
    net = resdyn.networks.resnet(
        14, order="pre", widths=(2, 3, 4), channels=1, interpolation="in", coefficient=1 - skip
    )
    images = np.random.default_rng(0).standard_normal((1, 1, 8, 8))
    # half of the ReLUs would fire; fewer force singular values
    for unit in net.units:
        unit.branch[3].bias.data -= 0.8
    network = resdyn.networks.unroll(net.eval(), images, dtype=torch.float64)
    return network.units[1], network.units[0](network.stem(images))[0]


def test_the_skip_gain_of_a_plain_and_of_a_damped_unit():
    net, *_ = net_and_images("resnet20-digits-seed0", 1)
    assert other_networks.skip_gain(resdyn.networks.unroll(net, np.zeros((1, 1, 8, 8))).units[3]) == 1
    net = resdyn.networks.load("in-resnet20-cifar10-seed0")
    network = resdyn.networks.unroll(net, np.zeros((1, 3, 32, 32)))
    found = [other_networks.skip_gain(unit) for unit in network.units]
    assert found[0] == 1  # the first unit is not damped
    assert found[1] == pytest.approx(float(1 - net.units[1].interpolation.value.detach()))
    assert found[-1] < 0  # λ above 1


def test_relus_that_fire_bound_the_rank_of_the_branch():
    unit, x = damped_unit(0.5)
    jacobian = resdyn.networks.linearize(unit, x, method="dense").to_dense()
    a = other_networks.skip_gain(unit)
    rank = np.linalg.matrix_rank(jacobian - a * np.eye(len(jacobian)))
    firing = activity.firing_relus(unit, x)
    assert len(firing) == 2
    assert rank <= activity.rank_bound(unit, x) == firing.min()
    assert rank == firing.min()  # of random weights


def test_a_unit_by_counts_is_the_unit_by_singular_values():
    unit, x = damped_unit(0.5)
    exact, counted = (other_networks._of_block(unit, x, exact=how) for how in (True, False))
    for name in ("skip_gain", "atom", "above_one", "above_atom", "near_one", "rank_bound", "n"):
        assert counted[name] == pytest.approx(exact[name]), name
    assert counted["largest"] == pytest.approx(float(exact["largest"]))
    values = np.linalg.svd(resdyn.networks.linearize(unit, x, method="dense").to_dense(), compute_uv=False)
    assert exact["near_one"] == pytest.approx([(abs(values - 1) < width).mean() for width in other_networks.WIDTHS])
    assert exact["atom"] == pytest.approx(1 - 2 * exact["rank_bound"])  # forced, and no more
    assert counted["median"] == pytest.approx(0.5)


def test_scaling_moves_the_atom_with_the_skip_path_alone(smoke):
    scaling = smoke("other_networks").summary["networks"]["resnet20-digits-seed0"]["scaling"]
    shares = [row["atom"] for what in ("skip", "branch") for row in scaling[what].values()]
    assert min(shares) > 0.05  # there is an atom
    assert np.ptp(shares) < 1e-9
    assert {row["at"] for row in scaling["skip"].values()} == {1.0, 2.0}
    assert {row["at"] for row in scaling["branch"].values()} == {1.0}
    assert scaling["branch"]["2"]["largest"] > 1.3 * scaling["branch"]["1"]["largest"]
    # the atom takes away a jump of its share, and no distance is smaller than half a jump
    assert scaling["skip"]["2"]["distance"] >= shares[0] / 2
    assert scaling["skip"]["1"]["distance"] == scaling["branch"]["1"]["distance"] == 0


def test_ones_of_a_plain_net_are_those_that_the_rank_forces(smoke):
    for unit in smoke("other_networks").summary["networks"]["resnet20-digits-seed0"]["units"].values():
        # up to a dependence of firing units, two of 128 values
        assert unit["atom"] == pytest.approx(max(1 - 2 * unit["rank_bound"], 0), abs=0.02)
        assert unit["counted"] == pytest.approx(unit["forced"], abs=0.02)
        assert unit["undamped"]["atom"] is None  # there is nothing to take away


def test_counts_of_ones_know_nothing_of_the_rank(monkeypatch):
    # more rows than the counter takes by complete spectra
    torch.manual_seed(0)
    net = resdyn.networks.resnet(14, order="pre", widths=(8, 8, 8), channels=1).eval()
    images = np.random.default_rng(0).standard_normal((1, 1, 8, 8))
    net.units[1].branch[3].bias.data -= 0.8
    network = resdyn.networks.unroll(net, images, dtype=torch.float64)
    unit, x = network.units[1], network.units[0](network.stem(images))[0]
    values = np.linalg.svd(resdyn.networks.linearize(unit, x, method="dense").to_dense(), compute_uv=False)
    true = (abs(values - 1) <= other_networks.EXACT).mean()
    spectrum = resdyn.networks.linearization.spectrum
    honest = spectrum.forced_atoms

    def twenty_too_many(structure):
        return tuple(atom._replace(multiplicity=atom.multiplicity + 20) for atom in honest(structure))

    monkeypatch.setattr(spectrum, "forced_atoms", twenty_too_many)
    counted = other_networks._counted(unit, x)
    # complete spectra take an atom only for values that rounding explains
    assert other_networks._of_block(unit, x, exact=True)["atom"] == pytest.approx(true)
    assert counted["counted"] == pytest.approx(true)
    assert counted["forced"] == pytest.approx(1 - 2 * activity.rank_bound(unit, x) / len(values))


def test_a_unit_without_its_damping_is_the_unit_with_an_identity():
    unit, x = damped_unit(0.5)
    J = resdyn.networks.linearize(unit, x, method="dense").to_dense()
    values = np.linalg.svd(J + 0.5 * np.eye(len(J)), compute_uv=False)
    found = other_networks._undamped(unit, x)
    assert found["undamped_above_one"] == pytest.approx((values > 1 + 1e-6).mean())
    assert found["undamped_largest"] == pytest.approx(values[0])
    assert found["undamped_atom"] == pytest.approx((abs(values - 1) <= 1e-6).mean())
    assert found["undamped_atom"] == pytest.approx(other_networks._counted(unit, x)["counted"])


def test_a_small_skip_gain_is_taken_away_to_the_last_digit(monkeypatch):
    unit, x = damped_unit(-0.0178)
    # as single precision rounds it where λ is learned
    monkeypatch.setattr(other_networks, "skip_gain", lambda unit: -0.0178 + 6e-8)
    counted, undamped = other_networks._counted(unit, x)["counted"], other_networks._undamped(unit, x)
    assert undamped["undamped_atom"] == pytest.approx(counted)
    assert counted > 0.1


def test_distances_of_distributions():
    values = np.array([3.0, 2.0, 1.0, 1.0])
    assert other_networks.distance_between(values, values + 1e-14) == 0
    assert other_networks.distance_between(values, np.array([3.0, 2.0, 2.0, 2.0])) == pytest.approx(0.5)
    assert other_networks.distance_between(values, values + 5) == 1


def test_all_nets_are_found_before_any_is_looked_at(tmp_path):
    config = dataclasses.replace(
        other_networks.PRESETS["smoke"], weights=("resnet20-digits-seed0", "resnet110-cifar10-seed9")
    )
    run = Run(tmp_path, quiet=True)
    with pytest.raises((FileNotFoundError, ValueError), match="resnet110-cifar10-seed9"):
        other_networks.compute(config, run)
    assert not list(tmp_path.iterdir())


def test_resnet110_can_be_run_by_itself():
    assert other_networks.PRESETS["resnet110"].weights == ("resnet110-cifar10-seed0",)
    assert "resnet110-cifar10-seed0" not in other_networks.PRESETS["paper"].weights
    assert all(preset.attacked >= 100 for name, preset in other_networks.PRESETS.items() if name != "smoke")


# --- training, Transformer -----------------------------------------------------------------------


def test_the_epochs_that_are_looked_at():
    assert through_training._epochs(through_training.Config(epochs=64)) == [0, 1, 2, 4, 8, 16, 32, 64]
    assert through_training._epochs(through_training.Config(epochs=6)) == [0, 1, 2, 4, 6]


def test_snapshots_use_the_statistics_of_the_whole_set():
    torch.manual_seed(0)
    net = resdyn.networks.resnet(8, order="post", widths=(2, 3, 4), channels=1).eval()
    inputs = torch.randn(50, 1, 8, 8)
    kept = through_training._with_statistics(net, inputs)
    norm = next(module for module in kept.modules() if isinstance(module, torch.nn.BatchNorm2d))
    with torch.no_grad():
        first = kept.stem[0](inputs)
    assert norm.running_mean.numpy() == pytest.approx(first.mean((0, 2, 3)).numpy(), abs=1e-5)
    assert not kept.training
    # the net that goes on learning is left alone
    assert not next(m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)).running_mean.any()


def test_runs_start_from_the_same_weights_and_repeats_do_not(smoke):
    arrays = smoke("through_training").arrays
    assert np.array_equal(arrays["0_0_values_0"][0], arrays["1_0_values_0"][0])
    assert not np.array_equal(arrays["0_0_values_0"][-1], arrays["1_0_values_0"][-1])
    assert not np.array_equal(arrays["0_0_values_0"][0], arrays["0_1_values_0"][0])
    assert arrays["0_0_values_0"].shape == (2, 2, 2, 128)  # epochs, readings, images, n


def test_a_training_that_was_stopped_goes_on(tmp_path, monkeypatch):
    config = through_training.Config(depth=8, widths=(2, 2, 2), epochs=2, images=1, batch_size=512, repeats=1)
    whole = through_training._snapshots(config, Run(tmp_path / "whole", quiet=True), 0, 0)

    run, honest, looked = Run(tmp_path / "stopped", quiet=True), through_training._of_snapshot, []

    def stopped(*arguments):
        looked.append(1)
        if len(looked) == 2:  # after the first epoch, whose weights are stored
            raise KeyboardInterrupt
        return honest(*arguments)

    monkeypatch.setattr(through_training, "_of_snapshot", stopped)
    with pytest.raises(KeyboardInterrupt):
        through_training._snapshots(config, run, 0, 0)
    again = through_training._snapshots(config, run, 0, 0)
    assert len(looked) == 2 + 2  # the untrained net is not looked at again
    for before, after in zip(whole, again, strict=True):
        assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_trained_transformer_is_not_trained_again(tmp_path):
    config = transformer.PRESETS["smoke"]
    run, sets = Run(tmp_path, quiet=True), [transformer._inputs(split) for split in ("train", "test")]

    def trained(epochs):
        torch.manual_seed(0)
        net = transformer.Classifier(config)
        transformer._trained(net, *sets, dataclasses.replace(config, epochs=epochs), run)
        return net.head[1].weight.detach().numpy()

    first = trained(1)
    log = (run.folder / "training" / "log.jsonl").read_text()
    assert np.array_equal(trained(1), first)
    assert (run.folder / "training" / "log.jsonl").read_text() == log


def test_ones_of_the_feed_forward_units_are_those_forced_token_by_token(smoke):
    for state in transformer.STATES:
        for name, unit in smoke("transformer").summary[state]["units"].items():
            assert unit["exact_ones"] == pytest.approx(unit["forced_ones"], abs=0.01), name


def test_parts_of_a_matrix_that_mixes_no_tokens():
    rng = np.random.default_rng(0)
    apart = np.zeros((6, 6))
    apart[:3, :3] = np.outer(rng.standard_normal(3), rng.standard_normal(3))
    apart[3:, 3:] = rng.standard_normal((3, 3))
    assert transformer._parts(apart, 2) == [(3, 1), (3, 3)]
    assert transformer._parts(apart + 1e-3, 2) == [(6, np.linalg.matrix_rank(apart + 1e-3))]


# --- verdicts, from made-up numbers --------------------------------------------------------------


def of_attack(
    jump=1.4, low=1.2, at=27, last=0.6, relative=1.3, relative_low=1.1, random=0.9, random_size=1.2, excess=9.0
):
    """One attack; the last unit is the 27th."""

    def of_kind(size, relative, relative_low):
        return {
            "gain_quartiles": [[1.0, 2.0]],
            "last_gain": 1.5,
            "relative_gain_quartiles": [[relative_low, 2.0]],
            "last_relative_gain": 1.1,
            "largest_gain": 2.0,
            "largest_gain_at": at,
            "over_stage": [size],
            "over_stage_quartiles": [[size - 0.05, 2.0]],
            "relative_over_stage": [relative],
            "relative_over_stage_quartiles": [[relative_low, 2.0]],
            "largest_of_stage_in_last": 0.9,
        }

    rest = (1 - last) / 2
    return {
        "adversarial": of_kind(1.4, relative, relative_low),
        "random": of_kind(random_size, random, random - 0.05),
        "last_units": [27],
        "state_gain": [1.0, 1.4],
        "jump": {
            "over_stage": [jump],
            "over_stage_quartiles": [[low, 2.0]],
            "largest_of_stage_in_last": 0.9,
            "by_chance": 0.3,
        },
        "excess": {
            "pooled": 10.0,
            "pooled_quartiles": [excess, 11.0],
            "parts": {n: {"share": s} for n, s in zip(gains.PARTS, (0.0, rest, last, rest), strict=True)},
        },
    }


def judged(rule, **changes):
    """The verdict on two attacks, of which the second is changed."""
    attacks = {"pgd l2 0.1": of_attack(), "fgsm linf 8/255": of_attack(**changes)}
    return getattr(judging_perturbations, rule)(attacks)


@pytest.mark.parametrize(
    ("rule", "changes", "verdict"),
    [
        ("jump", {}, "confirmed"),
        ("jump", {"at": 2}, "qualified: a larger gain elsewhere"),
        ("jump", {"last": 0.2}, "qualified: more of the excess comes from elsewhere"),
        ("jump", {"jump": 1.05}, "qualified: not for FGSM ℓ∞ 8/255"),
        ("jump", {"low": 0.99}, "qualified: not for FGSM ℓ∞ 8/255"),
        ("relative_jump", {}, "confirmed"),
        ("relative_jump", {"relative": 1.05}, "qualified: not for FGSM ℓ∞ 8/255"),
        ("relative_jump", {"relative_low": 0.95}, "qualified: not for FGSM ℓ∞ 8/255"),
        ("no_jump_at_random", {}, "qualified: not relative to the state"),
        ("no_jump_at_random", {"random": 1.2}, "not confirmed"),
        ("excess", {}, "confirmed"),
        ("excess", {"excess": 0.8}, "qualified: not for FGSM ℓ∞ 8/255"),
    ],
)
def test_attacks_are_judged_one_by_one_and_all_of_them(rule, changes, verdict):
    assert judged(rule, **changes) == verdict


@pytest.mark.parametrize(
    ("rule", "changes"), [("jump", {"jump": 1.05}), ("relative_jump", {"relative": 1.0}), ("excess", {"excess": 0.5})]
)
def test_what_fails_for_all_attacks_is_not_confirmed(rule, changes):
    assert getattr(judging_perturbations, rule)({"pgd l2 0.1": of_attack(**changes)}) == "not confirmed"


def test_random_perturbations_that_do_not_jump_at_all():
    attacks = {"pgd l2 0.1": of_attack(random_size=1.05)}
    assert judging_perturbations.no_jump_at_random(attacks) == "confirmed"


def test_all_attacks_are_in_the_details_and_their_range_in_the_row():
    summary = {"images": 100, "attacks": {"pgd l2 0.1": of_attack(), "fgsm linf 8/255": of_attack(1.05, at=2)}}
    for claim in claims_perturbations.CLAIMS:
        details = claim.details(summary)
        assert all(part in details for part in ("PGD ℓ2 0.1", "FGSM ℓ∞ 8/255", "100 images")), claim.key
        assert claim.measured(summary).endswith("medians [quartiles], 100 images, 2 attacks")
    jump, relative, random, excess = (claim.measured(summary) for claim in claims_perturbations.CLAIMS)
    assert "unit 2 has" in claims_perturbations.CLAIMS[0].details(summary)
    assert "1.05–1.40 [1.20, 2.00] times units before; largest gain in units 2, 27; excess 60 % from unit 27" in jump
    assert "1.10 [1.10, 2.00], 1.30 [1.10, 2.00] times units before" in relative
    assert "1.20 [1.15, 2.00] times units before; relative to the state 0.90 [0.85, 2.00]" in random
    assert "size 10.0 [9.0, 11.0] times" in excess


# --- rows ----------------------------------------------------------------------------------------


def of_unit(**changes):
    unit = {"images": 3, "n": 100, "damping": 0.0, "rank_bound": 0.2, "atom": 0.6, "counted": 0.6, "forced": 0.6}
    unit |= {"near_one": {"0.01": 0.6, "0.1": 0.7}, "spread_of_atom": 0.01, "relative_spread_of_largest": 0.1}
    unit |= {"damped": {"above_one": 0.1, "largest": 2.0}}
    return unit | {"undamped": {"atom": None, "above_one": None, "largest": None}} | changes


def of_net(*units, scaling=None, accuracy=0.9):
    return {
        "depth": 20,
        "accuracy": accuracy,
        "units": dict(enumerate(units)),
        "scaling": scaling,
        "perturbations": {"images": 100, "attacks": {"pgd l2 0.1": of_attack()}},
    }


def row(key):
    return {claim.key: claim for claim in CLAIMS}[key]


@pytest.mark.parametrize(
    ("units", "verdict"),
    [
        ([of_unit()] * 8 + [of_unit(atom=0.4)], "confirmed"),  # three of four are enough
        ([of_unit(atom=0.51)] + [of_unit(atom=0.2)] * 8, "not confirmed"),  # one is not
    ],
)
def test_most_is_the_same_for_every_net(units, verdict):
    summary = {"networks": {"resnet20-cifar10-seed0": of_net(*units)}}
    assert row("preresnet20-most-values-are-one").verdict(summary) == verdict
    assert judging.most({"after": [u["atom"] for u in units], "before": [u["atom"] for u in units]}) == verdict


def test_scaling_is_judged_by_the_distance_of_the_distributions():
    def at(scale, distance):
        return {"at": scale, "atom": 0.4, "largest": 2.0, "distance": distance}

    scaling = {"unit": 8, "skip": {"1": at(1, 0.0), "2": at(2, 0.6)}, "branch": {"1": at(1, 0.0), "2": at(1, 0.1)}}
    summary = {"networks": {"resnet20-cifar10-seed0": of_net(of_unit(), scaling=scaling)}}
    assert row("preresnet20-skip-scaling").verdict(summary) == "confirmed"
    assert row("preresnet20-weight-scaling").verdict(summary) == "not confirmed"
    assert "unit 8 alone at one image" in row("preresnet20-skip-scaling").details(summary)
    assert "0.60 [0.60, 0.60] in both readings; unit 8" in row("preresnet20-skip-scaling").measured(summary)


def test_images_differ_slightly_where_they_do_in_all_units():
    units = [of_unit(), of_unit(spread_of_atom=None, relative_spread_of_largest=None), of_unit()]
    summary = {"networks": {"resnet20-cifar10-seed0": of_net(*units)}}
    assert row("preresnet20-images-differ-slightly").verdict(summary) == "confirmed"
    units[2]["spread_of_atom"] = 0.2
    assert row("preresnet20-images-differ-slightly").verdict(summary) == "qualified"


def test_a_net_that_a_summary_has_not_is_not_run_and_others_stand_for_it():
    nets = {
        f"resnet20-cifar10-seed{k}": of_net(of_unit(), accuracy=accuracy) for k, accuracy in enumerate((0.9, 0.917))
    }
    for claim in claims_networks.CLAIMS:
        assert claim.verdict({"networks": {}}) == NOT_RUN
        assert claim.measured({"networks": {}}) == "—"
    for claim in claims_networks.CLAIMS:
        if claim.key.startswith("preresnet110"):
            assert claim.presets == ("laptop", "resnet110")
            assert claim.verdict({"networks": nets}) == NOT_RUN
            shown = claim.key.replace("110", "20", 1)
            assert claim.measured({"networks": nets}) == (
                f"not run; see {shown}: 2 nets of depth 20, accuracy 90.0–91.7 %"
            )
            assert claim.details({"networks": nets}) == ""
        elif claim.key.startswith("in-"):
            assert claim.verdict({"networks": nets}) == NOT_RUN


@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_rows_need_not_both_kinds_of_units(damping):
    undamped = {"atom": 0.6, "above_one": 0.2, "largest": 2.0} if damping else of_unit()["undamped"]
    unit = of_unit(damping=damping, undamped=undamped, median=None)
    summary = {"networks": {"in-resnet20-cifar10-seed0": of_net(unit), "lambda-in-resnet20-x": of_net(unit)}}
    for claim in claims_networks.CLAIMS:
        assert claim.measured(summary)
        assert claim.verdict(summary)
    learned = "at |1 − λ|: 60 % [60, 60]; at 1 without damping: 60 % [60, 60], 0.00 points apart at most"
    assert row("in-resnet20-damping").measured(summary).startswith(learned if damping else "λ > 0 was learned in none")


def test_keys_of_rows_are_unique_and_all_statements_on_units_are_made_of_preresnet20():
    keys = [claim.key for claim in CLAIMS]
    assert len(keys) == len(set(keys))
    assert {f"preresnet20-{claim.key}" for claim in claims_perturbations.CLAIMS} <= set(keys)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "as derived"),
        ({"counted": 0.5, "undamped": {"atom": 0.5, "above_one": 0.1, "largest": 2.0}}, "not as derived"),
        ({"counted": 0.7}, "not as derived"),
        ({"damping": 0.0}, "no unit is damped"),
    ],
)
def test_damping_is_as_derived_where_the_atom_moves_as_a_whole(changes, verdict):
    unit = of_unit(damping=0.3, undamped={"atom": 0.6, "above_one": 0.2, "largest": 2.0}) | changes
    net = of_net(unit, of_unit(counted=0.0))
    summary = {"networks": {"in-resnet20-cifar10-seed0": net}}
    assert row("in-resnet20-damping").verdict(summary) == verdict


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ({"0": (0.6, 0.7), "0.005": (0.6, 0.7)}, "confirmed"),
        ({"0": (0.3, 0.3), "0.005": (0.2, 0.2)}, "qualified: they grow, but do not become most"),
        ({"0": (0.0, 0.2), "0.005": (0.2, 0.2)}, "qualified: they grow with 0.005"),  # not in every training
        ({"0": (0.03, 0.02), "0.005": (0.0, 0.04)}, "not confirmed"),
    ],
)
def test_ones_come_about_where_they_do_in_every_training(ends, verdict):
    runs = {
        words: {"of_repeats": [{"exact_ones_before": [0.0, end]} for end in of_repeats]}
        for words, of_repeats in ends.items()
    }
    assert claims_beyond._training_verdict({"runs": runs}) == verdict
