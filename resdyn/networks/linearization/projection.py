"""Which singular subspaces of a linearization perturbations lie in."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from resdyn._results import Result
from resdyn.networks.linearization.unit import LinearizedUnit

Array = NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class Projection(Result):
    r"""Shares of perturbations on the right singular subspaces of a linearization, :math:`\|P\delta\|^2/\|\delta\|^2`.

    Attributes
    ----------
    name : str
        Of the unit.
    k : int
        How many leading and how many trailing directions.
    leading, unit, trailing, null, rest : arrays, shape (n,)
        Shares on the k directions with the largest singular values; on the directions with the singular value a of
        the skip path (the atom); on the k with the smallest that are not zero; on the null space; what remains.
    at_random : dict
        The shares that a perturbation in a random direction has on average: the dimensions over d.
    gain : array, shape (n,)
        :math:`\|J\delta\| / \|\delta\|`.
    """

    name: str
    k: int
    leading: Array
    unit: Array
    trailing: Array
    null: Array
    rest: Array
    at_random: dict[str, float]
    gain: Array


def project(propagation: Any, linearization: LinearizedUnit, k: int) -> Projection:
    r"""The shares of perturbations that reach a unit on the leading, unit, trailing and null singular subspaces.

    Parameters
    ----------
    propagation : Propagation or array
        Of :func:`resdyn.propagate` through the network of the unit, with ``keep=True`` and one input, the one at which
        was linearized; the perturbations are those that reach the unit. Or the perturbations themselves, shape
        (n, \*shape_before).
    linearization : LinearizedUnit
    k : int
    """
    raise NotImplementedError
