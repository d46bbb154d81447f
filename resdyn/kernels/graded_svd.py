"""Singular values of matrices whose rows differ by more powers of two than a number has, by one-sided Jacobi.

Row i is 2^powers[i] times ``rows[i]``. Jacobi rotations of pairs of rows make all rows orthogonal; then their lengths
are the singular values and their directions the right singular vectors. Each value is found to a relative accuracy of ε
times the condition number of the rows after each is scaled to length one, however small it is beside the others
([demmel1992]_). Rotations are done in units of the longer row, with the ratio 2^δ of the units kept apart: for δ → −∞ a
rotation becomes the projection of Gram–Schmidt, and the same formula serves both.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.kernels.codegen import load_kernel
from resdyn.kernels.threads import run_blocks

Array = NDArray[Any]

_SOURCE = """
EPS = 2.220446049250313e-16
SWEEPS = 60
LN2 = 0.6931471805599453


@njit(fastmath={"contract", "reassoc"}, error_model="numpy")
def dot(v, w):
    total = 0.0
    for i in range(v.size):
        total += v[i] * w[i]
    return total


@njit(error_model="numpy")
def rotate(rows, powers, i, j):
    # make rows i and j orthogonal; whether they were not
    a, b, mixed = dot(rows[i], rows[i]), dot(rows[j], rows[j]), dot(rows[i], rows[j])
    if not abs(mixed) > rows.shape[1] * EPS * math.sqrt(a * b):
        return False
    if math.log(b) + 2.0 * LN2 * powers[j] > math.log(a) + 2.0 * LN2 * powers[i]:
        i, j, a, b = j, i, b, a
    ratio = 4.0 ** max(powers[j] - powers[i], -600)
    before = math.sqrt(b)
    eta = (b * ratio - a) / (2.0 * mixed)
    tau = (1.0 if eta > 0.0 else -1.0) / (abs(eta) + math.sqrt(ratio + eta * eta))
    cosine = 1.0 / math.sqrt(1.0 + tau * tau * ratio)
    size = 0.0
    for column in range(rows.shape[1]):
        large, small = rows[i, column], rows[j, column]
        rows[i, column] = cosine * (large - tau * ratio * small)
        rows[j, column] = cosine * (small + tau * large)
        size = max(size, abs(rows[j, column]))
    # bring the shorter row, of which little may be left, back to the middle of the numbers; or nothing but rounding
    if size <= 8.0 * rows.shape[1] * EPS * before:
        rows[j, :] = 0.0
    else:
        shift = math.frexp(size)[1]
        for column in range(rows.shape[1]):
            rows[j, column] = math.ldexp(rows[j, column], -shift)
        powers[j] += shift
    return True


@kernel
def diagonalise(begin, end, rows, powers, logs):
    k = rows.shape[1]
    for matrix in range(begin, end):
        for _ in range(SWEEPS):
            rotated = 0
            for i in range(k):
                for j in range(i + 1, k):
                    rotated += rotate(rows[matrix], powers[matrix], i, j)
            if rotated == 0:
                break
        for i in range(k):
            length = math.sqrt(dot(rows[matrix, i], rows[matrix, i]))
            logs[matrix, i] = np.log(length) + powers[matrix, i] * LN2
            for column in range(k):
                rows[matrix, i, column] /= length if length > 0.0 else 1.0
"""


def graded_svd(rows: Array, powers: NDArray[np.int64], *, threads: int | None = None) -> tuple[Array, Array]:
    """Logarithms of the singular values, descending, and right singular vectors, of matrices 2^powers · rows.

    ``rows`` (M, k, k) with largest entries of size one, ``powers`` (M, k); returns arrays (M, k) and (M, k, k), the
    vectors as rows. NaN gives NaN; a row of zeros gives −∞ and a vector of zeros.
    """
    vectors, exponents, logs = rows.copy(), powers.copy(), np.empty(powers.shape)
    run_blocks(load_kernel(_SOURCE, "float64").diagonalise, len(rows), threads, vectors, exponents, logs)
    order = np.argsort(-logs, axis=1, kind="stable")
    return np.take_along_axis(logs, order, axis=1), np.take_along_axis(vectors, order[..., None], axis=1)
