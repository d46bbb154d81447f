r"""Positive diagonal matrices D that make a matrix symmetric, skew, or negative definite: guesses and an LMI.

Each D is a vector. Whoever uses one checks afterwards that it does what it should: nothing here is trusted.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.certificates.margins import EPS

Array = NDArray[Any]


def balanced_scaling(M: Array) -> Array:
    r"""D with :math:`d_i|m_{ij}| = d_j|m_{ji}|` along a spanning forest of the strongest pairs of weights.

    If some D makes DM symmetric or skew, it is this one, up to one factor for each connected part of the network.
    """
    n = len(M)
    strength = np.sqrt(np.abs(M)) * np.sqrt(np.abs(M.T))
    np.fill_diagonal(strength, 0.0)
    D = np.ones(n)
    waiting = np.ones(n, dtype=bool)
    best, parent = np.zeros(n), np.zeros(n, dtype=int)
    for _ in range(n):
        unit = int(np.argmax(np.where(waiting, best, -1.0)))
        waiting[unit] = False
        if best[unit] > 0:
            D[unit] = D[parent[unit]] * abs(M[parent[unit], unit]) / abs(M[unit, parent[unit]])
        closer = waiting & (strength[unit] > best)
        best[closer] = strength[unit, closer]
        parent[closer] = unit
    return _normalised(D)


def scaling_to(parity: int, M: Array) -> tuple[Array, float] | str:
    r"""D > 0 with :math:`DM = \pm(DM)^{\mathsf T}` (parity ±1) and the relative error left, or why there is none."""
    kind = "symmetric" if parity > 0 else "skew"
    D = np.ones(len(M))
    error = _asymmetry(D, M, parity)
    if error > rounding_of_asymmetry(len(M)):
        D = balanced_scaling(M)
        error = _asymmetry(D, M, parity)
    if not (np.isfinite(D).all() and (D > 0).all()):
        return f"the D that would make DW {kind} leaves the floating-point numbers"
    if error > rounding_of_asymmetry(len(M)):
        return f"no D > 0 makes DW {kind}: |DW {'−' if parity > 0 else '+'} (DW)ᵀ| is {error:.2g} of max |DW| at best"
    return D, error


def rounding_of_asymmetry(n: int) -> float:
    """What n rounded ratios of weights along a path may add up to."""
    return 8 * n * EPS


def _asymmetry(D: Array, M: Array, parity: int) -> float:
    product = D[:, None] * M
    largest = float(np.abs(product).max())
    return float(np.abs(product - parity * product.T).max()) / largest if largest else 0.0


def flow_scalings(A: Array) -> Iterator[Array]:
    r"""Guesses of D > 0 with :math:`DA + A^{\mathsf T}D \prec 0`.

    The identity; the balanced scaling (which succeeds for two units whenever any does); the ratios of left and right
    vectors of the comparison matrix (which succeed whenever that is stable). [kaszkurewicz2000]_
    """
    yield np.ones(len(A))
    yield from _usable(balanced_scaling(A))
    comparison = np.abs(A)
    np.fill_diagonal(comparison, np.diag(A))
    ones = np.ones(len(A))
    try:
        right, left = np.linalg.solve(-comparison, ones), np.linalg.solve(-comparison.T, ones)
    except np.linalg.LinAlgError:
        return
    if (right > 0).all() and (left > 0).all():
        yield from _usable(left / right)


def map_scalings(J: Array) -> Iterator[Array]:
    r"""Guesses of D > 0 with :math:`J^{\mathsf T}DJ \prec D`, or with a small norm of J in the norm of D.

    The identity; the balanced scaling; the ratios of the left and right eigenvectors of |J|, which give J a norm of at
    most the spectral radius of |J|. [kaszkurewicz2000]_
    """
    yield np.ones(len(J))
    yield from _usable(balanced_scaling(J))
    size = np.abs(J) + 1e-12 * max(float(np.abs(J).max()), 1e-300)  # positive, so that the eigenvectors are
    vectors = []
    for matrix in (size, size.T):
        eigenvalues, columns = np.linalg.eig(matrix)
        vectors.append(np.abs(columns[:, int(np.argmax(eigenvalues.real))].real))
    right, left = vectors
    if (right > 0).all() and (left > 0).all():
        yield from _usable(left / right)


def _usable(D: Array) -> Iterator[Array]:
    if np.isfinite(D).all() and (D > 0).all():
        yield _normalised(D)


def _normalised(D: Array) -> Array:
    # a power of two scales without rounding
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return D * 2.0 ** -np.round(np.log2(np.median(D)))


def flow_terms(A: Array) -> Array:
    r"""The matrices :math:`G_i` with :math:`\tfrac12(DA + A^{\mathsf T}D) = \sum_i d_i G_i`, shape (n, n, n)."""
    units = np.arange(len(A))
    terms = np.zeros((len(A),) * 3)
    terms[units, units, :] += A / 2
    terms[units, :, units] += A / 2
    return terms


def map_terms(J: Array, factor: float = 1.0) -> Array:
    r"""The matrices :math:`G_i` with :math:`J^{\mathsf T}DJ - \mathrm{factor}\cdot D = \sum_i d_i G_i`."""
    terms = J[:, :, None] * J[:, None, :]
    units = np.arange(len(J))
    terms[units, units, units] -= factor
    return terms


# Time and memory grow with the fourth power of the number of units or faster: 0.1 s for 32, 4 s for 64.
_LARGEST = 64

NOT_INSTALLED = 'the LMI was not tried: pip install "resdyn[lmi]"'


def feasible_scaling(terms: Array) -> Array | str:
    r"""D > 0 with :math:`\sum_i d_i G_i \prec 0` from a semidefinite program, or why there is none.

    Maximises t subject to :math:`\sum_i d_i G_i \preceq -tI` and :math:`10^{-6} \le d_i \le 1` by an interior-point
    method [goulart2024]_.
    """
    n = len(terms)
    if n > _LARGEST:
        return f"the LMI was not tried: {n} units are more than the {_LARGEST} that a dense solver takes seconds for"
    try:
        import clarabel
    except ImportError:
        return NOT_INSTALLED
    from scipy import sparse

    terms = terms / max(float(np.abs(terms).max()), 1e-300)
    upper = np.triu_indices(n)
    order = np.lexsort((upper[0], upper[1]))  # column by column, as the solver stacks triangles
    rows, columns = upper[0][order], upper[1][order]
    weight = np.where(rows == columns, 1.0, np.sqrt(2.0))
    triangles = np.column_stack([terms[:, rows, columns].T, (rows == columns).astype(float)]) * weight[:, None]
    bounds = np.hstack([np.eye(n), np.zeros((n, 1))])
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    solver = clarabel.DefaultSolver(
        sparse.csc_matrix((n + 1, n + 1)),
        np.append(np.zeros(n), -1.0),
        sparse.csc_matrix(np.vstack([-bounds, bounds, triangles])),
        np.concatenate([np.full(n, -1e-6), np.ones(n), np.zeros(len(rows))]),
        [clarabel.NonnegativeConeT(2 * n), clarabel.PSDTriangleConeT(n)],
        settings,
    )
    solution = solver.solve()
    D = np.asarray(solution.x[:n])
    if not (np.isfinite(D).all() and (D > 0).all() and solution.x[n] > 0):
        return f"the LMI has no solution D > 0 (solver: {solution.status}, best margin {solution.x[n]:.2g})"
    return D


def first_scaling(
    guesses: Iterator[Array], accept: Callable[[Array], bool], terms: Callable[[], Array] | None
) -> Array | str:
    """The first D that ``accept`` confirms: of the guesses, then of the LMI (unless ``terms`` is None)."""
    for D in guesses:
        if accept(D):
            return D
    if terms is None:
        return "none of the simple choices of D serves"
    found = feasible_scaling(terms())
    if isinstance(found, str):
        return found
    return found if accept(found) else "the D that the LMI solver returned does not stand the check"
