"""Trained nets with and without damping: smoke runs, closed forms of differences, and rules of verdicts."""

import dataclasses
import pickle

import numpy as np
import pytest
from scipy.stats import ttest_rel

from experiments._harness import Run
from experiments._harness.claims import LONGEST
from experiments._harness.experiment import ROOT
from experiments._harness.spreads import ENOUGH_SEEDS
from experiments.yang2020_interpolation import claims_networks as ours
from experiments.yang2020_interpolation import comparing
from experiments.yang2020_interpolation import judging_landscape as landscapes
from experiments.yang2020_interpolation import judging_networks as judging

torch = pytest.importorskip("torch")
import resdyn  # noqa: E402
from experiments.yang2020_interpolation import attacks, landscape, noise, trained_nets, training  # noqa: E402
from resdyn.networks import fgsm, noise_accuracy  # noqa: E402

PAPER = "yang2020_interpolation"
SCRIPTS = {module.__name__.rpartition(".")[2]: module for module in (attacks, landscape, noise, training)}
FAMILY = "resnet20-digits"


def test_every_claim_can_be_said_and_judged_from_a_smoke_run(smoke):
    said = 0
    for claim in ours.CLAIMS:
        summary = smoke(claim.script).summary
        words = claim.measured(summary)
        if words is not None:
            said += 1
            assert "nan" not in words + claim.details(summary)
            assert len(words) <= LONGEST
            assert claim.verdict(summary)
    # all but that on CIFAR-100
    assert said == len(ours.CLAIMS) - 1


# --- nets --------------------------------------------------------------------------------------------


def test_without_damping_the_nets_of_smoke_runs_are_the_one_that_ships():
    images = trained_nets.test_images(FAMILY, 100)
    plain = trained_nets.trained(FAMILY, "resnet", 0)
    expected = trained_nets.logits(plain, images.pixels())
    for kind, k in (("in", 1.0), ("lambda-in", 0.0)):
        net = trained_nets.trained(FAMILY, kind, 0)
        assert not np.allclose(trained_nets.logits(net, images.pixels()), expected, atol=0.1)
        with torch.no_grad():
            for unit in net.modules():
                if getattr(unit, "interpolation", None) is not None:
                    unit.interpolation.k.fill_(k)
        # λ = 0 is the ResNet; what is left is rounding in single precision
        np.testing.assert_allclose(trained_nets.logits(net, images.pixels()), expected, atol=1e-4)


def test_right_images_are_those_of_the_largest_logit():
    images = trained_nets.test_images(FAMILY, 360)
    net = trained_nets.trained(FAMILY, "in", 0)
    found = trained_nets.right(net, images)
    assert found.sum() == resdyn.networks.accuracy(net, images).right
    assert 0 < found.sum() < 360


def test_nets_that_are_not_trained_are_named_with_the_command_that_trains_them():
    config = dataclasses.replace(noise.PRESETS["paper-resnext"], device="cpu")
    with pytest.raises(SystemExit, match=r"plan gpu .*resnext29-8x64-cifar10-seed0 in-resnext29-8x64-cifar10-seed0$"):
        trained_nets.all_nets(config)


def test_presets_name_nets_that_the_plans_train():
    from experiments.train import PLANS

    planned = {net.file_name for plan in PLANS.values() for net in plan}
    for module in SCRIPTS.values():
        for name, config in module.PRESETS.items():
            if name != "smoke":
                names = {trained_nets.named(config.family, k, s) for _, _, k, s in trained_nets.grid_of(*_grid(config))}
                assert names <= planned, name


def test_all_three_kinds_are_compared_at_the_depths_of_the_paper():
    for module in SCRIPTS.values():
        for preset in ("paper", "paper-110"):
            assert module.PRESETS[preset].kinds == trained_nets.KINDS
            assert len(module.PRESETS[preset].seeds) >= ENOUGH_SEEDS


def test_words_on_the_landscape_name_the_images_of_the_preset():
    config = landscape.PRESETS["laptop"]
    told = landscape.__doc__, (ROOT / PAPER / "README.md").read_text()
    assert all(f"Laptop: {config.images} images" in " ".join(text.split()) for text in told)
    assert all(f"first {config.plane_images}" in " ".join(text.split()) for text in told)


def _grid(config):
    return config.kinds, config.seeds


