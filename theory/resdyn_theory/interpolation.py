"""The damped and interpolated networks: x' = (1 − hλ) x + h α φ(W x + b)."""

from collections.abc import Iterator

import sympy
from sympy import Function, ImmutableMatrix, Matrix, Rational, symbols

from resdyn_theory.activations import logistic, z
from resdyn_theory.symbolic import Statement

x, h, lam, alpha = symbols("x h lambda alpha", real=True)
phi = Function("phi")


def damped_map(state: Matrix, weights: Matrix, bias: Matrix, damping: sympy.Expr, gain: sympy.Expr) -> Matrix:
    """One layer of the matrix family."""
    preactivation = weights * state + bias
    return (1 - h * damping) * state + h * gain * preactivation.applyfunc(phi)


def statements() -> Iterator[Statement]:
    """Special members of the family, the Jacobian of a layer, and the exponential map."""
    g = Function("g")(x)

    def layer(damping: sympy.Expr, gain: sympy.Expr) -> sympy.Expr:
        return (1 - h * damping) * x + h * gain * g

    yield Statement(
        label="damped-is-euler",
        text="One layer is one Euler step of the damped flow ẋ = −λx + α g(x), with g(x) = φ(Wx + b):",
        left=r"x_{k+1}",
        derived=layer(lam, alpha),
        closed_form=x + h * (-lam * x + alpha * g),
        source="yang2020",
    )
    yield Statement(
        label="no-damping-is-resnet",
        text="Without damping it is the residual network,",
        left=r"x_{k+1}\big|_{\lambda = 0,\ \alpha = 1,\ h = 1}",
        derived=layer(sympy.S.Zero, sympy.S.One).subs(h, 1),
        closed_form=x + g,
        source="yang2020",
    )
    yield Statement(
        label="full-damping-is-plain",
        text="with full damping the plain network: the skip connection is gone,",
        left=r"x_{k+1}\big|_{\lambda = 1,\ \alpha = 1,\ h = 1}",
        derived=layer(sympy.S.One, sympy.S.One).subs(h, 1),
        closed_form=g,
        source="yang2020",
    )
    yield Statement(
        label="lambda-interpolated-end",
        text="and in the λ-interpolated network, where α = 1 + λ, twice that:",
        left=r"x_{k+1}\big|_{\lambda = 1,\ \alpha = 2,\ h = 1}",
        derived=layer(lam, 1 + lam).subs({lam: 1, h: 1}),
        closed_form=2 * g,
        source="yang2020",
    )
    yield from _jacobian()
    yield from _adjoint()
    yield from _exponential()
    yield from _stable_steps()
    yield from _contraction()
    yield from _two_cycle()


def _jacobian() -> Iterator[Statement]:
    """The Jacobian of a layer of two units, with any activation."""
    state = Matrix(symbols("x1 x2", real=True))
    weights = Matrix(2, 2, symbols("w11 w12 w21 w22", real=True))
    bias = Matrix(symbols("b1 b2", real=True))
    slopes = sympy.diag(*(sympy.diff(phi(x), x).subs(x, z).doit() for z in weights * state + bias))
    derived = damped_map(state, weights, bias, lam, alpha).jacobian(state).doit()
    closed_form = (1 - h * lam) * sympy.eye(2) + h * alpha * slopes * weights
    yield Statement(
        label="layer-jacobian",
        text="The Jacobian of a layer is that of the linear part plus the slopes times the weights; for two units,",
        left=r"\frac{\partial x_{k+1}}{\partial x_k}",
        derived=ImmutableMatrix(derived),
        closed_form=ImmutableMatrix(closed_form),
        right=r"(1 - h\lambda) I + h\alpha\,\mathrm{diag}\,\varphi'(Wx + b)\, W",
        source="yang2020",
    )


