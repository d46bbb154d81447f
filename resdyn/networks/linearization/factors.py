r"""A unit's Jacobian as a scaled skip path plus a product of low rank: :math:`J = D\,(a S + U V)`.

D is the derivative of what follows the addition, S the skip path, and V and U the branch before and after the
activation at which fewest units fire. Only the rows where D is not zero matter: :math:`J_A = S_A + U_A V` with s rows,
D and a multiplied in. Where the rows of :math:`S_A` are orthogonal, as those of an identity or of a subsampling are,

.. math:: J_A J_A^{\mathsf T} = E + C M C^{\mathsf T}, \qquad E = S_A S_A^{\mathsf T}, \qquad
    C = [\,S_A V^{\mathsf T},\; U_A\,], \qquad M = \begin{pmatrix} 0 & I \\ I & V V^{\mathsf T} \end{pmatrix},

a diagonal matrix changed in 2p directions. M is never singular: its inverse is
:math:`\begin{pmatrix} -V V^{\mathsf T} & I \\ I & 0 \end{pmatrix}`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from resdyn.networks.linearization.block_products import add_entries, block_product

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Factors:
    r""":math:`J = D\,(a S + U V)`, on flattened states.

    Attributes
    ----------
    a : float
        The gain of the skip path, times ``skip_scale``.
    skip : sparse array, shape (n, m), or None
        S; None for the identity.
    U : sparse array (CSC), shape (n, p)
        From the active inner units to the sum, with the gain of the branch and ``weight_scale``.
    V : sparse array (CSR), shape (p, m)
        From the input to the active inner units.
    outer : array, shape (n,)
        The diagonal of D: 0 and 1 after a ReLU; ones where nothing follows the addition.
    inner : tuple of arrays
        The derivatives of the activations inside the branch, in the order in which they act, each of the shape of its
        layer, (C, H, W) or other; p counts the entries of one of them that are not zero.
    place : integer array, shape (p,)
        Where the inner units are: ``row · width + column`` of their pixel. Units that share no input and no output
        are far apart, so that products of the factors, in this order, are banded.
    """

    a: float
    skip: Any
    U: Any
    V: Any
    outer: Array
    inner: tuple[Array, ...]
    place: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """(n, m), the numbers of variables after and before."""
        return self.U.shape[0], self.V.shape[1]

    @property
    def p(self) -> int:
        """The number of active inner units."""
        return int(self.V.shape[0])

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The s outputs where D is not zero."""
        return np.flatnonzero(self.outer)

    @cached_property
    def active_skip(self) -> Any:
        """:math:`S_A` (CSR, s × m): the rows of a D S that are not zero by D."""
        n, m = self.shape
        S = sparse.eye_array(n, m, format="csr") if self.skip is None else sparse.csr_array(self.skip)
        scaled = sparse.diags_array(self.a * self.outer[self.rows]) @ S[self.rows]
        scaled = sparse.csr_array(scaled)
        scaled.eliminate_zeros()
        return scaled

    @cached_property
    def active_U(self) -> Any:
        """:math:`U_A` (CSR, s × p): the rows of D U."""
        return sparse.csr_array(sparse.diags_array(self.outer[self.rows]) @ sparse.csr_array(self.U)[self.rows])

    @cached_property
    def squares(self) -> Array | None:
        r"""The diagonal of :math:`E = S_A S_A^{\mathsf T}`, shape (s,); None if E is not diagonal."""
        E = sparse.csr_array(self.active_skip @ self.active_skip.T)
        diagonal = E.diagonal()
        E.eliminate_zeros()
        return diagonal if E.nnz == np.count_nonzero(diagonal) else None

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """The inner units from pixel to pixel."""
        return np.argsort(self.place, kind="stable")

    @cached_property
    def active_matrix(self) -> Any:
        """:math:`J_A` (CSR, s × m)."""
        return self.sum_of_paths()

    def sum_of_paths(self) -> Any:
        """:math:`J_A` anew, not kept: it is large."""
        return add_entries(block_product(self.active_U, sparse.csr_array(self.V)), self.active_skip)


def side_by_side(p: int) -> NDArray[np.int64]:
    """Which of two times p variables come when those of one inner unit stand side by side: 0, p, 1, p + 1, …"""
    return np.arange(2 * p).reshape(2, p).T.ravel()


def inverse_middle(H: Any) -> Any:
    r""":math:`M^{-1}` (CSC), for :math:`H = V V^{\mathsf T}`, the variables of one inner unit side by side."""
    p = H.shape[0]
    entries = sparse.coo_array(H)
    first = 2 * np.arange(p)
    rows = np.concatenate([2 * entries.coords[0], first, first + 1])
    columns = np.concatenate([2 * entries.coords[1], first + 1, first])
    return sparse.csc_array((np.concatenate([-entries.data, np.ones(2 * p)]), (rows, columns)), shape=(2 * p, 2 * p))
