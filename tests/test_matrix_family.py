"""ResidualMap and LogisticResiduals: closed forms, the theory's Jacobians, named members, bad input."""

import importlib

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

import resdyn
from resdyn.activations import NAMED
from resdyn_theory.activations import EXPRESSIONS
from resdyn_theory.activations import z as argument

RNG = np.random.default_rng(0)


def symbolic_layer(n, name):
    """x' of one layer with every number a symbol, and the symbols, from the theory's definition."""
    interpolation = importlib.import_module("resdyn_theory.interpolation")
    W = sympy.Matrix(n, n, sympy.symbols(f"w:{n * n}"))
    b, x = (sympy.Matrix(sympy.symbols(f"{letter}:{n}")) for letter in "bx")
    layer = interpolation.damped_map(x, W, b, interpolation.lam, interpolation.alpha)
    activation = sympy.Lambda(argument, EXPRESSIONS[name])
    return layer.replace(interpolation.phi, activation), x, [*W, *b, *x, *interpolation_symbols(interpolation)]


def interpolation_symbols(interpolation):
    return interpolation.h, interpolation.lam, interpolation.alpha


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("name", sorted(NAMED))
def test_map_and_jacobian_are_those_of_the_theory(n, name):
    layer, x, symbols = symbolic_layer(n, name)
    jacobian = layer.jacobian(x)
    exact = sympy.lambdify(symbols, [layer, jacobian], modules=[{"Heaviside": lambda v, _=0: float(v > 0)}, "numpy"])
    for _ in range(5):
        W, b, state = RNG.normal(size=(n, n)), RNG.normal(size=n), RNG.normal(size=n)
        h, damping, gain = RNG.uniform(0.1, 1, 3)
        expected, slope = exact(*W.ravel(), *b, *state, h, damping, gain)
        system = resdyn.ResidualMap(W, b, activation=name, step=h, damping=damping, gain=gain)
        after = resdyn.simulate(system, state, depth=1).final
        assert np.allclose(after, np.ravel(expected), rtol=1e-13, atol=1e-13)
        assert np.allclose(resdyn.block_jacobian(system, 0.0, state).to_dense(), slope, rtol=1e-12, atol=1e-12)
        assert np.allclose(np.eye(n) + h * system.jacobian(0.0, state), slope, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_logistic_residuals_are_those_of_the_theory(n):
    # ẏ = y(1 − y)∘(Wy) by the chain rule, from the compiled ż
    W = RNG.normal(size=(n, n))
    y = RNG.uniform(0.05, 0.95, (20, n))
    system = resdyn.logistic_residuals(W)
    z = system.from_residuals(y)
    assert np.allclose(y * (1 - y) * system.residual(0.0, z), y * (1 - y) * (y @ W.T), rtol=1e-12)


def test_closed_residuals_follow_the_network():
    W, b, x0 = RNG.normal(size=(6, 6)), RNG.normal(size=6), RNG.normal(size=(20, 6))
    network = resdyn.ResidualMap.residual(W, b, step=0.3)
    closed = resdyn.logistic_residuals(W, b, step=0.3)
    by_network = resdyn.simulate(network, x0, depth=50)
    by_residuals = resdyn.simulate(closed, closed.from_input(x0), depth=50)
    # z = W x + b is of size 30 here, and rounding accumulates over 50 layers
    assert np.allclose(by_network.y, by_residuals.y, atol=1e-11)


def test_bias_of_logistic_residuals_only_sets_the_start():
    W, x0 = RNG.normal(size=(4, 4)), RNG.normal(size=4)
    with_bias, without = resdyn.logistic_residuals(W, np.ones(4)), resdyn.logistic_residuals(W)
    assert np.array_equal(with_bias.residual(0.0, x0), without.residual(0.0, x0))
    assert np.array_equal(with_bias.from_input(x0), without.from_input(x0) + 1)


def test_saturated_states_stay_saturated_in_map_and_flow():
    system = resdyn.logistic_residuals(resdyn.systems.cyclic_weights(), step=0.1)
    start = system.from_residuals([[0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    assert np.isneginf(start[0, 0])
    assert np.isposinf(start[0, 1])
    with pytest.raises(ValueError, match="DOP853 cannot start from infinite states"):
        resdyn.simulate(system, start, depth=20, method="DOP853")
    for method in ("residual", "RK45"):
        trajectory = resdyn.simulate(system, start, depth=20, method=method)
        assert (trajectory.status == resdyn.Status.OK).all()
        assert (trajectory.y[:, 0, 0] == 0).all()
        assert (trajectory.y[:, 0, 1] == 1).all()


@given(st.floats(0, 1))
def test_from_residuals_inverts_the_activation(value):
    system = resdyn.logistic_residuals(np.eye(1))
    assert system.activations(0.0, system.from_residuals([value]))[0] == pytest.approx(value, abs=1e-15)


# --- named members ----------------------------------------------------------------------------------


def test_residual_names_a_constructor_on_the_class_and_a_method_on_systems():
    W = RNG.normal(size=(3, 3))
    network = resdyn.ResidualMap.residual(W, step=0.5)
    x = RNG.normal(size=3)
    assert np.allclose(network.residual(0.0, x), expit(W @ x))


def test_named_members_are_the_formulas_they_name():
    W, b, x = RNG.normal(size=(4, 4)), RNG.normal(size=4), RNG.normal(size=4)
    y, h, lam = expit(W @ x + b), 0.3, 0.7
    S = (W + W.T) / 2
    expected = {
        "residual": (resdyn.ResidualMap.residual(W, b, step=h), x + h * y),
        "mlp": (resdyn.ResidualMap.mlp(W, b), y),
        "interpolated": (resdyn.ResidualMap.interpolated(W, b, coefficient=lam), (1 - lam) * x + y),
        "lambda_interpolated": (
            resdyn.ResidualMap.lambda_interpolated(W, b, coefficient=lam),
            (1 - lam) * x + (1 + lam) * y,
        ),
        "leaky_rnn": (resdyn.ResidualMap.leaky_rnn(W, b, leak=lam), (1 - lam) * x + lam * np.tanh(W @ x + b)),
        "hopfield": (
            resdyn.ResidualMap.hopfield(S, b, tau=2.0, step=h),
            x + h * (-x + np.tanh(S @ x + b)) / 2.0,
        ),
    }
    for name, (system, after) in expected.items():
        assert np.allclose(resdyn.simulate(system, x, depth=1).final, after, rtol=1e-13), name


def test_hopfield_rates_are_the_usual_potentials_seen_through_the_weights():
    # u = W x + b of τẋ = −x + φ(Wx + b) obeys τu̇ = −(u − b) + Wφ(u)
    S, b = resdyn.systems.symmetric_weights(5), RNG.normal(size=5)
    system = resdyn.ResidualMap.hopfield(S, b, tau=3.0)
    x = RNG.normal(size=5)
    u = S @ x + b
    assert np.allclose(S @ system.residual(0.0, x), (-(u - b) + S @ np.tanh(u)) / 3.0)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: resdyn.ResidualMap.residual(np.eye(2), damping=0.5), TypeError, "damping=0.5 has no meaning"),
        (lambda: resdyn.ResidualMap.mlp(np.eye(2), step=0.5), TypeError, "step=0.5 has no meaning"),
        (lambda: resdyn.ResidualMap.leaky_rnn(np.eye(2), leak=1.5), ValueError, r"\(0, 1\]"),
        (lambda: resdyn.ResidualMap.leaky_rnn(np.eye(2), leak=0), ValueError, "above 0"),
        (lambda: resdyn.ResidualMap.hopfield([[0, 1.0], [2.0, 0]]), ValueError, "symmetric.*leaky_rnn"),
        (lambda: resdyn.ResidualMap.hopfield(np.zeros((2, 2, 2))), ValueError, r"\(N, N\)"),
    ],
)
def test_named_members_refuse_what_contradicts_them(make, error, match):
    with pytest.raises(error, match=match):
        make()


# --- layers, immutability, replace --------------------------------------------------------------------


def test_each_layer_has_its_own_numbers():
    T, n = 4, 3
    W, b = RNG.normal(size=(T, n, n)), RNG.normal(size=(T, n))
    damping, gain = RNG.uniform(size=T), RNG.uniform(size=T)
    system = resdyn.ResidualMap(W, b, damping=damping, gain=gain, step=0.5, activation="tanh")
    assert system.depth == T
    x = RNG.normal(size=n)
    for k in range(T):
        expected = -damping[k] * x + gain[k] * np.tanh(W[k] @ x + b[k])
        assert np.allclose(system.residual(k * 0.5, x), expected)
        assert np.allclose(system.residual((k + 0.9) * 0.5, x), expected)
    assert np.allclose(system.residual(T * 0.5, x), system.residual((T - 1) * 0.5, x))
    with pytest.raises(ValueError, match="outside the network"):
        system.residual(T * 0.5 + 0.1, x)
    with pytest.raises(ValueError, match="outside the network"):
        system.residual(-0.1, x)


@pytest.mark.parametrize("argument", ["W", "b", "damping", "gain"])
def test_any_layerwise_argument_gives_the_depth(argument):
    n, T = 3, 5
    shared = {"W": np.eye(n), "b": np.zeros(n), "damping": 0.1, "gain": 1.0}
    layered = shared | {argument: np.stack([shared[argument]] * T)}
    W, b = layered.pop("W"), layered.pop("b")
    system = resdyn.ResidualMap(W, b, **layered)
    assert system.depth == T
    same = resdyn.ResidualMap(shared["W"], shared["b"], damping=0.1)
    x0 = RNG.normal(size=n)
    assert np.allclose(resdyn.simulate(system, x0).x, resdyn.simulate(same, x0, depth=T).x, rtol=1e-14)


def test_arrays_are_copied_and_read_only():
    W = np.eye(2)
    system = resdyn.ResidualMap(W)
    W[0, 0] = 7.0
    assert system.W[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        system.W[0, 0] = 2.0
    with pytest.raises(AttributeError):
        system.step = 2.0


def test_replace_changes_one_thing():
    system = resdyn.ResidualMap(np.eye(2), [1.0, 2.0], activation="tanh", step=0.5, damping=0.1, name="mine")
    other = system.replace(step=0.25)
    assert (other.step, other.name, other.activation.name) == (0.25, "mine", "tanh")
    assert np.array_equal(other.b, system.b)
    with pytest.raises(TypeError, match="no argument 'weights'"):
        system.replace(weights=np.eye(2))
    closed = resdyn.logistic_residuals(np.eye(2), [1.0, 2.0])
    assert closed.replace(step=0.1).step == 0.1
    with pytest.raises(TypeError, match="no argument 'damping'"):
        closed.replace(damping=1.0)


# --- bad input ------------------------------------------------------------------------------------------

EYE = np.eye(3)
NAN, INF = np.full((3, 3), np.nan), np.where(EYE, np.inf, 0.0)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "match"),
    [
        ((np.ones((2, 3)),), {}, ValueError, r"W has shape \(2, 3\).*\(N, N\)"),
        ((np.ones(3),), {}, ValueError, r"W has shape \(3,\)"),
        ((np.ones((2, 2, 2, 2)),), {}, ValueError, "must have shape"),
        ((np.empty((0, 0)),), {}, ValueError, "must have shape"),
        ((np.empty((0, 3, 3)),), {}, ValueError, "must have shape"),
        ((NAN,), {}, ValueError, "W holds NaN.*9 of 9"),
        ((INF,), {}, ValueError, r"W holds infinite values \(3 of 9 entries, the first at index \(0, 0\)"),
        ((EYE.astype(object),), {}, TypeError, "W must be an array of real numbers.*object"),
        ((EYE.astype(complex),), {}, TypeError, "complex"),
        (([[1.0, 2.0], [3.0]],), {}, TypeError, "ragged"),
        (("weights",), {}, TypeError, "real numbers"),
        ((EYE, np.ones(2)), {}, ValueError, r"b has shape \(2,\), but W acts on 3 units"),
        ((EYE, 1.0), {}, ValueError, r"b has shape \(\)"),
        ((EYE, np.ones((2, 2, 3))), {}, ValueError, r"b has shape \(2, 2, 3\)"),
        ((EYE, [0, np.nan, 0]), {}, ValueError, "b holds NaN"),
        ((np.stack([EYE] * 4), np.ones((5, 3))), {}, ValueError, "disagree on the number of layers.*'W': 4, 'b': 5"),
        ((np.stack([EYE] * 4),), {"damping": np.ones(3)}, ValueError, "disagree"),
        ((EYE,), {"damping": np.ones((2, 2))}, ValueError, r"damping has shape \(2, 2\)"),
        ((EYE,), {"gain": np.nan}, ValueError, "gain holds NaN"),
        ((EYE,), {"step": 0.0}, ValueError, "step must be a finite number above 0"),
        ((EYE,), {"step": -1}, ValueError, "above 0"),
        ((EYE,), {"step": np.inf}, ValueError, "finite"),
        ((EYE,), {"step": "long"}, TypeError, "step must be a number"),
        ((EYE,), {"activation": "sigmoid"}, ValueError, "unknown activation"),
    ],
)
def test_residual_map_refuses(arguments, options, error, match):
    with pytest.raises(error, match=match):
        resdyn.ResidualMap(*arguments, **options)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((np.ones((2, 3, 3)),), "shared by all layers"),
        ((EYE, np.ones((4, 3))), r"b must have shape \(3,\)"),
        ((NAN,), "NaN"),
    ],
)
def test_logistic_residuals_need_shared_weights(arguments, match):
    with pytest.raises(ValueError, match=match):
        resdyn.logistic_residuals(*arguments)


