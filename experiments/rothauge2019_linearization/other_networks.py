r"""Experiment 6: the claims on other networks: pre-activation ResNets, and In-ResNets, whose skip path is damped.

    python -m experiments.rothauge2019_linearization.other_networks --preset laptop

Nothing follows the addition in a pre-activation unit, so both readings are one: J = a I + U V, with a = 1 in a ResNet
and a = 1 − λ in the nets of yang2020, λ learned for each unit. With r = rank(U V), at most the number of ReLUs that
fire in the sparser of both layers, n − 2r singular values are exactly |a|. Blocks are looked at; entries of stages have
a projection for a skip path, and no atom.

Singular values that are exactly |a| are counted a second time, by inertia, which knows nothing of the rank: a complete
spectrum is written with the copies that the rank forces, and says nothing for or against the theorem. What damping does
is told from what the place of a unit in the net does by the same unit without it, its skip path multiplied by 1/a.

Laptop: the six nets that ship, pre-activation ResNet-20, In-ResNet-20 and λ-In-ResNet-20, two seeds each; stages 2
and 3 exactly, stage 1 by counts. ResNet-110, where its weights lie in the data folder, has a preset of its own.
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
from experiments.rothauge2019_linearization.judging_perturbations import title_of
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
    images: tuple[int, ...] = (2, 3, 3)
    """So many test images in each stage."""
    damped_images: tuple[int, ...] = (1, 1, 1)
    """The same, of nets whose skip path is damped."""
    exact: tuple[bool, ...] = (False, True, True)
    """Whether all singular values are computed, or only counts."""
    scales: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    """Of the skip path, and of the branch, of the last unit but one at one image."""
    attacks: tuple[str, ...] = ("pgd l2 0.1", "fgsm linf 8/255")
    attacked: int = 100
    """Images whose perturbations are followed."""
    steps: int = 20
    last: int = 1
    """So many units at the end are told apart from those before: a third as many as of ResNet-56."""
    seed: int = 0


PRESETS = {
    "smoke": Config(
        ("resnet20-digits-seed0",),
        images=(1, 1, 2),
        exact=(False, True, True),
        attacks=("pgd l2 0.5",),
        attacked=8,
        steps=3,
        scales=(1.0, 2.0),
    ),
    "laptop": Config(),
    "resnet110": Config(("resnet110-cifar10-seed0",), images=(2, 3, 10), attacked=500, last=6),
    "paper": Config(images=(3, 10, 10), damped_images=(2, 3, 10), attacked=500),
}

TOLERANCES = {
    "networks.*.stages.*.atom": 1e-3,
    "networks.*.stages.*.rank_bound": 1e-3,
    "networks.*.stages.*.above_one": 2e-3,
    "networks.*.stages.*.largest": 1e-2,
    "networks.*.units.*.counted": 1e-3,
    "networks.*.scaling.skip.*.atom": 1e-3,
    "networks.*.scaling.branch.*.largest": 1e-2,
    "networks.*.perturbations.attacks.*.excess.pooled": 0.6,
}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Per net k and block j, at each image: shares of singular values, extremes, bounds of the rank."""
    arrays: dict[str, Array] = {}
    # all of them first: one that is missing is not found after hours
    most = max(config.attacked, *config.images, *config.damped_images)
    nets = [net_and_images(weights, most) for weights in config.weights]
    for k, (weights, material) in enumerate(zip(config.weights, nets, strict=True)):
        run.log(f"{weights} ({k + 1} of {len(config.weights)})")
        arrays |= {f"{k}_{name}": array for name, array in _of_net(weights, *material, config, run).items()}
    return arrays


def _of_net(weights: str, net: Any, pixels: Array, labels: Array, config: Config, run: Run) -> dict[str, Array]:
    inputs = net.preprocessing(pixels[: max(*config.images, *config.damped_images)].astype(np.float64))
    network = resdyn.networks.unroll(net, inputs[:1], dtype=torch.float64)
    # a damped skip path is scaled already
    damped = any(skip_gain(unit) != 1 for unit in network.units if not unit.changes_shape)
    images = config.damped_images if damped else config.images
    arrays = _of_blocks(network, inputs[: max(images)], images, config, run, weights)
    if not damped:
        arrays |= run.part(f"{weights}-scaled", lambda: _scaled(network, inputs[:1], config))
    moved = [
        run.part(_name_of(weights, words), lambda words=words: _moved(net, pixels, labels, words, config))  # type: ignore[misc]
        for words in config.attacks
    ]
    arrays |= {name: np.stack([part[name] for part in moved]) for name in moved[0]}
    return arrays | {
        "stages": np.array([i for i, stage in enumerate(network.stages, 1) for _ in stage.units]),
        "accuracy": np.array(net.card["accuracy"]["fraction"]),
        "depth": np.array(net.architecture["depth"]),
    }


def _name_of(weights: str, words: str) -> str:
    return f"{weights}-moved-{words.replace(' ', '-').replace('/', 'of')}"


