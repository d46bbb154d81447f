"""What all figures share: colours, and where to draw."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]

COLOURS = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9")
"""One colour per class, distinguishable with the common forms of colour blindness."""


def axes_or_new(ax: "Axes | None") -> "Axes":
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('figures need matplotlib; install it with: pip install "resdyn[plot]"') from error
    return Figure(figsize=(5, 3.5), layout="constrained").add_subplot()


def row_of_axes(n: int) -> Array:
    first = axes_or_new(None)
    figure: Any = first.figure
    first.remove()
    figure.set_size_inches(4 * n, 3.2)
    return np.atleast_1d(figure.subplots(1, n))
