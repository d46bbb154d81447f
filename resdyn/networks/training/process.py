"""The epochs of a run in one process, with its checkpoints and its log."""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

from resdyn.networks.training.augmentation import DROPOUT, seed_of
from resdyn.networks.training.config import TrainingConfig
from resdyn.networks.training.devices import deterministic
from resdyn.networks.training.epochs import Share, preparation, share_right, steps_per_epoch, train_epoch
from resdyn.networks.training.resuming import (
    checkpoint_of,
    newest_checkpoint,
    restore,
    write_atomically,
    write_checkpoint,
)
from resdyn.networks.training.sources import Samples

Metrics = dict[str, float]
Callback = Callable[[int, nn.Module, Metrics], Any]
History = dict[str, list[float]]
COLUMNS = ("loss", "training_accuracy", "accuracy", "learning_rate", "seconds")


@dataclass(frozen=True, eq=False)
class Job:
    """What a process needs to know."""

    net: nn.Module
    train: Samples
    test: Samples | None
    config: TrainingConfig
    precision: str
    folder: Path | None
    described: Mapping[str, Any]
    progress: bool
    callbacks: Sequence[Callback]


def train_and_send(fabric: Any, job: Job) -> tuple[History, str, dict[str, torch.Tensor]]:
    """For a process of its own: the weights go back to the caller's."""
    history, end = train(fabric, job)
    return history, end, {name: tensor.cpu() for name, tensor in job.net.state_dict().items()}


def train(fabric: Any, job: Job) -> tuple[History, str]:
    """All epochs in this process; the columns of the log, and how the run ended."""
    config, net, device = job.config, job.net, fabric.device
    net.to(device)
    if config.channels_last:
        net.to(memory_format=torch.channels_last)
    optimiser = _optimiser(net, config)
    wrapped, wrapped_optimiser = fabric.setup(torch.compile(net) if config.compile else net, optimiser)
    train = job.train.to(device)
    test = None if job.test is None else job.test.to(device)
    normalised = getattr(net, "preprocessing", None)
    prepare = preparation(train, normalised, torch.float32, channels_last=config.channels_last)
    share = Share(fabric.global_rank, fabric.world_size)
    history, end = _resumed(fabric, job, optimiser)
    done = len(history["loss"])
    if done and not end:
        end = _ended(fabric, job, history)
    bar = _bar(job, len(train), done, shown=job.progress and fabric.global_rank == 0)
    generators = [] if device.type == "cpu" else [device]
    with bar, deterministic(device), torch.random.fork_rng(devices=generators):
        for epoch in range(done, config.epochs):
            if end:
                break
            start = perf_counter()
            # by epoch and not from the state of the last one, so that a resumed run draws the same
            torch.manual_seed(seed_of(config.seed, epoch, DROPOUT) + share.rank)
            sums, rate = train_epoch(
                wrapped,
                wrapped_optimiser,
                fabric.backward,
                train,
                prepare,
                config,
                epoch,
                share,
                lambda rate: bar.update(),
            )
            loss, right = (float(v) / len(train) for v in fabric.all_reduce(sums, reduce_op="sum"))
            tested = float("nan")
            if test is not None and fabric.global_rank == 0:
                tested = share_right(net, test, prepare, max(config.batch_size, 500), fabric.autocast).fraction
            values = (loss, right, tested, rate, perf_counter() - start)
            for name, value in zip(COLUMNS, values, strict=True):
                history[name].append(value)
            bar.set_postfix(epoch=epoch + 1, loss=f"{loss:.3f}", accuracy=f"{tested:.3f}")
            _store(fabric, job, optimiser, history)
            end = _ended(fabric, job, history)
    return history, end or "complete"


