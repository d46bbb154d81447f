"""Small random units of every kind: values, counts and atoms against dense Jacobians by autograd, in double precision.

The references come from the modules themselves and LAPACK, and know nothing of factors.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d, pad, relu

from resdyn.networks import linearize, resnet, resnext
from resdyn.networks.linearization import inertia
from resdyn.networks.linearization.inertia import Counter

TOLERANCE = 1e-10
"""Of singular values of size up to about ten: LAPACK's own error is near 1e-14 of the largest."""
EQUAL = 1e-9
"""Values this near to an atom count as it; random values come that near to it with probability below 1e-6."""


@dataclass(frozen=True)
class Case:
    """How to make a unit, and a state of it.

    ``firing`` shifts the activations: at 0 half of the units fire. ``generic``: nothing makes ranks smaller than the
    masks do, so that atoms are as large as the theorem says.
    """

    make: Any
    shape: tuple[int, int, int]
    firing: float = 0.0
    seed: int = 0
    generic: bool = True
    options: dict[str, Any] = field(default_factory=dict)

    def built(self) -> tuple[nn.Module, np.ndarray]:
        """The unit in double precision, and the state."""
        torch.manual_seed(self.seed)
        unit = shaken(self.make(self.shape[0], **self.options), self.firing).double().eval()
        return unit, np.random.default_rng(self.seed).standard_normal(self.shape)


def shaken(unit: nn.Module, firing: float) -> nn.Module:
    """With batch norms as after training; their shifts make more or fewer units fire."""
    for module in unit.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, firing, 0.1)
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.normal_(module.bias, firing, 0.1)
    return unit


# --- units of our architectures, as they come out of a network ----------------------------------------


def ours(channels, *, unit, architecture=resnet, **options):
    """A unit of a network; ``channels`` follow from the widths."""
    return architecture(**options).units[unit]


# --- units as others write them ------------------------------------------------------------------------


class Written(nn.Module):
    """A unit in parts: after(skip_gain · skip(x) + branch_gain · branch(x))."""

    skip_gain, branch_gain = 1.0, 1.0

    def skip(self, x):
        return x

    def after(self, x):
        return x

    def forward(self, x):
        return self.after(self.skip_gain * self.skip(x) + self.branch_gain * self.branch(x))


class Functional(Written):
    """Post-activation; convolutions with biases, no batch norm; any kernel and dilation."""

    def __init__(self, channels, inside=None, kernel=3, dilation=1, groups=1, gain=1.0):
        super().__init__()
        inside, self.skip_gain = inside or channels, gain
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        around = (dilation * (height - 1) // 2, dilation * (width - 1) // 2)
        self.first = nn.Conv2d(channels, inside, kernel, padding=around, dilation=dilation, groups=groups)
        self.second = nn.Conv2d(inside, channels, kernel, padding=around, dilation=dilation, groups=groups)

    def branch(self, x):
        return self.second(relu(self.first(x)))

    def after(self, x):
        return relu(x)


class Preactivated(Written):
    """Batch norm and ReLU before each convolution, and nothing after the addition."""

    def __init__(self, channels, inside=None, gain=1.0):
        super().__init__()
        inside, self.skip_gain = inside or channels, gain
        self.layers = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, inside, 3, padding=1, bias=False),
            nn.BatchNorm2d(inside), nn.ReLU(), nn.Conv2d(inside, channels, 3, padding=1, bias=False),
        )  # fmt: skip

    def branch(self, x):
        return self.layers(x)


class Bottleneck(Written):
    """1×1, 3×3, 1×1, with groups in the middle and in-place activations."""

    def __init__(self, channels, inside, groups=1, stride=1):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, inside, 1, bias=False), nn.BatchNorm2d(inside), nn.ReLU(inplace=True),
            nn.Conv2d(inside, inside, 3, stride, 1, groups=groups, bias=False), nn.BatchNorm2d(inside),
            nn.ReLU(inplace=True), nn.Conv2d(inside, channels * stride, 1, bias=False),
            nn.BatchNorm2d(channels * stride),
        )  # fmt: skip
        self.projection = nn.Identity()
        if stride > 1:
            convolution = nn.Conv2d(channels, channels * stride, 1, stride, bias=False)
            self.projection = nn.Sequential(convolution, nn.BatchNorm2d(channels * stride))
        self.last = nn.ReLU()

    def skip(self, x):
        return self.projection(x)

    def branch(self, x):
        return self.layers(x)

    def after(self, x):
        return self.last(x)


