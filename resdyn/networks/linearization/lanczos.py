r"""Lanczos' method for a symmetric operator A on many vectors at once, always with full reorthogonalisation.

From a unit vector q, m steps give the tridiagonal :math:`T = Q^{\mathsf T} A Q`, whose eigenvalues and the squares of
the first entries of its eigenvectors are the Gauss quadrature of the spectral measure of q. The same steps, with
restarts that keep the best approximations, give the leading eigenvectors; a block that starts from random vectors after
all has converged looks for copies of multiple eigenvalues that a Krylov space of one vector does not hold.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
STEPS = 8
"""At least so many before the basis is made smaller again."""
ROOM, LEAST, CHECKS, RESTARTS = 120, 10, 5, 60
"""Of single vectors: how many there are room for, beside the wanted ones; when to look for the first time whether they
suffice, and how often; and how often to begin again."""


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
    width = min(max(2, min(k // 8, 6)), size)
    kept = width * (-(-k // width) + 2)
    # the number of steps decides whether copies are found, more than the width: steps of 2 do as well as steps of 6
    room = kept + width * max(-(-k // width), STEPS)
    if room >= size:
        values, vectors = np.linalg.eigh(symmetric(apply(np.eye(size))))
        return values[::-1][:k], vectors[:, ::-1][:, :k]
    guess = _by_single_vectors(apply, size, k, tolerance, rng)
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


def _by_single_vectors(
    apply: Apply, size: int, k: int, tolerance: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Leading eigenvectors, orthonormal, by single vectors; none if that does not converge.

    It needs fewest products, but misses copies of a multiple eigenvalue. When there is no more room, the space of the
    best approximations takes the place of the basis: it is a Krylov space, too, with the same next vector.
    """
    room = min(size - 1, 2 * k + ROOM)
    basis, T = np.empty((size, room + 1), order="F"), np.zeros((room, room))
    basis[:, 0] = _unit(rng.standard_normal(size))
    kept, check, scale = 0, k + LEAST, 0.0
    for _ in range(RESTARTS):
        for step in range(kept, room):
            vector, known = basis[:, step], basis[:, : step + 1]
            image = apply(vector[:, None])[:, 0]
            scale = max(scale, float(np.linalg.norm(image)))
            # the parts that are known and large first: what is left of them is small, and is orthogonalised
            near = slice(0 if step == kept else step - 1, step)
            image = image - basis[:, near] @ T[near, step]
            T[step, step] = vector @ image
            image -= T[step, step] * vector
            image -= known @ (known.T @ image)
            beside = float(np.linalg.norm(image))
            if beside <= ROUNDING * scale:  # the space is invariant; another one begins
                beside, image = 0.0, rng.standard_normal(size)
                for _ in range(2):
                    image -= known @ (known.T @ image)
            basis[:, step + 1] = _unit(image)
            if step + 1 < room:
                T[step, step + 1] = T[step + 1, step] = beside
            if step + 1 in (check, room):
                values, mixed = np.linalg.eigh(T[: step + 1, : step + 1])
                goal = max(tolerance * np.sqrt(max(values[-1], 0.0) * max(values[-k], 0.0)), LIMIT * values[-1])
                if (beside * abs(mixed[-1, -k:]) <= goal).all():
                    return np.asarray(known @ mixed[:, : -k - 1 : -1])
                check = step + 1 + max(CHECKS, step // 10)
        kept = (2 * k + room) // 3
        basis[:, :kept], basis[:, kept] = known @ mixed[:, -kept:], basis[:, room].copy()
        T[:] = 0.0
        T[range(kept), range(kept)] = values[-kept:]
        T[kept, :kept] = T[:kept, kept] = beside * mixed[-1, -kept:]
        check = kept + CHECKS
    return np.empty((size, 0))


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)


def symmetric(matrix: Array) -> Array:
    """The symmetric part: rounding makes products of symmetric operators slightly unsymmetric."""
    return (matrix + matrix.T) / 2


def _orthonormal(block: Array, basis: Array, rng: np.random.Generator) -> Array:
    """What of a block is new to a basis, orthonormal; random directions stand in for what is not."""
    scale = np.linalg.norm(block, axis=0).max()
    Q, R = np.linalg.qr(block - basis @ (basis.T @ block))
    old = abs(np.diag(R)) <= ROUNDING * scale
    if old.any():
        Q[:, old] = rng.standard_normal((len(Q), int(old.sum())))
    for _ in range(3):  # the division by a small R brings parts in the basis back
        Q, R = np.linalg.qr(Q - basis @ (basis.T @ Q))
        if abs(np.diag(R)).min() > 0.5:
            break
    return Q
