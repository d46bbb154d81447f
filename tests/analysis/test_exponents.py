"""Lyapunov spectra: closed forms, a plain QR loop, other libraries, and what must not change them."""

import importlib.resources
import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest
import sympy
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import resdyn
import resdyn_theory
from resdyn.analysis.exponents.spectrum import LyapunovSpectrum
from resdyn.systems import catalogue, cyclic_weights, random_weights

RNG = np.random.default_rng(0)
BEGINNING = RNG.bit_generator.state


def setup_function(function):
    """The same numbers in each test, whichever ran before it."""
    RNG.bit_generator.state = BEGINNING


def plain_qr(system, x, depth, *, transient=0, inputs=None, k=None):
    """The textbook loop: one QR decomposition per layer, from the same random frame."""
    x = np.asarray(x, dtype=float)
    d = x.size
    V = np.linalg.qr(np.random.default_rng(0).standard_normal((d, k or d)))[0]
    total = np.zeros(V.shape[1])
    for layer in range(transient + depth):
        t, drive = layer * system.step, {} if inputs is None else {"inputs": inputs[layer]}
        jacobian = system.jacobian(t, x, **drive)
        x = x + system.step * system.residual(t, x, **drive)
        V, R = np.linalg.qr(V + system.step * jacobian @ V)
        if layer >= transient:
            total += np.log(np.abs(np.diag(R)))
    return np.sort(total / depth / system.step)[::-1]


class OnlyLinearize:
    """A System with nothing but the contract, however much the one behind it has."""

    def __init__(self, system):
        self.name, self.shape, self.step, self.depth = "bare", system.shape, system.step, system.depth
        self._system = system

    def residual(self, t, x):
        return self._system.residual(t, x)

    def linearize(self, t, x):
        return self._system.linearize(t, x)


# --- closed forms ------------------------------------------------------------------------------------


def test_linear_map_and_flow_have_the_exponents_of_their_eigenvalues():
    triangular = np.array([[-0.2, 0.7, 0.1], [0.0, 0.3, -0.4], [0.0, 0.0, -1.1]])
    system = resdyn.ResidualMap(triangular, activation="identity", step=0.5)
    eigenvalues = np.array([0.3, -0.2, -1.1])
    found = resdyn.lyapunov_spectrum(system, np.zeros(3), depth=200, transient=200)
    # the frame turns into the eigenvectors like (0.9/1.15)^200, 1e-21
    assert found.exponents == pytest.approx(np.log(np.abs(1 + 0.5 * eigenvalues)) / 0.5, abs=1e-12)
    flow = resdyn.lyapunov_spectrum(system, np.zeros(3), depth=200, transient=200, dynamics="flow", rtol=1e-9)
    # the state stands still at 0, so only the control of the vectors' own error makes this right
    assert flow.exponents == pytest.approx(eigenvalues, abs=1e-8)
    rotation = resdyn.systems.linear(a=0.1, omega=1.0, step=0.1)
    growth = 0.5 * np.log((1 - 0.01) ** 2 + 0.1**2) / 0.1
    assert resdyn.lyapunov_spectrum(rotation, [1.0, 0.0], depth=50).exponents == pytest.approx([growth] * 2, abs=1e-12)


def test_logistic_map_at_4_has_the_exponent_of_the_tent_map():
    found = resdyn.lyapunov_spectrum(resdyn.systems.logistic_map(r=4.0), [[0.3], [0.61]], depth=200_000, transient=100)
    # log|f'| of successive points are anticorrelated, so the error is far below 1/√depth
    assert np.abs(found.exponents - np.log(2)).max() < 1e-4
    assert (np.abs(found.exponents - np.log(2)) < 4 * found.standard_error).all()


def test_henon_map_contracts_areas_by_b():
    found = resdyn.lyapunov_spectrum(resdyn.systems.henon(), [0.1, 0.1], depth=200_000, transient=100)
    assert found.sum == pytest.approx(np.log(0.3), abs=1e-12)
    assert abs(found.exponents[0] - 0.4192) < 4 * found.standard_error[0] < 0.005  # 0.4192: [sprott2003]
    assert found.kaplan_yorke_dimension == pytest.approx(1.258, abs=0.004)


