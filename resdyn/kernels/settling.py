"""Kernel template for basins of few units: run the map until a state stays near one of some given points.

A lane whose state is decided takes the next one from the queue of its chunk, so that no lane waits for the slowest.
Tests are a loop over lanes for each point, without a branch, so that LLVM vectorises them too. What is decided about a
state, and when, depends on the state alone and not on its lane.
"""

from functools import cache
from textwrap import indent

from resdyn.kernels.lanes import LaneRule, _unpack

WIDTH = 64
# layers between two looks at which lanes are done; the verdict itself is found layer by layer
_PATIENCE = 8


@cache
def settle_source(rule: LaneRule, *, in_residuals: bool) -> str:
    """``settle``: the first test from which on ``dwell`` tests in a row are near points of one owner.

    ``points`` (P, n) with their ``owners`` and squared ``radii``: a point of an owner below −1 decides at the first
    touch. With ``in_residuals`` points and distances are those of σ(x). Verdicts: an owner, −1 for none within
    ``depth`` layers, and ``LOST`` beyond ``largest``.
    """
    n, width = rule.dimension, WIDTH
    square = " + ".join(f"(v{i} - q{i}) * (v{i} - q{i})" for i in range(n))
    view = [
        "for lane in range(width):",
        *(f"    x{i} = s[{i} * width + lane]" for i in range(n)),
        *(f"    seen[{i} * width + lane] = logistic(x{i})" for i in range(n)),
    ]
    test = [
        *(view if in_residuals else []),
        "for lane in range(width):",
        "    owner[lane] = -1.0",
        "for j in range(points.shape[0]):",
        *(f"    q{i} = points[j, {i}]" for i in range(n)),
        "    square, mine = radii[j], owners[j]",
        "    for lane in range(width):",
        *(f"        v{i} = seen[{i} * width + lane]" for i in range(n)),
        f"        owner[lane] = mine if {square} <= square else owner[lane]",
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
    first_chunk, last_chunk, states, labels, layers, points, owners, radii, dwell, every, depth, largest,
    parameters, bias, decay, gain, chunk,
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
