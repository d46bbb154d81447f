"""Spectra of all units of a network for a batch of inputs, one after another, kept on disk as they come."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from resdyn import _memory
from resdyn import _validation as validate
from resdyn._results import Result, dataset
from resdyn.networks.linearization.batches import Measurement, Place, Request, measurements, request
from resdyn.networks.linearization.unit import LinearizedUnit, Reading
from resdyn.networks.unrolling.unrolled import UnrolledNetwork

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]


class Spread(NamedTuple):
    """Standard deviations between inputs; NaN for a single one."""

    fraction: Array
    """Of the fraction near 1, shape (readings, units)."""
    largest: Array
    """Of the largest singular value, shape (readings, units)."""


@dataclass(frozen=True, eq=False, repr=False)
class UnitSpectra(Result):
    r"""Spectra of the units of a network at the states that a batch of inputs makes.

    Units have different numbers of variables, so values are flattened, and :meth:`of` takes them apart.

    Attributes
    ----------
    name : str
        Of the network.
    units : tuple of str
    readings : tuple of str
    sizes : integer array, shape (units,)
        The number of singular values of each unit.
    active_inner, active_outer, ranks : integer arrays, shape (readings, units, inputs)
        p, s, and the rank of the branch as it counts in J; −1 where they are not known.
    atoms : integer array, shape (readings, units, inputs, 2)
        Multiplicities of the value a of the skip path, and of zero, by structure; −1 where they are not known.
    skip : array, shape (units,)
        a, in absolute value; NaN where it is not known.
    values : array, shape (readings, inputs, sum of sizes)
        Singular values, descending for each unit.
    seconds : array, shape (readings, units, inputs)
        That linearization and spectrum took.
    """

    name: str
    units: tuple[str, ...]
    readings: tuple[str, ...]
    sizes: NDArray[np.int64]
    active_inner: NDArray[np.int64]
    active_outer: NDArray[np.int64]
    ranks: NDArray[np.int64]
    atoms: NDArray[np.int64]
    skip: Array
    values: Array
    seconds: Array

    def of(self, unit: str, reading: Reading) -> Array:
        """Singular values of one unit, shape (inputs, size)."""
        r, u = _index(self.readings, reading, "reading"), _index(self.units, unit, "unit")
        return self.values[r][:, self._parts[u]]

    def fraction_within(self, width: float, center: float = 1.0) -> Array:
        """The share of singular values at most ``width`` from ``center``, shape (readings, units, inputs)."""
        near = abs(self.values - float(center)) <= validate.nonnegative(width, "width")
        return self._of_each_unit(lambda part: part.mean(axis=-1), near)

    @property
    def largest(self) -> Array:
        """Shape (readings, units, inputs)."""
        return self._of_each_unit(lambda part: part.max(axis=-1), self.values)

    @property
    def smallest(self) -> Array:
        """Shape (readings, units, inputs); zero after an activation that switches outputs off."""
        return self._of_each_unit(lambda part: part.min(axis=-1), self.values)

    @property
    def atom_shares(self) -> Array:
        """Multiplicities of a and of zero over the number of singular values, shape of ``atoms``; NaN if not known."""
        return np.where(self.atoms < 0, np.nan, self.atoms / self.sizes[:, None, None])

    def spread(self, width: float = 1e-3, center: float = 1.0) -> Spread:
        """How much inputs differ in the fraction within ``width`` of ``center``, and in the largest value."""
        fraction = self.fraction_within(width, center)
        if fraction.shape[-1] < 2:
            return Spread(*np.full((2, *fraction.shape[:2]), np.nan))
        return Spread(fraction.std(axis=-1, ddof=1), self.largest.std(axis=-1, ddof=1))

    @property
    def _parts(self) -> list[slice]:
        ends = np.cumsum([0, *self.sizes])
        return [slice(begin, end) for begin, end in pairwise(ends)]

    def _of_each_unit(self, reduce: Any, values: Array) -> Array:
        return np.stack([reduce(values[..., part]) for part in self._parts], axis=1)

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over reading, unit and input; values run along ``value``, unit after unit."""
        along = ["reading", "unit", "input"]
        return dataset(
            {
                "singular_value": (["reading", "input", "value"], self.values),
                "active_inner": (along, self.active_inner),
                "active_outer": (along, self.active_outer),
                "branch_rank": (along, self.ranks),
                "multiplicity": ([*along, "atom"], self.atoms),
                "size": (["unit"], self.sizes),
                "skip": (["unit"], self.skip),
                "seconds": (along, self.seconds),
            },
            coords={
                "reading": list(self.readings),
                "unit": list(self.units),
                "atom": ["skip", "zero"],
                "unit_of_value": ("value", np.repeat(self.units, self.sizes)),
            },
            attrs={"network": self.name},
        )

    @property
    def _gain(self) -> float:
        """Of the skip paths, where all have the same; else 1."""
        known = self.skip[~np.isnan(self.skip)]
        return float(known[0]) if known.size and (known == known[0]).all() else 1.0

    def __repr__(self) -> str:
        near, largest = self.fraction_within(1e-3, self._gain), self.largest
        r, u, _ = np.unravel_index(largest.argmax(), largest.shape)
        shares = ", ".join(
            f"{100 * np.median(share):.3g} % {reading} the last activation"
            for reading, share in zip(self.readings, near, strict=True)
        )
        return (
            f"UnitSpectra of {_counted(len(self.units), 'unit')} of {self.name!r} at "
            f"{_counted(near.shape[-1], 'input')}: within 0.001 of {self._gain:g} lie, in the median, {shares}; "
            f"the largest singular value is {largest.max():.3g} ({self.units[u]!r}, {self.readings[r]})."
        )

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        header = ["unit", "n", *(f"within 0.001 of {self._gain:g}, {r}" for r in self.readings), "smallest", "largest"]
        near, low, high = self.fraction_within(1e-3, self._gain), self.smallest, self.largest
        shown = np.unique(np.linspace(0, len(self.units) - 1, 6).round().astype(int))
        return header, [
            [
                self.units[u],
                int(self.sizes[u]),
                *(f"{100 * np.median(share):.3g} %" for share in near[:, u]),
                f"{low[:, u].min():.3g}",
                f"{high[:, u].max():.3g}",
            ]
            for u in shown
        ]


