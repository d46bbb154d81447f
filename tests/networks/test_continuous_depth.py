"""Flows of blocks: closed forms, orders of convergence, gradients, what a stage is a discretisation of."""

import copy
import time

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

import resdyn
from resdyn import Status
from resdyn.networks import (
    InterpolationCoefficient,
    ODEBlock,
    ResidualBlock,
    ResidualStage,
    SharedStage,
    ode_flow,
    to_residual_map,
    unroll,
)
from resdyn.networks.architectures.cifar_resnets import resnet
from resdyn.networks.architectures.dense import DenseBlock, dense_resnet
from resdyn.networks.continuous.methods import snapped

TIGHT = {"method": "dopri8", "rtol": 1e-11, "atol": 1e-13}
ADAPTIVE = ["dopri5", "dopri8", "bosh3", "fehlberg2", "adaptive_heun"]
ORDERS = {"euler": 1, "midpoint": 2, "heun2": 2, "heun3": 3, "rk4": 4}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def dense(units: int = 4, **options) -> DenseBlock:
    block = DenseBlock(units, **({"activation": "tanh", "spread": 1.5} | options)).double()
    with torch.no_grad():
        block.bias.normal_()
    return block


def linear(scale: float = 1.0) -> tuple[nn.Linear, np.ndarray]:
    """A block whose residual is Ax, and A."""
    block = nn.Linear(4, 4, bias=False).double()
    with torch.no_grad():
        block.weight.mul_(scale)
    return block, block.weight.detach().numpy() - np.eye(4)


X = np.random.default_rng(0).normal(size=(3, 4))


def error_ratios(block: nn.Module, method: str, counts: list[int]) -> np.ndarray:
    exact = ode_flow(block, method="dopri8", rtol=1e-13, atol=1e-14)(X)
    errors = [np.abs(ode_flow(block, method=method, step=block.step / n)(X) - exact).max() for n in counts]
    return np.log(np.divide(errors[:-1], errors[1:])) / np.log(np.divide(counts[1:], counts[:-1]))


def test_refining_the_step_converges_to_the_flow_at_first_order():
    # Euler with n steps a block is the block refined into n; the next term of the error moves the order by about 1/n
    orders = error_ratios(dense(step=0.5), "euler", [50, 100, 200])
    assert orders == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("method", list(ORDERS))
def test_methods_with_fixed_steps_have_their_order(method: str):
    # between 10 and 40 steps rounding (1e-15) is far below the errors of rk4 (1e-7), and higher terms move it by 0.1
    orders = error_ratios(dense(step=0.5), method, [10, 20, 40])
    assert orders == pytest.approx(ORDERS[method], abs=0.15)


def test_a_refined_network_of_ours_converges_to_the_flow_that_it_discretises():
    coarse = dense(step=0.5)
    system = to_residual_map(coarse)
    exact = ode_flow(coarse, horizon=2.0, **TIGHT)(X)
    errors = [
        np.abs(resdyn.simulate(system.replace(step=2.0 / n), X, depth=n).final - exact).max() for n in (100, 200, 400)
    ]
    assert np.log2(np.divide(errors[:-1], errors[1:])) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_the_flow_of_a_linear_block_is_the_matrix_exponential(method: str):
    block, A = linear()
    tolerance = 1e-5 if method in ("fehlberg2", "adaptive_heun") else 1e-8  # methods of order 2 take long
    flow = ode_flow(block, horizon=1.5, method=method, rtol=tolerance, atol=tolerance)
    # the steps' errors add up to 0.05 to 2.6 tolerances at any tolerance; fehlberg2, whose error estimate is of first
    # order, to 120
    most = (200 if method == "fehlberg2" else 5) * tolerance
    assert flow(X) == pytest.approx(X @ scipy.linalg.expm(1.5 * A).T, abs=most)


