"""Certificates: V never increases where one is given, every class is recognised, and nothing is certified on trust."""

import os
import sys

import numpy as np
import pytest
from scipy.special import expit

import resdyn
from resdyn import lyapunov_function
from resdyn.analysis.certificates import FORMS, Certificate, potentials, quadratic, scalings
from resdyn.analysis.certificates.preactivations import preactivations
from resdyn.analysis.certificates.slopes import KNOWN

EPS = np.finfo(float).eps

# --- random systems of each class --------------------------------------------------------------------


# `make thorough` asks for ten thousand of each class
RANDOM_SYSTEMS = int(os.environ.get("RESDYN_RANDOM_SYSTEMS", "120"))


def symmetric(rng, n):
    W = rng.normal(size=(n, n))
    return W + W.T


def skew(rng, n):
    W = rng.normal(size=(n, n))
    return W - W.T


def dissipative(rng, n):
    """The symmetric part is negative definite with margin."""
    B = rng.normal(size=(n, n))
    return skew(rng, n) - B @ B.T - 0.05 * np.eye(n)


def scale(rng, n):
    return np.exp(rng.normal(size=n))


def size(rng):
    return int(rng.integers(2, 6))


def bounded(rng):
    return rng.choice(["logistic", "tanh"])


def any_activation(rng):
    return rng.choice(list(KNOWN))


def gradient_flow(rng):
    n = size(rng)
    return resdyn.logistic_residuals(symmetric(rng, n) / scale(rng, n)[:, None]), {}


def gradient_map(rng):
    n, activation = size(rng), bounded(rng)
    W = symmetric(rng, n)
    limit = 2 / KNOWN[activation].greatest / -np.linalg.eigvalsh(W)[0]
    # up to the very end of the steps that the condition allows
    step = abs(limit) * rng.choice([0.3, 0.999, 1 - 1e-12])
    return resdyn.ResidualMap(W, rng.normal(size=n), activation=activation, step=step), {}


def hopfield_flow(rng):
    n, rate = size(rng), np.exp(rng.normal())
    W, b = symmetric(rng, n) / scale(rng, n)[:, None], rng.normal(size=n)
    return resdyn.ResidualMap(W, b, activation=bounded(rng), damping=rate, gain=rng.normal()), {}


def hopfield_map(rng):
    n, rate, activation = size(rng), np.exp(rng.normal()), any_activation(rng)
    W = symmetric(rng, n)
    share = rng.uniform(0.05, 1.0)
    # W + (2 − hλ)/(hL) I ⪰ 0, nearly with equality
    W *= (2 - share) * rate / (share * KNOWN[activation].greatest) / max(-np.linalg.eigvalsh(W)[0], 1e-3) * 0.999
    return resdyn.ResidualMap(W, rng.normal(size=n), activation=activation, damping=rate, step=share / rate), {}


def conserved_flow(rng):
    n = size(rng)
    return resdyn.logistic_residuals(skew(rng, n) / scale(rng, n)[:, None]), {}


def potential_flow(rng):
    n = size(rng)
    B = rng.normal(size=(n, n - 1))
    return resdyn.logistic_residuals(skew(rng, n) - B @ B.T), {}


def stable_flow(rng):
    n = size(rng)
    W = dissipative(rng, n) / scale(rng, n)[:, None]
    return resdyn.ResidualMap(W, rng.normal(size=n), activation=any_activation(rng)), {}


def stable_map(rng):
    n, activation = size(rng), any_activation(rng)
    D, K = scale(rng, n), dissipative(rng, n)
    W = K / D[:, None]
    # hL/2 WᵀDW just below what the symmetric part leaves
    limit = 1 / np.linalg.eigvals(np.linalg.solve(-(K + K.T) / 2, W.T @ (D[:, None] * W))).real.max()
    step = 2 / KNOWN[activation].greatest * limit * rng.uniform(0.1, 0.99)
    return resdyn.ResidualMap(W, rng.normal(size=n), activation=activation, step=step), {}


def damped_flow(rng):
    n, rate, activation = size(rng), np.exp(rng.normal()), any_activation(rng)
    W = dissipative(rng, n) / scale(rng, n)[:, None] + rate / KNOWN[activation].greatest * np.eye(n)
    return resdyn.ResidualMap(W, 3 * rng.normal(size=n), activation=activation, damping=rate), {}


def contracting_map(rng):
    n, rate, activation = size(rng), np.exp(rng.normal()), any_activation(rng)
    step = rng.uniform(0.05, 1.9) / rate
    W, root = rng.normal(size=(n, n)), np.sqrt(scale(rng, n))
    W *= (1 - abs(1 - step * rate)) / (step * KNOWN[activation].greatest) * 0.98 / np.linalg.norm(W, 2)
    return resdyn.ResidualMap(
        W * root / root[:, None], rng.normal(size=n), activation=activation, damping=rate, step=step
    ), {}


def corner_flow(rng):
    """A saturated equilibrium: K − P + diag(c) with K skew, Py* = 0 and c = |Wy*|."""
    n = size(rng)
    y = np.zeros(n)
    y[: rng.integers(1, n)] = 1.0
    K = np.triu(rng.normal(size=(n, n)), 1)
    K[:, y > 0] = 0.0
    K[y > 0] = 0.5 + np.abs(K[y > 0])  # the units at 1 hinder those at 0, which help them
    K[:, y > 0] = 0.0
    K = K - K.T
    B = rng.normal(size=(n, n)) * (1 - y)[:, None]
    c = np.where(y > 0, 0.5 + rng.uniform(size=n), -K @ y)
    order = rng.permutation(n)
    W = (K - B @ B.T + np.diag(c))[np.ix_(order, order)]
    return resdyn.logistic_residuals(W), {"at": np.where(y > 0, np.inf, -np.inf)[order]}


