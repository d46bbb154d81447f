r"""Many small networks trained side by side, each of which may lose layers on the way: the depth rule of lagzi2021.

Each is :math:`x_{k+1} = x_k + \sigma(W_k x_k + b_k)`, read out linearly, with one W and b for all layers or one of each
per layer. They share tensors and nothing else: the first weights and the order of the samples are those of a seed, and
neither depends on the other networks of the batch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import resdyn

Array = NDArray[Any]


@dataclass(frozen=True)
class Training:
    """How networks are trained: Adam with a one-cycle learning rate on the cross entropy."""

    units: int
    classes: int
    depth: int = 15
    """Layers at the beginning; with weights per layer so many matrices."""
    shared: bool = True
    spread: float = 1.0
    """W begins as N(0, spread²/N)."""
    bias: float = 0.0
    epochs: int = 75
    batch: int = 50
    learning_rate: float = 0.02
    device: str = "cpu"
    double: bool = True


class Networks(nn.Module):
    """A batch of S networks; ``layers`` says how many of their layers are left, shape (S,)."""

    layers: Tensor

    def __init__(self, training: Training, seeds: tuple[int, ...], biases: Array | None = None) -> None:
        super().__init__()
        matrices = 1 if training.shared else training.depth
        n, classes = training.units, training.classes
        weights, readouts = [], []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            weights.append(torch.randn(matrices, n, n, generator=generator, dtype=torch.float64))
            readouts.append(2 * torch.rand(classes, n, generator=generator, dtype=torch.float64) - 1)
        dtype = torch.float64 if training.double else torch.float32
        self.W = nn.Parameter((torch.stack(weights) * (training.spread / n**0.5)).to(dtype))
        start = torch.full((len(seeds),), training.bias) if biases is None else torch.as_tensor(biases)
        self.b = nn.Parameter(start.to(dtype)[:, None, None].repeat(1, matrices, n))
        self.readout = nn.Parameter((torch.stack(readouts) / n**0.5).to(dtype))
        self.offset = nn.Parameter(torch.zeros(len(seeds), classes, dtype=dtype))
        self.register_buffer("layers", torch.full((len(seeds),), training.depth))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Scores (S, n, classes) of states x (S, n, N), and the residuals of each layer, gone or not."""
        residuals = []
        matrices, fewest = self.W.shape[1], int(self.layers.min())
        for k in range(int(self.layers.max())):
            W, b = self.W[:, k % matrices], self.b[:, k % matrices]
            y = torch.sigmoid(torch.baddbmm(b[:, None], x, W.transpose(1, 2)))
            residuals.append(y)
            x = x + (y if k < fewest else (k < self.layers).to(y.dtype)[:, None, None] * y)
        return torch.baddbmm(self.offset[:, None], x, self.readout.transpose(1, 2)), residuals


