"""How perturbations and noise pass through the layers of a system or a network."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._types import Status, System, TracedNetwork
from resdyn.analysis.perturbations.chains import Chain, Linear, make_chain
from resdyn.analysis.perturbations.propagation import Propagation
from resdyn.analysis.perturbations.rows import Rows

__all__ = ["Propagation", "propagate"]

Array = NDArray[Any]

# numbers in one array of perturbed states (32 MiB); more states are taken one part after another
_AT_ONCE = 2**22
_SAMPLES = 100


def propagate(
    system_or_network: System | TracedNetwork,
    x: Any,
    perturbations: Any = None,
    *,
    input_noise: float = 0.0,
    layer_noise: float = 0.0,
    n_samples: int | None = None,
    depth: int | None = None,
    start: int = 0,
    inputs: Any = None,
    linearized: bool = True,
    norm: float = 2,
    keep: bool = False,
    rng: np.random.Generator | int | None = None,
    threads: int | None = None,
) -> Propagation:
    r"""Follow perturbations, or noise, through the layers: true and linearized.

    .. math::

        \tilde x_{k+1} = F_k(\tilde x_k) + s\,\eta_k, \qquad \tilde x_0 = x_0 + \delta_0, \qquad
        \delta_{k+1} = DF_k(x_k)\,\delta_k + s\,\eta_k,

    where :math:`F_k` is layer k, for a system :math:`F_k(x) = x + hf(t_k, x)`, along the unperturbed states
    :math:`x_k`. To first order :math:`\tilde x_k - x_k = \delta_k`. The derivatives act as Jacobian-vector products.

    Parameters
    ----------
    system_or_network : System or TracedNetwork
        A system (its map), or a network whose units may change the shape of the state.
    x : array, shape (\*batch, \*shape)
        Inputs: one, or a batch. A network takes a batch with one axis;
        where it has a ``stem``, x are the network's inputs and the stem is its first layer.
    perturbations : array, shape (n, \*batch, \*shape), or (\*batch, \*shape) for one
        What is added to the state at layer ``start``. Instead of noise.
    input_noise : float
        Standard deviation of independent Gaussian noise added to every unit once, at layer ``start``.
    layer_noise : float
        s, of the noise added after every layer, as ``noise`` in :func:`resdyn.simulate`. With
        :math:`s = g\sqrt h` the layers are Euler–Maruyama steps of :math:`dx = f\,dt + g\,dW` [kloeden1992]_.
    n_samples : int, optional
        Samples of the noise for each input; 100 if left out, at least 2.
    depth : int, optional
        Layers in all. None runs all layers of a layer-wise system, of a drive or of a network; a system with shared
        weights needs the number.
    start : int
        The layer before which the perturbation enters; earlier layers are run without it.
    inputs : array, shape (T, N) or (T, \*batch, N), optional
        The drive of a :class:`resdyn.ResidualMap`, as in :func:`resdyn.simulate`.
    linearized : bool
        Whether to carry tangents too.
    norm : 1, 2 or inf
        Of all sizes. Variances and cosines are Euclidean.
    keep : bool
        Keep the perturbations themselves for ``Propagation.at``, not only their sizes.
    rng : numpy Generator or seed
        For the noise.
    threads : int, optional
        At most so many threads in kernels.

    Returns
    -------
    Propagation
        A perturbed state that diverges has infinite or NaN sizes from there; see its ``status``.

    Raises
    ------
    TypeError, ValueError
        For wrong shapes, types or names, for both perturbations and noise, or neither.
    MemoryError
        If the result cannot fit, before anything is run.

    Notes
    -----
    The variance is predicted by the covariance recursion where no state has more than 128 entries, and above that by
    the variance of the tangents of the same samples. True perturbations are differences of states, so rounding hides
    what is smaller than some :math:`10^{-15}\|x_k\|`.

    Only the map has layers to add noise to. For a perturbed flow, subtract two trajectories of
    :func:`resdyn.simulate`.

    Random and adversarial perturbations of trained networks are followed like this in [rothauge2019]_, noise in
    [lagzi2021]_.
    """
    if not isinstance(norm, int | float | np.number) or norm not in (1, 2, np.inf):
        raise ValueError(f"norm must be 1, 2 or np.inf, but is {norm!r}.")
    chain = make_chain(system_or_network, x, depth=depth, inputs=inputs, threads=threads)
    last = len(chain.shapes) - 1
    first = validate.count(start, "start")
    if first > last:
        raise ValueError(f"start = {first}, but {chain.name!r} runs {last} layers; start at one of them.")
    source = _source(chain, first, perturbations, input_noise, layer_noise, n_samples, rng)
    rows = Rows.empty(
        chain.shapes[first:],
        (source.n, len(chain.x)),
        float(norm),
        noisy=source.is_noise,
        linearized=linearized,
        keep=keep,
    )
    with np.errstate(over="ignore", invalid="ignore"):
        for chunk in _chunks(chain, source.n, rows.covariant):
            _follow(chain, chunk, first, source, rows)
    return _result(chain, first, source, rows)


# --- what perturbs -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Source:
    """n perturbations of each state, given or drawn."""

    n: int
    vectors: Array | None
    input_noise: float
    layer_noise: float
    rng: np.random.Generator

    @property
    def is_noise(self) -> bool:
        return self.vectors is None

    def at_start(self, chunk: slice, x: Array) -> Array:
        """Shape (n, *x.shape)."""
        if self.vectors is not None:
            return np.array(self.vectors[:, chunk])
        if not self.input_noise:
            return np.zeros((self.n, *x.shape))
        return self.input_noise * self.rng.standard_normal((self.n, *x.shape))


def _source(
    chain: Chain, start: int, perturbations: Any, input_noise: Any, layer_noise: Any, n_samples: Any, rng: Any
) -> _Source:
    levels = {
        "input_noise": validate.standard_deviation(input_noise, "input_noise"),
        "layer_noise": validate.standard_deviation(layer_noise, "layer_noise"),
    }
    generator = validate.generator(rng)
    if perturbations is None:
        if not any(levels.values()):
            raise ValueError("nothing perturbs the states; give perturbations, input_noise or layer_noise.")
        n = _SAMPLES if n_samples is None else validate.count(n_samples, "n_samples", least=2)
        return _Source(n, None, **levels, rng=generator)
    of_noise = {name: level for name, level in levels.items() if level}
    if n_samples is not None:
        of_noise["n_samples"] = n_samples
    if of_noise:
        name, value = next(iter(of_noise.items()))
        raise ValueError(f"{name}={value!r} belongs to noise, but perturbations were given; pass one or the other.")
    vectors = validate.real_array(perturbations, "perturbations").astype(np.float64, copy=False)
    one = (*chain.batch, *chain.shapes[start])
    if vectors.shape == one:
        vectors = vectors[None]
    if vectors.shape[1:] != one or not len(vectors):
        each = ", ".join(map(str, one))
        raise ValueError(
            f"perturbations has shape {vectors.shape}, but the states of {chain.name!r} at layer {start} have shape "
            f"{one}; pass one perturbation of each, or n of them in an array of shape (n, {each})."
        )
    return _Source(
        len(vectors), vectors.reshape(len(vectors), len(chain.x), *chain.shapes[start]), **levels, rng=generator
    )


# --- the run -----------------------------------------------------------------------------------------


def _chunks(chain: Chain, n: int, covariant: bool) -> Iterator[slice]:
    """Parts of the batch, small enough that a part's perturbed states, and covariances, fit at once."""
    entries = max(int(np.prod(shape)) for shape in chain.shapes)
    per_state = entries * max(n + 1, entries if covariant else 1)
    size = max(1, _AT_ONCE // per_state)
    for begin in range(0, len(chain.x), size):
        yield slice(begin, begin + size)


def _follow(chain: Chain, chunk: slice, start: int, source: _Source, rows: Rows) -> None:
    """One part of the batch, from layer ``start`` to the end."""
    layers = chain.layers(chunk)
    x = chain.x[chunk]
    for layer in layers[:start]:
        x = layer(x[None])[0]
    added = source.at_start(chunk, x)
    perturbed = x + added
    tangents = added if "linearized" in rows.arrays else None
    covariance = _white(source.input_noise, x) if rows.covariant else None
    rows.write(0, chunk, x, perturbed, tangents, covariance)
    for row, layer in enumerate(layers[start:], start=1):
        if tangents is not None:
            carry = layer.linearize(x)
            tangents = carry(tangents)
            covariance = None if covariance is None else _carried(covariance, carry, x.shape[1:])
        # the unperturbed states go with the others, so that both are rounded alike
        together = layer(np.concatenate([x[None], perturbed]))
        x, perturbed = together[0], together[1:]
        if source.layer_noise:
            noise = source.layer_noise * source.rng.standard_normal(perturbed.shape)
            perturbed = perturbed + noise
            tangents = None if tangents is None else tangents + noise
            covariance = None if covariance is None else covariance + _white(source.layer_noise, x)
        rows.write(row, chunk, x, perturbed, tangents, covariance)
    lost = ~np.isfinite(perturbed).all(axis=tuple(range(2, perturbed.ndim)))
    # what is perturbed must be finite too, or there is nothing to compare with
    lost |= ~np.isfinite(x).all(axis=tuple(range(1, x.ndim)))
    rows.status[:, chunk][lost] = Status.DIVERGED


def _white(deviation: float, x: Array) -> Array:
    """The covariance of independent noise at states (M, *shape): row by row, (d, M, d)."""
    matrix = deviation**2 * np.eye(x[0].size)
    return np.repeat(matrix[:, None], len(x), axis=1)


def _carried(covariance: Array, carry: Linear, shape: tuple[int, ...]) -> Array:
    """J C Jᵀ, in two applications of J to the rows of a matrix; J may change the number of entries."""

    def on_rows(matrices: Array) -> Array:
        carried = carry(matrices.reshape(*matrices.shape[:2], *shape))
        return carried.reshape(*carried.shape[:2], -1)

    half = on_rows(covariance)  # C Jᵀ, since C is symmetric
    return on_rows(np.ascontiguousarray(half.transpose(2, 1, 0)))  # the rows of J C


def _result(chain: Chain, start: int, source: _Source, rows: Rows) -> Propagation:
    batch = chain.batch

    def unfolded(name: str) -> Array | None:
        array = rows.arrays.get(name)
        if array is None:
            return None
        axis = 1 if name in ("deviations", "tangents") or array.ndim == 2 else 2
        return array.reshape(*array.shape[:axis], *batch, *array.shape[axis + 1 :])

    predicted = unfolded("predicted_variance")
    how = "" if predicted is None else "covariance" if rows.covariant else "sampled tangents"
    optional = {name: unfolded(name) for name in ("linearized", "remainder", "cosine", "variance", "standard_error")}
    sizes = unfolded("sizes")
    assert sizes is not None
    return Propagation(
        name=chain.name,
        layers=np.arange(start, len(chain.t)),
        names=chain.names[start:],
        t=chain.t[start:],
        sizes=sizes,
        state_sizes=rows.state_sizes.reshape(-1, *batch),
        status=rows.status.reshape(-1, *batch),
        shapes=chain.shapes[start:],
        norm=rows.norm,
        input_noise=source.input_noise,
        layer_noise=source.layer_noise,
        predicted_variance=predicted,
        prediction=how,
        deviations=unfolded("deviations"),
        tangents=unfolded("tangents"),
        **optional,
    )
