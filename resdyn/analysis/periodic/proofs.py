r"""Cycles of damped networks with a bounded activation: all of them, proved.

The map is :math:`x' = ax + g\varphi(Wx + b)` with :math:`a = 1 - h\lambda`, :math:`g = h\alpha`. Around a p-cycle the
linear part can be summed,

.. math:: x_k = \sum_{j=0}^{p-1} \frac{g a^j}{1 - a^p}\, y_{k-1-j}, \qquad y_k = \varphi(Wx_k + b),

so that the p states of activations are a fixed point of one larger network, :math:`Y = \varphi(BY + b)` with
:math:`B = C \otimes W` and C the circulant matrix of those factors. Its solutions lie in the box of the activation's
range, which the interval search of :mod:`resdyn.analysis.equilibria.intervals` goes through.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System
from resdyn.analysis.equilibria import intervals
from resdyn.matrix_family import ResidualMap

Array = NDArray[Any]

LARGEST = 12
"""The search is tried up to so many unknowns N·p."""

# the largest slope and the range of each activation whose slope is even and falls with |u|
_SLOPES = {"logistic": 0.25, "tanh": 1.0}
_RANGES = {"logistic": (0.0, 1.0), "tanh": (-1.0, 1.0)}
# solutions are polished to some hundred roundings of activations of size one
_SHIFT = 1e-11
_LIPSCHITZ = _SLOPES | {"relu": 1.0, "softplus": 1.0, "identity": 1.0}


@dataclass(frozen=True)
class Enclosed:
    """Orbits (n, p, N), each once, how often it repeats (n,), whether they are all, and why."""

    orbits: Array
    least: Array
    complete: bool
    reason: str


def contraction(system: System) -> str | None:
    """Why a map contracts, so that it has one fixed point and no other cycle; None where that is not known."""
    if not isinstance(system, ResidualMap) or system.depth is not None:
        return None
    slope = _LIPSCHITZ.get(system.activation.name)
    if slope is None:
        return None
    a = abs(Fraction(1) - Fraction(system.step) * Fraction(float(system.damping)))
    g = abs(Fraction(system.step) * Fraction(float(system.gain)))
    rounding = 1 + 32 * len(system.W) * np.finfo(float).eps
    factor = (float(a) + float(g) * slope * float(np.linalg.norm(system.W, 2))) * rounding
    if not factor < 1:
        return None
    return f"the map contracts, |1 − hλ| + h|α| L ‖W‖₂ = 1 − {1 - factor:.3g} < 1, so all orbits meet in a fixed point"


def circulant(system: ResidualMap, period: int) -> Array | None:
    """C, each entry the exact value rounded once; None where the linear part alone has p-cycles, a^p = 1."""
    a = Fraction(1) - Fraction(system.step) * Fraction(float(system.damping))
    g = Fraction(system.step) * Fraction(float(system.gain))
    if a**period == 1:
        return None
    factors = [g * a**j / (1 - a**period) for j in range(period)]
    C = np.zeros((period, period))
    for k in range(period):
        for j in range(period):
            C[k, (k - 1 - j) % period] = float(factors[j])
    return C


def applies(system: System, period: int) -> bool:
    """Whether the search can be tried at all, at any size."""
    return (
        isinstance(system, ResidualMap)
        and system.depth is None
        and system.activation.name in _RANGES
        and circulant(system, period) is not None
    )


def enclosed(system: ResidualMap, period: int, max_boxes: int) -> Enclosed:
    """All orbits with x_p = x_0, by branch and prune."""
    C = circulant(system, period)
    assert C is not None, "ask applies first"
    n, name = len(system.W), system.activation.name
    problem = intervals.Problem(
        B=np.kron(C, system.W),
        b=np.tile(system.b, period),
        value=system.activation.value,
        slope=system.activation.derivative,
        steepest=_SLOPES[name],
        bounds=_RANGES[name],
    )
    if not np.isfinite(np.abs(problem.B).sum()):
        nothing = np.empty((0, period, n)), np.empty(0, dtype=np.int64)
        return Enclosed(*nothing, False, "the weights are too large for interval arithmetic")
    found = intervals.solutions(problem, max_boxes=max_boxes)
    y = found.y.reshape(-1, period, n)
    first, least, parted = _once(y)
    x = np.einsum("kj,mjn->mkn", C, y[first])
    low, high = _RANGES[name]
    box = f"interval branch and prune of the box [{low:g}, {high:g}]^{n * period} of the activations around a cycle"
    if found.finished and not len(found.undecided) and parted:
        return Enclosed(x, least, True, f"{box}: each cycle proved, nothing left ({found.boxes} boxes)")
    why = f"stopped after {found.boxes} boxes; allow more with max_boxes"
    if found.finished:
        why = f"{len(found.undecided)} tiny boxes could not be decided (cycles merge there, or fill a curve)"
    if found.finished and not parted:
        why = "cycles that lie closer than rounding were not told apart"
    return Enclosed(x, least, False, f"{box}: {why}")


def _once(y: Array) -> tuple[Array, Array, bool]:
    """One solution (n, p, N) of each cycle, how often it repeats, and whether all shifts of all solutions are there.

    Each solution is proved to be alone in a box of its own, and a shift of it is a solution too. So the shift by one
    layer permutes the solutions, and the cycles of this permutation are those of the map: no tolerance parts them.
    """
    n, p = y.shape[:2]
    following = np.empty(n, dtype=np.int64)
    apart = np.empty(n)
    for i in range(n):
        away = np.abs(y - np.roll(y[i], -1, axis=0)).max(axis=(1, 2), initial=0.0)
        following[i] = np.argmin(away)
        apart[i] = away[following[i]]
    # a search that stopped early may hold some shifts of a solution only
    near = apart <= _SHIFT
    firsts, least = [], []
    free = np.ones(n, dtype=bool)
    preceded = np.zeros(n, dtype=bool)
    preceded[following[near]] = True
    for i in np.argsort(preceded, kind="stable"):
        if not free[i]:
            continue
        members, at = [int(i)], int(i)
        while near[at] and free[following[at]] and following[at] != i:
            at = int(following[at])
            members.append(at)
            free[at] = False
        free[i] = False
        closed = near[at] and following[at] == i
        firsts.append(int(i))
        least.append(len(members) if closed else p)
    whole = bool(near.all()) and len(np.unique(following)) == n and all(p % q == 0 for q in least)
    return np.array(firsts, dtype=np.int64), np.array(least, dtype=np.int64), whole
