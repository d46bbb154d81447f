"""What lagzi2021 says about the sum of transients and nets without attractors, beside our numbers.

Of separability the abstract alone was at hand: in words. What the paper does not say is called so.
"""

from typing import Any

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS
from experiments._harness.spreads import between
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
    groups = []
    for name, restless in (("not at rest", True), ("at rest", False)):
        words = []
        chosen = [net for net in judging.trained(nets) if judging.is_restless(net) == restless]
        for kind, those in judging.by_kind(chosen, trained=True).items():
            twins = [twin for net in those if (twin := judging.untrained_twin(net, nets)) is not None]
            parts = [_separable(window, those, twins) for window in ("trained", "late")]
            words.append(f"{_kind(kind, those)} {ranges([net['input'] for net in those])}, {', '.join(parts)}")
        groups += [f"{name}: {'; '.join(words)}"] * bool(words)
    constrained = [f"{data} {over_seeds(found)}" for data, found in judging.by_constraint(nets).items()]
    less = f". Late, antisymmetric less free, over seeds: {', '.join(constrained)}" if constrained else ""
    return (
        f"probe on x(0) and on y(t) in layers of training and late ones, {_samples(nets)} samples, median over nets "
        f"[least, most] (shuffled labels at most; untrained). {'. '.join(groups)}{less}"
    )


def _kind(kind: str, nets: list[Summary]) -> str:
    return kind if len(nets) == 1 else f"{kind} ({len(nets)} nets)"


def _separable(window: str, nets: list[Summary], twins: list[Summary]) -> str:
    untrained = f"; {ranges([net[window]['probe'] for net in twins])}" if twins else ""
    null = max(net[window]["largest_null"] for net in nets)
    probe = ranges([net[window]["probe"] for net in nets])
    return f"{window} {probe} ({null:.2f}{untrained})"


def separable_verdict(summary: Summary) -> str:
    """Whether residuals of nets without rest are separable, beyond their controls."""
    signs = {data: judging.sign(found) for data, found in judging.by_constraint(summary["nets"]).items()}
    return judging.separable(summary["nets"]) + judging.with_constraint(signs)


def alone(summary: Summary) -> str:
    """Samples that move, and those at rest, each without the other."""
    words = []
    for kind, nets in judging.by_kind(summary["nets"], trained=True).items():
        parts = [
            f"{name} {_alone(nets, group)}" for group, name in judging.GROUPS.items() if any(_members(nets, group))
        ]
        words.append(f"{_kind(kind, nets)}: {', '.join(parts)}")
    if not any("groups" in net for net in summary["nets"]):
        return "not run"
    return (
        "probe on y(t) in late layers (at most, of 99 shuffles of labels; layers shuffled), median over nets [least, "
        "most], classes of fewer than 5 samples left out: " + "; ".join(words)
    )


def _members(nets: list[Summary], group: str) -> list[int]:
    return [net["groups"][group]["in_group"] for net in nets if "groups" in net]


def _alone(nets: list[Summary], group: str) -> str:
    judged = judging.judged(nets, group)
    count = between(_members(nets, group))
    if not judged:
        return f"{count} samples, too few"
    found = [net["groups"][group] for net in judged]
    true, in_time = (ranges([one[name] for one in found]) for name in ("true", "time_shuffled"))
    left = sum(one["in_group"] - one["samples"] for one in found)
    some = f" in {len(judged)} nets" if len(judged) < len(nets) else ""
    out = f", {left} left out" if left else ""
    null = max(one["largest_null"] for one in found)
    return f"{count} samples{out} {true}{some} ({null:.2f}; {in_time})"


def alone_verdict(summary: Summary) -> str:
    """Whether samples that move tell their classes by themselves, and by more than their level."""
    return judging.alone(summary["nets"])


def in_time(summary: Summary) -> str:
    """Differences to the null with shuffled layers, for nets without rest."""
    nets = [net for net in judging.trained(summary["nets"]) if judging.is_restless(net)]
    words = []
    for kind, those in judging.by_kind(nets, trained=True).items():
        early, late = (ranges([_in_time(net, window) for net in those], 3) for window in ("trained", "late"))
        words.append(f"{_kind(kind, those)} {early}, {late}")
    return "probe on y(t) less the same with layers shuffled, in layers of training, in late ones: " + "; ".join(words)


def _in_time(net: Summary, window: str) -> float:
    return float(net[window]["probe"] - net[window]["time_shuffled"])


def in_time_verdict(summary: Summary) -> str:
    """Whether more than the level that all layers share is separable, within the layers of training."""
    nets = [net for net in judging.trained(summary["nets"]) if judging.is_restless(net)]
    return judging.of_seeds(
        {
            net["name"]: judging.larger(net["trained"]["probe"], net["trained"]["time_shuffled"], net["samples"])
            for net in nets
        }
    )


def _through_training(summary: Summary) -> dict[str, dict[str, list[float]]]:
    """Differences by window, named in words, and kind."""
    windows = {"trained": "layers of training", "late": "late layers"}
    return {words: judging.through_training(summary["nets"], window) for window, words in windows.items()}


def training(summary: Summary) -> str:
    """Trained less untrained, seed by seed, in the layers of training and in late ones."""
    words = [
        f"{window}: {', '.join(f'{kind} {over_seeds(differences)}' for kind, differences in of_kinds.items())}"
        for window, of_kinds in _through_training(summary).items()
    ]
    return "probe on y(t), trained less untrained, mean and 95 % interval over seeds; " + "; ".join(words)


def training_verdict(summary: Summary) -> str:
    """Whether training makes residuals more separable."""
    windows = _through_training(summary).items()
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
        "separable-samples",
        "In late layers samples that keep moving are separable per class without those at rest, in their course too",
        BEYOND,
        "separability",
        alone,
        alone_verdict,
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
