r"""Exact counts of singular values, by inertia (Sylvester's law), with guards.

The number of singular values above t is an integer that the signs of pivots tell (see
:mod:`~resdyn.networks.linearization.pencils`); no singular value is computed, and J is not formed. Pivots near zero and
large pivots say that rounding may have changed a sign. Then the count is repeated, beside t or with other panels, and
at last read off from all singular values. Counts may not grow with t, and by Weyl's inequality they differ from
:math:`\#(e > t^2)` by at most p: a count that breaks this is repeated too.

Resolution: a singular value nearer to t than :data:`RESOLUTION`, relatively, may be counted on either side of t. The
values of the skip path are atoms, which J may have often: at a t within this distance from one, it is counted just as
t says. Squares are exact to :data:`ROUNDING` of the largest, so a small t, below :data:`NEAR_ZERO` of the largest
singular value, is counted on both sides of that error; where these counts differ, or t is so small that there is no
other side, and values there may not all be zero, they are read off from all singular values.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from resdyn.kernels.blas import single_threaded_blas
from resdyn.networks.linearization.atoms import Structure, forced_atoms
from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.pencils import Count, GramPencil, ReducedPencil
from resdyn.networks.linearization.ranges import matrix_within_range, norm_estimate, within_range
from resdyn.networks.linearization.spectrum import spectrum_of_factors, spectrum_of_matrix

Array = NDArray[Any]

RESOLUTION = 1e-9
"""Relative distance from an atom at which the one-sided limit of the count is taken."""

ROUNDING = 1e-13
"""Errors of σ², relative to the largest."""

NEAR_ZERO = 1e-4
"""Thresholds below this part of the largest singular value are counted twice: errors of σ² are not small there."""

SMALL = 400
"""Up to so many singular values, all are computed: counting takes longer."""

ROWS_FOR_GRAM = 1.1
r"""With up to so many active outputs for each active inner unit, :math:`J_A J_A^{\mathsf T}` itself is eliminated.

