"""The smoke presets of the scripts on linearizations, against closed forms and against the numbers that are kept."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse.csgraph
from scipy import sparse

from experiments._harness import Run, claims
from experiments._harness.experiment import experiments_in
from experiments.rothauge2019_linearization import claims as ours
from experiments.rothauge2019_linearization import (
    claims_sparsity,
    claims_stages,
    claims_units,
    judging,
    linearized,
    matching,
    material,
    projections,
    scaling,
    sparsity,
    stage_spectra,
    unit_spectra,
)

torch = pytest.importorskip("torch")
from experiments.rothauge2019_linearization.activity import firing_relus  # noqa: E402
from resdyn.networks import linearize  # noqa: E402
from resdyn.networks.linearization import spectrum  # noqa: E402
from resdyn.networks.linearization.values import Atom  # noqa: E402

PAPER = "rothauge2019_linearization"
SCRIPTS = {
    module.__name__.rpartition(".")[2]: module
    for module in (projections, scaling, sparsity, stage_spectra, unit_spectra)
}


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
    assert arrays["shares"].shape == (3, 2, 5, 2, 2)  # images, units, subspaces, attacks, kinds
    assert np.allclose(arrays["shares"].sum(axis=2), 1)
    assert np.allclose(arrays["at_random"].sum(axis=2), 1)
    assert (arrays["gains"] > 0).all()


def test_images_beyond_the_test_set_are_refused():
    with pytest.raises(ValueError, match="but there are 360 test images"):
        material.net_and_images("resnet20-digits-seed0", 361)


# --- what the evidence is -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    """A small network in double precision, and the states of one image."""
    network, inputs = linearized.network_in_double("resnet20-digits-seed0", 1)
    return network, linearized.states_between(network, inputs)


def test_the_ones_of_the_check_do_not_come_from_the_rank(digits, monkeypatch):
    network, states = digits
    dense = linearize(network.units[8], states[8][0]).to_dense()
    ones = (abs(np.linalg.svd(dense, compute_uv=False) - 1) < 1e-8).sum()
    # were there 20 more by the rank, neither the check nor singular_values() would follow: values are set to an atom
    # only where rounding explains the difference
    whole = spectrum.forced_atoms
    monkeypatch.setattr(spectrum, "forced_atoms", lambda s: tuple(Atom(a.value, a.multiplicity + 20) for a in whole(s)))
    unit = linearize(network.units[8], states[8][0])
    assert (abs(unit.singular_values() - 1) < 1e-9).sum() == ones
    assert unit.atoms[0].multiplicity >= 20
    assert linearized.ones_without_rank(unit) == ones == 22


@pytest.mark.parametrize("k", [1, 4, 8])
def test_activity_is_counted_in_the_running_network(digits, k):
    network, states = digits
    unit = network.units[k]
    p, s = linearized.firing(unit, states[k][0])
    assert p == min(firing_relus(unit, states[k][0]))
    assert s == np.prod(states[k + 1][0].shape)  # no activation follows the addition
    assert not any(layer._forward_hooks for layer in unit.module.modules())


def test_the_smallest_singular_value_is_found_by_counts(digits):
    network, states = digits
    for k in (1, 3):  # with and without zeros
        unit = linearize(network.units[k], states[k][0])
        values = np.linalg.svd(unit.to_dense(), compute_uv=False)
        assert linearized.smallest_nonzero(unit) == pytest.approx(values[values > 1e-9].min(), rel=0.006)


def test_the_smallest_is_found_where_all_exceed_the_skip_path():
    class Counted:
        factors, skip_scale = None, 1.0

        def count_above(self, t):
            return int((np.array([7.0, 5.0, 3.0]) > t).sum())

    assert linearized.smallest_nonzero(Counted()) == pytest.approx(3, rel=0.006)


def test_spectra_are_counted_at_fewer_images_than_they_are_computed(tmp_path):
    config = dataclasses.replace(unit_spectra.PRESETS["smoke"], exact_stages=(2, 3), counted_images=1)
    arrays = unit_spectra.compute(config, Run(tmp_path, quiet=True))
    images = np.isfinite(arrays["exact"]).sum(axis=2)
    assert images.tolist() == [[1] * 3 + [config.images] * 6] * 2


def test_estimated_stages_say_no_more_than_their_errors_allow(smoke):
    estimated, *complete = smoke("stage_spectra").summary["stages"]
    assert estimated["near_one"] is None
    assert estimated["zero"] is None
    config = stage_spectra.PRESETS["smoke"]
    network, inputs = linearized.network_in_double(config.weights, 1)
    stage = linearize(network.stages[0], linearized.states_between(network, inputs)[0][0])
    values = np.linalg.svd(stage.to_dense(), compute_uv=False)
    assert abs((values > 1).mean() - estimated["above_one"]) <= estimated["above_one_error"]
    for row in complete:
        assert row["above_one_error"] == 0
        assert row["forced_zero"] <= row["zero"] < 0.5


def test_perturbations_and_their_controls_are_as_long_in_pixels(smoke, monkeypatch):
    seen = {}

    def propagate(network, inputs, moved, **options):
        seen["lengths"] = np.linalg.norm(moved.reshape(len(moved), -1), axis=1)
        raise InterruptedError

    monkeypatch.setattr(projections.resdyn, "propagate", propagate)
    with pytest.raises(InterruptedError):
        projections.compute(projections.PRESETS["smoke"], Run(smoke("projections").folder / "again", quiet=True))
    lengths = seen["lengths"].reshape(-1, 2)
    # the digits have one channel, so that normalisation scales all lengths alike; attacks are in single precision
    assert lengths[:, 0] == pytest.approx(lengths[:, 1], rel=1e-5)


def test_distances_of_the_other_values_leave_the_atom_out():
    thresholds = np.array([0.5, 1.5, 2.5, 3.5])
    # half of the values are exactly 1 or 2, the others stay where they are: at 3
    below = np.array([[[0.0, 0.5, 0.5, 1.0]], [[0.0, 0.0, 0.5, 1.0]]])
    arrays = {
        "below": below,
        "exact": np.full((2, 1), 0.5),
        "gain": np.array([[1.0], [2.0]]),
        "largest": np.ones((2, 1)),
    }
    found = scaling._over_scales(arrays, thresholds, 0)
    assert found["distance"].tolist() == [0, 0.5]
    assert found["distance_of_others"].tolist() == [0, 0]


# --- verdicts, from made-up numbers ------------------------------------------------------------------


def unit(**changes):
    exact, near = (changes.get(name, default) for name, default in (("exact", 0.6), ("within", [0.6, 0.62, 0.7])))
    reading = {
        "images": 10,
        "exact_quartiles": [0.55, 0.65],
        "zero": 0.0,
        "p_over_n": 0.2,
        "s_over_n": 1.0,
        "spread_of_mass": 0.01,
        "spread_of_largest": 0.1,
    }
    before = {**reading, "exact": 0.6, "within": [0.6, 0.62, 0.7], "most": {"exact": "yes", "near": "yes"}}
    most = {"exact": judging.is_most(exact), "near": judging.is_most(near[2])}
    return {"before": before, "after": {**before, "most": most, **changes}}


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        ({}, "confirmed"),
        ({"exact": 0.3, "within": [0.3, 0.3, 0.4]}, "qualified: true before the last activation"),
    ],
)
def test_most_ones_in_one_reading_alone_are_a_qualification(after, verdict):
    summary = {"units": [unit(**after)] * 3}
    assert claims_units.ones_verdict(summary) == claims_units.near_ones_verdict(summary) == verdict
    most = 3 if not after else 0
    assert f"60 % [60, 60] before the last ReLU, {100 * after.get('exact', 0.6):.0f} %" in claims_units.ones(summary)
    assert f"more than half in 3 and {3 if not after else 0} of 3 units" in claims_units.near_ones(summary)
    assert f"after the last activation {after.get('exact', 0.6):.2f}" in claims_units.ones_details(summary)
    assert f"most in {most} of 3 units" in claims_units.near_ones_details(summary).split("after")[1]


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [
        ([0.6] * 8 + [0.4], "confirmed"),
        ([0.6] * 5 + [0.4] * 4, "qualified"),
        ([0.51] + [0.2] * 8, "not confirmed"),
        ([0.5] * 3, "not confirmed"),
        ([], "not run"),
    ],
)
def test_most_is_more_than_half_in_the_median_unit_and_in_three_of_four(shares, verdict):
    assert judging.most({"both": shares}) == verdict


def test_nothing_to_judge_is_no_confirmation():
    assert judging.most({}) == judging.slight([]) == judging.slight([(None, None)]) == judging.NOT_RUN
    assert judging.marked({"held": np.empty((0, 2))}) == judging.forced([], []) == judging.NOT_RUN
    assert judging.spread([None]) == judging.quartiles([]) == "not known"


def places(found, forced, by_places=None):
    return {"p": 30, "s": 100, "n": 100, "found": found, "forced": forced, "forced_by_places": by_places or forced}


@pytest.mark.parametrize(
    ("units", "verdict"),
    [
        ([places(302, 300), places(0, 0)], "confirmed"),
        ([places(302, 100, 300)], "confirmed"),
        ([places(3000, 3000), places(20, 0)], "qualified: 99.34 %, with more in 1 of 2"),
        ([places(300, 300), places(20, 0)], "not confirmed"),
        ([places(290, 300)], "not confirmed: fewer than forced"),
        ([places(None, 300)], "not run"),
    ],
)
def test_ones_come_from_sparsity_where_almost_all_that_are_found_are_forced(units, verdict):
    summary = {"networks": {"resnet56-4bfd9763": {"before": dict(enumerate(units)), "after": {}}}}
    claim = claims_sparsity.SPARSITY
    assert claim.verdict(summary) == verdict
    few = {"networks": {"resnet56-4bfd9763": {"before": {"1": places(5, 3)}, "after": {}}}}
    assert "3 of 5 exact ones are forced (60.00 %); found − forced between 2 and 2" in claim.measured(few)
    assert "ones are forced in 1 of 1 units" in claim.details(few)
    assert claims_sparsity.OF_NETWORKS[0].measured(summary) is None


def test_places_force_more_than_numbers_where_active_units_crowd(smoke):
    assert matching.structural_rank(np.zeros((3, 4))) == 0
    rng = np.random.default_rng(0)
    for density in (0.1, 0.3, 0.6):
        pattern = (rng.random((12, 9)) < density) * 1.0
        assert matching.structural_rank(pattern) == scipy.sparse.csgraph.structural_rank(sparse.csr_matrix(pattern))
    for of_reading in smoke("sparsity").summary["networks"]["resnet20-digits-seed0"].values():
        for unit in of_reading.values():
            assert unit["forced"] == max(0, unit["s"] - 2 * unit["p"])
            assert unit["forced"] <= unit["forced_by_places"] <= unit["found"] <= unit["forced_by_places"] + 2


@pytest.mark.parametrize(
    ("changes", "few", "many"),
    [
        ({}, "confirmed", "confirmed"),
        ({"spread_of_mass": 0.06}, "qualified", "not confirmed"),
        ({"spread_of_largest": 0.3}, "qualified", "not confirmed"),
    ],
)
def test_slight_differences_between_images_are_few_points_of_mass(changes, few, many):
    other = unit(**changes)
    assert claims_units.spread_verdict({"units": [unit()] * 3 + [other]}) == few
    other["before"] = other["after"]
    assert claims_units.spread_verdict({"units": [other] * 3}) == many
    assert ("not slight in 3" in claims_units.spread_details({"units": [other] * 3})) == (many != "confirmed")


def test_spreads_of_two_images_and_of_ten_stand_apart():
    words = claims_units.spread_details({"units": [unit(), unit(images=2)]})
    assert "after, 1 units of 10 images" in words
    assert "after, 1 units of 2 images" in words
    assert "1 ± 1.0 [1.0, 1.0] points" in claims_units.spread_between_images({"units": [unit(), unit(images=2)]})


@pytest.mark.parametrize(
    ("distances", "largest", "verdict"),
    [
        ((0.5, 0.3, 0.3), (2.0, 1.0, 0.5), "confirmed"),
        ((0.5, 0.3, 0.1), (2.0, 1.0, 0.5), "qualified"),
        ((0.2, 0.24, 0.05), (2.0, 2.5, 1.9), "not confirmed"),
        ((0.2, 0.24, 0.05), (2.0, 2.5, 1.5), "not confirmed"),
        ((0.2, 0.24, 0.05), (2.0, 2.7, 1.5), "qualified: the largest values, not the bulk"),
    ],
)
def test_marked_changes_are_a_quarter_in_every_variant_at_every_scale_or_in_the_tails(distances, largest, verdict):
    def variants(small):
        return {
            variant: {
                "distance": [0.0, distance, small(distance)],
                "distance_of_others": [0.0, 0.1, 0.1],
                "exact": [0.6] * 3,
                "largest": list(largest),
                "between_images": 0.03,
            }
            for variant, distance in zip(claims_units.VARIANTS, distances, strict=True)
        }

    summary = {"scales": [1.0, 4.0, 0.5], "units": [{"skip_scale": variants(lambda d: d)}] * 2}
    assert claims_units.scaled_verdict("skip_scale")(summary) == verdict
    words = claims_units.scaled_details("skip_scale")(summary)
    assert f"Largest value {largest[1]:.1f} [{largest[1]:.1f}, {largest[1]:.1f}] (×4)" in words
    assert f"before, masks held {distances[0]:.2f}" in words
    short = claims_units.scaled("skip_scale")(summary)
    assert f"{distances[0]:.2f} [{distances[0]:.2f}, {distances[0]:.2f}] before the last ReLU" in short
    # the largest values are asked where the bulk stays, and only then
    assert ("largest value by factors" in short) == (max(distances) < judging.MARKED)
    # one scale that changes little is a qualification
    summary["units"] = [{"skip_scale": variants(lambda d: 0.01)}] * 2
    assert claims_units.scaled_verdict("skip_scale")(summary) == verdict.replace("confirmed", "qualified").replace(
        "not qualified", "not confirmed"
    )


@pytest.mark.parametrize(
    ("low", "verdict"),
    [
        ((0.01, 0.02), "adversarial above random"),
        ((0.01, -0.02), "adversarial above random in 1 of 2 pairs of unit and attack"),
        ((-0.01, -0.02), "no clear order"),
    ],
)
def test_the_order_of_projections_is_judged_image_by_image(low, verdict):
    attacks = ("fgsm linf 8/255", "pgd l2 0.5")
    row = {"adversarial": {"leading": 0.3}, "random": {"leading": 0.1}}
    last = {
        "unit": 27,
        "shares": dict.fromkeys(attacks, row),
        "leading_quartiles": {words: {"adversarial": [0.2, 0.4], "random": [0.05, 0.2]} for words in attacks},
        "difference": {
            words: {"mean": 0.2, "quartiles": [quartile, 0.3], "positive": 0.8}
            for words, quartile in zip(attacks, low, strict=True)
        },
        "at_random": {"leading": 0.005},
    }
    summary = {"units": [last], "k": 10, "images": 24}
    assert claims_stages.projections_verdict(summary) == f"measured: {verdict}"
    assert (
        "PGD ℓ2 0.5 0.300 [0.200, 0.400] against 0.100 [0.050, 0.200], more for 80 %"
        in claims_stages.projections_details(summary)
    )
    words = "30.0 % of adversarial perturbations, 10.0 % of random ones; more for 80 % of 24 images; means, 1 unit, 2"
    assert words in claims_stages.projections(summary)


def test_no_row_of_stages_has_a_share_that_quadrature_cannot_give():
    stage = {
        "complete": False,
        "images": 2,
        "above_one": 0.58,
        "above_one_quartiles": [0.57, 0.59],
        "above_one_error": 0.04,
        "near_one": None,
        "zero": None,
        "forced_zero": 0.2,
        "unit_near_one": 0.6,
        "unit_above_one": 0.4,
        "largest": [3.0, 2.0],
        "largest_quartiles": [2.5, 3.5],
    }
    words = claims_stages.stages_details({"stages": [stage]})
    assert "above 1: 0.58 ± 0.04 [0.57, 0.59]" in words
    assert "within 0.01 of 1 not known, zero at least 0.20" in words
    assert "in stages 1: 58 ± 4 % (their middle units 40 %); largest value 3.0 [2.5, 3.5]" in claims_stages.stages(
        {"stages": [stage]}
    )


def test_every_claim_can_be_said_from_a_smoke_run(smoke):
    for claim in (claim for claim in ours.CLAIMS if claim.script in SCRIPTS):
        summary = smoke(claim.script).summary
        # rows on sparsity are of single networks, and no row is of the one for smoke runs
        assert bool(claim.measured(summary)) == (claim.script != "sparsity")
        assert isinstance(claim.details(summary), str)
        assert claim.verdict(summary)
    assert {experiment.name for experiment in experiments_in(PAPER)} >= set(SCRIPTS)


def test_every_script_has_a_claim():
    assert {claim.script for claim in claims.claims_of(PAPER)} == {e.name for e in experiments_in(PAPER)}


def test_judging_needs_no_torch():
    code = "import sys; import experiments.rothauge2019_linearization.judging; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
