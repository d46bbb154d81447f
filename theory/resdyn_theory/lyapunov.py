"""Lyapunov functions of the matrix family in closed form: what they change by along the flow and by the map."""

from collections.abc import Iterator

import sympy
from sympy import Function, ImmutableMatrix, Matrix, Rational, diag, exp, log, sqrt, symbols

from resdyn_theory.activations import logistic, z
from resdyn_theory.symbolic import Statement

N = 2
h, lam, alpha, L = symbols("h lambda alpha L", positive=True)
d = symbols(f"d1:{N + 1}", positive=True)
u = Matrix(symbols(f"u1:{N + 1}", real=True))
b = Matrix(symbols(f"b1:{N + 1}", real=True))
delta = Matrix(symbols(f"delta1:{N + 1}", real=True))
D = diag(*d)
M = Matrix(N, N, symbols([f"m{i}{j}" for i in range(1, N + 1) for j in range(1, N + 1)], real=True))
S = Matrix([[sympy.Symbol("s11", real=True), sympy.Symbol("s12", real=True)],
            [sympy.Symbol("s12", real=True), sympy.Symbol("s22", real=True)]])  # fmt: skip
phi, Phi = symbols("phi Phi", cls=Function)


def _symmetric_part(matrix: Matrix) -> Matrix:
    return (matrix + matrix.T) / 2


def _form(matrix: Matrix, vector: Matrix) -> sympy.Expr:
    return sympy.expand((vector.T * matrix * vector)[0])


def statements() -> Iterator[Statement]:
    """Energies, potentials, contraction, quadratic forms; two units where the number does not matter."""
    yield from _closure()
    yield from _energy()
    yield from _potential()
    yield from _damped()
    yield from _contraction()
    yield from _quadratic()
    yield from _second_derivatives()
    yield from _without_cancellation()


def _closure() -> Iterator[Statement]:
    x = Matrix(symbols(f"x1:{N + 1}", real=True))
    W = Matrix(N, N, symbols("w11 w12 w21 w22", real=True))
    preactivation = W * x + b
    after = W * ((1 - h * lam) * x + h * alpha * preactivation.applyfunc(phi)) + b
    own = preactivation + h * (-lam * (preactivation - b) + alpha * W * preactivation.applyfunc(phi))
    yield Statement(
        label="preactivations-close",
        text=(
            "Write u = Wx + b and M = αW. The pre-activations of x' = (1 − hλ)x + hαφ(Wx + b) obey a map of their own, "
            "so a function of u is a function of the state of the network:"
        ),
        left="Wx' + b",
        derived=ImmutableMatrix(after),
        closed_form=ImmutableMatrix(own),
        right=r"u + h\bigl(-\lambda(u - b) + M\varphi(u)\bigr)",
    )


def _flow(weights: Matrix) -> Matrix:
    return -lam * (u - b) + weights * u.applyfunc(phi)


def _energy() -> Iterator[Statement]:
    """DM = S symmetric: M = D⁻¹S in what follows."""
    y = u.applyfunc(phi)
    entropy = sum(d[i] * (u[i] * phi(u[i]) - Phi(u[i]) - b[i] * phi(u[i])) for i in range(N))
    energy = -_form(S, y) / 2 + lam * entropy
    velocity = _flow(D.inv() * S)
    slopes = [sympy.diff(phi(ui), ui) for ui in u]
    gradient = Matrix([sympy.diff(energy, ui).subs(sympy.diff(Phi(ui), ui), phi(ui)) for ui in u])
    yield Statement(
        label="energy-gradient",
        text=(
            "**Energies.** Let φ be increasing, Φ' = φ, y = φ(u), and S = DM symmetric for some diagonal D > 0. The "
            r"energy :math:`V = -\tfrac12 y^{\mathsf T}Sy + \lambda\sum_i d_i(u_iy_i - \Phi(u_i) - b_iy_i)`, in which "
            r":math:`uy - \Phi(u) = \int^y\varphi^{-1}`, has the gradient"
        ),
        left=r"\frac{\partial V}{\partial u_i}",
        derived=ImmutableMatrix(gradient),
        closed_form=ImmutableMatrix([-d[i] * slopes[i] * velocity[i] for i in range(N)]),
        right=r"-d_i\,\varphi'(u_i)\,\dot u_i",
        source="cohen1983",
    )
    yield Statement(
        label="energy-rate",
        text=(
            "so along the flow it cannot increase. Without damping this is the gradient form, with damping the energy "
            "of Hopfield:"
        ),
        left=r"\dot V",
        derived=(gradient.T * velocity)[0],
        closed_form=-sum(d[i] * slopes[i] * velocity[i] ** 2 for i in range(N)),
        right=r"-\sum_i d_i\,\varphi'(u_i)\,\dot u_i^2",
        source="hopfield1984",
    )
    yield from _energy_of_the_map()


