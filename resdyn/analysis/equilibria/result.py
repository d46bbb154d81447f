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
    exact: Array = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """Which eigenvalues have an exact sign, so that no margin applies to them."""

    def _growth(self, dynamics: str) -> tuple[Array, Array]:
        word = validate.dynamics(dynamics)
        growth = stability.growth(self.eigenvalues, self.multipliers, word)
        margin = np.broadcast_to(stability.margins(self.eigenvalues, self.step, word), growth.shape).copy()
        # an eigenvalue of known sign needs no margin, whatever rounding makes of exp(hλ)
        known = np.broadcast_to(self.exact if self.exact.size else False, growth.shape)
        growth = np.where(known, np.real(self.eigenvalues), growth)
        margin[known] = 0.0
        return growth, margin

    def is_stable(self, dynamics: str) -> bool | None:
        """Whether the point attracts its neighbourhood, under the "map" or the "flow".

        Returns
        -------
        True, False or None
            None where linearization does not decide: an eigenvalue on the boundary, or closer to it than 1e-9 of
            the largest. Then a :func:`resdyn.lyapunov_function` or a higher-order argument may.
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
        if not isinstance(index, int | np.integer):
            return self._chosen(index)
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
            exact=self._exact[index] if self._on_faces else np.zeros(0, dtype=bool),
        )

    def __iter__(self) -> Iterator[FixedPoint]:
        return (self[i] for i in range(len(self)))

    def _chosen(self, index: Any) -> Self:
        names = ["x", "y", "residual_norm", "in_closure", *(["rates"] if self._on_faces else [])]
        chosen = replace(self, **{name: getattr(self, name)[index] for name in names})
        for name in ("eigenvalues", "multipliers", "_exact"):
            if name in self.__dict__:
                chosen.__dict__[name] = self.__dict__[name][index]
        return chosen

    # --- linearization -----------------------------------------------------------------------------------

    @property
    def _on_faces(self) -> bool:
        return self.rates.size > 0

    @property
    def interior(self) -> Array:
        """Which units lie strictly between 0 and 1, (n, N), of logistic residuals."""
        return np.isfinite(self.x)

    @cached_property
    def eigenvalues(self) -> Array:
        r"""λ of ∂f/∂x (of ẏ for logistic residuals), complex (n, d); the leading six beyond 1024 variables.

        Logistic residuals: entry i is ±(Wy)_i where unit i is saturated, and the eigenvalues of
        diag(y(1−y))_II W_II fill the places of the inner units, in no order.
        """
        return self._face_eigenvalues() if self._on_faces else self._general_eigenvalues()

    @cached_property
    def multipliers(self) -> Array:
        """1 + hλ at finite states, exp(hλ) at saturated units, complex (n, d)."""
        h = self.system.step
        if not self._on_faces:
            return 1.0 + h * self.eigenvalues
        with np.errstate(over="ignore"):
            return np.where(self.interior, 1.0 + h * self.eigenvalues, np.exp(h * self.eigenvalues.real))

    @property
    def _exact(self) -> Array:
        return ~self.interior

    def _face_eigenvalues(self) -> Array:
        W: Array = self.system.W  # type: ignore[attr-defined]
        values = np.where(self.y == 0, self.rates, -self.rates).astype(complex)
        sizes = self.interior.sum(axis=1)
        for k in np.unique(sizes[sizes > 0]):
            rows = np.flatnonzero(sizes == k)
            inside = np.nonzero(self.interior[rows])[1].reshape(-1, k)
            y = np.take_along_axis(self.y[rows], inside, axis=1)
            blocks = (y * (1 - y))[:, :, None] * W[inside[:, :, None], inside[:, None, :]]
            values[rows[:, None], inside] = np.linalg.eigvals(blocks)
        return values

    def _general_eigenvalues(self) -> Array:
        d = int(np.prod(self.system.shape))
        if d <= LARGEST_DENSE:
            if not len(self):
                return np.empty((0, d), dtype=complex)
            return np.array([np.linalg.eigvals(self._jacobian(x)).astype(complex) for x in self.x])
        from scipy.sparse.linalg import eigs

        which = "LM" if self.dynamics == "map" else "LR"
        leading = []
        for x in self.x:
            # the largest multipliers of the map are those of I + hA: the same eigenvectors, shifted values
            from resdyn.tangent import block_jacobian

            block = block_jacobian(self.system, 0.0, x)
            mu = eigs(block, k=_LEADING, which=which, return_eigenvectors=False, v0=np.ones(d))
            leading.append((mu - 1.0) / self.system.step)
        return np.array(leading).reshape(len(self), _LEADING)

    def _jacobian(self, x: Array) -> Array:
        jacobian = getattr(self.system, "jacobian", None)
        if jacobian is not None:
            return np.asarray(jacobian(0.0, x), dtype=float)
        operator = self.system.linearize(0.0, x)
        return np.asarray(operator @ np.eye(operator.shape[1]))

    def stability(self, dynamics: str | None = None) -> Array:
        """1 stable, 0 unstable, −1 not decided by linearization, for each point, int8 (n,); see ``is_stable``."""
        word = validate.dynamics(self.dynamics if dynamics is None else dynamics)
        if not len(self):
            return np.empty(0, dtype=np.int8)
        growth = stability.growth(self.eigenvalues, self.multipliers, word)
        margin = np.broadcast_to(stability.margins(self.eigenvalues, self.system.step, word), growth.shape)
        if self._on_faces:
            growth = np.where(self._exact, self.eigenvalues.real, growth)
            margin = np.where(self._exact, 0.0, margin)
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
