"""What lagzi2021 says about the net of fifteen matrices on MNIST, and what our numbers say about it.

All numbers are of one trained seed.
"""

from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import IN_WORDS
from experiments._harness.spreads import between
from experiments.lagzi2021_transients import details_mnist as details
from experiments.lagzi2021_transients.mnist_judging import NO_SPREAD, beside_shared, beside_shared_verdict

Summary = dict[str, Any]

ONE_MATRIX = 0.1
"""Two matrices are one if they differ by a tenth of their norm."""
ALIKE = 0.9
"""A cosine from which on two learned parts share four fifths of their squares."""


def spread_over_layers(summary: Summary) -> str:
    """At the first layer, where it is largest, and at the last."""
    trained, untrained = (np.asarray(summary["spread"][kind]) for kind in ("trained", "untrained"))
    layers = (0, int(trained.argmax()), len(trained) - 1)
    each = ", ".join(f"{trained[k]:.3f} at layer {k + 1}" for k in dict.fromkeys(layers))
    within = summary["spread_within_classes"]["trained"][-1]
    return (
        f"standard deviation over samples {each}, within classes {within:.3f} there (untrained at most "
        f"{untrained.max():.3f}); one seed"
    )


def spread_over_layers_verdict(summary: Summary) -> str:
    """Zero after layer 4, or at the last layer alone."""
    trained = summary["spread"]["trained"]
    if max(trained[4:]) <= NO_SPREAD:
        # before training all samples do nearly the same: that is no attractor that was learned
        null = summary["spread"]["untrained"]
        return "confirmed" if max(null[4:]) > NO_SPREAD else "qualified: before training, too"
    if trained[-1] <= NO_SPREAD:
        return "qualified: at the last layer"
    return f"not confirmed: {trained[-1]:.2f} at the last layer"


def matrices(summary: Summary) -> str:
    """Distance of the last pair, cosine of what it learned, and the range of all pairs."""
    rows = summary["matrices"]
    distances, cosines = rows["trained"]["distances"], rows["learned"]["cosines"]
    return (
        f"the last two differ by {distances[-1]:.2f} of their norm (untrained "
        f"{rows['untrained']['distances'][-1]:.2f}), all pairs {between(distances, 2)}; cosine of their learned parts "
        f"{cosines[-1]:.2f}, all pairs {between(cosines, 2)}; one seed"
    )


def matrices_verdict(summary: Summary) -> str:
    """One matrix; or learned parts that are alike, on top of first weights that stay and differ."""
    trained = summary["matrices"]["trained"]["distances"]
    if trained[-1] <= ONE_MATRIX:
        return "confirmed"
    learned = summary["matrices"]["learned"]["cosines"]
    if learned[-1] >= ALIKE:
        closer = learned[-1] > max(learned[: len(learned) // 2])
        return f"qualified: the learned parts {'come to be' if closer else 'are'} alike, the matrices are not"
    return "not confirmed"


def saturation(summary: Summary) -> str:
    """At the last layer and over layers, against shared weights."""
    trained, shared = (np.array(summary["saturated"][kind]["at_1"]) for kind in ("trained", "shared"))
    return (
        f"{100 * trained[-1]:.1f} % of residuals at the last layer, with shared weights {100 * shared[-1]:.1f} %; mean "
        f"over layers {100 * trained.mean():.1f} % and {100 * shared.mean():.1f} %; one net of each kind"
    )


def saturation_verdict(summary: Summary) -> str:
    """More than with shared weights, in the last layer and in the sum over layers, of the two nets compared."""
    trained, shared = (np.array(summary["saturated"][kind]["at_1"]) for kind in ("trained", "shared"))
    more = (bool(trained[-1] > shared[-1]), bool(trained.sum() > shared.sum()))
    if all(more):
        return "confirmed in one net of each kind"
    return "qualified: in some layers" if any(more) else "not confirmed"


CLAIMS = (
    Claim(
        "mnist-variable-error",
        "MNIST, 1064 units, 15 different matrices: test error",
        "1.8 %, higher than with shared weights",
        "mnist_variable",
        beside_shared,
        beside_shared_verdict(0.018),
        presets=("laptop", "paper"),
    ),
    Claim(
        "mnist-variable-spread",
        "With 15 matrices all residuals come to one fixed point: no spread over 200 samples after layer 4",
        "0 after layer 4",
        "mnist_variable",
        spread_over_layers,
        spread_over_layers_verdict,
        details=details.spread_over_layers,
    ),
    Claim(
        "mnist-variable-matrices",
        "The last matrices converge to one matrix",
        IN_WORDS,
        "mnist_variable",
        matrices,
        matrices_verdict,
        details=details.matrices,
    ),
    Claim(
        "mnist-variable-saturation",
        "With 15 matrices more residuals saturate at 1",
        IN_WORDS,
        "mnist_variable",
        saturation,
        saturation_verdict,
        details=details.saturation,
    ),
)
