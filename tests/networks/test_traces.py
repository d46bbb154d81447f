"""Traces: the states that the network itself goes through, bounded in memory, whole files or none."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from resdyn import _memory
from resdyn.networks import ResidualNetwork, ResidualStage, Trace, resnet, unroll
from resdyn.networks.unrolling import UnitNorms

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((5, 3, 8, 8))
QUANTITIES = ("states", "residuals", "branches")


def made(order="post"):
    torch.manual_seed(0)
    return resnet(14, order=order, widths=(2, 3, 4)).double().eval()


@pytest.fixture(scope="module", params=["post", "pre"])
def net(request):
    return made(request.param)


@pytest.fixture(scope="module")
def unrolled(net):
    return unroll(net, IMAGES)


def same(one, other):
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_states_are_those_that_the_network_goes_through(net, unrolled):
    seen = []
    hooks = [
        unit.register_forward_hook(lambda module, inputs, output: seen.append((inputs[0], output)))
        for unit in net.units
    ]
    logits = net(torch.tensor(IMAGES)).detach().numpy()
    for hook in hooks:
        hook.remove()
    trace = unrolled.trace(IMAGES)
    assert len(trace.states) == len(unrolled.units) + 1
    assert np.abs(trace.logits - logits).max() < 1e-13
    for k, (before, after) in enumerate(seen):
        # batches are summed in the same order, whatever is around them
        assert np.abs(trace.states[k] - before.detach().numpy()).max() < 1e-13
        assert np.abs(trace.states[k + 1] - after.detach().numpy()).max() < 1e-13


def test_residuals_and_branches_are_those_of_the_units(unrolled):
    trace = unrolled.trace(IMAGES)
    for k, unit in enumerate(unrolled.units):
        before, after = trace.states[k], trace.states[k + 1]
        skip = unit.shortcut(before) if unit.changes_shape else before
        assert np.array_equal(trace.residuals[k], after - skip)
        assert np.array_equal(trace.branches[k], unit.branch(before))
    assert trace.entries.tolist() == [False, False, True, False, True, False]


def test_norms_are_there_whatever_is_kept(unrolled):
    full, bare = unrolled.trace(IMAGES), unrolled.trace(IMAGES, keep=())
    assert bare.states == bare.residuals == bare.branches == ()
    norms = bare.norms()
    for k, x in enumerate(full.states):
        assert norms.states[k] == pytest.approx(np.linalg.norm(x.reshape(5, -1), axis=1), rel=1e-14)
    for k, r in enumerate(full.residuals):
        assert norms.residuals[k] == pytest.approx(np.linalg.norm(r.reshape(5, -1), axis=1), rel=1e-14)
        assert norms.ratios[k] == pytest.approx(norms.residuals[k] / norms.states[k], rel=1e-15)
    assert np.array_equal(bare.logits, full.logits)
    assert same(unrolled.trace(IMAGES, keep="residuals").residuals, full.residuals)


def test_large_single_precision_states_have_norms():
    class Scaled(nn.Module):
        def forward(self, x):
            return 1e30 * x

    net = ResidualNetwork(
        nn.Flatten(), [ResidualStage(None, [Scaled()])], nn.Linear(3, 2), architecture={"name": "large"}
    )
    norms = unroll(net, np.ones((1, 3), dtype=np.float32)).trace(np.ones((1, 3))).norms()
    assert norms.states[1, 0] == pytest.approx(3**0.5 * 1e30, rel=1e-6)  # its square is beyond float32


@settings(max_examples=10, deadline=None)
@given(size=st.integers(1, 7), n=st.integers(1, 5))
def test_the_size_of_the_parts_does_not_matter(size, n):
    network = unroll(made(), IMAGES)
    whole, parts = network.trace(IMAGES[:n]), network.trace(IMAGES[:n], batch_size=size)
    for name in QUANTITIES:
        for one, other in zip(getattr(whole, name), getattr(parts, name), strict=True):
            assert np.allclose(one, other, rtol=0, atol=1e-12)


def test_a_reduction_is_kept_instead(unrolled):
    full = unrolled.trace(IMAGES)
    sizes = []

    def means(array):
        sizes.append(len(array))
        return array.mean(axis=(2, 3))

    reduced = unrolled.trace(IMAGES, reduce=means, batch_size=2)
    assert max(sizes) == 2
    for name in QUANTITIES:
        for one, other in zip(getattr(reduced, name), getattr(full, name), strict=True):
            assert np.abs(one - other.mean(axis=(2, 3))).max() < 1e-12
    assert reduced.norms().states == pytest.approx(full.norms().states, rel=1e-12)


def test_files_hold_the_same_and_are_mapped(unrolled, tmp_path):
    full, filed = unrolled.trace(IMAGES, batch_size=2), unrolled.trace(IMAGES, path=tmp_path / "trace", batch_size=2)
    assert all(isinstance(x, np.memmap) for x in filed.states)
    for trace in (filed, Trace.load(tmp_path / "trace")):
        assert same(trace.states, full.states)
        assert same(trace.residuals, full.residuals)
        assert same(trace.branches, full.branches)
        assert np.array_equal(trace.norms().ratios, full.norms().ratios)
        assert (trace.name, trace.units) == (full.name, full.units)
    names = sorted(file.name for file in (tmp_path / "trace").iterdir())
    assert "states_006.npy" in names
    assert not any(name.endswith(".tmp") for name in names)
    with pytest.raises(FileExistsError, match="is there already and is no empty folder"):
        unrolled.trace(IMAGES, path=tmp_path / "trace")


def test_a_run_that_breaks_leaves_no_file(unrolled, tmp_path):
    calls = []

    def breaks(array):
        calls.append(1)
        if len(calls) > 30:
            raise KeyboardInterrupt
        return array[:, 0, 0, :1]

    with pytest.raises(KeyboardInterrupt):
        unrolled.trace(IMAGES, reduce=breaks, batch_size=1, path=tmp_path / "trace")
    assert list((tmp_path / "trace").iterdir()) == []
    with pytest.raises(FileNotFoundError, match="holds no complete trace"):
        Trace.load(tmp_path / "trace")
    # and the folder can be used
    assert len(unrolled.trace(IMAGES, path=tmp_path / "trace").states) == 7


def test_what_cannot_fit_is_refused_before_it_is_run(unrolled, tmp_path, monkeypatch):
    monkeypatch.setattr(_memory, "available_bytes", lambda: 10_000)
    with pytest.raises(MemoryError, match=r"the trace of 5 inputs through 6 units needs .* pass path= .* reduce="):
        unrolled.trace(IMAGES)
    assert len(unrolled.trace(IMAGES, keep=()).logits) == 5
    import shutil
    from types import SimpleNamespace

    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10_000))
    with pytest.raises(OSError, match=r"on disk, but 9.8 KiB are free"):
        unrolled.trace(IMAGES, path=tmp_path / "trace")
    assert not (tmp_path / "trace").exists()


def test_bad_requests_say_what_was_needed(unrolled, tmp_path):
    with pytest.raises(ValueError, match="keep must be 'states' or 'residuals' or 'branches', but is 'state'"):
        unrolled.trace(IMAGES, keep=("state",))
    with pytest.raises(ValueError, match=r"reduce returned an array of shape \(\) .* one row for each of the 1 inputs"):
        unrolled.trace(IMAGES, reduce=np.mean)
    with pytest.raises(TypeError, match="reduce must be a function"):
        unrolled.trace(IMAGES, reduce="mean")
    with pytest.raises(ValueError, match="x is an empty batch"):
        unrolled.trace(IMAGES[:0])
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        unrolled.trace(IMAGES, batch_size=0)
    with pytest.raises(FileNotFoundError, match="does not exist; make it first"):
        unrolled.trace(IMAGES, path=tmp_path / "no" / "trace")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "trace.json").write_text(json.dumps({"kind": "Diary"}))
    with pytest.raises(ValueError, match="is not a readable trace"):
        Trace.load(tmp_path / "other")
    with pytest.raises(TypeError, match="leave system= out"):
        Trace.load(tmp_path / "other", system=1)


def test_tensors_are_traced_too(unrolled):
    assert same(unrolled.trace(torch.tensor(IMAGES)).states, unrolled.trace(IMAGES).states)


def test_it_is_stored_and_read(unrolled, tmp_path):
    for trace in (unrolled.trace(IMAGES), unrolled.trace(IMAGES, keep="states")):
        trace.save(tmp_path / "trace.npz")
        again = Trace.load(tmp_path / "trace.npz")
        assert repr(again) == repr(trace)
        for name in QUANTITIES:
            assert same(getattr(again, name), getattr(trace, name))
    norms = trace.norms()
    norms.save(tmp_path / "norms.npz")
    again = UnitNorms.load(tmp_path / "norms.npz")
    assert repr(again) == repr(norms)
    assert np.array_equal(again.residuals, norms.residuals)


def test_datasets_hold_what_the_trace_holds(unrolled):
    trace = unrolled.trace(IMAGES)
    stored = trace.to_dataset()
    assert np.array_equal(stored["states_3"], trace.states[3])
    assert np.array_equal(stored["residuals_2"], trace.residuals[2])
    assert stored["residual_norms"].dims == ("batch", "unit")
    assert list(stored["unit"].values) == list(trace.units)
    table = trace.norms().to_dataset()
    assert np.array_equal(table["ratios"], trace.norms().ratios)
    assert table.attrs == {"network": "resnet-14"}


def test_units_of_which_parts_are_unknown():
    class Own(nn.Module):
        def __init__(self, before, after):
            super().__init__()
            self.linear = nn.Linear(before, after)

        def forward(self, x):
            return torch.tanh(self.linear(x))

    net = ResidualNetwork(
        nn.Flatten(), [ResidualStage(Own(5, 3), [Own(3, 3)])], nn.Linear(3, 2), architecture={"name": "hand-made"}
    )
    trace = unroll(net, np.ones((1, 5))).trace(RNG.standard_normal((2, 5)))
    assert trace.branches == (None, None)
    assert trace.residuals[0] is None
    assert np.array_equal(trace.residuals[1], trace.states[2] - trace.states[1])
    assert np.isnan(trace.norms().residuals[0]).all()
    assert "most stages.0.blocks.0" in repr(trace.norms())
    assert "branches_0" not in trace.to_dataset()


def test_the_answers_in_words():
    trace = unroll(made(), IMAGES).trace(IMAGES)
    assert repr(trace).startswith(
        "Trace of 'resnet-14': 5 inputs through 6 units, 2 of which change the shape; states, residuals, branches ("
    )
    norms = trace.norms()
    median = np.median(norms.states, axis=1)
    assert f"median state norm {median[0]:.3g} → {median[-1]:.3g}" in repr(norms)
    _, rows = norms._table()
    assert [row[0] for row in rows] == list(trace.units)
    assert rows[2][2] == f"{np.median(norms.residuals[2]):.3g}"
