"""What the tangent kernels share: the stretching factors of a frame and their logarithms, as kernel text.

Gram–Schmidt divides each carried vector by its length r after the directions of those before it are taken out.
Three points decide how good the logarithms are.

* Errors of orthogonality enter squared. If a vector of the frame holds a share δ of those before it, its carried image
  holds a share of their images, which the next projection removes; only its length is off, by δ²/2.
* What is left of a vector after the projections may be rounding alone. A factor below 8nε of the vector's length before
  them is set to 0, and its logarithm is −∞: the map is singular to working precision. So is one below 1e-145.
* Products of the squared factors are kept as mantissa and power of two, so that no factor over- or underflows them, and
  their logarithm is taken once in 500 factors.
"""

import numpy as np

# mantissas lie in [1, 2): 500 of them stay below 2^500
_MOST = 500

# a factor counts as lost, its logarithm as −∞
LOST_SOURCE = """
@njit(error_model="numpy")
def is_lost(square, before, n):
    # what overflows is not lost: it becomes infinite, and is reported
    return before < np.inf and square <= before * (8.0 * n * 2.220446049250313e-16) ** 2 + 1e-290

"""

LANE_SOURCE = f"""{LOST_SOURCE}
from resdyn.kernels.lane_math import log, split

MOST = {_MOST}
LN2 = {float(np.log(2.0))!r}


@njit(error_model="numpy")
def fold(product, exponent, logs, slot, low, m, k, width):
    # take the logarithms of the squared factors so far, and begin again
    for vector in range(k):
        for lane in range(width):
            i = vector * width + lane
            product[i] = 0.5 * (log(product[i]) + exponent[i] * LN2)
            exponent[i] = 0
        for lane in range(m):
            logs[slot, low + lane, vector] += product[vector * width + lane]
        for lane in range(width):
            product[vector * width + lane] = 1.0


"""


def factor(square: str, n: int) -> list[str]:
    """Statements from the squared length before the projections, ``before``, to mantissa, power and inverse length."""
    return [
        f"square = {square}",
        f"dead = is_lost(square, before, {n})",
        "mantissa, power = split(square)",
        "mantissa = 0.0 if dead else mantissa",
        "inverse = 0.0 if dead else 1.0 / math.sqrt(square)",
    ]


# With ``every`` < 0 the frames of a block of orbits are made orthonormal after as many layers as lose no more than six
# digits: if what a projection leaves of a vector falls below 1e-6 of its length, the layers are run again with half as
# many, and if it stays above 1e-3 (its square above 1e-6), twice as many are tried next. The logarithms are then good
# to about 1e-10 each time; only a single layer may lose more.
LEAST_KEPT = 1e-6
LONGEST = 32

BLOCK_SOURCE = f"""{LOST_SOURCE}
LEAST_KEPT, LONGEST = {LEAST_KEPT!r}, {LONGEST}


@njit(fastmath={{"contract", "reassoc"}}, error_model="numpy")
def dot(v, w):
    total = 0.0
    for i in range(v.size):
        total += v[i] * w[i]
    return total


@njit(error_model="numpy")
def orthonormalise(v, factors):
    # modified Gram–Schmidt of the k rows of each orbit; the smallest share of its length that a row is left with
    m, k = factors.shape
    kept = 1.0
    for orbit in range(m):
        for r in range(k):
            row = v[orbit * k + r]
            before = dot(row, row)
            for other in range(orbit * k, orbit * k + r):
                share = dot(v[other], row)
                for i in range(row.size):
                    row[i] -= share * v[other, i]
            square = dot(row, row) if r > 0 else before
            dead = is_lost(square, before, row.size)
            factors[orbit, r] = 0.0 if dead else math.sqrt(square)
            inverse = 0.0 if dead else 1.0 / factors[orbit, r]
            for i in range(row.size):
                row[i] *= inverse
            if square < kept * kept * before:
                kept = math.sqrt(square / before)
            if not (before > 1e-200 and before < 1e200):
                kept = 0.0  # near the ends of the numbers, or beyond them
    return kept
"""
