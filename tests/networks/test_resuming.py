import dataclasses
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn

from resdyn.data import ImageSet
from resdyn.networks.architectures.cifar_resnets import resnet
from resdyn.networks.architectures.dense import dense_resnet
from resdyn.networks.training import TrainingConfig, TrainingRun, fit, fitting, resuming
from resdyn.networks.training.storage import newest_checkpoint, write_checkpoint

# Everything that draws random numbers or carries a state: augmentation, dropout, batch norm, momentum or moments.
CONFIG = TrainingConfig(
    epochs=4, batch_size=16, learning_rate=0.05, schedule="one-cycle", pad=1, pad_mode="reflect", flip=True
)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def images(n=40):
    rng = np.random.default_rng(0)
    return ImageSet(rng.integers(0, 256, (n, 3, 8, 8), dtype=np.uint8), np.arange(n) % 4, tuple("abcd"), "noise")


def a_net(interpolation="in"):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = resnet(8, order="pre", widths=(4, 6, 8), classes=4, interpolation=interpolation)
        net.head.insert(-1, nn.Dropout(0.3))
    return net


class Interrupted(Exception):
    pass


def interrupt_after(epoch):
    def callback(now, net, metrics):
        if now == epoch:
            raise Interrupted

    return callback


def train(folder=None, config=CONFIG, **options):
    net = a_net()
    return net, fit(net, (images(), images(20)), config, folder=folder, progress=False, **options)


def trained_until(epoch, folder, config=CONFIG):
    with pytest.raises(Interrupted):
        train(folder, config, callbacks=[interrupt_after(epoch)])


def assert_same_bits(a, b):
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y), name


@pytest.fixture(scope="module")
def uninterrupted():
    torch.set_num_threads(1)
    return train()


@pytest.mark.parametrize("change", [{}, {"optimiser": "adam", "learning_rate": 1e-3}, {"precision": "bf16-mixed"}])
def test_an_interrupted_run_ends_in_the_bits_of_one_that_was_not(tmp_path, change):
    config = dataclasses.replace(CONFIG, **change)
    net, run = train(None, config)
    trained_until(2, tmp_path, config)
    torch.manual_seed(12345)  # what others do to the global generator in between
    again, resumed = train(tmp_path, config, resume=True)
    assert_same_bits(net, again)
    for name in ("loss", "training_accuracy", "accuracy", "learning_rate"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(run, name))


def test_a_run_killed_amid_an_epoch_ends_in_the_same_bits(tmp_path, uninterrupted):
    # after one pass to see what the net returns, 3 batches and 1 of testing make an epoch of 4 forward passes: the
    # eleventh is the second batch of the third epoch
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        import torch
        torch.set_num_threads(1)
        from test_resuming import CONFIG, a_net, fit, images
        net, calls = a_net(), []
        def kill(*_):
            calls.append(1)
            if len(calls) == 11:
                os.kill(os.getpid(), signal.SIGKILL)
        net.register_forward_hook(kill)
        fit(net, (images(), images(20)), CONFIG, folder={str(tmp_path)!r}, progress=False)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert newest_checkpoint(tmp_path).meta["epoch"] == 2
    net, run = train(tmp_path, resume=True)
    assert_same_bits(uninterrupted[0], net)
    np.testing.assert_array_equal(run.loss, uninterrupted[1].loss)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4


