"""What lagzi2021 says about features that input dimensions have in common, and what our numbers say about it."""

from typing import Any

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS
from experiments.lagzi2021_transients import details_mnist as details
from experiments.lagzi2021_transients.circles_judging import MOST
from experiments.lagzi2021_transients.mnist_judging import READINGS

Summary = dict[str, Any]
LEVEL = 0.05
"""Of p-values, as in ``attracted``."""
NO_ATTRACTOR = "not judged: no attractor network"
FEW = 0.2
"""Of untrained nets: more than that, two of eight, exceed the null at a level of 5 % by chance once in 18 times."""


def common_features(summary: Summary) -> str:
    """In how many nets on digits, and how likely by chance on circles."""
    found = summary["attractors"]
    trained, untrained = (found["digits"][kind] for kind in ("trained", "untrained"))
    each = ", ".join(f"{words} {_of(trained[name])} ({_of(untrained[name])})" for name, words in READINGS.items())
    after, before = (found["circles"][kind]["filter"] for kind in ("trained", "untrained"))
    circles = f"p = {after['p']:.2f} ({before['p']:.2f}), {after['nets']} networks" if after["nets"] else "none"
    return f"nets on digits beyond 95 % of shifts (untrained): {each}; on circles {circles}"


def _of(row: Summary) -> str:
    return f"{row['beyond']} of {row['nets']}"


def common_features_verdict(summary: Summary) -> str:
    """Beyond the null on digits in most nets, in one of the readings, and over the networks on circles; not untrained.

    Three units have six orders, so that a single network on circles cannot be beyond 95 % of them.
    """
    found = summary["attractors"]
    judged = {name: judge(found[name]) for name, judge in (("digits", _in_most), ("circles", _together))}
    judged = {name: word for name, word in judged.items() if word is not None}
    shown = [name for name, word in judged.items() if word == "shown"]
    if not judged:
        return NO_ATTRACTOR
    if shown:
        return "confirmed" if len(shown) == 2 else f"qualified: on {shown[0]} alone"
    before = [name for name, word in judged.items() if word == "before"]
    return f"not confirmed: before training, too, on {' and '.join(before)}" if before else "not confirmed"


def _in_most(found: Summary) -> str | None:
    words = []
    for name in READINGS:
        trained, untrained = found["trained"][name], found["untrained"][name]
        if not trained["nets"]:
            return None
        if trained["beyond"] > MOST * trained["nets"]:
            words.append("before" if untrained["beyond"] > FEW * untrained["nets"] else "shown")
    return "shown" if "shown" in words else words[0] if words else "none"


def _together(found: Summary) -> str | None:
    trained, untrained = (found[kind]["filter"]["p"] for kind in ("trained", "untrained"))
    if trained is None:
        return None
    if trained > LEVEL:
        return "none"
    return "before" if untrained <= LEVEL else "shown"


def pattern(summary: Summary) -> str:
    """The mean residual, as an image."""
    trained, untrained = (summary["pattern"][kind] for kind in ("trained", "untrained"))
    return (
        f"correlation {trained['correlation']:.2f}, p = {trained['p_value']:.3f} among shifts of the image (untrained "
        f"{untrained['correlation']:.2f}, p = {untrained['p_value']:.3f}); one seed"
    )


CLAIMS = (
    Claim(
        "common-features",
        "Steady residuals of attractor networks show features common to the input dimensions",
        IN_WORDS,
        "features",
        common_features,
        common_features_verdict,
        details=details.common_features,
    ),
    Claim(
        "common-pattern",
        "The mean steady residual of the units that began as pixels, beside the mean image",
        BEYOND,
        "features",
        pattern,
        lambda summary: "measured",
        details=details.pattern,
    ),
)
