"""Bifurcation diagrams."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn.plotting.canvas import COLOURS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.analysis.branches import Branch

Array = NDArray[Any]

_MARKS = {"fold": "s", "branch point": "D", "flip": "o", "Neimark–Sacker": "^", "Hopf": "v"}


def bifurcation_diagram(
    branches: "Branch | Sequence[Branch]",
    *,
    unit: int | str = 0,
    parameter: str = "parameter",
    ax: "Axes | None" = None,
) -> "Axes":
    """Branches over their parameter: solid where they are stable, dashed where not, with a mark at each bifurcation.

    All states of a cycle are drawn, in the colour of its period.

    Parameters
    ----------
    branches : Branch or sequence of Branch
    unit : int or "norm"
        Which unit of the flattened state is drawn, or the norm of the state over the root of the number of units.
    parameter : str
        The name of the parameter, for the axis.
    """
    given: list[Any] = [branches] if hasattr(branches, "orbits") else list(branches)
    if not given:
        raise ValueError("there is no branch to draw; pass at least one that resdyn.continuation returned.")
    ax = axes_or_new(ax)
    periods = sorted({branch.period for branch in given})
    for branch in given:
        colour = COLOURS[periods.index(branch.period) % len(COLOURS)]
        for k in range(branch.period):
            _curve(ax, branch.values, _heights(branch.orbits[:, k], unit), branch.stable, colour)
    _marks(ax, given, unit)
    if len(periods) > 1:
        for period in periods:
            label = "fixed points" if period == 1 else f"{period}-cycle"
            ax.plot([], [], color=COLOURS[periods.index(period) % len(COLOURS)], linewidth=1.5, label=label)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize="x-small", frameon=False)
    ax.set_xlabel(parameter)
    ax.set_ylabel(r"$\|x\|/\sqrt{d}$" if unit == "norm" else f"$x_{{{int(unit)}}}$")
    return ax


def _heights(states: Array, unit: int | str) -> Array:
    flat = states.reshape(len(states), int(np.prod(states.shape[1:])))
    if isinstance(unit, str):
        validate.choice(unit, "unit", ("norm",))
        return np.linalg.norm(flat, axis=1) / np.sqrt(flat.shape[1])
    number = validate.count(unit, "unit")
    if number >= flat.shape[1]:
        raise ValueError(f"unit={number}, but states have {flat.shape[1]} units, 0 to {flat.shape[1] - 1}.")
    return flat[:, number]


def _curve(ax: "Axes", values: Array, heights: Array, stable: Array, colour: str) -> None:
    """One line per stretch of the same stability; neighbours share the point between them."""
    # points that are undecided, like a bifurcation where a branch begins, go with what follows
    known = stable.copy()
    for k in range(len(known) - 2, -1, -1):
        if known[k] < 0:
            known[k] = known[k + 1]
    edges = np.flatnonzero(np.diff(known)) + 1
    for begin, end in zip([0, *edges], [*edges, len(values)], strict=True):
        begin = max(begin - 1, 0)
        style = {1: "-", 0: "--"}.get(int(known[end - 1]), ":")
        ax.plot(values[begin:end], heights[begin:end], style, color=colour, linewidth=1.5)


def _marks(ax: "Axes", given: "Sequence[Branch]", unit: int | str) -> None:
    """Each bifurcation once, though two branches may meet there; in the legend each kind once."""
    drawn: set[str] = set()
    for branch in given:
        for bifurcation in branch.bifurcations:
            height = float(_heights(bifurcation.x[None], unit)[0])
            ax.plot(
                [bifurcation.value],
                [height],
                _MARKS[bifurcation.kind],
                color="0.15",
                markerfacecolor="white",
                markersize=5,
                zorder=3,
                label=None if bifurcation.kind in drawn else bifurcation.kind,
            )
            drawn.add(bifurcation.kind)
