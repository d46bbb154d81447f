"""``Propagation``: how large perturbations and noise are, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._results import Result, batch_dims, dataset
from resdyn._types import Status

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]


class Jump(NamedTuple):
    """The layer that enlarges a perturbation most."""

    layer: NDArray[np.int64]
    r"""The layer that acts, in the numbers of ``Propagation.layers``, shape (n, \*batch); −1 where no gain is known."""
    gain: Array
    r"""By how much, shape (n, \*batch)."""


class Perturbation(NamedTuple):
    """The perturbations themselves at one layer."""

    true: Array
    r"""Perturbed minus unperturbed states, shape (n, \*batch, \*shape)."""
    linearized: Array | None
    r"""The tangent map's prediction, shape (n, \*batch, \*shape); None where it was not asked for."""


@dataclass(frozen=True, eq=False, repr=False)
class Propagation(Result):
    r"""Sizes of n perturbations of a batch of states, before the first layer and after each of T layers.

    Rows count states: row 0 is where the perturbation enters, row T is the end. Variances are None unless noise was
    asked for, and all that is linearized is None with ``linearized=False``.

    Attributes
    ----------
    name : str
        The system or network.
    layers : integer array, shape (T + 1,)
        Layers passed before each row; the first is ``start``.
    names : tuple of str
        Who made the state of each row: "input", and then the layer or unit.
    t : array, shape (T + 1,)
        Depth-time, kh; for a network the number of units passed (its stem is one).
    sizes : array, shape (T + 1, n, \*batch)
        :math:`\|\tilde x_k - x_k\|` of the perturbed and the unperturbed state.
    state_sizes : array, shape (T + 1, \*batch)
        :math:`\|x_k\|`.
    status : array, shape (n, \*batch)
        :class:`resdyn.Status`: OK, or DIVERGED where the perturbed or the unperturbed state left the finite numbers.
    shapes : tuple of tuples
        The shape of the state in each row.
    norm : float
        1, 2 or inf.
    linearized : array, shape of ``sizes``, or None
        :math:`\|\delta_k\|` of the tangent :math:`\delta_{k+1} = (I + hA_k)\delta_k` (plus the same noise).
    remainder : array, shape of ``sizes``, or None
        :math:`\|\tilde x_k - x_k - \delta_k\|`, what the linearization misses.
    cosine : array, shape of ``sizes``, or None
        Of the angle between the true and the linearized perturbation; NaN where one of them is zero.
    input_noise, layer_noise : float
        Standard deviations; 0 where the perturbations were given.
    variance : array, shape (T + 1, \*batch), or None
        Sample variance of the noisy states, summed over units.
    standard_error : array, shape (T + 1, \*batch), or None
        Of ``variance``, from the scatter of the samples (jackknife); NaN for fewer than 10 samples.
    predicted_variance : array, shape (T + 1, \*batch), or None
        First order: the trace of :math:`C_{k+1} = (I + hA_k)C_k(I + hA_k)^{\mathsf T} + s^2 I`.
    prediction : str
        How it came about: "covariance", by that recursion, or "sampled tangents", as the variance of the tangents of
        the same noise; "" where there is none.
    deviations, tangents : array, shape (n, \*batch, entries), or None
        With ``keep=True``, the vectors of all rows, flattened and one after another; :meth:`at` takes them apart.
    """

    name: str
    layers: NDArray[np.int64]
    names: tuple[str, ...]
    t: Array
    sizes: Array
    state_sizes: Array
    status: Array
    shapes: tuple[tuple[int, ...], ...]
    norm: float = 2.0
    linearized: Array | None = field(default=None, kw_only=True)
    remainder: Array | None = field(default=None, kw_only=True)
    cosine: Array | None = field(default=None, kw_only=True)
    input_noise: float = field(default=0.0, kw_only=True)
    layer_noise: float = field(default=0.0, kw_only=True)
    variance: Array | None = field(default=None, kw_only=True)
    standard_error: Array | None = field(default=None, kw_only=True)
    predicted_variance: Array | None = field(default=None, kw_only=True)
    prediction: str = field(default="", kw_only=True)
    deviations: Array | None = field(default=None, kw_only=True)
    tangents: Array | None = field(default=None, kw_only=True)

    # --- sizes -----------------------------------------------------------------------------------

    @property
    def batch(self) -> tuple[int, ...]:
        """The batch axes of the states; () for one state."""
        return self.status.shape[1:]

    @property
    def relative(self) -> Array:
        r""":math:`\|\tilde x_k - x_k\| / \|x_k\|`, shape of ``sizes``; infinite where a state is zero."""
        return _ratio(self.sizes, self.state_sizes[:, None])

    @property
    def rms(self) -> Array:
        r"""Sizes per entry, :math:`\|\tilde x_k - x_k\|_p / d_k^{1/p}`: the root mean square for the norm 2.

        It compares layers whose states have different numbers of entries :math:`d_k`.
        """
        entries = np.array([np.prod(shape) for shape in self.shapes]) ** (1 / self.norm)
        return self.sizes / entries.reshape(-1, *[1] * (self.sizes.ndim - 1))

    @property
    def gains(self) -> Array:
        r"""Size after over size before each layer, shape (T, n, \*batch); NaN where a perturbation is zero before."""
        return _gains(self.sizes)

    @property
    def discrepancy(self) -> Array | None:
        r""":math:`\|\tilde x_k - x_k - \delta_k\| / \|\delta_k\|`, shape of ``sizes``: 0 where first order is exact."""
        if self.remainder is None or self.linearized is None:
            return None
        return _ratio(self.remainder, self.linearized)

    def linear_until(self, tolerance: float = 0.1) -> NDArray[np.int64]:
        r"""The last layer up to which the discrepancy stays within ``tolerance``, shape (n, \*batch).

        In the numbers of ``layers``; −1 where it is too large from the start.
        """
        validate.positive(tolerance, "tolerance")
        if self.remainder is None or self.linearized is None:
            raise ValueError("nothing was linearized; call propagate with linearized=True.")
        within = (self.remainder <= tolerance * self.linearized) & np.isfinite(self.linearized)
        rows = np.logical_and.accumulate(within, axis=0).sum(axis=0)
        return np.where(rows, self.layers[np.maximum(rows - 1, 0)], -1)

    def jump(self, *, relative: bool = False) -> Jump:
        """Where each perturbation grows most, and how much; ``relative`` to the state if asked."""
        gains = _gains(self.relative if relative else self.sizes)
        if not len(gains):
            raise ValueError("nothing was passed: depth is 0, so no layer can enlarge a perturbation.")
        known = np.where(np.isfinite(gains), gains, -1.0)
        row, largest = known.argmax(axis=0), known.max(axis=0)
        found = largest >= 0
        return Jump(np.where(found, self.layers[row], -1), np.where(found, largest, np.nan))

    # --- noise -----------------------------------------------------------------------------------

    @property
    def amplification(self) -> Array:
        r"""Variance after over variance before each layer, shape (T, \*batch); NaN where it is zero before."""
        return _gains(self._noise_variance())

    @property
    def noise_exponents(self) -> Array:
        r""":math:`\ln(V_k / V_0) / 2(t_k - t_0)` after each layer, shape (T, \*batch), per unit t.

        With noise from the layers alone :math:`V_0 = 0`, and the first layer is the reference; then the first row is
        NaN.
        """
        variance = self._noise_variance()
        first = 0 if self.input_noise else 1
        with np.errstate(divide="ignore", invalid="ignore"):
            growth = 0.5 * np.log(variance[1:] / variance[first : first + 1])
            time = (self.t[1:] - self.t[min(first, len(self.t) - 1)]).reshape(-1, *[1] * (variance.ndim - 1))
            return growth / time

    def _noise_variance(self) -> Array:
        if self.variance is None:
            raise ValueError(
                "these perturbations were given one by one, so they have no variance; "
                "call propagate with input_noise or layer_noise."
            )
        return self.variance

    def unit_variance(self, layer: int) -> Array:
        r"""The variance of each unit at ``layer``, shape (\*batch, \*shape); needs noise and ``keep=True``."""
        self._noise_variance()
        return self.at(layer).true.var(axis=0, ddof=1)

    # --- vectors ---------------------------------------------------------------------------------

    def at(self, layer: int) -> Perturbation:
        """The perturbations before layer ``layer`` acts, true and linearized; needs ``keep=True``."""
        if self.deviations is None:
            raise ValueError(
                "only sizes were kept; call propagate with keep=True to have the perturbations themselves."
            )
        rows = np.flatnonzero(self.layers == validate.count(layer, "layer"))
        if not rows.size:
            raise ValueError(f"layer = {layer}, but the layers run from {self.layers[0]} to {self.layers[-1]}.")
        row = int(rows[0])
        ends = np.cumsum([0, *(int(np.prod(shape)) for shape in self.shapes)])
        part = slice(ends[row], ends[row + 1])
        shape = (*self.status.shape, *self.shapes[row])
        tangents = None if self.tangents is None else self.tangents[..., part].reshape(shape)
        return Perturbation(self.deviations[..., part].reshape(shape), tangents)

    # --- as words and tables ---------------------------------------------------------------------

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over layer, perturbation and batch, with the coordinates t and name."""
        along = ["layer", "perturbation", *batch_dims(len(self.batch))]
        of_states = ["layer", *batch_dims(len(self.batch))]
        variables: dict[str, tuple[list[str], Any]] = {
            "size": (along, self.sizes),
            "relative_size": (along, self.relative),
            "state_size": (of_states, self.state_sizes),
            "status": (along[1:], self.status),
        }
        optional = {
            "linearized_size": (along, self.linearized),
            "remainder": (along, self.remainder),
            "cosine": (along, self.cosine),
            "variance": (of_states, self.variance),
            "standard_error": (of_states, self.standard_error),
            "predicted_variance": (of_states, self.predicted_variance),
        }
        variables |= {name: pair for name, pair in optional.items() if pair[1] is not None}
        return dataset(
            variables,
            coords={"layer": self.layers, "t": ("layer", self.t), "name": ("layer", list(self.names))},
            attrs={
                "system": self.name,
                "norm": self.norm,
                "input_noise": self.input_noise,
                "layer_noise": self.layer_noise,
                "prediction": self.prediction,
            },
        )

    def __repr__(self) -> str:
        n, depth = len(self.status), len(self.layers) - 1
        n_states = int(np.prod(self.batch))
        where = "" if self.layers[0] == 0 else f" from layer {self.layers[0]} on"
        states = "one state" if n_states == 1 else f"{n_states} states"
        layers = "1 layer" if depth == 1 else f"{depth} layers"
        what = f"{n} perturbation{'s' * (n > 1)} of" if self.variance is None else self._noise_in_words()
        lost = int((self.status != Status.OK).sum())
        outcome = f" {lost} of {self.status.size} diverged" if lost else ""
        unperturbed = int((~np.isfinite(self.state_sizes).all(axis=0)).sum())
        outcome += f", the unperturbed orbit of {unperturbed} of {n_states} among them" if lost and unperturbed else ""
        outcome += "." if outcome else ""
        return (
            f"Propagation of {what} {states} through {layers} of {self.name!r}{where}: "
            f"{self._growth_in_words()}.{outcome}"
        )

    def _noise_in_words(self) -> str:
        parts = [("input", self.input_noise), ("layer", self.layer_noise)]
        levels = ", ".join(f"{where} {level:g}" for where, level in parts if level)
        return f"noise ({levels}; {len(self.status)} samples) from"

    def _growth_in_words(self) -> str:
        if self.variance is None:
            first, last = _median(self.sizes[0]), _median(self.sizes[-1])
            near, far = _median(self.relative[0]), _median(self.relative[-1])
            text = f"median size {first:.3g} → {last:.3g}, relative to the state {near:.3g} → {far:.3g}"
            # perturbations of size 0 have no relative error
            if self.discrepancy is not None and np.isfinite(self.discrepancy[-1]).any():
                text += f"; relative error of first order {_median(self.discrepancy[-1]):.2g} at the end"
            return text
        first, last = (_median(np.sqrt(self.variance[row])) for row in (0, -1))
        text = f"standard deviation {first:.3g} → {last:.3g}"
        if self.predicted_variance is not None:
            text += f" (first order: {_median(np.sqrt(self.predicted_variance[-1])):.3g})"
        return text

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        rows = np.unique(np.linspace(0, len(self.layers) - 1, 6).round().astype(int))
        header = ["layer", "name", "median size", "relative", "linearized"]
        linearized = self.linearized
        return header, [
            [
                int(self.layers[row]),
                self.names[row],
                f"{_median(self.sizes[row]):.3g}",
                f"{_median(self.relative[row]):.3g}",
                "–" if linearized is None else f"{_median(linearized[row]):.3g}",
            ]
            for row in rows
        ]


def _ratio(above: Array, below: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return above / below


def _gains(values: Array) -> Array:
    """Each row over the one before; NaN after zero."""
    before, after = values[:-1], values[1:]
    return np.where(before > 0, _ratio(after, before), np.nan)


def _median(values: Array) -> float:
    """Of the finite values."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else np.nan
