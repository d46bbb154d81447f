"""The smoke presets of the circles and of the depth rule, against closed forms and the numbers that are kept."""

import numpy as np
import pytest

import resdyn
from experiments._harness.claims import NOT_RUN

torch = pytest.importorskip("torch")
from experiments.lagzi2021_transients import circles, circles_judging, claims_depth, depth, three_units  # noqa: E402
from experiments.lagzi2021_transients import claims_circles as ours  # noqa: E402
from experiments.lagzi2021_transients import details_circles as details  # noqa: E402
from experiments.lagzi2021_transients.shrinking import Networks, Training, dropped, trained  # noqa: E402

PAPER = "lagzi2021_transients"
SCRIPTS = {"circles": circles, "depth": depth}
SMALL = Training(3, 2, depth=6, bias=-1.0, epochs=3, batch=20, learning_rate=0.05)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_claim_says_something_about_the_smoke_run(smoke, name):
    for claim in ours.CLAIMS:
        if claim.script == name:
            assert len(claim.measured(smoke(name).summary)) > 20
            assert claim.details(smoke(name).summary).endswith(".")
            assert claim.verdict(smoke(name).summary) != NOT_RUN


# --- training side by side ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def points():
    return resdyn.data.circles(60, rng=3)


@pytest.mark.parametrize("shared", [True, False])
def test_networks_with_fewer_layers_are_residual_maps_of_that_depth(points, shared):
    nets = Networks(Training(3, 2, depth=6, shared=shared, bias=-1.0), (0, 1))
    nets.layers.copy_(torch.tensor([6, 2]))
    x = three_units.embedded(points[0], 3)
    scores = nets(torch.as_tensor(x).expand(2, -1, -1))[0].detach().numpy()
    for s, layers in enumerate((6, 2)):
        W, b, V, c = (value[s].detach().numpy() for value in (nets.W, nets.b, nets.readout, nets.offset))
        system = resdyn.ResidualMap.residual(W[0], b[0]) if shared else resdyn.ResidualMap.residual(W, b)
        last = resdyn.simulate(system, x, depth=layers).final
        assert scores[s] == pytest.approx(last @ V.T + c, abs=1e-12)


def test_a_network_does_not_depend_on_those_beside_it(points):
    together = trained(SMALL, *points, (0, 1), thresholds=np.array([0.0, 0.05]), test=points)
    alone = trained(SMALL, *points, (1,), thresholds=np.array([0.05]), test=points)
    for name, value in alone.items():
        # products of matrices may round otherwise in batches of another size
        assert together[name][1:] == pytest.approx(value, abs=1e-9, nan_ok=True), name
    assert together["test_accuracy"] == pytest.approx(together["train_accuracy"])
    assert abs(together["W"] - together["W_first"]).max() > 0.01


def test_the_rule_looks_at_the_last_two_layers_that_are_left(points):
    found = trained(SMALL, *points, (0, 1), depths=np.array([6, 4]))
    assert found["layers"].tolist() == [6, 4]
    x = three_units.embedded(points[0], 3)
    for s, layers in enumerate((6, 4)):
        orbit = resdyn.simulate(resdyn.ResidualMap.residual(found["W"][s, 0], found["b"][s, 0]), x, depth=layers)
        assert found["differences"][s, -1] == pytest.approx(resdyn.depth_rule(orbit).value, rel=1e-9)


def test_layers_go_one_by_one_below_the_threshold_and_the_last_one_stays(points):
    found = trained(SMALL, *points, (0, 0, 0), thresholds=np.array([0.0, 9.0, 9.0]), depths=np.array([6, 6, 2]))
    assert found["layers"].tolist() == [6, 3, 1]
    assert found["depths"].tolist() == [[6, 6, 6, 6], [6, 6, 5, 4], [2, 2, 1, 1]]
    late = trained(SMALL, *points, (0,), thresholds=np.array([9.0]), after=2)
    assert late["depths"].tolist() == [[6, 6, 6, 6]]
    assert late["layers"].tolist() == [5]
    looked_at = {"differences": np.array([0.009, 0.011, 0.009, np.nan]), "depths": np.array([2, 2, 1, 1])}
    assert dropped(looked_at, np.full(4, 0.01)).tolist() == [True, False, False, False]


