"""What can be trained on, as tensors: images with labels, or any inputs with labels."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resdyn.data import ImageSet, image_set

# far beyond any normalised pixel, and below the brightest byte of all but black images
_LARGEST = 50.0


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
        data = image_set(data, "train"), image_set(data, "test")
    is_pair_of_sets = isinstance(data, tuple | list) and len(data) == 2 and not _is_array(data[0])
    train, test = data if is_pair_of_sets else (data, None)
    found = samples(train, "training data"), None if test is None else samples(test, "test data")
    for part in found:
        if part is not None and not len(part):
            raise ValueError(f"{part.name!r} holds no samples; pass at least one.")
    return found


def check_range(of: Samples, preprocessing: Any) -> None:
    """Refuse images of floats that cannot be normalised already: bytes, and pixels for a net that normalises.

    Raises
    ------
    ValueError
        If values lie beyond ±50 (or what the net's ``preprocessing`` makes of black and white, if that is more), or
        all of them from 0 to 1 and the net has ``preprocessing`` that is not the identity.
    """
    if of.are_pixels or of.inputs.ndim != 4 or not of.inputs.numel():
        return
    low, high = (float(value) for value in of.inputs.aminmax())
    remedy = (
        "images of floats go to the net as they are, so they must be normalised already. Pass an ImageSet or images "
        "of uint8, which are normalised for you, or net.preprocessing(pixels) with pixels from 0 to 1."
    )
    if max(-low, high) > max(_LARGEST, _largest_normalised(preprocessing)):
        raise ValueError(
            f"{of.name!r} has images with values from {low:g} to {high:g}, which look like bytes; {remedy}"
        )
    if low >= 0 and high <= 1 and _changes_pixels(preprocessing):
        raise ValueError(
            f"{of.name!r} has images with values from {low:g} to {high:g}, which look like pixels, and "
            f"net.preprocessing is {preprocessing}; {remedy}"
        )


def _largest_normalised(preprocessing: Any) -> float:
    if preprocessing is None:
        return 0.0
    pairs = zip(preprocessing.mean, preprocessing.std, strict=True)
    return max(max(abs(mean), abs(1 - mean)) / std for mean, std in pairs)


def _changes_pixels(preprocessing: Any) -> bool:
    return preprocessing is not None and (set(preprocessing.mean), set(preprocessing.std)) != ({0.0}, {1.0})


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
