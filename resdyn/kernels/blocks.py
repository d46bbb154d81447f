"""Kernel templates for many units: one matrix product for a block of states, then one fused pass.

The product goes to BLAS (numba's ``np.dot``), which must run on one thread here, because the blocks
already fill the cores: threads.py pins it.
"""

from typing import TYPE_CHECKING

from resdyn.kernels.dormand_prince import STAGES, TABLEAU_SOURCE, tableau

if TYPE_CHECKING:
    from resdyn.kernels.rules import BlockRule


def _nonlinear_source(rule: "BlockRule") -> str:
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
        drive = " + drive[layer, low + lane, i]" if rule.driven else ""
        passes = f"""\
    np.dot(weights, x, g)
    for i in range(x.shape[0]):
        for lane in range(x.shape[1]):
            z = g[i, lane] + b[i]{drive}
            g[i, lane] = {rule.activation}
"""
    return f"""
@njit(fastmath={{"contract"}}, error_model="numpy")
def nonlinear(x, g, held, weights, b, drive, layer, low):
{passes}

@njit
def row(array, layer):
    # one row: shared by all layers
    return layer if array.shape[0] > 1 else 0

"""


def map_source(rule: "BlockRule", width: int) -> str:
    """``iterate``: x ← decay·x + gain·g, for gaps[0], gaps[1], … layers, storing x after each."""
    return (
        _nonlinear_source(rule)
        + f"""
@parallel
def iterate(states, out, gaps, first, step, parameters, bias, decay, gain, drive):
    n = {rule.dimension}
    width = {width}
    for block in prange((states.shape[0] + width - 1) // width):
        low = block * width
        m = min(width, states.shape[0] - low)
        s = np.empty((n, m), dtype=real)
        g = np.empty((n, m), dtype=real)
        held = np.empty((n, m), dtype=real)
        for i in range(n):
            for lane in range(m):
                s[i, lane] = states[low + lane, i]
        layer = first
        for slot in range(gaps.size):
            for _ in range(gaps[slot]):
                weights = parameters[row(parameters, layer)].reshape(n, n)
                b = bias[row(bias, layer)]
                a = decay[row(gain, layer)]
                c = gain[row(gain, layer)]
                nonlinear(s, g, held, weights, b, drive, layer, low)
                for i in range(n):
                    for lane in range(m):
                        s[i, lane] = a * s[i, lane] + c * g[i, lane]
                layer += 1
            for lane in range(m):
                for i in range(n):
                    out[slot, low + lane, i] = s[i, lane]
"""
    )


def flow_source(rule: "BlockRule", width: int) -> str:
    """``integrate``: Dormand–Prince 5(4), each lane with its own step size (see dormand_prince.py)."""
    a, _, e = tableau()
    rows = [[float(v) for v in row] + [0.0] * (STAGES - len(row)) for row in a]
    return (
        TABLEAU_SOURCE
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


@njit(fastmath={{"contract"}}, error_model="numpy")
def slope(x, g, held, weights, b, a, c, drive, layer, low, k):
    nonlinear(x, g, held, weights, b, drive, layer, low)
    for i in range(x.shape[0]):
        for lane in range(x.shape[1]):
            k[i, lane] = c * g[i, lane]{" - a * x[i, lane]" if rule.linear else ""}


@parallel
def integrate(
    states, out, status, begin, ends, layers, slots, parameters, bias, damping, gain, drive,
    rtol, atol, max_steps,
):
    n = {rule.dimension}
    width = {width}
    for block in prange((states.shape[0] + width - 1) // width):
        low = block * width
        m = min(width, states.shape[0] - low)
        s = np.empty((n, m), dtype=real)
        x = np.empty((n, m), dtype=real)
        g = np.empty((n, m), dtype=real)
        held = np.empty((n, m), dtype=real)
        k = np.empty(({STAGES}, n, m), dtype=real)
        h = np.empty(m, dtype=real)
        tau = np.empty(m)
        steps = np.zeros(m, dtype=real)
        error = np.empty(m, dtype=real)
        failed = np.zeros(m, dtype=np.bool_)
        for i in range(n):
            for lane in range(m):
                s[i, lane] = states[low + lane, i]
        for segment in range(ends.size):
            begun = begin if segment == 0 else ends[segment - 1]
            length = ends[segment] - begun
            smallest = 16.0 * EPS * max(abs(begun), abs(ends[segment]))
            layer = layers[segment]
            weights = parameters[row(parameters, layer)].reshape(n, n)
            b = bias[row(bias, layer)]
            a = damping[row(gain, layer)]
            c = gain[row(gain, layer)]
            slope(s, g, held, weights, b, a, c, drive, layer, low, k[0])
            for lane in range(m):
                tau[lane] = length if failed[lane] else 0.0
                if segment == 0:
                    size = ZERO
                    speed = ZERO
                    for i in range(n):
                        scale = atol + rtol * abs(s[i, lane])
                        size += (s[i, lane] / scale) ** 2
                        speed += (k[0, i, lane] / scale) ** 2
                    steps[lane] = first_step(size, speed, length)
            for attempt in range(max_steps):
                for lane in range(m):
                    h[lane] = min(steps[lane], real(length - tau[lane]))
                    error[lane] = ZERO
                for stage in range(1, {STAGES}):
                    combine(A[stage - 1], stage, k, x)
                    for i in range(n):
                        for lane in range(m):
                            x[i, lane] = s[i, lane] + h[lane] * x[i, lane]
                    slope(x, g, held, weights, b, a, c, drive, layer, low, k[stage])
                combine(E, {STAGES}, k, g)
                for i in range(n):
                    for lane in range(m):
                        scale = atol + rtol * max(abs(s[i, lane]), abs(x[i, lane]))
                        r = h[lane] * g[i, lane] / scale
                        error[lane] += r * r
                for lane in range(m):
                    mean = error[lane] / real(n)
                    error[lane] = mean if mean < HUGE else HUGE  # NaN too
                for i in range(n):
                    for lane in range(m):
                        accepted = error[lane] <= ONE
                        s[i, lane] = x[i, lane] if accepted else s[i, lane]
                        k[0, i, lane] = k[{STAGES - 1}, i, lane] if accepted else k[0, i, lane]
                running = 0
                for lane in range(m):
                    if tau[lane] < length:
                        running += advance(lane, length, smallest, tau, steps, h, error, failed)
                if running == 0:
                    break
            for lane in range(m):
                if tau[lane] < length:
                    failed[lane] = True
                if failed[lane] and status[low + lane] == 0:
                    largest = ZERO
                    for i in range(n):
                        largest = max(largest, abs(s[i, lane]))
                    status[low + lane] = DIVERGED if largest > LARGE else FAILED
                    for i in range(n):
                        s[i, lane] = np.nan
            slot = slots[segment]
            if slot >= 0:
                for lane in range(m):
                    for i in range(n):
                        out[slot, low + lane, i] = s[i, lane]
"""
    )
