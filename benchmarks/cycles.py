"""All cycles of the Hénon map: resdyn against one call of a solver per start, and the limit cycles of the Lorenz flow.

    python -m benchmarks.cycles [--out results/bench] [--quick]

The peer is SciPy as a careful user would write it: ``fsolve`` with the exact Jacobian on the same equations of multiple
shooting, from the same starts, one after the other, and a list without repetitions. Both are asked for the same period,
and the cycles found are counted.
"""

# ruff: noqa: E402
from benchmarks.measuring import Comparison, isolate, median_seconds, write

TERMS = isolate()

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import fsolve

import resdyn
from resdyn.analysis.periodic import loops

Array = NDArray[Any]

A, B = 1.4, 0.3


def starts_on_the_attractor(period: int, n: int) -> Array:
    """Pieces of one long orbit."""
    x = resdyn.simulate(resdyn.systems.henon(), [0.1, 0.1], depth=n + period, transient=100).x
    return np.stack([x[k : k + period] for k in range(n)])


def scipy_cycles(starts: Array) -> Array:
    """Closed orbits (n, p, 2), each once, of prime period p."""
    p = starts.shape[1]

    def gaps(flat: Array) -> Array:
        x = flat.reshape(p, 2)
        image = np.stack([1 - A * x[:, 0] ** 2 + x[:, 1], B * x[:, 0]], axis=1)
        return np.asarray(image - np.roll(x, -1, axis=0)).ravel()

    def jacobian(flat: Array) -> Array:
        matrix = np.zeros((2 * p, 2 * p))
        for k in range(p):
            after = 2 * ((k + 1) % p)
            matrix[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] += [[-2 * A * flat[2 * k], 1.0], [B, 0.0]]
            matrix[2 * k : 2 * k + 2, after : after + 2] -= np.eye(2)
        return matrix

    found = []
    for start in starts:
        solution, _, outcome, _ = fsolve(gaps, start.ravel(), fprime=jacobian, full_output=True, xtol=1e-12)
        if outcome == 1 and np.abs(gaps(solution)).max() < 1e-11:
            found.append(solution.reshape(p, 2))
    orbits = np.array(found).reshape(-1, p, 2)
    known = np.full(len(orbits), 1e-8)
    orbits = orbits[loops.distinct(orbits, known)[0]]
    return orbits[loops.shortest_periods(orbits, known[: len(orbits)]) == p]


def of_henon(period: int, n: int, *, repeats: int) -> Comparison:
    """The same starts for both."""
    system, starts = resdyn.systems.henon(), starts_on_the_attractor(period, n)
    ours = resdyn.cycles(system, period, starts=starts[:, 0])
    theirs = scipy_cycles(starts)
    error = float(ours.residual_norm.max(initial=0.0))
    return Comparison(
        job=f"Hénon, p = {period}, {n} starts: {len(ours)} cycles (fsolve {len(theirs)})",
        ours=median_seconds(lambda: resdyn.cycles(system, period, starts=starts[:, 0]), repeats=5),
        peers={"fsolve": median_seconds(lambda: scipy_cycles(starts), repeats=repeats, warm_up=False)},
        targets={},
        error=error,
    )


def of_lorenz() -> dict[str, float]:
    """The limit cycles near T = 1.6 and 2.3, from 16 near returns each."""
    flow = resdyn.systems.lorenz()
    resdyn.cycles(flow, 1.6, dynamics="flow", n_starts=1)
    begin = time.perf_counter()
    found = [resdyn.cycles(flow, guess, dynamics="flow") for guess in (1.6, 2.3)]
    return {
        "seconds": time.perf_counter() - begin,
        "cycles": float(sum(map(len, found))),
        "trivial_multiplier_error": float(max(cycles.trivial_multiplier_error.max() for cycles in found)),
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
    for period, n in ((6, 100), (8, 100)) if arguments.quick else ((8, 1000), (12, 2000), (14, 4000)):
        comparisons.append(of_henon(period, n, repeats=1))
        print(comparisons[-1], flush=True)
    measured = of_lorenz()
    print(", ".join(f"{name} {value:.4g}" for name, value in measured.items()))
    name = f"cycles-{TERMS.isa}-{TERMS.threads}.json"
    write(arguments.out / name, comparisons, {"lorenz": measured, "terms": asdict(TERMS)})


if __name__ == "__main__":
    main()
