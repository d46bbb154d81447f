"""How statements on perturbations are judged, with the same rules for every network, from :func:`gains.numbers_of`.

A jump is a tenth more than what the units before do in the final stage, in the median image, and more at all for three
images of four; in one of the last units. Adversarial perturbations are judged by how much more they grow than random
ones at the same image, since random perturbations and the state itself grow there, too. Attacks are judged one by one,
and a verdict that is not that of all of them names those for which it fails.
"""

from collections.abc import Callable, Mapping
from typing import Any

from experiments._harness.claims import NOT_RUN
from experiments._harness.spreads import between

Attacks = Mapping[str, Mapping[str, Any]]

JUMP = 1.1


def is_jump(medians: list[float], quartiles: list[list[float]]) -> bool:
    """Of ratios to the units before, unit by unit."""
    return any(median > JUMP and low > 1 for median, (low, _) in zip(medians, quartiles, strict=True))


def jump(attacks: Attacks) -> str:
    """Confirmed: a jump, with no larger gain anywhere else, and the largest part of the excess comes from it."""

    def jumps(n: Mapping[str, Any]) -> bool:
        return is_jump(n["jump"]["over_stage"], n["jump"]["over_stage_quartiles"])

    there = _for_all(attacks, jumps)
    if there in (NOT_RUN, "not confirmed"):
        return there
    reasons = [there.partition(": ")[2]] if there != "confirmed" else []
    if any(n["adversarial"]["largest_gain_at"] not in n["last_units"] for n in attacks.values()):
        reasons.append("a larger gain elsewhere")
    if any(_largest_part(n) != "last" for n in attacks.values()):
        reasons.append("more of the excess comes from elsewhere")
    return f"qualified: {'; '.join(reasons)}" if reasons else "confirmed"


def _largest_part(n: Mapping[str, Any]) -> str:
    parts = n["excess"]["parts"]
    return max(parts, key=lambda name: float(parts[name]["share"]))


def relative_jump(attacks: Attacks) -> str:
    """The same of sizes relative to the state; they grow, and not only stop to shrink."""

    def jumps(n: Mapping[str, Any]) -> bool:
        adversarial, last = n["adversarial"], len(n["last_units"])
        grows = any(low > 1 for low, _ in adversarial["relative_gain_quartiles"][-last:])
        return grows and is_jump(adversarial["relative_over_stage"], adversarial["relative_over_stage_quartiles"])

    return _for_all(attacks, jumps)


def no_jump_at_random(attacks: Attacks) -> str:
    """Confirmed: neither in size nor relative to the state; qualified: in size alone, where the state grows as well."""
    if not attacks:
        return NOT_RUN
    random = [n["random"] for n in attacks.values()]
    if any(is_jump(row["relative_over_stage"], row["relative_over_stage_quartiles"]) for row in random):
        return "not confirmed"
    sizes = any(is_jump(row["over_stage"], row["over_stage_quartiles"]) for row in random)
    return "qualified: not relative to the state" if sizes else "confirmed"


def excess(attacks: Attacks) -> str:
    """Adversarial ones are larger at the pooled features, for three images of four."""
    return _for_all(attacks, lambda n: n["excess"]["pooled_quartiles"][0] > 1)


def _for_all(attacks: Attacks, holds: Callable[[Mapping[str, Any]], bool]) -> str:
    if not attacks:
        return NOT_RUN
    fails = [words for words, n in attacks.items() if not holds(n)]
    if len(fails) == len(attacks):
        return "not confirmed"
    return f"qualified: not for {', '.join(fails)}" if fails else "confirmed"


# --- words -------------------------------------------------------------------------------------------


def title_of(words: str) -> str:
    """An attack as a reader knows it: "PGD, ℓ2 radius 0.1"; pixels are between 0 and 1."""
    method, norm, radius = words.split()
    return f"{method.upper()}, {'ℓ2' if norm == 'l2' else 'ℓ∞'} radius {radius}"


def _with(median: float, quartiles: list[float], digits: int = 2) -> str:
    low, high = quartiles
    return f"{median:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _each(attacks: Attacks, words: Callable[[Mapping[str, Any]], str]) -> str:
    return "; ".join(f"{name}: {words(n)}" for name, n in attacks.items())


