"""Dense layers of torch as residual maps and back: equal weights, states, Jacobians; what has no such form."""

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

import resdyn
from resdyn.networks import SharedStage, from_residual_map, to_residual_map, unroll
from resdyn.networks.architectures.contract import ResidualStage
from resdyn.networks.architectures.dense import DenseBlock, dense_resnet, mlp

# both sides take a few rounded operations per unit on numbers of order one
ROUNDING = 1e-13


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def states(n: int, units: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n, units))


def block(units: int = 5, **options: object) -> DenseBlock:
    made = DenseBlock(units, spread=1.5, **options).double()
    with torch.no_grad():
        made.bias.normal_()
    return made


def jacobian_of(module: nn.Module, x: np.ndarray) -> np.ndarray:
    return torch.autograd.functional.jacobian(module, torch.from_numpy(x)).numpy()


@pytest.mark.parametrize("activation", ["logistic", "tanh", "relu", "softplus", "identity"])
def test_a_dense_block_and_its_map_have_equal_states_and_jacobians(activation: str):
    dense = block(activation=activation, step=0.3, damping=0.4, gain=1.7)
    system = to_residual_map(dense)
    x = states(7, 5)
    with torch.no_grad():
        after = dense(torch.from_numpy(x)).numpy()
    assert resdyn.simulate(system, x, depth=1).final == pytest.approx(after, abs=ROUNDING)
    expected = jacobian_of(dense, x[0])
    assert np.eye(5) + system.step * system.jacobian(0.0, x[0]) == pytest.approx(expected, abs=ROUNDING)


@settings(max_examples=20, deadline=None)
@given(
    units=st.integers(1, 6),
    step=st.floats(1e-3, 3),
    damping=st.floats(0, 3),
    gain=st.floats(-2, 2),
    double=st.booleans(),
)
def test_the_way_to_a_map_and_back_keeps_every_bit(units, step, damping, gain, double):
    dtype = torch.float64 if double else torch.float32
    dense = DenseBlock(units, activation="tanh", step=step, damping=damping, gain=gain).to(dtype)
    back = from_residual_map(to_residual_map(dense), dtype=dtype)
    assert isinstance(back, DenseBlock)
    assert torch.equal(back.weight, dense.weight)
    assert torch.equal(back.bias, dense.bias)
    same = ("activation", "step", "damping", "gain")
    assert [getattr(back, name) for name in same] == [getattr(dense, name) for name in same]


def test_a_map_comes_back_from_its_module_bit_for_bit():
    rng = np.random.default_rng(2)
    W, b = rng.normal(size=(4, 3, 3)), rng.normal(size=(4, 3))
    system = resdyn.ResidualMap(W, b, activation="tanh", step=0.1, damping=[0.0, 0.1, 0.2, 0.3], gain=1 / 3)
    stage = from_residual_map(system)
    assert isinstance(stage, ResidualStage)
    again = to_residual_map(stage)
    for name in ("W", "b", "damping", "step", "activation"):
        assert np.array_equal(getattr(again, name), getattr(system, name)), name
    assert np.array_equal(np.broadcast_to(again.gain, (4,)), np.full(4, 1 / 3))
    x = states(3, 3)
    with torch.no_grad():
        after = stage(torch.from_numpy(x)).numpy()
    assert resdyn.simulate(system, x).final == pytest.approx(after, abs=ROUNDING)


