"""Singular values of a residual unit: the skip path's own value, and what few active units can change of it."""

from collections.abc import Iterator

import sympy
from sympy import ImmutableMatrix, Matrix, symbols

from resdyn_theory.symbolic import Statement

a, beta, lam, t = symbols("a beta lambda t", real=True)
u, v = Matrix(symbols("u1:4", real=True)), Matrix(symbols("v1:4", real=True))
h11, h12, h22 = symbols("h11 h12 h22", real=True)
H = Matrix([[h11, h12], [h12, h22]])
I2, O2 = sympy.eye(2), sympy.zeros(2)


def _middle(gram: Matrix) -> Matrix:
    """M, for a Gram matrix V Vᵀ."""
    p = gram.rows
    return Matrix(sympy.BlockMatrix([[sympy.zeros(p), sympy.eye(p)], [sympy.eye(p), gram]]))


def statements() -> Iterator[Statement]:
    """The Gram matrix as a change of rank 2p, its inertia, and one active unit in closed form."""
    yield from _change_of_low_rank()
    yield from _one_active_unit()
    yield from _after_the_activation()
    yield from _counting()


def _change_of_low_rank() -> Iterator[Statement]:
    J = a * sympy.eye(3) + u * v.T
    C = Matrix.hstack(a * v, u)
    yield Statement(
        label="unit-gram",
        text=(
            "Let one inner unit be active, with the row v before it and the column u behind it, and let nothing follow "
            "the addition. Then"
        ),
        left=r"JJ^{\mathsf T} = (aI + uv^{\mathsf T})(aI + uv^{\mathsf T})^{\mathsf T}",
        derived=ImmutableMatrix(J * J.T),
        closed_form=ImmutableMatrix(a**2 * sympy.eye(3) + C * _middle(Matrix([v.dot(v)])) * C.T),
        right=(
            r"a^2 I + C \begin{pmatrix} 0 & 1 \\ 1 & v^{\mathsf T}v \end{pmatrix} C^{\mathsf T}, "
            r"\qquad C = (a v,\; u)"
        ),
    )
    yield Statement(
        label="unit-middle-inverse",
        text=(
            r"With p active inner units, :math:`C = (a V^{\mathsf T}, U)` has 2p columns, and in the middle stands M "
            r"with :math:`H = VV^{\mathsf T}` in its lower right block. It is never singular; for p = 2,"
        ),
        left="M^{-1}",
        derived=ImmutableMatrix(_middle(H).inv()),
        closed_form=ImmutableMatrix(Matrix(sympy.BlockMatrix([[-H, I2], [I2, O2]]))),
        right=r"\begin{pmatrix} -H & I \\ I & 0 \end{pmatrix}",
    )
    L = Matrix(sympy.BlockMatrix([[I2, O2], [H / 2, I2]]))
    yield Statement(
        label="unit-middle-congruence",
        text="and it is congruent to a matrix with p eigenvalues 1 and p eigenvalues −1:",
        left=r"\begin{pmatrix} I & 0 \\ \frac12 H & I \end{pmatrix} \begin{pmatrix} 0 & I \\ I & 0 \end{pmatrix} "
        r"\begin{pmatrix} I & \frac12 H \\ 0 & I \end{pmatrix}",
        derived=ImmutableMatrix(L * _middle(O2) * L.T),
        closed_form=ImmutableMatrix(_middle(H)),
        right="M",
        source="horn2012, sec. 4.5",
    )


