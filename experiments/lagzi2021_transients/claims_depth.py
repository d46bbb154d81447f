"""What lagzi2021 says about the depth rule, and what our numbers say about it."""

from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import BEYOND
from experiments._harness.spreads import spread
from experiments.lagzi2021_transients.circles_judging import MOST, PERFECT, typical

Summary = dict[str, Any]

LOSS_OF_ACCURACY = 0.005
"""Half a point: with 1000 test samples at 99 % the deviation of an accuracy is 0.3 points."""
PAPER, PAPER_LAYERS = 0.01, 5
"""The paper's threshold, and what it left of 15 layers with shared weights; one more counts as the same."""


def _at(found: Summary, threshold: float) -> dict[str, np.ndarray]:
    """One row, of the paper's threshold."""
    if threshold not in found["thresholds"]:
        raise ValueError(f"threshold {threshold:g} is not among those tried, {found['thresholds']}.")
    row = list(found["thresholds"]).index(threshold)
    return {name: np.asarray(found[name])[row] for name in ("layers", "accuracy")}


def _circles(summary: Summary, kind: str, threshold: float) -> dict[str, np.ndarray]:
    found = summary["circles"]
    return _at({"thresholds": found["thresholds"], **found[kind]}, threshold)


def _row(row: dict[str, np.ndarray]) -> str:
    return f"{spread(row['layers'], 0)} layers at {spread(row['accuracy'], 1, 100)} %"


def shared_depth(summary: Summary) -> str:
    """The rule against its controls."""
    seeds = len(summary["circles"]["shared"]["layers"][0])
    return (
        f"threshold 0.01, median over {seeds} seeds [least, most]: {_row(_circles(summary, 'shared', 0.01))}; the rule "
        f"in the second half of the training alone: {_row(_circles(summary, 'late', 0.01))}; without it: "
        f"{_row(_circles(summary, 'shared', 0.0))}; so many layers from the start, accuracy in %: "
        f"{_from_the_start(summary, 'shared')}"
    )


def _from_the_start(summary: Summary, kind: str) -> str:
    """Depths and accuracies of networks that kept the layers they had."""
    fixed = summary["fixed"][kind]
    rows = zip(fixed["depths"], fixed["accuracy"], strict=True)
    return "; ".join(f"{depth} {spread(row, 1, 100)}" for depth, row in rows) or "not run"


def shared_depth_verdict(summary: Summary) -> str:
    """The paper's few layers without an error; or fewer than 15 at the accuracy of 15; in most networks."""
    for kind, why in (("shared", ""), ("late", "if the rule waits for half of the training")):
        if _shorter(summary, kind):
            reasons = [why] * bool(why) + _short_of_the_paper(_circles(summary, kind, PAPER))
            return f"qualified: {', '.join(reasons)}" if reasons else "confirmed"
    return "not confirmed"


def _shorter(summary: Summary, kind: str) -> bool:
    """Fewer layers than at the beginning, without loss against the same seed without the rule, in most networks."""
    with_rule, without = _circles(summary, kind, PAPER), _circles(summary, kind, 0.0)
    good = (with_rule["layers"] < summary["start"]) & (with_rule["accuracy"] >= without["accuracy"] - LOSS_OF_ACCURACY)
    return bool(good.mean() > MOST)


def _short_of_the_paper(row: dict[str, np.ndarray]) -> list[str]:
    layers, right = np.median(row["layers"]), row["accuracy"] >= PERFECT
    many = [f"to {layers:g} layers, not {PAPER_LAYERS}"] if layers > PAPER_LAYERS + 1 else []
    errors = [f"at 100 % in {int(right.sum())} of {len(right)} networks"] if right.mean() <= MOST else []
    return many + errors


def layerwise_depth(summary: Summary) -> str:
    """A matrix of its own for each layer, with the rule, without it, and with few layers from the start."""
    return (
        f"threshold 0.01: {_row(_circles(summary, 'layerwise', PAPER))}; without the rule: "
        f"{_row(_circles(summary, 'layerwise', 0.0))}; so many layers from the start, accuracy in %: "
        f"{_from_the_start(summary, 'layerwise')}"
    )


def layerwise_depth_verdict(summary: Summary) -> str:
    """The rule keeps all layers in more than half of the networks; and fewer layers from the start do worse.

    Every depth that was run is compared with the networks of all layers, median with median.
    """
    kept = _circles(summary, "layerwise", PAPER)["layers"] == summary["start"]
    if kept.mean() <= MOST:
        return typical(float(kept.mean()), f"in {int(kept.sum())} of {len(kept)} networks")
    fixed = summary["fixed"]["layerwise"]
    if not len(fixed["depths"]):
        return f"qualified: the rule keeps all {summary['start']}, whether they are needed was not run"
    needed = np.median(_circles(summary, "layerwise", 0.0)["accuracy"]) - LOSS_OF_ACCURACY
    enough = [depth for depth, row in zip(fixed["depths"], fixed["accuracy"], strict=True) if np.median(row) >= needed]
    if not enough:
        return "confirmed"
    words = ", ".join(str(depth) for depth in sorted(enough))
    return f"qualified: the rule keeps all {summary['start']}, but {words} from the start do as well"


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
    if PAPER not in found["thresholds"] or 0.0 not in found["thresholds"]:
        return f"not judged: threshold {PAPER:g} or its control 0 is not among those tried"
    with_rule, without = _at(found, PAPER), _at(found, 0.0)
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
        "Depth rule on circles, variable weights: all layers are needed, so the rule keeps them",
        "15",
        "depth",
        layerwise_depth,
        layerwise_depth_verdict,
    ),
    Claim(
        "depth-images",
        "Depth rule on images: depth and accuracy against the threshold",
        BEYOND,
        "depth",
        image_depth,
        image_depth_verdict,
    ),
)