# --- circles ------------------------------------------------------------------------------------------


def test_the_last_state_is_the_input_and_the_sum_of_the_residuals(smoke):
    arrays = smoke("circles").arrays
    inputs = three_units.embedded(arrays["inputs"], 3)
    for c in (0, 1):
        summed = inputs[arrays["labels"] == c].mean(axis=0) + arrays["y_map"][:, :15, c].sum(axis=1)
        assert arrays["x_last_mean"][:, c] == pytest.approx(summed, abs=1e-9)
    assert arrays["y_map"][:, 14] == pytest.approx(arrays["y_last_mean"])
    assert arrays["y_map"][:, 0] == pytest.approx(arrays["y_flow"][:, 0])


def test_the_flow_is_that_of_the_residuals():
    from scipy.integrate import solve_ivp

    W, b, x = np.array([[0.5, -1.0], [0.7, 0.3]]), np.array([-1.0, 0.2]), np.array([[0.3, 0.1], [-0.2, 0.4]])
    found = three_units.along_layers(W, b, x, np.array([0, 1]), 6)
    y0 = 1 / (1 + np.exp(-(x @ W.T + b)))
    for c in (0, 1):
        flow = solve_ivp(lambda t, y: y * (1 - y) * (W @ y), (0, 6), y0[c], t_eval=range(7), rtol=1e-9, atol=1e-11)
        # the tolerance of the method that the script leaves at its default
        assert found["y_flow"][:, c] == pytest.approx(flow.y.T, abs=1e-4)


def test_eigenvalues_in_vertices_are_rates_that_the_signs_of_w_decide(smoke):
    arrays = smoke("circles").arrays
    checked = 0
    for s, W in enumerate(arrays["W"][:, 0]):
        for y, values, stable in zip(
            arrays["equilibria"][s], arrays["eigenvalues"][s], arrays["stable_map"][s], strict=True
        ):
            if np.isin(y, (0, 1)).all() and y.any():
                rates = (1 - 2 * y) * (W @ y)
                assert np.sort(values.real) == pytest.approx(np.sort(rates))
                assert stable == int((rates < 0).all())
                checked += 1
    assert checked == 7 * len(arrays["W"])


def test_orbits_end_at_equilibria_that_attract_them():
    # both units switch each other off, so that one of two vertices takes each orbit
    W = np.array([[0.5, -2.0], [-2.0, 0.5]])
    x = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
    found = three_units.long_run(W, np.zeros(2), x, 400)
    assert found["equilibria"][found["at"]].tolist() == [[1, 0], [0, 1], [1, 0]]
    assert (found["stable_map"][found["at"]] == 1).all()
    # three layers are too few
    assert three_units.long_run(W, np.zeros(2), x, 3)["at"].tolist() == [-1] * 3


def test_a_saddle_is_passed_and_no_end():
    # at (1, 0) unit 1 stays on, but unit 2 is switched on
    found = three_units.long_run(np.array([[1.0, 0.0], [0.5, 1.0]]), np.array([20.0, -20.0]), np.zeros((1, 2)), 1)
    assert found["y_long"] == pytest.approx(np.array([[1.0, 0.0]]), abs=1e-6)
    assert (found["at"].tolist(), found["passing"].tolist()) == ([-1], [True])


def ends(at, *, stable=(1, 1, -1, 0)):
    equilibria = np.array([[0, 0, 1], [1, 0.5, 0], [0, 0, 0], [1, 1, 1]], dtype=float)
    arrays = {
        "at": np.array([at]),
        "labels": np.arange(len(at)) % 2,
        "stable_map": np.array([stable]),
        "stable_flow": np.array([stable]),
        "equilibria": equilibria[None],
        "eigenvalues": -np.ones((1, 4, 3)) + 0j,
        "passing": np.zeros((1, len(at)), dtype=bool),
        "y_last": np.tile([0.0, 0.0, 0.96], (1, len(at), 1)),
    }
    return circles.end_of(arrays, 0)


