"""Kernel templates for many units: one matrix product for a block of states, then one fused pass.

The product goes to BLAS (numba's ``np.dot``), which must run on one thread here, because the blocks
already fill the cores: threads.py pins it.
"""

from dataclasses import dataclass
from functools import cache
from textwrap import indent

from resdyn.kernels.dormand_prince import CONTROL, SETUP, SOURCE, STAGES, tableau


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
        return map_source(self, self.map_width(n_states))

    def flow_source(self, n_states: int) -> str:
        return flow_source(self, 8 if n_states <= 8 else 64)


def _preactivation(rule: BlockRule) -> str:
    """z of one unit of one state, from the product in ``g``."""
    return "g[i, lane] + b[i]" + (" + drive[layer, who[lane], i]" if rule.driven else "")


def _nonlinear_source(rule: BlockRule) -> str:
    """``nonlinear``: g of a block of states, one column each."""
    if rule.order == "inner":
        passes = f"""\
    for i in range(x.shape[0]):
        for lane in range(x.shape[1]):
            z = x[i, lane]
            held[i, lane] = {rule.activation}
    np.dot(weights, held, g)
"""
    else:
        passes = f"""\
    np.dot(weights, x, g)
    for i in range(x.shape[0]):
        for lane in range(x.shape[1]):
            z = {_preactivation(rule)}
            g[i, lane] = {rule.activation}
"""
    return f"""
@njit(fastmath={{"contract"}}, error_model="numpy")
def nonlinear(x, g, held, weights, b, drive, layer, who):
{passes}

@njit
def row(array, layer):
    # one row: shared by all layers
    return layer if array.shape[0] > 1 else 0

"""


def _map_step(rule: BlockRule) -> str:
    """Statements for s ← a·s + c·g; activation and update in one pass where the product comes first."""
    if rule.order == "inner":
        return """\
nonlinear(s, g, held, weights, b, drive, layer, who)
for i in range(n):
    for lane in range(m):
        s[i, lane] = a * s[i, lane] + c * g[i, lane]
"""
    return f"""\
np.dot(weights, s, g)
for i in range(n):
    for lane in range(m):
        z = {_preactivation(rule)}
        s[i, lane] = a * s[i, lane] + c * ({rule.activation})
"""


@cache
def map_source(rule: BlockRule, width: int) -> str:
    """``iterate``: x ← decay·x + gain·g, for gaps[0], gaps[1], … layers, storing x after each."""
    return (
        _nonlinear_source(rule)
        + f"""
@kernel
def iterate(begin, end, states, out, gaps, first, step, parameters, bias, decay, gain, drive):
    n = {rule.dimension}
    width = {width}
    for block in range(begin, end):
        low = block * width
        m = min(width, states.shape[0] - low)
        s = np.empty((n, m), dtype=real)
        g = np.empty((n, m), dtype=real)
        held = np.empty((n, m), dtype=real)
        for i in range(n):
            for lane in range(m):
                s[i, lane] = states[low + lane, i]
        who = np.arange(low, low + m)
        layer = first
        for slot in range(gaps.size):
            for _ in range(gaps[slot]):
                weights = parameters[row(parameters, layer)].reshape(n, n)
                b = bias[row(bias, layer)]
                a = decay[row(gain, layer)]
                c = gain[row(gain, layer)]
{indent(_map_step(rule), " " * 16)}                layer += 1
            for lane in range(m):
                for i in range(n):
                    out[slot, low + lane, i] = s[i, lane]
"""
    )


@cache
def flow_source(rule: BlockRule, width: int) -> str:
    """``integrate``: Dormand–Prince 5(4), each lane with its own state and step size (see dormand_prince.py)."""
    a, _, e = tableau()
    rows = [[float(v) for v in row] + [0.0] * (STAGES - len(row)) for row in a]
    return (
        SOURCE
        + f"""

A = np.array({rows!r}, dtype=real)
E = np.array({[float(v) for v in e]!r}, dtype=real)

"""
        + _nonlinear_source(rule)
        + f"""
@njit(fastmath={{"contract"}}, error_model="numpy")
def combine(coefficients, count, k, total):
    # total = sum of coefficients[j] k[j], row by row so that it stays in the fastest cache
    for i in range(total.shape[0]):
        for lane in range(total.shape[1]):
            total[i, lane] = coefficients[0] * k[0, i, lane]
        for j in range(1, count):
            for lane in range(total.shape[1]):
                total[i, lane] += coefficients[j] * k[j, i, lane]


@kernel
def integrate(
    first_chunk, last_chunk, states, out, status, sizes, begin, ends, slots, layer,
    parameters, bias, damping, gain, drive, rtol, atol, max_steps, chunk,
):
    n = {rule.dimension}
    width = {width}
    weights = parameters[row(parameters, layer)].reshape(n, n)
    b = bias[row(bias, layer)]
    a = damping[row(gain, layer)]
    c = gain[row(gain, layer)]
    for block in range(first_chunk, last_chunk):
        s = np.zeros(n * width, dtype=real)
        k = np.zeros(({STAGES}, n, width), dtype=real)
        k1 = k[0].reshape(n * width)
        y = s.reshape(n, width)
        x = np.empty((n, width), dtype=real)
        g = np.empty((n, width), dtype=real)
        held = np.empty((n, width), dtype=real)
{indent(SETUP.format(width="width"), " " * 8)}
        while idle < width:
            for lane in range(width):
                h[lane] = min(steps[lane], real(length[lane] - tau[lane]))
                error[lane] = ZERO
            for stage in range(1, {STAGES}):
                combine(A[stage - 1], stage, k, x)
                for i in range(n):
                    for lane in range(width):
                        x[i, lane] = y[i, lane] + h[lane] * x[i, lane]
                nonlinear(x, g, held, weights, b, drive, layer, who)
                for i in range(n):
                    for lane in range(width):
                        k[stage, i, lane] = c * g[i, lane]{" - a * x[i, lane]" if rule.linear else ""}
            combine(E, {STAGES}, k, g)
            for i in range(n):
                for lane in range(width):
                    scale = atol + rtol * max(abs(y[i, lane]), abs(x[i, lane]))
                    r = h[lane] * g[i, lane] / scale
                    error[lane] += r * r
            for lane in range(width):
                mean = error[lane] / real(n)
                error[lane] = mean if mean < HUGE else HUGE  # NaN too
            for i in range(n):
                for lane in range(width):
                    accepted = error[lane] <= ONE
                    y[i, lane] = x[i, lane] if accepted else y[i, lane]
                    k[0, i, lane] = k[{STAGES - 1}, i, lane] if accepted else k[0, i, lane]
{indent(CONTROL.format(width="width", arrival="pass"), " " * 12)}
"""
    )
