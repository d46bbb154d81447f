"""Continuation where it is easy to claim too much: near misses, neutral and merging eigenvalues, steep functions."""

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

from resdyn.analysis.branches import continuation
from resdyn.systems import henon, logistic_map, standard_map


class Plain:
    """A System from f and its Jacobian."""

    name, depth = "plain", None

    def __init__(self, f, jacobian, size, step=1.0):
        self.f, self.jacobian_matrix, self.shape, self.step = f, jacobian, (size,), step

    def residual(self, t, x):
        x = np.asarray(x, dtype=float)
        return np.array([self.f(row) for row in x.reshape(-1, x.shape[-1])]).reshape(x.shape)

    def linearize(self, t, x):
        return aslinearoperator(np.asarray(self.jacobian_matrix(np.ravel(x)), dtype=float))


def linear(matrix, step=1.0):
    return Plain(lambda x: matrix @ x, lambda x: matrix, len(matrix), step)


def oscillator(p, *, rate=1.0, frequency=1.0, fast=None):
    """x' = rate·((p + iω)x − x|x|²), with a decoupled variable that decays at the rate ``fast``."""

    def f(x):
        a, b = x[:2]
        r = a * a + b * b
        turning = rate * np.array([p * a - frequency * b - a * r, frequency * a + p * b - b * r])
        return turning if fast is None else np.append(turning, -fast * x[2])

    def jacobian(x):
        a, b = x[:2]
        matrix = rate * np.array(
            [[p - 3 * a * a - b * b, -frequency - 2 * a * b], [frequency - 2 * a * b, p - a * a - 3 * b * b]]
        )
        if fast is None:
            return matrix
        whole = np.zeros((3, 3))
        whole[:2, :2], whole[2, 2] = matrix, -fast
        return whole

    return Plain(f, jacobian, 2 if fast is None else 3)


# --- branches that nearly meet ----------------------------------------------------------------------------


def hyperbola(gap):
    """Fixed points on x² = (p − 1/2)² + gap."""
    return lambda p: Plain(lambda x: x**2 - (p - 0.5) ** 2 - gap, lambda x: [[2 * x[0]]], 1)


@pytest.mark.parametrize("gap", [1e-4, 1e-5, 3e-6, 1e-6, 1e-8, 1e-10])
def test_branches_that_nearly_cross_are_not_mistaken_for_one_another(gap):
    branch = continuation(hyperbola(gap), [-0.5], (0, 1.03), dynamics="flow")
    assert branch.bifurcations == ()
    assert (branch.stable == 1).all()
    assert branch.values[-1] == 1.03
    assert (branch.x < 0).all()
    turning = continuation(hyperbola(-gap), [-0.5], (0, 1.03), dynamics="flow")
    assert turning.bifurcation_kinds == ("fold",)
    assert turning.bifurcation_values == pytest.approx([0.5 - np.sqrt(gap)], abs=1e-9)
    assert turning.values[[0, -1]] == pytest.approx([0.0, 0.0], abs=0)


@pytest.mark.parametrize("imperfection", [1e-7, 1e-9])
def test_nearly_perfect_pitchforks_have_no_branch_point(imperfection):
    def family(p):
        return Plain(lambda x: (p - 0.5) * x - x**3 + imperfection, lambda x: [[p - 0.5 - 3 * x[0] ** 2]], 1)

    branch = continuation(family, [0.0], (0, 1.03), dynamics="flow")
    assert branch.bifurcations == ()
    assert (branch.stable == 1).all()
    assert branch.x[-1, 0] == pytest.approx(np.sqrt(0.53), abs=1e-6)


def test_gaps_that_no_step_resolves_end_the_branch_instead_of_being_jumped():
    branch = continuation(hyperbola(1e-4), [-0.5], (0, 1.03), dynamics="flow", smallest_step=5e-3)
    assert branch.bifurcations == ()
    assert "no step of length 0.005" in branch.reason


def test_a_jacobian_that_jumps_has_no_branch_point_where_it_jumps():
    branch = continuation(lambda p: linear(np.eye(1) * np.sign(p - 0.5 + 1e-9)), [0.0], (0, 1), dynamics="flow")
    assert branch.bifurcations == ()
    assert "no step" in branch.reason


