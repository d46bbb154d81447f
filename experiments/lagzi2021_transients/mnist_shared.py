"""A dense net with one logistic weight matrix for all layers: where 200 samples are after 1000 of them.

The trained net is run far beyond its 15 layers, without retraining. The residuals of each sample are compared with the
equilibria of their flow: how many there are, how the samples of a class are spread over them, and which eigenvalues are
positive there. The same net before training is followed as a control. On the way, at layer 15, the states are compared
with the weights of the classifier.

Ours: the samples are equally many of each class, the first of the test set. A sample is near the equilibrium on the
face of its saturated units (closer than 0.01 to 0 or 1), if that face has one, else near the corner that its residuals
round to. Two samples are at the same one if the rounded residuals agree in all units.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.lagzi2021_transients import mnist_nets
from experiments.lagzi2021_transients.classifier_units import correlation, largest_weights
from experiments.lagzi2021_transients.corners import WIDTH, eigenvalues_at, nearest_equilibrium
from experiments.lagzi2021_transients.small_variants import VARIANTS, corners_of_variant

Array = NDArray[Any]
KINDS = ("trained", "untrained")
QUARTILES = (0.25, 0.5, 0.75)
LATE = 0.9
"""From this share of the layers on, a sample that still changes sides has not settled."""


@dataclass(frozen=True)
class Config:
    """What is followed."""

    weights: str = "dense-shared-mnist"
    seeds: tuple[int, ...] = (0, 1)
    """Of the nets whose error is taken; the first is followed."""
    samples: int = 200
    """Equally many of each class."""
    depth: int = 1000
    every: int = 50
    """Layers between those that are looked at."""
    batch: int = 50
    """Samples that run together: what a stopped run loses at most."""
    variants: bool = True
    """Whether to train small nets of the same kind on digits from other beginnings, and to count their corners."""


PRESETS = {
    "smoke": Config("dense-shared-digits", (0,), samples=50, depth=300, variants=False),
    "laptop": Config(),
    # the paper's numbers are ours at the laptop
    "paper": Config(),
    "long": Config(samples=1000, depth=10_000, every=500),
}
# a unit in transit at a looked-at layer may round otherwise where products are summed in another order: of 64 or more
# units, in one sample of 50
TOLERANCES = {
    "test.error.*": 1e-9,
    "distinct.*": 2.0,
    "spread.*.*": 0.01,
    "nearest.*.stable": 0.05,
    "nearest.*.largest.*": 0.05,
    "classes.*.unit": 0.0,
    "classes.*.rank": 0.0,
    "correlation": 1e-4,
}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Statistics of the looked-at layers and of the last residuals for both nets; states at the trained depth."""
    names = mnist_nets.seeded(config.weights, config.seeds)
    net = mnist_nets.net_named(names[0])
    whole = mnist_nets.test_images(net)
    images = mnist_nets.equally_many(whole, config.samples)
    found: dict[str, Array] = {
        "labels": np.asarray(images.labels),
        "classifier": mnist_nets.read_out(net),
        "errors": mnist_nets.errors(names, run),
        "test_images": np.array(len(whole)),
    }
    for kind, one in zip(KINDS, (net, mnist_nets.untrained(net)), strict=True):
        system = resdyn.networks.to_residual_map(one)
        states = mnist_nets.first_states(one, images)
        batches = []
        for start in run.progress(range(0, len(states), config.batch), f"samples, {kind}"):

            def batch(start: int = start, system: Any = system, states: Array = states) -> dict[str, Array]:
                return _followed(system, states[start : start + config.batch], config)

            batches.append(run.part(f"{kind}{start}", batch))
        layers = batches[0]["layers"]
        joined = {
            name: np.concatenate([batch[name] for batch in batches], axis=0) for name in batches[0] if name != "layers"
        }
        found |= {f"{kind}_{name}": value for name, value in _statistics(joined, found["labels"]).items()}
        found["layers"] = layers
    system = resdyn.networks.to_residual_map(net)
    depth = int(net.architecture["depth"])
    found["at_read_out"] = resdyn.simulate(
        system, mnist_nets.first_states(net, images), depth=depth, save="final"
    ).final
    if config.variants:
        rows = []
        for i in run.progress(range(len(VARIANTS)), "small nets"):

            def variant(i: int = i) -> dict[str, Array]:
                return corners_of_variant(i)

            rows.append(run.part(f"variant{i}", variant, keep=True))
        found |= {f"variant_{name}": np.array([row[name] for row in rows]) for name in rows[0]}
    return found


def _followed(system: Any, states: Array, config: Config) -> dict[str, Array]:
    """Residuals at the looked-at layers; the equilibrium near the last ones, with its eigenvalues."""
    trajectory = resdyn.simulate(system, states, depth=config.depth, save=config.every)
    residuals = trajectory.activations
    last = residuals[-1]
    near = [nearest_equilibrium(system.W, y) for y in last]
    return {
        "layers": np.rint(trajectory.t / system.step).astype(int),
        "residuals": residuals.transpose(1, 0, 2).astype(np.float32),
        "near": np.array(near),
        "eigenvalues": np.array([eigenvalues_at(system.W, y) for y in near]),
    }


