"""How tangent vectors are carried along the orbits of any system, for the analyses that need them.

States have shape (M, *shape) and frames (M, k, d): k vectors, one per row, for each state.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from resdyn import _validation as validate
from resdyn._request import FLOWS, Request, make_request
from resdyn._types import Status, System, block_index
from resdyn.simulation import simulate

Array = NDArray[Any]

# How much of a vector the projections may leave before the layers are run again with fewer between them, as in
# kernels/stretching.py: the logarithms are then good to about 1e-10.
_LEAST_KEPT = 1e-6
_LONGEST = 32


class Carry(Protocol):
    """Run states and frames from a layer through n layers: new states, frames and the status of each."""

    def __call__(self, states: Array, frames: Array, first: int, n: int) -> tuple[Array, Array, NDArray[np.uint8]]: ...


# --- what was asked for -------------------------------------------------------------------------------


def tangent_request(
    system: System,
    x0: Any,
    depth: Any,
    transient: Any,
    dynamics: Any,
    inputs: Any,
    rtol: Any,
    atol: Any,
    method: Any,
    threads: Any,
    progress: bool,
) -> Request:
    """The arguments that :func:`resdyn.simulate` has too, checked as there."""
    is_map = validate.dynamics(dynamics, rtol=rtol, atol=atol, method=method) == "map"
    request = make_request(
        system,
        x0,
        depth=depth,
        method="residual" if is_map else validate.choice("RK45" if method is None else method, "method", FLOWS),
        save="final",
        transient=transient,
        inputs=inputs,
        noise=0.0,
        rng=None,
        dtype=None,
        progress=progress,
        rtol=rtol,
        atol=atol,
        threads=threads,
    )
    if request.total == request.transient:
        raise ValueError("exponents are averages over layers; give depth of at least 1.")
    return request


def exponent_count(n_exponents: Any, d: int) -> int:
    if n_exponents is None:
        return d
    k = validate.count(n_exponents, "n_exponents", least=1)
    if k > d:
        raise ValueError(f"n_exponents = {k}, but states have {d} variables, so there are {d} exponents at most.")
    return k


def left_the_numbers(states: Array, system: System) -> Array:
    """Which states are not finite."""
    bad = np.isnan(states) if getattr(system, "infinite_states", False) else ~np.isfinite(states)
    return np.asarray(bad.reshape(len(states), -1).any(axis=1))


# --- frames --------------------------------------------------------------------------------------------


def orthonormal_frame(d: int, k: int, rng: np.random.Generator) -> Array:
    """k random orthonormal vectors in d dimensions, as rows: in no system's invariant subspace but by chance."""
    return np.ascontiguousarray(np.linalg.qr(rng.standard_normal((d, k)))[0].T)


def orthonormalised(frames: Array) -> tuple[Array, Array, float]:
    """Frames as Q and R, with frames = RᵀQ, and the least share of its length that a vector is left with.

    The rows of Q (M, k, d) are orthonormal, R (M, k, k) is upper triangular, and R[m, i, i] ≥ 0 are the stretching
    factors. Entries below 8dε of a vector's length are rounding, and set to 0.
    """
    d = frames.shape[-1]
    Q, R = np.linalg.qr(np.swapaxes(frames, 1, 2))
    signs = np.where(np.diagonal(R, axis1=1, axis2=2) < 0, -1.0, 1.0)
    R, Q = signs[:, :, None] * R, Q * signs[:, None, :]
    lengths = np.linalg.norm(R, axis=1)
    whole = np.isfinite(lengths)[:, None, :]
    R[whole & (np.abs(R) <= 8 * d * np.finfo(float).eps * lengths[:, None, :])] = 0.0
    R[np.broadcast_to(~whole, R.shape)] = np.nan  # what overflowed is not known
    factors = np.diagonal(R, axis1=1, axis2=2)
    alive = np.isfinite(factors) & (lengths > 0)
    kept = np.divide(factors, lengths, where=alive, out=np.ones_like(lengths))
    # near the ends of the numbers nothing may be left to chance
    kept[~((lengths > 1e-100) & (lengths < 1e100))] = 0.0
    return np.ascontiguousarray(np.swapaxes(Q, 1, 2)), R, float(kept.min(initial=1.0))


