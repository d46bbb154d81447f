"""What was asked for."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._types import System
from resdyn.analysis.periodic.result import Cycles

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Question:
    """A system, and which of its cycles are wanted."""

    system: System
    period: int | float
    stable: bool | None
    prime: bool
    region: tuple[Array, Array] | None

    def pick(self, cycles: Cycles) -> Cycles:
        """Only the stable, or only the unstable ones, if that was asked for."""
        if self.stable is None:
            return cycles
        return cycles._take(np.flatnonzero(cycles.stability() == int(self.stable)))


def box(region: Any, system: System) -> tuple[Array, Array]:
    """A pair (low, high) as arrays of the state's shape."""
    if not isinstance(region, tuple | list | np.ndarray) or len(region) != 2:
        raise ValueError(f"region must be a pair (low, high), but is {region!r}.")
    low, high = (validate.real_array(end, "region") for end in region)
    try:
        low, high = np.broadcast_to(low, system.shape), np.broadcast_to(high, system.shape)
    except ValueError:
        raise ValueError(
            f"region has ends of shapes {low.shape} and {high.shape}, but states have shape {system.shape}; "
            "give numbers, or arrays of that shape."
        ) from None
    if not (low < high).all():
        raise ValueError("region must have low < high in every coordinate.")
    return low, high
