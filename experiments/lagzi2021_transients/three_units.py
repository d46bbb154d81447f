r"""What one trained network with shared weights does as a dynamical system: where its residuals go, and by which signs.

The residuals y of :math:`x_{k+1} = x_k + \sigma(Wx_k + b)` obey a closed system of their own, whose equilibria lie on
the faces of the cube and can all be listed; see :func:`resdyn.logistic_residuals` and :func:`resdyn.fixed_points`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from resdyn.analysis.layers.probes import probe_accuracy, stratified_folds

Array = NDArray[Any]

NEAR = 1e-3
"""Residuals this near to an equilibrium count as there: a thousandth of their range, far less than the distances
between vertices, and far more than what is left of a transient after thousands of layers."""
RESOLUTION = 0.01
"""Of residuals that count as equal: the threshold of the depth rule of the paper."""
NULLS = 20
NO_END = "no end"
PROBED = ("x at the last layer", "y at the last layer", "y at that resolution", "y in the long run")


def embedded(points: Array, units: int) -> Array:
    """Inputs as states: zeros are appended."""
    states = np.zeros((len(points), units))
    states[:, : points.shape[1]] = points
    return states


def along_layers(W: Array, b: Array, x: Array, labels: Array, depth: int) -> dict[str, Array]:
    """Means over each class of the residuals of all layers, of the network and of the flow, and of the last state.

    ``y_map`` and ``y_flow`` have shape (depth + 1, classes, units): the last one would be that of one layer more.
    """
    network, closed = resdyn.ResidualMap.residual(W, b), resdyn.logistic_residuals(W, b)
    states = resdyn.simulate(network, x, depth=depth).x
    z = closed.from_input(x)
    y = {
        "y_map": closed.activations(0.0, closed.from_input(states)),
        "y_flow": closed.activations(0.0, resdyn.simulate(closed, z, depth=depth, method="RK45").x),
    }
    classes = np.unique(labels)
    found = {name: np.stack([value[:, labels == c].mean(axis=1) for c in classes], axis=1) for name, value in y.items()}
    last = {"x_last": states[-1], "y_last": y["y_map"][-2]}
    for name, value in last.items():
        found[name] = value
        found[f"{name}_mean"] = np.stack([value[labels == c].mean(axis=0) for c in classes])
        found[f"{name}_deviation"] = np.stack([value[labels == c].std(axis=0) for c in classes])
    return found


def long_run(W: Array, b: Array, x: Array, layers: int) -> dict[str, Array]:
    """Residuals after many layers, the equilibrium that each is at (−1: none), and all equilibria there are."""
    closed = resdyn.logistic_residuals(W, b)
    end = resdyn.simulate(closed, closed.from_input(x), depth=layers, save="final").final
    y = closed.activations(0.0, end)
    points = resdyn.fixed_points(closed)
    distances = np.abs(y[:, None] - points.y).max(axis=-1)
    nearest = distances.argmin(axis=1)
    # a cycle may pass by an equilibrium for long; only one that attracts, or decides nothing, is an end
    stability = points.stability("map")
    there = (distances.min(axis=1) < NEAR) & (stability[nearest] != 0)
    return {
        "y_long": y,
        "at": np.where(there, nearest, -1),
        "passing": (distances.min(axis=1) < NEAR) & (stability[nearest] == 0),
        "equilibria": points.y,
        "complete": np.array(points.complete),
        "stable_map": stability,
        "stable_flow": points.stability("flow"),
        "eigenvalues": points.eigenvalues,
    }


def separated(found: dict[str, Array], labels: Array, seed: int) -> dict[str, Array]:
    """Accuracy of linear probes on states and on residuals, and of the same probes for shuffled labels.

    Each is fitted to four fifths of the samples and judged by the fifth; ``null`` is the largest of the shuffles.
    """
    y = found["y_last"]
    looked_at = (found["x_last"], y, np.round(y / RESOLUTION) * RESOLUTION, found["y_long"])
    folds = stratified_folds(labels, rng=seed)
    shuffles = np.random.default_rng(seed)
    shuffled = [shuffles.permutation(labels) for _ in range(NULLS)]
    return {
        "probes": np.array([probe_accuracy(value, labels, folds) for value in looked_at]),
        "null": np.array([max(probe_accuracy(value, other, folds) for other in shuffled) for value in looked_at]),
    }


def structure(W: Array, b: Array, found: dict[str, Array]) -> dict[str, Array]:
    """Who helps whom, and Lyapunov functions: for the flow and the map, without a state and then for an equilibrium.

    That is the stable equilibrium that most samples reach, if there is one.
    """
    closed = resdyn.logistic_residuals(W, b)
    relations = resdyn.cooperation(closed)
    stable = [i for i in np.unique(found["at"]) if i >= 0 and found["stable_map"][i] == 1]
    at: Any = NO_END
    if stable:
        most = max(stable, key=lambda i: int((found["at"] == i).sum()))
        at = closed.from_residuals(found["equilibria"][most])
    certificates = [
        NO_END if place is NO_END else resdyn.lyapunov_function(closed, dynamics=dynamics, at=place).form or "none"
        for place in (None, at)
        for dynamics in ("flow", "map")
    ]
    counts = relations.counts
    return {
        "certificates": np.array(certificates),
        "pairs": np.array([counts["predator-prey"], counts["mutualism"], counts["competition"]]),
        "balanced": np.array(relations.balanced),
        "monotone": np.array([relations.is_monotone(dynamics) is True for dynamics in ("flow", "map")]),
        "self_limiting": np.array(relations.links["self-limiting"]),
    }


def other_attractors(W: Array, b: Array, x: Array, starts: int, layers: int) -> Array:
    """The kinds of attractors, equilibria or not, that orbits from the box around the inputs go to, one by one."""
    closed = resdyn.logistic_residuals(W, b)
    z = closed.from_input(x)
    # a saturated unit drifts off for ever, and squares of its distance overflow where nothing depends on it
    with np.errstate(over="ignore"):
        found = resdyn.attractors(closed, (z.min(axis=0), z.max(axis=0)), n_starts=starts, depth=layers)
    return np.array(found.kinds, dtype=str)
