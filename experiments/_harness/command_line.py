"""The commands: ``python -m experiments.<paper>.<script>`` for one script, ``python -m experiments`` for all."""

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from experiments._harness import claims, tables
from experiments._harness.experiment import (
    RESULTS,
    ROOT,
    Experiment,
    experiment_of,
    experiments_in,
    papers,
    papers_named,
)
from experiments._harness.files import read_json
from experiments._harness.keeping import check, keep, keep_all, write_expected
from experiments._harness.provenance import Sources, is_other_resdyn
from experiments._harness.running import Finished, finished, has_parts, is_held


def main(file: str) -> None:
    """Run the script in this file with the settings of the command line."""
    with in_words():
        run_script(experiment_of(file), sys.argv[1:])


@contextmanager
def in_words() -> Iterator[None]:
    """What ends a command from outside, said without a traceback: an interrupt, files that are not there."""
    try:
        yield
    except KeyboardInterrupt:
        print("stopped. What was done is kept; the same command goes on from there.", file=sys.stderr)
        raise SystemExit(130) from None
    except OSError as error:
        raise SystemExit(str(error)) from None


def run_script(experiment: Experiment, arguments: Sequence[str]) -> Finished:
    """Compute or reload, and say what came out."""
    import tyro

    preset = _preset(arguments, experiment)
    Options = dataclasses.make_dataclass(
        "Options",
        [
            ("preset", Literal[tuple(experiment.presets)], dataclasses.field(default=preset)),
            ("force", Annotated[bool, tyro.conf.arg(help="compute again")], dataclasses.field(default=False)),
            ("keep", Annotated[bool, tyro.conf.arg(help="copy results into kept/")], dataclasses.field(default=False)),
            (
                "out",
                Annotated[Path, tyro.conf.arg(help="the folder of all results")],
                dataclasses.field(default=RESULTS),
            ),
            ("settings", type(experiment.presets[preset]), dataclasses.field(default=experiment.presets[preset])),
        ],
        frozen=True,
    )
    options: Any = tyro.cli(
        Options,
        args=list(arguments),
        prog=f"python -m experiments.{experiment.paper}.{experiment.name}",
        description=experiment.module.__doc__,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    )
    done = finished(experiment, preset, config=options.settings, results=options.out, force=options.force)
    if options.keep:
        if options.settings != experiment.presets[preset]:
            raise SystemExit(f"only presets as they are can be kept, and the settings differ from {preset!r}.")
        keep(experiment, preset, options.out)
    how = "reloaded" if done.reloaded else "computed"
    print(
        f"{how} in {done.provenance['seconds']:.1f} s: {done.folder}" if how == "computed" else f"{how}: {done.folder}"
    )
    _say_differences(experiment, done, preset)
    return done


def _say_differences(experiment: Experiment, done: Finished, preset: str) -> None:
    """Whether the numbers are those of ``expected.json``, for a preset as it is."""
    found = check(experiment, preset, done.summary) if done.config == experiment.presets[preset] else None
    if found == []:
        print("the numbers are those of expected.json")
    elif found:
        print(f"{len(found)} numbers differ from expected.json:", *found[:10], sep="\n  ")
        print("  …" * (len(found) > 10), end="\n" * (len(found) > 10))


def _preset(arguments: Sequence[str], experiment: Experiment) -> str:
    """The preset is needed first: its settings are the defaults of the others."""
    for position, word in enumerate(arguments):
        name = word.partition("=")[2] if word.startswith("--preset=") else None
        if word == "--preset" and position + 1 < len(arguments):
            name = arguments[position + 1]
        if name is not None:
            experiment.preset(name)
            return name
    return next(iter(experiment.presets))


def state(experiment: Experiment, preset: str, results: Path = RESULTS, sources: Sources | None = None) -> str:
    """Of a preset, or of a folder beside those of presets: "done", "running", "open", "out of date", "not run".

    Then, if it is kept, "kept"; each with "out of date" where settings or code were changed, and with "other resdyn"
    where code of resdyn was that the work imported.
    """
    sources = sources or Sources()
    folder = experiment.folder(preset, results)
    origin = read_json(folder / "provenance.json")
    if is_held(folder):
        words = "running"
    elif has_parts(folder):
        words = "open"
    elif origin is None or not (folder / "summary.json").is_file():
        words = "not run"
    else:
        words = _currency(experiment, preset, origin, sources, f"done {origin['date']}")
    kept = read_json(experiment.kept(preset, ".json"))
    return words if kept is None else f"{words}, {_currency(experiment, preset, kept['provenance'], sources, 'kept')}"


