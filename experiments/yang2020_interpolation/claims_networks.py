"""What yang2020 says about trained nets: rows of the table.

No table of the paper was at hand: its claims are those of the abstract, in our words. "more accurate" is confirmed only
where the spread over three seeds or more allows it (:func:`comparing.improvement`).
"""

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS
from experiments.yang2020_interpolation.judging_networks import (
    Words,
    attacks,
    attacks_verdict,
    clean,
    clean_verdict,
    directions,
    directions_verdict,
    landscape,
    landscape_verdict,
    learned,
    learned_verdict,
    noise,
    noise_verdict,
    other_data,
    other_data_verdict,
)

RESNETS = ("smoke", "laptop", "paper", "paper-110")
RESNEXTS = ("laptop-resnext", "paper-resnext")
TITLES = {"in": "In-ResNet", "lambda-in": "λ-In-ResNet"}
NOT_TRAINED = (
    "needs nets that python -m experiments.train --plan laptop --only resnext29-4x4 in-resnext29-4x4 trains, hours"
)


def _of_kind(kind: str, name: str) -> tuple[Claim, ...]:
    return (
        Claim(
            f"{kind}-clean",
            f"{name} and ResNet of equal size: accuracy on clean images",
            "not known to us",
            "training",
            clean(kind),
            clean_verdict(kind),
            RESNETS,
        ),
        Claim(
            f"{kind}-noise",
            f"{name} is more accurate than the ResNet under stochastic noise",
            IN_WORDS,
            "noise",
            noise(kind),
            noise_verdict(kind),
            RESNETS,
        ),
        Claim(
            f"{kind}-noise-own-standard",
            f"{name}: the same, noisy images standardised by their own mean and deviation",
            "so in the public code, numbers not known",
            "noise",
            noise(kind, "images"),
            noise_verdict(kind, "images"),
            RESNETS,
        ),
        Claim(
            f"{kind}-attacks",
            f"{name} is more accurate than the ResNet under adversarial attack",
            IN_WORDS,
            "attacks",
            attacks(kind),
            attacks_verdict(kind),
            RESNETS,
        ),
        Claim(
            f"{kind}-attacks-from-start",
            f"{name}: the same under PGD whose ball is centred on the random start",
            "so in the public code, numbers not known",
            "attacks",
            attacks(kind, ("pgd-start",)),
            attacks_verdict(kind, ("pgd-start",)),
            RESNETS,
        ),
        Claim(
            f"{kind}-landscape",
            f"{name}: the loss rises less along the attack direction",
            IN_WORDS,
            "landscape",
            landscape(kind),
            landscape_verdict(kind),
            RESNETS,
        ),
    )


def _of_resnext(script: str, what: str, paper: str, measured: Words, verdict: Words) -> Claim:
    key = f"resnext-{script}"
    return Claim(key, f"In-ResNeXt and ResNeXt: {what}", paper, script, measured, verdict, RESNEXTS, NOT_TRAINED)


CLAIMS: tuple[Claim, ...] = (
    *[claim for kind, name in TITLES.items() for claim in _of_kind(kind, name)],
    Claim(
        "learned-coefficients",
        "interpolation coefficients after training, λ = 0: ResNet, λ = 1: CNN",
        "where they begin is known, where they end is not",
        "training",
        learned,
        learned_verdict,
        RESNETS,
    ),
    Claim(
        "attack-direction",
        "the loss rises far more along the attack direction than along a random one (control)",
        BEYOND,
        "landscape",
        directions,
        directions_verdict,
        RESNETS,
    ),
    _of_resnext("training", "accuracy on clean images", "not known to us", clean("in"), clean_verdict("in")),
    _of_resnext("noise", "more accurate under stochastic noise", IN_WORDS, noise("in"), noise_verdict("in")),
    _of_resnext("attacks", "more accurate under adversarial attack", IN_WORDS, attacks("in"), attacks_verdict("in")),
    _of_resnext(
        "landscape",
        "the loss rises less along the attack direction",
        IN_WORDS,
        landscape("in"),
        landscape_verdict("in"),
    ),
    Claim(
        "cifar100",
        "In-ResNet and ResNet on CIFAR-100",
        "not known to us",
        "training",
        other_data,
        other_data_verdict,
        ("laptop", "cifar100"),
    ),
)
