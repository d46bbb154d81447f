"""Train every net that the papers need: resumable, ordered by value, within a budget of time.

    python -m experiments.train --plan laptop --budget 120 --workers 2     two hours on two cores
    python -m experiments.train --plan laptop --list                       what is done, running, open
    python -m experiments.train --plan smoke                               a small net in seconds

Each worker is a process with one thread. Runs in progress live in ``results/training/``, with a checkpoint per epoch; a
run that was stopped in any way goes on with the next call. Finished nets go to ``resdyn/networks/weights/`` as float16,
with their log beside; nets too large to ship, to ``results/networks/``. Of the run its curves are left,
``curves.png``. The order is that of the plan. The plans "gpu"
and "gpu-cifar100" ask for a GPU, unless ``--device cpu`` says otherwise.
"""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from experiments._harness.nets import LARGE, SHIPPED
from resdyn._locks import is_locked, locked

ROOT = Path(__file__).parents[1]
RUNNING = ROOT / "results" / "training"
CURVES = "curves.png"
# exit codes of a worker
OUT_OF_TIME = 75
RUNNING_ELSEWHERE = 76


class RunningElsewhere(Exception):
    """Another process trains this net."""


class Interrupted(BaseException):
    """A signal asks to stop; its number."""


@dataclass(frozen=True)
class Net:
    """One net of a plan.

    Attributes
    ----------
    name : str
        With the seed, the name of its file.
    architecture : mapping
        What ``resdyn.networks.build`` makes it from.
    data : str
    preset : str
    seed : int
        Of the initial weights and of training.
    changes : mapping
        What differs from the preset.
    ships : bool
        Whether it is small enough to travel with the package.
    """

    name: str
    architecture: Mapping[str, Any]
    data: str = "cifar10"
    preset: str = "laptop"
    seed: int = 0
    changes: Mapping[str, Any] = field(default_factory=dict)
    ships: bool = True

    @property
    def file_name(self) -> str:
        """Without its ending."""
        return f"{self.name}-seed{self.seed}"

    @property
    def target(self) -> Path:
        """Where the trained net goes."""
        return (SHIPPED if self.ships else LARGE) / f"{self.file_name}.safetensors"

    @property
    def folder(self) -> Path:
        """Where the run lives."""
        return RUNNING / self.file_name

    @property
    def lock(self) -> Path:
        """Held from the first epoch until the net is stored and the folder deleted, so it lies beside the folder."""
        return RUNNING / f"{self.file_name}.lock"


def _interpolated(
    depth: int,
    seed: int,
    preset: str,
    which: tuple[str | None, ...],
    data: str = "cifar10",
    classes: int = 10,
    **changes: Any,
) -> list[Net]:
    names = {None: "resnet", "in": "in-resnet", "lambda-in": "lambda-in-resnet"}
    return [
        Net(
            f"{names[kind]}{depth}-{data}",
            {
                "name": "resnet",
                "depth": depth,
                "order": "pre",
                **({"classes": classes} if classes != 10 else {}),
                **({"interpolation": kind} if kind else {}),
            },
            data,
            preset,
            seed=seed,
            changes=changes,
        )
        for kind in which
    ]


def _dense(data: str, inputs: int, units: int, *, seed: int = 0, ships: tuple[bool, bool] = (True, True)) -> list[Net]:
    common = {"name": "dense_resnet", "inputs": inputs, "units": units, "depth": 15, "classes": 10}
    return [
        Net(f"dense-{word}-{data}", {**common, "shared": shared}, data, data, seed, ships=one)
        for word, shared, one in zip(("shared", "layerwise"), (True, False), ships, strict=True)
    ]


def _residual_mlps(blocks: tuple[int, ...], units: int, **rest: Any) -> list[Net]:
    return [
        Net(
            f"residual-mlp{n}x{units}-mnist",
            {"name": "residual_mlp", "blocks": n, "inputs": 784, "units": units, "classes": 10},
            "mnist",
            "mnist",
            **rest,
        )
        for n in blocks
    ]


