r"""Covariant Lyapunov vectors: the directions that grow at each Lyapunov exponent.

The frames of the QR method span the right subspaces, but only their first vector is carried by the dynamics. With
:math:`V_n = Q_n C_n` and :math:`(I + hA_n)Q_n = Q_{n+1}R_n` a frame V is covariant, :math:`(I + hA_n)V_n = V_{n+1}D_n`
with a diagonal D, if (:eq:`covariant-coordinates`)

.. math:: C_{n+1} = R_n C_n D_n^{-1}.

Forward every upper triangular C loses all but its first direction. Backward, :math:`C_n = R_n^{-1}C_{n+1}D_n`, its j-th
column tends to the direction that grows slowest backward, which is the j-th covariant vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _memory
from resdyn import _validation as validate
from resdyn._request import Request
from resdyn._results import Result, batch_dims, dataset, unit_dims
from resdyn._types import Status, System
from resdyn.analysis.exponents import tangents
from resdyn.analysis.exponents.frames import stretches

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

# vectors that still turn by more than this with the random ones they came from are named in the text of a result
_SETTLED = 1e-3


@dataclass(frozen=True, eq=False, repr=False)
class CovariantVectors(Result):
    r"""Covariant Lyapunov vectors along one or many orbits; what :func:`covariant_vectors` returns.

    Attributes
    ----------
    t : array, shape (n_saved,)
        Depth-times of the saved layers, kh.
    x : array, shape (n_saved, \*batch, \*shape)
        The states there.
    vectors : array, shape (n_saved, \*batch, k, \*shape)
        Of length one, in the order of the exponents; the sign is arbitrary. NaN where the map is singular to rounding
        in a direction (exponent −∞), for it and those behind it, and for orbits that diverged.
    exponents : array, shape (\*batch, k)
        Lyapunov exponents over the layers from the first to the last saved one, per unit t, from triangular factors.
        −∞ where a layer is singular to rounding: what it leaves of a direction is below the rounding errors of the
        others. A true factor that is as small, such as 1e-20 beside 1, cannot be told from 0.
    local_exponents : array, shape (n_saved − 1, \*batch, k)
        The rates at which each covariant vector grows from one saved layer to the next, per unit t.
    settling_errors : array, shape (\*batch, k)
        How far each vector still depends on the random ones that it came from, as an angle in [0, π/2]: the larger one
        of those between two random frames, carried through the transient, at the first saved layer (between the
        subspaces of the first j vectors), and between two random coordinates, carried back, at the last one. A sample
        of the error, no bound. In a flow a second frame would have an orbit of its own, by the choice of steps: there
        the former one is :math:`e^{-(\lambda_j - \lambda_{j+1})t}` over the transient (:eq:`covariant-convergence`),
        and NaN for the last vector of fewer than all.
    status : array, shape (\*batch,)
        :class:`resdyn.Status` of each orbit.
    system : System
    dynamics : str
        "map" or "flow".
    depth, transient, backward : int
        Layers between the first and the last saved one, before them, and after them.
    """

    t: Array
    x: Array
    vectors: Array
    exponents: Array
    local_exponents: Array
    settling_errors: Array
    status: Array
    system: System
    dynamics: str
    depth: int
    transient: int
    backward: int

    @property
    def batch(self) -> tuple[int, ...]:
        """The batch axes; () for one orbit."""
        return self.status.shape

    @property
    def _flat(self) -> Array:
        """The vectors of shape (n_saved, *batch, k, d)."""
        return self.vectors.reshape(*self.vectors.shape[: 2 + len(self.batch)], -1)

    @cached_property
    def angles(self) -> Array:
        r"""The angle between each two vectors, in [0, π/2], shape (n_saved, \*batch, k, k)."""
        v = self._flat
        apart = np.linalg.norm(v[..., :, None, :] - v[..., None, :, :], axis=-1)
        along = np.linalg.norm(v[..., :, None, :] + v[..., None, :, :], axis=-1)
        # the cosine would lose half of the digits of a small angle
        return 2 * np.arctan2(np.minimum(apart, along), np.maximum(apart, along))

    def angle_between(self, first: Sequence[int], second: Sequence[int]) -> Array:
        r"""Principal angles between the subspaces that two groups of vectors span, ascending, in [0, π/2].

        Parameters
        ----------
        first, second : list of int
            Indices of vectors, from 0; e.g. those with positive exponents and those with negative ones. The smallest
            angle is 0 at a tangency.

        Returns
        -------
        array, shape (n_saved, \*batch, m), m the size of the smaller group
        """
        k = self.exponents.shape[-1]
        groups = [[validate.count(i, "an index of a vector") for i in group] for group in (first, second)]
        for group in groups:
            if not group or len(set(group)) < len(group) or max(group) >= k:
                raise ValueError(f"a group must hold indices of the {k} vectors, each once, but is {group}.")
        v = self._flat
        good = np.isfinite(v[..., groups[0] + groups[1], :]).all(axis=(-1, -2))
        found = np.full((*good.shape, min(map(len, groups))), np.nan)
        bases = [np.linalg.qr(np.swapaxes(v[good][:, group], 1, 2))[0] for group in sorted(groups, key=len)]
        small, large = bases
        mixed = np.swapaxes(large, 1, 2) @ small
        cosines = np.linalg.svd(mixed, compute_uv=False)
        sines = np.linalg.svd(small - large @ mixed, compute_uv=False)[:, ::-1]
        # each where it has its digits
        angles = np.where(cosines**2 < 0.5, np.arccos(np.clip(cosines, 0, 1)), np.arcsin(np.clip(sines, 0, 1)))
        found[good] = angles
        return found

    def sample(self, *index: int) -> "CovariantVectors":
        """Those of one orbit of the batch: ``sample(3)``, or ``sample(2, 0)`` of a two-axis batch."""
        if len(index) != len(self.batch):
            raise IndexError(
                f"the batch has shape {self.batch}, so sample takes {len(self.batch)} indices; got {index}."
            )
        along: tuple[Any, ...] = (slice(None), *index)
        return replace(
            self,
            x=self.x[along],
            vectors=self.vectors[along],
            exponents=self.exponents[index],
            local_exponents=self.local_exponents[along],
            settling_errors=self.settling_errors[index],
            status=np.asarray(self.status[index]),
        )

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset``: x, vectors, exponents, local_exponents, settling_errors and status."""
        batch, units = batch_dims(len(self.batch)), unit_dims(len(self.system.shape))
        return dataset(
            {
                "x": (["t", *batch, *units], self.x),
                "vectors": (["t", *batch, "exponent", *units], self.vectors),
                "exponents": ([*batch, "exponent"], self.exponents),
                "local_exponents": (["interval", *batch, "exponent"], self.local_exponents),
                "settling_errors": ([*batch, "exponent"], self.settling_errors),
                "status": (batch, self.status),
            },
            coords={"t": self.t},
            attrs={
                "system": self.system.name,
                "dynamics": self.dynamics,
                "depth": self.depth,
                "transient": self.transient,
                "backward": self.backward,
                "step": self.system.step,
            },
        )

    def __repr__(self) -> str:
        k, d = self.exponents.shape[-1], int(np.prod(self.system.shape))
        head = (
            f"CovariantVectors of {self.system.name!r} ({self.dynamics}): {k} of {d} vectors at {len(self.t)} layers, "
            f"t = {self.t[0]:g} to {self.t[-1]:g}"
        )
        if self.batch:
            lost = int((self.status != Status.OK).sum())
            return f"{head}; {self.status.size} orbits{f', {lost} lost' if lost else ''}."
        if self.status != Status.OK:
            return f"{head}; the orbit {Status(int(self.status)).name.lower()}."
        exponents = ", ".join(f"{value:.4g}" for value in self.exponents[:6]) + (", …" if k > 6 else "")
        return f"{head}; exponents {exponents}.{self._angles_in_words()}{self._settling_in_words()}"

    def _settling_in_words(self) -> str:
        with np.errstate(invalid="ignore"):
            loose = np.flatnonzero(self.settling_errors > _SETTLED)
        if not loose.size:
            return ""
        named = ", ".join(str(j + 1) for j in loose[:6]) + (", …" if loose.size > 6 else "")
        return (
            f" Not settled: vector{'s' * (loose.size > 1)} {named} (by up to "
            f"{np.degrees(self.settling_errors[loose].max()):.2g}°); take a longer transient and backward run, or "
            "compare subspaces where exponents are equal."
        )

    def _angles_in_words(self) -> str:
        if self.exponents.shape[-1] < 2 or not np.isfinite(self.angles).all():
            return ""
        first, last = self.angles[..., 0, -1], self.angles.shape[-1]
        return (
            f" Angle between vectors 1 and {last}: {np.degrees(first.min()):.3g}° to {np.degrees(first.max()):.3g}°, "
            f"median {np.degrees(np.median(first)):.3g}°."
        )


