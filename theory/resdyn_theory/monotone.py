"""Cooperation and competition: from the signs of the weights to the order that flow and map preserve."""

from collections.abc import Iterator

import sympy
from sympy import Function, ImmutableMatrix, Matrix, Rational, diag, oo, symbols

from resdyn_theory.activations import EXPRESSIONS
from resdyn_theory.activations import z as argument
from resdyn_theory.symbolic import Statement

N = 3
h, gain, limiting = symbols("h alpha v", positive=True)
damping = symbols("lambda", real=True)
W = Matrix(N, N, symbols([f"w{i}{j}" for i in range(1, N + 1) for j in range(1, N + 1)], real=True))
b = Matrix(symbols(f"b1:{N + 1}", real=True))
x = Matrix(symbols(f"x1:{N + 1}", real=True))
y = Matrix(symbols(f"y1:{N + 1}", positive=True))
z = Matrix(symbols(f"z1:{N + 1}", real=True))
# (−1)ⁿ with whole n is a sign whose square SymPy knows to be 1
s = [(-1) ** n for n in symbols(f"n1:{N + 1}", integer=True)]
S = diag(*s)


def _flow(state: Matrix) -> Matrix:
    """f of the matrix family with a general activation."""
    return -damping * state + gain * (W * state + b).applyfunc(Function("varphi"))


def statements() -> Iterator[Statement]:
    """Signs, orthants, steps, and orbits that stay bounded."""
    yield from _signs()
    yield from _orthants()
    yield from _two_units()
    yield from _map()
    yield from _bounded_orbits()


def _signs() -> Iterator[Statement]:
    slope = sympy.Symbol("p", positive=True)
    entry = _flow(x).jacobian(x)[0, 1]
    (derivative,) = entry.atoms(sympy.Subs)
    yield Statement(
        label="network-interaction-sign",
        text=(
            "What one unit does to another has a sign. In the network itself, with p the slope φ′ of the receiving "
            "unit, unit 2 acts on unit 1 by"
        ),
        left=r"\frac{\partial \dot x_1}{\partial x_2}",
        derived=entry.subs(derivative, slope),
        closed_form=gain * slope * W[0, 1],
    )
    cube = y.multiply_elementwise(sympy.ones(N, 1) - y).multiply_elementwise(W * y)
    sigma = EXPRESSIONS["logistic"]
    of_z = {y[i]: sigma.subs(argument, z[i]) for i in range(N)}
    z_flow = W * Matrix([of_z[yi] for yi in y])
    rates = [sympy.diff(of_z[y[i]], z[i]) for i in range(N)]
    yield Statement(
        label="interaction-coordinates",
        text=(
            "so an increasing activation never changes the sign of αw; relu, whose slope may be 0, can only hide it. "
            "The residuals y = σ(z) of logistic units carry the same signs in their own coordinates, on the cube and "
            "in z, because each is an increasing function of the other:"
        ),
        left=r"\frac{\partial\dot y_1}{\partial y_2}",
        derived=cube.jacobian(y)[0, 1].subs(of_z, simultaneous=True),
        closed_form=rates[0] * z_flow.jacobian(z)[0, 1] / rates[1],
        right=r"\frac{\sigma'(z_1)}{\sigma'(z_2)}\, \frac{\partial\dot z_1}{\partial z_2}",
        source="lagzi2021",
    )


def _orthants() -> Iterator[Statement]:
    u = Matrix(symbols(f"u1:{N + 1}", real=True))
    turned = (S * _flow(S * u)).jacobian(u).doit()
    general = _flow(x).jacobian(x).subs(dict(zip(x, S * u, strict=True)), simultaneous=True).doit()
    yield Statement(
        label="orthant-signs",
        text=(
            "If no unit hinders another, the flow is *cooperative*: a state that is larger in every unit stays "
            "larger. The same may hold after some units are counted downwards, u = Sx with signs s on the diagonal of "
            "S. Then the Jacobian becomes"
        ),
        left=r"\frac{\partial\dot u}{\partial u}",
        derived=ImmutableMatrix(turned),
        closed_form=ImmutableMatrix(S * general * S),
        right=r"S\,A(Su)\,S",
        source="smith1995, ch. 3",
    )
    signed = S * W * S
    yield Statement(
        label="cycle-sign",
        text=(
            "whose entries are :math:`s_i s_j a_{ij}`. Counting downwards changes no product along a cycle, since "
            "each unit on it enters twice; for two and for three units,"
        ),
        left=r"\prod_{\text{cycle}} s_i s_j w_{ij}",
        derived=ImmutableMatrix([signed[0, 1] * signed[1, 0], signed[0, 1] * signed[1, 2] * signed[2, 0]]),
        closed_form=ImmutableMatrix([W[0, 1] * W[1, 0], W[0, 1] * W[1, 2] * W[2, 0]]),
        source="harary1953",
    )


