r"""The four kinds of Lyapunov functions: values, rates along the flow, changes by the map.

Each is a function of the System's states, batched. Rates and changes come from closed forms whose terms have the signs
that the theorems give them, not from differences of values: they keep their sign however small they are.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from resdyn._types import System
from resdyn.analysis.certificates.preactivations import Preactivations
from resdyn.analysis.certificates.slopes import KNOWN

Array = NDArray[Any]


class LyapunovFunction(Protocol):
    """What a certificate evaluates."""

    def value(self, x: Array) -> Array:
        """V at states of the System."""

    def derivative(self, x: Array) -> Array:
        """∇V · f."""

    def change(self, x: Array) -> Array:
        """V(x + hf) − V(x)."""


@dataclass(frozen=True, eq=False)
class Energy:
    r""":math:`V = -\tfrac12 y^{\mathsf T}Sy + \lambda\sum_i d_i(\Phi^*(y_i) - b_iy_i)`, y = φ(u), S = DM symmetric."""

    network: Preactivations
    D: Array
    S: Array

    def value(self, x: Array) -> Array:
        u = self.network.of(x)
        y = self.network.slopes.activation.value(u)
        quadratic = -0.5 * np.sum(y * (y @ self.S), axis=-1)
        if not self.network.damping:
            return quadratic
        entropy = self.network.slopes.legendre(u) - self.network.b * y
        return quadratic + self.network.damping * (entropy @ self.D)

    def derivative(self, x: Array) -> Array:
        u = self.network.of(x)
        return -(self.network.slopes.activation.derivative(u) * self.network.rate(u) ** 2) @ self.D

    def change(self, x: Array) -> Array:
        network, u = self.network, self.network.of(x)
        rate = network.rate(u)
        move = network.step * rate
        dy = network.slopes.increment(u, move)
        terms = -(rate * dy)
        if network.damping:
            # Φ(u) − Φ(u') − φ(u')(u − u'), the gap of the conjugate between y' and y
            terms = terms + network.damping * network.slopes.bregman(u + move, -move)
        return terms @ self.D - 0.5 * np.sum(dy * (dy @ self.S), axis=-1)


@dataclass(frozen=True, eq=False)
class Potential:
    r""":math:`V = \sum_i d_i(\Phi(u_i) - y^*_iu_i)` up to a constant, y* = φ(u*), u* finite or infinite."""

    network: Preactivations
    D: Array
    S: Array
    """The symmetric part of DM."""
    center: Array

    def _rate(self, u: Array, deviation: Array) -> Array:
        """The flow at u from the deviation of y, so that it vanishes with the deviation."""
        network = self.network
        if network.damping:
            return deviation @ network.M.T - network.damping * (u - self.center)
        return deviation @ network.M.T + self._drive()

    def _drive(self) -> Array:
        """My* where y* is saturated; 0 elsewhere, as at every equilibrium."""
        drive = self.network.M @ self.network.slopes.activation.value(self.center)
        return np.where(np.isfinite(self.center), 0.0, drive)

    def value(self, x: Array) -> Array:
        return self.network.slopes.potential(self.network.of(x), self.center) @ self.D

    def derivative(self, x: Array) -> Array:
        u = self.network.of(x)
        deviation = self.network.slopes.deviation(u, self.center)
        coupling = np.sum(deviation * (deviation @ self.S), axis=-1)
        if self.network.damping:
            return coupling - self.network.damping * ((deviation * (u - self.center)) @ self.D)
        return coupling + (deviation * self._drive()) @ self.D

    def change(self, x: Array) -> Array:
        u = self.network.of(x)
        deviation = self.network.slopes.deviation(u, self.center)
        move = self.network.step * self._rate(u, deviation)
        return (deviation * move + self.network.slopes.bregman(u, move)) @ self.D


@dataclass(frozen=True, eq=False)
class Quadratic:
    r""":math:`V = (x - x^*)^{\mathsf T}P(x - x^*)` on flattened states."""

    system: System
    P: Array
    center: Array

    def _parts(self, x: Array) -> tuple[Array, Array]:
        batch = x.shape[: x.ndim - len(self.system.shape)]
        deviation = (x - self.center).reshape(*batch, -1)
        return deviation, np.asarray(self.system.residual(0.0, x)).reshape(*batch, -1)

    def value(self, x: Array) -> Array:
        deviation = (x - self.center).reshape(*x.shape[: x.ndim - len(self.system.shape)], -1)
        return np.sum(deviation * (deviation @ self.P), axis=-1)

    def derivative(self, x: Array) -> Array:
        deviation, f = self._parts(x)
        return 2 * np.sum((deviation @ self.P) * f, axis=-1)

    def change(self, x: Array) -> Array:
        deviation, f = self._parts(x)
        move = self.system.step * f
        return np.sum(((2 * deviation + move) @ self.P) * move, axis=-1)


@dataclass(frozen=True, eq=False)
class QuadraticOfResiduals:
    r""":math:`V = (y - y^*)^{\mathsf T}P(y - y^*)` with y = σ(z), for states z that may be infinite."""

    W: Array
    step: float
    P: Array
    center: Array

    def value(self, z: Array) -> Array:
        deviation = KNOWN["logistic"].deviation(z, self.center)
        return np.sum(deviation * (deviation @ self.P), axis=-1)

    def derivative(self, z: Array) -> Array:
        deviation = KNOWN["logistic"].deviation(z, self.center)
        velocity = expit(z) * expit(-z) * (expit(z) @ self.W.T)
        return 2 * np.sum((deviation @ self.P) * velocity, axis=-1)

    def change(self, z: Array) -> Array:
        deviation = KNOWN["logistic"].deviation(z, self.center)
        move = KNOWN["logistic"].increment(z, self.step * (expit(z) @ self.W.T))
        return np.sum(((2 * deviation + move) @ self.P) * move, axis=-1)


@dataclass(frozen=True, eq=False)
class Distance:
    r""":math:`V = \|x - x^*\|_D = (\sum_i d_i(x_i - x^*_i)^2)^{1/2}`."""

    system: System
    D: Array
    center: Array

    def between(self, x: Array, other: Array) -> Array:
        return np.sqrt((x - other) ** 2 @ self.D)

    def value(self, x: Array) -> Array:
        return self.between(x, self.center)

    def derivative(self, x: Array) -> Array:
        raise NotImplementedError  # contraction is a fact about maps here, and certificates of maps never ask

    def change(self, x: Array) -> Array:
        move = self.system.step * self.system.residual(0.0, x)
        deviation = x - self.center
        total = np.sqrt((deviation + move) ** 2 @ self.D) + np.sqrt(deviation**2 @ self.D)
        # the difference of two roots, through the difference of their squares
        squares = (move * (2 * deviation + move)) @ self.D
        return np.divide(squares, total, out=np.zeros_like(total), where=total > 0)
