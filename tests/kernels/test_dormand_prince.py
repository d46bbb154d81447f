"""The tableau against the order conditions, and against SciPy's."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.integrate import RK45

from resdyn.kernels.dormand_prince import tableau


def test_rows_sum_to_the_nodes():
    a, c, _ = tableau()
    assert [sum(row) for row in a] == c[1:]


@pytest.mark.parametrize("order", range(1, 6))
def test_quadrature_conditions_of_the_fifth_order_weights(order):
    a, c, _ = tableau()
    weights = [*a[-1], Fraction(0)]
    assert sum(b * node ** (order - 1) for b, node in zip(weights, c, strict=True)) == Fraction(1, order)


@pytest.mark.parametrize("order", range(1, 5))
def test_error_weights_vanish_on_what_the_fourth_order_method_integrates(order):
    _, c, e = tableau()
    assert sum(d * node ** (order - 1) for d, node in zip(e, c, strict=True)) == 0


def test_same_pair_as_scipy():
    a, c, e = tableau()
    assert np.array_equal([float(v) for v in c[:-1]], RK45.C)
    assert np.allclose([float(v) for v in a[-1]], RK45.B, atol=1e-15)
    # SciPy's error is the negative of ours for part of its history; the sign does not matter
    assert np.allclose(np.abs([float(v) for v in e]), np.abs(RK45.E), atol=1e-15)
