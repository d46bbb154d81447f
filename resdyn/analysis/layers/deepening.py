"""Which depth of several is the first that a stopping rule accepts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate

Array = NDArray[Any]


def sufficient_depth(depths: Sequence[int] | Array, magnitudes: Any, thresholds: Any) -> NDArray[np.int64]:
    r"""The first depth at which layers perturb the state by less than a threshold, on average.

    The stopping rule of [hauser2019]_: deepen the network until

    .. math:: \frac1L \sum_{l} p_l < \epsilon,

    with the perturbations :math:`p_l` of :func:`resdyn.depth_rule`, whose ``value`` is this mean.

    Parameters
    ----------
    depths : sequence of int
        Numbers of layers L in the order in which they are tried, ascending: of networks trained anew at each depth, or
        of one that grows.
    magnitudes : array, shape (n_depths,)
        The mean perturbation at each. NaN, where nothing is known, is not below any threshold.
    thresholds : float or array, shape (n,)
        ε, above zero.

    Returns
    -------
    int array of the shape of ``thresholds``
        0 where none of the depths suffices. Depths after the first that does are not looked at: the rule would not
        have trained them.

    Raises
    ------
    ValueError
        If depths do not ascend, there are not as many magnitudes, or a threshold is not a finite number above zero.

    Examples
    --------
    >>> resdyn.sufficient_depth([4, 8, 16], [0.40, 0.21, 0.09], [0.3, 0.1, 0.05])
    array([ 8, 16,  0])
    """
    tried = np.array([validate.count(depth, "a depth", least=1) for depth in depths], dtype=np.int64)
    values = np.asarray(magnitudes, dtype=np.float64)
    if not len(tried) or (np.diff(tried) <= 0).any():
        raise ValueError(f"depths are {tried.tolist()}; give at least one, in ascending order.")
    if values.shape != tried.shape:
        raise ValueError(
            f"magnitudes have shape {values.shape}, but there are {len(tried)} depths; give one mean per depth."
        )
    limits = np.asarray(thresholds, dtype=np.float64)
    for limit in limits.flat:
        validate.positive(limit, "a threshold")
    enough = values < limits[..., None]
    return np.where(enough.any(axis=-1), tried[enough.argmax(axis=-1)], 0)
