r"""The exponent a of a magnitude :math:`m(L) \propto L^a` over depths L, with its interval."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

Array = NDArray[Any]
CONFIDENCE = 0.95


def exponent(depths: Sequence[int], magnitudes: Array) -> dict[str, Any]:
    """Of magnitudes over (depths, nets), by least squares of logarithms, each depth with the same weight.

    The points are the depths, each with the mean over its nets of log m, and the interval is Student's with as many
    degrees of freedom as depths less 2: a law that is none widens it, and several nets of one depth do not pretend to
    be several depths. None where there are two depths. The exponents of single seeds, over the same depths, stand
    beside it, and those between neighbouring depths.
    """
    x, y = np.log(depths), np.log(magnitudes)
    of_depths = y.mean(axis=1)
    return {
        "exponent": _line(x, of_depths)[0],
        "interval": _interval(x, of_depths),
        "by_seed": [_line(x, column)[0] for column in y.T],
        "neighbours": np.diff(of_depths) / np.diff(x),
    }


def _line(x: Array, y: Array) -> tuple[float, float]:
    """Slope and its standard error, NaN with two points."""
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    if len(x) < 3:
        return slope, float("nan")
    left = y - y.mean() - slope * centred
    return slope, float(np.sqrt(left @ left / (len(x) - 2) / (centred @ centred)))


def _interval(x: Array, y: Array) -> list[float] | None:
    if len(x) < 3:
        return None
    slope, error = _line(x, y)
    reach = float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, len(x) - 2)) * error
    return [slope - reach, slope + reach]