def test_two_checkpoints_are_kept_and_nothing_else_is_left(tmp_path):
    train(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["epoch-0003.safetensors", "epoch-0004.safetensors", "lock", "log.jsonl", "run.npz"]


def test_a_finished_run_is_read_and_not_trained_again(tmp_path, uninterrupted):
    train(tmp_path)
    net, seen = a_net(), []
    net.stem.register_forward_hook(lambda module, *_: seen.append(module.training))
    run = fit(net, (images(), images(20)), CONFIG, folder=tmp_path, resume=True, progress=False)
    assert not any(seen)  # only the accuracy for the card is measured
    assert_same_bits(uninterrupted[0], net)
    np.testing.assert_array_equal(run.loss, uninterrupted[1].loss)


def test_a_run_that_a_callback_ended_stays_ended(tmp_path):
    def stop(epoch, net, metrics):
        return epoch == 2

    net, run = train(tmp_path, callbacks=[stop])
    again, resumed = train(tmp_path, callbacks=[stop], resume=True)
    assert run.end == resumed.end == "callback"
    assert resumed.epochs == 2
    assert_same_bits(net, again)


def damaged(path, how):
    content = bytearray(path.read_bytes())
    if how == "one bit":
        content[-50] ^= 1
    path.write_bytes(b"" if how == "empty" else content[: len(content) // 2] if how == "half" else content)


@pytest.mark.parametrize("how", ["one bit", "half", "empty"])
def test_a_damaged_checkpoint_costs_one_epoch_and_is_named(tmp_path, uninterrupted, how):
    trained_until(3, tmp_path)
    damaged(tmp_path / "epoch-0003.safetensors", how)
    with pytest.warns(
        UserWarning, match=r"epoch-0003\.safetensors .*were passed over|passed over: epoch-0003"
    ) as caught:
        net, run = train(tmp_path, resume=True)
    assert any("goes on after epoch 2" in str(one.message) for one in caught)
    assert_same_bits(uninterrupted[0], net)
    np.testing.assert_array_equal(run.loss, uninterrupted[1].loss)


def test_if_all_checkpoints_are_damaged_the_run_does_not_silently_begin_anew(tmp_path):
    trained_until(2, tmp_path)
    for path in tmp_path.glob("*.safetensors"):
        damaged(path, "half")
    with pytest.raises(ValueError, match="all checkpoints in .* are damaged.*Delete them"):
        train(tmp_path, resume=True)


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, uninterrupted):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def forbid_large_files(epoch, net, metrics):
        if epoch == 2:
            # from now on the system breaks off in the middle of a checkpoint, as a full disk does
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))

    try:
        with pytest.raises(OSError, match=r"checkpoint of epoch 3 could not be written.*epoch 2 is safe.*resume=True"):
            train(tmp_path, callbacks=[forbid_large_files])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"]
    net, _ = train(tmp_path, resume=True)
    assert_same_bits(uninterrupted[0], net)


def test_a_run_is_not_overwritten_by_another(tmp_path):
    trained_until(1, tmp_path)
    with pytest.raises(ValueError, match="holds checkpoints of a run already; pass resume=True"):
        train(tmp_path)


def test_resuming_needs_a_folder_and_begins_where_there_is_none(tmp_path, uninterrupted):
    with pytest.raises(ValueError, match="folder is None"):
        train(resume=True)
    net, _ = train(tmp_path / "deep" / "new", resume=True)
    assert_same_bits(uninterrupted[0], net)


def test_the_run_of_another_config_net_or_data_is_refused(tmp_path):
    trained_until(1, tmp_path)
    options = {"folder": tmp_path, "resume": True, "progress": False}
    with pytest.raises(ValueError, match=r"config learning_rate: 0\.05 there, 0\.06 here"):
        fit(a_net(), images(), dataclasses.replace(CONFIG, learning_rate=0.06), **options)
    with pytest.raises(ValueError, match="architecture interpolation: 'in' there, None here"):
        fit(a_net(interpolation=None), images(), CONFIG, **options)
    with pytest.raises(ValueError, match="data samples: 40 there, 36 here; data sha256"):
        fit(a_net(), images(36), CONFIG, **options)


def test_a_run_goes_on_with_the_test_set_it_was_begun_with(tmp_path):
    trained_until(1, tmp_path)
    with pytest.raises(ValueError, match="test_data samples: 20 there, 24 here"):
        fit(a_net(), (images(), images(24)), CONFIG, folder=tmp_path, resume=True, progress=False)
    with pytest.raises(ValueError, match="test_data name: 'noise' there, None here"):
        fit(a_net(), images(), CONFIG, folder=tmp_path, resume=True, progress=False)


def rewritten(folder, change):
    """The newest checkpoint with other words about the run."""
    checkpoint = newest_checkpoint(folder)
    change(checkpoint.meta)
    write_checkpoint(checkpoint, folder)


def test_a_run_begun_by_earlier_versions_goes_on(tmp_path, uninterrupted):
    def forget(meta):
        del meta["run"]["test_data"], meta["processes"], meta["threads"], meta["commits"]

    trained_until(2, tmp_path)
    rewritten(tmp_path, forget)
    net, run = train(tmp_path, resume=True)
    assert_same_bits(uninterrupted[0], net)
    assert run.card["commits"] == [None, run.card["commit"]] or run.card["commit"] is None


def test_the_card_names_the_code_of_all_sessions(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "commit_of_code", lambda: "first")
    trained_until(2, tmp_path)
    monkeypatch.setattr(fitting, "commit_of_code", lambda: "second")
    _, run = train(tmp_path, resume=True)
    assert run.card["commits"] == ["first", "second"]
    monkeypatch.setattr(fitting, "commit_of_code", lambda: "third")
    _, run = train(tmp_path, resume=True)  # reads, and trains nothing
    assert run.card["commits"] == ["first", "second"]


