"""How the claims on circles and on the depth rule are judged, and how numbers are put in words."""

from typing import Any

MOST = 0.5
"""What the paper found in one network is typical if more than half of the networks show it."""
PERFECT = 0.9995
"""No error among a thousand test samples."""


def typical(share: float, why: str) -> str:
    """A judgement from the share of networks that show what the paper's does."""
    if share > MOST:
        return "confirmed"
    return f"qualified: {why}" if share > 0 else "not confirmed"


def numbers(values: Any, digits: int = 2) -> str:
    """In parentheses."""
    return "(" + ", ".join(f"{value:.{digits}f}" for value in values) + ")"
