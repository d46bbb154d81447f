r"""``.. derivation:: resdyn_theory.systems.pitchfork`` prints a module of the theory, and checks it.

The module may define ``SYSTEM``, a ``SymbolicSystem``, and ``statements()``, an iterable of ``Statement``. The system
is printed as flow and map, with parameters and Jacobian; every statement as a numbered equation with its label and
source. A statement that SymPy cannot confirm ends the build, and so does a label that comes twice.
"""

import importlib
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import sympy
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from sympy.printing.latex import LatexPrinter


class Derivation(SphinxDirective):
    """The directive; its argument is the module."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Write the module as reST and parse it, so that Sphinx numbers the equations and links the citations."""
        module = self._module()
        lines = [*_definition(getattr(module, "SYSTEM", None))]
        labels = dict(self.env.get_domain("math").equations)
        for statement in getattr(module, "statements", tuple)():
            if statement.label in labels:
                raise self._fault(
                    f"the label {statement.label!r} of {module.__name__} is taken by an equation in "
                    f"{labels[statement.label][0]!r}; labels are links, so choose another."
                )
            labels[statement.label] = (self.env.docname, 0)
            self._check(module, statement)
            lines += _statement(statement)
        text = "\n".join(lines).splitlines()
        return self.parse_text_to_nodes(StringList(text, source=module.__file__ or module.__name__))

    def _module(self) -> ModuleType:
        name = self.arguments[0]
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            raise self._fault(f"cannot import {name}: {error}") from error
        if not (hasattr(module, "SYSTEM") or hasattr(module, "statements")):
            raise self._fault(f"{name} has neither SYSTEM nor statements().")
        if module.__file__:
            self.env.note_dependency(module.__file__)
        return module

    def _check(self, module: ModuleType, statement: Any) -> None:
        if statement.holds():
            return
        left, right = sympy.sympify(statement.derived), sympy.sympify(statement.closed_form)
        try:
            difference = sympy.simplify(left - right)
        except (TypeError, ValueError):  # ShapeError is a ValueError
            difference = "not defined: the sides have different shapes"
        raise self._fault(
            f"the statement {statement.label!r} of {module.__name__} does not hold (or SymPy cannot show it):\n"
            f"  derived      {left}\n  closed form  {right}\n  difference   {difference}"
        )

    def _fault(self, message: str) -> ExtensionError:
        return ExtensionError(f"{self.get_location()}: {message}")


class _Printer(LatexPrinter):
    """LaTeX with sums as one writes them by hand: 1 − 2hr, y − x and x + h(…), not −2hr + 1, −x + y and h(…) + x."""

    def _as_ordered_terms(self, expr: sympy.Expr, order: str | None = None) -> list[sympy.Expr]:
        terms = super()._as_ordered_terms(expr, order)
        signs = [term.could_extract_minus_sign() for term in terms]
        bracket_first = any(factor.is_Add for factor in terms[0].args)
        if not signs[-1] and (signs[0] or terms[-1] == 1 or (bracket_first and terms[-1].is_Atom)):
            return terms[::-1]
        if signs[0] and not all(signs):
            first = signs.index(False)
            return [terms[first], *terms[:first], *terms[first + 1 :]]
        return terms


def _latex(expression: Any, **settings: Any) -> str:
    return _Printer(settings).doprint(expression)


def _definition(system: Any) -> Iterator[str]:
    """The system as reST."""
    if system is None:
        return
    if system.description:
        yield from (system.description, "")
    yield from ("The flow is", *_display(_flow(system)), "and the residual map")
    yield from _display(_map(system))
    if system.defaults:
        yield from ("with the parameters", "", ".. list-table::", "   :stub-columns: 1", "   :widths: auto", "")
        yield from _row("parameter", (f":math:`{_latex(symbol)}`" for symbol in system.defaults))
        yield from _row("default", (f"{value:.6g}" for value in system.defaults.values()))
        yield ""
    yield "The Jacobian of :math:`f` is"
    yield from _display(rf"A = \frac{{\partial f}}{{\partial x}} = {_latex(system.jacobian)}")
    yield from _source(system.source)


def _row(head: str, cells: Iterable[str]) -> Iterator[str]:
    yield f"   * - {head}"
    yield from (f"     - {cell}" for cell in cells)


def _flow(system: Any) -> str:
    rows = [rf"{_dotted(symbol)} &= {_latex(f)}" for symbol, f in zip(system.state, system.residual, strict=True)]
    return r"\begin{aligned}" + r" \\ ".join(rows) + r"\end{aligned}"


def _map(system: Any) -> str:
    now = {symbol: _indexed(symbol, "k") for symbol in system.state}
    if system.time is not None:
        now[system.time] = _indexed(system.time, "k")
    rows = []
    for symbol, f in zip(system.state, system.residual, strict=True):
        shown = _latex(f, symbol_names=now)
        product = shown if f.is_Mul and not f.could_extract_minus_sign() else rf"\left({shown}\right)"
        rows.append(f"{_indexed(symbol, 'k+1')} &= {now[symbol]} + h {product}")
    return r"\begin{aligned}" + r" \\ ".join(rows) + r"\end{aligned}"


def _dotted(symbol: sympy.Symbol) -> str:
    """The derivative in time: the dot belongs to the letter, not to its index."""
    letter, underscore, index = _latex(symbol).partition("_")
    return rf"\dot{{{letter}}}{underscore}{index}"


def _indexed(symbol: sympy.Symbol, index: str) -> str:
    """A name with the block index: x to x_{k}, and z_{1} to z_{1,k}."""
    name = _latex(symbol)
    return f"{name[:-1]},{index}}}" if "_{" in name else f"{name}_{{{index}}}"


def _statement(statement: Any) -> Iterator[str]:
    """A statement as reST: its sentence, the equation that completes it, and where it stands in the literature."""
    left = statement.derived if statement.left is None else statement.left
    shown = left if isinstance(left, str) else _latex(left)
    yield statement.text
    right = _latex(statement.closed_form) if statement.right is None else statement.right
    yield from _display(f"{shown} = {right}", label=statement.label)
    yield from _source(statement.source)


def _display(latex: str, label: str | None = None) -> list[str]:
    options = [] if label is None else [f"   :label: {label}"]
    return ["", ".. math::", *options, "", f"   {latex}", ""]


def _source(source: str) -> Iterator[str]:
    """``strogatz2015, sec. 3.4`` as a citation and a place in it."""
    if source:
        key, comma, locator = source.partition(",")
        yield from (".. rst-class:: source", "", f"[{key.strip()}]_{comma}{locator}", "")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("derivation", Derivation)
    # labels of several pages are compared while they are read
    return {"parallel_read_safe": False, "parallel_write_safe": True}
