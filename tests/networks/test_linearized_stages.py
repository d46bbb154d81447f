"""Jacobians of stages and networks: against products of blocks, autograd and torch's own Jacobians."""

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy import sparse

import resdyn
from resdyn.networks import linearize, load, resnet, unroll
from resdyn.networks.linearization import Factors, LinearizedNetwork, LinearizedStage, LinearizedUnit
from resdyn.networks.linearization.stages import singular_values_of_wide


@pytest.fixture(scope="module")
def network():
    network = unroll(load("resnet20-digits-seed0"), np.zeros((1, 1, 8, 8)), dtype=torch.float64)
    # the first dual numbers make torch compile rules, by means that it deprecates; here they come without a warning
    unit = network.units[0]
    unit.jvp(np.zeros((1, *unit.shape_before)), np.zeros((1, *unit.shape_before)))
    return network


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).standard_normal((1, 8, 8))


@pytest.fixture(scope="module")
def stages(network, image):
    state, found = network.stem(image[None])[0], []
    for stage in network.stages:
        found.append((stage, state, linearize(stage, state)))
        state = stage(state[None])[0]
    return found


def part(n, m, seed, *, kept=1.0, factored=False, name="part"):
    """A random part of a chain, of whose outputs a share does not depend on anything."""
    rng = np.random.default_rng(seed)
    outer = (rng.random(n) < kept).astype(float)
    options = {"reading": "after", "skip_scale": 1.0, "weight_scale": 1.0, "masks": "held"}
    if not factored:
        matrix = outer[:, None] * rng.standard_normal((n, m)) / np.sqrt(m)
        return LinearizedUnit(name, np.zeros(m), shape_after=(n,), method="dense", matrix=matrix, **options)
    p = m // 4
    scale = 1 / np.sqrt(m)

    def entries(size):
        return scale * rng.standard_normal(size)

    U, V = (sparse.random_array(shape, density=0.3, rng=rng, data_sampler=entries) for shape in ((n, p), (p, m)))
    skip = None if n == m else sparse.random_array((n, m), density=0.1, rng=rng, data_sampler=entries).tocsr()
    factors = Factors(0.9, skip, U.tocsc(), V.tocsr(), outer, (), np.arange(p))
    return LinearizedUnit(name, np.zeros(m), shape_after=(n,), method="factored", factors=factors, **options)


CHAINS = {
    "square": [(30, 30, 1.0, True)] * 3,
    "masked": [(40, 40, 0.5, True), (40, 40, 0.7, True), (40, 40, 0.6, True)],
    "narrow in the middle": [(40, 30, 0.9, True), (40, 40, 0.2, True), (35, 40, 0.9, False)],
    "narrow at the end": [(40, 50, 0.9, True), (30, 40, 0.9, True), (4, 30, 1.0, False)],
    "narrow at the beginning": [(40, 5, 1.0, False), (40, 40, 0.9, True)],
    "nothing": [(20, 20, 0.0, True), (20, 20, 0.8, True)],
    "many": [(150, 150, 0.9, True), (150, 150, 0.7, False), (120, 150, 0.9, True)],
    "one": [(12, 20, 0.7, True)],
}


@pytest.fixture(params=CHAINS)
def chain(request):
    parts = [part(n, m, i, kept=kept, factored=f) for i, (n, m, kept, f) in enumerate(CHAINS[request.param])]
    return LinearizedStage(request.param, parts)


def product(chain):
    matrix = np.eye(chain.shape[1])
    for unit in chain.parts:
        matrix = unit.to_dense() @ matrix
    return matrix


def test_a_chain_is_the_product_of_its_parts(chain):
    J = product(chain)
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((chain.shape[1], 3)), rng.standard_normal((chain.shape[0], 3))
    assert np.allclose(chain.to_dense(), J, atol=1e-13)
    assert np.allclose(chain @ x, J @ x, atol=1e-12)
    assert np.allclose(chain.matvec(x[:, 0]), J @ x[:, 0], atol=1e-12)
    assert np.allclose(chain.rmatvec(y[:, 0]), J.T @ y[:, 0], atol=1e-12)
    assert np.allclose(chain.rmatmat(y), J.T @ y, atol=1e-12)
    for transposed in (chain.T, chain.H, chain.adjoint()):
        assert transposed.shape == chain.shape[::-1]
        assert np.allclose(transposed @ y, J.T @ y, atol=1e-12)
    assert np.allclose(chain.T.to_dense(), J.T, atol=1e-13)
    assert chain.T.T is chain


