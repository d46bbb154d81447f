"""Claims of papers beside our numbers: one row each."""

import functools
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from experiments._harness.experiment import RESULTS, ROOT, Experiment, experiments_in, papers_named
from experiments._harness.files import read_json
from experiments._harness.fingerprints import fingerprint
from experiments._harness.nets import replaced

Summary = dict[str, Any]
NOT_RUN = "not run"
# what the paper gives where it gives no number
IN_WORDS = "in words only"
BEYOND = "beyond the paper"
CANNOT_BE_JUDGED = "cannot be judged"
OUT_OF_DATE = "out of date"
# it shows that the script works, on a network for which the paper claims nothing
NO_VERDICT = "no verdict from a smoke run"


@dataclass(frozen=True)
class Claim:
    """A statement of a paper and how a summary judges it.

    Attributes
    ----------
    key : str
        Short, of one paper: "most-values-are-one".
    statement : str
        In our words.
    paper : str
        The paper's number, or what it says in words.
    script : str
        Whose summary is read.
    measured : callable
        The numbers that decide, with their spread, from the summary, in at most ``LONGEST`` letters; None if it has
        nothing on this claim, such as another network: then a smaller preset is asked.
    verdict : callable
        "confirmed", "qualified", "not confirmed" or another short judgement, from the numbers; thresholds have their
        reason beside them. It is not asked about a smoke run.
    presets : tuple of str
        That count, from the smallest to the largest; the row shows the largest that was run. They need not be presets
        of all scripts: one network alone, which takes a GPU, may be a preset of its own ("resnet110").
    details : callable
        All numbers, with controls and sizes of samples: they stand below the table.
    beside : str or callable
        What stands in the row where none of them was run: words, or words from the summary of the largest other preset
        of the script that was ("not run" alone where there is none, or where they are empty).
    """

    key: str
    statement: str
    paper: str
    script: str
    measured: Callable[[Summary], str]
    verdict: Callable[[Summary], str]
    presets: tuple[str, ...] = ("smoke", "laptop", "paper")
    beside: str | Callable[[Summary], str | None] = ""
    details: Callable[[Summary], str] | None = None


NOTHING = "—"
# before a number that does not go on from a word or a range: −0.5, but layer-15, 2026-11-22
_HYPHEN = re.compile(r"(?<![\w.-])-(?=\d)")
LONGEST = 200
"""Letters of our numbers in a row: what one look takes in."""


@dataclass(frozen=True)
class Row:
    """One line of the table, and what stands below it."""

    claim: str
    statement: str
    paper: str
    ours: str
    preset: str
    verdict: str
    details: str = ""
    command: str = ""
    """Makes the numbers again, or for the first time."""
    origin: str = ""
    """Commit, date, time and machine of the run."""

    def __post_init__(self) -> None:
        """Numbers are written with a minus sign, as formulas are."""
        for name in ("statement", "paper", "ours", "verdict", "details"):
            object.__setattr__(self, name, _HYPHEN.sub("−", getattr(self, name)))

    @property
    def cells(self) -> tuple[str, ...]:
        """The columns of a table."""
        return self.claim, self.statement, self.paper, self.ours, self.preset, self.verdict

    def __str__(self) -> str:
        """Beginning with the paper's key."""
        ours = self.ours if self.preset == NOTHING else f"ours ({self.preset}): {self.ours}"
        return f"{self.claim} · {self.statement} · paper: {self.paper} · {ours} · {self.verdict}"

    @property
    def below(self) -> list[str]:
        """All numbers, the command, the run: what there is of them."""
        return [part for part in (self.details, self.command, self.origin) if part]


def claims_of(paper: str, root: Path = ROOT) -> tuple[Claim, ...]:
    """What ``claims.py`` of a paper says."""
    claims: tuple[Claim, ...] = importlib.import_module(f"{root.name}.{paper}.claims").CLAIMS
    return claims


def rows(paper: str, *, root: Path = ROOT, results: Path | None = RESULTS) -> list[Row]:
    """The claims of a paper, judged by the results of this machine and those that are kept; by these alone if None."""
    scripts = {experiment.name: experiment for experiment in experiments_in(paper, root, reading=True)}

    # claims of one script read one summary
    @functools.cache
    def found(experiment: Experiment, preset: str) -> Found | None:
        return summary_of(experiment, preset, results)

    return [_row(claim, scripts, paper.partition("_")[0], found) for claim in claims_of(paper, root)]


