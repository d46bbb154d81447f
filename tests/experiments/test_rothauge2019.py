"""The smoke presets of the scripts on linearizations, against closed forms and against the numbers that are kept."""

import copy
import json

import numpy as np
import pytest

from experiments._harness import claims, finished, keeping
from experiments._harness.experiment import ROOT, Experiment, experiments_in
from experiments.rothauge2019_linearization import claims as ours
from experiments.rothauge2019_linearization import (
    linearized,
    material,
    projections,
    scaling,
    stage_spectra,
    unit_spectra,
)

torch = pytest.importorskip("torch")
PAPER = "rothauge2019_linearization"
SCRIPTS = {module.__name__.rpartition(".")[2]: module for module in (projections, scaling, stage_spectra, unit_spectra)}


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


def test_the_tables_say_what_the_report_says():
    for path in claims.pages(PAPER):
        table = claims.FORMS[path.suffix](claims.rows(PAPER, results=None))
        assert claims.table_in(path) == table, f"run: python -m experiments report --write ({path.name})"


def test_units_of_the_smoke_run_are_those_of_the_network(smoke):
    arrays, config = smoke("unit_spectra").arrays, unit_spectra.PRESETS["smoke"]
    network, inputs = linearized.network_in_double(config.weights, config.images)
    state = torch.from_numpy(linearized.states_between(network, inputs)[7][1])
    jacobian = torch.func.jacrev(lambda x: network.units[7].function(x[None])[0])(state)
    values = torch.linalg.svdvals(jacobian.detach().reshape(state.numel(), state.numel())).numpy()
    assert arrays["values_after_unit8"][1] == pytest.approx(values)
    after = {name: arrays[name][1, 7, 1] for name in ("exact", "within", "largest", "smallest", "zero")}
    assert after["exact"] == (abs(values - 1) < 1e-8).mean()
    assert after["within"] == pytest.approx([(abs(values - 1) <= width).mean() for width in (1e-3, 1e-2, 1e-1)])
    assert after["largest"] == pytest.approx(values.max())
    assert after["smallest"] == pytest.approx(values.min())
    assert after["zero"] == 0


def test_counts_describe_a_unit_as_its_singular_values_do():
    config = unit_spectra.PRESETS["smoke"]
    network, inputs = linearized.network_in_double(config.weights, 1)
    states = linearized.states_between(network, inputs)
    from resdyn.networks import linearize

    for k in (6, 8):
        unit = linearize(network.units[k], states[k][0])
        whole = unit_spectra._described(unit, config, exact=True)
        counted = unit_spectra._described(unit, config, exact=False)
        # the rank, and so what is forced, is not computed where singular values are counted
        assert counted["structure"][:3].tolist() == whole["structure"][:3].tolist()
        for name in ("exact", "within", "zero", "below", "gain"):
            assert counted[name] == pytest.approx(whole[name], nan_ok=True), name
        assert counted["largest"] == pytest.approx(whole["largest"])
        # the Lanczos steps are few here, and the largest error sits beside the atom
        assert abs(counted["estimated"] - whole["below"]).max() < 0.3


def test_shares_of_a_known_spectrum():
    values = np.array([3.0, 1.05, 1.0005, 1.0, 1.0 - 1e-12, 0.5, 1e-12, 0.0])
    shares = linearized.shares(values, 1.0)
    assert shares["exact"] == 2 / 8
    assert shares["within"].tolist() == [3 / 8, 3 / 8, 4 / 8]
    assert (shares["zero"], shares["largest"], shares["smallest"]) == (2 / 8, 3.0, 0.5)
    assert linearized.share_up_to(values, np.array([-1.0, 0.5, 1.0, 9.0])).tolist() == [0, 3 / 8, 5 / 8, 1]


def test_thresholds_stay_clear_of_the_atoms():
    for preset in unit_spectra.PRESETS.values():
        assert abs(unit_spectra.thresholds_of(preset) - 1).min() > 0.01
    for preset in scaling.PRESETS.values():
        atoms = np.array([*preset.scales, 1.0])
        assert abs(scaling.thresholds_of(preset)[:, None] - atoms).min() > 0.01


def test_scaling_the_skip_path_moves_its_singular_value_and_scaling_the_weights_does_not(smoke):
    summary = smoke("scaling").summary
    for unit in summary["units"]:
        for variant in scaling.VARIANTS:
            skip, weights = (unit[kind][" ".join(variant)] for kind in scaling.KINDS)
            assert skip["gain"] == pytest.approx(summary["scales"])
            assert weights["gain"] == pytest.approx([1.0] * len(summary["scales"]))
            assert skip["distance"][1] == weights["distance"][1] == 0  # not scaled
        # the rank of the branch forces the atom, whatever the scales
        held = unit["weight_scale"]["before held"]
        assert max(held["exact"]) - min(held["exact"]) < 1e-9
        assert held["largest"] == sorted(held["largest"])


