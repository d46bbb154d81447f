"""How statements on perturbations and on the stopping rule are judged, and how numbers are put in words.

Needs neither torch nor the modules that compute.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments._harness.claims import NOT_RUN as NOT_RUN
from experiments._harness.spreads import ENOUGH_SEEDS

Law = dict[str, Any]
Table = Sequence[Sequence[Any]]

ROUGHLY = 0.15
"""Roughly inversely proportional: with an exponent within this of −1 twice the blocks halve the perturbation to within
a tenth, as 2^0.15 = 1.11."""
START = -0.5
"""The exponent of initial weights whose variance falls as 1/L: an interval that reaches it does not tell the two
apart."""
EVEN = 0.25
"""A profile is even if no third of the blocks is further than a quarter from the mean of all."""
NO_LOSS = 0.005
"""As accurate: within half a point. Two nets of 95 % that err independently on 10,000 images differ by 0.3 of a point
(one standard error); ours err on the same images in part, so by less."""
THIRDS = ("first", "middle", "last")


# --- rules -------------------------------------------------------------------------------------------


def inverse(law: Law, untrained: Law | None = None, change: Law | None = None) -> str:
    """Whether a magnitude is about inversely proportional to depth, and training made it so.

    ``change`` is what training changes the exponent by; nets without an exponent before training have neither.
    """
    a, interval = law["exponent"], law["interval"]
    near = abs(a + 1) <= ROUGHLY
    if interval is None:
        return "qualified: two depths, no interval" if near else f"not confirmed: {_speed(a)}"
    low, high = interval
    if not near:
        if high >= 0:
            return "not confirmed: no clear fall"
        if not low <= -1 <= high:
            return f"not confirmed: {_speed(a)}"
        if high >= START:
            # so few depths, or so crooked a law, that it is told apart from nothing
            return f"not confirmed: neither −1 nor {sign(START, 1)} is ruled out"
    limits = ["−1 lies in the interval"] * (not near)
    limits += [f"the interval reaches {sign(START, 1)}"] * (high >= START)
    if untrained is not None:
        if not told_apart(change):
            limits.append("not told apart from untrained nets")
        elif abs(untrained["exponent"] + 1) <= abs(a + 1):
            limits.append("as near to −1 before training")
    return f"qualified: {'; '.join(limits)}" if limits else "confirmed"


def told_apart(change: Law | None) -> bool:
    """Whether the interval of a difference excludes zero."""
    if change is None or change["interval"] is None:
        return False
    low, high = change["interval"]
    return not low <= 0 <= high


def _speed(a: float) -> str:
    if a >= 0:
        return "does not fall"
    return "falls more slowly" if a > -1 else "falls faster"


def changed(change: Law | None) -> str:
    """Whether training moved the exponent, by the interval of the difference."""
    if change is None or change["interval"] is None:
        return NOT_RUN
    if not told_apart(change):
        return "measured: not told apart from untrained nets"
    return f"measured: training makes it {'steeper' if change['interval'][1] < 0 else 'flatter'}"


def even(profile: dict[str, Any]) -> str:
    """Of one depth."""
    thirds = profile["thirds"]
    if max(abs(np.subtract(thirds, 1))) <= EVEN:
        return "measured: even"
    return f"measured: largest in the {THIRDS[int(np.argmax(thirds))]} third"


def accurate(thresholds: Sequence[float], losses: Table) -> str:
    """Whether nets of the depth decided on are as accurate as the deepest, from losses over (thresholds, seeds).

    Each seed is to be, with each ε. A loss is None where no depth was found, and where it is the deepest itself, which
    says nothing.
    """
    known = {
        threshold: [loss for loss in row if loss is not None]
        for threshold, row in zip(thresholds, losses, strict=True)
        if any(loss is not None for loss in row)
    }
    if not known:
        return "not told: no depth below the deepest"
    bad = [threshold for threshold, row in known.items() if max(row) > NO_LOSS]
    if bad:
        return "not confirmed" if len(bad) == len(known) else f"qualified: not for ε = {listed(bad)}"
    seeds = len(losses[0])
    return "confirmed" if seeds >= ENOUGH_SEEDS else f"qualified: {seeds} seed{'s' * (seeds > 1)}"


def same(thresholds: Sequence[float], one: Table, other: Table) -> list[float]:
    """The thresholds at which two ways decide differently for some seed."""
    return [threshold for threshold, a, b in zip(thresholds, one, other, strict=True) if list(a) != list(b)]


# --- words -------------------------------------------------------------------------------------------


def sign(value: float, digits: int = 2) -> str:
    """A number with a true minus."""
    return f"{value:.{digits}f}".replace("-", "−")


def listed(values: Sequence[float]) -> str:
    """Thresholds."""
    return ", ".join(f"{value:g}" for value in values)


def number(n: int, one: str) -> str:
    """As in "1 net", "3 nets"."""
    return f"{n} {one}{'s' * (n > 1)}"


def exponent(law: Law) -> str:
    """With its interval, if it has one."""
    if law["interval"] is None:
        return sign(law["exponent"])
    return f"{sign(law['exponent'])} [{sign(law['interval'][0])}, {sign(law['interval'][1])}]"


def spread_over(depths: Sequence[int], law: Law) -> str:
    """What the interval of an exponent is."""
    return f"{len(depths)} depths, no interval" if law["interval"] is None else f"95 %, t over {len(depths)} depths"


def of_seeds(law: Law) -> str:
    """The exponents of single seeds, least and most."""
    return f"{sign(min(law['by_seed']))} to {sign(max(law['by_seed']))}"


def law_in_words(law: Law) -> str:
    """An exponent, its interval and those of single seeds."""
    words = f"exponent {exponent(law)}"
    if law["interval"] is not None:
        words += " (95 %, t over depths)"
    return f"{words}, single seeds {of_seeds(law)}" if len(law["by_seed"]) > 1 else words


def over_depths(depths: Sequence[int], law: Law) -> str:
    """Means by depth, with the least and the most net where there are several."""
    several = len(law["by_seed"]) > 1
    return ", ".join(
        f"{mean:.3g}" + (f" [{low:.3g}, {high:.3g}]" if several else "") + f" (L = {depth})"
        for depth, mean, low, high in zip(depths, law["means"], law["least"], law["most"], strict=True)
    )
