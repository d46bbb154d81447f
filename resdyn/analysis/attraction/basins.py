"""``basins_of_attraction``: the attractors that a grid of initial states goes to."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._types import System
from resdyn.analysis.attraction import result
from resdyn.analysis.attraction.candidates import NEUTRAL, Judge
from resdyn.analysis.attraction.given import known_attractors
from resdyn.analysis.attraction.grids import checked_axes, keys, least, states_of
from resdyn.analysis.attraction.orbits import Orbits, make_orbits
from resdyn.analysis.attraction.result import Attractors, Basins
from resdyn.analysis.attraction.search import (
    _SOURCES,
    Labels,
    answer,
    chosen_algorithm,
    discover,
    make_judge,
    make_targets,
    search_options,
)
from resdyn.analysis.attraction.settling import BOUNDARY, LOST, NONE, Targets, settle

Array = NDArray[Any]


def basins_of_attraction(
    system: System,
    grid: Any,
    *,
    attractors: Any = None,
    dynamics: str = "map",
    algorithm: str = "auto",
    features: Any = None,
    plane: Any = None,
    coordinates: str = "x",
    cells: int = 128,
    depth: int = 10_000,
    distance: float | None = None,
    every: int | None = None,
    threads: int | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    method: str | None = None,
) -> Basins:
    r"""The basins of attraction over a grid of initial states.

    Attractors are found as by :func:`resdyn.attractors`, from states of the grid, or given; then every state is run
    until it stays near one of them. Each orbit is judged alone: the answer depends neither on the number of
    threads nor on the order of the grid.

    Parameters
    ----------
    system : System
        Autonomous.
    grid : tuple of 1-D arrays
        One axis per state variable (flat order), regular or not.
    attractors : Attractors, or list of arrays, optional
        Known attractors, by result or by points (n, \*shape) each: a fixed point, a cycle in order, or a sample. No
        others are then looked for. A repeller among them is taken for a boundary, and labels number the rest.
    dynamics : "map" or "flow"
    algorithm : "auto", "recurrences", "proximity" or "features"
        "auto": proximity to the attractors if they are given, features if those are given, else recurrences.
    features : callable, optional
        See :func:`resdyn.attractors`.
    plane : (origin, directions), optional
        For many variables: the grid's axes run along ``directions`` (k, \*shape) from ``origin``, k axes in all.
    coordinates : "x" or "y"
        Of logistic residuals, "y" says that grid and plane are residuals in [0, 1].
    cells, depth, distance, every, threads, rtol, atol, method
        See :func:`resdyn.attractors`.

    Returns
    -------
    Basins

    Raises
    ------
    TypeError, ValueError
        For a layer-wise system, wrong shapes or names, attractors of a system under which they do not repeat
        themselves; the message says what was needed.
    MemoryError
        If the states of the grid cannot fit.

    Notes
    -----
    States that come within ``touch`` of a known unstable fixed point or cycle are reported as boundary. Known are the
    fixed points and 2-cycles that Newton's method finds from 64 states, and cycles on which a judged orbit ended.
    Memory does not grow with the number of layers.
    """
    orbits = make_orbits(
        system, dynamics, "a basin of attraction", rtol=rtol, atol=atol, method=method, threads=threads
    )
    word = chosen_algorithm(algorithm, features, ("recurrences", "proximity", "features"))
    if algorithm == "auto" and attractors is not None:
        word = "proximity"
    if (word == "proximity") != (attractors is not None):
        raise ValueError(
            "algorithm 'proximity' needs attractors=…, an Attractors or a list of points."
            if attractors is None
            else f"attractors are given, but algorithm is {word!r}, which finds its own; leave one of them out."
        )
    most, spacing, near, n_cells = search_options(depth, every, distance, cells, orbits.is_map)
    validate.choice(coordinates, "coordinates", ("x", "y"))
    axes, origin, directions = checked_axes(grid, system, plane, coordinates)
    x = states_of(system, axes, origin, directions, coordinates)
    judge = make_judge(orbits, _extent(orbits, x), n_cells, most)
    shape = tuple(len(axis) for axis in axes)
    place: dict[str, Any] = {
        "grid": np.concatenate(axes),
        "plane_origin": origin,
        "plane_directions": directions,
        "coordinates": coordinates,
    }
    if word == "features":
        from resdyn.analysis.attraction.features import attractors_by_features

        found, labels = attractors_by_features(judge, x, features, every=spacing, distance=near)
        outcomes = np.where(labels >= 0, result.SETTLED, result.LONG_TRANSIENT).astype(np.int8)
        outcomes[orbits.lost(orbits.run(x, most))] = result.DIVERGED
        # by place and not by features, since rounding drives orbits away from an unstable point in the end
        stuck = settle(orbits, x, _targets(orbits, found), found.depth)[0] == BOUNDARY
        outcomes[stuck], labels[stuck] = result.BOUNDARY, NONE
        times = np.full(len(x), np.nan)
    else:
        if word == "proximity":
            starts = x[least(keys(x), _SOURCES)]
            judge = judge.sized(starts)
            found, known = known_attractors(judge, attractors, starts, every=spacing, distance=near), None
        else:
            catalogue, radius, known = discover(judge, x, spacing, near)
            judge = catalogue.judge
            found = answer(catalogue, radius, orbits, every=spacing, depth=most, method=word, n_starts=len(x))
        labels, outcomes, times = _labelled(judge, found, x, known)
    attracting: dict[str, Any] = {field.name: getattr(found, field.name) for field in fields(Attractors)}
    return Basins(
        labels=labels.reshape(shape),
        outcomes=outcomes.reshape(shape),
        times=times.reshape(shape),
        **place,
        **attracting,
    )


def _extent(orbits: Orbits, x: Array) -> float:
    """The longest side of the box of the initial states; of one state alone its own size."""
    # column by column: along the short axis of a long array NumPy is ten times slower
    sides = [(float(column.min()), float(column.max())) for column in orbits.view(x).T]
    extent = max(high - low for low, high in sides)
    return extent if extent > 0 else 1.0 + max(max(abs(low), abs(high)) for low, high in sides)


def _labelled(
    judge: Judge, found: Attractors, x: Array, known: Labels | None
) -> tuple[NDArray[np.int64], NDArray[np.int8], Array]:
    """Labels, outcomes and times of the grid's states; those that the search came to with the same targets hold."""
    targets = _targets(judge.orbits, found)
    if known is None or not targets.same_as(known.targets):
        known = Labels(targets, *settle(judge.orbits, x, targets, found.depth))
    labels, outcomes, times = _described(known.owners, known.layers, found)
    left = np.flatnonzero(outcomes == result.LONG_TRANSIENT)
    if len(left) and found.method != "given":
        chosen = left[least(keys(x[left]), _SOURCES)]
        ended = judge.candidates(x[chosen])
        neutral = np.array([candidate is not None and candidate.verdict == NEUTRAL for candidate in ended])
        # what holds for each of the many that were looked at is said of all; else only of those it was seen of
        outcomes[left if neutral.all() else chosen[neutral]] = result.NEUTRAL
    return labels, outcomes, times


