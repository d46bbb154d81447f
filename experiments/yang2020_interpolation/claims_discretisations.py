"""Claims on the interpolated network as a discretisation: ends, order, longest stable step (experiment 1)."""

from typing import Any

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS, NOT_RUN
from experiments._harness.spreads import between

Summary = dict[str, Any]

BOTH = ("laptop", "paper")
CODE = "read off the authors' code"

# a method of order p shows p − 1/4 to p + 1/2 at finite steps: the next term of its error adds to the first
ORDER_BELOW, ORDER_ABOVE = 0.25, 0.5
EXACT = 1e-12
"""Rounding of sums of a few numbers of order one."""


def _ends(summary: Summary) -> str:
    gaps = summary["discretisations"]["largest_difference_at_ends"]
    return (
        f"one layer differs by at most {gaps['residual']:.1g} from the ResNet, {gaps['plain']:.1g} from the plain net"
    )


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


def _orders(summary: Summary) -> str:
    rows, words = _order_rows(summary), []
    for method, expected in summary["discretisations"]["expected"].items():
        orders = between([order for name, _, order in rows if name == method], 2)
        words.append(f"{method} {orders} ({expected:g})")
    first, last = (summary["discretisations"]["coefficients"][k] for k in (0, -1))
    return f"orders (theory): {', '.join(words)}; range over λ from {first:g} to {last:g}, In and λ-In"


def _orders_details(summary: Summary) -> str:
    found, kinds = summary["discretisations"], []
    for kind, title in (("in", "In"), ("lambda-in", "λ-In")):
        words = (f"{name} {' '.join(f'{order:.2f}' for order in row)}" for name, row in found["orders"][kind].items())
        kinds.append(f"{title} {', '.join(words)}")
    ends = ", ".join(f"{name} {row[0]:.2g} → {row[-1]:.2g}" for name, row in found["errors"]["in"].items())
    lam = found["coefficients"]
    return (
        f"Orders at λ = {', '.join(f'{c:g}' for c in lam)}: {'; '.join(kinds)}. Distance from the flow at "
        f"h = {found['step']:g}, In, λ = {lam[0]:g} → {lam[-1]:g}: {ends}."
    )


def _orders_verdict(summary: Summary) -> str:
    rows = _order_rows(summary)
    if not rows:
        return NOT_RUN
    good = all(-ORDER_BELOW <= order - expected <= ORDER_ABOVE for _, expected, order in rows)
    return "confirmed" if good else "not confirmed"


def _steps(summary: Summary) -> str:
    found = summary["stability"]
    euler, damping = found["longest_step"]["residual"], found["at_damping"]
    return (
        f"longest stable step {', '.join(f'{h:.2g}' for h in euler)} (units of 1/ω) at "
        f"λ = {', '.join(f'{lam:g}' for lam in damping)} ω; orbits agree with the closed form in "
        f"{100 * found['agree']:.4g} % of cases, their growth to {found['largest_difference']:.0e}"
    )


def _steps_details(summary: Summary) -> str:
    found = summary["stability"]
    euler, exponential = (found["longest_step"][name] for name in ("residual", "exponential"))
    shown = ", ".join(
        f"{e:.2g} and {'none' if x < 0 else f'{x:.2g}'} at λ = {lam:g} ω"
        for lam, e, x in zip(found["at_damping"], euler, exponential, strict=True)
    )
    agree = f"{100 * found['agree']:.1f} %"
    return (
        f"Longest stable step in units of 1/ω, Euler and exponential: {shown}. Growth of orbits differs from the "
        f"closed form by at most {found['largest_difference']:.0e}, stable or not alike in {agree}."
    )


def _steps_verdict(summary: Summary) -> str:
    """The closed form is right where orbits agree; the statement itself is proven from it."""
    found = summary["stability"]
    below, at, above = found["longest_step"]["residual"]
    # the integrator that stands for the flow has a tolerance of 1e-10 per step
    if found["agree"] < 1 or found["largest_difference"] > 1e-6:
        return "not confirmed: orbits differ from the closed form"
    return "confirmed" if at > max(below, above) else "not confirmed"


CLAIMS = (
    Claim(
        "between-the-ends",
        "λ = 0 is the residual network, λ = 1 the plain one (twice f in the λ-interpolated net)",
        CODE,
        "toy",
        _ends,
        _ends_verdict,
        BOTH,
    ),
    Claim(
        "euler-of-the-damped-flow",
        "the interpolated network is the Euler map of a damped flow",
        IN_WORDS,
        "toy",
        _orders,
        _orders_verdict,
        BOTH,
        details=_orders_details,
    ),
    Claim(
        "longest-stable-step",
        "of a damped rotation, the longest stable step of the network is largest at λ = ω and falls beyond",
        BEYOND,
        "toy",
        _steps,
        _steps_verdict,
        BOTH,
        details=_steps_details,
    ),
)
