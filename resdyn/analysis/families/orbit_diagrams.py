r"""Orbit diagrams: what orbits do after a transient, as a parameter changes.

For each value of a parameter an orbit is run through its transient, and the states after it are kept. Where they
repeat, :math:`x_{k+p} = x_k`, the orbit has settled on a cycle of period p; a change of p from one value to the next
brackets a bifurcation.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from resdyn import _memory
from resdyn import _validation as validate
from resdyn._results import Result, batch_dims, dataset, unit_dims
from resdyn._types import Status, System
from resdyn.simulation import simulate

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]
Family = Callable[[float], System]

# Two states of an orbit count as the same within this share of the size of the orbit. A map settles to rounding; a flow
# only to the error of its integrator, 1e-6 by default, which adds up over a period.
_SAME_IN_MAPS, _SAME_IN_FLOWS = 1e-8, 1e-4
# States are distinct only beyond this times the tolerance. Between, an orbit is still on its way to a cycle or about to
# leave one, and a multiple of the period would pass where the period itself just fails.
_DISTINCT = 100
# At a flip an orbit alternates by A about its limit and A shrinks by about A³ a layer, which rounding stops near ∛ε:
# states that are closer may be one state.
_LEAST_DISTINCT = 1e-5
# A cycle is seen only where it comes round so often; a drift that changes cannot be told from one that lasts in less.
_FEWEST_ROUNDS = 3


@dataclass(frozen=True, eq=False, repr=False)
class OrbitDiagram(Result):
    r"""The states that orbits visit after a transient, value by value; what :func:`orbit_diagram` returns.

    Attributes
    ----------
    values : array, shape (n,)
        Of the parameter, in the order given.
    x : array, shape (n, depth, \*batch, \*shape)
        The states after the transient, layer by layer; with a ``unit`` that unit alone, shape (n, depth, \*batch). With
        ``of="maxima"`` the local maxima in order, shape (n, most, \*batch), and NaN behind the last one. NaN for orbits
        that diverged.
    periods : integer array, shape (n, \*batch)
        The smallest p such that all states kept that are multiples of p layers apart are the same within
        ``tolerance``, and by their drift will stay so. 0 if there is none up to a third of them; if the states of a
        shorter period are apart by less than 100 times the tolerance (or 1e-5 of the size, if that is more); or if the
        drift, carried on at the rate at which it slows down, leads further than the tolerance: such an orbit has not
        settled. Of maxima: how many there are in a period, and 0 at rest.
    status : array, shape (n, \*batch)
        :class:`resdyn.Status` of each orbit.
    system_name : str
    dynamics : str
        "map" or "flow".
    of : str
        "states" or "maxima".
    unit : int or None
        The unit that was kept.
    follow : str or None
        "up" or "down" where each value began at the states in which the one before it ended.
    depth, transient : int
    tolerance : float
        States count as the same within this times the size of their orbit, the largest \|x\| among x0 and the states
        kept (with a ``unit``, of that unit).
    """

    values: Array
    x: Array
    periods: Array
    status: Array
    system_name: str
    dynamics: str
    of: str
    unit: int | None
    follow: str | None
    depth: int
    transient: int
    tolerance: float

    @property
    def batch(self) -> tuple[int, ...]:
        """The batch axes: the initial states at each value; () for one."""
        return self.status.shape[1:]

    def windows(self, *index: int) -> tuple[tuple[float, float, int], ...]:
        """(first value, last value, period) of each run of values with one period, in the order of values.

        Of a batch name one initial state, e.g. ``windows(0)``. Between the last value of a window and the first of the
        next lies a bifurcation, or the transient was too short.
        """
        if len(index) != len(self.batch):
            raise IndexError(
                f"the batch has shape {self.batch}, so windows takes {len(self.batch)} indices; got {index}."
            )
        along: tuple[Any, ...] = (slice(None), *index)
        order = np.argsort(self.values, kind="stable")
        pairs = zip(self.values[order], _known(self.periods, self.status)[along][order], strict=True)
        runs = [(int(period), [value for value, _ in run]) for period, run in groupby(pairs, key=lambda pair: pair[1])]
        return tuple((float(run[0]), float(run[-1]), period) for period, run in runs)

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` with the variables x, periods and status over the coordinate value."""
        batch = batch_dims(len(self.batch))
        units = unit_dims(self.x.ndim - 2 - len(self.batch)) if self.x.ndim > 2 + len(self.batch) else []
        return dataset(
            {
                "x": (["value", "record", *batch, *units], self.x),
                "periods": (["value", *batch], self.periods),
                "status": (["value", *batch], self.status),
            },
            coords={"value": self.values},
            attrs={
                "system": self.system_name,
                "dynamics": self.dynamics,
                "of": self.of,
                "unit": -1 if self.unit is None else self.unit,
                "follow": self.follow or "",
                "depth": self.depth,
                "transient": self.transient,
                "tolerance": self.tolerance,
            },
        )

    def __repr__(self) -> str:
        n = len(self.values)
        many = "" if not self.batch else f", {int(np.prod(self.batch))} initial states each"
        following = "" if self.follow is None else f", followed {self.follow}"
        head = (
            f"OrbitDiagram of {self.system_name!r} ({self.dynamics}): {n} value{'s' * (n != 1)} "
            f"from {self.values.min():.6g} to {self.values.max():.6g}{many}{following}, "
            f"{self.of} of {self.depth} layers after {self.transient}."
        )
        return f"{head} {self._windows_in_words() if not self.batch else self._periods_in_words()}"

    def _windows_in_words(self) -> str:
        windows = self.windows()
        shown = [_window(*window) for window in windows[:6]] + (["…"] if len(windows) > 6 else [])
        return f"{'; '.join(shown)}.".capitalize()

    def _periods_in_words(self) -> str:
        known = _known(self.periods, self.status)
        if not known.size:
            return "No orbits."
        counts = [f"{_named(int(p))}: {int((known == p).sum())}" for p in np.unique(known)]
        return f"Orbits with {'; '.join(counts[:8])}{'; …' if len(counts) > 8 else ''}."


