"""``linearize``: units of our architectures and of others, scales, masks, readings, errors."""

import copy
import os
import pickle
import time

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import aslinearoperator
from torch import nn

import resdyn
from resdyn.networks import (
    LinearizedUnit,
    ResidualBlock,
    ResidualNetwork,
    ResidualStage,
    dense_resnet,
    linearize,
    load,
    mlp,
    residual_mlp,
    resnet,
    resnext,
    unroll,
)
from resdyn.networks.architectures.dense import DenseBlock

torch.set_num_threads(1)

WIDTHS = (2, 3, 4)


def hugging_face_resnet(kind):
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 2], layer_type=kind)
    return transformers.ResNetForImageClassification(config)


MODELS = {
    "post": (lambda: resnet(14, widths=WIDTHS), (3, 8, 8)),
    "post, projection": (lambda: resnet(8, widths=WIDTHS, shortcut="projection"), (3, 8, 6)),
    "pre": (lambda: resnet(14, order="pre", widths=WIDTHS), (3, 8, 8)),
    "post, bottleneck": (lambda: resnet(11, bottleneck=True, widths=WIDTHS), (3, 7, 9)),
    "pre, bottleneck": (lambda: resnet(11, bottleneck=True, order="pre", widths=WIDTHS), (3, 8, 8)),
    "resnext": (lambda: resnext(11, cardinality=2, width=2, outside=(4, 6, 8)), (3, 8, 8)),
    "in": (lambda: resnet(14, interpolation="in", coefficient=0.3, widths=WIDTHS), (3, 8, 8)),
    "in, no skip": (lambda: resnet(14, interpolation="in", coefficient=1.0, widths=WIDTHS), (3, 8, 8)),
    "in, negative skip": (lambda: resnet(14, interpolation="in", coefficient=1.5, widths=WIDTHS), (3, 8, 8)),
    "lambda-in": (lambda: resnet(14, order="pre", interpolation="lambda-in", widths=WIDTHS), (3, 8, 8)),
    "of transformers, basic": (lambda: hugging_face_resnet("basic"), (3, 16, 16)),
    "of transformers, bottleneck": (lambda: hugging_face_resnet("bottleneck"), (3, 16, 16)),
}


def shaken(model):
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model.eval()


@pytest.fixture(scope="module", params=[*MODELS, "post, traced", "pre, traced", "in, traced"])
def network(request):
    torch.manual_seed(0)
    make, shape = MODELS[request.param.removesuffix(", traced")]
    model, example = shaken(make()), np.zeros((1, *shape))
    units = [unit.name for unit in unroll(model, example).units] if request.param not in MODELS else None
    return unroll(model, example, dtype=torch.float64, units=units)


def states(network):
    """Of all parts, at one input."""
    x = np.random.default_rng(1).standard_normal((1, *network.stem.shape_before))
    for part in (network.stem, *network.units, network.head):
        yield part, x[0]
        x = part(x)


def autograd(function, x, shape_before):
    at = torch.as_tensor(x, dtype=torch.float64).reshape(shape_before)
    J = torch.func.jacrev(lambda v: function(v[None].clone())[0])(at)
    return J.reshape(-1, at.numel()).detach().numpy()


def dense(function, part, x):
    return autograd(function.function, x, part.shape_before)


def near(A, B):
    return abs(A - B).max() <= 1e-12 * max(abs(B).max(), 1e-300)  # rounding of sums of some hundred products


def test_every_part_of_a_network_has_the_jacobian_of_autograd(network):
    for part, x in states(network):
        linearized = linearize(part, x)
        J = dense(part, part, x)
        assert near(linearized.to_dense(), J)
        assert near(linearized.to_sparse().toarray(), J)
        assert linearized.shape == J.shape
        assert linearized.method == ("factored" if part is not network.head else "closed form")
        assert linearized.notes == ()
        assert linearized.shape_after == part.shape_after
        w, v = (
            np.random.default_rng(2).standard_normal(J.shape[0]),
            np.random.default_rng(3).standard_normal(J.shape[1]),
        )
        assert np.allclose(linearized.matvec(v), J @ v, rtol=0, atol=1e-12 * abs(J).sum())
        assert np.allclose(linearized.rmatvec(w), J.T @ w, rtol=0, atol=1e-12 * abs(J).sum())


