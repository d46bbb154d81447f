"""CUDA asked for where there is none: the same error everywhere, before any work."""

import numpy as np
import pytest
import torch
from torch import nn

from resdyn.matrix_family import ResidualMap
from resdyn.networks import accuracy, dense_resnet, fit, from_residual_map, load, unroll

LABELS = np.array([0, 1, 0])
POINTS = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
MAP = ResidualMap(0.1 * np.eye(2), step=1.0)

CALLS = {
    "fit": lambda device: fit(nn.Linear(2, 2), (POINTS, LABELS), "smoke", progress=False, device=device),
    "accuracy": lambda device: accuracy(nn.Linear(2, 2), (POINTS, LABELS), device=device),
    "load": lambda device: load("mlp-digits-seed0", device=device),
    "unroll": lambda device: unroll(dense_resnet(2, 3, 2, 2), POINTS, device=device),
    "from_residual_map": lambda device: from_residual_map(MAP, device=device),
}


@pytest.mark.parametrize("name", CALLS)
def test_cuda_asked_for_and_absent(name, monkeypatch):
    CALLS[name]("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        RuntimeError, match=r"device is 'cuda:1', but torch finds no CUDA device here; leave device= out"
    ):
        CALLS[name]("cuda:1")


@pytest.mark.parametrize("name", CALLS)
def test_a_device_that_torch_does_not_know(name):
    with pytest.raises(ValueError, match="device is 'abacus', which torch does not know"):
        CALLS[name]("abacus")


@pytest.mark.parametrize("name", CALLS)
def test_a_device_beyond_those_that_are_there(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(RuntimeError, match=r"device is 'cuda:2', but torch finds 2 CUDA devices here.*'cuda:1'"):
        CALLS[name]("cuda:2")
