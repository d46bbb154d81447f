r"""Experiment 6: when the damped logistic flow and its network contract, and what damping does to trained units.

    python -m experiments.yang2020_interpolation.lyapunov --preset laptop

- *one unit*: the flow :math:`\dot x = -\lambda x + \alpha\sigma(Wx + b)` contracts if α‖W‖₂ < 4λ, its map if
  |1 − hλ| + hα‖W‖₂/4 < 1 (proven in the derivation of damped networks). A unit that inhibits itself, over its step:
  where the second fails although the first holds, the network ends on a 2-cycle; its amplitude is known.
- *random nets*: rates at which distances of orbits change, against both bounds.
- *trained logistic nets* with shared weights (lagzi2021): the damping from which on the flow would contract, and
  leading finite-time exponents over the damping.
- *trained In-ResNets and λ-In-ResNets*: largest singular values of the units' Jacobians and shares of them above 1,
  and leading exponents of stages, beside the same units with λ = 0 at the same states, and beside plain ResNets.

Our choices: all of it but the nets; the paper's own Lyapunov analysis was not at hand. "With λ = 0" keeps all weights
and changes the coefficient alone, from 1 − λ to 1 on the skip path and, in λ-In-ResNets, from 1 + λ to 1 on the branch;
units are compared at the states of the damped net, stages from the same state before their blocks. The first block and
the units that change the shape have no damping in these nets; of the rest, those that learned λ = 0 are told apart.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments._harness.nets import require
from experiments.yang2020_interpolation import logistic_flows
from experiments.yang2020_interpolation.damped_units import UNTRAINED, Pair, blocks
from experiments.yang2020_interpolation.lyapunov_figure import drawn
from experiments.yang2020_interpolation.lyapunov_summary import of_trained_nets

Array = NDArray[Any]

TRAINED = tuple(f"{kind}resnet20-cifar10-seed{seed}" for kind in ("", "in-", "lambda-in-") for seed in (0, 1))


@dataclass(frozen=True)
class Config:
    """What the numbers depend on."""

    ratios: tuple[float, ...] = (0.25, 0.5, 0.75, 0.95)
    """α‖W‖/(4λ) of the single unit."""
    steps: int = 99
    """Steps of the single unit, evenly between 0 and 2/λ."""
    transient: int = 4000
    nets: int = 20
    units: int = 16
    pairs: int = 40
    depth: int = 60
    random_ratios: tuple[float, ...] = (0.5, 0.9, 1.5, 3.0)
    shared: tuple[str, ...] = ("dense-shared-digits-seed0", "dense-shared-mnist-seed0")
    shared_images: int = 10
    dampings: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0)
    weights: tuple[str, ...] = TRAINED
    images: int = 3
    """At which largest gains and exponents are computed."""
    counted: tuple[int, ...] = (1, 2, 3)
    """In each stage, at which singular values are counted: seconds for each unit of the first stage."""
    seed: int = 0


PRESETS = {
    "smoke": Config(
        ratios=(0.5,), steps=15, transient=500, nets=2, units=4, pairs=6, depth=12, random_ratios=(0.5, 1.5),
        shared=("dense-shared-digits-seed0",), shared_images=2, dampings=(0.0, 1.0),
        weights=("untrained resnet", "untrained in", "untrained lambda-in"), images=1, counted=(1, 1, 1),
    ),
    "laptop": Config(),
    "paper": Config(
        nets=100, pairs=200, shared_images=50, images=10, counted=(2, 5, 10),
        weights=(
            "resnet56-cifar10-seed0", "resnet56-cifar10-seed1", "resnet56-cifar10-seed2",
            "in-resnet56-cifar10-seed0", "in-resnet56-cifar10-seed1", "in-resnet56-cifar10-seed2",
            "lambda-in-resnet56-cifar10-seed0", "lambda-in-resnet56-cifar10-seed1", "lambda-in-resnet56-cifar10-seed2",
        ),
    ),
}  # fmt: skip
# closed forms and linear algebra in double precision; smoke nets are drawn by torch, alike on all machines
TOLERANCES = {
    "one_unit.*.first_cycle": 1e-12,
    "one_unit.*.agree": 0.0,
    "random_nets.violations": 0.0,
    "trained.kinds.*.largest.*": 1e-3,
    "trained.kinds.*.above.*": 2e-3,
    "trained.kinds.*.exponent.*": 1e-3,
}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Of each question its arrays; of trained nets rows (unit, image), NaN where nothing is counted."""
    arrays: dict[str, Array] = {}
    # a missing one is named before the work begins
    require(*config.shared, *(name for name in config.weights if not name.startswith(UNTRAINED)))
    for k, name in enumerate(config.shared):
        arrays |= _numbered(f"shared{k}", run.part(name, lambda name=name: _shared(config, name)))  # type: ignore[misc]
    arrays |= _numbered("unit", run.part("one-unit", lambda: _one_unit(config)))
    arrays |= _numbered("random", run.part("random-nets", lambda: _random_nets(config)))
    for k, name in enumerate(run.progress(config.weights, "nets")):
        arrays |= _numbered(f"net{k}", _trained(config, name, run))
    return arrays


