"""Training of a net: epochs through Lightning Fabric, a checkpoint after each, and a card at the end."""

import dataclasses
import json
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

from resdyn._validation import count
from resdyn.networks.architectures.contract import Preprocessing
from resdyn.networks.training.augmentation import DROPOUT, seed_of
from resdyn.networks.training.cards import card_of, description
from resdyn.networks.training.config import TrainingConfig
from resdyn.networks.training.devices import deterministic, resolved_precision, training_device
from resdyn.networks.training.epochs import Share, preparation, share_right, steps_per_epoch, train_epoch
from resdyn.networks.training.presets import PRESETS
from resdyn.networks.training.resuming import (
    checkpoint_of,
    has_checkpoints,
    newest_checkpoint,
    restore,
    write_atomically,
    write_checkpoint,
)
from resdyn.networks.training.runs import TrainingRun
from resdyn.networks.training.sources import Samples, splits

Metrics = dict[str, float]
Callback = Callable[[int, nn.Module, Metrics], Any]
COLUMNS = ("loss", "training_accuracy", "accuracy", "learning_rate", "seconds")


def fit(
    net: nn.Module,
    data: Any,
    config: TrainingConfig | str = "laptop",
    *,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    device: Any = None,
    processes: int = 1,
    progress: bool = True,
    callbacks: Iterable[Callback] = (),
) -> TrainingRun:
    r"""Train a classifier in place: minimise the cross entropy of its logits by SGD or Adam.

    After each epoch the state goes to ``folder``, complete or not at all; ``resume=True`` continues after the last
    complete epoch and, on the CPU with the same number of threads and processes, ends in the same bits as a run that
    was not interrupted. At the end the net is in eval mode, on the device of training, and ``net.card`` (of our
    architectures) says how it was trained.

    Parameters
    ----------
    net : module
        Maps a batch of inputs to logits, shape (n, classes). Its initial weights are where training starts.
    data : str, ImageSet, pair of arrays, or pair (training set, test set) of the latter two
        "cifar10", "cifar100", "mnist", "digits"; images of bytes are normalised with ``net.preprocessing``, which is
        set if the net has none; float inputs (inputs, labels) are taken as they are. The test set is only looked at.
    config : TrainingConfig or str
        A key of :data:`resdyn.networks.PRESETS`, or your own; ``dataclasses.replace(PRESETS["laptop"], epochs=3)``.
    folder : path, optional
        Made if missing: checkpoints, ``log.jsonl`` (one line per epoch) and, at the end, ``run.npz``. None keeps nothing.
    resume : bool
        Go on with the run of this folder; from the beginning if there is none.
    device : optional
        "cpu", "cuda" or "cuda:1"; by default the GPU, if there is one.
    processes : int
        CPU processes or GPUs that share each batch (Lightning Fabric, DDP). Gradients are averaged, so that the result
        is that of one process to rounding, if there is no batch norm: each process normalises its own part of the batch,
        and the running statistics are those of the first. Call ``fit`` below ``if __name__ == "__main__":`` then.
    progress : bool
        Whether to show a bar.
    callbacks : functions of (epoch, net, metrics)
        Called after each epoch (the first is 1) with the net in eval mode and the loss, accuracies, learning rate and
        seconds of the epoch; a true answer ends the run. They must not change the net. A resumed run calls them once for the
        last epoch of the stored part.

    Returns
    -------
    TrainingRun

    Raises
    ------
    ValueError
        If the folder holds a run and ``resume`` is false, or a run of another config, architecture or data; if
        all checkpoints are damaged; if CUDA is asked for and absent; if images do not fit the net or the config.
    OSError
        If a checkpoint cannot be written; the previous one is left, and the message says which.
    """
    settings = _settings(config)
    train, test = splits(data)
    place = training_device(device)
    precision = resolved_precision(settings.precision, place)
    processes = count(processes, "processes", least=1)
    _set_preprocessing(net, train, settings)
    _check_fit(net, train, test, settings, processes)
    target = None if folder is None else Path(folder).expanduser()
    if target is None and resume:
        raise ValueError("resume is true, but folder is None; name the folder of the run.")
    if target is not None:
        target.mkdir(parents=True, exist_ok=True)
        if has_checkpoints(target) and not resume:
            raise ValueError(
                f"{str(target)!r} holds checkpoints of a run already; pass resume=True to go on with it, or another "
                "folder to begin anew."
            )
    described = description(net, train, settings)
    job = _Job(net, train, test, settings, precision, target, described, progress, tuple(callbacks))
    fabric = _fabric(place, precision, processes)
    if processes == 1:
        history, end = _train(fabric, job)
    else:
        history, end, state = fabric.launch(_train_and_send, job)
        net.to(place).load_state_dict(state)
    net.eval()
    card = card_of(net, train, test, settings, history, place, precision, processes)
    if hasattr(net, "card"):
        net.card = card
    run = TrainingRun(**{name: np.array(history[name]) for name in COLUMNS}, end=end, card=card)
    if target is not None:
        run.save(target / "run.npz")
    return run


