"""The Lorenz flow."""

from collections.abc import Iterator

import sympy
from sympy import sqrt, symbols

from resdyn_theory.symbolic import Statement, SymbolicSystem

x, y, z = symbols("x y z", real=True)
sigma, beta = symbols("sigma beta", positive=True)
rho = symbols("rho", real=True)

SYSTEM = SymbolicSystem(
    name="Lorenz flow",
    state=(x, y, z),
    residual=(sigma * (y - x), x * (rho - z) - y, x * y - beta * z),
    parameters={sigma: 10.0, rho: 28.0, beta: 8 / 3},
    description="Three units whose flow is chaotic at the default parameters.",
    source="lorenz1963",
)


def statements() -> Iterator[Statement]:
    """Dissipation, the pair of fixed points, and where they lose stability."""
    A = sympy.Matrix(SYSTEM.jacobian)
    yield Statement(
        label="lorenz-divergence",
        text="The flow contracts volumes at a constant rate,",
        left=r"\mathrm{tr}\, A",
        derived=A.trace(),
        closed_form=-(sigma + 1 + beta),
        source="lorenz1963",
    )
    excess = symbols("s", positive=True)  # ρ − 1
    side = sqrt(beta * excess)
    point = {x: side, y: side, z: excess, rho: 1 + excess}
    yield Statement(
        label="lorenz-fixed-points",
        text="For ρ > 1 it has two fixed points beside zero, x = y = ±√(β(ρ − 1)), z = ρ − 1, where",
        left=r"f",
        derived=sympy.ImmutableMatrix([sympy.simplify(f.subs(point)) for f in SYSTEM.residual]),
        closed_form=sympy.ImmutableMatrix.zeros(3, 1),
        source="lorenz1963",
    )
    # characteristic polynomial λ³ + c2 λ² + c1 λ + c0; a Hopf bifurcation where c2 c1 = c0
    lam = symbols("lambda")
    coefficients = sympy.Poly((lam * sympy.eye(3) - A.subs(point)).det(), lam).all_coeffs()
    (critical,) = sympy.solve(sympy.simplify(coefficients[1] * coefficients[2] - coefficients[3]), excess)
    yield Statement(
        label="lorenz-hopf",
        text=(
            "For σ > β + 1 they lose stability in a Hopf bifurcation, where their characteristic polynomial "
            "λ³ + c₂λ² + c₁λ + c₀ has c₂c₁ = c₀ (24.74 for the default σ and β):"
        ),
        left=r"\rho_{\mathrm H}",
        derived=sympy.simplify(1 + critical),
        closed_form=sigma * (sigma + beta + 3) / (sigma - beta - 1),
        source="strogatz2015, sec. 9.2",
    )
