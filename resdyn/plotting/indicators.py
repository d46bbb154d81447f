"""Chaos indicators and covariant vectors."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn.plotting.canvas import COLOURS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.analysis.exponents.alignment import ChaosIndicators
    from resdyn.analysis.exponents.covariant import CovariantVectors

Array = NDArray[Any]


def chaos_indicators(
    indicators: "ChaosIndicators", *, order: int = 2, time: str = "log", ax: "Axes | None" = None
) -> "Axes":
    r"""GALI_k against depth-time, on logarithmic axes: chaotic orbits fall off, regular ones fall like a power.

    Parameters
    ----------
    indicators : ChaosIndicators
        Of one orbit or a batch.
    order : int
        The k of GALI_k.
    time : "log" or "linear"
        A power of t is a straight line in log t, an exponential in t.
    """
    if order not in indicators.orders:
        raise ValueError(f"order = {order!r} was not recorded; there are {indicators.orders}.")
    if time not in ("log", "linear"):
        raise ValueError(f"time must be 'log' or 'linear', but is {time!r}.")
    ax = axes_or_new(ax)
    # powers of ten as a linear axis: the numbers themselves may be below 1e-308
    logs = indicators.log_gali[..., indicators.orders.index(order)].reshape(len(indicators.t), -1) / np.log(10)
    verdicts = indicators.verdict.ravel()
    colours = {"chaotic": COLOURS[3], "regular": COLOURS[0]}
    named: set[str] = set()
    for i, verdict in enumerate(verdicts):
        label = None if verdict in named else str(verdict)
        named.add(str(verdict))
        ax.plot(indicators.t, logs[:, i], color=colours.get(str(verdict), COLOURS[7]), linewidth=1.2, label=label)
    ax.set_xscale(time)
    ax.set_xlim(indicators.t[0] if time == "log" else 0.0, indicators.t[-1])
    ax.set_xlabel("depth-time t")
    ax.set_ylabel(f"$\\log_{{10}}\\,\\mathrm{{GALI}}_{{{order}}}$")
    ax.legend(fontsize="x-small", frameon=False)
    return ax


def covariant_angles(
    vectors: "CovariantVectors", *, pair: tuple[int, int] = (0, -1), bins: int = 60, ax: "Axes | None" = None
) -> "Axes":
    r"""How the angle between two covariant vectors is distributed along the orbit; near 0 lie tangencies.

    Parameters
    ----------
    vectors : CovariantVectors
        Of one orbit or a batch, whose angles are put together.
    pair : two ints
        Which vectors, from 0; −1 is the last one.
    bins : int
    """
    k = vectors.exponents.shape[-1]
    first, second = (range(k)[i] for i in pair)
    ax = axes_or_new(ax)
    angles = np.degrees(vectors.angles[..., first, second].ravel())
    angles = angles[np.isfinite(angles)]
    ax.hist(angles, bins=bins, range=(0.0, 90.0), density=True, color=COLOURS[0], alpha=0.8)
    ax.set_xlim(0.0, 90.0)
    ax.set_xticks([0, 30, 60, 90])
    ax.set_xlabel(f"angle between $v_{{{first + 1}}}$ and $v_{{{second + 1}}}$ (degrees)")
    ax.set_ylabel("probability density")
    return ax


def covariant_directions(
    vectors: "CovariantVectors",
    *,
    units: tuple[int, int] = (0, 1),
    most: int = 150,
    length: float = 0.04,
    ax: "Axes | None" = None,
) -> "Axes":
    r"""Covariant vectors as short lines on the states of one orbit, two units of it.

    Parameters
    ----------
    vectors : CovariantVectors
        Of one orbit.
    units : two ints
        The units on the axes, of the flattened state.
    most : int
        Draw vectors at no more than so many states, evenly along the orbit.
    length : float
        Of the lines, as a share of the width of the orbit.
    """
    if vectors.batch:
        raise ValueError(
            f"the vectors are of a batch of shape {vectors.batch}; "
            f"take one orbit of it, e.g. vectors.sample{(0,) * len(vectors.batch)}."
        )
    ax = axes_or_new(ax)
    n = len(vectors.t)
    x = vectors.x.reshape(n, -1)[:, list(units)]
    v = vectors.vectors.reshape(n, vectors.exponents.shape[-1], -1)[..., list(units)]
    spans = np.ptp(x, axis=0)
    spans[spans == 0] = 1.0
    ax.scatter(x[:, 0], x[:, 1], s=1.0, color="0.75", linewidths=0, rasterized=n > 5_000)
    some = np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
    for j in range(v.shape[1]):
        # all lines of one length on the page, in the direction that the axes give the vector
        half = v[some, j] / np.linalg.norm(v[some, j] / spans, axis=1, keepdims=True) * length / 2
        lines = np.stack([x[some] - half, np.full_like(half, np.nan), x[some] + half], axis=1)
        ends = lines[:, [0, 2, 1]].reshape(-1, 2)
        label = f"$v_{{{j + 1}}}$, $\\lambda = {vectors.exponents[j]:.3g}$"
        ax.plot(*ends.T, color=COLOURS[(3, 0, 2)[j] if j < 3 else j % len(COLOURS)], linewidth=1.1, label=label)
    ax.set_xlabel(f"$x_{{{units[0]}}}$")
    ax.set_ylabel(f"$x_{{{units[1]}}}$")
    ax.legend(fontsize="x-small", frameon=False)
    return ax
