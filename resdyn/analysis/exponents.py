r"""How fast neighbouring states separate: Lyapunov spectra, and exponents of finitely many layers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from resdyn import _memory
from resdyn import _validation as validate
from resdyn._request import FLOWS, Request, make_request
from resdyn._results import Result, batch_dims, dataset, unit_dims
from resdyn._types import Status, System
from resdyn.analysis import _tangents as tangents

if TYPE_CHECKING:
    import xarray

    from resdyn.trajectory import Trajectory

Array = NDArray[Any]

# Batch means: so many blocks, and at least so many layers in each. Twenty give the standard error to about a sixth.
_BLOCKS, _LAYERS_PER_BLOCK = 20, 5
_RECORDS = 100
_MOST_RECORDED = 2**25


@dataclass(frozen=True, eq=False, repr=False)
class LyapunovSpectrum(Result):
    r"""Lyapunov exponents of one or many orbits, per unit of depth-time; what :func:`lyapunov_spectrum` returns.

    Attributes
    ----------
    exponents : array, shape (\*batch, k)
        Descending; −∞ where the map is singular, NaN for orbits that diverged. Per block: times h.
    standard_error : array, shape (\*batch, k)
        Of each exponent, from batch means: the layers are cut into 20 blocks of equal length, and the standard
        deviation of the means of the blocks is divided by :math:`\sqrt{20}`. It is right if the orbit is stationary and
        the blocks are longer than its memory. NaN for fewer than 100 layers.
    t : array, shape (n_records,)
        Depth-times of the running estimates.
    running : array, shape (n_records, \*batch, k)
        The estimates from the layers up to t, in the order of ``exponents``; the last one is ``exponents``.
    status : array, shape (\*batch,)
        :class:`resdyn.Status` of each orbit.
    system : System
    dynamics : str
        "map" or "flow".
    depth, transient : int
        Layers averaged over, and layers before them.
    """

    exponents: Array
    standard_error: Array
    t: Array
    running: Array
    status: Array
    system: System
    dynamics: str
    depth: int
    transient: int

    @property
    def batch(self) -> tuple[int, ...]:
        """The batch axes; () for one orbit."""
        return self.exponents.shape[:-1]

    @property
    def sum(self) -> Array:
        r"""The sum of the exponents, shape (\*batch,): the growth rate of k-dimensional volumes.

        With all exponents it is the mean of log\|det\| (:eq:`qr-determinant`), for a flow the mean of tr A.
        """
        return np.asarray(self.exponents.sum(axis=-1))

    @property
    def entropy(self) -> Array:
        r"""The sum of the positive exponents, shape (\*batch,): an upper bound of the Kolmogorov–Sinai entropy (Ruelle).

        Equal to it for an SRB measure (Pesin's formula). NaN where more positive exponents may follow those computed.
        """
        total = np.maximum(self.exponents, 0.0).sum(axis=-1)
        return np.where(self._incomplete & (self.exponents[..., -1] > 0), np.nan, total)

    @cached_property
    def kaplan_yorke_dimension(self) -> Array:
        r"""The Kaplan–Yorke dimension, shape (\*batch,), [kaplan1979]_.

        .. math:: D = j + \frac{\lambda_1 + \dots + \lambda_j}{|\lambda_{j+1}|}

        with j the largest number of exponents whose sum is not negative; 0 if there is none, and d if the sum of all is
        not negative. NaN where more exponents than those computed are needed.
        """
        k = self.exponents.shape[-1]
        flat = [
            _kaplan_yorke(exponents, int(np.prod(self.system.shape))) for exponents in self.exponents.reshape(-1, k)
        ]
        return np.array(flat).reshape(self.batch)

    @property
    def _incomplete(self) -> bool:
        return self.exponents.shape[-1] < int(np.prod(self.system.shape))

    def sample(self, *index: int) -> Self:
        """The spectrum of one orbit of the batch: ``sample(3)``, or ``sample(2, 0)`` of a two-axis batch."""
        if len(index) != len(self.batch):
            raise IndexError(
                f"the batch has shape {self.batch}, so sample takes {len(self.batch)} indices; got {index}."
            )
        return replace(
            self,
            exponents=self.exponents[index],
            standard_error=self.standard_error[index],
            running=self.running[(slice(None), *index)],
            status=np.asarray(self.status[index]),
        )

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` with the variables exponents, standard_error, running and status."""
        batch = batch_dims(len(self.batch))
        return dataset(
            {
                "exponents": ([*batch, "exponent"], self.exponents),
                "standard_error": ([*batch, "exponent"], self.standard_error),
                "running": (["t", *batch, "exponent"], self.running),
                "status": (batch, self.status),
            },
            coords={"t": self.t},
            attrs={
                "system": self.system.name,
                "dynamics": self.dynamics,
                "depth": self.depth,
                "transient": self.transient,
                "step": self.system.step,
            },
        )

    def __repr__(self) -> str:
        k, d = self.exponents.shape[-1], int(np.prod(self.system.shape))
        head = f"LyapunovSpectrum of {self.system.name!r} ({self.dynamics}): "
        over = f"{k} of {d} exponents per unit t, over {self.depth} layers (t = {self.depth * self.system.step:g})"
        if self.batch:
            return f"{head}{self.status.size} orbits, {over}; {self._of_many()}."
        if self.status != Status.OK:
            return f"{head}{over}; the orbit {Status(int(self.status)).name.lower()}."
        return f"{head}{over}. {self._verdict()}"

    def _verdict(self) -> str:
        shown = ", ".join(
            _with_error(*pair) for pair in zip(self.exponents[:4], self.standard_error[:4], strict=True)
        ) + (", …" if len(self.exponents) > 4 else "")
        known = np.isfinite(self.standard_error[0]) or np.isinf(self.exponents[0])
        if not known:
            return f"{shown}; fewer than {_BLOCKS * _LAYERS_PER_BLOCK} layers say nothing about their errors."
        positive = int(_sign(self.exponents, self.standard_error).clip(min=0).sum())
        if positive:
            several = "one positive exponent" if positive == 1 else f"{positive} positive exponents"
            dimension = float(self.kaplan_yorke_dimension)
            tail = "" if np.isnan(dimension) else f"; Kaplan–Yorke dimension {dimension:.3g}"
            return f"{shown}: {several}{tail}."
        if _sign(self.exponents[:1], self.standard_error[:1])[0] < 0:
            return f"{shown}: all negative, neighbours come together."
        return f"{shown}: the largest cannot be told from 0."

    def _of_many(self) -> str:
        good = self.status == Status.OK
        lost = "" if good.all() else f", {int((~good).sum())} orbits lost"
        if not good.any():
            return "all orbits lost"
        largest, error = self.exponents[good][:, 0], self.standard_error[good][:, 0]
        low, middle, high = np.quantile(largest, [0.0, 0.5, 1.0], method="nearest")
        text = f"largest exponent {low:.3g} to {high:.3g}, median {middle:.3g}{lost}"
        if np.isnan(error).all():
            return text
        positive = int((_sign(largest, error) > 0).sum())
        return f"{text}; positive beyond three standard errors in {positive}"

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]] | None:
        if self.batch:
            return None
        rows = [
            (i + 1, f"{exponent:.6g}", f"{error:.2g}")
            for i, (exponent, error) in enumerate(zip(self.exponents[:10], self.standard_error[:10], strict=True))
        ]
        return ("", "exponent", "standard error"), rows


