"""What the geometry of basins needs to know of them: labels on a grid, and who can label any other state."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate

Array = NDArray[Any]

UNLABELLED = ("class", "ignore")
UNDECIDED = -2
"""The label of a state that is known to be in no basin and not known to diverge: on a boundary, or not settled."""


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

    Where the grid is a plane through a larger state space, ``plane_origin`` and ``plane_directions`` say which; where
    it is in residuals, ``coordinates`` is "y". Without them the grid is in states. ``outcomes`` says which of the
    states labelled −1 diverged, and the method ``labels_and_outcomes`` the same of any states.
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


@dataclass(frozen=True, eq=False)
class Classifier:
    """Labels of any states: −1 for divergence and ``UNDECIDED`` where outcomes are known, else −1 as it was given."""

    labels: Callable[[Array], NDArray[np.int64]]
    knows_outcomes: bool

    def __call__(self, x: Array) -> NDArray[np.int64]:
        return self.labels(x)

    def undecided(self, labels: Array, between: Array | bool) -> Array:
        """Which labels say nothing; ``between`` two basins −1 may mean too near to the boundary to tell."""
        return (labels == UNDECIDED) | ((labels == -1) & between & (not self.knows_outcomes))


def classifier(basins: Any, what: str) -> Classifier:
    """``basins.labels_and_outcomes`` or ``basins.classify``, or an error that says what needs them."""
    with_outcomes = getattr(basins, "labels_and_outcomes", None)
    if callable(with_outcomes):

        def decided(x: Array) -> NDArray[np.int64]:
            found, outcomes = with_outcomes(x)
            return np.where((found >= 0) | _is_divergence(outcomes), found, UNDECIDED)

        return Classifier(decided, knows_outcomes=True)
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

    return Classifier(labels, knows_outcomes=False)


def in_residuals(basins: Any) -> bool:
    """Whether the grid is in residuals y on the unit cube, and not in states."""
    return getattr(basins, "coordinates", "x") == "y"


def places_at(basins: Any, coordinates: Array) -> Array:
    r"""Grid coordinates (n, k) as points (n, \*shape) of the state space, or of the cube of residuals."""
    directions = np.asarray(getattr(basins, "plane_directions", np.empty(0)), dtype=float)
    places = coordinates
    if directions.size:
        places = np.ravel(basins.plane_origin) + coordinates @ directions.reshape(len(directions), -1)
    system = getattr(basins, "system", None)
    if system is None:
        return places
    if int(np.prod(system.shape)) != places.shape[1]:
        raise ValueError(
            f"the grid has {places.shape[1]} axes, but {system.name!r} has {int(np.prod(system.shape))} state "
            "variables, and the basins name no plane."
        )
    return places.reshape(len(places), *system.shape)


def states_at(basins: Any, places: Array) -> Array:
    """The states of such points; residuals are cut to the cube, which rounding may leave."""
    return np.asarray(basins.system.from_residuals(np.clip(places, 0.0, 1.0)) if in_residuals(basins) else places)


def counted_cells(basins: Any, labels: Array, unlabelled: str) -> Array:
    """Which cells of the grid have an outcome of their own.

    Basins that tell what became of each state count −1 where it diverged. A state on a boundary, in a long transient,
    or in a neutral family is in no basin, and would be one more label in every box on the boundary.
    """
    if validate.choice(unlabelled, "unlabelled", UNLABELLED) == "ignore":
        return labels >= 0
    diverged = _diverged(basins)
    return np.ones(labels.shape, dtype=bool) if diverged is None else (labels >= 0) | diverged


def on_boundary(basins: Any, labels: Array) -> Array:
    """Which cells hold a state that is known to lie on a boundary itself."""
    known = getattr(basins, "boundary", None)
    return np.zeros(labels.shape, dtype=bool) if known is None else np.asarray(known, dtype=bool)


def counted(labels: Array, unlabelled: str) -> Array:
    """Which labels of single states, from a :class:`Classifier`, are outcomes of their own."""
    if validate.choice(unlabelled, "unlabelled", UNLABELLED) == "ignore":
        return labels >= 0
    return labels != UNDECIDED


def _diverged(basins: Any) -> Array | None:
    outcomes = getattr(basins, "outcomes", None)
    return None if outcomes is None else _is_divergence(outcomes)


def _is_divergence(outcomes: Array) -> Array:
    from resdyn.analysis.attraction.result import OUTCOMES

    return np.asarray(outcomes == OUTCOMES["diverged"])
