"""The extensions of the docs, on a project of one page: what they print, and what ends a build."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MODULE = """
from sympy import symbols
from resdyn_theory import Statement, SymbolicSystem

x, y, r = symbols("x y r")
SYSTEM = SymbolicSystem(
    name="saddle", state=(x, y), residual=(r * x, -y), parameters={r: 2.5}, description="A saddle.", source="poe1845"
)


def statements():
    yield Statement(
        label="saddle-square", text="The square is", left="s", derived=(x + 1) ** 2, closed_form=x**2 + 2 * x + 1,
        source="poe1845, ch. 2",
    )
"""

PAGE = """
Saddle
======

.. derivation:: saddle

See :eq:`saddle-square`, and [poe1845]_.

.. bibliography:: references.bib
"""

BIBLIOGRAPHY = "@book{poe1845, author = {Poe, Edgar A.}, title = {The Raven}, publisher = {Wiley}, year = {1845}}"

CONFIG = """
extensions = ["mathml", "derivation", "bibliography"]
html_math_renderer = "mathml"
html_theme = "basic"
"""


@dataclass
class Build:
    failed: bool
    errors: str
    html: str


@pytest.fixture
def build(tmp_path: Path):
    """Build a page with a theory module; without -W, so that what fails fails by itself."""

    def run(*, module: str = MODULE, page: str = PAGE, bibliography: str = BIBLIOGRAPHY) -> Build:
        for name, text in (
            ("conf.py", CONFIG),
            ("saddle.py", module),
            ("index.rst", page),
            ("references.bib", bibliography),
        ):
            (tmp_path / name).write_text(text, encoding="utf-8")
        path = [tmp_path, ROOT / "docs" / "_extensions", ROOT / "theory"]
        done = subprocess.run(
            [sys.executable, "-m", "sphinx", "-q", "-E", "-b", "html", tmp_path, tmp_path / "out"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        html = tmp_path / "out" / "index.html"
        return Build(done.returncode != 0, done.stderr, html.read_text(encoding="utf-8") if html.exists() else "")

    return run


def test_a_true_statement_becomes_a_numbered_equation_that_links_work_to(build) -> None:
    result = build()
    assert not result.failed, result.errors
    assert not result.errors
    equation = re.search(
        r'<div class="math math-block" id="equation-saddle-square">.*?</span></div>', result.html, re.S
    )
    assert equation
    assert '<math display="block"' in equation[0]
    assert "(1)" in equation[0]
    assert re.search(r'<a class="reference internal" href="#equation-saddle-square">\(1\)</a>', result.html)


def test_a_system_is_printed_as_flow_map_parameters_and_jacobian(build) -> None:
    html = build().html
    flow, block_map, jacobian = re.findall(r"<math display=\"block\".*?</math>", html, re.S)[:3]
    assert ">˙</mo>" in flow
    assert "<mi>k</mi><mo>+</mo><mn>1</mn>" in block_map
    assert "<mtable>" in jacobian
    assert "A saddle." in html
    assert "2.5" in html


def test_a_source_links_to_the_bibliography(build) -> None:
    html = build().html
    assert re.search(r'<p class="source"><a class="reference internal" href="#poe1845"[^>]*><span>\[poe1845\]', html)
    assert "E. A. Poe" in html


def test_a_false_statement_ends_the_build_and_names_itself(build) -> None:
    result = build(module=MODULE.replace("2 * x + 1", "2 * x + 7"))
    assert result.failed
    for part in ("saddle-square", "(x + 1)**2", "x**2 + 2*x + 7", "-6"):
        assert part in result.errors


def test_a_label_that_comes_twice_ends_the_build(build) -> None:
    result = build(page=PAGE.replace(".. derivation:: saddle", ".. derivation:: saddle\n\n.. derivation:: saddle"))
    assert result.failed
    assert "'saddle-square'" in result.errors
    assert "taken" in result.errors


def test_a_label_taken_by_a_formula_of_the_page_ends_the_build(build) -> None:
    taken = ".. math::\n   :label: saddle-square\n\n   x\n\n.. derivation:: saddle"
    result = build(page=PAGE.replace(".. derivation:: saddle", taken))
    assert result.failed
    assert "'saddle-square'" in result.errors


def test_an_unknown_citation_ends_the_build(build) -> None:
    result = build(module=MODULE.replace("poe1845, ch. 2", "doe1999, ch. 2"))
    assert result.failed
    assert "[doe1999]_" in result.errors


def test_a_module_without_theory_ends_the_build(build) -> None:
    result = build(module="x = 1")
    assert result.failed
    assert "neither SYSTEM nor statements()" in result.errors


def test_an_entry_that_nobody_cites_is_no_fault(build) -> None:
    entry = (
        "\n@misc{doe1999, author = {Doe, Jane and Roe, Jean-Luc}, title = {A {Title}}, year = {1999}, doi = {10/<a>}}"
    )
    result = build(bibliography=BIBLIOGRAPHY + entry)
    assert not result.failed
    assert not result.errors
    assert "J. Doe and J.-L. Roe" in result.html
    assert 'href="https://doi.org/10/%3Ca%3E"' in result.html


@pytest.mark.parametrize(
    ("bibliography", "fault"),
    [
        (BIBLIOGRAPHY + "\n" + BIBLIOGRAPHY, "'poe1845' comes twice"),
        (BIBLIOGRAPHY.replace("{The Raven}", '"The Raven"'), "cannot read"),
        (BIBLIOGRAPHY.replace("year = {1845}", "month = {May}"), "'poe1845' has no year"),
    ],
)
def test_a_faulty_bibliography_ends_the_build(build, bibliography: str, fault: str) -> None:
    result = build(bibliography=bibliography)
    assert result.failed
    assert fault in result.errors


@pytest.mark.parametrize("formula", [r"\nonsense x", r"\frac{1}", "a & b", "a } b", r"\begin{tikzcd} a \end{tikzcd}"])
def test_a_formula_that_cannot_be_shown_ends_the_build_with_file_and_line(build, formula: str) -> None:
    result = build(page=f"Page\n====\n\nText\n\n.. math::\n\n   {formula}\n")
    assert result.failed
    assert "index.rst:6: cannot show this formula" in result.errors


def test_an_inline_formula_that_cannot_be_shown_is_found_too(build) -> None:
    result = build(page="Page\n====\n\nText, and then\n:math:`\\nonsense`.\n")
    assert result.failed
    assert re.search(r"index\.rst:[45]: cannot show this formula: unknown command \\nonsense", result.errors)
