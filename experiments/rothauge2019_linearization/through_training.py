r"""Experiment 7a, beyond the paper: spectra of the units of one small net while it learns.

    python -m experiments.rothauge2019_linearization.through_training --preset laptop

A ResNet with post-activation units learns the digits of scikit-learn, with and without weight decay, and is linearized
after 0, 1, 2, 4, 8, … epochs. A linearization sees the net in evaluation mode, whose batch norms use running averages;
those lag behind in the first epochs, so each snapshot gets the averages of the whole training set before it is looked
at.

Are singular values 1 because training makes them so, or from the start? After a batch norm half of the ReLUs fire, so
an untrained net has hardly any; what makes fewer fire?

Each training is repeated from other initial weights. All singular values are those of a dense decomposition, which
knows nothing of the rank. A run that was stopped goes on from its last epoch.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import resdyn
from experiments._harness import Run, main
from experiments.rothauge2019_linearization.activity import rank_bound
from resdyn._storage import read_npz, write_npz

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
    repeats: int = 3
    """Trainings with each weight decay, from initial weights of as many seeds."""
    seed: int = 0
    """Of the first repeat; the next has the next one."""


PRESETS = {
    "smoke": Config(depth=8, widths=(2, 2, 4), epochs=1, images=2, repeats=2, batch_size=256),
    "laptop": Config(),
    "paper": Config(depth=20, weight_decays=(0.0, 1e-3, 5e-3), epochs=256, images=20, repeats=5),
}

# trained in single precision: other machines end in slightly other weights
TOLERANCES = {
    "runs.*.accuracy.0": 0.03,
    "runs.*.exact_ones_*.0": 0.02,
    "runs.*.active_inner.*": 0.05,
    "runs.*.largest_before.*": 0.5,
}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Of decay k, repeat i: accuracies, shares of ReLUs that fire; ``k_i_values_j`` of block j: (epoch, reading, …)."""
    arrays: dict[str, Array] = {"epochs": np.array(_epochs(config))}
    jobs = [(k, i) for k in range(len(config.weight_decays)) for i in range(config.repeats)]
    for k, i in run.progress(jobs, "training runs"):
        snapshots = _snapshots(config, run, k, i)
        arrays |= {f"{k}_{i}_{name}": np.stack([part[name] for part in snapshots]) for name in snapshots[0]}
    return arrays


def _epochs(config: Config) -> list[int]:
    """0, 1, 2, 4, …, and the last."""
    return sorted({0, config.epochs} | {2**k for k in range(config.epochs.bit_length())})


def _snapshots(config: Config, run: Run, k: int, i: int) -> list[dict[str, Array]]:
    """Accuracy and spectra after the epochs that are looked at, of one training; kept beside its checkpoints."""
    train, test = (resdyn.data.digit_images(split) for split in ("train", "test"))
    net, inputs = _untrained(config, train, config.seed + i)
    pixels = test.pixels()[: config.images]
    paths = {epoch: run.folder / f"spectra-{k}-{i}-epoch-{epoch:04d}.npz" for epoch in _epochs(config)}

    def look(epoch: int, net: nn.Module, metrics: Any = None) -> None:
        if epoch in paths and not paths[epoch].is_file():
            write_npz(paths[epoch], _of_snapshot(_with_statistics(net, inputs), pixels, test), {"kind": "snapshot"})

    look(0, net)
    # a training that is found finished calls only for its last epoch; the others were looked at when they were reached
    settings = _settings(config, config.weight_decays[k], config.seed + i)
    folder = run.folder / f"training-{k}-{i}"
    resdyn.networks.fit(
        net, train, settings, device="cpu", progress=False, callbacks=[look], folder=folder, resume=True
    )
    lost = [epoch for epoch, path in paths.items() if not path.is_file()]
    if lost:
        raise FileNotFoundError(
            f"spectra after epochs {lost} are lost, and their net is trained further; pass --force."
        )
    return [read_npz(path, "snapshot")[0] for path in paths.values()]


def _untrained(config: Config, train: Any, seed: int) -> tuple[Any, torch.Tensor]:
    """A net with its normalisation, and all training images as inputs of it."""
    torch.manual_seed(seed)
    net = resdyn.networks.resnet(config.depth, order=config.order, widths=config.widths, channels=1)  # type: ignore[arg-type]
    mean, std = train.pixels().mean(), train.pixels().std()
    net.preprocessing = resdyn.networks.Preprocessing((float(mean),), (float(std),))
    return net, torch.from_numpy(net.preprocessing(train.pixels()).astype(np.float32))


def _settings(config: Config, weight_decay: float, seed: int) -> Any:
    return resdyn.networks.TrainingConfig(
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        weight_decay=weight_decay,
        schedule="cosine",
        seed=seed,
    )


def _of_snapshot(net: Any, pixels: Array, test: Any) -> dict[str, Array]:
    accuracy = resdyn.networks.accuracy(net, test).fraction
    return _spectra(net, net.preprocessing(pixels)) | {"accuracy": np.array(accuracy)}


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
    """Of all blocks, for both readings and all images; entries of stages, which have no identity, are left out."""
    network = resdyn.networks.unroll(net, inputs[:1], dtype=torch.float64)
    state = network.stem(inputs.astype(np.float64))
    found: dict[str, Array] = {}
    active = []
    for j, unit in enumerate(network.units):
        if not unit.changes_shape:
            found[f"values_{j}"] = np.array([[_values(unit, x, reading) for x in state] for reading in READINGS])
            active.append([rank_bound(unit, x) / np.prod(unit.shape_after) for x in state])
        state = unit(state)
    return found | {"active": np.array(active)}


