"""What tests of several papers' experiments share."""

import pytest

from experiments._harness import finished
from experiments._harness.experiment import Experiment


@pytest.fixture(scope="module")
def smoke(request, tmp_path_factory):
    """The results of the smoke presets of the scripts that a test file names in SCRIPTS, each made once."""
    made = {}

    def of(name):
        if name not in made:
            results = tmp_path_factory.mktemp(name)
            made[name] = finished(Experiment(request.module.SCRIPTS[name]), "smoke", results=results, quiet=True)
        return made[name]

    return of
