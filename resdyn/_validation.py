"""Arguments into arrays of numbers, or an error that says what came, what was needed, what to do."""

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def real_array(value: Any, name: str, *, finite: bool = True, nan: bool = False) -> Array:
    """``value`` as a float array (float32 stays, everything else real becomes float64).

    Raises
    ------
    TypeError
        If it is not an array of real numbers (objects, strings, complex numbers, ragged lists).
    ValueError
        If it holds NaN (unless ``nan``) or infinities (if ``finite``).
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise TypeError(f"{name} must be an array of real numbers; got a ragged sequence ({error}).") from error
    except RuntimeError as error:  # tensors that require a gradient refuse
        raise TypeError(f"{name} must be an array; got a {type(value).__name__}: {error}") from error
    if np.ma.is_masked(value):
        raise TypeError(f"{name} is a masked array with masked entries; fill them first, e.g. {name}.filled(0.0).")
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{name} must be an array of real numbers, but has dtype {array.dtype}; "
            f"convert it first, e.g. with np.asarray({name}, dtype=float)."
        )
    if array.dtype != np.float32:
        array = array.astype(np.float64, copy=False)
    if not nan and not np.isfinite(array).all():
        bad = np.isnan(array) if not finite else ~np.isfinite(array)
        if bad.any():
            what = "NaN" if np.isnan(array).any() else "infinite values"
            raise ValueError(
                f"{name} holds {what} ({int(bad.sum())} of {array.size} entries, "
                f"the first at index {tuple(int(i) for i in np.argwhere(bad)[0])}); pass finite numbers."
            )
    return array


def frozen(array: Array) -> Array:
    """A read-only float64 copy in C order: what a system keeps of the caller's array."""
    copy = np.array(array, dtype=np.float64, order="C")
    copy.setflags(write=False)
    return copy


def count(value: Any, name: str, *, least: int = 0) -> int:
    """``value`` as an int of at least ``least``; bools and floats are refused."""
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, but is {value!r} of type {type(value).__name__}.") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, but is {number}.")
    return number


def positive(value: Any, name: str) -> float:
    """``value`` as a finite float above zero."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, but is {value!r} of type {type(value).__name__}.") from None
    if not (np.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be a finite number above 0, but is {number!r}.")
    return number


def nonnegative(value: Any, name: str) -> float:
    """``value`` as a finite float, zero or above."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, but is {value!r} of type {type(value).__name__}.") from None
    if not (np.isfinite(number) and number >= 0):
        raise ValueError(f"{name} must be a finite number, 0 or above, but is {number!r}.")
    return number


def finite(value: Any, name: str) -> float:
    """``value`` as a finite float."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, but is {value!r} of type {type(value).__name__}.") from None
    if not np.isfinite(number):
        raise ValueError(f"{name} must be a finite number, but is {number!r}.")
    return number


def within(value: Any, name: str, first: float, last: float) -> float:
    """``value`` as a float between two ends, given in either order."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, but is {value!r} of type {type(value).__name__}.") from None
    if not min(first, last) <= number <= max(first, last):
        raise ValueError(f"{name} must lie between {min(first, last):g} and {max(first, last):g}, but is {number!r}.")
    return number


def standard_deviation(value: Any, name: str) -> float:
    """``value`` as a finite float of at least zero."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not (np.isfinite(number) and number >= 0):
        raise ValueError(f"{name} is a standard deviation, at least 0 and finite, but is {value!r}.")
    return number


def generator(rng: Any) -> np.random.Generator:
    """A numpy Generator: the one given, or a new one from a seed."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise TypeError(f"rng must be a numpy Generator, a seed (an int), or None, but is {rng!r}.") from None


def threads(value: Any) -> int | None:
    """``value`` as a number of threads; None for all."""
    return None if value is None else count(value, "threads", least=1)


def trajectory(value: Any) -> None:
    """Refuse what is no trajectory."""
    if not all(hasattr(value, name) for name in ("system", "x", "layers", "status")):
        raise TypeError(
            f"trajectory must be a Trajectory, but is {value!r} of type {type(value).__name__}; "
            "pass what resdyn.simulate returned."
        )


