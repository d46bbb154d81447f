"""What eigenvalues say about a fixed point, and where they say nothing."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MARGIN = 1e-9
"""Eigenvalues closer to the boundary of stability than this, relative to the largest, decide nothing."""


def growth(eigenvalues: Array, multipliers: Array, dynamics: str) -> Array:
    """Re λ (flow) or |μ| − 1 (map): negative where perturbations die out."""
    return np.real(eigenvalues) if dynamics == "flow" else np.abs(multipliers) - 1.0


def margins(eigenvalues: Array, step: float, dynamics: str) -> Array:
    """How far from zero the growth must be to decide, (*batch, 1)."""
    largest = np.abs(eigenvalues).max(axis=-1, keepdims=True, initial=0.0)
    return MARGIN * (largest if dynamics == "flow" else 1.0 + step * largest)


def verdict(growth: Array, margin: Array) -> Array:
    """1 stable, 0 unstable, −1 undecided, from the growth along all directions (last axis)."""
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
