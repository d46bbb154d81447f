"""What scaling the skip connection, or the weights, of a unit does to its singular values.

Before the last activation J = α I + β U V, after it J = D (α I + β U V), with D of the unscaled unit (masks held) or of
the scaled one (recomputed). α and β are swept one at a time.

Where many singular values are exactly those of the skip path, scaling it moves all of them, and the distributions
differ by that share at least. The distance of the distributions of the others is therefore given as well.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.rothauge2019_linearization import linearized as of
from experiments.rothauge2019_linearization.judging import MARKED

Array = NDArray[Any]
# reading, masks; masks make no difference before the activation that they belong to
VARIANTS = (("before", "held"), ("after", "held"), ("after", "recomputed"))
KINDS = ("skip_scale", "weight_scale")


@dataclass(frozen=True)
class Config:
    """What is measured."""

    weights: str = "resnet56-4bfd9763"
    units: tuple[int, ...] = (5, 15, 22, 24, 26)
    """Counted from 1."""
    scales: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    images: int = 3
    """For complete spectra."""
    exact_stages: tuple[int, ...] = (3,)
    counted_images: int = 2
    """For exact counts, in the other stages."""
    thresholds: int = 48
    """Between 0 and ``largest_threshold``."""
    largest_threshold: float = 8.0


PRESETS = {
    "smoke": Config("resnet20-digits-seed0", units=(5, 8), images=1, thresholds=16),
    "laptop": Config(),
    "paper": Config(units=tuple(range(1, 28)), images=10, exact_stages=(1, 2, 3)),
}
# double precision, complete spectra
TOLERANCES = {
    "units.*.*.*.exact.*": 1e-9,
    "units.*.*.*.largest.*": 1e-6,
    "units.*.*.*.distance.*": 1e-9,
}


def thresholds_of(config: Config) -> Array:
    """Midpoints of a grid that has the scales at borders, so that no threshold falls on an atom."""
    return (np.arange(config.thresholds) + 0.5) * config.largest_threshold / config.thresholds


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Arrays over unit, kind of scaling, variant, scale and image; NaN where an image was left out."""
    network, inputs = of.network_in_double(config.weights, config.images)
    states, stages = of.states_between(network, inputs), of.stage_numbers(network)
    chosen = np.array(config.units) - 1
    found: dict[str, Array] = {
        "names": np.array([network.units[k].name for k in chosen]),
        "is_exact": np.isin(stages[chosen], config.exact_stages),
        "thresholds": thresholds_of(config),
    }
    counts = [config.images if exact else min(config.images, config.counted_images) for exact in found["is_exact"]]
    jobs = [(u, kind, v, z, i) for u, kind, v, z in np.ndindex(_size(config)[:4]) for i in range(counts[u])]
    for u, kind, v, z, i in run.progress(jobs, "scales"):

        def spectrum(u: int = u, kind: int = kind, v: int = v, z: int = z, i: int = i) -> dict[str, Array]:
            options: Any = {"reading": VARIANTS[v][0], "masks": VARIANTS[v][1], KINDS[kind]: config.scales[z]}
            unit = resdyn.networks.linearize(network.units[chosen[u]], states[chosen[u]][i], **options)
            return _described(unit, config, exact=bool(found["is_exact"][u]))

        # without scaling, one computation serves all kinds
        name = f"unit{chosen[u] + 1}-{'-'.join(VARIANTS[v])}-" + (
            "unscaled" if config.scales[z] == 1 else f"{KINDS[kind]}{config.scales[z]:g}"
        )
        for entry, value in run.part(f"{name}-image{i}", spectrum).items():
            found.setdefault(entry, np.full((*_size(config), *value.shape), np.nan))[u, kind, v, z, i] = value
    return found


def _size(config: Config) -> tuple[int, ...]:
    return len(config.units), len(KINDS), len(VARIANTS), len(config.scales), config.images


