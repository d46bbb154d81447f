"""A damped rotation: the linear system that every fixed point of two units looks like close by."""

from collections.abc import Iterator

import sympy
from sympy import I, symbols

from resdyn_theory.symbolic import Statement, SymbolicSystem

x, y = symbols("x y", real=True)
a, omega, h = symbols("a omega h", positive=True)

SYSTEM = SymbolicSystem(
    name="linear",
    state=(x, y),
    residual=(-a * x - omega * y, omega * x - a * y),
    parameters={a: 0.1, omega: 1.0},
    description="A rotation with frequency ω, damped at the rate a.",
    source="strogatz2015, ch. 5",
)


def statements() -> Iterator[Statement]:
    """A stable focus of the flow is unstable for the map if the step is too long."""
    eigenvalue = -a + I * omega
    yield Statement(
        label="linear-characteristic",
        text="Its eigenvalues are −a ± iω, the roots of",
        left=r"\det(A - \lambda I)",
        derived=(sympy.Matrix(SYSTEM.jacobian) - symbols("lambda") * sympy.eye(2)).det(),
        closed_form=(symbols("lambda") + a) ** 2 + omega**2,
    )
    multiplier = 1 + h * eigenvalue
    yield Statement(
        label="linear-growth",
        text="One block multiplies the squared length of every vector by",
        left=r"|1 + h\lambda|^2",
        derived=sympy.expand(multiplier * sympy.conjugate(multiplier)),
        closed_form=(1 - a * h) ** 2 + (h * omega) ** 2,
    )
    growth = (1 - a * h) ** 2 + (h * omega) ** 2
    (longest,) = sympy.solve(sympy.Eq(growth, 1), h)
    yield Statement(
        label="linear-longest-step",
        text="The flow always spirals in. The network does so only with steps below",
        left=r"h^\ast",
        derived=longest,
        closed_form=2 * a / (a**2 + omega**2),
    )