def test_cifar100_is_read_from_its_official_files(tmp_path, monkeypatch):
    monkeypatch.setenv("RESDYN_DATA", str(tmp_path))
    assert training._test_images_there("cifar100") == 0
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    data = np.arange(5 * 3072, dtype=np.int64).astype(np.uint8).reshape(5, 3072)
    labels = [99, 0, 3, 98, 1]
    (folder / "test").write_bytes(
        pickle.dumps({b"data": data, b"fine_labels": labels, b"coarse_labels": [0] * 5}, protocol=2)
    )
    names = [f"class{k}".encode() for k in range(100)]
    (folder / "meta").write_bytes(
        pickle.dumps({b"fine_label_names": names, b"coarse_label_names": names[:20]}, protocol=2)
    )
    assert training._test_images_there("cifar100") == 5
    images = trained_nets.test_images(training.PRESETS["cifar100"].family, 4)
    assert images.labels.tolist() == labels[:4]
    np.testing.assert_array_equal(images.images[1].ravel(), data[1])
    with pytest.raises(SystemExit, match="the test set of .*cifar100 has 5"):
        trained_nets.test_images("resnet110-cifar100", 6)


# --- arrays of the smoke runs ------------------------------------------------------------------------


def test_damped_nets_have_one_number_more_for_each_damped_unit(smoke):
    summary = smoke("training").summary
    nets = summary["nets"]
    assert nets["resnet"]["coefficients"] == [{}]
    for kind in ("in", "lambda-in"):
        (found,) = nets[kind]["coefficients"]
        # three units in each of three stages; not the first one, nor those that change the width
        assert list(found) == [f"stage {s} unit {u}" for s in (1, 2, 3) for u in (2, 3)]
        assert nets[kind]["parameters"] == nets["resnet"]["parameters"] + len(found)
        # where k begins: U(0.75, 0.8) and U(0.2, 0.25)
        assert all(0.2 <= value <= 0.25 for value in found.values())


def test_curves_are_those_of_the_log(smoke):
    arrays, summary = smoke("training").arrays, smoke("training").summary
    net = resdyn.networks.load("resnet20-digits-seed0")
    curve = arrays["curves"][0, 0]
    assert len(curve) == net.card["epochs"]
    assert summary["nets"]["resnet"]["last_loss"][0] == pytest.approx(net.card["loss"])
    assert curve[-1, 2] == pytest.approx(net.card["accuracy_before_rounding"]["fraction"])
    # damped nets of a smoke run were not trained
    assert np.isnan(arrays["curves"][1:]).all()
    assert summary["nets"]["in"]["last_loss"] == [None]


def test_noise_is_that_of_the_library_with_both_standards(smoke):
    arrays, config = smoke("noise").arrays, noise.PRESETS["smoke"]
    images = trained_nets.test_images(FAMILY, config.images)
    net = trained_nets.trained(FAMILY, "lambda-in", 0)
    place = config.kinds.index("lambda-in")
    tables = [
        noise_accuracy(net, images.pixels(), images.labels, severities=config.severities, standardise=standard)
        for standard in ("network", "images")
    ]
    for s, table in enumerate(tables):
        assert table.kinds == noise.NOISES
        np.testing.assert_allclose(arrays["correct"][place, 0, s].mean(axis=-1), table.accuracy)
    assert not np.array_equal(tables[0].accuracy, tables[1].accuracy)
    differences = smoke("noise").summary["differences"]["lambda-in"]
    gain = tables[0].pooled - arrays["correct"][0, 0, 0].mean()
    assert differences["network"]["difference"]["mean"] == pytest.approx(gain)
    clean = arrays["clean"][place].mean() - arrays["clean"][0].mean()
    assert differences["network"]["cost"]["mean"] == pytest.approx(gain - clean)
    parts = [entry["mean"] for entry in differences["network"]["by_noise"].values()]
    assert np.mean(parts) == pytest.approx(gain)
    parts = [entry["mean"] for entry in differences["network"]["by_severity"].values()]
    assert np.mean(parts) == pytest.approx(gain)


def test_attacks_stay_in_their_balls_and_the_ball_around_the_start_reaches_further(smoke):
    summary, config = smoke("attacks").summary, attacks.PRESETS["smoke"]
    for name in ("fgsm", "i-fgsm", "pgd"):
        found = summary["attacks"][name]
        # digits have room for a step somewhere; single precision
        assert found["largest_change"] == pytest.approx(list(config.radii_of(name)), rel=1e-5)
    (change,) = summary["attacks"]["pgd-start"]["largest_change"]
    (radius,) = config.start_radii
    assert 1.5 * radius < change <= 2 * radius * (1 + 1e-5)
    assert all(share == 0 for found in summary["attacks"].values() for share in found["stalled"].values())


