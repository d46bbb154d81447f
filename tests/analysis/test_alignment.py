"""Alignment indices: closed forms, plain vectors, another library, the spectrum, and what must not change them."""

import warnings

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import resdyn
from resdyn.analysis.exponents.alignment import ChaosIndicators, chaos_indicators
from resdyn.systems import henon, linear, lorenz, random_weights, standard_map


def linear_map(M, **options):
    A = np.asarray(M, dtype=float) - np.eye(len(M))
    return resdyn.ResidualSystem(
        lambda t, x, p: x @ A.T,
        len(A),
        jacobian=lambda t, x, p: np.broadcast_to(A, (*x.shape[:-1], *A.shape)),
        name="linear map",
        **options,
    )


def plain(system, x, vectors, depth):
    """The textbook: vectors of length one, and the volume as a product of singular values."""
    x, w, volumes, salis = np.asarray(x, dtype=float), np.array(vectors, dtype=float), [], []
    for _ in range(depth):
        w = w @ (np.eye(x.size) + system.step * system.jacobian(0.0, x)).T
        w /= np.linalg.norm(w, axis=1, keepdims=True)
        x = x + system.step * system.residual(0.0, x)
        volumes.append([np.prod(np.linalg.svd(w[:k], compute_uv=False)) for k in range(2, len(w) + 1)])
        salis.append(min(np.linalg.norm(w[0] - w[1]), np.linalg.norm(w[0] + w[1])))
    return np.array(volumes), np.array(salis)


# --- closed forms -------------------------------------------------------------------------------------


def test_linear_map_with_two_multipliers():
    mu, nu = 1.5, 0.25
    found = chaos_indicators(linear_map(np.diag([mu, nu])), [0.0, 0.0], depth=1000, deviations=[[1, 1], [1, -1]])
    n = found.t
    # gali-linear: 2 (μν)ⁿ / (μ²ⁿ + ν²ⁿ), in logarithms because it is below 1e-308 soon
    expected = np.log(2) + n * np.log(nu / mu) - np.log1p((nu / mu) ** (2 * n))
    assert found.log_gali[:, 0] == pytest.approx(expected, abs=1e-10)
    # sali-from-gali, where the numbers can be written down
    g = np.exp(expected[:10])
    assert found.sali[:10] == pytest.approx(np.sqrt(2 * g**2 / (1 + np.sqrt(1 - g**2))), rel=1e-9)
    assert found.rates == pytest.approx([np.log(mu / nu)], rel=1e-10)
    assert found.gali[-1, 0] == 0.0  # underflows, its logarithm does not
    assert np.isfinite(found.log_gali).all()


def test_three_multipliers_of_a_matrix_that_is_not_normal():
    M = np.array([[0.9, 2.0, -1.0], [0.0, 0.6, 3.0], [0.0, 0.0, -0.2]])
    found = chaos_indicators(linear_map(M), np.zeros(3), depth=400, k=(2, 3))
    logs = np.log(np.abs([0.9, 0.6, 0.2]))
    assert found.rates == pytest.approx([logs[0] - logs[1], 2 * logs[0] - logs[1] - logs[2]], rel=1e-9)  # gali-rate
    # the volume is |det M|ⁿ over the lengths, and these are those of the powers themselves
    w = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0].T
    power = np.linalg.matrix_power(M, 20)
    at = int(np.flatnonzero(found.t == 20)[0])
    expected = 20 * np.log(abs(np.linalg.det(M))) - np.log(np.linalg.norm(w @ power.T, axis=1)).sum()
    assert found.log_gali[at, 1] == pytest.approx(expected, abs=1e-10)


def test_a_rotation_keeps_all_angles():
    found = chaos_indicators(linear(a=0.0, omega=1.0), [1.0, 0.0], depth=5000, deviations=[[1.0, 0.0], [1.0, 1.0]])
    assert found.gali[:, 0] == pytest.approx(np.sqrt(0.5), rel=1e-9)
    assert found.sali == pytest.approx(2 * np.sin(np.pi / 8), rel=1e-9)
    assert found.verdict == "undecided"  # the Euler map of a rotation grows: |1 + ih| > 1
    flow = chaos_indicators(linear(a=0.0, omega=1.0), [1.0, 0.0], depth=2000, dynamics="flow", rtol=1e-10, atol=1e-12)
    assert flow.verdict == "regular"


