"""Data sets by their names."""

import os
from collections.abc import Callable, Mapping

from resdyn.data.images import ImageSet, cifar10, cifar100, mnist
from resdyn.data.toys import digit_images

READERS: Mapping[str, Callable[..., ImageSet]] = {
    "cifar10": cifar10,
    "cifar100": cifar100,
    "mnist": mnist,
    "digits": digit_images,
}


def image_set(name: str, split: str = "test", folder: str | os.PathLike[str] | None = None) -> ImageSet:
    """The images of a data set that resdyn reads, by its name; files of the other split are not looked for.

    Parameters
    ----------
    name : "cifar10", "cifar100", "mnist" or "digits"
        As in :func:`resdyn.networks.fit`.
    split : "test" or "train"
    folder : path, optional
        The data folder, as for :func:`resdyn.data.cifar10`; digits come with scikit-learn and have none.

    Raises
    ------
    ValueError
        If there is none of this name, or as the reader of the data set says.
    FileNotFoundError
        If its files are missing.
    """
    # a list is not hashable
    if name not in tuple(READERS):
        raise ValueError(f"data is {name!r}; there are {', '.join(map(repr, READERS))}. Others go in as ImageSet.")
    return READERS[name](split) if name == "digits" else READERS[name](split, folder)
