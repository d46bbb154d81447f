"""The normal form of the Hopf bifurcation: a limit cycle in closed form."""

from collections.abc import Iterator

import sympy
from sympy import cos, exp, pi, sin, sqrt, symbols

from resdyn_theory.symbolic import Statement, SymbolicSystem

x, y = symbols("x y", real=True)
mu = symbols("mu", real=True)
omega = symbols("omega", positive=True)

SYSTEM = SymbolicSystem(
    name="Hopf normal form",
    state=(x, y),
    residual=(mu * x - omega * y - x * (x**2 + y**2), omega * x + mu * y - y * (x**2 + y**2)),
    parameters={mu: 1.0, omega: 1.0},
    description="Two units whose flow has the circle of radius √μ as its limit cycle, for μ > 0.",
    source="strogatz2015",
)


def statements() -> Iterator[Statement]:
    """The cycle, its time and its multiplier."""
    t, m = symbols("t", real=True), symbols("mu", positive=True)
    orbit = {x: sqrt(m) * cos(omega * t), y: sqrt(m) * sin(omega * t)}
    defect = [
        sympy.diff(orbit[s], t) - f.subs({mu: m}).subs(orbit) for s, f in zip((x, y), SYSTEM.residual, strict=True)
    ]
    yield Statement(
        label="hopf-cycle",
        text="For μ > 0 the circle x = √μ cos ωt, y = √μ sin ωt is an orbit of the flow, with T = 2π/ω:",
        left=r"(\dot x, \dot y) - f",
        derived=sympy.ImmutableMatrix([sympy.simplify(part) for part in defect]),
        closed_form=sympy.ImmutableMatrix.zeros(2, 1),
        source="strogatz2015, sec. 8.2",
    )
    trace = sympy.Matrix(SYSTEM.jacobian).trace().subs({mu: m}).subs(orbit)
    growth = sympy.integrate(sympy.simplify(trace), (t, 0, 2 * pi / omega))
    yield Statement(
        label="hopf-multiplier",
        text=(
            "Its multipliers are 1, along the flow, and the factor by which areas change in one round (Liouville), "
            "which is less than 1, so that the cycle attracts:"
        ),
        left=r"\exp \oint \mathrm{tr}\, A\, dt",
        derived=exp(growth),
        closed_form=exp(-4 * pi * m / omega),
        source="strogatz2015, sec. 8.2",
    )