def _energy_of_the_map() -> Iterator[Statement]:
    before = Matrix(symbols(f"y1:{N + 1}", real=True))
    after = Matrix(symbols(f"yp1:{N + 1}", real=True))
    F, G = symbols(f"F1:{N + 1}", real=True), symbols(f"G1:{N + 1}", real=True)
    velocity = -lam * (u - b) + D.inv() * S * before
    later = u + h * velocity

    def energy(state: Matrix, output: Matrix, integral: tuple[sympy.Symbol, ...]) -> sympy.Expr:
        entropy = sum(d[i] * (state[i] * output[i] - integral[i] - b[i] * output[i]) for i in range(N))
        return -_form(S, output) / 2 + lam * entropy

    change = after - before
    gap = [F[i] - G[i] - after[i] * (u[i] - later[i]) for i in range(N)]
    yield Statement(
        label="energy-change",
        text=(
            r"One block of the map changes it, with :math:`\Delta u = h\dot u` and "
            r":math:`g_i = \Phi(u_i) - \Phi(u_i') - \varphi(u_i')(u_i - u_i') \ge 0`, by exactly"
        ),
        left=r"\Delta V",
        derived=energy(later, after, G) - energy(u, before, F),
        closed_form=sum(d[i] * (lam * gap[i] - velocity[i] * change[i]) for i in range(N)) - _form(S, change) / 2,
        right=(
            r"-\frac1h\sum_i d_i\,\Delta u_i\Delta y_i + \lambda\sum_i d_i g_i "
            r"- \tfrac12\Delta y^{\mathsf T}S\Delta y"
        ),
    )
    square = sympy.Symbol("q", nonnegative=True)  # Δy²
    product = square / L
    yield Statement(
        label="energy-step",
        text=(
            r"Let slopes of φ be at most L. Then :math:`\Delta u\Delta y \ge \Delta y^2/L` and "
            r":math:`g \le \Delta u\Delta y - \Delta y^2/(2L)`, because the conjugate of Φ is strongly convex with "
            "constant 1/L. If hλ ≤ 1, the factor of ΔuΔy is not positive, and of each unit there remains at most"
        ),
        left=r"-\left(\tfrac1h - \lambda\right)\frac{\Delta y^2}{L} - \lambda\frac{\Delta y^2}{2L}",
        derived=-(1 / h - lam) * product - lam * square / (2 * L),
        closed_form=-Rational(1, 2) * (2 - h * lam) / (h * L) * square,
        right=r"-\frac12\,\frac{2 - h\lambda}{hL}\,\Delta y^2",
        source="marcus1989",
    )
    yield Statement(
        label="energy-step-condition",
        text=(
            r"Hence V does not increase along the map if hλ ≤ 1 and :math:`S + \tfrac{2 - h\lambda}{hL}D \succeq 0`. "
            "For undamped logistic units, L = 1/4, the factor of D is"
        ),
        left=r"\frac{2 - h\lambda}{hL}\bigg|_{\lambda = 0,\ L = 1/4}",
        derived=((2 - h * lam) / (h * L)).subs({lam: 0, L: Rational(1, 4)}),
        closed_form=8 / h,
    )


