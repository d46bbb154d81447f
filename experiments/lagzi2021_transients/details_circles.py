"""All numbers on circles and the depth rule in words: what stands below the table of claims."""

from typing import Any

import numpy as np

from experiments._harness.spreads import spread
from experiments.lagzi2021_transients.circles_judging import (
    ALL,
    PAPER,
    PERFECT,
    TRACKS,
    at,
    layers_and_accuracy,
    on_circles,
    settled,
)
from experiments.lagzi2021_transients.wording import median_over, numbers

Summary = dict[str, Any]

CLOSE = 0.01
"""Residuals that the paper's depth rule calls equal."""


def accuracy(summary: Summary) -> str:
    """Over seeds."""
    test = np.asarray(summary["accuracy"]["test"])
    return (
        f"Test accuracy in %, {median_over(len(test))}, {spread(test, 1, 100)}; no error in "
        f"{int((test >= PERFECT).sum())} of them; the network of the smallest training loss "
        f"{100 * summary['accuracy']['of_smallest_loss']:.1f}."
    )


def vertices(summary: Summary) -> str:
    """Which share of the samples ends in stable vertices."""
    ends = summary["ends"]["each"]
    shares = [end["vertices"] for end in ends]
    neutral, passing = ([end[name] for end in ends] for name in ("neutral", "passing"))
    return (
        f"Share of samples whose residuals end in a stable vertex of the cube, {median_over(len(ends))}, "
        f"{spread(shares, 2)}; all of them in {sum(share >= ALL for share in shares)} networks. On their way to the "
        f"neutral origin {spread(neutral, 2)}, passing by a saddle at layer {summary['layers']} {spread(passing, 2)}."
    )


def one_attractor(summary: Summary) -> str:
    """For both classes."""
    ends, counts = summary["ends"]["each"], summary["ends"]["counts"]
    told = [end["purity"] for end in ends if end["word"] == "several"]
    words = (
        f"All samples of both classes end in one stable vertex in {counts['one vertex']} of {len(ends)} networks at "
        f"layer {summary['layers']}, and are within 0.05 of it by layer 15 in {counts['one vertex by layer 15']}. They "
        f"end in several equilibria in {counts['several']}"
    )
    return words + (f", which alone tell the class of {spread(told, 2)} of the samples." if told else ".")


def eigenvalues(summary: Summary) -> str:
    """There, and whether the paper's three agree with its final state."""
    example, reported = summary["example"], summary["reported"]
    rates = [end["largest_rate"] for end in summary["ends"]["each"] if end["largest_rate"] is not None]
    shown = f"Network {example['network']} ends at no equilibrium"
    if example["end"] is not None:
        rates_there = numbers(example["eigenvalues"])
        shown = f"Network {example['network']} ends at {numbers(example['end'], 0)} with {rates_there}"
    there = {name: [end["there_already"] for end in rows] for name, rows in settled(summary).items()}
    stable = "attracts" if all(reported["stable"]) else "does not attract"
    return (
        f"{shown}. Share of samples whose residuals are within 0.05 of their end by layer 15, median [least, most]: in "
        f"networks with one equilibrium {spread(there['one'], 2)}, with several {spread(there['several'], 2)}. Slowest "
        f"rate at the equilibria that samples reach, over networks, {spread(rates, 2)}. With the paper's third column "
        f"the vertex (0, 0, 1) {stable}, in network and flow, whatever the other columns are."
    )


def last_states(summary: Summary) -> str:
    """x(15) of the network that is looked at closely."""
    example = summary["example"]
    means, deviations = (np.asarray(example[name]) for name in ("x_last", "x_last_deviation"))
    between, within = np.abs(np.diff(means, axis=0)).max(), deviations.max()
    return (
        f"Network {example['network']}: {numbers(means[0])} for r = 0.5 and {numbers(means[1])} for r = 1, at most "
        f"{between:.2f} apart, deviation within a class at most {within:.2f}. Read-out {numbers(example['readout'])}."
    )


