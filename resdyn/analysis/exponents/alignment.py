r"""Chaos indicators from the alignment of deviation vectors: SALI and GALI.

Vectors :math:`w_1, …, w_k` of length one are carried along an orbit and kept at length one, but not apart. The
generalised alignment index is the volume that they span,

.. math:: \mathrm{GALI}_k = \|w_1 \wedge \dots \wedge w_k\|.

Where neighbours separate exponentially all vectors turn into one direction, and it falls like
:math:`e^{-[(\lambda_1-\lambda_2)+\dots+(\lambda_1-\lambda_k)]t}` (:eq:`gali-rate`).

The vectors themselves lose their digits as they align. Here each is a column of coordinates in an orthonormal frame
that is carried with it, :math:`c \leftarrow Rc`. The columns are upper triangular, so that the volume is the product of
their diagonals (:eq:`gali-triangular`), whose logarithms add up: the index keeps its digits however small it becomes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _memory
from resdyn import _validation as validate
from resdyn._request import Request
from resdyn._results import Result, batch_dims, dataset
from resdyn._types import Status, System
from resdyn.analysis.exponents import tangents
from resdyn.analysis.exponents.frames import stretches
from resdyn.simulation import simulate
from resdyn.trajectory import Trajectory

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

# so many records evenly in t, for what falls exponentially, and so many evenly in log t, for what falls like a power
_EVEN, _GEOMETRIC = 100, 60
# Regular motion separates neighbours like a power of t, in practice the first; a growth beyond this power, and a
# thousand times more, is none of it.
_STEEPEST_POWER, _SPARE = 3.0, np.log(1e3)
_FEWEST_LAYERS = 100
# Beside an unstable rest state or cycle rounding lets a deviation grow by 1/ε at most before the orbit has left it.
_ROUNDING = -np.log(np.finfo(float).eps)
# In chaos a deviation grows evenly, so that half of the time has about half of the growth.
_LEAST_LATE = 0.4
# An orbit that comes back within so many layers, as near as this share of its size, rests or repeats.
_LONGEST_CYCLE, _BACK = 32, 1e-8
# How far beside an orbit its neighbour begins, as a share of its size: it grows to that size in far less than 1/ε.
_BESIDE = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class ChaosIndicators(Result):
    r"""How deviation vectors align along orbits; what :func:`chaos_indicators` returns.

    Attributes
    ----------
    t : array, shape (n_records,)
        Depth-times of the records, from the end of the transient on: evenly and by constant factors.
    log_gali : array, shape (n_records, \*batch, n_orders)
        Natural logarithms of GALI_k, k along the last axis as in ``orders``. −∞ where the map is singular.
    log_growth : array, shape (n_records, \*batch)
        Logarithm of the length to which the first vector would have grown.
    exponents : array, shape (\*batch, k)
        Lyapunov exponents over these layers, per unit t, one for each vector (:func:`resdyn.lyapunov_spectrum`, with
        the same transient, has fewer initial directions in them, and errors).
    orders : tuple of int
        The k, ascending; 2 is always among them.
    separation : array, shape (\*batch,)
        Logarithm of what neighbours have separated by over the second half of the time, against the size of the orbit:
        ``log_growth`` there, less what the largest \|x\| has grown by. The smaller one of two orbits, this one and one
        that began 1e-9 of its size beside it; 0 where the orbit rests, or repeats within 32 layers. NaN where it is not
        needed: where ``log_growth`` is too small for chaos.
    status : array, shape (\*batch,)
        :class:`resdyn.Status` of each orbit.
    system : System
    dynamics : str
        "map" or "flow".
    depth, transient : int
    """

    t: Array
    log_gali: Array
    log_growth: Array
    exponents: Array
    orders: tuple[int, ...]
    separation: Array
    status: Array
    system: System
    dynamics: str
    depth: int
    transient: int

    @property
    def batch(self) -> tuple[int, ...]:
        """The batch axes; () for one orbit."""
        return self.status.shape

    @property
    def gali(self) -> Array:
        r"""GALI_k, shape (n_records, \*batch, n_orders): 1 for orthogonal vectors, 0 for dependent ones."""
        return np.exp(self.log_gali)

    @property
    def log_sali(self) -> Array:
        r"""Natural logarithm of the SALI, shape (n_records, \*batch)."""
        log_sine = self.log_gali[..., self.orders.index(2)]
        cosine = np.sqrt(np.clip(-np.expm1(2 * log_sine), 0.0, 1.0))
        return log_sine + 0.5 * np.log(2 / (1 + cosine))

    @property
    def sali(self) -> Array:
        r"""The smaller alignment index, :math:`\min(\|w_1 - w_2\|, \|w_1 + w_2\|)`, shape (n_records, \*batch).

        From :math:`\sqrt2` for orthogonal vectors to 0 for parallel ones; by :eq:`sali-from-gali` from GALI_2, which is
        the sine of the angle, so that it keeps its digits.
        """
        return np.exp(self.log_sali)

    @property
    def rates(self) -> Array:
        r"""The exponential rates at which each GALI_k falls, per unit t, shape (\*batch, n_orders).

        By least squares over the second half of the time; compare with ``expected_rates``.
        """
        late = np.flatnonzero(self.t >= self.t[-1] / 2)
        t = self.t[late] - self.t[late].mean()
        if len(late) < 2:
            return np.full(self.log_gali.shape[1:], np.nan)
        with np.errstate(invalid="ignore"):
            return np.asarray(-np.tensordot(t, self.log_gali[late], axes=1) / (t @ t))

    @property
    def expected_rates(self) -> Array:
        r"""The rates that the exponents give, :math:`\sum_{j\le k}(\lambda_1 - \lambda_j)`, :eq:`gali-rate`."""
        with np.errstate(invalid="ignore"):
            sums = np.cumsum(self.exponents[..., :1] - self.exponents, axis=-1)
        return sums[..., [k - 1 for k in self.orders]]

    def time_below(self, threshold: float = 1e-12, *, order: int = 2) -> Array:
        r"""The first recorded t at which GALI_k is below a threshold, shape (\*batch,); NaN where it never is."""
        if order not in self.orders:
            raise ValueError(f"order = {order!r} was not recorded; there are {self.orders}.")
        log = np.log(validate.positive(threshold, "threshold"))
        below = self.log_gali[..., self.orders.index(order)] < log
        return np.where(below.any(axis=0), self.t[below.argmax(axis=0)], np.nan)

    @property
    def verdict(self) -> Array:
        r"""What the orbits are as far as is clear, words of shape (\*batch,).

        "chaotic": GALI_2 has fallen, the first vector has grown by more than the third power of the number of layers, a
        thousand times over, and neighbours have gone on to separate in the second half of the time: ``separation`` is
        40 % of all growth or more, and beyond what rounding allows beside an unstable rest state or cycle, 1/ε, a
        thousand times over. "regular": over the second half of the time the vector has grown by less than a third power
        would; an exponent below about 4/t does not show in that. "undecided": neither, or fewer than 100 layers; also
        unstable rest states and cycles, and orbits that grow as neighbours separate. "diverged" and "failed": no such
        orbit.
        """
        growth, half = self.log_growth[-1], int(np.searchsorted(self.t, self.t[-1] / 2))
        with np.errstate(invalid="ignore"):
            late = growth - self.log_growth[half]
            least = np.maximum(_LEAST_LATE * growth, _ROUNDING + _SPARE)
            aligned = self.log_gali[-1, ..., self.orders.index(2)] < -1
            chaotic = _has_grown(growth, self.depth) & aligned & (self.separation > least)
            slow = (late < _STEEPEST_POWER * np.log(2)) & (growth < _STEEPEST_POWER * np.log(self.depth))
            regular = slow & (self.depth >= _FEWEST_LAYERS)
        words = np.where(chaotic, "chaotic", np.where(regular, "regular", "undecided"))
        words = np.where(self.status == Status.DIVERGED, "diverged", words)
        return np.asarray(np.where(self.status == Status.FAILED, "failed", words))

    def sample(self, *index: int) -> "ChaosIndicators":
        """Those of one orbit of the batch: ``sample(3)``, or ``sample(2, 0)`` of a two-axis batch."""
        if len(index) != len(self.batch):
            raise IndexError(
                f"the batch has shape {self.batch}, so sample takes {len(self.batch)} indices; got {index}."
            )
        along: tuple[Any, ...] = (slice(None), *index)
        return replace(
            self,
            log_gali=self.log_gali[along],
            log_growth=self.log_growth[along],
            exponents=self.exponents[index],
            separation=np.asarray(self.separation[index]),
            status=np.asarray(self.status[index]),
        )

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` with the variables log_gali, log_growth, sali, exponents, separation and status."""
        batch = batch_dims(len(self.batch))
        return dataset(
            {
                "log_gali": (["t", *batch, "order"], self.log_gali),
                "log_growth": (["t", *batch], self.log_growth),
                "sali": (["t", *batch], self.sali),
                "exponents": ([*batch, "exponent"], self.exponents),
                "separation": (batch, self.separation),
                "status": (batch, self.status),
            },
            coords={"t": self.t, "order": list(self.orders)},
            attrs={
                "system": self.system.name,
                "dynamics": self.dynamics,
                "depth": self.depth,
                "transient": self.transient,
                "step": self.system.step,
            },
        )

    def __repr__(self) -> str:
        head = (
            f"ChaosIndicators of {self.system.name!r} ({self.dynamics}), over {self.depth} layers "
            f"(t = {self.t[-1]:g}): "
        )
        words = self.verdict
        if self.batch:
            counts = [f"{int((words == word).sum())} {word}" for word in _WORDS if (words == word).any()]
            return f"{head}{', '.join([f'{words.size} orbits', *counts])}."
        if self.status != Status.OK:
            return f"{head}the orbit {words}."
        below = float(self.time_below())
        fell = f"below 1e-12 from t = {below:g} on and " if np.isfinite(below) else ""
        end = self.log_gali[-1, self.orders.index(2)] / np.log(10)
        grown = f"a deviation has grown by e^{self.log_growth[-1]:.4g}"
        return f"{head}{words}. GALI_2 is {fell}10^{end:.1f} at the end; {grown}."

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]] | None:
        if self.batch:
            return None
        rows = [
            (f"GALI_{k}", f"10^{log / np.log(10):.1f}", f"{rate:.4g}", f"{expected:.4g}")
            for k, log, rate, expected in zip(
                self.orders, self.log_gali[-1], self.rates, self.expected_rates, strict=True
            )
        ]
        return ("", "at the end", "rate of decay", "from the exponents"), rows


