"""All numbers on the sum of transients and on separability in words: what stands below the table of claims."""

from typing import Any

from experiments._harness.spreads import between
from experiments.lagzi2021_transients import judging_dynamics as judging
from experiments.lagzi2021_transients.wording import over_seeds, ranges

Summary = dict[str, Any]

READ = "Accuracy of the net's own read-out, one seed each."


def sums(summary: Summary) -> str:
    """Probes on the last state and on the last residual, net by net."""
    words = []
    for net in summary["nets"]:
        probe, error = net["probe"], judging.standard_error(net["probe"]["x_last"], net["samples"])
        words.append(
            f"{_counted(net)}: x(T) {probe['x_last']:.3f} ± {error:.3f}, y(T) {probe['y_last']:.3f}, the best single "
            f"y(t) {probe['y_best']:.3f} (t = {net['best_layer_of_y']}), x(0) {probe['x_first']:.3f}, shuffled labels "
            f"at most {probe['null']:.3f}, own read-out of x(T) {net['accuracy']['whole']:.3f}."
        )
    return " ".join(["Accuracy of linear probes, one seed each, ± one standard error.", *words])


def carriers(summary: Summary) -> str:
    """The sum without the input, with residuals of others, and without what residuals know."""
    words = []
    for net in summary["nets"]:
        accuracy, spread = net["accuracy"], net["over_shuffles"]
        loss, error = net["lost"]["without_input"]
        words.append(
            f"{_counted(net)}: {accuracy['whole']:.3f}, without x(0) {accuracy['without_input']:.3f} (lost {loss:+.3f} "
            f"± {error:.3f}). With all residuals of one other sample, ± over shuffles: its class "
            f"{accuracy['donor']:.3f} ± {spread['donor']:.3f}, that of x(0) {accuracy['own']:.3f} ± "
            f"{spread['own']:.3f}, where both are one class {accuracy['same_class']:.3f}. With each layer from a "
            f"sample of its own {accuracy['mixed']:.3f}, of the class {accuracy['mixed_class']:.3f}; with all "
            f"residuals averaged {accuracy['averaged_all']:.3f}; most frequent class {net['chance']:.3f}."
        )
    return " ".join([READ, *words])


def ablations(summary: Summary) -> str:
    """What is lost without one layer, and without halves."""
    words = []
    for net in summary["nets"]:
        accuracy, (loss, error) = net["accuracy"], net["lost"]["averaged_one"]
        words.append(
            f"{_counted(net)}: {accuracy['whole']:.3f}. With the worst layer averaged "
            f"{accuracy['averaged_one_least']:.3f} (lost {loss:+.3f} ± {error:.3f}), left out of the sum "
            f"{accuracy['without_one_least']:.3f}, of another sample {accuracy['one_layer_least']:.3f}, skipped in the "
            f"run {accuracy['skipped_least']:.3f}; with the first half averaged "
            f"{accuracy['averaged_first_half']:.3f}, the second {accuracy['averaged_second_half']:.3f}. Another order "
            f"of layers changes x(T) by {net['order']:.0e} of it."
        )
    return " ".join([READ, *words])


def _counted(net: Summary) -> str:
    return f"{net['name']} ({net['samples']} samples)"


def resting(summary: Summary) -> str:
    """Shares at rest, kind by kind."""
    words = []
    for kind, nets in judging.by_kind(summary["nets"], trained=True).items():
        share, units, accuracy = (
            ranges([net[name] for net in nets]) for name in ("at_rest", "moving_units", "accuracy")
        )
        words.append(
            f"{_kind(kind, nets)} {share} of {_samples(nets)} samples, {units} units per sample still move (accuracy "
            f"{accuracy})"
        )
    late = f"At rest in layers {summary['layers'] // 2}–{summary['layers']}, median over nets [least, most]"
    return f"{late}: {'; '.join(words)}."


def _samples(nets: Any) -> str:
    return ", ".join(str(n) for n in sorted({net["samples"] for net in nets}))


def separable(summary: Summary) -> str:
    """Probes on y of nets without rest, beside their controls, and of those at rest."""
    nets = summary["nets"]
    groups = []
    for name, restless in (("Not at rest", True), ("At rest", False)):
        words = []
        chosen = [net for net in judging.trained(nets) if judging.is_restless(net) == restless]
        for kind, those in judging.by_kind(chosen, trained=True).items():
            twins = [twin for net in those if (twin := judging.untrained_twin(net, nets)) is not None]
            parts = [_separable(window, those, twins) for window in ("trained", "late")]
            words.append(f"{_kind(kind, those)} {ranges([net['input'] for net in those])}, {', '.join(parts)}")
        groups += [f" {name}: {'; '.join(words)}."] * bool(words)
    constrained = [f"{data} {over_seeds(found)}" for data, found in judging.by_constraint(nets).items()]
    less = f" Late, antisymmetric less free, over seeds: {', '.join(constrained)}." if constrained else ""
    return (
        f"Probe on x(0) and on y(t) in layers of training and late ones, {_samples(nets)} samples, median over nets "
        f"[least, most] (shuffled labels at most; untrained).{''.join(groups)}{less}"
    )


def _kind(kind: str, nets: list[Summary]) -> str:
    return kind if len(nets) == 1 else f"{kind} ({len(nets)} nets)"


def _separable(window: str, nets: list[Summary], twins: list[Summary]) -> str:
    untrained = f"; {ranges([net[window]['probe'] for net in twins])}" if twins else ""
    null = max(net[window]["largest_null"] for net in nets)
    probe = ranges([net[window]["probe"] for net in nets])
    return f"{window} {probe} ({null:.2f}{untrained})"


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
        "Probe on y(t) in late layers (at most, of 99 shuffles of labels; layers shuffled), median over nets [least, "
        f"most], classes of fewer than 5 samples left out: {'; '.join(words)}."
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


def in_time(summary: Summary) -> str:
    """Differences to the null with shuffled layers, for nets without rest."""
    words = []
    for kind, those in judging.by_kind(judging.restless(summary["nets"]), trained=True).items():
        early, late = (
            ranges([judging.beyond_shuffled_layers(net, window) for net in those], 3) for window in ("trained", "late")
        )
        words.append(f"{_kind(kind, those)} {early}, {late}")
    return (
        "Probe on y(t) less the same with layers shuffled, in layers of training, in late ones, median over nets "
        f"[least, most]: {'; '.join(words)}."
    )


def training(summary: Summary) -> str:
    """Trained less untrained, seed by seed, in the layers of training and in late ones."""
    words = [
        f"{window}: {', '.join(f'{kind} {over_seeds(differences)}' for kind, differences in of_kinds.items())}"
        for window, of_kinds in judging.in_both_windows(summary["nets"]).items()
    ]
    return f"Probe on y(t), trained less untrained, mean and 95 % interval over seeds, in {'; in '.join(words)}."
