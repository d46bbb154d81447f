"""Bifurcations of fixed points and cycles: normal forms, coefficients, and parameters in closed form."""

from collections.abc import Iterator

import sympy
from sympy import ImmutableMatrix, Matrix, Rational, diff, exp, eye, pi, sqrt, symbols

from resdyn_theory.symbolic import Statement
from resdyn_theory.systems import delayed_logistic, henon, logistic_map, lorenz, pitchfork


def statements() -> Iterator[Statement]:
    """Continuation at folds, the normal forms, and the bifurcations of toys and small networks."""
    yield from _bordered()
    yield from _one_eigenvalue()
    yield from _flip()
    yield from _henon()
    yield from _neimark_sacker()
    yield from _hopf()
    yield from _networks()


def _bordered() -> Iterator[Statement]:
    entries = symbols("a:f", real=True)
    G = Matrix(2, 3, entries)
    tangent = G[0, :].cross(G[1, :])
    yield Statement(
        label="bordered-determinant",
        text=(
            "Two units and a parameter make three unknowns for two equations; the rows of :math:`G_u` are their "
            "gradients, and the branch runs along t, orthogonal to both. With the unit vector along t as a third "
            "row it becomes the bordered matrix B, which has"
        ),
        left=r"(\det B)^2",
        derived=sympy.factor(Matrix.vstack(G, tangent).det() ** 2 / tangent.dot(tangent)),
        closed_form=sympy.factor((G * G.T).det()),
        right=r"\det G_u G_u^{\mathsf T}",
        source="keller1977",
    )
    x, p = symbols("x p", real=True)
    f = p - x**2
    gradient = Matrix([[diff(f, x), diff(f, p)]])
    along = Matrix([[-gradient[1], gradient[0]]])
    yield Statement(
        label="bordered-fold",
        text=(
            "which is positive wherever the rows are independent, whether or not the part that belongs to the state is "
            "singular. In the normal form of the fold, f = p − x², that part is −2x, but"
        ),
        left=r"\det G_u G_u^{\mathsf T}",
        derived=Matrix.vstack(gradient, along).det(),
        closed_form=1 + 4 * x**2,
        source="keller1977",
    )


def _one_eigenvalue() -> Iterator[Statement]:
    x, p = symbols("x p", real=True)
    fold, transcritical = p - x**2, p * x - x**2
    q = symbols("p", positive=True)
    yield Statement(
        label="fold-eigenvalues",
        text="The two fixed points that a fold makes at p = 0 have eigenvalues of opposite signs,",
        left=r"f'(\sqrt p),\ f'(-\sqrt p)",
        derived=ImmutableMatrix([[diff(fold, x).subs(x, sign * sqrt(q)) for sign in (1, -1)]]),
        closed_form=ImmutableMatrix([[-2 * sqrt(q), 2 * sqrt(q)]]),
        source="kuznetsov2023, sec. 3.2",
    )
    yield Statement(
        label="transcritical-eigenvalues",
        text="and at a transcritical branch point, f = px − x², two branches cross and exchange their signs:",
        left=r"f'(0),\ f'(p)",
        derived=ImmutableMatrix([[diff(transcritical, x).subs(x, at) for at in (0, p)]]),
        closed_form=ImmutableMatrix([[p, -p]]),
        source="strogatz2015, sec. 3.2",
    )
    k = symbols("k", real=True)
    yield Statement(
        label="neutral-saddle",
        text=(
            "A product of multipliers that passes 1 is no Neimark–Sacker bifurcation if they are real: with μ and 1/μ "
            "the fixed point is a saddle on both sides. What tells them from a pair on the unit circle is the "
            "discriminant, which is negative for a pair but here"
        ),
        left=r"(\mu_1 + \mu_2)^2 - 4\mu_1\mu_2\ \text{ with }\ \mu_1\mu_2 = 1,\ \mu_1 = e^{k}",
        derived=((exp(k) + exp(-k)) ** 2 - 4).rewrite(exp),
        closed_form=(exp(k) - exp(-k)) ** 2,
    )


