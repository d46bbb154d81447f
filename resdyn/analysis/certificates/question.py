"""What a closed form is asked, and the words in which it answers."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System
from resdyn.analysis.certificates.margins import Sign
from resdyn.analysis.certificates.preactivations import Preactivations
from resdyn.analysis.certificates.result import Condition

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Question:
    """A system, its map or flow, perhaps a fixed point; ``network`` is a reason (str) where the system has none."""

    system: System
    dynamics: str
    at: Array | None
    network: Preactivations | str
    lmi: bool = True
    """Whether to call the solver where the simple choices of D fail."""


def definiteness(name: str, sign: Sign, text: str) -> Condition:
    """The condition that the largest eigenvalue of a matrix is at most 0."""
    ending = {
        "negative": "",
        "semidefinite": " (with equality, exactly)",
        "rounding": f" (within rounding, {sign.error:.1g})",
        "positive": " (violated)",
    }[sign.verdict]
    margin = -sign.value - sign.error
    return Condition(name, sign.value, 0.0, margin, sign.holds, text + ending)


def at_most(name: str, value: float, bound: float, error: float, text: str) -> Condition:
    """The condition value ≤ bound, where both together are known to ``error``."""
    return Condition(name, float(value), float(bound), float(bound - value - error), bool(value <= bound), text)


def range_squared(network: Preactivations) -> float:
    """A bound of |y − y*|² over all y and y*."""
    width = network.slopes.high - network.slopes.low
    return len(network.b) * width**2


def step_weight(network: Preactivations) -> Fraction:
    """hL/2: what multiplies MᵀDM in the condition of the map."""
    return Fraction(network.step) * Fraction(network.slopes.greatest) / 2


def all_finite(*arrays: Any) -> bool:
    """Whether all numbers are finite."""
    return all(bool(np.isfinite(array).all()) for array in arrays)
