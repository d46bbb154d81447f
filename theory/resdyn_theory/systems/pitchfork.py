"""The pitchfork: f = r x − x³, the simplest residual with two attractors."""

from collections.abc import Iterator

import sympy
from sympy import sqrt, symbols

from resdyn_theory.symbolic import Statement, SymbolicSystem

x = symbols("x", real=True)
r, h = symbols("r h", positive=True)

SYSTEM = SymbolicSystem(
    name="pitchfork",
    state=(x,),
    residual=(r * x - x**3,),
    parameters={r: 1.0},
    description="One unit with a stable state on either side of zero.",
    source="strogatz2015, sec. 3.4",
)


def statements() -> Iterator[Statement]:
    """The branches, their multipliers, and the 2-cycle that only the map has."""
    (f,) = SYSTEM.residual
    branches = [value for value in sympy.solve(f, x) if value != 0]
    yield Statement(
        label="pitchfork-branches",
        text="Besides zero, the fixed points of map and flow lie on two branches,",
        left=r"x_\pm^2",
        derived=sympy.ImmutableMatrix([value**2 for value in branches]),
        closed_form=sympy.ImmutableMatrix([r, r]),
        right="r",
        source="strogatz2015, sec. 3.4",
    )
    slope = sympy.diff(f, x).subs(x, sqrt(r))
    yield Statement(
        label="pitchfork-multiplier",
        text="On the branches one block multiplies a small perturbation by",
        left=r"1 + h f'(x_\pm)",
        derived=1 + h * slope,
        closed_form=1 - 2 * h * r,
        source="strogatz2015, sec. 10.1",
    )
    (flip,) = sympy.solve(sympy.Eq(1 + h * slope, -1), h)
    yield Statement(
        label="pitchfork-flip",
        text="so the flow is stable there for every r > 0, the map only up to the step",
        left=r"h^\ast",
        derived=flip,
        closed_form=1 / r,
        source="strogatz2015, sec. 10.3",
    )
    # beyond it; write h = 1 + d with d > 0, so that the roots are real
    d = symbols("d", positive=True)
    step = 1 + d
    total, difference = sqrt(1 + 3 / step), sqrt(1 - 1 / step)
    u, v = (total - difference) / 2, (total + difference) / 2
    yield Statement(
        label="pitchfork-cycle",
        text=(
            "Beyond it, for r = 1 and h = 1 + d, the map ends on a 2-cycle that the flow does not have: it takes "
            "u = (√(1 + 3/h) − √(1 − 1/h))/2 to"
        ),
        left=r"u + h(u - u^3)",
        derived=sympy.simplify(sympy.expand(u + step * (u - u**3))),
        closed_form=v,
    )