def test_ends_have_words():
    one = ends([0] * 100)
    assert (one["word"], one["vertices"], one["purity"], one["there_already"]) == ("one", 1.0, 0.5, 1.0)
    several = ends([0, 1] * 50)
    assert (several["word"], several["vertices"], several["purity"]) == ("several", 0.5, 1.0)
    assert (several["second_class"], several["there_already"]) == ([0.0, 1.0], 0.5)
    part = ends([0] * 50 + [2] * 30 + [-1] * 20)
    assert (part["word"], part["vertices"], part["neutral"]) == ("some", 0.5, 0.3)
    assert ends([-1] * 100)["word"] == "none"
    # one of 200 may sit on a border
    assert ends([0] * 199 + [1])["word"] == "one"


def test_the_network_shown_ends_in_one_vertex_if_one_does():
    one, several, inside = ends([0] * 100), ends([0, 1] * 50), ends([1] * 100)
    assert circles.chosen([several, one, one], np.array([0.0, 0.2, 0.1])) == 2
    assert circles.chosen([several, inside], np.array([0.1, 0.0])) == 1


def test_explained_is_one_for_the_same_and_zero_for_the_mean():
    y = np.random.default_rng(0).uniform(size=(2, 15, 2, 3))
    assert circles.explained(y, y) == pytest.approx([1, 1])
    assert circles.explained(y, np.broadcast_to(y.mean(axis=1, keepdims=True), y.shape)) == pytest.approx([0, 0])


def test_the_flow_is_compared_over_the_layers_that_the_network_has(smoke):
    arrays, found = smoke("circles").arrays, smoke("circles").summary["tracking"]
    assert arrays["y_map"].shape[1] == circles.DEPTH + 1
    gaps = np.abs(arrays["y_map"] - arrays["y_flow"])[:, : circles.DEPTH].max(axis=(1, 2, 3))
    assert found["largest_gap"] == pytest.approx(gaps)
    y, flow = (arrays[name][:, : circles.DEPTH] for name in ("y_map", "y_flow"))
    assert found["explained"] == pytest.approx(circles.explained(y, flow))


def test_pairs_of_predator_and_prey_have_opposite_signs():
    W = np.array([[[1, 1, 1], [-1, 1, 2], [1, 2, 1]], [[1, 1, -1], [-1, 1, 2], [1, -2, 1]]], dtype=float)
    assert circles.predator_prey(W).tolist() == [1, 3]


def test_the_final_state_of_the_paper_attracts_by_its_third_column():
    found = circles.reported()
    assert found["eigenvalues"] == pytest.approx([-1.95, -0.87, -0.8])
    assert found["stable"] == [True, True]
    assert sum(found["score_of_the_difference"]) == pytest.approx(0.08 * 1.29 + 0.13 * 5.11 + 0.39 * 0.66)


def test_equal_residuals_do_not_separate_and_their_sums_do():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    y = 0.5 + 0.001 * labels[:, None] + 0.0001 * rng.normal(size=(200, 3))
    found = {"x_last": labels[:, None] + 0.1 * rng.normal(size=(200, 3)), "y_last": y, "y_long": np.ones((200, 3))}
    probes = three_units.separated(found, labels, 0)
    assert (probes["probes"][:2] > 0.95).all()
    assert probes["probes"][2:] == pytest.approx(0.5, abs=0.1)
    assert (probes["null"] < 0.7).all()


# --- depth --------------------------------------------------------------------------------------------


def test_depths_fall_and_thresholds_of_zero_keep_all(smoke):
    arrays = smoke("depth").arrays
    for kind in (*depth.KINDS, "images"):
        assert (np.diff(arrays[f"{kind}_depths"], axis=-1) <= 0).all()
        assert (arrays[f"{kind}_layers"][0] == 15).all()
        assert (arrays[f"{kind}_layers"] >= 1).all()
    half = depth.PRESETS["smoke"].epochs // 2
    assert (arrays["late_depths"][..., : half + 2] == 15).all()
    assert (arrays["late_layers"][-1] < 15).all()
    assert (arrays["fixed_layers"] == 5).all()
    assert (arrays["fixed_layerwise_layers"] == 5).all()
    # without the rule nothing differs
    assert arrays["late_test_accuracy"][0] == pytest.approx(arrays["shared_test_accuracy"][0])


