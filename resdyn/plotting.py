"""Figures, in the field's terms and in colours that the colour-blind can tell apart.

Every function draws into ``ax`` (or a new figure) and returns the Axes.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.analysis.exponents import LyapunovSpectrum
    from resdyn.analysis.finite_time import FiniteTimeExponents
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


# --- cooperation and competition ---------------------------------------------------------------------


# --- transients layer by layer -----------------------------------------------------------------------


# --- Lyapunov exponents ------------------------------------------------------------------------------


def lyapunov_spectrum(spectrum: "LyapunovSpectrum", *, ax: "Axes | None" = None) -> "Axes":
    r"""The running estimates of the exponents of one orbit against depth-time, with bands of two standard errors.

    The standard error at time t is that of the whole orbit times :math:`\sqrt{T/t}`, as for independent blocks. Of a
    batch take one orbit, ``spectrum.sample(i)``.
    """
    if spectrum.batch:
        raise ValueError(
            f"the spectrum is of a batch of shape {spectrum.batch}; "
            f"take one orbit of it, e.g. spectrum.sample{(0,) * len(spectrum.batch)}."
        )
    ax = _axes(ax)
    widening = 2 * np.sqrt(spectrum.t[-1] / spectrum.t)
    for i, (final, error) in enumerate(zip(spectrum.exponents, spectrum.standard_error, strict=True)):
        running, colour = spectrum.running[:, i], COLOURS[i % len(COLOURS)]
        if np.isfinite(error):
            ax.fill_between(
                spectrum.t, running - widening * error, running + widening * error, color=colour, alpha=0.2, linewidth=0
            )
        ax.plot(spectrum.t, running, color=colour, linewidth=1.5, label=f"$\\lambda_{{{i + 1}}} = {final:.3g}$")
    ax.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
    ax.set_xscale("log")
    ax.set_xlim(spectrum.t[0], spectrum.t[-1])
    ax.set_xlabel("depth-time t")
    ax.set_ylabel("Lyapunov exponents per unit t")
    if len(spectrum.exponents) <= len(COLOURS):
        ax.legend(fontsize="x-small", frameon=False)
    return ax


def finite_time_exponents(
    exponents: "FiniteTimeExponents", *, which: int = 0, bins: int = 40, ax: "Axes | None" = None
) -> "Axes":
    r"""How the finite-time exponents are distributed over a batch: a histogram of the largest ones.

    Parameters
    ----------
    exponents : FiniteTimeExponents
        Of a batch of states.
    which : int
        0 for the largest exponent of each state, 1 for the second, …
    bins : int
    """
    if not exponents.batch:
        raise ValueError("a distribution needs a batch of states, but the exponents are of one.")
    ax = _axes(ax)
    values = exponents.exponents[..., which].ravel()
    values = values[np.isfinite(values)]
    ax.hist(values, bins=bins, density=True, color=COLOURS[0], alpha=0.8)
    ax.axvline(np.median(values), color=COLOURS[1], linewidth=1.5, label=f"median {np.median(values):.3g}")
    ax.axvline(0.0, color="0.4", linewidth=0.8, linestyle="--")
    ax.set_xlabel(f"finite-time exponent $\\lambda_{{{which + 1}}}$ over t = {exponents.horizon:g}")
    ax.set_ylabel("probability density")
    ax.legend(fontsize="x-small", frameon=False)
    return ax


# --- perturbations -----------------------------------------------------------------------------------
