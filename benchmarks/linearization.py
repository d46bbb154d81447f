"""Jacobians of residual units and their spectra against torch.func and LAPACK.

    python -m benchmarks.linearization [--out results/bench] [--threads 1] [--quick] [--small]

The unit in the middle of each stage of the public ResNet-56, at an image of CIFAR-10, if RESDYN_DATA says where they
are; else of a ResNet-56 with random weights. Which inner units fire decides how long we take, so the numbers that
count are those of the trained net. ``--quick`` leaves out what takes minutes; ``--small`` takes a tiny net, to see
that all runs.
"""

# ruff: noqa: E402
from benchmarks.measuring import Comparison, isolate, median_seconds, write

TERMS = isolate()

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, svds

import resdyn
from resdyn.networks.linearization import LinearizedUnit
from resdyn.networks.linearization.inertia import Counter
from resdyn.networks.linearization.spectrum import spectrum_of_factors

Array = NDArray[Any]
WEIGHTS = "resnet56-4bfd9763"
PREPROCESSING = resdyn.networks.Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
JACREV = "torch.func.jacrev, chunk 256, float32"
IN_STAGE = 4
"""The unit taken of each stage: an identity on the skip path, in the middle."""


class Case:
    """A unit and a state."""

    def __init__(self, unit: Any, double: Any, state: Array, stage: int) -> None:
        self.unit, self.double, self.state, self.stage = unit, double, state, stage

    def linearize(self) -> LinearizedUnit:
        """Anew: nothing of it is cached."""
        return resdyn.networks.linearize(self.unit, self.state)

    def single(self) -> torch.Tensor:
        """The Jacobian as most people take it."""
        x = torch.from_numpy(self.state.astype(np.float32)).reshape(-1)
        return torch.func.jacrev(self.flat(self.unit), chunk_size=256)(x).detach()  # type: ignore[no-any-return]

    def flat(self, unit: Any) -> Callable[[torch.Tensor], torch.Tensor]:
        """The map of flattened states."""
        return lambda v: unit.function(v.reshape(1, *unit.shape_before)).reshape(-1)

    def operator(self) -> LinearOperator:
        """In double precision, by torch.func: a JVP or a VJP for each product."""
        function, x = self.flat(self.double), torch.from_numpy(self.state).reshape(-1)
        _, transposed = torch.func.vjp(function, x)

        def matvec(v: Array) -> Array:
            tangent = torch.from_numpy(np.ascontiguousarray(v).ravel())
            return torch.func.jvp(function, (x,), (tangent,))[1].detach().numpy()  # type: ignore[no-any-return]

        def rmatvec(w: Array) -> Array:
            cotangent = torch.from_numpy(np.ascontiguousarray(w).ravel())
            return transposed(cotangent)[0].detach().numpy()  # type: ignore[no-any-return]

        n, m = self.linearize().shape
        return LinearOperator((n, m), matvec=matvec, rmatvec=rmatvec, dtype=np.float64)

    @cached_property
    def dense(self) -> torch.Tensor:
        """The Jacobian in double precision."""
        return torch.from_numpy(self.linearize().to_dense())

    @cached_property
    def values(self) -> Array:
        """Its singular values, descending, from LAPACK."""
        return torch.linalg.svdvals(self.dense).numpy()  # type: ignore[no-any-return]

    def gram_values(self) -> Array:
        """The same through JᵀJ: half the digits are lost near zero."""
        squares = torch.linalg.eigvalsh(self.dense.T @ self.dense).numpy()
        return np.sqrt(np.maximum(squares, 0))[::-1]  # type: ignore[no-any-return]

    @property
    def title(self) -> str:
        """Which unit it is."""
        return f"unit {self.unit.index} of stage {self.stage} ({self.unit.shape_before})"


def cases(small: bool) -> list[Case]:
    """One unit of each stage."""
    net, image = network(small)
    unrolled = resdyn.networks.unroll(net, image)
    double = resdyn.networks.unroll(net, image, dtype=torch.float64)
    states = unrolled.trace(image, keep=("states",)).states
    per_stage = len(unrolled.units) // 3
    indices = [stage * per_stage + min(IN_STAGE, per_stage - 1) for stage in range(3)]
    return [
        Case(unrolled.units[k], double.units[k], states[k][0].astype(np.float64), stage + 1)
        for stage, k in enumerate(indices)
    ]


