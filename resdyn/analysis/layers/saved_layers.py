"""The states and residuals that a trajectory saved, one layer at a time, as (n_states, d)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import Status
from resdyn.trajectory import Trajectory

Array = NDArray[Any]


def states_at(trajectory: Trajectory, slot: int) -> Array:
    """x at one saved layer, float64, batch axes and state axes flattened: (n_states, d)."""
    return _flattened(trajectory.x[slot], trajectory)


def residuals_at(trajectory: Trajectory, slot: int) -> Array:
    """y at one saved layer, or f of a system without activations, (n_states, d)."""
    system: Any = trajectory.system
    evaluate = getattr(system, "activations", system.residual)
    inputs = trajectory.inputs_at(slot)
    options = {} if inputs is None else {"inputs": inputs}
    with np.errstate(over="ignore", invalid="ignore"):
        return _flattened(evaluate(float(trajectory.t[slot]), trajectory.x[slot], **options), trajectory)


def finite_states(trajectory: Trajectory, *, infinite: bool = False) -> Array:
    """Which states hold finite numbers at all saved layers, shape (n_states,).

    With ``infinite``, x may be ±∞ where the system takes that as a state; residuals may not.
    """
    infinite = infinite and bool(getattr(trajectory.system, "infinite_states", False))
    # a residual that overflows takes the next state with it; only the last one has no next state
    finite = np.isfinite(residuals_at(trajectory, len(trajectory.t) - 1)).all(axis=-1)
    for slot in range(len(trajectory.t)):
        x = states_at(trajectory, slot)
        finite &= (~np.isnan(x) if infinite else np.isfinite(x)).all(axis=-1)
    return np.asarray(finite & (trajectory.status == Status.OK).reshape(-1), dtype=bool)


def _flattened(values: Array, trajectory: Trajectory) -> Array:
    d = int(np.prod(trajectory.system.shape))
    return np.asarray(values, dtype=np.float64).reshape(-1, d)
