"""Fixed points and their multipliers, in the plane."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn.plotting.canvas import COLOURS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.analysis.equilibria import Continuum, FixedPoints

Array = NDArray[Any]


_VERDICTS = (
    (1, "stable", COLOURS[0], "full"),
    (0, "unstable", COLOURS[3], "none"),
    (-1, "undecided", COLOURS[7], "none"),
)


def fixed_points(
    points: "FixedPoints", *, units: tuple[int, int] = (0, 1), dynamics: str | None = None, ax: "Axes | None" = None
) -> "Axes":
    r"""Fixed points in the plane of two units: filled where stable, hollow where unstable, squares where undecided.

    Of logistic residuals the residuals y are shown, with continua as lines; of other systems the state x.
    """
    ax = axes_or_new(ax)
    on_faces = points.rates.size > 0
    state = points.y if on_faces else points.x.reshape(len(points), -1)
    if state.shape[-1] < 2:
        raise ValueError(f"a plane needs two units, but {points.system.name!r} has {state.shape[-1]}.")
    i, j = units
    for continuum in points.continua:
        for ends in _segments(continuum):
            ax.plot(ends[:, i], ends[:, j], color=COLOURS[4], linewidth=2, zorder=1, solid_capstyle="round")
    verdicts = points.stability(dynamics)
    for verdict, word, colour, fill in _VERDICTS:
        chosen = state[verdicts == verdict]
        if len(chosen):
            marker = "s" if verdict < 0 else "o"
            ax.plot(chosen[:, i], chosen[:, j], marker, color=colour, fillstyle=fill, label=word, clip_on=False)
    if points.continua:
        ax.plot([], [], color=COLOURS[4], linewidth=2, label="continuum")
    letter = "residual $y" if on_faces else "state $x"
    ax.set_xlabel(f"{letter}_{{{i}}}$")
    ax.set_ylabel(f"{letter}_{{{j}}}$")
    if len(points) or points.continua:
        ax.legend(fontsize="x-small", frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _segments(continuum: "Continuum") -> list[Array]:
    """The line through the middle of a continuum along each of its directions, up to the rim, (2, N) each."""
    segments = []
    for direction in continuum.basis.T:
        moving = np.abs(direction) > 1e-12
        step, place = direction[moving], continuum.point[moving]
        reach = np.concatenate([(1 - place) / step, -place / step])
        segments.append(continuum.point + np.array([[reach[reach < 0].max()], [reach[reach > 0].min()]]) * direction)
    return segments


def multipliers(points: "FixedPoints", *, ax: "Axes | None" = None) -> "Axes":
    r"""The multipliers of all fixed points in the complex plane, with the unit circle: the map is stable inside."""
    ax = axes_or_new(ax)
    angle = np.linspace(0, 2 * np.pi, 181)
    ax.plot(np.cos(angle), np.sin(angle), color="0.6", linewidth=1)
    values, verdicts = points.multipliers, points.stability("map")
    for verdict, word, colour, fill in _VERDICTS:
        chosen = values[verdicts == verdict].ravel()
        if chosen.size:
            marker = "s" if verdict < 0 else "o"
            ax.plot(chosen.real, chosen.imag, marker, ms=4, color=colour, fillstyle=fill, label=f"of {word} points")
    ax.set_aspect("equal")
    ax.set_xlabel(r"Re $\mu$")
    ax.set_ylabel(r"Im $\mu$")
    if values.size:
        ax.legend(fontsize="x-small", frameon=False)
    return ax
