"""The trained nets that ship are what their cards say."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import resdyn.networks
from resdyn.networks import accuracy, load

WEIGHTS = Path(resdyn.networks.__file__).parent / "weights"
SHIPPED = sorted(path.stem for path in WEIGHTS.glob("*-seed*.safetensors"))
# one net of each data set is run on all test images: 10,000 images take ten seconds
RUN = [
    name
    for name in SHIPPED
    if name.endswith("-digits-seed0") or name in ("resnet20-cifar10-seed0", "dense-shared-mnist-seed0")
]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["resnet20", "in-resnet20", "lambda-in-resnet20"])
def test_the_three_nets_of_yang2020_ship_with_two_seeds(name, seed):
    net = load(f"{name}-cifar10-seed{seed}")
    assert net.architecture["depth"] == 20
    assert net.architecture["order"] == "pre"
    kinds = {"resnet20": None, "in-resnet20": "in", "lambda-in-resnet20": "lambda-in"}
    assert net.architecture.get("interpolation") == kinds[name]
    assert net.card["seed"] == seed


def test_what_ships_is_smaller_than_20_megabytes():
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) < 20e6


@pytest.mark.parametrize("name", SHIPPED)
def test_the_card_tells_how_a_net_was_trained(name):
    card = load(name).card
    lines = [json.loads(line) for line in (WEIGHTS / f"{name}.log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, card["epochs"] + 1))
    assert card["epochs"] == card["training"]["epochs"]
    assert card["seed"] == int(name.partition("-seed")[2])
    assert card["commit"]
    # the log was written in the precision of training, and before weights were rounded to float16
    assert card["accuracy"]["fraction"] == pytest.approx(lines[-1]["accuracy"], abs=0.01)
    assert np.isfinite([line["loss"] for line in lines]).all()


@pytest.mark.parametrize("name", RUN)
def test_a_net_gets_right_what_its_card_says(name):
    net = load(name)
    data = name.split("-")[-2]
    if data != "digits" and not os.environ.get("RESDYN_DATA"):
        pytest.skip("RESDYN_DATA names no folder with the real CIFAR-10 and MNIST")
    found = accuracy(net, data)
    assert found.total == net.card["accuracy"]["total"]
    # sums are rounded otherwise on another processor, which moves images on the border between two classes
    assert abs(found.right - net.card["accuracy"]["right"]) <= 2
