"""Results on disk: one ``.npz`` without pickle, written whole or not at all."""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def write_npz(path: str | os.PathLike[str], arrays: dict[str, Array], meta: dict[str, Any]) -> Path:
    """Write arrays and a JSON description; the file appears complete or not at all."""
    target = Path(path)
    if target.suffix != ".npz":
        raise ValueError(f"results are stored as .npz, but the path is {str(target)!r}; end it in .npz.")
    objects = [name for name, array in arrays.items() if array.dtype.hasobject]
    if objects:
        raise TypeError(f"cannot store {', '.join(objects)} without pickle: object arrays.")
    with written_whole(target) as handle:
        np.savez(handle, allow_pickle=False, **arrays, meta=np.array(json.dumps(meta)))
    return target


@contextmanager
def written_whole(target: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of ``target`` when all is written, and vanishes if anything fails."""
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder {str(target.parent)!r} does not exist; make it first.")
    # beside the target, so that the rename is one step; not by tempfile, whose files only their owner may read
    temporary = target.with_name(f"{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as handle:
            yield handle
            # the rename must not reach the disk before the content does
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_npz(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and the description of a file that :func:`write_npz` wrote for this kind of result."""
    try:
        # opened here, because numpy leaves a damaged file open
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise FileNotFoundError(f"no file {str(path)!r}.") from None
    except Exception as error:
        raise ValueError(f"{str(path)!r} is not a readable .npz of resdyn: {error}") from error
    try:
        meta = json.loads(str(arrays.pop("meta")))
        found = meta["kind"]
    except (KeyError, ValueError, TypeError):
        raise ValueError(f"{str(path)!r} was not written by resdyn: it has no description.") from None
    if found != kind:
        raise ValueError(f"{str(path)!r} holds a {found}, not a {kind}.")
    return arrays, meta
