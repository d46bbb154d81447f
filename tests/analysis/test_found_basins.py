"""The geometry of basins that were found and not given, where the truth is known."""

import numpy as np
import pytest

import resdyn

AXIS = np.linspace(0.0, 1.0, 100)


@pytest.fixture(scope="module")
def bistable():
    return resdyn.basins_of_attraction(resdyn.systems.bistable(), (AXIS, AXIS))


def test_states_on_the_boundary_are_no_label_of_their_own(bistable):
    # the grid has the diagonal, which is the boundary: as a third label it would lift boxes above log 2
    assert bistable.boundary.sum() == 100
    entropy = bistable.entropy()
    assert entropy.n_labels == 2
    assert entropy.boundary_value == pytest.approx(np.log(2), abs=1e-12)  # boxes on the diagonal are cut evenly
    assert entropy.is_fractal is None
    found = bistable.uncertainty_exponent()
    # pairs along both axes sweep 2 s cells of 100 rows, less what leaves the region at both ends of the diagonal
    assert found.exponent == pytest.approx(1, abs=0.03)
    assert found.verdict == "smooth or not told from smooth"


def test_edge_state_is_the_saddle_on_the_diagonal(bistable):
    found = bistable.edge_state([0.9, 0.1], [0.2, 0.3])
    assert found.x == pytest.approx([0.5, 0.5], abs=1e-12)
    assert found.n_unstable == 1
    assert set(found.labels) == {0, 1}


def test_shock_is_the_distance_to_the_diagonal(bistable):
    for k in (0, 1):
        found, x = bistable.minimal_shock(k), bistable.attractors[k].points[0]
        distance = abs(x[0] - x[1]) / np.sqrt(2)
        # states nearer to the diagonal than rounding resolves come to the saddle, and are in no basin
        assert distance <= found.size <= distance * (1 + 1e-5)
        assert found.to == 1 - k == bistable.classify(found.x)


def test_newton_map_has_the_exponent_of_its_julia_set():
    axis = np.linspace(-2.0, 2.0, 200)
    basins = resdyn.basins_of_attraction(resdyn.systems.newton_map(), (axis, axis))
    grid, sampled = basins.uncertainty_exponent(), basins.uncertainty_exponent(n_samples=20_000)
    # 200,000 pairs gave 1.445 ± 0.010; three standard errors of the fewer pairs here are 0.05 and 0.04
    assert grid.boundary_dimension == pytest.approx(1.445, abs=0.05)
    assert sampled.boundary_dimension == pytest.approx(1.445, abs=0.04)
    assert grid.verdict == sampled.verdict == "fractal"


def test_divergence_is_a_basin_of_its_own():
    basins = resdyn.basins_of_attraction(resdyn.systems.pitchfork(r=0.5, step=1.0), (np.linspace(-3.0, 3.0, 301),))
    everything, attractors = basins.entropy(), basins.entropy(unlabelled="ignore")
    assert (everything.n_labels, attractors.n_labels) == (3, 2)
    # the outer 2-cycle at √(r + 2) ends the basins; within it 0 and its preimages divide them
    out = max(basins.attractors, key=lambda attractor: attractor.points[0, 0])
    k = basins.classify(out.points[0])
    found = basins.minimal_shock(int(k))
    assert found.size <= np.sqrt(2.5) - out.points[0, 0]
    assert found.size > 0.1


def test_logistic_residuals_are_shocked_in_y():
    # two rivals with equal weights: the boundary is the diagonal of the unit square, the attractors are two corners
    system = resdyn.logistic_residuals([[1.0, -2.0], [-2.0, 1.0]], step=0.3)
    axis = np.linspace(0.02, 0.98, 48)
    basins = resdyn.basins_of_attraction(system, (axis, axis), coordinates="y")
    for k in (0, 1):
        found = basins.minimal_shock(k)
        assert found.size == pytest.approx(np.sqrt(0.5), rel=1e-6)
        assert found.x == pytest.approx([0.5, 0.5], abs=2e-3)  # flat around the foot: the root of the error in size
    states = resdyn.basins_of_attraction(system, (np.linspace(-3, 3, 21),) * 2)
    with pytest.raises(ValueError, match="lies at infinity"):
        states.minimal_shock(0)


def test_plane_through_many_units_is_a_grid_like_any_other():
    # eight units in two identical halves that inhibit each other; the plane moves each half as one
    weights = np.kron([[4.0, -6.0], [-6.0, 4.0]], np.ones((4, 4)) / 4)
    system = resdyn.ResidualMap(weights, np.ones(8), damping=1.0, activation="logistic", step=0.1)
    directions = np.kron(np.eye(2), np.ones(4))
    axis = np.linspace(0.0, 1.0, 48)
    basins = resdyn.basins_of_attraction(system, (axis, axis), plane=(np.zeros(8), directions))
    assert basins.uncertainty_exponent(n_samples=500).epsilons.shape == (8,)
    small = resdyn.basins_of_attraction(resdyn.systems.bistable(), (axis, axis))
    one, eight = small.minimal_shock(0), basins.minimal_shock(0)
    # the boundary is where both halves have the same mean; the shock that reaches it is twice as long
    assert eight.size == pytest.approx(2 * one.size, rel=1e-3)  # 64 directions a round in eight dimensions


def escape():
    """x' = −x + x³: 0 attracts, ±1 divide its basin from divergence."""
    system = resdyn.ResidualSystem(
        lambda t, x, p: -x + x**3, 1, step=0.1, jacobian=lambda t, x, p: (-1 + 3 * x**2)[..., None], name="escape"
    )
    return resdyn.basins_of_attraction(system, (np.linspace(-2.0, 2.0, 101),))


def test_a_state_too_near_the_boundary_has_not_diverged():
    basins = escape()
    assert basins.diverged > 0
    found = basins.minimal_shock(0)
    # a witness beyond the boundary, as near as single states are told apart: a millionth of the region and a few
    assert 1 < found.size < 1 + 1e-5
    x = found.x
    with np.errstate(over="ignore"):
        for _ in range(400):
            x = np.clip(x + 0.1 * (-x + x**3), -1e3, 1e3)
    assert np.abs(x[0]) == 1e3
    edge = basins.edge_state([0.2], [1.8])
    assert edge.status == "settled"
    assert edge.x == pytest.approx([1.0], abs=1e-12)
    assert edge.labels.tolist() == [0, -1]
    on_it = basins.edge_state([0.2], [1.0])
    assert on_it.status == "undecided"
    assert "not known" in repr(on_it)


def test_sampled_pairs_leave_out_what_is_on_the_boundary():
    labels, outcomes = escape().labels_and_outcomes([[0.5], [1.0], [1.5]])
    assert labels.tolist() == [0, -1, -1]
    assert outcomes.tolist() == [0, 1, 2]
