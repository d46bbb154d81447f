"""The Dormand–Prince 5(4) pair and its step-size rule, as text shared by the flow kernels.

Each lane (state) has its own time and step size. All lanes of a block take a step together; a lane that
has arrived takes steps of size zero. The error estimate e is the mean square of the local error over
atol + rtol·|x|; a step with e ≤ 1 is accepted, and the next size is 0.9 e^(−1/10) times the last,
within [0.2, 10] ([hairer1993]_, sec. II.4). A segment ends exactly where it was asked to: the last
step is cut to what is left, and the size before the cut is remembered for the next segment.
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


def combine(letter: str, stage: int, slope: str) -> str:
    """The text of Σ_j coefficient·k_j: of row ``stage`` of A, or of E; ``slope`` is a format for k_j."""
    a, _, e = tableau()
    row = e if letter == "E" else a[stage - 2]
    name = "E{}" if letter == "E" else f"A{stage}" + "{}"
    return " + ".join(f"{name.format(j)} * {slope.format(j)}" for j, v in enumerate(row, 1) if v)


TABLEAU_SOURCE = (
    _source()
    + '''

EPS = np.finfo(real).eps
ZERO, ONE, HUGE = real(0), real(1), real(1e30)
LARGE = real(1e6)  # a state that big where the steps vanish is running off to infinity
DIVERGED, FAILED = 1, 2
TINY, SHORTEST = real(1e-30), real(1e-5)
SMALLEST_FACTOR, LARGEST_FACTOR, SAFETY = real(0.2), real(10.0), real(0.9)
EXPONENT = real(-0.06931471805599453)  # −ln 2 / 10


@njit(error_model="numpy")
def first_step(size, speed, length):
    """A hundredth of the time in which the state changes by its own size, within the segment.

    At least 1e-5 of the segment: a state of zeros has no size, and too large a step is only rejected.
    """
    longest = real(length)
    shortest = SHORTEST * longest
    h = real(0.01) * real(math.sqrt(size / speed)) if speed > ZERO else longest
    h = h if h > shortest else shortest  # NaN too: a saturated state is infinite
    return h if h < longest else longest


@njit(error_model="numpy")
def advance(lane, length, smallest, tau, steps, taken, error, failed):
    """Accept or reject the step just tried and choose the next size; 1 while the lane has not arrived."""
    h, e = taken[lane], error[lane]
    factor = SAFETY * exp(EXPONENT * rough_log2(e + TINY))
    factor = min(max(factor, SMALLEST_FACTOR), LARGEST_FACTOR)
    if e <= ONE:
        if h >= real(length - tau[lane]):
            tau[lane] = length
            steps[lane] = max(steps[lane], h * factor)
            return 0
        tau[lane] += h
        steps[lane] = h * factor
        return 1
    steps[lane] = h * factor
    if steps[lane] < smallest:
        failed[lane] = True
        tau[lane] = length
        return 0
    return 1
'''
)
