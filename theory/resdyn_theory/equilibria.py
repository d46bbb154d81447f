"""Fixed points: faces of the cube, damped maps, deflation."""

from collections.abc import Iterator

import sympy
from sympy import ImmutableMatrix, Matrix, Symbol, diag, exp, eye, symbols

from resdyn_theory.symbolic import Statement

h = symbols("h", positive=True)
mu = symbols("mu")


def _weights(n: int) -> Matrix:
    return Matrix(n, n, symbols([f"w{i}{j}" for i in range(1, n + 1) for j in range(1, n + 1)], real=True))


def _flow(W: Matrix, y: Matrix) -> Matrix:
    return (diag(*y) * (eye(len(y)) - diag(*y))) * W * y


def statements() -> Iterator[Statement]:
    """Two inner units and a third one at the boundary stand for any face."""
    yield from _faces()
    yield from _multipliers()
    yield from _damped()
    yield from _deflation()


def _faces() -> Iterator[Statement]:
    W = _weights(3)
    y = Matrix(symbols("y1 y2 y3", real=True))
    inner = W[:2, :2]
    solution = -inner.LUsolve(W[:2, 2])
    on_face = {y[0]: solution[0], y[1]: solution[1], y[2]: 1}
    yield Statement(
        label="face-equilibrium",
        text=(
            "Let the units of a set I lie inside (0, 1) and the others at a corner c. Where I solves "
            ":math:`W_{II} y_I = -W_{IR} c` nothing moves; with units 1 and 2 inside and unit 3 at 1,"
        ),
        left=r"\dot y\,\big|_{y_I = -W_{II}^{-1} W_{IR} c}",
        derived=ImmutableMatrix(_flow(W, y).subs(on_face).applyfunc(sympy.simplify)),
        closed_form=ImmutableMatrix.zeros(3, 1),
        source="hofbauer1998, sec. 7.1",
    )
    skew = Matrix(3, 3, lambda i, j: 0 if i == j else (W[i, j] if i < j else -W[j, i]))
    yield Statement(
        label="skew-odd-sets",
        text=(
            "The solution is unique where :math:`W_{II}` is regular. A skew matrix of odd order never is, so that "
            "sets of equilibria, and not only points, are the rule for skew weights:"
        ),
        left=r"\det W_{II},\quad W = -W^{\mathsf T},\ |I| = 3",
        derived=skew.det(),
        closed_form=sympy.Integer(0),
    )
    jacobian = _flow(W, y).jacobian(y)
    for c, sign in ((0, 1), (1, -1)):
        yield Statement(
            label=f"saturated-eigenvalue-{c}",
            text=(
                "A unit at 0 answers to no other unit: the linearization is block-triangular, and the unit brings the "
                "eigenvalue (Wy)₃;"
                if c == 0
                else "a unit at 1 brings −(Wy)₃:"
            ),
            left=rf"\frac{{\partial\dot y_3}}{{\partial y}}\bigg|_{{y_3 = {c}}}",
            derived=ImmutableMatrix(jacobian[2, :].subs(y[2], c).applyfunc(sympy.expand)),
            closed_form=ImmutableMatrix([[0, 0, sympy.expand(sign * (W * y)[2].subs(y[2], c))]]),
            right=r"\begin{pmatrix} 0 & 0 & (Wy)_3 \end{pmatrix}"
            if c == 0
            else r"\begin{pmatrix} 0 & 0 & -(Wy)_3 \end{pmatrix}",
            source="lagzi2021",
        )
    moves = diag(y[0] * (1 - y[0]), y[1] * (1 - y[1]))
    yield Statement(
        label="inner-block",
        text="The inner units keep the block of W that couples them, since (Wy)₁ = (Wy)₂ = 0 there:",
        left=r"\left(\frac{\partial\dot y_i}{\partial y_j}\right)_{i,j \in I}",
        derived=ImmutableMatrix(jacobian[:2, :2].subs(on_face).applyfunc(sympy.simplify)),
        closed_form=ImmutableMatrix((moves * inner).subs(on_face).applyfunc(sympy.simplify)),
        right=r"\operatorname{diag}\bigl(y_I(1 - y_I)\bigr)\, W_{II}",
        source="lagzi2021",
    )
    yield Statement(
        label="inner-trace",
        text=(
            "Its trace is negative at a stable equilibrium. Without a self-limiting inner unit (:math:`w_{ii} < 0`) "
            "a face holds no stable equilibrium, which branch and bound uses:"
        ),
        left=r"\operatorname{tr}\bigl(\operatorname{diag}(y_I(1-y_I))\, W_{II}\bigr)",
        derived=sympy.expand((moves * inner).trace()),
        closed_form=sympy.expand(sum(y[i] * (1 - y[i]) * W[i, i] for i in range(2))),
        right=r"\textstyle\sum_{i \in I} y_i(1 - y_i)\, w_{ii}",
    )


