"""Numbers over nets, seeds or images in few: their intervals, and how they are put in words.

Where nothing is known the words are "not known".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

CONFIDENCE = 0.95
ENOUGH_SEEDS = 3
"""With two seeds a t-interval is thirteen times as wide as their standard error: it says nothing.

Kinds that do not differ are apart, in one order, in one of 20 draws of three seeds each; of two, in one of 6.
"""


def student_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float] | None:
    """Student's 95 % interval of the mean; None for one value, which has no spread."""
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return None
    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    mean = float(np.mean(values))
    return mean - half, mean + half


def spread(values: Any, digits: int = 2, scale: float = 1.0) -> str:
    """The median and the smallest and largest, "0.52 [0.31, 0.84]"; what is None or not finite is not known."""
    known = _known(values) * scale
    if not len(known):
        return "not known"
    return f"{np.median(known):.{digits}f} [{known.min():.{digits}f}, {known.max():.{digits}f}]"


def quartiles(values: Any, digits: int = 2) -> str:
    """The median and the quartiles, "0.52 [0.47, 0.61]"."""
    known = _known(values)
    if not len(known):
        return "not known"
    low, middle, high = np.quantile(known, (0.25, 0.5, 0.75))
    return f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def between(values: Sequence[float], digits: int = 0, scale: float = 1.0) -> str:
    """The smallest and the largest, one number where they look alike: "95.2–96.0"."""
    if not len(values):
        return "not known"
    low, high = (f"{scale * value:.{digits}f}" for value in (min(values), max(values)))
    return low if low == high else f"{low}–{high}"


def _known(values: Any) -> np.ndarray:
    # None becomes NaN
    known = np.asarray(values, dtype=float).ravel()
    return known[np.isfinite(known)]
