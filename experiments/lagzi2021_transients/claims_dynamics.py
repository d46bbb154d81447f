"""What lagzi2021 says about the sum of transients and nets without attractors, beside our numbers.

Of separability the abstract alone was at hand: in words. What the paper does not say is called so.
"""

from typing import Any

from experiments._harness import Claim
from experiments.lagzi2021_transients import claims_noise
from experiments.lagzi2021_transients import judging_dynamics as judging
from experiments.lagzi2021_transients.judging_dynamics import over_seeds, ranges

Summary = dict[str, Any]
WORDS = "in words only"
BEYOND = "beyond the paper"


# --- integration -------------------------------------------------------------------------------------


def sums(summary: Summary) -> str:
    """Probes on the last state and on the last residual, net by net."""
    words = []
    for net in summary["nets"]:
        probe, error = net["probe"], judging.standard_error(net["probe"]["x_last"], net["samples"])
        words.append(
            f"{net['name']} {probe['x_last']:.3f} ± {error:.3f}, {probe['y_last']:.3f}, {probe['y_best']:.3f} "
            f"(t = {net['best_layer_of_y']}), {probe['x_first']:.3f}, shuffled labels at most {probe['null']:.3f}; own "
            f"read-out of x(T) {net['accuracy']['whole']:.3f}"
        )
    return "linear probe on x(T), y(T), the best single y(t), x(0), one seed each: " + "; ".join(words)


def sums_verdict(summary: Summary) -> str:
    """Whether the sum tells more than the last residual."""
    return judging.of_nets(
        {
            net["name"]: judging.larger(net["probe"]["x_last"], net["probe"]["y_last"], net["samples"])
            for net in summary["nets"]
        }
    )


def carriers(summary: Summary) -> str:
    """The sum without the input, with residuals of others, and without what residuals know."""
    return "accuracy of the net's own read-out, one seed each: " + "; ".join(
        f"{net['name']} whole {net['accuracy']['whole']:.3f}, without x(0) {net['accuracy']['without_input']:.3f}, "
        f"residuals of other samples {net['accuracy']['between']:.3f} ± {net['over_shuffles']['between']:.3f}, of "
        f"others of the class {net['accuracy']['within_class']:.3f} ± {net['over_shuffles']['within_class']:.3f}, all "
        f"residuals averaged {net['accuracy']['averaged_all']:.3f}, most frequent class {net['chance']:.3f}"
        for net in summary["nets"]
    )


def carriers_verdict(summary: Summary) -> str:
    """Whether the residuals decide, and not the input that the skip path carries along."""
    return judging.of_nets({net["name"]: judging.residuals_decide(net) for net in summary["nets"]})


def ablations(summary: Summary) -> str:
    """What is lost without one layer, and without halves."""
    return "accuracy of the net's own read-out, one seed each: " + "; ".join(
        f"{net['name']} whole {net['accuracy']['whole']:.3f}; the worst layer left out of the sum "
        f"{net['accuracy']['without_one_least']:.3f}, averaged {net['accuracy']['averaged_one_least']:.3f}, of another "
        f"sample {net['accuracy']['one_layer_least']:.3f}, skipped in the run {net['accuracy']['skipped_least']:.3f}; "
        f"first half averaged {net['accuracy']['averaged_first_half']:.3f}, second half "
        f"{net['accuracy']['averaged_second_half']:.3f}; another order changes x(T) by {net['order']:.0e} of it"
        for net in summary["nets"]
    )


def ablations_verdict(summary: Summary) -> str:
    """Whether no layer alone is needed."""
    return judging.of_nets(
        {
            net["name"]: not judging.larger(
                net["accuracy"]["whole"], net["accuracy"]["averaged_one_least"], net["samples"]
            )
            for net in summary["nets"]
        }
    )


# --- separability ------------------------------------------------------------------------------------


def resting(summary: Summary) -> str:
    """Shares at rest, kind by kind."""
    words = []
    for kind, nets in judging.by_kind(summary["nets"], trained=True).items():
        share, units, accuracy = (
            ranges([net[name] for net in nets]) for name in ("at_rest", "moving_units", "accuracy")
        )
        words.append(f"{kind} {share} of the samples, {units} units per sample still move (accuracy {accuracy})")
    return f"at rest in layers {summary['layers'] // 2}–{summary['layers']}: " + "; ".join(words)


