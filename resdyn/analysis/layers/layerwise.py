"""What happens in a network layer by layer: residuals per class, settling, separability, shares in the read-out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._results import Result, dataset, unit_dims
from resdyn.analysis.layers import probes
from resdyn.analysis.layers.saved_layers import finite_states, residuals_at, states_at
from resdyn.matrix_family import LogisticResiduals
from resdyn.trajectory import Trajectory

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]
Measure = Literal["fisher_x", "fisher_y", "probe_x", "probe_y"]

_MEASURES: tuple[Measure, ...] = ("fisher_x", "fisher_y", "probe_x", "probe_y")
_MOMENTS = ("mean", "spread")
_RANGES = {"logistic": (0.0, 1.0), "tanh": (-1.0, 1.0)}
# a unit is saturated this close to an end of its range
_SATURATED = 0.01
# every run is close to its own last layer at the end; only a rest of this share of the run, and of so many saved
# layers, is a rest
_REST = 0.1
_REST_SAVED = 3


@dataclass(frozen=True, eq=False, repr=False)
class Transients(Result):
    r"""A batch of states on its way through a network, class by class: what :func:`resdyn.transients` returns.

    Residuals are y where the system has activations, and f where it has not (``of`` says which). At the last saved
    layer they are what one more layer would add (see :attr:`resdyn.Trajectory.residuals`). Spreads are standard
    deviations over the states of a class. Parts that were not asked for are None.

    Attributes
    ----------
    name : str
        The name of the system.
    of : str
        "y" or "f".
    classes : array, shape (n_classes,)
        The labels, sorted; one class "all" if there were none.
    labels : integer array, shape (n_states,)
        The class of each state, as an index of ``classes``; batch axes are flattened.
    included : bool array, shape (n_states,)
        Which states stayed finite at all saved layers. The others count nowhere. Logistic residuals at z = ±∞ are
        finite too; there the statistics of states and logits are infinite or NaN.
    t, layers : array, shape (n_saved,)
        The saved layers.
    residual_mean, residual_spread, state_mean, state_spread : array, shape (n_saved, n_classes, \*shape)
    norm_mean, norm_spread : array, shape (n_saved, n_classes)
        Of the Euclidean norm of the residual.
    settling_layer : integer array, shape (n_states,)
        The first saved layer s from which on the residual stays near its last value r,
        :math:`\frac1d \lVert r_k - r \rVert_1 \le` ``tolerance`` for all :math:`k \ge s`; −1 if that is so for less
        than the last tenth of the layers run or the last three saved layers, so that the state may still be moving. It
        may also move on after the end of the run. r belongs to the last layer that there is: the end of a layer-wise
        system or of a drive is left out.
    tolerance : float
    saturated : array, shape (n_saved, n_classes)
        The share of units whose y is within 0.01 of an end of its range (logistic and tanh; else NaN).
    fisher_x, fisher_y : array, shape (n_saved,), or None
        :func:`~resdyn.analysis.layers.probes.fisher_ratio` of the classes, seen in states and in residuals.
    probe_x, probe_y : array, shape (n_saved,), or None
        Cross-validated accuracy of a linear probe (:func:`~resdyn.analysis.layers.probes.probe_accuracy`).
    null_fisher_x, null_fisher_y, null_probe_x, null_probe_y : array, shape (n_saved, n_shuffles), or None
        The same for shuffled labels.
    contribution_mean, contribution_spread : array, shape (n_saved − 1, n_classes, n_logits), or None
        What the layers between two saved ones add to each logit, for the states of each true class.
    logit_mean : array, shape (n_saved, n_classes, n_logits), or None
        The logits that the read-out would give at each saved layer.
    true_logit : integer array, shape (n_classes,), or None
        The logit of each class; −1 where labels and logits do not correspond.
    readout_accuracy : array, shape (n_saved,), or None
        How often the read-out, applied at each saved layer, is right; NaN where labels and logits do not correspond.
    """

    name: str
    of: str
    classes: Array
    labels: Array
    included: Array
    t: Array
    layers: Array
    residual_mean: Array
    residual_spread: Array
    state_mean: Array
    state_spread: Array
    norm_mean: Array
    norm_spread: Array
    settling_layer: Array
    tolerance: float
    saturated: Array
    fisher_x: Array | None = None
    fisher_y: Array | None = None
    probe_x: Array | None = None
    probe_y: Array | None = None
    null_fisher_x: Array | None = None
    null_fisher_y: Array | None = None
    null_probe_x: Array | None = None
    null_probe_y: Array | None = None
    contribution_mean: Array | None = None
    contribution_spread: Array | None = None
    logit_mean: Array | None = None
    true_logit: Array | None = None
    readout_accuracy: Array | None = None

    @property
    def counts(self) -> Array:
        """The number of states of each class that stayed finite, shape (n_classes,)."""
        return np.bincount(self.labels[self.included], minlength=len(self.classes))

    @property
    def class_settling_layer(self) -> Array:
        """The median settling layer of each class, shape (n_classes,); NaN where half of the class has not settled."""
        return np.array([_median_settling(self._settling_of(i)) for i in range(len(self.classes))])

    @property
    def margin_contribution(self) -> Array | None:
        r"""What each layer adds to the logit of the true class less the mean of the others, (n_saved − 1, n_classes).

        It sums over layers to the gain of that margin from the first saved layer to the last. NaN for a class without a
        logit of its own.
        """
        if self.contribution_mean is None or self.true_logit is None:
            return None
        n_logits = self.contribution_mean.shape[-1]
        margin = np.full(self.contribution_mean.shape[:2], np.nan)
        for i, logit in enumerate(self.true_logit):
            if logit >= 0 and n_logits > 1:
                added = self.contribution_mean[:, i]
                margin[:, i] = added[:, logit] - (added.sum(axis=-1) - added[:, logit]) / (n_logits - 1)
        return margin

    def null(self, measure: Measure) -> tuple[Array, Array]:
        """Mean and 95 % quantile of a measure over shuffled labels, at each saved layer."""
        _, null = self._measured(measure)
        return null.mean(axis=-1), np.quantile(null, 0.95, axis=-1)

    def p_value(self, measure: Measure) -> Array:
        r"""The share of labellings, the true one included, that separate at least as well, shape (n_saved,).

        :math:`p = (1 + \#\{\text{shuffles} \ge \text{true}\})/(1 + n_\text{shuffles})`: the p-value of an exact
        permutation test for each layer by itself. All layers share their shuffles.
        """
        true, null = self._measured(measure)
        p = (1 + (null >= true[:, None]).sum(axis=-1)) / (1 + null.shape[-1])
        return np.where(np.isnan(true), np.nan, p)

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over t, class, unit, state, shuffle, gap (between saved layers) and logit."""
        units = unit_dims(self.residual_mean.ndim - 2)
        of_class = ["t", "class"]
        dims = {
            "included": ["state"],
            "labels": ["state"],
            "settling_layer": ["state"],
            "class_settling_layer": ["class"],
            "true_logit": ["class"],
            "readout_accuracy": ["t"],
            "logit_mean": [*of_class, "logit"],
            "contribution_mean": ["gap", "class", "logit"],
            "contribution_spread": ["gap", "class", "logit"],
            "margin_contribution": ["gap", "class"],
        }
        dims |= {f"{what}_{moment}": [*of_class, *units] for what in ("residual", "state") for moment in _MOMENTS}
        dims |= dict.fromkeys(("norm_mean", "norm_spread", "saturated"), of_class)
        dims |= {measure: ["t"] for measure in _MEASURES} | {f"null_{name}": ["t", "shuffle"] for name in _MEASURES}
        present = {name: getattr(self, name) for name in dims}
        return dataset(
            {name: (dims[name], value) for name, value in present.items() if value is not None},
            coords={"t": self.t, "layer": ("t", self.layers), "class": self.classes},
            attrs={"system": self.name, "residuals": self.of, "tolerance": self.tolerance},
        )

    def __repr__(self) -> str:
        return " ".join(sentence for sentence in self._sentences() if sentence)

    def _sentences(self) -> Iterator[str]:
        n, n_classes = int(self.included.sum()), len(self.classes)
        groups = f" in {n_classes} classes" if n_classes > 1 else ""
        yield (
            f"Transients of {self.name!r}: residuals {self.of} of {_count(n, 'state')}{groups}, "
            f"layers {self.layers[0]} to {self.layers[-1]} ({len(self.layers)} saved)."
        )
        lost = len(self.included) - n
        yield f"{_count(lost, 'state')} left the finite numbers and count{'s' * (lost == 1)} nowhere." if lost else ""
        if not n:
            return
        settled = self.settling_layer[self.included] >= 0
        median = _median_settling(self.settling_layer[self.included])
        half = f", half of all from layer {median:g} on" if np.isfinite(median) else ""
        yield f"{int(settled.sum())} of {n} stay within {self.tolerance:g} of the last residual of this run{half}."
        saturated = float(np.average(self.saturated[-1], weights=self.counts)) if self.counts.all() else np.nan
        yield f"{saturated:.0%} of the units are saturated at the end." if np.isfinite(saturated) else ""
        if self.probe_x is not None and self.probe_y is not None and np.isfinite(self.probe_x).all():
            chance = f" (95 % of shuffled labels: below {self.null('probe_x')[1][-1]:.1%})" if self._has_null() else ""
            yield (
                f"A linear probe tells {self.probe_x[0]:.1%} of the states right at the first saved layer and "
                f"{self.probe_x[-1]:.1%} at the last{chance}, from residuals {self.probe_y[0]:.1%} and "
                f"{self.probe_y[-1]:.1%}."
            )
        if self.readout_accuracy is not None and np.isfinite(self.readout_accuracy[-1]):
            yield f"The read-out is right for {self.readout_accuracy[-1]:.1%} at the last."

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]] | None:
        columns: list[tuple[str, Array | None, str]] = [
            (f"‖{self.of}‖", self._over_classes(self.norm_mean), ".3g"),
            ("saturated", self._over_classes(self.saturated), ".1%"),
            ("probe on x", self.probe_x, ".1%"),
            (f"probe on {self.of}", self.probe_y, ".1%"),
            ("read-out right", self.readout_accuracy, ".1%"),
        ]
        shown = [(title, values, form) for title, values, form in columns if values is not None]
        shown = [(title, values, form) for title, values, form in shown if not np.isnan(values).all()]
        slots = np.unique(np.linspace(0, len(self.layers) - 1, 6).round().astype(int))
        rows = [[self.layers[slot], *(format(values[slot], form) for _, values, form in shown)] for slot in slots]
        return ["layer", *(title for title, _, _ in shown)], rows

    def _over_classes(self, values: Array) -> Array:
        """The mean over all included states of a mean per class, (n_saved, n_classes) to (n_saved,)."""
        if not self.included.any():
            return np.full(len(values), np.nan)
        present = self.counts > 0
        return np.average(values[:, present], axis=1, weights=self.counts[present])

    def _settling_of(self, i: int) -> Array:
        return self.settling_layer[self.included & (self.labels == i)]

    def _has_null(self) -> bool:
        return self.null_probe_x is not None and self.null_probe_x.shape[-1] > 0

    def _measured(self, measure: Measure) -> tuple[Array, Array]:
        validate.choice(measure, "measure", _MEASURES)
        true, null = getattr(self, measure), getattr(self, f"null_{measure}")
        if true is None or not null.shape[-1]:
            raise ValueError(
                "no labels were shuffled; call transients with labels of at least two classes, probes=True and "
                "n_shuffles above 0."
            )
        return true, null


