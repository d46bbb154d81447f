"""Boundaries of basins: entropy of boxes, uncertain states, shocks; and how fixed points recover."""

from collections.abc import Iterator

import sympy
from sympy import ImmutableMatrix, Matrix, log, symbols

from resdyn_theory.symbolic import Statement

t, h, L, epsilon = symbols("t h L epsilon", positive=True)


def statements() -> Iterator[Statement]:
    """Box entropy, the share of uncertain states, the shock to a plane, growth and return at a fixed point."""
    yield from _entropy()
    yield from _uncertainty()
    yield from _shock()
    yield from _growth()
    yield from _return()
    yield from _logistic()


def _box_entropy(p: sympy.Expr) -> sympy.Expr:
    return -p * log(p) - (1 - p) * log(1 - p)


def _entropy() -> Iterator[Statement]:
    p = symbols("p", positive=True)
    yield Statement(
        label="two-label-slope",
        text=(
            "A box in which one label has the share p, and one other the rest, has an entropy that grows with p at the "
            "rate"
        ),
        left=r"\frac{d}{dp}\bigl(-p\log p - (1 - p)\log(1 - p)\bigr)",
        derived=sympy.diff(_box_entropy(p), p),
        closed_form=log(1 - p) - log(p),
        source="daza2016",
    )
    yield Statement(
        label="two-label-entropy",
        text=(
            "It is positive below p = 1/2 and negative above. So a box with two labels has the most entropy when it is "
            "cut evenly,"
        ),
        left=r"S(1/2)",
        derived=_box_entropy(sympy.Rational(1, 2)),
        closed_form=log(2),
        source="daza2016",
    )
    yield Statement(
        label="mean-box-entropy",
        text=(
            "A straight boundary along a side of the boxes cuts a box that it meets at any share p alike, so that the "
            "mean over such boxes is"
        ),
        left=r"S_{bb} = \int_0^1 S(p)\,dp",
        derived=sympy.integrate(-p * log(p), (p, 0, 1)) + sympy.integrate(-p * log(p), (p, 0, 1)),
        closed_form=sympy.Rational(1, 2),
    )
    n = 5
    yield Statement(
        label="discrete-box-entropy",
        text=(
            "On a grid the same boundary runs between cells. Shifted cell by cell, a box of n cells a side is cut at j "
            "of n for j = 1, …, n − 1. Its entropies add up to less than n/2, the sum in the limit; for n = 5 to "
            "2.35 instead of 2.5:"
        ),
        left=r"\sum_{j=1}^{n-1} S(j/n)",
        derived=sum(_box_entropy(sympy.Rational(j, n)) for j in range(1, n)),
        closed_form=(n - 1) * log(n) - sympy.Rational(2, n) * sum(j * log(j) for j in range(1, n)),
        right=r"(n - 1)\log n - \frac{2}{n}\sum_{j=1}^{n-1} j\log j",
    )


def _uncertainty() -> Iterator[Statement]:
    x, c = symbols("x c", real=True)
    # to the right, what starts within ε on the left of c changes sides; and the mirror image
    changed = (sympy.integrate(1, (x, c - epsilon, c)) + sympy.integrate(1, (x, c, c + epsilon))) / 2
    yield Statement(
        label="uncertain-share-of-a-point",
        text=(
            "On a line of length L with the boundary in one point, a step of size ε to either side with equal "
            "probability changes the label of the share"
        ),
        left=r"f(\epsilon)",
        derived=changed / L,
        closed_form=epsilon / L,
        source="grebogi1983",
    )
    angle = symbols("theta", real=True)
    length = symbols("ell", positive=True)
    normal = (sympy.cos(angle), sympy.sin(angle))
    # a step along an axis sweeps a parallelogram over the boundary: its length times the step across
    swept = sum(length * epsilon * abs(component) for component in normal) / 2
    share = swept / L**2
    yield Statement(
        label="uncertain-share-of-a-line",
        text=(
            "In a square of side L with a straight boundary of length ℓ and normal (cos θ, sin θ), a step along a "
            "random axis changes the label where it sweeps over the boundary,"
        ),
        left=r"f(\epsilon)",
        derived=share,
        closed_form=epsilon * length * (abs(sympy.cos(angle)) + abs(sympy.sin(angle))) / (2 * L**2),
    )
    yield Statement(
        label="smooth-exponent",
        text="It grows in proportion to ε: the exponent of a smooth boundary is",
        left=r"\alpha = \frac{d\log f}{d\log\epsilon}",
        derived=sympy.simplify(epsilon * sympy.diff(log(share), epsilon)),
        closed_form=sympy.Integer(1),
        source="mcdonald1985",
    )
    n = symbols("n", integer=True, positive=True)
    width = 3**-n
    measure = 2**n * (width + 2 * (width / 2))
    yield Statement(
        label="cantor-neighbourhood",
        text=(
            "Let the boundary be the middle-thirds Cantor set. Its nth stage consists of :math:`2^n` intervals of "
            "length :math:`3^{-n}`, at least so far apart, and the gaps that the next stages cut into them are "
            "shorter. The points within :math:`\\epsilon = 3^{-n}/2` of the set therefore fill these intervals and ε "
            "on either side,"
        ),
        left=r"f\bigl(3^{-n}/2\bigr)",
        derived=measure,
        closed_form=2 * sympy.Rational(2, 3) ** n,
    )
    yield Statement(
        label="cantor-exponent",
        text="The exponent is therefore 1 less the box dimension of the set,",
        left=r"\alpha = \frac{\log f(3^{-n-1}/2) - \log f(3^{-n}/2)}{\log(1/3)}",
        derived=sympy.expand_log(log(sympy.simplify(measure.subs(n, n + 1) / measure)) / log(sympy.Rational(1, 3))),
        closed_form=1 - log(2) / log(3),
        source="mcdonald1985",
    )


