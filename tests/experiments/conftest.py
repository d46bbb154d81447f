"""What tests of several papers' experiments share."""

import pytest

from experiments._harness import finished
from experiments._harness.experiment import Experiment


@pytest.fixture(scope="session")
def smoke_runs(tmp_path_factory):
    """The results of the smoke preset of a script, by its module, each made once for all test files."""
    made = {}

    def of(module):
        if module not in made:
            experiment = Experiment(module)
            results = tmp_path_factory.mktemp(experiment.name)
            made[module] = finished(experiment, "smoke", results=results, quiet=True)
        return made[module]

    return of


@pytest.fixture(scope="module")
def smoke(request, smoke_runs):
    """The same of the scripts that a test file names in SCRIPTS, by their names there."""
    return lambda name: smoke_runs(request.module.SCRIPTS[name])
