"""The smoke presets of the scripts on trained dense nets, against closed forms, oracles and numbers that are kept."""

import numpy as np
import pytest

import resdyn

torch = pytest.importorskip("torch")
from experiments.lagzi2021_transients import (  # noqa: E402
    attracted,
    circles,
    claims_features,
    claims_mnist,
    claims_mnist_variable,
    details_mnist,
    features,
    information,
    mnist_judging,
    mnist_nets,
    mnist_shared,
    mnist_variable,
    small_variants,
)
from experiments.lagzi2021_transients.corners import eigenvalues_at, nearest_equilibrium  # noqa: E402

PAPER = "lagzi2021_transients"
SCRIPTS = {module.__name__.rpartition(".")[2]: module for module in (mnist_shared, mnist_variable, features)}


# --- equilibria --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_equilibria_beside_residuals_are_those_that_enumeration_finds(seed):
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(4, 4))
    points = [point for point in resdyn.fixed_points(resdyn.logistic_residuals(W)) if not point.in_closure]
    assert len(points) > 10
    for point in points:
        free = (point.y > 0) & (point.y < 1)
        if free.any() and min(point.y[free].min(), 1 - point.y[free].max()) < 0.02:
            continue  # counts as saturated
        beside = np.clip(point.y + rng.uniform(-0.005, 0.005, 4), 0, 1)
        # relative to the size of the solution: blocks of four random weights are no worse than 1e4 in condition
        assert nearest_equilibrium(W, beside) == pytest.approx(point.y, abs=1e-10)
        found = np.sort_complex(eigenvalues_at(W, point.y))
        assert found == pytest.approx(np.sort_complex(point.eigenvalues.astype(complex)), abs=1e-8)


def test_a_face_whose_solution_leaves_the_cube_gives_the_corner():
    W = np.array([[0.0, 1.0], [1.0, 1.0]])
    # (Wy)_1 = y_2 = 1 nowhere vanishes on the face of unit 2 at 1
    assert nearest_equilibrium(W, np.array([0.3, 1.0])).tolist() == [0, 1]
    # one interior unit, w_22 = 0.5, held by the other: y_2 = 1/2
    W = np.array([[0.0, 0.0], [-0.25, 0.5]])
    assert nearest_equilibrium(W, np.array([1.0, 0.7])).tolist() == [1, 0.5]
    assert eigenvalues_at(W, np.array([1.0, 0.5])) == pytest.approx([0, 0.125])


def test_corner_eigenvalues_are_those_of_the_paper():
    W = np.arange(9.0).reshape(3, 3)
    assert eigenvalues_at(W, np.array([0.0, 0.0, 1.0])).real.tolist() == [W[0, 2], W[1, 2], -W[2, 2]]


# --- nets --------------------------------------------------------------------------------------------


def test_the_paper_has_200_samples_at_layer_1000():
    shared, variable = mnist_shared.PRESETS["paper"], mnist_variable.PRESETS["paper"]
    assert (shared.samples, shared.depth, variable.samples) == (200, 1000, 200)
    # other numbers of samples and layers are no numbers of the paper
    for claim in claims_mnist.CLAIMS:
        assert not {"long", "many"} & set(claim.presets)


def test_samples_are_equally_many_of_each_class(smoke):
    labels = smoke("mnist_shared").arrays["labels"]
    assert np.bincount(labels).tolist() == [5] * 10
    with pytest.raises(ValueError, match="not as many"):
        mnist_nets.equally_many(resdyn.data.digit_images("test"), 5)


def test_states_at_the_read_out_are_those_that_the_net_classifies(smoke):
    arrays = smoke("mnist_shared").arrays
    net = mnist_nets.net_named("dense-shared-digits-seed0")
    images = mnist_nets.equally_many(resdyn.data.digit_images("test"), 50)
    with torch.no_grad():
        expected = net(torch.as_tensor(net.preprocessing(images.pixels()))).numpy()
    logits = arrays["at_read_out"] @ arrays["classifier"].T + net.head.bias.detach().numpy()
    # fifteen layers in single precision
    assert logits == pytest.approx(expected, abs=1e-3)
    assert (logits.argmax(axis=1) == arrays["labels"]).mean() > 0.9


