"""Simulation against peers: maps of 3 and 64 units, flows, and the time to start.

    python -m benchmarks.simulate [--out results/bench] [--threads 1] [--isa native|avx2] [--quick]

Every peer is written as its users would write it at its best: whole arrays and chunks for NumPy, chunks through
``lax.map`` and the best of several sizes for JAX, one loop per trajectory for numba, one ``vmap`` for diffrax. All
run on the same number of cores, by default one.
"""

# ruff: noqa: E402
from benchmarks.measuring import Comparison, isolate, median_seconds, write

TERMS = isolate()

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.special import expit

import resdyn

jax.config.update("jax_enable_x64", True)
Array = NDArray[Any]
H = 0.05


# --- the map x' = x + h σ(W x + b), as peers write it -----------------------------------------------


def numpy_whole(x: Array, W: Array, b: Array, depth: int) -> Array:
    """All states at once."""
    x = x.copy()
    for _ in range(depth):
        x += H / (1 + np.exp(-(x @ W.T + b)))
    return x


def numpy_chunked(x: Array, W: Array, b: Array, depth: int, size: int = 512) -> Array:
    """Chunks that fit the cache, units first, all in place."""
    out = np.empty_like(x)
    for low in range(0, len(x), size):
        s = np.ascontiguousarray(x[low : low + size].T)
        z = np.empty_like(s)
        for _ in range(depth):
            np.dot(W, s, out=z)
            z += b[:, None]
            np.negative(z, out=z)
            np.exp(z, out=z)
            z += 1
            np.divide(H, z, out=z)
            s += z
        out[low : low + size] = s.T
    return out


@njit(parallel=True)
def naive_numba(x0: Array, W: Array, b: Array, depth: int) -> Array:
    """One loop per trajectory."""
    out = np.empty_like(x0)
    n = x0.shape[1]
    for m in prange(x0.shape[0]):
        x = x0[m].copy()
        y = np.empty(n)
        for _ in range(depth):
            for i in range(n):
                z = b[i]
                for j in range(n):
                    z += W[i, j] * x[j]
                y[i] = 1.0 / (1.0 + np.exp(-z))
            for i in range(n):
                x[i] += H * y[i]
        out[m] = x
    return out


@partial(jax.jit, static_argnums=(3, 4))
def jax_chunked(x: Any, W: Any, b: Any, depth: int, size: int) -> Any:
    """Chunks through ``lax.map``, units first."""

    def step(_: int, s: Any) -> Any:
        return s + H * jax.nn.sigmoid(W @ s + b[:, None])

    chunks = x.reshape(-1, size, x.shape[1]).transpose(0, 2, 1)
    return jax.lax.map(lambda s: jax.lax.fori_loop(0, depth, step, s), chunks).transpose(0, 2, 1).reshape(x.shape)


def best_jax(x: Array, W: Array, b: Array, depth: int) -> tuple[str, float]:
    """The fastest chunk size."""
    device = (jnp.asarray(x), jnp.asarray(W), jnp.asarray(b))
    seconds = {
        size: median_seconds(lambda size=size: jax_chunked(*device, depth, size).block_until_ready())  # type: ignore[misc]
        for size in (256, 1024, 4096, 16384)
        if size <= len(x)
    }
    size = min(seconds, key=lambda key: seconds[key])
    return f"jax.jit in chunks of {size}", seconds[size]


def compile_naive_numba() -> None:
    """Once, on next to nothing."""
    naive_numba(np.zeros((2, 3)), np.eye(3), np.zeros(3), 1)


def relative_error(found: Array, expected: Array) -> float:
    """max |Δ| / (1 + |x|)."""
    return float((np.abs(found - expected) / (1 + np.abs(expected))).max())


