r"""How far residual blocks move the state, in nets of 6 to 300 blocks.

Nets are trained anew at each depth. The perturbation of block l is :math:`f_l(x_l)`, measured in the Euclidean norm,
absolutely and divided by that of the state, as a mean over test images, per block and on average over blocks. Over the
depth L a line is fitted to logarithms. Beside the trained nets stand the same nets before training: their exponent says
what the initial weights alone give, −1/2 if each last weight of a branch begins with a variance of 1/L.

The paper's architectures, training and norm are not known to us: ours are narrow residual MLPs on MNIST and
convolutional nets of one stage on CIFAR-10 (``resdyn.networks.residual_mlp`` and ``residual_cnn``), trained for few
epochs. The public ResNet-20 and ResNet-56 have an activation after the addition: their perturbation is that of the
branch, before that activation, units that change the shape of the state are left out, and by how much the state moves
after the activation stands beside it. "smoke" trains tiny nets on the digits of scikit-learn.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments._harness.nets import require
from experiments.hauser2019_perturbation.nets import NAMES, beginning, name_of, settled, small, trained, trained_here
from experiments.hauser2019_perturbation.perturbations import KINDS, perturbations
from experiments.hauser2019_perturbation.power_laws import exponent

Array = NDArray[Any]
STATES = ("trained", "untrained")


@dataclass(frozen=True)
class Config:
    """What is measured."""

    data: str = "mnist"
    depths: tuple[int, ...] = (6, 12, 25, 50, 100)
    """Numbers of blocks; those of the public nets are 9 and 27 residual units."""
    nets: str = "residual-mlp{depth}x24-mnist-seed{seed}"
    """Names of trained nets; "public", or "here" for residual MLPs that are trained by this script."""
    seeds: tuple[int, ...] = (0, 1, 2)
    untrained: int = 3
    """Nets of each depth before training, with the seeds from 0 on."""
    images: int = 1000
    units: int = 24
    epochs: int = 3
    initial: str = "scaled"
    """These three for nets that are trained here; how the last weights of a branch begin, as in ``residual_mlp``."""


PRESETS = {
    "smoke": Config("digits", (2, 4, 8), "here", seeds=(0, 1), untrained=2, images=100, units=12, epochs=4),
    "laptop": Config(),
    "laptop-cifar10": Config("cifar10", (6, 12, 25, 40), "residual-cnn{depth}x16-cifar10-seed{seed}", seeds=(0, 1)),
    # blocks that begin as identities have no exponent before training
    "laptop-zero": Config(depths=(6, 12, 25, 50), nets="here", seeds=(0, 1), untrained=0, initial="zero"),
    "public": Config("cifar10", (9, 27), "public", seeds=(0,), untrained=0),
    "paper": Config(
        depths=(6, 12, 25, 50, 100, 200, 300),
        nets="residual-mlp{depth}x64-mnist-seed{seed}",
        seeds=(0,),
        images=10_000,
    ),
    "paper-cifar10": Config(
        "cifar10",
        (6, 12, 25, 50, 100, 200, 300),
        "residual-cnn{depth}x32-cifar10-seed{seed}",
        seeds=(0,),
        images=10_000,
    ),
}
# training of tiny nets for a few epochs: another processor sums in another order, and four epochs of Adam make of that
# about a thousandth; before training there is only rounding
TOLERANCES = {
    "trained.scaled.exponent": 0.05,
    "trained.absolute.exponent": 0.05,
    "trained.scaled.means.*": 0.03,
    "trained.absolute.means.*": 0.1,
    "untrained.scaled.exponent": 1e-4,
    "untrained.absolute.means.*": 1e-3,
}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Of each kind, for each state of training, arrays over (depths, seeds, blocks), filled with NaN."""
    chosen = resdyn.data.image_set(config.data, "test").subset(slice(0, config.images))
    pixels, labels = chosen.pixels(), np.asarray(chosen.labels)
    if config.nets not in ("here", "public"):
        # a missing one is named before the work begins
        require(*(name_of(config.nets, depth, seed) for depth in config.depths for seed in config.seeds))
    seeds = {"trained": config.seeds, "untrained": tuple(range(config.untrained))}
    cases = [(state, depth, seed) for depth in config.depths for state in STATES for seed in seeds[state]]
    found: dict[str, Array] = {}
    for state, depth, seed in run.progress(cases, "nets"):
        net = _net(config, run, state, depth, seed)

        def measured(net: Any = net, state: str = state) -> dict[str, Array]:
            return perturbations(settled(net, config.data) if state == "untrained" else net, pixels, labels)

        at = config.depths.index(depth), seeds[state].index(seed)
        for name, value in run.part(f"{state}-{depth}-seed{seed}", measured).items():
            whole = np.pad(value, (0, max(config.depths) - depth), constant_values=np.nan) if name in KINDS else value
            sizes = len(config.depths), len(seeds[state])
            found.setdefault(f"{state}_{name}", np.empty((*sizes, *whole.shape)))[at] = whole
    return found