def test_spread_corners_and_eigenvalues_are_those_of_the_last_residuals(smoke):
    arrays, summary = smoke("mnist_shared").arrays, smoke("mnist_shared").summary
    W = resdyn.networks.to_residual_map(mnist_nets.net_named("dense-shared-digits-seed0")).W
    last, near = arrays["trained_last"].astype(float), arrays["trained_near"]
    assert summary["spread"]["trained"]["all"] == pytest.approx(last.std(axis=0).mean(), rel=1e-5)  # stored in float32
    corners = {tuple(row) for row in np.round(last).astype(int)}
    assert summary["distinct"]["trained"] == len(corners)
    flow = near * (1 - near) * (near @ W.T)
    assert np.abs(flow).max() < 1e-10
    n_positive = []
    for y, found in zip(near, arrays["trained_eigenvalues"], strict=True):
        slope = np.diag((1 - 2 * y) * (W @ y)) + (y * (1 - y))[:, None] * W
        exact = np.linalg.eigvals(slope)
        assert np.sort(found.real) == pytest.approx(np.sort(exact.real), abs=1e-9)
        n_positive.append((exact.real > 1e-12).sum())
    assert summary["nearest"]["trained"]["positive"][1] == np.median(n_positive)
    assert summary["nearest"]["trained"]["stable"] == np.mean(np.array(n_positive) == 0)
    away = np.median(np.abs(last - near).max(axis=1))
    assert summary["nearest"]["trained"]["away"][1] == pytest.approx(away, abs=1e-6)  # stored in float32
    for row in summary["classes"]:
        of_class = np.array(n_positive)[arrays["labels"] == row["class"]]
        assert row["positive"] == np.median(of_class)


def test_all_samples_are_at_their_last_corner_at_the_last_layer(smoke):
    arrays = smoke("mnist_shared").arrays
    assert arrays["layers"].tolist() == list(range(0, 301, 50))
    assert (arrays["trained_units_to_go"][-1] == 0).all()
    assert (arrays["trained_units_to_go"][0] > 0).all()
    # a sample whose units stand still from 0.9 of the layers on is not moving
    still = dict(arrays, trained_units_to_go=np.array([[3], [3], [3], [3], [3], [0], [0]]))
    assert mnist_shared._moving(still, "trained") == 0
    still["trained_units_to_go"][5] = 1
    assert mnist_shared._moving(still, "trained") == 1


def test_distances_of_corners_within_and_between_classes():
    rounded = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]], dtype=bool)
    found = mnist_shared._distances(rounded, np.array([0, 0, 1, 1]))
    assert found == {"within_classes": 0.25, "between_classes": (4 + 3 + 3 + 2) / 16}


def test_ranks_of_the_largest_weight_are_counted_from_one(smoke):
    arrays = smoke("mnist_shared").arrays
    for row in smoke("mnist_shared").summary["classes"]:
        means = np.array([arrays["at_read_out"][arrays["labels"] == c].mean(axis=0) for c in range(10)])
        unit = int(np.argmax(arrays["classifier"][row["class"]]))
        assert row["unit"] == unit
        assert row["rank"] == 1 + np.argsort(-means[row["class"]]).tolist().index(unit)
        assert row["rank_of_class"] == 1 + np.argsort(-means[:, unit]).tolist().index(row["class"])


def test_a_small_variant_is_trained_and_followed(monkeypatch):
    monkeypatch.setattr(small_variants, "DEPTH", 20)
    monkeypatch.setattr(small_variants, "EVERY", 10)
    quick = ("quick", {"net": {"spread": 0.0}, "training": {"epochs": 2}})
    monkeypatch.setattr(small_variants, "VARIANTS", (quick,))
    found = small_variants.corners_of_variant(0)
    assert found["layers"].tolist() == [10, 20]
    assert found["distinct"].min() >= 1
    assert found["distinct"].max() <= found["samples"] == 200
    assert 0 < found["error"] < 0.95  # two epochs, from zero weights


# --- one matrix per layer ----------------------------------------------------------------------------


def test_first_weights_are_those_that_training_began_with(smoke):
    # other draws would have no part in the trained ones: 0 ± 1/64
    kept = np.array(smoke("mnist_variable").summary["first_weights_kept"])
    assert kept.min() > 0.8


def test_untrained_matrices_are_orthogonal_and_of_equal_norm(smoke):
    matrices = smoke("mnist_variable").summary["matrices"]
    # cosines of 64² normal numbers: 0 ± 1/64, so distances are √2 ± 0.011; four of them
    assert np.array(matrices["untrained"]["distances"]) == pytest.approx(np.sqrt(2), abs=0.05)
    assert np.array(matrices["untrained"]["norms"]) == pytest.approx(0.3 * 8, rel=0.05)


