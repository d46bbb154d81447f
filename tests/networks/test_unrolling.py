"""unroll: the units one after another are the model, the model is left alone, and what cannot be unrolled says why."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import resdyn
from resdyn.networks import ResidualBlock, ResidualNetwork, ResidualStage, SharedStage, resnet, resnext, unroll
from resdyn.networks.unrolling.pieces import Piece, Pieces
from resdyn.networks.unrolling.placement import Placement

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((5, 3, 8, 8))

# sums over a few hundred products in another order: some ε of the largest result, which is near 1
FLOAT32, FLOAT64 = 2e-5, 1e-13


def settled(net):
    """Batch norms with the statistics of data and all biases in play, as after training."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
            with torch.no_grad():
                module.bias.uniform_(-0.5, 0.5)
    return net.eval()


def dense(depth=4, n=6, *, shared=True):
    def block():
        return ResidualBlock(nn.Sequential(nn.Linear(n, n), nn.Tanh()))

    stage = SharedStage(block(), depth) if shared else ResidualStage(None, [block() for _ in range(depth)])
    stem = nn.Sequential(nn.Flatten(), nn.Linear(192, n))
    return ResidualNetwork(stem, [stage], nn.Linear(n, 3), architecture={"name": "dense"})


ARCHITECTURES = {
    "post": lambda: resnet(20, widths=(4, 6, 8)),
    "post, projection": lambda: resnet(14, shortcut="projection", widths=(4, 6, 8)),
    "pre": lambda: resnet(20, order="pre", widths=(4, 6, 8)),
    "bottleneck": lambda: resnet(20, bottleneck=True, widths=(2, 3, 4)),
    "in": lambda: resnet(20, interpolation="in", widths=(4, 6, 8)),
    "lambda-in": lambda: resnet(20, order="pre", interpolation="lambda-in", widths=(4, 6, 8)),
    "resnext": lambda: resnext(20, cardinality=2, width=1),
    "shared dense": dense,
    "layer-wise dense": lambda: dense(shared=False),
}


@pytest.fixture(params=ARCHITECTURES)
def net(request):
    torch.manual_seed(0)
    return settled(ARCHITECTURES[request.param]())


@pytest.fixture
def small():
    torch.manual_seed(0)
    return settled(resnet(14, widths=(4, 6, 8)))


def found(monkeypatch, stem, units, head):
    """Make these the pieces that are found in any model."""
    pieces = Pieces(stem, units, head)
    monkeypatch.setitem(
        sys.modules,
        "resdyn.networks.unrolling.finding",
        SimpleNamespace(find_pieces=lambda model, example, units=None: pieces),
    )


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_units_one_after_another_are_the_model(net, n):
    unrolled = unroll(net, IMAGES[:1])
    x = torch.tensor(IMAGES[:n], dtype=torch.float32)
    expected = net(x).detach()
    result = unrolled(x)
    assert isinstance(result, torch.Tensor)
    assert torch.allclose(result, expected, rtol=0, atol=FLOAT32 * float(expected.abs().max()))
    array = unrolled(IMAGES[:n])
    assert isinstance(array, np.ndarray)
    assert array.dtype == np.float32
    assert np.array_equal(array, result.numpy())
    assert not result.requires_grad


def test_in_double_precision_the_units_are_the_model_in_double_precision(net):
    unrolled = unroll(net, IMAGES[:2], dtype=torch.float64)
    result = unrolled(IMAGES)
    assert result.dtype == np.float64
    expected = net.double()(torch.tensor(IMAGES)).detach().numpy()
    assert np.abs(result - expected).max() <= FLOAT64 * np.abs(expected).max()


def test_the_stages_are_cut_where_the_shape_changes(net):
    unrolled = unroll(net, IMAGES[:2])
    declared = [list(stage.units()) for stage in net.stages]
    assert [[unit.module for unit in stage.units] for stage in unrolled.stages] == declared
    assert [stage.entry.module if stage.entry else None for stage in unrolled.stages] == [s.entry for s in net.stages]
    assert [unit.index for unit in unrolled.units] == list(range(len(net.units)))
    x = torch.tensor(IMAGES[:1], dtype=torch.float32)
    states = [net.stem(x)]
    for unit in net.units:
        states.append(unit(states[-1]))
    assert unrolled.shapes == tuple(tuple(state.shape[1:]) for state in states)
    assert [unit.changes_shape for unit in unrolled.units] == [
        a != b for a, b in zip(unrolled.shapes, unrolled.shapes[1:], strict=False)
    ]
    assert len({unit.name for unit in unrolled.units}) == len(unrolled.units)


