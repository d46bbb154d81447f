"""Lyapunov functions."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn.plotting.canvas import COLOURS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.analysis.certificates import Certificate
    from resdyn.trajectory import Trajectory

Array = NDArray[Any]


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
        return _level_sets(certificate, trajectory, extent, residuals, resolution, axes_or_new(ax))
    if trajectory is None:
        raise ValueError("pass a trajectory to see V along its orbits, or extent=(left, right, bottom, top).")
    ax = axes_or_new(ax)
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
