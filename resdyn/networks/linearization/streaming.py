"""Spectra of all units of a network for a batch of inputs, one after another, kept on disk as they come."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from resdyn._results import Result
from resdyn.networks.linearization.unit import Reading
from resdyn.networks.unrolling.unrolled import UnrolledNetwork

Array = NDArray[Any]


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
        −1 where they are not known.
    atoms : integer array, shape (readings, units, inputs, 2)
        Multiplicities of the value a of the skip path, and of zero.
    skip : array, shape (units,)
        a.
    values : array, shape (readings, inputs, sum of sizes)
        Singular values, descending for each unit.
    seconds : array, shape (readings, units, inputs)
    """

    name: str
    units: tuple[str, ...]
    readings: tuple[str, ...]
    sizes: Array
    active_inner: Array
    active_outer: Array
    ranks: Array
    atoms: Array
    skip: Array
    values: Array
    seconds: Array

    def of(self, unit: str, reading: Reading) -> Array:
        """Singular values of one unit, shape (inputs, size)."""
        raise NotImplementedError


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
    progress : bool
    workers : int
        Processes that work on different inputs.
    """
    raise NotImplementedError
