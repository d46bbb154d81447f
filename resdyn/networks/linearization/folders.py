"""A folder of measurements, one file for each, and of what they depend on.

Weights and the printed form of layers do not say all that a network does: a number may be an attribute, or be written
in ``forward``. So the folder keeps what the first input makes of the network, state by state, and each file a digest of
what it was measured with.
"""

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
from resdyn.networks.linearization.states import sketch
from resdyn.networks.unrolling.unrolled import UnrolledNetwork

if TYPE_CHECKING:
    from resdyn.networks.linearization.batches import Measure, Place, Request

Array = NDArray[Any]

SETTINGS = "settings.json"
SAME = 1e-9
"""States that differ by less than this, relative to their norm, differ by rounding: with other threads or devices."""

_LAYERS = "the network has other weights or layers"
_WORDS = {"weights": _LAYERS, "states": _LAYERS, "kind": "other quantities were measured"}


@dataclass(frozen=True)
class Folder:
    """Measurements of one network with the same options; further inputs, units and readings may come later."""

    path: Path
    measure: "Measure"
    wanted: dict[str, Any]
    """What the measurements that are asked for depend on."""

    @classmethod
    def opened(cls, path: str | os.PathLike[str], request: "Request") -> "Folder":
        """A new folder, or one of the same request, or of the same for fewer inputs.

        Raises
        ------
        ValueError
            If it holds measurements of another network, of other inputs, with other options, or of none knows what.
        NotADirectoryError
            If it is a file.
        """
        if Path(path).exists() and not Path(path).is_dir():
            raise NotADirectoryError(f"{str(path)!r} is a file; pass a folder, new or with measurements.")
        wanted = settings_of(request)
        folder = cls(Path(path), request.measure, wanted)
        folder.path.mkdir(parents=True, exist_ok=True)
        stored = folder.settings()
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
            measured = sorted(self.path.glob("input-*.npz"))
            if not measured:
                return None
            raise ValueError(
                f"{str(path)!r} is missing, so it is not known what {measured[0].name!r} and its neighbours belong to; "
                "take another folder, or delete this one."
            ) from None
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{str(path)!r} cannot be read ({error}), so it is not known what the files beside it belong to; take "
                "another folder, or delete this one."
            ) from None
        return dict(found)

    def read(self, place: "Place", size: int) -> dict[str, Array] | None:
        """A measurement; None if there is none, a damaged one, or one of something else."""
        try:
            arrays, meta = _storage.read_npz(self._file(place), self.measure.kind)
        except (FileNotFoundError, ValueError):
            return None
        if meta != self._meta(place):
            return None
        return arrays if "seconds" in arrays and self.measure.fits(arrays, size) else None

    def write(self, place: "Place", measurement: dict[str, Array]) -> None:
        """Whole or not at all."""
        _storage.write_npz(self._file(place), measurement, self._meta(place))

    def _meta(self, place: "Place") -> dict[str, Any]:
        """What a file says of itself: two processes may have begun in a new folder, or someone renamed files."""
        of = {name: value for name, value in self.wanted.items() if name not in ("inputs", "states")}
        request = json.dumps([of, self.wanted["inputs"][place.input]], sort_keys=True)
        name = self.wanted["units"][place.unit]
        return {
            "kind": self.measure.kind,
            "place": [place.input, name, place.reading],
            "request": hashlib.sha256(request.encode()).hexdigest(),
        }

    def _file(self, place: "Place") -> Path:
        return self.path / f"input-{place.input:05d}-unit-{place.unit:04d}-{place.reading}.npz"


def settings_of(request: "Request") -> dict[str, Any]:
    """What the measurements depend on, with digests of weights and of each input."""
    return {
        "kind": request.measure.kind,
        "network": request.network.name,
        "units": [unit.name for unit in request.network.units],
        "weights": _digest_of(request.network),
        "states": sketch(request.network, request.x[:1]),
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
        elif name == "states":
            # another input makes other states, and is named already
            if stored["inputs"][:1] == wanted["inputs"][:1] and not _same_states(before, now):
                differences.append(_WORDS[name])
        elif before != now:
            differences.append(_WORDS.get(name, f"{name} was {before!r} and is {now!r}"))
    if differences:
        raise ValueError(
            f"{str(path)!r} holds measurements of another request: {'; '.join(dict.fromkeys(differences))}. Take "
            "another folder, or ask for what this one holds."
        )


def _same_states(before: Any, now: Any) -> bool:
    """Whether two sketches are those of the same network, but for rounding."""
    if np.shape(before) != np.shape(now):
        return False
    one, other = np.asarray(before, dtype=float), np.asarray(now, dtype=float)
    return bool(np.isclose(one, other, rtol=0, atol=SAME * other[:, :1], equal_nan=True).all())
