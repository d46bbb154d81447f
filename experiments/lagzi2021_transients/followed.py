"""Trained nets as residual maps with read-outs, and the first states of samples that they never saw."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn

Array = NDArray[Any]
# the nets that ship were trained on circles drawn with the seeds 0 and 1
CIRCLES_SEED = 2


@dataclass(frozen=True)
class Followed:
    """A net and samples: x(0), residual map, layers it was trained with, linear read-out of the last state."""

    name: str
    system: Any
    depth: int
    readout: resdyn.systems.Readout
    states: Array
    labels: Array

    @property
    def chance(self) -> float:
        """The share of the most frequent class."""
        return float(np.bincount(self.labels).max() / len(self.labels))


def followed(name: str, samples: int) -> Followed:
    """A net that ships: "circles", or the name of its file, with the first test images of its data."""
    if name == "circles":
        net = resdyn.systems.trained("circles")
        points, labels = resdyn.data.circles(samples, rng=CIRCLES_SEED)
        return Followed(name, net.system, net.depth, net.readout, net.embed(points), labels)
    return of_module(name, resdyn.networks.load(name), *test_pixels(name, samples))


def test_pixels(name: str, samples: int) -> tuple[Array, Array]:
    """Pixels from 0 to 1 and labels of the first test images of the data in the name of a net."""
    images = resdyn.data.mnist("test") if "-mnist-" in name else resdyn.data.digit_images("test")
    chosen = images.subset(slice(0, min(samples, len(images))))
    return chosen.pixels().astype(np.float64), np.asarray(chosen.labels, dtype=np.int64)


def of_module(name: str, module: Any, inputs: Array, labels: Array) -> Followed:
    """A dense net of torch; inputs are pixels where it normalises them. It is left in double precision."""
    module = module.double().eval()
    normalised = inputs if module.preprocessing is None else module.preprocessing(inputs)
    weights, bias = (p.detach().numpy().copy() for p in (module.head.weight, module.head.bias))
    return Followed(
        name,
        resdyn.networks.to_residual_map(module, name=name),
        module.architecture["depth"],
        resdyn.systems.Readout(weights, bias),
        first_states(module, np.asarray(normalised, dtype=np.float64)),
        labels,
    )


def first_states(module: Any, normalised: Array) -> Array:
    """x(0) of normalised inputs: what the stem of a net makes of them."""
    import torch

    with torch.no_grad():
        return np.asarray(module.stem(torch.from_numpy(normalised)).numpy())


def contributions(net: Followed) -> tuple[Array, Array]:
    """States x(0) … x(T), shape (T + 1, n, N), and what each layer adds, h α y(t), shape (T, n, N)."""
    run = resdyn.simulate(net.system, net.states, depth=net.depth)
    # by the weights and not as differences of states: so the sum of the residuals is an equation to be checked
    added = [net.system.step * net.system.residual(t, x) for t, x in zip(run.t[:-1], run.x[:-1], strict=True)]
    return run.x, np.array(added)


def right(net: Followed, states: Array) -> float:
    """How often the read-out is right."""
    return float((net.readout(states).argmax(axis=-1) == net.labels).mean())
