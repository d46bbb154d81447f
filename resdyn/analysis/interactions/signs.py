"""Signs of interactions: those of weights, which hold in every state, or those of Jacobians at given states."""

from collections.abc import Iterator
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from resdyn import _memory
from resdyn import _validation as validate
from resdyn._types import Status, System
from resdyn.activations import NAMED
from resdyn.analysis.interactions.monotonicity import SLOPES, lowest_diagonal
from resdyn.matrix_family import LogisticResiduals, ResidualMap
from resdyn.trajectory import Trajectory

Array = NDArray[Any]

_CHUNK = 2**22
"""Jacobian entries held at a time."""


def has_weights(system: System) -> TypeGuard[ResidualMap | LogisticResiduals]:
    """Whether the signs of a system are those of its weights in every state: its activation increases."""
    return isinstance(system, LogisticResiduals) or (
        isinstance(system, ResidualMap)
        and system.activation.name in SLOPES
        # another activation may have taken the name
        and system.activation is NAMED.get(system.activation.name)
    )


def signs_of_weights(
    system: ResidualMap | LogisticResiduals, trajectory: Trajectory | None, threshold: float
) -> dict[str, Any]:
    """Signs of αW over all layers, and slopes along the trajectory."""
    if isinstance(system, LogisticResiduals):
        activation, gain, damping = "logistic", np.ones(()), np.zeros(())
    else:
        activation, gain, damping = system.activation.name, system.gain, system.damping
    strengths = gain[:, None, None] * system.W if gain.ndim else gain * system.W
    left_out = np.abs(strengths) <= threshold
    n_dropped = int((left_out & (strengths != 0)).sum())
    strengths = np.where(left_out, 0.0, strengths)
    layers = strengths.reshape(-1, *system.W.shape[-2:])
    sign, mixed = _one_sign(np.any(layers > 0, axis=0), np.any(layers < 0, axis=0))
    return {
        "sign": sign,
        "mixed": mixed,
        "strengths": strengths,
        "n_dropped": n_dropped,
        "n_states": 0,
        "activation": activation,
        "closes": bool(activation == "logistic" and system.depth is None and not damping.any() and gain.all()),
        "damped": bool((damping > 0).all()),
        "lowest_diagonal": lowest_diagonal(np.diagonal(strengths, axis1=-2, axis2=-1), damping, SLOPES[activation]),
        "jacobians": None,
        **_slopes(trajectory),
    }


def _slopes(trajectory: Trajectory | None) -> dict[str, Array | None]:
    """φ′(z_i) at the saved layers, averaged over the states that came through."""
    if trajectory is None:
        return {"t": None, "layers": None, "slopes": None}
    system = trajectory.system
    if not has_weights(system):
        raise ValueError(f"{system.name!r} has no named activation, so no slopes; pass a trajectory of the same units.")
    slope = SLOPES["logistic" if isinstance(system, LogisticResiduals) else system.activation.name]
    came_through = trajectory.status == Status.OK
    slopes = slope.of_value(trajectory.activations[:, came_through])
    mean = slopes.mean(axis=1) if came_through.any() else np.full((len(trajectory.t), *system.shape), np.nan)
    return {"t": trajectory.t, "layers": trajectory.layers, "slopes": mean}


