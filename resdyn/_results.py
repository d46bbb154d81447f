"""What every result of an analysis can do: say itself in words, in a notebook, in a file, as a dataset."""

import dataclasses
import html
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from resdyn import _storage
from resdyn._types import System

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]


class Result:
    """What frozen dataclasses of arrays, numbers, words and at most one System (called ``system``) have in common.

    A subclass writes ``__repr__`` (the answer in words) and ``to_dataset``, and may give :meth:`_table`.
    """

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one ``.npz`` (no pickle), whole or not at all.

        Systems with a weight matrix and a named activation are stored with their weights. Of others only the name
        is stored, and :meth:`load` asks for them.
        """
        arrays: dict[str, Array] = {}
        meta: dict[str, Any] = {"kind": type(self).__name__, "fields": {}}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.name == "system" and value is not None:
                meta["system"] = describe_system(value)
                arrays |= {f"system_{name}": array for name, array in meta["system"].pop("arrays").items()}
            elif isinstance(value, np.ndarray):
                arrays[field.name] = value
            else:
                meta["fields"][field.name] = value
        _storage.write_npz(path, arrays, meta)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, system: System | None = None) -> Self:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path
        system : System, optional
            Needed if the file does not hold the system (a rule in Python, formulas, a network).
        """
        arrays, meta = _storage.read_npz(path, cls.__name__)
        own = {name.removeprefix("system_"): arrays.pop(name) for name in list(arrays) if name.startswith("system_")}
        fields: dict[str, Any] = {name: _as_tuple(value) for name, value in meta["fields"].items()}
        if "system" in meta:
            if system is None:
                system = restore_system(meta["system"], own, path)
            elif repr(system) != meta["system"]["repr"] or list(system.shape) != meta["system"]["shape"]:
                raise ValueError(
                    f"{str(path)!r} holds a {cls.__name__} of another system than the one given; "
                    "give the one it was made from.\n"
                    f"  stored: {meta['system']['repr']}, states of shape {tuple(meta['system']['shape'])}\n"
                    f"  given:  {system!r}, states of shape {system.shape}"
                )
            fields["system"] = system
        return cls(**fields, **arrays)

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset``."""
        raise NotImplementedError

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]] | None:
        """Header and rows of the notebook form, a few at most."""
        return None

    def _repr_html_(self) -> str:
        text = f"<p>{html.escape(repr(self)).replace(chr(10), '<br>')}</p>"
        table = self._table()
        if table is None:
            return text
        header, rows = table

        def row(cells: Sequence[Any], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

        body = "".join(row(cells, "td") for cells in rows)
        return f"{text}<table><thead>{row(header, 'th')}</thead><tbody>{body}</tbody></table>"


def dataset(
    variables: Mapping[str, tuple[Sequence[str], Any]],
    *,
    coords: Mapping[str, Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> "xarray.Dataset":
    """An ``xarray.Dataset`` from (dimensions, values) pairs, or an error that names the extra to install."""
    try:
        import xarray
    except ImportError as error:
        raise ImportError('to_dataset needs xarray; install it with: pip install "resdyn[sweep]"') from error
    return xarray.Dataset(dict(variables), coords=dict(coords or {}), attrs=dict(attrs or {}))


def batch_dims(n: int) -> list[str]:
    """The names of n batch axes."""
    return [f"batch_{i}" for i in range(n)] if n > 1 else ["batch"] * n


def unit_dims(n: int) -> list[str]:
    """The names of the n axes of a state."""
    return [f"unit_{i}" for i in range(n)] if n > 1 else ["unit"] * n


def _as_tuple(value: Any) -> Any:
    """JSON knows only lists; results hold tuples."""
    if isinstance(value, list):
        return tuple(_as_tuple(entry) for entry in value)
    return value


def describe_system(system: System) -> dict[str, Any]:
    """What is stored of a system; ``arrays`` is empty where it cannot be restored."""
    from resdyn.activations import NAMED
    from resdyn.matrix_family import LogisticResiduals, ResidualMap

    described: dict[str, Any] = {"name": system.name, "type": type(system).__name__, "step": system.step, "arrays": {}}
    described["repr"], described["shape"] = repr(system), list(system.shape)
    if isinstance(system, ResidualMap) and system.activation is NAMED.get(system.activation.name):
        described["activation"] = system.activation.name
        described["arrays"] = {name: getattr(system, name) for name in ("W", "b", "damping", "gain")}
    elif isinstance(system, LogisticResiduals):
        described["arrays"] = {"W": system.W, "b": system.b}
    return described


def restore_system(described: dict[str, Any], arrays: dict[str, Array], path: Any) -> System:
    """The system that :func:`describe_system` described."""
    from resdyn.matrix_family import LogisticResiduals, ResidualMap

    common: dict[str, Any] = {"step": described["step"], "name": described["name"], **arrays}
    if arrays and described["type"] == "ResidualMap":
        return ResidualMap(activation=described["activation"], **common)
    if arrays and described["type"] == "LogisticResiduals":
        return LogisticResiduals(**common)
    raise ValueError(
        f"{str(path)!r} was made from {described['name']!r} ({described['type']}), which is code and not data; "
        "make the system again and pass it: load(path, system=...)."
    )
