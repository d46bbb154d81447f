"""Stages keep the contract of systems; their blocks act at kh; linear stages in closed form."""

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from torch import nn

import resdyn
from resdyn.networks import (
    ResidualBlock,
    ResidualNetwork,
    ResidualStage,
    SharedStage,
    dense_resnet,
    mlp,
    ode_net,
    residual_cnn,
    residual_mlp,
    resnet,
    resnext,
    unroll,
)
from resdyn.testing import check_system

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((2, 3, 8, 8))


def dense(*blocks, n=6, shared=0):
    stage = SharedStage(blocks[0], shared) if shared else ResidualStage(None, blocks)
    return ResidualNetwork(
        nn.Sequential(nn.Flatten(), nn.Linear(192, n)), [stage], nn.Linear(n, 3), architecture={"name": "dense"}
    )


def logistic(n=6):
    return ResidualBlock(nn.Sequential(nn.Linear(n, n), nn.Sigmoid()))


ARCHITECTURES = {
    "post": lambda: resnet(20, widths=(2, 3, 4)),
    "post, projection": lambda: resnet(14, shortcut="projection", widths=(2, 3, 4)),
    "pre": lambda: resnet(20, order="pre", widths=(2, 3, 4)),
    "bottleneck": lambda: resnet(20, bottleneck=True, widths=(1, 2, 3)),
    "in": lambda: resnet(20, interpolation="in", widths=(2, 3, 4)),
    "lambda-in": lambda: resnet(20, order="pre", interpolation="lambda-in", coefficient=0.3, widths=(2, 3, 4)),
    "shared dense": lambda: dense(logistic(), shared=5),
    "many blocks, dense": lambda: residual_mlp(6, inputs=192, units=8),
    "many blocks, convolutional": lambda: residual_cnn(6, width=3),
    "layer-wise dense": lambda: dense(logistic(), logistic(), logistic()),
    "dense residual network": lambda: dense_resnet(192, 6, 4, 3, embedding="linear", damping=0.4, gain=1.5),
    "plain": lambda: mlp(192, 6, 4, 3, shared=False, embedding="linear"),
    "flow, dense": lambda: ode_net((3, 8, 8), 3, width=6, step=0.5),
    "flow, convolutional": lambda: ode_net((3, 8, 8), 3, kind="convolutional", width=3, step=0.5),
}


def test_all_architectures_are_tried():
    # a ResNeXt has thousands of variables and a test of its own
    tried = {make().architecture["name"] for make in ARCHITECTURES.values()} | {"resnext"}
    assert set(resdyn.networks.ARCHITECTURES) <= tried


@pytest.mark.parametrize("step", [1.0, 0.25])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_stage_keeps_the_contract_of_a_system(architecture, step):
    torch.manual_seed(0)
    network = unroll(ARCHITECTURES[architecture]().eval(), IMAGES, dtype=torch.float64, step=step)
    for stage in network.stages:
        # in double precision, differences over 1e-5 are good to 1e-9; a kink of a ReLU that near to a random state
        # is met in one of 10⁵ units. Above 64 variables derivatives are compared along random directions.
        check_system(stage, rtol=1e-7, max_dense=64)


def test_a_resnext_keeps_it_too_on_images_of_its_size():
    torch.manual_seed(0)
    network = unroll(resnext(20, cardinality=2, width=1).eval(), IMAGES, dtype=torch.float64)
    assert [stage.shape for stage in network.stages] == [(256, 8, 8), (512, 4, 4), (1024, 2, 2)]
    check_system(network.stages[2], rtol=1e-7, max_dense=64)


def test_single_precision_is_said_to_be_single():
    torch.manual_seed(0)
    stage = unroll(resnet(20, widths=(2, 3, 4)).eval(), IMAGES).stages[0]
    x = RNG.standard_normal(stage.shape)
    assert stage.residual(0.0, x).dtype == np.float32
    A = stage.linearize(0.0, x)
    assert A.dtype == A.matvec(x.ravel()).dtype == A.rmatvec(x.ravel()).dtype == np.float32
    assert resdyn.block_jacobian(stage, 0.0, x).dtype == np.float32
    trajectory = resdyn.simulate(stage, x)
    assert resdyn.tangent_map(trajectory).dtype == np.float32
    # a difference over 1e-5 of numbers near 1 is rounded by 6e-8/1e-5 of them, and so is each of two states
    check_system(stage, rtol=5e-2, max_dense=64)


