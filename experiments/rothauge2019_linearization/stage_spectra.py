"""Singular values of whole stages of a trained network, beside those of one unit in the middle of each.

The Jacobian of a stage is the product of those of its units. Complete spectra for ``exact_stages``; stochastic Lanczos
quadrature and the largest triplets for the others.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.rothauge2019_linearization import linearized as of

Array = NDArray[Any]


@dataclass(frozen=True)
class Config:
    """What is measured."""

    weights: str = "resnet56-4bfd9763"
    images: int = 2
    exact_stages: tuple[int, ...] = (3,)
    largest: int = 6
    """So many of the largest singular values where the spectrum is estimated."""
    thresholds: int = 60
    """From 1e-3 to 30, equally spaced in the logarithm."""
    probes: int = 4
    steps: int = 50
    seed: int = 0


PRESETS = {
    "smoke": Config("resnet20-digits-seed0", images=1, thresholds=12, probes=2, steps=10),
    "laptop": Config(),
    "paper": Config(images=10, exact_stages=(2, 3), probes=10, steps=100),
}
# double precision; sizes of products of Jacobians vary with rounding by 1e-12 of the largest, shares by whole values
TOLERANCES = {
    "stages.*.name": 0.0,
    "stages.*.largest.*": 1e-6,
    "stages.*.above_one": 2e-3,
    "stages.*.near_one": 2e-3,
    "stages.*.unit_near_one": 1e-9,
}
NEAR = 1e-2


def thresholds_of(config: Config) -> Array:
    """Those of the figure, the borders of what is near 1, and 1."""
    grid = np.geomspace(1e-3, 30, config.thresholds)
    return np.unique(np.concatenate([grid, [1 - NEAR, 1, 1 + NEAR]]))


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Distribution functions over stage, image and threshold; the largest values."""
    network, inputs = of.network_in_double(config.weights, config.images)
    states = of.states_between(network, inputs)
    stages = range(1, len(network.stages) + 1)
    found: dict[str, Array] = {
        "names": np.array([stage.name for stage in network.stages]),
        "is_exact": np.isin(stages, config.exact_stages),
        "thresholds": thresholds_of(config),
    }
    jobs = [(number, i) for number in stages for i in range(config.images)]
    for number, i in run.progress(jobs, "stages"):

        def spectrum(number: int = number, i: int = i) -> dict[str, Array]:
            return _described(network, states, number, i, config)

        for name, value in run.part(f"stage{number}-image{i}", spectrum).items():
            found.setdefault(name, np.full((len(stages), config.images, *value.shape), np.nan))[number - 1, i] = value
    return found


def _described(network: Any, states: Any, number: int, i: int, config: Config) -> dict[str, Array]:
    stage, thresholds = network.stages[number - 1], thresholds_of(config)
    product = resdyn.networks.linearize(stage, states[network.units.index(stage.units[0])][i])
    error = np.array(0.0)
    rank = np.array(np.nan)
    if number in config.exact_stages:
        values = product.singular_values()
        below, largest = of.share_up_to(values, thresholds), values[: config.largest]
        # relative to the largest: a product of Jacobians has no other scale
        rank = (values > of.EXACT * values[0]).mean()
    else:
        density = product.spectral_density(probes=config.probes, steps=config.steps, rng=config.seed)
        below, error = density.cdf(thresholds), np.array(density.error)
        largest = product.triplets(config.largest).values
    return {
        "below": below,
        "largest": largest,
        "error": error,
        "rank": np.asarray(rank),
        "unit_below": _typical_unit(network, states, stage, i, thresholds),
    }


def _typical_unit(network: Any, states: Any, stage: Any, i: int, thresholds: Array) -> Array:
    """The distribution function of the unit in the middle of the stage."""
    unit = stage.blocks[len(stage.blocks) // 2]
    middle = resdyn.networks.linearize(unit, states[network.units.index(unit)][i])
    return of.counted_share_up_to(middle, thresholds)


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Each stage by its medians over images."""
    return {
        "network": config.weights,
        "images": config.images,
        "stages": [_stage(arrays, k) for k in range(len(arrays["names"]))],
    }


def _stage(arrays: dict[str, Array], k: int) -> dict[str, Any]:
    low, one, high = (int(np.argmin(abs(arrays["thresholds"] - t))) for t in (1 - NEAR, 1, 1 + NEAR))

    def near_one(below: Array) -> float:
        return float(np.median(below[:, high] - below[:, low]))

    return {
        "name": arrays["names"][k],
        "complete": arrays["is_exact"][k],
        "largest": np.median(arrays["largest"][k], axis=0),
        "above_one": np.median(1 - arrays["below"][k, :, one]),
        "near_one": near_one(arrays["below"][k]),
        "rank": np.median(arrays["rank"][k]),
        "error": np.max(arrays["error"][k]),
        "unit_near_one": near_one(arrays["unit_below"][k]),
    }


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Distribution functions of each stage and of its middle unit."""
    from matplotlib.figure import Figure

    from resdyn.plotting.canvas import COLOURS

    n = len(summary["stages"])
    figure = Figure(figsize=(3.6 * n, 3.4), layout="constrained")
    for k, ax in enumerate(figure.subplots(1, n, sharey=True, squeeze=False)[0]):
        stage = summary["stages"][k]
        for name, colour, label in (("unit_below", COLOURS[7], "its middle unit"), ("below", COLOURS[0], "the stage")):
            for i, below in enumerate(arrays[name][k]):
                ax.step(
                    arrays["thresholds"], below, where="post", color=colour, lw=1.2, label=label if i == 0 else None
                )
        ax.plot(stage["largest"], np.ones(len(stage["largest"])), "|", color=COLOURS[3], ms=9, label="largest values")
        ax.axvline(1, color="k", linewidth=0.5, linestyle=":")
        ax.set_xscale("log")
        ax.set_xlabel("singular value σ")
        ax.set_title(f"stage {k + 1}" + ("" if stage["complete"] else ", by quadrature"), fontsize="medium")
        if k == 0:
            ax.set_ylabel("share of singular values ≤ σ")
            ax.legend(fontsize="x-small", frameon=False)
    figure.suptitle(f"Stages of {summary['network']}")
    return figure


if __name__ == "__main__":
    main(__file__)