class Downsampling(Written):
    """Half the pixels and twice the channels: by option A, or by average pooling and zeros."""

    def __init__(self, channels, shortcut="option A"):
        super().__init__()
        self.shortcut, self.channels = shortcut, channels
        self.first, self.second = (
            nn.Conv2d(channels, 2 * channels, 3, 2, 1),
            nn.Conv2d(2 * channels, 2 * channels, 3, 1, 1),
        )
        self.norm = nn.BatchNorm2d(2 * channels)

    def skip(self, x):
        small = x[:, :, ::2, ::2] if self.shortcut == "option A" else avg_pool2d(x, 2, ceil_mode=False)
        below = self.channels // 2
        return pad(small, (0, 0, 0, 0, below, self.channels - below))

    def branch(self, x):
        return self.norm(self.second(relu(self.first(x))))

    def after(self, x):
        return relu(x)


class Flawed(Written):
    """Channels that never fire, copies of channels, or copies of filters: ranks below what the masks allow."""

    def __init__(self, channels, flaw):
        super().__init__()
        first, second = torch.randn(channels, channels, 3, 3), torch.randn(channels, channels, 3, 3)
        shift = torch.zeros(channels)
        if flaw == "dead":
            shift[0] = -1e3
        if flaw == "copied":
            first[1] = first[0]
        if flaw == "equal filters":
            first[1], second[:, 1] = first[0], 2 * second[:, 0]
        if flaw == "cancelling":
            first[1], second[:, 1] = first[0], -second[:, 0]
        if flaw == "silent":
            second[:] = 0
        scale = (9 * channels) ** -0.5
        self.first, self.second, self.shift = (nn.Parameter(t) for t in (first * scale, second * scale, shift))

    def branch(self, x):
        return conv2d(relu(conv2d(x, self.first, self.shift, padding=1)), self.second, padding=1)

    def after(self, x):
        return relu(x)


# --- cases --------------------------------------------------------------------------------------------

