"""Layer by layer: what residuals add to a read-out, when they settle, and how well they separate classes."""

from collections.abc import Iterator

import sympy
from sympy import ImmutableMatrix, Matrix, symbols

from resdyn_theory.symbolic import Statement

h = symbols("h", positive=True)


def statements() -> Iterator[Statement]:
    """Contributions to the read-out, settling, the depth rules, scatter matrices, and a fit without a fold."""
    yield from _contributions()
    yield from _settling()
    yield from _scatter()
    yield from _probe()


def _contributions() -> Iterator[Statement]:
    """Two units, three layers whose residuals may be anything."""
    start = Matrix(symbols("x1 x2"))
    readout, bias = Matrix(1, 2, symbols("v1 v2")), symbols("c")
    residuals = [Matrix(symbols(f"f{k}1 f{k}2")) for k in range(3)]
    state = start
    for residual in residuals:
        state = state + h * residual

    def logit(x: Matrix) -> sympy.Expr:
        return (readout * x)[0] + bias

    yield Statement(
        label="readout-contributions",
        text=(
            "The state after T layers is the input plus h times the sum of all residuals, so a linear read-out "
            "ℓ(x) = v·x + c is a sum over layers; written out for two units and three layers,"
        ),
        left=r"\ell(x_T) - \ell(x_0)",
        derived=sympy.expand(logit(state) - logit(start)),
        closed_form=h * sum((readout * residual)[0] for residual in residuals),
        right=r"h \sum_{k=0}^{T-1} v \cdot f_k",
        source="lagzi2021",
    )
    x0, lam = symbols("x0 lambda")
    y = symbols("y0:4")
    alpha = symbols("alpha0:4")
    damping = symbols("lambda0:4")
    layerwise, shared = x0, x0
    for k in range(4):
        layerwise = (1 - h * damping[k]) * layerwise + h * alpha[k] * y[k]
        shared = (1 - h * lam) * shared + h * alpha[0] * y[k]

    def kept(first: int) -> sympy.Expr:
        return sympy.prod([1 - h * damping[j] for j in range(first, 4)])

    yield Statement(
        label="discounted-residuals",
        text=(
            "With damping and gain, f = −λx + αy, the same state is a sum over the activations y, in which every later "
            "layer discounts what came before; for four layers,"
        ),
        left=r"x_T",
        derived=layerwise,
        closed_form=kept(0) * x0 + h * sum(alpha[k] * kept(k + 1) * y[k] for k in range(4)),
        right=(
            r"\prod_{j=0}^{T-1}(1 - h\lambda_j)\, x_0"
            r" + h\sum_{k=0}^{T-1} \alpha_k \prod_{j=k+1}^{T-1}(1 - h\lambda_j)\, y_k"
        ),
    )
    yield Statement(
        label="geometric-discount",
        text="With the same damping and gain in all layers the discount is geometric: layer k counts with",
        left=r"\frac{\partial x_T}{\partial y_k}",
        derived=ImmutableMatrix([sympy.diff(shared, y[k]) for k in range(4)]),
        closed_form=ImmutableMatrix([h * alpha[0] * (1 - h * lam) ** (3 - k) for k in range(4)]),
        right=r"h\alpha\,(1 - h\lambda)^{T-1-k}",
    )


def _settling() -> Iterator[Statement]:
    """A residual that decays by the factor r per layer."""
    r, size, tolerance, last, k = symbols("r C epsilon K k", positive=True)
    a, x = symbols("a x", real=True)
    after = x + h * a * x
    yield Statement(
        label="residual-decay",
        text="A linear residual f = ax is multiplied in each layer by",
        left=r"\frac{f(x_{k+1})}{f(x_k)}",
        derived=sympy.cancel(a * after / (a * x)),
        closed_form=1 + h * a,
        source="strogatz2015, sec. 10.1",
    )
    distance = size * (r**k - r**last)
    settled = sympy.log(r**last + tolerance / size) / sympy.log(r)
    yield Statement(
        label="settling-layer",
        text=(
            "A residual :math:`C r^k` with 0 < r < 1 decays towards its value at the last layer K. It comes within ε "
            "of that value at :math:`s = \\log(r^K + \\epsilon/C)/\\log r`, because there"
        ),
        left=r"C\,(r^s - r^K)",
        derived=sympy.simplify(distance.subs(k, settled)),
        closed_form=tolerance,
    )
    dropped = 1 + sympy.log(tolerance / (size * (1 - r))) / sympy.log(r)
    yield Statement(
        label="dropped-layers",
        text=(
            "The residuals of neighbouring layers, k and k − 1, differ by ε at "
            ":math:`k = 1 + \\log\\bigl(\\epsilon/(C(1 - r))\\bigr)/\\log r`; the layers from there on are "
            "those that the depth rule drops:"
        ),
        left=r"C\,(r^{k-1} - r^k)",
        derived=sympy.simplify((size * (r ** (k - 1) - r**k)).subs(k, dropped)),
        closed_form=tolerance,
        source="lagzi2021",
    )
    rate, horizon, n_layers = symbols("a t n", positive=True)
    step = horizon / n_layers
    state = symbols("x", positive=True)
    yield Statement(
        label="scaled-perturbation",
        text="Over a fixed horizon t = nh, a layer of the linear network moves its state by a share that falls as 1/n:",
        left=r"\frac{|x_{k+1} - x_k|}{|x_k|}",
        derived=sympy.simplify((state + step * rate * state - state) / state),
        closed_form=rate * horizon / n_layers,
        source="hauser2019",
    )


