"""Every analysis of systems runs on the stages of a network: closed forms, and the network's own numbers."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import resdyn
from resdyn.networks import ResidualBlock, ResidualNetwork, ResidualStage, SharedStage, resnet, unroll

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((6, 3, 8, 8))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return unroll(resnet(20, widths=(2, 3, 4)).double().eval(), IMAGES)


@pytest.fixture(scope="module")
def stage(network):
    return network.stages[0]


@pytest.fixture(scope="module")
def states(network):
    return network.stem(IMAGES)


def linear(weights):
    """A network of blocks x + W x of these weights."""
    blocks = []
    for W in weights:
        layer = nn.Linear(len(W), len(W), bias=False)
        layer.weight = nn.Parameter(torch.tensor(W, dtype=torch.float64))
        blocks.append(ResidualBlock(layer))
    n = len(weights[0])
    stage = SharedStage(blocks[0], 2) if len(blocks) == 1 else ResidualStage(None, blocks)
    net = ResidualNetwork(nn.Flatten(), [stage], nn.Linear(n, 2), architecture={"name": "linear"}).double()
    return unroll(net, np.ones((1, n)), step=0.5).stages[0]


def test_simulate_ends_where_the_stage_ends(network, stage, states):
    trajectory = resdyn.simulate(stage, states)
    trace = network.trace(IMAGES)
    for k in range(stage.depth + 1):
        # x + (B(x) − x) is B(x) to rounding
        assert np.abs(trajectory.x[k] - trace.states[k]).max() < 1e-14 * 10
    # and from stage to stage, through the entries
    x = trajectory.final
    for later in network.stages[1:]:
        x = resdyn.simulate(later, later.entry(x)).final
    assert np.abs(network.head(x) - network(IMAGES)).max() < 1e-13


def test_the_tangent_map_is_the_product_of_the_blocks_derivatives(stage, states):
    trajectory = resdyn.simulate(stage, states[0])
    tangent = resdyn.tangent_map(trajectory)
    v = RNG.standard_normal(states[:1].shape)
    pushed, x = v, states[:1]
    for block in stage.blocks:
        pushed, x = block.jvp(x, pushed), block(x)
    assert np.abs(tangent.matvec(v.ravel()) - pushed.ravel()).max() < 1e-13
    # the adjoint is back-propagation
    point = torch.tensor(states[:1], requires_grad=True)
    (stage(point) * torch.tensor(v)).sum().backward()
    assert np.abs(tangent.rmatvec(v.ravel()) - point.grad.numpy().ravel()).max() < 1e-13


def test_a_block_jacobian_is_the_derivative_of_the_block(stage, states):
    J = resdyn.block_jacobian(stage, 1.0, states[0])
    v = RNG.standard_normal(states[:1].shape)
    assert np.abs(J.matvec(v.ravel()) - stage.blocks[1].jvp(states[:1], v).ravel()).max() < 1e-14


def test_exponents_of_a_linear_stage_in_closed_form():
    rates = np.array([0.9, 0.3, -0.2, -0.6])
    Q = np.linalg.qr(RNG.standard_normal((4, 4)))[0]
    stage = linear([Q @ np.diag(rates) @ Q.T])
    # a symmetric factor, applied again and again: log(1 + rate) per block of h = 1/2
    expected = np.log(1 + rates) / 0.5
    spectrum = resdyn.lyapunov_spectrum(stage, np.zeros(4), depth=200, transient=200)
    assert spectrum.exponents == pytest.approx(expected, abs=1e-10)
    leading = resdyn.lyapunov_spectrum(stage, np.zeros((2, 4)), depth=200, transient=200, n_exponents=2)
    assert leading.exponents == pytest.approx(np.tile(expected[:2], (2, 1)), abs=1e-10)
    layered = linear([Q @ np.diag(rates) @ Q.T, Q @ np.diag(-rates) @ Q.T])
    finite = resdyn.finite_time_exponents(layered, np.zeros(4))
    assert finite.exponents == pytest.approx(np.sort(np.log(1 - rates**2))[::-1] / 1.0, abs=1e-12)


def test_exponents_of_a_convolutional_stage_are_those_of_its_jacobian(stage, states):
    found = resdyn.finite_time_exponents(stage, states[0])
    x = torch.tensor(states[0])
    J = torch.autograd.functional.jacobian(lambda y: stage(y[None])[0], x).numpy().reshape(x.numel(), -1)
    sigma = np.linalg.svd(J, compute_uv=False)
    whole = sigma > 1e-8 * sigma[0]
    # errors of an SVD of the product are ε of the largest value
    assert found.singular_values[whole] == pytest.approx(sigma[whole], abs=1e-12 * sigma[0])
    # few exponents over a single pass: the volumes of the first directions in the QR method
    spectrum = resdyn.lyapunov_spectrum(stage, states[:2], n_exponents=3)
    frame = np.linalg.qr(np.random.default_rng(0).standard_normal((x.numel(), 3)))[0]
    R = np.linalg.qr(J @ frame)[1]
    assert spectrum.exponents[0].sum() * stage.depth == pytest.approx(np.log(np.abs(np.diag(R))).sum(), abs=1e-10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_stages_of_many_variables_need_no_matrix(dtype, monkeypatch):
    """768 variables: Lanczos on the tangent map, in the precision that the network has."""
    torch.manual_seed(1)
    net = resnet(20, widths=(12, 12, 12)).eval()
    network = unroll(net, IMAGES, dtype=dtype)
    stage, x = network.stages[0], network.stem(IMAGES)[0]
    monkeypatch.setattr(resdyn.operators.RealOperator, "to_dense", None)
    found = resdyn.finite_time_exponents(stage, x, n_exponents=3)
    monkeypatch.undo()
    J = resdyn.tangent_map(resdyn.simulate(stage, x)).to_dense()
    sigma = np.linalg.svd(J, compute_uv=False)[:3]
    # Lanczos stops at the rounding of the operator
    assert found.singular_values == pytest.approx(sigma, rel=1e-10 if dtype == torch.float64 else 1e-4)
    with pytest.raises(ValueError, match="pass n_exponents, a small number"):
        resdyn.finite_time_exponents(stage, x)


def test_transients_of_branches(stage, states):
    trajectory = resdyn.simulate(stage, states)
    labels = np.arange(6) % 2
    result = resdyn.transients(trajectory, labels)
    assert result.of == "y"
    for k, block in enumerate(stage.blocks):
        branch = block.branch(trajectory.x[k])
        assert result.residual_mean[k, 1] == pytest.approx(branch[1::2].mean(axis=0), abs=1e-13)
        norms = np.linalg.norm(branch.reshape(6, -1), axis=1)
        assert result.norm_mean[k] == pytest.approx([norms[::2].mean(), norms[1::2].mean()], rel=1e-12)


def test_depth_rules_of_a_trajectory_and_of_a_trace(network, stage, states):
    ours = resdyn.depth_rule(resdyn.simulate(stage, states))
    branches = network.trace(IMAGES).branches[:3]
    per_unit = [np.abs(b - a).mean() for a, b in itertools.pairwise(branches)]
    assert ours.differences[1:] == pytest.approx(per_unit, rel=1e-12)
    trace = network.trace(IMAGES)
    whole = resdyn.depth_rule(trace.states, rule="hauser2019")
    ratios = trace.norms().ratios.mean(axis=1)
    entries = trace.entries
    assert whole.differences[~entries] == pytest.approx(ratios[~entries], rel=1e-12)
    assert np.isnan(whole.differences[entries]).all()


def test_cooperation_reads_signs_from_the_derivatives_of_blocks():
    # x + W x with W = [[0, 1], [-2, 0]]: unit 1 excites unit 0, unit 0 inhibits unit 1
    stage = linear([np.array([[0.0, 1.0], [-2.0, 0.0]]), np.array([[0.0, 0.5], [-1.0, 0.0]])])
    found = resdyn.cooperation(stage, resdyn.simulate(stage, np.ones((3, 2))))
    assert found.sign.tolist() == [[0, 1], [-1, 0]]
    # f = W x / h with h = 1/2; at the end of the stage the last block is asked again
    assert found.strengths == pytest.approx(np.array([[0, 2 * (1 + 0.5 + 0.5) / 3], [-2 * (2 + 1 + 1) / 3, 0]]))


def test_perturbations_of_images_pass_the_stem_and_all_units(network):
    delta = 1e-3 * RNG.standard_normal((2, *IMAGES.shape))
    result = resdyn.propagate(network, IMAGES, delta, keep=True)
    assert result.names == ("input", "stem", *(unit.name for unit in network.units))
    clean, moved = network.trace(IMAGES).states, network.trace(IMAGES + delta[1]).states
    for k, (x, y) in enumerate(zip(clean, moved, strict=True), start=1):
        assert np.abs(result.at(k).true[1] - (y - x)).max() < 1e-13
    # the tangent is back-propagation's transpose: the derivative of the last state along the perturbation
    tangent = delta[1]
    x = IMAGES
    for part in (network.stem, *network.units):
        tangent, x = part.jvp(x, tangent), part(x)
    assert np.abs(result.at(len(clean)).linearized[1] - tangent).max() < 1e-14
    with pytest.raises(ValueError, match="has 10 units, the stem among them, but depth = 11"):
        resdyn.propagate(network, IMAGES, delta, depth=11)


def test_perturbations_of_states_enter_after_the_stem(network, states):
    delta = 1e-3 * RNG.standard_normal(states.shape)
    inside = resdyn.propagate(network, IMAGES, delta, start=1, depth=4)
    of_stage = resdyn.propagate(network.stages[0], states, delta)
    assert inside.sizes == pytest.approx(of_stage.sizes, rel=1e-9)  # differences of states: ε / 1e-3
    assert inside.linearized == pytest.approx(of_stage.linearized, rel=1e-12)


def test_noise_is_predicted_by_tangents(stage, states):
    result = resdyn.propagate(stage, states[:2], input_noise=1e-4, n_samples=200, rng=0)
    # noise this small stays linear but for the few ReLUs within 1e-4 of their kink
    assert result.variance[-1] == pytest.approx(result.predicted_variance[-1], rel=0.2)


def test_the_flow_restarts_at_each_block(stage, states):
    # with f constant in t within a block, halving h in many small steps converges to the flow at first order
    fine = resdyn.simulate(stage, states[0], method="RK45", rtol=1e-8, atol=1e-10).final
    errors = []
    for steps in (8, 16, 32):
        x = states[0]
        for k in range(stage.depth):
            for _ in range(steps):
                x = x + stage.step / steps * stage.residual(k * stage.step, x)
        errors.append(np.abs(x - fine).max())
    ratios = np.array(errors[:-1]) / errors[1:]
    # first order up to terms of second order, which the kinks of ReLUs make uneven
    assert ratios == pytest.approx(2.0, abs=0.25)


def test_implicit_solvers_refuse_a_stage_whose_jacobian_cannot_fit(monkeypatch):
    from resdyn import _memory

    monkeypatch.setattr(_memory, "available_bytes", lambda: 2**19)
    torch.manual_seed(0)
    network = unroll(resnet(20, widths=(4, 4, 4)).eval(), IMAGES)
    x = network.stem(IMAGES)[0]
    with pytest.raises(MemoryError, match=r"BDF, which forms the Jacobian of the 256 variables .* \"RK45\""):
        resdyn.simulate(network.stages[0], x, method="BDF")