def _potential() -> Iterator[Statement]:
    """No damping: y − y* = δ, u̇ = My."""
    target = Matrix(symbols(f"y1:{N + 1}", real=True))
    drive = M * target
    velocity = M * (target + delta)
    yield Statement(
        label="potential-rate",
        text=(
            "**Potentials.** Without damping let y* be an equilibrium of the residuals: each unit has (My*)_i = 0, or "
            "it is saturated and driven towards its bound. Put δ = y − y*. Along the flow the potential "
            r":math:`V = \sum_i d_i(\Phi(u_i) - y_i^*u_i)` changes at the rate"
        ),
        left=r"\dot V = \sum_i d_i\delta_i\dot u_i",
        derived=sympy.expand(sum(d[i] * delta[i] * velocity[i] for i in range(N))),
        closed_form=_form(_symmetric_part(D * M), delta) + sum(d[i] * delta[i] * drive[i] for i in range(N)),
        right=r"\delta^{\mathsf T}\tfrac12(DM + M^{\mathsf T}D)\,\delta + \sum_i d_i\delta_i(My^*)_i",
        source="goh1977",
    )
    c, r, size = symbols("c r s", positive=True)
    yield Statement(
        label="saturated-push",
        text=(
            r"No term of the last sum is positive. If a unit is driven with strength :math:`c = |(My^*)_i|` and the "
            r"range of φ has the width r, its term :math:`-d_ic|\delta_i|` is even below "
            r":math:`-d_i\tfrac cr\delta_i^2`, since"
        ),
        left=r"-c|\delta| + \tfrac cr\delta^2",
        derived=-c * size + c / r * size**2,
        closed_form=-c / r * size * (r - size),
        right=r"-\tfrac cr|\delta|\,(r - |\delta|)",
    )
    motion = M * delta
    bound = sum(d[i] * (delta[i] * h * motion[i] + L / 2 * h**2 * motion[i] ** 2) for i in range(N))
    certified = _symmetric_part(D * M) + h * L / 2 * M.T * D * M
    yield Statement(
        label="potential-change",
        text=(
            "So V does not increase along the flow if the symmetric part of D(M − diag(c/r)) is negative semidefinite, "
            "with c = 0 for the units that are not saturated. For y* = 0 it can be definite, and then y tends to 0. "
            "About another equilibrium of logistic units it cannot, for V stands still at y = 0 as well. But V is "
            "infinite there: an orbit from the interior accumulates only where V is finite and stands still, so each "
            "driven "
            "unit has arrived at its bound, and if the matrix is definite on the other units, they have arrived too."
            "\n\n"
            "For the map, slopes of at most L give "
            r":math:`\Phi(u + \Delta u) \le \Phi(u) + \varphi(u)\Delta u + \tfrac L2\Delta u^2`, and where My* = 0 "
            "one block changes V by at most"
        ),
        left=r"\sum_i d_i\left(\delta_i\Delta u_i + \tfrac L2\Delta u_i^2\right)",
        derived=sympy.expand(bound),
        closed_form=h * _form(certified, delta),
        right=r"h\,\delta^{\mathsf T}\left(\tfrac12(DM + M^{\mathsf T}D) + \tfrac{hL}{2}M^{\mathsf T}DM\right)\delta",
    )
    J = sympy.eye(N) + h * L * M
    yield Statement(
        label="potential-change-is-schur",
        text=(
            "That matrix is negative definite exactly where the steepest block, J = I + hLM, shortens lengths in the "
            "norm of D:"
        ),
        left=r"J^{\mathsf T}DJ - D",
        derived=ImmutableMatrix(J.T * D * J - D),
        closed_form=ImmutableMatrix(2 * h * L * certified),
        right=r"2hL\left(\tfrac12(DM + M^{\mathsf T}D) + \tfrac{hL}{2}M^{\mathsf T}DM\right)",
        source="kaszkurewicz2000",
    )


def _damped() -> Iterator[Statement]:
    """The potential about the fixed point u* of a damped flow, in e = u − u* and δ = φ(u) − φ(u*)."""
    e = Matrix(symbols(f"e1:{N + 1}", real=True))
    velocity = -lam * e + M * delta
    left_over = sum(d[i] * delta[i] * (e[i] - delta[i] / L) for i in range(N))
    yield Statement(
        label="damped-potential-rate",
        text=(
            "**Damping.** About a fixed point u* of the damped flow let e = u − u*, so that "
            r":math:`\dot u = -\lambda e + M\delta`. The potential, now "
            r":math:`\sum_i d_i(\Phi(u_i) - \Phi(u_i^*) - y_i^*e_i) \ge 0`, changes at the rate"
        ),
        left=r"\dot V = \sum_i d_i\delta_i\dot u_i",
        derived=sympy.expand(sum(d[i] * delta[i] * velocity[i] for i in range(N))),
        closed_form=_form(_symmetric_part(D * (M - lam / L * sympy.eye(N))), delta) - lam * left_over,
        right=(
            r"\delta^{\mathsf T}\tfrac12\left(D(M - \tfrac\lambda LI) + (\cdot)^{\mathsf T}\right)\delta "
            r"- \lambda\sum_i d_i\delta_i\left(e_i - \tfrac{\delta_i}{L}\right)"
        ),
        source="forti1995",
    )