def network(small: bool) -> tuple[Any, Array]:
    """A network in eval mode, and an input."""
    if small:
        return trained_like(resdyn.networks.resnet(14, widths=(4, 8, 8)), 16)
    if "RESDYN_DATA" not in os.environ:
        return trained_like(resdyn.networks.resnet(56), 32)
    net = resdyn.networks.load(WEIGHTS, preprocessing=PREPROCESSING)
    image = resdyn.data.cifar10("test").subset(slice(1)).pixels()
    return net, PREPROCESSING(image).astype(np.float32)


def trained_like(net: Any, size: int) -> tuple[Any, Array]:
    """With batch norms that have seen something."""
    torch.manual_seed(0)
    with torch.no_grad():
        net.train()(torch.randn(32, 3, size, size))
    return net.eval(), np.random.default_rng(0).normal(size=(1, 3, size, size)).astype(np.float32)


# --- jobs -------------------------------------------------------------------------------------------


def jacobians(case: Case, repeats: int) -> Iterator[Comparison]:
    """Factors, and the sparse matrix, against the dense Jacobian."""
    peers = {JACREV: median_seconds(case.single, repeats=repeats)}
    x = torch.from_numpy(case.state).reshape(-1)
    probe = torch.from_numpy(np.random.default_rng(0).standard_normal(len(x)))
    expected = torch.func.jvp(case.flat(case.double), (x,), (probe,))[1].detach().numpy()
    jobs: tuple[tuple[str, Callable[[], Any], tuple[float, ...]], ...] = (
        ("factors", case.linearize, (30, 8, 6)),
        ("sparse Jacobian", lambda: case.linearize().to_sparse(), (10, 2, 1)),
    )
    for job, work, targets in jobs:
        yield Comparison(
            job=f"{job}, {case.title} (error: of a product, relative to the largest entry)",
            ours=median_seconds(work, repeats=repeats),
            peers=peers,
            targets={JACREV: targets[case.stage - 1]},
            error=float(np.abs(work() @ probe.numpy() - expected).max() / np.abs(expected).max()),
        )


def spectra(case: Case, repeats: int) -> Iterator[Comparison]:
    """One count and all values, against both dense ways; the Jacobian and the factors are there."""
    case.dense  # noqa: B018  (not on the peers' clock)
    peers = {
        "torch.linalg.svdvals, float64": median_seconds(lambda: case.values, repeats=1, warm_up=False),
        "eigvalsh(JᵀJ), float64": median_seconds(case.gram_values, repeats=1, warm_up=False),
    }
    svd, gram = peers
    factors = case.linearize().factors
    assert factors is not None, "the unit was not read off its layers"
    thresholds = midpoints(case.values)
    wrong = [Counter(factors).count_above(t) - int((case.values > t).sum()) for t in thresholds]
    yield Comparison(
        job=f"one exact count, {case.title}, with what several counts share (error: of {len(wrong)} counts)",
        ours=median_seconds(lambda: Counter(factors).count_above(thresholds[0]), repeats=repeats),
        peers=peers,
        targets={svd: 200, gram: 60},
        error=float(np.abs(wrong).max()),
    )
    counter, fresh = Counter(factors), iter(np.linspace(0.8, 1.2, repeats + 1))  # counts are remembered
    yield Comparison(
        job=f"one more exact count, {case.title} (error: as above)",
        ours=median_seconds(lambda: counter.count_above(next(fresh)), repeats=repeats),
        peers=peers,
        targets={svd: 200, gram: 60},
        error=float(np.abs(wrong).max()),
    )
    yield Comparison(
        job=f"all singular values, {case.title}",
        ours=median_seconds(lambda: spectrum_of_factors(factors), repeats=repeats),
        peers=peers,
        targets={svd: 12, gram: 4},
        error=float(np.abs(spectrum_of_factors(factors).values - case.values).max()),
    )


