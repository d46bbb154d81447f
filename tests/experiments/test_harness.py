"""The harness, on a toy paper in a folder of its own."""

import errno
import importlib
import json
import sys
import textwrap

import numpy as np
import pytest

from experiments._harness import claims, command_line, finished, keeping, provenance, running, tables
from experiments._harness.experiment import ROOT, experiments_in, papers
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
            details=lambda summary: f"all of them: {summary['each']}",
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


def test_a_module_that_uses_the_presets_of_others_is_no_script(root):
    (root / "toy1999_squares" / "beside.py").write_text("import others\n\nused = others.PRESETS\n")
    assert [experiment.name for experiment in experiments_in("toy1999", root)] == ["squares"]


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
        ("seed: int = 0", 'seed: int = 0\n    """Of nothing."""', False),
        (', "squares")]', ', "the squares")]', False),
        ("    def part(k):", "    run.log(config.count)\n\n    def part(k):", False),
        ("KeyboardInterrupt\n", "KeyboardInterrupt('enough')\n", False),
        ("calls = []", "calls = []\ncalls += []", True),
        ("calls = []", "calls = []\nnp.seterr(over='raise')", True),
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


def test_of_a_helper_module_only_what_is_used_counts(root):
    helpers = root / "helpers.py"
    helpers.write_text("def words():\n    return 'a'\n\n\ndef power(k):\n    return k**EXPONENT\n\n\nEXPONENT = 2\n")
    finished(script(root), "smoke")
    change(helpers, "'a'", "'b'")
    assert finished(script(root), "smoke").reloaded
    change(helpers, "EXPONENT = 2", "EXPONENT = 3")
    assert finished(script(root), "smoke").summary["largest"] == 8
    # as a module, and through another one
    change(root / "toy1999_squares" / "squares.py", "from toys.helpers import power", "from toys import helpers as of")
    change(root / "toy1999_squares" / "squares.py", "power(k)", "of.power(k)")
    (root / "exponents.py").write_text("SQUARE = 2\nCUBE = 3\n")
    helpers.write_text("from toys.exponents import SQUARE as E\n\n\ndef power(k):\n    return k**E\n")
    assert finished(script(root), "smoke").summary["largest"] == 4
    change(root / "exponents.py", "CUBE = 3", "CUBE = 4")
    assert finished(script(root), "smoke").reloaded
    change(root / "exponents.py", "SQUARE = 2", "SQUARE = 4")
    assert finished(script(root), "smoke").summary["largest"] == 16


STAGES = """
    from dataclasses import dataclass

    import numpy as np

    log = []


    @dataclass(frozen=True)
    class Config:
        fail: bool = False


    PRESETS = {"smoke": Config()}


    def base(config):
        return 3


    def trained(start):
        log.append("trained")
        return {"weights": np.array(start + 1.0)}


    def analysed(weights, power):
        log.append("analysed")
        return {"found": weights**power}


    def compute(config, run):
        start = base(config)
        unrelated = 5
        weights = run.part("training", lambda: trained(start), keep=KEEP)["weights"]
        power = 2
        found = other(run, weights, power)
        if config.fail:
            raise KeyboardInterrupt
        return {"found": found["found"]}


    def other(run, weights, power):
        return run.part("analysis", lambda: analysed(weights, power))


    def summarize(config, arrays):
        return {"found": float(arrays["found"])}


    def plot(config, arrays, summary):
        from matplotlib.figure import Figure

        return Figure(figsize=(1, 1))
"""


def in_stages(root, keep):
    (root / "toy1999_squares" / "squares.py").write_text(textwrap.dedent(STAGES).replace("KEEP", str(keep)))
    return script(root)


