"""What the geometry of basins needs to know of them: labels on a grid, and who can label any other state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate

Array = NDArray[Any]

UNLABELLED = ("class", "ignore")


class LabelledGrid(Protocol):
    """Labels on a grid of initial states, as in :class:`resdyn.Basins`."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """The number of the attractor of each grid point, one array axis per axis of the grid; −1 for none."""

    @property
    def axes(self) -> Sequence[Array]:
        """The coordinates along each axis."""


class ClassifiedGrid(LabelledGrid, Protocol):
    r"""Labels on a grid, and the attractors that they number.

    Where the grid is a plane through a larger state space, ``states(coordinates)`` takes coordinates (n, k) to states
    (n, \*shape); without it the coordinates are the states.
    """

    @property
    def attractors(self) -> Sequence[Any]:
        r"""One object per label, with ``points`` of shape (n, \*shape)."""

    def classify(self, x: Array) -> NDArray[np.int64]:
        r"""The labels of any states, (\*batch, \*shape) to (\*batch,)."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Labels and axes, checked."""

    labels: NDArray[np.int64]
    axes: tuple[Array, ...] | None

    @property
    def dimension(self) -> int:
        """The number of axes."""
        return self.labels.ndim

    @property
    def classes(self) -> NDArray[np.int64]:
        """The labels that occur, sorted."""
        return np.unique(self.labels)


def grid(basins: Any, *, needs_axes: bool = False) -> Grid:
    """The labels (and axes) of basins, or of a bare array of labels."""
    found = getattr(basins, "labels", basins)
    labels = np.asarray(found)
    if labels.dtype.kind not in "biu" or not labels.size or not 1 <= labels.ndim:
        raise TypeError(
            f"basins must have integer labels on a grid, but have {labels.dtype} labels of shape {labels.shape}; "
            "pass what resdyn.basins_of_attraction returned, or an integer array."
        )
    axes = getattr(basins, "axes", None)
    if axes is None:
        if needs_axes:
            raise TypeError(
                f"basins must know the coordinates of their grid (axes), but are a bare {type(basins).__name__}; "
                "pass what resdyn.basins_of_attraction returned."
            )
        return Grid(labels.astype(np.int64), None)
    checked = tuple(validate.real_array(axis, "axes") for axis in axes)
    if tuple(len(axis) for axis in checked) != labels.shape:
        raise ValueError(
            f"labels have shape {labels.shape}, but the axes have lengths {tuple(len(axis) for axis in checked)}."
        )
    return Grid(labels.astype(np.int64), checked)


def classifier(basins: Any, what: str) -> Any:
    """``basins.classify``, or an error that says what needs it."""
    classify = getattr(basins, "classify", None)
    if not callable(classify):
        raise TypeError(
            f"{what} asks for the labels of states off the grid, but {type(basins).__name__} has no classify(x); "
            "pass what resdyn.basins_of_attraction returned, or another object with that method."
        )

    def labels(x: Array) -> NDArray[np.int64]:
        found = np.asarray(classify(x))
        if found.dtype.kind not in "biu":
            raise TypeError(f"classify must return integer labels, but returned {found.dtype}.")
        return found.astype(np.int64)

    return labels


def states_at(basins: Any, coordinates: Array) -> Array:
    """The states at grid coordinates (n, k)."""
    embed = getattr(basins, "states", None)
    if callable(embed):
        return np.asarray(embed(coordinates), dtype=float)
    system = getattr(basins, "system", None)
    if system is None:
        return coordinates
    if int(np.prod(system.shape)) != coordinates.shape[1]:
        raise ValueError(
            f"the grid has {coordinates.shape[1]} axes, but {system.name!r} has {int(np.prod(system.shape))} state "
            "variables, and the basins do not say how one becomes the other (states(coordinates))."
        )
    return coordinates.reshape(len(coordinates), *system.shape)


def counted(labels: Array, unlabelled: str) -> Array:
    """Which labels count: all, or those that are not −1."""
    word = validate.choice(unlabelled, "unlabelled", UNLABELLED)
    return np.ones(labels.shape, dtype=bool) if word == "class" else labels >= 0
