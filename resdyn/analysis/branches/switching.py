r"""From a bifurcation onto the branch that meets the known one there.

At a branch point ∂G/∂u loses rank, and its kernel holds the tangents of both branches: the known t and, for an n across
it, the one that the algebraic branching equation [keller1977]_ gives with a left null vector w,

.. math:: 2\beta\, y_1 y_2 + \gamma\, y_2^2 = 0, \qquad \beta = w^{\mathsf T} G_{uu} t n,\quad
          \gamma = w^{\mathsf T} G_{uu} n n.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.branches.corrector import correct
from resdyn.analysis.branches.points import Point, make_point
from resdyn.analysis.branches.problem import Problem

Array = NDArray[Any]

_SPACING = 1e-3
_TRIALS = 12
# a prediction along the other branch is off by the square of its length; farther off it is the known one again
_FARTHEST = 0.5
# so near to the bifurcation the branch still runs in the direction in which it begins
_ALIGNED = 0.9


def other_tangent(problem: Problem, u: Array, known: Array) -> Array:
    """The tangent of the other branch through a simple branch point."""
    left, values, right = np.linalg.svd(problem.derivative(u))
    del values
    w, kernel = left[:, -1], right[-2:]
    t = kernel.T @ (kernel @ known)
    t /= np.linalg.norm(t)
    across = kernel[0] - (kernel[0] @ t) * t
    second = kernel[1] - (kernel[1] @ t) * t
    n = across if np.linalg.norm(across) > np.linalg.norm(second) else second
    n /= np.linalg.norm(n)

    def curvature(direction: Array) -> float:
        room = min(u[-1], 1.0 - u[-1]) / max(abs(direction[-1]), 1e-300)
        e = min(_SPACING, room)
        if e < 1e-6:
            return np.nan
        return float(w @ (problem.residual(u + e * direction) + problem.residual(u - e * direction))) / e**2

    gamma = curvature(n)
    beta = (curvature((t + n) / np.sqrt(2)) - curvature((t - n) / np.sqrt(2))) / 2
    tangent = gamma * t - 2 * beta * n
    length = float(np.linalg.norm(tangent))
    # Where the interval ends, no difference in the parameter can be taken; across is where the branch is, roughly.
    return tangent / length if np.isfinite(length) and length > 1e-6 else n


def starts(problem: Problem, u: Array, direction: Array, length: float, tolerance: float) -> list[Point]:
    """A point of the other branch on either side of u, where there is one."""
    found = []
    for way in (direction, -direction):
        for halving in range(_TRIALS):
            away = length * 0.5**halving
            predicted = u + away * way
            corrected = correct(problem, predicted, way, tolerance)
            if corrected is None or np.linalg.norm(corrected[0] - predicted) > _FARTHEST * away:
                continue
            point = make_point(problem, corrected[0], way)
            if point.tangent @ way > _ALIGNED:
                found.append(point)
                break
    return found
