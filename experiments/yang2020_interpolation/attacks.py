"""Experiment 4: accuracy under FGSM, I-FGSM and PGD against the radius, with and without damping.

    python -m experiments.yang2020_interpolation.attacks --preset laptop

Each net is attacked by its own gradients, on the same images, and compared image by image and seed by seed. FGSM takes
one step of the radius; I-FGSM steps of the radius over their number, from the image; PGD steps of 2.5 times that, from
a random point of the ball (usual forms). "pgd-start" is PGD as in the public code: the ball is centred on the random
start, so that an image may move by twice the radius, and steps are 1/255 at every radius.

Our choices: the norm is the largest change of a pixel; radii in 255ths. Laptop: FGSM on 300 test images, the iterated
attacks on the first 240 of them, with ten steps instead of 20. Smoke: digits, and nets that were not trained with
damping.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.yang2020_interpolation.comparing import paired
from experiments.yang2020_interpolation.judging_networks import ATTACKS_IN_WORDS
from experiments.yang2020_interpolation.trained_nets import BASE, KINDS, all_nets, grid_of, named, test_images, title

Array = NDArray[Any]

ATTACKS = ("fgsm", "i-fgsm", "pgd", "pgd-start")
BYTE = 1 / 255


@dataclass(frozen=True)
class Config:
    """What the numbers depend on; radii in 255ths."""

    family: str = "resnet20-cifar10"
    kinds: tuple[str, ...] = KINDS
    """The first is the one that the others are compared with."""
    seeds: tuple[int, ...] = (0, 1)
    images: int = 300
    iterated_images: int = 240
    """The first of them, for all attacks but FGSM."""
    fgsm_radii: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
    radii: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Of I-FGSM and PGD: at 2/255 hardly an image is left to a net that was not trained against attacks."""
    start_radii: tuple[float, ...] = (1.0,)
    steps: int = 10
    attack_seed: int = 0
    device: str = "cpu"

    def radii_of(self, attack: str) -> tuple[float, ...]:
        """In 255ths."""
        return {"fgsm": self.fgsm_radii, "pgd-start": self.start_radii}.get(attack, self.radii)

    def images_of(self, attack: str) -> int:
        """So many first ones."""
        return self.images if attack == "fgsm" else min(self.images, self.iterated_images)


_ALL: dict[str, Any] = {
    "images": 10000,
    "iterated_images": 10000,
    "radii": (0.5, 1.0, 2.0, 4.0, 8.0),
    "start_radii": (1.0, 2.0, 4.0, 8.0),
    "steps": 20,
    "device": "cuda",
}
PRESETS = {
    "smoke": Config(
        "resnet20-digits",
        seeds=(0,),
        images=60,
        iterated_images=40,
        fgsm_radii=(8.0, 32.0),
        radii=(8.0, 32.0),
        start_radii=(4.0,),
        steps=4,
    ),
    "laptop-resnext": Config("resnext29-4x4-cifar10", (BASE, "in"), seeds=(0,)),
    "laptop": Config(),
    "paper-resnext": Config("resnext29-8x64-cifar10", (BASE, "in"), seeds=(0,), **_ALL),
    "paper": Config("resnet56-cifar10", seeds=(0, 1, 2), **_ALL),
    "paper-110": Config("resnet110-cifar10", seeds=(0, 1, 2), **_ALL),
}
# one of 40 images is 0.025; signs of gradients near zero differ between machines and may turn one or two
TOLERANCES = {"attacks.*.clean.*.*": 0.03, "attacks.*.accuracy.*.*": 0.06}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """``clean`` over kind, seed and image; for each attack which images stay right, over kind, seed, radius, image."""
    nets = all_nets(config)
    images = test_images(config.family, config.images)
    pixels, labels = images.pixels(), images.labels
    size = (len(config.kinds), len(config.seeds))
    arrays: dict[str, Array] = {"clean": np.empty((*size, len(labels)), dtype=bool)}
    for attack in ATTACKS:
        n, radii = config.images_of(attack), config.radii_of(attack)
        arrays[attack] = np.empty((*size, len(radii), n), dtype=bool)
        arrays[f"{attack}-size"] = np.empty((*size, len(radii)))
        arrays[f"{attack}-stalled"] = np.empty((*size, len(radii)))
    jobs = [(*place, attack) for place in grid_of(config.kinds, config.seeds) for attack in ATTACKS]
    for i, j, kind, seed, attack in run.progress(jobs, "attacks"):
        n = config.images_of(attack)

        def one(net: Any = nets[kind, seed], attack: str = attack, n: int = n) -> dict[str, Array]:
            found = [
                attacked(net, pixels[:n], labels[:n], attack, radius * BYTE, config)
                for radius in config.radii_of(attack)
            ]
            # of fewer images for some attacks: the first rows of the same
            return {
                "clean": found[0].clean_correct,
                attack: np.stack([one.predictions == labels[:n] for one in found]),
                f"{attack}-size": np.array([one.norms.max() for one in found]),
                f"{attack}-stalled": np.array([one.stalled.mean() for one in found]),
            }

        part = run.part(f"{named(config.family, kind, seed)}-{attack}", one)
        arrays["clean"][i, j, :n] = part.pop("clean")
        for name, values in part.items():
            arrays[name][i, j] = values
    return arrays


