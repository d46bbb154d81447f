"""Claims on the rule that stops deepening: the depth it decides on, what that costs, and what it saves."""

from typing import Any

from experiments._harness import Claim
from experiments._harness.claims import BEYOND
from experiments._harness.spreads import between
from experiments.hauser2019_perturbation import judging

Summary = dict[str, Any]


def _seeds(summary: Summary) -> str:
    return judging.number(summary["seeds"], "seed")


def _decided(summary: Summary, way: str) -> list[str]:
    """Depth and accuracy, threshold by threshold."""
    words = []
    rows = zip(summary["thresholds"], summary[way]["depths"], summary[way]["accuracy"], strict=True)
    for threshold, depths, accuracy in rows:
        known = [value for value in accuracy if value is not None]
        found = f"{between([d for d in depths if d])} blocks, {between(known, 1, 100)} %" if known else ""
        missing = f"none in {len(depths) - len(known)} of {len(depths)}" if len(known) < len(depths) else ""
        words.append(f"ε = {threshold:g}: " + ", ".join(part for part in (found, missing) if part))
    return words


# --- which depth -------------------------------------------------------------------------------------


def rule(summary: Summary) -> str:
    """Depths at the largest ε and at the smallest at which all seeds have one."""
    words, decided = _decided(summary, "function"), summary["function"]["depths"]
    found = [k for k, depths in enumerate(decided) if all(depths)]
    missing = [t for t, depths in zip(summary["thresholds"], decided, strict=True) if not all(depths)]
    parts = [words[k] for k in sorted({*found[:1], *found[-1:]})]
    parts += [f"not all seeds stop at ε = {judging.listed(missing)}"] if missing else []
    return f"{'; '.join(parts)} ({_seeds(summary)}, {len(words)} ε)"


def rule_details(summary: Summary) -> str:
    """What the rule decides as a function."""
    depths = ", ".join(map(str, summary["depths"]))
    return (
        f"{'; '.join(_decided(summary, 'function'))}. {_seeds(summary)}, depths {depths}, {summary['epochs']} epochs."
    )


def rule_verdict(summary: Summary) -> str:
    """At how many thresholds a depth is found, and whether seeds agree on it."""
    rows = summary["function"]["depths"]
    found = [row for row in rows if all(row)]
    agreeing = sum(len(set(row)) == 1 for row in found)
    return f"measured: all seeds stop at {len(found)} of {len(rows)} ε, at the same depth at {agreeing}"


# --- what it costs -----------------------------------------------------------------------------------


def _losses(summary: Summary, way: str) -> list[list[float | None]]:
    """Accuracy of the deepest net that was trained anew with the same seed, less that of the net decided on.

    None where no depth was found or it is the deepest one: that net is no less accurate than itself.
    """
    last, deepest = summary["depths"][-1], summary["accuracy"]["anew"][-1]
    rows = zip(summary[way]["depths"], summary[way]["accuracy"], strict=True)
    return [
        [
            None if value is None or depth == last else best - value
            for depth, value, best in zip(depths, accuracy, deepest, strict=True)
        ]
        for depths, accuracy in rows
    ]


def loss(summary: Summary) -> str:
    """The largest loss over seeds, threshold by threshold."""
    rows = zip(summary["thresholds"], _losses(summary, "function"), strict=True)
    known = {t: [value for value in losses if value is not None] for t, losses in rows}
    words = [f"{judging.sign(100 * max(row), 1)} (ε = {t:g})" for t, row in known.items() if row]
    if not words:
        return f"no depth below {summary['depths'][-1]} blocks found"
    return f"points lost against {summary['depths'][-1]} blocks, the most of {_seeds(summary)}: {', '.join(words)}"


def loss_details(summary: Summary) -> str:
    """What the depth decided on costs in accuracy."""
    words = []
    rows = zip(summary["thresholds"], _losses(summary, "function"), summary["function"]["depths"], strict=True)
    for threshold, losses, depths in rows:
        each = [
            "the deepest itself" if value is None else judging.sign(100 * value, 1)
            for value, depth in zip(losses, depths, strict=True)
            if depth
        ]
        if each:
            words.append(f"ε = {threshold:g}: {', '.join(each)}")
    return f"Points below {summary['depths'][-1]} blocks, seed by seed: {'; '.join(words) or 'no depth found'}."