def test_lorenz_flow_has_its_known_exponents():
    system = resdyn.systems.lorenz(step=0.05)
    found = resdyn.lyapunov_spectrum(system, [1.0, 1.0, 20.0], depth=20_000, transient=500, dynamics="flow", rtol=1e-7)
    assert found.sum == pytest.approx(-(10 + 1 + 8 / 3), abs=1e-6)  # rtol, on average
    assert (np.abs(found.exponents - [0.9056, 0.0, -14.5723]) < 4 * found.standard_error).all()  # [sprott2003]
    assert found.standard_error.max() < 0.02
    assert found.kaplan_yorke_dimension == pytest.approx(2.062, abs=0.002)


# --- every path against the plain loop ---------------------------------------------------------------

# at the roots to which Newton's method runs all derivatives are 0: logarithms of rounding, and then −∞
SMALL = [name for name, make in catalogue().items() if np.prod(make().shape) <= 64 and name != "Newton map"]


@pytest.mark.parametrize("name", SMALL)
def test_compiled_spectrum_is_the_plain_qr_loop(name):
    system = catalogue()[name]()
    depth = min(20, system.depth or 20)
    x0 = 0.3 * np.random.default_rng(1).standard_normal(system.shape) + 0.4
    found = resdyn.lyapunov_spectrum(system, x0, depth=depth)
    expected = plain_qr(system, x0, depth)
    assert found.status == 0
    # logarithms are good to 1e-10 per QR step; states of chaotic maps drift apart like 1e-16·2^20
    assert np.abs(found.exponents - expected).max() * system.step < 1e-9
    every_layer = resdyn.lyapunov_spectrum(system, x0, depth=depth, reorthonormalise=1)
    assert np.abs(every_layer.exponents - expected).max() * system.step < 1e-9


def test_systems_without_a_kernel_go_through_numpy():
    network = resdyn.ResidualMap(random_weights(5, scale=2), activation="tanh", step=0.3, damping=0.5)
    x0 = RNG.normal(size=(2, 3, 5))
    compiled = resdyn.lyapunov_spectrum(network, x0, depth=40, transient=7, n_exponents=3)
    rule = resdyn.ResidualSystem(
        lambda t, x, system: system.residual(t, x),
        5,
        step=0.3,
        params=network,
        jacobian=lambda t, x, s: s.jacobian(t, x),
    )
    assert compiled.exponents.shape == (2, 3, 3)
    for other in (rule, OnlyLinearize(network)):
        found = resdyn.lyapunov_spectrum(other, x0, depth=40, transient=7, n_exponents=3)
        assert np.abs(found.exponents - compiled.exponents).max() < 1e-9
        assert np.abs(found.running - compiled.running).max() < 1e-8


def test_formulas_of_many_units_fall_back_to_numpy():
    x = sympy.symbols("x0:9", real=True)
    W = random_weights(9)
    symbolic = resdyn_symbolic(
        "nine", x, [sum(float(w) * sympy.tanh(s) for w, s in zip(row, x, strict=True)) for row in W]
    )
    system = resdyn.from_symbolic(symbolic, step=0.2)
    assert not system.compiled_form().carries_tangents(9)
    assert system.compiled_form().carries_tangents(1)
    x0 = RNG.normal(size=9)
    for k in (1, 9):
        found = resdyn.lyapunov_spectrum(system, x0, depth=15, n_exponents=k)
        assert found.exponents == pytest.approx(plain_qr(system, x0, 15, k=k), abs=1e-9)


def resdyn_symbolic(name, state, residual):
    from resdyn_theory import SymbolicSystem

    return SymbolicSystem(name, state, tuple(residual))


@pytest.mark.parametrize("activation", ["logistic", "tanh", "relu", "softplus", "identity", "expression"])
@pytest.mark.parametrize("n", [2, 7])
def test_slopes_of_activations_in_kernels(activation, n):
    chosen = (
        sympy.sin(sympy.Symbol("s")) * sympy.exp(-(sympy.Symbol("s") ** 2))
        if activation == "expression"
        else activation
    )
    system = resdyn.ResidualMap(
        random_weights(n, scale=2), RNG.normal(size=n), activation=chosen, step=0.3, damping=0.2
    )
    x0 = RNG.normal(size=(3, n))
    found = resdyn.lyapunov_spectrum(system, x0, depth=12)
    expected = [plain_qr(system, x, 12) for x in x0]
    assert np.abs(found.exponents - expected).max() < 1e-9