def _adjoint() -> Iterator[Statement]:
    """Tangents and adjoints of the damped flow in two dimensions, along an orbit with any Jacobian A(t)."""
    time = symbols("t", real=True)

    def vector(name: str) -> Matrix:
        return Matrix([Function(f"{name}{i}")(time) for i in (1, 2)])

    tangent, adjoint = vector("v"), vector("a")
    jacobian = Matrix(2, 2, lambda i, j: Function(f"A{i + 1}{j + 1}")(time))
    rate = alpha * jacobian - lam * sympy.eye(2)
    product = (adjoint.T * tangent)[0]
    along = dict(zip(tangent.diff(time), rate * tangent, strict=True))
    along |= dict(zip(adjoint.diff(time), -rate.T * adjoint, strict=True))
    yield Statement(
        label="damped-adjoint",
        text=(
            "With A(t) the Jacobian of g along an orbit, tangents of the damped flow obey v̇ = (αA − λI)v. If a obeys "
            "the adjoint equation ȧ = −(αA − λI)ᵀa, its product with every tangent stays as it is, so that a(0) is the "
            "gradient of a loss with respect to x(0) where a(T) is that with respect to x(T):"
        ),
        left=r"\frac{d}{dt}\, a^{\mathsf T} v",
        derived=sympy.expand(product.diff(time).subs(along)),
        closed_form=sympy.S.Zero,
        source="chen2018, sec. 2",
    )


def _exponential() -> Iterator[Statement]:
    """Variation of constants with g held at its value at the start of the layer."""
    damping, time = symbols("lambda s", positive=True)
    step, held = symbols("h g", positive=True)
    integral = sympy.integrate(sympy.exp(-damping * (step - time)) * alpha * held, (time, 0, step))
    exponential = sympy.exp(-step * damping) * x + integral
    weight = (1 - sympy.exp(-step * damping)) / damping
    yield Statement(
        label="exponential-map",
        text=(
            "If g is held during a layer and the damping is integrated exactly (variation of constants), the layer "
            r"becomes the exponential map. It is a residual map with the step :math:`w = (1 - e^{-h\lambda})/\lambda` "
            "in place of h:"
        ),
        left=r"e^{-h\lambda}x + \int_0^h e^{-\lambda(h-s)}\alpha g\,ds",
        derived=exponential,
        closed_form=x + weight * (-damping * x + alpha * held),
        right=r"x + w\,(-\lambda x + \alpha g)",
        source="hochbruck2010, sec. 2.1",
    )
    yield Statement(
        label="exponential-limit",
        text="Without damping it is the residual map itself:",
        left=r"\lim_{\lambda\to 0} w",
        derived=sympy.limit(weight, damping, 0),
        closed_form=step,
        source="hochbruck2010, sec. 2.1",
    )


def _stable_steps() -> Iterator[Statement]:
    """A damped rotation: what one layer multiplies squared lengths by."""
    omega = symbols("omega", positive=True)
    damping, step, T = symbols("lambda h T", positive=True)
    euler = sympy.expand((1 - step * damping) ** 2 + (step * omega) ** 2) - 1
    yield Statement(
        label="euler-of-a-rotation",
        text=(
            r"**Stable steps.** Let the flow turn and shrink, :math:`\dot x = -\lambda x + \omega Rx` with R the "
            "rotation by 90°. One Euler step changes squared lengths by the factor 1 plus"
        ),
        left=r"|1 - h\lambda + ih\omega|^2 - 1",
        derived=euler,
        closed_form=step * (step * (damping**2 + omega**2) - 2 * damping),
    )
    longest = 2 * damping / (damping**2 + omega**2)
    yield Statement(
        label="euler-best-damping",
        text=(
            r"so it is stable below the step :math:`2\lambda/(\lambda^2 + \omega^2)`. That is nothing without damping, "
            "largest at λ = ω, and falls beyond: more damping then calls for shorter steps,"
        ),
        left=r"\frac{d}{d\lambda}\,\frac{2\lambda}{\lambda^2 + \omega^2}",
        derived=sympy.diff(longest, damping),
        closed_form=2 * (omega - damping) * (omega + damping) / (damping**2 + omega**2) ** 2,
    )
    # e^{-hλ} by T = tanh(hλ/2)
    kept = (1 - T) / (1 + T)
    yield Statement(
        label="exponential-of-a-rotation",
        text=(
            r"The exponential map keeps :math:`e^{-h\lambda} = (1 - T)/(1 + T)` of the state, "
            r":math:`T = \tanh\tfrac{h\lambda}2 < 1`. It is stable at every step if λ ≥ ω, and else where T is below "
            r":math:`\lambda^2/\omega^2`:"
        ),
        left=r"\left|e^{-h\lambda} + \frac{i\omega}{\lambda}(1 - e^{-h\lambda})\right|^2 - 1",
        derived=kept**2 + (omega / damping) ** 2 * (1 - kept) ** 2 - 1,
        closed_form=4 * T / (1 + T) ** 2 * (T * omega**2 / damping**2 - 1),
    )


