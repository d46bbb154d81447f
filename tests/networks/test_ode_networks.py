"""Layers that are flows: they train, their gradients agree, they are networks of ours."""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import resdyn
from resdyn.networks import ODEBlock, Preprocessing, ResidualNetwork, ode_flow, ode_net, unroll
from resdyn.testing import check_system


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def circles(rng: int) -> tuple[torch.Tensor, torch.Tensor]:
    points, labels = resdyn.data.toys.circles(400, rng=rng)
    return torch.from_numpy(points).float(), torch.from_numpy(labels)


def train(net: nn.Module, epochs: int, rate: float) -> float:
    """Accuracy on circles that were not trained on."""
    x, y = circles(0)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    for _ in range(epochs):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    x, y = circles(1)
    with torch.no_grad():
        return float((net(x).argmax(1) == y).float().mean())


@pytest.mark.parametrize(
    "options",
    [{}, {"adjoint": True}, {"method": "dopri5", "rtol": 1e-3, "atol": 1e-3}],
    ids=["rk4", "rk4, adjoint", "dopri5"],
)
def test_an_ode_net_learns_what_no_linear_classifier_can(options: dict):
    assert train(ode_net((2,), 2, width=8, **options), epochs=60, rate=0.1) > 0.97
    # circles with one centre: no line does much better than guessing
    assert train(nn.Linear(2, 2), epochs=60, rate=0.1) < 0.75


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_adjoint_and_back_propagation_give_close_gradients(kind: str):
    inputs = (1, 8, 8)
    x = torch.randn(4, *inputs, dtype=torch.float64)
    nets = [
        ode_net(inputs, kind=kind, width=4, method="dopri5", rtol=1e-8, atol=1e-8, adjoint=adjoint).double()
        for adjoint in (False, True)
    ]
    nets[1].load_state_dict(nets[0].state_dict())
    for net in nets:
        net(x).square().sum().backward()
    for (name, a), b in zip(nets[0].named_parameters(), nets[1].parameters(), strict=True):
        # relative to the largest: a convolution before a group norm has gradients that are zero but for rounding
        assert b.grad.numpy() == pytest.approx(a.grad.numpy(), abs=1e-6 * max(1.0, float(a.grad.abs().max()))), name


def test_the_convolutional_net_learns_images():
    images, labels = resdyn.data.toys.digits()
    few = labels < 3
    x = torch.from_numpy(images[few] / 16).float().reshape(-1, 1, 8, 8)
    y = torch.from_numpy(labels[few]).long()
    net = ode_net((1, 8, 8), 3, kind="convolutional", width=4, step=0.5)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[:100]), y[:100]).backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (net(x[100:]).argmax(1) == y[100:]).float().mean().item()
    # three classes: twice as good as guessing; seeds 0 to 2 give 0.75 to 0.95
    assert accuracy > 2 / 3


@pytest.mark.parametrize(
    ("inputs", "options"),
    [
        ((64,), {}),
        ((3, 8, 8), {"kind": "convolutional", "width": 6, "horizon": 2.0}),
        ((1, 8, 8), {"method": "dopri5", "adjoint": True}),
    ],
)
def test_a_net_is_described_by_its_architecture(inputs: tuple[int, ...], options: dict):
    net = ode_net(inputs, 7, **options)
    assert isinstance(net, ResidualNetwork)
    arguments = dict(net.architecture)
    assert arguments.pop("name") == "ode_net"
    again = ode_net(**arguments)
    again.load_state_dict(net.state_dict())
    assert again.architecture == net.architecture
    x = torch.randn(3, *inputs)
    assert torch.equal(again(x), net(x))
    assert net(x).shape == (3, 7)
    assert len(net.units) == 1


def test_a_net_takes_pixels_like_the_others():
    net = ode_net((1, 4, 4), 3, preprocessing=Preprocessing((0.5,), (0.25,)))
    pixels = torch.rand(2, 1, 4, 4)
    assert torch.equal(net.on_pixels(pixels), net((pixels - 0.5) / 0.25))


