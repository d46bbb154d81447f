r"""Which singular subspaces of a linearization perturbations lie in.

The right singular vectors of J fall into groups, and a perturbation δ into parts that are orthogonal to each other:

.. math:: \|\delta\|^2 = \sum_G \|P_G\,\delta\|^2, \qquad \|J \delta\|^2 = \sum_i \sigma_i^2 (v_i^{\mathsf T} \delta)^2.

A perturbation in a random direction has the share :math:`\dim G / d` in each group on average.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._results import Result, dataset
from resdyn.networks.linearization.subspaces import EQUAL, DenseSubspaces, FactoredSubspaces, Subspaces
from resdyn.networks.linearization.unit import LinearizedUnit

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

GROUPS = ("leading", "unit", "trailing", "null", "rest")


@dataclass(frozen=True, eq=False, repr=False)
class Projection(Result):
    r"""Shares of perturbations on the right singular subspaces of a linearization, :math:`\|P\delta\|^2/\|\delta\|^2`.

    They add up to 1 for each perturbation; NaN for one that is zero or not finite. With several inputs, arrays have a
    second axis for them.

    Attributes
    ----------
    name : str
        Of the unit.
    k : int
        How many leading and how many trailing directions.
    leading, unit, trailing, null, rest : arrays, shape (n,) or (n, inputs)
        Shares on the k directions with the largest singular values; on the directions with the singular value \|a\| of
        the skip path (the atom); on the k with the smallest that are neither zero nor the atom; on the null space;
        what remains.
    at_random : dict
        The shares that a perturbation in a random direction has on average: the dimensions over d. With several
        inputs, the mean over them.
    gain : array, shape (n,) or (n, inputs)
        :math:`\|J\delta\| / \|\delta\|`.
    dimensions : integer array, shape (5,) or (5, inputs)
        Of the five subspaces, in the order above.
    leading_values, trailing_values : arrays, shape (k,) or (k, inputs)
        Their singular values: the first descending, the second ascending.
    """

    name: str
    k: int
    leading: Array
    unit: Array
    trailing: Array
    null: Array
    rest: Array
    at_random: dict[str, float]
    gain: Array
    dimensions: NDArray[np.int64]
    leading_values: Array
    trailing_values: Array

    @property
    def shares(self) -> Array:
        """All five, shape (5, n) or (5, n, inputs), in the order leading, unit, trailing, null, rest."""
        return np.stack([getattr(self, group) for group in GROUPS])

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over subspace, perturbation and input."""
        along = ["perturbation", *(["input"] if self.gain.ndim > 1 else [])]
        return dataset(
            {
                "share": (["subspace", *along], self.shares),
                "dimension": (["subspace", *along[1:]], self.dimensions),
                "at_random": (["subspace"], [self.at_random[group] for group in GROUPS]),
                "gain": (along, self.gain),
                "leading_value": (["rank", *along[1:]], self.leading_values),
                "trailing_value": (["rank", *along[1:]], self.trailing_values),
            },
            coords={"subspace": list(GROUPS)},
            attrs={"unit": self.name, "k": self.k},
        )

    def __repr__(self) -> str:
        n, inputs = len(self.gain), self.gain[0].size if len(self.gain) else 1
        what = f"{n} perturbation{'s' * (n != 1)}" + (f" of each of {inputs} inputs" if self.gain.ndim > 1 else "")
        shares = ", ".join(
            f"{group} {_percent(_mean(share))} ({_percent(self.at_random[group])})"
            for group, share in zip(GROUPS, self.shares, strict=True)
        )
        return (
            f"Projection of {what} on the singular subspaces of {self.name!r}, k = {self.k}: mean shares {shares}, "
            f"in brackets those of a random direction; mean gain {_mean(self.gain):.3g}."
        )

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        header = ["subspace", "dimension", "mean share", "at random", "least", "most"]
        rows = []
        for group, share, dimension in zip(GROUPS, self.shares, self.dimensions, strict=True):
            known = share[np.isfinite(share)]
            ends = [_percent(known.min()), _percent(known.max())] if known.size else ["–", "–"]
            size = f"{np.mean(dimension):g}"
            rows.append([group, size, _percent(_mean(share)), _percent(self.at_random[group]), *ends])
        return header, rows


