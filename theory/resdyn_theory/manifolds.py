"""Stable and unstable manifolds of fixed points: what invariance says to second order, and cases in closed form."""

from collections.abc import Iterator

import sympy
from sympy import symbols

from resdyn_theory.symbolic import Statement

s, x, h, eta, c, w, mu, nu, lam, r = symbols("s x h eta c w mu nu lambda r", real=True)


def statements() -> Iterator[Statement]:
    """The equation of invariance, a shear in closed form, time reversed, and a pair of folds."""
    yield from _second_order()
    yield from _shear()
    yield from _reversed_time()
    yield from _folds()


def _second_order() -> Iterator[Statement]:
    # coordinates along the two eigenvectors, with the general quadratic term c x² across the curve
    curve = w * s**2 / 2
    across = eta * curve + c * s**2 / 2
    # along the curve only the linear part matters at this order
    flow = sympy.series(sympy.diff(curve, s) * lam * s - across, s, 0, 3).removeO().coeff(s, 2)
    yield Statement(
        label="manifold-curvature-flow",
        text=(
            "In coordinates along two eigenvectors of a fixed point at 0, with eigenvalues λ and η, let the residual "
            "be :math:`f = (\\lambda x + \\dots, \\eta y + c x^2/2 + \\dots)`. The curve :math:`x = s, y = w s^2/2` is "
            "invariant under the flow to second order if :math:`y'(s)\\,\\lambda s = \\eta y + c s^2/2`. So its "
            "curvature is"
        ),
        left="w",
        derived=sympy.solve(flow, w)[0],
        closed_form=c / (2 * lam - eta),
    )
    image = curve + h * across
    multiplier = 1 + h * lam
    missed = sympy.expand(curve.subs(s, multiplier * s) - image).coeff(s, 2)
    yield Statement(
        label="manifold-curvature-map",
        text="The map takes s to μs with μ = 1 + hλ. Its curve has another curvature, which tends to that of the flow:",
        left="w",
        derived=sympy.factor(sympy.solve(missed, w)[0]),
        closed_form=c / (2 * lam + h * lam**2 - eta),
    )
    yield Statement(
        label="manifold-curvature-limit",
        text="Map and flow share fixed points and eigenvectors, but not manifolds. To first order in h they differ by",
        left=r"w_{\mathrm{map}} - w_{\mathrm{flow}}",
        derived=sympy.series(c / (2 * lam + h * lam**2 - eta) - c / (2 * lam - eta), h, 0, 2).removeO(),
        closed_form=-c * lam**2 * h / (2 * lam - eta) ** 2,
    )


def _shear() -> Iterator[Statement]:
    height = c * x**2 / (mu**2 - nu)
    yield Statement(
        label="shear-invariance",
        text=(
            "The map (x, y) → (μx, νy + cx²) is a linear one in bent coordinates. The parabola "
            ":math:`y = cx^2/(\\mu^2 - \\nu)` is invariant, wherever on it x lies:"
        ),
        left=r"\nu y(x) + c x^2 - y(\mu x)",
        derived=sympy.simplify(nu * height + c * x**2 - height.subs(x, mu * x)),
        closed_form=sympy.S.Zero,
    )


def _reversed_time() -> Iterator[Statement]:
    A = sympy.Matrix(2, 2, symbols("a_11 a_12 a_21 a_22", real=True))
    determinant = (lam * sympy.eye(2) - A).det()
    yield Statement(
        label="reversed-eigenvalues",
        text=(
            "The flow of −f runs through the same orbits backwards. At a fixed point its Jacobian is −A, whose "
            "eigenvalues are those of A with the other sign (here for two variables), so that stable and unstable "
            "manifolds change places:"
        ),
        left=r"\det(\lambda I + A)",
        derived=(lam * sympy.eye(2) + A).det(),
        closed_form=sympy.expand(determinant.subs(lam, -lam)),
        right=r"\det\bigl((-\lambda) I - A\bigr)",
    )
    yield Statement(
        label="two-layer-multiplier",
        text="With a negative multiplier the two arms change places. Two layers keep them, as one of step 2h and slope",
        left=r"\frac{\mu^2 - 1}{2h}",
        derived=((1 + h * lam) ** 2 - 1) / (2 * h),
        closed_form=lam + h * lam**2 / 2,
    )


def _folds() -> Iterator[Statement]:
    f = r + x - x**3
    place = 1 / sympy.sqrt(3)
    yield Statement(
        label="fold-slope",
        text="The residual f = r + x − x³ has two folds, at x = ±1/√3, where its slope vanishes:",
        left=r"f'(\pm 1/\sqrt3)",
        derived=sympy.diff(f, x).subs(x, place) ** 2 + sympy.diff(f, x).subs(x, -place) ** 2,
        closed_form=sympy.S.Zero,
    )
    yield Statement(
        label="fold-values",
        text="They are fixed points at one value of r each; between these there are three fixed points, beyond one:",
        left=r"r_{\mp}",
        derived=sympy.Matrix([sympy.solve(f.subs(x, side * place), r)[0] for side in (1, -1)]),
        closed_form=sympy.Matrix([-2 * sympy.sqrt(3) / 9, 2 * sympy.sqrt(3) / 9]),
    )
    yield Statement(
        label="fold-discriminant",
        text="as the discriminant of the cubic says, which is positive for three and negative for one:",
        left=r"\Delta(r)",
        derived=sympy.discriminant(f, x),
        closed_form=4 - 27 * r**2,
    )