def _residual_cnns(blocks: tuple[int, ...], width: int, preset: str, **rest: Any) -> list[Net]:
    return [
        Net(
            f"residual-cnn{n}x{width}-cifar10",
            {"name": "residual_cnn", "blocks": n, "channels": 3, "width": width, "classes": 10},
            preset=preset,
            **rest,
        )
        for n in blocks
    ]


def _resnexts(cardinality: int, width: int, preset: str, outside: list[int] | None = None, **rest: Any) -> list[Net]:
    common = {"name": "resnext", "depth": 29, "cardinality": cardinality, "width": width, "order": "pre"}
    if outside:
        common["outside"] = outside
    return [
        Net(
            f"{word}29-{cardinality}x{width}-cifar10",
            {**common, **({"interpolation": kind} if kind else {})},
            preset=preset,
            **rest,
        )
        for word, kind in (("resnext", None), ("in-resnext", "in"))
    ]


_THREE = (None, "in", "lambda-in")
_DIGITS = [
    *_dense("digits", 64, 64),
    Net(
        "mlp-digits",
        {"name": "mlp", "inputs": 64, "units": 64, "depth": 4, "classes": 10, "shared": False},
        "digits",
        "digits",
    ),
    Net(
        "resnet20-digits",
        {"name": "resnet", "depth": 20, "order": "pre", "widths": [8, 16, 32], "channels": 1},
        "digits",
        "digits",
    ),
]
_GPU: dict[str, Any] = {"precision": "auto", "compile": True}

PLANS: Mapping[str, list[Net]] = {
    "laptop": [
        *_interpolated(20, 0, "laptop", _THREE),
        *_interpolated(20, 1, "laptop", _THREE),
        # 15 matrices of 1064 × 1064 are 34 MB, even in float16
        *[net for seed in (0, 1) for net in _dense("mnist", 784, 1064, seed=seed, ships=(True, False))],
        *_DIGITS,
        # depth as in hauser2019: narrow, so that the deepest ships in less than 0.5 MB
        *_residual_mlps((6, 12, 25, 50, 100), 24, changes={"epochs": 3}),
        *_residual_cnns((6, 12, 25, 40), 16, "laptop", changes={"epochs": 4}),
        # a slope over depth without other seeds would have no spread
        *[net for seed in (1, 2) for net in _residual_mlps((6, 12, 25, 50, 100), 24, seed=seed, changes={"epochs": 3})],
        *_residual_cnns((6, 12, 25, 40), 16, "laptop", seed=1, changes={"epochs": 4}),
        # a quarter of the channels of xie2017 between units, since their projections alone cost 84 million products
        *_resnexts(4, 4, "laptop", [64, 128, 256]),
    ],
    "gpu": [
        *_interpolated(56, 0, "yang2020", (None, "in"), **_GPU),
        *_interpolated(110, 0, "yang2020", (None,), **_GPU),
        *_interpolated(56, 0, "yang2020", ("lambda-in",), **_GPU),
        *_interpolated(110, 0, "yang2020", ("in", "lambda-in"), **_GPU),
        *[net for seed in (1, 2) for net in _interpolated(56, seed, "yang2020", _THREE, **_GPU)],
        *[net for seed in (1, 2) for net in _interpolated(110, seed, "yang2020", _THREE, **_GPU)],
        *_residual_mlps((6, 12, 25, 50, 100, 200, 300), 64, changes={"precision": "auto"}, ships=False),
        *_residual_cnns((6, 12, 25, 50, 100, 200, 300), 32, "yang2020", changes={"precision": "auto"}, ships=False),
        *_resnexts(8, 64, "yang2020", changes=_GPU, ships=False),
    ],
    # a plan of its own: most do not have its files
    "gpu-cifar100": [
        net
        for seed in (0, 1, 2)
        for net in _interpolated(110, seed, "yang2020-cifar100", (None, "in"), "cifar100", 100, **_GPU)
    ],
    "smoke": [
        Net(
            "smoke-digits",
            {"name": "resnet", "depth": 8, "order": "pre", "widths": [4, 8, 16], "channels": 1},
            "digits",
            "smoke",
            ships=False,
        )
    ],
}


