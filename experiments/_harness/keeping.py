"""Results in the repository: summaries and figures that a fresh clone reports, and numbers that tests expect."""

import fnmatch
from pathlib import Path
from typing import Any

from experiments._harness.experiment import RESULTS, ROOT, Experiment, experiments_in
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
    folder = experiment.folder(preset, results)
    summary, origin = read_json(folder / "summary.json"), read_json(folder / "provenance.json")
    if summary is None or origin is None:
        raise SystemExit(
            f"{experiment.paper}.{experiment.name} has no finished results of {preset!r} below {results.name!r}."
        )
    content = {"summary": summary, "provenance": origin}
    refuse_paths(content, f"{experiment.name}, {preset}")
    paths = [experiment.kept(preset, suffix) for suffix in (".json", ".png")]
    paths[0].parent.mkdir(exist_ok=True)
    with written_whole(paths[1]) as handle:
        handle.write((folder / "figure.png").read_bytes())
    write_json(paths[0], content)
    return paths


def keep_all(paper: str, *, root: Path = ROOT, results: Path = RESULTS) -> list[Path]:
    """All presets of all scripts of a paper that are done, but for those that take seconds anyway."""
    kept = []
    for experiment in experiments_in(paper, root):
        for preset in experiment.presets:
            done = (experiment.folder(preset, results) / "summary.json").is_file()
            if preset != "smoke" and done:
                kept += keep(experiment, preset, results)
    return kept


def expected_numbers(experiment: Experiment, summary: dict[str, Any]) -> dict[str, list[Any]]:
    """Entries of a summary that are to be the same elsewhere, each with its absolute tolerance."""
    found: dict[str, list[Any]] = {}
    for pattern, tolerance in experiment.tolerances.items():
        matching = {name: value for name, value in leaves(summary).items() if fnmatch.fnmatchcase(name, pattern)}
        if not matching:
            raise ValueError(f"no entry of the summary of {experiment.name} is called {pattern!r}.")
        found |= {name: [value, tolerance] for name, value in matching.items()}
    return found


def write_expected(
    paper: str, *, presets: tuple[str, ...] = ("smoke",), root: Path = ROOT, results: Path = RESULTS
) -> Path:
    """Write ``expected.json`` of a paper: its smoke presets are run, others taken from what is kept."""
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
    path = root / paper / "expected.json"
    refuse_paths(content, path.name)
    write_json(path, content)
    return path


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
