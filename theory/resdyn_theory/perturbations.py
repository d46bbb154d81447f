"""Perturbations and noise, layer by layer: first order, what it misses, and variances in closed form."""

from collections.abc import Iterator

import sympy
from sympy import Function, ImmutableMatrix, Matrix, Rational, Symbol, symbols

from resdyn_theory.symbolic import Statement

x, h, a, w, delta, eps = symbols("x h a w delta epsilon", real=True)
m = symbols("m", positive=True)
sigma, s, g, t = symbols("sigma s g t", positive=True)
T = symbols("T", positive=True, integer=True)
f = Function("f")


def _block(state: sympy.Expr) -> sympy.Expr:
    return state + h * f(state)


def _coefficient(expression: sympy.Expr, order: int) -> sympy.Expr:
    """Of ε to a power, at ε = 0."""
    return sympy.diff(expression, eps, order).subs(eps, 0).doit() / sympy.factorial(order)


def statements() -> Iterator[Statement]:
    """First and second order, the covariance recursion, and linear units under noise."""
    yield from _orders()
    yield from _covariance()
    yield from _linear_unit()
    yield from _random_weights()


def _orders() -> Iterator[Statement]:
    slope, curvature = f(x).diff(x), f(x).diff(x, 2)
    one = _block(x + eps * delta)
    yield Statement(
        label="perturbation-first-order",
        text=(
            "Let a block of one unit act on a perturbed state x + εδ. What is linear in ε is carried "
            "by the block Jacobian,"
        ),
        left=r"\frac{\partial}{\partial\epsilon} F(x + \epsilon\delta)\Big|_{\epsilon = 0}",
        derived=_coefficient(one, 1),
        closed_form=(1 + h * slope) * delta,
        right=r"\bigl(1 + h f'(x)\bigr)\,\delta",
        source="griewank2008, ch. 3",
    )
    yield Statement(
        label="perturbation-second-order",
        text="and the first thing that it misses is quadratic, with the curvature of f:",
        left=r"\frac{1}{2}\frac{\partial^2}{\partial\epsilon^2} F(x + \epsilon\delta)\Big|_{\epsilon = 0}",
        derived=_coefficient(one, 2),
        closed_form=Rational(1, 2) * h * curvature * delta**2,
        right=r"\tfrac{1}{2} h f''(x)\,\delta^2",
    )
    # derivatives of f at the second state, as symbols: SymPy has no short form for f'(x + h f(x))
    x1, f1, slope1, curvature1 = symbols("x_1 f_1 b c", real=True)
    shift = sympy.series(_block(x + eps * delta) - _block(x), eps, 0, 3).removeO().doit()
    second = x1 + shift + h * (f1 + slope1 * shift + curvature1 * shift**2 / 2)
    yield Statement(
        label="perturbation-two-blocks",
        text=(
            r"Through a second block, at :math:`x_1 = x + hf(x)` with the slope :math:`b = f'(x_1)` and the curvature "
            r":math:`c = f''(x_1)`, the quadratic term of the first block is carried on like any perturbation, "
            "and a new one arises:"
        ),
        left=r"\frac{1}{2}\frac{\partial^2}{\partial\epsilon^2} F(F(x + \epsilon\delta))\Big|_{\epsilon = 0}",
        derived=_coefficient(second, 2),
        closed_form=h * ((1 + h * slope1) * curvature + curvature1 * (1 + h * slope) ** 2) * delta**2 / 2,
        right=r"\tfrac{1}{2} h \Bigl[(1 + hb)\, f''(x) + c\,\bigl(1 + hf'(x)\bigr)^2\Bigr]\,\delta^2",
    )


def _covariance() -> Iterator[Statement]:
    """Two units: the mean of every product of two random numbers is known, and the mean is linear."""
    d1, d2, n1, n2 = symbols("delta1 delta2 eta1 eta2", real=True)
    A = Matrix(2, 2, symbols("a11 a12 a21 a22", real=True))
    c11, c12, c22 = symbols("c11 c12 c22", real=True)
    C = Matrix([[c11, c12], [c12, c22]])
    J = sympy.eye(2) + h * A
    after = J * Matrix([d1, d2]) + s * Matrix([n1, n2])
    means = {
        d1 * d1: c11, d1 * d2: c12, d2 * d2: c22,
        d1 * n1: 0, d1 * n2: 0, d2 * n1: 0, d2 * n2: 0,
        n1 * n1: 1, n1 * n2: 0, n2 * n2: 1,
    }  # fmt: skip
    yield Statement(
        label="covariance-recursion",
        text=(
            r"Now let :math:`\delta_k` be random with mean zero and covariance :math:`C_k`, and let the layer add "
            r":math:`s\eta_k`, where :math:`\eta_k` has mean zero, covariance I, and is independent of all before. "
            "To first order the covariance is carried from both sides, and the noise adds to its diagonal; "
            "for two units,"
        ),
        left=r"C_{k+1} = \mathrm{E}\,\delta_{k+1}\delta_{k+1}^{\mathsf T}",
        derived=ImmutableMatrix(2, 2, lambda i, j: _mean(after[i] * after[j], (d1, d2, n1, n2), means)),
        closed_form=ImmutableMatrix(J * C * J.T + s**2 * sympy.eye(2)),
        right=r"(I + hA_k)\, C_k\, (I + hA_k)^{\mathsf T} + s^2 I",
    )


