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
from resdyn.networks.checkpoints.places import locate

Array = NDArray[Any]

BASE = "resnet"
KINDS = (BASE, "in", "lambda-in")
PREFIXES = {BASE: "", "in": "in-", "lambda-in": "lambda-in-"}
READERS = {
    "cifar10": resdyn.data.cifar10,
    "cifar100": resdyn.data.cifar100,
    "digits": resdyn.data.digit_images,
}
# nets too large to travel with the package
LARGE = Path(__file__).parents[2] / "results" / "networks"
BATCH = 128


def named(family: str, kind: str, seed: int) -> str:
    """The name of a net's file, without its ending."""
    return f"{PREFIXES[kind]}{family}-seed{seed}"


def title(family: str, kind: str) -> str:
    """How the paper calls it."""
    base = "ResNeXt" if family.startswith("resnext") else "ResNet"
    return {BASE: base, "in": f"In-{base}", "lambda-in": f"λ-In-{base}"}[kind]


def data_of(family: str) -> str:
    """What it was trained on: a key of ``READERS``."""
    return family.rpartition("-")[2]


def test_images(family: str, n: int) -> Any:
    """So many first images of the test set."""
    images = READERS[data_of(family)]("test")
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
    nets, missing = {}, []
    for _, _, kind, seed in grid_of(config.kinds, config.seeds):
        try:
            nets[kind, seed] = trained(config.family, kind, seed, device=config.device)
        except FileNotFoundError:
            missing.append(named(config.family, kind, seed))
    if missing:
        plan = "laptop" if any(word in config.family for word in ("20-", "4x4")) else "gpu"
        plan += "-cifar100" if data_of(config.family) == "cifar100" else ""
        raise SystemExit(
            f"not trained yet: {', '.join(missing)}; train them with\n"
            f"    python -m experiments.train --plan {plan} --budget 600 --only {' '.join(missing)}"
        )
    return nets


def trained(family: str, kind: str, seed: int, *, device: str = "cpu") -> Any:
    """One net, in eval mode."""
    if data_of(family) == "digits" and kind != BASE:
        return _damped(resdyn.networks.load(named(family, BASE, seed), device=device), kind, seed)
    return resdyn.networks.load(_place(named(family, kind, seed)), device=device)


def log_file(family: str, kind: str, seed: int) -> Path:
    """Where the log of a training lies; there is none for nets that were not trained."""
    if data_of(family) == "digits":
        kind = BASE
    return Path(locate(_place(named(family, kind, seed)))).with_suffix(".log.jsonl")


def _place(name: str) -> str:
    large = LARGE / f"{name}.safetensors"
    return str(large) if large.is_file() else name


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