def covariant_vectors(
    system: System,
    x0: Any,
    *,
    depth: int,
    n_vectors: int | None = None,
    transient: int = 1000,
    backward: int = 1000,
    save: int = 1,
    dynamics: str = "map",
    rng: np.random.Generator | int = 0,
    rtol: float | None = None,
    atol: float | None = None,
    method: str | None = None,
    threads: int | None = None,
) -> CovariantVectors:
    r"""Covariant Lyapunov vectors along orbits, by the algorithm of [ginelli2007]_.

    .. math:: (I + hA_n)\,v_j(n) = d_j(n)\,v_j(n+1), \qquad
              \lambda_j = \lim_{T\to\infty}\frac{1}{Th}\sum_n\log|d_j(n)|

    An orthonormal frame is carried forward and its triangular factors are kept; random coordinates are carried backward
    by their inverses from beyond the last layer.

    Parameters
    ----------
    system : System
        Autonomous.
    x0 : array, shape (\*batch, \*shape)
        Initial states, at layer 0.
    depth : int
        Layers from the first to the last with vectors.
    n_vectors : int, optional
        k, the number of vectors from the largest exponent on; by default all.
    transient : int
        Layers first, in which the frames turn into the directions of the orbit.
    backward : int
        Layers after the last one with vectors, on the same orbit, in which the coordinates turn into those of the
        covariant vectors on the way back. Both turn at the differences of neighbouring exponents,
        :math:`e^{-(\lambda_j - \lambda_{j+1})t}`.
    save : int
        Keep the vectors of every ``save``-th layer, and of the last one.
    dynamics : "map" or "flow"
    rng : numpy Generator or seed
        For the first frame and the last coordinates.
    rtol, atol, method
        Of a flow, as in :func:`resdyn.lyapunov_spectrum`.
    threads : int, optional
        At most so many threads.

    Returns
    -------
    CovariantVectors
        Divergence is an outcome: NaN and a status, without effect on the other orbits.

    Raises
    ------
    TypeError, ValueError
        For wrong shapes, types or names, and for layer-wise systems, whose layers do not repeat.
    MemoryError
        If factors and vectors cannot fit.

    Notes
    -----
    Where exponents are equal (a complex pair of multipliers of a fixed point, for one) only the subspace of their
    vectors is covariant: single vectors inside it are carried into each other as the random coordinates chose, and
    :meth:`CovariantVectors.angle_between` compares subspaces.

    Whether the transient and the run behind were long enough is measured, by a second random frame and second random
    coordinates: see ``settling_errors``.

    In a flow vectors and exponents are NaN where directions contract, against the first, by more within one layer than
    the tolerances resolve: take a smaller step.
    """
    validate.autonomous(system, "a covariant vector")
    d = int(np.prod(system.shape))
    k = d if n_vectors is None else validate.count(n_vectors, "n_vectors", least=1)
    if k > d:
        raise ValueError(f"n_vectors = {k}, but states have {d} variables, so there are {d} vectors at most.")
    after, every = validate.count(backward, "backward"), validate.count(save, "save", least=1)
    shown = validate.count(depth, "depth", least=1)
    request = tangents.tangent_request(
        system, x0, shown + after, transient, dynamics, None, rtol, atol, method, threads, progress=False
    )
    size, first = len(request.states), request.transient
    n_saved = -(-shown // every) + 1
    _memory.require(
        8 * size * ((shown + 2 * after) * (k * k + k) + 3 * n_saved * (k + 1) * d) + 2**26,
        f"the factors of {shown + after} layers and {k} vectors of {d} components at {n_saved} of them, for each "
        f"of {size} states",
        "ask for fewer layers, fewer vectors (n_vectors=), or every k-th layer (save=k)",
    )
    layers = np.append(np.arange(0, shown, every), shown)
    rng = validate.generator(rng)
    frame = tangents.orthonormal_frame(d, k, rng)
    factors, x, q, status = _forward(request, np.broadcast_to(frame, (size, k, d)).copy(), first + layers)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exponents = np.log(np.diagonal(factors[:shown], axis1=2, axis2=3)).mean(axis=0) / system.step
        other = factors[shown:].copy()
        last, growth = _backward(factors, rng, request)
        coordinates = np.concatenate([factors, last[None]])[layers] if not after else factors[layers]
        # rows of q are vectors of the frame: V = Q C, column by column
        vectors = np.einsum("nmij,nmid->nmjd", coordinates, q)
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
        errors = np.maximum(
            _forward_error(request, q[0], rng) if request.is_map else _expected_error(request, exponents, d),
            _backward_error(coordinates[-1], other, rng, request),
        )
        local = np.add.reduceat(growth[:shown], layers[:-1]) / (np.diff(layers) * system.step)[:, None, None]
    lost = status != 0
    exponents[lost], vectors[:, lost], local[:, lost], errors[lost] = np.nan, np.nan, np.nan, np.nan
    if not request.is_map:
        exponents[~tangents.resolved(exponents, 1, request)] = np.nan
    # a direction that is lost takes those behind it with it
    unknown = np.logical_or.accumulate(~np.isfinite(exponents), axis=1)
    vectors[:, unknown], local[:, unknown], errors[unknown] = np.nan, np.nan, np.nan
    return CovariantVectors(
        t=(first + layers) * system.step,
        x=x.reshape(len(layers), *request.batch, *system.shape),
        vectors=vectors.reshape(len(layers), *request.batch, k, *system.shape),
        exponents=exponents.reshape(*request.batch, k),
        local_exponents=local.reshape(len(layers) - 1, *request.batch, k),
        settling_errors=errors.reshape(*request.batch, k),
        status=status.reshape(request.batch),
        system=system,
        dynamics=dynamics,
        depth=shown,
        transient=first,
        backward=after,
    )


def _forward(
    request: Request, frames: Array, saved: NDArray[np.int64]
) -> tuple[Array, Array, Array, NDArray[np.uint8]]:
    """Factors of all layers after the transient, states and frames at the saved ones, and the status."""
    size, k, d = frames.shape
    first = request.transient
    factors = np.empty((request.total - first, size, k, k))
    x, q = np.empty((len(saved), size, d)), np.empty((len(saved), size, k, d))
    if not first:
        x[0], q[0] = request.states.reshape(size, d), frames
    status = np.zeros(size, dtype=np.uint8)
    for stretch in stretches(request, frames, np.array([request.total]), keep=True):
        kept = stretch.layers > first
        factors[stretch.layers[kept] - first - 1] = stretch.factors[kept]
        _, here, there = np.intersect1d(saved, stretch.layers, return_indices=True)
        x[here], q[here], status = stretch.x[there], stretch.q[there], stretch.status
    return factors, x, q, status


def _backward(factors: Array, rng: np.random.Generator, request: Request) -> tuple[Array, Array]:
    """The last coordinates, and the logarithms of the growth; the other coordinates replace the factors."""
    from resdyn.kernels.frame_records import carry_backward

    n, size, k, _ = factors.shape
    last = np.triu(rng.standard_normal((k, k)))
    last /= np.linalg.norm(last, axis=0)
    coordinates = np.broadcast_to(last, (size, k, k))
    growth = np.empty((n, size, k))
    carry_backward(factors, coordinates.copy(), growth, request.threads)
    return coordinates, growth


def _forward_error(request: Request, q: Array, rng: np.random.Generator) -> Array:
    """Largest angles between the first j vectors of the frames and those of a second random frame, (size, k)."""
    size, k, d = q.shape
    other = np.broadcast_to(tangents.orthonormal_frame(d, k, rng), q.shape).copy()
    if request.transient:
        for stretch in stretches(request, other, np.array([request.transient]), keep=True):
            other = stretch.q[-1]
    found = np.full((size, k), np.nan)
    good = np.isfinite(q).all(axis=(1, 2)) & np.isfinite(other).all(axis=(1, 2))
    one, two = np.swapaxes(q[good], 1, 2), np.swapaxes(other[good], 1, 2)
    for j in range(1, k + 1):
        # what is left of the second subspace beside the first one: the sine keeps the digits of small angles
        outside = two[..., :j] - one[..., :j] @ (np.swapaxes(one[..., :j], 1, 2) @ two[..., :j])
        sines = np.linalg.svd(outside, compute_uv=False)[:, 0] if j < d else np.zeros(len(one))
        found[good, j - 1] = np.arcsin(np.minimum(sines, 1.0))
    return found


def _expected_error(request: Request, exponents: Array, d: int) -> Array:
    """As :func:`_forward_error`, by the rates at which the frames of a flow converge."""
    gaps = np.full(exponents.shape, np.inf if exponents.shape[1] == d else np.nan)
    gaps[:, :-1] = exponents[:, :-1] - exponents[:, 1:]
    return np.arcsin(np.minimum(np.exp(-gaps * request.transient * request.system.step), 1.0))


def _backward_error(coordinates: Array, factors: Array, rng: np.random.Generator, request: Request) -> Array:
    """Angles between the coordinates at the last layer saved and second random ones carried back to it, (size, k)."""
    last, _ = _backward(factors, rng, request)
    other = factors[0] if len(factors) else last
    apart, along = (np.linalg.norm(coordinates + sign * other, axis=1) for sign in (-1, 1))
    return np.asarray(2 * np.arctan2(np.minimum(apart, along), np.maximum(apart, along)))
