"""Checkpoints: one file per epoch, complete or absent, and checked when it is read.

A file is written under a temporary name, forced to the disk, and renamed; only then the one before the previous is
deleted, and never a newer one. So two complete epochs are on the disk from the second one on, and a file that was
damaged later costs one epoch. Tensors and numbers are stored without pickle; the digest of both is stored with them.
"""

import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resdyn import _storage
from resdyn.networks.digests import sha256_of

KEPT = 2
_CHECKPOINT = re.compile(r"epoch-(\d+)\.safetensors")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A run after an epoch.

    Attributes
    ----------
    tensors : mapping of str to tensor
        Of the net ("net.…") and the optimiser ("optimiser.<parameter>.<name>").
    meta : dict
        ``epoch`` (how many are done), ``history``, ``run`` (what the run depends on), ``optimiser``, ``scaler``.
    """

    tensors: Mapping[str, Tensor]
    meta: dict[str, Any]


def checkpoint_of(
    net: nn.Module, optimiser: torch.optim.Optimizer, scaler: Mapping[str, Any], **meta: Any
) -> Checkpoint:
    """The state of net, optimiser and scaler of the gradients, with what else is to be stored."""
    state = optimiser.state_dict()
    tensors = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    for parameter, values in state["state"].items():
        # a parameter without a gradient, or without momentum, has no buffer: None is left out
        tensors |= {f"optimiser.{parameter}.{name}": v for name, v in values.items() if isinstance(v, Tensor)}
    meta |= {"optimiser": state["param_groups"], "scaler": dict(scaler)}
    return Checkpoint({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, meta)


def restore(checkpoint: Checkpoint, net: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Put net and optimiser into the state of the checkpoint."""
    net.load_state_dict(
        {name.removeprefix("net."): t for name, t in checkpoint.tensors.items() if name.startswith("net.")}
    )
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in checkpoint.tensors.items():
        if name.startswith("optimiser."):
            _, parameter, what = name.split(".", 2)
            state.setdefault(int(parameter), {})[what] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": checkpoint.meta["optimiser"]})


def write_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write the checkpoint, and delete those that are no longer needed.

    Raises
    ------
    OSError
        If it cannot be written; the earlier ones are left as they are.
    RuntimeError
        If there are newer ones, which another process must have written.
    """
    from safetensors.torch import save

    epoch = int(checkpoint.meta["epoch"])
    tensors = _without_shared_memory(checkpoint.tensors)
    text = json.dumps(checkpoint.meta)
    content = save(tensors, {"meta": text, "sha256": sha256_of(tensors, text)})
    _refuse_newer(folder, epoch)
    with room_asked_for(folder, f"the checkpoint of epoch {epoch}"):
        write_atomically(folder / _file_name(epoch), content)
    for _, path in [(number, path) for number, path in _stored(folder) if number <= epoch][KEPT:]:
        path.unlink(missing_ok=True)


def _refuse_newer(folder: Path, epoch: int) -> None:
    for number, path in _stored(folder):
        if number <= epoch:
            return
        try:
            _read(path)
        except Exception:  # damaged ones were passed over when the run went on
            continue
        raise RuntimeError(
            f"epoch {epoch} is not stored: {str(folder)!r} holds {path.name} already, which this run did not write; "
            "train one run per folder."
        )


@contextmanager
def room_asked_for(folder: Path, what: str) -> Iterator[None]:
    """Say of what cannot be written which epoch is safe, and how to go on."""
    try:
        yield
    except OSError as error:
        safe = [number for number, _ in _stored(folder)]
        kept = f"epoch {safe[0]} is safe in {str(folder)!r}" if safe else "no earlier one was written"
        raise OSError(
            error.errno,
            f"{what} could not be written ({error.strerror or error}); {kept}. "
            "Make room and call fit with resume=True: no epoch before is trained again",
        ) from error


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole, with a warning for each newer one that is damaged; None without any.

    Raises
    ------
    ValueError
        If there are checkpoints and all are damaged.
    """
    found = _stored(folder)
    reasons = []
    for epoch, path in found:
        try:
            checkpoint = _read(path)
        except Exception as error:  # a damaged file fails in any way
            reasons.append(f"{path.name} ({error})")
            continue
        if reasons:
            warnings.warn(
                f"damaged checkpoints in {str(folder)!r} were passed over: {'; '.join(reasons)}. "
                f"The run goes on after epoch {epoch}.",
                stacklevel=2,
            )
        return checkpoint
    if found:
        raise ValueError(
            f"all checkpoints in {str(folder)!r} are damaged: {'; '.join(reasons)}. Delete them to train from the "
            "beginning."
        )
    return None


def has_checkpoints(folder: Path) -> bool:
    """Whether a run was begun in this folder."""
    return bool(_stored(folder))


def write_atomically(target: Path, content: bytes) -> None:
    """The file appears complete or not at all, even if the machine stops."""
    with _storage.written_whole(target) as handle:
        handle.write(content)
    _force_to_disk(target.parent)


def _force_to_disk(folder: Path) -> None:
    """The new name itself; only POSIX systems let a folder be opened for that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> Checkpoint:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as stored:
        described = stored.metadata() or {}
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a mapping)
    if sha256_of(tensors, described.get("meta", "")) != described.get("sha256"):
        raise ValueError("its checksum is wrong")
    return Checkpoint(tensors, json.loads(described["meta"]))


def _without_shared_memory(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Safetensors refuses two names of one memory (tied weights); both are stored."""
    seen: set[int] = set()
    separate = {}
    for name, tensor in tensors.items():
        place = tensor.data_ptr()
        separate[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return separate


def _file_name(epoch: int) -> str:
    return f"epoch-{epoch:04d}.safetensors"


def _stored(folder: Path) -> list[tuple[int, Path]]:
    """Epoch and path, the newest first."""
    found = [(match, path) for path in folder.glob("epoch-*") if (match := _CHECKPOINT.fullmatch(path.name))]
    return sorted(((int(match[1]), path) for match, path in found), reverse=True)
