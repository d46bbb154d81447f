"""The plane of a phase portrait: where it lies in the space of states, and what the system does in it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._types import System
from resdyn.analysis.equilibria import FixedPoint
from resdyn.analysis.equilibria import fixed_points as find_fixed_points
from resdyn.analysis.manifolds import invariant_manifold
from resdyn.system import ResidualSystem

Array = NDArray[Any]

# manifolds are drawn up to this many times the size of the picture
_WINDINGS = 8.0


@dataclass(frozen=True, eq=False)
class Plane:
    """Two units of a system, within (low, high); the others, if there are any, stay as they are in ``at``."""

    system: System
    acting: System
    units: tuple[int, int]
    at: Array
    low: Array
    high: Array
    dynamics: str
    in_residuals: bool

    @property
    def is_whole(self) -> bool:
        """Whether the plane is all there is."""
        return self.at.size == 2

    @property
    def letter(self) -> str:
        return "y" if self.in_residuals else "x"

    @property
    def slice_title(self) -> str:
        """What the other units are."""
        others = [i for i in range(self.at.size) if i not in self.units]
        named = ", ".join(f"${self.letter}_{{{i}}} = {self.at[i]:.3g}$" for i in others[:4])
        return f"slice at {named}" + (", …" if len(others) > 4 else "")

    @property
    def nullcline_labels(self) -> list[str]:
        """One for each of the two units."""
        if self.in_residuals:
            return [f"$(Wy)_{{{i}}} = 0$" for i in self.units]
        return [f"$f_{{{i}}} = 0$" for i in self.units]

    def grid(self, n: int) -> tuple[tuple[Array, Array], Array]:
        """Axes, and the states at their points, (n, n, d) with the first unit along the last axis but one."""
        axes = (
            np.linspace(self.low[0], self.high[0], n),
            np.linspace(self.low[1], self.high[1], n),
        )
        first, second = np.meshgrid(*axes)
        states = np.broadcast_to(self.at, (n, n, self.at.size)).copy()
        states[..., self.units[0]], states[..., self.units[1]] = first, second
        return axes, states

    def _residual(self, states: Array) -> Array:
        with np.errstate(all="ignore"):
            shaped = states.reshape(*states.shape[:-1], *self.acting.shape)
            return np.asarray(self.acting.residual(0.0, shaped), dtype=float).reshape(states.shape)

    def field(self, states: Array) -> Array:
        """f of the two units."""
        return self._residual(states)[..., list(self.units)]

    def nullcline_field(self, states: Array) -> Array:
        """What is zero on nullclines: f, or (Wy) of logistic residuals, where f is 0 on the edges too."""
        if not self.in_residuals:
            return self.field(states)
        system: Any = self.system
        return np.asarray(states @ system.W.T)[..., list(self.units)]

    def fixed_points(self, given: Any) -> list[FixedPoint]:
        """Those in the picture."""
        found = given
        if found is None:
            newton = self._needs_newton()
            low, high = np.empty(2), np.empty(2)
            low[list(self.units)], high[list(self.units)] = self.low, self.high
            box = (low.reshape(self.system.shape), high.reshape(self.system.shape))
            found = find_fixed_points(self.system, region=box) if newton else find_fixed_points(self.system)
        return [point for point in found if self._is_inside(self.seen(point))]

    def _needs_newton(self) -> bool:
        """Whether a region is what the search wants."""
        from resdyn.matrix_family import LogisticResiduals, ResidualMap

        return not isinstance(self.system, ResidualMap | LogisticResiduals)

    def seen(self, point: FixedPoint) -> Array:
        """A fixed point in the plane, shape (2,)."""
        state = point.y if self.in_residuals and point.y is not None else point.x
        return np.ravel(state)[list(self.units)]

    def _is_inside(self, place: Array) -> bool:
        slack = 1e-9 * (self.high - self.low)
        return bool(((place >= self.low - slack) & (place <= self.high + slack)).all())

    def manifold(self, point: FixedPoint, which: str) -> Array | None:
        """The curve in the plane, up to a little beyond the rim; None where there is none."""
        state = np.empty(2)
        state[list(self.units)] = self.seen(point)
        size = self.high - self.low
        low, high = np.empty(2), np.empty(2)
        # a little beyond the rim, but outside the cube there are no residuals
        beyond = 1e-9 if self.in_residuals else 0.02 * size
        low[list(self.units)], high[list(self.units)] = self.low - beyond, self.high + beyond
        longest = float(np.linalg.norm(size))
        try:
            found = invariant_manifold(
                self.acting,
                state.reshape(self.acting.shape),
                which=which,
                dynamics=self.dynamics,
                length=_WINDINGS * longest,
                spacing=longest / 200,
                region=(low.reshape(self.acting.shape), high.reshape(self.acting.shape)),
                max_points=20_000,
            )
        except ValueError:
            return None  # a stable manifold of a singular map is no curve that could be drawn
        return found.curve.reshape(-1, 2)[:, list(self.units)]

    def orbit(self, trajectory: Any) -> Array:
        """Orbits in the plane, (n_saved, n_orbits, 2)."""
        if trajectory.system.shape != self.system.shape:
            raise ValueError(
                f"the trajectory is of {trajectory.system.name!r} with states of shape {trajectory.system.shape}, but "
                f"the portrait of {self.system.name!r} with {self.system.shape}."
            )
        shown = trajectory.y if self.in_residuals else trajectory.x
        return np.asarray(shown.reshape(len(trajectory.t), -1, self.at.size)[..., list(self.units)])


def make_plane(system: System, region: Any, units: Any, at: Any, *, dynamics: str) -> Plane:
    """The arguments of a portrait, checked."""
    validate.autonomous(system, "a phase portrait")
    d = int(np.prod(system.shape))
    pair = tuple(validate.count(unit, "units") for unit in units)
    if len(pair) != 2 or pair[0] == pair[1] or max(pair) >= d:
        raise ValueError(
            f"units must be two different numbers from 0 to {d - 1}, the units of {system.name!r}; got {units!r}."
        )
    in_residuals = hasattr(system, "from_residuals")
    low, high = _rim(region, in_residuals)
    if d > 2 and at is None:
        raise ValueError(
            f"{system.name!r} has {d} units, and a portrait shows two: pass at=, a state whose other units are kept."
        )
    if at is None:
        rest = np.zeros(d)
    else:
        rest = validate.states(validate.real_array(at, "at"), system.shape, system.name, name="at").ravel()
        if rest.size != d:
            raise ValueError(f"at must be one state of shape {system.shape}.")
    acting = residual_dynamics(system, dynamics) if in_residuals else system
    return Plane(system, acting, (pair[0], pair[1]), rest, low, high, dynamics, in_residuals)


def _rim(region: Any, in_residuals: bool) -> tuple[Array, Array]:
    if region is None and in_residuals:
        return np.zeros(2), np.ones(2)
    if not isinstance(region, tuple | list | np.ndarray) or len(region) != 2:
        raise ValueError(f"region must be a pair (low, high), each a number or one for each unit; got {region!r}.")
    ends = [validate.real_array(end, "region") for end in region]
    if any(end.shape not in ((), (2,)) for end in ends):
        raise ValueError(
            f"region has ends of shapes {ends[0].shape} and {ends[1].shape}; each is a number, or one for each of the "
            "two units."
        )
    low, high = (np.broadcast_to(end, (2,)).astype(float) for end in ends)
    if not (low < high).all():
        raise ValueError("region must have low < high in both units.")
    if in_residuals and (low.min() < 0 or high.max() > 1):
        raise ValueError(f"residuals lie in [0, 1], but the region is {region!r}.")
    return low, high


def residual_dynamics(system: Any, dynamics: str) -> ResidualSystem:
    """The dynamics of y = σ(z) as a system of its own, which is smooth up to the faces of the cube.

    The flow is ẏ = y(1−y)∘Wy. The map z' = z + hWy reads y' = ye^u/(1 − y + ye^u) with u = hWy.
    """
    W, h = system.W, system.step

    def flow(t: float, y: Array, params: Any) -> Array:
        return np.asarray(y * (1 - y) * (y @ W.T))

    def flow_slope(t: float, y: Array, params: Any) -> Array:
        slope = (y * (1 - y))[..., None] * W
        return np.asarray(slope + ((1 - 2 * y) * (y @ W.T))[..., None] * np.eye(len(W)))

    def block(t: float, y: Array, params: Any) -> Array:
        # expm1 keeps the digits of a short step
        growth = np.expm1(h * (y @ W.T))
        return np.asarray(y * (1 - y) * growth / (1 + y * growth) / h)

    def block_slope(t: float, y: Array, params: Any) -> Array:
        growth = np.expm1(h * (y @ W.T))
        below = 1 + y * growth
        own = ((1 - 2 * y) * growth * below - y * (1 - y) * growth**2) / below**2 / h
        through = y * (1 - y) * (growth + 1) / below**2
        return np.asarray(own[..., None] * np.eye(len(W)) + through[..., None] * W)

    rule, slope = (flow, flow_slope) if dynamics == "flow" else (block, block_slope)
    return ResidualSystem(rule, (len(W),), step=h, jacobian=slope, name=f"residuals of {system.name}")
