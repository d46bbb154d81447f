"""Random and adversarial perturbations on the singular vectors of the last units.

Each perturbation of an image is followed to the units at the end of the final stage, and projected there on the right
singular subspaces of their Jacobians: the k leading directions, those with singular value 1, the k trailing ones, and
the null space.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.rothauge2019_linearization.linearized import states_between
from experiments.rothauge2019_linearization.material import net_and_images

Array = NDArray[Any]
SUBSPACES = ("leading", "unit", "trailing", "null", "rest")


@dataclass(frozen=True)
class Config:
    """What is measured."""

    weights: str = "resnet56-4bfd9763"
    images: int = 10
    units: int = 4
    """So many last ones."""
    k: int = 20
    """Leading and trailing directions."""
    attacks: tuple[str, ...] = ("FGSM linf 8", "PGD linf 1", "PGD linf 8", "PGD l2 127.5")
    """Method, norm and radius in 255ths of a pixel."""
    draws: int = 4
    """Random perturbations of each image, of ℓ2 radius 0.5."""
    steps: int = 20
    seed: int = 0


PRESETS = {
    "smoke": Config(
        "resnet20-digits-seed0", images=2, units=2, k=5, attacks=("FGSM linf 8", "PGD l2 127.5"), draws=2, steps=5
    ),
    "laptop": Config(),
    "paper": Config(images=100, units=9),
}
# gradients of attacks are in single precision, and their signs may differ between machines in single pixels
TOLERANCES = {"units.*.name": 0.0, "units.*.shares.*.*": 0.02, "units.*.at_random.*": 1e-9}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Shares over unit, image, perturbation and subspace; gains over unit, image and perturbation."""
    net, pixels, labels = net_and_images(config.weights, config.images)
    kinds, inputs, perturbations = _perturbations(net, pixels, labels, config)
    network = resdyn.networks.unroll(net.double(), inputs[:1], name=Path(config.weights).stem)
    states = states_between(network, inputs)
    chosen = range(len(network.units) - config.units, len(network.units))
    found: dict[str, Array] = {
        "names": np.array([network.units[k].name for k in chosen]),
        "numbers": np.array(chosen) + 1,
        "kinds": np.array(kinds),
    }
    for i in run.progress(range(config.images), "images"):

        def image(i: int = i) -> dict[str, Array]:
            followed = resdyn.propagate(network, inputs[i : i + 1], perturbations[:, i : i + 1], keep=True)
            units = [resdyn.networks.linearize(network.units[k], states[k][i]) for k in chosen]
            return _projected(followed, units, config.k)

        for name, value in run.part(f"image{i}", image).items():
            found.setdefault(name, np.empty((config.images, *value.shape)))[i] = value
    return found


def _perturbations(net: Any, pixels: Array, labels: Array, config: Config) -> tuple[list[str], Array, Array]:
    """Their kinds, inputs of the network, and perturbations of these, shape (kinds, images, C, H, W)."""
    random = resdyn.networks.random_perturbations(pixels, radius=0.5, norm="l2", n=config.draws, rng=config.seed)
    clean = np.asarray(net.preprocessing(pixels), dtype=np.float64)
    moved = [np.asarray(net.preprocessing(pixels + draw), dtype=np.float64) - clean for draw in random]
    for attack in config.attacks:
        method, norm, radius = attack.split()
        options: dict[str, Any] = {"norm": norm, "radius": float(radius) / 255}
        if method == "PGD":
            attacked = resdyn.networks.pgd(net, pixels, labels, steps=config.steps, rng=config.seed, **options)
        else:
            attacked = resdyn.networks.fgsm(net, pixels, labels, **options)
        moved.append(attacked.inputs(net)[1])
    return ["random"] * config.draws + list(config.attacks), clean, np.stack(moved)


def _projected(followed: Any, units: list[Any], k: int) -> dict[str, Array]:
    projections = [resdyn.networks.project(followed, unit, k) for unit in units]
    return {
        "shares": np.array([[getattr(projection, name) for name in SUBSPACES] for projection in projections]),
        "at_random": np.array([[projection.at_random[name] for name in SUBSPACES] for projection in projections]),
        "gains": np.array([projection.gain for projection in projections]),
    }


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Each unit and kind of perturbation: medians over images and draws."""
    kinds = list(dict.fromkeys(arrays["kinds"].tolist()))
    units = []
    for u, name in enumerate(arrays["names"]):
        shares = {kind: arrays["shares"][:, u][:, :, arrays["kinds"] == kind] for kind in kinds}
        gains = {kind: arrays["gains"][:, u][:, arrays["kinds"] == kind] for kind in kinds}
        units.append(
            {
                "name": name,
                "unit": arrays["numbers"][u],
                "shares": {kind: _named(np.median(share, axis=(0, 2))) for kind, share in shares.items()},
                "at_random": _named(np.median(arrays["at_random"][:, u], axis=0)),
                "gain": {kind: np.median(gain) for kind, gain in gains.items()},
                "leading_quartiles": {kind: np.quantile(share[:, 0], (0.25, 0.75)) for kind, share in shares.items()},
            }
        )
    return {"network": config.weights, "images": config.images, "k": config.k, "kinds": kinds, "units": units}


def _named(values: Array) -> dict[str, float]:
    return dict(zip(SUBSPACES, values.tolist(), strict=True))


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Shares of each kind of perturbation, unit by unit, and what a random direction has."""
    from matplotlib.figure import Figure

    from resdyn.plotting.canvas import COLOURS

    n = len(summary["units"])
    rows = ["random direction", *summary["kinds"]]
    figure = Figure(figsize=(2.2 + 2.4 * n, 0.8 + 0.4 * len(rows)), layout="constrained")
    for unit, ax in zip(summary["units"], figure.subplots(1, n, sharey=True, squeeze=False)[0], strict=True):
        left = np.zeros(len(rows))
        for name, colour in zip(SUBSPACES, (COLOURS[3], COLOURS[0], COLOURS[2], COLOURS[7], "0.9"), strict=True):
            widths = [unit["at_random"][name], *(unit["shares"][kind][name] for kind in summary["kinds"])]
            ax.barh(rows, widths, left=left, color=colour, label=name)
            left += widths
        ax.set_xlim(0, 1)
        ax.set_title(f"unit {unit['unit']}", fontsize="medium")
        ax.set_xlabel("median share of ‖δ‖²")
    ax.invert_yaxis()
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize="small", frameon=False)
    return figure


if __name__ == "__main__":
    main(__file__)
