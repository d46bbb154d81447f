"""The demo: its numbers against closed forms, and the whole run."""

import json
import sys

import numpy as np
import pytest

import resdyn
from experiments import demo

RNG = np.random.default_rng(0)


def test_residual_jacobians_are_derivatives():
    W, y = RNG.normal(size=(4, 4)), RNG.uniform(size=4)

    def speed(y):
        return y * (1 - y) * (W @ y)

    delta = 1e-6
    differences = np.stack([(speed(y + delta * e) - speed(y - delta * e)) / (2 * delta) for e in np.eye(4)], axis=1)
    assert np.allclose(demo.residual_jacobians(W, y[None])[0], differences, atol=1e-8)


def test_most_telling_unit_separates_the_classes():
    labels = np.array([0, 0, 1, 1])
    y = RNG.uniform(0.4, 0.6, (5, 4, 3))
    y[:, labels == 1, 2] += 0.3
    assert demo.most_telling_unit(y, labels) == 2


def test_whole_run_writes_figure_and_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["demo", "--out", str(tmp_path)])
    demo.main()
    printed = capsys.readouterr().out
    for name in ("digits", "circles"):
        numbers = json.loads((tmp_path / f"{name}.json").read_text())
        assert 0.95 <= numbers["test_accuracy"] <= 1.0
        assert f"test accuracy       {numbers['test_accuracy']:.4f}" in printed
        assert numbers["states_times_layers_per_second"] > 0
        assert len(numbers["residual_spread_per_layer"]) == numbers["layers"] + 1
        units = resdyn.systems.trained(name).system.shape[0]
        links, pairs = numbers["interactions"], numbers["relations"]
        assert links["helping"] + links["hindering"] == units * (units - 1)
        assert sum(pairs.values()) == units * (units - 1) // 2
        assert (numbers["equilibria"] is None) == (units > demo.ENUMERATED)
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")


def test_numbers_of_the_demo_are_those_of_the_network():
    numbers, trajectory, labels = demo.analyse("circles")
    network = resdyn.systems.trained("circles")
    points, expected = demo.test_data("circles", network)
    assert np.array_equal(labels, expected)
    assert numbers["test_accuracy"] == pytest.approx((network.predict(points) == labels).mean())
    assert numbers["residual_mean_per_layer"] == pytest.approx(trajectory.y.mean(axis=(1, 2)).tolist())
    assert numbers["equilibria"] == {"points": 11, "stable": 2}
    # from the settling layer on, residuals change by less than the threshold per layer and unit
    long = resdyn.simulate(network.system, network.embed(points), depth=demo.LONG).y
    change = np.abs(np.diff(long, axis=0)).mean(axis=(1, 2))
    settling = numbers["settling_layer"]
    assert (change[settling:-1] < numbers["settling_threshold"]).all()
    assert change[settling - 1] >= numbers["settling_threshold"]
    y = trajectory.y[-1]
    assert numbers["saturated_share_at_last_layer"] == pytest.approx((np.minimum(y, 1 - y) < 0.01).mean())
