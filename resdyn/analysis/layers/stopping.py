"""Rules that read off the layers of a network whether it is deep enough."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._results import Result, dataset
from resdyn.analysis.layers.saved_layers import finite_states, residuals_at, states_at
from resdyn.trajectory import Trajectory

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

_RULES = ("lagzi2021", "hauser2019")
_MAGNITUDES = ("scaled", "absolute")


@dataclass(frozen=True, eq=False, repr=False)
class DepthRule(Result):
    r"""What a depth rule found: :func:`resdyn.depth_rule` returns it.

    Attributes
    ----------
    rule : str
        "lagzi2021" or "hauser2019".
    magnitude : str
        What ``differences`` measures: "absolute" or "scaled".
    threshold : float
    differences : array, shape (n_layers,)
        One number per layer. lagzi2021: how much its residual differs from that of the layer before, NaN for the first.
        hauser2019: how far it moves the state, NaN where the shape of the state changes.
    value : float
        What the rule compares with the threshold: the last difference (lagzi2021), the mean (hauser2019).
    depth : int
        lagzi2021: the layers that remain if the rule is applied again and again to these residuals, without training in
        between. hauser2019: the layers at which the mean would reach the threshold if it fell as 1/layers; an
        extrapolation, 0 where there is nothing to extrapolate from.
    """

    rule: str
    magnitude: str
    threshold: float
    differences: Array
    value: float
    depth: int

    @property
    def n_layers(self) -> int:
        """The layers that there are."""
        return len(self.differences)

    @property
    def deep_enough(self) -> bool:
        """Whether the value is below the threshold."""
        return bool(self.value < self.threshold)

    @property
    def drop(self) -> bool:
        """Whether to drop the last layer at this epoch: the rule of lagzi2021 for one training step."""
        return self.rule == "lagzi2021" and self.deep_enough

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` with the differences over layer."""
        return dataset(
            {"differences": (["layer"], self.differences), "depth": ((), self.depth), "value": ((), self.value)},
            coords={"layer": np.arange(self.n_layers)},
            attrs={"rule": self.rule, "magnitude": self.magnitude, "threshold": self.threshold},
        )

    def __repr__(self) -> str:
        layers = f"{self.n_layers} layer" + ("" if self.n_layers == 1 else "s")
        if np.isnan(self.value):
            return f"DepthRule {self.rule} on {layers}: nothing to compare, so keep them."
        sign = "<" if self.deep_enough else "≥"
        if self.rule == "lagzi2021":
            verdict = "drop the last layer" if self.drop else "keep all layers"
            return (
                f"DepthRule lagzi2021 on {layers}: the residuals of the last two differ by {self.value:.3g} per unit "
                f"{sign} {self.threshold:g}: {verdict}. Without training in between, {self.depth} would remain."
            )
        verdict = "deep enough" if self.deep_enough else "not deep enough"
        needed = f" If this falls as 1/layers, {self.depth} layers reach the threshold." if self.depth else ""
        return (
            f"DepthRule hauser2019 on {layers}: a layer moves the state by {self.value:.3g} on average "
            f"({self.magnitude}) {sign} {self.threshold:g}: {verdict}.{needed}"
        )


def depth_rule(
    layers: Trajectory | Any,
    *,
    rule: Literal["lagzi2021", "hauser2019"] = "lagzi2021",
    threshold: float = 0.01,
    magnitude: Literal["scaled", "absolute"] | None = None,
) -> DepthRule:
    r"""Whether a network is deep enough, by a published rule.

    **lagzi2021**. After each epoch compare the residuals of the last two layers, per unit and on average over states
    (the bar); below the threshold (0.01 in [lagzi2021]_), drop the last layer:

    .. math:: \delta_k = \frac1d \overline{\lVert y_k - y_{k-1} \rVert_1}, \qquad
              \delta_{T-1} < \text{threshold}.

    **hauser2019**. A network is deep enough when a layer perturbs the state little, on average over layers and states
    [hauser2019]_:

    .. math:: p_k = \overline{\left(\frac{\lVert x_{k+1} - x_k \rVert_2}{\lVert x_k \rVert_2}\right)}
              \ \text{(scaled)}, \qquad
              p_k = \overline{\lVert x_{k+1} - x_k \rVert_2}\ \text{(absolute)}, \qquad
              \frac1T \sum_k p_k < \text{threshold}.

    Norm, kind of magnitude and threshold are our choice here.

    Parameters
    ----------
    layers : Trajectory, array or list of arrays
        A trajectory with every layer saved. Or, for use while training, one array per layer, shape
        ``(n_states, *shape)``: for lagzi2021 the residuals of the T layers, for hauser2019 the T + 1 states before the
        first layer and after each. Shapes may change from layer to layer (stages); nothing is compared across a change.
    rule : str
    threshold : float
    magnitude : "scaled" or "absolute", optional
        For hauser2019; "scaled" unless given.

    Returns
    -------
    DepthRule
        States that left the finite numbers are left out; where none remain, ``value`` is NaN and no layer is dropped.

    Raises
    ------
    TypeError, ValueError
        For layers that are not neighbours, wrong shapes or names.

    Notes
    -----
    In a trajectory of T layers the residuals compared are those of layers 0 to T − 1; the residual at the last saved
    state belongs to a layer that the network does not have. That the mean falls as 1/layers is an observation on
    networks trained anew at each depth, not on one network run for more layers.
    """
    threshold = validate.positive(threshold, "threshold")
    validate.choice(rule, "rule", _RULES)
    if rule == "lagzi2021":
        if magnitude is not None:
            raise ValueError(f"magnitude={magnitude!r} belongs to rule='hauser2019'; leave it out.")
        return _lagzi(_residuals(layers), threshold)
    kind = validate.choice("scaled" if magnitude is None else magnitude, "magnitude", _MAGNITUDES)
    return _hauser(_states(layers), threshold, kind)


