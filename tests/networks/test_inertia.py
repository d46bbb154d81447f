"""Counts of singular values by inertia, and the factorization of banded indefinite matrices that they rest on."""

import copy
import pickle
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from torch.nn import functional as F

from resdyn.networks.linearization import banded, inertia, window
from resdyn.networks.linearization.banded import BandedLDL, Envelope
from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.inertia import Counter
from resdyn.networks.linearization.pencils import GramPencil, ReducedPencil

# --- banded matrices -------------------------------------------------------------------------------


def signs(matrix):
    """Negative, zero and positive eigenvalues; rounding leaves about 1e-15 of the largest for zero."""
    eigenvalues = np.linalg.eigvalsh(matrix)
    zero = 1e-11 * max(abs(eigenvalues).max(initial=0.0), 1e-300)
    return (eigenvalues < -zero).sum(), (abs(eigenvalues) <= zero).sum(), (eigenvalues > zero).sum()


def band(size, width, rng, kind="full"):
    """A random symmetric matrix: of one bandwidth, of a bandwidth that varies, without a diagonal, or sparse."""
    matrix = rng.normal(size=(size, size))
    distance = abs(np.subtract.outer(np.arange(size), np.arange(size)))
    if kind == "varying":
        width = rng.integers(0, width + 1, size)[:, None]
    if kind == "sparse":
        matrix *= rng.random((size, size)) < 0.4
    lower = np.tril(np.where(distance <= width, matrix, 0.0))
    if kind == "hollow":
        np.fill_diagonal(lower, 0.0)
    return lower + np.tril(lower, -1).T


@settings(deadline=None, max_examples=120)
@given(
    size=st.integers(1, 70),
    width=st.integers(0, 12),
    panel=st.integers(1, 25),
    kind=st.sampled_from(["full", "varying", "hollow", "sparse"]),
    seed=st.integers(0, 10**6),
)
def test_inertia_and_solutions_of_banded_matrices_are_those_of_dense_ones(size, width, panel, kind, seed):
    rng = np.random.default_rng(seed)
    matrix = band(size, width, rng, kind)
    found = BandedLDL(envelope=Envelope(sparse.csc_array(matrix), panel=panel))
    assert found.inertia == signs(matrix)
    if found.inertia[1] == 0:
        b = rng.normal(size=(size, 2))
        x = found.solve(b)
        # Multipliers below 1e4 in each panel may cost that factor, hardly ever twice.
        assert abs(matrix @ x - b).max() <= 1e-9 * max(abs(x).max() * abs(matrix).max(), 1.0)
        np.testing.assert_array_equal(found.solve(b[:, 0]), found.solve(b[:, :1])[:, 0])


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_panels_whose_pivot_blocks_are_singular_are_joined_to_the_next(seed, half):
    """[[0, B], [Bᵀ, 0]] has a zero block for its first panel, and as many negative as positive eigenvalues."""
    rng = np.random.default_rng(seed)
    B = rng.normal(size=(half, half)) + 3 * np.eye(half)
    block = np.block([[np.zeros((half, half)), B], [B.T, np.zeros((half, half))]])
    matrix = np.kron(np.eye(3), block)
    found = BandedLDL(envelope=Envelope(sparse.csc_array(matrix), panel=half))
    assert found.joined == 3
    assert found.inertia == (3 * half, 0, 3 * half)
    np.testing.assert_allclose(matrix @ found.solve(np.ones(len(matrix))), 1.0, atol=1e-9)


def test_zero_eigenvalues_are_counted_wherever_they_come_up():
    rng = np.random.default_rng(3)
    factor = rng.normal(size=(5, 3))
    signature = np.diag([1.0, -2.0, 0.5])
    singular = factor @ signature @ factor.T
    matrix = np.zeros((17, 17))
    matrix[2:7, 2:7], matrix[7:12, 7:12], matrix[13, 13] = singular, -singular, 4.0
    for panel in (1, 2, 5, 20):
        found = BandedLDL(envelope=Envelope(sparse.csc_array(matrix), panel=panel))
        assert found.inertia == (3, 10, 4)
        with pytest.raises(np.linalg.LinAlgError, match="10 of its eigenvalues are zero"):
            found.solve(np.ones(17))


