"""Claims of papers beside our numbers: one row each, on the terminal, in README files and in pages of the docs."""

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from experiments._harness.experiment import RESULTS, ROOT, Experiment, experiments_in, papers
from experiments._harness.files import read_json
from resdyn._storage import written_whole

Summary = dict[str, Any]
NOT_RUN = "not run"
# it shows that the script works, on a network for which the paper claims nothing
NO_VERDICT = "no verdict from a smoke run"
# by file name ending
MARKERS = {
    ".md": ("<!-- claims: begin -->", "<!-- claims: end -->"),
    ".rst": (".. claims: begin", ".. claims: end"),
}
HEADER = ("Claim", "Statement", "Paper", "Ours", "Preset", "Verdict")


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
        Our numbers with their spread, from the summary.
    verdict : callable
        "confirmed", "qualified", "not confirmed" or another short judgement, from the numbers; thresholds have their
        reason beside them. It is not asked about a smoke run.
    presets : tuple of str
        That count, from the smallest to the largest; the row shows the largest that was run.
    """

    key: str
    statement: str
    paper: str
    script: str
    measured: Callable[[Summary], str]
    verdict: Callable[[Summary], str]
    presets: tuple[str, ...] = ("smoke", "laptop", "paper")


class Row(NamedTuple):
    """One line of the table."""

    claim: str
    statement: str
    paper: str
    ours: str
    preset: str
    verdict: str

    def __str__(self) -> str:
        """Beginning with the paper's key."""
        ours = self.ours if self.verdict == NOT_RUN else f"ours ({self.preset}): {self.ours}"
        return f"{self.claim} · {self.statement} · paper: {self.paper} · {ours} · {self.verdict}"


def claims_of(paper: str, root: Path = ROOT) -> tuple[Claim, ...]:
    """What ``claims.py`` of a paper says."""
    claims: tuple[Claim, ...] = importlib.import_module(f"{root.name}.{paper}.claims").CLAIMS
    return claims


def rows(paper: str, *, root: Path = ROOT, results: Path | None = RESULTS) -> list[Row]:
    """The claims of a paper, judged by the results of this machine and those that are kept; by these alone if None."""
    scripts = {experiment.name: experiment for experiment in experiments_in(paper, root)}
    return [_row(claim, scripts, paper.partition("_")[0], results) for claim in claims_of(paper, root)]


def _row(claim: Claim, scripts: dict[str, Experiment], key: str, results: Path | None) -> Row:
    if claim.script not in scripts:
        raise ValueError(f"claim {claim.key!r} reads {claim.script!r}, but there are only {', '.join(scripts)}.")
    head = (f"{key} {claim.key}", claim.statement, claim.paper)
    for preset in reversed(claim.presets):
        summary = summary_of(scripts[claim.script], preset, results)
        if summary is not None:
            verdict = NO_VERDICT if preset == "smoke" else claim.verdict(summary)
            return Row(*head, claim.measured(summary), preset, verdict)
    return Row(*head, "—", "—", NOT_RUN)


def summary_of(experiment: Experiment, preset: str, results: Path | None) -> Summary | None:
    """Of the results on this machine, or the one that is kept; None if the preset was not run."""
    own = None if results is None else read_json(experiment.folder(preset, results) / "summary.json")
    return own or (read_json(experiment.kept(preset, ".json")) or {}).get("summary")


def markdown(table: list[Row]) -> str:
    """The rows as a table of a README."""
    lines = [HEADER, ("---",) * len(HEADER), *table]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def restructured(table: list[Row]) -> str:
    """The rows as a table of a page of the docs."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for line in [HEADER, *table]:
        cells = [re.sub(r"([\\*`|_])", r"\\\1", cell) for cell in line]
        lines += [f"   {'  ' if k else '* '}- {cell}" for k, cell in enumerate(cells)]
    return "\n".join(lines)


FORMS = {".md": markdown, ".rst": restructured}


def pages(paper: str, root: Path = ROOT) -> list[Path]:
    """Where the table of a paper stands: its README, and its page in the docs if there is one."""
    page = root.parent / "docs" / "experiments" / f"{paper}.rst"
    return [root / paper / "README.md", *[page] * page.is_file()]


def table_in(path: Path) -> str:
    """What stands between the markers of a page."""
    return _split(path)[1].strip("\n")


def write_tables(paper: str, root: Path = ROOT) -> list[Path]:
    """Write the table of the kept results into the pages of a paper; returns those that changed."""
    table, changed = rows(paper, root=root, results=None), []
    for path in pages(paper, root):
        before, old, after = _split(path)
        new = f"\n\n{FORMS[path.suffix](table)}\n\n"
        if new != old:
            with written_whole(path) as handle:
                handle.write(f"{before}{new}{after}".encode())
            changed.append(path)
    return changed


def _split(path: Path) -> tuple[str, str, str]:
    """Up to the first marker and with it, between, and from the second one."""
    text = path.read_text(encoding="utf-8")
    begin, end = MARKERS[path.suffix]
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{path.name} needs the lines {begin} and {end}, once each, where the table is to stand.")
    before, rest = text.split(begin)
    table, after = rest.split(end)
    return before + begin, table, end + after


def report(paper: str | None = None, *, root: Path = ROOT, results: Path | None = RESULTS) -> list[Row]:
    """The rows of one paper or of all; a paper may be named by its key alone."""
    chosen = [name for name in papers(root) if paper is None or paper in (name, name.partition("_")[0])]
    if not chosen:
        raise SystemExit(f"there is no {paper!r}; papers are {', '.join(papers(root))}.")
    return [row for name in chosen for row in rows(name, root=root, results=results)]
