"""Complete spectra with their atoms."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.values import Atom

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Singular values, descending; atoms that the structure forces; the verified rank."""

    values: Array
    atoms: tuple[Atom, ...]
    rank: int


def spectrum_of_factors(factors: Factors) -> Spectrum:
    """Of J = D (a S + U V)."""
    values = np.zeros(min(factors.shape))
    found = np.linalg.svd(factors.active_matrix.toarray(), compute_uv=False)
    values[: len(found)] = found
    return Spectrum(values, (), int(np.linalg.matrix_rank((factors.active_U @ factors.V).toarray())))


def spectrum_of_matrix(matrix: Any) -> Spectrum:
    """Of a dense or sparse J without known structure."""
    dense = matrix.toarray() if hasattr(matrix, "toarray") else matrix
    return Spectrum(np.linalg.svd(dense, compute_uv=False), (), int(np.linalg.matrix_rank(dense)))
