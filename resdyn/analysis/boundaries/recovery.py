r"""How a stable fixed point takes a small perturbation: how fast it grows at first, how large it gets, when it is gone.

Near a fixed point a perturbation v evolves by :math:`\dot v = Av` along the flow and by :math:`v' = Mv`, M = I + hA,
along the map. In the long run it decays like the slowest mode. Before that it may grow, if A is not normal: the
*reactivity* is the largest growth rate at the start ([neubert1997]_), and the maximal amplification the largest norm
of the propagator.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._results import Result, dataset, unit_dims
from resdyn._types import System
from resdyn.analysis.equilibria import FixedPoint, FixedPoints, newton, stability
from resdyn.analysis.equilibria.newton import LARGEST_DENSE
from resdyn.matrix_family import LogisticResiduals

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

_TIMES = 200
_ROUNDING = 1e-12
# a fixed point typed in with six digits is one; on the way to it the linearization must not change by more than this
_NEAR, _SAME_MATRIX = 1e-5, 1e-4
# looks at the norm in each octave of time: early octaves, where it can still be large, are thus seen closest
_PER_OCTAVE = 128
# powers of two of the first time, before giving up on a norm below 1
_DOUBLINGS = 60
# the curve is shown for so many e-folding times, or until all is smaller than at the start
_SHOWN = 3.0
# rounds in which the neighbourhood of the maximum is looked at twenty times closer
_ZOOMS, _CLOSER = 5, 20


@dataclass(frozen=True, eq=False, repr=False)
class Resilience(Result):
    r"""How fixed points take small perturbations; what :func:`resilience` returns. All rates are per unit t.

    Attributes
    ----------
    x : array, shape (n, \*shape)
        The fixed points: what Newton's method makes of states given in an array.
    reactivity : array, shape (n,)
        The largest growth rate of the length of a perturbation at the start; above 0 the point is *reactive*. Flow: the
        numerical abscissa, the largest eigenvalue of (A + Aᵀ)/2; map: log σ_max(M)/h, over one layer.
    asymptotic_rate : array, shape (n,)
        The growth rate in the long run. Flow: the spectral abscissa, max Re λ; map: log max\|μ\| / h. −∞ where all
        dies in one layer.
    return_time : array, shape (n,)
        −1 over that: the time in which the slowest mode falls to 1/e. Infinite for unstable points, NaN where
        stability is not decided.
    amplification : array, shape (n,)
        :math:`\max_{t \ge 0}\|\Phi(t)\|`, at least 1, the most by which any perturbation is ever multiplied. Infinite
        for unstable points, NaN where stability is not decided, or where the maximum is beyond reach.
    amplification_time : array, shape (n,)
        The t of that maximum; 0 where nothing grows, NaN where there is no maximum.
    t : array, shape (n, n_times)
        Times of the curves, on a scale of its own for each point; for a map multiples of h. NaN for points without
        a return time.
    growth : array, shape (n, n_times)
        :math:`\|\Phi(t)\|` there.
    stable : int array, shape (n,)
        1 stable, 0 unstable, −1 not decided: by linearization, or by eigenvalues in float64. Where these say nothing,
        as they may where eigenvalues are repeated, a propagator that has become shorter than 1 by more than its
        rounding still proves stability; a repeated eigenvalue that grows may remain undecided.
    coordinates : str
        "x", or "y" for logistic residuals: norms depend on them.
    system : System
    dynamics : str
        "map" or "flow".
    """

    x: Array
    reactivity: Array
    asymptotic_rate: Array
    return_time: Array
    amplification: Array
    amplification_time: Array
    t: Array
    growth: Array
    stable: Array
    coordinates: str
    system: System
    dynamics: str

    def __len__(self) -> int:
        return len(self.x)

    @property
    def is_reactive(self) -> Array:
        """Whether some perturbation grows at first, bool (n,)."""
        # the reactivity of a normal matrix may be rounding; a rate of −∞ is no scale for it
        scale = np.where(np.isfinite(self.asymptotic_rate), np.abs(self.asymptotic_rate), 0.0)
        return np.asarray(self.reactivity > _ROUNDING * scale)

    def __repr__(self) -> str:
        n = len(self)
        points = "1 fixed point" if n == 1 else f"{n} fixed points"
        head = f"Resilience of {points} of {self.system.name!r} ({self.dynamics}, in {self.coordinates})"
        if n == 1:
            return f"{head}: {self._words(0)}."
        good = self.stable == 1
        if not good.any():
            return f"{head}: none is stable by its linearization."
        low, high = self.return_time[good].min(), self.return_time[good].max()
        return (
            f"{head}: {int(good.sum())} stable, with return times {low:.3g} to {high:.3g} and amplifications up to "
            f"{np.max(self.amplification[good]):.3g}; {int((good & self.is_reactive).sum())} of them reactive."
        )

    def _words(self, i: int) -> str:
        if self.stable[i] != 1:
            return {0: "unstable", -1: "its linearization does not decide"}[int(self.stable[i])]
        text = f"stable, return time {self.return_time[i]:.4g}, reactivity {self.reactivity[i]:.4g}"
        if self.amplification[i] > 1 + _ROUNDING:
            most, when = self.amplification[i], self.amplification_time[i]
            return f"{text}; perturbations grow at most {most:.4g}-fold, at t = {when:.4g}"
        return f"{text}; no perturbation ever grows"

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        rows = [
            (
                np.array2string(np.ravel(self.x[i])[:6], precision=4, suppress_small=True),
                {1: "stable", 0: "unstable", -1: "undecided"}[int(self.stable[i])],
                f"{self.return_time[i]:.4g}",
                f"{self.reactivity[i]:.4g}",
                f"{self.amplification[i]:.4g}",
            )
            for i in range(min(len(self), 20))
        ]
        return ("state", "stability", "return time", "reactivity", "amplification"), rows

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over points."""
        names = ("reactivity", "asymptotic_rate", "return_time", "amplification", "amplification_time", "stable")
        return dataset(
            {
                "x": (["point", *unit_dims(self.x.ndim - 1)], self.x),
                **{name: (["point"], getattr(self, name)) for name in names},
                "t": (["point", "record"], self.t),
                "growth": (["point", "record"], self.growth),
            },
            attrs={"system": self.system.name, "dynamics": self.dynamics, "coordinates": self.coordinates},
        )


