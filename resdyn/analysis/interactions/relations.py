r"""Cooperation and competition: who helps and who hinders whom, and what follows from that."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _memory
from resdyn import _validation as validate
from resdyn._results import Result, dataset
from resdyn._types import System
from resdyn.analysis.interactions.monotonicity import (
    SLOPES,
    Slope,
    counted_states,
    flow_conclusions,
    map_conclusions,
    perron_sign,
)
from resdyn.analysis.interactions.signed_graphs import orthant_or_cycle, strong_components
from resdyn.analysis.interactions.signs import has_weights, signs_of_jacobians, signs_of_weights
from resdyn.matrix_family import LogisticResiduals, logistic_residuals
from resdyn.trajectory import Trajectory

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

RELATIONS = ("none", "mutualism", "competition", "predator-prey", "commensalism", "amensalism", "mixed")
"""What two units do to each other: (0, 0), (+, +), (−, −), (+, −), (+, 0), (−, 0); mixed if a sign varies."""

_RELATION_OF_SIGNS = np.array([[2, 5, 3], [5, 0, 4], [3, 4, 1]], dtype=np.int8)  # [sign of w_ij + 1, of w_ji + 1]
_MIXED = RELATIONS.index("mixed")


@dataclass(frozen=True, eq=False, repr=False)
class Cooperation(Result):
    r"""Who helps and who hinders whom, and what follows; made by :func:`resdyn.cooperation`.

    Entry (i, j) is always the effect *of* unit j *on* unit i.

    Attributes
    ----------
    sign : int array, shape (N, N)
        −1 hinders, 0 does not act, 1 helps. On the diagonal: self-limitation, self-enhancement; there the sign of αw_ii
        leaves the damping out, and that of a Jacobian holds it.
    mixed : bool array, shape (N, N)
        Entries that are positive in one layer or state and negative in another; their ``sign`` is 0.
    strengths : array, shape (N, N) or (T, N, N)
        αw_ij, without the entries that ``threshold`` left out; of a system without weights, the mean of
        :math:`\partial f_i/\partial x_j` over the sampled states.
    components : int array, shape (N,)
        The strongly connected component of each unit, numbered so that none acts on an earlier one. A link counts if it
        is there in some layer or state.
    orthant : int array, shape (N,), or None
        Signs s with :math:`s_i s_j\,\mathrm{sign}_{ij} \ge 0`: reversing the units with s = −1 makes all cooperative.
    frustrated_cycle : tuple of int, or None
        If there is no such orthant: a shortest cycle of units with an odd number of hindrances (two units: predator
        and prey, or an interaction that changes its sign).
    threshold : float
    n_dropped : int
        Non-zero weights, or entries of Jacobians, that the threshold left out at least in part. Unless it is 0, no
        theorem is claimed.
    n_states : int
        Sampled states; 0 if the signs are those of weights.
    n_layers : int or None
        None for an autonomous system.
    driven, noisy : bool
        Whether the trajectory was. Under a drive only the order is spoken of, under noise not even that.
    activation : str or None
        None if the signs are observed.
    closes : bool
        Whether the residuals obey :math:`\dot y = \alpha y(1-y)\circ(Wy)`, α ≠ 0.
    damped : bool
        Whether λ > 0 in every layer.
    step : float or None
        h; None for a bare W.
    lowest_diagonal : float
        The infimum of the diagonal of ∂f/∂x, :math:`-\lambda + \varphi'\alpha w_{ii}`, over all states (or the lowest
        observed).
    t, layers : array, shape (n_saved,), or None
        Of the trajectory.
    slopes : array, shape (n_saved, N), or None
        φ′(z_i) along the trajectory, averaged over its states.
    jacobians : array, shape (n_saved, N, N), or None
        ∂f/∂x along the trajectory, averaged over its states, of a system without weights.
    system : System or None
        None for a bare W.
    """

    sign: Array
    mixed: Array
    strengths: Array
    components: Array
    orthant: Array | None
    frustrated_cycle: tuple[int, ...] | None
    threshold: float
    n_dropped: int
    n_states: int
    n_layers: int | None
    driven: bool
    noisy: bool
    activation: str | None
    closes: bool
    damped: bool
    step: float | None
    lowest_diagonal: float
    t: Array | None
    layers: Array | None
    slopes: Array | None
    jacobians: Array | None
    system: System | None

    # --- pairs -----------------------------------------------------------------------------------

    @cached_property
    def relations(self) -> Array:
        """What each pair does to each other, shape (N, N), symmetric, as numbers; :meth:`relation` gives the words.

        0 none, 1 mutualism, 2 competition, 3 predator-prey, 4 commensalism, 5 amensalism, 6 mixed.
        """
        codes = _RELATION_OF_SIGNS[self.sign + 1, self.sign.T + 1]
        codes[self.mixed | self.mixed.T] = _MIXED
        np.fill_diagonal(codes, 0)
        return codes

    def relation(self, i: int, j: int) -> str:
        """The relation of units i and j in one word."""
        for unit in (i, j):
            if not 0 <= validate.count(unit, "unit") < len(self.sign):
                raise ValueError(f"there is no unit {unit}; the {len(self.sign)} units count from 0.")
        return RELATIONS[self.relations[i, j]]

    @cached_property
    def counts(self) -> dict[str, int]:
        """The number of pairs of each relation."""
        pairs = self.relations[np.triu_indices(len(self.sign), 1)]
        return dict(zip(RELATIONS, np.bincount(pairs, minlength=len(RELATIONS)).tolist(), strict=True))

    @cached_property
    def links(self) -> dict[str, int]:
        """The number of entries: helping, hindering and mixed off the diagonal, limiting and enhancing on it.

        Self-limiting and self-enhancing are the signs of αw_ii, without the damping; of Jacobians, with it.
        """
        own = np.eye(len(self.sign), dtype=bool)
        return {
            "helping": int(((self.sign > 0) & ~own).sum()),
            "hindering": int(((self.sign < 0) & ~own).sum()),
            "mixed": int((self.mixed & ~own).sum()),
            "self-limiting": int((self.sign < 0).diagonal().sum()),
            "self-enhancing": int((self.sign > 0).diagonal().sum()),
        }

    @cached_property
    def mean_strengths(self) -> Array:
        """``strengths``, averaged over layers, shape (N, N)."""
        return self.strengths if self.strengths.ndim == 2 else self.strengths.mean(axis=0)

    @cached_property
    def pair_strengths(self) -> Array:
        """How strongly two units act on each other: the mean size of both entries over layers, shape (N, N)."""
        size = np.abs(self.strengths)
        mean = size if size.ndim == 2 else size.mean(axis=0)
        return (mean + mean.T) / 2

    # --- the whole -------------------------------------------------------------------------------

    @cached_property
    def cooperative(self) -> bool:
        """No unit hinders another."""
        return not (self.links["hindering"] or self.links["mixed"])

    @cached_property
    def competitive(self) -> bool:
        """No unit helps another."""
        return not (self.links["helping"] or self.links["mixed"])

    @cached_property
    def competitive_orthant(self) -> Array | None:
        """Signs s, shape (N,), such that reversing the units with s = −1 makes all competitive, or None."""
        return orthant_or_cycle(-self.sign, self.mixed)[0]

    @property
    def balanced(self) -> bool:
        """Whether there is an ``orthant`` in which all cooperate (a structurally balanced signed graph)."""
        return self.orthant is not None

    @property
    def irreducible(self) -> bool:
        """Whether every unit acts on every other, through others if need be."""
        return not self.components.any()

    @property
    def layered(self) -> bool:
        """Whether there are several layers, each with weights of its own."""
        return self.n_layers is not None and self.n_layers > 1

    @property
    def from_weights(self) -> bool:
        """Whether the signs hold everywhere, because they are those of weights."""
        return self.n_states == 0

    @property
    def slope(self) -> Slope:
        """What is known of φ′."""
        if self.activation is None:
            raise AttributeError("signs that were observed at states come without an activation.")
        return SLOPES[self.activation]

    @property
    def all_bounded(self) -> bool:
        r"""Whether all orbits of the flow are known to be bounded: λ > 0 and a bounded activation.

        Those of the map are if :math:`|1 - h\lambda| < 1` as well.
        """
        return self.damped and self.activation is not None and self.slope.bounded

    @cached_property
    def none_bounded(self) -> bool:
        """Whether it is known that no orbit of z is bounded: residuals are closed, and Wy ≠ 0 for all y > 0.

        That is so for a regular W, and for an irreducible W without hindrances whose leading eigenvalue is not 0.
        """
        if not self.closes or self.driven:
            return False
        singular = np.linalg.svd(self.strengths, compute_uv=False)
        # ten times the usual bound on the rounding of singular values: near it W may be singular
        if singular[-1] > 10 * len(singular) * np.finfo(float).eps * singular[0]:
            return True
        return bool(self.cooperative and self.irreducible and perron_sign(self.strengths))

    @property
    def largest_step(self) -> float:
        """The largest h for which the diagonal of I + hA is nowhere below 0; inf if every h will do.

        A map can preserve the order of an orthant only up to this step.
        """
        return -1.0 / self.lowest_diagonal if self.lowest_diagonal < 0 else np.inf

    @property
    def margin(self) -> float | None:
        """The infimum of the diagonal of I + hA: a map that preserves an order has it at 0 or above."""
        return None if self.step is None else 1.0 + self.step * self.lowest_diagonal

    def is_monotone(self, dynamics: str) -> bool | None:
        """Whether the "map" or the "flow" preserves the order of an orthant; None where that is not known.

        It is not known for signs that were only observed, for a map of unknown step, if weights were left out, under
        noise, or if some but not all of several layers preserve the order, because later layers may mend it.
        """
        validate.dynamics(dynamics)
        if self.n_dropped or self.noisy:
            return None
        broken = None if self.layered else False
        if not self.balanced:
            return broken
        if dynamics == "flow":
            return True if self.from_weights else None
        if self.margin is None:
            return True if np.isinf(self.largest_step) else None
        if self.margin < 0:
            return broken
        return True if self.from_weights else None

    @cached_property
    def flow(self) -> tuple[str, ...]:
        """What follows for the flow, in words, with sources."""
        return tuple(flow_conclusions(self))

    @cached_property
    def map(self) -> tuple[str, ...]:
        """What follows for the map, in words, with sources."""
        return tuple(map_conclusions(self))

    # --- along the trajectory --------------------------------------------------------------------

    def influence_at(self, slot: int) -> Array:
        r"""The influence :math:`\varphi'(z_i)\,\alpha w_{ij}` at one saved layer, averaged over states, shape (N, N).

        For logistic units it is :math:`\alpha y_i(1 - y_i) w_{ij}`. For a system without weights it is ∂f/∂x.
        """
        saved = self.jacobians if self.jacobians is not None else self.slopes
        if saved is not None and not -len(saved) <= slot < len(saved):
            raise ValueError(f"there is no saved layer {slot}; the trajectory saved {len(saved)}, counted from 0.")
        if self.jacobians is not None:
            return self.jacobians[slot]
        if self.slopes is None or self.layers is None:
            raise ValueError("there is no influence along a trajectory; pass one: cooperation(system, trajectory).")
        strengths = self.strengths
        if strengths.ndim == 3:
            strengths = strengths[min(int(self.layers[slot]), len(strengths) - 1)]
        return self.slopes[slot][:, None] * strengths

    @property
    def influence(self) -> Array:
        """:meth:`influence_at` every saved layer, shape (n_saved, N, N)."""
        slots = 1 if self.t is None else len(self.t)
        _memory.require(slots * self.sign.size * 8, "the influence at all layers", "use influence_at(slot) in a loop")
        return np.stack([self.influence_at(slot) for slot in range(slots)])

    # --- words and tables ------------------------------------------------------------------------

    def __repr__(self) -> str:
        name = "a weight matrix" if self.system is None else repr(self.system.name)
        signs = "of weights" if self.from_weights else f"observed at {counted_states(self.n_states)}"
        links, counts = self.links, self.counts
        pairs = ", ".join(f"{count} {relation}" for relation, count in counts.items() if count) or "none"
        mixed = f", {links['mixed']} mixed" if links["mixed"] else ""
        return (
            f"Cooperation in {name} ({len(self.sign)} units, signs {signs}): {links['helping']} helping and "
            f"{links['hindering']} hindering interactions{mixed}; pairs: {pairs}. {self._kind()}, "
            f"{'irreducible' if self.irreducible else f'{self.components.max() + 1} components'}."
            f"\nFlow: {' '.join(self.flow)}\nMap: {' '.join(self.map)}"
        )

    def _kind(self) -> str:
        if self.cooperative:
            return "No interactions" if self.competitive else "Cooperative"
        kind = "Competitive" if self.competitive else "Neither cooperative nor competitive"
        return f"{kind}, {'balanced' if self.balanced else 'not balanced'}"

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        return ("relation", "pairs"), [(relation, count) for relation, count in self.counts.items() if count]

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over receiver and actor; relations as numbers, with their names as attribute."""
        pair = ("receiver", "actor")
        variables: dict[str, tuple[Sequence[str], Any]] = {
            "sign": (pair, self.sign),
            "mixed": (pair, self.mixed),
            "strength": (pair, self.mean_strengths),
            "relation": (pair, self.relations),
            "component": (("unit",), self.components),
        }
        if self.orthant is not None:
            variables["orthant"] = (("unit",), self.orthant)
        if self.t is not None:
            variables["influence"] = (("t", *pair), self.influence)
        attrs = {"relations": ", ".join(RELATIONS), "threshold": self.threshold, "n_states": self.n_states}
        coords = {} if self.t is None else {"t": self.t}
        return dataset(variables, coords=coords, attrs=attrs)


