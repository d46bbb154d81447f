"""What lagzi2021 says about the net of shared weights on MNIST, and what our numbers say about it.

All numbers are of one trained seed: spreads are those over samples, units or layers.
"""

from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments.lagzi2021_transients import claims_features, claims_mnist_variable
from experiments.lagzi2021_transients.mnist_judging import NO_SPREAD, error, error_verdict, listed

Summary = dict[str, Any]

MOST = 0.5
"""More than half."""
FEWER = 0.5
"""Few units are on, in the second reading: at most half as many as before training, when half of them all are."""
SMALL = 0.05
"""The paper's small eigenvalues are about 0.02; a factor of 2.5."""
ALL_BUT_ONE = 9
"""The paper: all classes but one."""
NAMED = (0, 2, 3)
"""The classes whose residuals the paper describes as saddles."""


def steady(summary: Summary) -> str:
    """How many corners, how far spread, against the net before training."""
    spread, distinct, distance = summary["spread"], summary["distinct"], summary["distance"]["trained"]
    n = summary["samples"]
    words = (
        f"at layer {summary['depth']} {n} samples round to {distinct['trained']} different corners (untrained: "
        f"{distinct['untrained']}); standard deviation over samples, mean over units: {spread['trained']['all']:.3f}, "
        f"within classes {spread['trained']['within_classes']:.3f} (untrained: {spread['untrained']['all']:.3f}, "
        f"{spread['untrained']['within_classes']:.3f}); {100 * _on(summary, 'trained'):.0f} % of residuals are not at "
        f"0 (untrained: {100 * _on(summary, 'untrained'):.0f} %); "
        f"corners differ in {100 * distance['within_classes']:.1f} % of units within a class, "
        f"{100 * distance['between_classes']:.1f} % between classes; {100 * summary['moving']['trained']:.0f} % of "
        "samples still moved after 0.9 of the layers; one seed"
    )
    return words + _variants(summary["variants"])


def _on(summary: Summary, kind: str) -> float:
    """Share of residuals farther than 0.01 from 0."""
    return float(1 - summary["spread"][kind]["at_0"])


def _variants(rows: list[Summary]) -> str:
    if not rows:
        return ""
    counts = [row["distinct"][-1] for row in rows]
    return (
        f"; small nets on digits from {len(rows)} beginnings: {min(counts)} to {max(counts)} corners of "
        f"{rows[0]['samples']} samples at layer {rows[0]['layers'][-1]}"
    )


def steady_verdict(summary: Summary) -> str:
    """Confirmed: one place for all; qualified: one for each class; or few units that are on, in many places."""
    spread = summary["spread"]["trained"]
    if spread["all"] <= NO_SPREAD:
        return "confirmed"
    if spread["within_classes"] <= NO_SPREAD:
        return "qualified: one place for each class"
    trained, untrained = (_on(summary, kind) for kind in ("trained", "untrained"))
    if trained <= FEWER * untrained:
        return f"qualified: few units on ({100 * trained:.0f} %, untrained {100 * untrained:.0f} %), in many places"
    return "not confirmed: many places"


def saddles(summary: Summary) -> str:
    """Positive eigenvalues at the equilibria near the samples."""
    words = []
    for kind in ("trained", "untrained"):
        near = summary["nearest"][kind]
        low, number, high = near["positive"]
        largest = near["largest"]
        words.append(
            f"{kind}: saddles for {100 * (1 - near['stable']):.0f} % of the samples, positive eigenvalues {number:g} "
            f"[{low:g}, {high:g}], the largest {largest['median']:.2f} [{largest['low']:.2f}, {largest['high']:.2f}], "
            f"a residual {near['away'][1]:.2f} [{near['away'][0]:.2f}, {near['away'][2]:.2f}] away"
        )
    each = ", ".join(f"{row['class']}: {row['positive']:g} up to {row['largest']:.2f}" for row in _named(summary))
    return (
        f"near {summary['samples']} samples at layer {summary['depth']}, one seed; positive eigenvalues by class, "
        f"medians: {each}; all classes, medians [quartiles], {'; '.join(words)}; "
        f"{100 * summary['moving']['trained']:.0f} % of samples still move"
    )


def _named(summary: Summary) -> list[Summary]:
    return [row for row in summary["classes"] if row["class"] in NAMED]


def saddles_verdict(summary: Summary) -> str:
    """One small positive eigenvalue for the typical sample of each class that the paper names, or of some of them.

    Other saddles count if the net has more of them than before training.
    """
    rows = _named(summary)
    found = [row["class"] for row in rows if row["positive"] == 1 and row["largest"] <= SMALL]
    if len(found) == len(rows):
        return "confirmed"
    if found:
        return f"qualified: for {' and '.join(map(str, found))} alone"
    saddles = min(row["saddles"] for row in rows)
    if saddles <= MOST:
        return "not confirmed: not at saddles"
    numbers, largest = [row["positive"] for row in rows], max(row["largest"] for row in rows)
    words = f"{min(numbers):g} to {max(numbers):g} positive eigenvalues up to {largest:.2f}"
    if 1 - summary["nearest"]["untrained"]["stable"] >= saddles:
        return f"not confirmed: {words}, and saddles before training, too"
    return f"qualified: saddles, with {words}"


def classifier(summary: Summary) -> str:
    """For how many classes, in both readings."""
    rows = summary["classes"]
    among_units = [row["class"] for row in rows if row["rank"] == 1]
    among_classes = [row["class"] for row in rows if row["rank_of_class"] == 1]
    rank = np.median([row["rank"] for row in rows])
    return (
        f"mean x at the read-out in the unit with the class's largest weight: largest of all units for "
        f"{len(among_units)} of {len(rows)} classes (median rank {rank:g}), larger than for all other classes for "
        f"{len(among_classes)} ({listed(among_classes)}; chance: 1); correlation of weights with states, less their "
        f"means over classes: {summary['correlation']:.2f}; one seed"
    )


def classifier_verdict(summary: Summary) -> str:
    """All classes but one, in the paper's reading, among units; in the weaker one, among classes: qualified."""
    rows = summary["classes"]
    if sum(row["rank"] == 1 for row in rows) >= ALL_BUT_ONE:
        return "confirmed"
    found = sum(row["rank_of_class"] == 1 for row in rows)
    if found >= ALL_BUT_ONE:
        return "qualified: larger than for other classes, not larger than other units"
    return f"not confirmed: {found} of {len(rows)} classes"


CLAIMS = (
    Claim(
        "mnist-shared-error",
        "MNIST, 1064 units, 15 layers of shared weights: test error",
        "1.4 %",
        "mnist_shared",
        error,
        error_verdict(0.014),
        presets=("laptop", "paper"),
    ),
    Claim(
        "mnist-shared-steady",
        "Far beyond the trained depth few non-zero fixed points are left, and negligible spread over 200 samples",
        "negligible spread",
        "mnist_shared",
        steady,
        steady_verdict,
    ),
    Claim(
        "mnist-shared-saddles",
        "Residuals of classes 0, 2 and 3 at layer 1000 are at saddles with one small positive eigenvalue",
        "about 0.02",
        "mnist_shared",
        saddles,
        saddles_verdict,
    ),
    Claim(
        "mnist-shared-classifier",
        "In each class the unit with the largest classifier weight reaches the largest x(15)",
        "all classes but 8",
        "mnist_shared",
        classifier,
        classifier_verdict,
    ),
    *claims_mnist_variable.CLAIMS,
    *claims_features.CLAIMS,
)
