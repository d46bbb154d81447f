"""Geometry of basins: boundaries known in closed form, a fractal one, and what must not change the answer."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import resdyn
from resdyn.analysis import boundaries
from resdyn.analysis.boundaries import (
    BasinEntropy,
    EdgeState,
    MinimalShock,
    UncertaintyExponent,
    basin_entropy,
    boundary_points,
    edge_state,
    minimal_shock,
    uncertainty_exponent,
)

STATELESS = settings(phases=[Phase.explicit, Phase.reuse, Phase.generate], deadline=None, max_examples=40)


def basins_of(classify, *axes, attractors=(), system=None):
    """Basins by a rule in closed form."""
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return SimpleNamespace(labels=classify(grid), axes=axes, classify=classify, attractors=attractors, system=system)


def newton_map(x, depth=60):
    """Which root of z³ = 1 Newton's method finds; −1 for none."""
    z = x[..., 0] + 1j * x[..., 1]
    with np.errstate(all="ignore"):
        for _ in range(depth):
            z = z - (z**3 - 1) / (3 * z**2)
        away = np.abs(z[..., None] - np.exp(2j * np.pi * np.arange(3) / 3))
    return np.where((away < 1e-6).any(axis=-1), away.argmin(axis=-1), -1)


def half_plane(normal, offset):
    return lambda x: (x @ np.asarray(normal, dtype=float) > offset).astype(int)


def cubic_map(x):
    """The basins of the cubic map x' = 5x/2 − x³: −1 for divergence."""
    with np.errstate(all="ignore"):
        x = x[..., 0].copy()
        for _ in range(200):
            x = np.clip(2.5 * x - x**3, -1e6, 1e6)
    return np.where(np.abs(x) > 1e3, -1, (x > 0).astype(int))


def stays(x):
    """Whether the cubic map stays bounded: within √(7/2) both basins have a piece next to every preimage of 0."""
    return (cubic_map(x) >= 0).astype(int)


BISTABLE = resdyn.ResidualMap(
    [[4.0, -6.0], [-6.0, 4.0]], [1.0, 1.0], damping=1.0, activation="logistic", step=0.1, name="bistable"
)
SIDES = half_plane([1.0, -1.0], 0.0)
PLANE = np.linspace(-2.0, 2.0, 200)
NEWTON = basins_of(newton_map, PLANE, PLANE)


# --- basin entropy -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [5, 8])
def test_entropy_of_one_point_between_cells_is_the_closed_form(n):
    labels = (np.arange(200) >= 77).astype(int)
    found = basin_entropy(labels, box=n, placement="everywhere")
    total = (n - 1) * np.log(n) - 2 / n * sum(j * np.log(j) for j in range(1, n))  # discrete-box-entropy
    assert found.value == pytest.approx(total / (200 - n + 1), rel=1e-12)
    assert found.boundary_value == pytest.approx(total / (n - 1), rel=1e-12)
    assert found.boundary_share[found.sizes == n] == pytest.approx((n - 1) / (200 - n + 1))


def test_boundary_entropy_of_a_line_along_the_sides_is_one_half():
    labels = np.broadcast_to((np.arange(600) >= 300).astype(int)[:, None], (600, 80))
    found = basin_entropy(labels, box=60, sizes=(), placement="everywhere")
    # the trapezoidal rule for the integral of the entropy is off by about log(n)/n, less the ends, which are not mixed
    assert found.boundary_value == pytest.approx(0.5, abs=0.01)


