"""Basins of attraction, and how long orbits take to their attractors."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn.plotting.canvas import COLOURS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.analysis.attraction import Basins

Array = NDArray[Any]

_UNDECIDED, _BOUNDARY, _DIVERGED = "0.75", "black", "white"


def basins(basins: "Basins", *, ax: "Axes | None" = None) -> "Axes":
    """The basins in the colours of their attractors, which are marked where they lie in the picture.

    Initial states that lie on a boundary are black, those that settled nowhere grey, those that diverged white. A grid
    of one axis is a strip. Of more than two axes take a plane.
    """
    from matplotlib.colors import ListedColormap

    ax = axes_or_new(ax)
    outcomes = _codes()
    n = len(basins.kinds)
    shown = np.where(basins.labels >= 0, basins.labels, n)
    shown = np.where(basins.outcomes == outcomes["boundary"], n + 1, shown)
    shown = np.where(basins.outcomes == outcomes["diverged"], n + 2, shown)
    colours = [COLOURS[i % len(COLOURS)] for i in range(n)]
    palette = ListedColormap([*colours, _UNDECIDED, _BOUNDARY, _DIVERGED])
    _mesh(ax, basins, shown, cmap=palette, vmin=-0.5, vmax=n + 2.5)
    for i in range(min(n, len(COLOURS))):
        share = basins.fractions[i]
        ax.plot([], [], "s", color=colours[i], label=f"{basins.attractors[i].kind}, {share:.3g}")
    others = ((n, _UNDECIDED, "not settled"), (n + 1, _BOUNDARY, "boundary"), (n + 2, _DIVERGED, "diverged"))
    for code, colour, word in others:
        share = float((shown == code).mean())
        if share:
            ax.plot([], [], "s", color=colour, markeredgecolor="0.5", label=f"{word}, {share:.2g}")
    _mark_attractors(ax, basins, colours)
    ax.legend(fontsize="x-small", frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def convergence_times(basins: "Basins", *, ax: "Axes | None" = None) -> "Axes":
    """How long each initial state takes until it is near its attractor for good: layers of a map, t of a flow.

    The scale is logarithmic where the times span more than a factor of 30; states that settle nowhere are grey.
    """
    from matplotlib.colors import LogNorm, Normalize

    ax = axes_or_new(ax)
    times = np.ma.masked_invalid(basins.times)
    finite = basins.times[np.isfinite(basins.times)]
    positive = finite[finite > 0]
    wide = len(positive) > 0 and positive.max() > 30 * positive.min()
    # the logarithm has no place for the attractor itself
    least = float(positive.min()) if wide else float(finite.min(initial=0.0))
    most = float(finite.max(initial=1.0))
    norm: Any = LogNorm(least, most) if wide else Normalize(least, most)
    if wide:
        times = np.ma.clip(times, least, None)
    ax.set_facecolor(_UNDECIDED)
    mesh = _mesh(ax, basins, times, cmap="viridis", norm=norm)
    ax.figure.colorbar(
        mesh, ax=ax, label="layers to the attractor" if basins.dynamics == "map" else "t to the attractor"
    )
    return ax


def _codes() -> dict[str, int]:
    from resdyn.analysis.attraction.result import OUTCOMES

    return OUTCOMES


def _edges(axis: Array) -> Array:
    """The ends of the cells around the points of an axis."""
    if len(axis) == 1:
        return axis[0] + np.array([-0.5, 0.5])
    middle = (axis[1:] + axis[:-1]) / 2
    return np.concatenate([[1.5 * axis[0] - 0.5 * axis[1]], middle, [1.5 * axis[-1] - 0.5 * axis[-2]]])


def _mesh(ax: "Axes", basins: "Basins", values: Array, **style: Any) -> Any:
    axes = basins.axes
    if len(axes) > 2:
        raise ValueError(
            f"the grid has {len(axes)} axes, and a picture two; compute basins on a plane=(origin, directions)."
        )
    if len(axes) == 1:
        mesh = ax.pcolormesh(_edges(axes[0]), [0.0, 1.0], values[None], rasterized=True, **style)
        ax.set_yticks([])
    else:
        mesh = ax.pcolormesh(_edges(axes[0]), _edges(axes[1]), values.T, rasterized=True, **style)
        ax.set_ylabel(_name(basins, 1))
    ax.set_xlabel(_name(basins, 0))
    return mesh


def _name(basins: "Basins", i: int) -> str:
    if basins.plane_directions.size:
        return f"along direction {i}"
    if basins.coordinates == "y":
        return f"residual $y_{{{i}}}$"
    return f"state $x_{{{i}}}$"


def _mark_attractors(ax: "Axes", basins: "Basins", colours: list[str]) -> None:
    """The attractors' points; in a plane through more dimensions they are elsewhere, and not shown."""
    if basins.plane_directions.size:
        return
    low, high = (np.array([edge(axis) for axis in basins.axes]) for edge in (np.min, np.max))
    for i, attractor in enumerate(basins.attractors):
        points = attractor.y if basins.coordinates == "y" and attractor.y is not None else attractor.points
        points = points.reshape(len(points), -1)
        points = points[((points >= low) & (points <= high)).all(axis=1)]
        second = np.full(len(points), 0.5) if points.shape[1] == 1 else points[:, 1]
        if len(points) > 64:
            ax.plot(points[:, 0], second, ".", ms=1.5, color="white")
        else:
            ax.plot(points[:, 0], second, "o", ms=7, color=colours[i], markeredgecolor="white", markeredgewidth=1.5)
