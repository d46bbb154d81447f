"""Mutual information of all pairs of units and input dimensions, against shuffled samples.

Both are cut into bins of equal width on [0, 1]. The estimate from counts is biased upwards; what it gives where the
samples of the inputs are shuffled is taken off, pair by pair, and says which values chance can give.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
CHANCE = 0.001
"""Shuffled pairs above the threshold: one in a thousand."""


def binned(values: Array, bins: int) -> NDArray[np.int8]:
    """Numbers from 0 to bins − 1, of values in [0, 1]."""
    return np.clip((np.asarray(values) * bins).astype(np.int64), 0, bins - 1).astype(np.int8)


def mutual_information(y: Array, x: Array) -> Array:
    """In bits, from counts: of each column of y (n, N) with each of x (n, d), both binned; shape (N, d)."""
    n = len(y)
    # counts below 2²⁴ are exact in single precision, and its products are twice as fast
    ones_y = [(y == value).astype(np.float32) for value in range(int(y.max()) + 1)]
    ones_x = [(x == value).astype(np.float32) for value in range(int(x.max()) + 1)]
    joint = np.zeros((y.shape[1], x.shape[1]), dtype=np.float32)
    for of_y in ones_y:
        for of_x in ones_x:
            joint += _entropy_terms(of_y.T @ of_x, n)
    return np.asarray(entropies(y)[:, None] + entropies(x) - joint)


def _entropy_terms(counts: Array, n: int) -> Array:
    """−p log₂ p of counts out of n, 0 for no counts."""
    p = counts / np.float32(n)
    return -p * np.log2(np.where(p > 0, p, 1))


def entropies(y: Array) -> Array:
    """In bits, of each column of binned values, shape (N,)."""
    counts = np.array([(y == value).sum(axis=0) for value in range(int(y.max()) + 1)], dtype=np.float32)
    return np.asarray(_entropy_terms(counts, len(y)).sum(axis=0))


def shuffles(y: Array, x: Array, n: int, rng: np.random.Generator) -> Iterator[Array]:
    """Mutual information with the samples of x shuffled, all dimensions in the same way, n times."""
    for _ in range(n):
        yield mutual_information(y, x[rng.permutation(len(x))])


def calibrated(y: Array, x: Array, n: int, rng: np.random.Generator) -> dict[str, Array]:
    """Information less its mean over n shuffles, and which pairs exceed what one shuffled pair in a thousand has.

    Returns
    -------
    dict
        ``information`` (N, d), in bits, may be negative; ``above`` (N, d); ``threshold``; ``false``, the share of
        pairs above it in a further shuffle, which the threshold has not seen; ``unseen`` (N, d), the information of
        that shuffle, 0 where it is not above.
    """
    plain = mutual_information(y, x)
    seen = list(shuffles(y, x, n, rng))
    bias = np.mean(seen, axis=0)
    excess = np.concatenate([(one - bias).ravel() for one in seen])
    # each excess has a part of its own bias taken off, 1/n of itself
    threshold = np.quantile(excess, 1 - CHANCE) * n / (n - 1)
    (further,) = shuffles(y, x, 1, rng)
    unseen = further - bias
    return {
        "information": plain - bias,
        "above": plain - bias > threshold,
        "threshold": np.array(threshold),
        "false": np.array(np.mean(unseen > threshold)),
        "unseen": np.where(unseen > threshold, unseen, 0),
    }
