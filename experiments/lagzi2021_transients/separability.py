"""Are the residuals separable per class where there is no attractor?

Nets are run for many more layers than they were trained with. A sample is at rest if no unit's residual moves by more
than a tenth of its range in the second half of the run. Linear probes on the residuals of each layer, within the
layers of training and in the second half of the run, stand beside two nulls: shuffled labels, and shuffled time (each
sample at layers of the same window in an order of its own, so that what all layers have in common stays and what
belongs to a layer goes).

In late layers samples that keep moving are also probed without those at rest, and these without the others. A class
takes part if it has as many samples as there are folds, so that every fold has one and every fit has seen one; smaller
ones are left out. Labels are shuffled within folds, alike in all layers, so that the mean over layers has a null of its
own, whatever the layers have in common.

Our choices: which nets of the paper have no attractor is not known to us. Of ours, those for images still move after
hundreds of layers, though ever more slowly: whether their samples would rest in the end no finite run tells. Nets for
which a conservation law excludes attractors of the flow are made by a constraint, antisymmetric weights
(:mod:`experiments.lagzi2021_transients.antisymmetric`); beside them stand nets without it, trained on the same data
from the same seeds, and both before training. A layer-wise net uses its last matrix again beyond its end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments._harness import Run, main
from experiments.lagzi2021_transients.antisymmetric import trained, trainings
from experiments.lagzi2021_transients.followed import Followed, followed, right
from experiments.lagzi2021_transients.separability_figure import figure
from resdyn.analysis.layers.probes import (
    probe_accuracy,
    separability,
    shuffled_within_folds,
    stratified_folds,
)

Array = NDArray[Any]
AT_REST = 0.1
"""A tenth of the range of a residual: those that tend to 0 or 1 move less, however slowly, and a switch moves by 1."""
WINDOWS = ("trained", "between", "late")
COLUMNS = ("probe", "time_shuffled", "label_shuffled")
GROUPS = ("moving", "resting")
FOLDS = 5
SHUFFLES = 99
"""Of labels: chance exceeds all of them once in a hundred."""
RIDGE = 1e-3
"""That of all probes here."""


@dataclass(frozen=True)
class Config:
    """What is measured."""

    shipped: tuple[str, ...] = ("dense-shared-mnist-seed0", "dense-shared-digits-seed0", "dense-layerwise-digits-seed0")
    made: tuple[str, ...] = ("circles free", "circles antisymmetric", "digits free", "digits antisymmetric")
    """Data and constraint of nets that are trained here."""
    seeds: int = 5
    epochs: int = 60
    samples: int = 300
    """At most: there are 360 test images of digits and 500 points of circles."""
    layers: int = 1000
    """Of the whole run."""
    late: int = 15
    """Layers of its second half that are probed, equally spaced; as many are between, evenly on a logarithmic scale."""


PRESETS = {
    "smoke": Config(("dense-shared-digits-seed0",), ("circles antisymmetric",), 1, 15, 100, 150, 5),
    "laptop": Config(),
    "paper": Config(seeds=20, samples=1000, layers=3000, late=50),
}
# net 0 ships: three of 100 samples in one of 15 layers; the training of the others, in single precision, goes
# other ways on other machines
TOLERANCES = {
    "nets.[!0]*.probe": 0.15,
    "nets.[!0]*.label_shuffled": 0.15,
    "nets.[!0]*.input": 0.03,
    "nets.[!0]*.at_rest": 0.1,
    "nets.0.*.probe": 0.002,
    "nets.0.*.label_shuffled": 0.002,
    "nets.0.input": 0.011,
    "nets.0.at_rest": 0.011,
    # one sample more in a group makes other folds
    "nets.0.groups.*.true": 0.1,
}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Each net's probes and nulls over layers, and how many residuals of each sample move, ``<net number>.<what>``."""
    found: dict[str, Array] = {}
    names = []
    for i, (name, net) in enumerate(run.progress(list(_nets(config, run)), "nets")):

        def measured(net: Followed = net, seed: int = i) -> dict[str, Array]:
            return _measured(net, config, seed)

        names.append(name)
        found |= {f"{i}.{what}": value for what, value in run.part(f"net{i}", measured).items()}
    return {**found, "names": np.array(names)}


def _nets(config: Config, run: Run) -> Iterator[tuple[str, Followed]]:
    for name in config.shipped:
        yield name, followed(name, config.samples)
    for words in config.made:
        for seed in range(config.seeds):
            data, kind = words.split()

            def training(data: str = data, kind: str = kind, seed: int = seed) -> dict[str, Array]:
                return trainings(data, kind, seed, config.epochs, config.samples)

            arrays = run.part(f"{data}-{kind}{seed}", training, keep=True)
            for when, ending in (("after", ""), ("before", " untrained")):
                yield f"{words} {seed}{ending}", trained(words, arrays, when)


def _measured(net: Followed, config: Config, seed: int) -> dict[str, Array]:
    half = config.layers // 2
    layers = {
        "trained": np.arange(1, net.depth + 1),
        "between": np.unique(np.geomspace(net.depth + 1, half, config.late).round().astype(int)),
        "late": np.linspace(half + 1, config.layers, config.late).round().astype(int),
    }
    residuals, moved, final = residuals_at(net, np.concatenate(list(layers.values())), config.layers)
    folds = stratified_folds(net.labels, rng=seed)
    found: dict[str, Array] = {
        "moving": (moved > AT_REST).sum(axis=-1),
        "accuracy": np.array(right(net, final)),
        "input": np.array(probe_accuracy(net.states, net.labels, folds)),
    }
    start = 0
    for name, chosen in layers.items():
        part = residuals[start : start + len(chosen)]
        start += len(chosen)
        found |= {f"{name}_layers": chosen, name: probed(part, net.labels, folds, np.random.default_rng(seed))}
    moves = found["moving"] > 0
    # the last of the windows
    for group, members in zip(GROUPS, (moves, ~moves), strict=True):
        apart = probed_alone(part[:, members], net.labels[members], seed)
        found |= {f"{group}_{what}": value for what, value in apart.items()}
    return found


