r"""Experiment 1: the damped flow and its discretisations, from residual to plain network over the coefficient λ.

    python -m experiments.yang2020_interpolation.toy --preset laptop

The flow is :math:`\dot x = -\lambda x + \alpha\varphi(Wx + b)`, α = 1 (In) or 1 + λ (λ-In); with a step of 1 its Euler
map is the residual network at λ = 0, and α times the plain network at λ = 1. Four questions:

- *stable steps*: a linear test problem, two units that turn, layer by layer in closed form and on orbits;
- *discretisations*: Euler, exponential, Runge–Kutta (torchdiffeq) at the end of random nets, against the flow;
- *survey*: random nets of three units: which Lyapunov function proves what, largest exponents, states at rest;
- *one net*: two units that turn and stretch: attractors and basins over λ, as a flow and as a network.

Our choices: the paper gives no toy that we know of; φ = tanh, dense layers stand for convolutions, sizes, weights N(0,
scale²/n) without biases in the survey, and λ beyond 1, which the authors' code allows. Every certificate is compared
with orbits of the same net: where one attractor is proven, orbits that end apart or separate would refute it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.yang2020_interpolation import discretisations, families, stability
from experiments.yang2020_interpolation.toy_figure import drawn

Array = NDArray[Any]

# a fiftieth of the rates of the linear part, and above what a thousand layers leave of transients along tori
ZERO_EXPONENT = 0.02


@dataclass(frozen=True)
class Config:
    """What the numbers depend on."""

    rotation: float = 1.0
    """ω of the linear test problem."""
    grid: int = 16
    """Steps, and as many dampings, at which growth is measured; layers in ``layers``."""
    layers: int = 12
    longest: float = 3.0
    """The largest step and the largest damping of that grid, both in units of 1/ω and ω."""
    units: int = 8
    trials: int = 10
    """Random nets whose discretisations are compared with their flow."""
    coefficients: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    steps: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125, 0.0625)
    horizon: float = 4.0
    nets: int = 8
    scale: float = 1.0
    """Spectral radius of large random weights."""
    survey: tuple[float, ...] = tuple(0.1 + 0.2 * k for k in range(15))
    depth: int = 600
    """Layers over which exponents are averaged, after as many."""
    growth: float = 1.2
    turning: float = 0.6
    """Eigenvalues of the weights of the one net: growth ± i turning."""
    scan: tuple[float, ...] = tuple(0.15 + 0.15 * k for k in range(21))
    cells: int = 41
    shown: tuple[float, ...] = (0.15, 0.75, 1.65, 2.7)
    """Coefficients at which basins are drawn, of the scan."""
    seed: int = 0


PRESETS = {
    "smoke": Config(
        grid=4, layers=5, units=3, trials=2, coefficients=(0.0, 0.5, 1.0), steps=(0.25, 0.125), horizon=1.0,
        nets=2, survey=(0.3, 0.9, 1.9), depth=200, scan=(0.15, 0.45, 1.65, 2.7), shown=(0.15, 0.45, 1.65, 2.7), cells=9,
    ),
    "laptop": Config(),
    "paper": Config(
        grid=30, trials=40, nets=50, survey=tuple(0.05 + 0.1 * k for k in range(30)), depth=4000, cells=201,
        scan=tuple(0.15 + 0.05 * k for k in range(62)),
    ),
}  # fmt: skip
# rounding alone where there are closed forms; grids of few cells may lose one at a boundary of basins
TOLERANCES = {
    "stability.*": 1e-6,
    "discretisations.orders.*.*": 0.02,
    "survey.in.*.proven.*": 1e-9,
    "survey.lambda-in.*.proven.*": 1e-9,
    "survey.contradictions": 0.0,
    "one_net.window.map.*": 1e-9,
    "one_net.map.attractors.*": 0.0,
    "one_net.flow.attractors.*": 0.0,
}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Growth per layer, errors, what is proven and what orbits do, attractors over λ."""
    arrays = run.part("stability", lambda: _stability(config))
    arrays |= run.part("discretisations", lambda: _discretisations(config))
    nets = [(kind, i) for kind in discretisations.KINDS for i in range(config.nets)]
    parts = [
        run.part(f"{kind}{i}", lambda kind=kind, i=i: _surveyed(config, kind, i))  # type: ignore[misc]
        for kind, i in run.progress(nets, "nets")
    ]
    for name in parts[0]:
        table = np.stack([part[name] for part in parts])
        arrays[name] = table.reshape(len(discretisations.KINDS), config.nets, *table.shape[1:])
    scans = [(dynamics, lam) for dynamics in families.DYNAMICS for lam in config.scan]
    parts = [
        run.part(f"{dynamics}-{k}", lambda dynamics=dynamics, lam=lam: _of_one_net(config, dynamics, lam))  # type: ignore[misc]
        for k, (dynamics, lam) in enumerate(run.progress(scans, "basins"))
    ]
    for name in parts[0]:
        table = np.stack([part[name] for part in parts])
        arrays[f"scan_{name}"] = table.reshape(len(families.DYNAMICS), len(config.scan), *table.shape[1:])
    return arrays


