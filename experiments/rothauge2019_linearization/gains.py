r"""What sizes of perturbations along a network say: gains of units, where the largest is, how the excess builds up.

Sizes have the shape (…, rows, n), with rows for the input, the state after the stem, and after each unit. The gain of a
unit is the size after it over the size before it. The excess is the size of an adversarial perturbation over that of a
random one that was as long in pixels; from the stem to the end it is a product of one factor for each unit, the ratio
of both gains.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.rothauge2019_linearization.following import KINDS

Array = NDArray[Any]


def unit_gains(sizes: Array) -> Array:
    """Size after over size before each unit."""
    return sizes[..., 2:, :] / sizes[..., 1:-1, :]


def share_of_largest_in_last(values: Array, last: int) -> float:
    """The share of images for which the largest of the units' values, (units, n), is that of one of the last ones."""
    return float((values.argmax(axis=0) >= len(values) - last).mean())


def numbers_of(found: dict[str, Array], stages: Array, *, last: int) -> dict[str, Any]:
    """Medians over images of what one attack did, and of what random perturbations as long as its own do.

    Parameters
    ----------
    found : dict
        Of :func:`following.followed`.
    stages : array, shape (units,)
        The number of the stage of each unit.
    last : int
        So many units at the end are told apart from those before.
    """
    numbers: dict[str, Any] = {
        "clean_accuracy": float(found["correct"].mean()),
        "misclassified": float(found["fooled"].mean()),
        "length_in_pixels": float(np.median(found["pixels"][0])),
        "state_gain": _medians(unit_gains(found["states"])),
        "excess": _excess(found, last),
    }
    for k, kind in enumerate(KINDS):
        if np.isfinite(found["sizes"][k]).all():
            numbers[kind.replace(" ", "_")] = _of_kind(found["sizes"][k], found["states"], stages)
    return numbers


def _excess(found: dict[str, Array], last: int) -> dict[str, Any]:
    ratio = found["sizes"][0] / found["sizes"][1]
    stem, before_last, end = ratio[1], ratio[-1 - last], ratio[-1]
    factors = unit_gains(found["sizes"][0]) / unit_gains(found["sizes"][1])
    pooled = found["pooled"][0] / found["pooled"][1]
    of_signs = found["pooled"][0] / found["pooled"][2]
    return {
        "along": _medians(ratio[1:]),
        "after_stem": float(np.median(stem)),
        "gained_before_last_units": float(np.median(before_last / stem)),
        "gained_in_last_units": float(np.median(end / before_last)),
        # of logarithms, so that the parts add up to one
        "share_of_last_units": float(np.log(end / before_last).mean() / np.log(end / stem).mean()),
        "end": float(np.median(end)),
        "pooled": float(np.median(pooled)),
        "pooled_quartiles": [float(q) for q in np.quantile(pooled, (0.25, 0.75))],
        "pooled_to_signs": float(np.median(of_signs)) if np.isfinite(of_signs).all() else None,
        "of_units": _medians(factors),
        "largest_in_last_two": share_of_largest_in_last(factors, 2),
    }


def _of_kind(sizes: Array, states: Array, stages: Array) -> dict[str, Any]:
    gains, relative = unit_gains(sizes), unit_gains(sizes / states)
    final = stages == stages[-1]
    medians = np.median(gains, axis=1)
    return {
        "gain": medians.tolist(),
        "gain_quartiles": np.quantile(gains, (0.25, 0.75), axis=1).T.tolist(),
        "relative_gain": _medians(relative),
        "largest_gain": float(medians.max()),
        "largest_gain_at": int(medians.argmax()) + 1,
        "last_gain": float(medians[-1]),
        "last_relative_gain": float(np.median(relative[-1])),
        # over the median of the units that stand before the last two in the final stage
        "last_over_stage": _last_over_rest(gains[final]),
        "last_relative_over_stage": _last_over_rest(relative[final]),
        # the final stage by itself: early units may have larger gains than all that come after them
        "largest_in_last_two": share_of_largest_in_last(gains, 2),
        "largest_of_stage_in_last_two": share_of_largest_in_last(gains[final], 2),
        "relative_largest_in_last_two": share_of_largest_in_last(relative, 2),
        "relative_largest_of_stage_in_last_two": share_of_largest_in_last(relative[final], 2),
        "growth": float(np.median(sizes[-1] / sizes[1])),
    }


def _last_over_rest(gains: Array) -> float | None:
    if len(gains) < 3:
        return None
    return float(np.median(gains[-1] / np.median(gains[:-2], axis=0)))


def _medians(values: Array) -> list[float]:
    return [float(v) for v in np.median(values, axis=-1)]
