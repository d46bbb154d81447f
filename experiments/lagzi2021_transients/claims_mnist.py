"""What lagzi2021 says about nets on MNIST, and what our numbers say about it.

All numbers are of one trained seed: spreads are those over samples, units or layers.
"""

from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments.lagzi2021_transients import claims_features

Summary = dict[str, Any]

CLOSE_ERROR = 0.003
"""Of 10,000 images the binomial error at 1.4 % is 0.12 points: 0.17 for the difference of two nets, and twice that is
about 0.3."""
NO_SPREAD = 0.01
"""A mean standard deviation within the width of saturation, which is also the threshold of the paper's depth rule."""
MOST = 0.5
"""More than half."""
SMALL = 0.05
"""The paper's small eigenvalues are about 0.02; a factor of 2.5."""
ALL_BUT_ONE = 9
"""The paper: all classes but one."""
ONE_MATRIX = 0.1
"""Two matrices are one if they differ by a tenth of their norm."""
ALIKE = 0.9
"""A cosine from which on two learned parts share four fifths of their squares."""


# --- shared weights ----------------------------------------------------------------------------------


def error(summary: Summary) -> str:
    """Of all test images, with its binomial error."""
    wrong, n = summary["test"]["error"], summary["test"]["images"]
    return f"{100 * wrong:.2f} ± {100 * np.sqrt(wrong * (1 - wrong) / n):.2f} % of {n} test images, one seed"


def error_verdict(papers: float) -> Any:
    """Confirmed if as low as the paper's, within the errors of two nets."""

    def verdict(summary: Summary) -> str:
        wrong = summary["test"]["error"]
        if wrong <= papers + CLOSE_ERROR:
            return "confirmed" if wrong >= papers - CLOSE_ERROR else "confirmed: ours is lower"
        return "not confirmed: ours is higher"

    return verdict


def steady(summary: Summary) -> str:
    """How many corners, how far spread, against the net before training."""
    spread, distinct, distance = summary["spread"], summary["distinct"], summary["distance"]["trained"]
    n = summary["samples"]
    words = (
        f"at layer {summary['depth']} {n} samples are at {distinct['trained']} different corners (untrained: "
        f"{distinct['untrained']}); standard deviation over samples, mean over units: {spread['trained']['all']:.3f}, "
        f"within classes {spread['trained']['within_classes']:.3f} (untrained: {spread['untrained']['all']:.3f}, "
        f"{spread['untrained']['within_classes']:.3f}); {100 * spread['trained']['at_1']:.0f} % of residuals at 1; "
        f"corners differ in {100 * distance['within_classes']:.1f} % of units within a class, "
        f"{100 * distance['between_classes']:.1f} % between classes; {100 * summary['moving']['trained']:.0f} % of "
        "samples still moved after 0.9 of the layers"
    )
    return words + _variants(summary["variants"])


def _variants(rows: list[Summary]) -> str:
    if not rows:
        return ""
    counts = [row["distinct"][-1] for row in rows]
    return (
        f"; small nets on digits from {len(rows)} beginnings: {min(counts)} to {max(counts)} corners of "
        f"{rows[0]['samples']} samples at layer {rows[0]['layers'][-1]}"
    )


def steady_verdict(summary: Summary) -> str:
    """Confirmed: one place for all; qualified: one for each class."""
    spread = summary["spread"]["trained"]
    if spread["all"] <= NO_SPREAD:
        return "confirmed"
    if spread["within_classes"] <= NO_SPREAD:
        return "qualified: one place for each class"
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
            f"[{low:g}, {high:g}], the largest {largest['median']:.2f} [{largest['low']:.2f}, {largest['high']:.2f}]"
        )
    papers = [row for row in summary["classes"] if row["class"] in (0, 2, 3)]
    each = ", ".join(f"{row['class']}: {row['largest']:.2f}" for row in papers)
    return f"medians over samples [quartiles], {'; '.join(words)}; largest by class, medians: {each}"


def saddles_verdict(summary: Summary) -> str:
    """One small positive eigenvalue for the typical sample of the classes that the paper names, or other saddles."""
    near = summary["nearest"]["trained"]
    if 1 - near["stable"] <= MOST:
        return "not confirmed"
    number, largest = near["positive"][1], near["largest"]["median"]
    if number == 1 and largest <= SMALL:
        return "confirmed"
    reasons = [f"{number:g} positive eigenvalues, not one"] if number != 1 else []
    if largest > SMALL:
        reasons.append("not small")
    return f"qualified: saddles, with {' and '.join(reasons)}"


def classifier(summary: Summary) -> str:
    """For how many classes, in both readings."""
    rows = summary["classes"]
    among_units = [row["class"] for row in rows if row["rank"] == 1]
    among_classes = [row["class"] for row in rows if row["rank_of_class"] == 1]
    rank = np.median([row["rank"] for row in rows])
    return (
        f"mean x at the read-out in the unit with the class's largest weight: largest of all units for "
        f"{len(among_units)} of {len(rows)} classes (median rank {rank:g}), larger than for all other classes for "
        f"{len(among_classes)} ({_listed(among_classes)}; chance: 1); correlation of weights with states, less their "
        f"means over classes: {summary['correlation']:.2f}"
    )


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"