def _scatter() -> Iterator[Statement]:
    """Five points of the plane in two classes, and general scatter matrices of two units."""
    points = [Matrix(symbols(f"p{i} q{i}")) for i in range(5)]
    classes = [points[:2], points[2:]]

    def mean(group: list[Matrix]) -> Matrix:
        return sum(group, sympy.zeros(2, 1)) / len(group)

    def scatter(group: list[Matrix], centre: Matrix) -> Matrix:
        return sum(((p - centre) * (p - centre).T for p in group), sympy.zeros(2, 2)) / len(points)

    within = sum((scatter(group, mean(group)) for group in classes), sympy.zeros(2, 2))
    between = sum(
        (scatter([mean(group)], mean(points)) * len(group) for group in classes),
        sympy.zeros(2, 2),
    )
    yield Statement(
        label="total-scatter",
        text=(
            "The scatter of all states about their mean is the scatter within the classes plus that of the class "
            "means, weighted by the share of each class; for five states of two units in two classes,"
        ),
        left=r"S_T",
        derived=ImmutableMatrix(scatter(points, mean(points))),
        closed_form=ImmutableMatrix(within + between),
        right=r"S_W + S_B",
        source="hastie2009, sec. 4.3",
    )
    yield from _fisher()


def _fisher() -> Iterator[Statement]:
    """General symmetric scatter within the classes; class means in the plane."""
    s11, s12, s22 = symbols("s11 s12 s22")
    within = Matrix([[s11, s12], [s12, s22]])
    share = symbols("pi")
    first, second = Matrix(symbols("m11 m12")), Matrix(symbols("m21 m22"))
    centre = share * first + (1 - share) * second
    between = share * (first - centre) * (first - centre).T
    between += (1 - share) * (second - centre) * (second - centre).T
    gap = first - second
    ratio = (within.inv() * between).trace()
    yield Statement(
        label="fisher-two-classes",
        text=(
            "Of two classes with shares π and 1 − π and means that differ by Δ, Fisher's ratio of the scatter between "
            "to that within is their squared Mahalanobis distance, weighted:"
        ),
        left=r"J = \mathrm{tr}\bigl(S_W^{-1} S_B\bigr)",
        derived=sympy.together(ratio),
        closed_form=share * (1 - share) * (gap.T * within.inv() * gap)[0],
        right=r"\pi(1 - \pi)\, \Delta^{\mathsf T} S_W^{-1} \Delta",
        source="fisher1936",
    )
    b11, b12, b22 = symbols("b11 b12 b22")
    general = Matrix([[b11, b12], [b12, b22]])
    change = Matrix(2, 2, symbols("a11 a12 a21 a22"))
    moved = (change * within * change.T).inv() * change * general * change.T
    yield Statement(
        label="fisher-affine",
        text=(
            "A shift of all states changes no scatter matrix, and an invertible linear map A turns S into "
            ":math:`A S A^{\\mathsf T}`. The ratio does not change:"
        ),
        left=r"\mathrm{tr}\bigl((A S_W A^{\mathsf T})^{-1} A S_B A^{\mathsf T}\bigr)",
        derived=sympy.cancel(moved.trace()),
        closed_form=(within.inv() * general).trace(),
        right=r"\mathrm{tr}\bigl(S_W^{-1} S_B\bigr)",
    )
    means = Matrix(2, 2, symbols("u11 u12 u21 u22"))
    total = within + means * means.T
    shared = means.T * total.inv() * means
    yield Statement(
        label="fisher-from-total",
        text=(
            "The class means, each scaled by the root of its share, are the columns of M, so that "
            ":math:`S_B = M M^{\\mathsf T}`. With :math:`G = M^{\\mathsf T} S_T^{-1} M` the ratio follows from the "
            "total scatter, which does not know the labels:"
        ),
        left=r"\mathrm{tr}\bigl(S_W^{-1} S_B\bigr)",
        derived=sympy.cancel((within.inv() * means * means.T).trace()),
        closed_form=sympy.cancel((shared * (sympy.eye(2) - shared).inv()).trace()),
        right=r"\mathrm{tr}\bigl(G (I - G)^{-1}\bigr)",
    )


def _probe() -> Iterator[Statement]:
    """Ridge regression of three targets on two features, without one of three states."""
    features = Matrix([[1, symbols("x1")], [1, symbols("x2")], [1, symbols("x3")]])
    targets = Matrix(symbols("y1 y2 y3"))
    penalty = sympy.diag(0, symbols("a", positive=True))
    fold = [2]
    rest = [0, 1]

    def fit(rows: list[int]) -> Matrix:
        part = features.extract(rows, [0, 1])
        return (part.T * part + penalty).inv() * part.T * targets.extract(rows, [0])

    hat = features * (features.T * features + penalty).inv() * features.T
    errors = targets - hat * targets
    block = (sympy.eye(3) - hat).extract(fold, fold)
    yield Statement(
        label="deleted-fold",
        text=(
            "Let H be the matrix that turns targets into the predictions of a ridge regression, and e = y − Hy its "
            "errors. Fitted without the states of a fold b, the regression errs on them by what follows from the "
            "fit to all; for a line with intercept through three points, of which one is left out,"
        ),
        left=r"e^{\text{without } b}_b",
        derived=sympy.cancel((targets.extract(fold, [0]) - features.extract(fold, [0, 1]) * fit(rest))[0]),
        closed_form=sympy.cancel((block.inv() * errors.extract(fold, [0]))[0]),
        right=r"(I - H_{bb})^{-1} e_b",
        source="hastie2009, sec. 7.10",
    )
