"""Computing or reloading: arrays.npz, summary.json, figure.png and .pdf, provenance.json in one folder."""

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from experiments._harness.experiment import RESULTS, Experiment
from experiments._harness.files import plain, read_json, write_json
from experiments._harness.fingerprints import fingerprint
from experiments._harness.provenance import provenance
from resdyn._storage import read_npz, write_npz, written_whole

Array = NDArray[Any]
PARTIAL = "partial"


class Run:
    """What ``compute`` is given: a folder for what is done so far, progress, words for the user.

    Attributes
    ----------
    folder : Path
        Kept if the work is stopped, found again by the same settings and code, removed when all is done.
    """

    def __init__(self, folder: Path, *, quiet: bool = False) -> None:
        self.folder, self.quiet = folder, quiet
        folder.mkdir(parents=True, exist_ok=True)

    def part(self, name: str, make: Callable[[], dict[str, Array]]) -> dict[str, Array]:
        """What ``make()`` returns, or what it returned when the work was stopped later on."""
        path = self.folder / f"{name}.npz"
        try:
            return read_npz(path, "part")[0]
        except FileNotFoundError:
            pass
        except ValueError as error:
            self.log(f"computing {name} again: {error}")
        arrays = make()
        write_npz(path, arrays, {"kind": "part"})
        return arrays

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
    with held(folder) as free:
        if not free:
            raise SystemExit(f"{experiment.paper}.{experiment.name}, {folder.name}, is being run by another process.")
        return _finished(experiment, config, folder, force=force, quiet=quiet, figure=figure)


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold the folder of a run; False if another process does. The system frees it when its holder dies."""
    import fcntl

    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _finished(experiment: Experiment, config: Any, folder: Path, *, force: bool, quiet: bool, figure: bool) -> Finished:
    key = fingerprint(experiment, config)
    run = Run(folder / PARTIAL / key, quiet=quiet)
    stored = None if force else _stored(folder, key, run)
    if stored is None:
        if force:
            # from nothing; and if it is stopped, the next run goes on with it and not with what was there before
            (folder / "provenance.json").unlink(missing_ok=True)
            shutil.rmtree(run.folder)
            run.folder.mkdir()
        arrays, origin = _computed(experiment, config, run, key)
        write_npz(folder / "arrays.npz", arrays, {"kind": "arrays", "key": key})
        write_json(folder / "provenance.json", origin)
    else:
        arrays, origin = stored
    shutil.rmtree(folder / PARTIAL)
    summary = plain(experiment.module.summarize(config, arrays))
    write_json(folder / "summary.json", summary)
    if figure:
        _save_figure(experiment.module.plot(config, arrays, summary), folder)
    return Finished(folder, config, arrays, summary, plain(origin), stored is not None)


def _stored(folder: Path, key: str, run: Run) -> tuple[dict[str, Array], dict[str, Any]] | None:
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
    return arrays, origin


def _computed(experiment: Experiment, config: Any, run: Run, key: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays and where they come from; seconds count what earlier runs did."""
    clock = run.folder / "seconds.json"
    before, start = read_json(clock) or 0.0, time.perf_counter()
    try:
        arrays = experiment.module.compute(config, run)
    finally:
        write_json(clock, before + time.perf_counter() - start)
    return arrays, provenance(config, key=key, seconds=before + time.perf_counter() - start)


def _save_figure(figure: Any, folder: Path) -> None:
    for suffix in ("png", "pdf"):
        with written_whole(folder / f"figure.{suffix}") as handle:
            figure.savefig(handle, format=suffix, dpi=150)
