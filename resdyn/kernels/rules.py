"""The nonlinear part g(t, x; p) of a system, as the text of a kernel.

A form (forms.py) is semilinear, f(t, x) = −λ x + α g(t, x; p). Its rule says what g is:

* ``LaneRule``: g written out unit by unit. The templates of lanes.py put the text into a loop over
  states whose every operand is a register; for up to about eight units.
* ``BlockRule``: one activation and one matrix, for more units: a matrix product for a block of states
  at a time (templates of blocks.py).

Parameters are data, not text: another W of the same size runs the same machine code.
"""

from collections.abc import Callable
from typing import NamedTuple

from resdyn.kernels.blocks import BlockRule
from resdyn.kernels.lanes import LaneRule

# The written-out products are faster up to about here and tie with BLAS until about twice as many units. A flow
# holds its rule seven times: from five units on it takes long to compile and gains little.
LARGEST_UNROLLED_MAP = 8
LARGEST_UNROLLED_FLOW = 4


class Rules(NamedTuple):
    """The rule of a system twice, in the forms that are fastest for its map and for its flow."""

    map: LaneRule | BlockRule
    flow: LaneRule | BlockRule


def _sum(terms: list[str]) -> str:
    return " + ".join(terms)


def matrix_rules(n: int, activation: str, *, driven: bool = False) -> Rules:
    """g = act(W x + b [+ u]), ``activation`` the text of act(z)."""
    return _by_size(n, lambda: _outer(n, activation, driven), BlockRule(n, activation, "outer", driven))


def inner_matrix_rules(n: int, activation: str) -> Rules:
    """g = W act(z), for state z."""
    return _by_size(n, lambda: _inner(n, activation), BlockRule(n, activation, "inner"))


def _by_size(n: int, written_out: Callable[[], LaneRule], block: BlockRule) -> Rules:
    if n > LARGEST_UNROLLED_MAP:
        return Rules(block, block)
    lane = written_out()
    return Rules(lane, lane if n <= LARGEST_UNROLLED_FLOW else block)


def _outer(n: int, activation: str, driven: bool) -> LaneRule:
    lines = []
    for i in range(n):
        total = _sum([f"b{i}", *(f"p{n * i + j} * x{j}" for j in range(n))])
        lines += [f"z = {total}" + (f" + u{i}" if driven else ""), f"g{i} = {activation}"]
    return LaneRule(n, n * n, "\n".join(lines), n_bias=n, linear=True, driven=driven)


def _inner(n: int, activation: str) -> LaneRule:
    lines = []
    for i in range(n):
        lines += [f"z = x{i}", f"y{i} = {activation}"]
    lines += [f"g{i} = {_sum([f'p{n * i + j} * y{j}' for j in range(n)])}" for i in range(n)]
    return LaneRule(n, n * n, "\n".join(lines))
