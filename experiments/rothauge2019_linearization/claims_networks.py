"""Claims about perturbations, about other networks, and what goes beyond the paper: experiments 4, 6 and 7.

Every network is judged by the same rules (:mod:`judging`, :mod:`judging_perturbations`). A net that a summary has no
numbers of is "not run".
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS, NOT_RUN
from experiments._harness.spreads import between
from experiments.rothauge2019_linearization import judging, judging_perturbations

Summary = dict[str, Any]

BOTH = ("laptop", "paper")
# the nets of the laptop stand beside one that was not run
RESNET110 = ("laptop", "resnet110")


def _percent(shares: Sequence[float | None], digits: int = 0) -> str:
    """Median and extremes, in hundredths: "52 [31, 84] %"."""
    return f"{judging.spread([None if share is None else 100 * share for share in shares], digits)} %"


# --- 4: perturbations ----------------------------------------------------------------------------

Measured = Callable[[Mapping[str, Any], int], str]
Verdict = Callable[[Mapping[str, Any]], str]

GROWTH: tuple[tuple[str, str, str, Measured, Verdict], ...] = (
    (
        "adversarial-jump",
        "adversarial perturbations jump in magnitude near the end of the final stage",
        IN_WORDS,
        judging_perturbations.jump_measured,
        judging_perturbations.jump,
    ),
    (
        "adversarial-jump-relative",
        "the jump is one relative to the state, too",
        "not said whether absolute or relative",
        judging_perturbations.relative_measured,
        judging_perturbations.relative_jump,
    ),
    (
        "random-without-jump",
        "random perturbations do not jump there",
        IN_WORDS,
        judging_perturbations.random_measured,
        judging_perturbations.no_jump_at_random,
    ),
    (
        "adversarial-excess",
        "at the pooled features adversarial perturbations are larger than random ones of equal length",
        "no number known to us",
        judging_perturbations.excess_measured,
        judging_perturbations.excess,
    ),
)


def _of_perturbations(name: str, statement: str, paper: str, measured: Measured, verdict: Verdict) -> Claim:
    return Claim(
        name,
        statement,
        paper,
        "perturbations",
        lambda summary: measured(summary["attacks"], summary["images"]),
        lambda summary: verdict(summary["attacks"]),
        BOTH,
    )


PERTURBATIONS = tuple(_of_perturbations(*row) for row in GROWTH)


# --- 6: other networks ---------------------------------------------------------------------------

Nets = dict[str, Summary]


def _nets(summary: Summary, prefix: str) -> Nets:
    """The nets whose name begins so, whatever their seed."""
    return {weights: n for weights, n in summary["networks"].items() if weights.startswith(prefix)}


def _card(nets: Nets) -> str:
    depth = " and ".join(str(d) for d in sorted({n["depth"] for n in nets.values()}))
    count = f"{len(nets)} nets of" if len(nets) > 1 else "one net of"
    return f"{count} depth {depth}, accuracy {between([100 * n['accuracy'] for n in nets.values()], 1)} %"


def _units(nets: Nets) -> list[Summary]:
    return [unit for n in nets.values() for unit in n["units"].values()]


def _images(units: list[Summary]) -> str:
    return f"{between([u['images'] for u in units])} images"


def _ones_measured(nets: Nets) -> str:
    units = _units(nets)
    return (
        f"exactly 1, both readings alike: {_percent([u['atom'] for u in units])}, above half in "
        f"{sum(u['atom'] > judging.MOST for u in units)} of {len(units)} units (median over units [least, most]; "
        f"{_images(units)}); {_card(nets)}"
    )


def _ones_verdict(nets: Nets) -> str:
    return judging.most({"in both readings": [u["atom"] for u in _units(nets)]})


def _near_measured(nets: Nets) -> str:
    units = _units(nets)
    near = ", ".join(f"{w}: {_percent([u['near_one'][w] for u in units])}" for w in units[0]["near_one"])
    return f"within a distance of 1, median over {len(units)} units [least, most]: {near}; {_card(nets)}"


def _near_verdict(nets: Nets) -> str:
    """A distance of a tenth counts as 1, as for ResNet-56."""
    return judging.most({"in both readings": [u["near_one"]["0.1"] for u in _units(nets)]})


def _images_measured(nets: Nets) -> str:
    several = [u for u in _units(nets) if u["spread_of_atom"] is not None]
    if not several:
        return f"one image alone; {_card(nets)}"
    return (
        f"standard deviation over {_images(several)}, median over {len(several)} units [least, most]: share that is "
        f"exactly 1 {judging.spread([u['spread_of_atom'] for u in several], 3)}, largest value "
        f"{judging.spread([u['relative_spread_of_largest'] for u in several])} of itself; {_card(nets)}"
    )


def _images_verdict(nets: Nets) -> str:
    return judging.slight([(u["spread_of_atom"], u["relative_spread_of_largest"]) for u in _units(nets)])


def _distances(nets: Nets, what: str) -> list[list[float]]:
    """Of each net's scaled unit, at the scales other than 1."""
    scaled = [n["scaling"][what] for n in nets.values() if n["scaling"] is not None]
    return [[row["distance"] for scale, row in rows.items() if scale != "1"] for rows in scaled]