def test_before_the_addition_nothing_follows(network):
    for unit, x in list(states(network))[1:-1]:
        before = linearize(unit, x, reading="before")
        assert near(before.to_dense(), dense(unit.before, unit, x))
        assert (before.factors.outer == 1).all()
        assert before.active_outer == before.shape[0]


@pytest.mark.parametrize("masks", ["held", "recomputed"])
def test_scales_against_autograd_of_the_scaled_unit(network, masks):
    pairs = [(0.5, 1.0), (1.0, 2.0), (-0.3, 0.7), (0.0, 1.0), (1.0, 0.0)]
    for k, (unit, x) in enumerate(list(states(network))[1:-1]):
        alpha, beta = pairs[k % len(pairs)]
        skip, branch = unit.shortcut.function, unit.branch.function
        before = autograd(lambda v, a=alpha, b=beta, s=skip, g=branch: a * s(v) + b * g(v), x, unit.shape_before)
        with torch.no_grad():
            at = torch.from_numpy(x)[None]
            total = skip(at) + branch(at) if masks == "held" else alpha * skip(at) + beta * branch(at)
        after = autograd(unit.after.function, total[0], total[0].shape) @ before
        for reading, expected in (("before", before), ("after", after)):
            found = linearize(unit, x, reading=reading, skip_scale=alpha, weight_scale=beta, masks=masks)
            assert near(found.to_dense(), expected)
            assert (found.skip_scale, found.weight_scale, found.masks) == (alpha, beta, masks)
            assert found.method == "factored"


def test_it_is_the_block_jacobian_of_the_stage(network):
    for unit, x in list(states(network))[1:-1]:
        stage, t = network.locate(unit)
        if t is not None:
            v = np.random.default_rng(4).standard_normal(x.size)
            expected = resdyn.block_jacobian(stage, t, x).matvec(v)
            assert np.allclose(linearize(unit, x).matvec(v), expected, rtol=0, atol=1e-12 * abs(expected).max())


def test_a_network_in_single_precision_is_linearized_in_double():
    torch.manual_seed(0)
    model = shaken(resnet(8, widths=WIDTHS))
    single, double = (unroll(model, np.zeros((1, 3, 8, 8)), dtype=dtype) for dtype in (torch.float32, torch.float64))
    x = np.random.default_rng(0).standard_normal((2, 8, 8)).astype(np.float32)
    unit, other = single.units[0], double.units[0]
    J = linearize(unit, x).to_dense()
    assert near(J, linearize(other, x).to_dense())
    v = np.random.default_rng(4).standard_normal(x.size)
    expected = resdyn.block_jacobian(single.stages[0], 0.0, x).matvec(v)
    assert np.allclose(J @ v, expected, rtol=0, atol=1e-5 * abs(expected).max())  # float32 of sums of 18 products
    assert unit.weights()["branch.0.weight"].dtype == torch.float32  # the model stays as it was


def small_unit():
    torch.manual_seed(1)
    network = unroll(shaken(resnet(8, widths=WIDTHS)), np.zeros((1, 3, 8, 8)))
    return network.units[1], np.random.default_rng(0).standard_normal((2, 8, 8))


def test_a_state_may_be_an_array_or_a_tensor_with_a_batch_axis_or_without():
    unit, x = small_unit()
    J = linearize(unit, x).to_dense()
    for form in (x[None], torch.tensor(x), torch.tensor(x)[None], torch.tensor(x, requires_grad=True), x.tolist()):
        assert np.array_equal(linearize(unit, form).to_dense(), J)
    assert np.array_equal(linearize(unit.module, x).to_dense(), J)
    assert np.array_equal(linearize(unit.module, x[None]).to_dense(), J)
    x.flags.writeable = False
    assert np.array_equal(linearize(unit, x).to_dense(), J)


def test_it_follows_the_weights():
    unit, x = small_unit()
    J = linearize(unit, x).to_dense()
    with torch.no_grad():
        unit.module.branch[0].weight.mul_(2)
    assert not np.allclose(linearize(unit, x).to_dense(), J)


