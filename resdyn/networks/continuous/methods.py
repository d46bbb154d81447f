"""The methods of torchdiffeq that integrate flows here, and their time grids."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resdyn._validation import count, positive
from resdyn.networks.requirements import require

Array = NDArray[Any]

ADAPTIVE = ("dopri5", "dopri8", "bosh3", "fehlberg2", "adaptive_heun")
FIXED_STEP = ("euler", "midpoint", "heun2", "heun3", "rk4")
_ADAPTIVE_OPTIONS = (
    "min_step", "max_step", "first_step", "max_num_steps", "safety", "ifactor", "dfactor", "jump_t", "norm", "dtype",
)  # fmt: skip
_FIXED_STEP_OPTIONS = ("interp", "perturb")
# times this close to a point of the grid, in steps, or to the end of a block, in h, are that point
SAME = 1e-9
# steps after which an adaptive method has failed, in one block: as many as in resdyn.simulate
_MOST_STEPS = 10_000


def check_method(method: Any) -> str:
    """The name of a method that is there."""
    require("torchdiffeq", "the flow of a network")
    from torchdiffeq._impl.odeint import SOLVERS

    known = tuple(name for name in (*ADAPTIVE, *FIXED_STEP) if name in SOLVERS)
    if method not in known:
        raise ValueError(
            f"method is {method!r}; there are {', '.join(name for name in known if name in ADAPTIVE)}, which choose "
            f"their steps, and {', '.join(name for name in known if name in FIXED_STEP)}, whose step is given. "
            "Implicit methods for stiff flows are in resdyn.simulate (Radau, BDF)."
        )
    return str(method)


def steps_per_block(method: str, step: Any, duration: float) -> int:
    """How many steps of a fixed-step method make a block; 0 for an adaptive method."""
    if method in ADAPTIVE:
        if step is not None:
            raise ValueError(
                f"step={step!r} is the step of a method with fixed steps ({', '.join(FIXED_STEP)}), but {method} "
                "chooses its own; set rtol and atol, or options={'max_step': ...}."
            )
        return 0
    ratio = duration / (duration if step is None else positive(step, "step"))
    if round(ratio) < 1 or abs(ratio - round(ratio)) > SAME * ratio:
        raise ValueError(
            f"step is {step!r}, of which {ratio:.6g} make a block of length {duration:g}; the integration starts anew "
            f"at each block, so pass a whole part of it, e.g. {duration / max(1, round(ratio)):g}."
        )
    return round(ratio)


def check_options(method: str, options: dict[str, Any]) -> None:
    """Refuse options that torchdiffeq would pass over with a warning, or that leave it no step."""
    known = _ADAPTIVE_OPTIONS if method in ADAPTIVE else _FIXED_STEP_OPTIONS
    for name in options:
        if name not in known:
            raise ValueError(f"{method} has no option {name!r}; it has {', '.join(known)}.")
    if "max_num_steps" in options:
        count(options["max_num_steps"], "options['max_num_steps']", least=1)


def solver_options(method: str, grid: Array, times: Tensor, options: dict[str, Any]) -> dict[str, Any]:
    """The options of torchdiffeq for one block."""
    check_options(method, options)
    if method in ADAPTIVE:
        # a step ends at each time that is asked for: torchdiffeq's interpolants are coarser than its steps
        return {"max_num_steps": _MOST_STEPS, "norm": worst_state, "step_t": times} | options
    on_grid = set(times.tolist()) <= set(grid.tolist())
    # between points of the grid Hermite's cubic keeps the order of rk4; at its points no interpolation is needed
    return {"grid_constructor": _constructor(grid), "interp": "linear" if on_grid else "cubic"} | options


def on_block_ends(times: Array, duration: float, horizon: float | None = None) -> Array:
    """The times, where they are the end of a block, or of the flow, but for rounding, exactly there."""
    ends = np.rint(times / duration) * duration
    settled = np.where(np.abs(times - ends) <= SAME * duration, ends, times)
    if horizon is None:
        return settled
    return np.where(np.abs(settled - horizon) <= SAME * duration, horizon, settled)


def snapped(times: Array, grid: Array) -> Array:
    """The times, and where they are a point of the grid but for rounding, that point."""
    if len(grid) < 2:
        return times
    above = np.clip(np.searchsorted(grid, times), 1, len(grid) - 1)
    below = above - 1
    nearest = grid[np.where(times - grid[below] < grid[above] - times, below, above)]
    return np.where(np.abs(nearest - times) <= SAME * (grid[1] - grid[0]), nearest, times)


def _constructor(grid: Array) -> Callable[[Any, Tensor, Tensor], Tensor]:
    def points(_: Any, __: Tensor, t: Tensor) -> Tensor:
        # the adjoint asks for parts of the block, backwards
        first, last = float(t[0]), float(t[-1])
        low, high = min(first, last), max(first, last)
        inner = grid[np.searchsorted(grid, low, side="right") : np.searchsorted(grid, high, side="left")]
        whole = torch.tensor([low, *inner, high], dtype=t.dtype, device=t.device)
        return whole if first <= last else whole.flip(0)

    return points


def worst_state(error: Tensor) -> Tensor:
    """The root mean square of the worst state of a batch: its tolerance holds for each."""
    return error.flatten(1).square().mean(1).max().sqrt()
