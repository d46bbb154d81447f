"""Which depth the stopping rule decides on, after training or while it goes on."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn

Array = NDArray[Any]


def judge(threshold: float) -> Callable[[list[Array]], Any]:
    """The rule as a judge of states, for ``resdyn.networks.StateWatch``."""
    return lambda states: resdyn.depth_rule(states, rule="hauser2019", threshold=threshold)


def too_shallow(patience: int) -> Callable[[Sequence[Any]], bool]:
    """Whether training is to end for a net of another depth: not deep enough in so many epochs one after another."""
    return lambda found: len(found) >= patience and not any(rule.deep_enough for rule in found[-patience:])


def after_training(depths: Sequence[int], magnitudes: Array, thresholds: Sequence[float]) -> tuple[Array, Array]:
    """Depths decided on for magnitudes over (depths, epochs), 0 for none; and how many epochs were trained for it."""
    chosen = resdyn.sufficient_depth(depths, magnitudes[:, -1], np.array(thresholds))
    tried = np.where(chosen > 0, np.searchsorted(depths, chosen) + 1, len(depths))
    return chosen, tried * magnitudes.shape[1]


def while_training(
    depths: Sequence[int], magnitudes: Array, thresholds: Sequence[float], patience: int
) -> tuple[Array, Array]:
    """The same with the callback of :func:`too_shallow`.

    What it would have seen is known from runs that were not stopped: until it ends a run, it changes nothing in it.
    """
    found = [_while_training(depths, magnitudes, threshold, patience) for threshold in thresholds]
    chosen, epochs = np.array(found, dtype=np.int64).T
    return chosen, epochs


def _while_training(depths: Sequence[int], magnitudes: Array, threshold: float, patience: int) -> tuple[int, int]:
    total = 0
    for depth, course in zip(depths, magnitudes, strict=True):
        shallow = course >= threshold
        ends = [epoch for epoch in range(patience, len(course) + 1) if shallow[epoch - patience : epoch].all()]
        total += ends[0] if ends else len(course)
        if not ends and not shallow[-1]:
            return int(depth), total
    return 0, total
