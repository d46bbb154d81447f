"""simulate: maps against the loop that defines them, flows against exact solutions, every option, bad input."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import expm

import resdyn
import resdyn_theory
from resdyn import Status, _memory
from resdyn.systems import cyclic_weights, random_weights

RNG = np.random.default_rng(0)


def by_definition(system, x0, depth, inputs=None):
    """All states of x ← x + h f(t_k, x), in NumPy."""
    states = [np.asarray(x0, dtype=float)]
    for k in range(depth):
        drive = {} if inputs is None else {"inputs": inputs[k]}
        states.append(states[-1] + system.step * system.residual(k * system.step, states[-1], **drive))
    return np.stack(states)


# --- maps -----------------------------------------------------------------------------------------------

ACTIVATIONS = ["logistic", "tanh", "relu", "softplus", "identity"]


# no shrinking: every new combination compiles a kernel
@settings(max_examples=30, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    n=st.sampled_from([1, 3, 8, 9]),  # written out up to 8, BLAS above
    n_states=st.integers(0, 150),  # below, at and above the width of a block
    depth=st.integers(0, 6),
    activation=st.sampled_from(ACTIVATIONS),
    layerwise=st.booleans(),
    drive=st.sampled_from([None, "shared", "each"]),
    seed=st.integers(0, 2**16),
)
def test_kernels_do_what_the_definition_says(n, n_states, depth, activation, layerwise, drive, seed):
    rng = np.random.default_rng(seed)
    total = max(depth, 1)
    system = resdyn.ResidualMap(
        random_weights(n, depth=total if layerwise else None, rng=rng),
        rng.normal(size=(total, n) if layerwise else n),
        activation=activation,
        step=0.4,
        damping=rng.uniform(0, 1, total) if layerwise else 0.3,
        gain=1.5,
    )
    x0 = rng.normal(size=(n_states, n))
    shapes = {"shared": (total, n), "each": (total, n_states, n)}
    inputs = None if drive is None else rng.normal(size=shapes[drive])
    trajectory = resdyn.simulate(system, x0, depth=depth, inputs=inputs)
    expected = by_definition(system, x0, depth, inputs)
    assert trajectory.x.shape == (depth + 1, n_states, n)
    assert np.allclose(trajectory.x, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n", [3, 64])
def test_thousand_layers_agree_with_numpy_to_rounding(n):
    # not chaotic: the promise is |Δ| / (1 + |x|) ≤ 1e-11
    W = cyclic_weights() if n == 3 else RNG.normal(size=(n, n)) / 8 - 0.2 * np.eye(n)
    system = resdyn.ResidualMap(W, 0.1 * RNG.normal(size=n), step=0.05)
    x0 = RNG.normal(size=(200, n))
    expected = by_definition(system, x0, 1000)[-1]
    found = resdyn.simulate(system, x0, depth=1000, save="final").final
    assert (np.abs(found - expected) / (1 + np.abs(expected))).max() < 1e-11


def test_batches_of_any_shape_are_the_same_states():
    system = resdyn.ResidualMap(cyclic_weights(), step=0.1)
    x0 = RNG.normal(size=(4, 5, 3))
    together = resdyn.simulate(system, x0, depth=7)
    assert together.x.shape == (8, 4, 5, 3)
    assert together.status.shape == (4, 5)
    for i, j in np.ndindex(4, 5):
        alone = resdyn.simulate(system, x0[i, j], depth=7)
        assert alone.x.shape == (8, 3)
        assert np.allclose(alone.x, together.x[:, i, j], rtol=1e-14)


def test_permuting_units_permutes_the_trajectory():
    W, b, x0 = RNG.normal(size=(5, 5)), RNG.normal(size=5), RNG.normal(size=(30, 5))
    p = RNG.permutation(5)
    straight = resdyn.simulate(resdyn.ResidualMap(W, b, step=0.2), x0, depth=20)
    permuted = resdyn.simulate(resdyn.ResidualMap(W[np.ix_(p, p)], b[p], step=0.2), x0[:, p], depth=20)
    assert np.allclose(straight.x[..., p], permuted.x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", ["residual", "RK45"])
@pytest.mark.parametrize("n", [3, 12])
def test_number_of_threads_does_not_change_the_result(method, n):
    system = resdyn.ResidualMap(random_weights(n), step=0.1)
    x0 = RNG.normal(size=(1000, n))
    one, many = (resdyn.simulate(system, x0, depth=20, method=method, threads=t).x for t in (1, None))
    assert np.array_equal(one, many)


def test_one_symbolic_definition_and_one_python_rule_are_the_same_system():
    compiled = resdyn.systems.henon()
    rule = resdyn.ResidualSystem(lambda t, x, p: compiled.residual(t, x), (2,), name="rule")
    x0 = RNG.uniform(-0.3, 0.3, (20, 2))
    a, b = (resdyn.simulate(system, x0, depth=15).x for system in (compiled, rule))
    # chaotic: a rounding error grows by e^0.42 per step
    assert np.allclose(a, b, atol=1e-11)


def test_exponential_map_is_exact_for_a_constant_residual():
    # φ = identity of zero weights: g = b is constant, so ẋ = −λx + αb has the closed solution
    damping, gain, b, h = 0.7, 1.3, np.array([0.5, -2.0]), 0.9
    system = resdyn.ResidualMap(np.zeros((2, 2)), b, activation="identity", step=h, damping=damping, gain=gain)
    x0 = np.array([3.0, 1.0])
    trajectory = resdyn.simulate(system, x0, depth=10, method="exponential")
    rest = gain * b / damping
    exact = rest + np.exp(-damping * trajectory.t)[:, None] * (x0 - rest)
    assert np.allclose(trajectory.x, exact, rtol=1e-13)
    plain = resdyn.simulate(system, x0, depth=10)
    assert not np.allclose(plain.x, exact, rtol=1e-3)


def test_exponential_map_without_damping_is_the_residual_map():
    system = resdyn.ResidualMap(cyclic_weights(), step=0.3)
    x0 = RNG.normal(size=(10, 3))
    a, b = (resdyn.simulate(system, x0, depth=9, method=m).x for m in ("exponential", "residual"))
    assert np.array_equal(a, b)


def test_leaky_rnn_with_inputs_is_the_echo_state_update():
    n, T, a = 30, 50, 0.3
    W, W_in, u = random_weights(n, scale=0.9), RNG.normal(size=(n, 2)), RNG.normal(size=(T, 2))
    rnn = resdyn.ResidualMap.leaky_rnn(W, leak=a)
    trajectory = resdyn.simulate(rnn, np.zeros(n), inputs=u @ W_in.T)
    x = np.zeros(n)
    for k in range(T):
        x = (1 - a) * x + a * np.tanh(W @ x + W_in @ u[k])
    assert trajectory.layers[-1] == T
    assert np.allclose(trajectory.final, x, rtol=1e-12)


# --- flows ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["RK45", "DOP853", "LSODA", "Radau", "BDF", "RK23"])
def test_linear_flow_is_the_matrix_exponential(method):
    A = RNG.normal(size=(3, 3)) - np.eye(3)
    system = resdyn.ResidualMap(A, activation="identity", step=0.25)
    x0 = RNG.normal(size=(4, 3))
    trajectory = resdyn.simulate(system, x0, depth=8, method=method, rtol=1e-8, atol=1e-10)
    assert trajectory.t[-1] == 2.0
    for k, t in enumerate(trajectory.t):
        # errors of the steps add up over the horizon: a hundred tolerances
        assert np.allclose(trajectory.x[k], x0 @ expm(A * t).T, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n", [2, 10])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8, 1e-10])
def test_compiled_flow_is_as_accurate_as_asked(n, tolerance):
    system = resdyn.logistic_residuals(random_weights(n, scale=2.0), step=0.1)
    z0 = RNG.normal(size=(50, n))
    found = resdyn.simulate(system, z0, depth=100, method="RK45", rtol=tolerance, atol=tolerance, save="final")
    exact = resdyn.simulate(system, z0, depth=100, method="DOP853", rtol=1e-12, atol=1e-12, save="final")
    error = np.abs(found.final - exact.final) / (1 + np.abs(exact.final))
    assert error.max() < 100 * tolerance  # some tens of steps, each below the tolerance, not contracting
    assert error.max() > 1e-15 or tolerance < 1e-9  # it is not secretly exact


def test_compiled_flow_takes_about_the_steps_of_scipy():
    # same pair, same rule: tightening the tolerance tenfold multiplies the steps by 10^(1/5) in both
    system = resdyn.systems.lorenz()
    x0 = np.array([1.0, 2.0, 20.0])
    for tolerance in (1e-5, 1e-7):
        ours = resdyn.simulate(system, x0, depth=100, method="RK45", rtol=tolerance, atol=tolerance, save="final").final
        scipy = solve_ivp(
            lambda t, x: system.residual(t, x), (0, 1), x0, method="RK45", rtol=tolerance, atol=tolerance
        ).y[:, -1]
        exact = resdyn.simulate(system, x0, depth=100, method="DOP853", rtol=1e-12, atol=1e-12, save="final").final
        assert np.abs(ours - exact).max() < 20 * np.abs(scipy - exact).max() + 1e-9


def test_residual_map_converges_to_its_flow_at_first_order():
    x0 = RNG.normal(size=(5, 3))
    system = resdyn.ResidualMap(cyclic_weights(), [0.1, 0.0, -0.1], damping=0.2)
    horizon = 4.0
    exact = resdyn.simulate(system.replace(step=horizon), x0, depth=1, method="DOP853", rtol=1e-12, atol=1e-12).final
    errors = []
    for depth in (200, 400, 800):
        network = resdyn.simulate(system.replace(step=horizon / depth), x0, depth=depth).final
        errors.append(np.abs(network - exact).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert orders == pytest.approx([1.0, 1.0], abs=0.05)  # the next error term moves them by 0.01 at these depths


@pytest.mark.parametrize("save", ["all", "final", 3])
@pytest.mark.parametrize("method", ["RK45", "DOP853"])
def test_flow_of_layerwise_weights_restarts_at_each_layer(method, save):
    T, n, h = 7, 3, 0.5
    A = RNG.normal(size=(T, n, n)) / 2
    system = resdyn.ResidualMap(A, activation="identity", step=h, damping=np.linspace(0, 1, T))
    x0 = RNG.normal(size=(5, n))
    exact = [x0]
    for k in range(T):
        exact.append(exact[-1] @ expm(h * (A[k] - system.damping[k] * np.eye(n))).T)
    trajectory = resdyn.simulate(system, x0, method=method, save=save, rtol=1e-9, atol=1e-11)
    assert np.allclose(trajectory.x, np.stack(exact)[trajectory.layers], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("method", ["RK45", "DOP853"])
@pytest.mark.parametrize("each", [False, True])
def test_flow_holds_a_drive_during_each_layer(method, each):
    # ẋ = −x + u_k, solved in closed form layer by layer
    T, h = 5, 0.4
    system = resdyn.ResidualMap(np.zeros((2, 2)), activation="identity", damping=1.0, step=h)
    x0 = RNG.normal(size=(3, 2))
    u = RNG.normal(size=(T, 3, 2) if each else (T, 2))
    trajectory = resdyn.simulate(system, x0, inputs=u, method=method, rtol=1e-9, atol=1e-11)
    x = x0
    for k in range(T):
        x = u[k] + np.exp(-h) * (x - u[k])
        assert np.allclose(trajectory.x[k + 1], x, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("n_states", [1, 15, 16, 17, 64, 65, 300])
def test_lanes_are_refilled_without_mixing_states_up(n_states):
    # states need very different numbers of steps, so lanes finish in any order
    system = resdyn.ResidualMap([[0.0, 1.0], [-1.0, 0.0]], activation="identity", step=0.5)
    x0 = RNG.normal(size=(n_states, 2)) * np.geomspace(1e-6, 1e3, n_states)[:, None]
    trajectory = resdyn.simulate(system, x0, depth=10, method="RK45", rtol=1e-8, atol=1e-8)
    for k, t in enumerate(trajectory.t):
        exact = x0 @ np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
        assert np.allclose(trajectory.x[k], exact, rtol=1e-6, atol=1e-6)


def test_time_dependent_formulas_run_as_map_and_flow():
    import sympy

    from resdyn_theory import SymbolicSystem

    x, t = sympy.symbols("x t")
    system = resdyn.from_symbolic(SymbolicSystem("clock", (x,), (sympy.cos(t),), time=t), step=0.1, depth=40)
    by_map = resdyn.simulate(system, [0.0])
    assert by_map.final[0] == pytest.approx(0.1 * np.cos(0.1 * np.arange(40)).sum(), rel=1e-12)
    for method in ("RK45", "DOP853"):
        by_flow = resdyn.simulate(system, [0.0], method=method)
        assert by_flow.x[:, 0] == pytest.approx(np.sin(by_flow.t), abs=1e-6)


# --- options --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["residual", "exponential", "RK45", "DOP853"])
def test_saving_less_saves_the_same_states(method):
    system = resdyn.ResidualMap(cyclic_weights(), step=0.2, damping=0.1)
    x0 = RNG.normal(size=(4, 3))
    everything = resdyn.simulate(system, x0, depth=10, method=method)
    for save, layers in {"final": [10], 4: [0, 4, 8, 10], 5: [0, 5, 10], 100: [0, 10], 1: list(range(11))}.items():
        some = resdyn.simulate(system, x0, depth=10, method=method, save=save)
        assert some.layers.tolist() == layers
        assert np.allclose(some.t, np.array(layers) * 0.2)
        assert np.allclose(some.x, everything.x[layers], rtol=1e-5, atol=1e-5)  # flows choose their own steps
        if method in ("residual", "exponential"):
            assert np.array_equal(some.x, everything.x[layers])


def test_transient_is_run_and_not_saved():
    system = resdyn.ResidualMap(cyclic_weights(), step=0.2)
    x0 = RNG.normal(size=(4, 3))
    whole = resdyn.simulate(system, x0, depth=10)
    late = resdyn.simulate(system, x0, depth=6, transient=4)
    assert late.layers.tolist() == list(range(4, 11))
    assert np.array_equal(late.x, whole.x[4:])
    assert np.array_equal(late.cumulative, whole.cumulative[4:])
    layerwise = resdyn.ResidualMap(random_weights(3, depth=6))
    assert resdyn.simulate(layerwise, x0, transient=4).layers.tolist() == [4, 5, 6]


def test_no_layers_give_the_initial_state():
    system = resdyn.ResidualMap(cyclic_weights())
    x0 = RNG.normal(size=(2, 3))
    for method in ("residual", "RK45", "DOP853"):
        trajectory = resdyn.simulate(system, x0, depth=0, method=method)
        assert np.array_equal(trajectory.x, x0[None])


@pytest.mark.parametrize("method", ["residual", "RK45", "DOP853"])
def test_empty_batch_works(method):
    trajectory = resdyn.simulate(resdyn.ResidualMap(cyclic_weights()), np.empty((0, 3)), depth=4, method=method)
    assert trajectory.x.shape == (5, 0, 3)
    assert trajectory.status.shape == (0,)


@pytest.mark.parametrize("n", [3, 20])
@pytest.mark.parametrize("method", ["residual", "RK45"])
def test_float32_on_request_only(n, method):
    system = resdyn.ResidualMap(random_weights(n), step=0.1)
    x0 = RNG.normal(size=(100, n)).astype(np.float32)
    double = resdyn.simulate(system, x0, depth=20, method=method)
    single = resdyn.simulate(system, x0, depth=20, method=method, dtype=np.float32)
    assert double.x.dtype == np.float64
    assert single.x.dtype == np.float32
    assert np.abs(single.x - double.x).max() < 1e-4
    assert np.abs(single.x - double.x).max() > 0


def test_noise_has_the_variance_asked_for_and_is_reproducible():
    # with weights of zero and no bias, x' = (1 − λ) x + noise: an AR(1) process with known variance
    system = resdyn.ResidualMap(np.zeros((2, 2)), activation="identity", damping=0.5)
    x0 = np.zeros((20000, 2))
    runs = [resdyn.simulate(system, x0, depth=30, noise=0.3, rng=1, threads=t) for t in (1, 2)]
    assert np.array_equal(runs[0].x, runs[1].x)
    stationary = 0.3**2 / (1 - 0.5**2)
    assert runs[0].final.var() == pytest.approx(stationary, rel=0.04)  # 40000 samples: four standard errors
    other = resdyn.simulate(system, x0, depth=30, noise=0.3, rng=2)
    assert not np.array_equal(other.x, runs[0].x)
    silent = resdyn.simulate(system, np.ones((3, 2)), depth=3, noise=0.0, rng=1)
    assert np.array_equal(silent.x, resdyn.simulate(system, np.ones((3, 2)), depth=3).x)


def test_noise_generator_is_advanced_not_copied():
    system, rng = resdyn.ResidualMap(np.eye(2)), np.random.default_rng(3)
    first, second = (resdyn.simulate(system, np.zeros(2), depth=2, noise=1.0, rng=rng).final for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("make", [lambda: resdyn.ResidualMap(cyclic_weights()), resdyn.systems.henon])
def test_progress_bar_counts_layers_and_changes_nothing(make, capfd):
    system = make()
    x0 = np.full((3, *system.shape), 0.1)
    shown = resdyn.simulate(system, x0, depth=500, save=7, progress=True)
    assert "500/500" in capfd.readouterr().err
    assert np.array_equal(shown.x, resdyn.simulate(system, x0, depth=500, save=7).x)


# --- outcomes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [resdyn.systems.pitchfork, lambda: by_rule(resdyn.systems.pitchfork())])
def test_divergence_of_one_state_leaves_the_others_alone(make):
    system = make()
    x0 = np.array([[0.5], [1e3], [-0.5]])
    trajectory = resdyn.simulate(system, x0, depth=50)
    assert trajectory.status.tolist() == [Status.OK, Status.DIVERGED, Status.OK]
    assert not np.isfinite(trajectory.final[1]).any()
    assert np.allclose(trajectory.x[:, 0], resdyn.simulate(system, x0[0], depth=50).x, rtol=1e-13)
    assert "1 diverged" in repr(trajectory)


def by_rule(system):
    return resdyn.ResidualSystem(lambda t, x, p: system.residual(t, x), system.shape, step=system.step, name="rule")


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("save", ["all", "final"])
def test_blow_up_of_a_flow_is_an_outcome(compiled, save):
    import sympy

    from resdyn_theory import SymbolicSystem

    x = sympy.Symbol("x")
    system = resdyn.from_symbolic(SymbolicSystem("blow-up", (x,), (x**2,)), step=0.1)
    if not compiled:
        system = by_rule(system)
    # x(t) = 1/(1/x0 − t) is infinite at t = 1/x0
    trajectory = resdyn.simulate(system, [[0.5], [2.0], [-1.0]], depth=10, method="RK45", save=save)
    assert trajectory.status.tolist() == [Status.OK, Status.DIVERGED, Status.OK]
    assert trajectory.final[[0, 2], 0] == pytest.approx([1.0, -0.5], rel=1e-4)
    assert np.isnan(trajectory.final[1]).all()
    if save == "all":
        assert trajectory.x[:5, 1, 0] == pytest.approx(1 / (0.5 - trajectory.t[:5]), rel=1e-3)
        assert not trajectory.x[5, 1, 0] < 1e5  # at the pole itself: lost, or as good as infinite
        assert np.isnan(trajectory.x[6:, 1, 0]).all()


def test_state_lost_in_one_layer_stays_lost():
    # the first layer blows up for large states, the second is harmless
    import sympy

    z = sympy.Symbol("z")
    system = resdyn.ResidualMap(np.stack([np.eye(1)] * 3), activation=z**2, gain=[1.0, 0.0, 0.0], step=1.0)
    trajectory = resdyn.simulate(system, [[0.5], [2.0], [0.1]], method="RK45")
    assert trajectory.status.tolist() == [Status.OK, Status.DIVERGED, Status.OK]
    assert np.isnan(trajectory.x[1:, 1]).all()
    assert trajectory.x[1:, 0, 0] == pytest.approx(1.0, rel=1e-4)


def test_overflow_of_an_exponential_is_divergence():
    import sympy

    from resdyn_theory import SymbolicSystem

    x = sympy.Symbol("x")
    system = resdyn.from_symbolic(SymbolicSystem("tower", (x,), (sympy.exp(x),)))
    assert resdyn.simulate(system, [1.0], depth=5).status == Status.DIVERGED
    assert resdyn.simulate(system, [1.0], depth=5, dtype=np.float32).status == Status.DIVERGED
    z = sympy.Symbol("z")
    large = resdyn.ResidualMap([[1.0]], activation=sympy.exp(z) * sympy.Float("1e-300"), damping=1.0)
    assert resdyn.simulate(large, [709.5], depth=1).final[0] == pytest.approx(np.exp(709.5) * 1e-300, rel=1e-13)
    small = resdyn.ResidualMap([[1.0]], activation=sympy.exp(z), damping=1.0)
    assert resdyn.simulate(small, [-740.0], depth=1).final[0] == pytest.approx(np.exp(-740.0), rel=0.01)  # subnormal
    assert resdyn.simulate(small, [-800.0], depth=1).final[0] == 0


def test_no_rule_brings_a_state_back_from_infinity():
    # so the last state tells whether a state ever left the numbers
    system = resdyn.ResidualSystem(lambda t, x, p: np.where(np.isfinite(x), x * 1e300, -x), 1, name="leap")
    trajectory = resdyn.simulate(system, [1e100], depth=4)
    assert trajectory.status == Status.DIVERGED
    assert not np.isfinite(trajectory.x[1:]).any()


@pytest.mark.parametrize("save", ["final", 100, 1])
def test_status_of_a_stiff_flow_does_not_depend_on_what_is_saved(save):
    stiff = resdyn.ResidualMap([[-1000.0]], activation="identity", step=1.0)
    trajectory = resdyn.simulate(stiff, [1.0], depth=200, method="RK45", save=save)
    assert trajectory.status == Status.OK
    assert abs(trajectory.final[0]) < 1e-6


@pytest.mark.parametrize("depth", [100, 3000])
@pytest.mark.parametrize("save", ["final", 1])
def test_float32_flow_is_followed_over_any_horizon(depth, save):
    system = resdyn.ResidualMap([[-200.0]], activation="tanh", step=1.0)
    trajectory = resdyn.simulate(system, [1.0], depth=depth, method="RK45", save=save, dtype=np.float32)
    assert trajectory.status == Status.OK


def test_integrator_that_stands_still_is_stopped():
    import sympy

    from resdyn_theory import SymbolicSystem

    x = sympy.Symbol("x")
    system = resdyn.from_symbolic(SymbolicSystem("pole", (x,), (x**2,)), step=0.1)
    assert resdyn.simulate(system, [1.0], depth=20, method="LSODA").status == Status.DIVERGED


def test_drive_longer_than_the_layers_is_cut():
    system = resdyn.ResidualMap(np.eye(2), RNG.normal(size=(3, 2)), step=0.1)
    drive = RNG.normal(size=(5, 2))
    for method in ("residual", "RK45", "DOP853"):
        longer, exact = (resdyn.simulate(system, [0.0, 0.0], inputs=u, method=method).x for u in (drive, drive[:3]))
        assert np.array_equal(longer, exact)


def test_calls_from_several_threads_and_processes_agree():
    from concurrent.futures import ThreadPoolExecutor

    system = resdyn.ResidualMap(random_weights(20), step=0.1)
    x0 = RNG.normal(size=(500, 20))
    expected = resdyn.simulate(system, x0, depth=20).x
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: resdyn.simulate(system, x0, depth=20).x, range(8)))
    assert all(np.array_equal(result, expected) for result in results)


# --- bad input ------------------------------------------------------------------------------------------

SHARED = resdyn.ResidualMap(np.eye(3), name="shared")
LAYERED = resdyn.ResidualMap(np.stack([np.eye(3)] * 5), name="layered")
X0 = np.zeros((4, 3))


@pytest.mark.parametrize(
    ("system", "x0", "options", "error", "match"),
    [
        (np.eye(3), X0, {}, TypeError, "must be a resdyn System"),
        (SHARED, X0, {}, ValueError, "any depth; say how many layers"),
        (SHARED, X0, {"depth": -1}, ValueError, "depth must be at least 0, but is -1"),
        (SHARED, X0, {"depth": 2.0}, TypeError, "depth must be an integer"),
        (SHARED, X0, {"depth": True}, TypeError, "depth must be an integer"),
        (SHARED, X0, {"depth": 1, "transient": -2}, ValueError, "transient must be at least 0"),
        (LAYERED, X0, {"depth": 6}, ValueError, "'layered' has 5 layers.*ask for 6"),
        (LAYERED, X0, {"depth": 3, "transient": 3}, ValueError, "at most 5 in all"),
        (LAYERED, X0, {"transient": 6}, ValueError, "has 5 layers"),
        (SHARED, X0, {"depth": 1, "method": "euler"}, ValueError, "unknown method 'euler'; maps: residual"),
        (SHARED, X0, {"depth": 1, "save": "some"}, ValueError, "unknown save 'some'"),
        (SHARED, X0, {"depth": 1, "save": 0}, ValueError, "save must be at least 1"),
        (SHARED, X0, {"depth": 1, "save": 0.5}, TypeError, "save must be an integer"),
        (
            SHARED,
            np.zeros((4, 2)),
            {"depth": 1},
            ValueError,
            r"x0 has shape \(4, 2\), but 'shared' has states of shape",
        ),
        (SHARED, 0.0, {"depth": 1}, ValueError, r"x0 has shape \(\)"),
        (SHARED, [0, np.nan, 0], {"depth": 1}, ValueError, "x0 holds NaN"),
        (SHARED, [0, np.inf, 0], {"depth": 1}, ValueError, "x0 holds infinite values"),
        (SHARED, ["a", "b", "c"], {"depth": 1}, TypeError, "x0 must be an array of real numbers"),
        (SHARED, X0.astype(object), {"depth": 1}, TypeError, "object"),
        (SHARED, X0 + 1j, {"depth": 1}, TypeError, "complex"),
        (SHARED, X0, {"depth": 1, "dtype": np.float16}, ValueError, "float32 or float64, but is float16"),
        (SHARED, X0, {"depth": 1, "dtype": "real"}, TypeError, "float32 or float64"),
        (SHARED, X0, {"depth": 1, "noise": -1}, ValueError, "standard deviation"),
        (SHARED, X0, {"depth": 1, "noise": np.nan}, ValueError, "standard deviation"),
        (SHARED, X0, {"depth": 1, "noise": 1, "method": "RK45"}, ValueError, "noise is added layer by layer"),
        (SHARED, X0, {"depth": 1, "rtol": 1e-3}, ValueError, "rtol belongs to flows"),
        (SHARED, X0, {"depth": 1, "atol": 1e-3}, ValueError, "atol belongs to flows"),
        (SHARED, X0, {"depth": 1, "rtol": 0, "method": "RK45"}, ValueError, "rtol must be a finite number above 0"),
        (SHARED, X0, {"depth": 1, "threads": 0}, ValueError, "threads must be at least 1"),
        (SHARED, X0, {"inputs": np.zeros((5, 2))}, ValueError, r"inputs has shape \(5, 2\).*\(T, 3\).*\(T, 4, 3\)"),
        (SHARED, X0, {"inputs": np.zeros((5, 2, 3))}, ValueError, r"inputs has shape \(5, 2, 3\)"),
        (SHARED, X0, {"inputs": np.zeros((0, 3))}, ValueError, "inputs has shape"),
        (SHARED, X0, {"inputs": np.full((5, 3), np.nan)}, ValueError, "inputs holds NaN"),
        (SHARED, X0, {"inputs": np.zeros((5, 3)), "depth": 6}, ValueError, "5 inputs"),
        (SHARED, X0, {"depth": 1, "noise": None}, ValueError, "standard deviation"),
        (SHARED, X0, {"depth": 1, "rng": "a"}, TypeError, "rng must be a numpy Generator"),
        (SHARED, X0, {"depth": 1, "save": np.array([1, 2])}, TypeError, "save must be an integer"),
        (SHARED, X0 + 1e39, {"depth": 1, "dtype": np.float32}, ValueError, "too large for float32"),
        (SHARED, np.ma.array(X0, mask=X0 == 0), {"depth": 1}, TypeError, "masked"),
        (SHARED, X0, {"depth": 1, "method": "RK45", "rtol": 1e-17}, ValueError, "rtol = 1e-17 is below"),
        (resdyn.systems.henon(), np.zeros(2), {"depth": 1, "inputs": np.zeros((5, 2))}, ValueError, "pre-activation"),
        (resdyn.systems.henon(), np.zeros(2), {"depth": 1, "method": "exponential"}, ValueError, "linear part"),
    ],
)
def test_simulate_refuses(system, x0, options, error, match):
    with pytest.raises(error, match=match):
        resdyn.simulate(system, x0, **options)


def test_request_beyond_memory_is_refused_before_allocation(monkeypatch):
    monkeypatch.setattr(_memory, "available_bytes", lambda: 10**6)
    x0 = np.zeros((1000, 3))
    with pytest.raises(
        MemoryError, match=r'2425616 bytes \(2.3 MiB\), but 976.6 KiB.*save="final".*every k-th.*float32'
    ):
        resdyn.simulate(SHARED, x0, depth=100)
    assert resdyn.simulate(SHARED, x0, depth=100, save="final").final.shape == (1000, 3)


def test_absurd_request_is_refused_on_any_machine():
    with pytest.raises(MemoryError, match="bytes"):
        resdyn.simulate(SHARED, X0, depth=10**15)


@pytest.mark.parametrize(
    "x0",
    [
        np.arange(12).reshape(4, 3),
        np.asfortranarray(RNG.normal(size=(4, 3))),
        RNG.normal(size=(8, 6))[::2, ::2],
        RNG.normal(size=(4, 3)).tolist(),
        RNG.normal(size=(4, 3)).astype(np.float16),
    ],
    ids=["integers", "Fortran order", "strided", "lists", "float16"],
)
def test_any_layout_and_real_type_of_states_works(x0):
    system = resdyn.ResidualMap(cyclic_weights(), step=0.1)
    trajectory = resdyn.simulate(system, x0, depth=3)
    assert trajectory.x.dtype == np.float64
    assert np.allclose(trajectory.x, by_definition(system, np.asarray(x0, dtype=float), 3), rtol=1e-13)


def test_arguments_are_neither_changed_nor_kept():
    x0 = RNG.normal(size=(4, 3))
    x0.setflags(write=False)
    u = RNG.normal(size=(3, 3))
    system = resdyn.ResidualMap(cyclic_weights())
    trajectory = resdyn.simulate(system, x0, inputs=u)
    before = trajectory.activations.copy()
    u[:] = 0
    fresh = resdyn.simulate(system, x0, inputs=trajectory.inputs)
    assert np.array_equal(fresh.activations, before)
    assert not np.shares_memory(trajectory.x0, x0)


def test_a_flow_whose_first_slope_is_not_finite_ends_at_once():
    import sympy

    x = sympy.Symbol("x", real=True)
    root = resdyn.from_symbolic(resdyn_theory.SymbolicSystem("root", (x,), (sympy.sqrt(x) - x,)), step=0.1)
    lost = resdyn.simulate(root, [[-1.0], [0.5]], depth=3, method="RK45")
    assert lost.status.tolist() == [resdyn.Status.FAILED, resdyn.Status.OK]
    huge = resdyn.simulate(resdyn.systems.lorenz(step=0.05), [1e200] * 3, depth=3, method="RK45")
    assert huge.status == resdyn.Status.DIVERGED
