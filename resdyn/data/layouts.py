"""Which folder is searched for the data sets, and which files their authors publish."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from resdyn._cache import cache_directory

VARIABLE = "RESDYN_DATA"


def data_folder(folder: str | os.PathLike[str] | None) -> tuple[Path, str]:
    """The folder to search, and in words why it is this one.

    One folder is searched, never a second: whoever names a folder wants these files, not others that happen to be
    in the cache.
    """
    if folder is not None:
        return Path(folder).expanduser(), "the folder argument"
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser(), f"named by {VARIABLE}"
    return cache_directory("data"), f"the user's cache, as {VARIABLE} is not set"


@dataclass(frozen=True)
class Layout:
    """The files of one data set.

    Attributes
    ----------
    name : str
        As :func:`resdyn.data.download` knows it.
    title : str
        As people know it.
    subfolder : str
        Where the files lie, below the data folder.
    splits : mapping of str to tuple of str
        The files of each split, in the order in which they are read.
    endings : tuple of str
        What may follow the name of a file, the preferred ending first.
    """

    name: str
    title: str
    subfolder: str
    splits: Mapping[str, tuple[str, ...]]
    endings: tuple[str, ...] = ("",)

    def locate(self, root: Path, file: str) -> Path | None:
        """Where this file lies, or None."""
        for ending in self.endings:
            path = root / self.subfolder / f"{file}{ending}"
            if path.is_file():
                return path
        return None

    def missing(self, root: Path) -> list[str]:
        """The files, of any split, that are not there."""
        files = dict.fromkeys(file for split in self.splits.values() for file in split)
        return [file for file in files if self.locate(root, file) is None]

    def find(self, split: str, folder: str | os.PathLike[str] | None) -> list[Path]:
        """The files of this split.

        Raises
        ------
        ValueError
            If there is no such split.
        FileNotFoundError
            If a file is missing: which, where it was searched, and what to do.
        """
        if split not in tuple(self.splits):
            choices = " or ".join(map(repr, self.splits))
            raise ValueError(f"split is {split!r}, but {self.title} has {choices}; pass one of these.")
        root, chosen = data_folder(folder)
        paths = {file: self.locate(root, file) for file in self.splits[split]}
        absent = [f"{self.subfolder}/{file}" for file, path in paths.items() if path is None]
        if absent:
            alternative = " (each with or without .gz)" if ".gz" in self.endings else ""
            call = f"{self.name!r}" if folder is None else f"{self.name!r}, folder={os.fspath(folder)!r}"
            raise FileNotFoundError(
                f"the {split} images of {self.title} are not all in {str(root)!r} ({chosen}); "
                f"missing: {', '.join(absent)}{alternative}. "
                f"Either name a folder that holds them, with the environment variable {VARIABLE} or folder=; "
                f"or fetch them from the network with resdyn.data.download({call})."
            )
        return [path for path in paths.values() if path is not None]


CIFAR10 = Layout(
    name="cifar10",
    title="CIFAR-10",
    subfolder="cifar-10-batches-py",
    splits={
        "train": (*(f"data_batch_{k}" for k in range(1, 6)), "batches.meta"),
        "test": ("test_batch", "batches.meta"),
    },
)

CIFAR100 = Layout(
    name="cifar100",
    title="CIFAR-100",
    subfolder="cifar-100-python",
    splits={"train": ("train", "meta"), "test": ("test", "meta")},
)

MNIST = Layout(
    name="mnist",
    title="MNIST",
    subfolder="MNIST/raw",
    splits={
        "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
    },
    endings=("", ".gz"),
)

LAYOUTS = {layout.name: layout for layout in (CIFAR10, CIFAR100, MNIST)}


def remedy(layout: Layout) -> str:
    """What to do about a file that is there but cannot be right."""
    return f"Delete it and take it from the published files again, e.g. with resdyn.data.download({layout.name!r})."