def trained(
    training: Training,
    x: Array,
    labels: Array,
    seeds: tuple[int, ...],
    *,
    thresholds: Array | None = None,
    depths: Array | None = None,
    biases: Array | None = None,
    after: int = 0,
    test: tuple[Array, Array] | None = None,
    progress: Any = iter,
) -> dict[str, Array]:
    """Weights and course of networks, one for each entry of ``seeds``.

    After each epoch the rule looks at the residuals of the last two layers, over all training samples, and drops the
    last layer of the networks where they differ by less than the threshold of the network; 0 never drops.

    Parameters
    ----------
    x, labels : arrays, shapes (n, inputs) and (n,)
        Inputs become states of N units by zeros that are appended.
    thresholds, depths, biases : arrays, shape (S,)
        0, ``training.depth`` and ``training.bias``, unless given.
    after : int
        So many epochs go by before the rule acts.
    test : (x, labels)

    Returns
    -------
    dict
        "W", "b", "readout", "offset", "layers", and "W_first", before training; "loss", "train_accuracy",
        "test_accuracy" (after the last epoch), and "losses", "depths", "differences", shape (S, epochs + 1), from
        before the first epoch.
    """
    device = torch.device(training.device)
    nets = Networks(training, seeds, biases).to(device)
    first = nets.W.detach().cpu().double().numpy().copy()
    if depths is not None:
        nets.layers.copy_(torch.as_tensor(depths))
    limits = np.zeros(len(seeds)) if thresholds is None else np.asarray(thresholds, dtype=float)
    states, truth = _states(x, training, nets).to(device), torch.as_tensor(labels).to(device)
    updates = -(-len(x) // training.batch)
    optimizer = torch.optim.Adam(nets.parameters(), fused=False)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, training.learning_rate, total_steps=training.epochs * updates
    )
    orders = [torch.Generator().manual_seed(10_000 + seed) for seed in seeds]
    course = [_looked_at(nets, states, truth)]
    for epoch in progress(range(training.epochs)):
        chosen = torch.stack([torch.randperm(len(x), generator=order) for order in orders]).to(device)
        for samples in chosen.split(training.batch, dim=1):
            loss = _losses(nets(states[samples])[0], truth[samples]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        course.append(_looked_at(nets, states, truth))
        if epoch >= after:
            nets.layers -= torch.as_tensor(dropped(course[-1], limits), device=device).to(nets.layers.dtype)
    last = _looked_at(nets, states, truth)
    found = {name: value.detach().cpu().double().numpy() for name, value in nets.named_parameters()}
    found |= {
        "W_first": first,
        "layers": nets.layers.cpu().numpy(),
        "loss": last["losses"],
        "train_accuracy": last["accuracy"],
    }
    if test is not None:
        there = torch.as_tensor(test[1]).to(device)
        found["test_accuracy"] = _looked_at(nets, _states(test[0], training, nets).to(device), there)["accuracy"]
    return found | {name: np.stack([at[name] for at in course], axis=1) for name in ("losses", "depths", "differences")}


def dropped(looked_at: dict[str, Array], thresholds: Array) -> Array:
    """Which networks lose their last layer; a network of one layer has nothing to compare, and keeps it."""
    return (looked_at["differences"] < thresholds) & (looked_at["depths"] > 1)


def _states(x: Array, training: Training, nets: Networks) -> Tensor:
    states = torch.zeros(len(x), training.units, dtype=nets.W.dtype)
    states[:, : x.shape[1]] = torch.as_tensor(x, dtype=nets.W.dtype)
    return states


def _losses(scores: Tensor, truth: Tensor) -> Tensor:
    """The mean cross entropy of each network; truth of shape (S, n)."""
    size, n, classes = scores.shape
    each = nn.functional.cross_entropy(scores.reshape(-1, classes), truth.reshape(-1), reduction="none")
    return each.reshape(size, n).mean(dim=1)


@torch.no_grad()
def _looked_at(nets: Networks, states: Tensor, truth: Tensor, piece: int = 2000) -> dict[str, Array]:
    """Loss, accuracy, layers and the difference that the rule looks at, network by network."""
    size = len(nets.layers)
    sums = np.zeros((3, size))
    for x, labels in zip(states.split(piece), truth.split(piece), strict=True):
        scores, residuals = nets(x.expand(size, -1, -1))
        labels = labels.expand(size, -1)
        differences = [_difference(residuals, s, int(depth)) for s, depth in enumerate(nets.layers)]
        right = (scores.argmax(dim=-1) == labels).double().mean(dim=1)
        means = (_losses(scores, labels).cpu().numpy(), right.cpu().numpy(), differences)
        sums += len(x) * np.array(means, dtype=float)
    losses, accuracy, between = sums / len(states)
    depths = nets.layers.cpu().numpy().copy()
    return {"losses": losses, "accuracy": accuracy, "differences": between, "depths": depths}


def _difference(residuals: list[Tensor], s: int, depth: int) -> float:
    """What the rule compares with its threshold; NaN for one layer."""
    last = [y[s].cpu().numpy() for y in residuals[max(0, depth - 2) : depth]]
    return resdyn.depth_rule(last).value
