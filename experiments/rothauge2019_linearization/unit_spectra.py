"""Singular values of the residual units of a trained network, before and after the last activation.

How many are exactly 1, near 1, zero; the extremes; how much this differs between images; and the sparsity that
explains it: with p active inner units and s active outputs, s − 2p values are exactly 1 if 2p < s. Units of
``exact_stages`` have complete spectra; the others have exact counts at thresholds, beside the estimate by stochastic
Lanczos quadrature, and at the first image the smallest singular value by bisection.

A complete spectrum gets its exact ones from the rank, so that they are no evidence for what the rank forces: that is
the question of the script ``sparsity``.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.rothauge2019_linearization import linearized as of
from experiments.rothauge2019_linearization.judging import is_most

Array = NDArray[Any]
READINGS: tuple[Literal["before"], Literal["after"]] = ("before", "after")
QUARTILES = (0.25, 0.75)
NEAR = 2
"""The index of a tenth among the widths: near 1."""


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
    "units.*.*.most.*": 0.0,
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

    def linearized(r: int, k: int, i: int) -> Any:
        return resdyn.networks.linearize(network.units[k], states[k][i], reading=READINGS[r])

    places = list(np.ndindex(len(READINGS), len(network.units)))
    counted = min(config.images, config.counted_images)
    jobs = [(r, k, i) for r, k in places for i in range(config.images if found["is_exact"][k] else counted)]
    for r, k, i in run.progress(jobs, "spectra"):

        def spectrum(r: int = r, k: int = k, i: int = i) -> dict[str, Array]:
            return _described(linearized(r, k, i), config, exact=bool(found["is_exact"][k]))

        described = run.part(f"{READINGS[r]}-unit{k + 1}-image{i}", spectrum)
        if "values" in described:
            name, values = f"values_{READINGS[r]}_unit{k + 1}", described.pop("values")
            found.setdefault(name, np.full((config.images, len(values)), np.nan))[i] = values
        for name, value in described.items():
            size = (len(READINGS), len(network.units), config.images, *value.shape)
            found.setdefault(name, np.full(size, np.nan))[r, k, i] = value
    # all that is known of the smallest where singular values were counted
    for r, k in run.progress([place for place in places if not found["is_exact"][place[1]]], "smallest"):

        def smallest(r: int = r, k: int = k) -> dict[str, Array]:
            return {"smallest": np.array(of.smallest_nonzero(linearized(r, k, 0)))}

        found["smallest"][r, k, 0] = run.part(f"smallest-{READINGS[r]}-unit{k + 1}", smallest)["smallest"]
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
    """Each unit by its medians over images, quartiles, and whether most of its values are 1; medians by stage."""
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
    exact, within, largest = (over_images(name) for name in ("exact", "within", "largest"))
    several = run.sum() > 1
    return {
        "images": int(run.sum()),
        "exact": np.median(exact),
        "exact_quartiles": np.quantile(exact, QUARTILES),
        "within": np.median(within, axis=0),
        "near_quartiles": np.quantile(within[:, NEAR], QUARTILES),
        "most": {"exact": is_most(float(np.median(exact))), "near": is_most(float(np.median(within[:, NEAR])))},
        "zero": np.median(over_images("zero")),
        "largest": np.median(largest),
        "largest_quartiles": np.quantile(largest, QUARTILES),
        "smallest_nonzero": np.nanmedian(over_images("smallest")),
        "p_over_n": np.median(p / n),
        "s_over_n": np.median(s / n),
        "forced": np.median(forced / n),
        # of a sample, since two images are few
        "spread_of_mass": np.std(within[:, 1], ddof=1) if several else None,
        "spread_of_largest": np.std(largest, ddof=1) / np.mean(largest) if several else None,
    }


def _medians(units: list[dict[str, Any]], reading: str) -> dict[str, Any]:
    names = ("exact", "zero", "largest", "smallest_nonzero", "p_over_n", "s_over_n")
    medians: dict[str, Any] = {name: np.median([unit[reading][name] for unit in units]) for name in names}
    medians["within"] = np.median([unit[reading]["within"] for unit in units], axis=0)
    for name in ("spread_of_mass", "spread_of_largest"):
        known = [unit[reading][name] for unit in units if unit[reading][name] is not None]
        medians[name] = np.median(known) if known else None
    return medians


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Where the singular values of each unit lie; exact ones and what forces them; extremes; quadrature and counts."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    units = summary["units"]
    counted = [k for k, unit in enumerate(units) if not unit["complete"]]
    figure = Figure(figsize=(11, 9 if counted else 7), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(7, 2.2)) if counted else [figure]
    upper, *lower = parts
    axes = upper.subplots(2, 3, width_ratios=(4, 2.4, 1.6), sharey=True)
    borders = np.concatenate([[0], arrays["thresholds"]])
    rows = np.arange(len(units) + 1) + 0.5
    for r, (left, middle, right) in enumerate(axes):
        of_units = [unit[READINGS[r]] for unit in units]
        below = np.nanmean(arrays["below"][r], axis=1)
        density = np.diff(below, axis=1, prepend=0) / np.diff(borders)
        # what is white is empty, up to a ten-thousandth of the singular values of a bin
        shades = left.pcolormesh(borders, rows, np.where(density > 0, density, np.nan), norm=LogNorm(1e-3, 20))
        left.set_title(f"{READINGS[r]} the last activation; white: none", fontsize="medium")
        left.set_ylabel("residual unit")
        upper.colorbar(shades, ax=left, label="density", pad=0.01, extend="both")
        _draw_shares(middle, of_units)
        _draw_extremes(right, of_units)
    axes[0, 0].invert_yaxis()
    axes[0, 1].set_title("most are 1? exactly · within 0.1", fontsize="medium")
    axes[0, 2].set_title("extremes", fontsize="medium")
    for ax, label in zip(axes[1], ("singular value", "share of singular values", "singular value"), strict=True):
        ax.set_xlabel(label)
    entries = [ax.get_legend_handles_labels() for ax in axes[0, 1:]]
    handles, labels = ([entry for part in entries for entry in part[which]] for which in (0, 1))
    upper.legend(handles, labels, loc="outside lower right", ncols=len(labels), fontsize="small", frameon=False)
    if counted:
        _draw_quadrature(lower[0], arrays, counted[len(counted) // 2])
    figure.suptitle(f"Singular values of the units of {summary['network']}, {_images(units)}")
    return figure


def _images(units: list[dict[str, Any]]) -> str:
    """How many, where they differ between units."""
    numbers = sorted({unit[reading]["images"] for unit in units for reading in READINGS}, reverse=True)

    def those(number: int) -> str:
        chosen = [k for k, unit in enumerate(units, 1) if min(unit[r]["images"] for r in READINGS) == number]
        return f"{number} image{'s' * (number != 1)} at {_ranges(chosen)}"

    words = [those(number) for number in numbers]
    return words[0].partition(" at ")[0] if len(words) == 1 else ", ".join(words)


def _ranges(numbers: list[int]) -> str:
    """Such as "units 1–10 and 19"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = [str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs]
    return f"unit{'s' * (len(numbers) != 1)} " + " and ".join(
        [", ".join(words[:-1]), words[-1]] if words[1:] else words
    )


