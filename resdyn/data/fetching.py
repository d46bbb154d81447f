"""Download of the published files: resumed where it broke off, and checked before it counts."""

import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resdyn.data.layouts import LAYOUTS, VARIABLE, Layout, data_folder

TIMEOUT = 30.0  # seconds without a byte, not for the whole file
CHUNK = 1 << 16


@dataclass(frozen=True)
class Source:
    """Where the files of a data set are published, and what they must be.

    Attributes
    ----------
    base_url : str
    hashes : mapping of str to str
        "algorithm:hexadecimal digits" of each file on the host.
    archive : str or None
        The file that holds all others; None where they are published one by one, each with ``.gz``.
    """

    base_url: str
    hashes: Mapping[str, str]
    archive: str | None = None


SOURCES = {
    "cifar10": Source(
        "https://www.cs.toronto.edu/~kriz/",
        {"cifar-10-python.tar.gz": "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"},
        archive="cifar-10-python.tar.gz",
    ),
    # Its authors publish an md5 sum only.
    "cifar100": Source(
        "https://www.cs.toronto.edu/~kriz/",
        {"cifar-100-python.tar.gz": "md5:eb9058c3a382ffc7106e4002c42a8d85"},
        archive="cifar-100-python.tar.gz",
    ),
    # The authors' own page is often closed; this copy is the one that torchvision reads. Only md5 sums are published.
    "mnist": Source(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
}


def download(
    name: str,
    folder: str | os.PathLike[str] | None = None,
    *,
    base_url: str | None = None,
    progress: bool = False,
) -> Path:
    """Fetch CIFAR-10, CIFAR-100 [krizhevsky2009]_ or MNIST [lecun1998]_ into the data folder, unless they are there.

    Every file is compared with its published checksum before it gets its name. When a connection breaks, what came
    stays in a file ending in ``.part``, and the next call fetches only the rest. Files that are there already are
    left as they are. Run one download at a time.

    Parameters
    ----------
    name : "cifar10", "cifar100" or "mnist"
        170 MB, 170 MB or 12 MB to fetch.
    folder : path, optional
        The data folder, made if missing; by default the one that :func:`resdyn.data.cifar10` reads.
    base_url : str, optional
        Another host of the same files, as the address of the folder that holds them.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Path
        The data folder: ``cifar10(folder=download("cifar10", ...))``.

    Raises
    ------
    ValueError
        If ``name`` is unknown, or what came is not the published file; it is deleted then.
    ConnectionError
        If the host cannot be reached, refuses, or breaks off.
    """
    if name not in tuple(SOURCES):
        choices = ", ".join(map(repr, SOURCES))
        raise ValueError(f"name is {name!r}, but only {choices} can be downloaded; pass one of these.")
    source, layout = SOURCES[name], LAYOUTS[name]
    root, _ = data_folder(folder)
    missing = layout.missing(root)
    if not missing:
        return root
    target = root / layout.subfolder
    url = (source.base_url if base_url is None else base_url).rstrip("/")
    if source.archive is None:
        target.mkdir(parents=True, exist_ok=True)
        for file in missing:
            _fetch(f"{url}/{file}.gz", target / f"{file}.gz", source.hashes[f"{file}.gz"], progress)
        return root
    root.mkdir(parents=True, exist_ok=True)
    archive = root / source.archive
    was_there = archive.exists()
    _fetch(f"{url}/{source.archive}", archive, source.hashes[source.archive], progress)
    _unpack(archive, root, layout, missing)
    if not was_there:
        archive.unlink()
    return root


def _fetch(url: str, target: Path, known_hash: str, progress: bool) -> None:
    """Bring one file under its name, once pooch has found its checksum right."""
    import pooch

    part = target.with_name(f"{target.name}.part")
    for again in (False, True):
        downloader = _Resuming(part, progress)
        try:
            pooch.retrieve(url, known_hash, fname=target.name, path=target.parent, downloader=downloader)
        except ValueError as error:
            part.unlink(missing_ok=True)
            # The fault may lie in the older part, of another version of the file or damaged: begin once more without.
            if downloader.resumed and not again:
                continue
            raise ValueError(
                f"what came from {url} is not the file that its authors published, and was deleted ({error}). "
                "Try again, or pass another host as base_url."
            ) from error
        part.unlink(missing_ok=True)
        return


class _Resuming:
    """A downloader for pooch that keeps an unfinished file and fetches only what it lacks.

    pooch deletes its own temporary file when a connection breaks; so the bytes are gathered in ``part``, and copied
    when complete. (Copied, not moved: another process that writes to the same part must not reach a checked file.)
    """

    def __init__(self, part: Path, progress: bool) -> None:
        self.part = part
        self.progress = progress
        self.resumed = False

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        import requests
        from urllib3.exceptions import HTTPError

        have = self.part.stat().st_size if self.part.exists() else 0
        try:
            if not (have and self._continue(url, have)):
                self._restart(url)
        except (requests.RequestException, HTTPError) as error:
            have = self.part.stat().st_size if self.part.exists() else 0
            kept = f"; the {have} bytes so far are kept in {str(self.part)!r}" if have else ""
            raise ConnectionError(
                f"the download of {url} failed ({type(error).__name__}: {error}){kept}. Call download again to go on; "
                f"without a network, bring the files from elsewhere and name their folder with {VARIABLE} or folder=."
            ) from error
        shutil.copy(self.part, output_file)  # with the usual permissions, which pooch's temporary file lacks

    def _continue(self, url: str, have: int) -> bool:
        """Fetch the bytes from ``have`` on; False if the host does not have them to give."""
        with self._request(url, {"Range": f"bytes={have}-"}) as response:
            if response.status_code == 416:
                # All had come, and only the check was missing; or the part is longer than the file.
                whole = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
                self.resumed = whole is not None and int(whole[1]) == have
                return self.resumed
            response.raise_for_status()
            self.resumed = response.status_code == 206
            self._store(response, have if self.resumed else 0)
        return True

    def _restart(self, url: str) -> None:
        with self._request(url, {}) as response:
            response.raise_for_status()
            self._store(response, 0)

    def _request(self, url: str, headers: dict[str, str]) -> Any:
        import requests

        return requests.get(url, headers={"Accept-Encoding": "identity", **headers}, stream=True, timeout=TIMEOUT)

    def _store(self, response: Any, have: int) -> None:
        import requests
        from tqdm import tqdm

        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else None
        bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=self.part.stem, disable=not self.progress)
        with bar, open(self.part, "ab" if have else "wb") as file:
            # Undecoded: some hosts label a .gz file as a zipped transfer, and it would be stored unzipped.
            while chunk := response.raw.read(CHUNK, decode_content=False):
                have += file.write(chunk)
                bar.update(len(chunk))
        # urllib3 before 2 takes a connection closed too early for the end of the file.
        if total is not None and have < total:
            raise requests.ConnectionError(f"it closed after {have} of {total} bytes")


def _unpack(archive: Path, root: Path, layout: Layout, missing: list[str]) -> None:
    """Bring the missing files out of the archive, complete or not at all."""
    with tempfile.TemporaryDirectory(dir=root, prefix=".unpacking-") as temporary:
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(temporary, filter="data")
        except tarfile.TarError as error:
            raise ValueError(f"{str(archive)!r} cannot be unpacked safely: {error}.") from error
        absent = layout.missing(Path(temporary))
        if absent:
            raise ValueError(f"{str(archive)!r} lacks {', '.join(absent)} in {layout.subfolder!r}.")
        unpacked, target = Path(temporary, layout.subfolder), root / layout.subfolder
        if not target.exists():
            os.rename(unpacked, target)
            return
        for file in missing:
            os.replace(unpacked / file, target / file)
