"""The commands: ``python -m experiments.<paper>.<script>`` for one script, ``python -m experiments`` for all."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from experiments._harness import claims
from experiments._harness.experiment import RESULTS, ROOT, Experiment, experiment_of, experiments_in, papers
from experiments._harness.files import read_json
from experiments._harness.fingerprints import fingerprint
from experiments._harness.keeping import keep, keep_all, write_expected
from experiments._harness.running import PARTIAL, Finished, finished, held


def main(file: str) -> None:
    """Run the script in this file with the settings of the command line."""
    run_script(experiment_of(file), sys.argv[1:])


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
    return done


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


def state(experiment: Experiment, preset: str, results: Path = RESULTS) -> str:
    """Whether a preset was run: "done", "running", "open", "out of date", "not run"; and whether it is kept."""
    folder = experiment.folder(preset, results)
    origin = read_json(folder / "provenance.json")
    if (folder / PARTIAL).is_dir():
        with held(folder) as free:
            word = "open" if free else "running"
    elif origin is None or not (folder / "summary.json").is_file():
        word = "not run"
    elif origin.get("key") != fingerprint(experiment, experiment.presets[preset]):
        word = "out of date"
    else:
        word = f"done {origin['date']}"
    return word + ", kept" * experiment.kept(preset, ".json").is_file()


def listing(root: Path = ROOT, results: Path = RESULTS) -> str:
    """All scripts and their presets with their state."""
    lines = []
    for paper in papers(root):
        for experiment in experiments_in(paper, root):
            states = ", ".join(f"{preset}: {state(experiment, preset, results)}" for preset in experiment.presets)
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
        for experiment in experiments_in(paper, root):
            if preset in experiment.presets:
                arguments = ["--preset", preset, "--out", str(out), *["--force"] * force]
                run_script(experiment, arguments)

    def report(
        paper: str | None = None, kept: bool = False, markdown: bool = False, write: bool = False, out: Out = RESULTS
    ) -> None:
        """One line per claim, at the largest preset that was run.

        Args:
            paper: Only this one, by its folder or its key.
            kept: Read only what is kept in the repository.
            markdown: As a table.
            write: Write the tables of what is kept into the README files and pages of the docs.
        """
        if write:
            changed = [path for name in papers(root) for path in claims.write_tables(name, root)]
            print("\n".join(str(path.relative_to(root.parent)) for path in changed) or "all tables were up to date")
            return
        table = claims.report(paper, root=root, results=None if kept else out)
        print(claims.markdown(table) if markdown else "\n".join(map(str, table)))

    def keep(paper: tyro.conf.Positional[str], /, out: Out = RESULTS) -> None:
        """Copy summaries and figures of all finished presets but smoke into the repository."""
        for path in keep_all(paper, root=root, results=out):
            print(path.relative_to(root))

    def expect(paper: tyro.conf.Positional[str], /, out: Out = RESULTS) -> None:
        """Write expected.json: the numbers of the smoke presets, run now, and of the others that are kept."""
        print(write_expected(paper, root=root, results=out).relative_to(root))

    tyro.extras.subcommand_cli_from_dict(
        {"list": list_, "run": run, "report": report, "keep": keep, "expect": expect},
        args=None if arguments is None else list(arguments),
        prog="python -m experiments",
        description="Experiments on the claims of papers: what was run, what came out.",
        config=(tyro.conf.FlagCreatePairsOff,),
    )
