"""Lyapunov exponents: what the QR method averages, and exponents in closed form."""

from collections.abc import Iterator

import sympy
from sympy import ImmutableMatrix, Matrix, cos, log, pi, sin, sqrt, symbols

from resdyn_theory.symbolic import Statement
from resdyn_theory.systems import henon, logistic_map, lorenz


def statements() -> Iterator[Statement]:
    """The QR relation, exponents of linear maps, of three chaotic toys, and of plain networks."""
    yield from _qr()
    yield from _linear()
    yield from _logistic_map()
    yield from _dissipation()
    yield from _plain_networks()


def _gram_schmidt(frame: Matrix) -> tuple[Matrix, Matrix]:
    """Q and R of a frame of two vectors."""
    first = frame[:, 0]
    r11 = sqrt(first.dot(first))
    q1 = first / r11
    r12 = q1.dot(frame[:, 1])
    rest = frame[:, 1] - r12 * q1
    r22 = sqrt(rest.dot(rest))
    return Matrix.hstack(q1, rest / r22), Matrix([[r11, r12], [0, r22]])


def _qr() -> Iterator[Statement]:
    a, b, c, d = symbols("a b c d", real=True)
    J = Matrix([[a, b], [c, d]])
    _, R = _gram_schmidt(J)
    yield Statement(
        label="qr-determinant",
        text=(
            "The QR method carries an orthonormal frame Q by each block and writes what comes out as an orthonormal "
            "frame times an upper triangular R, whose diagonal holds the stretching factors. Together they stretch "
            "volumes as the block does; for two vectors, with J = I + hA carrying the frame of the unit vectors,"
        ),
        left=r"(R_{11} R_{22})^2",
        derived=sympy.simplify(R[0, 0] ** 2 * R[1, 1] ** 2),
        closed_form=J.det() ** 2,
        right=r"(\det J)^2",
        source="benettin1980",
    )
    r, s = symbols("r11 r12 r22", positive=True), symbols("s11 s12 s22", positive=True)
    first, second = Matrix([[r[0], r[1]], [0, r[2]]]), Matrix([[s[0], s[1]], [0, s[2]]])
    yield Statement(
        label="qr-product",
        text=(
            "From block to block the triangular factors multiply, and with them the factors on their diagonals, so "
            "that the logarithms add up:"
        ),
        left=r"\mathrm{diag}(SR)",
        derived=ImmutableMatrix((second * first).diagonal()),
        closed_form=ImmutableMatrix([[r[0] * s[0], r[2] * s[2]]]),
        source="benettin1980",
    )
    delta = symbols("delta", real=True)
    parallel, across = J[:, 0], J[:, 1]
    # a second vector that is off by δ towards the first, and has length one
    skewed = (delta * parallel + across) / sqrt(1 + delta**2)
    _, off = _gram_schmidt(Matrix.hstack(parallel, skewed))
    yield Statement(
        label="qr-skewed-frame",
        text=(
            "Rounding leaves the vectors of a frame not quite orthogonal. Let the second one hold δ parts of the "
            "first. The next projection takes out the image of that part, whatever J is, and its stretching factor is "
            "off only by the length,"
        ),
        left=r"\left(\frac{R_{22}(\delta)}{R_{22}(0)}\right)^2",
        derived=sympy.simplify(off[1, 1] ** 2 / R[1, 1] ** 2),
        closed_form=1 / (1 + delta**2),
    )


def _linear() -> Iterator[Statement]:
    h = symbols("h", positive=True)
    a = symbols("a", real=True)
    yield Statement(
        label="exponent-euler-limit",
        text=(
            r"For a linear residual f = ax the network has the exponent :math:`\log|1 + ha|/h`, and its flow a. "
            "They agree in the limit of short steps,"
        ),
        left=r"\lim_{h\to 0}\frac{\log|1 + ha|}{h}",
        derived=sympy.limit(log(1 + h * a) / h, h, 0),
        closed_form=a,
    )
    yield Statement(
        label="exponent-euler-difference",
        text="and the network's is the smaller one by half the step times a², whatever the sign of a:",
        left=r"\frac{\log(1 + ha)}{h}",
        derived=sympy.series(log(1 + h * a) / h, h, 0, 2).removeO(),
        closed_form=a - h * a**2 / 2,
        right=r"a - \tfrac{1}{2}ha^2 + O(h^2)",
    )


