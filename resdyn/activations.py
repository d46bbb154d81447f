r"""Activation functions: values, derivatives, and the text that kernels compile.

The five named ones need no SymPy. Any SymPy expression in one symbol is an activation too: SymPy
differentiates it, and prints it for NumPy and for the kernels.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

if TYPE_CHECKING:
    import sympy

Array = NDArray[Any]


@dataclass(frozen=True)
class Activation:
    """f(z) applied unit by unit.

    Attributes
    ----------
    name
        A name of :data:`NAMED`, or the expression as text.
    value, derivative
        f and f′ on arrays of any shape.
    kernel
        f as the text of a kernel, a function of ``z`` (see ``resdyn/kernels/lane_math.py``).
    """

    name: str
    value: Callable[[Array], Array] = field(repr=False, compare=False)
    derivative: Callable[[Array], Array] = field(repr=False, compare=False)
    kernel: str = field(repr=False)
    kernel_with_slope: str = field(repr=False)
    """Statements of a kernel that set ``value`` and ``slope``, f and f′, from ``z``; they share their exponentials."""
    expression: Any = field(default=None, repr=False)
    """The SymPy expression, of an activation that was made from one."""

    def __reduce__(self) -> tuple[Any, ...]:
        # functions made here cannot be pickled; the name or the expression can, and says it all
        return activation, (self.name if self.expression is None else self.expression,)


def _logistic_derivative(z: Array) -> Array:
    y = expit(z)
    # expit(−z), not 1 − y, which is 0 from z = 37 on
    return y * expit(-z)


def _tanh_derivative(z: Array) -> Array:
    # 1/cosh², not 1 − tanh², which is 0 from z = 20 on
    with np.errstate(over="ignore"):
        return 1.0 / np.cosh(z) ** 2


def _named(name: str, value: Callable[[Array], Array], derivative: Callable[[Array], Array]) -> Activation:
    """An activation whose kernel functions lane_math.py holds under its name."""
    return Activation(name, value, derivative, f"{name}(z)", f"value, slope = {name}_with_slope(z)")


NAMED: dict[str, Activation] = {
    activation.name: activation
    for activation in (
        _named("logistic", expit, _logistic_derivative),
        _named("tanh", np.tanh, _tanh_derivative),
        _named("relu", lambda z: np.maximum(z, 0.0), lambda z: (z > 0).astype(z.dtype)),
        _named("softplus", lambda z: np.logaddexp(z, 0.0), expit),
        Activation("identity", lambda z: +z, np.ones_like, "z", "value, slope = z, real(1.0)"),
    )
}
"""The named activations. The derivative of relu at 0 is taken as 0, as in the machine-learning libraries."""


def activation(choice: Union[str, "sympy.Expr", Activation]) -> Activation:
    """The activation of this name, or the one that a SymPy expression in one symbol defines.

    Raises
    ------
    ValueError
        For a name that is not in :data:`NAMED`, or an expression without exactly one symbol.
    TypeError
        For anything else, e.g. a Python function, which SymPy cannot differentiate.
    """
    if isinstance(choice, Activation):
        return choice
    if isinstance(choice, str):
        if choice not in NAMED:
            raise ValueError(
                f"unknown activation {choice!r}; the named ones are {', '.join(sorted(NAMED))}, "
                "and any SymPy expression in one symbol is an activation too, e.g. sympy.sin(sympy.Symbol('z'))."
            )
        return NAMED[choice]
    import sympy

    if isinstance(choice, sympy.Expr):
        return _from_expression(choice)
    raise TypeError(
        f"activation must be one of {', '.join(sorted(NAMED))}, or a SymPy expression in one symbol; "
        f"got {choice!r} of type {type(choice).__name__}. "
        "For an arbitrary Python function write the whole residual as a resdyn.ResidualSystem."
    )


@lru_cache(maxsize=64)
def _from_expression(expression: "sympy.Expr") -> Activation:
    import sympy

    from resdyn.kernels.printing import kernel_statements, kernel_text

    symbols = sorted(expression.free_symbols, key=str)
    if len(symbols) != 1:
        raise ValueError(
            f"an activation is an expression in one symbol, but {expression} has {len(symbols)}"
            f" ({', '.join(map(str, symbols)) or 'none'}); substitute numbers for the parameters."
        )
    (symbol,) = symbols
    # a real symbol, so that derivatives of Abs and Max are real functions
    z = sympy.Symbol("z", real=True)
    value = check_real(expression.subs(symbol, z), str(expression))
    derivative = differentiate(value, z, str(expression))
    return Activation(
        name=str(expression),
        value=_vectorised(z, value),
        derivative=_vectorised(z, derivative),
        kernel=kernel_text(value),
        kernel_with_slope="\n".join(kernel_statements(["value", "slope"], [value, derivative])),
        expression=expression,
    )


def check_real(expression: "sympy.Expr", owner: str) -> "sympy.Expr":
    """The expression, unless it is complex or leaves cases open."""
    import sympy

    if expression.has(sympy.I):
        raise ValueError(f"{owner} holds the imaginary unit, but states are real.")
    for piecewise in expression.atoms(sympy.Piecewise):
        if piecewise.args[-1].cond != True:  # noqa: E712  a SymPy condition
            raise ValueError(f"{owner} holds a Piecewise without a last case for all other values; add (value, True).")
    return expression


def differentiate(expression: "sympy.Expr", symbol: "sympy.Symbol", owner: str) -> "sympy.Expr":
    """The derivative almost everywhere: what SymPy derives, without the impulses at jumps.

    Raises
    ------
    ValueError
        If SymPy does not know the derivative (floor, Mod).
    """
    import sympy

    derivative = expression.diff(symbol).replace(sympy.DiracDelta, lambda *_: sympy.S.Zero)
    if derivative.has(sympy.Derivative, sympy.Subs):
        raise ValueError(
            f"SymPy does not know the derivative of {owner}; use functions with a derivative, "
            "or give the system as a Python callable (resdyn.ResidualSystem)."
        )
    return derivative


def _vectorised(z: "sympy.Symbol", value: "sympy.Expr") -> Callable[[Array], Array]:
    import sympy

    # scipy first: its expit, log1p … are used where SymPy knows them
    function = sympy.lambdify([z], value, modules=["scipy", "numpy"], cse=True)

    def on_arrays(array: Array) -> Array:
        with np.errstate(over="ignore"):
            # a constant expression gives a number: spread it over the array
            return np.broadcast_to(np.asarray(function(array), dtype=array.dtype), array.shape).copy()

    return on_arrays