def _lagzi(residuals: Iterable[Array], threshold: float) -> DepthRule:
    differences, before = [], None
    for y in residuals:
        comparable = before is not None and before.shape == y.shape
        differences.append(_mean(np.abs(y - before)) if comparable else np.nan)
        before = y
    if not differences:
        raise ValueError("there is no layer to judge; the trajectory saved only one state, or the list is empty.")
    depth = len(differences)
    while depth > 1 and differences[depth - 1] < threshold:
        depth -= 1
    return DepthRule("lagzi2021", "absolute", threshold, np.array(differences), differences[-1], depth)


def _hauser(states: Iterable[Array], threshold: float, magnitude: str) -> DepthRule:
    perturbations, before = [], None
    for x in states:
        if before is not None:
            perturbations.append(_perturbation(before, x, magnitude))
        before = x
    if not perturbations:
        raise ValueError(
            "a perturbation is the difference of the states before and after a layer; give at least two states."
        )
    differences = np.array(perturbations)
    counted = differences[~np.isnan(differences)]
    value = float(counted.mean()) if counted.size else float("nan")
    depth = int(np.ceil(counted.size * value / threshold)) if np.isfinite(value) else 0
    return DepthRule("hauser2019", magnitude, threshold, differences, value, depth)


def _perturbation(before: Array, after: Array, magnitude: str) -> float:
    """The mean over states of how far a layer moved them; NaN where the shape changed."""
    if before.shape != after.shape:
        return float("nan")
    moved = np.linalg.norm((after - before).reshape(len(before), -1), axis=-1)
    if magnitude == "absolute":
        return _mean(moved)
    size = np.linalg.norm(before.reshape(len(before), -1), axis=-1)
    # no move at all is no perturbation, also of a state at the origin; a move away from it is infinite
    return _mean(np.divide(moved, size, out=np.where(moved > 0, np.inf, 0.0), where=size > 0))


def _mean(values: Array) -> float:
    return float(values.mean()) if values.size else float("nan")


def _residuals(layers: Any) -> Iterable[Array]:
    if not isinstance(layers, Trajectory):
        return _given(layers, "residuals")
    included = _neighbours(layers, infinite=True)
    # the residual at the last state belongs to a layer that there is not
    return (residuals_at(layers, slot)[included] for slot in range(len(layers.t) - 1))


def _states(layers: Any) -> Iterable[Array]:
    if not isinstance(layers, Trajectory):
        return _given(layers, "states")
    included = _neighbours(layers)
    return (states_at(layers, slot)[included] for slot in range(len(layers.t)))


def _neighbours(trajectory: Trajectory, *, infinite: bool = False) -> Array:
    """Which states to count, if the saved layers are neighbours and the first is layer 0."""
    if trajectory.layers[0] != 0:
        raise ValueError(
            f"a depth rule counts the layers of a network from its input, but the trajectory begins at layer "
            f"{trajectory.layers[0]}; simulate again with transient=0 and save='all'."
        )
    if (np.diff(trajectory.layers) != 1).any():
        raise ValueError(
            f"a depth rule compares neighbouring layers, but the trajectory saved layers {trajectory.layers[0]}, "
            f"{trajectory.layers[1]}, …; simulate again with save='all'."
        )
    return finite_states(trajectory, infinite=infinite)


def _given(layers: Sequence[Any] | Array, what: str) -> list[Array]:
    """One float64 array of at least two axes per layer."""
    if not hasattr(layers, "__iter__"):
        raise TypeError(
            f"layers must be a Trajectory or one array per layer, but is {layers!r} of type {type(layers).__name__}; "
            "pass what resdyn.simulate returned, or a list of arrays."
        )
    arrays = [np.asarray(validate.real_array(at, what), dtype=np.float64) for at in layers]
    for at in arrays:
        if at.ndim < 2:
            raise ValueError(
                f"{what} of one layer have shape {at.shape}, but need a batch axis: give one array per layer, "
                "shape (n_states, *shape)."
            )
    batches = {len(at) for at in arrays}
    if len(batches) > 1:
        raise ValueError(f"all layers must hold the same states, but have {sorted(batches)} of them.")
    return arrays
