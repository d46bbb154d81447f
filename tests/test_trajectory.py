"""Trajectory: what follows from the saved states, and storage."""

import subprocess
import sys

import numpy as np
import pytest

import resdyn
from resdyn.systems import cyclic_weights, random_weights

RNG = np.random.default_rng(0)
X0 = RNG.normal(size=(6, 3))


@pytest.fixture
def layered():
    system = resdyn.ResidualMap(
        random_weights(3, depth=5), RNG.normal(size=(5, 3)), activation="tanh", step=0.5, damping=np.linspace(0, 1, 5)
    )
    return resdyn.simulate(system, X0, inputs=RNG.normal(size=(5, 6, 3)), noise=0.1, rng=0)


def test_residuals_are_what_each_layer_adds():
    system = resdyn.ResidualMap(cyclic_weights(), step=0.3, damping=0.2)
    trajectory = resdyn.simulate(system, X0, depth=8)
    assert np.allclose(0.3 * trajectory.residuals[:-1], np.diff(trajectory.x, axis=0), atol=1e-13)
    assert np.allclose(
        trajectory.cumulative, 0.3 * np.cumsum(trajectory.residuals, axis=0) - 0.3 * trajectory.residuals, atol=1e-12
    )


def test_residuals_of_layers_and_drives_are_what_each_adds(layered):
    system = layered.system
    silent = resdyn.simulate(system, X0, inputs=layered.inputs)
    assert np.allclose(0.5 * silent.residuals[:-1], np.diff(silent.x, axis=0), atol=1e-13)
    assert silent.residuals.shape == silent.x.shape


def test_activations_and_residuals_differ_by_damping_and_gain():
    system = resdyn.ResidualMap(cyclic_weights(), damping=0.5, gain=2.0)
    trajectory = resdyn.simulate(system, X0, depth=3)
    assert np.allclose(trajectory.residuals, -0.5 * trajectory.x + 2.0 * trajectory.activations)
    assert np.array_equal(trajectory.y, trajectory.activations)
    with pytest.raises(AttributeError, match="no weight matrix.*residuals"):
        _ = resdyn.simulate(resdyn.systems.henon(), [0.0, 0.0], depth=1).activations


def test_logistic_residuals_reach_y_through_their_state():
    system = resdyn.logistic_residuals(cyclic_weights(), step=0.1)
    trajectory = resdyn.simulate(system, system.from_residuals(RNG.uniform(size=(4, 3))), depth=5)
    assert np.allclose(trajectory.y, 1 / (1 + np.exp(-trajectory.x)))


def test_sample_is_the_trajectory_of_one_state(layered):
    one = layered.sample(2)
    assert one.batch == ()
    assert np.array_equal(one.x, layered.x[:, 2])
    assert np.array_equal(one.residuals, layered.residuals[:, 2])
    assert one.status.shape == ()
    with pytest.raises(IndexError, match=r"shape \(6,\), so sample takes 1"):
        layered.sample(1, 2)


def test_save_and_load_keep_everything(layered, tmp_path):
    path = tmp_path / "run.npz"
    layered.save(path)
    loaded = resdyn.Trajectory.load(path)
    for name in ("t", "x", "status", "x0", "layers", "inputs", "residuals", "activations"):
        assert np.array_equal(getattr(loaded, name), getattr(layered, name)), name
    assert (loaded.method, loaded.noise, loaded.system.name) == (layered.method, 0.1, layered.system.name)
    assert loaded.system.depth == 5
    assert repr(loaded) == repr(layered)


def test_logistic_residuals_are_stored_with_their_weights(tmp_path):
    system = resdyn.logistic_residuals(cyclic_weights(), [1.0, 2.0, 3.0], step=0.1)
    resdyn.simulate(system, X0, depth=2).save(tmp_path / "a.npz")
    loaded = resdyn.Trajectory.load(tmp_path / "a.npz").system
    assert isinstance(loaded, resdyn.LogisticResiduals)
    assert np.array_equal(loaded.W, system.W)
    assert np.array_equal(loaded.b, system.b)