def _one_active_unit() -> Iterator[Statement]:
    J = a * sympy.eye(3) + u * v.T
    characteristic = (J * J.T - lam * sympy.eye(3)).det()
    uv, norms = u.dot(v), u.dot(u) * v.dot(v)
    mu = lam - a**2
    quadratic = mu**2 - (2 * a * uv + norms) * mu - a**2 * (norms - uv**2)
    yield Statement(
        label="unit-characteristic",
        text=(
            "One active unit moves two of the n squared singular values away from a², and leaves n − 2 where they are; "
            r"for n = 3, with :math:`\mu = \lambda - a^2`,"
        ),
        left=r"\det(JJ^{\mathsf T} - \lambda I)",
        derived=characteristic,
        closed_form=(a**2 - lam) * quadratic,
        right=(
            r"-\mu\,\Bigl[\mu^2 - \bigl(2a\,u^{\mathsf T}v + |u|^2|v|^2\bigr)\,\mu "
            r"- a^2\bigl(|u|^2|v|^2 - (u^{\mathsf T}v)^2\bigr)\Bigr]"
        ),
    )
    total, product = sympy.Poly(quadratic, lam).all_coeffs()[1:]
    yield Statement(
        label="unit-sides",
        text=(
            "The constant term of the bracket is the product of both moves, and by Cauchy's inequality it is not "
            "positive: one of the two lies above a², the other below, unless u and v are parallel,"
        ),
        left=r"(\sigma_+^2 - a^2)(\sigma_-^2 - a^2)",
        derived=sympy.expand(quadratic.subs(lam, a**2)),
        closed_form=-(a**2) * u.cross(v).dot(u.cross(v)),
        right=r"-a^2\bigl(|u|^2|v|^2 - (u^{\mathsf T}v)^2\bigr) \le 0",
    )
    determinant = a * (a + uv)
    yield Statement(
        label="unit-product",
        text=r"The determinant of J gives the product of the two singular values without their squares,",
        left=r"\sigma_+^2 \sigma_-^2 = \bigl(\det J / a\bigr)^2",
        derived=sympy.expand(product),
        closed_form=determinant**2,
        right=r"\bigl(a\,(a + u^{\mathsf T}v)\bigr)^2",
    )
    yield Statement(
        label="unit-spread",
        text=(
            r"so that, where :math:`a(a + u^{\mathsf T}v) \ge 0`, they are "
            r":math:`\sigma_\pm = \frac12\sqrt{4a(a + u^{\mathsf T}v) + |u|^2|v|^2} \pm \frac12|u||v|`. Their distance "
            "does not depend on the skip path at all, and it is proportional to the weights behind the activation:"
        ),
        left=r"(\sigma_+ - \sigma_-)^2 = \sigma_+^2 + \sigma_-^2 - 2\sigma_+\sigma_-",
        derived=sympy.expand(-total - 2 * determinant),
        closed_form=norms,
        right=r"|u|^2|v|^2",
    )


def _after_the_activation() -> Iterator[Statement]:
    keep = sympy.diag(1, 1, 0)
    J = keep * (a * sympy.eye(3) + u * v.T)
    C = (keep * Matrix.hstack(a * v, u))[:2, :]
    gram = (J * J.T)[:2, :2]
    yield Statement(
        label="unit-after",
        text=(
            "After a ReLU behind the addition J loses the rows where that is off. With s of n rows left, the last "
            "n − s singular values are zero, and on the rows S that are left the Gram matrix has the same form, with "
            r"the rows of C in S and with H as before. For n = 3, s = 2,"
        ),
        left=r"(JJ^{\mathsf T})_S",
        derived=ImmutableMatrix(gram),
        closed_form=ImmutableMatrix(a**2 * sympy.eye(2) + C * _middle(Matrix([v.dot(v)])) * C.T),
        right=r"a^2 I_S + C_S M C_S^{\mathsf T}, \qquad C_S = (a V_S^{\mathsf T},\; U_S)",
    )


def _counting() -> Iterator[Statement]:
    J = a * sympy.eye(3) + u * v.T
    C = Matrix.hstack(a * v, u)
    middle = _middle(Matrix([v.dot(v)]))
    N = middle.inv() + C.T * C / (a**2 - t**2)
    yield Statement(
        label="unit-determinant",
        text=(
            r"For counts, :math:`JJ^{\mathsf T} - t^2` is never formed either. It is singular where a matrix of order "
            "2p is; for n = 3, p = 1,"
        ),
        left=r"\det(JJ^{\mathsf T} - t^2 I)",
        derived=(J * J.T - t**2 * sympy.eye(3)).det(),
        closed_form=(a**2 - t**2) ** 3 * middle.det() * N.det(),
        right=(r"(a^2 - t^2)^n\, \det M\; \det\Bigl(M^{-1} + \frac{1}{a^2 - t^2}\,C^{\mathsf T}C\Bigr)"),
        source="horn2012, sec. 0.8.5",
    )
