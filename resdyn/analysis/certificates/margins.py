"""Signs of symmetric matrices, decided in spite of rounding: proven, exact, within rounding, or not."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
EPS = float(np.finfo(float).eps)

# Exact elimination costs O(n³) operations on fractions whose digits grow; at 8 units it takes a few milliseconds.
_EXACT_UP_TO = 8


@dataclass(frozen=True)
class Sign:
    """What is known of a symmetric matrix A that should be negative semidefinite.

    Attributes
    ----------
    value : float
        Its largest eigenvalue, as computed.
    error : float
        A bound of the error of ``value``, from the rounding of the entries and of the eigenvalue.
    verdict : str
        "negative": A ≺ 0 is proven. "semidefinite": A ⪯ 0 is proven in exact arithmetic. "rounding": the largest
        eigenvalue is 0 within the error. "positive": it is above 0.
    """

    value: float
    error: float
    verdict: str

    @property
    def holds(self) -> bool:
        """Whether A ⪯ 0, exactly or within rounding."""
        return self.verdict != "positive"

    @property
    def strict(self) -> bool:
        """Whether A ≺ 0 is proven."""
        return self.verdict == "negative"

    @property
    def excess(self) -> float:
        """A bound of the largest eigenvalue from above: 0 where A ⪯ 0 is proven."""
        return max(self.value + self.error, 0.0) if self.verdict in ("rounding", "positive") else 0.0

    @property
    def decrease(self) -> float:
        """μ > 0 with A ⪯ −μI, where A ≺ 0 is proven; otherwise 0."""
        return max(-(self.value + self.error), 0.0) if self.strict else 0.0


def rounding(magnitude: Array) -> float:
    r"""A bound of the error of an eigenvalue of a matrix whose entries are sums of products of size ``magnitude``.

    Each entry is a sum of at most n + 4 rounded products, the eigenvalue solver and Cholesky's elimination are
    backward stable; the sum of these, by Weyl's inequality and [rump2006]_, is below
    :math:`(n + 8)\,\epsilon\,(2\|\cdot\|_F + \mathrm{tr})`.
    """
    return (len(magnitude) + 8) * EPS * (2 * float(np.linalg.norm(magnitude)) + float(np.trace(magnitude)))


def sign(matrix: Array, magnitude: Array, exact: Callable[[], Array] | None = None) -> Sign:
    """Whether a symmetric matrix is negative (semi)definite.

    Parameters
    ----------
    matrix : array, shape (n, n)
    magnitude : array, shape (n, n)
        The same sums, of absolute values: what rounding errors are proportional to.
    exact : callable, optional
        The matrix in fractions, for the cases that rounding leaves open.
    """
    largest = float(np.abs(magnitude).max())
    if not (np.isfinite(matrix).all() and np.isfinite(largest)):
        return Sign(np.inf, np.inf, "positive")  # what overflows proves nothing
    if not matrix.any():
        return Sign(0.0, 0.0, "semidefinite")
    # a power of two, so that squares neither over- nor underflow
    exponent = int(np.frexp(largest)[1])
    matrix, magnitude = np.ldexp(matrix, -exponent), np.ldexp(magnitude, -exponent)
    value, error = float(np.linalg.eigvalsh(matrix)[-1]), rounding(magnitude)
    verdict = "rounding"
    if value > error:
        verdict = "positive"
    elif value < 0 and _has_cholesky_factor(-matrix - error * np.eye(len(matrix))):
        verdict = "negative"
    elif exact is not None and len(matrix) <= _EXACT_UP_TO:
        verdict = "semidefinite" if _is_semidefinite(-exact()) else "rounding"
    return Sign(float(np.ldexp(value, exponent)), float(np.ldexp(error, exponent)), verdict)


def _has_cholesky_factor(matrix: Array) -> bool:
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True


def fractions(array: Any) -> Array:
    """The array with its floats as the rational numbers they are."""
    return np.frompyfunc(Fraction, 1, 1)(np.asarray(array, dtype=float))


def _is_semidefinite(matrix: Array) -> bool:
    """Whether a symmetric matrix of fractions is positive semidefinite: elimination, exactly."""
    rest = matrix.copy()
    while len(rest):
        pivot = rest[0, 0]
        if pivot < 0 or (pivot == 0 and any(entry != 0 for entry in rest[0])):
            return False
        column = rest[1:, 0]
        rest = rest[1:, 1:] if pivot == 0 else rest[1:, 1:] - np.multiply.outer(column, column) / pivot
    return True


# Each form below is written once and evaluated three times: in floats, in absolute values, in fractions.


def flow_form(D: Array, M: Array, shift: Any) -> Array:
    r""":math:`\tfrac12(DM + M^{\mathsf T}D) + D\,\mathrm{diag}(\mathrm{shift})`, for diagonal D given as a vector."""
    product = D[:, None] * M
    return (product + product.T) / 2 + np.diag(D * shift)


def map_form(D: Array, M: Array, weight: Any) -> Array:
    r""":math:`\tfrac12(DM + M^{\mathsf T}D) + wM^{\mathsf T}DM` for a diagonal D given as a vector and a weight w."""
    product = D[:, None] * M
    return (product + product.T) / 2 + weight * (M.T @ product)


def sign_of_flow_form(D: Array, M: Array, shift: Any, exact: Callable[[], Array]) -> Sign:
    """The sign of :func:`flow_form`; ``shift`` is a number or a vector, ``exact`` gives M in fractions."""
    numbers = np.asarray(shift, dtype=float) + np.zeros(len(D))
    return sign(
        flow_form(D, M, numbers),
        flow_form(D, np.abs(M), np.abs(numbers)),
        lambda: flow_form(fractions(D), exact(), _vector(shift, len(D))),
    )


def sign_of_map_form(D: Array, M: Array, weight: Fraction, exact: Callable[[], Array]) -> Sign:
    """The sign of :func:`map_form`; ``exact`` gives M in fractions."""
    return sign(
        map_form(D, M, float(weight)),
        map_form(D, np.abs(M), float(weight)),
        lambda: map_form(fractions(D), exact(), weight),
    )


def _vector(shift: Any, n: int) -> Array:
    """A number or vector, of floats or of fractions, as a vector of fractions."""
    if isinstance(shift, Fraction):
        return np.full(n, shift, dtype=object)
    array = np.asarray(shift)
    return array if array.dtype == object else fractions(array + np.zeros(n))


def norm_bound(matrix: Array, magnitude: Array) -> float:
    """The spectral norm of a computed matrix, rounded up."""
    return float(np.linalg.norm(matrix, 2)) + rounding(magnitude)