def near_a_fixed_point(rng, dynamics):
    n, rate, activation = size(rng), np.exp(rng.normal()), any_activation(rng)
    W = rng.normal(size=(n, n)) * 0.9 / np.sqrt(n) / KNOWN[activation].greatest
    system = resdyn.ResidualMap(W, rng.normal(size=n), activation=activation, damping=rate, gain=rate, step=0.3 / rate)
    x = np.zeros(n)
    for _ in range(300):
        x = x + 0.3 / rate * system.residual(0, x)
    return system, {"at": x, "form": "quadratic form"}


def near_a_saturated_point(rng, dynamics):
    n = size(rng)
    W = rng.normal(size=(n, n))
    system = resdyn.logistic_residuals(W, step=0.4)
    z = rng.normal(size=n)
    for _ in range(600):
        z = z + 0.5 * W @ expit(z)
    return system, {"at": np.where(np.abs(z) > 10, np.sign(z) * np.inf, z), "form": "quadratic form"}


# class: how to make one, dynamics, the forms that may be found (a stronger one may apply by chance)
GLOBAL = ("diagonal stability", "contraction")
CLASSES = {
    "gradient flow": (gradient_flow, "flow", ("gradient", *GLOBAL)),
    "gradient map": (gradient_map, "map", ("gradient", *GLOBAL)),
    "Hopfield flow": (hopfield_flow, "flow", ("Hopfield energy", *GLOBAL)),
    "Hopfield map": (hopfield_map, "map", ("Hopfield energy", *GLOBAL)),
    "skew flow": (conserved_flow, "flow", ("conserved potential",)),
    "semidefinite flow": (potential_flow, "flow", ("potential", *GLOBAL)),
    "stable flow": (stable_flow, "flow", GLOBAL),
    "stable map": (stable_map, "map", GLOBAL),
    "damped flow": (damped_flow, "flow", GLOBAL),
    "contracting map": (contracting_map, "map", GLOBAL),
    "corner": (corner_flow, "flow", ("equilibrium",)),
}


def rise_along_orbits(certificate, x, blocks=15):
    """The largest step of V upwards along orbits from x, beyond slack; and that V, change, derivative agree."""
    system, slack = certificate.system, certificate.slack
    worst = -np.inf
    for _ in range(blocks):
        V = certificate.V(x)
        inside = np.isfinite(V) & (V <= (np.inf if certificate.region is None else certificate.region))
        if certificate.dynamics == "map":
            after = x + system.step * system.residual(0, x)
            change = certificate.change(x)
            close = np.isclose(change, certificate.V(after) - V, rtol=1e-6, atol=1e-11 * (1 + np.abs(V).max()))
            assert close.all()
        else:
            change = certificate.derivative(x)
            after = x + 0.05 * system.residual(0, x)
            epsilon = 1e-6 / (1 + np.abs(system.residual(0, x)).max())
            f = system.residual(0, x)
            difference = (certificate.V(x + epsilon * f) - certificate.V(x - epsilon * f)) / (2 * epsilon)
            # central differences: O(ε²) and rounding of V over ε; kinks of relu cost one part of a unit
            kink = getattr(getattr(system, "activation", None), "name", "") == "relu"
            error = 1e-15 * (1 + np.abs(V).max() + np.abs(x).max()) / epsilon
            assert kink or np.allclose(change, difference, rtol=1e-4, atol=1e-6 + 20 * error)
        worst = max(worst, float((change - slack)[inside].max(initial=-np.inf)))
        x = after
    return worst


@pytest.mark.parametrize("name", CLASSES)
def test_every_system_of_a_class_is_recognised_and_its_v_never_increases(name):
    make, dynamics, forms = CLASSES[name]
    rng = np.random.default_rng(0)
    for _ in range(RANDOM_SYSTEMS):
        system, options = make(rng)
        certificate = lyapunov_function(system, dynamics=dynamics, **options)
        assert certificate.form in forms, (name, certificate)
        assert all(condition.satisfied for condition in certificate.conditions)
        x = rng.normal(size=(6, *system.shape)) * rng.choice([0.1, 1.0, 10.0])
        # rounding of differences of distances; all other changes keep their sign, so they get no tolerance
        assert rise_along_orbits(certificate, x, blocks=4) <= 0


@pytest.mark.parametrize("dynamics", ["flow", "map"])
@pytest.mark.parametrize("make", [near_a_fixed_point, near_a_saturated_point])
def test_quadratic_forms_decrease_in_their_region(make, dynamics):
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(RANDOM_SYSTEMS // 2):
        system, options = make(rng, dynamics)
        certificate = lyapunov_function(system, dynamics=dynamics, **options)
        if not certificate:
            why = dict(certificate.reasons)["quadratic form"]
            assert any(
                word in why
                for word in ("not a fixed point", "found no fixed", "does not attract", "not hyper", "not an eq")
            )
            continue
        found += 1
        assert certificate.region > 0
        # states on and inside the boundary of the region
        root = np.linalg.cholesky(np.linalg.inv(certificate.matrix))
        direction = rng.normal(size=(20, system.shape[0]))
        direction /= np.linalg.norm(direction, axis=1)[:, None]
        radius = np.sqrt(min(certificate.region, 1e6)) * rng.uniform(0.0, 1.0, size=(20, 1))
        deviation = radius * direction @ root.T
        if make is near_a_fixed_point:
            x = certificate.center + deviation
        else:
            y = expit(certificate.center) + deviation
            x = system.from_residuals(y[((y > 0) & (y < 1)).all(axis=1)])
        if len(x):
            assert rise_along_orbits(certificate, x) <= 0
    assert found > RANDOM_SYSTEMS // 4


# --- ten thousand systems per theorem, with formulas of their own ------------------------------------

MANY = 10_000


def stacks(seed, n=3):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(MANY, n, n))
    D = np.exp(rng.normal(size=(MANY, n)))
    u = rng.normal(size=(MANY, n)) * np.exp(2 * rng.normal(size=(MANY, 1)))
    return rng, A, D, u


