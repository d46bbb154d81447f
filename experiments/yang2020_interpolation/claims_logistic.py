"""Claims on logistic nets with damping: when flow and network contract, proven and trained (experiment 6)."""

from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, NOT_RUN
from experiments._harness.spreads import between
from experiments.yang2020_interpolation.claims_discretisations import BOTH

Summary = dict[str, Any]


def _contraction(summary: Summary) -> str:
    rates = summary["random_nets"]
    flow, network = (max(rates["nearest"][dynamics]) for dynamics in ("flow", "map"))
    return (
        f"proven; {rates['violations']} of {rates['compared']} largest rates above the bound beyond numerical errors; "
        f"rate less bound at most {flow:.1g} per unit t (flow), {network:.1g} per layer (network)"
    )


def _contraction_details(summary: Summary) -> str:
    rates = summary["random_nets"]
    nearest = ", ".join(
        f"{flow:.3f} and {network:.2g} ({ratio:g})"
        for ratio, flow, network in zip(rates["ratios"], rates["nearest"]["flow"], rates["nearest"]["map"], strict=True)
    )
    return (
        f"Proven. {rates['nets']} random nets and ±I for each α‖W‖/4λ; {rates['violations']} of {rates['compared']} "
        f"largest rates above the bound beyond numerical errors. Nearest to it, of flow (per unit t) and network (per "
        f"layer), by α‖W‖/4λ: {nearest}. Beyond 1 orbits of the flow leave the state where its bound is sharp."
    )


def _contraction_verdict(summary: Summary) -> str:
    return "confirmed" if summary["random_nets"]["violations"] == 0 else "not confirmed: a bound is broken"


def _cycle(summary: Summary) -> str:
    rows = list(summary["one_unit"].values())
    proven = sum(row["flow_proven"] for row in rows)
    return (
        f"flow of one unit (W < 0) proven to contract in {proven} of {len(rows)} cases; 2-cycles "
        f"from hλ = {between([row['first_cycle'] for row in rows], 2)} on, {_cycles_found(rows)}"
    )


def _cycles_found(rows: list[Summary]) -> str:
    """At how many steps, and how far from the closed form."""
    return (
        f"at {sum(row['cycles_where_the_flow_contracts'] for row in rows)} steps, within "
        f"{max(row['largest_difference'] for row in rows):.0e} of the closed form"
    )


def _cycle_details(summary: Summary) -> str:
    rows = summary["one_unit"]
    words = "; ".join(
        f"{row['first_cycle']:.3f} and {row['map_proven_up_to']:.3f} ({ratio})" for ratio, row in rows.items()
    )
    agree = between([row["agree"] for row in rows.values()], 1, 100)
    return (
        f"One unit with W < 0: hλ from which the network has a 2-cycle, and up to which it is proven to contract, by "
        f"α‖W‖/4λ: {words}. 2-cycles {_cycles_found(list(rows.values()))}; orbits end as it says in {agree} % of cases."
    )


def _cycle_verdict(summary: Summary) -> str:
    rows = list(summary["one_unit"].values())
    if not rows:
        return NOT_RUN
    # orbits were run until they repeat to 1e-8 of their size
    seen = all(r["flow_proven"] and r["agree"] == 1 and r["largest_difference"] < 1e-6 for r in rows)
    return "confirmed" if seen and all(r["cycles_where_the_flow_contracts"] for r in rows) else "not confirmed"


def _shared(summary: Summary) -> str:
    def words(name: str, row: Summary) -> str:
        least, median, most = (row["exponents"][rule][0] for rule in ("least", "median", "most"))
        best = _best_damped(row)
        return (
            f"{name.split('-seed')[0]} {median:.2f} [{least:.2f}, {most:.2f}], λ = {row['contracts_from']:.2f}, "
            f"{row['bounds'][best]:.2f}"
        )

    nets = "; ".join(words(*pair) for pair in summary["shared"].items())
    return f"undamped exponent [over images], flow contracts from, network's least bound: {nets}"


def _best_damped(row: Summary) -> int:
    """Where the bound is least: with more damping still, layers that overshoot expand again."""
    return int(np.argmin(row["bounds"]))


def _shared_details(summary: Summary) -> str:
    def words(name: str, row: Summary) -> str:
        bare, damped = (
            f"{row['exponents']['median'][k]:.2f} (bound {row['bounds'][k]:.2f}) at λ = {row['dampings'][k]:g}"
            for k in (0, _best_damped(row))
        )
        return (
            f"{name.split('-seed')[0]}, {row['units']} units, {row['depth']} layers, one seed: "
            f"‖W‖₂ = {row['norm']:.2f}, the flow contracts from λ = {row['contracts_from']:.2f}; median leading "
            f"exponent per layer {bare}, and where the bound is least {damped}."
        )

    return " ".join(words(*pair) for pair in summary["shared"].items())


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
    return "confirmed" if all(proven) else f"qualified: all flows, {sum(proven)} of {len(rows)} networks"


CLAIMS = (
    Claim(
        "flow-contracts",
        "the damped logistic flow contracts if α‖W‖₂ < 4λ, its map if |1 − hλ| + hα‖W‖₂/4 < 1",
        BEYOND,
        "lyapunov",
        _contraction,
        _contraction_verdict,
        BOTH,
        details=_contraction_details,
    ),
    Claim(
        "two-cycle",
        "where the second fails the network can end on a 2-cycle although its flow contracts",
        BEYOND,
        "lyapunov",
        _cycle,
        _cycle_verdict,
        BOTH,
        details=_cycle_details,
    ),
    Claim(
        "shared-logistic-nets",
        "trained logistic nets with shared weights do not contract, and would with enough damping (lagzi2021)",
        BEYOND,
        "lyapunov",
        _shared,
        _shared_verdict,
        BOTH,
        details=_shared_details,
    ),
)