def _shock() -> Iterator[Statement]:
    c = symbols("c", real=True)
    normal, x = Matrix(symbols("n1 n2", real=True)), Matrix(symbols("x1 x2", real=True))
    squared = (normal.T * normal)[0]
    shock = (c - (normal.T * x)[0]) / squared * normal
    yield Statement(
        label="shock-to-a-plane",
        text=(
            "If the boundary is the plane n·x = c, the shortest shock from x goes straight to it, "
            ":math:`\\delta = (c - n\\cdot x)\\, n / \\|n\\|^2`. It ends on the plane and has the squared length"
        ),
        left=r"\bigl(n\cdot(x + \delta),\ \|\delta\|^2\bigr)",
        derived=ImmutableMatrix([[sympy.simplify((normal.T * (x + shock))[0]), sympy.simplify((shock.T * shock)[0])]]),
        closed_form=ImmutableMatrix([[c, (c - (normal.T * x)[0]) ** 2 / squared]]),
        source="halekotte2020",
    )


def _growth() -> Iterator[Statement]:
    a, b, c, d = symbols("a b c d", real=True)
    A = Matrix([[a, b], [c, d]])
    v = Matrix(symbols("v1 v2", real=True))
    # to first order in t, which is all that the derivative at 0 sees
    moved = v + t * A * v
    size = sympy.sqrt((moved.T * moved)[0])
    symmetric = (A + A.T) / 2
    yield Statement(
        label="initial-growth",
        text=(
            "A perturbation v of a fixed point grows along the flow, at first, by its quadratic form with the "
            "symmetric part of A,"
        ),
        left=r"\frac{1}{\|v\|}\frac{d}{dt}\bigl\|e^{At}v\bigr\|\,\Big|_{t=0}",
        derived=sympy.simplify((sympy.diff(size, t) / size).subs(t, 0)),
        closed_form=(v.T * symmetric * v)[0] / (v.T * v)[0],
        right=r"\frac{v^{\mathsf T} \tfrac12(A + A^{\mathsf T})\, v}{v^{\mathsf T} v}",
        source="neubert1997",
    )
    larger = (a + d) / 2 + sympy.sqrt((a - d) ** 2 + (b + c) ** 2) / 2
    yield Statement(
        label="numerical-abscissa-plane",
        text=(
            "The largest value over all v, the reactivity, is the largest eigenvalue of the symmetric part. In the "
            "plane it is :math:`\\omega = \\tfrac12(a + d) + \\tfrac12\\sqrt{(a - d)^2 + (b + c)^2}`, the larger "
            "root of"
        ),
        left=r"\det\bigl(\tfrac12(A + A^{\mathsf T}) - \omega I\bigr)",
        derived=sympy.expand((symmetric - larger * sympy.eye(2)).det()),
        closed_form=sympy.Integer(0),
        source="trefethen2005, sec. 17",
    )
    shear = symbols("c", positive=True)
    example = Matrix([[-1, -shear], [0, -2]])
    propagator = Matrix([[sympy.exp(-t), shear * (sympy.exp(-2 * t) - sympy.exp(-t))], [0, sympy.exp(-2 * t)]])
    yield Statement(
        label="shear-propagator",
        text=(
            "The flow of :math:`A = \\bigl(\\begin{smallmatrix}-1 & -c\\\\ 0 & -2\\end{smallmatrix}\\bigr)` decays "
            "in the long run like :math:`e^{-t}`, whatever c is. Its propagator solves :math:`\\dot\\Phi = A\\Phi`:"
        ),
        left=r"\frac{d}{dt}\begin{pmatrix} e^{-t} & c\,(e^{-2t} - e^{-t}) \\ 0 & e^{-2t} \end{pmatrix}",
        derived=ImmutableMatrix(sympy.diff(propagator, t)),
        closed_form=ImmutableMatrix((example * propagator).applyfunc(sympy.expand)),
        right=r"A\,\Phi(t)",
    )
    yield Statement(
        label="shear-reactivity",
        text="Its reactivity is positive for :math:`c > \\sqrt 8`,",
        left=r"\omega",
        derived=max(
            ((example + example.T) / 2).eigenvals(multiple=True), key=lambda value: float(value.subs(shear, 1))
        ),
        closed_form=(sympy.sqrt(1 + shear**2) - 3) / 2,
        source="neubert1997",
    )