def transients(
    trajectory: Trajectory,
    labels: Any = None,
    *,
    readout: Any = None,
    tolerance: float = 0.01,
    probes: bool = True,
    n_folds: int = 5,
    n_shuffles: int = 50,
    ridge: float = 1e-3,
    rng: np.random.Generator | int = 0,
) -> Transients:
    r"""How the residuals of each class evolve from layer to layer, and how each layer serves the read-out.

    A residual network adds up its residuals, :math:`x_T = x_0 + h\sum_k f_k`, so classes may differ in their transients
    although all residuals end in the same place [lagzi2021]_. The result holds, per saved layer, means and spreads of
    states and residuals in each class, the share of saturated units, the settling layer of each state, how well the
    classes separate in x and in the residuals, and what each layer adds to the logits. The logits at the last layer
    are those at the first plus all contributions (:eq:`readout-contributions`); each contribution is the difference of
    the logits at neighbouring saved layers, so this holds for maps, flows, noise and any read-out.

    Parameters
    ----------
    trajectory : Trajectory
        Of a batch, or of one state. Save every k-th layer to spare time; contributions then join k layers.
    labels : array, shape of the batch, optional
        Numbers or words. Without them all states are one class, and nothing is separated.
    readout : optional
        What makes logits of states: weights of shape (n_logits, d), a pair (weights, bias), an object with
        ``weights`` and ``bias`` (as ``resdyn.systems.trained(...).readout``), or a function of states
        ``(n, *shape)`` to ``(n, n_logits)``. Class i has logit i if there are as many logits as classes, or if labels
        are whole numbers that count the logits.
    tolerance : float
        Mean absolute distance per unit to the last residual of the run within which a state rests. The default is the
        threshold of the depth rule of [lagzi2021]_.
    probes : bool
        Whether to measure separability (needs labels).
    n_folds : int
        Folds of the cross-validation, at most as many as the smallest class has states.
    n_shuffles : int
        Labellings for the null distribution.
    ridge : float
        Of Fisher's ratio and of the probe, relative to the mean variance of a unit.
    rng : numpy Generator or seed
        For folds and shuffles.

    Returns
    -------
    Transients

    Raises
    ------
    TypeError, ValueError
        For labels, a read-out or options that do not fit; a class of one state while ``probes`` is on.

    Notes
    -----
    Residuals are computed layer by layer, and nothing of the size of the trajectory is held beside it. Per layer,
    separability costs one factorization of size min(n, d) for all shuffles together.
    """
    validate.trajectory(trajectory)
    tolerance = validate.positive(tolerance, "tolerance")
    codes, classes = _classes_of(labels, trajectory.batch)
    read = None if readout is None else _logits_of(readout, trajectory.system.shape)
    included = finite_states(trajectory, infinite=True)
    kept = codes[included]
    members = [np.flatnonzero(kept == i) for i in range(len(classes))]
    measure = None
    if probes and len(classes) > 1:
        _check_enough(codes, classes)
        measure = _Separability(kept, len(classes), n_folds, n_shuffles, ridge, rng)
    judged = len(trajectory.t) - _ends_with_no_layer(trajectory)
    last = residuals_at(trajectory, max(judged - 1, 0))[included]
    ends = _range_of(trajectory.system)

    moments: list[dict[str, Array]] = []
    distances: list[Array] = []
    separated: list[dict[str, Array]] = []
    logits: list[Array] = []
    for slot in range(len(trajectory.t)):
        x, y = states_at(trajectory, slot)[included], residuals_at(trajectory, slot)[included]
        moments.append(_moments(x, y, members, ends))
        distances.append(np.abs(y - last).mean(axis=-1))
        if measure is not None:
            separated.append(measure(x, y))
        if read is not None:
            with np.errstate(invalid="ignore"):  # of states at ±∞
                logits.append(read(x))

    settling_layer = np.full(len(codes), -1)
    settling_layer[included] = _settling(np.stack(distances)[:judged], trajectory.layers[:judged], tolerance)
    per_class = {name: np.stack([moment[name] for moment in moments]) for name in moments[0]}
    for name in ("residual_mean", "residual_spread", "state_mean", "state_spread"):
        per_class[name] = per_class[name].reshape(*per_class[name].shape[:2], *trajectory.system.shape)
    return Transients(
        name=trajectory.system.name,
        of="y" if hasattr(trajectory.system, "activations") else "f",
        classes=classes,
        labels=codes,
        included=included,
        t=trajectory.t,
        layers=trajectory.layers,
        settling_layer=settling_layer,
        tolerance=tolerance,
        **per_class,
        **({name: np.stack([at[name] for at in separated]) for name in separated[0]} if separated else {}),
        **(_contributions(np.stack(logits), kept, classes, members) if logits else {}),
    )


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")