SMALL = {"depth": 8, "widths": (4, 8, 12)}
CASES = {
    # post-activation, identity: p from 0 to n
    **{f"post, firing {firing}": Case(Functional, (4, 6, 5), firing, options={"inside": 5})
       for firing in (-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 4.0)},
    "post, one inner channel": Case(Functional, (4, 7, 5), options={"inside": 1}),
    "post, one pixel": Case(Functional, (6, 1, 1)),
    "post, one row": Case(Functional, (3, 1, 14), -0.3),
    "post, wide": Case(Functional, (2, 5, 9), -0.5, options={"inside": 12}),
    "post, 5×5 kernels": Case(Functional, (2, 7, 6), -0.4, options={"kernel": 5}),
    "post, 1×3 kernels": Case(Functional, (3, 5, 6), -0.4, options={"kernel": (1, 3)}),
    "post, 1×1 kernels": Case(Functional, (5, 4, 4), -0.6, options={"kernel": 1}),
    "post, dilated": Case(Functional, (3, 7, 6), -0.4, options={"dilation": 2}),
    "post, grouped": Case(Functional, (4, 6, 5), -0.4, options={"groups": 2}),
    "post, depthwise": Case(Functional, (4, 6, 5), -0.4, options={"groups": 4}),
    # so large, and so many units at a pixel, that counts are by inertia and products by dense blocks
    "post, many channels": Case(Functional, (24, 5, 5), -0.5, options={"inside": 24}),
    # gains of the skip path
    **{f"post, a = {gain}": Case(Functional, (4, 5, 6), -0.6, options={"gain": gain}) for gain in (0.3, 2.0, -0.7)},
    "post, a = 0": Case(Functional, (4, 5, 6), -0.6, options={"gain": 0.0}, generic=False),
    **{f"pre, a = {gain}": Case(Preactivated, (4, 5, 6), -0.6, options={"gain": gain}) for gain in (1.0, 0.4, -1.0)},
    "pre, a = 0": Case(Preactivated, (4, 5, 6), -0.6, options={"gain": 0.0}, generic=False),
    **{f"pre, firing {firing}": Case(Preactivated, (4, 6, 5), firing, generic=False) for firing in (-2.0, 0.0, 3.0)},
    "pre, narrow": Case(Preactivated, (6, 5, 5), 0.5, options={"inside": 2}),
    # bottlenecks
    "bottleneck": Case(Bottleneck, (8, 5, 4), options={"inside": 2}, generic=False),
    "bottleneck, firing": Case(Bottleneck, (8, 5, 4), 2.0, options={"inside": 2}, generic=False),
    "bottleneck, grouped": Case(Bottleneck, (8, 4, 5), options={"inside": 4, "groups": 2}, generic=False),
    "bottleneck, strided": Case(Bottleneck, (4, 6, 6), options={"inside": 4, "stride": 2}, generic=False),
    # other shapes after than before
    **{f"option A, firing {firing}": Case(Downsampling, (4, 8, 6), firing, generic=False)
       for firing in (-1.0, 0.0, 1.0)},
    "average pooling": Case(Downsampling, (3, 6, 8), -0.3, options={"shortcut": "pooling"}, generic=False),
    # ranks below what the masks allow
    **{flaw: Case(Flawed, (4, 6, 5), options={"flaw": flaw}, generic=False)
       for flaw in ("dead", "copied", "equal filters", "cancelling", "silent")},
    # our architectures
    **{f"resnet, unit {k}": Case(ours, shape, -0.2, generic=False, options={"unit": k, **SMALL})
       for k, shape in enumerate([(4, 8, 8), (4, 8, 8), (8, 4, 4)])},
    **{f"projections, unit {k}": Case(ours, shape, generic=False, options={
        "unit": k, "shortcut": "projection", **SMALL})
       for k, shape in enumerate([(4, 8, 6), (4, 8, 6), (8, 4, 3)])},
    **{f"pre-activation resnet, unit {k}": Case(ours, shape, generic=False, options={
        "unit": k, "order": "pre", **SMALL})
       for k, shape in enumerate([(4, 8, 6), (4, 8, 6), (8, 4, 3)])},
    **{f"{kind}-resnet, λ = {value}": Case(ours, (4, 8, 6), -0.3, generic=False, options={
        "unit": 1, "interpolation": kind, "coefficient": value, "depth": 14, "widths": (4, 8, 12)})
       for kind in ("in", "lambda-in") for value in (0.4, 1.0, 1.5)},
    "resnet of bottlenecks": Case(
        ours, (8, 6, 6), generic=False, options={"unit": 1, "bottleneck": True, "depth": 20, "widths": (2, 4, 6)}),
    "resnext": Case(ours, (8, 6, 6), generic=False, options={
        "unit": 1, "architecture": resnext, "depth": 20, "cardinality": 2, "width": 2, "outside": (8, 12, 16)}),
    **{f"seed {seed}": Case(Functional, (3, 6, 6), -0.7 + 0.1 * seed, seed) for seed in range(1, 6)},
}  # fmt: skip


# --- references ---------------------------------------------------------------------------------------


def parts(unit):
    """Skip path and branch, each with its gain, and what follows their sum."""
    if isinstance(unit, Written):
        return (lambda x: unit.skip_gain * unit.skip(x)), (lambda x: unit.branch_gain * unit.branch(x)), unit.after
    a, b = unit.gains()
    return (lambda x: a * unit.shortcut(x)), (lambda x: b * unit.branch(x)), unit.after


def jacobian(function, x):
    """Dense, on flattened states."""
    derivative = torch.func.jacrev(lambda flat: function(flat.reshape(1, *x.shape)).reshape(-1))
    return derivative(x.reshape(-1)).detach().numpy()


