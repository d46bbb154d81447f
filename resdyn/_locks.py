"""Files that one process holds at a time."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, *, stays: bool = True) -> Iterator[bool]:
    """Hold a lock file, which is made; False if another process holds it. The system frees it when its holder dies.

    Where the system has no such locks (Windows) it is always free; where the file system has none, a warning says so.

    Parameters
    ----------
    stays : bool
        Whether the file is left there afterwards.
    """
    try:
        import fcntl
    except ImportError:
        yield True
        return

    while True:
        with path.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            except OSError as error:
                warnings.warn(
                    f"{str(path)!r} cannot be locked ({error}); take care that no other process works in this folder.",
                    stacklevel=4,
                )
            # its last holder may have removed it since it was opened
            if not path.exists() or not os.path.samestat(os.fstat(handle.fileno()), path.stat()):
                continue
            try:
                yield True
            finally:
                if not stays:
                    path.unlink(missing_ok=True)
            return


def is_locked(path: Path) -> bool:
    """Whether it is held; nothing is written."""
    try:
        import fcntl

        handle = path.open()
    except (ImportError, FileNotFoundError, NotADirectoryError):
        return False
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