def test_shares_of_a_perturbation_add_up_to_one(smoke):
    arrays = smoke("projections").arrays
    assert arrays["shares"].shape == (2, 2, 5, 4)  # images, units, subspaces, perturbations
    assert np.allclose(arrays["shares"].sum(axis=2), 1)
    assert np.allclose(arrays["at_random"].sum(axis=2), 1)
    assert (arrays["gains"] > 0).all()


def test_images_beyond_the_test_set_are_refused():
    with pytest.raises(ValueError, match="but there are 360 test images"):
        material.net_and_images("resnet20-digits-seed0", 361)


# --- verdicts, from made-up numbers ------------------------------------------------------------------


def unit(**changes):
    reading = {
        "exact": 0.6,
        "within": [0.6, 0.62, 0.7],
        "zero": 0.0,
        "p_over_n": 0.2,
        "s_over_n": 1.0,
        "forced": 0.6,
        "spread_of_mass": 0.01,
        "spread_of_largest": 0.1,
    }
    return {"before": dict(reading), "after": {**reading, **changes}}


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        ({}, "confirmed"),
        ({"exact": 0.3, "within": [0.3, 0.3, 0.4]}, "qualified"),
    ],
)
def test_most_ones_in_one_reading_alone_are_a_qualification(after, verdict):
    summary = {"units": [unit(**after)] * 3}
    assert ours.ones_verdict(summary).startswith(verdict)
    assert ours.near_ones_verdict(summary) == verdict


def test_few_ones_are_no_confirmation():
    few = copy.deepcopy(unit())
    few["before"] = few["after"] = {**few["before"], "exact": 0.4, "within": [0.4] * 3}
    assert ours.ones_verdict({"units": [few] * 3}) == "not confirmed"
    assert ours.near_ones_verdict({"units": [few] * 3}) == "not confirmed"


def test_ones_in_the_median_unit_but_not_in_three_of_four_are_a_qualification():
    few = unit()
    few["before"] = few["after"] = {**few["before"], "exact": 0.4}
    assert ours.ones_verdict({"units": [unit()] * 3 + [few] * 2}) == "qualified"


def test_the_row_on_sparsity_compares_found_and_forced():
    units = [unit(exact=0.35, forced=0.3), unit(exact=0.01, forced=0.0), unit(exact=0.5, forced=None)]
    words = ours.sparsity({"units": units})
    assert words.startswith("p/n 0.20 [0.20, 0.20]; ")
    assert "before: ones forced in 3 of 3 units, found and forced differ by ≤ 0.000" in words
    assert "after: ones forced in 1 of 2 units, found and forced differ by ≤ 0.050" in words


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [({}, "confirmed"), ({"spread_of_mass": 0.06}, "not confirmed"), ({"spread_of_largest": 0.3}, "not confirmed")],
)
def test_slight_differences_between_images_are_few_points_of_mass(changes, verdict):
    assert ours.spread_verdict({"units": [unit(**changes)] * 3}) == verdict


@pytest.mark.parametrize(
    ("distances", "verdict"),
    [((0.5, 0.3, 0.3), "confirmed"), ((0.5, 0.3, 0.1), "qualified"), ((0.1, 0.0, 0.05), "not confirmed")],
)
def test_marked_changes_are_a_quarter_in_every_variant(distances, verdict):
    variants = {
        variant: {"distance": [0.0, distance, 0.01], "exact": [0.6] * 3, "largest": [2.0, 1.0, 0.5]}
        for variant, distance in zip(ours.VARIANTS, distances, strict=True)
    }
    summary = {"scales": [1.0, 4.0, 0.5], "units": [{"skip_scale": variants}] * 2}
    assert ours.scaled_verdict("skip_scale")(summary) == verdict
    assert "largest value 1.0 (×4), 0.5 (×0.5)" in ours.scaled("skip_scale")(summary)


@pytest.mark.parametrize(("random", "verdict"), [(0.01, "adversarial above random"), (0.25, "no clear order")])
def test_the_order_of_projections(random, verdict):
    leading = {"random": random, "FGSM linf 8": 0.2, "PGD l2 127.5": 0.3}
    last = {
        "unit": 27,
        "shares": {kind: {"leading": share} for kind, share in leading.items()},
        "leading_quartiles": {kind: [share, share] for kind, share in leading.items()},
        "at_random": {"leading": 0.005},
    }
    summary = {"units": [last], "k": 20, "kinds": list(leading)}
    assert ours.projections_verdict(summary) == f"measured: {verdict}"
    assert "PGD l2 127.5 0.300 [0.300, 0.300]; a random direction 0.005" in ours.projections(summary)


def test_every_claim_can_be_said_from_a_smoke_run(smoke):
    for claim in (claim for claim in ours.CLAIMS if claim.script in SCRIPTS):
        summary = smoke(claim.script).summary
        assert claim.measured(summary)
        assert claim.verdict(summary)
    assert {experiment.name for experiment in experiments_in(PAPER)} >= set(SCRIPTS)