def _net(config: Config, run: Run, state: str, depth: int, seed: int) -> Any:
    if config.nets == "here":
        if state == "trained":
            return trained_here(config, depth, seed, run, resdyn.networks.PRESETS[config.data])
        return small(config, depth, seed)
    if state == "trained":
        return trained(config.nets, depth, seed)
    net = trained(config.nets, depth, config.seeds[0])
    begun = beginning(net.architecture, seed)
    begun.preprocessing = net.preprocessing
    return begun


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """For each state of training and kind: means over blocks and their exponent over depth; the profile over blocks."""
    states = [state for state in STATES if f"{state}_scaled" in arrays]
    return {
        "data": config.data,
        "nets": config.nets,
        "depths": config.depths,
        "seeds": len(config.seeds),
        "images": arrays["trained_by_image"].shape[-1],
        "accuracy": arrays["trained_accuracy"].mean(axis=1),
        **{state: _of_state(config.depths, arrays, state) for state in states},
        "change": _change(config, arrays) if "untrained" in states else None,
        "changed_seeds": len(_changed_seeds(config)),
        "profile": [_profile(config, arrays["trained_scaled"][k]) for k in range(len(config.depths))],
    }


def _of_state(depths: tuple[int, ...], arrays: dict[str, Array], state: str) -> dict[str, Any]:
    averages = {kind: np.nanmean(arrays[f"{state}_{kind}"], axis=-1) for kind in KINDS}
    return {
        **{kind: _over_depths(depths, values) for kind, values in averages.items()},
        "path": np.nansum(arrays[f"{state}_scaled"], axis=-1).mean(axis=1),
    }


def _over_depths(depths: tuple[int, ...], values: Array) -> dict[str, Any]:
    return {
        "means": values.mean(axis=1),
        "least": values.min(axis=1),
        "most": values.max(axis=1),
        **exponent(depths, values),
    }


def _changed_seeds(config: Config) -> list[int]:
    """Of nets that are known before and after training."""
    return [seed for seed in config.seeds if seed < config.untrained]


def _change(config: Config, arrays: dict[str, Array]) -> dict[str, Any] | None:
    """The exponent of what training multiplies scaled perturbations by, depth by depth, over nets of the same seeds."""
    both = _changed_seeds(config)
    if not both:
        return None
    places = {"trained": [config.seeds.index(seed) for seed in both], "untrained": both}
    logs = [np.log(np.nanmean(arrays[f"{state}_scaled"][:, places[state]], axis=-1)).mean(axis=1) for state in STATES]
    return exponent(config.depths, np.exp(logs[0] - logs[1])[:, None])


