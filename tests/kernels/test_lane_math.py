"""The vectorisable elementary functions: accuracy against extended precision, special values, coefficients."""

import mpmath
import numpy as np
import pytest
from numba import njit

from resdyn.kernels import lane_math

REFERENCE = {
    "exp": np.exp,
    "expm1": np.expm1,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "softplus": lambda z: np.logaddexp(np.longdouble(0), z),
    "relu": lambda z: np.maximum(z, 0),
}
# units in the last place; each composition of two roundings adds about one
LARGEST_ULP = {"exp": 1.1, "expm1": 2.5, "logistic": 2.5, "tanh": 3.0, "softplus": 4.5, "relu": 0.0}


def on_array(function):
    @njit(fastmath=lane_math.FAST, error_model="numpy")
    def run(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    def call(x):
        out = np.empty_like(x)
        run(x, out)
        return out

    return call


@pytest.mark.parametrize("kind", [lane_math.float64, lane_math.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", REFERENCE)
def test_functions_are_accurate_to_a_few_ulp(kind, name):
    rng = np.random.default_rng(0)
    x = np.concatenate([np.linspace(-30, 30, 40001), 1e-3 * rng.normal(size=5000), 1e-9 * rng.normal(size=500)])
    x = x.astype(kind.real)
    found = on_array(getattr(kind, name))(x)
    exact = REFERENCE[name](x.astype(np.longdouble))
    ulp = np.spacing(np.abs(exact).astype(kind.real))
    assert float((np.abs(found - exact) / ulp).max()) <= LARGEST_ULP[name]


@pytest.mark.parametrize("kind", [lane_math.float64, lane_math.float32], ids=["float64", "float32"])
def test_infinities_saturate_and_nan_stays(kind):
    ends = np.array([np.nan, np.inf, -np.inf], dtype=kind.real)
    tiny = 1e-37
    for name, (high, low) in {
        "logistic": (1.0, 0.0),
        "tanh": (1.0, -1.0),
        "relu": (np.inf, 0.0),
        "softplus": (np.inf, 0.0),
    }.items():
        values = on_array(getattr(kind, name))(ends)
        assert np.isnan(values[0])
        assert values[1] == high
        assert values[2] == pytest.approx(low, abs=tiny)
    assert np.isnan(on_array(kind.exp)(ends)[0])
    assert np.isfinite(on_array(kind.exp)(ends)[1:]).all()  # clamped: products with 0 stay 0


def chebyshev_interpolant(function, low, high, count):
    """Coefficients of the polynomial through ``count`` Chebyshev nodes, in 50 digits."""
    with mpmath.workdps(50):
        nodes = [
            (low + high) / 2 + (high - low) / 2 * mpmath.cos(mpmath.pi * (2 * k + 1) / (2 * count))
            for k in range(count)
        ]
        matrix = mpmath.matrix([[node**j for j in range(count)] for node in nodes])
        solution = mpmath.lu_solve(matrix, mpmath.matrix([function(node) for node in nodes]))
        return [float(value) for value in solution]


def test_exp_coefficients_are_the_interpolant_that_the_module_describes():
    edge = mpmath.log(2) / 2 * mpmath.mpf("1.0001")

    def q(r):
        return (mpmath.exp(r) - 1 - r) / r**2

    assert list(lane_math.EXP64) == pytest.approx(chebyshev_interpolant(q, -edge, edge, 10), rel=1e-9)
    assert [float(c) for c in lane_math.EXP32] == pytest.approx(chebyshev_interpolant(q, -edge, edge, 6), rel=1e-6)


def test_log1p_coefficients_are_the_interpolant_that_the_module_describes():
    def ratio(v):
        return mpmath.atanh(mpmath.sqrt(v)) / mpmath.sqrt(v)

    ninth = mpmath.mpf(1) / 9
    assert list(lane_math.ARTANH64) == pytest.approx(chebyshev_interpolant(ratio, 0, ninth, 11), rel=1e-9)
    assert [float(c) for c in lane_math.ARTANH32] == pytest.approx(chebyshev_interpolant(ratio, 0, ninth, 6), rel=1e-6)


@pytest.mark.parametrize("kind", [lane_math.float64, lane_math.float32], ids=["float64", "float32"])
def test_rough_log2_is_good_enough_to_choose_a_step_size(kind):
    x = np.geomspace(1e-30, 1e30, 10001).astype(kind.real)
    assert np.abs(on_array(kind.rough_log2)(x) - np.log2(x)).max() < 0.0861  # 1/ln 2 − 1 − log2(1/ln 2)... at most


def on_array_pair(function):
    @njit(fastmath=lane_math.FAST, error_model="numpy")
    def run(x, first, second):
        for i in range(x.size):
            first[i], second[i] = function(x[i])

    def call(x):
        first, second = np.empty_like(x), np.empty_like(x)
        run(x, first, second)
        return first, second

    return call


@pytest.mark.parametrize("kind", [lane_math.float64, lane_math.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", ["logistic", "tanh", "softplus", "relu"])
def test_slopes_keep_their_digits_where_values_saturate(kind, name):
    # beyond 87/2 the slope of tanh is below the smallest number of float32
    x = np.concatenate([np.linspace(-40, 40, 4001), 1e-9 * np.linspace(-1, 1, 101)]).astype(kind.real)
    value, slope = on_array_pair(getattr(kind, f"{name}_with_slope"))(x)
    z = x.astype(np.longdouble)
    e = np.exp(-np.abs(z))
    exact = {
        "logistic": e / (1 + e) ** 2,
        "tanh": 4 * e**2 / (1 + e**2) ** 2,
        "softplus": np.where(z < 0, e, 1) / (1 + e),
        "relu": (z > 0).astype(np.longdouble),
    }[name]
    # five roundings, and twice the error of the exponential
    assert float((np.abs(slope - exact) / np.spacing(np.abs(exact).astype(kind.real))).max()) <= 8
    expected = REFERENCE[name](z)
    assert float((np.abs(value - expected) / np.spacing(np.abs(expected).astype(kind.real))).max()) <= 5
    ends = np.array([np.inf, -np.inf, np.nan], dtype=kind.real)
    values, slopes = on_array_pair(getattr(kind, f"{name}_with_slope"))(ends)
    assert slopes[:2] == pytest.approx({"softplus": [1, 0], "relu": [1, 0]}.get(name, [0, 0]), abs=1e-30)
    assert np.isnan(values[2])


def test_split_and_log():
    x = np.concatenate([10.0 ** np.linspace(-300, 300, 2001), np.linspace(0.5, 2, 1001), [1.0]])

    @njit
    def split_all(x, m, e):
        for i in range(x.size):
            m[i], e[i] = lane_math.split(x[i])

    m, e = np.empty_like(x), np.empty(x.size, dtype=np.int64)
    split_all(x, m, e)
    assert np.array_equal(np.ldexp(m, e), x)
    assert (m >= 1).all()
    assert (m < 2).all()
    log = on_array(lane_math.log)
    assert np.abs(log(x) - np.log(x)).max() <= 2e-16 * np.abs(np.log(x)).max()
    assert np.abs(log(x[2001:]) - np.log(x[2001:])).max() <= 4e-16
    special = log(np.array([0.0, np.inf, np.nan]))
    assert np.isneginf(special[0])
    assert np.isnan(special[1:]).all()  # an infinite factor is no factor