@pytest.mark.parametrize("n", [3, 12])
@pytest.mark.parametrize("each", [False, True])
def test_layers_and_drives_of_their_own(n, each):
    T = 30
    system = resdyn.ResidualMap(
        random_weights(n, depth=T), RNG.normal(size=(T, n)), activation="tanh", step=0.4,
        damping=np.linspace(0, 1, T), gain=np.linspace(1, 2, T),
    )  # fmt: skip
    x0 = RNG.normal(size=(4, n))
    u = RNG.normal(size=(T, 4, n) if each else (T, n))
    found = resdyn.lyapunov_spectrum(system, x0, inputs=u, transient=6)
    assert (found.depth, found.transient) == (24, 6)
    expected = [plain_qr(system, x, 24, transient=6, inputs=u[:, i] if each else u) for i, x in enumerate(x0)]
    assert np.abs(found.exponents - expected).max() < 1e-9
    # as a flow: the kernel against SciPy on the variational equation
    options = {"inputs": u[:8], "dynamics": "flow", "rtol": 1e-9, "atol": 1e-11, "n_exponents": 2}
    compiled = resdyn.lyapunov_spectrum(system, x0[:2] if not each else x0, **options)
    scipys = resdyn.lyapunov_spectrum(system, x0[:2] if not each else x0, method="DOP853", **options)
    assert np.abs(compiled.exponents - scipys.exponents).max() < 1e-6


@pytest.mark.parametrize(
    "system",
    [
        resdyn.systems.lorenz(step=0.05),
        resdyn.logistic_residuals(cyclic_weights(), step=0.5),
        resdyn.logistic_residuals(random_weights(10), step=0.5),
        resdyn.ResidualMap(random_weights(10), damping=0.3, activation="tanh", step=0.5),
    ],
    ids=["formulas", "inner, few", "inner, many", "outer, many"],
)
def test_flows_of_kernels_are_those_of_scipy(system):
    x0 = RNG.normal(size=(2, *system.shape))
    options = {"depth": 12, "transient": 3, "dynamics": "flow", "rtol": 1e-9, "atol": 1e-11}
    compiled = resdyn.lyapunov_spectrum(system, x0, **options)
    bare = resdyn.lyapunov_spectrum(OnlyLinearize(system), x0, **options)
    assert np.abs(compiled.exponents - bare.exponents).max() < 1e-6
    seldom = resdyn.lyapunov_spectrum(system, x0, reorthonormalise=4, **options)
    assert np.abs(compiled.exponents - seldom.exponents).max() < 1e-6


def test_time_enters_maps_and_flows():
    x, t = sympy.symbols("x t", real=True)
    from resdyn_theory import SymbolicSystem

    system = resdyn.from_symbolic(SymbolicSystem("forced", (x,), (-t * x,), time=t), step=0.25, depth=16)
    # ẋ = −t x: the exponent is the mean of −t; the map's is that of log(1 − h t_k)/h
    flow = resdyn.lyapunov_spectrum(system, [1.0], dynamics="flow", rtol=1e-9)
    assert flow.exponents == pytest.approx([-2.0], abs=1e-7)
    late = resdyn.lyapunov_spectrum(system, [1.0], transient=8, dynamics="flow", rtol=1e-9)
    assert late.exponents == pytest.approx([-3.0], abs=1e-7)
    times = 0.25 * np.arange(4, 12)
    part = resdyn.lyapunov_spectrum(system, [1.0], transient=4, depth=8)
    assert part.exponents == pytest.approx([np.log(np.abs(1 - 0.25 * times)).mean() / 0.25], abs=1e-12)


# --- what must hold for all --------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32 - 1), activation=st.sampled_from(["logistic", "tanh", "softplus"]))
@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_sum_is_the_mean_log_determinant(seed, activation):
    rng = np.random.default_rng(seed)
    system = resdyn.ResidualMap(
        rng.normal(size=(3, 3)), rng.normal(size=3), activation=activation, step=0.3, damping=rng.uniform(0, 2)
    )
    x0 = rng.normal(size=(4, 3))
    found = resdyn.lyapunov_spectrum(system, x0, depth=30)
    states = resdyn.simulate(system, x0, depth=29).x
    determinants = np.linalg.slogdet(np.eye(3) + 0.3 * system.jacobian(0.0, states))[1].mean(axis=0) / 0.3
    assert np.abs(found.sum - determinants).max() < 1e-10 * (1 + np.abs(determinants).max())


