"""The iterate of a map is a system, and its layer is that many layers."""

import numpy as np
import pytest

import resdyn
import resdyn.operators
from resdyn.iterated import IteratedMap
from resdyn.testing import check_system


@pytest.mark.parametrize("period", [1, 2, 5])
@pytest.mark.parametrize("name", ["pitchfork", "Hénon map", "leaky RNN", "logistic residuals", "interpolated network"])
def test_one_layer_of_the_iterate_is_that_many_layers(name, period):
    system = resdyn.systems.catalogue()[name]()
    x0 = 0.3 * np.random.default_rng(0).standard_normal((5, *system.shape))
    layers = resdyn.simulate(system, x0, depth=3 * period, save=period)
    iterated = resdyn.simulate(IteratedMap(system, period), x0, depth=3)
    # the logistic map and Hénon stretch differences of rounding, at most a hundredfold per five layers
    assert np.allclose(iterated.x, layers.x, rtol=1e-9, atol=1e-10)
    assert np.allclose(iterated.t, layers.t)


@pytest.mark.parametrize("name", ["pitchfork", "Hénon map", "leaky RNN", "logistic residuals"])
def test_the_iterate_keeps_the_contract_of_systems(name):
    system = IteratedMap(resdyn.systems.catalogue()[name](), 3)
    check_system(system, states=0.3 * np.random.default_rng(1).standard_normal((4, *system.shape)))


def test_a_system_without_a_jacobian_is_linearized_by_its_operators():
    class Operators:
        """Only what every system has."""

        name, shape, step, depth = "matrices", (2, 3), 0.1, None

        def residual(self, t, x):
            return -(np.asarray(x) ** 3)

        def linearize(self, t, x):
            return resdyn.operators.ScaledMatrix(np.diag(-3 * np.ravel(x) ** 2))

    system = IteratedMap(Operators(), 4)
    assert not hasattr(system, "jacobian")
    check_system(system, rtol=1e-5)


def test_the_two_cycle_of_the_logistic_map_is_fixed_under_two_layers():
    r = 3.2
    system = IteratedMap(resdyn.systems.logistic_map(r=r), 2)
    # x± = (r + 1 ± √((r − 3)(r + 1))) / 2r, with multiplier 4 + 2r − r²
    cycle = (r + 1 + np.array([[-1.0], [1.0]]) * np.sqrt((r - 3) * (r + 1))) / (2 * r)
    assert np.abs(system.residual(0.0, cycle)).max() < 1e-15
    multipliers = 1 + system.step * system.jacobian(0.0, cycle).ravel()
    assert np.allclose(multipliers, 4 + 2 * r - r**2, atol=1e-13)


def test_layers_that_differ_have_no_iterate():
    system = resdyn.ResidualMap(resdyn.systems.random_weights(2, depth=3))
    with pytest.raises(ValueError, match="3 layers of its own"):
        IteratedMap(system, 2)
    with pytest.raises(ValueError, match="period must be at least 1"):
        IteratedMap(resdyn.systems.henon(), 0)
