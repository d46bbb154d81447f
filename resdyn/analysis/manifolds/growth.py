"""``invariant_manifold``: the local piece, and the two arms that grow from it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._request import FLOWS
from resdyn._types import System
from resdyn.analysis.attraction.grids import checked_region
from resdyn.analysis.manifolds import flows, maps
from resdyn.analysis.manifolds.local import leading_direction, local_manifold, refined, smaller_period
from resdyn.analysis.manifolds.polyline import Resolution, arclength
from resdyn.analysis.manifolds.result import Manifold
from resdyn.iterated import IteratedMap

Array = NDArray[Any]

# images that grow by less than a tenth are many and short; then so many turns at once that they grow fourfold
_SLOW, _FAST = float(np.log(1.1)), float(np.log(4.0))
_MOST_TURNS = 4096


def invariant_manifold(
    system: System,
    x: Any,
    *,
    which: str = "unstable",
    dynamics: str = "map",
    period: int = 1,
    length: float = 10.0,
    spacing: float | None = None,
    angle: float = 0.2,
    region: Any = None,
    strong: bool = False,
    tolerance: float = 1e-8,
    max_points: int = 100_000,
    rtol: float | None = None,
    atol: float | None = None,
    method: str | None = None,
) -> Manifold:
    r"""The stable or unstable manifold of a saddle, where it is a curve.

    .. math:: W^u = \{x : F^{-k}(x) \to x^*\}, \qquad W^s = \{x : F^{k}(x) \to x^*\}, \qquad k \to \infty

    Both arms leave x* along the eigenvector of the one unstable (stable) direction. The local piece is correct to
    second order (:eq:`manifold-curvature-map`, :eq:`manifold-curvature-flow`).

    Parameters
    ----------
    system : System
        Autonomous, with any number of variables.
    x : FixedPoint, or array, shape ``system.shape``
        The saddle; Newton's method takes it to rounding first. A plain array must be nearer than ``spacing``, and so
        near that one Newton step covers all but a hundredth of the distance. ``Manifold.saddle`` is the state used.
    which : "unstable" or "stable"
    dynamics : "map" or "flow"
    period : int
        The least p with F^p(x) = x, if x is a state of a cycle of the map; the manifold is then that of the p-th
        iterate at this state.
    length : float
        The arclength of each arm.
    spacing : float, optional
        The largest gap between states; by default a 200th of ``length``.
    angle : float
        The largest angle between neighbouring gaps, in radians; gaps below a thousandth of ``spacing`` are not cut.
    region : (low, high), optional
        An arm ends where it leaves this box; each a number, or an array of ``system.shape``.
    strong : bool
        Where there are several directions: the curve along the fastest one, the strong (un)stable manifold.
    tolerance : float
        The defect of the local piece, relative to its length.
    max_points : int
        Of each arm.
    rtol, atol, method
        Of a flow: tolerances (default 1e-10 and 1e-12) and SciPy's method (default "DOP853").

    Returns
    -------
    Manifold
        Why an arm ended is part of the result.

    Raises
    ------
    ValueError
        For a state that is not near a fixed point (see ``x``), a period that is not the least, a manifold that is no
        curve (the message counts its directions), or the stable manifold of a map whose block is singular at x.

    Notes
    -----
    Unstable manifolds of maps are images of a fundamental segment, to which points are added where the images are
    coarse [hobson1993]_. Stable manifolds are images under the inverse, by Newton's method along the curve; a map with
    several preimages is followed on the sheet of the saddle, up to where its block becomes singular. Further pieces
    of the stable *set* of such a map are not looked for [england2004]_. If the multiplier is negative, the arms
    change places in every layer; two layers at a time are taken. Unstable manifolds of maps close to the identity
    take many layers at a time. The work still grows as one over the step, most for stable manifolds of maps, which go
    layer by layer: where the step is very small, take the flow.
    """
    validate.autonomous(system, "an invariant manifold")
    word = validate.dynamics(dynamics, rtol=rtol, atol=atol, method=method)
    side = validate.choice(which, "which", ("unstable", "stable"))
    turns = validate.count(period, "period", least=1)
    if word == "flow" and turns > 1:
        raise ValueError(f"period={turns} belongs to a cycle of the map, but dynamics is 'flow'; leave it out.")
    wanted = validate.positive(length, "length")
    resolution = Resolution(
        wanted / 200 if spacing is None else validate.positive(spacing, "spacing"), validate.positive(angle, "angle")
    )
    most = validate.count(max_points, "max_points", least=16)
    box = None if region is None else checked_region(region, system)
    start = _state(x, system)
    one_turn: System = IteratedMap(system, turns) if turns > 1 else system
    # FixedPoint and its like were polished before; arrays have to be near
    known = hasattr(x, "x")
    saddle = refined(one_turn, start, period=turns, asked=system.name, nearest=resolution.spacing, known=known).ravel()
    least = smaller_period(system, saddle, turns)
    if least is not None:
        raise ValueError(
            f"x is a state of a cycle of period {least} of {system.name!r}, not of period {turns}; pass period={least}."
        )
    eigenvalue, direction = leading_direction(one_turn, saddle, which=side, dynamics=word, strong=strong)
    multiplier = 1 + one_turn.step * eigenvalue if word == "map" else float(np.exp(system.step * eigenvalue))
    if word == "map" and side == "stable" and abs(multiplier) < 1e-9:
        raise ValueError(
            f"the block of {system.name!r} is singular at x (multiplier {multiplier:.1e}), so the stable manifold has "
            "no inverse map to grow by; its points fall onto x in one layer."
        )
    # a negative multiplier exchanges the arms in each layer
    at_once = 1 if word == "flow" else _turns_at_once(multiplier, forwards=side == "unstable")
    grown: System = IteratedMap(system, at_once * turns) if at_once > 1 else one_turn
    rate = (multiplier**at_once - 1) / grown.step if at_once > 1 else eigenvalue
    local = local_manifold(
        grown,
        saddle,
        rate,
        direction,
        dynamics=word,
        tolerance=validate.positive(tolerance, "tolerance"),
        longest=min(resolution.spacing, wanted / 10),
    )
    options: dict[str, Any] = {
        "forwards": side == "unstable",
        "resolution": resolution,
        "length": wanted,
        "region": box,
        "max_points": most,
    }
    if word == "flow":
        options |= {
            # below this SciPy takes its own
            "rtol": 1e-10 if rtol is None else validate.within(rtol, "rtol", 100 * float(np.finfo(float).eps), 1.0),
            "atol": 1e-12 if atol is None else validate.positive(atol, "atol"),
            "method": "DOP853" if method is None else validate.choice(method, "method", FLOWS),
        }
    grow: Any = flows.grow if word == "flow" else maps.grow
    arms, reasons = zip(*(grow(grown, local, sign, **options) for sign in (1.0, -1.0)), strict=True)
    return Manifold(
        points=np.concatenate(arms).reshape(-1, *system.shape),
        sizes=(len(arms[0]), len(arms[1])),
        arclength=np.concatenate([arclength(arm) for arm in arms]),
        direction=direction.reshape(system.shape),
        eigenvalue=eigenvalue,
        multiplier=float(multiplier),
        reasons=(reasons[0], reasons[1]),
        which=side,
        dynamics=word,
        period=turns,
        start=local.reach,
        defect=local.defect,
        system=system,
    )


def _turns_at_once(multiplier: float, *, forwards: bool) -> int:
    """How many turns make one image: two where the arms change places, many where one hardly moves the curve."""
    least = 2 if multiplier < 0 else 1
    rate = abs(float(np.log(abs(multiplier))))
    # Newton's method for the inverse of many turns costs more than it saves
    if least * rate >= _SLOW or not forwards:
        return least
    turns = min(int(np.ceil(_FAST / rate)), _MOST_TURNS)
    return turns + turns % least


def _state(x: Any, system: System) -> Array:
    """The state of a fixed point, or the one given."""
    state = validate.states(validate.real_array(getattr(x, "x", x), "x", finite=False), system.shape, system.name)
    if state.shape != system.shape:
        raise ValueError(f"x has shape {state.shape}, but a manifold begins at one state of shape {system.shape}.")
    if not np.isfinite(state).all():
        raise ValueError(
            f"the fixed point of {system.name!r} lies at infinity, where no curve begins; "
            "take the dynamics of bounded variables."
        )
    return state