def test_singular_values_of_a_chain_are_those_of_the_dense_product(chain):
    J = product(chain)
    values = scipy.linalg.svdvals(J)
    found = chain.singular_values()
    assert found.shape == (min(chain.shape),)
    assert (np.diff(found) <= 0).all()
    assert np.abs(found - values).max() <= 1e-10 * max(values[0], 1e-300)
    assert np.linalg.matrix_rank(J) <= chain.rank_bound
    assert (found[chain.rank_bound :] == 0).all()


def test_the_rank_bound_is_the_narrowest_place(chain):
    alive = [
        unit.active_outer if unit.factors else int((unit.to_dense() != 0).any(axis=1).sum()) for unit in chain.parts
    ]
    assert chain.rank_bound == min(*chain.shape, *alive)
    assert (np.delete(product(chain), chain.active_rows, axis=0) == 0).all()


def test_counts_and_fractions_of_a_chain(chain):
    values = chain.singular_values()
    t = np.array([[0.0, 0.1], [1.0, 3.0]])
    assert np.array_equal(chain.count_above(t), (values > t[..., None]).sum(-1))
    assert chain.count_above(0.1) == (values > 0.1).sum()
    assert isinstance(chain.count_above(0.1), int)
    assert chain.fraction_within(0.5, 0.3) == (np.abs(values - 0.5) <= 0.3).mean()
    values[:] = -1.0
    assert (chain.singular_values() >= 0).all()


def test_the_density_of_a_chain(chain):
    values = scipy.linalg.svdvals(product(chain))
    values[values < 1e-10] = 0.0
    found = chain.spectral_density(probes=20, steps=15)
    zeros = dict(zip(found.atom_values, found.atom_shares, strict=True)).get(0.0, 0.0)
    assert zeros == pytest.approx(1 - chain.rank_bound / min(chain.shape), abs=1e-12)
    t = np.linspace(0, 1.1 * values[0] + 1e-9, 300) + 1e-5
    exact = np.searchsorted(np.sort(values), t, side="right") / len(values)
    # three standard errors at the worst place; rounding where there are as many steps as values
    assert np.abs(found.cdf(t) - exact).max() <= 3 * found.error + found.truncation + 1e-12


@pytest.mark.parametrize("which", ["largest", "smallest"])
def test_triplets_of_a_chain(chain, which):
    J, k = product(chain), min(3, *chain.shape)
    values = scipy.linalg.svdvals(J)
    found = chain.triplets(k, which)
    assert np.allclose(found.values, values[:k] if which == "largest" else values[::-1][:k], atol=1e-12)
    assert np.allclose(J @ found.right, found.left * found.values, atol=1e-12)
    for side in (found.left, found.right):
        assert np.allclose(side.T @ side, np.eye(k), atol=1e-12)


@pytest.mark.parametrize("which", ["largest", "smallest"])
def test_triplets_of_a_large_chain_need_no_dense_matrix(which, monkeypatch):
    monkeypatch.setattr("resdyn.networks.linearization.triplets.SMALL", 100)
    parts = [part(200, 200, seed, kept=kept, factored=True) for seed, kept in enumerate((0.9, 0.8, 0.7))]
    chain = LinearizedStage("large", parts)
    J = product(chain)
    values = scipy.linalg.svdvals(J)
    monkeypatch.setattr("resdyn.networks.linearization.triplets._dense", None)
    found = chain.triplets(4, which)
    assert np.allclose(found.values, values[:4] if which == "largest" else 0.0, atol=1e-10 * values[0])
    assert np.allclose(J @ found.right, found.left * found.values, atol=1e-10 * values[0])
    assert np.allclose(J.T @ found.left, found.right * found.values, atol=1e-10 * values[0])
    for side in (found.left, found.right):
        assert np.allclose(side.T @ side, np.eye(4), atol=1e-12)


