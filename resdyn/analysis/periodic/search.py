"""``cycles``: which algorithm a system admits, and what can be promised of its answer."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._types import System
from resdyn.analysis.periodic import loops, proofs
from resdyn.analysis.periodic.limit_cycles import limit_cycles
from resdyn.analysis.periodic.multipliers import multipliers, spread
from resdyn.analysis.periodic.question import Question, box
from resdyn.analysis.periodic.result import Cycles
from resdyn.analysis.periodic.sections import PoincareMap
from resdyn.analysis.periodic.shooting import Layer, displacements, gaps, shoot
from resdyn.analysis.periodic.starts import Source
from resdyn.matrix_family import LogisticResiduals

Array = NDArray[Any]

ALGORITHMS = ("auto", "contraction", "intervals", "newton")

_FIRST, _LARGEST_ROUND = 256, 4096
_CHANCE = 1e-3
_FACTOR = 4.0
MOST = 20_000
"""So many cycles are looked for: more are rather a continuum, or too many to list."""


def cycles(
    system: System,
    period: int | float,
    *,
    dynamics: str = "map",
    stable: bool | None = None,
    prime: bool = True,
    algorithm: str = "auto",
    region: Any = None,
    starts: Any = None,
    n_starts: int | None = None,
    rng: np.random.Generator | int = 0,
    max_boxes: int = 500_000,
    segments: int | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    method: str | None = None,
) -> Cycles:
    r"""Cycles of a map with a given number of layers, or limit cycles of a flow near a given time; unstable ones too.

    .. math::

        \text{map:}\quad F(x_k) = x_{k+1},\ x_p = x_0 \qquad\qquad \text{flow:}\quad \varphi_T(x_0) = x_0

    * **Maps whose layer contracts** ("contraction"): there is one fixed point and nothing else.
    * **Damped networks with tanh or logistic activation** ("intervals"): all cycles, proved by interval arithmetic on
      the activations of all p layers; tried up to N·p = 12.
    * **Any map** ("newton"): multiple shooting from many starts side by side. Starts are drawn until fewer than one
      search in a thousand meets a cycle for the only time, or ``n_starts`` are used up. Never complete.
    * **Flows** ("shooting"): multiple shooting with the time T as an unknown, from where orbits nearly return. Never
      complete.

    Parameters
    ----------
    system : System
        Autonomous. Of :class:`resdyn.LogisticResiduals` only cycles with finite z are looked for.
    period : int, or float for a flow
        Layers of one round; for a flow a guess of T, good to a third or so.
    dynamics : "map" or "flow"
    stable : bool, optional
        Only stable (True) or unstable (False) cycles; those that multipliers do not decide are in neither.
    prime : bool
        Leave out cycles that repeat after fewer layers (maps).
    algorithm : str
        One of the words above in quotes, or "auto". A flow knows one algorithm, "shooting", and takes "auto" only.
    region : pair of arrays, optional
        (low, high), each a number or of the state's shape: where "newton" and "shooting" draw states. Cycles with a
        state outside are left out.
    starts : array, shape (n, \*shape), optional
        States to start from instead. Newton begins at the orbits through them; nothing is drawn.
    n_starts : int, optional
        The most starts drawn. By default 32,768 for maps with up to 64 unknowns p·d, 512 up to 512 unknowns, 32 beyond;
        64 for return maps (:func:`resdyn.poincare_map`), 16 for flows.
    rng : Generator or seed
    max_boxes : int
        After so many boxes "intervals" stops, incomplete.
    segments : int, optional
        Of a flow: how many pieces an orbit is cut into (8). More help with very unstable cycles.
    rtol, atol, method
        Tolerances of a flow and its integrator ("RK45"). By default 1e-10, and 1e-12, or 1e-12 of its size for an orbit
        smaller than one.

    Returns
    -------
    Cycles
        ``complete`` says whether these are certainly all; ``reason`` says why, or what was tried.

    Raises
    ------
    TypeError, ValueError
        For a layer-wise system, an algorithm that does not fit, or a wrong region.

    Notes
    -----
    Multiple shooting: [stoer2002]_, sec. 7.3. Interval search: [neumaier1990]_.
    """
    if not isinstance(system, System):
        raise TypeError(
            f"cycles needs a System, but got {type(system).__name__}; make one with resdyn.ResidualMap(W, b)."
        )
    is_map = validate.dynamics(dynamics, rtol=rtol, atol=atol, method=method, segments=segments) == "map"
    validate.autonomous(system, "a cycle")
    if stable is not None and not isinstance(stable, bool | np.bool_):
        raise TypeError(f"stable must be True, False or None, but is {stable!r}.")
    validate.choice(algorithm, "algorithm", ALGORITHMS)
    if starts is not None and n_starts is not None:
        raise ValueError("n_starts counts starts that are drawn, but starts gives them; leave one of the two out.")
    bounds = None if region is None else box(region, system)
    given = None
    if starts is not None:
        real = validate.states(validate.real_array(starts, "starts"), system.shape, system.name, name="starts")
        given = real.reshape(-1, *system.shape)
    generator = validate.generator(rng)
    if n_starts is not None:
        n_starts = validate.count(n_starts, "n_starts", least=1)
    if not is_map:
        if algorithm != "auto":
            raise ValueError(f"algorithm {algorithm!r} is for maps; a flow takes 'auto'.")
        pieces = 8 if segments is None else validate.count(segments, "segments", least=1)
        ask = Question(system, validate.positive(period, "period"), stable, bool(prime), bounds)
        return limit_cycles(ask, given, n_starts or 16, generator, pieces, rtol=rtol, atol=atol, method=method)
    ask = Question(system, validate.count(period, "period", least=1), stable, bool(prime), bounds)
    drawn = region is not None or starts is not None
    if drawn and algorithm not in ("auto", "newton"):
        raise ValueError(
            f"region and starts belong to Newton's method, but algorithm is {algorithm!r}; leave them out."
        )
    not_proved = ""
    if not drawn and algorithm != "newton":
        found = _proved(ask, algorithm, validate.count(max_boxes, "max_boxes", least=1))
        if found is not None and (found.complete or algorithm == "intervals"):
            return found
        not_proved = "" if found is None else f" Before, {found.reason}"
    return _newton(ask, given, n_starts, generator, not_proved)


def _proved(ask: Question, algorithm: str, max_boxes: int) -> Cycles | None:
    system, p = ask.system, int(ask.period)
    if algorithm in ("auto", "contraction") and (ask.prime and p > 1):
        reason = proofs.contraction(system)
        if reason is not None:
            nothing = np.empty((0, p, int(np.prod(system.shape))))
            return _answer(
                ask,
                nothing,
                np.empty(0, dtype=np.int64),
                None,
                complete=True,
                method="contraction",
                reason=f"{reason}.",
            )
    if algorithm == "contraction":
        raise ValueError(
            f"algorithm 'contraction' needs prime=True, period above 1 and a named activation with "
            f"|1 − hλ| + h|α| L ‖W‖₂ < 1, which {system.name!r} does not offer; use 'auto'."
        )
    small = int(np.prod(system.shape)) * p <= proofs.LARGEST
    if proofs.applies(system, p) and (small or algorithm == "intervals"):
        with np.errstate(all="ignore"):
            found = proofs.enclosed(system, p, max_boxes)  # type: ignore[arg-type]
        return _answer(
            ask, found.orbits, found.least, None, complete=found.complete, method="intervals", reason=f"{found.reason}."
        )
    if algorithm == "intervals":
        raise ValueError(
            "algorithm 'intervals' needs a ResidualMap with shared weights, tanh or logistic activation, and "
            f"(1 − hλ)^p other than 1, which {system.name!r} does not have; use 'auto'."
        )
    return None


def _newton(
    ask: Question, given: Array | None, n_starts: int | None, rng: np.random.Generator, not_proved: str
) -> Cycles:
    system, p = ask.system, int(ask.period)
    layer = Layer(system)
    unknowns = p * layer.size
    most = n_starts or _most_starts(system, unknowns)
    bounds = None
    if ask.region is not None:
        bounds = (ask.region[0].ravel(), ask.region[1].ravel())
    source = Source(system, p, ask.region, given, rng, most)
    collected = _Collected(p, layer.size)
    if given is not None:
        guesses = source.from_given()
        collected.add(*shoot(layer, guesses[np.isfinite(guesses).all(axis=(1, 2))], bounds))
        used = len(given)
    else:
        used, size = 0, _FIRST
        while used < most and not (used >= 2 * _FIRST and collected.nearly_all) and len(collected) < MOST:
            size = min(size, most - used)
            collected.add(*shoot(layer, source.draw(size), bounds))
            used, size = used + size, min(2 * size, _LARGEST_ROUND)
    once = int((collected.hits == 1).sum())
    reason = f"what multiple shooting found from {used} starts"
    reason += " in the region" if ask.region is not None else ""
    if len(collected) >= MOST:
        reason += f", stopped at {MOST}"
    reason += f"; {once} closed orbits (of any prime period) were met only once" if once and given is None else ""
    if isinstance(system, LogisticResiduals):
        reason += "; cycles with saturated units (infinite z) were not looked for"
    reason += f"; that there are no others is not proved.{not_proved}"
    least = loops.shortest_periods(collected.orbits, collected.known)
    return _answer(ask, collected.orbits, least, collected.hits, complete=False, method="newton", reason=reason)


def _most_starts(system: System, unknowns: int) -> int:
    if isinstance(system, PoincareMap):
        return 64
    return 32_768 if unknowns <= 64 else 512 if unknowns <= 512 else 32


class _Collected:
    """The distinct closed orbits so far."""

    def __init__(self, period: int, size: int) -> None:
        self.orbits = np.empty((0, period, size))
        self.known = np.empty(0)
        self.hits = np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.orbits)

    @property
    def nearly_all(self) -> bool:
        """Whether the next search would hardly lead to a new cycle.

        The share of what was met once estimates that chance (Good and Turing).
        """
        return int((self.hits == 1).sum()) <= _CHANCE * int(self.hits.sum())

    def add(self, orbits: Array, known: Array) -> None:
        joined, error = np.concatenate([self.orbits, orbits]), np.concatenate([self.known, known])
        weights = np.concatenate([self.hits, np.ones(len(orbits), dtype=np.int64)])
        best, group = loops.distinct(joined, error)
        self.orbits, self.known = joined[best], error[best]
        self.hits = np.bincount(group, weights=weights, minlength=len(best)).astype(np.int64)


def _answer(
    ask: Question,
    orbits: Array,
    least: Array,
    hits: Array | None,
    *,
    complete: bool,
    method: str,
    reason: str,
) -> Cycles:
    """From distinct closed orbits (n, p, d) that repeat after ``least``: prime ones if asked for, with multipliers."""
    system, p = ask.system, int(ask.period)
    layer = Layer(system)
    met = np.zeros(len(orbits), dtype=np.int64) if hits is None else hits
    keep = least == p if ask.prime else np.ones(len(orbits), dtype=bool)
    if ask.region is not None:
        low, high = (end.ravel() for end in ask.region)
        keep &= ((orbits >= low) & (orbits <= high)).all(axis=(1, 2))
    orbits, least, met = loops.started_alike(orbits[keep]), least[keep], met[keep]
    order = loops.in_order(orbits)
    orbits, least, met = orbits[order], least[order], met[order]
    values = np.empty((len(orbits), layer.size), dtype=complex)
    errors = np.empty((len(orbits), layer.size))
    for q in np.unique(least):
        chosen = least == q
        values[chosen], errors[chosen] = _multipliers(layer, orbits[chosen][:, :q])
    return ask.pick(
        Cycles(
            x=orbits.reshape(-1, p, *system.shape),
            multipliers=values,
            errors=errors,
            residual_norm=np.linalg.norm(gaps(layer, orbits), axis=2).max(axis=1, initial=0.0),
            duration=least * system.step,
            prime_period=least,
            hits=met,
            period=p,
            complete=complete,
            method=method,
            reason=reason,
            system=system,
            dynamics="map",
            stable=ask.stable,
            trivial_multiplier_error=np.full(len(orbits), np.nan),
        )
    )


def _multipliers(layer: Layer, orbits: Array) -> tuple[Array, Array]:
    """Multipliers of closed orbits (n, q, d), and their errors: of the eigenvalues, and of the states."""
    values, errors = multipliers(layer.blocks(orbits))
    moved = np.array([multipliers(layer.blocks(orbits + by))[0] for by in displacements(layer, orbits)])
    # the roundings that were tried are a few out of many
    return values, errors + _FACTOR * spread(values, moved)
