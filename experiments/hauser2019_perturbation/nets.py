"""Residual nets of many depths: those of the plans of training, small ones that are trained here, and public ones."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run
from experiments._harness.nets import stored
from experiments.public_weights import trained_net

Array = NDArray[Any]

PUBLIC = {9: "resnet20-12fca82f", 27: "resnet56-4bfd9763"}
"""By their number of residual units."""
NAMES = {"mnist": "MNIST", "cifar10": "CIFAR-10", "digits": "digits"}
SETTLING = 1024
"""Images that settle the averages of batch norm in a net that was not trained."""


def trained(pattern: str, depth: int, seed: int) -> Any:
    """A trained net of a plan, or the public one of this depth.

    Raises
    ------
    SystemExit
        If it was not trained yet, with the command that trains it.
    """
    if pattern == "public":
        return trained_net(PUBLIC[depth])
    return trained_net(str(stored(name_of(pattern, depth, seed))))


def name_of(pattern: str, depth: int, seed: int) -> str:
    """Of the file of a net, without its ending."""
    return pattern.format(depth=depth, seed=seed)


def small(config: Any, blocks: int, seed: int) -> Any:
    """A residual MLP before its training, which normalises images as the training set asks for."""
    pixels = resdyn.data.image_set(config.data, "train").images
    architecture = {
        "name": "residual_mlp",
        "blocks": blocks,
        "inputs": int(pixels[0].size),
        "units": config.units,
        "classes": 10,
        "initial": config.initial,
    }
    net = beginning(architecture, seed)
    net.preprocessing = resdyn.networks.Preprocessing((pixels.mean() / 255,), (pixels.std() / 255,))
    return net


def trained_here(config: Any, blocks: int, seed: int, run: Run, preset: Any) -> Any:
    """A small residual MLP; its weights are kept, so that it is trained once."""
    net, training = small(config, blocks, seed), settings(preset, config.epochs, seed)

    def weights(net: Any = net, data: str = config.data, training: Any = training) -> dict[str, Array]:
        resdyn.networks.fit(net, data, training, progress=False)
        return {name: tensor.cpu().numpy() for name, tensor in net.state_dict().items()}

    take(net, run.part(f"net{blocks}-seed{seed}", weights, keep=True))
    return net


def settings(preset: Any, epochs: int, seed: int) -> Any:
    """Of training, for a net that knows its mean and deviation."""
    return replace(preset, epochs=epochs, seed=seed, mean=None, std=None)


def take(net: Any, weights: dict[str, Array]) -> None:
    """Give a net these weights, and put it into eval mode."""
    import torch

    net.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    net.eval()


def beginning(architecture: dict[str, Any], seed: int) -> Any:
    """A net as training finds it."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return resdyn.networks.build(dict(architecture)).eval()


def settled(net: Any, data: str) -> Any:
    """The net with the averages of its batch norm taken over training images, as training would have set them.

    Before training they are 0 and 1, whatever the states are, and blocks normalise nothing.
    """
    import torch

    norms = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    if norms:
        pixels = resdyn.data.image_set(data, "train").subset(slice(0, SETTLING)).pixels()
        inputs = torch.as_tensor(np.asarray(net.preprocessing(pixels), dtype=np.float32))
        for norm in norms:
            norm.momentum = None  # the mean over batches
        with torch.no_grad():
            net.train()
            for batch in inputs.split(128):
                net(batch)
    return net.eval()