@dataclass(frozen=True)
class Arguments:
    """Train the nets of a plan, those of the highest value first."""

    plan: Literal["laptop", "gpu", "gpu-cifar100", "smoke"] = "laptop"
    """Two cores; a GPU; a GPU and the files of CIFAR-100; seconds."""
    budget: float = 60.0
    """Minutes. Then runs stop, and the next call goes on with them."""
    only: tuple[str, ...] = ()
    """Only the nets whose file name (with the seed) begins with one of these."""
    workers: int = 1
    """How many nets at a time, each in a process with one thread."""
    resume: bool = True
    """Go on with unfinished runs; without it, they are deleted and begun anew."""
    list: Annotated[bool, tyro.conf.arg(name="list")] = False
    """Only say what is done, running and open."""
    device: str | None = None
    """cpu or cuda; by default the GPU, if there is one."""


def main(arguments: Arguments) -> int:
    """Run the plan; the exit code is 0 if no run failed."""
    nets = _chosen(arguments)
    if arguments.list:
        print("\n".join(f"{_state(net):<34}{net.file_name}" for net in nets))
        return 0
    _check_device(arguments)
    deadline = time.time() + 60 * arguments.budget
    waiting = [net for net in nets if not net.target.exists()]
    if not arguments.resume:
        for net in waiting:
            with _held(net) as free:
                if free and net.folder.exists():
                    shutil.rmtree(net.folder)
    code = 0
    try:
        with _signals_raised():
            code = 1 if _work(waiting, arguments, deadline) else 0
    except Interrupted as interrupted:
        code = 128 + interrupted.args[0]
    for net in nets:
        print(f"{_state(net):<34}{net.file_name}", flush=True)
    return code


def _check_device(arguments: Arguments) -> None:
    if not arguments.plan.startswith("gpu") or arguments.device == "cpu":
        return
    import torch

    if not torch.cuda.is_available():
        raise SystemExit(
            f"the plan {arguments.plan!r} holds nets that take days on a CPU, and torch sees no GPU here; pass "
            "--device cpu to train them all the same, or --plan laptop."
        )


def _work(waiting: list[Net], arguments: Arguments, deadline: float) -> int:
    """Train until the deadline; how many runs failed."""
    running: dict[subprocess.Popen[bytes], Net] = {}
    failed = 0
    try:
        while (waiting or running) and time.time() < deadline:
            while waiting and len(running) < arguments.workers:
                net = waiting.pop(0)
                running[_started(net, arguments, deadline)] = net
            time.sleep(0.5)
            failed += _collect(running)
    finally:
        for process in running:
            process.terminate()  # the epoch in progress is lost, and no other
        for process in running:
            process.wait()
    return failed


@contextmanager
def _signals_raised() -> Iterator[None]:
    """Ctrl-C and a request to end as exceptions, so that the workers are stopped first."""

    def stop(number: int, _: Any) -> None:
        raise Interrupted(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _chosen(arguments: Arguments) -> list[Net]:
    nets = PLANS[arguments.plan]
    chosen = [net for net in nets if not arguments.only or net.file_name.startswith(arguments.only)]
    if not chosen:
        names = ", ".join(net.file_name for net in nets)
        raise SystemExit(f"no net of the plan {arguments.plan!r} begins with {arguments.only}; there are {names}.")
    if arguments.workers < 1:
        raise SystemExit(f"workers is {arguments.workers}; at least one is needed.")
    return chosen


def _started(net: Net, arguments: Arguments, deadline: float) -> subprocess.Popen[bytes]:
    print(f"{time.strftime('%H:%M:%S')} {net.file_name}: begun or resumed", flush=True)
    command = [sys.executable, "-m", "experiments.train_one", arguments.plan, net.file_name, str(deadline)]
    if arguments.device:
        command.append(arguments.device)
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=os.environ | one_thread, cwd=ROOT)


