"""What every script of every paper owes: expected numbers, kept results that are theirs, tables that say the same."""

import dataclasses
import json

import pytest

from experiments._harness import claims, keeping, tables
from experiments._harness.experiment import ROOT, experiments_in, papers

pytest.importorskip("torch")

EXPERIMENTS = {f"{paper}.{experiment.name}": experiment for paper in papers() for experiment in experiments_in(paper)}
KEPT = [
    (name, preset)
    for name, experiment in EXPERIMENTS.items()
    for preset in experiment.presets
    if experiment.kept(preset, ".json").is_file()
]


def expected_of(experiment):
    return json.loads((ROOT / experiment.paper / "expected.json").read_text())[experiment.name]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_smoke_run_gives_the_numbers_that_are_expected(smoke_runs, name):
    experiment = EXPERIMENTS[name]
    run, expected = smoke_runs(experiment.module), expected_of(experiment)["smoke"]
    assert len(expected) > 5
    assert set(expected) == set(keeping.expected_numbers(experiment, run.summary))
    assert keeping.differences(expected, run.summary) == []
    assert (run.folder / "figure.png").stat().st_size > 10_000
    keeping.refuse_paths(run.summary, name)


@pytest.mark.parametrize(("name", "preset"), KEPT)
def test_what_is_kept_is_what_is_expected_and_is_of_the_settings_of_its_preset(name, preset):
    experiment = EXPERIMENTS[name]
    kept = json.loads(experiment.kept(preset, ".json").read_text())
    keeping.refuse_paths(kept, name)
    assert keeping.differences(expected_of(experiment)[preset], kept["summary"]) == []
    settings = json.loads(json.dumps(dataclasses.asdict(experiment.preset(preset))))
    assert kept["provenance"]["config"] == settings


@pytest.mark.parametrize("paper", papers())
def test_the_tables_say_what_the_report_says(paper):
    for path in tables.pages(paper):
        table = tables.FORMS[path.suffix](claims.rows(paper, results=None))
        assert tables.table_in(path) == table, f"run: python -m experiments report --write ({path.name})"


def test_the_front_pages_count_the_verdicts():
    assert len(tables.front_pages()) == 2
    for path in tables.front_pages():
        assert tables.table_in(path, "verdicts") == tables.GRIDS[path.suffix](tables.overview())


@pytest.mark.parametrize("paper", papers())
def test_a_row_can_be_taken_in_at_one_look(paper):
    long = {row.claim: len(row.ours) for row in claims.rows(paper, results=None) if len(row.ours) > claims.LONGEST}
    assert long == {}, "say the rest in details="
