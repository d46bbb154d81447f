"""Kernel templates for few units that carry tangent vectors beside each state, with everything in registers.

A frame of k vectors v_1 … v_k lies in one array ``q`` of constant size, as the states do in ``s`` (see lanes.py):
component i of vector r of lane l at ``q[(r * n + i) * width + l]``. Each layer multiplies the frame by its Jacobian;
the Gram–Schmidt step that follows keeps it orthonormal and counts what each vector was stretched by.
"""

from dataclasses import dataclass
from functools import cache
from textwrap import indent

from resdyn.kernels.stretching import LANE_SOURCE, factor


@dataclass(frozen=True)
class TangentLanes:
    """g and its derivative, as statements.

    ``text`` sets g0, g1, … from x0, … and whatever else ``product`` needs; ``product`` sets dv0, … to ∂g/∂x times
    v0, …. The other fields are those of a ``LaneRule``.
    """

    dimension: int
    n_parameters: int
    text: str
    product: str
    n_bias: int = 0
    linear: bool = False
    uses_time: bool = False
    driven: bool = False

    @staticmethod
    def map_width(n_states: int, n_vectors: int) -> int:
        """States per block; a single orbit runs alone, because its lanes would wait for nobody."""
        return 1 if n_states == 1 else 16 if n_states <= 64 else 128

    def map_source(self, n_states: int, n_vectors: int) -> str:
        return map_source(self, n_vectors, self.map_width(n_states, n_vectors))

    @staticmethod
    def flow_width(n_states: int, n_vectors: int) -> int:
        """Orbits side by side, each with its own step size; more would not fit the fastest cache."""
        return 8

    def right_hand_side(self, n_vectors: int, width: int) -> str:
        return right_hand_side(self, n_vectors, width)


def _block(levels: int, *lines: str) -> str:
    return indent("\n".join(lines), "    " * levels)


def unpack(rule: TangentLanes, linear: str) -> list[str]:
    """One layer's parameters into registers; an array of one row is shared by all layers."""
    return [
        "row = layer if parameters.shape[0] > 1 else 0",
        *(f"p{i} = parameters[row, {i}]" for i in range(rule.n_parameters)),
        "row = layer if bias.shape[0] > 1 else 0",
        *(f"b{i} = bias[row, {i}]" for i in range(rule.n_bias)),
        "row = layer if gain.shape[0] > 1 else 0",
        f"a = {linear}[row]",
        "c = gain[row]",
    ]


def layer_of_a_lane(rule: TangentLanes, k: int, vectors: str = "q", offset: int = 0) -> list[str]:
    """One layer of one lane: the state and every vector of its frame, which lie in ``vectors`` from ``offset`` on."""
    n = rule.dimension
    lines = [
        *(f"x{i} = s[{i} * width + lane]" for i in range(n)),
        *(f"u{i} = drive[layer, low + min(lane, m - 1), {i}]" for i in range(n) if rule.driven),
        *rule.text.splitlines(),
        *(f"s[{i} * width + lane] = a * x{i} + c * g{i}" for i in range(n)),
    ]
    for vector in range(k):
        lines += [
            *(f"v{i} = {vectors}[{offset + vector * n + i} * width + lane]" for i in range(n)),
            *rule.product.splitlines(),
            *(f"{vectors}[{offset + vector * n + i} * width + lane] = a * v{i} + c * dv{i}" for i in range(n)),
        ]
    return lines


def _gram_schmidt(n: int, k: int) -> list[str]:
    """Modified Gram–Schmidt of one lane's frame; ``product`` and ``exponent`` take up the squared factors."""
    lines = []
    for vector in range(k):
        v = [f"q{vector}_{i}" for i in range(n)]
        square = " + ".join(f"{c} * {c}" for c in v)
        lines += [
            *(f"{v[i]} = q[{vector * n + i} * width + lane]" for i in range(n)),
            f"before = {square}",
        ]
        for other in range(vector):
            lines += [
                "r = " + " + ".join(f"q{other}_{i} * {v[i]}" for i in range(n)),
                *(f"{v[i]} -= r * q{other}_{i}" for i in range(n)),
            ]
        lines += [
            *factor(square, n),
            f"product[{vector} * width + lane] *= mantissa",
            f"exponent[{vector} * width + lane] += power",
            *(f"{v[i]} *= inverse" for i in range(n)),
            *(f"q[{vector * n + i} * width + lane] = {v[i]}" for i in range(n)),
        ]
    return lines


