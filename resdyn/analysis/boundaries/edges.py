r"""States on the boundary between two basins that attract within it: edge states, by edge tracking.

Two states of different basins are brought together by bisection until they are ε apart, and run side by side. Both stay
near the boundary until its repulsion has torn them apart to δ; then they are brought together again. The orbit of the
middle, in the end, shadows what attracts on the boundary: a saddle, whose unstable direction leads to both sides, or
something more complicated ([skufca2006]_).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._results import Result, dataset, unit_dims
from resdyn._types import System
from resdyn.analysis.boundaries.labelled import UNDECIDED, Classifier, classifier
from resdyn.analysis.boundaries.segments import bisect_boundary
from resdyn.analysis.equilibria import newton, stability
from resdyn.iterated import IteratedMap
from resdyn.simulation import simulate

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

# layers run at once between two looks at the distance
_CHUNK = 32
_MOST_PERIOD = 16
# the two orbits may at least drift apart by this factor before they are brought together again
_LEAST_GROWTH = 10.0
# the last stretch of the track that has to stand still, or to repeat itself, before Newton's method is asked
_TAIL = 8
# how far along its unstable direction a state is displaced to see the basins on both sides, in units of ε or the gap
_ASIDE = 10.0 ** np.arange(-3, 3)


@dataclass(frozen=True, eq=False, repr=False)
class EdgeState(Result):
    r"""A state on a boundary, and the orbit along the boundary that led there; what :func:`edge_state` returns.

    Attributes
    ----------
    x : array, shape (\*shape,)
        The edge state: the fixed point, a point of the cycle, or the last state tracked.
    kind : str
        "fixed point", "cycle" (maps) or "not settled".
    period : int
        In layers; 1 for a fixed point, 0 where not settled.
    multipliers : complex array, shape (d,)
        Of the fixed point or cycle, descending by modulus (flows: :math:`e^{h\lambda}`); empty where not settled or
        beyond 1024 variables.
    track : array, shape (n, \*shape)
        States near the boundary, layer by layer: the middle of the two orbits, which jumps by less than the distance
        asked for where they were brought together again.
    t : array, shape (n,)
        Depth-times of the track.
    gaps : array, shape (n,)
        The distance of the two orbits.
    labels : int array, shape (2,)
        Of the two orbits after the last bisection; those of the starts if there was none. Where more than two basins
        lie along the segment, they may differ from the starts'. −1 for no attractor, −2 where it is not known.
    n_bisections : int
        How often the orbits were brought together.
    distance, separation : float
        ε and δ.
    status : str
        "settled", "not settled" (in the layers asked for), "diverged", "same basin" (both starts have one label: no
        boundary between them), "labels changed" (the orbits that ran side by side no longer have two labels) or
        "undecided" (a start, or later one of the orbits, neither settles nor diverges, so that it has no label).
    system : System
    dynamics : str
    """

    x: Array
    kind: str
    period: int
    multipliers: Array
    track: Array
    t: Array
    gaps: Array
    labels: Array
    n_bisections: int
    distance: float
    separation: float
    status: str
    system: System
    dynamics: str

    @property
    def n_unstable(self) -> int:
        """Directions in which it repels: one where the track settled. −1 where not known, or not settled."""
        return _n_unstable(self.multipliers) if self.multipliers.size else -1

    def __repr__(self) -> str:
        others = {-1: "no attractor", UNDECIDED: "an undecided state"}
        first, second = (others.get(int(label), f"basin {label}") for label in self.labels)
        head = f"EdgeState of {self.system.name!r} ({self.dynamics}) between {first} and {second}"
        if self.status == "same basin":
            return f"{head}: none, both states have one label."
        shown = np.array2string(np.ravel(self.x)[:6], precision=4, suppress_small=True)
        shown += ", …" if self.x.size > 6 else ""
        over = f"{len(self.track)} layers and {self.n_bisections} bisections"
        if self.kind == "not settled":
            words = {
                "not settled": "not settled on a fixed point or cycle",
                "diverged": "the orbits diverged",
                "labels changed": "stopped, the orbits no longer belong to different basins",
                "undecided": "stopped, the basin of one of the states is not known",
            }[self.status]
            return f"{head}: {words} after {over}; the last state is {shown}."
        kind = "fixed point" if self.kind == "fixed point" else f"cycle of period {self.period} through"
        tail = (
            "" if self.n_unstable < 0 else f" with {self.n_unstable} unstable direction{'s' * (self.n_unstable != 1)}"
        )
        return f"{head}: {kind} {shown}{tail}, after {over}."

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]] | None:
        if not self.multipliers.size:
            return None
        rows = [(f"{mu:.6g}", f"{abs(mu):.6g}") for mu in self.multipliers[:10]]
        return ("multiplier", "modulus"), rows

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` with the track over t, and the edge state."""
        state = unit_dims(len(self.system.shape))
        names = ("kind", "period", "status", "dynamics", "distance", "separation", "n_bisections")
        return dataset(
            {
                "x": (state, self.x),
                "track": (["t", *state], self.track),
                "gap": (["t"], self.gaps),
                "multipliers": (["multiplier"], self.multipliers),
                "labels": (["end"], self.labels),
            },
            coords={"t": self.t},
            attrs={"system": self.system.name, **{name: getattr(self, name) for name in names}},
        )