def test_making_a_module_of_a_map_draws_no_random_numbers():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    from_residual_map(resdyn.ResidualMap(np.eye(3)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("bias", [True, False])
def test_a_recurrent_cell_is_a_map_with_a_drive(nonlinearity: str, bias: bool):
    cell = nn.RNNCell(2, 4, bias=bias, nonlinearity=nonlinearity).double()
    system = to_residual_map(cell)
    assert (system.step, float(system.damping), float(system.gain)) == (1.0, 1.0, 1.0)
    drive = torch.randn(6, 2, dtype=torch.float64)
    x = torch.randn(3, 4, dtype=torch.float64)
    inputs = (drive @ cell.weight_ih.T).detach().numpy()
    run = resdyn.simulate(system, x.numpy(), inputs=inputs)
    with torch.no_grad():
        for u in drive:
            x = cell(u.expand(3, -1), x)
    assert run.final == pytest.approx(x.numpy(), abs=ROUNDING)


def test_a_recurrent_layer_is_the_map_of_its_cell():
    layer = nn.RNN(2, 4).double()
    drive = torch.randn(6, 1, 2, dtype=torch.float64)
    system = to_residual_map(layer)
    inputs = (drive[:, 0] @ layer.weight_ih_l0.T).detach().numpy()
    run = resdyn.simulate(system, np.zeros(4), inputs=inputs)
    with torch.no_grad():
        outputs = layer(drive)[0]
    assert run.x[1:] == pytest.approx(outputs[:, 0].numpy(), abs=ROUNDING)


def test_a_cell_with_damping_and_step_is_residual_or_leaky():
    cell = nn.RNNCell(1, 4).double()
    x = torch.randn(3, 4, dtype=torch.float64)
    with torch.no_grad():
        g = cell(torch.zeros(3, 1, dtype=torch.float64), x).numpy()
    residual = to_residual_map(cell, step=0.5, damping=0.0)
    assert resdyn.simulate(residual, x.numpy(), depth=1).final == pytest.approx(x.numpy() + 0.5 * g, abs=ROUNDING)
    leaky = to_residual_map(cell, damping=0.3, gain=0.3)
    assert resdyn.simulate(leaky, x.numpy(), depth=1).final == pytest.approx(0.7 * x.numpy() + 0.3 * g, abs=ROUNDING)
    with pytest.raises(ValueError, match="say also which map"):
        to_residual_map(cell, step=0.5)


@pytest.mark.parametrize(
    "activation",
    ["tanh", torch.tanh, nn.Tanh(), nn.functional.tanh, sympy.tanh(sympy.Symbol("z"))],
    ids=["word", "torch", "module", "functional", "expression"],
)
def test_a_linear_layer_takes_its_activation_in_any_form(activation):
    layer = nn.Linear(4, 4).double()
    system = to_residual_map(layer, activation=activation, step=0.5, damping=0.2)
    x = torch.randn(3, 4, dtype=torch.float64)
    with torch.no_grad():
        expected = (1 - 0.5 * 0.2) * x + 0.5 * torch.tanh(layer(x))
    assert resdyn.simulate(system, x.numpy(), depth=1).final == pytest.approx(expected.numpy(), abs=ROUNDING)


def test_a_linear_layer_followed_by_an_activation_says_it_itself():
    layer = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Sigmoid())
    system = to_residual_map(layer)
    assert system.activation.name == "logistic"
    assert np.array_equal(system.W, layer[0].weight.detach().double().numpy())
    assert not system.b.any()
    with pytest.raises(ValueError, match=r"leave activation= out"):
        to_residual_map(layer, activation="tanh")


@pytest.mark.parametrize(
    "module", [nn.RNNCell(3, 3), nn.Sequential(nn.Linear(3, 3), nn.Tanh()), DenseBlock(3, activation="tanh")], ids=str
)
@pytest.mark.parametrize("activation", ["tanh", nn.Tanh(), torch.tanh])
def test_arguments_that_agree_with_the_module_are_welcome(module: nn.Module, activation: object):
    system = to_residual_map(module, activation=activation, step=1.0, damping=0.0)
    assert (system.activation.name, system.step, float(system.damping)) == ("tanh", 1.0, 0.0)
    assert float(to_residual_map(module, activation=activation, step=1, damping=0, gain=1).gain) == 1.0


def test_a_spectral_norm_in_eval_mode_is_taken_as_it_is():
    layer = spectral_norm(nn.Linear(3, 3)).eval()
    assert np.array_equal(to_residual_map(layer, activation="tanh").W, layer.weight.detach().double().numpy())


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("step", [None, 0.5, 2.0])
def test_the_map_of_an_unrolled_stage_is_that_stage_with_its_step(shared: bool, step: float | None):
    net = dense_resnet(4, 4, 3, 2, shared=shared, step=0.25, damping=0.3, gain=1.7).double()
    unrolled = unroll(net, np.zeros((1, 4)), step=step)
    x = states(2, 4)
    for module in (unrolled.stages[0], unrolled):
        stage, system = unrolled.stages[0], to_residual_map(module)
        assert (system.step, system.depth) == (stage.step, stage.depth)
        t = 0.5 * stage.step
        assert system.residual(t, x) == pytest.approx(stage.residual(t, x), abs=ROUNDING)
        runs = (resdyn.simulate(one, x, depth=3).final for one in (system, stage))
        assert next(runs) == pytest.approx(next(runs), abs=ROUNDING)


def test_one_layer_and_a_name_survive_the_way_to_a_module_and_back():
    for W, depth in ((np.eye(2)[None], 1), (np.eye(2), None), (np.zeros((3, 2, 2)), 3)):
        again = to_residual_map(from_residual_map(resdyn.ResidualMap(W, activation="tanh", name="mine")))
        assert (again.depth, again.name, again.W.shape) == (depth, "mine", W.shape)
    assert to_residual_map(dense_resnet(3, 3, depth=1, classes=2, shared=False)).depth == 1
    assert to_residual_map(dense_resnet(3, 3, depth=1, classes=2, shared=True)).depth is None


def test_dtypes_and_devices_go_by_their_names():
    system = resdyn.ResidualMap(np.eye(2))
    for dtype in (torch.float32, np.float32, "float32"):
        assert from_residual_map(system, dtype=dtype, device="cpu").weight.dtype == torch.float32
    assert from_residual_map(system, dtype="bfloat16").weight.dtype == torch.bfloat16
    for dtype in (torch.int32, "int8", complex, "long double"):
        with pytest.raises(ValueError, match="weights are real numbers"):
            from_residual_map(system, dtype=dtype)
    with pytest.raises(ValueError, match="torch does not know"):
        from_residual_map(system, device="abacus")


def test_a_device_that_is_absent_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="device='cpu'"):
        from_residual_map(resdyn.ResidualMap(np.eye(2)), device="cuda")