@pytest.mark.parametrize("n", [4, 11])
def test_names_of_the_units_do_not_matter(n):
    W, b, order = random_weights(n, scale=1.5), RNG.normal(size=n), RNG.permutation(n)
    one = resdyn.ResidualMap(W, b, activation="tanh", step=0.5, damping=1.0)
    other = resdyn.ResidualMap(W[np.ix_(order, order)], b[order], activation="tanh", step=0.5, damping=1.0)
    x0 = RNG.normal(size=n)
    options = {"depth": 300, "transient": 700}
    found, permuted = (
        resdyn.lyapunov_spectrum(one, x0, **options),
        resdyn.lyapunov_spectrum(other, x0[order], **options),
    )
    assert permuted.sum == pytest.approx(found.sum, abs=1e-10)
    assert permuted.exponents == pytest.approx(found.exponents, abs=0.02)  # the two frames turn in differently, O(1/t)


def test_a_batch_is_its_orbits_one_by_one_on_any_number_of_threads():
    for system in (
        resdyn.ResidualMap(cyclic_weights(), [0.1, 0.0, -0.1], step=0.1, damping=0.5),
        resdyn.ResidualMap(random_weights(9), step=0.1, damping=0.5),
    ):
        x0 = RNG.normal(size=(70, *system.shape))
        batch = resdyn.lyapunov_spectrum(system, x0, depth=150)
        assert batch.exponents.shape == batch.standard_error.shape == x0.shape
        # other kernels (one lane or many) round differently
        one = resdyn.lyapunov_spectrum(system, x0[61], depth=150)
        assert batch.exponents[61] == pytest.approx(one.exponents, abs=1e-9)
        assert batch.sample(61).standard_error == pytest.approx(one.standard_error, abs=1e-9)
        alone = resdyn.lyapunov_spectrum(system, x0, depth=150, threads=1)
        assert np.array_equal(alone.exponents, batch.exponents)


@pytest.mark.parametrize("n", [3, 24])
def test_how_often_the_frame_is_made_orthonormal_does_not_matter(n):
    system = resdyn.ResidualMap(random_weights(n, scale=2), activation="tanh", step=0.3, damping=1.0)
    x0 = RNG.normal(size=n)
    spectra = [
        resdyn.lyapunov_spectrum(system, x0, depth=120, transient=10, reorthonormalise=m).exponents
        for m in (None, 1, 3)
    ]
    assert np.abs(spectra[0] - spectra[1]).max() < 1e-8
    assert np.abs(spectra[2] - spectra[1]).max() < 1e-8


def test_adaptive_qr_keeps_six_digits_where_a_fixed_interval_loses_all():
    # one direction shrinks by 1e-3 per layer beside one that stays: 32 layers are 96 digits
    W = np.diag(np.concatenate([[-0.999], np.zeros(14)])) + 0.1 * np.triu(RNG.normal(size=(15, 15)), 1)
    system = resdyn.ResidualMap(W, activation="identity")
    found = resdyn.lyapunov_spectrum(system, np.zeros(15), depth=200, transient=50)
    assert found.exponents[-1] == pytest.approx(np.log(1e-3), abs=1e-8)
    assert found.sum == pytest.approx(np.log(1e-3), abs=1e-8)
    careless = resdyn.lyapunov_spectrum(system, np.zeros(15), depth=200, transient=50, reorthonormalise=20)
    assert careless.exponents[-1] == -np.inf  # and says so


def test_adaptive_qr_goes_back_where_layers_turn_out_to_compress():
    # long stretches of little change, in which the intervals grow to 32, then a few that shrink one direction by 1e-3
    n = 15
    mild = 0.01 * np.triu(RNG.normal(size=(n, n)), 1)
    strong = mild + np.diag(np.concatenate([[-0.999], np.zeros(n - 1)]))
    system = resdyn.ResidualMap(np.stack([mild] * 310 + [strong] * 12 + [mild] * 3000), activation="identity")
    found = resdyn.lyapunov_spectrum(system, np.zeros(n), depth=3200)
    expected = plain_qr(system, np.zeros(n), 3200)
    assert np.isfinite(found.exponents).all()
    assert found.exponents == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n", [3, 9])
