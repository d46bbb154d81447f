"""Newton's method for the cube roots of one, as a residual map of the plane."""

from collections.abc import Iterator

import sympy
from sympy import ImmutableMatrix, Rational, sqrt, symbols

from resdyn_theory.symbolic import Statement, SymbolicSystem

x, y = symbols("x y", real=True)
z, omega = symbols("z omega")

_SQUARED = x**2 + y**2

SYSTEM = SymbolicSystem(
    name="Newton map",
    state=(x, y),
    residual=(((x**2 - y**2) / _SQUARED**2 - x) / 3, (-2 * x * y / _SQUARED**2 - y) / 3),
    description="Newton's method for z³ = 1, z = x + iy; undefined at 0.",
    source="peitgen1986",
)


def statements() -> Iterator[Statement]:
    """The map in complex form, its symmetry, its attractors, and how fast it comes to them."""
    newton = z - (z**3 - 1) / (3 * z**2)
    real = sympy.expand_complex(newton.subs(z, x + sympy.I * y) - (x + sympy.I * y))
    yield Statement(
        label="newton-plane",
        text="With z = x + iy the step of Newton's method, −(z³ − 1)/(3z²), has the real and imaginary parts",
        derived=ImmutableMatrix([sympy.simplify(sympy.re(real)), sympy.simplify(sympy.im(real))]),
        closed_form=ImmutableMatrix(SYSTEM.residual),
        source="peitgen1986",
    )
    rotated = sympy.simplify(newton.subs(z, omega * z) - omega * newton)
    yield Statement(
        label="newton-symmetry",
        text=(
            "A rotation by a third of a turn, ω³ = 1, takes orbits to orbits, and so takes each basin to the next; "
            "N is the map:"
        ),
        left=r"N(\omega z) - \omega N(z)",
        derived=sympy.factor(rotated),
        closed_form=-(omega**3 - 1) / (3 * omega**2 * z**2),
        right=r"-\frac{\omega^3 - 1}{3\omega^2 z^2} = 0",
    )
    yield Statement(
        label="newton-quadratic",
        text="Near a root the error is squared; at the root 1",
        left="N(z) - 1",
        derived=sympy.factor(newton - 1),
        closed_form=(z - 1) ** 2 * (2 * z + 1) / (3 * z**2),
        source="peitgen1986",
    )
    jacobian = sympy.eye(2) + SYSTEM.jacobian
    roots = [(sympy.Integer(1), sympy.Integer(0)), (-Rational(1, 2), sqrt(3) / 2), (-Rational(1, 2), -sqrt(3) / 2)]
    yield Statement(
        label="newton-multipliers",
        text="so that both multipliers vanish at each of the three roots:",
        left="I + A",
        derived=ImmutableMatrix(sum((jacobian.subs({x: a, y: b}).applyfunc(abs) for a, b in roots), sympy.zeros(2))),
        closed_form=ImmutableMatrix(sympy.zeros(2)),
        right="0",
    )
