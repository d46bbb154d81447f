"""Does the sum of the transients classify?

Linear probes on states x(t) and residuals y(t) of each layer; the sum without one layer and without the first ones, and
with these replaced by their mean over samples, which takes away what they know of the sample and leaves the offset that
the read-out was trained with; the network run without one layer; and the sum with residuals of other samples.

Our choices: the probe is cross-validated ridge regression (:func:`resdyn.transients`); ablations are read by the net's
own read-out, which is not trained again; a layer is left out of the sum (later layers act as before) and, apart from
that, of the network (later layers act on other states). With shared weights the latter is a net with one layer less,
whichever layer it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.lagzi2021_transients.followed import Followed, contributions, followed, right

Array = NDArray[Any]


@dataclass(frozen=True)
class Config:
    """What is measured."""

    nets: tuple[str, ...] = ("circles", "dense-shared-mnist-seed0", "dense-layerwise-digits-seed0")
    samples: int = 2000
    shuffles: int = 20
    """Of labels for the null distribution, and of residuals between samples."""
    seed: int = 0


PRESETS = {
    "smoke": Config(("circles", "dense-shared-digits-seed0"), samples=200, shuffles=10),
    "laptop": Config(),
    "paper": Config(samples=10000, shuffles=100),
}
# a sample on the edge of a class may change sides with the last digit: three of two hundred
TOLERANCES = {"nets.*.accuracy.*": 0.015, "nets.*.probe.*": 0.015, "nets.*.chance": 1e-9, "nets.*.order": 1e-9}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Each net's accuracies, named ``<net number>.<what>``."""
    found: dict[str, Array] = {}
    for i, name in enumerate(run.progress(config.nets, "nets")):

        def net(name: str = name) -> dict[str, Array]:
            return _of_net(followed(name, config.samples), config)

        found |= {f"{i}.{what}": value for what, value in run.part(f"net{i}", net).items()}
    return found


def _of_net(net: Followed, config: Config) -> dict[str, Array]:
    states, added = contributions(net)
    return {
        "samples": np.array(len(net.labels)),
        "chance": np.array(net.chance),
        **_probed(net, config),
        **{name: np.array(value) for name, value in _ablated(net, states, added)},
        **_exchanged(net, states, added, config),
        "skipped": np.array([right(net, _without_layer(net, k)) for k in range(net.depth)]),
    }


def _probed(net: Followed, config: Config) -> dict[str, Array]:
    trajectory = resdyn.simulate(net.system, net.states, depth=net.depth)
    found = resdyn.transients(trajectory, net.labels, readout=net.readout, n_shuffles=config.shuffles, rng=config.seed)
    assert found.probe_x is not None
    assert found.probe_y is not None
    assert found.readout_accuracy is not None
    # y(t + 1) is a function of x(t); the one that x(T) would give belongs to no layer
    of_layers = {"probe_y": found.probe_y[:-1], "null_y": found.null("probe_y")[1][:-1]}
    of_states = {"probe_x": found.probe_x, "null_x": found.null("probe_x")[1]}
    return {**of_states, **of_layers, "readout": found.readout_accuracy}


def _ablated(net: Followed, states: Array, added: Array) -> Iterator[tuple[str, Any]]:
    """The read-out of sums in which something is missing, or its mean over samples stands for it."""
    final, means = states[-1], added.mean(axis=1, keepdims=True)
    # of the first k layers, k = 0 … T
    sums = np.concatenate([np.zeros_like(added[:1]), np.cumsum(added, axis=0)])
    of_means = np.concatenate([np.zeros_like(means[:1]), np.cumsum(means, axis=0)])
    yield "without", [right(net, final - layer) for layer in added]
    yield "averaged", [right(net, final - layer + mean) for layer, mean in zip(added, means, strict=True)]
    yield "without_first", [right(net, final - part) for part in sums]
    yield "averaged_first", [right(net, final - part + mean) for part, mean in zip(sums, of_means, strict=True)]
    yield "averaged_last", [right(net, states[k] + of_means[-1] - of_means[k]) for k in range(len(sums))]
    yield "without_input", right(net, final - states[0])
    yield "averaged_input", right(net, final - states[0] + states[0].mean(axis=0))


def _exchanged(net: Followed, states: Array, added: Array, config: Config) -> dict[str, Array]:
    """Residuals added up in another order, and those of other samples: of all, of the class, of one layer alone."""
    rng = np.random.default_rng(config.seed)
    everybody = np.zeros_like(net.labels)
    order = rng.permutation(len(added))
    reordered = states[0] + added[order].sum(axis=0)
    among: dict[str, list[float]] = {"between": [], "within_class": []}
    one_layer = np.zeros((config.shuffles, len(added)))
    for i in range(config.shuffles):
        for name, groups in (("between", everybody), ("within_class", net.labels)):
            others = sum(layer[exchange(groups, rng)] for layer in added)
            among[name].append(right(net, states[0] + others))
        for k, layer in enumerate(added):
            one_layer[i, k] = right(net, states[-1] - layer + layer[exchange(everybody, rng)])
    return {
        "order": np.abs(reordered - states[-1]).max() / np.abs(states[-1]).max(),
        **{name: np.array(values) for name, values in among.items()},
        "one_layer": one_layer,
    }