def test_congruence_does_not_change_the_inertia():
    """Sylvester's law, for a matrix that is scaled by 12 orders of magnitude."""
    rng = np.random.default_rng(5)
    matrix = band(60, 7, rng)
    scale = 10.0 ** rng.uniform(-3, 3, 60)
    scaled = scale[:, None] * matrix * scale
    assert BandedLDL(sparse.csc_array(scaled)).inertia == BandedLDL(sparse.csc_array(matrix)).inertia == signs(matrix)


def test_panels_end_where_they_may():
    matrix = sparse.csc_array(band(40, 5, np.random.default_rng(0)))
    envelope = Envelope(matrix, panel=8, ends=[3, 10, 11, 17, 30])
    assert envelope.cuts.tolist() == [0, 10, 17, 30, 40]
    assert set(envelope.ends) <= set(range(41))
    assert BandedLDL(envelope=envelope).inertia == signs(matrix.toarray())
    whole = Envelope(matrix, panel=8)
    assert np.diff(whole.cuts).tolist() == [8] * 5
    assert whole.width == 8 + 5
    assert whole.bytes == 8 * 8 * (4 * 13 + 8)


def test_the_window_slides_over_a_long_matrix(monkeypatch):
    """Many times longer than the window, the contents of which are moved back to its beginning now and then."""
    monkeypatch.setattr(window, "STRIP", 3)
    size = 900
    matrix = band(size, 9, np.random.default_rng(1))
    found = BandedLDL(envelope=Envelope(sparse.csc_array(matrix), panel=8))
    assert found.inertia == signs(matrix)
    np.testing.assert_allclose(matrix @ found.solve(np.ones(size)), 1.0, atol=1e-8)


def test_solve_says_what_it_needs():
    matrix = sparse.csc_array(band(6, 2, np.random.default_rng(0)))
    with pytest.raises(ValueError, match=r"shape \(5,\).*6 rows"):
        BandedLDL(matrix).solve(np.ones(5))
    with pytest.raises(ValueError, match="keep=True"):
        BandedLDL(matrix, keep=False).solve(np.ones(6))
    with pytest.raises(ValueError, match="not finite"):
        BandedLDL(matrix * np.nan)


# --- counts ----------------------------------------------------------------------------------------

KINDS = ("identity", "scaled", "no skip", "general D", "two values", "option A", "projection")
DENSITIES = (0.0, 0.02, 0.1, 0.25, 0.5, 0.9, 1.0)


