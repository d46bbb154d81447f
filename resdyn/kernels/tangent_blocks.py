"""Kernel templates for many units that carry tangent vectors: one matrix product per layer for states and frames.

The rows of one array are the vectors of the frames of several orbits, and below them their states, so that a layer is
one call of BLAS and one pass. The text does not depend on the number of units, vectors or orbits.
"""

from dataclasses import dataclass
from functools import cache
from textwrap import indent

from resdyn.kernels.stretching import BLOCK_SOURCE

# rows of one matrix product: BLAS is slow on few, and they should stay in the cache
_ROWS = 96


@dataclass(frozen=True)
class TangentBlocks:
    """g = act(W x + b + u) (``order="outer"``) or W act(x) (``order="inner"``), as a ``BlockRule``.

    ``activation`` are the statements that set ``value`` and ``slope`` from ``z``.
    """

    activation: str
    order: str
    driven: bool = False

    @staticmethod
    def map_width(n_states: int, n_vectors: int) -> int:
        """Orbits per block, as in the kernel."""
        return max(1, _ROWS // (n_vectors + 1))

    def map_source(self, n_states: int, n_vectors: int) -> str:
        return map_source(self)

    @staticmethod
    def flow_width(n_states: int, n_vectors: int) -> int:
        """Orbits side by side, each with its own step size."""
        return 1 if n_states == 1 else 8

    def right_hand_side(self, n_vectors: int, width: int) -> str:
        return right_hand_side(self)


def _layer(rule: TangentBlocks) -> str:
    """One layer: v ← (frames and states of) a·v + c·(∂g/∂x v, g)."""
    activation = indent(rule.activation, " " * 8)
    if rule.order == "inner":
        return f"""\
for orbit in range(m):
    for i in range(n):
        z = v[m * k + orbit, i]
{activation}
        slopes[i] = slope
        held[m * k + orbit, i] = value
    for r in range(orbit * k, orbit * k + k):
        for i in range(n):
            held[r, i] = slopes[i] * v[r, i]
np.dot(held, weights.T, p)
for r in range(m * k + m):
    for i in range(n):
        v[r, i] = a * v[r, i] + c * p[r, i]
"""
    drive = " + drive[layer, low + orbit, i]" if rule.driven else ""
    return f"""\
np.dot(v, weights.T, p)
for orbit in range(m):
    for i in range(n):
        z = p[m * k + orbit, i] + b[i]{drive}
{activation}
        slopes[i] = c * slope
        v[m * k + orbit, i] = a * v[m * k + orbit, i] + c * value
    for r in range(orbit * k, orbit * k + k):
        for i in range(n):
            v[r, i] = a * v[r, i] + slopes[i] * p[r, i]
"""


@cache
def map_source(rule: TangentBlocks) -> str:
    """``iterate_tangents``, as in tangent_lanes.py; with ``every`` < 0 as seldom as ``BLOCK_SOURCE`` allows."""
    return (
        BLOCK_SOURCE
        + f"""
@kernel
def iterate_tangents(
    begin, end, states, frames, logs, gaps, every, first, step, parameters, bias, decay, gain, drive,
):
    k, n = frames.shape[1], frames.shape[2]
    width = max(1, {_ROWS} // (k + 1))
    for block in range(begin, end):
        low = block * width
        m = min(width, states.shape[0] - low)
        v = np.empty((m * k + m, n))
        p = np.empty((m * k + m, n))
        held = np.empty((m * k + m, n))
        before = np.empty((m * k + m, n))
        slopes = np.empty(n)
        factors = np.empty((m, k))
        for orbit in range(m):
            v[orbit * k : orbit * k + k] = frames[low + orbit]
            v[m * k + orbit] = states[low + orbit]
        reached = first
        span = max(1, every)
        for slot in range(gaps.size):
            stop = reached + gaps[slot]
            while reached < stop:
                length = stop - reached if every == 0 else min(span, stop - reached)
                if every < 0:
                    before[:] = v
                for layer in range(reached, reached + length):
                    weights = parameters[layer if parameters.shape[0] > 1 else 0].reshape(n, n)
                    b = bias[layer if bias.shape[0] > 1 else 0]
                    a = decay[layer if gain.shape[0] > 1 else 0]
                    c = gain[layer if gain.shape[0] > 1 else 0]
{indent(_layer(rule), " " * 20)}
                if every != 0:
                    kept = orthonormalise(v, factors)
                    if every < 0 and length > 1 and kept < LEAST_KEPT:
                        v[:] = before
                        span = length // 2
                        continue
                    for orbit in range(m):
                        for r in range(k):
                            logs[slot, low + orbit, r] += np.log(factors[orbit, r])
                    if every < 0 and length == span and kept * kept > LEAST_KEPT:
                        span = min(2 * span, LONGEST)
                reached += length
        for orbit in range(m):
            frames[low + orbit] = v[orbit * k : orbit * k + k]
            states[low + orbit] = v[m * k + orbit]
"""
    )


@cache
def right_hand_side(rule: TangentBlocks) -> str:
    """``slopes``: the time derivatives of states and vectors, all n(1 + k) numbers of a lane in one column."""
    activation = indent(rule.activation, " " * 12)
    inner = rule.order == "inner"
    z = "x[i, lane]" if inner else "out[i, lane] + b[i]" + (" + drive[layer, who[lane], i]" if rule.driven else "")
    passes = f"""\
    for i in range(n):
        for lane in range(width):
            z = {z}
{activation}
            steep[i, lane] = slope
            work[i, lane] = value
"""
    if inner:
        text = f"""\
{passes}
    for r in range(n, x.shape[0]):
        for lane in range(width):
            work[r, lane] = steep[r % n, lane] * x[r, lane]
    for r in range(0, x.shape[0], n):
        np.dot(weights, work[r : r + n], out[r : r + n])
    for r in range(x.shape[0]):
        for lane in range(width):
            out[r, lane] = c * out[r, lane]
"""
    else:
        text = f"""\
    for r in range(0, x.shape[0], n):
        np.dot(weights, x[r : r + n], out[r : r + n])
{passes}
    for i in range(n):
        for lane in range(width):
            out[i, lane] = c * work[i, lane] - a * x[i, lane]
    for r in range(n, x.shape[0]):
        for lane in range(width):
            out[r, lane] = c * steep[r % n, lane] * out[r, lane] - a * x[r, lane]
"""
    return f"""
@njit(fastmath={{"contract"}}, error_model="numpy")
def slopes(x, out, work, k, start, tau, fraction, h, who, layer, parameters, bias, damping, gain, drive):
    n = x.shape[0] // (k + 1)
    width = x.shape[1]
    weights = parameters[layer if parameters.shape[0] > 1 else 0].reshape(n, n)
    b = bias[layer if bias.shape[0] > 1 else 0]
    a = damping[layer if gain.shape[0] > 1 else 0]
    c = gain[layer if gain.shape[0] > 1 else 0]
    steep = work[x.shape[0] :]
{text}
"""
