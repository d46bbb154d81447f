"""Chaos indicators, covariant vectors, and the windows of orbit diagrams."""

from collections.abc import Iterator

import sympy
from sympy import ImmutableMatrix, Matrix, cos, sin, sqrt, symbols

from resdyn_theory.symbolic import Statement
from resdyn_theory.systems import logistic_map


def statements() -> Iterator[Statement]:
    """Alignment indices, coordinates of covariant vectors, and the logistic map as a parameter changes."""
    yield from _alignment()
    yield from _covariant()
    yield from _windows()


def _alignment() -> Iterator[Statement]:
    theta = symbols("theta", positive=True)
    difference = Matrix([1, 0]) - Matrix([cos(theta), sin(theta)])
    yield Statement(
        label="sali-from-gali",
        text=(
            "Of two vectors of length one at an angle θ up to a right angle, GALI_2 is the area, g = sin θ. The SALI "
            "is the length of their difference, and both say the same:"
        ),
        left=r"\mathrm{SALI}^2 = \|w_1 - w_2\|^2",
        derived=difference.dot(difference),
        closed_form=2 * sin(theta) ** 2 / (1 + cos(theta)),
        right=r"\frac{2g^2}{1 + \sqrt{1 - g^2}}",
        source="skokos2007",
    )
    c = symbols("c11 c12 c22 c13 c23 c33", real=True)
    C = Matrix([[c[0], c[1], c[3]], [0, c[2], c[4]], [0, 0, c[5]]])
    yield Statement(
        label="gali-triangular",
        text=(
            "Vectors with coordinates C in an orthonormal frame, upper triangular, span a volume that needs no "
            "orthogonalisation; it is the product of the diagonal,"
        ),
        left=r"\mathrm{GALI}_3^2 = \det(C^T C)",
        derived=sympy.expand((C.T * C).det()),
        closed_form=sympy.expand((c[0] * c[2] * c[5]) ** 2),
        right=r"(c_{11}c_{22}c_{33})^2",
        source="skokos2007",
    )
    mu, nu = symbols("mu nu", positive=True)
    n = symbols("n", integer=True, positive=True)
    V = sympy.diag(mu**n, nu**n) * Matrix([[1, 1], [1, -1]])
    yield Statement(
        label="gali-linear",
        text=(
            "A linear map with multipliers μ and ν along the axes carries the vectors (1, 1) and (1, −1) in n layers "
            "to an angle whose sine is"
        ),
        left=r"\mathrm{GALI}_2(n)",
        derived=sympy.simplify(-V.det() / sqrt(V[:, 0].dot(V[:, 0]) * V[:, 1].dot(V[:, 1]))),
        closed_form=2 * mu**n * nu**n / (mu ** (2 * n) + nu ** (2 * n)),
        source="skokos2001",
    )
    u, v = symbols("u v", positive=True)
    W = Matrix(3, 3, symbols("w11 w12 w13 w21 w22 w23 w31 w32 w33", positive=True))
    carried = sympy.diag(1, u, v) * W
    lengths = sympy.prod([carried[:, j].dot(carried[:, j]) for j in range(3)])
    yield Statement(
        label="gali-rate",
        text=(
            "In general, along directions with exponents λ₁ > λ₂ > λ₃, all vectors w grow like the first one, and the "
            r"volume by all of them. With :math:`u = e^{-(\lambda_1 - \lambda_2)t}` and "
            r":math:`v = e^{-(\lambda_1 - \lambda_3)t}`, both of which tend to 0, GALI_3 is uv times a number that "
            "tends to a limit. So it falls at the rate (λ₁ − λ₂) + (λ₁ − λ₃), and GALI_k at the sum of k − 1 such "
            "differences:"
        ),
        left=r"\lim_{u, v\to 0}\Big(\frac{\mathrm{GALI}_3}{uv}\Big)^2",
        derived=sympy.cancel(carried.det() ** 2 / (u * v) ** 2 / lengths).subs({u: 0, v: 0}),
        closed_form=W.det() ** 2 / (W[0, 0] * W[0, 1] * W[0, 2]) ** 2,
        right=r"\Big(\frac{\det W}{w_{11}w_{12}w_{13}}\Big)^2",
        source="skokos2007",
    )