def test_flows_converge_at_fifth_order_when_steps_are_the_layers(n):
    # tolerances so wide that every layer is one step; a slope that did not follow its frame would leave first order
    rng, orders = np.random.default_rng(n), []
    for _ in range(7):
        W, x0 = rng.normal(size=(n, n)) * 2 / np.sqrt(n), rng.normal(size=n)
        exact, *rough = (
            resdyn.lyapunov_spectrum(
                resdyn.ResidualMap(W, activation="tanh", step=0.4 / layers),
                x0,
                dynamics="flow",
                depth=20 * layers,
                transient=40 * layers,
                **tolerances,
            ).exponents
            for layers, tolerances in (
                (1, {"rtol": 1e-12, "atol": 1e-13}),
                (1, {"rtol": 1e-3, "atol": 1e9}),
                (2, {"rtol": 1e-3, "atol": 1e9}),
            )
        )
        errors = [np.abs(exponents - exact).max() for exponents in rough]
        orders.append(np.log2(errors[0] / errors[1]))
    # at these steps the next term of the error still shows, with either sign: the median of seven systems
    assert 4.5 < np.median(orders) < 6.5


def test_progress_changes_nothing(capsys):
    system = resdyn.systems.henon()
    silent = resdyn.lyapunov_spectrum(system, [0.1, 0.1], depth=500, transient=3)
    shown = resdyn.lyapunov_spectrum(system, [0.1, 0.1], depth=500, transient=3, progress=True)
    assert np.array_equal(silent.running, shown.running)
    assert "Hénon" in capsys.readouterr().err
    resdyn.lyapunov_spectrum(OnlyLinearize(system), [0.1, 0.1], depth=20, progress=True)
    assert "bare" in capsys.readouterr().err


# --- singular maps, saturated units, divergence ------------------------------------------------------


@pytest.mark.parametrize("n", [3, 12])
def test_singular_maps_have_exponents_of_minus_infinity(n):
    W = np.zeros((n, n))
    W[:, :2] = RNG.normal(size=(n, 2))  # two units act on all
    W[:2, :2] += 3 * np.eye(2)
    plain = resdyn.ResidualMap.mlp(W, activation="tanh")
    found = resdyn.lyapunov_spectrum(plain, RNG.normal(size=(5, n)), depth=40)
    assert np.isfinite(found.exponents[:, :2]).all()
    assert np.isneginf(found.exponents[:, 2:]).all()
    assert np.isnan(found.standard_error).all()  # 40 layers
    dead = resdyn.ResidualMap.mlp(np.eye(n), -10 * np.ones(n), activation="relu")
    assert np.isneginf(resdyn.lyapunov_spectrum(dead, np.zeros(n), depth=200).exponents).all()
    bare = resdyn.lyapunov_spectrum(OnlyLinearize(plain), RNG.normal(size=n), depth=10).exponents
    assert np.isfinite(bare[:2]).all()
    assert np.isneginf(bare[2:]).all()


def test_a_critical_point_stops_the_logistic_map():
    assert np.isneginf(resdyn.lyapunov_spectrum(resdyn.systems.logistic_map(r=4.0), [0.5], depth=5).exponents[0])


@pytest.mark.parametrize("n", [3, 9])
@pytest.mark.parametrize("dynamics", ["map", "flow"])
def test_saturated_units_stand_still(n, dynamics):
    system = resdyn.logistic_residuals(random_weights(n), step=0.5)
    z = np.where(np.arange(n) % 2, np.inf, -np.inf)
    found = resdyn.lyapunov_spectrum(system, np.stack([z, np.zeros(n)]), depth=10, dynamics=dynamics)
    assert (found.status == 0).all()
    assert np.abs(found.exponents[0]).max() < 1e-15  # the derivative of σ is 0 there
    assert np.abs(found.exponents[1]).max() > 1e-3


