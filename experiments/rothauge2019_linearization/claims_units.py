"""Units of ResNet-56: how many singular values are 1, how images differ, what scaling changes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import IN_WORDS
from experiments.rothauge2019_linearization import claims_words, judging
from experiments.rothauge2019_linearization.judging import spread

Summary = dict[str, Any]
READINGS = ("before", "after")
IN_A_ROW = {"before": "before the last ReLU", "after": "after it"}


# --- ones --------------------------------------------------------------------------------------------


def _of_units(summary: Summary, reading: str, name: str) -> list[Any]:
    return [unit[reading][name] for unit in summary["units"]]


def _number(summary: Summary) -> str:
    return f"{len(summary['units'])} units"


def _images(units: list[Summary]) -> str:
    """From how many images each unit's numbers are."""
    numbers = sorted({unit[reading]["images"] for unit in units for reading in READINGS})
    return f"{numbers[0]} images" if len(numbers) == 1 else f"{numbers[0]}–{numbers[-1]} images"


def ones(summary: Summary) -> str:
    """Shares of exact ones."""
    shares = {IN_A_ROW[r]: _of_units(summary, r, "exact") for r in READINGS}
    return claims_words.most("exactly 1", shares, _number(summary))


def ones_details(summary: Summary) -> str:
    """And how far images lie apart."""
    words = []
    for reading in READINGS:
        exact, verdicts = _of_units(summary, reading, "exact"), _of_units(summary, reading, "most")
        yes = sum(verdict["exact"] == "yes" for verdict in verdicts)
        between = [high - low for low, high in _of_units(summary, reading, "exact_quartiles")]
        words.append(
            f"{reading} the last activation {spread(exact)}, most in {yes} of {len(exact)} units, quartiles over "
            f"images {spread(between, 3)} apart"
        )
    return (
        f"Share of exact ones, median over units of medians over {_images(summary['units'])} [least, most unit]: "
        + "; ".join(words)
        + "."
    )


def ones_verdict(summary: Summary) -> str:
    """Where "1" is exact."""
    return judging.most({reading: _of_units(summary, reading, "exact") for reading in READINGS})


def near_ones(summary: Summary) -> str:
    """Shares within a tenth of 1."""
    shares = {IN_A_ROW[r]: [within[2] for within in _of_units(summary, r, "within")] for r in READINGS}
    return claims_words.most("within 0.1 of 1", shares, _number(summary))


def near_ones_details(summary: Summary) -> str:
    """And nearer ones."""
    words = []
    for reading in READINGS:
        within = np.array(_of_units(summary, reading, "within"), dtype=float).T
        shares = ", ".join(spread(share.tolist()) for share in within)
        yes = sum(verdict["near"] == "yes" for verdict in _of_units(summary, reading, "most"))
        words.append(f"{reading} the last activation {shares} (within 0.1: most in {yes} of {within.shape[1]} units)")
    return (
        f"Share within 0.001, 0.01, 0.1 of 1, medians over units of medians over {_images(summary['units'])} [least, "
        f"most unit]: {'; '.join(words)}."
    )


def near_ones_verdict(summary: Summary) -> str:
    """The same, with a distance of a tenth as "1"."""
    return judging.most({r: [within[2] for within in _of_units(summary, r, "within")] for r in READINGS})


# --- images ------------------------------------------------------------------------------------------


def _spreads(summary: Summary) -> list[tuple[float | None, float | None]]:
    rows = [unit[reading] for unit in summary["units"] for reading in READINGS]
    return [(row["spread_of_mass"], row["spread_of_largest"]) for row in rows]


def spread_between_images(summary: Summary) -> str:
    """Of the share near 1 and of the largest value."""
    units = f"{_number(summary)} in both readings"
    return claims_words.slight("share within 0.01 of 1", _spreads(summary), _images(summary["units"]), units)


def spread_details(summary: Summary) -> str:
    """Apart for units with few images."""
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
        return ""
    return f"Standard deviation between images, median over units [least, most]: {'; '.join(words)}."


def spread_verdict(summary: Summary) -> str:
    """Slight: the share moves by less than five points, and the largest value by less than a fifth."""
    return judging.slight(_spreads(summary))


# --- scaling -----------------------------------------------------------------------------------------

VARIANTS = ("before held", "after held", "after recomputed")