@pytest.mark.parametrize(("method", "step"), [("dopri5", None), ("rk4", 0.01)])
def test_states_between_are_those_of_the_flow(method: str, step: float | None):
    block, A = linear()
    times = [0.0, 0.013, 0.5, 0.777, 1.0]
    path = ode_flow(block, method=method, step=step, rtol=1e-9, atol=1e-9).trajectory(X, times)
    expected = np.stack([X @ scipy.linalg.expm(t * A).T for t in times])
    # adaptive steps end at these times; rk4 interpolates with a cubic, whose error is of fourth order in a step of 0.01
    assert path == pytest.approx(expected, abs=1e-8)
    assert np.array_equal(path[0], X)


def test_times_on_the_grid_need_no_interpolation():
    block = dense(step=1.0)
    path = ode_flow(block, method="euler", step=0.1).trajectory(X, np.arange(11) * 0.1)
    network = resdyn.simulate(to_residual_map(block).replace(step=0.1), X, depth=10)
    assert path == pytest.approx(network.x, abs=1e-13)  # rounding only


@pytest.mark.parametrize(("method", "parts"), [("euler", 1), ("rk4", 2), ("dopri5", None)])
@pytest.mark.parametrize("h", [0.1, 0.3, 0.7])
def test_a_time_that_is_the_end_of_a_block_but_for_rounding_is_that_end(method: str, parts: int | None, h: float):
    n = 7
    flow = ode_flow(
        [dense(step=h) for _ in range(n)], method=method, rtol=1e-3, step=None if parts is None else h / parts
    )
    exact = flow.trajectory(X, h * np.arange(n + 1))
    for times in (
        np.linspace(0, round(n * h, 10), n + 1),
        np.r_[0, np.cumsum([h] * n)],
        np.nextafter(h * np.arange(n + 1), 9),
    ):
        assert np.array_equal(flow.trajectory(X, times), exact)
        # and as the only time
        assert np.isfinite(flow.trajectory(X, times[-1:])).all()
    assert flow.trajectory(X, np.linspace(0, n * h, 10 * n + 1)).shape == (10 * n + 1, *X.shape)
    # times that are one and the same but for rounding stay as many
    assert np.array_equal(flow.trajectory(X, [0, 1e-16, h, np.nextafter(h, 9)]), exact[[0, 0, 1, 1]])


def test_a_horizon_that_is_the_end_of_a_block_but_for_rounding_is_that_end():
    blocks = [dense(step=0.3) for _ in range(7)]
    for horizon in (1.8, sum([0.3] * 6), np.nextafter(6 * 0.3, 9), np.nextafter(6 * 0.3, 0)):
        for method in ("euler", "dopri5"):
            flow = ode_flow(blocks, horizon=horizon, method=method)
            assert flow.horizon == 6 * 0.3
            assert np.array_equal(flow(X), ode_flow(blocks[:6], method=method)(X))
            assert flow.trajectory(X, [0.5, horizon]).shape == (2, *X.shape)


def test_trajectories_of_many_fixed_steps_find_their_grid_quickly():
    flow = ode_flow(SharedStage(dense(step=1.0), 2), method="euler", step=0.01, horizon=40)
    start = time.process_time()
    whole = flow._grid(40.0)
    found = snapped(np.linspace(0, 40, 40_001), np.arange(40_001) / 1000)
    # looking at every point for every time took minutes
    assert time.process_time() - start < 1
    assert np.array_equal(found, np.arange(40_001) / 1000)
    assert whole[-1] == 40.0


def test_damping_and_gain_have_their_closed_form():
    block, A = linear()
    damping, gain = 0.3, 1.7
    flow = ode_flow(block, damping=damping, gain=gain, **TIGHT)
    assert flow(X) == pytest.approx(X @ scipy.linalg.expm(gain * A - damping * np.eye(4)).T, abs=1e-9)


def test_damping_can_differ_from_block_to_block():
    blocks = [dense(step=0.5), dense(step=0.5)]
    with torch.no_grad():
        for block in blocks:
            block.weight.zero_()
            block.bias.zero_()
    # without weights tanh(0) = 0, and all that is left is the damping
    flow = ode_flow(blocks, damping=[0.2, 0.8], **TIGHT)
    assert flow(X) == pytest.approx(X * np.exp(-0.5 * 0.2 - 0.5 * 0.8), abs=1e-9)


