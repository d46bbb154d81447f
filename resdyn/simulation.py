"""``simulate``: from initial states to a ``Trajectory``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._request import Request, make_request
from resdyn._types import CompiledForm, Status, System, within_block
from resdyn.trajectory import Trajectory

Array = NDArray[Any]

# a state this big where the integrator gives up is running off to infinity
_LARGE = 1e6
# a state that takes more steps than this has FAILED; the same number whatever is saved
_STEPS, _STEPS_PER_LAYER = 100_000, 10_000
# evaluations at one and the same time after which an integrator is stuck (LSODA goes on for ever)
_STUCK = 10_000


def simulate(
    system: System,
    x0: Any,
    *,
    depth: int | None = None,
    method: str = "residual",
    save: str | int = "all",
    transient: int = 0,
    inputs: Any = None,
    noise: float = 0.0,
    rng: np.random.Generator | int | None = None,
    dtype: Any = None,
    progress: bool = False,
    rtol: float | None = None,
    atol: float | None = None,
    threads: int | None = None,
) -> Trajectory:
    r"""Run a residual system, as the network it is or as its flow, from any number of initial states.

    .. math::

        \text{map:}\quad x_{k+1} = x_k + h f(t_k, x_k) \qquad\qquad
        \text{flow:}\quad \dot x = f(t, x),\ \ t_k = kh

    Parameters
    ----------
    system : System
    x0 : array, shape (\*batch, \*shape)
        Initial states: one, or a batch of up to millions. Integers are promoted.
    depth : int, optional
        Layers to run after the transient. None runs all layers of a layer-wise system (or of a drive); a system
        with shared weights has no depth of its own and needs the number.
    method : str
        "residual", the network itself; "exponential", with the linear part exact (systems with a damping):
        :math:`x' = e^{-h\lambda}x + h\varphi_1(-h\lambda)\,\alpha\varphi(Wx+b)` with
        :math:`\varphi_1(s) = (e^s - 1)/s`, [hochbruck2010]_; or an ODE method for the flow over the same
        horizon: "RK45" (compiled where the system is, with one step size per state), and SciPy's "RK23",
        "DOP853", "Radau", "BDF", "LSODA". A layer-wise flow is piecewise constant in t and restarts at each layer.
    save : "all", "final", or int
        Every layer; the last state only; or every k-th layer, the last one always included.
    transient : int
        Layers to run first and not to save.
    inputs : array, shape (T, N) or (T, \*batch, N), optional
        A drive added to the pre-activation, :math:`\varphi(W_k x_k + b_k + u_k)`, for all states or for each
        (systems with a weight matrix).
    noise : float
        Standard deviation of independent Gaussian noise added to the state after every layer (maps).
    rng : numpy Generator or seed
        For the noise; the outcome does not depend on the number of threads.
    dtype : float32 or float64
        Arithmetic and storage; float64 unless asked for, whatever the type of ``x0``.
    progress : bool
        Show a progress bar.
    rtol, atol : float
        Tolerances of a flow (default 1e-6 and 1e-9): each step's error stays below ``atol + rtol·|x|``.
    threads : int, optional
        At most so many threads; by default all of numba's.

    Returns
    -------
    Trajectory
        Divergence is an outcome, not an error: see its ``status``.

    Raises
    ------
    TypeError, ValueError
        For wrong shapes, types or names; the message says what was needed.
    MemoryError
        If the saved states cannot fit, before anything is allocated.
    """
    request = make_request(
        system,
        x0,
        depth=depth,
        method=method,
        save=save,
        transient=transient,
        inputs=inputs,
        noise=noise,
        rng=rng,
        dtype=dtype,
        progress=progress,
        rtol=rtol,
        atol=atol,
        threads=threads,
    )
    out = np.empty((len(request.layers), *request.states.shape), dtype=request.dtype)
    status = np.zeros(len(request.states), dtype=np.uint8)
    with np.errstate(over="ignore", invalid="ignore"):
        if request.is_map:
            _run_map(request, out)
            # the last state tells: x + h f is infinite or NaN if x is, whatever f may be
            status[_left_the_numbers(out[-1], system)] = Status.DIVERGED
        else:
            _run_flow(request, out, status)
    return Trajectory(
        t=request.layers * system.step,
        x=out.reshape(len(out), *request.batch, *system.shape),
        status=status.reshape(request.batch),
        system=system,
        method=method,
        x0=request.states.reshape(*request.batch, *system.shape),
        layers=request.layers,
        inputs=request.inputs,
        noise=request.noise,
        transient=request.transient,
    )


def _left_the_numbers(x: Array, system: System) -> Array:
    """Which states are not finite."""
    bad = np.isnan(x) if getattr(system, "infinite_states", False) else ~np.isfinite(x)
    return np.asarray(bad.any(axis=tuple(range(1, x.ndim))))


# --- maps --------------------------------------------------------------------------------------------


def _run_map(request: Request, out: Array) -> None:
    gaps = np.diff(request.layers, prepend=0)
    exponential = request.method == "exponential"
    form = request.form
    if form is not None and not request.progress and not request.noise:
        form.iterate(request.states, out, gaps, first=0, exponential=exponential, threads=request.threads)
        return
    advance = _numpy_steps(request) if form is None else _compiled_steps(request, form)
    # with noise the kernel runs one layer at a time; else in some hundred pieces, to move the bar
    most = 1 if request.noise else max(1, request.total // 200) if form is not None else 1
    x, layer = request.states, 0
    with _bar(request) as update:
        for slot, gap in enumerate(gaps):
            stop = layer + int(gap)
            while layer < stop:
                n = min(most, stop - layer)
                x = advance(x, layer, n)
                if request.noise:
                    x = x + request.noise * request.rng.standard_normal(x.shape, dtype=request.dtype.type)
                layer += n
                update(n)
            out[slot] = x


def _compiled_steps(request: Request, form: CompiledForm) -> Callable[[Array, int, int], Array]:
    def advance(x: Array, first: int, n: int) -> Array:
        after = np.empty((1, *x.shape), dtype=x.dtype)
        form.iterate(
            np.ascontiguousarray(x),
            after,
            np.array([n]),
            first=first,
            exponential=request.method == "exponential",
            threads=request.threads,
        )
        return after[0]

    return advance


def _numpy_steps(request: Request) -> Callable[[Array, int, int], Array]:
    system = request.system

    def advance(x: Array, first: int, n: int) -> Array:
        for layer in range(first, first + n):
            x.setflags(write=False)  # a rule that works in place would change the state it is asked about
            f = np.asarray(system.residual(layer * system.step, x))
            if f.dtype.kind not in "biuf":
                raise TypeError(f"residual of {system.name!r} returned {f.dtype} numbers; f must be real.")
            x = x + system.step * f.astype(x.dtype, copy=False)
        return x

    return advance


@contextmanager
def _bar(request: Request) -> Iterator[Callable[[int], Any]]:
    if not request.progress:
        yield lambda n: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=request.total, desc=request.system.name, unit="layer") as bar:
        yield bar.update


# --- flows -------------------------------------------------------------------------------------------


def _run_flow(request: Request, out: Array, status: NDArray[np.uint8]) -> None:
    """Cut the horizon at the saved layers, and at every layer where f jumps, and integrate piece by piece."""
    h = request.system.step
    piecewise = request.system.depth is not None or request.inputs is not None
    stops = np.arange(request.total + 1) if piecewise else np.unique([0, *request.layers])
    slots = np.full(len(stops), -1, dtype=np.int64)
    slots[np.searchsorted(stops, request.layers)] = np.arange(len(request.layers))
    if slots[0] >= 0:
        out[0] = request.states
    if len(stops) == 1:
        return
    ends, layers, slots = stops[1:] * h, stops[:-1] * piecewise, slots[1:]
    if request.form is not None:
        request.form.integrate(
            request.states,
            out,
            status,
            begin=0.0,
            ends=np.asarray(ends, dtype=np.float64),
            layers=layers.astype(np.int64),
            slots=slots,
            rtol=request.rtol,
            atol=request.atol,
            max_steps=most_steps(request.total),
            threads=request.threads,
        )
        return
    for i in range(len(request.states)):
        if piecewise:
            status[i] = _solve_by_layer(request, i, ends, layers, slots, out)
        else:
            status[i] = _solve_at_once(request, i, ends, slots, out)


def most_steps(layers: int) -> int:
    """Steps that a compiled flow may take in a segment before its state has failed."""
    return _STEPS + _STEPS_PER_LAYER * layers


def _solve_at_once(request: Request, index: int, ends: Array, slots: Array, out: Array) -> Status:
    """One state by SciPy's solver; what cannot be reached stays NaN."""
    out[slots[slots >= 0], index] = np.nan
    state = request.states[index]
    x, end = state.astype(np.float64).ravel(), float(ends[-1])
    solution = _segment(request, index, x, 0.0, end, None, ends)
    reached = np.reshape(solution.y, (x.size, -1)).T  # fewer than asked for where it gave up
    for slot, value in zip(slots, reached, strict=False):
        out[slot, index] = value.reshape(state.shape)
    # asked for given times, SciPy does not say where it gave up: ask again for its own steps
    return Status.OK if solution.status == 0 else _outcome(_segment(request, index, x, 0.0, end, None, None))


