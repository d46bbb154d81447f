"""Numbers of trained nets in words, and verdicts from them: a net with damping against the one without."""

from collections.abc import Callable
from typing import Any

import numpy as np

from experiments._harness import spreads
from experiments._harness.spreads import ENOUGH_SEEDS
from experiments.yang2020_interpolation.comparing import (
    beyond_clean,
    improvement,
    in_short,
    points,
    together,
)

Summary = dict[str, Any]
Words = Callable[[Summary], Any]

NO_DATA = "no data"
# of a coefficient: below, rounding of float16 is all that is left of it
OFF = 1e-3
# the CNN has λ = 1; within a tenth of it a skip path carries a tenth of the state at most; further beyond 1 it carries
# the state with the opposite sign, which is no CNN
CNN = 0.1


def knows(kind: str, words: Words) -> Words:
    """None where the summary has no such net: then a smaller preset is asked."""
    return lambda summary: words(summary) if kind in summary["kinds"] else None


def _percent(values: list[float]) -> str:
    return ", ".join(f"{100 * value:.1f}" for value in values)


def seeds(summary: Summary) -> str:
    """How many, and what an interval over them is."""
    n = len(summary["seeds"])
    return f"{n} seed{'s' * (n > 1)}" + (" [95 %, t]" if n >= ENOUGH_SEEDS else "")


def _spread(summary: Summary, images: str | None = None) -> str:
    """Of differences in short."""
    return f"{seeds(summary)}, ± standard error, {images or summary['images']} images"


def of_seeds(summary: Summary) -> str:
    """Of differences in details."""
    n = len(summary["seeds"])
    return f"{summary['family']}, {n} seed{'s' if n > 1 else ''}; differences ± standard error over images."


# --- training ----------------------------------------------------------------------------------------


def clean(kind: str) -> Words:
    """Accuracies without noise or attack."""

    def words(summary: Summary) -> str:
        nets, base = summary["nets"], next(iter(summary["kinds"]))
        return (
            f"{_percent(nets[kind]['accuracy'])} % against {_percent(nets[base]['accuracy'])} %: "
            f"{in_short(summary['differences'][kind], digits=2)} points ({_spread(summary)})"
        )

    return knows(kind, words)


def clean_details(kind: str) -> Words:
    """With parameters."""

    def words(summary: Summary) -> str:
        nets, base = summary["nets"], next(iter(summary["kinds"]))
        return (
            f"{_percent(nets[kind]['accuracy'])} % ({nets[kind]['parameters']} parameters) against "
            f"{_percent(nets[base]['accuracy'])} % ({nets[base]['parameters']}), {summary['images']} test images: "
            f"{points(summary['differences'][kind], digits=2)}. {of_seeds(summary)}"
        )

    return knows(kind, words)


def clean_verdict(kind: str) -> Words:
    """Measured: the paper's statement on clean images is not known."""
    return lambda summary: f"measured: {_direction(summary['differences'][kind])}"


def _direction(difference: Summary) -> str:
    up, down = (improvement(difference, sign) for sign in (1, -1))
    for verdict, word in ((up, "higher"), (down, "lower")):
        if not verdict.startswith("not confirmed"):
            where = verdict.partition(": ")[2]
            return f"{word}, {where}" if where else word
    return "no difference beyond the spread"


def learned(summary: Summary) -> str:
    """λ of damped units, their range."""
    words = []
    for kind, title in summary["kinds"].items():
        values = [value for found in summary["nets"][kind]["coefficients"] for value in found.values()]
        if values:
            words.append(f"{title} {spreads.spread(values)} ({len(values)} units)")
    n = len(summary["seeds"])
    return f"{', '.join(words)}; median [least, most] over units of {n} net{'s' * (n > 1)}; 0.20–0.25 at the start"


def learned_details(summary: Summary) -> str:
    """λ of each damped unit."""
    rows = []
    for kind, title in summary["kinds"].items():
        for seed, found in zip(summary["seeds"], summary["nets"][kind]["coefficients"], strict=True):
            if found:
                each = ", ".join(f"{value:.2f}" for value in found.values())
                rows.append(f"{title} seed {seed}: {each}")
    return f"λ of the damped units in their order, from 0.20–0.25 at the start. {'; '.join(rows)}."


def learned_verdict(summary: Summary) -> str:
    """How many ended as a ResNet's, how many as a plain CNN's."""
    words = []
    for kind, title in summary["kinds"].items():
        values = np.array([value for found in summary["nets"][kind]["coefficients"] for value in found.values()])
        if len(values):
            off, plain = int((values < OFF).sum()), int((abs(values - 1) < CNN).sum())
            words.append(f"{title} {off} of {len(values)} at 0, {plain} at or near 1")
    return f"measured: {'; '.join(words)}"


