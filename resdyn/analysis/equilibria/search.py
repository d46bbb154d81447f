"""``fixed_points``: which algorithm a system admits, and what can be promised of its answer."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._types import System
from resdyn.analysis.equilibria import newton
from resdyn.analysis.equilibria.damped import fixed_points_of_map
from resdyn.analysis.equilibria.logistic import equilibria
from resdyn.analysis.equilibria.question import Question
from resdyn.analysis.equilibria.result import FixedPoints
from resdyn.matrix_family import LogisticResiduals, ResidualMap

Array = NDArray[Any]

ALGORITHMS = ("auto", "faces", "branch and bound", "intervals", "contraction", "linear", "newton")


def fixed_points(
    system: System,
    *,
    stable: bool | None = None,
    dynamics: str = "map",
    algorithm: str = "auto",
    region: Any = None,
    starts: Any = None,
    n_starts: int = 64,
    rng: np.random.Generator | int = 0,
    max_boxes: int = 200_000,
    max_nodes: int = 10_000_000,
    threads: int | None = None,
) -> FixedPoints:
    r"""All fixed points of a system, where that can be promised, and the ones that were found where it cannot.

    Map and flow share them: :math:`f(x) = 0`.

    * **Logistic residual dynamics** ("faces"): every y on the closed cube with :math:`y(1-y)\circ(Wy) = 0`, exactly.
      The units inside a face solve :math:`W_{II}y_I = -W_{IR}c`; floating point decides where its error bound (at most
      1e-8 on y, usually 1e-14) allows, and rational arithmetic everywhere else. Faces with infinitely many are listed
      as ``continua``. Of more than 20 units only the stable ones ("branch and bound" on the signs of Wy).
    * **Damped maps of the matrix family**: one point where :math:`|\alpha| L \|W\| < |\lambda|`, L the largest slope of
      φ ("contraction"); all points in the box of a bounded activation, proved by interval arithmetic ("intervals",
      up to 12 units); a linear system for the identity ("linear").
    * **Any system** ("newton"): deflated Newton from many starts, Newton–Krylov beyond 1024 variables. Never complete.

    Parameters
    ----------
    system : System
        Autonomous: with ``depth`` None.
    stable : bool, optional
        Only the points that are linearly stable (True) or unstable (False) under ``dynamics``; points that
        linearization does not decide are in neither. Continua are listed whatever their stability.
    dynamics : "map" or "flow"
    algorithm : str
        One of the words above in quotes, or "auto".
    region : pair of arrays, optional
        (low, high), each a number or of the state's shape: where "newton" draws its starts; points outside are left
        out.
    starts : array, shape (n, \*shape), optional
        States from which "newton" starts, instead of random ones.
    n_starts : int
        Random starts otherwise: in ``region``, or normal with standard deviations 0.1, 1 and 10, and the states
        where the map takes them.
    rng : Generator or seed
    max_boxes, max_nodes : int
        After so many boxes ("intervals") or nodes ("branch and bound") the search stops, incomplete.
    threads : int, optional

    Returns
    -------
    FixedPoints
        ``complete`` says whether these are certainly all; ``reason`` says why.

    Raises
    ------
    ValueError
        For a layer-wise system, which has no fixed points of its own, or an algorithm that does not fit the system.
    MemoryError
        If there are more points than fit: take them from :func:`resdyn.iterate_fixed_points`.

    Notes
    -----
    Sources: faces [hofbauer1998]_ (the same faces carry the equilibria of Lotka–Volterra and replicator flows);
    intervals [neumaier1990]_; deflation [farrell2015]_.
    """
    if not isinstance(system, System):
        raise TypeError(
            f"fixed_points needs a System, but got {type(system).__name__}; make one with resdyn.ResidualMap(W, b) or "
            "resdyn.logistic_residuals(W, b)."
        )
    validate.dynamics(dynamics)
    threads = validate.threads(threads)
    max_boxes = validate.count(max_boxes, "max_boxes", least=1)
    max_nodes = validate.count(max_nodes, "max_nodes", least=1)
    validate.choice(algorithm, "algorithm", ALGORITHMS)
    if stable is not None and not isinstance(stable, bool | np.bool_):
        raise TypeError(f"stable must be True, False or None, but is {stable!r}.")
    if system.depth is not None:
        raise ValueError(
            f"{system.name!r} has {system.depth} layers of its own, so no state need stay fixed through all of them; "
            "take the fixed points of one layer, e.g. of ResidualMap(W[k], b[k], ...)."
        )
    ask = Question(system, stable, dynamics)
    bounded = region is not None or starts is not None
    if bounded and algorithm == "auto" and isinstance(system, LogisticResiduals | ResidualMap):
        raise ValueError(
            "region and starts belong to Newton's method, but other algorithms come first for this system; pass "
            "algorithm='newton', or leave them out."
        )
    if bounded and algorithm not in ("auto", "newton"):
        raise ValueError(
            f"region and starts belong to Newton's method, but algorithm is {algorithm!r}; leave them out."
        )
    if isinstance(system, LogisticResiduals) and algorithm in ("auto", "faces", "branch and bound"):
        return equilibria(ask, system, algorithm, max_nodes, threads)
    if isinstance(system, ResidualMap) and algorithm in ("auto", "intervals", "contraction", "linear"):
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found = fixed_points_of_map(ask, system, algorithm, max_boxes)
        if found is not None:
            return found
    elif algorithm not in ("auto", "newton"):
        raise ValueError(
            f"algorithm {algorithm!r} does not apply to {system.name!r} ({type(system).__name__}); "
            "use 'auto', or 'newton', which applies to every system."
        )
    return _newton(ask, region, starts, validate.count(n_starts, "n_starts", least=1), rng)


def _newton(ask: Question, region: Any, starts: Any, n_starts: int, rng: np.random.Generator | int) -> FixedPoints:
    system = ask.system
    bounds = None if region is None else _bounds(region, system)
    if starts is not None:
        given = validate.states(validate.real_array(starts, "starts"), system.shape, system.name, name="starts")
        first = given.reshape(-1, *system.shape)
    else:
        first = newton.random_starts(system, bounds, n_starts, validate.generator(rng))
    with np.errstate(all="ignore"):
        x = newton.deflated_newton(system, first, bounds).reshape(-1, *system.shape)
    if bounds is not None:
        axes = tuple(range(1, x.ndim))
        x = x[((x >= bounds[0]) & (x <= bounds[1])).all(axis=axes)]
    order = np.lexsort(np.round(x.reshape(len(x), -1)[:, :8], 9).T[::-1]) if len(x) else np.arange(0)
    where = "" if region is None else " in the region"
    if len(x) == newton.MOST:
        where += f", stopped at {newton.MOST} (they may fill a continuum)"
    reason = f"what deflated Newton found from {len(first)} starts{where}; that there are no others is not proved."
    return ask.pick(ask.answer(x[order], complete=False, method="newton", reason=reason))


def _bounds(region: Any, system: System) -> tuple[Array, Array]:
    if not isinstance(region, tuple | list | np.ndarray) or len(region) != 2:
        raise ValueError(f"region must be a pair (low, high), but is {region!r}.")
    low, high = (validate.real_array(end, "region") for end in region)
    try:
        low, high = np.broadcast_to(low, system.shape), np.broadcast_to(high, system.shape)
    except ValueError:
        raise ValueError(
            f"region has ends of shapes {low.shape} and {high.shape}, but states have shape {system.shape}; "
            "give numbers, or arrays of that shape."
        ) from None
    if not (low < high).all():
        raise ValueError("region must have low < high in every coordinate.")
    return low, high