def _factors(nets: Nets, what: str) -> list[list[float]]:
    """By which the largest value of each net's scaled unit changes."""
    scaled = [n["scaling"][what] for n in nets.values() if n["scaling"] is not None]
    return [[row["largest"] / rows["1"]["largest"] for scale, row in rows.items() if scale != "1"] for rows in scaled]


def _scaling(what: str) -> tuple[Callable[[Nets], str], Callable[[Nets], str]]:
    def measured(nets: Nets) -> str:
        rows = [n["scaling"][what] for n in nets.values() if n["scaling"] is not None]
        if not rows:
            return f"the skip path is scaled already; {_card(nets)}"
        scales = ", ".join(
            f"{between([row[scale]['distance'] for row in rows], 2)} (×{scale}; exactly "
            f"{between([row[scale]['at'] for row in rows], 1)}: {between([100 * row[scale]['atom'] for row in rows])} "
            f"%, largest {between([row[scale]['largest'] for row in rows], 1)})"
            for scale in rows[0]
            if scale != "1"
        )
        units = ", ".join(sorted({str(n["scaling"]["unit"]) for n in nets.values() if n["scaling"]}))
        # it takes away a jump of one distribution function, and no distance is smaller than half a jump
        automatic = "; the atom, which moves, alone makes half its share" if what == "skip" else ""
        return (
            f"distance (Kolmogorov–Smirnov) to the unscaled spectrum, unit {units} alone at one image of each net: "
            f"{scales}{automatic}; {_card(nets)}"
        )

    return measured, lambda nets: judging.marked(
        {"masks held": _distances(nets, what)} if _distances(nets, what) else {}, _factors(nets, what)
    )


def _attacks(nets: Nets) -> dict[str, Any]:
    """Of all nets, under the seed of the net if there are several."""
    return {
        words if len(nets) == 1 else f"{words} (seed {weights.rpartition('seed')[2]})": n
        for weights, net in nets.items()
        for words, n in net["perturbations"]["attacks"].items()
    }


def _damped(units: list[Summary]) -> list[Summary]:
    return [u for u in units if u["damping"] > 0]


