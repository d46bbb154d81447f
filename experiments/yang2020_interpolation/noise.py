"""Experiment 3: accuracy under the four kinds of noise of CIFAR-10-C, at five severities, with and without damping.

    python -m experiments.yang2020_interpolation.noise --preset laptop

All nets see the same noisy images, so that they are compared image by image, and nets of the same seed with each other:
they saw the training images in the same order. Beside the differences under noise stand those of what noise costs, the
accuracy under noise less that on clean images: a net that is better without noise is better with it.

Our choices: noise is drawn anew, with a seed, since the published files are one draw of the same distribution; images
are standardised as in training. A second table has what the public code does: those of one kind of noise are
standardised by their own mean and deviation. Laptop: the first 1000 test images instead of all. Smoke: digits, and nets
that were not trained with damping.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.yang2020_interpolation.comparing import paired
from experiments.yang2020_interpolation.trained_nets import BASE, KINDS, all_nets, grid_of, named, test_images, title

Array = NDArray[Any]

STANDARDS: tuple[Literal["network", "images"], ...] = ("network", "images")
NOISES = ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise")


@dataclass(frozen=True)
class Config:
    """What the numbers depend on."""

    family: str = "resnet20-cifar10"
    kinds: tuple[str, ...] = KINDS
    """The first is the one that the others are compared with."""
    seeds: tuple[int, ...] = (0, 1)
    images: int = 1000
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    noise_seed: int = 0
    device: str = "cpu"


PRESETS = {
    "smoke": Config("resnet20-digits", seeds=(0,), images=60, severities=(1, 5)),
    "laptop-resnext": Config("resnext29-4x4-cifar10", (BASE, "in"), seeds=(0,)),
    "laptop": Config(),
    "paper-resnext": Config("resnext29-8x64-cifar10", (BASE, "in"), seeds=(0,), images=10000, device="cuda"),
    "paper": Config("resnet56-cifar10", seeds=(0, 1, 2), images=10000, device="cuda"),
    "paper-110": Config("resnet110-cifar10", seeds=(0, 1, 2), images=10000, device="cuda"),
}
# one of 60 images is 0.017, and rounding may move one or two across a boundary between classes
TOLERANCES = {
    "accuracy.*.clean.*": 0.02,
    "accuracy.*.network.pooled.*": 0.02,
    "accuracy.*.images.pooled.*": 0.02,
    "accuracy.*.network.by_noise.*.*": 0.04,
}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """``correct`` over kind, seed, standard, noise, severity and image; ``clean`` over kind, seed and image."""
    nets = all_nets(config)
    images = test_images(config.family, config.images)
    pixels, labels = images.pixels(), images.labels
    size = (len(config.kinds), len(config.seeds))
    clean = np.empty((*size, len(labels)), dtype=bool)
    correct = np.empty((*size, len(STANDARDS), len(NOISES), len(config.severities), len(labels)), dtype=bool)
    for i, j, kind, seed in run.progress(grid_of(config.kinds, config.seeds), "nets"):

        def one(net: Any = nets[kind, seed]) -> dict[str, Array]:
            tables = [
                resdyn.networks.noise_accuracy(
                    net,
                    pixels,
                    labels,
                    kinds=NOISES,
                    severities=config.severities,
                    standardise=standard,
                    rng=config.noise_seed,
                )
                for standard in STANDARDS
            ]
            return {"clean": tables[0].clean_correct, "correct": np.stack([table.correct for table in tables])}

        part = run.part(named(config.family, kind, seed), one)
        clean[i, j], correct[i, j] = part["clean"], part["correct"]
    return {"clean": clean, "correct": correct}


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Accuracies of each kind of net, seed by seed, and differences to the first kind.

    ``difference`` is that of the accuracy over all kinds of noise and severities, ``by_noise`` and ``by_severity`` its
    parts, ``cost`` that of accuracy under noise less that on clean images.
    """
    clean, correct = arrays["clean"], arrays["correct"]
    return {
        "family": config.family,
        "kinds": {kind: title(config.family, kind) for kind in config.kinds},
        "seeds": config.seeds,
        "images": clean.shape[-1],
        "severities": config.severities,
        "accuracy": {
            kind: {
                "clean": clean[i].mean(axis=-1),
                **{
                    standard: {
                        "pooled": correct[i, :, s].mean(axis=(1, 2, 3)),
                        "by_noise": dict(zip(NOISES, correct[i, :, s].mean(axis=(0, 3)), strict=True)),
                    }
                    for s, standard in enumerate(STANDARDS)
                },
            }
            for i, kind in enumerate(config.kinds)
        },
        "differences": {
            kind: {"clean": paired(clean[i], clean[0])}
            | {
                standard: _differences(config, correct[i, :, s], correct[0, :, s], clean[i], clean[0])
                for s, standard in enumerate(STANDARDS)
            }
            for i, kind in enumerate(config.kinds)
            if i
        },
    }


