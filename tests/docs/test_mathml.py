"""LaTeX to MathML: the constructs that docstrings and SymPy's printer use."""

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "_extensions"))

from mathml import MathError, to_mathml


def tree(latex: str, *, block: bool = True) -> ElementTree.Element:
    text = to_mathml(latex, block=block).replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
    return ElementTree.fromstring(text)


def texts(latex: str) -> list[str]:
    return [element.text for element in tree(latex).iter() if element.text]


def test_display_and_inline() -> None:
    assert tree("x").get("display") == "block"
    assert tree("x", block=False).get("display") == "inline"


@pytest.mark.parametrize(
    "latex",
    [
        r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
        r"\begin{split} a &= b \\ c &= d \end{split}",
        r"a &= b \\ c &= d",
        "a = b\n\nc = d",
        r"a = b \\ c = d",
    ],
)
def test_rows_are_a_table_without_numbers(latex: str) -> None:
    rows = tree(latex).findall(".//mtr")
    assert len(rows) == 2
    assert "(1)" not in texts(latex)


def test_a_matrix_of_sympy_has_stretching_brackets() -> None:
    formula = tree(r"\left[\begin{matrix}1 & - x\\\frac{x}{2} & \alpha^{2}\end{matrix}\right]")
    brackets = [mo for mo in formula.iter("mo") if mo.text in "[]"]
    assert [mo.get("stretchy") for mo in brackets] == ["true", "true"]
    assert len(formula.findall(".//mtd")) == 4


def test_columns_are_aligned_by_css_which_is_all_that_browsers_read() -> None:
    cells = tree(r"\begin{cases} 0 & \text{for}\: x < 0 \\ x & \text{otherwise} \end{cases}").findall(".//mtd")
    assert all("text-align: left" in cell.get("style", "") for cell in cells)
    assert not any("columnalign" in element.attrib for element in tree("a &= b \\\\ c &= d").iter())


def test_a_dot_is_an_accent() -> None:
    assert tree(r"\dot x").find(".//mover").get("accent") == "true"


def test_a_prime_stands_on_the_line() -> None:
    assert tree("f'(x)").find(".//msup") is None
    assert "′" in texts("x_k'")


def test_an_upright_word_is_one_identifier() -> None:
    assert "diag" in texts(r"\mathrm{diag}(y)")
    assert "tr" in texts(r"\operatorname{tr} A")


def test_a_sign_is_not_an_operator() -> None:
    signs = [mo.get("form") for mo in tree("(-x, -y) = -1").iter("mo") if mo.text == "−"]
    assert signs == ["prefix"] * 3
    assert tree("a - b").find(".//mo").get("form") is None


@pytest.mark.parametrize("latex", [r"x \circ y", r"\lambda \quad \mu \qquad \nu", r"\infty", r"W^{\mathsf T}"])
def test_no_attribute_that_browsers_ignore_is_left(latex: str) -> None:
    for element in tree(latex).iter():
        assert element.get("mathvariant") in (None, "normal")
        assert element.get("linebreak") is None


@pytest.mark.parametrize(
    ("latex", "fault"),
    [
        (r"\foo", r"unknown command \\foo"),
        (r"\frac{", "latex2mathml"),
        (r"\frac{1}", "mfrac with 1 parts"),
        ("a } b", "unbalanced }"),
        (r"\begin{gathered} a \end{gathered}", "'gathered' is unknown"),
        (r"\mathtt{\alpha}x \begin{matrix} a", "latex2mathml"),
    ],
)
def test_what_cannot_be_shown_is_refused(latex: str, fault: str) -> None:
    with pytest.raises(MathError, match=fault):
        to_mathml(latex, block=True)
