"""Cooperation and competition."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn.plotting.canvas import COLOURS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.analysis.interactions.relations import Cooperation

Array = NDArray[Any]


_RELATION_COLOURS = {
    "none": "#ffffff",
    "mutualism": COLOURS[0],
    "competition": COLOURS[3],
    "predator-prey": COLOURS[8],
    "commensalism": COLOURS[9],
    "amensalism": COLOURS[1],
    "mixed": COLOURS[7],
}


def relations(cooperation: "Cooperation", *, ax: "Axes | None" = None) -> "Axes":
    """What each pair of units does to each other: a symmetric matrix, one colour per relation that occurs."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

    ax = axes_or_new(ax)
    colours = list(_RELATION_COLOURS.values())
    n = len(cooperation.sign)
    codes = np.ma.masked_array(cooperation.relations, mask=np.eye(n, dtype=bool))  # nobody is a pair with itself
    cmap = ListedColormap(colours, "relations").with_extremes(bad="#e8e8e8")
    ax.imshow(codes, cmap=cmap, vmin=-0.5, vmax=len(colours) - 0.5, interpolation="nearest")
    handles = [
        Patch(facecolor=_RELATION_COLOURS[relation], edgecolor="#888888", label=f"{relation} ({count})")
        for relation, count in cooperation.counts.items()
        if count
    ]
    if handles:
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize="small", frameon=False)
    ax.set_xlabel("unit j")
    ax.set_ylabel("unit i")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    return ax


def influence(cooperation: "Cooperation", *, n_pairs: int = 5, ax: "Axes | None" = None) -> "Axes":
    r"""Who acts most on whom, against depth: the mean influence φ′(z_i) α w_ij of unit j on unit i.

    The ``n_pairs`` ordered pairs that reach the largest influence somewhere along the trajectory are drawn.
    """
    if cooperation.t is None:
        raise ValueError("there is no influence along a trajectory to draw; pass one: cooperation(system, trajectory).")
    ax = axes_or_new(ax)
    slots = range(len(cooperation.t))
    largest = np.max([np.abs(cooperation.influence_at(slot)) for slot in slots], axis=0)
    np.fill_diagonal(largest, -1.0)
    n = len(largest)
    strongest = np.argsort(-largest, axis=None, kind="stable")[: min(n_pairs, n * n - n)]
    receivers, actors = np.unravel_index(strongest, largest.shape)
    lines = np.array([cooperation.influence_at(slot)[receivers, actors] for slot in slots])
    ax.axhline(0.0, color="#888888", linewidth=0.8)
    for k, (i, j) in enumerate(zip(receivers, actors, strict=True)):
        ax.plot(cooperation.t, lines[:, k], color=COLOURS[k % len(COLOURS)], linewidth=1.5, label=f"{j} → {i}")
    if len(receivers):
        ax.legend(title="acting → receiving", fontsize="x-small", title_fontsize="x-small", frameon=False)
    ax.set_xlabel("depth-time t")
    observed = cooperation.jacobians is not None
    ax.set_ylabel(r"$\partial f_i / \partial x_j$" if observed else r"influence $\varphi'(z_i)\, \alpha w_{ij}$")
    return ax
