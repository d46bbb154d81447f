"""The Hénon map as a residual network with two units."""

from collections.abc import Iterator

import sympy
from sympy import sqrt, symbols

from resdyn_theory.symbolic import Statement, SymbolicSystem

x, y = symbols("x y", real=True)
a, b = symbols("a b", positive=True)

SYSTEM = SymbolicSystem(
    name="Hénon map",
    state=(x, y),
    residual=(1 - a * x**2 + y - x, b * x - y),
    parameters={a: 1.4, b: 0.3},
    description="With step 1 the residual map is x' = 1 − a x² + y, y' = b x.",
    source="henon1976",
)


def statements() -> Iterator[Statement]:
    """Fixed points and the constant contraction of areas."""
    block = sympy.eye(2) + sympy.Matrix(SYSTEM.jacobian)
    yield Statement(
        label="henon-determinant",
        text="A block contracts all areas alike, and turns them over:",
        left=r"\det(I + A)",
        derived=block.det(),
        closed_form=-b,
        source="henon1976",
    )
    on_line = SYSTEM.residual[0].subs(y, b * x)
    root = (b - 1 + sqrt((1 - b) ** 2 + 4 * a)) / (2 * a)
    yield Statement(
        label="henon-fixed-point",
        text=(
            "Fixed points lie on y = b x, at the roots of a quadratic; "
            "the one on the attractor is x = (b − 1 + √((1 − b)² + 4a))/(2a), where"
        ),
        left=r"f_1(x, bx)",
        derived=sympy.simplify(on_line.subs(x, root)),
        closed_form=sympy.S.Zero,
        source="henon1976",
    )
