"""The Dormand–Prince 5(4) pair and its step-size rule, as text shared by the flow kernels.

Each lane follows one state with its own time and step size; a lane whose state has arrived takes the next one
from the queue, so that no lane waits for the slowest. The error estimate e is the mean square of the local error
over atol + rtol·|x|; a step with e ≤ 1 is accepted, and the next size is 0.9 e^(−1/10) times the last, within
[0.2, 10] ([hairer1993]_, sec. II.4). A segment ends exactly where it was asked to: its last step is cut to what is
left, and the size before the cut is remembered for the next segment.
"""

from fractions import Fraction

STAGES = 7

_A = {
    2: "1/5",
    3: "3/40 9/40",
    4: "44/45 -56/15 32/9",
    5: "19372/6561 -25360/2187 64448/6561 -212/729",
    6: "9017/3168 -355/33 46732/5247 49/176 -5103/18656",
    7: "35/384 0 500/1113 125/192 -2187/6784 11/84",
}
_C = "0 1/5 3/10 4/5 8/9 1 1"
# the fifth-order weights minus the fourth-order ones
_E = "71/57600 0 -71/16695 71/1920 -17253/339200 22/525 -1/40"


def tableau() -> tuple[list[list[Fraction]], list[Fraction], list[Fraction]]:
    """(A, C, E) as exact fractions; row 7 of A holds the fifth-order weights (first same as last)."""
    a = [[Fraction(v) for v in _A[stage].split()] for stage in sorted(_A)]
    return a, [Fraction(v) for v in _C.split()], [Fraction(v) for v in _E.split()]


def _source() -> str:
    a, c, e = tableau()
    lines = [f"A{stage}{j} = real({float(v)!r})" for stage, row in enumerate(a, 2) for j, v in enumerate(row, 1) if v]
    lines += [f"C{stage} = real({float(v)!r})" for stage, v in enumerate(c, 1)]
    lines += [f"E{stage} = real({float(v)!r})" for stage, v in enumerate(e, 1) if v]
    return "\n".join(lines)


def _row(letter: str, stage: int) -> dict[int, Fraction]:
    """The coefficients that are not zero, of row ``stage`` of A, or of E."""
    a, _, e = tableau()
    return {j: v for j, v in enumerate(e if letter == "E" else a[stage - 2], 1) if v}


def needed(letter: str, stage: int) -> list[int]:
    """The slopes that enter :func:`combine`."""
    return list(_row(letter, stage))


def combine(letter: str, stage: int, slope: str) -> str:
    """The text of Σ_j coefficient·k_j: of row ``stage`` of A, or of E; ``slope`` is a format for k_j."""
    name = "E{}" if letter == "E" else f"A{stage}" + "{}"
    return " + ".join(f"{name.format(j)} * {slope.format(j)}" for j in needed(letter, stage))


