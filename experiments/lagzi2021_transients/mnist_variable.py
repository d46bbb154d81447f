"""A dense net with fifteen logistic weight matrices: whether all samples come to the same residuals, and to one matrix.

Layer by layer: how far the residuals of 200 samples are spread, how many are saturated, and how far the weight matrix
is from the one before. Controls are the same net before training, whose seed tells its weights, and the net of shared
weights. Random matrices of equal size differ by √2 times their norm; the learned parts, trained less first weights, say
whether training drew them together.

Ours: the samples are equally many of each class, the first of the test set; the distance of two matrices is the
Frobenius norm of their difference over the geometric mean of their norms.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.lagzi2021_transients import mnist_nets
from experiments.lagzi2021_transients.corners import WIDTH

Array = NDArray[Any]
KINDS = ("trained", "untrained", "shared")


@dataclass(frozen=True)
class Config:
    """What is followed."""

    weights: str = "dense-layerwise-mnist"
    """python -m experiments.train --plan laptop --only dense-layerwise-mnist"""
    shared: str = "dense-shared-mnist"
    seeds: tuple[int, ...] = (0, 1)
    """Of the nets of both kinds whose error is taken; the first ones are followed."""
    samples: int = 200
    """Equally many of each class."""


PRESETS = {
    "smoke": Config("dense-layerwise-digits", "dense-shared-digits", (0,), samples=100),
    "laptop": Config(),
    # the paper's numbers are ours at the laptop
    "paper": Config(),
    "many": Config(samples=1000),
}
# fifteen layers of double precision: what may differ elsewhere is a unit that lies at a threshold
TOLERANCES = {
    "test.*error.*": 1e-9,
    "spread.*.*": 1e-6,
    "saturated.*.*.*": 1e-3,
    "matrices.*.distances.*": 1e-6,
    "matrices.*.cosines.*": 1e-6,
}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Statistics over layers for each net, and distances and cosines between the matrices of the layers."""
    names, others = (mnist_nets.seeded(kind, config.seeds) for kind in (config.weights, config.shared))
    net, shared = mnist_nets.net_named(names[0]), mnist_nets.net_named(others[0])
    first = mnist_nets.untrained(net)
    whole = mnist_nets.test_images(net)
    images = mnist_nets.equally_many(whole, config.samples)
    found: dict[str, Array] = {
        "labels": np.asarray(images.labels),
        "errors": mnist_nets.errors(names, run),
        "shared_errors": mnist_nets.errors(others, run),
        "test_images": np.array(len(whole)),
    }
    for kind, one in zip(KINDS, (net, first, shared), strict=True):
        found |= {f"{kind}_{name}": value for name, value in _layers(one, images, found["labels"]).items()}
    after, before = (resdyn.networks.to_residual_map(one).W for one in (net, first))
    for name, matrices in (("trained", after), ("untrained", before), ("learned", after - before)):
        found |= {f"{name}_{key}": value for key, value in _between(matrices).items()}
    found["kept"] = (after * before).sum(axis=(1, 2)) / (before**2).sum(axis=(1, 2))
    return found


def _layers(net: Any, images: Any, labels: Array) -> dict[str, Array]:
    """Of the residuals that the layers add: what one more layer would add is left out."""
    system = resdyn.networks.to_residual_map(net)
    depth = int(net.architecture["depth"])
    residuals = resdyn.simulate(system, mnist_nets.first_states(net, images), depth=depth).activations[:depth]
    spread = residuals.std(axis=1)
    return {
        "spread": spread.mean(axis=1),
        "largest_spread": spread.max(axis=1),
        "spread_within": np.mean(
            [residuals[:, labels == c].std(axis=1).mean(axis=1) for c in np.unique(labels)], axis=0
        ),
        "distinct": np.array([len(np.unique(layer > 0.5, axis=0)) for layer in residuals]),
        "at_0": (residuals < WIDTH).mean(axis=(1, 2)),
        "at_1": (residuals > 1 - WIDTH).mean(axis=(1, 2)),
    }


