"""Does the sum of the transients classify?

Linear probes on states x(t) and residuals y(t) of each layer; the sum without one layer and without the first ones, and
with these replaced by their mean over samples, which takes away what they know of the sample and leaves the offset that
the read-out was trained with; the network run without one layer; the sum with all residuals of one other sample, whose
class the read-out then says or does not; and, as another thing, the sum with each layer's residuals from a sample of
its own, a mixture close to the mean.

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
EXCHANGES = ("donor", "own", "same_class", "mixed", "mixed_class")


@dataclass(frozen=True)
class Config:
    """What is measured."""

    nets: tuple[str, ...] = ("circles", "dense-shared-mnist-seed0", "dense-layerwise-digits-seed0")
    samples: int = 2000
    """At most: there are 360 test images of digits."""
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
    whole = _hits(net, final)
    yield "without_input_error", error_of_loss(whole, _hits(net, final - states[0]))
    averaged = (final - layer + mean for layer, mean in zip(added, means, strict=True))
    yield "averaged_error", [error_of_loss(whole, _hits(net, without)) for without in averaged]
    yield "averaged_input", right(net, final - states[0] + states[0].mean(axis=0))


def _hits(net: Followed, states: Array) -> Array:
    return np.asarray(net.readout(states).argmax(axis=-1) == net.labels)


def error_of_loss(before: Array, after: Array) -> float:
    """Standard error of the share of samples lost, of the same samples right or wrong twice.

    One sample more is taken to have changed, so that it is not 0 where none did.
    """
    lost, gained = (before & ~after).sum(), (after & ~before).sum()
    return float(np.sqrt(lost + gained + 1 - (lost - gained) ** 2 / len(before)) / len(before))


def _exchanged(net: Followed, states: Array, added: Array, config: Config) -> dict[str, Array]:
    """Residuals added up in another order, and those of other samples.

    All of one other sample: how often the read-out says its class, ``donor``, that of the sample with the input,
    ``own``, and both where they are of one class, ``same_class``. Each layer from a sample of its own: ``mixed``, and
    ``mixed_class`` among samples of the class. One layer alone from another sample: ``one_layer``.
    """
    rng = np.random.default_rng(config.seed)
    everybody, total = np.zeros_like(net.labels), added.sum(axis=0)
    order = rng.permutation(len(added))
    reordered = states[0] + added[order].sum(axis=0)
    found: dict[str, list[Any]] = {}

    def note(name: str, value: Any) -> None:
        found.setdefault(name, []).append(value)

    for _ in range(config.shuffles):
        others = exchange(everybody, rng)
        said = net.readout(states[0] + total[others]).argmax(axis=-1)
        note("donor", (said == net.labels[others]).mean())
        note("own", (said == net.labels).mean())
        note("same_class", right(net, states[0] + total[exchange(net.labels, rng)]))
        for name, groups in (("mixed", everybody), ("mixed_class", net.labels)):
            note(name, right(net, states[0] + sum(layer[exchange(groups, rng)] for layer in added)))
        # each layer alone
        note("one_layer", [right(net, states[-1] - layer + layer[exchange(everybody, rng)]) for layer in added])
    return {
        "order": np.abs(reordered - states[-1]).max() / np.abs(states[-1]).max(),
        **{name: np.array(values) for name, values in found.items()},
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
    """Each net's probes and accuracies; ``lost``: shares of samples, and their standard errors."""
    return {"nets": [_summary(name, _of(arrays, i)) for i, name in enumerate(config.nets)]}


def _of(arrays: dict[str, Array], i: int) -> dict[str, Array]:
    return {key.partition(".")[2]: value for key, value in arrays.items() if key.startswith(f"{i}.")}


def _summary(name: str, found: dict[str, Array]) -> dict[str, Any]:
    last, layers = found["readout"][-1], len(found["without"])
    best, worst = int(found["probe_y"].argmax()), int(found["averaged"].argmin())
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
            **{name: found[name].mean() for name in EXCHANGES},
            "one_layer_least": found["one_layer"].mean(axis=0).min(),
        },
        "worst_layer": {"averaged": worst + 1, "without": int(found["without"].argmin()) + 1},
        "over_shuffles": {name: found[name].std() for name in EXCHANGES},
        "lost": {
            "without_input": [last - found["without_input"], found["without_input_error"]],
            "averaged_one": [last - found["averaged"][worst], found["averaged_error"][worst]],
        },
        "order": float(found["order"]),
    }


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Probes layer by layer above, ablations below, one column per net."""
    from matplotlib.figure import Figure

    n = len(summary["nets"])
    figure = Figure(figsize=(0.6 + 4.2 * n, 6.8), layout="constrained")
    axes = figure.subplots(2, n, squeeze=False, sharey=True)
    for i, net in enumerate(summary["nets"]):
        found = _of(arrays, i)
        _draw_probes(axes[0, i], found)
        _draw_ablations(axes[1, i], found, net)
        axes[0, i].set_title(f"{net['name']}\n{net['samples']} samples", fontsize="medium")
    axes[0, 0].set_ylabel("share of samples told right")
    axes[1, 0].set_ylabel("accuracy of the read-out of the sum")
    axes[0, 0].set_ylim(0, 1.03)
    for row, place in zip(axes, ("upper", "lower"), strict=True):
        handles = row[0].get_legend_handles_labels()
        figure.legend(*handles, loc=f"outside {place} center", ncols=3, fontsize="small", frameon=False)
    return figure


def _draw_probes(ax: Any, found: dict[str, Array]) -> None:
    from resdyn.plotting.canvas import COLOURS

    layers = np.arange(len(found["probe_x"]))
    ax.plot(layers, found["probe_x"], "o-", color=COLOURS[0], label="probe on the state x(t)", markersize=4)
    ax.plot(layers[1:], found["probe_y"], "s-", color=COLOURS[1], label="probe on the residual y(t)", markersize=4)
    ax.plot(layers, found["readout"], "^--", color=COLOURS[2], label="the net's read-out of x(t)", markersize=4)
    ax.fill_between(layers, 0, found["null_x"], color="0.85", label="95 % of shuffled labels")
    ax.set_xlabel("layer t")


def _draw_ablations(ax: Any, found: dict[str, Array], net: dict[str, Any]) -> None:
    from resdyn.plotting.canvas import COLOURS

    layers, accuracy = np.arange(net["layers"] + 1), net["accuracy"]
    ax.plot(layers[1:], found["averaged"], "o-", color=COLOURS[0], label="layer k averaged", markersize=4)
    ax.plot(layers[1:], found["without"], "s-", color=COLOURS[1], label="layer k left out", markersize=4)
    ax.plot(layers, found["averaged_first"], "^--", color=COLOURS[3], label="first k averaged", markersize=4)
    ax.plot(layers, found["without_first"], "v:", color=COLOURS[4], label="first k left out", markersize=4)
    ax.axhline(accuracy["donor"], color="k", linestyle="--", label="all y of another sample: says its class")
    ax.axhline(accuracy["own"], color="k", linestyle=":", label="all y of another sample: says that of x(0)")
    ax.axhline(net["chance"], color="0.6", label="most frequent class")
    words = f"all {accuracy['whole']:.3f}; y of another: its class {accuracy['donor']:.3f}"
    ax.text(0.03, 0.03, words, transform=ax.transAxes, fontsize="small")
    ax.set_xlabel("layer k")


if __name__ == "__main__":
    main(__file__)
