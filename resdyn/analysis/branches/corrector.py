r"""Newton's method on the bordered system: the equation, and a plane to stay in.

.. math:: G(u) = 0, \qquad n^{\mathsf T}(u - u_{\mathrm{predicted}}) = 0

With n the tangent of the branch its matrix is regular at folds too, where ∂G/∂x is singular ([keller1977]_).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.branches.problem import Problem

Array = NDArray[Any]

_MOST = 12
# below this length steps that shrink no more are rounding: the plane nearly touches the branch, or branches meet nearby
_ROUNDING = 1e-7


def correct(problem: Problem, predicted: Array, normal: Array, tolerance: float) -> tuple[Array, int] | None:
    """The point of a branch in the plane through ``predicted``, and the number of steps; None if there is none near.

    Steps that leave the interval of the parameter lead to None as well.
    """
    u, before = predicted, np.inf
    for count in range(_MOST):
        if not problem.contains(u):
            return None
        f, derivative = problem.residual(u), problem.derivative(u)
        change = solved(np.vstack([derivative, normal]), np.append(-f, normal @ (predicted - u)))
        if change is None:
            # where two branches meet, or where f cannot be differentiated
            return (u, count) if _is_rounding(f, derivative, u) else None
        length = float(np.linalg.norm(change))
        if length > 4 * before or length > 1e3:
            return None
        u = u + change
        if length <= tolerance or (length <= _ROUNDING and length > before / 4):
            return (u, count + 1) if problem.contains(u) else None
        before = length
    return None


def at_value(problem: Problem, predicted: Array, tolerance: float) -> tuple[Array, int] | None:
    """The point of a branch at exactly the predicted parameter."""
    normal = np.zeros_like(predicted)
    normal[-1] = 1.0
    predicted = predicted.copy()
    predicted[-1] = min(max(predicted[-1], 0.0), 1.0)
    # the plane keeps the parameter, up to rounding that must not lead out of the interval
    last = predicted[-1]
    u = predicted
    before = np.inf
    for count in range(4 * _MOST):
        f, matrix = problem.residual(u), problem.matrix(u) * problem.length
        change = solved(matrix, -f)
        if change is None:
            return (u, count) if _is_rounding(f, matrix, u) else None
        length = float(np.linalg.norm(change))
        u = np.append(u[:-1] + change, last)
        if length <= tolerance or (length <= _ROUNDING and length > before / 4):
            return u, count + 1
        if not np.isfinite(u).all():
            return None
        before = length
    return None


def _is_rounding(f: Array, derivative: Array, u: Array) -> bool:
    """Whether f is no more than what rounding of u makes of zero."""
    unit = 8 * float(np.finfo(float).eps) * len(u) * (1.0 + float(np.abs(u).max()))
    return bool(np.abs(f).max() <= unit * float(np.abs(derivative).max()))


def solved(matrix: Array, right: Array) -> Array | None:
    """The solution of a linear system; None where there is none."""
    if not (np.isfinite(matrix).all() and np.isfinite(right).all()):
        return None
    try:
        solution = np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        return None
    return solution if np.isfinite(solution).all() else None


def tangent(derivative: Array, reference: Array | None = None) -> tuple[Array, float]:
    """The direction of the branch, a unit vector, and the smallest singular value of the derivative.

    The direction is on the side of ``reference``, else that of a rising parameter.
    """
    # the null vector of ∂G/∂u, also where the reference stands across the branch
    _, values, right = np.linalg.svd(derivative)
    null: Array = right[-1]
    along = null[-1] if reference is None else null @ reference
    return -null if along < 0 else null, float(values[-1])