def apply(W, y):
    return np.einsum("kij,kj->ki", W, y)


def softplus(u):
    return np.logaddexp(0, u)


def runge_kutta(f, u, step):
    a = f(u)
    b = f(u + step[:, None] / 2 * a)
    c = f(u + step[:, None] / 2 * b)
    return u + step[:, None] / 6 * (a + 2 * b + 2 * c + f(u + step[:, None] * c))


def assert_never_increases(V, advance, u, blocks=8, tolerance=1e-12):
    before = V(u)
    for _ in range(blocks):
        u = advance(u)
        after = V(u)
        assert (after - before <= tolerance * (1 + np.abs(before))).all()
        before = after


def test_gradient_of_ten_thousand_flows():
    _, A, D, u = stacks(0)
    S = A + A.transpose(0, 2, 1)
    W = S / D[..., None]
    step = 0.02 / np.abs(W).sum(axis=(1, 2))
    # the fifth power of the step, 3e-9 at most, is what Runge–Kutta may be wrong by
    assert_never_increases(
        lambda z: -0.5 * np.einsum("ki,kij,kj->k", expit(z), S, expit(z)),
        lambda z: runge_kutta(lambda v: apply(W, expit(v)), z, step),
        u,
        tolerance=1e-9,
    )


def test_gradient_of_ten_thousand_maps_up_to_the_longest_step():
    _, A, D, u = stacks(1)
    S = A + A.transpose(0, 2, 1)
    root = np.sqrt(D)
    least = np.linalg.eigvalsh(S / root[:, :, None] / root[:, None, :])[:, 0]  # of D^{-1/2} S D^{-1/2}
    step = np.minimum(8 / np.maximum(-least, 1e-3), 20.0)[:, None]
    assert_never_increases(
        lambda z: -0.5 * np.einsum("ki,kij,kj->k", expit(z), S, expit(z)),
        lambda z: z + step * apply(S / D[..., None], expit(z)),
        u,
    )


def test_hopfield_energy_of_ten_thousand_maps_up_to_the_longest_step():
    rng, A, D, u = stacks(2)
    S = A + A.transpose(0, 2, 1)
    root = np.sqrt(D)
    least = np.linalg.eigvalsh(S / root[:, :, None] / root[:, None, :])[:, 0]
    share = rng.uniform(0.05, 1.0, MANY)  # hλ
    rate = np.maximum(-least, 1e-3) * share / (2 - share)  # so that S + (2 − hλ)/(hL) D ⪰ 0 with equality, L = 1
    step, b = (share / rate)[:, None], rng.normal(size=u.shape)

    def energy(v):
        y = np.tanh(v)
        conjugate = v * y - (np.logaddexp(v, -v) - np.log(2))
        return -0.5 * np.einsum("ki,kij,kj->k", y, S, y) + rate * np.sum(D * (conjugate - b * y), axis=1)

    assert_never_increases(
        energy,
        lambda v: v + step * (-rate[:, None] * (v - b) + apply(S / D[..., None], np.tanh(v))),
        np.clip(u, -20, 20),
    )


def test_potential_of_ten_thousand_maps_up_to_the_longest_step():
    _, A, D, u = stacks(3)
    K = A - A.transpose(0, 2, 1) - np.einsum("kij,klj->kil", A, A)
    W = K / D[..., None]
    inner = np.linalg.cholesky(-(K + K.transpose(0, 2, 1)) / 2)
    inverse = np.linalg.inv(inner)
    square = np.einsum("kji,kj,kjl->kil", W, D, W)
    step = 8 / np.linalg.eigvalsh(np.einsum("kij,kjl,kml->kim", inverse, square, inverse))[:, -1]
    assert_never_increases(
        lambda z: np.sum(D * softplus(z), axis=1), lambda z: z + step[:, None] * apply(W, expit(z)), u
    )


def test_damped_potential_of_ten_thousand_flows():
    rng, A, D, u = stacks(4)
    K = A - A.transpose(0, 2, 1) - np.einsum("kij,klj->kil", A, A)
    rate = np.exp(rng.normal(size=MANY))
    W = K / D[..., None] + 4 * rate[:, None, None] * np.eye(3)
    center = rng.normal(size=u.shape)
    target = expit(center)
    b = center - apply(W, target) / rate[:, None]  # the bias that puts the fixed point there
    step = 0.02 / (np.abs(W).sum(axis=(1, 2)) + rate)
    assert_never_increases(
        lambda v: np.sum(D * (softplus(v) - softplus(center) - target * (v - center)), axis=1),
        lambda v: runge_kutta(lambda w: -rate[:, None] * (w - b) + apply(W, expit(w)), v, step),
        np.clip(u, -20, 20),
        tolerance=1e-9,
    )


def test_contraction_of_ten_thousand_maps():
    rng, A, D, u = stacks(5)
    share = rng.uniform(0.05, 1.95, MANY)[:, None]
    root = np.sqrt(D)
    M = A / np.linalg.norm(A, 2, axis=(1, 2))[:, None, None] * 4 * (1 - np.abs(1 - share))[..., None]
    M = M * root[:, None, :] / root[:, :, None]  # |1 − hλ| + h‖M‖_D/4 = 1 with h = 1
    other = u + rng.normal(size=u.shape)

    def advance(pair):
        return (1 - share) * pair + apply_both(M, expit(pair))

    def apply_both(W, pair):
        return np.stack([apply(W, pair[0]), apply(W, pair[1])])

    # the states here are pre-activations of a network with W = M, whose differences obey the same bound
    assert_never_increases(
        lambda pair: np.sqrt(np.sum(D * (pair[0] - pair[1]) ** 2, axis=1)), advance, np.stack([u, other])
    )


# --- conditions are as sharp as stated ---------------------------------------------------------------


