"""``FixedPoints``: arrays first; ``FixedPoint`` and ``Continuum`` objects are made when asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._results import Result, dataset, unit_dims
from resdyn._types import System
from resdyn.analysis.equilibria import stability

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

LARGEST_DENSE = 1024
_LEADING = 6


def _as_answer(verdict: int) -> bool | None:
    return None if verdict < 0 else bool(verdict)


@dataclass(frozen=True, eq=False, repr=False)
class FixedPoint:
    r"""A state with f(x) = 0.

    Attributes
    ----------
    x : array, shape ``system.shape``
        The state. Of logistic residuals it is z, infinite where y is 0 or 1.
    y : array or None
        σ(z) of logistic residuals, φ(Wx + b) of the matrix family, else None.
    residual_norm : float
        ‖f(x)‖₂; of logistic residuals ‖y(1−y)∘Wy‖₂, since Wσ(z) does not vanish at z = ±∞.
    eigenvalues : complex array, shape (d,)
        Of ∂f/∂x (logistic residuals: of ẏ); of more than 1024 variables only the leading ones.
    multipliers : complex array, shape (d,)
        Of the map, 1 + hλ; exp(hλ) at units that are saturated at 0 or 1.
    dynamics : str
        "map" or "flow": what :attr:`kind` speaks of.
    in_closure : bool
        Whether the point lies in the closure of a continuum of fixed points, so that it is not isolated.
    """

    x: Array
    y: Array | None
    residual_norm: float
    eigenvalues: Array
    multipliers: Array
    step: float
    dynamics: str = "map"
    in_closure: bool = False
    errors: Array = field(default_factory=lambda: np.zeros(0))
    """How far each eigenvalue may be off; 0 where its sign is exact, infinite at a kink of f."""

    def _growth(self, dynamics: str) -> tuple[Array, Array]:
        word = validate.dynamics(dynamics)
        errors = self.errors if self.errors.size else np.zeros(self.eigenvalues.shape)
        return stability.growth_and_margin(self.eigenvalues, self.multipliers, errors, self.step, word)

    def is_stable(self, dynamics: str) -> bool | None:
        """Whether the point attracts its neighbourhood, under the "map" or the "flow".

        Returns
        -------
        True, False or None
            None where linearization does not decide: an eigenvalue on the boundary, or closer to it than it is known
            (rounding, times its condition number, and at least 1e-9 of the largest), or f has a kink there (relu at 0).
            Then a :func:`resdyn.lyapunov_function` or a higher-order argument may.
        """
        growth, margin = self._growth(dynamics)
        return _as_answer(int(stability.verdict(growth, margin)))

    def kind_of(self, dynamics: str) -> str:
        """Node, focus, saddle, centre (of the linearization) or non-hyperbolic, under the "map" or the "flow"."""
        growth, margin = self._growth(dynamics)
        values = self.eigenvalues if dynamics == "flow" else self.multipliers
        return stability.kind(growth, np.imag(values), margin)

    @property
    def kind(self) -> str:
        """:meth:`kind_of` the dynamics it was asked for."""
        return self.kind_of(self.dynamics)

    def __repr__(self) -> str:
        words = {True: "stable", False: "unstable", None: "undecided by its linearization"}
        state = self.x if self.y is None or np.isfinite(self.x).all() else self.y
        name = "x" if state is self.x else "y"
        shown = np.array2string(np.ravel(state)[:6], precision=4, suppress_small=True)
        more = ", …" if state.size > 6 else ""
        rim = "; in the closure of a continuum" if self.in_closure else ""
        return (
            f"FixedPoint {name} = {shown}{more}: {self.kind} of the {self.dynamics}, "
            f"map {words[self.is_stable('map')]}, flow {words[self.is_stable('flow')]}; "
            f"residual {self.residual_norm:.1e}{rim}."
        )


@dataclass(frozen=True, eq=False)
class Continuum:
    """The fixed points of one face of the cube, where they are infinitely many.

    They are ``point`` + ``basis`` @ s, as far as the units of ``interior`` stay strictly between 0 and 1.

    Attributes
    ----------
    interior : bool array, shape (N,)
    corner : array, shape (N,)
        0 or 1 for each unit outside ``interior``, and 0 inside.
    point : array, shape (N,)
        The residuals y of the member that is farthest from the rim.
    basis : array, shape (N, dimension)
        Orthonormal directions.
    """

    interior: Array
    corner: Array
    point: Array
    basis: Array

    @property
    def dimension(self) -> int:
        """1 for a line, 2 for a plane …"""
        return self.basis.shape[1]

    def __repr__(self) -> str:
        shown = np.array2string(self.point, precision=4, suppress_small=True)
        return f"Continuum of dimension {self.dimension} through y = {shown}."


@dataclass(frozen=True, eq=False, repr=False)
class FixedPoints(Result, Sequence[FixedPoint]):
    r"""The fixed points of a system: a sequence of :class:`FixedPoint`, stored as arrays.

    ``len()`` counts points; :attr:`continua` are sets of infinitely many. A slice, a mask or an index array gives
    the points chosen.

    Attributes
    ----------
    x : array, shape (n, \*shape)
        States; of logistic residuals z, infinite at saturated units.
    y : array, shape (n, N), or (n, 0) where there is no such thing
        σ(z) of logistic residuals, φ(Wx + b) of the matrix family.
    residual_norm : array, shape (n,)
    in_closure : bool array, shape (n,)
        Points in the closure of a continuum.
    complete : bool
        Whether these are certainly all that were asked for.
    method : str
        How they were found.
    reason : str
        Why they are complete, or why they may not be.
    dynamics : str
        What stability was asked of, and the ``kind`` of a point speaks of.
    stable : bool or None
        What was asked for: only stable ones, only unstable ones, or all.
    """

    x: Array
    y: Array
    residual_norm: Array
    in_closure: Array
    complete: bool
    method: str
    reason: str
    system: System
    dynamics: str = "map"
    stable: bool | None = None
    rates: Array = field(default_factory=lambda: np.empty((0, 0)))
    """Wy of logistic residuals, with exact signs at saturated units."""
    kinked: Array = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """Points at a kink of f (relu at 0), where linearization decides nothing."""
    continuum_interior: Array = field(default_factory=lambda: np.empty((0, 0), dtype=bool))
    continuum_corner: Array = field(default_factory=lambda: np.empty((0, 0)))
    continuum_point: Array = field(default_factory=lambda: np.empty((0, 0)))
    continuum_basis: Array = field(default_factory=lambda: np.empty((0, 0)))
    """All bases side by side, as rows; the dimension of each set says where it begins."""
    continuum_dimension: Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    # --- a sequence ------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.x)

    @overload
    def __getitem__(self, index: int) -> FixedPoint: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice | list) or (isinstance(index, np.ndarray) and index.ndim):
            return self._chosen(index)
        if isinstance(index, bool | np.bool_) or not isinstance(index, int | np.integer | np.ndarray):
            raise TypeError(f"fixed points are indexed by an integer, a slice, a mask or integers, but got {index!r}.")
        index = int(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"there are {len(self)} fixed points; index {index} is out of range.")
        eigenvalues = self.eigenvalues[index]
        return FixedPoint(
            x=self.x[index],
            y=self.y[index] if self.y.size else None,
            residual_norm=float(self.residual_norm[index]),
            eigenvalues=eigenvalues,
            multipliers=self.multipliers[index],
            step=self.system.step,
            dynamics=self.dynamics,
            in_closure=bool(self.in_closure[index]),
            errors=self.errors[index],
        )

    def __iter__(self) -> Iterator[FixedPoint]:
        return (self[i] for i in range(len(self)))

    def _chosen(self, index: Any) -> Self:
        places = np.arange(len(self))[index]
        if places.ndim != 1:
            raise IndexError(f"an index of fixed points has one axis, but has {places.ndim}.")
        reason = f"{len(places)} of the {len(self)} points were chosen."
        return replace(self._take(places), complete=False, reason=reason)

    def _take(self, places: Array) -> Self:
        names = ("x", "y", "residual_norm", "in_closure", "rates", "kinked")
        chosen = replace(self, **{name: getattr(self, name)[places] for name in names if len(getattr(self, name))})
        for name in ("_spectra", "multipliers"):
            if name in self.__dict__:
                held = self.__dict__[name]
                both = tuple(part[places] for part in held) if isinstance(held, tuple) else held[places]
                chosen.__dict__[name] = both
        return chosen

    # --- linearization -----------------------------------------------------------------------------------

    @property
    def _on_faces(self) -> bool:
        return self.rates.shape[1] > 0

    @property
    def interior(self) -> Array:
        """Which units lie strictly between 0 and 1, (n, N), of logistic residuals, though y may round to 0 or 1."""
        return np.isfinite(self.x)

    @property
    def eigenvalues(self) -> Array:
        r"""λ of ∂f/∂x (of ẏ for logistic residuals), complex (n, d); the leading six beyond 1024 variables.

        Logistic residuals: entry i is ±(Wy)_i where unit i is saturated, and the eigenvalues of
        diag(y(1−y))_II W_II fill the places of the inner units, in no order.
        """
        return self._spectra[0]

    @property
    def errors(self) -> Array:
        """How far each eigenvalue may be off, (n, d): 0 where its sign is exact, infinite at a kink of f."""
        return self._spectra[1]

    @cached_property
    def _spectra(self) -> tuple[Array, Array]:
        values, errors = self._face_spectra() if self._on_faces else self._general_spectra()
        if len(self.kinked):
            errors = np.where(self.kinked[:, None], np.inf, errors)
        return values, errors

    @cached_property
    def multipliers(self) -> Array:
        """1 + hλ at finite states, exp(hλ) at saturated units, complex (n, d)."""
        h = self.system.step
        if not self._on_faces:
            return 1.0 + h * self.eigenvalues
        with np.errstate(over="ignore"):
            return np.where(self.interior, 1.0 + h * self.eigenvalues, np.exp(h * self.eigenvalues.real))

    def _face_spectra(self) -> tuple[Array, Array]:
        W: Array = self.system.W  # type: ignore[attr-defined]
        values = np.where(self.y == 0, self.rates, -self.rates).astype(complex)
        errors = np.zeros(values.shape)
        sizes = self.interior.sum(axis=1)
        for k in np.unique(sizes[sizes > 0]):
            rows = np.flatnonzero(sizes == k)
            inside = np.nonzero(self.interior[rows])[1].reshape(-1, k)
            y = np.take_along_axis(self.y[rows], inside, axis=1)
            blocks = (y * (1 - y))[:, :, None] * W[inside[:, :, None], inside[:, None, :]]
            found, off = stability.eigenvalues_with_errors(blocks)
            values[rows[:, None], inside], errors[rows[:, None], inside] = found, off
        return values, errors

    def _general_spectra(self) -> tuple[Array, Array]:
        d = int(np.prod(self.system.shape))
        if not len(self):
            return np.empty((0, d), dtype=complex), np.empty((0, d))
        if d <= LARGEST_DENSE:
            with np.errstate(all="ignore"):
                matrices = np.array([self._jacobian(x) for x in self.x])
            values, errors = stability.eigenvalues_with_errors(matrices)
            return values, np.maximum(errors, self._doubt()[:, None])
        from scipy.sparse.linalg import eigs

        from resdyn.tangent import block_jacobian

        which = "LM" if self.dynamics == "map" else "LR"
        leading = []
        for x in self.x:
            # I + hA has the eigenvectors of A, and its largest values are those that matter to the map
            block = block_jacobian(self.system, 0.0, x)
            mu = eigs(block, k=_LEADING, which=which, return_eigenvectors=False, v0=np.ones(d))
            leading.append((mu - 1.0) / self.system.step)
        values = np.array(leading).reshape(len(self), _LEADING)
        return values, stability.MARGIN * np.abs(values).max(axis=1, keepdims=True) * np.ones(_LEADING)

    def _doubt(self) -> Array:
        """What the Jacobian is not known by: how it varies around each point, by 1e-9, and the error of differences."""
        doubts = []
        for x in self.x:
            away = 1e-3 * (1.0 + np.abs(x))
            with np.errstate(all="ignore"):
                A, near = self._jacobian(x), self._jacobian(x + away)
            differenced = getattr(self.system.linearize(0.0, x), "error", 0.0)
            varies = np.abs(near - A).max(initial=0.0)
            doubts.append(stability.MARGIN * (varies if np.isfinite(varies) else 0.0) + 10 * differenced)
        return np.array(doubts)

    def _jacobian(self, x: Array) -> Array:
        jacobian = getattr(self.system, "jacobian", None)
        if jacobian is not None:
            return np.asarray(jacobian(0.0, x), dtype=float)
        operator = self.system.linearize(0.0, x)
        return np.asarray(operator @ np.eye(operator.shape[1]))

    def stability(self, dynamics: str | None = None) -> Array:
        """1 stable, 0 unstable, −1 not decided by linearization, for each point, int8 (n,); see ``is_stable``.

        Undecided are eigenvalues on the border of stability, and those that rounding may move there: repeated ones,
        unless the matrix is triangular. :func:`resdyn.resilience` decides more of these, by the propagator.
        """
        word = validate.dynamics(self.dynamics if dynamics is None else dynamics)
        if not len(self):
            return np.empty(0, dtype=np.int8)
        growth, margin = stability.growth_and_margin(
            self.eigenvalues, self.multipliers, self.errors, self.system.step, word
        )
        return stability.verdict(growth, margin)

    # --- continua ----------------------------------------------------------------------------------------

    @property
    def continua(self) -> tuple[Continuum, ...]:
        """The sets of infinitely many fixed points, one for each face that holds one."""
        ends = np.cumsum(self.continuum_dimension)
        return tuple(
            Continuum(interior, corner, point, self.continuum_basis[end - dimension : end].T)
            for interior, corner, point, dimension, end in zip(
                self.continuum_interior,
                self.continuum_corner,
                self.continuum_point,
                self.continuum_dimension,
                ends,
                strict=True,
            )
        )

    # --- words and files ---------------------------------------------------------------------------------

    def __repr__(self) -> str:
        n, verdicts = len(self), self.stability() if len(self) <= 4096 else None
        asked = {None: "", True: "stable ", False: "unstable "}[self.stable]
        counts = f"{n} {asked}fixed point{'s' if n != 1 else ''}"
        if verdicts is not None and n and self.stable is None:
            found = [
                (int((verdicts == v).sum()), word) for v, word in ((1, "stable"), (0, "unstable"), (-1, "undecided"))
            ]
            counts += " (" + ", ".join(f"{c} {word}" for c, word in found if c) + f" under the {self.dynamics})"
        sets = len(self.continuum_dimension)
        if sets:
            counts += f" and {sets} continu{'a' if sets > 1 else 'um'}"
            counts += "" if self.stable is None else " of any stability"
        certainty = "complete" if self.complete else "maybe not all"
        return f"{counts} of {self.system.name!r}, {certainty}: {self.reason}"

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        rows = []
        for point in self[:20]:
            state = point.x if point.y is None else point.y
            rows.append(
                (
                    np.array2string(np.ravel(state)[:8], precision=4, suppress_small=True),
                    point.kind,
                    point.is_stable("map"),
                    point.is_stable("flow"),
                    f"{point.residual_norm:.1e}",
                )
            )
        return ("state" if not self.y.size else "y", "kind", "map stable", "flow stable", "residual"), rows

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over points: x, y, residual norm, eigenvalues, multipliers, stability."""
        state = ["point", *unit_dims(len(self.system.shape))]
        variables: dict[str, tuple[Sequence[str], Any]] = {
            "x": (state, self.x),
            "residual_norm": (["point"], self.residual_norm),
            "in_closure": (["point"], self.in_closure),
            "eigenvalues": (["point", "eigenvalue"], self.eigenvalues),
            "multipliers": (["point", "eigenvalue"], self.multipliers),
            "stable_map": (["point"], self.stability("map")),
            "stable_flow": (["point"], self.stability("flow")),
        }
        if self.y.size:
            variables["y"] = (["point", "unit"], self.y)
        attrs = {"system": self.system.name, "complete": int(self.complete), "method": self.method}
        return dataset(variables, attrs={**attrs, "reason": self.reason})