def test_networks_of_few_layers_have_a_matrix_for_each_and_those_of_one_layer_are_of_both_kinds():
    config = depth.Config(fixed=(1, 2, 5))
    arrays = {
        "fixed_test_accuracy": np.array([[0.1], [0.2], [0.3]]),
        "fixed_layerwise_test_accuracy": np.array([[0.4], [0.5]]),
    }
    found = depth._from_the_start(config, arrays)
    assert found["shared"]["accuracy"].ravel() == pytest.approx([0.1, 0.2, 0.3])
    assert found["layerwise"]["depths"] == (1, 2, 5)
    assert found["layerwise"]["accuracy"].ravel() == pytest.approx([0.1, 0.4, 0.5])


def test_matrices_of_layers_that_are_not_there_learn_nothing(points):
    training = Training(3, 2, depth=6, shared=False, bias=-1.0, epochs=2, batch=20, learning_rate=0.05)
    found = trained(training, *points, (0, 0), depths=np.array([3, 6]))
    moved = np.abs(found["W"] - found["W_first"]).max(axis=(2, 3))
    assert (moved[0, 3:] == 0).all()
    assert moved[0, :3].min() > 1e-3
    assert moved[1].min() > 1e-3
    assert found["W_first"][0] == pytest.approx(found["W_first"][1])


def test_the_first_drop_is_an_epoch():
    assert depth.first_drop(np.array([[15, 15, 14, 13], [15, 14, 14, 14], [15, 15, 15, 15]])).tolist() == [1, 0, -1]


def test_pixels_are_means_of_four(monkeypatch):
    class Images:
        images = np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4)
        labels = np.array([3])

    monkeypatch.setattr(depth.resdyn.data, "mnist", lambda split: Images)
    x, labels = depth._pixels(depth.Config(), "test")
    assert x * 255 == pytest.approx(np.array([[2.5, 4.5, 10.5, 12.5]]))
    assert labels.tolist() == [3]


# --- verdicts, from made-up numbers -------------------------------------------------------------------


def test_what_most_networks_show_is_confirmed():
    assert circles_judging.typical(0.6, "x") == "confirmed"
    assert circles_judging.typical(0.5, "in half") == "qualified: in half"
    assert circles_judging.typical(0.0, "x") == "not confirmed"


@pytest.mark.parametrize(
    ("test", "best", "verdict"),
    [
        ([1.0, 1.0, 0.9], 0.99, "confirmed"),
        ([1.0, 0.9, 0.9], 1.0, "qualified: in 1 of 3 networks, among them that of the smallest training loss"),
        ([1.0, 0.9, 0.9], 0.99, "qualified: in 1 of 3 networks, but not that of the smallest training loss"),
        ([0.999, 0.99], 0.999, "not confirmed"),
    ],
)
def test_all_samples_right_means_no_error(test, best, verdict):
    summary = {"accuracy": {"test": test, "of_smallest_loss": best}}
    assert ours.accuracy_verdict(summary) == verdict
    assert ours.accuracy(summary).startswith(f"no error in {test.count(1.0)} of {len(test)} networks; ")
    assert f"{100 * best:.1f} % with the smallest training loss" in ours.accuracy(summary)


def summary_of(*each, **changes):
    counts = circles.counts(list(each))
    found = {"each": list(each), "counts": counts, "kinds": ["fixed point"] * len(each)}
    return {"ends": found, "layers": 2000, **changes}


def test_ends_are_judged_by_how_many_networks_have_them():
    one, several, inside = ends([0] * 100), ends([0, 1] * 50), ends([1] * 100)
    assert ours.one_attractor_verdict(summary_of(one, one, several)) == "confirmed"
    both = "qualified: in 1 of 2 networks at layer 2000, in 1 at layer 15"
    assert ours.one_attractor_verdict(summary_of(one, several)) == both
    # all networks end in one vertex, but later than the paper's
    late = {**one, "there_already": 0.3}
    found = summary_of(late, late, one)
    assert found["ends"]["counts"]["one vertex by layer 15"] == 1
    assert ours.one_attractor_verdict(found) == "qualified: in 3 of 3 networks at layer 2000, in 1 at layer 15"
    assert "in 3 of 3 networks at layer 2000, in 1 by layer 15; several equilibria in 0" in ours.one_attractor(found)
    assert "3 networks at layer 2000, and are within 0.05 of it by layer 15 in 1." in details.one_attractor(found)
    none = "not confirmed: in 0 of 2 networks at layer 2000, in 0 at layer 15"
    assert ours.one_attractor_verdict(summary_of(several, inside)) == none
    assert ours.one_attractor_verdict(summary_of(late, several)) == none.replace("in 0 of", "in 1 of")
    assert ours.vertices_verdict(summary_of(one, several, inside)) == "qualified: in 1 of 3 networks"
    assert ours.vertices(summary_of(one, several, inside)).startswith("all samples in 1 of 3 networks; ")
    assert "1.00 [1.00, 1.00] of the samples" in details.one_attractor(summary_of(one, several))


