"""The plans, and a run of the smallest one that is stopped and goes on."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from experiments import train, train_one
from experiments.train import PLANS, Arguments, Net, RunningElsewhere, _held, main
from resdyn.data import image_set
from resdyn.networks import PRESETS, TrainingRun, accuracy, build, load, save

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'theory'}"}


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Nothing is written into the checkout."""
    for name in ("RUNNING", "SHIPPED", "LARGE"):
        monkeypatch.setattr(train, name, tmp_path / name.lower())
    return tmp_path


@pytest.mark.parametrize(
    "net", {net.file_name: net for plan in PLANS.values() for net in plan}.values(), ids=lambda n: n.file_name
)
def test_every_net_of_the_plans_can_be_built_and_small_ones_ship(net):
    with torch.device("meta"):
        module = build(dict(net.architecture))
    assert net.preset in PRESETS
    megabytes = sum(p.numel() for p in module.parameters()) * 2 / 1e6  # float16
    if "residual_" in net.architecture["name"]:
        assert megabytes < 0.5 or not net.ships
    else:
        assert net.ships == (megabytes < 10 and net.preset != "smoke")


def test_the_order_of_the_plans_is_that_of_value():
    names = [net.file_name for net in PLANS["laptop"]]
    three = ["resnet20-cifar10", "in-resnet20-cifar10", "lambda-in-resnet20-cifar10"]
    assert names[:6] == [f"{name}-seed{seed}" for seed in (0, 1) for name in three]
    assert all(len({net.file_name for net in plan}) == len(plan) for plan in PLANS.values())
    assert [net.file_name for net in PLANS["gpu"]][:5] == [
        "resnet56-cifar10-seed0",
        "in-resnet56-cifar10-seed0",
        "resnet110-cifar10-seed0",
        "lambda-in-resnet56-cifar10-seed0",
        "in-resnet110-cifar10-seed0",
    ]
    names = {net.file_name for net in PLANS["gpu"]}
    three = ["resnet{}-cifar10", "in-resnet{}-cifar10", "lambda-in-resnet{}-cifar10"]
    assert {f"{name.format(n)}-seed{s}" for name in three for n in (56, 110) for s in (0, 1, 2)} <= names
    # what ships fits into 20 MB
    shipped = [net for net in PLANS["laptop"] if net.ships]
    with torch.device("meta"):
        sizes = [sum(p.numel() for p in build(dict(net.architecture)).parameters()) * 2 for net in shipped]
    assert sum(sizes) < 20e6


@pytest.mark.parametrize("net", [net for net in PLANS["laptop"] if "residual" in net.name], ids=lambda n: n.file_name)
def test_nets_of_many_blocks_ship_in_half_a_megabyte(net, tmp_path):
    save(build(dict(net.architecture)), tmp_path / "net.safetensors", dtype=torch.float16)
    # names and card are a part of the file; what training adds to the card takes a few kilobytes
    assert (tmp_path / "net.safetensors").stat().st_size < 0.5e6 - 20e3


@pytest.mark.parametrize("plan", ["laptop", "gpu"])
def test_the_depths_of_hauser2019_and_a_pair_of_resnexts_come_last(plan):
    nets = PLANS[plan][-(3 * 5 + 2 * 4 + 2 if plan == "laptop" else 7 + 7 + 2) :]
    blocks = {"residual_mlp": 3 * [6, 12, 25, 50, 100], "residual_cnn": 2 * [6, 12, 25, 40]}
    if plan == "gpu":
        blocks = {name: [6, 12, 25, 50, 100, 200, 300] for name in blocks}
    for name, expected in blocks.items():
        family = [net for net in nets if net.architecture["name"] == name]
        assert [net.architecture["blocks"] for net in family] == expected
        assert {net.data for net in family} == {"mnist" if name == "residual_mlp" else "cifar10"}
    plain, damped = nets[-2:]
    assert (plain.architecture["depth"], plain.architecture.get("interpolation")) == (29, None)
    assert damped.architecture == {**plain.architecture, "interpolation": "in"}


@pytest.mark.parametrize(
    "net",
    [net for net in PLANS["laptop"] if net.architecture["name"] in ("resnext", "residual_cnn")],
    ids=lambda n: n.file_name,
)
def test_an_image_costs_at_most_60_million_products(net):
    with torch.device("meta"):
        module, image = build(dict(net.architecture)).eval(), torch.empty(1, 3, 32, 32)
    with FlopCounterMode(display=False) as counter:
        module(image)
    # a product and a sum count as two
    assert 1e6 < counter.get_total_flops() / 2 <= 60e6


def test_no_two_plans_train_different_nets_under_one_name():
    nets = [net for plan in PLANS.values() for net in plan]
    assert all(one == other for one in nets for other in nets if one.file_name == other.file_name)


def test_curves_are_drawn_from_all_epochs_of_a_run_and_nothing_else_is_left(places):
    net = PLANS["smoke"][0]
    net.folder.mkdir(parents=True)
    (net.folder / "log.jsonl").write_text("{}")
    run = TrainingRun(
        loss=np.array([2.0, 1.0, 0.5]),
        training_accuracy=np.array([0.2, 0.5, 0.7]),
        accuracy=np.array([0.3, 0.6, 1.0]),
        learning_rate=np.array([0.1, 0.05, 0.0]),
        seconds=np.ones(3),
        end="complete",
        card={},
    )
    train.leave_curves(net, run)
    assert [path.name for path in net.folder.iterdir()] == ["curves.png"]
    picture = matplotlib.image.imread(net.folder / "curves.png")
    assert picture.shape[1] > picture.shape[0] > 300  # three panels side by side
    assert picture[..., :3].min() < 0.5 < picture[..., :3].mean()  # dark lines on light ground
    assert "matplotlib.pyplot" not in sys.modules or not matplotlib.pyplot.get_fignums()


