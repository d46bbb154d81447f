"""What lagzi2021 says about concentric circles, and what our numbers say about it."""

from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS
from experiments._harness.spreads import spread
from experiments.lagzi2021_transients import claims_depth
from experiments.lagzi2021_transients.circles_judging import MOST, PERFECT, numbers, typical

Summary = dict[str, Any]

ALL = 0.99
"""Of the samples: of 1000 points ten may lie on the border of two basins."""
TRACKS = 0.9
"""Of the variance of the mean residuals over layers: a tenth is left for the error of steps of 1."""
CLOSE = 0.01
"""Residuals that the paper's depth rule calls equal."""


def accuracy(summary: Summary) -> str:
    """Over seeds."""
    test = np.asarray(summary["accuracy"]["test"])
    return (
        f"test accuracy in %, median over {len(test)} networks [least, most] {spread(test, 1, 100)}; no error in "
        f"{int((test >= PERFECT).sum())} of them; the network of the smallest training loss "
        f"{100 * summary['accuracy']['of_smallest_loss']:.1f}"
    )


def accuracy_verdict(summary: Summary) -> str:
    """No error in most networks; or in some, and whether in the one that the training loss alone would choose."""
    right = np.asarray(summary["accuracy"]["test"]) >= PERFECT
    chosen = summary["accuracy"]["of_smallest_loss"] >= PERFECT
    which = f"{'among them' if chosen else 'but not'} that of the smallest training loss"
    return typical(float(right.mean()), f"in {int(right.sum())} of {len(right)} networks, {which}")


def vertices(summary: Summary) -> str:
    """Which share of the samples ends in stable vertices."""
    ends = summary["ends"]["each"]
    shares = [end["vertices"] for end in ends]
    neutral, passing = ([end[name] for end in ends] for name in ("neutral", "passing"))
    return (
        f"share of samples whose residuals end in a stable vertex of the cube, median over {len(ends)} networks "
        f"[least, most] {spread(shares, 2)}; all in {sum(share >= ALL for share in shares)}; on their way to the "
        f"neutral origin {spread(neutral, 2)}, passing by a saddle at layer {summary['layers']} {spread(passing, 2)}"
    )


def vertices_verdict(summary: Summary) -> str:
    """Whether all samples end in stable vertices, in how many networks."""
    shares = [end["vertices"] >= ALL for end in summary["ends"]["each"]]
    return typical(float(np.mean(shares)), f"in {sum(shares)} of {len(shares)} networks")


def one_attractor(summary: Summary) -> str:
    """For both classes."""
    ends, counts = summary["ends"]["each"], summary["ends"]["counts"]
    told = [end["purity"] for end in ends if end["word"] == "several"]
    words = (
        f"all samples of both classes end in one stable vertex in {counts['one vertex']} of {len(ends)} networks at "
        f"layer {summary['layers']}, and are within 0.05 of it by layer 15 in {counts['one vertex by layer 15']}; they "
        f"end in several equilibria in {counts['several']}"
    )
    return words + (f", which alone tell the class of {spread(told, 2)} of the samples" if told else "")


def one_attractor_verdict(summary: Summary) -> str:
    """Whether one vertex for both classes, within the layers as in the paper, is typical; or in the long run alone."""
    counts, number = summary["ends"]["counts"], len(summary["ends"]["each"])
    late, early = counts["one vertex"], counts["one vertex by layer 15"]
    if early / number > MOST:
        return "confirmed"
    found = f"in {late} of {number} networks at layer {summary['layers']}, in {early} at layer 15"
    return f"qualified: {found}" if late else "not confirmed"


