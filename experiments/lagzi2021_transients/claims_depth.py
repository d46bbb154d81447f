"""What lagzi2021 says about the depth rule, and what our numbers say about it."""

from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import NOT_RUN
from experiments.lagzi2021_transients.circles_judging import MOST, spread, typical

Summary = dict[str, Any]

LOSS_OF_ACCURACY = 0.005
"""Half a point: with 1000 test samples at 99 % the deviation of an accuracy is 0.3 points."""


def _at(found: Summary, threshold: float) -> dict[str, np.ndarray]:
    """One row, of the paper's threshold."""
    row = int(np.argmin(np.abs(np.asarray(found["thresholds"], dtype=float) - threshold)))
    return {name: np.asarray(found[name])[row] for name in ("layers", "accuracy")}


def _circles(summary: Summary, kind: str, threshold: float) -> dict[str, np.ndarray]:
    found = summary["circles"]
    return _at({"thresholds": found["thresholds"], **found[kind]}, threshold)


def _row(row: dict[str, np.ndarray]) -> str:
    return f"{spread(row['layers'], 0)} layers at {spread(row['accuracy'], 1, 100)} %"


def shared_depth(summary: Summary) -> str:
    """The rule against its controls."""
    fixed = summary["fixed"]
    short = "; ".join(
        f"{depth} {spread(row, 1, 100)}" for depth, row in zip(fixed["depths"], fixed["accuracy"], strict=True)
    )
    seeds = len(summary["circles"]["shared"]["layers"][0])
    return (
        f"threshold 0.01, median over {seeds} seeds [least, most]: {_row(_circles(summary, 'shared', 0.01))}; the rule "
        f"in the second half of the training alone: {_row(_circles(summary, 'late', 0.01))}; without it: "
        f"{_row(_circles(summary, 'shared', 0.0))}; so many layers from the start, accuracy in %: {short}"
    )


def shared_depth_verdict(summary: Summary) -> str:
    """Fewer layers than 15 at the accuracy of 15, in how many networks, for the rule as the paper states it."""
    return (
        _shorter(summary, "shared")
        or _shorter(summary, "late", "if the rule waits for half of the training")
        or ("not confirmed")
    )


def _shorter(summary: Summary, kind: str, why: str = "") -> str | None:
    """In more than half of the networks: a word of judgement; None otherwise."""
    with_rule, without = _circles(summary, kind, 0.01), _circles(summary, kind, 0.0)
    good = (with_rule["layers"] < summary["start"]) & (with_rule["accuracy"] >= without["accuracy"] - LOSS_OF_ACCURACY)
    if good.mean() <= MOST:
        return None
    return f"qualified: {why}" if why else "confirmed"


def layerwise_depth(summary: Summary) -> str:
    """A matrix of its own for each layer."""
    return (
        f"threshold 0.01: {_row(_circles(summary, 'layerwise', 0.01))}; without the rule: "
        f"{_row(_circles(summary, 'layerwise', 0.0))}"
    )


def layerwise_depth_verdict(summary: Summary) -> str:
    """All layers are kept in more than half of the networks."""
    kept = _circles(summary, "layerwise", 0.01)["layers"] == summary["start"]
    return typical(float(kept.mean()), f"in {int(kept.sum())} of {len(kept)} networks")


def image_depth(summary: Summary) -> str:
    """Depth and accuracy against threshold."""
    found = summary["images"]
    rows = "; ".join(f"{threshold:g}: {_row(_at(found, threshold))}" for threshold in found["thresholds"])
    return (
        f"{found['name']}, {found['units']} units, {found['inputs']} inputs, {found['training_images']} training "
        f"images, {found['epochs']} epochs, median over {len(found['layers'][0])} seeds [least, most]; threshold {rows}"
    )


def image_depth_verdict(summary: Summary) -> str:
    """What the threshold of the paper costs, where it drops layers."""
    found = summary["images"]
    if 0.01 not in found["thresholds"]:
        return NOT_RUN
    with_rule, without = _at(found, 0.01), _at(found, 0.0)
    lost = without["accuracy"] - with_rule["accuracy"]
    fewer = summary["start"] - np.median(with_rule["layers"])
    return f"measured: {fewer:.0f} layers fewer, {100 * np.median(lost):+.1f} points lost"


CLAIMS = (
    Claim(
        "depth-shared",
        "Depth rule on circles, shared weights: fewer layers, same accuracy",
        "15 → 5 at 100 %",
        "depth",
        shared_depth,
        shared_depth_verdict,
    ),
    Claim(
        "depth-layerwise",
        "Depth rule on circles, variable weights: all layers are kept",
        "15",
        "depth",
        layerwise_depth,
        layerwise_depth_verdict,
    ),
    Claim(
        "depth-images",
        "Depth rule on images: depth and accuracy against the threshold",
        "beyond the paper",
        "depth",
        image_depth,
        image_depth_verdict,
    ),
)
