"""Linearizations of trained units with their damping and without it, at the same states."""

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import resdyn
from experiments.rothauge2019_linearization.linearized import states_between
from experiments.rothauge2019_linearization.material import net_and_images

Array = NDArray[Any]

ABOVE = 1.0 + 1e-6
"""Units without damping have many singular values that are 1 but for rounding, 1e-13: they are not above it."""
UNTRAINED = "untrained "
"""Nets that are built and not loaded: "untrained in", "untrained lambda-in", "untrained resnet"."""


def net_and_inputs(name: str, images: int, seed: int) -> tuple[Any, Array]:
    """A net in double precision, and what it sees of so many test images."""
    if name.startswith(UNTRAINED):
        kind: Any = name.removeprefix(UNTRAINED)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = resdyn.networks.resnet(
                14, order="pre", widths=(4, 6, 8), channels=1, interpolation=None if kind == "resnet" else kind
            ).eval()
        pixels = resdyn.data.digit_images("test").subset(slice(0, images)).pixels()
    else:
        net, pixels, _ = net_and_images(name, images)
    inputs = pixels if net.preprocessing is None else net.preprocessing(pixels)
    return net.double(), np.asarray(inputs, dtype=np.float64)


def without_damping(net: Any) -> Any:
    """A copy of a net with λ = 0 in every unit; all weights are kept."""
    copied = copy.deepcopy(net)
    for module in copied.modules():
        if isinstance(module, resdyn.networks.InterpolationCoefficient):
            with torch.no_grad():
                module.k.fill_(1.0 if module.kind == "in" else 0.0)
    return copied


def dampings(network: Any) -> Array:
    """λ of each unit."""
    with torch.no_grad():
        return np.array([1.0 - float(unit.module.gains()[0]) for unit in network.units])


def blocks(network: Any) -> list[tuple[int, int]]:
    """(place among all units, stage from 0) of each unit that keeps the shape."""
    stages = [s for s, stage in enumerate(network.stages) for _ in stage.units]
    return [(place, stages[place]) for place, unit in enumerate(network.units) if not unit.changes_shape]


def gains(unit: Any, x: Array, *, counted: bool) -> dict[str, Array]:
    """The largest singular value of a unit at a state, and the share above 1; NaN where it is not counted."""
    J = resdyn.networks.linearize(unit, x)
    above = J.count_above(ABOVE) / min(J.shape) if counted else np.nan
    return {"largest": np.array(J.triplets(1).values[0]), "above": np.array(above)}


def stage_exponent(stage: Any, x: Array) -> float:
    """The leading finite-time exponent of a stage from a state before its blocks, per block."""
    found = resdyn.finite_time_exponents(stage, x, n_exponents=1)
    return float(found.exponents[0])


class Pair:
    """A net unrolled as it is and with λ = 0, and the states of the first on some images."""

    def __init__(self, name: str, images: int, seed: int) -> None:
        net, inputs = net_and_inputs(name, images, seed)
        self.network = resdyn.networks.unroll(net, inputs[:1], dtype=torch.float64)
        self.without = resdyn.networks.unroll(without_damping(net), inputs[:1], dtype=torch.float64)
        self.states = states_between(self.network, inputs)
        self.dampings = dampings(self.network)

    def of_block(self, place: int, image: int, *, counted: bool) -> dict[str, Array]:
        """Gains of one unit, and of the same without its damping (alike where it has none)."""
        x = self.states[place][image]
        with_it = gains(self.network.units[place], x, counted=counted)
        undamped = gains(self.without.units[place], x, counted=counted) if self.dampings[place] else with_it
        return with_it | {f"undamped_{name}": value for name, value in undamped.items()}

    def of_stage(self, stage: int, image: int) -> dict[str, Array]:
        """Leading exponents of the blocks of a stage from one state before them."""
        first = sum(len(s.units) for s in self.network.stages[:stage]) + (self.network.stages[stage].entry is not None)
        x = self.states[first][image]
        own = stage_exponent(self.network.stages[stage], x)
        damped = self.dampings[first : first + len(self.network.stages[stage].blocks)].any()
        return {
            "exponent": np.array(own),
            "undamped_exponent": np.array(stage_exponent(self.without.stages[stage], x) if damped else own),
        }