def test_distances_and_cosines_of_known_matrices():
    E = np.eye(2)
    found = mnist_variable._between(np.array([E, E, 2 * E, [[1.0, 0.0], [0.0, -1.0]]]))
    root = np.sqrt(2)
    assert found["norms"] == pytest.approx([root, root, 2 * root, root])
    # ‖E − 2E‖ = √2 over √(√2 · 2√2) = 2, and ‖diag(1, 3)‖ = √10 over 2
    assert found["distances"] == pytest.approx([0, root / 2, np.sqrt(10) / 2])
    assert np.diagonal(found["cosines"], 1) == pytest.approx([1, 1, 0])


def test_layers_of_both_kinds_of_net_are_counted_like_those_of_torch(smoke):
    arrays = smoke("mnist_variable").arrays
    net = mnist_nets.net_named("dense-layerwise-digits-seed0")
    images = mnist_nets.equally_many(resdyn.data.digit_images("test"), 100)
    state, spread = torch.as_tensor(mnist_nets.first_states(net, images)), []
    with torch.no_grad():
        for block in net.double().stages[0].blocks:
            after = block(state)
            spread.append((after - state).numpy().std(axis=0).mean())
            state = after
    assert arrays["trained_spread"] == pytest.approx(spread, abs=1e-6)  # differences of states
    assert len(arrays["shared_spread"]) == 15


# --- features ----------------------------------------------------------------------------------------


def test_information_is_that_of_scikit_learn():
    from sklearn.metrics import mutual_info_score

    rng = np.random.default_rng(0)
    y, x = rng.integers(0, 3, (200, 4)).astype(np.int8), rng.integers(0, 4, (200, 5)).astype(np.int8)
    x[:, 0] = y[:, 0]
    expected = [[mutual_info_score(a, b) / np.log(2) for b in x.T] for a in y.T]
    # sums of twelve numbers in single precision
    assert information.mutual_information(y, x) == pytest.approx(np.array(expected), abs=1e-5)
    assert information.entropies(y)[0] == pytest.approx(expected[0][0], abs=1e-5)


def test_information_of_known_tables():
    y = np.array([[0], [0], [1], [1]], dtype=np.int8)
    x = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 0], [1, 1, 0]], dtype=np.int8)
    assert information.mutual_information(y, x)[0].tolist() == [1, 0, 1]
    assert information.binned(np.array([0.0, 0.49, 0.5, 1.0]), 2).tolist() == [0, 0, 1, 1]


def test_shuffles_take_the_bias_off_and_say_what_chance_gives():
    rng = np.random.default_rng(0)
    n = 400
    y, x = rng.integers(0, 2, (n, 60)).astype(np.int8), rng.integers(0, 4, (n, 60)).astype(np.int8)
    y[:, 0] = x[:, 0] // 2
    found = information.calibrated(y, x, 20, rng)
    bias = np.mean(information.mutual_information(y, x)[1:] - found["information"][1:])
    # the first order of the bias of an estimate from counts, (2 − 1)(4 − 1)/(2n ln 2)
    assert bias == pytest.approx(3 / (2 * n * np.log(2)), rel=0.1)
    assert found["information"][0, 0] == pytest.approx(1, abs=0.05)
    assert found["above"][0, 0]
    # 1 of 1000 are expected of 3600 pairs: 3.6 ± 1.9
    assert found["false"] < 0.005
    assert found["above"][1:].mean() < 0.005
    # mean information of independent pairs is 0, within the spread of 3500 pairs of about 0.004 bits each
    assert found["information"][1:].mean() == pytest.approx(0, abs=5e-4)


def test_participation_counts_the_dimensions_that_share():
    assert features.participation(np.array([[0.2, 0, 0, -0.1], [0.3, 0.3, 0.3, 0.3], [-1, -1, 0, 0]])).tolist() == [
        pytest.approx(1),
        pytest.approx(4),
        0,
    ]


def test_noise_of_many_pixels_does_not_participate():
    rng = np.random.default_rng(0)
    n, pixels = 1000, 300
    y, x = rng.integers(0, 2, (n, 20)).astype(np.int8), rng.integers(0, 4, (n, pixels)).astype(np.int8)
    x[:, :5] = y[:, :1] + 2 * x[:, :5] % 4  # the first unit is in five pixels
    found = information.calibrated(y, x, 20, rng)
    # of 300 noisy numbers half are positive, and spread like those of a chi-squared
    assert features.participation(found["information"])[1:].min() > 30
    arrays = {"some_bits": found["information"], "some_above": found["above"]}
    above = features.participation_above(arrays, "some")
    # a pair in a thousand is above: one or two of a unit's 300 at most
    assert above[1:].max() <= 2
    assert above[0] == pytest.approx(5, abs=0.1)
    assert features.participation(found["unseen"]).max() <= 3