def _of_blocks(
    network: Any, inputs: Array, images: tuple[int, ...], config: Config, run: Run, weights: str
) -> dict[str, Array]:
    """Rows (block, image) as far as a stage has images; NaN beyond. At the first image, counts and without damping."""
    rows: list[list[dict[str, Array]]] = []
    first: list[dict[str, Array]] = []
    state, which = network.stem(inputs), []
    jobs = [(i, unit) for i, stage in enumerate(network.stages) for unit in stage.units]
    for place, (i, unit) in enumerate(run.progress(jobs, "units")):
        if not unit.changes_shape:
            rows.append(
                [
                    run.part(f"{weights}-{place}-{image}", lambda x=x: _of_block(unit, x, exact=config.exact[i]))  # type: ignore[misc]  # noqa: B023
                    for image, x in enumerate(state[: images[i]])
                ]
            )
            counted = run.part(f"{weights}-{place}-counted", lambda: _counted(unit, state[0]))  # noqa: B023
            first.append(counted | run.part(f"{weights}-{place}-undamped", lambda: _undamped(unit, state[0])))  # noqa: B023
            which.append((place, i))
        state = unit(state)
    most = max(images)

    def table(name: str) -> Array:
        filled = np.full((len(rows), most, *rows[0][0][name].shape), np.nan)
        for j, row in enumerate(rows):
            for image, numbers in enumerate(row):
                filled[j, image] = numbers[name]
        return filled

    tables = {name: table(name) for name in rows[0][0]}
    return tables | {name: np.array([one[name] for one in first]) for name in first[0]} | {"blocks": np.array(which)}


def _counted(unit: Any, x: Array) -> dict[str, Array]:
    """The share of singular values that are exactly |a|, by inertia, and that of which the ReLUs that fire force it."""
    n = int(np.prod(x.shape))
    found = resdyn.networks.linearize(unit, x).fraction_within(abs(skip_gain(unit)), EXACT)
    return {"counted": np.array(found), "forced": np.array(max(1 - 2 * rank_bound(unit, x) / n, 0.0))}


def _undamped(unit: Any, x: Array) -> dict[str, Array]:
    """The unit with an identity as its skip path: shares of singular values, the largest; NaN if it has one already."""
    a = skip_gain(unit)
    if a in (0.0, 1.0):
        return {f"undamped_{name}": np.array(np.nan) for name in ("atom", "above_one", "largest")}
    factors = resdyn.networks.linearize(unit, x).factors
    # λ is in single precision, and the rounding of a small 1 − λ would be multiplied by its inverse
    J = resdyn.networks.linearize(unit, x, skip_scale=1 / (a if factors is None else factors.a))
    above = J.count_above(1.0 + EXACT) / J.shape[0]
    return {
        "undamped_atom": np.array(J.count_above(1.0 - EXACT) / J.shape[0] - above),
        "undamped_above_one": np.array(above),
        "undamped_largest": np.array(_largest(J)),
    }


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


def _moved(net: Any, pixels: Array, labels: Array, words: str, config: Config) -> dict[str, Array]:
    """Perturbations of the first images, followed through the units."""
    first = slice(0, config.attacked)
    attack = attacked(net, pixels[first], labels[first], words, steps=config.steps, seed=config.seed)
    return followed(net, attack, seed=config.seed)


# --- numbers -------------------------------------------------------------------------------------


