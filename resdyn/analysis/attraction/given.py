"""Attractors that the caller knows."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn.analysis.attraction.candidates import ATTRACTS, REPEATS, Candidate, Judge
from resdyn.analysis.attraction.result import Attractors
from resdyn.analysis.attraction.search import Catalogue, answer, radii

Array = NDArray[Any]

_REASON = "The attractors were given; others were not looked for."


def known_attractors(judge: Judge, given: Any, *, every: int, distance: float | None) -> Attractors:
    """An ``Attractors`` with these settings, or one made from lists of points, in their order."""
    orbits = judge.orbits
    if isinstance(given, Attractors):
        if given.system.shape != orbits.system.shape or given.dynamics != orbits.dynamics:
            raise ValueError(
                f"attractors are of the {given.dynamics} of {given.system.name!r}, states of shape "
                f"{given.system.shape}; here the {orbits.dynamics} of {orbits.system.name!r} is asked about, states of "
                f"shape {orbits.system.shape}; pass those of the same system and dynamics."
            )
        near = given.radii if distance is None else np.full(len(given), distance)
        own: dict[str, Any] = {
            "rtol": orbits.rtol,
            "atol": orbits.atol,
            "solver": orbits.solver,
            "system": orbits.system,
        }
        return replace(given, radii=near, every=every, depth=judge.depth, method="given", reason=_REASON, **own)
    if not isinstance(given, list | tuple) or not len(given):
        raise TypeError(f"attractors must be an Attractors, or a list of arrays of points, but is {given!r}.")
    catalogue = Catalogue(judge, attracting=[_described(judge, points, i) for i, points in enumerate(given)])
    found = answer(
        catalogue, radii(catalogue, distance), orbits, every=every, depth=judge.depth, method="given", n_starts=0
    )
    repelling = [i for i, candidate in enumerate(catalogue.attracting) if candidate.verdict != ATTRACTS]
    doubt = f" Of number {', '.join(map(str, repelling))} no orbits from nearby came back." if repelling else ""
    return replace(found, reason=_REASON + doubt)


def _described(judge: Judge, given: Any, index: int) -> Candidate:
    """A fixed point or cycle if the points are one, else a sample of something."""
    orbits, shape = judge.orbits, judge.orbits.system.shape
    array = validate.real_array(given, f"attractors[{index}]", finite=not orbits.in_residuals).astype(float)
    if array.shape == shape:
        array = array[None]
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape or not len(array):
        raise ValueError(
            f"attractors[{index}] has shape {array.shape}; give points of shape (n, {', '.join(map(str, shape))})."
        )
    points = array.reshape(len(array), -1)
    seen = orbits.view(points)
    image = orbits.view(orbits.run(points, 1))
    repeats = np.abs(image - np.roll(seen, -1, axis=0)).max() <= 10 * REPEATS * judge.scale
    if repeats and (orbits.is_map or len(points) == 1):
        if np.isfinite(points).all():
            return judge.described(points, seen)
        return Candidate(points, seen, "fixed point", 1, np.empty(0), judge.tried(seen, 0.05, 1))
    return judge.sampled(points, "unknown")
