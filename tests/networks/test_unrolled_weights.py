"""Unrolled networks in use: double precision, weights that change, threads, pickles, one convention of summands."""

import concurrent.futures
import pickle
import threading
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import resdyn  # noqa: E402
from resdyn.networks import dense_resnet, resnet, unroll  # noqa: E402
from resdyn.testing import check_system  # noqa: E402

torch.set_num_threads(1)
RNG = np.random.default_rng(0)
N = 6


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


class Net(nn.Module):
    """Two steps in a form that the test gives, between linear layers."""

    def __init__(self, step, blocks=2):
        super().__init__()
        self.stem, self.head = nn.Linear(3, N), nn.Linear(N, 2)
        self.parts = nn.ModuleList([Block(step) for _ in range(blocks)])

    def forward(self, x):
        x = self.stem(x)
        for part in self.parts:
            x = part(x)
        return self.head(x)


class Block(nn.Module):
    def __init__(self, step):
        super().__init__()
        self.step, self.linear = step, nn.Linear(N, N)
        self.gamma = nn.Parameter(torch.rand(N))

    def forward(self, x):
        return self.step(self, x)


class Functional(nn.Module):
    """The same steps, written in the forward pass of the network: parameters of modules that have children."""

    def __init__(self, step, blocks=2, calls=1):
        super().__init__()
        self.stem, self.head, self.calls = nn.Linear(3, N), nn.Linear(N, 2), calls
        self.parts = nn.ModuleList([Block(None) for _ in range(blocks)])
        self.step = step

    def forward(self, x):
        x = self.stem(x)
        for part in self.parts:
            for _ in range(self.calls):
                x = self.step(part, x)
        return self.head(x)


def normed(part, x):
    y = x.to(torch.float32)
    y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6)
    return x + torch.tanh(part.linear(part.gamma * y.to(x.dtype)))


def softmaxed(part, x):
    return x + part.gamma * torch.softmax(part.linear(x), -1, dtype=torch.float32).to(x.dtype)


def scaled(part, x):
    return x + part.gamma * torch.tanh(part.linear(x))


def inputs(n=2):
    return torch.tensor(RNG.standard_normal((n, 3)), dtype=torch.float32)


def true_step(step, part, x):
    """The step in double precision, in NumPy."""
    W, b, gamma = (a.detach().double().numpy() for a in (part.linear.weight, part.linear.bias, part.gamma))
    if step is normed:
        y = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
        return x + np.tanh((gamma * y) @ W.T + b)
    z = np.exp(x @ W.T + b)
    return x + gamma * z / z.sum(-1, keepdims=True)


# --- double precision -------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [normed, softmaxed])
@pytest.mark.parametrize("kind", [Net, Functional])
def test_double_precision_is_double_although_the_code_names_single(kind, step):
    model = kind(step).eval()
    network = unroll(model, inputs(), dtype=torch.float64)
    states = RNG.standard_normal((3, N))
    found = network.units[1](states)
    # some ε of numbers of order one; float32 inside would leave 1e-8
    assert np.abs(found - true_step(step, model.parts[1], states)).max() < 1e-14
    check_system(network.stages[0])


