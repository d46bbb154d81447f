"""How many ReLUs inside a branch fire: what bounds the rank of its Jacobian."""

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Array = NDArray[Any]


def firing_relus(unit: Any, x: Array) -> NDArray[np.int64]:
    """The number of entries that are positive before each ReLU of the branch of a unit of ours, at one state."""
    layers = [*unit.module.branch]
    if not all(isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.ReLU) for layer in layers):
        raise TypeError(f"the branch of {unit.name!r} is no chain of convolutions, batch norms and ReLUs.")
    state, counts = torch.from_numpy(np.asarray(x, dtype=np.float64))[None], []
    with torch.no_grad():
        for layer in copy.deepcopy(layers):
            state = layer.double()(state)
            if isinstance(layer, nn.ReLU):
                counts.append(int((state > 0).sum()))
    return np.array(counts)


def rank_bound(unit: Any, x: Array) -> int:
    """The rank of the branch's Jacobian is at most the number that fire in the sparsest layer."""
    return int(firing_relus(unit, x).min())
