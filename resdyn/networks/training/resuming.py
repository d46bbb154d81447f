"""How far a run has come, in memory and in its folder."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from resdyn.networks.training.runs import COLUMNS
from resdyn.networks.training.storage import (
    checkpoint_of,
    newest_checkpoint,
    restore,
    write_atomically,
    write_checkpoint,
)


@dataclass(eq=False)
class Progress:
    """The course of a run so far.

    Attributes
    ----------
    history : dict of lists
        One number per epoch under each of ``COLUMNS``.
    end : str
        Why the run ended; empty while it goes on.
    """

    history: dict[str, list[float]]
    end: str = ""

    @classmethod
    def begun(cls) -> "Progress":
        """No epoch yet."""
        return cls({name: [] for name in COLUMNS})

    @property
    def done(self) -> int:
        """How many epochs are complete."""
        return len(self.history["loss"])

    def add(self, *values: float) -> None:
        """One more epoch."""
        for name, value in zip(COLUMNS, values, strict=True):
            self.history[name].append(value)


def store(
    progress: Progress, folder: Path, net: nn.Module, optimiser: torch.optim.Optimizer, precision: Any, job: Any
) -> None:
    """Write the checkpoint of the last epoch, then the log."""
    checkpoint = checkpoint_of(
        net,
        optimiser,
        precision.state_dict(),
        epoch=progress.done,
        history=progress.history,
        run=job.described,
        precision=job.precision,
    )
    write_checkpoint(checkpoint, folder)
    write_log(folder, progress)


def resumed(
    folder: Path,
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    precision: Any,
    described: Mapping[str, Any],
    precision_name: str,
) -> Progress:
    """The progress of the run in this folder, with net and optimiser as they were then.

    Raises
    ------
    ValueError
        If it is another run.
    """
    checkpoint = newest_checkpoint(folder)
    if checkpoint is None:
        return Progress.begun()
    _check_same_run(checkpoint.meta["run"], described, folder)
    if checkpoint.meta["precision"] != precision_name:
        warnings.warn(
            f"the run was begun in precision {checkpoint.meta['precision']!r} and goes on in {precision_name!r}: its "
            "result is not that of an uninterrupted run.",
            stacklevel=2,
        )
    elif checkpoint.meta["scaler"]:
        precision.load_state_dict(checkpoint.meta["scaler"])
    restore(checkpoint, net, optimiser)
    return Progress({name: list(checkpoint.meta["history"][name]) for name in COLUMNS})


def write_log(folder: Path, progress: Progress) -> None:
    """The log anew from the history, so that it never says more or less than the checkpoint."""
    lines = []
    for k in range(progress.done):
        values = {name: progress.history[name][k] for name in COLUMNS}
        # JSON has no NaN
        finite = {name: value if np.isfinite(value) else None for name, value in values.items()}
        lines.append(json.dumps({"epoch": k + 1, **finite}))
    write_atomically(folder / "log.jsonl", "".join(f"{line}\n" for line in lines).encode())


def _check_same_run(stored: Mapping[str, Any], described: Mapping[str, Any], folder: Path) -> None:
    here = json.loads(json.dumps(described))
    differing = []
    for part in sorted({*stored, *here}):
        before, now = stored.get(part, {}), here.get(part, {})
        differing += [
            f"{part} {name}: {before.get(name)!r} there, {now.get(name)!r} here"
            for name in sorted({*before, *now})
            if before.get(name) != now.get(name)
        ]
    if differing:
        raise ValueError(
            f"{str(folder)!r} holds a run that is not this one ({'; '.join(differing)}); pass another folder, or "
            "what the run was begun with."
        )
