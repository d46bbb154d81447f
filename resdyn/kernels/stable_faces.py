r"""Branch and bound over the faces of the cube for stable equilibria of :math:`\dot y = y(1-y)\circ(Wy)`.

At a linearly stable equilibrium (Wy)_i is negative where y_i = 0, positive where y_i = 1, and zero inside. A node has
decided this for some units. The equations of its inner units give y_I = M c, and with it every (Wy)_j becomes a linear
form in the other units, which lie in [0, 1]: its bounds rule out what no equilibrium below the node can have.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from resdyn.kernels.faces import _ROUNDING, REGULAR, _solve_corners

Array = NDArray[Any]

ZERO, ONE, INSIDE = 1, 2, 4  # what a unit may still be, as bits; a unit with one bit is decided


@njit(nogil=True, error_model="numpy", cache=True)
def _ranges(
    W: Array, allowed: Array, inside: Array, outside: Array, inverse: Array, scratch: Array, M: Array, ranges: Array
) -> bool:
    """Bounds of (Wy)_i for units outside, and of y_i for units inside, without unit i's own part outside.

    ``ranges`` (N, 2). False where W_II may be singular, so that y_I is not known.
    """
    n = W.shape[0]
    k, m = 0, 0
    for i in range(n):
        if allowed[i] == INSIDE:
            inside[k] = i
            k += 1
        else:
            outside[m] = i
            m += 1
    error = _solve_corners(W, inside, k, outside, m, inverse, scratch, M) if k else 0.0
    if not error < REGULAR:
        return False
    for place in range(k):
        least, most = -error, error
        for j in range(m):
            status = allowed[outside[j]]
            if status == ONE:
                least += M[place, j]
                most += M[place, j]
            elif status != ZERO:
                least += min(M[place, j], 0.0)
                most += max(M[place, j], 0.0)
        ranges[inside[place], 0], ranges[inside[place], 1] = least, most
    for place in range(m):
        i = outside[place]
        through, absolute = 0.0, 0.0
        for l in range(k):  # noqa: E741
            through += abs(W[i, inside[l]])
        least = most = 0.0
        for j in range(m):
            status = allowed[outside[j]]
            if status == ZERO or j == place:
                continue
            slope = W[i, outside[j]]
            absolute += abs(slope)
            for l in range(k):  # noqa: E741
                term = W[i, inside[l]] * M[l, j]
                slope += term
                absolute += abs(term)
            if status == ONE:
                least += slope
                most += slope
            else:
                least += min(slope, 0.0)
                most += max(slope, 0.0)
        slack = error * through + (n + k + 3) * _ROUNDING * absolute
        ranges[i, 0], ranges[i, 1] = least - slack, most + slack
    return True


@njit(nogil=True, error_model="numpy", cache=True)
def _own(W: Array, i: int, allowed: Array, inside: Array, outside: Array, M: Array) -> tuple[float, float]:
    """The coefficient of y_i in (Wy)_i, its effect through the inner units included."""
    n = W.shape[0]
    k, column = 0, 0
    for j in range(n):
        if allowed[j] == INSIDE:
            k += 1
        elif j < i:
            column += 1
    total = W[i, i]
    absolute = abs(total)
    for l in range(k):  # noqa: E741
        term = W[i, inside[l]] * M[l, column]
        total += term
        absolute += abs(term)
    return total, (k + 3) * _ROUNDING * absolute


@njit(nogil=True, error_model="numpy", cache=True)
def _prune(
    W: Array, allowed: Array, inside: Array, outside: Array, inverse: Array, scratch: Array, M: Array, ranges: Array
) -> bool:
    """Rule out what the bounds exclude, until nothing changes; False where a unit has nothing left."""
    n = W.shape[0]
    while True:
        if not _ranges(W, allowed, inside, outside, inverse, scratch, M, ranges):
            return True
        changed, zeros = False, True
        for i in range(n):
            zeros = zeros and (allowed[i] == ZERO or allowed[i] == INSIDE)
            least, most = ranges[i, 0], ranges[i, 1]
            if allowed[i] == INSIDE:
                if most <= 0.0 or least >= 1.0:
                    return False
                continue
            own, slack = _own(W, i, allowed, inside, outside, M)
            left = allowed[i]
            if least >= 0.0:
                left &= ~ZERO
            if most + own + slack <= 0.0:
                left &= ~ONE
            if least + min(own - slack, 0.0) > 0.0 or most + max(own + slack, 0.0) < 0.0:
                left &= ~INSIDE
            if left == 0:
                return False
            if left != allowed[i]:
                allowed[i] = left
                changed = True
                if left == INSIDE:
                    break  # the equations have changed
        if not changed:
            # with W_II regular and all other units at 0, the inner units are exactly 0 too: the corner, not this face
            return not zeros or (allowed == ZERO).all()


@njit(nogil=True, error_model="numpy", cache=True)
def _may_be_stable(W: Array, allowed: Array) -> bool:
    """The inner block needs a negative trace: some inner unit must limit itself, if there is an inner unit at all."""
    inner, limited = False, False
    for i in range(W.shape[0]):
        inner = inner or allowed[i] == INSIDE
        limited = limited or ((allowed[i] & INSIDE) != 0 and W[i, i] < 0)
    return limited or not inner


@njit(nogil=True, error_model="numpy", cache=True)
def stable_faces(W: Array, order: Array, max_nodes: int, faces: Array) -> tuple[int, int, bool]:
    """Write the faces that may hold a stable equilibrium into ``faces`` (rows of ZERO, ONE, INSIDE).

    Units are branched in ``order``. Returns (faces found, nodes visited, finished); it stops early when the nodes
    or the rows of ``faces`` are used up.
    """
    n = W.shape[0]
    inside, outside = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    inverse, scratch, M, ranges = np.empty((n, n)), np.empty((n, n)), np.empty((n, n)), np.empty((n, 2))
    # one node per level: what its units may be, the unit it branches on, and the choices still to be tried
    allowed = np.full((n + 1, n), ZERO | ONE | INSIDE, dtype=np.uint8)
    choices = np.zeros(n + 1, dtype=np.uint8)
    unit = np.zeros(n + 1, dtype=np.int64)
    found, nodes, level = 0, 0, 0
    fresh = True
    while level >= 0:
        if fresh:
            fresh = False
            nodes += 1
            if nodes > max_nodes:
                return found, nodes - 1, False
            alive = _prune(W, allowed[level], inside, outside, inverse, scratch, M, ranges)
            if not (alive and _may_be_stable(W, allowed[level])):
                level -= 1
                continue
            branch = -1
            fewest = 4
            for place in range(n):
                left = allowed[level, order[place]]
                options = (left & 1) + ((left >> 1) & 1) + (left >> 2)
                if 1 < options < fewest:
                    fewest, branch = options, order[place]
            if branch < 0:
                if found == faces.shape[0]:
                    return found, nodes, False
                faces[found] = allowed[level]
                found += 1
                level -= 1
                continue
            unit[level] = branch
            choices[level] = allowed[level, branch]
        left = choices[level]
        if left == 0:
            level -= 1
            continue
        choice = left & ~(left - 1)  # its lowest bit
        choices[level] = left & ~choice
        allowed[level + 1] = allowed[level]
        allowed[level + 1, unit[level]] = choice
        level += 1
        fresh = True
    return found, nodes, True
