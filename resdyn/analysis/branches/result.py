"""``Branch``: arrays first; ``Bifurcation`` objects are made when asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._results import Result, dataset, unit_dims
from resdyn._types import System
from resdyn.analysis.branches.meeting import at_one_value, fold_between
from resdyn.analysis.branches.problem import Problem

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

_CRITICALITY = {"flip": 1.0, "Neimark–Sacker": -1.0, "Hopf": -1.0}
"""The sign of the coefficient of a supercritical bifurcation."""
# a coefficient has a sign where it is so many times larger than its error
_DECIDED = 10.0


def _shown(value: float) -> str:
    """A parameter in words; what is 0 but for rounding is 0."""
    return f"{0.0 if abs(value) < 1e-12 else value:.6g}"


@dataclass(frozen=True, eq=False, repr=False)
class Bifurcation:
    r"""A parameter at which the number or the stability of fixed points (or cycles) changes.

    Attributes
    ----------
    kind : str
        "fold", "branch point" (transcritical or pitchfork), "flip" and "Neimark–Sacker" of maps, "Hopf" of flows.
    value : float
        The parameter.
    x : array, shape ``system.shape``
        The state.
    eigenvalue : complex
        The critical one of A: 0, −2/h, or one of the pair.
    multiplier : complex
        1 + hλ: 1, −1, or :math:`e^{i\theta}` with θ > 0.
    direction : array, shape ``system.shape``
        The critical eigenvector, real at fold, branch point and flip.
    tangent : array, shape (d + 1,)
        Of the branch, in flattened state and parameter.
    coefficient : float
        Of the normal form: :math:`\tfrac12 w^{\mathsf T}B(v, v)` at fold and branch point (0 at a pitchfork), the cubic
        one at a flip, the first Lyapunov coefficient at Neimark–Sacker and Hopf. From finite
        differences at two spacings that agree; NaN where it is not known (several critical eigenvalues, rotation by a
        quarter, a third or a half turn, or no two spacings that agree to 10 %).
    coefficient_error : float
        By how much the coefficient differs between the two spacings, with what rounding adds.
    multiplicity : int
        The number of eigenvalues (pairs) that are critical together; above 1 in symmetric systems.
    period : int
        Of the cycle, 1 for a fixed point.
    step : float
        h of the layers of a period together.
    dynamics : str
        "map" or "flow".
    """

    kind: str
    value: float
    x: Array
    eigenvalue: complex
    direction: Array
    tangent: Array
    coefficient: float
    coefficient_error: float
    multiplicity: int
    period: int
    step: float
    dynamics: str

    @property
    def multiplier(self) -> complex:
        """1 + hλ."""
        return 1.0 + self.step * self.eigenvalue

    @property
    def angle(self) -> float:
        """θ, by which the map turns near a Neimark–Sacker bifurcation, in radians per period; else NaN."""
        return float(np.angle(self.multiplier)) if self.kind == "Neimark–Sacker" else np.nan

    @property
    def frequency(self) -> float:
        """ω of the oscillation at a Hopf bifurcation, in radians per unit t; else NaN."""
        return float(abs(self.eigenvalue.imag)) if self.kind == "Hopf" else np.nan

    @property
    def criticality(self) -> str | None:
        """Of flip, Neimark–Sacker and Hopf: "supercritical" or "subcritical"; None where the coefficient has no sign.

        It has one where it is larger than ten times its error.

        What is born at a supercritical bifurcation (2-cycle, closed curve, limit cycle) is stable if all other
        eigenvalues are; at a subcritical one it is unstable.
        """
        sign = _CRITICALITY.get(self.kind, np.nan)
        if not abs(self.coefficient * sign) > _DECIDED * self.coefficient_error:
            return None
        return "supercritical" if self.coefficient * sign > 0 else "subcritical"

    def __repr__(self) -> str:
        words = f"{self.criticality} {self.kind}" if self.criticality else self.kind
        shown = np.array2string(np.ravel(self.x)[:4], precision=4, suppress_small=True)
        more = ", …" if self.x.size > 4 else ""
        turning = ""
        if self.kind == "Neimark–Sacker":
            turning = f", turning by {np.rad2deg(self.angle):.4g}°"
        elif self.kind == "Hopf":
            turning = f", frequency {self.frequency:.4g}"
        several = f", {self.multiplicity}-fold" if self.multiplicity > 1 else ""
        of = f" of a {self.period}-cycle" if self.period > 1 else ""
        return f"Bifurcation at {_shown(self.value)}: {words}{of}{several}{turning}, x = {shown}{more}."


@dataclass(frozen=True, eq=False, repr=False)
class Branch(Result):
    r"""A curve of fixed points or cycles over a parameter; what :func:`resdyn.continuation` returns.

    Attributes
    ----------
    values : array, shape (n,)
        The parameter at each point.
    orbits : array, shape (n, period, \*shape)
        The states of the cycle at each point; :attr:`x` is the first of them.
    eigenvalues : complex array, shape (n, d)
        Of A at a fixed point, the fastest growing first; of a cycle such that :attr:`multipliers` are its own.
    steps : array, shape (n,)
        h of the layers of a period together.
    stable : int8 array, shape (n,)
        1 stable, 0 unstable, −1 undecided: an eigenvalue lies on the boundary within what is known of it.
    arclength : array, shape (n,)
        From the first point, in the norm :math:`\sqrt{|\delta x|^2/(d S^2) + (\delta p/P)^2}` with S the ``scale`` and
        P the length of the interval.
    tangents : array, shape (n, d + 1)
        In flattened state and parameter, of length one in that norm, in the order of the points.
    bifurcation_kinds, bifurcation_values, …
        The fields of :attr:`bifurcations`, as arrays.
    name : str
        Of the system at the first point.
    period : int
    dynamics : str
    interval : tuple of float
    reason : str
        Why the branch ends where it does, on both sides.
    closed : bool
        Whether it is a closed curve; the last point is the first one then.
    """

    values: Array
    orbits: Array
    eigenvalues: Array
    steps: Array
    stable: Array
    arclength: Array
    tangents: Array
    bifurcation_kinds: tuple[str, ...]
    bifurcation_values: Array
    bifurcation_states: Array
    bifurcation_eigenvalues: Array
    bifurcation_directions: Array
    bifurcation_tangents: Array
    bifurcation_coefficients: Array
    bifurcation_coefficient_errors: Array
    bifurcation_multiplicities: Array
    bifurcation_steps: Array
    name: str
    period: int
    dynamics: str
    interval: tuple[float, float]
    reason: str
    closed: bool
    scale: float = 1.0

    def __len__(self) -> int:
        return len(self.values)

    @property
    def x(self) -> Array:
        r"""The states, shape (n, \*shape)."""
        return self.orbits[:, 0]

    @property
    def multipliers(self) -> Array:
        """1 + hλ, complex (n, d); of a cycle the eigenvalues of the product of its blocks."""
        return 1.0 + self.steps[:, None] * self.eigenvalues

    @cached_property
    def bifurcations(self) -> tuple[Bifurcation, ...]:
        """In the order in which the branch meets them."""
        return tuple(self._bifurcation(i) for i in range(len(self.bifurcation_kinds)))

    def _bifurcation(self, i: int) -> Bifurcation:
        kind, direction = self.bifurcation_kinds[i], self.bifurcation_directions[i]
        return Bifurcation(
            kind=kind,
            value=float(self.bifurcation_values[i]),
            x=self.bifurcation_states[i],
            eigenvalue=complex(self.bifurcation_eigenvalues[i]),
            direction=direction if kind in ("Hopf", "Neimark–Sacker") else direction.real,
            tangent=self.bifurcation_tangents[i],
            coefficient=float(self.bifurcation_coefficients[i]),
            coefficient_error=float(self.bifurcation_coefficient_errors[i]),
            multiplicity=int(self.bifurcation_multiplicities[i]),
            period=self.period,
            step=float(self.bifurcation_steps[i]),
            dynamics=self.dynamics,
        )

    def crossings(self, family: Callable[[float], System], value: float) -> Array:
        r"""The states at which the branch meets one value of the parameter, shape (k, \*shape).

        Between neighbouring points, and between them and the fold that lies between them, the parameter rises or falls:
        where it passes the value the state is found by Brent's method along the branch, to about 1e-13 of the interval.
        Two folds within one step are not seen.

        Parameters
        ----------
        family : callable
            The one that the branch was made from.
        value : float

        Raises
        ------
        ValueError
            If the value lies outside the interval.
        """
        number = validate.within(value, "value", *self.interval)
        problem = Problem(family, self.interval, dynamics=self.dynamics, period=self.period, scale=self.scale)
        if problem.shape != self.orbits.shape[2:]:
            raise ValueError(
                f"the family has states of shape {problem.shape}, but the branch {self.orbits.shape[2:]}; "
                "pass the family that it was made from."
            )
        found = [
            problem.state(u) for u in at_one_value(problem, self._nodes(problem), problem.point(self.x[0], number))
        ]
        return np.array(found).reshape(-1, *self.orbits.shape[2:])

    def _nodes(self, problem: Problem) -> list[Array]:
        """u at the points and at the folds between them, in order: the parameter is monotone from node to node."""
        points = [problem.point(x, value) for x, value in zip(self.x, self.values, strict=True)]
        tangents = self.tangents / np.append(np.full(problem.size, problem.length), problem.width)
        nodes = []
        for k, u in enumerate(points):
            nodes.append(u)
            if k + 1 < len(points) and tangents[k, -1] * tangents[k + 1, -1] < 0:
                fold = fold_between(problem, (u, tangents[k]), (points[k + 1], tangents[k + 1]))
                nodes += [] if fold is None else [fold]
        return nodes

    def __repr__(self) -> str:
        what = "fixed points" if self.period == 1 else f"{self.period}-cycles"
        span = f"between {_shown(self.values.min())} and {_shown(self.values.max())}"
        stable = {1: "all stable", 0: "none stable"}.get(
            int(self.stable[0]) if (self.stable == self.stable[0]).all() else 2,
            f"{int((self.stable == 1).sum())} of them stable",
        )
        met = ", ".join(f"{b.kind} at {_shown(b.value)}" for b in self.bifurcations[:6]) or "no bifurcations"
        more = f" and {len(self.bifurcations) - 6} more" if len(self.bifurcations) > 6 else ""
        return (
            f"Branch of {what} of {self.name!r} ({self.dynamics}) {span}: {len(self)} points, {stable}; {met}{more}.\n"
            f"{self.reason}"
        )

    def _table(self) -> tuple[list[str], list[list[Any]]] | None:
        if not self.bifurcations:
            return None
        rows = [
            [b.kind, _shown(b.value), f"{b.multiplier:.4g}", b.criticality or "", f"{b.coefficient:.4g}"]
            for b in self.bifurcations[:12]
        ]
        return ["kind", "parameter", "multiplier", "criticality", "coefficient"], rows

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over points, states of a cycle, units and bifurcations."""
        units = unit_dims(self.orbits.ndim - 2)
        return dataset(
            {
                "x": (["point", "cycle_state", *units], self.orbits),
                "eigenvalues": (["point", "eigenvalue"], self.eigenvalues),
                "multipliers": (["point", "eigenvalue"], self.multipliers),
                "stable": (["point"], self.stable),
                "arclength": (["point"], self.arclength),
                "tangents": (["point", "direction"], self.tangents),
                "bifurcation_kind": (["bifurcation"], np.array(self.bifurcation_kinds, dtype=str)),
                "bifurcation_value": (["bifurcation"], self.bifurcation_values),
                "bifurcation_x": (["bifurcation", *units], self.bifurcation_states),
                "bifurcation_coefficient": (["bifurcation"], self.bifurcation_coefficients),
                "bifurcation_coefficient_error": (["bifurcation"], self.bifurcation_coefficient_errors),
            },
            coords={"parameter": (["point"], self.values)},
            attrs={
                "system": self.name,
                "dynamics": self.dynamics,
                "period": self.period,
                "closed": int(self.closed),
                "reason": self.reason,
            },
        )
