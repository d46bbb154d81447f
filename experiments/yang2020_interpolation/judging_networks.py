"""Numbers of trained nets in words, and verdicts from them: a net with damping against the one without."""

from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.yang2020_interpolation.comparing import (
    NOT_CONFIRMED,
    beyond_clean,
    improvement,
    limited,
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


def _knows(kind: str, words: Words) -> Words:
    """None where the summary has no such net: then a smaller preset is asked."""
    return lambda summary: words(summary) if kind in summary["kinds"] else None


def _percent(values: list[float]) -> str:
    return ", ".join(f"{100 * value:.1f}" for value in values)


def _of_seeds(summary: Summary) -> str:
    n = len(summary["seeds"])
    return f"{summary['family']}, {n} seed{'s' if n > 1 else ''}; differences ± standard error over images"


# --- training ----------------------------------------------------------------------------------------


def clean(kind: str) -> Words:
    """Accuracies without noise or attack."""

    def words(summary: Summary) -> str:
        nets, base = summary["nets"], next(iter(summary["kinds"]))
        return (
            f"{_percent(nets[kind]['accuracy'])} % ({nets[kind]['parameters']} parameters) against "
            f"{_percent(nets[base]['accuracy'])} % ({nets[base]['parameters']}), {summary['images']} test images; "
            f"{points(summary['differences'][kind], digits=2)}; {_of_seeds(summary)}"
        )

    return _knows(kind, words)


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
    """λ of each damped unit."""
    rows = []
    for kind, title in summary["kinds"].items():
        for seed, found in zip(summary["seeds"], summary["nets"][kind]["coefficients"], strict=True):
            if found:
                each = ", ".join(f"{value:.2f}" for value in found.values())
                rows.append(f"{title} seed {seed}: {each}")
    return f"λ of the damped units in their order, from 0.20–0.25 at the start: {'; '.join(rows)}"


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


def other_data_verdict(summary: Summary) -> str:
    """No verdict without nets."""
    if summary["data"] == "cifar100":
        return str(clean_verdict("in")(summary))
    return "not run" if summary["other_data"]["cifar100"] else NO_DATA


# --- noise -------------------------------------------------------------------------------------------


def noise(kind: str, standard: str = "network") -> Words:
    """Accuracy under all noise, and what noise costs."""

    def words(summary: Summary) -> str:
        found, base = summary["differences"][kind], next(iter(summary["kinds"]))
        pooled = {name: summary["accuracy"][name][standard]["pooled"] for name in (kind, base)}
        parts = "; ".join(
            f"{name.partition('_')[0]} {points(difference)}" for name, difference in found[standard]["by_noise"].items()
        )
        return (
            f"{_percent(pooled[kind])} % against {_percent(pooled[base])} %, severities "
            f"{', '.join(map(str, summary['severities']))}, {summary['images']} images: "
            f"{points(found[standard]['difference'])}; less the difference on clean images "
            f"{points(found[standard]['cost'])}; {parts}; {_of_seeds(summary)}"
        )

    return _knows(kind, words)


def noise_verdict(kind: str, standard: str = "network") -> Words:
    """Over all kinds of noise and severities."""
    return lambda summary: beyond_clean(summary["differences"][kind][standard])


# --- attacks -----------------------------------------------------------------------------------------

USUAL = ("fgsm", "i-fgsm", "pgd")


def attacks(kind: str, names: tuple[str, ...] = USUAL) -> Words:
    """Accuracy under each attack, mean over radii."""

    def words(summary: Summary) -> str:
        base = next(iter(summary["kinds"]))
        rows = []
        for name in names:
            found = summary["attacks"][name]
            means = {k: np.mean(found["accuracy"][k], axis=1).tolist() for k in (kind, base)}
            difference = found["differences"][kind]
            rows.append(
                f"{name} ({', '.join(f'{radius:g}' for radius in found['radii'])}/255, {found['images']} images) "
                f"{_percent(means[kind])} % against {_percent(means[base])} %: {points(difference['difference'])}, "
                f"less that on clean images {points(difference['cost'])}"
            )
        return f"accuracy, means over radii: {'; '.join(rows)}; {summary['steps']} steps; {_of_seeds(summary)}"

    return _knows(kind, words)


def attacks_verdict(kind: str, names: tuple[str, ...] = USUAL) -> Words:
    """By the means over radii: an accuracy near zero at the largest of them says nothing by itself."""

    def verdict(summary: Summary) -> str:
        return together({name: beyond_clean(summary["attacks"][name]["differences"][kind]) for name in names})

    return verdict


# --- landscape ---------------------------------------------------------------------------------------


def landscape(kind: str) -> Words:
    """Rises of the loss along both directions, and the slope."""

    def words(summary: Summary) -> str:
        nets, base, found = summary["nets"], next(iter(summary["kinds"])), summary["differences"][kind]
        rows = []
        for direction, rises in found["rise"].items():
            each = "; ".join(
                f"{radius}/255 {_nats(nets[kind]['rise'][direction][radius])} against "
                f"{_nats(nets[base]['rise'][direction][radius])} ({points(rise, 1.0, 'nats', 2)})"
                for radius, rise in rises.items()
            )
            rows.append(f"{direction}: {each}")
        slope, median, loss = (
            f"{_nats(nets[kind][name])} against {_nats(nets[base][name])}"
            for name in ("slope", "median_slope", "clean")
        )
        return (
            f"rise of the loss, mean of {summary['images']} images, {'. '.join(rows)}. Slope for 1/255 {slope} "
            f"({points(found['slope'], 1.0, 'nats', 2)}), median over images {median}; clean loss {loss}; "
            f"{_of_seeds(summary)}"
        )

    return _knows(kind, words)


def _nats(values: list[float]) -> str:
    return ", ".join(f"{value:z.2f}" for value in values)


def landscape_verdict(kind: str) -> Words:
    """A flatter loss along the attack direction, radius by radius.

    A net with smaller logits has a smaller rise of the loss without being more robust. Its loss on clean images is
    higher, which is told.
    """

    def verdict(summary: Summary) -> str:
        found = summary["differences"][kind]
        flatter = together({f"{radius}/255": improvement(rise, -1) for radius, rise in found["rise"]["attack"].items()})
        if flatter.startswith(NOT_CONFIRMED) or improvement(found["clean"]).startswith(NOT_CONFIRMED):
            return flatter
        return limited(flatter, "its clean loss is higher, too")

    return verdict


def directions(summary: Summary) -> str:
    """The rise along the attack direction beside that along the random one."""
    rows = []
    for kind, title in summary["kinds"].items():
        rise = summary["nets"][kind]["rise"]
        radii = list(rise["attack"])
        each = ", ".join(
            f"{np.mean(rise['attack'][r]):.2f} / {np.mean(rise['random'][r]):.2f} ({r}/255)" for r in radii
        )
        rows.append(f"{title} {each}")
    return f"rise of the loss, attack / random direction, means over seeds: {'; '.join(rows)}"


def directions_verdict(summary: Summary) -> str:
    """Of the two, at every radius, for each kind and seed; at least twice, since a tie is no statement."""
    steeper = [
        np.greater(attack, 2 * np.array(net["rise"]["random"][radius])).all()
        for net in summary["nets"].values()
        for radius, attack in net["rise"]["attack"].items()
    ]
    return "confirmed" if all(steeper) else f"not confirmed: in {sum(steeper)} of {len(steeper)} cases"
