"""Density-based groups: scikit-learn as oracle, the order of rows, scales, and the default radius."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from resdyn.analysis.attraction.feature_groups import group_by_features

STATELESS = settings(phases=[Phase.explicit, Phase.reuse, Phase.generate], deadline=None, max_examples=60)
SEEDS = st.integers(0, 2**32 - 1)


def clouds(rng, n=60):
    """Points around some centres; every other time on a lattice, so that distances tie."""
    k = int(rng.integers(1, 5))
    centres = rng.normal(size=(rng.integers(1, 6), k))
    points = centres[rng.integers(len(centres), size=n)] + rng.choice([0.02, 0.1, 0.3]) * rng.normal(size=(n, k))
    return np.round(points, 1) if rng.random() < 0.5 else points


@given(SEEDS)
@STATELESS
def test_cores_and_groups_are_those_of_dbscan(seed):
    cluster = pytest.importorskip("sklearn.cluster")
    rng = np.random.default_rng(seed)
    points, radius, least = clouds(rng), rng.uniform(0.05, 0.6), int(rng.integers(1, 8))
    found = group_by_features(points, radius=radius, least=least)
    oracle = cluster.DBSCAN(eps=radius, min_samples=least).fit(points)
    assert ((found == -1) == (oracle.labels_ == -1)).all()
    core = oracle.core_sample_indices_
    pairs = set(zip(found[core], oracle.labels_[core], strict=True))
    # one to one on the cores; a border point between two groups depends on the order of rows there
    assert len(pairs) == len(set(found[core])) == len(set(oracle.labels_[core]))


@given(SEEDS)
@STATELESS
def test_labels_do_not_depend_on_the_order_of_rows(seed):
    rng = np.random.default_rng(seed)
    points = clouds(rng)
    order = rng.permutation(len(points))
    for options in ({}, {"radius": 0.2}, {"radius": 0.15, "least": 4}):
        assert (group_by_features(points[order], **options) == group_by_features(points, **options)[order]).all()


@given(SEEDS, st.floats(1e-3, 1e3))
@STATELESS
def test_default_groups_know_no_unit_and_no_origin(seed, scale):
    # powers of two keep every bit of the ratios
    points = clouds(np.random.default_rng(seed))
    power = 2.0 ** np.round(np.log2(scale))
    assert (group_by_features(power * points) == group_by_features(points)).all()


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e-9, 1e-8, 1e9, 1e300])
def test_three_clouds_are_three_at_every_scale(scale):
    # squares of distances underflow below 1e-160, and sparse graphs drop what is below 1e-8
    truth = np.repeat(np.arange(3), 40)
    centres = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
    points = centres[truth] + 0.05 * np.random.default_rng(0).normal(size=(120, 2))
    for options in ({}, {"radius": 0.5 * scale}):
        found = group_by_features(scale * points, **options)
        assert len(set(zip(truth, found, strict=True))) == len(set(found)) == 3


@pytest.mark.parametrize("spread", [0.0, 1e-12, 1e-6, 1e-2, 0.05])
def test_default_radius_finds_what_is_apart(spread):
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(3), 50)
    points = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])[truth] + spread * rng.normal(size=(150, 2))
    found = group_by_features(points)
    assert sorted(np.unique(found)) == [0, 1, 2]
    assert len(set(zip(found, truth, strict=True))) == 3


@pytest.mark.parametrize("n", [20, 200, 800])
def test_one_cloud_is_one_group(n):
    rng = np.random.default_rng(n)
    for points in (rng.uniform(size=(n, 2)), rng.normal(size=(n, 3))):
        found = group_by_features(points)
        assert found.max() == 0
        assert np.mean(found == 0) > 0.9


def test_groups_are_numbered_by_their_smallest_point():
    points = np.array([[3.0], [3.1], [1.0], [1.1], [2.0], [2.1], [9.0]])
    assert group_by_features(points, radius=0.2, least=2).tolist() == [2, 2, 0, 0, 1, 1, -1]


def test_border_point_joins_the_nearest_core_and_ties_the_smaller_one():
    left, right = np.array([-1.0, -1.1, -1.2]), np.array([1.0, 1.1, 1.2])
    for middle, label in ((-0.01, 0), (0.01, 1), (0.0, 0)):
        points = np.concatenate([left, right, [middle]])[:, None]
        found = group_by_features(points, radius=1.05, least=4)
        assert found.tolist() == [0, 0, 0, 1, 1, 1, label]


def test_copies_count():
    points = np.concatenate([np.zeros((6, 2)), np.ones((4, 2)), [[5.0, 5.0]]])
    assert group_by_features(points).tolist() == [0] * 6 + [1] * 4 + [-1]
    assert group_by_features(points, radius=0.0, least=5).tolist() == [0] * 6 + [-1] * 5


def test_rows_that_are_not_finite_belong_to_no_group():
    points = np.array([[0.0, 1.0], [0.0, 1.0], [np.nan, 0.0], [np.inf, 1.0]])
    assert group_by_features(points).tolist() == [0, 0, -1, -1]
    assert group_by_features(np.full((2, 2), np.nan)).tolist() == [-1, -1]
    assert group_by_features(np.empty((0, 2))).shape == (0,)


def test_tight_groups_of_many_points_are_cheap():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(10_000, 2)) * 1e-9, 1 + rng.normal(size=(10_000, 2)) * 1e-9])
    # all pairs of a group would be 5e7 pairs
    assert np.bincount(group_by_features(points)).tolist() == [10_000, 10_000]


def test_bad_features_are_refused():
    with pytest.raises(ValueError, match="one row of features per point"):
        group_by_features(np.zeros(3))
    with pytest.raises(ValueError, match="radius must be"):
        group_by_features(np.zeros((3, 1)), radius=-1.0)
    with pytest.raises(ValueError, match="least must be at least 1"):
        group_by_features(np.zeros((3, 1)), least=0)
