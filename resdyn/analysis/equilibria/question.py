"""What was asked for, and how an answer is put together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System
from resdyn.analysis.equilibria import faces
from resdyn.analysis.equilibria.result import FixedPoints
from resdyn.matrix_family import LogisticResiduals

Array = NDArray[Any]


class Question:
    """A system, and which of its fixed points are wanted."""

    def __init__(self, system: System, stable: bool | None, dynamics: str) -> None:
        self.system, self.stable, self.dynamics = system, stable, dynamics

    def answer(self, x: Array, *, complete: bool, method: str, reason: str) -> FixedPoints:
        """From states alone."""
        x = x.reshape(-1, *self.system.shape)
        activations = getattr(self.system, "activations", None)
        y = np.empty((len(x), 0)) if activations is None else np.asarray(activations(0.0, x))
        f = np.asarray(self.system.residual(0.0, x)).reshape(len(x), int(np.prod(self.system.shape)))
        points = FixedPoints(
            x=x,
            y=y,
            residual_norm=np.linalg.norm(f, axis=1),
            in_closure=np.zeros(len(x), dtype=bool),
            complete=complete,
            method=method,
            reason=reason,
            system=self.system,
            dynamics=self.dynamics,
            stable=self.stable,
        )
        return self.pick(points)

    def pick(self, points: FixedPoints) -> FixedPoints:
        """Only the stable, or only the unstable ones, if that was asked for."""
        if self.stable is None:
            return points
        return points._chosen(points.stability(self.dynamics) == int(self.stable))

    def on_faces(
        self,
        system: LogisticResiduals,
        block: faces.Block,
        sheets: list[faces.Sheet],
        *,
        complete: bool,
        method: str,
        reason: str,
    ) -> FixedPoints:
        """From points on the faces of the cube, those that were asked for."""
        n = system.shape[0]
        # a value that rounds to 0 or 1 is inside all the same
        inner = np.clip(block.y, np.finfo(float).tiny, 1 - np.finfo(float).epsneg)
        return FixedPoints(
            x=system.from_residuals(np.where(block.interior, inner, block.y)),
            y=block.y,
            residual_norm=np.linalg.norm(block.y * (1 - block.y) * block.rates, axis=1),
            in_closure=block.in_closure,
            complete=complete,
            method=method,
            reason=reason,
            system=system,
            dynamics=self.dynamics,
            stable=self.stable,
            rates=block.rates,
            continuum_interior=np.array([sheet.interior for sheet in sheets], dtype=bool).reshape(-1, n),
            continuum_corner=np.array([sheet.corner for sheet in sheets]).reshape(-1, n),
            continuum_point=np.array([sheet.point for sheet in sheets]).reshape(-1, n),
            continuum_basis=np.concatenate([np.empty((0, n)), *(sheet.basis.T for sheet in sheets)]),
            continuum_dimension=np.array([sheet.basis.shape[1] for sheet in sheets], dtype=np.int64),
        )