def test_shear_aligns_like_a_power():
    # standard-sali: GALI_2 → |ad − bc| / (|b d| n²)
    found = chaos_indicators(standard_map(K=0.0), [0.1, 0.3], depth=100_000, deviations=[[0.6, 0.8], [1.0, -1.0]])
    b, d, area = 0.8, -np.sqrt(0.5), abs(0.6 * -np.sqrt(0.5) - 0.8 * np.sqrt(0.5))
    late = found.t > 1e4
    assert found.gali[late, 0] * found.t[late] ** 2 == pytest.approx(area / abs(b * d), rel=1e-3)  # O(1/n)
    assert found.verdict == "regular"


# --- plain vectors, another library, the spectrum ------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "x"),
    [
        (henon(), np.array([0.1, 0.1])),
        (resdyn.ResidualMap.leaky_rnn(random_weights(6, scale=3.0), leak=0.5), np.linspace(-0.5, 0.5, 6)),
        # k = 3 of 12 units: not written out, so by BLAS and NumPy
        (resdyn.ResidualMap.leaky_rnn(random_weights(12, scale=3.0), leak=0.5), np.linspace(-0.5, 0.5, 12)),
        (linear_map([[1.1, 0.3, 0.0], [0.0, 0.9, 0.2], [0.1, 0.0, 0.8]]), np.ones(3)),
    ],
)
def test_as_plain_vectors_say_while_they_have_digits(system, x):
    k = min(3, x.size)
    w = np.random.default_rng(5).normal(size=(k, x.size))
    volumes, salis = plain(system, x, w / np.linalg.norm(w, axis=1, keepdims=True), 10)
    found = chaos_indicators(system, x, depth=10, k=k, deviations=w)
    # plain volumes are differences of numbers of size one: good to ε over themselves, and ten layers of growth
    assert found.sali == pytest.approx(salis, rel=1e-6, abs=1e-13)
    for k, log in zip(found.orders, found.log_gali.T, strict=True):
        assert np.exp(log) == pytest.approx(volumes[:, k - 2], rel=1e-6, abs=1e-13)


@pytest.mark.parametrize("x0", [(0.3, 0.05), (0.501, 0.01)])
def test_pynamicalsys_finds_the_same_on_the_standard_map(x0):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pynamicalsys import DiscreteDynamicalSystem

        peer = DiscreteDynamicalSystem(model="standard map")  # in units of a turn
        record = {"parameters": 1.5, "return_history": True, "sample_times": np.arange(1, 11), "seed": 3}
        sali = peer.SALI(list(x0), 10, **record)
    vectors = np.linalg.qr(np.random.RandomState(3).rand(2, 2))[0].T
    # it takes the Jacobian of step n at the state after step n, so its orbit is one step ahead
    start = resdyn.simulate(standard_map(K=1.5), 2 * np.pi * np.array(x0), depth=1).final
    found = chaos_indicators(standard_map(K=1.5), start, depth=10, deviations=vectors)
    assert found.sali == pytest.approx(np.ravel(sali), rel=1e-9)


def test_rates_are_those_of_the_spectrum():
    found = chaos_indicators(henon(), [0.1, 0.1], depth=50_000, transient=1000)
    spectrum = resdyn.lyapunov_spectrum(henon(), [0.1, 0.1], depth=50_000, transient=1000)
    gap, error = spectrum.exponents[0] - spectrum.exponents[1], spectrum.standard_error.sum()
    # half of the orbit has √2 of its error; three standard errors
    assert found.rates[0] == pytest.approx(gap, abs=3 * np.sqrt(2) * error + 0.01)
    assert found.expected_rates[0] == pytest.approx(gap, abs=3 * error)
    assert found.verdict == "chaotic"