def branch() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.Tanh()).double()


@pytest.mark.parametrize(("kind", "gain"), [("in", 1.0), ("lambda-in", 1.4)])
def test_the_flow_of_an_interpolated_block_is_the_damped_flow_of_the_plain_one(kind: str, gain: float):
    g = branch()
    interpolated = ResidualBlock(g, interpolation=InterpolationCoefficient(kind, (0, 1), fixed=0.4)).double()
    own = ode_flow(interpolated, **TIGHT)(X)
    # λ is a float32 number of the block, so that the two differ by 1e-8
    assert own == pytest.approx(ode_flow(ResidualBlock(g), damping=0.4, gain=gain, **TIGHT)(X), abs=1e-7)


def test_euler_with_one_step_per_block_is_the_stage_itself():
    stage = ResidualStage(None, [dense(step=0.3, damping=0.2) for _ in range(5)])
    flow = ode_flow(stage, method="euler")
    with torch.no_grad():
        expected = stage(torch.from_numpy(X)).numpy()
    assert flow(X) == pytest.approx(expected, abs=1e-14)
    assert flow.evaluations == 5
    states = [X]
    for block in stage.blocks:
        states.append(block(torch.from_numpy(states[-1])).detach().numpy())
    assert flow.trajectory(X, 0.3 * np.arange(6)) == pytest.approx(np.stack(states), abs=1e-14)


@pytest.mark.parametrize("order", ["pre", "post"])
def test_the_stages_of_a_resnet_have_flows(order: str):
    net = resnet(14, order=order, widths=(2, 3, 4)).double().eval()
    stage = net.stages[1]
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        expected = x
        for block in stage.blocks:
            expected = block(expected)
        # only rounding: x + (B(x) − x)
        assert ode_flow(stage, method="euler")(x).numpy() == pytest.approx(expected.numpy(), abs=1e-13)
        # ReLUs leave kinks in f, so that rk4 is not of fourth order, but it does converge
        exact = ode_flow(stage, rtol=1e-8, atol=1e-8)(x)
        coarse, fine = ((ode_flow(stage, method="rk4", step=1 / n)(x) - exact).abs().max() for n in (2, 16))
        assert fine < coarse / 8


def test_the_flow_of_a_stage_restarts_at_each_block():
    a, b = dense(step=0.5), dense(step=0.5)
    both = ode_flow([a, b], **TIGHT)
    one_after_the_other = ode_flow(b, **TIGHT)(ode_flow(a, **TIGHT)(X))
    assert both(X) == pytest.approx(one_after_the_other, abs=1e-12)
    middle = both.trajectory(X, [0.25, 0.5, 0.75])
    assert middle[0] == pytest.approx(ode_flow(a, horizon=0.25, **TIGHT)(X), abs=1e-9)
    assert middle[1] == pytest.approx(ode_flow(a, **TIGHT)(X), abs=1e-9)


@pytest.mark.parametrize("depth", [None, 3])
def test_the_flow_agrees_with_that_of_the_residual_map(depth: int | None):
    blocks = [dense(step=0.4, damping=0.3, gain=1.2) for _ in range(depth or 1)]
    stage = SharedStage(blocks[0], 3) if depth is None else ResidualStage(None, blocks)
    system = to_residual_map(stage)
    run = resdyn.simulate(system, X, depth=3, method="RK45", rtol=1e-10, atol=1e-12)
    assert ode_flow(stage, **TIGHT)(X) == pytest.approx(run.final, abs=1e-8)


def test_a_shared_block_can_act_for_longer_than_its_stage():
    block, A = linear(0.5)
    flow = ode_flow(SharedStage(block, 2), horizon=5.0, **TIGHT)
    assert flow(X) == pytest.approx(X @ scipy.linalg.expm(5 * A).T, abs=1e-8)
    assert ode_flow(SharedStage(block, 2)).horizon == 2.0


