"""What hauser2019 says, and what our numbers say about it.

Only the abstract was at hand: roughly inverse proportion is its statement on the scaled magnitude. It says that the
absolute one was measured, too, and that a stopping rule compares the average with ε: what it found there is not known.
"""

from collections.abc import Callable
from typing import Any

from experiments._harness import Claim
from experiments._harness.claims import BEYOND
from experiments._harness.spreads import between
from experiments.hauser2019_perturbation import judging

Summary = dict[str, Any]
INVERSE = "in words only: roughly inversely proportional"
MEASURED = "measured there, numbers not known"
NETS = {
    "mnist": ("MNIST", ("laptop", "paper")),
    "cifar10": ("CIFAR-10", ("laptop-cifar10", "paper-cifar10")),
    "public": ("public ResNet-20 and ResNet-56", ("public",)),
    "mnist-zero": ("MNIST, blocks that begin as identities", ("laptop-zero",)),
}


# --- magnitudes --------------------------------------------------------------------------------------


def _nets(summary: Summary) -> str:
    seeds = f"{summary['seeds']} net" + ("s" if summary["seeds"] > 1 else "")
    accuracy = between(summary["accuracy"], 1, 100)
    return f"{seeds} per depth, {summary['images']} test images, {accuracy} % right"


def magnitude(kind: str) -> Callable[[Summary], str]:
    """Means over blocks and images, by depth, with their exponent."""

    def words(summary: Summary) -> str:
        law = summary["trained"][kind]
        parts = [judging.law_in_words(law), judging.over_depths(summary["depths"], law)]
        neighbours = ", ".join(judging.sign(value) for value in law["neighbours"])
        if len(law["neighbours"]) > 1:
            parts.append(f"between neighbouring depths {neighbours}")
        if summary["nets"] == "public":
            moved = summary["trained"]["moved"]
            parts.append(f"branches before the last ReLU; after it the state moves with {judging.law_in_words(moved)}")
        return "; ".join([*parts, _nets(summary)])

    return words


def scaled_verdict(summary: Summary) -> str:
    """Inverse proportion."""
    before = (summary.get("untrained") or {}).get("scaled")
    return judging.inverse(summary["trained"]["scaled"], before, summary["change"])


def absolute_verdict(summary: Summary) -> str:
    """How it falls, without a statement of the paper to judge."""
    return f"measured: exponent {judging.sign(summary['trained']['absolute']['exponent'])}"


def profile(summary: Summary) -> str:
    """Thirds of the blocks over the mean, by depth."""
    words = []
    for depth, of_depth in zip(summary["depths"], summary["profile"], strict=True):
        thirds = ", ".join(f"{third:.2f}" for third in of_depth["thirds"])
        words.append(f"{thirds} (L = {depth}; largest block {of_depth['largest']:.1f})")
    return f"mean scaled perturbation of the thirds of the blocks over that of all: {'; '.join(words)}"


def profile_verdict(summary: Summary) -> str:
    """Of the deepest net."""
    return judging.even(summary["profile"][-1])


def null(summary: Summary) -> str:
    """Untrained nets beside trained ones."""
    if "untrained" not in summary:
        return ""
    before, change = summary["untrained"]["scaled"], summary["change"]
    words = f"before training {judging.law_in_words(before)}, {judging.over_depths(summary['depths'], before)}"
    if change is None:
        return words
    return (
        f"{words}; training changes the exponent by {judging.law_in_words(change).removeprefix('exponent ')} "
        f"({summary['changed_seeds']} net{'s' * (summary['changed_seeds'] > 1)} per depth, before and after)"
    )


def null_verdict(summary: Summary) -> str:
    """Whether training changed the exponent."""
    return judging.changed(summary["change"])


# --- the stopping rule -------------------------------------------------------------------------------


def _decided(summary: Summary, way: str) -> str:
    """Depth and accuracy by threshold."""
    words = []
    rows = zip(summary["thresholds"], summary[way]["depths"], summary[way]["accuracy"], strict=True)
    for threshold, depths, accuracy in rows:
        known = [value for value in accuracy if value is not None]
        found = f"{between([d for d in depths if d])} blocks, {between(known, 1, 100)} %" if known else ""
        missing = f"none in {len(depths) - len(known)} of {len(depths)}" if len(known) < len(depths) else ""
        words.append(f"ε = {threshold:g}: " + ", ".join(part for part in (found, missing) if part))
    return "; ".join(words)


def rule(summary: Summary) -> str:
    """What the rule decides as a function."""
    return f"{_decided(summary, 'function')} ({_training(summary)})"


def _training(summary: Summary) -> str:
    return f"{_seeds(summary)}, depths {', '.join(map(str, summary['depths']))}, {summary['epochs']} epochs"


def _seeds(summary: Summary) -> str:
    return f"{summary['seeds']} seed" + ("s" if summary["seeds"] > 1 else "")


def rule_verdict(summary: Summary) -> str:
    """At how many thresholds a depth is found, and whether seeds agree on it."""
    rows = summary["function"]["depths"]
    found = [row for row in rows if all(row)]
    agreeing = sum(len(set(row)) == 1 for row in found)
    return f"measured: a depth for all seeds at {len(found)} of {len(rows)} ε, the same at {agreeing}"