def _flip() -> Iterator[Statement]:
    x, b, c = symbols("x b c", real=True)
    F = -x + b * x**2 / 2 + c * x**3 / 6
    twice = sympy.series(F.subs(x, F), x, 0, 4).removeO()
    coefficient = (c + 3 * b * b / 2) / 6
    yield Statement(
        label="flip-coefficient",
        text=(
            "At a flip one unit has the map :math:`F = -x + \\tfrac12 B x^2 + \\tfrac16 C x^3 + \\dots` around its "
            "fixed point. The coefficient of the flip is "
            ":math:`c = \\tfrac16(C + 3B(1 - \\mu)^{-1}B)` with μ = −1. Two "
            "layers take x to"
        ),
        left=r"F(F(x))",
        derived=sympy.expand(twice),
        closed_form=sympy.expand(x - 2 * coefficient * x**3),
        right=r"x - 2c\,x^3 + O(x^4)",
        source="kuznetsov2023, sec. 4.5",
    )
    r = logistic_map.r
    image = logistic_map.x + logistic_map.SYSTEM.residual[0]
    second = diff(image, logistic_map.x, 2)
    yield Statement(
        label="logistic-flip-coefficient",
        text=(
            "so that for c > 0 the fixed point attracts at the flip itself, and the 2-cycle that is born is stable "
            "(supercritical). For the logistic map at r = 3"
        ),
        left="c",
        derived=((diff(image, logistic_map.x, 3) + 3 * second * second / 2) / 6).subs(r, 3),
        closed_form=sympy.Integer(9),
    )
    # p and q of the 2-cycle are the roots of r²x² − r(r + 1)x + r + 1
    total, product = (r + 1) / r, (r + 1) / r**2
    slope = sympy.expand(r**2 * (1 - 2 * total + 4 * product))
    positive = [root for root in sympy.solve(sympy.Eq(slope, -1), r) if root > 0]
    yield Statement(
        label="logistic-second-flip",
        text="The 2-cycle has the multiplier 4 + 2r − r² (:eq:`logistic-map-flip`), which reaches −1 at",
        left=r"r^\ast",
        derived=positive[0],
        closed_form=1 + sqrt(6),
        source="strogatz2015, sec. 10.3",
    )
    h, s = pitchfork.h, pitchfork.r
    step = pitchfork.x + h * pitchfork.SYSTEM.residual[0]
    at_branch = {pitchfork.x: sqrt(s)}
    B, C = (diff(step, pitchfork.x, k).subs(at_branch) for k in (2, 3))
    yield Statement(
        label="pitchfork-flip-coefficient",
        text="For the map of the pitchfork it is, on the branches and at the step h = 1/r of :eq:`pitchfork-flip`,",
        left="c",
        derived=sympy.simplify(((C + 3 * B * B / 2) / 6).subs(h, 1 / s)),
        closed_form=8 / s,
    )


def _henon() -> Iterator[Statement]:
    a, b, x = henon.a, henon.b, henon.x
    block = eye(2) + Matrix(henon.SYSTEM.jacobian)
    on_line = sympy.expand(henon.SYSTEM.residual[0].subs(henon.y, b * x))

    def parameter(multiplier: int) -> sympy.Expr:
        state = sympy.solve((block - multiplier * eye(2)).det(), x)[0]
        (value,) = sympy.solve(sympy.numer(sympy.together(on_line.subs(x, state))), a)
        return sympy.factor(value)

    yield Statement(
        label="henon-fold",
        text="The Hénon map has a fixed point with the multiplier 1 at the fold",
        left="a",
        derived=parameter(1),
        closed_form=-((1 - b) ** 2) / 4,
        source="henon1976",
    )
    yield Statement(
        label="henon-flip",
        text="and one with the multiplier −1 at the flip",
        left="a",
        derived=parameter(-1),
        closed_form=3 * (1 - b) ** 2 / 4,
        source="henon1976",
    )


def _neimark_sacker() -> Iterator[Statement]:
    r, x, y = delayed_logistic.r, delayed_logistic.x, delayed_logistic.y
    half = Rational(1, 2)
    M = (eye(2) + Matrix(delayed_logistic.SYSTEM.jacobian)).subs({x: half, y: half, r: 2})
    F = Matrix([x, y]) + Matrix(delayed_logistic.SYSTEM.residual).subs(r, 2)
    mu = sympy.expand_complex(exp(sympy.I * pi / 3))
    v = (M - mu * eye(2)).nullspace()[0]
    v = v / sqrt(sympy.expand_complex((v.H * v)[0]))
    w = (M.H - mu.conjugate() * eye(2)).nullspace()[0]
    w = w / sympy.expand_complex((w.H * v)[0]).conjugate()
    state = (x, y)

    def second(p: Matrix, q: Matrix) -> Matrix:
        return Matrix(
            [sum(diff(f, s, t) * p[i] * q[j] for i, s in enumerate(state) for j, t in enumerate(state)) for f in F]
        )

    steady = second(v, (eye(2) - M).inv() * second(v, v.conjugate()))
    double = second(v.conjugate(), (mu**2 * eye(2) - M).inv() * second(v, v))
    cubic = (w.H * (2 * steady + double))[0]
    yield Statement(
        label="delayed-logistic-coefficient",
        text=(
            "At a Neimark–Sacker bifurcation the first Lyapunov coefficient is :math:`\\tfrac12\\,\\mathrm{Re}\\,"
            "\\bar\\mu\\, w^{\\mathsf H}[C(v, v, \\bar v) + 2B(v, (I - M)^{-1}B(v, \\bar v)) "
            "+ B(\\bar v, (\\mu^2 I - M)^{-1}B(v, v))]`, "
            "with M = I + hA, :math:`\\|v\\| = 1` and :math:`w^{\\mathsf H}v = 1`; where it is "
            "negative, the closed curve that is born is stable (supercritical). For the delayed logistic map, whose "
            "pair leaves the unit circle at r = 2 (:eq:`delayed-logistic-angle`),"
        ),
        left="d",
        derived=sympy.re(sympy.expand_complex(mu.conjugate() * cubic)) / 2,
        closed_form=-sympy.Integer(1),
        source="kuznetsov2023, sec. 5.4",
    )


