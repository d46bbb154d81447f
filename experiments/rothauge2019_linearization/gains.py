r"""What sizes of perturbations along a network say: gains of units, where they jump, how the excess builds up.

Sizes have the shape (…, rows, n), with rows for the input, the state after the stem, and after each unit. The gain of a
unit is the size after it over the size before it. The excess is the size of an adversarial perturbation over that of a
random one that was as long in pixels. It is a product: of the stem's factor, of one factor for each unit, the ratio of
both gains at the same image, and of the factor of pooling. Random perturbations grow in the last units, too: a jump is
one of these factors.

Every number that has ``quartiles`` beside it is a median over images, and these are those over images.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.rothauge2019_linearization.following import KINDS

Array = NDArray[Any]
QUARTILES = (0.25, 0.75)
PARTS = ("stem", "before_last", "last", "pooling")


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
        So many units at the end are told apart from those before; fewer than the final stage has.
    """
    final = stages == stages[-1]
    if not 0 < last < final.sum():
        raise ValueError(f"last is {last}, but the final stage has {final.sum()} units; take fewer, and at least 1.")
    kinds = {
        kind.replace(" ", "_"): _of_kind(found["sizes"][k], found["states"], final, last)
        for k, kind in enumerate(KINDS)
        if np.isfinite(found["sizes"][k]).all()
    }
    return {
        "clean_accuracy": float(found["correct"].mean()),
        "misclassified": float(found["fooled"].mean()),
        "length_in_pixels": float(np.median(found["pixels"][0])),
        "state_gain": _medians(unit_gains(found["states"])),
        "last_units": (np.arange(len(stages) - last, len(stages)) + 1).tolist(),
        "excess": _excess(found, last),
        "jump": _jump(found["sizes"], final, last),
        **kinds,
    }


def _excess(found: dict[str, Array], last: int) -> dict[str, Any]:
    ratio = found["sizes"][0] / found["sizes"][1]
    pooled = found["pooled"][0] / found["pooled"][1]
    of_signs = found["pooled"][0] / found["pooled"][2]
    return {
        "along": _medians(ratio[1:]),
        "end": float(np.median(ratio[-1])),
        "pooled": float(np.median(pooled)),
        "pooled_quartiles": _quartiles(pooled),
        "pooled_to_signs": float(np.median(of_signs)) if np.isfinite(of_signs).all() else None,
        "of_units": _medians(unit_gains(found["sizes"][0]) / unit_gains(found["sizes"][1])),
        "parts": _parts(ratio, pooled, last),
    }


def _parts(ratio: Array, pooled: Array, last: int) -> dict[str, Any]:
    """How much of the excess of the pooled features, its logarithm, comes from where; the shares add up to one."""
    ends = np.log(np.stack([np.ones_like(pooled), ratio[1], ratio[-1 - last], ratio[-1], pooled]))
    steps = np.diff(ends, axis=0)
    shares = steps.mean(axis=1) / ends[-1].mean()
    return {
        name: {"share": float(share), "quartiles": _quartiles(step / ends[-1])}
        for name, share, step in zip(PARTS, shares, steps, strict=True)
    }


def _jump(sizes: Array, final: Array, last: int) -> dict[str, Any]:
    """The factors of the last units, and the same over the median factor of the units before in the final stage."""
    factors = unit_gains(sizes[0]) / unit_gains(sizes[1])
    over_stage = _over_rest(factors[final], last)
    return {
        "factor": _medians(factors[-last:]),
        "factor_quartiles": _quartiles(factors[-last:]),
        "over_stage": _medians(over_stage),
        "over_stage_quartiles": _quartiles(over_stage),
        "largest_of_stage_in_last": share_of_largest_in_last(factors[final], last),
        "by_chance": last / int(final.sum()),
    }


def _of_kind(sizes: Array, states: Array, final: Array, last: int) -> dict[str, Any]:
    gains, relative = unit_gains(sizes), unit_gains(sizes / states)
    medians = np.median(gains, axis=1)
    over_stage, relative_over_stage = _over_rest(gains[final], last), _over_rest(relative[final], last)
    return {
        "gain": medians.tolist(),
        "gain_quartiles": _quartiles(gains),
        "relative_gain": _medians(relative),
        "relative_gain_quartiles": _quartiles(relative),
        "largest_gain": float(medians.max()),
        "largest_gain_at": int(medians.argmax()) + 1,
        "last_gain": float(medians[-1]),
        "last_relative_gain": float(np.median(relative[-1])),
        "over_stage": _medians(over_stage),
        "over_stage_quartiles": _quartiles(over_stage),
        "relative_over_stage": _medians(relative_over_stage),
        "relative_over_stage_quartiles": _quartiles(relative_over_stage),
        # the final stage by itself: early units may have larger gains than all that come after them
        "largest_of_stage_in_last": share_of_largest_in_last(gains[final], last),
        "relative_largest_of_stage_in_last": share_of_largest_in_last(relative[final], last),
        "growth": float(np.median(sizes[-1] / sizes[1])),
    }


def _over_rest(values: Array, last: int) -> Array:
    """Of the last units of a stage, (last, n), over the median of those before them."""
    over: Array = values[-last:] / np.median(values[:-last], axis=0)
    return over


def _medians(values: Array) -> list[float]:
    return [float(v) for v in np.median(values, axis=-1)]


def _quartiles(values: Array) -> Any:
    """Pairs, over the last axis."""
    return np.moveaxis(np.quantile(values, QUARTILES, axis=-1), 0, -1).tolist()
