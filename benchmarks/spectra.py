"""Lyapunov spectra against peers: one long orbit of 3 units, one of 64, and many short orbits.

    python -m benchmarks.spectra [--out results/bench] [--threads 1] [--isa native|avx2] [--quick]

The map is the damped one, x' = (1 − hλ)x + hσ(Wx + b), with its Jacobian given to everybody. pynamicalsys runs with
both of its QR methods, and the faster one counts; the numba loop is the textbook Gram–Schmidt, one orbit per iteration
of ``prange``; JAX scans over layers with ``jnp.linalg.qr``, under ``vmap`` for many orbits.
"""

# ruff: noqa: E402
from benchmarks.measuring import Comparison, isolate, median_seconds, write

TERMS = isolate()

import argparse
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from pynamicalsys import DiscreteDynamicalSystem

import resdyn

jax.config.update("jax_enable_x64", True)
Array = NDArray[Any]
H = DAMPING = 0.05


def network(n: int) -> tuple[Array, Array]:
    """Weights and bias: three units in a cycle, or random ones."""
    if n == 3:
        return resdyn.systems.cyclic_weights(), np.array([0.05, 0.0, -0.05])
    rng = np.random.default_rng(2)
    return rng.normal(size=(n, n)) * 4 / np.sqrt(n), 0.1 * rng.normal(size=n)


def ours(W: Array, b: Array) -> resdyn.ResidualMap:
    """The same map as a system; its λ is 1, so that hλ = 0.05."""
    return resdyn.ResidualMap(W, b, step=H, damping=DAMPING / H)


# --- as peers write it -------------------------------------------------------------------------------


def numpy_qr(W: Array, b: Array, x: Array, depth: int) -> Array:
    """The reference: one QR decomposition per layer."""
    n = len(b)
    Q, total = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0], np.zeros(n)
    for _ in range(depth):
        y = 1 / (1 + np.exp(-(W @ x + b)))
        Q, R = np.linalg.qr((1 - DAMPING) * Q + H * (y * (1 - y))[:, None] * (W @ Q))
        x = (1 - DAMPING) * x + H * y
        total += np.log(np.abs(np.diag(R)))
    return np.sort(total / depth / H)[::-1]


@njit
def gram_schmidt(W: Array, b: Array, x0: Array, depth: int) -> Array:
    """Scalar loops; the rows of Q are the vectors."""
    n = b.size
    x, Q, P, total, y, slope = x0.copy(), np.eye(n), np.empty((n, n)), np.zeros(n), np.empty(n), np.empty(n)
    for _ in range(depth):
        for i in range(n):
            z = b[i]
            for j in range(n):
                z += W[i, j] * x[j]
            y[i] = 1.0 / (1.0 + np.exp(-z))
        for i in range(n):
            x[i] = (1 - DAMPING) * x[i] + H * y[i]
            slope[i] = H * y[i] * (1 - y[i])
        for k in range(n):
            for i in range(n):
                product = 0.0
                for j in range(n):
                    product += W[i, j] * Q[k, j]
                P[k, i] = (1 - DAMPING) * Q[k, i] + slope[i] * product
        for k in range(n):
            for other in range(k):
                share = 0.0
                for i in range(n):
                    share += Q[other, i] * P[k, i]
                for i in range(n):
                    P[k, i] -= share * Q[other, i]
            length = 0.0
            for i in range(n):
                length += P[k, i] * P[k, i]
            length = np.sqrt(length)
            total[k] += np.log(length)
            for i in range(n):
                Q[k, i] = P[k, i] / length
    return total / depth / H


@njit(parallel=True)
def scalar_prange(W: Array, b: Array, x0: Array, depth: int) -> Array:
    """One orbit per iteration."""
    out = np.empty_like(x0)
    for i in prange(x0.shape[0]):
        out[i] = gram_schmidt(W, b, x0[i], depth)
    return out


@njit
def pynamicalsys_map(u: Array, parameters: Array) -> Array:
    """W and b come flattened in ``parameters``."""
    n = u.size
    v = np.empty(n)
    for i in range(n):
        z = parameters[n * n + i]
        for j in range(n):
            z += parameters[n * i + j] * u[j]
        v[i] = (1 - DAMPING) * u[i] + H / (1.0 + np.exp(-z))
    return v


@njit
def pynamicalsys_jacobian(u: Array, parameters: Array, *rest: Any) -> Array:
    """The same for the Jacobian."""
    n = u.size
    J = np.zeros((n, n))
    for i in range(n):
        z = parameters[n * n + i]
        for j in range(n):
            z += parameters[n * i + j] * u[j]
        y = 1.0 / (1.0 + np.exp(-z))
        for j in range(n):
            J[i, j] = H * y * (1 - y) * parameters[n * i + j]
        J[i, i] += 1 - DAMPING
    return J


