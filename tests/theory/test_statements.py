"""Every statement of the theory holds, and a false one would be noticed."""

import importlib
import pkgutil

import pytest
import sympy

import resdyn_theory
from resdyn_theory import Statement, SymbolicSystem
from resdyn_theory.symbolic import _vanishes

MODULES = [
    name
    for _, name, package in pkgutil.walk_packages(resdyn_theory.__path__, "resdyn_theory.")
    if not package and hasattr(importlib.import_module(name), "statements")
]
STATEMENTS = [statement for name in MODULES for statement in importlib.import_module(name).statements()]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.label)
def test_statement_holds(statement):
    assert statement.holds()


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.label)
def test_statement_would_fail_if_its_claim_were_wrong(statement):
    wrong = statement.closed_form
    wrong = wrong + sympy.ones(*wrong.shape) if isinstance(wrong, sympy.MatrixBase) else wrong + sympy.Symbol("x") ** 2
    assert not Statement("wrong", "", statement.derived, wrong).holds()


def test_labels_are_unique():
    labels = [statement.label for statement in STATEMENTS]
    assert len(labels) == len(set(labels))


def test_matrices_of_different_shape_are_not_equal():
    assert not Statement("shapes", "", sympy.zeros(2, 1), sympy.zeros(1, 2)).holds()
    assert not Statement("shapes", "", sympy.zeros(2, 1), sympy.Integer(0)).holds()


def test_adjoint_in_the_wrong_order_is_false():
    # the order of the transposed blocks is the content of that statement
    a, b, c, d = sympy.symbols("a b c d", commutative=True)
    A, B = sympy.Matrix([[1, a], [0, b]]), sympy.Matrix([[c, 0], [d, 1]])
    assert not Statement("order", "", (A * B).T, A.T * B.T).holds()
    assert Statement("order", "", (A * B).T, B.T * A.T).holds()


def test_undecidable_is_not_true():
    x = sympy.Symbol("x")
    assert not _vanishes(sympy.Function("f")(x))


x, y, a = sympy.symbols("x y a")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"state": (x,), "residual": (x, y)}, "1 state symbols.*2 components"),
        ({"state": (), "residual": ()}, "0 state symbols"),
        ({"state": (x,), "residual": (a * x,)}, "uses a, which is neither"),
    ],
)
def test_symbolic_system_refuses_what_it_cannot_mean(arguments, match):
    with pytest.raises(ValueError, match=match):
        SymbolicSystem("broken", **arguments)


def test_jacobian_of_a_symbolic_system():
    system = SymbolicSystem("s", (x, y), (a * x * y, x + y**2), {a: 2})
    assert system.jacobian == sympy.ImmutableMatrix([[a * y, a * x], [1, 2 * y]])
    assert system.dimension == 2
    assert dict(system.defaults) == {a: 2.0}
    assert hash(system) == hash(SymbolicSystem("s", (x, y), (a * x * y, x + y**2), {a: 2}))
