"""Where a curve given by its points meets one value of the parameter, also beside folds.

At a fixed parameter Newton's method is singular at a fold and leads to the wrong side of it nearby. Along the curve
nothing is singular: corrections stay in planes across the chord from one point to the next.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from resdyn.analysis.branches.corrector import at_value, correct, tangent
from resdyn.analysis.branches.problem import Problem

Array = NDArray[Any]

_TOLERANCE = 1e-10
_PRECISION = 1e-14
# tangents nearer to the fold than this are at it: the fold is the point itself
_AT_FOLD = 1e-9
# a parameter is known to a few units of rounding
_EXACT = 4 * float(np.finfo(float).eps)
# what Newton's method may still move a state that lies on the branch, at the parameter asked for
_POLISH = 1e-9


class _LostError(Exception):
    """The branch could not be corrected within a segment."""


def _over(problem: Problem, a: Array, b: Array, share: float) -> Array:
    """The point of the branch over this share of the chord."""
    if share in (0.0, 1.0):
        return a if share == 0.0 else b
    chord = b - a
    corrected = correct(problem, a + share * chord, chord / np.linalg.norm(chord), _TOLERANCE)
    if corrected is None:
        raise _LostError
    return corrected[0]


def fold_between(problem: Problem, a: tuple[Array, Array], b: tuple[Array, Array]) -> Array | None:
    """The fold between two points with their tangents, whose components along p have different signs."""
    (u, before), (w, after) = a, b
    if min(abs(before[-1]), abs(after[-1])) < _AT_FOLD:
        return None

    def component(share: float) -> float:
        if share in (0.0, 1.0):
            return float(before[-1] if share == 0.0 else after[-1])
        return float(tangent(problem.derivative(_over(problem, u, w, share)), w - u)[0][-1])

    try:
        return _over(problem, u, w, float(brentq(component, 0.0, 1.0, xtol=_PRECISION)))
    except _LostError:
        return None


def at_one_value(problem: Problem, nodes: list[Array], wanted: Array) -> list[Array]:
    """The points between nodes, and the nodes, at which the last component of u is that of ``wanted``."""
    value = float(wanted[-1])
    away = np.array([0.0 if abs(u[-1] - value) <= _EXACT else u[-1] - value for u in nodes])
    closed = len(nodes) > 1 and np.array_equal(nodes[0], nodes[-1])
    found = []
    for k, (a, b) in enumerate(pairwise(nodes)):
        if away[k] == 0:
            found.append(a)
        elif away[k] * away[k + 1] < 0:
            found.append(_crossing(problem, a, b, value))
    if len(away) and away[-1] == 0 and not closed:
        found.append(nodes[-1])
    return found


def _crossing(problem: Problem, a: Array, b: Array, value: float) -> Array:
    def away(share: float) -> float:
        return float(_over(problem, a, b, share)[-1] - value)

    try:
        u = _over(problem, a, b, float(brentq(away, 0.0, 1.0, xtol=_PRECISION)))
    except _LostError:
        # beside a point where branches meet
        share = float((value - a[-1]) / (b[-1] - a[-1]))
        u = a + share * (b - a)
    u = np.append(u[:-1], value)
    polished = at_value(problem, u, _TOLERANCE)
    length = float(np.linalg.norm(b - a))
    near = polished is not None and np.linalg.norm(polished[0] - u) <= max(_POLISH, _POLISH * length)
    return polished[0] if polished is not None and near else u
