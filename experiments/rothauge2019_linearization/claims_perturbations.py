"""Where adversarial perturbations grow more than random ones: experiment 4, and the same of other networks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from experiments._harness import Claim
from experiments._harness.claims import IN_WORDS
from experiments._harness.spreads import between
from experiments.rothauge2019_linearization import judging_perturbations
from experiments.rothauge2019_linearization.claims_words import over_cases, sentence
from experiments.rothauge2019_linearization.judging_perturbations import Attacks, name_of

Summary = dict[str, Any]


# --- rows ----------------------------------------------------------------------------------------


def last_units(attacks: Attacks) -> list[int]:
    """They are those of the network, whatever the attack."""
    units: list[int] = next(iter(attacks.values()))["last_units"]
    return units


def _last_in_words(units: Sequence[int]) -> str:
    return f"unit {units[0]}" if len(units) == 1 else f"units {units[0]} to {units[-1]}"


def _over_attacks(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """Of the last unit: medians over images by attack, and the quartiles farthest away."""
    return over_cases([row[name][-1] for row in rows], [row[f"{name}_quartiles"][-1] for row in rows])


def jump(attacks: Attacks) -> str:
    """The last unit against those before, where the largest gain is, where the excess comes from."""
    rows, units = list(attacks.values()), last_units(attacks)
    largest = sorted({n["adversarial"]["largest_gain_at"] for n in rows})
    at = f"unit{'s' * (len(largest) > 1)} {', '.join(map(str, largest))}"
    parts = {name: [n["excess"]["parts"][name]["share"] for n in rows] for name in ("before_last", "last")}
    return (
        f"unit {units[-1]}, gain over random: {_over_attacks([n['jump'] for n in rows], 'over_stage')} times units "
        f"before; largest gain in {at}; excess {between(parts['last'], 0, 100)} % from unit {units[0]} on, "
        f"{between(parts['before_last'], 0, 100)} % before"
    )


def relative(attacks: Attacks) -> str:
    """Of the last unit."""
    rows = [n["adversarial"] for n in attacks.values()]
    gains = over_cases(
        [row["last_relative_gain"] for row in rows], [row["relative_gain_quartiles"][-1] for row in rows]
    )
    return (
        f"unit {last_units(attacks)[-1]}, gain relative to the state: {gains}, "
        f"{_over_attacks(rows, 'relative_over_stage')} times units before"
    )


def at_random(attacks: Attacks) -> str:
    """Of the last unit, for lengths like each attack's."""
    rows = [n["random"] for n in attacks.values()]
    return (
        f"unit {last_units(attacks)[-1]}, random gain: {_over_attacks(rows, 'over_stage')} times units before; "
        f"relative to the state {_over_attacks(rows, 'relative_over_stage')} times"
    )


def excess(attacks: Attacks) -> str:
    """Ratios of sizes."""
    rows = [n["excess"] for n in attacks.values()]
    ratios = over_cases([row["pooled"] for row in rows], [row["pooled_quartiles"] for row in rows], 1)
    return f"size {ratios} times that of random ones"


def of_cases(attacks: str, images: int) -> str:
    """What brackets and ranges are over."""
    return f"medians [quartiles], {images} images, {attacks}"


# --- details -------------------------------------------------------------------------------------


def _with(median: float, quartiles: list[float], digits: int = 2) -> str:
    low, high = quartiles
    return f"{median:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _each(attacks: Attacks, words: Callable[[Mapping[str, Any]], str]) -> str:
    return "; ".join(f"{name_of(attack)}: {words(n)}" for attack, n in attacks.items())


def jump_details(attacks: Attacks, images: int) -> str:
    """The last unit's gains and their ratio; where the largest gain is, at random too; where the excess comes from."""
    units, rows = last_units(attacks), list(attacks.values())

    def of(n: Mapping[str, Any]) -> str:
        over = " and ".join(f"{value:.2f}" for value in n["jump"]["over_stage"][:-1])
        before = f", {over} in unit{'s' * (len(units) > 2)} {', '.join(map(str, units[:-1]))}" if over else ""
        return (
            f"gain {_with(n['adversarial']['last_gain'], n['adversarial']['gain_quartiles'][-1])} against "
            f"{_with(n['random']['last_gain'], n['random']['gain_quartiles'][-1])}, their ratio "
            f"{_with(n['jump']['over_stage'][-1], n['jump']['over_stage_quartiles'][-1])} times that of the units "
            f"before in the stage{before}"
        )

    last = _last_in_words(units)
    largest = [100 * n[kind]["largest_of_stage_in_last"] for kind in ("adversarial", "random") for n in rows]
    k = len(rows)
    ratio = [100 * n["jump"]["largest_of_stage_in_last"] for n in rows]
    elsewhere = sorted({n["adversarial"]["largest_gain_at"] for n in rows} - set(units))
    # the largest of all gains, where it is not among the last units
    other = [n["adversarial"]["largest_gain"] for n in rows if n["adversarial"]["largest_gain_at"] in elsewhere]
    there = f"; unit {', '.join(map(str, elsewhere))} has {between(other, 2)}" if elsewhere else ""
    parts = {name: [100 * n["excess"]["parts"][name]["share"] for n in rows] for name in rows[0]["excess"]["parts"]}
    return (
        f"Unit {units[-1]}, adversarial against random, median over {images} images [quartiles]: "
        f"{_each(attacks, of)}. The largest gain of the stage is in {last} for {between(largest[:k])} % of the images, "
        f"{between(largest[k:])} % at random; the largest ratio for {between(ratio)} % "
        f"({100 * rows[0]['jump']['by_chance']:.0f} % by chance){there}. Of the excess at the "
        f"pooled features (logarithm) {between(parts['stem'])} % come from the stem, {between(parts['before_last'])} % "
        f"from the units up to {units[0] - 1}, {between(parts['last'])} % from {last}, {between(parts['pooling'])} % "
        "from pooling."
    )


