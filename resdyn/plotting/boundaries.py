"""Boundaries of basins, and how fixed points recover."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn.plotting.canvas import COLOURS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.analysis.boundaries import BasinEntropy, EdgeState, Resilience, UncertaintyExponent

Array = NDArray[Any]


def uncertainty(result: "UncertaintyExponent", *, ax: "Axes | None" = None) -> "Axes":
    r"""The share of uncertain states against ε, with bars of two standard errors and the power law fitted to it."""
    ax = axes_or_new(ax)
    met = result.shares > 0
    if not met.any():
        raise ValueError("no pair of states met the boundary, so that there is no share to draw on logarithmic axes.")
    # a bar that reaches below zero ends at the lower rim of a logarithmic axis
    below = np.minimum(2 * result.share_errors, 0.999 * result.shares)[met]
    ax.errorbar(
        result.epsilons[met],
        result.shares[met],
        yerr=np.stack([below, 2 * result.share_errors[met]]),
        fmt="o",
        markersize=4,
        color=COLOURS[0],
        elinewidth=1,
        label="f(ε)",
    )
    if np.isfinite(result.exponent):
        half = result.interval[1] - result.exponent
        text = f"$\\alpha = {result.exponent:.3f}" + (f" \\pm {half:.2g}$" if np.isfinite(half) else "$")
        law = result.prefactor * result.epsilons**result.exponent
        ax.plot(result.epsilons, law, color=COLOURS[1], linewidth=1.5, label=text)
    _logarithmic(ax)
    ax.set_xlabel("size of the perturbation ε")
    ax.set_ylabel("share of uncertain states f(ε)")
    ax.legend(fontsize="small", frameon=False, loc="upper left")
    return ax


def basin_entropy(result: "BasinEntropy", *, ax: "Axes | None" = None) -> "Axes":
    """Basin entropy and boundary basin entropy against the size of the boxes, with the log 2 of the criterion."""
    ax = axes_or_new(ax)
    series = (
        ("basin entropy $S_b$", result.values, result.standard_error),
        ("boundary basin entropy $S_{bb}$", result.boundary_values, result.boundary_standard_error),
    )
    for (label, values, errors), colour, marker in zip(series, COLOURS, "os", strict=False):
        bars = np.where(np.isfinite(errors), 2 * errors, 0.0)
        below = np.minimum(bars, 0.999 * values)
        ax.errorbar(
            result.sizes,
            values,
            yerr=np.stack([below, bars]),
            color=colour,
            marker=marker,
            markersize=4,
            linewidth=1.5,
            label=label,
        )
    ax.axhline(np.log(2), color="0.4", linewidth=0.8, linestyle="--", label="log 2")
    _logarithmic(ax)
    ax.set_xticks(result.sizes, [str(size) for size in result.sizes])
    ax.set_xlabel("cells along the side of a box")
    ax.set_ylabel("entropy (nats)")
    ax.legend(fontsize="small", frameon=False)
    return ax


def _logarithmic(ax: "Axes") -> None:
    """Logarithmic axes with plain numbers, also over less than a decade, where the default labels overlap."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        low, high = axis.get_data_interval()
        axis.set_major_locator(LogLocator(subs=(1.0,) if high > 300 * low else (1.0, 2.0, 5.0)))
        axis.set_major_formatter(FormatStrFormatter("%g"))
        axis.set_minor_locator(NullLocator())


def edge_track(result: "EdgeState", *, units: tuple[int, int] = (0, 1), ax: "Axes | None" = None) -> "Axes":
    """The orbit along the boundary in the plane of two units, or of one unit against depth-time, and its end.

    Parameters
    ----------
    result : EdgeState
    units : two ints
        Places in the flattened state; of systems with one unit, depth-time is on the horizontal axis.
    """
    if not len(result.track):
        raise ValueError("the track is empty: both starts lie in one basin.")
    ax = axes_or_new(ax)
    track = result.track.reshape(len(result.track), -1)
    end = result.x.ravel()
    if track.shape[1] == 1:
        ax.plot(result.t, track[:, 0], color=COLOURS[0], linewidth=1.5, label="track along the boundary")
        ax.axhline(end[0], color=COLOURS[3], linewidth=0.8, linestyle="--", label=_end(result))
        ax.set_xlabel("depth-time t")
        ax.set_ylabel("$x_0$")
    else:
        i, j = units
        ax.plot(
            track[:, i],
            track[:, j],
            ".-",
            color=COLOURS[0],
            linewidth=1,
            markersize=3,
            label="track along the boundary",
        )
        ax.plot(track[0, i], track[0, j], "o", markerfacecolor="white", color=COLOURS[0], label="its first state")
        ax.plot(end[i], end[j], "X", color=COLOURS[3], markersize=9, label=_end(result))
        ax.set_xlabel(f"$x_{{{i}}}$")
        ax.set_ylabel(f"$x_{{{j}}}$")
    ax.legend(fontsize="small", frameon=False)
    return ax


def _end(result: "EdgeState") -> str:
    if result.kind == "not settled":
        return "its last state"
    name = "fixed point" if result.kind == "fixed point" else f"cycle of period {result.period}"
    return (
        name
        if result.n_unstable < 0
        else f"{name}, {result.n_unstable} unstable direction" + "s" * (result.n_unstable != 1)
    )


def resilience(result: "Resilience", *, ax: "Axes | None" = None) -> "Axes":
    r"""The largest amplification of a perturbation against depth-time, for each stable point, with its maximum.

    Dotted: the decay of the slowest mode alone; dashed: the growth at the rate of the reactivity, from the start to the
    maximum.
    """
    ax = axes_or_new(ax)
    shown = np.flatnonzero(np.isfinite(result.growth).all(axis=1) & (result.stable == 1))
    if not shown.size:
        raise ValueError("no point is stable by its linearization, so that there is no curve to draw.")
    for colour, i in zip(np.resize(COLOURS, len(shown)), shown, strict=True):
        t = result.t[i]
        ax.plot(t, result.growth[i], color=colour, linewidth=1.5, label=f"point {i}")
        ax.plot(t, np.exp(result.asymptotic_rate[i] * t), color=colour, linewidth=1, linestyle=":")
        if result.is_reactive[i]:
            start = np.linspace(0, result.amplification_time[i], 50)
            initial = np.exp(result.reactivity[i] * start)
            low = initial <= 1.5 * result.amplification[i]
            ax.plot(start[low], initial[low], color=colour, linewidth=1, linestyle="--")
            ax.plot(result.amplification_time[i], result.amplification[i], "o", color=colour, markersize=5)
    ax.axhline(1.0, color="0.6", linewidth=0.8, zorder=0)
    ax.set_ylim(bottom=0)
    ax.set_xlim(left=0)
    ax.set_xlabel("depth-time t")
    ax.set_ylabel("largest amplification ‖Φ(t)‖")
    if 1 < len(shown) <= len(COLOURS):
        ax.legend(fontsize="small", frameon=False)
    return ax