def test_longest_step_of_a_gradient_map_is_eight_over_the_least_eigenvalue():
    W = symmetric(np.random.default_rng(3), 4)
    limit = -8 / np.linalg.eigvalsh(W)[0]
    for factor, applies in ((1 - 1e-12, True), (1 + 1e-12, False)):
        system = resdyn.logistic_residuals(W, step=limit * factor)
        certificate = lyapunov_function(system, dynamics="map", form="gradient")
        assert bool(certificate) is applies
    assert "too long" in dict(certificate.reasons)["gradient"]


def test_beyond_its_step_a_synchronous_map_settles_on_a_cycle_of_two():
    system = resdyn.ResidualMap.hopfield([[-3.0]], activation="tanh", step=1.0)
    assert lyapunov_function(system).form == "diagonal stability"
    assert not lyapunov_function(system, dynamics="map")
    orbit = resdyn.simulate(system, [0.5], depth=100).x[-4:, 0]
    assert np.allclose(orbit[::2], orbit[0])
    assert orbit[0] == pytest.approx(-orbit[1], abs=1e-9)
    assert abs(orbit[0]) > 0.9
    assert resdyn.simulate(system, [0.5], depth=100, method="RK45").final == pytest.approx(0.0, abs=1e-6)
    # at h = 0.4 the condition −3 + (2 − h)/h ≥ 0 holds
    assert lyapunov_function(system.replace(step=0.4), dynamics="map", form="Hopfield energy")
    assert not lyapunov_function(system.replace(step=0.6), dynamics="map", form="Hopfield energy")


def test_diagonal_stability_of_two_units_needs_no_solver():
    # −W is a P-matrix: necessary and sufficient for two units
    rng = np.random.default_rng(4)
    seen = set()
    for _ in range(300):
        W = rng.normal(size=(2, 2)) - 0.5 * np.eye(2)
        stable = W[0, 0] < 0 and W[1, 1] < 0 and np.linalg.det(W) > 0
        question = potentials.Question(resdyn.logistic_residuals(W), "flow", None, network_of(W), lmi=False)
        assert isinstance(potentials.diagonal_stability(question), Certificate) == stable
        seen.add(stable)
    assert seen == {True, False}


def network_of(W):
    return preactivations(resdyn.logistic_residuals(W))


def hidden_scaling(seed=0, n=5):
    """Diagonally stable, with a D that neither ratios of weights nor the comparison matrix show."""
    rng = np.random.default_rng(seed)
    D = np.exp(2 * rng.normal(size=n))
    B = rng.normal(size=(n, n))
    return (skew(rng, n) - B @ B.T) / D[:, None], D


def test_lmi_finds_what_guesses_do_not():
    W, _ = hidden_scaling()
    system = resdyn.logistic_residuals(W)
    question = potentials.Question(system, "flow", None, network_of(W), lmi=False)
    assert potentials.diagonal_stability(question) == "none of the simple choices of D serves"
    certificate = lyapunov_function(system)
    assert certificate.form == "diagonal stability"
    product = certificate.scaling[:, None] * W
    assert np.linalg.eigvalsh(product + product.T)[-1] < 0


def test_without_the_solver_the_reason_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "clarabel", None)
    certificate = lyapunov_function(resdyn.logistic_residuals(hidden_scaling()[0]))
    assert not certificate
    assert 'pip install "resdyn[lmi]"' in dict(certificate.reasons)["diagonal stability"]


def test_solver_is_not_trusted(monkeypatch):
    monkeypatch.setattr(scalings, "feasible_scaling", lambda terms: np.ones(len(terms)))
    certificate = lyapunov_function(resdyn.logistic_residuals(hidden_scaling()[0]))
    assert "does not stand the check" in dict(certificate.reasons)["diagonal stability"]


def test_large_networks_are_not_given_to_the_solver():
    rng = np.random.default_rng(0)
    B = rng.normal(size=(65, 65))
    W = (skew(rng, 65) - B @ B.T) / np.exp(2 * rng.normal(size=65))[:, None]
    certificate = lyapunov_function(resdyn.logistic_residuals(W))
    assert "65 units are more than the 64" in dict(certificate.reasons)["diagonal stability"]


def test_infeasible_lmi_is_a_reason():
    # a cycle of three is diagonally stable up to a gain of sec(π/3)³ = 8, but here stable at a gain of 20
    W = np.array([[-1.0, 0.0, -10.0], [10.0, -1.0, 0.0], [0.0, 20.0, -100.0]])
    assert np.linalg.eigvals(W).real.max() < 0
    certificate = lyapunov_function(resdyn.logistic_residuals(W))
    assert "the LMI has no solution" in dict(certificate.reasons)["diagonal stability"]


# --- margins -----------------------------------------------------------------------------------------


def test_boundary_that_is_exact_leaves_no_slack():
    B = np.array([[1.0], [2.0], [-1.0]])
    K = np.array([[0.0, 1.0, -2.0], [-1.0, 0.0, 3.0], [2.0, -3.0, 0.0]])
    certificate = lyapunov_function(resdyn.logistic_residuals(K - B @ B.T), form="potential")
    assert certificate.slack == 0
    assert "exactly" in certificate.conditions[0].text


def test_boundary_within_rounding_is_stated_as_slack_or_refused():
    rng = np.random.default_rng(0)
    slacks = []
    for _ in range(40):
        B = rng.normal(size=(10, 3))
        W = skew(rng, 10) - B @ B.T
        bounded_units = lyapunov_function(resdyn.logistic_residuals(W), form="potential")
        slacks.append(bounded_units.slack)
        assert bounded_units
        unbounded = resdyn.ResidualMap(W, activation="relu")
        refused = lyapunov_function(unbounded, form="potential")
        assert not refused
        assert "marginal" in dict(refused.reasons)["potential"]
    assert 0 < min(slacks) <= max(slacks) < 1e-10


