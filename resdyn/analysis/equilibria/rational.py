r"""Exact decisions on the faces of the cube: every float is a rational number, and so is all that follows from it.

A face with interior units I and corner c holds the equilibria y of :math:`W_{II} y_I + W_{IR} c = 0`, 0 < y < 1. Rows
of W may be scaled without changing them, so W becomes a matrix of integers, and elimination stays among integers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_UNIT = float(np.finfo(float).eps)


def integer_rows(W: Array) -> list[list[int]]:
    """W with each row scaled so that its entries are integers without a common divisor."""
    rows = []
    for row in W:
        ratios = [float(entry).as_integer_ratio() for entry in row]
        scale = max(denominator for _, denominator in ratios)
        integers = [numerator * (scale // denominator) for numerator, denominator in ratios]
        divisor = math.gcd(*integers) or 1
        rows.append([entry // divisor for entry in integers])
    return rows


@dataclass(frozen=True)
class Reduced:
    """The equations of one set I, reduced: ``scale·y_p + Σ_free y + Σ corner c = 0`` for each pivot unit p.

    ``conditions`` are the rows left without a pivot: the corners c for which there is a solution at all.
    Places count within I (``pivots``, ``free``) and within the units outside (columns of ``corner``).
    """

    scale: int
    pivots: list[int]
    free: list[int]
    of_free: list[list[int]]
    of_corner: list[list[int]]
    conditions: list[list[int]]


def reduce_set(rows: list[list[int]], inside: list[int], outside: list[int]) -> Reduced:
    """Fraction-free Gauss–Jordan elimination (Bareiss): each division is exact."""
    a = [[rows[i][j] for j in (*inside, *outside)] for i in inside]
    k = len(inside)
    previous, rank = 1, 0
    pivots: list[int] = []
    for column in range(k):
        found = next((i for i in range(rank, k) if a[i][column]), None)
        if found is None:
            continue
        a[rank], a[found] = a[found], a[rank]
        pivot_row = a[rank]
        pivot = pivot_row[column]
        for i in range(k):
            if i != rank:
                factor = a[i][column]
                a[i] = [(pivot * x - factor * z) // previous for x, z in zip(a[i], pivot_row, strict=True)]
        previous = pivot
        pivots.append(column)
        rank += 1
    # after the last step every pivot entry has the same value, the last pivot
    free = [column for column in range(k) if column not in pivots]
    return Reduced(
        scale=previous,
        pivots=pivots,
        free=free,
        of_free=[[a[i][j] for j in free] for i in range(rank)],
        of_corner=[a[i][k:] for i in range(rank)],
        conditions=[a[i][k:] for i in range(rank, k) if any(a[i][k:])],
    )


def _approximate(rows: list[list[int]], corners: Array) -> tuple[Array, Array]:
    """Σ_j rows_ij c_j for all corners (C, m), in units of each row's largest entry, and bounds of the error."""
    largest = [max((abs(entry) for entry in row), default=0) or 1 for row in rows]
    scaled = np.array([[float(Fraction(entry, big)) for entry in row] for row, big in zip(rows, largest, strict=True)])
    scaled = scaled.reshape(len(rows), corners.shape[1])
    bounds = _UNIT * (corners.shape[1] + 2) * np.abs(scaled).sum(axis=1)
    return corners @ scaled.T, bounds


def to_float(value: Fraction) -> float:
    """The nearest float, or the largest one."""
    try:
        return float(value)
    except OverflowError:
        return float(np.finfo(float).max) * (1 if value > 0 else -1)


def _exact(row: list[int], corner: Array) -> int:
    return sum(entry for entry, bit in zip(row, corner, strict=True) if bit)


def solvable(reduced: Reduced, corners: Array) -> Array:
    """Which corners (C, m) satisfy the conditions, exactly: a mask of shape (C,)."""
    values, bounds = _approximate(reduced.conditions, corners)
    mask = np.asarray((np.abs(values) <= bounds).all(axis=1))
    for i in np.flatnonzero(mask):
        mask[i] = all(_exact(row, corners[i]) == 0 for row in reduced.conditions)
    return mask


def solution(reduced: Reduced, corner: Array) -> list[Fraction]:
    """y_I of one corner; W_II is regular."""
    return [Fraction(-_exact(row, corner), reduced.scale) for row in reduced.of_corner]


def unique_solutions(reduced: Reduced, corners: Array) -> Iterator[tuple[int, list[Fraction]]]:
    """(index of the corner, y_I) for the corners whose only solution lies strictly inside; W_II is regular."""
    values, bounds = _approximate(reduced.of_corner, corners)
    largest = [max((abs(entry) for entry in row), default=0) or 1 for row in reduced.of_corner]
    # y = −Σ/scale, compared in the units of the approximation
    one = np.array([to_float(Fraction(reduced.scale, big)) for big in largest])
    numerators = -values * np.sign(one)
    slack = bounds + 4 * _UNIT * np.abs(one)
    possible = ((numerators > -slack) & (numerators < np.abs(one) + slack)).all(axis=1)
    for i in np.flatnonzero(possible):
        y = solution(reduced, corners[i])
        if all(0 < value < 1 for value in y):
            yield int(i), y