def best_pynamicalsys(W: Array, b: Array, x0: Array, depth: int) -> tuple[str, float]:
    """The faster of its two QR methods."""
    n = len(b)
    system = DiscreteDynamicalSystem(
        mapping=pynamicalsys_map,
        jacobian=pynamicalsys_jacobian,
        system_dimension=n,
        number_of_parameters=n * n + n,
    )
    parameters = np.concatenate([W.ravel(), b])

    def work(method: str, layers: int) -> Any:
        return system.lyapunov(x0, layers, parameters=parameters, method=method)

    seconds = {}
    for method in ("QR", "QR_HH"):
        work(method, 10)
        seconds[method] = median_seconds(partial(work, method, depth), warm_up=False)
    method = min(seconds, key=lambda key: seconds[key])
    return f"pynamicalsys, {method}", seconds[method]


@partial(jax.jit, static_argnums=3)
def jax_scan(W: Any, b: Any, x: Any, depth: int) -> Any:
    """One orbit."""
    n = b.size

    def layer(carry: Any, _: Any) -> Any:
        x, Q, total = carry
        y = jax.nn.sigmoid(W @ x + b)
        Q, R = jnp.linalg.qr((1 - DAMPING) * Q + (H * y * (1 - y))[:, None] * (W @ Q))
        return ((1 - DAMPING) * x + H * y, Q, total + jnp.log(jnp.abs(jnp.diag(R)))), None

    return jax.lax.scan(layer, (x, jnp.eye(n), jnp.zeros(n)), None, length=depth)[0][2] / depth / H


# --- the comparisons ---------------------------------------------------------------------------------


def one_orbit(n: int, depth: int, target: float) -> Comparison:
    """All exponents of one orbit."""
    W, b = network(n)
    x0 = np.random.default_rng(0).normal(size=n)
    system = ours(W, b)
    seconds = median_seconds(lambda: resdyn.lyapunov_spectrum(system, x0, depth=depth), repeats=9)
    device = (jnp.asarray(W), jnp.asarray(b), jnp.asarray(x0))
    pynamicalsys_name, pynamicalsys_seconds = best_pynamicalsys(W, b, x0, depth)
    gram_schmidt(W, b, x0, 2)
    checked = min(depth, 2000)
    found = resdyn.lyapunov_spectrum(system, x0, depth=checked)
    return Comparison(
        f"spectrum, N = {n}, {depth} layers",
        seconds,
        {
            pynamicalsys_name: pynamicalsys_seconds,
            "numba, scalar Gram–Schmidt": median_seconds(lambda: gram_schmidt(W, b, x0, depth)),
            "jax.lax.scan": median_seconds(lambda: jax_scan(*device, depth).block_until_ready()),
        },
        {pynamicalsys_name: target},
        float(np.abs(found.exponents - numpy_qr(W, b, x0, checked)).max()),
    )


def many_orbits(n_orbits: int, depth: int) -> Comparison:
    """All exponents of many orbits of three units."""
    W, b = network(3)
    x0 = np.random.default_rng(0).normal(size=(n_orbits, 3))
    system = ours(W, b)
    seconds = median_seconds(lambda: resdyn.lyapunov_spectrum(system, x0, depth=depth), repeats=9)
    scalar_prange(W, b, x0[:2], 2)
    # JAX needs seconds for all layers; its time per layer does not change
    few = max(depth // 20, 1)
    ensemble = jax.jit(jax.vmap(lambda x: jax_scan(jnp.asarray(W), jnp.asarray(b), x, few)))
    states = jnp.asarray(x0)
    jax_name = f"jax.lax.scan under vmap ({few} layers, scaled)"
    found = resdyn.lyapunov_spectrum(system, x0[:5], depth=depth)
    return Comparison(
        f"spectra, N = 3, {n_orbits} orbits × {depth} layers",
        seconds,
        {
            "numba, scalar prange": median_seconds(lambda: scalar_prange(W, b, x0, depth)),
            jax_name: median_seconds(lambda: ensemble(states).block_until_ready()) * depth / few,
        },
        {"numba, scalar prange": 5, jax_name: 20},
        max(float(np.abs(found.exponents[i] - numpy_qr(W, b, x0[i], depth)).max()) for i in range(5)),
    )


def main() -> None:
    """Run all, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder for the numbers")
    parser.add_argument("--threads", type=int, default=1, help="cores and threads for everybody")
    parser.add_argument("--isa", choices=["native", "avx2"], default="native", help="instructions all may use")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    arguments = parser.parse_args()
    scale = 10 if arguments.quick else 1
    comparisons = []
    for make in (
        lambda: one_orbit(3, 100_000 // scale, target=4),
        lambda: one_orbit(64, 2000 // scale, target=3),
        lambda: many_orbits(4096, 1000 // scale),
    ):
        comparisons.append(make())
        print(comparisons[-1], flush=True)
    write(arguments.out / f"spectra-{TERMS.isa}-{TERMS.threads}.json", comparisons, {"terms": asdict(TERMS)})


if __name__ == "__main__":
    main()