def _solve_by_layer(request: Request, index: int, ends: Array, layers: Array, slots: Array, out: Array) -> Status:
    """One state by SciPy's solver, restarted at every layer."""
    out[slots[slots >= 0], index] = np.nan
    state = request.states[index]
    x, begin = state.astype(np.float64).ravel(), 0.0
    for end, layer, slot in zip(ends, layers, slots, strict=True):
        solution = _segment(request, index, x, begin, float(end), int(layer), None)
        if solution.status != 0:
            return _outcome(solution)
        x, begin = solution.y[:, -1], float(end)
        if slot >= 0:
            out[slot, index] = x.reshape(state.shape)
    return Status.OK


def _segment(
    request: Request, index: int, x: Array, begin: float, end: float, layer: int | None, times: Array | None
) -> Any:
    from scipy.integrate import solve_ivp

    system = request.system
    drive: dict[str, Any] = {}
    if request.inputs is not None and layer is not None:
        u = request.inputs[layer]
        drive["inputs"] = u if u.ndim == 1 else u.reshape(-1, *system.shape)[index]

    def at(t: float) -> float:
        # f may jump at the ends of a layer: stay on this side of them
        return t if layer is None or system.depth is None else within_block(t, system.step, layer)

    calls = {"t": begin, "count": 0}

    def slope(t: float, flat: Array) -> Array:
        if abs(t - calls["t"]) <= 4 * np.finfo(float).eps * abs(t):
            calls["count"] += 1
            if calls["count"] > _STUCK:
                raise _Stuck(flat)
        else:
            calls["t"], calls["count"] = t, 0
        return np.asarray(system.residual(at(t), flat.reshape(system.shape), **drive)).ravel()

    options: dict[str, Any] = {}
    jacobian = getattr(system, "jacobian", None)
    if request.method in ("Radau", "BDF", "LSODA") and jacobian is not None:
        options["jac"] = lambda t, flat: jacobian(at(t), flat.reshape(system.shape), **drive)
    try:
        return solve_ivp(
            slope, (begin, end), x, method=request.method, t_eval=times, rtol=request.rtol, atol=request.atol, **options
        )
    except _Stuck as stuck:
        y = np.empty((x.size, 0)) if times is not None else stuck.state[:, None]
        return SimpleNamespace(status=-1, y=y)


class _Stuck(Exception):
    """An integrator evaluates f at the same time again and again."""

    def __init__(self, state: Array) -> None:
        self.state = state.copy()


def _outcome(solution: Any) -> Status:
    if solution.status == 0:
        return Status.OK
    return Status.FAILED if np.abs(solution.y[:, -1]).max() < _LARGE else Status.DIVERGED
