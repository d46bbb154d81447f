"""Computing or reloading: arrays.npz, summary.json, figure.png and .pdf, provenance.json in one folder."""

import errno
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

from numpy.typing import NDArray

from experiments._harness.experiment import RESULTS, Experiment
from experiments._harness.files import plain, read_json, write_json
from experiments._harness.fingerprints import Code, digest, fingerprint, settings_of
from experiments._harness.nets import replaced
from experiments._harness.provenance import Origin, provenance
from resdyn._locks import is_locked, locked
from resdyn._storage import read_npz, write_npz, written_whole
from resdyn._weights_read import weights_read

Array = NDArray[Any]
# until all is done, and those that outlast it
PARTIAL, PARTS = "partial", "parts"
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


class Run:
    """What ``compute`` is given: places for what is done so far, progress, words for the user.

    Parameters
    ----------
    results : Path
        The folder of the results of these settings.
    key : str
        Of settings and code.
    part_key : callable
        Of the code that makes a part, from the function that makes it and the frames that it is asked for in.
    """

    def __init__(
        self,
        results: Path,
        key: str = "work",
        part_key: Callable[[Callable[[], Any], Iterable[FrameType]], str | None] = lambda make, frames: None,
        *,
        quiet: bool = False,
    ) -> None:
        self.results, self.key, self.quiet = results, key, quiet
        self.earlier_seconds = 0.0
        self.used: set[Path] = set()
        self._part_key = part_key
        self._keys: dict[Any, str] = {}

    @cached_property
    def origin(self) -> Origin:
        """Which code works here, from the first time that this is asked for."""
        return Origin()

    @property
    def folder(self) -> Path:
        """For files of one's own, such as checkpoints.

        Kept if the work is stopped, found again by the same settings and the same code of all of ``compute``, removed
        when all is done.
        """
        folder = self.results / PARTIAL / self.key
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def part(self, name: str, make: Callable[[], dict[str, Array]], *, keep: bool = False) -> dict[str, Array]:
        """What ``make()`` returns, or what it returned when the work was stopped later on.

        It is found again by the same settings and the same code on the way to it (see
        :mod:`experiments._harness.fingerprints`): what stands behind it in ``compute`` may change. In a loop, what
        later statements of its body do to arrays in place does not count: a part is made from what is bound by name.

        Parameters
        ----------
        keep : bool
            Also when all is done, for what takes hours and is only the beginning, such as training.
        """
        path = self.results / (PARTS if keep else PARTIAL) / self._key_of(make) / f"{name}.npz"
        self.used.add(path)
        try:
            arrays, meta = read_npz(path, "part")
        except FileNotFoundError:
            pass
        except ValueError as error:
            self.log(f"computing {name} again: {error}")
        else:
            origin = meta.get("origin", {})
            others = replaced(origin.get("nets", {}))
            if not others:
                self.earlier_seconds += meta.get("seconds", 0.0)
                self.origin.add(origin)
                return arrays
            self.log(f"computing {name} again: {_trained_anew(others)}")
        here, start = self.origin, time.perf_counter()
        with weights_read() as nets:
            arrays = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        origin = here.here() | {"nets": nets}
        write_npz(path, arrays, {"kind": "part", "seconds": time.perf_counter() - start, "origin": origin})
        return arrays

    def _key_of(self, make: Callable[[], Any]) -> str:
        frames, frame = [], sys._getframe(2)
        while frame is not None:
            frames.append(frame)
            frame = frame.f_back  # type: ignore[assignment]
        site = (getattr(make, "__code__", make), *((frame.f_code, frame.f_lineno) for frame in frames))
        if site not in self._keys:
            self._keys[site] = self._part_key(make, frames) or self.key
        return self._keys[site]

    def progress(self, items: Iterable[Any], description: str) -> Iterator[Any]:
        """The items, with a bar on a terminal."""
        from tqdm.auto import tqdm

        yield from tqdm(items, desc=description, disable=True if self.quiet else None)

    def log(self, text: str) -> None:
        """A line for the user."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Finished:
    """A run that is done; ``reloaded`` says whether its arrays were there already."""

    folder: Path
    config: Any
    arrays: dict[str, Array]
    summary: dict[str, Any]
    provenance: dict[str, Any]
    reloaded: bool


def finished(
    experiment: Experiment,
    preset: str,
    *,
    config: Any = None,
    results: Path = RESULTS,
    force: bool = False,
    quiet: bool = False,
    figure: bool = True,
) -> Finished:
    """The results of a preset, or of other settings: reloaded where settings and code are those of the stored ones.

    Summary and figure are made from the arrays each time.

    Raises
    ------
    SystemExit
        While another process runs the same settings.
    """
    config = experiment.preset(preset) if config is None else config
    folder = experiment.folder(experiment.label(preset, config), results)
    code = Code(experiment)
    key = fingerprint(experiment, config, code)

    def part_key(make: Callable[[], Any], frames: Iterable[FrameType]) -> str | None:
        texts = code.of_part(make, frames)
        return None if texts is None else digest(settings_of(config), *texts)

    run = Run(folder, key, part_key, quiet=quiet)
    try:
        with held(folder) as free:
            if not free:
                raise SystemExit(
                    f"{experiment.paper}.{experiment.name}, {folder.name}, is being run by another process."
                )
            return _finished(experiment, config, run, force=force, figure=figure)
    except OSError as error:
        stored = None if force or error.errno not in READ_ONLY else _stored(run)
        if stored is None:
            raise
        # nothing is written, as nothing can be: the results are there
        summary = plain(experiment.module.summarize(config, stored[0]))
        return Finished(folder, config, stored[0], summary, plain(stored[1]), reloaded=True)


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold the folder of a run; False if another process does.

    Where the system has no locks (Windows) it is always free: do not run the same settings twice at a time there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(_lock(folder), stays=False) as free:
        yield free


def is_held(folder: Path) -> bool:
    """Whether a process runs these settings; nothing is written."""
    return is_locked(_lock(folder))


def _lock(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def has_parts(folder: Path) -> bool:
    """Whether work was begun here, and something of it is kept."""
    return any(path.is_file() for path in (folder / PARTIAL).rglob("*"))


def _finished(experiment: Experiment, config: Any, run: Run, *, force: bool, figure: bool) -> Finished:
    folder = run.results
    stored = None if force else _stored(run)
    if stored is None:
        if force:
            # from nothing; and if it is stopped, the next run goes on with it and not with what was there before
            (folder / "provenance.json").unlink(missing_ok=True)
            for name in (PARTIAL, PARTS):
                shutil.rmtree(folder / name, ignore_errors=True)
        arrays, origin = _computed(experiment, config, run)
        write_npz(folder / "arrays.npz", arrays, {"kind": "arrays", "key": run.key})
        write_json(folder / "provenance.json", origin)
        for path in [path for path in folder.glob(f"{PARTS}/*/*") if path not in run.used]:
            path.unlink()
    else:
        arrays, origin = stored
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)
    summary = plain(experiment.module.summarize(config, arrays))
    write_json(folder / "summary.json", summary)
    if figure:
        _save_figure(experiment.module.plot(config, arrays, summary), folder)
    return Finished(folder, config, arrays, summary, plain(origin), stored is not None)


def _stored(run: Run) -> tuple[dict[str, Array], dict[str, Any]] | None:
    folder, key = run.results, run.key
    try:
        arrays, meta = read_npz(folder / "arrays.npz", "arrays")
    except FileNotFoundError:
        return None
    except ValueError as error:
        run.log(f"computing again: {error}")
        return None
    origin = read_json(folder / "provenance.json")
    if meta.get("key") != key or origin is None or origin.get("key") != key:
        run.log("computing again: the stored arrays are of other settings or of other code")
        return None
    others = replaced(origin.get("nets", {}))
    if others:
        run.log(f"computing again: {_trained_anew(others)}")
        return None
    return arrays, origin


def _computed(experiment: Experiment, config: Any, run: Run) -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays and where they come from; seconds count what parts took that were made earlier."""
    origin, start = run.origin, time.perf_counter()
    run.results.mkdir(parents=True, exist_ok=True)
    try:
        with weights_read() as nets:
            arrays = experiment.module.compute(config, run)
    except BaseException:
        _remove_empty(run.results)
        raise
    origin.nets |= nets
    seconds = run.earlier_seconds + time.perf_counter() - start
    return arrays, provenance(config, key=run.key, seconds=seconds, origin=origin)


def _trained_anew(nets: list[str]) -> str:
    return f"{', '.join(nets)} {'was' if len(nets) == 1 else 'were'} trained anew since"


def _remove_empty(folder: Path) -> None:
    """Folders in which nothing was written."""
    for path in sorted([folder, *folder.rglob("*")], reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _save_figure(figure: Any, folder: Path) -> None:
    for suffix in ("png", "pdf"):
        with written_whole(folder / f"figure.{suffix}") as handle:
            figure.savefig(handle, format=suffix, dpi=150)