def test_accuracy_under_fgsm_is_that_of_the_library(smoke):
    arrays, config = smoke("attacks").arrays, attacks.PRESETS["smoke"]
    images = trained_nets.test_images(FAMILY, config.images)
    net = trained_nets.trained(FAMILY, "in", 0)
    found = fgsm(net, images.pixels(), images.labels, radius=config.fgsm_radii[1] / 255)
    np.testing.assert_array_equal(arrays["fgsm"][1, 0, 1], found.predictions == images.labels)
    assert found.accuracy < found.clean_accuracy
    table = smoke("attacks").summary["attacks"]["fgsm"]
    assert table["accuracy"]["in"][0][1] == pytest.approx(found.accuracy)
    base = np.mean(table["accuracy"]["resnet"][0])
    assert table["differences"]["in"]["difference"]["mean"] == pytest.approx(np.mean(table["accuracy"]["in"][0]) - base)


def test_steps_of_the_iterated_attacks_are_those_of_their_usual_forms(monkeypatch):
    seen = []
    for name in ("i_fgsm", "pgd"):
        monkeypatch.setattr(resdyn.networks, name, lambda *_, name=name, **options: seen.append((name, options)))
    config = attacks.PRESETS["paper"]
    for name in ("i-fgsm", "pgd", "pgd-start"):
        attacks.attacked(None, None, None, name, 8 / 255, config)
    assert [name for name, _ in seen] == ["i_fgsm", "pgd", "pgd"]
    assert all(options["steps"] == 20 and options["radius"] == 8 / 255 for _, options in seen)
    assert ["step_size" in options for _, options in seen] == [False, False, True]
    assert seen[2][1]["step_size"] == 1 / 255
    assert seen[2][1]["ball"] == "start"


def test_lines_are_the_middle_of_planes(smoke):
    arrays, config = smoke("landscape").arrays, landscape.PRESETS["smoke"]
    few = arrays["lines"][..., : config.plane_images].mean(axis=-1)
    middle, every = config.plane_points // 2, (config.points - 1) // (config.plane_points - 1)
    # batches of other sizes round differently
    np.testing.assert_allclose(arrays["planes"][:, :, :, middle], few[:, :, 0, ::every], rtol=2e-4, atol=1e-6)
    np.testing.assert_allclose(arrays["planes"][:, :, middle, :], few[:, :, 1, ::every], rtol=2e-4, atol=1e-6)
    assert not np.allclose(few[:, :, 0], few[:, :, 1], rtol=0.1)


def test_the_slope_is_that_of_the_loss_along_the_attack_direction():
    images = trained_nets.test_images(FAMILY, 20)
    net = trained_nets.trained(FAMILY, "in", 0).double()
    pixels = images.pixels(np.float64)
    gradients = landscape.loss_gradients(net, pixels, images.labels)
    slopes = np.abs(gradients).sum(axis=(1, 2, 3))
    step = 1e-7
    ends = [landscape.losses(net, pixels + a * np.sign(gradients), images.labels) for a in (step, -step)]
    # no ReLU switches so near for most images, and then only rounding is left
    ratios = (ends[0] - ends[1]) / (2 * step) / slopes
    assert np.median(np.abs(ratios - 1)) < 1e-4


def test_rises_are_told_at_points_of_the_line():
    config = dataclasses.replace(landscape.PRESETS["laptop"], points=4)
    with pytest.raises(SystemExit, match="must be points of the line"):
        landscape.compute(config, None)
    for config in landscape.PRESETS.values():
        landscape._check_points(config)


def test_rises_are_losses_less_those_of_the_clean_images(smoke):
    arrays, summary = smoke("landscape").arrays, smoke("landscape").summary
    config = landscape.PRESETS["smoke"]
    lines = arrays["lines"].mean(axis=-1)
    zero = config.points // 2
    images = trained_nets.test_images(FAMILY, config.images)
    net = trained_nets.trained(FAMILY, "in", 0)
    clean = landscape.losses(net, images.pixels(), images.labels)
    np.testing.assert_allclose(arrays["lines"][1, 0, :, zero], [clean, clean], rtol=1e-5, atol=1e-7)
    rise = summary["nets"]["in"]["rise"]
    for d, direction in enumerate(("attack", "random")):
        assert rise[direction]["32"][0] == pytest.approx(lines[1, 0, d, -1] - lines[1, 0, d, zero])
        assert rise[direction]["16"][0] == pytest.approx(lines[1, 0, d, zero + 2] - lines[1, 0, d, zero])
    # the plane of digits is flat compared with the attack
    assert rise["attack"]["32"][0] > 5 * rise["random"]["32"][0]