@dataclass(frozen=True, eq=False)
class _Job:
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


def _train_and_send(fabric: Any, job: _Job) -> tuple[dict[str, list[float]], str, dict[str, torch.Tensor]]:
    """For a process of its own: the weights go back to the caller's."""
    history, end = _train(fabric, job)
    return history, end, {name: tensor.cpu() for name, tensor in job.net.state_dict().items()}


def _train(fabric: Any, job: _Job) -> tuple[dict[str, list[float]], str]:
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


def _ended(fabric: Any, job: _Job, history: Mapping[str, list[float]]) -> str:
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


def _store(fabric: Any, job: _Job, optimiser: torch.optim.Optimizer, history: Mapping[str, list[float]]) -> None:
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


def _resumed(fabric: Any, job: _Job, optimiser: torch.optim.Optimizer) -> tuple[dict[str, list[float]], str]:
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


def _check_same_run(stored: Mapping[str, Any], job: _Job) -> None:
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


# --- before the first epoch -------------------------------------------------------------------------------


def _settings(config: TrainingConfig | str) -> TrainingConfig:
    if isinstance(config, TrainingConfig):
        return config
    if config not in PRESETS:
        raise ValueError(
            f"config is {config!r}; pass a TrainingConfig, or the name of a preset: {', '.join(map(repr, PRESETS))}."
        )
    return PRESETS[config]


def _set_preprocessing(net: nn.Module, train: Samples, config: TrainingConfig) -> None:
    """Give a net without ``preprocessing`` that of the config, or that of the training set."""
    if not train.are_pixels:
        return
    present: Any = getattr(net, "preprocessing", None)
    wanted = None
    if config.mean is not None and config.std is not None:
        wanted = Preprocessing(config.mean, config.std)
    if present is not None:
        if wanted is not None and (present.mean, present.std) != (wanted.mean, wanted.std):
            raise ValueError(
                f"net.preprocessing is {present}, but the config says {wanted}; set net.preprocessing = None, or leave "
                "mean and std out of the config (dataclasses.replace(config, mean=None, std=None))."
            )
        return
    if wanted is None:
        pixels = train.inputs.double().div(255).movedim(1, 0).flatten(1)
        std = pixels.std(1, correction=0)
        wanted = Preprocessing(tuple(pixels.mean(1).tolist()), tuple(std.where(std > 0, torch.ones_like(std)).tolist()))
    net.preprocessing = wanted  # type: ignore[assignment]


def _check_fit(net: nn.Module, train: Samples, test: Samples | None, config: TrainingConfig, processes: int) -> None:
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise ValueError("the net has no parameters that require gradients; there is nothing to train.")
    if test is not None and (test.inputs.shape[1:], test.are_pixels) != (train.inputs.shape[1:], train.are_pixels):
        raise ValueError(
            f"training inputs have shape {tuple(train.inputs.shape[1:])} and {train.inputs.dtype}, but test inputs "
            f"{tuple(test.inputs.shape[1:])} and {test.inputs.dtype}; pass sets of one kind."
        )
    if (config.pad or config.flip) and train.inputs.ndim != 4:
        raise ValueError(
            f"crop and flip are for images of shape (n, C, H, W), but the inputs have shape {tuple(train.inputs.shape)}; "
            "use a config with pad=0 and flip=False."
        )
    if config.pad_mode == "reflect" and train.inputs.ndim == 4 and config.pad >= min(train.inputs.shape[-2:]):
        raise ValueError(
            f"pad is {config.pad}, but reflection needs less than the size {tuple(train.inputs.shape[-2:])}."
        )
    smallest = len(train) % config.batch_size or min(config.batch_size, len(train))
    if smallest < processes:
        raise ValueError(
            f"the last batch of an epoch has {smallest} samples, too few for {processes} processes; choose another "
            "batch_size."
        )


def _fabric(device: torch.device, precision: str, processes: int) -> Any:
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise ImportError('training needs lightning-fabric; install it with: pip install "resdyn[train]"') from error
    devices: Any = processes
    if device.type == "cuda" and processes == 1:
        devices = [device.index if device.index is not None else torch.cuda.current_device()]
    return Fabric(
        accelerator=device.type,
        devices=devices,
        precision=precision,  # type: ignore[arg-type]
        strategy="auto" if processes == 1 else "ddp_spawn",
    )


def _optimiser(net: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    chosen = [parameter for parameter in net.parameters() if parameter.requires_grad]
    if config.optimiser == "adam":
        return torch.optim.Adam(chosen, lr=config.learning_rate, weight_decay=config.weight_decay)
    return torch.optim.SGD(chosen, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay)


def _bar(job: _Job, n: int, done: int, *, shown: bool) -> Any:
    from tqdm import tqdm

    n_steps = steps_per_epoch(n, job.config)
    return tqdm(
        total=job.config.epochs * n_steps, initial=done * n_steps, unit="batch", desc="training", disable=not shown
    )