def last_units(attacks: Attacks) -> list[int]:
    """They are those of the network, whatever the attack."""
    units: list[int] = next(iter(attacks.values()))["last_units"]
    return units


def jump_measured(attacks: Attacks, images: int) -> str:
    """The last unit's gains and their ratio; where the largest gain is, at random too; where the excess comes from."""
    if not attacks:
        return "—"
    units, rows = last_units(attacks), list(attacks.values())

    def of(n: Mapping[str, Any]) -> str:
        over = " and ".join(f"{value:.2f}" for value in n["jump"]["over_stage"][:-1])
        before = f", {over} in unit{'s' * (len(units) > 2)} {', '.join(map(str, units[:-1]))}" if over else ""
        return (
            f"gain {_with(n['adversarial']['last_gain'], n['adversarial']['gain_quartiles'][-1])} against "
            f"{_with(n['random']['last_gain'], n['random']['gain_quartiles'][-1])}, their ratio "
            f"{_with(n['jump']['over_stage'][-1], n['jump']['over_stage_quartiles'][-1])} times that of the units "
            f"before in the stage{before}"
        )

    last = f"unit {units[0]}" if len(units) == 1 else f"units {units[0]} to {units[-1]}"
    largest = [100 * n[kind]["largest_of_stage_in_last"] for kind in ("adversarial", "random") for n in rows]
    k = len(rows)
    ratio = [100 * n["jump"]["largest_of_stage_in_last"] for n in rows]
    elsewhere = sorted({n["adversarial"]["largest_gain_at"] for n in rows} - set(units))
    # the largest of all gains, where it is not among the last units
    other = [n["adversarial"]["largest_gain"] for n in rows if n["adversarial"]["largest_gain_at"] in elsewhere]
    there = f"; unit {', '.join(map(str, elsewhere))} has {between(other, 2)}" if elsewhere else ""
    parts = {name: [100 * n["excess"]["parts"][name]["share"] for n in rows] for name in rows[0]["excess"]["parts"]}
    return (
        f"unit {units[-1]}, adversarial against random, median over {images} images [quartiles]: "
        f"{_each(attacks, of)}. The largest gain of the stage is in {last} for {between(largest[:k])} % of the images, "
        f"{between(largest[k:])} % at random; the largest ratio for {between(ratio)} % "
        f"({100 * rows[0]['jump']['by_chance']:.0f} % by chance){there}. Of the excess at the "
        f"pooled features (logarithm) {between(parts['stem'])} % come from the stem, {between(parts['before_last'])} % "
        f"from the units up to {units[0] - 1}, {between(parts['last'])} % from {last}, {between(parts['pooling'])} % "
        "from pooling"
    )


def relative_measured(attacks: Attacks, images: int) -> str:
    """Of the last unit."""
    if not attacks:
        return "—"

    def of(n: Mapping[str, Any]) -> str:
        row = n["adversarial"]
        return (
            f"{_with(row['last_relative_gain'], row['relative_gain_quartiles'][-1])}, "
            f"{_with(row['relative_over_stage'][-1], row['relative_over_stage_quartiles'][-1])} times that of the "
            "units before in the stage"
        )

    return (
        f"unit {last_units(attacks)[-1]}, gain over that of the state, median over {images} images [quartiles]: "
        f"{_each(attacks, of)}"
    )


def random_measured(attacks: Attacks, images: int) -> str:
    """Of the last unit, for lengths like each attack's."""
    if not attacks:
        return "—"

    def of(n: Mapping[str, Any]) -> str:
        row = n["random"]
        return (
            f"{_with(row['last_gain'], row['gain_quartiles'][-1])}, relative to the state "
            f"{_with(row['last_relative_gain'], row['relative_gain_quartiles'][-1])}"
        )

    state = next(iter(attacks.values()))["state_gain"][-1]
    return (
        f"unit {last_units(attacks)[-1]}, gain of random perturbations as long as those of each attack, median over "
        f"{images} images [quartiles]: {_each(attacks, of)}; the state grows by {state:.2f}"
    )


def excess_measured(attacks: Attacks, images: int) -> str:
    """Ratios of sizes."""
    if not attacks:
        return "—"
    ratios = _each(attacks, lambda n: _with(n["excess"]["pooled"], n["excess"]["pooled_quartiles"], 1))
    return f"ratio of sizes, median over {images} images [quartiles]: {ratios}"