def test_entropy_of_evenly_mixed_labels_is_their_logarithm():
    stripes = np.arange(60) % 3
    found = basin_entropy(np.broadcast_to(stripes, (60, 60)), box=6, sizes=())
    assert found.value == pytest.approx(np.log(3), rel=1e-12)
    assert found.boundary_value == found.value
    assert found.standard_error[0] == pytest.approx(0, abs=1e-12)
    assert found.is_fractal is True


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_entropy_is_that_of_a_plain_loop_over_boxes(dimension):
    rng = np.random.default_rng(dimension)
    labels = rng.integers(-1, 3, size=(11, 10, 7)[:dimension])
    for unlabelled in ("class", "ignore"):
        entropies = []
        for corner in np.ndindex(*(n // 3 for n in labels.shape)):
            cells = labels[tuple(slice(3 * i, 3 * i + 3) for i in corner)].ravel()
            cells = cells[cells >= 0] if unlabelled == "ignore" else cells
            if cells.size:
                p = np.unique(cells, return_counts=True)[1] / cells.size
                entropies.append(-(p * np.log(p)).sum())
        entropies = np.array(entropies)
        found = basin_entropy(labels, box=3, sizes=(), unlabelled=unlabelled)
        assert found.n_boxes[0] == len(entropies)
        assert found.value == pytest.approx(entropies.mean(), rel=1e-12)
        assert found.boundary_value == pytest.approx(entropies[entropies > 0].mean(), rel=1e-12)
        assert found.left_out == pytest.approx(1 - np.prod([n // 3 * 3 for n in labels.shape]) / labels.size)


@given(st.integers(0, 2**32 - 1), st.permutations(range(4)))
@STATELESS
def test_entropy_knows_neither_the_names_of_labels_nor_the_order_of_axes(seed, names):
    labels = np.random.default_rng(seed).integers(0, 4, size=(12, 18))
    one, other = (basin_entropy(x, box=3, placement="everywhere") for x in (labels, np.array(names)[labels].T[::-1]))
    assert other.values == pytest.approx(one.values, rel=1e-12)
    assert 0 <= one.value <= np.log(4)


def test_smooth_boundaries_stay_below_log_2_and_grow_with_slope_1():
    found = basin_entropy(basins_of(half_plane([0.7, 1.0], 0.13), np.linspace(-2, 2, 400), np.linspace(-2, 2, 400)))
    assert found.boundary_value < np.log(2)
    assert found.is_fractal is None
    # boxes of five cells are less mixed than the limit by a sixteenth, discrete-box-entropy
    assert found.slope == pytest.approx(1, abs=0.05)


def test_newton_fractal_exceeds_log_2():
    fine = np.linspace(-2.0, 2.0, 1000)
    found = basin_entropy(basins_of(newton_map, fine, fine))
    assert found.is_fractal is True
    assert "fractal" in repr(found)
    # log S_b grows like the uncertainty exponent, 0.555, and more steeply in small boxes
    assert found.slope == pytest.approx(0.57, abs=0.04)


def test_one_basin_has_no_entropy():
    found = basin_entropy(np.zeros((20, 20), dtype=int))
    assert found.value == 0
    assert np.isnan(found.boundary_value)
    assert found.is_fractal is None
    assert "no box holds" in repr(found)


def test_jackknife_error_is_the_spread_over_regions():
    # squares of 12 cells, each with odds of its own: blocks of 24 cells are independent, and so are the regions
    rng = np.random.default_rng(3)
    values, errors = [], []
    for _ in range(80):
        odds = np.kron(rng.random((10, 10)), np.ones((12, 12)))
        found = basin_entropy((rng.random((120, 120)) < odds).astype(int), box=4, sizes=())
        values.append(found.value)
        errors.append(found.standard_error[0])
    # a spread over 80 regions is known to 8 %, and the mean of errors from 25 blocks to 2 %
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.25)


def test_bad_labels_are_refused():
    with pytest.raises(TypeError, match="integer labels"):
        basin_entropy(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="does not fit"):
        basin_entropy(np.zeros((4, 4), dtype=int))
    with pytest.raises(TypeError, match="sizes must be whole numbers"):
        basin_entropy(np.zeros((9, 9), dtype=int), sizes=5)
    with pytest.raises(ValueError, match="all are -1"):
        basin_entropy(np.full((9, 9), -1), unlabelled="ignore")
    with pytest.raises(ValueError, match="unlabelled must be"):
        basin_entropy(np.zeros((9, 9), dtype=int), unlabelled="drop")
    with pytest.raises(ValueError, match="axes have lengths"):
        basin_entropy(SimpleNamespace(labels=np.zeros((9, 9), dtype=int), axes=(PLANE, PLANE)))


# --- uncertainty exponent ----------------------------------------------------------------------------


def test_share_of_a_point_is_exact_on_the_grid():
    axis = np.linspace(0.0, 1.0, 201)
    found = uncertainty_exponent(basins_of(lambda x: (x[..., 0] > 0.4321).astype(int), axis))
    margin = 2 * found.epsilons.max()
    assert found.shares == pytest.approx(found.epsilons / (1.005 - margin), rel=1e-9)  # 201 cells of 1/200
    assert found.exponent == pytest.approx(1, abs=1e-9)
    assert found.verdict == "smooth or not told from smooth"


def test_share_of_a_line_is_that_of_the_theory():
    angle = 0.6
    normal = [np.cos(angle), np.sin(angle)]
    found = uncertainty_exponent(
        basins_of(half_plane(normal, 0.1), PLANE, PLANE), n_samples=40_000, epsilons=[0.02, 0.05, 0.1]
    )
    side = 4 - 2 * 0.1
    length = side / np.sin(angle) if np.sin(angle) > np.cos(angle) else side / np.cos(angle)
    expected = found.epsilons * length * (np.cos(angle) + np.sin(angle)) / 2 / side**2  # uncertain-share-of-a-line
    assert (np.abs(found.shares - expected) < 4 * found.share_errors).all()


@pytest.mark.parametrize(
    "classify",
    [
        half_plane([0.7, 1.0], 0.13),
        lambda x: (np.hypot(x[..., 0] - 0.1, x[..., 1]) < 1.1).astype(int),
        lambda x: (x[..., 1] > 0.5 * np.sin(4 * x[..., 0])).astype(int),
    ],
    ids=["line", "circle", "wave"],
)
def test_smooth_boundaries_have_exponent_1(classify):
    basins = basins_of(classify, PLANE, PLANE)
    grid, sampled = uncertainty_exponent(basins), uncertainty_exponent(basins, n_samples=5_000)
    for found in (grid, sampled):
        assert found.interval[0] <= 1 <= found.interval[1]
        assert found.verdict == "smooth or not told from smooth"
        assert found.is_power_law
    assert grid.exponent == pytest.approx(1, abs=0.03)  # the wave has bends within a sixteenth of the side


def gap_of(x):
    """The side, and the stage, of the gap of the middle-thirds set that a number lies in."""
    x, label = x[..., 0] % 1.0, np.zeros(x.shape[:-1], dtype=int)
    for stage in range(1, 30):
        x = 3 * x
        digit = np.floor(x).astype(int).clip(0, 2)
        label = np.where((label == 0) & (digit == 1), stage, label)
        x = x - digit
    return label % 2


def test_cantor_set_has_its_dimension():
    exponent = 1 - np.log(2) / np.log(3)  # cantor-exponent
    basins = basins_of(gap_of, np.linspace(0, 1, 50))
    # the power law oscillates with log ε, powers of 3 meet it in one phase; above 3⁻⁶ f is near its largest value
    found = uncertainty_exponent(basins, n_samples=20_000, epsilons=3.0 ** -np.arange(6, 14))
    assert found.interval[0] < exponent < found.interval[1]
    assert found.exponent == pytest.approx(exponent, abs=0.02)
    assert found.verdict == "fractal"
    assert found.boundary_dimension == pytest.approx(np.log(2) / np.log(3), abs=0.02)


@pytest.mark.parametrize("n", [1_000, 20_000])
def test_intervals_cover_the_exponent_of_an_oscillating_law(n):
    # nine sizes that meet the oscillation of the Cantor set in different phases: noise is not all of the error
    exponent = 1 - np.log(2) / np.log(3)
    basins = basins_of(gap_of, np.linspace(0, 1, 50))
    sizes = np.geomspace(1e-6, 1e-2, 9)
    found = [uncertainty_exponent(basins, n_samples=n, rng=seed, epsilons=sizes) for seed in range(12)]
    assert sum(one.interval[0] < exponent < one.interval[1] for one in found) >= 11  # 95 % of 12, less one


def test_newton_fractal_has_one_exponent_by_grid_and_by_samples():
    grid = uncertainty_exponent(NEWTON)
    sampled = uncertainty_exponent(NEWTON, n_samples=6_000)
    # 200,000 pairs gave 1.445 ± 0.010; three standard errors of the fewer pairs here are 0.05 and 0.08
    for found, tolerance in ((grid, 0.05), (sampled, 0.08)):
        assert found.verdict == "fractal"
        assert found.boundary_dimension == pytest.approx(1.445, abs=tolerance)
    assert abs(grid.exponent - sampled.exponent) < 3 * np.hypot(grid.standard_error, sampled.standard_error)


def test_unrelated_labels_are_riddled_like():
    labels = np.random.default_rng(0).integers(0, 2, size=(200, 200))
    found = uncertainty_exponent(labels)
    assert found.verdict == "riddled-like"
    assert found.exponent == pytest.approx(0, abs=0.01)
    assert found.shares == pytest.approx(np.full(len(found.shares), 0.5), abs=0.02)


def test_a_scale_in_the_boundary_is_no_power_law():
    stripes = np.arange(400) // 8 % 2  # below 8 cells a smooth boundary, above it none but noise
    found = uncertainty_exponent(np.broadcast_to(stripes[:, None], (400, 400)))
    assert found.is_power_law is False
    # the exponent is a limit: what the slope changes by over the range is part of the doubt
    assert found.interval[1] - found.exponent > 0.3 * abs(found.slope_change)
    assert "No power law" in repr(found)


@pytest.mark.parametrize(("amplitude", "wavelength"), [(4.5, 8.0), (4.0, 12.0), (3.0, 15.0), (6.0, 30.0)])
def test_a_smooth_wave_of_few_cells_is_not_fractal(amplitude, wavelength):
    # the shares bend twice between the amplitude and the wavelength, which a parabola does not see
    x, y = np.meshgrid(np.arange(300), np.arange(300), indexing="ij")
    found = uncertainty_exponent((y > 150 + amplitude * np.sin(2 * np.pi * x / wavelength)).astype(int))
    assert found.verdict == "no power law"
    assert found.fit_p_value < 1e-6
    # the interval for the exponent, which is 1, takes the change into account
    assert found.interval[1] > 1


def test_goodness_of_fit_is_uniform_for_power_laws():
    # labels without memory: α = 0 exactly, so that p values are those of chance
    rng = np.random.default_rng(1)
    p = [uncertainty_exponent(rng.integers(0, 2, size=(80, 80))).fit_p_value for _ in range(60)]
    # blocks of 16 cells share pairs with their neighbours: the law is near, not exact; 60 means scatter by 0.04
    assert np.mean(p) == pytest.approx(0.5, abs=0.2)
    assert np.mean(np.array(p) < 0.01) < 0.1


def test_regular_grids_of_any_precision_are_regular():
    labels = np.broadcast_to((np.arange(800) > 300).astype(int), (800, 800))
    coarse = np.linspace(-0.5, 1.5, 800, dtype=np.float32)
    found = uncertainty_exponent(SimpleNamespace(labels=labels, axes=(coarse, coarse)))
    assert found.epsilons[0] == pytest.approx(2 / 799, rel=1e-3)
    far = np.linspace(1e6, 1e6 + 1, 10_000)
    found = uncertainty_exponent(SimpleNamespace(labels=(far > 1e6 + 0.3).astype(int), axes=(far,)))
    assert found.exponent == pytest.approx(1, abs=1e-6)


def test_fit_keeps_sizes_at_which_nothing_was_met():
    basins = basins_of(half_plane([1.0, 0.3], 0.0), PLANE, PLANE)
    sizes = np.geomspace(1e-3, 1e-1, 12)
    estimates = [uncertainty_exponent(basins, n_samples=300, rng=seed, epsilons=sizes) for seed in range(60)]
    assert any((found.shares == 0).any() for found in estimates)
    exponents = np.array([found.exponent for found in estimates])
    assert exponents.mean() == pytest.approx(1, abs=3 * exponents.std() / np.sqrt(60))
    met = [(np.log(sizes[found.shares > 0]), np.log(found.shares[found.shares > 0])) for found in estimates]
    assert np.mean([np.polyfit(x, y, 1)[0] for x, y in met]) < 0.8  # what a line through logarithms would say
    covered = np.mean([found.interval[0] <= 1 <= found.interval[1] for found in estimates])
    assert covered > 0.85  # 95 % of 60, less three standard errors


def test_no_boundary_is_an_outcome():
    found = uncertainty_exponent(np.zeros((50, 50), dtype=int))
    assert found.verdict == "none met"
    assert np.isnan(found.exponent)
    assert "no boundary met" in repr(found)


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="unequal steps"):
        uncertainty_exponent(basins_of(SIDES, np.geomspace(1, 2, 40), np.linspace(0, 1, 40)))
    with pytest.raises(ValueError, match="whole numbers of cells"):
        uncertainty_exponent(NEWTON, epsilons=[1e-5, 1e-4, 1e-3])
    with pytest.raises(ValueError, match="cells apart"):
        uncertainty_exponent(np.zeros((6, 6), dtype=int))
    with pytest.raises(TypeError, match="classify"):
        uncertainty_exponent(SimpleNamespace(labels=NEWTON.labels, axes=NEWTON.axes), n_samples=10)
    with pytest.raises(TypeError, match="axes"):
        uncertainty_exponent(NEWTON.labels, n_samples=10)


# --- points of the boundary, edge states -------------------------------------------------------------


def test_boundary_points_lie_on_the_boundary():
    rng = np.random.default_rng(0)
    starts, ends = rng.normal(size=(2, 30, 2))
    found = boundary_points(basins_of(half_plane([1.0, 2.0], 0.3), PLANE, PLANE), starts, ends, tolerance=1e-10)
    crosses = found.labels[:, 0] != found.labels[:, 1]
    assert 5 < crosses.sum() < 30
    assert np.isnan(found.x[~crosses]).all()
    assert np.abs(found.x[crosses] @ [1.0, 2.0] - 0.3).max() < 1e-10 * np.sqrt(5)
    assert found.gap[crosses].max() <= 1e-10
    assert (found.inside[crosses] @ [1.0, 2.0] > 0.3).astype(int).tolist() == found.labels[crosses, 0].tolist()


def test_basins_of_the_cubic_map_end_at_its_outer_cycle():
    # x' = (1 + r)x − x³ with r = 3/2: beyond ±√(r + 2), the 2-cycle that repels, all diverge
    found = boundary_points(SimpleNamespace(classify=stays), [[1.85], [-1.85]], [[1.9], [-1.9]])
    assert found.x[:, 0] == pytest.approx([np.sqrt(3.5), -np.sqrt(3.5)], abs=1e-8)


@pytest.mark.parametrize("dynamics", ["map", "flow"])
def test_edge_state_of_the_bistable_map_is_its_saddle(dynamics):
    found = edge_state(BISTABLE, [0.9, 0.0], [0.05, 0.7], classify=SIDES, dynamics=dynamics)
    assert found.status == "settled"
    assert found.kind == "fixed point"
    # on the line x0 = x1 the unit is σ(1 − 2x) − x = 0 at 1/2, with slope −3/2 along the line and 3/2 across
    assert found.x == pytest.approx([0.5, 0.5], abs=1e-12)
    rates = np.array([1.5, -1.5])
    expected = 1 + 0.1 * rates if dynamics == "map" else np.exp(0.1 * rates)
    assert found.multipliers.real == pytest.approx(expected, abs=1e-12)
    assert found.n_unstable == 1
    # the middle of both orbits is within half their distance of the line
    assert (np.abs(found.track[:, 0] - found.track[:, 1]) <= found.gaps).all()
    assert found.gaps.max() <= found.separation
    assert found.t == pytest.approx(0.1 * np.arange(len(found.track)))


def test_edge_of_divergence_of_the_cubic_map_is_a_cycle():
    system = resdyn.systems.pitchfork(r=1.5, step=1.0)
    found = edge_state(system, [1.85], [1.9], classify=stays)
    assert (found.kind, found.period) == ("cycle", 2)
    assert abs(found.x[0]) == pytest.approx(np.sqrt(3.5), abs=1e-12)
    # the slope at each point is 1 + r − 3x² = −8
    assert found.multipliers.real == pytest.approx([64.0], rel=1e-9)


def test_edge_tracking_from_one_basin_finds_none():
    found = edge_state(BISTABLE, [0.9, 0.0], [0.8, 0.1], classify=SIDES)
    assert found.status == "same basin"
    assert len(found.track) == 0
    assert found.n_unstable == -1
    assert "none" in repr(found)


def test_a_chaotic_edge_does_not_settle():
    # the boundary is y = 0, on which x follows the logistic map at r = 4
    def rule(t, x, params):
        after = np.stack([4 * x[..., 0] * (1 - x[..., 0]), 1.3 * x[..., 1] - x[..., 1] ** 3], axis=-1)
        return after - x

    system = resdyn.ResidualSystem(rule, 2, name="chaos on the edge")
    found = edge_state(system, [0.3, 0.2], [0.3, -0.1], classify=half_plane([0.0, 1.0], 0.0), depth=300)
    assert found.status == "not settled"
    assert len(found.track) == 300
    assert np.abs(found.track[:, 1]).max() < found.separation
    assert found.track[:, 0].std() == pytest.approx(np.sqrt(1 / 8), abs=0.05)  # the arcsine law; 300 states of it
    assert "not settled" in repr(found)


def test_a_slow_track_has_not_settled_where_it_is_heading():
    # within eight layers the track moves by less than the two orbits' distance, but it is far from its end at x = 1
    def rule(t, x, params):
        return np.stack([1e-6 * (1 - x[..., 0]), 0.3 * x[..., 1] - x[..., 1] ** 3], axis=-1)

    system = resdyn.ResidualSystem(rule, 2, name="slow")
    found = edge_state(system, [0.3, 0.2], [0.3, -0.1], classify=half_plane([0.0, 1.0], 0.0), depth=300)
    assert found.status == "not settled"
    assert found.x[0] == pytest.approx(0.3, abs=1e-3)


def test_wrong_labels_and_divergence_are_outcomes():
    # labels that the dynamics does not keep
    moving = resdyn.ResidualSystem(lambda t, x, p: np.ones_like(x), 1, name="drift")
    found = edge_state(moving, [0.0], [1.0], classify=half_plane([1.0], 0.5), separation=1e-5, depth=50)
    assert found.status == "not settled"  # both drift side by side
    stretch = resdyn.ResidualSystem(lambda t, x, p: x, 1, name="doubling")
    assert edge_state(stretch, [1.0], [2.0], classify=half_plane([1.0], 1.5)).status == "labels changed"
    explode = resdyn.ResidualSystem(lambda t, x, p: np.where(x > 0, 1e200 * x, 0.0), 1, name="explosion")
    with np.errstate(over="ignore", invalid="ignore"):
        assert edge_state(explode, [-1.0], [1.0], classify=half_plane([1.0], 0.0), depth=5).status == "diverged"


def along_a_line(coefficients, name, step=0.05):
    """x' = −p(x) with the derivative known."""
    slopes = np.polyder(coefficients)
    return resdyn.ResidualSystem(
        lambda t, x, p: -np.polyval(coefficients, x),
        1,
        step=step,
        jacobian=lambda t, x, p: -np.polyval(slopes, x)[..., None],
        name=name,
    )


def test_an_attractor_near_the_track_is_no_edge_state():
    # both attractors and the edge are closer together than the two orbits may drift apart
    s = 1e-5
    system = along_a_line(np.poly([-s, 0, 4 * s]) / s**2, "tiny")
    found = edge_state(system, [-0.9 * s], [3.9 * s], classify=half_plane([1.0], 0.0))
    assert found.status == "not settled" or found.x == pytest.approx([0.0], abs=1e-12)
    closer = edge_state(system, [-0.9 * s], [3.9 * s], classify=half_plane([1.0], 0.0), distance=1e-9)
    assert closer.status == "settled"
    assert closer.x == pytest.approx([0.0], abs=1e-12)
    assert closer.n_unstable == 1


def test_edge_state_names_the_basins_that_it_divides():
    system = along_a_line(np.poly([-2, -1, 0, 1.5, 3]) / 10, "three basins")
    found = edge_state(system, [-1.8], [2.5], classify=lambda x: (x[..., 0] > -1).astype(int) + (x[..., 0] > 1.5))
    between = {-1.0: [0, 1], 1.5: [1, 2]}
    assert found.labels.tolist() == between[round(found.x[0], 6)]


@pytest.mark.parametrize("amplitude", [1e-2, 1e-3, 3e-5])
def test_a_small_cycle_on_the_edge_is_not_the_repeller_within_it(amplitude):
    # on the edge x = 0, y' = −1.2y + c y³ has the 2-cycle ±√(0.2/c), which attracts, around 0, which repels
    c = 0.2 / amplitude**2

    def rule(t, x, p):
        return np.stack([0.5 * x[..., 0] - 0.5 * x[..., 0] ** 3, -2.2 * x[..., 1] + c * x[..., 1] ** 3], axis=-1)

    def jacobian(t, x, p):
        return np.stack([0.5 - 1.5 * x[..., 0] ** 2, -2.2 + 3 * c * x[..., 1] ** 2], axis=-1)[..., None] * np.eye(2)

    system = resdyn.ResidualSystem(rule, 2, step=1.0, jacobian=jacobian, name="cycle on the edge")
    start = 0.5 * amplitude
    found = edge_state(system, [-0.5, start], [0.5, start], classify=half_plane([1.0, 0.0], 0.0))
    assert (found.kind, found.period, found.n_unstable) == ("cycle", 2, 1)
    assert abs(found.x[1]) == pytest.approx(amplitude, rel=1e-9)


def test_edge_tracking_refuses_what_it_cannot_use():
    with pytest.raises(TypeError, match="pass classify="):
        edge_state(BISTABLE, [0.0, 0.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="belongs to the integration of a flow"):
        edge_state(BISTABLE, [0.0, 0.0], [1.0, 0.0], classify=SIDES, rtol=1e-8)
    with pytest.raises(ValueError, match="larger than distance"):
        edge_state(BISTABLE, [0.0, 0.0], [1.0, 0.0], classify=SIDES, separation=1e-7)
    with pytest.raises(ValueError, match="one state"):
        edge_state(BISTABLE, [[0.0, 0.0]], [1.0, 0.0], classify=SIDES)
    layered = resdyn.ResidualMap(np.zeros((3, 2, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="layers of its own"):
        edge_state(layered, [0.0, 0.0], [1.0, 0.0], classify=SIDES)


# --- minimal shocks ----------------------------------------------------------------------------------

POINTS = [SimpleNamespace(points=np.array([[-0.5, -1.0]])), SimpleNamespace(points=np.array([[1.0, 1.0], [0.5, 1.2]]))]


@pytest.mark.parametrize(("norm", "expected"), [(2, 1.4), (1, 1.4 / 0.8), (np.inf, 1.0)])
def test_shock_to_a_line_is_the_distance_in_each_norm(norm, expected):
    axis = np.linspace(-2, 2, 41)
    basins = basins_of(half_plane([0.6, 0.8], 0.3), axis, axis, attractors=POINTS)
    found = minimal_shock(basins, 0, norm=norm)
    # shock-to-a-plane, and the dual norm; directions are searched to 1e-5, which enters squared for norm 2
    assert found.size == pytest.approx(expected, rel=1e-6 if norm == 2 else 1e-4)
    assert expected <= found.size <= found.grid_size
    assert found.to == 1
    assert basins.classify(found.x) == 1
    assert np.linalg.norm(found.shock, norm) == found.size


def test_shock_starts_from_the_nearest_point_of_the_attractor():
    axis = np.linspace(-2, 2, 41)
    found = minimal_shock(basins_of(half_plane([0.6, 0.8], 0.3), axis, axis, attractors=POINTS), 1)
    assert found.origin == pytest.approx([0.5, 1.2])
    assert found.size == pytest.approx(0.96, rel=1e-6)


def test_shock_out_of_an_ellipsoid_is_its_shortest_axis():
    axis = np.linspace(-2, 2, 15)
    classify = lambda x: (x**2 @ np.array([1.0, 4.0, 0.5]) > 1).astype(int)  # noqa: E731
    basins = basins_of(classify, axis, axis, axis, attractors=[SimpleNamespace(points=np.zeros((1, 3)))])
    found = minimal_shock(basins, 0)
    assert found.size == pytest.approx(0.5, rel=1e-6)
    coarse = minimal_shock(basins, 0, refine=False)
    assert coarse.size == coarse.grid_size == pytest.approx(4 / 7)
    assert coarse.n_classified == 0


def test_shock_in_six_dimensions_finds_its_direction():
    normal = np.array([0.3, -0.5, 0.2, 0.7, 0.1, -0.4])
    axis = np.linspace(-2, 2, 5)
    found = minimal_shock(
        basins_of(half_plane(normal, 0.9), *[axis] * 6, attractors=[SimpleNamespace(points=np.zeros((1, 6)))]), 0
    )
    distance = 0.9 / np.linalg.norm(normal)
    assert found.grid_size > 1.2 * distance  # the grid alone is far off
    assert distance <= found.size <= distance * (1 + 1e-6)


def test_shock_starts_from_any_of_many_points():
    # 3000 points of a circle around 0; the circle that ends the basin comes closest at (−0.7, 0), 0.2 from the first
    angle = np.linspace(0, 2 * np.pi, 3000)
    points = 0.5 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    axis = np.linspace(-2, 2, 41)
    beyond = lambda x: (np.hypot(x[..., 0] - 0.1, x[..., 1]) > 0.8).astype(int)  # noqa: E731
    found = minimal_shock(basins_of(beyond, axis, axis, attractors=[SimpleNamespace(points=points)]), 0)
    # the point at angle π is half a step off: 1e-3 in angle, which enters squared
    assert 0.2 - 1e-9 <= found.size <= 0.2 * (1 + 1e-5)


@pytest.mark.parametrize(("order", "dual"), [(1, np.inf), (np.inf, 1)])
def test_shocks_find_the_corners_of_the_ball(order, dual):
    axis = np.linspace(-2, 2, 9)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        normal, start, gap = rng.normal(size=4), rng.uniform(-0.3, 0.3, size=4), rng.uniform(0.2, 1.0)
        normal /= np.linalg.norm(normal)
        basins = basins_of(
            half_plane(normal, normal @ start + gap), *[axis] * 4, attractors=[SimpleNamespace(points=start[None])]
        )
        distance = gap / np.linalg.norm(normal, dual)  # shock-to-a-plane
        assert distance * (1 - 1e-12) <= minimal_shock(basins, 0, norm=order).size <= distance * (1 + 1e-6)


def test_a_bound_in_words_still_holds():
    found = MinimalShock(np.array([1.000004]), 1.000004, np.zeros(1), -1, 1.1, 0.1, 0, 2.0, 7)
    assert "at most 1.00001," in repr(found)


def test_divergence_counts_as_leaving_unless_ignored():
    basins = basins_of(
        cubic_map, np.linspace(-3, 3, 601), attractors=[SimpleNamespace(points=np.array([[s]])) for s in (-1.2, 1.2)]
    )
    everything, attractors = minimal_shock(basins, 1), minimal_shock(basins, 1, unlabelled="ignore")
    # out of the basin of the positive state: to its rightmost gap, near the preimages of 0 and the outer cycle
    assert everything.size <= attractors.size
    assert everything.size <= np.sqrt(3.5) - 1.2
    assert attractors.to == 0


def test_no_other_basin_is_an_outcome():
    basins = basins_of(
        lambda x: np.zeros(x.shape[:-1], dtype=int), PLANE, attractors=[SimpleNamespace(points=np.zeros((1, 1)))]
    )
    found = minimal_shock(basins, 0)
    assert found.size == np.inf
    assert np.isnan(found.shock).all()
    assert "none known" in repr(found)
    with pytest.raises(ValueError, match="numbered from 0"):
        minimal_shock(basins, 1)
    with pytest.raises(ValueError, match="norm must be"):
        minimal_shock(basins, 0, norm=3)
    for norm in (np.array([1, 2]), True, "2"):
        with pytest.raises(ValueError, match="norm must be"):
            minimal_shock(basins, 0, norm=norm)


# --- results -----------------------------------------------------------------------------------------


def results():
    axis = np.linspace(-2, 2, 41)
    plane = basins_of(half_plane([0.6, 0.8], 0.3), axis, axis, attractors=POINTS)
    return [
        basin_entropy(NEWTON),
        uncertainty_exponent(NEWTON),
        edge_state(BISTABLE, [0.9, 0.0], [0.05, 0.7], classify=SIDES),
        minimal_shock(plane, 0),
        boundary_points(plane, [[0.0, -1.0]], [[0.0, 1.0]]),
    ]


@pytest.mark.parametrize("result", results(), ids=lambda result: type(result).__name__)
def test_results_are_stored_shown_and_made_datasets(result, tmp_path):
    pytest.importorskip("xarray")
    result.save(tmp_path / "result.npz")
    loaded = type(result).load(tmp_path / "result.npz")
    assert repr(loaded) == repr(result)
    assert type(result).__name__ in result._repr_html_()
    data = result.to_dataset()
    other = loaded.to_dataset()
    assert data.identical(other)
    assert data.data_vars


def test_names_are_public():
    for name in ("basin_entropy", "uncertainty_exponent", "edge_state", "minimal_shock", "resilience"):
        assert getattr(resdyn, name) is getattr(boundaries, name)
    for kind in (BasinEntropy, UncertaintyExponent, EdgeState, MinimalShock):
        assert getattr(resdyn, kind.__name__) is kind
