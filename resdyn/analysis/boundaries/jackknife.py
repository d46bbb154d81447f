r"""Standard errors of what is averaged over a region of state space.

Neighbouring boxes see the same piece of a boundary, so they are not independent. The region is cut into blocks, the
quantity is evaluated again without each block in turn, and with n blocks

.. math:: \mathrm{SE}^2 = \frac{n - 1}{n} \sum_{i=1}^{n} \bigl(\hat\theta_{-i} - \bar\theta\bigr)^2 .
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# so many blocks in all, about: enough for an error of the error of a seventh, few enough to be larger than the memory
_BLOCKS = 25


def block_numbers(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The block, from 0, of each place of a grid of this shape, equally many along each axis."""
    per_axis = max(2, round(_BLOCKS ** (1 / len(shape)))) if shape else 1
    number = np.zeros(shape, dtype=np.int64)
    for axis, n in enumerate(shape):
        blocks = min(per_axis, n)
        along = np.arange(n) * blocks // n
        number = number * blocks + along.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return number


def sums_per_block(values: Array, numbers: NDArray[np.int64]) -> Array:
    """The sum of values over each block."""
    return np.bincount(numbers.ravel(), weights=values.ravel().astype(float), minlength=int(numbers.max()) + 1)


def leave_one_out(sums: Array) -> Array:
    """The sums over all blocks but one, along the last axis."""
    return sums.sum(axis=-1, keepdims=True) - sums


def p_value_of_zero(value: Array, without: Array) -> float:
    r"""The chance of an estimate as far from zero as this, (p,), by Hotelling's T² of its values without each block.

    The jackknife's covariance S of n blocks makes :math:`\frac{n - p}{p(n - 1)} v^{\mathsf T}S^{-1}v` Fisher's F with p
    and n − p degrees of freedom, if the blocks are independent and alike. NaN for too few blocks.
    """
    from scipy.stats import f

    p, n = without.shape
    if not p or n <= p or not (np.isfinite(value).all() and np.isfinite(without).all()):
        return np.nan
    away = without - without.mean(axis=1, keepdims=True)
    covariance = (n - 1) / n * away @ away.T
    squared = float(value @ np.linalg.pinv(covariance, hermitian=True) @ value)
    return float(f.sf((n - p) / (p * (n - 1)) * squared, p, n - p))


def standard_error(without: Array) -> Array:
    """Of an estimate whose values without each block stand along the last axis; NaN for a single block."""
    n = without.shape[-1]
    if n < 2:
        return np.full(without.shape[:-1], np.nan)
    away = without - without.mean(axis=-1, keepdims=True)
    return np.sqrt((n - 1) / n * (away**2).sum(axis=-1))
