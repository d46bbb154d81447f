"""Probes on residuals layer by layer, and on samples that move or rest alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Summary = dict[str, Any]
WINDOWS = ("trained", "between", "late")
WORDS = ("true", "layers shuffled in each sample", "labels shuffled")
MARKERS = ("o", "s", "^")
COLUMNS = 4


def figure(kinds: list[str], arrays: dict[str, Array], summary: Summary) -> Any:
    """One panel per kind of net, thin: untrained; the last one: groups of samples in late layers."""
    from matplotlib.figure import Figure

    from resdyn.plotting.canvas import COLOURS

    columns = min(COLUMNS, len(kinds) + 1)
    rows = -(-(len(kinds) + 1) // columns)
    drawn = Figure(figsize=(0.6 + 3.8 * columns, 0.8 + 3.4 * rows), layout="constrained")
    axes = drawn.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    colours = (COLOURS[0], COLOURS[1], "0.6")
    for number, (ax, kind) in enumerate(zip(axes, kinds, strict=False), 1):
        nets = [(i, net) for i, net in enumerate(summary["nets"]) if net["name"].startswith(kind)]
        for i, net in nets:
            untrained = net["name"].endswith("untrained")
            for window in WINDOWS:
                layers, table = arrays[f"{i}.{window}_layers"], arrays[f"{i}.{window}"]
                if untrained:
                    ax.plot(layers, table[:, 0], color=COLOURS[2], linewidth=0.8)
                    continue
                for values, colour, marker in zip(table.T, colours, MARKERS, strict=True):
                    ax.plot(layers, values, color=colour, marker=marker, markersize=3)
        resting = ", ".join(f"{net['at_rest']:.0%}" for _, net in nets if not net["name"].endswith("untrained"))
        ax.set_xscale("log")
        ax.set_xlabel("layer")
        ax.set_title(f"{number}: {kind}\nat rest: {resting}", fontsize="medium")
    _draw_groups(axes[len(kinds)], kinds, summary, colours)
    for ax in axes[len(kinds) + 1 :]:
        ax.set_visible(False)
    for row in range(rows):
        axes[row * columns].set_ylabel("probe on y: samples told right")
    axes[0].set_ylim(0, 1.03)
    styles = zip(colours, MARKERS, WORDS, strict=True)
    handles = [axes[0].plot([], [], color=c, marker=m, label=words)[0] for c, m, words in styles]
    handles += axes[0].plot([], [], color=COLOURS[2], linewidth=0.8, label="the same net before training")
    drawn.legend(handles=handles, loc="outside lower center", ncols=4, fontsize="small")
    return drawn


def _draw_groups(ax: Any, kinds: list[str], summary: Summary, colours: tuple[str, ...]) -> None:
    """Left of the number of each panel the samples that move, right of it those at rest."""
    names = ("true", "time_shuffled", "largest_null")
    for number, kind in enumerate(kinds, 1):
        for net in summary["nets"]:
            if not net["name"].startswith(kind) or net["name"].endswith("untrained"):
                continue
            for side, (group, found) in zip((-0.22, 0.22), net["groups"].items(), strict=True):
                for name, colour, marker, shift in zip(names, colours, MARKERS, (-0.1, 0.0, 0.1), strict=True):
                    face = colour if group == "moving" else "none"
                    style = {"color": colour, "markerfacecolor": face, "markersize": 4}
                    ax.plot(number + side + shift, found.get(name, np.nan), marker, **style)
    ax.set_xticks(range(1, len(kinds) + 1))
    ax.set_xlim(0.5, len(kinds) + 0.5)
    ax.set_xlabel("panel")
    ax.set_title("late layers, groups of samples\nfilled: moving, open: at rest", fontsize="medium")
