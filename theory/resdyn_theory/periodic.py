"""Cycles of maps and flows: multipliers, return maps, and networks whose fixed points are cycles."""

from collections.abc import Iterator

import sympy
from sympy import ImmutableMatrix, Matrix, symbols

from resdyn_theory.symbolic import Statement
from resdyn_theory.systems import hopf, logistic_map


def statements() -> Iterator[Statement]:
    """What does not depend on where a cycle begins, counts, closed cycles, and derivatives of return maps."""
    yield from _products()
    yield from _logistic()
    yield from _damped()
    yield from _returns()


def _products() -> Iterator[Statement]:
    lam = symbols("lambda")
    first = Matrix(2, 2, symbols("a b c d", real=True))
    second = Matrix(2, 2, symbols("p q r s", real=True))
    yield Statement(
        label="cycle-multipliers",
        text=(
            "One round of a cycle multiplies a small perturbation by the product of its blocks :math:`J_k = I + "
            "hA(x_k)`. Where it begins does not matter for the multipliers, as two blocks in either order have the "
            "same characteristic polynomial (a longer cycle is two blocks, the first states and the rest):"
        ),
        left=r"\det(\lambda I - J_1 J_0)",
        derived=sympy.expand((lam * sympy.eye(2) - second * first).det()),
        closed_form=sympy.expand((lam * sympy.eye(2) - first * second).det()),
        right=r"\det(\lambda I - J_0 J_1)",
        source="strogatz2015, sec. 10.3",
    )
    zero = sympy.zeros(2, 2)
    cyclic = Matrix(sympy.BlockMatrix([[zero, second], [first, zero]]))
    yield Statement(
        label="cyclic-matrix",
        text=(
            "Long cycles have multipliers that differ by many powers of ten, and the product of the blocks loses the "
            "small ones. The matrix that holds the blocks around the cycle has all p-th roots of the multipliers as "
            "its eigenvalues, and loses none; for two blocks,"
        ),
        left=(r"\det\left(\lambda I - \begin{pmatrix} 0 & J_1 \\ J_0 & 0 \end{pmatrix}\right)"),
        derived=sympy.expand((lam * sympy.eye(4) - cyclic).det()),
        closed_form=sympy.expand((lam**2 * sympy.eye(2) - second * first).det()),
        right=r"\det(\lambda^2 I - J_1 J_0)",
    )


def _logistic() -> Iterator[Statement]:
    (x,), (r,) = logistic_map.SYSTEM.state, logistic_map.SYSTEM.defaults
    image = sympy.expand(x + logistic_map.SYSTEM.residual[0])
    root = sympy.sqrt((r - 3) * (r + 1))
    point = (r + 1 + root) / (2 * r)
    yield Statement(
        label="logistic-two-cycle",
        text="For r > 3 the logistic map has one 2-cycle, x± = (r + 1 ± √((r − 3)(r + 1)))/(2r), exchanged by it:",
        left=r"F(x_+)",
        derived=sympy.simplify(image.subs(x, point)),
        closed_form=(r + 1 - root) / (2 * r),
        source="strogatz2015, sec. 10.3",
    )
    slope = sympy.diff(image, x)
    yield Statement(
        label="logistic-two-cycle-multiplier",
        text="with the multiplier (stable up to r = 1 + √6)",
        left=r"F'(x_+)\, F'(x_-)",
        derived=sympy.simplify(slope.subs(x, point) * slope.subs(x, (r + 1 - root) / (2 * r))),
        closed_form=4 + 2 * r - r**2,
        source="strogatz2015, sec. 10.3",
    )
    angle = symbols("theta", real=True)
    yield Statement(
        label="logistic-doubling",
        text=(
            "At r = 4 the map doubles an angle, x = sin²θ. A state returns after p layers where 2\\ :sup:`p` θ = ± θ "
            "modulo π, so that there are 2\\ :sup:`p` such states, and :math:`\\tfrac1p\\sum_{q|p}\\mu(p/q)\\,2^q` "
            "prime cycles (μ of Möbius: 2, 1, 2, 3, 6, 9, 18, 30, …):"
        ),
        left=r"F(\sin^2\theta)",
        derived=image.subs(r, 4).subs(x, sympy.sin(angle) ** 2),
        closed_form=sympy.sin(2 * angle) ** 2,
        source="ott2002",
    )


