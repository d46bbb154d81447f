"""Basins of attraction in closed form, and the interval that a share of random states comes with."""

from collections.abc import Iterator

import sympy
from sympy import ImmutableMatrix, Matrix, Rational, exp, sqrt, symbols

from resdyn_theory.symbolic import Statement

x, s = symbols("x s", real=True)
r = symbols("r", positive=True)


def statements() -> Iterator[Statement]:
    """The cubic map, a network whose boundary is a line, and Wilson's interval."""
    yield from _cubic()
    yield from _bistable()
    yield _wilson()


def _cubic() -> Iterator[Statement]:
    image = (1 + r) * x - x**3
    end = sqrt(r + 2)
    yield Statement(
        label="cubic-cycle",
        text="The pitchfork with step 1 is the cubic map F(x) = (1 + r)x − x³. It takes one of ±√(r + 2) to the other:",
        left=r"F(\sqrt{r + 2})",
        derived=sympy.simplify(image.subs(x, end)),
        closed_form=-end,
    )
    yield Statement(
        label="cubic-cycle-multiplier",
        text="This 2-cycle repels, with the multiplier",
        left=r"F'(\sqrt{r + 2})\,F'(-\sqrt{r + 2})",
        derived=sympy.expand(sympy.diff(image, x).subs(x, end) * sympy.diff(image, x).subs(x, -end)),
        closed_form=sympy.expand((2 * r + 5) ** 2),
        right="(2r + 5)^2",
    )
    yield Statement(
        label="cubic-escape",
        text="and beyond it orbits run off to infinity, because there the state grows in every layer:",
        left=r"F(x)^2 - x^2",
        derived=sympy.expand(image**2 - x**2),
        closed_form=sympy.expand(x**2 * (x**2 - r) * (x**2 - r - 2)),
        right="x^2 (x^2 - r)(x^2 - r - 2)",
    )
    top = image.subs(x, sqrt((1 + r) / 3))
    yield Statement(
        label="cubic-invariant",
        text=(
            "Between the two points orbits stay for r ≤ 2. The image of [−√(r+2), √(r+2)] ends at these points or at "
            "the extrema ±M of F, and"
        ),
        left="M^2 - (r + 2)",
        derived=sympy.expand(top**2 - (r + 2)),
        closed_form=sympy.expand(Rational(1, 27) * (r - 2) * (2 * r + 5) ** 2),
        right=r"\tfrac{1}{27}(r - 2)(2r + 5)^2",
    )
    yield Statement(
        label="cubic-half",
        text=(
            "The points that go to 0 bound the basins of the positive and the negative side. The first of them are "
            "±√(1 + r). What is between 0 and √(1 + r) stays there as long as M² < 1 + r, which is 2(1 + r) < √27, or "
            "r < 1.598:"
        ),
        left="(1 + r) - M^2",
        derived=sympy.expand(1 + r - top**2),
        closed_form=sympy.expand((1 + r) * (27 - 4 * (1 + r) ** 2) / 27),
        right=r"\tfrac{1}{27}(1 + r)\left(27 - 4(1 + r)^2\right)",
    )
    yield Statement(
        label="cubic-preimages",
        text=(
            "What is beyond √(1 + r), but not beyond √(r + 2), changes its sign and comes nearer in every layer, until "
            "it is between. The basins alternate there, in ever smaller intervals towards √(r + 2), whose ends are the "
            "preimages of 0. The sign changes because"
        ),
        left="F(x)",
        derived=sympy.expand(image),
        closed_form=sympy.expand(-x * (x**2 - (1 + r))),
        right=r"-x\left(x^2 - (1 + r)\right)",
    )


def _logistic(u: sympy.Expr) -> sympy.Expr:
    return 1 / (1 + exp(-u))


def _bistable() -> Iterator[Statement]:
    x0, x1 = symbols("x_0 x_1", real=True)
    W, b = Matrix([[4, -6], [-6, 4]]), Matrix([1, 1])
    u = W * Matrix([x0, x1]) + b
    f = -Matrix([x0, x1]) + u.applyfunc(_logistic)
    yield Statement(
        label="bistable-difference",
        text=(
            "Two logistic units that excite themselves and inhibit each other, :math:`f = -x + \\sigma(Wx + b)` with "
            "W = ((4, −6), (−6, 4)) and b = (1, 1). The pre-activations u = Wx + b differ by"
        ),
        left="u_0 - u_1",
        derived=sympy.expand(u[0] - u[1]),
        closed_form=sympy.expand(10 * (x0 - x1)),
        right="10 (x_0 - x_1)",
    )
    yield Statement(
        label="bistable-line",
        text=(
            "σ is increasing, so :math:`x_0 - x_1` keeps its sign in the map, which multiplies it by 1 − h and adds "
            ":math:`h(\\sigma(u_0) - \\sigma(u_1))`, for h ≤ 1, and in the flow. States on the diagonal stay there:"
        ),
        left=r"f_0(s, s) - f_1(s, s)",
        derived=sympy.simplify((f[0] - f[1]).subs({x0: s, x1: s})),
        closed_form=sympy.Integer(0),
    )
    half = {x0: Rational(1, 2), x1: Rational(1, 2)}
    yield Statement(
        label="bistable-saddle-point",
        text="The diagonal is the boundary. On it one point is fixed, because −s + σ(1 − 2s) decreases, and it is",
        left=r"f(\tfrac12, \tfrac12)",
        derived=ImmutableMatrix(f.subs(half)),
        closed_form=ImmutableMatrix([0, 0]),
        right="0",
    )
    A = f.jacobian([x0, x1]).subs(half)
    along, across = Matrix([1, 1]), Matrix([1, -1])
    yield Statement(
        label="bistable-saddle",
        text="A saddle: perturbations along (1, 1) and across, along (1, −1), change at the rates",
        left=r"A(1, 1)^{\mathsf T},\ A(1, -1)^{\mathsf T}",
        derived=ImmutableMatrix(Matrix.hstack(A * along, A * across)),
        closed_form=ImmutableMatrix(Matrix.hstack(-Rational(3, 2) * along, Rational(3, 2) * across)),
        right=r"-\tfrac32 (1, 1)^{\mathsf T},\ \tfrac32 (1, -1)^{\mathsf T}",
    )


def _wilson() -> Statement:
    p, share, z, n = symbols("p q z n", positive=True)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    quadratic = sympy.Poly((share - p) ** 2 - z**2 * p * (1 - p) / n, p)
    a, b, c = quadratic.all_coeffs()
    return Statement(
        label="wilson-interval",
        text=(
            "Of n random states a share q goes to a basin with fraction p. Wilson's interval holds the p for which q "
            "is within z standard deviations √(p(1 − p)/n); its ends are the roots of a quadratic, with sum and product"
        ),
        left=r"p_- + p_+,\ p_- p_+",
        derived=ImmutableMatrix([sympy.simplify(-b / a), sympy.simplify(c / a)]),
        closed_form=ImmutableMatrix([sympy.simplify(2 * middle), sympy.simplify(middle**2 - half**2)]),
        right=(
            r"2m,\ m^2 - d^2\quad\text{with}\quad m = \frac{q + z^2/2n}{1 + z^2/n},\ "
            r"d = \frac{z}{1 + z^2/n}\sqrt{\frac{q(1 - q)}{n} + \frac{z^2}{4n^2}}"
        ),
        source="wilson1927",
    )
