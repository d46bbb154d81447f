"""Fixed points of any stability by Newton's method from many starts at once: what orbits may get stuck on."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System
from resdyn.analysis.equilibria import newton

Array = NDArray[Any]

_STEPS = 24


def newton_points(system: System, starts: Array, scale: float, reach: float, known: Array) -> Array:
    """Distinct fixed points (n, d) that Newton's method finds from ``starts`` (M, d) in a region of size
    ``reach``, but those ``known`` (m, d); the roots are a few ``scale`` apart.
    """
    x = np.array(starts, dtype=float)
    d = x.shape[1]
    jacobian: Any = system.jacobian  # type: ignore[attr-defined]
    arrived = np.zeros(len(x), dtype=bool)
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            f = np.asarray(system.residual(0.0, x.reshape(-1, *system.shape)), dtype=float).reshape(-1, d)
            A = np.asarray(jacobian(0.0, x.reshape(-1, *system.shape)), dtype=float)
            whole = np.isfinite(f).all(axis=1) & np.isfinite(A).all(axis=(1, 2))
            whole[whole] = np.abs(np.linalg.det(A[whole])) > 0.0
            step = np.full_like(x, np.nan)
            step[whole] = -np.linalg.solve(A[whole], f[whole][..., None])[..., 0]
            length = np.linalg.norm(step, axis=1)
            # a long step is a guess: cut it to the size of the region
            x = x + step * np.minimum(1.0, reach / np.maximum(length, 1e-300))[:, None]
            arrived = length <= 1e-6 * scale
            if (arrived | ~np.isfinite(length)).all():
                break
    found = list(known)
    for candidate in x[arrived & np.isfinite(x).all(axis=1)]:
        if found and np.abs(np.array(found) - candidate).max(axis=1).min() <= 1e-5 * scale:
            continue
        refined = newton.refine(system, candidate.reshape(system.shape))
        if refined is None:
            continue
        x = refined.ravel()
        # refined points are known to rounding, and may be far nearer to each other than the region is large
        if all(np.abs(other - x).max() > 1e-9 * (scale + np.abs(x).max()) for other in found):
            found.append(x)
    return np.array(found[len(known) :]).reshape(-1, d)
