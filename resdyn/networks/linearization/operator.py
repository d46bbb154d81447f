"""What linearizations of units, stages and networks have in common."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
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
        """The k largest or k smallest singular values with their vectors; residuals are at most 1e-10 of the norm of J.

        Zeros, and other values that occur more than once, count as often as they occur.

        Raises
        ------
        ValueError
            For more than there are, or another word.
        MemoryError
            If only a dense SVD would do, and there is no room for it.
        """
        return singular_triplets(self, k, which=which)

    def spectral_density(
        self, method: Literal["slq"] = "slq", *, probes: int = 4, steps: int = 50, rng: Any = 0
    ) -> SpectralDensity:
        """The distribution of the singular values, estimated without computing them.

        Parameters
        ----------
        method : "slq"
            Stochastic Lanczos quadrature [ubaru2017]_ on JᵀJ, or JJᵀ if that is smaller, past the atoms that the
            factors of a unit force.
        probes, steps : int
            Random vectors, and Lanczos steps for each.
        rng : numpy Generator or seed

        Raises
        ------
        ValueError
            For another method, or fewer than one probe or step.
        MemoryError
            If the Lanczos vectors do not fit.
        """
        validate.choice(method, "method", ("slq",))
        return spectral_density(self, probes=probes, steps=steps, rng=rng)

    def to_dense(self) -> Array:
        """J as an array, shape (n, m)."""
        return self._matmat(np.eye(self.shape[1]))

    def _transposed_matmat(self, y: Array) -> Array:
        """Jᵀ times the columns of y."""
        raise NotImplementedError

    def _adjoint(self) -> RealOperator:
        return Transposed(self)


class Transposed(RealOperator):
    """Jᵀ, as an operator."""

    def __init__(self, of: Linearization) -> None:
        super().__init__(of.shape[::-1])
        self.of = of

    def _matmat(self, x: Array) -> Array:
        return self.of._transposed_matmat(x)

    def _adjoint(self) -> Linearization:
        return self.of

    def to_dense(self) -> Array:
        """The matrix."""
        return np.ascontiguousarray(self.of.to_dense().T)