def _values(unit: Any, x: Array, reading: Literal["before", "after"]) -> Array:
    J = resdyn.networks.linearize(unit, x, reading=reading).to_dense()
    values: Array = np.linalg.svd(J, compute_uv=False)
    return values


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Of each weight decay and snapshot: medians over repeats of medians over blocks and images; all repeats too."""
    runs = {}
    for k, decay in enumerate(config.weight_decays):
        repeats = [_of_repeat(arrays, f"{k}_{i}_") for i in range(config.repeats)]
        runs[f"decay {decay:g}"] = {
            name: np.median([repeat[name] for repeat in repeats], axis=0).tolist() for name in repeats[0]
        } | {"of_repeats": repeats}
    return {"epochs": arrays["epochs"].tolist(), "images": config.images, "repeats": config.repeats, "runs": runs}


def _of_repeat(arrays: dict[str, Array], prefix: str) -> dict[str, list[float]]:
    own = {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
    values = [a for name, a in own.items() if name.startswith("values_")]
    numbers = {"accuracy": own["accuracy"].tolist(), "active_inner": np.median(own["active"], axis=(1, 2)).tolist()}
    for r, reading in enumerate(READINGS):
        of = [v[:, r] for v in values]
        numbers[f"exact_ones_{reading}"] = _along(of, lambda v: (abs(v - 1) <= EXACT).mean(axis=-1))
        numbers[f"largest_{reading}"] = _along(of, lambda v: v[..., 0])
    before, after = ([v[:, r] for v in values] for r in range(2))
    return numbers | {
        "zeros_after": _along(after, lambda v: (v <= EXACT).mean(axis=-1)),
        "within_0.1_before": _along(before, lambda v: (abs(v - 1) <= 0.1).mean(axis=-1)),
        "smallest_before": _along(before, lambda v: v[..., -1]),
        # mean distance of sorted values: the Wasserstein distance of the two distributions
        "distance_from_start_before": _along(before, lambda v: abs(v - v[:1]).mean(axis=-1)),
    }


def _along(values: list[Array], number: Callable[[Array], Array]) -> list[float]:
    """The median over blocks and images of a number (snapshots, images) of each block."""
    medians: list[float] = np.median(np.concatenate([number(v) for v in values], axis=1), axis=1).tolist()
    return medians


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Shares of exact ones, the sparsity that forces them, extremes, and distance from the start."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from resdyn.plotting.canvas import COLOURS

    figure = Figure(figsize=(10, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    (ones, active), (extremes, distance) = figure.subplots(2, 2, sharex=True)
    epochs = np.array(summary["epochs"])

    def draw(ax: Any, run: dict[str, Any], name: str, colour: str, style: str, label: str) -> None:
        rows = np.array([repeat[name] for repeat in run["of_repeats"]])
        ax.fill_between(epochs, rows.min(0), rows.max(0), color=colour, alpha=0.2, linewidth=0)
        ax.plot(epochs, run[name], style, color=colour, marker="o", markersize=3, label=label)

    for (words, run), colour in zip(summary["runs"].items(), (COLOURS[0], COLOURS[3], COLOURS[2]), strict=False):
        accuracy = f"weight {words} (test accuracy {100 * run['accuracy'][-1]:.0f} %)"
        draw(ones, run, "exact_ones_before", colour, "-", f"{words}, before the last ReLU")
        draw(ones, run, "exact_ones_after", colour, "--", f"{words}, after it")
        draw(active, run, "active_inner", colour, "-", accuracy)
        draw(extremes, run, "largest_before", colour, "-", f"{words}, largest")
        draw(extremes, run, "smallest_before", colour, "--", f"{words}, smallest")
        draw(distance, run, "distance_from_start_before", colour, "-", words)
    active.axhline(0.5, color="0.4", linewidth=0.8, zorder=0, label="below, ones are forced")
    extremes.set_yscale("log")
    for ax in (ones, active, extremes, distance):
        ax.set_xscale("symlog", linthresh=1, base=2)
        ax.set_xlim(-0.1, epochs[-1] * 1.1)
        ax.set_xticks(epochs, [str(epoch) for epoch in epochs], minor=False)
        ax.legend(fontsize="x-small", frameon=False, handlelength=3.5)
    for ax in (extremes, distance):
        ax.set_xlabel("epochs")
    ones.set_ylabel("share of singular values exactly 1")
    active.set_ylabel("inner ReLUs that fire, p/n")
    extremes.set_ylabel("singular value, before the last ReLU")
    distance.set_ylabel("mean distance of singular values\nfrom the untrained net's")
    figure.suptitle(
        f"ResNet-{config.depth} on digits: medians over {arrays['0_0_active'].shape[1]} blocks and {config.images} "
        f"images; line: median of {config.repeats} trainings, band: all of them",
        fontsize="medium",
    )
    return figure


if __name__ == "__main__":
    main(__file__)
