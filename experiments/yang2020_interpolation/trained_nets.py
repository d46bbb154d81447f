"""Trained nets of this paper, of the same size with and without damping, and the test images that they never saw.

A family is a net without damping and the data that it was trained on, such as "resnet20-cifar10"; the damped ones have
the same name with "in-" or "lambda-in-" before it. Nothing damped was trained on digits: there, for smoke runs, the
weights of the net that ships are put beside skip paths damped as at the beginning of a training.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import resdyn
from experiments._harness.nets import require, stored

Array = NDArray[Any]

BASE = "resnet"
KINDS = (BASE, "in", "lambda-in")
PREFIXES = {BASE: "", "in": "in-", "lambda-in": "lambda-in-"}
BATCH = 128


def named(family: str, kind: str, seed: int) -> str:
    """The name of a net."""
    return f"{PREFIXES[kind]}{family}-seed{seed}"


def file_name(family: str, kind: str, seed: int) -> str:
    """Of the net that has the weights: on digits they are those of the net without damping."""
    return named(family, BASE if data_of(family) == "digits" else kind, seed)


def title(family: str, kind: str) -> str:
    """How the paper calls it."""
    base = "ResNeXt" if family.startswith("resnext") else "ResNet"
    return {BASE: base, "in": f"In-{base}", "lambda-in": f"λ-In-{base}"}[kind]


def data_of(family: str) -> str:
    """What it was trained on: a name for :func:`resdyn.data.image_set`."""
    return family.rpartition("-")[2]


def test_images(family: str, n: int) -> Any:
    """So many first images of the test set."""
    images = resdyn.data.image_set(data_of(family))
    if n > len(images):
        raise SystemExit(f"{n} images are asked for, but the test set of {family} has {len(images)}.")
    return images.subset(slice(0, n))


def grid_of(kinds: tuple[str, ...], seeds: tuple[int, ...]) -> Iterator[tuple[int, int, str, int]]:
    """Places and names of all nets: every kind with every seed."""
    for i, kind in enumerate(kinds):
        for j, seed in enumerate(seeds):
            yield i, j, kind, seed


def all_nets(config: Any) -> dict[tuple[str, int], Any]:
    """The nets of a config, by kind and seed: one that is missing is not found after minutes only.

    Raises
    ------
    SystemExit
        If nets are not trained yet: which, and the command that trains them.
    """
    pairs = [(kind, seed) for _, _, kind, seed in grid_of(config.kinds, config.seeds)]
    require(*(file_name(config.family, kind, seed) for kind, seed in pairs))
    return {(kind, seed): trained(config.family, kind, seed, device=config.device) for kind, seed in pairs}


def trained(family: str, kind: str, seed: int, *, device: str = "cpu") -> Any:
    """One net, in eval mode."""
    net = resdyn.networks.load(stored(file_name(family, kind, seed)), device=device)
    return net if named(family, kind, seed) == file_name(family, kind, seed) else _damped(net, kind, seed)


def log_file(family: str, kind: str, seed: int) -> Path:
    """Where the log of a training lies; there is none for nets that were not trained."""
    return stored(file_name(family, kind, seed)).with_suffix(".log.jsonl")


def _damped(net: Any, kind: str, seed: int) -> Any:
    """The same weights with damped skip paths: the mechanics of a damped net, and no training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        damped = resdyn.networks.build({**net.architecture, "interpolation": kind})
    damped.load_state_dict(net.state_dict(), strict=False)
    damped.preprocessing, damped.card = net.preprocessing, {"trained": False}
    return damped.to(next(net.parameters()).device).eval()


def logits(net: Any, pixels: Array) -> Array:
    """Logits of images in pixels, shape (n, classes)."""
    device = next(net.parameters()).device
    with torch.no_grad():
        parts = [net.on_pixels(part.to(device)).cpu() for part in torch.from_numpy(pixels).split(BATCH)]
    return np.asarray(torch.cat(parts).numpy())


def right(net: Any, images: Any) -> NDArray[np.bool_]:
    """Which images are classified correctly."""
    return np.asarray(logits(net, images.pixels()).argmax(axis=1) == images.labels)


def coefficients(net: Any) -> tuple[Array, Array]:
    """λ of each unit, NaN where it has none, and the stage of each unit."""
    found, stages = [], []
    for number, stage in enumerate(net.stages, 1):
        for unit in stage.units():
            damping = unit.interpolation
            found.append(np.nan if damping is None else float(damping.value.detach()))
            stages.append(number)
    return np.array(found), np.array(stages)
