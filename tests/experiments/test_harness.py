"""The harness, on a toy paper in a folder of its own."""

import importlib
import json
import sys
import textwrap

import numpy as np
import pytest

from experiments._harness import claims, command_line, finished, keeping, running
from experiments._harness.experiment import experiments_in
from experiments._harness.files import leaves, plain, refuse_paths
from resdyn._storage import read_npz, write_npz

SCRIPT = '''
    """Squares of the first numbers."""

    from dataclasses import dataclass

    import numpy as np

    from toys.helpers import power

    calls = []


    @dataclass(frozen=True)
    class Config:
        count: int = 3
        stop_after: int = 99  # so many parts, then an interrupt
        seed: int = 0


    PRESETS = {"smoke": Config(), "laptop": Config(count=5), "paper": Config(count=9)}
    TOLERANCES = {"largest": 1e-12, "each.*.1": 1e-12}


    def compute(config, run):
        def part(k):
            if len(calls) == config.stop_after:
                raise KeyboardInterrupt
            calls.append(k)
            return {"square": np.array(power(k))}

        parts = [run.part(f"square-{k}", lambda k=k: part(k)) for k in run.progress(range(config.count), "squares")]
        return {"squares": np.stack([part["square"] for part in parts])}


    def summarize(config, arrays):
        return {"largest": arrays["squares"].max(), "each": list(enumerate(arrays["squares"]))}


    def plot(config, arrays, summary):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(2, 2))
        figure.subplots().plot(arrays["squares"])
        return figure
'''
CLAIMS = """
    from experiments._harness import Claim

    CLAIMS = (
        Claim(
            "growth",
            "Squares *grow_ without` bound",
            "larger than 20",
            "squares",
            lambda summary: f"{summary['largest']}",
            lambda summary: "confirmed" if summary["largest"] > 20 else "not confirmed",
        ),
        Claim("elsewhere", "Of others", "so | so", "squares", str, str, presets=("gpu",)),
    )
"""
README = "# Toy\n\nBefore.\n\n<!-- claims: begin -->\n<!-- claims: end -->\n\nAfter.\n"
PAGE = "Toy\n===\n\n.. claims: begin\n\n.. claims: end\n\nAfter.\n"
FILES = ["arrays.npz", "figure.pdf", "figure.png", "provenance.json", "summary.json"]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder of experiments with one paper, and nothing of it imported."""
    root = tmp_path / "toys"
    paper = root / "toy1999_squares"
    paper.mkdir(parents=True)
    for path, text in {
        paper / "squares.py": SCRIPT,
        paper / "claims.py": CLAIMS,
        root / "helpers.py": "def power(k):\n    return k**2\n",
    }.items():
        path.write_text(textwrap.dedent(text))
    (paper / "README.md").write_text(README)
    page = tmp_path / "docs" / "experiments" / "toy1999_squares.rst"
    page.parent.mkdir(parents=True)
    page.write_text(PAGE)
    for folder in (root, paper):
        (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    # compiled files are told apart by size and second, too coarse for files that change between two imports
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield root
    for name in [name for name in sys.modules if name.partition(".")[0] == "toys"]:
        del sys.modules[name]


def script(root):
    for name in [name for name in sys.modules if name.partition(".")[0] == "toys"]:
        del sys.modules[name]
    importlib.invalidate_caches()
    (only,) = experiments_in("toy1999_squares", root)
    return only


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_run_leaves_arrays_numbers_figures_and_where_they_come_from(root):
    done = finished(script(root), "smoke")
    assert sorted(path.name for path in done.folder.iterdir()) == FILES
    assert done.folder.parts[-3:] == ("toy1999_squares", "squares", "smoke")
    assert json.loads((done.folder / "summary.json").read_text()) == done.summary
    assert done.summary == {"largest": 4, "each": [[0, 0], [1, 1], [2, 4]]}
    origin = json.loads((done.folder / "provenance.json").read_text())
    assert origin["config"] == {"count": 3, "stop_after": 99, "seed": 0}
    assert origin["seed"] == 0
    assert origin["versions"]["numpy"] == np.__version__
    assert origin["seconds"] >= 0
    assert (done.folder / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert (done.folder / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_what_is_there_is_reloaded_unless_forced(root):
    experiment = script(root)
    calls = experiment.module.calls
    first = finished(experiment, "smoke")
    again = finished(experiment, "smoke")
    assert (first.reloaded, again.reloaded, calls) == (False, True, [0, 1, 2])
    assert np.array_equal(first.arrays["squares"], again.arrays["squares"])
    assert first.provenance == again.provenance
    assert not finished(experiment, "smoke", force=True).reloaded
    assert calls == [0, 1, 2] * 2


def test_other_settings_lie_elsewhere_and_changed_presets_are_computed_again(root):
    experiment = script(root)
    finished(experiment, "smoke")
    other = finished(experiment, "smoke", config=experiment.module.Config(count=4))
    assert other.folder.name == "smoke+count=4"
    assert not other.reloaded
    change(experiment.source, '"smoke": Config()', '"smoke": Config(count=2)')
    changed = finished(script(root), "smoke")
    assert not changed.reloaded
    assert changed.summary["largest"] == 1


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [
        ("np.array(power(k))", "np.array(2 * power(k))", True),
        ('"largest": arrays["squares"].max()', '"largest": arrays["squares"].min()', False),
        ("figsize=(2, 2)", "figsize=(3, 2)", False),
        ("    def part(k):", "    # a comment\n    def part(k):", False),
        ("Squares of the first numbers.", "Squares.", False),
        ("    def part(k):", '    """In words."""\n\n    def part(k):', False),
    ],
)
def test_only_code_that_computes_is_computed_again(root, old, new, again):
    experiment = script(root)
    finished(experiment, "smoke")
    change(experiment.source, old, new)
    assert finished(script(root), "smoke").reloaded is not again


def test_a_helper_module_counts_as_code_that_computes(root):
    finished(script(root), "smoke")
    change(root / "helpers.py", "k**2", "k**3")
    done = finished(script(root), "smoke")
    assert not done.reloaded
    assert done.summary["largest"] == 8


def test_stopped_work_goes_on(root):
    experiment = script(root)
    module = experiment.module
    stopping = module.Config(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        finished(experiment, "smoke", config=stopping)
    assert module.calls == [0, 1]
    assert "open" not in command_line.state(experiment, "smoke")  # other settings, another folder
    module.calls.clear()
    assert "smoke+stop_after=2: open" in command_line.listing(root)
    first, _ = sorted(root.parent.glob("results/**/square-*.npz"))
    arrays, meta = read_npz(first, "part")
    assert meta["seconds"] > 0
    write_npz(first, arrays, meta | {"seconds": 100})
    done = finished(experiment, "smoke", config=stopping)
    assert module.calls == [2]
    assert 100 <= done.provenance["seconds"] < 160
    assert done.summary["largest"] == 4
    assert sorted(path.name for path in done.folder.iterdir()) == FILES


def test_one_process_at_a_time_runs_a_preset(root):
    experiment = script(root)
    folder = experiment.folder("smoke")
    (folder / "partial").mkdir(parents=True)
    with running.held(folder):
        assert command_line.state(experiment, "smoke") == "running"
        with pytest.raises(SystemExit, match="toy1999_squares.squares, smoke, is being run by another process"):
            finished(experiment, "smoke")
    assert not finished(experiment, "smoke").reloaded


def test_forced_work_that_was_stopped_does_not_fall_back_to_what_was_there(root, monkeypatch):
    experiment = script(root)
    finished(experiment, "smoke")
    monkeypatch.setattr(experiment.module, "calls", Refusing())
    with pytest.raises(KeyboardInterrupt):
        finished(experiment, "smoke", force=True)
    assert command_line.state(experiment, "smoke") == "not run"
    monkeypatch.setattr(experiment.module, "calls", [])
    assert not finished(experiment, "smoke").reloaded


class Refusing(list):
    def append(self, _):
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["arrays.npz", "provenance.json"])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"PK\x03\x04 broken")])
def test_missing_and_broken_files_are_made_again(root, name, damage):
    experiment = script(root)
    folder = finished(experiment, "smoke").folder
    damage(folder / name)
    done = finished(experiment, "smoke")
    assert not done.reloaded
    assert done.summary["largest"] == 4
    assert finished(experiment, "smoke").reloaded


def test_arrays_without_their_own_provenance_are_made_again(root):
    # as after a crash between the two files
    experiment = script(root)
    folder = finished(experiment, "smoke").folder
    other = finished(experiment, "smoke", config=experiment.module.Config(count=2)).folder
    (other / "arrays.npz").replace(folder / "arrays.npz")
    done = finished(experiment, "smoke")
    assert not done.reloaded
    assert done.summary["largest"] == 4


def test_a_broken_part_is_computed_again(root):
    experiment = script(root)
    stopping = experiment.module.Config(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        finished(experiment, "smoke", config=stopping)
    (part,) = root.parent.glob("results/**/square-1.npz")
    part.write_bytes(part.read_bytes()[:50])
    experiment.module.calls.clear()
    finished(experiment, "smoke", config=stopping)
    assert experiment.module.calls == [1, 2]


def test_the_command_line_takes_presets_and_settings(root, capsys):
    experiment = script(root)
    done = command_line.run_script(experiment, ["--preset", "laptop", "--count", "2", "--out", "here"])
    assert done.folder.as_posix() == "here/toy1999_squares/squares/laptop+count=2"
    assert "computed" in capsys.readouterr().out
    assert command_line.run_script(experiment, ["--preset=laptop"]).config.count == 5
    with pytest.raises(SystemExit, match="no preset 'huge'; there are smoke, laptop, paper"):
        command_line.run_script(experiment, ["--preset", "huge"])
    with pytest.raises(SystemExit, match="only presets as they are can be kept"):
        command_line.run_script(experiment, ["--count", "2", "--keep"])
    with pytest.raises(SystemExit) as help_:
        command_line.run_script(experiment, ["--preset", "paper", "--help"])
    assert help_.value.code == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("--count", "(default: 9)", "--force", "Squares of the first numbers"))


def test_the_list_says_what_was_run(root, capsys):
    experiment = script(root)
    command_line.all_experiments(["list"], root=root)
    assert capsys.readouterr().out == "toy1999_squares.squares  smoke: not run, laptop: not run, paper: not run\n"
    finished(experiment, "smoke")
    finished(experiment, "laptop")
    keeping.keep(experiment, "laptop")
    listed = command_line.listing(root)
    date = finished(experiment, "smoke").provenance["date"]
    assert listed.endswith(f"smoke: done {date}, laptop: done {date}, kept, paper: not run")
    change(experiment.source, "power(k))", "power(k) + 1)")
    script(root)
    assert "smoke: out of date, laptop: out of date, kept" in command_line.listing(root)


def test_the_report_shows_the_largest_preset_that_was_run(root, capsys):
    experiment = script(root)

    def reported():
        command_line.all_experiments(["report", "--paper", "toy1999"], root=root)
        return capsys.readouterr().out.splitlines()

    assert reported()[0] == "toy1999 growth · Squares *grow_ without` bound · paper: larger than 20 · — · not run"
    finished(experiment, "smoke")
    assert reported()[0].endswith("ours (smoke): 4 · no verdict from a smoke run")
    finished(experiment, "paper")
    finished(experiment, "laptop")
    assert reported()[0].endswith("ours (paper): 64 · confirmed")
    assert reported()[1].endswith("not run")  # its preset does not exist here
    with pytest.raises(SystemExit, match="there is no 'other2000'; papers are toy1999_squares"):
        command_line.all_experiments(["report", "--paper", "other2000"], root=root)


def test_a_fresh_clone_reports_what_is_kept_and_readme_says_the_same(root, capsys):
    experiment = script(root)
    finished(experiment, "smoke")
    finished(experiment, "laptop")
    kept = keeping.keep_all("toy1999_squares", root=root)
    assert [path.name for path in kept] == ["squares.laptop.json", "squares.laptop.png"]
    assert json.loads(kept[0].read_text())["provenance"]["config"]["count"] == 5
    finished(experiment, "paper")
    assert claims.rows("toy1999_squares", root=root, results=None)[0].ours == "16"

    command_line.all_experiments(["report", "--write"], root=root)
    assert capsys.readouterr().out.split() == ["toys/toy1999_squares/README.md", "docs/experiments/toy1999_squares.rst"]
    text = (root / "toy1999_squares" / "README.md").read_text()
    command_line.all_experiments(["report", "--kept", "--markdown"], root=root)
    table = capsys.readouterr().out
    assert claims.table_in(root / "toy1999_squares" / "README.md") == table.strip("\n")
    assert "so \\| so" in table
    assert text.startswith("# Toy\n\nBefore.\n")
    assert text.endswith("\nAfter.\n")
    assert claims.write_tables("toy1999_squares", root) == []


def test_the_page_of_the_docs_has_the_same_rows(root):
    docutils = pytest.importorskip("docutils.core")
    experiment = script(root)
    finished(experiment, "laptop")
    keeping.keep(experiment, "laptop")
    page = root.parent / "docs" / "experiments" / "toy1999_squares.rst"
    claims.write_tables("toy1999_squares", root)
    read = docutils.publish_doctree(page.read_text(), settings_overrides={"halt_level": 2})
    (table,) = [node for node in read.findall() if node.tagname == "table"]
    found = [[entry.astext() for entry in row.children] for row in table.findall() if row.tagname == "row"]
    assert found == [list(claims.HEADER), *map(list, claims.rows("toy1999_squares", root=root, results=None))]
    assert found[1][1] == "Squares *grow_ without` bound"


def test_a_readme_without_markers_is_refused(root):
    (root / "toy1999_squares" / "README.md").write_text("# Toy\n")
    with pytest.raises(ValueError, match=r"README.md needs the lines <!-- claims: begin -->"):
        claims.write_tables("toy1999_squares", root)


def test_nothing_about_the_machine_is_kept(root):
    experiment = script(root)
    change(experiment.source, '"each":', '"where": "in /somewhere/else", "each":')
    experiment = script(root)
    finished(experiment, "laptop")
    with pytest.raises(ValueError, match="holds 'in /somewhere/else' .at 'summary.where'."):
        keeping.keep(experiment, "laptop")
    assert not (experiment.source.parent / "kept").exists()
    with pytest.raises(SystemExit, match="no finished results of 'paper'"):
        keeping.keep(experiment, "paper")


@pytest.mark.parametrize(
    "text", ["/data/x", "/tmp", "~/data/x", "C:\\data", "C:/data", "weights=/a/b.th", "('/a/b',)", "file:///a"]
)
def test_paths_are_found(text):
    with pytest.raises(ValueError, match="looks like a path"):
        refuse_paths({"a": [text]}, "it")
    with pytest.raises(ValueError, match="looks like a path"):
        refuse_paths({text: 1}, "it")


@pytest.mark.parametrize(
    "text",
    ["8/255", "before / after", "before/after", "https://example.org/a/b", "a: b", "2p<s", "weights/a.th", "~ 3"],
)
def test_other_words_are_no_paths(text):
    refuse_paths({text: [text]}, "it")


def test_expected_numbers_come_from_a_run_and_differences_are_said(root, capsys):
    experiment = script(root)
    command_line.all_experiments(["expect", "toy1999_squares"], root=root)
    expected = json.loads((root / "toy1999_squares" / "expected.json").read_text())["squares"]["smoke"]
    assert expected == {
        name: [value, 1e-12] for name, value in {"largest": 4, "each.0.1": 0, "each.1.1": 1, "each.2.1": 4}.items()
    }
    summary = finished(experiment, "smoke").summary
    assert keeping.differences(expected, summary) == []
    summary["largest"] = 4 + 1e-9
    del summary["each"][2]
    assert keeping.differences(expected, summary) == [
        "largest is 4.000000001, expected 4 within 1e-12",
        "each.2.1 is missing",
    ]
    change(experiment.source, '"largest": 1e-12', '"smallest": 1e-12')
    script(root)
    with pytest.raises(ValueError, match="no entry of the summary of squares is called 'smallest'"):
        keeping.write_expected("toy1999_squares", root=root)


def test_words_and_truths_of_a_summary_are_compared_exactly():
    assert keeping.differences({"a": ["x", 1], "b": [True, 1], "c": [None, 1]}, {"a": "x", "b": True, "c": None}) == []
    assert (
        len(keeping.differences({"a": ["x", 1], "b": [True, 1], "c": [2, 1]}, {"a": "y", "b": False, "c": None})) == 3
    )


def test_summaries_become_plain():
    assert plain({"a": (np.float64(1.5), np.array([1, 2])), 3: np.nan, "b": np.bool_(True)}) == {
        "a": [1.5, [1, 2]],
        "3": None,
        "b": True,
    }
    assert leaves({"a": [{"b": 1}, 2]}) == {"a.0.b": 1, "a.1": 2}
    with pytest.raises(TypeError, match="is a function; a summary holds numbers"):
        plain({"a": lambda: 0})


def test_an_experiment_lacks_nothing(root):
    change(root / "toy1999_squares" / "squares.py", "def plot(", "def draw(")
    with pytest.raises(AttributeError, match="toys.toy1999_squares.squares has no plot"):
        script(root)