def _numbered(prefix: str, arrays: dict[str, Array]) -> dict[str, Array]:
    return {f"{prefix}_{name}": array for name, array in arrays.items()}


def unit_steps(config: Config) -> Array:
    """Strictly between 0 and 2/λ, beyond which nothing holds the states."""
    return 2.0 * np.arange(1, config.steps + 1) / (config.steps + 1)


def _one_unit(config: Config) -> dict[str, Array]:
    steps = unit_steps(config)
    starts = np.array([1e-2, 1.0])
    rows = [logistic_flows.periods_and_amplitudes(r, steps, starts, config.transient) for r in config.ratios]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]} | {
        "closed": np.array([[logistic_flows.cycle_amplitude(r, h) for h in steps] for r in config.ratios]),
        "proven": np.stack([logistic_flows.proven(r, steps) for r in config.ratios]),
    }


def _random_nets(config: Config) -> dict[str, Array]:
    """Rates and bounds, shape (ratios, nets): λ = 1; the last two nets are ±I.

    For +I the flow's bound is sharp, for −I that of the map (here hλ ≥ 1), both for neighbours of the resting state,
    where one pair of these two begins.
    """
    rates: dict[str, list[list[Any]]] = {"flow": [], "map": [], "flow_bound": [], "map_bound": []}
    steps = (1.0, 1.4)
    for ratio in config.random_ratios:
        rows: dict[str, list[Any]] = {name: [] for name in rates}
        for net in range(config.nets + 2):
            rng = np.random.default_rng([config.seed, net])
            norm = 4 * ratio
            if net < config.nets:
                W = rng.normal(size=(config.units, config.units))
                W *= norm / np.linalg.norm(W, 2)
                b, rest = rng.normal(size=config.units), None
            else:
                W = norm * np.eye(config.units) * (1 if net == config.nets else -1)
                rest = np.full(config.units, logistic_flows.REST)
                b = -W @ rest
            step = steps[net % 2]
            found = logistic_flows.contraction_rates(
                W, b, damping=1.0, step=step, pairs=config.pairs, depth=config.depth, seed=[config.seed, net], rest=rest
            )
            rows["flow"].append(found["flow"])
            rows["map"].append(found["map"])
            rows["flow_bound"].append(ratio - 1)
            rows["map_bound"].append(np.log(logistic_flows.factor(step, 1.0, norm)))
        for name, row in rows.items():
            rates[name].append(row)
    return {name: np.array(table) for name, table in rates.items()}


def _shared(config: Config, name: str) -> dict[str, Array]:
    """Leading exponents of a trained logistic net over a damping that it was not trained with, per layer."""
    system, depth, starts = logistic_flows.trained_map(name, config.shared_images)
    norm = float(system.gain) * np.linalg.norm(system.W, 2)

    def exponents(damping: float) -> Array:
        damped = system.replace(damping=damping)
        found = resdyn.finite_time_exponents(damped, starts, depth=depth, n_exponents=1)
        return np.asarray(found.exponents[:, 0] * system.step)

    return {
        "norm": np.array(norm),
        "step": np.array(system.step),
        "depth": np.array(depth),
        "units": np.array(len(system.W)),
        "exponents": np.array([exponents(lam) for lam in config.dampings]),
        "proven": np.array(
            [
                bool(resdyn.lyapunov_function(system.replace(damping=lam), dynamics="map", form="contraction"))
                for lam in config.dampings
            ]
        ),
    }


