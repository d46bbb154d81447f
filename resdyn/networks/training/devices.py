"""Where and in which precision a net is trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from resdyn.networks.devices import named_device
from resdyn.networks.training.config import Precision


def training_device(device: Any = None) -> torch.device:
    """The device asked for, or the GPU if there is one, or the CPU.

    Raises
    ------
    ValueError
        If there is no such kind of device, or nets are not trained on it.
    RuntimeError
        If CUDA is asked for and absent.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    place = named_device(device)
    if place.type not in ("cpu", "cuda"):
        raise ValueError(f"device is {str(place)!r}, but nets are trained on 'cpu' or 'cuda'; pass one of these.")
    return place


def resolved_precision(precision: Precision, device: torch.device) -> str:
    """The precision that is used on this device, "32", "bf16-mixed" or "16-mixed".

    Raises
    ------
    ValueError
        For "16-mixed" on the CPU.
    """
    if precision == "16-mixed" and device.type == "cpu":
        raise ValueError("precision '16-mixed' needs a GPU; pass 'bf16-mixed', '32' or 'auto' on a CPU.")
    if precision != "auto":
        return precision
    return "bf16-mixed" if _multiplies_bfloat16(device) else "32"


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # torch has no public question for it; without an answer single precision is the safe choice
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Deterministic algorithms on the CPU; the caller's settings come back."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
