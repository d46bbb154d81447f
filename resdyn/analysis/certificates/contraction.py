r"""Contraction of the map: any two orbits approach each other, whatever drives both.

With slopes between ℓ and L, centre m and radius r of that interval, one layer shortens distances in the norm of D by

.. math:: \|(1 - h\lambda)I + hm\,\alpha W\|_D + hr\,\|\alpha W\|_D.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.certificates.margins import EPS, norm_bound
from resdyn.analysis.certificates.preactivations import Preactivations, fixed_point
from resdyn.analysis.certificates.question import Question, all_finite, at_most
from resdyn.analysis.certificates.result import Certificate
from resdyn.analysis.certificates.scalings import feasible_scaling, map_scalings, map_terms
from resdyn.analysis.certificates.slopes import KNOWN, Slopes
from resdyn.matrix_family import ResidualMap

Array = NDArray[Any]


def contraction(question: Question) -> Certificate | str:
    """One layer, or every layer, shortens all distances."""
    system = question.system
    if question.dynamics == "flow":
        return "it is a property of the map"
    if not isinstance(system, ResidualMap):
        return f"{type(system).__name__} has no damping, and without it nothing contracts"
    slopes = KNOWN.get(system.activation.name)
    if slopes is None or slopes.activation is not system.activation:
        return f"no bounds of the slope of the activation {system.activation.name} are known"
    if slopes.least == 0 and not (np.asarray(system.damping) > 0).all():
        return "the damping is not positive, and where a slope of φ is 0 nothing else contracts"
    if system.depth is not None:
        return _layerwise(question, system, slopes)
    if isinstance(question.network, str):
        return question.network
    D, factor = _best_scaling(question, question.network)
    if factor >= 1:
        return f"one layer multiplies distances by up to {factor:.4g} ≥ 1 in the best norm found"
    return _to_a_fixed_point(question, question.network, D, factor)


def layer_factor(D: Array, M: Array, damping: float, step: float, slopes: Slopes) -> float:
    """The Lipschitz constant of one layer in the norm of D, rounded up."""
    root = np.sqrt(D)
    scaled = root[:, None] * M / root
    size = np.abs(scaled)
    middle, radius = (slopes.greatest + slopes.least) / 2, (slopes.greatest - slopes.least) / 2
    identity = (1 - step * damping) * np.eye(len(D))
    linear = norm_bound(
        identity + step * middle * scaled, (1 + step * abs(damping)) * np.eye(len(D)) + step * middle * size
    )
    if not radius:
        return linear * (1 + 4 * EPS)
    return (linear + step * radius * norm_bound(scaled, size)) * (1 + 4 * EPS)


def _best_scaling(question: Question, network: Preactivations) -> tuple[Array, float]:
    """The D among the simple choices with the smallest factor; if that is not below 1, the D of the LMI."""
    M, slopes = network.M, network.slopes

    def factor(D: Array) -> float:
        return layer_factor(D, M, network.damping, network.step, slopes)

    best = min(((factor(D), i, D) for i, D in enumerate(map_scalings(M))), key=lambda found: found[:2])
    if best[0] >= 1 and question.lmi and _may_contract(network):
        norm = (1 - abs(1 - network.step * network.damping)) / (network.step * slopes.greatest)
        D = feasible_scaling(map_terms(M, norm**2))
        if not isinstance(D, str):
            best = min(best, (factor(D), -1, D), key=lambda found: found[:2])
    return best[2], best[0]


def _may_contract(network: Preactivations) -> bool:
    """Whether a norm of M below the limit is possible at all: its spectral radius must be."""
    limit = (1 - abs(1 - network.step * network.damping)) / (network.step * network.slopes.greatest)
    return bool(limit > 0 and np.abs(np.linalg.eigvals(network.M)).max() < limit)


def _to_a_fixed_point(question: Question, network: Preactivations, D: Array, factor: float) -> Certificate | str:
    start = network.b if question.at is None else network.of(question.at)
    if not all_finite(start):
        return "a damped system has no infinite fixed points; pass a finite state as at="
    u = fixed_point(network, start)
    if u is None:
        return "there is one fixed point, but Newton's method did not reach it to rounding"
    x = network.state(u) if network.damping else np.linalg.solve(network.W, u - network.b)
    y = network.slopes.activation.value(network.of(x))
    size = np.abs(network.gain) * (
        np.abs(y) + network.slopes.greatest * (np.abs(network.W) @ np.abs(x) + np.abs(network.b))
    )
    error = (len(x) + 8) * EPS * (size + network.damping * np.abs(x))
    residual = float(np.sqrt((np.abs(question.system.residual(0.0, x)) + error) ** 2 @ D))
    return Certificate(
        question.system,
        "map",
        form="contraction",
        conclusion=(
            f"One layer multiplies every distance by at most {factor:.4g}: there is one fixed point, every orbit tends "
            "to it, and any two orbits under the same drive approach each other (echo-state property)."
        ),
        conditions=(at_most("factor", factor, 1.0, 0.0, _words(D)),),
        source="buehner2006",
        kind="distance",
        scaling=D,
        center=x,
        region=np.inf,
        slack=network.step * residual,
        rate=factor,
    )


def _layerwise(question: Question, system: ResidualMap, slopes: Slopes) -> Certificate | str:
    """Layers with weights of their own: each must contract, in the same norm."""
    assert system.depth is not None
    D = np.ones(system.shape[0])
    factors = []
    for layer in range(system.depth):
        W, _, damping, gain = system.layer(layer * system.step)
        factors.append(layer_factor(D, gain * W, damping, system.step, slopes))
    worst = int(np.argmax(factors))
    if factors[worst] >= 1:
        return f"layer {worst} multiplies distances by up to {factors[worst]:.4g} ≥ 1"
    return Certificate(
        system,
        "map",
        form="contraction",
        conclusion=(
            f"Every layer multiplies distances by at most {factors[worst]:.4g} (layer {worst}), all {system.depth} "
            f"together by at most {float(np.prod(factors)):.4g}: any two orbits under the same drive approach "
            "each other."
        ),
        conditions=tuple(at_most(f"layer {k}", factor, 1.0, 0.0, _words(D)) for k, factor in enumerate(factors)),
        source="buehner2006",
        kind="distance",
        scaling=D,
        region=np.inf,
        rate=factors[worst],
    )


def _words(D: Array) -> str:
    return "Lipschitz constant of a layer" + (" in the norm of D" if (D != 1).any() else "")
