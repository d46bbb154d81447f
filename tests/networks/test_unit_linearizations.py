"""Units for linearization: the sum and what follows it, weights at the placement, Jacobians, places in stages."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

import resdyn
from resdyn.networks import ResidualBlock, ResidualNetwork, ResidualStage, dense_resnet, resnet, unroll

RNG = np.random.default_rng(0)


def hugging_face_resnet():
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[3, 5], depths=[1, 2], layer_type="basic")
    return transformers.ResNetForImageClassification(config)


class PostNorm(nn.Module):
    """A transformer encoder in which a norm follows each addition; no unit is a submodule."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.last = nn.Linear(4, 2)

    def forward(self, x):
        return self.last(self.encoder(x).mean(1))


WIDTHS = (2, 3, 4)
MODELS = {
    "post": (lambda: resnet(8, widths=WIDTHS), (3, 8, 8)),
    "pre": (lambda: resnet(14, order="pre", widths=WIDTHS), (3, 8, 8)),
    "in": (lambda: resnet(14, interpolation="in", coefficient=0.3, widths=WIDTHS), (3, 8, 8)),
    "lambda-in": (lambda: resnet(14, order="pre", interpolation="lambda-in", widths=WIDTHS), (3, 8, 8)),
    "dense": (lambda: dense_resnet(5, 5, 3, 2, step=0.5, damping=0.4, gain=3.0), (5,)),
    "of transformers": (hugging_face_resnet, (3, 16, 16)),
    "post-norm transformer": (PostNorm, (3, 4)),
}
NOTHING_FOLLOWS = {"pre", "lambda-in", "dense"}