@pytest.mark.parametrize("shared", [True, False])
def test_the_stage_of_an_unrolled_network_has_the_flow_of_the_network(shared: bool):
    net = dense_resnet(4, 4, 3, 2, shared=shared, step=0.4)
    expected = ode_flow(copy.deepcopy(net).double().stages[0], **TIGHT)(X)
    # unrolled in double precision from a net in single: the stage runs with a copy of the weights
    (stage,) = unroll(net, torch.zeros(2, 4), dtype=torch.float64).stages
    flow = ode_flow(stage, **TIGHT)
    assert flow.horizon == pytest.approx(1.2)
    assert flow(X) == pytest.approx(expected, abs=1e-11)
    run = resdyn.simulate(stage, X, depth=3, method="RK45", rtol=1e-9, atol=1e-11)
    assert run.final == pytest.approx(expected, abs=1e-7)
    (own,) = unroll(net.double(), torch.zeros(2, 4, dtype=torch.float64)).stages
    assert next(iter(ode_flow(own).parameters())) is net.units[0].weight
    assert np.array_equal(to_residual_map(own).W, to_residual_map(net).W)


def test_a_stage_unrolled_with_another_step_has_the_flow_over_another_time():
    net = dense_resnet(4, 4, 3, 2, step=0.4).double()
    (stage,) = unroll(net, torch.zeros(2, 4, dtype=torch.float64), step=1.0).stages
    # f is 0.4 times as large, and acts 2.5 times as long
    flow = ode_flow(stage, **TIGHT)
    assert flow.horizon == 3.0
    assert flow(X) == pytest.approx(ode_flow(net.stages[0], **TIGHT)(X), abs=1e-11)


# --- gradients ---------------------------------------------------------------------------------------


def gradients(flow: nn.Module, x: np.ndarray = X) -> list[np.ndarray]:
    start = torch.from_numpy(x).requires_grad_()
    flow.zero_grad()
    (flow(start) ** 3).sum().backward()
    return [start.grad.numpy(), *(p.grad.clone().numpy() for p in flow.parameters())]


@pytest.mark.parametrize("blocks", [1, 2])
def test_the_adjoint_is_back_propagation_through_the_solver(blocks: int):
    stage = [dense(step=0.5) for _ in range(blocks)]
    through, adjoint = (gradients(ode_flow(stage, adjoint=adjoint, **TIGHT)) for adjoint in (False, True))
    for expected, found in zip(through, adjoint, strict=True):
        assert found == pytest.approx(expected, abs=1e-7 * np.abs(expected).max())


def test_gradients_are_those_of_central_differences():
    block = dense(step=0.5)
    flow = ode_flow(block, **TIGHT)
    found = gradients(flow)[1]
    delta = 1e-5
    with torch.no_grad():
        values = []
        for sign in (1, -1):
            block.weight[1, 2] += sign * delta
            values.append(float((flow(torch.from_numpy(X)) ** 3).sum()))
            block.weight[1, 2] -= sign * delta
    # the difference errs by δ² and by 1e-11/δ
    assert found[1, 2] == pytest.approx((values[0] - values[1]) / (2 * delta), rel=1e-5)


def test_with_fixed_steps_the_adjoint_converges_to_the_gradient_of_the_flow():
    block = dense(step=1.0)
    exact = gradients(ode_flow(block, **TIGHT))
    for adjoint in (False, True):
        found = gradients(ode_flow(block, method="rk4", step=0.02, adjoint=adjoint))
        for a, b in zip(found, exact, strict=True):
            assert a == pytest.approx(b, abs=1e-6 * np.abs(b).max())


def test_the_adjoint_keeps_no_graph_of_the_steps():
    flows = [ode_flow(dense(step=1.0), method="rk4", step=1 / 64, adjoint=adjoint) for adjoint in (False, True)]
    nodes = []
    for flow in flows:
        with saved_numbers() as numbers:
            flow(torch.from_numpy(X))
        nodes.append(sum(numbers))
    # back-propagation keeps some 64 · 4 evaluations, the adjoint the states at both ends and the weights
    assert nodes[1] < 100 < 10_000 < nodes[0]


class saved_numbers:
    """Counts the numbers that autograd keeps."""

    def __enter__(self) -> list[int]:
        kept: list[int] = []

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            kept.append(tensor.numel())
            return tensor

        self.hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
        self.hooks.__enter__()
        return kept

    def __exit__(self, *args: object) -> None:
        self.hooks.__exit__(*args)


