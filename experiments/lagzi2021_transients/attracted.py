r"""Networks whose residuals end in one vertex for all samples, and what this vertex has to do with the input.

Where all samples end alike, the steady residuals tell nothing about a sample. What they can show of the input is a
relation, over units, to what input dimensions have in common. For images this is the mean image, the deviation of each
pixel and the leading principal component, in two readings: the residuals of the units that began as pixels, as an image
("pattern"), and all residuals beside what these three images give to units through W ("filter"). Two input units of
three have no image: the vertex is set beside the mean of the weights from them and the mean of their sizes.

Nets on digits are drawn to one vertex by a penalty, ``pull`` times the variance over a batch of the residuals of the
last trained layer, summed over units. Those on circles are the networks of ``circles``; few of them have one vertex.
"""

from itertools import permutations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run
from experiments.lagzi2021_transients import circles, three_units
from experiments.lagzi2021_transients.corners import eigenvalues_at
from experiments.lagzi2021_transients.shrinking import Networks, Training, trained

Array = NDArray[Any]
UNITS, DEPTH, CLASSES = 64, 15, 10
BATCH, RATE = 64, 3e-3
LEVEL = 0.05
"""Of the relation of one net: it exceeds that of 95 % of the shifts of the images."""
DRAWS = 4000
"""Of the nulls of several nets together: the error of a share of 0.05 is 0.003."""


# --- nets ----------------------------------------------------------------------------------------------