def test_systems_that_are_code_are_asked_for(tmp_path):
    import sympy

    path = tmp_path / "henon.npz"
    henon = resdyn.systems.henon()
    trajectory = resdyn.simulate(henon, [0.1, 0.2], depth=4)
    trajectory.save(path)
    with pytest.raises(ValueError, match="'Hénon map'.*is code and not data.*system="):
        resdyn.Trajectory.load(path)
    assert np.array_equal(resdyn.Trajectory.load(path, system=henon).residuals, trajectory.residuals)
    for other in (resdyn.systems.linear(), resdyn.systems.henon(a=1.3)):
        with pytest.raises(ValueError, match="of another system than the one given"):
            resdyn.Trajectory.load(path, system=other)
    custom = resdyn.ResidualMap(np.eye(2), activation=sympy.sin(sympy.Symbol("z")))
    resdyn.simulate(custom, [0.1, 0.2], depth=4).save(path)
    with pytest.raises(ValueError, match="is code and not data"):
        resdyn.Trajectory.load(path)
    # an expression whose text is the name of a named activation is still an expression
    resdyn.simulate(resdyn.ResidualMap(np.eye(2), activation=sympy.Symbol("tanh")), [2.0, 4.0], depth=1).save(path)
    with pytest.raises(ValueError, match="is code and not data"):
        resdyn.Trajectory.load(path)


def test_stored_files_need_no_pickle(layered, tmp_path):
    layered.save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz", allow_pickle=False) as stored:
        assert all(not stored[name].dtype.hasobject for name in stored.files)


def test_failed_save_leaves_the_old_file_and_no_other(layered, tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    layered.save(path)
    before = path.read_bytes()

    def broken(*args, **kwargs):
        args[0].write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", broken)
    with pytest.raises(OSError, match="disk full"):
        layered.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("path", "error", "match"),
    [("run.txt", ValueError, "end it in .npz"), ("none/run.npz", FileNotFoundError, "does not exist; make it first")],
)
def test_save_refuses_bad_paths(layered, tmp_path, path, error, match):
    with pytest.raises(error, match=match):
        layered.save(tmp_path / path)


def test_load_refuses_what_is_not_a_trajectory(tmp_path):
    path = tmp_path / "x.npz"
    with pytest.raises(FileNotFoundError, match="no file"):
        resdyn.Trajectory.load(path)
    path.write_bytes(b"not a zip file")
    with pytest.raises(ValueError, match="not a readable .npz"):
        resdyn.Trajectory.load(path)
    np.savez(path, x=np.zeros(3))
    with pytest.raises(ValueError, match="not written by resdyn"):
        resdyn.Trajectory.load(path)
    np.savez(path, meta=np.array('{"kind": "Basins"}'))
    with pytest.raises(ValueError, match="holds a Basins, not a Trajectory"):
        resdyn.Trajectory.load(path)
    np.savez(path, x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="not a readable .npz"):
        resdyn.Trajectory.load(path)


def test_dataset_has_named_axes(layered):
    dataset = layered.to_dataset()
    assert dict(dataset.sizes) == {"t": 6, "batch": 6, "unit": 3}
    assert np.array_equal(dataset.x.sel(t=1.0).values, layered.x[2])
    assert dataset.attrs["method"] == "residual"
    two = resdyn.simulate(resdyn.ResidualMap(np.eye(3)), np.zeros((2, 4, 3)), depth=1).to_dataset()
    assert two.x.dims == ("t", "batch_0", "batch_1", "unit")
    assert layered.sample(0).to_dataset().x.dims == ("t", "unit")


def test_dataset_without_xarray_names_the_extra():
    code = (
        "import sys; sys.modules['xarray'] = None\n"
        "import numpy as np, resdyn\n"
        "resdyn.simulate(resdyn.ResidualMap(np.eye(2)), np.zeros(2), depth=1).to_dataset()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'pip install "resdyn[sweep]"' in done.stderr


def test_repr_says_what_happened(layered):
    assert repr(layered) == (
        "Trajectory of 'residual map' (residual map, noise 0.1): 6 states of 3 units, layers 0 to 5 (6 saved), "
        "t = 0 to 2.5; all finite."
    )
    flow = resdyn.simulate(resdyn.systems.pitchfork(), [0.1], depth=3, method="RK45", save="final")
    assert repr(flow) == (
        "Trajectory of 'pitchfork' (RK45 flow): one state of 1 unit, layers 3 to 3 (1 saved), "
        "t = 0.3 to 0.3; all finite."
    )


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_stored_result_may_be_read_by_whoever_may_read_other_new_files(layered, tmp_path):
    layered.save(tmp_path / "run.npz")
    (tmp_path / "other").write_bytes(b"")
    assert (tmp_path / "run.npz").stat().st_mode == (tmp_path / "other").stat().st_mode