def edge_state(
    basins: Any,
    a: Any,
    b: Any,
    *,
    classify: Callable[[Array], Array] | None = None,
    dynamics: str | None = None,
    depth: int = 1000,
    distance: float = 1e-6,
    separation: float | None = None,
    method: str | None = None,
    rtol: float | None = None,
    atol: float | None = None,
) -> EdgeState:
    r"""What attracts on the boundary between the basins of two states: edge tracking by bisection, [skufca2006]_.

    Parameters
    ----------
    basins : Basins or System
        Basins know their system, its dynamics and how to classify; with a bare system pass ``classify``.
    a, b : array, shape (\*shape,)
        States of different basins. The segment between them is bisected for the first state of the boundary.
    classify : callable, optional
        ``classify(x)``, the labels (\*batch,) of states (\*batch, \*shape).
    dynamics : "map" or "flow", optional
        By default that of the basins, or "map" for a bare system.
    depth : int
        Layers to track at most. It ends earlier where it has settled.
    distance : float
        ε, how close the two orbits are brought together.
    separation : float, optional
        δ, how far apart they may drift; by default 100 ε.
    method, rtol, atol
        Of the integration of a flow, as in :func:`resdyn.simulate`.

    Returns
    -------
    EdgeState
        Starts in one and the same basin, divergence, and tracks that do not settle are outcomes: see ``status``.

    Raises
    ------
    TypeError, ValueError
        For layer-wise systems, wrong shapes, or a system without ``classify``.

    Notes
    -----
    The track has settled where it stays at a fixed point or cycle with one unstable multiplier, and states displaced
    from it to both sides along that direction have different labels. Beyond 1024 variables neither is checked, and
    ``n_unstable`` is −1. A smooth boundary that is attracting within itself leads to the same edge state from all of
    its points; others may have several, or none that is simple. Where the boundary is fractal the track is one of many.
    """
    system, labels_of = _system_and_classifier(basins, classify)
    word = validate.dynamics(dynamics or getattr(basins, "dynamics", "map"), method=method, rtol=rtol, atol=atol)
    validate.autonomous(system, "edge tracking")
    starts = [
        validate.states(validate.real_array(x, name), system.shape, system.name, name=name)
        for x, name in ((a, "a"), (b, "b"))
    ]
    for x, name in zip(starts, "ab", strict=True):
        if x.shape != system.shape:
            raise ValueError(f"{name} must be one state of shape {system.shape}, but has shape {x.shape}.")
    near = validate.positive(distance, "distance")
    far = 100 * near if separation is None else validate.positive(separation, "separation")
    if far <= near:
        raise ValueError(f"separation = {far:g} must be larger than distance = {near:g}.")
    options: dict[str, Any] = {"method": "residual"}
    if word == "flow":
        options = {"method": method or "RK45", "rtol": rtol, "atol": atol}
    run = _Track(system, labels_of, near, far, word, options)
    status = run.follow(np.stack(starts), validate.count(depth, "depth", least=1))
    settled = run.settled
    if settled is None and status == "not settled":
        settled = run.end()
    if settled is None:
        last = run.states[-1] if run.states else np.full(system.shape, np.nan)
        settled = last, "not settled", 0, np.empty(0, dtype=complex)
    else:
        status = "settled"
    x, kind, period, multipliers = settled
    return EdgeState(
        x=x,
        kind=kind,
        period=period,
        multipliers=multipliers,
        track=np.array(run.states).reshape(-1, *system.shape),
        t=system.step * np.arange(len(run.states)),
        gaps=np.array(run.gaps),
        labels=run.labels,
        n_bisections=run.n_bisections,
        distance=near,
        separation=far,
        status=status,
        system=system,
        dynamics=word,
    )


def _system_and_classifier(basins: Any, classify: Any) -> tuple[System, Classifier]:
    if isinstance(basins, System):
        if classify is None:
            raise TypeError(
                f"edge tracking in {basins.name!r} needs the labels of states; pass classify=, or the basins that "
                "resdyn.basins_of_attraction returned."
            )
        system: System = basins
    else:
        known = getattr(basins, "system", None)
        if not isinstance(known, System):
            raise TypeError(f"edge tracking needs a System or Basins with one, but got {type(basins).__name__}.")
        system = known
    source = basins if classify is None else type("Given", (), {"classify": staticmethod(classify)})()
    return system, classifier(source, "edge tracking")