def drawn_together(
    x: Array, labels: Array, seeds: tuple[int, ...], *, pull: float, epochs: int, progress: Any = iter
) -> dict[str, Array]:
    """One matrix for fifteen layers of as many units as there are pixels, trained with the penalty; seed by seed.

    Weights begin as N(0, 0.3²/N) and b at −3, as in the other nets on images.
    """
    nets = Networks(Training(UNITS, CLASSES, DEPTH, spread=0.3, bias=-3.0, double=False), seeds)
    first = {"W_first": nets.W[:, 0], "b_first": nets.b[:, 0]}
    first = {name: value.detach().double().numpy().copy() for name, value in first.items()}
    states, truth = torch.as_tensor(x, dtype=nets.W.dtype), torch.as_tensor(labels)
    optimizer = torch.optim.Adam(nets.parameters(), fused=False)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * -(-len(x) // BATCH))
    orders = [torch.Generator().manual_seed(10_000 + seed) for seed in seeds]
    for _ in progress(range(epochs)):
        chosen = torch.stack([torch.randperm(len(x), generator=order) for order in orders])
        for samples in chosen.split(BATCH, dim=1):
            scores, residuals = nets(states[samples])
            spread = residuals[-1].var(dim=1, correction=0).sum()
            right = torch.nn.functional.cross_entropy(scores.flatten(0, 1), truth[samples].flatten())
            # the mean over samples of each net, summed over nets: none depends on those beside it
            loss = len(seeds) * right + pull * spread
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    learned = {name: value.detach().double().numpy() for name, value in nets.named_parameters()}
    return first | learned | {"W": learned["W"][:, 0], "b": learned["b"][:, 0]}


def end_of(W: Array, b: Array, x: Array, layers: int) -> dict[str, Array]:
    """The mean residual after so many layers, and the share of samples that are at one vertex which attracts.

    That vertex is the one nearest to the mean; it attracts if all its eigenvalues are negative.
    """
    run = resdyn.simulate(resdyn.ResidualMap.residual(W, b), x, depth=layers, save="final")
    y = run.activations[-1]
    mean = y.mean(axis=0)
    vertex = np.round(mean)
    there = np.abs(y - vertex).max(axis=1) < three_units.NEAR
    attracts = eigenvalues_at(W, vertex).real.max() < 0
    return {"steady": mean, "there": np.array(there.mean() if attracts else 0.0)}


def on_digits(seeds: int, pulls: tuple[float, ...], epochs: int, layers: int, run: Run) -> dict[str, Array]:
    """Nets of all pulls, seeds within each; before training nets of one seed are the same, and stand there once.

    ``first`` says which of the untrained ones, in the arrays named so at their ends, belongs to a net.
    """
    learned, tested = (resdyn.data.digit_images(split) for split in ("train", "test"))
    x, states = (images.pixels().reshape(len(images), -1).astype(float) for images in (learned, tested))
    each = []
    for pull in pulls:

        def progress(items: Any, pull: float = pull) -> Any:
            return run.progress(items, f"epochs, pull {pull:g}")

        labels = np.asarray(learned.labels)
        found = drawn_together(x, labels, tuple(range(seeds)), pull=pull, epochs=epochs, progress=progress)
        last = [
            resdyn.simulate(resdyn.ResidualMap.residual(W, b), states, depth=DEPTH, save="final").final
            for W, b in zip(found["W"], found["b"], strict=True)
        ]
        scores = np.einsum("snu,scu->snc", last, found["readout"]) + found["offset"][:, None]
        accuracy = (scores.argmax(axis=2) == np.asarray(tested.labels)).mean(axis=1)
        each.append({name: found[name] for name in ("W", "b", "W_first", "b_first")} | {"accuracy": accuracy})
    nets = {name: np.concatenate([one[name] for one in each]) for name in ("W", "b", "accuracy")}
    nets |= {name: each[0][name] for name in ("W_first", "b_first")} | {"first": np.tile(np.arange(seeds), len(pulls))}
    return nets | _ends(nets, states, layers, run) | {"images": in_common(x)}


def on_circles(seeds: int, samples: int, epochs: int, layers: int, run: Run) -> dict[str, Array]:
    """The networks of ``circles``, both beginnings of b, trained as there."""
    x, labels = resdyn.data.circles(samples, radii=circles.RADII, rng=0)
    test = resdyn.data.circles(samples, radii=circles.RADII, rng=1)
    training = Training(circles.UNITS, len(circles.RADII), circles.DEPTH, learning_rate=0.05, epochs=epochs)
    begin = circles.Config().biases
    biases = np.repeat(begin, seeds)
    found = trained(
        training,
        x,
        labels,
        tuple(range(seeds)) * len(begin),
        biases=biases,
        test=test,
        progress=lambda items: run.progress(items, "epochs, circles"),
    )
    nets = {name: found[name][:, 0] for name in ("W", "b", "W_first")}
    nets |= {"b_first": np.repeat(biases[:, None], circles.UNITS, axis=1), "accuracy": found["test_accuracy"]}
    nets["first"] = np.arange(len(biases))
    return nets | _ends(nets, three_units.embedded(test[0], circles.UNITS), layers, run)


def _ends(nets: dict[str, Array], x: Array, layers: int, run: Run) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for after, kind in (("", "trained"), ("_first", "untrained")):
        pairs = list(zip(nets[f"W{after}"], nets[f"b{after}"], strict=True))
        ends = [end_of(W, b, x, layers) for W, b in run.progress(pairs, f"{layers} layers, {kind}")]
        found |= {f"{name}{after}": np.stack([end[name] for end in ends]) for name in ends[0]}
    return found


# --- relations -----------------------------------------------------------------------------------------


def in_common(pixels: Array) -> Array:
    """The mean image, the deviations of pixels and their leading principal component, shape (3, pixels)."""
    leading = np.linalg.svd(pixels - pixels.mean(axis=0), full_matrices=False)[2][0]
    return np.stack([pixels.mean(axis=0), pixels.std(axis=0), leading])


def shifted(images: Array) -> Array:
    """Square images, flat, shifted around the edges by all steps, the first by none: shape (shifts, n, pixels)."""
    side = int(np.sqrt(images.shape[-1]))
    square = images.reshape(-1, side, side)
    steps = [(i, j) for i in range(side) for j in range(side)]
    return np.array([np.roll(square, step, (1, 2)).reshape(images.shape) for step in steps])


def largest_correlation(y: Array, features: Array) -> Array:
    """The largest size of a correlation of y (N,) with one of the features (draws, n, N), draw by draw.

    0 where one of both is the same in all units.
    """
    around = features - features.mean(axis=-1, keepdims=True)
    of_y = y - y.mean()
    lengths = np.linalg.norm(around, axis=-1) * np.linalg.norm(of_y)
    # what rounding leaves of a constant has no direction
    found = np.divide(around @ of_y, lengths, out=np.zeros(lengths.shape), where=lengths > 1e-9)
    return np.asarray(np.abs(found).max(axis=-1))


def pattern(y: Array, images: Array) -> Array:
    """Residuals of the units that began as pixels against the images, and against their shifts."""
    return largest_correlation(y[: images.shape[-1]], shifted(images))


def filtered(y: Array, W: Array, images: Array) -> Array:
    """Residuals of all units against what they receive from the images, and from their shifts."""
    return largest_correlation(y, shifted(images) @ W[:, : images.shape[-1]].T)


def from_inputs(y: Array, W: Array, inputs: int = 2) -> Array:
    """Residuals of few units against mean and mean size of their weights from inputs, and for all orders of units."""
    weights = W[:, :inputs]
    features = np.stack([weights.mean(axis=1), np.abs(weights).mean(axis=1)])
    return largest_correlation(y, np.array([features[:, order] for order in permutations(range(len(y)))]))


def relation(each: list[Array], seed: int = 0) -> dict[str, Any]:
    """Of several nets: in how many the true one (the first) exceeds 95 % of the null, and a p-value for their mean.

    The null of the mean takes from each net one of its draws, whichever the others take.
    """
    if not each:
        return {"nets": 0, "beyond": 0, "mean": None, "null": None, "p": None}
    own = np.array([found[0] for found in each])
    p = np.array([np.mean(found >= found[0] - 1e-12) for found in each])
    rng = np.random.default_rng(seed)
    null = np.mean([rng.choice(found, DRAWS) for found in each], axis=0)
    return {
        "nets": len(each),
        "beyond": int((p <= LEVEL).sum()),
        "mean": float(own.mean()),
        "null": float(null.mean()),
        "p": float((1 + (null >= own.mean() - 1e-12).sum()) / (1 + DRAWS)),
    }