def test_names_are_paths_in_the_model(small):
    unrolled = unroll(small, IMAGES[:1])
    for unit in unrolled.units:
        assert small.get_submodule(unit.name) is unit.module
    assert (unrolled.name, unrolled.stages[1].name) == ("resnet-14", "resnet-14, stage 2")
    assert repr(unrolled) == (
        "UnrolledNetwork 'resnet-14': 6 residual units (2 at 4×8×8, 2 at 6×4×4, 2 at 8×2×2), float32 on cpu"
    )
    assert unroll(small, IMAGES[:1], name="mine").stages[0].name == "mine, stage 1"
    assert [u.name for u in unroll(dense(2), IMAGES[:1]).units] == ["stages.0.block[0]", "stages.0.block[1]"]


@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_the_model_is_left_as_it_was(small, dtype):
    small.head[-1].weight.grad = torch.ones_like(small.head[-1].weight)

    def facts():
        tensors = {name: (id(t), t._version, t.dtype, t.device) for name, t in small.state_dict(keep_vars=True).items()}
        modes = [(id(module), module.training, len(module._forward_hooks)) for module in small.modules()]
        grads = [None if p.grad is None else (id(p.grad), p.grad.sum().item()) for p in small.parameters()]
        return tensors, modes, grads

    before, values = facts(), {name: value.clone() for name, value in small.state_dict().items()}
    unrolled = unroll(small, IMAGES[:2], dtype=dtype)
    unrolled(IMAGES)
    unrolled.trace(IMAGES)
    stage = unrolled.stages[0]
    operator = stage.linearize(0.0, np.ones(stage.shape))
    operator.rmatvec(operator.matvec(np.ones(np.prod(stage.shape))))
    assert facts() == before
    assert all(torch.equal(value, values[name]) for name, value in small.state_dict().items())


def test_weights_are_shared_at_the_models_own_dtype_and_a_snapshot_at_another(small):
    shared, snapshot = unroll(small, IMAGES[:1]), unroll(small, IMAGES[:1], dtype="float64")
    before = shared(IMAGES), snapshot(IMAGES)
    with torch.no_grad():
        small.head[-1].bias += 1.0
    assert shared(IMAGES) == pytest.approx(before[0] + 1.0, abs=1e-5)
    assert np.array_equal(snapshot(IMAGES), before[1])


def test_a_tensor_that_requires_a_gradient_gets_one(small):
    unrolled = unroll(small, IMAGES[:1], dtype=torch.float64)
    x = torch.tensor(IMAGES, requires_grad=True)
    unrolled(x)[:, 0].sum().backward()
    y = torch.tensor(IMAGES, requires_grad=True)
    small.double()(y)[:, 0].sum().backward()
    assert torch.allclose(x.grad, y.grad, rtol=0, atol=1e-12)


def test_it_is_a_network_that_propagate_takes(small):
    unrolled = unroll(small, IMAGES[:1])
    assert isinstance(unrolled, resdyn.TracedNetwork)


# --- models of others ---------------------------------------------------------------------------------


