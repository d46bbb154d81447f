"""``Certificate``: a Lyapunov function with the conditions that make it one, or the reasons why none was found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._results import Result, dataset
from resdyn._types import System
from resdyn.analysis.certificates.functions import (
    Distance,
    Energy,
    LyapunovFunction,
    Potential,
    Quadratic,
    QuadraticOfResiduals,
)
from resdyn.analysis.certificates.preactivations import Preactivations, preactivations
from resdyn.matrix_family import LogisticResiduals

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]
_NONE = np.empty(0)


class Condition(NamedTuple):
    """One condition of a certificate, ``value ≤ bound``.

    ``margin`` is bound − value less the bound of all rounding errors in it. A condition with a margin above 0 is
    proven with room to spare. ``satisfied`` with a margin of 0 or less means that it holds with equality: exactly by
    the structure of the weights, or within rounding, as ``text`` says.
    """

    name: str
    value: float
    bound: float
    margin: float
    satisfied: bool
    text: str


@dataclass(frozen=True, eq=False, repr=False)
class Certificate(Result):
    r"""A Lyapunov function V, and what makes it one. Made by :func:`resdyn.lyapunov_function`.

    ``bool(certificate)`` says whether a closed form applies.

    Attributes
    ----------
    system : System
    dynamics : str
        "map" or "flow": what V does not increase along.
    form : str
        The closed form that applies; "" if none does.
    conclusion : str
        What follows, in words.
    conditions : tuple of Condition
        What was checked, with margins.
    source : str
        Keys of the bibliography.
    kind : str
        Which function V is: "energy", "potential", "quadratic" or "distance".
    scaling : array, shape (N,)
        The diagonal of D, where V has one.
    matrix : array, shape (N, N)
        S = DM of an energy, the symmetric part of DM of a potential, P of a quadratic form.
    center : array
        Where V is 0: a pre-activation u* of a potential (infinite where y* is saturated), otherwise a state.
    region : float or None
        c, if the certificate speaks of the states with V(x) ≤ c only; infinity if it holds everywhere; None if it
        holds in a neighbourhood of unknown size.
    slack : float
        A bound of what V can increase by nevertheless, per unit t (flow) or per block (map), because weights are
        rounded or a fixed point is known to rounding only; 0 where there is no such effect.
    rate : float or None
        The factor by which a contraction shortens distances per block.
    reasons : tuple of (str, str)
        The forms that do not apply, each with the reason.
    also : tuple of str
        The forms that apply too, with their conclusions.
    """

    system: System
    dynamics: str
    form: str = ""
    conclusion: str = ""
    conditions: tuple[Condition, ...] = ()
    source: str = ""
    kind: str = ""
    scaling: Array = field(default_factory=lambda: _NONE)
    matrix: Array = field(default_factory=lambda: _NONE)
    center: Array = field(default_factory=lambda: _NONE)
    region: float | None = None
    slack: float = 0.0
    rate: float | None = None
    reasons: tuple[tuple[str, str], ...] = ()
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # a file gives plain tuples back
        object.__setattr__(self, "conditions", tuple(Condition(*row) for row in self.conditions))

    def __bool__(self) -> bool:
        """Whether a closed form applies."""
        return bool(self.form)

    @cached_property
    def _function(self) -> LyapunovFunction:
        if not self:
            raise ValueError(
                f"no Lyapunov function of {self.system.name!r} was found for its {self.dynamics}; "
                ".reasons says why, form by form. Test `if certificate:` before you evaluate it."
            )
        if self.kind == "distance":
            return Distance(self.system, self.scaling, self._known_center())
        if self.kind == "quadratic":
            if isinstance(self.system, LogisticResiduals):
                return QuadraticOfResiduals(self.system.W, self.system.step, self.matrix, self.center)
            return Quadratic(self.system, self.matrix, self.center)
        network = self._network
        if self.kind == "energy":
            return Energy(network, self.scaling, self.matrix)
        return Potential(network, self.scaling, self.matrix, self.center)

    @property
    def _network(self) -> Preactivations:
        network = preactivations(self.system)
        assert isinstance(network, Preactivations)
        return network

    def _known_center(self) -> Array:
        if not self.center.size:
            raise ValueError(
                f"the layers of {self.system.name!r} differ, so there is no fixed point to measure from; "
                "compare two orbits instead: certificate.distance(x, other)."
            )
        return self.center

    def V(self, x: Any) -> Array:
        r"""The Lyapunov function at states of the system, shape (\*batch, \*shape) to (\*batch,)."""
        return self._function.value(self._states(x))

    def derivative(self, x: Any) -> Array:
        r"""Its rate of change along the flow, :math:`\nabla V\cdot f`, shape (\*batch,).

        Computed from the closed form, not from differences: the sign is right however small the rate.
        """
        if self and self.dynamics != "flow":
            raise ValueError("this certificate is about the map; use .change(x), or ask for dynamics='flow'.")
        return self._function.derivative(self._states(x))

    def change(self, x: Any) -> Array:
        r"""Its change by one block of the map, :math:`V(x + hf) - V(x)`, shape (\*batch,).

        Computed from the closed form with increments of φ, not from the two values: the error is relative to the
        terms that make up the change, however small the step.
        """
        if self and self.dynamics != "map":
            raise ValueError("this certificate is about the flow; use .derivative(x), or ask for dynamics='map'.")
        return self._function.change(self._states(x))

    def distance(self, x: Any, other: Any) -> Array:
        r"""The distance between states in the norm of a contraction, shape (\*batch,)."""
        if self.kind != "distance":
            raise ValueError(f"distances belong to the form 'contraction', but this certificate is {self.form!r}.")
        return Distance(self.system, self.scaling, self.center).between(self._states(x), self._states(other))

    def _states(self, x: Any) -> Array:
        infinite = bool(getattr(self.system, "infinite_states", False))
        array = validate.real_array(x, "x", finite=not infinite).astype(float, copy=False)
        return validate.states(array, self.system.shape, self.system.name)

    @property
    def fixed_point(self) -> Array | None:
        """The state of the system that the certificate is about, if it is about one (infinite where y is 0 or 1)."""
        if not self.center.size:
            return None
        if self.kind != "potential":
            return self.center
        network = self._network
        if network.pulled_back and not network.damping:
            return None  # the residuals have this limit, the state of the network has none in general
        return network.state(self.center)

    def __repr__(self) -> str:
        if not self:
            tried = "\n".join(f"  {form}: {why}" for form, why in self.reasons)
            return f"No Lyapunov function in closed form for the {self.dynamics} of {self.system.name!r}:\n{tried}"
        rest = f" Rounding: V may rise by up to {self.slack:.1g} per {self._unit}." if self.slack else ""
        return f"Lyapunov function of the {self.dynamics} of {self.system.name!r}: {self.form}. {self.conclusion}{rest}"

    @property
    def _unit(self) -> str:
        return "block" if self.dynamics == "map" else "unit t"

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        if not self:
            return ("form", "why it does not apply"), self.reasons
        rows = [(c.text, f"{c.value:.4g}", f"{c.bound:.4g}", f"{c.margin:.2g}") for c in self.conditions]
        return ("condition", "value", "bound", "margin"), rows

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset``: the conditions along ``condition``; D and the matrix along units."""
        rows = self.conditions
        variables: dict[str, tuple[Sequence[str], Any]] = {
            name: ("condition", [getattr(row, name) for row in rows])  # type: ignore[dict-item]
            for name in ("value", "bound", "margin", "satisfied")
        }
        if self.scaling.size:
            variables["scaling"] = (["unit"], self.scaling)
        if self.matrix.size:
            variables["matrix"] = (["unit", "unit_"], self.matrix)
        if self.center.size:
            variables["center"] = (["unit"], self.center.ravel())
        attrs = {"system": self.system.name, "dynamics": self.dynamics, "form": self.form, "slack": self.slack}
        attrs |= {"conclusion": self.conclusion, "region": np.nan if self.region is None else self.region}
        return dataset(variables, coords={"condition": [row.name for row in rows]}, attrs=attrs)
