"""Kernel templates for few units: a loop over lanes (states) with everything in registers.

The states of a block lie unit by unit in one array ``s`` of constant size: unit i of lane l at
``s[i * width + l]``. One array with constant offsets lets LLVM prove that the lanes do not touch each
other; with one array per unit it gives up beyond four units. Lanes beyond the last state repeat it.
"""

from dataclasses import dataclass
from functools import cache
from textwrap import indent

from resdyn.kernels.dormand_prince import CONTROL, SETUP, SOURCE, STAGES, combine, needed


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
        return map_source(self, self.map_width(n_states))

    def flow_source(self, n_states: int) -> str:
        # lanes differ in their number of steps and are refilled one by one, so fewer will do
        return flow_source(self, 16 if n_states <= 64 else 32)


def _block(levels: int, *lines: str) -> str:
    return indent("\n".join(lines), "    " * levels)


def _unpack(rule: LaneRule, linear: str) -> list[str]:
    """Take one layer's parameters into registers; an array of one row is shared by all layers."""
    return [
        "row = layer if parameters.shape[0] > 1 else 0",
        *(f"p{i} = parameters[row, {i}]" for i in range(rule.n_parameters)),
        "row = layer if bias.shape[0] > 1 else 0",
        *(f"b{i} = bias[row, {i}]" for i in range(rule.n_bias)),
        "row = layer if gain.shape[0] > 1 else 0",
        f"a = {linear}[row]",
        "c = gain[row]",
    ]


def _load(width: int, n: int) -> str:
    """Copy the block's states into ``s``."""
    return _block(
        2,
        "low = block * width",
        "m = min(width, states.shape[0] - low)",
        f"for i in range({n}):",
        "    for lane in range(width):",
        "        s[i * width + lane] = states[low + min(lane, m - 1), i]",
    )


def _store(n: int, levels: int, slot: str) -> str:
    return _block(
        levels,
        "for lane in range(m):",
        *(f"    out[{slot}, low + lane, {i}] = s[{i} * width + lane]" for i in range(n)),
    )


@cache
def map_source(rule: LaneRule, width: int) -> str:
    """``iterate``: x ← decay·x + gain·g, for gaps[0], gaps[1], … layers, storing x after each."""
    n = rule.dimension
    drive = [f"u{i} = drive[layer, low + min(lane, m - 1), {i}]" for i in range(n)] if rule.driven else []
    time = ["t = real(layer * step)"] if rule.uses_time else []
    return "\n".join(
        [
            "@kernel",
            "def iterate(begin, end, states, out, gaps, first, step, parameters, bias, decay, gain, drive):",
            f"    width = {width}",
            "    for block in range(begin, end):",
            f"        s = np.empty({n * width}, dtype=real)",
            _load(width, n),
            "        layer = first",
            "        for slot in range(gaps.size):",
            "            for _ in range(gaps[slot]):",
            _block(4, *_unpack(rule, "decay"), *time),
            "                for lane in range(width):",
            _block(
                5,
                *(f"x{i} = s[{i} * width + lane]" for i in range(n)),
                *drive,
                *rule.text.splitlines(),
                *(f"s[{i} * width + lane] = a * x{i} + c * g{i}" for i in range(n)),
            ),
            "                layer += 1",
            _store(n, 3, "slot"),
            "",
        ]
    )


def flow_steps(rule: LaneRule, width: int) -> list[str]:
    """Statements that try a step of size h from ``s`` in every lane, and keep it where its error is small enough.

    Each stage is a loop over the lanes of its own. One loop over whole steps spares the slopes a way through memory,
    but has more in flight than there are registers; measured, it is a tenth slower.
    """
    n = rule.dimension
    units = range(n)

    def at(array: str, i: int, stage: int = 1) -> str:
        offset = (stage - 1) * n + i
        return f"{array}[{offset} * width + lane]"

    def stage_loop(stage: int) -> list[str]:
        """k{stage} = f at the state of this stage; the last stage's state is the new one."""
        linear = " - a * x{0}" if rule.linear else ""
        return [
            "for lane in range(width):",
            *(f"    k{j}_{i} = {at('k', i, j)}" for i in units for j in needed("A", stage)),
            *(f"    x{i} = {at('s', i)} + h[lane] * ({combine('A', stage, 'k{}_' + str(i))})" for i in units),
            *([f"    t = real(start[lane] + tau[lane]) + C{stage} * h[lane]"] if rule.uses_time else []),
            *(f"    u{i} = drive[layer, who[lane], {i}]" for i in units if rule.driven),
            *(f"    {line}" for line in rule.text.splitlines()),
            *(f"    {at('k', i, stage)} = c * g{i}{linear.format(i)}" for i in units),
            *(f"    {at('new', i)} = x{i}" for i in units if stage == STAGES),
        ]

    step = ["for lane in range(width):", "    h[lane] = min(steps[lane], real(length[lane] - tau[lane]))"]
    for stage in range(2, STAGES + 1):
        step += stage_loop(stage)
    step += ["for lane in range(width):"]
    for i in units:
        step += [
            *(f"    k{j}_ = {at('k', i, j)}" for j in needed("E", STAGES + 1)),
            f"    y{i} = {at('s', i)}",
            f"    x{i} = {at('new', i)}",
            f"    r{i} = h[lane] * ({combine('E', STAGES + 1, 'k{}_')}) / (atol + rtol * max(abs(y{i}), abs(x{i})))",
        ]
    square = " + ".join(f"r{i} * r{i}" for i in units)
    step += [
        f"    e = ({square}) * real({1 / n})",
        "    e = e if e < HUGE else HUGE  # NaN too",
        "    accepted = e <= ONE",
        *(f"    {at('s', i)} = x{i} if accepted else y{i}" for i in units),
        *(f"    {at('k', i)} = {at('k', i, STAGES)} if accepted else {at('k', i)}" for i in units),
        "    error[lane] = e",
    ]
    return step


@cache
def flow_source(rule: LaneRule, width: int) -> str:
    """``integrate``: Dormand–Prince 5(4), each lane with its own state and step size (see dormand_prince.py)."""
    n = rule.dimension
    return SOURCE + "\n".join(
        [
            "",
            "@kernel",
            "def integrate(",
            "    first_chunk, last_chunk, states, out, status, sizes, begin, ends, slots, layer,",
            "    parameters, bias, damping, gain, drive, rtol, atol, max_steps, chunk,",
            "):",
            f"    width = {width}",
            "    for block in range(first_chunk, last_chunk):",
            f"        s = np.zeros({n * width}, dtype=real)",
            f"        k = np.zeros({STAGES * n * width}, dtype=real)",
            f"        k1 = k[: {n * width}]",
            f"        new = np.empty({n * width}, dtype=real)",
            _block(2, *SETUP.format(width="width").splitlines(), *_unpack(rule, "damping")),
            "        while idle < width:",
            _block(3, *flow_steps(rule, width)),
            _block(3, *CONTROL.format(width="width", arrival="pass").splitlines()),
            "",
        ]
    )