@pytest.mark.parametrize(
    ("old", "new", "made"),
    [
        ('{"found": found["found"]}', '{"found": 2 * found["found"]}', []),
        ("unrelated = 5", "unrelated = 6", []),
        ("weights**power", "weights**power + 1", ["analysed"]),
        ("power = 2", "power = 3", ["analysed"]),
        ("return 3", "return 4", ["trained", "analysed"]),
        ("start + 1.0", "start + 2.0", ["trained", "analysed"]),
        ("start = base(config)", "start = base(config) + 1", ["trained", "analysed"]),
    ],
)
def test_a_part_is_made_again_where_code_on_the_way_to_it_changed(root, old, new, made):
    experiment = in_stages(root, keep=False)
    config = experiment.module.Config(fail=True)
    with pytest.raises(KeyboardInterrupt):
        finished(experiment, "smoke", config=config)
    assert experiment.module.log == ["trained", "analysed"]
    change(experiment.source, old, new)
    experiment = script(root)
    with pytest.raises(KeyboardInterrupt):
        finished(experiment, "smoke", config=config)
    assert experiment.module.log == made


def test_what_later_statements_of_a_loop_bind_counts(root):
    experiment = in_stages(root, keep=False)
    change(
        experiment.source,
        "    power = 2\n",
        "    power = 2\n    for k in range(2):\n"
        '        run.part(f"again-{k}", lambda: analysed(weights, power))\n        power = power + 1\n',
    )
    config = experiment.module.Config(fail=True)
    with pytest.raises(KeyboardInterrupt):
        finished(script(root), "smoke", config=config)
    change(experiment.source, "power = power + 1", "power = power + 2")
    experiment = script(root)
    with pytest.raises(KeyboardInterrupt):
        finished(experiment, "smoke", config=config)
    assert experiment.module.log == ["analysed"] * 3


def test_a_part_that_is_to_be_kept_outlasts_the_run(root):
    experiment = in_stages(root, keep=True)
    folder = finished(experiment, "smoke").folder
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "parts"])
    change(experiment.source, "power = 2", "power = 3")
    experiment = script(root)
    done = finished(experiment, "smoke")
    assert (experiment.module.log, done.summary["found"]) == (["analysed"], 64)
    change(experiment.source, "return 3", "return 4")
    experiment = script(root)
    finished(experiment, "smoke")
    assert experiment.module.log == ["trained", "analysed"]
    assert len(list(folder.glob("parts/*/*"))) == 1  # the old one is of no use any more
    finished(experiment, "smoke", force=True)
    assert experiment.module.log == ["trained", "analysed"] * 2


def test_parts_are_those_of_the_code_that_was_loaded(root):
    # a file that changes while a run of hours goes on
    experiment = in_stages(root, keep=False)
    change(experiment.source, "    power = 2\n", "    power = 2\n    edit()\n")
    experiment = script(root)
    config = experiment.module.Config(fail=True)
    experiment.module.edit = lambda: change(experiment.source, "weights**power", "weights**power + 1")
    with pytest.raises(KeyboardInterrupt):
        finished(experiment, "smoke", config=config)
    experiment = script(root)
    experiment.module.edit = lambda: None
    with pytest.raises(KeyboardInterrupt):
        finished(experiment, "smoke", config=config)
    assert experiment.module.log == ["analysed"]


def test_seconds_and_commits_are_those_of_all_that_was_used(root, monkeypatch):
    names = iter(["aaa", "bbb+", "ccc"])
    monkeypatch.setattr(provenance, "commit", lambda: next(names))
    experiment = in_stages(root, keep=True)
    assert finished(experiment, "smoke").provenance["commit"] == "aaa"
    change(experiment.source, "power = 2", "power = 3")
    assert finished(script(root), "smoke").provenance["commit"] == "bbb+, aaa"
    assert finished(script(root), "smoke").reloaded


def test_other_sources_of_resdyn_are_said(root, tmp_path, monkeypatch):
    package = tmp_path / "resdyn"
    package.mkdir()
    (package / "__init__.py").write_text('"""Words."""\n\nX = 1\n')
    monkeypatch.setattr(provenance, "RESDYN", package)
    experiment = in_stages(root, keep=True)
    done = finished(experiment, "smoke")
    assert list(done.provenance["resdyn"]) == ["resdyn"]
    (package / "__init__.py").write_text('"""Other words."""\n\nX = 1  # one\n')
    assert "other resdyn" not in command_line.listing(root)
    (package / "__init__.py").write_text("X = 2\n")
    assert f"smoke: done {done.provenance['date']} (other resdyn)" in command_line.listing(root)
    assert finished(experiment, "smoke").reloaded
    # parts of two states of resdyn are of none
    change(experiment.source, "power = 2", "power = 3")
    assert finished(script(root), "smoke").provenance["resdyn"] == {"resdyn": "mixed"}
    assert "(other resdyn)" in command_line.listing(root)


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


