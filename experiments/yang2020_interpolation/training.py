"""Experiment 2: nets of equal size with and without damping: clean accuracy, learned λ, training curves, provenance.

    python -m experiments.yang2020_interpolation.training --preset laptop

Nothing is trained here: nets come from ``python -m experiments.train``, which can be stopped and goes on. This script
reads them, their cards and their logs, and measures them on the test set. A damped net has one number more for each
damped unit. Nets of one seed saw the training images in the same order, and are compared image by image.

λ is max(1 − k, 0) or max(k, 0), with k learned: where it is 0, the unit is that of the net without damping, and the
gradient of k is 0, too. In a λ-In-ResNet weight decay leads k back to 0 and never beyond: λ stays 0. In an In-ResNet it
leads k back below 1, so that λ may grow again.

Our choices: laptop: depth 20, ten epochs with one cycle of the learning rate, stored as float16. Paper: depths 56 and
110, 160 epochs. CIFAR-100: its files are read where they are; nets on it have a preset, "cifar100". Smoke: digits, and
nets that were not trained with damping.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.yang2020_interpolation.comparing import paired
from experiments.yang2020_interpolation.trained_nets import (
    BASE,
    KINDS,
    all_nets,
    coefficients,
    data_of,
    grid_of,
    log_file,
    named,
    right,
    test_images,
    title,
)

Array = NDArray[Any]

CURVES = ("loss", "training_accuracy", "accuracy")
# what is told of how a net was made
CARD = ("epochs", "seconds", "device", "precision", "commit")


@dataclass(frozen=True)
class Config:
    """What the numbers depend on."""

    family: str = "resnet20-cifar10"
    kinds: tuple[str, ...] = KINDS
    """The first is the one that the others are compared with."""
    seeds: tuple[int, ...] = (0, 1)
    images: int = 10000
    other_data: tuple[str, ...] = ("cifar100",)
    """Data sets whose files are looked for, without nets."""
    device: str = "cpu"


PRESETS = {
    "smoke": Config("resnet20-digits", seeds=(0,), images=360, other_data=()),
    "laptop-resnext": Config("resnext29-4x4-cifar10", (BASE, "in"), seeds=(0,), other_data=()),
    "laptop": Config(),
    "cifar100": Config("resnet110-cifar100", (BASE, "in"), seeds=(0, 1, 2), other_data=(), device="cuda"),
    "paper-resnext": Config("resnext29-8x64-cifar10", (BASE, "in"), seeds=(0,), other_data=(), device="cuda"),
    "paper": Config("resnet56-cifar10", seeds=(0, 1, 2), other_data=(), device="cuda"),
    "paper-110": Config("resnet110-cifar10", seeds=(0, 1, 2), other_data=(), device="cuda"),
}
# one of 360 images is 0.003
TOLERANCES = {"nets.*.accuracy.*": 0.006, "nets.*.coefficients.*.*": 1e-6, "nets.*.parameters": 0.0}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """``correct`` over kind, seed and image; ``coefficients`` over kind, seed and unit; logs and cards of each net."""
    nets = all_nets(config)
    images = test_images(config.family, config.images)
    size = (len(config.kinds), len(config.seeds))
    rows: list[dict[str, Array]] = []
    for _, _, kind, seed in run.progress(grid_of(config.kinds, config.seeds), "nets"):

        def one(net: Any = nets[kind, seed], kind: str = kind, seed: int = seed) -> dict[str, Array]:
            found, stages = coefficients(net)
            return {
                "correct": right(net, images),
                "coefficients": found,
                "stages": stages,
                "parameters": np.array(sum(p.numel() for p in net.parameters())),
                "curves": curves_of(config.family, kind, seed)
                if "training" in net.card
                else np.empty((0, len(CURVES))),
                "card": np.array(json.dumps({name: net.card.get(name) for name in CARD})),
            }

        rows.append(run.part(named(config.family, kind, seed), one))
    epochs = max(len(row["curves"]) for row in rows)
    for row in rows:
        missing = epochs - len(row["curves"])
        row["curves"] = np.pad(row["curves"], ((0, missing), (0, 0)), constant_values=np.nan)
    arrays = {name: np.stack([row[name] for row in rows]).reshape(*size, *rows[0][name].shape) for name in rows[0]}
    arrays["other_data"] = np.array([_test_images_there(name) for name in config.other_data], dtype=int)
    return arrays


def curves_of(family: str, kind: str, seed: int) -> Array:
    """The log of a training, rows epochs, columns ``CURVES``."""
    lines = [json.loads(line) for line in log_file(family, kind, seed).read_text().splitlines()]
    return np.array([[line.get(name, np.nan) for name in CURVES] for line in lines], dtype=float)


def _test_images_there(name: str) -> int:
    """How many test images of a data set lie in the data folder; 0 where its files do not."""
    try:
        return len(resdyn.data.image_set(name))
    except FileNotFoundError:
        return 0


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Of each kind of net: accuracies, λ by unit, curves' ends and cards, seed by seed; differences to the first."""
    correct = arrays["correct"]
    return {
        "family": config.family,
        "data": data_of(config.family),
        "kinds": {kind: title(config.family, kind) for kind in config.kinds},
        "seeds": config.seeds,
        "images": correct.shape[-1],
        "nets": {
            kind: {
                "accuracy": correct[i].mean(axis=-1),
                "parameters": int(arrays["parameters"][i, 0]),
                "coefficients": [_named_units(row, arrays["stages"][i, 0]) for row in arrays["coefficients"][i]],
                "last_loss": [_last(curve[:, 0]) for curve in arrays["curves"][i]],
                "cards": [json.loads(str(card)) for card in arrays["card"][i]],
            }
            for i, kind in enumerate(config.kinds)
        },
        "differences": {kind: paired(correct[i], correct[0]) for i, kind in enumerate(config.kinds) if i},
        "other_data": dict(zip(config.other_data, arrays["other_data"].tolist(), strict=True)),
    }