def test_a_learned_damping_gets_its_gradient():
    damping = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
    block, A = linear()
    for adjoint in (False, True):
        flow = ode_flow(block, damping=damping, adjoint=adjoint, **TIGHT)
        flow.zero_grad()
        flow(torch.from_numpy(X)).sum().backward()
        # d/dλ of e^{A − λ} is −e^{A − λ}
        expected = -(X @ scipy.linalg.expm(A - 0.3 * np.eye(4)).T).sum()
        assert float(damping.grad) == pytest.approx(expected, rel=1e-8)


def test_damping_is_learned_block_by_block():
    blocks = [dense(step=0.5), dense(step=0.5)]
    lambdas = [nn.Parameter(torch.tensor(value, dtype=torch.float64)) for value in (0.2, 0.8)]
    with torch.no_grad():
        for block in blocks:
            block.weight.zero_()
            block.bias.zero_()
    for adjoint in (False, True):
        flow = ode_flow(blocks, damping=lambdas, adjoint=adjoint, **TIGHT)
        assert sum(any(p is one for one in lambdas) for p in flow.parameters()) == 2
        (gradient,) = torch.autograd.grad(flow(torch.from_numpy(X)).sum(), lambdas[1:])
        # without weights x(1) is x(0) exp(−(0.2 + 0.8)/2)
        assert float(gradient) == pytest.approx(-0.5 * np.exp(-0.5) * X.sum(), rel=1e-8)


def test_a_shared_stage_takes_one_damping_per_block():
    block = dense(step=0.5)
    stage = SharedStage(block, 3)
    expected = ode_flow([copy.deepcopy(block) for _ in range(3)], damping=[0.1, 0.2, 0.3], **TIGHT)(X)
    assert ode_flow(stage, damping=[0.1, 0.2, 0.3], **TIGHT)(X) == pytest.approx(expected, abs=1e-12)
    lambdas = [nn.Parameter(torch.tensor(value, dtype=torch.float64)) for value in (0.1, 0.2, 0.3)]
    flow = ode_flow(stage, damping=lambdas, **TIGHT)
    assert flow(X) == pytest.approx(expected, abs=1e-12)
    assert len(list(flow.parameters())) == 5
    with pytest.raises(ValueError, match="end at 1.5"):
        ode_flow(stage, damping=[0.1, 0.2, 0.3], horizon=2.0)


def test_a_network_of_one_stage_counts_as_that_stage():
    net = dense_resnet(4, 4, 3, 2, step=0.4).double()
    assert np.array_equal(ode_flow(net)(X), ode_flow(net.stages[0])(X))
    unrolled = unroll(net, np.zeros((1, 4)), step=0.8)
    assert ode_flow(unrolled).horizon == pytest.approx(2.4)


def test_a_stage_that_runs_with_copies_of_its_weights_is_not_trained():
    (stage,) = unroll(dense_resnet(4, 4, 3, 2), torch.zeros(1, 4), dtype=torch.float64).stages
    assert not list(ode_flow(stage).parameters())
    for options in ({"adjoint": True}, {"damping": nn.Parameter(torch.tensor(0.1, dtype=torch.float64))}):
        with pytest.raises(ValueError, match=r"copies of the weights.*net.double\(\)"):
            ode_flow(stage, **options)


# --- evaluations, status, dtypes ---------------------------------------------------------------------


def test_evaluations_are_counted_for_each_call():
    block = dense(step=1.0)
    flow = ode_flow(block, method="rk4", step=0.25)
    flow(X)
    assert flow.evaluations == 16
    flow(X)
    assert flow.evaluations == 16
    counts = []
    for rtol in (1e-3, 1e-9):
        flow = ode_flow(block, rtol=rtol, atol=rtol)
        flow(X)
        counts.append(flow.evaluations)
    assert counts[0] < counts[1]


