"""How far a run has come, in memory and in its folder."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    room_asked_for,
    write_atomically,
    write_checkpoint,
)

_WORDS = {
    "precision": "in precision {!r} and goes on in {!r}",
    "processes": "by {} processes and goes on by {}",
    "threads": "with {} threads and goes on with {}",
}


@dataclass(eq=False)
class Progress:
    """The course of a run so far.

    Attributes
    ----------
    history : dict of lists
        One number per epoch under each of ``COLUMNS``.
    end : str
        Why the run ended; empty while it goes on.
    commits : list
        Of the code that trained, one after the other; None where it is not known.
    """

    history: dict[str, list[float]]
    end: str = ""
    commits: list[str | None] = field(default_factory=list)

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

    def trained_by(self, commit: str | None) -> None:
        """The code of the next epoch."""
        if self.commits[-1:] != [commit]:
            self.commits.append(commit)


def store(
    progress: Progress,
    folder: Path,
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    precision: Any,
    described: Mapping[str, Any],
    circumstances: Mapping[str, Any],
) -> None:
    """Write the checkpoint of the last epoch, then the log."""
    checkpoint = checkpoint_of(
        net,
        optimiser,
        precision.state_dict(),
        epoch=progress.done,
        history=progress.history,
        run=described,
        commits=progress.commits,
        **circumstances,
    )
    write_checkpoint(checkpoint, folder)
    with room_asked_for(folder, f"log.jsonl of epoch {progress.done}"):
        write_log(folder, progress)


def resumed(
    folder: Path,
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    precision: Any,
    described: Mapping[str, Any],
    circumstances: Mapping[str, Any],
) -> Progress:
    """The progress of the run in this folder, with net and optimiser as they were then.

    Warns
    -----
    UserWarning
        If the circumstances (precision, processes, threads) are others.

    Raises
    ------
    ValueError
        If it is another run.
    """
    checkpoint = newest_checkpoint(folder)
    if checkpoint is None:
        return Progress.begun()
    _check_same_run(checkpoint.meta["run"], described, folder)
    meta = checkpoint.meta
    # older checkpoints say nothing of processes and threads
    changed = [name for name, now in circumstances.items() if meta.get(name, now) != now]
    if changed:
        changes = ", ".join(_WORDS[name].format(meta[name], circumstances[name]) for name in changed)
        warnings.warn(f"the run was begun {changes}: its result is not that of an uninterrupted run.", stacklevel=2)
    if meta["scaler"] and "precision" not in changed:
        precision.load_state_dict(meta["scaler"])
    restore(checkpoint, net, optimiser)
    history = {name: list(meta["history"][name]) for name in COLUMNS}
    return Progress(history, commits=list(meta.get("commits", [None])))


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
    # older checkpoints say nothing of the test set
    for part in sorted({*stored, *here} if "test_data" in stored else {*stored, *here} - {"test_data"}):
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