def eigenvalues(summary: Summary) -> str:
    """There, and whether the paper's three agree with its final state."""
    example, reported = summary["example"], summary["reported"]
    rates = [end["largest_rate"] for end in summary["ends"]["each"] if end["largest_rate"] is not None]
    shown = "no equilibrium"
    if example["end"] is not None:
        rates_there = numbers(example["eigenvalues"])
        shown = f"network {example['network']} ends at {numbers(example['end'], 0)} with {rates_there}"
    there = {name: [end["there_already"] for end in rows] for name, rows in _settled(summary).items()}
    stable = "attracts" if all(reported["stable"]) else "does not attract"
    return (
        f"{shown}; by layer 15 residuals are within 0.05 of their end for a share of the samples, networks with one "
        f"equilibrium {spread(there['one'], 2)}, with several {spread(there['several'], 2)}; slowest "
        f"rate at the equilibria that samples reach, over networks {spread(rates, 2)}; with the paper's "
        f"third column (0, 0, 1) {stable}, in network and flow, whatever the other columns are"
    )


def eigenvalues_verdict(summary: Summary) -> str:
    """Signs follow from stability; we read the paper's sizes so that residuals are there by layer 15.

    Judged by networks with one equilibrium, as the paper's; those with several are told apart.
    """
    if not all(summary["reported"]["stable"]):
        return "not confirmed: the paper's vertex does not attract"
    there = {name: [end["there_already"] > MOST for end in rows] for name, rows in _settled(summary).items()}
    one, several = there["one"], there["several"]
    fast = f"{sum(one)} of {len(one)} networks with one equilibrium settle within 15 layers"
    if several:
        fast += f", {sum(several)} of {len(several)} with several"
    if one and np.mean(one) > MOST:
        return "confirmed"
    return f"qualified: {fast}" if any(one) else f"not confirmed: {fast}"


def _settled(summary: Summary) -> dict[str, list[Summary]]:
    """Ends of the networks all of whose samples settle, in one equilibrium or in several."""
    return {word: [end for end in summary["ends"]["each"] if end["word"] == word] for word in ("one", "several")}


def last_states(summary: Summary) -> str:
    """x(15) of the network that is looked at closely."""
    example = summary["example"]
    means, deviations = (np.asarray(example[name]) for name in ("x_last", "x_last_deviation"))
    between, within = np.abs(np.diff(means, axis=0)).max(), deviations.max()
    return (
        f"network {example['network']}: {numbers(means[0])} for r = 0.5 and {numbers(means[1])} for r = 1, at most "
        f"{between:.2f} apart, deviation within a class at most {within:.2f}; read-out {numbers(example['readout'])}"
    )


def tracking(summary: Summary) -> str:
    """Network against flow."""
    found = summary["tracking"]
    good = int((np.asarray(found["explained"]) >= TRACKS).sum())
    return (
        f"share of the variance of mean residuals over 15 layers that the flow explains, median over "
        f"{len(found['explained'])} networks [least, most] {spread(found['explained'], 2)}, at least {TRACKS} in "
        f"{good}; largest gap of a mean residual {spread(found['largest_gap'], 2)}"
    )


def tracking_verdict(summary: Summary) -> str:
    """Whether that is typical."""
    good = np.asarray(summary["tracking"]["explained"]) >= TRACKS
    return typical(float(good.mean()), f"in {int(good.sum())} of {len(good)} networks")


def transients(summary: Summary) -> str:
    """What tells the classes apart: the sum or the last term."""
    found = summary["separation"]
    probes = np.asarray(found["probes"])
    between = found["between_classes"]
    close = int((np.asarray(between["y_last"]) < CLOSE).sum())
    words = ", ".join(
        f"{name} {spread(column, 1, 100)}" for name, column in zip(found["probed"], probes.T, strict=True)
    )
    return (
        f"accuracy of linear probes in %, median over {len(probes)} networks [least, most]: {words} (shuffled labels "
        f"at most {100 * np.max(found['null']):.0f}); means of the classes differ by {spread(between['y_last'], 3)} in "
        f"a residual of layer 15, by less than {CLOSE} in {close} networks, and by {spread(between['x_last'], 2)} in "
        "x(15)"
    )


