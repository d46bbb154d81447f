"""What becomes of noise in a residual net and in a plain one of equal size?

Noise of the input, and noise that enters at one layer, followed layer by layer: its variance in samples, what the
tangent maps predict, and both beside the variance between images at that layer, so that nets whose states differ in
size can be compared. Finite-time exponents of the same layers. Both also before training, to tell what the layers of
each kind do by themselves. Accuracy under noise of several sizes at the input, and at single layers.

Our choices: the nets have logistic units, one matrix for all layers, a learned linear layer from pixels to fewer units
than there are pixels, and are trained alike on MNIST (Adam, few epochs). Noise of the input is
Gaussian in pixels from 0 to 1 and is not clipped; that of a layer is Gaussian, a given fraction of the root mean square
deviation between images of a unit there. Both nets of a pair meet the same noise in pixels. Before training nets have
the weights that their seed gives, spread as the package does for their kind (W of plain nets more widely): so what is
there before training is of the layers and of how they begin.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.lagzi2021_transients.followed import right
from experiments.lagzi2021_transients.noise_figure import LOWEST, figure
from experiments.lagzi2021_transients.pairs import Noisy, beginning, retold, shipped, shipped_untrained, training

Array = NDArray[Any]
KINDS = ("residual", "plain")
UNTRAINED = "untrained-"
"""Before the kind, in names of arrays."""


@dataclass(frozen=True)
class Config:
    """What is measured."""

    ready: tuple[str, ...] = ()
    """A residual and a plain net that ship; none: pairs are trained on MNIST."""
    units: int = 128
    depth: int = 15
    shared: bool = True
    epochs: int = 4
    seeds: int = 5
    device: str = "cpu"
    """Of training."""
    images: int = 40
    """Whose noise is followed."""
    draws: int = 40
    """Of the noise, for each of them."""
    tests: int = 5000
    """Images for accuracies and for the variance between images."""
    pixel_noise: tuple[float, ...] = (0.02, 0.3)
    """Standard deviations whose evolution is followed: one that first order should describe, one that it may not."""
    layer_noise: float = 0.1
    """Fraction of the deviation between images."""
    starts: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)
    """Where noise of layers enters, in shares of the depth."""
    levels: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
    """Standard deviations of pixels for accuracies."""
    layer_level: float = 1.0
    """For accuracies with noise at a layer."""
    seed: int = 0


PRESETS = {
    "smoke": Config(
        ("dense-shared-digits-seed0", "mlp-digits-seed0"),
        seeds=1,
        images=6,
        draws=20,
        tests=200,
        levels=(0.1, 0.3, 0.5),
    ),
    "laptop": Config(),
    "paper": Config(units=1064, epochs=20, seeds=10, device="cuda", images=100, draws=100, tests=10000),
}
# one image of 200 more or less; logarithms of variances and rates of nets that ship have their digits
TOLERANCES = {
    "nets.*.clean": 0.011,
    "nets.*.accuracy.*": 0.011,
    "nets.*.exponent": 1e-6,
    "nets.*.input.*.log10_relative_gain": 1e-6,
    "untrained.*.exponent": 1e-6,
    "untrained.*.input.*.log10_relative_gain": 1e-6,
}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Of each net: accuracies, variances layer by layer, exponents; named ``<kind>.<seed>.<what>``.

    Before training without accuracies; the kind is then "untrained-residual" or "untrained-plain".
    """
    found: dict[str, Array] = {}
    for kind, seed, net in _nets(config, run):

        def measured(net: Noisy = net, seed: int = seed) -> dict[str, Array]:
            return _measured(net, config, config.seed + seed)

        part = run.part(f"measured-{kind}{seed}", measured)
        found |= {f"{kind}.{seed}.{what}": value for what, value in part.items()}
    for kind, seed, net in _untrained(config, run):

        def evolved(net: Noisy = net, seed: int = seed) -> dict[str, Array]:
            return _evolved(net, _states(net), config, config.seed + seed)

        part = run.part(f"evolved-{kind}{seed}", evolved)
        found |= {f"{UNTRAINED}{kind}.{seed}.{what}": value for what, value in part.items()}
    return found


