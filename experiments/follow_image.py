"""A test image through the residual units of a trained CIFAR ResNet: norms of state and residual, unit by unit.

    python -m experiments.follow_image [--weights resnet56-4bfd9763] [--image 0] [--images 500] [--out FOLDER]

The default weights are public (post-activation units, option-A shortcuts) and are looked for in ``weights/`` below the
data folder, as are the images of CIFAR-10. Writes <weights>.json and <weights>.png: the image and its norms, and the
median and the middle half of the first images of the test set.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import resdyn
from experiments.public_weights import trained_net
from resdyn import plotting


def follow(weights: str, images: resdyn.data.ImageSet) -> Any:
    """The trace of all images: norms and logits, no states."""
    net = trained_net(weights)
    inputs = net.preprocessing(images.pixels())
    return resdyn.networks.unroll(net, inputs[:1], name=Path(weights).stem).trace(inputs, keep=())


def summarise(trace: Any, image: int, images: resdyn.data.ImageSet) -> dict[str, Any]:
    """The numbers of the figure."""
    norms = trace.norms()
    predicted = trace.logits.argmax(axis=-1)
    median_ratios = np.median(norms.ratios, axis=1)
    kept = np.flatnonzero(~norms.entries)
    return {
        "network": norms.name,
        "image": image,
        "class": images.classes[images.labels[image]],
        "predicted": images.classes[predicted[image]],
        "images": len(images),
        "accuracy": float((predicted == images.labels).mean()),
        "units": list(norms.units),
        "state_norms_of_the_image": norms.states[:, image].tolist(),
        "residual_norms_of_the_image": norms.residuals[:, image].tolist(),
        "median_state_norms": np.median(norms.states, axis=1).tolist(),
        "median_residual_norms": np.median(norms.residuals, axis=1).tolist(),
        "median_ratios": median_ratios.tolist(),
        "moves_the_state_least": norms.units[kept[median_ratios[kept].argmin()]],
        "moves_the_state_most": norms.units[kept[median_ratios[kept].argmax()]],
    }


def draw(trace: Any, numbers: dict[str, Any], picture: Any, path: Path) -> None:
    """The picture, if any, and its norms over those of all images."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.6 if picture is None else 8.6, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    *others, right = figure.subplots(
        1, 1 if picture is None else 2, width_ratios=None if picture is None else (1, 3), squeeze=False
    )[0]
    label = f"test image {numbers['image']}: {numbers['class']}"
    for left in others:
        left.imshow(picture)
        left.set_axis_off()
        left.set_title(f"{label}\nclassified as {numbers['predicted']}", fontsize="small")
    plotting.unit_norms(trace, ax=right)
    units = np.arange(1, len(numbers["units"]) + 1)
    states = numbers["state_norms_of_the_image"]
    right.plot(np.arange(len(states)), states, "k.", markersize=4, label=label, zorder=3)
    right.plot(units, numbers["residual_norms_of_the_image"], "k.", markersize=4, zorder=3)
    right.legend(fontsize="x-small", frameon=False, ncols=2)
    right.set_title(
        f"{numbers['network']}: median and middle half of {numbers['images']} test images", fontsize="small"
    )
    figure.savefig(path, dpi=150)


def main() -> None:
    """Run the job of the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="resnet56-4bfd9763", help="a name or a file")
    parser.add_argument("--image", type=int, default=0, help="of the test set")
    parser.add_argument("--images", type=int, default=500, help="so many first ones of the test set")
    parser.add_argument("--out", type=Path, default=Path("results/follow_image"))
    parser.add_argument("--without-picture", action="store_true", help="leave the image itself out of the figure")
    arguments = parser.parse_args()
    if not 0 <= arguments.image < arguments.images:
        parser.error(f"--image {arguments.image} is not among the first {arguments.images} images")

    images = resdyn.data.cifar10("test").subset(slice(0, arguments.images))
    trace = follow(arguments.weights, images)
    numbers = summarise(trace, arguments.image, images)
    arguments.out.mkdir(parents=True, exist_ok=True)
    target = arguments.out / numbers["network"]
    target.with_suffix(".json").write_text(json.dumps(numbers, indent=1) + "\n")
    picture = None if arguments.without_picture else images.images[arguments.image].transpose(1, 2, 0)
    draw(trace, numbers, picture, target.with_suffix(".png"))
    print(trace.norms())
    print(
        f"accuracy on {len(images)} images: {numbers['accuracy']:.4f}; the image: {numbers['class']}, "
        f"classified as {numbers['predicted']}"
    )
    print(f"wrote {target.with_suffix('.png')} and {target.with_suffix('.json')}")


if __name__ == "__main__":
    main()
