"""Limit cycles of flows, and return maps: closed forms, known values, invariances, other integrators."""

import numpy as np
import pytest

import resdyn
from resdyn.analysis.periodic import Cycles, cycles, poincare_map
from resdyn.system import central_differences
from resdyn.systems import hopf, lorenz, van_der_pol
from resdyn.testing import check_system

# --- limit cycles ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mu", "omega"), [(0.2, 1.0), (0.05, 2.0)])
def test_hopf_cycle_in_closed_form(mu, omega):
    found = cycles(hopf(mu=mu, omega=omega), 2.3 * np.pi / omega, dynamics="flow")
    (cycle,) = found
    # default tolerances of 1e-10, some hundred steps
    assert cycle.duration == pytest.approx(2 * np.pi / omega, rel=1e-9)
    assert np.allclose(np.linalg.norm(cycle.x, axis=1), np.sqrt(mu), rtol=1e-8)
    assert cycle.multipliers[0] == pytest.approx(np.exp(-4 * np.pi * mu / omega), rel=1e-8)
    assert cycle.exponents[0] == pytest.approx(-2 * mu, rel=1e-8)
    assert cycle.trivial_multiplier_error < 1e-8
    assert cycle.is_stable()
    assert cycle.kind == "node"
    assert not found.complete
    # equal times: the angle grows by equal steps
    angles = np.unwrap(np.arctan2(cycle.x[:, 1], cycle.x[:, 0]))
    assert np.allclose(np.diff(angles), 2 * np.pi / len(cycle.x), atol=1e-8)


def test_van_der_pol_time_to_second_order():
    times = [cycles(van_der_pol(mu=mu), 6.3, dynamics="flow", n_starts=4)[0].duration for mu in (0.1, 0.2)]
    defects = [time - 2 * np.pi * (1 + mu**2 / 16) for time, mu in zip(times, (0.1, 0.2), strict=True)]
    # what is left is of fourth order (the expansion has even powers only)
    assert np.log2(defects[1] / defects[0]) == pytest.approx(4, abs=0.1)


def test_unstable_limit_cycle():
    # the Hopf normal form backwards in time: the same circle repels
    forward = hopf(mu=0.2)
    backward = resdyn.ResidualSystem(lambda t, x, p: -forward.residual(t, x), (2,), step=0.1, name="backward")
    angle = np.linspace(0, 2 * np.pi, 5)[:4]
    starts = 0.45 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = cycles(backward, 6.0, dynamics="flow", starts=starts[:1], rtol=1e-9)
    (cycle,) = found
    # no Jacobian is given: differences know it to 1e-10, and are integrated over one round
    assert cycle.multipliers[0] == pytest.approx(np.exp(0.8 * np.pi), rel=1e-6)
    assert cycle.is_stable() is False
    assert np.allclose(np.linalg.norm(cycle.x, axis=1), np.sqrt(0.2), rtol=1e-7)


def test_shortest_cycles_of_the_lorenz_flow():
    found = cycles(lorenz(), 1.6, dynamics="flow")
    assert len(found) == 1
    # the value of the literature, 1.5586522107…
    assert found.duration[0] == pytest.approx(1.558652210716, rel=1e-9)
    # Liouville: the trace of A is −41/3 everywhere
    product = np.prod(found.multipliers[0]).real
    assert product == pytest.approx(np.exp(-41 / 3 * found.duration[0]), rel=1e-6)
    assert found[0].kind == "saddle"
    mirrored = found.x[0] * [-1, -1, 1]
    apart = np.linalg.norm(found.x[0][:, None] - mirrored[None], axis=2).min(axis=1)
    assert apart.max() < 1e-6  # the symmetric one: its image is itself, half a round later


def test_mirror_images_are_two_cycles():
    found = cycles(lorenz(), 2.3, dynamics="flow", n_starts=24)
    pair = np.abs(found.duration - 2.305907260694) < 1e-7
    assert pair.sum() == 2
    assert np.allclose(*found.x[pair][:, :, 0].mean(axis=1) * [1, -1], atol=1e-6)


