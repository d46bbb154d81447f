r"""Critical directions, and the coefficients of normal forms on the centre manifold ([kuznetsov2023]_).

Derivatives of f of second and third order are central differences of ∂f/∂x along directions, mixed ones by
polarisation. No spacing suits all systems: f may bend on a scale far below that of its states. A coefficient is
computed with spacings that fall fourfold, and holds where two of them agree; how well they agree is its error.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.branches.location import BRANCH, FLIP, FOLD, ROTATION, Event
from resdyn.analysis.branches.problem import Problem

Array = NDArray[Any]

# in units of the scale of states: from where f is no longer itself to where differences are rounding
_SPACINGS = 0.1 * 0.25 ** np.arange(11.0)
_FIRST = np.array([1.0, -8.0, 0.0, 8.0, -1.0]) / 12.0
_SECOND = np.array([-1.0, 16.0, -30.0, 16.0, -1.0]) / 12.0
# coefficients at two spacings that differ by more than this share of themselves say nothing
_AGREEMENT = 0.1
_PLACES = np.arange(-2.0, 3.0)
# multipliers e^{iθ} of order up to four have other normal forms
_RESONANCE = 1e-6
# pairs so near the boundary, relative to the largest eigenvalue, cannot be told apart by what crosses
_NEAR = 1e-6
# of differences of matrices, in their size
_ROUNDING = 16 * float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class Form:
    """What is known at a bifurcation."""

    eigenvalue: complex
    direction: Array
    """The critical eigenvector, of length one."""
    coefficient: float
    """Of the normal form; NaN where it is not known."""
    error: float
    """By how much the coefficient differs between two spacings of differences."""


class _Derivatives:
    """B(v, w) and C(u, v, w) of the map or the field at one point, by differences of ∂f/∂x at one spacing."""

    def __init__(self, problem: Problem, u: Array, spacing: float = 0.01) -> None:
        self.u, self.spacing = u, spacing * problem.scale
        self.factor = problem.step(u) if problem.dynamics == "map" else 1.0
        self.matrix = lambda shift: problem.matrix(u + np.append(shift / problem.length, 0.0))

    def _along(self, v: Array, weights: Array, order: int) -> Array:
        """The derivative of the matrix of this order along a real vector."""
        size = float(np.abs(v).max(initial=0.0))
        if size == 0.0:
            return np.zeros((len(v), len(v)))
        shift = v * (self.spacing / size)
        matrices = [self.matrix(k * shift) for k in _PLACES]
        return self.factor * (size / self.spacing) ** order * np.asarray(np.tensordot(weights, matrices, axes=1))

    def second(self, v: Array, w: Array) -> Array:
        """B(v, w), the second derivative."""
        if np.iscomplexobj(v):
            a, b = np.real(v), np.imag(v)
            return (self._along(a, _FIRST, 1) + 1j * self._along(b, _FIRST, 1)) @ w
        return self._along(v, _FIRST, 1) @ w

    def third(self, v: Array) -> Array:
        """C(v, v, v) of a real vector."""
        return self._along(v, _SECOND, 2) @ v

    def third_with_conjugate(self, q: Array) -> Array:
        """C(q, q, q̄)."""
        a, b = q.real, q.imag
        mixed = (self._along(a + b, _SECOND, 2) - self._along(a - b, _SECOND, 2)) / 4
        along = self._along(a, _SECOND, 2) - self._along(b, _SECOND, 2) + 2j * mixed
        return along @ q.conj()


def normal_form(problem: Problem, event: Event) -> Form:
    """The critical eigenvalue, its direction and the coefficient of the normal form."""
    point = event.point
    A = problem.matrix(point.u)
    M = np.eye(len(A)) + point.step * A if problem.dynamics == "map" else A
    if event.kind == ROTATION:
        rotating = point.pairs & (point.critical.imag > 0)
        places = np.flatnonzero(rotating)
        target = complex(point.critical[places[np.abs(point.growth[places]).argmin()]]) if len(places) else 1j
        near = np.abs(point.growth) <= _NEAR * np.abs(point.critical).max()
        if np.count_nonzero(rotating & near) > event.multiplicity:
            # beside a pair that stays on the boundary no one can tell which of them crosses
            unknown = np.full(len(A), np.nan, dtype=complex)
            return Form(complex(np.nan, np.nan), unknown, np.nan, np.nan)
    else:
        target = -1.0 if event.kind == FLIP else 1.0 if problem.dynamics == "map" else 0.0
    value, right, left = _eigenvectors(M, target)
    if event.multiplicity > 1 or not np.isfinite(left).all():
        return Form(value, right, np.nan, np.nan)
    values = np.array([
        _coefficient(_Derivatives(problem, point.u, h), event.kind, M, value, right, left, problem.dynamics)
        for h in _SPACINGS
    ])  # fmt: skip
    order = 1 if event.kind in (FOLD, BRANCH) else 2
    weight = float(np.linalg.norm(left)) * np.abs(M).max() * len(M)
    rounding = _ROUNDING * weight / (_SPACINGS * problem.scale) ** order
    return Form(value, right, *_plateau(values, rounding))


def _plateau(values: Array, rounding: Array) -> tuple[float, float]:
    """The value on which neighbours agree best, relative to themselves, and their difference; NaN if none agree."""
    known = np.isfinite(values)
    if not known.any():
        return np.nan, np.nan
    if (np.abs(values[known]) <= rounding[known]).all():
        # nothing but rounding, as of linear systems
        k = int(np.flatnonzero(known)[0])
        return float(values[k]), float(rounding[k])
    size = np.maximum(np.abs(values[1:]), np.abs(values[:-1]))
    with np.errstate(all="ignore"):
        apart = np.abs(np.diff(values)) / size
    # values that are all rounding agree by chance
    apart[~(size > np.maximum(rounding[1:], rounding[:-1])) | np.isnan(apart)] = np.inf
    k = int(apart.argmin())
    if not apart[k] <= _AGREEMENT:
        return np.nan, np.nan
    return float(values[k]), float(abs(values[k + 1] - values[k]) + rounding[k])


def _eigenvectors(M: Array, target: complex) -> tuple[complex, Array, Array]:
    """The eigenvalue next to ``target`` with a right and a left eigenvector, |v| = 1 and wᴴv = 1."""
    values, vectors = np.linalg.eig(M)
    place = int(np.abs(values - target).argmin())
    value, right = complex(values[place]), vectors[:, place]
    adjoint, others = np.linalg.eig(M.conj().T)
    left = others[:, int(np.abs(adjoint - np.conj(value)).argmin())]
    with np.errstate(all="ignore"):
        left = left / np.conj(left.conj() @ right)
    if abs(np.imag(target)) == 0:
        # a real vector has no phase; the largest entry is positive
        turn = np.exp(-1j * np.angle(right[np.abs(right).argmax()]))
        right, left = (right * turn).real, (left * turn).real
        return value, right / np.linalg.norm(right), left * np.linalg.norm(right)
    return value, right, left


def _coefficient(
    derivatives: _Derivatives, kind: str, M: Array, value: complex, v: Array, w: Array, dynamics: str
) -> float:
    B, identity = derivatives.second, np.eye(len(M))
    try:
        if kind in (FOLD, BRANCH):
            return float(w @ B(v, v)) / 2
        if kind == FLIP:
            inner = B(v, np.linalg.solve(identity - M, B(v, v)))
            return float(w @ (derivatives.third(v) + 3 * inner)) / 6
        conjugate = w.conj()
        cubic = derivatives.third_with_conjugate(v)
        if dynamics == "flow":
            omega = value.imag
            steady = B(v, np.linalg.solve(M, B(v, v.conj()).real))
            double = B(v.conj(), np.linalg.solve(2j * omega * identity - M, B(v, v)))
            return float(np.real(conjugate @ (cubic - 2 * steady + double)) / (2 * omega))
        turn = value / abs(value)
        if min(abs(turn**k - 1) for k in (1, 2, 3, 4)) < _RESONANCE:
            return np.nan
        steady = B(v, np.linalg.solve(identity - M, B(v, v.conj()).real))
        double = B(v.conj(), np.linalg.solve(turn**2 * identity - M, B(v, v)))
        return float(np.real(np.conj(turn) * (conjugate @ (cubic + 2 * steady + double))) / 2)
    except np.linalg.LinAlgError:
        return np.nan