def exchange(groups: Array, rng: np.random.Generator) -> Array:
    """A permutation at random that leaves each group as a whole where it is."""
    chosen = np.arange(len(groups))
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        chosen[members] = rng.permutation(members)
    return chosen


def _without_layer(net: Followed, skipped: int) -> Array:
    """The last state of the network run without one of its layers."""
    x = net.states
    for k in range(net.depth):
        if k != skipped:
            x = x + net.system.step * net.system.residual(k * net.system.step, x)
    return x


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Each net's probes and accuracies, with the standard error of an accuracy from so many samples."""
    return {"nets": [_summary(name, _of(arrays, i)) for i, name in enumerate(config.nets)]}


def _of(arrays: dict[str, Array], i: int) -> dict[str, Array]:
    return {key.partition(".")[2]: value for key, value in arrays.items() if key.startswith(f"{i}.")}


def _summary(name: str, found: dict[str, Array]) -> dict[str, Any]:
    last, layers = found["readout"][-1], len(found["without"])
    best = int(found["probe_y"].argmax())
    return {
        "name": name,
        "samples": int(found["samples"]),
        "layers": layers,
        "chance": float(found["chance"]),
        "probe": {
            "x_first": found["probe_x"][0],
            "x_last": found["probe_x"][-1],
            "y_first": found["probe_y"][0],
            "y_last": found["probe_y"][-1],
            "y_best": found["probe_y"][best],
            "null": max(found["null_x"].max(), found["null_y"].max()),
        },
        "best_layer_of_y": best + 1,
        "accuracy": {
            "whole": last,
            "without_one_least": found["without"].min(),
            "averaged_one_least": found["averaged"].min(),
            "without_first_half": found["without_first"][layers // 2],
            "averaged_first_half": found["averaged_first"][layers // 2],
            "averaged_second_half": found["averaged_last"][layers // 2],
            "averaged_all": found["averaged_first"][-1],
            "without_input": found["without_input"],
            "averaged_input": found["averaged_input"],
            "skipped_least": found["skipped"].min(),
            "skipped_most": found["skipped"].max(),
            "between": found["between"].mean(),
            "within_class": found["within_class"].mean(),
            "one_layer_least": found["one_layer"].mean(axis=0).min(),
        },
        "worst_layer": {"averaged": int(found["averaged"].argmin()) + 1, "without": int(found["without"].argmin()) + 1},
        "over_shuffles": {name: found[name].std() for name in ("between", "within_class")},
        "order": float(found["order"]),
    }


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Probes layer by layer above, ablations below, one column per net."""
    from matplotlib.figure import Figure

    from resdyn.plotting.canvas import COLOURS

    n = len(summary["nets"])
    figure = Figure(figsize=(0.6 + 4.2 * n, 6.6), layout="constrained")
    axes = figure.subplots(2, n, squeeze=False, sharey=True)
    for i, net in enumerate(summary["nets"]):
        found, (above, below) = _of(arrays, i), axes[:, i]
        layers = np.arange(net["layers"] + 1)
        above.plot(layers, found["probe_x"], "o-", color=COLOURS[0], label="probe on the state x(t)", markersize=4)
        above.plot(
            layers[1:], found["probe_y"], "s-", color=COLOURS[1], label="probe on the residual y(t)", markersize=4
        )
        above.plot(layers, found["readout"], "^--", color=COLOURS[2], label="the net's read-out of x(t)", markersize=4)
        above.fill_between(layers, 0, found["null_x"], color="0.85", label="95 % of shuffled labels")
        above.set_title(f"{net['name']}\n{net['samples']} samples", fontsize="medium")
        above.set_xlabel("layer t")
        below.plot(layers[1:], found["averaged"], "o-", color=COLOURS[0], label="layer k averaged", markersize=4)
        below.plot(layers[1:], found["without"], "s-", color=COLOURS[1], label="layer k left out", markersize=4)
        below.plot(layers, found["averaged_first"], "^--", color=COLOURS[3], label="first k averaged", markersize=4)
        below.plot(layers, found["without_first"], "v:", color=COLOURS[4], label="first k left out", markersize=4)
        between = net["accuracy"]["between"]
        below.axhline(between, color="k", linestyle="-.", label="residuals of other samples")
        below.axhline(net["chance"], color="0.6", label="most frequent class")
        words = f"all {net['accuracy']['whole']:.3f}, others' {between:.3f}"
        below.text(0.03, 0.03, words, transform=below.transAxes, fontsize="small")
        below.set_xlabel("layer k")
    axes[0, 0].set_ylabel("share of samples told right")
    axes[1, 0].set_ylabel("accuracy of the read-out of the sum")
    axes[0, 0].set_ylim(0, 1.03)
    for row, place in zip(axes, ("upper", "lower"), strict=True):
        handles = row[0].get_legend_handles_labels()
        figure.legend(*handles, loc=f"outside {place} center", ncols=3, fontsize="small", frameon=False)
    return figure


if __name__ == "__main__":
    main(__file__)
