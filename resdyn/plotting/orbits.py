"""Trajectories layer by layer, and weights."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System
from resdyn.plotting.canvas import COLOURS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.trajectory import Trajectory

Array = NDArray[Any]


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
    ax = axes_or_new(ax)
    _class_lines(ax, trajectory.t, trajectory.activations[..., unit], labels)
    ax.set_ylabel(f"residual $y_{{{unit}}}$")
    return ax


def cumulative_states(
    trajectory: "Trajectory", labels: Any = None, *, unit: int = 0, ax: "Axes | None" = None
) -> "Axes":
    r"""The running sum of residuals, x − x(0), of one unit: median and middle half of each class."""
    ax = axes_or_new(ax)
    _class_lines(ax, trajectory.t, trajectory.cumulative[..., unit], labels)
    ax.set_ylabel(f"cumulative state $x_{{{unit}}} - x_{{{unit}}}(0)$")
    return ax


def spread_per_layer(trajectory: "Trajectory", labels: Any = None, *, ax: "Axes | None" = None) -> "Axes":
    r"""Standard deviation of the residuals over states, averaged over units, against depth.

    With labels also the mean standard deviation within a class: the gap is what tells the classes apart.
    """
    ax = axes_or_new(ax)
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
    ax = axes_or_new(ax)
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
