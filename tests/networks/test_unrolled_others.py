"""Networks that are not ours, unrolled: the same contract, whatever library they come from."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

import resdyn
from resdyn.networks import unroll
from resdyn.testing import check_system

RNG = np.random.default_rng(0)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, norm_first=True, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.encoder(x).mean(dim=1))


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.convolution(x)
        y += x
        return self.relu(y)


def vision_transformer():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4
    )
    return transformers.ViTForImageClassification(config)


def hugging_face_resnet():
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4, 6], depths=[2, 2], layer_type="basic")
    return transformers.ResNetForImageClassification(config)


MODELS = {
    "vision transformer": (vision_transformer, (3, 8, 8)),
    "ResNet of transformers": (hugging_face_resnet, (3, 16, 16)),
    "transformer encoder": (Encoder, (5, 8)),
    "in place": (lambda: nn.Sequential(InPlace(), InPlace(), nn.Flatten(), nn.Linear(48, 2)), (3, 4, 4)),
}


@pytest.mark.parametrize("name", MODELS)
def test_units_stages_and_traces_of_a_model_of_others(name):
    torch.manual_seed(0)
    make, shape = MODELS[name]
    model = make().eval()
    x = RNG.standard_normal((3, *shape))
    network = unroll(model, x[:1], dtype=torch.float64)
    with torch.no_grad():
        result = model(torch.tensor(x, dtype=torch.float32))
    expected = getattr(result, "logits", result).numpy()
    # the model runs in float32
    assert np.abs(network(x) - expected).max() < 1e-5 * max(1.0, np.abs(expected).max())
    for stage in network.stages:
        if stage.blocks:
            check_system(stage, rtol=1e-6, max_dense=32)
    states = network.trace(x).states
    for unit, before, after in zip(network.units, states, states[1:], strict=False):
        assert np.array_equal(unit(before), after)
        v, w = RNG.standard_normal(before.shape), RNG.standard_normal(after.shape)
        assert (w * unit.jvp(before, v)).sum() == pytest.approx((unit.vjp(before, w) * v).sum(), rel=1e-9)
    delta = 1e-6 * RNG.standard_normal(x.shape)
    result = resdyn.propagate(network, x, delta)
    # of second order, and no layer enlarges a perturbation so much that it shows; ReLUs have kinks
    assert (result.discrepancy[-1] < 1e-2).all()


def test_units_that_the_caller_names():
    torch.manual_seed(0)
    model = nn.Sequential(InPlace(), InPlace(), nn.Flatten(), nn.Linear(48, 2)).eval()
    x = RNG.standard_normal((2, 3, 4, 4)).astype(np.float32)
    network = unroll(model, x, units=["0", "1"])
    assert [unit.module for unit in network.units] == [model[0], model[1]]
    kept = x.copy()
    network.units[0](x)
    assert np.array_equal(x, kept)


def test_a_model_without_skip_additions_asks_for_names():
    with pytest.raises(ValueError, match=r"units="):
        unroll(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), np.ones((1, 4), dtype=np.float32))


def test_traced_units_with_attention_go_through_a_pickle():
    torch.manual_seed(0)
    x = RNG.standard_normal((3, 5, 8))
    network = unroll(Encoder().eval(), x[:2], dtype=torch.float64)
    # twice, since a graph that was made anew from its code must itself be writable
    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(network))))
    assert np.array_equal(again(x), network(x))
    state, tangent = network.stem(x), RNG.standard_normal((3, 5, 8))
    for unit, copy in zip(network.units, again.units, strict=True):
        assert np.array_equal(copy.jvp(state, tangent), unit.jvp(state, tangent))
