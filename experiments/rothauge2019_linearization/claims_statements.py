"""Statements on units, of any nets that one summary knows: shares of ones, images, scaling.

Every network is judged by the same rules (:mod:`judging`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from experiments._harness.claims import IN_WORDS
from experiments._harness.spreads import between
from experiments.rothauge2019_linearization import claims_words, judging
from experiments.rothauge2019_linearization.claims_words import percent

Summary = dict[str, Any]
Nets = dict[str, Summary]
Words = Callable[[Nets], str]


class Judge(NamedTuple):
    """A row of any nets."""

    name: str
    statement: str
    paper: str
    measured: Words
    verdict: Words
    details: Words


def nets_of(summary: Summary, prefix: str) -> Nets:
    """The nets whose name begins so, whatever their seed."""
    return {weights: n for weights, n in summary["networks"].items() if weights.startswith(prefix)}


def card_of(nets: Nets) -> str:
    """As a sentence."""
    return f"{claims_words.sentence(claims_words.card(nets))}."


def number_of(nets: Nets) -> str:
    return f"{len(nets)} nets" if len(nets) > 1 else "one net"


def units_of(nets: Nets) -> list[Summary]:
    return [unit for n in nets.values() for unit in n["units"].values()]


def _number(nets: Nets) -> str:
    return f"{len(units_of(nets))} units of {number_of(nets)}"


def _images(units: list[Summary]) -> str:
    return f"{between([u['images'] for u in units])} images"


# --- units ---------------------------------------------------------------------------------------


def _atoms(nets: Nets) -> dict[str, list[float]]:
    return {"in both readings": [u["atom"] for u in units_of(nets)]}


def _ones_details(nets: Nets) -> str:
    units = units_of(nets)
    atoms = percent([u["atom"] for u in units], 1)
    return f"Exactly 1: {atoms}, median over units [least, most] at {_images(units)} each. {card_of(nets)}"


def _near(nets: Nets) -> dict[str, list[float]]:
    """A distance of a tenth counts as 1, as for ResNet-56."""
    return {"in both readings": [u["near_one"]["0.1"] for u in units_of(nets)]}


def _near_details(nets: Nets) -> str:
    units = units_of(nets)
    near = ", ".join(f"{w}: {percent([u['near_one'][w] for u in units])}" for w in units[0]["near_one"])
    return f"Within a distance of 1, median over {len(units)} units [least, most]: {near}. {card_of(nets)}"


def _spreads(nets: Nets) -> judging.Spreads:
    return [(u["spread_of_atom"], u["relative_spread_of_largest"]) for u in units_of(nets)]


def _several(nets: Nets) -> list[Summary]:
    """Units of which several images are known."""
    return [u for u in units_of(nets) if u["spread_of_atom"] is not None]


def _images_measured(nets: Nets) -> str:
    several = _several(nets)
    over = f"{len(several)} units of {number_of(nets)}"
    return claims_words.slight("share of exact ones", _spreads(nets), _images(several), over)


def _images_details(nets: Nets) -> str:
    several = _several(nets)
    if not several:
        return card_of(nets)
    return (
        f"Standard deviation over {_images(several)}, median over {len(several)} units [least, most]: share that is "
        f"exactly 1 {judging.spread([u['spread_of_atom'] for u in several], 3)}, largest value "
        f"{judging.spread([u['relative_spread_of_largest'] for u in several])} of itself. {card_of(nets)}"
    )


# --- scaling -------------------------------------------------------------------------------------


def _distances(nets: Nets, what: str) -> list[list[float]]:
    """Of each net's scaled unit, at the scales other than 1."""
    scaled = [n["scaling"][what] for n in nets.values() if n["scaling"] is not None]
    return [[row["distance"] for scale, row in rows.items() if scale != "1"] for rows in scaled]


def _factors(nets: Nets, what: str) -> list[list[float]]:
    """By which the largest value of each net's scaled unit changes."""
    scaled = [n["scaling"][what] for n in nets.values() if n["scaling"] is not None]
    return [[row["largest"] / rows["1"]["largest"] for scale, row in rows.items() if scale != "1"] for rows in scaled]


def _scaled_units(nets: Nets) -> str:
    return ", ".join(sorted({str(n["scaling"]["unit"]) for n in nets.values() if n["scaling"]}))


def _scaling(what: str) -> tuple[Words, Words, Words]:
    def measured(nets: Nets) -> str:
        rows = [n["scaling"][what] for n in nets.values() if n["scaling"] is not None]
        if not rows:
            return "the skip path is scaled already"
        scales = [float(scale) for scale in rows[0] if scale != "1"]
        distances = {"in both readings": np.array(_distances(nets, what))}
        return claims_words.marked(
            distances, _factors(nets, what), f"unit {_scaled_units(nets)}, medians over {number_of(nets)}", scales
        )

    def details(nets: Nets) -> str:
        rows = [n["scaling"][what] for n in nets.values() if n["scaling"] is not None]
        if not rows:
            return card_of(nets)
        scales = ", ".join(
            f"{between([row[scale]['distance'] for row in rows], 2)} (×{scale}; exactly "
            f"{between([row[scale]['at'] for row in rows], 1)}: {between([100 * row[scale]['atom'] for row in rows])} "
            f"%, largest {between([row[scale]['largest'] for row in rows], 1)})"
            for scale in rows[0]
            if scale != "1"
        )
        # it takes away a jump of one distribution function, and no distance is smaller than half a jump
        automatic = " The atom, which moves, alone makes half its share." if what == "skip" else ""
        return (
            f"Distance (Kolmogorov–Smirnov; marked from {judging.MARKED}) to the unscaled spectrum, unit "
            f"{_scaled_units(nets)} alone at one image of each net: {scales}.{automatic} {card_of(nets)}"
        )

    def verdict(nets: Nets) -> str:
        distances = _distances(nets, what)
        return judging.marked({"masks held": distances} if distances else {}, _factors(nets, what))

    return measured, verdict, details


# --- all of them ---------------------------------------------------------------------------------

STATEMENTS = (
    Judge(
        "most-values-are-one",
        "most singular values of units are 1",
        IN_WORDS,
        lambda nets: claims_words.most("exactly 1", _atoms(nets), _number(nets)),
        lambda nets: judging.most(_atoms(nets)),
        _ones_details,
    ),
    Judge(
        "most-values-are-near-one",
        "the same, where near 1 counts as 1",
        IN_WORDS,
        lambda nets: claims_words.most("within 0.1 of 1", _near(nets), _number(nets)),
        lambda nets: judging.most(_near(nets)),
        _near_details,
    ),
    Judge(
        "images-differ-slightly",
        "spectra differ only slightly between images",
        IN_WORDS,
        _images_measured,
        lambda nets: judging.slight(_spreads(nets)),
        _images_details,
    ),
    Judge(
        "skip-scaling",
        "scaling the skip connection changes the distributions markedly",
        IN_WORDS,
        *_scaling("skip"),
    ),
    Judge(
        "weight-scaling",
        "scaling the weights changes the distributions markedly",
        IN_WORDS,
        *_scaling("branch"),
    ),
)