def transients_verdict(summary: Summary) -> str:
    """How often x(15) separates while the residuals of layer 15, to 0.01, and those of the long run do not.

    Not separated: no better than the best of the shuffled labels.
    """
    found = summary["separation"]
    probes, null = np.asarray(found["probes"]), np.asarray(found["null"])
    separate = probes > null
    at_15 = separate[:, 0] & ~separate[:, 2]
    at_last = separate[:, 0] & ~separate[:, 3]
    n = len(probes)
    if at_15.mean() > MOST:
        return "confirmed"
    if at_15.any() or at_last.any():
        return f"qualified: at layer 15 in {int(at_15.sum())} of {n} networks, in the long run in {int(at_last.sum())}"
    return "not confirmed"


def over_seeds(summary: Summary) -> str:
    """How often one attractor, several, none."""
    ends = summary["ends"]["each"]
    flows = sum(end["stable"] != end["stable_under_the_flow"] for end in ends)
    kinds = [kind for row in summary["ends"]["kinds"] for kind in set(row.split(", ")) - {"fixed point"}]
    others = ", ".join(f"{kind} in {kinds.count(kind)}" for kind in sorted(set(kinds))) or "nothing"
    of_biases = zip(summary["biases"], summary["ends"]["counts_of_biases"], strict=True)
    return (
        "; ".join(
            f"b from {bias:g}: of {summary['seeds']} networks all samples end in one stable equilibrium in "
            f"{counts['one']}, in several in {counts['several']}, a part of them in {counts['some']}, none in "
            f"{counts['none']}"
            for bias, counts in of_biases
        )
        + f"; besides fixed points: {others}; numbers of stable equilibria differ between network and flow in {flows}"
    )


def certificate(summary: Summary) -> str:
    """Lyapunov functions in closed form, and the signs of W."""
    found = summary["structure"]
    forms = "; ".join(f"{name}: {_counted(words)}" for name, words in found["certificates"].items())
    after, before = (np.asarray(found[name]) for name in ("predator_prey", "predator_prey_before"))
    return (
        f"Lyapunov functions in closed form, of all states and (at the end) near the equilibrium that most samples "
        f"reach: {forms}; pairs of predator and prey {after.sum()} of {3 * len(after)} "
        f"(before training {before.sum()}); balanced signs in {found['balanced']} of {len(after)} networks, so that "
        f"the flow preserves an order in {found['monotone_flow']}"
    )


def _counted(words: list[str]) -> str:
    return ", ".join(f"{word} {words.count(word)}" for word in sorted(set(words)))


CLAIMS = (
    Claim(
        "circles-accuracy",
        "Circles, 3 units, 15 shared layers: all test samples right",
        "100 %",
        "circles",
        accuracy,
        accuracy_verdict,
    ),
    Claim(
        "circles-vertex", "Residuals settle in a vertex of the cube", "(0, 0, 1)", "circles", vertices, vertices_verdict
    ),
    Claim(
        "circles-one-attractor",
        "It is the same for both classes",
        "one for both",
        "circles",
        one_attractor,
        one_attractor_verdict,
    ),
    Claim(
        "circles-eigenvalues",
        "Its eigenvalues are negative (how large is our reading: residuals are there by layer 15)",
        "−1.95, −0.87, −0.8",
        "circles",
        eigenvalues,
        eigenvalues_verdict,
    ),
    Claim(
        "circles-last-states",
        "x(15) per class",
        "(1.95, 0.68, 12.02) and (2.03, 0.81, 11.63); classifier (1.29, 5.11, −0.66)",
        "circles",
        last_states,
        lambda summary: "measured",
    ),
    Claim(
        "circles-flow",
        "Mean residuals follow the integrated flow",
        IN_WORDS,
        "circles",
        tracking,
        tracking_verdict,
    ),
    Claim(
        "circles-transients",
        "Classes differ in the sum of the transients alone",
        IN_WORDS,
        "circles",
        transients,
        transients_verdict,
    ),
    Claim(
        "circles-seeds",
        "How often one attractor, several, none",
        BEYOND,
        "circles",
        over_seeds,
        lambda summary: "measured",
    ),
    Claim(
        "circles-structure",
        "Lyapunov functions, cooperation and competition in W",
        BEYOND,
        "circles",
        certificate,
        lambda summary: "measured",
    ),
    *claims_depth.CLAIMS,
)
