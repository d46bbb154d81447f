r"""Concentric circles with three logistic units and one matrix for fifteen layers: many trainings, and what each does.

Two inputs become three units by a zero that is appended; the points scatter about their circles with a deviation of
0.05; W begins as N(0, 1/3) and b at −1, or at 0, which are reported side by side; Adam with a one-cycle learning rate,
batches of 50, 300 epochs. The paper says none of these, nor how often it trained: we train one network per seed and
report all of them. The network in the figure and in the rows on one network is chosen by its end: of those all of whose
residuals end in one stable vertex in the long run, that of the smallest training loss; if there is none, that of the
smallest training loss. The paper's are at their vertex within the 15 layers.

y(t) of the paper, the residuals of layer t, are σ(W x(t − 1) + b): layers count from 1. An orbit is at an equilibrium
if all residuals of layer 2000 are within 0.001 of one that is not unstable.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.lagzi2021_transients import three_units
from experiments.lagzi2021_transients.shrinking import Training, trained

Array = NDArray[Any]
UNITS, DEPTH, RADII = 3, 15, (0.5, 1.0)
WORDS = ("one", "several", "some", "none")
CERTIFICATES = ("flow", "map", "flow, at the end", "map, at the end")
THERE = 0.05
"""Residuals this near to their end have arrived: a twentieth of their range."""
MANY, FEW = 0.99, 0.01
"""Shares of samples that count as all and as none: of 1000 points ten may lie on the border of two basins."""


@dataclass(frozen=True)
class Config:
    """What is trained and measured."""

    seeds: int = 24
    """For each of the biases."""
    biases: tuple[float, ...] = (-1.0, 0.0)
    """What b begins as."""
    samples: int = 1000
    """For training, and as many for tests."""
    epochs: int = 300
    layers: int = 2000
    """Of the long run."""
    starts: int = 128
    """Orbits that look for attractors other than equilibria."""


PRESETS = {
    "smoke": Config(seeds=2, samples=200, epochs=60, layers=500, starts=16),
    "laptop": Config(),
    "paper": Config(seeds=200),
}
# training multiplies rounding by the sharpness of its loss: accuracies may move by a sample, rates in the third digit
TOLERANCES = {
    "accuracy.*": 0.02,
    "tracking.*": 0.02,
    "ends.counts.*": 1.0,
    "structure.predator_prey.*": 1.0,
    "example.eigenvalues.*": 0.05,
}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """One training for all seeds, then each network by itself; lists of different lengths are padded by NaN and −1."""
    points, labels = resdyn.data.circles(config.samples, radii=RADII, rng=0)
    test, truth = resdyn.data.circles(config.samples, radii=RADII, rng=1)
    training = Training(UNITS, len(RADII), DEPTH, learning_rate=0.05, epochs=config.epochs)
    seeds = tuple(range(config.seeds)) * len(config.biases)
    biases = np.repeat(config.biases, config.seeds)

    def nets() -> dict[str, Array]:
        return trained(
            training,
            points,
            labels,
            seeds,
            biases=biases,
            test=(test, truth),
            progress=lambda items: run.progress(items, "epochs"),
        )

    learned = run.part("training", nets, keep=True)
    x = three_units.embedded(test, UNITS)
    each: list[dict[str, Array]] = []
    for s in run.progress(range(len(seeds)), "networks"):

        def net(s: int = s) -> dict[str, Array]:
            return _described(config, learned["W"][s, 0], learned["b"][s, 0], x, truth, s)

        each.append(run.part(f"net{s}", net))
    return (
        learned
        | {"inputs": test, "labels": truth, "biases": biases}
        | {name: _stacked([one[name] for one in each]) for name in each[0]}
    )


def _described(config: Config, W: Array, b: Array, x: Array, labels: Array, seed: int) -> dict[str, Array]:
    found = three_units.along_layers(W, b, x, labels, DEPTH) | three_units.long_run(W, b, x, config.layers)
    found |= three_units.separated(found, labels, seed) | three_units.structure(W, b, found)
    return found | {"kinds": three_units.other_attractors(W, b, x, config.starts, config.layers)}


def _stacked(values: list[Array]) -> Array:
    """One axis more; what is shorter is filled up: words with "", whole numbers with −1, others with NaN."""
    longest = max(value.shape[0] if value.ndim else 0 for value in values)
    if all(value.ndim == 0 or len(value) == longest for value in values):
        return np.stack(values)
    kind = values[0].dtype.kind
    fill: Any = {"U": "", "i": -1}.get(kind, np.nan)
    rows = [np.concatenate([v, np.full((longest - len(v), *v.shape[1:]), fill, dtype=v.dtype)]) for v in values]
    return np.stack(rows)


# --- numbers -----------------------------------------------------------------------------------------


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Each network's end, accuracy and agreement with its flow, and one network closely."""
    ends = [end_of(arrays, s) for s in range(len(arrays["biases"]))]
    example = chosen(ends, arrays["loss"])
    # what layer 16 would add is stored, too
    y, flow = (arrays[name][:, :DEPTH] for name in ("y_map", "y_flow"))
    apart = {name: arrays[f"{name}_mean"] for name in ("x_last", "y_last")}
    return {
        "networks": len(ends),
        "seeds": config.seeds,
        "biases": config.biases,
        "samples": config.samples,
        "layers": config.layers,
        "accuracy": {
            "test": arrays["test_accuracy"],
            "train": arrays["train_accuracy"],
            "of_smallest_loss": arrays["test_accuracy"][arrays["loss"].argmin()],
        },
        "ends": {
            "each": ends,
            "counts": counts(ends),
            "counts_of_biases": [
                counts([end for end, bias in zip(ends, arrays["biases"], strict=True) if bias == one])
                for one in config.biases
            ],
            "kinds": [", ".join(kind for kind in row if kind) or "none found" for row in arrays["kinds"]],
        },
        "tracking": {"explained": explained(y, flow), "largest_gap": np.abs(y - flow).max(axis=(1, 2, 3))},
        "separation": {
            "probed": three_units.PROBED,
            "probes": arrays["probes"],
            "null": arrays["null"],
            "between_classes": {name: np.abs(np.diff(mean, axis=1)).max(axis=(1, 2)) for name, mean in apart.items()},
        },
        "structure": {
            "certificates": {name: arrays["certificates"][:, i].tolist() for i, name in enumerate(CERTIFICATES)},
            "predator_prey": arrays["pairs"][:, 0],
            "predator_prey_before": predator_prey(arrays["W_first"][:, 0]),
            "balanced": int(arrays["balanced"].sum()),
            "monotone_flow": int(arrays["monotone"][:, 0].sum()),
            "self_limiting": int(arrays["self_limiting"].sum()),
            "complete": bool(arrays["complete"].all()),
        },
        "example": _example(arrays, ends, example, config.seeds),
        "reported": reported(),
    }


