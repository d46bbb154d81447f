"""Singular values of the residual units of a trained network, before and after the last activation.

How many are exactly 1, near 1, zero; the extremes; how much this differs between images; and the sparsity that
explains it: with p active inner units and s active outputs, s − 2p values are exactly 1 if 2p < s. Units of
``exact_stages`` have complete spectra; the others have exact counts at thresholds, beside the estimate by stochastic
Lanczos quadrature.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.rothauge2019_linearization import linearized as of

Array = NDArray[Any]
READINGS: tuple[Literal["before"], Literal["after"]] = ("before", "after")


@dataclass(frozen=True)
class Config:
    """What is measured."""

    weights: str = "resnet56-4bfd9763"
    images: int = 10
    """For complete spectra."""
    exact_stages: tuple[int, ...] = (2, 3)
    counted_images: int = 2
    """For exact counts, in the other stages."""
    thresholds: int = 60
    """Between 0 and ``largest_threshold``."""
    largest_threshold: float = 3.0
    probes: int = 4
    steps: int = 50
    seed: int = 0


PRESETS = {
    "smoke": Config("resnet20-digits-seed0", images=2, counted_images=1, thresholds=12, probes=2, steps=10),
    "laptop": Config(),
    "paper": Config(exact_stages=(1, 2, 3), thresholds=120),
}
# States and Jacobians are in double precision: what differs between machines is rounding, and an activation that turns
# over because of it would change shares by a thousandth of a percent of the units of these nets at least.
TOLERANCES = {
    "units.*.name": 0.0,
    "units.*.*.exact": 1e-9,
    "units.*.*.zero": 1e-9,
    "units.*.*.within.*": 1e-9,
    "units.*.*.largest": 1e-7,
    "units.*.*.p_over_n": 1e-9,
    "units.*.*.s_over_n": 1e-9,
    "units.*.*.forced": 1e-9,
}


def thresholds_of(config: Config) -> Array:
    """Midpoints of a grid that has 1 at a border, so that no threshold falls on an atom."""
    width = config.largest_threshold / config.thresholds
    return (np.arange(config.thresholds) + 0.5) * width


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Arrays over reading, unit and image, NaN where an image was left out; complete spectra unit by unit."""
    network, inputs = of.network_in_double(config.weights, config.images)
    states, stages = of.states_between(network, inputs), of.stage_numbers(network)
    found: dict[str, Array] = {
        "names": np.array([unit.name for unit in network.units]),
        "stages": stages,
        "is_exact": np.isin(stages, config.exact_stages),
        "thresholds": thresholds_of(config),
    }
    jobs = [
        (r, k, i)
        for r in range(len(READINGS))
        for k in range(len(network.units))
        for i in range(config.images if found["is_exact"][k] else min(config.images, config.counted_images))
    ]
    for r, k, i in run.progress(jobs, "spectra"):

        def spectrum(r: int = r, k: int = k, i: int = i) -> dict[str, Array]:
            unit = resdyn.networks.linearize(network.units[k], states[k][i], reading=READINGS[r])
            return _described(unit, config, exact=bool(found["is_exact"][k]))

        described = run.part(f"{READINGS[r]}-unit{k + 1}-image{i}", spectrum)
        if "values" in described:
            name, values = f"values_{READINGS[r]}_unit{k + 1}", described.pop("values")
            found.setdefault(name, np.full((config.images, len(values)), np.nan))[i] = values
        for name, value in described.items():
            size = (len(READINGS), len(network.units), config.images, *value.shape)
            found.setdefault(name, np.full(size, np.nan))[r, k, i] = value
    return found