def _nets(config: Config, run: Run) -> Iterator[tuple[str, int, Noisy]]:
    if config.ready:
        yield from ((kind, 0, shipped(name, config.tests)) for kind, name in zip(KINDS, config.ready, strict=True))
        return
    for seed in run.progress(range(config.seeds), "pairs"):
        for kind in KINDS:

            def trained(kind: str = kind, seed: int = seed) -> dict[str, Array]:
                return training(
                    kind,
                    units=config.units,
                    depth=config.depth,
                    shared=config.shared,
                    epochs=config.epochs,
                    seed=seed,
                    device=config.device,
                )

            parameters = run.part(f"{kind}{seed}", trained, keep=True)
            yield kind, seed, retold(kind, parameters, depth=config.depth, shared=config.shared, samples=config.tests)


def _untrained(config: Config, run: Run) -> Iterator[tuple[str, int, Noisy]]:
    """The same nets with the weights that their training began with."""
    if config.ready:
        for kind, name in zip(KINDS, config.ready, strict=True):
            yield kind, 0, shipped_untrained(name, config.tests)
        return
    for seed in run.progress(range(config.seeds), "pairs before training"):
        for kind in KINDS:
            parameters = beginning(kind, units=config.units, depth=config.depth, shared=config.shared, seed=seed)
            yield kind, seed, retold(kind, parameters, depth=config.depth, shared=config.shared, samples=config.tests)


def _measured(noisy: Noisy, config: Config, seed: int) -> dict[str, Array]:
    states = _states(noisy)
    evolved = _evolved(noisy, states, config, seed)
    return {
        **evolved,
        "parameters": np.array(noisy.parameters),
        "clean": np.array(right(noisy.net, states[-1])),
        "accuracy": _accuracy(noisy, config, seed),
        "layer_accuracy": _layer_accuracy(noisy, states, evolved["starts"], config, seed),
    }


def _states(noisy: Noisy) -> Array:
    """Of all images, layer by layer."""
    return np.asarray(resdyn.simulate(noisy.net.system, noisy.net.states, depth=noisy.net.depth).x)


def _evolved(noisy: Noisy, states: Array, config: Config, seed: int) -> dict[str, Array]:
    """What becomes of noise, layer by layer, beside the signal; exponents."""
    net = noisy.net
    # of all units together, between images, layer by layer
    signal = states.var(axis=1).sum(axis=-1)
    starts = np.array([round(share * net.depth) for share in config.starts])
    some = net.states[: config.images]
    return {
        "signal": signal,
        "starts": starts,
        "exponents": resdyn.finite_time_exponents(net.system, some, depth=net.depth).exponents,
        **_of_pixels(noisy, config, seed),
        **_of_layers(noisy, signal, starts, config, seed),
    }


def _accuracy(noisy: Noisy, config: Config, seed: int) -> Array:
    """Under noise of each level at the input."""
    rng, found = np.random.default_rng(seed), []
    for level in config.levels:
        states = noisy.embed(noisy.pixels + level * rng.standard_normal(noisy.pixels.shape))
        final = resdyn.simulate(noisy.net.system, states, depth=noisy.net.depth, save="final").final
        found.append(right(noisy.net, final))
    return np.array(found)


def _layer_accuracy(noisy: Noisy, states: Array, starts: Array, config: Config, seed: int) -> Array:
    """Under noise as large as the deviation between images, at single layers."""
    rng, net, found = np.random.default_rng(seed), noisy.net, []
    for start in starts:
        deviation = config.layer_level * np.sqrt(states[start].var(axis=0).mean())
        x = states[start] + deviation * rng.standard_normal(states[start].shape)
        for k in range(start, net.depth):
            x = x + net.system.step * net.system.residual(k * net.system.step, x)
        found.append(right(net, x))
    return np.array(found)


def _of_pixels(noisy: Noisy, config: Config, seed: int) -> dict[str, Array]:
    """Variances of what noise of pixels does, true and to first order: over deviations, layers and images."""
    rng, pixels = np.random.default_rng(seed), noisy.pixels[: config.images]
    drawn = rng.standard_normal((config.draws, *pixels.shape))
    states, found = noisy.embed(pixels), []
    for deviation in config.pixel_noise:
        moved = noisy.embed(pixels + deviation * drawn) - states
        # one image at a time: the perturbations themselves are kept, of all layers
        spreads = [_spread(noisy, x, moved[:, i]) for i, x in enumerate(states)]
        found.append(np.moveaxis(np.array(spreads), 0, -1))
    table = np.array(found)
    return {"pixel_variance": table[:, 0], "pixel_predicted": table[:, 1]}


def _spread(noisy: Noisy, x: Array, moved: Array) -> Array:
    """Variances about the mean over draws, of all units together, true and to first order: (2, layers)."""
    depth = noisy.net.depth
    followed = resdyn.propagate(noisy.net.system, x, moved, depth=depth, keep=True)
    layers = [followed.at(layer) for layer in range(depth + 1)]
    return np.array([[v.var(axis=0, ddof=1).sum() for v in kind] for kind in zip(*layers, strict=True)])


