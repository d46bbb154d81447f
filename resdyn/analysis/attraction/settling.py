"""Which known attractor each orbit settles on, and when: the same rule in the kernel and in NumPy.

An orbit is tested every few layers. It has settled at the first test from which on ``dwell`` tests in a row find it
near one and the same attractor. At the first test that finds it at an unstable point it is on a boundary.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.attraction.orbits import Orbits

Array = NDArray[Any]

NONE, BOUNDARY, LOST = -1, -2, -9
# the kernel compares with every point; more are looked up in a tree
_MOST_POINTS = 64
_LAYERS_AT_A_TIME = 8


@dataclass(frozen=True, eq=False)
class Targets:
    """Points (P, d), in the coordinates of :meth:`Orbits.view`, with owner and radius of each."""

    points: Array
    owners: NDArray[np.int64]
    radii: Array
    dwell: int = 1
    every: int = 1
    _tree: list[Any] = field(default_factory=list, compare=False)

    def near(self, v: Array) -> NDArray[np.int64]:
        """The owner to whose points each of ``v`` (M, d) is near; −1: none. Of several, the last."""
        owner = np.full(len(v), NONE, dtype=np.int64)
        if not len(self.points):
            return owner
        if len(self.points) <= _MOST_POINTS:
            for point, mine, radius in zip(self.points, self.owners, self.radii, strict=True):
                owner[((v - point) ** 2).sum(axis=-1) <= radius**2] = mine
            return owner
        from scipy.spatial import cKDTree

        if not self._tree:
            self._tree.append(cKDTree(self.points))
        numbers = np.isfinite(v).all(axis=-1)
        bound = float(self.radii.max()) * (1 + 1e-12)
        distance, index = self._tree[0].query(v[numbers], distance_upper_bound=bound)
        found = np.isfinite(distance)
        found[found] = distance[found] <= self.radii[index[found]]
        owner[np.flatnonzero(numbers)[found]] = self.owners[index[found]]
        return owner


def settle(orbits: Orbits, x: Array, targets: Targets, depth: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The owner on whose points each state of x (M, d) settles and the layer when, −1 where it does not.

    An owner of −1 says that the orbit settled nowhere within ``depth`` layers, ``BOUNDARY`` that it came to an
    unstable point, ``LOST`` that it left all bounds.
    """
    make = getattr(orbits.system, "compiled_form", None)
    form = make() if make is not None and orbits.is_map else None
    if form is not None and form.settles and len(targets.points) <= _MOST_POINTS:
        owners, layers = form.settle(
            np.ascontiguousarray(x, dtype=np.float64),
            targets.points.reshape(-1, orbits.size),
            targets.owners,
            targets.radii,
            dwell=targets.dwell,
            every=targets.every,
            depth=depth,
            largest=orbits.largest,
            in_residuals=orbits.in_residuals,
            threads=orbits.threads,
        )
        return owners, layers
    return _settle_in_numpy(orbits, x, targets, depth)


def _settle_in_numpy(
    orbits: Orbits, x: Array, targets: Targets, depth: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Layer by layer, with the orbits that are decided taken out."""
    owners, layers = np.full(len(x), NONE, dtype=np.int64), np.full(len(x), -1, dtype=np.int64)
    index = np.arange(len(x))
    current = np.array(x, dtype=float)
    held, run = np.full(len(x), NONE), np.zeros(len(x), dtype=np.int64)
    every = targets.every
    layer = 0  # of the next test
    while len(index) and layer <= depth:
        tests = min(_LAYERS_AT_A_TIME, (depth - layer) // every + 1)
        saved = orbits.sample(current, tests * every, every=every)
        done = np.zeros(len(index), dtype=bool)
        for test in range(tests):
            now = targets.near(orbits.view(saved[test]))
            run = np.where(now == held, run + 1, 1)
            held = now
            hit = ~done & (((now >= 0) & (run >= targets.dwell)) | (now == BOUNDARY))
            owners[index[hit]] = now[hit]
            layers[index[hit]] = layer + every * (test + 1 - run[hit])
            done |= hit
        layer += tests * every
        current = saved[-1]
        gone = ~done & orbits.lost(current)
        owners[index[gone]] = LOST
        left = ~(done | gone)
        index, current, held, run = index[left], current[left], held[left], run[left]
    return owners, layers
