"""Orbit diagrams: known windows, Feigenbaum's ratio, both branches, hysteresis, and the same orbits as ``simulate``."""

import numpy as np
import pytest
from scipy.optimize import brentq

import resdyn
from resdyn.analysis.families.orbit_diagrams import OrbitDiagram, orbit_diagram
from resdyn.systems import cyclic_weights, henon, logistic_map, lorenz, pitchfork, random_weights


def logistic(r):
    return logistic_map(r=r)


@pytest.fixture(scope="module")
def diagram():
    return orbit_diagram(logistic, np.linspace(2.8, 4.0, 241), [0.3], depth=64, transient=3000)


# --- the logistic map --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("r", "period"), [(2.9, 1), (3.2, 2), (3.5, 4), (3.55, 8), (3.566, 16), (3.83, 3), (3.845, 6), (3.9, 0), (4.0, 0)]
)
def test_periods_of_the_logistic_map(r, period):
    found = orbit_diagram(logistic, [r], [0.3], depth=64, transient=5000)
    assert found.periods.tolist() == [period]


def test_the_period_three_window_opens_where_the_discriminant_vanishes():
    edge = 1 + np.sqrt(8)  # logistic-period-three
    # close behind a fold convergence is slow, at the rate 1 − O(√(r − edge)): 1e-4 leaves enough in 20,000 layers
    inside = orbit_diagram(logistic, edge + np.array([1e-4, 1e-3, 5e-3]), [0.5], depth=60, transient=20_000)
    assert inside.periods.tolist() == [3, 3, 3]
    # in front of it the orbit is intermittent: long laminar phases, but no period
    before = orbit_diagram(logistic, edge - np.array([1e-4, 1e-3]), [0.5], depth=4000, transient=20_000)
    assert before.periods.tolist() == [0, 0]


def test_windows_bracket_the_flips(diagram):
    windows = {period: (first, last) for first, last, period in diagram.windows() if period in (1, 2)}
    step = 1.2 / 240
    # the two values next to a flip may not have settled
    assert windows[1][1] == pytest.approx(3.0, abs=2.1 * step)
    assert windows[2][0] == pytest.approx(3.0, abs=2.1 * step)
    assert windows[2][1] == pytest.approx(1 + np.sqrt(6), abs=2.1 * step)  # logistic-second-flip


def test_superstable_parameters_approach_feigenbaums_ratio():
    def at_half(r, period):
        return float(resdyn.simulate(logistic(r), [0.5], depth=period, save="final").final[0]) - 0.5

    parameters, guess = [2.0, 1 + np.sqrt(5)], 4.7  # logistic-superstable
    for n in range(2, 8):
        step = (parameters[-1] - parameters[-2]) / guess
        # the next one lies about a step further; half of it on either side holds no other
        found = brentq(at_half, parameters[-1] + 0.7 * step, parameters[-1] + 1.3 * step, args=(2**n,), xtol=1e-15)
        parameters.append(found)
        assert at_half(found, 2 ** (n - 1)) != pytest.approx(0.0, abs=1e-6)  # not a shorter cycle
    gaps = np.diff(parameters)
    ratios = gaps[:-1] / gaps[1:]
    assert ratios[-1] == pytest.approx(4.669201609, abs=2e-4)  # the ratios converge by a factor of about 5 per period
    assert abs(ratios[-1] - 4.669201609) < abs(ratios[-3] - 4.669201609)
    # and the diagram says the periods
    superstable = orbit_diagram(logistic, parameters[:6], [0.4], depth=128, transient=2000)
    assert superstable.periods.tolist() == [1, 2, 4, 8, 16, 32]


def test_the_two_cycle_has_the_multiplier_of_the_theory():
    def multiplier(r, period):
        x = resdyn.simulate(logistic(r), [0.3], depth=5000, save="final").final
        power = resdyn.IteratedMap(logistic(r), period)
        return 1 + power.step * float(power.jacobian(0.0, x)[0, 0])

    r = np.array([3.3, 3.4, 3.44])
    coefficients = np.polyfit(r, [multiplier(value, 2) for value in r], 2)
    assert coefficients == pytest.approx([-1.0, 2.0, 4.0], abs=1e-8)  # logistic-map-flip


