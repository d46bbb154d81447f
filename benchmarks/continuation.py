"""A branch of fixed points with its bifurcations: resdyn against a loop over the parameter with SciPy's root finder.

    python -m benchmarks.continuation [--out results/bench] [--threads 2] [--quick]

The peer is a careful user's loop: at the same parameters, from the fixed point before, with the Jacobian given, and
Brent's method between two parameters where the number of unstable directions changes. It cannot pass
folds, tells no kinds, and sees one of two bifurcations between the same parameters; the branches here have no folds.
"""

# ruff: noqa: E402
from benchmarks.measuring import Comparison, isolate, median_seconds, write

TERMS = isolate()

import argparse
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, root

import resdyn

Array = NDArray[Any]

LOW, HIGH = 0.05, 1.5


def network(n: int) -> resdyn.ResidualMap:
    """A random tanh network with damping."""
    generator = np.random.default_rng(n)
    W, b = 1.2 * generator.normal(size=(n, n)) / np.sqrt(n), 0.5 * generator.normal(size=n)
    return resdyn.ResidualMap(W, b, activation="tanh", damping=1.0, step=1.0)


def loop(system: resdyn.ResidualMap, values: Array) -> list[float]:
    """Where the number of unstable directions changes, by SciPy."""

    def solved(value: float, x: Array) -> tuple[Array, Array]:
        at = system.replace(gain=value)
        x = root(lambda s: at.residual(0.0, s), x, jac=lambda s: at.jacobian(0.0, s), tol=1e-12).x
        return x, np.sort(np.abs(1.0 + np.linalg.eigvals(at.jacobian(0.0, x))))[::-1] - 1.0

    x, growth = solved(values[0], np.zeros(system.shape))
    found = []
    for before, value in pairwise(values):
        previous, count = x, int((growth > 0).sum())
        x, growth = solved(value, x)
        after = int((growth > 0).sum())
        if after != count:
            crossing = min(count, after)
            found.append(float(brentq(lambda v, p=previous, c=crossing: solved(v, p)[1][c], before, value, xtol=1e-12)))
    return found


def followed(n: int, *, repeats: int) -> Comparison:
    """The same branch, both ways."""
    system = network(n)

    def ours() -> resdyn.Branch:
        return resdyn.continuation(lambda gain: system.replace(gain=gain), np.zeros(n), (LOW, HIGH))

    branch = ours()
    values = loop(system, branch.values)
    # of two bifurcations between two parameters the loop sees one
    error = max((float(np.abs(branch.bifurcation_values - value).min()) for value in values), default=0.0)
    return Comparison(
        job=f"N = {n}: {len(branch)} points, {len(branch.bifurcations)} bifurcations, {len(values)} by the loop",
        ours=median_seconds(ours, repeats=repeats),
        peers={"scipy root": median_seconds(lambda: loop(system, branch.values), repeats=repeats)},
        targets={},
        error=error,
    )


def main() -> None:
    """Run all, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder for the numbers")
    parser.add_argument("--threads", type=int, default=1, help="cores and threads for everybody")
    parser.add_argument("--isa", choices=["native", "avx2"], default="native", help="instructions all may use")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    arguments = parser.parse_args()
    comparisons = []
    for n in (4, 16) if arguments.quick else (4, 16, 64, 200):
        comparisons.append(followed(n, repeats=1 if n > 100 else 3))
        print(comparisons[-1], flush=True)
    write(arguments.out / f"continuation-{TERMS.isa}-{TERMS.threads}.json", comparisons, {"terms": asdict(TERMS)})


if __name__ == "__main__":
    main()