def relative_details(attacks: Attacks, images: int) -> str:
    """Of the last unit."""

    def of(n: Mapping[str, Any]) -> str:
        row = n["adversarial"]
        return (
            f"{_with(row['last_relative_gain'], row['relative_gain_quartiles'][-1])}, "
            f"{_with(row['relative_over_stage'][-1], row['relative_over_stage_quartiles'][-1])} times that of the "
            "units before in the stage"
        )

    return (
        f"Unit {last_units(attacks)[-1]}, gain over that of the state, median over {images} images [quartiles]: "
        f"{_each(attacks, of)}."
    )


def random_details(attacks: Attacks, images: int) -> str:
    """Of the last unit, for lengths like each attack's."""

    def of(n: Mapping[str, Any]) -> str:
        row = n["random"]
        return (
            f"{_with(row['last_gain'], row['gain_quartiles'][-1])}, "
            f"{_with(row['over_stage'][-1], row['over_stage_quartiles'][-1])} times that of the units before in the "
            f"stage, relative to the state {_with(row['last_relative_gain'], row['relative_gain_quartiles'][-1])} and "
            f"{_with(row['relative_over_stage'][-1], row['relative_over_stage_quartiles'][-1])} times"
        )

    state = next(iter(attacks.values()))["state_gain"][-1]
    return (
        f"Unit {last_units(attacks)[-1]}, gain of random perturbations as long as those of each attack, median over "
        f"{images} images [quartiles]: {_each(attacks, of)}. The state grows by {state:.2f}."
    )


def excess_details(attacks: Attacks, images: int) -> str:
    """Ratios of sizes."""
    ratios = _each(attacks, lambda n: _with(n["excess"]["pooled"], n["excess"]["pooled_quartiles"], 1))
    return f"Ratio of sizes, median over {images} images [quartiles]: {ratios}."


# --- claims ----------------------------------------------------------------------------------------


class Growth(NamedTuple):
    """A row on perturbations, for any network."""

    name: str
    statement: str
    paper: str
    measured: Callable[[Attacks], str]
    verdict: Callable[[Attacks], str]
    details: Callable[[Attacks, int], str]


GROWTH = (
    Growth(
        "adversarial-jump",
        "adversarial perturbations jump in magnitude near the end of the final stage",
        IN_WORDS,
        jump,
        judging_perturbations.jump,
        jump_details,
    ),
    Growth(
        "adversarial-jump-relative",
        "the jump is one relative to the state, too",
        "not said whether absolute or relative",
        relative,
        judging_perturbations.relative_jump,
        relative_details,
    ),
    Growth(
        "random-without-jump",
        "random perturbations do not jump there",
        IN_WORDS,
        at_random,
        judging_perturbations.no_jump_at_random,
        random_details,
    ),
    Growth(
        "adversarial-excess",
        "at the pooled features adversarial perturbations are larger than random ones of equal length",
        "no number known to us",
        excess,
        judging_perturbations.excess,
        excess_details,
    ),
)


def _claim(row: Growth) -> Claim:
    def measured(summary: Summary) -> str:
        attacks = summary["attacks"]
        return f"{row.measured(attacks)}; {of_cases(f'{len(attacks)} attacks', summary['images'])}" if attacks else "—"

    return Claim(
        row.name,
        sentence(row.statement),
        row.paper,
        "perturbations",
        measured,
        lambda summary: row.verdict(summary["attacks"]),
        ("laptop", "paper"),
        details=lambda summary: row.details(summary["attacks"], summary["images"]) if summary["attacks"] else "",
    )


CLAIMS = tuple(map(_claim, GROWTH))