def spectrum_beside_gram(case: Case) -> Comparison:
    """All values where a dense singular value decomposition takes too long to wait for."""
    factors, gram = case.linearize().factors, list[Array]()
    assert factors is not None, "the unit was not read off its layers"
    case.dense  # noqa: B018  (not on the peer's clock)
    seconds = median_seconds(lambda: gram.append(case.gram_values()), repeats=1, warm_up=False)
    ours: list[Array] = []
    mine = median_seconds(lambda: ours.append(spectrum_of_factors(factors).values), repeats=1, warm_up=False)
    # squares are exact to rounding times the largest: small values themselves are not
    return Comparison(
        job=f"all singular values, {case.title} (error: of squares; one repetition)",
        ours=mine,
        peers={"eigvalsh(JᵀJ), float64": seconds},
        targets={"eigvalsh(JᵀJ), float64": 4},
        error=float(np.abs(ours[0] ** 2 - gram[0] ** 2).max()),
    )


def spectrum_alone(case: Case) -> Comparison:
    """All values at stage 1: the peers would take half an hour. The error is that of counts by inertia."""
    factors = case.linearize().factors
    assert factors is not None, "the unit was not read off its layers"
    found: list[Array] = []
    seconds = median_seconds(lambda: found.append(spectrum_of_factors(factors).values), repeats=1, warm_up=False)
    counter = Counter(factors)
    wrong = [counter.count_above(t) - int((found[0] > t).sum()) for t in midpoints(found[0])]
    return Comparison(
        job=f"all singular values, {case.title} (error: of {len(wrong)} counts; one repetition)",
        ours=seconds,
        peers={},
        targets={},
        error=float(np.abs(wrong).max()),
    )


def triplets(case: Case, repeats: int) -> Comparison:
    """The six largest triplets."""
    unit, operator = case.linearize(), case.operator()
    peer = "scipy svds of a torch.func operator"
    rng = np.random.default_rng(0)
    expected = np.sort(svds(operator, k=6, return_singular_vectors=False, rng=rng))[::-1]
    return Comparison(
        job=f"six largest triplets, {case.title}",
        ours=median_seconds(lambda: unit.triplets(6), repeats=repeats),
        peers={peer: median_seconds(lambda: svds(operator, k=6, rng=rng), repeats=repeats, warm_up=False)},
        targets={peer: 5},
        error=float(np.abs(unit.triplets(6).values - expected).max()),
    )


def midpoints(values: Array, count: int = 10) -> list[float]:
    """Thresholds between values that are not equal, all along."""
    distinct = np.unique(values)
    between = ((distinct[1:] + distinct[:-1]) / 2)[np.diff(distinct) > 1e-8]
    return between[np.linspace(0, len(between) - 1, count).round().astype(int)].tolist()  # type: ignore[no-any-return]


def jobs(small: bool, quick: bool) -> Iterator[Comparison]:
    """Cheap ones first."""
    repeats = 1 if quick else 3
    first, second, third = cases(small)
    for case in (third, second, first):
        yield from jacobians(case, repeats)
    yield triplets(third, repeats)
    if small or not quick:
        yield from spectra(third, repeats)
        yield spectrum_alone(first)
        yield spectrum_beside_gram(second)


def main() -> None:
    """Run all, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder for the numbers")
    parser.add_argument("--threads", type=int, default=1, help="cores and threads for everybody")
    parser.add_argument("--isa", choices=["native", "avx2"], default="native", help="instructions all may use")
    parser.add_argument("--quick", action="store_true", help="one repetition, and nothing that takes minutes")
    parser.add_argument("--small", action="store_true", help="a tiny net, to see that all runs")
    arguments = parser.parse_args()
    torch.set_num_threads(TERMS.threads)
    comparisons = []
    for comparison in jobs(arguments.small, arguments.quick):
        if arguments.small:
            comparison.targets.clear()  # they are for the real sizes
        comparisons.append(comparison)
        print(comparison, flush=True)
    weights = "random" if arguments.small or "RESDYN_DATA" not in os.environ else WEIGHTS
    target = arguments.out / f"linearization-{TERMS.isa}-{TERMS.threads}.json"
    write(target, comparisons, {"terms": asdict(TERMS), "weights": weights})


if __name__ == "__main__":
    main()
