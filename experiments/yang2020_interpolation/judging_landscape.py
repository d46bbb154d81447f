"""How the loss rises along the attack direction, in words, and verdicts from it."""

from typing import Any

import numpy as np

from experiments._harness.spreads import between
from experiments.yang2020_interpolation.comparing import (
    NOT_CONFIRMED,
    improvement,
    in_short,
    limited,
    points,
    together,
)
from experiments.yang2020_interpolation.judging_networks import Words, knows, of_seeds, seeds

Summary = dict[str, Any]


def landscape(kind: str) -> Words:
    """Rises less those of the ResNet along the attack direction, radius by radius, and the clean loss."""

    def words(summary: Summary) -> str:
        found = summary["differences"][kind]
        attack = found["rise"]["attack"]
        rises = "; ".join(in_short(rise, 1.0, 2, errors=False) for rise in attack.values())
        errors = between([error for rise in attack.values() for error in rise["errors"]], 2)
        return (
            f"{rises} nats at {', '.join(attack)}/255, ± {errors} over {summary['images']} images; clean loss "
            f"{in_short(found['clean'], 1.0, 2, errors=False)}; {seeds(summary)}"
        )

    return knows(kind, words)


def landscape_details(kind: str) -> Words:
    """Rises of the loss along both directions, and the slope."""

    def words(summary: Summary) -> str:
        nets, base, found = summary["nets"], next(iter(summary["kinds"])), summary["differences"][kind]
        rows = []
        for direction, rises in found["rise"].items():
            each = ", ".join(
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
            f"Rise of the loss, mean of {summary['images']} images, {'; '.join(rows)}. Slope for 1/255 {slope} "
            f"({points(found['slope'], 1.0, 'nats', 2)}), median over images {median}. Clean loss {loss}. "
            f"{of_seeds(summary)}"
        )

    return knows(kind, words)


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
    """The range of rises along both directions, and the two that are most alike."""
    pairs = _rises(summary)
    attack, random = ([pair[k] for pair in pairs] for k in (0, 1))
    # a rise of nothing is as much like that along a random direction as can be
    nearest = max(pairs, key=lambda pair: pair[1] / max(pair[0], 1e-9))
    radii = next(iter(summary["nets"].values()))["rise"]["attack"]
    return (
        f"rise {min(attack):.2f} to {max(attack):.2f} along the attack direction, {min(random):z.2f} to "
        f"{max(random):.2f} along the random one ({len(pairs) // len(radii)} nets, {len(radii)} radii); most alike "
        f"{nearest[0]:.2f} and {nearest[1]:.2f}"
    )


def _rises(summary: Summary) -> list[tuple[float, float]]:
    """(attack, random) of all nets and radii."""
    return [
        pair
        for net in summary["nets"].values()
        for radius, attack in net["rise"]["attack"].items()
        for pair in zip(attack, net["rise"]["random"][radius], strict=True)
    ]


def directions_details(summary: Summary) -> str:
    """The rise along the attack direction beside that along the random one."""
    rows = []
    for kind, title in summary["kinds"].items():
        rise = summary["nets"][kind]["rise"]
        radii = list(rise["attack"])
        each = ", ".join(
            f"{np.mean(rise['attack'][r]):.2f} / {np.mean(rise['random'][r]):z.2f} ({r}/255)" for r in radii
        )
        rows.append(f"{title} {each}")
    return f"Rise of the loss, attack / random direction, means over seeds: {'; '.join(rows)}."


def directions_verdict(summary: Summary) -> str:
    """Of the two, at every radius, for each kind and seed; at least twice, since a tie is no statement."""
    steeper = [
        np.greater(attack, 2 * np.array(net["rise"]["random"][radius])).all()
        for net in summary["nets"].values()
        for radius, attack in net["rise"]["attack"].items()
    ]
    return "confirmed" if all(steeper) else f"not confirmed: in {sum(steeper)} of {len(steeper)} cases"
