"""What lagzi2021 says about concentric circles and about the depth rule, and what our numbers say about it."""

from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import NOT_RUN

Summary = dict[str, Any]

ALL = 0.99
"""Of the samples: of 1000 points ten may lie on the border of two basins."""
PERFECT = 0.9995
"""What "100 %" with no decimals more than a thousand test samples resolve may stand for: no error among them."""
MOST = 0.5
"""What the paper found in one network is typical if more than half of the networks show it."""
TRACKS = 0.9
"""Of the variance of the mean residuals over layers: a tenth is left for the error of steps of 1."""
CLOSE = 0.01
"""Residuals that the paper's depth rule calls equal."""
LOSS_OF_ACCURACY = 0.005
"""Half a point: with 1000 test samples at 99 % the deviation of an accuracy is 0.3 points."""


def _spread(values: Any, digits: int = 3, scale: float = 1.0) -> str:
    """The median and the smallest and largest."""
    known = np.asarray(values, dtype=float).ravel() * scale
    known = known[np.isfinite(known)]
    if not len(known):
        return "not known"
    return f"{np.median(known):.{digits}f} [{known.min():.{digits}f}, {known.max():.{digits}f}]"


def typical(share: float, why: str) -> str:
    """A judgement from the share of networks that show what the paper's does."""
    if share > MOST:
        return "confirmed"
    return f"qualified: {why}" if share > 0 else "not confirmed"


def _numbers(values: Any, digits: int = 2) -> str:
    return "(" + ", ".join(f"{value:.{digits}f}" for value in values) + ")"


# --- circles -----------------------------------------------------------------------------------------


def accuracy(summary: Summary) -> str:
    """Over seeds."""
    test = np.asarray(summary["accuracy"]["test"])
    return (
        f"test accuracy in %, median over {len(test)} seeds [least, most] {_spread(test, 1, 100)}; no error in "
        f"{int((test >= PERFECT).sum())} of them; the network of the smallest training loss "
        f"{100 * summary['accuracy']['of_smallest_loss']:.1f}"
    )


def accuracy_verdict(summary: Summary) -> str:
    """Whether no error is typical."""
    test = np.asarray(summary["accuracy"]["test"])
    best = summary["accuracy"]["of_smallest_loss"]
    return typical(float((test >= PERFECT).mean()), "by some seeds only") if best < PERFECT else "confirmed"


def vertices(summary: Summary) -> str:
    """Which share of the samples ends in stable vertices."""
    ends = summary["ends"]["each"]
    shares = [end["vertices"] for end in ends]
    neutral, passing = ([end[name] for end in ends] for name in ("neutral", "passing"))
    return (
        f"share of samples whose residuals end in a stable vertex of the cube, median over {len(ends)} seeds [least, "
        f"most] {_spread(shares, 2)}; all in {sum(share >= ALL for share in shares)}; on their way to the neutral "
        f"origin {_spread(neutral, 2)}, passing by a saddle at layer {summary['layers']} {_spread(passing, 2)}"
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
        f"all samples of both classes end in one stable vertex in {_like(summary)} of {len(ends)} networks, in several "
        f"equilibria in {counts['several']}"
    )
    return words + (f", which alone tell the class of {_spread(told, 2)} of the samples" if told else "")


def _like(summary: Summary) -> int:
    return sum(end["word"] == "one" and end["vertices"] >= ALL for end in summary["ends"]["each"])


def one_attractor_verdict(summary: Summary) -> str:
    """Whether one vertex for both classes is typical."""
    number = len(summary["ends"]["each"])
    return typical(_like(summary) / number, f"in {_like(summary)} of {number} networks")


def eigenvalues(summary: Summary) -> str:
    """There, and whether the paper's three agree with its final state."""
    example, reported = summary["example"], summary["reported"]
    rates = [end["largest_rate"] for end in summary["ends"]["each"] if end["largest_rate"] is not None]
    shown = "no equilibrium"
    if example["end"] is not None:
        shown = (
            f"seed {example['seed']} ends at {_numbers(example['end'], 0)} with {_numbers(example['eigenvalues'])}, "
            f"and at layer 15 is {example['distance']:.2f} from there"
        )
    stable = "attracts" if all(reported["stable"]) else "does not attract"
    return (
        f"{shown}; slowest rate at the equilibria that samples reach, over networks {_spread(rates, 2)}; with the "
        f"paper's third column (0, 0, 1) {stable}, in network and flow, whatever the other columns are"
    )