def _contraction() -> Iterator[Statement]:
    slope = diag(*symbols(f"s1:{N + 1}", real=True))
    middle = sympy.Symbol("m", real=True)
    one = sympy.eye(N)
    yield Statement(
        label="layer-split",
        text=(
            "The last sum is not negative, since δ has the sign of e and at most L times its size. If the matrix is "
            "negative definite, δ tends to 0, and with it e.\n\n"
            "**Contraction.** The difference of two states after one layer is the difference before, multiplied by a "
            r"matrix :math:`(1 - h\lambda)I + h\Sigma M` with diagonal Σ (for M = αW), whose entries lie between the "
            "least and the greatest slope of φ. With m the middle of this interval and r half its length,"
        ),
        left=r"(1 - h\lambda)I + h\Sigma M",
        derived=ImmutableMatrix((1 - h * lam) * one + h * slope * M),
        closed_form=ImmutableMatrix(((1 - h * lam) * one + h * middle * M) + h * (slope - middle * one) * M),
        right=r"\left((1 - h\lambda)I + hmM\right) + h(\Sigma - mI)M",
        source="buehner2006",
    )


def _quadratic() -> Iterator[Statement]:
    P = Matrix([[sympy.Symbol("p11"), sympy.Symbol("p12")], [sympy.Symbol("p12"), sympy.Symbol("p22")]])
    A = Matrix(N, N, symbols("a11 a12 a21 a22", real=True))
    g = Matrix(symbols(f"g1:{N + 1}", real=True))
    yield Statement(
        label="quadratic-rate",
        text=(
            r"In the norm :math:`\|x\|_D = (x^{\mathsf T}Dx)^{1/2}` a diagonal matrix has the size of its largest "
            r"entry, so a layer contracts if :math:`\|(1 - h\lambda)I + hmM\|_D + hr\|M\|_D < 1`. If the least slope "
            r"is 0, then m = r = L/2, and by the triangle inequality :math:`|1 - h\lambda| + hL\|M\|_D < 1` is enough."
            "\n\n"
            r"**Quadratic forms.** Near a fixed point let :math:`\dot\delta = A\delta + g(\delta)`. Then "
            r":math:`V = \delta^{\mathsf T}P\delta` changes at the rate"
        ),
        left=r"\dot V",
        derived=sympy.expand(2 * (delta.T * P * (A * delta + g))[0]),
        closed_form=_form(P * A + A.T * P, delta) + sympy.expand(2 * (delta.T * P * g)[0]),
        right=r"\delta^{\mathsf T}(PA + A^{\mathsf T}P)\delta + 2\delta^{\mathsf T}Pg",
        source="khalil2002, sec. 4.3",
    )
    after = A * delta + g
    yield Statement(
        label="quadratic-change",
        text="and along the map δ' = Jδ + g(δ) by",
        left=r"\Delta V",
        derived=sympy.expand((after.T * P * after)[0] - _form(P, delta)),
        closed_form=_form(A.T * P * A - P, delta) + sympy.expand((2 * g.T * P * A * delta + g.T * P * g)[0]),
        right=r"\delta^{\mathsf T}(J^{\mathsf T}PJ - P)\delta + 2g^{\mathsf T}PJ\delta + g^{\mathsf T}Pg",
        source="khalil2002, sec. 4.3",
    )