def project(
    propagation: Any,
    linearization: LinearizedUnit | Sequence[LinearizedUnit],
    k: int,
    *,
    input: int | None = None,
) -> Projection:
    r"""The shares of perturbations that reach a unit on the leading, unit, trailing and null singular subspaces.

    The vectors at both ends come from Lanczos iterations; those of the atom and of the null space are not formed: the
    projections are least squares, and the dimensions those of the spaces on which they project. Singular values below
    10⁻⁶ of the largest count as zero. The atom is the subspace that the skip path gives to \|a\| by structure; where
    weights are so small that others come within 10⁻⁸ of it, they belong to the rest. Without factors, all is by a dense
    singular value decomposition, and values within 10⁻⁸ of \|a\|, relatively, are the atom.

    What was found of the last four linearizations is kept: a second call with one of them takes a fraction of the time.

    Parameters
    ----------
    propagation : Propagation or array
        Of :func:`resdyn.propagate` through the network of the unit, with ``keep=True``; the perturbations are those
        that reach the unit. The linearization must be at the state that the unperturbed input makes there. Or the
        perturbations themselves, shape (n, \*shape_before), or (n, inputs, \*shape_before) for several linearizations.
    linearization : LinearizedUnit, or a sequence of them
        A sequence has one of the same unit for each input.
    k : int
        At most half of the singular values that are neither zero nor the atom, and no more than lie on either side of
        the atom; 0 where only the atom and the null space matter.
    input : int, optional
        Of a propagation of several inputs, the one at which was linearized.

    Returns
    -------
    Projection

    Raises
    ------
    TypeError
        For what is no linearization of a unit.
    ValueError
        For a propagation without vectors or without the unit, perturbations of another shape, several inputs without
        a word on which, or k too large.
    """
    k = validate.count(k, "k")
    several = isinstance(linearization, Sequence)
    linearizations: list[LinearizedUnit] = (
        list(linearization) if isinstance(linearization, Sequence) else [linearization]
    )
    _refuse_others(linearizations)
    vectors = _perturbations(propagation, linearizations, input, several)
    found = [_shares(of, vectors[:, i], k) for i, of in enumerate(linearizations)]
    columns = [np.stack(parts, axis=-1) if several else parts[0] for parts in zip(*found, strict=True)]
    shares, gain, dimensions, leading_values, trailing_values = columns
    sizes = dimensions.reshape(len(GROUPS), -1).mean(axis=1) / linearizations[0].shape[1]
    return Projection(
        linearizations[0].name,
        k,
        **dict(zip(GROUPS, shares, strict=True)),
        at_random=dict(zip(GROUPS, map(float, sizes), strict=True)),
        gain=gain,
        dimensions=dimensions,
        leading_values=leading_values,
        trailing_values=trailing_values,
    )


def _shares(linearization: LinearizedUnit, vectors: Array, k: int) -> tuple[Array, ...]:
    """Shares (5, n), gains (n,), dimensions (5,), and the singular values at the ends."""
    subspaces = subspaces_of(linearization)
    leading, trailing = _ends(subspaces, linearization, k)
    columns = vectors.reshape(len(vectors), -1).T
    with np.errstate(divide="ignore", invalid="ignore"):
        sizes = np.linalg.norm(columns, axis=0)
        # zero and what is not finite has no direction; NaN comes out, and the solvers see zeros
        known = np.isfinite(sizes) & (sizes > 0)
        units = np.where(known, columns, 0.0) / np.where(known, sizes, 1.0)
    parts = [leading[1].T @ units, subspaces.unit(units), trailing[1].T @ units, subspaces.null(units)]
    shares = np.stack([(part**2).sum(axis=0) for part in parts])
    # the parts are orthogonal, so what remains is negative only by rounding
    shares = np.vstack([shares, np.maximum(1 - shares.sum(axis=0), 0.0)])
    gain = np.linalg.norm(linearization.matmat(units), axis=0)
    d, null = linearization.shape[1], linearization.shape[1] - subspaces.rank
    inner = [k, subspaces.unit_dimension, k, null]
    dimensions = np.array([*inner, d - sum(inner)])
    return np.where(known, shares, np.nan), np.where(known, gain, np.nan), dimensions, leading[0], trailing[0]


@lru_cache(maxsize=4)
def subspaces_of(linearization: LinearizedUnit) -> Subspaces:
    """By sparse solves where there are factors, else dense; kept for the next call with the same linearization."""
    if linearization.factors is not None:
        return FactoredSubspaces(linearization)
    return DenseSubspaces(linearization, abs(linearization.skip_scale))


