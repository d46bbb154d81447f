r"""A unit's spectrum from a matrix of twice the number of its active inner units.

Where :math:`E = e I`, all eigenvalues of :math:`J_A J_A^{\mathsf T} = e I + C M C^{\mathsf T}` but e are those of
:math:`e I + R M R^{\mathsf T}` with :math:`C = Q R`, of order 2p, if C has full column rank. From :math:`K =
C^{\mathsf T} C = R^{\mathsf T} R` R is had without Q, and with the two variables of each inner unit side by side, in
the order of pixels, K, R and :math:`H = V V^{\mathsf T}` are banded:

.. math:: R M R^{\mathsf T} = X R_u^{\mathsf T} + R_u X^{\mathsf T}, \qquad X = R_v + \tfrac12 R_u H,

where :math:`R_v` and :math:`R_u` are the columns of R for the variables of :math:`S_A V^{\mathsf T}` and of
:math:`U_A`. Rounding in K moves each eigenvalue by a part of :math:`\varepsilon \kappa`, :math:`\kappa` the condition
of K with its columns scaled to length 1; where that is too much, R comes from an orthogonal decomposition of C itself.
"""

from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from resdyn.networks.linearization.block_products import row_products
from resdyn.networks.linearization.factors import inverse_middle, side_by_side
from resdyn.networks.linearization.matrices import column_lengths, lower_bands, triangular_factor
from resdyn.networks.linearization.symmetric import Product

Array = NDArray[Any]

WELL_CONDITIONED = 1e-3
"""K, scaled, with no eigenvalue below this moves σ² by about 1e-13 of the largest; trained units have 0.005 to 0.03."""

PANEL = 256
"""Rows of R at a time; an even number."""


class Reduction:
    r"""C and M of :math:`J_A J_A^{\mathsf T} = e I + C M C^{\mathsf T}`, variables side by side.

    Parameters
    ----------
    left : sparse array, shape (s, p)
        :math:`S_A V^{\mathsf T}`, in the order of pixels.
    right : sparse array, shape (s, p)
        :math:`U_A`.
    V : sparse array, shape (p, m)
    """

    def __init__(self, left: Any, right: Any, V: Any) -> None:
        self.C = sparse.hstack([left, right], format="csc")[:, side_by_side(V.shape[0])]
        self.H = row_products(V)

    @property
    def order(self) -> int:
        return int(self.C.shape[1])

    @cached_property
    def _K(self) -> Any:
        return row_products(self.C.T)

    @cached_property
    def root(self) -> "BandedRoot | None":
        """R from K, banded; None where K is too near to a singular matrix."""
        lengths = column_lengths(self.C)
        if not lengths.all():
            return None
        scale = sparse.diags_array(1 / lengths)
        bands = lower_bands(scale @ self._K @ scale)
        shifted = bands.copy()
        shifted[0] -= WELL_CONDITIONED
        try:
            scipy.linalg.cholesky_banded(shifted, overwrite_ab=True, lower=True, check_finite=False)
            lower = scipy.linalg.cholesky_banded(bands, overwrite_ab=True, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return None
        return BandedRoot(lower, lengths)

    def matrix(self) -> Array:
        """R M Rᵀ, its lower triangle, dense."""
        if self.root is None:
            R = triangular_factor(self.C)
            X = R[:, ::2] + 0.5 * (R[:, 1::2] @ self.H)
            product = X @ R[:, 1::2].T
            return product + product.T
        return self.root.congruence(self.H)

    def solver(self, e: float) -> Product:
        r""":math:`X \mapsto e (e I + C M C^{\mathsf T})^{-1} X`, through :math:`e M^{-1} + K`, which is banded."""
        factor = splu(sparse.csc_array(e * inverse_middle(self.H) + self._K))
        return lambda X: X - self.C @ factor.solve(self.C.T @ X)

    @cached_property
    def basis(self) -> Array:
        """2p orthonormal columns, of a space that contains the columns of C, shape (s, 2p)."""
        return np.linalg.qr(self.C.toarray())[0]


class BandedRoot:
    """R, upper triangular and banded: of the lower bands of its transpose, the columns scaled by ``lengths``."""

    def __init__(self, lower: Array, lengths: Array) -> None:
        self.lower, self.lengths = lower, lengths
        self.order = len(lengths)

    @property
    def width(self) -> int:
        """Bands above the diagonal."""
        return len(self.lower) - 1

    def congruence(self, H: Any) -> Array:
        """R M Rᵀ, its lower triangle, from panel to panel."""
        product = np.zeros((self.order, self.order), order="F")
        cuts = [*range(0, self.order, PANEL), self.order]
        panels = [self._panel(first, last, H) for first, last in pairwise(cuts)]
        for i, upper in enumerate(panels):
            for lower in panels[i:]:
                if lower.X.begin < upper.X.end:
                    block = lower.X.times(upper.R) + lower.R.times(upper.X)
                    product[lower.first : lower.last, upper.first : upper.last] = block
        return product

    def _panel(self, first: int, last: int, H: Any) -> "_Panel":
        rows = self._rows(first, last)
        R_v, R_u = _Strip(first // 2, rows[:, ::2]), _Strip(first // 2, rows[:, 1::2])
        band = sparse.csc_array(H[R_u.begin : R_u.end])
        reached = np.flatnonzero(np.diff(band.indptr))
        begin, end = min(R_u.begin, reached.min(initial=R_u.begin)), max(R_u.end, reached.max(initial=0) + 1)
        X = 0.5 * (R_u.columns @ band[:, begin:end].toarray())
        X[:, R_v.begin - begin : R_v.end - begin] += R_v.columns
        return _Panel(first, last, _Strip(int(begin), X), R_u)

    def _rows(self, first: int, last: int) -> Array:
        """Rows of R from their diagonal on, up to the last variable that they reach, and its neighbour."""
        count, width = last - first, len(self.lower)
        panel = np.zeros((count, count + width))
        down, right = panel.strides
        # one step down and one to the right is one step along a band
        bands = np.lib.stride_tricks.as_strided(panel, (count, width), (down + right, right))
        bands[:] = self.lower[:, first:last].T
        end = min(self.order, (last + width) // 2 * 2)
        return panel[:, : end - first] * self.lengths[first:end]


class _Strip(NamedTuple):
    """Columns, from one on, of a matrix that is zero elsewhere; one for each inner unit."""

    begin: int
    columns: Array

    @property
    def end(self) -> int:
        return self.begin + int(self.columns.shape[1])

    def times(self, other: "_Strip") -> Any:
        """The product with the transpose of the other."""
        begin, end = max(self.begin, other.begin), min(self.end, other.end)
        if end <= begin:
            return 0.0
        return (
            self.columns[:, begin - self.begin : end - self.begin]
            @ other.columns[:, begin - other.begin : end - other.begin].T
        )


class _Panel(NamedTuple):
    """Some rows of X and of R_u."""

    first: int
    last: int
    X: _Strip
    R: _Strip
