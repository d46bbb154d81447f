r"""LaTeX to MathML at build time, so that pages need no JavaScript and no network.

latex2mathml writes MathML 3 and lets mistakes pass; browsers draw MathML Core. Between the two stand the
rewriting of environments (``_ENVIRONMENTS``), the repairs of the tree (``_repair``), and the checks (``_check``),
which turn an unknown command into an error with file and line.
"""

import re
import unicodedata
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.math import get_node_equation_number

_NAMESPACE = "http://www.w3.org/1998/Math/MathML"

# what is written → what latex2mathml knows; align without a star would number its rows
_ENVIRONMENTS = {
    "aligned": "align*",
    "align": "align*",
    "align*": "align*",
    "split": "align*",
    **{
        name: name
        for name in ("array", "cases", "matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix", "smallmatrix")
    },
}
_ENVIRONMENT = re.compile(r"\\(begin|end)\s*\{([^}]*)\}")
_ACCENTS = set("˙¨^ˇ~˜¯´`˘→⃛\u0302\u0303")
_SPACES = {
    "negativethinmathspace": "-0.167em",
    "negativemediummathspace": "-0.222em",
    "negativethickmathspace": "-0.278em",
}
_UNDER = ("min", "max", "inf", "sup", "lim")
# browsers know one mathvariant, "normal"; the others are letters of their own in Unicode
_ALPHABETS = {
    "bold": "MATHEMATICAL BOLD",
    "bold-italic": "MATHEMATICAL BOLD ITALIC",
    "sans-serif": "MATHEMATICAL SANS-SERIF",
}
_CHILDREN = {"mfrac": 2, "msup": 2, "msub": 2, "mover": 2, "munder": 2, "mroot": 2, "msubsup": 3, "munderover": 3}
_OLD_ATTRIBUTES = {"columnalign", "columnspacing", "rowspacing"}
_PRIMES = set("′″‴⁗")
_TIGHT = ("|", "‖", "/")
_SIGNS = ("−", "+", "±", "∓")
_CLOSING = (")", "]", "}", "|", "‖", "⟩", "!")
_TALL = {"mfrac", "mtable", "msup", "msubsup", "msqrt", "mroot", "munder", "munderover"}
_ORDINARY = ("∞", "∂", "∇", "∅")


class MathError(ValueError):
    """LaTeX that cannot be shown as it was meant."""


def to_mathml(latex: str, *, block: bool = False) -> str:
    """The ``<math>`` element of a LaTeX formula.

    Raises
    ------
    MathError
        For an unknown command or environment, unbalanced braces, or a row break outside an environment that has rows.
    """
    source = _aligned(latex) if block else latex
    source = _ENVIRONMENT.sub(_known_environment, source)
    try:
        text = convert(source, display="block" if block else "inline")
    except Exception as error:  # latex2mathml has no common base for its errors
        raise MathError(f"latex2mathml: {type(error).__name__} {error}".strip()) from error
    try:
        # latex2mathml does not escape an & that stands outside a table
        tree = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise MathError("an alignment mark & outside aligned, cases or a matrix") from error
    _strip_namespace(tree)
    _check(tree)
    _repair(tree, block=block)
    tree.set("xmlns", _NAMESPACE)
    return ElementTree.tostring(tree, encoding="unicode", short_empty_elements=False)


def _aligned(latex: str) -> str:
    """A display of several rows as one table: blank lines and bare row breaks separate rows, as in Sphinx."""
    rows = [part.strip() for part in re.split(r"\n\s*\n", latex) if part.strip()]
    outside = _outside_environments(latex)
    if len(rows) == 1 and r"\\" not in outside:
        return latex
    if "&" not in outside:
        if outside == latex:
            rows = [row for part in rows for row in part.split(r"\\")]
        rows = ["&" + row for row in rows]
    return r"\begin{aligned}" + r" \\ ".join(rows) + r"\end{aligned}"


