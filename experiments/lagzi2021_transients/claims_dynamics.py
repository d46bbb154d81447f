"""What lagzi2021 says about the sum of transients and nets without attractors, beside our numbers.

Of separability the abstract alone was at hand: in words. What the paper does not say is called so.
"""

from typing import Any

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS
from experiments.lagzi2021_transients import claims_noise
from experiments.lagzi2021_transients import judging_dynamics as judging
from experiments.lagzi2021_transients.judging_dynamics import over_seeds, ranges

Summary = dict[str, Any]


# --- integration -------------------------------------------------------------------------------------


def sums(summary: Summary) -> str:
    """Probes on the last state and on the last residual, net by net."""
    words = []
    for net in summary["nets"]:
        probe, error = net["probe"], judging.standard_error(net["probe"]["x_last"], net["samples"])
        words.append(
            f"{_counted(net)} {probe['x_last']:.3f} ± {error:.3f}, {probe['y_last']:.3f}, {probe['y_best']:.3f} "
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
    words = []
    for net in summary["nets"]:
        accuracy, spread = net["accuracy"], net["over_shuffles"]
        loss, error = net["lost"]["without_input"]
        words.append(
            f"{_counted(net)} {accuracy['whole']:.3f}, without x(0) {accuracy['without_input']:.3f} (lost {loss:+.3f} "
            f"± {error:.3f}); all residuals of one other sample: its class {accuracy['donor']:.3f} ± "
            f"{spread['donor']:.3f}, that of x(0) {accuracy['own']:.3f} ± {spread['own']:.3f}, where both are one "
            f"class {accuracy['same_class']:.3f}; each layer from a sample of its own {accuracy['mixed']:.3f}, of the "
            f"class {accuracy['mixed_class']:.3f}; all residuals averaged {accuracy['averaged_all']:.3f}, most "
            f"frequent class {net['chance']:.3f}"
        )
    return "accuracy of the net's own read-out, one seed each: " + "; ".join(words)


def _counted(net: Summary) -> str:
    return f"{net['name']} ({net['samples']} samples)"


def carriers_verdict(summary: Summary) -> str:
    """Whether the residuals decide, and not the input that the skip path carries along."""
    return judging.of_nets({net["name"]: judging.residuals_decide(net) for net in summary["nets"]})


def ablations(summary: Summary) -> str:
    """What is lost without one layer, and without halves."""
    words = []
    for net in summary["nets"]:
        accuracy, (loss, error) = net["accuracy"], net["lost"]["averaged_one"]
        words.append(
            f"{_counted(net)} {accuracy['whole']:.3f}; the worst layer averaged {accuracy['averaged_one_least']:.3f} "
            f"(lost {loss:+.3f} ± {error:.3f}), left out of the sum {accuracy['without_one_least']:.3f}, of another "
            f"sample {accuracy['one_layer_least']:.3f}, skipped in the run {accuracy['skipped_least']:.3f}; first half "
            f"averaged {accuracy['averaged_first_half']:.3f}, second half {accuracy['averaged_second_half']:.3f}; "
            f"another order changes x(T) by {net['order']:.0e} of it"
        )
    return "accuracy of the net's own read-out, one seed each: " + "; ".join(words)


def ablations_verdict(summary: Summary) -> str:
    """Whether no layer alone is needed: nothing is lost with the mean over samples in its place."""
    return judging.of_nets({net["name"]: judging.is_kept(net["lost"]["averaged_one"]) for net in summary["nets"]})


# --- separability ------------------------------------------------------------------------------------


def resting(summary: Summary) -> str:
    """Shares at rest, kind by kind."""
    words = []
    for kind, nets in judging.by_kind(summary["nets"], trained=True).items():
        share, units, accuracy = (
            ranges([net[name] for net in nets]) for name in ("at_rest", "moving_units", "accuracy")
        )
        words.append(
            f"{kind} {share} of {_samples(nets)} samples, {units} units per sample still move (accuracy {accuracy})"
        )
    return f"at rest in layers {summary['layers'] // 2}–{summary['layers']}: " + "; ".join(words)


def resting_verdict(summary: Summary) -> str:
    """How many nets rest."""
    nets = judging.trained(summary["nets"])
    few = sum(judging.is_restless(net) for net in nets)
    return f"measured: in {few} of {len(nets)} trained nets most samples are not at rest"


def _samples(nets: Any) -> str:
    return ", ".join(str(n) for n in sorted({net["samples"] for net in nets}))


def separable(summary: Summary) -> str:
    """Probes on y of nets without rest, beside their controls, and of those at rest."""
    nets = summary["nets"]
    words = []
    for name, restless in (("not at rest", True), ("at rest", False)):
        chosen = [net for net in judging.trained(nets) if judging.is_restless(net) == restless]
        for kind, those in judging.by_kind(chosen, trained=True).items():
            twins = [twin for net in those if (twin := judging.untrained_twin(net, nets)) is not None]
            parts = [_separable(window, those, twins) for window in ("trained", "late")]
            given = f"x(0) {ranges([net['input'] for net in those])}"
            words.append(f"{name}, {kind}, {judging.number(those)}: {given}, {', '.join(parts)}")
    return (
        f"probe on y(t), {_samples(nets)} samples per net, mean over the layers of training and over late ones, median "
        "over nets [least, most]: " + "; ".join(words)
    )


def _separable(window: str, nets: list[Summary], twins: list[Summary]) -> str:
    untrained = f", untrained {ranges([net[window]['probe'] for net in twins])}" if twins else ""
    null = max(net[window]["largest_null"] for net in nets)
    probe = ranges([net[window]["probe"] for net in nets])
    return f"{window} {probe} (shuffled labels at most {null:.2f}{untrained})"


def separable_verdict(summary: Summary) -> str:
    """Whether residuals of nets without rest are separable, beyond their controls."""
    return judging.separable(summary["nets"])


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


def _through_training(summary: Summary) -> dict[str, list[float]]:
    """Differences by kind and window, named in words."""
    windows = {"trained": "layers of training", "late": "late layers"}
    return {
        f"{kind}, {words}": differences
        for window, words in windows.items()
        for kind, differences in judging.through_training(summary["nets"], window).items()
    }


def training(summary: Summary) -> str:
    """Trained less untrained, seed by seed, in the layers of training and in late ones."""
    return "probe on y(t), trained less untrained, mean and 95 % interval over seeds: " + "; ".join(
        f"{name} {over_seeds(differences)}" for name, differences in _through_training(summary).items()
    )


def training_verdict(summary: Summary) -> str:
    """Whether training makes residuals more separable."""
    return judging.of_kinds({name: judging.sign(found) for name, found in _through_training(summary).items()})


CLAIMS = (
    Claim(
        "sum-classifies",
        "The classes are told apart by the sum of the transients, better than by the residuals of the last layer",
        IN_WORDS,
        "integration",
        sums,
        sums_verdict,
    ),
    Claim(
        "residuals-decide",
        "The residuals decide, not the input that is carried along: with those of another sample, its class is read",
        BEYOND,
        "integration",
        carriers,
        carriers_verdict,
    ),
    Claim(
        "no-layer-alone",
        "No layer alone is needed in the sum: with its mean over samples in its place at most 2 % are lost",
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
        IN_WORDS,
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