def test_symmetry_to_rounding_is_said():
    rng = np.random.default_rng(0)
    W = symmetric(rng, 4) / scale(rng, 4)[:, None]
    certificate = lyapunov_function(resdyn.logistic_residuals(W), form="gradient")
    assert "within rounding" in certificate.conditions[0].text
    assert certificate.conclusion.startswith("To the precision of the weights")
    assert 0 < certificate.slack < 1e-25
    unbounded = resdyn.ResidualMap(W, activation="relu", damping=1.0)
    assert "marginal" in reason(unbounded, "Hopfield energy")
    nearly = symmetric(rng, 4)
    nearly[0, 1] *= 1 + 1e-9
    cycle = lyapunov_function(resdyn.logistic_residuals(nearly), form="gradient")
    assert "no D > 0 makes DW symmetric" in dict(cycle.reasons)["gradient"]


# --- single forms ------------------------------------------------------------------------------------


def test_skew_weights_conserve_the_potential_along_simulated_flows():
    system = resdyn.logistic_residuals(resdyn.systems.skew_weights(4, rng=2))
    certificate = lyapunov_function(system)
    z0 = np.random.default_rng(0).normal(size=(10, 4))
    run = resdyn.simulate(system, z0, depth=30, method="RK45", rtol=1e-10, atol=1e-12)
    V = certificate.V(run.x)
    # 30 units of time at a relative tolerance of 1e-10 per step
    assert np.abs(V - V[0]).max() < 1e-7
    assert np.abs(certificate.derivative(run.x)).max() == 0


def test_every_orbit_reaches_a_certified_corner():
    rng = np.random.default_rng(5)
    for _ in range(8):
        system, options = corner_flow(rng)
        certificate = lyapunov_function(system, **options)
        assert "tends to y*" in certificate.conclusion
        z0 = rng.normal(size=(20, *system.shape))
        # saturated units are driven with strength 0.5 at least, but orbits may linger at other corners first
        end = resdyn.simulate(system, z0, depth=400, method="RK45").final
        assert np.allclose(expit(end), expit(options["at"]), atol=1e-3)


def test_corner_with_integer_weights_is_certified_exactly():
    # K − P + diag c as in corner_flow
    W = np.array([[1.0, 2.0], [-2.0, 1.0]])
    certificate = lyapunov_function(resdyn.logistic_residuals(W), at=[np.inf, -np.inf])
    assert certificate.form == "equilibrium"
    assert certificate.slack == 0
    assert certificate.conclusion == "Every orbit from the interior tends to y* = (1, 0)."
    # without the drive of unit 1 nothing holds it: 0 ≤ 0 only
    idle = lyapunov_function(resdyn.logistic_residuals([[1.0, 0.0], [0.0, 0.0]]), at=[np.inf, -np.inf])
    assert "does not increase" in idle.conclusion


def test_corner_is_refused_if_the_face_beside_it_has_another_attractor():
    # on the face y0 = 1 unit 1 rises as soon as −2 + 2.5 y1 > 0
    system = resdyn.logistic_residuals([[1.0, 2.0], [-2.0, 2.5]])
    end = resdyn.simulate(system, [5.0, 5.0], depth=100, method="RK45").final
    assert (expit(end) > 0.99).all()
    assert not lyapunov_function(system, at=[np.inf, -np.inf], form="equilibrium")


def test_corner_that_pushes_away_is_refused():
    W = np.array([[-1.0, 0.0], [0.0, 1.0]])
    certificate = lyapunov_function(resdyn.logistic_residuals(W), at=[np.inf, np.inf], form="equilibrium")
    assert "unit 0 is saturated above, but (Wy*)_0 = -1 drives it away" in certificate.reasons[0][1]
    inside = lyapunov_function(resdyn.logistic_residuals(W), at=[0.0, np.inf], form="equilibrium")
    assert "not an equilibrium: unit 0 is not saturated" in inside.reasons[0][1]


def test_interior_equilibrium_of_a_saturated_neighbour():
    # unit 1 is held at 1, unit 0 rests where −y0 + 0.25 = 0
    W = np.array([[-1.0, 0.25], [0.1, 1.0]])
    system = resdyn.logistic_residuals(W)
    at = system.from_residuals([0.25, 1.0])
    certificate = lyapunov_function(system, at=at + np.array([1e-9, 0.0]))
    assert certificate.form == "equilibrium"
    end = resdyn.simulate(system, np.random.default_rng(0).normal(size=(9, 2)), depth=80, method="RK45").final
    assert np.allclose(expit(end), [0.25, 1.0], atol=1e-6)
    assert expit(certificate.fixed_point)[0] == pytest.approx(0.25, abs=1e-15)


def test_infinite_states_have_values():
    system = resdyn.logistic_residuals(symmetric(np.random.default_rng(0), 3))
    z = np.array([[np.inf, -np.inf, 0.3], [-np.inf] * 3])
    certificate = lyapunov_function(system)
    y = expit(z)
    assert np.allclose(certificate.V(z), -0.5 * np.sum(y * (y @ system.W), axis=1))
    assert np.isfinite(certificate.derivative(z)).all()
    assert np.isfinite(lyapunov_function(system.replace(step=0.1), dynamics="map").change(z)).all()
    with pytest.raises(ValueError, match="infinite"):
        lyapunov_function(resdyn.ResidualMap(system.W)).V(z)


def test_contraction_holds_under_a_common_drive():
    rng = np.random.default_rng(0)
    W = rng.normal(size=(6, 6))
    reservoir = resdyn.ResidualMap.leaky_rnn(0.9 * W / np.linalg.norm(W, 2), leak=0.4)
    certificate = lyapunov_function(reservoir, dynamics="map")
    assert certificate.form == "contraction"
    drive = rng.normal(size=(50, 6))
    run = resdyn.simulate(reservoir, rng.normal(size=(2, 6)), inputs=drive)
    gap = certificate.distance(run.x[:, 0], run.x[:, 1])
    assert (gap[1:] <= certificate.rate * gap[:-1] * (1 + 1e-12)).all()
    assert np.allclose(reservoir.residual(0, certificate.fixed_point), 0, atol=1e-15)