def _known(periods: Array, status: Array) -> Array:
    """The periods, with −1 for orbits that did not reach the end."""
    return np.where(status == Status.OK, periods, -1)


def _named(period: int) -> str:
    return {-1: "no end", 0: "no period"}.get(period, f"period {period}")


def _window(first: float, last: float, period: int) -> str:
    where = f"at {first:.6g}" if first == last else f"from {first:.6g} to {last:.6g}"
    return f"{_named(period)} {where}"


def orbit_diagram(
    family: Family,
    values: Any,
    x0: Any,
    *,
    depth: int = 100,
    transient: int = 1000,
    dynamics: str = "map",
    of: str = "states",
    unit: int | None = None,
    follow: str | None = None,
    tolerance: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    method: str | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> OrbitDiagram:
    r"""The states that orbits visit after a transient, for each value of a parameter.

    Maps of few units whose rule is the same for all values run in one call of a kernel; all others value by value, on
    as many threads. The diagram of a flow on a section is that of its family of Poincaré maps,
    ``orbit_diagram(lambda value: resdyn.poincare_map(…), …)``.

    Parameters
    ----------
    family : callable
        ``family(value)`` is an autonomous :class:`resdyn.System`.
    values : array, shape (n,)
    x0 : array, shape (\*batch, \*shape), or callable
        Initial states for every value: one, or a batch, which shows attractors that exist side by side; or a function
        that returns them for a value.
    depth : int
        Layers to keep after the transient.
    transient : int
        Layers to run first.
    dynamics : "map" or "flow"
        Of a flow the states at the times kh are kept.
    of : "states" or "maxima"
        "maxima" keeps the local maxima of one unit along the flow. They lie between the layers and are found to fourth
        order in h, from the cubic through the states and slopes of two layers. A unit that varies by no more than the
        tolerance is at rest and has none: what ripples there is rounding.
    unit : int, optional
        Keep this unit alone, counted in the flattened state.
    follow : "up" or "down", optional
        Begin each value, in ascending or descending order, where the last one ended (the first one at x0): the diagram
        stays on an attractor until it disappears, which shows hysteresis. An orbit that is lost begins at x0 again.
    tolerance : float, optional
        Two states are the same within this share of the size of the orbit, which is the largest \|x\| among x0 and the
        states kept. By default 1e-8, and 1e-4 for flows.
    rtol, atol, method
        Of a flow, as in :func:`resdyn.simulate`.
    threads : int, optional
        At most so many threads.
    progress : bool
        Show a progress bar.

    Returns
    -------
    OrbitDiagram
        Divergence is an outcome: see its ``status``.

    Raises
    ------
    TypeError, ValueError
        For wrong shapes, types or names, and for layer-wise systems, whose layers do not repeat.
    MemoryError
        If the states to keep cannot fit.

    References
    ----------
    [may1976]_, [strogatz2015]_
    """
    question = _Question(
        kept=validate.count(depth, "depth", least=1),
        transient=validate.count(transient, "transient"),
        dynamics=validate.dynamics(dynamics, rtol=rtol, atol=atol, method=method),
        maxima=validate.choice(of, "of", ("states", "maxima")) == "maxima",
        tolerance=validate.positive(_same(dynamics) if tolerance is None else tolerance, "tolerance"),
        options={name: value for name, value in (("rtol", rtol), ("atol", atol)) if value is not None}
        | ({} if dynamics == "map" else {"method": "RK45" if method is None else method}),
    )
    if question.maxima and (dynamics == "map" or unit is None):
        raise ValueError('of="maxima" takes the local maxima of one unit along a flow; pass dynamics="flow" and unit=.')
    direction = None if follow is None else validate.choice(follow, "follow", ("up", "down"))
    array = validate.real_array(values, "values").astype(np.float64)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"values must be a list of at least one number, but has shape {array.shape}.")
    systems = _systems(family, array)
    shape, name = systems[0].shape, systems[0].name
    component = _component(unit, shape)
    starts = _starts(x0, array, systems)
    _memory.require(
        2 * 8 * starts.size * question.kept,
        f"{question.kept} states of each of {starts.size // int(np.prod(shape))} orbits",
        "keep fewer layers (depth=) or fewer values",
    )
    pool = validate.threads(threads)
    same = question.tolerance
    if direction is not None:
        x, status = _followed(question, array, systems, starts, direction, component, pool, progress)
    else:
        x, status = _side_by_side(question, systems, starts, component, pool, progress)
    lost = status != Status.OK
    np.moveaxis(x, 1, -1)[lost] = np.nan
    records = _flattened(x, status)
    size = np.maximum(_largest(_components(starts, shape, component)), _largest(records).max(axis=1, initial=0.0))
    return OrbitDiagram(
        values=array,
        x=x,
        periods=_periods_of_maxima(x, size, same) if question.maxima else _periods(records, size, same),
        status=status,
        system_name=name,
        dynamics=dynamics,
        of=of,
        unit=component,
        follow=direction,
        depth=question.kept,
        transient=question.transient,
        tolerance=same,
    )


