"""The folder of a run: held by one process at a time, and free of what a killed one left half written."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "lock"


class RunElsewhere(RuntimeError):
    """Another process trains in this folder."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder, which is made if it is missing. The system frees it when its holder dies.

    Raises
    ------
    NotADirectoryError
        If it is a file.
    RunElsewhere
        If another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise NotADirectoryError(
            f"{str(folder)!r} cannot be a folder, since a file is in its place; name another."
        ) from None
    with locked(folder / LOCK) as free:
        if not free:
            raise RunElsewhere(
                f"another process trains in {str(folder)!r}; wait for its end and pass resume=True, or name another "
                "folder."
            )
        _remove_half_written(folder)
        yield


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a lock file, which stays where it is; False if another process holds it."""
    if os.name != "posix":
        yield True
        return
    import fcntl

    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            warnings.warn(
                f"{str(path)!r} cannot be locked ({error}); take care that no other process trains in this folder.",
                stacklevel=4,
            )
        yield True


def _remove_half_written(folder: Path) -> None:
    """What :func:`resdyn._storage.written_whole` had begun when its process was killed."""
    for pattern in ("epoch-*.safetensors.*.tmp", "log.jsonl.*.tmp", "run.npz.*.tmp"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