def _row(claim: Claim, scripts: dict[str, Experiment], key: str, summary_at: "Summaries") -> Row:
    if claim.script not in scripts:
        raise ValueError(f"claim {claim.key!r} reads {claim.script!r}, but there are only {', '.join(scripts)}.")
    head = (f"{key} {claim.key}", claim.statement, claim.paper)
    experiment = scripts[claim.script]
    command = f"python -m experiments.{experiment.paper}.{experiment.name} --preset {{}}".format
    for preset in reversed(claim.presets):
        found = summary_at(experiment, preset)
        if found is None:
            continue
        summary, words = found.summary, f"{preset} ({OUT_OF_DATE})" if found.out_of_date else preset
        # one claim that fails on one summary leaves the others to be read
        try:
            ours = claim.measured(summary)
            if ours is None:
                continue
            verdict = NO_VERDICT if preset == "smoke" else claim.verdict(summary)
            details = claim.details(summary) if claim.details else ""
        except Exception as error:
            ours, verdict, details = f"{type(error).__name__}: {error}", CANNOT_BE_JUDGED, ""
        if verdict == NOT_RUN:
            # what was run says only what stands beside the claim: the next preset would judge it
            larger = claim.presets[claim.presets.index(preset) + 1 :]
            return Row(*head, ours, NOTHING, NOT_RUN, command=command((*larger, preset)[0]))
        return Row(*head, ours, words, verdict, details, command(preset), run_in_words(found.origin))
    first = next((preset for preset in claim.presets if preset != "smoke"), "smoke")
    return Row(*head, _beside(claim, experiment, summary_at) or NOTHING, NOTHING, NOT_RUN, command=command(first))


def run_in_words(origin: Summary) -> str:
    """Where, when and from which commit, from the provenance."""
    known = [f"commit {origin['commit']}"] if origin.get("commit") else []
    known += [str(origin["date"])] if "date" in origin else []
    known += [f"{origin['seconds']:.0f} s"] if "seconds" in origin else []
    return ", ".join([*known, *filter(None, [origin.get("device")])])


def _beside(claim: Claim, experiment: Experiment, summary_at: "Summaries") -> str | None:
    if isinstance(claim.beside, str):
        return claim.beside
    for preset in reversed([name for name in experiment.presets if name not in (*claim.presets, "smoke")]):
        found = summary_at(experiment, preset)
        if found is not None:
            try:
                return claim.beside(found.summary)
            except Exception as error:
                return f"{type(error).__name__}: {error}"
    return None


class Found(NamedTuple):
    """A summary with its provenance, and whether settings, code or nets were changed since it was made."""

    summary: Summary
    out_of_date: bool
    origin: Summary


Summaries = Callable[[Experiment, str], Found | None]


def summary_of(experiment: Experiment, preset: str, results: Path | None) -> Found | None:
    """Of the results on this machine, or the one that is kept; None if the preset was not run.

    One that settings and code of today would make goes before one that is out of date.
    """
    folder = None if results is None else experiment.folder(preset, results)
    kept = read_json(experiment.kept(preset, ".json")) or {}
    found = [(kept.get("summary"), kept.get("provenance"))]
    if folder is not None:
        found.insert(0, (read_json(folder / "summary.json"), read_json(folder / "provenance.json")))
    known = [
        Found(summary, is_out_of_date(experiment, preset, origin), origin or {}) for summary, origin in found if summary
    ]
    return min(known, key=lambda one: one.out_of_date, default=None)


def is_out_of_date(experiment: Experiment, preset: str, origin: Summary | None) -> bool:
    """Whether results with this provenance would be computed anew: settings, code or trained nets are others.

    By the code alone where the settings of the preset are not known: it is the name of a folder beside those of presets
    ("smoke+images=6"), or the script cannot be imported here.
    """
    if origin is None:
        return True
    config = experiment.presets.get(preset) or origin.get("config")
    return origin.get("key") != fingerprint(experiment, config) or bool(replaced(origin.get("nets", {})))


def report(paper: str | None = None, *, root: Path = ROOT, results: Path | None = RESULTS) -> list[Row]:
    """The rows of one paper or of all; a paper may be named by its key alone."""
    return [row for name in papers_named(paper, root) for row in rows(name, root=root, results=results)]
