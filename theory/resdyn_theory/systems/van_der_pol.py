"""The van der Pol oscillator."""

from collections.abc import Iterator

import sympy
from sympy import symbols

from resdyn_theory.symbolic import Statement, SymbolicSystem

x, y = symbols("x y", real=True)
mu = symbols("mu", positive=True)

SYSTEM = SymbolicSystem(
    name="van der Pol oscillator",
    state=(x, y),
    residual=(y, mu * (1 - x**2) * y - x),
    parameters={mu: 1.0},
    description="Two units whose flow has one limit cycle, which attracts every state but zero.",
    source="vanderpol1926",
)


def statements() -> Iterator[Statement]:
    """Growth at the origin, and the amplitude and time of the cycle for small μ."""
    A = sympy.Matrix(SYSTEM.jacobian)
    yield Statement(
        label="van-der-pol-origin",
        text="At the origin small oscillations grow,",
        left=r"\mathrm{tr}\, A(0)",
        derived=A.subs({x: 0, y: 0}).trace(),
        closed_form=mu,
        source="strogatz2015, sec. 7.5",
    )
    energy = (x**2 + y**2) / 2
    f = SYSTEM.residual
    power = sympy.expand(sympy.diff(energy, x) * f[0] + sympy.diff(energy, y) * f[1])
    R, theta = symbols("R theta", positive=True)
    along = power.subs({x: R * sympy.cos(theta), y: -R * sympy.sin(theta)})
    yield Statement(
        label="van-der-pol-balance",
        text=(
            "For small μ orbits are nearly circles. Along a circle of radius R the energy ½(x² + y²) gains in one "
            "round, to first order in μ, which vanishes at R = 2:"
        ),
        left=r"\oint \dot E\, dt",
        derived=sympy.simplify(sympy.integrate(sympy.expand(along), (theta, 0, 2 * sympy.pi))),
        closed_form=sympy.pi * mu * R**2 * (1 - R**2 / 4),
        source="strogatz2015, sec. 7.6",
    )
    yield from _period(theta)


def _period(s: sympy.Symbol) -> Iterator[Statement]:
    """Lindstedt's expansion: x = x0 + μ x1 + μ² x2 in the phase s = ωt, ω = 1 + μ² ω2."""
    cos, sin = sympy.cos, sympy.sin
    x0 = 2 * cos(s)
    x1 = sympy.Rational(3, 4) * sin(s) - sympy.Rational(1, 4) * sin(3 * s)
    first = sympy.diff(x1, s, 2) + x1 - (1 - x0**2) * sympy.diff(x0, s)
    yield Statement(
        label="van-der-pol-first-order",
        text=(
            "Their shape to first order, x = 2 cos s + μ(¾ sin s − ¼ sin 3s) in the phase s = ωt, leaves at that "
            "order of the equation"
        ),
        left=r"\ddot x_1 + x_1 - (1 - x_0^2)\dot x_0",
        derived=sympy.simplify(first),
        closed_form=sympy.S.Zero,
        source="strogatz2015, sec. 7.6",
    )
    w2 = symbols("omega2", real=True)
    # order μ²: x2'' + x2 = −2ω2 x0'' + (1 − x0²)x1' − 2 x0 x1 x0'; the part in cos s would grow with time
    forcing = -2 * w2 * sympy.diff(x0, s, 2) + (1 - x0**2) * sympy.diff(x1, s) - 2 * x0 * x1 * sympy.diff(x0, s)
    resonant = sympy.integrate(sympy.expand(forcing * cos(s)), (s, 0, 2 * sympy.pi))
    (solution,) = sympy.solve(sympy.simplify(resonant), w2)
    yield Statement(
        label="van-der-pol-frequency",
        text=(
            "At second order the frequency 1 + μ²ω₂ must cancel the forcing in resonance, so that one round takes "
            "2π(1 + μ²/16) to that order:"
        ),
        left=r"\omega_2",
        derived=solution,
        closed_form=-sympy.Rational(1, 16),
        source="strogatz2015, sec. 7.6",
    )
