"""Claims on the toy: the damped flow, its discretisations, and what random nets do over the coefficient (experiment 1).

The paper's own Lyapunov analysis was not at hand: of it only the statement in words is judged.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS, NOT_RUN

Summary = dict[str, Any]

BOTH = ("laptop", "paper")
CODE = "read off the authors' code"

# a method of order p shows p − 1/4 to p + 1/2 at finite steps: the next term of its error adds to the first
ORDER_BELOW, ORDER_ABOVE = 0.25, 0.5
EXACT = 1e-12
"""Rounding of sums of a few numbers of order one."""


def _ends_measured(summary: Summary) -> str:
    gaps = summary["discretisations"]["largest_difference_at_ends"]
    return f"one layer differs by {gaps['residual']:.0e} from the ResNet, by {gaps['plain']:.0e} from the plain net"


def _ends_verdict(summary: Summary) -> str:
    gaps = summary["discretisations"]["largest_difference_at_ends"]
    return "confirmed" if max(gaps.values()) <= EXACT else "not confirmed"


def _order_rows(summary: Summary) -> list[tuple[str, float, float]]:
    """(method, expected order, measured order) at all coefficients and both kinds."""
    found = summary["discretisations"]
    return [
        (method, found["expected"][method], order)
        for of_kind in found["orders"].values()
        for method, orders in of_kind.items()
        for order in orders
    ]


def _orders_measured(summary: Summary) -> str:
    rows = _order_rows(summary)
    words = []
    for method, expected in summary["discretisations"]["expected"].items():
        orders = [order for name, _, order in rows if name == method]
        words.append(f"{method} {min(orders):.2f} to {max(orders):.2f} (theory {expected:g})")
    errors = summary["discretisations"]["errors"]["in"]
    ends = "; ".join(f"{name} {row[0]:.2g} → {row[-1]:.2g}" for name, row in errors.items())
    first, last = (summary["discretisations"]["coefficients"][k] for k in (0, -1))
    return (
        f"orders over λ from {first:g} to {last:g}: {', '.join(words)}; distance from the flow at "
        f"h = {summary['discretisations']['step']:g}, In, λ = {first:g} → {last:g}: {ends}"
    )


def _orders_verdict(summary: Summary) -> str:
    rows = _order_rows(summary)
    if not rows:
        return NOT_RUN
    good = all(-ORDER_BELOW <= order - expected <= ORDER_ABOVE for _, expected, order in rows)
    return "confirmed" if good else "not confirmed"


KINDS = {"in": "In", "lambda-in": "λ-In"}


def _stability_measured(summary: Summary) -> str:
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

    kinds = "; ".join(f"{name}: {words(kind, 'flow')}, {words(kind, 'map')}" for kind, name in KINDS.items())
    return (
        f"share of {survey['nets']} random nets for which one attractor is proven, {kinds}; orbits contradict "
        f"{survey['contradictions']} of {survey['proofs']} proofs"
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


def _steps_measured(summary: Summary) -> str:
    found = summary["stability"]
    euler, exponential = (found["longest_step"][name] for name in ("residual", "exponential"))
    shown = ", ".join(
        f"{e:.2g} and {'none' if x < 0 else f'{x:.2g}'} at λ = {lam:g} ω"
        for lam, e, x in zip(found["at_damping"], euler, exponential, strict=True)
    )
    return (
        f"longest stable step in units of 1/ω, Euler and exponential: {shown}; growth of orbits differs from the "
        f"closed form by at most {found['largest_difference']:.0e}, stable or not alike in {100 * found['agree']:.1f} %"
    )


def _steps_verdict(summary: Summary) -> str:
    """The closed form is right where orbits agree; the statement itself is proven from it."""
    found = summary["stability"]
    below, at, above = found["longest_step"]["residual"]
    # the integrator that stands for the flow has a tolerance of 1e-10 per step
    if found["agree"] < 1 or found["largest_difference"] > 1e-6:
        return "not confirmed: orbits differ from the closed form"
    return "confirmed" if at > max(below, above) else "not confirmed"


def _one_net_measured(summary: Summary) -> str:
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
        f"flow: {story('flow')}; network, h = 1: {story('map')}; by linearization the origin attracts the flow from "
        f"λ = {one['window']['flow'][0]:.2g}, the network between {low:.2g} and {high:.2g}"
    )


def _one_net_verdict(summary: Summary) -> str:
    """Many attractors without much damping; with more, one for all states. Of the network they may run away at last."""
    one = summary["one_net"]

    def alone(dynamics: str) -> list[bool]:
        rows = (one[dynamics][name] for name in ("attractors", "diverged"))
        return [n == 1 and lost == 0 for n, lost in zip(*rows, strict=True)]

    flow, network = alone("flow"), alone("map")
    if min(one[dynamics]["attractors"][0] for dynamics in ("flow", "map")) > 1 and flow[-1] and any(network):
        return "confirmed" if network[-1] else "qualified: too much of it, and the network runs away"
    return "not confirmed"


TOY = (
    Claim(
        "between-the-ends",
        "λ = 0 is the residual network, λ = 1 the plain one (twice f in the λ-interpolated net)",
        CODE,
        "toy",
        _ends_measured,
        _ends_verdict,
        BOTH,
    ),
    Claim(
        "euler-of-the-damped-flow",
        "the interpolated network is the Euler map of a damped flow",
        IN_WORDS,
        "toy",
        _orders_measured,
        _orders_verdict,
        BOTH,
    ),
    Claim(
        "damping-stabilises",
        "damping makes the dynamics more stable (Lyapunov functions of random nets of three tanh units)",
        IN_WORDS,
        "toy",
        _stability_measured,
        _stability_verdict,
        BOTH,
    ),
    Claim(
        "longest-stable-step",
        "of a damped rotation, the longest stable step of the network is largest at λ = ω and falls beyond",
        BEYOND,
        "toy",
        _steps_measured,
        _steps_verdict,
        BOTH,
    ),
    Claim(
        "attractors-over-damping",
        "damping turns several attractors into one (two units that turn and stretch)",
        BEYOND,
        "toy",
        _one_net_measured,
        _one_net_verdict,
        BOTH,
    ),
)
