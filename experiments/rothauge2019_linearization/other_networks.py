r"""Experiment 6: the claims on other networks: pre-activation ResNets, and In-ResNets, whose skip path is damped.

    python -m experiments.rothauge2019_linearization.other_networks --preset laptop

Nothing follows the addition in a pre-activation unit, so both readings are one: J = a I + U V, with a = 1 in a ResNet
and a = 1 − λ in the nets of yang2020, λ learned for each unit. With r = rank(U V), at most the number of ReLUs that
fire in the sparser of both layers, n − 2r singular values are exactly |a|. Blocks are looked at; entries of stages have
a projection for a skip path, and no atom.

Laptop: the six nets that ship, pre-activation ResNet-20, In-ResNet-20 and λ-In-ResNet-20, two seeds each; stages 2
and 3 exactly, stage 1 by counts. Paper: ResNet-110 as well, where its weights lie in the data folder.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import svds

import resdyn
from experiments._harness import Run, main
from experiments.rothauge2019_linearization.activity import rank_bound
from experiments.rothauge2019_linearization.following import attacked, followed
from experiments.rothauge2019_linearization.gains import numbers_of
from experiments.rothauge2019_linearization.material import net_and_images

Array = NDArray[Any]

SHIPPED = tuple(f"{kind}resnet20-cifar10-seed{seed}" for kind in ("", "in-", "lambda-in-") for seed in (0, 1))
# what is exact to rounding is nearer, and what is not exact is further away
EXACT = 1e-6
WIDTHS = (1e-2, 1e-1)
# below, thousands of singular values are small, and refining them takes minutes; counts take seconds
SMALL_GAIN = 0.1
# the unit that is scaled: the last one has hardly an atom, since more of its ReLUs fire
SCALED = -2


@dataclass(frozen=True)
class Config:
    """What the numbers depend on."""

    weights: tuple[str, ...] = SHIPPED
    images: tuple[int, ...] = (1, 1, 3)
    """So many test images in each stage."""
    exact: tuple[bool, ...] = (False, True, True)
    """Whether all singular values are computed, or only counts."""
    scales: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    """Of the skip path, and of the branch, of the last unit but one at one image."""
    attack: str = "pgd l2 0.1"
    attacked: int = 48
    """Images whose perturbations are followed."""
    steps: int = 20
    last: int = 1
    """So many units at the end are told apart from those before: a third as many as of ResNet-56."""
    seed: int = 0


PRESETS = {
    "smoke": Config(
        ("resnet20-digits-seed0",), images=(1, 1, 2), exact=(True, True, True), attacked=12, steps=5, scales=(1.0, 2.0)
    ),
    "laptop": Config(),
    "paper": Config((*SHIPPED, "resnet110-cifar10-seed0"), images=(2, 3, 10), attacked=500),
}

TOLERANCES = {
    "networks.*.stages.*.atom": 1e-3,
    "networks.*.stages.*.rank_bound": 1e-3,
    "networks.*.stages.*.above_one": 2e-3,
    "networks.*.stages.*.largest": 1e-2,
    "networks.*.scaling.skip.*.atom": 1e-3,
    "networks.*.scaling.branch.*.largest": 1e-2,
    "networks.*.perturbations.excess.pooled": 0.6,
}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Per net k and block j, at each image: shares of singular values, extremes, bounds of the rank."""
    arrays: dict[str, Array] = {}
    for k, weights in enumerate(config.weights):
        run.log(f"{weights} ({k + 1} of {len(config.weights)})")
        net, pixels, labels = net_and_images(weights, max(config.attacked, *config.images))
        inputs = net.preprocessing(pixels[: max(config.images)].astype(np.float64))
        network = resdyn.networks.unroll(net, inputs[:1], dtype=torch.float64)
        for name, array in _of_blocks(network, inputs, config, run, weights).items():
            arrays[f"{k}_{name}"] = array
        # a damped skip path is scaled already
        damped = skip_gain(network.units[SCALED]) != 1
        scaled = {} if damped else run.part(f"{weights}-scaled", lambda: _scaled(network, inputs[:1], config))  # noqa: B023
        moved = run.part(f"{weights}-moved", lambda: _moved(net, pixels, labels, config))  # noqa: B023
        arrays |= {f"{k}_{name}": array for name, array in (scaled | moved).items()}
        arrays[f"{k}_stages"] = np.array([i for i, stage in enumerate(network.stages, 1) for _ in stage.units])
        arrays[f"{k}_accuracy"] = np.array(net.card["accuracy"]["fraction"])
        arrays[f"{k}_depth"] = np.array(net.architecture["depth"])
    return arrays


