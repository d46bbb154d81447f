r"""A family of systems as one equation :math:`G(u) = 0` for state and parameter together.

.. math:: u = \Bigl(\frac{x}{S\sqrt d},\ \frac{p - p_0}{p_1 - p_0}\Bigr)

Scaled so, steps have lengths that depend neither on the number of units nor on the unit of the parameter, and the
Euclidean norm of u is the one in which arclength is measured. Cycles of period q are fixed points of q layers at once.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._types import System
from resdyn.iterated import IteratedMap

Array = NDArray[Any]
Family = Callable[[float], System]

LARGEST_DENSE = 1024
"""Eigenvalues and bordered matrices are dense: of so many variables at most."""

# the best step of a central difference of first order, relative to the size of what is varied
_DIFFERENCE = float(np.cbrt(np.finfo(float).eps))


class Problem:
    """f of a family on flattened, scaled states and parameters; the family is asked inside the interval only."""

    def __init__(
        self, family: Family, interval: tuple[float, float], *, dynamics: str, period: int, scale: float = 1.0
    ) -> None:
        self.family, self.dynamics, self.period, self.scale = family, dynamics, period, scale
        self.low, self.high = min(interval), max(interval)
        self.width = self.high - self.low
        first = family(interval[0])
        if not isinstance(first, System):
            raise TypeError(
                f"family({interval[0]:g}) must be a resdyn System, but is {first!r}; "
                "pass a function such as lambda r: resdyn.systems.logistic_map(r=r)."
            )
        self.shape, self.name = first.shape, first.name
        self.size = int(np.prod(self.shape))
        self.length = scale * float(np.sqrt(self.size))
        # each point of a branch is looked at several times, and making a system may cost more than evaluating it
        self.system = lru_cache(maxsize=8)(self._system)

    def _system(self, value: float) -> System:
        try:
            system = self.family(value)
        except Exception as error:
            error.add_note(f"It was raised by family({value!r}), which continuation asked for.")
            raise
        validate.autonomous(system, "a branch of fixed points")
        if system.shape != self.shape:
            raise ValueError(
                f"family({value:g}) has states of shape {system.shape}, but others of the family have {self.shape}; "
                "continuation needs the same shape for all parameters."
            )
        return IteratedMap(system, self.period) if self.period > 1 else system

    # --- between states and scaled points ------------------------------------------------------------

    def point(self, x: Array, value: float) -> Array:
        """u of a state and a parameter."""
        return np.append(np.ravel(x) / self.length, (value - self.low) / self.width)

    def state(self, u: Array) -> Array:
        """The state of u."""
        return u[:-1].reshape(self.shape) * self.length

    def value(self, u: Array) -> float:
        """The parameter of u, exact at the ends of the interval."""
        return self.high if u[-1] == 1.0 else min(float(self.low + u[-1] * self.width), self.high)

    def unscaled(self, tangent: Array) -> Array:
        """A direction in u as one in (x, p), of length one in the scaled norm still."""
        return np.append(tangent[:-1] * self.length, tangent[-1] * self.width)

    def contains(self, u: Array) -> bool:
        """Whether the parameter of u lies in the interval."""
        return bool(0.0 <= u[-1] <= 1.0)

    # --- f and its derivatives -----------------------------------------------------------------------

    def step(self, u: Array) -> float:
        """h at u, of all layers of a period together."""
        return float(self.system(self.value(u)).step)

    def residual(self, u: Array) -> Array:
        """f, shape (d,)."""
        return self._residual(self.value(u), self.state(u))

    def _residual(self, value: float, x: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(self.system(value).residual(0.0, x), dtype=float).ravel()

    def matrix(self, u: Array) -> Array:
        """∂f/∂x, shape (d, d), in the unscaled state."""
        system, x = self.system(self.value(u)), self.state(u)
        jacobian = getattr(system, "jacobian", None)
        with np.errstate(all="ignore"):
            if jacobian is not None:
                return np.asarray(jacobian(0.0, x), dtype=float)
            return np.asarray(system.linearize(0.0, x) @ np.eye(self.size), dtype=float)

    def slope(self, u: Array) -> Array:
        """∂f/∂p by central differences of the family, and by one-sided ones of second order at the ends."""
        value, x = self.value(u), self.state(u)
        # two steps to the inner side stay inside from wherever one to the outer side does not
        away = min(_DIFFERENCE * max(abs(value), self.width), self.width / 4)
        low, high = value - away, value + away
        if low >= self.low and high <= self.high:
            return (self._residual(high, x) - self._residual(low, x)) / (high - low)
        away = away if low < self.low else -away
        near, far = self._residual(value + away, x), self._residual(value + 2 * away, x)
        return (4 * near - far - 3 * self._residual(value, x)) / (2 * away)

    def derivative(self, u: Array) -> Array:
        """∂G/∂u, shape (d, d + 1)."""
        return np.column_stack([self.matrix(u) * self.length, self.slope(u) * self.width])

    def orbit(self, u: Array) -> Array:
        """The states of the cycle, shape (period, *shape)."""
        system = self.system(self.value(u))
        return system.orbit(self.state(u))[:-1] if isinstance(system, IteratedMap) else self.state(u)[None]