def _column(units: list[dict[str, Any]], name: str) -> Array:
    return np.array([np.nan if unit[name] is None else unit[name] for unit in units])


def _draw_shares(ax: Any, units: list[dict[str, Any]]) -> None:
    from resdyn.plotting.canvas import COLOURS

    rows = np.arange(len(units)) + 1
    exact = _column(units, "exact")
    ax.barh(rows, exact, color=COLOURS[0], height=0.8, label="exactly 1")
    ax.barh(rows, _column(units, "zero"), left=exact, color=COLOURS[7], height=0.8, label="zero")
    ax.plot(_column(units, "forced"), rows, "k.", markersize=4, label="forced to be 1")
    ax.plot(_column(units, "p_over_n"), rows, color=COLOURS[3], linewidth=1, label="p / n")
    ax.axvline(0.5, color="k", linewidth=0.5, linestyle=":")
    for row, unit in zip(rows, units, strict=True):
        words = " · ".join(unit["most"][name] for name in ("exact", "near"))
        ax.text(1.02, row, words, fontsize="x-small", va="center")
    # room for the words
    ax.set_xlim(0, 1.3)
    ax.set_xticks([0, 0.5, 1])


def _draw_extremes(ax: Any, units: list[dict[str, Any]]) -> None:
    from resdyn.plotting.canvas import COLOURS

    rows = np.arange(len(units)) + 1
    largest, quartiles = _column(units, "largest"), np.array([unit["largest_quartiles"] for unit in units]).T
    ax.errorbar(largest, rows, xerr=abs(quartiles - largest), fmt="o", ms=3, color=COLOURS[3], label="largest")
    ax.plot(_column(units, "smallest_nonzero"), rows, "o", ms=3, color=COLOURS[2], label="smallest, not zero")
    ax.axvline(1, color="k", linewidth=0.5, linestyle=":")
    ax.set_xscale("log")


def _draw_quadrature(figure: Any, arrays: dict[str, Array], k: int) -> None:
    """Of one unit with counts, at the first image: their histogram, and that of quadrature with the known atoms."""
    from resdyn.plotting.canvas import COLOURS

    borders = np.concatenate([[0], arrays["thresholds"]])
    for r, ax in enumerate(figure.subplots(1, 2, sharey=True)):
        for name, colour, label, options in (
            ("below", "0.75", "exact counts", {"fill": True}),
            ("estimated", COLOURS[0], "quadrature with known atoms", {}),
        ):
            heights = np.diff(arrays[name][r, k, 0], prepend=0) / np.diff(borders)
            ax.stairs(heights, borders, color=colour, label=label, **options)
        ax.set_yscale("log")
        ax.set_ylim(1e-3, 40)
        ax.set_xlabel("singular value")
        ax.set_title(f"unit {k + 1}, one image, {READINGS[r]} the last activation", fontsize="medium")
    figure.axes[0].set_ylabel("density")
    figure.axes[0].legend(fontsize="x-small", frameon=False)


if __name__ == "__main__":
    main(__file__)
