"""Units: derivatives against finite differences and autograd, residual, branch and shortcut, memory of the caller."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import resdyn.networks.unrolling.unit as unit_module
from resdyn.networks import ResidualBlock, ResidualNetwork, ResidualStage, resnet, unroll

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((4, 3, 8, 8))


@pytest.fixture(params=["post", "pre"])
def unrolled(request):
    torch.manual_seed(0)
    return unroll(resnet(14, order=request.param, widths=(4, 6, 8)).eval(), IMAGES[:2], dtype=torch.float64)


def network(*blocks, n=5):
    return ResidualNetwork(
        nn.Flatten(), [ResidualStage(None, blocks)], nn.Linear(n, 2), architecture={"name": "hand-made"}
    ).double()


def states_of(unrolled):
    return unrolled.trace(IMAGES, keep="states").states


def test_jvp_is_the_derivative_along_a_direction(unrolled):
    for unit, x in zip(unrolled.units, states_of(unrolled), strict=False):
        # ReLUs have kinks: a state whose activations are half of a random number from zero stays off them
        v = RNG.standard_normal(x.shape)
        delta = 1e-7
        difference = (unit(x + delta * v) - unit(x - delta * v)) / (2 * delta)
        # rounding is ε/δ = 2e-9 of the state; a kink within δ would show as an error of order one
        assert np.abs(unit.jvp(x, v) - difference).max() < 1e-6 * np.abs(difference).max()


def test_vjp_is_the_transpose_and_autograds_gradient(unrolled):
    for unit, x in zip(unrolled.units, states_of(unrolled), strict=False):
        v, w = RNG.standard_normal(x.shape), RNG.standard_normal((len(x), *unit.shape_after))
        pulled = unit.vjp(x, w)
        assert pulled.shape == x.shape
        left, right = (
            np.einsum("ni,ni->n", *(a.reshape(len(x), -1) for a in pair)) for pair in ((w, unit.jvp(x, v)), (pulled, v))
        )
        assert left == pytest.approx(right, rel=1e-11)
        point = torch.tensor(x, requires_grad=True)
        (unit(point) * torch.tensor(w)).sum().backward()
        assert np.abs(point.grad.numpy() - pulled).max() < 1e-12


def test_states_of_a_batch_have_derivatives_of_their_own(unrolled):
    unit, x = unrolled.units[2], states_of(unrolled)[2]
    v = RNG.standard_normal(x.shape)
    alone = np.concatenate([unit.jvp(x[i : i + 1], v[i : i + 1]) for i in range(len(x))])
    assert np.abs(unit.jvp(x, v) - alone).max() < 1e-13


def test_a_linear_unit_in_closed_form():
    linear = nn.Linear(5, 5)
    block = ResidualBlock(linear)
    (unit,) = unroll(network(block), np.ones((1, 5))).units
    W, b = (parameter.detach().numpy() for parameter in linear.parameters())
    x, v = RNG.standard_normal((2, 3, 5))
    assert np.allclose(unit(x), x + x @ W.T + b, atol=1e-14)
    assert np.allclose(unit.residual(x), x @ W.T + b, atol=1e-14)
    assert np.allclose(unit.branch(x), x @ W.T + b, atol=1e-14)
    assert np.array_equal(unit.shortcut(x), x)
    assert np.allclose(unit.jvp(x, v), v + v @ W.T, atol=1e-14)
    assert np.allclose(unit.vjp(x, v), v + v @ W, atol=1e-14)
    assert unit.module is block


def test_residuals_branches_and_shortcuts(unrolled):
    is_pre = "relu" not in str(unrolled.units[0].module.after).lower()
    for unit, x in zip(unrolled.units, states_of(unrolled), strict=False):
        after, branch, skip, residual = unit(x), unit.branch(x), unit.shortcut(x), unit.residual(x)
        assert np.array_equal(residual, after - skip)
        if not unit.changes_shape:
            assert np.array_equal(skip, x)
        if is_pre:
            assert np.abs(residual - branch).max() < 1e-13  # nothing comes after the addition
        else:
            assert np.allclose(after, np.maximum(skip + branch, 0), atol=1e-14)
            assert not np.allclose(residual, branch, atol=1e-3)  # where the last ReLU acts, it is not the residual


def test_an_unknown_branch_is_none_and_an_entry_without_shortcut_has_no_residual():
    class Own(nn.Module):
        def __init__(self, before, after):
            super().__init__()
            self.linear = nn.Linear(before, after)

        def forward(self, x):
            return torch.tanh(self.linear(x))

    net = ResidualNetwork(
        nn.Flatten(), [ResidualStage(Own(5, 3), [Own(3, 3)])], nn.Linear(3, 2), architecture={"name": "hand-made"}
    )
    entry, block = unroll(net, np.ones((1, 5))).units
    assert entry.branch is block.branch is entry.shortcut is None
    x = RNG.standard_normal((2, 5))
    with pytest.raises(ValueError, match=r"'stages.0.entry' changes the shape .* its shortcut could not be told"):
        entry.residual(x)
    assert block.has_residual
    assert not entry.has_residual
    assert np.array_equal(block.residual(entry(x)), block(entry(x)) - entry(x))


# --- operations without a forward derivative --------------------------------------------------------------------


class Cubed(torch.autograd.Function):
    """x³, without a forward derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * 3 * x**2


class Cube(nn.Module):
    def forward(self, x):
        return Cubed.apply(x)


class Constant(nn.Module):
    def forward(self, x):
        return torch.zeros_like(x)