It reaches twice as far from pixel to pixel as the matrix of order 2p: :math:`4 s^3` to :math:`8 p^3` operations, and
fewer where that is farther than the image."""

PANELS = (96, 128, 64)
"""Sizes of panels of the first attempt and of its repetitions."""

TRUSTED_GROWTH = 1e4
"""With pivots larger than this times the largest entry a count is repeated."""

TRUSTED_PIVOT = 1e-12
"""With pivots smaller than this times the largest entry (and the growth) a count is repeated."""

JITTER = 1e-12
"""Relative distance from t of the thresholds at which a doubtful count is repeated."""


class Counter:
    """Counts singular values of J = D (a S + U V), or of a matrix.

    Parameters
    ----------
    factors : Factors, optional
    matrix : array or sparse array, optional
        J, where there are no factors.
    """

    def __init__(self, factors: Factors | None, matrix: Any = None) -> None:
        self._scale = 1.0
        if factors is not None:
            factors, self._scale = within_range(factors)
        elif sparse.issparse(matrix) or matrix.size:
            matrix, self._scale = matrix_within_range(matrix)
        self._factors, self._matrix = factors, matrix
        self._size = min(factors.shape if factors is not None else matrix.shape)
        self._counted: dict[float, int] = {}
        self._lock = threading.Lock()
        self._values: Array | None = None
        """All singular values, once they had to be computed."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    @property
    def computed_values(self) -> bool:
        """Whether counts are read off from all singular values: for small J, and after guards failed."""
        return self._values is not None

    def count_above(self, t: float) -> int:
        """How many are greater than t."""
        t = float(t)
        if np.isnan(t):
            raise ValueError("t is not a number; pass a threshold.")
        if t < 0:
            return self._size
        if np.isinf(t):
            return 0
        return self._above(t / self._scale)

    def _above(self, t: float) -> int:
        atom = self._atom_at(t)
        return self._count(t if atom is None else atom * (1 + RESOLUTION if t >= atom else 1 - RESOLUTION))

    def count_within(self, center: float, width: float) -> int:
        """How many are at most ``width`` from ``center``."""
        if not width >= 0 or np.isnan(center):
            raise ValueError(f"center is {center}, width {width}; pass numbers, width ≥ 0.")
        return self._count_from((center - width) / self._scale) - self.count_above(center + width)

    def counts(self, thresholds: Any, *, workers: int = 1) -> NDArray[np.int64]:
        """How many are greater than each threshold, those that follow from others without an elimination.

        Parameters
        ----------
        thresholds : array
        workers : int
            Threads; each counts at a threshold of its own.

        Returns
        -------
        integer array, of the shape of ``thresholds``
        """
        t = np.asarray(thresholds, dtype=float)
        wanted = np.unique(t)
        # Setting up in one thread: all use the same matrices.
        found = (
            {float(value): self.count_above(value) for value in wanted[[0, -1][: len(wanted)]]} if len(wanted) else {}
        )
        rest = [float(wanted[i]) for i in _bisecting(1, len(wanted) - 1)]
        with ThreadPoolExecutor(max(1, workers)) as pool:
            found.update(zip(rest, pool.map(self.count_above, rest), strict=True))
        return np.array([found[float(value)] for value in t.ravel()], dtype=np.int64).reshape(t.shape)

    # --- thresholds ------------------------------------------------------------------------------

    def _count_from(self, t: float) -> int:
        """How many are t or greater."""
        atom = self._atom_at(t) if t > 0 else None
        if t <= 0:
            return self._size
        return self._above(t) if atom is None else self._count(atom * (1 - RESOLUTION))

    @cached_property
    def _atoms(self) -> Array:
        """Values of the skip path, ascending, without zero."""
        squares = None if self._factors is None else self._factors.squares
        values = np.zeros(0) if squares is None else np.sqrt(np.unique(squares))
        return values[values > 0]

    def _atom_at(self, t: float) -> float | None:
        """The value of the skip path from which t cannot be told."""
        if not len(self._atoms):
            return None
        i = int(np.searchsorted(self._atoms, t))
        nearest = min(self._atoms[max(i - 1, 0) : i + 1], key=lambda atom: abs(atom - t))
        return float(nearest) if abs(nearest - t) < RESOLUTION * nearest else None

    # --- counting --------------------------------------------------------------------------------

    def _count(self, t: float) -> int:
        """How many are greater than t, which is not an atom."""
        pencil = self._pencil
        if pencil is None:
            return self._count_values(t)
        low, high = self._bounds(t)
        if low == high:
            return low
        with single_threaded_blas():
            # The bound may be far above the norm; the norm itself takes a moment.
            small = t < NEAR_ZERO * pencil.norm_bound and t < NEAR_ZERO * self._norm
            above = self._near_zero(t) if small else self._guarded(t)
        if above is None:
            return self._count_values(t)
        with self._lock:
            self._counted[t] = above
        return above

    def _near_zero(self, t: float) -> int | None:
        """A count that errors of σ² do not change; None if they may."""
        error = ROUNDING * self._norm**2
        upper = self._guarded(float(np.sqrt(max(t**2, error) + error)))
        if upper is None:
            return None
        if t**2 > 2 * error:
            return upper if upper == self._guarded(float(np.sqrt(t**2 - error))) else None
        return upper if upper in (self._bounds(0.0)[1], self._size - self._forced_zeros) else None

    @cached_property
    def _norm(self) -> float:
        """The largest singular value, or somewhat less."""
        return norm_estimate(self._matrix if self._factors is None else self._factors)

    @cached_property
    def _forced_zeros(self) -> int:
        """How many singular values are zero for certain."""
        atoms = () if self._factors is None else forced_atoms(Structure(self._factors))
        return sum(atom.multiplicity for atom in atoms if atom.value == 0)

    def _guarded(self, t: float) -> int | None:
        """A count that can be trusted; None if there is none."""
        first = self._attempt(t, PANELS[0])
        if self._trusted(first, t):
            return first.above
        # A pivot near zero: t is a singular value, or nearly, and not greater than itself.
        beside = t * (1 + RESOLUTION)
        if first.growth <= TRUSTED_GROWTH and self._trusted(found := self._attempt(beside, PANELS[0]), beside):
            return found.above
        jittered = [
            self._attempt(t * (1 + sign * JITTER), panel) for sign, panel in zip((1, -1), PANELS[1:], strict=True)
        ]
        # Pivots below rounding have no sign, and repetitions may lose the same ones: to agree then proves nothing.
        agree = jittered[0].above == jittered[1].above and min(found.smallest for found in jittered) > 0
        return jittered[0].above if agree and self._possible(jittered[0].above, t) else None

    def _attempt(self, t: float, panel: int) -> Count:
        pencil = self._pencil
        assert pencil is not None
        return pencil.count(t, panel)

    def _trusted(self, found: Count, t: float) -> bool:
        safe = found.growth <= TRUSTED_GROWTH and found.smallest >= TRUSTED_PIVOT * max(found.growth, 1.0)
        return safe and self._possible(found.above, t)

    def _possible(self, above: int, t: float) -> bool:
        low, high = self._bounds(t)
        return low <= above <= high

    def _bounds(self, t: float) -> tuple[int, int]:
        """Between which numbers a count must be, because of other counts and by Weyl's inequality."""
        low, high = 0, self._size
        if self._factors is not None and self._factors.squares is not None:
            above = int((self._factors.squares > t**2).sum())
            low, high = max(low, above - self._factors.p), min(high, above + self._factors.p)
            high = min(high, len(self._factors.rows))
        with self._lock:
            low = max([low, *(count for other, count in self._counted.items() if other >= t)])
            high = min([high, *(count for other, count in self._counted.items() if other <= t)])
        return low, high

    @cached_property
    def _pencil(self) -> ReducedPencil | GramPencil | None:
        """What is counted by inertia; None where all singular values are computed."""
        if self._size <= SMALL or (self._factors is None and not sparse.issparse(self._matrix)):
            return None
        if self._factors is None:
            return GramPencil(self._matrix)
        if self._factors.squares is None or self._has_few_rows(self._factors):
            return GramPencil(self._factors.active_matrix, _places(self._factors))
        return ReducedPencil(self._factors)

    @staticmethod
    def _has_few_rows(factors: Factors) -> bool:
        # without a skip path the rank may be p, and the other eigenvalues, all −t², are near zero
        return factors.active_skip.nnz > 0 and len(factors.rows) <= ROWS_FOR_GRAM * factors.p

    def _count_values(self, t: float) -> int:
        if self._values is None:
            exact = spectrum_of_matrix(self._matrix) if self._factors is None else spectrum_of_factors(self._factors)
            self._values = exact.values
        values = self._values
        zero = max(self._factors.shape if self._factors is not None else self._matrix.shape) * np.finfo(float).eps
        return int((values > max(t, zero * values.max(initial=0.0))).sum())


def _places(factors: Factors) -> Array:
    """For each active row, the mean place of the inner units that reach it."""
    U = sparse.csr_array(factors.active_U != 0).astype(float)
    degrees = np.maximum(np.asarray(U.sum(1)).ravel(), 1.0)
    return np.asarray(U @ factors.place.astype(float)) / degrees


def _bisecting(low: int, high: int) -> Sequence[int]:
    """The integers from low to high, each in the middle of those that are left around it."""
    ranges, order = [(low, high)], []
    while ranges:
        following = []
        for first, stop in ranges:
            if first < stop:
                middle = (first + stop) // 2
                order.append(middle)
                following += [(first, middle), (middle + 1, stop)]
        ranges = following
    return order
