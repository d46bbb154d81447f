"""The IDX files of MNIST: a magic number, the sizes of the axes, the bytes."""

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.data.layouts import MNIST, remedy

UNSIGNED_BYTE = 0x08


def read_idx(path: Path, ndim: int) -> NDArray[Any]:
    """The array of unsigned bytes in an IDX file, zipped or not.

    Raises
    ------
    ValueError
        If the file is no IDX file of bytes with ``ndim`` axes, or is damaged or cut short.
    """
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{str(path)!r} is damaged or cut short ({error}). {remedy(MNIST)}") from error
    header = 4 + 4 * ndim
    magic = bytes([0, 0, UNSIGNED_BYTE, ndim])
    if content[:4] != magic:
        raise ValueError(
            f"{str(path)!r} begins with 0x{content[:4].hex()}, but an IDX file of bytes with {ndim} "
            f"{'axis' if ndim == 1 else 'axes'} begins with 0x{magic.hex()}. {remedy(MNIST)}"
        )
    if len(content) < header:
        raise ValueError(f"{str(path)!r} is cut short within its header of {header} bytes. {remedy(MNIST)}")
    shape = tuple(int(n) for n in np.frombuffer(content, dtype=">u4", count=ndim, offset=4))
    if len(content) - header != math.prod(shape):
        raise ValueError(
            f"{str(path)!r} announces {' × '.join(map(str, shape))} = {math.prod(shape)} bytes, "
            f"but holds {len(content) - header}. {remedy(MNIST)}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
