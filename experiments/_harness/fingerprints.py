"""Whether stored arrays are those that the code would compute: a digest of the settings and of what computes.

Only what ``compute`` reaches in its module counts, as a syntax tree: comments, formatting, figures and summaries may
change without a new computation. Modules of ``experiments`` that it uses count whole. The package resdyn does not
count: ``--force`` computes again after a change there.
"""

import ast
import dataclasses
import hashlib
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments._harness.experiment import Experiment

HARNESS = Path(__file__).parent


def fingerprint(experiment: Experiment, config: Any) -> str:
    """Of settings and code."""
    settings = json.dumps(dataclasses.asdict(config), sort_keys=True)
    package = experiment.module.__name__.partition(".")[0]
    code = "\n".join(_reached(experiment.source, package, {"compute"}, set()))
    return hashlib.sha256(f"{settings}\n{code}".encode()).hexdigest()[:16]


def _reached(source: Path, package: str, wanted: set[str], seen: set[Path]) -> Iterator[str]:
    """The definitions of a module that these names reach, and the modules of the package that they import."""
    seen.add(source)
    tree = ast.parse(source.read_text(encoding="utf-8"))
    statements = {name: node for node in tree.body for name in _defined(node)}
    found: dict[int, ast.stmt] = {}
    open_names = list(wanted or statements)
    while open_names:
        node = statements.get(open_names.pop())
        if node is not None and node.lineno not in found:
            found[node.lineno] = node
            open_names += [inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    for _, node in sorted(found.items()):
        yield ast.dump(_without_docstrings(node))
        for path in _imported(node, package):
            if path not in seen and HARNESS not in path.parents:
                yield from _reached(path, package, set(), seen)


def _defined(node: ast.stmt) -> list[str]:
    """The names that a statement of a module gives a meaning."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [alias.asname or alias.name.partition(".")[0] for alias in names]
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.If() | ast.Try():
            return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return []


def _imported(statement: ast.stmt, package: str) -> Iterator[Path]:
    """Files of our modules that are imported somewhere in a statement."""
    for node in ast.walk(statement):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.partition(".")[0] == package and (path := _file(name)) is not None:
                yield path


def _file(name: str) -> Path | None:
    """Of a module; None for a package's empty file and for names that are no module."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # a name inside a module, not a module
        return None
    return None if spec is None or spec.origin is None else Path(spec.origin)


def _without_docstrings(node: ast.stmt) -> ast.stmt:
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(inner) is not None:
            inner.body = inner.body[1:]
    return node
