import json

import numpy as np
import pytest
import torch
from torch import nn

from resdyn.networks import (
    ARCHITECTURES,
    Preprocessing,
    ResidualNetwork,
    ResidualStage,
    SharedStage,
    build,
    dense_resnet,
    resnet,
)

EVERY = [
    {"name": "resnet", "depth": 8},
    {"name": "resnet", "depth": 14, "order": "pre", "widths": [2, 3, 4], "channels": 1, "classes": 7},
    {"name": "resnet", "depth": 11, "bottleneck": True, "shortcut": "projection"},
    {"name": "resnet", "depth": 14, "interpolation": "in", "start": [0.1, 0.2]},
    {"name": "resnet", "depth": 14, "interpolation": "lambda-in", "coefficient": 0.5},
    {"name": "resnext", "depth": 11, "cardinality": 2, "width": 3, "order": "pre", "interpolation": "in"},
    {"name": "dense_resnet", "inputs": 4, "units": 6, "depth": 3, "classes": 2, "activation": "tanh", "step": 0.5},
    {"name": "dense_resnet", "inputs": 4, "units": 6, "depth": 3, "classes": 2, "shared": False, "damping": 0.1},
    {"name": "mlp", "inputs": 9, "units": 6, "depth": 3, "classes": 2, "embedding": "linear"},
    {"name": "residual_mlp", "blocks": 5, "inputs": 9, "hidden": 3, "initial": "zero"},
    {"name": "residual_cnn", "blocks": 5, "channels": 1, "width": 3, "stride": 1},
    {"name": "ode_net", "inputs": [1, 2, 2], "classes": 2, "width": 3},
]


def description(architecture):
    return "-".join(str(value) for value in architecture.values())


# --- the catalogue -----------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", EVERY, ids=description)
def test_a_network_says_how_to_build_it_again(architecture):
    net = build(architecture)
    described = json.loads(json.dumps(net.architecture))
    again = build(described)
    assert described == again.architecture == net.architecture
    shapes = [{name: tensor.shape for name, tensor in each.state_dict().items()} for each in (net, again)]
    assert shapes[0] == shapes[1]
    assert architecture.items() <= net.architecture.items()
    # equal weights give equal outputs: nothing but the description was needed
    again.load_state_dict(net.state_dict())
    size = 3 if net.architecture["name"] in ("residual_mlp", "mlp") else 2
    channels = net.architecture.get("channels", 1)
    x = torch.randn(2, channels, 8, 8) if "inputs" not in net.architecture else torch.randn(2, 1, size, size)
    assert torch.equal(net.eval()(x), again.eval()(x))


def test_every_architecture_of_the_catalogue_is_tried_above():
    assert {architecture["name"] for architecture in EVERY} == set(ARCHITECTURES)
    assert all(ARCHITECTURES.values())
    with pytest.raises(TypeError):
        ARCHITECTURES["mine"] = "a net"


