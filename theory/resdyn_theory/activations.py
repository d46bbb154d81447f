"""The named activations, their derivatives, and the facts about the logistic function that the analyses use."""

from collections.abc import Iterator

import sympy
from sympy import Rational, exp, log, symbols, tanh

from resdyn_theory.symbolic import Statement

z = symbols("z", real=True)
logistic = 1 / (1 + exp(-z))

EXPRESSIONS: dict[str, sympy.Expr] = {
    "identity": z,
    "logistic": logistic,
    "relu": sympy.Max(0, z),
    "softplus": log(1 + exp(z)),
    "tanh": tanh(z),
}


def statements() -> Iterator[Statement]:
    """Derivatives in terms of the function itself, and the bounds that follow."""
    y = symbols("y", positive=True)
    yield Statement(
        label="logistic-derivative",
        text="The slope of the logistic function is",
        left=r"\sigma'(z)",
        derived=sympy.diff(logistic, z),
        closed_form=logistic * (1 - logistic),
    )
    yield Statement(
        label="logistic-symmetry",
        text="It is odd about its middle, so 1 − σ can be computed without cancellation:",
        left=r"\sigma(-z)",
        derived=logistic.subs(z, -z),
        closed_form=1 - logistic,
    )
    slope = y * (1 - y)
    (steepest,) = sympy.solve(sympy.diff(slope, y), y)
    yield Statement(
        label="logistic-steepest",
        text="Its slope is largest where y = σ(z) is one half; there it is",
        left=r"\max_z \sigma'(z)",
        derived=slope.subs(y, steepest),
        closed_form=Rational(1, 4),
    )
    yield Statement(
        label="logistic-curvature",
        text="and its second derivative is",
        left=r"\sigma''(z)",
        derived=sympy.diff(logistic, z, 2),
        closed_form=logistic * (1 - logistic) * (1 - 2 * logistic),
    )
    yield Statement(
        label="softplus-derivative",
        text="Softplus is the integral of the logistic function:",
        left=r"\frac{d}{dz}\log(1 + e^z)",
        derived=sympy.diff(EXPRESSIONS["softplus"], z),
        closed_form=logistic,
    )
    yield Statement(
        label="tanh-derivative",
        text="The slope of the hyperbolic tangent is",
        left=r"\tanh'(z)",
        derived=sympy.diff(tanh(z), z),
        closed_form=1 / sympy.cosh(z) ** 2,
    )
    yield Statement(
        label="tanh-logistic",
        text="and it is a logistic function of twice the argument:",
        left=r"\tanh(z)",
        derived=tanh(z).rewrite(exp),
        closed_form=2 * logistic.subs(z, 2 * z) - 1,
    )
