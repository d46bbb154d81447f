"""Depth rules: closed forms of linear networks, the published definitions, and what comes of odd input."""

import numpy as np
import pytest

import resdyn

RNG = np.random.default_rng(0)


def linear(slopes, step):
    return resdyn.ResidualMap.residual(np.diag(slopes), activation="identity", step=step)


def geometric(ratio, n_layers, size=1.0):
    """Residuals C r^k of two states and three units, one array per layer."""
    return size * ratio ** np.arange(n_layers)[:, None, None] * np.ones((1, 2, 3))


@pytest.mark.parametrize(("ratio", "size", "threshold"), [(0.5, 1.0, 0.01), (0.9, 3.0, 0.02), (0.8, 1.0, 1e-3)])
def test_geometric_residuals_are_dropped_where_the_closed_form_says(ratio, size, threshold):
    rule = resdyn.depth_rule(geometric(ratio, 100, size), threshold=threshold)
    first_dropped = 1 + np.log(threshold / (size * (1 - ratio))) / np.log(ratio)  # :eq:`dropped-layers`
    assert rule.depth == int(np.ceil(first_dropped))
    assert rule.drop
    assert rule.deep_enough
    assert np.isnan(rule.differences[0])
    assert rule.differences[1:] == pytest.approx(size * (1 - ratio) * ratio ** np.arange(99), rel=1e-9)


def test_applying_the_rule_again_and_again_gives_its_depth():
    y = list(RNG.uniform(size=(4, 5, 3)))
    y += [y[-1] + 0.004 * k for k in range(1, 5)]
    once = resdyn.depth_rule(y)
    while (rule := resdyn.depth_rule(y)).drop:
        y.pop()
    assert len(y) == once.depth == rule.depth == 4


def test_only_the_last_difference_decides():
    # quiet in the middle, moving at the end: nothing to drop
    y = np.array([0.0, 1.0, 1.0, 1.0, 0.5])[:, None, None] * np.ones((1, 3, 2))
    rule = resdyn.depth_rule(y)
    assert (rule.drop, rule.depth, rule.value) == (False, 5, pytest.approx(0.5))


def test_a_network_without_movement_keeps_one_layer():
    assert resdyn.depth_rule(np.ones((6, 2, 2))).depth == 1
    single = resdyn.depth_rule(np.ones((1, 2, 2)))
    assert (single.depth, single.drop) == (1, False)
    assert np.isnan(single.value)
    assert "nothing to compare" in repr(single)


def test_difference_is_per_unit_and_on_average_over_states():
    y = np.zeros((2, 2, 4))
    y[1] = [[0.04, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, -0.08]]
    assert resdyn.depth_rule(y).value == pytest.approx(0.015)  # (0.04 + 0.08) / (2 states × 4 units)


def test_trajectory_and_its_residuals_obey_the_same_rule():
    network = resdyn.systems.trained("circles")
    points, _ = resdyn.data.circles(100)
    trajectory = resdyn.simulate(network.system, network.embed(points), depth=15)
    found = resdyn.depth_rule(trajectory)
    given = resdyn.depth_rule(trajectory.activations[:-1])
    assert np.array_equal(found.differences, given.differences, equal_nan=True)
    assert found.n_layers == network.depth
    states = resdyn.depth_rule(trajectory, rule="hauser2019")
    assert np.array_equal(states.differences, resdyn.depth_rule(trajectory.x, rule="hauser2019").differences)


def test_layerwise_network_is_judged_by_the_layers_it_has():
    weights = RNG.normal(size=(4, 3, 3))
    weights[3] = weights[2] = 0.0  # the last two residuals are both 1/2
    trajectory = resdyn.simulate(resdyn.ResidualMap(weights), RNG.normal(size=(5, 3)))
    rule = resdyn.depth_rule(trajectory)
    assert (rule.n_layers, rule.value, rule.drop, rule.depth) == (4, 0.0, True, 3)


@pytest.mark.parametrize("n_layers", [10, 40])
def test_scaled_perturbation_of_a_linear_network_is_exact(n_layers):
    # every unit grows alike, so each layer moves the state by the share a h: :eq:`scaled-perturbation`
    trajectory = resdyn.simulate(linear([0.7] * 3, 1 / n_layers), RNG.normal(size=(20, 3)), depth=n_layers)
    rule = resdyn.depth_rule(trajectory, rule="hauser2019", threshold=0.05)
    assert rule.differences == pytest.approx(np.full(n_layers, 0.7 / n_layers), rel=1e-9)
    assert rule.deep_enough == (n_layers == 40)
    assert not rule.drop
    assert rule.depth == 14  # 0.7 / 0.05, whichever network says so
    absolute = resdyn.depth_rule(trajectory, rule="hauser2019", magnitude="absolute")
    moved = np.linalg.norm(np.diff(trajectory.x, axis=0), axis=-1).mean(axis=1)
    assert absolute.differences == pytest.approx(moved)
    assert absolute.value == pytest.approx(moved.mean())


