"""Whether stored arrays are those that the code would compute: digests of the settings and of what computes.

What ``compute`` reaches counts, in its module and, name by name, in the modules of ``experiments`` that it imports.
What only speaks does not: comments, docstrings (of fields too), labels of progress, lines for the user, messages of
errors; nor do figures, summaries and claims. Of a part (:meth:`Run.part`) only what makes it counts: the function that
it is given, and on the way there from ``compute`` the statements that stand before it and share a local name with it.

Names are followed as they are written: functions found by ``getattr`` or by a registry are not seen. The package resdyn
does not count (``--force`` computes again after a change there), but its digests are stored with the results and the
list of experiments says "other resdyn".
"""

import ast
import dataclasses
import functools
import hashlib
import importlib.util
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from experiments._harness.experiment import Experiment

HARNESS = Path(__file__).parent
# local names that tie no statements together: settings are frozen, and a run changes nothing
SETTLED = {"config", "run"}
# a module of ours and a name in it; None for all of it
Place = tuple[Path, str | None]


def fingerprint(experiment: Experiment, config: Any, code: "Code | None" = None) -> str:
    """Of settings, as a Config or as a dict of them, and of the code of ``compute``."""
    return digest(settings_of(config), *(code or Code(experiment)).reached([(experiment.source, "compute")]))


def settings_of(config: Any) -> str:
    """As one text."""
    return json.dumps(config if isinstance(config, dict) else dataclasses.asdict(config), sort_keys=True)


def digest(*texts: str) -> str:
    """Of all of these, as a short word."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def text_of(node: Any) -> str:
    """A syntax tree without words for readers, the same in all versions of Python."""
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return ""
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="run"), attr="log"))):
            return ""
        case ast.Raise(exc=ast.Call(func=error)) | ast.Raise(exc=error):
            return f"Raise({text_of(error)})"
        case ast.Call(func=ast.Attribute(value=ast.Name(id="run"), attr="progress"), args=args):
            return f"progress({text_of(args[:1])})"
        case ast.AST():
            fields = ((name, value) for name, value in ast.iter_fields(node) if name not in ("kind", "type_comment"))
            entries = (f"{name}={text_of(value)}" for name, value in fields if value is not None and value != [])
            return f"{type(node).__name__}({','.join(entries)})"
        case list():
            return f"[{','.join(filter(None, map(text_of, node)))}]"
    return repr(node)


class Code:
    """The code of an experiment as it was when it was first read, whatever happens to the files later."""

    def __init__(self, experiment: Experiment) -> None:
        self.root = experiment.source.parents[1]
        self._modules: dict[Path, _Module] = {}

    def module(self, source: Path) -> "_Module":
        """The syntax of a file."""
        if source not in self._modules:
            self._modules[source] = _Module(source, self.root)
        return self._modules[source]

    def reached(self, places: Iterable[Place]) -> list[str]:
        """The definitions that these names reach, through all our modules, in a fixed order."""
        waiting, seen = list(places), set()
        found: dict[tuple[str, str, int, str], str] = {}
        while waiting:
            place = waiting.pop()
            if place not in seen:
                seen.add(place)
                module = self.module(place[0])
                for statement in module.giving(place[1]):
                    text = text_of(statement)
                    found[module.name, min(_bindings(statement), default=""), statement.lineno, text] = text
                    waiting += module.mentioned(statement)
        return [found[key] for key in sorted(found)]

    def of_part(self, make: Callable[[], Any], frames: Iterable[FrameType]) -> list[str] | None:
        """The code that makes a part, asked for within these frames, innermost first; None if it is not ours."""
        while isinstance(make, functools.partial):
            make = make.func
        made_by = self._functions(getattr(make, "__code__", None))
        if not made_by:
            return None
        pieces, wanted = list(made_by), {name for _, node in made_by for name in _names(node)}
        for frame in frames:
            for module, function in self._functions(frame.f_code):
                way = _on_the_way(function, frame.f_lineno, wanted)
                pieces += [(module, node) for node in way]
                wanted = set()
        places = [place for module, node in pieces for place in module.mentioned(node)]
        return [*(text_of(node) for _, node in pieces), *self.reached(places)]

    def _functions(self, code: CodeType | None) -> list[tuple["_Module", Any]]:
        """The functions of ours that compiled code may be: all lambdas that begin on its line, or one definition."""
        source = Path("" if code is None else code.co_filename).absolute()
        if code is None or self.root not in source.parents or HARNESS in source.parents:
            return []
        module = self.module(source)
        return [(module, node) for node in module.functions[code.co_name, code.co_firstlineno]]


class _Module:
    """The statements of one of our modules, by the names that they give a meaning or change."""

    def __init__(self, source: Path, root: Path) -> None:
        self.source, self.package = source, root.name
        self.name = ".".join(source.relative_to(root.parent).with_suffix("").parts)
        tree = ast.parse(source.read_text(encoding="utf-8"))
        self.imports = dict(
            self._imported(*[node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)])
        )
        self.statements: dict[str, list[ast.stmt]] = defaultdict(list)
        # those for their effect alone, such as a setting of another package
        self.always: list[ast.stmt] = []
        self.functions: dict[tuple[str, int], list[ast.AST]] = defaultdict(list)
        for node in tree.body:
            self._sort(node)
        for inner in ast.walk(tree):
            if isinstance(inner, ast.Lambda):
                self.functions["<lambda>", inner.lineno].append(inner)
            elif isinstance(inner, ast.FunctionDef):
                first = min([inner.lineno, *(decorator.lineno for decorator in inner.decorator_list)])
                self.functions[inner.name, first].append(inner)

    def _sort(self, node: ast.stmt) -> None:
        if isinstance(node, ast.If) and "__name__" in _names(node.test):
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                alone = ast.Import([alias])
                if isinstance(node, ast.ImportFrom):
                    alone = ast.ImportFrom(node.module, [alias], node.level)  # type: ignore[assignment]
                self.statements[_bound(alias)].append(ast.copy_location(alone, node))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            self.statements[node.name].append(node)
        elif text_of(node):
            changed = _changed(node)
            for name in changed:
                self.statements[name].append(node)
            if not changed:
                self.always.append(node)

    def giving(self, name: str | None) -> list[ast.stmt]:
        """The statements that give a name its meaning, and those that are there for their effect."""
        chosen = (
            [node for nodes in self.statements.values() for node in nodes] if name is None else self.statements[name]
        )
        # what is imported from our modules counts by its own definition
        return [node for node in chosen if name is None or name not in self.imports] + self.always

    def mentioned(self, node: ast.AST) -> Iterator[Place]:
        """The names of our modules that a piece of this one uses."""
        inner_imports = [inner for inner in ast.walk(node) if isinstance(inner, ast.Import | ast.ImportFrom)]
        imports = self.imports | dict(self._imported(*inner_imports))
        owners = {id(inner.value): inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)}
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name):
                source, name = imports.get(inner.id, (self.source, inner.id))
                attribute = owners.get(id(inner)) if name is None else None
                yield source, attribute or name
                if name is not None and source != self.source:
                    yield self.source, inner.id
            elif isinstance(inner, ast.alias) and inner.name == "*":
                yield from (place for _, place in self._imported(*inner_imports))

    def _imported(self, *nodes: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Place]]:
        """What imports of our modules bind: modules, or names in them."""
        for node in nodes:
            for alias in node.names:
                if isinstance(node, ast.Import):
                    place = self._place(alias.name, None)
                else:
                    relative = "." * node.level + (node.module or "")
                    module = importlib.util.resolve_name(relative, self.name.rpartition(".")[0])
                    place = self._place(f"{module}.{alias.name}", None) or self._place(module, alias.name)
                if place is not None:
                    yield _bound(alias), place

    def _place(self, name: str, within: str | None) -> Place | None:
        """A module of ours, or a name in it; None for names that are no module, and for others' modules."""
        if name.partition(".")[0] != self.package:
            return None
        try:
            spec = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            return None
        if spec is None or spec.origin is None or HARNESS in Path(spec.origin).parents:
            return None
        return Path(spec.origin).absolute(), None if within == "*" else within


