"""Fixed points: exact ones of logistic residuals, proved ones of damped maps, and what Newton's method finds."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, linprog

import resdyn
from resdyn.analysis.equilibria import intervals, rational
from resdyn.analysis.equilibria.faces import Faces

CYCLE = np.array([[-0.2, 1.0, -0.9], [-0.9, -0.2, 1.0], [1.0, -0.9, -0.2]])


def equilibria(W, **options):
    return resdyn.fixed_points(resdyn.logistic_residuals(W), **options)


# --- logistic residuals against exact arithmetic over all faces --------------------------------------------------


def eliminate(A, r):
    """Row-reduce [A | r] of Fractions: (pivot columns, rows)."""
    rows = [[*a, value] for a, value in zip(A, r, strict=True)]
    pivots = []
    for column in range(len(A)):
        found = next((i for i in range(len(pivots), len(rows)) if rows[i][column] != 0), None)
        if found is None:
            continue
        i = len(pivots)
        rows[i], rows[found] = rows[found], rows[i]
        rows[i] = [v / rows[i][column] for v in rows[i]]
        for other in range(len(rows)):
            if other != i:
                rows[other] = [a - rows[other][column] * b for a, b in zip(rows[other], rows[i], strict=True)]
        pivots.append(column)
    return pivots, rows


def strictly_feasible(A, r):
    """Whether A y = r has a solution with 0 < y < 1; small integers keep the margin far from rounding."""
    k = len(A)
    eye, ones = np.eye(k), np.ones((k, 1))
    done = linprog(
        [*np.zeros(k), -1.0],
        A_ub=np.block([[-eye, ones], [eye, ones]]),
        b_ub=[*np.zeros(k), *np.ones(k)],
        A_eq=np.hstack([np.array(A, dtype=float), np.zeros((k, 1))]),
        b_eq=np.array(r, dtype=float),
        bounds=[(None, None)] * (k + 1),
    )
    return done.status == 0 and -done.fun > 1e-7


def every_face(W):
    """Isolated equilibria as tuples of Fractions, and the faces with continua, by going through all of them."""
    n = len(W)
    points, continua = set(), set()
    for face in itertools.product((0, 1, None), repeat=n):
        inside = [i for i in range(n) if face[i] is None]
        A = [[Fraction(W[i, j]) for j in inside] for i in inside]
        r = [-sum(Fraction(W[i, j]) * face[j] for j in range(n) if face[j] is not None) for i in inside]
        pivots, rows = eliminate(A, r)
        if any(row[-1] != 0 for row in rows[len(pivots) :]):
            continue
        if len(pivots) == len(inside):
            values = [row[-1] for row in rows]
            if all(0 < value < 1 for value in values):
                y = list(map(Fraction, (0 if v is None else v for v in face)))
                for i, value in zip(inside, values, strict=True):
                    y[i] = value
                points.add(tuple(y))
        elif strictly_feasible(A, r):
            continua.add(face)
    return points, continua


def faces_of(continua):
    return {tuple(None if inner else int(c) for inner, c in zip(s.interior, s.corner, strict=True)) for s in continua}


@pytest.mark.parametrize(
    ("n", "largest", "count"), [(2, 1, 20), (3, 1, 20), (4, 2, 10), (5, 1, 6), (6, 3, 2), (7, 2, 1)]
)
def test_equilibria_of_integer_weights_are_those_of_exact_arithmetic(n, largest, count):
    rng = np.random.default_rng(n)
    for _ in range(count):
        W = rng.integers(-largest, largest + 1, size=(n, n)).astype(float)
        found = equilibria(W)
        points, continua = every_face(W)
        assert found.complete
        assert len(found) == len(points)
        assert as_set(found.y, 12) == as_set(np.array(list(points), dtype=float), 12)
        assert faces_of(found.continua) == continua
        rims = {tuple(float(v) for v in y): on_a_rim(W, y, continua) for y in points}
        rims = {tuple(np.round(y, 12) + 0.0): rim for y, rim in rims.items()}
        assert [rims[tuple(np.round(y, 12) + 0.0)] for y in found.y] == found.in_closure.tolist()


def on_a_rim(W, y, continua):
    """Whether y is on the closed face of a continuum and solves its equations, exactly."""
    rates = [sum(Fraction(w) * v for w, v in zip(row, y, strict=True)) for row in W]
    return any(
        all(v == c if c is not None else rate == 0 for v, c, rate in zip(y, face, rates, strict=True))
        for face in continua
    )


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_equilibria_of_skew_weights_are_those_of_exact_arithmetic(n):
    rng = np.random.default_rng(n)
    upper = np.triu(rng.integers(-3, 4, size=(n, n)), 1).astype(float)
    found = equilibria(upper - upper.T)
    points, continua = every_face(upper - upper.T)
    assert as_set(found.y, 12) == as_set(np.array(list(points), dtype=float), 12)
    assert faces_of(found.continua) == continua
    assert len(continua) >= n  # at least the edges from y = 0


def brute_force(W):
    """Isolated equilibria in floating point: one solve per interior set, all corners at once."""
    n = len(W)
    found = [np.array(list(itertools.product((0.0, 1.0), repeat=n)))]
    for mask in range(1, 1 << n):
        inside = [i for i in range(n) if mask >> i & 1]
        outside = [i for i in range(n) if not mask >> i & 1]
        corners = np.array(list(itertools.product((0.0, 1.0), repeat=len(outside)))).reshape(1 << len(outside), -1)
        inner = np.linalg.solve(W[np.ix_(inside, inside)], -W[np.ix_(inside, outside)] @ corners.T).T
        keep = ((inner > 1e-12) & (inner < 1 - 1e-12)).all(axis=1)
        y = np.empty((keep.sum(), n))
        y[:, inside], y[:, outside] = inner[keep], corners[keep]
        found.append(y)
    return np.concatenate(found)


def as_set(y, digits=7):
    return {tuple(row) for row in np.round(y, digits) + 0.0}


def test_equilibria_of_random_weights_are_those_of_brute_force():
    rng = np.random.default_rng(3)
    sizes = [*range(2, 9)] * 13 + [9] * 5 + [10] * 3 + [12]
    assert len(sizes) == 100
    for n in sizes:
        W = rng.normal(size=(n, n))
        found, expected = equilibria(W), brute_force(W)
        assert len(found) == len(expected)
        # ill-conditioned sets cost the oracle digits, not us
        assert len(as_set(found.y) - as_set(expected)) <= 0.001 * len(expected)
        assert found.residual_norm.max() < 1e-8
        assert not found.continua


def test_one_ulp_decides_on_which_side_of_the_boundary_a_face_lies():
    up, down = np.nextafter(1.0, 2.0), np.nextafter(1.0, 0.0)
    for ratio, inside in ((up, 0), (1.0, 0), (down, 1)):
        # unit 0 inside, unit 1 at 1: y_0 = ratio, an equilibrium only if it is below 1
        found = equilibria([[1.0, -ratio], [0.0, 1.0]])
        assert found.complete
        assert int((found.interior == [True, False]).all(axis=1).sum()) == inside
    # the same for a determinant: rows that are parallel up to one ulp have one solution, or a line of them
    assert equilibria([[1.0, -1.0], [1.0, -1.0]]).continua
    assert not equilibria([[1.0, -1.0], [1.0, -down]]).continua
    # parallel rows, and right-hand sides that agree for units 2 and 3 both at 1, up to one ulp
    for other, solvable in ((1.0, True), (up, False)):
        W = np.array([[1.0, -1.0, 1.0, 0.0], [1.0, -1.0, 0.0, other], [0, 0, 1, 0], [0, 0, 0, 1]])
        found = equilibria(W - np.array([[0, 0, 0.5, 0.5]] * 2 + [[0] * 4] * 2) * np.array([[1], [1], [0], [0]]))
        assert ((None, None, 1, 1) in faces_of(found.continua)) == solvable


def test_rounding_that_hides_a_singular_matrix_does_not_hide_its_continuum():
    # thirds are not floats: the product is singular over the reals, the stored matrix need not be
    v = np.array([1.0, -2.0, 1.0])
    W = np.outer(v, [1.0, 3.0, -4.0])  # integers: exactly of rank one
    found = equilibria(W)
    assert max(continuum.dimension for continuum in found.continua) == 2
    for continuum in found.continua:
        inside = continuum.interior
        assert ((continuum.point > 0) & (continuum.point < 1))[inside].all()
        assert np.allclose((W @ continuum.point)[inside], 0, atol=1e-12)
        assert np.allclose((W @ continuum.basis)[inside], 0, atol=1e-12)
        assert np.allclose(continuum.basis.T @ continuum.basis, np.eye(continuum.dimension))


def test_where_nothing_interacts_every_face_is_a_continuum():
    found = equilibria(np.zeros((2, 2)))
    assert len(found) == 4
    assert len(found.continua) == 5  # four edges and the square
    assert found.in_closure.all()


def test_points_on_the_rim_of_a_continuum_are_marked():
    # unit 1 does not act on unit 0 nor on itself: the edges y_0 = 0 and the line from (0,0) are at rest
    found = equilibria([[-1.0, 0.0], [0.0, 0.0]])
    assert faces_of(found.continua) == {(0, None), (1, None)}
    assert found.in_closure.all()
    isolated = equilibria([[1.0, -0.5], [0.3, -1.0]])
    assert not isolated.in_closure.any()


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_equilibria_follow_a_permutation_of_the_units(n, seed):
    rng = np.random.default_rng(seed)
    W, order = rng.normal(size=(n, n)), rng.permutation(n)
    one, other = equilibria(W), equilibria(W[np.ix_(order, order)])
    assert as_set(one.y[:, order]) == as_set(other.y)


def test_the_answer_does_not_depend_on_the_number_of_threads():
    W = np.random.default_rng(0).normal(size=(11, 11))
    one, two = equilibria(W, threads=1), equilibria(W, threads=2)
    assert np.array_equal(one.y, two.y)


def test_blocks_hold_what_the_list_holds():
    system = resdyn.logistic_residuals(np.random.default_rng(5).normal(size=(10, 10)))
    whole = resdyn.fixed_points(system)
    blocks = list(resdyn.iterate_fixed_points(system))
    assert as_set(np.concatenate([block.y for block in blocks])) == as_set(whole.y)
    assert sum(map(len, blocks)) == len(whole)
    skew = resdyn.logistic_residuals([[0.0, 1.0], [-1.0, 0.0]])
    assert sum(len(block.continua) for block in resdyn.iterate_fixed_points(skew)) == len(
        resdyn.fixed_points(skew).continua
    )


# --- eigenvalues, multipliers, stability -------------------------------------------------------------------------


def test_eigenvalues_are_those_of_the_flow_of_y():
    W = np.random.default_rng(1).normal(size=(5, 5))
    found = equilibria(W)
    for point in found:
        y = point.y
        jacobian = np.diag((1 - 2 * y) * (W @ y)) + (y * (1 - y))[:, None] * W
        expected, got = np.linalg.eigvals(jacobian), point.eigenvalues
        assert np.allclose(np.sort_complex(expected), np.sort_complex(got), atol=1e-8)


def test_multipliers_at_finite_states_are_those_of_the_map():
    W = np.array([[-1.0, 2.0], [-2.0, 0.5]])
    system = resdyn.logistic_residuals(W, step=0.3)
    inner = next(
        p for p in resdyn.fixed_points(resdyn.logistic_residuals([[0.0, 1.0], [-1.0, 0.0]])) if p.y is not None
    )
    assert inner.y.shape == (2,)
    for point in resdyn.fixed_points(system):
        if np.isfinite(point.x).all():
            block = np.eye(2) + 0.3 * system.jacobian(0.0, point.x)
            assert np.allclose(np.sort_complex(np.linalg.eigvals(block)), np.sort_complex(point.multipliers))


def test_multipliers_at_saturated_units_are_what_one_layer_does_to_a_small_residual():
    h = 0.3
    system = resdyn.logistic_residuals(CYCLE, step=h)
    for point in resdyn.fixed_points(system):
        if np.isinf(point.x).all():
            z = np.clip(point.x, -40.0, 40.0)  # y or 1 − y is 4e-18: one layer multiplies it by exp(h λ)
            moved = resdyn.simulate(system, z, depth=1).final
            assert np.allclose(np.exp(-np.abs(moved) + np.abs(z)), point.multipliers.real, rtol=1e-12)


def test_map_and_flow_share_fixed_points_but_not_their_stability():
    system = resdyn.ResidualSystem(
        lambda t, x, p: x - x**3, (1,), step=1.2, jacobian=lambda t, x, p: (1 - 3 * x**2)[..., None]
    )
    found = resdyn.fixed_points(system)
    assert np.allclose(np.sort(found.x[:, 0]), [-1, 0, 1])
    right = next(p for p in found if p.x[0] > 0.5)
    assert right.is_stable("flow") is True
    assert right.is_stable("map") is False
    # the map ends on the 2-cycle 0.731 ↔ 1.140
    orbit = resdyn.simulate(system, [1.01], depth=400).x[-2:, 0]
    assert np.allclose(np.sort(orbit), [0.731, 1.140], atol=1e-3)
    assert len(resdyn.fixed_points(system, stable=True, dynamics="flow")) == 2
    assert len(resdyn.fixed_points(system, stable=True, dynamics="map")) == 0
    assert len(resdyn.fixed_points(system, stable=False, dynamics="map")) == 3


def test_linearization_does_not_decide_at_the_origin_nor_at_a_centre():
    origin = next(p for p in equilibria(-np.eye(2) - 0.1) if not p.y.any())
    assert not origin.eigenvalues.any()
    assert origin.is_stable("flow") is None
    assert origin.is_stable("map") is None
    assert origin.kind == "non-hyperbolic"
    # predator and prey with a constant third: y_3 = 1 drives the first two around a centre
    W = np.array([[0.0, 1.0, -0.5], [-1.0, 0.0, 0.5], [0.0, 0.0, 1.0]])
    centre = next(p for p in equilibria(W) if np.allclose(p.y, [0.5, 0.5, 1.0]))
    assert centre.is_stable("flow") is False or centre.eigenvalues[2].real == -1.0
    assert centre.is_stable("flow") is None
    assert centre.is_stable("map") is False  # |1 + ihω| > 1


@pytest.mark.parametrize(
    ("A", "kind_flow", "kind_map"),
    [
        ([[-1.0, 0.0], [0.0, -2.0]], "node", "node"),
        ([[-1.0, 3.0], [-3.0, -1.0]], "focus", "focus"),
        ([[1.0, 0.0], [0.0, -1.0]], "saddle", "saddle"),
        ([[0.0, 1.0], [-1.0, 0.0]], "centre", "focus"),
        ([[0.0, 0.0], [0.0, -1.0]], "non-hyperbolic", "non-hyperbolic"),
    ],
)
def test_kinds_of_linear_systems(A, kind_flow, kind_map):
    system = resdyn.ResidualSystem(
        lambda t, x, p: x @ np.transpose(A), (2,), step=0.1, jacobian=lambda t, x, p: np.broadcast_to(A, (*x.shape, 2))
    )
    point = resdyn.fixed_points(system, starts=np.zeros((1, 2)))[0]
    assert (point.kind_of("flow"), point.kind_of("map")) == (kind_flow, kind_map)
    assert point.kind == kind_map


def test_stable_equilibria_attract_and_unstable_ones_do_not():
    rng = np.random.default_rng(8)
    for _ in range(20):
        system = resdyn.logistic_residuals(rng.normal(size=(3, 3)) - 0.5 * np.eye(3), step=0.1)
        for point in resdyn.fixed_points(system):
            stable = point.is_stable("map")
            if stable is None or np.abs(point.multipliers.real - 1).min() < 0.02:
                continue
            near = np.clip(np.where(np.isinf(point.x), np.sign(point.x) * 9.0, point.x), -9, 9)
            starts = near + 1e-3 * rng.normal(size=(40, 3))
            ends = resdyn.simulate(system, starts, depth=6000, save="final")
            distance = np.abs(ends.y[-1] - point.y).max(axis=1)
            assert (distance < 0.05).all() if stable else (distance > 1e-2).any()


def test_branch_and_bound_finds_the_stable_ones_of_the_enumeration():
    rng = np.random.default_rng(11)
    found = 0
    for n in (2, 3, 5, 8, 10, 12):
        for shift in (0.0, 1.0):
            W = rng.normal(size=(n, n)) - shift * np.eye(n)
            listed = equilibria(W, stable=True, algorithm="faces")
            bounded = equilibria(W, stable=True, algorithm="branch and bound")
            assert listed.complete
            assert bounded.complete
            assert as_set(listed.y) == as_set(bounded.y)
            found += len(listed)
    assert found > 10  # there was something to find


def test_of_many_units_the_stable_equilibria_are_complete_and_the_rest_is_said_to_be_missing():
    # cooperating within two groups that compete: stable states with one group on
    n = 26
    group = np.arange(n) % 2
    W = np.where(group[:, None] == group, 1.0, -2.0)
    system = resdyn.logistic_residuals(W)
    stable = resdyn.fixed_points(system, stable=True)
    assert stable.complete
    assert as_set(stable.y) == {tuple(1.0 * (group == 0)), tuple(1.0 * (group == 1))}
    everything = resdyn.fixed_points(system)
    assert not everything.complete
    assert "too many" in everything.reason
    assert len(everything) == 2
    assert not resdyn.fixed_points(system, stable=False).complete
    stopped = resdyn.fixed_points(
        resdyn.logistic_residuals(np.random.default_rng(0).normal(size=(22, 22))), stable=True, max_nodes=1000
    )
    assert not stopped.complete
    assert "1000 nodes" in stopped.reason


# --- exact arithmetic --------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_deepest_point_is_the_optimum_of_the_linear_programme(seed):
    rng = np.random.default_rng(seed)
    f = int(rng.integers(1, 4))
    rows = [([Fraction(int(v)) for v in rng.integers(-3, 4, f)], Fraction(int(rng.integers(-2, 4)))) for _ in range(4)]
    rows += [([Fraction(-int(i == j)) for j in range(f)], Fraction(0)) for i in range(f)]
    rows += [([Fraction(int(i == j)) for j in range(f)], Fraction(1)) for i in range(f)]
    t, u = rational._deepest(rows, f)
    done = linprog(
        [*np.zeros(f), -1.0],
        A_ub=[[*map(float, g), 1.0] for g, _ in rows],
        b_ub=[float(limit) for _, limit in rows],
        bounds=[(0, None)] * f + [(None, None)],
    )
    assert float(t) == pytest.approx(-done.fun, abs=1e-9)
    assert all(sum(a * b for a, b in zip(g, u, strict=True)) + t <= limit for g, limit in rows)


def test_rows_in_integers_are_the_rows_up_to_a_factor():
    W = np.array([[0.1, -3.0, 1e-300], [0.0, 0.0, 0.0], [2.0**60, 1.0, 0.5]])
    for row, integers in zip(W, rational.integer_rows(W), strict=True):
        assert all(isinstance(entry, int) for entry in integers)
        factors = {Fraction(entry) / Fraction(w) for entry, w in zip(integers, row, strict=True) if w}
        assert len(factors) <= 1


def test_sets_that_are_singular_up_to_rounding_are_irregular():
    W = np.random.default_rng(2).normal(size=(6, 6))
    W[3] = W[2]  # rows 2 and 3 agree: singular with both inside
    masks = Faces(W).irregular_sets()
    both = [mask for mask in range(1, 64) if mask & 4 and mask & 8]
    assert set(both) <= set(masks.tolist())
    assert len(masks) < 40


# --- damped maps -------------------------------------------------------------------------------------------------


def test_one_damped_unit_has_the_roots_of_its_equation():
    for gain in (0.5, 1.5, 3.0, 10.0):
        system = resdyn.ResidualMap([[gain]], [0.1], activation="tanh", damping=1.0)
        x = np.linspace(-1.2, 1.2, 4001)
        f = -x + np.tanh(gain * x + 0.1)
        roots = [
            brentq(lambda s, g: -s + np.tanh(g * s + 0.1), x[i], x[i + 1], args=(gain,), xtol=1e-15)
            for i in np.flatnonzero(f[:-1] * f[1:] < 0)
        ]
        found = resdyn.fixed_points(system)
        assert found.complete
        assert np.allclose(np.sort(found.x[:, 0]), roots, atol=1e-12)
        assert len(roots) == (1 if gain < 1 else 3)


@pytest.mark.parametrize("activation", ["logistic", "tanh"])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_intervals_find_all_that_newton_finds(n, activation):
    rng = np.random.default_rng(n)
    more = 0
    for _ in range(6):
        W = rng.normal(size=(n, n)) * (16.0 if activation == "logistic" else 4.0) / np.sqrt(n)
        b = -W.sum(axis=1) / 2 if activation == "logistic" else 0.1 * rng.normal(size=n)
        system = resdyn.ResidualMap(W, b, damping=0.7, gain=1.3, activation=activation)
        proved = resdyn.fixed_points(system, algorithm="intervals")
        hoped = resdyn.fixed_points(system, algorithm="newton")
        assert proved.complete
        assert not hoped.complete
        assert as_set(hoped.x, 6) <= as_set(proved.x, 6)
        assert proved.residual_norm.max() < 1e-12
        more += len(proved) > 1
    assert more


def test_contraction_has_one_fixed_point_and_intervals_agree():
    W = np.random.default_rng(4).normal(size=(3, 3))
    W *= 3.9 / np.linalg.norm(W, 2)  # |α| ‖W‖ / 4 < λ
    system = resdyn.ResidualMap(W, [0.3, -0.2, 0.1], damping=1.0)
    by_norm = resdyn.fixed_points(system)
    assert by_norm.method == "contraction"
    assert by_norm.complete
    assert len(by_norm) == 1
    assert np.allclose(by_norm.x, resdyn.fixed_points(system, algorithm="intervals").x, atol=1e-13)
    with pytest.raises(ValueError, match="'contraction' needs a named activation"):
        resdyn.fixed_points(system.replace(W=2 * W), algorithm="contraction")


def test_at_a_fold_intervals_do_not_claim_completeness():
    # x = tanh(x): a triple root at 0, which no enclosure can tell from one or three
    found = resdyn.fixed_points(resdyn.ResidualMap([[1.0]], activation="tanh", damping=1.0), algorithm="intervals")
    assert not found.complete
    assert "could not be decided" in found.reason
    stopped = resdyn.fixed_points(
        resdyn.ResidualMap(9 * np.eye(4), activation="tanh", damping=1.0), algorithm="intervals", max_boxes=10
    )
    assert not stopped.complete
    assert "max_boxes" in stopped.reason


def test_uncoupled_units_multiply_their_fixed_points():
    system = resdyn.ResidualMap(3 * np.eye(4), activation="tanh", damping=1.0, step=0.5)
    found = resdyn.fixed_points(system)
    assert found.complete
    assert len(found) == 3**4
    assert int((found.stability("flow") == 1).sum()) == 2**4


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_enclosures_hold_what_they_enclose(seed):
    rng = np.random.default_rng(seed)
    n = 3
    system = resdyn.ResidualMap(rng.normal(size=(n, n)) * 6, rng.normal(size=n), damping=1.0)
    problem = intervals.Problem(
        system.W, system.b, system.activation.value, system.activation.derivative, 0.25, (0.0, 1.0)
    )
    middle, radius = rng.uniform(size=(1, n)), rng.uniform(0, 0.3, size=(1, n))
    y = middle + radius * rng.uniform(-1, 1, size=(500, n))
    low, high = problem.image(*problem.preactivation(middle, radius))
    image = system.activation.value(y @ system.W.T + system.b)
    assert ((low <= image) & (image <= high)).all()
    slope, spread = problem.slopes(*problem.preactivation(middle, radius))
    slopes = system.activation.derivative(y @ system.W.T + system.b)
    assert ((slope - spread <= slopes) & (slopes <= slope + spread)).all()
    # no solution in the box escapes the Krawczyk operator
    centre, reach = intervals.krawczyk(problem, middle, radius)
    for x in resdyn.fixed_points(system).x:
        if (np.abs(x - middle[0]) <= radius[0]).all():
            assert (np.abs(x - centre[0]) <= reach[0]).all()


def test_an_undamped_logistic_map_has_no_fixed_point_and_says_where_to_look():
    found = resdyn.fixed_points(resdyn.ResidualMap(CYCLE))
    assert len(found) == 0
    assert found.complete
    assert "logistic_residuals" in found.reason


def test_a_linear_map_has_one_fixed_point_or_a_subspace():
    W, b = np.array([[0.0, 1.0], [-1.0, 0.5]]), np.array([1.0, 2.0])
    found = resdyn.fixed_points(resdyn.ResidualMap(W, b, activation="identity", damping=0.3, gain=2.0))
    assert found.complete
    assert np.allclose(2.0 * (W @ found.x[0] + b), 0.3 * found.x[0])
    singular = resdyn.fixed_points(resdyn.ResidualMap(np.eye(2), activation="identity", damping=1.0))
    assert not singular.complete
    assert "subspace" in singular.reason


# --- any system --------------------------------------------------------------------------------------------------


def test_henon_has_the_two_roots_of_its_quadratic():
    found = resdyn.fixed_points(resdyn.systems.henon())
    a, b = 1.4, 0.3
    x = (-(1 - b) + np.array([-1, 1]) * np.sqrt((1 - b) ** 2 + 4 * a)) / (2 * a)
    assert np.allclose(found.x, np.stack([x, b * x], axis=1), atol=1e-13)
    assert not found.complete


def test_lorenz_has_its_three_fixed_points():
    found = resdyn.fixed_points(resdyn.systems.lorenz(), dynamics="flow")
    c = np.sqrt(8 / 3 * 27)
    assert np.allclose(found.x, [[-c, -c, 27], [0, 0, 0], [c, c, 27]], atol=1e-10)
    assert [point.kind for point in found] == ["saddle"] * 3
    assert (found.stability() == 0).all()


def test_deflation_finds_nine_roots_from_one_start():
    system = resdyn.ResidualSystem(
        lambda t, x, p: x - x**3, (2,), jacobian=lambda t, x, p: (1 - 3 * x**2)[..., None] * np.eye(2)
    )
    found = resdyn.fixed_points(system, starts=[[0.3, 0.2]])
    assert as_set(found.x) == set(itertools.product((-1.0, 0.0, 1.0), repeat=2))


def test_newton_krylov_finds_the_same(monkeypatch):
    W = np.random.default_rng(6).normal(size=(5, 5))
    system = resdyn.ResidualMap(W, damping=1.0, activation="tanh", gain=0.8)
    dense = resdyn.fixed_points(system, algorithm="newton")
    monkeypatch.setattr("resdyn.analysis.equilibria.newton.LARGEST_DENSE", 1)
    assert as_set(resdyn.fixed_points(system, algorithm="newton", n_starts=8).x) <= as_set(dense.x)
    monkeypatch.setattr("resdyn.analysis.equilibria.result.LARGEST_DENSE", 1)
    krylov = resdyn.fixed_points(resdyn.ResidualMap(np.diag([0.1, 0.2, -0.3, 0.4, 0.5, 0.6, 0.7, 0.8]), damping=1.0))
    assert krylov.eigenvalues.shape == (1, 6)


def test_a_region_bounds_starts_and_points():
    system = resdyn.ResidualSystem(lambda t, x, p: np.sin(x), (1,))
    found = resdyn.fixed_points(system, region=(-10.0, 10.0), rng=1)
    assert np.allclose(np.sort(found.x[:, 0]), np.pi * np.arange(-3, 4), atol=1e-9)


def test_a_continuum_of_any_system_does_not_keep_newton_busy_for_ever():
    system = resdyn.ResidualSystem(lambda t, x, p: x * (1 - (x**2).sum(axis=-1, keepdims=True)), (2,))
    found = resdyn.fixed_points(system, n_starts=4)
    assert "continuum" in found.reason or len(found) < 256


# --- results -----------------------------------------------------------------------------------------------------


def test_a_list_can_be_indexed_sliced_and_masked():
    found = equilibria(CYCLE)
    assert len(found) == 11
    assert np.array_equal(found[0].x, found.x[0])
    assert np.array_equal(found[-1].y, found.y[-1])
    assert len(found[2:5]) == 3
    stable = found[found.stability("flow") == 1]
    assert [p.is_stable("flow") for p in stable] == [True] * len(stable)
    assert len(list(found)) == 11
    with pytest.raises(IndexError, match="there are 11 fixed points"):
        found[11]


def test_results_survive_a_file_and_become_a_dataset(tmp_path):
    for found in (
        equilibria([[0.0, 1.0], [-1.0, 0.0]]),
        resdyn.fixed_points(resdyn.ResidualMap(CYCLE, damping=1.0)),
    ):
        found.save(tmp_path / "points.npz")
        loaded = resdyn.FixedPoints.load(tmp_path / "points.npz")
        assert repr(loaded) == repr(found)
        assert np.array_equal(loaded.x, found.x)
        assert np.array_equal(loaded.eigenvalues, found.eigenvalues)
        assert len(loaded.continua) == len(found.continua)
        data = found.to_dataset()
        assert np.array_equal(data["x"], found.x)
        assert np.array_equal(data["stable_map"], found.stability("map"))
        assert "<table>" in found._repr_html_()


def test_words_say_how_many_and_how_certain():
    assert "11 fixed points (10 unstable, 1 undecided under the map)" in repr(equilibria(CYCLE))
    assert "complete: all 3^3 faces" in repr(equilibria(CYCLE))
    assert "maybe not all" in repr(resdyn.fixed_points(resdyn.systems.henon()))
    assert "continua" in repr(equilibria([[0.0, 1.0], [-1.0, 0.0]]))
    assert "saddle" in repr(resdyn.fixed_points(resdyn.systems.henon())[0])
    assert "dimension 1" in repr(equilibria([[0.0, 1.0], [-1.0, 0.0]]).continua[0])


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"dynamics": "maps"}, ValueError, "'map' or 'flow'"),
        ({"algorithm": "magic"}, ValueError, "algorithm must be"),
        ({"stable": "yes"}, TypeError, "stable must be True, False or None"),
        ({"algorithm": "branch and bound"}, ValueError, "pass stable=True"),
        ({"algorithm": "intervals"}, ValueError, "does not apply to 'logistic residuals'"),
        ({"max_nodes": 0}, ValueError, "at least 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        equilibria(CYCLE, **arguments)


def test_systems_without_fixed_points_of_their_own_are_refused():
    layered = resdyn.ResidualMap(np.zeros((4, 2, 2)))
    with pytest.raises(ValueError, match="has 4 layers of its own"):
        resdyn.fixed_points(layered)
    with pytest.raises(TypeError, match="only logistic residual dynamics"):
        next(resdyn.iterate_fixed_points(resdyn.ResidualMap(CYCLE)))
    with pytest.raises(ValueError, match="25 units"):
        next(resdyn.iterate_fixed_points(resdyn.logistic_residuals(np.eye(25))))
    with pytest.raises(ValueError, match=r"pair \(low, high\)"):
        resdyn.fixed_points(resdyn.systems.henon(), region=(1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match="low < high"):
        resdyn.fixed_points(resdyn.systems.henon(), region=(1.0, 0.0))


# --- what must not happen ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "roots"),
    [
        (lambda t, x, p: x * x - 1, [-1, 1]),  # f′ = 0 at the first start, which is no root
        (lambda t, x, p: 1 / (1 + x * x), []),
        (lambda t, x, p: 0 * x + 1, []),
        (lambda t, x, p: np.exp(-x * x), []),
        (lambda t, x, p: np.cos(x) + 2, []),
        (lambda t, x, p: x * x + 1, []),
        (lambda t, x, p: 1e-9 * (x * x - 1), [-1, 1]),
        (lambda t, x, p: x * x - 1e-14, [-1e-7, 1e-7]),
        (lambda t, x, p: (x - 1) ** 2, [1]),
        (lambda t, x, p: (x - 1) ** 4, [1]),
    ],
)
def test_newton_lists_roots_and_nothing_else(rule, roots):
    found = resdyn.fixed_points(resdyn.ResidualSystem(rule, (1,)), region=(-5.0, 5.0))
    # a root of order four is known to a quarter of the digits
    assert np.allclose(np.sort(found.x[:, 0]), roots, atol=1e-3 if 4 * len(roots) == 4 else 1e-9)


def test_scales_of_the_weights_do_not_matter():
    W = np.array([[-2.0, 1, 0.5], [1, -2.0, 0.5], [0, 0, 1]])
    whole = equilibria(W)
    for scale in (1e-310, 1e-300, 1e300):
        scaled = equilibria(W * scale)
        # denormal weights are rounded ones, yet these have as many equilibria
        assert len(scaled) == len(whole) == 15
        assert (scaled.stability("flow") == whole.stability("flow")).all()
    rows = equilibria(W * np.array([[1e-200], [1e180], [1.0]]))
    assert as_set(rows.y) == as_set(whole.y)
    stable = equilibria(W * 1e-310, stable=True, dynamics="flow")
    assert as_set(stable.y) == as_set(
        equilibria(W * 1e-310, stable=True, dynamics="flow", algorithm="branch and bound").y
    )
    for extreme in ([[1e292, -2e292], [-2e-88, -2e-88]], [[1.5e308, 1.5e308], [1.0, -1.0]]):
        assert equilibria(extreme).complete


def test_overflow_is_no_proof():
    for options in ({"damping": 1e-310}, {"damping": 1.0, "gain": 1e308}):
        found = resdyn.fixed_points(resdyn.ResidualMap([[2.0, 0], [0, 1]], activation="tanh", **options))
        assert not found.complete
    found = resdyn.fixed_points(resdyn.ResidualMap([[1e-10]], [1e300], activation="identity"))
    assert not found.complete


def test_a_steep_activation_has_proved_fixed_points():
    found = resdyn.fixed_points(resdyn.ResidualMap([[1e6]], [-5e5], damping=1.0))
    assert found.complete
    assert np.allclose(np.sort(found.x[:, 0]), [0.0, 0.5, 1.0])


def test_at_a_kink_linearization_decides_nothing():
    relu = resdyn.ResidualMap([[2.0]], activation="relu", damping=1.0)  # f = x right of 0, and −x left of it
    point = next(p for p in resdyn.fixed_points(relu) if p.x[0] == 0)
    assert point.is_stable("flow") is None
    assert point.is_stable("map") is None
    away = resdyn.fixed_points(resdyn.ResidualMap([[-2.0]], [1.0], activation="relu", damping=1.0))[0]
    assert away.is_stable("flow") is True


@pytest.mark.parametrize("power", [2, 3])
def test_a_multiple_root_is_undecided(power):
    system = resdyn.ResidualSystem(
        lambda t, x, p: (x - 1) ** power, (1,), jacobian=lambda t, x, p: (power * (x - 1) ** (power - 1))[..., None]
    )
    found = resdyn.fixed_points(system, dynamics="flow", region=(-1.0, 3.0))
    assert [p.is_stable("flow") for p in found] == [None]


def test_a_defective_spectrum_on_the_boundary_is_undecided():
    # three coupled oscillators in one Jordan block, in coordinates that hide it: Re λ = 0, and eigvals errs by 1e-5
    J = np.kron(np.eye(3), [[0.0, -1], [1, 0]]) + np.kron(np.eye(3, k=1), np.eye(2))
    L = np.tril(np.ones((6, 6)))
    A = L @ J @ np.round(np.linalg.inv(L))
    found = resdyn.fixed_points(resdyn.ResidualMap(A, activation="identity"), dynamics="flow")
    assert found.stability().tolist() == [-1]


def test_degenerate_weights_are_refused_in_time_and_stable_points_are_still_found():
    system = resdyn.logistic_residuals(np.zeros((11, 11)))
    found = resdyn.fixed_points(system)
    assert not found.complete
    assert "degenerate" in found.reason
    with pytest.raises(ValueError, match="too degenerate.*stable=True"):
        resdyn.iterate_fixed_points(system)
    assert resdyn.fixed_points(system, stable=True).method == "branch and bound"


def test_proved_points_are_kept_when_the_search_stops():
    found = resdyn.fixed_points(resdyn.ResidualMap.hopfield(3 * np.eye(5)), max_boxes=3000)
    assert not found.complete
    assert len(found) > 128


def test_a_choice_is_not_complete():
    found = equilibria(CYCLE)
    assert not found[1:].complete
    assert "10 of the 11 points were chosen" in repr(found[1:])
    assert len(found[np.zeros(11, dtype=bool)]) == 0
    for index in (True, None, 1.5, "a"):
        with pytest.raises(TypeError, match="indexed by an integer"):
            found[index]
    with pytest.raises(IndexError, match="one axis"):
        found[np.zeros((2, 2), dtype=int)]
    assert np.array_equal(found[np.array(1)].x, found.x[1])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: resdyn.fixed_points(np.eye(2)), TypeError, "needs a System, but got ndarray"),
        (lambda: resdyn.iterate_fixed_points(np.eye(2)), TypeError, "only logistic residual dynamics"),
        (lambda: equilibria(CYCLE, threads=0), ValueError, "threads must be at least 1"),
        (lambda: equilibria(CYCLE, region=(0, 1)), ValueError, "belong to Newton's method"),
        (lambda: resdyn.fixed_points(resdyn.systems.henon(), region=3), ValueError, "pair"),
        (lambda: resdyn.fixed_points(resdyn.systems.henon(), rng="x"), TypeError, "rng must be"),
        (
            lambda: resdyn.fixed_points(resdyn.ResidualSystem(lambda t, x, p: t + 0.5 - x, (1,))),
            ValueError,
            "depends on t though its depth is None",
        ),
    ],
)
def test_calls_that_mean_nothing_say_so(call, error, match):
    with pytest.raises(error, match=match):
        call()
