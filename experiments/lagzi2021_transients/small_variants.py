"""Small nets with shared weights, trained on digits from other beginnings: whether one attractor is a matter of these.

Optimiser, initial weights and the way from inputs to units are not said in the paper. Each is changed here, and the
corners are counted that the samples are at after thousands of layers.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import resdyn
from experiments.lagzi2021_transients import mnist_nets

Array = NDArray[Any]
Changes = dict[str, dict[str, Any]]

VARIANTS: tuple[tuple[str, Changes], ...] = (
    ("as ours", {}),
    ("bias 0", {"net": {"bias": 0.0}}),
    ("bias 0, weights N(0, 1/N)", {"net": {"bias": 0.0, "spread": 1.0}}),
    ("weights 0", {"net": {"spread": 0.0}}),
    ("learned input layer", {"net": {"embedding": "linear"}}),
    ("weight decay 0.001", {"training": {"weight_decay": 1e-3}}),
)
ARCHITECTURE = {"name": "dense_resnet", "inputs": 64, "units": 64, "depth": 15, "classes": 10, "shared": True}
# as dense-shared-digits-seed0
TRAINING = resdyn.networks.TrainingConfig(
    epochs=40, batch_size=64, optimiser="adam", learning_rate=3e-3, weight_decay=0.0, schedule="one-cycle"
)
SAMPLES, DEPTH, EVERY = 200, 5000, 1000


def corners_of_variant(i: int) -> dict[str, Array]:
    """Test error; how many corners the samples are at after so many layers, and the spread of their residuals."""
    changes = VARIANTS[i][1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = resdyn.networks.build({**ARCHITECTURE, **changes.get("net", {})})
        config = replace(TRAINING, **changes.get("training", {}))
        run = resdyn.networks.fit(net, "digits", config, progress=False)
    images = mnist_nets.equally_many(resdyn.data.digit_images("test"), SAMPLES)
    system = resdyn.networks.to_residual_map(net.eval())
    run_on = resdyn.simulate(system, mnist_nets.first_states(net, images), depth=DEPTH, save=EVERY)
    residuals = run_on.activations[1:]
    return {
        "error": np.array(1 - run.accuracy[-1]),
        "samples": np.array(len(images)),
        "layers": np.rint(run_on.t[1:]).astype(int),
        "distinct": np.array([len(np.unique(y > 0.5, axis=0)) for y in residuals]),
        "spread": residuals.std(axis=1).mean(axis=1),
    }