def _classes_of(labels: Any, batch: tuple[int, ...]) -> tuple[Array, Array]:
    """(class index of each state, classes), with the batch axes flattened."""
    n = int(np.prod(batch))
    if labels is None:
        return np.zeros(n, dtype=np.int64), np.array(["all"])
    array = np.asarray(labels)
    if array.shape != batch:
        raise ValueError(
            f"labels has shape {array.shape}, but the trajectory has a batch of shape {batch}; "
            "give one label per state."
        )
    return validate.class_labels(array.reshape(n), n)


def _check_enough(codes: Array, classes: Array) -> None:
    counts = np.bincount(codes)
    if counts.min() < 2:
        raise ValueError(
            f"a probe is fitted to some states of a class and tested on others, but class {classes[counts.argmin()]!s} "
            "has one state; leave it out, or pass probes=False."
        )


def _range_of(system: Any) -> tuple[float, float] | None:
    """The open interval that holds y, where it is known and bounded."""
    if isinstance(system, LogisticResiduals):
        return _RANGES["logistic"]
    return _RANGES.get(getattr(getattr(system, "activation", None), "name", ""))


def _ends_with_no_layer(trajectory: Trajectory) -> bool:
    """Whether the last saved state is the end of a layer-wise system or of a drive, so that no layer acts on it."""
    ends = [trajectory.system.depth, None if trajectory.inputs is None else len(trajectory.inputs)]
    return any(end is not None and trajectory.layers[-1] >= end for end in ends)


