"""Timing side by side: the same work, one process, one thread for everybody, medians."""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any


def isolate() -> str:
    """Give this process one core, and one thread to every pool; call before importing anything numerical.

    With ``--isa avx2`` on the command line nobody, ours or peer, may use AVX-512: the numbers are then those of the
    many machines without it. Returns what was asked for.
    """
    isa = sys.argv[sys.argv.index("--isa") + 1] if "--isa" in sys.argv else "native"
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if isa == "avx2":
        # NumPy renamed its groups of instructions in 2.4
        new = tuple(int(part) for part in metadata.version("numpy").split(".")[:2]) >= (2, 4)
        groups = (
            "X86_V4 AVX512_ICL AVX512_SPR" if new else "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"
        )
        os.environ["NPY_DISABLE_CPU_FEATURES"] = groups
        os.environ["NUMBA_CPU_NAME"], os.environ["NUMBA_CPU_FEATURES"] = "x86-64-v3", ""
        os.environ["OPENBLAS_CORETYPE"] = "Haswell"
        os.environ["XLA_FLAGS"] += " --xla_cpu_max_isa=AVX2"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"
    return isa


def median_seconds(work: Callable[[], Any], *, repeats: int = 3, warm_up: bool = True) -> float:
    """Median wall time; the first call, which may compile, does not count."""
    if warm_up:
        work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


@dataclass
class Comparison:
    """One job, ours against peers; ``targets`` are the ratios that we promise."""

    job: str
    ours: float
    peers: dict[str, float]
    targets: dict[str, float]
    error: float
    ratios: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        self.ratios = {peer: seconds / self.ours for peer, seconds in self.peers.items()}

    def __str__(self) -> str:
        lines = [f"{self.job}: resdyn {self.ours:.3g} s, largest error {self.error:.2g}"]
        for peer, ratio in self.ratios.items():
            target = self.targets.get(peer)
            verdict = "" if target is None else f"  (target {target:g}: {'met' if ratio >= target else 'MISSED'})"
            lines.append(f"  {ratio:8.1f} × {peer} ({self.peers[peer]:.3g} s){verdict}")
        return "\n".join(lines)


def write(path: Path, comparisons: list[Comparison], extra: dict[str, Any] | None = None) -> None:
    """Numbers and what they depend on, as JSON."""
    versions = {}
    for package in ("resdyn", "numpy", "scipy", "numba", "jax", "diffrax"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    content = {
        "comparisons": [asdict(comparison) for comparison in comparisons],
        **(extra or {}),
        "versions": versions,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": 1,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
