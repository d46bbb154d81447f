"""Perturbations, other networks, training and a Transformer: smoke presets, closed forms, verdicts."""

import copy
import json

import numpy as np
import pytest

import resdyn
from experiments._harness import finished, keeping
from experiments._harness.experiment import ROOT, Experiment
from experiments.rothauge2019_linearization import (
    activity,
    claims_networks,
    following,
    gains,
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


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The results of the smoke presets, each made once."""
    made = {}

    def of(name):
        if name not in made:
            results = tmp_path_factory.mktemp(name)
            made[name] = finished(Experiment(SCRIPTS[name]), "smoke", results=results, quiet=True)
        return made[name]

    return of


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_smoke_run_gives_the_numbers_that_are_expected(smoke, name):
    expected = json.loads((ROOT / PAPER / "expected.json").read_text())[name]["smoke"]
    assert len(expected) > 5
    assert keeping.differences(expected, smoke(name).summary) == []
    assert (smoke(name).folder / "figure.png").stat().st_size > 10_000


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_is_kept_is_what_is_expected_and_tells_nothing_about_a_machine(name):
    experiment = Experiment(SCRIPTS[name])
    expected = json.loads((ROOT / PAPER / "expected.json").read_text())[name]
    for preset in experiment.presets:
        if experiment.kept(preset, ".json").is_file():
            kept = json.loads(experiment.kept(preset, ".json").read_text())
            keeping.refuse_paths(kept, name)
            assert keeping.differences(expected[preset], kept["summary"]) == []


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
    assert numbers["state_gain"] == pytest.approx([1, 1, 2])
    adversarial, random, excess = numbers["adversarial"], numbers["random"], numbers["excess"]
    assert adversarial["gain"] == pytest.approx([2, 1.5, 4])
    assert adversarial["relative_gain"] == pytest.approx([2, 1.5, 2])
    assert (adversarial["largest_gain"], adversarial["largest_gain_at"]) == pytest.approx((4, 3))
    assert adversarial["growth"] == pytest.approx(12)
    assert adversarial["last_over_stage"] == pytest.approx(4 / 2)
    assert random["last_relative_gain"] == pytest.approx(0.75)
    assert excess["along"] == pytest.approx([1, 2, 3, 8])
    assert excess["gained_before_last_units"] == pytest.approx(3)
    assert excess["gained_in_last_units"] == pytest.approx(8 / 3)
    assert excess["share_of_last_units"] == pytest.approx(np.log(8 / 3) / np.log(8))
    assert excess["of_units"] == pytest.approx([2, 1.5, 8 / 3])
    assert "random_signs" not in numbers


def test_the_excess_of_the_units_multiplies_to_that_of_the_end(smoke):
    for numbers in smoke("perturbations").summary["attacks"].values():
        excess = numbers["excess"]
        # medians of products are not products of medians, but near them
        assert excess["along"][0] * np.prod(excess["of_units"]) == pytest.approx(excess["end"], rel=0.15)


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
    shares = [row["atom"] for rows in scaling.values() for row in rows.values()]
    assert min(shares) > 0.05  # there is an atom
    assert np.ptp(shares) < 1e-9
    assert {row["at"] for row in scaling["skip"].values()} == {1.0, 2.0}
    assert {row["at"] for row in scaling["branch"].values()} == {1.0}
    assert scaling["branch"]["2"]["largest"] > 1.3 * scaling["branch"]["1"]["largest"]


def test_ones_of_a_plain_net_are_those_that_the_rank_forces(smoke):
    for unit in smoke("other_networks").summary["networks"]["resnet20-digits-seed0"]["units"].values():
        # up to a dependence of firing units, two of 128 values
        assert unit["atom"] == pytest.approx(max(1 - 2 * unit["rank_bound"], 0), abs=0.02)


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


def test_both_runs_start_from_the_same_weights(smoke):
    arrays = smoke("through_training").arrays
    assert np.array_equal(arrays["0_values_0"][0], arrays["1_values_0"][0])
    assert not np.array_equal(arrays["0_values_0"][-1], arrays["1_values_0"][-1])
    assert arrays["0_values_0"].shape == (3, 2, 2, 128)  # epochs, readings, images, n


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


def of_attack(last=1.7, random_last=1.05, largest=1.7, share=0.6, relative=1.3, over=1.3):
    adversarial = {
        "last_gain": last,
        "last_relative_gain": relative,
        "largest_gain": largest,
        "largest_gain_at": 27,
        "largest_of_stage_in_last_two": 0.9,
        "relative_largest_of_stage_in_last_two": 0.9,
        "last_relative_over_stage": over,
    }
    random = {"last_gain": random_last, "last_relative_gain": 0.9}
    excess = {"share_of_last_units": share, "pooled": 10.0, "pooled_quartiles": [9.0, 11.0]}
    return {"adversarial": adversarial, "random": random, "excess": excess, "state_gain": [1.0, 1.4]}


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "confirmed"),
        ({"largest": 2.0}, "qualified"),
        ({"share": 0.3}, "qualified"),
        ({"last": 1.1}, "not confirmed"),
    ],
)
def test_a_jump_is_judged_by_where_the_largest_gain_is_and_where_the_excess_comes_from(changes, verdict):
    summary = {"images": 100, "attacks": {"pgd l2 0.1": of_attack(**changes)}}
    assert claims_networks._jump_verdict(summary) == verdict
    assert "last unit: gain" in claims_networks._jump_measured(summary)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [({}, "confirmed"), ({"over": 1.1}, "qualified"), ({"relative": 1.0}, "not confirmed")],
)
def test_a_relative_jump_is_more_than_a_slow_rise(changes, verdict):
    assert claims_networks._relative_verdict({"attacks": {"pgd l2 0.1": of_attack(**changes)}}) == verdict


@pytest.mark.parametrize(("gain", "verdict"), [(1.05, "confirmed"), (1.2, "qualified")])
def test_random_perturbations_jump_where_their_gain_is_a_tenth_above_one(gain, verdict):
    assert claims_networks._random_verdict({"attacks": {"pgd l2 0.1": of_attack(random_last=gain)}}) == verdict


def test_rows_of_networks_that_need_a_gpu_wait_for_the_paper_preset():
    rows = {claim.key: claim for claim in claims_networks.CLAIMS}
    assert rows["preresnet110-ones"].presets == ("paper",)
    assert rows["preresnet20-ones"].presets == ("laptop", "paper")
    assert len(rows) == len(claims_networks.CLAIMS)  # no key twice


def test_damping_is_as_derived_where_the_atom_is_at_least_the_forced_share():
    unit = {"damping": 0.3, "rank_bound": 0.3, "atom": 0.4, "n": 100}
    net = {"units": {"1": unit, "2": {**unit, "damping": 0.0, "atom": 0.0}}}
    assert claims_networks._damping_verdict([net]) == "as derived"
    unit["atom"] = 0.3
    assert claims_networks._damping_verdict([net]) == "not as derived"
    assert claims_networks._damping_verdict([{"units": {"1": {**unit, "damping": 0.0}}}]) == "no unit is damped"
