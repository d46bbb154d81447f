"""States at the read-out beside the weights of the classifier, unit by unit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def class_means(states: Array, labels: Array, classes: int) -> Array:
    """Shape (classes, N)."""
    return np.array([states[labels == c].mean(axis=0) for c in range(classes)])


def largest_weights(weights: Array, states: Array, labels: Array) -> list[dict[str, int]]:
    """For each class the unit with its largest weight, and two ranks of the mean state there; 1 is the largest.

    ``rank`` is that among all units, ``rank_of_class`` that of this class among all classes, in this unit.
    """
    means = class_means(states, labels, len(weights))
    return [
        {
            "unit": unit,
            "rank": int((means[c] > means[c, unit]).sum()) + 1,
            "rank_of_class": int((means[:, unit] > means[c, unit]).sum()) + 1,
        }
        for c, unit in enumerate(map(int, weights.argmax(axis=1)))
    ]


def correlation(weights: Array, states: Array, labels: Array) -> float:
    """Of weights with mean states, each less its mean over classes, over units and classes."""
    means = class_means(states, labels, len(weights))
    return float(np.corrcoef((weights - weights.mean(axis=0)).ravel(), (means - means.mean(axis=0)).ravel())[0, 1])