def cooperation(
    system_or_W: System | Any,
    trajectory: Trajectory | None = None,
    *,
    states: Any = None,
    threshold: float = 0.0,
) -> Cooperation:
    r"""Who helps and who hinders whom, and what follows for the flow and for the map.

    Where a system has weights and an increasing activation, the sign of :math:`\partial f_i/\partial x_j`, i ≠ j, is
    that of :math:`\alpha w_{ij}` in every state (relu: or zero), so theorems on cooperative and competitive dynamics
    apply to all of it [smith1995]_, [hirsch1985]_. For any other system the signs are those of Jacobians at given
    states, and no more than observed.

    Parameters
    ----------
    system_or_W : System, or array, shape (N, N)
        A bare W stands for :math:`\dot y = y(1-y)\circ(Wy)` with any step.
    trajectory : Trajectory, optional
        Of the same units: the influence along it is recorded. For a system without weights its states are sampled.
    states : array, shape (\*batch, \*shape), optional
        States to sample instead, for an autonomous system without weights.
    threshold : float
        Interactions of this size or smaller count as none.

    Returns
    -------
    Cooperation

    Raises
    ------
    ValueError
        If W is not square, or if a system without weights comes without states.
    """
    threshold = validate.nonnegative(threshold, "threshold")
    if isinstance(system_or_W, Trajectory):
        raise TypeError(
            "the first argument must be a system or a weight matrix, but is a Trajectory; "
            "pass cooperation(trajectory.system, trajectory)."
        )
    system = system_or_W if isinstance(system_or_W, System) else _closed(system_or_W)
    if trajectory is not None:
        _check_same_units(system, trajectory)
    bare = system is not system_or_W
    if has_weights(system):
        if states is not None:
            raise ValueError(f"the signs of {system.name!r} are those of its weights in every state; leave states out.")
        found = signs_of_weights(system, trajectory, threshold)
    else:
        found = signs_of_jacobians(system, trajectory, states, threshold)
    orthant, cycle = orthant_or_cycle(found["sign"], found["mixed"])
    return Cooperation(
        components=strong_components((found["sign"] != 0) | found["mixed"]),
        orthant=orthant,
        frustrated_cycle=cycle,
        threshold=threshold,
        n_layers=system.depth,
        driven=trajectory is not None and trajectory.inputs is not None,
        noisy=trajectory is not None and trajectory.noise > 0,
        step=None if bare else system.step,
        system=None if bare else system,
        **found,
    )


def _check_same_units(system: System, trajectory: Any) -> None:
    validate.trajectory(trajectory)
    other = trajectory.system
    if other.shape != system.shape:
        raise ValueError(
            f"the trajectory has states of shape {other.shape}, but {system.name!r} has {system.shape}; "
            "pass a trajectory of the same units."
        )
    if has_weights(system) and has_weights(other) and not np.array_equal(system.W, other.W):
        raise ValueError(
            f"the trajectory is one of {other.name!r}, whose weights differ from those of {system.name!r}; "
            "pass a trajectory of the same system."
        )
    if not has_weights(system) and other is not system and repr(other) != repr(system):
        raise ValueError(f"the trajectory is one of {other!r}, but the system is {system!r}; pass one of this system.")


def _closed(W: Any) -> LogisticResiduals:
    """A bare W as a system; its step is not used."""
    weights = validate.real_array(W, "W")
    if weights.ndim == 3:
        raise ValueError(f"W has shape {weights.shape}; for layer-wise weights pass resdyn.ResidualMap(W, ...).")
    return logistic_residuals(weights)