def classifier_verdict(summary: Summary) -> str:
    """All classes but one, in the paper's reading, among units; in the weaker one, among classes: qualified."""
    rows = summary["classes"]
    if sum(row["rank"] == 1 for row in rows) >= ALL_BUT_ONE:
        return "confirmed"
    found = sum(row["rank_of_class"] == 1 for row in rows)
    if found >= ALL_BUT_ONE:
        return "qualified: larger than for other classes, not larger than other units"
    return f"not confirmed: {found} of {len(rows)} classes"


# --- one matrix per layer ----------------------------------------------------------------------------


def spread_over_layers(summary: Summary) -> str:
    """At the first layer, the fifth and the last."""
    trained, untrained = summary["spread"]["trained"], summary["spread"]["untrained"]
    layers = (1, 5, len(trained))
    each = ", ".join(f"{trained[k - 1]:.3f}" for k in layers)
    null = ", ".join(f"{untrained[k - 1]:.3f}" for k in layers)
    within = summary["spread_within_classes"]["trained"][-1]
    return (
        f"standard deviation over {summary['samples']} samples, mean over units, at layers {_listed(list(layers))}: "
        f"{each} (untrained: {null}); within classes at the last {within:.3f}; different corners at the last layer: "
        f"{summary['distinct']['trained'][-1]}"
    )


def spread_over_layers_verdict(summary: Summary) -> str:
    """Zero after layer 4, or at the last layer alone."""
    trained = summary["spread"]["trained"]
    if max(trained[4:]) <= NO_SPREAD:
        # before training all samples do nearly the same: that is no attractor that was learned
        null = summary["spread"]["untrained"]
        return "confirmed" if max(null[4:]) > NO_SPREAD else "qualified: before training, too"
    if trained[-1] <= NO_SPREAD:
        return "qualified: at the last layer"
    grows = trained[-1] > trained[0]
    return "not confirmed: the spread grows" if grows else "not confirmed"


def matrices(summary: Summary) -> str:
    """Distances of the last pairs, and cosines of the learned parts."""

    def last(name: str, key: str) -> str:
        values = summary["matrices"][name][key]
        return f"{values[-1]:.2f} (all pairs {min(values):.2f} to {max(values):.2f})"

    return (
        f"distance of the last two matrices over their norm {last('trained', 'distances')}, untrained "
        f"{last('untrained', 'distances')}, learned parts {last('learned', 'distances')}; cosine of the learned parts "
        f"of the last two {last('learned', 'cosines')}, of the untrained {last('untrained', 'cosines')}"
    )


def matrices_verdict(summary: Summary) -> str:
    """One matrix; or learned parts that are alike, on top of first weights that stay and differ."""
    trained = summary["matrices"]["trained"]["distances"]
    if trained[-1] <= ONE_MATRIX:
        return "confirmed"
    learned = summary["matrices"]["learned"]["cosines"]
    if learned[-1] >= ALIKE:
        closer = learned[-1] > max(learned[: len(learned) // 2])
        return f"qualified: the learned parts {'come to be' if closer else 'are'} alike, the matrices are not"
    return "not confirmed"


def saturation(summary: Summary) -> str:
    """At the last layer, against shared weights."""
    rows = {kind: summary["saturated"][kind] for kind in ("trained", "shared", "untrained")}
    words = {"trained": "one matrix per layer", "shared": "shared weights", "untrained": "untrained"}
    each = ", ".join(f"{words[kind]} {100 * row['at_1'][-1]:.1f} %" for kind, row in rows.items())
    return f"share of residuals within 0.01 of 1 at the last layer, one net of each kind: {each}"


def saturation_verdict(summary: Summary) -> str:
    """More than with shared weights, in the last layer and in the sum over layers."""
    trained, shared = (np.array(summary["saturated"][kind]["at_1"]) for kind in ("trained", "shared"))
    more = (bool(trained[-1] > shared[-1]), bool(trained.sum() > shared.sum()))
    if all(more):
        return "confirmed"
    return "qualified: in some layers" if any(more) else "not confirmed"


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
        "Far beyond the trained depth few fixed points are left, and negligible spread over 200 samples",
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
    Claim(
        "mnist-variable-error",
        "MNIST, 1064 units, 15 different matrices: test error",
        "1.8 %",
        "mnist_variable",
        error,
        error_verdict(0.018),
        presets=("laptop", "paper"),
    ),
    Claim(
        "mnist-variable-spread",
        "With 15 matrices all residuals come to one fixed point: no spread over 200 samples after layer 4",
        "0 after layer 4",
        "mnist_variable",
        spread_over_layers,
        spread_over_layers_verdict,
    ),
    Claim(
        "mnist-variable-matrices",
        "The last matrices converge to one matrix",
        "in words only",
        "mnist_variable",
        matrices,
        matrices_verdict,
    ),
    Claim(
        "mnist-variable-saturation",
        "With 15 matrices more residuals saturate at 1",
        "in words only",
        "mnist_variable",
        saturation,
        saturation_verdict,
    ),
    *claims_features.CLAIMS,
)
