r"""Kernels that keep the triangular factors of every layer, and that carry vectors forward or backward by them.

A frame with orthonormal rows Q goes through a layer and becomes :math:`R^T Q'` (see tangent_lanes.py). A vector with
coordinates c in the first frame has the coordinates Rc in the second. Forward this gives the growth of any vector of
the span; backward, by substitution, the coordinates of vectors that only the future decides.
"""

from functools import cache
from textwrap import indent
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.kernels.codegen import load_kernel
from resdyn.kernels.forms import SemilinearForm
from resdyn.kernels.stretching import LOST_SOURCE
from resdyn.kernels.tangent_lanes import TangentLanes, layer_of_a_lane, unpack
from resdyn.kernels.threads import run_blocks

Array = NDArray[Any]

# states per block, as few as keep all threads at work on small batches
_WIDTH = 16


def records_frames(form: SemilinearForm, n_vectors: int) -> bool:
    """Whether :func:`record_frames` serves so many vectors."""
    return isinstance(form.rules.tangents(n_vectors), TangentLanes)


def record_frames(
    form: SemilinearForm,
    states: Array,
    frames: Array,
    factors: Array,
    x: Array,
    q: Array,
    *,
    threads: int | None = None,
) -> None:
    """Run an autonomous map of few units and its derivative through ``len(factors)`` layers.

    ``states`` (M, N) and ``frames`` (M, k, N), orthonormal, are replaced by what comes out. ``factors`` (L, M, k, k)
    gets R of each layer; ``x`` (L, M, N) and ``q`` (L, M, k, N) the states and frames after it, if they are not empty.
    """
    rule = form.rules.tangents(frames.shape[1])
    assert isinstance(rule, TangentLanes), "ask records_frames first"
    kernel = load_kernel(_source(rule, frames.shape[1]), "float64")
    arrays = form.map_arrays(states.dtype, False)
    run_blocks(kernel.record_frames, -(-len(states) // _WIDTH), threads, states, frames, factors, x, q, *arrays)


def _gram_schmidt(n: int, k: int) -> list[str]:
    """Modified Gram–Schmidt of one lane's frame, with its coefficients."""
    lines = []
    for vector in range(k):
        v = [f"q{vector}_{i}" for i in range(n)]
        square = " + ".join(f"{c} * {c}" for c in v)
        lines += [*(f"{v[i]} = s[{n + vector * n + i} * width + lane]" for i in range(n)), f"before = {square}"]
        for other in range(vector):
            lines += [
                "r = " + " + ".join(f"q{other}_{i} * {v[i]}" for i in range(n)),
                *(f"{v[i]} -= r * q{other}_{i}" for i in range(n)),
                f"factors[slot, low + lane, {other}, {vector}] = r",
                f"factors[slot, low + lane, {vector}, {other}] = 0.0",
            ]
        lines += [
            f"square = {square}",
            f"dead = is_lost(square, before, {n})",
            f"factors[slot, low + lane, {vector}, {vector}] = 0.0 if dead else math.sqrt(square)",
            "inverse = 0.0 if dead else 1.0 / math.sqrt(square)",
            *(f"{v[i]} *= inverse" for i in range(n)),
            *(f"s[{n + vector * n + i} * width + lane] = {v[i]}" for i in range(n)),
        ]
    return lines


def _block(levels: int, *lines: str) -> str:
    return indent("\n".join(lines), "    " * levels)


@cache
def _source(rule: TangentLanes, k: int) -> str:
    n = rule.dimension
    places = [(i, f"states[low + lane, {i}]") for i in range(n)]
    places += [(n + r * n + i, f"frames[low + lane, {r}, {i}]") for r in range(k) for i in range(n)]
    return LOST_SOURCE + "\n".join(
        [
            "@kernel",
            "def record_frames(begin, end, states, frames, factors, x, q, parameters, bias, decay, gain, drive):",
            f"    width, layer = {_WIDTH}, 0",
            _block(1, *unpack(rule, "decay")),
            "    for block in range(begin, end):",
            f"        s = np.empty({n * (k + 1)} * width)",
            "        low = block * width",
            "        m = min(width, states.shape[0] - low)",
            "        for lane in range(m):",
            _block(3, *(f"s[{i} * width + lane] = {place}" for i, place in places)),
            "        for slot in range(factors.shape[0]):",
            "            for lane in range(m):",
            _block(4, *layer_of_a_lane(rule, k, "s", n)),
            "            for lane in range(m):",
            _block(4, *_gram_schmidt(n, k)),
            "            if x.shape[0] > 0:",
            "                for lane in range(m):",
            _block(5, *(f"x[slot, low + lane, {i}] = s[{i} * width + lane]" for i in range(n))),
            "            if q.shape[0] > 0:",
            "                for lane in range(m):",
            _block(
                5,
                *(
                    f"q[slot, low + lane, {r}, {i}] = s[{n + r * n + i} * width + lane]"
                    for r in range(k)
                    for i in range(n)
                ),
            ),
            "        for lane in range(m):",
            _block(3, *(f"{place} = s[{i} * width + lane]" for i, place in places)),
            "",
        ]
    )


_COORDINATES = """
@njit(error_model="numpy")
def fold(product, totals, all_of_them):
    # a logarithm costs as much as a layer: take it before a product over- or underflows, or when it is asked for
    for which in range(2):
        for j in range(product.shape[1]):
            if all_of_them or not 1e-100 < product[which, j] < 1e100:
                totals[which, j] += np.log(product[which, j])
                product[which, j] = 1.0


@kernel
def carry_forward(begin, end, factors, coordinates, totals, slots, records):
    # totals[orbit, 0, j] += log R_jj, totals[orbit, 1, j] += log of the growth of column j of the coordinates
    k = coordinates.shape[1]
    image = np.empty((k, k))
    product = np.ones((2, k))  # of factors whose logarithm is still to be taken
    for orbit in range(begin, end):
        c = coordinates[orbit]
        for step in range(factors.shape[0]):
            R = factors[step, orbit]
            for j in range(k):
                square = 0.0
                for i in range(j + 1):
                    total = 0.0
                    for l in range(i, j + 1):
                        total += R[i, l] * c[l, j]
                    image[i, j] = total
                    square += total * total
                length = math.sqrt(square)
                inverse = 1.0 / length if length > 0.0 else 0.0
                for i in range(j + 1):
                    c[i, j] = image[i, j] * inverse
                product[0, j] *= R[j, j]
                product[1, j] *= length
            fold(product, totals[orbit], slots[step] >= 0 or step == factors.shape[0] - 1)
            if slots[step] >= 0:
                records[slots[step], orbit] = totals[orbit]


@kernel
def carry_backward(begin, end, factors, coordinates, growth):
    # column j of the coordinates goes back by R, through rows 0 … j alone; factors[step] is replaced by what comes out
    k = coordinates.shape[1]
    for orbit in range(begin, end):
        c = coordinates[orbit]
        for step in range(factors.shape[0] - 1, -1, -1):
            R = factors[step, orbit]
            for j in range(k):
                square = 0.0
                for i in range(j, -1, -1):
                    total = c[i, j]
                    for l in range(i + 1, j + 1):
                        total -= R[i, l] * c[l, j]
                    c[i, j] = total / R[i, i]
                    square += c[i, j] * c[i, j]
                length = math.sqrt(square)
                for i in range(j + 1):
                    c[i, j] /= length
                growth[step, orbit, j] = -np.log(length)
            R[:] = c
"""


def carry_forward(
    factors: Array, coordinates: Array, totals: Array, slots: NDArray[np.int64], records: Array, threads: int | None
) -> None:
    """Carry columns of coordinates (M, k, k), upper triangular, by the factors (L, M, k, k), and normalise them.

    ``totals`` (M, 2, k) grows by the logarithms of the diagonal of each factor and of the growth of each column;
    ``records[slots[i]]`` gets the totals after factor i (−1: nowhere).
    """
    kernel = load_kernel(_COORDINATES, "float64").carry_forward
    run_blocks(kernel, len(coordinates), threads, factors, coordinates, totals, slots, records)


def carry_backward(factors: Array, coordinates: Array, growth: Array, threads: int | None) -> None:
    """Carry columns of coordinates (M, k, k), upper triangular, backward through the factors (L, M, k, k).

    ``factors[i]`` is replaced by the coordinates in front of it, and ``growth`` (L, M, k) gets the logarithm of what
    each column grows by in it. Where a factor is singular in column j, columns from j on are NaN from there back.
    """
    kernel = load_kernel(_COORDINATES, "float64").carry_backward
    run_blocks(kernel, len(coordinates), threads, factors, coordinates, growth)
