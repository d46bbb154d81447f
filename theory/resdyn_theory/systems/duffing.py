"""The unforced Duffing oscillator: two wells, a saddle between them, and its separatrix."""

from collections.abc import Iterator

import sympy
from sympy import sqrt, symbols

from resdyn_theory.symbolic import Statement, SymbolicSystem

x, v = symbols("x v", real=True)
delta = symbols("delta", nonnegative=True)
t = symbols("t", real=True)

SYSTEM = SymbolicSystem(
    name="Duffing oscillator",
    state=(x, v),
    residual=(v, x - x**3 - delta * v),
    parameters={delta: 0.2},
    description="A particle with friction δ in the double well x⁴/4 − x²/2; x is its place and v its velocity.",
    source="guckenheimer1983, sec. 2.2",
)


def statements() -> Iterator[Statement]:
    """The energy, the eigenvalues of the saddle, and the homoclinic orbit."""
    energy = v**2 / 2 - x**2 / 2 + x**4 / 4
    f = SYSTEM.residual
    yield Statement(
        label="duffing-energy",
        text="Friction takes energy, :math:`H = v^2/2 - x^2/2 + x^4/4`, wherever the particle moves:",
        left=r"\dot H",
        derived=sympy.diff(energy, x) * f[0] + sympy.diff(energy, v) * f[1],
        closed_form=-delta * v**2,
    )
    s = symbols("lambda")
    yield Statement(
        label="duffing-saddle",
        text="The origin is a saddle for every δ: the eigenvalues are the roots of",
        left=r"\det(\lambda I - A)",
        derived=(s * sympy.eye(2) - sympy.Matrix(SYSTEM.jacobian.subs({x: 0, v: 0}))).det(),
        closed_form=s**2 + delta * s - 1,
    )
    orbit = sqrt(2) / sympy.cosh(t)
    yield Statement(
        label="duffing-homoclinic",
        text=(
            "Without friction both manifolds of the saddle are the orbits ±√2 sech t, because these solve the equation"
        ),
        left=r"\ddot x - x + x^3",
        derived=sympy.simplify((sympy.diff(orbit, t, 2) - orbit + orbit**3).rewrite(sympy.exp)),
        closed_form=sympy.S.Zero,
        source="guckenheimer1983, sec. 4.5",
    )
    yield Statement(
        label="duffing-separatrix",
        text="and start and end at the saddle, with its energy:",
        left=r"H(x(t), \dot x(t))",
        derived=sympy.simplify(energy.subs({x: orbit, v: sympy.diff(orbit, t)}).rewrite(sympy.exp)),
        closed_form=sympy.S.Zero,
    )
