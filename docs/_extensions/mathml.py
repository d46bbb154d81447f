r"""LaTeX to MathML at build time, so that pages need no JavaScript and no network.

latex2mathml writes MathML 3 and lets mistakes pass; browsers draw MathML Core. Between the two stand the
rewriting of environments (``_ENVIRONMENTS``), the repairs of the tree (``_repair``), and the checks (``_check``),
which turn an unknown command into an error with file and line.
"""

import re
import unicodedata
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
        name: name for name in ("array", "cases", "matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix", "smallmatrix")
    },
}
_ENVIRONMENT = re.compile(r"\\(begin|end)\s*\{([^}]*)\}")
_ACCENTS = set("˙¨^ˇ~˜¯´`˘→⃛\u0302\u0303")
_SPACES = {"negativethinmathspace": "-0.167em", "negativemediummathspace": "-0.222em", "negativethickmathspace": "-0.278em"}
_UNDER = ("min", "max", "inf", "sup", "lim")
_BOLD = {"bold-italic": "MATHEMATICAL BOLD ITALIC", "bold": "MATHEMATICAL BOLD"}
_CORE_ATTRIBUTES = {"columnalign", "columnspacing", "rowspacing"}


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
        if element.get("linebreak") == "newline":
            raise MathError(r"a row break \\ outside aligned, cases or a matrix")


def _repair(tree: ElementTree.Element, *, block: bool) -> None:
    """From MathML 3, as latex2mathml writes it, to what browsers draw."""
    for element in tree.iter():
        if element.tag == "mrow":
            _join_letters(element)
            _space_functions(element)
        elif element.tag == "mover" and element[1].text in _ACCENTS:
            # without it a dot is drawn as a superscript, high above its letter
            element.set("accent", "true")
            element[1].set("stretchy", "false")
        elif element.tag == "msub" and block and element[0].text in _UNDER:
            element.tag = "munder"
        elif element.tag == "mspace":
            element.set("width", _SPACES.get(element.get("width", "0"), element.get("width", "0")))
        elif element.tag == "mo" and len(element.text or "") > 1 and (element.text or "").isalpha():
            # an unknown operator has wide spaces on both sides
            element.tag = "mi"
        if element.tag == "mtable":
            _align_columns(element)
        if element.get("mathvariant") in _BOLD:
            element.text = "".join(_bold(letter, element.attrib["mathvariant"]) for letter in element.text or "")
            del element.attrib["mathvariant"]
    for element in tree.iter():
        for attribute in _CORE_ATTRIBUTES & set(element.attrib):
            del element.attrib[attribute]


def _join_letters(row: ElementTree.Element) -> None:
    r"""``\mathrm{diag}`` is one word, not four letters."""
    if len(row) > 1 and all(child.tag == "mi" and child.get("mathvariant") == "normal" for child in row):
        row[0].text = "".join(child.text or "" for child in row)
        del row[0].attrib["mathvariant"]
        del row[1:]


def _space_functions(row: ElementTree.Element) -> None:
    r"""A thin space after ``\sin`` where no bracket follows, as in TeX."""
    for position in range(len(row) - 1, 0, -1):
        name, after = row[position - 1], row[position]
        if name.tag in ("msup", "msub") and len(name):
            name = name[0]
        if name.tag == "mi" and len(name.text or "") > 1 and _begins_with_letter(after):
            row.insert(position, ElementTree.Element("mspace", width="0.167em"))


def _begins_with_letter(element: ElementTree.Element) -> bool:
    while len(element) and element.tag in ("mrow", "msub", "msup", "msubsup"):
        element = element[0]
    return element.tag in ("mi", "mn", "mfrac", "msqrt", "mover")


def _align_columns(table: ElementTree.Element) -> None:
    """MathML Core aligns cells by CSS alone."""
    joined = "columnspacing" in table.attrib  # the columns of aligned touch; those of a matrix do not
    for row in table:
        for column, cell in enumerate(row):
            style = [f"text-align: {cell.get('columnalign')}"] if "columnalign" in cell.attrib else []
            if joined:
                style += ["padding-right: 0"] if column % 2 == 0 else ["padding-left: 0"]
            if style:
                cell.set("style", "; ".join(style))


def _bold(letter: str, variant: str) -> str:
    """The bold letter of Unicode, the only one that browsers know."""
    kind = {"Lu": "CAPITAL", "Ll": "SMALL"}.get(unicodedata.category(letter))
    if kind is None:
        return letter
    name = unicodedata.name(letter).split(f"{kind} LETTER ")[-1].split(" ")[-1]
    return unicodedata.lookup(f"{_BOLD[variant]} {kind} {name}")


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
    classes = "math-block numbered" if node["number"] else "math-block"
    translator.body.append(translator.starttag(node, "div", CLASS=classes))
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
