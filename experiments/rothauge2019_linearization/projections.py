"""Adversarial and random perturbations on the singular vectors of the last units.

Each perturbation of an image is followed to the units at the end of the final stage, and projected there on the right
singular subspaces of their Jacobians: the k leading directions, those with singular value 1, the k trailing ones, and
the null space. Beside what each attack found stands a random direction of the same length in pixels, image by image.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.rothauge2019_linearization.following import attacked, perturbations_of
from experiments.rothauge2019_linearization.linearized import states_between
from experiments.rothauge2019_linearization.material import net_and_images

Array = NDArray[Any]
SUBSPACES = ("leading", "unit", "trailing", "null", "rest")
KINDS = ("adversarial", "random")
QUARTILES = (0.25, 0.75)


@dataclass(frozen=True)
class Config:
    """What is measured."""

    weights: str = "resnet56-4bfd9763"
    images: int = 24
    units: int = 3
    """So many last ones."""
    k: int = 10
    """Leading and trailing directions."""
    attacks: tuple[str, ...] = ("fgsm linf 8/255", "pgd linf 1/255", "pgd linf 8/255", "pgd l2 0.5")
    steps: int = 20
    seed: int = 0


PRESETS = {
    "smoke": Config(
        "resnet20-digits-seed0", images=3, units=2, k=5, attacks=("fgsm linf 8/255", "pgd l2 0.5"), steps=5
    ),
    "laptop": Config(),
    "preresnet20": Config("resnet20-cifar10-seed0"),
    "resnet110": Config("resnet110-cifar10-seed0"),
    "paper": Config(images=100, units=9, k=20),
}
# gradients of attacks are in single precision, and their signs may differ between machines in single pixels
TOLERANCES = {"units.*.name": 0.0, "units.*.shares.*.*.*": 0.02, "units.*.at_random.*": 1e-9}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Shares over image, unit, subspace, attack and kind; gains over image, unit, attack and kind."""
    net, pixels, labels = net_and_images(config.weights, config.images)
    attacks = [attacked(net, pixels, labels, words, steps=config.steps, seed=config.seed) for words in config.attacks]
    # the third kind, random signs, is another question
    changes = np.stack([perturbations_of(attack, config.seed)[: len(KINDS)] for attack in attacks])
    # normalisation is affine: differences of pixels are divided by the deviations alone
    moved = (changes / np.array(net.preprocessing.std)[:, None, None]).reshape(-1, *pixels.shape)
    inputs = np.asarray(net.preprocessing(pixels), dtype=np.float64)
    network = resdyn.networks.unroll(net.double(), inputs[:1], name=Path(config.weights).stem)
    states = states_between(network, inputs)
    chosen = range(len(network.units) - config.units, len(network.units))
    found: dict[str, Array] = {
        "names": np.array([network.units[k].name for k in chosen]),
        "numbers": np.array(chosen) + 1,
        "fooled": np.array([attack.success for attack in attacks]),
    }
    for i in run.progress(range(config.images), "images"):

        def image(i: int = i) -> dict[str, Array]:
            followed = resdyn.propagate(network, inputs[i : i + 1], moved[:, i : i + 1], keep=True, linearized=False)
            units = [resdyn.networks.linearize(network.units[k], states[k][i]) for k in chosen]
            return _projected(followed, units, config)

        for name, value in run.part(f"image{i}", image).items():
            found.setdefault(name, np.empty((config.images, *value.shape)))[i] = value
    return found