SOURCE = (
    _source()
    + """

EPS = np.finfo(np.float64).eps  # of the times
ZERO, ONE, HUGE, TINY = real(0), real(1), real(1e30), real(1e-30)
LARGE = real(1e6)  # a state that big where the steps vanish is running off to infinity
DIVERGED, FAILED = 1, 2  # resdyn.Status
SHORTEST, SMALLEST_FACTOR, LARGEST_FACTOR, SAFETY = real(1e-5), real(0.2), real(10.0), real(0.9)
EXPONENT = real(-0.06931471805599453)  # −ln 2 / 10


@njit(error_model="numpy")
def first_step(lane, width, s, k1, n, rtol, atol, length):
    # a hundredth of the time in which the state changes by its own size; at least 1e-5 of the segment, because a
    # state of zeros has no size, and too large a step is only rejected
    size = ZERO
    speed = ZERO
    for i in range(n):
        scale = atol + rtol * abs(s[i * width + lane])
        size += (s[i * width + lane] / scale) ** 2
        speed += (k1[i * width + lane] / scale) ** 2
    h = real(0.01) * real(math.sqrt(size / speed)) if speed > ZERO else length
    h = h if h > SHORTEST * length else SHORTEST * length  # NaN too: a saturated state is infinite
    return h if h < length else length


@njit(error_model="numpy")
def arrive(
    lane, width, s, k1, tau, steps, start, length, tries, failed, who, segment, queue,
    states, out, status, sizes, begin, ends, slots, rtol, atol,
):
    # The state in this lane is at the end of its segment: store it, and go on to its next segment or to the next
    # state of the queue (queue[0] .. queue[1]). Returns 1 if the lane has run out of work.
    n = states.shape[1]
    state, current = who[lane], segment[lane]
    if failed[lane] > ZERO:
        largest = ZERO
        for i in range(n):
            largest = max(largest, abs(s[i * width + lane]))
        status[state] = DIVERGED if largest > LARGE else FAILED
        for slot in slots[max(current, 0):]:
            if slot >= 0:
                out[slot, state] = np.nan
        current = ends.size
    elif current >= 0 and slots[current] >= 0:
        for i in range(n):
            out[slots[current], state, i] = s[i * width + lane]
    current += 1
    if current < ends.size:
        begun = begin if current == 0 else ends[current - 1]
        segment[lane] = current
        start[lane] = begun
        length[lane] = ends[current] - begun
        tau[lane] = 0.0
        tries[lane] = 0
        if current == 0:
            remembered = sizes[state]
            steps[lane] = (
                remembered if remembered > ZERO else first_step(lane, width, s, k1, n, rtol, atol, real(length[lane]))
            )
        return 0
    if failed[lane] == ZERO:
        sizes[state] = steps[lane]
        for i in range(n):
            states[state, i] = s[i * width + lane]
    return take(
        lane, width, s, tau, steps, start, length, tries, failed, who, segment, queue,
        states, out, status, begin, slots,
    )


@njit(error_model="numpy")
def take(
    lane, width, s, tau, steps, start, length, tries, failed, who, segment, queue, states, out, status, begin, slots
):
    # Put the next state of the queue into this lane. Its first step has size 0 and only finds the slope there.
    tau[lane] = 0.0
    steps[lane] = ZERO
    start[lane] = begin
    tries[lane] = 0
    failed[lane] = ZERO
    while queue[0] < queue[1]:
        state = queue[0]
        queue[0] += 1
        if status[state] != 0:  # lost in an earlier layer
            for slot in slots:
                if slot >= 0:
                    out[slot, state] = np.nan
            continue
        who[lane] = state
        segment[lane] = -1
        length[lane] = 0.0
        for i in range(states.shape[1]):
            s[i * width + lane] = states[state, i]
        return 0
    length[lane] = 1.0  # never reached with steps of size 0
    return 1
"""
)

# What every flow kernel does to set up a chunk of states; the lanes come first, filled from the queue.
SETUP = """\
tau = np.empty({width})  # time since the segment began, in float64 whatever the states are
steps = np.empty({width}, dtype=real)  # sizes to try next
h = np.empty({width}, dtype=real)  # sizes tried
error = np.empty({width}, dtype=real)
start = np.empty({width})
length = np.empty({width})
failed = np.empty({width}, dtype=real)
arrived = np.empty({width}, dtype=real)
tries = np.empty({width}, dtype=np.int64)
who = np.zeros({width}, dtype=np.int64)
segment = np.empty({width}, dtype=np.int64)
queue = np.array([block * chunk, min((block + 1) * chunk, states.shape[0])])
idle = 0
for lane in range({width}):
    idle += take(
        lane, {width}, s, tau, steps, start, length, tries, failed, who, segment, queue,
        states, out, status, begin, slots,
    )
"""

# After a step: accept or reject, and choose the next size, without a branch, so that LLVM vectorises the loop.
# A lane without work takes steps of size 0 and never arrives.
PACE = """\
count = 0
for lane in range({width}):
    factor = SAFETY * exp(EXPONENT * rough_log2(error[lane] + TINY))
    factor = factor if factor > SMALLEST_FACTOR else SMALLEST_FACTOR
    factor = factor if factor < LARGEST_FACTOR else LARGEST_FACTOR
    proposed = h[lane] * factor
    accepted = error[lane] <= ONE
    there = accepted and steps[lane] >= length[lane] - tau[lane]
    tries[lane] += 1
    too_short = (not accepted) and proposed < 16.0 * EPS * length[lane]
    # a first step has no length, and fails only where the slope is not finite
    no_slope = (not accepted) and length[lane] == 0.0
    stuck = too_short or no_slope or (tries[lane] > max_steps and steps[lane] > ZERO)
    failed[lane] = ONE if stuck else ZERO
    # the last step was cut short, so the size before the cut is the better guess for the next segment
    kept = steps[lane] if steps[lane] > proposed else proposed
    steps[lane] = kept if there else proposed
    tau[lane] += h[lane] if accepted else ZERO
    arrived[lane] = ONE if there or stuck else ZERO
    count += 1 if there or stuck else 0
"""

# ``{arrival}`` is what else is done with a lane at the end of its segment, a statement of one line.
CONTROL = (
    PACE
    + """\
if count > 0:
    for lane in range({width}):
        if arrived[lane] > ZERO:
            {arrival}
            idle += arrive(
                lane, {width}, s, k1, tau, steps, start, length, tries, failed, who, segment, queue,
                states, out, status, sizes, begin, ends, slots, rtol, atol,
            )
"""
)
