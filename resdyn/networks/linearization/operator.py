"""What linearizations of units, stages and networks have in common."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from resdyn.networks.linearization.density import SpectralDensity, spectral_density
from resdyn.networks.linearization.triplets import singular_triplets
from resdyn.networks.linearization.values import Triplets
from resdyn.operators import RealOperator

Array = NDArray[Any]


class Linearization(RealOperator):
    r"""A Jacobian J at one state, in double precision, on flattened states; a SciPy ``LinearOperator``.

    Attributes
    ----------
    name : str
        Of the unit, stage or network.
    x : array, shape ``shape_before``
        The state.
    shape_before, shape_after : tuple of int
        Of one state.
    """

    name: str
    x: Array
    shape_before: tuple[int, ...]
    shape_after: tuple[int, ...]

    def singular_values(self) -> Array:
        """All of them, descending, shape (min(n, m),)."""
        raise NotImplementedError

    def triplets(self, k: int, which: Literal["largest", "smallest"] = "largest") -> Triplets:
        """The k largest or k smallest singular values with their vectors.

        Raises
        ------
        ValueError
            For more than there are, or another word.
        """
        return singular_triplets(self, k, which=which)

    def spectral_density(
        self, method: Literal["slq"] = "slq", *, probes: int = 4, steps: int = 50, rng: Any = 0
    ) -> SpectralDensity:
        """The distribution of the singular values, estimated without computing them.

        Parameters
        ----------
        method : "slq"
            Stochastic Lanczos quadrature [ubaru2017]_ on JᵀJ, or JJᵀ if that is smaller.
        probes, steps : int
            Random vectors, and Lanczos steps for each.
        rng : numpy Generator or seed
        """
        return spectral_density(self, probes=probes, steps=steps, rng=rng)

    def to_dense(self) -> Array:
        """J as an array, shape (n, m)."""
        return self._matmat(np.eye(self.shape[1]))
