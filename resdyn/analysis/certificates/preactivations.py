"""The systems with a weight matrix as one: the closed dynamics of their pre-activations u."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System
from resdyn.analysis.certificates.margins import EPS, fractions
from resdyn.analysis.certificates.slopes import KNOWN, Slopes
from resdyn.matrix_family import LogisticResiduals, ResidualMap

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Preactivations:
    r"""The flow :math:`\dot u = -\lambda(u - b) + M\varphi(u)` and its map :math:`u' = u + h\dot u`.

    For x' = (1 − hλ)x + hαφ(Wx + b) these are the dynamics of u = Wx + b, with M = αW; for
    :class:`resdyn.LogisticResiduals` of its state u = z, with λ = 0.
    """

    W: Array
    b: Array
    damping: float
    gain: float
    step: float
    slopes: Slopes
    pulled_back: bool
    """Whether the System's state is x, not u."""

    @cached_property
    def M(self) -> Array:
        """αW."""
        return self.gain * self.W

    def exact_M(self) -> Array:
        """αW in fractions."""
        return fractions(self.gain) * fractions(self.W)

    def of(self, x: Array) -> Array:
        """The pre-activations of states x of the System."""
        return x @ self.W.T + self.b if self.pulled_back else x

    def state(self, u: Array) -> Array:
        """The System's fixed point whose pre-activation is u."""
        return self.gain * self.slopes.activation.value(u) / self.damping if self.pulled_back else u

    def rate(self, u: Array) -> Array:
        """The flow at u."""
        driven = self.slopes.activation.value(u) @ self.M.T
        return driven - self.damping * (u - self.b) if self.damping else driven

    def rate_error(self, u: Array) -> Array:
        """A bound of the rounding error of :meth:`rate` at one u."""
        activation = self.slopes.activation
        size = np.abs(self.M) @ (np.abs(activation.value(u)) + activation.derivative(u) * np.abs(u))
        return (len(self.b) + 8) * EPS * (size + self.damping * (np.abs(u) + np.abs(self.b)))


def preactivations(system: System) -> Preactivations | str:
    """The closed dynamics of the pre-activations, or why there are none."""
    if isinstance(system, LogisticResiduals):
        zero = np.zeros(len(system.W))
        return Preactivations(system.W, zero, 0.0, 1.0, system.step, KNOWN["logistic"], pulled_back=False)
    if not isinstance(system, ResidualMap):
        return f"{type(system).__name__} has no weight matrix to read the condition from"
    if system.depth is not None:
        return f"the {system.depth} layers have weights of their own, and the closed form needs shared ones"
    slopes = KNOWN.get(system.activation.name)
    if slopes is None or slopes.activation is not system.activation:
        return f"no bounds of the slope of the activation {system.activation.name} are known"
    damping, gain = float(system.damping), float(system.gain)
    if damping < 0:
        return f"the damping {damping:.4g} is negative"
    return Preactivations(system.W, system.b, damping, gain, system.step, slopes, pulled_back=True)


_ITERATIONS = 200
_HALVINGS = 40


def fixed_point(network: Preactivations, start: Array) -> Array | None:
    r"""The u with :math:`-\lambda(u - b) + M\varphi(u) = 0` that Newton's method finds from ``start``, to rounding.

    Steps are halved until the residual falls. Where a form certifies one fixed point for all slopes of φ, the Jacobian
    is regular everywhere, so for smooth φ the residual has no other minima and the method cannot stop before it is
    there. At a kink it can; then it starts again from where linear units would rest.
    """
    found = _newton(network, start)
    if found is not None or network.slopes.curvature is not None:
        return found
    for slope in (0.5, 0.25, 0.75, 0.0, 1.0):
        A = slope * network.slopes.greatest * network.M - network.damping * np.eye(len(start))
        try:
            found = _newton(network, np.linalg.solve(A, -network.damping * network.b))
        except np.linalg.LinAlgError:
            continue
        if found is not None:
            return found
    return None


def _newton(network: Preactivations, start: Array) -> Array | None:
    u, f = start, network.rate(start)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(_ITERATIONS):
            if np.all(np.abs(f) <= network.rate_error(u)):
                return u
            A = network.M * network.slopes.activation.derivative(u) - network.damping * np.eye(len(u))
            try:
                step = np.linalg.solve(A, -f)
            except np.linalg.LinAlgError:
                return None
            before = np.linalg.norm(f)
            for _ in range(_HALVINGS):
                trial = u + step
                after = network.rate(trial)
                if np.linalg.norm(after) < before:
                    break
                step = step / 2
            else:
                return None
            u, f = trial, after
    return None