def _multipliers() -> Iterator[Statement]:
    z, r = symbols("z r", real=True)

    def sigma(argument: sympy.Expr) -> sympy.Expr:
        return 1 / (1 + exp(-argument))

    small = Symbol("u", positive=True)  # u = exp(z), which tends to 0 as z → −∞
    ratio = sympy.simplify((sigma(z + h * r) / sigma(z)).rewrite(exp).subs(z, sympy.log(small)))
    yield Statement(
        label="saturated-multiplier",
        text="The map multiplies a residual that is almost 0 by the exponential, not by 1 + hr, of its rate r = (Wy)ᵢ,",
        left=r"\lim_{z\to-\infty} \frac{\sigma(z + hr)}{\sigma(z)}",
        derived=sympy.limit(ratio, small, 0),
        closed_form=exp(h * r),
    )
    gap = sympy.simplify(((1 - sigma(z + h * r)) / (1 - sigma(z))).rewrite(exp).subs(z, -sympy.log(small)))
    yield Statement(
        label="saturated-multiplier-at-1",
        text="and the distance from 1 of one that is almost 1 by",
        left=r"\lim_{z\to\infty} \frac{1 - \sigma(z + hr)}{1 - \sigma(z)}",
        derived=sympy.limit(gap, small, 0),
        closed_form=exp(-h * r),
    )
    W = _weights(2)
    D = diag(*symbols("d1 d2", positive=True))
    yield Statement(
        label="spectrum-in-z-and-y",
        text=(
            "At finite states the multipliers are 1 + hλ in either coordinate: the blocks of the map of z and of the "
            "flow of y have one characteristic polynomial,"
        ),
        left=r"\det(\mu I - W D)",
        derived=sympy.expand((mu * eye(2) - W * D).det()),
        closed_form=sympy.expand((mu * eye(2) - D * W).det()),
        right=r"\det(\mu I - D W), \quad D = \operatorname{diag}\bigl(y(1-y)\bigr)",
    )


def _damped() -> Iterator[Statement]:
    damping, gain = symbols("lambda alpha", positive=True)
    W, b = _weights(2), Matrix(symbols("b1 b2", real=True))
    y = Matrix(symbols("y1 y2", real=True))
    phi = sympy.Function("varphi")
    x = gain / damping * y
    f = -damping * x + gain * (W * x + b).applyfunc(phi)
    reduced = gain * ((gain / damping * W * y + b).applyfunc(phi) - y)
    yield Statement(
        label="damped-fixed-points",
        text=(
            "A damped map rests exactly where the activations reproduce themselves. With x = (α/λ)y and B = (α/λ)W "
            "the residual is"
        ),
        left=r"f\bigl(\tfrac{\alpha}{\lambda} y\bigr)",
        derived=ImmutableMatrix(f),
        closed_form=ImmutableMatrix(reduced),
        right=r"\alpha\,\bigl(\varphi(By + b) - y\bigr)",
    )
    u, m, v = symbols("u m v", real=True)
    slope, C = symbols("s C", real=True)
    # one unit and a φ of slope s: the Krawczyk operator around m, at the solution itself
    solution = sympy.solve(u - (slope * u + v), u)[0]
    operator = m - C * (m - (slope * m + v)) + (1 - C * (1 - slope)) * (solution - m)
    yield Statement(
        label="krawczyk",
        text=(
            "Any solution in a box of midpoint m lies in the image of the box under the Krawczyk operator, whatever "
            "the matrix C; shown for one unit with slope s, where the solution is y*:"
        ),
        left=r"m - C\,G(m) + \bigl(1 - C\,G'\bigr)(y^* - m)",
        derived=sympy.simplify(operator),
        closed_form=solution,
        right=r"y^*, \quad G(y) = y - \varphi(By + b)",
        source="neumaier1990, sec. 5.1",
    )


def _deflation() -> Iterator[Statement]:
    A = Matrix(2, 2, symbols("a11 a12 a21 a22", real=True))
    f, g = Matrix(symbols("f1 f2", real=True)), Matrix(symbols("g1 g2", real=True))
    eta = symbols("eta", positive=True)
    newton = -A.LUsolve(f)
    deflated = -(eta * A + f * g.T).LUsolve(eta * f)
    stretched = newton / (1 - (g.T * newton)[0] / eta)
    yield Statement(
        label="deflated-newton-step",
        text=(
            "Dividing known roots out of f, as η(x) f(x), leaves the direction of the Newton step δ = −A⁻¹f and "
            "changes its length. With g = ∇η,"
        ),
        left=r"-\bigl(\eta A + f g^{\mathsf T}\bigr)^{-1} \eta f",
        derived=ImmutableMatrix(deflated.applyfunc(sympy.simplify)),
        closed_form=ImmutableMatrix(stretched.applyfunc(sympy.simplify)),
        right=r"\frac{\delta}{1 - \eta^{-1} g^{\mathsf T}\delta}",
        source="farrell2015",
    )
