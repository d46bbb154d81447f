"""``Attractors`` and ``Basins``: arrays first; ``Attractor`` objects are made when asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._results import Result, dataset, unit_dims
from resdyn._types import System

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

SETTLED, BOUNDARY, DIVERGED, LONG_TRANSIENT, NEUTRAL = range(5)
OUTCOMES = {
    "settled": SETTLED,
    "boundary": BOUNDARY,
    "diverged": DIVERGED,
    "long transient": LONG_TRANSIENT,
    "neutral": NEUTRAL,
}
"""What became of an initial state, as the numbers in :attr:`Basins.outcomes`."""


@dataclass(frozen=True, eq=False)
class Attractor:
    r"""A set that attracts its neighbourhood.

    Attributes
    ----------
    points : array, shape (n, \*shape)
        The fixed point; a cycle of the map in its order; of other attractors a sample.
    y : array or None
        The residuals σ(z) of the points, for logistic residuals; there the points may be infinite.
    kind : str
        "fixed point", "cycle" (of the map), "limit cycle" (of the flow), "quasiperiodic", "chaotic", or "unknown",
        where exponents over 65536 layers do not tell.
    period : int
        Of a cycle of the map, in layers, the smallest one; 1 for a fixed point; 0 otherwise.
    multipliers : complex array, shape (d,)
        Of one turn of a cycle of the map; exp(hλ) for a fixed point of the flow; empty where there are none.
    radius : float
        An orbit this near has settled.
    """

    points: Array
    y: Array | None
    kind: str
    period: int
    multipliers: Array
    radius: float

    @property
    def centre(self) -> Array:
        """The mean of the points, shape ``system.shape``; of logistic residuals that of y."""
        return np.asarray((self.points if self.y is None else self.y).mean(axis=0))

    @property
    def is_stable(self) -> bool | None:
        """True where the multipliers prove it; None where the evidence is orbits that came back from nearby."""
        return True if self.multipliers.size and (np.abs(self.multipliers) < 1).all() else None

    def __repr__(self) -> str:
        name = f"{self.kind} of period {self.period}" if self.kind == "cycle" else self.kind
        shown = np.array2string(np.ravel(self.centre)[:6], precision=4, suppress_small=True)
        more = ", …" if self.centre.size > 6 else ""
        place = "at" if self.kind == "fixed point" else "around"
        letter = "x" if self.y is None else "y"
        largest = f", largest multiplier {np.abs(self.multipliers).max():.4g}" if self.multipliers.size else ""
        return f"Attractor: {name} {place} {letter} = {shown}{more}{largest}."


@dataclass(frozen=True, eq=False, repr=False)
class Attractors(Result, Sequence[Attractor]):
    r"""The attractors that were found: a sequence of :class:`Attractor`, stored as arrays.

    Attributes
    ----------
    points : array, shape (Σ lengths, \*shape)
        The points of all, one attractor after the other.
    y : array, same shape, or (0,)
        Their residuals σ(z), for logistic residuals.
    lengths, periods : int arrays, shape (n,)
    kinds : tuple of str
    multipliers : complex array, shape (n, d)
        NaN where there are none.
    radii : array, shape (n,)
        An orbit this near to a point of the attractor has settled on it. Balls of different attractors do not meet.
    unstable : array, shape (m, \*shape)
        Unstable fixed points and cycles that were met: a state that comes to one lies on a boundary.
    touch : float
        How near that is; within the radius of an attractor only rounding is.
    dwell, every, depth : int
        An orbit is tested every so many layers, has settled after ``dwell`` tests in a row, and is given up after
        ``depth`` layers.
    method : str
        "recurrences", "features", or "given".
    reason : str
        What can be promised, and what cannot.
    """

    points: Array
    y: Array
    lengths: NDArray[np.int64]
    periods: NDArray[np.int64]
    kinds: tuple[str, ...]
    multipliers: Array
    radii: Array
    unstable: Array
    touch: float
    dwell: int
    every: int
    depth: int
    method: str
    reason: str
    system: System
    dynamics: str
    rtol: float | None = None
    atol: float | None = None
    solver: str | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Attractor: ...
    @overload
    def __getitem__(self, index: slice) -> list[Attractor]: ...
    def __getitem__(self, index: int | slice) -> Attractor | list[Attractor]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = range(len(self))[index]
        piece = slice(int(self.lengths[:i].sum()), int(self.lengths[: i + 1].sum()))
        multipliers = self.multipliers[i]
        return Attractor(
            points=self.points[piece],
            y=self.y[piece] if self.y.size else None,
            kind=self.kinds[i],
            period=int(self.periods[i]),
            multipliers=multipliers[~np.isnan(multipliers)],
            radius=float(self.radii[i]),
        )

    @property
    def owners(self) -> NDArray[np.int64]:
        """The attractor that each of ``points`` belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def __repr__(self) -> str:
        head = f"Attractors of {self.system.name!r} ({self.dynamics}): {_count_of_kinds(self.kinds)}."
        listed = "".join(f"\n  {i}: {str(attractor)[11:]}" for i, attractor in enumerate(self[:8]))
        more = f"\n  … and {len(self) - 8} more" if len(self) > 8 else ""
        return f"{head} {self.reason}{listed}{more}"

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over points and attractors."""
        units = unit_dims(len(self.system.shape))
        variables: dict[str, tuple[Sequence[str], Any]] = {
            "points": (["point", *units], self.points),
            "owner": (["point"], self.owners),
            "period": (["attractor"], self.periods),
            "kind": (["attractor"], np.array(self.kinds, dtype=str)),
            "radius": (["attractor"], self.radii),
            "multipliers": (["attractor", "mode"], self.multipliers),
        }
        if self.y.size:
            variables["y"] = (["point", *units], self.y)
        return dataset(variables, attrs={"system": self.system.name, "dynamics": self.dynamics, "method": self.method})

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        rows = [
            (i, a.kind, a.period or "", np.array2string(np.ravel(a.centre)[:4], precision=4))
            for i, a in enumerate(self[:12])
        ]
        return ("attractor", "kind", "period", "centre"), rows


def _count_of_kinds(kinds: Sequence[str]) -> str:
    if not kinds:
        return "none found"
    counts = [(kinds.count(kind), kind) for kind in dict.fromkeys(kinds)]
    words = (
        f"{n} {kind}{'' if n == 1 or kind in ('quasiperiodic', 'chaotic', 'unknown') else 's'}" for n, kind in counts
    )
    return ", ".join(words)


@dataclass(frozen=True, eq=False, repr=False)
class Basins(Result):
    r"""Which attractor each initial state of a grid goes to.

    Attributes
    ----------
    labels : int array, shape of the grid
        Index into :attr:`attractors`; −1: none.
    outcomes : int array, shape of the grid
        What became of each state, one of ``OUTCOMES``: 0 settled; 1 boundary, it came to an unstable fixed point or
        cycle; 2 diverged, or its integration failed; 3 a long transient, not settled within ``depth`` layers;
        4 neutral, at rest or in motion in a continuum of fixed points or cycles, or around a centre (of more than 64
        states that did not settle, 64 are looked at, and if all of them are neutral the others count as neutral too).
    times : array, shape of the grid
        Layers (map) or t (flow) until the state was near its attractor to stay, known to ``every`` layers; NaN if it
        never was.
    coordinates : str
        "x", or "y" for a grid of residuals on the unit cube.
    plane_origin, plane_directions : arrays, shape (\*shape,) and (k, \*shape)
        The state at a point (s_1, …, s_k) of the grid is origin + Σ s_i direction_i. Empty for a grid of all state
        variables.
    """

    labels: NDArray[np.int64]
    outcomes: NDArray[np.int8]
    times: Array
    grid: Array
    plane_origin: Array
    plane_directions: Array
    coordinates: str
    points: Array
    y: Array
    lengths: NDArray[np.int64]
    periods: NDArray[np.int64]
    kinds: tuple[str, ...]
    multipliers: Array
    radii: Array
    unstable: Array
    touch: float
    dwell: int
    every: int
    depth: int
    method: str
    reason: str
    system: System
    dynamics: str
    rtol: float | None = None
    atol: float | None = None
    solver: str | None = None

    # --- what was found --------------------------------------------------------------------------

    @cached_property
    def attractors(self) -> Attractors:
        """The attractors, in the order of the labels."""
        return Attractors(**{field.name: getattr(self, field.name) for field in fields(Attractors)})

    @property
    def axes(self) -> tuple[Array, ...]:
        """The axes of the grid, one array each."""
        return tuple(np.split(self.grid, np.cumsum(self.labels.shape)[:-1]))

    @property
    def states(self) -> Array:
        r"""The initial states, shape (\*grid, \*shape): z where the grid is in residuals."""
        from resdyn.analysis.attraction.grids import states_of

        flat = states_of(self.system, self.axes, self.plane_origin, self.plane_directions, self.coordinates)
        return flat.reshape(*self.labels.shape, *self.system.shape)

    @property
    def counts(self) -> NDArray[np.int64]:
        """The number of grid points in each basin, shape (n_attractors,)."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.kinds))

    @property
    def fractions(self) -> Array:
        """The share of all grid points in each basin, shape (n_attractors,); they need not add up to 1."""
        return np.asarray(self.counts / self.labels.size)

    @property
    def fraction_intervals(self) -> Array:
        r"""Wilson's 95 % intervals of the fractions, shape (n_attractors, 2), [wilson1927]_.

        They hold for initial states drawn at random. For a regular grid, whose error usually is smaller, they say
        what as many random states would have told.
        """
        return wilson_interval(self.counts, self.labels.size)

    @property
    def boundary(self) -> NDArray[np.bool_]:
        """Where the orbit came within ``touch`` of a known unstable point."""
        return np.asarray(self.outcomes == BOUNDARY)

    @property
    def undecided(self) -> float:
        """The share of grid points whose orbits neither settled nor diverged nor came to a boundary."""
        return float(np.isin(self.outcomes, (LONG_TRANSIENT, NEUTRAL)).mean())

    @property
    def diverged(self) -> float:
        """The share of grid points whose orbits left all bounds."""
        return float((self.outcomes == DIVERGED).mean())

    def edges(self, *, diagonal: bool = False) -> NDArray[np.bool_]:
        """Grid points with a neighbour of another label, shape of the grid: the boundary as the picture shows it."""
        from scipy.ndimage import generate_binary_structure, maximum_filter, minimum_filter

        n = self.labels.ndim
        footprint = generate_binary_structure(n, n if diagonal else 1)
        # diverged states form a basin of their own, that of infinity
        shown = np.where(self.outcomes == DIVERGED, len(self.kinds), self.labels)
        low = minimum_filter(shown, footprint=footprint, mode="nearest")
        high = maximum_filter(shown, footprint=footprint, mode="nearest")
        return np.asarray(low != high)

    # --- more questions --------------------------------------------------------------------------

    def classify(self, x: Any) -> NDArray[np.int64]:
        r"""The labels of any states, shape (\*batch,) for x of shape (\*batch, \*shape), by the same rule."""
        from resdyn.analysis.attraction.basins import classified

        return classified(self.attractors, x)[0]

    def labels_and_outcomes(self, x: Any) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
        r"""What :meth:`classify` returns, and what became of each state, one of ``OUTCOMES``; shape (\*batch,) both."""
        from resdyn.analysis.attraction.basins import classified

        labels, outcomes, _ = classified(self.attractors, x)
        return labels, outcomes

    def entropy(self, **options: Any) -> Any:
        """:func:`resdyn.basin_entropy` of these basins."""
        from resdyn.analysis import boundaries

        return boundaries.basin_entropy(self, **options)

    def uncertainty_exponent(self, **options: Any) -> Any:
        """:func:`resdyn.uncertainty_exponent` of these basins."""
        from resdyn.analysis import boundaries

        return boundaries.uncertainty_exponent(self, **options)

    def minimal_shock(self, k: int, **options: Any) -> Any:
        """:func:`resdyn.minimal_shock` that leads out of basin k."""
        from resdyn.analysis import boundaries

        return boundaries.minimal_shock(self, k, **options)

    def edge_state(self, a: Any, b: Any, **options: Any) -> Any:
        """:func:`resdyn.edge_state` between states a and b of different basins."""
        from resdyn.analysis import boundaries

        return boundaries.edge_state(self, a, b, **options)

    # --- in words and for others ------------------------------------------------------------------

    def __repr__(self) -> str:
        size = " × ".join(map(str, self.labels.shape))
        shares = [
            f"{share:.3g} ({low:.3g} to {high:.3g})"
            for share, (low, high) in zip(self.fractions[:8], self.fraction_intervals[:8], strict=True)
        ]
        more = ", …" if len(self.kinds) > 8 else ""
        basins = f" with fractions {', '.join(shares)}{more} of the {size} states" if shares else f" for {size} states"
        others = [
            f"{share:.3g} {word}"
            for share, word in (
                (self.diverged, "diverged"),
                (float(self.boundary.mean()), "on a boundary"),
                (float((self.outcomes == LONG_TRANSIENT).mean()), f"not settled in {self.depth} layers"),
                (float((self.outcomes == NEUTRAL).mean()), "at rest in a neutral family"),
            )
            if share
        ]
        rest = f"; {', '.join(others)}" if others else ""
        return (
            f"Basins of {self.system.name!r} ({self.dynamics}): {_count_of_kinds(self.kinds)}{basins}{rest}. "
            f"{self.reason}"
        )

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over the axes of the grid."""
        units = unit_dims(self.labels.ndim)
        dims = units if not self.plane_directions.size else [f"direction_{i}" for i in range(self.labels.ndim)]
        return dataset(
            {
                "labels": (dims, self.labels),
                "outcomes": (dims, self.outcomes),
                "times": (dims, self.times),
                "fractions": (["attractor"], self.fractions),
                "fraction_intervals": (["attractor", "end"], self.fraction_intervals),
            },
            coords={
                **dict(zip(dims, self.axes, strict=True)),
                "attractor": np.arange(len(self.kinds)),
                "end": ["low", "high"],
            },
            attrs={"system": self.system.name, "dynamics": self.dynamics, "method": self.method, **OUTCOMES},
        )

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        rows = [
            (i, a.kind, f"{share:.4g}", f"{low:.4g} to {high:.4g}")
            for i, (a, share, (low, high)) in enumerate(
                zip(self.attractors[:12], self.fractions, self.fraction_intervals, strict=False)
            )
        ]
        return ("attractor", "kind", "fraction", "95 % interval"), rows


def wilson_interval(counts: Any, n: int) -> Array:
    """Wilson's 95 % intervals for shares of n, two numbers for each count."""
    z = 1.959963984540054
    share = np.asarray(counts) / validate.count(n, "n", least=1)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # the ends at 0 and 1 are exact, whatever rounding says
    low = np.where(share == 0, 0.0, np.maximum(middle - half, 0.0))
    high = np.where(share == 1, 1.0, np.minimum(middle + half, 1.0))
    return np.stack([low, high], axis=-1)