def _damping_measured(nets: Nets) -> str:
    units = _units(nets)
    damped = _damped(units)
    if not damped:
        return f"λ > 0 was learned in none of {len(units)} units; {_card(nets)}"
    pairs = [(u["damped"], u["undamped"]) for u in damped if u["undamped"]["above_one"] is not None]

    def beside(name: str, scale: float, digits: int) -> str:
        with_it, without = ([scale * pair[k][name] for pair in pairs] for k in (0, 1))
        return f"{judging.spread(with_it, digits)} against {judging.spread(without, digits)}"

    return (
        f"λ > 0 was learned in {len(damped)} of {len(units)} units, {judging.spread([u['damping'] for u in damped])}; "
        f"at |1 − λ| exactly {_percent([u['counted'] for u in damped])} (by inertia; at 1 if the same units are not "
        f"damped: {_percent([u['undamped']['atom'] for u in damped])}; forced: "
        f"{_percent([u['forced'] for u in damped])}). Damped against not damped, the same {len(pairs)} units (median "
        f"over units [least, most], one image): share above 1 {beside('above_one', 100, 0)} %, largest "
        f"{beside('largest', 1, 1)}; {_card(nets)}"
    )


def _damping_verdict(nets: Nets) -> str:
    """Whether the atom is at |1 − λ|, as large as at 1 without damping and at least as large as forced."""
    if not nets:
        return NOT_RUN
    damped = _damped(_units(nets))
    if not damped:
        return "no unit is damped"

    def derived(u: Summary) -> bool:
        # other singular values come as near to the atom as 1e-6, and how many depends on where it is; more than a
        # thousandth of them never were
        slack = 1e-3
        atom = u["undamped"]["atom"]
        return u["counted"] >= u["forced"] - slack and (atom is None or abs(u["counted"] - atom) <= slack)

    return "as derived" if all(map(derived, damped)) else "not as derived"


Judge = tuple[str, str, str, Callable[[Nets], str], Callable[[Nets], str]]

STATEMENTS: tuple[Judge, ...] = (
    ("most-values-are-one", "most singular values of units are 1", IN_WORDS, _ones_measured, _ones_verdict),
    (
        "most-values-are-near-one",
        "the same, where near 1 counts as 1",
        IN_WORDS,
        _near_measured,
        _near_verdict,
    ),
    (
        "images-differ-slightly",
        "spectra differ only slightly between images",
        IN_WORDS,
        _images_measured,
        _images_verdict,
    ),
    (
        "skip-scaling",
        "scaling the skip connection changes the distributions markedly",
        IN_WORDS,
        *_scaling("skip"),
    ),
    (
        "weight-scaling",
        "scaling the weights changes the distributions markedly",
        IN_WORDS,
        *_scaling("branch"),
    ),
)


def _growth(name: str, statement: str, paper: str, measured: Measured, verdict: Verdict) -> Judge:
    """A row on perturbations, of nets instead of attacks."""

    def words(nets: Nets) -> str:
        images = {n["perturbations"]["images"] for n in nets.values()}
        return f"{measured(_attacks(nets), max(images))}; {_card(nets)}"

    return name, statement, paper, words, lambda nets: verdict(_attacks(nets))


ON_PERTURBATIONS: tuple[Judge, ...] = tuple(_growth(*row) for row in GROWTH)
DAMPING: Judge = ("damping", "damping moves the atom to 1 − λ", BEYOND, _damping_measured, _damping_verdict)


def _rows_of(key: str, words: str, prefix: str, statements: tuple[Judge, ...], presets: tuple[str, ...]) -> list[Claim]:
    def row(judge: Judge) -> Claim:
        name, statement, paper, measured, verdict = judge

        def ours(summary: Summary) -> str:
            nets = _nets(summary, prefix)
            return measured(nets) if nets else _instead(summary)

        def judged(summary: Summary) -> str:
            nets = _nets(summary, prefix)
            return verdict(nets) if nets else NOT_RUN

        return Claim(f"{key}-{name}", f"{words}: {statement}", paper, "other_networks", ours, judged, presets)

    return [row(judge) for judge in statements]


def _instead(summary: Summary) -> str:
    """What stands beside a net that was not run: the best of the plain nets that were, with depth and accuracy."""
    others = _nets(summary, "resnet")
    if not others:
        return "—"
    best = max(others, key=lambda weights: others[weights]["accuracy"])
    return f"not run; beside it, in rows of its own, {best}: {_card({best: others[best]})}"