def test_single_precision_that_cannot_be_freed_is_said():
    def untraceable(part, x):
        float(x.abs().max())
        return normed(part, x)

    model = Net(untraceable).eval()
    with pytest.warns(UserWarning, match=r"Net computes in torch.float32 inside, .* unroll at dtype=torch.float32"):
        unroll(model, inputs(), units=["parts.0", "parts.1"], dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unroll(model, inputs(), units=["parts.0", "parts.1"])
        unroll(Net(scaled).eval(), inputs(), dtype=torch.float64)


# --- weights that change ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Net, Functional])
def test_replaced_weights_are_followed_and_replaced_modules_refused(kind):
    model, x = kind(scaled).eval(), inputs()
    network = unroll(model, x)
    before = network(x)
    model.load_state_dict({name: 2 * value for name, value in model.state_dict().items()}, assign=True)
    assert torch.equal(network(x), model(x))
    assert not torch.allclose(network(x), before)
    model.parts[0].gamma = nn.Parameter(torch.rand(N))
    torch.testing.assert_close(network(x), model(x))
    model.double()
    with pytest.raises(ValueError, match="has weights of float64 on cpu now; unroll it again"):
        network(x)
    model.float()
    model.parts[1] = Block(scaled)
    with pytest.raises(ValueError, match=r"the module 'parts.1.* was replaced after .* unroll it again"):
        network(x)


def test_a_snapshot_keeps_its_weights_whatever_becomes_of_the_model():
    for kind in (Net, Functional):
        model, x = kind(scaled).eval(), inputs()
        network = unroll(model, x, dtype=torch.float64)
        before = network(x)
        model.load_state_dict({name: 2 * value for name, value in model.state_dict().items()}, assign=True)
        model.parts[1] = Block(scaled)
        assert torch.equal(network(x), before)


def test_operators_follow_weights_in_both_directions():
    model = Net(scaled).double().eval()
    stage = unroll(model, inputs()).stages[0]
    operator = stage.linearize(0.0, RNG.standard_normal(N))
    v, w = RNG.standard_normal((2, N))
    old = operator.rmatvec(w)
    with torch.no_grad():
        model.parts[0].linear.weight.mul_(1.5)
    assert w @ operator.matvec(v) == pytest.approx(operator.rmatvec(w) @ v, rel=1e-12)
    assert not np.allclose(operator.rmatvec(w), old)


def test_one_layer_applied_again_and_again_is_autonomous():
    stage = unroll(Functional(scaled, blocks=1, calls=4).eval(), inputs()).stages[0]
    assert (len(stage.blocks), stage.depth) == (4, None)
    assert unroll(Functional(scaled, blocks=4).eval(), inputs()).stages[0].depth == 4


# --- threads and pickles ----------------------------------------------------------------------------


def answers(functions):
    """Of functions called at once, many times."""
    start = threading.Barrier(len(functions))

    def run(function):
        start.wait()
        return [function() for _ in range(150)]

    with concurrent.futures.ThreadPoolExecutor(len(functions)) as pool:
        return [future.result() for future in [pool.submit(run, function) for function in functions]]


def test_a_snapshot_and_its_model_run_in_several_threads():
    model, x = resnet(8, widths=(2, 2, 2)).eval(), torch.randn(2, 3, 8, 8)
    network = unroll(model, x, dtype=torch.float64)
    with torch.no_grad():
        expected = [network(x), network(x), model(x)]

        def own():
            with torch.no_grad():
                return model(x)

        for results, wanted in zip(answers([lambda: network(x), lambda: network(x), own]), expected, strict=True):
            assert all(torch.equal(result, wanted) for result in results)


def test_networks_without_a_trace_run_in_several_threads():
    def untraceable(part, x):
        float(x.abs().max())
        return scaled(part, x)

    model = Net(untraceable).eval()
    network = unroll(model, inputs(), units=["parts.0", "parts.1"])
    xs = [inputs(), inputs(), inputs()]

    def own():
        with torch.no_grad():
            return model(xs[2])

    with torch.no_grad():
        expected = [model(x) for x in xs]
    found = answers([lambda: network(xs[0]), lambda: network(xs[1]), own])
    for results, wanted in zip(found, expected, strict=True):
        assert all(torch.allclose(result, wanted, atol=1e-6) for result in results)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", [lambda: resnet(8, widths=(2, 2, 2)), lambda: dense_resnet(12, 12, 3, 2)])
def test_networks_of_ours_survive_pickle(make, dtype):
    x = torch.randn(2, 3, 8, 8) if make().architecture["name"] != "dense_resnet" else torch.randn(2, 12)
    network = unroll(make().eval(), x, dtype=dtype)
    stage = network.stages[0]
    stage.linearize(0.0, np.zeros(stage.shape)).rmatvec(np.ones(int(np.prod(stage.shape))))
    again = pickle.loads(pickle.dumps(network))
    assert torch.equal(again(x), network(x))
    state = np.ones((1, *again.units[0].shape_before))
    assert np.array_equal(again.units[0].branch(state), network.units[0].branch(state))


def test_traced_networks_and_operators_survive_pickle():
    network = unroll(Functional(scaled).eval(), x := inputs())
    assert torch.equal(pickle.loads(pickle.dumps(network))(x), network(x))
    operator = network.stages[0].linearize(0.0, np.zeros(N))
    w = np.ones(N)
    pulled = operator.rmatvec(w)
    assert np.array_equal(pickle.loads(pickle.dumps(operator)).rmatvec(w), pulled)


# --- summands ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["pre", "post"])
@pytest.mark.parametrize("interpolation", [None, "in", "lambda-in"])
def test_summands_have_their_gains_however_a_unit_was_found(interpolation, order):
    options = {} if interpolation is None else {"interpolation": interpolation, "coefficient": 0.3}
    model = resnet(14, widths=(2, 2, 2), order=order, **options).eval()
    x = RNG.standard_normal((2, 3, 8, 8))
    declared = unroll(model, x, dtype=torch.float64)
    traced = unroll(model, x, dtype=torch.float64, units=[unit.name for unit in declared.units])
    for own, other in zip(declared.units, traced.units, strict=True):
        state = RNG.standard_normal((2, *own.shape_before))
        total = own.shortcut(state) + own.branch(state)
        after = np.maximum(total, 0) if order == "post" else total
        assert np.allclose(own(state), after, atol=1e-13)
        assert np.allclose(own.branch(state), other.branch(state), atol=1e-13)
        assert np.allclose(own.shortcut(state), other.shortcut(state), atol=1e-13)
        assert own.piece.shortcut_is_identity == other.piece.shortcut_is_identity


def test_summands_of_dense_blocks_have_gains_and_activations_none():
    model = dense_resnet(5, 5, 2, 2, step=0.5, damping=0.4, gain=3.0).double().eval()
    network = unroll(model, np.ones((1, 5)))
    (unit, *_), stage = network.units, network.stages[0]
    x = RNG.standard_normal((2, *unit.shape_before))
    assert np.allclose(unit.shortcut(x), 0.8 * x)
    assert np.allclose(unit.shortcut(x) + unit.branch(x), unit(x), atol=1e-14)
    assert np.allclose(unit.branch(x), 1.5 * stage.activations(0.0, x), atol=1e-14)


def test_a_factor_of_the_branch_is_in_it_and_one_of_the_sum_is_not():
    def halved(part, x):
        return (x + 0.5 * torch.tanh(part.linear(x))) / 2**0.5

    unit = unroll(Net(halved).eval(), inputs(), dtype=torch.float64).units[0]
    x = RNG.standard_normal((2, N))
    assert np.allclose(unit.shortcut(x), x)
    assert np.allclose((x + unit.branch(x)) / np.sqrt(2), unit(x), atol=1e-14)


@pytest.mark.parametrize(
    ("step", "skip"),
    [
        (lambda part, x: torch.lerp(x, torch.tanh(part.linear(x)), 0.3), lambda part: 0.7),
        (
            lambda part, x: torch.lerp(x, torch.tanh(part.linear(x)), part.gamma),
            lambda part: 1 - part.gamma.detach().double().numpy(),
        ),
        (lambda part, x: torch.addcmul(x, part.gamma, torch.tanh(part.linear(x)), value=0.5), lambda part: 1.0),
        (lambda part, x: torch.addcdiv(x, torch.tanh(part.linear(x)), 1 + part.gamma), lambda part: 1.0),
    ],
)
def test_fused_sums_are_residual_additions(step, skip):
    model = Net(step).eval()
    network = unroll(model, inputs(), dtype=torch.float64)
    x = RNG.standard_normal((2, N))
    assert len(network.units) == 2
    for unit, part in zip(network.units, model.parts, strict=True):
        assert np.allclose(unit.shortcut(x), skip(part) * x, atol=1e-14)
        assert np.allclose(unit.shortcut(x) + unit.branch(x), unit(x), atol=1e-14)


# --- calls ------------------------------------------------------------------------------------------


def test_fixed_arguments_go_to_the_model_as_they_are():
    class Optional(Net):
        def forward(self, x, scale=1.0, flag=None, mode="plain"):
            assert (flag, mode) in [(None, "plain"), (True, "other")]
            return SimpleNamespace(logits=scale * super().forward(x), state=x)

    model, x = Optional(scaled).eval(), inputs()
    for rest in ({"scale": 2.0}, {"flag": None}, {"flag": True, "mode": "other"}, {"scale": torch.tensor(3.0)}):
        assert torch.allclose(unroll(model, rest | {"x": x})(x), model(x, **rest).logits, atol=1e-6)
    with pytest.raises(TypeError, match=r"example is a dict with 2 tensors \(x, scale\)"):
        unroll(model, {"x": x, "scale": torch.ones(2, 1)})


def test_data_parallel_networks_are_unwrapped():
    model, x = Net(scaled).eval(), inputs()
    network = unroll(nn.DataParallel(model), x, dtype=torch.float64)
    assert torch.allclose(network(x).float(), model(x), atol=1e-6)


def test_tensors_with_a_gradient_are_no_states():
    stage = unroll(Net(scaled).eval(), inputs()).stages[0]
    with pytest.raises(TypeError, match="got a Tensor: .*requires grad"):
        resdyn.simulate(stage, torch.zeros(2, N, requires_grad=True))


# --- traces -----------------------------------------------------------------------------------------


def test_memory_is_counted_before_anything_is_run(monkeypatch):
    network = unroll(Net(scaled).eval(), x := inputs())
    monkeypatch.setattr(type(network.stem), "__call__", lambda *_: pytest.fail("the network was run"))
    monkeypatch.setattr("resdyn._memory.available_bytes", lambda: 0)
    with pytest.raises(MemoryError, match="the trace of 2 inputs through 2 units"):
        network.trace(x)
    with pytest.raises(TypeError, match=r"keep=\(\)"):
        network.trace(x, keep=None)


def test_a_run_that_was_killed_leaves_its_folder_usable(tmp_path):
    network = unroll(Net(scaled).eval(), x := inputs())
    (tmp_path / "states_000.npy.tmp").write_bytes(b"0")
    trace = network.trace(x, path=tmp_path)
    assert np.array_equal(trace.states[0], network.stem(x.numpy()))
    assert not list(tmp_path.glob("*.tmp"))


def test_check_system_is_not_misled_by_kinks_near_a_state_and_still_finds_wrong_derivatives():
    class Kinks:
        """f = max(x, 0) at states 3e-6 from the kinks: differences of 1e-5 cross them, those of 1e-6 do not."""

        name, shape, step, depth = "kinks", (600,), 1.0, None

        def __init__(self, error=0.0):
            self.error = error

        def residual(self, t, x):
            return np.maximum(x, 0.0)

        def linearize(self, t, x):
            return resdyn.operators.DenseOperator(np.diag((x > 0) + self.error))

    states = np.full((2, 600), 3e-6)
    check_system(Kinks(), states=states)
    with pytest.raises(AssertionError, match="central differences along a random direction"):
        check_system(Kinks(error=1e-4), states=states)
