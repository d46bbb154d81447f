"""How much memory a request may take."""

from pathlib import Path

import psutil


def available_bytes() -> int:
    """Memory that can still be taken: the machine's, or what a container's limit leaves of it."""
    available = int(psutil.virtual_memory().available)
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):  # no control group, or no limit ("max")
        return available
    return min(available, max(limit - used, 0))


def readable(n_bytes: float) -> str:
    """A number of bytes for people: ``1.5 GiB``."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if n_bytes < 1024:
            return f"{n_bytes:.0f} {unit}" if unit == "bytes" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.1f} PiB"


def require(n_bytes: int, what: str, remedy: str) -> None:
    """Raise MemoryError if ``n_bytes`` cannot be had, before anything is allocated."""
    available = available_bytes()
    if n_bytes > available:
        raise MemoryError(
            f"{what} needs {n_bytes} bytes ({readable(n_bytes)}), but {readable(available)} are available; {remedy}."
        )
