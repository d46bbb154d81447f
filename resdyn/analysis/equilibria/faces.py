r"""All equilibria of :math:`\dot y = y(1-y)\circ(Wy)` on the unit cube, face by face.

Floating point decides where its error bounds allow, rational arithmetic the rest: no tolerance decides anything.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.analysis.equilibria import rational

Array = NDArray[Any]

_UNIT = float(np.finfo(float).eps)
_CORNERS_PER_BLOCK = 1 << 16
MOST_SHEETS = 5_000
"""More faces with infinitely many equilibria than this are not listed."""


@dataclass(frozen=True)
class Sheet:
    """The equilibria of one face that has infinitely many: ``point`` + span(``basis``), inside the open face."""

    interior: Array
    corner: Array
    point: Array
    basis: Array


@dataclass(frozen=True)
class Block:
    """Some of the isolated equilibria.

    ``y`` (n, N), ``interior`` (n, N) says which units are strictly between 0 and 1, ``rates`` (n, N) is Wy with the
    exact sign at units on the boundary (0 only where it is 0), ``in_closure`` (n,) marks points on the rim of a sheet.
    """

    y: Array
    interior: Array
    rates: Array
    in_closure: Array

    def take(self, index: Array) -> "Block":
        """Some of the points."""
        return Block(self.y[index], self.interior[index], self.rates[index], self.in_closure[index])


def merge(blocks: list[Block], n: int) -> Block:
    """All points of some blocks for n units: by number of inner units, by which they are, by corner."""
    empty = Block(np.empty((0, n)), np.empty((0, n), bool), np.empty((0, n)), np.empty(0, bool))
    arrays = [np.concatenate([getattr(block, name) for block in [empty, *blocks]]) for name in empty.__annotations__]
    merged = Block(*arrays)
    places = 1 << np.arange(n, dtype=np.int64)
    masks = merged.interior @ places
    corners = np.where(merged.interior, 0.0, merged.y) @ places
    return merged.take(np.lexsort((corners, masks, merged.interior.sum(axis=1))))


MOST_IRREGULAR = 1 << 14
"""More sets of inner units with a matrix that may be singular than this are not decided exactly."""


class TooDegenerate(Exception):
    """So many faces hold infinitely many equilibria, or may do so, that listing them would take hours."""


def _bits(masks: Array, n: int) -> Array:
    return np.asarray((masks[:, None] >> np.arange(n)) & 1, dtype=bool)


class Faces:
    """The faces of the cube of one W, and the exact arithmetic on them."""

    def __init__(self, W: Array, *, threads: int | None = None) -> None:
        # rows scaled by powers of two have the same equilibria and signs, and neither over- nor underflow
        self.exponents = np.frexp(np.abs(W).max(axis=1))[1]
        self.W = np.ascontiguousarray(np.ldexp(W, -self.exponents[:, None]), dtype=float)
        self.original = W
        self.n = len(W)
        self.threads = threads

    @cached_property
    def rows(self) -> list[list[int]]:
        """W in integers, row by row up to a positive factor."""
        return rational.integer_rows(self.original)

    # --- sets that floating point cannot tell from singular ones -----------------------------------------

    def irregular_sets(self) -> Array:
        """The interior sets, as bit masks, whose matrix may be singular."""
        from resdyn.kernels.faces import irregular_sets
        from resdyn.kernels.threads import run_blocks

        flags = np.zeros(1 << self.n, dtype=np.bool_)
        run_blocks(lambda low, high: irregular_sets(self.W, low + 1, high + 1, flags), (1 << self.n) - 1, self.threads)
        return np.flatnonzero(flags)

    @cached_property
    def _irregular(self) -> tuple[list[Sheet], list[tuple[Array, Array, list[Fraction]]]]:
        """Sheets, and isolated points (interior, corner, y_I), of the irregular sets."""
        sheets: list[Sheet] = []
        points = []
        irregular = self.irregular_sets()
        if len(irregular) > MOST_IRREGULAR:
            raise TooDegenerate(f"{len(irregular)} sets of inner units have a matrix that is singular to rounding")
        for interior in _bits(irregular, self.n):
            inside, outside = np.flatnonzero(interior), np.flatnonzero(~interior)
            reduced = rational.reduce_set(self.rows, inside.tolist(), outside.tolist())
            corners = _bits(np.arange(1 << len(outside)), len(outside))
            if not reduced.free:
                for place, solution in rational.unique_solutions(reduced, corners):
                    points.append((interior, self._spread(outside, corners[place]), solution))
                continue
            for i in np.flatnonzero(rational.solvable(reduced, corners)):
                inner = rational.interior_of_solutions(reduced, corners[i])
                if inner is None:
                    continue
                corner = self._spread(outside, corners[i])
                point = corner.copy()
                point[inside] = [float(value) for value in inner]
                basis = np.zeros((self.n, len(reduced.free)))
                basis[inside] = rational.directions(reduced)
                sheets.append(Sheet(interior, corner, point, basis))
                if len(sheets) > MOST_SHEETS:
                    raise TooDegenerate(f"more than {MOST_SHEETS} faces of the cube hold infinitely many equilibria")
        return sheets, points

    @property
    def sheets(self) -> list[Sheet]:
        """The faces with infinitely many equilibria."""
        return self._irregular[0]

    def _spread(self, units: Array, values: Array) -> Array:
        y = np.zeros(self.n)
        y[units] = values
        return y

    def points_of(self, interior: Array, corner: Array) -> Block:
        """The isolated equilibria of the given faces (F, N), those that have one; their closure is not looked at."""
        y, kept = corner.copy(), np.zeros(len(corner), dtype=bool)
        for i in range(len(corner)):
            inside, outside = np.flatnonzero(interior[i]), np.flatnonzero(~interior[i])
            if len(inside):
                reduced = rational.reduce_set(self.rows, inside.tolist(), outside.tolist())
                values = [] if reduced.free else rational.solution(reduced, corner[i, outside])
                kept[i] = bool(values) and all(0 < value < 1 for value in values)
                if kept[i]:
                    y[i, inside] = [float(value) for value in values]
            else:
                kept[i] = True
        return self._finish(y[kept], interior[kept], [])

    # --- isolated points ---------------------------------------------------------------------------------

    def blocks(self) -> Iterator[Block]:
        """All isolated equilibria, block by block; each face is one factorisation and a few additions away."""
        yield from self._corners()
        points = self._irregular[1]
        if points:
            y = np.array([corner for _, corner, _ in points])
            for row, (interior, _, solution) in zip(y, points, strict=True):
                row[interior] = [float(value) for value in solution]
            interiors = np.array([interior for interior, _, _ in points])
            yield self._finish(y, interiors)
        yield from self._regular()

    def _corners(self) -> Iterator[Block]:
        for low in range(0, 1 << self.n, _CORNERS_PER_BLOCK):
            y = _bits(np.arange(low, min(low + _CORNERS_PER_BLOCK, 1 << self.n)), self.n).astype(float)
            yield self._finish(y, np.zeros(y.shape, dtype=bool))

    def _regular(self) -> Iterator[Block]:
        from resdyn.kernels.threads import thread_count

        workers = thread_count(self.threads)
        total = 1 << self.n
        pieces = min(total - 1, 16 * workers) if self.n > 8 else 1
        edges = [1 + (total - 1) * i // pieces for i in range(pieces + 1)]
        ranges = list(pairwise(edges))
        with ThreadPoolExecutor(workers) as pool:
            # a few ranges at a time: what has been found and not yet taken stays bounded
            for start in range(0, len(ranges), workers):
                for found in pool.map(lambda pair: list(self._range(*pair)), ranges[start : start + workers]):
                    for y, interior, sure in found:
                        yield self._finish(*self._decide(y, interior, sure))

    def _range(self, first: int, last: int) -> Iterator[tuple[Array, Array, Array]]:
        from resdyn.kernels.faces import equilibria_of_sets

        capacity = max(1 << (self.n - 1), 1024)
        y = np.empty((capacity, self.n))
        interior, corner = np.empty((2, capacity), dtype=np.int64)
        sure = np.empty(capacity, dtype=np.bool_)
        while first < last:
            count, first = equilibria_of_sets(self.W, first, last, y, interior, corner, sure)
            if count:
                yield y[:count].copy(), interior[:count].copy(), sure[:count].copy()

    def _decide(self, y: Array, masks: Array, sure: Array) -> tuple[Array, Array]:
        """Keep what is an equilibrium: exactly, where floating point could not say."""
        keep = np.ones(len(y), dtype=bool)
        interior = _bits(masks, self.n)
        for i in np.flatnonzero(~sure):
            solution = self._solve(y[i], interior[i])
            keep[i] = all(0 < value < 1 for value in solution)
            y[i, interior[i]] = [float(value) for value in solution]
        return (y, interior) if keep.all() else (y[keep], interior[keep])

    def _solve(self, y: Array, interior: Array) -> list[Fraction]:
        """y_I of one face of a regular set, exactly; the other units are read from y."""
        inside, outside = np.flatnonzero(interior), np.flatnonzero(~interior)
        reduced = rational.reduce_set(self.rows, inside.tolist(), outside.tolist())
        return rational.solution(reduced, y[outside])

    def _finish(self, y: Array, interior: Array, sheets: list[Sheet] | None = None) -> Block:
        from resdyn.kernels.faces import ACCURACY

        rates = y @ self.W.T
        # an interior unit is known to ACCURACY, and a sum of n products to n roundings
        size = np.abs(self.W).sum(axis=1)
        bound = np.where(np.any(interior, axis=1)[:, None], ACCURACY * size, 2 * self.n * _UNIT * size)
        doubtful = np.asarray((np.abs(rates) <= bound) & ~interior)
        for i in np.flatnonzero(doubtful.any(axis=1)):
            self._exact_rates(rates[i], y[i], interior[i], bound[i])
        in_closure = self._in_closure(y, interior, rates, self.sheets if sheets is None else sheets)
        with np.errstate(over="ignore"):
            largest = np.finfo(float).max
            return Block(y, interior, np.clip(np.ldexp(rates, self.exponents), -largest, largest), in_closure)

    def _exact_rates(self, rates: Array, y: Array, interior: Array, bound: Array) -> None:
        """Put right what rounding leaves open: exact zeros, and values whose sign is in doubt."""
        exact = [Fraction(int(value)) if not inner else Fraction(0) for value, inner in zip(y, interior, strict=True)]
        if interior.any():
            for unit, value in zip(np.flatnonzero(interior), self._solve(y, interior), strict=True):
                exact[unit] = value
        for unit in np.flatnonzero((np.abs(rates) <= bound) & ~interior):
            row = self.original[unit]
            value = sum((Fraction(float(w)) * v for w, v in zip(row, exact, strict=True)), Fraction(0))
            # in the units of the scaled row; a value too small for a float keeps its sign
            scaled = rational.to_float(value / Fraction(2) ** int(self.exponents[unit]))
            rates[unit] = (scaled or np.finfo(float).tiny * (1 if value > 0 else -1)) if value else 0.0

    def _in_closure(self, y: Array, interior: Array, rates: Array, sheets: list[Sheet]) -> Array:
        """Which points lie in the closure of a sheet: on its face or the rim of it, with (Wy)_i = 0 there.

        The rates of saturated units are exact zeros where they vanish, and those of interior units vanish anyway.
        """
        marked = np.zeros(len(y), dtype=bool)
        for sheet in sheets:
            outside = ~sheet.interior
            on_face = ~(interior[:, outside].any(axis=1)) & (y[:, outside] == sheet.corner[outside]).all(axis=1)
            still = ((rates == 0) | interior)[:, sheet.interior].all(axis=1)
            marked |= on_face & still
        return marked
