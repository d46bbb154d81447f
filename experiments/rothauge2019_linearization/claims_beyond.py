"""Beyond the paper: ones through training, and a Transformer; experiment 7."""

from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, NOT_RUN
from experiments._harness.spreads import between
from experiments.rothauge2019_linearization import claims_words, judging
from experiments.rothauge2019_linearization.claims_words import percent

Summary = dict[str, Any]
BOTH = ("laptop", "paper")


def _training_measured(summary: Summary) -> str:
    def of(words: str, run: Summary) -> str:
        shares = [repeat["exact_ones_before"] for repeat in run["of_repeats"]]
        start = 100 * np.median([share[0] for share in shares])
        return f"{start:.1f} → {percent([share[-1] for share in shares], 1)} ({words})"

    runs = ", ".join(of(*pair) for pair in summary["runs"].items())
    return (
        f"exactly 1 before the last ReLU, epochs 0 → {summary['epochs'][-1]}: {runs}; medians of "
        f"{summary['repeats']} trainings [least, most]"
    )


def _training_details(summary: Summary) -> str:
    def of(words: str, run: Summary) -> str:
        def ends(name: str, scale: float, digits: int) -> str:
            rows = [repeat[name] for repeat in run["of_repeats"]]
            start, end = (judging.spread([scale * row[at] for row in rows], digits) for at in (0, -1))
            return f"{start} → {end}"

        return (
            f"{claims_words.sentence(words)}: exactly 1 before the last ReLU {ends('exact_ones_before', 100, 1)} %, "
            f"after it {ends('exact_ones_after', 100, 1)} %; p/n {ends('active_inner', 1, 2)}; largest "
            f"{ends('largest_before', 1, 1)}; test accuracy "
            f"{judging.spread([100 * repeat['accuracy'][-1] for repeat in run['of_repeats']], 0)} %."
        )

    return (
        f"Epochs 0 → {summary['epochs'][-1]}, medians over blocks and {summary['images']} images; of "
        f"{summary['repeats']} trainings the median [least, most]. "
        + " ".join(of(*pair) for pair in summary["runs"].items())
    )


def _training_verdict(summary: Summary) -> str:
    """Confirmed: they grow in every training, and become most; qualified: in every one with some weight decay."""

    def grown(run: Summary) -> bool:
        # five points are more than single units of a layer make
        shares = [repeat["exact_ones_before"] for repeat in run["of_repeats"]]
        return all(share[-1] > share[0] + 0.05 for share in shares)

    runs = summary["runs"]
    if not runs:
        return NOT_RUN
    grows = [words for words, run in runs.items() if grown(run)]
    if not grows:
        return "not confirmed"
    most = all(np.median([row["exact_ones_before"][-1] for row in runs[w]["of_repeats"]]) > judging.MOST for w in grows)
    if len(grows) == len(runs):
        return "confirmed" if most else "qualified: they grow, but do not become most"
    return f"qualified: they grow with {', '.join(grows)}"


def _transformer_measured(summary: Summary) -> str:
    def of(name: str, digits: int) -> str:
        low, high = (100 * share for share in summary["trained"][f"{name}_quartiles"])
        return f"{100 * summary['trained'][name]:.{digits}f} % [{low:.{digits}f}, {high:.{digits}f}]"

    ranks = [unit["rank"] for unit in summary["trained"]["units"].values()]
    return (
        f"exactly 1: {of('exact_ones', 1)}, within 0.1 of 1: {of('within_0.1', 0)}; rank of the branch "
        f"{between(ranks, 2)} n; all {len(ranks)} units together, {summary['images']} images [quartiles]"
    )


def _transformer_details(summary: Summary) -> str:
    trained = summary["trained"]

    def of(kind: str) -> str:
        rows = [row for name, row in trained["units"].items() if name.endswith(kind)]
        near, nearer = ([row[f"within_{width}"] for row in rows] for width in ("0.1", "0.001"))
        return (
            f"{kind}: rank {between([row['rank'] for row in rows], 2)} n, within 0.1 of 1 {percent(near)}, "
            f"within 0.001 {percent(nearer, 1)}, largest {judging.spread([row['largest'] for row in rows], 1)}"
        )

    low, high = trained["within_0.1_quartiles"]
    return (
        f"All units, {summary['images']} images: exactly 1 {100 * trained['exact_ones']:.1f} %, within 0.1 of 1 "
        f"{100 * trained['within_0.1']:.0f} % [quartiles over images {100 * low:.0f}, {100 * high:.0f}]. Median over "
        f"units [least, most], {of('attention')}; {of('feed-forward')} (accuracy {100 * summary['accuracy']:.0f} %)."
    )


def _transformer_verdict(summary: Summary) -> str:
    if summary["trained"]["exact_ones"] > judging.MOST:
        return "confirmed"
    return "near 1, not exactly" if summary["trained"]["within_0.1"] > judging.MOST else "not confirmed"


CLAIMS = (
    Claim(
        "through-training",
        "Ones come about through training (post-activation ResNet-14 on digits, weight decay)",
        BEYOND,
        "through_training",
        _training_measured,
        _training_verdict,
        BOTH,
        details=_training_details,
    ),
    Claim(
        "transformer",
        "Most singular values are 1 without sparse activity (Transformer encoder on digits)",
        BEYOND,
        "transformer",
        _transformer_measured,
        _transformer_verdict,
        BOTH,
        details=_transformer_details,
    ),
)
