"""Weight matrices with a known structure, for systems of the matrix family."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate

Array = NDArray[Any]


def random_weights(n: int, *, scale: float = 1.0, depth: int | None = None, rng: Any = 0) -> Array:
    r"""Independent normal weights of variance scale²/n, so that the spectral radius tends to ``scale``.

    Shape (n, n), or (depth, n, n) for layer-wise weights.
    """
    n = validate.count(n, "n", least=1)
    shape = (n, n) if depth is None else (validate.count(depth, "depth", least=1), n, n)
    return np.random.default_rng(rng).normal(0.0, scale / np.sqrt(n), shape)


def symmetric_weights(n: int, *, scale: float = 1.0, rng: Any = 0) -> Array:
    """The symmetric part of :func:`random_weights`, shape (n, n); yᵀWy/2 grows along the flow of the residuals."""
    W = random_weights(n, scale=scale, rng=rng)
    return (W + W.T) / 2


def skew_weights(n: int, *, scale: float = 1.0, rng: Any = 0) -> Array:
    """The skew part of :func:`random_weights`, shape (n, n); Σ softplus(z) is constant along the flow of residuals."""
    W = random_weights(n, scale=scale, rng=rng)
    return (W - W.T) / 2


def cooperative_weights(n: int, *, scale: float = 1.0, rng: Any = 0) -> Array:
    """Random weights whose off-diagonal entries are all positive: every unit helps every other; shape (n, n)."""
    W = random_weights(n, scale=scale, rng=rng)
    return np.where(np.eye(n, dtype=bool), W, np.abs(W))


def competitive_weights(n: int, *, scale: float = 1.0, rng: Any = 0) -> Array:
    """Random weights whose off-diagonal entries are all negative: every unit hinders every other; shape (n, n)."""
    W = random_weights(n, scale=scale, rng=rng)
    return np.where(np.eye(n, dtype=bool), W, -np.abs(W))


def cyclic_weights(*, win: float = 1.0, lose: float = 0.9, self_limit: float = 0.2) -> Array:
    r"""Three units, each of which gains from the next and suffers from the one before; shape (3, 3).

    Rows :math:`(-s, w, -l)`, cyclically: rock, paper, scissors, in the spirit of [mayleonard1975]_.
    """
    row = [-self_limit, win, -lose]
    return np.array([np.roll(row, shift) for shift in range(3)])
