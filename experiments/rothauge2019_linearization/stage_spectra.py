"""Singular values of whole stages of a trained network, beside those of one unit in the middle of each.

The Jacobian of a stage is the product of those of its units. Complete spectra for ``exact_stages``; stochastic Lanczos
quadrature for the others, with its error at each threshold: the scatter of the probes and the difference from half the
Lanczos steps. It resolves no window narrower than that, so that of these stages no share near 1 is given. That the way
through a stage narrows forces zeros, and these are known. The largest values are exact in all stages.
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
    images: tuple[int, ...] = (2, 2, 6)
    """At each stage."""
    exact_stages: tuple[int, ...] = (2, 3)
    largest: int = 6
    """So many of the largest singular values."""
    thresholds: int = 40
    """From 1e-3 to 30, equally spaced in the logarithm."""
    probes: int = 4
    steps: int = 50
    seed: int = 0


PRESETS = {
    "smoke": Config("resnet20-digits-seed0", images=(1, 1, 1), thresholds=12, probes=4, steps=20),
    "laptop": Config(),
    "preresnet20": Config("resnet20-cifar10-seed0"),
    "resnet110": Config("resnet110-cifar10-seed0"),
    "paper": Config(images=(10, 10, 10), probes=10, steps=100),
}
# double precision; sizes of products of Jacobians vary with rounding by 1e-12 of the largest, shares by whole values
TOLERANCES = {
    "stages.*.name": 0.0,
    "stages.*.largest.*": 1e-6,
    "stages.*.above_one": 2e-3,
    "stages.*.near_one": 2e-3,
    "stages.*.zero": 2e-3,
    "stages.*.unit_near_one": 1e-9,
}
QUARTILES = (0.25, 0.75)
NEAR = 1e-2


def thresholds_of(config: Config) -> Array:
    """Those of the figure, the borders of what is near 1, and 1."""
    grid = np.geomspace(1e-3, 30, config.thresholds)
    return np.unique(np.concatenate([grid, [1 - NEAR, 1, 1 + NEAR]]))


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Distribution functions over stage, image and threshold, NaN beyond the images of a stage; the largest values."""
    most = max(config.images)
    network, inputs = of.network_in_double(config.weights, most)
    states = of.states_between(network, inputs)
    stages = range(1, len(network.stages) + 1)
    found: dict[str, Array] = {
        "names": np.array([stage.name for stage in network.stages]),
        "is_exact": np.isin(stages, config.exact_stages),
        "thresholds": thresholds_of(config),
    }
    jobs = [(number, i) for number in stages for i in range(config.images[number - 1])]
    for number, i in run.progress(jobs, "stages"):

        def spectrum(number: int = number, i: int = i) -> dict[str, Array]:
            return _described(network, states, number, i, config)

        for name, value in run.part(f"stage{number}-image{i}", spectrum).items():
            found.setdefault(name, np.full((len(stages), most, *value.shape), np.nan))[number - 1, i] = value
    return found


def _described(network: Any, states: Any, number: int, i: int, config: Config) -> dict[str, Array]:
    stage, thresholds = network.stages[number - 1], thresholds_of(config)
    product = resdyn.networks.linearize(stage, states[network.units.index(stage.units[0])][i])
    forced = 1 - product.rank_bound / min(product.shape)
    zero = np.array(np.nan)
    if number in config.exact_stages:
        values = product.singular_values()
        below, largest = of.share_up_to(values, thresholds), values[: config.largest]
        error = np.zeros_like(below)
        # relative to the largest: a product of Jacobians has no other scale
        zero = (values <= of.EXACT * values[0]).mean()
    else:
        below, error = _estimated(product, thresholds, config)
        # zeros that are known may be spread over small values by the estimate
        below = np.maximum(below, forced)
        largest = product.triplets(config.largest).values
    return {
        "below": below,
        "largest": largest,
        "error": error,
        "zero": np.asarray(zero),
        "forced_zero": np.array(forced),
        "unit_below": _typical_unit(network, states, number, i, config),
    }


