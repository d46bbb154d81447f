"""Where numbers come from: settings, commit, versions, seed, time, machine in words."""

import ast
import dataclasses
import datetime
import functools
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import resdyn
from experiments._harness.experiment import ROOT
from experiments._harness.fingerprints import digest, text_of

RESDYN = Path(resdyn.__file__).parent
MIXED = "mixed"
PACKAGES = ("resdyn", "numpy", "scipy", "numba", "torch", "matplotlib")


class Origin:
    """Which code works here: taken when the work begins, since files may change while it goes on.

    Attributes
    ----------
    commits : list of str
        Of this process, and of earlier ones whose parts are used.
    nets : dict
        Digests of the files of trained nets that were read, by name, here and for these parts.
    """

    def __init__(self) -> None:
        now = commit()
        self.now = now
        self.commits = [] if now is None else [now]
        self.nets: dict[str, str] = {}
        self._sources = Sources()
        self._mixed: set[str] = set()

    def here(self) -> dict[str, Any]:
        """Of what this process makes."""
        return {"commit": self.now, "resdyn": self._sources.digests(loaded_packages())}

    def add(self, other: dict[str, Any]) -> None:
        """What another process made is used."""
        if other.get("commit") is not None and other["commit"] not in self.commits:
            self.commits.append(other["commit"])
        self.nets |= other.get("nets", {})
        stored = other.get("resdyn", {})
        here = self._sources.digests(stored)
        self._mixed |= {name for name, value in stored.items() if here.get(name) != value}

    def resdyn(self) -> dict[str, str]:
        """Digests of the packages that were used, "mixed" where parts were made with others."""
        return self._sources.digests(loaded_packages()) | dict.fromkeys(self._mixed, MIXED)


class Sources:
    """The files of resdyn as they are when this is made."""

    def __init__(self) -> None:
        self._texts: dict[str, list[bytes]] = {}
        for path in sorted(RESDYN.rglob("*.py")):
            package = ".".join(path.parent.relative_to(RESDYN.parent).parts)
            self._texts.setdefault(package, []).append(path.read_bytes())
        self.digest = functools.cache(self._digest)

    def digests(self, packages: Iterable[str]) -> dict[str, str]:
        """Of the modules of each package, without comments and docstrings."""
        return {name: self.digest(name) for name in packages if name in self._texts}

    def _digest(self, package: str) -> str:
        return digest(*(text_of(ast.parse(text)) for text in self._texts[package]))


def loaded_packages() -> list[str]:
    """Those of resdyn that were imported, but for figures."""
    names = [name for name in sys.modules if name.partition(".")[0] == "resdyn"]
    packages = {name if hasattr(sys.modules[name], "__path__") else name.rpartition(".")[0] for name in names}
    return sorted(name for name in packages if not name.startswith("resdyn.plotting"))


def is_other_resdyn(origin: dict[str, Any], sources: Sources) -> bool:
    """Whether results were made with another state of the packages of resdyn; False where it is not known."""
    stored = origin.get("resdyn") or {}
    return bool(sources.digests(stored) != stored)


def provenance(config: Any, *, key: str, seconds: float, origin: Origin) -> dict[str, Any]:
    """Of a run that ends now."""
    settings = dataclasses.asdict(config)
    return {
        "key": key,
        "config": settings,
        "seed": settings.get("seed"),
        "commit": ", ".join(origin.commits) or None,
        "nets": dict(sorted(origin.nets.items())),
        "resdyn": origin.resdyn(),
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
