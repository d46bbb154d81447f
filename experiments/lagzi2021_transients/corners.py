r"""Equilibria of :math:`\dot y = y(1 - y)\circ(Wy)` beside given residuals, and their eigenvalues.

On a face of the cube the saturated units stay at 0 or 1, and the free ones solve :math:`(Wy)_i = 0`. The linearization
is block-triangular: :math:`(1 - 2y_i)(Wy)_i` for each saturated unit, and those of
:math:`\mathrm{diag}(y_I(1 - y_I))W_{II}` for the free ones. A face whose solution leaves the cube has no equilibrium;
then the nearest corner is taken, which is one always.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
WIDTH = 0.01
"""A residual this close to 0 or 1 is saturated, as in :func:`resdyn.transients`."""


def nearest_equilibrium(W: Array, y: Array) -> Array:
    """On the face of the saturated units of y, or else the nearest corner, shape (N,)."""
    corner = np.round(y)
    free = np.flatnonzero((y > WIDTH) & (y < 1 - WIDTH))
    if len(free):
        on_face = corner.copy()
        on_face[free] = 0
        # a singular block has a continuum or nothing: the solution of least length is no isolated point, so not taken
        block = W[np.ix_(free, free)]
        if np.linalg.matrix_rank(block) == len(free):
            on_face[free] = np.linalg.solve(block, -W[free] @ on_face)
            if on_face[free].min() > 0 and on_face[free].max() < 1:
                return on_face
    return corner


def eigenvalues_at(W: Array, y: Array) -> Array:
    """Of the linearization at an equilibrium y: those of saturated units in their places, of free ones in theirs."""
    free = np.flatnonzero((y > 0) & (y < 1))
    found = ((1 - 2 * y) * (W @ y)).astype(complex)
    if len(free):
        found[free] = np.linalg.eigvals((y[free] * (1 - y[free]))[:, None] * W[np.ix_(free, free)])
    return found
