"""The public ResNet-20 and ResNet-56, unrolled: their stages as systems, at the size that they have."""

import os

import numpy as np
import pytest
import torch

import resdyn
import resdyn.data
from resdyn.networks import load, unroll

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

pytestmark = pytest.mark.skipif(
    not os.environ.get("RESDYN_DATA"), reason="RESDYN_DATA names no folder with the public weights and CIFAR-10"
)


@pytest.fixture(scope="module")
def images():
    pixels = resdyn.data.cifar10("test").pixels()[:16]
    return ((pixels - MEAN[:, None, None]) / STD[:, None, None]).astype(np.float32)


@pytest.fixture(scope="module")
def resnet20(images):
    return unroll(load("resnet20-12fca82f"), images[:1])


def test_the_logits_are_the_models(images):
    model = load("resnet56-4bfd9763")
    network = unroll(model, images[:1])
    assert [len(stage.blocks) for stage in network.stages] == [9, 8, 8]
    assert [stage.shape for stage in network.stages] == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]
    with torch.no_grad():
        expected = model(torch.tensor(images)).numpy()
    assert np.abs(network(images) - expected).max() <= 1e-5 * np.abs(expected).max()
    norms = network.trace(images, keep=()).norms()
    # of the units that keep the shape the last one moves the state most, relative to its size
    assert np.median(norms.ratios[~norms.entries], axis=1).argmax() == 24


def test_a_stage_of_16384_variables_runs_without_a_matrix(resnet20, images, monkeypatch):
    monkeypatch.setattr(resdyn.operators.RealOperator, "to_dense", None)
    stage, x = resnet20.stages[0], resnet20.stem(images)
    trajectory = resdyn.simulate(stage, x)
    # x + (B(x) − x) in float64 against B(x) in float32
    assert np.abs(trajectory.final - stage(x)).max() < 1e-5 * np.abs(trajectory.final).max()
    exponents = resdyn.finite_time_exponents(stage, x[0], n_exponents=2)
    spectrum = resdyn.lyapunov_spectrum(stage, x[:2], n_exponents=2)
    assert (spectrum.exponents[0] < exponents.exponents).all()  # random directions miss the most sensitive one
    # the singular vector grows as its singular value says
    tangent = resdyn.tangent_map(trajectory.sample(0))
    grown = np.linalg.norm(tangent.matvec(exponents.directions[0].ravel()))
    assert grown == pytest.approx(exponents.singular_values[0], rel=1e-4)


def test_signs_of_so_many_variables_are_refused(resnet20, images, monkeypatch):
    from resdyn import _memory

    monkeypatch.setattr(_memory, "available_bytes", lambda: 8 * 2**30)
    trajectory = resdyn.simulate(resnet20.stages[0], resnet20.stem(images[:1]))
    with pytest.raises(MemoryError, match="Jacobians at all saved layers"):
        resdyn.cooperation(resnet20.stages[0], trajectory)


def test_small_perturbations_of_images_are_followed(resnet20, images):
    rng = np.random.default_rng(0)
    result = resdyn.propagate(resnet20, images[:4], 1e-2 * rng.standard_normal((2, 4, 3, 32, 32)))
    assert len(result.layers) == 11
    # noise of 1 % of a pixel stays below half of the state in every unit
    assert (np.median(result.relative, axis=(1, 2)) < 0.5).all()