def loss_verdict(summary: Summary) -> str:
    """Whether it costs at most half a point with every seed."""
    return judging.accurate(summary["thresholds"], _losses(summary, "function"))


# --- while nets are trained --------------------------------------------------------------------------


def callback(summary: Summary) -> str:
    """Whether it decides the same, and how many epochs it takes over all thresholds."""
    whole, fewer = (sum(map(sum, summary[way]["epochs"])) for way in ("function", "callback"))
    return (
        f"{_same_depths(summary, 'callback', 'after training')}; {fewer} epochs instead of {whole} over all ε and "
        f"{_seeds(summary)}, a net given up after {summary['patience']} epochs above ε"
    )


def _differing(summary: Summary, way: str) -> list[float]:
    """Thresholds at which a way decides otherwise than nets that are trained anew to the end."""
    return judging.same(summary["thresholds"], summary["function"]["depths"], summary[way]["depths"])


def _same_depths(summary: Summary, way: str, other: str) -> str:
    n = len(summary["thresholds"])
    return f"the same depths as {other} at {n - len(_differing(summary, way))} of {n} ε"


def callback_details(summary: Summary) -> str:
    """Epochs with and without giving up early."""
    whole, fewer = summary["function"]["epochs"], summary["callback"]["epochs"]
    rows = zip(summary["thresholds"], whole, fewer, strict=True)
    words = [f"ε = {t:g}: {between(b)} of {between(a)}" for t, a, b in rows]
    differing = _differing(summary, "callback")
    end = f"Other depths for ε = {judging.listed(differing)}." if differing else "The same depths."
    return f"Epochs trained if a net is given up after {summary['patience']} epochs above ε: {'; '.join(words)}. {end}"


def callback_verdict(summary: Summary) -> str:
    """The same decision for less training."""
    differing = _differing(summary, "callback")
    if differing:
        return f"qualified: other depths for ε = {judging.listed(differing)}"
    saved = sum(map(sum, summary["callback"]["epochs"])) < sum(map(sum, summary["function"]["epochs"]))
    return "confirmed" if saved else "not confirmed: nothing saved"


# --- one net that grows ------------------------------------------------------------------------------


def growing(summary: Summary) -> str:
    """Where it decides as nets trained anew do, and how fast its perturbations fall beside theirs."""
    own, anew = (summary["exponents"][way] for way in ("growing", "anew"))
    return (
        f"{_same_depths(summary, 'growing', 'nets trained anew')}; exponent {judging.exponent(own)}, theirs "
        f"{judging.exponent(anew)} ({judging.spread_over(summary['depths'], own)}; {_seeds(summary)})"
    )


def growing_details(summary: Summary) -> str:
    """What a net that grows decides."""
    own, anew = (judging.law_in_words(summary["exponents"][way]) for way in ("growing", "anew"))
    return (
        f"{'; '.join(_decided(summary, 'growing'))}. Scaled perturbations over depth: {own}, of nets trained anew "
        f"{anew}. {_seeds(summary)}, doubled after each round of training."
    )


def growing_verdict(summary: Summary) -> str:
    """Where it decides as nets that are trained anew do."""
    n = len(summary["thresholds"])
    return f"measured: the depths of nets trained anew at {n - len(_differing(summary, 'growing'))} of {n} ε"


CLAIMS = (
    Claim(
        "stopping-depth",
        "A stopping rule decides the depth: the average perturbation is below ε",
        "in words only: ε and depths not known",
        "stopping",
        rule,
        rule_verdict,
        details=rule_details,
    ),
    Claim(
        "stopping-accuracy",
        "A net of the depth decided on is as accurate as the deepest (ours)",
        BEYOND,
        "stopping",
        loss,
        loss_verdict,
        details=loss_details,
    ),
    Claim(
        "stopping-callback",
        "The rule decides the same while nets are trained, in fewer epochs (ours)",
        BEYOND,
        "stopping",
        callback,
        callback_verdict,
        details=callback_details,
    ),
    Claim(
        "stopping-growing",
        "One net that grows until it is deep enough (ours)",
        BEYOND,
        "stopping",
        growing,
        growing_verdict,
        details=growing_details,
    ),
)