def test_common_parts_of_units_made_of_components():
    rng = np.random.default_rng(0)
    common = rng.normal(size=(500, 2))
    pixels = common @ rng.normal(size=(2, 30)) + 0.1 * rng.normal(size=(500, 30))
    values = np.column_stack([common[:, 0], rng.normal(size=500), np.zeros(500)])
    explained, shuffled = features.common_part(values, pixels, 2, rng)
    # noise of a tenth in thirty pixels leaves less than a thousandth outside
    assert explained[0] > 0.99
    # 2 of 500 directions, each with a chi-squared share
    assert explained[1] < 0.02
    assert shuffled[:2].max() < 0.02
    assert np.isnan(explained[2])
    squares = features.largest_squared_correlation(pixels[:, :3], pixels, own=False)
    assert squares == pytest.approx(1)
    assert features.largest_squared_correlation(pixels, pixels, own=True).max() < 1


def test_the_pattern_is_compared_with_shifted_images():
    image = np.random.default_rng(0).normal(size=(6, 6))
    found = features.shifted_correlations(image, image)
    assert found.shape == (36,)
    assert found[0] == pytest.approx(1)
    assert found[1:].max() < 0.9
    rows = {"trained_mean": np.append(image.ravel(), 7.0), "mean_pixels": image.ravel(), "image_shape": [6, 6]}
    assert features._pattern(rows, "trained") == {"correlation": pytest.approx(1), "p_value": pytest.approx(1 / 36)}


def test_a_pixel_about_itself_counts_as_nothing(smoke):
    arrays, summary = smoke("features").arrays, smoke("features").summary
    assert (np.diagonal(arrays["pixels_bits"]) == 0).all()
    assert not np.diagonal(arrays["pixels_above"]).any()
    assert arrays["pixels_largest_square"].max() < 1
    assert arrays["trained_bits"].shape == (64, summary["dimensions"])
    # a unit tells no more about a pixel than it has itself, but for the bias that is taken off
    assert (arrays["trained_bits"].max(axis=1) <= arrays["trained_entropy"] + 0.01).all()
    # shuffled samples: one in a thousand of 3520 pairs is expected
    assert summary["trained"]["shuffled_above"] < 0.005 < summary["trained"]["above"]
    # shuffled units tell about hardly any pixel, and pixels in place of units have as many bins as units
    assert summary["trained"]["shuffled_participation"] < 0.5 < summary["trained"]["participation"][1]
    assert arrays["pixels_entropy"].max() <= 1


# --- nets with one attractor -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("W", "vertex", "share"),
    [
        # all help all, so that all come to 1, where rates are -(W 1)
        ([[1, 0.5], [0.5, 1]], [1, 1], 1.0),
        # two competitors: whoever is ahead wins, and at (0.5, 0.5) nobody is
        ([[1, -2], [-2, 1]], [0, 1], 0.75),
        # a unit that only hinders itself comes to 0 ever more slowly: there is no rate
        ([[-1, 0], [0, -1]], [0, 0], 0.0),
    ],
)
def test_one_vertex_is_where_all_samples_come_to(W, vertex, share):
    x = np.array([[0.1, 0.4], [0.0, 0.3], [0.2, 0.9], [0.5, 0.4]])
    found = attracted.end_of(np.array(W, dtype=float), np.zeros(2), x, 3000)
    assert np.round(found["steady"]).tolist() == vertex
    assert found["there"] == share


def test_the_penalty_draws_residuals_together_and_leaves_nets_of_other_seeds_alone():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 10
    x = rng.uniform(size=(60, 64)) + np.eye(10)[labels].repeat(7, axis=1)[:, :64]
    spread = {}
    for pull in (0.0, 1.0):
        found = attracted.drawn_together(x, labels, (0, 1), pull=pull, epochs=150)
        (W, b), system = (found["W"][0], found["b"][0]), resdyn.ResidualMap.residual
        spread[pull] = resdyn.simulate(system(W, b), x, depth=14, save="final").activations[-1].var(axis=0).sum()
    assert spread[1.0] < 0.5 * spread[0.0]
    alone = attracted.drawn_together(x, labels, (1,), pull=1.0, epochs=2)
    together = attracted.drawn_together(x, labels, (0, 1), pull=1.0, epochs=2)
    assert together["W_first"][1] == pytest.approx(alone["W_first"][0])
    # single precision, in batches of another size, through Adam, which divides by what may be near 0
    assert np.abs(together["W"][1] - alone["W"][0]).mean() < 1e-4 * np.abs(alone["W"][0]).mean()


