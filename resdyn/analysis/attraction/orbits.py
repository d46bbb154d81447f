"""Orbits of a system as the search sees them: flat states, run on by so many layers, and where distances are taken."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._request import FLOWS, make_request
from resdyn._types import System
from resdyn.simulation import most_steps, simulate

Array = NDArray[Any]

_LARGEST = 1e100
# floats that the states of one piece of work may take, 64 MiB
_MOST_NUMBERS = 1 << 23


@dataclass(frozen=True, eq=False)
class Orbits:
    """A system with what its orbits are run with. States are flat, of shape (M, d)."""

    system: System
    dynamics: str
    rtol: float | None = None
    atol: float | None = None
    solver: str | None = None
    threads: int | None = None

    @property
    def is_map(self) -> bool:
        """Map or flow."""
        return self.dynamics == "map"

    @property
    def size(self) -> int:
        """d, the number of state variables."""
        return int(np.prod(self.system.shape))

    @property
    def in_residuals(self) -> bool:
        """Whether distances are those of y = σ(z): states run to infinity while y converges."""
        return bool(getattr(self.system, "infinite_states", False))

    @property
    def largest(self) -> float:
        """Beyond this a state is lost."""
        return np.inf if self.in_residuals else _LARGEST

    def view(self, x: Array) -> Array:
        """States as the points between which distances are taken, same shape."""
        if not self.in_residuals:
            return x
        system: Any = self.system
        return np.asarray(system.activations(0.0, x.reshape(-1, *self.system.shape))).reshape(x.shape)

    def state(self, v: Array) -> Array:
        """The states of points."""
        if not self.in_residuals:
            return v
        system: Any = self.system
        inside = np.clip(v, 0.0, 1.0)
        return np.asarray(system.from_residuals(inside.reshape(-1, *self.system.shape))).reshape(v.shape)

    def lost(self, x: Array) -> NDArray[np.bool_]:
        """Which states went beyond all bounds."""
        with np.errstate(invalid="ignore"):
            return np.asarray(~(np.abs(x) <= self.largest).all(axis=-1))

    def residual(self, x: Array) -> Array:
        """f at flat states."""
        with np.errstate(all="ignore"):
            return np.asarray(self.system.residual(0.0, x.reshape(-1, *self.system.shape)), dtype=float).reshape(
                x.shape
            )

    def control(self, layers: int) -> dict[str, Any]:
        """What controls the steps of a flow through so many layers, as :func:`resdyn.simulate` has it."""
        request = make_request(
            self.system,
            np.zeros(self.system.shape),
            depth=layers,
            method=self.solver or "RK45",
            save="final",
            transient=0,
            inputs=None,
            noise=0.0,
            rng=None,
            dtype=None,
            progress=False,
            rtol=self.rtol,
            atol=self.atol,
            threads=self.threads,
        )
        return {"rtol": request.rtol, "atol": request.atol, "max_steps": most_steps(layers)}

    def tolerance(self, v: Array) -> float:
        """The error that is allowed in a step of the flow near these points; 0 for maps."""
        if self.is_map:
            return 0.0
        control = self.control(1)
        return float(control["atol"] + control["rtol"] * np.abs(v).max())

    def run(self, x: Array, layers: int) -> Array:
        """The states (M, d) after so many layers; NaN where they are lost."""
        return self.sample(x, layers, every=layers)[-1]

    def sample(self, x: Array, layers: int, *, every: int = 1) -> Array:
        """The states (n + 1, M, d) at layers 0, every, 2·every, … and at the last; NaN once they are lost."""
        n_saved = -(-layers // every) + 1
        out = np.full((n_saved, *x.shape), np.nan)
        whole = np.flatnonzero(~self.lost(x))
        piece = max(1, _MOST_NUMBERS // max(1, n_saved * self.size))
        for low in range(0, len(whole), piece):
            chosen = whole[low : low + piece]
            out[:, chosen] = self._saved(x[chosen], layers, every)
        return out

    def _saved(self, x: Array, layers: int, every: int) -> Array:
        method = "residual" if self.is_map else self.solver or "RK45"
        trajectory = simulate(
            self.system,
            x.reshape(-1, *self.system.shape),
            depth=layers,
            save=every,
            method=method,
            rtol=self.rtol,
            atol=self.atol,
            threads=self.threads,
        )
        saved = trajectory.x.reshape(len(trajectory.x), *x.shape)
        saved[self.lost(saved)] = np.nan
        return saved


def make_orbits(system: System, dynamics: Any, what: str, *, rtol: Any, atol: Any, method: Any, threads: Any) -> Orbits:
    """The arguments that say what an orbit is, checked."""
    validate.autonomous(system, what)
    word = validate.dynamics(dynamics, rtol=rtol, atol=atol, method=method)
    return Orbits(
        system=system,
        dynamics=word,
        rtol=None if rtol is None else validate.positive(rtol, "rtol"),
        atol=None if atol is None else validate.positive(atol, "atol"),
        solver=None if method is None else validate.choice(method, "method", FLOWS),
        threads=validate.threads(threads),
    )
