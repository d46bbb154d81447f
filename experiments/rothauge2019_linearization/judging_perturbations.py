"""How statements on perturbations are judged, with the same rules for every network, from :func:`gains.numbers_of`.

A jump is a tenth more than what the units before do in the final stage, in the median image, and more at all for three
images of four; in one of the last units. Adversarial perturbations are judged by how much more they grow than random
ones at the same image, since random perturbations and the state itself grow there, too. Attacks are judged one by one,
and a verdict that is not that of all of them names those for which it fails.
"""

from collections.abc import Callable, Mapping
from typing import Any

from experiments._harness.claims import NOT_RUN

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
    fails = [name_of(attack) for attack, n in attacks.items() if not holds(n)]
    if len(fails) == len(attacks):
        return "not confirmed"
    return f"qualified: not for {', '.join(fails)}" if fails else "confirmed"


# --- words -------------------------------------------------------------------------------------------


NORMS = {"l2": "ℓ2", "linf": "ℓ∞"}


def name_of(attack: str) -> str:
    """As a reader knows it: "PGD ℓ2 0.1" for "pgd l2 0.1"; pixels are between 0 and 1."""
    method, norm, rest = attack.split(" ", 2)
    return f"{method.upper()} {NORMS[norm]} {rest}"


def title_of(attack: str) -> str:
    """As a title: "PGD, ℓ2 radius 0.1"."""
    method, norm, radius = name_of(attack).split(" ", 2)
    return f"{method}, {norm} radius {radius}"
