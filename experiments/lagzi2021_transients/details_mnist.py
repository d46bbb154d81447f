"""All numbers on nets on MNIST and on features in words: what stands below the table of claims."""

from typing import Any

import numpy as np

from experiments._harness.spreads import spread
from experiments.lagzi2021_transients.mnist_judging import READINGS, named, on
from experiments.lagzi2021_transients.wording import listed

Summary = dict[str, Any]


def steady(summary: Summary) -> str:
    """How many corners, how far spread, against the net before training."""
    spread, distinct, distance = summary["spread"], summary["distinct"], summary["distance"]["trained"]
    n = summary["samples"]
    return (
        f"One seed. {n} samples round to {distinct['trained']} different corners at layer {summary['depth']} "
        f"(untrained: {distinct['untrained']}). Standard deviation over samples, mean over units: "
        f"{spread['trained']['all']:.3f}, within classes {spread['trained']['within_classes']:.3f} (untrained: "
        f"{spread['untrained']['all']:.3f}, {spread['untrained']['within_classes']:.3f}). Of the residuals "
        f"{100 * on(summary, 'trained'):.0f} % are not at 0 (untrained: {100 * on(summary, 'untrained'):.0f} %). "
        f"Corners differ in {100 * distance['within_classes']:.1f} % of units within a class, "
        f"{100 * distance['between_classes']:.1f} % between classes. {100 * summary['moving']['trained']:.0f} % of "
        f"samples still moved after 0.9 of the layers.{_variants(summary['variants'])}"
    )


def _variants(rows: list[Summary]) -> str:
    if not rows:
        return ""
    counts = [row["distinct"][-1] for row in rows]
    return (
        f" Small nets on digits from {len(rows)} beginnings: {min(counts)} to {max(counts)} corners of "
        f"{rows[0]['samples']} samples at layer {rows[0]['layers'][-1]}."
    )


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
    each = ", ".join(f"{row['class']}: {row['positive']:g} up to {row['largest']:.2f}" for row in named(summary))
    return (
        f"Near {summary['samples']} samples at layer {summary['depth']}, one seed. Positive eigenvalues by class, "
        f"medians: {each}. All classes, medians [quartiles], {'; '.join(words)}. "
        f"{100 * summary['moving']['trained']:.0f} % of samples still move."
    )


def classifier(summary: Summary) -> str:
    """For how many classes, in both readings."""
    rows = summary["classes"]
    among_units = [row["class"] for row in rows if row["rank"] == 1]
    among_classes = [row["class"] for row in rows if row["rank_of_class"] == 1]
    rank = np.median([row["rank"] for row in rows])
    return (
        f"Mean x at the read-out in the unit with the class's largest weight: largest of all units for "
        f"{len(among_units)} of {len(rows)} classes (median rank {rank:g}), larger than for all other classes for "
        f"{len(among_classes)} ({listed(among_classes)}; chance: 1). Correlation of weights with states, less their "
        f"means over classes: {summary['correlation']:.2f}. One seed."
    )


def spread_over_layers(summary: Summary) -> str:
    """Layer by layer."""
    trained, untrained = summary["spread"]["trained"], summary["spread"]["untrained"]
    each, null, within = (
        ", ".join(f"{value:.3f}" for value in values)
        for values in (trained, untrained, summary["spread_within_classes"]["trained"])
    )
    return (
        f"Standard deviation over {summary['samples']} samples, mean over units, at layers 1 to {len(trained)}: {each} "
        f"(untrained: {null}); within classes: {within}. Different corners at the last layer: "
        f"{summary['distinct']['trained'][-1]}. One seed."
    )


def matrices(summary: Summary) -> str:
    """Distances of the last pairs, and cosines of the learned parts."""

    def last(name: str, key: str) -> str:
        values = summary["matrices"][name][key]
        return f"{values[-1]:.2f} (all pairs {min(values):.2f} to {max(values):.2f})"

    return (
        f"Distance of the last two matrices over their norm {last('trained', 'distances')}, untrained "
        f"{last('untrained', 'distances')}, learned parts {last('learned', 'distances')}. Cosine of the learned parts "
        f"of the last two {last('learned', 'cosines')}, of the untrained {last('untrained', 'cosines')}. One seed."
    )


def saturation(summary: Summary) -> str:
    """At the last layer, against shared weights."""
    rows = {kind: summary["saturated"][kind] for kind in ("trained", "shared", "untrained")}
    words = {"trained": "one matrix per layer", "shared": "shared weights", "untrained": "untrained"}
    each = "; ".join(
        f"{words[kind]} {100 * row['at_1'][-1]:.1f} %, {100 * np.mean(row['at_1']):.1f} %" for kind, row in rows.items()
    )
    return f"Share of residuals within 0.01 of 1, at the last layer and mean over layers, one net of each kind: {each}."


def common_features(summary: Summary) -> str:
    """Vertices of attractor networks beside what input dimensions have in common; then the net that has none."""
    found = summary["attractors"]
    parts = (_digits(found["digits"], found["layers"]), _circles(found["circles"]), _without(summary))
    return " ".join(f"{words}." for words in parts)


def _digits(found: Summary, layers: int) -> str:
    each = found["nets"] // len(found["pulls"])
    had, pulls = (", ".join(f"{n:g}" for n in found[name]) for name in ("one_vertex", "pulls"))
    start = (
        f"Digits, penalty {pulls} on the spread of y(15): one stable vertex for all samples at layer {layers} in {had} "
        f"of {each} nets"
    )
    if not sum(found["one_vertex"]):
        return start
    related = ", ".join(
        f"{words} in {_of(found['trained'][name])} (untrained {_of(found['untrained'][name])}; mean |correlation| "
        f"{found['trained'][name]['mean']:.2f}, shifts {found['trained'][name]['null']:.2f})"
        for name, words in READINGS.items()
    )
    return (
        f"{start} (accuracy {spread(found['accuracy'], 1, 100)} %, units at 1 {spread(found['on'])}). Related to mean, "
        f"deviation or leading component of the images, beyond 95 % of their shifts: {related}"
    )


def _of(row: Summary) -> str:
    return f"{row['beyond']} of {row['nets']}"


def _circles(found: Summary) -> str:
    start = f"Circles: one vertex in {sum(found['one_vertex'])} of {found['nets']} networks"
    row, before = found["trained"]["filter"], found["untrained"]["filter"]
    if not row["nets"]:
        return start
    return (
        f"{start}, related to the weights from the inputs with p = {row['p']:.2f} (untrained {before['p']:.2f}; mean "
        f"|correlation| {row['mean']:.2f}, other orders of units {row['null']:.2f})"
    )


def _without(summary: Summary) -> str:
    rows = {kind: summary[kind] for kind in ("trained", "untrained", "pixels")}
    above = ", ".join(f"{kind} {100 * row['above']:.1f} %" for kind, row in rows.items())
    shuffled = 100 * rows["trained"]["shuffled_above"]
    trained = rows["trained"]
    return (
        f"Besides, {summary['network']}, not attracted: {trained['varying_units']} of {trained['units']} units vary "
        f"at layer {summary['depth']}, pairs of unit and pixel with information above chance {above} (shuffled "
        f"{shuffled:.2f} %)"
    )


def pattern(summary: Summary) -> str:
    """The mean residual, as an image."""
    each = "; ".join(
        f"{kind}, correlation {found['correlation']:.2f}, p = {found['p_value']:.3f}"
        for kind, found in summary["pattern"].items()
    )
    return (
        f"Mean over {summary['samples']} samples at layer {summary['depth']}, one seed; p among all shifts of the "
        f"image: {each}."
    )
