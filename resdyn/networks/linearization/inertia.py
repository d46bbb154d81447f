"""Exact counts of singular values, by inertia."""

from typing import Any

from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.spectrum import spectrum_of_factors, spectrum_of_matrix


class Counter:
    """Counts singular values of J = D (a S + U V), or of a matrix."""

    def __init__(self, factors: Factors | None, matrix: Any = None) -> None:
        spectrum = spectrum_of_matrix(matrix) if factors is None else spectrum_of_factors(factors)
        self._values = spectrum.values

    def count_above(self, t: float) -> int:
        """How many are greater than t."""
        return int((self._values > t).sum())

    def count_within(self, center: float, width: float) -> int:
        """How many are at most ``width`` from ``center``."""
        return int((abs(self._values - center) <= width).sum())