def _of_blocks(network: Any, inputs: Array, config: Config, run: Run, weights: str) -> dict[str, Array]:
    """Rows (block, image) as far as a stage has images; NaN beyond."""
    rows: list[list[dict[str, Array]]] = []
    state, which = network.stem(inputs), []
    jobs = [(i, unit) for i, stage in enumerate(network.stages) for unit in stage.units]
    for place, (i, unit) in enumerate(run.progress(jobs, "units")):
        if not unit.changes_shape:
            rows.append(
                [
                    run.part(f"{weights}-{place}-{image}", lambda x=x: _of_block(unit, x, exact=config.exact[i]))  # type: ignore[misc]  # noqa: B023
                    for image, x in enumerate(state[: config.images[i]])
                ]
            )
            which.append((place, i))
        state = unit(state)
    most = max(config.images)

    def table(name: str) -> Array:
        filled = np.full((len(rows), most, *rows[0][0][name].shape), np.nan)
        for j, row in enumerate(rows):
            for image, numbers in enumerate(row):
                filled[j, image] = numbers[name]
        return filled

    return {name: table(name) for name in rows[0][0]} | {"blocks": np.array(which)}


def _of_block(unit: Any, x: Array, *, exact: bool) -> dict[str, Array]:
    """Shares of one spectrum, from all singular values or from counts."""
    J = resdyn.networks.linearize(unit, x)
    a, n = abs(skip_gain(unit)), J.shape[0]
    values = J.singular_values() if exact and a >= SMALL_GAIN else None

    @cache
    def above(t: float) -> float:
        if t < 0:
            return 1.0
        return float((values > t).sum() if values is not None else J.count_above(t)) / n

    def within(center: float, width: float) -> float:
        return above(center - width) - above(center + width)

    # counts tell the median only where it is the atom
    median = a if above(a + EXACT) < 0.5 <= above(a - EXACT) else np.nan
    return {
        "skip_gain": np.array(a),
        "n": np.array(n),
        "rank_bound": np.array(rank_bound(unit, x) / n),
        "atom": np.array(within(a, EXACT)),
        "near_one": np.array([within(1.0, width) for width in WIDTHS]),
        "above_one": np.array(above(1.0 + EXACT)),
        "above_atom": np.array(above(a + EXACT)),
        "largest": np.array(_largest(J) if values is None else values[0]),
        "median": np.array(median if values is None else np.median(values)),
        "quantiles": np.full(len(QUANTILES), np.nan) if values is None else np.quantile(values, QUANTILES),
    }


def _largest(J: Any) -> float:
    return float(svds(J, k=1, v0=np.ones(min(J.shape)), return_singular_vectors=False)[0])


QUANTILES = tuple(float(q) for q in np.linspace(0, 1, 201))


def skip_gain(unit: Any) -> float:
    """a, by which the skip path of a unit of ours is multiplied: 1 − λ, or 1."""
    with torch.no_grad():
        return float(unit.module.gains()[0])


def _scaled(network: Any, inputs: Array, config: Config) -> dict[str, Array]:
    """Singular values of a unit whose skip gain is 1, at one image, skip path or branch scaled: (scale, n)."""
    unit, state = network.units[SCALED], network.stem(inputs)
    for before in network.units[:SCALED]:
        state = before(state)

    def values(skip: float, branch: float) -> Array:
        J = resdyn.networks.linearize(unit, state[0], skip_scale=skip, weight_scale=branch)
        return J.singular_values()

    return {
        "skip_scaled": np.stack([values(scale, 1.0) for scale in config.scales]),
        "branch_scaled": np.stack([values(1.0, scale) for scale in config.scales]),
    }


def _moved(net: Any, pixels: Array, labels: Array, config: Config) -> dict[str, Array]:
    """Perturbations of the first images, followed through the units."""
    first = slice(0, config.attacked)
    attack = attacked(net, pixels[first], labels[first], config.attack, steps=config.steps, seed=config.seed)
    return followed(net, attack, seed=config.seed)