def _contraction() -> Iterator[Statement]:
    """Distances of two orbits of the damped flow and of its map."""
    time = symbols("t", real=True)
    difference = Matrix([Function(f"e{i}")(time) for i in (1, 2)])
    slopes = sympy.diag(*symbols("s1 s2", real=True))
    weights = Matrix(2, 2, symbols("w11 w12 w21 w22", real=True))
    velocity = -lam * difference + alpha * slopes * weights * difference
    along = dict(zip(difference.diff(time), velocity, strict=True))
    yield Statement(
        label="damped-distance",
        text=(
            "**Contraction.** Let α ≥ 0 and λ > 0, and let e be the difference of two orbits of ẋ = −λx + αφ(Wx + b). "
            "By the mean value theorem it obeys ė = −λe + αΣ(t)We, where Σ is diagonal with slopes of φ between the "
            "two pre-activations. Hence"
        ),
        left=r"\tfrac12\frac{d}{dt}|e|^2",
        derived=sympy.expand(((difference.T * difference)[0] / 2).diff(time).subs(along)),
        closed_form=sympy.expand(
            -lam * (difference.T * difference)[0] + alpha * (difference.T * slopes * weights * difference)[0]
        ),
        right=r"-\lambda|e|^2 + \alpha\, e^{\mathsf T}\Sigma We",
    )
    yield Statement(
        label="logistic-slope-gap",
        text=(
            r"With slopes between 0 and L the last term is at most :math:`\alpha L\|W\|_2|e|^2`. For logistic units "
            "L = 1/4,"
        ),
        left=r"\tfrac14 - \sigma'(z)",
        derived=Rational(1, 4) - sympy.diff(logistic, z),
        closed_form=(logistic - Rational(1, 2)) ** 2,
        right=r"\left(\sigma(z) - \tfrac12\right)^2",
    )
    norm = symbols("nu", positive=True)
    yield Statement(
        label="map-contracts-below-one",
        text=(
            r"so that :math:`|e(t)| \le e^{-(\lambda - \alpha\|W\|_2/4)t}|e(0)|`: **the damped logistic flow contracts "
            r"if** :math:`\alpha\|W\|_2 < 4\lambda`. One layer of its map multiplies differences by "
            r":math:`(1 - h\lambda)I + h\alpha\Sigma W`, whose norm is at most "
            r":math:`q = |1 - h\lambda| + h\alpha\nu/4` with :math:`\nu = \|W\|_2`. Up to hλ = 1 the condition q < 1 "
            "is that of the flow,"
        ),
        left=r"1 - q\,\big|_{h\lambda \le 1}",
        derived=1 - ((1 - h * lam) + h * alpha * norm / 4),
        closed_form=h * (lam - alpha * norm / 4),
    )
    yield Statement(
        label="map-contracts-above-one",
        text="and beyond it is another one, which no flow knows: the step must be short,",
        left=r"1 - q\,\big|_{h\lambda \ge 1}",
        derived=1 - ((h * lam - 1) + h * alpha * norm / 4),
        closed_form=2 - h * (lam + alpha * norm / 4),
    )