def _stability(config: Config) -> dict[str, Array]:
    axis = config.longest * np.arange(1, config.grid + 1) / config.grid
    steps, dampings = axis / config.rotation, axis * config.rotation
    return {
        "grid": axis,
        "measured": stability.growths(stability.METHODS, steps, dampings, config.rotation, config.layers),
        "closed": np.array([stability.growth(m, steps[:, None], dampings, config.rotation) for m in stability.METHODS]),
    }


def _discretisations(config: Config) -> dict[str, Array]:
    rng = np.random.default_rng(config.seed)
    draws = [
        (
            resdyn.systems.random_weights(config.units, scale=config.scale, rng=rng),
            rng.normal(0.0, 0.3, config.units),
            rng.normal(size=(16, config.units)),
        )
        for _ in range(config.trials)
    ]
    return {
        "ends": np.array([[discretisations.ends(kind, *draw) for draw in draws] for kind in discretisations.KINDS]),
        "errors": np.array(
            [
                [
                    discretisations.errors(kind, *draw, config.coefficients, config.steps, config.horizon)
                    for draw in draws
                ]
                for kind in discretisations.KINDS
            ]
        ),
    }


def _surveyed(config: Config, kind: str, net: int) -> dict[str, Array]:
    rng = np.random.default_rng([config.seed, net])
    W = resdyn.systems.random_weights(3, scale=config.scale, rng=rng)
    starts = rng.uniform(-families.REACH, families.REACH, size=(16, 3))
    found = families.surveyed(kind, W, config.survey, starts, config.depth, config.depth)
    return found | {"norm": np.array(np.linalg.norm(W, 2))}


def _of_one_net(config: Config, dynamics: str, coefficient: float) -> dict[str, Array]:
    # the step of a flow says only how often it is looked at
    step = 1.0 if dynamics == "map" else 0.25
    system = discretisations.family("in", families.spiral(config.growth, config.turning), step=step)(coefficient)
    found = families.basins(system, dynamics, config.cells, depth=4000)
    start = np.array([0.3, 0.1])
    exponent = families.leading_exponent(system, dynamics, start, config.depth, config.depth)
    return found | {"exponent": np.asarray(exponent)}


# --- numbers -------------------------------------------------------------------------------------


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """What the figure shows, in numbers."""
    return {
        "stability": _stable(config, arrays),
        "discretisations": _orders(config, arrays),
        "survey": _survey(config, arrays),
        "one_net": _one_net(config, arrays),
    }