def _hopf() -> Iterator[Statement]:
    sigma, rho, beta, value = lorenz.sigma, lorenz.rho, lorenz.beta, symbols("lambda")
    state = lorenz.SYSTEM.state
    side = sqrt(beta * (rho - 1))
    A = Matrix(lorenz.SYSTEM.jacobian).subs(dict(zip(state, (side, side, rho - 1), strict=True)))
    polynomial = sympy.Poly(sympy.expand((value * eye(3) - A).det()), value)
    _, c2, c1, c0 = polynomial.all_coeffs()
    (critical,) = sympy.solve(sympy.expand(c2 * c1 - c0), rho)
    yield Statement(
        label="lorenz-hopf-frequency",
        text=(
            "A cubic λ³ + c₂λ² + c₁λ + c₀ has the roots ±iω, ω² = c₁, where c₂c₁ = c₀. In the Lorenz flow that is the "
            "Hopf bifurcation of :eq:`lorenz-hopf`, with the frequency"
        ),
        left=r"\omega^2",
        derived=sympy.factor(c1.subs(rho, critical)),
        closed_form=2 * sigma * beta * (sigma + 1) / (sigma - beta - 1),
        source="strogatz2015, sec. 9.2",
    )


def _networks() -> Iterator[Statement]:
    z = symbols("z", real=True)
    h, damping, gain, w = symbols("h lambda alpha w", positive=True)
    logistic = 1 / (1 + exp(-z))
    # one unit that inhibits itself, with the bias that puts its fixed point at the middle of the activation
    middle = gain / (2 * damping)
    x = symbols("x", real=True)
    f = -damping * x + gain * logistic.subs(z, -w * (x - middle))
    slope = sympy.simplify(diff(f, x).subs(x, middle))
    (flip,) = sympy.solve(sympy.Eq(1 + h * slope, -1), h)
    yield Statement(
        label="network-flip",
        text=(
            "A damped logistic unit that inhibits itself, f = −λx + ασ(−w(x − α/2λ)), rests at α/2λ. Its flow is "
            "stable there for all weights; its map flips at the step"
        ),
        left=r"h^\ast",
        derived=sympy.simplify(flip),
        closed_form=8 / (4 * damping + gain * w),
    )
    a, b = symbols("a b", real=True)
    pair = Matrix([-damping * a + gain * sympy.tanh(-w * b), -damping * b + gain * sympy.tanh(-w * a)])
    A = pair.jacobian([a, b]).subs({a: 0, b: 0})
    yield Statement(
        label="pair-pitchfork",
        text=(
            "Two tanh units that inhibit each other, f = (−λx + α tanh(−wy), −λy + α tanh(−wx)), rest at 0. The "
            "difference of their states grows there at the rate"
        ),
        left=r"A\begin{pmatrix} 1 \\ -1 \end{pmatrix}",
        derived=ImmutableMatrix(A * Matrix([1, -1])),
        closed_form=ImmutableMatrix((gain * w - damping) * Matrix([1, -1])),
    )
    along = [p.subs({a: x, b: -x}) for p in pair]
    yield Statement(
        label="pair-pitchfork-cubic",
        text="which vanishes at α = λ/w. There, with states (x, −x), the next term attracts (supercritical):",
        left=r"f_1(x, -x)\big|_{\alpha = \lambda/w}",
        derived=sympy.series(along[0].subs(gain, damping / w), x, 0, 4).removeO(),
        closed_form=-damping * w**2 * x**3 / 3,
        right=r"-\tfrac{1}{3}\lambda w^2 x^3 + O(x^5)",
    )
