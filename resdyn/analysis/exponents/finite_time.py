r"""How fast perturbations grow over finitely many layers: singular values of tangent maps."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _memory
from resdyn._request import Request
from resdyn._results import Result, batch_dims, dataset, unit_dims
from resdyn._types import Status, System
from resdyn.analysis.exponents import tangents
from resdyn.simulation import simulate
from resdyn.tangent import block_weight, saved_layers, tangent_map
from resdyn.trajectory import Trajectory

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

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
    system_or_trajectory: System | Trajectory,
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
    values are found by one-sided Jacobi [demmel1992]_: also those that are 10¹⁶ and more times smaller than the largest
    one have their digits, with errors of the logarithm of some 1e-10.

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
        ``scipy.sparse.linalg.svds`` (maps only); their error is about the rounding error of the largest
        singular value, 1e-16 of it, or 1e-7 for a network in float32.
    transient : int
        Layers that come before the tangent map.
    dynamics, inputs, rtol, atol, method, threads
        As in :func:`resdyn.lyapunov_spectrum`.

    Returns
    -------
    FiniteTimeExponents

    Notes
    -----
    Backward stable: as if the Jacobian of each layer were off by ε of its norm. A value that is lost against the
    largest within a single layer comes out as −∞ (maps), or as NaN where the tolerances of a flow do not resolve it:
    then take a smaller step.

    Raises
    ------
    TypeError, ValueError
        For wrong shapes, types or names, arguments that contradict a trajectory, or layers that it did not save.
    MemoryError
        If the tangent maps cannot fit.
    """
    if isinstance(system_or_trajectory, Trajectory):
        given = {"x0": x0, "depth": depth, "inputs": inputs, "rtol": rtol, "atol": atol, "method": method}
        _refuse([name for name, value in given.items() if value is not None], transient, dynamics)
        return _of_trajectory(system_or_trajectory, n_exponents, threads)
    system = system_or_trajectory
    if x0 is None and isinstance(system, System):
        raise TypeError("finite_time_exponents of a system needs x0, its initial states; only a trajectory has them.")
    request = tangents.tangent_request(
        system, x0, depth, transient, dynamics, inputs, rtol, atol, method, threads, False
    )
    d, size = int(np.prod(system.shape)), len(request.states)
    k = tangents.exponent_count(n_exponents, d)
    if d > _LARGEST_DENSE:
        return _of_many_variables(request, k, dynamics)
    _require_square(size, d)
    carry = tangents.make_carry(request, d)
    states, status = request.states, np.zeros(size, dtype=np.uint8)
    with np.errstate(over="ignore", invalid="ignore"):
        if transient:
            states, status = _after_transient(request)
        stops = np.array([request.total])
        # vectors of a flow are known to its tolerances only, so none may shrink for more than a layer
        every = None if request.is_map else 1
        logs, directions, end, later = _singular(carry, states, request.transient, stops, request.threads, every)
    status = np.where(status == 0, later, status)
    status[(status == 0) & tangents.left_the_numbers(end, system)] = Status.DIVERGED
    n_layers = request.total - request.transient
    found = _result(logs, directions, status, request.batch, k, system, dynamics, n_layers, request.transient)
    if not request.is_map:
        found.exponents[~tangents.resolved(found.exponents, 1, request)] = np.nan
    return found


def _after_transient(request: Request) -> tuple[Array, NDArray[np.uint8]]:
    """The states where the tangent map begins."""
    inputs = request.inputs
    if inputs is not None and inputs.ndim > 2:
        inputs = inputs.reshape(len(inputs), *request.states.shape)
    tolerances: dict[str, Any] = {} if request.is_map else {"rtol": request.rtol, "atol": request.atol}
    end = simulate(
        request.system,
        request.states,
        depth=request.transient,
        method=request.method,
        save="final",
        inputs=inputs,
        threads=request.threads,
        **tolerances,
    )
    return end.final, end.status


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
    unknown = np.isnan(logs).any(axis=-1) | np.isposinf(logs).any(axis=-1)
    status = np.where((status == 0) & unknown, Status.FAILED, status).astype(np.uint8)
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
    carry: tangents.Carry,
    states: Array,
    first: int,
    stops: NDArray[np.int64],
    threads: int | None,
    every: int | None = None,
) -> tuple[Array, Array, Array, NDArray[np.uint8]]:
    """Logarithms of all singular values, right singular vectors as rows, last states, and status."""
    from resdyn.kernels.graded_svd import graded_svd

    size, d = len(states), int(np.prod(states.shape[1:]))
    # a random first frame, so that the triangular factors are graded as the singular values are
    frame = tangents.orthonormal_frame(d, d, np.random.default_rng(0))
    product = tangents.GradedProduct(size, d)
    status = np.zeros(size, dtype=np.uint8)
    frames = np.broadcast_to(frame, (size, d, d)).copy()
    end = states
    for _, R, end, _, status in tangents.triangular_factors(carry, states, frames, first, stops, every):  # noqa: B007
        product.multiply(R)
    logs, vectors = graded_svd(product.rows, product.powers, threads=threads)
    return logs, vectors @ frame, end, status


def _of_trajectory(trajectory: Trajectory, n_exponents: Any, threads: Any) -> FiniteTimeExponents:
    """From the saved states of a map."""
    system = trajectory.system
    d, size = int(np.prod(system.shape)), int(np.prod(trajectory.batch))
    k = tangents.exponent_count(n_exponents, d)
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
    from scipy.sparse.linalg import ArpackError, svds

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
            try:
                tangent = tangent_map(trajectory)
                _, values, vectors = svds(tangent, k, v0=start.astype(tangent.dtype))
            except ArpackError as error:
                raise ValueError(
                    f"the singular values over {depth} layers leave the range in which svds can work ({error}); "
                    "ask for fewer layers."
                ) from None
            logs[i], directions[i] = np.log(values[::-1]), vectors[::-1]
    return _result(logs, directions, status, request.batch, k, system, dynamics, depth, request.transient)
