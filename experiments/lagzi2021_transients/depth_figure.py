"""The figure of the depth rule: layers and accuracy over the threshold."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.lagzi2021_transients.depth import DEPTH, KINDS
from resdyn.plotting.canvas import COLOURS

Array = NDArray[Any]
Summary = dict[str, Any]
FIXED = ("shared", "layerwise")
MARKS = {
    "shared": (COLOURS[0], "o"),
    "images": (COLOURS[0], "o"),
    "late": (COLOURS[1], "s"),
    "layerwise": (COLOURS[3], "D"),
}


def figure_of(arrays: dict[str, Array], summary: Summary) -> Figure:
    """Circles above, images below."""
    figure = Figure(figsize=(12.5, 6.6), layout="constrained")
    axes = figure.subplots(2, 3)
    circles, images = summary["circles"], summary["images"]
    for column, name in enumerate(("layers", "accuracy")):
        _over_thresholds(axes[0, column], {kind: circles[kind][name] for kind in KINDS}, circles["thresholds"], name)
        _over_thresholds(axes[1, column], {"images": images[name]}, images["thresholds"], name)
    axes[0, 0].legend(fontsize="x-small")
    axes[0, 1].set_title(
        f"circles, 3 units, {circles['samples']} test samples, seeds: {len(circles['shared']['layers'][0])}",
        fontsize="small",
    )
    axes[1, 1].set_title(
        f"{images['name']}, {images['units']} units with one W, {images['training_images']} training images, "
        f"seeds: {len(images['layers'][0])}",
        fontsize="small",
    )
    _from_the_start(axes[0, 2], summary["fixed"])
    _course(axes[1, 2], arrays, images)
    figure.suptitle("Layers dropped in training by the depth rule; marks: networks, lines: medians", fontsize="medium")
    return figure


def _from_the_start(ax: Any, fixed: Summary) -> None:
    """Accuracy of networks that had few layers all the time, at equally distant places."""
    depths = sorted({depth for kind in FIXED for depth in fixed[kind]["depths"]})
    for k, kind in enumerate(FIXED):
        accuracy = 100 * np.asarray(fixed[kind]["accuracy"], dtype=float)
        places = np.array([depths.index(depth) for depth in fixed[kind]["depths"]]) + 0.16 * (k - 0.5)
        colour, marker = MARKS[kind]
        ax.plot(np.repeat(places, accuracy.shape[1]), accuracy.ravel(), marker, color=colour, ms=4, alpha=0.6)
        ax.plot(places, np.median(accuracy, axis=1), color=colour, linewidth=1.5)
    ax.set_xticks(np.arange(len(depths)), [str(depth) for depth in depths])
    ax.set_xlabel("layers from the start, no rule")
    ax.set_ylabel("test accuracy / %")
    ax.set_title("circles, few layers from the start", fontsize="small")


def _course(ax: Any, arrays: dict[str, Array], images: Summary) -> None:
    """What the rule compares with its threshold on images, for networks that keep all layers."""
    never = images["thresholds"].index(min(images["thresholds"]))
    courses = arrays["images_differences"][never]
    for course in courses:
        ax.plot(np.arange(len(course)), course, "o-", ms=3, linewidth=1, color=COLOURS[0])
    for threshold in images["thresholds"]:
        if threshold:
            ax.axhline(threshold, color=COLOURS[7], linestyle="--", linewidth=1)
            ax.annotate(f"{threshold:g}", (1, threshold), (-2, 2), ("axes fraction", "data"), "offset points",
                        fontsize="x-small", ha="right")  # fmt: skip
    ax.set_yscale("log")
    ax.set_xlabel("epoch")
    ax.set_ylabel("mean |y(15) − y(14)| per unit")
    ax.set_title(f"{images['name']}, no rule; dashed: thresholds", fontsize="small")


def _over_thresholds(ax: Any, tables: dict[str, Any], thresholds: Any, name: str) -> None:
    """One place for each threshold, since 0 has none on a logarithmic axis."""
    labels = {
        "shared": "one W",
        "late": "one W, rule from half of the training",
        "layerwise": "a W for each layer",
        "images": "one W",
    }
    places = np.arange(len(thresholds))
    for k, (kind, table) in enumerate(tables.items()):
        values = np.asarray(table, dtype=float) * (100 if name == "accuracy" else 1)
        shift = 0.16 * (k - (len(tables) - 1) / 2)
        colour, marker = MARKS[kind]
        ax.plot(np.repeat(places + shift, values.shape[1]), values.ravel(), marker, color=colour, ms=4, alpha=0.6)
        ax.plot(places + shift, np.median(values, axis=1), "-", color=colour, linewidth=1.5, label=labels[kind])
    ax.set_xticks(places, [f"{threshold:g}" if threshold else "0 (never)" for threshold in thresholds])
    ax.set_xlabel("threshold of the rule")
    ax.set_ylabel("layers left" if name == "layers" else "test accuracy / %")
    if name == "layers":
        ax.set_ylim(0, DEPTH + 1)