@pytest.mark.parametrize("span", [3, 7, 12])
def test_tiny_singular_values_are_exact_in_units_of_the_largest(span):
    """A Gram matrix alone is wrong by 1e-8 of the largest."""
    rng = np.random.default_rng(0)
    values = np.logspace(0, -span, 60)
    left, right = np.linalg.qr(rng.standard_normal((60, 60)))[0], np.linalg.qr(rng.standard_normal((90, 90)))[0]
    matrix = left * values @ right[:60]
    assert np.abs(singular_values_of_wide(matrix) - values).max() < 1e-12


# --- of networks ---------------------------------------------------------------------------------


def test_a_stage_is_the_product_of_its_blocks(stages):
    for stage, state, found in stages:
        inner = state if stage.entry is None else stage.entry(state[None])[0]
        expected = resdyn.tangent_map(resdyn.simulate(stage, inner)).to_dense()
        if stage.entry is not None:
            expected = expected @ stage.entry.linearize(state).to_dense()
        assert isinstance(found, LinearizedStage)
        assert (found.shape_before, found.shape_after) == (state.shape, stage.shape)
        assert np.allclose(found.to_dense(), expected, atol=1e-12)


def test_a_stage_pulls_back_as_autograd_does(stages):
    rng = np.random.default_rng(1)
    for stage, state, found in stages:
        x = torch.from_numpy(state[None]).requires_grad_()
        w = torch.from_numpy(rng.standard_normal(stage.shape))
        (gradient,) = torch.autograd.grad((stage(x)[0] * w).sum(), x)
        assert np.allclose(found.rmatvec(w.numpy().ravel()), gradient.numpy().ravel(), atol=1e-12)


def test_a_network_is_the_jacobian_of_its_logits(network, image):
    found = linearize(network, image)
    model = load("resnet20-digits-seed0").double().eval()
    x = torch.from_numpy(image)
    expected = torch.autograd.functional.jacobian(lambda x: model(x[None])[0], x).reshape(10, -1).numpy()
    assert isinstance(found, LinearizedNetwork)
    assert found.shape == (10, 64)
    assert np.allclose(found.to_dense(), expected, atol=1e-11)
    assert np.allclose(found.singular_values(), scipy.linalg.svdvals(expected), atol=1e-11)
    assert found.triplets(2).values == pytest.approx(scipy.linalg.svdvals(expected)[:2])


def test_a_preactivation_stage():
    torch.manual_seed(0)
    network = unroll(resnet(14, order="pre", widths=(2, 3, 4)).eval(), np.zeros((1, 3, 8, 8)), dtype=torch.float64)
    stage = network.stages[1]
    state = np.random.default_rng(0).standard_normal(stage.entry.shape_before)
    x = torch.from_numpy(state)
    expected = torch.autograd.functional.jacobian(lambda x: stage(x[None])[0], x).reshape(48, -1).numpy()
    found = linearize(stage, state)
    assert np.allclose(found.to_dense(), expected, atol=1e-12)
    assert np.allclose(found.singular_values(), scipy.linalg.svdvals(expected), atol=1e-11)


def test_words(stages):
    _, _, found = stages[1]
    assert repr(found) == (
        f"LinearizedStage {found.name!r}: the Jacobian of {len(found.parts)} parts, each read after its last "
        f"activation, from 512 to 256 variables, of rank at most {found.rank_bound}."
    )


def test_a_dense_product_that_does_not_fit_is_refused(monkeypatch):
    chain = LinearizedStage("large", [part(50, 50, 0)])
    monkeypatch.setattr("resdyn._memory.available_bytes", lambda: 1000)
    for call in (chain.to_dense, chain.singular_values):
        with pytest.raises(MemoryError, match=r"the dense Jacobian of 'large', 50 × 50, .* take spectral_density\(\)"):
            call()
