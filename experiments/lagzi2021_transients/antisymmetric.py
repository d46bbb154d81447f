r"""Small nets trained alike with and without a constraint that takes attractors away.

On digits both begin with the same matrix A, and W is A or :math:`A - A^{\mathsf T}`; on circles see ``CIRCLES``.

With :math:`W = A - A^{\mathsf T}` the flow conserves :math:`E = \sum_i \log(1 + e^{z_i})`, because
:math:`\dot E = y^{\mathsf T} W y = 0`, and volumes of z, because :math:`w_{ii} = 0`; so no bounded set of z attracts
its neighbourhood. E is convex, so that one layer of the net never lowers it:
:math:`E(z + hWy) \ge E(z) + h\,y^{\mathsf T} W y = E(z)`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments.lagzi2021_transients.followed import CIRCLES_SEED, Followed, first_states, test_pixels

Array = NDArray[Any]
DEPTH = 15
CIRCLES_UNITS = 8
TRAINING_POINTS, TEST_POINTS = 500, 500
# the package's own beginning for nets without a constraint; from there antisymmetric nets are not fitted to circles
CIRCLES = {"free": (0.3, -3.0, 0.03), "antisymmetric": (1.0, -1.0, 0.01)}
"""Spread of the first weights, first bias, rate of learning: of a few that were tried, those that suit most seeds."""


def energy(z: Array) -> Array:
    """What antisymmetric weights conserve along the flow, of z with shape (…, N)."""
    return np.logaddexp(0, z).sum(axis=-1)


def trainings(data: str, kind: str, seed: int, epochs: int, samples: int) -> dict[str, Array]:
    """Weights before and after training, first states and labels of test samples: data "circles" or "digits"."""
    import torch

    from resdyn.networks import TrainingConfig, dense_resnet, fit

    torch.manual_seed(seed)
    if data == "circles":
        spread, bias, rate = CIRCLES[kind]
        net = dense_resnet(2, CIRCLES_UNITS, DEPTH, 2, spread=spread, bias=bias)
        train, test = (_points(n, k) for n, k in ((TRAINING_POINTS, seed), (TEST_POINTS, CIRCLES_SEED + 1000)))
        source: Any = (train, test)
    else:
        net, source, rate = dense_resnet(64, 64, DEPTH, 10), "digits", 3e-3
    if kind == "antisymmetric":
        torch.nn.utils.parametrize.register_parametrization(net.units[0], "weight", _antisymmetric())
    before = _weights(net, "before")
    config = TrainingConfig(
        epochs=epochs,
        batch_size=64,
        optimiser="adam",
        learning_rate=rate,
        weight_decay=0.0,
        schedule="one-cycle",
        seed=seed,
    )
    fit(net, source, config, device="cpu", progress=False)
    net = net.double()
    inputs, labels = test if data == "circles" else test_pixels("digits", samples)
    inputs = inputs if net.preprocessing is None else net.preprocessing(inputs)
    states = first_states(net, np.asarray(inputs[:samples], dtype=np.float64))
    return {**before, **_weights(net, "after"), "states": states, "labels": labels[:samples]}


def trained(name: str, arrays: dict[str, Array], when: str = "after") -> Followed:
    """The net that :func:`trainings` describes, "before" training or "after" it."""
    weights = {part: arrays[f"{when}_{part}"] for part in ("W", "b", "readout", "readout_bias")}
    system = resdyn.ResidualMap.residual(weights["W"], weights["b"], name=name)
    readout = resdyn.systems.Readout(weights["readout"], weights["readout_bias"])
    return Followed(name, system, DEPTH, readout, arrays["states"], arrays["labels"])


def _antisymmetric() -> Any:
    from torch import Tensor, nn

    class Antisymmetric(nn.Module):
        def forward(self, free: Tensor) -> Tensor:
            return free - free.T

    return Antisymmetric()


def _points(n: int, seed: int) -> tuple[Array, Array]:
    points, labels = resdyn.data.circles(n, rng=seed)
    return points.astype(np.float32), labels


def _weights(net: Any, when: str) -> dict[str, Array]:
    block = net.units[0]
    parts = {"W": block.weight, "b": block.bias, "readout": net.head.weight, "readout_bias": net.head.bias}
    return {f"{when}_{name}": value.detach().double().numpy().copy() for name, value in parts.items()}
