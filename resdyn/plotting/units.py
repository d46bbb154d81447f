"""A trained network unit by unit."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn.plotting.canvas import COLOURS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.networks.unrolling.tracing import Trace, UnitNorms

Array = NDArray[Any]


def unit_norms(trace: "Trace | UnitNorms", *, ax: "Axes | None" = None) -> "Axes":
    r"""Norms of states and of residuals through the units of a network: median and middle half of the inputs.

    State k is the one after unit k; the residual of unit k leads to it. Lines are broken where the shape of the state
    changes, since norms of states of different sizes do not continue each other; the residual of a unit that changes
    the shape, B(x) − shortcut(x), has an open symbol.

    Parameters
    ----------
    trace : Trace or UnitNorms
        What ``unrolled.trace(x)`` or its ``norms()`` returned.
    """
    norms = _norms(trace)
    ax = axes_or_new(ax)
    n = len(norms.residuals)
    units = np.arange(1, n + 1)
    first = np.flatnonzero(norms.entries) + 1  # the first state of each later stage
    _band(ax, np.arange(n + 1), norms.states, first, COLOURS[0], "state $x_k$")
    _band(ax, units, norms.residuals, first - 1, COLOURS[1], "residual of unit $k$")
    for k in units[norms.entries]:
        ax.axvline(k - 0.5, color="0.6", linewidth=0.8, linestyle=":")
    if norms.entries.any():
        entered = np.quantile(norms.residuals[norms.entries], 0.5, axis=1, method="nearest")
        ax.plot(
            units[norms.entries],
            entered,
            "o",
            color=COLOURS[1],
            markerfacecolor="white",
            markersize=5,
            label="where the shape changes",
        )
    ax.set_yscale("log")
    ax.set_xlabel("unit $k$")
    ax.set_ylabel("Euclidean norm")
    ax.set_xlim(-0.5, n + 0.5)
    _plain_ticks(ax)
    ax.legend(fontsize="x-small", frameon=False)
    return ax


def _norms(trace: Any) -> "UnitNorms":
    found = trace.norms() if hasattr(trace, "state_norms") else trace
    if not (hasattr(found, "residuals") and hasattr(found, "entries")):
        raise TypeError(f"needed is what unrolled.trace(x) returned, or its norms(), but came {trace!r}.")
    if not found.residuals.shape[1]:
        raise ValueError("the trace has no inputs, so there is nothing to draw.")
    return found  # type: ignore[no-any-return]


def _band(ax: "Axes", k: Array, values: Array, starts: Array, colour: str, label: str) -> None:
    """Quartiles over inputs, with lines that begin anew at ``starts``."""
    # the nearest value, because a norm that is not known or infinite cannot be interpolated
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=1, method="nearest")
    pieces = [piece for piece in np.split(np.arange(len(k)), starts) if piece.size]
    for i, piece in enumerate(pieces):
        ax.fill_between(k[piece], low[piece], high[piece], color=colour, alpha=0.2, linewidth=0)
        ax.plot(
            k[piece], middle[piece], "-o", color=colour, markersize=3, linewidth=1.3, label=label if i == 0 else None
        )


def _plain_ticks(ax: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    lower, upper = ax.get_ylim()
    if upper < 1000 * lower:  # few powers of ten are in sight, so numbers between them are named too
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else ""))