def test_slopes_of_saturated_units_keep_their_digits():
    # y(1 − y) from a rounded y is 0 from z = 37 on; tanh rounds to 1 from 19 on
    for n in (2, 12):
        z = np.resize([60.0, -61.0], n)
        for activation, slopes in (("logistic", -np.abs(z)), ("tanh", np.log(4) - 2 * np.abs(z))):
            system = resdyn.ResidualMap.mlp(np.diag(z), activation=activation)
            found = resdyn.lyapunov_spectrum(system, np.ones(n), depth=1)
            assert found.sum == pytest.approx((np.log(np.abs(z)) + slopes).sum(), rel=1e-12)


@pytest.mark.parametrize("dynamics", ["map", "flow"])
def test_divergence_is_a_status_and_leaves_the_others_alone(dynamics):
    x = sympy.Symbol("x", real=True)
    from resdyn_theory import SymbolicSystem

    system = resdyn.from_symbolic(SymbolicSystem("explodes", (x,), (x**3 - x,)), step=0.1)
    found = resdyn.lyapunov_spectrum(system, [[0.5], [3.0], [0.1]], depth=150, dynamics=dynamics)
    assert list(found.status) == [0, resdyn.Status.DIVERGED, 0]
    assert np.isnan(found.exponents[1]).all()
    assert np.isnan(found.kaplan_yorke_dimension[1])
    alone = resdyn.lyapunov_spectrum(system, [0.5], depth=150, dynamics=dynamics)
    assert found.exponents[0] == pytest.approx(alone.exponents, abs=1e-6 if dynamics == "flow" else 1e-12)
    assert "1 orbits lost" in repr(found)
    assert "diverged" in repr(found.sample(1))
    bare = resdyn.lyapunov_spectrum(OnlyLinearize(system), [[0.5], [3.0]], depth=150, dynamics=dynamics)
    assert list(bare.status) == [0, resdyn.Status.DIVERGED]
    assert bare.exponents[0] == pytest.approx(alone.exponents, abs=1e-6)


# --- statistics and what follows from the exponents --------------------------------------------------


def test_standard_error_is_the_spread_of_many_orbits():
    x0 = RNG.uniform(0.2, 0.8, (400, 1))
    found = resdyn.lyapunov_spectrum(resdyn.systems.logistic_map(r=3.9), x0, depth=4000, transient=200)
    spread = found.exponents.std(ddof=1)
    # 400 orbits give the spread to 4 %; blocks of 200 layers are long against the memory of the map
    assert np.sqrt((found.standard_error**2).mean()) == pytest.approx(spread, rel=0.15)
    short = resdyn.lyapunov_spectrum(resdyn.systems.henon(), [0.1, 0.1], depth=99)
    assert np.isnan(short.standard_error).all()
    assert "fewer than 100 layers" in repr(short)


def test_running_estimates_end_at_the_exponents():
    found = resdyn.lyapunov_spectrum(resdyn.systems.henon(), [[0.1, 0.1]], depth=12345, transient=10)
    assert found.t.shape == (100,)
    assert found.t[-1] == 12345
    assert found.running.shape == (100, 1, 2)
    assert np.array_equal(found.running[-1], found.exponents)
    half = resdyn.lyapunov_spectrum(resdyn.systems.henon(), [0.1, 0.1], depth=int(found.t[49]), transient=10)
    assert found.running[49, 0].sum() == pytest.approx(half.sum, abs=1e-12)


def spectrum(*exponents, d=None, error=0.0):
    """A result with these exponents, of a system with d variables."""
    values = np.array(exponents)
    system = resdyn.ResidualMap(np.zeros((d or values.shape[-1],) * 2))
    return LyapunovSpectrum(
        exponents=values, standard_error=np.full(values.shape, error), t=np.array([1.0]), running=values[None],
        status=np.zeros(values.shape[:-1], dtype=np.uint8), system=system, dynamics="map", depth=1000, transient=0,
    )  # fmt: skip


def test_dimension_and_entropy_by_hand():
    assert spectrum(0.9, 0.0, -14.5).kaplan_yorke_dimension == pytest.approx(2 + 0.9 / 14.5)
    assert spectrum(0.4, 0.1, -0.2, -3.0).kaplan_yorke_dimension == pytest.approx(3 + 0.3 / 3)
    assert spectrum(-0.1, -1.0).kaplan_yorke_dimension == 0
    assert spectrum(0.5, -0.5).kaplan_yorke_dimension == 2
    assert spectrum(0.7, -np.inf).kaplan_yorke_dimension == 1
    assert np.isnan(spectrum(0.5, 0.1, d=4).kaplan_yorke_dimension)
    assert spectrum(0.4, 0.1, -0.2).entropy == pytest.approx(0.5)
    assert np.isnan(spectrum(0.4, d=2).entropy)
    assert spectrum(0.4, -0.1, d=3).entropy == pytest.approx(0.4)
    assert spectrum([0.4, -1.0], [0.1, -0.2]).kaplan_yorke_dimension == pytest.approx([1.4, 1.5])


