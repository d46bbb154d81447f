"""The equilibria of logistic residual dynamics: all of them, block by block, or the stable ones."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _memory
from resdyn import _validation as validate
from resdyn.analysis.equilibria import faces
from resdyn.analysis.equilibria.question import Question
from resdyn.analysis.equilibria.result import FixedPoints
from resdyn.matrix_family import LogisticResiduals

Array = NDArray[Any]

# 3.5 · 10⁹ faces take a quarter of a minute; each further unit three to four times as long
_LARGEST_LISTED = 20
_LARGEST_STREAMED = 24


def iterate_fixed_points(
    system: LogisticResiduals, *, dynamics: str = "map", threads: int | None = None
) -> Iterator[FixedPoints]:
    """All equilibria of logistic residual dynamics, block by block, in bounded memory.

    Each block is a :class:`FixedPoints` with up to some hundred thousand points; the first one holds the continua.
    Together they are what ``fixed_points(system)`` returns at once, in another order. Of 20 units (3.5 · 10⁹ faces)
    there are some millions, to be counted or picked from.

    Raises
    ------
    TypeError
        For any other system.
    ValueError
        For more than 24 units, or weights so degenerate that far too many faces hold infinitely many equilibria.
    """
    if not isinstance(system, LogisticResiduals):
        raise TypeError(
            f"only logistic residual dynamics can be enumerated, but got {system!r}; "
            "make one with resdyn.logistic_residuals(W, b), or use resdyn.fixed_points."
        )
    n = system.shape[0]
    if n > _LARGEST_STREAMED:
        raise ValueError(
            f"{system.name!r} has {n} units, so 3^{n} = {3.0**n:.1e} faces; up to {_LARGEST_STREAMED} units can be "
            "enumerated. Ask for fixed_points(system, stable=True)."
        )
    ask = Question(system, None, validate.dynamics(dynamics))
    cube = faces.Faces(system.W, threads=validate.threads(threads))
    try:
        sheets = cube.sheets
    except faces.TooDegenerate as error:
        raise ValueError(
            f"the weights of {system.name!r} are too degenerate to list all equilibria: {error}; "
            "ask for fixed_points(system, stable=True)."
        ) from None
    return _blocks(ask, system, cube, sheets)


def _blocks(
    ask: Question, system: LogisticResiduals, cube: faces.Faces, sheets: list[faces.Sheet]
) -> Iterator[FixedPoints]:
    for block in cube.blocks():
        reason = "one block of an enumeration of all faces of the cube."
        yield ask.on_faces(system, block, sheets, complete=False, method="faces", reason=reason)
        sheets = []


def equilibria(
    ask: Question, system: LogisticResiduals, algorithm: str, max_nodes: int, threads: int | None
) -> FixedPoints:
    n = system.shape[0]
    if algorithm == "faces" and n > _LARGEST_STREAMED:
        raise ValueError(
            f"{system.name!r} has {n} units, so 3^{n} = {3.0**n:.1e} faces, too many to visit; "
            f"up to {_LARGEST_STREAMED} units can be enumerated. Use algorithm='branch and bound' with stable=True."
        )
    if algorithm == "branch and bound" and ask.stable is not True:
        raise ValueError(
            f"branch and bound finds the stable equilibria only, but stable is {ask.stable!r}; pass stable=True."
        )
    if algorithm == "faces" or (algorithm == "auto" and n <= _LARGEST_LISTED):
        return _all_faces(ask, system, max_nodes, threads)
    return _stable_faces(ask, system, max_nodes)


def _all_faces(ask: Question, system: LogisticResiduals, max_nodes: int, threads: int | None) -> FixedPoints:
    n = system.shape[0]
    cube = faces.Faces(system.W, threads=threads)
    blocks = []
    try:
        sheets = cube.sheets
    except faces.TooDegenerate as error:
        if ask.stable is True:
            return _stable_faces(ask, system, max_nodes)
        return ask.on_faces(
            system,
            faces.merge([], n),
            [],
            complete=False,
            method="faces",
            reason=f"the weights are too degenerate: {error}; none is listed. Ask for stable=True.",
        )
    for block in cube.blocks():
        blocks.append(block.take(_wanted(ask, system, block)))
        # y, z, Wy, eigenvalues and multipliers of what is kept, and room to sort it
        _memory.require(
            12 * sum(kept.y.nbytes for kept in blocks),
            "the list of all equilibria",
            "take them block by block from resdyn.iterate_fixed_points(system), or ask for stable=True",
        )
    reason = f"all 3^{n} faces of the cube were decided, by error bounds or in rational arithmetic."
    merged = faces.merge(blocks, n)
    return ask.on_faces(system, merged, sheets, complete=True, method="faces", reason=reason)


def _wanted(ask: Question, system: LogisticResiduals, block: faces.Block) -> Array:
    """Which points of a block were asked for."""
    if ask.stable is None:
        return np.ones(len(block.y), dtype=bool)
    attracting = np.where(block.y == 0, block.rates < 0, block.rates > 0) | block.interior
    wanted = np.asarray(attracting.all(axis=1))
    if not ask.stable:
        wanted[:] = True
    rows = np.flatnonzero(wanted)
    points = ask.on_faces(system, block.take(rows), [], complete=False, method="faces", reason="")
    wanted[rows] = points.stability(ask.dynamics) == int(ask.stable)
    return wanted


def _stable_faces(ask: Question, system: LogisticResiduals, max_nodes: int) -> FixedPoints:
    from resdyn.kernels.stable_faces import INSIDE, ONE, stable_faces

    n = system.shape[0]
    if ask.stable is False:
        return ask.on_faces(
            system,
            faces.merge([], n),
            [],
            complete=False,
            method="none",
            reason=f"3^{n} faces are too many to visit, and nothing else marks the unstable equilibria.",
        )
    # units with much influence first: the bounds of the others then narrow soonest
    cube = faces.Faces(system.W)
    order = np.argsort(-np.abs(cube.W).sum(axis=0), kind="stable")
    rows, finished = 1024, False
    while True:
        statuses = np.empty((rows, n), dtype=np.uint8)
        count, nodes, finished = stable_faces(cube.W, order, max_nodes, statuses)
        if finished or count < rows:
            break
        rows *= 8
    interior, corner = statuses[:count] == INSIDE, (statuses[:count] == ONE).astype(float)
    block = cube.points_of(interior, corner)
    if finished:
        reason = f"branch and bound on the signs of Wy excluded every other face ({nodes} nodes)."
    else:
        reason = f"branch and bound on the signs of Wy stopped after {nodes} nodes; allow more with max_nodes."
    if ask.stable is None:
        reason = f"3^{n} faces are too many to visit; these are the stable ones only: {reason}"
    stable = Question(system, True, ask.dynamics)
    block = block.take(_wanted(stable, system, block))
    complete = finished and ask.stable is True
    return ask.on_faces(system, block, [], complete=complete, method="branch and bound", reason=reason)
