"""Cycles in the plane of two units or as cobwebs, and sections of a flow."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn.plotting.canvas import COLOURS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.analysis.periodic import Cycle, Cycles
    from resdyn.trajectory import Trajectory

Array = NDArray[Any]

_LARGEST_LEGEND = 8


def cycles(found: "Cycles", *, units: tuple[int, int] = (0, 1), ax: "Axes | None" = None) -> "Axes":
    r"""Cycles in the plane of two units: closed curves of a flow, states joined in order of a map.

    Solid where stable, dashed elsewhere. Cycles of a map with one unit are drawn as cobwebs on its graph.
    """
    ax = axes_or_new(ax)
    one = int(np.prod(found.system.shape)) == 1
    if one:
        _graph(found, ax)
    i, j = units
    for place, cycle in enumerate(found):
        style: dict[str, Any] = {
            "color": COLOURS[place % len(COLOURS)],
            "linestyle": "-" if cycle.is_stable() else "--",
            "label": _label(cycle) if len(found) <= _LARGEST_LEGEND else None,
        }
        states = cycle.x.reshape(len(cycle.x), -1)
        if one:
            _cobweb(states[:, 0], ax, style)
            continue
        closed = np.concatenate([states, states[:1]])
        is_map = cycle.dynamics == "map"
        ax.plot(closed[:, i], closed[:, j], marker="o" if is_map else "", ms=4, linewidth=1 if is_map else 1.5, **style)
    ax.set_xlabel("$x_k$" if one else f"state $x_{{{i}}}$")
    ax.set_ylabel("$x_{k+1}$" if one else f"state $x_{{{j}}}$")
    if 0 < len(found) <= _LARGEST_LEGEND:
        ax.legend(fontsize="x-small", frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _label(cycle: "Cycle") -> str:
    word = {True: "stable", False: "unstable", None: "undecided"}[cycle.is_stable()]
    return f"p = {cycle.period}, {word}" if cycle.dynamics == "map" else f"T = {cycle.duration:.4g}, {word}"


def _graph(found: "Cycles", ax: "Axes") -> None:
    """The map and the diagonal, a little beyond the cycles."""
    low, high = (found.x.min(), found.x.max()) if len(found) else (-1.0, 1.0)
    margin = 0.1 * (high - low) or 0.5
    x = np.linspace(low - margin, high + margin, 400)
    image = x + found.system.step * found.system.residual(0.0, x.reshape(-1, *found.system.shape)).ravel()
    ax.plot(x, x, color="0.75", linewidth=0.8)
    ax.plot(x, image, color="0.3", linewidth=1.2)


def _cobweb(x: Array, ax: "Axes", style: dict[str, Any]) -> None:
    """From the diagonal up to the graph, and across to the diagonal."""
    after = np.roll(x, -1)
    across = np.column_stack([x, x, after]).ravel()
    up = np.column_stack([x, after, after]).ravel()
    ax.plot(across, up, linewidth=1, **style)
    ax.plot(x, after, "o", ms=4, color=style["color"])


def poincare_section(
    trajectory: "Trajectory", *, units: tuple[int, int] = (0, 1), transient: int = 0, ax: "Axes | None" = None
) -> "Axes":
    r"""Where orbits cross a section: the states of a :func:`resdyn.poincare_map` that ``simulate`` saved.

    Of a section with one coordinate each crossing is drawn against the one before (return map).

    Parameters
    ----------
    trajectory : Trajectory
        Of a return map.
    units : pair of int
        Coordinates on the section.
    transient : int
        Crossings left out at the beginning.
    """
    ax = axes_or_new(ax)
    states = trajectory.x[transient:]
    if not hasattr(trajectory.system, "lift"):
        raise ValueError(
            f"the trajectory is one of {trajectory.system.name!r}, which is no return map; "
            "simulate resdyn.poincare_map(system, section)."
        )
    if states.shape[-1] == 1:
        ax.plot(states[:-1].ravel(), states[1:].ravel(), ".", ms=2, color=COLOURS[0])
        ax.set_xlabel("$u_k$")
        ax.set_ylabel("$u_{k+1}$")
        return ax
    i, j = units
    ax.plot(states[..., i].ravel(), states[..., j].ravel(), ".", ms=2, color=COLOURS[0])
    ax.set_xlabel(f"coordinate $u_{{{i}}}$ on the section")
    ax.set_ylabel(f"coordinate $u_{{{j}}}$")
    return ax