def _logistic_map() -> Iterator[Statement]:
    u = symbols("u", positive=True)
    (f,) = logistic_map.SYSTEM.residual
    x, r = logistic_map.x, logistic_map.r
    image = sympy.factor(x + f)
    on_circle = sin(pi * u / 2) ** 2
    yield Statement(
        label="logistic-tent",
        text=(
            "At r = 4 the logistic map doubles an angle: with x = sin²(πu/2) its image is sin² of twice the angle. "
            "That is the tent map, u' = 2u for u ≤ ½ and 2 − 2u above (both have the same sin²):"
        ),
        left=r"x'\big(\sin^2\tfrac{\pi u}{2}\big)",
        derived=sympy.trigsimp(image.subs(r, 4).subs(x, on_circle)),
        closed_form=sin(pi * u) ** 2,
        source="ott2002",
    )
    density = 1 / (pi * sqrt(u * (1 - u)))
    angle = sympy.diff(2 / pi * sympy.asin(sqrt(u)), u)
    yield Statement(
        label="logistic-density",
        text="The tent map leaves the uniform density of u invariant. In x it is the arcsine density,",
        left=r"\rho(x) = \frac{du}{dx}",
        derived=angle.subs(u, x),
        closed_form=density.subs(u, x),
        source="ott2002",
    )
    yield Statement(
        label="logistic-slope",
        text="The slope of a block, in terms of u, is",
        left=r"4 - 8x",
        derived=sympy.diff(image.subs(r, 4), x).subs(x, on_circle),
        closed_form=4 * cos(pi * u),
        source="ott2002",
    )
    # |cos πu| runs twice through a quarter turn while u goes from 0 to 1
    quarter = sympy.Symbol("I")
    (log_cosine,) = sympy.solve(sympy.Eq(quarter, log(2) * pi / 2 + 2 * quarter), quarter)
    yield Statement(
        label="logistic-exponent",
        text=(
            "The exponent is the mean of its logarithm. Let I be the integral of log cos θ over a quarter turn, which "
            "is also that of log sin θ, and that of log sin 2θ. As sin 2θ = 2 sin θ cos θ, I = (π/2) log 2 + 2I, and so"
        ),
        left=r"\lambda = \int_0^1 \log|4\cos\pi u|\,du = \log 4 + \frac{2}{\pi} I",
        derived=log(4) + 2 / pi * log_cosine,
        closed_form=log(2),
        source="ott2002",
    )


def _dissipation() -> Iterator[Statement]:
    block = sympy.eye(2) + sympy.Matrix(henon.SYSTEM.jacobian)
    yield Statement(
        label="henon-exponents",
        text="A block of the Hénon map has the same determinant everywhere, so its exponents add up to",
        left=r"\lambda_1 + \lambda_2 = \log|\det(I + A)|",
        derived=log(-block.det()),
        closed_form=log(henon.b),
        source="henon1976",
    )
    yield Statement(
        label="lorenz-exponents",
        text="and those of the Lorenz flow to the trace of its Jacobian, which is constant too:",
        left=r"\lambda_1 + \lambda_2 + \lambda_3 = \mathrm{tr}\, A",
        derived=Matrix(lorenz.SYSTEM.jacobian).trace(),
        closed_form=-(lorenz.sigma + 1 + lorenz.beta),
        source="lorenz1963",
    )
    t = symbols("t", positive=True)
    A = Matrix(2, 2, symbols("a11 a12 a21 a22", real=True))
    V = Matrix(2, 2, [sympy.Function(f"v{i}{j}")(t) for i in (1, 2) for j in (1, 2)])
    moving = A * V
    derivative = sympy.diff(V.det(), t).subs({sympy.diff(V[i, j], t): moving[i, j] for i in range(2) for j in range(2)})
    yield Statement(
        label="liouville",
        text=(
            "For any flow volumes follow the trace (Liouville): if the frame V obeys the variational equation V̇ = AV, "
            "its volume det V grows at the rate"
        ),
        left=r"\frac{d}{dt}\det V",
        derived=sympy.expand(derivative),
        closed_form=sympy.expand(A.trace() * V.det()),
        right=r"\mathrm{tr}(A)\,\det V",
        source="hairer1993",
    )


def _plain_networks() -> Iterator[Statement]:
    w = Matrix(2, 2, symbols("w11 w12 w21 w22", real=True))
    slopes = symbols("g1 g2", real=True)
    h, lam, alpha = symbols("h lambda alpha", real=True)
    block = (1 - h * lam) * sympy.eye(2) + h * alpha * sympy.diag(*slopes) * w
    yield Statement(
        label="plain-determinant",
        text=(
            "A plain network, λ = h = α = 1 in the matrix family, has no identity in its blocks, and with the slopes "
            "g = φ'(Wx + b) of its units"
        ),
        left=r"\det\frac{\partial x_{k+1}}{\partial x_k}",
        derived=block.subs({h: 1, lam: 1, alpha: 1}).det(),
        closed_form=slopes[0] * slopes[1] * w.det(),
        right=r"g_1 g_2 \det W",
        source="yang2020",
    )
