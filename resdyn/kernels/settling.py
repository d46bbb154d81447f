"""Kernel templates for basins of few units: run map or flow until a state stays near one of some given points.

A lane whose state is decided takes the next one from the queue of its chunk, so that no lane waits for the slowest.
What is decided about a state, and when, depends on the state alone and not on its lane. The map is tested against few
points by a loop over lanes for each, without a branch, so that LLVM vectorises it too, and against many by looking up
a table (point_cells.py). A flow is tested in each lane by itself, where a segment of its integration ends.
"""

from functools import cache
from textwrap import indent

from resdyn.kernels.dormand_prince import PACE, SETUP, SOURCE, STAGES
from resdyn.kernels.lanes import LaneRule, _unpack, flow_steps
from resdyn.kernels.point_cells import owner_lines

WIDTH = 64
FLOW_WIDTH = 32
MOST_IN_A_LOOP = 24
"""With more points than this the map looks them up: from about here on that is faster."""
# layers between two looks at which lanes are done; the verdict itself is found layer by layer
_PATIENCE = 8


_TARGETS = "points, owners, radii, corner, per_length, counts, firsts, members"


@cache
def settle_source(rule: LaneRule, *, in_residuals: bool, lookup: bool) -> str:
    """``settle``: the first test from which on ``dwell`` tests in a row are near points of one owner.

    ``points`` (P, n) with their ``owners`` and squared ``radii``: a point of an owner below −1 decides at the first
    touch. With ``lookup`` they are found through their cells. With ``in_residuals`` points and distances are those of
    σ(x). Verdicts: an owner, −1 for none within ``depth`` layers, and ``LOST`` beyond ``largest``.
    """
    n, width = rule.dimension, WIDTH
    square = " + ".join(f"(v{i} - q{i}) * (v{i} - q{i})" for i in range(n))
    view = [
        "for lane in range(width):",
        *(f"    x{i} = s[{i} * width + lane]" for i in range(n)),
        *(f"    seen[{i} * width + lane] = logistic(x{i})" for i in range(n)),
    ]
    loop = [
        "for lane in range(width):",
        "    owner[lane] = -1.0",
        "for j in range(points.shape[0]):",
        *(f"    q{i} = points[j, {i}]" for i in range(n)),
        "    square, mine = radii[j], owners[j]",
        "    for lane in range(width):",
        *(f"        v{i} = seen[{i} * width + lane]" for i in range(n)),
        f"        owner[lane] = mine if {square} <= square else owner[lane]",
    ]
    found = [
        "for lane in range(width):",
        "    if verdict[lane] == -1.0:",
        *(f"        v{i} = seen[{i} * width + lane]" for i in range(n)),
        *(f"        {line}" for line in owner_lines(n, "owner[lane]")),
    ]
    test = [
        *(view if in_residuals else []),
        *(found if lookup else loop),
        "if dwell == 1.0:",
        "    for lane in range(width):",
        "        new = owner[lane] != -1.0 and verdict[lane] == -1.0 and layer[lane] <= depth",
        "        verdict[lane] = owner[lane] if new else verdict[lane]",
        "        when[lane] = layer[lane] if new else when[lane]",
        "else:",
        "    for lane in range(width):",
        "        now = owner[lane]",
        "        run[lane] = run[lane] + 1.0 if now == held[lane] else 1.0",
        "        held[lane] = now",
        "        hit = (now >= 0.0 and run[lane] >= dwell) or now < -1.0",
        "        new = hit and verdict[lane] == -1.0 and layer[lane] <= depth",
        "        verdict[lane] = now if new else verdict[lane]",
        "        when[lane] = layer[lane] - (run[lane] - 1.0) * every if new else when[lane]",
    ]
    step = [
        "for _ in range(every):",
        "    for lane in range(width):",
        *(f"        x{i} = s[{i} * width + lane]" for i in range(n)),
        *(f"        {line}" for line in rule.text.splitlines()),
        *(f"        s[{i} * width + lane] = a * x{i} + c * g{i}" for i in range(n)),
        "for lane in range(width):",
        "    layer[lane] += every",
    ]
    seen = f"seen = np.empty({n * width}, dtype=real)" if in_residuals else "seen = s"
    return f"""
LOST = -9.0


@njit(error_model="numpy")
def take(lane, width, s, who, layer, run, held, verdict, when, queue, states):
    # the next state of the queue into this lane; 1 if there is none
    layer[lane] = 0.0
    run[lane] = 0.0
    held[lane] = -1.0
    verdict[lane] = -1.0
    when[lane] = 0.0
    if queue[0] >= queue[1]:
        who[lane] = -1
        return 1
    who[lane] = queue[0]
    for i in range(states.shape[1]):
        s[i * width + lane] = states[queue[0], i]
    queue[0] += 1
    return 0


@kernel
def settle(
    first_chunk, last_chunk, states, labels, layers, {_TARGETS},
    dwell, every, depth, largest, parameters, bias, decay, gain, chunk,
):
    width = {width}
    layer = 0
{indent(chr(10).join(_unpack(rule, "decay")), "    ")}
    rounds = max(1, {_PATIENCE} // every)
    s = np.empty({n * width}, dtype=real)
    {seen}
    owner = np.empty(width)
    run = np.empty(width)
    held = np.empty(width)
    verdict = np.empty(width)
    when = np.empty(width)
    layer = np.empty(width)
    who = np.empty(width, dtype=np.int64)
    for block in range(first_chunk, last_chunk):
        queue = np.array([block * chunk, min((block + 1) * chunk, states.shape[0])])
        s[:] = states[block * chunk, 0]
        idle = 0
        for lane in range(width):
            idle += take(lane, width, s, who, layer, run, held, verdict, when, queue, states)
        while idle < width:
            for _ in range(rounds):
{indent(chr(10).join(test), " " * 16)}
{indent(chr(10).join(step), " " * 16)}
            for lane in range(width):
                if who[lane] < 0:
                    continue
                lost = False
                for i in range({n}):
                    lost = lost or not abs(s[i * width + lane]) <= largest
                if verdict[lane] != -1.0 or lost or layer[lane] > depth:
                    labels[who[lane]] = LOST if lost and verdict[lane] == -1.0 else verdict[lane]
                    layers[who[lane]] = when[lane] if verdict[lane] != -1.0 else -1
                    idle += take(lane, width, s, who, layer, run, held, verdict, when, queue, states)
"""


