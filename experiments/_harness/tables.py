"""Tables of claims in README files and in pages of the docs, and one of all verdicts."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from experiments._harness.claims import Row, rows
from experiments._harness.experiment import ROOT, papers
from resdyn._storage import written_whole

HEADER = ("Claim", "Statement", "Paper", "Ours", "Preset", "Verdict")
WIDTHS = "12 22 13 32 8 13"
"""Of the columns on a page of the docs, in parts of a hundred: numbers take the most room."""
BELOW = "All numbers, commands and runs"
VERDICTS = ("confirmed", "qualified", "not confirmed", "measured", "not run")
OTHERS = "other"
Lines = Sequence[Sequence[str]]


def markdown(table: list[Row]) -> str:
    """The rows as a table of a README, and the command that says the rest."""
    keys = {row.claim.partition(" ")[0] for row in table}
    only = f" --paper {keys.pop()}" if len(keys) == 1 else ""
    lines = _piped([HEADER, *(row.cells for row in table)])
    return f"{lines}\n\n{BELOW}: `python -m experiments report --details{only}`."


def restructured(table: list[Row]) -> str:
    """The rows as a table of a page of the docs, and below it what belongs to each."""
    lines = [_listed([HEADER, *(row.cells for row in table)], WIDTHS), "", f".. rubric:: {BELOW}"]
    for row in table:
        lines += ["", f"``{row.claim.partition(' ')[2]}``"]
        lines += [f"   {_escaped(row.details)}", ""] if row.details else []
        lines += [f"   ``{row.command}``" + f" ({_escaped(row.origin)})" * bool(row.origin)]
    return "\n".join(lines)


def overview(root: Path = ROOT) -> Lines:
    """How many claims of each paper have which verdict, by what is kept."""
    lines: list[Sequence[str]] = [("Paper", "Claims", *VERDICTS, OTHERS)]
    for paper in papers(root):
        verdicts = [row.verdict for row in rows(paper, root=root, results=None)]
        counts = [sum(verdict.startswith(word) for verdict in verdicts) for word in VERDICTS]
        counts = [len(verdicts), *counts, len(verdicts) - sum(counts)]
        lines.append((paper.partition("_")[0], *map(str, counts)))
    return lines


def _piped(lines: Lines) -> str:
    """As Markdown."""
    ruled = [lines[0], ("---",) * len(lines[0]), *lines[1:]]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in ruled)


def _listed(lines: Lines, widths: str = "auto") -> str:
    """As reStructuredText."""
    cells = [f"   {'  ' if k else '* '}- {_escaped(cell)}" for line in lines for k, cell in enumerate(line)]
    return "\n".join([".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", "", *cells])


def _escaped(text: str) -> str:
    return re.sub(r"([\\*`|_])", r"\\\1", text)


FORMS: dict[str, Callable[[list[Row]], str]] = {".md": markdown, ".rst": restructured}
GRIDS: dict[str, Callable[[Lines], str]] = {".md": _piped, ".rst": _listed}


def marks(path: Path, word: str) -> tuple[str, str]:
    """The lines of a page between which a table stands."""
    begin, end = ("<!-- ", " -->") if path.suffix == ".md" else (".. ", "")
    return f"{begin}{word}: begin{end}", f"{begin}{word}: end{end}"


def pages(paper: str, root: Path = ROOT) -> list[Path]:
    """Where the table of a paper stands: its README, and its page in the docs if there is one."""
    page = root.parent / "docs" / "experiments" / f"{paper}.rst"
    return [root / paper / "README.md", *[page] * page.is_file()]


def front_pages(root: Path = ROOT) -> list[Path]:
    """Where the table of all verdicts stands, as far as they are there."""
    places = [root.parent / "README.md", root.parent / "docs" / "experiments" / "index.rst"]
    return [path for path in places if path.is_file()]


def table_in(path: Path, word: str = "claims") -> str:
    """What stands between the markers of a page."""
    return _split(path, word)[1].strip("\n")


def write_tables(paper: str, root: Path = ROOT) -> list[Path]:
    """Write the table of the kept results into the pages of a paper; returns those that changed."""
    table = rows(paper, root=root, results=None)
    return [path for path in pages(paper, root) if _written(path, "claims", FORMS[path.suffix](table))]


def write_overview(root: Path = ROOT) -> list[Path]:
    """Write the table of all verdicts into README and docs; returns those that changed."""
    lines = overview(root)
    return [path for path in front_pages(root) if _written(path, "verdicts", GRIDS[path.suffix](lines))]


def _written(path: Path, word: str, table: str) -> bool:
    """Whether that changed the page."""
    before, old, after = _split(path, word)
    new = f"\n\n{table}\n\n"
    if new != old:
        with written_whole(path) as handle:
            handle.write(f"{before}{new}{after}".encode())
    return new != old


def _split(path: Path, word: str) -> tuple[str, str, str]:
    """Up to the first marker and with it, between, and from the second one."""
    text = path.read_text(encoding="utf-8")
    begin, end = marks(path, word)
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{path.name} needs the lines {begin} and {end}, once each, where the table is to stand.")
    before, rest = text.split(begin)
    table, after = rest.split(end)
    return before + begin, table, end + after
