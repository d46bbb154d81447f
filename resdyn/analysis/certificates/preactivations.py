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
        size = np.abs(self.M) @ np.abs(self.slopes.activation.value(u))
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


# An iteration of Newton's method costs one linear solve; stiff starts need some dozens.
_ITERATIONS = 200


def fixed_point(network: Preactivations, start: Array) -> Array | None:
    r"""The u with :math:`-\lambda(u - b) + M\varphi(u) = 0` that Newton's method finds from ``start``, to rounding.

    Implicit Euler steps of the flow, whose length grows as the residual falls: at first they follow the flow,
    at last they are Newton's.
    """
    n = len(network.b)
    u = start
    f = network.rate(u)
    time = 1.0 / max(network.damping, float(np.abs(network.M).max()), 1e-300)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(_ITERATIONS):
            if np.all(np.abs(f) <= network.rate_error(u)):
                return u
            A = network.M * network.slopes.activation.derivative(u) - network.damping * np.eye(n)
            try:
                trial = u + np.linalg.solve(np.eye(n) / time - A, f)
            except np.linalg.LinAlgError:
                time /= 10.0
                continue
            after = network.rate(trial)
            if not np.isfinite(after).all():
                time /= 10.0
                continue
            fall = float(np.linalg.norm(f)) / max(float(np.linalg.norm(after)), 1e-300)
            # a slow fall means steps too short for a slow mode, a rise that they were too long
            time *= min(max(fall, 2.0), 1e3) if fall > 1 else max(fall, 0.2)
            u, f = trial, after
    return None
