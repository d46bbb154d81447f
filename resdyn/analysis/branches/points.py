"""A point of a branch with everything that tells bifurcations."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.branches.corrector import tangent
from resdyn.analysis.branches.problem import Problem
from resdyn.analysis.equilibria import stability

Array = NDArray[Any]

# Eigenvalues that coincide come back as a pair with an imaginary part of the root of the rounding unit.
REAL = 1e-6


@dataclass(frozen=True, eq=False)
class Point:
    """A point u of a branch."""

    u: Array
    tangent: Array
    value: float
    step: float
    eigenvalues: Array
    """Of A, the fastest growing first."""
    stable: int
    """1, 0, or −1 for undecided."""
    border: float
    """The smallest singular value of ∂G/∂u, with the sign of the bordered determinant: 0 where branches meet."""
    dynamics: str

    @property
    def multipliers(self) -> Array:
        """1 + hλ."""
        return 1.0 + self.step * self.eigenvalues

    @property
    def critical(self) -> Array:
        """What has to pass its boundary: λ and 0 of a flow, μ and the unit circle of a map."""
        return self.eigenvalues if self.dynamics == "flow" else self.multipliers

    @property
    def growth(self) -> Array:
        """Re λ, or |μ| − 1."""
        return np.real(self.eigenvalues) if self.dynamics == "flow" else np.abs(self.multipliers) - 1.0

    @property
    def pairs(self) -> Array:
        """Which eigenvalues have a partner that is their conjugate."""
        scale = max(1.0, float(np.abs(self.critical).max(initial=0.0)))
        return np.abs(self.critical.imag) > REAL * scale

    @property
    def flips(self) -> float:
        """The distance of μ = −1 to the nearest multiplier, with the sign of det(I + M)."""
        factors = 1.0 + self.multipliers
        real = factors[~self.pairs].real
        return float(np.abs(factors).min()) * (-1.0 if np.count_nonzero(real < 0) % 2 else 1.0)

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many eigenvalues grow: real ones, real ones by alternation (μ < −1), and complex pairs."""
        grows = self.growth > 0
        alternates = (
            np.zeros_like(grows) if self.dynamics == "flow" else ~self.pairs & (self.multipliers.real < 0) & grows
        )
        return (
            int(np.count_nonzero(grows & ~self.pairs & ~alternates)),
            int(np.count_nonzero(alternates)),
            int(np.count_nonzero(grows & self.pairs)) // 2,
        )


def make_point(problem: Problem, u: Array, reference: Array | None = None) -> Point:
    """The point of a branch at u; its tangent is on the side of ``reference``."""
    matrix = problem.matrix(u)
    derivative = np.column_stack([matrix * problem.length, problem.slope(u) * problem.width])
    # the tangent is orthogonal to the rows above it: bordered, they keep their singular values
    along, smallest = tangent(derivative, reference)
    sign = float(np.linalg.slogdet(np.vstack([derivative, along]))[0])
    h = problem.step(u)
    values, errors = stability.eigenvalues_with_errors(matrix[None])
    growth, margin = stability.growth_and_margin(values[0], 1.0 + h * values[0], errors[0], h, problem.dynamics)
    order = np.argsort(-growth, kind="stable")
    return Point(
        u=u,
        tangent=along,
        value=problem.value(u),
        step=h,
        eigenvalues=values[0][order],
        stable=int(stability.verdict(growth, margin)),
        border=smallest if sign >= 0 else -smallest,
        dynamics=problem.dynamics,
    )