def _covariant() -> Iterator[Statement]:
    alpha, beta = symbols("alpha beta", real=True)
    r11, r22 = symbols("r11 r22", positive=True)
    r12, s = symbols("r12 s", real=True)
    d1, d2 = symbols("d1 d2", positive=True)

    def frame(angle: sympy.Symbol) -> Matrix:
        return Matrix([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])

    R, D = Matrix([[r11, r12], [0, r22]]), sympy.diag(d1, d2)
    Q, after = frame(alpha), frame(beta)
    block = after * R * Q.T  # what carries Q to Q' R
    C = Matrix([[1, s], [0, 1]])
    yield Statement(
        label="covariant-coordinates",
        text=(
            "Let a block J = I + hA carry an orthonormal frame Q to Q'R, and let V = QC. The frame V' = Q'C' with "
            ":math:`C' = RCD^{-1}` is then what J makes of V, up to the lengths D: coordinates are carried by the "
            "triangular factors alone,"
        ),
        left=r"J V - V' D",
        derived=ImmutableMatrix(sympy.simplify(block * Q * C - after * (R * C * D.inv()) * D)),
        closed_form=ImmutableMatrix(sympy.zeros(2, 2)),
        source="ginelli2007",
    )
    back = R.inv() * Matrix([s, 1])
    ratio = sympy.simplify(back[0] / back[1])
    limit = -r12 / (r11 - r22)
    yield Statement(
        label="covariant-direction",
        text=(
            "For a fixed point R is the same in every layer. The second covariant vector is then an eigenvector of it, "
            "not of length one here, with the smaller stretching factor:"
        ),
        left=r"R\begin{pmatrix}s^*\\1\end{pmatrix},\quad s^* = -\frac{r_{12}}{r_{11} - r_{22}}",
        derived=ImmutableMatrix(sympy.simplify(R * Matrix([limit, 1]))),
        closed_form=ImmutableMatrix([r22 * limit, r22]),
        right=r"r_{22}\begin{pmatrix}s^*\\1\end{pmatrix}",
        source="ginelli2007",
    )
    yield Statement(
        label="covariant-convergence",
        text=(
            "Backward, coordinates (s, 1) become those of the same direction with s' = (r₂₂ s − r₁₂)/r₁₁, whose "
            "distance to s* shrinks by the ratio of the two factors, in each layer, and so at the difference of the "
            "exponents:"
        ),
        left=r"s' - s^*",
        derived=sympy.simplify(ratio - limit),
        closed_form=r22 / r11 * (s - limit),
        right=r"\frac{r_{22}}{r_{11}}(s - s^*)",
        source="ginelli2007",
    )


def _windows() -> Iterator[Statement]:
    (f,) = logistic_map.SYSTEM.residual
    x, r = logistic_map.x, logistic_map.r
    image = sympy.expand(x + f)
    second = sympy.expand(image.subs(x, image))
    yield Statement(
        label="logistic-superstable",
        text=(
            "A cycle through ½, where the slope vanishes, has the multiplier 0: it is superstable. The fixed point is "
            "at r = 2, the 2-cycle at the positive root of r² − 2r − 4, 1 + √5, because"
        ),
        left=r"F^2\big(\tfrac12\big) - \tfrac12",
        derived=sympy.expand(second.subs(x, sympy.Rational(1, 2)) - sympy.Rational(1, 2)),
        closed_form=-(r - 2) * (r**2 - 2 * r - 4) / 16,
        source="feigenbaum1978",
    )
    third = sympy.expand(image.subs(x, second))
    cycles = sympy.Poly(sympy.cancel((third - x) / (image - x)), x)
    yield Statement(
        label="logistic-period-three",
        text=(
            "Points of 3-cycles are the roots of (F³(x) − x)/(F(x) − x), a polynomial of degree six. They appear in "
            "pairs where its discriminant vanishes. The only real positive root is r = 1 + √8, where the window of "
            "period 3 opens:"
        ),
        left=r"\mathrm{disc}_x\,\frac{F^3(x) - x}{F(x) - x}",
        derived=sympy.factor(cycles.discriminant()),
        closed_form=r**30 * (r**2 - 5 * r + 7) ** 2 * (r**2 - 2 * r - 7) ** 3 * (r**2 + r + 1) ** 2,
        source="strogatz2015, sec. 10.4",
    )
