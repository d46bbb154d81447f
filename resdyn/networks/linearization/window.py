r"""The window in which a banded matrix is eliminated, with BLAS and LAPACK acting in place.

The routines are those of SciPy's Cython interface, called through their addresses: they take leading dimensions, so
that no part of the window is copied, and they run without the interpreter's lock, so that counts can run side by side.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Integers = NDArray[np.int64]

STRIP = 96
"""Columns of the window updated by one product, of which the upper triangle is wasted."""

BLOCK = 64
"""Columns that LAPACK factors at once."""


@cache
def _routine(module: str, name: str) -> Callable[..., None]:
    """A Fortran routine of SciPy."""
    import importlib

    capsule = importlib.import_module(f"scipy.linalg.cython_{module}").__pyx_capi__[name]
    signature = ctypes.pythonapi.PyCapsule_GetName
    signature.restype, signature.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    declared = signature(capsule)
    count = declared.count(b",") + 1
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * count)(pointer(capsule, declared))


@cache
def _integer() -> Any:
    """The type of integers of this BLAS, 32 or 64 bits: names in declarations change, so a call tells."""
    x = np.ones(1)
    # One in 32 bits, and negative in 64: of a negative number of entries none is multiplied.
    count, step = (np.array(words, dtype=np.int32) for words in ([1, -1], [1, 0]))
    _routine("blas", "dscal")(count.ctypes.data, ctypes.byref(ctypes.c_double(2.0)), x.ctypes.data, step.ctypes.data)
    return ctypes.c_int32 if x[0] == 2.0 else ctypes.c_int64


def _call(module: str, name: str, *arguments: Any) -> None:
    """Calls a routine with letters (bytes), integers, floats, arrays, and addresses of entries (``c_void_p``)."""
    routine, integer = _routine(module, name), _integer()
    converted: list[Any] = []
    for argument in arguments:
        kind = type(argument)
        if kind is int:
            converted.append(ctypes.byref(integer(argument)))
        elif kind is float:
            converted.append(ctypes.byref(ctypes.c_double(argument)))
        elif kind is np.ndarray:
            converted.append(argument.ctypes.data)
        else:
            converted.append(argument)
    routine(*converted)


@dataclass(frozen=True)
class Pivots:
    r"""A factored pivot block, :math:`P = Q L D L^{\mathsf T} Q^{\mathsf T}`, and what it does to the rows below.

    Those two matrices are in the memory of the window: copy them to keep them.
    """

    order: Integers
    L: Array
    inverse_diagonal: Array
    inverse_off: Array
    eigenvalues: Array
    """Of D."""
    reduced: Array
    r""":math:`W = B Q L^{-\mathsf T}`, rows below × columns."""
    multipliers: Array
    r""":math:`Y = W D^{-1}`."""


class Window:
    """The rows and columns of a symmetric matrix (lower triangle) that take part in an elimination."""

    def __init__(self, width: int) -> None:
        self._base, self._start, self._end = 0, 0, 0
        self._allocate(width)

    def _allocate(self, width: int) -> None:
        # Room to slide, so that the contents are moved only now and then. An odd leading dimension (in lines of
        # cache) keeps the columns from falling on each other there.
        size = 8 * ((width + max(width // 2, 4 * STRIP)) // 8 | 1)
        self._array = np.zeros((size, size), order="F")
        self._flat = self._array.reshape(-1, order="F")
        self._scratch = [np.empty(0), np.empty(0)]

    def extend(self, start: int, end: int) -> None:
        """Let rows from ``start`` up to ``end`` take part; new ones are zero."""
        size = len(self._array)
        if end - self._base > size:
            lo, hi = start - self._base, self._end - self._base
            live = self._array[lo:hi, lo:hi].copy(order="F")
            if end - start > size:
                self._allocate(end - start)
            self._array[: hi - lo, : hi - lo] = live
            self._base = start
        if end > self._end:
            self._array[self._end - self._base : end - self._base, start - self._base : end - self._base] = 0.0
        self._start, self._end = start, max(end, self._end)

    def add(self, rows: Integers, columns: Integers, values: Array) -> None:
        """Add entries of the matrix; no place twice."""
        ld = len(self._array)
        self._flat[rows + columns * ld - self._base * (ld + 1)] += values

    def factor(self, columns: int, *, limit: float, zero: float) -> Pivots | None:
        """Factor the pivot block of the first columns; None if the rows below would need other pivots.

        They do where a multiplier exceeds ``limit``, or where a pivot is zero and its column is not.
        """
        o, r = self._start - self._base, self._end - self._start - columns
        L = self._array[o : o + columns, o : o + columns].copy(order="F")
        order, diagonal, off = _bunch_kaufman(L)
        eigenvalues, inverse_diagonal, inverse_off = _inverse(diagonal, off, zero)
        W, Y = self._rectangles(r, columns)
        np.take(self._array[o + columns : o + columns + r, o : o + columns].T, order, axis=0, out=W.T, mode="clip")
        if r:
            _call("blas", "dtrsm", b"R", b"L", b"T", b"U", r, columns, 1.0, L, columns, W, r)
        np.multiply(W, inverse_diagonal, out=Y)
        pairs = np.flatnonzero(off)
        Y[:, pairs] += W[:, pairs + 1] * inverse_off[pairs]
        Y[:, pairs + 1] += W[:, pairs] * inverse_off[pairs]
        largest = max(float(Y.max(initial=0.0)), -float(Y.min(initial=0.0)))
        if largest > limit or (abs(W[:, inverse_diagonal == 0.0]) > zero).any():
            return None
        return Pivots(order, L, inverse_diagonal, inverse_off, eigenvalues, W, Y)

    def _rectangles(self, rows: int, columns: int) -> list[Array]:
        """Two matrices (Fortran order) in memory that all panels use, one after another: fresh pages are slow."""
        if rows * columns > len(self._scratch[0]):
            self._scratch = [np.empty(rows * columns) for _ in range(2)]
        return [array[: rows * columns].reshape(rows, columns, order="F") for array in self._scratch]

    def reduce(self, pivots: Pivots) -> None:
        """Subtract what the pivots leave on the rows below."""
        r, columns = pivots.multipliers.shape
        ld, first = len(self._array), self._start - self._base + columns
        for j in range(0, r, STRIP):
            place = self._array.ctypes.data + 8 * (first + j) * (ld + 1)
            _call(
                "blas",
                "dgemm",
                b"N",
                b"T",
                r - j,
                min(STRIP, r - j),
                columns,
                -1.0,
                ctypes.c_void_p(pivots.multipliers.ctypes.data + 8 * j),
                r,
                ctypes.c_void_p(pivots.reduced.ctypes.data + 8 * j),
                r,
                1.0,
                ctypes.c_void_p(place),
                ld,
            )
        self._start += columns


def _bunch_kaufman(block: Array) -> tuple[Integers, Array, Array]:
    """Order of the pivots, diagonal and off-diagonal of D; the block (lower triangle) is overwritten with L."""
    n = len(block)
    integer = np.dtype(_integer())
    pivots, info = np.zeros(n, dtype=integer), np.zeros(1, dtype=integer)
    work, off = np.empty(BLOCK * n), np.zeros(n)
    # info > 0 tells of a pivot that is exactly zero, which is no failure here.
    _call("lapack", "dsytrf", b"L", n, block, n, pivots, work, work.size, info)
    _call("lapack", "dsyconv", b"L", b"C", n, block, n, pivots, off, info)
    order = list(range(n))
    k, swaps = 0, pivots.tolist()
    while k < n:
        # A pivot of order 2 is marked at both of its rows, and interchanges the second.
        k += swaps[k] < 0
        other = abs(swaps[k]) - 1
        order[k], order[other] = order[other], order[k]
        k += 1
    return np.array(order, dtype=np.int64), block.diagonal().copy(), off[: n - 1]


def _inverse(diagonal: Array, off: Array, zero: float) -> tuple[Array, Array, Array]:
    """Eigenvalues of D; diagonal and off-diagonal of its inverse, in which pivots up to ``zero`` count as zero."""
    eigenvalues = diagonal.copy()
    inverse = np.zeros_like(diagonal)
    alone = abs(diagonal) > zero
    inverse[alone] = 1.0 / diagonal[alone]
    inverse_off = np.zeros_like(off)
    i = np.flatnonzero(off)
    if len(i):
        first, b, second = diagonal[i], off[i], diagonal[i + 1]
        middle, radius = (first + second) / 2, np.hypot((first - second) / 2, b)
        eigenvalues[i], eigenvalues[i + 1] = middle + radius, middle - radius
        # Divided by b first, whose square may leave the range of floats.
        determinant = b * ((first / b) * (second / b) - 1.0)
        inverse[i], inverse[i + 1], inverse_off[i] = second / b / determinant, first / b / determinant, -1 / determinant
    return eigenvalues, inverse, inverse_off