@dataclass(frozen=True)
class _Question:
    """What is asked at each value."""

    kept: int
    transient: int
    dynamics: str
    maxima: bool
    tolerance: float
    options: dict[str, Any]

    def run(self, system: System, x0: Array, unit: int | None, threads: int | None) -> tuple[Array, Array, Array]:
        """The states kept, or the maxima, the last state, and the status, for the orbits of one value."""
        found = simulate(
            system, x0, depth=self.kept, transient=self.transient, threads=threads, **cast("Any", self.options)
        )
        batch = len(found.batch)
        if self.maxima:
            states = _unit(found.x, batch, unit)
            size = np.maximum(_largest(_components(x0, system.shape, unit)), _largest(np.moveaxis(states, 0, -1)))
            with np.errstate(invalid="ignore"):
                rests = np.ptp(states, axis=0) <= self.tolerance * size
            slopes = np.where(rests, 0.0, _unit(found.residuals, batch, unit))
            kept = _maxima(states, slopes, system.step)
        else:
            kept = _unit(found.x[1:], batch, unit)  # the first one saved is the end of the transient
        return kept, found.final, found.status


def _unit(x: Array, batch: int, unit: int | None) -> Array:
    """One unit of states of shape (records, *batch, *shape), or all of them."""
    return x if unit is None else _flat(x, 1 + batch)[..., unit]


def _flattened(x: Array, status: Array) -> Array:
    """x of shape (n, records, *batch, units)."""
    return _flat(x, 1 + status.ndim)


def _flat(x: Array, axes: int) -> Array:
    """All axes behind the first few as one; an empty batch leaves their size to be told."""
    return x.reshape(*x.shape[:axes], int(np.prod(x.shape[axes:])))


def _components(states: Array, shape: tuple[int, ...], unit: int | None) -> Array:
    """The units of states of shape (…, *shape) that are kept, along the last axis."""
    flat = _flat(states, states.ndim - len(shape))
    return flat if unit is None else flat[..., [unit]]


def _largest(x: Array) -> Array:
    """The largest finite magnitude along the last axis."""
    return np.abs(x).max(axis=-1, where=np.isfinite(x), initial=0.0)


def _same(dynamics: str) -> float:
    return _SAME_IN_MAPS if dynamics == "map" else _SAME_IN_FLOWS


