r"""How far networks are from the damped flow, :math:`\dot x = -\lambda x + \alpha\tanh(Wx + b)`, over λ and h."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn

Array = NDArray[Any]

KINDS = ("in", "lambda-in")
DISCRETISATIONS = ("residual", "exponential", "midpoint", "rk4")
ORDERS = {"residual": 1, "exponential": 1, "midpoint": 2, "rk4": 4}
# far below every error that is measured against it
TIGHT: dict[str, Any] = {"rtol": 1e-11, "atol": 1e-12}


def family(kind: str, W: Array, b: Array | None = None, **options: Any) -> Any:
    """λ ↦ the network with that coefficient: In (α = 1) or λ-In (α = 1 + λ)."""
    make = resdyn.ResidualMap.interpolated if kind == "in" else resdyn.ResidualMap.lambda_interpolated
    return lambda coefficient: make(W, b, coefficient=coefficient, activation="tanh", **options)


def ends(kind: str, W: Array, b: Array, x: Array) -> tuple[float, float]:
    """Largest differences of one layer from the residual network (λ = 0), and from (1 or 2)·φ(Wx + b) (λ = 1)."""
    of = family(kind, W, b)
    residual = resdyn.ResidualMap.residual(W, b, activation="tanh")
    plain = resdyn.ResidualMap.mlp(W, b, activation="tanh")

    def layer(system: Any) -> Array:
        return resdyn.simulate(system, x, depth=1, save="final").final

    gain = 1.0 if kind == "in" else 2.0
    return float(abs(layer(of(0.0)) - layer(residual)).max()), float(abs(layer(of(1.0)) - gain * layer(plain)).max())


def error(system: resdyn.ResidualMap, x: Array, method: str, horizon: float) -> float:
    """Root mean square distance from the flow at the horizon, over states, of the network with this method."""
    depth = round(horizon / system.step)
    exact = resdyn.simulate(system, x, depth=depth, method="RK45", save="final", **TIGHT).final
    if method in ("residual", "exponential"):
        found = resdyn.simulate(system, x, depth=depth, method=method, save="final").final
    else:
        block = resdyn.networks.from_residual_map(system)
        flow = resdyn.networks.ode_flow(block, method=method, step=system.step, horizon=horizon, block_step=system.step)
        found = flow(x)
    return float(np.sqrt(((found - exact) ** 2).sum(axis=-1).mean()))


def errors(kind: str, W: Array, b: Array, x: Array, coefficients: Any, steps: Any, horizon: float) -> Array:
    """Shape (methods, steps, coefficients)."""
    return np.array(
        [
            [[error(family(kind, W, b, step=h)(lam), x, method, horizon) for lam in coefficients] for h in steps]
            for method in DISCRETISATIONS
        ]
    )
