"""Activations: NumPy against the theory's expressions, derivatives, errors."""

import numpy as np
import pytest
import sympy

from resdyn.activations import NAMED, activation
from resdyn_theory.activations import EXPRESSIONS, z

POINTS = np.array([-40.0, -7.3, -1.0, -1e-6, 1e-6, 0.4, 3.0, 12.0, 40.0])


def exact(expression, points):
    # rational points, so that SymPy can add digits until cancellation is overcome
    return np.array([float(sympy.N(expression.subs(z, sympy.Rational(float(point))), 30)) for point in points])


@pytest.mark.parametrize("name", NAMED)
def test_named_activations_are_those_of_the_theory(name):
    assert np.allclose(NAMED[name].value(POINTS), exact(EXPRESSIONS[name], POINTS), rtol=1e-13, atol=0)


@pytest.mark.parametrize("name", NAMED)
def test_derivatives_are_those_that_sympy_derives(name):
    derivative = sympy.diff(EXPRESSIONS[name], z)
    # relative accuracy also in the tails, where 1 − y rounds to zero
    assert np.allclose(NAMED[name].derivative(POINTS), exact(derivative, POINTS), rtol=1e-12, atol=0)


def test_every_activation_of_the_theory_has_a_name():
    assert set(EXPRESSIONS) == set(NAMED)


@pytest.mark.parametrize("expression", [sympy.sin(z), z * sympy.exp(-(z**2)), sympy.Abs(z), sympy.Integer(2) * z])
def test_expressions_become_activations(expression):
    made = activation(expression)
    derivative = sympy.diff(expression, z)
    points = POINTS[np.abs(POINTS) < 10]
    assert np.allclose(made.value(points), exact(expression, points), rtol=1e-12)
    assert np.allclose(made.derivative(points), exact(derivative, points), rtol=1e-12)


def test_constant_derivative_fills_the_array():
    assert activation(3 * z).derivative(np.ones((2, 3))).shape == (2, 3)


def test_symbol_of_any_name_or_assumption_works():
    u = sympy.Symbol("u", positive=True)
    assert activation(u**2).value(np.array([3.0])) == 9.0


@pytest.mark.parametrize(
    ("choice", "error", "match"),
    [
        ("sigmoid", ValueError, "unknown activation 'sigmoid'.*logistic"),
        (np.tanh, TypeError, "ResidualSystem"),
        (sympy.Symbol("a") * z, ValueError, "2 \\(a, z\\)"),
        (sympy.Integer(1), ValueError, "none"),
        (3, TypeError, "one of"),
    ],
)
def test_errors_say_what_is_possible(choice, error, match):
    with pytest.raises(error, match=match):
        activation(choice)


def test_function_that_kernels_cannot_compute_is_refused_by_name():
    with pytest.raises(NotImplementedError, match="besselj"):
        activation(sympy.besselj(0, z))