# --- what eigenvalues are ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [{"rate": 1e-7}, {"rate": 1e-9}, {"frequency": 0.5, "fast": 1e6}, {"frequency": 0.5, "fast": 1e8}]
)
def test_slow_pairs_are_pairs(arguments):
    size = 3 if "fast" in arguments else 2
    branch = continuation(lambda p: oscillator(p, **arguments), np.zeros(size), (-1.0, 1.1), dynamics="flow")
    assert branch.bifurcation_kinds == ("Hopf",)
    # known to the rounding of the largest eigenvalue
    assert branch.bifurcation_values == pytest.approx([0.0], abs=1e-9 * max(1.0, arguments.get("fast", 0.0)))


def test_pairs_of_short_layers_are_pairs():
    def family(p):
        system = oscillator(p)
        system.step = 1e-7
        return system

    (found,) = continuation(family, [0.0, 0.0], (-1.0, 1.1)).bifurcations
    assert found.kind == "Neimark–Sacker"
    assert found.angle == pytest.approx(1e-7, rel=1e-6)


# --- what crosses -------------------------------------------------------------------------------------------


def rotated(matrix):
    """The matrix in another orthonormal basis, so that rounding is what it is in general."""
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=matrix.shape))[0]
    return basis @ matrix @ basis.T


