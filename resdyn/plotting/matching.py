"""Attractors over a parameter."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn.plotting.canvas import COLOURS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.analysis.families.matching import GlobalContinuation

Array = NDArray[Any]

_REST = (("boundary", "on a boundary", "0.6"), ("undecided", "undecided", "0.8"), ("diverged", "diverged", "0.25"))


def basin_fractions(
    continuation: "GlobalContinuation", *, parameter: str = "parameter", ax: "Axes | None" = None
) -> "Axes":
    """The share of each basin over the parameter, stacked, one colour per attractor.

    Between two values the shares are joined by lines; what is absent has none. Vertical lines mark events.
    """
    ax = axes_or_new(ax)
    order = np.argsort(continuation.values, kind="stable")
    values = continuation.values[order]
    shares = [np.nan_to_num(continuation.fractions[order, i]) for i in continuation.ids]
    colours = [_colour(i) for i in continuation.ids]
    labels = [f"attractor {i}" for i in continuation.ids]
    for name, label, grey in _REST:
        rest = getattr(continuation, name)[order]
        if rest.any():
            shares, colours, labels = [*shares, rest], [*colours, grey], [*labels, label]
    ax.stackplot(values, np.array(shares), colors=colours, labels=labels, alpha=0.85, linewidth=0)
    _mark_events(continuation, ax)
    ax.set_xlim(values[0], values[-1])
    ax.set_ylim(0, 1)
    ax.set_xlabel(parameter)
    ax.set_ylabel("basin fraction")
    if len(labels) <= 12:
        ax.legend(fontsize="x-small", frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def global_continuation(
    continuation: "GlobalContinuation", *, unit: int = 0, parameter: str = "parameter", ax: "Axes | None" = None
) -> "Axes":
    """One coordinate of all points of the attractors over the parameter, one colour per attractor.

    Fixed points are joined by lines; of logistic residuals the coordinate is y.
    """
    ax = axes_or_new(ax)
    d = int(np.prod(continuation.points.shape[1:]))
    if validate.count(unit, "unit") >= d:
        raise ValueError(f"unit must be below {d}, the number of units of {continuation.name!r}, but is {unit}.")
    coordinate = continuation.points.reshape(len(continuation.points), -1)[:, unit]
    where = np.repeat(continuation.values[continuation.value_index], continuation.lengths)
    owner = np.repeat(continuation.id_of, continuation.lengths)
    centres = continuation.centres.reshape(*continuation.fractions.shape, -1)[..., unit]
    points = np.array([kind == "fixed point" for kind in continuation.kinds], dtype=bool)
    for i in continuation.ids:
        ax.plot(where[owner == i], coordinate[owner == i], ".", color=_colour(i), ms=3.5, label=f"attractor {i}")
        joined = np.full(len(continuation.values), np.nan)
        single = continuation.value_index[points & (continuation.id_of == i)]
        joined[single] = centres[single, i]
        ax.plot(continuation.values, joined, color=_colour(i), linewidth=1.0, alpha=0.7)
    _mark_events(continuation, ax)
    ax.set_xlim(continuation.values.min(), continuation.values.max())
    ax.set_xlabel(parameter)
    ax.set_ylabel(f"$x_{{{unit}}}$ on the attractors")
    if 0 < len(continuation.ids) <= 12:
        ax.legend(fontsize="x-small", frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _colour(identity: int) -> str:
    return COLOURS[int(identity) % len(COLOURS)]


def _mark_events(continuation: "GlobalContinuation", ax: "Axes") -> None:
    for index in np.unique(continuation.event_index[continuation.event_index > 0]):
        # it happened between this value and the one before
        middle = continuation.values[index - 1 : index + 1].mean()
        ax.axvline(middle, color="0.3", linewidth=0.7, linestyle=":")