def test_softplus_of_torch_is_taken_where_its_threshold_does_not_show():
    single = nn.Linear(3, 3)
    assert to_residual_map(single, activation=nn.Softplus()).activation.name == "softplus"
    # in float64 torch's function has a jump of 2e-9 at 20
    with pytest.raises(ValueError, match="threshold"):
        to_residual_map(single.double(), activation=nn.Softplus())
    assert to_residual_map(single, activation=nn.Softplus(threshold=40)).activation.name == "softplus"
    with pytest.raises(ValueError, match="beta"):
        to_residual_map(single, activation=nn.Softplus(beta=2))


@pytest.mark.parametrize("shared", [True, False])
def test_a_dense_network_is_the_map_of_its_stage(shared: bool):
    net = dense_resnet(6, 6, depth=5, classes=3, shared=shared, step=0.4, damping=0.1).double()
    x = torch.randn(4, 6, dtype=torch.float64)
    system = to_residual_map(net)
    assert system.depth == (None if shared else 5)
    run = resdyn.simulate(system, net.stem(x).numpy(), depth=5)
    with torch.no_grad():
        assert net.head(torch.from_numpy(run.final)).numpy() == pytest.approx(net(x).numpy(), abs=ROUNDING)
    assert np.array_equal(to_residual_map(net.stages[0]).W, system.W)


def test_the_plain_network_is_the_map_without_skip_path():
    system = to_residual_map(mlp(4, 4, depth=3, classes=2))
    assert (float(system.damping), float(system.gain)) == (1.0, 1.0)