MOVED = ("sizes", "states", "pooled", "pixels", "correct", "fooled")


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Of each net: its stages, what scaling does, and how perturbations grow."""
    networks = {}
    for k, weights in enumerate(config.weights):
        own = {name.partition("_")[2]: a for name, a in arrays.items() if name.startswith(f"{k}_")}
        networks[weights] = _of_network(own, config)
    return {"networks": networks}


def _of_network(own: dict[str, Array], config: Config) -> dict[str, Any]:
    stage_of = own["blocks"][:, 1]
    attacks = {
        words: numbers_of({name: own[name][w] for name in MOVED}, own["stages"], last=config.last)
        for w, words in enumerate(config.attacks)
    }
    return {
        "depth": int(own["depth"]),
        "accuracy": float(own["accuracy"]),
        "units": {str(place + 1): _of_row(own, j) for j, (place, _) in enumerate(own["blocks"])},
        "stages": {str(i + 1): _of_stage(own, stage_of == i) for i in np.unique(stage_of)},
        "scaling": _of_scaling(own, config) if "skip_scaled" in own else None,
        "perturbations": {"images": config.attacked, "attacks": attacks},
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
        "counted": float(own["counted"][j]),
        "forced": float(own["forced"][j]),
        "undamped": {
            name: None if np.isnan(own[f"undamped_{name}"][j]) else float(own[f"undamped_{name}"][j])
            for name in ("atom", "above_one", "largest")
        },
        # of the first image alone, at which the unit was looked at without damping
        "damped": {name: float(own[name][j, 0]) for name in ("above_one", "largest")},
        "spread_of_atom": float(own["atom"][j][images].std(ddof=1)) if several else None,
        "relative_spread_of_largest": (
            float(own["largest"][j][images].std(ddof=1) / own["largest"][j][images].mean()) if several else None
        ),
    }


def _of_stage(own: dict[str, Array], chosen: Array) -> dict[str, Any]:
    """Medians over the blocks of a stage."""
    rows = [_of_row(own, int(j)) for j in np.flatnonzero(chosen)]
    names = ("damping", "rank_bound", "atom", "above_one", "largest", "median")
    return {"blocks": len(rows)} | {name: float(np.median([row[name] for row in rows])) for name in names}


def _of_scaling(own: dict[str, Array], config: Config) -> dict[str, Any]:
    """The share of values that are exactly what the skip path is multiplied by, the largest, and how far all moved."""
    plain = own["skip_scaled"][config.scales.index(1.0)]

    def row(values: Array, at: float) -> dict[str, float]:
        exact = float((abs(values - at) <= EXACT).mean())
        return {"at": at, "atom": exact, "largest": float(values[0]), "distance": distance_between(values, plain)}

    return {
        "unit": len(own["stages"]) + SCALED + 1,
        "skip": {f"{s:g}": row(v, s) for s, v in zip(config.scales, own["skip_scaled"], strict=True)},
        "branch": {f"{s:g}": row(v, 1.0) for s, v in zip(config.scales, own["branch_scaled"], strict=True)},
    }


def distance_between(values: Array, others: Array) -> float:
    """Of Kolmogorov and Smirnov, between two sets of singular values; those nearer than rounding count as equal."""
    # a thousandth of EXACT, so that atoms, equal up to rounding, are the same values
    a, b = (np.sort(np.round(v / (1e-3 * EXACT))) for v in (values, others))
    at = np.union1d(a, b)
    shares = [np.searchsorted(v, at, side="right") / len(v) for v in (a, b)]
    return float(abs(shares[0] - shares[1]).max())


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Spectra of one block, atoms and damping, ones and sparsity, how perturbations grow; one colour for each net."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from resdyn.plotting.canvas import COLOURS

    figure = Figure(figsize=(11, 7.4), layout="constrained")
    FigureCanvasAgg(figure)
    (spectra, atoms), (bounds, growth) = figure.subplots(2, 2)
    attack = config.attacks[0]
    for k, (weights, numbers) in enumerate(summary["networks"].items()):
        style = {"color": COLOURS[k % len(COLOURS)], "label": f"{label_of(weights)}, {100 * numbers['accuracy']:.1f} %"}
        quantiles = arrays[f"{k}_quantiles"][-2]
        known = quantiles[np.isfinite(quantiles[:, 0])]
        if len(known):
            spectra.plot(QUANTILES, np.median(known, axis=0), **style)
        places, rows = [int(place) for place in numbers["units"]], list(numbers["units"].values())
        atoms.plot(places, [1 - row["damping"] for row in rows], "o", markersize=4, **style)
        medians = [np.nan if row["median"] is None else row["median"] for row in rows]
        atoms.plot(places, medians, "_", color=style["color"], markersize=12)
        bounds.plot(arrays[f"{k}_rank_bound"][:, 0], arrays[f"{k}_counted"], "o", markersize=5, **style)
        excess = numbers["perturbations"]["attacks"][attack]["excess"]["along"]
        growth.plot(np.arange(len(excess)), excess, **style)
    p = np.linspace(0, 1, 101)
    bounds.plot(p, np.maximum(1 - 2 * p, 0), color="0.6", linewidth=1, zorder=0)
    bounds.annotate("1 − 2p/n", (0.3, 0.4), xytext=(4, 4), textcoords="offset points", fontsize="x-small", color="0.4")
    place = int(arrays["0_blocks"][-2, 0]) + 1
    spectra.set(yscale="log", xlabel="share of singular values below", ylabel="singular value")
    spectra.set_title(f"spectrum of unit {place}", fontsize="small")
    spectra.legend(fontsize="x-small", frameon=False)
    atoms.set(xlabel="residual unit", ylabel="skip gain, singular value")
    low, high = atoms.get_ylim()
    atoms.set_ylim(min(low, -0.05), max(high, 1.2))
    atoms.set_title("skip gain 1 − λ (dots), median singular value (bars)", fontsize="small")
    bounds.set(xlabel="ReLUs that fire in the sparser layer, p/n", ylabel="share exactly |1 − λ|, by inertia")
    bounds.set_title("units at the first image", fontsize="small")
    growth.set(yscale="log", xlabel="residual unit (0: after the stem)", ylabel="size, adversarial / random")
    growth.set_title(f"{title_of(attack)}, medians over {config.attacked} images", fontsize="small")
    return figure


def label_of(weights: str) -> str:
    """What a reader calls the net of these weights: "λ-In-ResNet-20, seed 1"."""
    kind, _, rest = weights.partition("resnet")
    depth, _, seed = rest.partition("-")
    name = {"": "pre-act. ResNet", "in-": "In-ResNet", "lambda-in-": "λ-In-ResNet"}.get(kind, f"{kind}ResNet")
    return f"{name}-{depth}, seed {seed.rpartition('seed')[2]}"


if __name__ == "__main__":
    main(__file__)
