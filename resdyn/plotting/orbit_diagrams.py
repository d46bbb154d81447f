"""Orbit diagrams."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn.plotting.canvas import COLOURS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.analysis.families.orbit_diagrams import OrbitDiagram

Array = NDArray[Any]

# so many points are drawn as pixels, so that a file stays small
_VECTORS = 5_000


def orbit_diagram(
    diagram: "OrbitDiagram", *, unit: int = 0, parameter: str = "parameter", ax: "Axes | None" = None
) -> "Axes":
    r"""The states kept at each value of the parameter, one colour for each initial state (up to ten).

    Parameters
    ----------
    diagram : OrbitDiagram
    unit : int
        Which unit of the flattened states to draw, where the diagram holds all of them.
    parameter : str
        What the values are called.
    """
    ax = axes_or_new(ax)
    n, records = diagram.x.shape[:2]
    size = int(np.prod(diagram.batch))
    states = diagram.x.reshape(n, records, size, -1)
    if diagram.unit is None and not 0 <= unit < states.shape[-1]:
        raise ValueError(f"unit = {unit}, but states have {states.shape[-1]} units, counted from 0.")
    shown = states[..., 0 if diagram.unit is not None else unit]
    values = np.broadcast_to(diagram.values[:, None], (n, records))
    # a point for every few pixels of height; few points are drawn larger
    area = float(np.clip(20_000 / max(1, shown.size), 0.02, 8.0))
    for i in range(size):
        ax.scatter(
            values, shown[:, :, i], s=area, linewidths=0, color=COLOURS[i % len(COLOURS)],
            rasterized=shown.size > _VECTORS,
        )  # fmt: skip
    index = unit if diagram.unit is None else diagram.unit
    what = "maxima of " if diagram.of == "maxima" else ""
    ax.set_xlabel(parameter)
    ax.set_ylabel(f"{what}$x_{{{index}}}$")
    low, high = diagram.values.min(), diagram.values.max()
    if low < high:
        ax.set_xlim(low, high)
    return ax
