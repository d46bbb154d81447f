"""The epochs of a run in one process."""

import io
from collections.abc import Callable, Sequence
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
from resdyn.networks.training.resuming import Progress, resumed, store
from resdyn.networks.training.runs import COLUMNS
from resdyn.networks.training.sources import Samples

Metrics = dict[str, float]
Callback = Callable[[int, nn.Module, Metrics], Any]


@dataclass(frozen=True, eq=False)
class Job:
    """What a process needs to know besides the net."""

    train: Samples
    test: Samples | None
    config: TrainingConfig
    precision: str
    folder: Path | None
    described: dict[str, Any]
    commit: str | None
    progress: bool
    callbacks: Sequence[Callback]


def train(fabric: Any, net: nn.Module, job: Job) -> Progress:
    """All epochs that are left, in this process."""
    device = fabric.device
    training = _Training(fabric, net, job)
    generators = [] if device.type == "cpu" else [device]
    with training.bar, deterministic(device), torch.random.fork_rng(devices=generators):
        training.run()
    return training.progress


def train_and_send(fabric: Any, net: nn.Module, job: Job) -> tuple[Progress, bytes]:
    """As :func:`train`, in a process of its own, which hands the weights back."""
    progress = train(fabric, net, job)
    # bytes, since the memory of tensors that are sent is gone with the process that sent them
    content = io.BytesIO()
    torch.save(net.state_dict(), content)
    return progress, content.getvalue()


class _Training:
    """The state of a run."""

    def __init__(self, fabric: Any, net: nn.Module, job: Job) -> None:
        self.fabric, self.job = fabric, job
        self.net = net.to(fabric.device)
        if job.config.channels_last:
            net.to(memory_format=torch.channels_last)
        self.optimiser = _optimiser(net, job.config)
        # one program per shape: only the last batch of an epoch has another one
        to_run = torch.compile(net, dynamic=False) if job.config.compile else net
        self.wrapped, self.wrapped_optimiser = fabric.setup(to_run, self.optimiser)
        self.samples = job.train.to(fabric.device)
        self.test = None if job.test is None else job.test.to(fabric.device)
        self.prepare = preparation(
            self.samples, getattr(net, "preprocessing", None), torch.float32, channels_last=job.config.channels_last
        )
        self.leads = fabric.global_rank == 0
        self.progress = Progress.begun()
        if job.folder is not None:
            self.progress = resumed(
                job.folder, net, self.optimiser, self._precision, job.described, self._circumstances
            )
        self.bar = _bar(job, self.progress.done, shown=job.progress and self.leads)

    @property
    def _precision(self) -> Any:
        """Holds the scaler of gradients, whose state belongs into the checkpoint."""
        return self.fabric.strategy.precision

    @property
    def _circumstances(self) -> dict[str, Any]:
        """What changes the last bits of the result, and no more."""
        return {
            "precision": self.job.precision,
            "processes": self.fabric.world_size,
            "threads": torch.get_num_threads(),
        }

    def run(self) -> None:
        """Train to the end, or until something ends the run."""
        if self.progress.done:
            self.progress.end = self._reason_to_end()
        while not self.progress.end and self.progress.done < self.job.config.epochs:
            self._epoch(self.progress.done)
            if self.job.folder is not None:
                if self.leads:
                    store(
                        self.progress,
                        self.job.folder,
                        self.net,
                        self.optimiser,
                        self._precision,
                        self.job.described,
                        self._circumstances,
                    )
                self.fabric.barrier()
            self.progress.end = self._reason_to_end()
        self.progress.end = self.progress.end or "complete"

    def _epoch(self, epoch: int) -> None:
        start = perf_counter()
        self.progress.trained_by(self.job.commit)
        share = Share(self.fabric.global_rank, self.fabric.world_size)
        # by epoch and not from the state of the last one, so that a resumed run draws the same
        torch.manual_seed(seed_of(self.job.config.seed, epoch, DROPOUT) + share.rank)
        sums, rate = train_epoch(
            self.wrapped,
            self.wrapped_optimiser,
            self.fabric.backward,
            self.samples,
            self.prepare,
            self.job.config,
            epoch,
            share,
            self.bar.update,
        )
        loss, right = (float(v) / len(self.samples) for v in self.fabric.all_reduce(sums, reduce_op="sum"))
        tested = float("nan")
        if self.test is not None and self.leads:
            size = max(self.job.config.batch_size, 500)
            tested = share_right(self.net, self.test, self.prepare, size, self.fabric.autocast).fraction
        self.progress.add(loss, right, tested, rate, perf_counter() - start)
        self.bar.set_postfix(epoch=epoch + 1, loss=f"{loss:.3f}", accuracy=f"{tested:.3f}")

    def _reason_to_end(self) -> str:
        """Why the run ends after this epoch; empty if it goes on. The first process decides for all."""
        reason = ""
        if self.leads:
            metrics = {name: self.progress.history[name][-1] for name in COLUMNS}
            self.net.eval()
            asked = [callback(self.progress.done, self.net, dict(metrics)) for callback in self.job.callbacks]
            if not np.isfinite(metrics["loss"]):
                reason = "diverged"
            elif any(asked):
                reason = "callback"
        return str(self.fabric.broadcast(reason, src=0))


def _optimiser(net: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    chosen = [parameter for parameter in net.parameters() if parameter.requires_grad]
    if config.optimiser == "adam":
        return torch.optim.Adam(chosen, lr=config.learning_rate, weight_decay=config.weight_decay)
    return torch.optim.SGD(chosen, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay)


def _bar(job: Job, done: int, *, shown: bool) -> Any:
    from tqdm import tqdm

    n_steps = steps_per_epoch(len(job.train), job.config)
    return tqdm(
        total=job.config.epochs * n_steps, initial=done * n_steps, unit="batch", desc="training", disable=not shown
    )