@cache
def references(name):
    """Unit, state, and the Jacobians of skip path, branch, and of what follows the addition."""
    unit, state = CASES[name].built()
    x = torch.from_numpy(state)
    skip, branch, after = parts(unit)
    with torch.no_grad():
        total = (skip(x[None].clone()) + branch(x[None].clone()))[0]
    return unit, state, jacobian(skip, x), jacobian(branch, x), jacobian(after, total)


@cache
def dense(name, reading, alpha=1.0, beta=1.0):
    """D (α a S + β U V) and its singular values."""
    _, _, skip, branch, after = references(name)
    matrix = alpha * skip + beta * branch
    matrix = after @ matrix if reading == "after" else matrix
    return matrix, np.linalg.svd(matrix, compute_uv=False)


@cache
def linearized(name, reading, **scales):
    unit, state, *_ = references(name)
    return linearize(unit, state, reading=reading, **scales)


def thresholds(values, count=20):
    """Between neighbouring values that are not equal, and beyond both ends; the nearest pairs among them."""
    distinct = np.unique(np.concatenate([[0.0], values, [values.max() + 1]]))
    gaps = np.diff(distinct)
    between = ((distinct[1:] + distinct[:-1]) / 2)[gaps > 2e-8]
    return between[np.unique(np.linspace(0, len(between) - 1, count).round().astype(int))]


@pytest.fixture(params=CASES)
def name(request):
    return request.param


@pytest.fixture(params=["after", "before"])
def reading(request):
    return request.param


# --- facts --------------------------------------------------------------------------------------------


def test_there_are_cases_of_every_kind():
    assert len(CASES) >= 50
    for firing, low, high in ((-3.0, 0.0, 0.1), (4.0, 0.9, 1.0)):
        factors = linearized(f"post, firing {firing}", "after").factors
        assert low <= np.mean(factors.inner[0] != 0) <= high


def test_singular_values_are_those_of_the_dense_jacobian(name, reading):
    matrix, values = dense(name, reading)
    found = linearized(name, reading)
    assert np.allclose(found.to_dense(), matrix, rtol=0, atol=1e-12)
    assert np.allclose(found.to_sparse().toarray(), matrix, rtol=0, atol=1e-12)
    ours = found.singular_values()
    assert ours.shape == values.shape
    assert (np.diff(ours) <= 0).all()
    assert np.abs(ours - values).max() <= TOLERANCE


def test_counts_have_no_error(name, reading):
    values = dense(name, reading)[1]
    for t in thresholds(values):
        assert linearized(name, reading).count_above(t) == (values > t).sum()


@pytest.fixture
def by_inertia(monkeypatch):
    """Small Jacobians, of which all singular values would be computed, are counted as large ones are."""
    monkeypatch.setattr(inertia, "SMALL", 0)
    return lambda found: Counter(found.factors, None if found.factors is not None else found.to_sparse())


def test_counts_by_inertia_have_no_error(name, reading, by_inertia):
    values = dense(name, reading)[1]
    counter = by_inertia(linearized(name, reading))
    for t in thresholds(values):
        assert counter.count_above(t) == (values > t).sum()
    for width in (1e-6, 1e-3, 0.1):
        distance = np.abs(values - 1)
        if np.abs(distance - width).min() > EQUAL:
            assert counter.count_within(1, width) == (distance <= width).sum()
    assert counter._pencil is not None


def test_fractions_near_one_have_no_error(name, reading):
    values = dense(name, reading)[1]
    for width in (1e-6, 1e-3, 0.1):
        distance = np.abs(values - 1)
        if np.abs(distance - width).min() > EQUAL:
            assert linearized(name, reading).fraction_within(1, width) == np.mean(distance <= width)


def test_atoms_are_values_that_are_there_as_often(name, reading):
    values = dense(name, reading)[1]
    for value, multiplicity in linearized(name, reading).atoms:
        there = int((np.abs(values - value) <= EQUAL).sum())
        assert 0 < multiplicity <= there
        if CASES[name].generic:
            assert multiplicity == there


GENERIC = [name for name, case in CASES.items() if case.generic]