def test_a_run_that_is_out_of_time_goes_on_and_is_stored_in_half_precision(places, capsys):
    net = PLANS["smoke"][0]
    assert not train.train(net, deadline=0.0)  # the first epoch is finished, since it was begun
    assert not net.target.exists()
    main(Arguments(plan="smoke", list=True))
    assert "open, 1 of 2 epochs done" in capsys.readouterr().out
    assert train.train(net, deadline=time.time() + 600)
    assert train._state(net) == "done"
    assert [path.name for path in net.folder.iterdir()] == ["curves.png"]
    stored = load(net.target)
    assert stored.card["accuracy"] == accuracy(stored, image_set("digits", "test"))._asdict()
    assert stored.card["epochs"] == 2
    assert stored.card["accuracy_before_rounding"]["total"] == 360
    lines = [json.loads(line) for line in net.target.with_suffix(".log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert main(Arguments(plan="smoke", budget=0.01)) == 0  # nothing left to do


def test_the_same_seed_gives_the_same_net_however_it_was_interrupted(places):
    net = PLANS["smoke"][0]
    train.train(net, deadline=time.time() + 600)
    whole = load(net.target)
    net.target.unlink()
    train.train(net, deadline=0.0)
    train.train(net, deadline=time.time() + 600)
    again = load(net.target)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))


def test_a_run_is_trained_by_one_process_at_a_time(places):
    net = PLANS["smoke"][0]
    with _held(net) as free:
        assert free
        assert train._state(net) == "running"
        with pytest.raises(RunningElsewhere, match=net.file_name):
            train.train(net, deadline=time.time() + 600)
    assert train._state(net) == "open"


def test_a_net_that_another_process_trains_is_no_failure(places, monkeypatch, capsys):
    script = f"raise SystemExit({train.RUNNING_ELSEWHERE})"
    monkeypatch.setattr(train, "_started", lambda *_: subprocess.Popen([sys.executable, "-c", script]))
    assert main(Arguments(plan="smoke", budget=1)) == 0
    assert "smoke-digits-seed0: is being trained by another process" in capsys.readouterr().out
    net = PLANS["smoke"][0]
    with _held(net):
        monkeypatch.setattr(train_one, "end_with_parent", lambda: None)
        assert train_one.main("smoke", net.file_name, "0") == train.RUNNING_ELSEWHERE


def test_a_worker_is_stopped_at_the_end_of_the_budget(places, monkeypatch):
    workers = []

    def started(*_):
        workers.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        return workers[-1]

    monkeypatch.setattr(train, "_started", started)
    assert main(Arguments(plan="smoke", budget=0.01)) == 0
    assert [worker.returncode for worker in workers] == [-signal.SIGTERM]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_command_that_is_asked_to_end_stops_its_workers_and_says_what_is_open(places, number, code):
    script = """
        import pathlib, subprocess, sys
        from experiments import train
        for name in ("RUNNING", "SHIPPED", "LARGE"):
            setattr(train, name, pathlib.Path(sys.argv[1]) / name)
        def started(*_):
            work = "import time; print('at work', flush=True); time.sleep(600)"
            return subprocess.Popen([sys.executable, "-c", work])
        train._started = started
        sys.exit(train.main(train.Arguments(plan="smoke", budget=10)))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(places)]
    with subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"at work\n"
        process.send_signal(number)
        # the worker holds the same pipes: both end only when it is gone
        out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == b""
    assert out.split() == [b"open", b"smoke-digits-seed0"]


def test_a_worker_ends_when_the_command_was_killed():
    worker = "from experiments.train_one import *; end_with_parent(0.05); print('at work', flush=True); time.sleep(600)"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {worker!r}])"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"at work\n"
        process.kill()
        assert process.communicate(timeout=60) == (b"", None)  # the pipe is closed by the end of the worker


def test_the_plan_for_a_gpu_does_not_begin_on_a_cpu_unasked(places, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    begun = []
    monkeypatch.setattr(train, "_work", lambda *_: begun.append(1) or 0)
    with pytest.raises(SystemExit, match="torch sees no GPU here; pass --device cpu"):
        main(Arguments(plan="gpu", budget=0))
    assert not begun
    assert main(Arguments(plan="gpu", budget=0, device="cpu")) == 0
    assert main(Arguments(plan="gpu", list=True)) == 0
    assert begun == [1]


def test_the_command_ends_at_its_budget_with_what_is_open(tmp_path):
    # no time at all: nothing is begun, and the list says so
    command = [
        sys.executable,
        "-m",
        "experiments.train",
        "--plan",
        "laptop",
        "--budget",
        "0",
        "--only",
        "resnet20-digits",
    ]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "resnet20-digits-seed0"


def test_a_worker_that_fails_makes_the_command_fail(places, monkeypatch, capsys):
    monkeypatch.setattr(train, "_started", lambda *_: subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]))
    assert main(Arguments(plan="smoke", budget=1)) == 1
    assert "smoke-digits-seed0: failed with code 3" in capsys.readouterr().out


def test_names_and_workers_are_checked(places):
    with pytest.raises(SystemExit, match="no net of the plan 'smoke' begins with .*there are smoke-digits-seed0"):
        main(Arguments(plan="smoke", only=("resnet56",)))
    with pytest.raises(SystemExit, match="workers is 0"):
        main(Arguments(plan="smoke", workers=0))


def test_files_are_named_by_net_and_seed():
    net = Net("a-net", {}, seed=3)
    assert net.target.name == "a-net-seed3.safetensors"
    assert net.folder.name == "a-net-seed3"