def test_a_run_that_was_stopped_goes_on(smoke, tmp_path, monkeypatch):
    run = Run(tmp_path, quiet=True)
    config = dataclasses.replace(noise.PRESETS["smoke"], images=10, severities=(1,))
    first = noise.compute(config, run)
    monkeypatch.setattr(resdyn.networks, "noise_accuracy", None)
    again = noise.compute(config, run)
    np.testing.assert_array_equal(first["correct"], again["correct"])


# --- differences -------------------------------------------------------------------------------------


def test_differences_are_paired_by_image_and_seed():
    rng = np.random.default_rng(0)
    one, base = rng.random((2, 4, 50)) < np.array([0.8, 0.6])[:, None, None]
    found = comparing.paired(one, base)
    assert found["each"] == pytest.approx(one.mean(axis=1) - base.mean(axis=1))
    # McNemar: only images on which the nets differ count
    for row, (left, right) in enumerate(zip(one, base, strict=True)):
        b, c, n = (left & ~right).sum(), (~left & right).sum(), 50
        assert found["errors"][row] == pytest.approx(np.sqrt((b + c - (b - c) ** 2 / n) / (n - 1) / n))
    interval = ttest_rel(one.mean(axis=1), base.mean(axis=1)).confidence_interval(0.95)
    assert found["interval"] == pytest.approx([interval.low, interval.high])
    assert found["mean"] == pytest.approx(np.mean(found["each"]))
    # images are shared by the seeds: their means over seeds scatter
    assert found["error"] == pytest.approx(np.std((one * 1.0 - base).mean(axis=0), ddof=1) / np.sqrt(50))


def test_one_seed_has_no_spread():
    found = comparing.paired(np.ones((1, 5)), np.zeros((1, 5)))
    assert found["deviation"] is None
    assert found["interval"] is None
    with pytest.raises(ValueError, match="seeds, images"):
        comparing.paired(np.ones(5), np.zeros(5))


def difference(*each, error=0.01):
    """Of many images, so that the errors are those that are asked for."""
    n = len(each)
    deviation = float(np.std(each, ddof=1)) if n > 1 else None
    quantile = {2: 12.706, 3: 4.303, 4: 3.182}.get(n, 0.0)
    half = None if deviation is None else quantile * deviation / np.sqrt(n)
    mean = float(np.mean(each))
    return {
        "each": list(each),
        "errors": [error] * n,
        "mean": mean,
        "error": error,
        "deviation": deviation,
        "interval": None if half is None else [mean - half, mean + half],
    }


@pytest.mark.parametrize(
    ("each", "verdict"),
    [
        ((0.05,), "qualified: in one seed"),
        ((0.015,), comparing.WITHIN),
        ((-0.05,), "not confirmed: the opposite in one seed"),
        ((0.05, 0.03), "qualified: in both of two seeds, too few for a spread"),
        ((0.05, 0.01), comparing.WITHIN),
        ((-0.05, -0.03), "not confirmed: the opposite in both of two seeds, too few for a spread"),
        ((0.05, -0.05), comparing.WITHIN),
        ((0.05, 0.04, 0.05), "confirmed"),
        ((0.05, 0.00, 0.09), comparing.WITHIN),
        ((0.015, 0.016, 0.017), comparing.WITHIN),
        ((-0.05, -0.04, -0.05), "not confirmed: the opposite"),
    ],
)
def test_an_improvement_is_confirmed_only_where_the_spread_over_three_seeds_allows_it(each, verdict):
    assert comparing.improvement(difference(*each)) == verdict
    assert comparing.improvement(difference(*[-value for value in each]), -1) == verdict


