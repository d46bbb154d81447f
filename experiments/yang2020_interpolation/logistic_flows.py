r"""The damped logistic flow :math:`\dot x = -\lambda x + \alpha\sigma(Wx + b)` and its map, against what is proven.

The flow contracts if α‖W‖₂ < 4λ, one layer of the map if q = |1 − hλ| + hα‖W‖₂/4 < 1 (``resdyn_theory.interpolation``).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

import resdyn
from experiments.public_weights import trained_net

Array = NDArray[Any]

# tolerances of the flow, far below the distances that are compared
TIGHT: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-12}


def logistic(W: Array, b: Array, *, damping: float, step: float, gain: float = 1.0) -> resdyn.ResidualMap:
    """The network."""
    return resdyn.ResidualMap(W, b, activation="logistic", damping=damping, gain=gain, step=step)


def inhibited(ratio: float, step: float) -> resdyn.ResidualMap:
    """One unit with λ = α = 1 and W = −4 ratio, biased so that it rests at 1/2 with the steepest slope."""
    weight = 4 * ratio
    return logistic(np.array([[-weight]]), np.array([weight / 2]), damping=1.0, step=step).replace(name="one unit")


REST = 0.5
"""Where that unit rests, α/(2λ)."""


def factor(step: Any, damping: Any, norm: Any) -> Any:
    """q, with α = 1."""
    return abs(1 - step * damping) + step * norm / 4


def cycle_amplitude(ratio: float, step: float) -> float:
    """Half the distance of the two states of the cycle of that unit; 0 where there is none, infinite beyond hλ = 2."""
    if step >= 2:
        return np.inf
    if step * (1 + ratio) <= 2:
        return 0.0

    def gap(s: float) -> float:
        return float((2 - step) * s - step * ratio * np.tanh(s))

    # beyond this the tanh, at most 1, has lost
    s = brentq(gap, 1e-9, 1.001 * step * ratio / (2 - step) + 1e-6, xtol=1e-15)
    return float(s / (2 * ratio))


def periods_and_amplitudes(ratio: float, steps: Array, starts: Array, transient: int) -> dict[str, Array]:
    """Of the unit over its step: periods of orbits, half their extent, and the state that they rest about."""
    diagram = resdyn.orbit_diagram(
        lambda h: inhibited(ratio, h), steps, starts[:, None] + REST, depth=24, transient=transient
    )
    x = diagram.x[..., 0]
    return {"periods": diagram.periods, "amplitudes": np.ptp(x, axis=1) / 2, "states": x[:, -2:]}


def proven(ratio: float, steps: Array) -> Array:
    """Whether one attractor is proven for the flow, and for the map at each step: (1 + steps,)."""
    flow = resdyn.lyapunov_function(inhibited(ratio, 1.0), dynamics="flow")
    maps = [resdyn.lyapunov_function(inhibited(ratio, float(h)), dynamics="map", form="contraction") for h in steps]
    return np.array([bool(flow), *map(bool, maps)])


def contraction_rates(
    W: Array, b: Array, *, damping: float, step: float, pairs: int, depth: int, seed: Any, rest: Array | None = None
) -> dict[str, Array]:
    """The largest rates at which distances of pairs of orbits grow: of the flow per unit t, of the map per layer.

    Half of the pairs are neighbours, which feel the slopes where they are; one of these begins at ``rest``.
    """
    system = logistic(W, b, damping=damping, step=step)
    rng = np.random.default_rng(seed)
    n = len(b)
    # the attractor lies in [0, 1/λ]ⁿ
    x = rng.uniform(0.0, 1 / damping, size=(pairs, n))
    if rest is not None:
        x[1] = rest
    shift = rng.normal(size=(pairs, n))
    shift *= np.where(np.arange(pairs) % 2, 1e-3, 1.0)[:, None] / np.linalg.norm(shift, axis=1, keepdims=True)

    def growth(method: str, layers: int, run: resdyn.ResidualMap, **options: Any) -> Array:
        orbits = resdyn.simulate(run, np.stack([x, x + shift]), depth=layers, method=method, **options).x
        distances = np.linalg.norm(orbits[:, 1] - orbits[:, 0], axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.diff(np.log(distances), axis=0)
        # a distance near the tolerance of the integrator says nothing
        return np.asarray(np.where(distances[1:] > 1e-6, logs, -np.inf).max())

    fine = system.replace(step=0.05)
    return {
        "flow": growth("RK45", depth, fine, **TIGHT) / fine.step,
        "map": growth("residual", depth, system),
    }


def trained_map(name: str, n: int) -> tuple[resdyn.ResidualMap, int, Array]:
    """A trained net with shared weights as a map, its depth, and the states in which so many test images begin."""
    net = trained_net(name)
    data = "mnist" if net.architecture["inputs"] == 784 else "digits"
    pixels = resdyn.data.image_set(data).subset(slice(0, n)).pixels()
    inputs = np.asarray(net.preprocessing(pixels), dtype=np.float64)
    network = resdyn.networks.unroll(net.double(), inputs[:1])
    starts = np.asarray(network.stem(inputs)).reshape(n, -1)
    return resdyn.networks.to_residual_map(network.stages[0]), len(network.stages[0].blocks), starts
