"""The damped and interpolated networks: x' = (1 − hλ) x + h α φ(W x + b)."""

from collections.abc import Iterator

import sympy
from sympy import Function, ImmutableMatrix, Matrix, symbols

from resdyn_theory.symbolic import Statement

x, h, lam, alpha = symbols("x h lambda alpha", real=True)
phi = Function("phi")


def damped_map(state: Matrix, weights: Matrix, bias: Matrix, damping: sympy.Expr, gain: sympy.Expr) -> Matrix:
    """One layer of the matrix family."""
    preactivation = weights * state + bias
    return (1 - h * damping) * state + h * gain * preactivation.applyfunc(phi)


def statements() -> Iterator[Statement]:
    """Special members of the family, the Jacobian of a layer, and the exponential map."""
    g = Function("g")(x)

    def layer(damping: sympy.Expr, gain: sympy.Expr) -> sympy.Expr:
        return (1 - h * damping) * x + h * gain * g

    yield Statement(
        label="damped-is-euler",
        text="One layer is one Euler step of the damped flow ẋ = −λx + α g(x), with g(x) = φ(Wx + b):",
        left=r"x_{k+1}",
        derived=layer(lam, alpha),
        closed_form=x + h * (-lam * x + alpha * g),
        source="yang2020",
    )
    yield Statement(
        label="no-damping-is-resnet",
        text="Without damping it is the residual network,",
        left=r"x_{k+1}\big|_{\lambda = 0,\ \alpha = 1,\ h = 1}",
        derived=layer(sympy.S.Zero, sympy.S.One).subs(h, 1),
        closed_form=x + g,
        source="yang2020",
    )
    yield Statement(
        label="full-damping-is-plain",
        text="with full damping the plain network: the skip connection is gone,",
        left=r"x_{k+1}\big|_{\lambda = 1,\ \alpha = 1,\ h = 1}",
        derived=layer(sympy.S.One, sympy.S.One).subs(h, 1),
        closed_form=g,
        source="yang2020",
    )
    yield Statement(
        label="lambda-interpolated-end",
        text="and in the λ-interpolated network, where α = 1 + λ, twice that:",
        left=r"x_{k+1}\big|_{\lambda = 1,\ \alpha = 2,\ h = 1}",
        derived=layer(lam, 1 + lam).subs({lam: 1, h: 1}),
        closed_form=2 * g,
        source="yang2020",
    )
    yield from _jacobian()
    yield from _adjoint()
    yield from _exponential()


def _jacobian() -> Iterator[Statement]:
    """The Jacobian of a layer of two units, with any activation."""
    state = Matrix(symbols("x1 x2", real=True))
    weights = Matrix(2, 2, symbols("w11 w12 w21 w22", real=True))
    bias = Matrix(symbols("b1 b2", real=True))
    slopes = sympy.diag(*(sympy.diff(phi(x), x).subs(x, z).doit() for z in weights * state + bias))
    derived = damped_map(state, weights, bias, lam, alpha).jacobian(state).doit()
    closed_form = (1 - h * lam) * sympy.eye(2) + h * alpha * slopes * weights
    yield Statement(
        label="layer-jacobian",
        text="The Jacobian of a layer is that of the linear part plus the slopes times the weights; for two units,",
        left=r"\frac{\partial x_{k+1}}{\partial x_k}",
        derived=ImmutableMatrix(derived),
        closed_form=ImmutableMatrix(closed_form),
        right=r"(1 - h\lambda) I + h\alpha\,\mathrm{diag}\,\varphi'(Wx + b)\, W",
        source="yang2020",
    )


def _adjoint() -> Iterator[Statement]:
    """Tangents and adjoints of the damped flow in two dimensions, along an orbit with any Jacobian A(t)."""
    time = symbols("t", real=True)

    def vector(name: str) -> Matrix:
        return Matrix([Function(f"{name}{i}")(time) for i in (1, 2)])

    tangent, adjoint = vector("v"), vector("a")
    jacobian = Matrix(2, 2, lambda i, j: Function(f"A{i + 1}{j + 1}")(time))
    rate = alpha * jacobian - lam * sympy.eye(2)
    product = (adjoint.T * tangent)[0]
    along = dict(zip(tangent.diff(time), rate * tangent, strict=True))
    along |= dict(zip(adjoint.diff(time), -rate.T * adjoint, strict=True))
    yield Statement(
        label="damped-adjoint",
        text=(
            "With A(t) the Jacobian of g along an orbit, tangents of the damped flow obey v̇ = (αA − λI)v. If a obeys "
            "the adjoint equation ȧ = −(αA − λI)ᵀa, its product with every tangent stays as it is, so that a(0) is the "
            "gradient of a loss with respect to x(0) where a(T) is that with respect to x(T):"
        ),
        left=r"\frac{d}{dt}\, a^{\mathsf T} v",
        derived=sympy.expand(product.diff(time).subs(along)),
        closed_form=sympy.S.Zero,
        source="chen2018, sec. 2",
    )


def _exponential() -> Iterator[Statement]:
    """Variation of constants with g held at its value at the start of the layer."""
    damping, time = symbols("lambda s", positive=True)
    step, held = symbols("h g", positive=True)
    integral = sympy.integrate(sympy.exp(-damping * (step - time)) * alpha * held, (time, 0, step))
    exponential = sympy.exp(-step * damping) * x + integral
    weight = (1 - sympy.exp(-step * damping)) / damping
    yield Statement(
        label="exponential-map",
        text=(
            "If g is held during a layer and the damping is integrated exactly (variation of constants), the layer "
            r"becomes the exponential map. It is a residual map with the step :math:`w = (1 - e^{-h\lambda})/\lambda` "
            "in place of h:"
        ),
        left=r"e^{-h\lambda}x + \int_0^h e^{-\lambda(h-s)}\alpha g\,ds",
        derived=exponential,
        closed_form=x + weight * (-damping * x + alpha * held),
        right=r"x + w\,(-\lambda x + \alpha g)",
        source="hochbruck2010, sec. 2.1",
    )
    yield Statement(
        label="exponential-limit",
        text="Without damping it is the residual map itself:",
        left=r"\lim_{\lambda\to 0} w",
        derived=sympy.limit(weight, damping, 0),
        closed_form=step,
        source="hochbruck2010, sec. 2.1",
    )
