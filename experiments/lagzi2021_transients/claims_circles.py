"""What lagzi2021 says about concentric circles, and what our numbers say about it."""

from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS
from experiments._harness.spreads import spread
from experiments.lagzi2021_transients import claims_depth
from experiments.lagzi2021_transients import details_circles as details
from experiments.lagzi2021_transients.circles_judging import ALL, MOST, PERFECT, TRACKS, settled, typical
from experiments.lagzi2021_transients.wording import MEDIAN, median_over, numbers

Summary = dict[str, Any]

NO_FUNCTION = ("none", "no end")
"""Words where no Lyapunov function was found, or no equilibrium to look for one."""


def accuracy(summary: Summary) -> str:
    """Over networks, and of the one that the training loss alone would choose."""
    test = np.asarray(summary["accuracy"]["test"])
    return (
        f"no error in {int((test >= PERFECT).sum())} of {len(test)} networks; {spread(test, 1, 100)} %, {MEDIAN}; "
        f"{100 * summary['accuracy']['of_smallest_loss']:.1f} % with the smallest training loss"
    )


def accuracy_verdict(summary: Summary) -> str:
    """No error in most networks; or in some, and whether in the one that the training loss alone would choose."""
    right = np.asarray(summary["accuracy"]["test"]) >= PERFECT
    chosen = summary["accuracy"]["of_smallest_loss"] >= PERFECT
    which = f"{'among them' if chosen else 'but not'} that of the smallest training loss"
    return typical(float(right.mean()), f"in {int(right.sum())} of {len(right)} networks, {which}")


def vertices(summary: Summary) -> str:
    """In how many networks all samples end in stable vertices, and the shares that do."""
    shares = [end["vertices"] for end in summary["ends"]["each"]]
    return (
        f"all samples in {sum(share >= ALL for share in shares)} of {len(shares)} networks; "
        f"{spread(shares, 0, 100)} % of the samples, {MEDIAN}"
    )


def vertices_verdict(summary: Summary) -> str:
    """Whether all samples end in stable vertices, in how many networks."""
    shares = [end["vertices"] >= ALL for end in summary["ends"]["each"]]
    return typical(float(np.mean(shares)), f"in {sum(shares)} of {len(shares)} networks")


def one_attractor(summary: Summary) -> str:
    """In how many networks, in the long run and within the layers."""
    counts, number = summary["ends"]["counts"], len(summary["ends"]["each"])
    return (
        f"one stable vertex for all samples in {counts['one vertex']} of {number} networks at layer "
        f"{summary['layers']}, in {counts['one vertex by layer 15']} by layer 15; several equilibria in "
        f"{counts['several']}"
    )


def one_attractor_verdict(summary: Summary) -> str:
    """Whether one vertex for both classes, within the layers as in the paper, is typical, or there at all."""
    counts, number = summary["ends"]["counts"], len(summary["ends"]["each"])
    late, early = counts["one vertex"], counts["one vertex by layer 15"]
    if early / number > MOST:
        return "confirmed"
    found = f"in {late} of {number} networks at layer {summary['layers']}, in {early} at layer 15"
    return f"qualified: {found}" if early else f"not confirmed: {found}"


def eigenvalues(summary: Summary) -> str:
    """Of one network, and how many samples have arrived by layer 15 in all that settle."""
    example = summary["example"]
    found = "no equilibrium" if example["end"] is None else numbers(example["eigenvalues"])
    there = {name: [end["there_already"] for end in rows] for name, rows in settled(summary).items()}
    one, several = (f"{spread(shares, 0, 100)} % in {len(shares)}" for shares in there.values())
    return (
        f"{found} in network {example['network']}; samples there by layer 15: {one} networks with one equilibrium, "
        f"{several} with several; {MEDIAN}"
    )


def eigenvalues_verdict(summary: Summary) -> str:
    """Signs follow from stability; we read the paper's sizes so that residuals are there by layer 15.

    Judged by networks with one equilibrium, as the paper's; those with several are told apart.
    """
    if not all(summary["reported"]["stable"]):
        return "not confirmed: the paper's vertex does not attract"
    there = {name: [end["there_already"] > MOST for end in rows] for name, rows in settled(summary).items()}
    one, several = there["one"], there["several"]
    fast = f"{sum(one)} of {len(one)} networks with one equilibrium settle within 15 layers"
    if several:
        fast += f", {sum(several)} of {len(several)} with several"
    if one and np.mean(one) > MOST:
        return "confirmed"
    return f"qualified: {fast}" if any(one) else f"not confirmed: {fast}"