def test_block_k_acts_at_k_h():
    torch.manual_seed(0)
    network = unroll(resnet(20, widths=(2, 3, 4)).eval(), IMAGES, dtype=torch.float64, step=0.5)
    stage = network.stages[1]
    assert (stage.depth, stage.step, stage.shape) == (2, 0.5, (3, 4, 4))
    x = RNG.standard_normal((4, 1, *stage.shape))
    for k, block in enumerate(stage.blocks):
        expected = (block(x[:, 0]) - x[:, 0]) / 0.5
        for t in (0.5 * k, 0.5 * k + 0.4):
            assert np.abs(stage.residual(t, x)[:, 0] - expected).max() < 1e-13
    # at the end of the stage the last block is asked again
    assert np.array_equal(stage.residual(1.0, x), stage.residual(0.5, x))
    for t in (-0.1, 1.1):
        with pytest.raises(ValueError, match="lies outside the network: with 2 blocks"):
            stage.residual(t, x)
    before = RNG.standard_normal((3, *stage.entry.shape_before))
    assert np.array_equal(stage(before), stage.blocks[1](stage.blocks[0](stage.entry(before))))


def test_the_linearization_is_autograds_jacobian():
    torch.manual_seed(0)
    net = resnet(20, order="pre", widths=(2, 3, 4)).double().eval()
    stage = unroll(net, IMAGES, step=0.5).stages[2]
    x = RNG.standard_normal(stage.shape)
    d = x.size
    module = stage.blocks[1].module
    J = torch.autograd.functional.jacobian(lambda y: module(y[None])[0], torch.tensor(x)).numpy().reshape(d, d)
    A = stage.linearize(0.5, x)
    expected = (J - np.eye(d)) / 0.5
    assert np.allclose(A.to_dense(), expected, atol=1e-12)
    assert np.allclose(A.adjoint().to_dense(), expected.T, atol=1e-12)
    assert np.allclose(A.T.T.matmat(np.eye(d)[:, :3]), expected[:, :3], atol=1e-12)
    v = RNG.standard_normal((2, 3, *stage.shape))
    at = np.broadcast_to(x, v.shape)
    assert np.allclose(stage.jvp(0.5, at, v).reshape(6, d), v.reshape(6, d) @ expected.T, atol=1e-12)
    assert np.allclose(stage.vjp(0.5, at, v).reshape(6, d), v.reshape(6, d) @ expected, atol=1e-12)


def test_shared_weights_make_an_autonomous_stage():
    torch.manual_seed(0)
    stage = unroll(dense(logistic(), shared=5), IMAGES, dtype=torch.float64).stages[0]
    assert stage.depth is None
    assert len(stage.blocks) == 5
    x = RNG.standard_normal(6)
    assert resdyn.simulate(stage, x, depth=40).final.shape == (6,)
    assert np.array_equal(resdyn.simulate(stage, x, depth=5).final, stage(x[None])[0])
    assert "5 blocks with shared weights" in repr(stage)
    # one block alone is a network of one layer
    assert unroll(dense(logistic()), IMAGES).stages[0].depth == 1


@pytest.mark.parametrize("shared", [True, False])
def test_the_stage_of_a_dense_network_is_a_residual_map(shared):
    torch.manual_seed(0)
    net = dense_resnet(
        64, 64, 4, 3, shared=shared, activation="tanh", step=0.5, damping=0.4, gain=1.5, spread=1.0
    ).double()
    stage = unroll(net, np.ones((1, 1, 8, 8))).stages[0]
    blocks = list(net.stages[0].blocks)
    with torch.no_grad():
        for block in blocks:
            block.bias.normal_()
    W, b = (np.stack([getattr(block, name).detach().numpy() for block in blocks]) for name in ("weight", "bias"))
    system = resdyn.ResidualMap(
        W[0] if shared else W, b[0] if shared else b, activation="tanh", step=0.5, damping=0.4, gain=1.5
    )
    assert (stage.step, stage.depth) == (0.5, None if shared else 4)
    x = RNG.standard_normal((3, 64))
    ours, its = (resdyn.simulate(s, x, depth=4) for s in (stage, system))
    assert np.abs(ours.final - its.final).max() < 1e-13
    assert np.abs(ours.residuals - its.residuals).max() < 1e-12
    assert np.abs(ours.activations - its.activations).max() < 1e-13
    check_system(stage, rtol=1e-7, max_dense=64)


def linear_stage(depth, step, n=4):
    torch.manual_seed(0)
    blocks = [ResidualBlock(nn.Linear(n, n, bias=False)) for _ in range(depth)]
    network = unroll(dense(*blocks, n=n), IMAGES, dtype=torch.float64, step=step)
    return network.stages[0], [block.branch.weight.detach().numpy().astype(float) for block in blocks]


def test_the_flow_of_a_linear_stage_is_a_product_of_exponentials():
    stage, weights = linear_stage(3, step=0.5)
    x = RNG.standard_normal((2, 4))
    # ẋ = (W/h) x for the time h: exp(W), block after block
    expected = x @ expm(weights[0]).T @ expm(weights[1]).T @ expm(weights[2]).T
    flow = resdyn.simulate(stage, x, method="RK45", rtol=1e-10, atol=1e-12)
    assert np.abs(flow.final - expected).max() < 1e-8
    # and the map of the same stage is the network
    product = x @ (np.eye(4) + weights[0]).T @ (np.eye(4) + weights[1]).T @ (np.eye(4) + weights[2]).T
    assert np.abs(resdyn.simulate(stage, x).final - product).max() < 1e-13


