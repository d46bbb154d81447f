"""``Manifold``: both arms of a curve, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn._results import Result, dataset, unit_dims
from resdyn._types import System

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

REASONS = {
    "length": "has the length asked for",
    "region": "left the region",
    "diverged": "left the finite numbers",
    "converged": "converged",
    "saddle": "came to another saddle, where rounding decides how it goes on",
    "slow": "hardly moves, at no state that is known to attract",
    "singular": "came to a state where the map has no inverse nearby",
    "points": "took all points allowed",
    "layers": "took all layers allowed",
    "time": "took all time allowed",
    "stiff": "was too stiff for the integrator",
}
"""Why an arm ends."""


@dataclass(frozen=True, eq=False, repr=False)
class Manifold(Result):
    r"""A one-dimensional stable or unstable manifold; what :func:`invariant_manifold` returns.

    Attributes
    ----------
    points : array, shape (n, \*shape)
        The states of the first arm and then those of the second. Both begin at the saddle.
    sizes : tuple of two ints
        How many states each arm has.
    arclength : array, shape (n,)
        From the saddle, along the states.
    direction : array, shape ``system.shape``
        The unit eigenvector along which the first arm leaves; the second leaves along its negative.
    eigenvalue : float
        λ of ∂f/∂x in this direction, of the iterated map where ``period`` is above 1.
    multiplier : float
        Of the map, 1 + phλ with p the period, or of the flow over one layer, exp(hλ).
    reasons : tuple of two str
        Why each arm ends: "length", "region", "diverged", "converged", "saddle", "slow", "singular", "points",
        "layers", "time" or "stiff"; their meaning is in the guide to phase portraits.
    which : str
        "stable" or "unstable".
    dynamics : str
        "map" or "flow".
    period : int
        Of the cycle to which the saddle belongs.
    start : float
        The distance from the saddle at which the local piece ends.
    defect : float
        By how much the local piece misses its equation of invariance there.
    system : System
    """

    points: Array
    sizes: tuple[int, int]
    arclength: Array
    direction: Array
    eigenvalue: float
    multiplier: float
    reasons: tuple[str, str]
    which: str
    dynamics: str
    period: int
    start: float
    defect: float
    system: System

    @property
    def arms(self) -> tuple[Array, Array]:
        r"""Both arms, from the saddle outwards, (n, \*shape) each."""
        return self.points[: self.sizes[0]], self.points[self.sizes[0] :]

    @property
    def curve(self) -> Array:
        r"""One curve: the second arm backwards, the saddle, the first arm, shape (n − 1, \*shape)."""
        first, second = self.arms
        return np.concatenate([second[:0:-1], first])

    @property
    def saddle(self) -> Array:
        """The fixed point, or the state of the cycle, shape ``system.shape``."""
        return self.points[0]

    @property
    def lengths(self) -> tuple[float, float]:
        """The arclength of each arm."""
        return float(self.arclength[self.sizes[0] - 1]), float(self.arclength[-1])

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` with the variables points, arclength and arm along the curve."""
        unit = unit_dims(len(self.system.shape))
        return dataset(
            {
                "points": (["point", *unit], self.points),
                "arclength": (["point"], self.arclength),
                "arm": (["point"], np.repeat([0, 1], self.sizes)),
                "direction": (unit, self.direction),
            },
            attrs={
                "system": self.system.name,
                "which": self.which,
                "dynamics": self.dynamics,
                "period": self.period,
                "eigenvalue": self.eigenvalue,
                "multiplier": self.multiplier,
                "reasons": " ".join(self.reasons),
            },
        )

    def __repr__(self) -> str:
        shown = np.array2string(np.ravel(self.saddle)[:6], precision=4, suppress_small=True)
        more = ", …" if self.saddle.size > 6 else ""
        of = "fixed point" if self.period == 1 else f"cycle of period {self.period}"
        ends = [
            f"one arm of length {length:.4g} {REASONS[reason]}"
            for length, reason in zip(self.lengths, self.reasons, strict=True)
        ]
        return (
            f"Manifold of {self.system.name!r}: {self.which} manifold ({self.dynamics}) of the {of} at "
            f"{shown}{more}, multiplier {self.multiplier:.4g}; {ends[0]}, {ends[1]}."
        )

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]] | None:
        rows = [
            (i + 1, size, f"{length:.6g}", REASONS[reason])
            for i, (size, length, reason) in enumerate(zip(self.sizes, self.lengths, self.reasons, strict=True))
        ]
        return ("arm", "points", "length", "the arm"), rows
