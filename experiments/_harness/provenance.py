"""Where numbers come from: settings, commit, versions, seed, time, machine in words."""

import dataclasses
import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from experiments._harness.experiment import ROOT

PACKAGES = ("resdyn", "numpy", "scipy", "numba", "torch", "matplotlib")


def provenance(config: Any, *, key: str, seconds: float) -> dict[str, Any]:
    """Of a run that ends now."""
    settings = dataclasses.asdict(config)
    return {
        "key": key,
        "config": settings,
        "seed": settings.get("seed"),
        "commit": commit(),
        "versions": {"python": platform.python_version()} | versions(),
        "seconds": round(seconds, 1),
        "device": device(settings.get("device", "cpu")),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def commit() -> str | None:
    """Of the checkout, with a plus sign where tracked files were changed since; None outside of one."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + "+" * bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def versions() -> dict[str, str]:
    """Of the packages that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def device(name: str) -> str:
    """A device of torch in words."""
    if name.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(name)
    return f"{_processor()}, {os.cpu_count()} cores"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