def shaken(model):
    """With statistics of batch norms as after training, so that no factor is 1 and no shift 0."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model.eval()


@pytest.fixture(scope="module", params=[*MODELS, *(f"{name}, traced" for name in ("post", "pre", "in", "lambda-in"))])
def case(request):
    name = request.param.removesuffix(", traced")
    torch.manual_seed(0)
    make, shape = MODELS[name]
    model = shaken(make())
    units = [unit.name for unit in unroll(model, np.zeros((1, *shape))).units] if request.param != name else None
    network = unroll(model, np.zeros((1, *shape)), dtype=torch.float64, units=units, step=0.5)
    return name, model, network


def states(unit, n=3):
    return RNG.standard_normal((n, *unit.shape_before))


def test_a_unit_is_what_follows_the_sum_of_its_summands(case):
    name, _, network = case
    for unit in network.units:
        x = states(unit)
        total = unit.before(x)
        assert np.allclose(total, unit.shortcut(x) + unit.branch(x), atol=1e-13)
        assert np.array_equal(unit.after(total), unit(x))
        assert unit.after.is_identity == (name in NOTHING_FOLLOWS)
        assert np.array_equal(unit.after(total), total) == (name in NOTHING_FOLLOWS)
        tensor = torch.tensor(x)
        assert torch.equal(unit.after(unit.before(tensor)), unit(tensor))
        with pytest.raises(ValueError, match="takes a batch of shape"):
            unit.after(total[..., :-1])


def test_the_jacobian_of_a_unit_is_that_of_autograd(case):
    _, _, network = case
    for unit in network.units:
        x = states(unit, 1)
        rows, columns = int(np.prod(unit.shape_after)), int(np.prod(unit.shape_before))
        J = torch.func.jacrev(lambda y, unit=unit: unit.function(y[None])[0])(torch.tensor(x[0]))
        J = J.reshape(rows, columns).numpy()
        operator = unit.linearize(x)
        assert operator.shape == J.shape
        assert np.allclose(operator.to_dense(), J, atol=1e-12)
        assert np.allclose(operator.adjoint().to_dense(), J.T, atol=1e-12)
        w, v = RNG.standard_normal(rows), RNG.standard_normal(columns)
        assert np.allclose(operator.rmatvec(w), J.T @ w, atol=1e-12)
        assert np.allclose(operator.matvec(v), J @ v, atol=1e-12)
        assert np.allclose(unit.linearize(torch.tensor(x[0])).T.T.matvec(v), J @ v, atol=1e-12)


def test_a_unit_knows_its_stage_and_time(case):
    _, _, network = case
    for unit in network.units:
        assert network.unit(unit.name) is unit
        stage, t = network.locate(unit)
        assert network.locate(unit.name) == (stage, t)
        assert unit in stage.units
        if t is None:
            assert stage.entry is unit
            continue
        assert t == 0.5 * stage.blocks.index(unit)
        x = states(unit)[0]
        v = RNG.standard_normal(x.size)
        # I + h (J − I)/h against J
        expected = resdyn.block_jacobian(stage, t, x).matvec(v)
        assert np.allclose(unit.linearize(x).matvec(v), expected, rtol=0, atol=1e-13 * np.abs(expected).max())
    with pytest.raises(KeyError, match=r"no unit 'layer'; names are those of its units, such as"):
        network.unit("layer")
    with pytest.raises(ValueError, match="is no unit of"):
        network.locate(unroll(resnet(8, widths=WIDTHS).eval(), np.zeros((1, 3, 8, 8))).units[0])


def test_the_weights_of_a_snapshot_are_its_copies(case):
    _, model, network = case
    for unit in network.units:
        weights = unit.weights()
        assert weights
        own = (model if unit.module is None else unit.module).state_dict()
        for name, tensor in weights.items():
            if name.startswith("constants."):
                continue  # numbers in the code of the network
            assert torch.equal(tensor, own[name].to(tensor.dtype))
            assert not tensor.requires_grad
            if tensor.is_floating_point():
                assert tensor.dtype == torch.float64
                assert tensor.data_ptr() != own[name].data_ptr()
    # they are what runs: without them the unit does something else
    unit = network.units[0]
    x = states(unit)
    before = unit(x)
    for tensor in unit.weights().values():
        if tensor.is_floating_point():
            tensor.mul_(0.5)
    assert not np.allclose(unit(x), before, atol=1e-3)


@pytest.mark.parametrize("name", ["post", "of transformers", "post-norm transformer"])
def test_the_weights_of_a_network_that_runs_as_it_is_are_its_own(name):
    make, shape = MODELS[name]
    model = make().eval()
    unit = unroll(model, np.zeros((1, *shape))).units[1]
    parts = model if unit.module is None else unit.module
    key = next(key for key, tensor in unit.weights().items() if tensor.ndim > 1 and key in parts.state_dict())
    assert unit.weights()[key].data_ptr() == parts.get_parameter(key).data_ptr()
    # a parameter that was replaced since
    path, _, last = key.rpartition(".")
    new = nn.Parameter(torch.ones_like(parts.get_parameter(key)))
    setattr(parts.get_submodule(path), last, new)
    assert unit.weights()[key].data_ptr() == new.data_ptr()


def test_a_linear_entry_in_closed_form():
    W, S = RNG.standard_normal((2, 3, 5))
    entry = ResidualBlock(nn.Linear(5, 3, bias=False), nn.Linear(5, 3, bias=False)).double()
    with torch.no_grad():
        entry.branch.weight.copy_(torch.tensor(W))
        entry.shortcut.weight.copy_(torch.tensor(S))
    net = ResidualNetwork(
        nn.Flatten(), [ResidualStage(entry, [])], nn.Linear(3, 2).double(), architecture={"name": "hand-made"}
    )
    (unit,) = unroll(net.eval(), np.ones((1, 5))).units
    operator = unit.linearize(np.zeros(5))
    assert operator.shape == (3, 5)
    assert np.allclose(operator.to_dense(), S + W, atol=1e-15)
    assert np.allclose(operator.rmatvec(np.ones(3)), (S + W).T @ np.ones(3), atol=1e-14)
    again = pickle.loads(pickle.dumps(operator))
    assert np.array_equal(again.rmatvec(np.ones(3)), operator.rmatvec(np.ones(3)))
    assert np.allclose(operator @ operator.T @ np.eye(3), (S + W) @ (S + W).T, atol=1e-13)


def test_where_the_addition_is_not_known_neither_is_what_follows():
    class Own(ResidualBlock):
        def forward(self, x):
            return torch.tanh(self.branch(x)) * self.shortcut(x)

    net = ResidualNetwork(
        nn.Flatten(), [ResidualStage(None, [Own(nn.Linear(5, 5))])], nn.Linear(5, 2), architecture={"name": "hand-made"}
    )
    (unit,) = unroll(net.eval(), np.ones((1, 5))).units
    assert unit.before is unit.after is None
    with pytest.raises(ValueError, match="the addition in 'stages.0.blocks.0' is not known"):
        _ = unit.shape_between


def test_a_branch_that_overwrites_its_input():
    block = ResidualBlock(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(5, 5)), after=nn.ReLU(inplace=True))
    net = ResidualNetwork(
        nn.Flatten(), [ResidualStage(None, [block])], nn.Linear(5, 2), architecture={"name": "hand-made"}
    )
    (unit,) = unroll(net.double().eval(), np.ones((1, 5))).units
    x = RNG.standard_normal((3, 5))
    kept = x.copy()
    total = unit.before(x)
    assert np.array_equal(x, kept)
    assert np.allclose(total, np.maximum(x, 0) + unit.branch(x), atol=1e-14)
    after = unit.after(total)
    assert np.array_equal(after, unit(x))
    assert (total < 0).any()  # not overwritten either


def test_a_linearization_is_taken_at_one_state():
    unit = unroll(resnet(8, widths=WIDTHS).eval(), np.zeros((1, 3, 8, 8))).units[0]
    assert unit.linearize(np.zeros((1, 2, 8, 8))).dtype == np.float32
    with pytest.raises(ValueError, match=r"x has shape \(2, 2, 8, 8\), but a linearization of 'stages.0.blocks.0'"):
        unit.linearize(np.zeros((2, 2, 8, 8)))


def test_shapes_that_do_not_fit_get_advice_that_helps():
    model = resnet(8, widths=WIDTHS).eval()
    network = unroll(model, np.zeros((1, 3, 8, 8)))
    with pytest.raises(ValueError, match=r"shape \(batch, 3, 8, 8\); pass x\[None\] for a single state\."):
        network(np.zeros((3, 8, 8)))
    with pytest.raises(ValueError, match=r"shape \(batch, 3, 8, 8\)\.$"):
        network(np.zeros((2, 3, 4, 4)))
    for given in (model, hugging_face_resnet().eval()):
        with pytest.raises(ValueError, match=r"shape \(3, 16, 16\) and needs a batch axis; pass example\[None\]"):
            unroll(given, np.zeros((3, 16, 16)))
    # what is wrong with the network is not blamed on the example
    with pytest.raises(ValueError, match="'stem' cannot run on a batch of shape"):
        unroll(model, np.zeros((1, 4, 8, 8)))
