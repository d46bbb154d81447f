"""What analyses of a stage of 16,384 variables cost in processor time: the table of docs/networks/bridge.rst.

    python -m benchmarks.network_costs

One thread; the first stage of the pre-activation ResNet-20 that ships, at random images: times do not depend on them.
"""

# ruff: noqa: E402
from benchmarks.measuring import isolate

isolate()

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import resdyn


def seconds(job: Callable[[], Any], repeats: int) -> float:
    """Median processor time, after one run that warms up."""
    job()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        job()
        times.append(time.process_time() - start)
    return float(np.median(times))


def costs(dtype: str) -> dict[str, float]:
    """Seconds for each line of the table."""
    net = resdyn.networks.load("resnet20-cifar10-seed0")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 3, 32, 32))
    noise = 0.01 * rng.standard_normal((5, *x.shape))
    network = resdyn.networks.unroll(net, x[:1], dtype=dtype)
    stage, states = network.stages[0], network.stem(x)
    tangent = resdyn.tangent_map(resdyn.simulate(stage, states[0]))
    v = np.ones(tangent.shape[1])
    jobs: dict[str, tuple[Callable[[], Any], int]] = {
        "unroll": (lambda: resdyn.networks.unroll(net, x[:1], dtype=dtype), 5),
        "trace of 20 images": (lambda: network.trace(x), 5),
        "simulate of the stage, 20 images": (lambda: resdyn.simulate(stage, states), 5),
        "tangent_map(...).matvec of the stage": (lambda: tangent.matvec(v), 5),
        "tangent_map(...).rmatvec, from the second one on": (lambda: tangent.rmatvec(v), 5),
        "lyapunov_spectrum of one image, three exponents": (
            lambda: resdyn.lyapunov_spectrum(stage, states[0], n_exponents=3),
            3,
        ),
        "finite_time_exponents of one image, three exponents": (
            lambda: resdyn.finite_time_exponents(stage, states[0], n_exponents=3),
            3,
        ),
        "simulate of one image as a flow, RK45": (lambda: resdyn.simulate(stage, states[0], method="RK45"), 1),
        "propagate of five perturbations of each of 20 images, 9 units": (
            lambda: resdyn.propagate(network, x, noise),
            1,
        ),
    }
    return {name: seconds(job, repeats) for name, (job, repeats) in jobs.items()}


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    single, double = costs("float32"), costs("float64")
    print(f"{'what':<64}{'float32':>10}{'float64':>10}")
    for name, value in single.items():
        print(f"{name:<64}{value:>10.2g}{double[name]:>10.2g}")


if __name__ == "__main__":
    main()