def resting_verdict(summary: Summary) -> str:
    """How many nets rest."""
    nets = judging.trained(summary["nets"])
    few = sum(judging.is_restless(net) for net in nets)
    return f"measured: in {few} of {len(nets)} trained nets most samples are not at rest"


def separable(summary: Summary) -> str:
    """Probes on y of nets without rest, beside their nulls, and of those at rest."""
    words = []
    for name, restless in (("not at rest", True), ("at rest", False)):
        nets = [net for net in judging.trained(summary["nets"]) if judging.is_restless(net) == restless]
        for kind, those in judging.by_kind(nets, trained=True).items():
            parts = [
                f"{window} {ranges([net[window]['probe'] for net in those])} (shuffled labels at most "
                f"{max(net[window]['largest_null'] for net in those):.2f})"
                for window in ("trained", "late")
            ]
            words.append(f"{name}, {kind}, {judging.number(those)}: {', '.join(parts)}")
    return "probe on y(t), mean over the layers of training and over late ones: " + "; ".join(words)


def separable_verdict(summary: Summary) -> str:
    """Whether residuals of nets without rest are separable at all layers."""
    return judging.separable([net for net in judging.trained(summary["nets"]) if judging.is_restless(net)])


def in_time(summary: Summary) -> str:
    """Differences to the null with shuffled layers, for nets without rest."""
    nets = [net for net in judging.trained(summary["nets"]) if judging.is_restless(net)]
    words = []
    for kind, those in judging.by_kind(nets, trained=True).items():
        early, late = (ranges([_in_time(net, window) for net in those], 3) for window in ("trained", "late"))
        words.append(f"{kind} {judging.number(those)}: layers of training {early}, late {late}")
    return "probe on y(t) less the same with the layers of each sample shuffled: " + "; ".join(words)


def _in_time(net: Summary, window: str) -> float:
    return float(net[window]["probe"] - net[window]["time_shuffled"])


def in_time_verdict(summary: Summary) -> str:
    """Whether more than the level that all layers share is separable, within the layers of training."""
    nets = [net for net in judging.trained(summary["nets"]) if judging.is_restless(net)]
    return judging.of_nets(
        {
            net["name"]: judging.larger(net["trained"]["probe"], net["trained"]["time_shuffled"], net["samples"])
            for net in nets
        }
    )


def training(summary: Summary) -> str:
    """Trained less untrained, seed by seed."""
    return (
        "probe on y(t) in the layers of training, trained less untrained, mean and 95 % interval over seeds: "
        + "; ".join(
            f"{kind} {over_seeds(differences)}"
            for kind, differences in judging.through_training(summary["nets"]).items()
        )
    )


def training_verdict(summary: Summary) -> str:
    """Whether training makes residuals more separable."""
    return judging.of_kinds({kind: judging.sign(d) for kind, d in judging.through_training(summary["nets"]).items()})


CLAIMS = (
    Claim(
        "sum-classifies",
        "The classes are told apart by the sum of the transients, better than by the residuals of the last layer",
        WORDS,
        "integration",
        sums,
        sums_verdict,
    ),
    Claim(
        "residuals-decide",
        "The residuals of a sample decide, and not the input that is carried along",
        BEYOND,
        "integration",
        carriers,
        carriers_verdict,
    ),
    Claim(
        "no-layer-alone",
        "No layer alone is needed in the sum",
        BEYOND,
        "integration",
        ablations,
        ablations_verdict,
    ),
    Claim(
        "nets-without-rest",
        "Which nets have no attractor within many layers",
        "not stated for single nets",
        "separability",
        resting,
        resting_verdict,
    ),
    Claim(
        "separable-without-attractor",
        "Without an attractor the internal dynamics are separable per class",
        WORDS,
        "separability",
        separable,
        separable_verdict,
    ),
    Claim(
        "separable-in-time",
        "It is the course over layers that is separable, not only the level that all layers share",
        BEYOND,
        "separability",
        in_time,
        in_time_verdict,
    ),
    Claim(
        "separable-through-training",
        "Training makes the residuals of the layers separable",
        BEYOND,
        "separability",
        training,
        training_verdict,
    ),
    *claims_noise.CLAIMS,
)