def test_what_is_out_of_date_is_said_and_not_kept(root, capsys):
    experiment = script(root)
    finished(experiment, "laptop")
    change(experiment.source, "power(k))", "power(k) + 100)")
    experiment = script(root)
    row = claims.rows("toy1999_squares", root=root)[0]
    assert (row.ours, row.preset) == ("16", "laptop (out of date)")
    with pytest.raises(SystemExit, match="squares, laptop, are of other settings or of other code; run it again"):
        keeping.keep(experiment, "laptop")
    assert keeping.keep_all("toy1999", root=root) == []
    assert "run it again" in capsys.readouterr().err
    assert not (experiment.source.parent / "kept").exists()

    finished(experiment, "laptop")
    keeping.keep(experiment, "laptop")
    assert claims.rows("toy1999_squares", root=root, results=None)[0].preset == "laptop"
    change(experiment.source, 'laptop": Config(count=5)', 'laptop": Config(count=6)')
    experiment = script(root)
    assert claims.rows("toy1999_squares", root=root, results=None)[0].preset == "laptop (out of date)"
    assert "laptop: out of date, kept (out of date)" in command_line.listing(root)
    # what is kept is of today's code, and what is on this machine of other code
    change(experiment.source, "Config(count=6)", "Config(count=5)")
    change(experiment.source, "power(k) + 100)", "power(k))")
    finished(script(root), "laptop")
    change(experiment.source, "power(k))", "power(k) + 100)")
    script(root)
    row = claims.rows("toy1999_squares", root=root)[0]
    assert (row.ours, row.preset) == ("116", "laptop")


def test_what_is_kept_is_read_without_the_packages_that_made_it(root):
    experiment = script(root)
    change(experiment.source, "import numpy as np\n", "import numpy as np\nimport package_of_nobody\n")
    (root.parent / "package_of_nobody.py").touch()
    finished(script(root), "laptop")
    keeping.keep(script(root), "laptop")
    (root.parent / "package_of_nobody.py").unlink()
    del sys.modules["package_of_nobody"]
    with pytest.raises(ModuleNotFoundError):
        script(root)
    assert claims.rows("toy1999_squares", root=root, results=None)[0].cells[3:] == ("16", "laptop", "not confirmed")
    assert "laptop: not run, kept" in command_line.listing(root, root / "elsewhere")
    change(root / "helpers.py", "k**2", "k**3")
    assert claims.rows("toy1999_squares", root=root, results=None)[0].preset == "laptop (out of date)"


def test_results_of_no_commit_are_kept_with_a_warning(root, monkeypatch, capsys):
    monkeypatch.setattr(provenance, "commit", lambda: "abc+")
    experiment = script(root)
    finished(experiment, "laptop")
    assert len(keeping.keep(experiment, "laptop")) == 2
    assert "made with files that are in no commit (abc+)" in capsys.readouterr().err


def judged(root, text):
    """The rows of these claims, written as code."""
    path = root / "toy1999_squares" / "claims.py"
    path.write_text(f"from experiments._harness import Claim\n\nCLAIMS = ({text},)\n")
    script(root)
    return claims.rows("toy1999_squares", root=root)


