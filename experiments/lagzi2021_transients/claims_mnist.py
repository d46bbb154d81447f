"""What lagzi2021 says about the net of shared weights on MNIST, and what our numbers say about it.

All numbers are of one trained seed: spreads are those over samples, units or layers.
"""

from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments.lagzi2021_transients import claims_features, claims_mnist_variable
from experiments.lagzi2021_transients import details_mnist as details
from experiments.lagzi2021_transients.mnist_judging import NO_SPREAD, error, error_verdict, named, on

Summary = dict[str, Any]

MOST = 0.5
"""More than half."""
FEWER = 0.5
"""Few units are on, in the second reading: at most half as many as before training, when half of them all are."""
SMALL = 0.05
"""The paper's small eigenvalues are about 0.02; a factor of 2.5."""
ALL_BUT_ONE = 9
"""The paper: all classes but one."""


def steady(summary: Summary) -> str:
    """How far spread, how many units are on, against the net before training."""
    trained, untrained = (summary["spread"][kind] for kind in ("trained", "untrained"))
    return (
        f"standard deviation over samples {trained['all']:.3f}, within classes {trained['within_classes']:.3f} "
        f"(untrained {untrained['all']:.3f}, {untrained['within_classes']:.3f}); {100 * on(summary, 'trained'):.0f} % "
        f"of residuals not at 0 (untrained {100 * on(summary, 'untrained'):.0f} %); "
        f"{summary['distinct']['trained']} corners; one seed"
    )


def steady_verdict(summary: Summary) -> str:
    """Confirmed: one place for all; qualified: one for each class; or few units that are on, in many places."""
    spread = summary["spread"]["trained"]
    if spread["all"] <= NO_SPREAD:
        return "confirmed"
    if spread["within_classes"] <= NO_SPREAD:
        return "qualified: one place for each class"
    trained, untrained = (on(summary, kind) for kind in ("trained", "untrained"))
    if trained <= FEWER * untrained:
        return f"qualified: few units on ({100 * trained:.0f} %, untrained {100 * untrained:.0f} %), in many places"
    return "not confirmed: many places"


def saddles(summary: Summary) -> str:
    """Positive eigenvalues by class, and how many saddles there are before training."""
    each = ", ".join(f"{row['class']}: {row['positive']:g} up to {row['largest']:.2f}" for row in named(summary))
    after, before = (100 * (1 - summary["nearest"][kind]["stable"]) for kind in ("trained", "untrained"))
    return (
        f"class {each}, medians; the nearest equilibrium is a saddle for {after:.0f} % of {summary['samples']} samples "
        f"(untrained {before:.0f} %); one seed"
    )


def saddles_verdict(summary: Summary) -> str:
    """One small positive eigenvalue for the typical sample of each class that the paper names, or of some of them.

    Other saddles count if the net has more of them than before training.
    """
    rows = named(summary)
    found = [row["class"] for row in rows if row["positive"] == 1 and row["largest"] <= SMALL]
    if len(found) == len(rows):
        return "confirmed"
    if found:
        return f"qualified: for {' and '.join(map(str, found))} alone"
    saddles = min(row["saddles"] for row in rows)
    if saddles <= MOST:
        return "not confirmed: not at saddles"
    numbers, largest = [row["positive"] for row in rows], max(row["largest"] for row in rows)
    words = f"{min(numbers):g} to {max(numbers):g} positive eigenvalues, medians, up to {largest:.2f}"
    if 1 - summary["nearest"]["untrained"]["stable"] >= saddles:
        return f"not confirmed: {words}, and saddles before training, too"
    return f"qualified: saddles, with {words}"


def classifier(summary: Summary) -> str:
    """For how many classes, in both readings."""
    rows = summary["classes"]
    units, classes = (sum(row[rank] == 1 for row in rows) for rank in ("rank", "rank_of_class"))
    return (
        f"largest of all units for {units} of {len(rows)} classes (median rank "
        f"{np.median([row['rank'] for row in rows]):g}), larger than for other classes for {classes} (chance: 1); "
        "one seed"
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
        details=details.steady,
    ),
    Claim(
        "mnist-shared-saddles",
        "Residuals of classes 0, 2 and 3 at layer 1000 are at saddles with one small positive eigenvalue",
        "about 0.02",
        "mnist_shared",
        saddles,
        saddles_verdict,
        details=details.saddles,
    ),
    Claim(
        "mnist-shared-classifier",
        "In each class the unit with the largest classifier weight reaches the largest x(15)",
        "all classes but 8",
        "mnist_shared",
        classifier,
        classifier_verdict,
        details=details.classifier,
    ),
    *claims_mnist_variable.CLAIMS,
    *claims_features.CLAIMS,
)
