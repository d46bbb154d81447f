"""The linear layers of a run as sparse matrices, of which only the rows or columns that are asked for are made."""

from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from resdyn.networks.linearization.assembly import convolution_columns, convolution_rows, selection

Array = NDArray[Any]
Indices = NDArray[np.int64]


class Linear(Protocol):
    """A linear map of flattened states."""

    has_weights: bool

    @property
    def reach(self) -> int:
        """Over how many pixels an output looks, beyond its own."""

    def rows(self, outputs: Indices) -> Any:
        """These rows of its matrix, CSR."""

    def columns(self, inputs: Indices) -> Any:
        """These columns of its matrix, CSC."""


class Convolution:
    """A convolution of (C, H, W) without its bias."""

    has_weights = True

    def __init__(self, weight: Array, shape: tuple[int, ...], *, has_weights: bool = True, **options: Any) -> None:
        channels, height, width = shape
        self.weight, self.shape, self.options = weight, (channels, height, width), options
        self.has_weights = has_weights  # not those of a mean over pixels

    @property
    def reach(self) -> int:
        dilation = np.atleast_1d(self.options["dilation"])
        return int(((np.array(self.weight.shape[2:]) - 1) * dilation).max(initial=0))

    def rows(self, outputs: Indices) -> Any:
        return convolution_rows(self.weight, self.shape, rows=outputs, **self.options)

    def columns(self, inputs: Indices) -> Any:
        return convolution_columns(self.weight, self.shape, columns=inputs, **self.options)


class Matrix:
    """A matrix, the same for each of so many parts of the state: I ⊗ W, or W ⊗ I."""

    has_weights, reach = True, 0

    def __init__(self, weight: Array, *, before: int = 1, after: int = 1, has_weights: bool = True) -> None:
        self.weight, self.before, self.after, self.has_weights = weight, before, after, has_weights

    @cached_property
    def matrix(self) -> Any:
        """All of it, CSR."""
        found = sparse.csr_array(self.weight)
        if self.before > 1:
            found = sparse.kron(sparse.eye_array(self.before), found, format="csr")
        if self.after > 1:
            found = sparse.kron(found, sparse.eye_array(self.after), format="csr")
        return sparse.csr_array(found)

    def rows(self, outputs: Indices) -> Any:
        return self.matrix[outputs]

    def columns(self, inputs: Indices) -> Any:
        return sparse.csc_array(self.matrix)[:, inputs]


class Selection:
    """Each output is one of the inputs, or a constant (−1): slices, padding, permutations, the largest of a window."""

    has_weights, reach = False, 0

    def __init__(self, source: Indices, size: int, *, is_largest: bool = False) -> None:
        self.source, self.size = source, size
        self.is_largest = is_largest  # of a window, so that another state selects others

    @cached_property
    def is_identity(self) -> bool:
        """Whether all stays where it was: a view in another shape."""
        return len(self.source) == self.size and bool((self.source == np.arange(self.size)).all())

    @cached_property
    def matrix(self) -> Any:
        """All of it, CSR."""
        return selection(self.source, self.size)

    def rows(self, outputs: Indices) -> Any:
        return self.matrix[outputs]

    def columns(self, inputs: Indices) -> Any:
        return sparse.csc_array(self.matrix)[:, inputs]
