r"""The compiled form of a system: what the fast paths run instead of its Python ``residual``.

Every compiled system is semilinear,

.. math:: f(t, x) = -\lambda_k x + \alpha_k\, g(t, x; p_k),

with scalars λ, α and parameters p shared by all layers or one per layer k. The residual map and its
exponential variant are then x ← decay·x + gain·g, and the flow needs only g.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.kernels.codegen import load_kernel
from resdyn.kernels.lanes import LaneRule
from resdyn.kernels.point_cells import no_cells, point_cells
from resdyn.kernels.rules import Rules
from resdyn.kernels.settling import MOST_IN_A_LOOP, settle_flow_source, settle_source
from resdyn.kernels.tangent_blocks import TangentBlocks
from resdyn.kernels.tangent_flow import flow_source
from resdyn.kernels.tangent_lanes import TangentLanes
from resdyn.kernels.threads import run_blocks, thread_count

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class SemilinearForm:
    """A rule with its numbers. Arrays with one row are shared by all layers.

    Parameters
    ----------
    rules
        g as kernel text, for the map and for the flow.
    parameters : array, shape (1 or T, P)
    bias : array, shape (1 or T, N)
        Kept apart from ``parameters``, so that a drive of many layers does not repeat the matrix.
    damping, gain : arrays, shape (1 or T,)
        λ and α.
    step : float
    drive : array, shape (T, M, N), optional
        Added to the pre-activation of each of the M states, for rules that are ``driven``.
    """

    rules: Rules
    parameters: Array
    bias: Array
    damping: Array
    gain: Array
    step: float
    drive: Array | None = None

    def _arrays(self, dtype: np.dtype[Any], linear: Array, gain: Array) -> tuple[Array, ...]:
        drive = np.empty((0, 0, 0)) if self.drive is None else self.drive
        arrays = (self.parameters, self.bias, linear, gain, drive)
        with np.errstate(over="ignore"):
            cast = tuple(np.ascontiguousarray(array, dtype=dtype) for array in arrays)
        if dtype == np.float32 and not all(np.isfinite(array).all() for array in cast):
            raise ValueError("the system holds numbers too large for float32; use float64.")
        return cast

    def _kernel(self, source: Callable[[int], str], states: Array) -> Any:
        return load_kernel(source(len(states)), states.dtype.name)

    def iterate(
        self,
        states: Array,
        out: Array,
        gaps: NDArray[np.int64],
        *,
        first: int,
        exponential: bool = False,
        threads: int | None = None,
    ) -> None:
        """Run the map from layer ``first`` and store the states after each gap.

        ``states`` (M, N) and ``out`` (len(gaps), M, N), C-ordered and of one floating-point type; slot i of
        ``out`` gets the states after ``gaps[0] + … + gaps[i]`` layers.
        """
        kernel = self._kernel(self.rules.map.map_source, states)
        arrays = self.map_arrays(states.dtype, exponential)
        n_blocks = -(-len(states) // self.rules.map.map_width(len(states)))
        run_blocks(kernel.iterate, n_blocks, threads, states, out, gaps, first, self.step, *arrays)

    def map_arrays(self, dtype: np.dtype[Any], exponential: bool) -> tuple[Array, ...]:
        """The numbers of x ← decay·x + weight·gain·g."""
        h, damping = self.step, self.damping
        if exponential:
            decay = np.exp(-h * damping)
            # h φ1(−hλ) = (1 − e^{−hλ}) / λ, which is h where λ = 0
            weight = np.divide(-np.expm1(-h * damping), damping, out=np.full_like(damping, h), where=damping != 0)
        else:
            decay, weight = 1.0 - h * damping, np.full_like(damping, h)
        return self._arrays(dtype, decay, weight * self.gain)

    def integrate(
        self,
        states: Array,
        out: Array,
        status: NDArray[np.uint8],
        *,
        begin: float,
        ends: NDArray[np.float64],
        layers: NDArray[np.int64],
        slots: NDArray[np.int64],
        rtol: float,
        atol: float,
        max_steps: int,
        threads: int | None = None,
    ) -> None:
        """Integrate the flow from time ``begin`` through the segments that end at ``ends``.

        Segment i uses the parameters of ``layers[i]`` and stores its end in ``out[slots[i]]`` (−1: nowhere).
        ``status`` (M,) is set where a state cannot be followed to the end; its values are NaN from there.
        """
        kernel = self._kernel(self.rules.flow.flow_source, states)
        arrays = self._arrays(states.dtype, self.damping, self.gain)
        real = states.dtype.type
        current = states.copy()
        sizes = np.zeros(len(states), dtype=states.dtype)  # the last step size of each state: 0, none yet
        chunk, n_chunks = _chunks(len(states), threads)
        for low, high in _runs(layers):
            segments = (
                begin if low == 0 else ends[low - 1],
                ends[low:high],
                slots[low:high],
                layers[low],
            )
            limits = (real(rtol), real(atol), max_steps, chunk)
            run_blocks(kernel.integrate, n_chunks, threads, current, out, status, sizes, *segments, *arrays, *limits)

    # --- basins ------------------------------------------------------------------------------------

    @property
    def settles(self) -> bool:
        """Whether :meth:`settle` serves this form: systems of many units run layer by layer as well."""
        return _settles(self.rules.map) and len(self.gain) == 1

    @property
    def settles_flow(self) -> bool:
        """Whether :meth:`settle_flow` does."""
        return _settles(self.rules.flow) and len(self.gain) == 1

    def settle(
        self,
        states: Array,
        points: Array,
        owners: NDArray[np.int64],
        radii: Array,
        *,
        dwell: int,
        every: int,
        depth: int,
        largest: float,
        in_residuals: bool = False,
        threads: int | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Run the map from each of ``states`` (M, N) until it stays near ``points`` (P, N): owners and layers (M,).

        A state is tested every ``every`` layers, and belongs to the owner of the points to which ``dwell`` tests in a
        row are closer than their ``radii`` (P,); the layer is that of the first of these tests. A point with an owner
        below −1 decides at once. An owner of −1 says that none did within ``depth`` layers, −9 that the state went
        beyond ``largest`` or left the numbers; both with layer −1. With ``in_residuals`` points and distances are
        those of σ(x).
        """
        rule = self.rules.map
        assert isinstance(rule, LaneRule), "ask settles first"
        lookup = len(points) > MOST_IN_A_LOOP
        kernel = load_kernel(settle_source(rule, in_residuals=in_residuals, lookup=lookup), states.dtype.name)
        labels, layers = _undecided(len(states))
        targets = _targets(points, owners, radii, states, lookup)
        limits = (float(dwell), every, float(depth), states.dtype.type(largest))
        arrays = self.map_arrays(states.dtype, False)[:4]
        # a chunk refills its lanes from its own queue, and idles only at its end
        chunk, n_chunks = _chunks(len(states), threads, most=8192)
        run_blocks(kernel.settle, n_chunks, threads, states, labels, layers, *targets, *limits, *arrays, chunk)
        return labels, layers

    def settle_flow(
        self,
        states: Array,
        points: Array,
        owners: NDArray[np.int64],
        radii: Array,
        *,
        dwell: int,
        every: int,
        depth: int,
        largest: float,
        rtol: float,
        atol: float,
        max_steps: int,
        in_residuals: bool = False,
        threads: int | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The same as :meth:`settle`, of the flow; layers are units of ``step`` in time.

        A state that cannot be integrated on, with ``max_steps`` at most between two tests, counts as gone too.
        """
        rule = self.rules.flow
        assert isinstance(rule, LaneRule), "ask settles_flow first"
        kernel = load_kernel(settle_flow_source(rule, in_residuals=in_residuals), states.dtype.name)
        real = states.dtype.type
        labels, layers = _undecided(len(states))
        targets = _targets(points, owners, radii, states, True)
        limits = (float(dwell), every, depth, real(largest), every * self.step)
        arrays = self._arrays(states.dtype, self.damping, self.gain)[:4]
        chunk, n_chunks = _chunks(len(states), threads)
        control = (real(rtol), real(atol), max_steps, chunk)
        run_blocks(kernel.settle_flow, n_chunks, threads, states, labels, layers, *targets, *limits, *arrays, *control)
        return labels, layers

    # --- with tangent vectors --------------------------------------------------------------------

    def carries_tangents(self, n_vectors: int) -> bool:
        """Whether the next two methods serve so many vectors; formulas of many units would take too long to compile."""
        return self.rules.tangents(n_vectors) is not None

    def iterate_tangents(
        self,
        states: Array,
        frames: Array,
        logs: Array,
        gaps: NDArray[np.int64],
        *,
        first: int,
        every: int = -1,
        threads: int | None = None,
    ) -> None:
        """Run the map and its derivative from layer ``first``, through ``sum(gaps)`` layers.

        ``states`` (M, N) and ``frames`` (M, k, N), float64, are replaced by what comes out. ``logs`` (len(gaps), M, k)
        grows by the logarithms of what each vector was stretched by in each gap, after the directions of those before
        it were taken out. Frames are made orthonormal at the end of each gap and after every ``every`` layers; with 0
        never, and with −1 as often as accuracy needs (see stretching.py).
        """
        rule, n_vectors = self._tangents(frames)
        kernel = load_kernel(rule.map_source(len(states), n_vectors), "float64")
        n_blocks = -(-len(states) // rule.map_width(len(states), n_vectors))
        arrays = self.map_arrays(states.dtype, False)
        run_blocks(
            kernel.iterate_tangents, n_blocks, threads, states, frames, logs, gaps, every, first, self.step, *arrays
        )

    def integrate_tangents(
        self,
        states: Array,
        frames: Array,
        logs: Array,
        status: NDArray[np.uint8],
        *,
        begin: float,
        ends: NDArray[np.float64],
        layers: NDArray[np.int64],
        marks: NDArray[np.int64],
        rtol: float,
        atol: float,
        max_steps: int,
        threads: int | None = None,
        record: Array | None = None,
    ) -> None:
        """Integrate the flow and its derivative from time ``begin`` through the segments that end at ``ends``.

        As :meth:`integrate`, with the frames of :meth:`iterate_tangents`, which are made orthonormal at the end of
        segment i if ``marks[i]`` ≥ 0; then the logarithms go to ``logs[marks[i]]``, and ``record[marks[i]]``, shape
        (M, N + k N + k k), zero before, gets the state, the frame and its triangular factor.
        """
        rule, n_vectors = self._tangents(frames)
        size, n = len(states), states.shape[1]
        kernel = load_kernel(flow_source(rule, n_vectors, rule.flow_width(size, n_vectors)), "float64")
        arrays = self._arrays(states.dtype, self.damping, self.gain)
        current = np.concatenate([states, frames.reshape(size, -1)], axis=1)
        sizes, nothing = np.zeros(size), np.empty((0, 0, 0))
        chunk, n_chunks = _chunks(size, threads)
        for low, high in _runs(layers):
            segments = (
                begin if low == 0 else ends[low - 1],
                ends[low:high],
                marks[low:high],
                layers[low],
            )
            limits = (rtol, atol, max_steps, chunk)
            state = (current, n_vectors, logs, nothing if record is None else record, status, sizes)
            run_blocks(kernel.integrate_tangents, n_chunks, threads, *state, *segments, *arrays, *limits)
        states[:] = current[:, :n]
        frames[:] = current[:, n:].reshape(frames.shape)

    def _tangents(self, frames: Array) -> tuple[TangentLanes | TangentBlocks, int]:
        rule = self.rules.tangents(frames.shape[1])
        assert rule is not None, "ask carries_tangents first"
        return rule, frames.shape[1]


def _settles(rule: Any) -> bool:
    return isinstance(rule, LaneRule) and not rule.driven


def _undecided(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)


def _targets(points: Array, owners: NDArray[np.int64], radii: Array, states: Array, lookup: bool) -> tuple[Array, ...]:
    """Points, owners and squared radii, and the cells to look them up."""
    dtype = states.dtype
    fine = len(states) > 2 * len(points)
    return (
        np.ascontiguousarray(points, dtype=dtype),
        np.asarray(owners, dtype=np.float64),
        np.asarray(radii, dtype=dtype) ** 2,
        *(point_cells(points, owners, radii, fine=fine) if lookup and len(points) else no_cells(points.shape[1])),
    )


def _chunks(n_states: int, threads: int | None, *, most: int = 2048) -> tuple[int, int]:
    """States per chunk that is refilled from a queue, and the number of chunks."""
    chunk = int(np.clip(n_states // (4 * thread_count(threads)), 1, most))
    return chunk, -(-n_states // chunk)


def _runs(layers: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Segments low … high that share their parameters: these go to the kernel in one call."""
    return pairwise([0, *(np.flatnonzero(np.diff(layers)) + 1), len(layers)])