def _currency(experiment: Experiment, preset: str, origin: dict[str, Any], sources: Sources, word: str) -> str:
    if claims.is_out_of_date(experiment, preset, origin):
        return "out of date" if word.startswith("done") else f"{word} (out of date)"
    return word + " (other resdyn)" * is_other_resdyn(origin, sources)


def listing(root: Path = ROOT, results: Path = RESULTS) -> str:
    """All scripts and their presets with their state, and what was run or begun with other settings."""
    lines, sources = [], Sources()
    for paper in papers(root):
        for experiment in experiments_in(paper, root, reading=True):
            beside = (path.name for path in sorted((results / paper / experiment.name).glob("*+*")) if path.is_dir())
            names = [*experiment.presets, *beside]
            states = ", ".join(f"{name}: {state(experiment, name, results, sources)}" for name in names)
            lines.append(f"{paper}.{experiment.name}  {states}")
    return "\n".join(lines)


def all_experiments(arguments: Sequence[str] | None = None, *, root: Path = ROOT) -> None:
    """What ``python -m experiments`` does."""
    import tyro

    Out = Annotated[Path, tyro.conf.arg(help="the folder of all results")]

    def list_(out: Out = RESULTS) -> None:
        """All scripts and their presets with their state."""
        print(listing(root, out))

    def run(
        paper: tyro.conf.Positional[str], /, preset: str = "smoke", force: bool = False, out: Out = RESULTS
    ) -> None:
        """Run this preset of all scripts of a paper that have it."""
        scripts = experiments_in(paper, root)
        chosen = [experiment for experiment in scripts if preset in experiment.presets]
        if not chosen:
            known = dict.fromkeys(name for experiment in scripts for name in experiment.presets)
            raise SystemExit(f"no script of {paper} has a preset {preset!r}; there are {', '.join(known)}.")
        for experiment in chosen:
            run_script(experiment, ["--preset", preset, "--out", str(out), *["--force"] * force])

    def report(
        paper: str | None = None,
        kept: bool = False,
        details: bool = False,
        markdown: bool = False,
        write: bool = False,
        out: Out = RESULTS,
    ) -> None:
        """One line per claim, at the largest preset that was run.

        Args:
            paper: Only this one, by its folder or its key.
            kept: Read only what is kept in the repository.
            details: Below each line all numbers, the command that makes them, and where and when it ran.
            markdown: As a table.
            write: Write the tables of what is kept into the README files and pages of the docs.
        """
        if write:
            changed = [path for name in papers_named(paper, root) for path in tables.write_tables(name, root)]
            changed += tables.write_overview(root)
            print("\n".join(str(path.relative_to(root.parent)) for path in changed) or "all tables were up to date")
            return
        table = claims.report(paper, root=root, results=None if kept else out)
        if markdown:
            print(tables.markdown(table))
            return
        for row in table:
            print(row, *(row.below if details else []), sep="\n    ")

    def keep(paper: tyro.conf.Positional[str], /, out: Out = RESULTS) -> None:
        """Copy summaries and figures of all finished presets but smoke into the repository."""
        for path in keep_all(paper, root=root, results=out):
            print(path.relative_to(root))

    def expect(paper: tyro.conf.Positional[str], /, out: Out = RESULTS) -> None:
        """Write expected.json: the numbers of the smoke presets, run now, and of the others that are kept."""
        print(write_expected(paper, root=root, results=out).relative_to(root))

    with in_words():
        tyro.extras.subcommand_cli_from_dict(
            {"list": list_, "run": run, "report": report, "keep": keep, "expect": expect},
            args=None if arguments is None else list(arguments),
            prog="python -m experiments",
            description="Experiments on the claims of papers: what was run, what came out.",
            config=(tyro.conf.FlagCreatePairsOff,),
        )
