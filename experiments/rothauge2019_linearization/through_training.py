r"""Experiment 7a, beyond the paper: spectra of the units of one small net while it learns.

    python -m experiments.rothauge2019_linearization.through_training --preset laptop

A ResNet with post-activation units learns the digits of scikit-learn, with and without weight decay, and is linearized
after 0, 1, 2, 4, 8, … epochs. A linearization sees the net in evaluation mode, whose batch norms use running averages;
those lag behind in the first epochs, so each snapshot gets the averages of the whole training set before it is looked
at.

Are singular values 1 because training makes them so, or from the start? After a batch norm half of the ReLUs fire, so
an untrained net has hardly any; what makes fewer fire?
"""

import copy
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import resdyn
from experiments._harness import Run, main
from experiments.rothauge2019_linearization.activity import rank_bound

Array = NDArray[Any]

READINGS: tuple[Literal["before"], Literal["after"]] = ("before", "after")
# singular values that are 1 are so to some 1e-14; the next ones of these units are not that near
EXACT = 1e-9


@dataclass(frozen=True)
class Config:
    """What the numbers depend on."""

    depth: int = 14
    widths: tuple[int, int, int] = (8, 16, 32)
    order: str = "post"
    weight_decays: tuple[float, ...] = (0.0, 5e-3)
    epochs: int = 64
    batch_size: int = 64
    learning_rate: float = 0.1
    images: int = 4
    """At which is linearized, of the test set."""
    seed: int = 0


PRESETS = {
    "smoke": Config(depth=8, widths=(2, 4, 8), epochs=2, images=2),
    "laptop": Config(),
    "paper": Config(depth=20, weight_decays=(0.0, 1e-3, 5e-3), epochs=256, images=20),
}

# trained in single precision: other machines end in slightly other weights
TOLERANCES = {
    "*.accuracy.0": 0.03,
    "*.accuracy.2": 0.15,
    "*.exact_ones.*.0": 0.02,
    "*.active_inner.*": 0.05,
    "*.largest.*": 0.5,
}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Of each run k, accuracies and shares of ReLUs that fire; ``k_values_j`` of unit j: (epoch, reading, image, n)."""
    arrays: dict[str, Array] = {"epochs": np.array(_epochs(config))}
    for k, decay in enumerate(run.progress(config.weight_decays, "training runs")):
        found = run.part(f"run-{k}", lambda decay=decay: _of_run(config, decay))  # type: ignore[misc]
        arrays |= {f"{k}_{name}": array for name, array in found.items()}
    return arrays


def _epochs(config: Config) -> list[int]:
    """0, 1, 2, 4, …, and the last."""
    return sorted({0, config.epochs} | {2**k for k in range(config.epochs.bit_length())})


def _of_run(config: Config, weight_decay: float) -> dict[str, Array]:
    train, test = (resdyn.data.digit_images(split) for split in ("train", "test"))
    snapshots = _trained(config, weight_decay, train)
    pixels = test.pixels()[: config.images]
    of_snapshots = [_spectra(net, net.preprocessing(pixels)) for net in snapshots]
    return {name: np.stack([part[name] for part in of_snapshots]) for name in of_snapshots[0]} | {
        "accuracy": np.array([resdyn.networks.accuracy(net, test).fraction for net in snapshots])
    }


def _trained(config: Config, weight_decay: float, train: Any) -> list[Any]:
    """The net after the epochs that are looked at, with the batch statistics of the training set."""
    torch.manual_seed(config.seed)
    net = resdyn.networks.resnet(config.depth, order=config.order, widths=config.widths, channels=1)  # type: ignore[arg-type]
    mean, std = train.pixels().mean(), train.pixels().std()
    net.preprocessing = resdyn.networks.Preprocessing((float(mean),), (float(std),))
    inputs = torch.from_numpy(net.preprocessing(train.pixels()).astype(np.float32))
    settings = resdyn.networks.TrainingConfig(
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        weight_decay=weight_decay,
        schedule="cosine",
        seed=config.seed,
    )
    snapshots = [_with_statistics(net, inputs)]

    def keep(epoch: int, net: nn.Module, metrics: Any) -> None:
        if epoch in _epochs(config):
            snapshots.append(_with_statistics(net, inputs))

    resdyn.networks.fit(net, train, settings, device="cpu", progress=False, callbacks=[keep])
    return snapshots


def _with_statistics(net: nn.Module, inputs: torch.Tensor) -> Any:
    """A copy in evaluation mode whose batch norms have the mean and the variance of these inputs."""
    copied = copy.deepcopy(net).train()
    for module in copied.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        copied(inputs)
    return copied.eval()


def _spectra(net: Any, inputs: Array) -> dict[str, Array]:
    """Of all units, for both readings and all images."""
    network = resdyn.networks.unroll(net, inputs[:1], dtype=torch.float64)
    state = network.stem(inputs.astype(np.float64))
    found: dict[str, Array] = {}
    active = []
    for j, unit in enumerate(network.units):
        linearized = [[resdyn.networks.linearize(unit, x, reading=reading) for x in state] for reading in READINGS]
        found[f"values_{j}"] = np.array([[J.singular_values() for J in row] for row in linearized])
        active.append([rank_bound(unit, x) / np.prod(unit.shape_after) for x in state])
        state = unit(state)
    return found | {"active": np.array(active)}


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Of each run and snapshot: medians over blocks and images. Entries of stages are left out."""
    runs = {
        f"decay {decay:g}": _of_snapshots({n.partition("_")[2]: a for n, a in arrays.items() if n.startswith(f"{k}_")})
        for k, decay in enumerate(config.weight_decays)
    }
    return {"epochs": arrays["epochs"].tolist(), "images": config.images, "runs": runs}