def last_states(summary: Summary) -> str:
    """x(15) of the network that is looked at closely."""
    example = summary["example"]
    inner, outer = example["x_last"]
    return (
        f"{numbers(inner)} and {numbers(outer)}, deviation within a class at most "
        f"{np.max(example['x_last_deviation']):.2f}; classifier {numbers(example['readout'])}; network "
        f"{example['network']}"
    )


def tracking(summary: Summary) -> str:
    """Share of variance that the flow explains."""
    explained = np.asarray(summary["tracking"]["explained"])
    return (
        f"at least {TRACKS} of their variance over layers explained in {int((explained >= TRACKS).sum())} of "
        f"{len(explained)} networks; {spread(explained, 2)}, {MEDIAN}"
    )


def tracking_verdict(summary: Summary) -> str:
    """Whether that is typical."""
    good = np.asarray(summary["tracking"]["explained"]) >= TRACKS
    return typical(float(good.mean()), f"in {int(good.sum())} of {len(good)} networks")


def transients(summary: Summary) -> str:
    """Probes on the sum, on the last residual, to 0.01, and on that of the long run."""
    found = summary["separation"]
    state, _, residual, late = (f"{spread(column, 1, 100)} %" for column in np.transpose(found["probes"]))
    return (
        f"probe on x(15) {state}, on y(15) {residual}, on y in the long run {late}; shuffled labels at most "
        f"{100 * np.max(found['null']):.0f} %; {median_over(len(found['probes']))}"
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
    found = f"so at layer 15 in {int(at_15.sum())} of {n} networks, in the long run in {int(at_last.sum())}"
    return f"qualified: {found}" if at_15.any() else f"not confirmed: {found}"


def over_seeds(summary: Summary) -> str:
    """How often one attractor, several, none."""
    counts, number = summary["ends"]["counts"], len(summary["ends"]["each"])
    return (
        f"all samples end in one stable equilibrium in {counts['one']} of {number} networks, in several in "
        f"{counts['several']}, a part of them in {counts['some']}, none in {counts['none']}"
    )


def certificate(summary: Summary) -> str:
    """In how many networks there is a Lyapunov function, and the signs of W."""
    found = summary["structure"]
    has = {name: sum(word not in NO_FUNCTION for word in words) for name, words in found["certificates"].items()}
    after, before = (np.asarray(found[name]) for name in ("predator_prey", "predator_prey_before"))
    return (
        f"Lyapunov function of the map for all states in {has['map']} of {len(after)} networks, near the end in "
        f"{has['map, at the end']}; predator and prey {after.sum()} of {3 * len(after)} pairs (untrained "
        f"{before.sum()})"
    )


CLAIMS = (
    Claim(
        "circles-accuracy",
        "Circles, 3 units, 15 shared layers: all test samples right",
        "100 %",
        "circles",
        accuracy,
        accuracy_verdict,
        details=details.accuracy,
    ),
    Claim(
        "circles-vertex",
        "Residuals settle in a vertex of the cube",
        "(0, 0, 1)",
        "circles",
        vertices,
        vertices_verdict,
        details=details.vertices,
    ),
    Claim(
        "circles-one-attractor",
        "It is the same for both classes",
        "one for both",
        "circles",
        one_attractor,
        one_attractor_verdict,
        details=details.one_attractor,
    ),
    Claim(
        "circles-eigenvalues",
        "Its eigenvalues are negative enough for residuals to be there by layer 15 (how large is our reading)",
        "−1.95, −0.87, −0.8",
        "circles",
        eigenvalues,
        eigenvalues_verdict,
        details=details.eigenvalues,
    ),
    Claim(
        "circles-last-states",
        "x(15) per class",
        "(1.95, 0.68, 12.02) and (2.03, 0.81, 11.63); classifier (1.29, 5.11, −0.66)",
        "circles",
        last_states,
        lambda summary: "measured",
        details=details.last_states,
    ),
    Claim(
        "circles-flow",
        "Mean residuals follow the integrated flow",
        IN_WORDS,
        "circles",
        tracking,
        tracking_verdict,
        details=details.tracking,
    ),
    Claim(
        "circles-transients",
        "Classes differ in the sum of the transients alone",
        IN_WORDS,
        "circles",
        transients,
        transients_verdict,
        details=details.transients,
    ),
    Claim(
        "circles-seeds",
        "How often one attractor, several, none",
        BEYOND,
        "circles",
        over_seeds,
        lambda summary: "measured",
        details=details.over_seeds,
    ),
    Claim(
        "circles-structure",
        "Lyapunov functions, cooperation and competition in W",
        BEYOND,
        "circles",
        certificate,
        lambda summary: "measured",
        details=details.certificate,
    ),
    *claims_depth.CLAIMS,
)