def test_contraction_rate_of_linear_units_is_the_norm():
    W = np.array([[0.2, 0.5], [-0.1, 0.3]])
    certificate = lyapunov_function(resdyn.ResidualMap.mlp(W, activation="identity"), dynamics="map")
    D = np.sqrt(certificate.scaling)
    assert certificate.rate == pytest.approx(np.linalg.norm(D[:, None] * W / D, 2), rel=1e-13)


def test_layers_that_all_contract_bring_orbits_together():
    weights = resdyn.systems.random_weights(4, depth=12, scale=0.9)
    system = resdyn.ResidualMap.interpolated(weights, coefficient=np.linspace(0.8, 1.0, 12))
    certificate = lyapunov_function(system, dynamics="map")
    assert certificate.form == "contraction"
    assert len(certificate.conditions) == 12
    run = resdyn.simulate(system, np.random.default_rng(0).normal(size=(2, 4)))
    gap = certificate.distance(run.x[:, 0], run.x[:, 1])
    bounds = np.array([condition.value for condition in certificate.conditions])
    assert (gap[1:] <= bounds * gap[:-1] * (1 + 1e-12)).all()
    assert certificate.fixed_point is None
    with pytest.raises(ValueError, match=r"compare two orbits instead: certificate\.distance"):
        certificate.V(run.final)
    worse = resdyn.ResidualMap.mlp(weights * 40)
    assert "multiplies distances by up to" in dict(lyapunov_function(worse, dynamics="map").reasons)["contraction"]
    assert "layers have weights of their own" in dict(lyapunov_function(worse).reasons)["gradient"]


def test_quadratic_form_of_linear_units_holds_everywhere_and_solves_the_lyapunov_equation():
    W = np.array([[0.1, 2.0], [-2.0, 0.3]])
    system = resdyn.ResidualMap(W, activation="identity", damping=1.0, step=0.1)
    certificate = lyapunov_function(system, at=[0.0, 0.0], form="quadratic form")
    A, P = W - np.eye(2), certificate.matrix
    assert np.allclose(P @ A + A.T @ P, -np.eye(2))
    assert certificate.region == np.inf
    J = np.eye(2) + 0.1 * A
    of_the_map = lyapunov_function(system, dynamics="map", at=[0.0, 0.0], form="quadratic form").matrix
    assert np.allclose(J.T @ of_the_map @ J - of_the_map, -np.eye(2))


def test_quadratic_region_of_relu_ends_where_a_unit_switches():
    W, b = np.array([[-0.5, 0.4], [-0.6, 0.2]]), np.array([1.0, 0.8])
    system = resdyn.ResidualMap(W, b, activation="relu", damping=1.0)
    x = np.linalg.solve(np.eye(2) - W, b)
    certificate = lyapunov_function(system, at=x, form="quadratic form")
    u, inverse = W @ x + b, np.linalg.inv(certificate.matrix)
    assert (u > 0).all()
    expected = np.min(u**2 / np.einsum("ij,jk,ik->i", W, inverse, W))
    assert certificate.region == pytest.approx(expected, rel=1e-8)  # rounded down by a part in 1e9
    assert np.allclose(certificate.fixed_point, x)


@pytest.mark.parametrize("dynamics", ["flow", "map"])
def test_what_is_not_linear_stays_below_its_bound(dynamics):
    rng = np.random.default_rng(7)
    tightest = 0.0
    for make in (near_a_fixed_point, near_a_saturated_point):
        for _ in range(60):
            system, options = make(rng, dynamics)
            network = preactivations(system)
            question = potentials.Question(system, dynamics, options["at"], network)
            expansion = quadratic._expansion(question, options["at"])
            if isinstance(expansion, str):
                continue
            n = system.shape[0]
            # along axes too, where only one of the two terms of the bound acts
            deviation = np.concatenate([rng.normal(size=(40, n)), np.eye(n), -np.eye(n)]) * np.exp(rng.normal())
            if make is near_a_saturated_point:
                y = expit(expansion.center)
                deviation = np.clip(y + deviation, 1e-9, 1 - 1e-9) - y
                z = system.from_residuals(y + deviation)
                f = expit(z) * expit(-z) * (expit(z) @ system.W.T)
                moved = f if dynamics == "flow" else expit(z + system.step * system.residual(0, z)) - y
            else:
                f = system.residual(0, expansion.center + deviation)
                moved = f if dynamics == "flow" else deviation + system.step * f
            along = deviation @ expansion.C.T
            if expansion.most is not None and expansion.most(np.abs(along).max(axis=0)) < 1:
                continue
            remainder = np.linalg.solve(expansion.B, (moved - deviation @ expansion.A.T).T).T
            for r, delta, eta in zip(remainder, deviation, along, strict=True):
                s, q = expansion.remainder(1.0, np.abs(delta), np.abs(eta))
                bound = s * np.abs(delta) + q * np.abs(eta)
                # the centre is known to rounding, and A with it
                assert (np.abs(r) <= bound * (1 + 1e-9) + 1e-12).all()
                tightest = max(tightest, float((np.abs(r) / np.maximum(bound, 1e-6)).max()))
    assert tightest > 0.9  # the bounds are nearly reached


def test_a_region_is_not_larger_than_the_basin():
    # three fixed points, two of which attract: no region may hold the saddle
    system = resdyn.ResidualMap.hopfield([[2.0]], activation="tanh", step=0.1)
    x = resdyn.simulate(system, [1.0], depth=500).final
    for dynamics in ("flow", "map"):
        certificate = lyapunov_function(system, dynamics=dynamics, at=x)
        assert certificate.form == "quadratic form"
        assert any("Hopfield energy" in words for words in certificate.also)
        assert 0.05 * certificate.V([0.0]) < certificate.region < certificate.V([0.0])


