"""Jacobians of stages and of whole networks: products of those of their parts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.networks.linearization.operator import Linearization
from resdyn.networks.linearization.unit import LinearizedUnit

Array = NDArray[Any]


class LinearizedChain(Linearization):
    r"""The Jacobian of parts one after another, :math:`J = J_m \cdots J_2 J_1`, each at the state that reaches it.

    Attributes
    ----------
    parts : tuple of LinearizedUnit
        In the order in which they act.
    """

    def __init__(self, name: str, parts: Sequence[LinearizedUnit]) -> None:
        super().__init__((parts[-1].shape[0], parts[0].shape[1]))
        self.name, self.parts = name, tuple(parts)
        self.x, self.shape_before, self.shape_after = parts[0].x, parts[0].shape_before, parts[-1].shape_after

    def singular_values(self) -> Array:
        """All of them, descending."""
        return np.linalg.svd(self.to_dense(), compute_uv=False)

    def _matmat(self, x: Array) -> Array:
        for part in self.parts:
            x = part._matmat(x)
        return x

    def _rmatmat(self, x: Array) -> Array:
        for part in reversed(self.parts):
            x = part._transposed_matmat(x)
        return x

    def _rmatvec(self, x: Array) -> Array:
        return self._rmatmat(x.reshape(-1, 1)).ravel()


class LinearizedStage(LinearizedChain):
    """The Jacobian of a stage of a network: of its entry, if there is one, and its blocks."""


class LinearizedNetwork(LinearizedChain):
    """The Jacobian of a network from its inputs to its logits: of stem, units and head."""