def _mean(product: sympy.Expr, random: tuple[Symbol, ...], means: dict[sympy.Expr, sympy.Expr | int]) -> sympy.Expr:
    """The mean of a polynomial of second degree in random numbers, from the means of their products."""
    terms = sympy.Poly(sympy.expand(product), *random).terms()
    monomials = [sympy.Mul(*(r**power for r, power in zip(random, powers, strict=True))) for powers, _ in terms]
    return sympy.Add(*(weight * means[monomial] for monomial, (_, weight) in zip(monomials, terms, strict=True)))


def _linear_unit() -> Iterator[Statement]:
    """V ↦ m²V + s² from V_0 = σ²."""
    k = symbols("k", integer=True, nonnegative=True)
    V = Function("V")
    solution = sympy.rsolve(V(k + 1) - m**2 * V(k) - s**2, V(k), {V(0): sigma**2}).subs(k, T)
    closed = m ** (2 * T) * sigma**2 + s**2 * (m ** (2 * T) - 1) / (m**2 - 1)
    yield Statement(
        label="noise-variance",
        text=(
            "For one linear unit the recursion is solved by a geometric sum. Let a layer multiply the state by m and "
            r"add noise of variance :math:`s^2`; let the input have the variance :math:`\sigma^2`. After T layers,"
        ),
        left="V_T",
        derived=solution,
        closed_form=closed,
    )
    yield Statement(
        label="noise-random-walk",
        text=(
            r"A residual unit :math:`x' = x + hax` has :math:`m = 1 + ha`, and a plain unit :math:`x' = wx` has "
            r":math:`m = w`. With weights that are zero the residual unit still hands its input on, and the noise of "
            "its layers adds up like a random walk,"
        ),
        left=r"\lim_{m \to 1} V_T",
        derived=sympy.limit(closed, m, 1),
        closed_form=sigma**2 + T * s**2,
    )
    inside = symbols("q", positive=True)  # m² = 1/(1 + q): every value below 1
    yield Statement(
        label="noise-plain",
        text=(
            r"while any unit with :math:`|m| < 1` forgets its input and keeps a bounded share of the noise of its "
            "last layers,"
        ),
        left=r"\lim_{T \to \infty} V_T",
        derived=sympy.limit(closed.subs(m, 1 / sympy.sqrt(1 + inside)), T, sympy.oo),
        closed_form=(s**2 / (1 - m**2)).subs(m, 1 / sympy.sqrt(1 + inside)),
        right=r"\frac{s^2}{1 - m^2}",
    )
    yield Statement(
        label="noise-euler-maruyama",
        text=(
            r"Many short layers, :math:`h = t/T`, tend to a stochastic differential equation if the noise of a layer "
            r"has the standard deviation :math:`s = g\sqrt h`: then a layer is an Euler–Maruyama step of "
            r":math:`dx = ax\,dt + g\,dW`, and the variance tends to that of its solution,"
        ),
        left=r"\lim_{T \to \infty} V_T",
        derived=_diffusion_limit(),
        closed_form=sigma**2 * sympy.exp(2 * a * t) + g**2 * (sympy.exp(2 * a * t) - 1) / (2 * a),
        source="kloeden1992",
    )


def _diffusion_limit() -> sympy.Expr:
    """The limit of the geometric sum, factor by factor."""
    power = sympy.limit((1 + h * a) ** (2 * t / h), h, 0, "+")
    per_layer = sympy.limit(g**2 * h / ((1 + h * a) ** 2 - 1), h, 0)
    return power * sigma**2 + per_layer * (power - 1)


def _random_weights() -> Iterator[Statement]:
    """Independent weights of mean zero and variance g²/N; two units."""
    n = 2
    weights = symbols("w11 w12 w21 w22", real=True)
    W, v = Matrix(n, n, weights), Matrix(symbols("delta1 delta2", real=True))
    products = {p * q: g**2 / n if p == q else 0 for p in weights for q in weights}
    means = {sympy.S.One: 1, **dict.fromkeys(weights, 0), **products}

    def mean_square(matrix: Matrix) -> sympy.Expr:
        image = matrix * v
        return _mean((image.T * image)[0], weights, means)

    square = (v.T * v)[0]
    yield Statement(
        label="random-residual-layer",
        text=(
            r"How fast does a perturbation grow in an untrained network? Let the weights of a linear layer be "
            r"independent with mean zero and variance :math:`g^2/N`. On average over the weights a residual layer "
            "enlarges the squared size of any perturbation a little; for two units,"
        ),
        left=r"\mathrm{E}_W \|(I + hW)\delta\|^2",
        derived=mean_square(sympy.eye(n) + h * W),
        closed_form=(1 + h**2 * g**2) * square,
        right=r"(1 + h^2 g^2)\, \|\delta\|^2",
        source="yang2017",
    )
    yield Statement(
        label="random-plain-layer",
        text="and a plain layer multiplies it by the variance of the weights alone:",
        left=r"\mathrm{E}_W \|W\delta\|^2",
        derived=mean_square(W),
        closed_form=g**2 * square,
        right=r"g^2\, \|\delta\|^2",
        source="poole2016",
    )
    depth = symbols("T", positive=True)
    yield Statement(
        label="random-deep-residual",
        text=(
            r"After T layers with independent weights the factors are :math:`(1 + h^2 g^2)^T` and :math:`g^{2T}`. "
            "The plain linear network shrinks or enlarges every perturbation exponentially unless g is 1. "
            r"The residual network needs no such tuning if its step shrinks as :math:`h = 1/\sqrt T`:"
        ),
        left=r"\lim_{T \to \infty} \left(1 + \tfrac{g^2}{T}\right)^T",
        derived=sympy.limit((1 + g**2 / depth) ** depth, depth, sympy.oo),
        closed_form=sympy.exp(g**2),
    )
