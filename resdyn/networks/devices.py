"""The device that a caller names, if it is there."""

from typing import Any

import torch


def named_device(device: Any) -> torch.device:
    """The device of this name.

    Raises
    ------
    ValueError
        If torch knows no such kind of device.
    RuntimeError
        If it is a CUDA device, and there is none, or none of this number.
    """
    try:
        wanted = torch.device(device)
    except (TypeError, RuntimeError) as error:
        raise ValueError(
            f"device is {device!r}, which torch does not know ({str(error).splitlines()[0]}); pass 'cpu' or 'cuda'."
        ) from None
    if wanted.type == "cuda":
        _check_cuda(wanted)
    return wanted


def _check_cuda(wanted: torch.device) -> None:
    if not torch.cuda.is_available():
        raise RuntimeError(
            f"device is {str(wanted)!r}, but torch finds no CUDA device here; leave device= out or pass device='cpu', "
            "or install a torch built for CUDA and check the driver."
        )
    present = torch.cuda.device_count()
    if wanted.index is not None and wanted.index >= present:
        raise RuntimeError(
            f"device is {str(wanted)!r}, but torch finds {present} CUDA device{'' if present == 1 else 's'} here, "
            f"numbered from 0; pass 'cuda:{present - 1}' or a smaller number."
        )
