"""The states that inputs make before the units of a network, in double precision."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from resdyn.networks.unrolling.placement import Placed, Placement
from resdyn.networks.unrolling.unit import Part
from resdyn.networks.unrolling.unrolled import UnrolledNetwork

Array = NDArray[Any]


def double_parts(network: UnrolledNetwork, units: int) -> list[Placed]:
    """The stem and so many units, as functions of tensors in double precision."""
    return [_double(part, network) for part in (network.stem, *network.units[:units])]


def states_after(parts: Sequence[Placed], x: Array) -> list[Array]:
    """The state after each of the parts, for one input in a batch of its own."""
    states = []
    for part in parts:
        with torch.no_grad():  # a copy, since a part may overwrite what it is given
            x = part(part.placement.tensor(x.copy())).cpu().numpy()
        states.append(x[0])
    return states


def sketch(network: UnrolledNetwork, x: Array) -> list[list[float]]:
    """Two numbers for the state after each part: its norm, and its product with a random unit vector."""
    states = states_after(double_parts(network, len(network.units)), x)
    rng = np.random.default_rng(0)
    found = []
    for state in states:
        vector = rng.standard_normal(state.shape)
        product = float((state * vector).sum() / np.linalg.norm(vector))
        found.append([float(np.linalg.norm(state)), product])
    return found


def _double(part: Part, network: UnrolledNetwork) -> Placed:
    module = part.function.module
    return Placed(module, Placement(module, device=network.placement.device, dtype=torch.float64))