def test_activations_are_the_branches():
    torch.manual_seed(0)
    network = unroll(resnet(20, widths=(2, 3, 4)).eval(), IMAGES, dtype=torch.float64)
    trajectory = resdyn.simulate(network.stages[0], network.stem(IMAGES))
    for k, block in enumerate(network.stages[0].blocks):
        x = trajectory.x[k]
        branch = block.module.branch.double()(torch.tensor(x)).detach().numpy()
        assert np.abs(trajectory.activations[k] - branch).max() < 1e-13
        # after the last ReLU the residual is another
        assert np.abs(trajectory.residuals[k] - branch).max() > 1e-2

    class Own(nn.Module):
        def forward(self, x):
            return x + torch.tanh(x)

    unknown = unroll(dense(Own(), logistic()), IMAGES).stages[0]
    assert not hasattr(unknown, "activations")
    with pytest.raises(AttributeError, match="branches of 'dense, stage 1' are not known"):
        unknown.activations  # noqa: B018


def test_a_stage_without_blocks_is_no_system():
    torch.manual_seed(0)
    stage = unroll(resnext(11, cardinality=2, width=1).eval(), IMAGES).stages[1]
    assert stage.blocks == ()
    x = np.zeros(stage.shape)
    for use in (
        lambda: resdyn.simulate(stage, x),
        lambda: stage.residual(0.0, x),
        lambda: stage.linearize(0.0, x),
        lambda: resdyn.lyapunov_spectrum(stage, x, n_exponents=1),
    ):
        with pytest.raises(
            ValueError, match=r"has no block that keeps the shape .* only 'stages.1.entry' from \(256, 8, 8\)"
        ):
            use()
    assert stage(np.zeros((1, *stage.entry.shape_before))).shape == (1, *stage.shape)


def test_a_unit_that_changes_the_shape_is_no_system():
    torch.manual_seed(0)
    network = unroll(resnet(14, widths=(2, 3, 4)).eval(), IMAGES)
    with pytest.raises(TypeError, match="system must be a resdyn System"):
        resdyn.simulate(network.units[2], network.stem(IMAGES))
    stage = network.stages[1]
    with pytest.raises(ValueError, match=r"x0 has shape \(2, 2, 8, 8\), but 'resnet-14, stage 2' has states of shape"):
        resdyn.simulate(stage, network.stem(IMAGES))
    with pytest.raises(ValueError, match=r"a linearization of 'resnet-14, stage 2' is taken at one state"):
        stage.linearize(0.0, np.zeros((2, *stage.shape)))
    with pytest.raises(ValueError, match=r"v has shape \(3, 4, 4\) and x \(2, 3, 4, 4\)"):
        stage.jvp(0.0, np.zeros((2, *stage.shape)), np.zeros(stage.shape))
    with pytest.raises(TypeError, match="complex"):
        stage.residual(0.0, np.zeros(stage.shape, dtype=complex))


def test_divergence_is_an_outcome():
    stage, _ = linear_stage(3, step=1.0)
    x = np.stack([np.ones(4), np.full(4, 1e308)])
    assert resdyn.simulate(stage, x * 10.0 ** np.array([[0], [0]])).status.tolist() == [0, 1]
    assert np.isnan(stage.residual(0.0, np.full((1, 4), np.nan))).all()


def test_a_trajectory_of_a_stage_is_stored_and_asks_for_the_stage(tmp_path):
    torch.manual_seed(0)
    stage = unroll(resnet(14, widths=(2, 3, 4)).eval(), IMAGES).stages[0]
    trajectory = resdyn.simulate(stage, np.ones(stage.shape))
    trajectory.save(tmp_path / "stage.npz")
    with pytest.raises(ValueError, match="which is code and not data"):
        resdyn.Trajectory.load(tmp_path / "stage.npz")
    again = resdyn.Trajectory.load(tmp_path / "stage.npz", system=stage)
    assert np.array_equal(again.x, trajectory.x)
    assert repr(stage) == "Stage 'resnet-14, stage 1': 2 blocks, states 2×8×8, h = 1"


def test_a_network_in_place_of_a_system_is_told_how_it_becomes_one():
    net = resnet(8, widths=(1, 1, 1)).eval()
    with pytest.raises(TypeError, match=r"^.{0,150}ResidualNetwork.{0,60}unroll\(module, example\)\.stages\.$"):
        resdyn.simulate(net, np.zeros(3))
    with pytest.raises(TypeError, match=r"take one of its \.stages"):
        resdyn.simulate(unroll(net, np.zeros((1, 3, 4, 4))), np.zeros(3))
    with pytest.raises(TypeError, match=r"ResidualNetwork; a module .*unroll\(module, example\)\.$"):
        resdyn.propagate(net, np.zeros((1, 3)), np.zeros((1, 3)))