_ENDS = {0: "done", OUT_OF_TIME: "stopped by the budget", RUNNING_ELSEWHERE: "is being trained by another process"}


def _collect(running: dict[subprocess.Popen[bytes], Net]) -> int:
    """Take finished processes out; how many failed."""
    failed = 0
    for process in [process for process in running if process.poll() is not None]:
        net, code = running.pop(process), process.returncode
        words = _ENDS.get(code, f"failed with code {code}")
        print(f"{time.strftime('%H:%M:%S')} {net.file_name}: {words}", flush=True)
        failed += code not in _ENDS
    return failed


def _state(net: Net) -> str:
    if net.target.exists():
        return "done"
    log = net.folder / "log.jsonl"
    done = len(log.read_text().splitlines()) if log.exists() else 0
    word = "running" if is_locked(net.lock) else "open"
    return f"{word}, {done} of {epochs_of(net)} epochs done" if done else word


def epochs_of(net: Net) -> int:
    """How many the run has."""
    from resdyn.networks import PRESETS

    return int(net.changes.get("epochs", PRESETS[net.preset].epochs))


@contextmanager
def _held(net: Net) -> Iterator[bool]:
    """Hold the run; False if another process does."""
    net.lock.parent.mkdir(parents=True, exist_ok=True)
    with locked(net.lock) as free:
        yield free


def train(net: Net, deadline: float, device: str | None = None) -> bool:
    """Train one net until the deadline, and store it when it is done; whether it is.

    Raises
    ------
    RunningElsewhere
        If another process trains it.
    """
    import torch

    from resdyn.networks import PRESETS, build, fit
    from resdyn.networks.training.folders import RunElsewhere

    class OutOfTime(Exception):
        pass

    def stop_in_time(epoch: int, _: Any, metrics: Mapping[str, float]) -> None:
        words = {name: f"{value:.4g}" for name, value in metrics.items()}
        print(f"{time.strftime('%H:%M:%S')} {net.file_name} epoch {epoch}: {words}", flush=True)
        if epoch < config.epochs and time.time() + metrics["seconds"] > deadline:
            raise OutOfTime

    with _held(net) as free:
        if not free:
            raise RunningElsewhere(net.file_name)
        torch.manual_seed(net.seed)
        module = build(dict(net.architecture))
        config = dataclasses.replace(PRESETS[net.preset], seed=net.seed, **net.changes)
        try:
            run = fit(
                module,
                net.data,
                config,
                folder=net.folder,
                resume=True,
                device=device,
                progress=False,
                callbacks=[stop_in_time],
            )
        except OutOfTime:
            return False
        except RunElsewhere:
            raise RunningElsewhere(net.file_name) from None
        store(net, module)
        leave_curves(net, run)
        return True


def leave_curves(net: Net, run: Any) -> None:
    """Draw the course of a finished run into its folder, and delete what else is there."""
    from resdyn.plotting import training_curves

    target = net.folder / CURVES
    # a figure of its own, without pyplot: PNG is drawn by Agg
    training_curves(run)[0].figure.savefig(target, dpi=150)
    for path in net.folder.iterdir():
        if path != target:
            path.unlink()


def store(net: Net, module: Any) -> None:
    """Write the net in float16, with the accuracy that it has when read from there, and its log."""
    import torch

    from resdyn.data import image_set
    from resdyn.networks import accuracy, load, save

    net.target.parent.mkdir(parents=True, exist_ok=True)
    module.cpu()
    test = image_set(net.data, "test")
    temporary = net.folder / "float16.safetensors"
    save(module, temporary, dtype=torch.float16)
    # the card says what the file gives, not what the net gave before it was rounded
    module.card = {
        **module.card,
        "accuracy_before_rounding": module.card["accuracy"],
        "accuracy": accuracy(load(temporary), test)._asdict(),
    }
    # the log first: where the net is, all of it is done
    shutil.copy(net.folder / "log.jsonl", net.target.with_suffix(".log.jsonl"))
    save(module, net.target, dtype=torch.float16)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Arguments)))