def resolved(exponents: Array, layers: int, request: Request) -> Array:
    """Which exponents of a flow the tolerances resolve, for k exponents along the last axis.

    Between two QR steps a vector shrinks against the first by a factor exp((λᵢ − λ₁)h); where that comes near the
    tolerance of the integrator, what is left of the vector is error.
    """
    leading = np.max(exponents, axis=-1, keepdims=True)
    least = np.log(1e3 * min(max(request.rtol, request.atol), 1e-6))
    with np.errstate(invalid="ignore"):
        return np.asarray((exponents - leading) * layers * request.system.step > least)


def triangular_factors(
    carry: Carry, states: Array, frames: Array, first: int, stops: Iterable[int], every: int | None
) -> Iterator[tuple[int, Array, Array, Array, NDArray[np.uint8]]]:
    """(stop, R, states, Q, status) after every few layers, so that the image of the frames is the product of the R.

    ``stop`` is the index of the entry of ``stops`` that the layers belong to. Frames are made orthonormal at all stops
    and after ``every`` layers between; with None as seldom as loses no more than six digits.
    """
    reached, span = first, every or 1
    status = np.zeros(len(states), dtype=np.uint8)
    for index, stop in enumerate(stops):
        while reached < stop:
            n = min(span, int(stop) - reached)
            after, image, outcome = carry(states, frames, reached, n)
            Q, R, kept = orthonormalised(image)
            if every is None and n > 1 and kept < _LEAST_KEPT:
                span = n // 2
                continue
            states, frames, reached = after, Q, reached + n
            status = np.where(status == 0, outcome, status)
            yield index, R, states, Q, status
            if every is None and n == span and kept * kept > _LEAST_KEPT:
                span = min(2 * span, _LONGEST)


class GradedProduct:
    """A product of triangular factors, 2^powers · rows, each row with a power of two of its own."""

    def __init__(self, size: int, k: int) -> None:
        self.rows = np.broadcast_to(np.eye(k), (size, k, k)).copy()
        self.powers = np.zeros((size, k), dtype=np.int64)

    def multiply(self, R: Array) -> None:
        """The product becomes R times it."""
        shifts = self.powers[:, None, :] + np.frexp(R)[1]
        unit = np.where(R == 0, np.iinfo(np.int64).min, shifts).max(axis=2)
        unit[(R == 0).all(axis=2)] = 0
        scale = np.clip(self.powers[:, None, :] - unit[:, :, None], -2000, 2000)
        rows = np.ldexp(R, np.where(R == 0, 0, scale)) @ self.rows
        largest = np.abs(rows).max(axis=2)
        shift = np.where(np.isfinite(largest), np.frexp(largest)[1], 0)
        self.rows = np.ldexp(rows, -shift[:, :, None])
        self.powers = unit + shift


# --- compiled systems --------------------------------------------------------------------------------


def compiled_carry(request: Request) -> Carry:
    """By the kernels, without making the frames orthonormal."""
    form = request.form
    assert form is not None

    def carry(states: Array, frames: Array, first: int, n: int) -> tuple[Array, Array, NDArray[np.uint8]]:
        x, v = states.copy(), frames.copy()
        logs, status = np.zeros((1, *v.shape[:2])), np.zeros(len(x), dtype=np.uint8)
        if request.is_map:
            form.iterate_tangents(x, v, logs, np.array([n]), first=first, every=0, threads=request.threads)
        else:
            segments = np.arange(first, first + n)
            integrate(request, x, v, logs, status, first, segments + 1, np.full(n, -1))
            x[status != 0], v[status != 0] = np.nan, np.nan
        return x, v, status

    return carry


def integrate(
    request: Request,
    states: Array,
    frames: Array,
    logs: Array,
    status: NDArray[np.uint8],
    first: int,
    stops: NDArray[np.int64],
    marks: NDArray[np.int64],
    record: Array | None = None,
) -> None:
    """The compiled flow, from layer ``first`` through segments that end at the layers ``stops``."""
    form, h = request.form, request.system.step
    assert form is not None
    begins = np.concatenate([[first], stops[:-1]])
    form.integrate_tangents(
        states,
        frames,
        logs,
        status,
        begin=first * h,
        ends=(stops * h).astype(np.float64),
        layers=(begins if piecewise(request) else np.zeros_like(begins)).astype(np.int64),
        marks=marks.astype(np.int64),
        rtol=request.rtol,
        atol=request.atol,
        max_steps=100_000 + 10_000 * int(stops[-1] - first),
        threads=request.threads,
        record=record,
    )


def piecewise(request: Request) -> bool:
    """Whether the flow jumps between layers."""
    return request.system.depth is not None or request.inputs is not None


