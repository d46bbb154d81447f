r"""What the factors of a unit give before any spectrum: forced atoms, projections past them, an inverse.

With :math:`J_A J_A^{\mathsf T} = E + C M C^{\mathsf T}` and rows R at which E has one value e, every vector y on R with
:math:`C_R^{\mathsf T} y = 0` has :math:`J_A J_A^{\mathsf T} y = e\,y`. So :math:`\sqrt e` is a singular value at least
:math:`|R| - \operatorname{rank} C_R` times, and :math:`C_R (C_R^{\mathsf T} C_R)^{-1} C_R^{\mathsf T}` projects, on R,
past these vectors. For e = 0 the part of C from the skip path vanishes on R. By Sherman, Morrison and Woodbury,

.. math:: (E + C M C^{\mathsf T})^{-1} = E^{-1} - E^{-1} C\,N^{-1} C^{\mathsf T} E^{-1}, \qquad
    N = M^{-1} + C^{\mathsf T} E^{-1} C.

All matrices of size 2p are banded in the order of pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy import sparse

from resdyn.networks.linearization.banded import BandedLDL
from resdyn.networks.linearization.block_products import row_products
from resdyn.networks.linearization.factors import Factors, inverse_middle, side_by_side
from resdyn.networks.linearization.products import SumOfPaths
from resdyn.networks.linearization.values import Atom

Array = NDArray[Any]
Apply = Callable[[Array], Array]

DENSE = 3000
"""Up to this size a dense Cholesky factorization is faster than a banded one."""

TRUSTED_GROWTH, TRUSTED_PIVOT = 1e4, 1e-12
"""Larger pivots, or smaller ones, relative to the largest entry, leave signs in doubt."""


@dataclass(frozen=True)
class ForcedAtom:
    """Rows R of :math:`J_A` on which the skip path has one gain, and what lies past the atom there."""

    atom: Atom
    rows: NDArray[np.int64]
    past: Apply
    """The projection on the columns of :math:`C_R`."""


def active_products(factors: Factors) -> SumOfPaths:
    """Products with :math:`J_A`."""
    return SumOfPaths(factors.active_skip, factors.active_U, factors.V)


def coupling(factors: Factors) -> Any:
    """C (CSC, s × 2p), its columns from pixel to pixel: those of one inner unit stand side by side."""
    skipped = factors.active_skip @ sparse.csr_array(factors.V)[factors.order].T
    both = sparse.hstack([skipped, sparse.csc_array(factors.active_U)[:, factors.order]], format="csc")
    return both[:, side_by_side(factors.p)]


def forced_atoms(factors: Factors) -> list[ForcedAtom]:
    """Those whose multiplicity is verified, by a Cholesky factorization of the Gram matrix of :math:`C_R`."""
    if factors.squares is None:
        return []
    C = sparse.csr_array(coupling(factors))
    found = []
    scale = float(factors.squares.max(initial=0.0)) or 1.0
    levels, members = np.unique((factors.squares / scale).round(12), return_inverse=True)
    counts = np.bincount(members, minlength=len(levels))
    for level in np.flatnonzero(counts > 1):
        rows = np.flatnonzero(members == level)
        part = C[rows]
        part = sparse.csc_array(part)[:, np.unique(part.indices)]
        multiplicity = len(rows) - part.shape[1]
        past = projection_on_columns(part) if multiplicity > 0 else None
        if past is not None:
            found.append(ForcedAtom(Atom(float(np.sqrt(factors.squares[rows[0]])), multiplicity), rows, past))
    return found


def projection_on_columns(matrix: Any) -> Apply | None:
    """On the columns of a sparse matrix; None if they are not independent beyond doubt."""
    if matrix.shape[1] == 0:
        return lambda x: np.zeros_like(x)
    solve = cholesky(sparse.csr_array(matrix.T @ matrix))
    if solve is None:
        return None
    matrix, transposed = sparse.csr_array(matrix), sparse.csr_array(matrix.T)
    return lambda x: np.asarray(matrix @ solve(transposed @ x))


def cholesky(gram: Any) -> Apply | None:
    """Solutions with a sparse Gram matrix; None if it is singular to rounding."""
    size = gram.shape[0]
    if not size:
        return lambda b: b
    coo = gram.tocoo()
    width = int(abs(coo.row - coo.col).max(initial=0))
    # pivots are the squares of distances of columns from the span of those before; rounding moves them by this much
    doubt = 10 * size * np.finfo(float).eps * float(gram.diagonal().max(initial=0.0))
    try:
        if size <= DENSE or 4 * width > size:
            dense = scipy.linalg.cholesky(gram.toarray(), lower=True, overwrite_a=True, check_finite=False)
            pivots = dense.diagonal() ** 2
            solve: Apply = lambda b: scipy.linalg.cho_solve((dense, True), b, check_finite=False)  # noqa: E731
        else:
            bands = np.zeros((width + 1, size))
            lower = coo.row >= coo.col
            bands[coo.row[lower] - coo.col[lower], coo.col[lower]] = coo.data[lower]
            factor = scipy.linalg.cholesky_banded(bands, lower=True, overwrite_ab=True, check_finite=False)
            pivots = factor[0] ** 2
            solve = lambda b: scipy.linalg.cho_solve_banded((factor, True), b, check_finite=False)  # noqa: E731
    except np.linalg.LinAlgError:
        return None
    return solve if pivots.min() > doubt else None


@dataclass(frozen=True)
class Inverse:
    r""":math:`(J_A J_A^{\mathsf T} - \tau^2)^{-1}`, and how many singular values of :math:`J_A` are greater than τ."""

    apply: Apply
    above: int
    trusted: bool
    """Whether ``above`` is beyond the doubt of rounding."""

    def __call__(self, x: Array) -> Array:
        return self.apply(x)


def inverse_gram(factors: Factors, shift: float = 0.0) -> Inverse | None:
    r""":math:`(J_A J_A^{\mathsf T} - \tau^2)^{-1}` for a shift τ²; None where E is not diagonal or reaches down to τ².

    None, too, where N is singular. E − τ² takes the place of E; by Haynsworth, N has p negative eigenvalues if all
    singular values are greater than τ, and one less for each that is not.
    """
    if factors.squares is None or not len(factors.squares) or not (factors.squares > shift).all():
        return None
    inverse = 1 / (factors.squares - shift)
    C = sparse.csr_array(coupling(factors))
    half = sparse.csr_array(sparse.csr_array(C.T) @ sparse.diags_array(np.sqrt(inverse)))
    if not factors.p:
        return Inverse(lambda x: inverse[:, None] * x, len(inverse), True)
    H = row_products(sparse.csr_array(factors.V)[factors.order])
    N = BandedLDL(sparse.csc_array(inverse_middle(H) + row_products(half)))
    negative, zero, _ = N.inertia
    if zero:
        return None
    trusted = N.growth <= TRUSTED_GROWTH and N.smallest >= TRUSTED_PIVOT * max(N.growth, 1.0)
    scaled = sparse.csr_array(sparse.diags_array(inverse) @ C)
    transposed = sparse.csr_array(scaled.T)
    above = len(inverse) - factors.p + negative
    return Inverse(lambda x: inverse[:, None] * x - scaled @ N.solve(transposed @ x), above, trusted)
