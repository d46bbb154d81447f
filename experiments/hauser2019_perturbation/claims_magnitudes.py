"""Claims on the size of perturbations: how it falls with the number of blocks, and whether training makes it so."""

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


def _nets(summary: Summary) -> str:
    return judging.number(summary["seeds"], "net")


# --- over depths -------------------------------------------------------------------------------------


def magnitude(kind: str) -> Callable[[Summary], str]:
    """The exponent, with its interval; of the scaled magnitude also what training changed."""

    def words(summary: Summary) -> str:
        law, depths = summary["trained"][kind], summary["depths"]
        each = f": {judging.of_seeds(law)}" if summary["seeds"] > 1 else ""
        parts = [
            f"exponent {judging.exponent(law)} ({judging.spread_over(depths, law)}; {_nets(summary)} per depth{each})",
            f"mean {law['means'][0]:.3g} (L = {depths[0]}) to {law['means'][-1]:.3g} (L = {depths[-1]})",
        ]
        if kind == "scaled" and summary["change"] is not None:
            parts.append(f"training changes it by {judging.exponent(summary['change'])}")
        if summary["nets"] == "public":
            parts.append("branches before the last ReLU")
        return "; ".join(parts)

    return words


def magnitude_details(kind: str) -> Callable[[Summary], str]:
    """Means over blocks and images, by depth, with their exponent."""

    def words(summary: Summary) -> str:
        law = summary["trained"][kind]
        parts = [
            f"{judging.law_in_words(law).capitalize()}.",
            f"Means over blocks and images {judging.over_depths(summary['depths'], law)}.",
        ]
        if len(law["neighbours"]) > 1:
            neighbours = ", ".join(judging.sign(value) for value in law["neighbours"])
            parts.append(f"Exponents between neighbouring depths {neighbours}.")
        if summary["nets"] == "public":
            moved = summary["trained"]["moved"]
            parts.append(f"Branches before the last ReLU; after it the state moves with {judging.law_in_words(moved)}.")
        accuracy = between(summary["accuracy"], 1, 100)
        parts.append(f"{_nets(summary)} per depth, {summary['images']} test images, {accuracy} % right.")
        return " ".join(parts)

    return words


def scaled_verdict(summary: Summary) -> str:
    """Inverse proportion."""
    before = (summary.get("untrained") or {}).get("scaled")
    return judging.inverse(summary["trained"]["scaled"], before, summary["change"])


def absolute_verdict(summary: Summary) -> str:
    """How it falls, without a statement of the paper to judge."""
    return f"measured: exponent {judging.sign(summary['trained']['absolute']['exponent'])}"


# --- over blocks -------------------------------------------------------------------------------------


def profile(summary: Summary) -> str:
    """Thirds of the blocks of the deepest net, and their range over depths."""
    # two blocks have no three thirds
    thirds = [of_depth["thirds"] for of_depth in summary["profile"] if len(of_depth["thirds"]) == 3]
    deepest = ", ".join(f"{third:.2f}" for third in thirds[-1])
    ranges = ", ".join(between(third, 2) for third in zip(*thirds, strict=True))
    return (
        f"first, middle and last third of the blocks over the mean of all: {deepest} at L = {summary['depths'][-1]}; "
        f"{ranges} over {len(thirds)} depths, {_nets(summary)} each"
    )


def profile_details(summary: Summary) -> str:
    """Thirds of the blocks over the mean, by depth."""
    words = []
    for depth, of_depth in zip(summary["depths"], summary["profile"], strict=True):
        thirds = ", ".join(f"{third:.2f}" for third in of_depth["thirds"])
        words.append(f"{thirds}, largest block {of_depth['largest']:.1f} (L = {depth})")
    return (
        f"Mean scaled perturbation of the thirds of the blocks, and of the largest block, over that of all: "
        f"{'; '.join(words)}. {_nets(summary)} per depth, {summary['images']} test images."
    )


def profile_verdict(summary: Summary) -> str:
    """Of the deepest net."""
    return judging.even(summary["profile"][-1])


# --- before training ---------------------------------------------------------------------------------


def untrained(summary: Summary) -> Any:
    """What training changed the exponent by, beside that before it; None where no net was looked at before training."""
    if "untrained" not in summary:
        return None
    before, change = summary["untrained"]["scaled"], summary["change"]
    first = judging.number(len(before["by_seed"]), "net")
    words = f"exponent {judging.exponent(before)} before training, {first} per depth"
    if change is not None:
        nets = judging.number(summary["changed_seeds"], "net")
        words = f"{words}; changed by {judging.exponent(change)}, {nets} before and after"
    return f"{words} ({judging.spread_over(summary['depths'], before)})"


def untrained_details(summary: Summary) -> str:
    """Untrained nets beside trained ones."""
    before, change = summary["untrained"]["scaled"], summary["change"]
    means = judging.over_depths(summary["depths"], before)
    words = f"Before training {judging.law_in_words(before)}. Means over blocks and images {means}."
    if change is None:
        return words
    nets = judging.number(summary["changed_seeds"], "net")
    interval = judging.law_in_words(change).removeprefix("exponent ")
    return f"{words} Training changes the exponent by {interval}, {nets} per depth before and after."


def untrained_verdict(summary: Summary) -> str:
    """Whether training changed the exponent."""
    return judging.changed(summary["change"])


# --- rows --------------------------------------------------------------------------------------------


def _rows(key: str) -> tuple[Claim, ...]:
    name, presets = NETS[key]
    scaled = Claim(
        f"{key}-scaled",
        f"{name}: the mean scaled perturbation is roughly inversely proportional to depth",
        BEYOND if key == "public" else INVERSE,
        "magnitudes",
        magnitude("scaled"),
        scaled_verdict,
        presets,
        details=magnitude_details("scaled"),
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
            details=magnitude_details("absolute"),
        ),
        Claim(
            f"{key}-profile",
            f"{name}: scaled perturbations over the blocks",
            BEYOND,
            "magnitudes",
            profile,
            profile_verdict,
            presets,
            details=profile_details,
        ),
    )
    control = Claim(
        f"{key}-untrained",
        f"{name}: the exponent of such nets before training, and what training changes it by (control, ours)",
        BEYOND,
        "magnitudes",
        untrained,
        untrained_verdict,
        presets,
        details=untrained_details,
    )
    if key == "mnist-zero":
        return (scaled,)
    return (scaled, *others) if key == "public" else (scaled, *others, control)


CLAIMS = tuple(claim for key in NETS for claim in _rows(key))