def convolution(weight, shape, stride=1):
    """The matrix of a convolution, and the shape after it."""
    size = int(np.prod(shape))
    images = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
    after = F.conv2d(images, weight, stride=stride, padding=weight.shape[-1] // 2)
    return after.reshape(size, -1).T.numpy(), tuple(after.shape[1:])


def factors(kind, seed, *, density=None, active=None, channels=3, size=5):
    """A unit with random weights and masks."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    shape = (channels, size, size)
    stride = 2 if kind in ("option A", "projection") else 1
    wide = stride * channels

    def weight(*sizes):
        return 0.2 * torch.randn(sizes, generator=generator, dtype=torch.float64)

    V, between = convolution(weight(wide, channels, 3, 3), shape, stride)
    U, _ = convolution(weight(wide, wide, 3, 3), between)
    density = rng.choice(DENSITIES) if density is None else density
    inner = np.flatnonzero(rng.random(len(V)) < density)
    outer = (rng.random(len(U)) < (rng.choice([0.3, 0.6, 0.9, 1.0]) if active is None else active)).astype(float)
    gain = {"scaled": rng.choice([-1.0, 0.5, -0.3, 2.0]), "no skip": 0.0}.get(kind, 1.0)
    if kind == "general D":
        outer *= rng.uniform(0.1, 1.5, len(outer))
    if kind == "two values":
        outer *= rng.choice([1.0, 0.25], len(outer))
    skip = None
    if kind == "option A":
        images = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, *shape)[:, :, ::2, ::2]
        padded = F.pad(images, (0, 0, 0, 0, 1, channels - 1))
        skip = sparse.csr_array(padded.reshape(len(images), -1).T.numpy())
    if kind == "projection":
        skip = sparse.csr_array(convolution(weight(wide, channels, 1, 1), shape, 2)[0])
    mask = np.isin(np.arange(len(V)), inner).astype(float).reshape(between)
    place = inner % (between[1] * between[2])
    return Factors(gain, skip, sparse.csc_array(U[:, inner]), sparse.csr_array(V[inner]), outer, (mask,), place)


def dense(f):
    skip = np.eye(*f.shape) if f.skip is None else f.skip.toarray()
    return f.outer[:, None] * (f.a * skip + (f.U @ f.V).toarray())


@pytest.fixture
def no_small(monkeypatch):
    """Small matrices are counted by inertia as well."""
    monkeypatch.setattr(inertia, "SMALL", 0)


def between(values, rng, most=10):
    """Thresholds midway between neighbouring values that are not equal to rounding."""
    gaps = np.flatnonzero(np.diff(values) > 1e-7)
    chosen = rng.choice(gaps, min(most, len(gaps)), replace=False)
    return (values[chosen] + values[chosen + 1]) / 2


@pytest.mark.parametrize("rows_for_gram", [0.0, inertia.ROWS_FOR_GRAM])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(9))
def test_counts_are_those_of_the_dense_singular_values(kind, seed, rows_for_gram, no_small, monkeypatch):
    monkeypatch.setattr(inertia, "ROWS_FOR_GRAM", rows_for_gram)
    f = factors(kind, seed)
    values = np.sort(np.linalg.svd(dense(f), compute_uv=False))
    counter = Counter(f)
    atoms = np.sqrt(np.unique(f.squares))[:3] if f.squares is not None else np.zeros(0)
    atoms = atoms[atoms > 0]
    for t in [*between(values, np.random.default_rng(seed)), *atoms * (1 + 1e-6), *atoms * (1 - 1e-6), 1e3]:
        assert counter.count_above(t) == (values > t).sum(), t
    for atom in atoms:
        # Dense values miss an atom by rounding, about 1e-15; no other value of these nets comes so near.
        assert counter.count_above(atom) == (values > atom * (1 + 1e-9)).sum()
        assert counter.count_within(atom, 0.0) == (abs(values - atom) < 1e-9 * atom).sum()
        assert counter.count_within(atom / 2, atom / 2) == (values < atom * (1 + 1e-9)).sum()
    assert counter.count_above(0.0) == (values > 1e-10).sum()
    assert counter.count_above(-1.0) == counter.count_within(0.0, np.inf) == len(values)
    assert counter.count_above(np.inf) == 0
    assert not counter.computed_values


@pytest.mark.parametrize(
    ("kind", "seed", "density"),
    # Without the rows near the pole among the variables, seeds 5, 29 and 50 are miscounted by one.
    [("two values", 5, 0.6), ("two values", 29, 0.6), ("two values", 50, 0.6)]
    + [(kind, 6, density) for kind in ("two values", "option A", "general D") for density in (0.03, 0.2)],
)
def test_counts_are_exact_beside_the_poles_of_the_reduced_matrix(kind, seed, density):
    """At 1e-12 from a value of E, the Gram matrix of its rows would be multiplied by 1e12, and the rest drown."""
    f = factors(kind, seed, density=density, active=0.9)
    values = np.linalg.svd(dense(f), compute_uv=False)
    pencil = ReducedPencil(f)
    for atom in np.sqrt(np.unique(f.squares))[:6]:
        if atom == 0:
            continue
        for side in (1 - 1e-12, 1 + 1e-12):
            # Dense values miss an atom by 1e-15; none of the others is nearer than 1e-11.
            assert pencil.count(atom * side, 16).above == (values > atom * side).sum()


def test_without_a_skip_path_small_thresholds_need_no_repetition():
    f = factors("no skip", 2, density=0.4, active=0.7)
    values = np.linalg.svd(dense(f), compute_uv=False)
    pencil = ReducedPencil(f)
    for t in (1e-6, 1e-5, 1e-3):
        found = pencil.count(t, 16)
        assert found.above == (values > t).sum()
        assert found.smallest > inertia.TRUSTED_PIVOT


@pytest.mark.parametrize("density", DENSITIES)
def test_the_atom_has_the_multiplicity_of_the_rank_theorem(density, no_small):
    """s − 2p values equal the gain of the skip path, if that is not negative; else nothing is forced."""
    f = factors("scaled", 11, density=density, active=0.9)
    forced = len(f.rows) - 2 * f.p
    counter = Counter(f)
    assert counter.count_within(abs(f.a), 0.0) == max(forced, 0)
    if forced >= 0:
        assert counter.count_above(abs(f.a)) == f.p
        assert counter.count_above(0.0) == len(f.rows)


def test_the_sign_of_the_gain_counts(no_small):
    """aI + UV and −aI + UV differ, but aI + UV and −(aI + UV) do not."""
    f = factors("identity", 2, density=0.3)
    mirrored = Factors(-f.a, f.skip, -f.U, f.V, f.outer, f.inner, f.place)
    other = Factors(-f.a, f.skip, f.U, f.V, f.outer, f.inner, f.place)
    thresholds = np.linspace(0.3, 2.0, 30)
    np.testing.assert_array_equal(Counter(mirrored).counts(thresholds), Counter(f).counts(thresholds))
    values = np.linalg.svd(dense(other), compute_uv=False)
    np.testing.assert_array_equal(Counter(other).counts(thresholds), [(values > t).sum() for t in thresholds])


def test_scales_of_the_two_layers_make_no_difference(no_small):
    """U V is the same if an inner unit is made large before and small after the activation."""
    f = factors("identity", 3, density=0.4, active=0.8)
    scale = 10.0 ** np.random.default_rng(0).uniform(-5, 5, f.p)
    U, V = sparse.csc_array(f.U @ sparse.diags_array(1 / scale)), sparse.csr_array(sparse.diags_array(scale) @ f.V)
    scaled = Counter(Factors(f.a, f.skip, U, V, f.outer, f.inner, f.place))
    thresholds = np.linspace(0.0, 2.0, 31)
    np.testing.assert_array_equal(scaled.counts(thresholds), Counter(f).counts(thresholds))
    assert not scaled.computed_values


def test_units_of_several_panels(monkeypatch):
    """432 singular values, 2p = 216 and more variables, panels of 32: the elimination has a window that slides."""
    monkeypatch.setattr(inertia, "PANELS", (32, 24, 48))
    monkeypatch.setattr(inertia, "ROWS_FOR_GRAM", 0.0)
    for kind, density in (("identity", 0.25), ("general D", 0.3), ("two values", 0.3), ("identity", 0.7)):
        f = factors(kind, 4, density=density, channels=3, size=12)
        counter = Counter(f)
        values = np.sort(np.linalg.svd(dense(f), compute_uv=False))
        for t in between(values, np.random.default_rng(0), 12):
            assert counter.count_above(t) == (values > t).sum()
        assert isinstance(counter._pencil, ReducedPencil)
        assert not counter.computed_values


@pytest.mark.parametrize("shape", [(450, 500), (500, 430)])
def test_sparse_matrices_without_factors_are_counted_by_their_gram_matrix(shape):
    rng = np.random.default_rng(0)
    matrix = sparse.random_array(shape, density=0.02, rng=rng) + sparse.eye_array(*shape)
    # In any order: the reverse Cuthill-McKee order has to find a band.
    matrix = sparse.csr_array(matrix)[rng.permutation(shape[0])]
    values = np.sort(np.linalg.svd(matrix.toarray(), compute_uv=False))
    counter = Counter(None, matrix)
    for t in between(values, rng):
        assert counter.count_above(t) == (values > t).sum()
    assert isinstance(counter._pencil, GramPencil)
    assert not counter.computed_values


def test_dense_and_small_matrices_are_counted_by_all_their_singular_values():
    rng = np.random.default_rng(0)
    for matrix in (rng.normal(size=(30, 20)), sparse.random_array((20, 30), density=0.2, rng=rng)):
        full = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
        values = np.linalg.svd(full, compute_uv=False)
        counter = Counter(None, matrix)
        assert [counter.count_above(t) for t in (-1.0, 0.5, 2.0)] == [20, (values > 0.5).sum(), (values > 2.0).sum()]
        assert counter.count_above(0.0) == np.linalg.matrix_rank(full)
        assert counter.computed_values
    f = factors("identity", 0, density=0.1, active=0.9)
    assert Counter(f).count_within(1.0, 0.0) == len(f.rows) - 2 * f.p


def test_histograms_on_several_threads_are_those_on_one():
    f = factors("identity", 4, density=0.2, channels=3, size=12)
    thresholds = np.linspace(0.0, 2.5, 41).reshape(1, 41)
    values = np.linalg.svd(dense(f), compute_uv=False)
    expected = np.array([[(values > t).sum() if t else (values > 1e-10).sum() for t in thresholds[0]]])
    before = threading.active_count()
    for workers in (1, 3):
        found = Counter(f).counts(thresholds, workers=workers)
        np.testing.assert_array_equal(found, np.where(thresholds == 1.0, (values > 1 + 1e-9).sum(), expected))
        assert found.shape == thresholds.shape
        assert found.dtype == np.int64
    assert threading.active_count() == before
    assert Counter(f).counts([]).shape == (0,)
    assert Counter(f).counts(1.5) == (values > 1.5).sum()


def test_a_count_between_equal_counts_needs_no_elimination(no_small, monkeypatch):
    counter = Counter(factors("identity", 1, density=0.2))
    eliminations = []
    count = ReducedPencil.count
    monkeypatch.setattr(ReducedPencil, "count", lambda self, t, panel: eliminations.append(t) or count(self, t, panel))
    assert counter.counts(np.linspace(10.0, 20.0, 50)).tolist() == [0] * 50
    assert len(eliminations) <= 2


def test_thresholds_are_numbers(no_small):
    counter = Counter(factors("identity", 1, density=0.2))
    with pytest.raises(ValueError, match="not a number"):
        counter.count_above(np.nan)
    with pytest.raises(ValueError, match="width ≥ 0"):
        counter.count_within(1.0, -0.1)


# --- guards ----------------------------------------------------------------------------------------


@pytest.fixture
def unit(no_small):
    f = factors("identity", 7, density=0.3, active=0.8)
    return f, np.linalg.svd(dense(f), compute_uv=False)


def spoiled(monkeypatch, change):
    """Eliminations that go wrong: ``change`` of their outcome, by number of the attempt."""
    attempts = []
    count = ReducedPencil.count

    def wrong(self, t, panel):
        attempts.append((t, panel))
        return change(len(attempts), count(self, t, panel))

    monkeypatch.setattr(ReducedPencil, "count", wrong)
    return attempts


def test_a_large_growth_is_answered_by_two_more_eliminations_that_agree(unit, monkeypatch):
    f, values = unit
    attempts = spoiled(
        monkeypatch, lambda k, found: found._replace(above=found.above + 3, growth=1e9) if k == 1 else found
    )
    counter = Counter(f)
    assert counter.count_above(1.1) == (values > 1.1).sum()
    assert len({panel for _, panel in attempts}) == 3
    assert not counter.computed_values


def test_if_repetitions_disagree_all_singular_values_are_computed(unit, monkeypatch):
    f, values = unit
    spoiled(monkeypatch, lambda k, found: found._replace(above=found.above + k, growth=1e9))
    counter = Counter(f)
    assert counter.count_above(1.1) == (values > 1.1).sum()
    assert counter.computed_values


@pytest.mark.parametrize("error", [-3, 3, 10**4])
def test_counts_that_grow_with_t_or_break_weyls_inequality_are_not_kept(unit, monkeypatch, error):
    f, values = unit
    counter = Counter(f)
    outer = 1.05 if error > 0 else 1.15
    assert counter.count_above(outer) == (values > outer).sum()
    change = (values > 1.05).sum() - (values > 1.15).sum() + 1
    attempts = spoiled(
        monkeypatch, lambda k, found: found._replace(above=found.above + np.sign(error) * (change + abs(error)))
    )
    assert counter.count_above(1.1) == (values > 1.1).sum()
    assert counter.computed_values
    assert len(attempts) > 1


def test_a_threshold_at_a_singular_value_counts_it_as_not_above(unit):
    """The pencil is singular there; the answer is that just beside it."""
    f, values = unit
    counter = Counter(f)
    for value in values[[0, 3, 10, f.p - 1]]:
        assert counter.count_above(value) == (values > value * (1 + 1e-10)).sum()
    assert not counter.computed_values


def test_large_multipliers_join_panels_and_a_limit_too_high_loses_digits(monkeypatch):
    """Pivots of 1e-13 in the first panel: without a limit the solution has no digit left."""
    size = 12
    rng = np.random.default_rng(0)
    matrix = band(size, 6, rng)
    matrix[:3, :3] = 1e-13 * np.diag([1.0, -1.0, 2.0])
    b = rng.normal(size=size)
    envelope = Envelope(sparse.csc_array(matrix), panel=3)
    guarded = BandedLDL(envelope=envelope)
    assert guarded.joined
    assert guarded.inertia == signs(matrix)
    assert abs(matrix @ guarded.solve(b) - b).max() < 1e-12
    monkeypatch.setattr(banded, "LARGEST_MULTIPLIER", 1e30)
    careless = BandedLDL(envelope=envelope)
    assert not careless.joined
    assert careless.growth > 1e9
    assert abs(matrix @ careless.solve(b) - b).max() > 1e-6


def test_the_routines_of_lapack_are_found():
    for module, name, count in (("blas", "dgemm", 13), ("lapack", "dsytrf", 8)):
        assert len(window._routine(module, name).argtypes) == count


def test_the_width_of_the_integers_of_lapack_is_found_by_a_call():
    """A pivot is written with as many bits: the sentinels beside it stay."""
    pivots = np.full(2, -7, dtype=np.int64)
    block, work, info = np.array([[2.0]], order="F"), np.empty(64), np.zeros(1, dtype=np.int64)
    window._call("lapack", "dsytrf", b"L", 1, block, 1, pivots, work, 64, info)
    first = pivots.view(window._integer())[0]
    assert first == 1
    width = np.dtype(window._integer()).itemsize
    assert (pivots.view(np.uint8)[width:] == np.full(2, -7, dtype=np.int64).view(np.uint8)[width:]).all()


# --- sizes -----------------------------------------------------------------------------------------


def low_rank(n=440, p=60, *, a=1.0, U=1.0, V=1.0, outer=None):
    """a I + U V, with all inner units at one place; U and V are multiplied by numbers, or by one for each unit."""
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal(shape) / np.sqrt(n) for shape in ((n, p), (p, n)))
    left, right = left * U, right * np.broadcast_to(V, p)[:, None]
    outer = np.ones(n) if outer is None else outer
    return Factors(a, None, sparse.csc_array(left), sparse.csr_array(right), outer, (), np.arange(p))


UNEVEN = np.where(np.arange(60) < 30, 3e3, 1.0)


@pytest.mark.parametrize(
    "f",
    [
        low_rank(U=UNEVEN, V=UNEVEN),
        low_rank(U=1e6),
        low_rank(U=UNEVEN, V=UNEVEN, outer=np.where(np.arange(440) % 2, 1.0, 0.01)),
        low_rank(U=UNEVEN, V=UNEVEN, outer=np.linspace(0.5, 1.0, 440)),
    ],
    ids=["uneven channels", "large weights", "uneven channels, leaky", "uneven channels, smooth"],
)
def test_entries_of_very_different_sizes_lose_no_pivot(f):
    values = np.linalg.svd(dense(f), compute_uv=False)
    counter = Counter(f)
    for i in range(0, 30, 3):
        assert counter._guarded(np.sqrt(values[i] * values[i + 1])) == i + 1
    assert not counter.computed_values


def test_units_with_fewer_active_outputs_than_inner_units_are_counted_by_their_gram_matrix(no_small):
    f = factors("identity", 3, density=0.8, active=0.5)
    counter = Counter(f)
    values = np.linalg.svd(dense(f), compute_uv=False)
    for t in between(values[::-1], np.random.default_rng(0)):
        assert counter.count_above(t) == (values > t).sum()
    assert isinstance(counter._pencil, GramPencil)
    assert isinstance(Counter(factors("identity", 3, density=0.4, active=0.6))._pencil, ReducedPencil)
    assert isinstance(Counter(factors("no skip", 3, density=0.8, active=0.5))._pencil, ReducedPencil)


def test_repetitions_that_lose_the_same_pivots_prove_nothing(unit, monkeypatch):
    f, values = unit
    spoiled(monkeypatch, lambda k, found: found._replace(above=found.above + 1, growth=1e9, smallest=0.0))
    counter = Counter(f)
    assert counter.count_above(1.1) == (values > 1.1).sum()
    assert counter.computed_values


@pytest.mark.parametrize("a", [1e-3, 1e-4, 1e-6])
def test_small_thresholds_are_counted_on_both_sides_of_the_rounding_of_squares(a):
    f = low_rank(a=a, U=3.0, V=3.0)
    values = np.linalg.svd(dense(f), compute_uv=False)
    # 1e-10 of the largest is what singular values are exact to
    gaps = np.flatnonzero(values[:-1] - values[1:] > np.maximum(1e-6 * values[:-1], 1e-9 * values[0]))
    counter = Counter(f)
    for i in [*gaps[::6], *gaps[-12:]]:
        assert counter.count_above(np.sqrt(values[i] * values[i + 1])) == i + 1, i
    assert counter.count_above(0.0) == 440


def test_a_small_threshold_needs_no_singular_values_where_all_are_larger():
    f = low_rank()
    values = np.linalg.svd(dense(f), compute_uv=False)
    counter = Counter(f)
    for t in (0.0, 1e-200, 1e-9, 1e-6):
        assert counter.count_above(t * values[0]) == 440
    f = low_rank(outer=(np.arange(440) < 410).astype(float))
    counter, without = Counter(f), Counter(low_rank(a=0.0, p=30))
    assert (counter.count_above(1e-9), without.count_above(1e-9)) == (410, 30)
    assert not counter.computed_values
    assert not without.computed_values


@pytest.mark.parametrize("size", [1e-250, 1e-160, 1.0, 1e160, 1e250])
def test_counts_and_values_do_not_depend_on_the_unit_of_measurement(size):
    f = low_rank(n=420, p=20)
    values = np.linalg.svd(dense(f), compute_uv=False)
    for scaled in (low_rank(n=420, p=20, a=size, U=size), low_rank(n=420, p=20, outer=np.full(420, size))):
        counter = Counter(scaled)
        for t in between(values[::-1], np.random.default_rng(0), 5):
            assert counter.count_above(t * size) == (values > t).sum()
        assert counter.count_within(size, 0.0) == 380
        assert not counter.computed_values
        matrix = Counter(None, dense(f) * size)
        assert matrix.count_above(1.1 * size) == (values > 1.1).sum()


def test_counters_can_be_copied_and_sent():
    counter = Counter(low_rank())
    number = counter.count_above(1.3)
    for copied in (pickle.loads(pickle.dumps(counter)), copy.deepcopy(counter)):
        assert copied.count_above(1.3) == number
        assert copied.count_above(1.2) == counter.count_above(1.2)
