"""Basins of attraction: resdyn against the same search in numba, JAX and NumPy, and what more threads bring.

    python -m benchmarks.basins [--out results/bench] [--threads 2] [--quick]

A grid of initial states of a bistable network of two units; every orbit is run until it is within 1e-3 of one of two
known attractors. The peers are written as a careful user would: numba as a parallel loop over states that tests in
every layer and ends with its orbit; JAX as a loop over chunks, NumPy with the orbits that are done taken out, both with
a test every eight layers. The other jobs are the search without prior knowledge: of a flow against the basin function
of pynamicalsys, which runs every orbit for a given time and clusters what it samples then (it has none for maps), and
of maps with fixed points and with a chaotic attractor on one thread against all.
"""

# ruff: noqa: E402
from benchmarks.measuring import Comparison, isolate, median_seconds, write

TERMS = isolate()

import argparse
import math
import statistics
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn

Array = NDArray[Any]

_DISTANCE, _DEPTH = 1e-3, 2000


def naive_numba(system: resdyn.ResidualMap, attractors: Array) -> Callable[[Array], Array]:
    """One state after the other, in parallel, with libm's exp."""
    import numba

    W, b, h = system.W, system.b, system.step

    @numba.njit(parallel=True, fastmath={"contract"}, error_model="numpy")
    def label(states: Array, targets: Array) -> Array:
        labels = np.full(len(states), -1)
        for m in numba.prange(len(states)):
            x, y = states[m, 0], states[m, 1]
            for _ in range(_DEPTH):
                for k in range(len(targets)):
                    if (x - targets[k, 0]) ** 2 + (y - targets[k, 1]) ** 2 < _DISTANCE**2:
                        labels[m] = k
                if labels[m] >= 0:
                    break
                u = W[0, 0] * x + W[0, 1] * y + b[0]
                v = W[1, 0] * x + W[1, 1] * y + b[1]
                x = (1 - h) * x + h / (1 + math.exp(-u))
                y = (1 - h) * y + h / (1 + math.exp(-v))
        return labels

    return lambda states: np.asarray(label(states, attractors))


def numpy_active_set(system: resdyn.ResidualMap, attractors: Array) -> Callable[[Array], Array]:
    """All states at once, those that are done taken out every eight layers."""

    def label(states: Array) -> Array:
        x, index, labels = states.copy(), np.arange(len(states)), np.full(len(states), -1)
        for layer in range(_DEPTH):
            if layer % 8 == 0:
                squares = ((x[:, None] - attractors) ** 2).sum(axis=-1)
                nearest = squares.argmin(axis=1)
                done = squares[np.arange(len(x)), nearest] < _DISTANCE**2
                labels[index[done]] = nearest[done]
                x, index = x[~done], index[~done]
                if not len(x):
                    break
            x = (1 - system.step) * x + system.step / (1 + np.exp(-(x @ system.W.T + system.b)))
        return labels

    return label