def tracking(summary: Summary) -> str:
    """Network against flow."""
    found = summary["tracking"]
    good = int((np.asarray(found["explained"]) >= TRACKS).sum())
    return (
        f"Share of the variance of mean residuals over 15 layers that the flow explains, "
        f"{median_over(len(found['explained']))}, {spread(found['explained'], 2)}; at least {TRACKS} in {good}. "
        f"Largest gap of a mean residual {spread(found['largest_gap'], 2)}."
    )


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
        f"Accuracy of linear probes in %, {median_over(len(probes))}: {words} (resolution {CLOSE}; shuffled "
        f"labels at most {100 * np.max(found['null']):.0f}). Means of the classes differ by "
        f"{spread(between['y_last'], 3)} in a residual of layer 15, by less than {CLOSE} in {close} networks, "
        f"and by {spread(between['x_last'], 2)} in x(15)."
    )


def over_seeds(summary: Summary) -> str:
    """How often one attractor, several, none."""
    ends = summary["ends"]["each"]
    flows = sum(end["stable"] != end["stable_under_the_flow"] for end in ends)
    kinds = [kind for row in summary["ends"]["kinds"] for kind in set(row.split(", ")) - {"fixed point"}]
    others = ", ".join(f"{kind} in {kinds.count(kind)}" for kind in sorted(set(kinds))) or "nothing"
    of_biases = zip(summary["biases"], summary["ends"]["counts_of_biases"], strict=True)
    words = [
        f"b from {bias:g}: of {summary['seeds']} networks all samples end in one stable equilibrium in "
        f"{counts['one']}, in several in {counts['several']}, a part of them in {counts['some']}, none in "
        f"{counts['none']}."
        for bias, counts in of_biases
    ]
    words.append(
        f"Besides fixed points: {others}. Numbers of stable equilibria differ between network and flow in {flows}."
    )
    return " ".join(words)


def certificate(summary: Summary) -> str:
    """Lyapunov functions in closed form, and the signs of W."""
    found = summary["structure"]
    forms = "; ".join(f"{name}: {_counted(words)}" for name, words in found["certificates"].items())
    after, before = (np.asarray(found[name]) for name in ("predator_prey", "predator_prey_before"))
    return (
        "Lyapunov functions in closed form, for all states and (at the end) near the equilibrium that most samples "
        f"reach, and in how many networks. Of the {forms}. Pairs of predator and prey {after.sum()} of "
        f"{3 * len(after)} (before training {before.sum()}). Balanced signs in {found['balanced']} of {len(after)} "
        f"networks, so that the flow preserves an order in {found['monotone_flow']}."
    )


def _counted(words: list[str]) -> str:
    return ", ".join(f"{word} {words.count(word)}" for word in sorted(set(words)))


def shared_depth(summary: Summary) -> str:
    """The rule against its controls."""
    late = layers_and_accuracy(on_circles(summary, "late", PAPER))
    return f"{_with_and_without(summary, 'shared')} In the second half of the training alone: {late}."


def layerwise_depth(summary: Summary) -> str:
    """A matrix of its own for each layer, with the rule, without it, and with few layers from the start."""
    return _with_and_without(summary, "layerwise")


def _with_and_without(summary: Summary, kind: str) -> str:
    with_rule, without = (on_circles(summary, kind, threshold) for threshold in (PAPER, 0.0))
    fixed = summary["fixed"][kind]
    rows = zip(fixed["depths"], fixed["accuracy"], strict=True)
    each = "; ".join(f"{depth} {spread(row, 1, 100)}" for depth, row in rows) or "not run"
    return (
        f"Threshold {PAPER:g}, {median_over(len(without['layers']), 'seeds')}: {layers_and_accuracy(with_rule)}; "
        f"without the rule {layers_and_accuracy(without)}. So many layers from the start, accuracy in %: {each}."
    )


def image_depth(summary: Summary) -> str:
    """Depth and accuracy against threshold."""
    found = summary["images"]
    rows = "; ".join(f"{threshold:g}: {layers_and_accuracy(at(found, threshold))}" for threshold in found["thresholds"])
    return (
        f"{found['name']}, {found['units']} units, {found['inputs']} inputs, {found['training_images']} training "
        f"images, {found['epochs']} epochs, {median_over(len(found['layers'][0]), 'seeds')}. Threshold {rows}."
    )
