"""What rothauge2019 says about linearizations, and what our numbers say about it.

No table of the paper was at hand: its claims are those of the abstract, in our words, and what it measured in numbers
is not known. Rows without a statement of the paper to judge are called "measured".
"""

from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import IN_WORDS
from experiments.rothauge2019_linearization import claims_networks, claims_sparsity, judging
from experiments.rothauge2019_linearization.judging import spread

Summary = dict[str, Any]
READINGS = ("before", "after")


# --- units -------------------------------------------------------------------------------------------


def _of_units(summary: Summary, reading: str, name: str) -> list[Any]:
    return [unit[reading][name] for unit in summary["units"]]


def _images(units: list[Summary]) -> str:
    """From how many images each unit's numbers are."""
    numbers = sorted({unit[reading]["images"] for unit in units for reading in READINGS})
    return f"{numbers[0]} images" if len(numbers) == 1 else f"{numbers[0]}–{numbers[-1]} images"


def ones(summary: Summary) -> str:
    """Shares of exact ones, for both readings."""
    words = []
    for reading in READINGS:
        exact, verdicts = _of_units(summary, reading, "exact"), _of_units(summary, reading, "most")
        yes = sum(verdict["exact"] == "yes" for verdict in verdicts)
        between = [high - low for low, high in _of_units(summary, reading, "exact_quartiles")]
        words.append(
            f"{reading} the last activation {spread(exact)}, most in {yes} of {len(exact)} units; quartiles over "
            f"images lie {spread(between, 3)} apart"
        )
    return (
        f"share of exact ones, median over units of medians over {_images(summary['units'])} [least, most unit]: "
        + "; ".join(words)
    )


def ones_verdict(summary: Summary) -> str:
    """Where "1" is exact."""
    return judging.most({reading: _of_units(summary, reading, "exact") for reading in READINGS})


def near_ones(summary: Summary) -> str:
    """Shares near 1, for both readings."""
    words = []
    for reading in READINGS:
        within = np.array(_of_units(summary, reading, "within"), dtype=float).T
        shares = ", ".join(spread(share.tolist()) for share in within)
        yes = sum(verdict["near"] == "yes" for verdict in _of_units(summary, reading, "most"))
        words.append(f"{reading} {shares}; within 0.1: most in {yes} of {within.shape[1]} units")
    return (
        f"share within 0.001, 0.01, 0.1 of 1, medians over units of medians over {_images(summary['units'])} [least, "
        "most unit]: " + "; ".join(words)
    )


def near_ones_verdict(summary: Summary) -> str:
    """The same, with a distance of a tenth as "1"."""
    return judging.most({r: [within[2] for within in _of_units(summary, r, "within")] for r in READINGS})


def spread_between_images(summary: Summary) -> str:
    """Of the share near 1 and of the largest value, apart for units with few images."""
    words = []
    for reading in READINGS:
        rows = [unit[reading] for unit in summary["units"] if unit[reading]["spread_of_mass"] is not None]
        for number in sorted({row["images"] for row in rows}, reverse=True):
            those = [row for row in rows if row["images"] == number]
            mass, largest = ([row[name] for row in those] for name in ("spread_of_mass", "spread_of_largest"))
            few = sum(not judging.is_slight(*pair) for pair in zip(mass, largest, strict=True))
            words.append(
                f"{reading}, {len(those)} units of {number} images: share within 0.01 of 1 ± {spread(mass, 3)}, "
                f"largest value ± {spread(largest, 3)} of itself, not slight in {few}"
            )
    if not words:
        return "one image alone"
    return "standard deviation between images, median over units [least, most]: " + "; ".join(words)


def spread_verdict(summary: Summary) -> str:
    """Slight: the share moves by less than five points, and the largest value by less than a fifth."""
    names = ("spread_of_mass", "spread_of_largest")
    rows = [unit[reading] for unit in summary["units"] for reading in READINGS]
    return judging.slight([(row[names[0]], row[names[1]]) for row in rows])


# --- scaling -----------------------------------------------------------------------------------------

VARIANTS = ("before held", "after held", "after recomputed")


def _scaled(summary: Summary, kind: str, variant: str, name: str) -> np.ndarray:
    """Over units and the scales other than 1."""
    changed = [z for z, scale in enumerate(summary["scales"]) if scale != 1]
    table = np.array([unit[kind][variant][name] for unit in summary["units"]], dtype=float)
    return table.reshape(len(summary["units"]), len(summary["scales"]))[:, changed]


def scaled(kind: str) -> Any:
    """Distances of the distributions, scale by scale, and what becomes of the atom and of the largest value."""

    def measured(summary: Summary) -> str:
        scales = [f"×{scale:g}" for scale in summary["scales"] if scale != 1]

        def each(variant: str, name: str, digits: int = 2) -> str:
            columns = _scaled(summary, kind, variant, name).T
            return ", ".join(
                f"{spread(column.tolist(), digits)} ({scale})" for column, scale in zip(columns, scales, strict=True)
            )

        apart = [unit[kind]["before held"]["between_images"] for unit in summary["units"]]
        exact = _scaled(summary, kind, "before held", "exact")
        return (
            f"distance (Kolmogorov–Smirnov) to the unscaled spectrum, median over {len(summary['units'])} units of "
            "medians over images [least, most unit]: "
            + "; ".join(f"{variant.replace(' ', ', masks ')} {each(variant, 'distance')}" for variant in VARIANTS)
            + f"; before, without the values of the skip path (a share of {spread(exact.ravel().tolist())}): "
            + f"{each('before held', 'distance_of_others')}; largest value {each('before held', 'largest', 1)}; "
            + f"between images, unscaled: {spread(apart)}"
        )

    return measured