def _estimated(product: Any, thresholds: Array, config: Config) -> tuple[Array, Array]:
    """By quadrature, and how far it may be off: the scatter of the probes, and what twice the steps changed."""
    whole, half = (
        product.spectral_density(probes=config.probes, steps=steps, rng=config.seed)
        for steps in (config.steps, config.steps // 2)
    )
    below = whole.cdf(thresholds)
    return below, np.nan_to_num(whole.error) + abs(below - half.cdf(thresholds))


def _typical_unit(network: Any, states: Any, number: int, i: int, config: Config) -> Array:
    """The distribution function of the unit in the middle of the stage."""
    blocks, thresholds = network.stages[number - 1].blocks, thresholds_of(config)
    unit = blocks[len(blocks) // 2]
    middle = resdyn.networks.linearize(unit, states[network.units.index(unit)][i])
    if number in config.exact_stages:
        return of.share_up_to(middle.singular_values(), thresholds)
    return of.counted_share_up_to(middle, thresholds)


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Each stage by its medians over images and quartiles; estimates with their errors, or none where these are large.

    ``near_one`` is known of complete spectra only. Zeros of the others are at least those that are forced.
    """
    return {
        "network": config.weights,
        "near": NEAR,
        "stages": [_stage(config, arrays, k) for k in range(len(arrays["names"]))],
    }


def _stage(config: Config, arrays: dict[str, Array], k: int) -> dict[str, Any]:
    low, one, high = (int(np.argmin(abs(arrays["thresholds"] - t))) for t in (1 - NEAR, 1, 1 + NEAR))
    images, complete = config.images[k], bool(arrays["is_exact"][k])
    below, unit_below = arrays["below"][k, :images], arrays["unit_below"][k, :images]
    largest, above_one = arrays["largest"][k, :images], 1 - below[:, one]
    near_one, unit_near_one = (share[:, high] - share[:, low] for share in (below, unit_below))
    return {
        "name": arrays["names"][k],
        "complete": complete,
        "images": images,
        "largest": np.median(largest, axis=0),
        "largest_quartiles": np.quantile(largest[:, 0], QUARTILES),
        "above_one": np.median(above_one),
        "above_one_quartiles": np.quantile(above_one, QUARTILES),
        "above_one_error": np.max(arrays["error"][k, :images, one]),
        "largest_error": np.max(arrays["error"][k, :images]),
        "near_one": np.median(near_one) if complete else None,
        "near_one_quartiles": np.quantile(near_one, QUARTILES) if complete else None,
        "zero": np.median(arrays["zero"][k, :images]) if complete else None,
        "forced_zero": np.median(arrays["forced_zero"][k, :images]),
        "unit_near_one": np.median(unit_near_one),
        "unit_above_one": np.median(1 - unit_below[:, one]),
    }


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Distribution functions of each stage and of its middle unit, one line for each image."""
    from matplotlib.figure import Figure

    from resdyn.plotting.canvas import COLOURS

    n = len(summary["stages"])
    figure = Figure(figsize=(3.6 * n, 3.4), layout="constrained")
    thresholds = arrays["thresholds"]
    for k, ax in enumerate(figure.subplots(1, n, sharey=True, squeeze=False)[0]):
        stage = summary["stages"][k]
        for name, colour, label in (("unit_below", COLOURS[7], "its middle unit"), ("below", COLOURS[0], "the stage")):
            for i, below in enumerate(arrays[name][k, : stage["images"]]):
                ax.step(thresholds, below, where="post", color=colour, lw=1.2, label=label if i == 0 else None)
        if not stage["complete"]:
            below, error = arrays["below"][k, 0], arrays["error"][k, 0]
            low, high = np.maximum(below - error, stage["forced_zero"]), np.minimum(below + error, 1)
            ax.fill_between(thresholds, low, high, step="post", color=COLOURS[0], alpha=0.2, lw=0, label="± its error")
        ax.plot(stage["largest"], np.ones(len(stage["largest"])), "|", color=COLOURS[3], ms=9, label="largest values")
        ax.axvline(1, color="k", linewidth=0.5, linestyle=":")
        ax.set_xscale("log")
        ax.set_xlabel("singular value σ")
        images = f"{stage['images']} image{'s' * (stage['images'] != 1)}"
        ax.set_title(f"stage {k + 1}, {images}" + ("" if stage["complete"] else ", by quadrature"), fontsize="medium")
        if k == 0:
            ax.set_ylabel("share of singular values ≤ σ")
            ax.legend(fontsize="x-small", frameon=False)
    figure.suptitle(f"Stages of {summary['network']}")
    return figure


if __name__ == "__main__":
    main(__file__)
