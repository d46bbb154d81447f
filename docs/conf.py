"""How Sphinx builds these pages; ``make docs`` runs it."""

import sys
from enum import Enum
from pathlib import Path

_here = Path(__file__).parent
# a checkout works without being installed
sys.path[:0] = [str(_here.parent), str(_here.parent / "theory"), str(_here / "_extensions")]

import resdyn  # noqa: E402  needs the path above

project = "resdyn"
author = "The resdyn authors"
copyright = author
release = version = resdyn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "derivation",
    "bibliography",
]
exclude_patterns = ["_build", "_extensions", "gallery"]
default_role = None
nitpicky = True
# dashes only: x' is x prime, not a closing quotation mark
smartquotes_action = "D"

# each script of docs/gallery is run, and becomes a page with its figures
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "_generated/gallery",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "capture_repr": (),  # what is printed is shown, and not what a last line happens to return
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,
    "remove_config_comments": True,
    "copyfile_regex": "",
}

html_theme = "furo"
html_title = "resdyn"
html_static_path = ["_static"]
html_css_files = ["resdyn.css"]
html_math_renderer = "mathml"
math_eqref_format = "eq. ({number})"
html_copy_source = False
html_show_sourcelink = False

autodoc_member_order = "bysource"
# docstrings say the types, with shapes; annotations would say them again, without
autodoc_typehints = "none"
autodoc_preserve_defaults = True

napoleon_google_docstring = False
# "array, shape (n, d)" is a description and not the name of a class: print it, look nothing up
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]


def _attributes_are_sentences(app):
    """Keep napoleon from reading "The shape of one state: (d,)" as a type and its description."""
    kept = {}

    def before(app, what, name, obj, options, lines):
        if what in ("attribute", "property", "data"):
            kept[name] = list(lines)

    def after(app, what, name, obj, options, lines):
        lines[:] = kept.pop(name, lines)

    app.connect("autodoc-process-docstring", before, priority=400)  # napoleon has 500
    app.connect("autodoc-process-docstring", after, priority=600)


def _without_signature(app, what, name, obj, options, signature, returns):
    """Nobody calls a protocol or an enumeration."""
    if what == "class" and (getattr(obj, "_is_protocol", False) or issubclass(obj, Enum)):
        return "", None
    return None


def setup(app):
    _attributes_are_sentences(app)
    app.connect("autodoc-process-signature", _without_signature)