def signs_of_jacobians(system: System, trajectory: Trajectory | None, states: Any, threshold: float) -> dict[str, Any]:
    """Signs and means of ∂f/∂x over all finite states, and along the trajectory.

    Entries up to ``threshold``, or up to their estimated error where derivatives are differences, count as zero.
    """
    size = int(np.prod(system.shape))
    slots = _slots(system, trajectory, states)
    _memory.require(
        (len(slots) + 8) * size**2 * 8, "Jacobians at all saved layers", 'save fewer: simulate(..., save="final")'
    )
    positive, negative, some_positive, some_negative = np.zeros((4, size, size), dtype=bool)
    totals, n_states = np.zeros((len(slots), size, size)), np.zeros(len(slots), dtype=np.int64)
    lowest = np.inf
    for slot, (t, batch, inputs) in enumerate(slots):
        for A, error in _jacobians(system, t, batch, inputs):
            positive |= (max(threshold, error) < A).any(axis=0)
            negative |= (-max(threshold, error) > A).any(axis=0)
            some_positive |= (error < A).any(axis=0)
            some_negative |= (-error > A).any(axis=0)
            totals[slot] += A.sum(axis=0)
            n_states[slot] += len(A)
            lowest = min(lowest, float(np.diagonal(A, axis1=1, axis2=2).min()))
    if not n_states.any():
        raise ValueError(f"no state of {system.name!r} with a finite Jacobian was given; pass finite states.")
    sign, mixed = _one_sign(positive, negative)
    dropped = (some_positive != positive) | (some_negative != negative)
    strengths = totals.sum(axis=0) / n_states.sum()
    with np.errstate(invalid="ignore"):  # a layer without finite states has no mean
        means = totals / n_states[:, None, None]
    along: dict[str, Any] = {"t": None, "layers": None, "jacobians": None}
    if trajectory is not None and states is None:
        along = {"t": trajectory.t, "layers": trajectory.layers, "jacobians": means}
    return {
        "sign": sign,
        "mixed": mixed,
        "strengths": np.where(dropped & ~positive & ~negative, 0.0, strengths),
        "n_dropped": int(dropped.sum()),
        "n_states": int(n_states.sum()),
        "activation": None,
        "closes": False,
        "damped": False,
        "slopes": None,
        "lowest_diagonal": lowest,
        **along,
    }


def _one_sign(positive: Array, negative: Array) -> tuple[Array, Array]:
    """The sign of entries that are positive, or negative, somewhere, and which of them are both (with sign 0)."""
    return positive.astype(np.int8) - negative.astype(np.int8), positive & negative


def _slots(system: System, trajectory: Trajectory | None, states: Any) -> list[tuple[float, Array, Array | None]]:
    """(t, states, drive) of each saved layer; one slot for states that were given."""
    if states is not None:
        if system.depth is not None:
            raise ValueError(f"{system.name!r} depends on t, so states are not enough; pass a trajectory of it.")
        x = validate.states(
            validate.real_array(states, "states", nan=True, finite=False), system.shape, system.name, name="states"
        )
        return [(0.0, x.reshape(-1, *system.shape), None)]
    if trajectory is None:
        raise ValueError(
            f"{system.name!r} has no weights with a named activation, so signs must be observed; "
            "pass a trajectory, or states=."
        )
    flat = trajectory.x.reshape(len(trajectory.t), -1, *system.shape)
    return [(float(t), x, _drive(trajectory, slot)) for slot, (t, x) in enumerate(zip(trajectory.t, flat, strict=True))]


def _drive(trajectory: Trajectory, slot: int) -> Array | None:
    """The drive of one layer, one row per state."""
    inputs = trajectory.inputs_at(slot)
    if inputs is None:
        return None
    size = int(np.prod(trajectory.batch))
    return np.broadcast_to(inputs, (*trajectory.batch, *trajectory.system.shape)).reshape(size, -1)


def _jacobians(system: System, t: float, states: Array, inputs: Array | None) -> Iterator[tuple[Array, float]]:
    """Finite Jacobians in chunks, shape (n, d, d), with the largest estimated error of an entry."""
    jacobian = getattr(system, "jacobian", None)
    exact = jacobian is not None and getattr(system, "jacobian_rule", True) is not None
    size = int(np.prod(system.shape))
    chunk = max(1, _CHUNK // size**2) if exact else 1
    for start in range(0, len(states), chunk):
        x = states[start : start + chunk]
        with np.errstate(all="ignore"):
            if exact:
                drive = {} if inputs is None else {"inputs": inputs[start : start + chunk]}
                A, error = jacobian(t, x, **drive), 0.0  # type: ignore[misc]
            else:
                operator = system.linearize(t, x[0])
                A, error = (operator @ np.eye(size))[None], float(getattr(operator, "error", 0.0))
        finite = np.isfinite(A).all(axis=(1, 2)) & np.isfinite(x.reshape(len(x), -1)).all(axis=1)
        if finite.any():
            yield A[finite], error