def counts(ends: list[dict[str, Any]]) -> dict[str, int]:
    """How often each word, and how often one stable vertex for all samples, in the long run and within the layers."""
    words = {word: sum(end["word"] == word for end in ends) for word in WORDS}
    alike = [end["there_already"] >= MANY for end in ends if is_one_vertex(end)]
    return words | {"one vertex": len(alike), f"one vertex by layer {DEPTH}": sum(alike)}


def is_one_vertex(end: dict[str, Any]) -> bool:
    """Whether all samples of both classes end in the same vertex in the long run; the paper's are there by layer 15."""
    return bool(end["word"] == "one" and end["vertices"] >= MANY)


def end_of(arrays: dict[str, Array], s: int) -> dict[str, Any]:
    """Where the residuals of one network end.

    ``word`` is "one" if all samples end in one stable equilibrium, "several" if all do in more than one, "some" if only
    a part of the samples does, "none" if no stable equilibrium has any. ``purity`` is the accuracy of the best guess of
    the class from the equilibrium alone.
    """
    at, labels, stable = arrays["at"][s], arrays["labels"], arrays["stable_map"][s]
    reached = [int(i) for i in np.unique(at[at >= 0]) if stable[i] == 1 and (at == i).mean() >= FEW]
    shares = [float((at == i).mean()) for i in reached]
    word = "none" if not reached else "some" if sum(shares) < MANY else "one" if len(reached) == 1 else "several"
    groups = [labels[at == i] for i in np.unique(at)]
    points = arrays["equilibria"][s][reached]
    undecided = (at >= 0) & (stable[at] == -1)
    rates = arrays["eigenvalues"][s][reached]
    distances = np.abs(arrays["y_last"][s] - arrays["equilibria"][s][at]).max(axis=1)
    return {
        "word": word,
        "reached": points,
        "shares": shares,
        "second_class": [float(labels[at == i].mean()) for i in reached],
        "vertices": float(sum(share for share, y in zip(shares, points, strict=True) if np.isin(y, (0, 1)).all())),
        "largest_rate": float(rates.real.max()) if len(rates) else None,
        # at the last of the trained layers
        "there_already": float(((at >= 0) & (distances < THERE)).mean()),
        "neutral": float(undecided.mean()),
        "passing": float(arrays["passing"][s].mean()),
        "stable": int((stable == 1).sum()),
        "stable_under_the_flow": int((arrays["stable_flow"][s] == 1).sum()),
        "purity": float(sum(np.bincount(group).max() for group in groups) / len(labels)),
    }


