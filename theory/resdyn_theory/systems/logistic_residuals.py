"""The closed dynamics of the residuals of a logistic network with shared weights, for three units."""

from collections.abc import Iterator

import sympy
from sympy import Function, ImmutableMatrix, Matrix, diag, exp, log, symbols

from resdyn_theory.symbolic import Statement, SymbolicSystem

N = 3
z = symbols(f"z1:{N + 1}", real=True)
h = symbols("h", positive=True)
W = Matrix(N, N, symbols([f"w{i}{j}" for i in range(1, N + 1) for j in range(1, N + 1)], real=True))
b = Matrix(symbols(f"b1:{N + 1}", real=True))


def _logistic(argument: sympy.Expr) -> sympy.Expr:
    return 1 / (1 + exp(-argument))


y = Matrix([_logistic(zi) for zi in z])

# defaults: a cycle of three competitors, each of which beats the next (May and Leonard)
_DEFAULTS = (-0.2, 1.0, -0.9, -0.9, -0.2, 1.0, 1.0, -0.9, -0.2)
SYSTEM = SymbolicSystem(
    name="logistic residuals",
    state=z,
    residual=tuple(W * y),
    parameters=dict(zip(W, _DEFAULTS, strict=True)),
    description="The pre-activations z = Wx + b of a logistic residual network with shared weights W.",
    source="lagzi2021",
)


def statements() -> Iterator[Statement]:
    """From the network to the closed map and flow, and the structure of the flow of y."""
    x = Matrix(symbols(f"x1:{N + 1}", real=True))
    sigma = Function("sigma")
    preactivation = W * x + b
    after = W * (x + h * preactivation.applyfunc(sigma)) + b
    yield Statement(
        label="residuals-close",
        text=(
            "The pre-activations of the network x' = x + hσ(Wx + b) obey a map of their own, "
            "z' = z + hWσ(z). The bias drops out of it:"
        ),
        left=r"(Wx' + b) - (Wx + b)",
        derived=ImmutableMatrix(after - preactivation),
        closed_form=ImmutableMatrix(h * W * preactivation.applyfunc(sigma)),
        right=r"h W \sigma(Wx + b)",
        source="lagzi2021",
    )
    # general coordinates on the cube, to compare with the chain rule
    cube = Matrix(symbols(f"y1:{N + 1}", positive=True))
    flow = diag(*cube) * (sympy.eye(N) - diag(*cube)) * W * cube
    chain_rule = Matrix([sympy.diff(y[i], z[i]) for i in range(N)]).multiply_elementwise(W * y)
    yield Statement(
        label="residual-flow",
        text="By the chain rule, y = σ(z) follows a predator–prey flow on the cube,",
        left=r"\dot y = \sigma'(z)\circ\dot z",
        derived=ImmutableMatrix(chain_rule),
        closed_form=ImmutableMatrix(flow.subs(dict(zip(cube, y, strict=True)), simultaneous=True)),
        right=r"y(1 - y)\circ(Wy)",
        source="lagzi2021",
    )
    jacobian = flow.jacobian(cube)
    yield Statement(
        label="interaction-sign",
        text="The influence of unit 2 on unit 1 has the sign of its weight everywhere inside the cube,",
        left=r"\frac{\partial \dot y_1}{\partial y_2}",
        derived=jacobian[0, 1],
        closed_form=cube[0] * (1 - cube[0]) * W[0, 1],
        source="lagzi2021",
    )
    yield Statement(
        label="invariant-faces",
        text="and no orbit leaves a face: a residual of exactly 0 or 1 stays,",
        left=r"\left.\begin{matrix}\dot y_1|_{y_1 = 0}\\ \dot y_1|_{y_1 = 1}\end{matrix}\right.",
        derived=ImmutableMatrix([flow[0].subs(cube[0], 0), flow[0].subs(cube[0], 1)]),
        closed_form=ImmutableMatrix.zeros(2, 1),
        source="lagzi2021",
    )
    corner = {cube[0]: 0, cube[1]: 0, cube[2]: 1}
    yield Statement(
        label="corner-eigenvalues",
        text=(
            "At the corner (0, 0, 1) of the cube no unit can influence another; "
            "the linearization is diagonal and shows its eigenvalues:"
        ),
        left=r"\frac{\partial\dot y}{\partial y}\bigg|_{(0,0,1)}",
        derived=ImmutableMatrix(jacobian.subs(corner)),
        closed_form=ImmutableMatrix(diag(W[0, 2], W[1, 2], -W[2, 2])),
        source="lagzi2021",
    )
    potential = sum(log(1 + exp(zi)) for zi in z)
    gradient = Matrix([sympy.diff(potential, zi) for zi in z])
    yield Statement(
        label="softplus-potential",
        text="With H the sum of the softplus of all units, the flow is ż = W∇H, since",
        left=r"\nabla_z \sum_i \log(1 + e^{z_i})",
        derived=ImmutableMatrix(gradient),
        closed_form=ImmutableMatrix(y),
        right=r"\sigma(z)",
    )
    rate = (gradient.T * W * y)[0]
    symmetric = (W + W.T) / 2
    yield Statement(
        label="softplus-rate",
        text="so along the flow H changes at a rate to which only the symmetric part of W contributes:",
        left=r"\dot H = \nabla H \cdot \dot z",
        derived=rate,
        closed_form=(y.T * symmetric * y)[0],
        right=r"y^{\mathsf T}\,\tfrac{1}{2}(W + W^{\mathsf T})\, y",
    )
