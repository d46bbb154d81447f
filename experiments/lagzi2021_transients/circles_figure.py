"""The figure of the circles: one network closely, and all of them."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.lagzi2021_transients.circles import WORDS
from resdyn.plotting.canvas import COLOURS

Array = NDArray[Any]
Summary = dict[str, Any]
CLASS_NAMES = ("r = 0.5", "r = 1")
PAPER_EIGENVALUES = (-1.95, -0.87, -0.8)
PROBES = ("x(15)", "y(15)", "y(15),\n2 digits", "y, long run")


def figure_of(arrays: dict[str, Array], summary: Summary) -> Figure:
    """Six panels."""
    figure = Figure(figsize=(11.5, 6.6), layout="constrained")
    axes = figure.subplots(2, 3)
    s = summary["example"]["network"]
    _residuals(axes[0, 0], arrays, summary, s)
    _by_class(axes[0, 1], arrays["x_last_mean"][s], arrays["x_last_deviation"][s], "state $x_i(15)$")
    axes[0, 1].set_title(_readout(summary), fontsize="small")
    _by_class(axes[0, 2], arrays["y_last_mean"][s], arrays["y_last_deviation"][s], "residual $y_i(15)$")
    axes[0, 2].set_ylim(-0.05, 1.05)
    axes[0, 2].set_title(_end(summary), fontsize="small")
    _accuracies(axes[1, 0], summary)
    _eigenvalues(axes[1, 1], arrays, summary)
    _probes(axes[1, 2], summary)
    counts = summary["ends"]["counts"]
    figure.suptitle(
        f"Concentric circles, 3 logistic units, 15 layers with one W: network {s} (above)\n"
        f"and {summary['networks']} networks (below; the residuals of all samples end in one stable equilibrium in "
        f"{counts['one']}, in several in {counts['several']})",
        fontsize="medium",
    )
    return figure


def _readout(summary: Summary) -> str:
    return f"accuracy {summary['example']['accuracy']:.3f}; means and deviations over test samples"


def _end(summary: Summary) -> str:
    example = summary["example"]
    if example["end"] is None:
        return "no equilibrium"
    end = ", ".join(f"{y:.2g}" for y in example["end"])
    rates = ", ".join(f"{rate:.2f}" for rate in example["eigenvalues"])
    return f"end ({end}), eigenvalues {rates}"


def _residuals(ax: Any, arrays: dict[str, Array], summary: Summary, s: int) -> None:
    y, flow = arrays["y_map"][s, :-1], arrays["y_flow"][s, :-1]
    layers = 1 + np.arange(len(y))
    for unit in range(y.shape[-1]):
        for c, (marker, style) in enumerate(zip("os", ("-", "--"), strict=True)):
            ax.plot(layers, flow[:, c, unit], style, color=COLOURS[unit], linewidth=1.2)
            ax.plot(layers, y[:, c, unit], marker, color=COLOURS[unit], ms=4, fillstyle="none" if c else "full")
        ax.plot([], [], color=COLOURS[unit], label=f"unit {unit + 1}")
    for c, (marker, style) in enumerate(zip("os", ("-", "--"), strict=True)):
        ax.plot([], [], marker + style, color="0.3", fillstyle="none" if c else "full", label=CLASS_NAMES[c])
    ax.set_xlabel("layer t (marks: network; lines: flow)")
    ax.set_ylabel("mean residual $y_i(t)$")
    ax.set_ylim(-0.05, 1.05)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_title(f"the flow explains {summary['tracking']['explained'][s]:.2f} of the variance", fontsize="small")
    ax.legend(fontsize="x-small", loc="best")


def _by_class(ax: Any, means: Array, deviations: Array, label: str) -> None:
    units = np.arange(means.shape[-1])
    for c, name in enumerate(CLASS_NAMES):
        ax.errorbar(
            units + 0.2 * (c - 0.5),
            means[c],
            deviations[c],
            fmt="os"[c],
            color=COLOURS[(0, 3)[c]],
            capsize=3,
            label=name,
        )
    ax.set_xticks(units, [f"unit {i + 1}" for i in units])
    ax.set_ylabel(label)
    ax.legend(fontsize="x-small")


def _accuracies(ax: Any, summary: Summary) -> None:
    ends, accuracy = summary["ends"]["each"], np.asarray(summary["accuracy"]["test"])
    for k, word in enumerate(WORDS):
        rows = [s for s, end in enumerate(ends) if end["word"] == word]
        places = k + np.linspace(-0.25, 0.25, len(rows)) if len(rows) > 1 else np.full(len(rows), float(k))
        ax.plot(places, 100 * accuracy[rows], "o", color=COLOURS[k], fillstyle="none", ms=5)
    counts = summary["ends"]["counts"]
    ax.set_xticks(range(len(WORDS)), [f"{word}\n({counts[word]})" for word in WORDS])
    ax.set_xlim(-0.5, len(WORDS) - 0.5)
    ax.set_xlabel("stable equilibria where residuals end (networks)")
    ax.set_ylabel("test accuracy / %")


def _eigenvalues(ax: Any, arrays: dict[str, Array], summary: Summary) -> None:
    for s, end in enumerate(summary["ends"]["each"]):
        for y in end["reached"]:
            place = int(np.nanargmin(np.abs(arrays["equilibria"][s] - np.asarray(y)).max(axis=-1)))
            rates = arrays["eigenvalues"][s, place].real
            ax.plot(np.full(rates.shape, s), rates, "o", ms=4, color=COLOURS[0], fillstyle="none")
    for k, rate in enumerate(PAPER_EIGENVALUES):
        ax.axhline(rate, color=COLOURS[3], linestyle="--", linewidth=1, label="the paper's three" if k == 0 else None)
    ax.axhline(0, color="0.5", linewidth=0.8)
    ax.set_xlim(-1, len(summary["ends"]["each"]))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel("network; b from " + ", then from ".join(f"{bias:g}" for bias in summary["biases"]))
    ax.set_ylabel("Re eigenvalues per layer")
    ax.set_title("at the stable equilibria that samples reach", fontsize="small")
    ax.legend(fontsize="x-small")


def _probes(ax: Any, summary: Summary) -> None:
    probes, null = (np.asarray(summary["separation"][name]) for name in ("probes", "null"))
    for k in range(len(PROBES)):
        places = k + np.linspace(-0.25, 0.25, len(probes)) if len(probes) > 1 else np.array([float(k)])
        ax.plot(places, 100 * probes[:, k], "o", ms=4, color=COLOURS[0], label="networks" if k == 0 else None)
        ax.plot(places, 100 * null[:, k], "_", ms=6, color=COLOURS[7], label="shuffled labels" if k == 0 else None)
    ax.set_xticks(range(len(PROBES)), PROBES)
    ax.set_ylabel("accuracy of a linear probe / %")
    ax.legend(fontsize="x-small", loc=(0.02, 0.2))