def turning(*pairs):
    """A real matrix with the eigenvalues growth ± i·frequency."""
    matrix = np.zeros((2 * len(pairs), 2 * len(pairs)))
    for k, (growth, frequency) in enumerate(pairs):
        matrix[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = [[growth, -frequency], [frequency, growth]]
    return matrix


def test_centres_of_conservative_systems_do_not_bifurcate():
    # |μ| = 1 for K < 4 (trace 2 − K), where both multipliers reach −1
    branch = continuation(lambda K: standard_map(K=K), [np.pi, 0.0], (0.1, 6.0))
    assert branch.bifurcation_kinds == ("flip",)
    assert branch.bifurcation_values == pytest.approx([4.0], abs=1e-8)
    area_preserving = continuation(lambda a: henon(a=a, b=-1.0), [-0.2, -0.2], (-0.1, 2.5))
    assert area_preserving.bifurcations == ()
    centre = continuation(
        lambda p: linear(rotated(turning((0.0, 1 + p), (0.0, 2 + 0.3 * p)))), np.zeros(4), (0, 1), dynamics="flow"
    )
    assert centre.bifurcations == ()
    assert (centre.stable == -1).all()


def test_a_pair_that_crosses_beside_a_neutral_one_is_found():
    branch = continuation(
        lambda p: linear(rotated(turning((0.0, 1.0), (p - 0.45, 2.0)))), np.zeros(4), (0, 1), dynamics="flow"
    )
    assert branch.bifurcation_kinds == ("Hopf",)
    # as far as the pair that stays can be told from it
    assert branch.bifurcation_values == pytest.approx([0.45], abs=1e-7)
    # which of the two it is, no eigenvalue tells
    assert np.isnan(branch.bifurcations[0].frequency)


def test_a_pair_that_becomes_real_between_two_points_hides_two_branch_points():
    def family(p):
        q = p - 0.5
        matrix = np.array([[q, 1.0], [9e-6 - q**2, q]])  # q ± √(9e-6 − q²)
        return Plain(lambda x: matrix @ x - x**3, lambda x: matrix - np.diag(3 * x**2), 2)

    branch = continuation(family, [0.0, 0.0], (0.0, 1.0), dynamics="flow")
    assert branch.bifurcation_kinds == ("branch point", "branch point")
    assert branch.bifurcation_values == pytest.approx(0.5 + np.array([-1, 1]) * np.sqrt(4.5e-6), abs=1e-9)


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_a_defective_eigenvalue_is_one_bifurcation(size):
    nilpotent = rotated(np.diag(np.ones(size - 1), 1))
    for end in (2.0, 2.07):
        branch = continuation(
            lambda p: linear((p - 1) * np.eye(size) + nilpotent), np.zeros(size), (0, end), dynamics="flow"
        )
        (found,) = branch.bifurcations
        assert (found.kind, found.multiplicity, found.criticality) == ("branch point", size, None)
        # rounding spreads the eigenvalues over its size-th root, but not their mean
        assert found.value == pytest.approx(1.0, abs=1e-9)
    (found,) = continuation(lambda p: linear(p * (nilpotent - np.eye(size))), np.zeros(size), (1.0, 3.22)).bifurcations
    assert (found.kind, found.multiplicity, found.criticality) == ("flip", size, None)
    # |μ| differs from −Re μ by the square of the spread
    assert found.value == pytest.approx(2.0, abs=1e-15 ** (2 / size) * 10 + 1e-9)


@pytest.mark.parametrize("size", [3, 8])
def test_defective_eigenvalues_of_any_size_raise_nothing(size):
    nilpotent = rotated(np.diag(np.ones(size - 1), 1))
    flow = continuation(lambda p: linear((p - 1) * np.eye(size) + nilpotent), np.zeros(size), (0, 2), dynamics="flow")
    layers = continuation(lambda p: linear(p * (nilpotent - np.eye(size))), np.zeros(size), (1.0, 3.0))
    for branch in (flow, layers):
        assert all(b.multiplicity == size for b in branch.bifurcations)


def test_a_zero_and_two_pairs_that_cross_together_stay_three():
    def family(p):
        matrix = np.zeros((5, 5))
        matrix[:4, :4], matrix[4, 4] = turning((p, 1.0), (p, 2.0)), p
        return linear(matrix)

    branch = continuation(family, np.zeros(5), (-1.0, 1.03), dynamics="flow")
    assert [(b.kind, b.multiplicity) for b in branch.bifurcations] == [("branch point", 1), ("Hopf", 2)]
    assert branch.bifurcation_values == pytest.approx([0.0, 0.0], abs=1e-10)


# --- coefficients -------------------------------------------------------------------------------------------


def test_doublings_of_the_logistic_map_are_supercritical_down_to_short_scales():
    """A negative Schwarzian derivative admits no other flip, and the scale of the cycles falls by 2.5 each time."""

    def family(r):
        return logistic_map(r=r)

    flip = continuation(family, [0.6], (2.9, 3.6)).bifurcations[0]
    for _ in range(4):
        flip = continuation(family, flip, (2.9, 3.6)).bifurcations[0]
        assert flip.criticality == "supercritical"
        assert flip.coefficient_error < 1e-3 * flip.coefficient
        # (second derivative / 2)² + third / 6 of the map of a cycle, which follow from the chain rule
        r, x = flip.value, flip.x[0]
        first, second, third = 1.0, 0.0, 0.0
        for _ in range(flip.period):
            slope, bend = r * (1 - 2 * x), -2 * r
            third = slope * third + 3 * bend * first * second
            second = slope * second + bend * first**2
            first = slope * first
            x = r * x * (1 - x)
        assert flip.coefficient == pytest.approx((second / 2) ** 2 + third / 6, rel=1e-3)


@pytest.mark.parametrize("steepness", [1.0, 1e2, 1e4, 1e6])
def test_coefficients_of_steep_units_are_right_or_not_claimed(steepness):
    # the third derivative of −p·tanh(g x)/g is 2g² where p = 1, and the coefficient a sixth of it
    g = steepness

    def family(p):
        return Plain(
            lambda x: -x - p * np.tanh(g * x) / g, lambda x: [[-1 - p / np.cosh(min(g * abs(x[0]), 300.0)) ** 2]], 1
        )

    (flip,) = continuation(family, [0.0], (0.5, 1.53)).bifurcations
    assert flip.kind == "flip"
    assert flip.criticality in ("supercritical", None)
    assert np.isnan(flip.coefficient) or flip.coefficient == pytest.approx(g**2 / 3, rel=0.1)
    if g <= 1e4:
        assert flip.criticality == "supercritical"


def test_criticality_does_not_depend_on_the_unit_of_states():
    unit = 1e6
    branch = continuation(
        lambda r: Plain(
            lambda x: r * x * (1 - x / unit) - x, lambda x: [[r * (1 - 2 * x[0] / unit) - 1]], 1
        ),
        [0.6 * unit], (2.5, 3.3), scale=unit,
    )  # fmt: skip
    (flip,) = branch.bifurcations
    assert flip.criticality == "supercritical"
    assert flip.coefficient * unit**2 == pytest.approx(9.0, rel=1e-6)


def test_linear_systems_have_no_criticality():
    (hopf,) = continuation(
        lambda p: linear(rotated(turning((p, 1.0), (-1.0, 2.0)))), np.zeros(4), (-1.0, 1.03), dynamics="flow"
    ).bifurcations
    assert hopf.kind == "Hopf"
    assert hopf.criticality is None
    assert hopf.coefficient == pytest.approx(0.0, abs=1e-10)


# --- one value of the parameter -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.3, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize("detect", [True, False])
def test_both_states_beside_a_fold_are_found(value, detect):
    def family(p):
        return Plain(lambda x: p - x**2, lambda x: [[-2 * x[0]]], 1)

    branch = continuation(family, [1.0], (1.0, -0.2), dynamics="flow", detect=detect)
    # rounding of the parameter, over the slope of the curve
    rounding = 1e-14 / np.sqrt(value)
    found = np.sort(branch.crossings(family, value).ravel())
    assert found == pytest.approx([-np.sqrt(value), np.sqrt(value)], abs=rounding)
    assert branch.crossings(family, -value / 2).shape == (0, 1)


def test_all_three_states_between_two_folds_are_found():
    def family(p):
        return Plain(lambda x: p + x - x**3, lambda x: [[1 - 3 * x[0] ** 2]], 1)

    branch = continuation(family, [-1.3], (-1.0, 1.0), dynamics="flow")
    # the upper fold is at 2/(3√3) = 0.38490018
    for value in (0.0, 0.3, 0.3845, 0.3849, 0.38490017):
        roots = np.sort(np.roots([1.0, 0.0, -1.0, -value]).real)
        assert np.sort(branch.crossings(family, value).ravel()) == pytest.approx(roots, abs=1e-7)
    assert len(branch.crossings(family, 0.3850)) == 1


def test_closed_branches_meet_each_value_in_different_states():
    def family(p):
        return Plain(lambda x: x**2 + (p - 1) ** 2 - 0.49, lambda x: [[2 * x[0]]], 1)

    branch = continuation(family, [0.7], (0.0, 2.0), start=1.0, dynamics="flow")
    assert branch.closed
    for value in (0.3001, 0.300001, 0.5, 1.0, 1.6999):
        height = np.sqrt(0.49 - (value - 1) ** 2)
        assert np.sort(branch.crossings(family, value).ravel()) == pytest.approx([-height, height], abs=1e-10)


def test_crossings_of_a_pitchfork_are_its_two_arms():
    def family(p):
        return Plain(lambda x: p * x - x**3, lambda x: [[p - 3 * x[0] ** 2]], 1)

    fork = continuation(family, [0.0], (-1.0, 1.0), dynamics="flow").bifurcations[0]
    arms = continuation(family, fork, (-1.0, 1.0))
    for value in (0.5, 1e-2, 1e-4):
        assert np.sort(arms.crossings(family, value).ravel()) == pytest.approx(
            [-np.sqrt(value), np.sqrt(value)], abs=1e-9
        )


# --- starts and parameters ----------------------------------------------------------------------------------


def test_the_family_is_never_asked_outside_the_interval():
    asked = []

    def family(r):
        asked.append(r)
        return logistic_map(r=r)

    low, high = 2.9999995, 3.0000005
    branch = continuation(family, [2 / 3], (low, high))
    assert low <= min(asked) <= max(asked) <= high
    assert branch.bifurcation_kinds == ("flip",)
    assert branch.bifurcation_values == pytest.approx([3.0], abs=1e-12)


def test_slow_systems_are_followed_from_any_start():
    branch = continuation(lambda p: Plain(lambda x: 1e-11 * (p - x), lambda x: [[-1e-11]], 1), [0.0], (0.0, 1.0))
    assert branch.x[:, 0] == pytest.approx(branch.values, abs=1e-12)
    (found,) = continuation(lambda p: oscillator(p, rate=1e-12), [0.0, 0.0], (-1.0, 1.0), dynamics="flow").bifurcations
    assert found.kind == "Hopf"


def test_a_branch_can_start_at_its_fold():
    branch = continuation(
        lambda p: Plain(lambda x: p - x**2, lambda x: [[-2 * x[0]]], 1), [0.0], (-0.5, 1.0), start=0.0, dynamics="flow"
    )
    assert branch.values[[0, -1]] == pytest.approx([1.0, 1.0], abs=0)
    assert branch.x[0, 0] * branch.x[-1, 0] == pytest.approx(-1.0, abs=1e-12)


def test_conserved_quantities_are_named():
    matrix = np.array([[-1.0, 1.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match="conserved quantity"):
        continuation(lambda p: linear(matrix * (1 + p)), [0.0, 0.0], (0.0, 1.0))


def test_what_a_family_raises_names_the_parameter():
    def family(p):
        if p > 0.5:
            raise RuntimeError("too far")
        return Plain(lambda x: p - x, lambda x: [[-1.0]], 1)

    with pytest.raises(RuntimeError, match="too far") as raised:
        continuation(family, [0.0], (0.0, 1.0))
    assert "raised by family(0.5" in raised.value.__notes__[0]
