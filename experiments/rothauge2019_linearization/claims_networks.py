"""Other networks: plain ones whose activations come first, and damped ones; experiment 6.

Every network is judged by the same rules (:mod:`judging`, :mod:`judging_perturbations`). A net that a summary has no
numbers of is "not run".
"""

from typing import Any

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, NOT_RUN
from experiments.rothauge2019_linearization import claims_words, judging
from experiments.rothauge2019_linearization.claims_perturbations import GROWTH, Growth, of_cases
from experiments.rothauge2019_linearization.claims_statements import (
    STATEMENTS,
    Judge,
    Nets,
    Summary,
    card_of,
    nets_of,
    number_of,
    units_of,
)
from experiments.rothauge2019_linearization.claims_words import percent

BOTH = ("laptop", "paper")
# the nets of the laptop stand beside one that was not run
RESNET110 = ("laptop", "resnet110")


# --- damping -------------------------------------------------------------------------------------


def _damped(units: list[Summary]) -> list[Summary]:
    return [u for u in units if u["damping"] > 0]


def _damping_measured(nets: Nets) -> str:
    units = units_of(nets)
    damped = _damped(units)
    if not damped:
        return f"λ > 0 was learned in none of {len(units)} units"
    known = [u for u in damped if u["undamped"]["atom"] is not None]
    apart = [100 * abs(u["counted"] - u["undamped"]["atom"]) for u in known]
    beside = f", {max(apart):.2f} points apart at most" if apart else ""
    return (
        f"at |1 − λ|: {percent([u['counted'] for u in damped])}; at 1 without damping: "
        f"{percent([u['undamped']['atom'] for u in known])}{beside}; median over {len(damped)} damped of {len(units)} "
        f"units, {number_of(nets)} [least, most]"
    )


def _damping_details(nets: Nets) -> str:
    units = units_of(nets)
    damped = _damped(units)
    if not damped:
        return card_of(nets)
    pairs = [(u["damped"], u["undamped"]) for u in damped if u["undamped"]["above_one"] is not None]

    def beside(name: str, scale: float, digits: int) -> str:
        with_it, without = ([scale * pair[k][name] for pair in pairs] for k in (0, 1))
        return f"{judging.spread(with_it, digits)} against {judging.spread(without, digits)}"

    return (
        f"Learned λ > 0 in {len(damped)} of {len(units)} units, {judging.spread([u['damping'] for u in damped])}; "
        f"at |1 − λ| exactly {percent([u['counted'] for u in damped])} (by inertia; at 1 if the same units are not "
        f"damped: {percent([u['undamped']['atom'] for u in damped])}; forced: "
        f"{percent([u['forced'] for u in damped])}). Damped against not damped, the same {len(pairs)} units (median "
        f"over units [least, most], one image): share above 1 {beside('above_one', 100, 0)} %, largest "
        f"{beside('largest', 1, 1)}. {card_of(nets)}"
    )


def _damping_verdict(nets: Nets) -> str:
    """Whether the atom is at |1 − λ|, as large as at 1 without damping and at least as large as forced."""
    if not nets:
        return NOT_RUN
    damped = _damped(units_of(nets))
    if not damped:
        return "no unit is damped"

    def derived(u: Summary) -> bool:
        # other singular values come as near to the atom as 1e-6, and how many depends on where it is; more than a
        # thousandth of them never were
        slack = 1e-3
        atom = u["undamped"]["atom"]
        return u["counted"] >= u["forced"] - slack and (atom is None or abs(u["counted"] - atom) <= slack)

    return "as derived" if all(map(derived, damped)) else "not as derived"


# --- rows ----------------------------------------------------------------------------------------


def _attacks(nets: Nets) -> dict[str, Any]:
    """Of all nets, under the seed of the net if there are several."""
    return {
        words if len(nets) == 1 else f"{words} (seed {weights.rpartition('seed')[2]})": n
        for weights, net in nets.items()
        for words, n in net["perturbations"]["attacks"].items()
    }


def _growth(row: Growth) -> Judge:
    """A row on perturbations, of nets instead of attacks."""

    def images(nets: Nets) -> int:
        return max(n["perturbations"]["images"] for n in nets.values())

    def measured(nets: Nets) -> str:
        attacks = max(len(n["perturbations"]["attacks"]) for n in nets.values())
        return f"{row.measured(_attacks(nets))}; {of_cases(f'{attacks} attacks, {number_of(nets)}', images(nets))}"

    return Judge(
        row.name,
        row.statement,
        row.paper,
        measured,
        lambda nets: row.verdict(_attacks(nets)),
        lambda nets: f"{row.details(_attacks(nets), images(nets))} {card_of(nets)}",
    )


ON_PERTURBATIONS = tuple(map(_growth, GROWTH))
DAMPING = Judge(
    "damping", "damping moves the atom to 1 − λ", BEYOND, _damping_measured, _damping_verdict, _damping_details
)


def _rows_of(key: str, words: str, prefix: str, statements: tuple[Judge, ...], presets: tuple[str, ...]) -> list[Claim]:
    def row(judge: Judge) -> Claim:
        def ours(summary: Summary) -> str:
            nets = nets_of(summary, prefix)
            return judge.measured(nets) if nets else _instead(summary, f"preresnet20-{judge.name}")

        def judged(summary: Summary) -> str:
            nets = nets_of(summary, prefix)
            return judge.verdict(nets) if nets else NOT_RUN

        def details(summary: Summary) -> str:
            nets = nets_of(summary, prefix)
            return judge.details(nets) if nets else ""

        statement = f"{words}: {judge.statement}"
        return Claim(
            f"{key}-{judge.name}", statement, judge.paper, "other_networks", ours, judged, presets, details=details
        )

    return [row(judge) for judge in statements]


def _instead(summary: Summary, row: str) -> str:
    """What stands beside a net that was not run: the row of plain nets that were."""
    others = nets_of(summary, "resnet20-cifar10")
    return claims_words.instead(row, others) if others else "—"


ALL = STATEMENTS + ON_PERTURBATIONS
CLAIMS = (
    *_rows_of("preresnet20", "Pre-activation ResNet-20", "resnet20-cifar10", ALL, BOTH),
    *_rows_of("preresnet110", "Pre-activation ResNet-110", "resnet110-cifar10", ALL, RESNET110),
    *_rows_of("in-resnet20", "In-ResNet-20", "in-resnet20", (DAMPING, ON_PERTURBATIONS[0]), BOTH),
    *_rows_of("lambda-in-resnet20", "λ-In-ResNet-20", "lambda-in-resnet20", (DAMPING, ON_PERTURBATIONS[0]), BOTH),
)