class Foreign(nn.Module):
    """Units that are no submodules; the result is a mapping."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, values, scale=None):
        x = values + torch.tanh(self.first(values))
        x = x + torch.tanh(self.second(x))
        return {"logits": self.last(x), "hidden": x}


class Tanh(nn.Module):
    def __init__(self, linear):
        super().__init__()
        self.linear = linear

    def forward(self, x):
        return x + torch.tanh(self.linear(x))


def foreign_pieces(model):
    units = [Piece(name, Tanh(getattr(model, name)), shortcut_is_identity=True) for name in ("first", "second")]
    return Piece("stem", nn.Identity()), units, Piece("head", model.last, model.last)


def test_pieces_of_another_model(monkeypatch):
    torch.manual_seed(0)
    model = Foreign()
    found(monkeypatch, *foreign_pieces(model))
    x = RNG.standard_normal((3, 4))
    unrolled = unroll(model, {"values": x.astype(np.float32)})
    assert (unrolled.name, [unit.module for unit in unrolled.units]) == ("Foreign", [None, None])
    expected = model(torch.tensor(x, dtype=torch.float32))["logits"].detach().numpy()
    assert np.abs(unrolled(x) - expected).max() < 1e-6
    # the stem is the identity, and still hands out memory of its own
    assert not np.may_share_memory(unrolled.stem(x), x)


def test_the_first_unit_that_differs_is_named(small, monkeypatch):
    pieces = [Piece(name, module, module) for name, module in zip("abcdef", small.units, strict=True)]
    stem, head = Piece("stem", small.stem, small.stem), Piece("head", small.head, small.head)
    model = nn.Sequential(small.stem, *small.units, small.head)
    wrong = Piece("b", nn.Sequential(small.units[1], nn.Tanh()), small.units[1])
    found(monkeypatch, stem, [pieces[0], wrong, *pieces[2:]], head)
    with pytest.raises(ValueError, match="not the model: for a batch of 1 .* first after 'b'"):
        unroll(model, IMAGES[:1])
    assert not any(module._forward_hooks for module in model.modules())
    loose = Piece("b", nn.Sequential(small.units[1], nn.Tanh()))
    found(monkeypatch, stem, [pieces[0], loose, *pieces[2:]], head)
    with pytest.raises(ValueError, match="first after 'c'"):
        unroll(model, IMAGES[:1])


class LessTheMean(nn.Module):
    def forward(self, x):
        return x + torch.relu(x - x.mean(dim=0, keepdim=True))


def test_samples_that_meet_in_a_unit_are_found():
    net = dense(shared=False)
    net.stages[0].blocks[2] = LessTheMean()
    with pytest.raises(ValueError, match=r"depends on the others in its batch, first in 'stages.0.blocks.2'"):
        unroll(net, IMAGES[:1])


class Random(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


def test_a_model_that_draws_random_numbers_is_refused():
    net = dense(shared=False)
    net.stages[0].blocks[2] = Random()
    with pytest.raises(ValueError, match="two results for one and the same input"):
        unroll(net, IMAGES[:1])


def test_an_embedding_takes_integers(monkeypatch):
    torch.manual_seed(0)
    embedding, block, head = nn.Embedding(7, 4), Tanh(nn.Linear(4, 4)), nn.Linear(4, 2)
    model = nn.Sequential(embedding, block, head)
    found(monkeypatch, Piece("0", embedding, embedding), [Piece("1", block, block)], Piece("2", head, head))
    words = RNG.integers(0, 7, size=(2, 5))
    unrolled = unroll(model, words, dtype=torch.float64)
    expected = model.double()(torch.tensor(words)).detach().numpy()
    assert np.abs(unrolled(words) - expected).max() < 1e-14
    assert np.array_equal(unrolled(torch.tensor(words)).numpy(), unrolled(words))


# --- what cannot be ----------------------------------------------------------------------------------


def test_training_mode_is_refused_at_once_and_later(small):
    unrolled = unroll(small, IMAGES[:1])
    small.train()
    with pytest.raises(ValueError, match=r"BatchNorm2d\) is in training mode .* call model.eval"):
        unroll(small, IMAGES[:1])
    with pytest.raises(ValueError, match=r"call model.eval\(\) first"):
        unrolled(IMAGES)
    dropping = dense()
    dropping.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3))
    with pytest.raises(ValueError, match=r"'head.0' \(Dropout\) is in training mode and drops units"):
        unroll(dropping, IMAGES[:1])
    # nothing there depends on the mode
    assert len(unroll(dense(), IMAGES[:1]).units) == 4


def test_half_precision_asks_for_a_dtype(small):
    expected = unroll(small, IMAGES[:1])(IMAGES)
    small.half()
    with pytest.raises(ValueError, match=r"torch.float16, which is too coarse .* dtype=torch.float32"):
        unroll(small, IMAGES[:1])
    result = unroll(small, IMAGES[:1], dtype=torch.float32)(IMAGES)
    assert small.stem[0].weight.dtype == torch.float16
    # the weights were rounded to 11 bits
    assert np.abs(result - expected).max() < 2e-2 * np.abs(expected).max()
    with pytest.raises(ValueError, match="must be torch.float32 or torch.float64, but is torch.bfloat16"):
        unroll(small, IMAGES[:1], dtype=torch.bfloat16)
    with pytest.raises(ValueError, match="float32 or float64, but is int64"):
        unroll(small, IMAGES[:1], dtype=np.int64)
    with pytest.raises(TypeError, match="dtype must be"):
        unroll(small, IMAGES[:1], dtype="doubly")


def test_several_dtypes_ask_for_one():
    net = dense()
    net.head.double()
    with pytest.raises(ValueError, match=r"several dtypes \(torch.float32, torch.float64\)"):
        unroll(net, IMAGES[:1])
    assert unroll(net, IMAGES[:1], dtype=torch.float64)(IMAGES).dtype == np.float64


def test_cuda_asked_for_and_absent(small, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match=r"device is 'cuda:1', but torch finds no CUDA device .* leave device= out"):
        unroll(small, IMAGES[:1], device="cuda:1")
    with pytest.raises(ValueError, match="device is 'abacus'"):
        unroll(small, IMAGES[:1], device="abacus")


def test_tolerances_allow_for_the_rounding_of_a_gpu(small):
    placement = Placement(small)
    assert placement.eps == 2.0**-23
    placement.device = torch.device("cuda", 0)
    assert placement.eps == 2.0**-10


def test_what_is_no_model_or_example(small):
    with pytest.raises(TypeError, match=r"must be a torch.nn.Module, but is <function"):
        unroll(resnet, IMAGES[:1])
    with pytest.raises(ValueError, match=r"example has shape \(3,\)"):
        unroll(small, np.ones(3))
    with pytest.raises(ValueError, match=r"example has shape \(0, 3, 8, 8\)"):
        unroll(small, IMAGES[:0])
    with pytest.raises(ValueError, match="'stem' cannot run on a batch of shape"):
        unroll(small, np.ones((1, 4, 8, 8)))
    with pytest.raises(ValueError, match="empty mapping"):
        unroll(small, {})
    with pytest.raises(ValueError, match="x holds NaN"):
        unroll(small, IMAGES[:1] * np.nan)
    with pytest.raises(ValueError, match="step must be a finite number above 0"):
        unroll(small, IMAGES[:1], step=0.0)
    with pytest.raises(ValueError, match="has no residual units"):
        unroll(ResidualNetwork(nn.Flatten(), [], nn.Linear(192, 2), architecture={"name": "empty"}), IMAGES[:1])


def test_what_is_no_input(small):
    unrolled = unroll(small, IMAGES[:1])
    with pytest.raises(ValueError, match=r"x has shape \(3, 8, 8\), but 'stem' takes a batch .* pass x\[None\]"):
        unrolled(IMAGES[0])
    with pytest.raises(ValueError, match=r"x has shape \(2, 3, 4, 4\)"):
        unrolled(np.ones((2, 3, 4, 4)))
    for bytes_ in (np.zeros((1, 3, 8, 8), dtype=np.uint8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)):
        with pytest.raises(TypeError, match="uint8, but the network takes real numbers; images of bytes are divided"):
            unrolled(bytes_)
    for infinite in (np.full((1, 3, 8, 8), np.inf), torch.full((1, 3, 8, 8), torch.inf)):
        with pytest.raises(ValueError, match=r"x holds .*infinite values \(192 of 192 entries"):
            unrolled(infinite)
        with pytest.raises(ValueError, match="infinite values"):
            unrolled.trace(infinite)
    with pytest.raises(TypeError, match="complex"):
        unrolled(np.zeros((1, 3, 8, 8), dtype=complex))
    with pytest.raises(IndexError):
        unrolled.units[6]


def test_models_whose_result_is_not_one_tensor(monkeypatch):
    class Two(Foreign):
        def forward(self, values):
            return self.last(values), values

    model = Two()
    found(monkeypatch, *foreign_pieces(model))
    with pytest.raises(TypeError, match=r"returns 2 tensors in a tuple \(0, 1\), none called 'logits'"):
        unroll(model, np.ones((1, 4)))


def test_units_that_are_no_maps_of_tensors():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    net = dense(shared=False)
    net.stages[0].blocks[1] = Pair()
    with pytest.raises(ValueError, match=r"'stages.0.blocks.1' returned a tuple for a batch of 2"):
        unroll(net, IMAGES[:1])