def test_a_run_that_goes_on_with_more_threads_says_so(tmp_path):
    trained_until(2, tmp_path)
    torch.set_num_threads(2)
    with pytest.warns(UserWarning, match="begun with 1 threads and goes on with 2: its result is not that of"):
        train(tmp_path, resume=True)


def test_two_runs_in_one_folder_are_refused_while_one_of_them_lasts(tmp_path):
    errors = []

    def begin_another(epoch, net, metrics):
        if epoch == 1:
            for resume in (False, True):
                with pytest.raises(RuntimeError, match="another process trains in") as caught:
                    train(tmp_path, resume=resume)
                errors.append(caught.value)

    train(tmp_path, callbacks=[begin_another])
    assert len(errors) == 2
    train(tmp_path, resume=True)  # free again


def test_checkpoints_that_another_run_wrote_are_neither_deleted_nor_overtaken(tmp_path):
    other = tmp_path / "other"
    train(other)

    def bring(epoch, net, metrics):
        shutil.copy(other / "epoch-0004.safetensors", tmp_path / "run" / "epoch-0004.safetensors")

    with pytest.raises(RuntimeError, match=r"epoch 2 is not stored.*epoch-0004\.safetensors already"):
        train(tmp_path / "run", callbacks=[bring])
    names = sorted(path.name for path in (tmp_path / "run").glob("epoch*"))
    assert names == ["epoch-0001.safetensors", "epoch-0004.safetensors"]


def test_what_a_killed_process_left_half_written_is_removed_and_nothing_of_others(tmp_path, uninterrupted):
    trained_until(1, tmp_path)
    for name in ("epoch-0002.safetensors.0a1b.tmp", "log.jsonl.0a1b.tmp", "run.npz.0a1b.tmp", "mine.tmp"):
        (tmp_path / name).write_bytes(b"half")
    copy = tmp_path / "epoch-0001 (copy).safetensors"
    shutil.copy(tmp_path / "epoch-0001.safetensors", copy)
    net, _ = train(tmp_path, resume=True)
    assert_same_bits(uninterrupted[0], net)
    assert [path.name for path in tmp_path.glob("*.tmp")] == ["mine.tmp"]
    assert copy.exists()


@pytest.mark.parametrize(
    ("module", "name", "what"),
    [(resuming, "write_log", r"log\.jsonl of epoch 1"), (TrainingRun, "save", r"run\.npz")],
)
def test_a_disk_that_is_full_besides_the_checkpoint_costs_no_epoch(
    tmp_path, monkeypatch, uninterrupted, module, name, what
):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module, name, full)
        with pytest.raises(OSError, match=rf"{what} could not be written .*epoch \d is safe.*resume=True"):
            train(tmp_path)
    net, _ = train(tmp_path, resume=True)
    assert_same_bits(uninterrupted[0], net)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4


def test_a_folder_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(NotADirectoryError, match="a file is in its place"):
            train(folder)


def test_numbers_of_numpy_in_the_architecture_are_stored(tmp_path):
    net = dense_resnet(3, 3, 2, 3)
    net.architecture |= {"mine": np.int64(3), "array": np.arange(2.0)}
    data = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32), np.arange(12) % 3
    for resume in (False, True):
        run = fit(net, data, TrainingConfig(epochs=1), folder=tmp_path, resume=resume, progress=False)
    assert run.card["architecture"]["mine"] == 3
    assert run.card["architecture"]["array"] == [0.0, 1.0]


def test_a_run_that_goes_on_in_another_precision_says_so(tmp_path, monkeypatch):
    config = dataclasses.replace(CONFIG, precision="auto")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    trained_until(2, tmp_path, config)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    with pytest.warns(UserWarning, match="begun in precision 'bf16-mixed' and goes on in '32'"):
        train(tmp_path, config, resume=True)


def test_tied_weights_are_stored_and_come_back_tied(tmp_path):
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    data = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32), np.arange(12) % 3
    config = TrainingConfig(epochs=2, batch_size=4)
    fit(net, data, config, folder=tmp_path, progress=False)
    other = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    other[1].weight = other[0].weight
    fit(other, data, config, folder=tmp_path, resume=True, progress=False)
    assert_same_bits(net, other)
    assert other[1].weight is other[0].weight