def test_a_claim_that_fails_on_a_summary_leaves_the_others(root):
    finished(script(root), "laptop")
    broken, other = judged(
        root,
        "Claim('a', 'A', 'so', 'squares', lambda s: s['missing'], lambda s: 'confirmed'),"
        "Claim('b', 'B', 'so', 'squares', lambda s: 'two', lambda s: 'confirmed')",
    )
    assert broken.cells[3:] == ("KeyError: 'missing'", "laptop", "cannot be judged")
    assert other.cells[3:] == ("two", "laptop", "confirmed")
    (verdict,) = judged(root, "Claim('a', 'A', 'so', 'squares', lambda s: 'x', lambda s: min([]))")
    assert verdict.verdict == "cannot be judged"


def test_a_summary_that_says_nothing_on_a_claim_leaves_it_to_a_smaller_one(root):
    experiment = script(root)
    text = "Claim('a', 'A', 'so', 'squares', lambda s: '16' if s['largest'] == 16 else None, lambda s: 'confirmed')"
    finished(experiment, "paper")
    assert judged(root, text)[0].cells[3:] == ("—", "—", "not run")
    finished(experiment, "laptop")
    assert judged(root, text)[0].cells[3:] == ("16", "laptop", "confirmed")


def test_a_row_that_was_not_run_says_what_stands_beside_it(root):
    experiment = script(root)
    change(experiment.source, '"paper": Config', '"huge": Config(count=7), "paper": Config')
    text = "Claim('a', 'A', 'so', 'squares', lambda s: str(s['largest']), str, presets=('huge',), beside={})"
    asked = text.format("lambda s: f\"beside it: {s['largest']}\"")
    assert judged(root, text.format("'a smaller one'"))[0].cells[3:] == ("a smaller one", "—", "not run")
    finished(script(root), "smoke")
    assert str(judged(root, asked)[0]).endswith("so · — · not run")  # a smoke run stands beside nothing
    finished(script(root), "laptop")
    assert str(judged(root, asked)[0]).endswith("so · beside it: 16 · not run")
    command_line.all_experiments(["run", "toy1999", "--preset", "huge"], root=root)
    assert judged(root, asked)[0].cells[3:5] == ("36", "huge")


def test_numbers_have_minus_signs(root):
    finished(script(root), "laptop")
    words = "-0.5 [-1.0, -2e-3] (-3), layer-15, 2026-11-22, x-1, −4"
    (row,) = judged(root, f"Claim('a', 'A', '-1', 'squares', lambda s: '{words}', str, details=lambda s: '{words}')")
    assert row.ours == row.details == "−0.5 [−1.0, −2e-3] (−3), layer-15, 2026-11-22, x-1, −4"
    assert row.paper == "−1"


def test_a_run_that_cannot_judge_a_claim_leaves_it_to_the_next_preset(root):
    finished(script(root), "laptop")
    text = "Claim('a', 'A', 'so', 'squares', lambda s: 'another one', lambda s: 'not run', details=str)"
    (row,) = judged(root, text)
    assert row.cells[3:] == ("another one", "—", "not run")
    assert row.below == ["python -m experiments.toy1999_squares.squares --preset paper"]


def test_commands_take_keys_of_papers_and_refuse_what_is_not_there(root, capsys):
    script(root)
    with pytest.raises(SystemExit, match="no script of toy1999 has a preset 'lptop'; there are smoke, laptop, paper"):
        command_line.all_experiments(["run", "toy1999", "--preset", "lptop"], root=root)
    command_line.all_experiments(["run", "toy1999", "--preset", "laptop"], root=root)
    command_line.all_experiments(["keep", "toy1999"], root=root)
    command_line.all_experiments(["expect", "toy1999"], root=root)
    assert "toy1999_squares/expected.json" in capsys.readouterr().out
    for command in ("run", "keep", "expect"):
        with pytest.raises(SystemExit, match="there is no 'other2000'; papers are toy1999_squares"):
            command_line.all_experiments([command, "other2000"], root=root)
    with pytest.raises(SystemExit, match="there is no 'other2000'"):
        command_line.all_experiments(["report", "--write", "--paper", "other2000"], root=root)