class ScaledOscillator:
    """The van der Pol oscillator in other units of its states."""

    name, shape, step, depth = "scaled oscillator", (2,), 0.05, None

    def __init__(self, unit):
        self.unit, self.plain = unit, van_der_pol(mu=1.0)

    def residual(self, t, x):
        return self.unit * self.plain.residual(t, x / self.unit)

    def jacobian(self, t, x):
        return self.plain.jacobian(t, x / self.unit)

    def linearize(self, t, x):
        return self.plain.linearize(t, x / self.unit)


@pytest.mark.parametrize("unit", [1e-8, 1e6])
def test_units_of_the_states_do_not_matter(unit):
    found = cycles(ScaledOscillator(unit), 6.5, dynamics="flow", region=(-3 * unit, 3 * unit), n_starts=1, segments=4)
    (plain,) = cycles(van_der_pol(mu=1.0), 6.5, dynamics="flow", n_starts=1, segments=4)
    assert found.duration == pytest.approx([plain.duration], rel=1e-8)
    assert found.multipliers[0] == pytest.approx(plain.multipliers, rel=1e-5)


def test_rest_is_no_cycle():
    assert len(cycles(hopf(mu=-0.2), 6.3, dynamics="flow", n_starts=3)) == 0


def test_number_of_segments_does_not_matter():
    one, many = (cycles(van_der_pol(), 6.5, dynamics="flow", n_starts=2, segments=m) for m in (1, 16))
    assert one.duration[0] == pytest.approx(many.duration[0], rel=1e-9)
    assert one.multipliers[0, 0] == pytest.approx(many.multipliers[0, 0], rel=1e-5)


def test_a_guess_of_two_rounds_leads_to_one():
    found = cycles(hopf(mu=0.3), 4 * np.pi, dynamics="flow", n_starts=2)
    assert np.allclose(found.duration, 2 * np.pi, rtol=1e-8)


def test_save_load(tmp_path):
    system = hopf(mu=0.2)
    found = cycles(system, 6.0, dynamics="flow", n_starts=2)
    found.save(tmp_path / "cycles.npz")
    again = Cycles.load(tmp_path / "cycles.npz", system=system)
    assert repr(again) == repr(found)
    assert "T = 6.28319" in repr(found)
    assert repr(again[0]).startswith("Cycle with T = 6.28319 through x = ")
    assert found.to_dataset().attrs["dynamics"] == "flow"


# --- return maps -------------------------------------------------------------------------------------------


def test_return_map_of_the_hopf_form_in_closed_form():
    mu, omega = 0.3, 1.5
    P = poincare_map(hopf(mu=mu, omega=omega), (1, 0.0))
    radius = np.array([[0.1], [0.4], [0.9], [2.0]])
    # r² obeys a logistic equation: after T, 1/r² = 1/μ + (1/r0² − 1/μ) exp(−2μT)
    T = 2 * np.pi / omega
    expected = 1 / np.sqrt(1 / mu + (1 / radius**2 - 1 / mu) * np.exp(-2 * mu * T))
    assert np.allclose(radius + P.residual(0.0, radius), expected, rtol=1e-8)
    assert np.allclose(P.return_time(radius), T, rtol=1e-9)
    slope = (expected / radius) ** 3 * np.exp(-2 * mu * T)  # dr'/dr
    assert np.allclose(1 + P.jacobian(0.0, radius)[:, 0], slope, rtol=1e-7)


def test_crossings_lie_on_the_section():
    P = poincare_map(lorenz(), ([1.0, -1.0, 0.3], 8.0), direction=0)
    u = P.project([[1.0, 2.0, 20.0], [3.0, 8.0, 30.0]])
    x = P.lift(u + P.residual(0.0, u))
    assert np.allclose(x @ [1.0, -1.0, 0.3], 8.0, atol=1e-12)
    assert np.allclose(P.project(x), u + P.residual(0.0, u), atol=1e-12)
    # the state is where the flow is at the time of return, by another integrator
    from scipy.integrate import solve_ivp

    for start, end, time in zip(P.lift(u), x, P.return_time(u), strict=True):
        run = solve_ivp(lambda t, y: lorenz().residual(t, y), (0, time), start, method="DOP853", rtol=1e-12, atol=1e-12)
        assert np.allclose(run.y[:, -1], end, atol=1e-7)