# --- the same orbits as simulate ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "x0"),
    [
        (logistic, [[0.3], [0.6]]),
        (lambda a: henon(a=a), [0.1, 0.2]),
        # steps, damping and gain that differ along the family
        (
            lambda h: resdyn.ResidualMap(cyclic_weights() * h, [0.1, 0.0, 0.2], step=h, damping=1 / h, gain=h),
            [[0.1, 0.2, 0.3], [1.0, -1.0, 0.0]],
        ),
        (lambda h: resdyn.logistic_residuals(cyclic_weights(), step=h), [0.1, 0.2, 0.3]),
        # too many units to be written out
        (lambda g: resdyn.ResidualMap.leaky_rnn(g * random_weights(12), leak=0.2), np.full(12, 0.1)),
        # no compiled form
        (lambda r: resdyn.ResidualSystem(lambda t, x, p: p * x * (1 - x) - x, 1, params=r), [0.3]),
    ],
)
def test_orbits_are_those_of_simulate(family, x0):
    values = np.array([0.9, 0.5, 0.7, 1.1])
    found = orbit_diagram(family, values, x0, depth=10, transient=20)
    for value, x in zip(values, found.x, strict=True):
        expected = resdyn.simulate(family(value), x0, depth=10, transient=20).x[1:]
        assert np.array_equal(x, expected)
    assert found.batch == np.shape(x0)[: np.ndim(x0) - len(family(1.0).shape)]


def test_many_lanes_and_threads_change_nothing():
    values, starts = np.linspace(3.0, 4.0, 97), np.linspace(0.1, 0.9, 5)[:, None]
    one = orbit_diagram(logistic, values, starts, depth=7, transient=50, threads=1)
    two = orbit_diagram(logistic, values, starts, depth=7, transient=50, threads=2)
    assert np.array_equal(one.x, two.x)
    assert np.array_equal(one.x[40, :, 3], resdyn.simulate(logistic(values[40]), starts[3], depth=57).x[51:])


def test_a_flow_is_sampled_at_the_layers():
    values = [0.3, 0.6]
    found = orbit_diagram(lambda r: pitchfork(r=r), values, [0.1], dynamics="flow", depth=5, transient=7, rtol=1e-9)
    for value, x in zip(values, found.x, strict=True):
        flow = resdyn.simulate(pitchfork(r=value), [0.1], depth=5, transient=7, method="RK45", rtol=1e-9)
        assert np.array_equal(x, flow.x[1:])


def test_initial_states_may_depend_on_the_value():
    found = orbit_diagram(logistic, [3.2, 3.5], lambda r: [r / 10], depth=3, transient=0)
    assert np.array_equal(found.x[1], resdyn.simulate(logistic(3.5), [0.35], depth=3).x[1:])


def test_one_unit_alone():
    whole = orbit_diagram(lambda a: henon(a=a), [1.0, 1.4], [0.1, 0.1], depth=20)
    part = orbit_diagram(lambda a: henon(a=a), [1.0, 1.4], [0.1, 0.1], depth=20, unit=1)
    assert np.array_equal(part.x, whole.x[..., 1])
    assert part.periods.tolist() == whole.periods.tolist() == [4, 0]


# --- several attractors, and hysteresis ---------------------------------------------------------------


def test_both_branches_of_the_pitchfork():
    values = np.array([-0.5, 0.25, 1.0])
    found = orbit_diagram(lambda r: pitchfork(r=r), values, [[-0.5], [0.5]], depth=4, transient=2000)
    # √r and −√r; the orbits have contracted by (1 − 2rh)^2000, below rounding
    branch = np.sqrt(np.maximum(values, 0))
    assert found.x[:, -1, 0, 0] == pytest.approx(-branch, abs=1e-12)
    assert found.x[:, -1, 1, 0] == pytest.approx(branch, abs=1e-12)
    assert (found.periods == 1).all()


def fold_pair(r):
    return resdyn.ResidualSystem(lambda t, x, p: p + x - x**3, 1, params=r, step=0.2)


def test_hysteresis_between_two_folds():
    values = np.linspace(-0.6, 0.6, 61)
    fold = 2 / np.sqrt(27)  # x − x³ has its extremes at x = ±1/√3
    up = orbit_diagram(fold_pair, values, [-1.0], follow="up", depth=2, transient=3000)
    down = orbit_diagram(fold_pair, values, [1.0], follow="down", depth=2, transient=3000)
    assert np.array_equal(up.x[:, -1, 0] > 0, values > fold)
    assert np.array_equal(down.x[:, -1, 0] > 0, values > -fold)
    # beside each other without following there is no hysteresis
    alone = orbit_diagram(fold_pair, values, [-1.0], depth=2, transient=3000)
    assert np.array_equal(alone.x[:, -1, 0] > 0, values > fold)
    # the order in which the values are given does not matter
    mixed = np.random.default_rng(0).permutation(61)
    again = orbit_diagram(fold_pair, values[mixed], [-1.0], follow="up", depth=2, transient=3000)
    assert np.array_equal(again.x, up.x[mixed])