class _Track:
    """Two orbits on both sides of a boundary, and what has been seen of them."""

    def __init__(
        self,
        system: System,
        classify: Classifier,
        near: float,
        far: float,
        dynamics: str,
        options: dict[str, Any],
    ) -> None:
        self.system, self.classify, self.near, self.far = system, classify, near, far
        self.dynamics, self.options, self.drift = dynamics, options, far
        self.settled: tuple[Array, str, int, Array] | None = None
        self.states: list[Array] = []
        self.gaps: list[float] = []
        self.labels = np.array([-1, -1])
        self.n_bisections = 0

    def follow(self, pair: Array, depth: int) -> str:
        """Track for so many layers; the outcome in words, "not settled" if nothing went wrong."""
        first = True
        self.labels = self.classify(pair)
        while len(self.states) < depth:
            if first or self._gap(pair) > self.drift:
                met = bisect_boundary(self.classify, pair[:1], pair[1:], tolerance=self.near)
                self.n_bisections += 1
                if not np.isfinite(met.gap[0]):
                    if (met.labels == UNDECIDED).any():
                        return "undecided"
                    return "same basin" if first else "labels changed"
                self.labels = met.labels[0]
                pair, first = np.concatenate([met.inside, met.outside]), False
                # classifiers do not tell all states near the boundary apart: closer than that they do not come
                self.drift = max(self.far, _LEAST_GROWTH * float(met.gap[0]))
            layers = min(_CHUNK, depth - len(self.states))
            orbit = simulate(self.system, pair, depth=layers, **self.options)
            for states in orbit.x[:-1]:
                gap = self._gap(states)
                if not np.isfinite(gap):
                    return "diverged"
                if gap > self.drift:
                    pair = states
                    break
                self.states.append(states.mean(axis=0))
                self.gaps.append(gap)
            else:
                pair = orbit.x[-1]
                if not np.isfinite(pair).all():
                    return "diverged"
            if self._stands_still():
                self.settled = self.end()
                if self.settled is not None:
                    break
        return "not settled"

    @staticmethod
    def _gap(pair: Array) -> float:
        return float(np.linalg.norm((pair[1] - pair[0]).ravel()))

    def _stands_still(self) -> bool:
        """Whether the track may have stopped; the middle of two orbits is known to half their distance."""
        if len(self.states) < 4 * _CHUNK:
            return False
        last = np.array(self.states[-_CHUNK:])
        return bool(np.abs(last - last[-1]).max() <= self.drift)

    def end(self) -> tuple[Array, str, int, Array] | None:
        """The edge state, fixed point or cycle, that the end of the track stays at, refined by Newton's method."""
        if len(self.states) <= _TAIL:
            return None
        last = self.states[-1]
        periods = range(1, _MOST_PERIOD + 1) if self.dynamics == "map" else (1,)
        for period in periods:
            count = min(len(self.states), _TAIL * period)
            tail = np.array(self.states[-count:]).reshape(count, -1)
            if len(tail) <= period or np.abs(tail[period:] - tail[:-period]).max() > 2 * self.drift:
                continue
            iterate = self.system if period == 1 else IteratedMap(self.system, period)
            refined = newton.refine(iterate, last)
            # what Newton's method finds elsewhere is not what the track came to
            if refined is None or np.linalg.norm((refined - last).ravel()) > 10 * self.drift:
                continue
            multipliers, directions = _linearized(iterate, refined, self.dynamics)
            # an attractor, or a repeller within the boundary, may be as near as the track can tell
            if multipliers.size and not self._divides(refined, multipliers, directions):
                continue
            return refined, "fixed point" if period == 1 else "cycle", period, multipliers
        return None

    def _divides(self, x: Array, multipliers: Array, directions: Array) -> bool:
        """Whether x repels in one direction, which leads to different basins on both sides."""
        if _n_unstable(multipliers) != 1:
            return False
        along = directions[:, 0].real.reshape(x.shape)
        # what cannot be told apart at the bisection cannot be told apart here
        sizes = (max(self.near, self.gaps[-1]) * _ASIDE).reshape(-1, *[1] * x.ndim)
        labels = self.classify(np.concatenate([x - sizes * along, x + sizes * along])).reshape(2, -1)
        known = np.flatnonzero(~self.classify.undecided(labels, bool((self.labels >= 0).all())).any(axis=0))
        # the closest that the classifier can tell
        return bool(known.size and labels[0, known[0]] != labels[1, known[0]])


def _n_unstable(multipliers: Array) -> int:
    # a neutral direction must not count as unstable by rounding
    return int((np.abs(multipliers) > 1 + stability.MARGIN).sum())


def _linearized(system: System, x: Array, dynamics: str) -> tuple[Array, Array]:
    """Multipliers, descending by modulus, and their directions in columns; empty for too many variables."""
    d = int(np.prod(system.shape))
    if d > newton.LARGEST_DENSE:
        return np.empty(0, dtype=complex), np.empty((d, 0), dtype=complex)
    eigenvalues, directions = np.linalg.eig(np.asarray(system.linearize(0.0, x) @ np.eye(d)))
    eigenvalues = eigenvalues.astype(complex)
    found = 1 + system.step * eigenvalues if dynamics == "map" else np.exp(system.step * eigenvalues)
    order = np.argsort(-np.abs(found), kind="stable")
    return found[order], directions[:, order]