def small_map(n_states: int, depth: int) -> Comparison:
    """Three units, final state only."""
    W, b = resdyn.systems.cyclic_weights(), np.array([0.05, 0.0, -0.05])
    x0 = np.random.default_rng(1).normal(size=(n_states, 3))
    system = resdyn.ResidualMap(W, b, step=H)
    ours = median_seconds(lambda: resdyn.simulate(system, x0, depth=depth, save="final"))
    single = median_seconds(lambda: resdyn.simulate(system, x0, depth=depth, save="final", dtype=np.float32))
    jax_name, jax_seconds = best_jax(x0, W, b, depth)
    found = resdyn.simulate(system, x0[:2000], depth=depth, save="final").final
    # NumPy needs minutes for all layers of a million states; its time per layer does not change
    few = max(depth // 25, 1)
    whole = f"numpy, whole arrays ({few} layers, scaled)"
    return Comparison(
        f"map, N = 3, {n_states} states × {depth} layers",
        ours,
        {
            "naive numba": median_seconds(lambda: naive_numba(x0, W, b, depth), warm_up=False),
            whole: median_seconds(lambda: numpy_whole(x0, W, b, few)) * depth / few,
            jax_name: jax_seconds,
            "resdyn in float32": single,
        },
        {"naive numba": 5, whole: 30, jax_name: 1.2},
        relative_error(found, numpy_whole(x0[:2000], W, b, depth)),
    )


def large_map(n_states: int, depth: int) -> Comparison:
    """64 units, final state only."""
    rng = np.random.default_rng(2)
    W, b = rng.normal(size=(64, 64)) / 8 - 0.2 * np.eye(64), 0.1 * rng.normal(size=64)
    x0 = rng.normal(size=(n_states, 64))
    system = resdyn.ResidualMap(W, b, step=H)
    ours = median_seconds(lambda: resdyn.simulate(system, x0, depth=depth, save="final"))
    chunked = {
        size: median_seconds(lambda size=size: numpy_chunked(x0, W, b, depth, size))  # type: ignore[misc]
        for size in (128, 512, 2048)
    }
    size = min(chunked, key=lambda key: chunked[key])
    jax_name, jax_seconds = best_jax(x0, W, b, depth)
    numpy_name = f"numpy in chunks of {size}"
    found = resdyn.simulate(system, x0[:500], depth=1000, save="final").final
    return Comparison(
        f"map, N = 64, {n_states} states × {depth} layers",
        ours,
        {
            numpy_name: chunked[size],
            "naive numba": median_seconds(lambda: naive_numba(x0, W, b, depth), warm_up=False),
            jax_name: jax_seconds,
        },
        {numpy_name: 1.5, "naive numba": 2},
        relative_error(found, numpy_whole(x0[:500], W, b, 1000)),
    )


# --- the flow ż = W σ(z) -----------------------------------------------------------------------------


def flow(n_states: int, horizon: float = 50.0, rtol: float = 1e-6, atol: float = 1e-9) -> Comparison:
    """Logistic residual flows of three units."""
    W = resdyn.systems.cyclic_weights()
    system = resdyn.logistic_residuals(W, step=H)
    z0 = system.from_residuals(np.random.default_rng(0).uniform(0.05, 0.95, (n_states, 3)))
    depth = round(horizon / H)
    options: dict[str, Any] = {"depth": depth, "method": "RK45", "save": "final", "rtol": rtol, "atol": atol}
    ours = median_seconds(lambda: resdyn.simulate(system, z0, **options), repeats=5)

    def loop(count: int, method: str = "RK45", rtol: float = rtol, atol: float = atol) -> Array:
        def slope(t: float, z: Array) -> Array:
            return W @ expit(z)

        return np.array(
            [solve_ivp(slope, (0, horizon), z, method=method, rtol=rtol, atol=atol).y[:, -1] for z in z0[:count]]
        )

    Wj, zj = jnp.asarray(W), jnp.asarray(z0)

    def by_diffrax(solver: Any) -> Callable[[], Any]:
        def solve(z: Any) -> Any:
            return diffrax.diffeqsolve(
                diffrax.ODETerm(lambda t, z, args: Wj @ jax.nn.sigmoid(z)),
                solver,
                0.0,
                horizon,
                None,
                z,
                stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
                saveat=diffrax.SaveAt(t1=True),
                max_steps=None,
            ).ys[0]

        compiled = jax.jit(jax.vmap(solve))
        return lambda: compiled(zj).block_until_ready()

    sample = min(100, n_states)
    exact = loop(sample, "DOP853", 1e-12, 1e-14)
    found = resdyn.simulate(system, z0[:sample], **options).final
    return Comparison(
        f"flow, N = 3, {n_states} states to t = {horizon:g}, rtol {rtol:g}",
        ours,
        {
            f"solve_ivp RK45 loop ({sample} states, scaled)": median_seconds(lambda: loop(sample)) * n_states / sample,
            "diffrax Dopri5": median_seconds(by_diffrax(diffrax.Dopri5())),
            "diffrax Tsit5": median_seconds(by_diffrax(diffrax.Tsit5())),
        },
        {f"solve_ivp RK45 loop ({sample} states, scaled)": 500, "diffrax Dopri5": 10, "diffrax Tsit5": 10},
        relative_error(found, exact),
    )


# --- starting ----------------------------------------------------------------------------------------

_FIRST = """
import time; begin = time.perf_counter()
import numba; numba_seconds = time.perf_counter() - begin
import numpy as np
{setup}
begin = time.perf_counter()
import resdyn
system = {system}
resdyn.simulate(system, np.zeros((1000, system.shape[0])), depth=10, save="final")
print(time.perf_counter() - begin)
"""


def in_fresh_process(code: str) -> float:
    """The number that ``code`` prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    return float(done.stdout.split()[-1])


def startup() -> dict[str, float]:
    """Import times, and the first ``simulate`` of a second process beyond importing numba."""

    def importing(name: str) -> float:
        code = f"import time; begin = time.perf_counter(); import {name}; print(time.perf_counter() - begin)"
        return sorted(in_fresh_process(code) for _ in range(5))[2]

    matrix = _FIRST.format(setup="", system="resdyn.ResidualMap(np.eye(3))")
    symbolic = _FIRST.format(setup="import sympy", system="resdyn.systems.lorenz()")
    numpy_seconds, resdyn_seconds = importing("numpy"), importing("resdyn")
    in_fresh_process(matrix), in_fresh_process(symbolic)  # fill the disk cache
    return {
        "import_numpy_seconds": numpy_seconds,
        "import_resdyn_seconds": resdyn_seconds,
        "import_ratio": resdyn_seconds / numpy_seconds,
        "first_simulate_seconds": sorted(in_fresh_process(matrix) for _ in range(3))[1],
        "first_simulate_symbolic_seconds": sorted(in_fresh_process(symbolic) for _ in range(3))[1],
    }


def main() -> None:
    """Run all, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder for the numbers")
    parser.add_argument("--threads", type=int, default=1, help="cores and threads for everybody")
    parser.add_argument("--isa", choices=["native", "avx2"], default="native", help="instructions all may use")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    arguments = parser.parse_args()
    scale = 8 if arguments.quick else 1
    compile_naive_numba()
    comparisons = []
    for make in (
        lambda: small_map(1048576 // scale, 1000 // scale),
        lambda: large_map(8192 // scale, 1000 // scale),
        lambda: flow(10000 // scale),
    ):
        comparisons.append(make())
        print(comparisons[-1], flush=True)
    start = startup()
    print("\n".join(f"{name}: {value:.3g}" for name, value in start.items()))
    name = f"simulate-{TERMS.isa}-{TERMS.threads}.json"
    write(arguments.out / name, comparisons, {"startup": start, "terms": asdict(TERMS)})


if __name__ == "__main__":
    main()
