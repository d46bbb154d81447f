"""Trained nets and the test images that they never saw."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments.public_weights import trained_net

Array = NDArray[Any]


def net_and_images(weights: str, n: int, *, skip: int = 0) -> tuple[Any, Array, NDArray[np.int64]]:
    """A trained net, and pixels and labels of so many test images of the data that it was trained on."""
    net = trained_net(weights)
    images = test_images(net)
    if skip + n > len(images):
        raise ValueError(f"images {skip} to {skip + n - 1} are asked for, but there are {len(images)} test images.")
    chosen = images.subset(slice(skip, skip + n))
    return net, chosen.pixels(), np.asarray(chosen.labels, dtype=np.int64)


def test_images(net: Any) -> Any:
    """CIFAR-10 for nets that take colours, else the digits of scikit-learn."""
    if net.architecture["channels"] == 3:
        return resdyn.data.cifar10("test")
    return resdyn.data.digit_images("test")
