"""Training of a net: epochs through Lightning Fabric, a checkpoint after each, and a card at the end."""

import io
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from resdyn._validation import count
from resdyn.networks.requirements import require
from resdyn.networks.training.cards import card_of, commit_of_code, description
from resdyn.networks.training.config import TrainingConfig
from resdyn.networks.training.devices import resolved_precision, training_device
from resdyn.networks.training.folders import held
from resdyn.networks.training.process import Callback, Job, train_and_send
from resdyn.networks.training.process import train as train_here
from resdyn.networks.training.requirements import check_fit, settings_of
from resdyn.networks.training.runs import COLUMNS, TrainingRun
from resdyn.networks.training.sources import splits
from resdyn.networks.training.storage import has_checkpoints, room_asked_for


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
        set if the net has none; float inputs (inputs, labels) are taken as they are, so images of floats are
        normalised already. The test set is only looked at.
    config : TrainingConfig or str
        A key of :data:`resdyn.networks.PRESETS`, or your own; ``dataclasses.replace(PRESETS["laptop"], epochs=3)``.
    folder : path, optional
        Made if missing: checkpoints, ``log.jsonl`` (one line per epoch) and, at the end, ``run.npz``. None keeps
        nothing.
    resume : bool
        Go on with the run of this folder; from the beginning if there is none.
    device : optional
        "cpu", "cuda" or "cuda:1"; by default the GPU, if there is one.
    processes : int
        CPU processes or GPUs that share each batch (Lightning Fabric, DDP). Gradients are averaged, so that the
        result is that of one process to rounding, if there is no batch norm: each process normalises its own part of
        the batch, and the running statistics are those of the first. Call ``fit`` below
        ``if __name__ == "__main__":`` then.
    progress : bool
        Whether to show a bar.
    callbacks : functions of (epoch, net, metrics)
        Called after each epoch (the first is 1), when its checkpoint is written, with the net in eval mode and the
        loss, accuracies, learning rate and seconds of the epoch; a true answer ends the run. They must not change the
        net. A resumed run calls them once for the last epoch of the stored part. With several processes they are sent
        to them, so they must be functions of a module (no lambdas), and what they raise arrives as torch's
        ``ProcessRaisedException``, with the first error in its text.

    Returns
    -------
    TrainingRun

    Raises
    ------
    ValueError
        If the folder holds a run and ``resume`` is false, or a run of another config, architecture or data; if
        all checkpoints are damaged; if inputs or labels do not fit the net or the config; if images of floats look
        like bytes, or like pixels from 0 to 1 where the net has ``preprocessing``.
    TypeError
        If the net does not return one tensor of logits or is not in single precision, or data, config or callbacks are
        of a wrong kind.
    RuntimeError
        If another process trains in the folder; if CUDA is asked for and absent.
    ImportError
        If a package is not installed: lightning-fabric, or safetensors with a folder.
    OSError
        If a file cannot be written; the last checkpoint is left, and the message says which.
    """
    settings = settings_of(config)
    train, test = splits(data)
    place = training_device(device)
    precision = resolved_precision(settings.precision, place)
    processes = count(processes, "processes", least=1)
    called = tuple(callbacks)
    check_fit(net, train, test, settings, processes, called)
    target = None if folder is None else Path(folder).expanduser()
    if target is not None:
        require("safetensors", "a run with checkpoints (folder=…)")
    if target is None and resume:
        raise ValueError("resume is true, but folder is None; name the folder of the run.")
    described = description(net, train, test, settings)
    job = Job(train, test, settings, precision, target, described, commit_of_code(), progress, called)
    with nullcontext() if target is None else held(target):
        if target is not None and has_checkpoints(target) and not resume:
            raise ValueError(
                f"{str(target)!r} holds checkpoints of a run already; pass resume=True to go on with it, or another "
                "folder to begin anew."
            )
        return _run(net, job, place, processes)


def _run(net: nn.Module, job: Job, place: torch.device, processes: int) -> TrainingRun:
    fabric = _fabric(place, job.precision, processes, quiet=not job.progress)
    if processes == 1:
        course = train_here(fabric, net, job)
    else:
        # the net by itself: Fabric gives each process its own copy of modules among the arguments
        course, content = fabric.launch(partial(train_and_send, job=job), net)
        net.to(place).load_state_dict(torch.load(io.BytesIO(content), map_location=place, weights_only=True))
    net.eval()
    card = card_of(
        net,
        job.train,
        job.test,
        job.config,
        course.history,
        job.commit,
        course.commits,
        place,
        job.precision,
        processes,
    )
    if hasattr(net, "card"):
        net.card = card
    run = TrainingRun(**{name: np.array(course.history[name]) for name in COLUMNS}, end=course.end, card=card)
    if job.folder is not None:
        with room_asked_for(job.folder, "run.npz"):
            run.save(job.folder / "run.npz")
    return run


def _fabric(device: torch.device, precision: str, processes: int, *, quiet: bool) -> Any:
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise ImportError('training needs lightning-fabric; install it with: pip install "resdyn[train]"') from error
    devices: Any = processes
    if device.type == "cuda" and processes == 1:
        devices = [device.index if device.index is not None else torch.cuda.current_device()]
    with _without_notes() if quiet else nullcontext():
        return Fabric(
            accelerator=device.type,
            devices=devices,
            precision=precision,  # type: ignore[arg-type]
            strategy="auto" if processes == 1 else "ddp_spawn",
        )


@contextmanager
def _without_notes() -> Iterator[None]:
    """Fabric prints what it uses; its warnings stay."""
    logger = logging.getLogger("lightning_fabric")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