@dataclass(frozen=True, eq=False, repr=False)
class UnitCounts(Result):
    r"""How many singular values of the units of a network are greater than thresholds, for a batch of inputs.

    Attributes
    ----------
    name : str
        Of the network.
    units : tuple of str
    readings : tuple of str
    sizes : integer array, shape (units,)
        The number of singular values of each unit.
    thresholds : array, shape (thresholds,)
        Ascending.
    counts : integer array, shape (readings, units, inputs, thresholds)
    active_inner, active_outer : integer arrays, shape (readings, units, inputs)
        p and s; −1 where they are not known.
    seconds : array, shape (readings, units, inputs)
        That linearization and counts took.
    """

    name: str
    units: tuple[str, ...]
    readings: tuple[str, ...]
    sizes: NDArray[np.int64]
    thresholds: Array
    counts: NDArray[np.int64]
    active_inner: NDArray[np.int64]
    active_outer: NDArray[np.int64]
    seconds: Array

    def of(self, unit: str, reading: Reading) -> NDArray[np.int64]:
        """Counts of one unit, shape (inputs, thresholds)."""
        return self.counts[_index(self.readings, reading, "reading"), _index(self.units, unit, "unit")]

    @property
    def fractions(self) -> Array:
        """Counts over the number of singular values, shape of ``counts``."""
        return self.counts / self.sizes[:, None, None]

    def fraction_between(self, low: float, high: float) -> Array:
        """The share of singular values with low < σ ≤ high, two of the thresholds; shape (readings, units, inputs)."""
        first, last = (self._threshold(t) for t in (low, high))
        if first > last:
            raise ValueError(f"low = {low:g} is greater than high = {high:g}; exchange them.")
        return self.fractions[..., first] - self.fractions[..., last]

    def _threshold(self, t: float) -> int:
        found = np.flatnonzero(np.isclose(self.thresholds, t, rtol=1e-12, atol=0))
        if not found.size:
            raise ValueError(f"{t!r} is none of the thresholds {', '.join(map(str, self.thresholds.tolist()))}.")
        return int(found[0])

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over reading, unit, input and threshold."""
        along = ["reading", "unit", "input"]
        return dataset(
            {
                "count": ([*along, "threshold"], self.counts),
                "active_inner": (along, self.active_inner),
                "active_outer": (along, self.active_outer),
                "size": (["unit"], self.sizes),
                "seconds": (along, self.seconds),
            },
            coords={"reading": list(self.readings), "unit": list(self.units), "threshold": self.thresholds},
            attrs={"network": self.name},
        )

    def __repr__(self) -> str:
        shares = ", ".join(
            f"{t:.4g}: {100 * share:.3g} %"
            for t, share in zip(self.thresholds, np.median(self.fractions, axis=(0, 1, 2)), strict=True)
        )
        return (
            f"UnitCounts of {_counted(len(self.units), 'unit')} of {self.name!r} at "
            f"{_counted(self.counts.shape[2], 'input')}: median share of singular values above {shares}."
        )

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        shown = np.unique(np.linspace(0, len(self.units) - 1, 6).round().astype(int))
        rows = [
            [self.units[u], reading, int(self.sizes[u]), *(f"{count:g}" for count in np.median(counts[u], axis=0))]
            for reading, counts in zip(self.readings, self.counts, strict=True)
            for u in shown
        ]
        return ["unit", "reading", "n", *(f"> {t:.6g}" for t in self.thresholds)], rows


def unit_spectra(
    network: UnrolledNetwork,
    x: Any,
    *,
    units: Sequence[str] | None = None,
    readings: Sequence[Reading] = ("before", "after"),
    skip_scale: float = 1.0,
    weight_scale: float = 1.0,
    masks: str = "held",
    path: str | Path | None = None,
    progress: bool = False,
    workers: int = 1,
) -> UnitSpectra:
    r"""Exact singular values of the units of a network, for a batch of inputs.

    Each unit is linearized at the state that the input makes before it, in double precision. Scales change the
    linearizations and not the states.

    Parameters
    ----------
    network : UnrolledNetwork
    x : array or tensor, shape (batch, \*shape)
        Inputs of the network.
    units : names, optional
        All by default.
    readings : words
        Of "before" and "after" the activation that follows the addition.
    skip_scale, weight_scale, masks
        As for :func:`resdyn.networks.linearize`.
    path : str or Path, optional
        A folder in which each spectrum is kept when it is done; a second call goes on where the first was stopped.
        More inputs, other units and other readings may be asked for later; another network (known by its weights,
        and by the states that the first input makes, to nine digits) or other options are refused.
    progress : bool
        Whether to show a bar.
    workers : int
        Processes that share the work, each with one thread. A script that takes more than one needs the usual
        ``if __name__ == "__main__":``.

    Returns
    -------
    UnitSpectra

    Raises
    ------
    KeyError
        For a unit that the network does not have.
    MemoryError
        If the values cannot fit: ask for fewer inputs or units, or for :func:`resdyn.networks.unit_counts`.
    NotADirectoryError
        If ``path`` is a file.
    TypeError, ValueError
        For what is no unrolled network or no batch of its inputs, other words, or a folder of another request.
    """
    options = _options(skip_scale, weight_scale, masks)
    asked = request(network, x, units, readings, options, _Spectra())
    entries = len(asked.readings) * len(asked.x) * int(asked.sizes.sum())
    _memory.require(2 * 8 * entries, "the singular values", "take fewer inputs or units, or unit_counts")
    found = measurements(asked, path, progress, workers)
    structure = _gathered(asked, found, "structure")
    skip = _gathered(asked, found, "skip")
    values = [
        [np.concatenate([found[Place(i, u, reading)]["values"] for u in asked.units]) for i in range(len(asked.x))]
        for reading in asked.readings
    ]
    return UnitSpectra(
        name=network.name,
        units=asked.names,
        readings=asked.readings,
        sizes=asked.sizes,
        active_inner=structure[..., 0],
        active_outer=structure[..., 1],
        ranks=structure[..., 2],
        atoms=structure[..., 3:],
        skip=skip[0, :, 0],
        values=np.array(values),
        seconds=_gathered(asked, found, "seconds"),
    )


def unit_counts(
    network: UnrolledNetwork,
    x: Any,
    thresholds: Any,
    *,
    units: Sequence[str] | None = None,
    readings: Sequence[Reading] = ("before", "after"),
    skip_scale: float = 1.0,
    weight_scale: float = 1.0,
    masks: str = "held",
    path: str | Path | None = None,
    progress: bool = False,
    workers: int = 1,
) -> UnitCounts:
    r"""Exact numbers of singular values above thresholds, where a whole spectrum would take too long.

    Parameters
    ----------
    thresholds : array, shape (thresholds,)
        Positive, ascending. The share within w of 1 is that between 1 − w and 1 + w.
    network, x, units, readings, skip_scale, weight_scale, masks, path, progress, workers
        As for :func:`resdyn.networks.unit_spectra`.

    Returns
    -------
    UnitCounts
    """
    levels = validate.real_array(thresholds, "thresholds").astype(float)
    if levels.ndim != 1 or not levels.size or levels[0] <= 0 or (np.diff(levels) <= 0).any():
        raise ValueError(f"thresholds must be positive numbers, ascending, at least one, but are {levels.tolist()}.")
    options = _options(skip_scale, weight_scale, masks)
    asked = request(network, x, units, readings, options, _Counts(tuple(levels.tolist())))
    found = measurements(asked, path, progress, workers)
    structure = _gathered(asked, found, "structure")
    return UnitCounts(
        name=network.name,
        units=asked.names,
        readings=asked.readings,
        sizes=asked.sizes,
        thresholds=levels,
        counts=_gathered(asked, found, "counts"),
        active_inner=structure[..., 0],
        active_outer=structure[..., 1],
        seconds=_gathered(asked, found, "seconds"),
    )


def _options(skip_scale: float, weight_scale: float, masks: str) -> dict[str, Any]:
    """Checked before a folder says that it holds what was asked for."""
    scales = {"skip_scale": skip_scale, "weight_scale": weight_scale}
    for name, scale in scales.items():
        if validate.real_array(scale, name).ndim:
            raise ValueError(f"{name} must be a number, but has shape {np.shape(scale)}.")
    words = {"masks": validate.choice(masks, "masks", ("held", "recomputed"))}
    return {name: float(scale) for name, scale in scales.items()} | words


@dataclass(frozen=True)
class _Spectra:
    """All singular values, and the structure of the unit."""

    kind: str = "UnitSpectrum"

    @property
    def settings(self) -> dict[str, Any]:
        return {}

    def __call__(self, linearization: LinearizedUnit) -> Measurement:
        values = linearization.singular_values()
        structure = [*_active(linearization), -1, -1, -1]
        if linearization.factors is not None:
            structure[2:] = [linearization.rank, *_multiplicities(linearization)]
        return {"values": values, "structure": np.array(structure), "skip": np.array(_skip(linearization))}

    def fits(self, measurement: Measurement, size: int) -> bool:
        return {"values", "structure", "skip"} <= set(measurement) and measurement["values"].shape == (size,)


@dataclass(frozen=True)
class _Counts:
    """The numbers of singular values above thresholds."""

    thresholds: tuple[float, ...]
    kind: str = "UnitCounts of one unit"

    @property
    def settings(self) -> dict[str, Any]:
        return {"thresholds": list(self.thresholds)}

    def __call__(self, linearization: LinearizedUnit) -> Measurement:
        counts = linearization.count_above(np.array(self.thresholds))
        return {"counts": np.asarray(counts), "structure": np.array(_active(linearization))}

    def fits(self, measurement: Measurement, size: int) -> bool:
        counts = measurement.get("counts", np.array([]))
        return "structure" in measurement and counts.shape == (len(self.thresholds),) and bool((counts <= size).all())


def _active(linearization: LinearizedUnit) -> list[int]:
    """p and s."""
    found = (linearization.active_inner, linearization.active_outer)
    return [-1 if number is None else int(number) for number in found]


def _multiplicities(linearization: LinearizedUnit) -> list[int]:
    """Of |a|, and of zero."""
    zero = [atom.multiplicity for atom in linearization.atoms if atom.value == 0]
    others = [atom for atom in linearization.atoms if atom.value != 0]
    a = _skip(linearization)
    return [sum(atom.multiplicity for atom in others if np.isclose(atom.value, a, rtol=1e-12, atol=0)), sum(zero)]


def _skip(linearization: LinearizedUnit) -> float:
    return np.nan if linearization.factors is None else abs(linearization.factors.a)


def _gathered(asked: Request, found: dict[Place, Measurement], name: str) -> Array:
    """One quantity over readings, units and inputs."""
    return np.array(
        [
            [[found[Place(i, u, reading)][name] for i in range(len(asked.x))] for u in asked.units]
            for reading in asked.readings
        ]
    )


def _index(words: tuple[str, ...], word: str, what: str) -> int:
    if word not in words:
        raise KeyError(f"there is no {what} {word!r}; there are {', '.join(map(repr, words))}.")
    return words.index(word)


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"
