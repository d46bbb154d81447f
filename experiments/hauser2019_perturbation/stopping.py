r"""The stopping rule: a residual net is deep enough when its mean scaled perturbation is below ε.

Three ways to use it. "function": nets are trained anew at ascending depths, and the first whose mean is below ε is
taken. "callback": the same, but a net that was not deep enough in so many epochs one after another is given up at once
(``resdyn.networks.StateWatch``). "growing": one net, whose blocks are doubled after each round of training by
identities in between, until it is deep enough.

All three are our reading: the abstract says that the average perturbation decides, and neither which ε, which
magnitude nor how depths are tried. The nets are narrow residual MLPs, on MNIST or, in "smoke", on the digits of
scikit-learn. Each is trained once with a watch on its states, and all ε are judged from that.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.hauser2019_perturbation.deciding import after_training, judge, while_training
from experiments.hauser2019_perturbation.growing import grown
from experiments.hauser2019_perturbation.nets import NAMES, settings, small
from experiments.hauser2019_perturbation.power_laws import exponent

Array = NDArray[Any]
WAYS = ("function", "callback", "growing")


@dataclass(frozen=True)
class Config:
    """What is trained and judged."""

    data: str = "mnist"
    depths: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    """Each the double of the one before."""
    seeds: tuple[int, ...] = (0, 1)
    thresholds: tuple[float, ...] = (1.0, 0.7, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1)
    """ε, of scaled perturbations."""
    units: int = 24
    epochs: int = 3
    """Of each net that is trained anew."""
    growth_epochs: int = 1
    """Between two doublings."""
    patience: int = 2
    """Epochs one after another in which a net is not deep enough, until it is given up."""
    images: int = 200
    """Of the training set, for means of perturbations: depth is not chosen by test images."""
    initial: str = "scaled"


PRESETS = {
    "smoke": Config(
        "digits", (1, 2, 4), thresholds=(1.2, 0.8, 0.6, 0.5), units=12, epochs=4, growth_epochs=2, images=50
    ),
    "laptop": Config(),
    "paper": Config(
        depths=(2, 4, 8, 16, 32, 64, 128, 256), seeds=(0, 1, 2), units=64, epochs=10, growth_epochs=3, images=1000
    ),
}
# a few epochs of Adam make of another order of sums about a thousandth of a magnitude; an accuracy moves by images of
# 360
TOLERANCES = {"magnitudes.*": 0.03, "accuracy.*": 0.02}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Mean scaled perturbations and accuracies: "anew" (depths, seeds, epochs), "growing" (depths, seeds)."""
    if any(after != 2 * before for before, after in itertools.pairwise(config.depths)):
        raise SystemExit(f"depths are {config.depths}, but a net grows by doubling; each must be twice the one before.")
    watched = resdyn.data.image_set(config.data, "train").subset(slice(0, config.images))
    sizes = len(config.depths), len(config.seeds)
    found = {f"anew_{name}": np.empty((*sizes, config.epochs)) for name in ("magnitudes", "accuracy")}
    found |= {f"growing_{name}": np.empty(sizes) for name in ("magnitudes", "accuracy")}
    cases = [(depth, s) for s in range(len(config.seeds)) for depth in (*config.depths, None)]
    for depth, s in run.progress(cases, "nets"):
        seed = config.seeds[s]
        if depth is None:

            def whole(seed: int = seed) -> dict[str, Array]:
                net = small(config, config.depths[0], seed)
                # the threshold plays no part in the magnitudes that are kept
                watch = resdyn.networks.StateWatch(watched, judge(1.0))
                training = settings(resdyn.networks.PRESETS[config.data], config.growth_epochs, seed)
                return grown(net, config.data, config.depths, training, watch)

            for name, value in run.part(f"growing-seed{seed}", whole, keep=True).items():
                found[f"growing_{name}"][:, s] = value
            continue

        def anew(depth: int = depth, seed: int = seed) -> dict[str, Array]:
            return _watched(config, watched, depth, seed)

        for name, value in run.part(f"anew-{depth}-seed{seed}", anew, keep=True).items():
            found[f"anew_{name}"][config.depths.index(depth), s] = value
    return found