def _named_units(row: Array, stages: Array) -> dict[str, float]:
    """λ of the units that have one, by stage and place in it, from 1."""
    named_units = {}
    for stage in np.unique(stages):
        for place, value in enumerate(row[stages == stage], 1):
            if np.isfinite(value):
                named_units[f"stage {stage} unit {place}"] = float(value)
    return named_units


def _last(values: Array) -> float | None:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else None


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Training curves, λ by unit, and clean accuracy, seed by seed."""
    from matplotlib.figure import Figure

    from experiments.yang2020_interpolation.drawing import COLOUR, MARKER

    figure = Figure(figsize=(12, 3.8), layout="constrained")
    curves, learned, clean = figure.subplots(1, 3, width_ratios=(1.2, 1.2, 1))
    _plot_curves(curves, config, arrays, summary)
    _plot_coefficients(learned, config, arrays, summary)
    for i, kind in enumerate(config.kinds):
        values = 100 * np.array(summary["nets"][kind]["accuracy"])
        errors = 200 * np.sqrt(values / 100 * (1 - values / 100) / summary["images"])
        places = i + 0.15 * (np.arange(len(values)) - (len(values) - 1) / 2)
        clean.errorbar(places, values, errors, fmt=MARKER[kind], color=COLOUR[kind])
    means = [
        f"{name}\n{100 * np.mean(summary['nets'][kind]['accuracy']):.2f} %" for kind, name in summary["kinds"].items()
    ]
    clean.set_xticks(range(len(config.kinds)), means)
    clean.set_xlim(-0.6, len(config.kinds) - 0.4)
    clean.set_ylabel("accuracy [%]")
    clean.set_title(f"{summary['images']} test images, ± 2 errors", fontsize="medium")
    figure.suptitle(config.family, fontsize="medium")
    return figure


def _plot_curves(ax: Any, config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> None:
    from experiments.yang2020_interpolation.drawing import COLOUR

    for i, kind in enumerate(config.kinds):
        for j, curve in enumerate(arrays["curves"][i]):
            epochs = np.arange(1, len(curve) + 1)
            label = summary["kinds"][kind] if j == 0 and np.isfinite(curve).any() else None
            ax.plot(epochs, 100 * curve[:, 2], color=COLOUR[kind], label=label)
            ax.plot(epochs, 100 * curve[:, 1], ":", color=COLOUR[kind])
    ax.set_xlabel("epoch")
    ax.set_ylabel("accuracy [%]")
    ax.set_title("test (line) and training (dotted), a line each seed", fontsize="medium")
    ax.legend(fontsize="small", frameon=False)


def _plot_coefficients(ax: Any, config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> None:
    from experiments.yang2020_interpolation.drawing import COLOUR, MARKER

    units = np.arange(arrays["coefficients"].shape[-1]) + 1
    for i, kind in enumerate(config.kinds):
        for j, row in enumerate(arrays["coefficients"][i]):
            if np.isfinite(row).any():
                label = summary["kinds"][kind] if j == 0 else None
                places = units + 0.12 * (i - 1.5) + 0.06 * j
                ax.plot(places, row, MARKER[kind], color=COLOUR[kind], label=label, markersize=5)
    ax.axhline(0, color="0.5", linewidth=0.8)
    ax.axhline(1, color="0.5", linewidth=0.8, linestyle="--")
    ax.set_xticks(units[:: max(1, len(units) // 12)])
    ax.set_xlabel("unit")
    ax.set_ylabel("λ  (0: ResNet, 1: CNN)")
    ax.set_title("interpolation coefficients, a mark each seed", fontsize="medium")
    ax.legend(fontsize="small", frameon=False)


if __name__ == "__main__":
    main(__file__)
