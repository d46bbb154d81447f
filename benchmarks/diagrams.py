"""Orbit diagrams, alignment indices and covariant vectors against peers.

    python -m benchmarks.diagrams [--out results/bench] [--threads 1] [--isa native|avx2] [--quick]

The diagrams are those of the logistic map over r and of a damped three-unit map over its gain. pynamicalsys runs with
its own models and, for the network, with a compiled rule of ours; the numba loop is the textbook one, one value per
iteration of ``prange``. What making the systems of a family costs counts for us, except where the job says otherwise.
The error is the largest difference to the loop, or to the peer while rounding lets the orbits agree.
"""

# ruff: noqa: E402
from benchmarks.measuring import Comparison, isolate, median_seconds, write

TERMS = isolate()

import argparse
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from pynamicalsys import DiscreteDynamicalSystem

import resdyn

Array = NDArray[Any]
W, B = np.array([[0.6, -1.2, 0.4], [0.4, 0.6, -1.2], [-1.2, 0.4, 0.6]]), np.array([0.1, -0.1, 0.05])
STEP = 0.9


# --- as peers write it -------------------------------------------------------------------------------


@njit(parallel=True)
def logistic_loop(values: Array, x0: float, transient: int, depth: int) -> Array:
    out = np.empty((values.size, depth))
    for i in prange(values.size):
        x = x0
        for k in range(transient + depth):
            x = values[i] * x * (1 - x)
            if k >= transient:
                out[i, k - transient] = x
    return out


@njit(parallel=True)
def network_loop(gains: Array, x0: Array, transient: int, depth: int) -> Array:
    out = np.empty((gains.size, depth, 3))
    for i in prange(gains.size):
        x, y = x0.copy(), np.empty(3)
        for k in range(transient + depth):
            for u in range(3):
                z = B[u]
                for v in range(3):
                    z += gains[i] * W[u, v] * x[v]
                y[u] = np.tanh(z)
            for u in range(3):
                x[u] += STEP * (y[u] - x[u])
            if k >= transient:
                out[i, k - transient] = x
    return out


@njit
def network_rule(u: Array, parameters: Array) -> Array:
    after = np.empty(3)
    for i in range(3):
        z = B[i]
        for j in range(3):
            z += parameters[0] * W[i, j] * u[j]
        after[i] = u[i] + STEP * (np.tanh(z) - u[i])
    return after


def network(gain: float) -> resdyn.ResidualMap:
    """The same map as a system."""
    return resdyn.ResidualMap(W * gain, B, activation="tanh", damping=1.0, step=STEP)


# --- comparisons --------------------------------------------------------------------------------------


def logistic_diagram(n: int, *, made_before: bool) -> Comparison:
    values, transient, depth = np.linspace(2.8, 4.0, n), 1000, 100
    peer = DiscreteDynamicalSystem(model="logistic map")

    made = {float(r): resdyn.systems.logistic_map(r=float(r)) for r in values}

    def new(r: float) -> resdyn.System:
        return resdyn.systems.logistic_map(r=r)

    def ours() -> Array:
        family = made.__getitem__ if made_before else new
        diagram = resdyn.orbit_diagram(family, values, [0.3], depth=depth, transient=transient, threads=TERMS.threads)
        return diagram.x[..., 0]

    def theirs() -> Any:
        return peer.bifurcation_diagram([0.3], 0, values, transient + depth, transient_time=transient)

    early = values < 3.4  # behind, rounding decides where on the attractor an orbit is
    error = float(np.abs(ours()[early] - logistic_loop(values, 0.3, transient, depth)[early]).max())
    return Comparison(
        f"orbit diagram of the logistic map, {n} values of {transient} + {depth} layers"
        + (", systems made before" if made_before else ""),
        median_seconds(ours),
        {
            "pynamicalsys": median_seconds(theirs),
            "naive numba": median_seconds(lambda: logistic_loop(values, 0.3, transient, depth)),
        },
        {"pynamicalsys": 1.0} if made_before else {},
        error,
    )