def _watched(config: Config, watched: Any, depth: int, seed: int) -> dict[str, Array]:
    """Train one net, with its magnitude and accuracy after each epoch."""
    net, watch = small(config, depth, seed), resdyn.networks.StateWatch(watched, judge(1.0))
    training = settings(resdyn.networks.PRESETS[config.data], config.epochs, seed)
    run = resdyn.networks.fit(net, config.data, training, progress=False, callbacks=[watch])
    return {"magnitudes": np.array([rule.value for rule in watch.found]), "accuracy": run.accuracy}


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Magnitudes and accuracies by depth; for each ε and way of using the rule depth, accuracy and epochs by seed."""
    last = {name: arrays[f"anew_{name}"][..., -1] for name in ("magnitudes", "accuracy")}
    decided = [_decided(config, arrays, s) for s in range(len(config.seeds))]
    return {
        "data": config.data,
        "depths": config.depths,
        "seeds": len(config.seeds),
        "epochs": config.epochs,
        "patience": config.patience,
        "thresholds": config.thresholds,
        "magnitudes": {"anew": last["magnitudes"], "growing": arrays["growing_magnitudes"]},
        "accuracy": {"anew": last["accuracy"], "growing": arrays["growing_accuracy"]},
        "exponents": {
            "anew": exponent(config.depths, last["magnitudes"]),
            "growing": exponent(config.depths, arrays["growing_magnitudes"]),
        },
        **{way: _by_threshold([of_seed[way] for of_seed in decided]) for way in WAYS},
    }


def _decided(config: Config, arrays: dict[str, Array], s: int) -> dict[str, tuple[Array, Array, Array]]:
    """For one seed and each way: depths, accuracies and epochs, over thresholds."""
    anew, growing = arrays["anew_magnitudes"][:, s], arrays["growing_magnitudes"][:, s, None]
    function, epochs = after_training(config.depths, anew, config.thresholds)
    callback, fewer = while_training(config.depths, anew, config.thresholds, config.patience)
    single, rounds = after_training(config.depths, growing, config.thresholds)
    right = arrays["anew_accuracy"][:, s, -1]
    return {
        "function": (function, _at(config, right, function), epochs),
        "callback": (callback, _at(config, right, callback), fewer),
        "growing": (single, _at(config, arrays["growing_accuracy"][:, s], single), rounds * config.growth_epochs),
    }


def _at(config: Config, values: Array, depths: Array) -> Array:
    """Values of the depths that were decided on, NaN where there is none."""
    return np.array([values[config.depths.index(depth)] if depth else np.nan for depth in depths])


def _by_threshold(of_seeds: list[tuple[Array, Array, Array]]) -> dict[str, list[Any]]:
    depths, accuracy, epochs = (np.stack(columns, axis=1) for columns in zip(*of_seeds, strict=True))
    known = [[float(a) if np.isfinite(a) else None for a in row] for row in accuracy]
    return {"depths": depths.tolist(), "accuracy": known, "epochs": epochs.tolist()}


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Magnitudes over depth, depth and accuracy over ε, and what each way costs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.4), layout="constrained")
    axes = figure.subplots(2, 2)
    _draw_depths(axes[0, 0], config, summary)
    _draw_decided(axes[0, 1], config, summary, "depths", "depth decided on, blocks")
    axes[0, 1].set_yscale("log", base=2)
    axes[0, 1].set_yticks(config.depths, [str(depth) for depth in config.depths])
    _draw_decided(axes[1, 0], config, summary, "accuracy", "accuracy on the test set")
    deepest = np.mean(summary["accuracy"]["anew"][-1])
    axes[1, 0].axhline(deepest, color="k", linestyle=":", label=f"{config.depths[-1]} blocks: {deepest:.3f}")
    _draw_decided(axes[1, 1], config, summary, "epochs", "epochs trained until then")
    for ax in axes.flat:
        ax.legend(fontsize="x-small")
    seeds = f"{summary['seeds']} seed{'s' * (summary['seeds'] != 1)}"
    figure.suptitle(
        f"Stopping rule on {NAMES[config.data]}: residual MLPs of {config.units} units, {config.epochs} epochs each, "
        f"{seeds} (lines: means; points: single seeds)",
        fontsize="medium",
    )
    return figure


def _draw_depths(ax: Any, config: Config, summary: dict[str, Any]) -> None:
    from matplotlib.ticker import NullLocator

    from resdyn.plotting.canvas import COLOURS

    titles = {"anew": "trained anew at each depth", "growing": "one net that grows"}
    for words, colour, marker in (("anew", COLOURS[0], "o"), ("growing", COLOURS[1], "s")):
        values = np.array(summary["magnitudes"][words])
        ax.plot(config.depths, values, marker, color=colour, markersize=4, alpha=0.6)
        slope = f"{summary['exponents'][words]['exponent']:.2f}".replace("-", "−")
        ax.plot(config.depths, values.mean(axis=1), color=colour, label=f"{titles[words]}: slope {slope}")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(config.depths, [str(depth) for depth in config.depths])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("blocks L")
    ax.set_ylabel("mean ‖f(x)‖ / ‖x‖")


def _draw_decided(ax: Any, config: Config, summary: dict[str, Any], name: str, label: str) -> None:
    from matplotlib.ticker import NullLocator

    from resdyn.plotting.canvas import COLOURS

    titles = {
        "function": "function: all epochs at each depth",
        "callback": f"callback: given up after {config.patience} epochs",
        "growing": "one net that grows",
    }
    styles = (COLOURS[0], "o", "-"), (COLOURS[3], "x", "--"), (COLOURS[1], "s", "-")
    for way, (colour, marker, line) in zip(WAYS, styles, strict=True):
        values = np.array(summary[way][name], dtype=float)
        values[np.array(summary[way]["depths"]) == 0] = np.nan
        ax.plot(config.thresholds, values, marker, color=colour, markersize=5, alpha=0.6)
        # a mean over seeds of which some found no depth would be one of others
        ax.plot(config.thresholds, values.mean(axis=1), line, color=colour, label=titles[way])
    ax.set_xscale("log")
    ax.set_xticks(config.thresholds, [f"{threshold:g}" for threshold in config.thresholds], rotation=45)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("threshold ε")
    ax.set_ylabel(label)


if __name__ == "__main__":
    main(__file__)