def attacked(net: Any, pixels: Array, labels: Array, attack: str, radius: float, config: Config) -> Any:
    """One attack on these images; the radius in units of pixels from 0 to 1."""
    if attack == "fgsm":
        return resdyn.networks.fgsm(net, pixels, labels, radius=radius)
    if attack == "i-fgsm":
        return resdyn.networks.i_fgsm(net, pixels, labels, radius=radius, steps=config.steps)
    start: dict[str, Any] = {"ball": "start", "step_size": BYTE} if attack == "pgd-start" else {}
    return resdyn.networks.pgd(net, pixels, labels, radius=radius, steps=config.steps, rng=config.attack_seed, **start)


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """For each attack accuracies by radius, seed by seed, and differences to the first kind.

    ``difference`` is that of the accuracy, mean over radii; ``cost`` that of the accuracy less that on the clean
    images; ``by_radius`` its parts.
    """
    return {
        "family": config.family,
        "kinds": {kind: title(config.family, kind) for kind in config.kinds},
        "seeds": config.seeds,
        "steps": config.steps,
        "attacks": {attack: _of_attack(config, arrays, attack) for attack in ATTACKS},
    }


def _of_attack(config: Config, arrays: dict[str, Array], attack: str) -> dict[str, Any]:
    table, n = arrays[attack], config.images_of(attack)
    clean = arrays["clean"][..., :n]
    radii = config.radii_of(attack)
    return {
        "images": n,
        "radii": radii,
        "clean": {kind: clean[i].mean(axis=-1) for i, kind in enumerate(config.kinds)},
        # over seeds and radii
        "accuracy": {kind: table[i].mean(axis=-1) for i, kind in enumerate(config.kinds)},
        "largest_change": 255 * arrays[f"{attack}-size"].max(axis=(0, 1)),
        "stalled": {kind: arrays[f"{attack}-stalled"][i].max() for i, kind in enumerate(config.kinds)},
        "differences": {
            kind: {
                "difference": paired(table[i].mean(axis=1), table[0].mean(axis=1)),
                "cost": paired(table[i].mean(axis=1) - clean[i], table[0].mean(axis=1) - clean[0]),
                "by_radius": {f"{radius:g}": paired(table[i, :, r], table[0, :, r]) for r, radius in enumerate(radii)},
            }
            for i, kind in enumerate(config.kinds)
            if i
        },
    }


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Accuracy against radius for each attack; below, differences to the net without damping."""
    from matplotlib.figure import Figure

    from experiments.yang2020_interpolation.drawing import COLOUR, MARKER, differences

    figure = Figure(figsize=(12, 6.4), layout="constrained")
    axes = figure.subplots(2, len(ATTACKS), sharey="row")
    for attack, ax, below in zip(ATTACKS, *axes, strict=True):
        found = summary["attacks"][attack]
        # evenly spaced: radii double
        places = np.arange(len(found["radii"]) + 1)
        for i, kind in enumerate(config.kinds):
            clean = np.array(found["clean"][kind])[:, None]
            table = 100 * np.hstack([clean, np.array(found["accuracy"][kind])])
            # marks side by side, lines where they belong: on steep curves a shift would look like a difference
            at = places + 0.08 * (i - (len(config.kinds) - 1) / 2)
            ax.plot(places, table.mean(axis=0), color=COLOUR[kind])
            ax.plot([], [], MARKER[kind] + "-", color=COLOUR[kind], markersize=4, label=summary["kinds"][kind])
            for row in table:
                ax.plot(at, row, MARKER[kind], color=COLOUR[kind], markersize=4)
        names = ["0", *(f"{radius:g}" for radius in found["radii"])]
        ax.set_xticks(places, names)
        ax.set_xlabel("radius [1/255 of the range of pixels]", fontsize="small")
        ax.set_title(f"{ATTACKS_IN_WORDS[attack]}, {found['images']} images", fontsize="medium")
        rows = {
            kind: {"all": table["difference"], "all less\nclean": table["cost"], **table["by_radius"]}
            for kind, table in found["differences"].items()
        }
        differences(below, rows, summary, "accuracy")
        means = ", ".join(f"{100 * np.mean(found['accuracy'][kind]):.1f}" for kind in config.kinds)
        below.set_title(f"mean over radii: {means} %", fontsize="small")
        below.set_xlabel("radius; all: mean over radii", fontsize="small")
        if attack != ATTACKS[0]:
            below.set_ylabel("")
    axes[0, 0].set_ylabel("accuracy [%]")
    axes[0, 0].legend(fontsize="small", frameon=False, title="line: mean; marks: seeds", title_fontsize="small")
    figure.suptitle(
        f"{config.family} under attack, {config.steps} steps; below: each seed ± 2 standard errors over images",
        fontsize="medium",
    )
    return figure


if __name__ == "__main__":
    main(__file__)
