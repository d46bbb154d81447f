"""Trained networks against plain torch and foolbox: unroll, trace, derivatives, attacks.

    python -m benchmarks.networks [--out results/bench] [--threads 1] [--quick]

A ResNet-20 for CIFAR with random weights, since times do not depend on them. Plain torch is a forward pass, forward
hooks on the units, and torch.func.jvp of the module; foolbox takes the same steps as ours from the same start.
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
import torch
from numpy.typing import NDArray

import resdyn

with warnings.catch_warnings():
    # foolbox 3.3 imports a namespace of SciPy that is on its way out
    warnings.simplefilter("ignore", DeprecationWarning)
    import foolbox

Array = NDArray[Any]
MEAN, STD = (0.5, 0.484375, 0.4375), (0.25, 0.203125, 0.21875)


def network() -> Any:
    """A ResNet-20 in eval mode, and batch norms that have seen something."""
    torch.manual_seed(0)
    net = resdyn.networks.resnet(20, preprocessing=resdyn.networks.Preprocessing(MEAN, STD))
    with torch.no_grad():
        net.train()(torch.randn(64, 3, 32, 32))
    return net.eval()


def unrolling(net: Any) -> Comparison:
    """Take the network apart and check the parts, against one forward pass."""
    example = np.zeros((1, 3, 32, 32), np.float32)
    x = torch.from_numpy(example)
    unrolled = resdyn.networks.unroll(net, example)
    with torch.no_grad():
        expected = net(x).numpy()
        forward = median_seconds(lambda: net(x), repeats=20)
    return Comparison(
        job="unroll ResNet-20",
        ours=median_seconds(lambda: resdyn.networks.unroll(net, example), repeats=10),
        peers={"one forward pass of one image": forward},
        targets={},
        error=float(np.abs(unrolled(example) - expected).max()),
    )


def hooked(net: Any, x: torch.Tensor) -> list[Array]:
    """States after each unit, as hooks see them."""
    states: list[Array] = []
    handles = [unit.register_forward_hook(lambda _, __, out: states.append(out.numpy().copy())) for unit in net.units]
    with torch.no_grad():
        net(x)
    for handle in handles:
        handle.remove()
    return states


def tracing(net: Any, n: int) -> Comparison:
    """States of all units for n images."""
    x = np.random.default_rng(0).normal(size=(n, 3, 32, 32)).astype(np.float32)
    unrolled = resdyn.networks.unroll(net, x[:1])
    ours, theirs = unrolled.trace(x, keep=("states",)).states, hooked(net, torch.from_numpy(x))
    return Comparison(
        job=f"states of {n} images through the units of ResNet-20",
        ours=median_seconds(lambda: unrolled.trace(x, keep=("states",)), repeats=3),
        peers={"forward hooks": median_seconds(lambda: hooked(net, torch.from_numpy(x)), repeats=3)},
        targets={},
        error=max(float(np.abs(a - b).max()) for a, b in zip(ours[1:], theirs, strict=True)),
    )


def derivatives(net: Any, n: int) -> Comparison:
    """Tangents of n images through all units, one by one, against the module as a whole."""
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(2, n, 3, 32, 32)).astype(np.float32)
    unrolled = resdyn.networks.unroll(net, x[:1])

    def ours() -> Array:
        state, tangent = x, v
        for part in (unrolled.stem, *unrolled.units, unrolled.head):
            state, tangent = part(state), part.jvp(state, tangent)
        return tangent

    def theirs() -> Array:
        with torch.no_grad():
            return torch.func.jvp(net, (torch.from_numpy(x),), (torch.from_numpy(v),))[1].numpy()

    return Comparison(
        job=f"tangents of {n} images through ResNet-20, unit by unit",
        ours=median_seconds(ours, repeats=5),
        peers={"torch.func.jvp": median_seconds(theirs, repeats=5)},
        targets={},
        error=float(np.abs(ours() - theirs()).max()),
    )


def attacking(net: Any, n: int, steps: int) -> Comparison:
    """Projected gradient ascent."""
    rng = np.random.default_rng(0)
    images, labels = rng.uniform(size=(n, 3, 32, 32)).astype(np.float32), rng.integers(10, size=n)
    radius = 8 / 255
    wrapped = foolbox.PyTorchModel(net, bounds=(0, 1), preprocessing={"mean": MEAN, "std": STD, "axis": -3})
    attack = foolbox.attacks.LinfPGD(abs_stepsize=2.5 * radius / steps, steps=steps, random_start=False)
    criterion = foolbox.criteria.Misclassification(torch.from_numpy(labels))

    def ours() -> Array:
        found = resdyn.networks.pgd(net, images, labels, radius=radius, steps=steps, start="centre")
        return found.images

    def theirs() -> Array:
        result: Array = attack.run(wrapped, torch.from_numpy(images), criterion, epsilon=radius).numpy()
        return result

    # in single precision the sign of a gradient near zero is rounding, so the share of equal pixels counts
    differ = float((np.abs(ours() - theirs()) > 1e-6).mean())
    return Comparison(
        job=f"PGD, {steps} steps on {n} images (error: share of pixels that differ)",
        ours=median_seconds(ours),
        peers={"foolbox": median_seconds(theirs)},
        targets={"foolbox": 1.0},
        error=differ,
    )


def main() -> None:
    """Run all, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder for the numbers")
    parser.add_argument("--threads", type=int, default=1, help="cores and threads for everybody")
    parser.add_argument("--isa", choices=["native", "avx2"], default="native", help="instructions all may use")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    arguments = parser.parse_args()
    torch.set_num_threads(TERMS.threads)
    net, quick = network(), arguments.quick
    comparisons = []
    for compare in (
        lambda: unrolling(net),
        lambda: tracing(net, 10 if quick else 100),
        lambda: derivatives(net, 2 if quick else 20),
        lambda: attacking(net, 4 if quick else 32, 2 if quick else 10),
    ):
        comparisons.append(compare())
        print(comparisons[-1], flush=True)
    write(arguments.out / f"networks-{TERMS.isa}-{TERMS.threads}.json", comparisons, {"terms": asdict(TERMS)})


if __name__ == "__main__":
    main()
