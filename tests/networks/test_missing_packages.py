"""Packages that are not installed: an error that says what to install, before any work."""

import sys

import numpy as np
import pytest
from torch import nn

from resdyn.networks import dense_resnet, fit, load, ode_flow, ode_net, save

DATA = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32), np.array([0, 1, 0, 1])


@pytest.fixture
def without(monkeypatch):
    """Make a package fail to import, with all of its modules that were imported already."""

    def hide(package):
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)

    return hide


@pytest.mark.parametrize(
    "call",
    [
        lambda path: save(dense_resnet(2, 3, 2, 2), path / "net.safetensors"),
        lambda path: load(path / "there.safetensors"),
        lambda path: fit(nn.Linear(2, 2), DATA, "smoke", folder=path / "run", progress=False, callbacks=[_never]),
    ],
)
def test_without_safetensors(call, tmp_path, without):
    save(dense_resnet(2, 3, 2, 2), tmp_path / "there.safetensors")
    without("safetensors")
    with pytest.raises(ModuleNotFoundError, match=r'needs safetensors.*pip install "resdyn\[torch\]"'):
        call(tmp_path)
    assert not (tmp_path / "run").exists()


def _never(*_):
    raise AssertionError("an epoch was trained")


def test_a_run_without_a_folder_needs_no_safetensors(without):
    without("safetensors")
    assert fit(nn.Linear(2, 2), DATA, "smoke", progress=False).end == "complete"


@pytest.mark.parametrize("call", [lambda: ode_flow(dense_resnet(2, 3, 2, 2).stages[0]), lambda: ode_net((2,), 2)])
def test_without_torchdiffeq(call, without):
    without("torchdiffeq")
    with pytest.raises(ModuleNotFoundError, match=r'needs torchdiffeq.*pip install "resdyn\[torch\]"'):
        call()
