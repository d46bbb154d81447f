"""Attractors by features: orbits whose last layers look alike are taken to share an attractor."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.attraction.candidates import REPELS, Judge
from resdyn.analysis.attraction.grids import shuffled
from resdyn.analysis.attraction.result import Attractors
from resdyn.analysis.attraction.search import _SOURCES, Catalogue, answer, radii

Array = NDArray[Any]

_TAIL = 256
_PIECE = 1 << 22


def attractors_by_features(
    judge: Judge, x: Array, features: Callable[[Array], Any], *, every: int, distance: float | None
) -> tuple[Attractors, NDArray[np.int64]]:
    """The attractors of the orbits from x (M, d), and the label of each; −1: in no group, or lost.

    Each group is represented by one of its orbits, chosen by its initial state.
    """
    from resdyn.analysis.attraction.feature_groups import group_by_features

    orbits = judge.orbits
    order = shuffled(x)
    last = orbits.run(x[order], judge.depth)
    whole = ~orbits.lost(last)
    groups = np.full(len(x), -1, dtype=np.int64)
    if whole.any():
        groups[whole] = group_by_features(_features(judge, last[whole], features))
    judge = judge.sized(x[order[:_SOURCES]])
    catalogue = Catalogue(judge)
    catalogue.look_for_unstable(x[order[:_SOURCES]])
    names = [int(group) for group in np.unique(groups) if group >= 0]
    number = {}
    for group in names:
        i = int(np.flatnonzero(groups == group)[0])
        candidate = judge.candidates(x[order[i : i + 1]])[0]
        if candidate is None:
            tail = orbits.sample(last[i : i + 1], 2048)[:, 0]
            candidate = judge.sampled(tail, "unknown")
        if candidate.verdict == REPELS and not candidate.is_sampled and not candidate.saturated:
            catalogue.keep(candidate)  # orbits that ended on a boundary
            continue
        number[id(candidate)] = group
        catalogue.attracting.append(candidate)
    catalogue.settle_down()
    labels = np.full(len(x), -1, dtype=np.int64)
    for label, candidate in enumerate(catalogue.attracting):
        labels[order[groups == number[id(candidate)]]] = label
    found = answer(
        catalogue,
        radii(catalogue, distance),
        orbits,
        every=every,
        depth=judge.depth,
        method="features",
        n_starts=len(x),
    )
    reason = (
        f"Grouped by the features of {len(x)} orbits after {judge.depth} layers: two attractors with the same features "
        "count as one, a long transient as what it looks like."
    )
    return replace(found, reason=" ".join([reason, *catalogue.remarks])), labels


def _features(judge: Judge, last: Array, features: Callable[[Array], Any]) -> Array:
    orbits, shape = judge.orbits, judge.orbits.system.shape
    piece = max(1, _PIECE // (_TAIL * orbits.size))
    found = []
    for low in range(0, len(last), piece):
        tail = orbits.sample(last[low : low + piece], _TAIL)
        given = orbits.view(tail.reshape(-1, orbits.size)).reshape(*tail.shape[:2], *shape)
        values = np.asarray(features(given), dtype=float)
        if values.ndim != 2 or len(values) != tail.shape[1]:
            raise ValueError(
                f"features returned shape {values.shape} for states of shape {given.shape}; "
                f"it must return {(tail.shape[1], 'k')}, one row for each of the {tail.shape[1]} orbits."
            )
        found.append(values)
    return np.concatenate(found)
