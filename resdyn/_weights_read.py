"""Which files of weights a computation read: a record of what its results were made with."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_RECORDS: ContextVar[tuple[dict[str, str], ...]] = ContextVar("records of weights", default=())


@contextmanager
def weights_read() -> Iterator[dict[str, str]]:
    """The digest of each file of weights that is read within, by the file's name without its ending.

    Records may be nested: what an inner one notes, those around it note too.
    """
    record: dict[str, str] = {}
    token = _RECORDS.set((*_RECORDS.get(), record))
    try:
        yield record
    finally:
        _RECORDS.reset(token)


def note(path: Path) -> None:
    """Take a file into the records around; nothing is read where there is none."""
    records = _RECORDS.get()
    if records:
        digest = digest_of(path)
        for record in records:
            record[path.stem] = digest


def digest_of(path: Path) -> str:
    """The first 16 digits of the SHA-256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:16]
