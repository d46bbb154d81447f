"""The initial states of a grid, and which of them are taken first."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _memory
from resdyn import _validation as validate
from resdyn._types import System

Array = NDArray[Any]


def checked_axes(grid: Any, system: System, plane: Any, coordinates: str) -> tuple[tuple[Array, ...], Array, Array]:
    """The axes, and origin and directions of the plane (empty if there is none)."""
    if isinstance(grid, np.ndarray) or not isinstance(grid, Sequence):
        raise TypeError(
            "grid must be a tuple of axes, one 1-D array per state variable, e.g. "
            f"(np.linspace(-1, 1, 100), np.linspace(-1, 1, 100)); got {type(grid).__name__}."
        )
    axes = tuple(validate.real_array(axis, f"grid[{i}]").astype(float) for i, axis in enumerate(grid))
    for i, axis in enumerate(axes):
        if axis.ndim != 1 or not axis.size:
            raise ValueError(f"grid[{i}] has shape {axis.shape}, but an axis is a 1-D array of at least one number.")
        if (np.diff(axis) <= 0).any() and (np.diff(axis) >= 0).any():
            raise ValueError(f"grid[{i}] must run one way without repeats; sort it, e.g. np.unique(grid[{i}]).")
    size = int(np.prod(system.shape))
    shape = "×".join(str(len(axis)) for axis in axes)
    _memory.require(
        int(np.prod([len(axis) for axis in axes], dtype=float)) * (8 * size + 40),
        f"a grid of {shape} states of shape {system.shape}",
        "take fewer points, or a plane=(origin, directions)",
    )
    if coordinates == "y" and not hasattr(system, "from_residuals"):
        raise ValueError(
            f"coordinates='y' is for logistic residuals, but {system.name!r} has no from_residuals; use 'x'."
        )
    if plane is None:
        if len(axes) != size:
            raise ValueError(
                f"grid has {len(axes)} axes, but {system.name!r} has {size} state variables; give one axis for each, "
                "or a plane=(origin, directions) through the state space with one direction per axis."
            )
        return axes, np.empty(0), np.empty(0)
    origin, directions = _checked_plane(plane, system, len(axes))
    return axes, origin, directions


def _checked_plane(plane: Any, system: System, n_axes: int) -> tuple[Array, Array]:
    try:
        origin, directions = plane
    except (TypeError, ValueError):
        raise TypeError(f"plane must be a pair (origin, directions), but is {plane!r}.") from None
    origin = validate.real_array(origin, "the plane's origin").astype(float)
    directions = validate.real_array(directions, "the plane's directions").astype(float)
    if origin.shape != system.shape or directions.shape != (n_axes, *system.shape):
        raise ValueError(
            f"the plane has an origin of shape {origin.shape} and directions of shape {directions.shape}; for "
            f"{n_axes} axes and states of {system.name!r} they must be {system.shape} and {(n_axes, *system.shape)}."
        )
    return origin, directions


def states_of(system: System, axes: Sequence[Array], origin: Array, directions: Array, coordinates: str) -> Array:
    """The flat states (M, d) of the grid, in C order."""
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    if directions.size:
        places = origin.ravel() + places @ directions.reshape(len(axes), -1)
    if coordinates == "y":
        owner: Any = system
        places = owner.from_residuals(places.reshape(-1, *system.shape)).reshape(places.shape)
    return np.ascontiguousarray(places)


def checked_region(region: Any, system: System) -> tuple[Array, Array]:
    """(low, high), flat."""
    try:
        low, high = region
    except (TypeError, ValueError):
        raise TypeError(f"region must be a pair (low, high), but is {region!r}.") from None
    ends = []
    for name, end in (("low", low), ("high", high)):
        array = validate.real_array(end, f"the region's {name}").astype(float)
        if array.shape not in ((), system.shape):
            raise ValueError(
                f"the region's {name} has shape {array.shape}; give a number, or an array of shape {system.shape}."
            )
        ends.append(np.broadcast_to(array, system.shape).ravel())
    if not (ends[0] < ends[1]).all():
        raise ValueError("region must be (low, high) with low < high for every state variable.")
    return ends[0], ends[1]


def keys(x: Array) -> NDArray[np.uint64]:
    """A number for each state (M, d) that looks random and depends on its coordinates alone, not on its place."""
    with np.errstate(over="ignore"):
        bits = np.ascontiguousarray(x + 0.0).view(np.uint64)  # −0.0 becomes 0.0
        mixed = np.full(len(x), 0x9E3779B97F4A7C15, dtype=np.uint64)
        for column in bits.T:
            # the finaliser of SplitMix64 spreads every bit over all
            mixed = (mixed ^ column) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
    return mixed


def least(keys: NDArray[np.uint64], n: int) -> NDArray[np.int64]:
    """Where the n least keys are, in their order; all if there are fewer."""
    if len(keys) <= n:
        return np.argsort(keys, kind="stable")
    part = np.argpartition(keys, n - 1)[:n]
    return part[np.argsort(keys[part], kind="stable")]


def shuffled(x: Array) -> NDArray[np.int64]:
    """An order of the states (M, d) that looks random and depends on their coordinates alone, not on their places."""
    return np.argsort(keys(x), kind="stable")
