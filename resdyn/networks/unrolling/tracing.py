r"""What a batch of inputs goes through: states, residuals and branches of all units.

The batch is taken in parts, so that torch holds one part's state at a time. What is kept goes into arrays made before
the run, in memory or in files; a MemoryError comes before anything is run.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from resdyn import _memory, _storage
from resdyn import _validation as validate
from resdyn._results import Result, dataset
from resdyn.networks.unrolling.jacobians import AT_ONCE
from resdyn.networks.unrolling.stores import DiskStore, MemoryStore, read_folder
from resdyn.networks.unrolling.unit import Unit

if TYPE_CHECKING:
    import xarray

    from resdyn.networks.unrolling.unrolled import UnrolledNetwork

Array = NDArray[Any]
Quantity = Literal["states", "residuals", "branches"]
QUANTITIES: tuple[Quantity, ...] = ("states", "residuals", "branches")


@dataclass(frozen=True, eq=False, repr=False)
class UnitNorms(Result):
    r"""Euclidean norms of states and residuals, unit by unit and input by input.

    Attributes
    ----------
    name : str
        The network.
    units : tuple of str
        The names of the n units.
    states : array, shape (n + 1, batch)
        :math:`\|x_k\|` before the first unit and after each.
    residuals : array, shape (n, batch)
        :math:`\|B_k(x_k) - x_k\|`; at a unit that changes the shape :math:`\|B_k(x_k) - S_k(x_k)\|`, NaN where the
        shortcut :math:`S_k` is not known.
    entries : bool array, shape (n,)
        Which units change the shape of the state.
    """

    name: str
    units: tuple[str, ...]
    states: Array
    residuals: Array
    entries: Array

    @property
    def ratios(self) -> Array:
        r""":math:`\|r_k\| / \|x_k\|`, shape (n, batch): how much each unit moves the state, relative to its size."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.residuals / self.states[:-1]

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over row (before the first unit and after each), unit and batch."""
        return dataset(
            {
                "states": (["row", "batch"], self.states),
                "residuals": (["unit", "batch"], self.residuals),
                "ratios": (["unit", "batch"], self.ratios),
                "entries": (["unit"], self.entries),
            },
            coords={"row": np.arange(len(self.states)), "unit": list(self.units)},
            attrs={"network": self.name},
        )

    def __repr__(self) -> str:
        n, batch = self.residuals.shape
        if not batch:
            return f"UnitNorms of {self.name!r}: {n} units, no inputs."
        blocks = self.ratios[~self.entries]
        moved = ""
        if np.isfinite(blocks).any():
            median = np.nanmedian(blocks, axis=1)
            name = np.array(self.units)[~self.entries][int(np.nanargmax(median))]
            moved = (
                f"; a unit that keeps the shape moves it by {np.nanmedian(blocks):.3g} of its size, most {name} "
                f"({np.nanmax(median):.3g})"
            )
        return (
            f"UnitNorms of {self.name!r}, {n} units, {batch} input{'s' * (batch != 1)}: median state norm "
            f"{np.median(self.states[0]):.3g} → {np.median(self.states[-1]):.3g}{moved}."
        )

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        header = ("unit", "‖x‖ before", "‖residual‖", "ratio")
        if not self.residuals.shape[1]:
            return header, []
        columns = (np.median(values, axis=1) for values in (self.states[:-1], self.residuals, self.ratios))
        return header, [
            (name, *(f"{value:.3g}" for value in values)) for name, *values in zip(self.units, *columns, strict=True)
        ]


@dataclass(frozen=True, eq=False, repr=False)
class Trace(Result):
    r"""What a batch of inputs went through; :meth:`UnrolledNetwork.trace` returns it. A :class:`resdyn.NetworkTrace`.

    Attributes
    ----------
    name : str
        The network.
    units : tuple of str
        The names of the n units.
    states : tuple of n + 1 arrays, shapes (batch, \*shape_k)
        Before the first unit and after each; empty if not kept. With ``reduce``, what it returned.
    residuals : tuple of n arrays or None
        :math:`B_k(x_k) - x_k`, not divided by h; at a unit that changes the shape :math:`B_k(x_k) - S_k(x_k)`, None
        where the shortcut :math:`S_k` is not known.
    branches : tuple of n arrays or None
        :math:`g_k(x_k)`, with its gain; None where the branch is not known.
    logits : array, shape (batch, classes)
    entries : bool array, shape (n,)
        Which units change the shape of the state.
    state_norms, residual_norms : array, shapes (batch, n + 1) and (batch, n)
        Of the full states and residuals, see :meth:`norms`.
    """

    name: str
    units: tuple[str, ...]
    states: tuple[Array, ...]
    residuals: tuple[Array | None, ...]
    branches: tuple[Array | None, ...]
    logits: Array
    entries: Array
    state_norms: Array
    residual_norms: Array

    def norms(self) -> UnitNorms:
        r"""The norms :math:`\|x_k\|` and :math:`\|r_k\|` and their ratio, for each unit and input."""
        return UnitNorms(self.name, self.units, self.state_norms.T, self.residual_norms.T, self.entries)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one ``.npz`` (no pickle), whole or not at all."""
        arrays = {name: np.asarray(getattr(self, name)) for name in _ALWAYS}
        for name in QUANTITIES:
            arrays |= {f"{name}_{k:03d}": a for k, a in enumerate(getattr(self, name)) if a is not None}
        _storage.write_npz(path, arrays, self._described())

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, system: Any = None) -> Self:
        """Read what :meth:`save` wrote, or open the folder of a trace with ``path=``; its files are read when used."""
        if system is not None:
            raise TypeError("a Trace holds all it needs; leave system= out.")
        if Path(path).is_dir():
            arrays, meta = read_folder(Path(path), cls.__name__)
        else:
            arrays, meta = _storage.read_npz(path, cls.__name__)
        several: dict[str, Any] = {
            name: tuple(arrays.get(f"{name}_{k:03d}") for k in range(count)) for name, count in meta["kept"].items()
        }
        always: dict[str, Any] = {name: arrays[name] for name in _ALWAYS}
        always["entries"] = np.array(meta["entries"])
        return cls(name=meta["name"], units=tuple(meta["units"]), **several, **always)

    def _described(self) -> dict[str, Any]:
        kept = {name: len(getattr(self, name)) for name in QUANTITIES}
        return {
            "kind": type(self).__name__,
            "name": self.name,
            "units": list(self.units),
            "entries": self.entries.tolist(),
            "kept": kept,
        }

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset``: norms and logits, and each array with axes of its own (``states_0`` …)."""
        variables: dict[str, tuple[Sequence[str], Any]] = {
            "state_norms": (["batch", "row"], self.state_norms),
            "residual_norms": (["batch", "unit"], self.residual_norms),
            "entries": (["unit"], self.entries),
            "logits": (["batch", *(f"logit_{i}" for i in range(self.logits.ndim - 1))], self.logits),
        }
        for name in QUANTITIES:
            for k, array in enumerate(getattr(self, name)):
                if array is not None:
                    axes = [f"{name}_{k}_axis_{i}" for i in range(array.ndim - 1)]
                    variables[f"{name}_{k}"] = (["batch", *axes], array)
        coords = {"row": np.arange(len(self.units) + 1), "unit": list(self.units)}
        return dataset(variables, coords=coords, attrs={"network": self.name})

    def __repr__(self) -> str:
        kept = [name for name in QUANTITIES if getattr(self, name)]
        size = sum(a.nbytes for name in kept for a in getattr(self, name) if a is not None)
        held = f"{', '.join(kept)} ({_memory.readable(size)})" if kept else "norms and logits only"
        batch = len(self.logits)
        return (
            f"Trace of {self.name!r}: {batch} input{'s' * (batch != 1)} through {len(self.units)} units, "
            f"{int(self.entries.sum())} of which change the shape; {held}."
        )

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        return self.norms()._table()


_ALWAYS = ("logits", "state_norms", "residual_norms")


def trace_of(
    network: "UnrolledNetwork",
    x: Any,
    *,
    keep: Sequence[Quantity],
    reduce: Callable[[Array], Any] | None,
    path: str | Path | None,
    batch_size: int | None,
) -> Trace:
    """Run a batch through all units; :meth:`UnrolledNetwork.trace` says what the arguments are."""
    kept = _kept(keep)
    if reduce is not None and not callable(reduce):
        raise TypeError(f"reduce must be a function of an array, but is {reduce!r}.")
    inputs = network.stem.checked(x, network.stem.shape_before, "x")
    n = len(inputs)
    largest = max(int(np.prod(shape)) for shape in (network.stem.shape_before, *network.shapes))
    size = (
        max(1, AT_ONCE // max(largest, 1)) if batch_size is None else validate.count(batch_size, "batch_size", least=1)
    )
    run = _Run(network, kept, reduce)
    if not n:
        raise ValueError("x is an empty batch; pass at least one input.")
    if path is None and reduce is None:
        _require_memory(n * run.row_bytes(), n, network)
    # a first small part tells the shapes of what reduce returns, and of the logits
    probe = run.part(inputs[:1])
    rows = {name: ((n, *value.shape[1:]), value.dtype) for name, value in probe.items()}
    n_bytes = sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in rows.values())
    if path is None:
        _require_memory(n_bytes, n, network)
    store = MemoryStore(rows) if path is None else DiskStore(Path(path), rows, n_bytes)
    with store:
        for begin in range(0, n, size):
            for name, value in run.part(inputs[begin : begin + size]).items():
                store.write(name, begin, value)
        trace = run.collected(store.arrays())
        store.describe(trace._described())
    return trace if path is None else Trace.load(path)


def _require_memory(n_bytes: int, n: int, network: "UnrolledNetwork") -> None:
    _memory.require(
        n_bytes,
        f"the trace of {n} inputs through {len(network.units)} units",
        "pass path= for files instead of memory, reduce= for statistics, fewer inputs, or less in keep=",
    )


def _kept(keep: Any) -> tuple[Quantity, ...]:
    if keep is None:
        raise TypeError(
            f"keep must be words of {', '.join(QUANTITIES)}, but is None; for norms and logits pass keep=()."
        )
    words = (keep,) if isinstance(keep, str) else tuple(keep)
    for word in words:
        validate.choice(word, "keep", QUANTITIES)
    return tuple(name for name in QUANTITIES if name in words)


@dataclass(frozen=True, eq=False)
class _Run:
    network: "UnrolledNetwork"
    keep: tuple[Quantity, ...]
    reduce: Callable[[Array], Any] | None

    def row_bytes(self) -> int:
        """What is kept of one input, if nothing is reduced."""
        units, shapes = (
            self.network.units,
            {
                "states": self.network.shapes,
                "residuals": [unit.shape_after for unit in self.network.units if unit.has_residual],
                "branches": [unit.shape_after for unit in self.network.units if unit.branch is not None],
            },
        )
        numbers = sum(int(np.prod(shape)) for name in self.keep for shape in shapes[name])
        return numbers * self.network.placement.numpy.itemsize + 8 * (2 * len(units) + 1)

    def part(self, inputs: Any) -> dict[str, Array]:
        """All that is kept of a part of the batch, by name."""
        units, values = self.network.units, dict[str, Array]()
        x = _array(self.network.stem(inputs))
        norms: dict[str, list[Array]] = {"state_norms": [_norm(x)], "residual_norms": []}
        self._put(values, "states", 0, x)
        for k, unit in enumerate(units):
            if "branches" in self.keep and unit.branch is not None:
                self._put(values, "branches", k, unit.branch(x))
            after = unit(x)
            residual = _residual(unit, x, after)
            if residual is not None:
                self._put(values, "residuals", k, residual)
            x = after
            self._put(values, "states", k + 1, x)
            norms["state_norms"].append(_norm(x))
            norms["residual_norms"].append(np.full(len(x), np.nan) if residual is None else _norm(residual))
        values |= {name: np.stack(columns, axis=1) for name, columns in norms.items()}
        values["logits"] = self.network.head(x)
        return values

    def _put(self, values: dict[str, Array], name: Quantity, k: int, array: Array) -> None:
        if name not in self.keep:
            return
        if self.reduce is not None:
            reduced = np.asarray(self.reduce(array))
            if reduced.shape[:1] != array.shape[:1] or reduced.dtype.kind not in "biuf":
                raise ValueError(
                    f"reduce returned an array of shape {reduced.shape} and dtype {reduced.dtype} for one of shape "
                    f"{array.shape}; needed are numbers with one row for each of the {len(array)} inputs."
                )
            array = reduced
        values[f"{name}_{k:03d}"] = array

    def collected(self, arrays: dict[str, Array]) -> Trace:
        n = len(self.network.units)
        rows = {"states": n + 1, "residuals": n, "branches": n}
        several: dict[str, Any] = {
            name: tuple(arrays.get(f"{name}_{k:03d}") for k in range(rows[name])) if name in self.keep else ()
            for name in QUANTITIES
        }
        return Trace(
            name=self.network.name,
            units=tuple(unit.name for unit in self.network.units),
            logits=arrays["logits"],
            entries=np.array([unit.changes_shape for unit in self.network.units]),
            state_norms=arrays["state_norms"],
            residual_norms=arrays["residual_norms"],
            **several,
        )


def _residual(unit: Unit, x: Array, after: Array) -> Array | None:
    return after - unit.skipped(x, after) if unit.has_residual else None


def _array(x: Any) -> Array:
    return x if isinstance(x, np.ndarray) else np.asarray(x.detach().cpu())


def _norm(x: Array) -> Array:
    """Of each row, summed in double precision."""
    flat = x.reshape(len(x), -1)
    return np.sqrt(np.einsum("ij,ij->i", flat, flat, dtype=np.float64))
