"""Are exact ones those that few active inner units force?

With p active inner units and s active outputs, at least s − 2p singular values of a unit with an identity as its skip
path are exactly a, the gain of that path (1 unless it is damped). More are forced where inner units are few in a part
of the image only: a is s − rank C times a singular value, C the matrix with 2p columns through which the branch meets
the active outputs, and the rank is at most the structural one, which the places of active units say alone. Both numbers
stand beside a count by inertia, which knows nothing of any rank.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from torch import nn

import resdyn
from experiments._harness import Run, main
from experiments.rothauge2019_linearization import linearized as of
from experiments.rothauge2019_linearization.matching import structural_rank

Array = NDArray[Any]
READINGS: tuple[Literal["before"], Literal["after"]] = ("before", "after")
NUMBERS = ("p", "s", "n", "gain", "found", "forced", "forced_by_places")


@dataclass(frozen=True)
class Config:
    """What is measured, at one image."""

    weights: tuple[str, ...] = (
        "resnet56-4bfd9763",
        "resnet20-cifar10-seed0",
        "resnet20-cifar10-seed1",
        "in-resnet20-cifar10-seed0",
        "in-resnet20-cifar10-seed1",
        "lambda-in-resnet20-cifar10-seed0",
        "lambda-in-resnet20-cifar10-seed1",
    )
    image: int = 0


PRESETS = {
    "smoke": Config(("resnet20-digits-seed0",)),
    "laptop": Config(),
    "resnet110": Config(("resnet110-cifar10-seed0",)),
}
# numbers of singular values
TOLERANCES = {"networks.*.*.*.found": 0.0, "networks.*.*.*.forced": 0.0, "networks.*.*.*.forced_by_places": 0.0}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Of each net a table over reading, unit with an identity as skip path, and number; one reading if both agree."""
    found: dict[str, Array] = {}
    for k, weights in enumerate(config.weights):
        network, inputs = of.network_in_double(weights, config.image + 1)
        states = of.states_between(network, inputs)
        chosen = [j for j, unit in enumerate(network.units) if not unit.changes_shape]
        readings = READINGS if _has_activation_after(network.units[chosen[0]]) else READINGS[:1]
        rows = []
        for j in run.progress(chosen, weights):

            def unit(j: int = j, network: Any = network, states: Any = states, readings: Any = readings) -> Any:
                state = states[j][config.image]
                return {"numbers": np.array([_numbers(network.units[j], state, reading) for reading in readings])}

            rows.append(run.part(f"{weights}-unit{j + 1}", unit)["numbers"])
        found[f"{k}_numbers"] = np.stack(rows, axis=1)
        found[f"{k}_units"] = np.array(chosen) + 1
    return found


def _has_activation_after(unit: Any) -> bool:
    return any(name == "after" and isinstance(layer, nn.ReLU) for name, layer in unit.module.named_modules())


def _numbers(unit: Any, x: Array, reading: Literal["before", "after"]) -> list[float]:
    linearized = resdyn.networks.linearize(unit, x, reading=reading)
    p, s = of.firing(unit, x)
    n, F = min(linearized.shape), linearized.factors
    s = s if reading == "after" else n
    C = sparse.hstack([sparse.csr_array(F.V)[:, F.rows].T, F.active_U])
    forced = max(0, s - 2 * p)
    # of two layers of ReLUs the factors have one, and the other may be the sparser
    by_places = max(forced, len(F.rows) - structural_rank(C))
    return [p, s, n, of.skip_gain(linearized), of.ones_without_rank(linearized), forced, by_places]


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Units by number, with whole numbers of singular values."""
    return {
        "networks": {
            weights: {
                reading: {
                    str(unit): {
                        name: float(value) if name == "gain" else _whole(value)
                        for name, value in zip(NUMBERS, row, strict=True)
                    }
                    for unit, row in zip(arrays[f"{k}_units"], table, strict=True)
                }
                for reading, table in zip(READINGS, arrays[f"{k}_numbers"], strict=False)
            }
            for k, weights in enumerate(config.weights)
        }
    }


def _whole(number: float) -> int | None:
    return int(number) if np.isfinite(number) else None


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Exact ones found against how sparse inner activity is, and against what is forced."""
    from matplotlib.figure import Figure

    from resdyn.plotting.canvas import COLOURS

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    kinds: dict[str, list[Array]] = {}
    for k, weights in enumerate(config.weights):
        for reading, table in zip(READINGS, arrays[f"{k}_numbers"], strict=False):
            both = len(arrays[f"{k}_numbers"]) == 1
            words = f"{weights.partition('-seed')[0].partition('-4bfd')[0]}{'' if both else f', {reading}'}"
            kinds.setdefault(words, []).append(table)
    markers = "o^svD*"
    for z, (words, tables) in enumerate(kinds.items()):
        p, s, _, _, found, forced, by_places = np.concatenate(tables).T
        style: Any = {"color": COLOURS[z % len(COLOURS)], "marker": markers[z % len(markers)], "linestyle": "none"}
        left.plot(p / s, found / s, label=words, markersize=5, **style)
        right.plot(forced, found - forced, markersize=5, **style)
        right.plot(forced, by_places - forced, "_k", markersize=7)
    left.plot([0, 0.5, 1], [1, 0, 0], "k", linewidth=0.7, label="max(0, 1 − 2p/s)")
    left.set_xlabel("active inner units p over active outputs s")
    left.set_ylabel("singular values that are exactly a, over s")
    left.legend(fontsize="x-small", frameon=False)
    right.plot([], [], "_k", label="forced by the places of active units")
    right.set_xlabel("singular values forced to be a, max(0, s − 2p)")
    right.set_ylabel("found − forced")
    right.set_xscale("symlog", linthresh=100)
    right.legend(fontsize="x-small", frameon=False, loc="center right")
    units = sum(table.shape[1] for name, table in arrays.items() if name.endswith("numbers"))
    figure.suptitle(f"Exact ones of {units} units with an identity as skip path, one image", fontsize="medium")
    return figure


if __name__ == "__main__":
    main(__file__)