def test_the_model_is_not_touched():
    unit, x = small_unit()
    before = {name: tensor.clone() for name, tensor in unit.module.state_dict().items()}
    linearize(unit, x)
    assert all(torch.equal(before[name], tensor) for name, tensor in unit.module.state_dict().items())
    assert all(parameter.grad is None for parameter in unit.module.parameters())


def test_it_says_what_it_is():
    unit, x = small_unit()
    found = linearize(unit, x)
    assert repr(found) == (
        "LinearizedUnit 'stages.1.entry': 2×8×8 to 3×4×4, with what follows the addition; D (1 S + U V) with "
        f"p = {found.active_inner} active inner units and s = {found.active_outer} of 48 outputs."
    )
    text = repr(linearize(unit, x, reading="before", skip_scale=0.5))
    assert "before what follows the addition" in text
    assert "skip path times 0.5, branch times 1." in text
    assert "D recomputed" in repr(linearize(unit, x, skip_scale=0.5, masks="recomputed"))
    assert "found by the method 'dense'" in repr(linearize(unit, x, method="dense"))


@pytest.mark.parametrize("method", ["factored", "coloured", "dense"])
def test_it_can_be_copied_and_kept(method):
    torch.manual_seed(1)
    unit = ResidualBlock(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU()), after=nn.ReLU()).eval()
    x = np.random.default_rng(0).standard_normal((2, 8, 8))
    found = linearize(unit, x, method=method)
    for again in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert isinstance(again, LinearizedUnit)
        assert (again.method, again.name, again.shape) == (method, found.name, found.shape)
        assert np.array_equal(again.to_dense(), found.to_dense())
        assert np.array_equal(again.x, x)


def test_it_is_a_linear_operator_of_scipy():
    unit, x = small_unit()
    found = linearize(unit, x)
    J = found.to_dense()
    assert aslinearoperator(found) is found
    V = np.random.default_rng(0).standard_normal((J.shape[1], 3))
    W = np.random.default_rng(0).standard_normal((J.shape[0], 3))
    for factors in (found, linearize(unit, x, method="dense")):
        assert np.allclose(factors @ V, J @ V, atol=1e-13)
        assert np.allclose(factors.T @ W, J.T @ W, atol=1e-13)
        assert np.allclose(factors.H.T @ V, J @ V, atol=1e-13)


def test_dense_blocks_in_closed_form():
    for make in (dense_resnet, mlp):
        torch.manual_seed(0)
        net = unroll(make(5, 6, 2, 3, activation="tanh").eval(), np.zeros((1, 5)), dtype=torch.float64)
        for unit, x in list(states(net))[1:-1]:
            found = linearize(unit, x)
            W, b = (tensor.numpy() for tensor in (unit.weights()["weight"], unit.weights()["bias"]))
            a = 0.0 if make is mlp else 1.0
            expected = a * np.eye(6) + (1 - np.tanh(W @ x + b) ** 2)[:, None] * W
            assert found.method == "closed form"
            assert np.allclose(found.to_dense(), expected, atol=1e-15)
            assert found.factors is None
            factored = linearize(unit, x, method="factored")
            assert np.allclose(factored.to_dense(), expected, atol=1e-15)
            assert factored.active_inner == 6


def test_a_residual_mlp_has_the_factors_of_its_hidden_layer():
    torch.manual_seed(0)
    net = unroll(residual_mlp(2, inputs=5, units=8, hidden=6).eval(), np.zeros((1, 5)), dtype=torch.float64)
    for unit, x in list(states(net))[1:-1]:
        found = linearize(unit, x)
        weights = [tensor.numpy() for tensor in unit.weights().values()]
        U, a, V, _ = weights
        on = U @ x + a > 0
        assert found.method == "factored"
        assert found.active_inner == on.sum()
        assert np.allclose(found.factors.V.toarray(), U[on], atol=1e-15)
        assert np.allclose(found.factors.U.toarray(), V[:, on], atol=1e-15)
        assert np.allclose(found.to_dense(), np.eye(8) + V[:, on] @ U[on], atol=1e-15)


