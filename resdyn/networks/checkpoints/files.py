"""Tensors from a file, whoever wrote it; no code of the file is ever run."""

import json
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resdyn._weights_read import note
from resdyn.networks.checkpoints.writing import CARD, FORMAT
from resdyn.networks.digests import sha256_of
from resdyn.networks.requirements import require

SUFFIXES = (".safetensors", ".th", ".pt", ".pth")
_OBJECT = re.compile(r"(?:GLOBAL|class) ([\w.]+\.\w+)")
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
_AVERAGES = ("state_dict_ema", "model_ema", "ema")
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
# of averaged models, and of a counter of operations: no weights
_COUNTERS = re.compile(r"n_averaged|(?:.*\.)?total_(?:ops|params)")


@dataclass(frozen=True, eq=False)
class Stored:
    """What a file holds: tensors by name, and the card, if it has one of ours."""

    path: Path
    tensors: dict[str, Tensor]
    card: dict[str, Any] | None


def read(path: Path) -> Stored:
    """Read a checkpoint.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file.
    ValueError
        If the file ends otherwise, is damaged, needs code to be run, or holds no tensors.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; give a file in it.")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}.")
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{str(path)!r} ends in {path.suffix!r}, but networks are read from {', '.join(SUFFIXES)}.")
    if path.suffix == ".safetensors":
        tensors, card = _read_safetensors(path)
    else:
        tensors, card = _unwrapped(_read_pickle(path), path), None
    if not tensors:
        raise ValueError(f"{str(path)!r} holds no tensors.")
    note(path)
    if card is None:
        tensors = _without_prefixes({name: t for name, t in tensors.items() if not _COUNTERS.fullmatch(name)})
    return Stored(path, tensors, card)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    require("safetensors", "a file that ends in .safetensors")
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
    except SafetensorError as error:
        raise ValueError(
            f"{str(path)!r} is damaged, or no safetensors file ({error}); fetch or write it anew."
        ) from None
    if CARD not in metadata:
        return tensors, None
    try:
        card = json.loads(metadata[CARD])
        found, _ = card["format"], card["architecture"]["name"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"the card of {str(path)!r} is damaged; write the file anew with resdyn.networks.save."
        ) from None
    if found != FORMAT:
        raise ValueError(
            f"the card of {str(path)!r} has format {found!r}, but this version of resdyn reads format {FORMAT}; "
            "update resdyn."
        )
    # older cards have none
    if card.get("sha256") not in (None, sha256_of(tensors)):
        raise ValueError(f"{str(path)!r} is damaged: its weights are not those that were written; fetch it anew.")
    return tensors, card


def _read_pickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # about versions of the format: what cannot be read is refused below
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        needed = _OBJECT.search(str(error))
        if needed is None:
            raise _damaged(path, error) from None
        raise ValueError(
            f"{str(path)!r} is refused: it holds more than tensors, it needs {needed[1]}, and to unpickle objects is "
            "to run whatever code the file names. Whoever trusts it can load it where it was written and store "
            "net.state_dict() alone."
        ) from None
    except Exception as error:  # the reader of torch ends in many ways on a damaged file
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{str(path)!r} is damaged, or was not written by torch.save ({_said(error)}); fetch it anew.")


def _said(error: Exception) -> str:
    """The line of an error that is about the file."""
    # before this word torch speaks of what its users may do
    lines = str(error).rpartition("WeightsUnpickler error:")[2].strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    """The state dict, from whatever dictionaries it is wrapped in."""
    while isinstance(content, Mapping):
        # state dicts are flat: a dictionary under such a key is what was wrapped, whatever else lies beside it
        keys = [key for key in (*_WRAPPERS, *_AVERAGES) if isinstance(content.get(key), Mapping)]
        if not keys:
            break
        averages = [key for key in keys if key in _AVERAGES]
        if averages and averages != keys:
            warnings.warn(
                f"{str(path)!r} holds weights under {keys[0]!r}, which are taken, and averaged ones under "
                f"{averages[0]!r}; to have those, store that dictionary alone.",
                stacklevel=2,
            )
        content = content[keys[0]]
    if isinstance(content, Mapping) and not any(isinstance(value, Tensor) for value in content.values()):
        seen = ", ".join(map(repr, list(content)[:8])) or "nothing"
        raise ValueError(
            f"{str(path)!r} holds a dictionary with {seen}, but no weights under "
            f"{', '.join((*_WRAPPERS, *_AVERAGES))}; store net.state_dict() alone."
        )
    if not isinstance(content, Mapping):
        raise ValueError(f"{str(path)!r} holds a {type(content).__name__}, but no state dict; store net.state_dict().")
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without what wrappers (data parallel, compile) put before all of them."""
    while True:
        prefix = next((prefix for prefix in _PREFIXES if all(name.startswith(prefix) for name in tensors)), None)
        if prefix is None:
            return tensors
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
