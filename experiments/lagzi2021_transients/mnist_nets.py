"""Dense nets on MNIST, or on small digits, the same before training, and the test images that are followed.

The first states are the images with zeros appended: a unit with a number below that of the pixels begins as its own
pixel. (How 784 inputs become 1064 units is not said in the paper.)
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run
from experiments._harness.nets import require, stored
from experiments.public_weights import trained_net

Array = NDArray[Any]
CLASSES = 10


def net_named(weights: str) -> Any:
    """A net of the plans of training.

    Raises
    ------
    SystemExit
        If it is not trained yet, with the command that trains it.
    """
    return trained_net(str(stored(weights)))


def untrained(net: Any) -> Any:
    """The same net with the weights that its training began with, which its seed tells."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(net.card["seed"])
        fresh = resdyn.networks.build(dict(net.architecture))
    fresh.preprocessing = net.preprocessing
    return fresh.eval()


def test_images(net: Any) -> Any:
    """MNIST for 784 inputs, else the digits of scikit-learn."""
    if net.architecture["inputs"] == 784:
        return resdyn.data.mnist("test")
    return resdyn.data.digit_images("test")


def equally_many(images: Any, n: int) -> Any:
    """The first ones of each class, as many of each, class by class."""
    each = n // CLASSES
    labels = np.asarray(images.labels)
    rows = [np.flatnonzero(labels == c)[:each] for c in range(CLASSES)]
    if each == 0 or min(map(len, rows)) < each:
        raise ValueError(f"{n} images are asked for, but there are not as many of each of {CLASSES} classes.")
    return images.subset(np.concatenate(rows))


def first_states(net: Any, images: Any) -> Array:
    """What the layers begin with, shape (n, N)."""
    with torch.no_grad():
        states: Array = net.stem(torch.as_tensor(net.preprocessing(images.pixels()))).double().numpy()
    return states


def read_out(net: Any) -> Array:
    """Weights of the classifier, shape (classes, N)."""
    weights: Array = net.head.weight.detach().double().numpy()
    return weights


def seeded(kind: str, seeds: tuple[int, ...]) -> tuple[str, ...]:
    """Names of the nets of one kind.

    Raises
    ------
    SystemExit
        If one is not trained yet, with the command that trains it.
    """
    names = tuple(f"{kind}-seed{seed}" for seed in seeds)
    require(*names)
    return names


def errors(names: tuple[str, ...], run: Run) -> Array:
    """Shares of test images that the nets get wrong."""

    def error(name: str) -> dict[str, Array]:
        net = net_named(name)
        found = resdyn.networks.accuracy(net, test_images(net))
        return {"error": np.array((found.total - found.right) / found.total)}

    return np.array([run.part(f"error-{name}", lambda name=name: error(name))["error"] for name in names])  # type: ignore[misc]
