"""How the claims on circles and on the depth rule are judged, and how numbers are put in words."""

from typing import Any

import numpy as np

MOST = 0.5
"""What the paper found in one network is typical if more than half of the networks show it."""
PERFECT = 0.9995
"""No error among a thousand test samples."""


def typical(share: float, why: str) -> str:
    """A judgement from the share of networks that show what the paper's does."""
    if share > MOST:
        return "confirmed"
    return f"qualified: {why}" if share > 0 else "not confirmed"


def spread(values: Any, digits: int = 3, scale: float = 1.0) -> str:
    """The median and the smallest and largest."""
    known = np.asarray(values, dtype=float).ravel() * scale
    known = known[np.isfinite(known)]
    if not len(known):
        return "not known"
    return f"{np.median(known):.{digits}f} [{known.min():.{digits}f}, {known.max():.{digits}f}]"


def numbers(values: Any, digits: int = 2) -> str:
    """In parentheses."""
    return "(" + ", ".join(f"{value:.{digits}f}" for value in values) + ")"
