"""Claims on what damping does to gains of trained units and exponents of stages (experiment 6)."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS, NOT_RUN
from experiments._harness.spreads import ENOUGH_SEEDS, between
from experiments.yang2020_interpolation.claims_discretisations import BOTH
from experiments.yang2020_interpolation.lyapunov_summary import KINDS, titles

Summary = dict[str, Any]

Pairs = Sequence[Sequence[float | None]]


def _known(pairs: Pairs) -> list[tuple[float, float]]:
    """(with λ = 0, as trained)."""
    return [(a, b) for a, b in pairs if a is not None and b is not None]


MARGINS = {"above": 2e-3, "largest": 1e-3, "exponent": 1e-3}
"""What a number is known to on other machines (the tolerances of ``lyapunov``): lower by less is not lower."""


def fewer(pairs: Pairs, margin: float, nets: int) -> str:
    """Whether a number of units is lower than with λ = 0, beyond a margin: in all, in three of four, or not."""
    known = _known(pairs)
    if not known:
        return NOT_RUN
    share = np.mean([damped < undamped - margin for undamped, damped in known])
    # a statement that fails in more than a quarter of the units is no rule of them
    if share < 0.75:
        return "not confirmed"
    if share == 1 and nets >= ENOUGH_SEEDS:
        return "confirmed"
    units = "same weights" if share == 1 else "not in all units"
    return f"qualified: {units}" + (f", {_seeds(nets)}" if nets < ENOUGH_SEEDS else "")


def _seeds(number: int) -> str:
    return "nets of one seed" if number == 1 else f"nets of {number} seeds"


class Number(NamedTuple):
    """Of damped units or stages: how it is told, and its size and digits in words."""

    key: str
    statement: str
    name: str
    short: str
    long: str
    scale: float = 1.0
    digits: int = 2

    def medians(self, pairs: Pairs) -> str:
        """With λ = 0 and as trained."""
        before, after = (f"{self.scale * value:.{self.digits}f}" for value in np.median(_known(pairs), axis=0))
        return f"{before} → {after}"

    def change(self, pairs: Pairs) -> str:
        """Least and most."""
        changes = [self.scale * (after - before) for before, after in _known(pairs)]
        return f"[{min(changes):.{self.digits}f}, {max(changes):.{self.digits}f}]"

    def lower(self, pairs: Pairs) -> str:
        """In how many, by more than what it is known to."""
        known = _known(pairs)
        return f"{sum(after < before - MARGINS[self.name] for before, after in known)} of {len(known)}"


# of In-ResNets the first is near to a definition: the Jacobian with λ = 0 is J + λI, which moves the crowd of values of
# J at 1 − λ back to 1, where it splits
NUMBERS = (
    Number(
        "gains-above-one",
        "the share of singular values above 1 of a damped unit is lower",
        "above",
        "damped units: {} % above 1",
        "% of values above 1",
        100.0,
        1,
    ),
    Number(
        "largest-gain",
        "the largest singular value of a damped unit is lower",
        "largest",
        "damped units: {}",
        "largest value",
    ),
    Number(
        "stage-exponents",
        "leading finite-time exponents of stages are lower",
        "exponent",
        "stages: {} per block",
        "leading exponent per block",
    ),
)


def _gain(kind: str, number: Number) -> Callable[[Summary], Any]:
    """In how many damped units, or stages, of a kind of net a number is lower; None without such nets."""

    def measured(summary: Summary) -> str | None:
        row = summary["trained"]["kinds"].get(kind)
        if row is None:
            return None
        pairs = row[f"damped_{number.name}"]
        if not _known(pairs):
            return "not known"
        medians = number.short.format(number.medians(pairs))
        return (
            f"lower in {number.lower(pairs)} {medians} (medians, λ = 0 → as trained), change {number.change(pairs)}; "
            f"{_nets(row['nets'])}, {summary['trained']['images']} images"
        )

    return measured


def _nets(number: int) -> str:
    return f"{number} net{'s' * (number > 1)}"


def _gain_details(kind: str, number: Number) -> Callable[[Summary], str]:
    """With the blocks and their coefficients."""

    def words(summary: Summary) -> str:
        row = summary["trained"]["kinds"][kind]
        pairs = row[f"damped_{number.name}"]
        if not _known(pairs):
            return "Not known."
        title = ", ".join(titles(summary["trained"]["nets"], kind))
        return (
            f"{title}: {number.long}, medians, λ = 0 → as trained: {number.medians(pairs)}, change "
            f"{number.change(pairs)}, lower by more than {number.scale * MARGINS[number.name]:g} in "
            f"{number.lower(pairs)}. {_nets(row['nets'])}, {row['damped']} of {row['units']} blocks with λ ≠ 0 "
            f"({between(row['dampings'], 2)}), {summary['trained']['images']} images."
        )

    return words


def _judged(kind: str, number: Number) -> Callable[[Summary], str]:
    def verdict(summary: Summary) -> str:
        row = summary["trained"]["kinds"].get(kind)
        return NOT_RUN if row is None else fewer(row[f"damped_{number.name}"], MARGINS[number.name], row["nets"])

    return verdict


GAINS = tuple(
    Claim(
        f"{kind}-{number.key}",
        f"{KINDS[kind]}: {number.statement} than with the same weights and λ = 0",
        BEYOND,
        "lyapunov",
        _gain(kind, number),
        _judged(kind, number),
        BOTH,
        details=_gain_details(kind, number),
    )
    for kind in ("in", "lambda-in")
    for number in NUMBERS
)


def apart(ours: Sequence[float], plain: Sequence[float], margin: float = 0.0) -> str:
    """Nets of one kind against plain nets: lower by a margin in all pairs of seeds, higher in all pairs, or neither."""
    a, b = np.asarray(ours, dtype=float), np.asarray(plain, dtype=float)
    if not (a.size and b.size and np.isfinite(a).all() and np.isfinite(b).all()):
        return NOT_RUN
    one = " (one seed)" if min(a.size, b.size) == 1 else ""
    if a.max() < b.min() - margin:
        return f"lower{one}"
    return f"higher{one}" if a.min() > b.max() + margin else f"not told apart by the seeds{one}"


PLAIN_NAMES = (("above", "share above 1"), ("largest", "largest"), ("exponent", "exponent of stages"))


PLAIN_KINDS = {"plain": "ResNet", "in": "In", "lambda-in": "λ-In"}


def _plain(summary: Summary) -> Any:
    """Each number of all kinds, with its range over seeds; None where there is no plain net."""
    kinds = summary["trained"]["kinds"]
    if "plain" not in kinds:
        return None
    known = [kind for kind in PLAIN_KINDS if kind in kinds]
    # a digit more where two in a thousand are a difference
    digits = {"above": 3, "largest": 2, "exponent": 2}
    numbers = (
        f"{words}: {' / '.join(between(kinds[kind][name], digits[name]) for kind in known)}"
        for name, words in PLAIN_NAMES
    )
    names = " / ".join(PLAIN_KINDS[kind] for kind in known)
    return f"{names}, medians of {_nets(min(kinds[kind]['nets'] for kind in known))} each; {'; '.join(numbers)}"


def _plain_details(summary: Summary) -> str:
    kinds = summary["trained"]["kinds"]

    def of(name: str, words: str) -> str:
        return f"{words} " + ", ".join(
            f"{title} {' and '.join(f'{v:.4f}' for v in kinds[kind][name])}"
            for kind, title in PLAIN_KINDS.items()
            if kind in kinds
        )

    nets = ", ".join(titles(summary["trained"]["nets"]))
    return (
        f"{nets}, {summary['trained']['images']} images. Medians over blocks (stages) of each net, seed by seed: "
        f"{'; '.join(of(*row) for row in PLAIN_NAMES)}. Lower and higher are those by more than "
        f"{', '.join(f'{MARGINS[name]:g} ({words})' for name, words in PLAIN_NAMES)} in all pairs of seeds."
    )


def _plain_verdict(summary: Summary) -> str:
    """Confirmed: both kinds are lower in every number, by enough seeds; qualified: in some. What differs is named."""
    kinds = summary["trained"]["kinds"]
    if "plain" not in kinds or len(kinds) < 2:
        return NOT_RUN
    found = {
        f"{'λ-In' if kind == 'lambda-in' else 'In'} {words}": apart(
            kinds[kind][name], kinds["plain"][name], MARGINS[name]
        ).partition(" (")[0]
        for kind in kinds
        if kind != "plain"
        for name, words in PLAIN_NAMES
    }
    seeds = min(row["nets"] for row in kinds.values())
    said = set(found.values())
    if said == {NOT_RUN}:
        return NOT_RUN
    if said == {"lower"} and seeds >= ENOUGH_SEEDS:
        return "confirmed"
    named = "; ".join(
        f"{title} in {', '.join(what for what, own in found.items() if own == word)}"
        for word, title in (("lower", "lower"), ("higher", "higher"), (NOT_RUN, "not known"))
        if word in said
    )
    head = "qualified" if "lower" in said else "not confirmed"
    of = f"({seeds} seed{'s' * (seeds > 1)} each)"
    return f"{head}: {named} {of}" if named else f"{head} {of}"


CLAIMS = (
    *GAINS,
    Claim(
        "below-the-resnet",
        "better stability, read as: damped nets have lower gains and exponents than a plain ResNet of equal size",
        IN_WORDS,
        "lyapunov",
        _plain,
        _plain_verdict,
        BOTH,
        details=_plain_details,
    ),
)
