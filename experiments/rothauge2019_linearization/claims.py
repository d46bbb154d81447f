"""What rothauge2019 says about linearizations, and what our numbers say about it.

No table of the paper was at hand: its claims are those of the abstract, in our words, and what it measured in numbers
is not known. Rows without a statement of the paper to judge are called "measured".
"""

from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments.rothauge2019_linearization import claims_networks
from experiments.rothauge2019_linearization.linearized import spread

Summary = dict[str, Any]
READINGS = ("before", "after")


# --- units -------------------------------------------------------------------------------------------


def _of_units(summary: Summary, reading: str, name: str) -> list[Any]:
    return [unit[reading][name] for unit in summary["units"]]


def ones(summary: Summary) -> str:
    """Shares of exact ones, for both readings."""
    words = []
    for reading in READINGS:
        exact = _of_units(summary, reading, "exact")
        most = sum(share > 0.5 for share in exact)
        words.append(f"{reading} the last activation {spread(exact)}, above half in {most} of {len(exact)} units")
    return "share of exact ones, median over units [least, most]: " + "; ".join(words)


def ones_verdict(summary: Summary) -> str:
    """Most: more than half, in the median unit; for a confirmation in both readings, and in three units of four."""
    shares = [np.array(_of_units(summary, reading, "exact")) for reading in READINGS]
    holds = [np.median(share) > 0.5 for share in shares]
    if all(holds) and all((share > 0.5).mean() >= 0.75 for share in shares):
        return "confirmed"
    if any(holds):
        return "qualified: true before the last activation" if holds[0] and not holds[1] else "qualified"
    return "not confirmed"


def near_ones(summary: Summary) -> str:
    """Shares near 1, for both readings."""
    words = []
    for reading in READINGS:
        within = np.array(_of_units(summary, reading, "within"), dtype=float)
        medians = ", ".join(f"{share:.2f}" for share in np.median(within, axis=0))
        words.append(f"{reading} {medians}")
    return "share within 0.001, 0.01, 0.1 of 1, median over units: " + "; ".join(words)


def near_ones_verdict(summary: Summary) -> str:
    """The same, with a distance of a tenth as "1"."""
    holds = [np.median(np.array(_of_units(summary, r, "within"), dtype=float)[:, 2]) > 0.5 for r in READINGS]
    return "confirmed" if all(holds) else "qualified" if any(holds) else "not confirmed"


def sparsity(summary: Summary) -> str:
    """The exact ones that the rank theorem forces, against those found."""
    words = []
    for reading in READINGS:
        known = [unit[reading] for unit in summary["units"] if unit[reading]["forced"] is not None]
        if not known:
            return "activations not known"
        gap = max(abs(unit["exact"] - unit["forced"]) for unit in known)
        count = sum(unit["forced"] > 0 for unit in known)
        words.append(f"{reading}: ones forced in {count} of {len(known)} units, found and forced differ by ≤ {gap:.3f}")
    p = [unit["before"]["p_over_n"] for unit in summary["units"] if unit["before"]["p_over_n"] is not None]
    return f"p/n {spread(p)}; " + "; ".join(words)


def spread_between_images(summary: Summary) -> str:
    """Of the share near 1 and of the largest value."""
    words = []
    for reading in READINGS:
        mass, largest = (_of_units(summary, reading, name) for name in ("spread_of_mass", "spread_of_largest"))
        words.append(
            f"{reading}: share within 0.01 of 1 ± {spread(mass, 3)}, largest value ± {spread(largest, 3)} of itself"
        )
    return "standard deviation between images, median over units [least, most]: " + "; ".join(words)


def spread_verdict(summary: Summary) -> str:
    """Slight: the share moves by less than five points, and the largest value by less than a fifth."""
    for reading in READINGS:
        mass, largest = (
            [value for value in _of_units(summary, reading, name) if value is not None]
            for name in ("spread_of_mass", "spread_of_largest")
        )
        if not mass or np.median(mass) > 0.05 or np.median(largest) > 0.2:
            return "not confirmed"
    return "confirmed"


# --- scaling -----------------------------------------------------------------------------------------

# Two distribution functions that are a quarter apart somewhere differ to the naked eye: of a thousand values, 250
# would have to move. A tenth is the spread between images of the same unit.
_MARKED, _SLIGHT = 0.25, 0.1


def _scaled(summary: Summary, kind: str, variant: str, name: str) -> np.ndarray:
    """Over units and the scales other than 1."""
    changed = [z for z, scale in enumerate(summary["scales"]) if scale != 1]
    return np.array([unit[kind][variant][name] for unit in summary["units"]], dtype=float)[:, changed]