def scaled_verdict(kind: str) -> Any:
    """Marked for the median unit at every scale, in every variant: confirmed; in some, or in the tails: qualified."""

    def verdict(summary: Summary) -> str:
        one = [scale == 1 for scale in summary["scales"]]
        unscaled = np.array([unit[kind]["before held"]["largest"] for unit in summary["units"]], dtype=float)[:, one]
        factors = _scaled(summary, kind, "before held", "largest") / unscaled if summary["units"] else ()
        return judging.marked({variant: _scaled(summary, kind, variant, "distance") for variant in VARIANTS}, factors)

    return verdict


# --- stages and projections --------------------------------------------------------------------------


def stages(summary: Summary) -> str:
    """Each stage, and its unit in the middle; of estimated ones no more than their errors allow."""
    return "; ".join(_stage(k, stage) for k, stage in enumerate(summary["stages"], start=1))


def _stage(k: int, stage: Summary) -> str:
    above, (low, high) = stage["above_one"], stage["above_one_quartiles"]
    (first_low, first_high), largest = stage["largest_quartiles"], stage["largest"]
    how = "" if stage["complete"] else ", by quadrature"
    error = "" if stage["complete"] else f" ± {stage['above_one_error']:.2f}"
    words = [
        f"stage {k} ({stage['images']} image{'s' * (stage['images'] != 1)}{how}): above 1: {above:.2f}{error} "
        f"[{low:.2f}, {high:.2f}] (its middle unit {stage['unit_above_one']:.2f})"
    ]
    if stage["complete"]:
        low, high = stage["near_one_quartiles"]
        words.append(f"within 0.01 of 1 {stage['near_one']:.3f} [{low:.3f}, {high:.3f}]")
        words.append(f"zero {stage['zero']:.2f}")
    else:
        words.append(f"within 0.01 of 1 not known, zero at least {stage['forced_zero']:.2f}")
    words.append(f"its middle unit within 0.01 {stage['unit_near_one']:.2f}")
    words.append(f"largest {largest[0]:.1f} [{first_low:.1f}, {first_high:.1f}], then {largest[1]:.1f}")
    return ", ".join(words)


def projections(summary: Summary) -> str:
    """The shares on the leading directions, unit by unit, against random perturbations of equal length."""

    def each(unit: Summary) -> str:
        words = []
        for attack, row in unit["shares"].items():
            shares = []
            for kind in ("adversarial", "random"):
                low, high = unit["leading_quartiles"][attack][kind]
                shares.append(f"{row[kind]['leading']:.3f} [{low:.3f}, {high:.3f}]")
            more = round(100 * unit["difference"][attack]["positive"])
            words.append(f"{attack} {shares[0]} against {shares[1]}, more for {more} % of the images")
        return f"unit {unit['unit']} ({unit['at_random']['leading']:.4f} in a random direction): {', '.join(words)}"

    return (
        f"share on the {summary['k']} leading right singular vectors, means over {summary['images']} images "
        "[quartiles], adversarial against random perturbations as long in pixels: "
        + "; ".join(each(unit) for unit in summary["units"])
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


def _of_all_networks(key: str, statement: str, script: str, measured: Any, verdict: Any) -> tuple[Claim, ...]:
    """Of ResNet-56, and of pre-activation ResNet-20 and ResNet-110, which have presets of their own."""

    def row(prefix: str, words: str, presets: tuple[str, ...], beside: Any = "") -> Claim:
        shown = "shown there, numbers not known"
        return Claim(f"{prefix}{key}", words, shown, script, measured, verdict, presets, beside)

    return (
        row("", statement[0].upper() + statement[1:], ("laptop", "paper")),
        row("preresnet20-", f"pre-activation ResNet-20: {statement}", ("preresnet20",)),
        row(
            "preresnet110-",
            f"pre-activation ResNet-110: {statement}",
            ("resnet110",),
            lambda summary: claims_sparsity.beside(summary["network"], measured(summary)),
        ),
    )


CLAIMS = (
    Claim(
        "most-values-are-one",
        "Most singular values of the units' linearizations are 1",
        IN_WORDS,
        "unit_spectra",
        ones,
        ones_verdict,
    ),
    Claim(
        "most-values-are-near-one",
        "The same, where near 1 counts as 1",
        IN_WORDS,
        "unit_spectra",
        near_ones,
        near_ones_verdict,
    ),
    claims_sparsity.SPARSITY,
    Claim(
        "images-differ-slightly",
        "Spectra differ only slightly between images",
        IN_WORDS,
        "unit_spectra",
        spread_between_images,
        spread_verdict,
    ),
    Claim(
        "skip-scaling",
        "Scaling the skip connection changes the distributions markedly",
        IN_WORDS,
        "scaling",
        scaled("skip_scale"),
        scaled_verdict("skip_scale"),
    ),
    Claim(
        "weight-scaling",
        "Scaling the weights changes the distributions markedly",
        IN_WORDS,
        "scaling",
        scaled("weight_scale"),
        scaled_verdict("weight_scale"),
    ),
    *_of_all_networks(
        "stages",
        "linearizations of whole stages, beside those of units",
        "stage_spectra",
        stages,
        lambda summary: "measured",
    ),
    *_of_all_networks(
        "projections",
        "perturbations projected on the units' singular vectors",
        "projections",
        projections,
        projections_verdict,
    ),
    *claims_sparsity.OF_NETWORKS,
    *claims_networks.CLAIMS,
)
