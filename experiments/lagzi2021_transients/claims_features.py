"""What lagzi2021 says about features that input dimensions have in common, and what our numbers say about it."""

from typing import Any

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS

Summary = dict[str, Any]

ABOVE_CHANCE = 10
"""Times the share of shuffled pairs: with tens of thousands of pairs the error of that share is far smaller."""
VARYING = 0.1
"""Of the units: with one attractor for all samples no residual would vary; a tenth leaves room for transients."""
NO_ATTRACTOR = "not judged: no attractor network"


def _median(row: Summary, name: str) -> float:
    return float(row[name][1]) if row[name] else 0.0


def common_features(summary: Summary) -> str:
    """How many input dimensions a unit tells about, against all controls."""
    rows = {kind: summary[kind] for kind in ("trained", "untrained", "pixels")}
    above = ", ".join(f"{kind} {100 * row['above']:.1f} %" for kind, row in rows.items())
    shared = ", ".join(f"{kind} {_spread(row['participation'])}" for kind, row in rows.items())
    common = rows["trained"]["common"]
    parts = (common["components"], common["one_pixel"], common["shuffled"])
    medians = [f"{100 * part[1]:.0f} %" if part else "none" for part in parts]
    return (
        f"one seed; pairs of unit and pixel with more information than one shuffled pair in 1000: {above} (shuffled "
        f"{100 * rows['trained']['shuffled_above']:.2f} %); such pixels that share a unit's information, median over "
        f"units [quartiles]: {shared} (shuffled, mean {rows['trained']['shuffled_participation']:.1f}); "
        f"of a trained unit's variance the leading components of the pixels explain {medians[0]}, the best pixel "
        f"{medians[1]}, shuffled components {medians[2]} (medians); {summary['samples']} samples, "
        f"layer {summary['depth']}, {rows['trained']['varying_units']} of "
        f"{rows['trained']['units']} units vary (untrained: {rows['untrained']['varying_units']}); residuals moved by "
        f"{summary['moved']['trained']:.3f} in the second half of the layers"
    )


def _spread(quartiles: list[float] | None) -> str:
    if quartiles is None:
        return "none"
    low, median, high = quartiles
    return f"{median:.0f} [{low:.0f}, {high:.0f}]"


def common_features_verdict(summary: Summary) -> str:
    """Above chance, and three units of four about more pixels than the typical pixel, or unit before training, is.

    The paper speaks of networks with one attractor; where residuals of many units vary, the net is none, and where none
    does, they can tell nothing about the input.
    """
    trained = summary["trained"]
    if trained["varying_units"] > VARYING * trained["units"]:
        return NO_ATTRACTOR
    if not trained["varying_units"]:
        return "not judged: the same residuals for all inputs"
    if trained["above"] <= ABOVE_CHANCE * max(trained["shuffled_above"], 0.001):
        return "not confirmed"
    low = trained["participation"][0]
    also = [
        words
        for kind, words in (("pixels", "a single pixel"), ("untrained", "the net before training"))
        if low <= _median(summary[kind], "participation")
    ]
    return f"qualified: not more than {' and '.join(also)}" if also else "confirmed"


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
