"""Where the arrays of a trace go while they are filled: memory, or files that are there when they are complete."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._memory import readable

Array = NDArray[Any]
Rows = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]

_INDEX = "trace.json"


class MemoryStore:
    """Arrays in memory."""

    def __init__(self, rows: Rows) -> None:
        self._arrays = {name: np.empty(shape, dtype) for name, (shape, dtype) in rows.items()}

    def write(self, name: str, begin: int, values: Array) -> None:
        """Some rows of an array."""
        self._arrays[name][begin : begin + len(values)] = values

    def arrays(self) -> dict[str, Array]:
        """All arrays."""
        return self._arrays

    def describe(self, meta: dict[str, Any]) -> None:
        """Nothing to write."""

    def __enter__(self) -> "MemoryStore":
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        pass


class DiskStore:
    """Arrays as ``.npy`` files of a folder, filled under a temporary name and renamed when complete.

    The description, ``trace.json``, is written last: where it is, everything is.
    """

    def __init__(self, folder: Path, rows: Rows, n_bytes: int) -> None:
        if not folder.parent.is_dir():
            raise FileNotFoundError(f"the folder {str(folder.parent)!r} does not exist; make it first.")
        if folder.is_dir() and all(file.name.endswith(".npy.tmp") for file in folder.iterdir()):
            # what a run left that was killed
            for file in folder.iterdir():
                file.unlink()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FileExistsError(f"{str(folder)!r} is there already and is no empty folder; choose another path.")
        free = shutil.disk_usage(folder.parent).free
        if n_bytes > free:
            raise OSError(
                f"the trace takes {readable(n_bytes)} on disk, but {readable(free)} are free in "
                f"{str(folder.parent)!r}; "
                "pass reduce= for statistics, fewer inputs, or less in keep=."
            )
        folder.mkdir(exist_ok=True)
        self._folder, self._rows = folder, rows
        self._open: dict[str, Array] = {}

    def __enter__(self) -> "DiskStore":
        for name, (shape, dtype) in self._rows.items():
            # "w+" of a map makes a file of zeros without writing them
            self._open[name] = np.lib.format.open_memmap(self._temporary(name), mode="w+", dtype=dtype, shape=shape)
        return self

    def write(self, name: str, begin: int, values: Array) -> None:
        """Some rows of an array."""
        self._open[name][begin : begin + len(values)] = values

    def arrays(self) -> dict[str, Array]:
        """All arrays."""
        return self._open

    def describe(self, meta: dict[str, Any]) -> None:
        """Give the files their names, and the description last."""
        for name, array in self._open.items():
            array.flush()  # type: ignore[attr-defined]
            os.replace(self._temporary(name), self._folder / f"{name}.npy")
        temporary = self._folder / f"{_INDEX}.tmp"
        temporary.write_text(json.dumps(meta))
        os.replace(temporary, self._folder / _INDEX)

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.clear()
        if error is not None:
            for file in self._folder.glob("*.tmp"):
                file.unlink()

    def _temporary(self, name: str) -> Path:
        return self._folder / f"{name}.npy.tmp"


def read_folder(folder: Path, kind: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays, mapped into memory, and the description of a folder that a :class:`DiskStore` filled."""
    try:
        meta = json.loads((folder / _INDEX).read_text())
        if meta["kind"] != kind:
            raise KeyError(kind)
        arrays = {file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in folder.glob("*.npy")}
    except FileNotFoundError:
        raise FileNotFoundError(f"{str(folder)!r} holds no complete trace: there is no {_INDEX} in it.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{str(folder)!r} is not a readable trace of resdyn: {error!r}.") from error
    return arrays, meta