def _two_units() -> Iterator[Statement]:
    pair = symbols("y1 y2", positive=True)
    flow = Matrix([yi * (1 - yi) * (W[i, 0] * pair[0] + W[i, 1] * pair[1]) for i, yi in enumerate(pair)])
    A = flow.jacobian(pair)
    product = (1 - pair[0]) * pair[0] * (1 - pair[1]) * pair[1] * W[0, 1] * W[1, 0]
    yield Statement(
        label="two-unit-discriminant",
        text=(
            "So a cycle with an odd number of hindrances, whatever its direction, forbids an orthant, and a graph "
            "without one has an orthant. Two units are balanced unless they are predator and prey. Only these can "
            "rotate: the eigenvalues of two logistic residuals are complex where"
        ),
        left=r"(\operatorname{tr} A)^2 - 4\det A",
        derived=A.trace() ** 2 - 4 * A.det(),
        closed_form=(A[0, 0] - A[1, 1]) ** 2 + 4 * product,
        right=r"(a_{11} - a_{22})^2 + 4\, y_1(1 - y_1)\, y_2(1 - y_2)\, w_{12} w_{21}",
    )


def _map() -> Iterator[Statement]:
    sigma, tanh, softplus = (EXPRESSIONS[name] for name in ("logistic", "tanh", "softplus"))
    slopes = [
        sympy.diff(sigma, argument).subs(argument, 0),
        sympy.diff(tanh, argument).subs(argument, 0),
        sympy.limit(sympy.diff(softplus, argument), argument, oo),
    ]
    yield Statement(
        label="steepest-slopes",
        text=(
            "is negative. The map needs more than the flow: :math:`I + hA` must be nonnegative on its diagonal too. "
            "What a unit does to itself depends on the slope, which is between 0 and its supremum L (relu: 0 or 1; "
            "identity: 1), for the logistic function, tanh and softplus"
        ),
        left="L",
        derived=ImmutableMatrix([slopes]),
        closed_form=ImmutableMatrix([[Rational(1, 4), 1, 1]]),
    )
    slope = symbols("L", positive=True)
    own = _flow(x).jacobian(x)[0, 0]
    (derivative,) = own.atoms(sympy.Subs)
    steepest = own.subs(derivative, slope).subs(W[0, 0], -limiting / gain)
    yield Statement(
        label="map-margin",
        text="A unit that limits itself, :math:`\\alpha w_{11} = -v < 0`, does so most where it is steepest, with",
        left=r"(I + hA)_{11}",
        derived=1 + h * steepest,
        closed_form=1 - h * (damping + slope * limiting),
    )
    yield Statement(
        label="largest-monotone-step",
        text="in the limit, so the map preserves the order if, and only if, for all units and layers h is at most",
        left=r"h_{\max}",
        derived=sympy.solve(1 + h * steepest, h)[0],
        closed_form=1 / (damping + slope * limiting),
        source="hirsch2005",
    )
    yield Statement(
        label="largest-monotone-step-logistic",
        text="which for undamped logistic units is",
        left=r"h_{\max}",
        derived=sympy.solve((1 + h * steepest).subs({damping: 0, slope: slopes[0]}), h)[0],
        closed_form=4 / limiting,
    )


def _bounded_orbits() -> Iterator[Statement]:
    sigma = Function("sigma")
    first = z + h * W * z.applyfunc(sigma)
    second = first + h * W * first.applyfunc(sigma)
    yield Statement(
        label="mean-residual",
        text=(
            "(a unit that enhances itself sets no bound but :math:`h\\lambda \\le 1`; under the identity, whose slope "
            "is 1 everywhere, v may have either sign). Theorems on the long run are about bounded orbits. For the "
            "residuals of logistic units that is a strong condition. Over T layers z moves by :math:`hW` times the "
            "sum of the residuals on the way; for T = 2,"
        ),
        left=r"z_T - z_0",
        derived=ImmutableMatrix((second - z).expand()),
        closed_form=ImmutableMatrix((h * W * (z.applyfunc(sigma) + first.applyfunc(sigma))).expand()),
        right=r"h W \sum_{k < T} \sigma(z_k)",
    )
    v = symbols(f"v1:{N + 1}", positive=True)
    root = symbols("s", real=True)
    last = [(root * v[j] - v[0] * W[0, j] - v[1] * W[1, j]) / v[2] for j in range(N)]
    with_root = Matrix([W[0, :], W[1, :], Matrix([last])])  # solves vᵀW = s vᵀ for the last row
    after = z + h * with_root * z.applyfunc(sigma)
    yield Statement(
        label="perron-growth",
        text=(
            "Divide by T: if z stays bounded, the left side vanishes, and the mean residual, which keeps away from 0 "
            "and 1, has limit points that solve :math:`Wy = 0`. So if W is regular, *every* orbit of z is unbounded, "
            "in the map and, with integrals for sums, in the flow: some residual comes arbitrarily close to 0 or 1. "
            "If W is cooperative and irreducible, it has one left eigenvector v with positive entries (Perron and "
            "Frobenius); with its eigenvalue s,"
        ),
        left=r"v^{\mathsf T} z' - v^{\mathsf T} z",
        derived=((Matrix([v]) * after)[0] - (Matrix([v]) * z)[0]).expand(),
        closed_form=(h * root * (Matrix([v]) * z.applyfunc(sigma))[0]).expand(),
        right=r"h s\, v^{\mathsf T} \sigma(z)",
    )
