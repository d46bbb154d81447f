"""Perturbations and noise, layer by layer."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn.plotting.canvas import COLOURS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.analysis.perturbations.propagation import Propagation

Array = NDArray[Any]


def propagation(
    propagations: "Propagation | Mapping[str, Propagation]", *, relative: bool = True, ax: "Axes | None" = None
) -> "Axes":
    r"""Sizes of perturbations, layer by layer: median and middle half, with first order dashed.

    Parameters
    ----------
    propagations : Propagation, or mapping from a label to one
        All perturbations of all states go into the median.
    relative : bool
        Divide by the size of the state.
    """
    ax = axes_or_new(ax)
    named = _labelled(propagations)
    for i, (label, result) in enumerate(named):
        colour = COLOURS[i % len(COLOURS)]
        lower, median, upper = _quartiles(result.relative if relative else result.sizes)
        ax.fill_between(result.layers, lower, upper, color=colour, alpha=0.15, linewidth=0)
        ax.plot(result.layers, median, color=colour, linewidth=1.5, label=label)
        if result.linearized is not None:
            linearized = result.linearized / result.state_sizes[:, None] if relative else result.linearized
            ax.plot(result.layers, _quartiles(linearized)[1], color=colour, linestyle="--", linewidth=1)
    ax.set_ylabel("relative size of the perturbation" if relative else "size of the perturbation")
    return _along_layers(ax, first_order=any(result.linearized is not None for _, result in named))


def noise_variance(propagations: "Propagation | Mapping[str, Propagation]", *, ax: "Axes | None" = None) -> "Axes":
    r"""Variance of the noise, layer by layer: two standard errors as bars, first order dashed.

    Means over the states of a batch.

    Parameters
    ----------
    propagations : Propagation, or mapping from a label to one
        Of noise.
    """
    ax = axes_or_new(ax)
    named = _labelled(propagations)
    for i, (label, result) in enumerate(named):
        colour = COLOURS[i % len(COLOURS)]
        if result.variance is None or result.standard_error is None:
            raise ValueError(
                "these perturbations were given one by one and have no variance; draw plotting.propagation."
            )
        n_states = max(1, int(np.prod(result.batch)))
        # states have samples of their own, so the squares of their standard errors add
        error = np.sqrt((result.standard_error.reshape(-1, n_states) ** 2).sum(axis=1)) / n_states
        mean = result.variance.reshape(-1, n_states).mean(axis=1)
        ax.errorbar(result.layers, mean, 2 * error, color=colour, fmt="o", ms=3, linewidth=1, label=label)
        if result.predicted_variance is not None:
            predicted = result.predicted_variance.reshape(-1, n_states).mean(axis=1)
            ax.plot(result.layers, predicted, color=colour, linestyle="--", linewidth=1)
    ax.set_ylabel("variance of the noise")
    return _along_layers(ax, first_order=any(result.predicted_variance is not None for _, result in named))


def _labelled(propagations: "Propagation | Mapping[str, Propagation]") -> "list[tuple[str, Propagation]]":
    named = propagations if isinstance(propagations, Mapping) else {getattr(propagations, "name", ""): propagations}
    wrong = [value for value in named.values() if not hasattr(value, "state_sizes")]
    if wrong or not named:
        came = repr(wrong[0]) if wrong else "an empty mapping"
        raise TypeError(f"needed is what resdyn.propagate returned, or a mapping from labels to it, but came {came}.")
    return list(named.items())


def _quartiles(sizes: Array) -> Array:
    """Over all perturbations, (3, n_rows); what diverged counts as infinite, and infinite is not drawn."""
    values = np.nan_to_num(sizes.reshape(len(sizes), -1), nan=np.inf, posinf=np.inf)
    # the nearest value, because infinities cannot be interpolated
    found = np.quantile(values, [0.25, 0.5, 0.75], axis=1, method="nearest")
    return np.where(np.isfinite(found), found, np.nan)


def _along_layers(ax: "Axes", *, first_order: bool) -> "Axes":
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if first_order:
        ax.plot([], [], color="0.3", linestyle="--", linewidth=1, label="first order")
    ax.legend(fontsize="x-small", frameon=False)
    ax.set_xlabel("layer k")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_yscale("log")
    lower, upper = ax.get_ylim()
    if upper < 10 * lower:
        # no or one power of ten is in sight, so the ticks between them are named too, as many as there is room for
        digits = "235" if upper > 3 * lower else "123456789"
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in digits else ""))
    return ax
