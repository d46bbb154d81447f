"""Numbers of residual nets and of plain ones under noise, seed by seed."""

from typing import Any

import numpy as np

from experiments.lagzi2021_transients.judging_dynamics import KINDS

Summary = dict[str, Any]


def pairs(summary: Summary, of: Any, nets: str = "nets") -> tuple[list[float], list[float]]:
    """A number of all residual nets, and of the plain ones, seed by seed; none where "untrained" nets were not run."""
    found = summary.get(nets, [])
    residual, plain = ([float(of(net)) for net in found if net["kind"] == kind] for kind in KINDS)
    return residual, plain


def difference(summary: Summary, of: Any, nets: str = "nets") -> list[float]:
    """Residual less plain."""
    return np.subtract(*pairs(summary, of, nets)).tolist()


def under_noise(net: Summary) -> float:
    """Accuracy, mean over levels of noise."""
    return float(np.mean(net["accuracy"]))


def drop(net: Summary) -> float:
    """What is lost of the accuracy without noise."""
    return float(net["clean"]) - under_noise(net)


def at_layers(summary: Summary) -> dict[str, list[float]]:
    """Residual less plain for each layer where noise enters, named as in the residual nets."""
    starts = list(next(net for net in summary["nets"] if net["kind"] == "residual")["layer_accuracy"])
    return {
        f"layer {start}": difference(summary, lambda net, z=z: list(net["layer_accuracy"].values())[z])
        for z, start in enumerate(starts)
    }


def of_evolution(summary: Summary) -> dict[str, Any]:
    """What is looked at, by its name in words."""
    small = next(iter(summary["nets"][0]["input"]))
    middle = len(summary["nets"][0]["layer"]) // 2
    return {
        "variance of pixel noise over signal": lambda net: net["input"][small]["log10_relative_gain"],
        "that of noise half way": lambda net: list(net["layer"].values())[middle]["log10_relative_gain"],
        "median exponent": lambda net: net["median_exponent"],
        "share of growing directions": lambda net: net["growing"],
    }


def predictions(nets: list[Summary]) -> dict[str, list[float]]:
    """Variances predicted over found, net by net, for each size of pixel noise and for noise at the worst layer."""
    found = {f"pixel noise {level}": [net["input"][level]["predicted"] for net in nets] for level in nets[0]["input"]}
    return {**found, "noise at a layer": [at_the_worst_layer(net) for net in nets]}


def at_the_worst_layer(net: Summary) -> float:
    """The ratio that is farthest from 1."""
    return worst([one["predicted"] for one in net["layer"].values()])


def worst(ratios: list[float]) -> float:
    """In logarithms."""
    return max(ratios, key=lambda ratio: abs(np.log(ratio)))
