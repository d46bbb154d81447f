r"""Experiment 4: random and adversarial perturbations of images, followed through all residual units.

    python -m experiments.rothauge2019_linearization.perturbations --preset laptop

Where does an adversarial perturbation jump, by how much, absolutely and relative to the state, and how much of its
excess over a random perturbation of the same length was there before? Laptop: 128 CIFAR-10 test images through the 27
units of the public ResNet-56, six attacks.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.rothauge2019_linearization.following import attacked, followed
from experiments.rothauge2019_linearization.gains import numbers_of
from experiments.rothauge2019_linearization.judging_perturbations import title_of
from experiments.rothauge2019_linearization.material import net_and_images

Array = NDArray[Any]

ATTACKS = ("fgsm linf 1/255", "fgsm linf 8/255", "pgd linf 1/255", "pgd linf 8/255", "pgd l2 0.1", "pgd l2 0.5")


@dataclass(frozen=True)
class Config:
    """What the numbers depend on."""

    weights: str = "resnet56-4bfd9763"
    images: int = 128
    attacks: tuple[str, ...] = ATTACKS
    steps: int = 20
    """Of PGD."""
    last: int = 3
    """So many units at the end are told apart from those before."""
    at_once: int = 16
    """Images of one part, which is kept when it is done."""
    seed: int = 0


PRESETS = {
    "smoke": Config("resnet20-digits-seed0", 12, ("fgsm linf 8/255", "pgd l2 0.5"), steps=5, last=1, at_once=6),
    "laptop": Config(),
    "paper": Config(images=1000, at_once=50),
}

# single precision decides signs of gradients, and so single pixels of attacks, differently on other machines
TOLERANCES = {
    "attacks.*.misclassified": 0.05,
    "attacks.*.excess.pooled": 0.6,
    "attacks.*.excess.end": 0.3,
    "attacks.*.adversarial.last_gain": 0.05,
    "attacks.*.random.last_gain": 0.02,
    "attacks.*.excess.parts.*.share": 0.03,
    "attacks.*.jump.over_stage.*": 0.05,
    "attacks.*.adversarial.largest_gain_at": 0,
}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Sizes along the network, (attacks, kinds, rows, images), and what goes with them."""
    net, pixels, labels = net_and_images(config.weights, config.images)
    jobs = [(words, begin) for begin in range(0, config.images, config.at_once) for words in config.attacks]
    parts: dict[str, list[dict[str, Array]]] = {words: [] for words in config.attacks}
    for words, begin in run.progress(jobs, "attacks on parts of the images"):
        chosen = slice(begin, begin + config.at_once)
        seed = config.seed + begin

        def part(words: str = words, chosen: slice = chosen, seed: int = seed) -> dict[str, Array]:
            attack = attacked(net, pixels[chosen], labels[chosen], words, steps=config.steps, seed=seed)
            return followed(net, attack, seed=seed)

        name = f"{words.replace(' ', '-').replace('/', 'of')}-{begin:05d}"
        parts[words].append(run.part(name, part))
    arrays = {
        name: np.stack([np.concatenate([p[name] for p in parts[words]], axis=-1) for words in config.attacks])
        for name in parts[config.attacks[0]][0]
    }
    network = resdyn.networks.unroll(net, net.preprocessing(pixels[:1]))
    stages = [k for k, stage in enumerate(network.stages, start=1) for _ in stage.units]
    return arrays | {"stages": np.array(stages)}


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Numbers of each attack, under its words."""
    stages = arrays["stages"]
    of_attacks = {name: array for name, array in arrays.items() if name != "stages"}
    return {
        "network": config.weights,
        "images": config.images,
        "units": len(stages),
        "attacks": {
            words: numbers_of({name: array[k] for name, array in of_attacks.items()}, stages, last=config.last)
            for k, words in enumerate(config.attacks)
        },
    }


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Gains of the units, absolute and relative to the state, and the excess along the network, for each attack."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7.2), layout="constrained")
    FigureCanvasAgg(figure)
    (absolute, relative), (excess, factors) = figure.subplots(2, 2, sharex=True)
    gentle = min(summary["attacks"], key=lambda words: summary["attacks"][words]["length_in_pixels"])
    shown = "pgd l2 0.1" if "pgd l2 0.1" in summary["attacks"] else gentle
    _draw_gains(absolute, relative, summary["attacks"][shown], shown)
    _draw_excess(excess, factors, summary["attacks"])
    ends = np.flatnonzero(np.diff(arrays["stages"])) + 1.5
    for ax in (absolute, relative, excess, factors):
        for k, end in enumerate(ends):
            ax.axvline(end, color="0.8", linewidth=0.8, zorder=0, label="a new stage begins" if k == 0 else None)
        ax.legend(fontsize="x-small", frameon=False)
    for ax in (excess, factors):
        ax.set_xlabel("residual unit (0: after the stem)" if ax is excess else "residual unit")
    figure.suptitle(f"{summary['network']}: medians over {summary['images']} test images", fontsize="medium")
    return figure


def _draw_gains(absolute: Any, relative: Any, numbers: dict[str, Any], words: str) -> None:
    """Both kinds of one attack, with the middle half of the images."""
    from resdyn.plotting.canvas import COLOURS

    units = np.arange(1, len(numbers["state_gain"]) + 1)
    for kind, colour in (("adversarial", COLOURS[3]), ("random", COLOURS[0])):
        for ax, name in ((absolute, "gain"), (relative, "relative_gain")):
            low, high = np.array(numbers[kind][f"{name}_quartiles"]).T
            ax.fill_between(units, low, high, color=colour, alpha=0.25, linewidth=0)
            ax.plot(units, numbers[kind][name], "o-", color=colour, markersize=3, label=f"{kind} (band: quartiles)")
    absolute.plot(units, numbers["state_gain"], "--", color="0.4", linewidth=1, label="the state itself")
    absolute.set_title(f"{title_of(words)} (pixels from 0 to 1)", fontsize="small")
    relative.set_title(f"{title_of(words)}, relative to the state", fontsize="small")
    absolute.set_ylabel("size after / before the unit")
    relative.set_ylabel("gain / gain of the state")
    for ax in (absolute, relative):
        ax.axhline(1, color="0.6", linewidth=0.8, zorder=0)


def _draw_excess(along: Any, factors: Any, attacks: dict[str, Any]) -> None:
    """Adversarial over random, after the stem and each unit; and the factor of each unit."""
    from matplotlib import colormaps
    from matplotlib.ticker import LogLocator

    for k, (words, numbers) in enumerate(attacks.items()):
        # colours of their own: those of the panels above mean kinds of perturbations
        style = {
            "color": colormaps["viridis"](0.9 * k / max(len(attacks) - 1, 1)),
            "linestyle": "--" if words.startswith("fgsm") else "-",
            "linewidth": 1.3,
            "label": title_of(words),
        }
        excess = numbers["excess"]
        along.plot(np.arange(len(excess["along"])), excess["along"], **style)
        factors.plot(np.arange(1, len(excess["of_units"]) + 1), excess["of_units"], **style)
    along.set_yscale("log")
    along.yaxis.set_major_formatter("{x:g}")
    along.yaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
    along.yaxis.set_minor_formatter("{x:g}")
    along.set_ylabel("size, adversarial / random")
    along.set_title("perturbations of equal length in pixels", fontsize="small")
    factors.axhline(1, color="0.6", linewidth=0.8, zorder=0)
    factors.set_ylabel("gain of the unit, adversarial / random")
    factors.set_title("factor of each unit", fontsize="small")


if __name__ == "__main__":
    main(__file__)