def _differences(config: Config, one: Array, base: Array, clean: Array, base_clean: Array) -> dict[str, Any]:
    """Of one kind, arrays over seed, noise, severity and image."""
    return {
        "difference": paired(one.mean(axis=(1, 2)), base.mean(axis=(1, 2))),
        "cost": paired(one.mean(axis=(1, 2)) - clean, base.mean(axis=(1, 2)) - base_clean),
        "by_noise": {name: paired(one[:, z].mean(axis=1), base[:, z].mean(axis=1)) for z, name in enumerate(NOISES)},
        "by_severity": {
            str(severity): paired(one[:, :, z].mean(axis=1), base[:, :, z].mean(axis=1))
            for z, severity in enumerate(config.severities)
        },
    }


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Accuracy against severity, noise by noise, seeds as points; below, the differences with their errors."""
    from matplotlib.figure import Figure

    from experiments.yang2020_interpolation.drawing import COLOUR, MARKER, differences

    figure: Any = Figure(figsize=(11, 6.4), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.1, 1))
    severities = np.array(config.severities)
    axes = above.subplots(1, len(NOISES), sharey=True)
    for z, (name, ax) in enumerate(zip(NOISES, axes, strict=True)):
        for i, kind in enumerate(config.kinds):
            table = 100 * arrays["correct"][i, :, 0, z].mean(axis=-1)
            # marks side by side, lines where they belong: on steep curves a shift would look like a difference
            places = severities + 0.1 * (i - (len(config.kinds) - 1) / 2)
            ax.plot(severities, table.mean(axis=0), color=COLOUR[kind])
            pooled = 100 * np.mean(summary["accuracy"][kind]["network"]["pooled"])
            label = f"{summary['kinds'][kind]}, {pooled:.1f} % over all"
            ax.plot([], [], MARKER[kind] + "-", color=COLOUR[kind], markersize=4, label=label)
            for row in table:
                ax.plot(places, row, MARKER[kind], color=COLOUR[kind], markersize=4)
        ax.set_title(name.replace("_", " "), fontsize="medium")
        ax.set_xlabel("severity")
        ax.set_xticks(severities)
    axes[0].set_ylabel("accuracy [%]")
    axes[0].legend(fontsize="small", frameon=False, title="line: mean; marks: seeds", title_fontsize="small")
    panels = below.subplots(1, len(STANDARDS), sharey=True)
    for standard, ax in zip(STANDARDS, panels, strict=True):
        rows = {"all noise": "difference", "all, less clean": "cost"}
        tables = {kind: summary["differences"][kind][standard] for kind in config.kinds[1:]}
        named_rows = {
            kind: {words: table[key] for words, key in rows.items()}
            | {name.partition("_")[0]: entry for name, entry in table["by_noise"].items()}
            for kind, table in tables.items()
        }
        differences(ax, named_rows, summary, "accuracy")
        how = "as in training" if standard == "network" else "by the noisy images' own mean and deviation"
        ax.set_title(f"standardised {how}", fontsize="medium")
    figure.suptitle(
        f"{config.family}: accuracy under noise, {summary['images']} images; below: each seed ± 2 standard errors over "
        "images",
        fontsize="medium",
    )
    return figure


if __name__ == "__main__":
    main(__file__)
