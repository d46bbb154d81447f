"""Figures, in the field's terms and in colours that the colour-blind can tell apart.

Every function draws into ``ax`` (or a new figure) and returns the Axes.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.analysis.certificates import Certificate
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


def lyapunov_function(
    certificate: "Certificate",
    trajectory: "Trajectory | None" = None,
    *,
    extent: tuple[float, float, float, float] | None = None,
    residuals: bool = False,
    resolution: int = 201,
    ax: "Axes | None" = None,
) -> "Axes":
    r"""A Lyapunov function along orbits, or its level sets in the plane of two units.

    Parameters
    ----------
    certificate : Certificate
    trajectory : Trajectory, optional
        Without ``extent``: V along each of its orbits against depth. With ``extent``: drawn over the level sets.
    extent : (left, right, bottom, top), optional
        Draws level sets over this part of the plane, and the proven region where it is bounded; systems of two units.
    residuals : bool
        The plane is that of y = σ(z) instead of the state z (:class:`resdyn.LogisticResiduals`).
    resolution : int
        Points along each side of the plane.
    """
    if extent is not None:
        return _level_sets(certificate, trajectory, extent, residuals, resolution, _axes(ax))
    if trajectory is None:
        raise ValueError("pass a trajectory to see V along its orbits, or extent=(left, right, bottom, top).")
    ax = _axes(ax)
    V = certificate.V(trajectory.x).reshape(len(trajectory.t), -1)
    ax.plot(trajectory.t, V, color=COLOURS[0], linewidth=1.0, alpha=max(0.15, 1 / np.sqrt(V.shape[1])))
    if certificate.region is not None and np.isfinite(certificate.region):
        ax.axhline(certificate.region, color=COLOURS[3], linestyle="--", linewidth=1.0)
        ax.annotate("proven region below", (1, certificate.region), (-3, 3), ("axes fraction", "data"), "offset points",
                    fontsize="x-small", color=COLOURS[3], ha="right")  # fmt: skip
    ax.set_xlabel("depth-time t")
    ax.set_ylabel("Lyapunov function $V$")
    return ax


def _level_sets(
    certificate: "Certificate",
    trajectory: "Trajectory | None",
    extent: tuple[float, float, float, float],
    residuals: bool,
    resolution: int,
    ax: "Axes",
) -> "Axes":
    system: Any = certificate.system
    if system.shape != (2,):
        raise ValueError(f"level sets need two units, but {system.name!r} has states of shape {system.shape}.")
    if residuals and not hasattr(system, "from_residuals"):
        raise ValueError(f"residuals=True needs a LogisticResiduals, whose state y determines; got {system.name!r}.")
    left, right, bottom, top = extent
    axes = np.linspace(left, right, resolution), np.linspace(bottom, top, resolution)
    plane = np.stack(np.meshgrid(*axes), axis=-1)
    V = certificate.V(system.from_residuals(plane) if residuals else plane)
    V = np.ma.masked_invalid(V)
    # levels that part the plane into equal areas, since V may grow without bound towards the edges
    levels = np.unique(np.quantile(V.compressed(), np.linspace(0, 1, 16)[1:-1]))
    ax.contour(*axes, V, levels=levels, colors=COLOURS[7], linewidths=0.8)
    if certificate.region is not None and np.isfinite(certificate.region):
        ax.contour(*axes, V, levels=[certificate.region], colors=COLOURS[3], linewidths=2.0)
    if trajectory is not None:
        shown = trajectory.y if residuals else trajectory.x
        lines = shown.reshape(len(trajectory.t), -1, 2)
        ax.plot(lines[..., 0], lines[..., 1], color=COLOURS[0], linewidth=0.9)
        ax.plot(*lines[0].T, "o", color=COLOURS[0], ms=2.5)
    name = "y" if residuals else ("z" if hasattr(system, "from_residuals") else "x")
    ax.set_xlabel(f"${name}_0$")
    ax.set_ylabel(f"${name}_1$")
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    ax.set_aspect("equal")
    return ax


# --- cooperation and competition ---------------------------------------------------------------------


# --- transients layer by layer -----------------------------------------------------------------------


# --- Lyapunov exponents ------------------------------------------------------------------------------


# --- perturbations -----------------------------------------------------------------------------------