def test_a_dense_block_with_scales():
    torch.manual_seed(0)
    block = DenseBlock(5, activation="logistic", step=0.5, damping=0.2, gain=3.0)
    x = np.random.default_rng(0).standard_normal(5)
    W, b = (parameter.detach().double().numpy() for parameter in (block.weight, block.bias))
    y = 1 / (1 + np.exp(-(W @ x + b)))
    expected = 2 * 0.9 * np.eye(5) + 3 * 1.5 * (y * (1 - y))[:, None] * W
    for masks in ("held", "recomputed"):
        for method in ("auto", "dense"):
            found = linearize(block, x, skip_scale=2, weight_scale=3, masks=masks, method=method)
            assert np.allclose(found.to_dense(), expected, atol=1e-14)


class Own(ResidualBlock):
    def forward(self, x):
        return torch.tanh(self.branch(x)) * self.shortcut(x)


def unknown_addition():
    torch.manual_seed(0)
    net = ResidualNetwork(
        nn.Flatten(), [ResidualStage(None, [Own(nn.Linear(5, 5))])], nn.Linear(5, 2), architecture={"name": "hand-made"}
    )
    return unroll(net.eval(), np.ones((1, 5))).units[0]


def test_scales_and_readings_need_an_addition():
    unit, x = unknown_addition(), np.linspace(-1, 1, 5)
    assert linearize(unit, x).method == "dense"
    for options in ({"reading": "before"}, {"skip_scale": 0.5}, {"weight_scale": 2}):
        with pytest.raises(ValueError, match="the addition in 'stages.0.blocks.0' is not known"):
            linearize(unit, x, **options)
    plain = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU())
    x = np.random.default_rng(0).standard_normal((2, 5, 5))
    assert np.array_equal(linearize(plain, x, reading="before").to_dense(), linearize(plain, x).to_dense())
    with pytest.raises(ValueError, match="'Sequential' has no addition, so it has no skip path to scale"):
        linearize(plain, x, skip_scale=0.5)