def test_other_systems_get_a_local_form():
    system = resdyn.systems.pitchfork(r=1.0, step=0.1)
    certificate = lyapunov_function(system, at=[1.001])
    assert certificate.form == "quadratic form"
    assert certificate.region is None
    assert "neighbourhood" in certificate.conclusion
    assert certificate.fixed_point == pytest.approx(1.0, abs=1e-12)
    assert certificate.derivative([1.1]) < 0
    assert lyapunov_function(system, dynamics="map", at=[1.0]).change([1.1]) < 0
    # stable for the flow, unstable for the map with a long step: 1 − 2h = −1.4
    assert "a multiplier of modulus 1.4" in reason(system.replace(step=1.2), "quadratic form", [1.0], "map")
    assert "real part 1" in reason(system, "quadratic form", [0.0])
    assert "not hyperbolic" in reason(system.replace(r=0.0), "quadratic form", [0.0])
    assert "no weight matrix" in reason(system, "gradient", [1.0])
    assert "not a fixed point" in reason(system, "quadratic form", [0.8])


def test_a_shaped_state_is_flattened():
    system = resdyn.ResidualSystem(lambda t, x, p: -x + 0.1 * np.sin(x), (2, 2))
    certificate = lyapunov_function(system, at=np.zeros((2, 2)))
    assert certificate.V(np.ones((5, 2, 2))).shape == (5,)
    assert (certificate.derivative(np.ones((5, 2, 2))) < 0).all()


def reason(system, form, at=None, dynamics="flow"):
    return dict(lyapunov_function(system, at=at, dynamics=dynamics, form=form).reasons)[form]


def test_reasons_say_what_fails_with_numbers():
    W = np.array([[0.3, 1.0], [0.5, -1.0]])
    system = resdyn.logistic_residuals(W)
    assert "eigenvalue 0.64" in reason(system, "potential")
    assert "diagonal entry of unit 0 is 0.3" in reason(system, "diagonal stability")
    assert "no D > 0 makes DW skew" in reason(system, "conserved potential")
    assert "pass at=" in reason(system, "quadratic form")
    assert "pass at=" in reason(system, "equilibrium")
    assert "the map lets it grow" in reason(system, "conserved potential", dynamics="map")
    assert "it is a property of the map" in reason(system, "contraction")
    damped = resdyn.ResidualMap(W, damping=1.0, step=2.0)
    assert "damping is 1" in reason(damped, "potential")
    assert "hλ = 2 > 1" in reason(resdyn.ResidualMap(W + W.T, damping=1.0, step=2.0), "Hopfield energy", None, "map")
    assert "negative" in reason(resdyn.ResidualMap(W, damping=-1.0), "Hopfield energy")
    sympy = pytest.importorskip("sympy")
    sine = resdyn.ResidualMap(W, activation=sympy.sin(sympy.Symbol("z")))
    assert "no bounds of the slope" in reason(sine, "gradient")
    assert "no bounds of the slope" in reason(sine, "contraction", dynamics="map")


def test_strongest_form_comes_first_and_the_others_are_listed():
    W = -symmetric(np.random.default_rng(0), 3) @ symmetric(np.random.default_rng(0), 3) - np.eye(3)
    W = (W + W.T) / 2
    certificate = lyapunov_function(resdyn.logistic_residuals(W))
    assert certificate.form == "diagonal stability"
    assert any(words.startswith("gradient") for words in certificate.also)
    assert lyapunov_function(resdyn.logistic_residuals(W), form="gradient").form == "gradient"
    assert {name for name, _ in certificate.reasons} < set(FORMS)


def test_potential_also_finds_a_scaling():
    D, K = np.array([1.0, 4.0, 0.5]), skew(np.random.default_rng(0), 3)
    certificate = lyapunov_function(resdyn.logistic_residuals(K / D[:, None]), form="potential")
    assert np.allclose(certificate.scaling / certificate.scaling[0], D, rtol=1e-12)


def test_relabelling_units_relabels_the_scaling():
    rng = np.random.default_rng(6)
    W = dissipative(rng, 4) / scale(rng, 4)[:, None]
    order = np.array([2, 0, 3, 1])
    first = lyapunov_function(resdyn.logistic_residuals(W), form="diagonal stability")
    second = lyapunov_function(resdyn.logistic_residuals(W[np.ix_(order, order)]), form="diagonal stability")
    z = rng.normal(size=(5, 4))
    ratio = second.V(z[:, order]) / first.V(z)
    assert np.allclose(ratio, ratio[0], rtol=1e-6)  # D is determined up to a factor; an LMI would end at 1e-8


def test_state_of_the_network_sees_the_energy_of_its_residuals():
    W, b = symmetric(np.random.default_rng(0), 3), np.array([0.3, -1.0, 2.0])
    network, residuals = resdyn.ResidualMap(W, b, gain=1.0), resdyn.logistic_residuals(W, b)
    x = np.random.default_rng(1).normal(size=(7, 3))
    one, other = lyapunov_function(network), lyapunov_function(residuals)
    assert np.allclose(one.V(x), other.V(residuals.from_input(x)))
    assert np.allclose(one.derivative(x), other.derivative(residuals.from_input(x)))


def test_changes_keep_their_sign_where_values_cannot_resolve_them():
    system = resdyn.logistic_residuals(symmetric(np.random.default_rng(1), 3), step=1e-15)
    certificate = lyapunov_function(system, dynamics="map", form="gradient")
    z = np.random.default_rng(0).normal(size=(1000, 3))
    values = certificate.V(z + 1e-15 * system.residual(0, z)) - certificate.V(z)
    assert (values > 0).any()  # rounding
    assert (certificate.change(z) < 0).all()
    flow = lyapunov_function(system, form="gradient").derivative(z)
    assert np.allclose(certificate.change(z), 1e-15 * flow, rtol=1e-6)


