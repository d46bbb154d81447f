"""The triangular factors of orthonormal frames along orbits, layer by layer, for the analyses that keep them."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from resdyn._request import Request
from resdyn._types import Status
from resdyn.analysis.exponents import tangents

Array = NDArray[Any]

# bytes of the factors of a stretch, and layers in it
_STRETCH, _LONGEST = 2**25, 4096


class Stretch(NamedTuple):
    """Some layers on end: factor i leads to layer ``layers[i]``."""

    layers: NDArray[np.int64]
    factors: Array
    """(L, M, k, k), upper triangular."""
    x: Array
    """(L, M, d), the states at those layers; empty if they were not asked for."""
    q: Array
    """(L, M, k, d), the frames there; empty if they were not asked for."""
    status: NDArray[np.uint8]


def stretches(request: Request, frames: Array, stops: NDArray[np.int64], *, keep: bool) -> Iterator[Stretch]:
    """From layer 0 through all ``stops``, which are among the layers of the stretches.

    Flows, compiled maps of few units, and all maps if ``keep`` asks for states and frames, have a factor for every
    layer. Otherwise there are as few as keep ten digits, and layers between stops are named by the stop they lead to.
    An empty batch has no stretches.
    """
    form: Any = request.form
    size, k, d = frames.shape
    if not size:
        return
    length = int(np.clip(_STRETCH // (8 * size * k * (k + d)), 1, _LONGEST))
    if form is not None and not request.is_map and form.carries_tangents(k):
        yield from _recorded(_integrated, request, frames, int(stops[-1]), length, keep)
        return
    if form is not None and request.is_map:
        from resdyn.kernels.frame_records import records_frames

        if records_frames(form, k):
            yield from _recorded(_iterated, request, frames, int(stops[-1]), length, keep)
            return
    each = np.arange(1, stops[-1] + 1) if keep or not request.is_map else stops
    yield from _collected(request, frames, each, length, keep)


def _recorded(
    record: Callable[..., tuple[Array, Array, Array]],
    request: Request,
    frames: Array,
    last: int,
    length: int,
    keep: bool,
) -> Iterator[Stretch]:
    """By kernels that record every layer."""
    states, q, status = request.states.copy(), frames.copy(), np.zeros(len(frames), dtype=np.uint8)
    for first in range(0, last, length):
        n = min(length, last - first)
        with np.errstate(over="ignore", invalid="ignore"):
            factors, x, frame = record(request, states, q, status, first, n, keep)
        status[(status == 0) & tangents.left_the_numbers(states, request.system)] = Status.DIVERGED
        yield Stretch(np.arange(first, first + n) + 1, factors, x, frame, status.copy())


def _iterated(
    request: Request, states: Array, q: Array, status: Array, first: int, n: int, keep: bool
) -> tuple[Array, Array, Array]:
    from resdyn.kernels.frame_records import record_frames

    form: Any = request.form
    size, k, d = q.shape
    factors, x, frames = np.empty((n, size, k, k)), np.empty((n * keep, size, d)), np.empty((n * keep, size, k, d))
    record_frames(form, states, q, factors, x, frames, threads=request.threads)
    return factors, x, frames


def _integrated(
    request: Request, states: Array, q: Array, status: Array, first: int, n: int, keep: bool
) -> tuple[Array, Array, Array]:
    size, k, d = q.shape
    record, logs = np.zeros((n, size, d * (k + 1) + k * k)), np.zeros((n, size, k))
    tangents.integrate(request, states, q, logs, status, first, np.arange(first, first + n) + 1, np.arange(n), record)
    record[:, status != 0] = np.nan
    x, frames, factors = np.split(record, [d, d * (k + 1)], axis=2)
    return np.ascontiguousarray(factors).reshape(n, size, k, k), x, frames.reshape(n, size, k, d)


def _collected(request: Request, frames: Array, stops: NDArray[np.int64], length: int, keep: bool) -> Iterator[Stretch]:
    """By any means of carrying vectors."""
    carry = tangents.make_carry(request, frames.shape[1])
    steps = tangents.triangular_factors(carry, request.states, frames, 0, stops, 1 if keep else None)
    layers: list[int] = []
    held: list[tuple[Array, Array, Array]] = []
    size, _, d = frames.shape
    x, status, nothing = request.states, np.zeros(size, dtype=np.uint8), np.empty(0)
    for index, R, x, q, status in steps:
        if len(held) >= length:
            yield _stretch(layers, held, status)
            layers, held = [], []
        layers.append(int(stops[index]))
        held.append((R, x.reshape(size, d) if keep else nothing, q if keep else nothing))
    status = np.where((status == 0) & tangents.left_the_numbers(x, request.system), Status.DIVERGED, status)
    yield _stretch(layers, held, status.astype(np.uint8))


def _stretch(layers: list[int], held: list[tuple[Array, Array, Array]], status: Array) -> Stretch:
    factors, x, q = (np.stack(arrays) for arrays in zip(*held, strict=True))
    return Stretch(np.array(layers), factors, x, q, status)