def chosen(ends: list[dict[str, Any]], losses: Array) -> int:
    """Of the networks with one stable vertex for all samples the one of the smallest training loss, else of all."""
    like = [s for s, end in enumerate(ends) if is_one_vertex(end)] or range(len(ends))
    return min(like, key=lambda s: float(losses[s]))


def explained(y: Array, flow: Array) -> Array:
    """The share of the variance of mean residuals over layers that the flow explains, network by network.

    Over all units and classes; 0 is what the mean over layers would explain.
    """
    around = y - y.mean(axis=1, keepdims=True)
    return 1 - ((y - flow) ** 2).sum(axis=(1, 2, 3)) / (around**2).sum(axis=(1, 2, 3))


def predator_prey(W: Array) -> Array:
    """The number of pairs that act on each other with opposite signs, for matrices (S, N, N)."""
    i, j = np.triu_indices(W.shape[-1], 1)
    return np.asarray((np.sign(W[:, i, j]) * np.sign(W[:, j, i]) < 0).sum(axis=1))


def _example(arrays: dict[str, Array], ends: list[dict[str, Any]], s: int, seeds: int) -> dict[str, Any]:
    index = arrays["at"][s][arrays["at"][s] >= 0]
    most = int(np.bincount(index).argmax()) if len(index) else None
    return {
        "network": s,
        "seed": s % seeds,
        "bias": arrays["biases"][s],
        "one_vertex_in_the_long_run": is_one_vertex(ends[s]),
        "accuracy": arrays["test_accuracy"][s],
        "W": arrays["W"][s, 0],
        "end": None if most is None else arrays["equilibria"][s][most],
        "eigenvalues": None if most is None else np.sort(arrays["eigenvalues"][s][most].real),
        "x_last": arrays["x_last_mean"][s],
        "x_last_deviation": arrays["x_last_deviation"][s],
        "y_last": arrays["y_last_mean"][s],
        "readout": arrays["readout"][s][1] - arrays["readout"][s][0],
    }


def reported() -> dict[str, Any]:
    """What the numbers of the paper say about each other: only the third column of its W is known."""
    column, x_last = np.array([-1.95, -0.87, 0.8]), np.array([[1.95, 0.68, 12.02], [2.03, 0.81, 11.63]])
    y = np.array([0.0, 0.0, 1.0])
    # whatever the other columns are, the residuals (0, 0, 1) meet the third alone
    others = np.random.default_rng(0).normal(size=(UNITS, UNITS))
    others[:, 2] = column
    points = resdyn.fixed_points(resdyn.logistic_residuals(others))
    found = points[int((points.y == y).all(axis=1).argmax())]
    classifier = np.array([1.29, 5.11, -0.66])
    return {
        "eigenvalues": np.sort(found.eigenvalues.real),
        "stable": [found.is_stable(dynamics) for dynamics in ("map", "flow")],
        "score_of_the_difference": (x_last[1] - x_last[0]) * classifier,
        "layers_saturated": x_last[:, 2] / DEPTH,
    }


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """One network closely, and all of them."""
    from experiments.lagzi2021_transients.circles_figure import figure_of

    return figure_of(arrays, summary)


if __name__ == "__main__":
    main(__file__)
