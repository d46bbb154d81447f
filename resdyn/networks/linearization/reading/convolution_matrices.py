"""Rows and columns of the sparse matrix of a convolution, on flattened (C, H, W)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[Any]


def convolution_rows(
    weight: Array, shape: tuple[int, ...], *, stride: Any, padding: Any, dilation: Any, groups: int, rows: Array
) -> Any:
    """The rows for these outputs, shape (len(rows), C·H·W), CSR."""
    channels, height, width = shape
    tall, wide = _size_after(weight, shape, stride, padding, dilation)
    channel, pixel = np.divmod(np.asarray(rows, dtype=np.int64), tall * wide)
    i, j = np.divmod(pixel, wide)
    (si, sj), (pi, pj), (di, dj) = _pair(stride), _pair(padding), _pair(dilation)
    high = i[:, None] * si - pi + np.arange(weight.shape[2]) * di
    across = j[:, None] * sj - pj + np.arange(weight.shape[3]) * dj
    per_group = weight.shape[1]
    source = (channel // (len(weight) // groups))[:, None] * per_group + np.arange(per_group)
    inside = _within(high, height)[:, None, :, None] & _within(across, width)[:, None, None, :]
    where = (high * width)[:, None, :, None] + across[:, None, None, :] + (source * height * width)[:, :, None, None]
    return _compressed(weight[channel], where, inside, channels * height * width)


def convolution_columns(
    weight: Array, shape: tuple[int, ...], *, stride: Any, padding: Any, dilation: Any, groups: int, columns: Array
) -> Any:
    """The columns for these inputs, shape (C'·H'·W', len(columns)), CSC."""
    _, height, width = shape
    tall, wide = _size_after(weight, shape, stride, padding, dilation)
    channel, pixel = np.divmod(np.asarray(columns, dtype=np.int64), height * width)
    i, j = np.divmod(pixel, width)
    (si, sj), (pi, pj), (di, dj) = _pair(stride), _pair(padding), _pair(dilation)
    # the last tap first, so that outputs come in ascending order
    high = i[:, None] + pi - np.arange(weight.shape[2])[::-1] * di
    across = j[:, None] + pj - np.arange(weight.shape[3])[::-1] * dj
    inside_i = _within(high, tall * si) & (high % si == 0)
    inside_j = _within(across, wide * sj) & (across % sj == 0)
    high, across = high // si, across // sj
    per_group, after = weight.shape[1], len(weight) // groups
    group = channel // per_group
    target = group[:, None] * after + np.arange(after)
    # (groups, Cin / groups, Cout / groups, kh, kw): for an input its taps of each output
    taps = weight.reshape(groups, after, *weight.shape[1:])[:, :, :, ::-1, ::-1].transpose(0, 2, 1, 3, 4)
    inside = inside_i[:, None, :, None] & inside_j[:, None, None, :]
    where = (high * wide)[:, None, :, None] + across[:, None, None, :] + (target * tall * wide)[:, :, None, None]
    values = np.ascontiguousarray(taps)[group, channel % per_group]
    return _compressed(values, where, inside, len(weight) * tall * wide).T


def _compressed(values: Array, where: Array, inside: Array, size: int) -> Any:
    n = len(values)
    inside = np.broadcast_to(inside, values.shape).reshape(n, int(np.prod(values.shape[1:])))
    ends = np.concatenate(([0], np.cumsum(inside.sum(1))))
    flat = inside.ravel()
    return sparse.csr_array(
        (values.reshape(-1)[flat], where.reshape(-1)[flat].astype(np.int32), ends.astype(np.int32)), shape=(n, size)
    )


def _size_after(weight: Array, shape: tuple[int, ...], stride: Any, padding: Any, dilation: Any) -> tuple[int, int]:
    sizes = [
        (length + 2 * p - d * (taps - 1) - 1) // s + 1
        for length, taps, s, p, d in zip(
            shape[1:], weight.shape[2:], _pair(stride), _pair(padding), _pair(dilation), strict=True
        )
    ]
    return sizes[0], sizes[1]


def _within(index: Array, size: int) -> Array:
    return (index >= 0) & (index < size)


def _pair(value: Any) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else value
    return first, second