# --- numbers -------------------------------------------------------------------------------------


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Of each net: its stages, what scaling does, and how perturbations grow."""
    networks = {}
    for k, weights in enumerate(config.weights):
        own = {name.partition("_")[2]: a for name, a in arrays.items() if name.startswith(f"{k}_")}
        networks[weights] = _of_network(own, config)
    return {"networks": networks}


def _of_network(own: dict[str, Array], config: Config) -> dict[str, Any]:
    stage_of = own["blocks"][:, 1]
    moved = {name: own[name] for name in ("sizes", "states", "pooled", "pixels", "correct", "fooled")}
    return {
        "depth": int(own["depth"]),
        "accuracy": float(own["accuracy"]),
        "units": {str(place + 1): _of_row(own, j) for j, (place, _) in enumerate(own["blocks"])},
        "stages": {str(i + 1): _of_stage(own, stage_of == i) for i in np.unique(stage_of)},
        "scaling": _of_scaling(own, config) if "skip_scaled" in own else None,
        "perturbations": numbers_of(moved, own["stages"], last=config.last),
    }


def _of_row(own: dict[str, Array], j: int) -> dict[str, Any]:
    """Medians over the images of one block; the spread between images where there are several."""
    images = np.isfinite(own["atom"][j])

    def median(name: str) -> float:
        return float(np.median(own[name][j][images]))

    several = images.sum() > 1
    return {
        "images": int(images.sum()),
        "n": int(median("n")),
        "damping": 1 - median("skip_gain"),
        "rank_bound": median("rank_bound"),
        "atom": median("atom"),
        "above_one": median("above_one"),
        "above_atom": median("above_atom"),
        "largest": median("largest"),
        "near_one": {f"{w:g}": float(v) for w, v in zip(WIDTHS, np.median(own["near_one"][j][images], 0), strict=True)},
        "median": median("median"),
        "spread_of_atom": float(own["atom"][j][images].std()) if several else None,
        "relative_spread_of_largest": (
            float(own["largest"][j][images].std() / own["largest"][j][images].mean()) if several else None
        ),
    }


def _of_stage(own: dict[str, Array], chosen: Array) -> dict[str, Any]:
    """Medians over the blocks of a stage."""
    rows = [_of_row(own, int(j)) for j in np.flatnonzero(chosen)]
    names = ("damping", "rank_bound", "atom", "above_one", "largest", "median")
    return {"blocks": len(rows)} | {name: float(np.median([row[name] for row in rows])) for name in names}


def _of_scaling(own: dict[str, Array], config: Config) -> dict[str, Any]:
    """The share of values that are exactly what the skip path is multiplied by, and the largest."""

    def row(values: Array, at: float) -> dict[str, float]:
        return {"at": at, "atom": float((abs(values - at) <= EXACT).mean()), "largest": float(values[0])}

    return {
        "skip": {f"{s:g}": row(v, s) for s, v in zip(config.scales, own["skip_scaled"], strict=True)},
        "branch": {f"{s:g}": row(v, 1.0) for s, v in zip(config.scales, own["branch_scaled"], strict=True)},
    }


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Spectra of the blocks of the last stage by net; atoms and damping; gains of the units."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from resdyn.plotting.canvas import COLOURS

    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    (spectra, atoms), (bounds, growth) = figure.subplots(2, 2)
    for k, (weights, numbers) in enumerate(summary["networks"].items()):
        colour = COLOURS[k % len(COLOURS)]
        quantiles = arrays[f"{k}_quantiles"][-2]
        spectra.plot(QUANTILES, np.median(quantiles[np.isfinite(quantiles[:, 0])], axis=0), color=colour, label=weights)
        units = numbers["units"]
        places = [int(place) for place in units]
        atoms.plot(places, [1 - row["damping"] for row in units.values()], "o", color=colour, markersize=4)
        atoms.plot(places, [row["median"] for row in units.values()], "_", color=colour, markersize=12)
        bounds.plot(
            [row["rank_bound"] for row in units.values()], [row["atom"] for row in units.values()], "o", color=colour
        )
        excess = numbers["perturbations"]["excess"]["along"]
        growth.plot(np.arange(len(excess)), excess, color=colour)
    p = np.linspace(0, 1, 101)
    bounds.plot(p, np.maximum(1 - 2 * p, 0), color="0.6", linewidth=1, zorder=0, label="1 − 2r/n")
    spectra.set_yscale("log")
    spectra.set_xlabel("share of singular values below")
    spectra.set_ylabel("singular value")
    spectra.set_title("last block but one", fontsize="small")
    spectra.legend(fontsize="xx-small", frameon=False)
    atoms.set_xlabel("residual unit")
    atoms.set_title("skip gain 1 − λ (dots) and median singular value (bars)", fontsize="small")
    bounds.set_xlabel("ReLUs that fire in the sparser layer, r/n")
    bounds.set_ylabel("share exactly 1 − λ")
    bounds.legend(fontsize="x-small", frameon=False)
    growth.set_yscale("log")
    growth.set_xlabel("residual unit (0: after the stem)")
    growth.set_ylabel("adversarial / random")
    growth.set_title(f"size of perturbations, {config.attack}", fontsize="small")
    return figure


if __name__ == "__main__":
    main(__file__)
