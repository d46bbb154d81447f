"""Orbits to start multiple shooting from: pieces of long orbits, and states drawn at random."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System
from resdyn.simulation import simulate

Array = NDArray[Any]

_SETTLE, _RUNS = 300, 256
_FEW = 512
_LARGE = 1e8


class Source:
    """Draws guesses of p-cycles, shape (n, p, d).

    Half of them are pieces of settled orbits, which shadow the cycles of the attractor in proportion to how often it
    visits them; a quarter are pieces of orbits that have not settled, and a quarter are states drawn one by one, which
    lead to cycles that no orbit comes near.
    """

    def __init__(
        self,
        system: System,
        period: int,
        region: tuple[Array, Array] | None,
        starts: Array | None,
        rng: np.random.Generator,
        most: int,
    ) -> None:
        self.system, self.period, self.region, self.rng = system, period, region, rng
        self.size = int(np.prod(system.shape))
        self.given = None if starts is None else starts.reshape(-1, *system.shape)
        # what is so large compared with where orbits start has diverged
        self.large = _LARGE * max(1.0, 0.0 if region is None else float(np.abs(region).max()))
        self._pool = np.empty((0, 0, self.size))
        if starts is None:
            # where a few starts have to do, a layer is expensive
            self._pool = self._settled(*((_RUNS, _SETTLE) if most > _FEW else (16, _SETTLE // 3)))

    def draw(self, n: int) -> Array:
        """n guesses."""
        p, d = self.period, self.size
        fresh = self._drawn(max(1, n // 4))
        pieces = self._run(fresh, p - 1).reshape(p, -1, d).swapaxes(0, 1)
        alone = self._drawn(max(1, n // 4) * p).reshape(-1, p, d)
        guesses = [pieces, alone]
        rest = n - len(pieces) - len(alone)
        if rest > 0 and self._pool.shape[1]:
            length, orbits = self._pool.shape[:2]
            begin = self.rng.integers(length - p + 1, size=rest)
            which = self.rng.integers(orbits, size=rest)
            guesses.insert(0, self._pool[begin[:, None] + np.arange(p), which[:, None]])
        joined = np.concatenate(guesses)
        return joined[np.isfinite(joined).all(axis=(1, 2)) & (np.abs(joined) < self.large).all(axis=(1, 2))]

    def from_given(self) -> Array:
        """The orbits that begin at the states given."""
        assert self.given is not None
        return self._run(self.given, self.period - 1).reshape(self.period, -1, self.size).swapaxes(0, 1)

    def _run(self, states: Array, layers: int) -> Array:
        if not layers:
            return states[None]
        return simulate(self.system, states, depth=layers).x

    def _drawn(self, n: int) -> Array:
        """States from the region; without one from three normal clouds, and from around where orbits settle."""
        shape = self.system.shape
        if self.region is not None:
            return self.rng.uniform(*self.region, size=(n, *shape))
        scale = self.rng.choice([0.1, 1.0, 10.0], size=(n, *(1 for _ in shape)))
        cloud = scale * self.rng.standard_normal((n, *shape))
        if self._pool.shape[1]:
            low, high = self._pool.min(axis=(0, 1)), self._pool.max(axis=(0, 1))
            width = high - low + 1e-3 * (np.abs(self._pool).max() or 1.0)
            near = self.rng.uniform(low - width / 2, high + width / 2, size=(n, self.size)).reshape(n, *shape)
            mine = self.rng.random(n) < 0.75
            cloud[mine] = near[mine]
        return cloud

    def _settled(self, runs: int, layers: int) -> Array:
        """Long orbits after a transient, (length, orbits, d); none where everything diverges."""
        first = self._drawn(runs)
        later = simulate(self.system, first, depth=layers, save="final").final
        with np.errstate(invalid="ignore"):
            keep = (np.abs(later) < self.large).reshape(len(later), -1).all(axis=1)
        if not keep.any():
            return self._pool
        length = self.period + 63
        orbits = self._run(later[keep], length).reshape(length + 1, -1, self.size)
        return orbits[:, np.isfinite(orbits).all(axis=(0, 2))]
