"""Labelled images, and the readers of CIFAR-10, CIFAR-100 and MNIST as their authors publish them."""

import os
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from resdyn.data.idx import read_idx
from resdyn.data.layouts import CIFAR10, CIFAR100, MNIST, remedy
from resdyn.data.pickled import read_batch, read_class_names

Array = NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images with their labels.

    Attributes
    ----------
    images : uint8 array, shape (n, C, H, W)
        Values from 0 to 255.
    labels : int64 array, shape (n,)
        Indices into ``classes``.
    classes : tuple of str
    name : str

    Raises
    ------
    TypeError
        If the images are not uint8 or the labels not integers.
    ValueError
        If shapes do not fit each other, or a label has no class.
    """

    images: Array
    labels: Array
    classes: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        images, labels = np.asarray(self.images), np.asarray(self.labels)
        if images.dtype != np.uint8:
            raise TypeError(f"images must be uint8, from 0 to 255, but have dtype {images.dtype}; convert them first.")
        if images.ndim != 4:
            raise ValueError(f"images have shape {images.shape}, but need the axes (n, C, H, W); reshape them first.")
        if labels.dtype.kind not in "iu":
            raise TypeError(f"labels must be integers, but have dtype {labels.dtype}; convert them first.")
        if labels.shape != images.shape[:1]:
            raise ValueError(
                f"labels have shape {labels.shape}, but {len(images)} images need shape ({len(images)},); "
                "pass one label for each image."
            )
        if labels.size and not (0 <= labels.min() and labels.max() < len(self.classes)):
            raise ValueError(
                f"labels run from {labels.min()} to {labels.max()}, but there are {len(self.classes)} classes; "
                f"pass labels from 0 to {len(self.classes) - 1}, or name more classes."
            )
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", labels.astype(np.int64, copy=False))
        object.__setattr__(self, "classes", tuple(self.classes))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        _, channels, height, width = self.images.shape
        kind = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
        n, k = len(self), len(self.classes)
        return (
            f"<ImageSet {self.name!r}: {n} {kind} image{'' if n == 1 else 's'} of {height}×{width} pixels "
            f"in {k} class{'' if k == 1 else 'es'}>"
        )

    def pixels(self, dtype: DTypeLike = np.float32) -> Array:
        """The images as numbers from 0 to 1, shape (n, C, H, W).

        Raises
        ------
        TypeError
            If ``dtype`` is not a floating-point type.
        """
        if np.dtype(dtype).kind != "f":
            raise TypeError(
                f"dtype is {np.dtype(dtype)}, but pixels from 0 to 1 need a floating-point type, e.g. np.float32; "
                "the integers from 0 to 255 are in .images."
            )
        return np.true_divide(self.images, 255, dtype=dtype)

    def subset(self, index: Any) -> "ImageSet":
        """The images at these places: a slice, an array of integers, a boolean mask, or one integer.

        Raises
        ------
        IndexError
            If there is no such place.
        """
        places = np.atleast_1d(np.arange(len(self))[index])
        return ImageSet(self.images[places], self.labels[places], self.classes, self.name)


def cifar10(split: str = "test", folder: str | os.PathLike[str] | None = None) -> ImageSet:
    """CIFAR-10, [krizhevsky2009]_: colour images of 32×32 pixels in ten classes, in the order of the files.

    Reads the official Python batches, ``cifar-10-batches-py/`` below the data folder. They are pickles; anything in
    them but arrays of bytes and plain Python values is refused unread.

    Parameters
    ----------
    split : "test" or "train"
        10,000 or 50,000 images.
    folder : path, optional
        The data folder. By default the one that the environment variable ``RESDYN_DATA`` names; without that,
        ``data`` in the user's cache. One folder is searched, not several.

    Returns
    -------
    ImageSet
        ``images`` has shape (n, 3, 32, 32): red, green, blue.

    Raises
    ------
    FileNotFoundError
        If files are missing; :func:`resdyn.data.download` fetches them.
    ValueError
        If ``split`` is unknown, or a file is damaged or forged.
    """
    *batches, meta = CIFAR10.find(split, folder)
    classes = read_class_names(meta)
    parts = [read_batch(path, len(classes)) for path in batches]
    images = np.concatenate([images for images, _ in parts])
    return ImageSet(images, np.concatenate([labels for _, labels in parts]), classes, f"CIFAR-10 {split}")


def cifar100(
    split: str = "test", folder: str | os.PathLike[str] | None = None, *, labels: Literal["fine", "coarse"] = "fine"
) -> ImageSet:
    """CIFAR-100, [krizhevsky2009]_: colour images of 32×32 pixels in 100 classes, in the order of the file.

    Reads the official Python files, ``cifar-100-python/`` below the data folder, with the same care as
    :func:`resdyn.data.cifar10`.

    Parameters
    ----------
    split : "test" or "train"
        10,000 or 50,000 images.
    folder : path, optional
        The data folder, as for :func:`resdyn.data.cifar10`.
    labels : "fine" or "coarse"
        The 100 classes, or the 20 superclasses of five classes each.

    Returns
    -------
    ImageSet
        ``images`` has shape (n, 3, 32, 32): red, green, blue.

    Raises
    ------
    FileNotFoundError
        If files are missing; :func:`resdyn.data.download` fetches them.
    ValueError
        If ``split`` or ``labels`` is unknown, or a file is damaged or forged.
    """
    if labels not in ("fine", "coarse"):
        raise ValueError(f"labels is {labels!r}; there are 'fine' (100 classes) and 'coarse' (20 superclasses).")
    batch, meta = CIFAR100.find(split, folder)
    classes = read_class_names(meta, layout=CIFAR100, key=f"{labels}_label_names")
    images, found = read_batch(batch, len(classes), layout=CIFAR100, key=f"{labels}_labels")
    return ImageSet(images, found, classes, f"CIFAR-100 {split}" + (" (superclasses)" if labels == "coarse" else ""))


def mnist(split: str = "test", folder: str | os.PathLike[str] | None = None) -> ImageSet:
    """MNIST, [lecun1998]_: handwritten digits as grey images of 28×28 pixels, in the order of the files.

    Reads the official IDX files, ``MNIST/raw/`` below the data folder, zipped or not.

    Parameters
    ----------
    split : "test" or "train"
        10,000 or 60,000 images.
    folder : path, optional
        The data folder, as for :func:`resdyn.data.cifar10`.

    Returns
    -------
    ImageSet
        ``images`` has shape (n, 1, 28, 28); 0 is the background.

    Raises
    ------
    FileNotFoundError
        If files are missing; :func:`resdyn.data.download` fetches them.
    ValueError
        If ``split`` is unknown, or a file is damaged.
    """
    image_file, label_file = MNIST.find(split, folder)
    images, labels = read_idx(image_file, 3), read_idx(label_file, 1)
    if images.shape[1:] != (28, 28):
        height, width = images.shape[1:]
        raise ValueError(
            f"{str(image_file)!r} holds images of {height}×{width} pixels, but MNIST has 28×28. {remedy(MNIST)}"
        )
    if len(labels) != len(images):
        raise ValueError(
            f"{str(image_file)!r} holds {len(images)} images, but {str(label_file)!r} {len(labels)} labels; "
            "they do not belong together. Take both from the published files again."
        )
    if labels.size and labels.max() > 9:
        raise ValueError(
            f"{str(label_file)!r} holds the label {labels.max()}, but labels run from 0 to 9. {remedy(MNIST)}"
        )
    # A copy: an array over the bytes of the file is read-only, which torch.from_numpy warns about.
    return ImageSet(images[:, None].copy(), labels.astype(np.int64), tuple("0123456789"), f"MNIST {split}")
