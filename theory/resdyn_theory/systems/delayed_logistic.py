"""The delayed logistic map as a residual network with two units."""

from collections.abc import Iterator

import sympy
from sympy import Rational, pi, symbols

from resdyn_theory.symbolic import Statement, SymbolicSystem

x, y = symbols("x y", real=True)
r = symbols("r", positive=True)

SYSTEM = SymbolicSystem(
    name="delayed logistic map",
    state=(x, y),
    residual=(r * x * (1 - y) - x, x - y),
    parameters={r: 2.1},
    description="With step 1 the residual map is x' = r x(1 − y), y' = x: growth is limited by the generation before.",
    source="aronson1982",
)


def statements() -> Iterator[Statement]:
    """The fixed point, its multipliers, and the angle by which they leave the unit circle."""
    fixed = 1 - 1 / r
    at_rest = {x: fixed, y: fixed}
    yield Statement(
        label="delayed-logistic-fixed-point",
        text="Both units rest at 1 − 1/r, where",
        left=r"f\left(1 - \tfrac{1}{r}, 1 - \tfrac{1}{r}\right)",
        derived=sympy.ImmutableMatrix([sympy.simplify(f.subs(at_rest)) for f in SYSTEM.residual]),
        closed_form=sympy.ImmutableMatrix([0, 0]),
        source="aronson1982",
    )
    mu = symbols("mu")
    block = (sympy.eye(2) + sympy.Matrix(SYSTEM.jacobian)).subs(at_rest)
    yield Statement(
        label="delayed-logistic-multipliers",
        text="The multipliers there are the roots of",
        left=r"\det(\mu I - I - A)",
        derived=sympy.expand((mu * sympy.eye(2) - block).det()),
        closed_form=mu**2 - mu + r - 1,
        source="aronson1982",
    )
    (upper,) = (root for root in block.subs(r, 2).eigenvals() if sympy.im(root) > 0)
    yield Statement(
        label="delayed-logistic-angle",
        text="Their product is r − 1. For r > 5/4 they are a complex pair, which leaves the unit circle at r = 2, as",
        left=r"\mu",
        derived=sympy.expand_complex(upper),
        closed_form=sympy.expand_complex(sympy.exp(sympy.I * pi * Rational(1, 3))),
        right=r"e^{\pm i\pi/3}",
        source="aronson1982",
    )
