r"""Factors of a unit that was taken apart: the branch is cut where fewest units are active.

Each product of sparse matrices takes only the rows, or the columns, that an active unit needs.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.reading.anatomy import Anatomy, Path, Position
from resdyn.networks.linearization.reading.layers import Convolution, Selection

Array = NDArray[Any]

_NEARLY = 1.1
"""Of cuts with up to so many times the fewest active units, the one whose factors look least far is taken."""


class Skip(NamedTuple):
    """a and S."""

    a: float
    matrix: Any


def factors_of(unit: Anatomy) -> Factors:
    """The factors of the whole unit, without scales."""
    path = unit.branch if unit.addition is not None else _without_last_activation(unit.branch)
    cut = _cut(path)
    active = np.flatnonzero(path.positions[cut].diagonal)
    V = _to(path, cut, active)
    U = _from(path, cut, active)
    n, m = len(path.positions[-1].diagonal), len(path.positions[0].diagonal)
    skip = Skip(0.0, sparse.csr_array((n, m))) if unit.skip is None else _skip(unit.skip)
    inner = tuple(activation for position in path.positions for activation in position.activations)
    return Factors(skip.a, skip.matrix, U, V, unit.outer(), inner, _places(path, cut, active))


def _without_last_activation(path: Path) -> Path:
    """D is the last diagonal of a unit without addition."""
    last = path.positions[-1]
    if not last.activations:
        return path
    return Path(path.gain, (*path.positions[:-1], Position(last.shape, np.ones_like(last.diagonal), ())), path.layers)


def _cut(path: Path) -> int:
    active = [np.count_nonzero(position.diagonal) for position in path.positions]
    reach = [max(_reach(path, 0, k), _reach(path, k, len(path.layers))) for k in range(len(active))]
    near = [k for k in range(len(active)) if active[k] <= _NEARLY * min(active)]
    return min(near, key=lambda k: (reach[k], active[k]))


def _reach(path: Path, first: int, last: int) -> int:
    return sum(layer.reach for layer in path.layers[first:last])


def _to(path: Path, cut: int, active: Array) -> Any:
    """V: from the state to the active units at the cut, with their own derivatives."""
    diagonal = path.positions[cut].diagonal[active]
    if cut == 0:
        ends = np.arange(len(active) + 1)
        return sparse.csr_array((diagonal, active, ends), shape=(len(active), len(path.positions[0].diagonal)))
    V = _scaled_rows(path.layers[cut - 1].rows(active), diagonal)
    for k in reversed(range(1, cut)):
        middle = path.positions[k].diagonal
        used = np.flatnonzero(middle)
        V = V[:, used] @ _scaled_rows(path.layers[k - 1].rows(used), middle[used])
    first = path.positions[0].diagonal
    return sparse.csr_array(V if (first == 1).all() else V @ sparse.diags_array(first))


def _from(path: Path, cut: int, active: Array) -> Any:
    """U: from the active units at the cut to the sum, with the gain."""
    n = len(path.positions[-1].diagonal)
    if cut == len(path.layers):
        ends = np.arange(len(active) + 1)
        return sparse.csc_array((np.full(len(active), path.gain), active, ends), shape=(n, len(active)))
    U = path.layers[cut].columns(active)
    for k in range(cut + 1, len(path.layers)):
        middle = path.positions[k].diagonal
        used = np.flatnonzero(middle)
        U = path.layers[k].columns(used) @ _scaled_rows(sparse.csr_array(U)[used], middle[used])
    U = sparse.csc_array(U)
    last = path.gain * path.positions[-1].diagonal
    if not (last == 1).all():
        U.data *= last[U.indices]
    return U


def _skip(path: Path) -> Skip:
    simple = all(isinstance(layer, Selection) for layer in path.layers)
    gains = [position.diagonal[:1] for position in path.positions]
    if simple and all((p.diagonal == gain).all() for p, gain in zip(path.positions, gains, strict=True)):
        a = path.gain * float(np.prod(gains))
        return Skip(a, _matrix(path, with_diagonals=False) if path.layers else None)
    return Skip(1.0, path.gain * _matrix(path, with_diagonals=True))


def _matrix(path: Path, *, with_diagonals: bool) -> Any:
    total: Any = sparse.eye_array(len(path.positions[0].diagonal), format="csr")
    if with_diagonals:
        total = _scaled_rows(total, path.positions[0].diagonal)
    for layer, position in zip(path.layers, path.positions[1:], strict=True):
        total = layer.rows(np.arange(len(position.diagonal))) @ total
        if with_diagonals:
            total = _scaled_rows(sparse.csr_array(total), position.diagonal)
    total = sparse.csr_array(total)
    total.eliminate_zeros()
    return total


def _scaled_rows(matrix: Any, factors: Array) -> Any:
    if not (factors == 1).all():
        matrix.data *= np.repeat(factors, np.diff(matrix.indptr))
    return matrix


def _places(path: Path, cut: int, active: Array) -> NDArray[np.int64]:
    around = path.layers[max(cut - 1, 0) : cut + 1]
    pixels = int(np.prod(path.positions[cut].shape[1:]))
    return active % pixels if any(isinstance(layer, Convolution) for layer in around) else active
