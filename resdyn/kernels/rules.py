"""The nonlinear part g(t, x; p) of a system, as the text of a kernel.

A form (forms.py) is semilinear, f(t, x) = −λ x + α g(t, x; p). Its rule says what g is:

* ``LaneRule``: g written out unit by unit. The templates of lanes.py put the text into a loop over
  states whose every operand is a register; for up to about eight units.
* ``BlockRule``: one activation and one matrix, for more units: a matrix product for a block of states
  at a time (templates of blocks.py).

Parameters are data, not text: another W of the same size runs the same machine code.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from resdyn.kernels.blocks import BlockRule
from resdyn.kernels.lanes import LaneRule
from resdyn.kernels.tangent_blocks import TangentBlocks
from resdyn.kernels.tangent_lanes import TangentLanes

# The written-out products are faster up to about here and tie with BLAS until about twice as many units. A flow
# holds its rule seven times: from five units on it takes long to compile and gains little.
LARGEST_UNROLLED_MAP = 8
LARGEST_UNROLLED_FLOW = 4
# The multiplications of one layer of one frame and its Gram–Schmidt step that may be written out, n k (n + k):
# N = 4 with all four vectors, or N = 8 with one or two. More take long to compile.
LARGEST_UNROLLED_TANGENTS = 160

Tangents = Callable[[int], TangentLanes | TangentBlocks | None]


class Rules(NamedTuple):
    """The rule of a system in the forms that are fastest for its map, for its flow, and with k tangent vectors."""

    map: LaneRule | BlockRule
    flow: LaneRule | BlockRule
    tangents: Tangents
    """From k to the rule with derivatives; None where there is none that compiles in reasonable time."""


def _sum(terms: list[str]) -> str:
    return " + ".join(terms)


@cache
def matrix_rules(n: int, activation: str, with_slope: str, *, driven: bool = False) -> Rules:
    """g = act(W x + b [+ u]), ``activation`` the text of act(z), ``with_slope`` statements for it and its slope."""

    def tangents(k: int) -> TangentLanes | TangentBlocks:
        return _outer_tangents(n, with_slope, driven) if unrolls(n, k) else TangentBlocks(with_slope, "outer", driven)

    block = BlockRule(n, activation, "outer", driven)
    return _by_size(n, lambda: _outer(n, activation, driven), block, tangents)


@cache
def inner_matrix_rules(n: int, activation: str, with_slope: str) -> Rules:
    """g = W act(z), for state z."""

    def tangents(k: int) -> TangentLanes | TangentBlocks:
        return _inner_tangents(n, with_slope) if unrolls(n, k) else TangentBlocks(with_slope, "inner")

    return _by_size(n, lambda: _inner(n, activation), BlockRule(n, activation, "inner"), tangents)


def unrolls(n: int, k: int) -> bool:
    """Whether n units with k tangent vectors are few enough to be written out."""
    return n * k * (n + k) <= LARGEST_UNROLLED_TANGENTS


def _by_size(n: int, written_out: Callable[[], LaneRule], block: BlockRule, tangents: Tangents) -> Rules:
    if n > LARGEST_UNROLLED_MAP:
        return Rules(block, block, tangents)
    lane = written_out()
    return Rules(lane, lane if n <= LARGEST_UNROLLED_FLOW else block, tangents)


def _preactivation(n: int, i: int, driven: bool) -> str:
    return _sum([f"b{i}", *(f"p{n * i + j} * x{j}" for j in range(n))]) + (f" + u{i}" if driven else "")


def _outer(n: int, activation: str, driven: bool) -> LaneRule:
    lines = []
    for i in range(n):
        lines += [f"z = {_preactivation(n, i, driven)}", f"g{i} = {activation}"]
    return LaneRule(n, n * n, "\n".join(lines), n_bias=n, linear=True, driven=driven)


def _outer_tangents(n: int, with_slope: str, driven: bool) -> TangentLanes:
    lines = []
    for i in range(n):
        lines += [f"z = {_preactivation(n, i, driven)}", *with_slope.splitlines(), f"g{i}, d{i} = value, slope"]
    product = [f"dv{i} = d{i} * ({_sum([f'p{n * i + j} * v{j}' for j in range(n)])})" for i in range(n)]
    return TangentLanes(n, n * n, "\n".join(lines), "\n".join(product), n_bias=n, linear=True, driven=driven)


def _inner(n: int, activation: str) -> LaneRule:
    lines = []
    for i in range(n):
        lines += [f"z = x{i}", f"y{i} = {activation}"]
    lines += [f"g{i} = {_sum([f'p{n * i + j} * y{j}' for j in range(n)])}" for i in range(n)]
    return LaneRule(n, n * n, "\n".join(lines))


def _inner_tangents(n: int, with_slope: str) -> TangentLanes:
    lines = []
    for i in range(n):
        lines += [f"z = x{i}", *with_slope.splitlines(), f"y{i}, d{i} = value, slope"]
    lines += [f"g{i} = {_sum([f'p{n * i + j} * y{j}' for j in range(n)])}" for i in range(n)]
    product = [f"e{j} = d{j} * v{j}" for j in range(n)]
    product += [f"dv{i} = {_sum([f'p{n * i + j} * e{j}' for j in range(n)])}" for i in range(n)]
    return TangentLanes(n, n * n, "\n".join(lines), "\n".join(product))