def _trained(config: Config, name: str, run: Run) -> dict[str, Array]:
    pair = Pair(name, config.images, config.seed)
    places = blocks(pair.network)
    rows = [
        [
            run.part(
                f"{name}-{place}-{image}",
                lambda place=place, image=image, counted=image < config.counted[stage]: pair.of_block(  # type: ignore[misc]
                    place, image, counted=counted
                ),
            )
            for image in range(config.images)
        ]
        for place, stage in places
    ]
    stages = [
        [
            run.part(f"{name}-stage{s}-{image}", lambda s=s, image=image: pair.of_stage(s, image))  # type: ignore[misc]
            for image in range(config.images)
        ]
        for s in sorted({stage for _, stage in places})
    ]
    return (
        {key: np.array([[one[key] for one in row] for row in rows]) for key in rows[0][0]}
        | {key: np.array([[one[key] for one in row] for row in stages]) for key in stages[0][0]}
        | {"blocks": np.array(places), "damping": pair.dampings[[place for place, _ in places]]}
    )


# --- numbers -------------------------------------------------------------------------------------


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Of each question its numbers."""
    return {
        "one_unit": {f"{ratio:g}": _of_ratio(config, arrays, k) for k, ratio in enumerate(config.ratios)},
        "random_nets": _rates(config, arrays),
        "shared": {name: _of_shared(config, arrays, k) for k, name in enumerate(config.shared)},
        "trained": of_trained_nets(config.weights, arrays) | {"images": config.images, "counted": config.counted},
    }


def _of_ratio(config: Config, arrays: dict[str, Array], k: int) -> dict[str, Any]:
    """Where the cycle begins, and how closed form and orbits compare; what is proven at which step."""
    steps, ratio = unit_steps(config), config.ratios[k]
    closed, measured, periods = arrays["unit_closed"][k], arrays["unit_amplitudes"][k], arrays["unit_periods"][k]
    # just at the onset, orbits take longer than any transient to settle
    clear = abs(steps * (1 + ratio) - 2) > 0.02
    cycling = closed > 0
    return {
        "first_cycle": 2 / (1 + ratio),
        "flow_proven": bool(arrays["unit_proven"][k, 0]),
        "agree": np.mean(periods[clear] == np.where(cycling, 2, 1)[clear, None]),
        "largest_difference": float(abs(measured - closed[:, None])[clear].max(initial=0.0)),
        "cycles_where_the_flow_contracts": int((periods[clear] == 2).all(axis=1).sum()),
        "map_proven_up_to": float(steps[arrays["unit_proven"][k, 1:]].max(initial=0.0)),
    }


def _rates(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Largest rates less their bounds; at a violation one is positive beyond the errors of the integrator."""
    over = {name: arrays[f"random_{name}"] - arrays[f"random_{name}_bound"] for name in ("flow", "map")}
    return {
        "nets": config.nets,
        "ratios": config.random_ratios,
        "nearest": {name: gap.max(axis=1) for name, gap in over.items()},
        "median": {name: np.median(gap[:, : config.nets], axis=1) for name, gap in over.items()},
        # logarithms of distances of 1e-6, known to the integrator's 1e-9 of states of order one
        "violations": int(sum((gap > 0.02 if name == "flow" else gap > 1e-9).sum() for name, gap in over.items())),
        "compared": int(sum(gap.size for gap in over.values())),
    }


def _of_shared(config: Config, arrays: dict[str, Array], k: int) -> dict[str, Any]:
    own = {name: arrays[f"shared{k}_{name}"] for name in ("norm", "step", "depth", "units", "exponents", "proven")}
    step, norm = float(own["step"]), float(own["norm"])
    return {
        "units": int(own["units"]),
        "depth": int(own["depth"]),
        "norm": norm,
        "contracts_from": norm / 4,
        "dampings": config.dampings,
        "exponents": {
            name: rule(own["exponents"], axis=1)
            for name, rule in (("least", np.min), ("median", np.median), ("most", np.max))
        },
        "bounds": [float(np.log(logistic_flows.factor(step, lam, norm))) for lam in config.dampings],
        "proven": own["proven"],
    }


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Orbits of one unit, rates against bounds, shared nets, and trained units."""
    return drawn(config, arrays, summary, unit_steps(config))


if __name__ == "__main__":
    main(__file__)
