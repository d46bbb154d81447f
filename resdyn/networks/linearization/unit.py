"""The Jacobian of one residual unit at one state."""

from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from resdyn.networks.linearization.assembly import full_matrix
from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.inertia import Counter
from resdyn.networks.linearization.operator import Linearization
from resdyn.networks.linearization.spectrum import Spectrum, atoms_and_rank, spectrum_of_factors, spectrum_of_matrix
from resdyn.networks.linearization.values import Atom

Array = NDArray[Any]
Reading = Literal["after", "before"]


class LinearizedUnit(Linearization):
    r"""The Jacobian J of a residual unit at one state; what :func:`resdyn.networks.linearize` returns.

    Attributes
    ----------
    name : str
    reading : "after" or "before"
        Whether the activation after the addition is included.
    skip_scale, weight_scale : float
    masks : "held" or "recomputed"
    method : str
        How J was found: "factored", "closed form", "coloured" or "dense".
    factors : Factors or None
        J = D (a S + U V), with method "factored".
    notes : tuple of str
        Why methods that come before this one do not apply.
    """

    def __init__(
        self,
        name: str,
        x: Array,
        *,
        shape_after: tuple[int, ...],
        reading: Reading,
        skip_scale: float,
        weight_scale: float,
        masks: Literal["held", "recomputed"],
        method: str,
        factors: Factors | None = None,
        matrix: Any = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        super().__init__((int(np.prod(shape_after)), int(np.prod(x.shape))))
        self.name, self.x, self.shape_before, self.shape_after = name, x, x.shape, shape_after
        self.reading, self.masks, self.method = reading, masks, method
        self.skip_scale, self.weight_scale = skip_scale, weight_scale
        self.factors, self.notes = factors, notes
        self._matrix = matrix
        """J, sparse or dense, where there are no factors."""

    def __repr__(self) -> str:
        where = {"after": "with what follows the addition", "before": "before what follows the addition"}[self.reading]
        sizes = f"{_size(self.shape_before)} to {_size(self.shape_after)}"
        return f"LinearizedUnit {self.name!r}: {sizes}, {where}; {self._structure()}{self._scaled()}."

    def _structure(self) -> str:
        if self.factors is None:
            return f"a matrix found by the method {self.method!r}"
        kind = "" if self.factors.skip is None else " S"
        path = f"{self.factors.a:g}{kind} + U V" if self.factors.a or self.factors.skip is None else "U V"
        return (
            f"D ({path}) with p = {self.active_inner} active inner units and s = {self.active_outer} of "
            f"{self.shape[0]} outputs"
        )

    def _scaled(self) -> str:
        if self.skip_scale == self.weight_scale == 1:
            return ""
        masks = f", D {self.masks}" if self.reading == "after" else ""
        return f"; skip path times {self.skip_scale:g}, branch times {self.weight_scale:g}{masks}"

    # --- structure -------------------------------------------------------------------------------

    @property
    def active_inner(self) -> int | None:
        """p, the active units at the narrowest activation inside the branch; None without factors."""
        return None if self.factors is None else self.factors.p

    @property
    def active_outer(self) -> int | None:
        """s, the outputs at which the derivative of what follows the addition is not zero; None without factors."""
        return None if self.factors is None else len(self.factors.rows)

    @property
    def rank(self) -> int:
        """Of the branch as it counts in J: of D U V, verified; without factors, of J."""
        return self._forced[1]

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """Singular values that J has because of its structure, with their multiplicities; empty without factors."""
        return self._forced[0]

    @cached_property
    def _forced(self) -> tuple[tuple[Atom, ...], int]:
        """Atoms and rank; no singular values are computed for them where there are factors."""
        if self.factors is None or "_spectrum" in vars(self):
            return self._spectrum.atoms, self._spectrum.rank
        return atoms_and_rank(self.factors)

    # --- spectrum --------------------------------------------------------------------------------

    def singular_values(self, device: Any = None) -> Array:
        """All of them, exact to rounding, descending, shape (min(n, m),); atoms are repeated as often as they occur.

        Parameters
        ----------
        device : str or torch.device, optional
            Where the eigenvalues of the reduced matrix are found; left out: on the CPU, once.
        """
        return self._spectrum.values if device is None else self._spectrum_on(device).values

    def count_above(self, t: Any) -> Any:
        r"""How many singular values are greater than t: an int, or integers for an array of t.

        Exact, but for values that are relatively nearer to t than 1e-9, or that only rounding separates from t: for t
        far below the largest value, that is about :math:`10^{-13} \sigma_1^2 / t`. Values below about
        :math:`10^{-11} \sigma_1` count as zero. A t below :math:`10^{-4} \sigma_1` takes two counts, and all
        singular values are computed where rounding may change the answer.
        """
        if np.ndim(t) == 0:
            return self._counter.count_above(float(t))
        return self._counter.counts(t)

    def fraction_within(self, center: float, width: float) -> float:
        """The share of singular values that are at most ``width`` from ``center``, as :meth:`count_above` counts."""
        return self._counter.count_within(center, width) / min(self.shape)

    @cached_property
    def _spectrum(self) -> Spectrum:
        return self._spectrum_on(None)

    def _spectrum_on(self, device: Any) -> Spectrum:
        if self.factors is not None:
            return spectrum_of_factors(self.factors, device)
        return spectrum_of_matrix(self._matrix, device)

    @cached_property
    def _counter(self) -> Counter:
        return Counter(self.factors, self._matrix)

    # --- as matrix and operator ------------------------------------------------------------------

    def to_sparse(self) -> Any:
        """J as a SciPy CSR array."""
        if self.factors is None:
            return sparse.csr_array(self._matrix)
        return full_matrix(self.factors)

    def to_dense(self) -> Array:
        """J as an array, shape (n, m)."""
        return self.to_sparse().toarray()

    def _matmat(self, x: Array) -> Array:
        if self.factors is None:
            return self._matrix @ x
        F = self.factors
        skipped = x if F.skip is None else F.skip @ x
        return F.outer[:, None] * (F.a * skipped + F.U @ (F.V @ x))

    def _transposed_matmat(self, y: Array) -> Array:
        if self.factors is None:
            return self._matrix.T @ y
        F = self.factors
        y = F.outer[:, None] * y
        skipped = y if F.skip is None else F.skip.T @ y
        return F.a * skipped + F.V.T @ (F.U.T @ y)


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "one number"