def _of_layers(noisy: Noisy, signal: Array, starts: Array, config: Config, seed: int) -> dict[str, Array]:
    """The same for noise that enters at layers; NaN before."""
    net = noisy.net
    table = np.full((3, len(starts), net.depth + 1, config.images), np.nan)
    for i, start in enumerate(starts):
        followed = resdyn.propagate(
            net.system,
            net.states[: config.images],
            input_noise=config.layer_noise * np.sqrt(signal[start] / net.states.shape[1]),
            n_samples=config.draws,
            depth=net.depth,
            start=int(start),
            rng=seed,
        )
        for row, values in enumerate((followed.variance, followed.predicted_variance, followed.standard_error)):
            table[row, i, start:] = values
    return {"layer_variance": table[0], "layer_predicted": table[1], "layer_error": table[2]}


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Each kind and seed; ``untrained``: the same before training, without accuracies.

    ``log10_relative_gain``: how much the variance of noise grows from the input of the layers to their end, over how
    much that between images does; ``predicted`` by first order over what was found, at the last layer: of means over
    images, and ``of_images`` the smallest, middle and largest ratio of single ones.
    """
    seeds = 1 if config.ready else config.seeds
    pairs = [(kind, seed) for seed in range(seeds) for kind in KINDS]
    return {
        "levels": config.levels,
        "layer_level": config.layer_level,
        "seeds": seeds,
        "nets": [_summary(config, arrays, kind, seed) for kind, seed in pairs],
        "untrained": [
            {"kind": kind, "seed": seed, **_evolutions(config, _of(arrays, UNTRAINED + kind, seed))}
            for kind, seed in pairs
        ],
    }


def _of(arrays: dict[str, Array], kind: str, seed: int) -> dict[str, Array]:
    return {key.split(".")[2]: value for key, value in arrays.items() if key.startswith(f"{kind}.{seed}.")}


def _summary(config: Config, arrays: dict[str, Array], kind: str, seed: int) -> dict[str, Any]:
    found = _of(arrays, kind, seed)
    return {
        "kind": kind,
        "seed": seed,
        "name": config.ready[KINDS.index(kind)] if config.ready else f"{kind} {seed}",
        "layers": len(found["signal"]) - 1,
        "parameters": found["parameters"],
        "clean": found["clean"],
        "accuracy": found["accuracy"],
        "layer_accuracy": dict(zip(map(str, found["starts"].tolist()), found["layer_accuracy"].tolist(), strict=True)),
        **_evolutions(config, found),
    }


def _evolutions(config: Config, found: dict[str, Array]) -> dict[str, Any]:
    signal, exponents = found["signal"], found["exponents"]
    return {
        "exponent": exponents[:, 0].mean(),
        # slopes of saturated units are 0 in double precision, and exponents −∞ then: no mean
        "median_exponent": np.median(np.maximum(exponents, LOWEST)),
        "growing": (exponents > 0).mean(),
        "signal_gain": signal[-1] / signal[0],
        "input": {
            f"{deviation:g}": _evolution(found["pixel_variance"][z], found["pixel_predicted"][z], signal)
            for z, deviation in enumerate(config.pixel_noise)
        },
        "layer": {
            str(start): _evolution(
                found["layer_variance"][z][start:], found["layer_predicted"][z][start:], signal[start:]
            )
            for z, start in enumerate(found["starts"].tolist())
        },
    }


def _evolution(variance: Array, predicted: Array, signal: Array) -> dict[str, Any]:
    """From the layer where noise enters to the end: means over images."""
    mean = variance.mean(axis=1)
    ratios = predicted[-1] / variance[-1]
    return {
        "gain": mean[-1] / mean[0],
        "log10_relative_gain": np.log10((mean[-1] / mean[0]) / (signal[-1] / signal[0])),
        "relative_at_end": mean[-1] / signal[-1],
        "predicted": predicted.mean(axis=1)[-1] / mean[-1],
        "of_images": [ratios.min(), np.median(ratios), ratios.max()],
    }


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Noise beside signal, layer by layer; accuracy against noise; exponents; before training, too."""
    trained, before = (
        [_of(arrays, prefix + net["kind"], net["seed"]) for net in summary["nets"]] for prefix in ("", UNTRAINED)
    )
    return figure(trained, before, summary)


if __name__ == "__main__":
    main(__file__)
