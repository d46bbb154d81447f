"""What is measured of each unit at each input of a batch: input by input, in one process or in several, kept on disk.

A measurement belongs to an input, a unit and a reading. Each is a file of its own, which is there when it is complete,
so a run that was stopped goes on where it was. States are followed through the network in double precision.
"""

import multiprocessing
import pickle
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn.networks.linearization.folders import Folder
from resdyn.networks.linearization.linearizing import linearize
from resdyn.networks.linearization.states import double_parts, states_after
from resdyn.networks.linearization.unit import LinearizedUnit, Reading
from resdyn.networks.unrolling.unit import Unit
from resdyn.networks.unrolling.unrolled import UnrolledNetwork

Array = NDArray[Any]
Measurement = dict[str, Array]


class Place(NamedTuple):
    """Where a measurement belongs; numbers are places in the batch and in ``network.units``."""

    input: int
    unit: int
    reading: Reading


class Measure(Protocol):
    """What is measured of a linearization; it must survive pickle."""

    @property
    def kind(self) -> str:
        """A word for the files."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """What the outcome depends on, for JSON."""
        ...

    def __call__(self, linearization: LinearizedUnit) -> Measurement:
        """Named arrays."""
        ...

    def fits(self, measurement: Measurement, size: int) -> bool:
        """Whether this can be the outcome at a unit with so many singular values."""
        ...


@dataclass(frozen=True, eq=False)
class Request:
    """Which measurements of which units at which inputs.

    Attributes
    ----------
    units : tuple of int
        Places in ``network.units``.
    options : dict
        Of :func:`resdyn.networks.linearize`, but for the reading.
    """

    network: UnrolledNetwork
    x: Array
    units: tuple[int, ...]
    readings: tuple[Reading, ...]
    options: dict[str, Any]
    measure: Measure

    @property
    def names(self) -> tuple[str, ...]:
        """Of the units."""
        return tuple(self.network.units[k].name for k in self.units)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The number of singular values of each unit."""
        return np.array([size_of(self.network.units[k]) for k in self.units])

    @property
    def places(self) -> list[Place]:
        """In the order in which they are measured: the units of one input together."""
        return [Place(i, k, reading) for i in range(len(self.x)) for k in self.units for reading in self.readings]


def request(
    network: Any,
    x: Any,
    units: Sequence[str] | None,
    readings: Sequence[str],
    options: dict[str, Any],
    measure: Measure,
) -> Request:
    """The request that arguments of users ask for, or an error that says what is wrong with them."""
    if not isinstance(network, UnrolledNetwork):
        raise TypeError(
            f"network must be an UnrolledNetwork, but is {validate.shown(network)}; pass "
            "resdyn.networks.unroll(model, example)."
        )
    inputs = network.stem.checked(x, network.stem.shape_before, "x")
    if not len(inputs):
        raise ValueError("x holds no inputs; pass at least one.")
    array = inputs.detach().cpu().numpy() if isinstance(inputs, torch.Tensor) else np.asarray(inputs)
    array = array.astype(np.float64) if array.dtype.kind == "f" else array
    if isinstance(units, str) or isinstance(readings, str):
        raise TypeError("units and readings are sequences of words; write units=[name], readings=['after'].")
    words: Any = tuple(validate.choice(reading, "a reading", ("before", "after")) for reading in readings)
    names = [unit.name for unit in network.units] if units is None else list(units)
    for what, given in (("units", names), ("readings", words)):
        if not given or len(set(given)) < len(given):
            raise ValueError(f"{what} must be different words, at least one, but are {list(given)!r}.")
    chosen = tuple(network.units.index(network.unit(name)) for name in names)
    return Request(network, array, chosen, words, options, measure)


def size_of(unit: Unit) -> int:
    """The number of singular values."""
    return int(min(np.prod(unit.shape_before), np.prod(unit.shape_after)))