@pytest.mark.parametrize("y", [[0.5, 1.1, 0.5], [-0.1, 0, 0]])
def test_from_residuals_refuses_values_outside_the_cube(y):
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        resdyn.logistic_residuals(EYE).from_residuals(y)


@pytest.mark.parametrize("make", [resdyn.ResidualMap, resdyn.logistic_residuals])
def test_states_of_another_shape_do_not_broadcast(make):
    system = make(EYE)
    for x in (np.ones(4), np.ones((3, 1)), 1.0, np.ones((2, 4))):
        with pytest.raises(ValueError, match=r"states of shape \(3,\).*\(\*batch, 3\)"):
            system.residual(0.0, x)
    with pytest.raises(ValueError, match="at one state"):
        system.linearize(0.0, np.ones((2, 3)))


@pytest.mark.parametrize("inputs", [3.0, np.ones(2), np.ones((5, 3)), np.ones((2, 1))])
def test_drives_of_another_shape_do_not_broadcast(inputs):
    with pytest.raises(ValueError, match=r"inputs has shape .*drive of one layer has shape \(3,\)"):
        resdyn.ResidualMap(EYE).residual(0.0, np.zeros((2, 3)), inputs=inputs)


@pytest.mark.parametrize("W", [np.asfortranarray(RNG.normal(size=(3, 3))), np.arange(9).reshape(3, 3), EYE > 0.5])
def test_any_layout_and_real_type_of_weights_works(W):
    system = resdyn.ResidualMap(W, step=0.1)
    assert system.W.dtype == np.float64
    x0 = RNG.normal(size=(10, 3))
    expected = x0 + 0.1 * expit(x0 @ np.asarray(W, dtype=float).T)
    assert np.allclose(resdyn.simulate(system, x0, depth=1).final, expected, rtol=1e-14)
