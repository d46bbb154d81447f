"""Attractors that the caller knows."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn.analysis.attraction.candidates import ATTRACTS, REPEATS, REPELS, Candidate, Judge
from resdyn.analysis.attraction.result import Attractors
from resdyn.analysis.attraction.search import Catalogue, answer, radii
from resdyn.analysis.equilibria import newton
from resdyn.iterated import IteratedMap

Array = NDArray[Any]

_REASON = "The attractors were given; others were not looked for."


def known_attractors(judge: Judge, given: Any, starts: Array, *, every: int, distance: float | None) -> Attractors:
    """An ``Attractors``, or one made from lists of points, as sets of this system, in their order.

    What repels is taken for a boundary; more unstable points are looked for from ``starts`` (M, d).
    """
    if isinstance(given, Attractors):
        sets, same = _of_result(judge, given)
    elif isinstance(given, list | tuple) and len(given):
        sets, same = [_described(judge, points, i) for i, points in enumerate(given)], False
    else:
        raise TypeError(f"attractors must be an Attractors, or a list of arrays of points, but is {given!r}.")
    catalogue = Catalogue(judge)
    remarks = []
    for i, candidate in enumerate(sets):
        repels = candidate.verdict == REPELS and not candidate.is_sampled and not candidate.saturated
        (catalogue.repelling if repels else catalogue.attracting).append(candidate)
        if candidate.verdict != ATTRACTS:
            told = "; it is taken for a boundary, and labels number the others" if repels else ""
            remarks.append(f" Of number {i} no orbits from nearby came back{told}.")
    catalogue.look_for_unstable(starts)
    near = given.radii if same and distance is None else radii(catalogue, distance)
    found = answer(catalogue, near, judge.orbits, every=every, depth=judge.depth, method="given", n_starts=0)
    told = "".join(f" {remark}" for remark in catalogue.remarks)
    return replace(found, reason=_REASON + "".join(remarks) + told)


def _of_result(judge: Judge, given: Attractors) -> tuple[list[Candidate], bool]:
    """The sets of an ``Attractors`` under the present system, and whether it is the one that they were found with."""
    orbits = judge.orbits
    if given.system.shape != orbits.system.shape or given.dynamics != orbits.dynamics:
        raise ValueError(
            f"attractors are of the {given.dynamics} of {given.system.name!r}, states of shape "
            f"{given.system.shape}; here the {orbits.dynamics} of {orbits.system.name!r} is asked about, states of "
            f"shape {orbits.system.shape}; pass those of the same system and dynamics."
        )
    flat = given.points.reshape(-1, orbits.size)
    before = replace(orbits, system=given.system)
    same = np.array_equal(before.residual(flat), orbits.residual(flat), equal_nan=True)
    same = same and given.system.step == orbits.system.step
    sets = []
    for i, attractor in enumerate(given):
        points = attractor.points.reshape(len(attractor.points), -1)
        seen = orbits.view(points) if attractor.y is None else attractor.y.reshape(points.shape)
        if same:
            radius = attractor.radius if attractor.period == 0 else 0.0
            values = attractor.multipliers
            sets.append(Candidate(points, seen, attractor.kind, attractor.period, values, ATTRACTS, radius))
            continue
        stays = _repeats(judge, points, seen) if attractor.period else _is_filled(judge, points)
        if not stays:
            raise ValueError(
                f"attractors[{i}], a {attractor.kind} of {given.system.name!r}, does not repeat itself under "
                f"{orbits.system.name!r} with these parameters; pass attractors of the same system."
            )
        sets.append(_exact(judge, points, seen) if attractor.period else judge.sampled(points, "unknown"))
    return sets, same


def _is_filled(judge: Judge, points: Array) -> bool:
    """Whether the orbit from one state of a sample fills the set again."""
    orbits = judge.orbits
    orbit = judge.stretch(points[-1:])[:, 0]
    return not orbits.lost(orbit[-1:])[0] and judge.are_one(orbits.view(orbit), orbits.view(points))


def _repeats(judge: Judge, points: Array, seen: Array) -> bool:
    """Whether points are a fixed point or a cycle in its order."""
    orbits, near = judge.orbits, 10 * REPEATS * judge.scale
    if not orbits.is_map and len(points) > 1:
        return False
    image = orbits.view(orbits.run(points, 1))
    if not np.abs(image - np.roll(seen, -1, axis=0)).max() <= near:
        return False
    if not np.isfinite(points).all():
        return True
    # with a short step an orbit does not get far in one layer anywhere
    system: Any = orbits.system if len(points) == 1 else IteratedMap(orbits.system, len(points))
    refined = newton.refine(system, points[0].reshape(orbits.system.shape))
    return refined is None or bool(np.abs(refined.ravel() - points[0]).max() <= near)


def _exact(judge: Judge, points: Array, seen: Array) -> Candidate:
    """A fixed point or cycle."""
    if np.isfinite(points).all():
        return judge.described(points, seen)
    return Candidate(points, seen, "fixed point", 1, np.empty(0), judge.tried(seen, 0.05, 1))


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
    return _exact(judge, points, seen) if _repeats(judge, points, seen) else judge.sampled(points, "unknown")
