"""What lagzi2021 says about noise in residual and plain nets, beside our numbers; only the abstract was at hand."""

from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS
from experiments.lagzi2021_transients import judging_dynamics as judging
from experiments.lagzi2021_transients.judging_dynamics import over_seeds, ranges

Summary = dict[str, Any]


def _pairs(summary: Summary, of: Any, nets: str = "nets") -> tuple[list[float], list[float]]:
    """A number of all residual nets, and of the plain ones, seed by seed; none where "untrained" nets were not run."""
    found = summary.get(nets, [])
    residual, plain = ([float(of(net)) for net in found if net["kind"] == kind] for kind in judging.KINDS)
    return residual, plain


def _under_noise(net: Summary) -> float:
    return float(np.mean(net["accuracy"]))


def _against(summary: Summary, of: Any, digits: int = 3, nets: str = "nets") -> str:
    """A number of residual nets against that of plain ones, in words."""
    return " against ".join(ranges(values, digits) for values in _pairs(summary, of, nets))


def robust(summary: Summary) -> str:
    """Accuracies at each level."""
    levels = enumerate(summary["levels"])
    at = [f"{level:g}: {_against(summary, lambda net, z=z: net['accuracy'][z])}" for z, level in levels]
    return (
        f"{_nets(summary)}; accuracy, residual against plain, median over seeds [least, most]: clean "
        f"{_against(summary, lambda net: net['clean'])}; noise of pixels {', '.join(at)}; mean over levels, difference "
        f"over seeds with 95 % interval {over_seeds(_difference(summary, _under_noise))}; of the drop from clean "
        f"{over_seeds(_difference(summary, _drop))}"
    )


def _drop(net: Summary) -> float:
    return float(net["clean"]) - _under_noise(net)


def _nets(summary: Summary) -> str:
    words = []
    for kind in judging.KINDS:
        sizes = {(net["layers"], int(net["parameters"])) for net in summary["nets"] if net["kind"] == kind}
        words.append(f"{kind} {', '.join(f'{layers} layers {count} parameters' for layers, count in sizes)}")
    return f"{summary['seeds']} {'seed' if summary['seeds'] == 1 else 'seeds'}, {', '.join(words)}"


def _difference(summary: Summary, of: Any, nets: str = "nets") -> list[float]:
    return np.subtract(*_pairs(summary, of, nets)).tolist()


def robust_verdict(summary: Summary) -> str:
    """Whether residual nets keep more accuracy."""
    accuracy = judging.sign(_difference(summary, _under_noise))
    drop = judging.sign(_difference(summary, _drop))
    return judging.robust(accuracy, drop)


def robust_at_layers(summary: Summary) -> str:
    """Accuracies with noise at one layer."""
    words = []
    for kind in judging.KINDS:
        tables = [net["layer_accuracy"] for net in summary["nets"] if net["kind"] == kind]
        layers = [f"layer {start} {ranges([table[start] for table in tables], 3)}" for start in tables[0]]
        words.append(f"{kind}: {', '.join(layers)}")
    differences = ", ".join(f"{layer} {over_seeds(found)}" for layer, found in _at_layers(summary).items())
    return (
        f"noise of {summary['layer_level']:g} deviation between images at a layer, accuracy, median over seeds [least, "
        f"most]: {'; '.join(words)}; difference over seeds with 95 % interval: {differences}"
    )


def _at_layers(summary: Summary) -> dict[str, list[float]]:
    """Residual less plain for each layer where noise enters, named as in the residual nets."""
    starts = list(next(net for net in summary["nets"] if net["kind"] == "residual")["layer_accuracy"])
    return {
        f"layer {start}": _difference(summary, lambda net, z=z: list(net["layer_accuracy"].values())[z])
        for z, start in enumerate(starts)
    }