def measurements(request: Request, path: Any, progress: bool, workers: int) -> dict[Place, Measurement]:
    """All that was asked for, from the folder or new."""
    workers = validate.count(workers, "workers", least=1)
    folder = None if path is None else Folder.opened(path, request)
    found: dict[Place, Measurement] = {}
    if folder is not None:
        kept = {place: folder.read(place, size_of(request.network.units[place.unit])) for place in request.places}
        found = {place: measurement for place, measurement in kept.items() if measurement is not None}
    missing: dict[tuple[int, int], list[Place]] = {}
    for place in request.places:
        if place not in found:
            missing.setdefault(place[:2], []).append(place)
    with _bar(request, len(found), progress) as bar:
        for new in _measured(request, list(missing.values()), folder, min(workers, len(missing))):
            found |= new
            bar.update(len(new))
    return found


def _bar(request: Request, done: int, progress: bool) -> Any:
    from tqdm.auto import tqdm

    name = request.network.name
    return tqdm(total=len(request.places), initial=done, desc=name, unit="spectrum", disable=not progress)


def _measured(
    request: Request, tasks: Sequence[list[Place]], folder: Folder | None, workers: int
) -> Iterator[dict[Place, Measurement]]:
    if workers > 1:
        yield from _in_processes(request, tasks, folder, workers)
        return
    process = Process(request, folder)
    for task in tasks:
        for place in task:
            yield process.measure([place])


class Process:
    """One process at work: it knows the states that its last input made."""

    def __init__(self, request: Request, folder: Folder | None) -> None:
        self.request, self.folder = request, folder
        self._parts = double_parts(request.network, max(request.units))
        self._input, self._states = -1, list[Array]()

    def measure(self, places: Iterable[Place]) -> dict[Place, Measurement]:
        """Linearize and measure, and keep each on disk at once."""
        done = {}
        for place in places:
            begin = perf_counter()
            unit, state = self.request.network.units[place.unit], self._before(place)
            linearization = linearize(unit, state, reading=place.reading, **self.request.options)
            measurement = self.request.measure(linearization)
            measurement["seconds"] = np.array(perf_counter() - begin)
            if self.folder is not None:
                self.folder.write(place, measurement)
            done[place] = measurement
        return done

    def _before(self, place: Place) -> Array:
        if place.input != self._input:
            self._states = states_after(self._parts, self.request.x[place.input : place.input + 1])
            self._input = place.input
        return self._states[place.unit]


# --- several processes -----------------------------------------------------------------------------


@dataclass
class _Worker:
    """What a worker knows."""

    process: Process | None = None
    is_busy: bool = False


_worker = _Worker()


def _in_processes(
    request: Request, tasks: Sequence[list[Place]], folder: Folder | None, workers: int
) -> Iterator[dict[Place, Measurement]]:
    if request.network.placement.device.type != "cpu":
        raise ValueError(
            f"the network is on {request.network.placement.device}, which one process uses as a whole; take workers=1, "
            "or unroll the network with device='cpu'."
        )
    try:
        pickle.dumps(request)
    except Exception as error:
        raise TypeError(
            f"{request.network.name!r} cannot be sent to other processes ({error}); take workers=1."
        ) from error
    # a forked process would inherit the locks of the threads of torch
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin, (request, folder)) as pool:
        try:
            for future in as_completed([pool.submit(_work, task) for task in tasks]):
                yield future.result()
        except BrokenProcessPool as error:
            kept = "what was finished is kept in the folder; " if folder else ""
            raise RuntimeError(
                f"a worker was ended from outside, as it is where memory runs out; {kept}call again with fewer workers."
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _begin(request: Request, folder: Folder | None) -> None:
    from threadpoolctl import threadpool_limits

    signal.signal(signal.SIGINT, _stop)
    torch.set_num_threads(1)
    threadpool_limits(1)
    _worker.process = Process(request, folder)


def _work(task: list[Place]) -> dict[Place, Measurement]:
    _worker.is_busy = True
    try:
        if _worker.process is None:
            raise KeyboardInterrupt
        return _worker.process.measure(task)
    finally:
        _worker.is_busy = False


def _stop(*_: Any) -> None:
    """Give up what is being measured, and all that waits in line; while idle, end in silence."""
    _worker.process = None
    if _worker.is_busy:
        raise KeyboardInterrupt
