"""The pickles of CIFAR-10 and CIFAR-100, read without giving them any code to run.

A pickle names the functions that rebuild its objects, so a forged one can call anything. The batches need an array of
bytes and nothing else; the few names it takes are answered here by stand-ins. Not even numpy's own functions are
handed out: with a forged ``dtype`` they can be made to take bytes of the file for addresses of objects.
"""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.data.layouts import CIFAR10, Layout, remedy

Array = NDArray[Any]

ROW = 3 * 32 * 32


def read_batch(path: Path, n_classes: int, *, layout: Layout = CIFAR10, key: str = "labels") -> tuple[Array, Array]:
    """Images, uint8 of shape (n, 3, 32, 32), and labels, int64 of shape (n,), of one batch of CIFAR.

    ``key`` is the entry that holds the labels.

    Raises
    ------
    ValueError
        If the file is no such batch, or names a global that it does not need.
    """
    batch = read_dictionary(path, ("data", key), layout)
    data, labels = batch["data"], batch[key]
    if not isinstance(data, _Array) or data.pixels.ndim != 2 or data.pixels.shape[1] != ROW:
        came = f"an array of shape {data.pixels.shape}" if isinstance(data, _Array) else f"a {type(data).__name__}"
        raise ValueError(
            f"the 'data' of {str(path)!r} is {came}, but {layout.title} has bytes of shape (n, {ROW}). {remedy(layout)}"
        )
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise ValueError(f"the {key!r} of {str(path)!r} are not a list of integers. {remedy(layout)}")
    if len(labels) != len(data.pixels):
        raise ValueError(
            f"{str(path)!r} holds {len(data.pixels)} images but {len(labels)} labels; "
            f"each image needs one. {remedy(layout)}"
        )
    outside = [label for label in labels if not 0 <= label < n_classes]
    if outside:
        raise ValueError(
            f"{str(path)!r} holds the label {outside[0]}, but labels run from 0 to {n_classes - 1}. {remedy(layout)}"
        )
    return data.pixels.reshape(-1, 3, 32, 32), np.array(labels, dtype=np.int64)


def read_class_names(path: Path, *, layout: Layout = CIFAR10, key: str = "label_names") -> tuple[str, ...]:
    """The names of the classes, from the file that lists them under ``key``.

    Raises
    ------
    ValueError
        If the file does not list them, or names a global that it does not need.
    """
    names = read_dictionary(path, (key,), layout)[key]
    if not isinstance(names, list) or not names or not all(isinstance(name, bytes | str) for name in names):
        raise ValueError(f"the {key!r} of {str(path)!r} are not a list of names. {remedy(layout)}")
    return tuple(name.decode("ascii", "replace") if isinstance(name, bytes) else name for name in names)


def read_dictionary(path: Path, keys: tuple[str, ...], layout: Layout = CIFAR10) -> dict[str, Any]:
    """The dictionary that a file of CIFAR holds, under text keys, with at least these.

    Raises
    ------
    ValueError
        If it is not such a pickle, or names a global that it does not need.
    """
    content = path.read_bytes()
    try:
        # Python 2 wrote the official files; its strings are bytes and stay so, image data as well as names.
        found = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a damaged pickle fails in any way: IndexError, KeyError, MemoryError, ...
        reason = str(error) if isinstance(error, _Unneeded) else f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{str(path)!r} is not a pickle as {layout.title} has them: {reason}. {remedy(layout)}"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"{str(path)!r} holds a {type(found).__name__}, not a dictionary. {remedy(layout)}")
    named = {key.decode("ascii", "replace") if isinstance(key, bytes) else key: value for key, value in found.items()}
    absent = [key for key in keys if key not in named]
    if absent:
        raise ValueError(
            f"{str(path)!r} has no entry {' and '.join(map(repr, absent))}, "
            f"only {', '.join(sorted(map(repr, named))) or 'an empty dictionary'}. {remedy(layout)}"
        )
    return named


class _Unneeded(pickle.UnpicklingError):
    """The file asks for something that no file of CIFAR needs."""


class _Dtype:
    """Stands in for the dtype of bytes, the only one there is."""

    def __setstate__(self, state: Any) -> None:
        """Byte order and padding: they mean nothing for single bytes."""


class _Array:
    """Stands in for an array; ``pixels`` is the real one."""

    pixels: Array = np.empty(0, dtype=np.uint8)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, content = state
        if not isinstance(dtype, _Dtype) or not isinstance(content, bytes):
            raise _Unneeded("it holds an array of something other than bytes")
        self.pixels = np.frombuffer(content, dtype=np.uint8).reshape(shape, order="F" if is_fortran else "C")


class _Global:
    """Stands in for a function: it can be called, but not altered, as a pickle may try with whatever it is given."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise _Unneeded("it tries to alter a function that it names")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _dtype(code: Any, *_: Any) -> _Dtype:
    if code not in ("u1", b"u1"):
        raise _Unneeded(f"it holds an array of dtype {code!r}, but images are bytes ('u1')")
    return _Dtype()


def _encode(text: str, *_: Any) -> bytes:
    return text.encode("latin1")


_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Global(_reconstruct),  # numpy 1, and the official files
    ("numpy._core.multiarray", "_reconstruct"): _Global(_reconstruct),  # numpy 2
    ("numpy", "ndarray"): "ndarray",  # only ever the first argument of _reconstruct
    ("numpy", "dtype"): _Global(_dtype),
    ("_codecs", "encode"): _Global(_encode),  # Python 3, asked for protocol 2, writes bytes in this way
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise _Unneeded(
                f"it asks for the global '{module}.{name}', which CIFAR does not need and which was refused, "
                "as a pickle can run code through it"
            )
        return _KNOWN[module, name]
