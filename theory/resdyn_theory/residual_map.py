"""What holds for every residual map x' = x + h f(x): its flow, its linearization, its gradient."""

from collections.abc import Iterator

import sympy
from sympy import Function, ImmutableMatrix, Matrix, Rational, symbols

from resdyn_theory.symbolic import Statement

x, h, a, t = symbols("x h a t", real=True)
n = symbols("n", positive=True, integer=True)


def _flow_series(f: sympy.Expr, order: int) -> sympy.Expr:
    """The Taylor polynomial in h of the flow of f from x: each derivative in time is the last one's slope times f."""
    derivative, series = x, x
    for k in range(1, order + 1):
        derivative = sympy.diff(derivative, x) * f
        series += derivative * h**k / sympy.factorial(k)
    return series


def statements() -> Iterator[Statement]:
    """The Euler limit, multipliers, and the adjoint of the tangent map."""
    f = Function("f")(x)
    difference = sympy.expand(_flow_series(f, 2) - (x + h * f))
    yield Statement(
        label="euler-local-error",
        text="After one block the residual network differs from its flow, to leading order in h, by",
        left=r"x(t + h) - \bigl(x + h f(x)\bigr)",
        derived=difference,
        closed_form=Rational(1, 2) * h**2 * f * sympy.diff(f, x),
        source="hairer1993, sec. I.7",
    )
    yield Statement(
        label="euler-limit",
        text="For a linear residual, n blocks of step t/n tend to the flow over the time t:",
        left=r"\lim_{n\to\infty}\left(1 + \tfrac{at}{n}\right)^n",
        derived=sympy.limit((1 + a * t / n) ** n, n, sympy.oo),
        closed_form=sympy.exp(a * t),
        source="hairer1993, sec. I.7",
    )
    yield Statement(
        label="first-order-convergence",
        text="and the network over a fixed horizon converges with first order, with the leading error",
        left=r"e^{at} - (1 + ah)^{t/h}",
        derived=sympy.series(sympy.exp(a * t) - sympy.exp(t / h * sympy.log(1 + a * h)), h, 0, 2).removeO(),
        closed_form=Rational(1, 2) * a**2 * t * h * sympy.exp(a * t),
        source="hairer1993, sec. II.8",
    )
    slope = symbols("lambda")
    yield Statement(
        label="multiplier",
        text=(
            "Map and flow have the same fixed points. Where f has the slope λ, "
            "one block multiplies a small perturbation by"
        ),
        left=r"\frac{\partial x_{k+1}}{\partial x_k}",
        derived=sympy.diff(x + h * f, x).subs(sympy.diff(f, x), slope),
        closed_form=1 + h * slope,
        source="strogatz2015, sec. 10.1",
    )
    yield from _adjoint()


def _adjoint() -> Iterator[Statement]:
    """Two units, two blocks, a residual and a loss without any special form."""
    x1, x2, u1, u2 = symbols("x1 x2 u1 u2", real=True)
    first, second = symbols("f1 f2", cls=Function)
    loss = Function("L")

    def block(state: Matrix) -> Matrix:
        return state + h * Matrix([first(*state), second(*state)])

    def block_jacobian(state: Matrix) -> Matrix:
        general = Matrix([u1, u2])
        return block(general).jacobian(general).subs({u1: state[0], u2: state[1]}, simultaneous=True).doit()

    start = Matrix([x1, x2])
    middle = block(start)
    end = block(middle)
    forward = Matrix([loss(*end)]).jacobian(start).T.doit()
    gradient = Matrix([loss(u1, u2).diff(u1), loss(u1, u2).diff(u2)]).subs({u1: end[0], u2: end[1]}, simultaneous=True)
    backward = block_jacobian(start).T * block_jacobian(middle).T * gradient.doit()
    yield Statement(
        label="adjoint-is-backpropagation",
        text=(
            "The gradient of a loss with respect to an early state is the transposed product of the blocks, applied to "
            "its gradient at the last state: back-propagation is the adjoint of the tangent map. For two blocks,"
        ),
        left=r"\nabla_{x_0} L(x_2)",
        derived=ImmutableMatrix(forward),
        closed_form=ImmutableMatrix(backward),
        right=r"(I + hA_0)^{\mathsf T} (I + hA_1)^{\mathsf T}\, \nabla L(x_2)",
        source="griewank2008, ch. 3",
    )
