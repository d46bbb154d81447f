r"""Critical directions, and the coefficients of normal forms on the centre manifold ([kuznetsov2023]_).

Derivatives of f of second and third order are directional ones, by central differences of order six or four, and mixed
ones follow from these by polarisation.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.branches.location import BRANCH, FLIP, FOLD, ROTATION, Event
from resdyn.analysis.branches.problem import Problem

Array = NDArray[Any]

# with differences of sixth order the error is least near the eighth root of the rounding unit
_SPACING = 0.01
_SECOND = np.array([2.0, -27.0, 270.0, -490.0, 270.0, -27.0, 2.0]) / 180.0
_THIRD = np.array([1.0, -8.0, 13.0, 0.0, -13.0, 8.0, -1.0]) / 8.0
_PLACES = np.arange(-3.0, 4.0)
# multipliers e^{iθ} of order up to four have other normal forms
_RESONANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Form:
    """What is known at a bifurcation."""

    eigenvalue: complex
    direction: Array
    """The critical eigenvector, of length one."""
    coefficient: float
    """Of the normal form; NaN where it is not known."""


class _Derivatives:
    """B(v, w) and C(u, v, w) of the map or the field at one point, on complex vectors too."""

    def __init__(self, problem: Problem, u: Array) -> None:
        system, self.x = problem.system(problem.value(u)), problem.state(u)
        self.f = lambda x: np.asarray(system.residual(0.0, x), dtype=float).ravel()
        self.spacing = _SPACING * problem.scale
        self.factor = system.step if problem.dynamics == "map" else 1.0

    def _along(self, v: Array, weights: Array, order: int) -> Array:
        size = float(np.abs(v).max(initial=0.0))
        if size == 0.0:
            return np.zeros_like(v)
        direction = (v / size).reshape(self.x.shape)
        values = [self.f(self.x + k * self.spacing * direction) for k in _PLACES]
        return self.factor * (size / self.spacing) ** order * np.asarray(np.tensordot(weights, values, axes=1))

    def second(self, v: Array, w: Array) -> Array:
        """B(v, w), the second derivative."""
        if np.iscomplexobj(v) or np.iscomplexobj(w):
            a, b, c, d = np.real(v), np.imag(v), np.real(w), np.imag(w)
            real = self.second(a, c) - self.second(b, d)
            return real + 1j * (self.second(a, d) + self.second(b, c))
        return (self._along(v + w, _SECOND, 2) - self._along(v - w, _SECOND, 2)) / 4

    def third(self, v: Array) -> Array:
        """C(v, v, v) of a real vector."""
        return self._along(v, _THIRD, 3)

    def third_with_conjugate(self, q: Array) -> Array:
        """C(q, q, q̄)."""
        a, b = q.real, q.imag
        aaa, bbb = self.third(a), self.third(b)
        plus, minus = self.third(a + b), self.third(a - b)
        aab = (plus - minus - 2 * bbb) / 6
        abb = (plus + minus - 2 * aaa) / 6
        # (a + ib)(a + ib)(a − ib) = (a·a·a + a·b·b) + i(a·a·b + b·b·b)
        return aaa + abb + 1j * (aab + bbb)


def normal_form(problem: Problem, event: Event) -> Form:
    """The critical eigenvalue, its direction and the coefficient of the normal form."""
    point = event.point
    A = problem.matrix(point.u)
    M = np.eye(len(A)) + point.step * A if problem.dynamics == "map" else A
    if event.kind == ROTATION:
        places = np.flatnonzero(point.pairs & (point.critical.imag > 0))
        target = complex(point.critical[places[np.abs(point.growth[places]).argmin()]]) if len(places) else 1j
    else:
        target = -1.0 if event.kind == FLIP else 1.0 if problem.dynamics == "map" else 0.0
    value, right, left = _eigenvectors(M, target)
    coefficient = np.nan
    if event.multiplicity == 1 and np.isfinite(left).all():
        coefficient = _coefficient(_Derivatives(problem, point.u), event.kind, M, value, right, left, problem.dynamics)
    return Form(value, right, coefficient)


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