def test_after_a_lost_orbit_the_next_value_begins_at_x0():
    found = orbit_diagram(logistic, [3.2, 4.5, 3.5], [0.3], follow="down", depth=12, transient=100)
    assert found.status.tolist() == [0, resdyn.Status.DIVERGED, 0]
    assert np.isnan(found.x[1]).all()
    assert found.periods.tolist() == [2, 0, 4]


# --- maxima of a flow ---------------------------------------------------------------------------------


def test_maxima_are_found_to_fourth_order():
    # a rotation that grows by 1 per mille and turn: maxima of x at known times, between the layers
    def errors(h):
        system = resdyn.systems.linear(a=0.02, omega=1.0, step=h)
        found = orbit_diagram(
            lambda _: system, [0.0], [1.0, 0.0], dynamics="flow", of="maxima", unit=0, depth=round(40 / h), transient=0,
            rtol=1e-12, atol=1e-14,
        )  # fmt: skip
        angle = 2 * np.pi * np.arange(1, 7) - np.arctan(0.02)  # x = e^{−at} cos t has slope 0 where tan t = −a
        expected = np.exp(-0.02 * angle) * np.cos(angle)
        return np.abs(found.x[0, :6] - expected).max()

    coarse, fine = errors(0.4), errors(0.2)
    assert np.log2(coarse / fine) == pytest.approx(4.0, abs=0.5)  # the next order moves it by about h
    assert fine < 1e-4


def test_periods_of_maxima():
    # chaos at ρ = 28, a symmetric limit cycle at ρ = 350 (strogatz2015, sec. 9.4 and its exercises)
    found = orbit_diagram(
        lambda rho: lorenz(rho=rho, step=0.01), [28.0, 350.0], [1.0, 1.0, 30.0], dynamics="flow", of="maxima",
        unit=2, depth=1500, transient=6000, rtol=1e-8,
    )  # fmt: skip
    assert found.periods[0] == 0
    assert found.periods[1] == 1  # z has two maxima in a turn, alike because of the symmetry (x, y) → (−x, −y)
    assert np.isnan(found.x).any()  # padded: the flow is faster at large ρ


def test_an_equilibrium_has_no_maxima():
    found = orbit_diagram(
        lambda r: pitchfork(r=r), [1.0], [0.5], dynamics="flow", of="maxima", unit=0, depth=20, transient=10
    )
    assert found.x.shape == (1, 0)
    assert found.periods.tolist() == [0]


# --- the result ---------------------------------------------------------------------------------------


def test_a_drift_is_no_period():
    # at r = 3 the orbit creeps towards the fixed point like 1/√n, alternating: neither 1 nor 2 is its period yet
    found = orbit_diagram(logistic, [3.0], [0.3], depth=64, transient=1000)
    assert found.periods.tolist() == [0]


def test_a_slow_spiral_is_no_cycle():
    # x' = −0.9999 x, whose states alternate and shrink by 1e-4 a layer: every other state is 2e-4 of its size apart
    spiral = resdyn.ResidualSystem(
        lambda t, x, p: -1.9999 * x, 1, jacobian=lambda t, x, p: np.full((*x.shape, 1), -1.9999)
    )

    def found(size, transient):
        return orbit_diagram(lambda _: spiral, [0.0], [size], depth=20, transient=transient).periods.tolist()

    assert found(1.0, 0) == [0]
    assert found(1.0, 165_000) == [0]  # 7e-8 of x0: above the tolerance, below what is distinct
    assert found(1.0, 250_000) == [1]  # 1e-11 of it
    assert found(1e-9, 165_000) == [0]  # the size of x0 itself says nothing
    assert found(1e-9, 250_000) == [1]


@pytest.mark.parametrize(
    ("values", "depth", "transient", "period"),
    [
        # the fixed point is stable up to 3, and the 2-cycle up to 1 + √6; next to them orbits alternate for long
        (np.linspace(2.9999, 3.0, 101), 100, 100_000, 1),
        (np.linspace(2.99, 3.0, 201), 4, 5_000, 1),
        ([3.0], 100, 1_000_000, 1),
        (1 + np.sqrt(6) - np.logspace(-6, -3, 13), 100, 100_000, 2),
    ],
)
def test_no_period_is_doubled_before_its_flip(values, depth, transient, period):
    found = orbit_diagram(logistic, values, [0.3], depth=depth, transient=transient)
    assert set(found.periods.tolist()) <= {0, period}


@pytest.mark.parametrize("away", np.logspace(-7, -3, 17))
def test_no_period_is_doubled_at_the_flip(away):
    # at r = 3 every orbit creeps to 2/3, alternating; the smallest of these stand still by rounding
    assert orbit_diagram(logistic, [3.0], [2 / 3 + away], transient=0).periods.tolist() == [0]


