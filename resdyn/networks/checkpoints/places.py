"""Where a network lies that is called by its name."""

import os
from pathlib import Path

from resdyn.data.layouts import data_folder
from resdyn.networks.checkpoints.files import SUFFIXES

SHIPPED = Path(__file__).parents[1] / "weights"


def locate(path_or_name: str | os.PathLike[str]) -> Path:
    """The file: the path itself, or what bears the name among our own networks or in the data folder.

    Raises
    ------
    TypeError
        If it is neither a word nor a path.
    FileNotFoundError
        If no network has this name; the message lists those that are there.
    """
    if not isinstance(path_or_name, str | os.PathLike):
        raise TypeError(f"path_or_name must be a path or a name, but is {path_or_name!r}.")
    path = Path(path_or_name).expanduser()
    is_name = isinstance(path_or_name, str) and len(path.parts) == 1 and path.suffix not in SUFFIXES
    if not is_name or path.is_file():
        return path
    root, chosen = data_folder(None)
    ours, theirs = _networks(SHIPPED), _networks(root / "weights")
    for found in (ours, theirs):
        if path_or_name in found:
            return found[path_or_name]
    raise FileNotFoundError(
        f"there is no network {path_or_name!r}. With resdyn come: {_listed(ours)}. "
        f"In {str(root / 'weights')!r} ({chosen}) there are: {_listed(theirs)}. Take one of these names, or give the "
        f"path of a file that ends in {', '.join(SUFFIXES)}. Weights of others are no part of resdyn: take a file from "
        "those who publish it, and name its path, or put it into the folder 'weights' of your data folder and set the "
        "environment variable RESDYN_DATA to the latter."
    )


def _networks(folder: Path) -> dict[str, Path]:
    """Files by name; of several of one name the one whose ending comes first."""
    if not folder.is_dir():
        return {}
    paths = [path for path in folder.iterdir() if path.suffix in SUFFIXES]
    return {path.stem: path for path in sorted(paths, key=lambda path: -SUFFIXES.index(path.suffix))}


def _listed(networks: dict[str, Path]) -> str:
    return ", ".join(sorted(networks)) or "none"