def _described(unit: Any, config: Config, *, exact: bool) -> dict[str, Array]:
    a, thresholds = of.skip_gain(unit), thresholds_of(config)
    if exact:
        values = unit.singular_values()
        shares, below = of.shares(values, a), of.share_up_to(values, thresholds)
    else:
        shares, below = of.counted_shares(unit, a), of.counted_share_up_to(unit, thresholds)
    return {
        "exact": np.asarray(shares["exact"]),
        "largest": np.asarray(shares["largest"]),
        "gain": np.array(a),
        "below": below,
    }


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Each unit and kind of scaling, over the scales: medians over images, and quartiles of the distance.

    ``distance`` is that of Kolmogorov and Smirnov to the spectrum without scaling, at the thresholds; of ``others``
    without the values that are exactly those of the skip path, None where these are all. ``between_images`` is the
    distance between two images, without scaling, the largest of all pairs: what is not marked.
    """
    base = config.scales.index(1.0)
    units = []
    for u, name in enumerate(arrays["names"]):
        images = np.isfinite(arrays["exact"][u, 0, 0, base])
        described: dict[str, Any] = {
            "name": name,
            "unit": config.units[u],
            "complete": arrays["is_exact"][u],
            "images": int(images.sum()),
        }
        for kind, word in enumerate(KINDS):
            described[word] = {
                " ".join(variant): _over_scales(
                    {key: arrays[key][u, kind, v][:, images] for key in ("exact", "gain", "largest", "below")},
                    arrays["thresholds"],
                    base,
                )
                for v, variant in enumerate(VARIANTS)
            }
        units.append(described)
    return {"network": config.weights, "scales": config.scales, "units": units}


def _over_scales(of_images: dict[str, Array], thresholds: Array, base: int) -> dict[str, Any]:
    below, exact, gain = (of_images[key] for key in ("below", "exact", "gain"))
    distance = abs(below - below[base]).max(axis=-1)
    # those that are exactly the skip path's taken out
    share = exact[..., None]
    rest = (below - share * (thresholds >= gain[..., None])) / np.where(share < 1, 1 - share, np.nan)
    others = abs(rest - rest[base]).max(axis=-1)
    pairs = abs(below[base][:, None] - below[base]).max(axis=-1)
    return {key: np.median(of_images[key], axis=1) for key in ("exact", "gain", "largest")} | {
        "distance": np.median(distance, axis=1),
        "distance_quartiles": np.quantile(distance, (0.25, 0.75), axis=1).T,
        "distance_of_others": np.median(others, axis=1),
        "between_images": pairs.max() if len(pairs) > 1 else None,
    }


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Distribution functions of one unit for each kind of scaling; the distances of all units beside them."""
    from matplotlib.figure import Figure

    from resdyn.plotting.canvas import COLOURS

    exact = np.flatnonzero(arrays["is_exact"])
    u = int(exact[len(exact) // 2]) if len(exact) else 0
    figure = Figure(figsize=(13, 6), layout="constrained")
    axes = figure.subplots(len(KINDS), len(VARIANTS) + 1, sharex="col")
    for (kind, v), ax in np.ndenumerate(axes[:, :-1]):
        for z, scale in enumerate(config.scales):
            below = np.nanmedian(arrays["below"][u, kind, v, z], axis=0)
            ax.plot(arrays["thresholds"], below, color=COLOURS[z], linewidth=1.3, label=f"{scale:g}")
        ax.set_ylim(-0.03, 1.03)
        if kind == 0:
            ax.set_title(
                f"unit {config.units[u]}: "
                + (" the last activation, masks ".join(VARIANTS[v]) if v else "before the last activation"),
                fontsize="small",
            )
        else:
            ax.set_xlabel("singular value σ")
    for ax, symbol, what in zip(axes[:, 0], "αβ", ("skip path", "weights"), strict=True):
        ax.set_ylabel(f"{what} scaled:\nshare of singular values ≤ σ")
        ax.legend(title=symbol, fontsize="x-small", frameon=False, loc="lower right")
    for ax, kind in zip(axes[:, -1], KINDS, strict=True):
        _draw_distances(ax, config, [unit[kind]["before held"] for unit in summary["units"]])
    axes[0, -1].set_title("all units, before the last activation", fontsize="small")
    axes[-1, -1].set_xlabel("residual unit")
    figure.suptitle(f"Units of {summary['network']}, scaled")
    return figure


def _draw_distances(ax: Any, config: Config, units: list[dict[str, Any]]) -> None:
    """To the spectrum without scaling, unit by unit: of all values, and of those that are not the skip path's."""
    from resdyn.plotting.canvas import COLOURS

    places = range(len(units))
    for z, scale in enumerate(config.scales):
        if scale != 1:
            for key, marker, label in (("distance", "o", "all"), ("distance_of_others", "x", "the others")):
                found = [np.nan if unit[key][z] is None else unit[key][z] for unit in units]
                ax.plot(places, found, marker, color=COLOURS[z], label=f"{label}, {scale:g}", markersize=5)
    ax.axhline(MARKED, color="k", linewidth=0.5, linestyle=":")
    ax.set_xticks(places, map(str, config.units))
    ax.set_ylim(0, 1)
    ax.set_ylabel("distance to unscaled")
    ax.legend(fontsize="xx-small", frameon=False, ncols=2)


if __name__ == "__main__":
    main(__file__)