def test_nets_on_circles_are_those_of_the_script_on_circles(smoke, smoke_runs):
    arrays, there = smoke("features").arrays, smoke_runs(circles).arrays
    assert arrays["circles_W"] == pytest.approx(there["W"][:, 0])
    assert arrays["circles_accuracy"] == pytest.approx(there["test_accuracy"])
    # of the same inputs: residuals after as many layers
    assert arrays["circles_steady"] == pytest.approx(there["y_long"].mean(axis=1), abs=1e-6)


def test_correlations_are_the_largest_and_nothing_for_what_is_constant():
    y = np.array([1.0, 0, 0, 1, 0])
    features_of = np.array([[[5.0, 2, 2, 5, 2], [0, 0, 0, 0, 1]], [[0, 1, 0, 1, 0], [3, 3, 3, 3, 3]]])
    assert attracted.largest_correlation(y, features_of) == pytest.approx([1, np.corrcoef(y, [0, 1, 0, 1, 0])[0, 1]])
    assert attracted.largest_correlation(-y, features_of[:1]) == pytest.approx([1])
    assert (attracted.largest_correlation(np.full(5, 0.1), features_of) == 0).all()


def test_images_are_shifted_around_the_edges():
    images = np.random.default_rng(0).normal(size=(3, 16))
    found = attracted.shifted(images)
    assert found.shape == (16, 3, 16)
    assert found[0] == pytest.approx(images)
    assert np.sort(found, axis=-1) == pytest.approx(np.broadcast_to(np.sort(images), found.shape))
    # by one column
    assert found[1, 2].reshape(4, 4)[:, 1:] == pytest.approx(images[2].reshape(4, 4)[:, :-1])
    pixels = np.random.default_rng(1).normal(size=(300, 16)) * np.where(np.arange(16) == 3, 5, 1) + 2
    mean, deviation, leading = attracted.in_common(pixels)
    assert (mean, deviation) == (pytest.approx(pixels.mean(axis=0)), pytest.approx(pixels.std(axis=0)))
    assert np.abs(leading).argmax() == 3


def test_planted_relations_are_found_and_chance_is_not():
    images = attracted.in_common(resdyn.data.digit_images("train").pixels().reshape(-1, 64).astype(float))
    rng = np.random.default_rng(0)
    W = rng.normal(size=(12, 64, 64))
    above = np.quantile(images[1], 0.7)
    seen = attracted.relation([attracted.pattern((images[1] > above).astype(float), images)] * 2)
    assert (seen["nets"], seen["beyond"]) == (2, 2)
    assert seen["mean"] > 0.6 > seen["null"]
    through = attracted.relation([attracted.filtered((one @ images[2] > 0).astype(float), one, images) for one in W])
    assert through["beyond"] > 9
    assert through["p"] < 0.001
    # a vertex that has nothing to do with images: 5 % of 12 nets, and three of them once in 50 times
    chance = [(rng.uniform(size=64) < 0.3).astype(float) for _ in W]
    for found in (
        attracted.relation([attracted.pattern(y, images) for y in chance]),
        attracted.relation([attracted.filtered(y, one, images) for y, one in zip(chance, W, strict=True)]),
    ):
        assert found["beyond"] < 3
        assert found["p"] > 0.05
    assert attracted.relation([]) == {"nets": 0, "beyond": 0, "mean": None, "null": None, "p": None}


def test_three_units_are_compared_in_all_their_orders():
    W = np.array([[2.0, 2, 9], [0.1, -0.1, 9], [-0.1, 0.1, 9]])
    found = attracted.from_inputs(np.array([1.0, 0, 0]), W)
    assert len(found) == 6
    assert found[0] == pytest.approx(1, abs=0.01)
    # two orders keep the first unit, so that no single network can be beyond 95 % of them
    assert np.mean(found >= found[0] - 1e-12) == pytest.approx(1 / 3)
    assert attracted.relation([found])["beyond"] == 0
    # of 3⁵ cases one has all
    assert attracted.relation([found] * 5)["p"] == pytest.approx(1 / 243, abs=0.003)