def robust_at_layers_verdict(summary: Summary) -> str:
    """The same at each layer, with noise as large relative to the states of both."""
    return judging.of_kinds({layer: judging.sign(found) for layer, found in _at_layers(summary).items()})


def _of_evolution(summary: Summary) -> dict[str, Any]:
    """What is looked at, by its name in words."""
    small = next(iter(summary["nets"][0]["input"]))
    middle = len(summary["nets"][0]["layer"]) // 2
    return {
        "variance of pixel noise over signal": lambda net: net["input"][small]["log10_relative_gain"],
        "that of noise half way": lambda net: list(net["layer"].values())[middle]["log10_relative_gain"],
        "median exponent": lambda net: net["median_exponent"],
        "share of growing directions": lambda net: net["growing"],
    }


def evolution(summary: Summary) -> str:
    """Gains of noise over those of signal, and exponents, after and before training."""
    words = []
    for name, of in _of_evolution(summary).items():
        before = f" (before training {_against(summary, of, 2, 'untrained')})" if summary.get("untrained") else ""
        words.append(f"{name} {_against(summary, of, 2)}{before}")
    missing = "" if summary.get("untrained") else "; untrained: not run"
    return (
        f"{summary['seeds']} {'pair' if summary['seeds'] == 1 else 'pairs'}, residual against plain, median over seeds "
        f"[least, most], variances as log10 of end over start: {'; '.join(words)}{missing}"
    )


def evolution_verdict(summary: Summary) -> str:
    """Which differences between the kinds there are, and which of them were there before training."""
    rows = _of_evolution(summary)
    after = {name: _difference(summary, of) for name, of in rows.items()}
    before = {name: _difference(summary, of, "untrained") for name, of in rows.items()}
    return judging.evolves(after, before if summary.get("untrained") else {})


def tangents(summary: Summary) -> str:
    """Variance predicted by first order over that found."""
    words = []
    for level in summary["nets"][0]["input"]:
        ratios = _against(summary, lambda net, level=level: net["input"][level]["predicted"], 2)
        single = [ratio for net in summary["nets"] for ratio in net["input"][level]["of_images"]]
        words.append(f"pixel noise {level} {ratios}, of single images from {min(single):.2f} to {max(single):.2f}")
    at_layers = _against(summary, lambda net: _worst([one["predicted"] for one in net["layer"].values()]), 2)
    words.append(f"noise at a layer, the worst one {at_layers}")
    return (
        "variance at the last layer, predicted over found, of the means over images, residual against plain, median "
        "over seeds [least, most]: " + "; ".join(words)
    )


def _worst(ratios: list[float]) -> float:
    return max(ratios, key=lambda ratio: abs(np.log(ratio)))


def tangents_verdict(summary: Summary) -> str:
    """Whether tangent maps predict the variance, for each size of pixel noise and for noise at the worst layer."""
    nets = summary["nets"]
    found = {f"pixel noise {level}": [net["input"][level]["predicted"] for net in nets] for level in nets[0]["input"]}
    found["noise at a layer"] = [_worst([one["predicted"] for one in net["layer"].values()]) for net in nets]
    return judging.predicted(found)


CLAIMS = (
    Claim(
        "more-robust-to-noise",
        "A residual net is more robust to noisy inputs than an MLP of equal size",
        IN_WORDS,
        "noise",
        robust,
        robust_verdict,
    ),
    Claim(
        "more-robust-at-layers",
        "It is more robust to noise at a layer, too",
        BEYOND,
        "noise",
        robust_at_layers,
        robust_at_layers_verdict,
    ),
    Claim(
        "noise-evolves-differently",
        "Noise evolves differently in the layers of a residual net and of an MLP",
        IN_WORDS,
        "noise",
        evolution,
        evolution_verdict,
    ),
    Claim(
        "tangents-predict-noise",
        "Tangent maps predict the variance of noise at the last layer",
        BEYOND,
        "noise",
        tangents,
        tangents_verdict,
    ),
)
