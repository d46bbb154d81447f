"""A point of a branch with everything that tells bifurcations."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.branches.corrector import tangent
from resdyn.analysis.branches.problem import Problem
from resdyn.analysis.equilibria import stability

Array = NDArray[Any]


# relative to the norm of a matrix: a direction is lost to rounding where its smallest singular value is below
_SINGULAR = 1e-12


@dataclass(frozen=True, eq=False)
class Point:
    """A point u of a branch."""

    u: Array
    tangent: Array
    value: float
    step: float
    eigenvalues: Array
    """Of A, the fastest growing first."""
    errors: Array
    """How far rounding may have moved each eigenvalue."""
    margin: Array
    """How far from 0 the growth of each must be to mean anything."""
    stable: int
    """1, 0, or −1 for undecided."""
    border: float
    """The smallest singular value of ∂G/∂u, with the sign of the bordered determinant: 0 where branches meet."""
    size: float
    """The norm of ∂G/∂u."""
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
        """Which eigenvalues have a partner that is their conjugate, and are not real but for rounding."""
        return np.abs(self.eigenvalues.imag) > self.errors

    @property
    def flips(self) -> float:
        """The distance of μ = −1 to the nearest multiplier, with the sign of det(I + M)."""
        factors = 1.0 + self.multipliers
        real = factors[~self.pairs].real
        return float(np.abs(factors).min()) * (-1.0 if np.count_nonzero(real < 0) % 2 else 1.0)

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many eigenvalues certainly grow: real ones, real ones by alternation (μ < −1), and complex pairs."""
        which, pairs = self.growth > self.margin, self.pairs
        alternates = which & ~pairs & (self.critical.real < 0) & (self.dynamics == "map")
        return (
            int(np.count_nonzero(which & ~pairs & ~alternates)),
            int(np.count_nonzero(alternates)),
            int(np.count_nonzero(which & pairs)) // 2,
        )

    @property
    def neutral(self) -> Array:
        """Which eigenvalues lie on the boundary within what is known of them."""
        return np.asarray(~(np.abs(self.growth) > self.margin))

    @property
    def alternates(self) -> bool:
        """Whether the sign of ``flips`` is certain."""
        nearest = int(np.abs(1.0 + self.multipliers).argmin())
        return bool(abs(self.flips) > self.margin[nearest])

    @property
    def regular(self) -> bool:
        """Whether ∂G/∂u has full rank, so that the branch has one direction."""
        return bool(abs(self.border) > _SINGULAR * self.size)


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
        errors=errors[0][order],
        margin=np.broadcast_to(margin, growth.shape)[order],
        stable=int(stability.verdict(growth, margin)),
        border=smallest if sign >= 0 else -smallest,
        size=float(np.linalg.norm(derivative)),
        dynamics=problem.dynamics,
    )
