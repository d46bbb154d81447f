r"""A power law fitted to shares: :math:`f(\epsilon) = C\epsilon^\alpha` from counts of k events among n trials each.

The counts are taken as binomial with the logarithm as link, and C and α maximise the likelihood. Sizes at which nothing
was counted thus keep their weight; a line through logarithms would have to drop them, which bends it towards small α.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_ITERATIONS = 60
# a share of 1 has no binomial variance; this keeps its weight finite
_LARGEST_SHARE = 0.999


@dataclass(frozen=True)
class Fit:
    """Coefficients of log f, their covariance for binomial counts, and Pearson's χ² per degree of freedom.

    Without a degree of freedom that is 1.
    """

    coefficients: Array
    covariance: Array
    dispersion: float
    degrees: int


def fitted(design: Array, counts: Array, trials: Array) -> Fit | None:
    """The fit by iterated weighted least squares; None where fewer sizes were hit than there are coefficients."""
    shares = counts / trials
    hit = counts > 0
    n_sizes, n_coefficients = design.shape
    if hit.sum() < n_coefficients:
        return None
    weights = np.where(hit, counts / np.maximum(1 - shares, 1 - _LARGEST_SHARE), 0.0)
    beta = _weighted(design, np.log(np.where(hit, shares, 1.0)), weights)
    for _ in range(_ITERATIONS):
        eta = np.minimum(design @ beta, np.log(_LARGEST_SHARE))
        mu = np.exp(eta)
        weights = trials * mu / (1 - mu)
        after = _weighted(design, eta + (shares - mu) / mu, weights)
        if not np.isfinite(after).all():
            return None
        moved = np.abs(after - beta).max()
        beta = after
        if moved < 1e-12 * (1 + np.abs(beta).max()):
            break
    mu = np.minimum(np.exp(design @ beta), _LARGEST_SHARE)
    weights = trials * mu / (1 - mu)
    covariance = np.linalg.pinv(design.T @ (weights[:, None] * design))
    chi_squared = float((trials * (shares - mu) ** 2 / (mu * (1 - mu))).sum())
    degrees = n_sizes - n_coefficients
    return Fit(beta, covariance, chi_squared / degrees if degrees else 1.0, degrees)


def _weighted(design: Array, values: Array, weights: Array) -> Array:
    root = np.sqrt(weights)
    return np.linalg.lstsq(root[:, None] * design, root * values, rcond=None)[0]


def slopes_over_halves(epsilons: Array, counts: Array, trials: Array) -> Array:
    """The exponent over each run of half of the sizes, smallest first; NaN where fewer than two of them were hit."""
    length = max(2, (len(epsilons) + 1) // 2)
    found = []
    for first in range(len(epsilons) - length + 1):
        part = slice(first, first + length)
        line, _, _ = designs(epsilons[part])
        fit = fitted(line, counts[part], trials[part]) if (trials[part] > 0).all() else None
        found.append(np.nan if fit is None else fit.coefficients[1])
    return np.array(found)


def off_a_line(epsilons: Array, shares: Array) -> Array:
    """What of log f no power law explains: its components off all lines in log ε, (n, ...) to (n − 2, ...)."""
    line, _, _ = designs(epsilons)
    off = np.linalg.qr(line, mode="complete")[0][:, 2:]
    return np.asarray(off.T @ np.log(shares))


def designs(epsilons: Array) -> tuple[Array, Array, float]:
    """The columns of a line and of a parabola in log ε, centred, and the width of the range in log ε."""
    x = np.log(epsilons)
    width = float(x.max() - x.min())
    centred = x - x.mean()
    line = np.stack([np.ones(len(x)), centred], axis=1)
    parabola = np.concatenate([line, (centred**2 - (centred**2).mean())[:, None]], axis=1)
    return line, parabola, width
