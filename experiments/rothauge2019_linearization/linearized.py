"""What the scripts on singular values share: networks in double precision, and how a spectrum is described."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import resdyn
from experiments.rothauge2019_linearization.material import net_and_images

Array = NDArray[Any]

EXACT = 1e-9
"""A singular value counts as exactly a if it is as near as this, and as zero below it: above rounding (1e-13), and far
below the distances of neighbours elsewhere in the spectrum."""
WIDTHS = (1e-3, 1e-2, 1e-1)
DENSE_UP_TO = 600
"""Below, a dense decomposition takes less than a second, and counts of the library are of all singular values."""


def network_in_double(weights: str, n: int) -> tuple[Any, Array]:
    """A trained network, unrolled in double precision, and n inputs of it."""
    net, pixels, _ = net_and_images(weights, n)
    inputs = np.asarray(net.preprocessing(pixels), dtype=np.float64)
    return resdyn.networks.unroll(net.double(), inputs[:1], name=Path(weights).stem), inputs


def states_between(network: Any, inputs: Array) -> tuple[Array, ...]:
    """Before the first unit and after each, for all inputs."""
    states: tuple[Array, ...] = network.trace(inputs, keep=("states",)).states
    return states


def stage_numbers(network: Any) -> NDArray[np.int64]:
    """Of each unit, from 1."""
    return np.array([k for k, stage in enumerate(network.stages, start=1) for _ in stage.units])


def skip_gain(linearized: Any) -> float:
    """a, the singular value of the skip path alone."""
    return float(abs(linearized.skip_scale if linearized.factors is None else linearized.factors.a))


def shares(values: Array, a: float) -> dict[str, Array]:
    """Of all singular values: those that are exactly a, near a, zero; the largest and the smallest that is not zero."""
    nonzero = values[values > EXACT]
    return {
        "exact": np.mean(abs(values - a) <= EXACT),
        "within": np.array([np.mean(abs(values - a) <= width) for width in WIDTHS]),
        "zero": np.mean(values <= EXACT),
        "largest": values.max(),
        "smallest": nonzero.min() if len(nonzero) else np.array(np.nan),
    }


def counted_shares(linearized: Any, a: float) -> dict[str, Array]:
    """The same without the singular values, by exact counts; the smallest is left to :func:`smallest_nonzero`."""
    n = min(linearized.shape)
    return {
        "exact": np.array(linearized.fraction_within(a, EXACT)),
        "within": np.array([linearized.fraction_within(a, width) for width in WIDTHS]),
        "zero": np.array(1 - linearized.count_above(EXACT) / n),
        "largest": linearized.triplets(1).values[0],
        "smallest": np.array(np.nan),
    }


def share_up_to(values: Array, thresholds: Array) -> Array:
    """The distribution function of singular values."""
    return np.searchsorted(np.sort(values), thresholds, side="right") / len(values)


def counted_share_up_to(linearized: Any, thresholds: Array) -> Array:
    """The same by exact counts."""
    return 1 - linearized.count_above(thresholds) / min(linearized.shape)


def structure(linearized: Any, *, exact: bool) -> Array:
    """p, s, the number of singular values, and how many are forced to be a; NaN where there are no factors.

    An identity as skip path forces s − 2r, with the rank r of the branch; p stands for r where the rank was not
    computed. At other skip paths NaN.
    """
    n, F = min(linearized.shape), linearized.factors
    if F is None:
        return np.array([np.nan, np.nan, n, np.nan])
    r = linearized.rank if exact else F.p
    forced = max(0, len(F.rows) - 2 * r) if F.skip is None else np.nan
    return np.array([F.p, len(F.rows), n, forced], dtype=float)


def firing(unit: Any, x: Array) -> tuple[int, int]:
    """p and s, counted in the network itself: the fewest ReLUs of a layer inside the branch that fire at a state, and
    how many after the addition do; all of these, where there is no ReLU.
    """
    fired: dict[str, int] = {}
    handles = [
        layer.register_forward_hook(
            lambda _, inputs, output, name=name: fired.update({name: int((output > 0).sum())})  # type: ignore[misc]
        )
        for name, layer in unit.module.named_modules()
        if isinstance(layer, nn.ReLU)
    ]
    try:
        with torch.no_grad():
            after = unit.module(torch.from_numpy(np.asarray(x, dtype=np.float64))[None])
    finally:
        for handle in handles:
            handle.remove()
    inner = [count for name, count in fired.items() if name.startswith("branch")]
    if not inner:
        raise TypeError(f"the branch of {unit.name!r} has no ReLU, so that its activity says nothing about its rank.")
    return min(inner), fired.get("after", after.numel())


def smallest_nonzero(linearized: Any, *, precision: float = 0.01) -> float:
    """To a relative precision, by bisection with exact counts; 0 if it is below 1e-6."""
    rank, low, high = linearized.count_above(EXACT), 1e-6, skip_gain(linearized)
    if linearized.count_above(low) < rank:
        return 0.0
    while linearized.count_above(high) == rank:
        low, high = high, 2 * high
    while high > low * (1 + precision):
        middle = float(np.sqrt(low * high))
        if linearized.count_above(middle) < rank:
            high = middle
        else:
            low = middle
    return float(np.sqrt(low * high))


def ones_without_rank(linearized: Any) -> float:
    """How many singular values are exactly a, by inertia or, of small Jacobians, by a dense decomposition.

    Unlike those of ``singular_values()``, which are set to a as often as the rank says. NaN where the guards of the
    count gave way to these.
    """
    a = skip_gain(linearized)
    if min(linearized.shape) <= DENSE_UP_TO:
        return float((abs(np.linalg.svd(linearized.to_dense(), compute_uv=False) - a) <= EXACT).sum())
    count = float(round(linearized.fraction_within(a, EXACT) * min(linearized.shape)))
    return np.nan if linearized._counter.computed_values else count
