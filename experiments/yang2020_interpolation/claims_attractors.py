"""Claims on attractors over the coefficient: what is proven of random nets, and how many one net has (experiment 1).

The paper's own Lyapunov analysis was not at hand: of it only the statement in words is judged.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS
from experiments.yang2020_interpolation.claims_discretisations import BOTH

Summary = dict[str, Any]

KINDS = {"in": "In", "lambda-in": "λ-In"}


def _stability(summary: Summary) -> str:
    """Numbers of nets with a proof at the ends of the coefficient, and at most where they fall again."""
    survey = summary["survey"]

    def words(kind: str, dynamics: str) -> str:
        counts = [round(survey["nets"] * share) for share in survey[kind][dynamics]["proven"]]
        most = f" (at most {max(counts)})" if max(counts) > max(counts[0], counts[-1]) else ""
        return f"{KINDS[kind]} {'flow' if dynamics == 'flow' else 'network'} {counts[0]} → {counts[-1]}{most}"

    first, last = (survey["coefficients"][k] for k in (0, -1))
    cases = ", ".join(words(kind, dynamics) for dynamics in ("flow", "map") for kind in KINDS)
    return (
        f"one attractor proven for so many of {survey['nets']} random nets, λ = {first:.2g} → {last:.2g}: {cases}; "
        f"orbits contradict {survey['contradictions']} of {survey['proofs']} proofs"
    )


def _stability_details(summary: Summary) -> str:
    survey = summary["survey"]
    lam = survey["coefficients"]

    def words(kind: str, dynamics: str) -> str:
        row = survey[kind][dynamics]
        best = int(np.argmax(row["proven"]))
        inside = [k for k, c in enumerate(lam) if c <= 1]
        end = inside[-1] if inside else 0
        return (
            f"{'flow' if dynamics == 'flow' else 'network'} {100 * row['proven'][0]:.0f} % (λ = {lam[0]:.2g}), "
            f"{100 * row['proven'][end]:.0f} % (λ = {lam[end]:.2g}), most {100 * row['proven'][best]:.0f} % "
            f"(λ = {lam[best]:.2g}), {100 * row['proven'][-1]:.0f} % (λ = {lam[-1]:.2g})"
        )

    kinds = ". ".join(f"{name}: {words(kind, 'flow')}; {words(kind, 'map')}" for kind, name in KINDS.items())
    return (
        f"Share of {survey['nets']} random nets for which one attractor is proven. {kinds}. Orbits contradict "
        f"{survey['contradictions']} of {survey['proofs']} proofs."
    )


def _stability_verdict(summary: Summary) -> str:
    """Kinds, and flow and network, apart: proofs must never become fewer as λ grows."""
    survey = summary["survey"]
    if survey["contradictions"]:
        return "not confirmed: orbits contradict a proof"
    grows, not_so = (
        [
            f"the {name} {words}"
            for dynamics, words in (("flow", "flow"), ("map", "network with h = 1"))
            for kind, name in KINDS.items()
            if _never_falls(survey[kind][dynamics]["proven"]) is wanted
        ]
        for wanted in (True, False)
    )
    if not not_so:
        return "confirmed"
    return f"qualified: {' and '.join(grows)}, not {' or '.join(not_so)}" if grows else "not confirmed"


def _never_falls(shares: Sequence[float]) -> bool:
    """And is larger at the end than at the beginning."""
    return bool((np.diff(shares) >= 0).all() and shares[-1] > shares[0])


def _one_net(summary: Summary) -> str:
    """Numbers of attractors at the ends, and where the network has one for all states."""
    one = summary["one_net"]
    lam = one["coefficients"]
    flow, network = (one[dynamics]["attractors"] for dynamics in ("flow", "map"))
    alone = [c for c, single in zip(lam, _alone(one["map"]), strict=True) if single]
    where = (
        f"one for all states within λ = {min(alone):.3g} to {max(alone):.3g}" if alone else "never one for all states"
    )
    return (
        f"attractors, λ = {lam[0]:.3g} → {lam[-1]:.3g}: flow {flow[0]} → {flow[-1]}; network {network[0]} → "
        f"{network[-1]}, {where}, up to {100 * max(one['map']['diverged']):.0f} % of states run away"
    )


def _alone(own: Summary) -> list[bool]:
    """Coefficients with one attractor and no state that runs away."""
    return [n == 1 and lost == 0 for n, lost in zip(own["attractors"], own["diverged"], strict=True)]


def _one_net_details(summary: Summary) -> str:
    one = summary["one_net"]
    lam = one["coefficients"]

    def story(dynamics: str) -> str:
        own = one[dynamics]
        runs: list[list[Any]] = []
        for c, n, kind, undecided in zip(lam, own["attractors"], own["kinds"], own["undecided"], strict=True):
            # of more than half of the states nothing is known: too slow for the layers that they were given
            word = "undecided" if undecided > 0.5 else f"{n} × {kind}" if n else "none"
            if runs and runs[-1][2] == word:
                runs[-1][1] = c
            else:
                runs.append([c, c, word])
        lost = [(c, share) for c, share in zip(lam, own["diverged"], strict=True) if share > 0]
        return ", ".join(f"{word} (λ = {a:.3g}{f' to {b:.3g}' if b > a else ''})" for a, b, word in runs) + (
            f"; of states, up to {100 * max(share for _, share in lost):.0f} % run away from λ = {lost[0][0]:.3g} on"
            if lost
            else ""
        )

    low, high = one["window"]["map"]
    return (
        f"Flow: {story('flow')}. Network, h = 1: {story('map')}. By linearization the origin attracts the flow from "
        f"λ = {one['window']['flow'][0]:.2g}, the network between {low:.2g} and {high:.2g}."
    )


def _one_net_verdict(summary: Summary) -> str:
    """Many attractors without much damping; with more, one for all states. Of the network they may run away at last."""
    one = summary["one_net"]
    flow, network = _alone(one["flow"]), _alone(one["map"])
    if min(one[dynamics]["attractors"][0] for dynamics in ("flow", "map")) > 1 and flow[-1] and any(network):
        return "confirmed" if network[-1] else "qualified: too much of it, and the network runs away"
    return "not confirmed"


CLAIMS = (
    Claim(
        "damping-stabilises",
        "damping makes the dynamics more stable (Lyapunov functions of random nets of three tanh units)",
        IN_WORDS,
        "toy",
        _stability,
        _stability_verdict,
        BOTH,
        details=_stability_details,
    ),
    Claim(
        "attractors-over-damping",
        "damping turns several attractors into one (two units that turn and stretch)",
        BEYOND,
        "toy",
        _one_net,
        _one_net_verdict,
        BOTH,
        details=_one_net_details,
    ),
)