# --- the result --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLASSES)
def test_save_and_load_keep_everything(name, tmp_path):
    make, dynamics, _ = CLASSES[name]
    system, options = make(np.random.default_rng(2))
    certificate = lyapunov_function(system, dynamics=dynamics, **options)
    certificate.save(tmp_path / "c.npz")
    loaded = Certificate.load(tmp_path / "c.npz")
    assert repr(loaded) == repr(certificate)
    assert loaded.conditions == certificate.conditions
    assert (loaded.region, loaded.slack, loaded.also) == (certificate.region, certificate.slack, certificate.also)
    x = np.random.default_rng(0).normal(size=(4, *system.shape))
    assert np.array_equal(loaded.V(x), certificate.V(x))
    stored = certificate.to_dataset()
    assert list(stored["margin"]) == [condition.margin for condition in certificate.conditions]
    assert "<table>" in certificate._repr_html_()


def test_nothing_found_is_false_and_says_why():
    system = resdyn.logistic_residuals(resdyn.systems.random_weights(3))
    nothing = lyapunov_function(system)
    assert not nothing
    assert set(dict(nothing.reasons)) == set(FORMS)
    assert "gradient: no D" in repr(nothing)
    assert "<table>" in nothing._repr_html_()
    assert nothing.fixed_point is None
    assert nothing.to_dataset().attrs["form"] == ""
    with pytest.raises(ValueError, match=r"no Lyapunov function.*\.reasons says why"):
        nothing.V(np.zeros(3))
    with pytest.raises(ValueError, match="belong to the form 'contraction'"):
        nothing.distance(np.zeros(3), np.ones(3))


def test_wrong_questions_raise():
    system = resdyn.logistic_residuals(np.array([[-1.0, 0.5], [0.5, -1.0]]))
    certificate = lyapunov_function(system)
    with pytest.raises(ValueError, match=r"use \.derivative\(x\)"):
        certificate.change([0.0, 0.0])
    with pytest.raises(ValueError, match=r"use \.change\(x\)"):
        lyapunov_function(system, dynamics="map").derivative([0.0, 0.0])
    with pytest.raises(ValueError, match="states of shape"):
        certificate.V([0.0])
    with pytest.raises(ValueError, match="dynamics must be"):
        lyapunov_function(system, dynamics="ode")
    with pytest.raises(ValueError, match="form must be 'equilibrium'"):
        lyapunov_function(system, form="energy")
    with pytest.raises(ValueError, match=r"at has shape \(3,\)"):
        lyapunov_function(system, at=[0.0, 0.0, 0.0])


def test_a_fixed_point_object_will_do():
    class Found:
        x = np.array([-np.inf, -np.inf])

    system = resdyn.logistic_residuals(np.array([[-1.0, 0.5], [0.5, -1.0]]))
    assert lyapunov_function(system, at=Found()).form == "equilibrium"


# --- what must not be certified --------------------------------------------------------------------------------


def test_a_region_is_everything_only_where_it_is():
    # two attractors at ±3e10, each the centre of a region that does not depend on the units
    system = resdyn.ResidualMap([[1e-10]], activation="tanh", damping=1.0, gain=3e10, step=0.1)
    right = resdyn.simulate(system, [3e10], depth=600).final
    for dynamics in ("flow", "map"):
        certificate = resdyn.lyapunov_function(system, at=right, dynamics=dynamics, form="quadratic form")
        assert certificate
        assert np.isfinite(certificate.region)
        assert certificate.V(-right) > certificate.region
    linear = resdyn.ResidualMap([[0.5]], activation="identity", damping=1.0)
    assert np.isinf(resdyn.lyapunov_function(linear, at=[0.0], form="quadratic form").region)


@pytest.mark.parametrize("w", [1e154, 1e155, 1e300])
def test_weights_that_overflow_are_not_certified(w):
    saddle = resdyn.ResidualMap([[-w, w], [w, -w]], activation="tanh", damping=1.0, step=0.5)
    assert not resdyn.lyapunov_function(saddle, dynamics="map", form="Hopfield energy")
    grows = resdyn.ResidualMap(w * np.eye(2), activation="tanh", step=0.5)
    for dynamics in ("flow", "map"):
        assert not resdyn.lyapunov_function(grows, dynamics=dynamics, form="potential")


def test_what_is_no_fixed_point_is_not_certified():
    for rule, at in (
        (lambda t, x, p: x**2 + 1e-9, -9e-4),
        (lambda t, x, p: -1e-3 - np.sqrt(np.abs(x)), 1e-5),
    ):
        certificate = resdyn.lyapunov_function(resdyn.ResidualSystem(rule, 1), at=[at])
        assert not certificate
        assert "not a fixed point" in dict(certificate.reasons)["quadratic form"]


def test_what_depends_on_time_is_not_certified():
    for rule in (lambda t, x, p: -x + 3 * np.sin(5 * t), lambda t, x, p: (-1 + 2 * t) * x):
        certificate = resdyn.lyapunov_function(resdyn.ResidualSystem(rule, 1), at=[0.0])
        assert "depends on t" in dict(certificate.reasons)["quadratic form"]


def test_odd_parameters_get_an_answer_and_not_an_accident():
    negative = resdyn.ResidualMap([[-1.0]], activation="identity", damping=-0.3, step=0.5)
    assert isinstance(bool(resdyn.lyapunov_function(negative, dynamics="map")), bool)
    still = resdyn.ResidualMap([[0.0]], [-1.0], activation="relu", damping=1.0)
    assert np.isinf(resdyn.lyapunov_function(still, at=[0.0], form="quadratic form").region)
    with pytest.raises(TypeError, match="needs a System, but got str"):
        resdyn.lyapunov_function("abc")
