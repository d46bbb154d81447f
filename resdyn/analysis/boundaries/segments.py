"""Points of a boundary on given segments: bisection, for many segments and several points of each at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._results import Result, dataset, unit_dims
from resdyn.analysis.boundaries.labelled import UNDECIDED, Classifier, classifier

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

# points of a segment that are labelled in one call: the interval shrinks by one more than that
_INNER = 15


@dataclass(frozen=True, eq=False, repr=False)
class BoundaryPoints(Result):
    r"""Where segments cross the boundary; what :func:`boundary_points` returns.

    Attributes
    ----------
    x : array, shape (m, \*shape)
        The middle of the last interval; NaN where both ends of the segment have one label, or one of them is in no
        basin that could be told.
    gap : array, shape (m,)
        The length of that interval.
    inside, outside : array, shape (m, \*shape)
        Its ends: a state known to have the label of the start, and a state known to have another one.
    labels : int array, shape (m, 2)
        The labels of both; −1 for none, −2 of a state that neither settled nor diverged, where that is known.
    """

    x: Array
    gap: Array
    inside: Array
    outside: Array
    labels: Array

    def __repr__(self) -> str:
        found = np.isfinite(self.gap)
        largest = f", each within {self.gap[found].max() / 2:.1g}" if found.any() else ""
        return f"BoundaryPoints: {int(found.sum())} of {len(found)} segments cross the boundary{largest}."

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over segments."""
        state = ["segment", *unit_dims(self.x.ndim - 1)]
        return dataset(
            {
                "x": (state, self.x),
                "gap": (["segment"], self.gap),
                "inside": (state, self.inside),
                "outside": (state, self.outside),
                "labels": (["segment", "end"], self.labels),
            }
        )

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        rows = [
            (np.array2string(np.ravel(x)[:6], precision=6), f"{gap:.1g}", *map(int, ends))
            for x, gap, ends in zip(self.x[:10], self.gap[:10], self.labels[:10], strict=True)
        ]
        return ("state", "gap", "label before", "label after"), rows


def boundary_points(basins: Any, starts: Any, ends: Any, *, tolerance: float = 1e-9) -> BoundaryPoints:
    """Where the segments from ``starts`` to ``ends`` first leave the basin that they start in, by bisection.

    Parameters
    ----------
    basins : Basins, or any object with ``classify(x)``
    starts, ends : array, shape (m, *shape), or one state
        If between both ends the label changes several times, one of the changes is found.
    tolerance : float
        Bisection stops when the interval is shorter than this, or cannot be halved in float64.

    Returns
    -------
    BoundaryPoints
        A segment whose ends have one label is an outcome: NaN. States that neither settled nor diverged stay inside
        the interval, which then cannot become shorter than they allow. Of an object that does not know the outcomes
        behind −1 (no ``labels_and_outcomes``), −1 between two basins is taken as undecided too.

    Raises
    ------
    TypeError, ValueError
        If ``basins`` cannot classify, or shapes differ.
    """
    classify = classifier(basins, "a point of the boundary")
    first, last = validate.real_array(starts, "starts"), validate.real_array(ends, "ends")
    if first.shape != last.shape or not first.ndim:
        raise ValueError(f"starts have shape {first.shape} and ends {last.shape}; give as many of each.")
    system = getattr(basins, "system", None)
    shape = first.shape[1:] if system is None else system.shape
    if system is None and first.ndim == 1:
        shape = first.shape
    validate.states(first, shape, "the basins" if system is None else system.name, name="starts")
    return bisect_boundary(classify, first.reshape(-1, *shape), last.reshape(-1, *shape), tolerance=tolerance)


def bisect_boundary(classify: Classifier, starts: Array, ends: Array, *, tolerance: float) -> BoundaryPoints:
    """:func:`boundary_points` of segments that have been checked, (m, *shape) each."""
    m, shape = len(starts), starts.shape[1:]
    inside, outside = starts.reshape(m, -1).astype(float), ends.reshape(m, -1).astype(float)
    labels = np.asarray(classify(np.concatenate([inside, outside]).reshape(2 * m, *shape))).reshape(2, m).T.copy()
    crosses = (labels[:, 0] != labels[:, 1]) & (labels != UNDECIDED).all(axis=1)
    least = validate.positive(tolerance, "tolerance")
    between: Array = np.all(labels >= 0, axis=1)
    stuck = np.zeros(m, dtype=bool)
    shares = np.arange(1, _INNER + 1) / (_INNER + 1)
    while True:
        size = np.linalg.norm(outside - inside, axis=1)
        rounding = 4 * np.finfo(float).eps * np.abs(outside).max(axis=1, initial=0.0)
        open_ = np.flatnonzero(crosses & ~stuck & (size > np.maximum(least, rounding)))
        if not len(open_):
            break
        a, b = inside[open_, None], outside[open_, None]
        points = a + shares[:, None] * (b - a)
        found = np.asarray(classify(points.reshape(-1, *shape))).reshape(len(open_), _INNER)
        points = np.concatenate([a, points, b], axis=1)
        found = np.concatenate([labels[open_, :1], found, labels[open_, 1:]], axis=1)
        # the first point that has another label for certain, and the last one before it with that of the start
        away = (found != found[:, :1]) & ~classify.undecided(found, between[open_, None])
        after = away.argmax(axis=1)
        stayed = (found == found[:, :1]) & (np.arange(_INNER + 2) < after[:, None])
        before = _INNER + 1 - stayed[:, ::-1].argmax(axis=1)
        rows = np.arange(len(open_))
        inside[open_], outside[open_] = points[rows, before], points[rows, after]
        labels[open_, 1] = found[rows, after]
        stuck[open_] = after - before > _INNER
    inside[~crosses], outside[~crosses] = np.nan, np.nan
    return BoundaryPoints(
        x=((inside + outside) / 2).reshape(m, *shape),
        gap=np.linalg.norm(outside - inside, axis=1),
        inside=inside.reshape(m, *shape),
        outside=outside.reshape(m, *shape),
        labels=labels,
    )
