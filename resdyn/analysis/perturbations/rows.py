"""The arrays of a ``Propagation``, filled row by row and part by part."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _memory

Array = NDArray[Any]

# arrays of all perturbed copies of a state that a layer needs at once: states and tangents before and after, noise,
# differences
_WORKING = 6
# the scatter of fewer samples says too little about the scatter of their variance
_SAMPLES_OF_AN_ERROR = 10
# up to this dimension the covariance matrix is carried along: two products with d vectors per layer and state
_COVARIANCE_UP_TO = 128


@dataclass(frozen=True, eq=False)
class Rows:
    """Arrays of the result, filled part by part; batch axes are one axis M."""

    norm: float
    covariant: bool
    """Whether covariances are carried along."""
    ends: NDArray[np.int64]
    """Where the vectors of each row begin and end in the arrays of vectors."""
    status: Array
    state_sizes: Array
    arrays: dict[str, Array]

    @classmethod
    def empty(
        cls,
        shapes: tuple[tuple[int, ...], ...],
        counts: tuple[int, int],
        norm: float,
        *,
        noisy: bool,
        linearized: bool,
        keep: bool,
    ) -> "Rows":
        """For so many (perturbations, states), once it is known that they fit."""
        n, n_states = counts
        entries = [int(np.prod(shape)) for shape in shapes]
        of_pairs, of_states = (len(shapes), n, n_states), (len(shapes), n_states)
        vectors = (n, n_states, sum(entries))
        wanted: dict[str, tuple[int, ...]] = {"sizes": of_pairs}
        if linearized:
            wanted |= dict.fromkeys(("linearized", "remainder", "cosine"), of_pairs)
        if noisy:
            wanted |= dict.fromkeys(("variance", "standard_error"), of_states)
            if linearized:
                wanted["predicted_variance"] = of_states
        if keep:
            wanted |= dict.fromkeys(("deviations", "tangents") if linearized else ("deviations",), vectors)
        _memory.require(
            8 * (sum(int(np.prod(shape, dtype=object)) for shape in wanted.values()) + _WORKING * n * max(entries)),
            f"keeping {n} perturbations of {n_states} states through {len(shapes) - 1} layers",
            "take fewer at a time" + (", or only their sizes with keep=False" if keep else ""),
        )
        return cls(
            norm=norm,
            covariant=noisy and linearized and max(entries) <= _COVARIANCE_UP_TO,
            ends=np.cumsum([0, *entries]),
            status=np.zeros(of_pairs[1:], dtype=np.uint8),
            state_sizes=np.empty(of_states),
            arrays={name: np.empty(shape) for name, shape in wanted.items()},
        )

    def write(
        self, row: int, chunk: slice, x: Array, perturbed: Array, tangents: Array | None, covariance: Array | None
    ) -> None:
        """One row of one part: states (M, *shape), perturbed states and tangents (n, M, *shape)."""
        flat = (*perturbed.shape[:2], -1)
        deviations = (perturbed - x).reshape(flat)
        self.state_sizes[row, chunk] = self._size(x.reshape(len(x), -1))
        found = {"sizes": self._size(deviations)}
        if tangents is not None:
            tangents = tangents.reshape(flat)
            found["linearized"] = self._size(tangents)
            found["remainder"] = self._size(deviations - tangents)
            found["cosine"] = _cosine(deviations, tangents)
        if "variance" in self.arrays:
            found["variance"], found["standard_error"] = _variance(deviations)
        if "predicted_variance" in self.arrays and tangents is not None:
            by_recursion = None if covariance is None else np.einsum("imi->m", covariance)
            found["predicted_variance"] = _variance(tangents)[0] if by_recursion is None else by_recursion
        for name, values in found.items():
            self.arrays[name][row, ..., chunk] = values
        part = slice(self.ends[row], self.ends[row + 1])
        for name, vectors in (("deviations", deviations), ("tangents", tangents)):
            if name in self.arrays:
                self.arrays[name][:, chunk, part] = vectors

    def _size(self, vectors: Array) -> Array:
        return np.linalg.norm(vectors, ord=self.norm, axis=-1)


def _cosine(first: Array, second: Array) -> Array:
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip((first * second).sum(axis=-1) / lengths, -1.0, 1.0)


def _variance(samples: Array) -> tuple[Array, Array]:
    """Of samples (n, M, d): the variance summed over units, (M,), and its standard error by the jackknife."""
    n = len(samples)
    squares = ((samples - samples.mean(axis=0)) ** 2).sum(axis=-1)
    variance = n / (n - 1) * squares.mean(axis=0)
    if n < _SAMPLES_OF_AN_ERROR:
        return variance, np.full_like(variance, np.nan)
    # without sample i the variance is ((n − 1) v − n/(n − 1) q_i)/(n − 2), whose spread over i follows from that of q_i
    without_one = n / ((n - 1) * (n - 2)) * squares
    return variance, np.sqrt(n - 1) * without_one.std(axis=0)