def test_a_block_that_stands_in_a_stage_several_times_is_shared():
    dense = block(3)
    assert to_residual_map(SharedStage(dense, 7)).depth is None
    assert to_residual_map(ResidualStage(None, [dense, dense])).depth is None
    assert to_residual_map([dense, block(3)]).depth == 2


def test_the_map_does_not_follow_the_module_when_it_is_trained():
    dense = block(3)
    system = to_residual_map(dense)
    before = system.W.copy()
    with torch.no_grad():
        dense.weight += 1
    assert np.array_equal(system.W, before)


def test_half_precision_goes_over_without_rounding():
    dense = block(3).to(torch.bfloat16)
    assert np.array_equal(to_residual_map(dense).W, dense.weight.detach().double().numpy())
    assert torch.equal(from_residual_map(to_residual_map(dense), dtype=torch.bfloat16).weight, dense.weight)


class Swish(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


@pytest.mark.parametrize(
    ("module", "options", "error", "says"),
    [
        (nn.GRUCell(2, 3), {}, TypeError, "gates"),
        (nn.LSTM(2, 3), {}, TypeError, "gates"),
        (nn.RNN(2, 3, num_layers=2), {}, ValueError, "2 layers and 1 directions"),
        (nn.RNN(2, 3, bidirectional=True), {}, ValueError, "1 layers and 2 directions"),
        (nn.RNNCell(2, 3), {"activation": "relu"}, ValueError, "leave it out"),
        (nn.Linear(3, 3), {"activation": "tanh", "damping": [1, 2]}, TypeError, "damping must be a number"),
        (spectral_norm(nn.Linear(3, 3)), {"activation": "tanh"}, ValueError, r"call eval\(\)"),
        (nn.Sequential(spectral_norm(nn.Linear(3, 3)), nn.Tanh()), {}, ValueError, r"call eval\(\)"),
        ([DenseBlock(3), DenseBlock(3, damping=0.5)], {"damping": 0.0}, ValueError, "contradicts"),
        (nn.Linear(2, 3), {"activation": "tanh"}, ValueError, "maps 2 units to 3"),
        (nn.Linear(3, 3), {}, ValueError, "pass activation="),
        (nn.Linear(3, 3), {"activation": nn.GELU()}, ValueError, "SymPy expression"),
        (nn.Linear(3, 3), {"activation": Swish()}, ValueError, "SymPy expression"),
        (nn.Linear(3, 3), {"activation": nn.functional.softplus}, ValueError, "SymPy expression"),
        (nn.Linear(3, 3), {"activation": "swish"}, ValueError, "unknown activation"),
        (nn.Linear(3, 3, dtype=torch.complex64), {"activation": "tanh"}, TypeError, "real numbers"),
        (nn.Linear(3, 3), {"activation": "tanh", "step": -1.0}, ValueError, "step must be"),
        (nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3)), {}, TypeError, "one by one"),
        (nn.Conv2d(1, 1, 3), {}, TypeError, "Conv2d is no layer"),
        (DenseBlock(3), {"step": 0.5}, ValueError, r"replace\(step=0.5\)"),
        (DenseBlock(3), {"activation": "tanh"}, ValueError, "contradicts"),
        ([DenseBlock(3), DenseBlock(3, step=0.5)], {}, ValueError, "several steps"),
        ([DenseBlock(3), DenseBlock(3, activation="relu")], {}, ValueError, "several activations"),
        ([], {}, ValueError, "no blocks"),
        ("net", {}, TypeError, "str is no layer"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_what_is_no_such_layer_is_refused_with_the_reason(module, options, error, says):
    with pytest.raises(error, match=says):
        to_residual_map(module, **options)


def test_maps_that_torch_cannot_hold_are_refused_with_the_reason():
    z = sympy.Symbol("z")
    with pytest.raises(ValueError, match="expression"):
        from_residual_map(resdyn.ResidualMap(np.eye(2), activation=sympy.sin(z)))
    with pytest.raises(TypeError, match="only a ResidualMap"):
        from_residual_map(resdyn.logistic_residuals(np.eye(2)))
