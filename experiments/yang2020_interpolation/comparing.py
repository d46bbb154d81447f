"""Differences between kinds of nets, paired by seed and by image, with their spread, and what they allow to say."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments._harness.spreads import ENOUGH_SEEDS, student_interval

Array = NDArray[Any]
Summary = dict[str, Any]

# of standard errors over images: 95 in 100 that a difference of this size is none of the choice of images
CLEAR = 2.0
CONFIRMED, NOT_CONFIRMED, QUALIFIED = "confirmed", "not confirmed", "qualified"
WITHIN = f"{NOT_CONFIRMED}: no difference beyond the spread"


def paired(values: Array, baseline: Array) -> Summary:
    """The difference of two kinds of nets, shapes (seeds, images): each seed and each image with itself.

    Returns
    -------
    dict
        ``each``: means over images, seed by seed; ``errors``: their standard errors over images; ``mean``; ``error``,
        that of the mean over images, for these nets; ``deviation`` between seeds and ``interval``, of Student's t over
        seeds: None for one seed.
    """
    differences = np.asarray(values, dtype=float) - np.asarray(baseline, dtype=float)
    if differences.ndim != 2:
        raise ValueError(f"differences have shape {differences.shape}, but (seeds, images) is needed.")
    each = differences.mean(axis=1)
    seeds = len(each)
    deviation = float(each.std(ddof=1)) if seeds > 1 else None
    interval = student_interval(each)
    return {
        "each": each.tolist(),
        "errors": [_error(row) for row in differences],
        "mean": float(each.mean()),
        "error": _error(differences.mean(axis=0)),
        "deviation": deviation,
        "interval": None if interval is None else list(interval),
    }


def _error(row: Array) -> float:
    return float(row.std(ddof=1) / np.sqrt(len(row))) if len(row) > 1 else float("nan")


def improvement(difference: Summary, sign: int = 1) -> str:
    """Whether values are larger than those of the baseline (smaller, for ``sign`` −1), as far as the spread allows.

    With three seeds or more the t-interval over seeds decides, together with the error over images, which all seeds
    share. Fewer seeds have no spread to speak of: at most "qualified", where each of them is larger by two errors.
    """
    each = sign * np.array(difference["each"])
    errors = np.array(difference["errors"])
    seeds = len(each)
    if seeds >= ENOUGH_SEEDS:
        low, high = sorted(sign * end for end in difference["interval"])
        mean, error = sign * difference["mean"], CLEAR * difference["error"]
        if low > 0 and mean > error:
            return CONFIRMED
        return f"{NOT_CONFIRMED}: the opposite" if high < 0 and mean < -error else WITHIN
    words = "one seed" if seeds == 1 else "both of two seeds, too few for a spread"
    if (each > CLEAR * errors).all():
        return f"{QUALIFIED}: in {words}"
    if (each < -CLEAR * errors).all():
        return f"{NOT_CONFIRMED}: the opposite in {words}"
    return WITHIN


def beyond_clean(table: Summary) -> str:
    """Whether ``difference`` is a gain, and ``cost``, the gain less that on clean images, too.

    A net that is better on clean images is better on those that are changed a little: that is no robustness.
    """
    of_accuracy, of_cost = improvement(table["difference"]), improvement(table["cost"])
    if of_accuracy.startswith(NOT_CONFIRMED) or not of_cost.startswith(NOT_CONFIRMED):
        return of_accuracy
    return limited(of_accuracy, "not larger than on clean images beyond the spread")


def limited(verdict: str, words: str) -> str:
    """A verdict with a reservation: at most "qualified"."""
    return f"{QUALIFIED}: {words}" if verdict == CONFIRMED else f"{verdict}; {words}"


def together(verdicts: dict[str, str]) -> str:
    """One verdict from several cases: theirs where they agree, else which of them say what."""
    cases: dict[str, list[str]] = {}
    for name, verdict in verdicts.items():
        cases.setdefault(verdict, []).append(name)
    if len(cases) == 1:
        return next(iter(cases))
    head = NOT_CONFIRMED if all(verdict.startswith(NOT_CONFIRMED) for verdict in cases) else QUALIFIED
    return f"{head}: " + "; ".join(
        f"{verdict.partition(': ')[2] or 'beyond the spread'} ({', '.join(names)})" for verdict, names in cases.items()
    )


def in_short(difference: Summary, scale: float = 100.0, digits: int = 1, *, errors: bool = True) -> str:
    """What a verdict rests on: differences seed by seed; from three seeds on their mean, with its interval."""

    def words(value: float, error: float) -> str:
        return f"{scale * value:+z.{digits}f}" + (f" ± {scale * error:.{digits}f}" if errors else "")

    if len(difference["each"]) < ENOUGH_SEEDS:
        return ", ".join(words(*pair) for pair in zip(difference["each"], difference["errors"], strict=True))
    low, high = (f"{scale * end:+z.{digits}f}" for end in difference["interval"])
    return f"{words(difference['mean'], difference['error'])} [{low}, {high}]"


def points(difference: Summary, scale: float = 100.0, unit: str = "points", digits: int = 1) -> str:
    """The difference in words: seed by seed, with errors over images; from three seeds on with its interval."""
    each = ", ".join(
        f"{scale * value:+z.{digits}f} ± {scale * error:.{digits}f}"
        for value, error in zip(difference["each"], difference["errors"], strict=True)
    )
    if len(difference["each"]) < ENOUGH_SEEDS:
        return f"{each} {unit}"
    low, high = (scale * end for end in difference["interval"])
    return f"{scale * difference['mean']:+z.{digits}f} [{low:+z.{digits}f}, {high:+z.{digits}f}] {unit} ({each})"
