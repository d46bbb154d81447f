"""The shipped systems: trained networks, weight matrices, closed facts about the toys."""

import numpy as np
import pytest

import resdyn
from resdyn import systems

RNG = np.random.default_rng(0)


def test_digits_network_recognises_images_it_never_saw():
    network = systems.trained("digits")
    images, labels = resdyn.data.digits()
    test = network.test_index
    assert network.system.shape == (64,)
    assert network.depth == 15
    assert network.system.depth is None  # shared weights
    assert len(np.unique(test)) == len(test) == 360
    accuracy = (network.predict(images[test]) == labels[test]).mean()
    assert accuracy >= 0.95
    assert accuracy == pytest.approx(network.card["test_accuracy"], abs=1e-12)


def test_circles_network_tells_fresh_points_apart():
    network = systems.trained("circles")
    points, labels = resdyn.data.circles(5000, rng=123)
    assert network.system.shape == (3,)
    assert (network.predict(points) == labels).mean() >= 0.99


@pytest.mark.parametrize("name", ["digits", "circles"])
def test_prediction_is_embed_simulate_readout(name):
    network = systems.trained(name)
    inputs = RNG.uniform(size=(2, 5, network.card["inputs"]))
    states = network.embed(inputs)
    assert states.shape == (2, 5, *network.system.shape)
    final = resdyn.simulate(network.system, states, depth=network.depth).final
    scores = final @ network.readout.weights.T + network.readout.bias
    assert np.array_equal(network.readout(final), scores)
    assert np.array_equal(network.predict(inputs), scores.argmax(axis=-1))
    assert {"seed", "epochs", "test_accuracy", "command", "learning_rate"} <= set(network.card)


def test_embedding_scales_and_pads_with_zeros():
    network = systems.trained("circles")
    assert np.array_equal(network.embed([0.25, -1.0]), [0.25, -1.0, 0.0])


def test_trained_and_embed_refuse_what_they_do_not_know():
    with pytest.raises(ValueError, match="no trained network 'mnist'; there are circles, digits"):
        systems.trained("mnist")
    with pytest.raises(ValueError, match=r"states of shape \(2,\)"):
        systems.trained("circles").embed(np.zeros((4, 3)))


def test_weight_matrices_have_the_structure_they_name():
    n = 30
    assert np.array_equal(systems.symmetric_weights(n), systems.symmetric_weights(n).T)
    assert np.array_equal(systems.skew_weights(n), -systems.skew_weights(n).T)
    off = ~np.eye(n, dtype=bool)
    assert (systems.cooperative_weights(n)[off] > 0).all()
    assert (systems.competitive_weights(n)[off] < 0).all()
    W = systems.cyclic_weights(win=2.0, lose=3.0, self_limit=1.0)
    assert np.array_equal(W, [[-1, 2, -3], [-3, -1, 2], [2, -3, -1]])
    layers = systems.random_weights(400, scale=0.5, depth=2)
    assert layers.shape == (2, 400, 400)
    radius = np.abs(np.linalg.eigvals(layers[0])).max()
    assert radius == pytest.approx(0.5, rel=0.1)  # circular law, finite-size correction of order N^-1/2
    with pytest.raises(ValueError, match="n must be at least 1"):
        systems.random_weights(0)


def test_symmetric_weights_raise_their_energy_along_the_flow():
    W = systems.symmetric_weights(6, scale=3.0)
    system = resdyn.logistic_residuals(W, step=0.05)
    y = resdyn.simulate(system, RNG.normal(size=(200, 6)), depth=100, method="RK45", rtol=1e-9).y
    energy = np.einsum("tni,ij,tnj->tn", y, W, y) / 2
    assert np.diff(energy, axis=0).min() > -1e-7


def test_skew_weights_conserve_the_softplus_sum_along_the_flow():
    system = resdyn.logistic_residuals(systems.skew_weights(5, scale=3.0), step=0.1)
    z = resdyn.simulate(system, RNG.normal(size=(100, 5)), depth=100, method="RK45", rtol=1e-10, atol=1e-10).x
    total = np.logaddexp(0, z).sum(axis=-1)
    assert np.abs(total - total[0]).max() < 1e-6


def test_linear_map_grows_by_its_closed_form():
    system = systems.linear(a=0.1, omega=2.0, step=0.3)
    trajectory = resdyn.simulate(system, [1.0, -2.0], depth=30)
    growth = (1 - 0.1 * 0.3) ** 2 + (0.3 * 2.0) ** 2
    squared = (trajectory.x**2).sum(axis=-1)
    assert squared == pytest.approx(5.0 * growth ** np.arange(31), rel=1e-12)


def test_pitchfork_map_ends_on_the_cycle_of_the_theory_and_its_flow_at_one():
    h = 1.2
    system = systems.pitchfork(step=h)
    u, v = (np.sqrt(1 + 3 / h) - np.sqrt(1 - 1 / h)) / 2, (np.sqrt(1 + 3 / h) + np.sqrt(1 - 1 / h)) / 2
    ends = resdyn.simulate(system, [0.1], depth=400, save="all").x[-2:, 0]
    assert sorted(ends) == pytest.approx([u, v], rel=1e-9)
    assert resdyn.simulate(system, [0.1], depth=100, method="RK45").final[0] == pytest.approx(1.0, rel=1e-6)


def test_logistic_map_is_the_logistic_map():
    system = systems.logistic_map(r=3.2)
    x = resdyn.simulate(system, [0.3], depth=2000).x[:, 0]
    assert np.allclose(x[1:4], [3.2 * v * (1 - v) for v in x[:3]], rtol=1e-14)
    root = np.sqrt((3.2 - 3) * (3.2 + 1))
    assert sorted(x[-2:]) == pytest.approx([(4.2 - root) / 6.4, (4.2 + root) / 6.4], rel=1e-9)


def test_circles_lie_on_circles():
    points, labels = resdyn.data.circles(1001, noise=0.0, rng=3)
    radius = np.linalg.norm(points, axis=1)
    assert np.allclose(radius[labels == 0], 0.5)
    assert np.allclose(radius[labels == 1], 1.0)
    assert abs((labels == 0).sum() - (labels == 1).sum()) == 1
    noisy, labels = resdyn.data.circles(20000, noise=0.1)
    assert (np.linalg.norm(noisy, axis=1) - np.array([0.5, 1.0])[labels]).std() == pytest.approx(0.1, rel=0.03)
