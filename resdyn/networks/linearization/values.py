"""What spectra consist of: atoms, and singular triplets."""

from typing import Any, NamedTuple

from numpy.typing import NDArray

Array = NDArray[Any]


class Atom(NamedTuple):
    """A singular value that a whole subspace has."""

    value: float
    multiplicity: int


class Triplets(NamedTuple):
    r"""k singular triplets: :math:`J v_i = \sigma_i u_i`, :math:`J^{\mathsf T} u_i = \sigma_i v_i`."""

    left: Array
    """:math:`u_i`, orthonormal columns, shape (n, k)."""
    values: Array
    r""":math:`\sigma_i`, shape (k,): descending for the largest, ascending for the smallest."""
    right: Array
    """:math:`v_i`, orthonormal columns, shape (m, k)."""
