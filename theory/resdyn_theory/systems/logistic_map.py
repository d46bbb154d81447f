"""The logistic map as a residual network with one unit."""

from collections.abc import Iterator

import sympy
from sympy import symbols

from resdyn_theory.symbolic import Statement, SymbolicSystem

x = symbols("x", real=True)
r = symbols("r", positive=True)

SYSTEM = SymbolicSystem(
    name="logistic map",
    state=(x,),
    residual=(r * x * (1 - x) - x,),
    parameters={r: 3.9},
    description="With step 1 the residual map is x' = r x(1 − x).",
    source="may1976",
)


def statements() -> Iterator[Statement]:
    """The fixed point, where it flips, and the 2-cycle that takes over."""
    (f,) = SYSTEM.residual
    image = sympy.expand(x + f)
    fixed = 1 - 1 / r
    yield Statement(
        label="logistic-map-itself",
        text="With step 1 a block is the logistic map,",
        left=r"x + f(x)",
        derived=x + f,
        closed_form=r * x * (1 - x),
        source="may1976",
    )
    yield Statement(
        label="logistic-map-multiplier",
        text="Its fixed point 1 − 1/r has the multiplier",
        left=r"1 + f'\left(1 - \tfrac{1}{r}\right)",
        derived=1 + sympy.diff(f, x).subs(x, fixed),
        closed_form=2 - r,
        source="strogatz2015, sec. 10.3",
    )
    # the 2-cycle: divide the fixed points out of the second iterate
    second = sympy.cancel((image.subs(x, image) - x) / (image - x))
    roots = sympy.Poly(sympy.numer(sympy.together(second)), x).all_coeffs()
    yield Statement(
        label="logistic-map-flip",
        text="which passes −1 at r = 3. From there on a 2-cycle exists; the product of the slopes along it is",
        left=r"(1 + f'(p))(1 + f'(q))",
        derived=sympy.simplify(
            r**2 * (1 - 2 * (-roots[1] / roots[0]) + 4 * roots[2] / roots[0])  # via p + q and p q
        ),
        closed_form=4 + 2 * r - r**2,
        source="strogatz2015, sec. 10.3",
    )