def interior_of_solutions(reduced: Reduced, corner: Array) -> list[Fraction] | None:
    """A point y_I deep inside the open cube among infinitely many solutions, or None if none is inside.

    The free units u range over (0, 1), and the pivot units are affine in them, y = q + Gu. The point maximises
    the distance t to the nearest face: a linear programme, solved exactly.
    """
    q = [Fraction(-_exact(row, corner), reduced.scale) for row in reduced.of_corner]
    G = [[Fraction(-entry, reduced.scale) for entry in row] for row in reduced.of_free]
    f = len(reduced.free)
    unit = [[Fraction(int(i == j)) for j in range(f)] for i in range(f)]
    # rows (g, limit): g·u + t ≤ limit, from t ≤ y and t ≤ 1 − y for each unit
    rows = [([-entry for entry in g], value) for g, value in zip(G, q, strict=True)]
    rows += [(list(g), 1 - value) for g, value in zip(G, q, strict=True)]
    rows += [([-entry for entry in e], Fraction(0)) for e in unit]
    rows += [(list(e), Fraction(1)) for e in unit]
    t, u = _deepest(rows, f)
    if t <= 0:
        return None
    y = [Fraction(0)] * (len(reduced.pivots) + f)
    for place, value in zip(reduced.free, u, strict=True):
        y[place] = value
    for place, g, value in zip(reduced.pivots, G, q, strict=True):
        y[place] = value + sum((a * b for a, b in zip(g, u, strict=True)), Fraction(0))
    return y


def _deepest(rows: list[tuple[list[Fraction], Fraction]], f: int) -> tuple[Fraction, list[Fraction]]:
    """max t subject to g·u + t ≤ limit for all rows, u ≥ 0: the simplex method with Bland's rule.

    Dictionary rows read ``basic = constant + Σ coefficient · nonbasic``. t has no sign; it enters first, in the row
    with the least limit, which makes the dictionary feasible, and then never leaves.
    """
    # variables: 0 … f−1 are u, f … f+len(rows)−1 the slacks, −1 is t
    tight = min(range(len(rows)), key=lambda r: rows[r][1])
    nonbasic = [*range(f), f + tight]
    g0, limit0 = rows[tight]
    # t = limit0 − g0·u − slack0
    objective = [limit0, *(-entry for entry in g0), Fraction(-1)]
    basic, table = [], []
    for r, (g, limit) in enumerate(rows):
        if r != tight:
            basic.append(f + r)
            row = [limit - limit0, *(a0 - a for a, a0 in zip(g, g0, strict=True)), Fraction(1)]
            table.append(row)
    while True:
        candidates = [j for j in range(len(nonbasic)) if objective[1 + j] > 0]
        if not candidates:
            break
        enter = min(candidates, key=lambda j: nonbasic[j])
        blocking = [(-row[0] / row[1 + enter], basic[i], i) for i, row in enumerate(table) if row[1 + enter] < 0]
        leave = min(blocking)[2]  # t ≤ 1/2, so some row blocks
        pivot_row = table[leave]
        pivot = pivot_row[1 + enter]
        solved = [-entry / pivot for entry in pivot_row]
        solved[1 + enter] = 1 / pivot
        for row in [objective, *(row for i, row in enumerate(table) if i != leave)]:
            factor = row[1 + enter]
            if factor:
                row[1 + enter] = Fraction(0)
                for j, entry in enumerate(solved):
                    row[j] += factor * entry
        table[leave] = solved
        basic[leave], nonbasic[enter] = nonbasic[enter], basic[leave]
    u = [Fraction(0)] * f
    for variable, row in zip(basic, table, strict=True):
        if variable < f:
            u[variable] = row[0]
    return objective[0], u


def directions(reduced: Reduced) -> Array:
    """An orthonormal basis of the solutions' directions in y_I, shape (k, number of free units)."""
    k, f = len(reduced.pivots) + len(reduced.free), len(reduced.free)
    basis = np.zeros((k, f))
    for column, place in enumerate(reduced.free):
        exact = [Fraction(-row[column], reduced.scale) for row in reduced.of_free]
        largest = max((abs(entry) for entry in exact), default=Fraction(0))
        scale = max(largest, Fraction(1))
        basis[place, column] = float(1 / scale)
        basis[reduced.pivots, column] = [float(entry / scale) for entry in exact]
    return np.linalg.qr(basis)[0]