def resilience(
    points: Any,
    *,
    system: System | None = None,
    dynamics: str | None = None,
    n_times: int = _TIMES,
) -> Resilience:
    r"""Return time, reactivity and maximal amplification at fixed points.

    .. math:: \text{reactivity} = \lambda_{\max}\bigl(\tfrac{1}{2}(A + A^{\mathsf T})\bigr),\qquad
              T = -\frac{1}{\max\operatorname{Re}\lambda},\qquad \max_{t\ge 0}\|e^{At}\|_2

    and for the map, per unit t, :math:`\log\sigma_{\max}(I + hA)/h`, :math:`-h/\log\max|\mu|` and
    :math:`\max_k\|(I + hA)^k\|_2` ([neubert1997]_, [trefethen2005]_).

    Parameters
    ----------
    points : FixedPoints, FixedPoint, or array of shape (n, \*shape)
        What :func:`resdyn.fixed_points` returned, or states within 1e-5 (1 + max\|x\|) of fixed points, which Newton's
        method then refines. Of logistic residuals, states at which every unit with finite z has a rate (Wy)_i of zero,
        to 1e-5 of :math:`\sum_j |W_{ij}| y_j`.
    system : System, optional
        Needed for a FixedPoint or an array.
    dynamics : "map" or "flow", optional
        By default that of the points, or "map" for an array.
    n_times : int
        Records of the curve :math:`\|\Phi(t)\|`.

    Returns
    -------
    Resilience

    Raises
    ------
    TypeError, ValueError
        For states that are no fixed points, or on the way from which to one the linearization changes by more than
        1e-4 of itself; for more than 1024 state variables.

    Notes
    -----
    Lengths are Euclidean in the state x. For logistic residuals, whose fixed points may lie at z = ±∞, they are in
    y = σ(z), where the linearization is finite (:eq:`logistic-y-jacobian`, :eq:`logistic-y-map-jacobian`).

    The maximum is looked for up to the first time T found with :math:`\|\Phi(T)\| \le 1`. Nothing later exceeds what
    came before, since :math:`\|\Phi(qT + r)\| \le \|\Phi(T)\|^q\|\Phi(r)\|`. Up to T the norm is evaluated 128 times
    in each octave of time, from :math:`1/\|A\|` (one layer) on, and more closely around the largest value. A peak
    narrower than that may be missed where the fastest motion turns much faster than the slowest decays.
    """
    owner, states, default, verdicts = _points(points, system)
    word = validate.dynamics(default if dynamics is None else dynamics)
    validate.autonomous(owner, "a fixed point")
    records = validate.count(n_times, "n_times", least=3)
    d = int(np.prod(owner.shape))
    if d > LARGEST_DENSE:
        raise ValueError(_too_large(owner))
    logistic = isinstance(owner, LogisticResiduals)
    matrices = np.array([_matrix(owner, x, word) for x in states]).reshape(len(states), d, d)
    stable = verdicts(word) if verdicts is not None else _verdicts(matrices, owner.step, word)
    found = [_of_point(A, int(ok), owner.step, word, records) for A, ok in zip(matrices, stable, strict=True)]
    numbers = np.array([row[1] for row in found]).reshape(-1, 5)
    curves = np.array([row[2] for row in found]).reshape(-1, 2, records)
    return Resilience(
        x=states,
        reactivity=numbers[:, 0],
        asymptotic_rate=numbers[:, 1],
        return_time=numbers[:, 2],
        amplification=numbers[:, 3],
        amplification_time=numbers[:, 4],
        t=curves[:, 0],
        growth=curves[:, 1],
        stable=np.array([row[0] for row in found], dtype=np.int8),
        coordinates="y" if logistic else "x",
        system=owner,
        dynamics=word,
    )


