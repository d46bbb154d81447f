"""The main job on real input: a network trained on handwritten digits, read as a dynamical system.

    python -m experiments.demo [--out results/demo]

Loads two trained shared-weight logistic residual networks (64 units for the 8×8 digits that scikit-learn carries,
3 units for concentric circles), runs all test samples as initial conditions, prints a report, and writes
digits.png, digits.json and circles.json.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from resdyn import plotting, systems

Array = NDArray[Any]

LONG = 200  # layers to look for the end state, beyond the 15 that were trained
ENUMERATED = 16  # so many units at most: all equilibria are listed


def test_data(name: str, network: systems.TrainedNetwork) -> tuple[Array, Array]:
    """The samples that training never saw."""
    if name == "circles":
        return resdyn.data.circles(1000, rng=1)
    images, labels = resdyn.data.digits()
    return images[network.test_index], labels[network.test_index]


def residual_jacobians(W: Array, y: Array) -> Array:
    """∂ẏ/∂y of ẏ = y(1 − y)∘(Wy) at residuals y of shape (n, N), shape (n, N, N)."""
    diagonal = (1 - 2 * y) * (y @ W.T)
    return (y * (1 - y))[..., None] * W + diagonal[..., None] * np.eye(W.shape[0])


def equilibria(closed: resdyn.LogisticResiduals) -> dict[str, int] | None:
    """All equilibria of the residuals and how many are stable under the map; None where there are too many."""
    if closed.shape[0] > ENUMERATED:
        return None
    points = resdyn.fixed_points(closed)
    return {"points": len(points), "stable": int((points.stability("map") == 1).sum())}


def throughput(network: systems.TrainedNetwork, states: Array, *, copies: int = 100) -> float:
    """States × layers per second, final state only, median of three runs."""
    many = np.tile(states, (copies, 1))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        resdyn.simulate(network.system, many, depth=network.depth, save="final")
        seconds.append(time.perf_counter() - start)
    return len(many) * network.depth / float(np.median(seconds))


def analyse(name: str) -> tuple[dict[str, Any], resdyn.Trajectory, Array]:
    """All numbers of one network; also its trajectory over the trained layers and the labels, for the figure."""
    network = systems.trained(name)  # type: ignore[arg-type]
    inputs, labels = test_data(name, network)
    states = network.embed(inputs)
    trajectory = resdyn.simulate(network.system, states, depth=network.depth)
    layerwise = resdyn.transients(trajectory, labels, readout=network.readout, probes=False)
    y = trajectory.activations

    long = resdyn.simulate(network.system, states, depth=LONG)
    y_end = long.activations[-1]
    closed = resdyn.logistic_residuals(network.system.W, network.system.b)
    speed = np.linalg.norm(y_end * (1 - y_end) * (y_end @ closed.W.T), axis=-1)
    growth = np.linalg.eigvals(residual_jacobians(closed.W, y_end)).real.max(axis=-1)
    rule = resdyn.depth_rule(long)
    signs = resdyn.cooperation(network.system)
    accuracy = layerwise.readout_accuracy
    assert accuracy is not None
    numbers: dict[str, Any] = {
        "network": name,
        "units": network.system.shape[0],
        "layers": network.depth,
        "test_samples": len(labels),
        "test_accuracy": float(accuracy[-1]),
        "residual_mean_per_layer": y.mean(axis=(1, 2)).tolist(),
        "residual_spread_per_layer": y.std(axis=1).mean(axis=-1).tolist(),
        # the layer that the rule would keep as the last one is where the residuals stop changing
        "settling_layer": None if rule.depth == rule.n_layers else rule.depth - 1,
        "settling_threshold": rule.threshold,
        "saturated_share_at_last_layer": float(np.average(layerwise.saturated[-1], weights=layerwise.counts)),
        "end_layer": LONG,
        "end_speed_median": float(np.median(speed)),
        "end_growth_rate_median": float(np.median(growth)),
        "end_growth_rate_largest": float(growth.max()),
        "end_stable_share": float((growth < 0).mean()),
        "equilibria": equilibria(closed),
        "interactions": signs.links,
        "relations": signs.counts,
        "states_times_layers_per_second": throughput(network, states),
        "resdyn_version": resdyn.__version__,
    }
    return numbers, trajectory, labels


def report(numbers: dict[str, Any]) -> str:
    """The numbers in words."""
    mean, spread = numbers["residual_mean_per_layer"], numbers["residual_spread_per_layer"]
    settling, links, found = numbers["settling_layer"], numbers["interactions"], numbers["equilibria"]
    settled = f"from layer {settling} on" if settling is not None else f"not within {numbers['end_layer']} layers"
    pairs = ", ".join(f"{count} {relation}" for relation, count in numbers["relations"].items() if count)
    layers = [0, numbers["layers"] // 2, numbers["layers"]]
    lines = [
        f"{numbers['network']}: {numbers['units']} logistic units, {numbers['layers']} shared layers, "
        f"{numbers['test_samples']} test samples",
        f"  test accuracy       {numbers['test_accuracy']:.4f}",
        "  residuals y         " + "; ".join(f"layer {k}: {mean[k]:.3f} ± {spread[k]:.3f}" for k in layers),
        f"  settling            {settled} (mean change below {numbers['settling_threshold']} per layer)",
        f"  saturated units     {numbers['saturated_share_at_last_layer']:.1%} at layer {numbers['layers']}",
        f"  at layer {numbers['end_layer']}        speed |dy/dt| {numbers['end_speed_median']:.2g}, growth rate "
        f"{numbers['end_growth_rate_median']:.3g} (median), {numbers['end_growth_rate_largest']:.3g} (largest); "
        f"{numbers['end_stable_share']:.0%} of end states linearly stable",
        f"  interactions        {links['helping']} helping, {links['hindering']} hindering weights; pairs: {pairs}",
        f"  throughput          {numbers['states_times_layers_per_second']:.3g} states × layers per second",
    ]
    if found is not None:
        lines.insert(-2, f"  equilibria          {found['points']} of the residuals, {found['stable']} of them stable")
    return "\n".join(lines)


def most_telling_unit(y: Array, labels: Array) -> int:
    """The unit whose residual differs most between class means, summed over layers."""
    means = np.stack([y[:, labels == label].mean(axis=1) for label in np.unique(labels)])
    return int(means.var(axis=0).sum(axis=0).argmax())


def plot(trajectory: resdyn.Trajectory, labels: Array, title: str) -> Any:
    """The panel: residual transients, cumulative states, spread per layer, interaction matrix."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    axes = figure.subplots(2, 2)
    unit = most_telling_unit(trajectory.activations, labels)
    plotting.residual_transients(trajectory, labels, unit=unit, ax=axes[0, 0]).set_title(
        "Residual of the most class-dependent unit"
    )
    plotting.cumulative_states(trajectory, labels, unit=unit, ax=axes[0, 1]).set_title("Its running sum")
    plotting.spread_per_layer(trajectory, labels, ax=axes[1, 0]).set_title("Spread over test images")
    plotting.interaction_matrix(trajectory.system, ax=axes[1, 1]).set_title("Who helps and who hinders whom")
    figure.suptitle(title)
    return figure


def main() -> None:
    """Analyse both networks, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/demo"), help="folder for figure and numbers")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    for name in ("circles", "digits"):
        numbers, trajectory, labels = analyse(name)
        (out / f"{name}.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
        print(report(numbers), flush=True)
    title = f"{trajectory.system.name}: {numbers['units']} units, {numbers['layers']} layers, {len(labels)} test images"
    plot(trajectory, labels, title).savefig(out / "digits.png", dpi=120)
    print(f"wrote {out}/digits.png, digits.json, circles.json in {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
