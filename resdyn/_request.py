"""The arguments of ``simulate``, checked before anything is allocated."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _memory
from resdyn import _validation as validate
from resdyn._types import CompiledForm, System
from resdyn.matrix_family import ResidualMap

Array = NDArray[Any]

MAPS = ("residual", "exponential")
FLOWS = ("RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA")
# what SciPy's implicit methods hold for each pair of variables: a Jacobian, and its factors in real and complex numbers
_IMPLICIT_BYTES = {"Radau": 32, "BDF": 16, "LSODA": 8}
_RTOL, _ATOL = 1e-6, 1e-9


@dataclass(frozen=True, eq=False)
class Request:
    """What ``simulate`` was asked to do, without anything left to doubt."""

    system: System
    states: Array
    """Initial states, shape (M, *shape), in the type of the arithmetic: a copy."""
    batch: tuple[int, ...]
    layers: NDArray[np.int64]
    """The layers to save."""
    transient: int
    """Layers to run before the first one saved."""
    total: int
    """Layers to run in all."""
    method: str
    inputs: Array | None
    noise: float
    rng: np.random.Generator
    progress: bool
    rtol: float
    atol: float
    threads: int | None
    form: CompiledForm | None

    @property
    def is_map(self) -> bool:
        """Map or flow."""
        return self.method in MAPS

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self.states.dtype


def make_request(
    system: System,
    x0: Any,
    *,
    depth: Any,
    method: Any,
    save: Any,
    transient: Any,
    inputs: Any,
    noise: Any,
    rng: Any,
    dtype: Any,
    progress: bool,
    rtol: Any,
    atol: Any,
    threads: Any,
) -> Request:
    """Check the arguments of :func:`resdyn.simulate` one by one."""
    validate.is_system(system)
    if method not in MAPS + FLOWS:
        raise ValueError(f"unknown method {method!r}; maps: {', '.join(MAPS)}; flows: {', '.join(FLOWS)}.")
    if method == "exponential" and not isinstance(system, ResidualMap):
        raise ValueError(
            f'method "exponential" takes the linear part exactly, but {system.name!r} has none that is known; '
            'it serves ResidualMap. Use method="residual", or an ODE method for the flow.'
        )
    if method in _IMPLICIT_BYTES:
        _memory.require(
            _IMPLICIT_BYTES[method] * int(np.prod(system.shape)) ** 2,
            f"{method}, which forms the Jacobian of the {int(np.prod(system.shape))} variables of {system.name!r},",
            'use an explicit method such as "RK45"',
        )
    states, batch = _states(system, x0, _dtype(dtype))
    if method not in (*MAPS, "RK45") and not np.isfinite(states).all():
        raise ValueError(
            f"SciPy's {method} cannot start from infinite states; saturated units (y = 0 or 1) are followed by "
            'method="RK45" and by the map.'
        )
    drive = _inputs(system, inputs, batch)
    skipped, total = _depths(system, drive, depth, transient)
    layers = _saved(states, skipped, total, save)
    return Request(
        system=system,
        states=states,
        batch=batch,
        layers=layers,
        transient=skipped,
        total=total,
        method=method,
        inputs=drive,
        noise=_noise(noise, method),
        rng=validate.generator(rng),
        progress=bool(progress),
        rtol=_reachable(_tolerance(rtol, "rtol", _RTOL, method), states.dtype, method),
        atol=_tolerance(atol, "atol", _ATOL, method),
        threads=None if threads is None else validate.count(threads, "threads", least=1),
        form=_form(system, drive, method, len(states)),
    )


def _dtype(dtype: Any) -> np.dtype[Any]:
    try:
        chosen = np.dtype(np.float64 if dtype is None else dtype)
    except TypeError:
        raise TypeError(f"dtype must be float32 or float64, but is {dtype!r}.") from None
    if chosen not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype must be float32 or float64, but is {chosen}.")
    return chosen


def _states(system: System, x0: Any, dtype: np.dtype[Any]) -> tuple[Array, tuple[int, ...]]:
    """The initial states as (M, *shape), and the batch axes."""
    array = validate.real_array(x0, "x0", finite=not getattr(system, "infinite_states", False))
    validate.states(array, system.shape, system.name, name="x0")
    batch = array.shape[: array.ndim - len(system.shape)]
    with np.errstate(over="ignore"):
        states = np.array(array.reshape(int(np.prod(batch)), *system.shape), dtype=dtype, order="C")
    if np.isinf(states).sum() > np.isinf(array).sum():
        raise ValueError(f"x0 holds numbers too large for {dtype}; use float64.")
    return states, batch


def _inputs(system: System, inputs: Any, batch: tuple[int, ...]) -> Array | None:
    if inputs is None:
        return None
    if not isinstance(system, ResidualMap):
        raise ValueError(
            f"inputs are added to the pre-activation W x + b, which {system.name!r} does not have; "
            "they serve ResidualMap. Write a drive of another system into its rule, with depth=."
        )
    array = validate.real_array(inputs, "inputs")
    n = system.shape
    if array.ndim < 2 or array.shape[1:] not in (n, (*batch, *n)) or not len(array):
        each = ", ".join(map(str, (*batch, *n)))
        raise ValueError(
            f"inputs has shape {array.shape}, but must have shape (T, {n[0]}), one drive for all states, "
            f"or (T, {each}), one for each."
        )
    return validate.frozen(array)


def _depths(system: System, drive: Array | None, depth: Any, transient: Any) -> tuple[int, int]:
    """How many layers to run before the first one saved, and in all."""
    known = {} if system.depth is None else {"layers": system.depth}
    if drive is not None:
        known["inputs"] = len(drive)
    skipped = validate.count(transient, "transient")
    if depth is not None:
        shown = validate.count(depth, "depth")
    elif known:
        shown = min(known.values()) - skipped
    else:
        raise ValueError(f"{system.name!r} can be run to any depth; say how many layers, e.g. depth=15.")
    for what, n in known.items():
        if skipped + shown > n or shown < 0:
            raise ValueError(
                f"{system.name!r} has {n} {what}, but transient = {skipped} and depth = {depth} ask for "
                f"{skipped + max(shown, 0)}; ask for at most {n} in all."
            )
    return skipped, skipped + shown


def _saved(states: Array, skipped: int, total: int, save: Any) -> NDArray[np.int64]:
    """The layers to save, once it is known that they fit."""
    if isinstance(save, str) and save == "final":
        return np.array([total])
    if isinstance(save, str) and save != "all":
        raise ValueError(f'unknown save {save!r}; it is "all", "final", or an integer k for every k-th layer.')
    every = 1 if isinstance(save, str) else validate.count(save, "save", least=1)
    n_saved = -(-(total - skipped) // every) + 1
    half = "; dtype=np.float32 takes half" if states.dtype == np.float64 else ""
    _memory.require(
        n_saved * (states.nbytes + 16),  # and its layer and time
        f"saving {n_saved} layers of states of shape {states.shape}",
        f'save less: save="final", or save=k for every k-th layer{half}',
    )
    return np.append(np.arange(skipped, total, every, dtype=np.int64), total)


def _reachable(rtol: float, dtype: np.dtype[Any], method: str) -> float:
    """A relative tolerance that rounding allows; SciPy clips its own."""
    least = 4 * float(np.finfo(dtype).eps)
    if method == "RK45" and rtol < least:
        raise ValueError(f"rtol = {rtol!r} is below what {dtype} can tell apart; ask for at least {least:.2g}.")
    return rtol


def _noise(noise: Any, method: str) -> float:
    deviation = validate.standard_deviation(noise, "noise")
    if deviation and method not in MAPS:
        raise ValueError(
            f"noise is added layer by layer, so it belongs to maps; method {method!r} integrates an ODE. "
            'Use method="residual" with a small step for an Euler–Maruyama path.'
        )
    return deviation


def _tolerance(value: Any, name: str, default: float, method: str) -> float:
    if value is None:
        return default
    if method in MAPS:
        raise ValueError(f"{name} belongs to flows, but method {method!r} is a map, exact to rounding; leave it out.")
    return validate.positive(value, name)


def _form(system: System, drive: Array | None, method: str, n_states: int) -> CompiledForm | None:
    """The fast path, where the system and the method have one."""
    make = getattr(system, "compiled_form", None)
    if make is None or method not in (*MAPS, "RK45"):
        return None
    if drive is None:
        return make()
    return make(drive if drive.ndim == 2 else drive.reshape(len(drive), n_states, *system.shape))
