"""Whole stages beside their units, and perturbations on the units' singular vectors: of ResNet-56 and plain nets."""

from collections.abc import Callable, Sequence
from typing import Any

from experiments._harness import Claim
from experiments._harness.spreads import between
from experiments.rothauge2019_linearization import claims_sparsity, claims_words, judging
from experiments.rothauge2019_linearization.judging_perturbations import name_of

Summary = dict[str, Any]


# --- stages ------------------------------------------------------------------------------------------


def stages(summary: Summary) -> str:
    """Shares above 1 beside those of the units in the middle, and the largest values."""
    rows = summary["stages"]
    numbers = ", ".join(str(k) for k, _ in enumerate(rows, start=1))
    above = ", ".join(_above(stage) for stage in rows)
    units = ", ".join(f"{100 * stage['unit_above_one']:.0f}" for stage in rows)
    largest = ", ".join(_largest(stage) for stage in rows)
    return (
        f"above 1 in stages {numbers}: {above} % (their middle units {units} %); largest value {largest}; medians "
        f"over {between([stage['images'] for stage in rows])} images [quartiles]"
    )


def _above(stage: Summary) -> str:
    """With the error of an estimate."""
    return f"{100 * stage['above_one']:.0f}" + ("" if stage["complete"] else f" ± {100 * stage['above_one_error']:.0f}")


def _largest(stage: Summary) -> str:
    low, high = stage["largest_quartiles"]
    return f"{stage['largest'][0]:.1f} [{low:.1f}, {high:.1f}]"


def stages_details(summary: Summary) -> str:
    """Each stage, and its unit in the middle; of estimated ones no more than their errors allow."""
    return " ".join(_stage(k, stage) for k, stage in enumerate(summary["stages"], start=1))


def _stage(k: int, stage: Summary) -> str:
    above, (low, high) = stage["above_one"], stage["above_one_quartiles"]
    how = "" if stage["complete"] else ", by quadrature"
    error = "" if stage["complete"] else f" ± {stage['above_one_error']:.2f}"
    words = [
        f"Stage {k} ({stage['images']} image{'s' * (stage['images'] != 1)}{how}): above 1: {above:.2f}{error} "
        f"[{low:.2f}, {high:.2f}] (its middle unit {stage['unit_above_one']:.2f})"
    ]
    if stage["complete"]:
        low, high = stage["near_one_quartiles"]
        words.append(f"within 0.01 of 1 {stage['near_one']:.3f} [{low:.3f}, {high:.3f}]")
        words.append(f"zero {stage['zero']:.2f}")
    else:
        words.append(f"within 0.01 of 1 not known, zero at least {stage['forced_zero']:.2f}")
    words.append(f"its middle unit within 0.01 {stage['unit_near_one']:.2f}")
    words.append(f"largest {_largest(stage)}, then {stage['largest'][1]:.1f}")
    return f"{', '.join(words)}."


# --- projections -------------------------------------------------------------------------------------


def projections(summary: Summary) -> str:
    """Between which shares all pairs of unit and attack lie, and for how many images there is more."""
    rows = [row for unit in summary["units"] for row in unit["shares"].values()]
    more = [difference["positive"] for unit in summary["units"] for difference in unit["difference"].values()]
    adversarial, random = ([row[kind]["leading"] for row in rows] for kind in ("adversarial", "random"))
    return (
        f"on the {summary['k']} leading vectors {between(adversarial, 1, 100)} % of adversarial perturbations, "
        f"{between(random, 1, 100)} % of random ones; more for {between(more, 0, 100)} % of {summary['images']} "
        f"images; means, {_number(summary['units'], 'unit')}, {_number(summary['units'][0]['shares'], 'attack')}"
    )


def _number(things: Sequence[Any] | dict[str, Any], name: str) -> str:
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"


def projections_details(summary: Summary) -> str:
    """The shares on the leading directions, unit by unit, against random perturbations of equal length."""

    def each(unit: Summary) -> str:
        words = []
        for attack, row in unit["shares"].items():
            shares = []
            for kind in ("adversarial", "random"):
                low, high = unit["leading_quartiles"][attack][kind]
                shares.append(f"{row[kind]['leading']:.3f} [{low:.3f}, {high:.3f}]")
            more = round(100 * unit["difference"][attack]["positive"])
            words.append(f"{name_of(attack)} {shares[0]} against {shares[1]}, more for {more} % of the images")
        return f"Unit {unit['unit']} ({unit['at_random']['leading']:.4f} in a random direction): {'; '.join(words)}."

    return (
        f"Share on the {summary['k']} leading right singular vectors, means over {summary['images']} images "
        "[quartiles], adversarial against random perturbations as long in pixels. "
        + " ".join(each(unit) for unit in summary["units"])
    )


def projections_verdict(summary: Summary) -> str:
    """Whether three images of four have more on the leading vectors with the adversarial perturbation, pair by pair."""
    more = [difference["quartiles"][0] > 0 for unit in summary["units"] for difference in unit["difference"].values()]
    if not more:
        return judging.NOT_RUN
    if all(more):
        return "measured: adversarial above random"
    if not any(more):
        return "measured: no clear order"
    return f"measured: adversarial above random in {sum(more)} of {len(more)} pairs of unit and attack"


# --- rows --------------------------------------------------------------------------------------------

Words = Callable[[Summary], str]


def _of_all_networks(
    key: str, statement: str, script: str, measured: Words, verdict: Words, details: Words
) -> tuple[Claim, ...]:
    """Of ResNet-56, and of pre-activation ResNet-20 and ResNet-110, which have presets of their own."""

    def row(prefix: str, words: str, presets: tuple[str, ...], beside: Any = "") -> Claim:
        shown = "shown there, numbers not known"
        return Claim(f"{prefix}{key}", words, shown, script, measured, verdict, presets, beside, details)

    return (
        row("", claims_words.sentence(statement), ("laptop", "paper")),
        row("preresnet20-", f"Pre-activation ResNet-20: {statement}", ("preresnet20",)),
        row(
            "preresnet110-",
            f"Pre-activation ResNet-110: {statement}",
            ("resnet110",),
            lambda summary: claims_sparsity.instead(f"preresnet20-{key}", summary["network"]),
        ),
    )


STAGES = _of_all_networks(
    "stages",
    "linearizations of whole stages, beside those of units",
    "stage_spectra",
    stages,
    lambda summary: "measured",
    stages_details,
)
PROJECTIONS = _of_all_networks(
    "projections",
    "perturbations projected on the units' singular vectors",
    "projections",
    projections,
    projections_verdict,
    projections_details,
)