def test_words():
    assert "0.906 ± 0.003, -0.001 ± 0.003, -14.570 ± 0.003: one positive exponent" in repr(
        spectrum(0.906, -0.001, -14.57, error=0.003)
    )
    assert "cannot be told from 0" in repr(spectrum(0.005, -0.5, error=0.003))
    assert "all negative" in repr(spectrum(-0.1, -0.5, error=0.003))
    assert "2 positive exponents" in repr(spectrum(0.3, 0.2, -0.5, error=0.003))
    many = spectrum([0.3, -0.1], [-0.2, -0.4], [0.001, -0.1], error=0.003)
    assert "3 orbits" in repr(many)
    assert "in 1" in repr(many)
    assert "standard error" in spectrum(0.3, -0.2, error=0.1)._repr_html_()


def test_save_load_and_dataset(tmp_path):
    system = resdyn.ResidualMap(cyclic_weights(), step=0.1, damping=0.5)
    found = resdyn.lyapunov_spectrum(system, RNG.normal(size=(4, 3)), depth=120, transient=5)
    found.save(tmp_path / "spectrum.npz")
    again = LyapunovSpectrum.load(tmp_path / "spectrum.npz")
    assert np.array_equal(again.running, found.running)
    assert repr(again) == repr(found)
    assert (again.depth, again.transient, again.dynamics) == (120, 5, "map")
    data = found.to_dataset()
    assert data.running.dims == ("t", "batch", "exponent")
    assert np.array_equal(data.exponents, found.exponents)
    assert np.array_equal(data.t, found.t)
    assert data.attrs["transient"] == 5
    with pytest.raises(IndexError, match="sample takes 1 indices"):
        found.sample()


# --- other libraries ---------------------------------------------------------------------------------


def test_pynamicalsys_agrees_on_the_henon_map():
    from pynamicalsys import DiscreteDynamicalSystem

    henon = DiscreteDynamicalSystem(model="henon map")
    theirs = np.ravel(henon.lyapunov([0.1, 0.1], 50_000, parameters=[1.4, 0.3], transient_time=1000))
    ours = resdyn.lyapunov_spectrum(resdyn.systems.henon(), [0.1, 0.1], depth=49_000, transient=1000)
    # rounding parts the two orbits after some eighty layers; each then has its own statistical error
    assert (np.abs(theirs - ours.exponents) < 6 * ours.standard_error).all()


def test_nolds_finds_the_exponent_in_the_series_alone(monkeypatch):
    # nolds asks importlib.resources for files beside a module, which Python 3.11 refuses
    def beside(name):
        return Path(importlib.util.find_spec(name).origin).parent

    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(importlib.resources, "files", beside)
        nolds = pytest.importorskip("nolds")
    system = resdyn.systems.logistic_map(r=3.9)
    series = resdyn.simulate(system, [0.3], depth=1500, transient=100).x[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimate = nolds.lyap_r(series, emb_dim=2, lag=1, min_tsep=10, trajectory_len=5, fit="poly")
    ours = resdyn.lyapunov_spectrum(system, [0.3], depth=20_000).exponents[0]
    # Rosenstein's method sees a series and no derivative: good to some ten per cent
    assert estimate == pytest.approx(ours, rel=0.15)


# --- bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"depth": 0}, ValueError, "depth of at least 1"),
        ({}, ValueError, "say how many layers"),
        ({"depth": 5, "n_exponents": 3}, ValueError, "n_exponents = 3, but states have 2 variables"),
        ({"depth": 5, "n_exponents": 0}, ValueError, "n_exponents must be at least 1"),
        ({"depth": 5, "reorthonormalise": 0}, ValueError, "reorthonormalise must be at least 1"),
        ({"depth": 5, "dynamics": "both"}, ValueError, "'map' or 'flow'"),
        ({"depth": 5, "rtol": 1e-3}, ValueError, "dynamics is 'map'"),
        ({"depth": 5, "method": "RK45"}, ValueError, "dynamics is 'map'"),
        ({"depth": 5, "dynamics": "flow", "method": "residual"}, ValueError, "method must be"),
        ({"depth": 5, "rng": "seed"}, TypeError, "rng must be"),
    ],
)
def test_refuses(options, error, match):
    with pytest.raises(error, match=match):
        resdyn.lyapunov_spectrum(resdyn.systems.henon(), [0.1, 0.1], **options)


