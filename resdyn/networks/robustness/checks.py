"""Images, labels, radii and norms as attacks need them, or an error that says what to do."""

import math
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resdyn import _validation as validate

Norm = Literal["linf", "l2"]


def pixel_images(images: Any, name: str = "images") -> Tensor:
    """Images as a tensor of shape (n, C, H, W) with values from 0 to 1; float32 where they are in half precision.

    Raises
    ------
    TypeError
        If they are not floating-point numbers.
    ValueError
        If shape, range or values are wrong, or there is none.
    """
    tensor = _tensor(images, name)
    if not tensor.is_floating_point():
        raise TypeError(
            f"{name} have dtype {tensor.dtype}, but needed are values from 0 to 1; divide bytes by 255, or take "
            "ImageSet.pixels()."
        )
    if tensor.ndim != 4:
        raise ValueError(
            f"{name} have shape {tuple(tensor.shape)}, but need the axes (n, C, H, W); pass image[None] for a single "
            "one, and reshape rows of pixels."
        )
    if not tensor.numel():
        raise ValueError(f"{name} have shape {tuple(tensor.shape)}: there is none; pass at least one image.")
    require_pixels(float(tensor.min()), float(tensor.max()), name)
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def require_pixels(low: float, high: float, name: str = "images") -> None:
    """Refuse images whose smallest and largest values are not those of pixels from 0 to 1."""
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name} hold NaN or infinite values; pass finite pixels from 0 to 1.")
    if low < 0 or high > 1:
        what = "pass pixels; what normalises them belongs into preprocessing" if low < 0 else "divide bytes by 255"
        raise ValueError(f"{name} run from {low:.4g} to {high:.4g}, but pixels run from 0 to 1; {what}.")


def class_numbers(labels: Any, n: int, name: str = "labels") -> Tensor:
    """One class number for each of n images, as int64."""
    if labels is None:
        raise TypeError(f"{name} are None, but an attack needs the class of each image; pass {n} class numbers.")
    tensor = _tensor(labels, name)
    if tensor.ndim == 2 and len(tensor) == n and tensor.shape[1] > 1:
        raise ValueError(
            f"{name} have shape {tuple(tensor.shape)}, as one-hot vectors have; pass class numbers, "
            f"{name}.argmax(axis=1)."
        )
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise TypeError(f"{name} have dtype {tensor.dtype}, but class numbers are integers; convert them first.")
    tensor = tensor.to(torch.int64)  # torch has no order of unsigned integers; those that do not fit become negative
    if tuple(tensor.shape) != (n,):
        raise ValueError(f"{name} have shape {tuple(tensor.shape)}, but {n} images need one each, shape ({n},).")
    if int(tensor.min()) < 0:
        raise ValueError(f"{name} hold {int(tensor.min())}, but classes are numbered from 0.")
    return tensor


def require_classes(n: int, labels: Tensor, name: str = "labels") -> None:
    """Refuse labels that are none of n classes."""
    if int(labels.max()) >= n:
        raise ValueError(
            f"{name} hold {int(labels.max())}, but the network has {n} classes, numbered from 0 to {n - 1}; pass the "
            "labels of the classes that it was trained for."
        )


def norm_word(norm: Any) -> Norm:
    """``"linf"`` or ``"l2"``; ``np.inf`` and 2 mean the same."""
    words: dict[Any, Norm] = {"linf": "linf", "l2": "l2", math.inf: "linf", 2: "l2"}
    try:
        return words[norm]
    except (KeyError, TypeError):
        raise ValueError(f"norm must be 'linf' (or np.inf) or 'l2' (or 2), but is {norm!r}.") from None


def pixel_radius(radius: Any, norm: Norm, shape: tuple[int, ...]) -> float:
    """A radius in pixel units, no larger than the cube of all images."""
    number = validate.nonnegative(radius, "radius")
    largest = 1.0 if norm == "linf" else math.sqrt(math.prod(shape))
    if number > largest:
        raise ValueError(
            f"radius is {number:g}, but images in [0, 1] are at most {largest:g} apart in the norm {norm}; radii are "
            f"in units of pixels from 0 to 1, so eight steps of a byte are 8/255, not 8."
        )
    return number


def as_array(tensor: Tensor) -> NDArray[Any]:
    """A NumPy array of its own."""
    return np.array(tensor.detach().cpu().numpy())


def _tensor(values: Any, name: str) -> Tensor:
    if isinstance(values, Tensor):
        # tensors of inference mode cannot take part in a gradient
        return values.clone() if values.is_inference() else values.detach()
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{name} must be a tensor or an array of numbers, but are a {type(values).__name__}; of an ImageSet take "
            "pixels() and labels."
        )
    # a copy: torch warns about arrays that cannot be written to, and about strides below zero
    return torch.from_numpy(np.array(array, order="C"))