def test_lorenz_flow():
    found = chaos_indicators(
        lorenz(step=0.05), [[1.0, 1.0, 20.0], [-3.0, 2.0, 15.0]], depth=10_000, k=3, transient=200, dynamics="flow"
    )
    assert found.orders == (2, 3)
    assert found.verdict.tolist() == ["chaotic", "chaotic"]
    # λ₁ − λ₂ = 0.906 and 2λ₁ − λ₂ − λ₃ = 16.4, over t = 500 with fluctuations of a few per cent
    assert found.rates == pytest.approx(np.array([[0.906, 16.38]] * 2), rel=0.05)
    assert found.exponents.sum(axis=1) == pytest.approx(-(10 + 1 + 8 / 3), rel=1e-6)  # lorenz-exponents


def test_a_flow_without_a_kernel_is_the_same():
    compiled = lorenz(step=0.05)
    python = resdyn.ResidualSystem(
        lambda t, x, p: compiled.residual(t, x), 3, step=0.05, jacobian=lambda t, x, p: compiled.jacobian(t, x)
    )
    options = {"depth": 40, "k": 3, "dynamics": "flow", "rtol": 1e-10, "atol": 1e-12}
    one, two = (chaos_indicators(system, [1.0, 1.0, 20.0], **options) for system in (compiled, python))
    assert one.log_gali == pytest.approx(two.log_gali, abs=1e-6)  # both to 1e-10 per step, times growth


# --- chaotic and regular ------------------------------------------------------------------------------


def test_islands_and_sea_of_the_standard_map():
    system = standard_map(K=1.5)
    centre, saddle = [np.pi + 0.2, 0.0], [0.05, 0.02]
    found = chaos_indicators(system, [centre, saddle], depth=20_000)
    assert found.verdict.tolist() == ["regular", "chaotic"]
    # in two dimensions a regular orbit aligns too, like t⁻²
    late = found.t > 100
    power = np.polyfit(np.log(found.t[late]), found.log_gali[late, 0, 0], 1)[0]
    assert power == pytest.approx(-2.0, abs=0.2)  # the motion around the island makes it wave
    assert np.isnan(found.time_below(1e-12)[0])
    assert found.time_below(1e-12)[1] < 500


def test_a_stable_fixed_point_aligns_without_chaos():
    found = chaos_indicators(linear_map(np.diag([0.9, 0.3])), [1.0, 1.0], depth=500)
    assert found.log_gali[-1, 0] < -500
    assert found.verdict == "regular"


@pytest.mark.parametrize(
    ("system", "x0", "depth", "dynamics"),
    [
        (linear_map(np.diag([2.0, 0.5])), [0.0, 0.0], 200, "map"),
        (standard_map(K=0.1), [0.0, 0.0], 1000, "map"),
        # the axis leads to the unstable equilibrium at 0, and arithmetic keeps the orbit on it
        (lorenz(step=0.05), [0.0, 0.0, 5.0], 1000, "flow"),
        # (3, 7) turns into (3, −7) and back
        (linear_map([[1.0, 0.0], [0.0, -1.0]]), [3.0, 7.0], 200, "map"),
        # rounding leaves this one, but not soon enough to say where the orbit goes then
        (henon(), (np.sqrt(0.49 + 5.6) - 0.7) / 2.8 * np.array([1.0, 0.3]), 60, "map"),
    ],
)
def test_rest_states_and_cycles_are_not_chaotic(system, x0, depth, dynamics):
    assert chaos_indicators(system, x0, depth=depth, dynamics=dynamics).verdict in ("undecided", "regular")


def test_an_orbit_that_has_just_left_a_rest_state_is_not_chaotic():
    # 1e-15 beside the saddle at (1, 1): after 13 layers a millionth away, and a neighbour has not left it either
    saddle = resdyn.ResidualSystem(lambda t, x, p: (x - 1) * np.array([3.5, -0.5]), 2)
    found = chaos_indicators(saddle, [1.0 + 1e-15, 1.0], depth=13)
    assert found.log_growth[-1] > 3 * np.log(13) + np.log(1e3)
    assert found.separation > 0.4 * found.log_growth[-1]
    assert found.verdict == "undecided"


