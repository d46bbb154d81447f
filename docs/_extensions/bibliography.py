r"""The bibliography: ``.. bibliography:: references.bib`` defines a citation for every entry of a BibTeX file.

Entries are then cited by key, as in ``[strogatz2015]_``, in pages and docstrings alike. A citation without an entry
ends the build; an entry that nobody cites is no fault.

The reader of BibTeX is a small one: values in braces, text in Unicode, authors as ``Last, First and Last, First``.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains import Domain
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

_ENTRY = re.compile(r"@(?P<kind>\w+)\s*\{\s*(?P<key>[A-Za-z0-9]+)\s*,")
_FIELD = re.compile(r"\s*(?P<name>\w+)\s*=\s*\{")


def read_bibtex(text: str) -> dict[str, dict[str, str]]:
    """The entries of a BibTeX file, by key; each with its fields, and its type as the field ``kind``.

    Raises
    ------
    ValueError
        For a key that comes twice, or a field that is not a value in balanced braces.
    """
    entries: dict[str, dict[str, str]] = {}
    for head in _ENTRY.finditer(text):
        key = head["key"]
        if key in entries:
            raise ValueError(f"the key {key!r} comes twice; give one of them a letter, as in {key + 'b'!r}.")
        entries[key] = {"kind": head["kind"].lower(), **dict(_fields(text, head.end(), key))}
    return entries


def _fields(text: str, position: int, key: str) -> Iterator[tuple[str, str]]:
    while field := _FIELD.match(text, position):
        end, depth = field.end(), 1
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        value = " ".join(text[field.end() : end - 1].split())
        yield field["name"].lower(), value.replace("{", "").replace("}", "")
        comma = re.compile(r"\s*,?").match(text, end)
        position = comma.end() if comma else end
    if not re.compile(r"\s*\}").match(text, position):
        raise ValueError(
            f"entry {key!r}: cannot read {text[position : position + 40]!r}; write fields as name = {{value}},"
        )


def _authors(field: str) -> str:
    names = []
    for author in re.split(r"\s+and\s+", field):
        last, _, first = author.partition(",")
        initials = " ".join("-".join(f"{part[0]}." for part in name.split("-")) for name in first.split())
        names.append(f"{initials} {last.strip()}".strip())
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _reference(entry: dict[str, str]) -> list[nodes.Node]:
    """One entry as a line of print, with its links."""
    line: list[nodes.Node] = [nodes.Text(_authors(entry["author"]) + ", ")]
    line.append(nodes.emphasis("", entry["title"]))
    for name in ("edition", "journal", "booktitle", "series", "institution", "publisher"):
        if name in entry:
            line.append(nodes.Text(f", {entry[name]}"))
    if "volume" in entry:
        line += [nodes.Text(" "), nodes.strong("", entry["volume"])]
        line.append(nodes.Text(f"({entry['number']})" if "number" in entry else ""))
    if "pages" in entry:
        line.append(nodes.Text(f", {entry['pages'].replace('--', '–')}"))
    line.append(nodes.Text(f" ({entry['year']})."))
    for name, site in (("doi", "https://doi.org/"), ("arxiv", "https://arxiv.org/abs/"), ("url", "")):
        if name in entry:
            label = f"{'arXiv' if name == 'arxiv' else name}:{entry[name]}" if site else entry[name]
            line += [nodes.Text(" "), nodes.reference("", label, refuri=site + quote(entry[name], safe=":/?=&.-"))]
    return line


class Bibliography(SphinxDirective):
    """The directive; its argument is the path of the BibTeX file, seen from the page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Define the citations, oldest first within a name as the keys sort."""
        _, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(path)
        try:
            entries = read_bibtex(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ExtensionError(f"{self.get_location()}: {self.arguments[0]}: {error}") from error
        return [self._citation(key, entry) for key, entry in sorted(entries.items())]

    def _citation(self, key: str, entry: dict[str, str]) -> nodes.citation:
        missing = [name for name in ("author", "title", "year") if name not in entry]
        if missing:
            raise ExtensionError(f"{self.arguments[0]}: entry {key!r} has no {', '.join(missing)}.")
        citation = nodes.citation("", nodes.label("", key), nodes.paragraph("", "", *_reference(entry)))
        self.set_source_info(citation)
        citation["names"].append(nodes.fully_normalize_name(key))
        self.state.document.note_citation(citation)
        self.state.document.note_explicit_target(citation, citation)
        # Sphinx warns of a citation that nobody uses; a bibliography may hold some
        self.env.get_domain("citation").citation_refs.setdefault(key, set()).add(self.env.docname)
        return citation


def _refuse_unknown(app: Sphinx, domain: Domain | None, node: Any) -> None:
    if domain is not None and domain.name == "citation":
        raise ExtensionError(
            f"{node.source}:{node.line}: [{node['reftarget']}]_ is not in the bibliography; add it to the .bib file."
        )


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("bibliography", Bibliography)
    app.connect("warn-missing-reference", _refuse_unknown, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
