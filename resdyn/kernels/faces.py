r"""All equilibria of :math:`\dot y = y(1-y)\circ(Wy)` on the faces of the cube, in floating point with error bounds.

A face is a set I of interior units and a corner c ∈ {0, 1} for each other unit; its equilibrium solves
:math:`W_{II} y_I = -W_{IR} c`. All corners of one I share the matrix :math:`M = -W_{II}^{-1} W_{IR}`, so that a face
costs a few additions: the corner is cut in two, and the sums over the lower half are tabulated.

What rounding could decide wrongly is not decided here: sets I whose matrix may be singular are listed by
``irregular_sets``, and faces whose solution may touch a boundary are marked.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

# half a unit in the last place, with some room for the products of (1 + u) that the bounds leave out
_ROUNDING = 1.2e-16
# coordinates that are known less well than this are left to exact arithmetic
ACCURACY = 1e-8
# sets whose solutions are known less well than this may be singular, and are left to it whole
REGULAR = 1e-2
_TABLE_BITS = 5


@njit(nogil=True, error_model="numpy", cache=True)
def _invert(a: Array, inverse: Array, k: int) -> bool:
    """Gauss–Jordan with partial pivoting on the leading k × k part; False where a pivot vanishes. ``a`` is lost."""
    for i in range(k):
        for j in range(k):
            inverse[i, j] = 1.0 if i == j else 0.0
    for column in range(k):
        pivot = column
        for i in range(column + 1, k):
            if abs(a[i, column]) > abs(a[pivot, column]):
                pivot = i
        if a[pivot, column] == 0.0:
            return False
        if pivot != column:
            for j in range(k):
                a[pivot, j], a[column, j] = a[column, j], a[pivot, j]
                inverse[pivot, j], inverse[column, j] = inverse[column, j], inverse[pivot, j]
        scale = 1.0 / a[column, column]
        for j in range(k):
            a[column, j] *= scale
            inverse[column, j] *= scale
        for i in range(k):
            if i != column:
                factor = a[i, column]
                if factor != 0.0:
                    for j in range(k):
                        a[i, j] -= factor * a[column, j]
                        inverse[i, j] -= factor * inverse[column, j]
    return True


@njit(nogil=True, error_model="numpy", cache=True)
def _solve_corners(
    W: Array, inside: Array, k: int, outside: Array, m: int, inverse: Array, scratch: Array, M: Array
) -> float:
    r"""M = −W_II⁻¹ W_IR, and a bound on the error of every Σ_j M_ij c_j; infinite where W_II may be singular.

    With C the computed inverse and ρ a bound of ‖I − C W_II‖∞ < 1, the error e of a solution ŷ of W_II y = −r obeys
    ‖e‖∞ ≤ ‖C (W_II ŷ + r)‖∞ / (1 − ρ); products of n terms are known up to n + 1 roundings of their absolute values.
    """
    for i in range(k):
        for j in range(k):
            scratch[i, j] = W[inside[i], inside[j]]
    if not _invert(scratch, inverse, k):
        return np.inf
    rho = 0.0
    for i in range(k):
        row = 0.0
        for j in range(k):
            total = 1.0 if i == j else 0.0
            absolute = abs(total)
            for l in range(k):  # noqa: E741
                term = inverse[i, l] * W[inside[l], inside[j]]
                total -= term
                absolute += abs(term)
            row += abs(total) + (k + 3) * _ROUNDING * absolute
        if not row < 0.5:  # NaN too, which max would drop
            return np.inf
        rho = max(rho, row)
    for i in range(k):
        for j in range(m):
            total = 0.0
            for l in range(k):  # noqa: E741
                total -= inverse[i, l] * W[inside[l], outside[j]]
            M[i, j] = total
    # the largest residual over all corners, row by row, goes through |C|
    for i in range(k):
        worst = 0.0
        for j in range(m):
            total = W[inside[i], outside[j]]
            absolute = abs(total)
            for l in range(k):  # noqa: E741
                term = W[inside[i], inside[l]] * M[l, j]
                total += term
                absolute += abs(term)
            worst += abs(total) + (k + 3) * _ROUNDING * absolute
        if not worst < np.inf:
            return np.inf
        scratch[i, 0] = worst
    bound = 0.0
    for i in range(k):
        through = 0.0
        for l in range(k):  # noqa: E741
            through += abs(inverse[i, l]) * scratch[l, 0]
        sums = 0.0
        for j in range(m):
            sums += abs(M[i, j])
        error = through / (1.0 - rho) + (m + 3) * _ROUNDING * sums
        if not error < np.inf:
            return np.inf
        bound = max(bound, error)
    return bound * 1.001 + 1e-300


@njit(nogil=True, error_model="numpy", cache=True)
def _split(chosen: int, n: int, inside: Array, outside: Array) -> tuple[int, int]:
    """The units in the bit mask and those outside, and how many they are."""
    k, m = 0, 0
    for unit in range(n):
        if (chosen >> unit) & 1:
            inside[k] = unit
            k += 1
        else:
            outside[m] = unit
            m += 1
    return k, m


@njit(nogil=True, error_model="numpy", cache=True)
def irregular_sets(W: Array, first: int, last: int, irregular: Array) -> None:
    """Mark in ``irregular`` the sets among ``first`` … ``last`` whose matrix W_II may be singular."""
    n = W.shape[0]
    inside, outside = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    inverse, scratch, M = np.empty((n, n)), np.empty((n, n)), np.empty((n, n))
    for chosen in range(first, last):
        k, m = _split(chosen, n, inside, outside)
        irregular[chosen] = not _solve_corners(W, inside, k, outside, m, inverse, scratch, M) < REGULAR


@njit(nogil=True, error_model="numpy", cache=True)
def _tabulate(M: Array, k: int, m: int, bits: int, table: Array, low: Array, high: Array) -> None:
    """table[i, s] = Σ_j M_ij c_j for the corners s of the first ``bits`` outside units, and its range."""
    size = 1 << bits
    for i in range(k):
        table[i, 0] = 0.0
        for j in range(bits):
            half = 1 << j
            for s in range(half):
                table[i, half + s] = table[i, s] + M[i, j]
        low[i], high[i] = np.inf, -np.inf
        for s in range(size):
            low[i] = min(low[i], table[i, s])
            high[i] = max(high[i], table[i, s])


@njit(nogil=True, error_model="numpy", cache=True)
def equilibria_of_sets(
    W: Array, first: int, last: int, y: Array, interior: Array, corner: Array, sure: Array
) -> tuple[int, int]:
    """Enumerate the faces of the regular sets among ``first`` … ``last`` (bit masks over units).

    Writes one row per find into ``y`` (N values), ``interior`` and ``corner`` (bit masks of units) and ``sure``
    (False: to be decided exactly), and returns (rows written, next set): it stops before a set that might not fit.
    """
    n = W.shape[0]
    capacity = y.shape[0]
    written = 0
    inside = np.empty(n, dtype=np.int64)
    outside = np.empty(n, dtype=np.int64)
    inverse, scratch, M = np.empty((n, n)), np.empty((n, n)), np.empty((n, n))
    table = np.empty((n, 1 << _TABLE_BITS))
    low, high, base = np.empty(n), np.empty(n), np.empty(n)
    alive = np.empty(1 << _TABLE_BITS, dtype=np.int64)
    for chosen in range(first, last):
        k, m = _split(chosen, n, inside, outside)
        if written + (1 << m) > capacity:
            return written, chosen
        bound = _solve_corners(W, inside, k, outside, m, inverse, scratch, M)
        if not bound < REGULAR:
            continue
        bits = min(m, _TABLE_BITS)
        _tabulate(M, k, m, bits, table, low, high)
        size = 1 << bits
        for upper in range(1 << (m - bits)):
            possible = True
            for i in range(k):
                total = 0.0
                for j in range(m - bits):
                    if (upper >> j) & 1:
                        total += M[i, bits + j]
                base[i] = total
                if not (total + high[i] > -bound and total + low[i] < 1.0 + bound):
                    possible = False
                    break
            if not possible:
                continue
            # the first unit sees all corners of the table, the others only what it left over; the corner 0 has the one
            # solution 0, which is not interior
            left = 0
            for s in range(1 if upper == 0 else 0, size):
                value = base[0] + table[0, s]
                alive[left] = s
                left += value > -bound and value < 1.0 + bound
            for i in range(1, k):
                kept = 0
                for place in range(left):
                    s = alive[place]
                    value = base[i] + table[i, s]
                    alive[kept] = s
                    kept += value > -bound and value < 1.0 + bound
                left = kept
                if left == 0:
                    break
            for place in range(left):
                s = alive[place]
                corners = 0
                for j in range(m):
                    bit = (s >> j) & 1 if j < bits else (upper >> (j - bits)) & 1
                    corners |= bit << outside[j]
                    y[written, outside[j]] = bit
                inner = bound < ACCURACY
                for i in range(k):
                    value = base[i] + table[i, s]
                    y[written, inside[i]] = value
                    inner = inner and value > bound and value < 1.0 - bound
                interior[written], corner[written] = chosen, corners
                sure[written] = inner
                written += 1
    return written, last