def _stable(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Distance of orbits from closed forms; the longest stable step of the network, which has its peak at λ = ω."""
    measured, closed = arrays["measured"], arrays["closed"]
    # on the edge of stability rounding decides
    clear = abs(closed - 1) > 1e-9
    agree = ((measured < 1) == (closed < 1)) | ~clear
    at = np.array([0.5, 1.0, 2.0]) * config.rotation
    return {
        "largest_difference": abs(measured - closed).max(),
        "agree": agree.mean(),
        "at_damping": at,
        "longest_step": {
            method: np.where(np.isfinite(h), h, -1.0)  # no longest one
            for method in stability.LAYERWISE
            for h in [stability.longest_step(method, at, config.rotation)]
        },
    }


def _orders(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Orders from the two smallest steps, and errors at the longest: medians over nets, of all coefficients the worst.

    Errors are those of the states at the end, in units of x.
    """
    errors = arrays["errors"]
    ratio = np.log2(config.steps[-2] / config.steps[-1])
    order = np.median(np.log2(errors[:, :, :, -2] / errors[:, :, :, -1]) / ratio, axis=1)
    coarse = np.median(errors[:, :, :, 0], axis=1)
    return {
        "largest_difference_at_ends": {"residual": arrays["ends"][..., 0].max(), "plain": arrays["ends"][..., 1].max()},
        "expected": discretisations.ORDERS,
        "orders": {
            kind: dict(zip(discretisations.DISCRETISATIONS, order[k], strict=True))
            for k, kind in enumerate(discretisations.KINDS)
        },
        "coefficients": config.coefficients,
        "step": config.steps[0],
        "errors": {
            kind: dict(zip(discretisations.DISCRETISATIONS, coarse[k], strict=True))
            for k, kind in enumerate(discretisations.KINDS)
        },
    }


def _survey(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Over nets: shares with a proof of one attractor; largest exponents; proofs that orbits contradict."""
    found: dict[str, Any] = {"nets": config.nets, "coefficients": config.survey}
    proven = arrays["level"] == families.ONE
    exponent, rests = arrays["exponent"], arrays["rests"]
    for k, kind in enumerate(discretisations.KINDS):
        found[kind] = {}
        for d, dynamics in enumerate(families.DYNAMICS):
            e = exponent[k, :, d]
            found[kind][dynamics] = {
                "proven": proven[k, :, d].mean(axis=0),
                "contracting": (e < -ZERO_EXPONENT).mean(axis=0),
                "expanding": ((e > ZERO_EXPONENT) & np.isfinite(e)).mean(axis=0),
                "lost": np.isinf(e).mean(axis=0),
            }
    found["proofs"] = proven.sum()
    # one attracting point: exponents are negative, and all orbits rest there; on a limit cycle none would rest
    found["contradictions"] = (proven & ((exponent > ZERO_EXPONENT) | (rests != 1))).sum()
    return found


def _one_net(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Numbers of attractors over λ; the coefficients between which the origin attracts, in closed form."""
    g, w = config.growth, config.turning
    root = np.sqrt(1 - w**2)
    found: dict[str, Any] = {
        "coefficients": config.scan,
        "window": {"flow": [g, None], "map": [g + 1 - root, g + 1 + root]},
    }
    names = {number: name for name, number in families.KIND_NUMBERS.items()}
    for d, dynamics in enumerate(families.DYNAMICS):
        kinds = arrays["scan_kinds"][d]
        found[dynamics] = {
            "attractors": (kinds >= 0).sum(axis=1),
            "kinds": [", ".join(sorted({names[int(k)] for k in row if k >= 0})) or "none" for row in kinds],
            "diverged": arrays["scan_diverged"][d],
            "undecided": arrays["scan_undecided"][d],
            "exponent": np.where(np.isinf(arrays["scan_exponent"][d]), 99.0, arrays["scan_exponent"][d]),
        }
    return found


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Six panels and a row of basins."""
    return drawn(config, arrays, summary)


if __name__ == "__main__":
    main(__file__)