def _ends(
    subspaces: Subspaces, linearization: LinearizedUnit, k: int
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The triplets at both ends, or an error if they would meet each other or the atom."""
    others = subspaces.rank - subspaces.unit_dimension
    if 2 * k > others:
        raise ValueError(
            f"k = {k}, but {linearization.name!r} has {others} singular values that are neither zero nor that of the "
            f"skip path, to be parted in leading and trailing ones; take k ≤ {others // 2}."
        )
    if not k:
        nothing = np.empty(0), np.empty((linearization.shape[1], 0))
        return nothing, nothing
    leading, trailing = subspaces.ends(k)
    if subspaces.unit_dimension:
        a = _skip(linearization)
        above, below = int((leading[0] > a * (1 + EQUAL)).sum()), int((trailing[0] < a * (1 - EQUAL)).sum())
        if min(above, below) < k:
            side = "above" if above < k else "below"
            raise ValueError(
                f"k = {k}, but only {min(above, below)} singular values of {linearization.name!r} lie {side} the "
                f"{subspaces.unit_dimension} that equal {a:g}; take k ≤ {min(above, below)}."
            )
    return leading, trailing


def _skip(linearization: LinearizedUnit) -> float:
    return abs(linearization.skip_scale if linearization.factors is None else linearization.factors.a)


def _refuse_others(linearizations: Sequence[Any]) -> None:
    if not linearizations:
        raise ValueError("there is no linearization; pass what linearize(unit, x) returned, or one for each input.")
    wrong = [of for of in linearizations if not isinstance(of, LinearizedUnit)]
    if wrong:
        raise TypeError(
            f"linearization must be that of a unit, or a sequence of such, but is {validate.shown(wrong[0])}; pass "
            "what linearize(unit, x) returned."
        )
    names = list(dict.fromkeys(of.name for of in linearizations))
    if len(names) > 1 or len({of.shape_before for of in linearizations}) > 1:
        raise ValueError(
            f"the linearizations are of different units ({', '.join(map(repr, names))}); pass one of the same unit for "
            "each input."
        )


def _perturbations(
    propagation: Any, linearizations: Sequence[LinearizedUnit], input: int | None, several: bool
) -> Array:
    """Shape (n, inputs, d)."""
    of = linearizations[0]
    if hasattr(propagation, "names") and hasattr(propagation, "at"):
        vectors = _before_unit(propagation, of)
    else:
        if input is not None:
            raise ValueError("input belongs to a propagation; of an array, pass the perturbations of one input.")
        vectors = validate.real_array(propagation, "perturbations", finite=False, nan=True).astype(float)
    batch = vectors.shape[1 : vectors.ndim - len(of.shape_before)]
    if vectors.shape[vectors.ndim - len(of.shape_before) :] != of.shape_before or vectors.ndim <= len(of.shape_before):
        raise ValueError(
            f"the perturbations have shape {vectors.shape}, but {of.name!r} takes states of shape {of.shape_before}; "
            f"pass them in shape (n, {', '.join(map(str, of.shape_before))})."
        )
    vectors = vectors.reshape(len(vectors), -1, int(np.prod(of.shape_before)))
    if several:
        return _one_input_each(vectors, len(linearizations), input)
    return _one_input(vectors, batch, input)


def _before_unit(propagation: Any, linearization: LinearizedUnit) -> Array:
    """Of the row that the unit takes up."""
    if linearization.name == propagation.names[0]:
        raise ValueError(
            f"the propagation starts after {linearization.name!r}, so it has no perturbations that reach that unit; "
            "start it earlier, start=0, or pass the perturbations as an array."
        )
    if linearization.name not in propagation.names[1:]:
        raise ValueError(
            f"the propagation has no unit {linearization.name!r}; its rows are "
            f"{', '.join(map(repr, propagation.names))}. Propagate through the network whose unit was linearized, or "
            "pass the perturbations as an array."
        )
    row = propagation.names.index(linearization.name, 1) - 1
    return np.asarray(propagation.at(int(propagation.layers[row])).true, dtype=float)


def _one_input_each(vectors: Array, n: int, input: int | None) -> Array:
    if input is not None:
        raise ValueError("there is one linearization for each input, so leave input out; or pass one linearization.")
    if vectors.shape[1] != n:
        raise ValueError(
            f"there are {n} linearizations, but perturbations of {vectors.shape[1]} inputs; pass one for each input."
        )
    return vectors


def _one_input(vectors: Array, batch: tuple[int, ...], input: int | None) -> Array:
    inputs = vectors.shape[1]
    if input is None:
        if inputs != 1:
            raise ValueError(
                f"there are perturbations of {inputs} inputs, but one linearization; say at which input it is, "
                "input=0, or pass a sequence of linearizations, one for each input."
            )
        input = 0
    if not 0 <= validate.count(input, "input") < inputs:
        raise ValueError(f"input = {input}, but there are {inputs}, numbered from 0.")
    return vectors[:, input : input + 1]


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else np.nan


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
