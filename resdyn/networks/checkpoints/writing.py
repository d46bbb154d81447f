"""A network into one safetensors file, with a card that says what it is."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resdyn import _storage
from resdyn._version import __version__
from resdyn.networks.architectures.contract import ResidualNetwork
from resdyn.networks.digests import sha256_of
from resdyn.networks.requirements import require

CARD = "resdyn"
"""The entry of the file's metadata that holds the card."""
FORMAT = 1
OWN_ENTRIES = ("format", "resdyn", "architecture", "preprocessing", "sha256")
"""What a card says besides ``net.card``."""


def save(net: ResidualNetwork, path: str | os.PathLike[str], *, dtype: torch.dtype | None = None) -> Path:
    """Write a network: weights and buffers as safetensors, and a JSON card in the header.

    The card holds ``net.architecture``, the preprocessing, and all of ``net.card`` (data, seed, epochs, accuracy,
    commit, classes, whatever is known), and a digest of the weights, by which :func:`resdyn.networks.load` sees damage.
    The file appears complete or not at all.

    Parameters
    ----------
    net : ResidualNetwork
        On any device.
    path : path
        Ends in ``.safetensors``; its folder exists.
    dtype : torch.dtype, optional
        A floating-point type to store in, for a small file: ``torch.float16`` rounds each number by up to 1 part in
        2048, ``torch.bfloat16`` by up to 1 in 256, and the outputs change accordingly. Integers, and numbers without
        axes (the coefficients of [yang2020]_), are kept as they are. As they are, all of them, if left out.

    Returns
    -------
    Path
        Where the file is.

    Raises
    ------
    TypeError
        If ``net`` is no ResidualNetwork, ``dtype`` no floating-point type, or the card holds what JSON cannot say.
    ValueError
        If the path ends otherwise, or a number is too large for ``dtype``.
    FileNotFoundError
        If there is no such folder.
    """
    require("safetensors", "a stored network")
    from safetensors.torch import save as to_bytes

    if not isinstance(net, ResidualNetwork):
        raise TypeError(
            f"net must be a ResidualNetwork, but is a {type(net).__name__}; build one with resdyn.networks."
        )
    target = Path(path)
    if target.suffix != ".safetensors":
        raise ValueError(f"networks are stored as .safetensors, but the path is {str(target)!r}; end it so.")
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise TypeError(f"dtype must be a floating-point type such as torch.float16, but is {dtype!r}.")
    tensors = {name: _stored(name, tensor, dtype) for name, tensor in net.state_dict().items()}
    card = _card(net, sha256_of(tensors))
    with _storage.written_whole(target) as handle:
        handle.write(to_bytes(tensors, metadata={CARD: card}))
    return target


def _card(net: ResidualNetwork, sha256: str) -> str:
    preprocessing = net.preprocessing
    card = {
        **net.card,
        "format": FORMAT,
        "resdyn": __version__,
        "architecture": net.architecture,
        "preprocessing": preprocessing and {"mean": preprocessing.mean, "std": preprocessing.std},
        "sha256": sha256,
    }
    try:
        return json.dumps(card, default=_plain, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"net.card or net.architecture cannot be written as JSON ({error}); "
            "keep numbers, words, lists and dictionaries in them."
        ) from None


def _plain(value: Any) -> Any:
    """Numbers and arrays of NumPy and torch as those of Python."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{value!r} of type {type(value).__name__}")


def _stored(name: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    # a copy of its own: safetensors refuses tensors that share memory
    copy = tensor.detach().to("cpu", copy=True).contiguous()
    if dtype is None or not copy.is_floating_point() or copy.ndim == 0:
        return copy
    rounded = copy.to(dtype)
    if bool((rounded.isfinite() != copy.isfinite()).any()):
        raise ValueError(
            f"{name!r} holds numbers up to {float(copy.abs().max()):.3g}, too large for {dtype}; "
            "store as torch.bfloat16, or leave dtype out."
        )
    return rounded