def test_where_there_is_no_forward_derivative_two_transposes_do():
    (unit,) = unroll(network(ResidualBlock(Cube())), np.ones((1, 5))).units
    x, v = RNG.standard_normal((2, 3, 5))
    assert np.allclose(unit.jvp(x, v), v + 3 * x**2 * v, atol=1e-14)
    assert np.allclose(unit.vjp(x, v), v + 3 * x**2 * v, atol=1e-14)


def test_a_unit_that_forgets_its_input_has_derivative_zero():
    (unit,) = unroll(network(Constant()), np.ones((1, 5))).units
    x, v = RNG.standard_normal((2, 3, 5))
    assert not unit.jvp(x, v).any()
    assert not unit.vjp(x, v).any()


def test_other_errors_of_torch_are_not_hidden():
    class Broken(nn.Module):
        def forward(self, x):
            if torch.autograd.forward_ad._current_level >= 0:
                raise RuntimeError("something else")
            return x

    (unit,) = unroll(network(Broken()), np.ones((1, 5))).units
    with pytest.raises(RuntimeError, match="something else"):
        unit.jvp(np.ones((1, 5)), np.ones((1, 5)))


# --- memory of the caller ------------------------------------------------------------------------------


def inplace_first():
    return ResidualBlock(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(5, 5)))


class WritesItsInput(nn.Module):
    """As in a pre-activation unit whose first ReLU is in place: the skip path sees what it wrote."""

    def __init__(self):
        super().__init__()
        self.relu, self.linear = nn.ReLU(inplace=True), nn.Linear(5, 5)

    def forward(self, x):
        branch = self.linear(self.relu(x))
        return x + branch


@pytest.mark.parametrize("block", [inplace_first, WritesItsInput])
def test_in_place_operations_do_not_reach_the_callers_array(block):
    torch.manual_seed(0)
    module = block().double()
    (unit,) = unroll(network(module), np.ones((1, 5))).units
    x, v = RNG.standard_normal((2, 3, 5))
    kept = x.copy()
    expected = module(torch.tensor(x)).detach().numpy()
    assert np.array_equal(unit(x), expected)
    tangent, cotangent = unit.jvp(x, v), unit.vjp(x, v)
    unit.residual(x)
    if unit.branch is not None:
        unit.branch(x)
    assert np.array_equal(x, kept)
    tensor = torch.tensor(x)
    unit(tensor)
    assert np.array_equal(tensor.numpy(), kept)
    J = torch.autograd.functional.jacobian(lambda y: module(y.clone()), torch.tensor(x[0])).numpy()
    assert np.allclose(tangent[0], J @ v[0], atol=1e-14)
    assert np.allclose(cotangent[0], J.T @ v[0], atol=1e-14)


def test_read_only_arrays_and_views_work(unrolled):
    unit, x = unrolled.units[0], states_of(unrolled)[0]
    expected = unit(x)
    locked = x.copy()
    locked.setflags(write=False)
    backwards = x[::-1].copy()[::-1]
    strided = np.repeat(x, 2, axis=0)[::2]
    for other in (locked, backwards, strided, np.asfortranarray(x)):
        assert np.array_equal(unit(other), expected)


def test_a_unit_that_hands_on_its_input_returns_memory_of_its_own():
    (unit,) = unroll(network(nn.Identity()), np.ones((1, 5))).units
    x = RNG.standard_normal((2, 5))
    assert not np.may_share_memory(unit(x), x)


@settings(max_examples=15, deadline=None)
@given(chunk=st.integers(1, 6), n=st.integers(0, 5))
def test_how_a_batch_is_cut_does_not_matter(chunk, n):
    torch.manual_seed(0)
    unit = unroll(resnet(8, widths=(2, 3, 4)).eval(), IMAGES[:1], dtype=torch.float64).units[1]
    x = np.random.default_rng(n).standard_normal((n, *unit.shape_before))
    w = np.ones((n, *unit.shape_after))
    whole = unit(x), unit.jvp(x, x), unit.vjp(x, w)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unit_module, "AT_ONCE", chunk * int(np.prod(unit.shape_before)))
        parts = unit(x), unit.jvp(x, x), unit.vjp(x, w)
    for one, other in zip(whole, parts, strict=True):
        assert one.shape == other.shape
        assert np.allclose(one, other, rtol=0, atol=1e-12)


def test_no_graph_is_kept(unrolled):
    unit = unrolled.units[0]
    x = torch.tensor(states_of(unrolled)[0])
    for result in (unit(x), unit.jvp(x, x), unit.vjp(x, x), unit.branch(x)):
        assert not result.requires_grad


def test_bad_input_says_what_was_needed(unrolled):
    unit, x = unrolled.units[2], states_of(unrolled)[2]
    with pytest.raises(ValueError, match=r"'stages.1.entry' takes a batch of shape \(batch, 4, 8, 8\); pass x\[None\]"):
        unit(x[0])
    with pytest.raises(ValueError, match=r"tangent has shape \(4, 6, 4, 4\)"):
        unit.jvp(x, unit(x))
    with pytest.raises(ValueError, match="cotangent holds 2 states and x 4"):
        unit.vjp(x, unit(x)[:2])
    with pytest.raises(TypeError, match="x must be an array of real numbers, but has dtype complex128"):
        unit(x.astype(complex))
    with pytest.raises(TypeError, match=r"x must be a tensor of real numbers, but has dtype torch.int64"):
        unit(torch.zeros(1, 4, 8, 8, dtype=torch.int64))
    # a diverged state is an outcome
    assert np.isnan(unit(np.full((1, 4, 8, 8), np.nan))).all()
    assert repr(unit) == "Unit 'stages.1.entry': 4×8×8 to 6×4×4"