# --- any other system --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Variational:
    r"""A system together with its linearization, itself a System: states (x, V), residual (f, A V).

    Its map is :math:`x' = x + hf,\ V' = (I + hA)V`, its flow the variational equation. It begins at layer ``first`` of
    the system.
    """

    system: System
    n_vectors: int
    first: int
    inputs: Array | None = None
    """The drive of one state, (T, N), or None."""

    @property
    def name(self) -> str:
        return self.system.name

    @property
    def step(self) -> float:
        return self.system.step

    @property
    def depth(self) -> int | None:
        known = [n for n in (self.system.depth, None if self.inputs is None else len(self.inputs)) if n is not None]
        return min(known) - self.first if known else None

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.size * (1 + self.n_vectors),)

    @property
    def size(self) -> int:
        return int(np.prod(self.system.shape))

    def _arguments(self, t: float) -> tuple[float, dict[str, Any]]:
        time = t + self.first * self.step
        if self.inputs is None:
            return time, {}
        return time, {"inputs": self.inputs[block_index(time, self.step, len(self.inputs))]}

    def residual(self, t: float, x: Array) -> Array:
        time, drive = self._arguments(t)
        d, batch = self.size, x.shape[:-1]
        states = x[..., :d].reshape(*batch, *self.system.shape)
        frames = x[..., d:].reshape(*batch, self.n_vectors, d)
        f = np.asarray(self.system.residual(time, states, **drive), dtype=float).reshape(*batch, d)
        images = jacobian_products(self.system, time, states, frames, **drive)
        return np.concatenate([f, images.reshape(*batch, -1)], axis=-1)

    def linearize(self, t: float, x: Array) -> LinearOperator:
        raise NotImplementedError("the second derivative is not needed")


def jacobian_products(system: System, t: float, states: Array, frames: Array, **drive: Any) -> Array:
    """A v for every vector of the frames, shape of ``frames``; by the Jacobian, or the JVP, where there is one."""
    jacobian, jvp = getattr(system, "jacobian", None), getattr(system, "jvp", None)
    with np.errstate(over="ignore", invalid="ignore"):
        if jacobian is not None:
            A = np.asarray(jacobian(t, states, **drive), dtype=float)
            return np.asarray(frames @ np.swapaxes(A, -1, -2))
        if jvp is not None:
            vectors = frames.reshape(*frames.shape[:-1], *system.shape)
            at = np.expand_dims(states, frames.ndim - 2)
            images = np.asarray(jvp(t, np.broadcast_to(at, vectors.shape), vectors, **drive), dtype=float)
            return images.reshape(frames.shape)
        images = np.empty_like(frames)
        for index in np.ndindex(frames.shape[:-2]):
            A = system.linearize(t, states[index], **drive)
            images[index] = A.matmat(frames[index].T).T
    return images


def simulated_carry(request: Request) -> Carry:
    """By ``simulate`` of the variational system: NumPy for maps, SciPy for flows."""

    def carry(states: Array, frames: Array, first: int, n: int) -> tuple[Array, Array, NDArray[np.uint8]]:
        size, k, d = frames.shape
        joined = np.concatenate([states.reshape(size, d), frames.reshape(size, -1)], axis=1)
        status = np.zeros(size, dtype=np.uint8)
        alive = np.isfinite(joined).all(axis=1)
        tolerances: dict[str, Any] = {} if request.is_map else {"rtol": request.rtol, "atol": request.atol}
        out = np.full_like(joined, np.nan)
        for rows, drive in _drives(request, alive):
            end = simulate(
                Variational(request.system, k, first, drive),
                joined[rows],
                depth=n,
                method=request.method,
                save="final",
                **tolerances,
            )
            out[rows], status[rows] = end.final, end.status
        status[~alive] = Status.DIVERGED
        return out[:, :d].reshape(states.shape), out[:, d:].reshape(frames.shape), status

    return carry


def _drives(request: Request, alive: Array) -> Iterator[tuple[Array, Array | None]]:
    """The states that share a drive, and the drive."""
    rows = np.flatnonzero(alive)
    if request.inputs is None or request.inputs.ndim == 2:
        if rows.size:
            yield rows, request.inputs
        return
    each = request.inputs.reshape(len(request.inputs), len(alive), *request.system.shape)
    for row in rows:
        yield np.array([row]), each[:, row]


def make_carry(request: Request, n_vectors: int) -> Carry:
    """The fastest way to carry so many vectors."""
    form = request.form
    if form is not None and form.carries_tangents(n_vectors):
        return compiled_carry(request)
    return simulated_carry(request)