ALL = STATEMENTS + ON_PERTURBATIONS
OTHER_NETWORKS = (
    *_rows_of("preresnet20", "pre-activation ResNet-20", "resnet20-cifar10", ALL, BOTH),
    *_rows_of("preresnet110", "pre-activation ResNet-110", "resnet110-cifar10", ALL, RESNET110),
    *_rows_of("in-resnet20", "In-ResNet-20", "in-resnet20", (DAMPING, ON_PERTURBATIONS[0]), BOTH),
    *_rows_of("lambda-in-resnet20", "λ-In-ResNet-20", "lambda-in-resnet20", (DAMPING, ON_PERTURBATIONS[0]), BOTH),
)


# --- 7: beyond -----------------------------------------------------------------------------------


def _training_measured(summary: Summary) -> str:
    def of(words: str, run: Summary) -> str:
        def ends(name: str, scale: float, digits: int) -> str:
            rows = [repeat[name] for repeat in run["of_repeats"]]
            start, end = (judging.spread([scale * row[at] for row in rows], digits) for at in (0, -1))
            return f"{start} → {end}"

        return (
            f"{words}: exactly 1 before the last ReLU {ends('exact_ones_before', 100, 1)} %, after it "
            f"{ends('exact_ones_after', 100, 1)} %; p/n {ends('active_inner', 1, 2)}; largest "
            f"{ends('largest_before', 1, 1)}; test accuracy "
            f"{judging.spread([100 * repeat['accuracy'][-1] for repeat in run['of_repeats']], 0)} %"
        )

    return (
        f"epochs 0 → {summary['epochs'][-1]}, medians over blocks and {summary['images']} images; of "
        f"{summary['repeats']} trainings the median [least, most]: "
        + "; ".join(of(*pair) for pair in summary["runs"].items())
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
    trained = summary["trained"]

    def of(kind: str) -> str:
        rows = [row for name, row in trained["units"].items() if name.endswith(kind)]
        near, nearer = ([row[f"within_{width}"] for row in rows] for width in ("0.1", "0.001"))
        return (
            f"{kind}: rank {between([row['rank'] for row in rows], 2)} n, within 0.1 of 1 {_percent(near)}, "
            f"within 0.001 {_percent(nearer, 1)}, largest {judging.spread([row['largest'] for row in rows], 1)}"
        )

    low, high = trained["within_0.1_quartiles"]
    return (
        f"all units, {summary['images']} images: exactly 1 {100 * trained['exact_ones']:.1f} %, within 0.1 of 1 "
        f"{100 * trained['within_0.1']:.0f} % [quartiles over images {100 * low:.0f}, {100 * high:.0f}]; median over "
        f"units [least, most], {of('attention')}; {of('feed-forward')} (accuracy {100 * summary['accuracy']:.0f} %)"
    )


def _transformer_verdict(summary: Summary) -> str:
    if summary["trained"]["exact_ones"] > judging.MOST:
        return "confirmed"
    return "near 1, not exactly" if summary["trained"]["within_0.1"] > judging.MOST else "not confirmed"


BEYOND_THE_PAPER = (
    Claim(
        "through-training",
        "ones come about through training (post-activation ResNet-14 on digits, weight decay)",
        BEYOND,
        "through_training",
        _training_measured,
        _training_verdict,
        BOTH,
    ),
    Claim(
        "transformer",
        "most singular values are 1 without sparse activity (Transformer encoder on digits)",
        BEYOND,
        "transformer",
        _transformer_measured,
        _transformer_verdict,
        BOTH,
    ),
)

CLAIMS: tuple[Claim, ...] = (*PERTURBATIONS, *OTHER_NETWORKS, *BEYOND_THE_PAPER)