def eigenvalues_verdict(summary: Summary) -> str:
    """A network like the paper's has three negative eigenvalues; their sizes are those of its own weights."""
    example = summary["example"]
    if not example["like_the_paper"]:
        return "not confirmed: no network ends like the paper's"
    signs = max(example["eigenvalues"]) < 0 and all(summary["reported"]["stable"])
    return "confirmed: the signs; sizes depend on the training" if signs else "not confirmed"


def last_states(summary: Summary) -> str:
    """x(15) of the network that is looked at closely."""
    example = summary["example"]
    means, deviations = (np.asarray(example[name]) for name in ("x_last", "x_last_deviation"))
    between, within = np.abs(np.diff(means, axis=0)).max(), deviations.max()
    return (
        f"seed {example['seed']}: {_numbers(means[0])} for r = 0.5 and {_numbers(means[1])} for r = 1, at most "
        f"{between:.2f} apart, deviation within a class at most {within:.2f}; read-out {_numbers(example['readout'])}"
    )


def tracking(summary: Summary) -> str:
    """Network against flow."""
    found = summary["tracking"]
    good = int((np.asarray(found["explained"]) >= TRACKS).sum())
    return (
        f"share of the variance of mean residuals over 15 layers that the flow explains, median over "
        f"{len(found['explained'])} seeds [least, most] {_spread(found['explained'], 2)}, at least {TRACKS} in {good}; "
        f"largest gap of a mean residual {_spread(found['largest_gap'], 2)}"
    )


def tracking_verdict(summary: Summary) -> str:
    """Confirmed: for three networks of four; qualified: for some."""
    share = float((np.asarray(summary["tracking"]["explained"]) >= TRACKS).mean())
    if share >= 0.75:
        return "confirmed"
    return f"qualified: in {share:.0%} of the networks" if share > 0 else "not confirmed"


