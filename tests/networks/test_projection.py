"""Projections on singular subspaces: sparse against dense, as geometry has them."""

import numpy as np
import pytest
import torch
from scipy import sparse

import resdyn
from resdyn.networks import linearize, load, unroll
from resdyn.networks.linearization import subspaces
from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.projection import GROUPS, Projection, project
from resdyn.networks.linearization.row_space import row_space
from resdyn.networks.linearization.unit import LinearizedUnit

SIDE = 6


def convolution(weight, side, stride=1):
    """Its matrix, by the images of unit vectors."""
    basis = torch.eye(weight.shape[1] * side**2, dtype=torch.float64).reshape(-1, weight.shape[1], side, side)
    images = torch.nn.functional.conv2d(basis, torch.as_tensor(weight), stride=stride, padding=1)
    return sparse.csr_array(images.flatten(1).numpy().T)


def factored(seed, *, inner=0.2, outer=0.7, a=1.0, skip="identity", size=0.6, leak=0.0, dependent=False):
    """A random convolutional unit with 3 channels on small images, and so many of its units active."""
    rng = np.random.default_rng(seed)
    stride = 2 if skip in ("subsampled", "projected") else 1
    after = SIDE // stride
    channels = 3 * stride
    first, second = rng.standard_normal((channels, 3, 3, 3)), rng.standard_normal((channels, channels, 3, 3))
    V = convolution(size * first / np.sqrt(27), SIDE, stride)
    U = convolution(size * second / np.sqrt(9 * channels), after)
    fires = np.flatnonzero(rng.random(V.shape[0]) < inner)
    if dependent:  # pairs of inner units that do the same to the sum
        U = U.tolil()
        U[:, fires[1:8:2]] = U[:, fires[0:7:2]]
    mask = np.where(rng.random(U.shape[0]) < outer, 1.0, leak)
    S = None
    if skip == "subsampled":  # every other pixel, zeros in the new channels
        basis = np.eye(3 * SIDE**2).reshape(-1, 3, SIDE, SIDE)[:, :, ::2, ::2]
        S = sparse.csr_array(np.pad(basis, ((0, 0), (1, 2), (0, 0), (0, 0))).reshape(len(basis), -1).T)
    elif skip == "projected":
        S = convolution(rng.standard_normal((channels, 3, 3, 3)) / 5, SIDE, stride)
    U = sparse.csc_array(U)[:, fires]
    factors = Factors(a, S, U, sparse.csr_array(V[fires]), mask, (), fires % after**2)
    words = {"reading": "after", "skip_scale": a, "weight_scale": 1.0, "masks": "held"}
    x = np.zeros((3, SIDE, SIDE))
    return LinearizedUnit("unit", x, shape_after=(channels, after, after), method="factored", factors=factors, **words)


def as_dense(unit):
    words = {name: getattr(unit, name) for name in ("reading", "skip_scale", "weight_scale", "masks")}
    shapes = {"shape_after": unit.shape_after, "method": "dense", "matrix": unit.to_dense()}
    return LinearizedUnit(unit.name, unit.x, **shapes, **words)


def by_hand(unit, vectors, k):
    """Shares by the singular value decomposition, group by group."""
    _, values, right = np.linalg.svd(unit.to_dense())
    values = np.append(values, np.zeros(len(right) - len(values)))
    zero = values < 1e-9
    atom = (abs(values - abs(unit.factors.a)) < 1e-9) & ~zero
    others = np.flatnonzero(~zero & ~atom)
    groups = [
        others[:k],
        np.flatnonzero(atom),
        others[len(others) - k :],
        np.flatnonzero(zero),
        others[k : len(others) - k],
    ]
    parts = (right @ vectors.reshape(len(vectors), -1).T) ** 2
    shares = np.stack([parts[group].sum(axis=0) for group in groups]) / parts.sum(axis=0)
    return shares, [len(group) for group in groups]


