"""Lyapunov exponents."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn.plotting.canvas import COLOURS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.analysis.exponents.finite_time import FiniteTimeExponents
    from resdyn.analysis.exponents.spectrum import LyapunovSpectrum

Array = NDArray[Any]


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
    ax = axes_or_new(ax)
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
    ax = axes_or_new(ax)
    values = exponents.exponents[..., which].ravel()
    values = values[np.isfinite(values)]
    ax.hist(values, bins=bins, density=True, color=COLOURS[0], alpha=0.8)
    ax.axvline(np.median(values), color=COLOURS[1], linewidth=1.5, label=f"median {np.median(values):.3g}")
    ax.axvline(0.0, color="0.4", linewidth=0.8, linestyle="--")
    ax.set_xlabel(f"finite-time exponent $\\lambda_{{{which + 1}}}$ over t = {exponents.horizon:g}")
    ax.set_ylabel("probability density")
    ax.legend(fontsize="x-small", frameon=False)
    return ax