@pytest.mark.parametrize("direction", [1, -1])
def test_direction_of_crossing(direction):
    P = poincare_map(lorenz(), (2, 27.0), direction=direction)
    u = np.array([[5.0, 5.0], [-2.0, 2.0], [8.0, 3.0]])
    x = P.lift(u + P.residual(0.0, u))
    assert (np.sign(lorenz().residual(0.0, x)[:, 2]) == direction).all()


def test_returns_do_not_depend_on_the_search_step():
    u = np.array([[5.0, 5.0], [-2.0, 2.0]])
    coarse, fine = (poincare_map(lorenz(step=h), (2, 27.0), direction=-1).residual(0.0, u) for h in (0.02, 0.003))
    assert np.allclose(coarse, fine, atol=1e-7)


def test_derivative_agrees_with_differences():
    P = poincare_map(lorenz(), ([0.1, 0.2, 1.0], 27.0), direction=-1)
    u = P.project(np.array([-2.1, 2.0, 26.8]))
    differenced, _ = central_differences(lambda v: P.residual(0.0, v), u)
    # differences of a function known to 1e-9 over 6e-6
    assert np.allclose(P.jacobian(0.0, u), differenced, atol=1e-4)
    assert np.array_equal(P.linearize(0.0, u).to_dense(), P.jacobian(0.0, u))


def test_return_map_keeps_the_contract():
    P = poincare_map(lorenz(), (2, 27.0), direction=-1)
    run = resdyn.simulate(P, [5.0, 5.0], depth=12)
    # the derivative is compared with differences of an integrated function
    check_system(P, states=run.x[4:], rtol=1e-4)


def test_cycle_of_the_flow_is_a_cycle_of_its_return_map():
    flow = cycles(lorenz(), 1.6, dynamics="flow", n_starts=6)
    P = poincare_map(lorenz(), (2, 27.0), direction=-1)
    crossing = flow.x[0][np.argmin(np.abs(flow.x[0][:, 2] - 27.0) + 100 * (flow.x[0][:, 0] * flow.x[0][:, 1] > 72))]
    found = cycles(P, 2, starts=P.project(crossing)[None])
    assert len(found) == 1
    assert P.return_time(found.x[0]).sum() == pytest.approx(flow.duration[0], rel=1e-8)
    assert found.multipliers[0, 0].real == pytest.approx(flow.multipliers[0, 0].real, rel=1e-6)


def test_no_return_is_a_value():
    # below the bifurcation a spiral comes back for ever, but a section beyond its reach is never met
    P = poincare_map(hopf(mu=-0.5), (0, 1.0), max_time=20.0)
    assert np.isnan(P.residual(0.0, np.array([0.2]))).all()
    assert P.outcome([0.2]) == "no return"
    assert np.isnan(P.return_time([0.2]))
    assert resdyn.simulate(P, [0.2], depth=2).status == resdyn.Status.DIVERGED
    outward = resdyn.ResidualSystem(lambda t, x, p: x + x**3, (2,), step=0.01, name="outward")
    assert poincare_map(outward, (0, 1.0)).outcome([2.0]) == "diverged"
    assert poincare_map(hopf(), (0, 0.0)).outcome([[0.2], [2.0]]).tolist() == ["returned", "returned"]


@pytest.mark.parametrize(("tau", "tolerance"), [(1e-2, 1e-6), (1e-3, 1e-4), (1e-4, 1e-2), (1e-5, 0.2)])
def test_short_arcs_beyond_the_section(tau, tolerance):
    # a rotation; the arc of the unit circle beyond x_1 = cos(τ/2) takes τ. It rises τ²/8 above the section, so that an
    # error e of the integrator moves the time by 2e/τ: 2e-5/τ² of it for e = 1e-12 … 1e-11 of tolerance
    rotation = resdyn.ResidualSystem(lambda t, x, p: np.stack([-x[..., 1], x[..., 0]], axis=-1), 2, step=0.5)
    P = poincare_map(rotation, (1, float(np.cos(tau / 2))), direction=-1)
    u = np.array([np.sin(tau / 2)])
    assert P.outcome(u) == "returned"
    assert P.return_time(u) == pytest.approx(tau, rel=tolerance)
    assert u + P.residual(0.0, u) == pytest.approx(-u, rel=2 * tolerance)