KINDS = {
    "before": {"outer": 1.1},
    "after": {},
    "few inner": {"inner": 0.05},
    "many inner": {"inner": 0.9, "outer": 1.1},
    "nothing forced": {"inner": 0.6},
    "negative skip": {"a": -0.7},
    "scaled skip": {"a": 2.0, "outer": 1.1},
    "no skip": {"a": 0.0, "inner": 0.3},
    "subsampled before": {"skip": "subsampled", "outer": 1.1},
    "subsampled after": {"skip": "subsampled"},
    "projected": {"skip": "projected"},
    "leaky": {"leak": 0.1},
    "dependent": {"dependent": True, "inner": 0.15},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_sparse_projections_are_those_of_the_singular_value_decomposition(kind, seed):
    unit = factored(seed, **KINDS[kind])
    perturbations = np.random.default_rng(seed + 100).standard_normal((4, *unit.shape_before))
    shares, dimensions = by_hand(unit, perturbations, 2)
    found = project(perturbations, unit, 2)
    assert list(found.dimensions) == dimensions
    # rounding over the gap to the next singular value; with dependent rows, twice over
    np.testing.assert_allclose(found.shares, shares, atol=1e-8)
    np.testing.assert_allclose(found.shares.sum(axis=0), 1, atol=1e-12)
    np.testing.assert_allclose([found.at_random[g] for g in GROUPS], np.array(dimensions) / unit.shape[1])
    images = unit.to_dense() @ perturbations.reshape(4, -1).T
    expected = np.linalg.norm(images, axis=0) / np.linalg.norm(perturbations.reshape(4, -1), axis=1)
    np.testing.assert_allclose(found.gain, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["before", "after", "negative skip", "many inner"])
def test_without_factors_the_shares_are_the_same(kind):
    unit = factored(7, **KINDS[kind])
    perturbations = np.random.default_rng(0).standard_normal((3, *unit.shape_before))
    sparse_way, dense_way = project(perturbations, unit, 3), project(perturbations, as_dense(unit), 3)
    np.testing.assert_array_equal(sparse_way.dimensions, dense_way.dimensions)
    np.testing.assert_allclose(sparse_way.shares, dense_way.shares, atol=1e-9)
    np.testing.assert_allclose(sparse_way.leading_values, dense_way.leading_values, rtol=1e-12)
    np.testing.assert_allclose(sparse_way.trailing_values, dense_way.trailing_values, rtol=1e-9)


def test_where_few_units_fire_in_a_part_of_the_image_there_is_an_atom_though_2p_exceeds_s():
    """The multiplicity s − 2p is a lower bound: columns of C that share few rows are dependent."""
    unit = factored(0, inner=1.1, outer=1.1)
    F = unit.factors
    fires = np.flatnonzero((F.place % SIDE < 4) & (F.place // SIDE < 6))  # all of them on the left, none on the right
    held = Factors(F.a, None, F.U[:, fires], F.V[fires], F.outer, (), F.place[fires])
    words = {"reading": "before", "skip_scale": 1.0, "weight_scale": 1.0, "masks": "held"}
    unit = LinearizedUnit("unit", unit.x, shape_after=unit.shape_after, method="factored", factors=held, **words)
    assert 2 * held.p > unit.shape[0]
    perturbations = np.random.default_rng(0).standard_normal((3, *unit.shape_before))
    shares, dimensions = by_hand(unit, perturbations, 2)
    found = project(perturbations, unit, 2)
    assert found.dimensions[1] == dimensions[1] == 3 * SIDE  # the column of pixels that no active unit sees
    np.testing.assert_allclose(found.shares, shares, atol=1e-9)


def test_shares_do_not_change_with_the_basis_of_a_degenerate_subspace():
    """A rotation within the subspace of the atom, of a perturbation that lies in it, keeps it there."""
    unit = factored(3, outer=1.1)
    _, values, right = np.linalg.svd(unit.to_dense())
    atom = right[abs(values - 1) < 1e-9]
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.standard_normal((len(atom), len(atom))))[0]
    inside = rng.standard_normal((5, len(atom)))
    outside = rng.standard_normal((5, unit.shape[1]))
    outside -= outside @ atom.T @ atom
    before = project((inside @ atom + outside).reshape(5, *unit.shape_before), unit, 2)
    after = project((inside @ rotation @ atom + outside).reshape(5, *unit.shape_before), unit, 2)
    np.testing.assert_allclose(before.shares, after.shares, atol=1e-12)
    within = project((inside @ atom).reshape(5, *unit.shape_before), unit, 2)
    np.testing.assert_allclose(within.unit, 1, atol=1e-12)
    np.testing.assert_allclose(within.gain, 1, atol=1e-12)


def test_random_perturbations_have_the_shares_of_random_ones():
    unit = factored(1)
    n, d = 4000, unit.shape[1]
    found = project(np.random.default_rng(0).standard_normal((n, *unit.shape_before)), unit, 4)
    for share, dimension, expected in zip(found.shares, found.dimensions, found.at_random.values(), strict=True):
        # a share is Beta(dim/2, (d − dim)/2); five standard errors of its mean
        error = np.sqrt(2 * dimension * (d - dimension) / (d**2 * (d + 2)) / n)
        assert abs(share.mean() - expected) <= 5 * error
    assert sum(found.at_random.values()) == pytest.approx(1)


def test_perturbations_along_singular_vectors_lie_where_these_are():
    unit = factored(2)
    _, values, right = np.linalg.svd(unit.to_dense())
    for index, group in ((0, "leading"), (2, "leading"), (3, "rest"), (len(values) - 1, "null")):
        found = project(right[index].reshape(1, *unit.shape_before), unit, 3)
        assert getattr(found, group)[0] == pytest.approx(1, abs=1e-8)
        assert found.gain[0] == pytest.approx(values[index], abs=1e-9)


# --- perturbations that were propagated -----------------------------------------------------------


@pytest.fixture(scope="module")
def network():
    return unroll(load("resnet20-digits-seed0"), np.zeros((1, 1, 8, 8)), dtype=torch.float64)


@pytest.fixture(scope="module")
def propagated(network):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (2, 1, 8, 8))
    propagation = resdyn.propagate(network, x, 1e-7 * rng.standard_normal((3, 2, 1, 8, 8)), keep=True)
    unit = network.units[-2]
    states = network.stem(x)
    for earlier in network.units[:-2]:
        states = earlier(states)
    return propagation, [linearize(unit, state) for state in states]


def test_the_perturbations_are_those_that_reach_the_unit(network, propagated):
    propagation, (first, second) = propagated
    found = project(propagation, first, 5, input=0)
    row = propagation.names.index(first.name)
    before, after = (propagation.at(layer).true[:, 0].reshape(3, -1) for layer in (row - 1, row))
    np.testing.assert_array_equal(found.shares, project(before.reshape(3, *first.shape_before), first, 5).shares)
    # first order: perturbations of 1e-7, and differences of states near 1 are rounded to 1e-9 of them
    np.testing.assert_allclose(found.gain, np.linalg.norm(after, axis=1) / np.linalg.norm(before, axis=1), rtol=1e-6)
    both = project(propagation, [first, second], 5)
    assert both.leading.shape == both.gain.shape == (3, 2)
    np.testing.assert_array_equal(both.shares[..., 0], found.shares)
    np.testing.assert_array_equal(both.shares[..., 1], project(propagation, second, 5, input=1).shares)
    assert "3 perturbations of each of 2 inputs" in repr(both)
    np.testing.assert_allclose(
        [both.at_random[g] for g in GROUPS], both.dimensions.mean(axis=1) / first.shape[1], atol=1e-15
    )


def test_a_propagation_that_starts_after_the_unit_has_nothing_that_reaches_it(network):
    rng = np.random.default_rng(0)
    state = network.stem(rng.uniform(-1, 1, (1, 1, 8, 8)))
    after = network.units[0](state)
    late = resdyn.propagate(
        network, rng.uniform(-1, 1, (1, 1, 8, 8)), 1e-7 * rng.standard_normal((1, *after.shape)), keep=True, start=2
    )
    with pytest.raises(ValueError, match=f"starts after '{network.units[0].name}'"):
        project(late, linearize(network.units[0], state[0]), 1)


def test_what_cannot_be_projected_is_refused(network, propagated):
    propagation, (first, second) = propagated
    with pytest.raises(ValueError, match="2 inputs, but one linearization; say at which input"):
        project(propagation, first, 1)
    with pytest.raises(ValueError, match="input = 2, but there are 2"):
        project(propagation, first, 1, input=2)
    with pytest.raises(ValueError, match="3 linearizations, but perturbations of 2 inputs"):
        project(propagation, [first, second, first], 1)
    with pytest.raises(ValueError, match="leave input out"):
        project(propagation, [first, second], 1, input=0)
    with pytest.raises(ValueError, match="input belongs to a propagation"):
        project(np.zeros((1, *first.shape_before)), first, 1, input=0)
    with pytest.raises(ValueError, match="there is no linearization"):
        project(propagation, [], 1)
    with pytest.raises(TypeError, match="must be that of a unit"):
        project(propagation, network, 1)
    other = linearize(network.units[0], np.zeros(network.units[0].shape_before))
    with pytest.raises(ValueError, match="different units"):
        project(propagation, [first, other], 1)
    with pytest.raises(ValueError, match=r"has no unit 'unit'; its rows are 'input', 'stem'"):
        project(propagation, factored(0), 1)
    with pytest.raises(ValueError, match=r"have shape \(3, 5\), but 'unit' takes states of shape \(3, 6, 6\)"):
        project(np.zeros((3, 5)), factored(0), 1)
    sizes = resdyn.propagate(network, np.zeros((1, 1, 8, 8)), np.ones((1, 1, 1, 8, 8)))
    with pytest.raises(ValueError, match="keep=True"):
        project(sizes, first, 1)


@pytest.mark.parametrize("given", [factored, lambda seed, **how: as_dense(factored(seed, **how))])
def test_k_ends_before_the_atom(given):
    unit = given(0, inner=0.05)  # 2 inner units: two values above 1, two below
    perturbations = np.ones((1, *unit.shape_before))
    assert project(perturbations, unit, 2).rest[0] == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="has 4 singular values .* take k ≤ 2"):
        project(perturbations, unit, 3)
    with pytest.raises(ValueError, match="at least 0"):
        project(perturbations, unit, -1)