def is_system(value: Any) -> None:
    """Refuse what is no system; say how a network becomes one."""
    if not all(hasattr(value, name) for name in ("name", "shape", "step", "depth", "residual", "linearize")):
        raise TypeError(
            f"system must be a resdyn System (name, shape, step, depth, residual, linearize), but is {shown(value)}; "
            f"{_remedy(value)}."
        )


def shown(value: Any) -> str:
    """What came, in a line: a module of torch prints itself on a page."""
    text = repr(value)
    if len(text) > 100 or "\n" in text:
        text = f"an object of type {type(value).__name__}"
    return text


def _remedy(value: Any) -> str:
    if hasattr(value, "units") and hasattr(value, "trace"):
        return "an unrolled network is a chain of stages: take one of its .stages"
    if hasattr(value, "state_dict"):
        return "a module of torch becomes systems by resdyn.networks.unroll(module, example).stages"
    return "see ResidualMap, from_symbolic, ResidualSystem"


def autonomous(system: Any, what: str) -> None:
    """Refuse a system whose layers differ; ``what`` says what needs one layer repeated."""
    is_system(system)
    if system.depth is not None:
        raise ValueError(
            f"{what} repeats one and the same layer for ever, but {system.name!r} has {system.depth} layers of its "
            "own; pass a system with shared weights, e.g. one layer of it."
        )


def choice(value: Any, name: str, allowed: tuple[str, ...]) -> str:
    """``value``, if it is one of the words allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be {' or '.join(map(repr, allowed))}, but is {value!r}.")
    return value


def class_labels(labels: Any, n: int) -> tuple[Array, Array]:
    """The class of each of n states as a number from 0, and the classes, sorted."""
    array = np.asarray(labels)
    if array.dtype.kind not in "biufUS":
        raise TypeError(
            f"labels must be numbers or words, one per state, but have dtype {array.dtype}; "
            "convert them first, e.g. with np.asarray(labels, dtype=str)."
        )
    if array.shape != (n,):
        raise ValueError(f"labels has shape {array.shape}, but {n} states need one label each, shape ({n},).")
    if array.dtype.kind == "f":
        real_array(array, "labels")
    classes, codes = np.unique(array, return_inverse=True)
    return codes.reshape(n), classes


def dynamics(value: Any, **flow_options: Any) -> str:
    """The word "map" or "flow"; the options of a flow (rtol, atol, method) are refused for a map."""
    word = choice(value, "dynamics", ("map", "flow"))
    given = [name for name, option in flow_options.items() if option is not None]
    if word == "map" and given:
        raise ValueError(
            f"{given[0]}={flow_options[given[0]]!r} belongs to the integration of a flow, but dynamics is 'map'; "
            f"leave it out, or pass dynamics='flow'."
        )
    return word


def states(x: Any, shape: tuple[int, ...], owner: str, *, name: str = "x") -> Array:
    """``x`` as an array of states of this shape, after any batch axes."""
    array = np.asarray(x)
    if array.shape[array.ndim - len(shape) :] != shape or array.ndim < len(shape):
        raise ValueError(
            f"{name} has shape {array.shape}, but {owner!r} has states of shape {shape}; "
            f"pass one state, or a batch of shape {batch_of(shape)}."
        )
    return array


def changed(arguments: dict[str, Any], changes: dict[str, Any], owner: str) -> dict[str, Any]:
    """The arguments of a constructor with some of them changed."""
    unknown = sorted(set(changes) - set(arguments))
    if unknown:
        raise TypeError(f"{owner} has no argument {unknown[0]!r}; it has {', '.join(arguments)}.")
    return arguments | changes


def batch_of(shape: tuple[int, ...]) -> str:
    return f"(*batch, {', '.join(map(str, shape))})"


def one_state(
    x: Any,
    shape: tuple[int, ...],
    owner: str,
    advice: str = "loop over a batch, or use system.jacobian(t, x) where the system has it",
) -> Array:
    """``x`` as exactly one state."""
    array = real_array(x, "x", nan=True)
    if array.shape != shape:
        raise ValueError(
            f"x has shape {array.shape}, but a linearization of {owner!r} is taken at one state of shape {shape}; "
            f"{advice}."
        )
    return array