def test_an_arc_too_short_to_be_resolved_is_a_failure():
    rotation = resdyn.ResidualSystem(lambda t, x, p: np.stack([-x[..., 1], x[..., 0]], axis=-1), 2, step=0.5)
    P = poincare_map(rotation, (1, float(np.cos(5e-8))), direction=-1)
    assert P.outcome([np.sin(5e-8)]) == "failed"
    assert np.isnan(P.return_time([np.sin(5e-8)]))


def test_returns_of_a_stiff_flow():
    # explicit steps of a 64th of this layer are unstable for μ = 100: the method asked for has to lead to the section
    from scipy.integrate import solve_ivp

    def rule(t, x, p):
        return np.stack([x[..., 1], 100.0 * (1 - x[..., 0] ** 2) * x[..., 1] - x[..., 0]], axis=-1)

    stiff = resdyn.ResidualSystem(rule, 2, step=1.0)
    P = poincare_map(stiff, (0, 0.0), method="Radau", max_time=200.0, rtol=1e-7, atol=1e-9)

    def event(t, x):
        return x[0]

    event.direction = 1
    run = solve_ivp(
        lambda t, x: stiff.residual(t, x), (0, 200), [1e-9, 1.0], "Radau", events=event, rtol=1e-7, atol=1e-9
    )
    states, times, outcome = P._returns(np.array([1.0]))
    assert outcome == 0
    assert times == pytest.approx(run.t_events[0][-1], rel=1e-4)
    assert states == pytest.approx(run.y_events[0][-1], rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1e-3, 1e300])
def test_length_of_a_normal_does_not_matter(scale):
    plain, scaled = (poincare_map(lorenz(), (s * np.array([1.0, 1.0, 0.5]), s * 20.0)) for s in (1.0, scale))
    assert np.allclose(plain.normal, scaled.normal, rtol=1e-14)
    assert plain.offset == pytest.approx(scaled.offset, rel=1e-14)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"section": (2, [1.0, 2.0])}, ValueError, "one number"),
        ({"section": ([1e-300, 0.0, 0.0], 1e300)}, ValueError, "infinite distance"),
        ({"section": (2, 27.0), "direction": np.array([1, 0])}, ValueError, "direction"),
        ({"section": (3, 0.0)}, ValueError, "names variable 3"),
        ({"section": ([0.0, 0.0, 0.0], 1.0)}, ValueError, "not all zero"),
        ({"section": ([1.0, 0.0], 1.0)}, ValueError, "vector of 3"),
        ({"section": 2}, ValueError, "section must be"),
        ({"section": (2, 27.0), "direction": 2}, ValueError, "direction"),
        ({"section": (2, 27.0), "max_time": -1.0}, ValueError, "max_time"),
        ({"section": (2, 27.0), "method": "Euler"}, ValueError, "method"),
    ],
)
def test_refusals(arguments, error, match):
    with pytest.raises(error, match=match):
        poincare_map(lorenz(), **arguments)


def test_one_variable_never_returns():
    with pytest.raises(ValueError, match="one variable"):
        poincare_map(resdyn.systems.pitchfork(), (0, 0.0))
    with pytest.raises(TypeError, match="needs a System"):
        poincare_map(1, (0, 0.0))


def test_a_return_within_the_first_step_of_the_search():
    # half a round takes π, less than the step; the start itself, at time 0, does not count
    P = poincare_map(hopf(mu=0.3, step=4.0), (1, 0.0), direction=0)
    assert np.allclose(P.return_time([[0.2], [0.5], [0.9]]), np.pi, rtol=1e-8)
