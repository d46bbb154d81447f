"""Which known attractor each orbit settles on, and when: the same rule in the kernel and in NumPy.

An orbit is tested every few layers. It has settled at the first test from which on ``dwell`` tests in a row find it
near one and the same attractor. At the first test that finds it at an unstable point it is on a boundary.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import CompiledForm
from resdyn.analysis.attraction.orbits import Orbits

Array = NDArray[Any]

NONE, BOUNDARY, LOST = -1, -2, -9
# more are looked up in a tree
_MOST_POINTS = 64
# tests from one look at which orbits are decided to the next: a few at first, then the more the longer it has taken
_FEWEST_TESTS, _MOST_TESTS = 8, 64


@dataclass(frozen=True, eq=False)
class Targets:
    """Points (P, d), in the coordinates of :meth:`Orbits.view`, with owner and radius of each.

    A state is near to an owner if it is within the radius of one of its points; of several owners, the last counts.
    """

    points: Array
    owners: NDArray[np.int64]
    radii: Array
    dwell: int = 1
    every: int = 1

    def same_as(self, other: "Targets") -> bool:
        """Whether every state settles on these as on the others."""
        return (self.dwell, self.every) == (other.dwell, other.every) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ("points", "owners", "radii")
        )

    @cached_property
    def _groups(self) -> list[tuple[int, float, Array, Any]]:
        """Points that follow each other with one owner and one radius, as (owner, radius, points, tree)."""
        from scipy.spatial import cKDTree

        change = (np.diff(self.owners) != 0) | (np.diff(self.radii) != 0)
        edges = [0, *(np.flatnonzero(change) + 1), len(self.points)]
        return [
            (int(self.owners[low]), float(self.radii[low]), self.points[low:high], cKDTree(self.points[low:high]))
            for low, high in pairwise(edges)
        ]

    def near(self, v: Array, threads: int = 1) -> NDArray[np.int64]:
        """The owner to whose points each of ``v`` (M, d) is near; −1: none."""
        owner = np.full(len(v), NONE, dtype=np.int64)
        if not len(self.points):
            return owner
        if len(self.points) <= _MOST_POINTS:
            for point, mine, radius in zip(self.points, self.owners, self.radii, strict=True):
                owner[((v - point) ** 2).sum(axis=-1) <= radius**2] = mine
            return owner
        numbers = np.flatnonzero(np.isfinite(v).all(axis=-1))
        x = v[numbers]
        for mine, radius, points, tree in self._groups:
            index = tree.query(x, distance_upper_bound=radius * (1 + 1e-9), workers=threads)[1]
            found = np.flatnonzero(index < len(points))
            hit = ((x[found] - points[index[found]]) ** 2).sum(axis=-1) <= radius**2
            owner[numbers[found[hit]]] = mine
        return owner


def settle(orbits: Orbits, x: Array, targets: Targets, depth: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The owner on whose points each state of x (M, d) settles and the layer when, −1 where it does not.

    An owner of −1 says that the orbit settled nowhere within ``depth`` layers, ``BOUNDARY`` that it came to an
    unstable point, ``LOST`` that it left all bounds.
    """
    make = getattr(orbits.system, "compiled_form", None)
    form: CompiledForm | None = make() if make is not None else None
    if form is None or orbits.solver not in (None, "RK45"):
        return _settle_in_numpy(orbits, x, targets, depth)
    near = (targets.points.reshape(-1, orbits.size), targets.owners, targets.radii)
    states = np.ascontiguousarray(x, dtype=np.float64)
    options: dict[str, Any] = {
        "dwell": targets.dwell,
        "every": targets.every,
        "depth": depth,
        "largest": orbits.largest,
        "in_residuals": orbits.in_residuals,
        "threads": orbits.threads,
    }
    if orbits.is_map and form.settles:
        return form.settle(states, *near, **options)
    if not orbits.is_map and form.settles_flow:
        return form.settle_flow(states, *near, **{**options, **orbits.control(targets.every)})
    return _settle_in_numpy(orbits, x, targets, depth)


def _settle_in_numpy(
    orbits: Orbits, x: Array, targets: Targets, depth: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A few tests at a time, with the orbits that are decided taken out."""
    from resdyn.kernels.threads import thread_count

    threads = thread_count(orbits.threads)
    owners, layers = np.full(len(x), NONE, dtype=np.int64), np.full(len(x), -1, dtype=np.int64)
    index = np.arange(len(x))
    current = np.array(x, dtype=float)
    held, run = np.full(len(x), NONE), np.zeros(len(x), dtype=np.int64)
    every = targets.every
    layer = 0  # of the next test
    while len(index) and layer <= depth:
        tests = min(max(_FEWEST_TESTS, min(_MOST_TESTS, layer // (4 * every))), (depth - layer) // every + 1)
        saved = orbits.sample(current, tests * every, every=every)
        done = np.zeros(len(index), dtype=bool)
        for test in range(tests):
            now = targets.near(orbits.view(saved[test]), threads)
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