def transients(summary: Summary) -> str:
    """What tells the classes apart: the sum or the last term."""
    found = summary["separation"]
    probes = np.asarray(found["probes"])
    between = found["between_classes"]
    close = int((np.asarray(between["y_last"]) < CLOSE).sum())
    words = ", ".join(
        f"{name} {_spread(column, 1, 100)}" for name, column in zip(found["probed"], probes.T, strict=True)
    )
    return (
        f"accuracy of linear probes in %, median over {len(probes)} seeds [least, most]: {words} (shuffled labels at "
        f"most {100 * np.max(found['null']):.0f}); means of the classes differ by {_spread(between['y_last'], 3)} in a "
        f"residual of layer 15, by less than {CLOSE} in {close} networks, and by {_spread(between['x_last'], 2)} in "
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
    counts, ends = summary["ends"]["counts"], summary["ends"]["each"]
    flows = sum(end["stable"] != end["stable_under_the_flow"] for end in ends)
    kinds = sorted({kind for row in summary["ends"]["kinds"] for kind in row.split(", ") if kind != "fixed point"})
    words = f"besides fixed points: {', '.join(kinds)}" if kinds else "nothing but fixed points"
    return (
        f"of {summary['seeds']} networks all samples end in one stable equilibrium in {counts['one']}, in several in "
        f"{counts['several']}, a part of them in {counts['some']}, none in {counts['none']}; {words}; numbers of "
        f"stable equilibria differ between network and flow in {flows}"
    )


def certificate(summary: Summary) -> str:
    """Lyapunov functions in closed form, and the signs of W."""
    found = summary["structure"]
    forms = {name: _counted(found["certificates"][name]) for name in ("flow", "map")}
    after, before = (np.asarray(found[name]) for name in ("predator_prey", "predator_prey_before"))
    return (
        f"Lyapunov function in closed form: flow {forms['flow']}, network {forms['map']}; pairs of predator and prey "
        f"{after.sum()} of {3 * len(after)} (before training {before.sum()}); balanced signs in {found['balanced']} of "
        f"{len(after)} networks, so that the flow preserves an order in {found['monotone_flow']}"
    )


def _counted(words: list[str]) -> str:
    return ", ".join(f"{word} {words.count(word)}" for word in sorted(set(words), key=words.index))


# --- depth -------------------------------------------------------------------------------------------


def _at(found: Summary, threshold: float) -> dict[str, np.ndarray]:
    """One row, of the paper's threshold."""
    row = int(np.argmin(np.abs(np.asarray(found["thresholds"], dtype=float) - threshold)))
    return {name: np.asarray(found[name])[row] for name in ("layers", "accuracy")}


def _circles(summary: Summary, kind: str, threshold: float) -> dict[str, np.ndarray]:
    found = summary["circles"]
    return _at({"thresholds": found["thresholds"], **found[kind]}, threshold)


def _row(row: dict[str, np.ndarray]) -> str:
    return f"{_spread(row['layers'], 0)} layers at {_spread(row['accuracy'], 1, 100)} %"


def shared_depth(summary: Summary) -> str:
    """The rule against its controls."""
    fixed = summary["fixed"]
    short = "; ".join(
        f"{depth} {_spread(row, 1, 100)}" for depth, row in zip(fixed["depths"], fixed["accuracy"], strict=True)
    )
    seeds = len(summary["circles"]["shared"]["layers"][0])
    return (
        f"threshold 0.01, median over {seeds} seeds [least, most]: {_row(_circles(summary, 'shared', 0.01))}; the rule "
        f"in the second half of the training alone: {_row(_circles(summary, 'late', 0.01))}; without it: "
        f"{_row(_circles(summary, 'shared', 0.0))}; so many layers from the start, accuracy in %: {short}"
    )


def shared_depth_verdict(summary: Summary) -> str:
    """Fewer layers than 15 at the accuracy of 15, in how many networks, for the rule as the paper states it."""
    return (
        _shorter(summary, "shared")
        or _shorter(summary, "late", "if the rule waits for half of the training")
        or ("not confirmed")
    )


def _shorter(summary: Summary, kind: str, why: str = "") -> str | None:
    """In more than half of the networks: a word of judgement; None otherwise."""
    with_rule, without = _circles(summary, kind, 0.01), _circles(summary, kind, 0.0)
    good = (with_rule["layers"] < summary["start"]) & (with_rule["accuracy"] >= without["accuracy"] - LOSS_OF_ACCURACY)
    if good.mean() <= MOST:
        return None
    return f"qualified: {why}" if why else "confirmed"


def layerwise_depth(summary: Summary) -> str:
    """A matrix of its own for each layer."""
    return (
        f"threshold 0.01: {_row(_circles(summary, 'layerwise', 0.01))}; without the rule: "
        f"{_row(_circles(summary, 'layerwise', 0.0))}"
    )


def layerwise_depth_verdict(summary: Summary) -> str:
    """All layers are kept in more than half of the networks."""
    kept = _circles(summary, "layerwise", 0.01)["layers"] == summary["start"]
    return typical(float(kept.mean()), f"in {int(kept.sum())} of {len(kept)} networks")


def image_depth(summary: Summary) -> str:
    """Depth and accuracy against threshold."""
    found = summary["images"]
    rows = "; ".join(f"{threshold:g}: {_row(_at(found, threshold))}" for threshold in found["thresholds"])
    return (
        f"{found['name']}, {found['units']} units, {found['inputs']} inputs, {found['training_images']} training "
        f"images, {found['epochs']} epochs, median over {len(found['layers'][0])} seeds [least, most]; threshold {rows}"
    )


def image_depth_verdict(summary: Summary) -> str:
    """What the threshold of the paper costs, where it drops layers."""
    found = summary["images"]
    if 0.01 not in found["thresholds"]:
        return NOT_RUN
    with_rule, without = _at(found, 0.01), _at(found, 0.0)
    lost = without["accuracy"] - with_rule["accuracy"]
    fewer = summary["start"] - np.median(with_rule["layers"])
    return f"measured: {fewer:.0f} layers fewer, {100 * np.median(lost):+.1f} points lost"


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
        "Its eigenvalues are negative",
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
        "in words only",
        "circles",
        tracking,
        tracking_verdict,
    ),
    Claim(
        "circles-transients",
        "Classes differ in the sum of the transients alone",
        "in words only",
        "circles",
        transients,
        transients_verdict,
    ),
    Claim(
        "circles-seeds",
        "How often one attractor, several, none",
        "beyond the paper",
        "circles",
        over_seeds,
        lambda summary: "measured",
    ),
    Claim(
        "circles-structure",
        "Lyapunov functions, cooperation and competition in W",
        "beyond the paper",
        "circles",
        certificate,
        lambda summary: "measured",
    ),
    Claim(
        "depth-shared",
        "Depth rule on circles, shared weights: fewer layers, same accuracy",
        "15 → 5 at 100 %",
        "depth",
        shared_depth,
        shared_depth_verdict,
    ),
    Claim(
        "depth-layerwise",
        "Depth rule on circles, variable weights: all layers are kept",
        "15",
        "depth",
        layerwise_depth,
        layerwise_depth_verdict,
    ),
    Claim(
        "depth-images",
        "Depth rule on images: depth and accuracy against the threshold",
        "beyond the paper",
        "depth",
        image_depth,
        image_depth_verdict,
    ),
)
