r"""Experiment 5: the loss along the attack direction and along a random one, with and without damping.

    python -m experiments.yang2020_interpolation.landscape --preset laptop

The attack direction of an image and a net is the sign of the gradient of the loss, that of FGSM; the random direction
has random signs, the same for all nets. Both change every pixel by the radius. The loss is the cross-entropy of the
true class, mean over images, on the lines :math:`x + a d`, :math:`x + b r` and on the plane of both. Sharpness: the
rise of the loss at a radius, and the slope at the image, :math:`\|\nabla L\|_1`, which is the steepest of all
directions with these changes of pixels.

Our choices: of the paper only that there is a landscape along the attack direction is known to us. Lines are straight:
pixels may leave [0, 1], by the radius. A net that is surer of its right answers has a lower loss and a smaller
gradient: the clean loss stands beside, and a median over images beside the means. Laptop: 100 images for lines, the
first 40 of them for planes, up to 8/255. Smoke: digits, and nets that were not trained with damping.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

import resdyn
from experiments._harness import Run, main
from experiments.yang2020_interpolation.comparing import paired
from experiments.yang2020_interpolation.trained_nets import (
    BASE,
    BATCH,
    KINDS,
    all_nets,
    grid_of,
    named,
    test_images,
    title,
)

Array = NDArray[Any]

DIRECTIONS = ("attack", "random")
BYTE = 1 / 255


@dataclass(frozen=True)
class Config:
    """What the numbers depend on; radii in 255ths."""

    family: str = "resnet20-cifar10"
    kinds: tuple[str, ...] = KINDS
    """The first is the one that the others are compared with."""
    seeds: tuple[int, ...] = (0, 1)
    images: int = 100
    plane_images: int = 40
    """The first of them."""
    radius: float = 8.0
    points: int = 17
    """Of a line, from −radius to the radius."""
    plane_points: int = 11
    rises: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    """Radii, points of the line, at which the rise of the loss is told."""
    direction_seed: int = 0
    device: str = "cpu"


_ALL: dict[str, Any] = {"images": 1000, "plane_images": 1000, "points": 33, "plane_points": 33, "device": "cuda"}
PRESETS = {
    "smoke": Config(
        "resnet20-digits", seeds=(0,), images=40, plane_images=8, radius=32.0, points=9, plane_points=5,
        rises=(8.0, 16.0, 32.0),
    ),
    "laptop-resnext": Config("resnext29-4x4-cifar10", (BASE, "in"), seeds=(0,)),
    "laptop": Config(),
    "paper-resnext": Config("resnext29-8x64-cifar10", (BASE, "in"), seeds=(0,), **_ALL),
    "paper": Config("resnet56-cifar10", seeds=(0, 1, 2), **_ALL),
    "paper-110": Config("resnet110-cifar10", seeds=(0, 1, 2), **_ALL),
}  # fmt: skip
# single precision; the sign of a gradient near zero may differ, which moves a loss by little
TOLERANCES = {"nets.*.clean.*": 2e-3, "nets.*.slope.*": 2e-3, "nets.*.rise.*.*.*": 0.05}


def line_of(config: Config) -> Array:
    """Coefficients of a direction, in units of pixels."""
    return np.linspace(-config.radius, config.radius, config.points) * BYTE


def compute(config: Config, run: Run) -> dict[str, Array]:
    """``lines`` over kind, seed, direction, point and image; ``planes`` over kind, seed, a, b; ``slopes`` per image."""
    _check_points(config)
    nets = all_nets(config)
    images = test_images(config.family, config.images)
    pixels, labels = images.pixels(), images.labels
    random = resdyn.networks.random_perturbations(pixels, radius=1.0, clip=False, rng=config.direction_seed)[0]
    found: dict[str, Array] = {}
    for i, j, kind, seed in run.progress(grid_of(config.kinds, config.seeds), "nets"):

        def one(net: Any = nets[kind, seed]) -> dict[str, Array]:
            return _of_net(net, pixels, labels, random, config)

        for name, values in run.part(named(config.family, kind, seed), one).items():
            found.setdefault(name, np.empty((len(config.kinds), len(config.seeds), *values.shape)))[i, j] = values
    return found


def _check_points(config: Config) -> None:
    line = line_of(config) / BYTE
    if not all(np.isclose(line, radius).any() for radius in (0.0, *config.rises)):
        raise SystemExit(f"0 and the radii {config.rises} must be points of the line, which are {line.tolist()}.")


def _of_net(net: Any, pixels: Array, labels: Array, random: Array, config: Config) -> dict[str, Array]:
    gradients = loss_gradients(net, pixels, labels)
    directions = np.stack([np.sign(gradients), random])
    line = line_of(config)
    lines = [[losses(net, pixels + np.float32(a) * d, labels) for a in line] for d in directions]
    n = config.plane_images
    ends = np.linspace(-config.radius, config.radius, config.plane_points).astype(np.float32) * np.float32(BYTE)
    d, r = directions[:, :n]
    plane = [[losses(net, pixels[:n] + a * d + b * r, labels[:n]).mean() for b in ends] for a in ends]
    return {
        "lines": np.array(lines),
        "planes": np.array(plane),
        "slopes": np.abs(gradients).reshape(len(pixels), -1).sum(axis=1) * BYTE,
    }


def losses(net: Any, pixels: Array, labels: Array) -> Array:
    """Cross-entropy of the true class of each image, shape (n,); pixels may leave [0, 1]."""
    with torch.no_grad():
        parts = [cross_entropy(net(x), y, reduction="none").cpu() for x, y in _batches(net, pixels, labels)]
    return np.asarray(torch.cat(parts).numpy())


def loss_gradients(net: Any, pixels: Array, labels: Array) -> Array:
    """Gradients of the loss of each image with respect to its pixels, of their shape."""
    parts = []
    for inputs, y in _batches(net, pixels, labels):
        x = inputs.requires_grad_(True)
        (gradient,) = torch.autograd.grad(cross_entropy(net(x), y, reduction="sum"), x)
        parts.append(gradient.cpu())
    # normalisation divides pixels by the deviations
    return np.asarray(torch.cat(parts).numpy()) / np.array(net.preprocessing.std, dtype=np.float32)[:, None, None]


def _batches(net: Any, pixels: Array, labels: Array) -> Any:
    device = next(net.parameters()).device
    for begin in range(0, len(pixels), BATCH):
        x = torch.from_numpy(pixels[begin : begin + BATCH]).to(device)
        yield net.preprocessing(x), torch.from_numpy(labels[begin : begin + BATCH]).to(device)


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Of each kind of net loss, slope and rises, seed by seed; differences to the first kind.

    ``slope`` is the rise for 1/255 to first order.
    """
    lines, slopes = arrays["lines"], arrays["slopes"]
    line = line_of(config) / BYTE
    zero = int(np.argmin(np.abs(line)))
    places = {f"{radius:g}": int(np.argmin(np.abs(line - radius))) for radius in config.rises}
    rises = {name: lines[:, :, :, place] - lines[:, :, :, zero] for name, place in places.items()}
    return {
        "family": config.family,
        "kinds": {kind: title(config.family, kind) for kind in config.kinds},
        "seeds": config.seeds,
        "images": lines.shape[-1],
        "nets": {
            kind: {
                "clean": lines[i, :, 0, zero].mean(axis=-1),
                "slope": slopes[i].mean(axis=-1),
                "median_slope": np.median(slopes[i], axis=-1),
                "rise": {
                    direction: {name: rise[i, :, d].mean(axis=-1) for name, rise in rises.items()}
                    for d, direction in enumerate(DIRECTIONS)
                },
                "median_rise": {
                    direction: {name: np.median(rise[i, :, d], axis=-1) for name, rise in rises.items()}
                    for d, direction in enumerate(DIRECTIONS)
                },
            }
            for i, kind in enumerate(config.kinds)
        },
        "differences": {
            kind: {
                "clean": paired(lines[i, :, 0, zero], lines[0, :, 0, zero]),
                "slope": paired(slopes[i], slopes[0]),
                "rise": {
                    direction: {name: paired(rise[i, :, d], rise[0, :, d]) for name, rise in rises.items()}
                    for d, direction in enumerate(DIRECTIONS)
                },
            }
            for i, kind in enumerate(config.kinds)
            if i
        },
    }


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Planes of the first seed, one for each kind of net on one scale; lines of all seeds; differences of the rise."""
    from matplotlib.figure import Figure

    from experiments.yang2020_interpolation.drawing import COLOUR, MARKER, differences

    figure: Any = Figure(figsize=(13, 7), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1))
    planes = arrays["planes"][:, 0]
    levels = np.linspace(planes.min(), planes.max(), 15)
    ends = np.linspace(-config.radius, config.radius, config.plane_points)
    panels = above.subplots(1, len(config.kinds), sharey=True)
    for plane, kind, ax in zip(planes, config.kinds, panels, strict=True):
        filled = ax.contourf(ends, ends, plane.T, levels=levels, cmap="viridis")
        ax.contour(ends, ends, plane.T, levels=levels, colors="w", linewidths=0.4)
        slope = np.mean(summary["nets"][kind]["slope"])
        ax.set_title(
            f"{summary['kinds'][kind]}, seed {config.seeds[0]}; slope, mean over seeds: {slope:.2f} nats per 1/255",
            fontsize="small",
        )
        ax.set_xlabel("attack direction [1/255]")
        ax.set_aspect("equal")
    panels[0].set_ylabel("random direction [1/255]")
    above.colorbar(filled, ax=panels, label=f"loss, mean of {config.plane_images} images", format="%.2f")
    line = line_of(config) / BYTE
    lower = below.subplots(1, 3, width_ratios=(1, 1, 1.5))
    for d, (direction, ax) in enumerate(zip(DIRECTIONS, lower[:2], strict=True)):
        for i, kind in enumerate(config.kinds):
            for j, row in enumerate(arrays["lines"][i, :, d].mean(axis=-1)):
                label = summary["kinds"][kind] if j == 0 else None
                ax.plot(line, row, MARKER[kind] + "-", color=COLOUR[kind], markersize=3, linewidth=1, label=label)
        ax.set_xlabel(f"{direction} direction [1/255]")
        ax.set_ylabel(f"loss, mean of {summary['images']} images")
    lower[0].legend(fontsize="small", frameon=False, title="a line each seed", title_fontsize="small")
    rows = {
        kind: {
            f"{direction}\n{name}": entry
            for direction in DIRECTIONS
            for name, entry in table["rise"][direction].items()
        }
        for kind, table in summary["differences"].items()
    }
    differences(lower[2], rows, summary, "rise of the loss", scale=1.0, unit="nats")
    lower[2].set_xlabel("direction and radius [1/255]; ± 2 standard errors", fontsize="small")
    figure.suptitle(f"{config.family}: the loss around test images", fontsize="medium")
    return figure


if __name__ == "__main__":
    main(__file__)
