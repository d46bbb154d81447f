"""Units in many styles of writing, read off one run: factors against the dense Jacobian by autograd."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from resdyn.networks import linearize

torch.set_num_threads(1)


def dense_jacobian(module, x):
    """By autograd, of a module in double precision."""
    with torch.no_grad():
        shape = module(x[None].clone())[0].shape
    J = torch.func.jacrev(lambda v: module(v[None].clone())[0])(x)
    return J.reshape(shape.numel(), x.numel()).detach().numpy()


def shaken(module, rng):
    """In double precision and evaluation mode, with statistics of batch norms as after training."""
    torch.manual_seed(int(rng.integers(2**31)))
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 1.5)
            if part.affine:
                nn.init.uniform_(part.weight, -1.5, 1.5)
                nn.init.normal_(part.bias)
    return module.double().eval()


class Branch(nn.Module):
    """What the units below have in common: two convolutions and their norms."""

    def __init__(self, channels=3, inside=4, after=None, stride=1, **options):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inside, 3, stride, 1, **options)
        self.conv2 = nn.Conv2d(inside, after or channels, 3, 1, 1)
        self.bn1, self.bn2 = nn.BatchNorm2d(inside), nn.BatchNorm2d(after or channels)
        self.relu = nn.ReLU(inplace=True)
        self.gain = nn.Parameter(torch.tensor(0.7))
        self.gains = nn.Parameter(torch.randn(1, after or channels, 1, 1))


class InPlace(Branch):
    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += x
        return self.relu(y)


class Functional(Branch):
    def forward(self, x):
        y = F.batch_norm(self.conv1(x), self.bn1.running_mean, self.bn1.running_var, self.bn1.weight, self.bn1.bias)
        y = F.conv2d(F.relu(y), self.conv2.weight, padding=1)
        return F.relu(torch.add(x, y, alpha=0.5))


class Subtracted(Branch):
    def forward(self, x):
        return F.leaky_relu(x - self.conv2(F.gelu(self.conv1(x))), 0.1)


class ReversedSubtraction(Branch):
    def forward(self, x):
        return torch.rsub(x, self.conv2(F.elu(self.conv1(x))), alpha=2).tanh()


class Preactivated(Branch):
    def __init__(self, **options):
        super().__init__(**options)
        self.bn1, self.bn2 = nn.BatchNorm2d(self.conv1.in_channels), nn.BatchNorm2d(self.conv1.out_channels)

    def forward(self, x):
        return self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x)))))) + x


class OverwritesItsInput(Branch):
    def forward(self, x):
        return x + self.conv2(F.relu(self.conv1(F.relu_(x))))


class OptionA(Branch):
    def __init__(self):
        super().__init__(3, 5, 6, 2)

    def forward(self, x):
        skip = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 2), "constant", 0.0)
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + skip)


class OptionAByConcatenation(OptionA):
    def forward(self, x):
        y = self.conv2(F.relu(self.conv1(x)))
        return torch.relu(y + torch.cat([F.max_pool2d(x, 1, 2), torch.ones_like(y[:, 3:])], 1))


class AveragedShortcut(OptionA):
    def __init__(self):
        super().__init__()
        self.project = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(3, 6, 1, bias=False), nn.BatchNorm2d(6))

    def forward(self, x):
        return F.relu(self.project(x) + self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))


class PreactivatedProjection(OptionA):
    def __init__(self):
        super().__init__()
        self.project = nn.Conv2d(3, 6, 1, 2)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        y = F.relu(self.norm(x))
        return self.conv2(F.relu(self.conv1(y))) + self.project(y)


class Bottleneck(nn.Module):
    def __init__(self, groups=1, stride=1, after=8):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(8, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
            nn.Conv2d(4, 4, 3, stride, 1, groups=groups), nn.BatchNorm2d(4), nn.ReLU(inplace=True),
            nn.Conv2d(4, after, 1), nn.BatchNorm2d(after),
        )  # fmt: skip
        self.short = nn.Sequential(nn.Conv2d(8, after, 1, stride), nn.BatchNorm2d(after)) if stride > 1 else None

    def forward(self, x):
        return F.relu((x if self.short is None else self.short(x)) + self.body(x))


class LearnedGains(Branch):
    def forward(self, x):
        return F.relu((1 - self.gain) * x + self.gains * self.conv2(F.silu(self.conv1(x))) / 2)


class OwnActivation(Branch):
    """Activations by hand: several operations on one value, which is no second path."""

    def forward(self, x):
        y = self.bn1(self.conv1(x))
        y = y * torch.sigmoid(1.7 * y)
        y = x + self.conv2(y)
        return 0.5 * y * (1 + torch.erf(y / 2**0.5))


class OwnActivationFirst(Branch):
    def forward(self, x):
        y = 0.5 * x * (1 + torch.tanh(0.8 * (x + 0.04 * x**3)))
        return x + self.conv2(F.mish(self.conv1(y)))


class NoAddition(Branch):
    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.hardswish(self.conv1(x)))))


class NoBranchNorm(Branch):
    def forward(self, x):
        return x + self.conv1.weight.sum() * F.dropout(x, 0.5, self.training)


class Permuted(nn.Module):
    """As in ConvNeXt, without its norm: linear layers on channels that stand last."""

    def __init__(self):
        super().__init__()
        self.depthwise = nn.Conv2d(4, 4, 7, padding=3, groups=4)
        self.wide, self.narrow = nn.Linear(4, 6), nn.Linear(6, 4)

    def forward(self, x):
        y = self.depthwise(x).permute(0, 2, 3, 1)
        return x + self.narrow(F.gelu(self.wide(y))).permute(0, 3, 1, 2)


class Shuffled(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 4, 1, groups=2), nn.Conv2d(4, 4, 3, padding="same", dilation=2)

    def forward(self, x):
        y = F.relu6(self.first(x)).view(1, 2, 2, 6, 5).transpose(1, 2).reshape(1, 4, 6, 5)
        return F.hardtanh(self.second(F.prelu(y, torch.full((1,), 0.2).double())) + x)


class OneDimensional(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv1d(3, 4, 3, padding=1), nn.BatchNorm1d(4)
        self.second = nn.Conv1d(4, 3, 5, padding=2)

    def forward(self, x):
        return F.softplus(x + self.second(F.relu(self.norm(self.first(x)))))


class DenseUnit(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(7, 9), nn.BatchNorm1d(9), nn.Linear(9, 7)

    def forward(self, x):
        return x + self.second(F.relu(self.norm(self.first(x))))


IMAGE, EIGHT, FOUR = (3, 6, 5), (8, 6, 6), (4, 6, 5)
KINDS = {
    "in place": (InPlace, IMAGE),
    "functional": (Functional, IMAGE),
    "grouped, dilated": (lambda: InPlace(4, 6, groups=2), FOUR),
    "subtracted": (Subtracted, IMAGE),
    "reversed subtraction": (ReversedSubtraction, IMAGE),
    "pre-activation": (Preactivated, IMAGE),
    "overwrites its input": (OverwritesItsInput, IMAGE),
    "option A": (OptionA, (3, 6, 6)),
    "option A, odd sizes": (OptionA, (3, 7, 5)),
    "option A by concatenation": (OptionAByConcatenation, (3, 6, 6)),
    "averaged shortcut": (AveragedShortcut, (3, 6, 6)),
    "pre-activation projection": (PreactivatedProjection, (3, 6, 6)),
    "bottleneck": (Bottleneck, EIGHT),
    "grouped bottleneck": (lambda: Bottleneck(groups=4), EIGHT),
    "bottleneck, stride 2": (lambda: Bottleneck(2, 2, 6), EIGHT),
    "learned gains": (LearnedGains, IMAGE),
    "own activation": (OwnActivation, IMAGE),
    "own activation first": (OwnActivationFirst, IMAGE),
    "no addition": (NoAddition, IMAGE),
    "no layer": (NoBranchNorm, IMAGE),
    "permuted": (Permuted, FOUR),
    "shuffled": (Shuffled, FOUR),
    "one axis": (OneDimensional, (3, 9)),
    "dense": (DenseUnit, (7,)),
}


def made(name, seed=0):
    rng = np.random.default_rng([seed, sorted(KINDS).index(name)])
    make, shape = KINDS[name]
    torch.manual_seed(int(rng.integers(2**31)))
    return shaken(make(), rng), torch.from_numpy(rng.standard_normal(shape))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", KINDS)
def test_the_factors_are_those_of_the_jacobian(name, seed):
    module, x = made(name, seed)
    linearized = linearize(module, x, method="factored")
    J = dense_jacobian(module, x)
    assert linearized.method == "factored"
    # rounding of sums of some hundred products
    assert abs(linearized.to_dense() - J).max() <= 1e-12 * abs(J).max()
    F_ = linearized.factors
    S = np.eye(*F_.shape) if F_.skip is None else F_.skip.toarray()
    assert abs(F_.outer[:, None] * (F_.a * S + F_.U.toarray() @ F_.V.toarray()) - J).max() <= 1e-12 * abs(J).max()
    assert F_.U.format == "csc"
    assert F_.V.format == "csr"
    assert F_.place.shape == (F_.p,)
    if F_.inner:
        assert F_.p <= min(np.count_nonzero(inner) for inner in F_.inner) * 1.1  # a cut with less reach may have more


@pytest.mark.parametrize("name", KINDS)
def test_auto_finds_the_same(name):
    module, x = made(name)
    linearized = linearize(module, x)
    J = dense_jacobian(module, x)
    assert linearized.method in ("factored", "closed form")
    assert linearized.notes == ()
    assert abs(linearized.to_dense() - J).max() <= 1e-12 * abs(J).max()


def test_the_skip_path_is_told_from_the_branch():
    a = {name: linearize(*made(name), method="factored").factors for name in KINDS}
    gain = made("learned gains")[0].gain.item()
    assert a["learned gains"].a == pytest.approx(1 - gain, rel=1e-15)
    assert a["reversed subtraction"].a == -2
    for name in ("in place", "functional", "bottleneck", "permuted", "dense"):
        assert (a[name].a, a[name].skip) == (1, None)
    for name in ("option A", "option A by concatenation"):
        assert set(a[name].skip.data) == {1}
        assert a[name].skip.nnz == 3 * 9  # each channel at every second pixel
    assert a["averaged shortcut"].a == 1
    assert a["averaged shortcut"].skip.nnz == 6 * 9 * 3 * 4
    assert a["no addition"].a == 0
    assert a["no addition"].skip.nnz == 0


def test_the_branch_is_cut_where_fewest_are_active():
    module, x = made("bottleneck")
    found = linearize(module, x)
    with torch.no_grad():
        first = F.relu(module.body[1](module.body[0](x[None])))
        second = module.body[4](module.body[3](first))
    counts = [int((first > 0).sum()), int((second > 0).sum())]
    assert [np.count_nonzero(inner) for inner in found.factors.inner] == counts
    assert [inner.shape for inner in found.factors.inner] == [(4, 6, 6), (4, 6, 6)]
    assert found.active_inner in counts
    assert found.active_inner <= 1.1 * min(counts)
    assert found.active_outer == int((module(x[None]) > 0).sum())
    # the units are numbered from pixel to pixel
    active = np.flatnonzero(found.factors.inner[counts.index(found.active_inner)])
    assert np.array_equal(found.factors.place, active % 36)


def test_a_narrow_preactivation_is_cut_before_its_first_layer():
    module, x = made("pre-activation")
    with torch.no_grad():
        module.bn1.bias -= 1.5  # few inputs pass
    found = linearize(module, x)
    passing = module.bn1(x[None]) > 0
    assert found.active_inner == int(passing.sum())
    assert np.array_equal(found.factors.inner[0] > 0, passing[0].numpy())
    J = dense_jacobian(module, x)
    assert abs(found.to_dense() - J).max() <= 1e-12 * abs(J).max()


def test_of_equal_cuts_the_one_between_two_layers_is_taken():
    """Where all units are active, so that factors and their products look no farther than one layer each."""

    class Leaky(Preactivated):
        def forward(self, x):
            return x + self.conv2(F.leaky_relu(self.conv1(F.leaky_relu(x))))

    rng = np.random.default_rng(0)
    module, x = shaken(Leaky(inside=3), rng), torch.from_numpy(rng.standard_normal(IMAGE))
    factors = linearize(module, x).factors
    assert factors.p == x.numel()
    assert max(np.diff(factors.V.indptr)) == max(np.diff(factors.U.indptr)) == 3 * 9


@pytest.mark.parametrize("shift", [-30.0, 30.0])
def test_none_active_and_all_active(shift):
    module, x = made("in place")
    with torch.no_grad():
        module.bn1.bias += shift
    found = linearize(module, x)
    # there are fewer outputs than inner units, so that nothing is gained by a cut between the layers
    assert found.active_inner == (0 if shift < 0 else 3 * 6 * 5)
    J = dense_jacobian(module, x)
    assert abs(found.to_dense() - J).max() <= 1e-12 * abs(J).max()


def test_a_relu_at_zero_has_the_derivative_zero_as_in_torch():
    module, x = made("in place")
    with torch.no_grad():
        module.conv2.weight.zero_()
        module.conv2.bias.zero_()
        module.bn2.running_mean.zero_()
        module.bn2.bias.zero_()
        x[0] = 0
    found = linearize(module, x)
    assert (found.factors.outer.reshape(x.shape)[0] == 0).all()
    assert abs(found.to_dense() - dense_jacobian(module, x)).max() == 0


class Gate(Branch):
    def forward(self, x):
        return x + torch.sigmoid(self.conv1(x)).mean(1, keepdim=True) * self.conv2(F.relu(self.conv1(x)))


class TwoAdditions(Branch):
    def forward(self, x):
        y = self.conv1(x)
        return x + self.conv2(y + F.relu(self.bn1(self.conv1(2 * x))))


class Normalised(Branch):
    def forward(self, x):
        return x + self.conv2(F.group_norm(self.conv1(x), 2))


class ThroughAView(Branch):
    def forward(self, x):
        y = torch.zeros_like(x)
        y[:, 1:] = x[:, :-1]
        return x + self.conv2(F.relu(self.conv1(y)))


class WritesIntoAView(Branch):
    def forward(self, x):
        y = self.conv1(x)
        F.relu_(y.flatten())
        return x + self.conv2(y)


class Attention(Branch):
    def forward(self, x):
        y = x.flatten(2)
        return x + (torch.softmax(y @ y.mT, -1) @ y).view(x.shape)


class PooledAfterwards(Branch):
    def forward(self, x):
        return F.avg_pool2d(F.relu(x + self.conv2(F.relu(self.conv1(x)))), 2)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Gate, "uses mul"),
        (TwoAdditions, "more than one addition"),
        (Normalised, "uses native_group_norm"),
        (ThroughAView, "writes values into a constant"),
        (WritesIntoAView, "writes through a view"),
        (Attention, "uses bmm"),
        (PooledAfterwards, "a layer follows its addition"),
    ],
)
def test_what_cannot_be_read_is_found_otherwise_and_the_reason_is_kept(make, reason):
    rng = np.random.default_rng(0)
    module, x = shaken(make(), rng), torch.from_numpy(rng.standard_normal((3, 6, 6)))
    with pytest.raises(ValueError, match=reason):
        linearize(module, x, method="factored")
    found = linearize(module, x)
    assert found.method in ("coloured", "dense")
    assert found.factors is found.active_inner is found.active_outer is None
    assert "not factored" in found.notes[0]
    J = dense_jacobian(module, x)
    assert abs(found.to_dense() - J).max() <= 1e-12 * abs(J).max()
