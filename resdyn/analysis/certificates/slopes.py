"""What the closed forms need to know of an activation: bounds of its slope, its integral, differences without loss."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, spence

from resdyn.activations import NAMED, Activation

Array = NDArray[Any]

# Ten points integrate a logistic function, or its slope, over a unit interval to rounding: the poles are π away.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(10)


@dataclass(frozen=True)
class Slopes:
    r"""An increasing activation φ with :math:`\ell \le \varphi' \le L` and :math:`\Phi' = \varphi`.

    Attributes
    ----------
    least, greatest : float
        ℓ and L.
    curvature : float or None
        A bound of |φ″|; None where φ has kinks.
    low, high : float
        The infimum and the supremum of φ.
    zero : float
        Where φ is 0 (−∞ where it only tends to 0 there).
    increment : callable
        φ(u + e) − φ(u), from u and e.
    bregman : callable
        Φ(u + e) − Φ(u) − φ(u)e ≥ 0, from u and e.
    legendre : callable
        uφ(u) − Φ(u), the convex conjugate of Φ at φ(u), from u.
    below, above : callable or None
        Φ(u) − low·u and Φ(u) − high·u up to a constant, from u; None where φ does not saturate on that side.
    departure : callable
        φ(u) − low (for ``departure(u)``), and high − φ(u) is ``departure(-u)`` by symmetry, for φ that saturates.
    """

    activation: Activation
    least: float
    greatest: float
    curvature: float | None
    low: float
    high: float
    zero: float
    increment: Callable[[Array, Array], Array] = field(repr=False)
    bregman: Callable[[Array, Array], Array] = field(repr=False)
    legendre: Callable[[Array], Array] = field(repr=False)
    below: Callable[[Array], Array] | None = field(default=None, repr=False)
    departure: Callable[[Array], Array] | None = field(default=None, repr=False)

    @property
    def bounded(self) -> bool:
        """Whether φ has a finite range."""
        return bool(np.isfinite(self.high - self.low))

    @property
    def largest(self) -> float:
        """The supremum of |φ|."""
        return max(abs(self.low), abs(self.high))

    def deviation(self, u: Array, center: Array) -> Array:
        """φ(u) − φ(u*), also where a coordinate of u* = ``center`` is infinite."""
        finite = np.isfinite(center)
        with np.errstate(invalid="ignore"):
            interior = self.increment(np.where(finite, center, 0.0), np.where(finite, u - center, 0.0))
        if finite.all() or self.departure is None:
            return interior
        saturated = np.where(center < 0, self.departure(u), -self.departure(-u))
        return np.where(finite, interior, saturated)

    def potential(self, u: Array, center: Array) -> Array:
        """Φ(u) − φ(u*)u up to a constant, with minimum (or infimum) 0 at u* = ``center``, finite or not."""
        finite = np.isfinite(center)
        with np.errstate(invalid="ignore"):
            interior = self.bregman(np.where(finite, center, 0.0), np.where(finite, u - center, 0.0))
        if finite.all() or self.below is None:
            return interior
        saturated = np.where(center < 0, self.below(u), self.below(-u))
        return np.where(finite, interior, saturated)


def _logistic_increment(u: Array, e: Array) -> Array:
    upper, lower = np.maximum(u, u + e), np.minimum(u, u + e)
    return -np.sign(e) * expit(upper) * expit(-lower) * np.expm1(-np.abs(e))


def _gap(curvature: Callable[[Array], Array], u: Array, e: Array) -> Array:
    r""":math:`\Phi(u + e) - \Phi(u) - \Phi'(u)e = e^2\int_0^1(1 - s)\,\Phi''(u + se)\,ds`, for e of at most 1."""
    points = (1 + _NODES) / 2
    return e**2 * sum(w / 2 * (1 - s) * curvature(u + s * e) for s, w in zip(points, _WEIGHTS, strict=True))


def _logistic_bregman(u: Array, e: Array) -> Array:
    size = np.abs(e)
    away = np.where(e < 0, -u, u)  # the motion e, seen from a unit that moves upwards
    done, rest = expit(away), expit(-away)  # how far it has come, and how far it can still go
    # log(1 + rest·(e^{−size} − 1)) in two forms: each loses digits in proportion to its share, so the smaller decides
    by_rest = np.log1p(np.minimum(rest, 0.5) * np.expm1(-size)) + rest * size
    by_done = np.log1p(done * np.expm1(np.minimum(size, 700.0))) - done * size
    with np.errstate(invalid="ignore"):
        beyond = np.logaddexp(log_expit(away), log_expit(-away) - size) + rest * size
    far = np.where(rest < 0.5, by_rest, np.where(size < 700.0, by_done, beyond))
    near = _gap(lambda z: expit(z) * expit(-z), u, np.clip(e, -1.0, 1.0))
    return np.where(size < 1.0, near, far)


def _logistic_legendre(u: Array) -> Array:
    # −entropy; the differences u·y − softplus(u) would cancel. exp(−745) underflows: beyond it the product is 0.
    z = np.clip(u, -745.0, 745.0)
    return -(expit(z) * np.logaddexp(0.0, -z) + expit(-z) * np.logaddexp(0.0, z))


def _relu_bregman(u: Array, e: Array) -> Array:
    before, after = np.maximum(u, 0.0), np.maximum(u + e, 0.0)
    # on one side of the kink the square of the increment; across it the three terms have no common sign to lose
    same = (u > 0) & (u + e > 0)
    return np.where(same, 0.5 * e**2, 0.5 * after**2 - 0.5 * before**2 - before * e)


def _softplus_primitive(u: Array) -> Array:
    """−Li₂(−eᵘ), the integral of softplus; Li₂(−1/x) continues it to large u."""
    tail = np.exp(-np.abs(u))
    dilogarithm = np.where(tail < 1e-8, tail - tail**2 / 4, -spence(1.0 + tail))
    return np.where(u > 0, np.pi**2 / 6 + u**2 / 2 - dilogarithm, dilogarithm)


def _softplus_increment(u: Array, e: Array) -> Array:
    small = np.log1p(expit(u) * np.expm1(np.clip(e, -1.0, 1.0)))
    return np.where(np.abs(e) < 1.0, small, np.logaddexp(0.0, u + e) - np.logaddexp(0.0, u))


def _softplus_bregman(u: Array, e: Array) -> Array:
    far = _softplus_primitive(u + e) - _softplus_primitive(u) - np.logaddexp(0.0, u) * e
    return np.where(np.abs(e) < 1.0, _gap(expit, u, np.clip(e, -1.0, 1.0)), far)


def _softplus_legendre(u: Array) -> Array:
    return u * np.logaddexp(0.0, u) - _softplus_primitive(u)


KNOWN: dict[str, Slopes] = {
    slopes.activation.name: slopes
    for slopes in (
        Slopes(
            NAMED["logistic"],
            least=0.0,
            greatest=0.25,
            curvature=1 / (6 * np.sqrt(3.0)),
            low=0.0,
            high=1.0,
            zero=-np.inf,
            increment=_logistic_increment,
            bregman=_logistic_bregman,
            legendre=_logistic_legendre,
            below=lambda u: np.logaddexp(0.0, u),
            departure=expit,
        ),
        Slopes(
            NAMED["tanh"],
            least=0.0,
            greatest=1.0,
            curvature=4 / (3 * np.sqrt(3.0)),
            low=-1.0,
            high=1.0,
            zero=0.0,
            # tanh(u) = 2σ(2u) − 1 and log cosh u = softplus(2u) − u − log 2
            increment=lambda u, e: 2 * _logistic_increment(2 * u, 2 * e),
            bregman=lambda u, e: _logistic_bregman(2 * u, 2 * e),
            legendre=lambda u: _logistic_legendre(2 * u) + np.log(2.0),
            below=lambda u: np.logaddexp(0.0, 2 * u),
            departure=lambda u: 2 * expit(2 * u),
        ),
        Slopes(
            NAMED["relu"],
            least=0.0,
            greatest=1.0,
            curvature=None,
            low=0.0,
            high=np.inf,
            zero=0.0,
            increment=lambda u, e: np.maximum(u + e, 0.0) - np.maximum(u, 0.0),
            bregman=_relu_bregman,
            legendre=lambda u: 0.5 * np.maximum(u, 0.0) ** 2,
        ),
        Slopes(
            NAMED["softplus"],
            least=0.0,
            greatest=1.0,
            curvature=0.25,
            low=0.0,
            high=np.inf,
            zero=-np.inf,
            increment=_softplus_increment,
            bregman=_softplus_bregman,
            legendre=_softplus_legendre,
            below=_softplus_primitive,
            departure=lambda u: np.logaddexp(0.0, u),
        ),
        Slopes(
            NAMED["identity"],
            least=1.0,
            greatest=1.0,
            curvature=0.0,
            low=-np.inf,
            high=np.inf,
            zero=0.0,
            increment=lambda u, e: e + 0.0 * u,
            bregman=lambda u, e: 0.5 * e**2 + 0.0 * u,
            legendre=lambda u: 0.5 * u**2,
        ),
    )
}
"""The named activations; of others no bounds are known."""
