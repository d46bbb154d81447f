"""The flow over any time, not only over whole layers, with its derivative."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from resdyn import _validation as validate
from resdyn._request import FLOWS
from resdyn._types import System
from resdyn.analysis.exponents.tangents import Variational
from resdyn.simulation import simulate

Array = NDArray[Any]

_MAX_STEPS = 1_000_000
_FEW = 16


@dataclass(frozen=True)
class Tolerances:
    """How a flow is integrated."""

    rtol: float
    atol: float
    method: str
    scaled: bool = False
    """Whether ``atol`` was left to us, so that it may follow the size of an orbit."""

    def within(self, size: float) -> "Tolerances":
        """For states no larger than ``size``: an error of 1e-12 is large where they are smaller than one."""
        return replace(self, atol=self.atol * min(1.0, size)) if self.scaled and size > 0 else self

    @classmethod
    def of(cls, rtol: Any, atol: Any, method: Any) -> "Tolerances":
        """Cycles and return maps are differentiated and solved for, so the defaults are tight."""
        return cls(
            1e-10 if rtol is None else validate.positive(rtol, "rtol"),
            1e-12 if atol is None else validate.positive(atol, "atol"),
            "RK45" if method is None else validate.choice(method, "method", FLOWS),
            scaled=atol is None,
        )


class WithStep:
    """A system whose layers last as long as we like; the flow is the same."""

    depth = None

    def __init__(self, system: System, step: float) -> None:
        self.system, self.step = system, step
        self.name, self.shape = system.name, system.shape
        for name in ("jacobian", "infinite_states"):
            if hasattr(system, name):
                setattr(self, name, getattr(system, name))
        # the form knows the residual only; the flow takes its times from the caller
        if hasattr(system, "compiled_form"):
            self.compiled_form = system.compiled_form

    def residual(self, t: float, x: Array) -> Array:
        """f."""
        return self.system.residual(t, x)

    def linearize(self, t: float, x: Array) -> LinearOperator:
        """∂f/∂x."""
        return self.system.linearize(t, x)


def orbit(system: System, states: Array, step: float, n: int, tolerances: Tolerances) -> Array:
    """The flow of states (M, *shape) at times 0, step, …, n·step: shape (n + 1, M, *shape); NaN beyond a failure."""
    run = simulate(
        WithStep(system, step),
        states,
        depth=n,
        method=tolerances.method,
        rtol=tolerances.rtol,
        atol=tolerances.atol,
        # a second thread costs more than a few states take
        threads=1 if len(states) < _FEW else None,
    )
    return run.x


def flow_with_derivative(system: System, states: Array, duration: float, tolerances: Tolerances) -> tuple[Array, Array]:
    """The states after ``duration``, (M, *shape), and ∂φ/∂x, (M, d, d); NaN where the integrator failed."""
    size, d = len(states), int(np.prod(system.shape))
    x = np.ascontiguousarray(states, dtype=float).reshape(size, d).copy()
    frames = np.broadcast_to(np.eye(d), (size, d, d)).copy()
    make = getattr(system, "compiled_form", None)
    form = make() if make is not None and tolerances.method == "RK45" else None
    status = np.zeros(size, dtype=np.uint8)
    if form is not None and form.carries_tangents(d):
        form.integrate_tangents(
            x,
            frames,
            np.zeros((1, size, d)),
            status,
            begin=0.0,
            ends=np.array([duration]),
            layers=np.zeros(1, dtype=np.int64),
            marks=np.full(1, -1),
            rtol=tolerances.rtol,
            atol=tolerances.atol,
            max_steps=_MAX_STEPS,
            threads=1 if size < _FEW else None,
        )
    else:
        joined = np.concatenate([x, frames.reshape(size, -1)], axis=1)
        run = simulate(
            Variational(WithStep(system, duration), d, 0),
            joined,
            depth=1,
            method=tolerances.method,
            save="final",
            rtol=tolerances.rtol,
            atol=tolerances.atol,
        )
        x, frames, status = run.final[:, :d].copy(), run.final[:, d:].reshape(size, d, d).copy(), run.status
    x[status != 0], frames[status != 0] = np.nan, np.nan
    # frames hold one vector per row
    return x.reshape(size, *system.shape), np.swapaxes(frames, 1, 2)