def network_diagram(n: int) -> Comparison:
    gains, transient, depth, x0 = np.linspace(0.2, 0.6, n), 1000, 100, np.array([0.1, 0.2, -0.3])
    peer = DiscreteDynamicalSystem(mapping=network_rule, system_dimension=3, number_of_parameters=1)

    def ours() -> Array:
        return resdyn.orbit_diagram(network, gains, x0, depth=depth, transient=transient, threads=TERMS.threads).x

    def theirs() -> Any:
        return peer.bifurcation_diagram(x0, 0, gains, transient + depth, transient_time=transient)

    error = float(np.abs(ours() - network_loop(gains, x0, transient, depth)).max())
    return Comparison(
        f"orbit diagram of three units, {n} gains of {transient} + {depth} layers",
        median_seconds(ours),
        {
            "pynamicalsys": median_seconds(theirs),
            "naive numba": median_seconds(lambda: network_loop(gains, x0, transient, depth)),
        },
        {"pynamicalsys": 1.0},
        error,
    )


def alignment(n_orbits: int, depth: int) -> Comparison:
    """The peer stops an orbit at 1e-16; here it is told not to."""
    system = resdyn.systems.standard_map(K=1.5)
    peer = DiscreteDynamicalSystem(model="standard map")
    starts = np.random.default_rng(0).uniform(0, 1, size=(n_orbits, 2))
    vectors = np.linalg.qr(np.random.RandomState(3).rand(2, 2))[0].T
    # the peer takes each Jacobian one step later
    moved = resdyn.simulate(system, 2 * np.pi * starts, depth=1).final

    def ours() -> Array:
        found = resdyn.chaos_indicators(system, moved, depth=depth, deviations=vectors, threads=TERMS.threads)
        return found.sali[:10]

    def theirs() -> None:
        for start in starts:
            peer.SALI(start, depth, parameters=1.5, tol=0.0, seed=3)

    times = np.arange(1, 9)
    expected = [
        np.ravel(peer.SALI(x, 8, parameters=1.5, return_history=True, sample_times=times, seed=3)) for x in starts[:50]
    ]
    error = float(np.abs(ours()[:8, :50] - np.transpose(expected)).max())
    return Comparison(
        f"SALI of {n_orbits} orbits of the standard map, {depth} layers",
        median_seconds(ours),
        {"pynamicalsys": median_seconds(theirs)},
        {"pynamicalsys": 2.0},
        error,
    )


def covariant(depth: int) -> Comparison:
    system, peer = resdyn.systems.henon(), DiscreteDynamicalSystem(model="henon map")
    _, orbit = peer.CLV([0.1, 0.1], 10, parameters=[1.4, 0.3], warmup_time=1000)

    def ours() -> Any:
        return resdyn.covariant_vectors(system, orbit[0], depth=depth, transient=0, threads=TERMS.threads)

    def theirs() -> Any:
        return peer.CLV(orbit[0], depth, parameters=[1.4, 0.3], warmup_time=0, tail_time=1000)[0]

    # the second vector is decided by the next layers, so it is the same from the beginning
    v, w = ours().vectors[:10, 1], theirs()[:10, :, 1]
    error = float(np.minimum(np.linalg.norm(v - w, axis=1), np.linalg.norm(v + w, axis=1)).max())
    return Comparison(
        f"covariant vectors of the Hénon map, {depth} layers",
        median_seconds(ours),
        {"pynamicalsys": median_seconds(theirs)},
        {"pynamicalsys": 1.0},
        error,
    )


def main() -> None:
    """Run all comparisons and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/bench"))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--isa")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        comparisons = [
            logistic_diagram(2000 // scale, made_before=True),
            logistic_diagram(2000 // scale, made_before=False),
            network_diagram(2000 // scale),
            alignment(1000 // scale, 1000),
            covariant(20_000 // scale),
        ]
    for comparison in comparisons:
        print(comparison)
    write(options.out / "diagrams.json", comparisons, {"terms": asdict(TERMS)})


if __name__ == "__main__":
    main()
