"""The folder of a run: held by one process at a time, and free of what a killed one left half written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resdyn._locks import locked

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


def _remove_half_written(folder: Path) -> None:
    """What :func:`resdyn._storage.written_whole` had begun when its process was killed."""
    for pattern in ("epoch-*.safetensors.*.tmp", "log.jsonl.*.tmp", "run.npz.*.tmp"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