@pytest.mark.parametrize(
    ("one", "several", "verdict"),
    [
        ([0.9, 0.8], [0.1], "confirmed"),
        (
            [0.9, 0.2],
            [0.9],
            "qualified: 1 of 2 networks with one equilibrium settle within 15 layers, 1 of 1 with several",
        ),
        (
            [0.1],
            [0.9, 0.9],
            "not confirmed: 0 of 1 networks with one equilibrium settle within 15 layers, 2 of 2 with several",
        ),
        ([], [], "not confirmed: 0 of 0 networks with one equilibrium settle within 15 layers"),
    ],
)
def test_eigenvalues_are_judged_by_what_is_reached_within_the_layers(one, several, verdict):
    each = [{"word": "one", "there_already": share} for share in one] + [{"word": "none", "there_already": 0.0}]
    each += [{"word": "several", "there_already": share} for share in several]
    summary = {"ends": {"each": each}, "reported": {"stable": [True, True]}}
    assert ours.eigenvalues_verdict(summary) == verdict
    summary["example"] = {"network": 3, "end": None}
    assert f"% in {len(one)} networks with one equilibrium" in ours.eigenvalues(summary)
    assert ours.eigenvalues_verdict({**summary, "reported": {"stable": [True, False]}}).startswith("not confirmed")


@pytest.mark.parametrize(
    ("explained", "verdict"),
    [
        ([0.95, 0.95, 0.2], "confirmed"),
        ([0.95, 0.2], "qualified: in 1 of 2 networks"),
        ([0.8], "not confirmed"),
    ],
)
def test_the_flow_is_followed_where_it_explains_nine_tenths(explained, verdict):
    summary = {"tracking": {"explained": explained}}
    assert ours.tracking_verdict(summary) == verdict
    assert f"in {sum(share > 0.9 for share in explained)} of {len(explained)} networks; " in ours.tracking(summary)


@pytest.mark.parametrize(
    ("probes", "verdict"),
    [
        ([[1.0, 1.0, 0.5, 0.5]], "confirmed"),
        ([[1.0, 1.0, 0.9, 0.5]], "not confirmed: so at layer 15 in 0 of 1 networks, in the long run in 1"),
        ([[1.0, 1.0, 0.9, 0.9]], "not confirmed: so at layer 15 in 0 of 1 networks, in the long run in 0"),
        ([[0.5, 0.5, 0.5, 0.5]], "not confirmed: so at layer 15 in 0 of 1 networks, in the long run in 0"),
        (
            [[1.0, 1.0, 0.5, 0.5], *[[1.0, 1.0, 0.9, 0.9]] * 2],
            "qualified: so at layer 15 in 1 of 3 networks, in the long run in 1",
        ),
    ],
)
def test_transients_alone_separate_where_the_last_residuals_do_not(probes, verdict):
    summary = {"separation": {"probes": probes, "null": [[0.6] * 4] * len(probes)}}
    assert ours.transients_verdict(summary) == verdict
    # to the resolution of the depth rule
    assert f"on y(15) {100 * np.median([row[2] for row in probes]):.1f} [" in ours.transients(summary)


def rule(layers, accuracy=(1.0, 1.0)):
    return {"layers": [[15, 15], list(layers)], "accuracy": [[1.0, 1.0], list(accuracy)]}


