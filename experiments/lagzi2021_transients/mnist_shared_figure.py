"""The figure of the shared net on MNIST: spread, eigenvalues, corners and the read-out."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.lagzi2021_transients.mnist_shared import KINDS
from resdyn.plotting.canvas import COLOURS

Array = NDArray[Any]
Summary = dict[str, Any]


def figure_of(arrays: dict[str, Array], summary: Summary) -> Figure:
    """Four panels."""
    figure = Figure(figsize=(11, 7.2), layout="constrained")
    axes = figure.subplots(2, 2)
    _spread(axes[0, 0], arrays, summary)
    _eigenvalues(axes[0, 1], arrays, summary)
    _corners(axes[1, 0], arrays, summary)
    _classifier(axes[1, 1], arrays, summary)
    wrong = f"test error {100 * summary['test']['error'][0]:.2f} %"
    figure.suptitle(f"{summary['network']}, {wrong}: {summary['samples']} samples over {summary['depth']} layers")
    return figure


def _spread(ax: Any, arrays: dict[str, Array], summary: Summary) -> None:
    for kind, colour in zip(KINDS, COLOURS, strict=False):
        distinct = summary["distinct"][kind]
        label = f"{kind}: {distinct} corner{'s' * (distinct != 1)}"
        ax.plot(arrays["layers"], arrays[f"{kind}_spread"], color=colour, label=label)
        within = arrays[f"{kind}_spread_within"].mean(axis=0)
        ax.plot(arrays["layers"], within, color=colour, linestyle="--", label=f"{kind}, within classes")
    ax.set_ylim(bottom=0)
    ax.set_xlabel("layer")
    ax.set_ylabel("standard deviation of residuals\nover samples, mean over units")
    ax.legend(fontsize="small", frameon=False)


def _eigenvalues(ax: Any, arrays: dict[str, Array], summary: Summary) -> None:
    largest = [arrays[f"{kind}_eigenvalues"].real.max(axis=1) for kind in KINDS]
    edges = np.histogram_bin_edges(np.concatenate(largest), bins=40)
    for kind, values, colour in zip(KINDS, largest, COLOURS, strict=False):
        stable = round(100 * summary["nearest"][kind]["stable"])
        ax.hist(values, edges, color=colour, alpha=0.6, label=f"{kind}: {stable} % of samples at a stable equilibrium")
    ax.axvline(0, color="k", linewidth=1)
    ax.set_xlabel(f"largest eigenvalue (real part) near layer {summary['depth']}")
    ax.set_ylabel("samples")
    ax.legend(fontsize="small", frameon=False)


def _corners(ax: Any, arrays: dict[str, Array], summary: Summary) -> None:
    """Shares of units that differ between samples, in order of the classes."""
    ones = (arrays["trained_last"] > 0.5).astype(float)
    differ = (ones @ (1 - ones).T + (1 - ones) @ ones.T) / ones.shape[1]
    image = ax.imshow(differ, cmap="cividis")
    ax.figure.colorbar(image, ax=ax, label="share of units that differ")
    labels = arrays["labels"]
    middles = [np.flatnonzero(labels == c).mean() for c in np.unique(labels)]
    ax.set_xticks(middles, np.unique(labels))
    ax.set_yticks(middles, np.unique(labels))
    ax.set_xlabel("sample, by class")
    ax.set_ylabel("sample, by class")
    within, between = (summary["distance"]["trained"][name] for name in ("within_classes", "between_classes"))
    ax.set_title(f"trained: within classes {within:.3f}, between {between:.3f}", fontsize="medium")


def _classifier(ax: Any, arrays: dict[str, Array], summary: Summary) -> None:
    rows = summary["classes"]
    names = [row["class"] for row in rows]
    ax.plot(names, [row["rank"] for row in rows], "o", color=COLOURS[0], label="among units, for samples of the class")
    ax.plot(names, [row["rank_of_class"] for row in rows], "s", color=COLOURS[1], label="among classes, in this unit")
    ax.set_yscale("log")
    ax.set_ylim(0.8, 10 * arrays["classifier"].shape[1])
    ax.set_xticks(names)
    ax.set_xlabel("class")
    ax.set_ylabel("rank of the mean state at the read-out,\nunit with the largest weight")
    ax.set_title(f"correlation of weights and states {summary['correlation']:.2f}", fontsize="medium")
    ax.legend(fontsize="small", frameon=False)