def test_a_cycle_is_seen_when_it_came_round_three_times():
    assert [orbit_diagram(logistic, [3.5], [0.3], depth=n).periods[0] for n in (8, 11, 12)] == [0, 0, 4]


@pytest.mark.parametrize("scale", [1e-200, 1e-8, 1.0, 1e8])
def test_the_unit_of_length_does_not_matter(scale):
    def scaled(r):
        return resdyn.ResidualSystem(lambda t, x, p: r * x * (1 - x / scale) - x, 1)

    found = orbit_diagram(scaled, [2.9, 3.2, 3.5, 3.9], [0.3 * scale], transient=5000)
    assert found.periods.tolist() == [1, 2, 4, 0]


def test_rest_states_have_no_maxima():
    # both orbits end at an equilibrium, where x and z ripple by rounding (lorenz is stable there up to ρ = 24.7)
    found = orbit_diagram(
        lambda rho: lorenz(rho=rho, step=0.01), [10.0, 15.0], [1.0, 1.0, 20.0], dynamics="flow", of="maxima", unit=2,
        depth=1500, transient=6000,
    )  # fmt: skip
    assert found.periods.tolist() == [0, 0]
    assert found.x.shape == (2, 0)


@pytest.mark.parametrize("family", [logistic, lambda r: resdyn.ResidualSystem(lambda t, x, p: -r * x, 1)])
def test_no_orbits(family):
    found = orbit_diagram(family, [3.2, 3.5], np.empty((0, 1)), depth=7)
    assert found.x.shape == (2, 7, 0, 1)
    assert found.periods.shape == (2, 0)
    assert repr(found).endswith("No orbits.")


def test_saved_and_loaded(tmp_path, diagram):
    diagram.save(tmp_path / "diagram.npz")
    again = OrbitDiagram.load(tmp_path / "diagram.npz")
    assert repr(again) == repr(diagram)
    assert np.array_equal(again.x, diagram.x)
    assert again.windows() == diagram.windows()


def test_as_a_dataset():
    found = orbit_diagram(lambda a: henon(a=a), [1.0, 1.4], [[0.1, 0.1]] * 3, depth=5)
    data = found.to_dataset()
    assert data["x"].dims == ("value", "record", "batch", "unit")
    assert data["x"].shape == found.x.shape
    assert data.attrs["dynamics"] == "map"
    one = orbit_diagram(lambda a: henon(a=a), [1.0, 1.4], [0.1, 0.1], depth=5, unit=0)
    assert one.to_dataset()["x"].dims == ("value", "record")


def test_in_words(diagram):
    text = repr(diagram)
    assert text.startswith("OrbitDiagram of 'logistic map' (map): 241 values from 2.8 to 4")
    assert "Period 1 from 2.8 to 2.99" in text
    many = orbit_diagram(logistic, [3.2, 4.5], [[0.2], [0.3]], depth=8)
    assert "2 initial states each" in repr(many)
    assert "no end: 2; period 2: 2" in repr(many)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"values": []}, ValueError, "at least one number"),
        ({"values": [[3.0]]}, ValueError, r"shape \(1, 1\)"),
        ({"x0": [0.1, 0.2]}, ValueError, "states of shape"),
        ({"unit": 1}, ValueError, "1 units, counted from 0"),
        ({"follow": "left"}, ValueError, "'up' or 'down'"),
        ({"of": "maxima"}, ValueError, 'dynamics="flow" and unit='),
        ({"rtol": 1e-6}, ValueError, "belongs to the integration of a flow"),
        ({"depth": 0}, ValueError, "depth must be at least 1"),
        ({"tolerance": 0.0}, ValueError, "tolerance must be a finite number above 0"),
        ({"family": 3}, TypeError, "function from a value to a System"),
        ({"family": lambda r: r}, TypeError, "must be a resdyn System"),
        (
            {"family": lambda r: resdyn.ResidualMap.residual(random_weights(1, depth=3))},
            ValueError,
            "an orbit diagram repeats one and the same layer",
        ),
        ({"family": lambda r: logistic(r) if r < 3.4 else henon()}, ValueError, "states of one shape"),
        ({"x0": lambda r: [[0.1]] * round(2 * r)}, ValueError, "states of one shape for all values"),
        ({"depth": 10**13}, MemoryError, "keep fewer layers"),
    ],
)
def test_refusals_say_what_was_needed(change, error, match):
    arguments = {"family": logistic, "values": [3.2, 3.5], "x0": [0.3]} | change
    options = {name: arguments.pop(name) for name in list(arguments) if name not in ("family", "values", "x0")}
    with pytest.raises(error, match=match):
        orbit_diagram(*arguments.values(), **options)