@pytest.mark.parametrize("how", [{"inner": 0.0}, {"inner": 0.0, "outer": 0.0}, {"outer": 0.0}, {}])
def test_units_without_a_branch_or_without_outputs_have_only_an_atom_and_a_null_space(how):
    unit = factored(0, **how)
    perturbations = np.random.default_rng(0).standard_normal((2, *unit.shape_before))
    shares, dimensions = by_hand(unit, perturbations, 0)
    for given in (unit, as_dense(unit)):
        found = project(perturbations, given, 0)
        assert list(found.dimensions) == dimensions
        np.testing.assert_allclose(found.shares, shares, atol=1e-12)
        assert found.leading_values.shape == (0,)


def test_k_ends_before_the_atom_where_one_side_has_fewer():
    """A branch that only enlarges: all values that are not 1 lie above."""
    V = sparse.csr_array(np.eye(4, 12))
    factors = Factors(1.0, None, sparse.csc_array(V.T * 2.0), V, np.ones(12), (), np.zeros(4, dtype=int))
    words = {"reading": "after", "skip_scale": 1.0, "weight_scale": 1.0, "masks": "held"}
    unit = LinearizedUnit("unit", np.zeros(12), shape_after=(12,), method="factored", factors=factors, **words)
    with pytest.raises(ValueError, match="only 0 singular values of 'unit' lie below the 8 that equal 1; take k ≤ 0"):
        project(np.ones((1, 12)), unit, 1)


