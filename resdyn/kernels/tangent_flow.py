"""Kernel template for flows that carry tangent vectors: the variational equation beside the state.

One lane holds the n numbers of a state and the k n numbers of its frame, ẋ = f(x), V̇ = A(x) V, and Dormand–Prince
(dormand_prince.py) controls the error of all of them: at an equilibrium the state alone would allow any step.
Where a lane reaches the end of a segment its frame is made orthonormal. The slopes at the new point are the
next step's first stage; they are linear in V, so the same column operations keep them right.
"""

from functools import cache
from textwrap import indent

from resdyn.kernels.dormand_prince import CONTROL, SETUP, SOURCE, STAGES, tableau
from resdyn.kernels.stretching import LOST_SOURCE
from resdyn.kernels.tangent_blocks import TangentBlocks
from resdyn.kernels.tangent_lanes import TangentLanes

_FRAME = (
    LOST_SOURCE
    + """

@njit(error_model="numpy")
def orthonormalise(lane, n, k, y, k1, logs, record, failed, who, segment, marks):
    # Gram–Schmidt of the frame of one lane at the end of a segment that is marked; k1 follows
    kept = record.shape[0] > 0
    if failed[lane] > ZERO or segment[lane] < 0 or marks[segment[lane]] < 0:
        return
    slot, orbit = marks[segment[lane]], who[lane]
    for r in range(1, k + 1):
        before = 0.0
        for i in range(r * n, r * n + n):
            before += y[i, lane] * y[i, lane]
        square = before
        for other in range(1, r):
            share = 0.0
            for i in range(n):
                share += y[other * n + i, lane] * y[r * n + i, lane]
            if kept:
                record[slot, orbit, (k + 1) * n + (other - 1) * k + r - 1] = share
            for i in range(n):
                y[r * n + i, lane] -= share * y[other * n + i, lane]
                k1[r * n + i, lane] -= share * k1[other * n + i, lane]
        if r > 1:
            square = 0.0
            for i in range(r * n, r * n + n):
                square += y[i, lane] * y[i, lane]
        dead = is_lost(square, before, n)
        inverse = 0.0 if dead else 1.0 / math.sqrt(square)
        for i in range(r * n, r * n + n):
            y[i, lane] *= inverse
            k1[i, lane] *= inverse
        logs[slot, orbit, r - 1] += -np.inf if dead else 0.5 * np.log(square)
        if kept:
            record[slot, orbit, (k + 1) * n + (r - 1) * (k + 1)] = 0.0 if dead else math.sqrt(square)
    if kept:
        for i in range((k + 1) * n):
            record[slot, orbit, i] = y[i, lane]

"""
)


_ARRIVAL = "orthonormalise(lane, n, vectors, y, k[0], logs, record, failed, who, segment, marks)"


@cache
def flow_source(rule: TangentLanes | TangentBlocks, n_vectors: int, width: int) -> str:
    """``integrate_tangents``: states and frames, one row each of ``states``, through the segments that end at ``ends``.

    ``logs[marks[i]]`` gets the logarithms of the stretching factors at the end of segment i; with marks[i] < 0 the
    frame is left as it is there. ``record[marks[i]]``, if it is not empty, gets state, frame and R in one row.
    """
    a, c, e = tableau()
    rows = [[float(v) for v in row] + [0.0] * (STAGES - len(row)) for row in a]
    return (
        SOURCE
        + _FRAME
        + f"""
A = np.array({rows!r})
C = np.array({[float(v) for v in c]!r})
E = np.array({[float(v) for v in e]!r})
"""
        + rule.right_hand_side(n_vectors, width)
        + f"""

@njit(fastmath={{"contract"}}, error_model="numpy")
def combine(coefficients, count, k, total):
    for i in range(total.shape[0]):
        for lane in range({width}):
            total[i, lane] = coefficients[0] * k[0, i, lane]
        for j in range(1, count):
            for lane in range({width}):
                total[i, lane] += coefficients[j] * k[j, i, lane]


@kernel
def integrate_tangents(
    first_chunk, last_chunk, states, vectors, logs, record, status, sizes, begin, ends, marks, layer,
    parameters, bias, damping, gain, drive, rtol, atol, max_steps, chunk,
):
    size = states.shape[1]
    n = size // (vectors + 1)
    width = {width}
    out = np.empty((0, 0, 0))
    slots = np.full(ends.size, -1)  # the states between are not wanted
    for block in range(first_chunk, last_chunk):
        s = np.zeros(size * width)
        k = np.zeros(({STAGES}, size, width))
        k1 = k[0].reshape(size * width)
        y = s.reshape(size, width)
        x = np.empty((size, width))
        g = np.empty((size, width))
        work = np.empty((size + n, width))
{indent(SETUP.format(width="width"), " " * 8)}
        while idle < width:
            for lane in range(width):
                h[lane] = min(steps[lane], length[lane] - tau[lane])
                error[lane] = ZERO
            for stage in range(1, {STAGES}):
                combine(A[stage - 1], stage, k, x)
                for i in range(size):
                    for lane in range(width):
                        x[i, lane] = y[i, lane] + h[lane] * x[i, lane]
                slopes(
                    x, k[stage], work, vectors, start, tau, C[stage], h, who, layer,
                    parameters, bias, damping, gain, drive,
                )
            combine(E, {STAGES}, k, g)
            for i in range(size):
                for lane in range(width):
                    r = h[lane] * g[i, lane] / (atol + rtol * max(abs(y[i, lane]), abs(x[i, lane])))
                    error[lane] += r * r
            for lane in range(width):
                mean = error[lane] / size
                error[lane] = mean if mean < HUGE else HUGE  # NaN too
            for i in range(size):
                for lane in range(width):
                    accepted = error[lane] <= ONE
                    y[i, lane] = x[i, lane] if accepted else y[i, lane]
                    k[0, i, lane] = k[{STAGES - 1}, i, lane] if accepted else k[0, i, lane]
{indent(CONTROL.format(width="width", arrival=_ARRIVAL), " " * 12)}
"""
    )