def _of_snapshots(own: dict[str, Array]) -> dict[str, Any]:
    blocks = _blocks(own)
    values = {j: own[f"values_{j}"] for j in blocks}
    return {
        "accuracy": own["accuracy"].tolist(),
        "blocks": [j + 1 for j in blocks],
        "active_inner": np.median(own["active"][:, blocks], axis=(1, 2)).tolist(),
        "exact_ones": {
            reading: _along(values, lambda v, r=r: (abs(v[:, r] - 1) <= EXACT).mean(axis=-1))
            for r, reading in enumerate(READINGS)
        },
        "zeros_after": _along(values, lambda v: (v[:, 1] <= EXACT).mean(axis=-1)),
        "within_0.1_before": _along(values, lambda v: (abs(v[:, 0] - 1) <= 0.1).mean(axis=-1)),
        "largest": {reading: _along(values, lambda v, r=r: v[:, r, :, 0]) for r, reading in enumerate(READINGS)},
        "smallest_before": _along(values, lambda v: v[:, 0, :, -1]),
        # mean distance of sorted values: the Wasserstein distance of the two distributions
        "distance_from_start_before": _along(
            {j: abs(v - v[:1]) for j, v in values.items()}, lambda v: v[:, 0].mean(axis=-1)
        ),
    }


def _blocks(arrays: dict[str, Array]) -> list[int]:
    """Units whose state keeps its shape: all but the first of a new stage."""
    sizes = [arrays[f"values_{j}"].shape[-1] for j in range(arrays["active"].shape[1])]
    return [j for j in range(len(sizes)) if j == 0 or sizes[j] == sizes[j - 1]]


def _along(values: dict[int, Array], number: Any) -> list[float]:
    """The median over blocks and images of a number (snapshots, images) of each block."""
    return np.median(np.concatenate([number(v) for v in values.values()], axis=1), axis=1).tolist()


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Shares of exact ones with the sparsity that forces them, extremes, distance from the start, and accuracy."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from resdyn.plotting.canvas import COLOURS

    figure = Figure(figsize=(10, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    (ones, active), (extremes, distance) = figure.subplots(2, 2, sharex=True)
    epochs = np.array(summary["epochs"])
    for (words, numbers), colour in zip(summary["runs"].items(), (COLOURS[0], COLOURS[3], COLOURS[2]), strict=False):
        marked = {"color": colour, "marker": "o", "markersize": 3}
        ones.plot(epochs, numbers["exact_ones"]["before"], label=f"{words}, before the last ReLU", **marked)
        ones.plot(epochs, numbers["exact_ones"]["after"], "--", label=f"{words}, after it", **marked)
        active.plot(epochs, numbers["active_inner"], label=f"weight {words}", **marked)
        extremes.plot(epochs, numbers["largest"]["before"], **marked)
        extremes.plot(epochs, numbers["smallest_before"], "--", **marked)
        distance.plot(epochs, numbers["distance_from_start_before"], **marked)
        distance.plot(epochs, numbers["accuracy"], ":", **marked)
    active.axhline(0.5, color="0.6", linewidth=0.8, zorder=0)
    extremes.set_yscale("log")
    for ax in (ones, active, extremes, distance):
        ax.set_xscale("symlog", linthresh=1, base=2)
    for ax in (extremes, distance):
        ax.set_xlabel("epochs")
    ones.set_title("share of singular values that are exactly 1", fontsize="small")
    active.set_title("inner ReLUs that fire, p/n (below 0.5 they force ones)", fontsize="small")
    extremes.set_title("largest and (dashed) smallest singular value, before the last ReLU", fontsize="small")
    distance.set_title("mean distance of singular values from the start; (dotted) test accuracy", fontsize="small")
    ones.legend(fontsize="x-small", frameon=False)
    active.legend(fontsize="x-small", frameon=False)
    blocks = next(iter(summary["runs"].values()))["blocks"]
    figure.suptitle(
        f"ResNet-{config.depth} on digits: medians over {len(blocks)} blocks and {config.images} images",
        fontsize="medium",
    )
    return figure


if __name__ == "__main__":
    main(__file__)
