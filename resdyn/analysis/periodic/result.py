"""``Cycles``: arrays first; ``Cycle`` objects are made when asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from resdyn._results import Result, dataset, unit_dims
from resdyn._types import System
from resdyn.analysis.equilibria import stability

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

_UNIT = float(np.finfo(float).eps)


def _growth_and_margin(multipliers: Array, errors: Array) -> tuple[Array, Array]:
    return np.abs(multipliers) - 1.0, errors + 4 * _UNIT


@dataclass(frozen=True, eq=False, repr=False)
class Cycle:
    r"""A closed orbit.

    Attributes
    ----------
    x : array, shape (n, \*shape)
        Of a map the p states, in order; of a flow n states at equal times, :math:`x(jT/n)`.
    duration : float
        Time of one round: ph of a map, T of a flow.
    multipliers : complex array
        Of one round, the largest first: d of a map; d − 1 of a flow, whose trivial multiplier 1 is left out.
    errors : array
        How far each multiplier may be off: what rounding leaves of the eigenvalues, at least 1e-9 of the largest, and
        of a map what rounding of the states does to them, estimated from a few choices of its signs.
    residual_norm : float
        The largest gap: of a map ‖F(x_k) − x_{k+1}‖₂, of a flow ‖φ(x) − x′‖₂ between two neighbouring shooting points.
    dynamics : str
        "map" or "flow".
    trivial_multiplier_error : float
        Of a flow: how far its trivial multiplier was found from 1; NaN of a map.
    """

    x: Array
    duration: float
    multipliers: Array
    errors: Array
    residual_norm: float
    dynamics: str
    trivial_multiplier_error: float = np.nan

    @property
    def period(self) -> int | float:
        """Of a map the number p of layers in one round, of a flow the time T."""
        return len(self.x) if self.dynamics == "map" else self.duration

    @property
    def exponents(self) -> Array:
        r"""Rates log :math:`|\mu|` / duration, per unit t; −∞ for μ = 0."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.abs(self.multipliers)) / self.duration)

    def is_stable(self) -> bool | None:
        r"""Whether the cycle attracts its neighbourhood; None where a multiplier is too near modulus 1 to tell."""
        verdict = int(stability.verdict(*_growth_and_margin(self.multipliers, self.errors)))
        return None if verdict < 0 else bool(verdict)

    @property
    def kind(self) -> str:
        """Node, focus, saddle, centre (of the linearization) or non-hyperbolic."""
        growth, margin = _growth_and_margin(self.multipliers, self.errors)
        return stability.kind(growth, np.imag(self.multipliers), margin)

    def __repr__(self) -> str:
        word = {True: "stable", False: "unstable", None: "undecided"}[self.is_stable()]
        what = f"of period {self.period}" if self.dynamics == "map" else f"with T = {self.duration:.6g}"
        shown = np.array2string(np.ravel(self.x[0])[:6], precision=4, suppress_small=True)
        more = ", …" if self.x[0].size > 6 else ""
        values = [_number(value) for value in self.multipliers[:4]]
        many = ", …" if len(self.multipliers) > 4 else ""
        return (
            f"Cycle {what} through x = {shown}{more}: {word} {self.kind} of the {self.dynamics}, "
            f"multipliers {', '.join(values)}{many}; residual {self.residual_norm:.1e}."
        )


def _number(value: complex) -> str:
    return f"{value.real:.4g}" if value.imag == 0 else f"{value.real:.4g}{value.imag:+.4g}i"


