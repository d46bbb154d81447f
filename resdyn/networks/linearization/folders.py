"""A folder of measurements, one file for each, and of what they depend on."""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from resdyn import _storage
from resdyn.networks.digests import sha256_of
from resdyn.networks.unrolling.unrolled import UnrolledNetwork

if TYPE_CHECKING:
    from resdyn.networks.linearization.batches import Measure, Place, Request

Array = NDArray[Any]

SETTINGS = "settings.json"
_WORDS = {"weights": "the network has other weights or layers", "kind": "other quantities were measured"}


@dataclass(frozen=True)
class Folder:
    """Measurements of one network with the same options; further inputs, units and readings may come later."""

    path: Path
    measure: "Measure"

    @classmethod
    def opened(cls, path: str | os.PathLike[str], request: "Request") -> "Folder":
        """A new folder, or one of the same request, or of the same for fewer inputs.

        Raises
        ------
        ValueError
            If it holds measurements of another network, of other inputs, or with other options.
        """
        folder = cls(Path(path), request.measure)
        folder.path.mkdir(parents=True, exist_ok=True)
        wanted, stored = settings_of(request), folder.settings()
        if stored is not None:
            _refuse_others(stored, wanted, folder.path)
        if stored is None or len(stored["inputs"]) < len(wanted["inputs"]):
            with _storage.written_whole(folder.path / SETTINGS) as handle:
                handle.write(json.dumps(wanted, indent=1).encode())
        return folder

    def settings(self) -> dict[str, Any] | None:
        """What the measurements in it depend on; None for a new folder."""
        path = self.path / SETTINGS
        try:
            found = json.loads(path.read_text())
            if not isinstance(found["inputs"], list):
                raise TypeError("inputs is no list")
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{str(path)!r} cannot be read ({error}), so it is not known what the files beside it belong to; take "
                "another folder, or delete this one."
            ) from None
        return dict(found)

    def read(self, place: "Place", size: int) -> dict[str, Array] | None:
        """A measurement; None if there is none, or a damaged one."""
        try:
            arrays, _ = _storage.read_npz(self._file(place), self.measure.kind)
        except (FileNotFoundError, ValueError):
            return None
        return arrays if "seconds" in arrays and self.measure.fits(arrays, size) else None

    def write(self, place: "Place", measurement: dict[str, Array]) -> None:
        """Whole or not at all."""
        _storage.write_npz(self._file(place), measurement, {"kind": self.measure.kind})

    def _file(self, place: "Place") -> Path:
        return self.path / f"input-{place.input:05d}-unit-{place.unit:04d}-{place.reading}.npz"


def settings_of(request: "Request") -> dict[str, Any]:
    """What the measurements depend on, with digests of weights and of each input."""
    return {
        "kind": request.measure.kind,
        "network": request.network.name,
        "weights": _digest_of(request.network),
        "inputs": [hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest() for x in request.x],
        **request.options,
        **request.measure.settings,
    }


def _digest_of(network: UnrolledNetwork) -> str:
    """Of the weights that lead to the last state, and of the layers as they print themselves."""
    tensors: dict[str, torch.Tensor] = {}
    texts = []
    for part in (network.stem, *network.units):
        module: Any = part.function.module
        if hasattr(module, "follow"):
            module.follow()
        tensors |= {f"{part.name}.{name}": t.detach().cpu() for name, t in module.state_dict().items()}
        texts.append(re.sub(r" at 0x[0-9a-f]+", "", repr(module)))
    return sha256_of(tensors, "\n".join(texts))


def _refuse_others(stored: dict[str, Any], wanted: dict[str, Any], path: Path) -> None:
    differences = []
    for name in {**stored, **wanted}:
        before, now = stored.get(name), wanted.get(name)
        if name == "inputs":
            other = [i for i, pair in enumerate(zip(stored[name], wanted[name], strict=False)) if pair[0] != pair[1]]
            differences += [f"input {i} is another" for i in other[:1]]
        elif before != now:
            differences.append(_WORDS.get(name, f"{name} was {before!r} and is {now!r}"))
    if differences:
        raise ValueError(
            f"{str(path)!r} holds measurements of another request: {'; '.join(differences)}. Take another folder, or "
            "ask for what this one holds."
        )
