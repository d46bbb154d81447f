"""All equilibria of logistic residual dynamics: resdyn against NumPy, and twenty units in bounded memory.

    python -m benchmarks.equilibria [--out results/bench] [--threads 2] [--quick]

The peer is NumPy as a careful user would write it: one solve per set of inner units for all corners at once. It decides
by tolerance; resdyn decides by error bounds and in rational arithmetic.
"""

# ruff: noqa: E402
from benchmarks.measuring import Comparison, isolate, median_seconds, write

TERMS = isolate()

import argparse
import resource
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn

Array = NDArray[Any]


def numpy_equilibria(W: Array) -> Array:
    """Every face, one set of inner units at a time."""
    n = len(W)
    units = np.arange(n)
    found = [((np.arange(1 << n)[:, None] >> units) & 1).astype(float)]
    for mask in range(1, 1 << n):
        inner = (mask >> units) & 1 == 1
        outside = units[~inner]
        corners = ((np.arange(1 << len(outside))[:, None] >> np.arange(len(outside))) & 1).astype(float)
        M = np.linalg.solve(W[np.ix_(inner, inner)], -W[np.ix_(inner, ~inner)])
        values = corners @ M.T
        keep = ((values > 1e-12) & (values < 1 - 1e-12)).all(axis=1)
        if keep.any():
            y = np.empty((int(keep.sum()), n))
            y[:, inner], y[:, ~inner] = values[keep], corners[keep]
            found.append(y)
    return np.concatenate(found)


def listed(n: int, *, repeats: int) -> Comparison:
    """The whole list, in order, with exact signs of all rates."""
    W = np.random.default_rng(n).normal(size=(n, n))
    system = resdyn.logistic_residuals(W)
    points = resdyn.fixed_points(system)
    expected = numpy_equilibria(W)
    if len(points) != len(expected) or not points.complete:
        raise RuntimeError(f"resdyn finds {len(points)} equilibria of {n} units, NumPy {len(expected)}")
    return Comparison(
        job=f"all equilibria, N = {n}: {len(points)} of {3**n} faces",
        ours=median_seconds(lambda: resdyn.fixed_points(system), repeats=5),
        peers={"numpy": median_seconds(lambda: numpy_equilibria(W), repeats=repeats, warm_up=False)},
        targets={},
        error=float(points.residual_norm.max()),
    )


def streamed(n: int) -> dict[str, float]:
    """Count, block by block."""
    W = np.random.default_rng(n).normal(size=(n, n))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    count = sum(len(block) for block in resdyn.iterate_fixed_points(resdyn.logistic_residuals(W)))
    return {
        "units": n,
        "faces": float(3**n),
        "equilibria": count,
        "seconds": time.perf_counter() - begin,
        "memory_growth_mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    }


def main() -> None:
    """Run all, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder for the numbers")
    parser.add_argument("--threads", type=int, default=1, help="cores and threads for everybody")
    parser.add_argument("--isa", choices=["native", "avx2"], default="native", help="instructions all may use")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    arguments = parser.parse_args()
    comparisons = []
    for n, repeats in ((8, 3), (10, 3)) if arguments.quick else ((12, 3), (16, 1)):
        comparisons.append(listed(n, repeats=repeats))
        print(comparisons[-1], flush=True)
    counted = streamed(12 if arguments.quick else 20)
    print(", ".join(f"{name} {value:.4g}" for name, value in counted.items()))
    name = f"equilibria-{TERMS.isa}-{TERMS.threads}.json"
    write(arguments.out / name, comparisons, {"streamed": counted, "terms": asdict(TERMS)})


if __name__ == "__main__":
    main()
