"""The largest and the smallest singular triplets."""

from typing import Any, Literal

import numpy as np

from resdyn.networks.linearization.values import Triplets


def singular_triplets(operator: Any, k: int, *, which: Literal["largest", "smallest"]) -> Triplets:
    """Of a linear operator."""
    left, values, right = np.linalg.svd(operator.to_dense(), full_matrices=False)
    if which == "smallest":
        left, values, right = left[:, ::-1], values[::-1], right[::-1]
    return Triplets(left[:, :k], values[:k], right[:k].T)
