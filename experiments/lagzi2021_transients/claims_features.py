"""What lagzi2021 says about features that input dimensions have in common, and what our numbers say about it."""

from typing import Any

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS
from experiments._harness.spreads import spread
from experiments.lagzi2021_transients.circles_judging import MOST

Summary = dict[str, Any]
LEVEL = 0.05
"""Of p-values, as in ``attracted``."""
NO_ATTRACTOR = "not judged: no attractor network"
FEW = 0.2
"""Of untrained nets: more than that, two of eight, exceed the null at a level of 5 % by chance once in 18 times."""
READINGS = {"pattern": "as an image", "filter": "through W"}


def common_features(summary: Summary) -> str:
    """Vertices of attractor networks beside what input dimensions have in common; then the net that has none."""
    found = summary["attractors"]
    return "; ".join((_digits(found["digits"], found["layers"]), _circles(found["circles"]), _without(summary)))


def _digits(found: Summary, layers: int) -> str:
    each = found["nets"] // len(found["pulls"])
    had, pulls = (", ".join(f"{n:g}" for n in found[name]) for name in ("one_vertex", "pulls"))
    start = (
        f"digits, penalty {pulls} on the spread of y(15): one stable vertex for all samples at layer {layers} in {had} "
        f"of {each} nets"
    )
    if not sum(found["one_vertex"]):
        return start
    related = ", ".join(
        f"{words} in {_of(found['trained'][name])} (untrained {_of(found['untrained'][name])}; mean |correlation| "
        f"{found['trained'][name]['mean']:.2f}, shifts {found['trained'][name]['null']:.2f})"
        for name, words in READINGS.items()
    )
    return (
        f"{start} (accuracy {spread(found['accuracy'], 1, 100)} %, units at 1 {spread(found['on'])}); related to mean, "
        f"deviation or leading component of the images, beyond 95 % of their shifts: {related}"
    )


def _of(row: Summary) -> str:
    return f"{row['beyond']} of {row['nets']}"


def _circles(found: Summary) -> str:
    start = f"circles: one vertex in {sum(found['one_vertex'])} of {found['nets']} networks"
    row, before = found["trained"]["filter"], found["untrained"]["filter"]
    if not row["nets"]:
        return start
    return (
        f"{start}, related to the weights from the inputs with p = {row['p']:.2f} (untrained {before['p']:.2f}; mean "
        f"|correlation| {row['mean']:.2f}, other orders of units {row['null']:.2f})"
    )


def _without(summary: Summary) -> str:
    rows = {kind: summary[kind] for kind in ("trained", "untrained", "pixels")}
    above = ", ".join(f"{kind} {100 * row['above']:.1f} %" for kind, row in rows.items())
    shuffled = 100 * rows["trained"]["shuffled_above"]
    trained = rows["trained"]
    return (
        f"besides, {summary['network']}, not attracted: {trained['varying_units']} of {trained['units']} units vary "
        f"at layer {summary['depth']}, pairs of unit and pixel with information above chance {above} (shuffled "
        f"{shuffled:.2f} %)"
    )


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
    found = summary["pattern"]
    return "one seed; " + "; ".join(
        f"{kind}: correlation {found[kind]['correlation']:.2f}, p = {found[kind]['p_value']:.3f} among all shifts of "
        "the image"
        for kind in ("trained", "untrained")
    )


CLAIMS = (
    Claim(
        "common-features",
        "Steady residuals of attractor networks show features common to the input dimensions",
        IN_WORDS,
        "features",
        common_features,
        common_features_verdict,
    ),
    Claim(
        "common-pattern",
        "The mean steady residual of the units that began as pixels, beside the mean image",
        BEYOND,
        "features",
        pattern,
        lambda summary: "measured",
    ),
)
