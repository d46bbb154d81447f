"""Units that cannot be read: Jacobians by coloured and by dense directional derivatives."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from resdyn import _memory
from resdyn.networks import ResidualBlock, linearize, resnet, unroll
from resdyn.networks.linearization.reading.colouring import Axis

torch.set_num_threads(1)


def autograd(module, x):
    J = torch.func.jacrev(lambda v: module(v[None].clone())[0])(x)
    return J.reshape(-1, x.numel()).detach().numpy()


class Gated(nn.Module):
    """Two paths multiplied: nothing that is read."""

    def __init__(self, stride=1, size=3, padding=1, after=2):
        super().__init__()
        options = {"stride": stride, "padding": padding}
        self.first, self.second = (nn.Conv2d(2, after, size, **options) for _ in range(2))

    def forward(self, x):
        return torch.sigmoid(self.first(x)) * torch.tanh(self.second(x))


class Squeezed(Gated):
    """A gate that sees the whole image."""

    def forward(self, x):
        return x + self.second(x) * torch.sigmoid(self.first(x).mean((2, 3), keepdim=True))


LOCAL = {
    "3 × 3": (lambda: Gated(), (2, 9, 11)),
    "1 × 1": (lambda: Gated(size=1, padding=0), (2, 5, 4)),
    "not symmetric": (lambda: Gated(size=(2, 4), padding=(1, 2)), (2, 10, 12)),
    "taller than the image": (lambda: Gated(size=(7, 3), padding=(3, 1)), (2, 4, 12)),
    "without padding": (lambda: Gated(padding=0), (2, 9, 9)),
    "stride 2": (lambda: Gated(stride=2, after=3), (2, 16, 14)),
    "stride 2, odd": (lambda: Gated(stride=2, after=5), (2, 15, 13)),
    "stride (3, 1)": (lambda: Gated(stride=(3, 1), after=6), (2, 15, 9)),
}


@pytest.mark.parametrize("name", LOCAL)
def test_coloured_derivatives_give_the_whole_jacobian(name):
    torch.manual_seed(0)
    make, shape = LOCAL[name]
    module, x = make().double(), torch.randn(shape, dtype=torch.float64)
    found = linearize(module, x)
    J = autograd(module, x)
    assert found.method == "coloured"
    assert found.notes == ("not factored: it uses mul in a way that is not read",)
    assert abs(found.to_dense() - J).max() <= 1e-13 * abs(J).max()  # the same products, in another order
    assert found.to_sparse().nnz == np.count_nonzero(J)
    assert found.to_sparse().has_sorted_indices
    assert (found.active_inner, found.active_outer, found.factors) == (None, None, None)
    v, w = np.random.default_rng(0).standard_normal(J.shape[1]), np.random.default_rng(1).standard_normal(J.shape[0])
    assert np.allclose(found.matvec(v), J @ v, atol=1e-12)
    assert np.allclose(found.rmatvec(w), J.T @ w, atol=1e-12)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_all_methods_agree_on_units_that_can_be_read(index):
    torch.manual_seed(0)
    net = unroll(resnet(8, widths=(2, 4, 8)).eval(), np.zeros((1, 3, 16, 16)), dtype=torch.float64)
    x = net.stem(np.random.default_rng(0).standard_normal((1, 3, 16, 16)))
    for unit in net.units[:index]:
        x = unit(x)
    unit = net.units[index]
    for options in (
        {},
        {"reading": "before"},
        {"skip_scale": -0.5, "weight_scale": 2.0},
        {"skip_scale": -0.5, "weight_scale": 2.0, "masks": "recomputed"},
        {"skip_scale": 3.0, "reading": "before"},
    ):
        J = linearize(unit, x, method="factored", **options).to_dense()
        for method in ("coloured", "dense") if index < 2 else ("dense",):
            found = linearize(unit, x, method=method, **options)
            assert found.method == method
            assert abs(found.to_dense() - J).max() <= 1e-12 * abs(J).max()


def test_what_reaches_far_is_dense():
    torch.manual_seed(0)
    module, x = Squeezed().double(), torch.randn(2, 8, 8, dtype=torch.float64)
    found = linearize(module, x)
    J = autograd(module, x)
    assert found.method == "dense"
    assert "outputs depend on 8 × 8 pixels, which takes 128 directions for 128 variables" in found.notes[1]
    assert abs(found.to_dense() - J).max() <= 1e-13 * abs(J).max()
    with pytest.raises(ValueError, match="method 'coloured' does not apply to 'Squeezed': outputs depend on"):
        linearize(module, x, method="coloured")


def test_a_reach_that_was_not_seen_is_noticed():
    class Hidden(Gated):
        """One pixel depends on another far away, and none of those that are looked at."""

        def forward(self, x):
            y = torch.sigmoid(self.first(x)) * x
            return y + F.pad(x[:, :, :1, :1], (13, 2, 13, 2)) * y

    torch.manual_seed(0)
    module, x = Hidden().double(), torch.randn(2, 16, 16, dtype=torch.float64)
    found = linearize(module, x)
    assert found.method == "dense"
    assert "farther away than was seen" in found.notes[1]
    assert abs(found.to_dense() - autograd(module, x)).max() <= 1e-13


def test_fewer_outputs_than_inputs_by_rows():
    torch.manual_seed(0)
    module = nn.Sequential(Gated(), nn.Flatten(), nn.Linear(2 * 36, 3), nn.Softmax(1)).double()
    x = torch.randn(2, 6, 6, dtype=torch.float64)
    found = linearize(module, x)
    assert found.method == "dense"
    assert found.shape == (3, 72)
    assert abs(found.to_dense() - autograd(module, x)).max() <= 1e-15


def test_residual_layers_that_are_no_images():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True, norm_first=True).double().eval()
    x = torch.randn(3, 4, dtype=torch.float64)
    expected = torch.autograd.functional.jacobian(lambda v: layer(v[None])[0], x).reshape(12, 12).numpy()
    for state in (x, x[None]):
        found = linearize(layer, state)
        assert found.method == "dense"
        assert found.notes[1] == "not coloured: its states are no images"
        assert abs(found.to_dense() - expected).max() <= 1e-13


def test_an_unknown_addition_of_a_module_has_no_scales_by_probing():
    module, x = Squeezed().double(), np.random.default_rng(0).standard_normal((2, 5, 5))
    with pytest.raises(ValueError, match="the addition in 'Squeezed' is not known"):
        linearize(module, x, weight_scale=2)


def test_dense_units_of_other_kinds_with_scales():
    """A layer norm follows the addition: its Jacobian at the sum is no diagonal."""
    torch.manual_seed(0)
    block = ResidualBlock(nn.Sequential(nn.Linear(6, 6), nn.Softplus()), after=nn.LayerNorm(6)).double()
    x = torch.randn(6, dtype=torch.float64)
    with torch.no_grad():
        total, scaled = x + block.branch(x), 0.5 * x + 3 * block.branch(x)
    inner = 0.5 * np.eye(6) + 3 * torch.func.jacrev(block.branch)(x).detach().numpy()
    for masks, at in (("held", total), ("recomputed", scaled)):
        found = linearize(block, x, skip_scale=0.5, weight_scale=3, masks=masks)
        assert found.method == "dense"
        expected = torch.func.jacrev(block.after)(at).detach().numpy() @ inner
        assert abs(found.to_dense() - expected).max() <= 1e-13
    before = linearize(block, x, reading="before", skip_scale=0.5, weight_scale=3)
    assert abs(before.to_dense() - inner).max() <= 1e-13


def test_a_dense_jacobian_that_does_not_fit_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(_memory, "available_bytes", lambda: 1000)
    module, x = Squeezed().double(), torch.randn(2, 6, 6, dtype=torch.float64)
    with pytest.raises(MemoryError, match="the dense Jacobian of 'Squeezed', 72 × 72, needs 41472 bytes"):
        linearize(module, x)


def test_each_lattice_meets_each_window_once():
    for axis in (Axis(12, 12, 1, -2, 2), Axis(13, 7, 2, -1, 3), Axis(5, 5, 1, -4, 4), Axis(9, 3, 3, 0, 2)):
        seen, inside = axis.seen()
        for row, kept in zip(seen, inside, strict=True):
            assert len(set(row % axis.period)) == axis.period
            assert np.array_equal(kept, (row >= 0) & (row < axis.before))