def test_a_cycle_that_arithmetic_keeps_is_not_chaotic():
    # 0.25 and 0.75 change places, without rounding, while the second unit doubles what deviates from 0
    def swap(t, x, p):
        return np.stack([1 - 2 * x[..., 0], x[..., 1] * (1 - x[..., 1])], axis=-1)

    found = chaos_indicators(resdyn.ResidualSystem(swap, 2), [0.25, 0.0], depth=300)
    assert found.log_growth[-1] == pytest.approx(300 * np.log(2), abs=2.0)
    assert found.separation == 0.0
    assert found.verdict == "undecided"


@pytest.mark.parametrize("x0", [[1e-3, 1.0], [0.0, 1.0], [1.0, 1.0]])
@pytest.mark.parametrize("slow", [0.5, 0.99, 1.5])
def test_linear_maps_are_not_chaotic(slow, x0):
    # what separates neighbours carries the orbit off as well; from (0, 1) that of the one beside it
    assert chaos_indicators(linear_map(np.diag([2.0, slow])), x0, depth=300).verdict == "undecided"


def test_growth_like_a_power_is_not_chaotic():
    # I + N with N⁵ = 0: deviations grow like t⁴
    jordan = linear_map(np.eye(5) + 10 * np.diag(np.ones(4), 1))
    found = chaos_indicators(jordan, [0.0, 0.0, 0.0, 0.0, 1.0], depth=2000)
    assert found.log_growth[-1] > 3 * np.log(2000) + np.log(1e3)
    assert found.verdict == "undecided"


def test_separation_is_the_growth_of_the_second_half_in_chaos():
    found = chaos_indicators(henon(), [0.1, 0.1], depth=20_000, transient=1000)
    assert found.separation == pytest.approx(found.log_growth[-1] / 2, rel=0.05)  # fluctuations are like 1/√depth
    # angles that are not wrapped run away, but not as neighbours do
    assert chaos_indicators(standard_map(K=6.0), [1.0, 2.0], depth=2000).verdict == "chaotic"


@pytest.mark.parametrize("dynamics", ["map", "flow"])
def test_no_orbits(dynamics):
    found = chaos_indicators(lorenz(step=0.01), np.empty((2, 0, 3)), depth=20, transient=3, dynamics=dynamics)
    assert found.log_gali.shape == (*found.t.shape, 2, 0, 1)
    assert found.verdict.shape == (2, 0)
    assert "0 orbits." in repr(found)


def test_a_few_layers_decide_nothing():
    assert chaos_indicators(henon(), [0.1, 0.1], depth=12).verdict == "undecided"