def test_arguments_come_before_those_of_the_mapping():
    assert build({"name": "resnet", "depth": 8}, depth=14, classes=3).architecture["depth"] == 14
    chosen = Preprocessing(0.5, 0.5)
    assert build("resnet", depth=8, preprocessing=chosen).preprocessing == chosen


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: build("vgg"), ValueError, "no architecture 'vgg'; there are resnet, resnext, dense_resnet, mlp"),
        (lambda: build("resnet", deep=8), TypeError, "no argument 'deep'; its arguments are depth, order"),
        (lambda: build("mlp", units=4), TypeError, "needs inputs, depth, classes; its arguments are inputs, units"),
        (lambda: build({"depth": 20}), TypeError, "a mapping with a 'name'"),
        (lambda: build(20), TypeError, "a mapping with a 'name', such as net.architecture, but is 20"),
    ],
)
def test_unknown_names_and_arguments_are_refused_with_a_list(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- stages ------------------------------------------------------------------------------------------


def test_a_stage_runs_its_entry_and_then_its_blocks():
    entry, blocks = nn.Linear(2, 3), [nn.Linear(3, 3), nn.Linear(3, 3)]
    x = torch.randn(4, 2)
    stage = ResidualStage(entry, blocks)
    assert torch.equal(stage(x), blocks[1](blocks[0](entry(x))))
    assert list(stage.units()) == [entry, *blocks]
    assert torch.equal(ResidualStage(None, blocks)(entry(x)), stage(x))


def test_a_shared_stage_applies_its_one_block_again_and_again():
    block = nn.Linear(3, 3)
    stage = SharedStage(block, 3)
    x = torch.randn(2, 3)
    assert torch.equal(stage(x), block(block(block(x))))
    assert list(stage.units()) == stage.blocks == [block] * 3
    assert list(stage.state_dict()) == ["block.weight", "block.bias"]
    stage.to(torch.float64)
    assert stage(x.double()).dtype == torch.float64


# --- pixels ------------------------------------------------------------------------------------------


def test_preprocessing_standardises_channels_and_has_an_inverse():
    preprocessing = Preprocessing((0.1, 0.2, 0.3), (0.5, 0.25, 2.0))
    pixels = torch.rand(4, 3, 2, 2, dtype=torch.float64)
    inputs = preprocessing(pixels)
    for channel, (mean, std) in enumerate(zip(preprocessing.mean, preprocessing.std, strict=True)):
        assert torch.equal(inputs[:, channel], (pixels[:, channel] - mean) / std)
    # two roundings of float64
    torch.testing.assert_close(preprocessing.inverse(inputs), pixels, rtol=0, atol=1e-15)
    assert Preprocessing(0.1307, 0.3081) == Preprocessing([0.1307], np.array([0.3081]))


@pytest.mark.parametrize(
    ("mean", "std", "error", "message"),
    [
        ((0.5, 0.5), (1.0,), ValueError, "2 means and 1 deviations"),
        ((), (), ValueError, "0 means"),
        ((0.5,), (0.0,), ValueError, "pixels are divided by it"),
        ((0.5,), (float("inf"),), ValueError, "pixels are divided by it"),
        ((float("nan"),), (1.0,), ValueError, "mean is .*finite"),
        ("grey", (1.0,), TypeError, "mean must be numbers"),
        (None, (1.0,), TypeError, "mean must be numbers"),
    ],
)
def test_bad_preprocessing(mean, std, error, message):
    with pytest.raises(error, match=message):
        Preprocessing(mean, std)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return resnet(8, widths=(2, 2, 2), channels=1, preprocessing=Preprocessing(0.5, 0.25)).eval()


def test_on_pixels_standardises_first(net):
    pixels = np.random.default_rng(0).random((3, 1, 8, 8), dtype=np.float32)
    expected = net((torch.as_tensor(pixels) - 0.5) / 0.25)
    assert torch.equal(net.on_pixels(pixels), expected)
    assert torch.equal(net.on_pixels(torch.as_tensor(pixels)), expected)
    # float64 pixels of the same values, memory that may not be written to, and strides that run backwards
    assert torch.equal(net.on_pixels(pixels.astype(np.float64)), expected)
    assert torch.equal(net.on_pixels(pixels[::-1]), expected.flip(0))
    pixels.setflags(write=False)
    assert torch.equal(net.on_pixels(pixels), expected)
    assert net.on_pixels(pixels[:0]).shape == (0, 10)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (torch.randint(0, 255, (1, 1, 8, 8), dtype=torch.uint8), TypeError, "dtype torch.uint8.*divide by 255"),
        (255 * torch.rand(1, 1, 8, 8), ValueError, "pixels run from 0 to 1"),
        (torch.rand(1, 1, 8, 8) - 0.5, ValueError, "normalised already to net"),
        (torch.full((1, 1, 8, 8), torch.nan), ValueError, "images run from nan"),
        (torch.rand(1, 3, 8, 8), ValueError, r"shape \(1, 3, 8, 8\), but.*\(n, 1, H, W\)"),
        (torch.rand(1, 8, 8), ValueError, r"\(n, 1, H, W\)"),
    ],
)
def test_on_pixels_refuses_what_are_no_pixels(net, images, error, message):
    with pytest.raises(error, match=message):
        net.on_pixels(images)


def test_on_pixels_needs_to_know_the_preprocessing(net):
    net.preprocessing = None
    with pytest.raises(ValueError, match=r"resnet does not know.*Preprocessing\(mean, std\).*net\(x\) takes"):
        net.on_pixels(torch.rand(1, 1, 8, 8))


def test_a_network_is_its_stem_stages_and_head():
    net = dense_resnet(2, 3, 4, 2)
    assert isinstance(net, ResidualNetwork)
    x = torch.randn(5, 2)
    state = net.stem(x)
    for unit in net.units:
        state = unit(state)
    assert torch.equal(net(x), net.head(state))
    assert net.card == {}
    assert net.preprocessing is None


def test_preprocessing_takes_arrays_and_gives_them_back():
    preprocessing = Preprocessing((0.5, 0.25), (0.1, 0.2))
    pixels = np.random.default_rng(0).random((3, 2, 4, 4), dtype=np.float32)
    inputs = preprocessing(pixels)
    assert isinstance(inputs, np.ndarray)
    assert inputs.dtype == np.float32
    assert np.array_equal(inputs, preprocessing(torch.tensor(pixels)).numpy())
    # one rounding of the subtraction, of numbers of order 1, and one of the addition
    assert np.abs(preprocessing.inverse(inputs) - pixels).max() < 4 * np.finfo(np.float32).eps


def test_preprocessing_refuses_bytes():
    with pytest.raises(TypeError, match="divide by 255"):
        Preprocessing(0.5, 0.1)(np.zeros((1, 1, 2, 2), dtype=np.uint8))