def test_stages_are_compared_within_and_not_across():
    states = [np.ones((3, 4)), 2 * np.ones((3, 4)), np.ones((3, 2, 2)), 1.5 * np.ones((3, 2, 2))]
    rule = resdyn.depth_rule(states, rule="hauser2019")
    assert rule.differences == pytest.approx([1.0, np.nan, 0.5], nan_ok=True)
    assert rule.value == pytest.approx(0.75)
    residuals = resdyn.depth_rule(states)
    assert residuals.differences == pytest.approx([np.nan, 1.0, np.nan, 0.5], nan_ok=True)
    assert resdyn.depth_rule(states[:3]).depth == 3  # the last layer has nothing to be compared with


def test_states_at_the_origin():
    states = np.zeros((3, 2, 2))
    assert resdyn.depth_rule(states, rule="hauser2019").value == 0.0
    states[2] = 1.0
    rule = resdyn.depth_rule(states, rule="hauser2019")
    assert rule.value == np.inf
    assert not rule.deep_enough
    assert rule.depth == 0


def test_states_that_diverge_are_left_out():
    square = resdyn.ResidualSystem(lambda t, x, _: x**2, 1)
    x0 = np.array([[-0.5], [5.0], [-0.25]])
    every = resdyn.simulate(square, x0, depth=12)
    kept = resdyn.simulate(square, x0[[0, 2]], depth=12)
    assert resdyn.depth_rule(every).value == resdyn.depth_rule(kept).value
    lost = resdyn.depth_rule(resdyn.simulate(square, [[5.0]], depth=12))
    assert not lost.drop
    assert np.isnan(lost.value)


def test_one_state_is_a_batch_of_one():
    trajectory = resdyn.simulate(linear([-0.5, -0.5], 1.0), [1.0, 2.0], depth=10)
    assert resdyn.depth_rule(trajectory).differences[1:] == pytest.approx(0.375 * 0.5 ** np.arange(9))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "match"),
    [
        ([np.ones(3)], {}, ValueError, "need a batch axis"),
        ([np.ones((3, 2)), np.ones((4, 2))], {}, ValueError, "the same states"),
        ([np.full((3, 2), np.nan)], {}, ValueError, "residuals holds NaN"),
        ([], {}, ValueError, "no layer to judge"),
        ([np.ones((3, 2))], {"rule": "hauser2019"}, ValueError, "at least two states"),
        (np.ones((3, 2, 2)), {"rule": "hauser"}, ValueError, "'lagzi2021' or 'hauser2019'"),
        (np.ones((3, 2, 2)), {"magnitude": "scaled"}, ValueError, "belongs to rule='hauser2019'"),
        (np.ones((3, 2, 2)), {"rule": "hauser2019", "magnitude": "big"}, ValueError, "'scaled' or 'absolute'"),
        (np.ones((3, 2, 2)), {"threshold": 0.0}, ValueError, "threshold must be a finite number above 0"),
    ],
)
def test_bad_input_is_explained(arguments, options, error, match):
    with pytest.raises(error, match=match):
        resdyn.depth_rule(arguments, **options)


def test_gaps_between_saved_layers_are_refused():
    trajectory = resdyn.simulate(linear([-0.5], 1.0), [[1.0]], depth=10, save=5)
    for rule in ("lagzi2021", "hauser2019"):
        with pytest.raises(ValueError, match="saved layers 0, 5.*save='all'"):
            resdyn.depth_rule(trajectory, rule=rule)


@pytest.mark.parametrize("rule", ["lagzi2021", "hauser2019"])
def test_result_is_stored_shown_and_exported(rule, tmp_path):
    found = resdyn.depth_rule(geometric(0.5, 20), rule=rule)
    found.save(tmp_path / "rule.npz")
    loaded = resdyn.DepthRule.load(tmp_path / "rule.npz")
    assert repr(loaded) == repr(found)
    assert np.array_equal(loaded.differences, found.differences, equal_nan=True)
    dataset = found.to_dataset()
    assert dataset.sizes["layer"] == found.n_layers
    assert float(dataset.value) == found.value
    assert dataset.attrs["rule"] == rule


def test_repr_says_what_to_do():
    assert repr(resdyn.depth_rule(geometric(0.5, 10))) == (
        "DepthRule lagzi2021 on 10 layers: the residuals of the last two differ by 0.00195 per unit < 0.01: "
        "drop the last layer. Without training in between, 7 would remain."
    )
    assert repr(resdyn.depth_rule(geometric(2.0, 3), rule="hauser2019")) == (
        "DepthRule hauser2019 on 2 layers: a layer moves the state by 1 on average (scaled) ≥ 0.01: not deep enough. "
        "If this falls as 1/layers, 200 layers reach the threshold."
    )


def test_layers_are_counted_from_the_input():
    system = resdyn.ResidualMap(np.eye(2))
    late = resdyn.simulate(system, np.zeros((3, 2)), depth=4, transient=5)
    for rule in ("lagzi2021", "hauser2019"):
        with pytest.raises(ValueError, match="begins at layer 5; simulate again with transient=0"):
            resdyn.depth_rule(late, rule=rule)


def test_a_number_is_no_list_of_layers():
    with pytest.raises(TypeError, match="layers must be a Trajectory or one array per layer, but is 5"):
        resdyn.depth_rule(5)
