r"""The depth rule of lagzi2021 in training: layers that do what the layer before them did are dropped, epoch by epoch.

After each epoch the residuals of the last two layers are compared, per unit and on average over the training samples;
where they differ by less than the threshold (0.01 in the paper), the last layer goes, and training goes on with what is
left. The paper stops when the training loss is minimal; we train for a fixed number of epochs with a learning rate that
ends at 0, so that the loss does not fall any more at the end. Threshold 0 never drops and is the control; so are
networks that had few layers from the start, with one matrix or with a matrix for each layer: whether all layers are
needed is what they say, and the rule does not.

Concentric circles: three units, as in ``circles``, with one matrix for all layers ("shared") or fifteen ("layerwise").
"late" are networks with one matrix for which the rule acts in the second half of the training alone: what it sees in
the first epochs are networks that have learned nothing yet. Images: logistic units with one matrix, zeros appended to
the pixels, W from N(0, 0.3²/N) and b from −3. At the laptop 256 units take MNIST at half its resolution (means of 2×2
pixels), 6000 training images and 10 epochs; the paper's network has 1064 units, and takes all.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.lagzi2021_transients.shrinking import Training, trained

Array = NDArray[Any]
DEPTH, RADII = 15, (0.5, 1.0)
PAPER = 0.01
KINDS = ("shared", "late", "layerwise")
LAST = ("layers", "test_accuracy", "train_accuracy", "loss")


@dataclass(frozen=True)
class Config:
    """What is trained."""

    thresholds: tuple[float, ...] = (0.0, 0.003, 0.01, 0.03, 0.1)
    """Of the circles."""
    seeds: int = 6
    samples: int = 1000
    epochs: int = 200
    fixed: tuple[int, ...] = (1, 2, 3, 5, 8)
    """Depths of circles networks that keep all layers, beside 15; of one layer there is but one kind."""
    images: str = "mnist"
    """Or "digits"."""
    pooled: bool = True
    units: int = 256
    training_images: int = 6000
    image_thresholds: tuple[float, ...] = (0.0, 0.01, 0.02, 0.05)
    image_seeds: int = 3
    image_epochs: int = 10
    image_rate: float = 0.005
    device: str = "cpu"
    """Of the images' networks."""


