"""What signs of interactions imply for the flow and for the map, in words, each with its source."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from resdyn.analysis.interactions import Cooperation

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
    if not found.from_weights:
        yield _observed(found, "the flow")
        return
    if found.forcing == "noise":
        yield _of_noise()
        return
    if found.balanced:
        steady = "" if found.n_layers is None else f": each of the {found.n_layers} layers does, in the same orthant"
        yield f"The flow preserves the {_order(found)}{steady}. [smith1995]"
    elif found.n_layers is not None:
        yield _of_layers(found)
        return
    elif found.competitive_orthant is None:
        yield f"The flow preserves the order of no orthant: {_frustration(found)}. [harary1953], [smith1995]"
        return
    if found.n_layers is not None or found.forcing:
        why = "The drive changes" if found.forcing else "The layers are finitely many and may differ"
        yield f"{why}, so theorems on the long run, which are about autonomous flows, say nothing."
        return
    if not found.slope.smooth:
        yield "The activation has a kink, so theorems on the long run, which need smooth flows, say nothing."
        return
    yield from _long_run(found)


def _long_run(found: "Cooperation") -> Iterator[str]:
    """Theorems on limit sets of smooth autonomous flows that are cooperative or competitive."""
    n = len(found.sign)
    competitive = found.competitive_orthant is not None
    if found.balanced:
        yield "An orbit that moves upwards in that order once does so for ever. [smith1995]"
    if n <= 2:
        whole = "every orbit of y converges" if found.closes else "every bounded orbit converges"
        yield f"With one unit {whole}." if n == 1 else f"With two units {whole}. [hirsch1985], [smith1995]"
    if competitive and not found.cooperative and n > 2:
        order = _order_of(found.competitive_orthant)
        yield f"Competitive: backwards in time the flow preserves the {order}. [smith1995]"
    if found.closes and n > 2 and _is_unbounded(found):
        # bounded is meant in z, away from the faces of the cube
        yield "No orbit of z = Wx + b is bounded, so theorems on bounded orbits say nothing."
        yield from _growth(found)
        return
    if found.balanced:
        yield "No periodic orbit attracts its neighbourhood. [smith1995]"
    if found.balanced and n > 2:
        if found.irreducible:
            yield f"Almost every {_bounded(found)} approaches the equilibria. [hirsch1985]"
        else:
            yield (
                f"W is reducible ({found.components.max() + 1} components): "
                "the order is preserved, but convergence of almost every orbit does not follow."
            )
    if n == 3:
        yield "A bounded limit set without an equilibrium is a periodic orbit. [smith1995]"
    elif n > 3 and competitive:
        yield f"The flow on a bounded limit set is that of a Lipschitz system in {n - 1} dimensions. [smith1995]"
    if n > 2 and found.closes:
        yield "Bounded is meant in z = Wx + b, away from the faces of the cube of y."
    yield from _growth(found)


def _is_unbounded(found: "Cooperation") -> bool:
    """Whether z leaves every bounded set: a bounded orbit needs Wy = 0 for some y inside (:eq:`mean-residual`)."""
    W = found.strengths
    singular = np.linalg.svd(W, compute_uv=False)
    regular = bool(singular[-1] > 8 * len(W) * np.finfo(float).eps * singular[0])
    return regular or (found.cooperative and found.irreducible and perron_sign(W) != 0)


def _growth(found: "Cooperation") -> Iterator[str]:
    """Where z goes, for flow and map alike, if all cooperate (:eq:`perron-growth`)."""
    if not (found.closes and found.cooperative and found.irreducible):
        return
    sign = perron_sign(found.strengths)
    if sign:
        yield (
            f"The sum of z, weighted with the positive left eigenvector of W, {'grows' if sign > 0 else 'shrinks'} "
            "without bound along every orbit of finite z."
        )


def perron_sign(W: Array) -> int:
    """The sign of the eigenvalue of W with the largest real part, for an irreducible W without hindrances.

    For any positive v it lies between the least and the largest (Wᵀv)_i/v_i (Collatz and Wielandt). 0 if power
    iteration does not bring both to one side of zero.
    """
    if not W.any():
        return 0
    W = W / np.abs(W).max()  # so that nothing overflows
    size = 1.0
    shift = size + max(0.0, -float(W.diagonal().min()))  # makes the matrix nonnegative with a positive diagonal
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
    if not found.from_weights:
        yield _observed(found, "the map")
        return
    if found.forcing == "noise":
        yield _of_noise()
        return
    if not found.balanced and found.n_layers is not None:
        yield _of_layers(found)
        return
    if not found.balanced:
        what = "The theorems on competitive flows do not carry over to maps." if found.competitive else ""
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
    if found.margin < 0 and found.n_layers is not None:
        yield (
            f"Not every layer preserves the order: h = {found.step:g}, but only {bound} would do for each; what all "
            "layers together do is not known."
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
    if found.n_layers is None and not found.forcing:
        yield "An orbit whose first step is upwards in that order goes upwards for ever. [hirsch2005]"
        if found.irreducible and found.margin > 0 and found.slope.smooth and found.all_bounded:
            yield (
                "A typical orbit (of a residual set of initial states) approaches a cycle, "
                "not necessarily a fixed point. [polacik1992]"
            )


def _of_noise() -> str:
    return "The trajectory is noisy, and theorems are about orbits without noise: ask cooperation(system) for those."


def _of_layers(found: "Cooperation") -> str:
    return (
        f"No order is preserved by every layer: {_frustration(found)}. What all layers together do is not known. "
        "[harary1953], [smith1995]"
    )


def _of_dropped(found: "Cooperation") -> str:
    return (
        f"{found.n_dropped} non-zero weights of size up to {found.threshold:g} were left out: signs are those of what "
        "remains, and no theorem follows for the system itself."
    )


def _observed(found: "Cooperation", what: str) -> str:
    if not found.balanced:
        result = f"{what} preserves the order of no orthant ({_frustration(found)})"
        if found.competitive:
            result = f"every unit hinders the others or leaves them alone; {result}"
    elif what == "the map" and found.margin is not None and found.margin < 0:
        result = f"the map does not preserve the order: the diagonal of I + hA reaches {found.margin:.3g}"
    else:
        result = f"signs are those of {what.replace('the', 'a', 1)} that preserves the {_order(found)}"
    return f"Observed at {counted_states(found.n_states)}, not proven elsewhere: {result}."


def _order(found: "Cooperation") -> str:
    return _order_of(found.orthant)


def _order_of(orthant: Array | None) -> str:
    assert orthant is not None
    if (orthant > 0).all():
        return "order x ≤ x′, unit by unit"
    signs = ", ".join("+" if s > 0 else "−" for s in orthant)
    if len(orthant) > 12:
        signs = f"{int((orthant < 0).sum())} of {len(orthant)} units reversed"
    return f"order of the orthant ({signs})"


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
