"""All numbers on noise in residual and plain nets in words: what stands below the table of claims."""

from typing import Any

from experiments.lagzi2021_transients.judging_dynamics import KINDS
from experiments.lagzi2021_transients.noise_pairs import (
    at_layers,
    at_the_worst_layer,
    difference,
    drop,
    of_evolution,
    pairs,
    under_noise,
)
from experiments.lagzi2021_transients.wording import over_seeds, ranges

Summary = dict[str, Any]


def _against(summary: Summary, of: Any, digits: int = 3, nets: str = "nets") -> str:
    return " against ".join(ranges(values, digits) for values in pairs(summary, of, nets))


def robust(summary: Summary) -> str:
    """Accuracies at each level."""
    levels = enumerate(summary["levels"])
    at = [f"{level:g}: {_against(summary, lambda net, z=z: net['accuracy'][z])}" for z, level in levels]
    return (
        f"{_nets(summary)}. Accuracy, residual against plain, median over seeds [least, most]: clean "
        f"{_against(summary, lambda net: net['clean'])}; with noise of pixels {', '.join(at)}. Residual less plain, "
        f"mean over levels, with 95 % interval over seeds: {over_seeds(difference(summary, under_noise))}; of the drop "
        f"from clean {over_seeds(difference(summary, drop))}."
    )


def _nets(summary: Summary) -> str:
    words = []
    for kind in KINDS:
        sizes = {(net["layers"], int(net["parameters"])) for net in summary["nets"] if net["kind"] == kind}
        words.append(f"{kind} {', '.join(f'{layers} layers with {count} parameters' for layers, count in sizes)}")
    return f"{summary['seeds']} {'seed' if summary['seeds'] == 1 else 'seeds'}; {', '.join(words)}"


def robust_at_layers(summary: Summary) -> str:
    """Accuracies with noise at one layer."""
    words = []
    for kind in KINDS:
        tables = [net["layer_accuracy"] for net in summary["nets"] if net["kind"] == kind]
        layers = [f"layer {start} {ranges([table[start] for table in tables], 3)}" for start in tables[0]]
        words.append(f"{kind}: {', '.join(layers)}")
    differences = ", ".join(f"{layer} {over_seeds(found)}" for layer, found in at_layers(summary).items())
    return (
        f"Noise of {summary['layer_level']:g} deviation between images at a layer. Accuracy, median over seeds [least, "
        f"most], {'; '.join(words)}. Residual less plain, with 95 % interval over seeds: {differences}."
    )


def evolution(summary: Summary) -> str:
    """Gains of noise over those of signal, and exponents, after and before training."""
    words = []
    for name, of in of_evolution(summary).items():
        before = f" (before training {_against(summary, of, 2, 'untrained')})" if summary.get("untrained") else ""
        words.append(f"{name} {_against(summary, of, 2)}{before}")
    missing = "" if summary.get("untrained") else " Untrained: not run."
    return (
        f"{summary['seeds']} {'pair' if summary['seeds'] == 1 else 'pairs'}, residual against plain, median over seeds "
        f"[least, most], variances as log10 of end over start: {'; '.join(words)}.{missing}"
    )


def tangents(summary: Summary) -> str:
    """Variance predicted by first order over that found."""
    words = []
    for level in summary["nets"][0]["input"]:
        ratios = _against(summary, lambda net, level=level: net["input"][level]["predicted"], 2)
        single = [ratio for net in summary["nets"] for ratio in net["input"][level]["of_images"]]
        words.append(f"pixel noise {level} {ratios}, of single images from {min(single):.2f} to {max(single):.2f}")
    words.append(f"noise at a layer, the worst one {_against(summary, at_the_worst_layer, 2)}")
    return (
        "Variance at the last layer, predicted over found, of the means over images, residual against plain, median "
        f"over seeds [least, most]: {'; '.join(words)}."
    )