@cache
def settle_flow_source(rule: LaneRule, *, in_residuals: bool) -> str:
    """``settle_flow``: the same of the flow, tested every ``gap`` units of time, in ``every`` layers.

    A state that cannot be integrated on is lost.
    """
    n, width = rule.dimension, FLOW_WIDTH
    view = "logistic({})" if in_residuals else "{}"
    seen = "\n".join(f"v{i} = " + view.format(f"s[{i} * width + lane]") for i in range(n))
    test = f"""\
state, first = who[lane], segment[lane] < 0
at = (segment[lane] + 1) * every
if first:
    run[lane], held[lane] = 0.0, -1.0
decided = failed[lane] > ZERO
for i in range({n}):
    decided = decided or not abs(s[i * width + lane]) <= largest
if decided:
    labels[state] = -9
else:
{indent(seen, "    ")}
{indent(chr(10).join(owner_lines(n, "now")), "    ")}
    run[lane] = run[lane] + 1.0 if now == held[lane] else 1.0
    held[lane] = now
    if (now >= 0.0 and run[lane] >= dwell) or now < -1.0:
        labels[state] = now
        layers[state] = at - (run[lane] - 1.0) * every
        decided = True
if decided or at + every > depth:
    idle += take(
        lane, width, s, tau, steps, start, length, tries, failed, who, segment, queue,
        states, out, status, begin, slots,
    )
else:
    segment[lane] += 1
    start[lane] += length[lane]
    length[lane] = gap
    tau[lane] = 0.0
    tries[lane] = 0
    if first:
        steps[lane] = first_step(lane, width, s, k1, {n}, rtol, atol, real(gap))
"""
    return (
        SOURCE
        + f"""

@kernel
def settle_flow(
    first_chunk, last_chunk, states, labels, layers, {_TARGETS},
    dwell, every, depth, largest, gap, parameters, bias, damping, gain, rtol, atol, max_steps, chunk,
):
    width = {width}
    layer = 0
    begin = 0.0
    out = np.empty((0, 0, 0), dtype=real)
    slots = np.empty(0, dtype=np.int64)
    status = np.zeros(states.shape[0], dtype=np.uint8)
{indent(chr(10).join(_unpack(rule, "damping")), "    ")}
    for block in range(first_chunk, last_chunk):
        s = np.zeros({n * width}, dtype=real)
        k = np.zeros({STAGES * n * width}, dtype=real)
        k1 = k[: {n * width}]
        new = np.empty({n * width}, dtype=real)
        run = np.empty(width)
        held = np.empty(width)
{indent(SETUP.format(width="width"), " " * 8)}
        while idle < width:
{indent(chr(10).join(flow_steps(rule, width)), " " * 12)}
{indent(PACE.format(width="width"), " " * 12)}
            if count > 0:
                for lane in range(width):
                    if arrived[lane] > ZERO:
{indent(test, " " * 24)}
"""
    )
