"""Transients layer by layer."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from resdyn.plotting.canvas import COLOURS, axes_or_new, row_of_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.analysis.layers.layerwise import Transients

Array = NDArray[Any]


def residual_norms(transients: "Transients", *, ax: "Axes | None" = None) -> "Axes":
    """The norm of the residuals against layers: mean of each class, with a band of one standard deviation."""
    ax = axes_or_new(ax)
    for i, label in enumerate(transients.classes):
        colour = COLOURS[i % len(COLOURS)]
        mean, spread = transients.norm_mean[:, i], transients.norm_spread[:, i]
        ax.fill_between(transients.layers, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
        ax.plot(transients.layers, mean, color=colour, linewidth=1.5, label=str(label))
    _layer_axis(ax)
    ax.set_ylabel(f"norm of the residual $\\|{transients.of}_k\\|$")
    ax.set_ylim(bottom=0)
    if len(transients.classes) > 1:
        ax.legend(title="class", fontsize="x-small", title_fontsize="x-small", ncols=2, frameon=False)
    return ax


def separability(
    transients: "Transients", measure: Literal["probe", "fisher"] = "probe", *, ax: "Axes | None" = None
) -> "Axes":
    """How well states and residuals separate the classes at each layer, and what shuffled labels would give.

    The band reaches from the 5 % to the 95 % quantile over shuffles, for states and residuals together.

    Parameters
    ----------
    transients : Transients
        Made with labels and probes.
    measure : "probe" or "fisher"
        The accuracy of the linear probe, or Fisher's ratio (on a logarithmic axis).
    """
    if measure not in ("probe", "fisher"):
        raise ValueError(f"measure must be 'probe' or 'fisher', but is {measure!r}.")
    if transients.probe_x is None:
        raise ValueError("there is no separability to draw; call transients with labels and probes=True.")
    ax = axes_or_new(ax)
    layers = transients.layers
    words = {"x": "states x", "y": f"residuals {transients.of}"}
    for i, (what, word) in enumerate(words.items()):
        values = getattr(transients, f"{measure}_{what}")
        ax.plot(layers, values, color=COLOURS[i], marker="os"[i], ms=3, linewidth=1.5, label=word)
    null = np.concatenate([getattr(transients, f"null_{measure}_{what}") for what in words], axis=-1)
    if null.shape[-1]:
        low, high = np.quantile(null, [0.05, 0.95], axis=-1)
        ax.fill_between(layers, low, high, color=COLOURS[7], alpha=0.4, linewidth=0, label="shuffled labels")
    right = transients.readout_accuracy
    if measure == "probe" and right is not None and not np.isnan(right).all():
        ax.plot(layers, right, color="black", linewidth=1, ls="--", label="read-out")
    _layer_axis(ax)
    if measure == "probe":
        ax.set_ylabel("accuracy")
        ax.set_ylim(0, 1.02)
    else:
        ax.set_ylabel("Fisher ratio $\\mathrm{tr}\\,S_W^{-1}S_B$")
        ax.set_yscale("log")
    ax.legend(fontsize="x-small", frameon=False)
    return ax


def layer_contributions(transients: "Transients", *, ax: "Axes | None" = None) -> "Axes":
    """What each layer adds to the logit of the true class less the mean of the others: one line per class."""
    margins = transients.margin_contribution
    if margins is None or np.isnan(margins).all():
        raise ValueError(
            "there are no contributions to a true class; call transients with labels and a read-out with one logit per "
            "class, and save more than one layer."
        )
    ax = axes_or_new(ax)
    for i, label in enumerate(transients.classes):
        # a contribution belongs to the layers between two saved states
        ax.stairs(
            margins[:, i],
            transients.layers,
            baseline=None,
            color=COLOURS[i % len(COLOURS)],
            linewidth=1.5,
            label=str(label),
        )
    ax.axhline(0, color="black", linewidth=0.5)
    _layer_axis(ax)
    ax.set_ylabel("margin added by the layer")
    ax.legend(title="class", fontsize="x-small", title_fontsize="x-small", ncols=2, frameon=False)
    return ax


def transients(transients: "Transients", *, ax: Any = None) -> Array:
    """Residual norms, separability and contributions side by side: the panels for which there are numbers.

    Parameters
    ----------
    transients : Transients
    ax : sequence of Axes, optional
        As many as there are panels.

    Returns
    -------
    array of Axes
    """
    panels: list[Any] = [residual_norms]
    if transients.probe_x is not None:
        panels.append(separability)
    margins = transients.margin_contribution
    if margins is not None and not np.isnan(margins).all():
        panels.append(layer_contributions)
    axes = row_of_axes(len(panels)) if ax is None else np.atleast_1d(np.asarray(ax, dtype=object))
    if axes.shape != (len(panels),):
        raise ValueError(
            f"ax has shape {axes.shape}, but there are {len(panels)} panels to draw "
            f"({', '.join(panel.__name__ for panel in panels)}); give one Axes for each."
        )
    for panel, one in zip(panels, axes, strict=True):
        panel(transients, ax=one)
    return axes


def _layer_axis(ax: "Axes") -> None:
    ax.set_xlabel("layer k")
    locator: Any = ax.xaxis.get_major_locator()
    locator.set_params(integer=True)