_WORDS = ("chaotic", "regular", "undecided", "diverged", "failed")


def chaos_indicators(
    system: System,
    x0: Any,
    *,
    depth: int,
    k: int | Sequence[int] = 2,
    transient: int = 0,
    dynamics: str = "map",
    deviations: Any = None,
    rng: np.random.Generator | int = 0,
    rtol: float | None = None,
    atol: float | None = None,
    method: str | None = None,
    threads: int | None = None,
) -> ChaosIndicators:
    r"""SALI and GALI_k: whether deviation vectors align, which tells chaotic from regular orbits.

    .. math:: \mathrm{GALI}_k(t) = \|w_1 \wedge \dots \wedge w_k\|, \qquad
              \mathrm{SALI} = \min(\|w_1 - w_2\|, \|w_1 + w_2\|),

    for vectors of length one, carried by :math:`I + hA` or by the variational equation, [skokos2001]_, [skokos2007]_.

    Parameters
    ----------
    system : System
        Autonomous, with two variables or more.
    x0 : array, shape (\*batch, \*shape)
        Initial states.
    depth : int
        Layers to carry the vectors through.
    k : int or list of int
        The orders of GALI, from 2 to the number of variables. 2 is recorded in any case.
    transient : int
        Layers to run first, without vectors.
    dynamics : "map" or "flow"
    deviations : array, shape (k, \*shape), optional
        The first vectors; their lengths do not matter. By default random and orthonormal.
    rng : numpy Generator or seed
        For them.
    rtol, atol, method
        Of a flow, as in :func:`resdyn.lyapunov_spectrum`.
    threads : int, optional
        At most so many threads.

    Returns
    -------
    ChaosIndicators
        Divergence is an outcome: NaN and a status, without effect on the other orbits.

    Raises
    ------
    TypeError, ValueError
        For wrong shapes, types or names, orders that do not exist, and layer-wise systems, whose layers do not repeat.
    MemoryError
        If the vectors cannot fit.

    Notes
    -----
    A small index alone does not mean chaos in a dissipative system: near a stable fixed point or cycle all vectors
    align too, at the rate λ₁ − λ₂. The verdict therefore asks for growth as well. Where
    there is enough of it, states of the orbit and growth along a neighbour are found in a second run, for
    ``separation``: chaotic orbits take twice the time.
    """
    validate.autonomous(system, "an alignment index")
    d = int(np.prod(system.shape))
    orders = _orders(k, d)
    request = tangents.tangent_request(
        system,
        x0,
        validate.count(depth, "depth", least=1),
        transient,
        dynamics,
        None,
        rtol,
        atol,
        method,
        threads,
        progress=False,
    )
    first, size, most = request.transient, len(request.states), orders[-1]
    stops = _record_layers(request.total - first)
    _memory.require(
        8 * size * (2 * most * (len(stops) + most + d) + (_EVEN + 2 * _LONGEST_CYCLE) * d) + 2**26,
        f"{most} deviation vectors of {d} components for each of {size} states",
        "ask for a smaller k, or for fewer states at a time",
    )
    vectors = _deviations(deviations, most, system, rng)
    start, lost = _settled(request)
    records, status = _aligned(start, vectors, stops)
    status = np.where(lost != 0, lost, status)
    separation = _separation(start, vectors, stops, records[:, :, 1, 0], status)
    # log of the diagonal of the first columns, of all stretching factors, and of all lengths
    _, R, _ = tangents.orthonormalised(vectors[None])
    with np.errstate(divide="ignore", invalid="ignore"):
        began = np.log(np.diagonal(R[0]) / np.linalg.norm(R[0], axis=0))
        log_gali = np.cumsum(began + records[:, :, 0] - records[:, :, 1], axis=2)[..., [order - 1 for order in orders]]
    t = stops * system.step
    exponents, growth = records[-1, :, 0] / t[-1], records[:, :, 1, 0]
    for values in (np.moveaxis(log_gali, 1, 0), exponents, growth.T):
        values[status != 0] = np.nan
    return ChaosIndicators(
        t=t,
        log_gali=log_gali.reshape(len(t), *request.batch, len(orders)),
        log_growth=growth.reshape(len(t), *request.batch),
        exponents=exponents.reshape(*request.batch, most),
        orders=orders,
        separation=separation.reshape(request.batch),
        status=status.astype(np.uint8).reshape(request.batch),
        system=system,
        dynamics=dynamics,
        depth=request.total - first,
        transient=first,
    )