def _with_error(value: float, error: float) -> str:
    """0.906 ± 0.003: as many digits as the error has."""
    if not np.isfinite(value) or not np.isfinite(error):
        return f"{value:.4g}"
    digits = int(np.clip(-np.floor(np.log10(max(error, 1e-12))), 0, 8))
    return f"{value:.{digits}f} ± {error:.1g}"


def _sign(exponents: Array, errors: Array) -> NDArray[np.int64]:
    """The sign of each exponent where it is beyond three standard errors and rounding, else 0."""
    doubt = np.where(np.isnan(errors), 0.0, np.maximum(3 * errors, 1e-10))
    return np.where(np.abs(exponents) > doubt, np.sign(exponents), 0).astype(np.int64)


def _kaplan_yorke(exponents: Array, d: int) -> float:
    if np.isnan(exponents).any():
        return np.nan
    sums = np.cumsum(exponents)
    j = int((sums >= 0).sum())  # partial sums of a descending sequence rise and then fall
    if j == len(exponents):
        return float(d) if j == d else np.nan
    return j + (float(sums[j - 1] / -exponents[j]) if j else 0.0)


def lyapunov_spectrum(
    system: System,
    x0: Any,
    *,
    depth: int | None = None,
    n_exponents: int | None = None,
    transient: int = 0,
    dynamics: str = "map",
    reorthonormalise: int | None = None,
    inputs: Any = None,
    rng: np.random.Generator | int = 0,
    rtol: float | None = None,
    atol: float | None = None,
    method: str | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> LyapunovSpectrum:
    r"""Lyapunov exponents of the residual map, or of its flow, along the orbits of one or many states.

    .. math:: \lambda_i = \lim_{T\to\infty} \frac{1}{T h} \sum_{k<T} \log (R_k)_{ii},
              \qquad (I + hA_k)\,Q_k = Q_{k+1} R_k

    A random orthonormal frame is carried along each orbit, by :math:`I + hA_k` or by the variational equation of the
    flow, and made orthonormal again (QR method, [benettin1980]_, [shimada1979]_).

    Parameters
    ----------
    system : System
        Any. Systems from matrices and formulas run in compiled kernels, others in NumPy or SciPy, by ``jacobian`` where
        the system has one and by ``linearize`` where not.
    x0 : array, shape (\*batch, \*shape)
        Initial states, at layer 0.
    depth : int, optional
        Layers to average over. None takes all layers of a layer-wise system or of a drive.
    n_exponents : int, optional
        k, the number of exponents from the largest on; by default all d.
    transient : int
        Layers from layer 0 that come first. The frame is carried through them too, so that it has turned into the
        directions of the orbit when the average begins; the initial directions count otherwise, with a weight of
        1/``depth``. A layer-wise system has only so many layers: transient and depth share them.
    dynamics : "map" or "flow"
    reorthonormalise : int, optional
        Layers between two QR steps. By default as many as accuracy allows: each logarithm is then good to about 1e-10;
        in a flow one layer.
    inputs : array, shape (T, N) or (T, \*batch, N), optional
        A drive, as in :func:`resdyn.simulate`; the exponents are then conditional on it.
    rng : numpy Generator or seed
        For the initial frame.
    rtol, atol : float
        Tolerances of a flow (default 1e-6 and 1e-9). They hold for the state and for the vectors.
    method : str
        ODE method of a flow: "RK45" (the default, compiled where the system is), "DOP853", "Radau", ….
    threads : int, optional
        At most so many threads.
    progress : bool
        Show a progress bar.

    Returns
    -------
    LyapunovSpectrum
        Divergence is an outcome: NaN exponents and a status, without effect on the other orbits.

    Raises
    ------
    TypeError, ValueError
        For wrong shapes, types or names, or more exponents than dimensions.
    MemoryError
        If frames and estimates cannot fit.

    Notes
    -----
    A stretching factor that is lost in rounding, below 8dε of what the vector measured before the directions ahead
    of it were taken out, counts as 0: the exponent is −∞, and the map singular to working precision. The QR method
    finds exponents in descending order only in the limit; they are sorted by value.
    """
    request = _request(system, x0, depth, transient, dynamics, inputs, rtol, atol, method, threads, progress)
    d, size = int(np.prod(system.shape)), len(request.states)
    k = _n_exponents(n_exponents, d)
    every = None if reorthonormalise is None else validate.count(reorthonormalise, "reorthonormalise", least=1)
    n_layers = request.total - request.transient
    stops = request.transient + _record_layers(n_layers, size * k)
    _memory.require(
        8 * size * k * (3 * d + 2 * len(stops)),
        f"{k} tangent vectors of {d} components for each of {size} states",
        "ask for fewer exponents (n_exponents=), or for fewer states at a time",
    )
    frame = tangents.orthonormal_frame(d, k, _generator(rng))
    frames = np.broadcast_to(frame, (size, k, d)).copy()
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        logs, status = _logarithms(request, frames, stops, every)
        summed = np.cumsum(logs, axis=0)
    t = (stops - request.transient) * system.step
    running = summed / t[:, None, None]
    running[:, status != 0] = np.nan
    order = np.argsort(-running[-1], axis=-1, kind="stable")
    error = _standard_error(logs, np.diff(stops, prepend=request.transient) * system.step, n_layers)
    error[status != 0] = np.nan
    return LyapunovSpectrum(
        exponents=np.take_along_axis(running[-1], order, axis=-1).reshape(*request.batch, k),
        standard_error=np.take_along_axis(error, order, axis=-1).reshape(*request.batch, k),
        t=t,
        running=np.take_along_axis(running, order[None], axis=-1).reshape(len(t), *request.batch, k),
        status=status.reshape(request.batch),
        system=system,
        dynamics=dynamics,
        depth=n_layers,
        transient=request.transient,
    )


def _request(
    system: System,
    x0: Any,
    depth: Any,
    transient: Any,
    dynamics: Any,
    inputs: Any,
    rtol: Any,
    atol: Any,
    method: Any,
    threads: Any,
    progress: bool,
) -> Request:
    """The arguments that :func:`resdyn.simulate` has too, checked as there."""
    is_map = validate.dynamics(dynamics, rtol=rtol, atol=atol, method=method) == "map"
    request = make_request(
        system,
        x0,
        depth=depth,
        method="residual" if is_map else validate.choice("RK45" if method is None else method, "method", FLOWS),
        save="final",
        transient=transient,
        inputs=inputs,
        noise=0.0,
        rng=None,
        dtype=None,
        progress=progress,
        rtol=rtol,
        atol=atol,
        threads=threads,
    )
    if request.total == request.transient:
        raise ValueError("exponents are averages over layers; give depth of at least 1.")
    return request


def _n_exponents(n_exponents: Any, d: int) -> int:
    if n_exponents is None:
        return d
    k = validate.count(n_exponents, "n_exponents", least=1)
    if k > d:
        raise ValueError(f"n_exponents = {k}, but states have {d} variables, so there are {d} exponents at most.")
    return k


def _generator(rng: Any) -> np.random.Generator:
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise TypeError(f"rng must be a numpy Generator or a seed (an int), but is {rng!r}.") from None


def _record_layers(depth: int, numbers: int) -> NDArray[np.int64]:
    """The layers of the running estimates: a hundred, or twenty of a very large batch."""
    n = min(depth, _RECORDS if numbers * _RECORDS <= _MOST_RECORDED else _BLOCKS)
    return np.arange(1, n + 1) * depth // n


def _standard_error(logs: Array, durations: Array, depth: int) -> Array:
    """Batch means over blocks of records, shape (M, k)."""
    if depth < _BLOCKS * _LAYERS_PER_BLOCK:
        return np.full(logs.shape[1:], np.nan)
    sums = logs.reshape(_BLOCKS, -1, *logs.shape[1:]).sum(axis=1)
    means = sums / durations.reshape(_BLOCKS, -1).sum(axis=1)[:, None, None]
    with np.errstate(invalid="ignore"):  # −∞ has no error
        return np.asarray(means.std(axis=0, ddof=1) / np.sqrt(_BLOCKS))


# --- the logarithms of the stretching factors ---------------------------------------------------------


def _logarithms(
    request: Request, frames: Array, stops: NDArray[np.int64], every: int | None
) -> tuple[Array, NDArray[np.uint8]]:
    """Their sums up to each stop, shape (n_stops, M, k), without those of the transient, and the status."""
    # the transient is one more record, in front
    all_stops = np.concatenate([[request.transient], stops])
    form = request.form
    if form is None or not form.carries_tangents(frames.shape[1]):
        logs, states, status = _uncompiled(request, frames, all_stops, every)
    else:
        states, status = request.states.copy(), np.zeros(len(frames), dtype=np.uint8)
        logs = np.zeros((len(all_stops), *frames.shape[:2]))
        # with a bar the kernel is called record by record
        pieces = [slice(i, i + 1) for i in range(len(all_stops))] if request.progress else [slice(None)]
        before = 0
        for piece in _bar(request, pieces):
            _compiled(request, states, frames, logs[piece], status, before, all_stops[piece], every)
            before = int(all_stops[piece][-1])
    status[(status == 0) & _left_the_numbers(states, request.system)] = Status.DIVERGED
    return logs[1:], status


def _left_the_numbers(states: Array, system: System) -> Array:
    """Which states are not finite."""
    bad = np.isnan(states) if getattr(system, "infinite_states", False) else ~np.isfinite(states)
    return np.asarray(bad.reshape(len(states), -1).any(axis=1))


def _bar(request: Request, pieces: Sequence[slice]) -> Iterable[slice]:
    if not request.progress:
        return pieces
    from tqdm.auto import tqdm

    return tqdm(pieces, desc=request.system.name, unit="record")


def _compiled(
    request: Request,
    states: Array,
    frames: Array,
    logs: Array,
    status: NDArray[np.uint8],
    first: int,
    stops: NDArray[np.int64],
    every: int | None,
) -> None:
    """By the kernels; states, frames, logs and status are left in place."""
    assert request.form is not None
    if request.is_map:
        gaps = np.diff(stops, prepend=first)
        adaptive = -1 if every is None else every
        request.form.iterate_tangents(states, frames, logs, gaps, first=first, every=adaptive, threads=request.threads)
        return
    layers = np.arange(first + 1, stops[-1] + 1)
    if not layers.size:
        return
    record = np.searchsorted(stops, layers)
    begins = np.concatenate([[first], stops])[record]
    qr = ((layers - begins) % (every or 1) == 0) | np.isin(layers, stops)
    ends = layers if tangents.piecewise(request) else layers[qr]
    marks = np.where(qr, record, -1) if tangents.piecewise(request) else record[qr]
    tangents.integrate(request, states, frames, logs, status, first, ends, marks)


def _uncompiled(
    request: Request, frames: Array, stops: NDArray[np.int64], every: int | None
) -> tuple[Array, Array, NDArray[np.uint8]]:
    """By NumPy, or SciPy for flows, where a step over several layers is as good as one."""
    logs = np.zeros((len(stops), *frames.shape[:2]))
    states, status = request.states, np.zeros(len(frames), dtype=np.uint8)
    carry = tangents.simulated_carry(request)
    factors = tangents.triangular_factors(carry, states, frames, 0, stops, every if request.is_map or every else 1)
    for index, R, states, _, status in factors:  # noqa: B007  the last ones are wanted
        logs[index] += np.log(np.diagonal(R, axis1=1, axis2=2))
    return logs, states, status


# --- finitely many layers -----------------------------------------------------------------------------

# beyond this many variables the tangent map is not formed
_LARGEST_DENSE = 512


@dataclass(frozen=True, eq=False, repr=False)
class FiniteTimeExponents(Result):
    r"""Logarithms of the singular values of tangent maps, per unit t; what :func:`finite_time_exponents` returns.

    Attributes
    ----------
    exponents : array, shape (\*batch, k)
        :math:`\frac1T\log\sigma_i`, descending; −∞ where the map is singular, NaN for orbits that diverged.
    directions : array, shape (\*batch, k, \*shape)
        Right singular vectors: the perturbation of the first state that grows at each rate, of length one.
    status : array, shape (\*batch,)
        :class:`resdyn.Status` of each orbit.
    system : System
    dynamics : str
        "map" or "flow".
    depth, transient : int
        Layers of the tangent map, and layers before them.
    """

    exponents: Array
    directions: Array
    status: Array
    system: System
    dynamics: str
    depth: int
    transient: int

    @property
    def batch(self) -> tuple[int, ...]:
        """The batch axes; () for one orbit."""
        return self.exponents.shape[:-1]

    @property
    def horizon(self) -> float:
        """T, the depth-time of the tangent map."""
        return self.depth * self.system.step

    @property
    def singular_values(self) -> Array:
        r"""σ, shape (\*batch, k): how much a perturbation along each direction grows in all."""
        with np.errstate(over="ignore"):
            return np.exp(self.horizon * self.exponents)

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` with the variables exponents, directions and status."""
        batch = batch_dims(len(self.batch))
        return dataset(
            {
                "exponents": ([*batch, "exponent"], self.exponents),
                "directions": ([*batch, "exponent", *unit_dims(len(self.system.shape))], self.directions),
                "status": (batch, self.status),
            },
            attrs={
                "system": self.system.name,
                "dynamics": self.dynamics,
                "depth": self.depth,
                "transient": self.transient,
                "step": self.system.step,
            },
        )

    def __repr__(self) -> str:
        k, good = self.exponents.shape[-1], self.status == Status.OK
        states = f"{self.status.size} states, " if self.batch else ""
        lost = "" if good.all() else f"; {int((~good).sum())} lost"
        head = (
            f"FiniteTimeExponents of {self.system.name!r} ({self.dynamics}): {states}{k} per state, over {self.depth} "
            f"layers (t = {self.horizon:g})"
        )
        if not good.any():
            return f"{head}; all lost."
        largest = self.exponents[..., 0][good]
        rates = f"{largest.min():.3g}" + ("" if not self.batch else f" to {largest.max():.3g}")
        grows = f"the most sensitive direction grows by a factor of {np.exp(largest.max() * self.horizon):.3g}"
        return f"{head}; largest {rates}: {grows}{lost}."


def finite_time_exponents(
    system_or_trajectory: "System | Trajectory",
    x0: Any = None,
    *,
    depth: int | None = None,
    n_exponents: int | None = None,
    transient: int = 0,
    dynamics: str = "map",
    inputs: Any = None,
    rtol: float | None = None,
    atol: float | None = None,
    method: str | None = None,
    threads: int | None = None,
) -> FiniteTimeExponents:
    r"""How fast perturbations of a state grow over finitely many layers, and which ones.

    .. math:: \lambda_i = \frac{1}{T} \log \sigma_i\left(\frac{\partial x(t_0 + T)}{\partial x(t_0)}\right)

    with the singular values σ of the tangent map, for a network those of the Jacobian of its last state with respect to
    its first. The map is kept as a product of triangular factors with a power of two for each row, and its singular
    values are found by one-sided Jacobi [demmel1992]_: also those are accurate that are 10¹⁶ and more times smaller than
    the largest one.

    Parameters
    ----------
    system_or_trajectory : System or Trajectory
        A trajectory must hold all layers of a map; then the other arguments, except ``n_exponents`` and ``threads``,
        are known from it.
    x0 : array, shape (\*batch, \*shape)
        States at layer 0.
    depth : int, optional
        Layers of the tangent map; None takes all layers of a layer-wise system or of a drive.
    n_exponents : int, optional
        k, from the largest on; by default all d, which needs d ≤ 512. For more variables the k largest are found by
        ``scipy.sparse.linalg.svds`` (maps only); their error is about 1e-16 of the largest singular value.
    transient : int
        Layers that come before the tangent map.
    dynamics, inputs, rtol, atol, method, threads
        As in :func:`lyapunov_spectrum`.

    Returns
    -------
    FiniteTimeExponents

    Raises
    ------
    TypeError, ValueError
        For wrong shapes, types or names, arguments that contradict a trajectory, or layers that it did not save.
    MemoryError
        If the tangent maps cannot fit.
    """
    from resdyn.trajectory import Trajectory

    if isinstance(system_or_trajectory, Trajectory):
        given = {"x0": x0, "depth": depth, "inputs": inputs, "rtol": rtol, "atol": atol, "method": method}
        _refuse([name for name, value in given.items() if value is not None], transient, dynamics)
        return _of_trajectory(system_or_trajectory, n_exponents, threads)
    system = system_or_trajectory
    if x0 is None and isinstance(system, System):
        raise TypeError("finite_time_exponents of a system needs x0, its initial states; only a trajectory has them.")
    request = _request(system, x0, depth, transient, dynamics, inputs, rtol, atol, method, threads, False)
    d, size = int(np.prod(system.shape)), len(request.states)
    k = _n_exponents(n_exponents, d)
    if d > _LARGEST_DENSE:
        return _of_many_variables(request, k, dynamics)
    _require_square(size, d)
    carry = tangents.make_carry(request, d)
    states, frames, status = request.states, np.zeros((size, 0, d)), np.zeros(size, dtype=np.uint8)
    with np.errstate(over="ignore", invalid="ignore"):
        if transient:
            states, frames, status = carry(states, np.broadcast_to(np.eye(d), (size, d, d)), 0, request.transient)
        stops = np.array([request.total])
        logs, directions, end, later = _singular(carry, states, request.transient, stops, request.threads)
    status = np.where(status == 0, later, status)
    status[(status == 0) & _left_the_numbers(end, system)] = Status.DIVERGED
    n_layers = request.total - request.transient
    return _result(logs, directions, status, request.batch, k, system, dynamics, n_layers, request.transient)


def _refuse(given: list[str], transient: int, dynamics: str) -> None:
    if transient:
        given.append("transient")
    if dynamics != "map":
        given.append("dynamics")
    if given:
        raise TypeError(f"{given[0]} is known from the trajectory; pass a system to choose it, or leave it out.")


def _require_square(size: int, d: int) -> None:
    _memory.require(8 * 6 * size * d * d, f"{d}×{d} tangent maps of {size} states", "pass fewer states at a time")


def _result(
    logs: Array,
    directions: Array,
    status: Array,
    batch: tuple[int, ...],
    k: int,
    system: System,
    dynamics: str,
    depth: int,
    transient: int,
) -> FiniteTimeExponents:
    exponents = logs[:, :k] / (depth * system.step)
    exponents[status != 0] = np.nan
    vectors = directions[:, :k].copy()
    vectors[status != 0] = np.nan
    return FiniteTimeExponents(
        exponents=exponents.reshape(*batch, k),
        directions=vectors.reshape(*batch, k, *system.shape),
        status=status.reshape(batch),
        system=system,
        dynamics=dynamics,
        depth=depth,
        transient=transient,
    )


def _singular(
    carry: tangents.Carry, states: Array, first: int, stops: NDArray[np.int64], threads: int | None
) -> tuple[Array, Array, Array, NDArray[np.uint8]]:
    """Logarithms of all singular values, right singular vectors as rows, last states, and status."""
    from resdyn.kernels.graded_svd import graded_svd

    size, d = len(states), int(np.prod(states.shape[1:]))
    # a random first frame, so that the triangular factors are graded as the singular values are
    frame = tangents.orthonormal_frame(d, d, np.random.default_rng(0))
    product = tangents.GradedProduct(size, d)
    status = np.zeros(size, dtype=np.uint8)
    frames = np.broadcast_to(frame, (size, d, d)).copy()
    for _, R, states, _, status in tangents.triangular_factors(carry, states, frames, first, stops, None):  # noqa: B007
        product.multiply(R)
    logs, vectors = graded_svd(product.rows, product.powers, threads=threads)
    return logs, vectors @ frame, states, status


def _of_trajectory(trajectory: "Trajectory", n_exponents: Any, threads: Any) -> FiniteTimeExponents:
    """From the saved states of a map."""
    from resdyn.tangent import block_weight, saved_layers

    system = trajectory.system
    d, size = int(np.prod(system.shape)), int(np.prod(trajectory.batch))
    k = _n_exponents(n_exponents, d)
    slots = saved_layers(trajectory, 0, None)
    if not slots.size:
        raise ValueError("exponents are averages over layers, but the trajectory has only one; simulate at least two.")
    if d > _LARGEST_DENSE:
        raise ValueError(
            f"states have {d} variables, and trajectories are taken up to {_LARGEST_DENSE}; pass the system and x0 "
            "with n_exponents, or use scipy.sparse.linalg.svds(resdyn.tangent_map(trajectory.sample(...)), k)."
        )
    _require_square(size, d)

    def carry(states: Array, frames: Array, first: int, n: int) -> tuple[Array, Array, NDArray[np.uint8]]:
        for slot in slots[first : first + n]:
            x = trajectory.x[slot].reshape(size, *system.shape)
            inputs, drive = trajectory.inputs_at(slot), {}
            if inputs is not None:
                drive["inputs"] = inputs if inputs.ndim == 1 else inputs.reshape(size, -1)
            t = float(trajectory.t[slot])
            frames = frames + block_weight(trajectory, t) * tangents.jacobian_products(system, t, x, frames, **drive)
        return states, frames, np.zeros(size, dtype=np.uint8)

    with np.errstate(over="ignore", invalid="ignore"):
        start = trajectory.x[slots[0]].reshape(size, *system.shape)
        logs, directions, _, _ = _singular(carry, start, 0, np.array([len(slots)]), threads)
    return _result(
        logs,
        directions,
        trajectory.status.ravel(),
        trajectory.batch,
        k,
        system,
        "map",
        len(slots),
        trajectory.transient,
    )


def _of_many_variables(request: Request, k: int, dynamics: str) -> FiniteTimeExponents:
    """The k largest singular values of tangent maps that are not formed."""
    from scipy.sparse.linalg import svds

    from resdyn.simulation import simulate
    from resdyn.tangent import tangent_map

    system, d = request.system, int(np.prod(request.system.shape))
    if not request.is_map or k >= d or request.inputs is not None:
        raise ValueError(
            f"states have {d} variables; above {_LARGEST_DENSE} the largest exponents of maps are found one by one: "
            "pass n_exponents, a small number, and dynamics='map' without inputs."
        )
    logs, status = np.full((len(request.states), k), np.nan), np.zeros(len(request.states), dtype=np.uint8)
    directions = np.full((len(request.states), k, d), np.nan)
    start = np.random.default_rng(0).standard_normal(d)
    depth = request.total - request.transient
    for i, state in enumerate(request.states):
        trajectory = simulate(system, state, depth=depth, transient=request.transient)
        status[i] = trajectory.status
        if status[i] == Status.OK:
            _, values, vectors = svds(tangent_map(trajectory), k, v0=start)
            logs[i], directions[i] = np.log(values[::-1]), vectors[::-1]
    return _result(logs, directions, status, request.batch, k, system, dynamics, depth, request.transient)