def _profile(config: Config, scaled: Array) -> dict[str, Any]:
    """Of the nets of one depth: the thirds of the blocks, and the largest one, over the mean."""
    known = scaled[:, np.isfinite(scaled).all(axis=0)]
    thirds = np.stack([part.mean(axis=1) for part in np.array_split(known, 3, axis=1) if part.size])
    return {
        "blocks": known.shape[1],
        "thirds": (thirds / known.mean(axis=1)).mean(axis=1),
        "largest": (known.max(axis=1) / known.mean(axis=1)).mean(),
    }


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Magnitudes over depth with their lines, and the profile over blocks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for ax, kind, label in ((left, "scaled", "mean ‖f(x)‖ / ‖x‖"), (middle, "absolute", "mean ‖f(x)‖")):
        _draw_law(ax, config, arrays, summary, kind)
        ax.set_ylabel(label)
    _draw_profile(right, config, arrays)
    figure.suptitle(_title(config, summary), fontsize="medium")
    return figure


def _draw_law(ax: Any, config: Config, arrays: dict[str, Array], summary: dict[str, Any], kind: str) -> None:
    from matplotlib.ticker import NullLocator

    from resdyn.plotting.canvas import COLOURS

    depths = np.array(config.depths, dtype=float)
    styles = zip((COLOURS[0], COLOURS[7]), ("o", "s"), (state for state in STATES if state in summary), strict=False)
    for colour, marker, state in styles:
        law, means = summary[state][kind], np.nanmean(arrays[f"{state}_{kind}"], axis=-1)
        centre = np.exp(np.log(means).mean(axis=1))
        fit = np.exp(np.log(centre).mean() + law["exponent"] * (np.log(depths) - np.log(depths).mean()))
        ax.plot(np.repeat(depths, means.shape[1]), means.ravel(), marker, color=colour, alpha=0.6, markersize=4)
        ax.plot(depths, fit, color=colour, label=f"{state}: {_law(law)}")
        if state == "trained":
            inverse = centre[0] * depths[0] / depths
            ax.plot(depths, inverse, color="k", linestyle=":", label="inversely proportional: −1")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(config.depths, [str(depth) for depth in config.depths])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("blocks L")
    low, high = ax.get_ylim()
    # room for the legend below the points
    ax.set_ylim(low / (high / low) ** 0.45, high)
    ax.legend(fontsize="x-small", loc="lower left", title="slope [95 % interval]", title_fontsize="x-small")


def _law(law: dict[str, Any]) -> str:
    slope = f"{law['exponent']:.2f}"
    if law["interval"] is not None:
        low, high = law["interval"]
        slope += f" [{low:.2f}, {high:.2f}]"
    return slope.replace("-", "−")


def _draw_profile(ax: Any, config: Config, arrays: dict[str, Array]) -> None:
    from resdyn.plotting.canvas import COLOURS

    for k, (depth, colour) in enumerate(zip(config.depths, (*COLOURS[:7], *COLOURS[8:]), strict=False)):
        profile = arrays["trained_scaled"][k, :, :depth].mean(axis=0)
        place = (np.arange(depth) + 0.5) / depth
        known = np.isfinite(profile)
        ax.plot(place[known], profile[known], "o-", color=colour, markersize=2.5, linewidth=1, label=f"L = {depth}")
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.set_ylim(low / (high / low) ** 0.35, high)
    ax.set_xlim(0, 1)
    ax.set_xlabel("place of the block, l / L")
    ax.set_ylabel("‖f(x)‖ / ‖x‖, mean over images")
    ax.legend(fontsize="x-small", ncols=2, loc="lower left")


def _title(config: Config, summary: dict[str, Any]) -> str:
    named = {"here": f"residual MLPs of {config.units} units", "public": "public ResNet-20 and ResNet-56"}
    nets = named.get(
        config.nets,
        config.nets.partition("{")[0].removesuffix("-").replace("-", " ").replace("mlp", "MLP").replace("cnn", "CNN")
        + "s",
    )
    accuracy = " ".join(f"{100 * share:.1f}" for share in summary["accuracy"])
    seeds = f"{summary['seeds']} seed{'s' * (summary['seeds'] != 1)}"
    return f"{NAMES[config.data]}, {nets}, {seeds}, {summary['images']} images; right on them, by depth: {accuracy} %"


if __name__ == "__main__":
    main(__file__)