@pytest.mark.parametrize(
    ("gain", "cost", "verdict"),
    [
        ((0.05, 0.04, 0.05), (0.04, 0.04, 0.05), "confirmed"),
        ((0.05, 0.04, 0.05), (0.0, 0.01, 0.0), "qualified: not larger than on clean images beyond the spread"),
        # larger by four points, with a spread of more
        ((0.05, 0.04, 0.05), (0.09, -0.01, 0.04), "qualified: not larger than on clean images beyond the spread"),
        ((0.0, 0.01, 0.0), (0.05, 0.04, 0.05), comparing.WITHIN),
        ((0.05,), (0.0,), "qualified: in one seed; not larger than on clean images beyond the spread"),
    ],
)
def test_a_gain_that_is_there_without_noise_is_none_of_robustness(gain, cost, verdict):
    table = {"difference": difference(*gain), "cost": difference(*cost)}
    assert comparing.beyond_clean(table) == verdict
    summary = {"differences": {"in": {"network": table}}, "attacks": {"pgd": {"differences": {"in": table}}}}
    assert judging.noise_verdict("in")(summary) == verdict
    assert judging.attacks_verdict("in", ("pgd",))(summary) == verdict


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        (("confirmed", "confirmed"), "confirmed"),
        ((comparing.WITHIN, comparing.WITHIN), comparing.WITHIN),
        (("confirmed", comparing.WITHIN), "qualified: beyond the spread (a); no difference beyond the spread (b)"),
        (
            ("not confirmed: the opposite", comparing.WITHIN),
            "not confirmed: the opposite (a); no difference beyond the spread (b)",
        ),
    ],
)
def test_several_cases_make_one_verdict(verdicts, verdict):
    assert comparing.together(dict(zip("ab", verdicts, strict=True))) == verdict


def test_words_name_each_seed_and_from_three_on_an_interval():
    assert comparing.points(difference(0.051, -0.02)) == "+5.1 ± 1.0, -2.0 ± 1.0 points"
    words = comparing.points(difference(0.05, 0.04, 0.06))
    assert words == "+5.0 [+2.5, +7.5] points (+5.0 ± 1.0, +4.0 ± 1.0, +6.0 ± 1.0)"
    assert comparing.in_short(difference(0.051, -0.02)) == "+5.1 ± 1.0, -2.0 ± 1.0"
    assert comparing.in_short(difference(0.05, 0.04, 0.06)) == "+5.0 ± 1.0 [+2.5, +7.5]"
    assert comparing.in_short(difference(0.051), errors=False) == "+5.1"


# --- verdicts, from made-up numbers ------------------------------------------------------------------


def nets_of(coefficients):
    return {
        "kinds": {"resnet": "ResNet", "in": "In-ResNet"},
        "seeds": [0],
        "nets": {"resnet": {"coefficients": [{}]}, "in": {"coefficients": [coefficients]}},
    }


def test_learned_coefficients_are_counted_at_both_ends():
    # at 1.5 the skip path carries half of the state, with the opposite sign
    summary = nets_of({"a": 0.0, "b": 0.0, "c": 0.4, "d": 0.95, "e": 1.02, "f": 1.5})
    assert judging.learned_verdict(summary) == "measured: In-ResNet 2 of 6 at 0, 2 at or near 1"
    assert judging.learned(summary).startswith("In-ResNet 0.68 [0.00, 1.50] (6 units); median [least, most]")
    assert "In-ResNet seed 0: 0.00, 0.00, 0.40, 0.95, 1.02, 1.50" in judging.learned_details(summary)


@pytest.mark.parametrize(
    ("each", "words"),
    [
        ((0.05, 0.04, 0.05), "measured: higher"),
        ((-0.05, -0.04, -0.05), "measured: lower"),
        ((-0.05, -0.04), "measured: lower, in both of two seeds, too few for a spread"),
        ((-0.05, 0.04), "measured: no difference beyond the spread"),
    ],
)
def test_clean_accuracy_is_measured_not_judged(each, words):
    assert judging.clean_verdict("in")({"differences": {"in": difference(*each)}}) == words


@pytest.mark.parametrize(
    ("images", "words", "verdict"),
    [
        (0, "no data: its files are not there", "no data"),
        (10000, "nets on it are not trained; its test set is there", "not run"),
    ],
)
def test_cifar100_has_a_row_that_says_no_data_where_there_are_none(images, words, verdict):
    summary = {"data": "cifar10", "other_data": {"cifar100": images}}
    assert judging.other_data(summary) == words
    assert judging.other_data_verdict(summary) == verdict
    assert judging.other_data({"data": "digits", "other_data": {}}) is None


def test_a_flatter_landscape_is_a_smaller_rise_at_every_radius():
    rises = {"1": difference(-0.05, -0.04, -0.05), "8": difference(-0.05, -0.04, -0.06)}
    alike = difference(0.001, -0.001, 0.0)
    summary = {"differences": {"in": {"clean": alike, "rise": {"attack": rises}}}}
    assert landscapes.landscape_verdict("in")(summary) == "confirmed"
    rises["8"] = difference(0.05, 0.04, 0.06)
    assert landscapes.landscape_verdict("in")(summary) == "qualified: beyond the spread (1/255); the opposite (8/255)"