def _systems(family: Family, values: Array) -> list[System]:
    if not callable(family):
        raise TypeError(f"family must be a function from a value to a System, but is {family!r}.")
    systems = [family(float(value)) for value in values]
    known: set[type] = set()  # to ask a protocol takes long
    for value, system in zip(values, systems, strict=True):
        if type(system) not in known and not isinstance(system, System):
            raise TypeError(f"family({value:g}) must be a resdyn System, but is {system!r}.")
        known.add(type(system))
        validate.autonomous(system, "an orbit diagram")
        if system.shape != systems[0].shape:
            raise ValueError(
                f"the systems of a family have states of one shape, but that at {value:g} has shape {system.shape} and "
                f"the first one {systems[0].shape}."
            )
    return systems


def _component(unit: Any, shape: tuple[int, ...]) -> int | None:
    if unit is None:
        return None
    size = int(np.prod(shape))
    index = validate.count(unit, "unit")
    if index >= size:
        raise ValueError(f"unit = {index}, but states have {size} units, counted from 0.")
    return index


def _starts(x0: Any, values: Array, systems: Sequence[System]) -> Array:
    """Initial states, shape (n, *batch, *shape)."""
    first = systems[0]
    finite = not getattr(first, "infinite_states", False)

    def checked(states: Any) -> Array:
        array = validate.real_array(states, "x0", finite=finite).astype(np.float64)
        return validate.states(array, first.shape, first.name, name="x0")

    if not callable(x0):
        states = checked(x0)
        return np.broadcast_to(states, (len(values), *states.shape))
    each = [checked(x0(float(value))) for value in values]
    shapes = sorted({states.shape for states in each})
    if len(shapes) > 1:
        raise ValueError(f"x0(value) must return states of one shape for all values, but returned {shapes}.")
    return np.stack(each)


# --- running ------------------------------------------------------------------------------------------


def _side_by_side(
    question: _Question,
    systems: Sequence[System],
    starts: Array,
    unit: int | None,
    threads: int | None,
    progress: bool,
) -> tuple[Array, Array]:
    together = None if progress or question.dynamics == "flow" else _in_one_call(question, systems, starts, threads)
    if together is not None:
        x, status = together
        return (x if unit is None else np.ascontiguousarray(_flattened(x, status)[..., unit])), status

    def run(index: int) -> tuple[Array, Array]:
        x, _, status = question.run(systems[index], starts[index], unit, 1)
        return x, status

    from resdyn.kernels.threads import thread_count

    with ThreadPoolExecutor(thread_count(threads)) as pool:
        results = list(_bar(pool.map(run, range(len(systems))), len(systems), systems[0].name, progress))
    return _stacked([x for x, _ in results]), np.stack([status for _, status in results])


