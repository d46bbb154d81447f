"""What eigenvalues say about a fixed point, and where they say nothing."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MARGIN = 1e-9
"""Eigenvalues closer to the boundary of stability than this, relative to the largest, decide nothing."""


def growth_and_margin(
    eigenvalues: Array, multipliers: Array, errors: Array, step: float, dynamics: str
) -> tuple[Array, Array]:
    """Re λ (flow) or |μ| − 1 (map), and how far from zero it must be to decide; negative where perturbations die out.

    An eigenvalue of exact sign (error 0, real) needs no margin, and then the sign of λ speaks for the map too.
    """
    if dynamics == "flow":
        return np.real(eigenvalues), errors
    growth = np.where(errors == 0, np.real(eigenvalues), np.abs(multipliers) - 1.0)
    # 1 + hλ is rounded to a unit of its own
    return growth, np.where(errors == 0, 0.0, step * errors + 4 * np.finfo(float).eps)


def eigenvalues_with_errors(A: Array) -> tuple[Array, Array]:
    r"""Eigenvalues of matrices (n, d, d), and how far rounding may have moved them, both (n, d).

    A perturbation of size :math:`\epsilon\|A\|` moves a simple eigenvalue by its condition number
    :math:`\kappa = \|v\|\|w\| / |w^{\mathsf T}v|` times that; κ grows without bound where eigenvalues merge, and the
    estimate with it. The eigenvalues of a triangular matrix are its diagonal, however often one is repeated: its zeros
    come from the structure of a system, and are no digits that could be others. At least ``MARGIN`` of the largest
    eigenvalue, so that nothing is decided by digits that could as well be others.
    """
    finite: Array = np.asarray(np.isfinite(A).all(axis=(1, 2)))
    safe = np.where(finite[:, None, None], A, np.eye(A.shape[-1]))
    # powers of two, so that norms neither over- nor underflow
    exponent = np.frexp(np.abs(safe).max(axis=(1, 2)))[1][:, None]
    safe = np.ldexp(safe, -exponent[..., None])
    values, right = np.linalg.eig(safe)
    with np.errstate(all="ignore"):
        left = np.array([_inverse(v) for v in right]).reshape(right.shape)
        condition = np.linalg.norm(right, axis=1) * np.linalg.norm(left, axis=2)
        size = np.linalg.norm(safe, axis=(1, 2))[:, None]
        errors = 16 * A.shape[-1] * np.finfo(float).eps * size * condition
    triangular = (np.triu(safe) == safe).all(axis=(1, 2)) | (np.tril(safe) == safe).all(axis=(1, 2))
    diagonal = np.diagonal(safe, axis1=1, axis2=2)
    values, errors = np.where(triangular[:, None], diagonal, values), np.where(triangular[:, None], 0.0, errors)
    largest = np.abs(values).max(axis=-1, keepdims=True, initial=0.0)
    errors = np.maximum(np.where(np.isnan(errors), np.inf, errors), MARGIN * largest)
    with np.errstate(over="ignore", under="ignore"):
        values = np.ldexp(values.real, exponent) + 1j * np.ldexp(values.imag, exponent)
        # an error that underflows must not pass for none at all
        errors = np.maximum(np.ldexp(errors, exponent), np.finfo(float).smallest_subnormal)
    return np.where(finite[:, None], values, np.nan), errors


def _inverse(matrix: Array) -> Array:
    try:
        return np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return np.full_like(matrix, np.inf)


def verdict(growth: Array, margin: Array) -> Array:
    """1 stable, 0 unstable, −1 undecided, from the growth along all directions (last axis); NaN decides nothing."""
    unstable = (growth > margin).any(axis=-1)
    stable = (growth < -margin).all(axis=-1)
    return np.where(unstable, 0, np.where(stable, 1, -1)).astype(np.int8)


def kind(growth: Array, rotation: Array, margin: Array) -> str:
    """Node, focus, saddle, centre or non-hyperbolic.

    ``rotation`` is the imaginary part of each eigenvalue (of each multiplier).
    """
    grows, decays = bool((growth > margin).any()), bool((growth < -margin).any())
    neutral = np.abs(growth) <= margin
    turns = np.abs(rotation) > margin
    if neutral.any():
        return "centre" if neutral.all() and turns.all() else "non-hyperbolic"
    if grows and decays:
        return "saddle"
    return "focus" if turns.any() else "node"
