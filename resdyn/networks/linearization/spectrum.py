r"""Complete spectra with their atoms.

Singular values of :math:`J = D\,(a S + U V)` from the active rows :math:`J_A J_A^{\mathsf T} = E + C M C^{\mathsf T}`
(:mod:`resdyn.networks.linearization.factors`): by the reduction to order 2p where E is a multiple of I and 2p < s, by
:math:`J_A J_A^{\mathsf T}` or :math:`J_A^{\mathsf T} J_A`, whichever is smaller, where not; with a = 0, of order p.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.networks.devices import named_device
from resdyn.networks.linearization import matrices
from resdyn.networks.linearization.atoms import Structure, forced_atoms
from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.matrices import (
    RANK_TOLERANCE,
    matrix_singular_values,
    triangular_factor,
    whole_space,
)
from resdyn.networks.linearization.ranges import matrix_within_range, within_range
from resdyn.networks.linearization.reduction import Reduction
from resdyn.networks.linearization.symmetric import LeftSpace, require_eigenvalues, roots, symmetric_eigenvalues
from resdyn.networks.linearization.values import Atom

Array = NDArray[Any]


ROUNDING = 1e-6
"""Values of an atom come out this near to it, relative to the largest: zeros as roots of rounding errors of squares."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Singular values, descending; atoms that the structure forces; the verified rank."""

    values: Array
    atoms: tuple[Atom, ...]
    rank: int


def spectrum_of_factors(factors: Factors, device: Any = None) -> Spectrum:
    r"""All singular values of :math:`J = D\,(a S + U V)`, exact to rounding, with their atoms.

    Parameters
    ----------
    device : str or torch.device, optional
        Where eigenvalues are found; left out: the CPU.

    Returns
    -------
    Spectrum
        ``values`` has shape (min(n, m),); values that belong to an atom are exactly equal to it. ``rank`` is that of
        D U V.

    Raises
    ------
    MemoryError
        If the matrix of which eigenvalues are needed cannot be had.
    """
    if device is not None:
        named_device(device)
    factors, scale = within_range(factors)
    structure = Structure(factors)
    reduced = _reduced(structure, device)
    atoms = forced_atoms(structure)
    if reduced is None:
        zeros = sum(atom.multiplicity for atom in atoms if atom.value == 0) - structure.lost
        reduced = _by_rows(structure, factors, device, zeros)
    values = _with_atoms(reduced, atoms, min(factors.shape)) * scale
    return Spectrum(values, _scaled(atoms, scale), structure.rank)


def atoms_and_rank(factors: Factors) -> tuple[tuple[Atom, ...], int]:
    """What of a :class:`Spectrum` the structure tells, without its values."""
    factors, scale = within_range(factors)
    structure = Structure(factors)
    return _scaled(forced_atoms(structure), scale), structure.rank


def _scaled(atoms: tuple[Atom, ...], scale: float) -> tuple[Atom, ...]:
    return tuple(Atom(atom.value * scale, atom.multiplicity) for atom in atoms)


def spectrum_of_matrix(matrix: Any, device: Any = None) -> Spectrum:
    """All singular values of a dense or sparse J without known structure; the rank is that of J."""
    if device is not None:
        named_device(device)
    matrix, scale = matrix_within_range(matrix)
    values = matrix_singular_values(matrix, device) * scale
    return Spectrum(values, (), int((values > RANK_TOLERANCE * values.max(initial=0.0)).sum()))


def _reduced(structure: Structure, device: Any) -> Array | None:
    """The singular values of J_A by a smaller matrix, where there is one."""
    if structure.reduction is not None:
        return _by_reduction(structure, structure.reduction, device)
    if structure.without_skip and structure.p < min(structure.s, structure.shape[1]):
        return _without_skip(structure, device)
    return None


def _by_reduction(structure: Structure, reduction: Reduction, device: Any) -> Array:
    e = structure.constant
    assert e is not None
    require_eigenvalues(reduction.order, f"a unit with {structure.p} active inner units")
    squares = e + symmetric_eigenvalues(reduction.matrix(), device)
    space = LeftSpace(
        structure.s, structure.transposed, lambda shift: reduction.solver(e + shift), lambda: reduction.basis
    )
    rest = np.full(structure.s - reduction.order, np.sqrt(e))
    return np.concatenate([roots(squares, space), rest])


def _without_skip(structure: Structure, device: Any) -> Array:
    """Of U_A V = Q R V: those of R V, of which there are p."""
    require_eigenvalues(structure.p, f"a unit with {structure.p} active inner units")
    R = triangular_factor(structure.U)
    gram = (R @ (structure.V @ structure.V.T)) @ R.T
    squares = symmetric_eigenvalues(gram, device)
    space = whole_space(gram, lambda Q: structure.V.T @ (R.T @ Q))
    return roots(squares, space, spare=structure.p - structure.rank)


def _by_rows(structure: Structure, factors: Factors, device: Any, zeros: int) -> Array:
    r"""All singular values of J_A, of which some are known to be zero."""
    s, m = structure.s, structure.shape[1]
    if s > m or s <= matrices.DIRECT_UP_TO:
        return matrix_singular_values(factors.active_matrix, device, zeros=zeros)
    require_eigenvalues(s, f"a unit with {s} active outputs")
    gram = structure.gram_of_rows()
    squares = symmetric_eigenvalues(gram, device)
    return roots(squares, whole_space(gram, structure.transposed), zeros)


def _with_atoms(found: Array, atoms: tuple[Atom, ...], size: int) -> Array:
    """``size`` values, descending, with each atom's nearest ones set to it, if only rounding lies between."""
    values = np.zeros(size)
    values[: len(found)] = found
    for atom in atoms:
        nearest = np.argsort(np.abs(values - atom.value), kind="stable")[: atom.multiplicity]
        distances = np.abs(values[nearest] - atom.value)
        values[nearest[distances <= ROUNDING * values.max(initial=0.0)]] = atom.value
    return np.sort(values)[::-1]