def _bound(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _changed(node: ast.AST) -> set[str]:
    """Names that a statement binds, and those whose entries or attributes it sets."""
    changed = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.alias):
            changed.add(_bound(inner))
        elif isinstance(inner, ast.FunctionDef | ast.ClassDef):
            changed.add(inner.name)
        elif isinstance(inner, ast.Name | ast.Subscript | ast.Attribute) and isinstance(inner.ctx, ast.Store):
            changed |= {inner.id} if isinstance(inner, ast.Name) else _names(inner.value)
    return changed


def _on_the_way(function: Any, line: int, wanted: set[str]) -> list[ast.AST]:
    """Of a function that stands at a line: that statement, what it stands in, and what was done for it before.

    A statement counts if it mentions a local name that those that count mention, or the ``wanted`` ones; in a loop
    around the line also a later one that binds such a name anew.
    """
    if isinstance(function, ast.Lambda):
        return [function]
    heads, others = _split(function.body, line)
    local = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
    bound = {name for node in function.body for name in _bindings(node)}
    local = (local - SETTLED) | bound
    wanted = (wanted | {name for node in heads for name in _names(node)}) & local
    found: list[ast.stmt] = []
    while True:
        new = [n for n in others if n not in found and wanted & (_bindings(n) if n.lineno > line else _mentioned(n))]
        if not new:
            return [function.args, *heads, *sorted(found, key=lambda node: node.lineno)]
        found += new
        wanted |= {name for node in new for name in _mentioned(node)} & local


def _mentioned(node: ast.AST) -> set[str]:
    return _names(node) | _bindings(node)


def _bindings(node: ast.AST) -> set[str]:
    stores = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)}
    named = {inner.name for inner in ast.walk(node) if isinstance(inner, ast.FunctionDef | ast.ClassDef)}
    return stores | named | {_bound(inner) for inner in ast.walk(node) if isinstance(inner, ast.alias)}


def _split(body: list[ast.stmt], line: int, *, again: bool = False) -> tuple[list[ast.AST], list[ast.stmt]]:
    """What the line stands in, without what else stands there; and statements that run before, in a loop also after."""
    heads: list[ast.AST] = []
    others: list[ast.stmt] = []
    for node in body:
        if not node.lineno <= line <= (node.end_lineno or node.lineno):
            others += [node] * (again or node.lineno < line)
            continue
        inner = [value for _, value in ast.iter_fields(node) if isinstance(value, list)]
        bodies = [value for value in inner if value and isinstance(value[0], ast.stmt)]
        bodies += [
            part.body for value in inner for part in value if isinstance(part, ast.ExceptHandler | ast.match_case)
        ]
        if not bodies or isinstance(node, ast.FunctionDef | ast.ClassDef):
            heads.append(node)
            continue
        loops = again or isinstance(node, ast.For | ast.While)
        for part in ast.iter_child_nodes(node):
            if isinstance(part, ast.expr | ast.withitem):
                heads.append(part)
        for inner_body in bodies:
            more_heads, more = _split(inner_body, line, again=loops)
            heads, others = heads + more_heads, others + more
    return heads, others
