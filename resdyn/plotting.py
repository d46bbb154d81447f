"""Figures, in the field's terms and in colours that the colour-blind can tell apart.

Every function draws into ``ax`` (or a new figure) and returns the Axes.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.analysis.interactions import Cooperation
    from resdyn.trajectory import Trajectory

Array = NDArray[Any]

COLOURS = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9")
"""One colour per class, distinguishable with the common forms of colour blindness."""


def _axes(ax: "Axes | None") -> "Axes":
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('figures need matplotlib; install it with: pip install "resdyn[plot]"') from error
    return Figure(figsize=(5, 3.5), layout="constrained").add_subplot()


def _of_classes(values: Array, labels: Any) -> list[tuple[Any, Array]]:
    """(class, values of its states) for values of shape (n_saved, n_states, …)."""
    if values.ndim < 2:
        raise ValueError(f"classes need a batch of states with one batch axis; the values have shape {values.shape}.")
    if labels is None:
        return [(None, values)]
    classes = np.asarray(labels)
    if classes.shape != values.shape[1:2]:
        raise ValueError(f"labels has shape {classes.shape}, but the trajectory has {values.shape[1]} states.")
    return [(label, values[:, classes == label]) for label in np.unique(classes)]


def _class_lines(ax: "Axes", t: Array, values: Array, labels: Any) -> None:
    """Median of each class, with a band that holds the middle half of its states."""
    for i, (label, of_class) in enumerate(_of_classes(values, labels)):
        colour = COLOURS[i % len(COLOURS)]
        lower, median, upper = np.quantile(of_class, [0.25, 0.5, 0.75], axis=1)
        ax.fill_between(t, lower, upper, color=colour, alpha=0.15, linewidth=0)
        ax.plot(t, median, color=colour, linewidth=1.5, label=None if label is None else str(label))
    ax.set_xlabel("depth-time t")
    if labels is not None:
        ax.legend(title="class", fontsize="x-small", title_fontsize="x-small", ncols=2, frameon=False)


def residual_transients(
    trajectory: "Trajectory", labels: Any = None, *, unit: int = 0, ax: "Axes | None" = None
) -> "Axes":
    r"""The residual y of one unit against depth: median and middle half of each class.

    Parameters
    ----------
    trajectory : Trajectory
        Of a system with a weight matrix, batch of shape (n,).
    labels : array, shape (n,), optional
    unit : int
    """
    ax = _axes(ax)
    _class_lines(ax, trajectory.t, trajectory.activations[..., unit], labels)
    ax.set_ylabel(f"residual $y_{{{unit}}}$")
    return ax


def cumulative_states(
    trajectory: "Trajectory", labels: Any = None, *, unit: int = 0, ax: "Axes | None" = None
) -> "Axes":
    r"""The running sum of residuals, x − x(0), of one unit: median and middle half of each class."""
    ax = _axes(ax)
    _class_lines(ax, trajectory.t, trajectory.cumulative[..., unit], labels)
    ax.set_ylabel(f"cumulative state $x_{{{unit}}} - x_{{{unit}}}(0)$")
    return ax


def spread_per_layer(trajectory: "Trajectory", labels: Any = None, *, ax: "Axes | None" = None) -> "Axes":
    r"""Standard deviation of the residuals over states, averaged over units, against depth.

    With labels also the mean standard deviation within a class: the gap is what tells the classes apart.
    """
    ax = _axes(ax)
    y = trajectory.activations
    ax.plot(trajectory.t, y.std(axis=1).mean(axis=-1), color=COLOURS[0], marker="o", ms=3, label="all states")
    if labels is not None:
        within = np.mean([of_class.std(axis=1).mean(axis=-1) for _, of_class in _of_classes(y, labels)], axis=0)
        ax.plot(trajectory.t, within, color=COLOURS[1], marker="s", ms=3, label="within a class")
        ax.legend(fontsize="x-small", frameon=False)
    ax.set_xlabel("depth-time t")
    ax.set_ylabel("spread of residuals")
    ax.set_ylim(bottom=0)
    return ax


def interaction_matrix(system_or_W: System | Array, *, ax: "Axes | None" = None) -> "Axes":
    r"""The signed weights: row i, column j says whether unit j helps (w > 0) or hinders (w < 0) unit i."""
    ax = _axes(ax)
    W = np.asarray(getattr(system_or_W, "W", system_or_W))
    if W.ndim != 2:
        raise ValueError(f"the interaction matrix has shape (N, N), but W has shape {W.shape}; pick a layer of it.")
    largest = float(np.abs(W).max()) or 1.0
    image = ax.imshow(W, cmap="RdBu", vmin=-largest, vmax=largest, interpolation="nearest")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.85)
    bar.set_label("$w_{ij}$: hinders (−), helps (+)")
    ax.set_xlabel("acting unit j")
    ax.set_ylabel("receiving unit i")
    return ax


# --- fixed points and Lyapunov functions -------------------------------------------------------------


# --- cooperation and competition ---------------------------------------------------------------------

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

    ax = _axes(ax)
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
    ax = _axes(ax)
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


# --- transients layer by layer -----------------------------------------------------------------------


# --- Lyapunov exponents ------------------------------------------------------------------------------


# --- perturbations -----------------------------------------------------------------------------------