Verdicts = Callable[[str], NDArray[np.int8]]


def _points(points: Any, system: System | None) -> tuple[System, Array, str, Verdicts | None]:
    """The system, the states, the dynamics they speak of, and how their stability is known."""
    if isinstance(points, FixedPoints):
        return points.system, points.x, points.dynamics, points.stability
    if system is None:
        raise TypeError(
            f"a {type(points).__name__} does not know its system; pass system=, or the FixedPoints it is from."
        )
    if isinstance(points, FixedPoint):
        answers = {True: 1, False: 0, None: -1}
        return (
            system,
            points.x[None],
            points.dynamics,
            lambda word: np.array([answers[points.is_stable(word)]], np.int8),
        )
    states = validate.real_array(points, "points", finite=not getattr(system, "infinite_states", False))
    validate.states(states, system.shape, system.name, name="points")
    states = states.reshape(-1, *system.shape)
    if int(np.prod(system.shape)) > LARGEST_DENSE:
        raise ValueError(_too_large(system))
    if isinstance(system, LogisticResiduals):
        _require_no_rates(system, states)
        return system, states, "map", None
    refined = [_fixed_point_at(system, x, i) for i, x in enumerate(states)]
    return system, np.array(refined).reshape(states.shape), "map", None


def _too_large(system: System) -> str:
    return (
        f"{system.name!r} has {int(np.prod(system.shape))} state variables, but resilience takes dense matrices of "
        f"{LARGEST_DENSE} at most."
    )


def _require_no_rates(system: LogisticResiduals, states: Array) -> None:
    """Refuse states in which a unit with finite z moves.

    The residual of y alone does not tell: near a corner of the cube it is small wherever z drifts to infinity.
    """
    from scipy.special import expit

    y = expit(states)
    rates, scale = y @ system.W.T, y @ np.abs(system.W).T
    moves = np.isfinite(states) & ~(np.abs(rates) <= _NEAR * scale)
    bad = np.argwhere(moves)
    if bad.size:
        point, unit = bad[0]
        raise ValueError(
            f"point {point} is no fixed point of {system.name!r}: z of unit {unit} moves at the rate "
            f"{rates[point, unit]:.3g}, and is not infinite; take it from resdyn.fixed_points."
        )