def _moments(x: Array, y: Array, members: list[Array], ends: tuple[float, float] | None) -> dict[str, Array]:
    """Mean and spread of states, residuals and norms in each class, and the share of saturated units."""
    norms = np.linalg.norm(y, axis=-1)[:, None]
    moments: dict[str, Array] = {}
    for what, values in (("residual", y), ("state", x), ("norm", norms)):
        moments[f"{what}_mean"], moments[f"{what}_spread"] = _class_moments(values, members)
    for name in ("norm_mean", "norm_spread"):
        moments[name] = moments[name][:, 0]
    moments["saturated"] = np.full(len(members), np.nan)
    if ends is not None:
        near = np.minimum(np.abs(y - ends[0]), np.abs(y - ends[1])) <= _SATURATED
        moments["saturated"] = _class_moments(near.mean(axis=-1)[:, None], members)[0][:, 0]
    return moments


def _class_moments(values: Array, members: list[Array]) -> tuple[Array, Array]:
    """Mean and standard deviation over the states of each class, (n, m) to twice (n_classes, m)."""
    mean = np.full((len(members), values.shape[1]), np.nan)
    spread = mean.copy()
    for i, rows in enumerate(members):
        if rows.size:
            with np.errstate(invalid="ignore"):  # legitimate states at ±∞ have no spread
                mean[i], spread[i] = values[rows].mean(axis=0), values[rows].std(axis=0)
    return mean, spread