VARIANTS = ("before held", "after held", "after recomputed")


def scaled(kind: str) -> Any:
    """Distances of the distributions, and what becomes of the atom and of the largest value."""

    def measured(summary: Summary) -> str:
        words = []
        for variant in VARIANTS:
            distance = _scaled(summary, kind, variant, "distance")
            words.append(f"{variant.replace(' ', ', masks ')} {spread(distance.ravel().tolist())}")
        exact = _scaled(summary, kind, "before held", "exact")
        largest = np.median(_scaled(summary, kind, "before held", "largest"), axis=0)
        scales = [f"{scale:g}" for scale in summary["scales"] if scale != 1]
        return (
            "distance (Kolmogorov–Smirnov) to the unscaled spectrum, median over units and scales: "
            + "; ".join(words)
            + f"; before: share exactly at the skip path's value {spread(exact.ravel().tolist())}, largest value "
            + ", ".join(f"{value:.1f} (×{scale})" for value, scale in zip(largest, scales, strict=True))
        )

    return measured


def scaled_verdict(kind: str) -> Any:
    """Marked in the median unit, in every variant: confirmed; in some: qualified."""

    def verdict(summary: Summary) -> str:
        medians = [np.median(_scaled(summary, kind, variant, "distance").max(axis=1)) for variant in VARIANTS]
        if min(medians) >= _MARKED:
            return "confirmed"
        return "qualified" if max(medians) > _SLIGHT else "not confirmed"

    return verdict


# --- stages and projections --------------------------------------------------------------------------


def stages(summary: Summary) -> str:
    """Each stage, and its unit in the middle."""
    return "; ".join(
        f"stage {k}{'' if stage['complete'] else ' (estimated)'}: {stage['near_one']:.2f} within 0.01 of 1 (its middle "
        f"unit {stage['unit_near_one']:.2f}), {stage['above_one']:.2f} above 1, largest "
        + ", ".join(f"{value:.1f}" for value in stage["largest"][:3])
        for k, stage in enumerate(summary["stages"], start=1)
    )


def projections(summary: Summary) -> str:
    """The shares on the leading directions of the last unit."""
    unit = summary["units"][-1]
    kinds = []
    for kind in summary["kinds"]:
        low, high = unit["leading_quartiles"][kind]
        kinds.append(f"{kind} {unit['shares'][kind]['leading']:.3f} [{low:.3f}, {high:.3f}]")
    return (
        f"unit {unit['unit']}, share on the {summary['k']} leading right singular vectors, median over images "
        f"[quartiles]: {', '.join(kinds)}; a random direction {unit['at_random']['leading']:.3f}"
    )


def projections_verdict(summary: Summary) -> str:
    """Whether adversarial perturbations lie more on the leading vectors than random ones that came the same way."""
    unit = summary["units"][-1]
    leading = {kind: unit["shares"][kind]["leading"] for kind in summary["kinds"]}
    random = leading.pop("random")
    return "measured: adversarial above random" if min(leading.values()) > random else "measured: no clear order"


CLAIMS = (
    Claim(
        "most-values-are-one",
        "Most singular values of the units' linearizations are 1",
        "in words only",
        "unit_spectra",
        ones,
        ones_verdict,
    ),
    Claim(
        "most-values-are-near-one",
        "The same, where near 1 counts as 1",
        "in words only",
        "unit_spectra",
        near_ones,
        near_ones_verdict,
    ),
    Claim(
        "ones-come-from-sparsity",
        "Exact ones are those that few active inner units force (ours)",
        "not stated",
        "unit_spectra",
        sparsity,
        lambda summary: "measured",
    ),
    Claim(
        "images-differ-slightly",
        "Spectra differ only slightly between images",
        "in words only",
        "unit_spectra",
        spread_between_images,
        spread_verdict,
    ),
    Claim(
        "skip-scaling",
        "Scaling the skip connection changes the distributions markedly",
        "in words only",
        "scaling",
        scaled("skip_scale"),
        scaled_verdict("skip_scale"),
    ),
    Claim(
        "weight-scaling",
        "Scaling the weights changes the distributions markedly",
        "in words only",
        "scaling",
        scaled("weight_scale"),
        scaled_verdict("weight_scale"),
    ),
    Claim(
        "stages",
        "Linearizations of whole stages, beside those of units",
        "shown there, numbers not known",
        "stage_spectra",
        stages,
        lambda summary: "measured",
    ),
    Claim(
        "projections",
        "Perturbations projected on the units' singular vectors",
        "shown there, numbers not known",
        "projections",
        projections,
        projections_verdict,
    ),
    *claims_networks.CLAIMS,
)