def _return() -> Iterator[Statement]:
    rate = symbols("lambda", negative=True)
    factor = symbols("mu", positive=True)
    yield Statement(
        label="return-time",
        text="The slowest mode of a flow, with the rate λ < 0, has fallen at T = −1/λ to",
        left=r"e^{\lambda T}",
        derived=sympy.exp(rate * (-1 / rate)),
        closed_form=sympy.exp(-1),
    )
    layers = -1 / log(factor)
    yield Statement(
        label="return-time-map",
        text=(
            "The slowest mode of a map, with the multiplier 0 < μ < 1 per layer, has fallen at T = −h/log μ, after T/h "
            "layers, to"
        ),
        left=r"\mu^{T/h}",
        derived=sympy.simplify(sympy.exp(layers * log(factor))),
        closed_form=sympy.exp(-1),
    )


def _logistic() -> Iterator[Statement]:
    y = Matrix(symbols("y1 y2", positive=True))
    W = Matrix(2, 2, symbols("w11 w12 w21 w22", real=True))
    drive = W * y
    flow = Matrix([y[i] * (1 - y[i]) * drive[i] for i in range(2)])
    expected = Matrix(
        2,
        2,
        lambda i, j: y[i] * (1 - y[i]) * W[i, j] + ((1 - 2 * y[i]) * drive[i] if i == j else 0),
    )
    yield Statement(
        label="logistic-y-jacobian",
        text=(
            "Fixed points of logistic residuals may lie at z = ±∞, where lengths of perturbations of z mean nothing. "
            "In y = σ(z) the flow :math:`\\dot y = y(1 - y)\\circ Wy` has the finite derivative"
        ),
        left=r"\frac{\partial \dot y_i}{\partial y_j}",
        derived=ImmutableMatrix(flow.jacobian(y)),
        closed_form=ImmutableMatrix(expected),
        right=r"y_i(1 - y_i)\,w_{ij} + \delta_{ij}(1 - 2y_i)(Wy)_i",
        source="lagzi2021",
    )
    growth = [sympy.exp(h * r) for r in drive]
    mapped = Matrix([y[i] * growth[i] / (1 - y[i] + y[i] * growth[i]) for i in range(2)])
    slopes = mapped.jacobian(y)
    at_zero = slopes.row(0).subs(y[0], 0)
    yield Statement(
        label="logistic-y-map-jacobian",
        text=(
            "The map :math:`z' = z + hWy` takes y to :math:`y e^{hWy}/(1 - y + y e^{hWy})`. Where a unit is saturated "
            "at 0, its row of the derivative is that of the identity times a positive factor; for the first of two "
            "units,"
        ),
        left=r"\frac{\partial y_1'}{\partial y}\,\Big|_{y_1 = 0}",
        derived=ImmutableMatrix(at_zero.applyfunc(sympy.simplify)),
        closed_form=ImmutableMatrix([[sympy.exp(h * W[0, 1] * y[1]), 0]]),
        right=r"\bigl(e^{h(Wy)_1},\ 0\bigr)",
        source="lagzi2021",
    )
    # the other unit has stopped: (Wy)_2 = 0 fixes one of its weights
    still = {W[1, 0]: -W[1, 1] * y[1] / y[0]}
    yield Statement(
        label="logistic-y-map-inner",
        text="Where a unit is inside, with (Wy)₂ = 0, its row is that of :math:`I + hA`,",
        left=r"\frac{\partial y_2'}{\partial y}\,\Big|_{(Wy)_2 = 0}",
        derived=ImmutableMatrix(slopes.row(1).subs(still).applyfunc(sympy.simplify)),
        closed_form=ImmutableMatrix(
            [[h * y[1] * (1 - y[1]) * W[1, 0].subs(still), 1 + h * y[1] * (1 - y[1]) * W[1, 1]]]
        ),
        right=r"\bigl(h\,y_2(1 - y_2)\,w_{21},\ 1 + h\,y_2(1 - y_2)\,w_{22}\bigr)",
        source="lagzi2021",
    )