def _settling(distances: Array, layers: Array, tolerance: float) -> Array:
    """The first saved layer of each state's rest; −1 for a rest too short to tell."""
    if not len(layers):
        return np.full(distances.shape[1], -1)
    slots = np.arange(len(layers))[:, None]
    last_moving = np.where(distances > tolerance, slots, -1).max(axis=0)
    # the last saved layer is at distance 0 from itself, so a next one exists
    first = layers[last_moving + 1]
    rest = max(1, int(np.ceil(_REST * (layers[-1] - layers[0]))))
    long_enough = (layers[-1] - first >= rest) & (len(layers) - 1 - last_moving >= _REST_SAVED + 1)
    return np.where(long_enough, first, -1)


def _median_settling(layers: Array) -> float:
    """The median, a state that has not settled counting as later than any layer; NaN if that is the median."""
    if not layers.size:
        return float("nan")
    ordered = np.sort(np.where(layers < 0, np.inf, layers))
    middle = ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1]
    return float(middle.mean()) if np.isfinite(middle).all() else float("nan")


class _Separability:
    """Fisher's ratio and the probe at one layer, for the same folds and shuffles at all layers."""

    def __init__(
        self,
        codes: Array,
        n_classes: int,
        n_folds: int,
        n_shuffles: int,
        ridge: float,
        rng: np.random.Generator | int,
    ) -> None:
        n_folds = validate.count(n_folds, "n_folds", least=2)
        n_shuffles = validate.count(n_shuffles, "n_shuffles")
        self.n_classes, self.ridge = n_classes, probes.checked_ridge(ridge)
        self.labellings = np.tile(codes, (1 + n_shuffles, 1))
        # divergence is an outcome: too few states left make NaN, not an error
        self.possible = bool((np.bincount(codes, minlength=n_classes) >= 2).all())
        if self.possible:
            generator = validate.generator(rng)
            self.folds = probes.stratified_folds(codes, n_folds, rng=generator)
            self.labellings = probes.shuffled_within_folds(codes, self.folds, n_shuffles, generator)

    def __call__(self, x: Array, y: Array) -> dict[str, Array]:
        found: dict[str, Array] = {}
        for what, values in (("x", x), ("y", y)):
            fisher = probe = np.full(len(self.labellings), np.nan)
            if self.possible and np.isfinite(values).all():
                fisher, probe = probes.separability(values, self.labellings, self.n_classes, self.folds, self.ridge)
            for name, measured in ((f"fisher_{what}", fisher), (f"probe_{what}", probe)):
                found[name], found[f"null_{name}"] = measured[0], measured[1:]
        return found