def test_refuses_what_cannot_fit():
    big = resdyn.ResidualSystem(lambda t, x, p: -x, 20_000_000)
    with pytest.raises(MemoryError, match="ask for fewer exponents"):
        resdyn.lyapunov_spectrum(big, np.zeros(20_000_000), depth=10, n_exponents=10_000)


def rotated(*eigenvalues):
    Q = np.linalg.qr(np.random.default_rng(5).normal(size=(len(eigenvalues),) * 2))[0]
    return Q @ np.diag(eigenvalues) @ Q.T


def test_a_flow_says_so_where_a_layer_contracts_more_than_its_tolerances():
    W = rotated(-1.0, -25.0, -50.0)
    options = {"dynamics": "flow", "transient": 50}
    coarse = resdyn.ResidualMap.residual(W, activation="identity")
    found = resdyn.lyapunov_spectrum(coarse, np.ones(3), depth=200, **options)
    assert found.exponents[0] == pytest.approx(-1.0, abs=1e-5)
    assert np.isnan(found.exponents[1:]).all()
    fine = resdyn.lyapunov_spectrum(coarse.replace(step=0.05), np.ones(3), depth=2000, **options)
    assert fine.exponents == pytest.approx([-1.0, -25.0, -50.0], abs=1e-3)
    short = resdyn.finite_time_exponents(coarse, np.ones(3), depth=10, dynamics="flow")
    assert np.isnan(short.exponents[1:]).all()
    mild = resdyn.ResidualMap.residual(rotated(-1.0, -3.0, -5.0), activation="identity")
    fine = resdyn.finite_time_exponents(mild, np.ones(3), depth=20, dynamics="flow")
    assert fine.exponents == pytest.approx([-1.0, -3.0, -5.0], abs=1e-3)


@pytest.mark.parametrize("n", [3, 8])
@pytest.mark.parametrize("factor", [1e-12, 1e-6, 1e6, 1e12])
def test_bursts_of_contraction_or_expansion_do_not_leave_the_numbers(n, factor):
    rng = np.random.default_rng(6)
    W = np.array([np.linalg.qr(rng.normal(size=(n, n)))[0] for _ in range(400)])
    W[150:250] *= factor
    exact = 100 * np.log(factor) / 400
    network = resdyn.ResidualMap.mlp(W, activation="identity")
    assert resdyn.lyapunov_spectrum(network, np.zeros(n)).exponents == pytest.approx([exact] * n, rel=1e-9)
    assert resdyn.finite_time_exponents(network, np.zeros(n)).exponents == pytest.approx([exact] * n, rel=1e-9)


def test_a_frame_that_leaves_the_numbers_has_failed():
    for n in (2, 8):
        network = resdyn.ResidualMap.mlp(np.array([1e160 * np.eye(n)] * 5), activation="identity")
        for found in (
            resdyn.lyapunov_spectrum(network, np.zeros(n)),
            resdyn.finite_time_exponents(network, np.zeros(n)),
        ):
            exact = np.allclose(found.exponents, np.log(1e160))
            assert exact or (found.status == resdyn.Status.FAILED and np.isnan(found.exponents).all())


def test_a_blow_up_in_a_flow_does_not_hang():
    import sympy

    x = sympy.Symbol("x", real=True)
    grows = resdyn.from_symbolic(resdyn_theory.SymbolicSystem("grows", (x,), (x**2 - 1,)), step=0.1)
    found = resdyn.finite_time_exponents(grows, [[3.0], [0.0]], depth=10, dynamics="flow")
    assert found.status[0] != resdyn.Status.OK
    assert found.status[1] == resdyn.Status.OK
    assert np.isfinite(found.exponents[1]).all()
