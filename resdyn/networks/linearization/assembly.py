r"""Sparse matrices of layers, and of units.

A convolution without bias is a matrix on flattened states: its output at channel o, row i, column j is

.. math:: y_{o,i,j} = \sum_{c,k,l} w_{o,c,k,l}\; x_{c,\; i s - q + k d,\; j s - q + l d}

with stride s, padding q, dilation d. Only the rows or columns that are asked for are built: those of active units.
Entries are kept where the pattern of the layer has them, also if a weight is zero.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from resdyn.networks.linearization.factors import Factors

Array = NDArray[Any]
Shape = tuple[int, int, int]
Pair = int | tuple[int, int]


# --- layers ----------------------------------------------------------------------------------------


def convolution_rows(
    weight: Any,
    shape: Shape,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
    rows: Any = None,
) -> Any:
    r"""Rows of the matrix of a convolution without bias.

    Parameters
    ----------
    weight : array, shape (C', C / groups, k, l)
    shape : (C, H, W)
        Of the input.
    stride, padding, dilation : int or pair
        As in torch; zeros are padded.
    rows : integer array, optional
        Flat indices of outputs in (C', H', W'), in the order wanted; all if left out.

    Returns
    -------
    csr_array, shape (len(rows), C·H·W)
        With sorted indices.

    Raises
    ------
    ValueError
        If weight and shape do not fit, or a row is none.
    """
    layer = _Convolution(weight, shape, stride, padding, dilation, groups)
    chosen = _chosen(rows, layer.after, "rows")
    channel, i, j = np.unravel_index(chosen, layer.after)
    sees = layer.weight.shape[1]
    first = (channel // (layer.after[0] // groups)) * sees
    data, indices, indptr = _compressed(layer.weight[channel], first, layer.inputs(0, i), layer.inputs(1, j), shape)
    return sparse.csr_array((data, indices, indptr), shape=(len(chosen), int(np.prod(shape))))


def convolution_columns(
    weight: Any,
    shape: Shape,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
    columns: Any = None,
) -> Any:
    r"""Columns of the matrix of a convolution without bias; the rest as in :func:`convolution_rows`.

    Parameters
    ----------
    columns : integer array, optional
        Flat indices of inputs in (C, H, W), in the order wanted; all if left out.

    Returns
    -------
    csc_array, shape (C'·H'·W', len(columns))
        With sorted indices.
    """
    layer = _Convolution(weight, shape, stride, padding, dilation, groups)
    chosen = _chosen(columns, shape, "columns")
    channel, y, x = np.unravel_index(chosen, shape)
    outputs, sees = layer.after[0] // groups, layer.weight.shape[1]
    grouped = layer.weight.reshape(groups, outputs, *layer.weight.shape[1:]).swapaxes(1, 2)
    # the outputs that see one input come in ascending order if the taps come in descending order
    seen = np.ascontiguousarray(grouped[..., ::-1, ::-1]).reshape(shape[0], outputs, *layer.weight.shape[2:])
    first = (channel // sees) * outputs
    data, indices, indptr = _compressed(seen[channel], first, layer.outputs(0, y), layer.outputs(1, x), layer.after)
    return sparse.csc_array((data, indices, indptr), shape=(int(np.prod(layer.after)), len(chosen)))


def selection(index_map: Any, size: int) -> Any:
    """Rows of the identity of a given size (CSR): row i takes entry ``index_map[i]``, or nothing where that is −1."""
    chosen = np.ravel(np.asarray(index_map))
    if chosen.size and not (np.issubdtype(chosen.dtype, np.integer) and -1 <= chosen.min() and chosen.max() < size):
        raise ValueError(f"an index map into {size} entries holds integers from -1 to {size - 1}.")
    kept = chosen >= 0
    indptr = np.concatenate([[0], np.cumsum(kept)]).astype(np.int32)
    return sparse.csr_array((np.ones(kept.sum()), chosen[kept].astype(np.int32), indptr), shape=(len(chosen), size))


@dataclass
class _Convolution:
    """A convolution, checked, and which pixels it links."""

    weight: Array
    shape: Shape
    stride: Any
    padding: Any
    dilation: Any
    groups: int

    def __post_init__(self) -> None:
        self.weight = np.asarray(self.weight, dtype=np.float64)
        self.stride, self.padding, self.dilation = map(_pair, (self.stride, self.padding, self.dilation))
        weight, channels, groups = self.weight, self.shape[0], self.groups
        if weight.ndim != 4 or len(self.shape) != 3 or weight.shape[1] * groups != channels or weight.shape[0] % groups:
            raise ValueError(
                f"weights of shape {weight.shape} in {groups} group(s) take no input of shape {tuple(self.shape)}; "
                "they must be (C', C / groups, k, l) for an input (C, H, W)."
            )
        pixels = [
            (self.shape[axis + 1] + 2 * self.padding[axis] - self.dilation[axis] * (weight.shape[axis + 2] - 1) - 1)
            // self.stride[axis]
            + 1
            for axis in (0, 1)
        ]
        if min(pixels) < 1:
            raise ValueError(f"a kernel {weight.shape[2:]} does not fit into an image {tuple(self.shape[1:])}.")
        self.after: Shape = (weight.shape[0], pixels[0], pixels[1])

    def inputs(self, axis: int, position: Array) -> tuple[Array, Array]:
        """Where, along an axis, the taps of outputs lie in the input, (outputs, taps); and whether inside."""
        taps = np.arange(self.weight.shape[axis + 2]) * self.dilation[axis] - self.padding[axis]
        found = (position * self.stride[axis])[:, None] + taps
        return found, (found >= 0) & (found < self.shape[axis + 1])

    def outputs(self, axis: int, position: Array) -> tuple[Array, Array]:
        """Along an axis, the outputs that see inputs through the last, …, first tap; and whether there are such."""
        taps = np.arange(self.weight.shape[axis + 2])[::-1] * self.dilation[axis] - self.padding[axis]
        found, rest = np.divmod(position[:, None] - taps, self.stride[axis])
        return found, (rest == 0) & (found >= 0) & (found < self.after[axis + 1])


def _compressed(
    blocks: Array, first: Array, y: tuple[Array, Array], x: tuple[Array, Array], shape: Shape
) -> tuple[Array, Array, Array]:
    """Data, indices and pointers of vectors whose entries are blocks (vectors, channels, k, l) at pixels of a shape."""
    vectors, channels, *kernel = blocks.shape
    taps = kernel[0] * kernel[1]
    height, width = shape[1:]
    size = int(np.prod(shape))
    dtype: Any = np.int32 if max(size, blocks.size) <= np.iinfo(np.int32).max else np.int64
    pixels = (y[0][:, :, None] * width + x[0][:, None, :]).reshape(vectors, 1, taps).astype(dtype)
    inside = (y[1][:, :, None] & x[1][:, None, :]).reshape(vectors, 1, taps)
    starts = (first[:, None] + np.arange(channels)).astype(dtype) * dtype(height * width)
    indices = pixels + starts[:, :, None]
    indptr = np.concatenate([[0], np.cumsum(inside.sum((1, 2)) * channels)]).astype(dtype)
    data = blocks.reshape(indices.shape)
    if not inside.all():
        kept = np.broadcast_to(inside, indices.shape)
        return data[kept], indices[kept], indptr
    return np.ravel(data), np.ravel(indices), indptr


def _chosen(indices: Any, shape: Shape, name: str) -> Array:
    size = int(np.prod(shape))
    if indices is None:
        return np.arange(size)
    chosen = np.asarray(indices)
    if chosen.ndim != 1 or (
        chosen.size and not (chosen.dtype.kind in "iu" and 0 <= chosen.min() <= chosen.max() < size)
    ):
        raise ValueError(f"{name} must be flat indices from 0 to {size - 1}, of entries of {shape}.")
    return chosen.astype(np.int64)


def _pair(value: Any) -> tuple[int, int]:
    first, second = (value, value) if np.ndim(value) == 0 else value
    return int(first), int(second)


# --- units -------------------------------------------------------------------------------------------


def full_matrix(factors: Factors) -> Any:
    """J (CSR, n × m): the active rows in their places. It is the caller's own."""
    active, counts = factors.sum_of_paths(), np.zeros(factors.shape[0] + 1, np.int64)
    counts[factors.rows + 1] = np.diff(active.indptr)
    indptr = np.cumsum(counts).astype(active.indptr.dtype)
    return sparse.csr_array((active.data, active.indices, indptr), shape=factors.shape)
