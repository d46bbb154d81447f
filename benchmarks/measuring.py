"""Timing side by side: the same work, one process, the same number of threads for everybody, medians."""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Terms:
    """The terms of a comparison, the same for everybody."""

    threads: int
    isa: str


def isolate() -> Terms:
    """Give this process as many cores as threads, and that many threads to every pool; call before other imports.

    ``--threads N`` (default 1). ``--isa avx2``: nobody, ours or peer, may use AVX-512; the numbers are then those of
    the many machines without it.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--isa", choices=["native", "avx2"], default="native")
    given, _ = parser.parse_known_args()
    terms = Terms(given.threads, given.isa)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: terms.threads]))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(terms.threads)
    single = str(terms.threads > 1).lower()
    flags = [f"--xla_cpu_multi_thread_eigen={single}", f"intra_op_parallelism_threads={terms.threads}"]
    if terms.isa == "avx2":
        # NumPy renamed its groups of instructions in 2.4
        new = tuple(int(part) for part in metadata.version("numpy").split(".")[:2]) >= (2, 4)
        groups = (
            "X86_V4 AVX512_ICL AVX512_SPR" if new else "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"
        )
        os.environ["NPY_DISABLE_CPU_FEATURES"] = groups
        os.environ["NUMBA_CPU_NAME"], os.environ["NUMBA_CPU_FEATURES"] = "x86-64-v3", ""
        os.environ["OPENBLAS_CORETYPE"] = "Haswell"
        flags.append("--xla_cpu_max_isa=AVX2")
    os.environ["XLA_FLAGS"] = " ".join(flags)
    return terms


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
    for package in ("resdyn", "numpy", "scipy", "numba", "jax", "diffrax", "pynamicalsys", "torch", "foolbox"):
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
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