def _projected(followed: Any, units: list[Any], config: Config) -> dict[str, Array]:
    size = (len(config.attacks), len(KINDS))
    projections = [resdyn.networks.project(followed, unit, config.k) for unit in units]
    return {
        "shares": np.array(
            [[getattr(projection, name).reshape(size) for name in SUBSPACES] for projection in projections]
        ),
        "at_random": np.array([[projection.at_random[name] for name in SUBSPACES] for projection in projections]),
        "gains": np.array([projection.gain.reshape(size) for projection in projections]),
    }


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Each unit, attack and kind of perturbation: means over images, which add up to 1, and quartiles.

    ``difference`` is that of the shares on the leading directions, adversarial less random, image by image: its mean,
    its quartiles, and for how many images it is positive.
    """
    units = []
    for u, name in enumerate(arrays["names"]):
        shares, gains = arrays["shares"][:, u], arrays["gains"][:, u]
        leading = shares[:, 0]
        units.append(
            {
                "name": name,
                "unit": arrays["numbers"][u],
                "shares": _each(config, shares.mean(axis=0).transpose(1, 2, 0), _named),
                "leading_quartiles": _each(config, np.quantile(leading, QUARTILES, axis=0).transpose(1, 2, 0)),
                "gain": _each(config, np.median(gains, axis=0)),
                "difference": {
                    words: _difference(leading[:, z, 0] - leading[:, z, 1]) for z, words in enumerate(config.attacks)
                },
                "at_random": _named(np.mean(arrays["at_random"][:, u], axis=0)),
            }
        )
    return {
        "network": config.weights,
        "images": config.images,
        "k": config.k,
        "attacks": config.attacks,
        "fooled": dict(zip(config.attacks, arrays["fooled"].mean(axis=1).tolist(), strict=True)),
        "units": units,
    }


def _each(config: Config, table: Array, of: Any = lambda entry: entry) -> dict[str, dict[str, Any]]:
    """Rows and columns of a table by attack and kind."""
    return {
        words: {kind: of(entry) for kind, entry in zip(KINDS, row, strict=True)}
        for words, row in zip(config.attacks, table, strict=True)
    }


def _difference(differences: Array) -> dict[str, Any]:
    return {
        "mean": differences.mean(),
        "quartiles": np.quantile(differences, QUARTILES),
        "positive": np.mean(differences > 0),
    }


def _named(values: Array) -> dict[str, float]:
    return dict(zip(SUBSPACES, values.tolist(), strict=True))


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Shares of each kind of perturbation, unit by unit, and what a random direction at the unit has."""
    from matplotlib.figure import Figure

    from resdyn.plotting.canvas import COLOURS

    n = len(summary["units"])
    pairs = [(words, kind) for words in summary["attacks"] for kind in KINDS]
    names = ["a random direction there", *(_label(words, kind) for words, kind in pairs)]
    rows = np.arange(len(names))
    labels = {
        "leading": f"{summary['k']} leading",
        "unit": "singular value 1",
        "trailing": f"{summary['k']} trailing",
        "null": "null space",
        "rest": "others",
    }
    figure = Figure(figsize=(3.6 + 2.4 * n, 1.4 + 0.34 * len(rows)), layout="constrained")
    for unit, ax in zip(summary["units"], figure.subplots(1, n, sharey=True, squeeze=False)[0], strict=True):
        left = np.zeros(len(rows))
        for name, colour in zip(SUBSPACES, (COLOURS[3], COLOURS[0], COLOURS[2], COLOURS[7], "0.9"), strict=True):
            widths = [unit["at_random"][name], *(unit["shares"][words][kind][name] for words, kind in pairs)]
            ax.barh(rows, widths, left=left, color=colour, label=labels[name])
            left += widths
        # quartiles over images of the first part of each bar
        ends = np.array([unit["leading_quartiles"][words][kind] for words, kind in pairs]).T
        ax.hlines(rows[1:], *ends, color="k", linewidth=1)
        ax.set_yticks(rows, names)
        ax.set_xlim(0, 1)
        ax.set_title(f"unit {unit['unit']}", fontsize="medium")
        ax.set_xlabel("share of ‖δ‖²")
    ax.invert_yaxis()
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize="small", frameon=False)
    figure.suptitle(
        f"Perturbations of {summary['network']}, means over {summary['images']} images; black: quartiles of the "
        "leading part",
        fontsize="medium",
    )
    return figure


def _label(words: str, kind: str) -> str:
    """An attack, or random perturbations as long as its own."""
    method, norm, radius = words.split()
    norm = norm.replace("linf", "ℓ∞").replace("l2", "ℓ2")
    return f"{method.upper()}, {norm} {radius}" if kind == "adversarial" else "random, as long"


if __name__ == "__main__":
    main(__file__)
