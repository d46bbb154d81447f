"""Numbers over networks, nets, seeds and samples, as the rows of lagzi2021 and their details put them in words."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments._harness.spreads import spread, student_interval

MEDIAN = "median [least, most]"


def median_over(count: int, what: str = "networks") -> str:
    """What stands in brackets beside a median."""
    return f"median over {count} {what} [least, most]"


def numbers(values: Any, digits: int = 2) -> str:
    """In parentheses."""
    return "(" + ", ".join(f"{value:.{digits}f}" for value in values) + ")"


def listed(values: Sequence[int]) -> str:
    """With commas."""
    return ", ".join(map(str, values)) or "none"


def number(nets: Sequence[Any]) -> str:
    """How many."""
    return "1 net" if len(nets) == 1 else f"{len(nets)} nets"


def ranges(values: Sequence[float], digits: int = 2) -> str:
    """The median and the smallest and largest; one number for one seed."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return spread(values, digits)


def over_seeds(differences: Sequence[float], digits: int = 3) -> str:
    """Mean and interval."""
    bounds = student_interval(differences)
    if bounds is None:
        return f"{differences[0]:+.{digits}f} (one seed)"
    return f"{np.mean(differences):+.{digits}f} [{bounds[0]:+.{digits}f}, {bounds[1]:+.{digits}f}]"


def mean_difference(differences: Sequence[float], digits: int = 2) -> str:
    """Mean and half the interval; the mean alone for one seed."""
    bounds = student_interval(differences)
    mean = f"{np.mean(differences):+.{digits}f}"
    return mean if bounds is None else f"{mean} ± {(bounds[1] - bounds[0]) / 2:.{digits}f}"


def of_seeds(count: int) -> str:
    """What the numbers of :func:`mean_difference` are."""
    return "one seed" if count == 1 else f"{count} seeds, ± 95 %"
