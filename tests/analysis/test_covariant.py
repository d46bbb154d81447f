"""Covariant vectors: eigenvectors, covariance itself, the tangent of the attractor, the flow."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import resdyn
from resdyn.analysis.exponents.covariant import CovariantVectors, covariant_vectors
from resdyn.systems import henon, lorenz, random_weights, standard_map


def linear_map(M):
    A = np.asarray(M, dtype=float) - np.eye(len(M))
    return resdyn.ResidualSystem(
        lambda t, x, p: x @ A.T,
        len(A),
        jacobian=lambda t, x, p: np.broadcast_to(A, (*x.shape[:-1], *A.shape)),
        name="linear map",
    )


def angle(v, w):
    """The angle between lines, along the last axis, with its digits."""
    apart, along = np.linalg.norm(v - w, axis=-1), np.linalg.norm(v + w, axis=-1)
    return 2 * np.arctan2(np.minimum(apart, along), np.maximum(apart, along))


def images(system, found):
    """What one block makes of the vectors at all saved layers but the last."""
    x, v = found.x[:-1], found.vectors[:-1]
    return v + system.step * np.einsum("...ij,...kj->...ki", system.jacobian(0.0, x), v)


# --- linear maps --------------------------------------------------------------------------------------


def test_eigenvectors_of_a_matrix_that_is_far_from_normal():
    M = np.array([[0.5, 3.0, 1.0], [0.0, 1.2, -2.0], [0.0, 0.0, -0.8]])
    found = covariant_vectors(linear_map(M), np.zeros(3), depth=4, transient=200, backward=200)
    values, vectors = np.linalg.eig(M)
    order = np.argsort(-np.abs(values))
    assert angle(found.vectors, vectors.T[order]).max() < 1e-13
    assert found.exponents == pytest.approx(np.log(np.abs(values[order])), abs=1e-13)
    assert found.local_exponents == pytest.approx(np.tile(found.exponents, (4, 1)), abs=1e-12)
    # and the angles are those of the eigenvectors
    assert found.angles[0, 0, 2] == pytest.approx(angle(*vectors.T[order][[0, 2]]), abs=1e-13)


def test_backward_convergence_is_at_the_difference_of_the_exponents():
    system = linear_map(np.array([[2.0, 1.0], [0.0, 1.5]]))
    exact = np.array([-2.0, 1.0]) / np.sqrt(5)  # (M − 1.5) v = 0
    errors = []
    for backward in (20, 30):
        found = covariant_vectors(system, [0.0, 0.0], depth=1, transient=200, backward=backward)
        errors.append(angle(found.vectors[0, 1], exact))
    # covariant-convergence: the ratio of the factors to the power of ten layers; the next order is the square of it
    assert errors[1] / errors[0] == pytest.approx(0.75**10, rel=0.01)


def test_settling_errors_are_those_of_the_vectors():
    system = linear_map(np.array([[2.0, 1.0], [0.0, 1.5]]))
    exact = np.array([[1.0, 0.0], [-2.0 / np.sqrt(5), 1.0 / np.sqrt(5)]])
    for transient, backward in ((0, 200), (20, 200), (200, 0), (200, 20)):
        first, ratios = transient < 200, []
        for seed in range(9):
            found = covariant_vectors(system, [0.0, 0.0], depth=3, transient=transient, backward=backward, rng=seed)
            error = angle(found.vectors[0], exact)[0] if first else angle(found.vectors[-1], exact)[1]
            ratios.append(found.settling_errors[0 if first else 1] / error)
        # the differences of two random errors of one size; a single one may be small by chance
        assert 0.2 < np.median(ratios) < 5
    settled = covariant_vectors(system, [0.0, 0.0], depth=3, transient=200, backward=200)
    assert settled.settling_errors.max() < 1e-14
    assert "Not settled" not in repr(settled)


def test_random_directions_are_said_to_be_random():
    found = covariant_vectors(henon(), [0.1, 0.1], depth=5, transient=0, backward=0)
    assert (found.settling_errors > 0.01).all()
    assert "Not settled: vectors 1, 2" in repr(found)
    # in a flow at the rates of the exponents
    flow = lorenz(step=0.02)
    one = covariant_vectors(flow, [1.0, 1.0, 20.0], depth=50, transient=0, backward=50, dynamics="flow")
    assert one.settling_errors[:2] == pytest.approx([np.pi / 2] * 2)
    two = covariant_vectors(flow, [1.0, 1.0, 20.0], depth=500, transient=50, backward=1500, dynamics="flow")
    gap = two.exponents[0] - two.exponents[1]
    assert two.settling_errors[0] == pytest.approx(np.arcsin(np.exp(-gap * 50 * 0.02)))
    assert two.settling_errors[2] < 1e-6
    assert np.isnan(covariant_vectors(flow, [1.0, 1.0, 20.0], depth=5, n_vectors=2, dynamics="flow").settling_errors[1])


def test_vectors_of_equal_exponents_never_settle():
    turn = linear_map(np.array([[0.0, -0.9, 0.3], [0.9, 0.0, 0.5], [0.0, 0.0, 0.4]]))
    found = covariant_vectors(turn, np.zeros(3), depth=5, transient=100, backward=100)
    assert found.settling_errors[:2].max() > 0.01
    assert found.settling_errors[2] < 1e-12


def test_what_is_below_rounding_counts_as_singular():
    found = covariant_vectors(linear_map([[1.0, 1.0], [0.0, 1e-20]]), [0.0, 0.0], depth=2, transient=5, backward=5)
    assert np.isneginf(found.exponents[1])


@pytest.mark.parametrize("dynamics", ["map", "flow"])
def test_no_orbits(dynamics):
    found = covariant_vectors(lorenz(step=0.01), np.empty((0, 3)), depth=4, transient=3, backward=2, dynamics=dynamics)
    assert found.vectors.shape == (5, 0, 3, 3)
    assert found.settling_errors.shape == (0, 3)
    assert "0 orbits" in repr(found)


def test_only_the_plane_of_a_complex_pair_is_covariant():
    M = np.array([[0.0, -0.9, 0.3], [0.9, 0.0, 0.5], [0.0, 0.0, 0.4]])
    found = covariant_vectors(linear_map(M), np.zeros(3), depth=5, transient=100, backward=100)
    plane = np.eye(3)[:2]
    for v in found.vectors:
        # a vector of the plane has no third component, and two span it
        assert np.abs(v[:2, 2]).max() < 1e-13
        assert abs(np.linalg.det(v[:2] @ plane.T)) > 1e-3
    real = np.linalg.eig(M)[1].T[np.argmin(np.abs(np.linalg.eigvals(M)))].real
    assert angle(found.vectors[:, 2], real).max() < 1e-12
    expected = np.arcsin(abs(real[2]))  # an eigenvector of length one, above the plane
    assert found.angle_between([0, 1], [2])[:, 0] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(seed=st.integers(0, 1000), turn=st.floats(0.0, 3.0))
def test_random_matrices(seed, turn):
    rng = np.random.default_rng(seed)
    S = rng.normal(size=(3, 3))
    if np.linalg.cond(S) > 30:
        return
    M = S @ np.diag([1.3, -0.7, 0.3]) @ np.linalg.inv(S)
    found = covariant_vectors(linear_map(M), np.zeros(3), depth=2, transient=150, backward=150)
    assert angle(found.vectors[1], (S / np.linalg.norm(S, axis=0)).T).max() < 1e-11  # rounding times cond(S)


# --- covariance ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "x0"),
    [
        (henon(), [[0.1, 0.1], [0.2, 0.0]]),
        (standard_map(K=6.0), [1.0, 2.0]),
        (resdyn.ResidualMap.leaky_rnn(random_weights(4, scale=3.0), leak=0.5), np.linspace(-0.5, 0.5, 4)),
        # by BLAS and NumPy
        (resdyn.ResidualMap.leaky_rnn(random_weights(12, scale=4.0), leak=0.5), np.linspace(-0.5, 0.5, 12)),
    ],
)
def test_blocks_carry_the_vectors_into_each_other(system, x0):
    found = covariant_vectors(system, x0, depth=100, transient=100, backward=0)
    image = images(system, found)
    # covariant by construction, whether they have converged or not; 1e-10 leaves room for the condition of the frames
    assert angle(image / np.linalg.norm(image, axis=-1, keepdims=True), found.vectors[1:]).max() < 1e-10
    growth = np.log(np.linalg.norm(image, axis=-1)) / system.step
    assert found.local_exponents == pytest.approx(growth, abs=1e-9)
    trajectory = resdyn.simulate(system, x0, depth=100, transient=100)
    assert found.x[:20] == pytest.approx(trajectory.x[:20], abs=1e-9)
    assert np.array_equal(found.t, trajectory.t)


def test_the_first_vector_is_tangent_to_the_henon_attractor():
    found = covariant_vectors(henon(), [0.1, 0.1], depth=20_000, transient=1000)
    rng = np.random.default_rng(0)
    off = []
    for i in rng.integers(1000, 20_000, size=40):
        distance = np.linalg.norm(found.x - found.x[i], axis=1)
        # points beside this one on the same leaf have the same direction
        near = np.flatnonzero((distance < 3e-3) & (angle(found.vectors[:, 0], found.vectors[i, 0]) < 0.05))
        near = near[near != i]
        if near.size < 3:
            continue
        chords = (found.x[near] - found.x[i]) / distance[near, None]
        off.append(np.quantile(angle(chords, found.vectors[i, 0]), 0.1))
    assert len(off) > 20
    assert np.median(off) < 0.02  # leaves are 1e-4 and less apart, and bend
    # the second vector is not
    assert np.median(found.angles[:, 0, 1]) > 0.3


def test_exponents_are_those_of_the_spectrum_and_the_mean_growth():
    found = covariant_vectors(henon(), [0.1, 0.1], depth=20_000, transient=1000)
    spectrum = resdyn.lyapunov_spectrum(henon(), [0.1, 0.1], depth=20_000, transient=1000)
    assert found.exponents == pytest.approx(spectrum.exponents, abs=1e-9)
    # growth of a vector and the stretching of its frame differ by logarithms of angles at both ends
    assert found.local_exponents.mean(axis=0) == pytest.approx(found.exponents, abs=20 / 20_000)
    assert found.exponents.sum() == pytest.approx(np.log(0.3), abs=1e-12)  # henon-exponents


def test_the_standard_map_backward_in_time():
    # its inverse exchanges the directions: the second vector of the map is the first of the inverse, at the same state
    K = 6.0
    forward = covariant_vectors(standard_map(K=K), [1.0, 2.0], depth=20, transient=30, backward=40)
    middle, at = forward.x[10], 10

    def back(t, y, p):
        x, m = y[..., 0], y[..., 1]
        before = x - m
        return np.stack([-m, -K * np.sin(before)], axis=-1)

    x = forward.x[at + 8]  # eight steps ahead: as many as keep the digits of an orbit with multipliers near 6
    v, inverse = np.array([0.3, 0.8]), resdyn.ResidualSystem(back, 2)
    for _ in range(8):
        v = v + inverse.jacobian(0.0, x) @ v
        v /= np.linalg.norm(v)
        x = x + back(0.0, x, None)
    assert x == pytest.approx(middle, abs=1e-6)
    assert angle(v, forward.vectors[at, 1]) < 1e-5


# --- flows --------------------------------------------------------------------------------------------


def test_the_second_vector_of_lorenz_is_along_the_flow():
    system = lorenz(step=0.02)
    found = covariant_vectors(
        system, [1.0, 1.0, 20.0], depth=3000, transient=1500, backward=1500, dynamics="flow", rtol=1e-9, atol=1e-9
    )
    f = system.residual(0.0, found.x)
    off = angle(found.vectors[:, 1], f / np.linalg.norm(f, axis=-1, keepdims=True))
    assert off.max() < 1e-3  # converged at e^{−0.9·30}, and the tolerance over the time it takes to forget
    # and its growth is that of the speed
    speed = np.diff(np.log(np.linalg.norm(f, axis=-1))) / system.step
    assert found.local_exponents[:, 1] == pytest.approx(speed, abs=0.01)
    assert found.exponents.sum() == pytest.approx(-(10 + 1 + 8 / 3), rel=1e-6)
    # the stable direction stays away from the plane of the other two (hyperbolicity of the Lorenz attractor)
    assert found.angle_between([0, 1], [2]).min() > 0.1


def test_a_flow_without_a_kernel_is_the_same():
    python = resdyn.ResidualSystem(
        lambda t, x, p: np.stack([-0.2 * x[..., 0] + x[..., 1], -x[..., 1]], axis=-1), 2, step=0.1
    )
    found = covariant_vectors(python, [0.1, 0.1], depth=10, transient=300, backward=300, dynamics="flow")
    # eigenvectors (1, 0) and (1, −0.8) of the Jacobian
    assert angle(found.vectors[:, 1], np.array([1.0, -0.8]) / np.sqrt(1.64)).max() < 1e-5
    assert found.exponents == pytest.approx([-0.2, -1.0], abs=1e-5)


def test_what_a_flow_cannot_resolve_is_unknown():
    stiff = resdyn.ResidualSystem(lambda t, x, p: x * np.array([-1.0, -200.0]), 2, step=0.5)
    found = covariant_vectors(stiff, [0.1, 0.1], depth=5, transient=5, backward=5, dynamics="flow")
    assert found.exponents[0] == pytest.approx(-1.0, abs=1e-4)
    assert np.isnan(found.exponents[1])
    assert np.isnan(found.vectors[:, 1]).all()


# --- what must not change them ------------------------------------------------------------------------


def test_saving_fewer_layers_keeps_the_others():
    whole = covariant_vectors(henon(), [0.1, 0.1], depth=50, transient=20, backward=20)
    some = covariant_vectors(henon(), [0.1, 0.1], depth=50, transient=20, backward=20, save=8)
    kept = [0, 8, 16, 24, 32, 40, 48, 50]
    assert np.array_equal(some.vectors, whole.vectors[kept])
    assert np.array_equal(some.t, whole.t[kept])
    mean = [whole.local_exponents[a:b].mean(axis=0) for a, b in pairwise(kept)]
    assert some.local_exponents == pytest.approx(np.array(mean), abs=1e-12)


def test_fewer_vectors_are_the_first_ones():
    system = lorenz(step=0.005)  # as a map
    whole = covariant_vectors(system, [1.0, 1.0, 20.0], depth=100, transient=6000, backward=6000)
    two = covariant_vectors(system, [1.0, 1.0, 20.0], depth=100, transient=6000, backward=6000, n_vectors=2)
    assert two.vectors.shape == (101, 2, 3)
    assert angle(two.vectors, whole.vectors[:, :2]).max() < 1e-6  # converged, from other random frames


def test_the_batch_is_its_orbits_one_by_one():
    starts = np.random.default_rng(0).uniform(-0.1, 0.1, size=(3, 7, 2))
    whole = covariant_vectors(henon(), starts, depth=30, transient=20, backward=20, threads=2)
    one = covariant_vectors(henon(), starts[2, 5], depth=30, transient=20, backward=20)
    part = whole.sample(2, 5)
    for name in ("x", "vectors", "exponents", "local_exponents", "settling_errors", "status", "angles"):
        assert np.array_equal(getattr(part, name), getattr(one, name)), name
    assert np.array_equal(whole.angle_between([0], [1])[:, 2, 5], one.angle_between([0], [1]))


def test_stretches_do_not_show(monkeypatch):
    import resdyn.analysis.exponents.frames as frames

    whole = covariant_vectors(henon(), [0.1, 0.1], depth=50, transient=20, backward=20)
    monkeypatch.setattr(frames, "_LONGEST", 7)
    assert np.array_equal(
        covariant_vectors(henon(), [0.1, 0.1], depth=50, transient=20, backward=20).vectors, whole.vectors
    )


def test_a_diverging_orbit_does_not_touch_the_others():
    found = covariant_vectors(henon(), [[0.1, 0.1], [50.0, 0.0]], depth=30, transient=20, backward=20)
    alone = covariant_vectors(henon(), [0.1, 0.1], depth=30, transient=20, backward=20)
    assert found.status.tolist() == [0, resdyn.Status.DIVERGED]
    assert np.array_equal(found.vectors[:, 0], alone.vectors)
    assert np.isnan(found.vectors[:, 1]).all()
    assert np.isnan(found.angle_between([0], [1])[:, 1]).all()


@pytest.mark.parametrize("compiled", [True, False])
def test_a_singular_map_has_the_vectors_before(compiled):
    a = 1.4  # with b = 0 the second unit forgets everything
    system = resdyn.from_symbolic(henon(b=0.0).symbolic, params={"a": a, "b": 0.0})
    if not compiled:
        formulas = system
        system = resdyn.ResidualSystem(lambda t, x, p: formulas.residual(t, x), 2)
    found = covariant_vectors(system, [0.1, 0.0], depth=20, transient=20, backward=20)
    assert np.isfinite(found.vectors[:, 0]).all()
    if compiled:
        assert np.isneginf(found.exponents[1])
        assert np.isnan(found.vectors[:, 1]).all()
        assert np.isnan(found.local_exponents[:, 1]).all()
    assert found.vectors[:, 0] == pytest.approx(
        np.array([[1.0, 0.0]] * 21) * np.sign(found.vectors[:, 0, :1]), abs=1e-9
    )


# --- angles -------------------------------------------------------------------------------------------


def test_angles_between_subspaces():
    rng = np.random.default_rng(4)
    S = rng.normal(size=(5, 5))
    M = S @ np.diag([1.4, 1.1, 0.8, 0.5, 0.3]) @ np.linalg.inv(S)
    found = covariant_vectors(linear_map(M), np.zeros(5), depth=1, transient=400, backward=400)
    from scipy.linalg import subspace_angles

    expected = subspace_angles(S[:, :2], S[:, 2:])[::-1]
    assert found.angle_between([0, 1], [2, 3, 4])[0] == pytest.approx(expected, abs=1e-10)
    assert found.angle_between([2, 3, 4], [0, 1])[0] == pytest.approx(expected, abs=1e-10)
    assert found.angle_between([1], [3])[:, 0] == pytest.approx(found.angles[:, 1, 3], abs=1e-10)


def test_small_angles_keep_their_digits():
    small = 1e-9
    v = np.array([[[1.0, 0.0], [np.cos(small), np.sin(small)]]])
    found = covariant_vectors(henon(), [0.1, 0.1], depth=1, transient=0, backward=0)
    changed = CovariantVectors(**{**vars(found), "vectors": np.repeat(v, 2, axis=0), "t": found.t})
    assert changed.angles[0, 0, 1] == pytest.approx(small, rel=1e-6)
    assert changed.angle_between([0], [1])[0, 0] == pytest.approx(small, rel=1e-6)


@pytest.mark.parametrize("group", [[], [0, 0], [2]])
def test_groups_are_of_vectors_that_exist(group):
    found = covariant_vectors(henon(), [0.1, 0.1], depth=1, transient=0, backward=0)
    with pytest.raises(ValueError, match="indices of the 2 vectors"):
        found.angle_between([0], group)


# --- the result ---------------------------------------------------------------------------------------


def test_saved_loaded_and_as_a_dataset(tmp_path):
    found = covariant_vectors(henon(), [[0.1, 0.1], [0.2, 0.1]], depth=20)
    found.save(tmp_path / "vectors.npz")
    again = CovariantVectors.load(tmp_path / "vectors.npz", system=henon())
    assert repr(again) == repr(found)
    assert np.array_equal(again.vectors, found.vectors)
    data = found.to_dataset()
    assert data["vectors"].dims == ("t", "batch", "exponent", "unit")
    assert data["local_exponents"].sizes["interval"] == 20


def test_in_words():
    found = covariant_vectors(henon(), [0.1, 0.1], depth=2000)
    text = repr(found)
    assert text.startswith("CovariantVectors of 'Hénon map' (map): 2 of 2 vectors at 2001 layers, t = 1000 to 3000")
    assert "Angle between vectors 1 and 2" in text
    assert "; 2 orbits, 1 lost." in repr(covariant_vectors(henon(), [[0.1, 0.1], [50.0, 0.0]], depth=20))
    assert "the orbit diverged" in repr(covariant_vectors(henon(), [50.0, 0.0], depth=20))


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"n_vectors": 3}, ValueError, "2 vectors at most"),
        ({"depth": 0}, ValueError, "depth must be at least 1"),
        ({"system": None}, TypeError, "must be a resdyn System"),
        ({"save": 0}, ValueError, "save must be at least 1"),
        ({"backward": -1}, ValueError, "backward must be at least 0"),
        ({"method": "RK45"}, ValueError, "belongs to the integration of a flow"),
        ({"depth": 10**12}, MemoryError, "ask for fewer layers"),
        ({"system": resdyn.ResidualMap.residual(random_weights(2, depth=3))}, ValueError, "repeats one and the same"),
    ],
)
def test_refusals_say_what_was_needed(change, error, match):
    arguments = {"system": henon(), "x0": [0.1, 0.1], "depth": 10} | change
    with pytest.raises(error, match=match):
        covariant_vectors(arguments.pop("system"), arguments.pop("x0"), **arguments)


def test_one_orbit_is_picked_by_as_many_indices_as_axes():
    with pytest.raises(IndexError, match="sample takes 0 indices"):
        covariant_vectors(henon(), [0.1, 0.1], depth=2).sample(1)