def test_perturbations_without_a_direction_have_no_shares():
    unit = factored(0)
    perturbations = np.stack(
        [np.zeros(unit.shape_before), np.full(unit.shape_before, np.inf), np.ones(unit.shape_before)]
    )
    found = project(perturbations, unit, 1)
    assert np.isnan(found.shares[:, :2]).all()
    assert np.isnan(found.gain[:2]).all()
    assert found.shares[:, 2].sum() == pytest.approx(1)
    assert "nan" not in repr(found)


def test_a_projection_comes_back_from_the_disk(tmp_path):
    unit = factored(0)
    found = project(np.random.default_rng(0).standard_normal((4, *unit.shape_before)), unit, 2)
    found.save(tmp_path / "projection.npz")
    loaded = Projection.load(tmp_path / "projection.npz")
    assert repr(loaded) == repr(found)
    assert loaded.at_random == found.at_random
    np.testing.assert_array_equal(loaded.shares, found.shares)
    data = loaded.to_dataset()
    assert data.share.dims == ("subspace", "perturbation")
    assert data.share.sel(subspace="null").values == pytest.approx(found.null)
    assert data.attrs == {"unit": "unit", "k": 2}
    header, rows = found._table()
    assert [row[0] for row in rows] == list(GROUPS)
    assert all(len(row) == len(header) for row in rows)
    assert sum(float(row[1]) for row in rows) == unit.shape[1]


@pytest.mark.parametrize("decomposed", [0, 100])
def test_the_residual_of_least_squares_survives_columns_that_are_nearly_dependent(decomposed, monkeypatch):
    """Singular values down to 10⁻⁵: one step with the ridge leaves 10⁻³ of what lies along the last."""
    monkeypatch.setattr(subspaces, "DECOMPOSED", decomposed)
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((n, 4)))[0] for n in (30, 4))
    matrix = sparse.csr_array(left * [1, 1e-2, 1e-5, 0] @ right.T)
    vectors = rng.standard_normal((30, 3))
    expected = vectors - left[:, :3] @ (left[:, :3].T @ vectors)
    found = subspaces.Complement(matrix, np.zeros(4, dtype=int), lambda: 27)
    # rounding of the matrix itself turns the last direction by 1e-16 / 1e-5
    np.testing.assert_allclose(found.residual(vectors), expected, atol=1e-9)
    assert found.dimension == 27