def _orders(k: Any, d: int) -> tuple[int, ...]:
    if d < 2:
        raise ValueError("alignment needs two directions at least, but the states have one variable.")
    given = k if isinstance(k, Sequence | np.ndarray) else [k]
    orders = sorted({2, *(validate.count(order, "k", least=2) for order in given)})
    if orders[-1] > d:
        raise ValueError(f"k = {orders[-1]}, but states have {d} variables, so GALI_k exists up to k = {d}.")
    return tuple(orders)


def _deviations(deviations: Any, k: int, system: System, rng: Any) -> Array:
    """The first vectors, shape (k, d), of length one."""
    d = int(np.prod(system.shape))
    if deviations is None:
        return tangents.orthonormal_frame(d, k, validate.generator(rng))
    array = validate.real_array(deviations, "deviations").astype(np.float64)
    if array.shape[1:] != system.shape or len(array) < k:
        raise ValueError(
            f"deviations has shape {array.shape}, but GALI_{k} of {system.name!r} needs {k} vectors of shape "
            f"{system.shape}, in an array of shape {(k, *system.shape)}."
        )
    flat = array[:k].reshape(k, d)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    if not lengths.all() or np.linalg.matrix_rank(flat / lengths) < k:
        raise ValueError("deviations are linearly dependent, so the volume they span is 0 from the beginning.")
    return flat / lengths


