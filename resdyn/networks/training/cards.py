"""What a checkpoint of a trained net says of itself."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from resdyn._version import __version__
from resdyn.networks.training.config import TrainingConfig
from resdyn.networks.training.epochs import accuracy
from resdyn.networks.training.sources import Samples


def description(net: nn.Module, train: Samples, test: Samples | None, config: TrainingConfig) -> dict[str, Any]:
    """What a run depends on, by which a checkpoint is told from one of another run; as JSON says it."""
    shapes = [(name, tuple(t.shape), str(t.dtype)) for name, t in net.state_dict().items()]
    described = {
        "architecture": {
            **_architecture(net),
            "shapes_sha256": hashlib.sha256(repr(shapes).encode()).hexdigest(),
        },
        "config": asdict(config),
        "data": _data(train),
        "test_data": {} if test is None else _data(test),
    }
    plain: dict[str, Any] = json.loads(json.dumps(described, default=_plain))
    return plain


def card_of(
    net: nn.Module,
    train: Samples,
    test: Samples | None,
    config: TrainingConfig,
    history: Mapping[str, list[float]],
    commit: str | None,
    commits: Sequence[str | None],
    device: torch.device,
    precision: str,
    processes: int,
) -> dict[str, Any]:
    """The card; the accuracy in it is measured anew, in the precision of the weights."""
    preprocessing: Any = getattr(net, "preprocessing", None)
    found = None if test is None else accuracy(net, test)
    return {
        "architecture": _architecture(net),
        "data": _data(train),
        "test_data": None if test is None else _data(test),
        "preprocessing": None if preprocessing is None else asdict(preprocessing),
        "training": asdict(config),
        "seed": config.seed,
        "epochs": len(history["loss"]),
        "loss": history["loss"][-1],
        "accuracy": None if found is None else found._asdict(),
        "seconds": round(sum(history["seconds"]), 1),
        "device": _device(device),
        "precision": precision,
        "processes": processes,
        "threads": torch.get_num_threads(),
        "commit": commit,
        # of all sessions of the run, where this is the last
        "commits": list(commits),
        "versions": {
            "resdyn": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
        },
    }


def commit_of_code() -> str | None:
    """The commit of the code, with "+" if files differ from it; None outside a git checkout."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        # an installed copy may lie inside the repository of something else
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _architecture(net: nn.Module) -> dict[str, Any]:
    described: Any = getattr(net, "architecture", None)
    if not isinstance(described, Mapping):
        return {"name": type(net).__qualname__}
    plain: dict[str, Any] = json.loads(json.dumps(dict(described), default=_plain))
    return plain


def _plain(value: Any) -> Any:
    """Numbers and arrays of NumPy and torch as those of Python; of anything else what it says of itself."""
    return value.tolist() if hasattr(value, "tolist") else repr(value)


def _data(of: Samples) -> dict[str, Any]:
    return {"name": of.name, "sha256": of.sha256, "samples": len(of)}


def _device(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"
