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
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from resdyn.networks.linearization.matrices import column_lengths, lower_bands
from resdyn.networks.linearization.symmetric import Product

Array = NDArray[Any]

WELL_CONDITIONED = 1e-4
"""K, scaled, with no eigenvalue below this moves σ² by less than about 1e-12 of itself."""

PANEL = 256
"""Rows of R at a time."""


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
        p = V.shape[0]
        beside = np.arange(2 * p).reshape(2, p).T.ravel()
        self.C = sparse.hstack([left, right], format="csc")[:, beside]
        self.H = sparse.csr_array(V @ V.T)

    @property
    def order(self) -> int:
        return int(self.C.shape[1])

    @cached_property
    def _K(self) -> Any:
        return sparse.csr_array(self.C.T @ self.C)

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
            R = np.linalg.qr(self.C.toarray(), mode="r")
            X = R[:, ::2] + 0.5 * (R[:, 1::2] @ self.H)
            product = X @ R[:, 1::2].T
            return product + product.T
        return self.root.congruence(self.H)

    def solver(self, e: float) -> Product:
        r""":math:`X \mapsto (e I + C M C^{\mathsf T})^{-1} X`, through :math:`e M^{-1} + K`, banded."""
        p = self.order // 2
        inverse = sparse.kron(self.H, [[-1.0, 0.0], [0.0, 0.0]]) + sparse.kron(sparse.eye_array(p), [[0.0, 1.0], [1.0, 0.0]])
        factor = splu(sparse.csc_array(e * inverse + self._K))
        return lambda X: (X - self.C @ factor.solve(self.C.T @ X)) / e


class BandedRoot:
    """R, upper triangular and banded: of the lower bands of its transpose, the columns scaled by ``lengths``."""

    def __init__(self, lower: Array, lengths: Array) -> None:
        self.lower, self.lengths = lower, lengths
        self.width = len(lower) - 1
        self.order = len(lengths)

    def rows(self, first: int, last: int) -> tuple[Array, int]:
        """Rows of R, and one past their last column; the first column is that of the first row."""
        count = last - first
        panel = np.zeros((count, count + self.width))
        step = panel.strides[1]
        along = np.lib.stride_tricks.as_strided(
            panel, (count, self.width + 1), (panel.strides[0] + step, step), writeable=True
        )
        along[:] = self.lower[:, first:last].T
        end = min(self.order, last + self.width + 1 & ~1)
        panel = panel[:, : end - first] if end - first <= panel.shape[1] else np.pad(panel, ((0, 0), (0, 1)))
        return panel * self.lengths[first:end], end

    def congruence(self, H: Any) -> Array:
        """R M Rᵀ, its lower triangle, from panel to panel."""
        product = np.zeros((self.order, self.order), order="F")
        ends = [*range(0, self.order, PANEL), self.order]
        panels = [self._panel(first, last, H) for first, last in zip(ends, ends[1:], strict=False)]
        for i, (first, last, begin, end, X, R) in enumerate(panels):
            for first_j, last_j, begin_j, end_j, X_j, R_j in panels[i:]:
                if 2 * begin_j >= 2 * end and begin_j >= end:
                    break
                block = _overlap(X_j, begin_j, end_j, R, first // 2, first // 2 + R.shape[1])
                block += _overlap(R_j, first_j // 2, first_j // 2 + R_j.shape[1], X, begin, end)
                product[first_j:last_j, first:last] = block
        return product

    def _panel(self, first: int, last: int, H: Any) -> tuple[int, int, int, int, Array, Array]:
        rows, end = self.rows(first, last)
        R_v, R_u = rows[:, ::2], rows[:, 1::2]
        units = slice(first // 2, end // 2)
        band = H[units].tocsc()
        reached = np.flatnonzero(np.diff(band.indptr))
        begin = min(units.start, int(reached[0]) if len(reached) else units.start)
        stop = max(units.stop, int(reached[-1]) + 1 if len(reached) else units.stop)
        X = 0.5 * (R_u @ band[:, begin:stop].toarray())
        X[:, units.start - begin : units.stop - begin] += R_v
        return first, last, begin, stop, X, np.ascontiguousarray(R_u)


def _overlap(A: Array, begin_a: int, end_a: int, B: Array, begin_b: int, end_b: int) -> Array:
    """A Bᵀ, of two matrices that hold some columns of longer ones."""
    begin, end = max(begin_a, begin_b), max(min(end_a, end_b), max(begin_a, begin_b))
    return A[:, begin - begin_a : end - begin_a] @ B[:, begin - begin_b : end - begin_b].T

