"""What can be trained on, as tensors: images with labels, or any inputs with labels."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resdyn.data import ImageSet, cifar10, cifar100, digits, mnist


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs and labels on one device.

    Attributes
    ----------
    inputs : tensor, shape (n, ...)
        uint8 for pixels, which are divided by 255 and normalised; else floats, as the net takes them.
    labels : int64 tensor, shape (n,)
    name : str
    sha256 : str
        Of the bytes of inputs and labels.
    """

    inputs: Tensor
    labels: Tensor
    name: str
    sha256: str

    @property
    def are_pixels(self) -> bool:
        """Whether the inputs are images of bytes."""
        return self.inputs.dtype == torch.uint8

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Samples":
        """The same on another device."""
        return Samples(self.inputs.to(device), self.labels.to(device), self.name, self.sha256)


def samples(data: Any, name: str = "data") -> Samples:
    """An :class:`resdyn.data.ImageSet`, or a pair (inputs, labels) of arrays, as tensors.

    Raises
    ------
    TypeError, ValueError
        If it is neither, or the labels do not fit.
    """
    if isinstance(data, Samples):
        return data
    if isinstance(data, ImageSet):
        return _tensors(data.images, data.labels, data.name)
    if isinstance(data, tuple | list) and len(data) == 2:
        inputs, labels = (np.asarray(a.detach().cpu() if isinstance(a, Tensor) else a) for a in data)
        if inputs.dtype.kind not in "fiub" or labels.dtype.kind not in "iu":
            raise TypeError(
                f"{name} has inputs of dtype {inputs.dtype} and labels of dtype {labels.dtype}; needed are numbers and "
                "integers."
            )
        if inputs.dtype.kind in "iu" and (inputs.dtype != np.uint8 or inputs.ndim != 4):
            raise TypeError(
                f"{name} has inputs of dtype {inputs.dtype} and shape {inputs.shape}; integers are read as images "
                "only, uint8 of shape (n, C, H, W), which are divided by 255 and normalised. Pass these, or floats, "
                "which the net takes as they are."
            )
        if inputs.dtype.kind == "f" and not np.isfinite(inputs).all():
            raise ValueError(f"{name} has inputs that are NaN or infinite; leave these samples out.")
        return _tensors(inputs if inputs.dtype == np.uint8 else inputs.astype(np.float32), labels, name)
    raise TypeError(
        f"{name} is a {type(data).__name__}; pass an ImageSet, such as resdyn.data.cifar10('train'), or a pair of "
        "arrays (inputs, labels)."
    )


def splits(data: Any) -> tuple[Samples, Samples | None]:
    """Training and test samples: of a name, of a pair of sets, or of a training set alone.

    Raises
    ------
    TypeError, ValueError
        If it is none of these, or a set is empty.
    """
    if isinstance(data, str):
        data = named(data)
    is_pair_of_sets = isinstance(data, tuple | list) and len(data) == 2 and not _is_array(data[0])
    train, test = data if is_pair_of_sets else (data, None)
    found = samples(train, "training data"), None if test is None else samples(test, "test data")
    for part in found:
        if part is not None and not len(part):
            raise ValueError(f"{part.name!r} holds no samples; pass at least one.")
    return found


def named(name: str) -> tuple[ImageSet, ImageSet]:
    """Training and test images of a data set that resdyn reads.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if name not in NAMES:
        raise ValueError(f"data is {name!r}; there are {', '.join(map(repr, NAMES))}. Others go in as ImageSet.")
    return NAMES[name]("train"), NAMES[name]("test")


def digit_images(split: str) -> ImageSet:
    """The digits of scikit-learn as images of 8×8 bytes: the first 1437 of a fixed order to train, 360 to test."""
    pixels, labels = digits()
    images = np.round(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    order = np.random.default_rng(0).permutation(len(images))
    places = order[:1437] if split == "train" else order[1437:]
    return ImageSet(images[places], labels[places], tuple("0123456789"), f"digits {split}")


NAMES: dict[str, Callable[[str], ImageSet]] = {
    "cifar10": cifar10,
    "cifar100": cifar100,
    "mnist": mnist,
    "digits": digit_images,
}


def _tensors(inputs: Any, labels: Any, name: str) -> Samples:
    if labels.shape != inputs.shape[:1]:
        raise ValueError(
            f"{name} has inputs of shape {inputs.shape} and labels of shape {labels.shape}; pass one label per input."
        )
    inputs, labels = np.array(inputs, order="C"), np.array(labels, dtype=np.int64)
    digest = hashlib.sha256(inputs.tobytes())
    digest.update(labels.tobytes())
    return Samples(torch.from_numpy(inputs), torch.from_numpy(labels), name, digest.hexdigest())


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | Tensor)
