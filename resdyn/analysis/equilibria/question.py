"""What was asked for, and how an answer is put together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System
from resdyn.analysis.equilibria import faces
from resdyn.analysis.equilibria.result import FixedPoints
from resdyn.matrix_family import LogisticResiduals, ResidualMap

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
        with np.errstate(over="ignore", invalid="ignore"):
            f = self._residual(0.0, x)
            later = self._residual(1.618 * self.system.step, x)
        if len(x) and not np.allclose(f, later, rtol=1e-6, atol=1e-9 * (1.0 + np.abs(x).max()), equal_nan=True):
            raise ValueError(
                f"{self.system.name!r} depends on t though its depth is None, so its states cannot stay fixed; "
                "freeze t in the rule, or give the system its depth."
            )
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
            kinked=self._at_a_kink(x),
        )
        return self.pick(points)

    def _residual(self, t: float, x: Array) -> Array:
        return np.asarray(self.system.residual(t, x)).reshape(len(x), int(np.prod(self.system.shape)))

    def _at_a_kink(self, x: Array) -> Array:
        """Points where the slope of an activation jumps (relu at 0), so that no linearization speaks for both sides."""
        if not isinstance(self.system, ResidualMap) or not len(x):
            return np.zeros(len(x), dtype=bool)
        z = x @ self.system.W.T + self.system.b
        away = 1e-6 * (1.0 + np.abs(z))
        slope = self.system.activation.derivative
        with np.errstate(all="ignore"):
            above, below = slope(z + away), slope(z - away)
        return np.asarray((np.abs(above - below) > 1e-3 * (1.0 + np.abs(above) + np.abs(below))).any(axis=1))

    def pick(self, points: FixedPoints) -> FixedPoints:
        """Only the stable, or only the unstable ones, if that was asked for."""
        if self.stable is None:
            return points
        return points._take(np.flatnonzero(points.stability(self.dynamics) == int(self.stable)))

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
