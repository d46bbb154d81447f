"""Claims about perturbations, about other networks, and what goes beyond the paper: experiments 4, 6 and 7."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from experiments._harness import Claim

Summary = dict[str, Any]

BOTH = ("laptop", "paper")
# nets that were trained at paper scale are in this preset only
AT_PAPER_SCALE = ("paper",)
BEYOND = "beyond the paper"


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


def _range(values: Sequence[float], digits: int = 2) -> str:
    """The smallest and the largest, or one number where both look alike."""
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low}–{high}"


# --- 4: perturbations ----------------------------------------------------------------------------


def _gentle(summary: Summary) -> dict[str, Any]:
    """Attacks that seek the boundary by many small steps, or by one that is too small to overshoot it."""
    return {words: n for words, n in summary["attacks"].items() if words != "fgsm linf 8/255"}


def _jump_measured(summary: Summary) -> str:
    attacks = _gentle(summary)
    last = [n["adversarial"]["last_gain"] for n in attacks.values()]
    random = [n["random"]["last_gain"] for n in attacks.values()]
    inside = [n["adversarial"]["largest_of_stage_in_last_two"] for n in attacks.values()]
    largest = [n["adversarial"]["largest_gain"] for n in attacks.values()]
    where = sorted({n["adversarial"]["largest_gain_at"] for n in attacks.values()})
    before = [1 - n["excess"]["share_of_last_units"] for n in attacks.values()]
    return (
        f"last unit: gain {_range(last)} against {_range(random)} at random; {_range([100 * s for s in inside], 0)} % "
        f"of {summary['images']} images have the largest gain of the stage in its last two units; but unit "
        f"{', '.join(map(str, where))} has {_range(largest)}, and {_range([100 * b for b in before], 0)} % of the "
        "excess (its logarithm) is gained before the last three units"
    )


def _jump_verdict(summary: Summary) -> str:
    attacks = _gentle(summary).values()
    # at least a tenth above what random perturbations do there, and for most images the largest of the stage
    there = all(
        n["adversarial"]["last_gain"] > 1.1 * n["random"]["last_gain"]
        and n["adversarial"]["largest_of_stage_in_last_two"] > 0.5
        for n in attacks
    )
    # a jump without qualification would be the largest gain of all, and where most of the excess comes from
    alone = all(
        n["adversarial"]["largest_gain"] <= n["adversarial"]["last_gain"] and n["excess"]["share_of_last_units"] > 0.5
        for n in attacks
    )
    return "not confirmed" if not there else "confirmed" if alone else "qualified"


def _random_measured(summary: Summary) -> str:
    attacks = summary["attacks"].values()
    return (
        f"last unit: gain {_range([n['random']['last_gain'] for n in attacks])}, relative to the state "
        f"{_range([n['random']['last_relative_gain'] for n in attacks])} (the state itself grows by "
        f"{next(iter(attacks))['state_gain'][-1]:.2f})"
    )


def _random_verdict(summary: Summary) -> str:
    attacks = summary["attacks"].values()
    if any(n["random"]["last_relative_gain"] > 1.05 for n in attacks):
        return "not confirmed"
    # a gain within a tenth of 1 is none; relative to a growing state there may be none all the same
    return "confirmed" if all(n["random"]["last_gain"] < 1.1 for n in attacks) else "qualified"


def _relative_measured(summary: Summary) -> str:
    attacks = _gentle(summary).values()
    adversarial, random = ([n[kind] for n in attacks] for kind in ("adversarial", "random"))
    inside = [100 * row["relative_largest_of_stage_in_last_two"] for row in adversarial]
    return (
        f"last unit, relative to the state: {_range([row['last_relative_gain'] for row in adversarial])} against "
        f"{_range([row['last_relative_gain'] for row in random])} at random, but no more than "
        f"{max(row['last_relative_over_stage'] for row in adversarial):.2f} times that of units before in the stage; "
        f"{_range(inside, 0)} % of the images have the largest relative gain of the stage in its last two units"
    )


def _relative_verdict(summary: Summary) -> str:
    attacks = _gentle(summary).values()
    grows = all(n["adversarial"]["last_relative_gain"] > 1.05 > n["random"]["last_relative_gain"] for n in attacks)
    # a jump is a fifth more than what the units before do, not the last step of a slow rise
    jumps = all(n["adversarial"]["last_relative_over_stage"] > 1.2 for n in attacks)
    return "confirmed" if grows and jumps else "qualified" if grows else "not confirmed"


def _excess_measured(summary: Summary) -> str:
    def each(words: str, n: Summary) -> str:
        low, high = n["excess"]["pooled_quartiles"]
        return f"{words}: {n['excess']['pooled']:.1f} ({low:.1f}–{high:.1f})"

    return "; ".join(each(words, n) for words, n in summary["attacks"].items())


def _excess_verdict(summary: Summary) -> str:
    """Whether it depends on the attack more than by a factor of two."""
    found = [n["excess"]["pooled"] for n in summary["attacks"].values()]
    return "depends on the attack" if max(found) > 2 * min(found) else "alike for all attacks"


PERTURBATIONS = (
    Claim(
        "adversarial-jump",
        "adversarial perturbations jump in magnitude near the end of the final stage",
        "in words only",
        "perturbations",
        _jump_measured,
        _jump_verdict,
        BOTH,
    ),
    Claim(
        "adversarial-jump-relative",
        "the jump is one relative to the state, too",
        "not said whether absolute or relative",
        "perturbations",
        _relative_measured,
        _relative_verdict,
        BOTH,
    ),
    Claim(
        "random-without-jump",
        "random perturbations do not jump there",
        "in words only",
        "perturbations",
        _random_measured,
        _random_verdict,
        BOTH,
    ),
    Claim(
        "adversarial-excess",
        "at the pooled features adversarial perturbations are larger than random ones of equal length",
        "no number known to us",
        "perturbations",
        _excess_measured,
        _excess_verdict,
        BOTH,
    ),
)


# --- 6: other networks ---------------------------------------------------------------------------


def _nets(summary: Summary, prefix: str) -> list[Summary]:
    """The nets whose name begins so, whatever their seed."""
    return [n for weights, n in summary["networks"].items() if weights.startswith(prefix)]


def _card(nets: list[Summary]) -> str:
    depth = " and ".join(str(d) for d in sorted({n["depth"] for n in nets}))
    return f"depth {depth}, accuracy {_range([100 * n['accuracy'] for n in nets], 1)} %"


def _units(nets: list[Summary]) -> list[Summary]:
    return [unit for n in nets for unit in n["units"].values()]


def _ones_measured(nets: list[Summary]) -> str:
    units = _units(nets)
    atoms = [100 * u["atom"] for u in units]
    return (
        f"exactly 1: {_range(atoms, 0)} % in {len(units)} units, median {_median(atoms):.0f} %, both readings alike; "
        f"r/n {_range([u['rank_bound'] for u in units])}; within 0.1 of 1: "
        f"{_range([100 * u['near_one']['0.1'] for u in units], 0)} % ({_card(nets)})"
    )


def _ones_verdict(nets: list[Summary]) -> str:
    # "most" is more than half
    most = [u["atom"] > 0.5 for u in _units(nets)]
    return "confirmed" if all(most) else "qualified" if any(most) else "not confirmed"


def _images_measured(nets: list[Summary]) -> str:
    several = [u for u in _units(nets) if u["spread_of_atom"] is not None]
    return (
        f"standard deviation over {several[0]['images']} images: "
        f"{_range([100 * u['spread_of_atom'] for u in several], 1)} points of the share that is exactly 1, "
        f"{_range([100 * u['relative_spread_of_largest'] for u in several], 0)} % of the largest"
    )


def _images_verdict(nets: list[Summary]) -> str:
    several = [u for u in _units(nets) if u["spread_of_atom"] is not None]
    # slight: five points of share, a fifth of the largest value
    shares = all(u["spread_of_atom"] < 0.05 for u in several)
    extremes = all(u["relative_spread_of_largest"] < 0.2 for u in several)
    return "confirmed" if shares and extremes else "qualified" if shares or extremes else "not confirmed"


def _scaling_measured(nets: list[Summary]) -> str:
    def sweep(n: Summary, what: str) -> str:
        rows = n["scaling"][what].values()
        return ", ".join(f"{100 * row['atom']:.0f} % at {row['at']:.3g}" for row in rows)

    n = nets[0]
    largest = ", ".join(f"{row['largest']:.2f}" for row in n["scaling"]["branch"].values())
    scales = ", ".join(n["scaling"]["branch"])
    return (
        f"last unit but one, skip × {scales}: exactly {sweep(n, 'skip')}; branch × {scales}: {sweep(n, 'branch')}, "
        f"largest {largest}"
    )


def _scaling_verdict(nets: list[Summary]) -> str:
    """Whether the atom follows the skip path and stays with the branch, and the largest value grows with the branch."""

    def follows(n: Summary) -> bool:
        skip, branch = n["scaling"]["skip"], n["scaling"]["branch"]
        shares = [row["atom"] for row in (*skip.values(), *branch.values())]
        largest = [row["largest"] for row in branch.values()]
        # masks are held, so the rank and with it the share are the same; neighbours by a third at least
        return max(shares) - min(shares) < 1e-3 and all(b > 4 / 3 * a for a, b in pairwise(largest))

    return "confirmed" if all(map(follows, nets)) else "qualified"


def _growth_measured(nets: list[Summary]) -> str:
    found = [n["perturbations"] for n in nets]
    adversarial, random = ([p[kind] for p in found] for kind in ("adversarial", "random"))
    inside = [100 * row["largest_of_stage_in_last_two"] for row in adversarial]
    return (
        f"last unit: gain {_range([row['last_gain'] for row in adversarial])} against "
        f"{_range([row['last_gain'] for row in random])} at random, relative "
        f"{_range([row['last_relative_gain'] for row in adversarial])} against "
        f"{_range([row['last_relative_gain'] for row in random])}; {_range(inside, 0)} % of the images have the "
        "largest gain of the stage in its last two units; pooled features: ratio "
        f"{_range([p['excess']['pooled'] for p in found], 1)}"
    )


def _growth_verdict(nets: list[Summary]) -> str:
    found = [n["perturbations"] for n in nets]
    there = [
        p["adversarial"]["last_gain"] > 1.1 * p["random"]["last_gain"]
        and p["adversarial"]["largest_of_stage_in_last_two"] > 0.5
        for p in found
    ]
    relative = [p["adversarial"]["last_relative_gain"] > 1.05 for p in found]
    return "confirmed" if all(there) and all(relative) else "qualified" if any(there) else "not confirmed"


def _damping_measured(nets: list[Summary]) -> str:
    units = _units(nets)
    damped = [u for u in units if u["damping"] > 0]
    plain = [u for u in units if u["damping"] <= 0]
    exact = [u["median"] for u in damped if u["median"] is not None]
    return (
        f"λ > 0 was learned in {len(damped)} of {len(units)} units, {_range([u['damping'] for u in damped])}; there "
        f"exactly |1 − λ|: {_range([100 * u['atom'] for u in damped], 0)} %, median singular value {_range(exact)}, "
        f"share > 1 {_range([100 * u['above_one'] for u in damped], 0)} % (undamped units: "
        f"{_range([100 * u['above_one'] for u in plain], 0)} %), largest {_range([u['largest'] for u in damped], 1)} "
        f"({_card(nets)})"
    )


def _damping_verdict(nets: list[Summary]) -> str:
    """Whether the atom, where there is one, is at |1 − λ| as the rank forces it, in all damped units."""
    damped = [u for u in _units(nets) if u["damping"] > 0]
    if not damped:
        return "no unit is damped"
    # at least what the bound of the rank forces, up to one singular value
    return "as derived" if all(u["atom"] >= 1 - 2 * u["rank_bound"] - 1 / u["n"] for u in damped) else "not as derived"


Judge = tuple[str, str, str, Callable[[list[Summary]], str], Callable[[list[Summary]], str]]

STATEMENTS: tuple[Judge, ...] = (
    ("ones", "most singular values of units are 1", "in words only", _ones_measured, _ones_verdict),
    ("images", "spectra differ only slightly between images", "in words only", _images_measured, _images_verdict),
    (
        "scaling",
        "scaling skip path or weights changes spectra markedly",
        "in words only",
        _scaling_measured,
        _scaling_verdict,
    ),
    ("jump", "adversarial perturbations jump near the end", "in words only", _growth_measured, _growth_verdict),
)


def _rows_of(key: str, words: str, prefix: str, statements: tuple[Judge, ...], presets: tuple[str, ...]) -> list[Claim]:
    def row(judge: Judge) -> Claim:
        name, statement, paper, measured, verdict = judge
        return Claim(
            f"{key}-{name}",
            f"{words}: {statement}",
            paper,
            "other_networks",
            lambda summary: measured(_nets(summary, prefix)),
            lambda summary: verdict(_nets(summary, prefix)),
            presets,
        )

    return [row(judge) for judge in statements]


DAMPING: Judge = ("damping", "damping moves the atom to 1 − λ", BEYOND, _damping_measured, _damping_verdict)

OTHER_NETWORKS = (
    *_rows_of("preresnet20", "pre-activation ResNet-20", "resnet20-cifar10", STATEMENTS, BOTH),
    *_rows_of("preresnet110", "pre-activation ResNet-110", "resnet110-cifar10", STATEMENTS, AT_PAPER_SCALE),
    *_rows_of("in-resnet20", "In-ResNet-20", "in-resnet20", (DAMPING, STATEMENTS[3]), BOTH),
    *_rows_of("lambda-in-resnet20", "λ-In-ResNet-20", "lambda-in-resnet20", (DAMPING, STATEMENTS[3]), BOTH),
)


# --- 7: beyond -----------------------------------------------------------------------------------


def _training_measured(summary: Summary) -> str:
    def of(words: str, run: Summary) -> str:
        before, active = run["exact_ones"]["before"], run["active_inner"]
        after, largest = run["exact_ones"]["after"], run["largest"]["before"]
        return (
            f"{words}: exactly 1 before the last ReLU {100 * before[0]:.0f} → {100 * before[-1]:.0f} %, after it "
            f"{100 * after[0]:.0f} → {100 * after[-1]:.0f} %; p/n {active[0]:.2f} → {active[-1]:.2f}; largest "
            f"{largest[0]:.1f} → {largest[-1]:.1f}; test accuracy {100 * run['accuracy'][-1]:.0f} %"
        )

    return f"epochs 0 → {summary['epochs'][-1]}; " + "; ".join(of(*pair) for pair in summary["runs"].items())


def _training_verdict(summary: Summary) -> str:
    ones = [run["exact_ones"]["before"] for run in summary["runs"].values()]
    # five points are more than single units of a layer make
    grown = [shares[-1] > shares[0] + 0.05 for shares in ones]
    if not any(grown):
        return "not confirmed"
    return "confirmed" if all(grown) and max(shares[-1] for shares in ones) > 0.5 else "qualified"


def _transformer_measured(summary: Summary) -> str:
    units = summary["trained"]["units"]

    def of(kind: str) -> str:
        rows = [row for name, row in units.items() if name.endswith(kind)]
        near, nearer = ([100 * row[f"within_{width}"] for row in rows] for width in ("0.1", "0.001"))
        return (
            f"{kind}: rank {_range([row['rank'] for row in rows])} n, within 0.1 of 1 {_range(near, 0)} %, within "
            f"0.001 {_range(nearer, 1)} %, largest {_range([row['largest'] for row in rows], 1)}"
        )

    return (
        f"exactly 1: {100 * summary['trained']['exact_ones']:.1f} %; {of('attention')}; {of('feed-forward')} "
        f"(accuracy {100 * summary['accuracy']:.0f} %)"
    )


def _transformer_verdict(summary: Summary) -> str:
    if summary["trained"]["exact_ones"] > 0.5:
        return "confirmed"
    return "near 1, not exactly" if summary["trained"]["within_0.1"] > 0.5 else "not confirmed"


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
