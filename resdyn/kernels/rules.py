"""The nonlinear part g(t, x; p) of a system, as the text of a kernel.

A form (forms.py) is semilinear, f(t, x) = −λ x + α g(t, x; p). Its rule says what g is:

* ``LaneRule``: g written out unit by unit. The templates of lanes.py put the text into a loop over
  states whose every operand is a register; for up to about eight units.
* ``BlockRule``: one activation and one matrix, for more units: a matrix product for a block of states
  at a time (templates of blocks.py).

Parameters are data, not text: another W of the same size runs the same machine code.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from resdyn.kernels import blocks, lanes

# The written-out products are faster up to about here and tie with BLAS until about twice as many units. A flow
# holds its rule seven times: from five units on it would compile for ten seconds and more.
LARGEST_UNROLLED_MAP = 8
LARGEST_UNROLLED_FLOW = 4


class Rules(NamedTuple):
    """The rule of a system twice, in the forms that are fastest for its map and for its flow."""

    map: "LaneRule | BlockRule"
    flow: "LaneRule | BlockRule"


@dataclass(frozen=True)
class LaneRule:
    """g as statements that set g0, g1, … from x0, …; p0, … (parameters), b0, … (bias), u0, … (drive) and t.

    Parameters and biases may each differ from layer to layer.
    """

    dimension: int
    n_parameters: int
    text: str
    n_bias: int = 0
    linear: bool = False
    """Whether the flow has the term −λx; without it infinite states stay clear of 0·∞."""
    uses_time: bool = False
    driven: bool = False

    @staticmethod
    def map_width(n_states: int) -> int:
        """States per block of the map: enough lanes to keep the SIMD units busy, few enough not to waste them."""
        return 16 if n_states <= 64 else 128

    def map_source(self, n_states: int) -> str:
        return lanes.map_source(self, self.map_width(n_states))

    def flow_source(self, n_states: int) -> str:
        # lanes differ in their number of steps and are refilled one by one, so fewer will do
        return lanes.flow_source(self, 16 if n_states <= 64 else 32)


@dataclass(frozen=True)
class BlockRule:
    """g = act(W x + b + u) (``order="outer"``) or W act(x) (``order="inner"``); p = W row by row.

    ``activation`` is the text of act(z).
    """

    dimension: int
    activation: str
    order: str
    driven: bool = False

    @property
    def linear(self) -> bool:
        """Whether the flow has the term −λx."""
        return self.order == "outer"

    @staticmethod
    def map_width(n_states: int) -> int:
        """States per block of the map; blocks that fit the cache, as BLAS likes them."""
        return 128 if n_states > 256 else 32

    def map_source(self, n_states: int) -> str:
        return blocks.map_source(self, self.map_width(n_states))

    def flow_source(self, n_states: int) -> str:
        return blocks.flow_source(self, min(n_states, 64))


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