def test_an_ode_block_with_euler_steps_is_a_residual_network_with_shared_weights():
    field = nn.Sequential(nn.Linear(5, 5), nn.Tanh()).double()
    x = torch.randn(3, 5, dtype=torch.float64)
    expected = x
    for _ in range(10):
        expected = expected + 0.2 * field(expected)
    found = ODEBlock(field, horizon=2.0, method="euler", step=0.2)(x)
    assert found.detach().numpy() == pytest.approx(expected.detach().numpy(), abs=1e-14)


def test_an_ode_block_is_a_residual_block_of_its_own():
    block = ODEBlock(nn.Linear(4, 4).double(), horizon=2.0, method="rk4", step=0.1)
    x = np.random.default_rng(0).normal(size=(2, 4))
    # Euler with one step h = T of the block B(x) = x(T) is B itself
    assert ode_flow(block).horizon == block.step == 2.0
    assert ode_flow(block, method="euler")(x) == pytest.approx(block(x), abs=1e-14)


def test_torch_func_linearizes_fixed_steps():
    net = ode_net((4,), 2, width=4).double()
    flow = net.stages[0].blocks[0]
    x, v = torch.randn(2, 3, 4, dtype=torch.float64)
    with warnings.catch_warnings():
        # torch's own forward rules are compiled with torch.jit when they are first used
        warnings.simplefilter("ignore", DeprecationWarning)
        tangent = torch.func.jvp(flow, (x,), (v,))[1]
    (cotangent,) = torch.func.vjp(flow, x)[1](v)
    delta = 1e-6
    difference = (flow(x + delta * v) - flow(x - delta * v)) / (2 * delta)
    assert tangent.detach().numpy() == pytest.approx(difference.detach().numpy(), abs=1e-8)
    assert (cotangent * v).sum().item() == pytest.approx((tangent * v).sum().item(), rel=1e-10)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("dense", {}), ("convolutional", {}), ("dense", {"method": "dopri5", "rtol": 1e-9, "atol": 1e-9})],
    ids=["dense", "convolutional", "dopri5"],
)
def test_the_stage_of_an_unrolled_ode_net_is_a_system(kind: str, options: dict):
    net = ode_net((1, 4, 4), 2, kind=kind, width=2, horizon=2.0, **options).double()
    (stage,) = unroll(net, torch.randn(2, 1, 4, 4, dtype=torch.float64)).stages
    assert stage.step == 2.0
    check_system(stage)


def test_the_adjoint_has_no_second_derivatives_and_says_so():
    field = nn.Sequential(nn.Linear(3, 3), nn.Tanh()).double()
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    for adjoint in (True, False):
        flow = ODEBlock(field, adjoint=adjoint)
        if adjoint:
            with pytest.raises(RuntimeError, match=r"flow\.adjoint = False"):
                torch.autograd.grad(flow(x).sum(), x, create_graph=True)
            torch.autograd.grad(flow(x).sum(), x)
        else:
            (gradient,) = torch.autograd.grad(flow(x).sum(), x, create_graph=True)
            assert torch.autograd.grad(gradient.square().sum(), x)[0].abs().max() > 0


def test_the_vector_field_is_the_one_that_was_given():
    field = nn.Linear(3, 3)
    assert ODEBlock(field).vector_field is field


def test_a_copy_of_a_trained_block_is_independent():
    block = ODEBlock(nn.Linear(3, 3))
    x = torch.randn(2, 3)
    other = copy.deepcopy(block)
    before = other(x)
    with torch.no_grad():
        block.vector_field.weight += 1
    assert torch.equal(other(x), before)
    assert not torch.equal(block(x), before)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"inputs": (8,), "kind": "convolutional"}, r"\(C, H, W\)"),
        ({"inputs": (8,), "kind": "wide"}, "'dense' or 'convolutional'"),
        ({"inputs": (0,)}, "at least 1"),
        ({"inputs": (8,), "width": 0}, "width"),
        ({"inputs": (8,), "horizon": 0.0}, "horizon"),
        ({"inputs": (8,), "step": 0.3}, "whole part"),
        ({"inputs": (8,), "method": "dopri5", "step": 0.1}, "chooses its own"),
    ],
)
def test_bad_arguments_of_a_net_are_refused(arguments: dict, says: str):
    with pytest.raises(ValueError, match=says):
        ode_net(**arguments)
