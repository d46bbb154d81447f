"""A residual system as formulas, and a statement about it as two sides."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import sympy
from sympy import ImmutableMatrix, Matrix, Symbol


@dataclass(frozen=True)
class SymbolicSystem:
    r"""The residual :math:`f(t, x; p)` of :math:`x_{k+1} = x_k + h f(t_k, x_k)`, component by component.

    Parameters
    ----------
    name : str
    state : tuple of Symbol
        The components of x, in order.
    residual : tuple of Expr
        f, as many components as the state.
    parameters : mapping from Symbol to number, optional
        Every other symbol in ``residual``, with its default value.
    time : Symbol, optional
        The depth-time t, if f depends on it.
    description, source : str, optional
        One sentence, and a key of the bibliography.

    Raises
    ------
    ValueError
        If the lengths differ, or a symbol of ``residual`` is neither state, parameter nor time.
    """

    name: str
    state: tuple[Symbol, ...]
    residual: tuple[sympy.Expr, ...]
    parameters: Any = field(default=())
    time: Symbol | None = None
    description: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        assign = object.__setattr__
        assign(self, "state", tuple(self.state))
        assign(self, "residual", tuple(sympy.sympify(f) for f in self.residual))
        # a tuple of pairs, so that the system is hashable and compiles once
        assign(self, "parameters", tuple((s, float(v)) for s, v in dict(self.parameters).items()))
        if len(self.state) != len(self.residual) or not self.state:
            raise ValueError(
                f"{self.name!r} has {len(self.state)} state symbols {self.state} but {len(self.residual)} components "
                "of the residual; give one formula per state symbol."
            )
        symbols = [*self.state, *self.defaults, *([] if self.time is None else [self.time])]
        names = [str(symbol) for symbol in symbols]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(
                f"{self.name!r} uses the name {', '.join(repeated)} more than once among state, parameters and time; "
                "give each symbol a name of its own (SymPy tells symbols apart by their assumptions too)."
            )
        infinite = [str(symbol) for symbol, value in self.parameters if not math.isfinite(value)]
        if infinite:
            raise ValueError(f"the default of {', '.join(infinite)} in {self.name!r} must be a finite number.")
        known = {*self.state, *self.defaults}
        if self.time is not None:
            known.add(self.time)
        unknown = set().union(*(f.free_symbols for f in self.residual)) - known
        if unknown:
            raise ValueError(
                f"{self.name!r} uses {', '.join(sorted(map(str, unknown)))}, which is neither a state symbol, "
                "a parameter nor the time; list it with a default value in parameters={...}."
            )

    @property
    def defaults(self) -> MappingProxyType[Symbol, float]:
        """The parameters with their default values."""
        return MappingProxyType(dict(self.parameters))

    @property
    def dimension(self) -> int:
        """The number of state components."""
        return len(self.state)

    @cached_property
    def jacobian(self) -> ImmutableMatrix:
        r""":math:`A = \partial f/\partial x`, row i the derivatives of component i."""
        return ImmutableMatrix(Matrix(list(self.residual)).jacobian(Matrix(list(self.state))))


@dataclass(frozen=True)
class Statement:
    """An identity of the theory: what SymPy derived, and the closed form that is claimed.

    The sides are kept apart because ``sympy.Eq(a, b)`` collapses to True when they agree.

    Parameters
    ----------
    label : str
        Unique in the whole theory; the docs link to it.
    text : str
        The sentence that the equation completes, in reStructuredText.
    derived, closed_form : Expr or Matrix
    left : Expr or str, optional
        What is equal to both, as it is to be printed on the left (a string is LaTeX).
    right : str, optional
        LaTeX to print on the right in place of ``closed_form``, where that is too long to read.
    source : str
        Where the statement stands in the literature.
    """

    label: str
    text: str
    derived: Any
    closed_form: Any
    left: Any = None
    source: str = ""
    right: str | None = None

    def holds(self) -> bool:
        """Whether SymPy can show that both sides are equal."""
        left, right = sympy.sympify(self.derived), sympy.sympify(self.closed_form)
        if isinstance(left, sympy.MatrixBase) or isinstance(right, sympy.MatrixBase):
            if getattr(left, "shape", None) != getattr(right, "shape", None):
                return False
            differences = list(left - right)
        else:
            differences = [left - right]
        return all(_vanishes(difference) for difference in differences)


def _vanishes(expression: sympy.Expr) -> bool:
    """Whether an expression is zero for all values of its symbols; False where SymPy cannot tell."""
    if expression.is_zero:
        return True
    simplified = sympy.simplify(expression)
    if simplified.is_zero:
        return True
    return bool(simplified.equals(0))
