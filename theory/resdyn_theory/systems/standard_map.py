"""The standard map as a residual network with two units."""

from collections.abc import Iterator

import sympy
from sympy import pi, sin, symbols

from resdyn_theory.symbolic import Statement, SymbolicSystem

x, p = symbols("x p", real=True)
K = symbols("K", real=True)

SYSTEM = SymbolicSystem(
    name="standard map",
    state=(x, p),
    residual=(p + K * sin(x), K * sin(x)),
    parameters={K: 1.0},
    description="With step 1 the residual map is p' = p + K sin x, x' = x + p'. The angle x is not taken modulo 2π.",
    source="chirikov1979",
)


def statements() -> Iterator[Statement]:
    """Areas are preserved, the map has the symmetry of an angle, and its fixed points."""
    block = sympy.eye(2) + sympy.Matrix(SYSTEM.jacobian)
    yield Statement(
        label="standard-determinant",
        text="A block preserves areas and orientation,",
        left=r"\det(I + A)",
        derived=sympy.simplify(block.det()),
        closed_form=sympy.S.One,
        source="chirikov1979",
    )
    yield Statement(
        label="standard-shift",
        text="A whole turn of the angle changes nothing in what a block adds, so that x may be read modulo 2π:",
        left=r"f(x + 2\pi, p) - f(x, p)",
        derived=sympy.ImmutableMatrix([f.subs(x, x + 2 * pi) - f for f in SYSTEM.residual]),
        closed_form=sympy.ImmutableMatrix([0, 0]),
        source="chirikov1979",
    )
    yield Statement(
        label="standard-trace-saddle",
        text=(
            "The product of the two multipliers is 1, so that the trace decides: beyond 2 in size they are real, one "
            "of them above 1; below they lie on the unit circle. At the fixed point (0, 0) it is"
        ),
        left=r"\mathrm{tr}(I + A)(0, 0)",
        derived=block.trace().subs(x, 0),
        closed_form=2 + K,
        source="ott2002",
    )
    yield Statement(
        label="standard-trace-centre",
        text=(
            "a saddle for K > 0, around which chaos begins. At (π, 0) it is less than 2, and for K below 4 small "
            "perturbations turn around that point:"
        ),
        left=r"\mathrm{tr}(I + A)(\pi, 0)",
        derived=block.trace().subs(x, pi),
        closed_form=2 - K,
        source="ott2002",
    )
    n = symbols("n", integer=True, positive=True)
    sheared = sympy.Matrix(block.subs(K, 0)) ** n
    yield Statement(
        label="standard-twist",
        text="For K = 0 every orbit is regular: n blocks shear the plane, and neighbours separate in proportion to n,",
        left=r"(I + A)^n\big|_{K=0}",
        derived=sympy.ImmutableMatrix(sheared),
        closed_form=sympy.ImmutableMatrix([[1, n], [0, 1]]),
        source="chirikov1979",
    )
    a, b, c, d = symbols("a b c d", real=True)
    v, w = sheared * sympy.Matrix([a, b]), sheared * sympy.Matrix([c, d])
    squared_sine = (a * d - b * c) ** 2 / (v.dot(v) * w.dot(w))
    yield Statement(
        label="standard-sali",
        text=(
            "so that vectors (a, b) and (c, d) align too, but like a power. The area between them stays ad − bc, both "
            "lengths grow like n, and the sine of their angle, which is GALI_2, falls like n⁻²:"
        ),
        left=r"\lim_{n\to\infty} n^4\,\mathrm{GALI}_2^2",
        derived=sympy.limit(sympy.together(n**4 * squared_sine), n, sympy.oo),
        closed_form=(a * d - b * c) ** 2 / (b**2 * d**2),
        source="skokos2007",
    )