def _outside_environments(latex: str) -> str:
    kept, level, position = [], 0, 0
    for mark in _ENVIRONMENT.finditer(latex):
        if not level:
            kept.append(latex[position : mark.start()])
        level += 1 if mark[1] == "begin" else -1
        position = mark.end()
    return "".join([*kept, latex[position:]])


def _known_environment(mark: re.Match[str]) -> str:
    if mark[2] not in _ENVIRONMENTS:
        raise MathError(f"environment {mark[2]!r} is unknown here; there are {', '.join(_ENVIRONMENTS)}")
    return rf"\{mark[1]}{{{_ENVIRONMENTS[mark[2]]}}}"


def _strip_namespace(tree: ElementTree.Element) -> None:
    for element in tree.iter():
        element.tag = element.tag.removeprefix(f"{{{_NAMESPACE}}}")


def _check(tree: ElementTree.Element) -> None:
    """Refuse what latex2mathml passes on as if it were a letter."""
    for element in tree.iter():
        text = element.text or ""
        if text.startswith("\\"):
            raise MathError(f"unknown command {text}")
        if element.tag == "mi" and text in ("{", "}", "&"):
            raise MathError(f"unbalanced {text}")
        if len(element) != _CHILDREN.get(element.tag, len(element)):
            raise MathError(f"{element.tag} with {len(element)} parts, but it has {_CHILDREN[element.tag]}")
        if element.get("linebreak") == "newline":
            raise MathError(r"a row break \\ outside aligned, cases or a matrix")


def _repair(tree: ElementTree.Element, *, block: bool) -> None:
    """From MathML 3, as latex2mathml writes it, to what browsers draw."""
    for element in tree.iter():
        _repair_token(element)
    for element in tree.iter():
        if element.tag in ("msup", "msubsup") and set(element[-1].text or " ") <= _PRIMES:
            _lower_prime(element)
        if element.tag == "mrow":
            _join_letters(element)
            _relax_brackets(element)
            _space_functions(element)
        elif element.tag == "mover" and element[1].text in _ACCENTS:
            # without it a dot is drawn as a superscript, high above its letter
            element.set("accent", "true")
            element[1].set("stretchy", "false")
        elif element.tag == "msub" and block and element[0].text in _UNDER:
            element.tag = "munder"
        elif element.tag == "mtable":
            _align_columns(element)
    for element in tree.iter():
        _mark_signs(element)
        for attribute in _OLD_ATTRIBUTES & set(element.attrib):
            del element.attrib[attribute]


def _repair_token(element: ElementTree.Element) -> None:
    text = element.text or ""
    if element.tag == "mspace":
        width = element.get("width", "0")
        element.set("width", _SPACES.get(width, width))
    elif element.tag == "mo" and not text:
        element.tag = "mspace"  # \left. and \right.
        element.attrib.clear()
    elif element.tag == "mo" and text in _ORDINARY:
        element.tag = "mi"
        element.set("mathvariant", "normal")
    elif element.tag == "mo" and text in _TIGHT and "form" not in element.attrib:
        element.attrib = {"lspace": "0", "rspace": "0", "stretchy": "false"} | element.attrib
    elif element.tag == "mo" and len(text) > 1 and text.replace("\u2009", "").isalpha() and text != "mod":
        element.tag = "mi"  # an operator that no dictionary lists has wide spaces on both sides
    variant = element.attrib.pop("mathvariant", None)
    if variant == "normal":
        element.set("mathvariant", variant)
    elif variant is not None:
        element.text = "".join(_letter(character, variant) for character in text)


def _lower_prime(element: ElementTree.Element) -> None:
    """Set a prime on the line: math fonts draw it raised already, and a superscript would raise it twice."""
    prime = element[-1]
    prime.tag = "mi"
    prime.set("mathvariant", "normal")
    if element.tag == "msubsup":
        name = ElementTree.Element("msub")
        name.extend(element[:2])
        element[:2] = [name]
    element.tag = "mrow"


def _join_letters(row: ElementTree.Element) -> None:
    r"""``\mathrm{diag}`` is one word, not four letters."""
    if len(row) > 1 and all(child.tag == "mi" and child.get("mathvariant") == "normal" for child in row):
        row[0].text = "".join(child.text or "" for child in row)
        del row[0].attrib["mathvariant"]
        del row[1:]