def _between(matrices: Array) -> dict[str, Array]:
    """Cosines of all pairs of layers, norms, and distances of neighbours in units of their norms."""
    flat = matrices.reshape(len(matrices), -1)
    products = flat @ flat.T
    norms = np.sqrt(np.diag(products))
    lengths = np.outer(norms, norms)
    steps = np.linalg.norm(np.diff(flat, axis=0), axis=1)
    return {
        "cosines": products / lengths,
        "norms": norms,
        "distances": steps / np.sqrt(norms[1:] * norms[:-1]),
    }


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Lists over layers, and over neighbouring pairs of them."""
    return {
        "network": f"{config.weights}-seed{config.seeds[0]}",
        "samples": len(arrays["labels"]),
        "test": {
            "error": arrays["errors"],
            "shared_error": arrays["shared_errors"],
            "images": arrays["test_images"],
        },
        "spread": {kind: arrays[f"{kind}_spread"] for kind in KINDS},
        "spread_within_classes": {kind: arrays[f"{kind}_spread_within"] for kind in KINDS},
        "largest_spread": {kind: arrays[f"{kind}_largest_spread"] for kind in KINDS},
        "distinct": {kind: arrays[f"{kind}_distinct"] for kind in KINDS},
        "saturated": {kind: {name: arrays[f"{kind}_{name}"] for name in ("at_0", "at_1")} for kind in KINDS},
        "matrices": {
            name: {
                "distances": arrays[f"{name}_distances"],
                "cosines": np.diagonal(arrays[f"{name}_cosines"], offset=1),
                "norms": arrays[f"{name}_norms"],
            }
            for name in ("trained", "untrained", "learned")
        },
        # near 1 if these are the weights that training began with, near 0 if they are others
        "first_weights_kept": arrays["kept"],
    }


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Spread and saturation over layers; distances of neighbouring matrices; cosines of the learned parts."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    (spread, saturated), (distances, cosines) = figure.subplots(2, 2)
    _plot_layers(spread, saturated, summary)
    _plot_distances(distances, summary)
    _plot_cosines(cosines, arrays["learned_cosines"])
    wrong = f"test error {100 * summary['test']['error'][0]:.2f} %"
    figure.suptitle(f"{summary['network']}, {wrong}: {summary['samples']} samples")
    return figure


def _plot_layers(spread: Any, saturated: Any, summary: dict[str, Any]) -> None:
    from resdyn.plotting.canvas import COLOURS

    labels = {"trained": "one matrix per layer", "untrained": "the same, untrained", "shared": "shared weights"}
    for kind, colour in zip(KINDS, COLOURS, strict=False):
        layers = np.arange(1, len(summary["spread"][kind]) + 1)
        spread.plot(layers, summary["spread"][kind], "o-", markersize=4, color=colour, label=labels[kind])
        spread.plot(layers, summary["spread_within_classes"][kind], "--", color=colour, linewidth=1)
        at = summary["saturated"][kind]
        saturated.plot(layers, at["at_1"], "o-", markersize=4, color=colour, label=labels[kind])
        saturated.plot(layers, at["at_0"], ":", color=colour)
    spread.axvline(4, ymax=0.8, color="0.6", linewidth=1, label="paper: 0 after this layer")
    # room for the legend
    spread.set_ylim(0, 1.5 * max(max(row) for row in summary["spread"].values()))
    spread.set_ylabel("standard deviation of residuals\nover samples, mean over units")
    spread.set_title("dashed: within classes", fontsize="medium")
    spread.legend(fontsize="small", frameon=False, ncols=2, loc="upper left")
    # few are at 1 beside those at 0
    saturated.set_yscale("log")
    saturated.set_ylim(1e-5, 2)
    saturated.set_ylabel("share of residuals within 0.01 of the bound")
    saturated.set_title("points: at 1, dotted: at 0; shares of 0 are not drawn", fontsize="medium")
    saturated.legend(fontsize="small", frameon=False, loc="lower right")
    for ax in (spread, saturated):
        ax.set_xlabel("layer")
        ax.set_xticks(layers[::2])


def _plot_distances(ax: Any, summary: dict[str, Any]) -> None:
    from resdyn.plotting.canvas import COLOURS

    labels = {"trained": "trained", "untrained": "untrained", "learned": "learned part"}
    for (name, row), colour in zip(summary["matrices"].items(), COLOURS, strict=False):
        pairs = np.arange(2, len(row["distances"]) + 2)
        ax.plot(pairs, row["distances"], "o-", markersize=4, color=colour, label=labels[name])
    ax.axhline(np.sqrt(2), color="k", linewidth=1, linestyle="--", label="orthogonal: √2")
    # room for the legend
    ax.set_ylim(0, 2)
    ax.set_xticks(pairs[::2])
    ax.set_xlabel("layer")
    ax.set_ylabel("distance to the matrix before,\nover the mean of their norms")
    ax.legend(fontsize="small", frameon=False, ncols=2, loc="upper left")


def _plot_cosines(ax: Any, cosines: Array) -> None:
    n = len(cosines)
    extent = (0.5, n + 0.5, n + 0.5, 0.5)
    image = ax.imshow(cosines, cmap="cividis", vmin=min(0.0, float(cosines.min())), vmax=1, extent=extent)
    ax.figure.colorbar(image, ax=ax, label="cosine of the learned parts")
    ax.set_xticks(range(1, n + 1, 2))
    ax.set_yticks(range(1, n + 1, 2))
    ax.set_xlabel("layer")
    ax.set_ylabel("layer")


if __name__ == "__main__":
    main(__file__)
