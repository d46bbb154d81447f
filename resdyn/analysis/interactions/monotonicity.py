"""What signs of interactions imply for the flow and for the map, in words, each with its source."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from resdyn.analysis.interactions.relations import Cooperation

Array = NDArray[Any]


@dataclass(frozen=True)
class Slope:
    """What is known of the slope φ′ of an activation: its infimum and supremum, and how it follows from y = φ(z)."""

    least: float
    most: float
    of_value: Callable[[Array], Array]
    smooth: bool = True
    """Continuously differentiable, with a slope above zero everywhere."""
    bounded: bool = False
    """Whether φ itself is bounded."""


# :eq:`steepest-slopes`
SLOPES = {
    "logistic": Slope(0.0, 0.25, lambda y: y * (1 - y), bounded=True),
    "tanh": Slope(0.0, 1.0, lambda y: 1 - y**2, bounded=True),
    "relu": Slope(0.0, 1.0, lambda y: (y > 0).astype(float), smooth=False),
    "softplus": Slope(0.0, 1.0, lambda y: -np.expm1(-y)),
    "identity": Slope(1.0, 1.0, np.ones_like),
}


def lowest_diagonal(self_influence: Array, damping: Array, slope: Slope) -> float:
    r"""The infimum of the diagonal of ∂f/∂x, :math:`-\lambda + \varphi'\alpha w_{ii}`, over states, units and layers.

    ``self_influence`` is αw_ii, shape (N,) or (T, N); ``damping`` is λ, shape () or (T,).
    """
    # linear in φ′, so it is least at an end of the range of φ′
    lowest = np.minimum(slope.least * self_influence, slope.most * self_influence).min(axis=-1)
    return float((lowest - damping).min())


def counted_states(n: int) -> str:
    """A number of states in words."""
    return "one state" if n == 1 else f"{n} states"


def flow_conclusions(found: "Cooperation") -> Iterator[str]:
    """What follows for the flow, most general first."""
    if found.n_dropped:
        yield _of_dropped(found)
        return
    if found.noisy:
        yield _of_noise("flow")
        return
    if not found.from_weights:
        yield _observed(found, "the flow")
        return
    if found.balanced:
        steady = f": each of the {found.n_layers} layers does, in the same orthant" if found.layered else ""
        yield f"The flow preserves the {_order(found)}{steady}. [smith1995]"
    elif found.layered:
        yield _of_some_layers(found)
    elif found.competitive_orthant is None:
        yield f"The flow preserves the order of no orthant: {_frustration(found)}. [harary1953], [smith1995]"
        return
    if found.n_layers is not None or found.driven:
        why = "The number of layers is fixed" if found.n_layers is not None else "The trajectory is driven"
        yield f"{why}, so theorems on the long run, which are about autonomous flows, say nothing."
        return
    if not found.slope.smooth:
        yield "The activation has a kink, so theorems on the long run, which need smooth flows, say nothing."
        return
    yield from _long_run(found)


def _long_run(found: "Cooperation") -> Iterator[str]:
    """Theorems on limit sets of smooth autonomous flows that are cooperative or competitive."""
    n = len(found.sign)
    if found.balanced:
        yield "An orbit that moves upwards in that order once does so for ever. [smith1995]"
        if found.irreducible and not found.none_bounded:
            yield "No periodic orbit attracts its neighbourhood. [hirsch1985]"
    if n <= 2:
        whole = "every orbit of y converges" if found.closes else "every bounded orbit converges"
        yield f"With one unit {whole}." if n == 1 else f"With two units {whole}. [hirsch1985], [smith1995]"
    elif found.balanced and found.irreducible and not found.none_bounded:
        yield f"Almost every {_bounded(found)} approaches the equilibria. [hirsch1985]"
    elif found.balanced and not found.irreducible:
        yield (
            f"W is reducible ({found.components.max() + 1} components): "
            "the order is preserved, but convergence of almost every orbit does not follow."
        )
    against = found.competitive_orthant
    if against is not None and not (found.cooperative and found.competitive) and n > 2:
        kind = "Competitive" if found.competitive else f"Competitive in the orthant {_signs(against)}"
        order = "order x ≤ x′, unit by unit" if found.competitive else "order of that orthant"
        yield f"{kind}: backwards in time the flow preserves the {order}. [smith1995]"
    if found.none_bounded:
        yield "No orbit of z is bounded, so theorems on bounded orbits say nothing."
    elif n == 3:
        yield "A bounded limit set without an equilibrium is a periodic orbit. [smith1995]"
    elif n > 3 and against is not None:
        yield f"The flow on a bounded limit set is that of a Lipschitz system in {n - 1} dimensions. [smith1995]"
    if n > 2 and found.closes and not found.none_bounded:
        yield (
            "Bounded is meant in z = Wx + b, away from the faces of the cube of y; "
            "no orbit is bounded unless Wy = 0 for some y with all 0 < y < 1."
        )
    yield from _growth(found)


def _growth(found: "Cooperation") -> Iterator[str]:
    """Where z goes, for flow and map alike, if all cooperate (:eq:`perron-growth`)."""
    if not (found.closes and not found.driven and found.cooperative and found.irreducible):
        return
    sign = perron_sign(found.strengths)
    if sign:
        yield (
            f"The sum of z, weighted with the positive left eigenvector of W, {'grows' if sign > 0 else 'shrinks'} "
            "without bound along every finite orbit."
        )


def perron_sign(W: Array) -> int:
    """The sign of the eigenvalue of W with the largest real part, for an irreducible W without hindrances.

    For any positive v it lies between the least and the largest (Wᵀv)_i/v_i (Collatz and Wielandt). 0 if power
    iteration does not bring both to one side of zero.
    """
    size = float(np.abs(W).max())
    if not size:
        return 0
    W = W / size  # huge weights must not overflow
    shift = 1.0 + max(0.0, -float(W.diagonal().min()))  # makes the matrix nonnegative with a positive diagonal
    rounding = len(W) * np.finfo(float).eps * shift
    v = np.ones(len(W))
    for _ in range(1000):
        moved = W.T @ v
        bounds = moved / v
        if bounds.min() > rounding:
            return 1
        if bounds.max() < -rounding:
            return -1
        v = moved + shift * v
        v /= v.max()
    return 0


def map_conclusions(found: "Cooperation") -> Iterator[str]:
    """What follows for the map."""
    if found.n_dropped:
        yield _of_dropped(found)
        return
    if found.noisy:
        yield _of_noise("map")
        return
    if not found.from_weights:
        yield _observed(found, "the map")
        return
    if not found.balanced and found.layered:
        yield _of_some_layers(found)
        return
    if not found.balanced:
        against = found.competitive_orthant is not None
        what = "The theorems on competitive flows do not carry over to maps." if against else ""
        yield f"The map preserves the order of no orthant: {_frustration(found)}. {what}".strip()
        return
    yield from _map_order(found)
    yield from _growth(found)


def _map_order(found: "Cooperation") -> Iterator[str]:
    """Whether the step is small enough for the map to preserve the order, and what follows."""
    every = np.isinf(found.largest_step)
    bound = "every step h" if every else f"steps h ≤ {found.largest_step:.6g}"
    if found.margin is None:
        yield f"For {bound} the map preserves the {_order(found)}{'' if every else ', and for no others'}. [hirsch2005]"
        return
    if found.margin < 0 and found.layered:
        yield (
            f"Not every layer preserves the order: h = {found.step:g}, but all do only for {bound}; "
            "what the whole does is not known."
        )
        return
    if found.margin < 0:
        yield (
            f"The map does not preserve the order: h = {found.step:g}, but only {bound} would do; the diagonal of "
            f"I + hA reaches {found.margin:.3g}. The conclusions on the flow do not carry over."
        )
        return
    yield (
        f"The map preserves the {_order(found)}, since h = {found.step:g}, and {bound} will do; "
        f"the diagonal of I + hA is nowhere below {found.margin:.3g}. [hirsch2005]"
    )
    if found.n_layers is None and not found.driven:
        yield "An orbit whose first step is upwards in that order goes upwards for ever. [hirsch2005]"
        # a margin above 0 bounds 1 − hλ from below, so with a bounded activation all orbits of the map are bounded too
        if found.irreducible and found.margin > 0 and found.slope.smooth and found.all_bounded:
            yield (
                "A typical orbit (of a residual set of initial states) approaches a cycle, "
                "not necessarily a fixed point. [polacik1992]"
            )


def _of_dropped(found: "Cooperation") -> str:
    what = "weights" if found.from_weights else "entries"
    return (
        f"{found.n_dropped} non-zero {what} of size up to {found.threshold:g} were left out: signs are those of what "
        "remains, and no theorem follows for the system itself."
    )


def _of_noise(what: str) -> str:
    return f"The trajectory is noisy, and the theorems are about a {what} without noise: they say nothing."


def _of_some_layers(found: "Cooperation") -> str:
    return (
        f"Not every layer preserves the order of one and the same orthant: {_frustration(found)}; "
        "what the whole does is not known."
    )


def _observed(found: "Cooperation", what: str) -> str:
    if not found.balanced and found.layered:
        result = f"not every layer preserves the order of one and the same orthant ({_frustration(found)})"
    elif not found.balanced:
        result = f"{what} preserves the order of no orthant ({_frustration(found)})"
        if found.competitive:
            result = f"every unit hinders the others or leaves them alone; {result}"
    elif what == "the map" and found.margin is not None and found.margin < 0:
        who = "not every layer preserves" if found.layered else "the map does not preserve"
        result = f"{who} the order: the diagonal of I + hA reaches {found.margin:.3g}"
    else:
        result = f"signs are those of {what.replace('the', 'a', 1)} that preserves the {_order(found)}"
    return f"Observed at {counted_states(found.n_states)}, not proven elsewhere: {result}."


def _order(found: "Cooperation") -> str:
    if found.cooperative:
        return "order x ≤ x′, unit by unit"
    assert found.orthant is not None
    return f"order of the orthant {_signs(found.orthant)}"


def _signs(orthant: Array) -> str:
    signs = ", ".join("+" if s > 0 else "−" for s in orthant)
    if len(orthant) > 12:
        signs = f"{int((orthant < 0).sum())} of {len(orthant)} units reversed"
    return f"({signs})"


def _frustration(found: "Cooperation") -> str:
    cycle = found.frustrated_cycle
    assert cycle is not None
    i, j = cycle[:2]
    if found.mixed[i, j] or found.mixed[j, i]:
        return f"the interaction of units {i} and {j} changes its sign"
    if len(cycle) == 2:
        return f"units {i} and {j} are predator and prey"
    path = "–".join(map(str, (*cycle, cycle[0])))
    return f"the cycle {path} has an odd number of hindrances"


def _bounded(found: "Cooperation") -> str:
    return "orbit (all are bounded)" if found.all_bounded else "bounded orbit"