def _statistics(joined: dict[str, Array], labels: Array) -> dict[str, Array]:
    """What is kept of all samples together."""
    residuals = joined["residuals"].transpose(1, 0, 2)
    last = residuals[-1]
    rounded = residuals > 0.5
    within = np.array([residuals[:, labels == c].std(axis=1).mean(axis=1) for c in np.unique(labels)])
    return {
        "spread": residuals.std(axis=1).mean(axis=1),
        "spread_within": within,
        "saturated_at_0": (residuals < WIDTH).mean(axis=(1, 2)),
        "saturated_at_1": (residuals > 1 - WIDTH).mean(axis=(1, 2)),
        # to the pattern at the last layer, over layers and samples
        "units_to_go": (rounded != rounded[-1]).sum(axis=2),
        "last": last,
        "near": joined["near"],
        "eigenvalues": joined["eigenvalues"],
    }


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """The last residuals of both nets, sample by sample and class by class; the states at the read-out.

    ``nearest``: of the equilibria near the samples, the share that is a corner, the share without a positive
    eigenvalue, quartiles of the number of positive ones, of the largest real part, and of how far the residual that is
    farthest is from its place there (``away``). ``moving`` is the share of samples with units on another side of 1/2 at
    0.9 of the layers, or at a looked-at layer after it, than at the end.
    """
    labels = arrays["labels"]
    return {
        "network": f"{config.weights}-seed{config.seeds[0]}",
        "samples": len(labels),
        "depth": config.depth,
        "test": {"error": arrays["errors"], "images": arrays["test_images"]},
        "distinct": {kind: len(np.unique(arrays[f"{kind}_last"] > 0.5, axis=0)) for kind in KINDS},
        "spread": {kind: _spread(arrays, kind) for kind in KINDS},
        "nearest": {kind: _nearest(arrays, kind) for kind in KINDS},
        "moving": {kind: _moving(arrays, kind) for kind in KINDS},
        "distance": {kind: _distances(arrays[f"{kind}_last"] > 0.5, labels) for kind in KINDS},
        "classes": _classes(arrays),
        "correlation": correlation(arrays["classifier"], arrays["at_read_out"], labels),
        "variants": _variants(arrays),
    }


def _spread(arrays: dict[str, Array], kind: str) -> dict[str, float]:
    """Standard deviation over samples, mean over units, at the last layer."""
    return {
        "all": arrays[f"{kind}_spread"][-1],
        "within_classes": arrays[f"{kind}_spread_within"][:, -1].mean(),
        "at_0": arrays[f"{kind}_saturated_at_0"][-1],
        "at_1": arrays[f"{kind}_saturated_at_1"][-1],
    }


def _nearest(arrays: dict[str, Array], kind: str) -> dict[str, Any]:
    near, rates = arrays[f"{kind}_near"], arrays[f"{kind}_eigenvalues"].real
    number, largest = (rates > 0).sum(axis=1), rates.max(axis=1)
    away = np.abs(arrays[f"{kind}_last"] - near).max(axis=1)
    saddles = number > 0
    return {
        "corners": np.mean(((near == 0) | (near == 1)).all(axis=1)),
        "stable": np.mean(~saddles),
        "one_positive": np.mean(number == 1),
        "positive": np.quantile(number, QUARTILES),
        "away": np.quantile(away, QUARTILES),
        "largest": dict(zip(("low", "median", "high"), np.quantile(largest, QUARTILES), strict=True)),
        # of the saddles alone
        "largest_of_saddles": np.quantile(largest[saddles], QUARTILES) if saddles.any() else None,
    }


def _moving(arrays: dict[str, Array], kind: str) -> float:
    layers = arrays["layers"]
    before = np.flatnonzero(layers <= LATE * layers[-1])[-1]
    return float((arrays[f"{kind}_units_to_go"][before:] > 0).any(axis=0).mean())


def _distances(rounded: Array, labels: Array) -> dict[str, float]:
    """Mean share of units in which the corners of two samples differ, of one class and of two."""
    ones = rounded.astype(float)
    differ = (ones @ (1 - ones).T + (1 - ones) @ ones.T) / ones.shape[1]
    same = labels[:, None] == labels
    other = ~np.eye(len(labels), dtype=bool)
    return {"within_classes": differ[same & other].mean(), "between_classes": differ[~same].mean()}


def _classes(arrays: dict[str, Array]) -> list[dict[str, Any]]:
    """Class by class: corners, and the unit with the largest weight in the classifier."""
    labels, rates, last = (arrays[name] for name in ("labels", "trained_eigenvalues", "trained_last"))
    units = largest_weights(arrays["classifier"], arrays["at_read_out"], labels)
    return [
        {
            "class": c,
            "distinct": len(np.unique(last[labels == c] > 0.5, axis=0)),
            "spread": arrays["trained_spread_within"][c, -1],
            "saddles": np.mean((rates.real[labels == c] > 0).any(axis=1)),
            "positive": np.median((rates.real[labels == c] > 0).sum(axis=1)),
            "largest": np.median(rates.real[labels == c].max(axis=1)),
            **unit,
        }
        for c, unit in enumerate(units)
    ]


def _variants(arrays: dict[str, Array]) -> list[dict[str, Any]]:
    if "variant_distinct" not in arrays:
        return []
    names = [name for name, _ in VARIANTS]
    return [
        {
            "beginning": name,
            **{key: arrays[f"variant_{key}"][i] for key in ("error", "samples", "layers", "distinct", "spread")},
        }
        for i, name in enumerate(names)
    ]


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Spread over layers, largest eigenvalues, distances of corners by class, ranks at the read-out."""
    from experiments.lagzi2021_transients.mnist_shared_figure import figure_of

    return figure_of(arrays, summary)


if __name__ == "__main__":
    main(__file__)