def _fixed_point_at(system: System, x: Array, number: int) -> Array:
    """The fixed point that a state stands for, or an error that says why it stands for none."""
    refined = newton.refine(system, x)
    why = "Newton's method finds none from there"
    if refined is not None:
        moved = float(np.abs(refined - x).max(initial=0.0))
        before, after = _matrix(system, x, "flow"), _matrix(system, refined, "flow")
        if not moved:
            return refined
        changed = np.linalg.norm(after - before) / max(float(np.linalg.norm(after)), np.finfo(float).tiny)
        if moved <= _NEAR * (1 + float(np.abs(x).max(initial=0.0))) and changed <= _SAME_MATRIX:
            return refined
        why = f"Newton's method moves it by {moved:.3g}, and its linearization by {100 * changed:.2g} %"
    f = np.abs(np.asarray(system.residual(0.0, x))).max(initial=0.0)
    raise ValueError(
        f"point {number} is no fixed point of {system.name!r}: its residual has an entry of {f:.3g}, and {why}; take "
        "it from resdyn.fixed_points."
    )


def _matrix(system: System, x: Array, dynamics: str) -> Array:
    """A of the flow, or M of the map, in the coordinates that perturbations are measured in."""
    d = int(np.prod(system.shape))
    if isinstance(system, LogisticResiduals):
        return _logistic_matrix(system, x, dynamics)
    jacobian = getattr(system, "jacobian", None)
    if jacobian is not None:
        A = np.asarray(jacobian(0.0, x), dtype=float).reshape(d, d)
    else:
        A = np.asarray(system.linearize(0.0, x) @ np.eye(d), dtype=float)
    return A if dynamics == "flow" else np.eye(d) + system.step * A


def _logistic_matrix(system: LogisticResiduals, z: Array, dynamics: str) -> Array:
    """Of y: the rows of saturated units are diagonal, those of inner units, where Wy = 0, hold y(1 − y)W."""
    from scipy.special import expit

    y, inner = expit(z), np.isfinite(z)
    rates = system.W @ y
    away = np.where(y < 0.5, rates, -rates)
    coupled = np.where(inner, y * (1 - y), 0.0)[:, None] * system.W
    if dynamics == "flow":
        return coupled + np.diag(np.where(inner, 0.0, away))
    with np.errstate(over="ignore"):
        return system.step * coupled + np.diag(np.where(inner, 1.0, np.exp(system.step * away)))


def _verdicts(matrices: Array, step: float, dynamics: str) -> NDArray[np.int8]:
    values, errors = stability.eigenvalues_with_errors(matrices)
    growth = values.real if dynamics == "flow" else np.abs(values) - 1.0
    return stability.verdict(growth, errors)


def _of_point(A: Array, stable: int, step: float, dynamics: str, records: int) -> tuple[int, list[float], Array]:
    """The verdict; reactivity, rate, return time, amplification and its time; and the curve."""
    curve = np.full((2, records), np.nan)
    if not np.isfinite(A).all():
        return stable, [np.nan] * 5, curve
    with np.errstate(divide="ignore"):
        if dynamics == "flow":
            reactivity = float(np.linalg.eigvalsh((A + A.T) / 2)[-1])
            rate = float(np.linalg.eigvals(A).real.max())
        else:
            reactivity = float(np.log(np.linalg.norm(A, 2)) / step)
            rate = float(np.log(np.abs(np.linalg.eigvals(A)).max()) / step)
    propagate = _Propagator(A, step, dynamics)
    if stable == -1 and rate < 0 and propagate.is_contracting():
        stable = 1
    if stable != 1:
        none = np.inf if stable == 0 else np.nan
        return stable, [reactivity, rate, none, none, np.nan], curve
    shrunk = propagate.shrinking_time()
    return_time = -1.0 / rate if np.isfinite(rate) else 0.0
    if shrunk is None:
        return stable, [reactivity, rate, return_time, np.nan, np.nan], curve
    # the maximum lies before the norm has first come down to 1; the curve goes on to where the decay is seen
    largest, at = propagate.maximum(shrunk)
    curve = np.array(propagate.curve(0.0, max(shrunk, _SHOWN * return_time), records))
    return stable, [reactivity, rate, return_time, largest, at], curve


