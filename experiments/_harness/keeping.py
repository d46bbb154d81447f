"""Results in the repository: summaries and figures that a fresh clone reports, and numbers that tests expect."""

import fnmatch
import sys
from pathlib import Path
from typing import Any

from experiments._harness.claims import is_out_of_date
from experiments._harness.experiment import RESULTS, ROOT, Experiment, experiments_in, papers_named
from experiments._harness.files import leaves, read_json, refuse_paths, write_json
from experiments._harness.running import finished
from resdyn._storage import written_whole


def keep(experiment: Experiment, preset: str, results: Path = RESULTS) -> list[Path]:
    """Copy summary, provenance and figure of a finished preset into the repository.

    Raises
    ------
    ValueError
        If they tell something about the machine that is not for others.
    """
    folder, name = experiment.folder(preset, results), f"{experiment.paper}.{experiment.name}"
    summary, origin = read_json(folder / "summary.json"), read_json(folder / "provenance.json")
    if summary is None or origin is None:
        raise SystemExit(f"{name} has no finished results of {preset!r} below {results.name!r}.")
    if is_out_of_date(experiment, preset, origin):
        raise SystemExit(f"the results of {name}, {preset}, are of other settings or of other code; run it again.")
    for commit in (origin.get("commit") or "").split(", "):
        if commit.endswith("+"):
            message = f"{name}, {preset}: made with files that are in no commit ({commit}), not reproducible"
            print(message, file=sys.stderr)
    content = {"summary": summary, "provenance": origin}
    refuse_paths(content, f"{experiment.name}, {preset}")
    paths = [experiment.kept(preset, suffix) for suffix in (".json", ".png")]
    paths[0].parent.mkdir(exist_ok=True)
    with written_whole(paths[1]) as handle:
        handle.write((folder / "figure.png").read_bytes())
    write_json(paths[0], content)
    return paths


def keep_all(paper: str, *, root: Path = ROOT, results: Path = RESULTS) -> list[Path]:
    """All presets of all scripts of a paper that are done, but for those that take seconds anyway.

    What is out of date is left out, and said.
    """
    kept = []
    for experiment in experiments_in(paper, root):
        for preset in experiment.presets:
            done = (experiment.folder(preset, results) / "summary.json").is_file()
            if preset != "smoke" and done:
                try:
                    kept += keep(experiment, preset, results)
                except SystemExit as reason:
                    print(reason, file=sys.stderr)
    return kept


def expected_numbers(experiment: Experiment, summary: dict[str, Any]) -> dict[str, list[Any]]:
    """Entries of a summary that are to be the same elsewhere, each with its absolute tolerance."""
    return {
        name: [value, tolerance]
        for pattern, tolerance in experiment.tolerances.items()
        for name, value in leaves(summary).items()
        if fnmatch.fnmatchcase(name, pattern)
    }


def write_expected(
    paper: str, *, presets: tuple[str, ...] = ("smoke",), root: Path = ROOT, results: Path = RESULTS
) -> Path:
    """Write ``expected.json`` of a paper: its smoke presets are run, others taken from what is kept."""
    (paper,) = papers_named(paper, root)
    content: dict[str, Any] = {}
    for experiment in experiments_in(paper, root):
        for preset in experiment.presets:
            summary: dict[str, Any] | None
            if preset in presets:
                summary = finished(experiment, preset, results=results, figure=False).summary
            else:
                summary = (read_json(experiment.kept(preset, ".json")) or {}).get("summary")
            if summary is not None:
                content.setdefault(experiment.name, {})[preset] = expected_numbers(experiment, summary)
        _refuse_idle_patterns(experiment, content.get(experiment.name, {}))
    path = root / paper / "expected.json"
    refuse_paths(content, path.name)
    write_json(path, content)
    return path


def _refuse_idle_patterns(experiment: Experiment, of_presets: dict[str, Any]) -> None:
    """A preset may lack what others have, such as a control; what none has is misspelt."""
    names = [name for numbers in of_presets.values() for name in numbers]
    for pattern in experiment.tolerances:
        if of_presets and not fnmatch.filter(names, pattern):
            raise ValueError(f"no entry of the summary of {experiment.name} is called {pattern!r}.")


def check(experiment: Experiment, preset: str, summary: dict[str, Any]) -> list[str] | None:
    """Where a run on this machine differs from ``expected.json``; None where nothing is expected of it."""
    expected = read_json(experiment.source.parent / "expected.json") or {}
    numbers = expected.get(experiment.name, {}).get(preset)
    return None if numbers is None else differences(numbers, summary)


def differences(expected: dict[str, list[Any]], summary: dict[str, Any]) -> list[str]:
    """Where a summary is not as expected, in words; empty where it is."""
    found, lines = leaves(summary), []
    for name, (value, tolerance) in expected.items():
        if name not in found:
            lines.append(f"{name} is missing")
        elif not _near(found[name], value, tolerance):
            lines.append(f"{name} is {found[name]!r}, expected {value!r} within {tolerance:g}")
    return lines


def _near(value: Any, expected: Any, tolerance: float) -> bool:
    numbers = all(isinstance(entry, int | float) and not isinstance(entry, bool) for entry in (value, expected))
    return abs(value - expected) <= tolerance if numbers else value == expected