def _in_one_call(
    question: _Question, systems: Sequence[System], starts: Array, threads: int | None
) -> tuple[Array, Array] | None:
    """All values in one kernel call, where the systems are of one compiled rule."""
    makers = [getattr(system, "compiled_form", None) for system in systems]
    if not all(makers) or not starts.size:
        return None
    from resdyn.kernels.families import stacked

    form = stacked([make() for make in makers if make is not None])
    if form is None:
        return None
    n, d, batch = len(systems), int(np.prod(systems[0].shape)), starts.shape[1 : starts.ndim - len(systems[0].shape)]
    gaps = np.ones(question.kept, dtype=np.int64)
    gaps[0] += question.transient
    out = np.empty((question.kept, starts.size // d, d))
    with np.errstate(over="ignore", invalid="ignore"):
        form.iterate(np.ascontiguousarray(starts.reshape(-1, d)), out, gaps, threads=threads)
    infinite = getattr(systems[0], "infinite_states", False)
    bad = np.isnan(out[-1]) if infinite else ~np.isfinite(out[-1])
    status = np.where(bad.any(axis=1), Status.DIVERGED, Status.OK).astype(np.uint8)
    x = np.moveaxis(out.reshape(question.kept, n, *batch, *systems[0].shape), 0, 1)
    return np.ascontiguousarray(x), status.reshape(n, *batch)


def _followed(
    question: _Question,
    values: Array,
    systems: Sequence[System],
    starts: Array,
    direction: str,
    unit: int | None,
    threads: int | None,
    progress: bool,
) -> tuple[Array, Array]:
    order = np.argsort(values, kind="stable")
    if direction == "down":
        order = order[::-1]
    runs: list[Array] = [np.empty(0)] * len(values)
    status: list[Array] = [np.empty(0)] * len(values)
    state = starts[order[0]]
    for index in _bar(order, len(order), systems[0].name, progress):
        x, last, outcome = question.run(systems[index], state, unit, threads)
        runs[index], status[index] = x, outcome
        lost = (outcome != Status.OK).reshape(*outcome.shape, *[1] * len(systems[0].shape))
        state = np.where(lost, starts[index], last)
    return _stacked(runs), np.stack(status)


def _stacked(runs: Sequence[Array]) -> Array:
    """The runs of all values, padded by NaN where they have fewer records than others."""
    most = max(len(run) for run in runs)
    out = np.full((len(runs), most, *runs[0].shape[1:]), np.nan)
    for padded, run in zip(out, runs, strict=True):
        padded[: len(run)] = run
    return out


def _bar(items: Iterable[Any], total: int, name: str, progress: bool) -> Iterable[Any]:
    if not progress:
        return items
    from tqdm.auto import tqdm

    return tqdm(items, total=total, desc=name, unit="value")


# --- what the states say ------------------------------------------------------------------------------


def _maxima(x: Array, slopes: Array, h: float) -> Array:
    """The local maxima of one unit along a flow, shape (most, *batch), NaN behind the last one of each orbit.

    Where the slope turns from positive to negative between two layers, the maximum of the cubic with the values and
    slopes of both.
    """
    a, b, da, db = x[:-1], x[1:], h * slopes[:-1], h * slopes[1:]
    turns = (da > 0) & (db <= 0)
    c2, c3 = 3 * (b - a) - 2 * da - db, 2 * (a - b) + da + db
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # a + da s + c2 s² + c3 s³ has slope 0 and negative curvature at −(c2 + √…)/(3 c3), here without cancellation
        s = np.clip(da / (np.sqrt(np.maximum(c2 * c2 - 3 * c3 * da, 0.0)) - c2), 0.0, 1.0)
        values = np.where(turns, a + s * (da + s * (c2 + s * c3)), np.nan)
    # maxima in front, in their order
    order = np.argsort(~turns, axis=0, kind="stable")
    return np.take_along_axis(values, order, axis=0)[: int(turns.sum(axis=0).max(initial=0))]


def _periods_of_maxima(x: Array, size: Array, tolerance: float) -> Array:
    """As :func:`_periods`, for orbits with different numbers of maxima, (n, most, *batch)."""
    periods = np.zeros((len(x), *x.shape[2:]), dtype=np.int64)
    for index in np.ndindex(periods.shape):
        maxima = x[(index[0], slice(None), *index[1:])]
        maxima = maxima[np.isfinite(maxima)]
        if maxima.size:
            periods[index] = _periods(maxima[None, :, None], size[index][None], tolerance)[0]
    return periods


def _periods(x: Array, size: Array, tolerance: float) -> Array:
    """The period of each orbit; x of shape (n, records, *batch, units), size (n, *batch)."""
    records = np.moveaxis(x, 1, 0)
    n = len(records)
    periods = np.zeros(size.shape, dtype=np.int64)
    undecided = np.ones(size.shape, dtype=bool)
    distinct = max(_DISTINCT * tolerance, _LEAST_DISTINCT)
    for p in range(1, n // _FEWEST_ROUNDS + 1):
        # only orbits that return at the end are worth a comparison of all their states
        with np.errstate(invalid="ignore"):
            gap = np.abs(records[-1] - records[-1 - p]).max(axis=-1)
        where = np.nonzero((gap <= distinct * size) & undecided)
        if where[0].size:
            along: tuple[Any, ...] = (slice(n % p, None), *where)
            some = records[along]
            rounds = some.reshape(-1, p, *some.shape[1:])
            # all states that are multiples of p apart: a slow drift hides in one period, but not in all of them
            spread = np.ptp(rounds, axis=0).max(axis=(0, -1))
            settled = (spread <= tolerance * size[where]) & (_still_to_go(rounds, size[where]) <= tolerance)
            periods[where] = np.where(settled, p, 0)
            undecided[where] = spread > distinct * size[where]
    return periods


def _still_to_go(rounds: Array, size: Array) -> Array:
    """How far the drift of orbits will lead, as a share of their size, if it slows down as it does.

    The states have shape (rounds, p, m, units). With drifts a and b over the first and the second half of the rounds,
    b²/(a − b); a drift within the jitter of neighbouring rounds is none.
    """
    half = (len(rounds) - 1) // 2
    first, middle, last = rounds[-1 - 2 * half], rounds[-1 - half], rounds[-1]
    before, after = (np.abs(b - a).max(axis=(0, -1)) for a, b in ((first, middle), (middle, last)))
    jitter = np.abs(np.diff(rounds, 2, axis=0)).max(axis=(0, 1, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(after < before, after * after / (before - after), np.inf) / size
    return np.where(after <= jitter + 8 * np.finfo(float).eps * size, 0.0, left)