def _record_layers(depth: int) -> NDArray[np.int64]:
    even = np.arange(1, _EVEN + 1) * depth // _EVEN
    geometric = np.round(np.geomspace(1, depth, _GEOMETRIC)).astype(np.int64)
    found = np.union1d(even, geometric)
    return found[found > 0]


def _settled(request: Request) -> tuple[Request, Array]:
    """The request from the end of its transient on, and the status there."""
    if not request.transient:
        return request, np.zeros(len(request.states), dtype=np.uint8)
    end = _run(request, request.states, request.transient, "final")
    states = end.final.copy()
    states[end.status != 0] = request.states[end.status != 0]  # any state that can be run
    return replace(request, states=states, total=request.total - request.transient, transient=0), end.status


def _aligned(request: Request, vectors: Array, stops: NDArray[np.int64]) -> tuple[Array, NDArray[np.uint8]]:
    """Sums of the logarithms of the stretching factors and of the lengths at each stop, (n_stops, M, 2, k)."""
    from resdyn.kernels.frame_records import carry_forward

    size, k = len(request.states), len(vectors)
    Q, R, _ = tangents.orthonormalised(vectors[None])
    frames = np.broadcast_to(Q[0], (size, *Q.shape[1:])).copy()
    columns = np.broadcast_to(R[0] / np.linalg.norm(R[0], axis=0), (size, k, k)).copy()
    totals, records = np.zeros((size, 2, k)), np.full((len(stops), size, 2, k), np.nan)
    status = np.zeros(size, dtype=np.uint8)
    for stretch in stretches(request, frames, stops, keep=False):
        slots = np.searchsorted(stops, stretch.layers)
        slots = np.where(stops[slots] == stretch.layers, slots, -1)
        carry_forward(stretch.factors, columns, totals, slots, records, request.threads)
        status = stretch.status
    return records, status