@cache
def map_source(rule: TangentLanes, k: int, width: int) -> str:
    """``iterate_tangents``: states and frames through gaps[0], gaps[1], … layers, both left in place.

    ``logs[slot]`` gets the sums of the logarithms of the stretching factors of each gap. The frames are made
    orthonormal after every ``every`` layers and at the end of each gap (0: never; negative: as the kernel sees fit,
    which here is after each layer, because it costs no more than the layer itself).
    """
    n = rule.dimension
    time = ["t = layer * step"] if rule.uses_time else []
    lane_of = "low + min(lane, m - 1)"
    return LANE_SOURCE + "\n".join(
        [
            "@kernel",
            "def iterate_tangents(",
            "    begin, end, states, frames, logs, gaps, every, first, step, parameters, bias, decay, gain, drive,",
            "):",
            f"    width = {width}",
            "    every = 1 if every < 0 else every",
            "    for block in range(begin, end):",
            f"        s = np.empty({n} * width)",
            f"        q = np.empty({k * n} * width)",
            f"        product = np.ones({k} * width)",
            f"        exponent = np.zeros({k} * width, dtype=np.int64)",
            "        low = block * width",
            "        m = min(width, states.shape[0] - low)",
            "        for lane in range(width):",
            _block(
                3,
                *(f"s[{i} * width + lane] = states[{lane_of}, {i}]" for i in range(n)),
                *(f"q[{r * n + i} * width + lane] = frames[{lane_of}, {r}, {i}]" for r in range(k) for i in range(n)),
            ),
            "        layer = first",
            "        for slot in range(gaps.size):",
            "            waited = 0",
            "            folded = 0",
            "            for count in range(gaps[slot]):",
            _block(4, *unpack(rule, "decay"), *time),
            "                for lane in range(width):",
            _block(5, *layer_of_a_lane(rule, k)),
            "                layer += 1",
            "                waited += 1",
            "                if waited == every or (every > 0 and count == gaps[slot] - 1):",
            "                    waited = 0",
            "                    for lane in range(width):",
            _block(6, *_gram_schmidt(n, k)),
            "                    folded += 1",
            "                    if folded == MOST:",
            "                        folded = 0",
            f"                        fold(product, exponent, logs, slot, low, m, {k}, width)",
            f"            fold(product, exponent, logs, slot, low, m, {k}, width)",
            "        for lane in range(m):",
            _block(
                3,
                *(f"states[low + lane, {i}] = s[{i} * width + lane]" for i in range(n)),
                *(f"frames[low + lane, {r}, {i}] = q[{r * n + i} * width + lane]" for r in range(k) for i in range(n)),
            ),
            "",
        ]
    )


@cache
def right_hand_side(rule: TangentLanes, k: int, width: int) -> str:
    """``slopes``: the time derivatives of states and vectors, all n(1 + k) numbers of a lane in one column."""
    n = rule.dimension

    def linear(i: str) -> str:
        return f" - a * {i}" if rule.linear else ""

    body = [
        *(f"x{i} = x[{i}, lane]" for i in range(n)),
        *(["t = start[lane] + tau[lane] + fraction * h[lane]"] if rule.uses_time else []),
        *(f"u{i} = drive[layer, who[lane], {i}]" for i in range(n) if rule.driven),
        *rule.text.splitlines(),
        *(f"out[{i}, lane] = c * g{i}{linear(f'x{i}')}" for i in range(n)),
    ]
    for vector in range(1, k + 1):
        body += [
            *(f"v{i} = x[{vector * n + i}, lane]" for i in range(n)),
            *rule.product.splitlines(),
            *(f"out[{vector * n + i}, lane] = c * dv{i}{linear(f'v{i}')}" for i in range(n)),
        ]
    return "\n".join(
        [
            "",
            '@njit(fastmath={"contract"}, error_model="numpy")',
            "def slopes(x, out, work, k, start, tau, fraction, h, who, layer, parameters, bias, damping, gain, drive):",
            _block(1, *unpack(rule, "damping")),
            f"    for lane in range({width}):",
            _block(2, *body),
            "",
        ]
    )