def other_data(summary: Summary) -> Any:
    """CIFAR-100: numbers of its nets, or that there are no data."""
    if summary["data"] == "cifar100":
        return str(clean("in")(summary))
    if "cifar100" not in summary["other_data"]:
        return None
    n = summary["other_data"]["cifar100"]
    return "nets on it are not trained; its test set is there" if n else f"{NO_DATA}: its files are not there"


def other_data_details(summary: Summary) -> str:
    """All numbers of those nets, or how to get them."""
    if summary["data"] == "cifar100":
        return str(clean_details("in")(summary))
    return (
        "With the files of CIFAR-100 in the data folder: python -m experiments.train --plan gpu-cifar100, then "
        "python -m experiments.yang2020_interpolation.training --preset cifar100."
    )


def other_data_verdict(summary: Summary) -> str:
    """No verdict without nets."""
    if summary["data"] == "cifar100":
        return str(clean_verdict("in")(summary))
    return "not run" if summary["other_data"]["cifar100"] else NO_DATA


# --- noise -------------------------------------------------------------------------------------------


def noise(kind: str, standard: str = "network") -> Words:
    """Accuracy under all noise, and what noise costs."""

    def words(summary: Summary) -> str:
        found, base = summary["differences"][kind][standard], next(iter(summary["kinds"]))
        own, plain = (_percent(summary["accuracy"][name][standard]["pooled"]) for name in (kind, base))
        return (
            f"{own} % against {plain} %: {in_short(found['difference'])} points, less that on clean images "
            f"{in_short(found['cost'])} ({_spread(summary)})"
        )

    return knows(kind, words)


def noise_details(kind: str, standard: str = "network") -> Words:
    """Kind of noise by kind of noise."""

    def words(summary: Summary) -> str:
        found, base = summary["differences"][kind][standard], next(iter(summary["kinds"]))
        own, plain = (_percent(summary["accuracy"][name][standard]["pooled"]) for name in (kind, base))
        parts = "; ".join(
            f"{name.partition('_')[0]} {points(difference)}" for name, difference in found["by_noise"].items()
        )
        return (
            f"{own} % against {plain} %, severities {', '.join(map(str, summary['severities']))}, "
            f"{summary['images']} images: {points(found['difference'])}, less the difference on clean images "
            f"{points(found['cost'])}. By noise: {parts}. {of_seeds(summary)}"
        )

    return knows(kind, words)


def noise_verdict(kind: str, standard: str = "network") -> Words:
    """Over all kinds of noise and severities."""
    return lambda summary: beyond_clean(summary["differences"][kind][standard])


# --- attacks -----------------------------------------------------------------------------------------

USUAL = ("fgsm", "i-fgsm", "pgd")
ATTACKS_IN_WORDS = {"fgsm": "FGSM", "i-fgsm": "I-FGSM", "pgd": "PGD", "pgd-start": "PGD, ball around the start"}


def attacks(kind: str, names: tuple[str, ...] = USUAL) -> Words:
    """What accuracy gains under each attack, mean over radii, and the range of that less the gain on clean images."""

    def words(summary: Summary) -> str:
        found = {name: summary["attacks"][name] for name in names}
        gains = {name: row["differences"][kind] for name, row in found.items()}
        each = "; ".join(f"{ATTACKS_IN_WORDS[name]} {in_short(gain['difference'])}" for name, gain in gains.items())
        costs = [100 * value for gain in gains.values() for value in gain["cost"]["each"]]
        images = spreads.between([row["images"] for row in found.values()])
        return (
            f"{each} points; less those on clean images {min(costs):+z.1f} to {max(costs):+z.1f}; "
            f"{_spread(summary, images)}"
        )

    return knows(kind, words)


def attacks_details(kind: str, names: tuple[str, ...] = USUAL) -> Words:
    """Accuracy under each attack, mean over radii."""

    def words(summary: Summary) -> str:
        base = next(iter(summary["kinds"]))
        rows = []
        for name in names:
            found = summary["attacks"][name]
            means = {k: np.mean(found["accuracy"][k], axis=1).tolist() for k in (kind, base)}
            difference = found["differences"][kind]
            radii = ", ".join(f"{radius:g}" for radius in found["radii"])
            rows.append(
                f"{ATTACKS_IN_WORDS[name]} ({radii}/255, {found['images']} images) "
                f"{_percent(means[kind])} % against {_percent(means[base])} %: {points(difference['difference'])}, "
                f"less that on clean images {points(difference['cost'])}"
            )
        return f"Accuracy, means over radii: {'; '.join(rows)}. {summary['steps']} steps; {of_seeds(summary)}"

    return knows(kind, words)


def attacks_verdict(kind: str, names: tuple[str, ...] = USUAL) -> Words:
    """By the means over radii: an accuracy near zero at the largest of them says nothing by itself."""

    def verdict(summary: Summary) -> str:
        found = {name: summary["attacks"][name]["differences"][kind] for name in names}
        return together({ATTACKS_IN_WORDS[name]: beyond_clean(row) for name, row in found.items()})

    return verdict