def test_only_nets_with_one_vertex_are_judged_and_each_untrained_one_counts_once():
    rng = np.random.default_rng(0)
    arrays = {
        "digits_there": np.array([1.0, 0.5, 0.995, 1.0]),
        "digits_first": np.array([0, 1, 0, 1]),
        "digits_steady": rng.uniform(size=(4, 64)),
        "digits_W": rng.normal(size=(4, 64, 64)),
        "digits_steady_first": rng.uniform(size=(2, 64)),
        "digits_W_first": rng.normal(size=(2, 64, 64)),
        "digits_images": rng.normal(size=(3, 64)),
    }
    trained, untrained = (features.related(arrays, "digits", kind) for kind in ("trained", "untrained"))
    assert (len(trained["pattern"]), len(untrained["filter"])) == (3, 2)
    vertex = np.round(arrays["digits_steady"][3])
    assert trained["pattern"][2] == pytest.approx(attracted.pattern(vertex, arrays["digits_images"]))
    # residuals that are all at 1, but for rounding noise, are no pattern, and no net that could have shown one
    arrays["digits_steady"][0] = 1 - 1e-4 * rng.uniform(size=64)
    assert features.is_constant(arrays, "digits").tolist() == [True, False, False, False]
    left = features.related(arrays, "digits", "trained")["pattern"]
    np.testing.assert_array_equal(left, trained["pattern"][1:])


# --- verdicts, from made-up numbers ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "verdict"),
    [
        (0.0141, "confirmed"),
        (0.016, "confirmed"),
        (0.009, "not confirmed: ours is lower"),
        (0.02, "not confirmed: ours is higher"),
    ],
)
def test_errors_are_compared_within_those_of_two_nets(wrong, verdict):
    summary = {"test": {"error": [wrong], "images": 10_000}}
    assert mnist_judging.error_verdict(0.014)(summary) == verdict
    assert f"{100 * wrong:.2f} ± 0." in mnist_judging.error(summary)
    several = {"test": {"error": [0.5, wrong, 0.001], "images": 10_000}}
    assert mnist_judging.error_verdict(0.014)(several) == verdict
    assert mnist_judging.error(several).startswith(f"{100 * wrong:.2f} [0.10, 50.00] %, median over 3 seeds")


@pytest.mark.parametrize(
    ("error", "shared", "verdict"),
    [
        ([0.018, 0.0185], [0.014, 0.015], "confirmed"),
        ([0.018, 0.0185], [0.014, 0.0182], "qualified: no higher than with shared weights in all seeds"),
        ([0.0145, 0.014], [0.0139, 0.013], "not confirmed: ours is lower, but higher than with shared weights"),
        ([0.014], [0.0141], "not confirmed: ours is lower, and no higher than with shared weights in all seeds"),
    ],
)
def test_the_error_with_many_matrices_is_compared_with_that_of_one(error, shared, verdict):
    summary = {"test": {"error": error, "shared_error": shared, "images": 10_000}}
    assert mnist_judging.beside_shared_verdict(0.018)(summary) == verdict
    assert mnist_judging.beside_shared(summary).count("%") >= 2


@pytest.mark.parametrize(
    ("everywhere", "within", "on", "verdict"),
    [
        (0.005, 0.002, 0.1, "confirmed"),
        (0.1, 0.005, 0.1, "qualified: one place for each class"),
        (0.1, 0.05, 0.1, "qualified: few units on (10 %, untrained 50 %), in many places"),
        (0.1, 0.05, 0.4, "not confirmed: many places"),
    ],
)
def test_one_place_for_all_samples_is_no_spread(everywhere, within, on, verdict):
    trained = {"all": everywhere, "within_classes": within, "at_0": 1 - on}
    untrained = {"all": 0.2, "within_classes": 0.1, "at_0": 0.5}
    summary = {"spread": {"trained": trained, "untrained": untrained}, "distinct": {"trained": 7}}
    assert claims_mnist.steady_verdict(summary) == verdict
    words = f"{everywhere:.3f}, within classes {within:.3f} (untrained 0.200, 0.100); {100 * on:.0f} % of residuals"
    assert words in claims_mnist.steady(summary)


