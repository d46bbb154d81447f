"""Fisher's ratio and the linear probe: closed forms, invariances, scikit-learn as oracle, exact null distributions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeClassifier

from resdyn.analysis.layers import probes

RNG = np.random.default_rng(0)


def two_clouds(n, d, *, gap=2.0, rng=RNG):
    labels = np.arange(n) % 2
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    x[:, 0] += gap * labels
    return x, labels


def scatter(x, labels):
    """(S_W, S_B) as the definitions say."""
    groups = [x[labels == label] for label in np.unique(labels)]
    within = sum((g - g.mean(axis=0)).T @ (g - g.mean(axis=0)) for g in groups) / len(x)
    moved = [g.mean(axis=0) - x.mean(axis=0) for g in groups]
    return within, sum(len(g) * np.outer(m, m) for g, m in zip(groups, moved, strict=True)) / len(x)


@pytest.mark.parametrize(("n", "d"), [(60, 4), (200, 30), (20, 50), (12, 12), (40, 1)])
@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("ridge", [1e-3, 0.5])
def test_fisher_ratio_is_the_trace_of_its_definition(n, d, n_classes, ridge):
    labels = RNG.permutation(np.arange(n) % n_classes)
    x = RNG.normal(size=(n, d)) + RNG.normal(size=(n_classes, d))[labels]
    within, between = scatter(x, labels)
    rho = ridge * np.trace(within + between) / d
    expected = np.trace(np.linalg.solve(within + rho * np.eye(d), between))
    assert probes.fisher_ratio(x, labels, ridge=ridge) == pytest.approx(expected, rel=1e-8)


def test_fisher_ratio_of_one_unit_is_between_over_within():
    x = np.array([[-1.0], [1.0], [4.0], [6.0]])  # means 0 and 5, variance 1 in each class
    assert probes.fisher_ratio(x, [0, 0, 1, 1], ridge=1e-10) == pytest.approx(2.5**2 / 1.0, rel=1e-8)


def test_fisher_ratio_of_two_classes_is_the_distance_that_linear_discriminants_use():
    x, labels = two_clouds(300, 5)
    lda = LinearDiscriminantAnalysis(solver="lsqr").fit(x, labels)
    gap = lda.means_[1] - lda.means_[0]
    expected = 0.25 * gap @ np.linalg.solve(lda.covariance_, gap)
    assert probes.fisher_ratio(x, labels, ridge=1e-10) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-6, 1.0, 1e6]))
def test_fisher_ratio_is_invariant_under_affine_maps(seed, scale):
    rng = np.random.default_rng(seed)
    labels = np.arange(50) % 2
    x = rng.normal(size=(50, 3)) + 2.0 * labels[:, None]
    # singular values from 1/2 to 2, so that the smallest ridge stays small in every direction
    left, right = (np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(2))
    moved = scale * (x @ left @ np.diag([0.5, 1.0, 2.0]) @ right + rng.normal(size=3))
    before = probes.fisher_ratio(x, labels, ridge=1e-10)
    # the ridge is not invariant: 1e-10 relative, magnified by the condition of the scatter, at most a few hundred
    assert probes.fisher_ratio(moved, labels, ridge=1e-10) == pytest.approx(before, rel=1e-6)


def test_order_of_states_and_units_and_names_of_classes_do_not_matter():
    x, labels = two_clouds(80, 6)
    folds = probes.stratified_folds(labels)
    states, units = RNG.permutation(80), RNG.permutation(6)
    words = np.array(["late", "early"])[labels]
    for ratio in (
        probes.fisher_ratio(x[states][:, units], labels[states]),
        probes.fisher_ratio(x.reshape(80, 2, 3), words),
    ):
        assert ratio == pytest.approx(probes.fisher_ratio(x, labels), rel=1e-9)
    accuracy = probes.probe_accuracy(x, labels, folds)
    assert probes.probe_accuracy(x[states][:, units], labels[states], folds[states]) == accuracy
    assert probes.probe_accuracy(x, words, folds) == accuracy
    assert probes.probe_accuracy(1e200 * x, labels, folds) == accuracy  # squares would overflow


@pytest.mark.parametrize(("n", "d"), [(100, 3), (90, 20), (40, 200), (30, 30)])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("ridge", [1e-4, 0.3])
def test_probe_is_the_ridge_classifier_of_scikit_learn(n, d, n_classes, ridge):
    labels = RNG.permutation(np.arange(n) % n_classes)
    x = 3.0 + RNG.normal(size=(n, d)) + 1.5 / np.sqrt(d) * RNG.normal(size=(n_classes, d))[labels]
    folds = probes.stratified_folds(labels, 5, rng=1)
    alpha = ridge * ((x - x.mean(axis=0)) ** 2).sum() / d
    one_hot = (labels[:, None] == np.arange(n_classes)).astype(float)
    predicted = probes.held_out_predictions(probes.ridge_basis(x, ridge), one_hot, folds)
    hits = 0
    for fold in range(5):
        rest, held_out = folds != fold, folds == fold
        oracle = RidgeClassifier(alpha=alpha).fit(x[rest], labels[rest])
        decision = oracle.decision_function(x[held_out])  # its targets are −1 and 1
        ours = 2 * predicted[held_out] - 1
        # both solve systems whose condition is up to 1/ridge = 1e4
        assert np.allclose(ours[:, 1] if n_classes == 2 else ours, decision, atol=1e-8)
        hits += int((oracle.predict(x[held_out]) == labels[held_out]).sum())
    assert probes.probe_accuracy(x, labels, folds, ridge=ridge) == pytest.approx(hits / n, abs=1e-12)


def test_perfectly_separable_classes_are_told_apart():
    x = np.array([[0.0, 1.0], [1.0, 0.0]])[np.arange(20) % 2] + 1e-3 * RNG.normal(size=(20, 2))
    labels = np.arange(20) % 2
    assert probes.probe_accuracy(x, labels, probes.stratified_folds(labels)) == 1.0
    assert probes.fisher_ratio(x, labels, ridge=1e-10) > 1e4


def test_constant_states_separate_nothing():
    labels = np.arange(30) % 3
    folds = probes.stratified_folds(labels)
    x = np.full((30, 4), 0.1)
    assert probes.fisher_ratio(x, labels) == 0.0
    assert probes.probe_accuracy(x, labels, folds) <= 1 / 3
    # a unit that never varies, like a saturated one, changes only the mean variance to which the ridge is relative
    varying, _ = two_clouds(30, 2)
    padded = np.column_stack([varying, np.full(30, 0.1)])
    expected = probes.fisher_ratio(varying, labels, ridge=2e-3)
    assert probes.fisher_ratio(padded, labels, ridge=3e-3) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    labels=st.lists(st.integers(0, 3), min_size=8, max_size=60).filter(lambda found: len(set(found)) > 1),
    n_folds=st.integers(2, 6),
)
def test_folds_are_even_in_size_and_in_classes(labels, n_folds):
    labels = np.array(labels)
    folds = probes.stratified_folds(labels, n_folds, rng=3)
    sizes = np.bincount(folds)
    assert sizes.max() - sizes.min() <= 1
    for label in np.unique(labels):
        of_class = np.bincount(folds[labels == label], minlength=len(sizes))
        assert of_class.max() - of_class.min() <= 1
    assert len(sizes) == max(2, min(n_folds, np.unique(labels, return_counts=True)[1].min()))


def test_shuffles_keep_the_classes_of_each_fold():
    labels = RNG.permutation(np.arange(50) % 3)
    folds = probes.stratified_folds(labels)
    labellings = probes.shuffled_within_folds(labels, folds, 30, 0)
    assert np.array_equal(labellings[0], labels)
    assert len(np.unique(labellings, axis=0)) == 31
    for fold in range(5):
        expected = np.sort(labels[folds == fold])
        assert (np.sort(labellings[:, folds == fold], axis=1) == expected).all()


def test_random_labels_lie_anywhere_in_their_null_distribution():
    # 200 sets of random labels, 19 shuffles each: ranks of the true one among 20 are uniform for Fisher's ratio,
    # which has no ties; the chi-square statistic with 19 degrees of freedom exceeds 44 with probability 0.1 %
    ranks = []
    x = RNG.normal(size=(40, 3))
    for seed in range(200):
        codes = np.random.default_rng(seed).permutation(np.arange(40) % 2)
        folds = probes.stratified_folds(codes, rng=seed)
        labellings = probes.shuffled_within_folds(codes, folds, 19, seed + 1000)
        fisher, probe = probes.separability(x, labellings, 2, folds, 1e-3)
        ranks.append(int((fisher[1:] >= fisher[0]).sum()))
        assert fisher[0] == pytest.approx(probes.fisher_ratio(x, codes))
        assert probe[0] == pytest.approx(probes.probe_accuracy(x, codes, folds))
        # a labelling that is shuffled is measured as if it were the true one
        assert probe[7] == pytest.approx(probes.probe_accuracy(x, labellings[7], folds))
    observed = np.bincount(ranks, minlength=20)
    assert ((observed - 10) ** 2 / 10).sum() < 44


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: probes.fisher_ratio(np.zeros(4), [0, 1, 0, 1]), ValueError, "one state per row"),
        (lambda: probes.fisher_ratio(np.eye(4), [0, 0, 0, 0]), ValueError, "all labels are 0"),
        (lambda: probes.fisher_ratio(np.eye(4), [0, 1]), ValueError, r"labels has shape \(2,\), but 4 states"),
        (lambda: probes.fisher_ratio(np.eye(4), [0, 1, None, 1]), TypeError, "numbers or words"),
        (lambda: probes.fisher_ratio(np.eye(4), [0.0, 1.0, np.nan, 1.0]), ValueError, "labels holds NaN"),
        (lambda: probes.fisher_ratio(np.eye(4), [0, 1, 0, 1], ridge=1e-14), ValueError, "drowns in rounding"),
        (lambda: probes.fisher_ratio(np.full((4, 2), np.nan), [0, 1, 0, 1]), ValueError, "x holds NaN"),
        (lambda: probes.probe_accuracy(np.eye(4), [0, 1, 0, 1], [0, 0, 0, 0]), ValueError, "at least two folds"),
        (lambda: probes.probe_accuracy(np.eye(4), [0, 1, 0, 1], [0, 1]), ValueError, r"shape \(4,\)"),
        (lambda: probes.stratified_folds([0, 1, 0, 1], 1), ValueError, "n_folds must be at least 2"),
    ],
)
def test_bad_input_is_explained(call, error, match):
    with pytest.raises(error, match=match):
        call()