def classified(
    found: Attractors, x: Any, *, threads: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int8], Array]:
    r"""Labels, outcomes and times of states (\*batch, \*shape), by proximity to what was found."""
    system = found.system
    orbits = Orbits(system, found.dynamics, found.rtol, found.atol, found.solver, threads)
    states = validate.states(validate.real_array(x, "x", finite=not orbits.in_residuals), system.shape, system.name)
    batch = states.shape[: states.ndim - len(system.shape)]
    flat = np.asarray(states, dtype=float).reshape(-1, orbits.size)
    owners, layers = settle(orbits, flat, _targets(orbits, found), found.depth)
    labels, outcomes, times = _described(owners, layers, found)
    return labels.reshape(batch), outcomes.reshape(batch), times.reshape(batch)


def _targets(orbits: Orbits, found: Attractors) -> Targets:
    seen = orbits.view(found.points.reshape(-1, orbits.size))
    if found.y.size:
        seen = found.y.reshape(-1, orbits.size)
    return make_targets(
        orbits,
        seen,
        found.owners,
        found.radii[found.owners],
        orbits.view(found.unstable.reshape(-1, orbits.size)),
        found.touch,
        found.dwell,
        found.every,
    )


def _described(
    owners: NDArray[np.int64], layers: NDArray[np.int64], found: Attractors
) -> tuple[NDArray[np.int64], NDArray[np.int8], Array]:
    """Labels, outcomes and times (M,)."""
    outcomes = np.full(len(owners), result.LONG_TRANSIENT, dtype=np.int8)
    outcomes[owners >= 0] = result.SETTLED
    outcomes[owners == BOUNDARY] = result.BOUNDARY
    outcomes[owners == LOST] = result.DIVERGED
    labels = np.where(owners >= 0, owners, NONE)
    times = np.where(owners >= 0, layers.astype(float), np.nan)
    return labels, outcomes, times * found.system.step if found.dynamics == "flow" else times