def test_a_run_says_whether_its_numbers_are_those_expected(root, capsys):
    experiment = script(root)
    command_line.run_script(experiment, [])
    assert "expected" not in capsys.readouterr().out
    command_line.all_experiments(["expect", "toy1999"], root=root)
    command_line.run_script(experiment, [])
    assert "the numbers are those of expected.json" in capsys.readouterr().out
    change(experiment.source, ".max()", ".max() + 1")
    command_line.run_script(script(root), [])
    assert "1 numbers differ from expected.json:\n  largest is 5, expected 4 within" in capsys.readouterr().out
    command_line.run_script(experiment, ["--count", "2"])
    assert "expected" not in capsys.readouterr().out


def test_interrupts_and_missing_files_end_in_words(root, capsys, tmp_path):
    experiment = script(root)
    change(experiment.source, '"smoke": Config()', '"smoke": Config(stop_after=1)')
    script(root)
    with pytest.raises(SystemExit) as stopped:
        command_line.all_experiments(["run", "toy1999"], root=root)
    assert stopped.value.code == 130
    assert "What was done is kept; the same command goes on from there." in capsys.readouterr().err
    assert "smoke: open" in command_line.listing(root)
    (tmp_path / "file").touch()
    for command in (["list"], ["report"]):
        command_line.all_experiments([*command, "--out", str(tmp_path / "file")], root=root)
    with pytest.raises(SystemExit, match="file"):
        command_line.all_experiments(["run", "toy1999", "--out", str(tmp_path / "file")], root=root)


def test_work_that_failed_before_it_began_leaves_nothing(root):
    experiment = script(root)
    change(experiment.source, "    def part(k):", '    raise FileNotFoundError("no weights")\n\n    def part(k):')
    experiment = script(root)
    with pytest.raises(FileNotFoundError):
        finished(experiment, "laptop")
    assert not [path for path in root.parent.glob("results/**/*") if path.name not in ("toy1999_squares", "squares")]
    assert "laptop: not run" in command_line.listing(root)


def test_results_that_cannot_be_written_to_are_reloaded(root, monkeypatch):
    experiment = script(root)
    finished(experiment, "smoke")

    def refused(folder):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(running, "held", refused)
    done = finished(experiment, "smoke")
    assert (done.reloaded, done.summary["largest"]) == (True, 4)
    with pytest.raises(PermissionError):
        finished(experiment, "laptop")
    with pytest.raises(PermissionError):
        finished(experiment, "smoke", force=True)