# --- what must not change them ------------------------------------------------------------------------


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(angle=st.floats(0.0, 3.0), scale=st.floats(0.1, 10.0), seed=st.integers(0, 100))
def test_turned_coordinates_and_longer_vectors_change_nothing(angle, scale, seed):
    rng = np.random.default_rng(seed)
    M, w = rng.normal(size=(2, 2)), rng.normal(size=(2, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if abs(np.linalg.det(M)) < 0.1 or abs(np.linalg.det(w)) < 0.1:
        return
    one = chaos_indicators(linear_map(M), [0.0, 0.0], depth=30, deviations=w)
    other = chaos_indicators(linear_map(turn @ M @ turn.T), [0.0, 0.0], depth=30, deviations=scale * (w @ turn.T))
    # the products are conditioned like M, with det above 0.1
    assert one.log_gali == pytest.approx(other.log_gali, abs=1e-8)


def test_the_batch_is_its_orbits_one_by_one():
    starts = np.random.default_rng(0).uniform(-0.1, 0.1, size=(2, 9, 2))
    whole = chaos_indicators(henon(), starts, depth=50, transient=10, threads=2)
    one = chaos_indicators(henon(), starts[1, 7], depth=50, transient=10)
    part = whole.sample(1, 7)
    assert np.array_equal(part.log_gali, one.log_gali)
    assert np.array_equal(part.log_growth, one.log_growth)


def test_stretches_do_not_show(monkeypatch):
    import resdyn.analysis.exponents.frames as frames

    whole = chaos_indicators(henon(), [0.1, 0.1], depth=100)
    flow = chaos_indicators(lorenz(step=0.05), [1.0, 1.0, 20.0], depth=100, dynamics="flow", rtol=1e-9)
    monkeypatch.setattr(frames, "_LONGEST", 7)
    assert np.array_equal(chaos_indicators(henon(), [0.1, 0.1], depth=100).log_gali, whole.log_gali)
    # a flow chooses its first step again in each stretch
    again = chaos_indicators(lorenz(step=0.05), [1.0, 1.0, 20.0], depth=100, dynamics="flow", rtol=1e-9)
    assert again.log_gali == pytest.approx(flow.log_gali, abs=1e-3)


def test_a_diverging_orbit_does_not_touch_the_others():
    found = chaos_indicators(henon(), [[0.1, 0.1], [50.0, 0.0]], depth=400)
    alone = chaos_indicators(henon(), [0.1, 0.1], depth=400)
    assert found.status.tolist() == [0, resdyn.Status.DIVERGED]
    assert np.array_equal(found.log_gali[:, 0], alone.log_gali)
    assert np.isnan(found.log_gali[:, 1]).all()
    assert found.verdict.tolist() == ["chaotic", "diverged"]
    # also where it diverges in the transient
    late = chaos_indicators(henon(), [[0.1, 0.1], [50.0, 0.0]], depth=20, transient=100)
    assert late.status.tolist() == [0, resdyn.Status.DIVERGED]
    assert np.isnan(late.exponents[1]).all()


def test_a_singular_map_has_no_volume():
    found = chaos_indicators(linear_map([[0.5, 0.0], [0.0, 0.0]]), [1.0, 1.0], depth=5)
    assert np.isneginf(found.log_gali).all()
    assert found.gali.tolist() == [[0.0]] * 5


# --- the result ---------------------------------------------------------------------------------------


def test_saved_loaded_and_as_a_dataset(tmp_path):
    found = chaos_indicators(henon(), [[0.1, 0.1], [0.2, 0.1]], depth=50)
    found.save(tmp_path / "indicators.npz")
    again = ChaosIndicators.load(tmp_path / "indicators.npz", system=henon())
    assert repr(again) == repr(found)
    assert np.array_equal(again.log_gali, found.log_gali)
    data = found.to_dataset()
    assert data["log_gali"].dims == ("t", "batch", "order")
    assert data["sali"].shape == found.sali.shape
    assert np.array_equal(again.separation, found.separation, equal_nan=True)


def test_in_words():
    found = chaos_indicators(henon(), [0.1, 0.1], depth=5000)
    assert "over 5000 layers (t = 5000): chaotic. GALI_2 is below 1e-12 from" in repr(found)
    assert "<table>" in found._repr_html_()
    many = chaos_indicators(henon(), [[0.1, 0.1], [50.0, 0.0]], depth=500)
    assert "2 orbits, 1 chaotic, 1 diverged" in repr(many)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"system": resdyn.systems.logistic_map(), "x0": [0.3]}, ValueError, "two directions at least"),
        ({"k": 3}, ValueError, "GALI_k exists up to k = 2"),
        ({"k": 1}, ValueError, "k must be at least 2"),
        ({"deviations": [[1.0, 0.0]]}, ValueError, r"needs 2 vectors of shape \(2,\)"),
        ({"deviations": [[1.0, 2.0], [-2.0, -4.0]]}, ValueError, "linearly dependent"),
        ({"deviations": [[1.0, 2.0], [0.0, 0.0]]}, ValueError, "linearly dependent"),
        ({"rtol": 1e-3}, ValueError, "belongs to the integration of a flow"),
        ({"depth": 0}, ValueError, "depth must be at least 1"),
        ({"system": "henon"}, TypeError, "must be a resdyn System"),
        ({"system": resdyn.ResidualMap.residual(random_weights(2, depth=3))}, ValueError, "repeats one and the same"),
    ],
)
def test_refusals_say_what_was_needed(change, error, match):
    arguments = {"system": henon(), "x0": [0.1, 0.1], "depth": 10} | change
    with pytest.raises(error, match=match):
        chaos_indicators(arguments.pop("system"), arguments.pop("x0"), **arguments)


def test_an_order_that_was_not_recorded():
    found = chaos_indicators(henon(), [0.1, 0.1], depth=10)
    with pytest.raises(ValueError, match="was not recorded"):
        found.time_below(order=3)
    with pytest.raises(IndexError, match="sample takes 0 indices"):
        found.sample(1)
