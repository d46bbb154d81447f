"""The first depth that the stopping rule of hauser2019 accepts."""

import numpy as np
import pytest

import resdyn


def test_the_first_depth_below_the_threshold_is_taken_whatever_comes_after():
    found = resdyn.sufficient_depth([2, 4, 8], [0.5, 0.2, 0.3], [0.6, 0.5, 0.25, 0.2])
    assert found.tolist() == [2, 4, 4, 0]  # a mean at the threshold is not below it


def test_inverse_proportion_needs_the_depth_that_the_rule_extrapolates():
    depths = np.arange(1, 200)
    assert resdyn.sufficient_depth(depths, 0.72 / depths, 0.05) == 15  # 0.72 / 0.05 = 14.4
    assert resdyn.sufficient_depth(depths, 0.72 / depths, 1e-4) == 0


def test_what_is_not_known_is_not_deep_enough():
    assert resdyn.sufficient_depth([1, 2, 3], [np.nan, 0.5, 0.1], [1.0, 0.2]).tolist() == [2, 3]


@pytest.mark.parametrize(
    ("depths", "magnitudes", "error", "words"),
    [
        ([4, 2], [0.1, 0.2], ValueError, "ascending"),
        ([2, 2], [0.1, 0.2], ValueError, "ascending"),
        ([], [], ValueError, "at least one"),
        ([2, 4], [0.1], ValueError, "one mean per depth"),
        ([0, 4], [0.1, 0.2], ValueError, "a depth"),
    ],
)
def test_bad_input_is_refused(depths, magnitudes, error, words):
    with pytest.raises(error, match=words):
        resdyn.sufficient_depth(depths, magnitudes, 0.1)


@pytest.mark.parametrize("threshold", [0.0, -0.1, np.nan, np.inf])
def test_thresholds_are_refused_as_the_rule_refuses_them(threshold):
    layers = [np.ones((3, 2)), 2 * np.ones((3, 2))]
    with pytest.raises(ValueError, match="threshold"):
        resdyn.depth_rule(layers, rule="hauser2019", threshold=threshold)
    for thresholds in (threshold, [0.1, threshold]):
        with pytest.raises(ValueError, match="a threshold must be a finite number above 0"):
            resdyn.sufficient_depth([2, 4], [0.2, 0.1], thresholds)


def test_the_answer_has_the_shape_of_the_thresholds():
    assert resdyn.sufficient_depth([2, 4], [0.2, 0.1], 0.15).shape == ()
    assert resdyn.sufficient_depth([2, 4], [0.2, 0.1], []).shape == (0,)
    assert resdyn.sufficient_depth([2, 4], [0.2, 0.1], [[0.3], [0.15]]).tolist() == [[2], [4]]