def jax_chunks(system: resdyn.ResidualMap, attractors: Array) -> Callable[[Array], Array]:
    """Chunks of 5000 states, each a while loop of eight layers at a time."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    W, b, targets, h = jnp.array(system.W), jnp.array(system.b)[:, None], jnp.array(attractors), system.step

    def squares(x: Any) -> Any:
        return ((x[None] - targets[:, :, None]) ** 2).sum(axis=1)

    def chunk(x: Any) -> Any:
        def layer(_: Any, x: Any) -> Any:
            return (1 - h) * x + h * jax.nn.sigmoid(W @ x + b)

        def going(carry: Any) -> Any:
            return jnp.any(~carry[1]) & (carry[2] < _DEPTH)

        def run(carry: Any) -> Any:
            x = jax.lax.fori_loop(0, 8, layer, carry[0])
            return x, carry[1] | (squares(x).min(axis=0) < _DISTANCE**2), carry[2] + 8

        x, done, _ = jax.lax.while_loop(going, run, (x, jnp.zeros(x.shape[1], bool), 0))
        return jnp.where(done, jnp.argmin(squares(x), axis=0), -1)

    run = jax.jit(lambda chunks: jax.lax.map(chunk, chunks))

    def label(states: Array) -> Array:
        chunks = np.moveaxis(states.reshape(-1, min(5000, len(states)), 2), 1, 2)
        return np.asarray(run(chunks)).ravel()

    return label


def by_proximity(size: int, repeats: int, every: int) -> Comparison:
    """A bistable network, its two attractors known, against the peers that test as often."""
    system = resdyn.systems.bistable()
    axis = np.linspace(-2, 2, size)
    known = resdyn.basins_of_attraction(system, (np.array([0.0, 1.0]),) * 2).attractors
    states = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    options: dict[str, Any] = {"distance": _DISTANCE, "depth": _DEPTH, "every": every, "threads": TERMS.threads}

    def ours() -> Any:
        return resdyn.basins_of_attraction(system, (axis, axis), attractors=known, **options)

    makers = {"naive numba": naive_numba} if every == 1 else {"jax": jax_chunks, "numpy": numpy_active_set}
    peers, wrong = {}, 0.0
    found = ours()
    inside = ~found.boundary.ravel()
    for name, make in makers.items():
        try:
            label = make(system, known.points)
        except ImportError:
            continue
        wrong = max(wrong, float((label(states) != found.labels.ravel())[inside].mean()))
        peers[name] = median_seconds(lambda label=label: label(states), repeats=repeats)  # type: ignore[misc]
    return Comparison(
        job=f"basins of a bistable network, {size}² states, a test every {every} layers, {TERMS.threads} threads",
        ours=median_seconds(ours, repeats=2 * repeats),
        peers=peers,
        targets={"naive numba": 4.0, "jax": 6.0},
        error=wrong,
    )


def of_a_flow(size: int, repeats: int) -> Comparison:
    """The Duffing oscillator, attractors not known, from the same states."""
    system = resdyn.systems.duffing()
    axis = np.linspace(-2, 2, size)
    states = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)

    def ours() -> Any:
        return resdyn.basins_of_attraction(system, (axis, axis), dynamics="flow", threads=TERMS.threads)

    peers, wrong = {}, 0.0
    found = ours()
    try:
        label = pynamicalsys_clusters()
    except ImportError:
        pass
    else:
        theirs = label(states)
        # its labels are numbered as they come up
        pairs = {(int(a), int(b)) for a, b in zip(theirs, found.labels.ravel(), strict=True)}
        wrong = float(len(pairs) != len(found.attractors))
        peers["pynamicalsys"] = median_seconds(lambda: label(states), repeats=repeats)
    return Comparison(
        job=f"basins of the Duffing flow without prior knowledge, {size}² states, {TERMS.threads} threads",
        ours=median_seconds(ours, repeats=2 * repeats),
        peers=peers,
        targets={},
        error=wrong,
    )


def pynamicalsys_clusters() -> Callable[[Array], Array]:
    """Three states, one unit of time apart, after a transient in which all orbits come to a hundredth."""
    import numba
    from pynamicalsys import ContinuousDynamicalSystem

    @numba.njit
    def duffing(t: float, u: Array, parameters: Array) -> Array:
        slope = np.empty(2)
        slope[0], slope[1] = u[1], u[0] - u[0] ** 3 - parameters[0] * u[1]
        return slope

    peer = ContinuousDynamicalSystem(equations_of_motion=duffing, system_dimension=2, number_of_parameters=1)
    # its adaptive method fails on many states; with these steps its errors are a hundred times ours, in its favour
    peer.integrator("rk4", time_step=0.1)
    options: dict[str, Any] = {"parameters": np.array([0.2]), "transient_time": 80.0, "sampling_time": 1.0, "eps": 0.05}
    return lambda states: np.asarray(peer.basin_of_attraction(states, 3, **options))


def without_prior_knowledge(system: resdyn.System, reach: float, size: int, repeats: int) -> Comparison:
    """Attractors found and basins labelled, on one thread and on all, in turn."""
    axis = np.linspace(-reach, reach, size)

    def search(threads: int) -> Any:
        return resdyn.basins_of_attraction(system, (axis, axis), threads=threads)

    one, many = search(1), search(TERMS.threads)
    seconds: dict[int, list[float]] = {1: [], TERMS.threads: []}
    for _ in range(repeats):
        for threads, times in seconds.items():
            times.append(median_seconds(lambda threads=threads: search(threads), repeats=1, warm_up=False))  # type: ignore[misc]
    return Comparison(
        job=f"basins of the {system.name} without prior knowledge, {size}² states, {TERMS.threads} threads",
        ours=statistics.median(seconds[TERMS.threads]),
        peers={"resdyn on one thread": statistics.median(seconds[1])} if TERMS.threads > 1 else {},
        targets={},
        error=float((one.labels != many.labels).mean()),
    )


def main() -> None:
    """Run all, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder for the numbers")
    parser.add_argument("--threads", type=int, default=1, help="cores and threads for everybody")
    parser.add_argument("--isa", choices=["native", "avx2"], default="native", help="instructions all may use")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    arguments = parser.parse_args()
    size, repeats = (100, 3) if arguments.quick else (500, 7)
    comparisons = []
    for job in (
        lambda: by_proximity(size, repeats, every=1),
        lambda: by_proximity(size, repeats, every=8),
        lambda: of_a_flow(size // 5, repeats),
        lambda: without_prior_knowledge(resdyn.systems.newton_map(), 2.0, 2 * size, repeats),
        lambda: without_prior_knowledge(resdyn.systems.henon(), 1.5, 2 * size, repeats),
        lambda: without_prior_knowledge(resdyn.systems.bistable(), 2.0, 2 * size, repeats),
    ):
        comparisons.append(job())
        print(comparisons[-1], flush=True)
    write(arguments.out / f"basins-{TERMS.isa}-{TERMS.threads}.json", comparisons, {"terms": asdict(TERMS)})


if __name__ == "__main__":
    main()