@dataclass(frozen=True, eq=False, repr=False)
class Cycles(Result, Sequence[Cycle]):
    r"""The cycles of a system: a sequence of :class:`Cycle`, stored as arrays.

    A slice, a mask or an index array gives the cycles chosen.

    Attributes
    ----------
    x : array, shape (n, p, \*shape)
        The states of each cycle, begun at its least one; of a flow p states at equal times.
    multipliers, errors : array, shape (n, d), or (n, d − 1) of a flow
    residual_norm, duration : array, shape (n,)
    prime_period : integer array, shape (n,)
        Of a map the least number of layers after which a cycle repeats; 1 of a flow.
    hits : integer array, shape (n,)
        How many searches ended at each cycle; 0 where none was made.
    trivial_multiplier_error : array, shape (n,)
    period : int or float
        What was asked for.
    complete : bool
        Whether these are certainly all that were asked for.
    method : str
        How they were found.
    reason : str
        Why they are complete, or what was tried.
    stable : bool or None
        What was asked for: only stable ones, only unstable ones, or all.
    """

    x: Array
    multipliers: Array
    errors: Array
    residual_norm: Array
    duration: Array
    prime_period: Array
    hits: Array
    period: int | float
    complete: bool
    method: str
    reason: str
    system: System
    dynamics: str = "map"
    stable: bool | None = None
    trivial_multiplier_error: Array = field(default_factory=lambda: np.empty(0))

    _PER_CYCLE = (
        "x",
        "multipliers",
        "errors",
        "residual_norm",
        "duration",
        "prime_period",
        "hits",
        "trivial_multiplier_error",
    )

    def __len__(self) -> int:
        return len(self.x)

    @overload
    def __getitem__(self, index: int) -> Cycle: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice | list) or (isinstance(index, np.ndarray) and index.ndim):
            places = np.arange(len(self))[index]
            reason = f"{len(places)} of the {len(self)} cycles were chosen."
            return replace(self._take(places), complete=False, reason=reason)
        if isinstance(index, bool | np.bool_) or not isinstance(index, int | np.integer | np.ndarray):
            raise TypeError(f"cycles are indexed by an integer, a slice, a mask or integers, but got {index!r}.")
        place = int(index)
        if not -len(self) <= place < len(self):
            raise IndexError(f"there are {len(self)} cycles; index {place} is out of range.")
        # a cycle that goes round more than once in the period asked for is shown once
        n = int(self.prime_period[place]) if self.dynamics == "map" else self.x.shape[1]
        return Cycle(
            x=self.x[place, :n],
            duration=float(self.duration[place]),
            multipliers=self.multipliers[place],
            errors=self.errors[place],
            residual_norm=float(self.residual_norm[place]),
            dynamics=self.dynamics,
            trivial_multiplier_error=float(self.trivial_multiplier_error[place]),
        )

    def __iter__(self) -> Iterator[Cycle]:
        return (self[i] for i in range(len(self)))

    def _take(self, places: Array) -> Self:
        return replace(self, **{name: getattr(self, name)[places] for name in self._PER_CYCLE})

    @property
    def exponents(self) -> Array:
        r"""Rates log :math:`|\mu|` / duration of each cycle, per unit t, shape of ``multipliers``."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.abs(self.multipliers)) / self.duration[:, None])

    def stability(self) -> Array:
        """1 stable, 0 unstable, −1 not decided by linearization, for each cycle, int8 (n,)."""
        if not len(self):
            return np.empty(0, dtype=np.int8)
        return stability.verdict(*_growth_and_margin(self.multipliers, self.errors))

    def __repr__(self) -> str:
        n, verdicts = len(self), self.stability()
        asked = {None: "", True: "stable ", False: "unstable "}[self.stable]
        counts = f"{n} {asked}cycle{'s' if n != 1 else ''}"
        if self.dynamics == "map":
            counts += f" of period {self.period}"
        if n and self.stable is None:
            words = ((1, "stable"), (0, "unstable"), (-1, "undecided"))
            found = [(int((verdicts == v).sum()), word) for v, word in words]
            counts += " (" + ", ".join(f"{c} {word}" for c, word in found if c) + f" under the {self.dynamics})"
        if n and self.dynamics == "flow":
            counts += f", T = {self.duration.min():.6g}" + (f" to {self.duration.max():.6g}" if n > 1 else "")
        certainty = "complete" if self.complete else "maybe not all"
        return f"{counts} of {self.system.name!r}, {certainty}: {self.reason}"

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        rows = [
            (
                np.array2string(np.ravel(cycle.x[0])[:6], precision=4, suppress_small=True),
                f"{cycle.period:.6g}",
                cycle.kind,
                cycle.is_stable(),
                ", ".join(_number(value) for value in cycle.multipliers[:3]),
            )
            for cycle in self[:20]
        ]
        return ("through", "period", "kind", "stable", "multipliers"), rows

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over cycles: states, durations, multipliers and stability."""
        state = ["cycle", "point", *unit_dims(len(self.system.shape))]
        return dataset(
            {
                "x": (state, self.x),
                "multipliers": (["cycle", "multiplier"], self.multipliers),
                "errors": (["cycle", "multiplier"], self.errors),
                "duration": (["cycle"], self.duration),
                "prime_period": (["cycle"], self.prime_period),
                "residual_norm": (["cycle"], self.residual_norm),
                "hits": (["cycle"], self.hits),
                "stable": (["cycle"], self.stability()),
            },
            attrs={
                "system": self.system.name,
                "dynamics": self.dynamics,
                "period": self.period,
                "complete": int(self.complete),
                "method": self.method,
                "reason": self.reason,
            },
        )
