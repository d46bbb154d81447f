r"""How far each block moves the state: :math:`\|f_l(x_l)\|_2` and :math:`\|f_l(x_l)\|_2 / \|x_l\|_2`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn

Array = NDArray[Any]
KINDS = ("absolute", "scaled", "moved")


def perturbations(net: Any, pixels: Array, labels: Array) -> dict[str, Array]:
    """Means over images, block by block, and what the net says.

    The perturbation of a block is what is added to its skip path. Where an activation follows the addition, the state
    moves by something else, which is the kind "moved". Blocks that change the shape of the state have none: NaN.

    Returns
    -------
    dict
        Each of ``KINDS`` (blocks,), means over images, "scaled" and "moved" relative to the size of the state;
        ``by_image`` (n,), the mean of "scaled" over blocks; ``accuracy``, the share of these images that is right.
    """
    inputs = np.asarray(net.preprocessing(pixels), dtype=np.float32)
    trace = resdyn.networks.unroll(net, inputs[:1]).trace(inputs, keep=("branches",), reduce=_lengths)
    norms = trace.norms()
    absolute = np.stack([np.full(len(inputs), np.nan) if b is None else b for b in trace.branches])
    absolute[trace.entries] = np.nan
    moved = np.where(trace.entries[:, None], np.nan, norms.ratios)
    scaled = absolute / norms.states[:-1]
    return {
        "absolute": absolute.mean(axis=1),
        "scaled": scaled.mean(axis=1),
        "moved": moved.mean(axis=1),
        "by_image": np.nanmean(scaled, axis=0),
        "accuracy": np.asarray(np.mean(trace.logits.argmax(axis=1) == labels)),
    }


def _lengths(states: Array) -> Array:
    return np.linalg.norm(np.asarray(states, dtype=np.float64).reshape(len(states), -1), axis=1)