def _logits_of(readout: Any, shape: tuple[int, ...]) -> Callable[[Array], Array]:
    """A function of flattened states (n, d) to logits (n, n_logits)."""
    if hasattr(readout, "weights") and hasattr(readout, "bias"):
        return _linear(readout.weights, readout.bias, shape)
    if callable(readout):
        return lambda x: _checked_logits(readout(x.reshape(-1, *shape)), x)
    if isinstance(readout, tuple):
        if len(readout) != 2:
            raise ValueError(f"a read-out is a pair (weights, bias), but the tuple given has {len(readout)} entries.")
        return _linear(*readout, shape)
    return _linear(readout, None, shape)


def _linear(weights: Any, bias: Any, shape: tuple[int, ...]) -> Callable[[Array], Array]:
    if isinstance(weights, str):
        raise TypeError(
            f"readout must be weights, a pair (weights, bias), an object with both, or a function of states, "
            f"but is {weights!r}."
        )
    d = int(np.prod(shape))
    rows = validate.real_array(weights, "readout weights")
    if rows.ndim != 2 or rows.shape[1] != d:
        raise ValueError(
            f"the weights of the read-out have shape {rows.shape}, but states of shape {shape} need (n_logits, {d})."
        )
    offset = np.zeros(len(rows)) if bias is None else validate.real_array(bias, "readout bias")
    if offset.shape != (len(rows),):
        raise ValueError(f"the bias of the read-out has shape {offset.shape}, but {len(rows)} logits need one each.")
    return lambda x: x @ rows.T + offset


def _checked_logits(logits: Any, x: Array) -> Array:
    values = np.asarray(logits, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(x):
        raise ValueError(
            f"the read-out returned shape {values.shape} for {len(x)} states; it must return (n, n_logits)."
        )
    return values


def _contributions(logits: Array, codes: Array, classes: Array, members: list[Array]) -> dict[str, Array]:
    """What happens to logits of shape (n_saved, n_states, n_logits), for the states of each class."""
    n_logits = logits.shape[-1]
    with np.errstate(invalid="ignore"):  # of states at ±∞
        gaps = [_class_moments(gap, members) for gap in np.diff(logits, axis=0)]
    empty = np.empty((0, len(members), n_logits))
    true_logit = _logit_of_class(classes, n_logits)
    accuracy = np.full(len(logits), np.nan)
    if (true_logit >= 0).all() and n_logits > 1 and codes.size:
        accuracy = (logits.argmax(axis=-1) == true_logit[codes]).mean(axis=-1)
        accuracy[np.isnan(logits).any(axis=(1, 2))] = np.nan
    return {
        "contribution_mean": np.stack([mean for mean, _ in gaps]) if gaps else empty,
        "contribution_spread": np.stack([spread for _, spread in gaps]) if gaps else empty,
        "logit_mean": np.stack([_class_moments(at, members)[0] for at in logits]),
        "true_logit": true_logit,
        "readout_accuracy": accuracy,
    }


def _logit_of_class(classes: Array, n_logits: int) -> Array:
    """The logit of each class: the label itself if it counts logits, else the place of the class among as many."""
    whole = classes.dtype.kind in "iu" or (classes.dtype.kind == "f" and not (classes % 1).any())
    if whole and classes.min() >= 0 and classes.max() < n_logits:
        return classes.astype(np.int64)
    if len(classes) == n_logits > 1:
        return np.arange(n_logits)
    return np.full(len(classes), -1)
