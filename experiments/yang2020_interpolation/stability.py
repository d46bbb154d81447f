r"""Stability of the damped linear test problem, :math:`\dot x = -\lambda x + \omega R x` with R a rotation by 90°.

Its flow turns and, at λ > 0, shrinks; per layer each discretisation multiplies the length of every state by one number,
known in closed form (see the derivation of damped networks) and measured here on orbits.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn

Array = NDArray[Any]

# in the order of their stability functions: midpoint has that of heun2
RUNGE_KUTTA = {"euler": 1, "midpoint": 2, "heun3": 3, "rk4": 4}
LAYERWISE = ("residual", "exponential")
METHODS = (*LAYERWISE, *RUNGE_KUTTA, "RK45")


def turning(damping: float, *, step: float, rotation: float) -> resdyn.ResidualMap:
    """The test problem as a network of two units without nonlinearity."""
    W = rotation * np.array([[0.0, -1.0], [1.0, 0.0]])
    return resdyn.ResidualMap(W, activation="identity", damping=damping, step=step, name="turning")


def growth(method: str, step: Any, damping: Any, rotation: float) -> Array:
    """By what one layer multiplies lengths, in closed form; steps and dampings are broadcast."""
    h, lam = np.broadcast_arrays(np.asarray(step, dtype=float), np.asarray(damping, dtype=float))
    if method == "RK45":
        return np.exp(-h * lam)
    if method == "exponential":
        kept = np.exp(-h * lam)
        with np.errstate(invalid="ignore", divide="ignore"):
            weight = np.where(lam == 0, h, -np.expm1(-h * lam) / lam)
        return np.abs(kept + 1j * rotation * weight)
    order = 1 if method == "residual" else RUNGE_KUTTA[method]
    z = h * (1j * rotation - lam)
    powers = np.cumprod([np.ones_like(z), *(z / k for k in range(1, order + 1))], axis=0)
    return np.abs(powers.sum(axis=0))


def longest_step(method: str, damping: Any, rotation: float) -> Array:
    """h below which the network is stable; infinite where every step is."""
    lam = np.asarray(damping, dtype=float)
    if method == "residual":
        return 2 * lam / (lam**2 + rotation**2)
    with np.errstate(divide="ignore"):
        inside = np.minimum((lam / rotation) ** 2, 1.0)
        return np.where(lam == 0, 0.0, 2 / np.where(lam == 0, 1.0, lam) * np.arctanh(inside))


def measured_growth(method: str, step: float, damping: float, rotation: float, layers: int) -> float:
    """The same from an orbit: the mean factor per layer."""
    system = turning(damping, step=step, rotation=rotation)
    start = np.array([1.0, 0.0])
    if method in RUNGE_KUTTA:
        block = resdyn.networks.from_residual_map(system)
        flow = resdyn.networks.ode_flow(block, method=method, step=step, horizon=layers * step, block_step=step)
        end = flow(start[None])[0]
    else:
        # relative alone: a state that has shrunk far below any absolute tolerance would count as exact
        tight: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-60} if method == "RK45" else {}
        end = resdyn.simulate(system, start, depth=layers, method=method, save="final", **tight).final
    return float(np.linalg.norm(end) ** (1 / layers))


def growths(methods: tuple[str, ...], steps: Array, dampings: Array, rotation: float, layers: int) -> Array:
    """Measured, shape (methods, steps, dampings)."""
    return np.array(
        [[[measured_growth(m, h, lam, rotation, layers) for lam in dampings] for h in steps] for m in methods]
    )
