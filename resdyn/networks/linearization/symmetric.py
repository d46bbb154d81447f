r"""Eigenvalues of symmetric matrices, and the small singular values that they cannot tell.

The eigenvalues of :math:`J J^{\mathsf T}` are exact to :math:`\varepsilon \|J\|^2`, so their roots are exact to
:math:`\varepsilon \|J\|^2 / \sigma`: half of the digits are lost near zero. With Q an orthonormal basis of the left
singular subspace of all values up to some :math:`\tau`, found by inverse iteration, the singular values of
:math:`J^{\mathsf T} Q` are those of J up to :math:`\varepsilon \|J\|^2 / \tau`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from resdyn._memory import require
from resdyn.networks.devices import named_device

Array = NDArray[Any]
Product = Callable[[Array], Array]

LAPACK_UP_TO = 2000
"""Order above which torch's reduction in two stages is faster than LAPACK's in one."""

SMALL = 1e-8
"""Eigenvalues of J Jᵀ below this part of the largest are refined; an error of 1e-14 in others is 5e-11 in the root."""

GUARD = 1e-7
"""The subspace of refinement holds all values up to this part: what separates it from the rest."""

MANY = 0.1
"""With more values than this share to be refined, a dense decomposition is as fast.

At least half of the eigenvalues of a reduction are at most e. So where few are small, e is not, and inverse iteration
does not meet the vectors with eigenvalue e that are outside of the space.
"""

REMEDY = "call spectral_density() for an estimate or count_above(t) for exact counts, which need far less"


def symmetric_eigenvalues(matrix: Array, device: Any = None) -> Array:
    """All eigenvalues, ascending, of a symmetric matrix of which the lower triangle is read.

    Parameters
    ----------
    device : str or torch.device, optional
        Where torch finds them; left out: on the CPU, small ones by LAPACK.
    """
    if device is None and len(matrix) <= LAPACK_UP_TO:
        return np.linalg.eigvalsh(matrix)
    on = named_device("cpu" if device is None else device)
    return torch.linalg.eigvalsh(torch.from_numpy(matrix).to(on)).cpu().numpy()


def require_eigenvalues(order: int, what: str) -> None:
    """Raise MemoryError where the eigenvalues of a dense matrix of this order cannot be had."""
    # the matrix, the copy that LAPACK overwrites, and room for its blocks
    require(8 * order * (2 * order + 256), f"the complete spectrum of {what} by a matrix of order {order}", REMEDY)


class LeftSpace(NamedTuple):
    """A space that contains left singular vectors of J, and that J Jᵀ maps to itself."""

    order: int
    """Of J Jᵀ."""
    transposed: Product
    r""":math:`Q \mapsto J^{\mathsf T} Q`."""
    solver: Callable[[float], Product]
    r""":math:`\mu \mapsto (X \mapsto (J J^{\mathsf T} + \mu I)^{-1} X)`, up to a factor."""
    basis: Callable[[], Array]
    """Orthonormal columns that span it."""


def roots(squares: Array, space: LeftSpace, spare: int = 0) -> Array:
    r"""Singular values, descending, from the eigenvalues of :math:`J J^{\mathsf T}` on a space; small ones refined.

    Parameters
    ----------
    squares : array, shape (k,)
        All eigenvalues, k the dimension of the space.
    spare : int
        So many are known to be zero; they are, and need no refinement.
    """
    squares = np.sort(squares)[::-1]
    values = np.sqrt(np.maximum(squares, 0.0))
    values[len(values) - spare :] = 0.0
    if not squares.size or squares[0] <= 0:
        return values
    small, guarded = (int((squares < part * squares[0]).sum()) for part in (SMALL, GUARD))
    if small <= spare:
        return values
    if guarded > MANY * len(values):
        return np.linalg.svd(space.transposed(space.basis()), compute_uv=False)[: len(values)]
    values[len(values) - small :] = _smallest(small, guarded, squares[0], space)
    return values


def _smallest(wanted: int, k: int, largest: float, space: LeftSpace) -> Array:
    """The smallest singular values, descending, by inverse iteration with a block of k vectors and a few more."""
    solve = space.solver(1e-12 * largest)
    # a few vectors more: values next to the edge of the subspace converge as fast as those inside
    block = np.random.default_rng(0).standard_normal((space.order, min(space.order, k + 8)))
    found = np.full(wanted, np.inf)
    for _ in range(30):
        block, _ = np.linalg.qr(solve(block))
        before, found = found, np.linalg.svd(space.transposed(block), compute_uv=False)[-wanted:]
        # a hundredth of the accuracy that is promised, 1e-10, and each iteration gains more than a digit
        if np.abs(found - before).max() < 1e-12 * np.sqrt(largest):
            break
    return found