@pytest.mark.parametrize("kind", ["after", "many inner", "nothing forced", "dependent", "subsampled after"])
def test_the_ways_of_large_units_lead_to_the_same(kind, monkeypatch):
    """Too large for eigenvectors, and pivots in doubt: values are counted instead."""
    monkeypatch.setattr(subspaces, "DECOMPOSED", 0)
    monkeypatch.setattr(subspaces, "FACTORED", 0)
    monkeypatch.setattr("resdyn.networks.linearization.active.TRUSTED_GROWTH", 0.0)
    unit = factored(5, **KINDS[kind])
    vectors = np.random.default_rng(0).standard_normal((3, *unit.shape_before))
    shares, dimensions = by_hand(unit, vectors, 2)
    found = project(vectors, unit, 2)
    assert list(found.dimensions) == dimensions
    np.testing.assert_allclose(found.shares, shares, atol=1e-8)


def test_dependent_rows_are_told_from_weak_ones():
    F = factored(0, a=0.0, dependent=True, inner=0.15).factors
    V = sparse.diags_array(np.where(np.arange(F.p) == F.p - 1, 1e-4, 1.0)) @ F.V  # a singular value of about 10⁻⁴
    factors = Factors(0.0, None, F.U, sparse.csr_array(V), F.outer, (), F.place)
    words = {"reading": "after", "skip_scale": 0.0, "weight_scale": 1.0, "masks": "held"}
    x = np.zeros((3, SIDE, SIDE))
    unit = LinearizedUnit("unit", x, shape_after=x.shape, method="factored", factors=factors, **words)
    values = np.linalg.svd(unit.to_dense(), compute_uv=False)
    rank = (values > 1e-6 * values[0]).sum()
    found = row_space(unit, 1e-6 * values[0], values[0])
    assert found.rank == rank
    assert values[rank - 1] < 1e-3 * values[0]
    assert found.left is not None
    np.testing.assert_allclose(found.smallest(2)[0], values[rank - 2 : rank][::-1], rtol=1e-9)


@pytest.mark.parametrize("reading", ["before", "after"])
def test_rows_without_a_skip_path_that_outnumber_the_inner_units(reading):
    """Option A: as many zeros as rows of new channels exceed p; found without an elimination of a singular matrix."""
    unit = factored(0, skip="subsampled", outer=1.1 if reading == "before" else 0.8, inner=0.1)
    assert (np.diff(unit.factors.active_skip.indptr) == 0).sum() > unit.factors.p
    vectors = np.random.default_rng(0).standard_normal((3, *unit.shape_before))
    shares, dimensions = by_hand(unit, vectors, 2)
    found = project(vectors, unit, 2)
    assert list(found.dimensions) == dimensions
    np.testing.assert_allclose(found.shares, shares, atol=1e-9)
    assert row_space(unit, 1e-6, 1.0).left is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("changed", [{"size": 1e-3}, {"outer": 0.1}, {"inner": 1.0}, {"inner": 0.0}])
def test_dimensions_are_those_of_the_spaces_on_which_is_projected(kind, changed):
    """Also where singular values lie near the thresholds: the trace of the projection is the dimension."""
    unit = factored(21, **{**KINDS[kind], **changed})
    d = unit.shape[1]
    found = project(np.eye(d).reshape(d, *unit.shape_before), unit, 0)
    np.testing.assert_allclose(found.shares.sum(axis=1), found.dimensions, atol=1e-6)
    np.testing.assert_allclose(found.shares.sum(axis=0), 1, atol=1e-9)
    values = np.linalg.svd(unit.to_dense(), compute_uv=False)
    assert found.dimensions[3] == d - (values > 1e-6 * values[0]).sum()


def test_many_projections_on_one_unit_decompose_it_once(monkeypatch):
    unit = factored(4)
    made = []
    monkeypatch.setattr(subspaces, "row_space", lambda *given: made.append(given) or row_space(*given))
    vectors = np.random.default_rng(0).standard_normal((2, *unit.shape_before))
    shares = [project(vectors, unit, 2).shares for _ in range(3)]
    assert len(made) == 1
    np.testing.assert_array_equal(shares[0], shares[2])