def test_without_locks_of_the_system_work_is_done_all_the_same(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert finished(script(root), "smoke").summary["largest"] == 4


@pytest.mark.parametrize("paper", papers())
def test_each_script_of_a_paper_has_a_claim_and_numbers_that_are_expected(paper):
    names = {experiment.name for experiment in experiments_in(paper)}
    assert {claim.script for claim in claims.claims_of(paper)} == names
    assert len({claim.key for claim in claims.claims_of(paper)}) == len(claims.claims_of(paper))
    expected = json.loads((ROOT / paper / "expected.json").read_text())
    assert {name for name, presets in expected.items() if presets.get("smoke")} == names


@pytest.mark.parametrize("paper", papers())
def test_what_is_kept_of_a_paper_can_be_judged(paper):
    known = {
        experiment.kept(preset, suffix)
        for experiment in experiments_in(paper)
        for preset in experiment.presets
        for suffix in (".json", ".png")
    }
    kept = set((ROOT / paper / "kept").iterdir())
    assert kept
    assert kept <= known
    rows = claims.rows(paper, results=None)
    assert any(row.verdict != claims.NOT_RUN for row in rows)
    assert [row for row in rows if row.verdict == claims.CANNOT_BE_JUDGED] == []


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
    assert tables.table_in(root / "toy1999_squares" / "README.md") == table.strip("\n")
    assert "so \\| so" in table
    assert text.startswith("# Toy\n\nBefore.\n")
    assert text.endswith("\nAfter.\n")
    assert tables.write_tables("toy1999_squares", root) == []


def test_the_page_of_the_docs_has_the_same_rows(root):
    docutils = pytest.importorskip("docutils.core")
    experiment = script(root)
    finished(experiment, "laptop")
    keeping.keep(experiment, "laptop")
    page = root.parent / "docs" / "experiments" / "toy1999_squares.rst"
    tables.write_tables("toy1999_squares", root)
    read = docutils.publish_doctree(page.read_text(), settings_overrides={"halt_level": 2})
    (table,) = [node for node in read.findall() if node.tagname == "table"]
    found = [[entry.astext() for entry in row.children] for row in table.findall() if row.tagname == "row"]
    rows = claims.rows("toy1999_squares", root=root, results=None)
    assert found == [list(tables.HEADER), *(list(row.cells) for row in rows)]
    assert found[1][1] == "Squares *grow_ without` bound"
    (below,) = [node for node in read.findall() if node.tagname == "definition_list"]
    first, second = [[part.astext() for part in item.children] for item in below.children]
    assert first[0] == "growth"
    assert first[1].startswith("all of them: [[0, 0], [1, 1], [2, 4], [3, 9], [4, 16]]")
    assert f"python -m experiments.toy1999_squares.squares --preset laptop ({rows[0].origin})" in first[1]
    assert second == ["elsewhere", "python -m experiments.toy1999_squares.squares --preset gpu"]


def test_below_a_row_stand_all_numbers_the_command_and_the_run(root, capsys, monkeypatch):
    monkeypatch.setattr(provenance, "commit", lambda: "abc")
    experiment = script(root)
    finished(experiment, "laptop")
    capsys.readouterr()
    command_line.all_experiments(["report", "--details"], root=root)
    growth, numbers, command, run, elsewhere, other = capsys.readouterr().out.splitlines()
    assert growth.startswith("toy1999 growth · ")
    assert numbers == "    all of them: [[0, 0], [1, 1], [2, 4], [3, 9], [4, 16]]"
    assert command == "    python -m experiments.toy1999_squares.squares --preset laptop"
    origin = json.loads((experiment.folder("laptop") / "provenance.json").read_text())
    assert run == f"    commit abc, {origin['date']}, {origin['seconds']:.0f} s, {origin['device']}"
    assert elsewhere.endswith("not run")
    assert other == "    python -m experiments.toy1999_squares.squares --preset gpu"


def test_the_front_page_counts_the_verdicts(root):
    experiment = script(root)
    finished(experiment, "laptop")
    keeping.keep(experiment, "laptop")
    front = root.parent / "README.md"
    front.write_text("Before.\n<!-- verdicts: begin -->\n<!-- verdicts: end -->\nAfter.\n")
    assert tables.write_overview(root) == [front]
    *_, counts = tables.table_in(front, "verdicts").splitlines()
    # 16 is not larger than 20; the other claim asks for a preset that was not run
    assert counts == "| toy1999 | 2 | 0 | 0 | 1 | 0 | 1 | 0 |"
    assert front.read_text().startswith("Before.\n<!--")
    assert tables.write_overview(root) == []


def test_a_readme_without_markers_is_refused(root):
    (root / "toy1999_squares" / "README.md").write_text("# Toy\n")
    with pytest.raises(ValueError, match=r"README.md needs the lines <!-- claims: begin -->"):
        tables.write_tables("toy1999_squares", root)


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
    "text",
    [
        "/data/x",
        "/tmp",
        "in /data",
        "../x/y",
        "at ./x",
        "$HOME/x",
        "${HOME}/x",
        "~/data/x",
        "C:\\data",
        "C:/data",
        "weights=/a/b.th",
        "('/a/b',)",
        "file:///a",
    ],
)
def test_paths_are_found(text):
    with pytest.raises(ValueError, match="looks like a path"):
        refuse_paths({"a": [text]}, "it")
    with pytest.raises(ValueError, match="looks like a path"):
        refuse_paths({text: 1}, "it")


@pytest.mark.parametrize(
    "text",
    [
        "8/255",
        "before / after",
        "before/after",
        "https://example.org/a/b",
        "a: b",
        "2p<s",
        "weights/a.th",
        "~ 3",
        "1 / 3",
        "a ... b",
        "$n$",
    ],
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