def _damped() -> Iterator[Statement]:
    a, g = symbols("a g", real=True)
    y = symbols("y0:3", real=True)
    states = [sum(g * a**j / (1 - a**3) * y[(k - 1 - j) % 3] for j in range(3)) for k in range(3)]
    yield Statement(
        label="damped-cycle",
        text=(
            "Around a p-cycle of a damped network, :math:`x_{k+1} = ax_k + g\\,y_k` with :math:`y_k = \\varphi(Wx_k "
            "+ b)`, :math:`a = 1 - h\\lambda` and :math:`g = h\\alpha`, the states are sums of activations, "
            ":math:`x_k = \\sum_j g a^j y_{k-1-j} / (1 - a^p)`. So a p-cycle of N units is a fixed point of a "
            "network of pN. For p = 3, with these sums,"
        ),
        left=r"x_{k+1} - a x_k",
        derived=ImmutableMatrix([sympy.simplify(states[(k + 1) % 3] - a * states[k]) for k in range(3)]),
        closed_form=ImmutableMatrix([g * value for value in y]),
        right=r"g\, y_k",
    )


def _returns() -> Iterator[Statement]:
    n, f, v = (Matrix(symbols(f"{name}1:4", real=True)) for name in "nfv")
    tau = symbols("tau", real=True)
    moved = v + f * tau  # the end of the perturbed orbit, when the time of flight changes by τ
    (change,) = sympy.solve((n.T * moved)[0], tau)
    projector = sympy.eye(3) - f * n.T / (n.dot(f))
    yield Statement(
        label="poincare-derivative",
        text=(
            "A perturbation of a state on a section becomes :math:`v = D\\varphi\\,\\delta` at the return, and the "
            "orbit reaches the section a little earlier or later, so that it ends at :math:`v + f\\,\\delta\\tau` "
            "with :math:`n\\cdot(v + f\\,\\delta\\tau) = 0`:"
        ),
        left=r"v + f\,\delta\tau",
        derived=ImmutableMatrix(sympy.simplify(moved.subs(tau, change))),
        closed_form=ImmutableMatrix(sympy.simplify(projector * v)),
        right=r"\Bigl(I - \frac{f n^{\mathsf T}}{n\cdot f}\Bigr) v",
        source="guckenheimer1983, sec. 1.5",
    )
    yield Statement(
        label="poincare-along-the-flow",
        text="What moves along the flow is forgotten,",
        left=r"\Bigl(I - \frac{f n^{\mathsf T}}{n\cdot f}\Bigr) f",
        derived=ImmutableMatrix(sympy.simplify(projector * f)),
        closed_form=ImmutableMatrix.zeros(3, 1),
        source="guckenheimer1983, sec. 1.5",
    )
    t = symbols("t", real=True)
    (x, y), (mu, omega) = hopf.SYSTEM.state, hopf.SYSTEM.defaults
    m = symbols("mu", positive=True)
    orbit = {x: sympy.sqrt(m) * sympy.cos(omega * t), y: sympy.sqrt(m) * sympy.sin(omega * t)}
    velocity = Matrix(list(hopf.SYSTEM.residual)).subs({mu: m}).subs(orbit)
    along = Matrix(hopf.SYSTEM.jacobian).subs({mu: m}).subs(orbit) * velocity
    yield Statement(
        label="trivial-multiplier",
        text=(
            "The velocity itself solves the variational equation along any orbit, :math:`\\tfrac{d}{dt} f(x(t)) = "
            "A(x(t))\\, f(x(t))`. After one round of a cycle it is what it was, so one multiplier of a limit cycle "
            "is 1. On the cycle of the Hopf normal form,"
        ),
        left=r"\frac{d}{dt} f(x(t))",
        derived=ImmutableMatrix(sympy.simplify(sympy.diff(velocity, t))),
        closed_form=ImmutableMatrix(sympy.simplify(along)),
        right=r"A(x(t))\, f(x(t))",
        source="guckenheimer1983, sec. 1.5",
    )