class _Propagator:
    """Φ(t) = e^{At} of a flow, M^k at t = kh of a map; its norms."""

    def __init__(self, matrix: Array, step: float, dynamics: str) -> None:
        self.matrix, self.step, self.is_map = matrix, step, dynamics == "map"
        norm = float(np.linalg.norm(matrix, 2))
        self.first = step if self.is_map or norm == 0 else 1.0 / norm

    def at(self, t: float) -> Array:
        if self.is_map:
            return np.linalg.matrix_power(self.matrix, round(t / self.step))
        from scipy.linalg import expm

        return np.asarray(expm(self.matrix * t))

    def shrinking_time(self) -> float | None:
        """A time at which the norm is at most 1, by doubling; None if it is not found."""
        t = self.first
        propagator: Array = self.at(t)
        with np.errstate(all="ignore"):
            for _ in range(_DOUBLINGS):
                if not np.isfinite(propagator).all():
                    return None
                if np.linalg.norm(propagator, 2) <= 1.0:
                    return t
                propagator, t = propagator @ propagator, 2 * t
        return None

    def is_contracting(self) -> bool:
        r"""Whether the norm is below 1 at some time, certainly: then all perturbations die out.

        Squaring P, known to e, gives a matrix known to :math:`2e\|P\| + e^2` and its own rounding. The first is taken
        to be known as well as eigenvalues are.
        """
        propagator: Array = self.at(self.first)
        size = float(np.linalg.norm(propagator, 2))
        error = stability.MARGIN * max(1.0, size)
        rounding = 16 * len(propagator) * np.finfo(float).eps
        for _ in range(_DOUBLINGS):
            if not np.isfinite(error) or error >= 1:
                return False
            if size + error < 1:
                return True
            error = 2 * error * size + error**2 + rounding * size**2
            propagator = propagator @ propagator
            size = float(np.linalg.norm(propagator, 2))
        return False

    def curve(self, begin: float, end: float, records: int) -> tuple[Array, Array]:
        """Times, and the norm at each; for a map whole layers, several records on one layer where there are fewer."""
        times = np.linspace(begin, end, records)
        if self.is_map:
            layers = np.rint(times / self.step).astype(np.int64)
            return layers * self.step, self._norms_at_layers(layers)
        factor, propagator = self.at((end - begin) / (records - 1)), self.at(begin)
        growth = np.empty(records)
        for i in range(records):
            growth[i] = np.linalg.norm(propagator, 2)
            propagator = factor @ propagator
        return times, growth

    def _norms_at_layers(self, layers: NDArray[np.int64]) -> Array:
        growth = np.empty(len(layers))
        propagator, powers = np.linalg.matrix_power(self.matrix, int(layers[0])), {}
        before = int(layers[0])
        for i, layer in enumerate(layers):
            gap = int(layer) - before
            if gap:
                if gap not in powers:
                    powers[gap] = np.linalg.matrix_power(self.matrix, gap)
                propagator, before = powers[gap] @ propagator, int(layer)
            growth[i] = np.linalg.norm(propagator, 2)
        return growth

    def maximum(self, end: float) -> tuple[float, float]:
        """The largest norm up to a time and when: octave by octave, then closer and closer around the best."""
        times, growth = self._by_octaves(end)
        for _ in range(_ZOOMS):
            best = int(np.argmax(growth))
            earlier, later = times[times < times[best]], times[times > times[best]]
            before = earlier.max() if earlier.size else times[best]
            after = later.min() if later.size else times[best]
            if after - before <= (2 * self.step if self.is_map else 1e-9 * after):
                break
            closer, larger = self.curve(float(before), float(after), 2 * _CLOSER + 1)
            if larger.max() < growth[best]:
                break
            times, growth = closer, larger
        best = int(np.argmax(growth))
        return float(growth[best]), float(times[best])

    def _by_octaves(self, end: float) -> tuple[Array, Array]:
        stops = [end]
        while stops[-1] > 1.5 * self.first:
            stops.append(stops[-1] / 2)
        pieces = [self.curve(a, b, _PER_OCTAVE) for a, b in zip([0.0, *stops[:0:-1]], stops[::-1], strict=True)]
        return np.concatenate([t for t, _ in pieces]), np.concatenate([growth for _, growth in pieces])
