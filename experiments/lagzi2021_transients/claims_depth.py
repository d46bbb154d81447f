"""What lagzi2021 says about the depth rule, and what our numbers say about it."""

from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import BEYOND
from experiments._harness.spreads import between
from experiments.lagzi2021_transients import details_circles as details
from experiments.lagzi2021_transients.circles_judging import (
    MOST,
    PAPER,
    PERFECT,
    at,
    layers_and_accuracy,
    on_circles,
    typical,
)
from experiments.lagzi2021_transients.wording import listed, median_over

Summary = dict[str, Any]

LOSS_OF_ACCURACY = 0.005
"""Half a point: with 1000 test samples at 99 % the deviation of an accuracy is 0.3 points."""
PAPER_LAYERS = 5
"""What the paper's threshold left of 15 layers with shared weights; one more counts as the same."""
WHEN = {"shared": "", "late": "if the rule waits for half of the training"}
"""Kinds of networks with the rule, and how they differ from the paper's."""


def shared_depth(summary: Summary) -> str:
    """The rule, as it is judged, and without it."""
    kind = next((kind for kind in WHEN if _shorter(summary, kind)), "shared")
    with_rule, without = (on_circles(summary, kind, threshold) for threshold in (PAPER, 0.0))
    return (
        f"{layers_and_accuracy(with_rule)}{f' {WHEN[kind]}' * bool(WHEN[kind])}; without the rule "
        f"{layers_and_accuracy(without)}; {median_over(len(without['layers']), 'seeds')}"
    )


def shared_depth_verdict(summary: Summary) -> str:
    """The paper's few layers without an error; or fewer than 15 at the accuracy of 15; in most networks."""
    for kind, why in WHEN.items():
        if _shorter(summary, kind):
            reasons = [why] * bool(why) + _short_of_the_paper(on_circles(summary, kind, PAPER))
            return f"qualified: {', '.join(reasons)}" if reasons else "confirmed"
    return "not confirmed"


def _shorter(summary: Summary, kind: str) -> bool:
    """Fewer layers than at the beginning, without loss against the same seed without the rule, in most networks."""
    with_rule, without = on_circles(summary, kind, PAPER), on_circles(summary, kind, 0.0)
    good = (with_rule["layers"] < summary["start"]) & (with_rule["accuracy"] >= without["accuracy"] - LOSS_OF_ACCURACY)
    return bool(good.mean() > MOST)


def _short_of_the_paper(row: dict[str, np.ndarray]) -> list[str]:
    layers, right = np.median(row["layers"]), row["accuracy"] >= PERFECT
    many = [f"to {layers:g} layers, not {PAPER_LAYERS}"] if layers > PAPER_LAYERS + 1 else []
    errors = [f"at 100 % in {int(right.sum())} of {len(right)} networks"] if right.mean() <= MOST else []
    return many + errors


def layerwise_depth(summary: Summary) -> str:
    """With the rule, and with few layers from the start."""
    kept, fixed = on_circles(summary, "layerwise", PAPER), summary["fixed"]["layerwise"]
    few = [float(np.median(row)) for row in fixed["accuracy"]]
    start = f"{listed(fixed['depths'])} from the start {between(few, 1, 100)} %" if few else "fewer not run"
    return f"{layers_and_accuracy(kept)}; {start}; {median_over(len(kept['layers']), 'seeds')}"


def layerwise_depth_verdict(summary: Summary) -> str:
    """The rule keeps all layers in more than half of the networks; and fewer layers from the start do worse.

    Every depth that was run is compared with the networks of all layers, median with median.
    """
    kept = on_circles(summary, "layerwise", PAPER)["layers"] == summary["start"]
    if kept.mean() <= MOST:
        return typical(float(kept.mean()), f"in {int(kept.sum())} of {len(kept)} networks")
    fixed = summary["fixed"]["layerwise"]
    if not len(fixed["depths"]):
        return f"qualified: the rule keeps all {summary['start']}, whether they are needed was not run"
    needed = np.median(on_circles(summary, "layerwise", 0.0)["accuracy"]) - LOSS_OF_ACCURACY
    enough = [depth for depth, row in zip(fixed["depths"], fixed["accuracy"], strict=True) if np.median(row) >= needed]
    if not enough:
        return "confirmed"
    words = ", ".join(str(depth) for depth in sorted(enough))
    return f"qualified: the rule keeps all {summary['start']}, but {words} from the start do as well"


def image_depth(summary: Summary) -> str:
    """Without the rule, at the paper's threshold and at the largest."""
    found = summary["images"]
    shown = sorted({0.0, PAPER, max(found["thresholds"])} & set(found["thresholds"]))
    each = "; ".join(f"{threshold:g}: {layers_and_accuracy(at(found, threshold))}" for threshold in shown)
    return f"threshold {each}; {median_over(len(found['layers'][0]), 'seeds')}"


def image_depth_verdict(summary: Summary) -> str:
    """What the threshold of the paper costs, where it drops layers."""
    found = summary["images"]
    if PAPER not in found["thresholds"] or 0.0 not in found["thresholds"]:
        return f"not judged: threshold {PAPER:g} or its control 0 is not among those tried"
    with_rule, without = at(found, PAPER), at(found, 0.0)
    lost = without["accuracy"] - with_rule["accuracy"]
    fewer = summary["start"] - np.median(with_rule["layers"])
    if not fewer:
        return f"measured: at {PAPER:g} no layer is dropped"
    return f"measured: {fewer:.0f} layers fewer, {100 * np.median(lost):+.1f} points lost"


CLAIMS = (
    Claim(
        "depth-shared",
        "Depth rule on circles, shared weights: fewer layers, same accuracy",
        "15 → 5 at 100 %",
        "depth",
        shared_depth,
        shared_depth_verdict,
        details=details.shared_depth,
    ),
    Claim(
        "depth-layerwise",
        "Depth rule on circles, variable weights: all layers are needed, so the rule keeps them",
        "15",
        "depth",
        layerwise_depth,
        layerwise_depth_verdict,
        details=details.layerwise_depth,
    ),
    Claim(
        "depth-images",
        "Depth rule on images: depth and accuracy against the threshold",
        BEYOND,
        "depth",
        image_depth,
        image_depth_verdict,
        details=details.image_depth,
    ),
)