def residuals_at(net: Followed, layers: Array, depth: int) -> tuple[Array, Array, Array]:
    """y at some layers, shape (m, n, N); by how much it moves in the second half, shape (n, N); x(T)."""
    x, final, found = net.states, net.states, {}
    lowest, highest = np.full_like(x, np.inf), np.full_like(x, -np.inf)
    last = depth if net.system.depth is None else net.system.depth - 1
    for k in range(depth):
        t = min(k, last) * net.system.step
        y = net.system.activations(t, x)
        # no net here has a damping
        x = x + net.system.step * net.system.layer(t)[3] * y
        if k + 1 == net.depth:
            final = x
        if k + 1 in layers:
            found[k + 1] = y
        if k + 1 > depth // 2:
            np.minimum(lowest, y, out=lowest)
            np.maximum(highest, y, out=highest)
    return np.array([found[k] for k in layers]), highest - lowest, final


def probed(residuals: Array, labels: Array, folds: Array, rng: np.random.Generator) -> Array:
    """Accuracies of probes at each layer, of the same with time shuffled, and with labels shuffled: (m, 3)."""
    shuffled = _in_other_order(residuals, rng)
    return np.array(
        [
            [
                probe_accuracy(y, labels, folds),
                probe_accuracy(other, labels, folds),
                probe_accuracy(y, rng.permutation(labels), folds),
            ]
            for y, other in zip(residuals, shuffled, strict=True)
        ]
    )


def _in_other_order(residuals: Array, rng: np.random.Generator) -> Array:
    """The layers of each sample in an order of its own."""
    m, n = residuals.shape[:2]
    return residuals[rng.permuted(np.tile(np.arange(m)[:, None], n), axis=0), np.arange(n)]


def probed_alone(residuals: Array, labels: Array, seed: int) -> dict[str, Array]:
    """Some of the samples without the others, shape (m, n, N).

    ``labels``: of those that are in classes large enough; ``table``, shape (m, 2): accuracies of probes, and with time
    shuffled; ``null``: means over layers with labels shuffled. All empty where fewer than two classes are large enough.
    """
    kept = in_large_classes(labels)
    residuals, labels = residuals[:, kept], labels[kept]
    if not len(labels):
        return {"labels": labels, "table": np.zeros((0, 2)), "null": np.zeros(0)}
    rng = np.random.default_rng(seed)
    classes, codes = np.unique(labels, return_inverse=True)
    folds = stratified_folds(codes, FOLDS, rng=rng)
    labellings = shuffled_within_folds(codes, folds, SHUFFLES, rng)
    accuracies = np.array([separability(y, labellings, len(classes), folds, RIDGE)[1] for y in residuals])
    in_time = [probe_accuracy(y, codes, folds, ridge=RIDGE) for y in _in_other_order(residuals, rng)]
    return {
        "labels": labels,
        "table": np.column_stack([accuracies[:, 0], in_time]),
        "null": accuracies[:, 1:].mean(axis=0),
    }


def in_large_classes(labels: Array) -> Array:
    """Which samples are in classes with at least as many samples as folds; none if that is not so for two classes."""
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    large = counts >= FOLDS
    return large[codes] if large.sum() >= 2 else np.zeros(len(codes), dtype=bool)


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Each net: the share of samples at rest, and means over the layers of each window.

    ``groups``: samples that move and those at rest, each without the other, in late layers; ``true`` and so on where
    there are enough of them.
    """
    nets = []
    for i, name in enumerate(arrays["names"].tolist()):
        moving = arrays[f"{i}.moving"]
        counts = [int((moving > 0).sum()), int((moving == 0).sum())]
        windows = {window: _window(arrays[f"{i}.{window}"]) for window in WINDOWS}
        nets.append(
            {
                "name": name,
                "samples": len(moving),
                "at_rest": np.mean(moving == 0),
                "moving_units": np.mean(moving),
                "accuracy": arrays[f"{i}.accuracy"],
                "input": arrays[f"{i}.input"],
                **windows,
                "groups": {
                    group: _alone(arrays, f"{i}.{group}", count) for group, count in zip(GROUPS, counts, strict=True)
                },
            }
        )
    return {"layers": config.layers, "nets": nets}


def _window(table: Array) -> dict[str, Any]:
    """Means over layers, and how many layers are above all nulls with shuffled labels."""
    means = dict(zip(COLUMNS, table.mean(axis=0), strict=True))
    return {**means, "largest_null": table[:, 2].max(), "above_null": np.mean(table[:, 0] > table[:, 2].max())}


def _alone(arrays: dict[str, Array], name: str, in_group: int) -> dict[str, Any]:
    labels, table, null = (arrays[f"{name}_{what}"] for what in ("labels", "table", "null"))
    found = {"in_group": in_group, "samples": len(labels), "classes": len(np.unique(labels))}
    if not len(labels):
        return found
    true, in_time = table.mean(axis=0)
    return {
        **found,
        "true": true,
        "time_shuffled": in_time,
        "labels_shuffled": null.mean(),
        "largest_null": null.max(),
    }


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """What :func:`experiments.lagzi2021_transients.separability_figure.figure` draws."""
    return figure([*config.shipped, *config.made], arrays, summary)


if __name__ == "__main__":
    main(__file__)
