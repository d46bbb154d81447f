"""How statements on transients, separability and noise are judged."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments._harness.spreads import student_interval
from experiments.lagzi2021_transients.wording import number

Net = dict[str, Any]
KINDS = ("residual", "plain")
UNTRAINED = " untrained"
FREE, CONSTRAINED = " free ", " antisymmetric "
GROUPS = {"moving": "moving", "resting": "at rest"}
"""Of samples, and what they are called."""
TWO_ERRORS = 2.0
"""Two standard errors: what chance exceeds once in twenty."""
RESTLESS = 0.5
"""A net is one without an attractor, in this run, if fewer than half of its samples are at rest."""
ALL_LAYERS = 0.95
"""Above the largest of about fifteen nulls in all layers but one of twenty."""
KEPT = 0.02
"""Nothing is lost if a loss, with two errors, stays below two samples of a hundred: what 360 samples can tell, and far
less than parts the nets from chance."""
HALF_WAY = 0.5
"""From chance to all samples right: what is told from chance and no more is a trace of the class."""
THERE = 0.5
"""A difference of which at least half was there before training is more of the layers than of training."""
PREDICTED = 1.1
"""A variance within a tenth: that from 40 draws for each of 40 images has errors of a few hundredths."""


# --- single nets -------------------------------------------------------------------------------------


def standard_error(share: float, n: int) -> float:
    """Of a share of n samples; that of a half at most where the share is 0 or 1 is taken from one sample more."""
    share = (share * n + 0.5) / (n + 1)
    return float(np.sqrt(share * (1 - share) / n))


def larger(one: float, other: float, n: int) -> bool:
    """Whether an accuracy exceeds another of the same n samples by two standard errors of their difference.

    As if the samples were different ones, which is on the safe side.
    """
    error = float(np.hypot(standard_error(one, n), standard_error(other, n)))
    return one - other > TWO_ERRORS * error


def residuals_decide(net: Net) -> bool:
    """Whether an input with all residuals of another sample is read as that sample's class.

    More often than half way from the most frequent class to the whole sum.
    """
    accuracy = net["accuracy"]
    return bool(accuracy["donor"] > (accuracy["whole"] + net["chance"]) / 2)


def is_kept(lost: Sequence[float]) -> bool:
    """Whether a loss, given with its standard error, is too small to count: not only too small to be seen."""
    loss, error = lost
    return bool(loss + TWO_ERRORS * error <= KEPT)


def of_nets(holds: Mapping[str, bool]) -> str:
    """Confirmed in all nets, qualified in some."""
    if not holds:
        return "no net to judge"
    right = [name for name, held in holds.items() if held]
    if len(right) == len(holds):
        return "confirmed"
    return f"qualified: in {', '.join(right)} alone" if right else "not confirmed"


def of_seeds(holds: Mapping[str, bool]) -> str:
    """The same in fewer words: of how many seeds of each kind."""
    if not any(holds.values()) or all(holds.values()):
        return of_nets(holds)
    kinds: dict[str, list[bool]] = {}
    for name, held in holds.items():
        kinds.setdefault(kind_of({"name": name}), []).append(held)
    words = [f"{kind}{f' ({sum(h)} of {len(h)})' * (len(h) > 1)}" for kind, h in kinds.items() if any(h)]
    return f"qualified: in {', '.join(words)} alone"


# --- separability ------------------------------------------------------------------------------------


def trained(nets: Sequence[Net]) -> list[Net]:
    """Without those before training."""
    return [net for net in nets if not net["name"].endswith(UNTRAINED)]


def kind_of(net: Net) -> str:
    """Its name without seed."""
    words = net["name"].removesuffix(UNTRAINED)
    return words.rpartition(" ")[0] or words


def by_kind(nets: Sequence[Net], *, trained: bool) -> dict[str, list[Net]]:
    """Nets of one kind together, trained or untrained."""
    found: dict[str, list[Net]] = {}
    for net in nets:
        if net["name"].endswith(UNTRAINED) != trained:
            found.setdefault(kind_of(net), []).append(net)
    return found


def restless(nets: Sequence[Net]) -> list[Net]:
    """Trained nets most of whose samples are not at rest."""
    return [net for net in trained(nets) if is_restless(net)]


def is_restless(net: Net) -> bool:
    """Whether most samples are not at rest."""
    return bool(net["at_rest"] < RESTLESS)


def untrained_twin(net: Net, nets: Sequence[Net]) -> Net | None:
    """The same net before training; None for nets that ship."""
    return next((one for one in nets if one["name"] == net["name"] + UNTRAINED), None)


def beyond_input(net: Net, nets: Sequence[Net]) -> bool:
    """Whether layers of training tell more than the input does, and than those of the same net before training."""
    twin = untrained_twin(net, nets)
    controls = [net["input"], *([] if twin is None else [twin["trained"]["probe"]])]
    return larger(net["trained"]["probe"], max(controls), net["samples"])


def beyond_shuffled_layers(net: Net, window: str) -> float:
    """What the course over layers tells more than their level."""
    return float(net[window]["probe"] - net[window]["time_shuffled"])


def late_separable(net: Net) -> bool:
    """Whether late layers, where alone an attractor would show, tell more than shuffled labels."""
    return bool(net["late"]["above_null"] >= ALL_LAYERS)


def separable(nets: Sequence[Net]) -> str:
    """Whether nets without rest are separable in late layers, and in those of training more than what they are given.

    ``nets``: all of a run, as a net without rest is compared with itself before training.
    """
    moving = restless(nets)
    if not moving:
        return "no net to judge"
    early = [net["name"] for net in moving if beyond_input(net, nets)]
    late = [net["name"] for net in moving if late_separable(net)]
    both = [name for name in early if name in late]
    if len(both) == len(moving):
        return "confirmed"
    found = (
        f"in the layers of training beyond input and untrained net in {len(early)} of {number(moving)}, in late "
        f"layers (every one) above shuffled labels in {len(late)}"
    )
    kinds = ", ".join(dict.fromkeys(kind_of(net) for net in moving if net["name"] in both))
    return f"qualified: {found}, both in {len(both)} ({kinds})" if both else f"not confirmed: {found}, both in none"


def by_constraint(nets: Sequence[Net], window: str = "late") -> dict[str, list[float]]:
    """Probes in a window, trained nets with the constraint less those without it of the same data and seed."""
    free = {net["name"]: net for net in trained(nets) if FREE in net["name"]}
    found: dict[str, list[float]] = {}
    for net in trained(nets):
        twin = free.get(net["name"].replace(CONSTRAINED, FREE))
        if CONSTRAINED in net["name"] and twin is not None:
            data = net["name"].partition(CONSTRAINED)[0]
            found.setdefault(data, []).append(float(net[window]["probe"] - twin[window]["probe"]))
    return found


def with_constraint(signs: Mapping[str, str]) -> str:
    """Where late layers of nets that can have no attractor tell less, or more, than those of nets that can."""
    words = {"negative": "less", "positive": "more"}
    found = [f"{words[one]} in {data}" for data, one in signs.items() if one in words]
    return f"; late, antisymmetric beside free: {', '.join(found)}" if found else ""


def judged(nets: Sequence[Net], group: str) -> list[Net]:
    """Nets in which one of the groups of samples is large enough."""
    return [net for net in trained(nets) if "true" in net.get("groups", {}).get(group, {})]


def is_told(net: Net, group: str) -> bool:
    """Whether samples of a group tell their classes: above all shuffled labels, and at least half way from chance."""
    found = net["groups"][group]
    way = (found["true"] - found["labels_shuffled"]) / (1 - found["labels_shuffled"])
    return bool(found["true"] > found["largest_null"] and way >= HALF_WAY)


def beyond_level(net: Net, group: str) -> bool:
    """Whether they do so better than with their layers shuffled."""
    found = net["groups"][group]
    return larger(found["true"], found["time_shuffled"], found["samples"])


def alone(nets: Sequence[Net]) -> str:
    """Whether samples that move are separable without the others, and by more than the level of their layers."""
    if not any("groups" in net for net in nets):
        return "not judged: not run"
    moving, resting = (judged(nets, group) for group in GROUPS)
    if not moving:
        return "no net to judge"
    told = [net for net in moving if is_told(net, "moving")]
    both = [net for net in told if beyond_level(net, "moving")]
    if len(both) == len(moving):
        return "confirmed"
    rest = sum(is_told(net, "resting") for net in resting)
    beside = f"; those at rest in {rest} of {number(resting)}" if resting else ""
    if not told:
        return f"not confirmed: in none of {number(moving)}{beside}"
    kinds = ", ".join(dict.fromkeys(map(kind_of, told)))
    by_course = len(both) or "none"
    return f"qualified: in {len(told)} of {number(moving)} ({kinds}), in {by_course} by their course too{beside}"


def through_training(nets: Sequence[Net], window: str) -> dict[str, list[float]]:
    """Probes in a window of layers, trained less untrained, of the nets that were trained here."""
    found: dict[str, list[float]] = {}
    for net in trained(nets):
        twin = untrained_twin(net, nets)
        if twin is not None:
            found.setdefault(kind_of(net), []).append(float(net[window]["probe"] - twin[window]["probe"]))
    return found


def in_both_windows(nets: Sequence[Net]) -> dict[str, dict[str, list[float]]]:
    """The same by window, named in words, and kind."""
    windows = {"trained": "layers of training", "late": "late layers"}
    return {words: through_training(nets, window) for window, words in windows.items()}


# --- differences over seeds --------------------------------------------------------------------------


def sign(differences: Sequence[float]) -> str:
    """Of the mean where the interval allows it, "positive" or "negative", else "open"; or "one seed"."""
    bounds = student_interval(differences)
    if bounds is None:
        return "one seed"
    if bounds[0] > 0:
        return "positive"
    return "negative" if bounds[1] < 0 else "open"


def of_kinds(signs: Mapping[str, str]) -> str:
    """Confirmed if positive for all kinds; what is the other way round is said."""
    if not signs:
        return "no net to judge"
    if "one seed" in signs.values():
        return "not judged: one seed"
    right, wrong = ([kind for kind, one in signs.items() if one == way] for way in ("positive", "negative"))
    if len(right) == len(signs):
        return "confirmed"
    if wrong and not right:
        return "not confirmed: the opposite" + (f" for {', '.join(wrong)}" if len(wrong) < len(signs) else "")
    if wrong:
        return f"qualified: for {', '.join(right)}; the opposite for {', '.join(wrong)}"
    return f"qualified: for {', '.join(right)} alone" if right else "not confirmed"


def robust(accuracy: str, drop: str = "negative") -> str:
    """From the signs of two differences, residual less plain: accuracy under noise, and the loss from clean."""
    if "one seed" in (accuracy, drop):
        return "not judged: one seed"
    if accuracy == "positive":
        return "confirmed" if drop == "negative" else "qualified: the accuracy, not the loss from clean"
    if accuracy == "negative":
        return "not confirmed: the plain net is more robust"
    return "not confirmed: no difference beyond the spread over seeds"


def evolves(after: Mapping[str, Sequence[float]], before: Mapping[str, Sequence[float]]) -> str:
    """Which numbers differ between the kinds, and whether they did before training.

    Differences seed by seed, residual less plain. One that had the same sign before training was there if it had, in
    the mean, at least half its size, and grew if it had less. ``before``: empty if untrained nets were not run.
    """
    signs = {name: sign(found) for name, found in after.items()}
    if "one seed" in signs.values():
        return "not judged: one seed"
    different = [name for name, one in signs.items() if one != "open"]
    if not different:
        return "not confirmed: no difference beyond the spread over seeds"
    verdict = "confirmed" if len(different) == len(after) else f"qualified: by {', '.join(different)} alone"
    if not before:
        return f"{verdict}; untrained: not run"
    parts: dict[str, list[str]] = {"there before training": [], "grown in training": [], "of training alone": []}
    for name in different:
        same = sign(before[name]) == signs[name]
        most = abs(np.mean(before[name])) >= THERE * abs(np.mean(after[name]))
        where = "of training alone" if not same else "there before training" if most else "grown in training"
        parts[where].append(name)
    return "; ".join([verdict, *(f"{words}: {', '.join(names)}" for words, names in parts.items() if names)])


def predicted(ratios: Mapping[str, Sequence[float]]) -> str:
    """Whether first order predicts variances within a tenth, for each kind or size of noise."""
    right = [size for size, of_nets in ratios.items() if np.abs(np.log(of_nets)).max() <= np.log(PREDICTED)]
    if len(right) == len(ratios):
        return "confirmed"
    wrong = [name for name in ratios if name not in right]
    return f"qualified: for {', '.join(right)}, not for {', '.join(wrong)}" if right else "not confirmed"
