"""A residual MLP that grows: new blocks begin as identities, so that growth does not change what the net says."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments.hauser2019_perturbation.nets import beginning

Array = NDArray[Any]


def doubled(net: Any, seed: int) -> Any:
    """A net of twice as many blocks that computes the same: after each block comes one that adds nothing yet."""
    architecture = {**net.architecture, "blocks": 2 * net.architecture["blocks"], "initial": "zero"}
    deeper = beginning(architecture, seed)
    deeper.preprocessing = net.preprocessing
    deeper.stem.load_state_dict(net.stem.state_dict())
    deeper.head.load_state_dict(net.head.state_dict())
    for block, old in zip(deeper.stages[0].blocks[::2], net.stages[0].blocks, strict=True):
        block.load_state_dict(old.state_dict())
    return deeper


def grown(net: Any, data: str, depths: tuple[int, ...], settings: Any, watch: Any) -> dict[str, Array]:
    """Train, double and train on, to the last of the depths, each the double of the one before.

    Returns
    -------
    dict
        After each round what the watch found (its ``value``), and the accuracy on the test set.
    """
    magnitudes, accuracies = [], []
    for depth in depths:
        if depth != net.architecture["blocks"]:
            net = doubled(net, settings.seed)
        run = resdyn.networks.fit(net, data, settings, progress=False, callbacks=[watch])
        magnitudes.append(watch.found[-1].value)
        accuracies.append(run.accuracy[-1])
    return {"magnitudes": np.array(magnitudes), "accuracy": np.array(accuracies)}