def _changed(summary: Summary) -> list[int]:
    """Where the scales other than 1 are."""
    return [z for z, scale in enumerate(summary["scales"]) if scale != 1]


def _scaled(summary: Summary, kind: str, variant: str, name: str) -> np.ndarray:
    """Over units and the scales other than 1."""
    table = np.array([unit[kind][variant][name] for unit in summary["units"]], dtype=float)
    return table.reshape(len(summary["units"]), len(summary["scales"]))[:, _changed(summary)]


def _factors(summary: Summary, kind: str) -> Any:
    """By which the largest value changes."""
    one = [scale == 1 for scale in summary["scales"]]
    unscaled = np.array([unit[kind]["before held"]["largest"] for unit in summary["units"]], dtype=float)[:, one]
    return _scaled(summary, kind, "before held", "largest") / unscaled


def scaled(kind: str) -> Callable[[Summary], str]:
    """Distances of the distributions; after the ReLU with masks held and recomputed, as the verdict takes both."""

    def measured(summary: Summary) -> str:
        tables = [_scaled(summary, kind, variant, "distance") for variant in VARIANTS]
        distances = {IN_A_ROW["before"]: tables[0], IN_A_ROW["after"]: np.hstack(tables[1:])}
        scales = [summary["scales"][z] for z in _changed(summary)]
        return claims_words.marked(distances, _factors(summary, kind), f"medians over {_number(summary)}", scales)

    return measured


def scaled_details(kind: str) -> Callable[[Summary], str]:
    """Variant by variant and scale by scale, and what becomes of the atom and of the largest value."""

    def details(summary: Summary) -> str:
        scales = [f"×{summary['scales'][z]:g}" for z in _changed(summary)]

        def each(variant: str, name: str, digits: int = 2) -> str:
            columns = _scaled(summary, kind, variant, name).T
            return ", ".join(
                f"{spread(column.tolist(), digits)} ({scale})" for column, scale in zip(columns, scales, strict=True)
            )

        apart = [unit[kind]["before held"]["between_images"] for unit in summary["units"]]
        exact = _scaled(summary, kind, "before held", "exact")
        return (
            f"Distance (Kolmogorov–Smirnov; marked from {judging.MARKED}) to the unscaled spectrum, median over "
            f"{len(summary['units'])} units of medians over images [least, most unit]: "
            + "; ".join(f"{variant.replace(' ', ', masks ')} {each(variant, 'distance')}" for variant in VARIANTS)
            + f". Before, without the values of the skip path (a share of {spread(exact.ravel().tolist())}): "
            + f"{each('before held', 'distance_of_others')}. Largest value {each('before held', 'largest', 1)}. "
            + f"Between images, unscaled: distance {spread(apart)}."
        )

    return details


def scaled_verdict(kind: str) -> Callable[[Summary], str]:
    """Marked for the median unit at every scale, in every variant: confirmed; in some, or in the tails: qualified."""

    def verdict(summary: Summary) -> str:
        distances = {variant: _scaled(summary, kind, variant, "distance") for variant in VARIANTS}
        return judging.marked(distances, _factors(summary, kind) if summary["units"] else ())

    return verdict


# --- rows --------------------------------------------------------------------------------------------


def _scaling(key: str, words: str, kind: str) -> Claim:
    return Claim(
        key,
        f"Scaling the {words} changes the distributions markedly",
        IN_WORDS,
        "scaling",
        scaled(kind),
        scaled_verdict(kind),
        details=scaled_details(kind),
    )


ONES = (
    Claim(
        "most-values-are-one",
        "Most singular values of the units' linearizations are 1",
        IN_WORDS,
        "unit_spectra",
        ones,
        ones_verdict,
        details=ones_details,
    ),
    Claim(
        "most-values-are-near-one",
        "The same, where near 1 counts as 1",
        IN_WORDS,
        "unit_spectra",
        near_ones,
        near_ones_verdict,
        details=near_ones_details,
    ),
)
CHANGES = (
    Claim(
        "images-differ-slightly",
        "Spectra differ only slightly between images",
        IN_WORDS,
        "unit_spectra",
        spread_between_images,
        spread_verdict,
        details=spread_details,
    ),
    _scaling("skip-scaling", "skip connection", "skip_scale"),
    _scaling("weight-scaling", "weights", "weight_scale"),
)