def test_summands_that_nothing_tells_apart_cannot_be_scaled():
    class Twin(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.first(x) + self.second(x)

    torch.manual_seed(0)
    twin, x = Twin(), np.arange(4.0)
    J = sum(layer.weight.detach().double().numpy() for layer in (twin.first, twin.second))
    assert np.allclose(linearize(twin, x).to_dense(), J, atol=1e-15)
    with pytest.raises(ValueError, match="which of the two summands in 'Twin' is the skip path is not known"):
        linearize(twin, x, skip_scale=2)
    with pytest.raises(ValueError, match="its two summands are alike"):
        linearize(twin, x, skip_scale=2, method="factored")


def test_bad_input_is_refused():
    unit, x = small_unit()
    for words in ({"reading": "between"}, {"masks": "new"}, {"method": "sparse"}):
        with pytest.raises(ValueError, match=f"{next(iter(words))} must be .* or .*, but is"):
            linearize(unit, x, **words)
    for name in ("skip_scale", "weight_scale"):
        for bad in (np.nan, np.inf):
            with pytest.raises(ValueError, match=f"{name} must be a finite number"):
                linearize(unit, x, **{name: bad})
        with pytest.raises(TypeError, match=f"{name} must be a number"):
            linearize(unit, x, **{name: "one"})
    with pytest.raises(
        ValueError, match=r"x has shape \(2, 2, 8, 8\), but a linearization of 'stages.1.entry' is taken"
    ):
        linearize(unit, np.stack([x, x]))
    with pytest.raises(ValueError, match=r"x has shape \(2, 8, 7\)"):
        linearize(unit, x[..., 1:])
    with pytest.raises(ValueError, match="x holds NaN"):
        linearize(unit, x * np.nan)
    with pytest.raises(ValueError, match="'ResidualBlock' does not run at x of shape"):
        linearize(unit.module, x[:1])
    with pytest.raises(ValueError, match=r"'ResidualBlock' does not run at x of shape \(2, 2, 8, 8\)"):
        linearize(unit.module, np.stack([x, x]))
    with pytest.raises(TypeError, match="source must be a unit, a stage or a network"):
        linearize(lambda v: v, x)
    with pytest.raises(ValueError, match="'LSTM' makes a tuple of one state .* needs a map from one tensor to one"):
        linearize(nn.LSTM(4, 4), np.zeros((3, 4)))


def test_a_unit_in_training_mode_is_refused():
    unit, x = small_unit()
    unit.module.train()
    for source in (unit, unit.module):
        with pytest.raises(ValueError, match="is in training mode"):
            linearize(source, x)
    unit.module.eval()


def test_stages_and_networks_are_chains_of_their_parts():
    torch.manual_seed(0)
    network = unroll(shaken(resnet(14, widths=WIDTHS)), np.zeros((1, 3, 8, 8)), dtype=torch.float64)
    x = np.random.default_rng(0).standard_normal((1, 3, 8, 8))
    J = autograd(lambda v: network.head.function(_through(network, network.stem.function(v))), x[0], (3, 8, 8))
    for form in (x, x[0], torch.tensor(x)):
        assert near(linearize(network, form).to_dense(), J)
    state, stage = network.units[1](network.units[0](network.stem(x))), network.stages[1]
    found = linearize(stage, state)
    assert [part.name for part in found.parts] == [unit.name for unit in stage.units]
    expected = np.eye(state.size)
    for unit in stage.units:
        expected = dense(unit, unit, state[0]) @ expected
        state = unit(state)
    assert near(found.to_dense(), expected)


def _through(network, x):
    for unit in network.units:
        x = unit.function(x)
    return x


def test_scaled_chains_go_through_the_states_of_the_trained_or_of_the_scaled_network():
    torch.manual_seed(0)
    network = unroll(shaken(resnet(20, widths=WIDTHS)), np.zeros((1, 3, 8, 8)), dtype=torch.float64)
    stage = network.stages[0]
    x = network.stem(np.random.default_rng(0).standard_normal((1, 3, 8, 8)))
    held = linearize(stage, x, weight_scale=2.0)
    assert np.array_equal(held.parts[2].x, stage.units[1](stage.units[0](x))[0])
    recomputed = linearize(stage, x, weight_scale=2.0, masks="recomputed")

    def scaled(v):
        for unit in stage.units:
            v = torch.relu(v + 2 * unit.branch.function(v))
        return v

    assert near(recomputed.to_dense(), autograd(scaled, x[0], stage.shape))
    whole = linearize(network, np.ones((3, 8, 8)), skip_scale=0.5)
    assert [part.skip_scale for part in whole.parts] == [1.0, *[0.5] * len(network.units), 1.0]


# --- the public ResNet-56 ----------------------------------------------------------------------------

needs_data = pytest.mark.skipif(
    not os.environ.get("RESDYN_DATA"), reason="RESDYN_DATA names no folder with the public weights and CIFAR-10"
)


@pytest.fixture(scope="module")
def public():
    model = load("resnet56-4bfd9763", preprocessing=((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    network = unroll(model, np.zeros((1, 3, 32, 32)))
    pixels = resdyn.data.cifar10().subset(slice(1)).pixels()
    mean, std = (np.array(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x = network.stem(((pixels - mean) / std).astype(np.float32))
    kept = []
    for unit in network.units:
        kept.append((unit, x[0]))
        x = unit(x)
    return kept


@needs_data
@pytest.mark.parametrize("index", [0, 4, 9, 12, 18, 22, 26])
def test_units_of_the_public_resnet_are_factored_exactly(public, index):
    unit, x = public[index]
    began = time.perf_counter()
    found = linearize(unit, x)
    assert time.perf_counter() - began < 5  # measured: 0.03 to 0.09 s
    assert found.method == "factored"
    rng = np.random.default_rng(0)
    at = torch.from_numpy(x).double()[None]
    module = copy.deepcopy(unit.module).double()
    for _ in range(3):
        v, w = rng.standard_normal(found.shape[1]), rng.standard_normal(found.shape[0])
        point = at.clone().requires_grad_()
        (pulled,) = torch.autograd.grad(module(point), point, torch.from_numpy(w).reshape(1, *unit.shape_after))
        pulled = pulled.reshape(-1).numpy()
        assert np.allclose(found.rmatvec(w), pulled, rtol=0, atol=1e-13 * abs(pulled).max())
        assert w @ found.matvec(v) == pytest.approx(pulled @ v, rel=1e-9)  # digits are lost in the sum
    sums = module.branch[1](module.branch[0](at))
    assert found.active_inner == int((sums > 0).sum())
    assert found.active_outer == int((module(at) > 0).sum())
    assert found.factors.place.max() < np.prod(sums.shape[2:])
