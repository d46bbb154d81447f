"""Accuracy of a trained CIFAR ResNet under attack and noise: the numbers of docs/networks/attacks_and_noise.rst.

    python -m experiments.attack_table [--weights resnet20-12fca82f] [--images 200] [--out FOLDER]

Random perturbations, FGSM and PGD at five radii, the variants of yang2020, and the noise of CIFAR-10-C. The public
weights and the images are looked for in the data folder. Writes <weights>.json; two minutes for 200 images.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import resdyn
from experiments.public_weights import trained_net

RADII = (("linf", 1 / 255), ("linf", 2 / 255), ("linf", 8 / 255), ("l2", 0.1), ("l2", 0.5))


def measure(net: Any, images: resdyn.data.ImageSet) -> dict[str, Any]:
    """All numbers; accuracies are fractions."""
    networks, labels = resdyn.networks, images.labels
    pixels = images.pixels()

    def accuracy(moved: Any) -> float:
        # pixels as a float array would count as inputs that are normalised already
        return networks.accuracy(net, (net.preprocessing(moved), labels)).fraction

    def attacked(attack: Any, norm: str, radius: float, **options: Any) -> float:
        return float(attack(net, pixels, labels, radius=radius, norm=norm, **options).accuracy)

    def at(norm: str, radius: float) -> dict[str, Any]:
        moved = np.clip(pixels + networks.random_perturbations(pixels, radius=radius, norm=norm, rng=0)[0], 0, 1)
        return {
            "norm": norm,
            "radius": radius,
            "random": accuracy(moved),
            "fgsm": attacked(networks.fgsm, norm, radius),
            "pgd": attacked(networks.pgd, norm, radius, rng=0),
        }

    byte = 1 / 255
    noise = {how: networks.noise_accuracy(net, pixels, labels, standardise=how) for how in ("network", "images")}
    return {
        "clean": accuracy(pixels),
        "radii": [at(norm, radius) for norm, radius in RADII],
        "pgd_steps_of_one_byte": attacked(networks.pgd, "linf", byte, steps=20, step_size=byte, rng=0),
        "pgd_ball_around_start": attacked(networks.pgd, "linf", byte, steps=20, step_size=byte, ball="start", rng=0),
        "noise_by_severity": noise["network"].accuracy.mean(axis=0).tolist(),
        "noise": noise["network"].pooled,
        "noise_standardised_by_itself": noise["images"].pooled,
    }


def main() -> None:
    """Run the job of the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="resnet20-12fca82f", help="a name or a file")
    parser.add_argument("--images", type=int, default=200, help="so many first ones of the test set")
    parser.add_argument("--out", type=Path, default=Path("results/attack_table"))
    arguments = parser.parse_args()

    name = Path(arguments.weights).stem
    net = trained_net(arguments.weights)
    images = resdyn.data.cifar10("test").subset(slice(0, arguments.images))
    numbers = {"network": name, "images": len(images), **measure(net, images)}
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(numbers, indent=1)
    (arguments.out / f"{name}.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