def _ended(fabric: Any, job: Job, history: Mapping[str, list[float]]) -> str:
    """Why the run ends after this epoch; empty if it goes on. The first process decides for all."""
    reason = ""
    if fabric.global_rank == 0:
        metrics = {name: history[name][-1] for name in COLUMNS}
        job.net.eval()
        asked = [callback(len(history["loss"]), job.net, dict(metrics)) for callback in job.callbacks]
        if not np.isfinite(metrics["loss"]):
            reason = "diverged"
        elif any(answer is not None and bool(answer) for answer in asked):
            reason = "callback"
    return str(fabric.broadcast(reason, src=0))


# --- the folder ---------------------------------------------------------------------------------------


def _store(fabric: Any, job: Job, optimiser: torch.optim.Optimizer, history: Mapping[str, list[float]]) -> None:
    if job.folder is None:
        return
    if fabric.global_rank == 0:
        scaler = fabric.strategy.precision.state_dict()
        checkpoint = checkpoint_of(
            job.net,
            optimiser,
            scaler,
            epoch=len(history["loss"]),
            history=dict(history),
            run=dict(job.described),
            precision=job.precision,
        )
        write_checkpoint(checkpoint, job.folder)
        _write_log(job.folder, history)
    fabric.barrier()


def _resumed(fabric: Any, job: Job, optimiser: torch.optim.Optimizer) -> tuple[History, str]:
    """The history so far, with net and optimiser as they were then."""
    checkpoint = None if job.folder is None else newest_checkpoint(job.folder)
    if checkpoint is None or job.folder is None:
        return {name: [] for name in COLUMNS}, ""
    _check_same_run(checkpoint.meta["run"], job)
    if checkpoint.meta["precision"] != job.precision:
        warnings.warn(
            f"the run was begun in precision {checkpoint.meta['precision']!r} and goes on in {job.precision!r}: its "
            "result is not that of an uninterrupted run.",
            stacklevel=2,
        )
    restore(checkpoint, job.net, optimiser)
    if checkpoint.meta["scaler"]:
        fabric.strategy.precision.load_state_dict(checkpoint.meta["scaler"])
    history = {name: list(checkpoint.meta["history"][name]) for name in COLUMNS}
    if fabric.global_rank == 0:
        _write_log(job.folder, history)
    return history, ""


def _check_same_run(stored: Mapping[str, Any], job: Job) -> None:
    here = json.loads(json.dumps(job.described))
    differing = []
    for part in sorted({*stored, *here}):
        before, now = stored.get(part) or {}, here.get(part) or {}
        differing += [
            f"{part} {name}: {before.get(name)!r} there, {now.get(name)!r} here"
            for name in sorted({*before, *now})
            if before.get(name) != now.get(name)
        ]
    if differing:
        raise ValueError(
            f"{str(job.folder)!r} holds a run that is not this one ({'; '.join(differing)}); pass another folder, or "
            "what the run was begun with."
        )


def _write_log(folder: Path, history: Mapping[str, list[float]]) -> None:
    """The log anew from the history, so that it never says more or less than the checkpoint."""
    lines = []
    for epoch, values in enumerate(zip(*(history[name] for name in COLUMNS), strict=True), start=1):
        # JSON has no NaN
        finite = {name: v if np.isfinite(v) else None for name, v in zip(COLUMNS, values, strict=True)}
        lines.append(json.dumps({"epoch": epoch, **finite}))
    write_atomically(folder / "log.jsonl", "".join(f"{line}\n" for line in lines).encode())


def _optimiser(net: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    chosen = [parameter for parameter in net.parameters() if parameter.requires_grad]
    if config.optimiser == "adam":
        return torch.optim.Adam(chosen, lr=config.learning_rate, weight_decay=config.weight_decay)
    return torch.optim.SGD(chosen, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay)


def _bar(job: Job, n: int, done: int, *, shown: bool) -> Any:
    from tqdm import tqdm

    n_steps = steps_per_epoch(n, job.config)
    return tqdm(
        total=job.config.epochs * n_steps, initial=done * n_steps, unit="batch", desc="training", disable=not shown
    )