def test_the_adjoint_adds_its_evaluations():
    flow = ode_flow(dense(step=1.0), method="rk4", step=0.25, adjoint=True)
    loss = flow(torch.from_numpy(X)).sum()
    assert flow.evaluations == 16
    loss.backward()
    assert flow.evaluations == 32


class SquareBlock(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + x * x


class Square(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * x


def test_a_state_that_runs_off_is_a_value_and_takes_no_other_along():
    flow = ODEBlock(Square(), horizon=1.0, rtol=1e-7)
    after = flow(np.array([[0.5], [2.0], [-1.0]]))  # x/(1 − xt): the second is infinite at t = 1/2
    assert after[[0, 2], 0] == pytest.approx([1.0, -0.5], abs=1e-6)
    assert np.isnan(after[1, 0])
    assert flow.status.tolist() == [Status.OK, Status.DIVERGED, Status.OK]
    path = flow.trajectory(np.array([[2.0]]), [0.0, 1.0])
    assert path[0, 0, 0] == 2.0
    assert np.isnan(path[1, 0, 0])
    flow(np.array([[0.5]]))
    assert flow.status.tolist() == [Status.OK]


def test_times_reached_before_a_blow_up_are_kept():
    start = np.array([[1.0], [0.1]])
    times = np.array([0.2, 0.4, 0.9, 2.0])
    flow = ODEBlock(Square(), horizon=2.0)
    path = flow.trajectory(start, times)[..., 0]
    exact = start[:, 0] / (1 - np.outer(times, start[:, 0]))
    reached = np.outer(times, start[:, 0]) < 1
    assert np.array_equal(np.isfinite(path), reached)
    # near the singularity, where x is 10, an error of 1e-6 a step grows by 100
    assert path[reached] == pytest.approx(exact[reached], rel=1e-3)
    assert flow.status.tolist() == [Status.DIVERGED, Status.OK]


def test_a_blow_up_after_the_last_time_is_none():
    flow = ode_flow([SquareBlock(), SquareBlock()], rtol=1e-8)
    assert flow.trajectory(np.array([[0.99]]), [0.5, 0.9])[:, 0, 0] == pytest.approx([0.99 / 0.505, 0.99 / 0.109])
    # in the second block, of which only the first half is wanted
    assert flow.trajectory(np.array([[0.6]]), [1.5])[0, 0, 0] == pytest.approx(6.0, rel=1e-6)
    assert flow.status.tolist() == [Status.OK]


def test_one_state_that_runs_off_costs_a_large_batch_little():
    flow = ODEBlock(Square(), horizon=2.0)
    many = np.full((256, 1), 0.1)
    flow(many)
    calm = flow.evaluations
    many[17] = 1.0
    after = flow(many)
    assert np.isnan(after[:, 0]).nonzero()[0].tolist() == [17]
    alone = ODEBlock(Square(), horizon=2.0)
    alone(many[17:18])
    # the whole fails, it fails alone (twice, for the times before), and the others run once; one by one were 256 runs
    assert flow.evaluations <= calm + 3 * alone.evaluations


def test_a_flow_that_gives_up_has_no_gradient():
    flow = ODEBlock(Square(), horizon=1.0)
    x = torch.tensor([[0.5], [2.0]], dtype=torch.float64, requires_grad=True)
    with pytest.raises(ArithmeticError, match="no_grad"):
        flow(x)
    with torch.no_grad():
        assert flow(x).isnan().tolist() == [[False], [True]]


def test_a_field_that_is_too_stiff_fails_and_does_not_diverge():
    flow = ODEBlock(dense(), options={"max_num_steps": 2}, **TIGHT)
    assert np.isnan(flow(X)).all()
    assert set(flow.status) == {Status.FAILED}


def test_fixed_steps_that_overflow_have_diverged():
    flow = ODEBlock(Square(), horizon=1.0, method="euler", step=0.01)
    flow(np.array([[0.5], [200.0]]))
    assert flow.status.tolist() == [Status.OK, Status.DIVERGED]


def test_an_assertion_of_the_callers_own_field_goes_through():
    class Asserting(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise AssertionError("mine")

    with pytest.raises(AssertionError, match="mine"):
        ODEBlock(Asserting())(X)


def test_a_field_may_depend_on_time():
    class Clock(nn.Module):
        def forward(self, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            return (t * torch.ones_like(x)).cos()

    flow = ODEBlock(Clock(), horizon=2.0, depends_on_time=True, **TIGHT)
    assert flow(X) == pytest.approx(X + np.sin(2.0), abs=1e-9)


def test_states_keep_kind_and_dtype():
    block = dense().float()
    flow = ode_flow(block)
    assert flow(X).dtype == np.float32
    assert flow(torch.zeros(2, 4)).dtype == torch.float32
    assert isinstance(flow(torch.zeros(2, 4)), torch.Tensor)
    assert flow(np.zeros((2, 4), dtype=int)).shape == (2, 4)
    assert flow(torch.zeros(2, 4)).requires_grad
    double = ode_flow(block.double())(X)
    assert double.dtype == np.float64
    assert ode_flow(block.float())(X) == pytest.approx(double, abs=1e-5)  # float32 and rtol 1e-6


def test_a_state_alone_ends_where_it_ends_in_a_batch():
    flow = ode_flow(dense(), rtol=1e-8, atol=1e-8)
    # the steps are those that the worst state needs, so the others differ by less than the tolerance
    assert flow(X)[:1] == pytest.approx(flow(X[:1]), abs=1e-6)


def test_the_tolerance_holds_for_the_worst_state_of_a_large_batch():
    block, A = linear(3.0)
    fast = np.zeros((500, 4))
    fast[0] = X[0]
    flow = ode_flow(block, rtol=1e-6, atol=1e-6)
    alone, among_many = (np.abs(flow(x)[0] - X[0] @ scipy.linalg.expm(A).T).max() for x in (X[:1], fast))
    # a root mean square over all states would let the one that moves err √500 times more
    assert among_many == pytest.approx(alone, rel=1e-3)


def field_at(block: nn.Module, x: torch.Tensor) -> np.ndarray:
    return ode_flow(block).fields[0](torch.tensor(0.0), x).detach().numpy()


def test_in_single_precision_the_residual_of_a_short_step_keeps_its_digits():
    # at states near 10 the difference (B(x) − x)/h of float32 numbers would err by 1e-6/h, 1 % here
    block, x = dense(step=1e-4), torch.from_numpy(X + 10)
    double = field_at(block, x)
    assert field_at(block.float(), x.float()) == pytest.approx(double, abs=2e-5)  # rounding of Wx + b, of order 10


def test_in_single_precision_the_residual_of_a_small_branch_keeps_its_digits():
    # as above: float32 states near 1000 are known to 6e-5, the branch to much less
    block, x = ResidualBlock(nn.Sequential(nn.Tanh(), nn.Linear(4, 4))).double(), torch.from_numpy(X + 1000)
    double = field_at(block, x)
    assert field_at(block.float(), x.float()) == pytest.approx(double, abs=1e-6)


def test_a_block_that_works_in_place_leaves_the_states_alone():
    class InPlace(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mul_(0.5)

    flow = ode_flow(InPlace(), **TIGHT)
    x = torch.from_numpy(X.copy())
    assert flow(x).numpy() == pytest.approx(X * np.exp(-0.5), abs=1e-9)
    assert np.array_equal(x.numpy(), X)
    relu = ResidualBlock(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 4))).double()
    plain = ResidualBlock(nn.Sequential(nn.ReLU(), relu.branch[1])).double()
    assert ode_flow(relu)(X) == pytest.approx(ode_flow(plain)(X), abs=1e-15)


def test_settings_of_a_flow_can_be_changed():
    flow = ode_flow(dense(), method="dopri5")
    before = flow(X)
    flow.method, flow.solver_step = "rk4", 1 / 64
    assert flow(X) == pytest.approx(before, abs=1e-5)
    assert flow.evaluations == 4 * 64
    flow.method = "rk5"
    with pytest.raises(ValueError, match="dopri5"):
        flow(X)


def test_a_flow_says_how_it_is_integrated():
    assert "horizon=1, method='rk4', step=0.5, adjoint=False" in repr(ode_flow(dense(), method="rk4", step=0.5))
    assert "rtol=1e-06, atol=1e-08" in repr(ode_flow(dense()))


# --- bad input ---------------------------------------------------------------------------------------


class Halving(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, ::2]


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: ode_flow(dense(), method="RK45"), ValueError, "dopri5, dopri8"),
        (lambda: ode_flow(dense(), step=0.1), ValueError, "chooses its own"),
        (lambda: ode_flow(dense(), method="rk4", step=0.3), ValueError, "e.g. 0.333333"),
        (lambda: ode_flow(dense(), method="rk4", step=2.0), ValueError, "whole part"),
        (lambda: ode_flow(dense(), rtol=0.0), ValueError, "rtol"),
        (lambda: ode_flow([dense(), dense()], horizon=3.0), ValueError, "end at 2"),
        (lambda: ode_flow(dense(), horizon=-1.0), ValueError, "horizon"),
        (lambda: ode_flow([dense(step=0.5), dense()]), ValueError, "block_step"),
        (lambda: ode_flow(dense(), damping=[0.1, 0.2]), ValueError, "one per block"),
        (lambda: ode_flow(dense(), gain=nn.Parameter(torch.ones(2))), ValueError, "one entry"),
        (lambda: ode_flow(dense(), damping=torch.tensor(0.2, requires_grad=True)), TypeError, "nn.Parameter"),
        (lambda: ode_flow(dense(), damping=nn.Parameter(torch.tensor(0.2)))(X), TypeError, "learned damping"),
        (lambda: ode_flow([dense(), dense()], damping=[nn.Parameter(torch.ones(()))]), ValueError, "one per block"),
        (lambda: ODEBlock(dense(), damping=[0.1, 0.2]), ValueError, "one per block"),
        (lambda: ode_flow(dense(), options={"max_num_steps": 0}), ValueError, "at least 1"),
        (lambda: ode_flow(dense(), options={"maxstep": 0.1}), ValueError, "max_step"),
        (lambda: ode_flow(dense(), method="rk4", options={"max_step": 0.1}), ValueError, "interp"),
        (lambda: ode_flow(resnet(8)), TypeError, "3 stages"),
        (lambda: ode_flow(ResidualStage(None, [])), ValueError, "no blocks"),
        (lambda: ode_flow(resdyn.ResidualMap(np.eye(2))), TypeError, "resdyn.simulate"),
        (lambda: ode_flow(lambda x: x), TypeError, "torch module"),
        (lambda: ODEBlock(lambda x: x), TypeError, "torch module"),
        (lambda: ode_flow(Halving())(X), ValueError, r"shape \(4,\) to \(2,\)"),
        (lambda: ODEBlock(Halving())(X), ValueError, "keep the shape"),
        (lambda: ode_flow(dense())(X[0]), ValueError, r"x\[None\]"),
        (lambda: ode_flow(dense())(np.full((1, 4), np.nan)), ValueError, "NaN"),
        (lambda: ode_flow(dense())(np.ones((1, 4), dtype=complex)), TypeError, "real"),
        (lambda: ode_flow(dense())(torch.zeros(1, 4)), TypeError, "float32 on cpu, but the network torch.float64"),
        (lambda: ode_flow(dense().half())(X), TypeError, "float16"),
        (lambda: ode_flow(dense()).trajectory(X, [0.5, 0.2]), ValueError, "ascending"),
        (lambda: ode_flow(dense()).trajectory(X, [0.5, 1.2]), ValueError, "to its horizon 1"),
        (lambda: ode_flow(dense()).trajectory(X, []), ValueError, "ascending"),
        (lambda: ode_flow(nn.BatchNorm1d(4).double())(X), ValueError, r"call eval\(\)"),
        (lambda: ode_flow(nn.Dropout(0.5))(X), ValueError, r"call eval\(\)"),
    ],
)
def test_bad_input_is_refused_with_a_remedy(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_batch_norm_and_dropout_are_fine_in_eval_mode():
    block = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5)).double().eval()
    assert np.isfinite(ode_flow(block)(X)).all()
