r"""Sparse matrices of layers, and products of the factors of a unit.

A convolution without bias is a matrix on flattened states: its output at channel o, row i, column j is

.. math:: y_{o,i,j} = \sum_{c,k,l} w_{o,c,k,l}\; x_{c,\; i s - q + k d,\; j s - q + l d}

with stride s, padding q, dilation d. Only the rows or columns that are asked for are built: those of active units.
Entries are kept where the pattern of the layer has them, also if a weight is zero.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from resdyn.networks.linearization.block_products import block_product
from resdyn.networks.linearization.factors import Factors

Array = NDArray[Any]
Shape = tuple[int, int, int]
Pair = int | tuple[int, int]

LEVELS = 8
"""With more distinct diagonal entries of E, one Gram matrix for each is no help."""


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


def average_pooling_matrix(
    shape: Shape, kernel: Pair, *, stride: Pair | None = None, padding: Pair = 0, count_padding: bool = True
) -> Any:
    """Average pooling as a matrix (CSR), from (C, H, W) to (C, H', W').

    Parameters
    ----------
    stride : int or pair, optional
        The kernel if left out.
    count_padding : bool
        Whether padded zeros count in the average, as ``count_include_pad`` does in torch.
    """
    size = _pair(kernel)
    weight = np.full((shape[0], 1, *size), 1 / np.prod(size))
    pooling = convolution_rows(
        weight, shape, stride=size if stride is None else stride, padding=padding, groups=shape[0]
    )
    if not count_padding:
        pooling.data = np.repeat(1 / np.diff(pooling.indptr), np.diff(pooling.indptr))
    return pooling


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


# --- Gram matrices ---------------------------------------------------------------------------------


def full_matrix(factors: Factors) -> Any:
    """J (CSR, n × m): the active rows in their places; the entries are shared with ``factors.active_matrix``."""
    active, counts = factors.active_matrix, np.zeros(factors.shape[0] + 1, np.int64)
    counts[factors.rows + 1] = np.diff(active.indptr)
    indptr = np.cumsum(counts).astype(active.indptr.dtype)
    return sparse.csr_array((active.data, active.indices, indptr), shape=factors.shape)


class GramMatrices(NamedTuple):
    r"""Products of the factors with themselves, banded: inner units in ``factors.order``, from pixel to pixel.

    With :math:`J_A J_A^{\mathsf T} = E + C M C^{\mathsf T}` and :math:`C = [S_A V^{\mathsf T}, U_A]`.
    """

    levels: Array
    """The distinct diagonal entries of E, ascending, shape (levels,)."""
    sizes: NDArray[np.int64]
    """How many rows have each."""
    K: tuple[Any, ...]
    r""":math:`C_l^{\mathsf T} C_l` over the rows of level l (CSR, 2p × 2p): the i-th inner unit in order has the
    variables 2i, of :math:`S_A V^{\mathsf T}`, and 2i + 1, of :math:`U_A`."""
    H: Any
    r""":math:`V V^{\mathsf T}` (CSR, p × p)."""


def gram_matrices(factors: Factors) -> GramMatrices:
    """The Gram matrices K, one for each distinct diagonal entry of E, and H.

    Raises
    ------
    ValueError
        If E is not diagonal, or has more than a few distinct entries; see :func:`weighted_gram_matrix`.
    """
    squares = factors.squares
    if squares is None:
        raise ValueError("the rows of the skip path are not orthogonal, so E is not diagonal; use J J^T itself.")
    levels, level = _levels(squares)
    if len(levels) > LEVELS:
        raise ValueError(f"E has {len(levels)} distinct entries; weigh the rows of C, each by a function of its own.")
    C = interleaved_factor(factors)
    K = tuple(_gram(C[level == which]) for which in range(len(levels)))
    V = sparse.csr_array(factors.V)[factors.order]
    return GramMatrices(levels, np.bincount(level, minlength=len(levels)), K, _gram(V.T))


def _levels(values: Array) -> tuple[Array, NDArray[np.int64]]:
    """The distinct values, ascending, and which of them each is; the rounding of a sum makes no difference."""
    distinct, which = np.unique(values, return_inverse=True)
    if not distinct.size:
        return distinct, which
    begins = np.diff(distinct, prepend=-np.inf) > 16 * np.finfo(float).eps * np.abs(distinct).max()
    return distinct[begins], (np.cumsum(begins) - 1)[which]


def weighted_gram_matrix(factors: Factors, weights: Array) -> Any:
    r""":math:`C^{\mathsf T} W C` (CSR, 2p × 2p, interleaved) for a diagonal W, of shape (s,); any signs."""
    C = interleaved_factor(factors)
    weighted = C.copy()
    weighted.data *= np.repeat(np.asarray(weights, dtype=np.float64), np.diff(C.indptr))
    return block_product(sparse.csr_array(C.T), weighted)


def interleaved_factor(factors: Factors) -> Any:
    r""":math:`C = [S_A V^{\mathsf T}, U_A]` (CSR, s × 2p), the two columns of each inner unit side by side."""
    order, p = factors.order, factors.p
    V = sparse.csr_array(factors.V)[order]
    C = sparse.hstack([factors.active_skip @ V.T, factors.active_U[:, order]], format="csr")
    C.indices = _interleaved_places(p)[C.indices].astype(C.indices.dtype)
    C.has_sorted_indices = False
    C.sort_indices()
    return sparse.csr_array(C)


def _interleaved_places(p: int) -> NDArray[np.int64]:
    """Of the variables of two halves, side by side."""
    return np.concatenate([2 * np.arange(p), 2 * np.arange(p) + 1])


def _gram(C: Any) -> Any:
    """CᵀC."""
    return block_product(sparse.csr_array(C.T), sparse.csr_array(C))