@pytest.mark.parametrize("name", GENERIC)
def test_values_that_occur_twice_are_atoms(name, reading):
    """In general position what is not forced happens once."""
    values = dense(name, reading)[1]
    repeated = values[:-1][-np.diff(values) <= EQUAL]
    known = np.array([atom.value for atom in linearized(name, reading).atoms])
    for value in repeated:
        assert known.size
        assert np.abs(known - value).min() <= EQUAL


@pytest.mark.parametrize("name", GENERIC)
def test_the_rank_theorem(name, reading):
    """|a| occurs s − rank [V_S^T, U_S] times, hence s − 2p times or more; p is the rank of the branch."""
    found = linearized(name, reading)
    values, factors = dense(name, reading)[1], found.factors
    assert found.method == "factored"
    assert factors.skip is None
    branch = dense(name, reading, 0.0, 1.0)[0]
    assert found.rank == np.linalg.matrix_rank(branch, tol=1e-10)
    both = np.hstack([factors.V.toarray().T[factors.rows], factors.U.toarray()[factors.rows]])
    forced = found.active_outer - np.linalg.matrix_rank(both, tol=1e-10)
    assert forced >= found.active_outer - 2 * found.active_inner
    assert (np.abs(values - abs(factors.a)) <= EQUAL).sum() == forced
    assert sum(atom.multiplicity for atom in found.atoms if abs(atom.value - abs(factors.a)) <= EQUAL) == forced


SCALED = ["post, firing -0.5", "post, a = -0.7", "pre, a = 0.4", "option A, firing 0.0", "bottleneck, strided",
          "in-resnet, λ = 0.4", "pre-activation resnet, unit 1", "average pooling"]  # fmt: skip


@pytest.mark.parametrize("name", SCALED)
@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 1.0), (1.0, 3.0), (-1.0, 2.0), (0.0, 1.0), (1.0, 0.0)])
def test_scales_are_factors_of_the_paths(name, reading, alpha, beta):
    found = linearized(name, reading, skip_scale=alpha, weight_scale=beta)
    matrix, values = dense(name, reading, alpha, beta)
    assert np.allclose(found.to_dense(), matrix, rtol=0, atol=1e-12)
    assert np.abs(found.singular_values() - values).max() <= TOLERANCE
    for t in thresholds(values, 5):
        assert found.count_above(t) == (values > t).sum()


@pytest.mark.parametrize("name", SCALED)
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1e3), (1.0, 1e6), (1e-3, 1.0), (-1e-5, 1.0)])
def test_counts_by_inertia_have_no_error_for_paths_of_very_different_sizes(name, reading, alpha, beta, by_inertia):
    counter = by_inertia(linearized(name, reading, skip_scale=alpha, weight_scale=beta))
    values = dense(name, reading, alpha, beta)[1]
    distinct = np.unique(values)
    gaps = np.diff(distinct)
    # values are exact to 1e-10 of the largest, and counts tell values that are 1e-9 apart
    apart = np.flatnonzero((gaps > 1e-9 * distinct[-1]) & (gaps > 1e-7 * distinct[1:]))
    for i in apart[:: max(1, len(apart) // 8)]:
        t = (distinct[i] + distinct[i + 1]) / 2
        assert counter.count_above(t) == (values > t).sum()


@pytest.mark.parametrize("name", SCALED)
def test_recomputed_masks_are_those_of_the_scaled_unit(name):
    unit, state, skip, branch, _ = references(name)
    of_skip, of_branch, after = parts(unit)
    x = torch.from_numpy(state)
    with torch.no_grad():
        total = (0.5 * of_skip(x[None].clone()) + 2.0 * of_branch(x[None].clone()))[0]
    matrix = jacobian(after, total) @ (0.5 * skip + 2.0 * branch)
    found = linearized(name, "after", skip_scale=0.5, weight_scale=2.0, masks="recomputed")
    assert np.allclose(found.to_dense(), matrix, rtol=0, atol=1e-12)
    assert np.abs(found.singular_values() - np.linalg.svd(matrix, compute_uv=False)).max() <= TOLERANCE
