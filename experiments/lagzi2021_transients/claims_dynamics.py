"""What lagzi2021 says about the sum of transients and nets without attractors, beside our numbers.

Of separability the abstract alone was at hand: in words. What the paper does not say is called so.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS
from experiments._harness.spreads import between
from experiments.lagzi2021_transients import claims_noise
from experiments.lagzi2021_transients import details_dynamics as details
from experiments.lagzi2021_transients import judging_dynamics as judging
from experiments.lagzi2021_transients.wording import MEDIAN, mean_difference, of_seeds, ranges

Summary = dict[str, Any]


# --- integration -------------------------------------------------------------------------------------


def sums(summary: Summary) -> str:
    """Probes on the last state and on the last residual, net by net."""
    words = []
    for net in summary["nets"]:
        probe, error = net["probe"], judging.standard_error(net["probe"]["x_last"], net["samples"])
        words.append(f"{net['name']} {probe['x_last']:.3f} ± {error:.3f}, {probe['y_last']:.3f}")
    return f"probe on x(T), on y(T): {'; '.join(words)}; one seed each, ± standard error"


def sums_verdict(summary: Summary) -> str:
    """Whether the sum tells more than the last residual."""
    return judging.of_nets(
        {
            net["name"]: judging.larger(net["probe"]["x_last"], net["probe"]["y_last"], net["samples"])
            for net in summary["nets"]
        }
    )


def carriers(summary: Summary) -> str:
    """Which class is read where the residuals are those of another sample, net by net."""
    words = [
        f"{net['name']} {net['accuracy']['donor']:.3f} ± {net['over_shuffles']['donor']:.3f} "
        f"({net['accuracy']['own']:.3f})"
        for net in summary["nets"]
    ]
    return f"read as class of residuals (of input): {', '.join(words)}; one seed, ± over shuffles"


def carriers_verdict(summary: Summary) -> str:
    """Whether the residuals decide, and not the input that the skip path carries along."""
    return judging.of_nets({net["name"]: judging.residuals_decide(net) for net in summary["nets"]})


def ablations(summary: Summary) -> str:
    """What is lost without the layer that matters most, net by net, with its standard error."""
    lost = {net["name"]: 100 * np.asarray(net["lost"]["averaged_one"]) for net in summary["nets"]}
    words = ", ".join(f"{name} {loss:+.1f} ± {error:.1f} %" for name, (loss, error) in lost.items())
    return f"lost without the worst layer: {words}; one seed each, ± standard error"


def ablations_verdict(summary: Summary) -> str:
    """Whether no layer alone is needed: nothing is lost with the mean over samples in its place."""
    return judging.of_nets({net["name"]: judging.is_kept(net["lost"]["averaged_one"]) for net in summary["nets"]})


# --- separability ------------------------------------------------------------------------------------


def resting(summary: Summary) -> str:
    """Shares at rest, group by group."""
    groups = _grouped(judging.trained(summary["nets"]))
    words = [f"{name} {_percents([net['at_rest'] for net in nets])}" for name, nets in groups.items()]
    return f"samples at rest, in %: {', '.join(words)}; {MEDIAN}"


def _grouped(nets: Sequence[Summary]) -> dict[str, list[Summary]]:
    """Those that ship together, the others kind by kind."""
    found: dict[str, list[Summary]] = {}
    for net in nets:
        ours = any(word in net["name"] for word in (judging.FREE, judging.CONSTRAINED))
        found.setdefault(judging.kind_of(net) if ours else "shipped nets", []).append(net)
    return found


def _percents(shares: Sequence[float]) -> str:
    return ranges([100 * share for share in shares], 0)


def resting_verdict(summary: Summary) -> str:
    """How many nets rest."""
    nets = judging.trained(summary["nets"])
    return f"measured: in {len(judging.restless(nets))} of {len(nets)} trained nets most samples are not at rest"


def separable(summary: Summary) -> str:
    """Late probes of nets without rest, beside the most that shuffled labels give."""
    words = [
        f"{name} {_over_nets(nets, 'late', 'probe')} ({max(net['late']['largest_null'] for net in nets):.2f})"
        for name, nets in _grouped(judging.restless(summary["nets"])).items()
    ]
    return f"late probe, nets not at rest (shuffled labels at most): {', '.join(words)}"


def _over_nets(nets: Sequence[Summary], window: str, name: str) -> str:
    return between([net[window][name] for net in nets], 2)


def separable_verdict(summary: Summary) -> str:
    """Whether residuals of nets without rest are separable, beyond their controls."""
    signs = {data: judging.sign(found) for data, found in judging.by_constraint(summary["nets"]).items()}
    return judging.separable(summary["nets"]) + judging.with_constraint(signs)


def in_time(summary: Summary) -> str:
    """Differences to the null with shuffled layers, for nets without rest."""
    groups = _grouped(judging.restless(summary["nets"])).items()
    gains = {name: [judging.beyond_shuffled_layers(net, "trained") for net in nets] for name, nets in groups}
    words = ", ".join(f"{name} {between(each, 2)}" for name, each in gains.items())
    return f"probe less that with layers shuffled, in layers of training: {words}; nets not at rest"


def in_time_verdict(summary: Summary) -> str:
    """Whether more than the level that all layers share is separable, within the layers of training."""
    return judging.of_seeds(
        {
            net["name"]: judging.larger(net["trained"]["probe"], net["trained"]["time_shuffled"], net["samples"])
            for net in judging.restless(summary["nets"])
        }
    )


def alone(summary: Summary) -> str:
    """Samples that move, without the others, and what their course adds."""
    nets = judging.judged(summary["nets"], "moving")
    if not nets:
        return "not run" if not any("groups" in net for net in summary["nets"]) else "no net with enough of them"
    found = {name: [net["groups"]["moving"] for net in of_kind] for name, of_kind in _grouped(nets).items()}
    words = ", ".join(f"{name} {between([one['true'] for one in each], 2)}" for name, each in found.items())
    gain = max(one["true"] - one["time_shuffled"] for each in found.values() for one in each)
    return f"late probe of moving samples: {words}; with layers shuffled at most {gain:.2f} less; {len(nets)} nets"


def alone_verdict(summary: Summary) -> str:
    """Whether samples that move tell their classes by themselves, and by more than their level."""
    return judging.alone(summary["nets"])


def training(summary: Summary) -> str:
    """Trained less untrained in late layers, seed by seed, and the range over kinds in the layers of training."""
    within, late = judging.in_both_windows(summary["nets"]).values()
    words = ", ".join(f"{kind} {mean_difference(differences)}" for kind, differences in late.items())
    means = [float(np.mean(differences)) for differences in within.values()]
    seeds = max(map(len, late.values()), default=0)
    return f"late layers: {words}; layers of training: {min(means):+.2f} to {max(means):+.2f}; {of_seeds(seeds)}"


def training_verdict(summary: Summary) -> str:
    """Whether training makes residuals more separable."""
    windows = judging.in_both_windows(summary["nets"]).items()
    signs = {f"{kind} in {window}": judging.sign(found) for window, kinds in windows for kind, found in kinds.items()}
    return judging.of_kinds(signs)


CLAIMS = (
    Claim(
        "sum-classifies",
        "The classes are told apart by the sum of the transients, better than by the residuals of the last layer",
        IN_WORDS,
        "integration",
        sums,
        sums_verdict,
        details=details.sums,
    ),
    Claim(
        "residuals-decide",
        "The residuals decide, not the input that is carried along: with those of another sample, its class is read",
        BEYOND,
        "integration",
        carriers,
        carriers_verdict,
        details=details.carriers,
    ),
    Claim(
        "no-layer-alone",
        "No layer alone is needed in the sum: with its mean over samples in its place at most 2 % are lost",
        BEYOND,
        "integration",
        ablations,
        ablations_verdict,
        details=details.ablations,
    ),
    Claim(
        "nets-without-rest",
        "Which nets have no attractor within many layers",
        "not stated for single nets",
        "separability",
        resting,
        resting_verdict,
        details=details.resting,
    ),
    Claim(
        "separable-without-attractor",
        "Without an attractor the internal dynamics are separable per class",
        IN_WORDS,
        "separability",
        separable,
        separable_verdict,
        details=details.separable,
    ),
    Claim(
        "separable-in-time",
        "It is the course over layers that is separable, not only the level that all layers share",
        BEYOND,
        "separability",
        in_time,
        in_time_verdict,
        details=details.in_time,
    ),
    Claim(
        "separable-samples",
        "In late layers samples that keep moving are separable per class without those at rest, in their course too",
        BEYOND,
        "separability",
        alone,
        alone_verdict,
        details=details.alone,
    ),
    Claim(
        "separable-through-training",
        "Training makes the residuals of the layers separable",
        BEYOND,
        "separability",
        training,
        training_verdict,
        details=details.training,
    ),
    *claims_noise.CLAIMS,
)