def _relax_brackets(row: ElementTree.Element) -> None:
    r"""Do not stretch ``\left(x\right)`` around something low: browsers leave gaps beside brackets that stretch."""
    fences = [child for child in row if child.tag == "mo" and child.get("fence") == "true" and "form" in child.attrib]
    if not any(element.tag in _TALL for element in row.iter()):
        for fence in fences:
            fence.set("stretchy", "false")


def _space_functions(row: ElementTree.Element) -> None:
    r"""Thin spaces around ``\sin``, except next to a bracket or an operator, as in TeX."""
    for position in range(len(row) - 1, 0, -1):
        before, after = row[position - 1], row[position]
        if (_is_function(before) and _is_letter(after)) or (_is_letter(before) and _is_function(after)):
            row.insert(position, ElementTree.Element("mspace", width="0.167em"))


def _is_function(element: ElementTree.Element) -> bool:
    if element.tag in ("msup", "msub", "munder", "munderover"):
        element = element[0]
    return element.tag == "mi" and len(element.text or "") > 1


def _is_letter(element: ElementTree.Element) -> bool:
    while len(element) and element.tag in ("mrow", "msub", "msup", "msubsup"):
        element = element[0]
    return element.tag in ("mi", "mn", "mfrac", "msqrt", "mover") and (element.text or "") not in _PRIMES


def _mark_signs(row: ElementTree.Element) -> None:
    """A minus after a bracket, a comma or a relation is a sign, and stands close to its number."""
    for before, operator in pairwise([None, *row]):
        if operator is not None and operator.tag == "mo" and operator.text in _SIGNS:
            opens = before is None or before.tag == "mspace" or (before.tag == "mo" and before.text not in _CLOSING)
            if opens or (before is not None and before.tag == "mi" and not before.text):
                operator.set("form", "prefix")


def _align_columns(table: ElementTree.Element) -> None:
    """MathML Core aligns cells by CSS alone."""
    joined = "columnspacing" in table.attrib  # the columns of aligned touch; those of a matrix do not
    for row in table:
        for column, cell in enumerate(row):
            style = [f"text-align: {cell.get('columnalign')}"] if "columnalign" in cell.attrib else []
            if joined:
                style.append("padding: 0.9ex 0 0.9ex 0.4em" if column % 2 == 0 else "padding: 0.9ex 0.4em 0.9ex 0")
            if style:
                cell.set("style", "; ".join(style))


def _letter(character: str, variant: str) -> str:
    """A letter of a mathematical alphabet of Unicode; other characters as they are."""
    kind = {"Lu": "CAPITAL", "Ll": "SMALL"}.get(unicodedata.category(character))
    if kind is None:
        return character
    if variant not in _ALPHABETS:
        raise MathError(f"the alphabet {variant} of {character!r}; there are {', '.join(_ALPHABETS)}")
    name = unicodedata.name(character).split(" ")[-1]
    return unicodedata.lookup(f"{_ALPHABETS[variant]} {kind} {name}")


# --- Sphinx ------------------------------------------------------------------------------------------


def _converted(node: nodes.Node, *, block: bool) -> str:
    try:
        return to_mathml(node.astext(), block=block)
    except MathError as error:
        raise ExtensionError(f"{_location(node)}: cannot show this formula: {error}\n{node.astext()}") from error


def _location(node: nodes.Node | None) -> str:
    """File and line, those of the paragraph where an inline formula has none."""
    source, line = None, None
    while node is not None and (source is None or line is None):
        source, line = source or node.source, line or node.line
        node = node.parent
    return f"{source}:{line or '?'}"


def visit_math(translator: Any, node: nodes.math) -> None:
    translator.body.append(_converted(node, block=False))
    raise nodes.SkipNode


def visit_math_block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(translator.starttag(node, "div", CLASS="math math-block"))
    translator.body.append(f'<div class="math-scroll">{_converted(node, block=True)}</div>')
    if node["number"]:
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