def _has_grown(growth: Array, depth: int) -> Array:
    """Where a deviation has grown by more than any power of the number of layers that regular motion shows."""
    return np.asarray(growth > _STEEPEST_POWER * np.log(depth) + _SPARE)


def _separation(request: Request, vectors: Array, stops: NDArray[np.int64], growth: Array, status: Array) -> Array:
    """See :class:`ChaosIndicators`; growth (n_stops, M) is along the orbits themselves."""
    found = np.full(len(request.states), np.nan)
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero(_has_grown(growth[-1], int(stops[-1])) & (status == 0))
    if not rows.size:
        return found
    half = int(np.searchsorted(stops, stops[-1] / 2))
    own, size, rests = _extent(_of(request, request.states[rows]))
    # no direction of its own: by chance it lies in no subspace that the system keeps
    aside = np.random.default_rng(0).standard_normal(request.states.shape[1:])
    offset = size.reshape(-1, *[1] * aside.ndim) * aside / np.linalg.norm(aside)
    beside = _of(request, request.states[rows] + _BESIDE * offset)
    records, lost = _aligned(beside, vectors[:2], np.array([stops[half], stops[-1]]))
    near, _, _ = _extent(beside)
    with np.errstate(invalid="ignore"):
        grown = growth[-1, rows] - growth[half, rows], records[1, :, 1, 0] - records[0, :, 1, 0]
        along = np.minimum(grown[0] - own, grown[1] - near)
    found[rows] = np.where(rests, 0.0, np.where(lost == 0, along, np.nan))
    return found


def _of(request: Request, states: Array) -> Request:
    """The request for other states, without a transient."""
    return replace(request, states=states, batch=(len(states),))


def _extent(request: Request) -> tuple[Array, Array, Array]:
    """Of each orbit: the logarithm of what its size grows by in the second half of the time; its size; if it rests."""
    last = min(2 * _LONGEST_CYCLE, request.total // 2)
    half = request.total // 2
    first, states, lost = _largest(request, request.states, half)
    second, states, lost_later = _largest(request, states, request.total - half - last)
    run = _run(request, states, last, 1)
    x = run.x.reshape(last + 1, len(states), -1)
    second = np.maximum(second, _magnitude(x))
    size, rests = np.maximum(first, second), np.zeros(len(states), dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        for p in range(1, last // 2 + 1):
            rests |= np.abs(x[p:] - x[:-p]).max(axis=(0, 2)) <= _BACK * size
        grown = np.where(second > first, np.log(second) - np.log(first), 0.0)
    grown[lost | lost_later | (run.status != 0)] = np.nan
    return grown, size, rests


def _largest(request: Request, states: Array, layers: int) -> tuple[Array, Array, Array]:
    """The largest |x| of each orbit over so many layers, the states after them, and which orbits were lost."""
    if not layers:
        return _magnitude(states.reshape(1, len(states), -1)), states, np.zeros(len(states), dtype=bool)
    run = _run(request, states, layers, max(1, layers // _EVEN))
    lost, after = run.status != 0, run.final.copy()
    after[lost] = states[lost]  # any state that can be run
    return _magnitude(run.x.reshape(len(run.x), len(states), -1)), after, lost


def _magnitude(x: Array) -> Array:
    return np.abs(x).max(axis=(0, 2), where=np.isfinite(x), initial=0.0)


def _run(request: Request, states: Array, layers: int, save: int | str) -> Trajectory:
    tolerances: dict[str, Any] = {} if request.is_map else {"rtol": request.rtol, "atol": request.atol}
    return simulate(
        request.system,
        states,
        depth=layers,
        save=save,
        method=request.method,
        threads=request.threads,
        **tolerances,
    )
