"""What networks of few units do over the coefficient: certificates, exponents, attractors and their basins."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments.yang2020_interpolation.discretisations import family
from resdyn import Status

Array = NDArray[Any]

DYNAMICS = ("flow", "map")
# no certificate, convergence to some fixed point, one attractor for all
NOTHING, SOME, ONE = range(3)
# the forms whose conclusion is one fixed point that attracts everything, and those of convergence to some
GLOBAL = ("diagonal stability", "contraction")
GRADIENT_LIKE = ("gradient", "Hopfield energy")
KIND_NUMBERS = {"fixed point": 0, "cycle": 1, "limit cycle": 2, "quasiperiodic": 3, "chaotic": 4, "unknown": 5}
REACH = 3.0
"""Half the width of the box of initial states: for λ ≥ 1/3 it holds every fixed point of units with |φ| ≤ 1."""


def level(system: resdyn.ResidualMap, dynamics: str) -> int:
    """The strongest conclusion that a Lyapunov function in closed form proves."""
    form = resdyn.lyapunov_function(system, dynamics=dynamics).form
    return ONE if form in GLOBAL else SOME if form in GRADIENT_LIKE else NOTHING


def leading_exponent(system: resdyn.ResidualMap, dynamics: str, starts: Array, depth: int, transient: int) -> Array:
    """The largest Lyapunov exponent from each start; infinite where the orbit runs away."""
    found = resdyn.lyapunov_spectrum(system, starts, depth=depth, transient=transient, n_exponents=1, dynamics=dynamics)
    return np.where(found.status == Status.OK, found.exponents[..., 0], np.inf)


def resting_states(system: resdyn.ResidualMap, dynamics: str, starts: Array, depth: int) -> int:
    """How many different states orbits end in that came to rest; 0 where some do not."""
    end = resdyn.simulate(system, starts, depth=depth, method="residual" if dynamics == "map" else "RK45", save="final")
    if (end.status != Status.OK).any():
        return 0
    # a state at rest moves by rounding (map), or by the tolerance of the integrator, and slow ones count as moving
    if abs(system.residual(0.0, end.final)).max() > 1e-4:
        return 0
    different: list[Array] = []
    for x in end.final:
        if all(abs(x - y).max() > 1e-2 for y in different):
            different.append(x)
    return len(different)


def surveyed(kind: str, W: Array, coefficients: Any, starts: Array, depth: int, transient: int) -> dict[str, Array]:
    """One net over the coefficient, as flow and as map: certificate, largest exponent, number of resting states."""
    of = family(kind, W)
    rows: dict[str, list[list[Any]]] = {"level": [], "exponent": [], "rests": []}
    for dynamics in DYNAMICS:
        systems = [of(lam) for lam in coefficients]
        rows["level"].append([level(s, dynamics) for s in systems])
        rows["exponent"].append([leading_exponent(s, dynamics, starts[:2], depth, transient).max() for s in systems])
        rows["rests"].append([resting_states(s, dynamics, starts, transient + depth) for s in systems])
    return {name: np.array(table) for name, table in rows.items()}


def spiral(growth: float, rotation: float) -> Array:
    """Weights of two units that turn and stretch: growth ± i rotation are their eigenvalues."""
    return np.array([[growth, -rotation], [rotation, growth]])


def basins(system: resdyn.ResidualMap, dynamics: str, cells: int, depth: int) -> dict[str, Array]:
    """Labels of a grid, −1 where there is none; kinds and shares of the attractors, at most ``MOST``."""
    axis = np.linspace(-REACH, REACH, cells)
    found = resdyn.basins_of_attraction(system, (axis, axis), dynamics=dynamics, depth=depth)
    kinds, shares = np.full(MOST, -1), np.zeros(MOST)
    kinds[: len(found.attractors)] = [KIND_NUMBERS[kind] for kind in found.attractors.kinds][:MOST]
    shares[: len(found.attractors)] = found.fractions[:MOST]
    return {
        "labels": found.labels,
        "kinds": kinds,
        "shares": shares,
        "diverged": np.array(found.diverged),
        "undecided": np.array(found.undecided),
    }


MOST = 8