@pytest.mark.parametrize(
    ("rise", "clean", "verdict"),
    [
        ((-0.05, -0.04, -0.05), (0.05, 0.04, 0.05), "qualified: its clean loss is higher, too"),
        ((-0.05, -0.04, -0.05), (-0.05, -0.04, -0.05), "confirmed"),
        ((-0.05,), (0.05,), "qualified: in one seed; its clean loss is higher, too"),
        ((-0.05,), (0.015,), "qualified: in one seed"),
        # no flatter: then it is no matter
        ((0.05, 0.04, 0.05), (0.05, 0.04, 0.05), "not confirmed: the opposite"),
    ],
)
def test_a_net_that_is_less_sure_is_not_flatter_without_reserve(rise, clean, verdict):
    found = {"clean": difference(*clean), "rise": {"attack": {"1": difference(*rise)}}}
    assert landscapes.landscape_verdict("in")({"differences": {"in": found}}) == verdict


@pytest.mark.parametrize(("random", "verdict"), [(0.1, "confirmed"), (0.6, "not confirmed: in 1 of 2 cases")])
def test_the_attack_direction_is_the_steeper_one(random, verdict):
    nets = {"resnet": {"rise": {"attack": {"1": [1.0], "8": [3.0]}, "random": {"1": [random], "8": [0.1]}}}}
    assert landscapes.directions_verdict({"nets": nets}) == verdict


def test_a_kind_that_a_preset_has_not_leaves_the_row_to_a_smaller_one():
    assert judging.noise("lambda-in")({"kinds": {"resnet": "ResNet", "in": "In-ResNet"}}) is None


PAIR = {"kinds": {"resnet": "ResNeXt", "in": "In-ResNeXt"}, "seeds": [0], "images": 500}
"""As in the presets of ResNeXts: one kind beside the plain one, one seed."""


def test_a_row_on_attacks_gives_each_attack_and_the_range_beyond_clean_images():
    gains = {"fgsm": (0.02, 0.01, 300), "i-fgsm": (-0.01, -0.03, 240), "pgd": (0.0, -0.02, 240)}
    found = {
        name: {"images": images, "differences": {"in": {"difference": difference(gain), "cost": difference(cost)}}}
        for name, (gain, cost, images) in gains.items()
    }
    assert judging.attacks("in")({**PAIR, "attacks": found}) == (
        "FGSM +2.0 ± 1.0; I-FGSM -1.0 ± 1.0; PGD +0.0 ± 1.0 points; less those on clean images -3.0 to +1.0; "
        "1 seed, ± standard error, 240–300 images"
    )


def test_a_row_on_noise_gives_accuracies_and_what_is_lost_beyond_clean_images():
    accuracy = {kind: {"network": {"pooled": [value]}} for kind, value in (("resnet", 0.5), ("in", 0.52))}
    found = {"in": {"network": {"difference": difference(0.02), "cost": difference(0.01)}}}
    assert judging.noise("in")({**PAIR, "accuracy": accuracy, "differences": found}) == (
        "52.0 % against 50.0 %: +2.0 ± 1.0 points, less that on clean images +1.0 ± 1.0 "
        "(1 seed, ± standard error, 500 images)"
    )


def test_a_row_on_landscapes_gives_rises_by_radius_and_the_clean_loss():
    rises = {"1": difference(-0.05), "8": difference(0.2, error=0.03)}
    found = {"in": {"clean": difference(0.04), "rise": {"attack": rises}}}
    assert landscapes.landscape("in")({**PAIR, "differences": found}) == (
        "-0.05; +0.20 nats at 1, 8/255, ± 0.01–0.03 over 500 images; clean loss +0.04; 1 seed"
    )


def test_the_two_directions_are_told_by_their_ranges_and_where_they_are_most_alike():
    rise = {"attack": {"1": [1.0, 2.0], "8": [4.0, 3.0]}, "random": {"1": [0.0, 0.1], "8": [0.4, 0.6]}}
    assert landscapes.directions({"nets": {"resnet": {"rise": rise}}}) == (
        "rise 1.00 to 4.00 along the attack direction, 0.00 to 0.60 along the random one (2 nets, 2 radii); "
        "most alike 3.00 and 0.60"
    )
