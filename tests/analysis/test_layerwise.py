"""Transients: closed forms of linear networks, sums that must come out exactly, and the bundled trained networks."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import resdyn
from resdyn.analysis.layers import probes

RNG = np.random.default_rng(0)
LABELS = np.arange(30) % 3


@pytest.fixture(scope="module")
def trajectory():
    system = resdyn.ResidualMap(resdyn.systems.random_weights(4), step=0.5, damping=0.2)
    return resdyn.simulate(system, RNG.normal(size=(30, 4)) + LABELS[:, None], depth=6)


@pytest.fixture(scope="module")
def found(trajectory):
    readout = (RNG.normal(size=(3, 4)), RNG.normal(size=3))
    return resdyn.transients(trajectory, LABELS, readout=readout, n_shuffles=10)


@pytest.fixture(scope="module")
def circles():
    network = resdyn.systems.trained("circles")
    points, labels = resdyn.data.circles(300, rng=1)
    return network, points, labels, resdyn.simulate(network.system, network.embed(points), depth=network.depth)


def linear(slopes, step=1.0):
    return resdyn.ResidualMap.residual(np.diag(slopes), activation="identity", step=step)


# --- moments ------------------------------------------------------------------------------------------


def test_means_and_spreads_are_those_of_each_class(trajectory, found):
    for i in range(3):
        x, y = trajectory.x[:, LABELS == i], trajectory.activations[:, LABELS == i]
        assert np.allclose(found.state_mean[:, i], x.mean(axis=1))
        assert np.allclose(found.state_spread[:, i], x.std(axis=1))
        assert np.allclose(found.residual_mean[:, i], y.mean(axis=1))
        assert np.allclose(found.residual_spread[:, i], y.std(axis=1))
        norms = np.linalg.norm(y, axis=-1)
        assert np.allclose(found.norm_mean[:, i], norms.mean(axis=1))
        assert np.allclose(found.norm_spread[:, i], norms.std(axis=1))
    assert found.of == "y"
    assert found.counts.tolist() == [10, 10, 10]


def test_total_variance_is_that_within_classes_and_between_them(trajectory, found):
    within = (found.state_spread**2).mean(axis=1)
    between = found.state_mean.var(axis=1)  # classes of equal size
    assert np.allclose(within + between, trajectory.x.var(axis=1))


def test_without_labels_all_states_are_one_class(trajectory):
    one = resdyn.transients(trajectory)
    assert one.classes.tolist() == ["all"]
    assert np.allclose(one.residual_spread[:, 0], trajectory.y.std(axis=1))
    assert one.probe_x is None
    assert one.contribution_mean is None
    assert one.margin_contribution is None
    with pytest.raises(ValueError, match="no labels were shuffled"):
        one.null("probe_x")


def test_one_state_is_a_batch_of_one():
    system = resdyn.ResidualMap(np.eye(2))
    trajectory = resdyn.simulate(system, [0.5, -0.5], depth=3)
    one = resdyn.transients(trajectory)
    assert one.labels.shape == (1,)
    assert np.allclose(one.residual_mean[:, 0], trajectory.y)
    assert (one.residual_spread == 0).all()


def test_batch_axes_are_flattened(trajectory, found):
    square = resdyn.simulate(trajectory.system, trajectory.x0.reshape(5, 6, 4), depth=6)
    same = resdyn.transients(square, LABELS.reshape(5, 6), n_shuffles=10)
    assert np.allclose(same.residual_mean, found.residual_mean)
    assert np.array_equal(same.probe_x, found.probe_x)
    with pytest.raises(ValueError, match=r"labels has shape \(30,\), but the trajectory has a batch of shape \(5, 6\)"):
        resdyn.transients(square, LABELS)


def test_states_of_any_shape_keep_it():
    blur = resdyn.ResidualSystem(lambda t, x, _: x.mean(axis=(-1, -2), keepdims=True) - x, (2, 3, 3), step=0.5)
    x0 = RNG.normal(size=(12, 2, 3, 3))
    images = resdyn.simulate(blur, x0, depth=4)
    found = resdyn.transients(images, np.arange(12) % 2, readout=np.eye(18)[:2], n_shuffles=3)
    assert found.of == "f"
    assert found.residual_mean.shape == (5, 2, 2, 3, 3)
    assert np.allclose(found.residual_mean[:, 1], images.residuals[:, 1::2].mean(axis=1))
    assert np.isnan(found.saturated).all()
    assert np.allclose(found.logit_mean[:, 0, 1], images.x[:, ::2, 0, 0, 1].mean(axis=1))
    seen = resdyn.transients(images, np.arange(12) % 2, readout=lambda x: x[:, 0, 0, :2], probes=False)
    assert np.allclose(seen.contribution_mean, found.contribution_mean)
    assert found.to_dataset().residual_mean.dims == ("t", "class", "unit_0", "unit_1", "unit_2")


def test_order_of_states_does_not_matter(trajectory, found):
    order = RNG.permutation(30)
    again = resdyn.transients(
        resdyn.simulate(trajectory.system, trajectory.x0[order], depth=6), LABELS[order], probes=False
    )
    assert np.allclose(again.residual_mean, found.residual_mean)
    assert np.array_equal(again.settling_layer, found.settling_layer[order])


def test_drives_act_on_the_layer_they_belong_to():
    system = resdyn.ResidualMap(RNG.normal(size=(3, 3)))
    inputs = RNG.normal(size=(5, 8, 3))
    driven = resdyn.simulate(system, RNG.normal(size=(8, 3)), inputs=inputs)
    found = resdyn.transients(driven, np.arange(8) % 2, probes=False)
    assert np.allclose(found.residual_mean[:, 0], driven.y[:, ::2].mean(axis=1))


# --- settling -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("slope", "size", "tolerance"), [(-0.5, 1.0, 0.01), (-0.1, 3.0, 0.01), (-0.2, 1.0, 1e-3)])
def test_linear_network_settles_where_the_closed_form_says(slope, size, tolerance):
    depth = 100
    states = resdyn.simulate(linear([slope] * 2), [[size, size], [size / 10, -size / 10]], depth=depth)
    found = resdyn.transients(states, tolerance=tolerance).settling_layer
    ratio = 1 + slope
    amplitude = abs(slope) * np.array([size, size / 10])  # the residual is slope · x
    expected = np.log(ratio**depth + tolerance / amplitude) / np.log(ratio)  # :eq:`settling-layer`
    assert found.tolist() == np.maximum(0, np.ceil(expected)).astype(int).tolist()


def test_settled_states_stay_near_their_end(circles):
    network, points, labels, _ = circles
    long = resdyn.simulate(network.system, network.embed(points), depth=200)
    found = resdyn.transients(long, labels, probes=False)
    distance = np.abs(long.y - long.y[-1]).mean(axis=-1)
    settled = np.flatnonzero(found.settling_layer >= 0)
    assert len(settled) > 200  # most do
    for state in settled:
        layer = found.settling_layer[state]
        assert (distance[layer:, state] <= 0.01).all()
        assert layer == 0 or distance[layer - 1, state] > 0.01
    for i in range(2):
        layers = found.settling_layer[labels == i]
        assert found.class_settling_layer[i] == np.median(np.where(layers < 0, 999, layers))


def test_states_that_move_to_the_end_have_not_settled():
    drift = resdyn.ResidualSystem(lambda t, x, _: x, 1, step=0.05)  # f grows by 5 % per layer
    found = resdyn.transients(resdyn.simulate(drift, [[1.0], [2.0], [1e-9]], depth=60))
    assert found.settling_layer.tolist() == [-1, -1, 0]
    assert np.isnan(found.class_settling_layer[0])
    assert "1 of 3 stay within 0.01 of the last residual of this run." in repr(found)


def test_a_rest_must_last_a_tenth_of_the_run():
    # residuals 1 up to layer k, then 0, in a run of layers 0 to 39: the rest is 39 − k layers
    def pulse(last):
        f = np.where(np.arange(41) < last, 1.0, 0.0)
        f[40] = 7.0  # of a layer that there is not
        system = resdyn.ResidualSystem(lambda t, x, _: np.full_like(x, f[round(t)]), 1, depth=40)
        return resdyn.transients(resdyn.simulate(system, [[0.0]])).settling_layer[0]

    assert pulse(10) == 10
    assert pulse(35) == 35
    assert pulse(36) == -1


def test_a_rest_holds_three_saved_layers():
    run = resdyn.simulate(linear([-0.5]), [[1.0]], depth=60, save=20)
    assert resdyn.transients(run).settling_layer.tolist() == [-1]  # layers 20, 40 and 60 are two steps of saving
    run = resdyn.simulate(linear([-0.5]), [[1.0]], depth=80, save=20)
    assert resdyn.transients(run).settling_layer.tolist() == [20]


def test_the_end_of_a_drive_is_no_layer():
    # the drive is 0 at all layers but the last, whose value would be used once more after the end
    system = resdyn.ResidualMap(np.zeros((1, 1)), activation="identity")
    inputs = np.zeros((20, 1))
    assert resdyn.transients(resdyn.simulate(system, [[0.0]], inputs=inputs)).settling_layer.tolist() == [0]
    inputs[-1] = 1.0
    assert resdyn.transients(resdyn.simulate(system, [[0.0]], inputs=inputs)).settling_layer.tolist() == [-1]
    assert resdyn.transients(resdyn.simulate(system, [[0.0]], inputs=inputs[:1])).settling_layer.tolist() == [-1]


def test_settling_layer_is_counted_in_layers_not_in_saved_slots():
    thinned = resdyn.simulate(linear([-0.5]), [[1.0]], depth=40, save=4)
    # residuals 2^-(k+1): within 0.01 of the end from layer 6 on, of which layer 8 is the first saved
    assert resdyn.transients(thinned).settling_layer.tolist() == [8]


# --- saturation ---------------------------------------------------------------------------------------


def test_saturated_share_counts_units_at_either_end():
    far, near = 6.0, 4.0  # σ(6) = 0.9975 is saturated, σ(4) = 0.982 is not
    x0 = np.array([[far, far, near, 0.0], [-far, near, -near, 0.0], [near, near, near, near]])
    still = resdyn.simulate(resdyn.ResidualMap(np.eye(4)), x0, depth=1)
    found = resdyn.transients(still, [0, 0, 1], probes=False)
    assert found.saturated[0].tolist() == [(0.5 + 0.25) / 2, 0.0]
    tanh = resdyn.simulate(resdyn.ResidualMap(np.eye(4), activation="tanh"), x0, depth=1)
    # tanh(4) = 0.9993 is saturated, tanh(0) is not
    assert resdyn.transients(tanh, [0, 0, 1], probes=False).saturated[0].tolist() == [0.75, 1.0]
    relu = resdyn.simulate(resdyn.ResidualMap(np.eye(4), activation="relu"), x0, depth=1)
    assert np.isnan(resdyn.transients(relu).saturated).all()
    closed = resdyn.logistic_residuals(np.zeros((4, 4)))
    assert resdyn.transients(resdyn.simulate(closed, x0, depth=1)).saturated[0] == pytest.approx(0.25)


# --- separability -------------------------------------------------------------------------------------


def test_separability_is_that_of_the_probes(trajectory, found):
    generator = np.random.default_rng(0)
    folds = probes.stratified_folds(LABELS, 5, rng=generator)
    labellings = probes.shuffled_within_folds(LABELS, folds, 10, generator)
    for slot in (0, 3, 6):
        for what, values in (("x", trajectory.x[slot]), ("y", trajectory.activations[slot])):
            assert getattr(found, f"fisher_{what}")[slot] == pytest.approx(probes.fisher_ratio(values, LABELS))
            assert getattr(found, f"probe_{what}")[slot] == probes.probe_accuracy(values, LABELS, folds)
            null = [probes.fisher_ratio(values, shuffled) for shuffled in labellings[1:]]
            assert getattr(found, f"null_fisher_{what}")[slot] == pytest.approx(null)


def test_null_band_and_p_value_are_those_of_the_shuffles(found):
    mean, quantile = found.null("fisher_y")
    assert mean == pytest.approx(found.null_fisher_y.mean(axis=1))
    assert quantile == pytest.approx(np.quantile(found.null_fisher_y, 0.95, axis=1))
    expected = [
        (1 + sum(n >= f for n in null)) / 11 for f, null in zip(found.fisher_y, found.null_fisher_y, strict=True)
    ]
    assert found.p_value("fisher_y") == pytest.approx(expected)
    assert found.p_value("probe_x")[-1] == pytest.approx(1 / 11)  # the classes start one unit apart
    with pytest.raises(ValueError, match="'fisher_x' or 'fisher_y'"):
        found.null("fisher")


def test_labellings_that_tie_with_the_true_one_count_against_it():
    still = resdyn.simulate(linear([-0.5]), np.ones((12, 1)), depth=2)
    assert resdyn.transients(still, np.arange(12) % 2).p_value("fisher_x").tolist() == [1.0] * 3


def test_same_rng_same_result(trajectory, found):
    again = resdyn.transients(trajectory, LABELS, n_shuffles=10)
    assert np.array_equal(again.null_probe_x, found.null_probe_x)
    other = resdyn.transients(trajectory, LABELS, n_shuffles=10, rng=1)
    assert not np.array_equal(other.null_probe_x, found.null_probe_x)


def test_circles_separate_in_the_states_after_the_residuals_met(circles):
    _, _, labels, trajectory = circles
    found = resdyn.transients(trajectory, labels)
    # concentric circles: a line cannot tell them apart, so the probe is near chance in the input
    assert abs(found.probe_x[0] - 0.5) < 0.1
    assert found.probe_x[-1] > 0.9
    assert found.null("probe_x")[1][-1] < 0.65
    # residuals of both classes go to the same place, sums of residuals do not
    assert found.fisher_y[-1] < 0.5 * found.fisher_y.max()
    assert found.fisher_x[-1] == found.fisher_x.max()


# --- contributions ------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    seed=st.integers(0, 10**6),
    damping=st.floats(0, 1),
    gap=st.integers(1, 4),
    noise=st.sampled_from([0.0, 0.3]),
)
def test_contributions_add_up_to_the_gain_in_logits(seed, damping, gap, noise):
    rng = np.random.default_rng(seed)
    labels = np.arange(9) % 3
    system = resdyn.ResidualMap(rng.normal(size=(4, 4)), rng.normal(size=4), damping=damping, step=0.5)
    trajectory = resdyn.simulate(system, rng.normal(size=(9, 4)), depth=7, save=gap, noise=noise, rng=seed)
    weights, bias = rng.normal(size=(3, 4)), rng.normal(size=3)
    found = resdyn.transients(trajectory, labels, readout=(weights, bias), probes=False)
    gain = (trajectory.final - trajectory.x0) @ weights.T
    for i in range(3):
        assert np.allclose(found.contribution_mean[:, i].sum(axis=0), gain[labels == i].mean(axis=0), atol=1e-12)
        others = [j for j in range(3) if j != i]
        margin = (gain[:, i] - gain[:, others].mean(axis=1))[labels == i].mean()
        assert found.margin_contribution[:, i].sum() == pytest.approx(margin, abs=1e-12)
    assert np.allclose(found.logit_mean[0] + found.contribution_mean.sum(axis=0), found.logit_mean[-1], atol=1e-12)


def test_contribution_of_a_layer_is_the_readout_of_its_residual(circles):
    network, _, labels, trajectory = circles
    found = resdyn.transients(trajectory, labels, readout=network.readout, probes=False)
    shares = trajectory.system.step * trajectory.residuals[:-1] @ network.readout.weights.T
    for i in range(2):
        assert np.allclose(found.contribution_mean[:, i], shares[:, labels == i].mean(axis=1), atol=1e-12)
        assert np.allclose(found.contribution_spread[:, i], shares[:, labels == i].std(axis=1), atol=1e-12)


def test_damped_states_are_discounted_sums_of_activations():
    damping, step, T = np.linspace(0.0, 0.8, 6), 0.5, 6
    system = resdyn.ResidualMap(RNG.normal(size=(6, 3, 3)), damping=damping, gain=1.3, step=step)
    trajectory = resdyn.simulate(system, RNG.normal(size=(5, 3)))
    kept = 1 - step * damping
    expected = kept.prod() * trajectory.x0  # :eq:`discounted-residuals`
    for k in range(T):
        expected = expected + step * 1.3 * kept[k + 1 :].prod() * trajectory.y[k]
    assert np.allclose(trajectory.final, expected, atol=1e-12)


def test_readout_at_the_last_layer_is_the_network(circles):
    network, points, labels, trajectory = circles
    found = resdyn.transients(trajectory, labels, readout=network.readout, probes=False)
    assert found.readout_accuracy[-1] == (network.predict(points) == labels).mean()
    logits = network.readout(network.embed(points))
    assert np.allclose(found.logit_mean[0, 0], logits[labels == 0].mean(axis=0))


def test_flows_contribute_too():
    flow = resdyn.simulate(linear([-0.5, 0.2]), RNG.normal(size=(6, 2)), depth=4, method="RK45")
    found = resdyn.transients(flow, np.arange(6) % 2, readout=np.eye(2), probes=False)
    gain = flow.final - flow.x0
    assert np.allclose(found.contribution_mean.sum(axis=0)[1], gain[1::2].mean(axis=0))


def test_every_form_of_a_readout_says_the_same(circles):
    network, _, labels, trajectory = circles
    readout = network.readout
    expected = resdyn.transients(trajectory, labels, readout=readout, probes=False)
    for form in ((readout.weights, readout.bias), lambda x: x @ readout.weights.T + readout.bias):
        found = resdyn.transients(trajectory, labels, readout=form, probes=False)
        assert np.allclose(found.logit_mean, expected.logit_mean)
    bare = resdyn.transients(trajectory, labels, readout=readout.weights, probes=False)
    assert np.allclose(bare.contribution_mean, expected.contribution_mean)
    assert np.allclose(bare.logit_mean + readout.bias, expected.logit_mean)


@pytest.mark.parametrize(
    ("labels", "n_logits", "expected"),
    [
        ([0, 1, 2] * 10, 3, [0, 1, 2]),
        ([5, 7, 9] * 10, 10, [5, 7, 9]),
        (["a", "c", "b"] * 10, 3, [0, 1, 2]),
        ([1, 2, 3] * 10, 3, [0, 1, 2]),
        ([0.0, 1.0, 2.0] * 10, 5, [0, 1, 2]),
        ([0.0, 0.5, 1.0] * 10, 5, [-1, -1, -1]),
        ([0, 0, 0] * 10, 1, [0]),
    ],
)
def test_classes_find_their_logits(trajectory, labels, n_logits, expected):
    found = resdyn.transients(trajectory, labels, readout=RNG.normal(size=(n_logits, 4)), probes=False)
    assert found.true_logit.tolist() == expected
    unknown = expected[0] < 0 or n_logits == 1
    assert np.isnan(found.readout_accuracy).all() == unknown
    assert np.isnan(found.margin_contribution).all() == unknown


# --- what may go wrong --------------------------------------------------------------------------------


def test_states_that_diverge_count_nowhere():
    square = resdyn.ResidualSystem(lambda t, x, _: x**2, 1)
    x0 = RNG.uniform(-0.9, -0.1, size=(13, 1))
    x0[12] = 5.0
    labels = np.arange(13) % 2
    every = resdyn.transients(resdyn.simulate(square, x0, depth=12), labels, readout=[[1.0], [-1.0]], n_shuffles=5)
    kept = resdyn.simulate(square, x0[:12], depth=12)
    expected = resdyn.transients(kept, labels[:12], readout=[[1.0], [-1.0]], n_shuffles=5)
    assert every.included.tolist() == [True] * 12 + [False]
    assert every.settling_layer[12] == -1
    for name in ("residual_mean", "probe_x", "null_fisher_y", "contribution_mean", "readout_accuracy"):
        assert np.array_equal(getattr(every, name), getattr(expected, name)), name
    assert "1 state left the finite numbers and counts nowhere" in repr(every)


def test_residuals_of_legitimate_infinite_states_count():
    system = resdyn.logistic_residuals(-np.eye(2), step=0.5)
    z0 = system.from_residuals([[0.5, 0.5], [0.5, 1.0]])
    run = resdyn.simulate(system, z0, depth=3)
    found = resdyn.transients(run, readout=np.eye(2))
    assert found.included.tolist() == [True, True]
    assert np.allclose(found.residual_mean[:, 0], run.y.mean(axis=1))
    assert np.isposinf(found.state_mean[:, 0, 1]).all()
    assert np.isnan(found.state_spread[:, 0, 1]).all()
    labelled = resdyn.transients(
        resdyn.simulate(system, np.repeat(z0, 3, axis=0), depth=3), np.arange(6) % 2, readout=np.eye(2), n_shuffles=3
    )
    assert np.isfinite(labelled.probe_y).all()
    assert np.isnan(labelled.probe_x).all()
    assert np.isnan(labelled.readout_accuracy).all()
    assert repr(labelled)
    assert np.isfinite(resdyn.depth_rule(run).value)


def test_nothing_left_is_a_value():
    square = resdyn.ResidualSystem(lambda t, x, _: x**2, 1)
    x0 = np.array([[5.0], [6.0], [-0.5], [-0.6]])
    gone = resdyn.transients(resdyn.simulate(square, x0, depth=12), [0, 0, 1, 1], readout=[[1.0]])
    assert np.isnan(gone.residual_mean[:, 0]).all()
    assert np.isfinite(gone.residual_mean[:, 1]).all()
    assert np.isnan(gone.probe_x).all()
    assert np.isnan(gone.p_value("probe_x")).all()
    assert repr(gone)
    assert gone._repr_html_()
    lost = resdyn.transients(resdyn.simulate(square, x0[:2], depth=12), [0, 1], readout=[[1.0]], probes=False)
    assert repr(lost).endswith("2 states left the finite numbers and count nowhere.")
    assert lost._repr_html_()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"labels": [0, 1]}, ValueError, "one label per state"),
        ({"labels": [None] * 30}, TypeError, "numbers or words"),
        ({"labels": [7, *[0, 1] * 14, 0]}, ValueError, "class 7 has one state; leave it out, or pass probes=False"),
        ({"labels": LABELS, "n_shuffles": -1}, ValueError, "n_shuffles must be at least 0"),
        ({"labels": LABELS, "n_folds": 1}, ValueError, "n_folds must be at least 2"),
        ({"labels": LABELS, "ridge": 0.0}, ValueError, "ridge must be a finite number above 0"),
        ({"tolerance": -1.0}, ValueError, "tolerance must be"),
        ({"readout": np.ones((3, 5))}, ValueError, r"shape \(3, 5\).*need \(n_logits, 4\)"),
        ({"readout": (np.ones((3, 4)), np.ones(2))}, ValueError, "3 logits need one each"),
        ({"readout": (1, 2, 3)}, ValueError, "the tuple given has 3 entries"),
        ({"readout": lambda x: x[0]}, ValueError, r"returned shape \(4,\) for 30 states"),
    ],
)
def test_bad_input_is_explained(trajectory, options, error, match):
    with pytest.raises(error, match=match):
        resdyn.transients(trajectory, **options)


# --- storage and words --------------------------------------------------------------------------------


def test_result_survives_storage(found, trajectory, tmp_path):
    for i, result in enumerate(
        (found, resdyn.transients(trajectory), resdyn.transients(trajectory, LABELS.astype(str)))
    ):
        result.save(tmp_path / f"{i}.npz")
        loaded = resdyn.Transients.load(tmp_path / f"{i}.npz")
        assert repr(loaded) == repr(result)
        assert loaded.classes.tolist() == result.classes.tolist()
        for name in ("residual_mean", "probe_x", "contribution_mean", "null_probe_y"):
            stored, original = getattr(loaded, name), getattr(result, name)
            assert (stored is None and original is None) or np.array_equal(stored, original), name


def test_dataset_has_named_axes(found, trajectory):
    dataset = found.to_dataset()
    assert dict(dataset.sizes) == {
        "state": 30, "class": 3, "t": 7, "logit": 3, "gap": 6, "unit": 4, "shuffle": 10,
    }  # fmt: skip
    assert np.array_equal(dataset.residual_mean.sel({"class": 2, "t": 1.0}).values, found.residual_mean[2, 2])
    assert np.array_equal(dataset.margin_contribution.values, found.margin_contribution)
    assert "probe_x" not in resdyn.transients(trajectory).to_dataset()


def test_repr_and_table_hold_the_answer(circles):
    network, _, labels, trajectory = circles
    found = resdyn.transients(trajectory, labels, readout=network.readout)
    words = repr(found)
    assert words.startswith(
        "Transients of 'circles': residuals y of 300 states in 2 classes, layers 0 to 15 (16 saved)."
    )
    assert f"{(found.settling_layer >= 0).sum()} of 300 stay within 0.01 of the last residual of this run" in words
    assert f"{found.probe_x[-1]:.1%} at the last" in words
    assert f"The read-out is right for {found.readout_accuracy[-1]:.1%} at the last." in words
    header, rows = found._table()
    assert header == ["layer", "‖y‖", "saturated", "probe on x", "probe on y", "read-out right"]
    assert [row[0] for row in rows] == [0, 3, 6, 9, 12, 15]
    share = (np.minimum(trajectory.y[-1], 1 - trajectory.y[-1]) <= 0.01).mean()
    assert rows[-1][2] == f"{share:.1%}"


def test_memory_does_not_grow_with_the_square_of_the_units():
    import tracemalloc

    system = resdyn.ResidualSystem(lambda t, x, _: np.tanh(x), 4000)
    trajectory = resdyn.simulate(system, RNG.normal(size=(60, 4000)), depth=3)
    tracemalloc.start()
    resdyn.transients(trajectory, np.arange(60) % 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # one scatter matrix of 4000 units takes 128 MB; the states of one layer take 2 MB
    assert peak < 40e6


@pytest.mark.parametrize(
    ("options", "match"),
    [({"readout": "x"}, "readout must be weights"), ({"rng": "a", "labels": LABELS}, "rng must be a numpy Generator")],
)
def test_words_where_none_belong_are_named(trajectory, options, match):
    with pytest.raises(TypeError, match=match):
        resdyn.transients(trajectory, **options)


def test_transients_are_those_of_a_trajectory():
    with pytest.raises(TypeError, match="must be a Trajectory, but is 5"):
        resdyn.transients(5)