@pytest.mark.parametrize(
    ("rows", "before", "verdict"),
    [
        ([(1, 0.02, 1.0)] * 3, 1.0, "confirmed"),
        ([(1, 0.02, 1.0), (7, 0.02, 1.0), (1, 0.3, 1.0)], 0.2, "qualified: for 0 alone"),
        ([(0, -0.1, 0.2)] * 3, 0.2, "not confirmed: not at saddles"),
        ([(7, 0.1, 0.9), (3, 0.2, 1.0), (1, 0.3, 1.0)], 0.2, "qualified: saddles, with 1 to 7 positive eigenvalues"),
        (
            [(7, 0.1, 1.0)] * 3,
            1.0,
            "not confirmed: 7 to 7 positive eigenvalues, medians, up to 0.10, and saddles before",
        ),
    ],
)
def test_saddles_with_one_small_eigenvalue_are_those_of_the_papers_classes(rows, before, verdict):
    near = {
        "stable": 1 - before,
        "positive": [0, 5, 9],
        "largest": {"low": 0, "median": 0.02, "high": 1},
        "away": [0.1, 0.2, 0.3],
    }
    named = [
        {"class": c, "positive": number, "largest": largest, "saddles": saddles}
        for c, (number, largest, saddles) in zip((0, 2, 3), rows, strict=True)
    ]
    # another class does not count
    named.append({"class": 1, "positive": 1, "largest": 0.02, "saddles": 1.0})
    summary = {
        "nearest": {"trained": {**near, "stable": 0.0}, "untrained": near},
        "classes": named,
        "samples": 200,
        "depth": 1000,
        "moving": {"trained": 0.5},
    }
    assert claims_mnist.saddles_verdict(summary).startswith(verdict)
    saddles = f"the nearest equilibrium is a saddle for 100 % of 200 samples (untrained {100 * before:.0f} %)"
    assert saddles in claims_mnist.saddles(summary)
    assert f"class 0: {rows[0][0]} up to {rows[0][1]:.2f}, 2: " in claims_mnist.saddles(summary)
    words = details_mnist.saddles(summary)
    assert f"0: {rows[0][0]} up to {rows[0][1]:.2f}" in words
    assert "1: 1 up to" not in words
    assert "a residual 0.20 [0.10, 0.30] away" in words


@pytest.mark.parametrize(
    ("ranks", "of_classes", "verdict"),
    [
        ([1] * 9 + [4], [1] * 10, "confirmed"),
        ([2] * 10, [1] * 9 + [3], "qualified"),
        ([1] * 8 + [2] * 2, [1] * 8 + [2] * 2, "not confirmed: 8 of 10 classes"),
    ],
)
def test_the_classifier_is_judged_by_the_number_of_classes(ranks, of_classes, verdict):
    rows = [{"class": c, "rank": a, "rank_of_class": b} for c, (a, b) in enumerate(zip(ranks, of_classes, strict=True))]
    summary = {"classes": rows, "correlation": 0.5}
    assert claims_mnist.classifier_verdict(summary).startswith(verdict)
    for words in (claims_mnist.classifier(summary), details_mnist.classifier(summary)):
        assert f"largest of all units for {ranks.count(1)} of 10" in words


@pytest.mark.parametrize(
    ("trained", "untrained", "verdict"),
    [
        ([0.1] * 4 + [0.001] * 11, [0.1] * 15, "confirmed"),
        ([0.1] * 4 + [0.001] * 11, [0.001] * 15, "qualified: before training, too"),
        ([0.1] * 14 + [0.001], [0.1] * 15, "qualified: at the last layer"),
        (np.linspace(0.1, 0.4, 15).tolist(), [0.1] * 15, "not confirmed: 0.40 at the last layer"),
        ([0.1] * 8 + [0.5] + [0.2] * 6, [0.1] * 15, "not confirmed: 0.20 at the last layer"),
    ],
)
def test_no_spread_after_layer_four(trained, untrained, verdict):
    summary = {
        "spread": {"trained": trained, "untrained": untrained},
        "spread_within_classes": {"trained": [0.07] * 14 + [0.03]},
    }
    assert claims_mnist_variable.spread_over_layers_verdict(summary) == verdict
    words = claims_mnist_variable.spread_over_layers(summary)
    assert words.startswith(f"standard deviation over samples {trained[0]:.3f} at layer 1, ")
    assert f"{max(trained):.3f} at layer {1 + int(np.argmax(trained))}" in words
    assert f"{trained[-1]:.3f} at layer 15, within classes 0.030 there" in words


