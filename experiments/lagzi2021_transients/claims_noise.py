"""What lagzi2021 says about noise in residual and plain nets, beside our numbers; only the abstract was at hand."""

from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS
from experiments._harness.spreads import between
from experiments.lagzi2021_transients import details_noise as details
from experiments.lagzi2021_transients import judging_dynamics as judging
from experiments.lagzi2021_transients.noise_pairs import (
    at_layers,
    difference,
    drop,
    of_evolution,
    pairs,
    predictions,
    under_noise,
)
from experiments.lagzi2021_transients.wording import mean_difference, of_seeds

Summary = dict[str, Any]


def robust(summary: Summary) -> str:
    """Means over levels, and differences over seeds."""
    residual, plain = (float(np.mean(values)) for values in pairs(summary, under_noise))
    return (
        f"accuracy {residual:.3f} against {plain:.3f}, mean over {len(summary['levels'])} levels of noise; residual "
        f"less plain {mean_difference(difference(summary, under_noise), 3)}, of the loss from clean "
        f"{mean_difference(difference(summary, drop), 3)}; {of_seeds(summary['seeds'])}"
    )


def robust_verdict(summary: Summary) -> str:
    """Whether residual nets keep more accuracy."""
    accuracy = judging.sign(difference(summary, under_noise))
    return judging.robust(accuracy, judging.sign(difference(summary, drop)))


def robust_at_layers(summary: Summary) -> str:
    """Differences layer by layer."""
    each = ", ".join(f"{layer} {mean_difference(found, 3)}" for layer, found in at_layers(summary).items())
    return f"accuracy, residual less plain, with noise at {each}; {of_seeds(summary['seeds'])}"


def robust_at_layers_verdict(summary: Summary) -> str:
    """The same at each layer, with noise as large relative to the states of both."""
    return judging.of_kinds({layer: judging.sign(found) for layer, found in at_layers(summary).items()})


def evolution(summary: Summary) -> str:
    """Differences of what is looked at, and what they were before training."""
    names = ("pixel noise", "noise half way", "median exponent", "growing share")
    words = []
    for name, of in zip(names, of_evolution(summary).values(), strict=True):
        before = difference(summary, of, "untrained")
        words.append(
            f"{name} {mean_difference(difference(summary, of))}" + (f" ({np.mean(before):+.2f})" if before else "")
        )
    untrained = " (untrained)" if summary.get("untrained") else ""
    return f"residual less plain{untrained}: {', '.join(words)}; {of_seeds(summary['seeds'])}"


def evolution_verdict(summary: Summary) -> str:
    """Which differences between the kinds there are, and which of them were there before training."""
    rows = of_evolution(summary)
    after = {name: difference(summary, of) for name, of in rows.items()}
    before = {name: difference(summary, of, "untrained") for name, of in rows.items()}
    return judging.evolves(after, before if summary.get("untrained") else {})


def tangents(summary: Summary) -> str:
    """Ratios of all nets, and of the residual ones."""
    nets = summary["nets"]
    residual = predictions([net for net in nets if net["kind"] == "residual"])
    words = [f"{name} {between(each, 2)} ({between(residual[name], 2)})" for name, each in predictions(nets).items()]
    return f"predicted over found, range over {len(nets)} nets (residual ones alone): {', '.join(words)}"


def tangents_verdict(summary: Summary) -> str:
    """Whether tangent maps predict the variance, for each size of pixel noise and for noise at the worst layer."""
    return judging.predicted(predictions(summary["nets"]))


CLAIMS = (
    Claim(
        "more-robust-to-noise",
        "A residual net is more robust to noisy inputs than an MLP of equal size",
        IN_WORDS,
        "noise",
        robust,
        robust_verdict,
        details=details.robust,
    ),
    Claim(
        "more-robust-at-layers",
        "It is more robust to noise at a layer, too",
        BEYOND,
        "noise",
        robust_at_layers,
        robust_at_layers_verdict,
        details=details.robust_at_layers,
    ),
    Claim(
        "noise-evolves-differently",
        "Noise evolves differently in the layers of a residual net and of an MLP",
        IN_WORDS,
        "noise",
        evolution,
        evolution_verdict,
        details=details.evolution,
    ),
    Claim(
        "tangents-predict-noise",
        "Tangent maps predict the variance of noise at the last layer",
        BEYOND,
        "noise",
        tangents,
        tangents_verdict,
        details=details.tangents,
    ),
)
