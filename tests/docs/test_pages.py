"""The pages: their examples run, they load nothing from elsewhere, and the reference leaves out no public name."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import resdyn

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.rst"), *DOCS.glob("*/*.rst")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_examples_of_a_page_give_what_it_shows(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    examples = doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, page.name, str(page), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    report: list[str] = []
    runner.run(examples, out=report.append)
    assert not runner.failures, "".join(report)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pages, built as ``make docs`` builds them."""
    out = tmp_path_factory.mktemp("site")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'theory'}"}
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-n", "-E", "-q", "-b", "html", "-d", out / "trees", DOCS, out / "html"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


def test_the_pages_load_nothing_from_elsewhere(site: Path) -> None:
    loads = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=[\"'](?:https?:)?//[^>]*>")
    for page in site.rglob("*.html"):
        assert not loads.findall(page.read_text(encoding="utf-8")), page.name
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(\s*[\"']?|@import\s+[\"'])(?:https?:)?//", sheet.read_text(encoding="utf-8"))


def test_formulas_are_mathml_without_scripts(site: Path) -> None:
    page = (site / "derivations" / "pitchfork.html").read_text(encoding="utf-8")
    assert '<math display="block"' in page
    assert "mathjax" not in page.lower()


@pytest.mark.parametrize("name", sorted(set(resdyn.__all__) - {"__version__"}))
def test_the_reference_has_every_public_name(site: Path, name: str) -> None:
    page = (site / "reference.html").read_text(encoding="utf-8")
    assert f'id="resdyn.{name}"' in page or f'id="module-resdyn.{name}"' in page


@pytest.mark.parametrize("name", resdyn.networks.__all__)
def test_the_reference_has_every_public_name_of_networks(site: Path, name: str) -> None:
    assert f'id="resdyn.networks.{name}"' in (site / "reference.html").read_text(encoding="utf-8")