def test_the_depth_rule_must_keep_the_accuracy():
    def verdict(shared, late):
        found = {"thresholds": [0.0, 0.01], "shared": shared, "late": late}
        return claims_depth.shared_depth_verdict({"start": 15, "circles": found})

    good, bad, idle = rule((5, 6)), rule((5, 6), (0.9, 0.9)), rule((15, 15))
    assert verdict(good, idle) == "confirmed"
    assert verdict(rule((9, 7)), idle) == "qualified: to 8 layers, not 5"
    # as good as without the rule, within half a point, and not without an error
    assert verdict(rule((5, 6), (1.0, 0.998)), idle) == "qualified: at 100 % in 1 of 2 networks"
    assert verdict(rule((9, 7), (1.0, 0.998)), idle) == "qualified: to 8 layers, not 5, at 100 % in 1 of 2 networks"
    assert verdict(bad, good) == "qualified: if the rule waits for half of the training"
    assert verdict(bad, idle) == verdict(idle, idle) == "not confirmed"


def test_the_row_on_the_depth_rule_shows_what_is_judged():
    found = {"thresholds": [0.0, 0.01], "shared": rule((5, 6), (0.9, 0.9)), "late": rule((5, 7))}
    words = claims_depth.shared_depth({"start": 15, "circles": found})
    assert words.startswith("6 [5, 7] layers at 100.0 [100.0, 100.0] % if the rule waits for half of the training; ")
    found["late"] = rule((15, 15))
    words = claims_depth.shared_depth({"start": 15, "circles": found})
    assert words.startswith("6 [5, 6] layers at 90.0 [90.0, 90.0] %; without the rule 15 [15, 15] layers at 100.0")
    fixed = {"layerwise": {"depths": [1, 5], "accuracy": [[0.9, 0.91, 0.98], [0.97, 0.98, 0.99]]}}
    summary = {"start": 15, "circles": {"thresholds": [0.0, 0.01], "layerwise": rule((15, 15))}, "fixed": fixed}
    assert "; 1, 5 from the start 91.0–98.0 %; " in claims_depth.layerwise_depth(summary)
    fixed["layerwise"] = {"depths": [], "accuracy": []}
    assert "; fewer not run; " in claims_depth.layerwise_depth(summary)


def test_variable_weights_keep_all_layers_or_not():
    def verdict(layers, *accuracy, depths=(1, 5)):
        found = {"thresholds": [0.0, 0.01], "layerwise": rule(layers)}
        # what one matrix for all layers does is another question
        fixed = {"shared": {"depths": [2], "accuracy": [[1.0, 1.0]]}}
        fixed["layerwise"] = {"depths": depths[: len(accuracy)], "accuracy": accuracy}
        return claims_depth.layerwise_depth_verdict({"start": 15, "circles": found, "fixed": fixed})

    bad, good = (0.8, 0.9), (1.0, 0.991)
    assert verdict((15, 15), bad, bad) == "confirmed"
    assert verdict((15, 15), bad, good) == "qualified: the rule keeps all 15, but 5 from the start do as well"
    assert verdict((15, 15), good, good) == "qualified: the rule keeps all 15, but 1, 5 from the start do as well"
    # half a point, of medians
    assert verdict((15, 15), bad, (1.0, 0.9899)) == "confirmed"
    assert verdict((15, 15)) == "qualified: the rule keeps all 15, whether they are needed was not run"
    assert verdict((15, 9)) == "qualified: in 1 of 2 networks"
    assert verdict((8, 9)) == "not confirmed"


def test_the_cost_of_the_rule_on_images_is_measured():
    found = {"thresholds": [0.0, 0.01], **rule((10, 12), (0.98, 0.98))}
    assert (
        claims_depth.image_depth_verdict({"start": 15, "images": found}) == "measured: 4 layers fewer, +2.0 points lost"
    )
    untried = claims_depth.image_depth_verdict({"start": 15, "images": {"thresholds": [0.0]}})
    assert untried == "not judged: threshold 0.01 or its control 0 is not among those tried"
    circles_found = {"circles": {"thresholds": [0.0, 0.02], "layerwise": rule((15, 15))}}
    fixed = {"layerwise": {"depths": [], "accuracy": []}}
    for words in (claims_depth.layerwise_depth, details.layerwise_depth):
        with pytest.raises(ValueError, match="threshold 0.01 is not among those tried"):
            words({"start": 15, **circles_found, "fixed": fixed})