def _losses(summary: Summary, way: str) -> list[list[float | None]]:
    """Accuracy of the deepest net that was trained anew with the same seed, less that of the net decided on.

    None where no depth was found or it is the deepest one: that net is no less accurate than itself.
    """
    last, deepest = summary["depths"][-1], summary["accuracy"]["anew"][-1]
    rows = zip(summary[way]["depths"], summary[way]["accuracy"], strict=True)
    return [
        [
            None if value is None or depth == last else best - value
            for depth, value, best in zip(depths, accuracy, deepest, strict=True)
        ]
        for depths, accuracy in rows
    ]


def loss(summary: Summary) -> str:
    """What the depth decided on costs in accuracy."""
    last = summary["depths"][-1]
    words = []
    rows = zip(summary["thresholds"], _losses(summary, "function"), summary["function"]["depths"], strict=True)
    for threshold, losses, depths in rows:
        each = [
            "the deepest itself" if value is None else judging.sign(100 * value, 1)
            for value, depth in zip(losses, depths, strict=True)
            if depth
        ]
        if each:
            words.append(f"ε = {threshold:g}: {', '.join(each)}")
    return f"points below {last} blocks, seed by seed: {'; '.join(words) or 'no depth found'}"


def loss_verdict(summary: Summary) -> str:
    """Whether it costs at most half a point with every seed."""
    return judging.accurate(summary["thresholds"], _losses(summary, "function"))


def callback(summary: Summary) -> str:
    """Epochs with and without giving up early."""
    whole, fewer = summary["function"]["epochs"], summary["callback"]["epochs"]
    rows = zip(summary["thresholds"], whole, fewer, strict=True)
    words = [f"ε = {t:g}: {between(b)} of {between(a)}" for t, a, b in rows]
    differing = judging.same(summary["thresholds"], summary["function"]["depths"], summary["callback"]["depths"])
    end = f"other depths for ε = {judging.listed(differing)}" if differing else "the same depths"
    return f"epochs trained if a net is given up after {summary['patience']} epochs above ε: {'; '.join(words)}; {end}"


def callback_verdict(summary: Summary) -> str:
    """The same decision for less training."""
    differing = judging.same(summary["thresholds"], summary["function"]["depths"], summary["callback"]["depths"])
    if differing:
        return f"qualified: other depths for ε = {judging.listed(differing)}"
    saved = sum(map(sum, summary["callback"]["epochs"])) < sum(map(sum, summary["function"]["epochs"]))
    return "confirmed" if saved else "not confirmed: nothing saved"


def growing(summary: Summary) -> str:
    """What a net that grows decides."""
    laws = summary["exponents"]
    return (
        f"{_decided(summary, 'growing')}; scaled perturbations over depth: {judging.law_in_words(laws['growing'])}, "
        f"against {judging.law_in_words(laws['anew'])} anew ({_seeds(summary)}, doubled after each round of training)"
    )


def growing_verdict(summary: Summary) -> str:
    """Where it decides as nets that are trained anew do."""
    differing = judging.same(summary["thresholds"], summary["function"]["depths"], summary["growing"]["depths"])
    n = len(summary["thresholds"])
    return f"measured: the depths of nets trained anew at {n - len(differing)} of {n} ε"


# --- rows --------------------------------------------------------------------------------------------


def _rows(key: str) -> tuple[Claim, ...]:
    name, presets = NETS[key]
    scaled = Claim(
        f"{key}-scaled",
        f"{name}: the mean scaled perturbation is roughly inversely proportional to the number of blocks",
        BEYOND if key == "public" else INVERSE,
        "magnitudes",
        magnitude("scaled"),
        scaled_verdict,
        presets,
    )
    others = (
        Claim(
            f"{key}-absolute",
            f"{name}: the mean absolute perturbation over the number of blocks",
            BEYOND if key == "public" else MEASURED,
            "magnitudes",
            magnitude("absolute"),
            absolute_verdict,
            presets,
        ),
        Claim(
            f"{key}-profile",
            f"{name}: scaled perturbations over the blocks",
            BEYOND,
            "magnitudes",
            profile,
            profile_verdict,
            presets,
        ),
    )
    untrained = Claim(
        f"{key}-untrained",
        f"{name}: the exponent of such nets before training, and what training changes it by (control, ours)",
        BEYOND,
        "magnitudes",
        null,
        null_verdict,
        presets,
    )
    if key == "mnist-zero":
        return (scaled,)
    return (scaled, *others) if key == "public" else (scaled, *others, untrained)


CLAIMS = (
    *(claim for key in NETS for claim in _rows(key)),
    Claim(
        "stopping-depth",
        "A stopping rule decides the depth: the average perturbation is below ε",
        "in words only: ε and depths not known",
        "stopping",
        rule,
        rule_verdict,
    ),
    Claim(
        "stopping-accuracy",
        "A net of the depth decided on is as accurate as the deepest (ours)",
        BEYOND,
        "stopping",
        loss,
        loss_verdict,
    ),
    Claim(
        "stopping-callback",
        "The rule decides the same while nets are trained, in fewer epochs (ours)",
        BEYOND,
        "stopping",
        callback,
        callback_verdict,
    ),
    Claim(
        "stopping-growing",
        "One net that grows until it is deep enough (ours)",
        BEYOND,
        "stopping",
        growing,
        growing_verdict,
    ),
)