def _second_derivatives() -> Iterator[Statement]:
    y = sympy.Symbol("y", positive=True)
    bend = y * (1 - y) * (1 - 2 * y)
    steepest = max(sympy.solve(sympy.diff(bend, y), y), key=lambda root: bend.subs(y, root))
    yield Statement(
        label="logistic-curvature-bound",
        text=(
            "The first matrix is −I by the choice of P, and g is small of second order: each of its terms is bounded "
            r"by :math:`|\varphi''|` times the squares of deviations. Those are at most "
            r":math:`(a^{\mathsf T}\delta)^2 \le V\,a^{\mathsf T}P^{-1}a`, so on V ≤ c the terms with g take away a "
            r"share of the decrease that grows with :math:`\sqrt c`; the region proven ends where it reaches the "
            "whole. For the logistic function"
        ),
        left=r"\max|\sigma''|",
        derived=bend.subs(y, steepest),
        closed_form=1 / (6 * sqrt(3)),
    )
    t = sympy.Symbol("t", real=True)
    tanh_bend = sympy.diff(sympy.tanh(z), z, 2).subs(sympy.tanh(z), t)
    top = max(sympy.solve(sympy.diff(tanh_bend, t), t), key=lambda root: tanh_bend.subs(t, root))
    yield Statement(
        label="tanh-curvature-bound",
        text="and for tanh",
        left=r"\max|\tanh''|",
        derived=tanh_bend.subs(t, top),
        closed_form=4 / (3 * sqrt(3)),
    )
    q, eta, shift = symbols("q eta delta", real=True)
    rate = (y + shift) * (1 - y - shift) * (q + eta)
    yield Statement(
        label="residual-flow-remainder",
        text=(
            "The closed flow of logistic residuals is a polynomial. At an equilibrium y with q = (Wy)_i, a deviation δ "
            "of unit i and η = (Wδ)_i, what is not linear in the deviations is"
        ),
        left=r"(y + \delta)(1 - y - \delta)(q + \eta) - y(1 - y)(q + \eta) - (1 - 2y)q\delta",
        derived=rate - y * (1 - y) * (q + eta) - (1 - 2 * y) * q * shift,
        closed_form=(1 - 2 * y) * shift * eta - shift**2 * (q + eta),
    )
    v = sympy.Symbol("v", real=True)
    step = y * exp(v) / (1 - y + y * exp(v))
    yield Statement(
        label="residual-map-curvature",
        text="and the map, y' = G(y, v) with v = h(Wy)_i, has the second derivatives",
        left=r"\left.\begin{matrix}G_{yy}\\ G_{yv}\end{matrix}\right.",
        derived=ImmutableMatrix([sympy.diff(step, y, 2), sympy.diff(step, y, v)]),
        closed_form=ImmutableMatrix(
            [
                -2 * exp(v) * (exp(v) - 1) / (1 - y + y * exp(v)) ** 3,
                exp(v) * (1 - y - y * exp(v)) / (1 - y + y * exp(v)) ** 3,
            ]
        ),
    )
    yield Statement(
        label="residual-map-curvature-v",
        text="The third one is that of the logistic function,",
        left="G_{vv}",
        derived=sympy.diff(step, v, 2),
        closed_form=(step * (1 - step) * (1 - 2 * step)),
        right="G(1 - G)(1 - 2G)",
    )


def _without_cancellation() -> Iterator[Statement]:
    e = sympy.Symbol("e", real=True)
    yield Statement(
        label="logistic-increment",
        text=(
            r"The denominator lies between 1 and :math:`e^v`, so for :math:`|v| \le a` these are at most "
            r":math:`2e^{2a} - 2e^a`, :math:`e^a` and :math:`1/(6\sqrt3)`."
            "\n\n"
            "**Without loss of digits.** Changes of V are small differences of large numbers. Three identities give "
            "them term by term. For the increments of the logistic function,"
        ),
        left=r"\sigma(u + e) - \sigma(u)",
        derived=logistic.subs(z, z + e) - logistic,
        closed_form=logistic.subs(z, z + e) * logistic.subs(z, -z) * (1 - exp(-e)),
        right=r"\sigma(u + e)\,\sigma(-u)\,(1 - e^{-e})",
    )
    yield Statement(
        label="softplus-increment",
        text="for those of its integral,",
        left=r"\frac{1 + e^{u + e}}{1 + e^u}",
        derived=(1 + exp(z + e)) / (1 + exp(z)),
        closed_form=1 + logistic * (exp(e) - 1),
        right=r"1 + \sigma(u)(e^e - 1)",
    )
    odds = sympy.Symbol("p", positive=True)  # (1 − y)/y
    output, state = 1 / (1 + odds), -log(odds)
    yield Statement(
        label="softplus-conjugate",
        text="whose conjugate is the negative entropy. With p = (1 − y)/y, so that y = 1/(1 + p) and u = −log p,",
        left=r"uy - \log(1 + e^u)",
        derived=sympy.expand_log(state * output - log((1 + odds) / odds)),
        closed_form=sympy.expand_log(output * log(output) + (1 - output) * log(odds / (1 + odds))),
        right=r"y\log y + (1 - y)\log(1 - y)",
    )