def _two_cycle() -> Iterator[Statement]:
    """One unit that excites itself, and one that inhibits itself, about the fixed point."""
    state, weight, half = symbols("x w s", positive=True)
    step, damping, gain = symbols("h lambda alpha", positive=True)
    rest = gain / (2 * damping)
    excited = (1 - step * damping) * state + step * gain * logistic.subs(z, weight * (state - rest))
    yield Statement(
        label="excited-unit",
        text=(
            r"**Where it fails.** Among all weights of norm ν the condition q < 1 is sharp. Up to hλ = 1, let one unit "
            r"excite itself, W = ν (or let N units, W = νI), with the bias :math:`b = -\nu x^*`, so that it rests "
            r"at :math:`x^* = \alpha/(2\lambda)` with the steepest slope. There a layer multiplies small "
            r"differences by q:"
        ),
        left=r"\frac{dx'}{dx}\Big|_{x^*}",
        derived=sympy.diff(excited, state).subs(state, rest),
        closed_form=1 - step * damping + step * gain * weight / 4,
        right=r"1 - h\lambda + \tfrac{h\alpha\nu}4",
    )
    after = (1 - step * damping) * state + step * gain * logistic.subs(z, -weight * (state - rest))
    e = symbols("e", real=True)
    odd = (1 - step * damping) * e - step * gain / 2 * sympy.tanh(weight * e / 2)
    yield Statement(
        label="inhibited-unit",
        text=(
            r"From hλ = 1 on, let it inhibit itself, W = −ν (or let N units, W = −νI), with the bias "
            r":math:`b = \nu x^*`. It rests at the same state, and there the slope is −q. About it, the map is odd:"
        ),
        left=r"e' = x' - x^*",
        derived=after.subs(state, rest + e) - rest,
        closed_form=odd.rewrite(sympy.exp),
        right=r"(1 - h\lambda)e - \tfrac{h\alpha}2\tanh\tfrac{\nu e}2",
    )
    yield Statement(
        label="two-cycle-equation",
        text=(r"A cycle :math:`e \leftrightarrow -e` is a zero of e' + e. With :math:`s = \nu e/2 > 0` that is"),
        left=r"\tfrac\nu2(e' + e)",
        derived=sympy.expand((weight / 2 * (odd + e)).subs(e, 2 * half / weight)),
        closed_form=sympy.expand((2 - step * damping) * half - step * gain * weight / 4 * sympy.tanh(half)),
        right=r"(2 - h\lambda)s - \tfrac{h\alpha\nu}4\tanh s",
    )
    strength = (2 - step * damping) * half / sympy.tanh(half)
    slope = (1 - step * damping) - strength * (1 - sympy.tanh(half) ** 2)
    yield Statement(
        label="two-cycle-attracts",
        text=(
            r"As :math:`\tanh s/s` falls from 1 to 0, for hλ < 2 there is one such cycle exactly where "
            r":math:`h(\lambda + \alpha\nu/4) > 2`; for hλ ≥ 1 this is q > 1. On it "
            r":math:`h\alpha\nu/4 = (2 - h\lambda)s/\tanh s`, and the slope of the map, 1 − hλ − "
            r":math:`\tfrac{h\alpha\nu}4\mathrm{sech}^2s`, exceeds −1:"
        ),
        left=r"1 + \frac{de'}{de}",
        derived=(1 + slope).rewrite(sympy.exp),
        closed_form=((2 - step * damping) * (1 - 2 * half / sympy.sinh(2 * half))).rewrite(sympy.exp),
        right=r"(2 - h\lambda)\left(1 - \frac{2s}{\sinh 2s}\right)",
    )
