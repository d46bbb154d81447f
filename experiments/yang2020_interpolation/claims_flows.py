"""Claims on the damped flow: contraction, what damping does to trained units (experiment 6); and those on the toy."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS, NOT_RUN
from experiments._harness.spreads import ENOUGH_SEEDS
from experiments.yang2020_interpolation.claims_toy import BOTH, TOY
from experiments.yang2020_interpolation.lyapunov_summary import KINDS, titles

Summary = dict[str, Any]


def _contraction_measured(summary: Summary) -> str:
    rates = summary["random_nets"]
    nearest = ", ".join(
        f"{ratio:g}: {gap:.3f}" for ratio, gap in zip(rates["ratios"], rates["nearest"]["flow"], strict=True)
    )
    return (
        f"proven; {rates['violations']} of {rates['compared']} largest rates (flow and network) above the bound; of "
        f"the flow they come as near to it as (by α‖W‖/4λ) {nearest} per unit t (beyond 1 orbits leave the state "
        "where the bound is sharp)"
    )


def _contraction_verdict(summary: Summary) -> str:
    return "confirmed" if summary["random_nets"]["violations"] == 0 else "not confirmed: a bound is broken"


def _cycle_measured(summary: Summary) -> str:
    rows = summary["one_unit"]
    first = ", ".join(f"{ratio}: {row['first_cycle']:.3f}" for ratio, row in rows.items())
    return (
        f"one unit with W < 0, flow proven to contract in {sum(r['flow_proven'] for r in rows.values())} of "
        f"{len(rows)} cases; 2-cycles from hλ = (by α‖W‖/4λ) {first} on, seen at "
        f"{sum(r['cycles_where_the_flow_contracts'] for r in rows.values())} steps, amplitudes within "
        f"{max(r['largest_difference'] for r in rows.values()):.0e} of the closed form"
    )


def _cycle_verdict(summary: Summary) -> str:
    rows = list(summary["one_unit"].values())
    if not rows:
        return NOT_RUN
    # orbits were run until they repeat to 1e-8 of their size
    seen = all(r["flow_proven"] and r["agree"] == 1 and r["largest_difference"] < 1e-6 for r in rows)
    return "confirmed" if seen and all(r["cycles_where_the_flow_contracts"] for r in rows) else "not confirmed"


def _shared_measured(summary: Summary) -> str:
    def words(name: str, row: Summary) -> str:
        # with more damping still, layers that overshoot expand again
        bare, damped = (
            f"{row['exponents']['median'][k]:.2f} (bound {row['bounds'][k]:.2f}) at λ = {row['dampings'][k]:g}"
            for k in (0, int(np.argmin(row["bounds"])))
        )
        return (
            f"{name.split('-seed')[0]}, {row['units']} units, one seed: ‖W‖₂ = {row['norm']:.2f}, the flow contracts "
            f"from λ = {row['contracts_from']:.2f}; median leading exponent per layer {bare}, and where the bound is "
            f"least {damped}"
        )

    return "; ".join(words(*pair) for pair in summary["shared"].items())


def _shared_verdict(summary: Summary) -> str:
    """Confirmed: in all nets tangents grow without damping, and the bound of the network falls below 1 with some.

    With h = 1 it can only where ‖W‖₂ < 4; the flow contracts with enough damping whatever W is.
    """
    rows = list(summary["shared"].values())
    if not rows:
        return NOT_RUN
    bounded = all(
        most <= bound + 1e-9  # linear algebra in double precision
        for row in rows
        for most, bound in zip(row["exponents"]["most"], row["bounds"], strict=True)
    )
    if not bounded:
        return "not confirmed: a bound is broken"
    if not all(row["exponents"]["least"][0] > 0 for row in rows):
        return "not confirmed: one contracts as it is"
    proven = [any(bound < 0 for bound in row["bounds"]) for row in rows]
    return "confirmed" if all(proven) else f"qualified: the flows; of the networks {sum(proven)} of {len(rows)}"


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


def _pair_words(pairs: Pairs, margin: float, scale: float = 1.0, digits: int = 2) -> str:
    known = np.array(_known(pairs))
    if not len(known):
        return "not known"
    before, after = (f"{scale * value:.{digits}f}" for value in np.median(known, axis=0))
    change = known[:, 1] - known[:, 0]
    least, most = (f"{scale * value:.{digits}f}" for value in (change.min(), change.max()))
    return (
        f"{before} → {after} (change [{least}, {most}], lower by more than {scale * margin:g} in "
        f"{(change < -margin).sum()} of {len(known)})"
    )


def _of_kind(kind: str, name: str, words: str, scale: float = 1.0) -> Any:
    """What is measured of the damped units, or stages, of a kind of net."""

    def measured(summary: Summary) -> str | None:
        row = summary["trained"]["kinds"].get(kind)
        if row is None:
            return None
        return (
            f"{', '.join(titles(summary['trained']['nets'], kind))}: {words}, medians, λ = 0 → as trained: "
            f"{_pair_words(row[f'damped_{name}'], MARGINS[name], scale)}; {row['nets']} nets, "
            f"{row['damped']} of {row['units']} blocks with λ ≠ 0 ({min(row['dampings'], default=0):.2f} to "
            f"{max(row['dampings'], default=0):.2f}), {summary['trained']['images']} images"
        )

    return measured


def _judged(kind: str, name: str) -> Any:
    def verdict(summary: Summary) -> str:
        row = summary["trained"]["kinds"].get(kind)
        return NOT_RUN if row is None else fewer(row[f"damped_{name}"], MARGINS[name], row["nets"])

    return verdict


# of In-ResNets the first is near to a definition: the Jacobian with λ = 0 is J + λI, which moves the crowd of values of
# J at 1 − λ back to 1, where it splits
GAINS = tuple(
    Claim(
        f"{kind}-{key}",
        f"{KINDS[kind]}: {statement} than with the same weights and λ = 0",
        BEYOND,
        "lyapunov",
        _of_kind(kind, name, words, scale),
        _judged(kind, name),
        BOTH,
    )
    for kind in ("in", "lambda-in")
    for key, statement, name, words, scale in (
        ("gains-above-one", "the share of singular values above 1 of a damped unit is lower", "above", "%", 100.0),
        ("largest-gain", "the largest singular value of a damped unit is lower", "largest", "largest", 1.0),
        ("stage-exponents", "leading finite-time exponents of stages are lower", "exponent", "per block", 1.0),
    )
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


def _plain_measured(summary: Summary) -> Any:
    """None where there is no plain net."""
    kinds = summary["trained"]["kinds"]
    if "plain" not in kinds:
        return None

    def of(name: str, words: str) -> str:
        return f"{words} " + ", ".join(
            f"{title} {' and '.join(f'{v:.2f}' for v in kinds[kind][name])}"
            for kind, title in (("plain", "ResNet"), ("in", "In"), ("lambda-in", "λ-In"))
            if kind in kinds
        )

    nets = ", ".join(titles(summary["trained"]["nets"]))
    return f"{nets}; medians over blocks (stages) of each net, seed by seed: " + "; ".join(
        of(*row) for row in PLAIN_NAMES
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


LYAPUNOV = (
    Claim(
        "flow-contracts",
        "the damped logistic flow contracts if α‖W‖₂ < 4λ, its map if |1 − hλ| + hα‖W‖₂/4 < 1",
        BEYOND,
        "lyapunov",
        _contraction_measured,
        _contraction_verdict,
        BOTH,
    ),
    Claim(
        "two-cycle",
        "where the second fails the network can end on a 2-cycle although its flow contracts",
        BEYOND,
        "lyapunov",
        _cycle_measured,
        _cycle_verdict,
        BOTH,
    ),
    Claim(
        "shared-logistic-nets",
        "trained logistic nets with shared weights do not contract, and would with enough damping (lagzi2021)",
        BEYOND,
        "lyapunov",
        _shared_measured,
        _shared_verdict,
        BOTH,
    ),
    *GAINS,
    Claim(
        "below-the-resnet",
        "better stability, read as: damped nets have lower gains and exponents than a plain ResNet of equal size",
        IN_WORDS,
        "lyapunov",
        _plain_measured,
        _plain_verdict,
        BOTH,
    ),
)

CLAIMS: tuple[Claim, ...] = (*TOY, *LYAPUNOV)