def _described(unit: Any, config: Config, *, exact: bool) -> dict[str, Array]:
    """One spectrum in numbers, of the same shapes whether it is complete or counted, and the values where complete."""
    a, thresholds = of.skip_gain(unit), thresholds_of(config)
    complete: dict[str, Array] = {}
    if exact:
        complete["values"] = values = unit.singular_values()
        shares, below = of.shares(values, a), of.share_up_to(values, thresholds)
        estimated = np.full_like(below, np.nan)
    else:
        shares, below = of.counted_shares(unit, a), of.counted_share_up_to(unit, thresholds)
        density = unit.spectral_density(probes=config.probes, steps=config.steps, rng=config.seed)
        estimated = density.cdf(thresholds)
    return (
        complete
        | {name: np.asarray(value) for name, value in shares.items()}
        | {
            "gain": np.array(a),
            "below": below,
            "estimated": estimated,
            "structure": of.structure(unit, exact=exact),
        }
    )


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Each unit by its medians over images; medians over units by stage."""
    units = [_unit(arrays, k) for k in range(len(arrays["names"]))]
    stages = sorted(set(arrays["stages"].tolist()))
    errors = abs(arrays["estimated"] - arrays["below"])
    return {
        "network": config.weights,
        "units": units,
        "medians": {
            reading: {
                **{f"stage {stage}": _medians([u for u in units if u["stage"] == stage], reading) for stage in stages},
                "all": _medians(units, reading),
            }
            for reading in READINGS
        },
        "largest_error_of_quadrature": np.nanmax(errors) if np.isfinite(errors).any() else None,
    }


def _unit(arrays: dict[str, Array], k: int) -> dict[str, Any]:
    described = {"name": arrays["names"][k], "stage": arrays["stages"][k], "complete": arrays["is_exact"][k]}
    return described | {reading: _reading(arrays, r, k) for r, reading in enumerate(READINGS)}


def _reading(arrays: dict[str, Array], r: int, k: int) -> dict[str, Any]:
    run = np.isfinite(arrays["exact"][r, k])

    def over_images(name: str) -> Array:
        return arrays[name][r, k][run]

    p, s, n, forced = over_images("structure").T
    largest, mass = over_images("largest"), over_images("within")[:, 1]
    return {
        "images": int(run.sum()),
        "exact": np.median(over_images("exact")),
        "within": np.median(over_images("within"), axis=0),
        "zero": np.median(over_images("zero")),
        "largest": np.median(largest),
        "smallest_nonzero": np.median(over_images("smallest")),
        "p_over_n": np.median(p / n),
        "s_over_n": np.median(s / n),
        "forced": np.median(forced / n),
        "spread_of_mass": np.std(mass) if run.sum() > 1 else None,
        "spread_of_largest": np.std(largest) / np.mean(largest) if run.sum() > 1 else None,
    }


def _medians(units: list[dict[str, Any]], reading: str) -> dict[str, Any]:
    names = ("exact", "zero", "largest", "p_over_n", "s_over_n")
    medians: dict[str, Any] = {name: np.median([unit[reading][name] for unit in units]) for name in names}
    medians["within"] = np.median([unit[reading]["within"] for unit in units], axis=0)
    for name in ("spread_of_mass", "spread_of_largest"):
        known = [unit[reading][name] for unit in units if unit[reading][name] is not None]
        medians[name] = np.median(known) if known else None
    return medians


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Where the singular values of each unit lie, and beside it the exact ones with the sparsity that forces them."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    axes = figure.subplots(2, 2, width_ratios=(2, 1), sharey=True)
    borders = np.concatenate([[0], arrays["thresholds"]])
    rows = np.arange(len(summary["units"]) + 1) + 0.5
    for r, (left, right) in enumerate(axes):
        below = np.nanmean(arrays["below"][r], axis=1)
        density = np.diff(below, axis=1, prepend=0) / np.diff(borders)
        shades = left.pcolormesh(borders, rows, np.where(density > 0, density, np.nan), norm=LogNorm(1e-3, 20))
        left.set_title(f"{READINGS[r]} the last activation")
        left.set_ylabel("residual unit")
        figure.colorbar(shades, ax=left, label="density", pad=0.01, extend="both")
        _draw_shares(right, [unit[READINGS[r]] for unit in summary["units"]])
    axes[0, 0].invert_yaxis()
    axes[1, 0].set_xlabel("singular value")
    axes[1, 1].set_xlabel("share")
    axes[0, 1].legend(fontsize="x-small", frameon=False)
    images = f"{config.images} image{'s' * (config.images != 1)}"
    figure.suptitle(f"Singular values of the units of {summary['network']}, {images}")
    return figure


def _draw_shares(ax: Any, units: list[dict[str, Any]]) -> None:
    from resdyn.plotting.canvas import COLOURS

    def column(name: str) -> list[float]:
        return [np.nan if unit[name] is None else unit[name] for unit in units]

    rows = np.arange(len(units)) + 1
    ax.barh(rows, column("exact"), color=COLOURS[0], height=0.8, label="exactly 1")
    ax.barh(rows, column("zero"), left=column("exact"), color=COLOURS[7], height=0.8, label="zero")
    ax.plot(column("forced"), rows, "k.", markersize=4, label="forced to be 1")
    ax.plot(column("p_over_n"), rows, color=COLOURS[3], linewidth=1, label="p / n")
    ax.set_xlim(0, 1)


if __name__ == "__main__":
    main(__file__)