PRESETS = {
    "smoke": Config(
        thresholds=(0.0, 0.01, 0.1),
        seeds=2,
        samples=100,
        epochs=20,
        fixed=(5,),
        images="digits",
        pooled=False,
        units=64,
        training_images=400,
        image_thresholds=(0.0, 0.01, 0.1),
        image_seeds=2,
        image_epochs=4,
    ),
    "laptop": Config(),
    "paper": Config(
        seeds=24,
        pooled=False,
        units=1064,
        training_images=60_000,
        image_thresholds=(0.0, 0.001, 0.003, 0.01, 0.02, 0.05),
        image_seeds=5,
        image_epochs=30,
        image_rate=0.001,
        device="cuda",
    ),
}
# training multiplies rounding: a layer may go an epoch later on another machine, and samples change sides
TOLERANCES = {
    "circles.*.layers.*": 1.0,
    "circles.*.accuracy.*": 0.05,
    "images.layers.*": 1.0,
    "images.accuracy.*": 0.03,
}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Everything over threshold, seed and, of the course, epoch; controls of fixed depth over depth and seed."""
    found: dict[str, Array] = {}
    for kind in KINDS:

        def circles(kind: str = kind) -> dict[str, Array]:
            after = config.epochs // 2 if kind == "late" else 0
            return _circles(config, run, shared=kind != "layerwise", thresholds=config.thresholds, after=after)

        found |= {f"{kind}_{name}": value for name, value in run.part(kind, circles, keep=True).items()}

    def fixed() -> dict[str, Array]:
        return _circles(config, run, shared=True, depths=config.fixed)

    found |= {f"fixed_{name}": value for name, value in run.part("fixed", fixed, keep=True).items()}
    each = []
    for threshold in config.image_thresholds:

        def images(threshold: float = threshold) -> dict[str, Array]:
            return _images(config, run, threshold)

        each.append(run.part(f"images{threshold:g}", images, keep=True))

    def layerwise() -> dict[str, Array]:
        return _circles(config, run, shared=False, depths=_several(config))

    found |= {
        f"fixed_layerwise_{name}": value for name, value in run.part("fixed-layerwise", layerwise, keep=True).items()
    }
    return found | {f"images_{name}": np.stack([one[name] for one in each]) for name in each[0]}


def _several(config: Config) -> tuple[int, ...]:
    """Depths at which a matrix for each layer is not the same as one matrix."""
    return tuple(depth for depth in config.fixed if depth > 1)


def _circles(
    config: Config,
    run: Run,
    *,
    shared: bool,
    thresholds: tuple[float, ...] = (0.0,),
    depths: tuple[int, ...] = (DEPTH,),
    after: int = 0,
) -> dict[str, Array]:
    """One batch of networks: every threshold, or every depth, from the same seeds."""
    x, labels = resdyn.data.circles(config.samples, radii=RADII, rng=0)
    training = Training(3, len(RADII), DEPTH, shared=shared, bias=-1.0, learning_rate=0.05, epochs=config.epochs)
    rows = max(len(thresholds), len(depths))
    found = trained(
        training,
        x,
        labels,
        tuple(range(config.seeds)) * rows,
        thresholds=np.repeat(thresholds, config.seeds * rows // len(thresholds)),
        depths=np.repeat(depths, config.seeds * rows // len(depths)),
        after=after,
        test=resdyn.data.circles(config.samples, radii=RADII, rng=1),
        progress=lambda items: run.progress(items, "epochs"),
    )
    return {name: value.reshape(rows, config.seeds, *value.shape[1:]) for name, value in _kept(found).items()}


def _images(config: Config, run: Run, threshold: float) -> dict[str, Array]:
    x, labels = _pixels(config, "train")
    training = Training(
        config.units,
        10,
        DEPTH,
        spread=0.3,
        bias=-3.0,
        epochs=config.image_epochs,
        learning_rate=config.image_rate,
        device=config.device,
        double=False,
    )
    seeds = tuple(range(config.image_seeds))
    found = trained(
        training,
        x[: config.training_images],
        labels[: config.training_images],
        seeds,
        thresholds=np.full(len(seeds), threshold),
        test=_pixels(config, "test"),
        progress=lambda items: run.progress(items, f"threshold {threshold:g}"),
    )
    return _kept(found)


def _kept(found: dict[str, Array]) -> dict[str, Array]:
    return {name: found[name] for name in (*LAST, "losses", "depths", "differences")}


def _pixels(config: Config, split: str) -> tuple[Array, Array]:
    """Images from 0 to 1, one row each, and their labels."""
    read = resdyn.data.mnist if config.images == "mnist" else resdyn.data.digit_images
    images = read(split)
    pixels = images.images[:, 0] / 255
    if config.pooled:
        n, height, width = pixels.shape
        pixels = pixels.reshape(n, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    return pixels.reshape(len(pixels), -1), images.labels


# --- numbers -----------------------------------------------------------------------------------------


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Depth and accuracy over threshold and seed."""
    return {
        "paper": PAPER,
        "start": DEPTH,
        "circles": {
            "thresholds": config.thresholds,
            "samples": config.samples,
            **{kind: _numbers(arrays, kind) for kind in KINDS},
        },
        "fixed": _from_the_start(config, arrays),
        "images": {
            "name": config.images.replace("mnist", "MNIST"),
            "units": config.units,
            "inputs": 784 // (4 if config.pooled else 1) if config.images == "mnist" else 64,
            "training_images": config.training_images,
            "epochs": config.image_epochs,
            "thresholds": config.image_thresholds,
            **_numbers(arrays, "images"),
        },
    }


def _from_the_start(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Accuracy over depth and seed of networks that kept all their layers; those of one layer are in both kinds."""
    shared, several = arrays["fixed_test_accuracy"], arrays["fixed_layerwise_test_accuracy"]
    one = [k for k, depth in enumerate(config.fixed) if depth == 1]
    return {
        "shared": {"depths": config.fixed, "accuracy": shared},
        "layerwise": {
            "depths": (*(config.fixed[k] for k in one), *_several(config)),
            "accuracy": np.concatenate([shared[one], several]),
        },
    }


def _numbers(arrays: dict[str, Array], kind: str) -> dict[str, Array]:
    last = arrays[f"{kind}_losses"].argmin(axis=-1)
    return {
        "layers": arrays[f"{kind}_layers"],
        "accuracy": arrays[f"{kind}_test_accuracy"],
        "train_accuracy": arrays[f"{kind}_train_accuracy"],
        "loss": arrays[f"{kind}_loss"],
        # the other reading of "until the loss is minimal"
        "layers_at_smallest_loss": np.take_along_axis(arrays[f"{kind}_depths"], last[..., None], axis=-1)[..., 0],
        "first_drop": first_drop(arrays[f"{kind}_depths"]),
    }


def first_drop(depths: Array) -> Array:
    """The epoch after which the first layer went, −1 for none; from depths over epochs, the last axis."""
    fell = np.diff(depths, axis=-1) < 0
    return np.where(fell.any(axis=-1), fell.argmax(axis=-1), -1)


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Depth and accuracy over threshold, of circles and of images."""
    from experiments.lagzi2021_transients.depth_figure import figure_of

    return figure_of(arrays, summary)


if __name__ == "__main__":
    main(__file__)
