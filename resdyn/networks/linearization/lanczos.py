r"""Lanczos' method for a symmetric operator A on many vectors at once, always with full reorthogonalisation.

From a unit vector q, m steps give the tridiagonal :math:`T = Q^{\mathsf T} A Q`, whose eigenvalues and the squares of
the first entries of its eigenvectors are the Gauss quadrature of the spectral measure of q. Blocks of vectors, with
restarts that keep the best approximations, give the leading eigenvectors; a block that starts from random vectors after
all has converged looks for copies of multiple eigenvalues that a Krylov space does not hold.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

Array = NDArray[Any]
Apply = Callable[[Array], Array]

ROUNDING = 1e-13
"""What is left of a vector, relative to the operator's norm, when it lies in the space that is already there."""
ENDED = 1e-10
"""A Krylov space that goes on with less than this, relative to the operator's norm, has ended: its quadrature is the
spectral measure but for the square of that."""
SAME = 1e-9
"""Relative change of an eigenvalue below which a cycle with random vectors has found nothing new."""
LIMIT = 20 * np.finfo(float).eps
"""Residuals cannot be made smaller, relative to the operator's norm."""
CYCLES = 200


class Tridiagonal(NamedTuple):
    """One matrix for each start vector."""

    diagonal: Array
    """Shape (starts, steps)."""
    beside: Array
    """Shape (starts, steps): the last one is the norm of what the steps have not reached."""
    lengths: NDArray[np.int64]
    """Shape (starts,): steps until the Krylov space was invariant; ``steps`` if it never was."""


def tridiagonal(apply: Apply, start: Array, steps: int) -> Tridiagonal:
    """T after ``steps`` steps from each column of ``start``."""
    size, n = start.shape
    basis = np.zeros((n, steps, size))
    diagonal, beside = np.zeros((n, steps)), np.zeros((n, steps))
    lengths = np.full(n, steps)
    vector, scale = (start / np.linalg.norm(start, axis=0)).T, np.zeros(n)
    for step in range(steps):
        basis[:, step] = vector
        image = apply(np.ascontiguousarray(vector.T)).T
        diagonal[:, step] = (image * vector).sum(1)
        scale = np.maximum(scale, np.linalg.norm(image, axis=1))
        for _ in range(2):  # once leaves what rounding of large parts brings back
            known = basis[:, : step + 1]
            image = image - (known.transpose(0, 2, 1) @ (known @ image[:, :, None]))[:, :, 0]
        beside[:, step] = np.linalg.norm(image, axis=1)
        ended = (beside[:, step] <= ENDED * scale) & (lengths == steps)
        lengths[ended] = step + 1
        alive = lengths > step + 1
        if not alive.any():
            break
        vector = np.where(alive[:, None], image / np.where(alive, beside[:, step], 1.0)[:, None], 0.0)
    return Tridiagonal(diagonal, beside, lengths)


def leading_eigenvectors(
    apply: Apply, size: int, k: int, *, tolerance: float, rng: np.random.Generator
) -> tuple[Array, Array] | None:
    r"""The k largest eigenvalues of a positive semidefinite operator, descending, with orthonormal vectors.

    Until :math:`\|A y - \theta y\| \le \mathrm{tolerance}\,\sqrt{\theta_1\theta_k}` for all of them, and until a cycle
    that began with random vectors has found no larger ones. None if that does not come about.
    """
    width = min(max(2, min(k, 6)), size)
    kept = width * (-(-k // width) + 2)
    room = kept + width * max(-(-k // width), 6)
    if room >= size:
        values, vectors = np.linalg.eigh(symmetric(apply(np.eye(size))))
        return values[::-1][:k], vectors[:, ::-1][:, :k]
    guess = _by_arpack(apply, size, k, rng)
    start = np.concatenate([guess, rng.standard_normal((size, kept - guess.shape[1]))], axis=1)
    basis, images = np.empty((size, room), order="F"), np.empty((size, room), order="F")
    basis[:, :kept] = np.linalg.qr(start)[0]
    images[:, :kept] = apply(np.ascontiguousarray(basis[:, :kept]))
    before: Array | None = None
    if guess.shape[1]:
        before = np.linalg.eigvalsh(symmetric(basis[:, :k].T @ images[:, :k]))[::-1]
    filled, block = kept, _orthonormal(images[:, kept - width : kept], basis[:, :kept], rng)
    for _ in range(CYCLES):
        while filled < room:
            new = slice(filled, filled + width)
            basis[:, new] = block
            images[:, new] = apply(np.ascontiguousarray(block))
            filled = new.stop
            block = _orthonormal(images[:, new], basis[:, :filled], rng)
        values, mixed = np.linalg.eigh(symmetric(basis.T @ images))
        values, mixed = values[::-1], mixed[:, ::-1][:, :kept]
        basis[:, :kept], images[:, :kept], filled = basis @ mixed, images @ mixed, kept
        residuals = images[:, :kept] - basis[:, :kept] * values[:kept]
        goal = tolerance * np.sqrt(max(values[0], 0.0) * max(values[k - 1], 0.0))
        if 0 < goal < LIMIT * values[0]:
            return None
        far = np.linalg.norm(residuals, axis=0) > goal
        if far[:k].any():
            # of a Krylov space all residuals are in one block; not so after a block of random vectors
            block, before = residuals[:, np.argsort(~far, kind="stable")[:width]], None
        elif before is not None and (values[:k] <= before * (1 + SAME) + ROUNDING * values[0]).all():
            return values[:k], np.linalg.qr(basis[:, :k])[0]
        else:
            block, before = rng.standard_normal((size, width)), values[:k].copy()
        block = _orthonormal(block, basis[:, :kept], rng)
    return None


def _by_arpack(apply: Apply, size: int, k: int, rng: np.random.Generator) -> Array:
    """Leading eigenvectors, orthonormal, by single vectors; none if that does not converge.

    It needs fewest products, but may miss copies of a multiple eigenvalue.
    """
    operator = LinearOperator((size, size), matvec=lambda x: apply(x.reshape(-1, 1)).ravel(), dtype=np.float64)
    try:
        _, vectors = eigsh(operator, k, which="LA", v0=rng.standard_normal(size), maxiter=max(100, 10 * k))
    except ArpackError:  # also raised, as a subclass, when the iterations are used up
        return np.empty((size, 0))
    return np.linalg.qr(vectors)[0]


def symmetric(matrix: Array) -> Array:
    """The symmetric part: rounding makes products of symmetric operators slightly unsymmetric."""
    return (matrix + matrix.T) / 2


def _orthonormal(block: Array, basis: Array, rng: np.random.Generator) -> Array:
    """What of a block is new to a basis, orthonormal; random directions stand in for what is not."""
    scale = np.linalg.norm(block, axis=0).max()
    rest = block
    for _ in range(2):
        rest = rest - basis @ (basis.T @ rest)
    Q, R = np.linalg.qr(rest)
    old = abs(np.diag(R)) <= ROUNDING * scale
    if old.any():
        Q[:, old] = rng.standard_normal((len(Q), int(old.sum())))
    for _ in range(2):  # the division by a small R brought parts in the basis back
        Q = np.linalg.qr(Q - basis @ (basis.T @ Q))[0]
    return Q
