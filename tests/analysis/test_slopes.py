"""What certificates know of activations: bounds of slopes, and differences that lose no digits."""

import mpmath
import numpy as np
import pytest

from resdyn.analysis.certificates.slopes import KNOWN

EPS = np.finfo(float).eps

EXACT = {
    "logistic": (lambda u: 1 / (1 + mpmath.exp(-u)), lambda u: mpmath.log(1 + mpmath.exp(u))),
    "tanh": (mpmath.tanh, lambda u: mpmath.log(mpmath.cosh(u))),
    "relu": (lambda u: max(u, mpmath.mpf(0)), lambda u: max(u, mpmath.mpf(0)) ** 2 / 2),
    "softplus": (lambda u: mpmath.log(1 + mpmath.exp(u)), lambda u: -mpmath.polylog(2, -mpmath.exp(u)).real),
    "identity": (lambda u: u, lambda u: u**2 / 2),
}


@pytest.mark.parametrize("name", EXACT)
def test_increments_and_gaps_lose_no_digits(name):
    slopes = KNOWN[name]
    value, integral = EXACT[name]
    rng = np.random.default_rng(0)
    states = np.concatenate([rng.normal(size=12) * 3, [-60.0, -20.0, 0.0, 20.0, 60.0]])
    moves = np.concatenate(
        [np.array([1e-12, 1e-6, 0.9e-4, 1.1e-4, 1e-2, 0.9, 1.1, 30.0]), -np.array([1e-9, 1e-3, 2.0])]
    )
    u, e = (grid.ravel() for grid in np.meshgrid(states, moves))
    with mpmath.workdps(160):
        exact = []
        for a, b in zip(map(mpmath.mpf, u.tolist()), map(mpmath.mpf, e.tolist()), strict=True):
            exact.append(
                (
                    value(a + b) - value(a),
                    integral(a + b) - integral(a) - value(a) * b,
                    a * value(a) - integral(a),
                )
            )
        increment, bregman, legendre = np.array(exact, dtype=float).T
    # u + e itself is rounded: EPS·|u|
    shake = 4 * EPS * np.abs(u) if name in ("relu", "softplus", "identity") else 0.0
    assert np.allclose(slopes.increment(u, e), increment, rtol=1e-12, atol=1e-300 + shake)
    assert np.allclose(
        slopes.bregman(u, e), bregman, rtol=1e-11, atol=1e-300 + shake * np.abs(e) + 1e-13 * (name == "relu")
    )
    assert (slopes.bregman(u, e) >= -1e-12 * (name in ("relu", "softplus"))).all()
    assert np.allclose(slopes.legendre(u), legendre, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", KNOWN)
def test_bounds_of_slopes_and_curvature_are_reached_and_not_exceeded(name):
    slopes = KNOWN[name]
    u = np.linspace(-30, 30, 600_001)
    slope = slopes.activation.derivative(u)
    assert slopes.least <= slope.min() <= slopes.least + 1e-12
    assert slopes.greatest - 1e-9 <= slope.max() <= slopes.greatest
    if slopes.curvature is not None:
        largest = np.abs(np.gradient(slope, u)).max()
        # differences of neighbours: rounding over the spacing of 1e-4
        assert largest <= slopes.curvature * (1 + 1e-7) + 1e-11
        assert largest == pytest.approx(slopes.curvature, rel=1e-4, abs=1e-11)
    if np.isfinite(slopes.zero):
        assert slopes.activation.value(np.array(slopes.zero)) == 0
