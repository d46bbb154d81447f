"""How the claims on circles and on the depth rule are judged."""

from typing import Any

import numpy as np

from experiments._harness.spreads import spread

Summary = dict[str, Any]

MOST = 0.5
"""What the paper found in one network is typical if more than half of the networks show it."""
PERFECT = 0.9995
"""No error among a thousand test samples."""
ALL = 0.99
"""Of the samples: of 1000 points ten may lie on the border of two basins."""
TRACKS = 0.9
"""Of the variance of the mean residuals over layers: a tenth is left for the error of steps of 1."""
PAPER = 0.01
"""The paper's threshold of the depth rule."""


def typical(share: float, why: str) -> str:
    """A judgement from the share of networks that show what the paper's does."""
    if share > MOST:
        return "confirmed"
    return f"qualified: {why}" if share > 0 else "not confirmed"


def settled(summary: Summary) -> dict[str, list[Summary]]:
    """Ends of the networks all of whose samples settle, in one equilibrium or in several."""
    return {word: [end for end in summary["ends"]["each"] if end["word"] == word] for word in ("one", "several")}


# --- the depth rule ----------------------------------------------------------------------------------


def at(found: Summary, threshold: float) -> dict[str, np.ndarray]:
    """Layers and accuracies of all seeds at one threshold."""
    if threshold not in found["thresholds"]:
        raise ValueError(f"threshold {threshold:g} is not among those tried, {found['thresholds']}.")
    row = list(found["thresholds"]).index(threshold)
    return {name: np.asarray(found[name])[row] for name in ("layers", "accuracy")}


def on_circles(summary: Summary, kind: str, threshold: float) -> dict[str, np.ndarray]:
    """The same of one kind of networks on circles."""
    found = summary["circles"]
    return at({"thresholds": found["thresholds"], **found[kind]}, threshold)


def layers_and_accuracy(row: dict[str, np.ndarray]) -> str:
    """In words, over seeds."""
    return f"{spread(row['layers'], 0)} layers at {spread(row['accuracy'], 1, 100)} %"