@pytest.mark.parametrize(
    ("distance", "cosines", "verdict"),
    [
        (0.05, [0.9, 0.9], "confirmed"),
        (0.8, [0.8, 0.95], "qualified: the learned parts come to be alike, the matrices are not"),
        (0.8, [0.97, 0.95], "qualified: the learned parts are alike, the matrices are not"),
        (0.8, [0.5, 0.6], "not confirmed"),
    ],
)
def test_one_matrix_is_no_distance(distance, cosines, verdict):
    rows = {"trained": {"distances": [1.0, distance]}, "learned": {"cosines": cosines}}
    rows["untrained"] = {"distances": [1.4, 1.42]}
    assert claims_mnist_variable.matrices_verdict({"matrices": rows}) == verdict
    words = claims_mnist_variable.matrices({"matrices": rows})
    assert f"{distance:.2f} of their norm (untrained 1.42), all pairs {distance:.2f}–1.00; " in words
    assert f"learned parts {cosines[-1]:.2f}, " in words


@pytest.mark.parametrize(
    ("trained", "shared", "verdict"),
    [
        ([0.1, 0.3], [0.1, 0.2], "confirmed in one net of each kind"),
        ([0.0, 0.3], [0.2, 0.2], "qualified: in some layers"),
        ([0.0, 0.1], [0.1, 0.2], "not confirmed"),
    ],
)
def test_more_saturation_is_against_shared_weights(trained, shared, verdict):
    summary = {"saturated": {"trained": {"at_1": trained}, "shared": {"at_1": shared}}}
    assert claims_mnist_variable.saturation_verdict(summary) == verdict
    words = f"{100 * trained[-1]:.1f} % of residuals at the last layer, with shared weights {100 * shared[-1]:.1f} %"
    assert claims_mnist_variable.saturation(summary).startswith(words)


def judged(beyond=(0, 0), untrained=(0, 0), p=(0.5, 0.5), nets=8, networks=5):
    digits = {
        kind: {
            name: {"nets": nets, "beyond": each[k], "mean": 0.1, "null": 0.1}
            for k, name in enumerate(("pattern", "filter"))
        }
        for kind, each in (("trained", beyond), ("untrained", untrained))
    }
    on_circles = {
        kind: {"filter": {"nets": networks, "beyond": 0, "mean": 0.1, "null": 0.1, "p": each if networks else None}}
        for kind, each in zip(("trained", "untrained"), p, strict=True)
    }
    return {"attractors": {"layers": 2000, "digits": digits, "circles": on_circles}}


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "not confirmed"),
        # half of the nets are not most of them
        ({"beyond": (4, 1)}, "not confirmed"),
        ({"beyond": (0, 5), "p": (0.01, 0.3)}, "confirmed"),
        ({"beyond": (5, 5), "untrained": (2, 1), "p": (0.01, 0.3)}, "confirmed"),
        ({"beyond": (5, 0), "untrained": (1, 8)}, "qualified: on digits alone"),
        ({"p": (0.05, 0.051)}, "qualified: on circles alone"),
        ({"beyond": (8, 0), "untrained": (2, 0)}, "not confirmed: before training, too, on digits"),
        ({"p": (0.01, 0.02)}, "not confirmed: before training, too, on circles"),
        ({"nets": 0, "p": (0.01, 0.3)}, "qualified: on circles alone"),
        ({"networks": 0, "beyond": (8, 8)}, "qualified: on digits alone"),
        ({"networks": 0}, "not confirmed"),
        ({"networks": 0, "nets": 0}, "not judged: no attractor network"),
    ],
)
def test_common_features_are_beyond_chance_in_most_nets_and_not_before_training(changes, verdict):
    summary = judged(**changes)
    assert claims_features.common_features_verdict(summary) == verdict
    beyond, nets = changes.get("beyond", (0, 0)), changes.get("nets", 8)
    assert f"as an image {beyond[0]} of {nets} (" in claims_features.common_features(summary)
    assert ("on circles none" in claims_features.common_features(summary)) == (changes.get("networks") == 0)


def test_where_no_net_has_one_vertex_the_row_says_so(smoke):
    found = judged(nets=0, networks=0)["attractors"]
    found["digits"] |= {"nets": 4, "pulls": (0.0, 1.0), "one_vertex": [0, 0], "accuracy": [], "on": []}
    found["circles"] |= {"nets": 6, "one_vertex": [0]}
    words = details_mnist.common_features({**smoke("features").summary, "attractors": found})
    assert "in 0, 0 of 2 nets. Circles: one vertex in 0 of 6 networks. Besides" in words


def test_every_claim_can_be_said_from_a_smoke_run(smoke):
    assert {claim.script for claim in claims_mnist.CLAIMS} == set(SCRIPTS)
    for claim in claims_mnist.CLAIMS:
        summary = smoke(claim.script).summary
        assert claim.measured(summary)
        assert claim.verdict(summary)
        assert claim.details is None or claim.details(summary).endswith(".")
